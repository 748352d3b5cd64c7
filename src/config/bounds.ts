// Holds a configuration, or one request, within the requirements. Pure.
import { SandboxError } from '../errors.js'
import { type DomainPattern, parseDomainPattern } from '../policy/domain-pattern.js'
import { expandDomains } from '../policy/domain-presets.js'
import { isLocalhost } from '../policy/host-name.js'
import { sameNetwork } from '../policy/ip-address.js'
import type { SandboxPolicy } from '../policy/sandbox-policy.js'
import { isNarrowerApproval, sameApproval, spellApproval } from '../approval/approval-setting.js'
import { type ConfigSandboxMode, type EffectiveConfig, type NetworkConfig, networkOf } from './effective.js'
import { describeSource, type RequirementSource } from './requirement-source.js'
import type { NetworkRequirements, Requirements, SandboxModeName, Sourced, WindowsSandboxName } from './requirements.js'

/** A value of the configuration that the requirements do not allow, and the one that holds in its place. */
export interface RequirementChange {
  /** Of config.toml. */
  readonly key: string
  readonly from: unknown
  readonly to: unknown
  readonly because: string
  readonly source: RequirementSource
}

export interface Bounded {
  readonly config: EffectiveConfig
  readonly changes: readonly RequirementChange[]
}

const MODES: readonly ConfigSandboxMode[] = ['read-only', 'workspace-write', 'danger-full-access']

/** What is set and not allowed falls back to the nearest value that is allowed and no wider. */
export function boundConfig(config: EffectiveConfig, requirements: Requirements | null): Bounded {
  const changes: RequirementChange[] = []
  if (requirements === null) return { config, changes }
  let bounded = config
  const change = (key: string, from: unknown, to: unknown, because: string, source: RequirementSource, next: Partial<EffectiveConfig>, isHeard = true): void => {
    if (isHeard) changes.push({ key, from, to, because, source })
    bounded = { ...bounded, ...next }
  }
  const { allowedApprovalPolicies, allowedWindowsSandboxImplementations: windows, network, denyRead } = requirements

  const mode = refusedMode(config.sandboxMode, requirements)
  if (mode !== undefined) {
    const next = MODES.filter(each => MODES.indexOf(each) < MODES.indexOf(config.sandboxMode) && refusedMode(each, requirements) === undefined).at(-1) ?? 'read-only'
    change('sandbox_mode', config.sandboxMode, next, mode.because, mode.source, { sandboxMode: next })
  }
  const policies = allowedApprovalPolicies?.value ?? []
  const [first] = policies
  if (allowedApprovalPolicies !== undefined && first !== undefined && !policies.some(each => sameApproval(each, config.approvalPolicy))) {
    const next = policies.find(each => isNarrowerApproval(each, config.approvalPolicy)) ?? first
    const spelled = policies.map(each => JSON.stringify(spellApproval(each, 'granular'))).join(', ')
    change('approval_policy', spellApproval(config.approvalPolicy, 'granular'), spellApproval(next, 'granular'), `allowed_approval_policies is ${spelled}`, allowedApprovalPolicies.source, { approvalPolicy: next })
  }
  if (windows !== undefined && config.windowsSandbox !== undefined && !windows.value.includes(config.windowsSandbox)) {
    const next = windows.value[0]
    change('windows.sandbox', config.windowsSandbox, next, `allowed_windows_sandbox_implementations is ${JSON.stringify(windows.value)}`, windows.source, { windowsSandbox: next })
  }
  if (network !== undefined) boundNetwork(bounded, network.value, (key, from, to, because, next, isHeard) => change(key, from, to, because, network.source, next, isHeard))
  if (denyRead !== undefined) {
    bounded = { ...bounded, denyRead: denyRead.value }
    const { writableRoots } = config.workspaceWrite
    const open = writableRoots.filter(root => !denyRead.value.some(path => root.startsWith(`${path.replace(/\/\*\*$/, '')}/`)))
    if (open.length < writableRoots.length) change('sandbox_workspace_write.writable_roots', writableRoots, open, `permissions.filesystem.deny_read is ${JSON.stringify(denyRead.value)}`, denyRead.source, { workspaceWrite: { ...config.workspaceWrite, writableRoots: open } })
  }
  return { config: bounded, changes }
}

const ONLY_FALSE = [
  ['allow_local_binding', 'allowLocalBinding'], ['allow_upstream_proxy', 'allowUpstreamProxy'], ['dangerously_allow_all_unix_sockets', 'dangerouslyAllowAllUnixSockets'],
] as const satisfies readonly (readonly [string, keyof NetworkRequirements & keyof NetworkConfig])[]

type NetworkChange = (key: string, from: unknown, to: unknown, because: string, next: Partial<EffectiveConfig>, isHeard: boolean) => void

