// What the configuration says, as the service needs it: the policy where a request names none, what requirements bound, and the answers
// of config/read and configRequirements/read. Read once; the files are believed, so no command may write them.
import type { ApprovalSetting } from '../approval/approval-setting.js'
import type { CommandApprovalOptions } from '../approval/command-approvals.js'
import type { ConfigLayer, LoadedConfig, LoadConfigOptions } from '../config/load.js'
import type { LayerName } from '../config/layer.js'
import type { Requirements, Sourced } from '../config/requirements.js'
import type { LinuxBackend, WindowsMode } from '../platform/launch-plan.js'
import type { SandboxPolicy } from '../policy/sandbox-policy.js'
import { invalidRequest, rpcError } from './rpc-error.js'
import { SandboxError } from '../errors.js'

export interface Configuration {
  /** Where a request names no policy. */
  policy(): SandboxPolicy
  /** The policy of one request with what requirements forbid. @throws SandboxError `requirement_conflict` */
  bound(policy: SandboxPolicy, field: string): SandboxPolicy
  /** Whether the client may be asked about hosts that no rule names. */
  readonly mayAsk: boolean
  /** What `[windows] sandbox` says. */
  readonly windowsMode: WindowsMode | undefined
  /** Of an empty poll of a background terminal, in milliseconds. */
  readonly longestPollMs: number
  /** How commands are approved that `sandbox/runCommand` runs. */
  readonly approvals: CommandApprovalOptions
  /** What a reader should know: values that were ignored, or changed by requirements. */
  readonly warnings: readonly string[]
  /** Files that were believed. */
  readonly files: readonly string[]
  /** Absent: the usual one. */
  readonly backend?: LinuxBackend
}

/** What `-c`, `--profile` and the embedding runtime say. */
export type ConfigurationChoice = Pick<LoadConfigOptions, 'profile' | 'overrides' | 'cloudRequirements'>

/** Reads the configuration of a folder. */
export type ReadConfig = (cwd: string) => Promise<LoadedConfig>

export function configReader(choice: ConfigurationChoice = {}): ReadConfig {
  return async cwd => {
    const [{ codexHomeOf }, { loadConfig }] = await Promise.all([import('../config/codex-home.js'), import('../config/load.js')])
    return loadConfig({ ...choice, codexHome: codexHomeOf(), cwd })
  }
}

/** @param cwd  what `loaded` was read for */
export async function configurationOf(loaded: LoadedConfig, cwd: string): Promise<Configuration> {
  const [{ approvalsOf }, { codexHomeOf }] = await Promise.all([import('../config/approvals.js'), import('../config/codex-home.js')])
  return {
    approvals: approvalsOf(loaded, { codexHome: codexHomeOf(), cwd }),
    policy: () => loaded.policy(),
    bound: (policy, field) => loaded.bound(policy, field),
    windowsMode: loaded.config.windowsSandbox,
    mayAsk: mayAsk(loaded.config.approvalPolicy),
    longestPollMs: loaded.config.backgroundTerminalMaxTimeoutMs,
    warnings: [
      ...loaded.warnings.map(({ key, layer, path, text }) => `${path ?? layer}: ${key}: ${text}`),
      ...loaded.changes.map(change => `${change.key}: ${JSON.stringify(change.from)} became ${JSON.stringify(change.to)}: ${change.because}`),
    ],
    files: loaded.files,
    ...(loaded.backend === undefined ? {} : { backend: loaded.backend }),
  }
}

/** As the reference has it: where what goes beyond the sandbox may be asked at all. */
const mayAsk = (setting: ApprovalSetting): boolean => typeof setting === 'string' ? setting !== 'never' : setting.asks.sandbox_approval

/** An explicit choice that conflicts with requirements is an error, as the reference has it. @throws RpcError -32600 */
export function boundRequest(policy: SandboxPolicy, { bound }: Pick<Configuration, 'bound'>): SandboxPolicy {
  try {
    return bound(policy, 'sandboxPolicy')
  } catch (error) {
    if (error instanceof SandboxError && error.code === 'requirement_conflict') throw invalidRequest(`invalid sandbox policy: ${error.message}`)
    throw rpcError(error)
  }
}

