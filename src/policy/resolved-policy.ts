// The policy on one machine: every path absolute, canonical, and tied to the file that it names.
import type { NetworkRules } from './domains.js'
import type { EnvironmentPolicy, Limits, NetworkMode, SandboxMode } from './sandbox-policy.js'
import type { EntryKind, FileIdentity, PlatformName } from './host-snapshot.js'

export type Effect = 'write' | 'read' | 'deny'

/** Where a rule comes from; with `field`, the words a denial uses for it. */
export type RuleOrigin =
  | 'mode'              // what the mode itself gives: reads of everything, platform defaults
  | 'cwd'               // the policy's cwd
  | 'writable-root'     // writableRoots, `write` without a glob
  | 'tmp'               // /tmp, $TMPDIR
  | 'rule'              // a read, write or deny rule
  | 'readable-root'
  | 'protected'         // .git, .codex, .agents, `protect`, a gitdir
  | 'self'              // what runs or is believed outside
  | 'secret'            // denySecrets
  | 'cache'

export interface PathRule {
  /** Absolute and canonical: no symlink in it, except that the last part of a protected path may be one. */
  readonly path: string
  readonly effect: Effect
  readonly origin: RuleOrigin
  /** The policy field that said so, such as `write[1]`; undefined for a default. */
  readonly field: string | undefined
  /** For `protected` and `self`: the writable root that it lies in. */
  readonly owner: string | undefined
  readonly kind: EntryKind | 'missing'
  /** Undefined exactly where `kind` is `missing`. */
  readonly identity: FileIdentity | undefined
  /**
   * Where `kind` is `missing`, or the host takes the path away: what may stand at the name while commands run without changing what programs do.
   * Absent: an empty directory, or for an existing file an empty file. A back end that cannot make the kind named must hold the name otherwise, or refuse.
   */
  readonly placeholder?: 'directory' | 'file' | 'symlink'
  /** The placeholder's content (`file`; empty when absent) or target (`symlink`). */
  readonly placeholderText?: string
  /** Where the host takes the path away while commands run, its name is left free, and it is held again as soon as it is back: nothing is ended for it. */
  readonly whileThere?: true
}

/** A deny glob: files that match it later are not held by mounts (`later-glob-matches`). Matches at the start are `paths` of their own. */
export interface GlobRule {
  readonly pattern: string
  readonly effect: Effect
  readonly field: string
}

/** A unix socket made outside, or a folder of them, that commands may connect to. */
export interface UnixSocketRule {
  /** Canonical. */
  readonly path: string
  readonly field: string
  /** In a writable root, where commands may put another socket in its place: the one that is meant. Elsewhere the path alone says it. */
  readonly identity?: FileIdentity
}

/** A root or rule that grants nothing here, with the reason; shown in reports, never silently dropped. */
export interface IgnoredRule {
  readonly field: string
  readonly value: string
  /** `nothing-writable`: it says what may be written, and nothing may. `protected`: it lies inside a protected path of another root; `write` opens such a path, `writableRoots` does not. */
  readonly reason: 'missing' | 'duplicate' | 'covered' | 'protected' | 'nothing-writable'
}

declare const resolved: unique symbol

/** Only `resolve` makes one, so nothing below has to check again. */
export interface ResolvedPolicy {
  readonly platform: PlatformName
  readonly mode: SandboxMode
  /** The policy's cwd, canonical. */
  readonly cwd: string
  readonly uid: number
  readonly gid: number
  readonly home: string | undefined
  /** What holds where no path rule matches: `read` (full read access) or `deny` (restricted). Never `write` but under danger-full-access and external-sandbox. */
  readonly base: Effect
  /** Sorted by path depth, then path, then strictness (write, read, deny). The most specific rule wins, at equal paths the strictest. */
  readonly paths: readonly PathRule[]
  /** The folders between each rule and the writable root above it, sorted by path, where no rule stands itself: a back end pins them, and makes placeholders in them. */
  readonly directories?: readonly { readonly path: string; readonly identity: FileIdentity }[]
  /** Rules that say nothing now, but would after a change: hidden by another rule at the same path, a match of a glob below a denied folder, or missing outside every root. For remedies. */
  readonly shadowed?: readonly PathRule[]
  readonly globs: readonly GlobRule[]
  /** Folders in which letter case and Unicode form make no other name: writable roots, and folders of denied paths. */
  readonly caseInsensitiveRoots: readonly string[]
  /** What must stay read-only whatever the roots (`HostSnapshot.selfPaths`, CODEX_HOME), canonical: no remedy ever names it. */
  readonly selfPaths?: readonly string[]
  /** The names of `protect`: a remedy that makes a new root knows what will be protected in it. */
  readonly protect?: readonly string[]
  /** The same for `protectAgentFiles`: of these only what exists is protected. */
  readonly protectExisting?: readonly string[]
  readonly network: NetworkMode
  /** Always there where the network is proxied; else only where something of this machine's own is opened. */
  readonly networkRules?: NetworkRules
  /** Sockets of `allowUnixSockets`. */
  readonly unixSockets?: readonly UnixSocketRule[]
  readonly tmp: 'host' | 'private' | 'none'
  /** Absolute, below /dev. */
  readonly devices: readonly string[]
  readonly limits: Limits
  readonly env: EnvironmentPolicy
  readonly ignored: readonly IgnoredRule[]
  readonly [resolved]: true
}
