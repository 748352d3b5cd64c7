// A launch plan: all that a back end will do to confine commands, as plain data. Printed by `--print-plan`, compared in
// golden tests, handed to the launcher. Nothing in it is looked up again later: paths carry the identity they must have.
import type { EntryKind, FileIdentity, PlatformName } from '../policy/host-snapshot.js'
import type { Limits } from '../policy/sandbox-policy.js'

export type BackendName =
  | 'linux-native' | 'linux-bwrap' | 'macos-seatbelt' | 'windows-elevated' | 'windows-unelevated' | 'unconfined' | 'unsupported'

/** One mount of the sandbox's template, in the order in which the launcher makes them; a later one lies on top. */
export type MountStep =
  /** The tree at `path` becomes writable again, with the mounts below it. */
  | { readonly step: 'bind_writable'; readonly path: string; readonly identity: FileIdentity }
  /** `path` (file, directory or symlink) is bound over itself read-only; re-bound when the host replaces it. */
  | { readonly step: 'bind_read_only'; readonly path: string; readonly identity: FileIdentity }
  /** `path` is hidden below an empty object of mode 0; `openings` stay visible inside it. */
  | { readonly step: 'mask'; readonly path: string; readonly identity: FileIdentity; readonly kind: EntryKind; readonly openings: readonly MaskOpening[] }
  /** A directory between a writable root and a held path, bound over itself so that it cannot be renamed. */
  | { readonly step: 'pin'; readonly path: string; readonly identity: FileIdentity }
  /** `path` does not exist: an object is made there while commands run, held like an existing one. `text`: a file's content (else empty), a symlink's target. */
  | { readonly step: 'placeholder'; readonly path: string; readonly parent: FileIdentity; readonly kind: 'directory' | 'file' | 'symlink'; readonly effect: 'read' | 'deny'; readonly text?: string }
  /** `path` does not exist and commands cannot make it; held as soon as the host makes it. */
  | { readonly step: 'watch'; readonly path: string; readonly effect: 'read' | 'deny' }
  /** An empty file system of the sandbox's own. */
  | { readonly step: 'private_directory'; readonly path: string }

export interface MaskOpening {
  readonly path: string
  readonly identity: FileIdentity
  readonly effect: 'read' | 'write'
}

/** Landlock's part. Rights are bit masks of `landlock_ruleset_attr.handled_access_fs`, in decimal. */
export interface LandlockPlan {
  readonly abi: number
  /** `LANDLOCK_SCOPE_*` bits. */
  readonly scopes: number
  /** `handled_access_net` bits; nothing is allowed of them. */
  readonly handledNet: number
  /** For each command, after its /proc is mounted. Absent where the policy restricts no files: then the rest is once for all commands. */
  readonly files?: {
    readonly handled: string
    readonly rules: readonly { readonly path: string; readonly allowed: string }[]
    /** What is allowed below the command's own /proc. */
    readonly proc: string
  }
}

export interface SeccompPlan {
  /** `struct sock_filter[]` in base64, installed in each command. */
  readonly command: string
  /** Installed once, with a listener: the launcher carries these calls out on the command's behalf. */
  readonly listener?: string
}

export type LimitMechanism = 'exact' | 'polled' | 'perProcess' | 'absent'

/** What a control group of a command's own can hold. */
export type GroupLimit = 'memoryBytes' | 'pids'

/** The sandbox makes its control group in `parent`, and a group in that for each command whose limits it should hold. */
export interface GroupPlan {
  readonly parent: string
  readonly holds: readonly GroupLimit[]
}

/** What a result's `enforcement` says: which layers hold, and what was asked for but is not held. */
export interface Enforcement {
  readonly backend: BackendName
  readonly layers: readonly string[]
  readonly degraded: readonly DegradationName[]
  readonly limits: Readonly<Partial<Record<keyof Limits, LimitMechanism>>>
  /** Sentences for people: what is not held, such as "protected paths inside a root hang on mounts alone". */
  readonly notes: readonly string[]
}

/** Everything that a caller may allow by name to be weaker than the policy says. */
export const DEGRADATIONS = {
  'later-glob-matches': 'files that match a deny glob but are made after the start are not denied',
  'no-landlock': 'no Landlock: writable roots hang on mounts alone',
  'no-unix-socket-control': 'unix sockets made outside can be connected to by path',
  'no-own-proc': 'commands see the /proc of the host',
  'limits': 'a limit that this host cannot hold is only polled or held per process',
} as const satisfies Record<string, string>
export type DegradationName = keyof typeof DEGRADATIONS

export interface LinuxNativePlan {
  readonly backend: 'linux-native'
  readonly platform: 'linux'
  readonly uid: number
  readonly gid: number
  readonly network: 'private' | 'host'
  /** Where placeholders are written down, so that a killed launcher's are removed by the next one. */
  readonly stateDirectory: string
  readonly mounts: readonly MountStep[]
  /** Device nodes for the small /dev, beside the core ones. */
  readonly devices: readonly string[]
  readonly landlock?: LandlockPlan
  readonly seccomp: SeccompPlan
  readonly limits: Limits
  readonly limitMechanisms: Enforcement['limits']
  /** Absent: no limit asks for control groups, or this host has none to give. */
  readonly groups?: GroupPlan
  /** The policy's cwd: where commands start unless they say otherwise. */
  readonly cwd: { readonly path: string; readonly identity: FileIdentity }
  readonly degraded: readonly DegradationName[]
  readonly enforcement: Enforcement
}

export interface UnconfinedPlan {
  readonly backend: 'unconfined'
  readonly platform: PlatformName
  readonly cwd: { readonly path: string; readonly identity: FileIdentity }
  readonly degraded: readonly DegradationName[]
  readonly enforcement: Enforcement
}

export type LaunchPlan = LinuxNativePlan | UnconfinedPlan

/** One command, added to a plan. Pure data as well. */
export interface CommandPlan {
  /** At least one string; the first is looked up on the command's PATH inside the sandbox. */
  readonly argv: readonly string[]
  readonly cwd: { readonly path: string; readonly identity: FileIdentity }
  /** The complete environment, `NAME=value` each. */
  readonly env: readonly string[]
  /** A terminal made inside; stdin, stdout and stderr are then all of it. */
  readonly terminal?: { readonly rows: number; readonly cols: number }
  /** `empty`: at its end from the start. */
  readonly stdin: 'empty' | 'pipe'
  readonly limits: Limits
  /** Those of the limits that a control group of its own holds; with none of them it gets no group. */
  readonly groupLimits?: readonly GroupLimit[]
  /** What it leaves behind goes on when it ends, and is told by `onLeft`. */
  readonly keep?: boolean
  /** Tell when the program runs, and its process id: a look through /proc that only some want. */
  readonly reportStart?: boolean
}

/** A plan as text for people and for golden tests: JSON, two spaces, keys in the order of the type. */
export const printPlan = (plan: LaunchPlan): string => `${JSON.stringify(plan, null, 2)}\n`
