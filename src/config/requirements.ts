// Requirements: what an organisation allows. Read from several sources, of which the earlier wins, field by field.
import { SandboxError } from '../errors.js'
import { nearestName } from '../policy/nearest-name.js'
import { looksAbsolute } from '../policy/path-syntax.js'
import { type ApprovalSetting, approvalSetting } from '../approval/approval-setting.js'
import { approval, isTable, NETWORK_KEYS, sandboxMode, type ValueKind, windowsSandbox } from './keys.js'
import { type ConfigWarning, type LayerText, refuseBothSpellings } from './layer.js'
import type { RequirementSource } from './requirement-source.js'
import type { TomlPath } from './toml-text.js'
import { keyName, type Tree, valueAt } from './trees.js'

export interface Sourced<Value> {
  readonly value: Value
  readonly source: RequirementSource
}

export type SandboxModeName = 'read-only' | 'workspace-write' | 'danger-full-access' | 'external-sandbox'
export type WindowsSandboxName = 'elevated' | 'unelevated'

/** Absent: not bounded. */
export interface NetworkRequirements {
  readonly enabled?: boolean
  readonly allowedDomains?: readonly string[]
  readonly deniedDomains?: readonly string[]
  /** Nobody may be asked for a host that is not in `allowedDomains`. */
  readonly managedAllowedDomainsOnly?: boolean
  readonly allowUnixSockets?: readonly string[]
  readonly allowLocalBinding?: boolean
  readonly allowUpstreamProxy?: boolean
  readonly dangerouslyAllowAllUnixSockets?: boolean
  readonly dangerouslyAllowNonLoopbackProxy?: boolean
  readonly dangerouslyAllowNonLoopbackAdmin?: boolean
  readonly httpPort?: number
  readonly socksPort?: number
}

/** Of `[rules] prefix_rules`: kept as it was checked, for the command rules. `allow` is no decision of a requirement. */
export interface RequiredPrefixRule {
  readonly pattern: readonly ({ readonly token: string } | { readonly anyOf: readonly string[] })[]
  readonly decision: 'prompt' | 'forbidden'
  readonly justification?: string
}

export interface Requirements {
  /** Never empty. */
  readonly allowedApprovalPolicies?: Sourced<readonly ApprovalSetting[]>
  /** Always with `read-only`. */
  readonly allowedSandboxModes?: Sourced<readonly SandboxModeName[]>
  readonly allowedWindowsSandboxImplementations?: Sourced<readonly WindowsSandboxName[]>
  readonly network?: Sourced<NetworkRequirements>
  /** Paths and globs that no command may read. */
  readonly denyRead?: Sourced<readonly string[]>
  readonly prefixRules?: Sourced<readonly RequiredPrefixRule[]>
  /** Kept for the embedding runtime: nothing here concerns them. */
  readonly other: Readonly<Record<string, Sourced<unknown>>>
}

/** Of one source. */
export interface RequirementSet {
  readonly fields: Readonly<Record<string, Sourced<unknown>>>
  readonly other: Readonly<Record<string, Sourced<unknown>>>
  readonly warnings: readonly ConfigWarning[]
}

export interface RequirementText extends Pick<LayerText, 'config' | 'place'> {
  readonly source: RequirementSource
}

/** A field, where it may stand, and how it is read. Of several spellings the first that a source has counts, and a second one is an error. */
interface Field {
  readonly field: Exclude<keyof Requirements, 'other'>
  readonly keys: readonly string[]
  readonly read: (text: RequirementText, path: TomlPath, value: unknown) => unknown
}

const listOf = (kind: ValueKind): ValueKind => ({ words: `a list, each ${kind.words}`, holds: value => Array.isArray(value) && value.every(kind.holds) })
const requiredMode: ValueKind = { words: `${sandboxMode.words}, external-sandbox`, holds: value => sandboxMode.holds(value) || value === 'external-sandbox' }
const deniedPath: ValueKind = { words: 'a path or glob, absolute or from ~/ on', holds: value => typeof value === 'string' && (looksAbsolute(value) || value.startsWith('~/')) }

const FIELDS: readonly Field[] = [
  { field: 'allowedSandboxModes',                  keys: ['allowed_sandbox_modes'], read: readModes },
  { field: 'allowedApprovalPolicies',              keys: ['allowed_approval_policies'], read: readApprovals },
  { field: 'allowedWindowsSandboxImplementations', keys: ['allowed_windows_sandbox_implementations', 'windows.allowed_sandbox_implementations'], read: checked(listOf(windowsSandbox)) },
  { field: 'network',                              keys: ['network', 'experimental_network'], read: readNetwork },
  { field: 'denyRead',                             keys: ['permissions.filesystem.deny_read'], read: checked(listOf(deniedPath)) },
  { field: 'prefixRules',                          keys: ['rules.prefix_rules'], read: readPrefixRules },
]

