// Runs a command with streams: takes the place of a ChildProcess, and adds `exited`, the result.
import { EventEmitter } from 'node:events'
import { constants } from 'node:os'
import { Readable, Writable } from 'node:stream'
import { SandboxError } from '../errors.js'
import { type CommandContext, type CommandOutput, CommandRun, type CommandUse } from './command-run.js'
import { KeptOutput, type StreamName } from './kept-output.js'
import { checkArguments, checkSpawnOptions, isTerminalSize, type SpawnOptions } from './options.js'
import type { Encoding, ExecResult } from './result.js'

const DEFAULT_SIZE = { rows: 24, cols: 80 }
/** Of stderr, or of a terminal's output: where denials are read from. */
const DENIAL_TEXT_BYTES = 64 << 10

export interface SandboxChildEvents {
  /** The program runs. */
  spawn: []
  /** As ChildProcess has it: the code is null where a signal ended it. */
  exit: [code: number | null, signal: NodeJS.Signals | null]
  /** After `exit`, when the streams have ended too. */
  close: [code: number | null, signal: NodeJS.Signals | null]
  /** The sandbox failed. Not for a program that is missing: that is exit code 127, with a line on stderr. */
  error: [error: unknown]
  /** The command was stopped or continued by a signal (ctrl-Z). */
  stopped: [signal: NodeJS.Signals | null]
  continued: []
}

export interface SandboxChild<E extends Encoding = Encoding> extends EventEmitter<SandboxChildEvents> {
  /** Null where it is at its end from the start. */
  readonly stdin: Writable | null
  /** Of a terminal: all output. */
  readonly stdout: Readable
  /** Null on a terminal. */
  readonly stderr: Readable | null
  /** On the host; undefined until `spawn`, and where it is not known. */
  readonly pid: number | undefined
  readonly exitCode: number | null
  readonly signalCode: NodeJS.Signals | null
  /** A signal was sent by `kill`. */
  readonly killed: boolean
  /** The result, with the output that `output` asks for; by default none is kept, as the streams have it. Rejects where the sandbox failed. */
  readonly exited: Promise<ExecResult<E>>
  /** Sends a signal to the command's process group; SIGKILL ends its whole tree. False where it is over. Default: SIGTERM. */
  kill(signal?: NodeJS.Signals | number): boolean
  /** The terminal's size. */
  resize(rows: number, cols: number): void
}

/**
 * The command's streams are real: one that is not read makes the command wait, and a result comes only when they were read.
 *
 * @throws SandboxError for what is wrong with the command itself
 */
export function spawnCommand<E extends Encoding>(context: CommandContext, argv: readonly string[], options: SpawnOptions<E>): SandboxChild<E> {
  checkArguments(argv)
  checkSpawnOptions(options)
  return new Child<E>(context, argv, options)
}

class Child<E extends Encoding> extends EventEmitter<SandboxChildEvents> implements SandboxChild<E>, CommandUse<E> {
  readonly stdin: CommandInput | null
  readonly stdout: CommandOutputStream
  readonly stderr: CommandOutputStream | null
  readonly exited: Promise<ExecResult<E>>
  pid: number | undefined
  exitCode: number | null = null
  signalCode: NodeJS.Signals | null = null
  killed = false
  readonly #run: CommandRun<E>
  readonly #encoding: Encoding
  /** Only where the caller asks for output in the result too. */
  readonly #kept: KeptOutput | undefined
  readonly #denialText = new KeptOutput({ maxBytes: DENIAL_TEXT_BYTES, keep: 'tail' })
  #over = false

