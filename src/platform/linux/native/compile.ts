// A policy and a host's layers to the plan that the launcher carries out. Pure: runs on every platform.
import { SandboxError } from '../../../errors.js'
import { LEADS_NOWHERE, OWN_GIT_OPERATIONS } from '../../../policy/git-paths.js'
import { isInside } from '../../../policy/path-syntax.js'
import type { ResolvedPolicy } from '../../../policy/resolved-policy.js'
import type { CompileOptions, EndingGroupReport, GroupReport, LayerReport } from '../../backend.js'
import { DEGRADATIONS, type DegradationName, type GroupPlan, type LandlockPlan, type LinuxNativePlan, type MountStep, type Observation, type PlannedListener, type Rung, type SupervisionPlan, type TreeEnd } from '../../launch-plan.js'
import { FIRST_ABI_WITH_SCOPES } from '../landlock/access-rights.js'
import { compileRulesets, deviceRights, type FileRule, FIRST_ABI_WITH_REFER, procRights, writableRights } from '../landlock/ruleset.js'
import { planCommandFilter, planListenerFilter } from '../seccomp/plan-filters.js'
import { compileSupervision, supervisionNotes } from './compile-supervision.js'
import { CGROUP_MOUNT } from './control-groups.js'
import { type Layer, type LayerName, LAYERS } from './layers.js'
import { lowerLimits } from '../../limits.js'
import { limitMechanisms, limitNotes, wantsGroups } from './limits.js'
import { compileMounts, hasPrivateTmp, isHeldStep, OWN_SHARED_MEMORY } from './mounts.js'

/**
 * The rights in places that every command has beside the policy's own rules, one row a place. What is not handled under the
 * ABI, and `resolve_unix`, falls out. /proc is each command's own and so is not here: the launcher adds it with `procRights`.
 */
const SYSTEM_RULES: readonly { readonly path: string; readonly rights: (abi: number) => bigint; readonly when: (policy: ResolvedPolicy, listens: boolean) => boolean }[] = [
  // /dev/null and its like are written to, terminals get ioctls; the directory itself is mounted read-only.
  { path: '/dev', rights: deviceRights, when: () => true },
  // Shared memory: an empty file system of the sandbox's own, where programs make and remove files.
  { path: OWN_SHARED_MEMORY, rights: writableRights, when: () => true },
  // Where the launcher answers no calls there is no such place.
  { path: OWN_GIT_OPERATIONS, rights: writableRights, when: (policy, listens) => listens && keepsGitOperations(policy) },
  // `tmp: 'private'`, the same.
  { path: '/tmp', rights: writableRights, when: hasPrivateTmp },
]

/** Git's operations of several steps have a place of the sandbox's own. */
function keepsGitOperations({ paths }: ResolvedPolicy): boolean {
  return paths.some(({ placeholderText }) => placeholderText?.startsWith(`${OWN_GIT_OPERATIONS}/`))
}

/** Places whose rules of the host do not apply inside: every sandbox has its own. */
const REPLACED = ['/dev', '/proc']

export interface NativeOptions extends CompileOptions {
  /** Commands share a PID namespace that somebody else makes: bwrap. */
  readonly sharesProcesses?: boolean
}

/**
 * Compiles `policy` for this host. Pure. Afterwards each rule is enforced by a step, or named in `plan.degraded`.
 *
 * @param layers  what `probe` reported; a layer without a report is taken for missing
 * @throws        SandboxError `layer_missing`, `field` = the layer, where one that is needed is missing and going without was
 *                not allowed by name; `rule_not_enforceable` where a rule of the policy cannot be held here
 */
