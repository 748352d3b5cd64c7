// The internal form of a policy: what every input form (wire, config, code) is parsed to, before the host is looked at.
// Plain data, every default filled in; only `resolve` gives it a meaning on one machine.
import type { NetworkRules } from './domains.js'

export type SandboxMode = 'read-only' | 'workspace-write' | 'danger-full-access' | 'external-sandbox'

/** What may be read where no rule says otherwise. `restricted`: only the named roots, writable roots, and platform defaults. */
export type ReadAccess =
  | { readonly kind: 'full' }
  | { readonly kind: 'restricted'; readonly includePlatformDefaults: boolean; readonly readableRoots: readonly string[] }

/** Resource limits of one command and all that it starts. Absent: the host's own. */
export interface Limits {
  /** Memory of all processes together, in bytes. */
  readonly memoryBytes?: number
  /** Processes and threads at once. */
  readonly pids?: number
  /** Processor time of each process, in seconds. */
  readonly cpuSeconds?: number
  /** Open descriptors of each process. */
  readonly openFiles?: number
  /** Size of any one file written, in bytes. */
  readonly fileSizeBytes?: number
}

/** Which variables of the embedding process a command gets. */
export interface EnvironmentPolicy {
  /** `core`: HOME, LOGNAME, PATH, SHELL, USER, USERNAME, TMPDIR, TEMP, TMP, LANG, LC_*, TERM. */
  readonly inherit: 'all' | 'core' | 'none'
  /** Names (with `*`) kept although the defaults would drop them. */
  readonly keep: readonly string[]
  /** Names (with `*`) dropped. */
  readonly exclude: readonly string[]
  readonly set: Readonly<Record<string, string>>
  /** Names (with `*`) of all that may be left in the end, what is set included. Absent or empty: no bound. */
  readonly only?: readonly string[]
  /** Drop variables that look like secrets or that change how programs load code (DESIGN section 4's table). */
  readonly dropSecrets: boolean
}

/** `off`: a private loopback only. `proxied`: only through the sandbox's own proxy, by rules. `open`: the host's network. */
export type NetworkMode = 'off' | 'proxied' | 'open'

export interface SandboxPolicy {
  readonly mode: SandboxMode
  readonly readAccess: ReadAccess
  /** Absolute folders, writable under `workspace-write` beside the policy's cwd. */
  readonly writableRoots: readonly string[]
  readonly excludeTmpdirEnvVar: boolean
  readonly excludeSlashTmp: boolean
  readonly network: NetworkMode
  /** Always there where the network is proxied; else only where something of this machine's own is opened. */
  readonly networkRules?: NetworkRules
  /** Paths or globs, absolute or relative to the policy's cwd, in addition to the mode's own rules. */
  readonly read: readonly string[]
  readonly write: readonly string[]
  readonly deny: readonly string[]
  /** Those of `deny` that requirements name: no other rule opens anything in them, however specific it is. Absent: none. */
  readonly requiredDeny?: readonly string[]
  /** Names or relative paths that stay read-only in every writable root, besides .git, .codex and .agents. */
  readonly protect: readonly string[]
  /** Control files of other agents, editors and hook runners stay read-only where they exist. */
  readonly protectAgentFiles: boolean
  readonly git: 'protected' | 'commits'
  /** Deny the well-known places of keys and tokens, except the paths named. */
  readonly denySecrets: false | { readonly except: readonly string[] }
  readonly caches: 'private' | 'off'
  readonly tmp: 'host' | 'private' | 'none'
  /** Device nodes below /dev to add to the small /dev. */
  readonly devices: readonly string[]
  readonly limits: Limits
  readonly env: EnvironmentPolicy
}
