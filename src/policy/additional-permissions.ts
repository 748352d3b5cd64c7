// What widens a policy for one command, or from now on: the wire's `additionalPermissions`, which denials propose as well. Pure.
import { SandboxError } from '../errors.js'
import { parseDomainPattern } from './domain-pattern.js'
import { expandDomains, isDomainPreset } from './domain-presets.js'
import { followLinks, followLinksToParent } from './follow-links.js'
import { escapeGlob } from './glob.js'
import type { HostSnapshot } from './host-snapshot.js'
import { nearestName } from './nearest-name.js'
import { NO_NETWORK_RULES } from './network-policy.js'
import { isInside, normalizePath, parentOf } from './path-syntax.js'
import type { Effect, PathRule, ResolvedPolicy } from './resolved-policy.js'
import { type Layer, layer, ruleOf, STRICTNESS } from './rule-order.js'
import type { SandboxPolicy } from './sandbox-policy.js'

/** The shape of the wire. Paths are absolute and taken literally: no globs. */
export interface AdditionalPermissions {
  readonly fileSystem?: { readonly read?: readonly string[] | null; readonly write?: readonly string[] | null } | null
  /** `allowedDomains` is ours: hosts beside those that the policy's rules permit, through the proxy. Presets and patterns as in a policy. */
  readonly network?: { readonly enabled?: boolean | null; readonly allowedDomains?: readonly string[] | null } | null
}

/** A path that was asked for, and what stands there now. */
interface Asked {
  readonly list: 'read' | 'write'
  readonly field: string
  readonly value: string
  /** Canonical; a link itself comes first. */
  readonly ends: readonly string[]
  /** The one that is to be opened. */
  readonly path: string
  /** Its place in the widened policy's list. */
  readonly index: number
}

/** A policy that is to be resolved again, and what has to be true of it then. */
export interface Widening {
  readonly policy: SandboxPolicy
  readonly asked: readonly Asked[]
  /** Patterns of hosts that are permitted beside those of the rules. */
  readonly hosts: readonly string[]
  /** What a reader should know: paths that are closed for a reason of their own, and are open now since they were named. */
  readonly notes: readonly string[]
}

const FIELD = 'additionalPermissions'
const KNOWN = { '': ['fileSystem', 'network'], fileSystem: ['read', 'write'], network: ['enabled', 'allowedDomains'] } as const

/** The same for the same permissions, in whatever order; empty where nothing is asked for. @throws SandboxError as `widen` */
export function keyOfPermissions(permissions: AdditionalPermissions): string {
  checkShape(permissions)
  const list = (values: readonly string[] | null | undefined) => [...new Set(values ?? [])].sort()
  const [read, write] = [list(permissions.fileSystem?.read), list(permissions.fileSystem?.write)]
  const open = permissions.network?.enabled === true
  const hosts = list(permissions.network?.allowedDomains)
  return read.length + write.length + hosts.length === 0 && !open ? '' : JSON.stringify([read, write, open, ...(hosts.length === 0 ? [] : [hosts])])
}

/**
 * Adds `permissions` to `policy`. Undefined where `current` permits all of it already: adding a rule would only narrow then,
 * as a `read` rule makes a part of a writable root read-only, and a `write` rule protects names in it.
 *
 * @param current  `policy` as it stands on this host
 * @throws SandboxError `policy_unknown_key`, `policy_invalid_value`, `path_not_absolute`, `path_invalid`, `path_not_found`,
 *         `permission_refused`; `field` begins with `additionalPermissions`
 */
export function widen(policy: SandboxPolicy, current: ResolvedPolicy, permissions: AdditionalPermissions, host: HostSnapshot): Widening | undefined {
  checkShape(permissions)
  const now = layer(current)
  const lengths = { read: policy.read.length, write: policy.write.length }
  const asked = (['read', 'write'] as const).flatMap(list => [...new Set(permissions.fileSystem?.[list] ?? [])].flatMap((value, index) => {
    const field = `${FIELD}.fileSystem.${list}[${index}]`
    const located = locate(host, current, now, value, field)
    if (permits(effectOf(current, now, located.path), list)) return []
    // A missing name is written where its folder can be; to be read there is nothing.
    if (list === 'read' && host.files.entry(located.path) === undefined) throw missing(field, value)
    return [{ list, field, value, ...located, index: lengths[list]++ }]
  }))
  for (const each of asked) refuseOwn(current, each)
  const opens = permissions.network?.enabled === true && current.network === 'off'
  const hosts = opens || current.network === 'open' ? [] : hostsAsked(policy, permissions)
  if (asked.length === 0 && !opens && hosts.length === 0) return undefined
  const add = (list: 'read' | 'write') => asked.filter(each => each.list === list).map(({ value }) => escapeGlob(host.platform, value))
  return {
    policy: { ...policy, read: [...policy.read, ...add('read')], write: [...policy.write, ...add('write')], ...(opens ? { network: 'open' as const } : withHosts(policy, hosts)) },
    asked,
    hosts,
    notes: asked.flatMap(({ path }) => noteOf(current, path)),
  }
}