function boundNetwork(config: EffectiveConfig, bounds: NetworkRequirements, change: NetworkChange): void {
  let { network } = config
  const isOff = networkOf(config) === 'off'
  const keep = (key: string, field: keyof NetworkConfig, to: unknown, because: string): void => {
    const from = network[field]
    if (JSON.stringify(from) === JSON.stringify(to)) return
    network = { ...network, [field]: to } as NetworkConfig
    // Of what nobody has said and nothing reaches, nobody need hear; it is bounded all the same.
    const isHeard = !isOff || (from !== undefined && !(Array.isArray(from) && from.length === 0))
    change(`network.${key}`, from, to, because, { network }, isHeard)
  }
  if (bounds.enabled === false) {
    if (networkOf(config) !== 'off') {
      keep('enabled', 'enabled', false, 'network.enabled is false')
    }
  } else if (isBounded(bounds) && networkOf(config) === 'open') {
    keep('enabled', 'enabled', true, 'the network is bounded by rules, which an open one would pass by')
  }
  const allowed = bounds.allowedDomains ?? (bounds.managedAllowedDomainsOnly === true ? [] : undefined)
  if (allowed !== undefined) {
    const next = network.allowedDomains === undefined ? allowed : network.allowedDomains.filter(pattern => isCovered(pattern, allowed))
    keep('allowed_domains', 'allowedDomains', next, `network.allowed_domains is ${JSON.stringify(allowed)}`)
  }
  if (bounds.deniedDomains !== undefined) keep('denied_domains', 'deniedDomains', [...new Set([...network.deniedDomains, ...bounds.deniedDomains])], `network.denied_domains is ${JSON.stringify(bounds.deniedDomains)}`)
  if (bounds.allowUnixSockets !== undefined) {
    const sockets = bounds.allowUnixSockets
    keep('allow_unix_sockets', 'allowUnixSockets', network.allowUnixSockets.filter(path => sockets.includes(path)), `network.allow_unix_sockets is ${JSON.stringify(sockets)}`)
    keep('dangerously_allow_all_unix_sockets', 'dangerouslyAllowAllUnixSockets', false, 'network.allow_unix_sockets names those that are allowed')
  }
  for (const [key, field] of ONLY_FALSE) {
    if (bounds[field] === false) keep(key, field, false, `network.${key} is false`)
  }
  if (bounds.httpPort !== undefined) keep('http_port', 'httpPort', bounds.httpPort, `network.http_port is ${bounds.httpPort}`)
  if (bounds.socksPort !== undefined) keep('socks_port', 'socksPort', bounds.socksPort, `network.socks_port is ${bounds.socksPort}`)
  if (bounds.managedAllowedDomainsOnly === true) keep('managed_allowed_domains_only', 'mayAsk', false, 'network.managed_allowed_domains_only is true')
}

/** Whether there is a bound that the open network of this machine would pass by. `enabled = true` alone says that there are rules. */
const isBounded = (bounds: NetworkRequirements): boolean => Object.values(bounds).some(value => value !== undefined)

/** Hosts of presets included: whether `allowed` names all that a pattern does. Both are known to be right. */
export function isCovered(pattern: string, allowed: readonly string[]): boolean {
  const outer = expandDomains(allowed, 'network.allowed_domains').map(each => parseDomainPattern(each, 'allow', 'network.allowed_domains'))
  return expandDomains([pattern], 'network.allowed_domains').map(each => parseDomainPattern(each, 'allow', 'network.allowed_domains')).every(own => outer.some(each => covers(each, own)))
}

function covers(outer: DomainPattern, own: DomainPattern): boolean {
  if (outer.ports !== undefined && (own.ports === undefined || own.ports.from < outer.ports.from || own.ports.to > outer.ports.to)) return false
  if (own.kind === 'any' || own.kind === 'network' || outer.kind === 'any' || outer.kind === 'network') {
    if (outer.kind === 'network' && own.kind === 'network') return outer.network.bytes.length === own.network.bytes.length && own.prefix >= outer.prefix && sameNetwork(outer.network.bytes, own.network.bytes, outer.prefix)
    // `*` means no address of this machine or its network, which another pattern names.
    return outer.kind === 'any' && own.kind !== 'network' && (own.kind === 'any' || !isLocalhost(own.name))
  }
  const isBelow = own.name.endsWith(`.${outer.name}`)
  switch (outer.kind) {
    case 'exact':      return own.kind === 'exact' && own.name === outer.name
    case 'subdomains': return isBelow || (own.kind === 'subdomains' && own.name === outer.name)
    case 'both':       return isBelow || own.name === outer.name
    default:           return outer satisfies never
  }
}

interface Refusal {
  readonly because: string
  readonly source: RequirementSource
}