/* The answers, in the wire's spelling. */

/** The tags of the reference. What it calls a profile is a part of the user's layer. */
const LAYER_SOURCES: Readonly<Record<LayerName, (layer: ConfigLayer) => Record<string, unknown>>> = {
  'built-in':            () => ({ type: 'builtIn' }),
  'system':              ({ path }) => ({ type: 'system', file: path }),
  'user':                ({ path }) => ({ type: 'user', file: path }),
  'profile':             ({ path }) => ({ type: 'user', file: path, profile: true }),
  'project':             ({ path }) => ({ type: 'project', dotCodexFolder: path?.replace(/[\\/][^\\/]*$/, '') }),
  'session-flags':       () => ({ type: 'sessionFlags' }),
  'managed-config':      ({ path }) => ({ type: 'legacyManagedConfigTomlFromFile', file: path }),
  'managed-preferences': () => ({ type: 'legacyManagedConfigTomlFromMdm' }),
}

const sourceOf = (layer: ConfigLayer): { type: string } => LAYER_SOURCES[layer.name](layer) as { type: string }

export function configAnswer(loaded: LoadedConfig, includeLayers: boolean) {
  const effective = plain(loaded.tables) as Record<string, unknown>
  // What requirements changed: `config` is what holds.
  for (const { key, to } of loaded.changes) putAt(effective, key.split('.'), to)
  const origins = Object.fromEntries([...loaded.origins].map(([key, layer]) => [key, { name: sourceOf(layer), version: layer.version }]))
  // The strongest first, as the reference lists them.
  const layers = [...loaded.layers].reverse().map(layer => ({
    name: sourceOf(layer), version: layer.version, config: plain(layer.config), ...(layer.disabledReason === undefined ? {} : { disabledReason: layer.disabledReason }),
  }))
  return { config: effective, origins, ...(includeLayers ? { layers } : {}) }
}

function putAt(table: Record<string, unknown>, [name, ...rest]: readonly string[], value: unknown): void {
  if (name === undefined) return
  if (rest.length === 0) {
    table[name] = plain(value ?? null)
    return
  }
  const inner = table[name]
  const next = typeof inner === 'object' && inner !== null && !Array.isArray(inner) ? inner as Record<string, unknown> : {}
  table[name] = next
  putAt(next, rest, value)
}

/** Dates of TOML become text. */
const plain = (value: unknown): unknown => JSON.parse(JSON.stringify(value))

export function requirementsAnswer({ requirements }: Pick<LoadedConfig, 'requirements'>) {
  return { requirements: requirements === null ? null : wireRequirements(requirements) }
}

function wireRequirements(requirements: Requirements) {
  const { allowedApprovalPolicies, allowedSandboxModes, allowedWindowsSandboxImplementations, network, denyRead, other } = requirements
  return {
    ...(allowedApprovalPolicies === undefined ? {} : { allowedApprovalPolicies: allowedApprovalPolicies.value.map(wireApproval) }),
    ...given('allowedSandboxModes', allowedSandboxModes),
    ...given('allowedWindowsSandboxImplementations', allowedWindowsSandboxImplementations), ...given('network', network),
    ...(denyRead === undefined ? {} : { permissions: { filesystem: { denyRead: denyRead.value } } }),
    ...(other['allowed_web_search_modes'] === undefined ? {} : { allowedWebSearchModes: other['allowed_web_search_modes'].value }),
  } as Record<string, never>
}

/** In the spelling of the pinned generation: what is rejected, not what is asked. */
const wireApproval = (setting: ApprovalSetting) => typeof setting === 'string' ? setting
  : { reject: { sandbox_approval: !setting.asks.sandbox_approval, rules: !setting.asks.rules, mcp_elicitations: !setting.asks.mcp_elicitations } }

const given = (name: string, field: Sourced<unknown> | undefined): Record<string, unknown> => field === undefined ? {} : { [name]: plain(field.value) }
