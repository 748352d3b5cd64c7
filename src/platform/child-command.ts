// One command as a plain child process: the leader of a process group, with pipes, a window for its output, and an end that waits
// for nobody who left the group. For back ends whose launcher is Node itself.
import { type ChildProcess, spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { constants } from 'node:os'
import type { CommandExit, CommandHandlers, RunningCommand, StartFailure } from './backend.js'
import type { CommandPlan } from './launch-plan.js'

const STREAMS = ['stdout', 'stderr'] as const
const OUTPUT_WINDOW_BYTES = 1 << 20
/** After the command's own end its pipes are read for so long: what still holds them then was left in the background. */
const DRAIN_MS = 100
/** How often a process group is looked at whose leader has ended, where what it left is kept. */
const LOOK_MS = 200

/** A message of the program that starts the command is held for so long, in case it turns out to be the command's own. */
const HOLD_MS = 200
const HELD_BYTES = 8192

/** What a program that starts the command says where it cannot: a beginning that no other line has, and what a line of it means. */
export interface FailureReader {
  readonly prefix: string
  /** @param line  the whole of what stands on stderr, without the newline at its end */
  failureOf(line: string): StartFailure
}

export interface ChildOptions {
  /** Where the system has them. */
  readonly hasProcessGroup: boolean
  /** Where another program starts the command. */
  readonly readFailure?: FailureReader
}

export class ChildCommand implements RunningCommand {
  readonly over: Promise<void>
  readonly #handlers: CommandHandlers
  readonly #hasProcessGroup: boolean
  readonly #keeps: boolean
  /** What the program that starts the command may say instead of the command, until it is known whose words they are. */
  readonly #wrapper: WrapperMessage | undefined
  /** Undefined where it could not even be tried. */
  readonly #child: ChildProcess | undefined
  readonly #unconsumed = { stdout: 0, stderr: 0 }
  #killed = false
  /** The program itself has ended; its output may still come. */
  #exited = false
  /** Its pipes are closed as well. */
  #closed = false
  #finished = false
  /** Runs where the command has ended and what it left is kept. */
  #look: NodeJS.Timeout | undefined
  #finish: () => void = () => {}

  constructor(command: CommandPlan, handlers: CommandHandlers, { hasProcessGroup, readFailure }: ChildOptions) {
    this.#handlers = handlers
    this.#hasProcessGroup = hasProcessGroup
    this.#wrapper = readFailure === undefined ? undefined : new WrapperMessage(readFailure)
    this.#keeps = command.keep === true
    this.over = new Promise(resolve => { this.#finish = resolve })
    this.#child = this.#spawn(command)
    if (this.#child !== undefined) this.#listen(this.#child, command.cwd.path)
  }

  consumed(stream: 'stdout' | 'stderr', bytes: number): void {
    this.#unconsumed[stream] -= bytes
    const readable = this.#child?.[stream]
    if (readable?.isPaused() && this.#unconsumed[stream] < OUTPUT_WINDOW_BYTES) readable.resume()
  }

  writeStdin(data: Uint8Array): boolean { return this.#child?.stdin?.writable ? this.#child.stdin.write(data) : true }
  closeStdin(): void { this.#child?.stdin?.end() }
  signal(number: number): void { this.#signalGroup(number) }

  kill(): void {
    this.#killed = true
    this.#signalGroup(constants.signals.SIGKILL)
  }

  resize(): void {}

  ref(): void {
    for (const handle of this.#handles()) handle.ref()
  }

  unref(): void {
    for (const handle of this.#handles()) handle.unref()
  }

  /** What keeps Node alive: the process, its pipes, and the look at its group. Pipes are sockets, which their type does not say. */
  #handles(): Pick<NodeJS.Timeout, 'ref' | 'unref'>[] {
    const { stdin, stdout, stderr } = this.#child ?? {}
    return [this.#child, stdin, stdout, stderr, this.#look].filter(handle => handle !== undefined && handle !== null) as unknown as Pick<NodeJS.Timeout, 'ref' | 'unref'>[]
  }

  /** As the leader of a process group, so that what it starts can be signalled with it. */
  #spawn(command: CommandPlan): ChildProcess | undefined {
    const [program, ...rest] = command.argv
    const env = Object.fromEntries(command.env.map(variable => {
      // A name may begin with "=" on Windows.
      const equals = variable.indexOf('=', 1)
      return [variable.slice(0, equals), variable.slice(equals + 1)]
    }))
    try {
      return spawn(program as string, rest, { cwd: command.cwd.path, env, detached: this.#hasProcessGroup, stdio: [command.stdin === 'pipe' ? 'pipe' : 'ignore', 'pipe', 'pipe'] })
    } catch (error) {
      // Node throws some failures (E2BIG) and tells others as an event; here all are told.
      const { code } = error as NodeJS.ErrnoException
      if (code === undefined || !Object.hasOwn(constants.errno, code)) throw error
      setImmediate(() => this.#fail('exec', code))
      return undefined
    }
  }

  #listen(child: ChildProcess, cwd: string): void {
    child.once('spawn', () => this.#handlers.onStarted?.(child.pid ?? 0))
    child.once('error', error => {
      const errno = (error as NodeJS.ErrnoException).code ?? 'unknown'
      // Node reports a missing cwd as if the program were missing.
      this.#fail(errno === 'ENOENT' && !existsSync(cwd) ? 'enter_cwd' : 'exec', errno)
    })
    for (const stream of STREAMS) child[stream]?.on('data', (chunk: Buffer) => this.#take(stream, chunk))
    child.stdin?.on('drain', () => this.#handlers.onStdinDrained?.())
    // The command closed its input: what it does not want is dropped, and there is nothing to wait for.
    child.stdin?.on('error', () => this.#handlers.onStdinDrained?.())
    child.once('exit', (code, signal) => {
      if (this.#keeps && !this.#killed && this.#groupIsThere()) this.#keep(child, code, signal)
      else this.#drain(child)
    })
    child.once('close', (code, signal) => {
      this.#closed = true
      if (this.#look === undefined) this.#exit(code, signal)
    })
  }

  /** Tells the command's own end, once its pipes were read, and looks at its process group until that is gone. */
  #keep(child: ChildProcess, code: number | null, signal: NodeJS.Signals | null): void {
    let told = false
    this.#look = setInterval(() => {
      if (this.#groupIsThere()) {
        if (!told) this.#handlers.onLeft?.(exitOf(code, signal, 'none'))
        told = true
        return
      }
      clearInterval(this.#look)
      this.#look = undefined
      this.#exited = true
      if (this.#closed) this.#exit(code, signal)
      else this.#drain(child)
    }, LOOK_MS)
  }

  #groupIsThere(): boolean {
    try {
      return process.kill(-(this.#child?.pid as number), 0)
    } catch {
      return false
    }
  }

  #take(stream: 'stdout' | 'stderr', chunk: Buffer): void {
    const held = this.#wrapper?.take(stream, chunk, () => this.#release())
    if (held === true) return
    this.#deliver(stream, chunk)
  }

  #release(): void {
    const held = this.#wrapper?.release()
    if (held !== undefined) this.#deliver('stderr', held)
  }

  #deliver(stream: 'stdout' | 'stderr', chunk: Buffer): void {
    this.#unconsumed[stream] += chunk.length
    this.#handlers.onOutput(stream, chunk)
    if (!this.#exited && this.#unconsumed[stream] >= OUTPUT_WINDOW_BYTES) this.#child?.[stream]?.pause()
  }

  /** Ends what is left of the process group, and reads what the pipes still hold: no more than their size, window or not. */
  #drain(child: ChildProcess): void {
    this.#signalGroup(constants.signals.SIGKILL)
    this.#exited = true
    for (const stream of STREAMS) child[stream]?.resume()
    const timer = setTimeout(() => {
      for (const stream of STREAMS) child[stream]?.destroy()
    }, DRAIN_MS)
    child.once('close', () => clearTimeout(timer))
  }

  #exit(code: number | null, signal: NodeJS.Signals | null): void {
    if (this.#finished) return
    const failure = this.#killed ? undefined : this.#wrapper?.failure(code)
    if (failure !== undefined) return this.#fail(failure.step, failure.errno, failure.path)
    this.#release()
    this.#finished = true
    this.#handlers.onExit(exitOf(code, signal, this.#killed ? 'killed' : 'none'))
    this.#finish()
  }

  #fail(step: string, errno: string, path?: string): void {
    if (this.#finished) return
    this.#finished = true
    this.#handlers.onFailed({ step, errno, path })
    this.#finish()
  }

  /** Never after the program's end: its number may be another's by then. Gone already is no error. */
  #signalGroup(number: number): void {
    const pid = this.#child?.pid
    if (pid === undefined || this.#exited) return
    try {
      process.kill(this.#hasProcessGroup ? -pid : pid, number)
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error
    }
  }
}

const exitOf = (code: number | null, signal: NodeJS.Signals | null, reason: CommandExit['reason']): CommandExit =>
  ({ exitCode: code ?? undefined, signal: signal === null ? undefined : constants.signals[signal], reason, path: undefined, cpuMs: 0, maxRssBytes: 0, ended: [] })

/** Holds back the beginning of stderr as long as it may be the starting program's own message. */
class WrapperMessage {
  readonly #reader: FailureReader
  #held: Buffer | undefined = Buffer.alloc(0)
  #timer: NodeJS.Timeout | undefined

  constructor(reader: FailureReader) {
    this.#reader = reader
  }

  /** True: held. Where it turns out that nothing is to be held, `release` is called first. */
  take(stream: 'stdout' | 'stderr', chunk: Buffer, release: () => void): boolean {
    if (this.#held === undefined) return false
    const held = stream === 'stderr' ? Buffer.concat([this.#held, chunk]) : this.#held
    const isOurs = stream === 'stderr' && held.length <= HELD_BYTES && sharesPrefix(held.toString('latin1'), this.#reader.prefix)
    if (!isOurs) {
      release()
      return false
    }
    this.#held = held
    this.#timer ??= setTimeout(release, HOLD_MS)
    return true
  }

  /** What was held, once; afterwards nothing is. */
  release(): Buffer | undefined {
    clearTimeout(this.#timer)
    const held = this.#held
    this.#held = undefined
    return held === undefined || held.length === 0 ? undefined : held
  }

  /** What it says, where it says it alone and ended with an error. */
  failure(code: number | null): StartFailure | undefined {
    const text = this.#held?.toString('utf8') ?? ''
    if (code === 0 || code === null || !text.startsWith(this.#reader.prefix) || !/^[^\n]*\n?$/.test(text)) return undefined
    clearTimeout(this.#timer)
    return this.#reader.failureOf(text.trimEnd())
  }
}

const sharesPrefix = (text: string, prefix: string): boolean => text.startsWith(prefix) || prefix.startsWith(text)
