// The environment of commands: what of the embedding process's the policy lets through, and what one command changes of it.
import { SandboxError } from '../errors.js'
import type { EnvironmentPolicy, NetworkMode } from '../policy/sandbox-policy.js'
import { NO_PROXY_VARIABLES, type ProxyVariables } from './network/proxy-environment.js'

export type Variables = Readonly<Record<string, string | undefined>>

export interface Environment {
  readonly variables: Readonly<Record<string, string>>
  /** The same as `NAME=value`, with what only commands without a terminal get. One array for all that change nothing, so that it is encoded once. */
  readonly list: readonly string[]
  /** The same for commands on a terminal. */
  readonly terminalList: readonly string[]
  /** What only commands without a terminal get, for names that are not set otherwise. */
  readonly withoutTerminal: Readonly<Record<string, string>>
  /** Names that the host has and commands do not get, sorted. */
  readonly dropped: readonly string[]
}

/** Where commands find caches, temporary files and configuration that is not the host's own. */
export interface PlaceVariables {
  readonly variables: Readonly<Record<string, string>>
  /** Another spelling of one of them, which would speak against it. */
  readonly replaces: (name: string) => boolean
}
const NO_PLACES: PlaceVariables = { variables: {}, replaces: () => false }

const CORE_NAMES = ['HOME', 'LOGNAME', 'PATH', 'SHELL', 'USER', 'USERNAME', 'TMPDIR', 'TEMP', 'TMP', 'LANG', 'LC_*', 'TERM'] as const

/** Look like secrets, lead to agents that hold them, or change how programs load code. */
const SECRET_NAMES = ['*KEY*', '*SECRET*', '*TOKEN*', '*PASSWORD*', 'SSH_AUTH_SOCK', 'DBUS_*', 'LD_*', 'NODE_OPTIONS'] as const

/** Node's own channel to its parent: whoever holds it talks to that process. No policy keeps these. */
const NEVER_PASSED = ['NODE_CHANNEL_FD', 'NODE_CHANNEL_SERIALIZATION_MODE'] as const

/** Without a terminal nobody can answer: what would ask fails or goes on instead. For names that are not set otherwise. */
const WITHOUT_TERMINAL: Readonly<Record<string, string>> = { GIT_TERMINAL_PROMPT: '0', GIT_EDITOR: 'true', PAGER: 'cat' }

/**
 * Where `.git` is protected, `git status` and `git diff` are not to try to write the index anew by the way: it would fail, and each be told
 * as a denial that means nothing. Source: git(1), GIT_OPTIONAL_LOCKS. For names that are not set otherwise.
 */
const WITH_GIT_PROTECTED: Readonly<Record<string, string>> = { GIT_OPTIONAL_LOCKS: '0' }

/** Tells programs that they need not try: as the reference has it. */
const NETWORK_DISABLED = 'CODEX_SANDBOX_NETWORK_DISABLED'

/**
 * What commands get unless they ask for a change. Pure.
 *
 * Inherited names come first; secrets go unless they are kept by name; then what is excluded; then what leads to caches and temporary
 * files of the sandbox's, and to its proxy; then what is set; then all but `only`.
 *
 * @param protectsGit  whether `.git` is protected
 */
export function makeEnvironment(policy: EnvironmentPolicy, host: Variables, network: NetworkMode, places: PlaceVariables = NO_PLACES, proxy: ProxyVariables = NO_PROXY_VARIABLES, protectsGit = false): Environment {
  const kept = matcher(policy.keep)
  const inherited = { all: () => true, core: matcher(CORE_NAMES), none: () => false }[policy.inherit]
  const secret = policy.dropSecrets ? matcher(SECRET_NAMES) : () => false
  const excluded = matcher(policy.exclude)
  const never = matcher(NEVER_PASSED)
  const passes = (name: string): boolean => !never(name) && !excluded(name) && (kept(name) || (inherited(name) && !secret(name)))

  const bounded = policy.only === undefined || policy.only.length === 0 ? () => true : matcher(policy.only)
  const variables: Record<string, string> = {}
  const dropped: string[] = []
  for (const [name, value] of Object.entries(host)) {
    if (value === undefined) continue
    if (places.replaces(name)) continue
    if (passes(name) && bounded(name)) variables[name] = value
    else if (!Object.hasOwn(policy.set, name) || !bounded(name)) dropped.push(name)
  }
  const add = (name: string, value: string): void => { if (!excluded(name) && bounded(name)) variables[name] = value }
  for (const [name, value] of Object.entries(proxy.otherwise)) if (variables[name] === undefined) add(name, value)
  for (const [name, value] of Object.entries(proxy.replacing)) add(name, value)
  for (const [name, value] of Object.entries(places.variables)) add(name, value)
  for (const [name, value] of Object.entries(policy.set)) if (bounded(name)) variables[name] = value
  if (network === 'off') variables[NETWORK_DISABLED] = '1'
  const withoutTerminal = protectsGit ? { ...WITHOUT_TERMINAL, ...WITH_GIT_PROTECTED } : WITHOUT_TERMINAL
  return { variables, list: listOf({ ...withoutTerminal, ...variables }), terminalList: listOf(variables), withoutTerminal, dropped: dropped.sort() }
}

/**
 * The environment of one command: `changes` merged over the policy's, null removes.
 *
 * @param terminal  whether the command has one
 * @throws SandboxError `option_invalid`, `field` = `env.NAME`
 */
export function mergeEnvironment(base: Environment, changes: Readonly<Record<string, string | null | undefined>> | undefined, terminal = false): readonly string[] {
  if (changes === undefined) return terminal ? base.terminalList : base.list
  const variables = terminal ? { ...base.variables } : { ...base.withoutTerminal, ...base.variables }
  for (const [name, value] of Object.entries(changes)) {
    if (name === '' || name.includes('=') || name.includes('\0')) throw new SandboxError('option_invalid', { field: 'env', value: name }, { detail: 'it is not a name of a variable', remedy: 'A name is not empty and has no "=" and no NUL.' })
    if (value === undefined) continue
    if (value === null) delete variables[name]
    else if (typeof value === 'string' && !value.includes('\0')) variables[name] = value
    else throw new SandboxError('option_invalid', { field: `env.${name}`, value }, { detail: 'it must be a string without NUL, or null to remove it' })
  }
  return listOf(variables)
}

const listOf = (variables: Readonly<Record<string, string>>): readonly string[] => Object.entries(variables).map(([name, value]) => `${name}=${value}`)

/** Names with `*` for anything and `?` for one character, in any letter case. */
function matcher(patterns: readonly string[]): (name: string) => boolean {
  if (patterns.length === 0) return () => false
  const expression = new RegExp(patterns.map(sourceOf).join('|'), 'is')
  return name => expression.test(name)
}

/** No `.*` at an end, which would be tried at every character of every name. */
function sourceOf(pattern: string): string {
  const inner = pattern.replace(/^\*+|\*+$/g, '').split('*').map(part => part.replace(/[\\^$.|+()[\]{}]/g, '\\$&').replaceAll('?', '.')).join('.*')
  return `${pattern.startsWith('*') ? '' : '^'}${inner}${pattern.endsWith('*') ? '' : '$'}`
}