export function compileLinuxNative(policy: ResolvedPolicy, layers: readonly LayerReport[], options: NativeOptions): LinuxNativePlan {
  if (policy.base === 'write') throw new Error(`${policy.mode} has nothing to enforce`)
  const rung = chooseRung(policy, layers, options)
  const degraded = findDegradations(policy, layers, options, rung)
  const limits = lowerLimits(policy.limits, options.limits)
  const report = wantsGroups(limits) ? groupsFor(policy, options.groups) : undefined
  const ending = needsEndingGroup(layers, rung) ? groupsFor(policy, options.endingGroup) : undefined
  const groups = planGroups(report, ending)
  const mechanisms = limitMechanisms(limits, policy.uid, groups, rung)
  const names = namesIn(degraded)
  const held = rung === 'namespaces' ? inNamespaces(policy, layers, options, degraded) : supervised(policy, layers, options, groups)
  return {
    backend: 'linux-native',
    platform: 'linux',
    uid: policy.uid,
    gid: policy.gid,
    rung,
    network: held.network,
    ...reachablePorts(policy),
    ...socketsOf(policy),
    sockets: held.sockets,
    stateDirectory: options.stateDirectory,
    mounts: held.mounts,
    devices: policy.devices,
    ...(held.landlock === undefined ? {} : { landlock: held.landlock }),
    ...(held.supervision === undefined ? {} : { supervision: held.supervision }),
    seccomp: held.seccomp,
    observe: held.observe,
    limits,
    limitMechanisms: mechanisms,
    ...(groups === undefined ? {} : { groups }),
    cwd: { path: policy.cwd, identity: options.cwdIdentity },
    degraded: names,
    enforcement: {
      backend: 'linux-native',
      rung,
      treeEnd: treeEndOf(layers, rung, groups),
      layers: heldLayers(policy, degraded, rung),
      degraded: names,
      limits: mechanisms,
      notes: [...held.notes, ...rungNotes(policy, layers, options, rung), ...endNotes(treeEndOf(layers, rung, groups), layers, ending), ...limitNotes(limits, policy.uid, groups, report, rung)],
    },
  }
}

/** What holds the policy's rules, and what a reader of the report should know about it. */
interface Held extends Pick<LinuxNativePlan, 'network' | 'sockets' | 'mounts' | 'seccomp' | 'observe'> {
  readonly landlock: LandlockPlan | undefined
  readonly supervision?: SupervisionPlan
  readonly notes: readonly string[]
}

function inNamespaces(policy: ResolvedPolicy, layers: readonly LayerReport[], options: NativeOptions, degraded: ReadonlySet<DegradationName>): Held {
  const { architecture: arch, cwdIdentity } = options
  const network = policy.network === 'open' ? 'host' : 'private'
  const listens = !degraded.has('no-unix-socket-control')
  const observe = listens ? wantedObservation(policy, options) : 'off'
  const mounts = listens ? compileMounts(policy, cwdIdentity) : compileMounts(policy, cwdIdentity).map(withoutGitOperation)
  const landlock = degraded.has('no-landlock') ? undefined : compileLandlock(policy, versionOf(layers, 'landlock'), { privateNetwork: network === 'private', listens })
  const sockets = socketsBy(layers)
  const makeSockets = listens && sockets === 'made'
  const listener = !listens ? undefined : planListenerFilter({ arch, network, makeSockets, bind: network === 'host' || makeSockets, gitOperations: keepsGitOperations(policy), observe, ...(options.sharesProcesses === true ? { sharesProcesses: true } : {}) })
  return {
    network, sockets, mounts, landlock, observe,
    seccomp: { command: planCommandFilter({ arch, network, makeSockets, observe }), ...(listener === undefined ? {} : { listener }) },
    notes: [...mountNotes(mounts), ...readNotes(policy), ...landlockNotes(landlock), ...networkNotes(policy, degraded), ...(listens ? socketNotes(policy, layers) : []), ...observationNotes(policy, observe)],
  }
}

/** Where the launcher answers no calls, none could end: none begins. */
const withoutGitOperation = (step: MountStep): MountStep =>
  step.step === 'placeholder' && step.text?.startsWith(`${OWN_GIT_OPERATIONS}/`) === true ? { ...step, text: LEADS_NOWHERE } : step