  constructor(context: CommandContext, argv: readonly string[], { tty, stdin = 'pipe', ...options }: SpawnOptions<E>) {
    super()
    const terminal = tty === true ? DEFAULT_SIZE : tty === false || tty === undefined ? undefined : { rows: tty.rows, cols: tty.cols }
    this.#encoding = options.output?.encoding ?? 'text'
    this.#kept = options.output?.maxBytes === undefined ? undefined : new KeptOutput(options.output)
    this.stdin = stdin === 'empty' ? null : new CommandInput()
    this.stdout = new CommandOutputStream(bytes => this.#run.running?.consumed('stdout', bytes))
    this.stderr = terminal === undefined ? new CommandOutputStream(bytes => this.#run.running?.consumed('stderr', bytes)) : null
    this.#run = new CommandRun<E>(context, argv, options, { stdin: stdin === 'pipe' ? 'pipe' : 'empty', ...(terminal === undefined ? {} : { terminal }) }, this)
    this.stdin?.connect(this.#run.running)
    this.exited = this.#run.result
    // In a turn of its own, so that listeners of a child that never began are attached in time.
    this.exited.then(result => setImmediate(() => this.#end(result)), error => this.#fail(error))
  }

  kill(signal: NodeJS.Signals | number = 'SIGTERM'): boolean {
    const number = typeof signal === 'number' ? signal : constants.signals[signal]
    if (!Number.isInteger(number) || number < 0 || number > 64) throw new SandboxError('option_invalid', { field: 'signal', value: signal }, { detail: 'there is no such signal' })
    if (this.#over) return false
    if (number === constants.signals.SIGKILL) this.#run.kill()
    else this.#run.running?.signal(number)
    this.killed ||= number !== 0
    return true
  }

  resize(rows: number, cols: number): void {
    if (!isTerminalSize(rows) || !isTerminalSize(cols)) throw new SandboxError('option_invalid', { field: 'size', value: { rows, cols } }, { detail: 'both must be from 0 to 65535' })
    if (!this.#over) this.#run.running?.resize(rows, cols)
  }

  onStarted(hostPid: number): void {
    this.pid = hostPid === 0 ? undefined : hostPid
    this.emit('spawn')
  }

  onOutput(stream: StreamName, chunk: Buffer): void {
    this.#kept?.add(stream, chunk)
    const target = stream === 'stderr' && this.stderr !== null ? this.stderr : this.stdout
    if (target !== this.stdout || this.stderr === null) this.#denialText.add(stream, chunk)
    target.accept(chunk)
  }

  onStdinDrained(): void { this.stdin?.drained() }
  onStopped(signal: number): void { this.emit('stopped', nameOf(signal)) }
  onContinued(): void { this.emit('continued') }

  onKill(): void {
    this.stdout.stopWaiting()
    this.stderr?.stopWaiting()
  }

  onOver(): undefined {
    this.#over = true
    this.stdin?.over()
    this.stdout.end()
    this.stderr?.end()
  }

  collect(): CommandOutput<E> {
    const none = this.#encoding === 'text' ? '' : Buffer.alloc(0)
    const collected = this.#kept === undefined ? { stdout: none, stderr: none, output: none, dropped: { stdout: 0, stderr: 0 } }
      : this.#encoding === 'text' ? this.#kept.text() : this.#kept.bytes()
    return collected as CommandOutput<E>
  }

  errorText(): string {
    return this.#denialText.text().output
  }

  #end({ exitCode, signal }: ExecResult<E>): void {
    this.signalCode = signal
    this.exitCode = signal === null ? exitCode : null
    this.emit('exit', this.exitCode, signal)
    this.#whenStreamsClose(() => this.emit('close', this.exitCode, signal))
    process.nextTick(() => this.#dropWhatNobodyReads())
  }

  /** As ChildProcess does after `exit`: a stream without a reader must not keep `close` from coming. */
  #dropWhatNobodyReads(): void {
    for (const stream of [this.stdout, this.stderr]) {
      if (stream !== null && stream.readableFlowing === null && stream.listenerCount('readable') === 0) stream.resume()
    }
  }

  /** `exited` tells it to those who wait for it; the event is for those who listen. */
  #fail(error: unknown): void {
    if (this.listenerCount('error') > 0) this.emit('error', error)
  }

  #whenStreamsClose(listener: () => void): void {
    const open = [this.stdout, this.stderr].filter((stream): stream is CommandOutputStream => stream !== null && !stream.closed)
    let left = open.length
    if (left === 0) return listener()
    for (const stream of open) {
      stream.once('close', () => {
        if (--left === 0) listener()
      })
    }
  }
}

const nameOf = (number: number): NodeJS.Signals | null =>
  (Object.entries(constants.signals) as [NodeJS.Signals, number][]).find(([, value]) => value === number)?.[0] ?? null

/** What a reader has not asked for yet waits here and is not consumed, so that no more than the window comes. */
class CommandOutputStream extends Readable {
  readonly #consumed: (bytes: number) => void
  readonly #waiting: Buffer[] = []
  #wanted = false
  /** The command is over; its end is still to be pushed. */
  #ended = false
  #waitsForNobody = false

  constructor(consumed: (bytes: number) => void) {
    super()
    this.#consumed = consumed
  }

  accept(chunk: Buffer): void {
    // Nobody will read it any more.
    if (this.destroyed || this.#waitsForNobody) this.#consumed(chunk.length)
    if (this.destroyed) return
    this.#waiting.push(chunk)
    if (this.#wanted) this._read()
  }

  /** The command was killed: no more comes than its pipes hold. */
  stopWaiting(): void {
    if (this.#waitsForNobody) return
    this.#consumeWaiting()
    this.#waitsForNobody = true
  }

  end(): void {
    this.#ended = true
    if (this.#wanted) this._read()
  }

  override _read(): void {
    this.#wanted = true
    while (this.#wanted && this.#waiting.length > 0) {
      const chunk = this.#waiting.shift() as Buffer
      this.#wanted = this.push(chunk)
      if (!this.#waitsForNobody) this.#consumed(chunk.length)
    }
    if (!this.#ended || this.#waiting.length > 0) return
    this.#ended = false
    this.push(null)
  }

  override _destroy(error: Error | null, callback: (error?: Error | null) => void): void {
    if (!this.#waitsForNobody) this.#consumeWaiting()
    this.#waiting.length = 0
    callback(error)
  }

  #consumeWaiting(): void {
    for (const chunk of this.#waiting) this.#consumed(chunk.length)
  }
}

type Input = Pick<NonNullable<CommandRun['running']>, 'writeStdin' | 'closeStdin'>

/** Takes no more than the command does; what is written after its end is dropped, as its own end is told by `exit`. */
class CommandInput extends Writable {
  #running: Input | undefined
  #written: (() => void) | undefined

  connect(running: Input | undefined): void {
    this.#running = running
  }

  drained(): void {
    const written = this.#written
    this.#written = undefined
    written?.()
  }

  over(): void {
    this.#running = undefined
    this.drained()
    this.destroy()
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, callback: () => void): void {
    if (this.#running?.writeStdin(chunk) === false) this.#written = callback
    else callback()
  }

  override _final(callback: () => void): void {
    this.#running?.closeStdin()
    callback()
  }

  /** A pipe that its writer drops is at its end for the reader. */
  override _destroy(error: Error | null, callback: (error?: Error | null) => void): void {
    this.#running?.closeStdin()
    callback(error)
  }
}
