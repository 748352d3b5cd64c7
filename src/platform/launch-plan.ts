// A launch plan: all that a back end will do to confine commands, as plain data. Printed by `--print-plan`, compared in
// golden tests, handed to the launcher. Nothing in it is looked up again later: paths carry the identity they must have.
import type { EntryKind, FileIdentity, PlatformName } from '../policy/host-snapshot.js'
import type { Limits } from '../policy/sandbox-policy.js'

export type BackendName =
  | 'linux-native' | 'linux-bwrap' | 'macos-seatbelt' | 'windows-elevated' | 'windows-unelevated' | 'unconfined' | 'unsupported'

/** The two ways to confine on Linux: the launcher alone, or inside bwrap. */
export const LINUX_BACKENDS = ['linux-native', 'linux-bwrap'] as const satisfies readonly BackendName[]
export type LinuxBackend = (typeof LINUX_BACKENDS)[number]

/** One mount of the sandbox's template, in the order in which the launcher makes them; a later one lies on top. */
export type MountStep =
  /** The tree at `path` becomes writable again, with the mounts below it. */
  | { readonly step: 'bind_writable'; readonly path: string; readonly identity: FileIdentity }
  /**
   * `path` (file, directory or symlink) is bound over itself read-only; re-bound when the host replaces it. `gone`: what stands there where the
   * host takes it away while commands run (`nothing`: its name is free then); absent: an empty directory.
   */
  | { readonly step: 'bind_read_only'; readonly path: string; readonly identity: FileIdentity; readonly gone?: 'nothing' | StandIn }
  /** `path` is hidden below an empty object of mode 0; `openings` stay visible inside it. */
  | { readonly step: 'mask'; readonly path: string; readonly identity: FileIdentity; readonly kind: EntryKind; readonly openings: readonly MaskOpening[] }
  /** A directory between a writable root and a held path, bound over itself so that it cannot be renamed. */
  | { readonly step: 'pin'; readonly path: string; readonly identity: FileIdentity }
  /** `path` does not exist: an object is made there while commands run, held like an existing one. `text`: a file's content (else empty), a symlink's target. */
  | { readonly step: 'placeholder'; readonly path: string; readonly parent: FileIdentity; readonly kind: 'directory' | 'file' | 'symlink' | 'socket'; readonly effect: 'read' | 'deny'; readonly text?: string }
  /** `path` does not exist and commands cannot make it; held as soon as the host makes it. */
  | { readonly step: 'watch'; readonly path: string; readonly effect: 'read' | 'deny' }
  /** An empty file system of the sandbox's own. */
  | { readonly step: 'private_directory'; readonly path: string }

export interface StandIn {
  readonly kind: 'file' | 'symlink'
  /** As of a placeholder. */
  readonly text?: string
}

export interface MaskOpening {
  readonly path: string
  readonly identity: FileIdentity
  readonly effect: 'read' | 'write'
}

/**
 * What holds the rules about files. `namespaces`: mounts, with Landlock as a second lock. `supervised`: Landlock, under which
 * commands may not write where something is protected or denied; the launcher does it for them, call by call.
 */
export const RUNGS = ['namespaces', 'supervised'] as const
export type Rung = (typeof RUNGS)[number]

/** A rule on a path and all beneath it. A path that is not there grants nothing. */
export interface LandlockRule {
  readonly path: string
  readonly allowed: string
  /** Absent: whatever is there; in the mounts of the template, which were compared. */
  readonly identity?: FileIdentity
}

/** Landlock's part. Rights are bit masks of `landlock_ruleset_attr.handled_access_fs`, in decimal. */
export interface LandlockPlan {
  readonly abi: number
  /** `LANDLOCK_SCOPE_*` bits. */
  readonly scopes: number
  /** `handled_access_net` bits; nothing is allowed of them. */
  readonly handledNet: number
  /**
   * On the rung of namespaces for each command, after its /proc is mounted; absent where the policy restricts no files: then the rest
   * is once for all commands. On the supervised rung once for all commands, with the readable trees of `supervision`.
   */
  readonly files?: {
    readonly handled: string
    readonly rules: readonly LandlockRule[]
    /** What is allowed below the command's own /proc; 0 where it has none. */
    readonly proc: string
  }
}

/** A tree that commands may read: one rule on `path`, or, where something in it is closed, one on each entry beside the way to that. */
export interface ReadableTree extends LandlockRule {
  /** Below `path`, existing or not. Directories on the way to one are listed by the launcher alone. */
  readonly closed: readonly string[]
}