function supervised(policy: ResolvedPolicy, layers: readonly LayerReport[], options: CompileOptions, groups: GroupPlan | undefined): Held {
  const { architecture: arch, stateDirectory } = options
  const observe = wantedObservation(policy, options)
  const network = policy.network === 'open' ? 'host' : 'none'
  const sockets = socketsBy(layers)
  const { landlock, supervision } = compileSupervision(policy, versionOf(layers, 'landlock'), { stateDirectory, ...(groups === undefined ? {} : { groupParent: groups.parent }) })
  const { abi } = landlock
  const connects = reachablePorts(policy).listeners !== undefined
  const held = { abi, reads: observe === 'reads' ? 'all' : supervision.judgedReads, ...(connects ? { connects } : {}) } as const
  return {
    network, sockets, mounts: [], landlock, supervision, observe,
    seccomp: {
      command: planCommandFilter({ arch, network, makeSockets: sockets === 'made', supervised: held, observe }),
      listener: planListenerFilter({ arch, network, bind: true, makeSockets: sockets === 'made', supervised: held, gitOperations: false, observe }),
    },
    notes: [...supervisionNotes(policy), ...openNetworkNotes(policy.network), ...socketNotes(policy, layers), ...landlockNotes(landlock), ...observationNotes(policy, observe)],
  }
}

const socketsBy = (layers: readonly LayerReport[]): LinuxNativePlan['sockets'] => isThere(layers, 'descriptor-copy') ? 'taken' : 'made'

/** The proxy speaks all of its protocols on one listener; a second one only where both ports are named. */
function reachablePorts({ network, networkRules }: ResolvedPolicy): Pick<LinuxNativePlan, 'listeners'> {
  if (networkRules === undefined || network === 'open') return {}
  const { httpPort, socksPort, allowLocalPorts } = networkRules
  const ofProxy = network === 'proxied' ? [...new Set([httpPort ?? socksPort ?? 0, socksPort ?? httpPort ?? 0])] : []
  const listeners = [...ofProxy.map((port): PlannedListener => ({ kind: 'proxy', port })), ...allowLocalPorts.map((port): PlannedListener => ({ kind: 'local-port', port }))]
  return listeners.length === 0 ? {} : { listeners }
}

function socketsOf({ networkRules, unixSockets = [] }: ResolvedPolicy): Pick<LinuxNativePlan, 'unixSockets'> {
  const { dangerouslyAllowAllUnixSockets: all = false, dangerouslyAllowDockerSocket: ofRoot = false } = networkRules ?? {}
  if (!all && unixSockets.length === 0) return {}
  return {
    unixSockets: {
      ...(all ? { all } : {}), ...(ofRoot ? { ofRoot } : {}),
      allowed: unixSockets.map(({ path, identity }) => ({ path, ...(identity === undefined ? {} : { identity }) })),
    },
  }
}

const wantedObservation = (policy: ResolvedPolicy, { observe }: CompileOptions): Observation => observe ?? (policy.base === 'deny' ? 'reads' : 'writes')

/** The one that was asked for; else that of namespaces, unless only the supervised one has all of its layers. */
function chooseRung(policy: ResolvedPolicy, layers: readonly LayerReport[], options: CompileOptions): Rung {
  if (options.rung !== undefined) return options.rung
  const isHeld = lackOf(policy, layers, options, 'namespaces') === undefined && foldingRoot(policy) === undefined
  return !isHeld && lackOf(policy, layers, options, 'supervised') === undefined ? 'supervised' : 'namespaces'
}

/** A folder of which some spellings lead past the mounts that would hold something in it. The launcher compares names as such file systems do. */
function foldingRoot({ platform, caseInsensitiveRoots, paths }: ResolvedPolicy): string | undefined {
  return caseInsensitiveRoots.find(root => paths.some(({ effect, path }) => effect !== 'write' && path !== root && isInside(platform, root, path)))
}

