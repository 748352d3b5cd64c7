// The merged tree → what it says, typed, and the policy that it asks for.
import type { NetworkMode, SandboxPolicy } from '../policy/sandbox-policy.js'
import { combineNetwork } from '../policy/network-policy.js'
import { type DefaultsName, presetPolicy } from '../policy/presets.js'
import { type ApprovalSetting, approvalSetting } from '../approval/approval-setting.js'
import { isTable } from './keys.js'
import type { CheckedLayer } from './layer.js'
import type { Merged } from './merge.js'
import type { WindowsSandboxName } from './requirements.js'
import { type KeyPath, type Tree, valueAt } from './trees.js'

export type ConfigSandboxMode = 'read-only' | 'workspace-write' | 'danger-full-access'

export interface WorkspaceWrite {
  /** Absolute, or from `~/` on. */
  readonly writableRoots: readonly string[]
  /** Undefined: no layer says it, and the network is off as with false; but `network.enabled` alone may open it then. */
  readonly networkAccess: boolean | undefined
  readonly excludeTmpdirEnvVar: boolean
  readonly excludeSlashTmp: boolean
}

export interface ShellEnvironmentPolicy {
  readonly inherit: 'all' | 'core' | 'none'
  /** False: names that look like secrets are dropped. */
  readonly ignoreDefaultExcludes: boolean
  readonly exclude: readonly string[]
  readonly set: Readonly<Record<string, string>>
  /** Empty: no bound. */
  readonly includeOnly: readonly string[]
}

/** The network's table. Undefined: no layer says it. */
export interface NetworkConfig {
  readonly enabled: boolean | undefined
  readonly mode: 'full' | 'limited'
  readonly allowedDomains: readonly string[] | undefined
  readonly deniedDomains: readonly string[]
  readonly allowUnixSockets: readonly string[]
  readonly allowLocalBinding: boolean
  readonly allowUpstreamProxy: boolean
  readonly dangerouslyAllowAllUnixSockets: boolean
  readonly httpPort: number | undefined
  readonly socksPort: number | undefined
  /** Whether somebody may be asked for a host that is not in `allowedDomains`; requirements can say no. */
  readonly mayAsk: boolean
}

export interface EffectiveConfig {
  readonly sandboxMode: ConfigSandboxMode
  readonly workspaceWrite: WorkspaceWrite
  readonly approvalPolicy: ApprovalSetting
  readonly allowLoginShell: boolean
  readonly shellEnvironmentPolicy: ShellEnvironmentPolicy
  readonly windowsSandbox: WindowsSandboxName | undefined
  /** `use_linux_sandbox_bwrap` and all others, as they are said. */
  readonly features: Readonly<Record<string, unknown>>
  readonly backgroundTerminalMaxTimeoutMs: number
  readonly network: NetworkConfig
  /** Requirements: no command may read these. */
  readonly denyRead: readonly string[]
}

/** What holds where no layer says otherwise: as the reference has it. */
export const BUILT_IN: CheckedLayer = (() => {
  const config: Tree = {
    sandbox_mode: 'read-only',
    sandbox_workspace_write: { writable_roots: [], network_access: false, exclude_tmpdir_env_var: false, exclude_slash_tmp: false },
    approval_policy: 'on-request',
    allow_login_shell: true,
    shell_environment_policy: { inherit: 'all', ignore_default_excludes: true, exclude: [], include_only: [] },
    background_terminal_max_timeout: 300_000,
    network: { mode: 'full', allow_local_binding: false, allow_upstream_proxy: false, dangerously_allow_all_unix_sockets: false },
  }
  return { name: 'built-in', config, normal: config, warnings: [] }
})()

/** @param merged  layers of which the lowest is BUILT_IN */
export function readEffective({ tree, origins }: Pick<Merged, 'tree' | 'origins'>): EffectiveConfig {
  const isSaid = (key: string): boolean => origins.get(key)?.name !== 'built-in'
  const at = <Value>(path: string): Value => valueAt(tree, path.split('.')) as Value
  const approvalPolicy = approvalSetting(at('approval_policy'))
  if (approvalPolicy === undefined) throw new Error('an approval policy that was checked is none')
  return {
    sandboxMode: at('sandbox_mode'),
    workspaceWrite: {
      writableRoots: at('sandbox_workspace_write.writable_roots'),
      networkAccess: isSaid('sandbox_workspace_write.network_access') ? at('sandbox_workspace_write.network_access') : undefined,
      excludeTmpdirEnvVar: at('sandbox_workspace_write.exclude_tmpdir_env_var'),
      excludeSlashTmp: at('sandbox_workspace_write.exclude_slash_tmp'),
    },
    approvalPolicy,
    allowLoginShell: at('allow_login_shell'),
    shellEnvironmentPolicy: {
      inherit: at('shell_environment_policy.inherit'),
      ignoreDefaultExcludes: at('shell_environment_policy.ignore_default_excludes'),
      exclude: at('shell_environment_policy.exclude'),
      set: { ...at<Record<string, string> | undefined>('shell_environment_policy.set') },
      includeOnly: at('shell_environment_policy.include_only'),
    },
    windowsSandbox: at('windows.sandbox'),
    features: isTable(at('features')) ? at('features') : {},
    backgroundTerminalMaxTimeoutMs: at('background_terminal_max_timeout'),
    network: readNetwork(tree),
    denyRead: [],
  }
}