/** With the network off these are all that is reached, and nobody is asked about others. */
function withHosts({ network, networkRules }: SandboxPolicy, hosts: readonly string[]): Pick<SandboxPolicy, 'network' | 'networkRules'> {
  if (hosts.length === 0) return { network, ...(networkRules === undefined ? {} : { networkRules }) }
  const rules = networkRules ?? NO_NETWORK_RULES
  return { network: 'proxied', networkRules: { ...rules, allowedDomains: [...rules.allowedDomains ?? [], ...hosts], ...(network === 'off' ? { strictAllowlist: true as const } : {}) } }
}

/** Those that no rule names word for word. */
function hostsAsked({ networkRules }: SandboxPolicy, { network }: AdditionalPermissions): string[] {
  const known = networkRules?.allowedDomains ?? []
  return expandDomains(network?.allowedDomains ?? [], `${FIELD}.network.allowedDomains`).filter(host => !known.includes(host))
}

/**
 * Holds the widened policy to what was asked for: each path is open, and nothing else is. The host is looked at again for it, and
 * what commands did meanwhile, such as a link in a root's place, must gain them nothing.
 *
 * @throws SandboxError `permission_refused`, `path_not_found`
 */
export function checkWidened(before: ResolvedPolicy, after: ResolvedPolicy, { asked }: Widening, { files }: HostSnapshot): void {
  const [old, now] = [layer(before), layer(after)]
  for (const { list, field, value, path } of asked) {
    if (permits(effectOf(after, now, path), list)) continue
    if (files.entry(path) === undefined) throw missing(field, value)
    throw new SandboxError('permission_refused', { field, value }, { detail: whyClosed(after, path), remedy: 'Change or remove that rule in the policy: additional permissions do not go against it.' })
  }
  const paths = new Set([...before.paths, ...after.paths].map(({ path }) => path))
  for (const path of paths) {
    if (asked.some(({ ends }) => ends.some(end => isInside(before.platform, end, path))) || files.entry(path) === undefined) continue
    if (STRICTNESS[now.effectAt(path)] < STRICTNESS[old.effectAt(path)]) throw changed(path)
  }
  for (const rule of after.paths) {
    const own = before.paths.find(({ path }) => path === rule.path)
    if (rule.effect !== 'write' || own?.effect !== 'write' || own.identity === undefined || rule.identity === undefined) continue
    if (own.identity.inode !== rule.identity.inode || own.identity.device !== rule.identity.device) throw changed(rule.path)
  }
}

const missing = (field: string, value: string): SandboxError => new SandboxError('path_not_found', { field, value }, { remedy: 'Make it first: what does not exist cannot be granted.' })

const changed = (path: string): SandboxError => new SandboxError('permission_refused', { field: FIELD, value: path }, {
  detail: 'that path is another one than when the sandbox was made, and would be opened with it', remedy: 'Create a new sandbox.',
})

function locate(host: HostSnapshot, current: ResolvedPolicy, now: Layer, value: string, field: string): { ends: readonly string[]; path: string } {
  const written = normalizePath(host.platform, value, { field })
  const target = followLinks(host, written, field, link => {
    // Where it leads is for commands to say, and not what was asked for.
    if (effectOf(current, now, parentOf(host.platform, link)) === 'write') throw new SandboxError('permission_refused', { field, value }, { detail: `it leads through ${JSON.stringify(link)}, a link that commands may have made`, remedy: 'Name the path that is meant.' })
  })
  return { ends: [followLinksToParent(host, written, field).path, target.path], path: target.path }
}

