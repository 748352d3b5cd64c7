// One command from its start to its result: time-outs, aborts, failures to start, and what its end means.
// What happens to its output and input is its user's: `exec` collects, `spawn` has streams.
import { constants } from 'node:os'
import { resolve as resolvePath } from 'node:path'
import { existsSync } from 'node:fs'
import { SandboxError } from '../errors.js'
import type { AccessReport, CommandExit, CommandHandlers, Launcher, RunningCommand, StartFailure } from '../platform/backend.js'
import type { CommandPlan, Enforcement, LaunchPlan } from '../platform/launch-plan.js'
import type { HostSnapshot } from '../policy/host-snapshot.js'
import type { ResolvedPolicy } from '../policy/resolved-policy.js'
import type { Denial } from './denial.js'
import { type Environment, mergeEnvironment } from './environment.js'
import { EXHAUSTED } from './exhausted.js'
import type { StreamName } from './kept-output.js'
import { enforcementWith, groupLimitsOf, narrowLimits } from './limits.js'
import type { CommandOptions } from './options.js'
import { type Encoding, EXIT_CODE, type ExecResult, exitCodeOf, type Interruption, limitOf, type OutputOf, signalName } from './result.js'
import type { Cancellable, RunningCommands } from './running-commands.js'
import { cwdError, findWorkingDirectory } from './working-directory.js'

const DEFAULT_KILL_GRACE_MS = 2_000
const NO_DENIALS: readonly Denial[] = []

/** What all commands of a sandbox share. */
export interface CommandContext {
  readonly launcher: Launcher
  readonly plan: LaunchPlan
  readonly policy: ResolvedPolicy
  readonly environment: Environment
  /** This machine as it is now. */
  readonly lookAtHost: () => HostSnapshot
  /** Those that run, so that `close` can end them. */
  readonly running: RunningCommands
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
}

export class CommandRun<E extends Encoding = Encoding> implements CommandHandlers, Cancellable {
  readonly result: Promise<ExecResult<E>>
  readonly #context: CommandContext
  readonly #options: CommandOptions<E>
  readonly #use: CommandUse<E>
  readonly #command: CommandPlan
  readonly #enforcement: Enforcement
  readonly #startedAt = performance.now()
  #running: RunningCommand | undefined
  #reports: AccessReport[] | undefined
  #interruption: Interruption
  /** What the caller's own code threw: the result then. */
  #callerError: { readonly error: unknown } | undefined
  #timer: NodeJS.Timeout | undefined
  #killed = false
  #over = false
  #resolve!: (result: ExecResult<E>) => void
  #reject!: (error: unknown) => void