function readNetwork(tree: Readonly<Tree>): NetworkConfig {
  const at = <Value>(...path: KeyPath): Value => valueAt(tree, ['network', ...path]) as Value
  return {
    enabled: at('enabled'),
    mode: at('mode'),
    allowedDomains: at('allowed_domains'),
    deniedDomains: at('denied_domains') ?? [],
    allowUnixSockets: at('allow_unix_sockets') ?? [],
    allowLocalBinding: at('allow_local_binding'),
    allowUpstreamProxy: at('allow_upstream_proxy'),
    dangerouslyAllowAllUnixSockets: at('dangerously_allow_all_unix_sockets'),
    httpPort: at('http_port'),
    socksPort: at('socks_port'),
    mayAsk: true,
  }
}

/**
 * `open`: the network of this machine. `proxied`: what the table's rules allow.
 *
 * One word that closes is enough, wherever it is said. Rules alone open nothing: one of the two switches has to be on.
 */
export function networkOf({ sandboxMode, workspaceWrite, network }: EffectiveConfig): NetworkMode {
  if (sandboxMode === 'danger-full-access') return 'open'
  // What closes holds in every mode, or a narrower mode would open what a wider one had closed.
  if (workspaceWrite.networkAccess === false || network.enabled === false) return 'off'
  if (network.enabled === true) return 'proxied'
  // What opens waits until its mode is chosen.
  return sandboxMode === 'workspace-write' && workspaceWrite.networkAccess === true ? hasRules(network) ? 'proxied' : 'open' : 'off'
}

/** Rules that an open network would pass by. */
export const hasRules = ({ mode, allowedDomains, deniedDomains, mayAsk }: NetworkConfig): boolean => mode === 'limited' || allowedDomains !== undefined || deniedDomains.length > 0 || !mayAsk

function networkFields(config: EffectiveConfig): Pick<SandboxPolicy, 'network' | 'networkRules'> {
  const word = networkOf(config)
  const { network: { allowedDomains, deniedDomains, mode, mayAsk, enabled: _, httpPort, socksPort, ...others } } = config
  // Nothing is enforced there, so rules would be a contradiction.
  if (config.sandboxMode === 'danger-full-access') return { network: word }
  const hosts = word === 'proxied' ? { mode, deniedDomains, httpPort, socksPort, allowedDomains, strictAllowlist: !mayAsk } : {}
  return combineNetwork({ word: { field: 'network', value: word }, table: { ...others, ...hosts }, spell: key => `network.${snakeCase(key)}` }) ?? { network: word }
}

const snakeCase = (key: string): string => key.replaceAll(/[A-Z]/g, letter => `_${letter.toLowerCase()}`)

/** Files that were believed: no command may write them, nor lead them elsewhere. */
export interface Believed {
  /** As rules of a policy have them. */
  readonly files: readonly string[]
  /** Links to them in a root, relative to it. */
  readonly linksIn: (root: string) => readonly string[]
  readonly rootsOf: (config: EffectiveConfig) => readonly string[]
}

export interface PolicyChoices {
  /** What the configuration has no key for. Default: as the reference has it. */
  readonly defaults?: DefaultsName
  readonly believed: Believed
  /** Whether a layer says it; else the defaults' own word holds. */
  readonly isSaid: (key: string) => boolean
}

export function policyOf(config: EffectiveConfig, { defaults = 'reference', believed, isSaid }: PolicyChoices): SandboxPolicy {
  const { sandboxMode, workspaceWrite, shellEnvironmentPolicy: shell } = config
  const preset = presetPolicy(sandboxMode, defaults)
  const isWorkspace = sandboxMode === 'workspace-write'
  return {
    ...preset,
    // The table waits until its mode is chosen.
    ...(isWorkspace ? {
      writableRoots: workspaceWrite.writableRoots,
      excludeTmpdirEnvVar: workspaceWrite.excludeTmpdirEnvVar,
      excludeSlashTmp: workspaceWrite.excludeSlashTmp,
      // One that may not be read is closed by that.
      read: believed.files.filter(file => !config.denyRead.some(path => file.startsWith(`${path}/`))),
      protect: [...new Set(believed.rootsOf(config).flatMap(believed.linksIn))],
    } : {}),
    ...(sandboxMode === 'danger-full-access' ? {} : { deny: config.denyRead, ...(config.denyRead.length === 0 ? {} : { requiredDeny: config.denyRead }) }),
    ...networkFields(config),
    env: {
      ...preset.env, inherit: shell.inherit, exclude: shell.exclude, set: shell.set, ...(shell.includeOnly.length === 0 ? {} : { only: shell.includeOnly }),
      dropSecrets: isSaid('shell_environment_policy.ignore_default_excludes') ? !shell.ignoreDefaultExcludes : preset.env.dropSecrets,
    },
  }
}