/** Of the reference, for other parts of an agent: kept. */
const OTHER_KEYS = ['allowed_approvals_reviewers', 'allowed_web_search_modes', 'features', 'feature_requirements', 'mcp_servers', 'enforce_residency', 'hooks', 'allow_managed_hooks_only', 'apps', 'guardian_policy_config', 'plugins']

/** @throws SandboxError `config_invalid` with the place */
export function readRequirements(text: RequirementText): RequirementSet {
  const fields: Record<string, Sourced<unknown>> = {}
  const { source, config } = text
  for (const { field, keys, read } of FIELDS) {
    const [first, second] = keys.map(key => key.split('.')).filter(path => at(text, path) !== undefined)
    if (first === undefined) continue
    if (second !== undefined) throw invalid(text, second, undefined, `it says the same as ${keyName(first)}`)
    fields[field] = { value: read(text, first, at(text, first)), source }
  }
  const tops = [...FIELDS.flatMap(({ keys }) => keys.map(key => key.split('.')[0] as string)), ...OTHER_KEYS]
  const other = Object.fromEntries(Object.entries(config).filter(([name]) => OTHER_KEYS.includes(name)).map(([name, value]) => [name, { value, source }]))
  const unknown = [
    ...Object.keys(config).filter(name => !tops.includes(name)).map(name => [name]),
    ...['windows', 'rules', 'permissions', 'permissions.filesystem'].flatMap(table => unknownIn(config, table.split('.'))),
  ]
  const warnings = unknown.map((path): ConfigWarning => {
    const keys = FIELDS.flatMap(field => field.keys)
    const name = nearestName(path.at(-1) as string, keys.map(key => key.split('.').at(-1) as string))
    const near = keys.find(key => key.split('.').at(-1) === name)
    return { kind: 'unheld', key: keyName(path), layer: 'requirements', ...(source.path === undefined ? {} : { path: source.path }), text: 'is no requirement that is known here: it bounds nothing', ...(near === undefined ? {} : { near }) }
  })
  return { fields, other, warnings }
}

function unknownIn(config: Readonly<Tree>, path: readonly string[]): string[][] {
  const table = valueAt(config, path)
  const known = FIELDS.flatMap(({ keys }) => keys).filter(key => key.startsWith(`${path.join('.')}.`)).map(key => key.split('.')[path.length])
  return isTable(table) ? Object.keys(table).filter(name => !known.includes(name)).map(name => [...path, name]) : []
}

/** `managed_config.toml` as requirements: what it sets, nobody may choose otherwise. Its values as they were checked. */
export function requirementsOfManagedConfig(normal: Readonly<Tree>, source: RequirementSource): RequirementSet {
  const fields: Record<string, Sourced<unknown>> = {}
  const mode = normal['sandbox_mode'] as SandboxModeName | undefined
  // Read-only goes with everything: nothing could be done otherwise.
  if (mode !== undefined) fields['allowedSandboxModes'] = { value: [...new Set(['read-only', mode])], source }
  const setting = approvalSetting(normal['approval_policy'])
  if (setting !== undefined) fields['allowedApprovalPolicies'] = { value: [setting], source }
  return { fields, other: {}, warnings: [] }
}

/** The earlier set wins, field by field; an empty list is a word like any other. */
export function mergeRequirements(sets: readonly RequirementSet[]): Requirements | null {
  const fields = Object.assign({}, ...sets.map(({ fields }) => fields).reverse()) as Omit<Requirements, 'other'>
  const other = Object.assign({}, ...sets.map(({ other }) => other).reverse()) as Requirements['other']
  return Object.keys(fields).length === 0 && Object.keys(other).length === 0 ? null : { ...fields, other }
}

function readModes(text: RequirementText, path: TomlPath, value: unknown): readonly SandboxModeName[] {
  const modes = checked(listOf(requiredMode))(text, path, value) as readonly SandboxModeName[]
  if (!modes.includes('read-only')) throw invalid(text, path, value, 'it must hold read-only, which every other value falls back to')
  return [...new Set(modes)]
}

function readApprovals(text: RequirementText, path: TomlPath, value: unknown): readonly ApprovalSetting[] {
  const policies = checked(listOf(approval))(text, path, value) as readonly unknown[]
  if (policies.length === 0) throw invalid(text, path, value, 'it must hold one at least: no policy would be allowed')
  return policies.map(each => approvalSetting(each) as ApprovalSetting)
}

const NETWORK_FIELDS: Readonly<Record<string, keyof NetworkRequirements>> = {
  enabled: 'enabled', allowed_domains: 'allowedDomains', denied_domains: 'deniedDomains', managed_allowed_domains_only: 'managedAllowedDomainsOnly',
  allow_unix_sockets: 'allowUnixSockets', allow_local_binding: 'allowLocalBinding', allow_upstream_proxy: 'allowUpstreamProxy',
  dangerously_allow_all_unix_sockets: 'dangerouslyAllowAllUnixSockets', dangerously_allow_non_loopback_proxy: 'dangerouslyAllowNonLoopbackProxy',
  dangerously_allow_non_loopback_admin: 'dangerouslyAllowNonLoopbackAdmin', http_port: 'httpPort', socks_port: 'socksPort',
}
const NETWORK_ROWS = [...NETWORK_KEYS, { key: 'managed_allowed_domains_only', kind: (NETWORK_KEYS[0] as { kind: ValueKind }).kind }]

