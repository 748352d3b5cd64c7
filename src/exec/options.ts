// The options of the public API. What is wrong with one is found by check-options.ts.
import type { Readable } from 'node:stream'
import type { DegradationName, LinuxBackend, Observation, Rung, WindowsMode } from '../platform/launch-plan.js'
import type { AdditionalPermissions } from '../policy/additional-permissions.js'
import type { Limits, SandboxPolicy } from '../policy/sandbox-policy.js'
import type { PolicyInput } from '../policy/schema.js'
import type { OnApproval, SandboxPermissions } from '../approval/approval-request.js'
import type { CommandApprovalOptions } from '../approval/command-approvals.js'
import type { Denial } from './denial.js'
import type { CommandNetwork } from './network/narrowing.js'
import type { Encoding, OutputOf } from './result.js'

export interface SandboxOptions {
  /** A preset's name or a policy in any of its forms. Default: `workspace-write`. */
  readonly policy?: PolicyInput
  /** The policy's cwd, which is writable under `workspace-write`. Default: the process's. */
  readonly cwd?: string
  /** Go on where this host cannot hold these; each result names them. */
  readonly allowDegraded?: readonly DegradationName[]
  /**
   * What of commands' accesses is watched, so that a denial names its exact path. Default: `writes`, which costs next to nothing;
   * `reads` where the policy restricts reading as a whole. Without it, denials are read from stderr. On macOS it is off unless said:
   * the system's log has to be read there, a process for each sandbox and half a second at the end of each command.
   */
  readonly observe?: Observation
  /** Linux: hold the policy this way, and refuse where this machine cannot. Default: the strongest that it can. An error elsewhere. */
  readonly rung?: Rung
  /**
   * Linux: `linux-bwrap` has bubblewrap make the namespaces and mounts, with the launcher inside for the rest (docs/bwrap.md). Default:
   * `linux-native`, the launcher alone, which holds the same, faster and on more hosts. An error elsewhere.
   */
  readonly backend?: LinuxBackend
  /**
   * Windows: which of the two ways to confine. Default: `elevated`, which holds the network and denied reads as well, and has to be set up once.
   * Without effect elsewhere, so that one program can say it on all systems.
   */
  readonly windowsMode?: WindowsMode
  /** Refuse unless every limit that is asked for is held exactly: the policy's at the start, a command's own when it is run. */
  readonly requireLimits?: boolean
  /**
   * Asked about a host that no rule names, once for each host, protocol and port at a time. Anything but one of the request's
   * `availableDecisions` denies, as do a throw and no answer in time. Without it such hosts are denied. Denied hosts, and addresses that are not
   * public, are never asked about. While it waits, the command's own `timeoutMs` stands still.
   */
  readonly onApproval?: OnApproval
  /**
   * Commands are decided about before they run, by rules and an approval policy, and `onApproval` is asked about those that have to be:
   * docs/approvals.md. Without it every command runs, as whoever calls `exec` decided already.
   */
  readonly approvals?: CommandApprovalOptions
  /** How long an answer may take. Default: 300,000. */
  readonly approvalTimeoutMs?: number
  /** Java programs are told of the proxy too, by JAVA_TOOL_OPTIONS; each of them says so on stderr. Default: false. */
  readonly javaProxy?: boolean
  /** Accept `/` and home folders as writable roots. */
  readonly allowBroadRoots?: boolean
  /**
   * A copy of the package's launcher, for a program that this package is bundled into: absolute, outside every writable root.
   * Default: CODEX_SANDBOX_LAUNCHER, else the package's own.
   */
  readonly launcherPath?: string
  /** The SHA-256 in hex that the file at `launcherPath` must have. Default: that of the launcher that this package was built with. */
  readonly launcherSha256?: string
}

/** What `createSandbox` also takes from inside this package: a policy that was parsed already. */
export interface ParsedSandboxOptions extends Omit<SandboxOptions, 'policy'> {
  readonly policy: SandboxPolicy
  /** Paths that stay read-only whatever the roots, beside the package's own: what the embedding program runs or believes, such as its socket. */
  readonly selfPaths?: readonly string[]
}

export interface OutputOptions<E extends Encoding = Encoding> {
  /** Kept of each stream. Default: 1 MiB. */
  readonly maxBytes?: number
  /** Which part is kept where there is more. Default: `both` ends. */
  readonly keep?: 'head' | 'tail' | 'both'
  /**
   * A file on the host for all of the output, both streams in order of arrival, whatever `maxBytes` says. Written by this process and
   * not by the command; no symbolic link is followed on the way to it. Replaced where it exists. Relative to the policy's cwd.
   */
  readonly file?: string
  /** Default: `text`, UTF-8 in which U+FFFD stands for invalid bytes, and a line where something was dropped. */
  readonly encoding?: E
}