function refusedMode(mode: SandboxModeName, { allowedSandboxModes, network, denyRead }: Requirements): Refusal | undefined {
  if (allowedSandboxModes !== undefined && !allowedSandboxModes.value.includes(mode)) {
    return { because: `allowed_sandbox_modes is ${JSON.stringify(allowedSandboxModes.value)}`, source: allowedSandboxModes.source }
  }
  if (mode !== 'danger-full-access' && mode !== 'external-sandbox') return undefined
  // Nothing is enforced there, so no bound would be held.
  if (network !== undefined && isBounded(network.value)) return { because: `${mode} enforces nothing, and the network is bounded`, source: network.source }
  if (denyRead !== undefined && denyRead.value.length > 0) return { because: `${mode} enforces nothing, and permissions.filesystem.deny_read names paths`, source: denyRead.source }
  return undefined
}

/**
 * The policy that one request asked for, with what requirements forbid added to it.
 *
 * @throws SandboxError `requirement_conflict`: what was asked for by name is not allowed
 */
export function boundRequest(policy: SandboxPolicy, requirements: Requirements | null, field = 'sandboxPolicy'): SandboxPolicy {
  if (requirements === null) return policy
  refuseMode(policy.mode, requirements, field)
  const { network, denyRead } = requirements
  const bounded = network === undefined ? policy : { ...policy, ...boundRules(policy, network, field) }
  return denyRead === undefined ? bounded : { ...bounded, deny: [...new Set([...bounded.deny, ...denyRead.value])], ...(denyRead.value.length === 0 ? {} : { requiredDeny: denyRead.value }) }
}

/** What it opens must be allowed; what is forbidden beside it is forbidden in it too. */
function boundRules({ network, networkRules }: SandboxPolicy, { value: bounds, source }: Sourced<NetworkRequirements>, field: string): Pick<SandboxPolicy, 'network' | 'networkRules'> {
  const refuse = (name: string, value: unknown, because: string): SandboxError => conflict(`${field}.${name}`, value, because, source)
  if (bounds.enabled === false && network !== 'off') throw refuse('network', network, 'network.enabled is false')
  if (network === 'open' && isBounded(bounds)) throw refuse('network', network, 'the network is bounded by rules, which an open one would pass by')
  if (networkRules === undefined) return { network }
  const allowed = bounds.allowedDomains ?? (bounds.managedAllowedDomainsOnly === true ? [] : undefined)
  const host = allowed === undefined ? undefined : networkRules.allowedDomains?.find(pattern => !isCovered(pattern, allowed))
  if (host !== undefined) throw refuse('network.allowedDomains', host, `network.allowed_domains is ${JSON.stringify(allowed)}`)
  const socket = bounds.allowUnixSockets === undefined ? undefined : networkRules.allowUnixSockets.find(path => bounds.allowUnixSockets?.includes(path) !== true)
  if (socket !== undefined) throw refuse('network.allowUnixSockets', socket, `network.allow_unix_sockets is ${JSON.stringify(bounds.allowUnixSockets)}`)
  if (bounds.allowUnixSockets !== undefined && networkRules.dangerouslyAllowAllUnixSockets) throw refuse('network.dangerouslyAllowAllUnixSockets', true, 'network.allow_unix_sockets names those that are allowed')
  // A port of this machine is a local address, and its servers reach what they like.
  const closesLocal = bounds.enabled === false ? 'network.enabled' : bounds.allowLocalBinding === false ? 'network.allow_local_binding' : undefined
  if (closesLocal !== undefined && networkRules.allowLocalPorts.length > 0) throw refuse('network.allowLocalPorts', networkRules.allowLocalPorts, `${closesLocal} is false`)
  for (const [key, name] of ONLY_FALSE) if (bounds[name] === false && networkRules[name]) throw refuse(`network.${name}`, true, `network.${key} is false`)
  return {
    network,
    networkRules: {
      ...networkRules,
      deniedDomains: [...new Set([...networkRules.deniedDomains, ...expandDomains(bounds.deniedDomains ?? [], 'network.denied_domains')])],
      ...(bounds.managedAllowedDomainsOnly === true ? { strictAllowlist: true as const } : {}),
    },
  }
}

/** @throws SandboxError `requirement_conflict` */
export function refuseMode(mode: SandboxModeName, requirements: Requirements | null, field = 'sandbox_mode'): void {
  const refused = requirements === null ? undefined : refusedMode(mode, requirements)
  if (refused !== undefined) throw conflict(field, mode, refused.because, refused.source)
}

/** @throws SandboxError `requirement_conflict` */
export function checkWindowsSandbox(mode: WindowsSandboxName, requirements: Requirements | null): void {
  const allowed = requirements?.allowedWindowsSandboxImplementations
  if (allowed !== undefined && !allowed.value.includes(mode)) throw conflict('mode', mode, `allowed_windows_sandbox_implementations is ${JSON.stringify(allowed.value)}`, allowed.source)
}

const conflict = (field: string, value: unknown, because: string, source: RequirementSource): SandboxError =>
  new SandboxError('requirement_conflict', { field, value }, { detail: `${because} (${describeSource(source)})` })
