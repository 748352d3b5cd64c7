// Every key of config.toml that concerns the sandbox, one row each: what it may hold, its spellings, and what a project may say of it.
import { SandboxError } from '../errors.js'
import { parseDomainPattern } from '../policy/domain-pattern.js'
import { expandDomains, isDomainPreset } from '../policy/domain-presets.js'
import { isRecord } from '../policy/record.js'
import { APPROVAL_WORDS, approvalSetting } from '../approval/approval-setting.js'
import type { NarrowingName } from './narrowing.js'

export interface ValueKind {
  /** Ends "it must be …". */
  readonly words: string
  readonly holds: (value: unknown) => boolean
}

export interface ConfigKey {
  /** Dotted; `*` stands for any one name. */
  readonly key: string
  readonly kind: ValueKind
  /** What a project's file may do with it; `never`: it is ignored there. */
  readonly project: NarrowingName
}

const text: ValueKind = { words: 'a text that is not empty', holds: value => typeof value === 'string' && value !== '' }
const boolean: ValueKind = { words: 'true or false', holds: value => typeof value === 'boolean' }
const count: ValueKind = { words: 'a whole number, 0 or more', holds: value => Number.isSafeInteger(value) && (value as number) >= 0 }
const port: ValueKind = { words: 'a port, from 1 to 65535', holds: value => Number.isInteger(value) && (value as number) >= 1 && (value as number) <= 65_535 }
const texts: ValueKind = { words: 'a list of texts that are not empty', holds: value => Array.isArray(value) && value.every(text.holds) }
const variableNames: ValueKind = { words: 'a list of names of variables, with * and ?', holds: value => Array.isArray(value) && value.every(each => typeof each === 'string' && /^[^=\0]+$/.test(each)) }
const variables: ValueKind = {
  words: 'a table of variables, each a text without NUL',
  holds: value => isTable(value) && Object.entries(value).every(([name, each]) => /^[^=\0]+$/.test(name) && typeof each === 'string' && !each.includes('\0')),
}
const oneOf = (...values: readonly string[]): ValueKind => ({ words: `one of ${values.join(', ')}`, holds: value => values.some(each => each === value) })
const HOSTS = 'hosts such as example.com, *.example.com (below it), **.example.com (both), an address or a preset such as @npm, each with an optional :port'
const isHost = (value: unknown, list: 'allow' | 'deny'): boolean => {
  if (typeof value !== 'string') return false
  try {
    if (isDomainPreset(value)) expandDomains([value], 'network')
    else parseDomainPattern(value, list, 'network')
    return true
  } catch (error) {
    if (error instanceof SandboxError) return false
    throw error
  }
}
const hosts = (list: 'allow' | 'deny'): ValueKind => ({ words: `a list of ${HOSTS}`, holds: value => Array.isArray(value) && value.every(each => isHost(each, list)) })
const hostMap: ValueKind = {
  words: `a table of ${HOSTS}, each allow or deny`,
  holds: value => isTable(value) && Object.entries(value).every(([host, word]) => (word === 'allow' || word === 'deny') && isHost(host, word)),
}
const mapTo = (...values: readonly string[]): ValueKind => ({ words: `a table whose values are ${values.join(' or ')}`, holds: value => isTable(value) && Object.values(value).every(each => values.some(known => known === each)) })
export const approval: ValueKind = { words: APPROVAL_WORDS, holds: value => approvalSetting(value) !== undefined }
export const sandboxMode = oneOf('read-only', 'workspace-write', 'danger-full-access')
export const windowsSandbox = oneOf('elevated', 'unelevated')