/** The supervised rung's own part of a plan. */
export interface SupervisionPlan {
  /** What holds where none of `rules` does. */
  readonly base: 'read' | 'deny'
  /** The policy's path rules: of those at or above a path the last one decides. */
  readonly rules: readonly { readonly path: string; readonly effect: 'write' | 'read' | 'deny'; readonly foldsCase: boolean }[]
  /** The outer Landlock domain, around the launcher too: the most that it can do for commands. */
  readonly outer: { readonly handledNet: number; readonly rules: readonly LandlockRule[] }
  readonly reads: readonly ReadableTree[]
  readonly judgedReads: JudgedReads
}

/**
 * Reads that the launcher carries out, beside what the kernel lets commands read: `folders`, as no rule of Landlock's lets list one on the
 * way to a denied path; `all`, where new files come to lie beside such a path. In any case those of shared memory.
 */
export type JudgedReads = 'shared-memory' | 'folders' | 'all'

export interface SeccompPlan {
  /** `struct sock_filter[]` in base64, installed in each command. */
  readonly command: string
  /** Installed once, with a listener: the launcher carries these calls out on the command's behalf. */
  readonly listener?: string
}

/**
 * What of commands' accesses is seen on its way to the kernel, so that a denial has its exact path. `writes`: all that writes, and
 * refused system calls. `reads`: also opens for reading and programs that are run, at a price. `off`: only what the launcher itself
 * refuses of unix sockets.
 */
export type Observation = 'off' | 'writes' | 'reads'

export type LimitMechanism = 'exact' | 'polled' | 'perProcess' | 'absent'

/** What a control group of a command's own can hold. */
export type GroupLimit = 'memoryBytes' | 'pids'

/** The sandbox makes its control group in `parent`, and a group in that for each command whose limits or end it should hold. */
export interface GroupPlan {
  readonly parent: string
  readonly holds: readonly GroupLimit[]
  /** Every command has a group, which is killed with all that is in it. */
  readonly ends?: true
}

/** How a command's end, and the sandbox's, reaches all that was started. Each but the last is the kernel's own, and reaches all at once. */
export const TREE_ENDS = {
  'pid-namespace': 'its PID namespace, which ends with its first process',
  'signal-scope':  'a signal to everybody that a Landlock domain keeps inside (ABI 6)',
  'control-group': 'cgroup.kill of a control group of its own',
  'repeated-walk': 'best effort: what is found below it is killed, again and again until nothing is',
} as const satisfies Record<string, string>
export type TreeEnd = keyof typeof TREE_ENDS

/** What a result's `enforcement` says: which layers hold, and what was asked for but is not held. */
export interface Enforcement {
  readonly backend: BackendName
  /** Of `linux-native`: which of its two ways holds. */
  readonly rung?: Rung
  /** Of `linux-native`: what ends all that a command started. */
  readonly treeEnd?: TreeEnd
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
  'outer-sandbox': 'where this process is in another sandbox already, commands get none of their own: what the policy denies is only tried at the start, and has to be refused',
  'limits': 'a limit that this host cannot hold is only polled or held per process',
  'network': 'the network is only advised against: a program that ignores its variables reaches it',
  'denied-reads': 'what the policy denies can be read, and is only not written',
  'restricted-reads': 'what every user of the machine may read can be read, whatever the policy restricts reading to',
  'world-writable': 'what everybody may write outside of the roots can be written: folders that cannot be closed, and disks without access lists',
  'bwrap-devices': 'as root, commands can change the mode, owner and times of the nodes in /dev, which bwrap cannot mount read-only',
  'bwrap-hole': 'a known hole of the bwrap that was found concerns the policy',
  'absent-paths': 'a denied path that is not there, and that commands cannot make, is open once somebody else makes it',
} as const satisfies Record<string, string>
export type DegradationName = keyof typeof DEGRADATIONS

/**
 * A listener on 127.0.0.1 that Node accepts on: in the sandbox's own network namespace, or, of the proxy's, on the host's loopback where
 * there is none. `local-port`: leads to the same port of the host; without a namespace commands reach that itself, and nothing listens.
 */
export interface PlannedListener {
  readonly kind: 'proxy' | 'local-port'
  /** 0: any that is free. */
  readonly port: number
}

