// All that the rest of the project knows of an operating system.
import type { Server } from 'node:net'
import type { FileIdentity, WindowsFacts } from '../policy/host-snapshot.js'
import type { ResolvedPolicy } from '../policy/resolved-policy.js'
import type { Limits } from '../policy/sandbox-policy.js'
import type { BackendName, BwrapProgram, CommandPlan, DegradationName, Enforcement, GroupLimit, LaunchPlan, Observation, PlannedListener, Rung } from './launch-plan.js'

/** One layer of enforcement on this host: there, or why not and what to do. */
export interface LayerReport {
  /** Such as `user-namespace`, `mount-namespace`, `landlock`, `seccomp`, `user-notification`. */
  readonly layer: string
  readonly available: boolean
  /** Version or other detail where available: Landlock's ABI. */
  readonly version?: number
  /** The name of the errno that refused it. */
  readonly errno?: string
  readonly reason?: string
  readonly remedy?: string
  /** Of `bwrap`: which. */
  readonly program?: BwrapProgram
}

/** Whether control groups can hold limits of a whole command here, and where they are made. */
export type GroupReport =
  | { readonly available: true; readonly parent: string; readonly holds: readonly GroupLimit[] }
  | { readonly available: false; readonly reason: string }

/** Whether control groups can end commands here (cgroup.kill), and where they are made. */
export type EndingGroupReport =
  | { readonly available: true; readonly parent: string }
  | { readonly available: false; readonly reason: string }

/** What a command may reach beside what the policy's own word for the network says. */
export interface NetworkEndpoints {
  /** Ports of the sandbox's own proxy on the loopback: with one of them there is no other way out. */
  readonly proxyPorts?: readonly number[]
  /** Own servers on the host's loopback, where a sandbox has none of its own. */
  readonly localBinding?: boolean
  /** Paths of unix sockets, or of folders of them, canonical. */
  readonly unixSockets?: readonly string[]
}

export interface CompileOptions {
  readonly allowDegraded: ReadonlySet<DegradationName>
  readonly limits: Limits
  readonly architecture: 'x64' | 'arm64'
  readonly stateDirectory: string
  readonly cwdIdentity: FileIdentity
  /** Absent: `reads` where the policy restricts reading as a whole, else `writes`. */
  readonly observe?: Observation
  /** Absent: nobody asked. */
  readonly groups?: GroupReport
  /** Absent: nobody asked. */
  readonly endingGroup?: EndingGroupReport
  /** Absent: the strongest one that this host has. */
  readonly rung?: Rung
  readonly endpoints?: NetworkEndpoints
  /** On Windows. */
  readonly windows?: WindowsFacts
  /** On Windows: where set-up keeps what it has made. */
  readonly codexHome?: string
  /** For a plan that is only looked at: what set-up would make is supposed to be there. */
  readonly supposeSetUp?: boolean
  /** For set-up itself: access lists that do not have what the plan needs do not refuse it. */
  readonly isSettingUp?: boolean
}

export interface Backend {
  readonly name: BackendName
  /** What it runs outside of the sandbox beside the launcher. Where a policy makes one of them writable, nothing of it may run. */
  readonly programs?: readonly { readonly field: string; readonly path: string }[]
  /** Asks the host which layers it offers, and why not. Changes nothing. */
  probe(): Promise<readonly LayerReport[]>
  /** What an earlier probe found on this boot, where all layers were there; undefined: probe. */
  recall?(stateDirectory: string): readonly LayerReport[] | undefined
  /** Keeps what a probe found for `recall`. */
  keep?(stateDirectory: string, layers: readonly LayerReport[]): void
  /** Asks the host for control groups. Changes nothing. */
  findGroups?(): GroupReport
  /** Asks for control groups that end commands, where something here would use them. Changes nothing. */
  findEndingGroup?(layers: readonly LayerReport[]): EndingGroupReport | undefined
  /** Pure. Afterwards each rule is enforced by a step, or named in `plan.degraded`, or has thrown `rule_not_enforceable`. */
  compile(policy: ResolvedPolicy, layers: readonly LayerReport[], options: CompileOptions): LaunchPlan
  /** The only side effects. Everything that `start` made is gone after `Launcher.close()`. */
  start(plan: LaunchPlan): Promise<Launcher>
}

/** Why a command was ended by the launcher itself. */
export type EndReason = 'none' | 'killed' | 'host-changed-protected-path' | 'memory-limit' | 'pids-limit' | 'cpu-limit'

