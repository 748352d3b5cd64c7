// A policy to the profile, the parameters and the argv that confine a command on macOS. Pure: runs on every platform.
import { SandboxError } from '../../errors.js'
import type { ResolvedPolicy } from '../../policy/resolved-policy.js'
import type { CompileOptions, LayerReport, NetworkEndpoints } from '../backend.js'
import type { MacosSeatbeltPlan } from '../launch-plan.js'
import { limitMechanisms, limitNotes, lowerLimits, refuseUnheldLimits } from '../limits.js'
import { LIMIT_HOLDINGS } from './limits.js'
import { networkRules } from './network-rules.js'
import { Parameters } from './parameters.js'
import { pathForms } from './path-rules.js'
import { parseForms } from './sbpl/parse.js'
import { printProfile } from './sbpl/print.js'
import { type Form, list, string } from './sbpl/syntax.js'
import { template, type TemplateName } from './templates.js'

/** The one program that confines; never looked up on a PATH. */
export const SANDBOX_EXEC = '/usr/bin/sandbox-exec'
/** The one layer of this back end. */
export const SEATBELT = 'seatbelt'
/** Where the profile stands in `argv`. */
export const PROFILE_WORD = '{profile}'
/** Where the tag of a command stands in a profile whose denials are logged. */
export const TAG_WORD = '{tag}'
/** The profile and its parameters go through argv, which with the environment has 1 MiB. */
const MOST_BYTES = 640 * 1024

/**
 * Compiles `policy`. Pure. Afterwards each rule is enforced by a rule of the profile, or has thrown.
 *
 * @param layers  what `probe` reported
 * @throws        SandboxError `layer_missing`, `field` = `seatbelt`; `rule_not_enforceable` for `tmp: 'private'`, for limits that
 *                nothing here holds, and for names that no argument can carry; `policy_too_large`
 */
export function compileSeatbelt(policy: ResolvedPolicy, layers: readonly LayerReport[], options: CompileOptions): MacosSeatbeltPlan {
  if (policy.base === 'write') throw new Error(`${policy.mode} has nothing to enforce`)
  refuseMissingLayer(layers)
  if (policy.tmp === 'private') {
    throw new SandboxError('rule_not_enforceable', { field: 'tmp', value: 'private' }, { detail: 'macOS shows every process the same /tmp', remedy: 'Say "host" or "none"; set TMPDIR to a folder in the workspace.' })
  }
  if (options.rung !== undefined) {
    throw new SandboxError('option_invalid', { field: 'rung', value: options.rung }, { detail: 'macOS has one way to confine, and Linux the others', remedy: 'Leave it out.' })
  }
  const limits = lowerLimits(policy.limits, options.limits)
  const degraded = refuseUnheldLimits(LIMIT_HOLDINGS, limits, options.allowDegraded, 'macOS')
  // The log costs a process for each sandbox and half a second at each command's end: not unless it was asked for.
  const logsDenials = options.observe === 'writes' || options.observe === 'reads'
  const { profile, parameters } = compileProfile(policy, options.endpoints, logsDenials)
  const mechanisms = limitMechanisms(LIMIT_HOLDINGS, limits)
  return {
    backend: 'macos-seatbelt',
    platform: 'macos',
    profile,
    parameters,
    argv: [SANDBOX_EXEC, '-p', PROFILE_WORD, ...Object.entries(parameters).flatMap(([name, value]) => ['-D', `${name}=${value}`]), '--'],
    logsDenials,
    environment: ['CODEX_SANDBOX=seatbelt'],
    ...(policy.network === 'proxied' ? { proxyPort: proxyPortOf(options) } : {}),
    limits,
    cwd: { path: policy.cwd, identity: options.cwdIdentity },
    degraded,
    enforcement: {
      backend: 'macos-seatbelt', layers: [SEATBELT], degraded, limits: mechanisms,
      notes: [...NOTES, ...networkNotes(policy, options.endpoints), ...globNotes(policy), ...limitNotes(LIMIT_HOLDINGS, limits)],
    },
  }
}