/** Unix sockets made outside that commands may connect to. */
export interface UnixSocketPlan {
  readonly all?: true
  /** Those that give the whole machine away are not left out of what `all` and folders allow. */
  readonly ofRoot?: true
  /** Canonical; a folder stands for all sockets in it. With an identity, the one socket that is meant. */
  readonly allowed: readonly { readonly path: string; readonly identity?: FileIdentity }[]
}

/** What the launcher carries out, whoever makes the namespaces. */
export interface LinuxLauncherPlan {
  readonly platform: 'linux'
  readonly uid: number
  readonly gid: number
  /** `private`: a namespace with a loopback; `none`: no namespace, and no connection; `host`: the policy opens it. */
  readonly network: 'private' | 'none' | 'host'
  /** With no namespace, connects are made on behalf, to these ports and to no others. */
  readonly listeners?: readonly PlannedListener[]
  readonly unixSockets?: UnixSocketPlan
  /** How the launcher gets at a command's socket: `taken` from it, or `made` by itself and given to it, where the host refuses the first. */
  readonly sockets: 'taken' | 'made'
  /** Where placeholders are written down, so that a killed launcher's are removed by the next one. */
  readonly stateDirectory: string
  readonly mounts: readonly MountStep[]
  /** Device nodes for the small /dev, beside the core ones. */
  readonly devices: readonly string[]
  readonly landlock?: LandlockPlan
  /** On the supervised rung, which has no mounts. */
  readonly supervision?: SupervisionPlan
  readonly seccomp: SeccompPlan
  readonly observe: Observation
  readonly limits: Limits
  readonly limitMechanisms: Enforcement['limits']
  /** Absent: no limit asks for control groups, or this host has none to give. */
  readonly groups?: GroupPlan
  /** The policy's cwd: where commands start unless they say otherwise. */
  readonly cwd: { readonly path: string; readonly identity: FileIdentity }
  readonly degraded: readonly DegradationName[]
  readonly enforcement: Enforcement
}

export interface LinuxNativePlan extends LinuxLauncherPlan {
  readonly backend: 'linux-native'
  readonly rung: Rung
}

/** A bwrap that was found on this machine. */
export interface BwrapProgram {
  /** Absolute, without a link. */
  readonly path: string
  readonly version: string
  /** The version of the package that it was installed with: distributions repair holes without another version of bwrap's own. */
  readonly package?: string
  /** The file that was looked at. */
  readonly identity: FileIdentity
  /** When it was last changed (ctime), in nanoseconds: an inode is given to another file at once. */
  readonly changedNs: string
}

/** The launcher inside bwrap: `mounts` are bwrap's to make, in the words of `bwrap.arguments`, and the launcher's to read back. */
export interface LinuxBwrapPlan extends LinuxLauncherPlan {
  readonly backend: 'linux-bwrap'
  readonly bwrap: BwrapProgram & {
    /** As the host was when it was looked at. What has come or gone since, such as a placeholder, changes the words for that path. */
    readonly arguments: readonly string[]
    /** Of what the arguments speak about, what was there. */
    readonly kinds: Readonly<Record<string, EntryKind>>
  }
}

export interface MacosSeatbeltPlan {
  readonly backend: 'macos-seatbelt'
  readonly platform: 'macos'
  /** The profile's text, a line each. */
  readonly profile: readonly string[]
  /** What `(param "NAME")` in it stands for: paths, canonical. */
  readonly parameters: Readonly<Record<string, string>>
  /** What starts a command, up to the command's own words. `{profile}` stands for the text above. */
  readonly argv: readonly string[]
  /** Each denial of the profile carries the tag of its command (`{tag}`), and the system's log is read for it. */
  readonly logsDenials: boolean
  /** Beside the command's own variables, and over them. */
  readonly environment: readonly string[]
  /** Where the sandbox's own proxy listens on the loopback of this machine; absent: there is none. */
  readonly proxyPort?: number
  readonly limits: Limits
  readonly cwd: { readonly path: string; readonly identity: FileIdentity }
  readonly degraded: readonly DegradationName[]
  readonly enforcement: Enforcement
}

/** The two ways to confine on Windows: with the user's own account, or with accounts made for it. */
export const WINDOWS_MODES = ['elevated', 'unelevated'] as const
export type WindowsMode = (typeof WINDOWS_MODES)[number]