/** One process that was still there when the command itself ended, and was ended with it. */
export interface EndedProcess {
  /** As seen inside the command's PID namespace. */
  readonly pid: number
  readonly name: string
}

export interface CommandExit {
  /** Exit code, or undefined when it was ended by a signal. */
  readonly exitCode: number | undefined
  /** The signal's number, or undefined. */
  readonly signal: number | undefined
  readonly reason: EndReason
  /** With `host-changed-protected-path`: which. */
  readonly path: string | undefined
  readonly cpuMs: number
  readonly maxRssBytes: number
  readonly ended: readonly EndedProcess[]
}

/** A step of one command that failed before its program ran: `{step: 'exec', errno: 'ENOENT'}` for a missing program. */
export interface StartFailure {
  readonly step: string
  readonly errno: string
  readonly path: string | undefined
}

export type AccessOperation = 'read' | 'write' | 'create' | 'remove' | 'execute' | 'unix-connect' | 'connect' | 'system-call'

/** What a command tried, as the launcher saw it: refused there, or seen on its way to the kernel, where it may have been refused. */
export interface AccessReport {
  readonly operation: AccessOperation
  /** Canonical, as far as it could be resolved; `address:port` of a connect; the name of a system call. Undefined: the program may not be looked into. */
  readonly path: string | undefined
  /** The launcher itself refused it. */
  readonly refused: boolean
  /** The file's own mode refuses it, or that of a mask over it. */
  readonly modeRefuses: boolean
  /** Nothing stood at the name when it was tried. Absent: that was not looked at, or something did. */
  readonly missing?: true
  /** As seen from the host. Absent: not known there. */
  readonly pid?: number
  readonly program: string
}

export interface CommandHandlers {
  /** A chunk of output; the launcher stops reading once `window` bytes of a stream are not yet consumed (see `consumed`). */
  onOutput(stream: 'stdout' | 'stderr', chunk: Buffer): void
  /** The program runs. */
  onStarted?(hostPid: number): void
  onStopped?(signal: number): void
  onContinued?(): void
  onAccess?(report: AccessReport): void
  /** Before `onExit`: so many reports were too many to be told. */
  onAccessesLost?(count: number): void
  /** Before `onExit` or `onLeft`: a git operation that takes several steps is under way in this sandbox alone; where it would lie, canonical. */
  onGitOperation?(path: string): void
  /** `bytes` of stdin were taken by the command: more may be written. */
  onStdinDrained?(): void
  /** The command itself ended, its output was delivered, and what `exit.ended` names goes on: only where the plan says `keep`. `onExit` follows when that is gone. */
  onLeft?(exit: CommandExit): void
  /** Exactly one of the two comes, last. `onExit` only when the whole tree of the command is gone and its output was delivered. */
  onExit(exit: CommandExit): void
  onFailed(failure: StartFailure): void
}

export interface RunningCommand {
  /** Tells that `bytes` of a stream were dealt with, so that as many may come. */
  consumed(stream: 'stdout' | 'stderr', bytes: number): void
  /** Returns false when the caller should wait for `onStdinDrained`. */
  writeStdin(data: Uint8Array): boolean
  closeStdin(): void
  /** Sends a signal to the command's process group; after `onLeft`, to all that is left. */
  signal(number: number): void
  /** SIGKILL to the whole tree. */
  kill(): void
  resize(rows: number, cols: number): void
  /** Whether this command keeps Node alive; it does unless told otherwise. */
  ref(): void
  unref(): void
}

/** A listener that accepts what commands connect to. */
export interface HeldListener extends PlannedListener {
  /** The port that it has. */
  readonly port: number
  /** Nobody listens to it yet; closed with the launcher. */
  readonly server: Server
}

export interface Launcher {
  readonly enforcement: Enforcement
  /** Those of the plan, in its order, that this back end made. Absent: none. */
  readonly listeners?: readonly HeldListener[]
  /** Host process id of the launcher; undefined for a back end without one, and while none runs. */
  readonly pid: number | undefined
  run(command: CommandPlan, handlers: CommandHandlers): RunningCommand
  /** Called once if the launcher ends by itself; every running command has then failed with `launcher_lost`. */
  onLost(listener: () => void): void
  /** Ends all commands, removes what it put on the host, and resolves when it is gone. Idempotent. */
  close(): Promise<void>
}