/** The keys of the network's table, wherever it stands. The proxy's addresses are taken from it as they are: here it has one listener, which no other machine reaches. */
export const NETWORK_KEYS: readonly ConfigKey[] = [
  { key: 'enabled',                              kind: boolean, project: 'only-false' },
  { key: 'mode',                                 kind: oneOf('full', 'limited'), project: 'lower-mode' },
  { key: 'allowed_domains',                      kind: hosts('allow'), project: 'fewer' },
  { key: 'denied_domains',                       kind: hosts('deny'), project: 'more' },
  { key: 'domains',                              kind: hostMap, project: 'never' },
  { key: 'allow_unix_sockets',                   kind: texts, project: 'fewer' },
  { key: 'unix_sockets',                         kind: mapTo('allow', 'none', 'deny'), project: 'never' },
  { key: 'allow_local_binding',                  kind: boolean, project: 'only-false' },
  { key: 'allow_upstream_proxy',                 kind: boolean, project: 'only-false' },
  { key: 'dangerously_allow_all_unix_sockets',   kind: boolean, project: 'only-false' },
  { key: 'dangerously_allow_non_loopback_proxy', kind: boolean, project: 'only-false' },
  { key: 'dangerously_allow_non_loopback_admin', kind: boolean, project: 'only-false' },
  { key: 'proxy_url',                            kind: text, project: 'never' },
  { key: 'socks_url',                            kind: text, project: 'never' },
  { key: 'admin_url',                            kind: text, project: 'never' },
  { key: 'http_port',                            kind: port, project: 'never' },
  { key: 'socks_port',                           kind: port, project: 'never' },
  { key: 'enable_socks5',                        kind: boolean, project: 'never' },
  { key: 'enable_socks5_udp',                    kind: boolean, project: 'never' },
]

/** Where the network's table stood over time; the first is how it is called here. */
export const NETWORK_TABLES = ['network', 'permissions.network', 'network_proxy', 'features.network_proxy'] as const

/** What a profile may say as well. */
export const CONFIG_KEYS: readonly ConfigKey[] = [
  { key: 'sandbox_mode',                                    kind: sandboxMode, project: 'lower-sandbox-mode' },
  { key: 'sandbox_workspace_write.writable_roots',          kind: texts, project: 'fewer-roots' },
  { key: 'sandbox_workspace_write.network_access',          kind: boolean, project: 'only-false' },
  { key: 'sandbox_workspace_write.exclude_tmpdir_env_var',  kind: boolean, project: 'without-tmpdir' },
  { key: 'sandbox_workspace_write.exclude_slash_tmp',       kind: boolean, project: 'without-slash-tmp' },
  { key: 'approval_policy',                                 kind: approval, project: 'narrower-approval' },
  { key: 'allow_login_shell',                               kind: boolean, project: 'only-false' },
  { key: 'shell_environment_policy.inherit',                kind: oneOf('all', 'core', 'none'), project: 'lower-inherit' },
  { key: 'shell_environment_policy.ignore_default_excludes', kind: boolean, project: 'only-false' },
  { key: 'shell_environment_policy.exclude',                kind: variableNames, project: 'more' },
  { key: 'shell_environment_policy.set',                    kind: variables, project: 'never' },
  { key: 'shell_environment_policy.include_only',           kind: variableNames, project: 'bound' },
  { key: 'shell_environment_policy.experimental_use_profile', kind: boolean, project: 'only-false' },
  { key: 'windows.sandbox',                                 kind: windowsSandbox, project: 'never' },
  { key: 'features.use_linux_sandbox_bwrap',                kind: boolean, project: 'never' },
  { key: 'features.experimental_windows_sandbox',           kind: boolean, project: 'never' },
  { key: 'features.elevated_windows_sandbox',               kind: boolean, project: 'never' },
  { key: 'background_terminal_max_timeout',                 kind: count, project: 'smaller' },
  ...NETWORK_TABLES.flatMap(table => NETWORK_KEYS.map(row => ({ ...row, key: `${table}.${row.key}` }))),
]

/** What only a whole file may say. */
export const TOP_KEYS: readonly ConfigKey[] = [
  { key: 'profile',                kind: text, project: 'never' },
  { key: 'projects.*.trust_level', kind: oneOf('trusted', 'untrusted'), project: 'never' },
]

/** Tables whose other keys are told with a proposal: a misspelt restriction must not be dropped without a word. */
export const CLOSED_TABLES = ['sandbox_workspace_write', 'shell_environment_policy', 'network', 'permissions.network', 'network_proxy'] as const

/** A date is an object too, and no table. */
export const isTable = (value: unknown): value is Readonly<Record<string, unknown>> => isRecord(value) && !(value instanceof Date)