/** `{session}` stands for a SID that is made for each sandbox, `{logon}` for that of the logon session. */
export interface WindowsTokenPlan {
  /** Whose: the user's own, or that of an account made by set-up. */
  readonly account: string
  /** Of CreateRestrictedToken. */
  readonly flags: readonly string[]
  /** Only denied by, from now on; those that the token has. */
  readonly disable: readonly string[]
  readonly restricting: readonly string[]
  /** The one privilege that stays. */
  readonly privileges: readonly string[]
  readonly integrity: string
  /** Of objects that a command makes and gives no list: SDDL. */
  readonly defaultDacl: string
  /** Asked of the system with the finished token, before anything runs with it: one other answer, and nothing does. */
  readonly proofs: readonly WindowsProof[]
}

export interface WindowsProof {
  readonly what: string
  /** SDDL of an object that is made for the question only. */
  readonly descriptor: string
  /** An access mask. */
  readonly desired: string
  readonly granted: boolean
}

/** Entries that one file or folder gets, and that uninstalling takes from it again: these and no others. */
export interface WindowsAccessEdit {
  readonly path: string
  /** Absent: whatever is there; it is known by its path alone. */
  readonly identity?: FileIdentity
  readonly kind: 'file' | 'directory'
  /** In SDDL, in their order: they stand before all others that the object has of its own. */
  readonly add: readonly string[]
}

export interface WindowsPlaceholder {
  readonly path: string
  readonly parent: FileIdentity
  readonly kind: 'directory' | 'file'
  readonly text?: string
}

export interface WindowsJobPlan {
  readonly flags: readonly string[]
  readonly userInterface: readonly string[]
  readonly limits: Readonly<Record<string, number>>
}

export interface WindowsFirewallRule {
  readonly name: string
  readonly direction: 'in' | 'out'
  readonly protocol: 'any' | 'tcp' | 'udp'
  /** Absent: any. */
  readonly remoteAddresses?: readonly string[]
  readonly remotePorts?: string
  /** SDDL: whom it is for. */
  readonly localUser: string
}

export interface WindowsEnvironmentPlan {
  /** `NAME=value`, over the command's own. */
  readonly set: readonly string[]
  /** `NAME=value`, where the command has no such variable. */
  readonly unlessSet: readonly string[]
  /** Programs that only say no, in a folder that comes first on PATH: name and text. */
  readonly stubs: readonly { readonly name: string; readonly text: string }[]
}

export interface WindowsPlan {
  readonly backend: 'windows-elevated' | 'windows-unelevated'
  readonly platform: 'windows'
  readonly token: WindowsTokenPlan
  /** What is granted to whom: a SID for each writable root, and one that every sandbox has. */
  readonly capabilities: readonly { readonly sid: string; readonly root?: string; readonly key: string }[]
  readonly access: readonly WindowsAccessEdit[]
  /** Made while commands run, at missing protected and denied names. */
  readonly placeholders: readonly WindowsPlaceholder[]
  readonly job: WindowsJobPlan
  readonly desktop: 'own'
  /** `blocked`: by the firewall; `advised`: by variables and stubs alone. */
  readonly network: 'open' | 'blocked' | 'advised'
  /** Where the sandbox's own proxy listens on the loopback of this machine; absent: there is none. */
  readonly proxyPort?: number
  readonly environment: WindowsEnvironmentPlan
  /** cmd.exe of the system, which carries out batch files. */
  readonly commandInterpreter: string
  /** Where the stubs lie, and where placeholders are written down, so that the next one removes those of a process that was killed. */
  readonly stateDirectory: string
  /** Made once by set-up, `elevated` only. */
  readonly machine?: {
    readonly accounts: readonly { readonly name: string; readonly sid: string }[]
    readonly group: string
    readonly firewall: readonly WindowsFirewallRule[]
    /** The file that has their passwords, sealed for the user. */
    readonly secrets: string
  }
  readonly limits: Limits
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

export type LaunchPlan = LinuxNativePlan | LinuxBwrapPlan | MacosSeatbeltPlan | WindowsPlan | UnconfinedPlan

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
  /** A part of the back end's own program runs, whatever may be executed inside; argv says which, with any word for the program. */
  readonly helper?: boolean
}

/** A plan as text for people and for golden tests: JSON, two spaces, keys in the order of the type. */
export const printPlan = (plan: LaunchPlan): string => `${JSON.stringify(plan, null, 2)}\n`
