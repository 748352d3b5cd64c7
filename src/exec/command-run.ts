// One command from its start to its result: time-outs, aborts, failures to start, and what its end means.
// What happens to its output and input is its user's: `exec` collects, `spawn` has streams.
import { constants } from 'node:os'
import { SandboxError } from '../errors.js'
import type { AccessReport, CommandExit, CommandHandlers, Launcher, RunningCommand, StartFailure } from '../platform/backend.js'
import type { CommandPlan, Enforcement, LaunchPlan } from '../platform/launch-plan.js'
import type { HostSnapshot } from '../policy/host-snapshot.js'
import type { ResolvedPolicy } from '../policy/resolved-policy.js'
import type { Circumstances } from './access-denial.js'
import { CommandClock } from './command-clock.js'
import type { Denial } from './denial.js'
import type { DenialJudge } from './denial-judge.js'
import { type DenialListener, DenialLog } from './denial-log.js'
import { type Environment, mergeEnvironment } from './environment.js'
import type { StreamName } from './kept-output.js'
import { enforcementWith, groupLimitsOf, narrowLimits } from './limits.js'
import { nowMs } from './monotonic-clock.js'
import type { ConnectionListener } from './network/proxied-launcher.js'
import type { CommandOptions } from './options.js'
import type { GitLinks } from './git-links.js'
import type { LookAtHost } from './prepare.js'
import { type Encoding, type ExecResult, exitCodeOf, type Interruption, isTimeout, limitOf, type OutputOf, signalName, TO_KEEP } from './result.js'
import type { Cancellable, RunningCommands } from './running-commands.js'
import type { Session } from './session.js'
import type { Sessions } from './sessions.js'
import type { ShellFinder } from './shells.js'
import { startOutcome } from './start-outcome.js'
import { findWorkingDirectory } from './working-directory.js'

const DEFAULT_KILL_GRACE_MS = 2_000

/** What all commands of a sandbox share. */
export interface CommandContext {
  readonly launcher: Launcher
  readonly plan: LaunchPlan
  readonly policy: ResolvedPolicy
  readonly environment: Environment
  /** This machine as it is now. */
  readonly lookAtHost: LookAtHost
  /** Where commands may write an index of git. */
  readonly gitLinks?: GitLinks
  readonly judge: DenialJudge
  /** Those that run, so that `close` can end them. */
  readonly running: RunningCommands
  /** Those in the background. */
  readonly sessions: Sessions
  readonly shells: ShellFinder
  /** No command may have a limit that is not held exactly. */
  readonly requireLimits?: boolean
  /** Its launcher is still being started; rejects with why it could not be. */
  readonly starting?: Promise<void>
}

/** How a command is run beside what its caller's options say. */
export interface RunWiring extends Pick<CommandPlan, 'stdin' | 'terminal'> {
  /** It is a session from the start: nobody waits for it. */
  readonly background?: true
  /** All of it, in place of what `options.env` makes of the policy's. */
  readonly env?: readonly string[]
  /** What runs instead where the program cannot be executed. */
  readonly otherwise?: readonly string[]
}

/** The command as it ended, with its output collected. */
export interface CommandOutput<E extends Encoding> {
  readonly stdout: OutputOf<E>
  readonly stderr: OutputOf<E>
  readonly output: OutputOf<E>
  readonly dropped: ExecResult['dropped']
}

/** What a user of `CommandRun` does with a command. */
export interface CommandUse<E extends Encoding = Encoding> {
  onOutput(stream: StreamName, chunk: Buffer): void
  onStarted?(hostPid: number): void
  /** Its program is missing or cannot be executed: the result, 127 or 126, follows. */
  onNotExecuted?(failure: StartFailure): void
  onStdinDrained?(): void
  onStopped?(signal: number): void
  onContinued?(): void
  /** The command has to end at once: from here on no output may wait for its reader. */
  onKill?(): void
  /** The command is over. Returns a promise where output is still on its way to the caller. */
  onOver?(): Promise<void> | undefined
  /** Called once, after `onOver`. */
  collect(): CommandOutput<E>
  /** Where the command reports denials, as far as it was kept. */
  errorText(): string
  /** Who listens for denials while it runs, if anybody does. */
  hearsDenial?(): DenialListener | undefined
  /** Output waits for the caller: then a command that writes nothing is not idle. */
  isWaiting?(): boolean
}