/**
 * Called for each piece of output, one call at a time: the command waits when a returned promise takes long. The piece is text, in which
 * no code point is split, or a Buffer with `encoding: 'bytes'`.
 */
export type OutputListener<E extends Encoding = 'text'> = (chunk: OutputOf<E>, stream: 'stdout' | 'stderr') => unknown

export interface CommandOptions<E extends Encoding = Encoding> {
  /** Absolute, or relative to the policy's cwd, which is the default. */
  readonly cwd?: string
  /** Merged over the environment that the policy gives; null removes. */
  readonly env?: Readonly<Record<string, string | null | undefined>>
  readonly timeoutMs?: number
  /** Ends it, as a time-out does, when it has written nothing for so long. Time in which its output waits for the caller does not count. */
  readonly idleTimeoutMs?: number
  /** Between SIGTERM and SIGKILL, after a time-out or an abort. Default: 2000. */
  readonly killGraceMs?: number
  readonly signal?: AbortSignal
  readonly output?: OutputOptions<E>
  /** Called while the command runs, once for each denial that the launcher sees; and at its end for those that only stderr told. */
  readonly onDenial?: (denial: Denial) => void
  /** May only narrow the policy's. */
  readonly limits?: Limits
  /**
   * What becomes of the processes that are left when the command itself has ended. `kill` (the default): they are ended, and named in
   * `ended`. `keep`: they go on as a session (`session` of the result, `sandbox.sessions`) until they end, are killed, or the sandbox
   * closes. After a time-out or an abort nothing is kept.
   */
  readonly background?: 'kill' | 'keep'
  /**
   * Narrows this command's way to the network: of what the sandbox permits, only these hosts, and nobody is asked about others. It gets
   * a network namespace and a proxy of its own, so that it shares no loopback with the others.
   */
  readonly network?: CommandNetwork
  /** Widens this command alone, in the form of a denial's `remedy.additionalPermissions`. It shares no loopback with the others. */
  readonly additionalPermissions?: AdditionalPermissions
}

export interface ExecOptions<E extends Encoding = Encoding> extends CommandOptions<E> {
  /** Default: at its end from the start. */
  readonly stdin?: string | Uint8Array | Readable | AsyncIterable<string | Uint8Array>
  readonly onOutput?: OutputListener<E>
}

/** Of `exec` and `shell` in a sandbox with `approvals`. */
export interface ApprovalChoice {
  /**
   * `require_escalated`: without the sandbox, which is always asked about. `with_additional_permissions`: with `additionalPermissions`,
   * which are asked about too. Default: that where there are any, else `use_default`.
   */
  readonly sandboxPermissions?: SandboxPermissions
  /** Shown to whoever is asked. */
  readonly justification?: string
  /** The beginning of the command that a rule could be made of. */
  readonly prefixRule?: readonly string[]
}

export interface SpawnOptions<E extends Encoding = Encoding> extends CommandOptions<E> {
  /** Default: `pipe`. `empty`: at its end from the start. */
  readonly stdin?: 'pipe' | 'empty'
  /** A terminal made inside, for stdin, stdout and stderr. */
  readonly tty?: boolean | { readonly rows: number; readonly cols: number }
}

/** A shell by its name (`bash`, `sh`, `zsh`, `fish`, `pwsh`, `cmd`, …) or path, and whether it reads the profile as a login shell does. */
export interface ShellChoice {
  /** Default: `bash` where there is one inside, else `sh`. */
  readonly shell?: string
  /** Default: false. */
  readonly login?: boolean
}
export type ShellOptions<E extends Encoding = Encoding> = ExecOptions<E> & ShellChoice
export type SpawnShellOptions<E extends Encoding = Encoding> = SpawnOptions<E> & ShellChoice

/** Of a command that begins in the background. */
export interface SessionOptions extends Pick<CommandOptions, 'cwd' | 'env' | 'limits' | 'additionalPermissions' | 'network'> {
  /** Default: `pipe`, for `sessions.write`. `empty`: at its end from the start. */
  readonly stdin?: 'pipe' | 'empty'
  /** A terminal made inside. */
  readonly tty?: boolean | { readonly rows: number; readonly cols: number }
}