/** Why it is not the stronger rung, and how to get that. */
function rungNotes(policy: ResolvedPolicy, layers: readonly LayerReport[], options: CompileOptions, rung: Rung): string[] {
  if (rung !== 'supervised') return []
  const lack = lackOf(policy, layers, options, 'namespaces')
  const root = foldingRoot(policy)
  if (lack !== undefined) {
    const { reason, remedy } = layers.find(({ layer }) => layer === lack.layer) ?? {}
    return [`the stronger rung, namespaces, needs ${lack.layer}${reason === undefined ? '' : `: ${reason}`}${remedy === undefined ? '' : `. ${remedy}`}`]
  }
  if (root !== undefined) return [`supervised, as mounts cannot hold names in ${JSON.stringify(root)}, where other spellings lead to the same file`]
  return options.rung === undefined ? [] : ['supervised, as that was asked for: without a rung namespaces hold this here, the stronger one']
}

const isThere = (layers: readonly LayerReport[], name: LayerName): boolean => layers.find(({ layer }) => layer === name)?.available === true

/** The first layer that a rung needs and does not have, unless it may go without. */
function lackOf(policy: ResolvedPolicy, layers: readonly LayerReport[], { allowDegraded }: CompileOptions, rung: Rung): Layer | undefined {
  return missingLayers(policy, layers, rung).find(layer => {
    const without = withoutOn(rung, layer)
    return without === 'refuse' || !allowDegraded.has(without) || (layer.layer === 'landlock' && policy.base === 'deny')
  })
}

const missingLayers = (policy: ResolvedPolicy, layers: readonly LayerReport[], rung: Rung): Layer[] =>
  (LAYERS as readonly Layer[]).filter(layer => isNeeded(layer, policy, rung) && !isThere(layers, layer.layer as LayerName))

/** Goes through what cannot be held here; what remains was allowed by name. */
function findDegradations(policy: ResolvedPolicy, layers: readonly LayerReport[], options: CompileOptions, rung: Rung): Set<DegradationName> {
  const { allowDegraded } = options
  const lack = lackOf(policy, layers, options, rung)
  if (lack !== undefined) {
    const report = layers.find(({ layer }) => layer === lack.layer)
    throw lack.layer === 'landlock' && policy.base === 'deny' ? refuseRestrictedReads(report) : layerMissing(lack.layer, withoutOn(rung, lack), report)
  }
  const degraded = new Set(missingLayers(policy, layers, rung).map(layer => withoutOn(rung, layer) as DegradationName))
  const [glob] = policy.globs.filter(({ effect }) => effect === 'deny')
  if (glob !== undefined) {
    if (!allowDegraded.has('later-glob-matches')) {
      throw new SandboxError('rule_not_enforceable', { field: glob.field, value: glob.pattern }, {
        detail: DEGRADATIONS['later-glob-matches'], remedy: `Deny a folder instead, or ${allowing('later-glob-matches')}`,
      })
    }
    degraded.add('later-glob-matches')
  }
  return degraded
}

/** An open network needs no namespace of its own. */
function isNeeded({ layer, without, supervised }: Layer, policy: ResolvedPolicy, rung: Rung): boolean {
  if (rung === 'supervised') return supervised === 'needed'
  return without !== 'unused' && (layer !== 'network-namespace' || policy.network !== 'open')
}

/** Of a layer that the rung needs. The supervised one goes without none. */
const withoutOn = (rung: Rung, { without }: Layer): DegradationName | 'refuse' => rung === 'supervised' || without === 'unused' ? 'refuse' : without