export class CommandRun<E extends Encoding = Encoding> implements CommandHandlers, ConnectionListener, Cancellable {
  readonly result: Promise<ExecResult<E>>
  readonly #context: CommandContext
  readonly #options: CommandOptions<E>
  readonly #use: CommandUse<E>
  readonly #enforcement: Enforcement
  readonly #startedAt = nowMs()
  #command: CommandPlan
  /** Runs where the program of `#command` cannot be executed. */
  #otherwise: readonly string[] | undefined
  /** The command, or what it leaves behind, where that goes on in the background. */
  readonly session: Session | undefined
  /** How it ended itself, where what it left goes on or was ended with it. */
  #left: CommandExit | undefined
  /** From here on output is the session's: nobody waits for this command any more. */
  #inBackground = false
  #running: RunningCommand | undefined
  readonly #log: DenialLog
  readonly #gitOperations: string[] = []
  #interruption: Interruption
  /** What the caller's own code threw: the result then. */
  #callerError: { readonly error: unknown } | undefined
  readonly #clock: CommandClock
  #graceTimer: NodeJS.Timeout | undefined
  #killed = false
  /** Nothing of it is left. */
  #gone = false
  #resolve!: (result: ExecResult<E>) => void
  #reject!: (error: unknown) => void

  /**
   * @throws SandboxError for what is wrong with the command itself; then nothing was started
   */
  constructor(context: CommandContext, argv: readonly string[], options: CommandOptions<E>, wiring: RunWiring, use: CommandUse<E>) {
    this.#context = context
    this.#options = options
    this.#use = use
    const keep = options.background === 'keep' || wiring.background === true
    const limits = narrowLimits(context.policy.limits, options.limits)
    const groupLimits = groupLimitsOf(context.plan, limits)
    this.#command = {
      argv,
      cwd: findWorkingDirectory(context.plan.cwd, options.cwd),
      env: wiring.env ?? mergeEnvironment(context.environment, options.env, wiring.terminal !== undefined),
      stdin: wiring.stdin,
      limits,
      ...(groupLimits === undefined ? undefined : { groupLimits }),
      ...(wiring.terminal === undefined ? undefined : { terminal: wiring.terminal }),
      ...(keep ? { keep, reportStart: true } : use.onStarted === undefined ? undefined : { reportStart: true }),
    }
    this.#otherwise = wiring.otherwise
    this.#enforcement = enforcementWith(context.plan, options.limits, context.requireLimits === true)
    this.#log = new DenialLog({
      judge: context.judge,
      circumstances: () => new CommandCircumstances(context, this.#command.cwd.path),
      observe: 'observe' in context.plan ? context.plan.observe : 'off',
      listener: () => this.#listener(),
      failed: error => this.abandon(error),
    })
    this.#clock = new CommandClock(options, { isWaiting: () => use.isWaiting?.() === true, over: why => this.interrupt(why) })
    this.session = keep ? context.sessions.open(argv, this.#command.cwd.path) : undefined
    this.result = new Promise((resolve, reject) => {
      this.#resolve = resolve
      this.#reject = reject
    })
    try {
      this.#start()
    } catch (error) {
      this.session?.over(undefined)
      throw error
    }
    if (wiring.background !== true) return
    this.#inBackground = true
    this.session?.show(this)
  }

  /** Undefined where it was cancelled before it began. */
  get running(): RunningCommand | undefined {
    return this.#running
  }

  #start(): void {
    const { signal } = this.#options
    if (signal?.aborted) {
      this.#interruption = 'cancelled'
      this.onExit({ ...NOTHING_RAN, signal: constants.signals.SIGTERM })
      return
    }
    this.#running = this.#context.launcher.run(this.#command, this)
    this.#context.running.add(this)
    signal?.addEventListener('abort', this.#abort)
    this.#clock.start()
  }

  /** SIGTERM now, the end of its whole tree after the grace. The first reason stands. */
  interrupt(why: NonNullable<Interruption>): void {
    if (this.#gone || this.#inBackground || this.#interruption !== undefined) return
    this.#interruption = why
    this.#clock.stop()
    const graceMs = this.#options.killGraceMs ?? DEFAULT_KILL_GRACE_MS
    if (graceMs === 0) return this.kill()
    this.#running?.signal(constants.signals.SIGTERM)
    this.#graceTimer = setTimeout(() => this.kill(), graceMs)
  }

  /** The sandbox closes. */
  cancel(): void {
    if (this.#gone) return
    this.#interruption ??= 'cancelled'
    this.kill()
  }

  kill(): void {
    if (this.#gone || this.#killed) return
    this.#killed = true
    this.#running?.kill()
    this.#use.onKill?.()
  }

  /** The caller's own code failed: the command is ended, and the result is that error. */
  abandon(error: unknown): void {
    this.#callerError ??= { error }
    this.kill()
  }

  onOutput(stream: StreamName, chunk: Buffer): void {
    if (this.#inBackground) this.session?.take(stream, chunk)
    else this.session?.record(stream, chunk)
    this.#clock.hear()
    if (!this.#inBackground || this.session?.state === 'running') this.#use.onOutput(stream, chunk)
  }

  onStarted(hostPid: number): void {
    this.session?.started(hostPid)
    this.#use.onStarted?.(hostPid)
  }

  onStopped(signal: number): void { this.#use.onStopped?.(signal) }
  onContinued(): void { this.#use.onContinued?.() }

  onStdinDrained(): void {
    this.session?.drained()
    this.#use.onStdinDrained?.()
  }

  onAccess(report: AccessReport): void {
    // The result has been given.
    if (this.session?.state !== 'left') this.#log.add(report)
  }

  onHostDenied(denial: Denial): void {
    if (this.session?.state !== 'left') this.#log.addKnown(denial)
  }

  onPrompt(open: boolean): void {
    this.#clock.prompt(open)
  }

  onAccessesLost(count: number): void {
    this.#log.lost += count
  }

  onGitOperation(path: string): void {
    this.#gitOperations.push(path)
  }

  #listener(): DenialListener | undefined {
    const { onDenial } = this.#options
    const hears = this.#use.hearsDenial?.()
    if (onDenial === undefined || hears === undefined) return onDenial ?? hears
    return denial => {
      onDenial(denial)
      hears(denial)
    }
  }

  /** The command itself ended; what it left goes on, unless it was to end at once. */
  onLeft(exit: CommandExit): void {
    this.#left = exit
    if (this.#interruption !== undefined || this.#callerError !== undefined || this.session === undefined) return this.kill()
    if (this.#killed) return
    this.#stopWaiting()
    this.session.commandLeft(exit)
    if (!this.#inBackground) {
      this.#inBackground = true
      this.session.show(this)
    }
    this.#deliver({ ...exit, ended: [] }, { id: this.session.id, processes: exit.ended, cursor: this.session.output.bytes })
  }

  onExit(exit: CommandExit): void {
    const told = this.session?.state === 'left'
    this.#stop()
    this.session?.over(exit)
    if (!told) this.#deliver(this.#left ?? exit)
  }

  onFailed(failure: StartFailure): void {
    if (this.#runsOtherwise(failure)) return
    const outcome = startOutcome(failure, this.#command)
    if (outcome instanceof SandboxError) {
      const told = this.session?.state === 'left'
      this.#stop()
      this.session?.over(undefined)
      if (!told) void this.#use.onOver?.()
      this.#reject(outcome)
      return
    }
    this.#use.onNotExecuted?.(failure)
    this.onOutput('stderr', Buffer.from(outcome.line))
    this.onExit({ ...NOTHING_RAN, exitCode: outcome.exitCode })
  }

  /** Whether another command was started in place of a program that cannot be executed. */
  #runsOtherwise({ step, errno }: StartFailure): boolean {
    const argv = this.#otherwise
    if (argv === undefined || step !== 'exec' || errno === 'E2BIG' || this.#killed || this.#interruption !== undefined) return false
    this.#otherwise = undefined
    this.#command = { ...this.#command, argv }
    try {
      this.#running = this.#context.launcher.run(this.#command, this)
      return true
    } catch {
      // The launcher is gone or closing: what it was asked first is told.
      return false
    }
  }

  readonly #abort = (): void => this.interrupt('cancelled')

  #stopWaiting(): void {
    this.#clock.stop()
    clearTimeout(this.#graceTimer)
    this.#options.signal?.removeEventListener('abort', this.#abort)
  }

  #stop(): void {
    this.#gone = true
    this.#stopWaiting()
    this.#context.running.delete(this)
  }

  #deliver(exit: CommandExit, session?: ExecResult['session']): void {
    const delivered = this.#use.onOver?.()
    if (delivered === undefined) return this.#finish(exit, session)
    // A receiver that never answers must not keep back a time-out's result.
    const giveUp = this.#interruption === undefined ? undefined : setTimeout(() => this.#finish(exit, session), DEFAULT_KILL_GRACE_MS)
    delivered.then(() => {
      clearTimeout(giveUp)
      this.#finish(exit, session)
    }, this.#reject)
  }

  #finish(exit: CommandExit, session: ExecResult['session']): void {
    if (this.#callerError !== undefined) return this.#reject(this.#callerError.error)
    try {
      const denials = this.#log.find(this.#use.errorText())
      if (denials instanceof Promise) denials.then(found => this.#give(exit, session, found)).catch(this.#reject)
      else this.#give(exit, session, denials)
    } catch (error) {
      this.#reject(error)
    }
  }

  #give(exit: CommandExit, session: ExecResult['session'], denials: readonly Denial[]): void {
    // A listener threw.
    if (this.#callerError !== undefined) this.#reject(this.#callerError.error)
    else this.#resolve(this.#makeResult(exit, session, denials))
  }

  #makeResult(exit: CommandExit, session: ExecResult['session'], denials: readonly Denial[]): ExecResult<E> {
    const { stdout, stderr, output, dropped } = this.#use.collect()
    const limit = limitOf(exit, this.#command.limits)
    const interruption = this.#interruption
    this.session?.denied(denials)
    const gitLinks = this.#context.gitLinks?.find() ?? []
    return {
      exitCode: exitCodeOf(exit, interruption),
      signal: signalName(exit.signal),
      timedOut: isTimeout(interruption),
      ...(isTimeout(interruption) ? { timedOutBy: interruption } : undefined),
      cancelled: interruption === 'cancelled',
      ...(limit === undefined ? undefined : { limit }),
      ...(exit.reason === 'host-changed-protected-path' ? { changedPath: exit.path ?? '' } : undefined),
      stdout, stderr, output, dropped,
      durationMs: nowMs() - this.#startedAt,
      usage: { cpuMs: exit.cpuMs, maxRssBytes: exit.maxRssBytes },
      denials,
      ...(this.#log.lost === 0 ? undefined : { denialsLost: this.#log.lost }),
      ...(this.#gitOperations.length === 0 ? undefined : { gitOperations: this.#gitOperations }),
      ...(gitLinks.length === 0 ? undefined : { gitLinks }),
      ended: exit.ended,
      ...(exit.ended.length === 0 ? undefined : { toKeep: TO_KEEP }),
      ...(session === undefined ? undefined : { session }),
      environment: { dropped: this.#context.environment.dropped },
      enforcement: this.#enforcement,
    }
  }

}

/** With the host as it is when something about it is asked first. */
class CommandCircumstances implements Circumstances {
  readonly policy: ResolvedPolicy
  readonly cwd: string
  readonly #lookAtHost: LookAtHost
  #host: HostSnapshot | undefined

  constructor({ policy, lookAtHost }: CommandContext, cwd: string) {
    this.policy = policy
    this.cwd = cwd
    this.#lookAtHost = lookAtHost
  }

  get host(): HostSnapshot {
    this.#host ??= this.#lookAtHost('files')
    return this.#host
  }
}

const NOTHING_RAN: CommandExit = { exitCode: undefined, signal: undefined, reason: 'none', path: undefined, cpuMs: 0, maxRssBytes: 0, ended: [] }