  /**
   * @throws SandboxError for what is wrong with the command itself; then nothing was started
   */
  constructor(context: CommandContext, argv: readonly string[], options: CommandOptions<E>, io: Pick<CommandPlan, 'stdin' | 'terminal'>, use: CommandUse<E>) {
    this.#context = context
    this.#options = options
    this.#use = use
    const limits = narrowLimits(context.policy.limits, options.limits)
    const groupLimits = groupLimitsOf(context.plan, limits)
    this.#command = {
      argv,
      cwd: findWorkingDirectory(context.plan.cwd, options.cwd),
      env: mergeEnvironment(context.environment, options.env),
      stdin: io.stdin,
      limits,
      ...(groupLimits === undefined ? undefined : { groupLimits }),
      ...(io.terminal === undefined ? undefined : { terminal: io.terminal }),
      ...(use.onStarted === undefined ? undefined : { reportStart: true }),
    }
    this.#enforcement = enforcementWith(context.plan, options.limits)
    this.result = new Promise((resolve, reject) => {
      this.#resolve = resolve
      this.#reject = reject
    })
    this.#start()
  }

  /** Undefined where it was cancelled before it began. */
  get running(): RunningCommand | undefined {
    return this.#running
  }

  #start(): void {
    const { signal, timeoutMs } = this.#options
    if (signal?.aborted) {
      this.#interruption = 'cancelled'
      this.onExit({ exitCode: undefined, signal: constants.signals.SIGTERM, reason: 'none', path: undefined, cpuMs: 0, maxRssBytes: 0, ended: [] })
      return
    }
    this.#running = this.#context.launcher.run(this.#command, this)
    this.#context.running.add(this)
    signal?.addEventListener('abort', this.#abort)
    if (timeoutMs !== undefined) this.#timer = setTimeout(() => this.interrupt('timed-out'), timeoutMs)
  }

  /** SIGTERM now, the end of its whole tree after the grace. The first reason stands. */
  interrupt(why: 'timed-out' | 'cancelled'): void {
    if (this.#over || this.#interruption !== undefined) return
    this.#interruption = why
    clearTimeout(this.#timer)
    const graceMs = this.#options.killGraceMs ?? DEFAULT_KILL_GRACE_MS
    if (graceMs === 0) return this.kill()
    this.#running?.signal(constants.signals.SIGTERM)
    this.#timer = setTimeout(() => this.kill(), graceMs)
  }

  /** The sandbox closes. */
  cancel(): void {
    if (this.#over) return
    this.#interruption ??= 'cancelled'
    this.kill()
  }

  kill(): void {
    if (this.#over || this.#killed) return
    this.#killed = true
    this.#running?.kill()
    this.#use.onKill?.()
  }

  /** The caller's own code failed: the command is ended, and the result is that error. */
  abandon(error: unknown): void {
    this.#callerError ??= { error }
    this.kill()
  }

  onOutput(stream: StreamName, chunk: Buffer): void { this.#use.onOutput(stream, chunk) }
  onStarted(hostPid: number): void { this.#use.onStarted?.(hostPid) }
  onStopped(signal: number): void { this.#use.onStopped?.(signal) }
  onContinued(): void { this.#use.onContinued?.() }
  onStdinDrained(): void { this.#use.onStdinDrained?.() }

  onAccess(report: AccessReport): void {
    this.#reports ??= []
    this.#reports.push(report)
  }

  onExit(exit: CommandExit): void {
    this.#stop()
    const delivered = this.#use.onOver?.()
    if (delivered === undefined) this.#finish(exit)
    else delivered.then(() => this.#finish(exit), this.#reject)
  }

  onFailed(failure: StartFailure): void {
    const outcome = startOutcome(failure, this.#command)
    if (outcome instanceof SandboxError) {
      this.#stop()
      void this.#use.onOver?.()
      this.#reject(outcome)
      return
    }
    this.#use.onOutput('stderr', Buffer.from(outcome.line))
    this.onExit({ exitCode: outcome.exitCode, signal: undefined, reason: 'none', path: undefined, cpuMs: 0, maxRssBytes: 0, ended: [] })
  }

  readonly #abort = (): void => this.interrupt('cancelled')

  #stop(): void {
    this.#over = true
    clearTimeout(this.#timer)
    this.#options.signal?.removeEventListener('abort', this.#abort)
    this.#context.running.delete(this)
  }

  #finish(exit: CommandExit): void {
    if (this.#callerError !== undefined) return this.#reject(this.#callerError.error)
    const denials = this.#findDenials()
    if (denials === undefined) return this.#resolve(this.#makeResult(exit, NO_DENIALS))
    denials.then(found => this.#resolve(this.#makeResult(exit, found))).catch(this.#reject)
  }

  #makeResult(exit: CommandExit, denials: readonly Denial[]): ExecResult<E> {
    const { stdout, stderr, output, dropped } = this.#use.collect()
    const limit = limitOf(exit, this.#command.limits)
    return {
      exitCode: exitCodeOf(exit, this.#interruption),
      signal: signalName(exit.signal),
      timedOut: this.#interruption === 'timed-out',
      cancelled: this.#interruption === 'cancelled',
      ...(limit === undefined ? undefined : { limit }),
      ...(exit.reason === 'host-changed-protected-path' ? { changedPath: exit.path ?? '' } : undefined),
      stdout, stderr, output, dropped,
      durationMs: performance.now() - this.#startedAt,
      usage: { cpuMs: exit.cpuMs, maxRssBytes: exit.maxRssBytes },
      denials,
      ended: exit.ended,
      environment: { dropped: this.#context.environment.dropped },
      enforcement: this.#enforcement,
    }
  }

  /** Mostly there are none: then their reader is not even loaded. */
  #findDenials(): Promise<readonly Denial[]> | undefined {
    const text = this.#use.errorText()
    if (this.#reports === undefined && !DENIAL_WORDS.test(text)) return undefined
    const { policy, lookAtHost } = this.#context
    return import('./denials.js').then(({ findDenials }) => findDenials({ policy, host: lookAtHost(), cwd: this.#command.cwd.path, text, reports: this.#reports ?? [] }))
  }
}

/** What the C library has for EACCES, EPERM and EROFS; other programs start theirs in lower case. */
const DENIAL_WORDS = /permission denied|operation not permitted|read-only file system/i

/** A program that does not start is the command's failure, told as a shell does; everything else is the sandbox's. */
function startOutcome({ step, errno, path }: StartFailure, command: CommandPlan): SandboxError | { exitCode: number; line: string } {
  const program = command.argv[0] as string
  switch (step) {
    case 'exec':           return errno === 'E2BIG' ? new SandboxError('arguments_too_large', { field: 'argv', value: program }) : programOutcome(program, errno, command.cwd.path)
    case 'enter_cwd':      return cwdError(command.cwd.path, errno)
    case 'recheck':        return new SandboxError('set_up_failed', { step, errno, ...(path === undefined ? {} : { path }) }, { detail: 'it is no longer what it was when the sandbox was made', remedy: 'Create a new sandbox.' })
    case 'launcher_lost':  return new SandboxError('launcher_lost', { step: 'launcher', errno })
    case 'sandbox_closed': return new SandboxError('sandbox_closed', { field: 'sandbox', value: program })
    default:               return new SandboxError('set_up_failed', { step, errno, ...(path === undefined ? {} : { path }) }, EXHAUSTED[errno])
  }
}

const EXEC_WORDS: Readonly<Record<string, string>> = {
  EACCES: 'Permission denied', EPERM: 'Operation not permitted', ENOEXEC: 'not an executable format', ELOOP: 'too many symbolic links',
  ETXTBSY: 'is being written', ENAMETOOLONG: 'its name is too long', EISDIR: 'is a directory',
}

function programOutcome(program: string, errno: string, cwd: string): { exitCode: number; line: string } {
  const missing = errno === 'ENOENT' || errno === 'ENOTDIR'
  const words = !missing ? EXEC_WORDS[errno] ?? errno
    : program.includes('/') && existsSync(resolvePath(cwd, program)) ? 'it is there, but the interpreter or loader that it names was not found'
    : 'not found'
  return { exitCode: missing ? EXIT_CODE.notFound : EXIT_CODE.notExecutable, line: `codex-sandbox: ${printableName(program)}: ${words}\n` }
}

/** A name cannot forge a line. */
const printableName = (name: string): string => /[\p{Cc}]/u.test(name) || name === '' ? JSON.stringify(name) : name