/** No list opens what runs or is believed outside. */
function refuseOwn({ platform, selfPaths = [] }: ResolvedPolicy, { list, field, value, path }: Asked): void {
  const self = list === 'write' ? selfPaths.find(each => isInside(platform, each, path)) : undefined
  if (self !== undefined) throw new SandboxError('permission_refused', { field, value }, { detail: `${JSON.stringify(self)} runs or is trusted outside the sandbox`, remedy: 'Name another path.' })
}

const permits = (effect: Effect, list: 'read' | 'write'): boolean => effect === 'write' || effect === list

/** Below a private /tmp what no rule names is the sandbox's own; the host's file is what is asked for. */
const effectOf = ({ tmp, platform }: ResolvedPolicy, now: Layer, path: string): Effect => {
  const effect = now.effectAt(path)
  return tmp === 'private' && effect !== 'deny' && isInside(platform, '/tmp', path) && !isInside(platform, '/tmp', ruleOf(now, path)?.path ?? '/') ? 'deny' : effect
}

const REASONS: Partial<Record<PathRule['origin'], (rule: PathRule) => string>> = {
  protected: ({ owner }) => `is protected in ${JSON.stringify(owner)} otherwise`,
  secret: () => 'is a place of keys or tokens',
  rule: ({ field, effect }) => effect === 'deny' ? `is denied by ${field} otherwise` : `is read-only by ${field} otherwise`,
}

function noteOf(current: ResolvedPolicy, path: string): string[] {
  const rule = ruleOf(current, path)
  const reason = rule === undefined ? undefined : REASONS[rule.origin]?.(rule)
  return reason === undefined ? [] : [`${FIELD} open ${JSON.stringify(path)}, which ${reason}`]
}

function whyClosed(after: ResolvedPolicy, path: string): string {
  const rule = ruleOf(after, path)
  return rule === undefined ? 'nothing would open it' : `${rule.field ?? rule.origin} ${JSON.stringify(rule.path)} ${rule.effect === 'deny' ? 'denies it' : 'lets only read'}`
}

function checkShape(permissions: unknown): asserts permissions is AdditionalPermissions {
  const top = checkObject('', permissions)
  for (const part of ['fileSystem', 'network'] as const) {
    if (top[part] === undefined || top[part] === null) continue
    const fields = checkObject(part, top[part])
    for (const [name, value] of Object.entries(fields)) {
      if (value === undefined || value === null) continue
      const field = `${FIELD}.${part}.${name}`
      if (name === 'allowedDomains') {
        checkHosts(field, value)
        continue
      }
      if (part === 'network') {
        if (typeof value !== 'boolean') throw new SandboxError('policy_invalid_value', { field, value }, { detail: 'it must be true or false', remedy: 'Correct it or leave it out.' })
        continue
      }
      if (!Array.isArray(value)) throw new SandboxError('policy_invalid_value', { field, value }, { detail: 'it must be a list of paths', remedy: 'Correct it or leave it out.' })
      for (const [index, path] of value.entries()) {
        if (typeof path !== 'string') throw new SandboxError('policy_invalid_value', { field: `${field}[${index}]`, value: path }, { detail: 'it must be a path', remedy: 'Correct it or leave it out.' })
      }
    }
  }
}

function checkHosts(field: string, value: unknown): void {
  if (!Array.isArray(value) || !value.every(each => typeof each === 'string')) throw new SandboxError('policy_invalid_value', { field, value }, { detail: 'it must be a list of hosts', remedy: 'Correct it or leave it out.' })
  value.forEach((text, index) => { if (!isDomainPreset(text)) parseDomainPattern(text, 'allow', `${field}[${index}]`) })
  expandDomains(value, field)
}

function checkObject(part: keyof typeof KNOWN, value: unknown): Record<string, unknown> {
  const field = part === '' ? FIELD : `${FIELD}.${part}`
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw new SandboxError('policy_invalid_value', { field, value: value ?? null }, { detail: 'it must be an object', remedy: 'Give {fileSystem: {read: [...], write: [...]}, network: {enabled: true}}.' })
  const known: readonly string[] = KNOWN[part]
  const unknown = Object.keys(value).find(key => !known.includes(key))
  if (unknown === undefined) return value as Record<string, unknown>
  const near = nearestName(unknown, known)
  throw new SandboxError('policy_unknown_key', { field: `${field}.${unknown}`, value: (value as Record<string, unknown>)[unknown] ?? null }, { remedy: near === undefined ? `Known here: ${known.join(', ')}.` : `Did you mean ${JSON.stringify(near)}?` })
}