function layerMissing(layer: string, without: DegradationName | 'refuse', report: LayerReport | undefined): SandboxError {
  const remedy = [report?.remedy, without === 'refuse' ? undefined : `Or ${allowing(without)}`].filter(each => each !== undefined)
  return new SandboxError('layer_missing', { field: layer, value: report?.errno ?? 'absent' }, {
    detail: report?.reason ?? 'the probe did not report it',
    ...(remedy.length === 0 ? {} : { remedy: remedy.join(' ') }),
  })
}

function refuseRestrictedReads(report: LayerReport | undefined): SandboxError {
  return new SandboxError('rule_not_enforceable', { field: 'readAccess', value: 'restricted' }, {
    detail: `only Landlock holds it, and ${report?.reason ?? 'the probe did not report it'}`,
    remedy: `${report?.remedy ?? 'Run `codex-sandbox doctor`.'} Or say full access, and deny by name what must not be read.`,
  })
}

const allowing = (name: DegradationName): string => `allow it by name: allowDegraded [${JSON.stringify(name)}].`

function compileLandlock(policy: ResolvedPolicy, abi: number, { privateNetwork, listens }: { readonly privateNetwork: boolean; readonly listens: boolean }): LandlockPlan {
  const extraRules = SYSTEM_RULES.filter(({ when }) => when(policy, listens)).map(({ path, rights }): FileRule => ({ path, allowed: rights(abi) }))
  const paths = policy.paths.filter(({ path }) => !REPLACED.some(place => isInside('linux', place, path)))
  const { scopes, handledNet, file } = compileRulesets({ ...policy, paths }, abi, { privateNetwork, systemPaths: [], extraRules })
  return {
    abi,
    scopes,
    handledNet,
    ...(file === undefined ? {} : {
      files: {
        handled: String(file.handled),
        rules: file.rules.map(({ path, allowed }) => ({ path, allowed: String(allowed) })),
        proc: String(procRights(abi)),
      },
    }),
  }
}

function versionOf(layers: readonly LayerReport[], name: LayerName): number {
  const version = layers.find(({ layer }) => layer === name)?.version
  if (version === undefined) throw new Error(`the report on ${name} has no version`)
  return version
}

/** Neither a PID namespace nor a signal that stays inside. */
const needsEndingGroup = (layers: readonly LayerReport[], rung: Rung): boolean => rung === 'supervised' && versionOf(layers, 'landlock') < FIRST_ABI_WITH_SCOPES

/** Where both are wanted, commands' groups for their limits end them too. */
function planGroups(limits: GroupReport | undefined, ending: EndingGroupReport | undefined): GroupPlan | undefined {
  const ends = ending?.available === true ? { ends: true } as const : {}
  if (limits?.available === true) return { parent: limits.parent, holds: limits.holds, ...ends }
  return ending?.available === true ? { parent: ending.parent, holds: [], ...ends } : undefined
}

function treeEndOf(layers: readonly LayerReport[], rung: Rung, groups: GroupPlan | undefined): TreeEnd {
  if (rung === 'namespaces') return 'pid-namespace'
  if (!needsEndingGroup(layers, rung)) return 'signal-scope'
  return groups?.ends === true ? 'control-group' : 'repeated-walk'
}

function endNotes(end: TreeEnd, layers: readonly LayerReport[], ending: EndingGroupReport | undefined): string[] {
  if (end !== 'repeated-walk') return []
  const reason = ending?.available === false ? ending.reason : 'nobody asked'
  return [`Landlock ABI ${versionOf(layers, 'landlock')} does not hold signals, and no control group can end commands (${reason}): the launcher judges each signal, and what a command left in the background is ended by looking for it again and again, which a process that forks fast enough could outrun`]
}

/** Commands that may write in the tree of control groups could leave theirs. */
function groupsFor<Report extends GroupReport | EndingGroupReport>({ paths }: ResolvedPolicy, report: Report | undefined): Report | { available: false; reason: string } | undefined {
  const writable = paths.some(({ path, effect }) => effect === 'write' && (isInside('linux', path, CGROUP_MOUNT) || isInside('linux', CGROUP_MOUNT, path)))
  return report?.available === true && writable ? { available: false, reason: `commands may write in ${CGROUP_MOUNT}` } : report
}

