// The runner's client: starts it once a sandbox, gives it the token's plan, puts the plan's proofs to the system, and sends it commands. Node
// decides here what is started and with what; the runner only carries it out.
import { randomBytes } from 'node:crypto'
import { mkdirSync, readFileSync, renameSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { SandboxError } from '../../errors.js'
import { unlessMissing } from '../../host/unless.js'
import type { FileIdentity } from '../../policy/host-snapshot.js'
import type { CommandHandlers, Launcher, RunningCommand, StartFailure } from '../backend.js'
import { failedCommand } from '../failed-command.js'
import type { FramedCommand } from '../framed-command.js'
import { FramedCommands, takeSafely } from '../framed-commands.js'
import { FrameDecoder, LARGEST_FRAME_BYTES, makeFrame, MalformedFrame, readU32 } from '../frames.js'
import type { CommandPlan, Enforcement, WindowsPlan } from '../launch-plan.js'
import { lowerLimits } from '../limits.js'
import { windowsCommand } from './command-line.js'
import { commandEnvironment } from './environment.js'
import { findProgram } from './find-program.js'
import { FROM_RUNNER, TO_RUNNER } from './frames.generated.js'
import { jobBits } from './job-bits.js'
import { jobPlan } from './limits.js'
import type { Placeholders } from './placeholders.js'
import { logonFrame, readAnswers, readHello, readRunnerExit, readRunnerFailure, type RunnerHello, type RunnerLogon, setUpFrame, startFrame } from './runner-codec.js'
import { setUpError, startFailureOf } from './runner-failures.js'
import type { RunnerProcess, StartRunnerProcess } from './runner-process.js'
import { randomSession, type Session, setUpOf } from './session.js'
import { refuseUnproven } from './token.js'

/** A logon of another account has its profile loaded, which takes seconds the first time. */
const SET_UP_TIMEOUT_MS = 30_000
const CLOSE_TIMEOUT_MS = 5_000
/** Of a runner that has ended. */
const DRAIN_MS = 1_000
/** What stands at missing names goes so long after the last command. */
const IDLE_MS = 200

export interface WindowsLauncherParts {
  readonly runner: string
  /** Of this package: a runner of another one is not used. */
  readonly version: string
  readonly startProcess: StartRunnerProcess
  /** `elevated`: who it runs as, through a broker. */
  readonly logon?: RunnerLogon
  /** The SID of this process's logon session, `elevated` only. */
  readonly ownLogon?: string
  readonly placeholders: Placeholders
  /** What stands at a path itself, by the identity that plans have. */
  readonly lookAt: (path: string) => FileIdentity | undefined
  /** A test's in the place of what this machine has. */
  readonly isFile?: (path: string) => boolean
  readonly session?: string
}

/**
 * @throws SandboxError `set_up_failed` with the step; nothing runs then, and nothing is left
 */
export async function startWindowsLauncher(plan: WindowsPlan, parts: WindowsLauncherParts): Promise<Launcher> {
  const stubs = writeStubs(plan)
  const launcher = new WindowsLauncher(plan, parts, stubs)
  await launcher.setUp()
  return launcher
}

/** In which order things happen to a launcher: each state is only ever followed by a later one. */
type State = 'greeting' | 'setting up' | 'ready' | 'closing' | 'gone'

class WindowsLauncher implements Launcher {
  readonly enforcement: Enforcement
  readonly pid: number | undefined
  readonly #plan: WindowsPlan
  readonly #parts: WindowsLauncherParts
  readonly #stubs: string
  readonly #process: RunnerProcess
  readonly #decoder = new FrameDecoder((type, id, payload) => takeSafely(() => this.#take(type, id, payload)))
  readonly #commands = new FramedCommands(TO_RUNNER, frame => this.#send(frame), holds => this.#hold(holds))
  readonly #lostListeners: (() => void)[] = []
  #state: State = 'greeting'
  /** Commands that keep Node alive. */
  /** Why the runner is lost, where this side found it out. */
  #failure: SandboxError | undefined
  #exitWord = 'unknown'
  #settleSetUp: ((error?: SandboxError) => void) | undefined
  readonly #gone: Promise<void>
  #settleGone!: () => void
  #closed: Promise<void> | undefined
  #idle: NodeJS.Timeout | undefined

  constructor(plan: WindowsPlan, parts: WindowsLauncherParts, stubs: string) {
    this.#plan = plan
    this.#parts = parts
    this.#stubs = stubs
    this.enforcement = plan.enforcement
    this.#gone = new Promise(resolve => { this.#settleGone = resolve })
    this.#process = parts.startProcess(parts.runner, parts.logon === undefined ? [] : ['--broker'])
    this.pid = this.#process.pid
    const exited = new Promise<void>(resolve => this.#process.onExit(word => {
      this.#exitWord = word
      resolve()
    }))
    const ended = new Promise<void>(resolve => this.#process.output.once('close', () => resolve()))
    this.#process.output.on('data', (chunk: Buffer) => this.#read(chunk))
    // What was read before still counts, and `close` follows.
    this.#process.output.on('error', () => {})
    // What it said last is still to be read; nobody else has the other end.
    void exited.then(() => setTimeout(() => this.#process.output.destroy(), DRAIN_MS).unref())
    void Promise.all([exited, ended]).then(() => this.#end())
  }

  async setUp(): Promise<void> {
    const settled = new Promise<void>((resolve, reject) => {
      const timer = setTimeout(() => this.#fail(new SandboxError('set_up_failed', { step: 'start_runner', errno: 'ETIMEDOUT', path: this.#parts.runner })), SET_UP_TIMEOUT_MS)
      this.#settleSetUp = error => {
        clearTimeout(timer)
        this.#settleSetUp = undefined
        error === undefined ? resolve() : reject(error)
      }
    })
    if (this.#parts.logon !== undefined) this.#send(logonFrame(this.#parts.logon))
    await settled
    this.#process.unref()
  }

  run(command: CommandPlan, handlers: CommandHandlers): RunningCommand {
    if (this.#state === 'gone') throw this.#lostError()
    if (this.#state !== 'ready') throw new SandboxError('sandbox_closed', { field: 'sandbox', value: undefined })
    if (command.helper === true) throw new SandboxError('platform_unsupported', { field: 'helper', value: command.argv[1] }, { detail: 'only the launcher of Linux has such programs' })
    const id = this.#commands.freeId()
    const frame = this.#frameOf(id, command)
    if (!Buffer.isBuffer(frame)) return failedCommand(frame, handlers)
    if (frame.length > LARGEST_FRAME_BYTES) throw new SandboxError('arguments_too_large', { field: 'argv', value: `${frame.length} bytes` })
    const running = this.#commands.add(id, handlers)
    clearTimeout(this.#idle)
    this.#send(frame)
    return running
  }

  /** Or why it does not start, as far as that can be told from outside. */
  #frameOf(id: number, command: CommandPlan): Buffer | StartFailure {
    const { cwd, argv, terminal } = command
    const { lookAt, placeholders, isFile = isFileHere } = this.#parts
    const entered = whyNotEntered(cwd, lookAt)
    if (entered !== undefined) return { step: 'enter_cwd', errno: entered, path: undefined }
    const changed = firstChanged(this.#plan, lookAt)
    if (changed !== undefined) return { step: 'recheck', errno: 'ESTALE', path: changed }
    const environment = commandEnvironment(this.#plan.environment, command.env, this.#stubs)
    const program = findProgram(argv[0] as string, { env: variablesOf(environment), cwd: cwd.path, exists: isFile })
    if (program === undefined) return { step: 'exec', errno: 'ENOENT', path: undefined }
    if (program.kind === 'other') return { step: 'exec', errno: 'ENOEXEC', path: program.path }
    const started = windowsCommand(program, argv.slice(1), this.#plan.commandInterpreter)
    try {
      placeholders.make()
    } catch (error) {
      if (!(error instanceof SandboxError) || error.step === undefined) throw error
      return { step: error.step, errno: error.errno ?? 'unknown', path: error.path }
    }
    return startFrame(id, {
      ...started, cwd: cwd.path, environment, inputComes: command.stdin === 'pipe', keep: command.keep === true,
      ...(terminal === undefined ? {} : { terminal }),
      job: jobBits(jobPlan(lowerLimits(this.#plan.limits, command.limits))),
    })
  }

  onLost(listener: () => void): void {
    this.#lostListeners.push(listener)
  }

  close(): Promise<void> {
    this.#closed ??= this.#close()
    return this.#closed
  }

  async #close(): Promise<void> {
    if (this.#state === 'gone') return this.#gone
    this.#state = 'closing'
    this.#process.ref()
    this.#send(makeFrame(TO_RUNNER.CLOSE, 0))
    const timer = setTimeout(() => this.#kill(), CLOSE_TIMEOUT_MS)
    await this.#gone
    clearTimeout(timer)
  }

  readonly #send = (frame: Buffer): void => {
    if (this.#process.input.writable) this.#process.input.write(frame)
  }

  #read(chunk: Buffer): void {
    try {
      this.#decoder.decode(chunk)
    } catch (error) {
      if (!(error instanceof MalformedFrame)) throw error
      const isReady = this.#state === 'ready' || this.#state === 'closing'
      this.#fail(new SandboxError(isReady ? 'launcher_lost' : 'set_up_failed', { step: isReady ? 'launcher' : 'start_runner', errno: 'EBADMSG' }, { detail: error.message, cause: error }))
    }
  }

  #take(type: number, id: number, payload: Buffer): void {
    if (this.#state === 'gone' || this.#failure !== undefined) return
    if (id === 0) return this.#takeOwn(type, payload)
    const command = this.#commands.get(id)
    if (command === undefined) throw new MalformedFrame(`type ${type} for command ${id}, which is not running`)
    switch (type) {
      case FROM_RUNNER.STDOUT:        return command.handlers.onOutput('stdout', payload)
      case FROM_RUNNER.STDERR:        return command.handlers.onOutput('stderr', payload)
      case FROM_RUNNER.STARTED:       return command.handlers.onStarted?.(readU32(payload))
      case FROM_RUNNER.STDIN_DRAINED: return command.drained(readU32(payload))
      case FROM_RUNNER.LEFT:          return command.handlers.onLeft?.(readRunnerExit(payload))
      case FROM_RUNNER.EXIT: {
        const exit = readRunnerExit(payload)
        this.#forget(command)
        return command.handlers.onExit(exit)
      }
      case FROM_RUNNER.FAILED: {
        const failure = startFailureOf(readRunnerFailure(payload))
        this.#forget(command)
        return command.handlers.onFailed(failure)
      }
      default: throw new MalformedFrame(`type ${type}`)
    }
  }

  /** Frames of the sandbox itself: what it says first, what the system answered, or what failed. */
  #takeOwn(type: number, payload: Buffer): void {
    if (type === FROM_RUNNER.FAILED) {
      const failure = readRunnerFailure(payload)
      const isReady = this.#state === 'ready' || this.#state === 'closing'
      return this.#fail(isReady ? new SandboxError('launcher_lost', { step: failure.step, errno: startFailureOf(failure).errno }, { detail: failure.detail }) : setUpError(failure))
    }
    if (type === FROM_RUNNER.HELLO && this.#state === 'greeting') return this.#greet(readHello(payload))
    if (type === FROM_RUNNER.READY && this.#state === 'setting up') return this.#takeAnswers(readAnswers(payload))
    throw new MalformedFrame(`type ${type} while ${this.#state}`)
  }

  #greet(hello: RunnerHello): void {
    const { version, ownLogon, session = randomSession() } = this.#parts
    const { account } = this.#plan.token
    const wrong = hello.version !== version ? { step: 'runner_version', detail: `it has version ${JSON.stringify(hello.version)}, and this is ${JSON.stringify(version)}` }
      : hello.account !== account ? { step: 'runner_account', detail: `it runs as ${hello.account}, and the plan is for ${account}` } : undefined
    if (wrong !== undefined) return this.#fail(new SandboxError('set_up_failed', { step: wrong.step, errno: 'EINVAL', path: this.#parts.runner }, { detail: wrong.detail }))
    const ids: Session = { account, session, logon: hello.logon, isShared: hello.logon === ownLogon }
    this.#state = 'setting up'
    this.#send(setUpFrame(setUpOf(this.#plan.token, ids)))
  }

  /** Nothing has run yet, and with one answer that is another than the plan's nothing does. */
  #takeAnswers(answers: readonly boolean[]): void {
    const { proofs } = this.#plan.token
    if (answers.length !== proofs.length) throw new MalformedFrame(`${answers.length} answers to ${proofs.length} questions`)
    const byQuestion = new Map(proofs.map(({ descriptor, desired }, index) => [`${descriptor} ${Number(desired)}`, answers[index] as boolean]))
    try {
      refuseUnproven(proofs, (descriptor, desired) => byQuestion.get(`${descriptor} ${desired}`) as boolean)
    } catch (error) {
      return this.#fail(error as SandboxError)
    }
    this.#state = 'ready'
    this.#settleSetUp?.()
  }

  #forget(command: FramedCommand): void {
    this.#commands.forget(command)
    if (this.#commands.size === 0) this.#idle = setTimeout(() => this.#parts.placeholders.remove(), IDLE_MS)
  }

  #hold(holds: boolean): void {
    if (this.#state !== 'ready') return
    if (holds) this.#process.ref()
    else this.#process.unref()
  }

  /** Gives the runner up. Its end is told when it is gone. */
  #fail(error: SandboxError): void {
    this.#failure ??= error
    this.#kill()
  }

  /** All of its jobs end with it. */
  #kill(): void {
    this.#process.ref()
    this.#process.input.destroy()
    this.#process.kill()
  }

  /** The runner is gone: by `close`, or by itself. */
  #end(): void {
    if (this.#state === 'gone') return
    const lost = this.#state === 'ready'
    const step = this.#state === 'closing' ? 'sandbox_closed' : 'launcher_lost'
    this.#state = 'gone'
    this.#settleSetUp?.(this.#failure ?? new SandboxError('set_up_failed', { step: 'start_runner', errno: this.#exitWord, path: this.#parts.runner }))
    const errno = this.#lostError().errno ?? 'unknown'
    for (const command of this.#commands.all()) {
      this.#forget(command)
      command.handlers.onFailed({ step, errno, path: undefined })
    }
    clearTimeout(this.#idle)
    this.#parts.placeholders.remove()
    if (lost) for (const listener of this.#lostListeners) listener()
    this.#settleGone()
  }

  #lostError(): SandboxError {
    return this.#failure ?? new SandboxError('launcher_lost', { step: 'launcher', errno: this.#exitWord })
  }
}

/** In a folder of their own, which commands only read: the same for every sandbox, so written only where they are not there yet. */
function writeStubs({ environment: { stubs }, stateDirectory }: WindowsPlan): string {
  const folder = join(stateDirectory, 'stubs')
  if (stubs.length === 0) return folder
  mkdirSync(folder, { recursive: true })
  for (const { name, text } of stubs) {
    const file = join(folder, name)
    if (unlessMissing(() => readFileSync(file, 'utf8')) === text) continue
    const part = `${file}.${randomBytes(6).toString('hex')}`
    writeFileSync(part, text, { flag: 'wx' })
    renameSync(part, file)
  }
  return folder
}

const isSame = (a: FileIdentity | undefined, b: FileIdentity): boolean => a !== undefined && a.device === b.device && a.inode === b.inode

function whyNotEntered({ path, identity }: CommandPlan['cwd'], lookAt: WindowsLauncherParts['lookAt']): string | undefined {
  const found = lookAt(path)
  if (found === undefined) return 'ENOENT'
  return isSame(found, identity) || isSame(nodeIdentity(path), identity) ? undefined : 'ESTALE'
}

/** That of a command's own working directory is Node's, whose numbers are shorter. */
function nodeIdentity(path: string): FileIdentity | undefined {
  const stats = statSync(path, { bigint: true, throwIfNoEntry: false })
  return stats === undefined ? undefined : { device: String(stats.dev), inode: String(stats.ino) }
}

/** A path that is closed by its own entries, and at which now stands another file or folder, without them. */
function firstChanged({ access }: WindowsPlan, lookAt: WindowsLauncherParts['lookAt']): string | undefined {
  return access.find(({ path, identity, add }) => identity !== undefined && add.some(ace => ace.startsWith('(D;')) && !isSame(lookAt(path), identity))?.path
}

const variablesOf = (environment: readonly string[]): Record<string, string> => Object.fromEntries(environment.map(text => {
  const equals = text.indexOf('=', 1)
  return [text.slice(0, equals), text.slice(equals + 1)]
}))

/** One that this user may not look at is none. */
function isFileHere(path: string): boolean {
  try {
    return statSync(path, { throwIfNoEntry: false })?.isFile() === true
  } catch {
    return false
  }
}