/** Of several ports that a profile may open, the proxy's comes first. */
function proxyPortOf({ endpoints }: CompileOptions): number {
  const port = endpoints?.proxyPorts?.[0]
  if (port === undefined) throw new Error('a proxied network has a port for its proxy')
  return port
}

/**
 * The profile alone, with its parameters.
 *
 * @param logsDenials  each denial carries the tag of its command
 */
export function compileProfile(policy: ResolvedPolicy, endpoints?: NetworkEndpoints, logsDenials = false): Pick<MacosSeatbeltPlan, 'profile' | 'parameters'> {
  const parameters = new Parameters()
  const files = pathForms(policy, parameters)
  const network = networkRules(policy, endpoints, parameters)
  const asksServices = policy.base === 'read' || policy.paths.some(({ origin }) => origin === 'mode')
  const plain = sections([
    'base', asksServices ? 'platform-defaults' : undefined, files.rules, 'devices', files.devices, network.rules, network.template, files.exceptions, 'last',
  ])
  const profile = logsDenials ? withTag(plain) : plain
  const named = Object.fromEntries(parameters.list().map(({ name, value }) => [name, value]))
  const bytes = [...profile, ...Object.entries(named).flat()].reduce((sum, text) => sum + Buffer.byteLength(text) + 1, 0)
  if (bytes > MOST_BYTES) {
    throw new SandboxError('policy_too_large', { field: 'policy', value: `${policy.paths.length} rules` }, { detail: `its profile has ${bytes} bytes, and ${MOST_BYTES} fit into arguments` })
  }
  return { profile, parameters: named }
}

/** Templates by name, and forms, a blank line between them. */
function sections(parts: readonly (TemplateName | readonly Form[] | undefined)[]): string[] {
  const lines = parts.map(part => part === undefined ? [] : typeof part === 'string' ? [...template(part)] : part.length === 0 ? [] : printProfile(part).trimEnd().split('\n'))
  return lines.filter(each => each.length > 0).flatMap((each, index) => index === 0 ? each : ['', ...each])
}

/** The kernel's log has a denying rule's message below the denial. */
function withTag(lines: readonly string[]): string[] {
  const forms = parseForms(lines.join('\n')).map(({ expression, ...rest }) => {
    const isDenial = expression.kind === 'list' && expression.items[0]?.kind === 'symbol' && expression.items[0].name === 'deny'
    return { ...rest, expression: isDenial ? list(...expression.items, list('with', 'message', string(TAG_WORD))) : expression }
  })
  return printProfile(forms).trimEnd().split('\n')
}

function refuseMissingLayer(layers: readonly LayerReport[]): void {
  const report = layers.find(({ layer }) => layer === SEATBELT)
  if (report?.available === true) return
  throw new SandboxError('layer_missing', { field: SEATBELT, value: report?.errno ?? 'not reported' }, {
    ...(report?.reason === undefined ? {} : { detail: report.reason }), ...(report?.remedy === undefined ? {} : { remedy: report.remedy }),
  })
}

const NOTES = [
  'nobody has run this back end on a Mac yet: scripts/verify-macos tells whether its profiles hold',
  'a command that leaves its process group (setsid) may outlive it: macOS has nothing that holds a whole tree of processes',
  'what is protected or denied is known by its path: a hard link to it that was made outside before is another path',
  'processor time and memory are not measured',
]

function networkNotes({ network }: ResolvedPolicy, { proxyPorts = [], localBinding = false }: NetworkEndpoints = {}): string[] {
  const isProxied = proxyPorts.length > 0
  return [
    ...(network === 'off' && !isProxied && !localBinding ? ['there is no loopback of the sandbox\'s own: with the network off, own servers cannot be reached either'] : []),
    ...(localBinding ? ['every server on the loopback of this machine can be reached, not only own ones'] : []),
    ...(isProxied ? ['trustd, which checks certificates outside of the sandbox, may fetch what a certificate names, past the proxy'] : []),
  ]
}

const globNotes = ({ globs }: ResolvedPolicy): string[] => globs.length === 0 ? []
  : ['a file that matches a deny glob with ** and is made by somebody else while a command runs is denied by its path: a command may move its folder to where the glob does not reach']