/** An unknown key here may be a bound that is not held, so it is an error. */
function readNetwork(text: RequirementText, path: TomlPath, value: unknown): NetworkRequirements {
  if (!isTable(value)) throw invalid(text, path, value, 'it must be a table')
  refuseBothSpellings(text, value, path as string[], 'domains', ['allowed_domains', 'denied_domains'])
  refuseBothSpellings(text, value, path as string[], 'unix_sockets', ['allow_unix_sockets'])
  const known = [...Object.keys(NETWORK_FIELDS), 'domains', 'unix_sockets']
  const network: Record<string, unknown> = {}
  for (const [name, each] of Object.entries(value)) {
    if (!known.includes(name)) {
      const near = nearestName(name, known)
      throw invalid(text, [...path, name], undefined, `there is no such bound${near === undefined ? '' : `; did you mean ${near}?`}`)
    }
    const kind = NETWORK_ROWS.find(({ key }) => key === name)?.kind
    if (kind === undefined || !kind.holds(each)) throw invalid(text, [...path, name], each, `it must be ${kind?.words}`)
    const field = NETWORK_FIELDS[name]
    if (field !== undefined) network[field] = each
  }
  const keysOf = (map: unknown, word: string): string[] => Object.entries(map as object).filter(([, each]) => each === word).map(([name]) => name)
  if (value['domains'] !== undefined) Object.assign(network, { allowedDomains: keysOf(value['domains'], 'allow'), deniedDomains: keysOf(value['domains'], 'deny') })
  if (value['unix_sockets'] !== undefined) network['allowUnixSockets'] = keysOf(value['unix_sockets'], 'allow')
  return network as NetworkRequirements
}

function readPrefixRules(text: RequirementText, path: TomlPath, value: unknown): readonly RequiredPrefixRule[] {
  if (!Array.isArray(value) || value.length === 0) throw invalid(text, path, value, 'it must be a list of rules, and not empty')
  return value.map((rule: unknown, index) => {
    const at = [...path, index]
    if (!isTable(rule)) throw invalid(text, at, rule, 'it must be a table')
    const { pattern, decision, justification, ...rest } = rule
    const [unknown] = Object.keys(rest)
    if (unknown !== undefined) throw invalid(text, [...at, unknown], undefined, 'a rule has pattern, decision and justification')
    if (decision !== 'prompt' && decision !== 'forbidden') throw invalid(text, [...at, 'decision'], decision, 'it must be prompt or forbidden: requirements allow no command')
    if (justification !== undefined && (typeof justification !== 'string' || justification.trim() === '')) throw invalid(text, [...at, 'justification'], justification, 'it must be a text that is not empty')
    if (!Array.isArray(pattern) || pattern.length === 0) throw invalid(text, [...at, 'pattern'], pattern, 'it must be a list of tokens, and not empty')
    return {
      pattern: pattern.map((token: unknown, position) => readToken(text, [...at, 'pattern', position], token)),
      decision, ...(justification === undefined ? {} : { justification }),
    }
  })
}

function readToken(text: RequirementText, path: TomlPath, value: unknown): RequiredPrefixRule['pattern'][number] {
  const { token, any_of: anyOf, ...rest } = isTable(value) ? value : {}
  const isWord = (word: unknown): word is string => typeof word === 'string' && word !== ''
  if (Object.keys(rest).length === 0) {
    if (isWord(token) && anyOf === undefined) return { token }
    if (token === undefined && Array.isArray(anyOf) && anyOf.length > 0 && anyOf.every(isWord)) return { anyOf }
  }
  throw invalid(text, path, value, 'it must be { token = "…" } or { any_of = ["…", …] }')
}

function checked(kind: ValueKind): Field['read'] {
  return (text, path, value) => {
    if (kind.holds(value)) return value
    const index = Array.isArray(value) ? value.findIndex(each => !kind.holds([each])) : -1
    throw index === -1 ? invalid(text, path, value, `it must be ${kind.words}`) : invalid(text, [...path, index], (value as unknown[])[index], `it must be in ${kind.words}`)
  }
}

/** A table on the way that is none hides what it should hold. */
function at(text: RequirementText, path: readonly string[]): unknown {
  for (let length = 1; length < path.length; length++) {
    const table = valueAt(text.config, path.slice(0, length))
    if (table !== undefined && !isTable(table)) throw invalid(text, path.slice(0, length), table, 'it must be a table')
  }
  return valueAt(text.config, path)
}

function invalid({ place }: RequirementText, path: TomlPath, value: unknown, detail: string): SandboxError {
  return new SandboxError('config_invalid', { field: keyName(path), value }, { detail, remedy: 'Correct the requirements.', source: place(path) })
}