/** In the order of the table, so that equal plans print alike. */
const namesIn = (degraded: ReadonlySet<DegradationName>): DegradationName[] =>
  (Object.keys(DEGRADATIONS) as DegradationName[]).filter(name => degraded.has(name))

const heldLayers = (policy: ResolvedPolicy, degraded: ReadonlySet<DegradationName>, rung: Rung): string[] =>
  (LAYERS as readonly Layer[]).filter(layer => isNeeded(layer, policy, rung) && !degraded.has(withoutOn(rung, layer) as DegradationName)).map(({ layer }) => layer)

function mountNotes(mounts: readonly MountStep[]): string[] {
  const notes: string[] = []
  if (mounts.some(isHeldStep)) notes.push('protected and denied paths inside a writable root hang on mounts alone: Landlock cannot take back a part of what it allows')
  const pinned = mounts.filter(({ step }) => step === 'pin').map(({ path }) => JSON.stringify(path))
  if (pinned.length > 0) notes.push(`rename and link from or to ${listed(pinned)} fail with EXDEV: what is held below must keep its place`)
  const closed = mounts.filter(each => each.step === 'placeholder' && each.effect === 'deny').map(({ path }) => JSON.stringify(path))
  if (closed.length > 0) notes.push(`commands cannot make ${listed(closed)}: it is denied, or what would lie in it`)
  return notes
}

function listed(items: readonly string[]): string {
  const shown = items.slice(0, 3).join(', ')
  return items.length > 3 ? `${shown} and ${items.length - 3} more` : shown
}

function readNotes({ base }: ResolvedPolicy): string[] {
  return base === 'deny' ? ['what may not be read can still be asked for by path: whether it exists, its size and its times (Landlock does not cover these)'] : []
}

/** The launcher cannot tell sockets that were made inside from others. */
function socketNotes({ networkRules }: ResolvedPolicy, layers: readonly LayerReport[]): string[] {
  if (isThere(layers, 'socket-owners') || networkRules?.dangerouslyAllowAllUnixSockets === true) return []
  const { reason = '', remedy = '' } = layers.find(({ layer }) => layer === 'socket-owners') ?? {}
  return [`commands cannot connect to unix sockets with a path, not even to own ones: ${reason}. ${remedy}`]
}

function landlockNotes(landlock: LandlockPlan | undefined): string[] {
  if (landlock?.files === undefined || landlock.abi >= FIRST_ABI_WITH_REFER) return []
  return [`Landlock ABI ${landlock.abi} refuses every rename and link from one directory to another (EXDEV)`]
}

function networkNotes({ network, networkRules }: ResolvedPolicy, degraded: ReadonlySet<DegradationName>): string[] {
  return [
    ...(network === 'open' && !degraded.has('no-unix-socket-control') ? ['with the network open, abstract unix sockets cannot be connected to, not even own ones'] : []),
    ...openNetworkNotes(network),
    ...(networkRules?.allowLocalBinding === true ? ['allowLocalBinding changes nothing on Linux: commands can always listen on the loopback, and only there unless the network is open'] : []),
  ]
}

const openNetworkNotes = (network: ResolvedPolicy['network']): string[] =>
  network === 'open' ? ['the network is open: the local network, servers on the loopback of this machine, and metadata of a cloud (169.254.169.254) can be reached as well'] : []

function observationNotes({ paths }: ResolvedPolicy, observe: Observation): string[] {
  if (observe === 'off') return ['denials are known only where commands tell them on stderr: nothing is observed']
  return observe === 'writes' && paths.some(({ effect }) => effect === 'deny')
    ? ['a denied read is known only where the command tells it on stderr: reads are observed where it is asked for (observe: "reads", --log-denials)'] : []
}
