// Runs a command with streams: takes the place of a ChildProcess, and adds `exited`, the result.
import type { ChildProcess } from 'node:child_process'
import { EventEmitter } from 'node:events'
import { constants } from 'node:os'
import type { Readable, Writable } from 'node:stream'
import { SandboxError } from '../errors.js'
import type { StartFailure } from '../platform/backend.js'
import type { DenialListener } from './denial-log.js'
import { type CommandContext, type CommandOutput, CommandRun, type CommandUse } from './command-run.js'
import { CommandInput, CommandOutputStream } from './command-streams.js'
import { KeptOutput, type StreamName } from './kept-output.js'
import { checkArguments, checkSpawnOptions, isTerminalSize, signalNumber, terminalSize } from './check-options.js'
import type { SpawnOptions } from './options.js'
import { type Encoding, EXIT_CODE, type ExecResult, signalName } from './result.js'

/** Of stderr, or of a terminal's output: where denials are read from. */
const DENIAL_TEXT_BYTES = 64 << 10

/**
 * What `child_process.spawn` returns, for what takes a ChildProcess: MCP transports, agent SDKs, readline, pipelines. The differences:
 *
 * - `pid` is known from `spawn` on, not at once, and is undefined where the host's number is not known.
 * - A program that is missing or not executable is exit code 127 or 126 with a line on stderr, as in a shell; `error` with ENOENT or EACCES
 *   comes before `exit`.
 * - `error` is emitted only where somebody listens: `exited` tells it to those who wait for it.
 * - `kill` signals the command's process group; SIGKILL ends its whole tree.
 * - `stopped` (with the signal) and `continued` are events too (ctrl-Z), and `denial`, with each `Denial` while the command runs.
 * - There is no IPC channel: no `send`, no `disconnect`.
 */
export interface SandboxChild<E extends Encoding = Encoding> extends ChildProcess {
  /** Null where it is at its end from the start. */
  readonly stdin: Writable | null
  /** Of a terminal: all output. */
  readonly stdout: Readable
  /** Null on a terminal. */
  readonly stderr: Readable | null
  /** The result, with the output that `output` asks for; by default none is kept, as the streams have it. Rejects where the sandbox failed. */
  readonly exited: Promise<ExecResult<E>>
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

class Child<E extends Encoding> extends EventEmitter implements SandboxChild<E>, CommandUse<E> {
  readonly stdin: CommandInput | null
  readonly stdout: CommandOutputStream
  readonly stderr: CommandOutputStream | null
  readonly stdio: ChildProcess['stdio']
  readonly exited: Promise<ExecResult<E>>
  readonly spawnfile: string
  readonly spawnargs: string[]
  readonly connected = false
  declare readonly send: ChildProcess['send']
  declare readonly disconnect: ChildProcess['disconnect']
  pid: number | undefined
  exitCode: number | null = null
  signalCode: NodeJS.Signals | null = null
  killed = false
  readonly #run: CommandRun<E>
  readonly #signal: AbortSignal | undefined
  readonly #encoding: Encoding
  /** Only where the caller asks for output in the result too. */
  readonly #kept: KeptOutput | undefined
  readonly #denialText = new KeptOutput({ maxBytes: DENIAL_TEXT_BYTES, keep: 'tail' })
  #spawned = false
  #over = false
  #startError: Error | undefined

  constructor(context: CommandContext, argv: readonly string[], { tty, stdin = 'pipe', ...options }: SpawnOptions<E>) {
    super()
    const terminal = terminalSize(tty)
    this.spawnfile = argv[0] as string
    this.spawnargs = [...argv]
    this.#signal = options.signal
    this.#encoding = options.output?.encoding ?? 'text'
    this.#kept = options.output?.maxBytes === undefined ? undefined : new KeptOutput(options.output)
    this.stdin = stdin === 'empty' ? null : new CommandInput()
    this.stdout = new CommandOutputStream(bytes => this.#run.running?.consumed('stdout', bytes))
    this.stderr = terminal === undefined ? new CommandOutputStream(bytes => this.#run.running?.consumed('stderr', bytes)) : null
    this.stdio = [this.stdin, this.stdout, this.stderr] as unknown as ChildProcess['stdio']
    this.#run = new CommandRun<E>(context, argv, options, { stdin: stdin === 'pipe' ? 'pipe' : 'empty', ...(terminal === undefined ? {} : { terminal }) }, this)
    this.stdin?.connect(this.#run.running)
    this.exited = this.#run.result
    // In a turn of its own, so that listeners of a child that never began are attached in time.
    this.exited.then(result => setImmediate(() => this.#end(result)), error => this.#fail(error, this.#spawned ? { exitCode: null, signal: 'SIGKILL' } : { exitCode: EXIT_CODE.noSandbox, signal: null }))
  }

  kill(signal: NodeJS.Signals | number = 'SIGTERM'): boolean {
    const number = signalNumber(signal)
    if (this.#over) return false
    if (number === constants.signals.SIGKILL) this.#run.kill()
    else this.#run.running?.signal(number)
    this.killed = true
    return true
  }

  resize(rows: number, cols: number): void {
    if (!isTerminalSize(rows) || !isTerminalSize(cols)) throw new SandboxError('option_invalid', { field: 'size', value: { rows, cols } }, { detail: 'both must be from 0 to 65535' })
    if (!this.#over) this.#run.running?.resize(rows, cols)
  }

  ref(): void { this.#run.running?.ref() }
  unref(): void { this.#run.running?.unref() }

  [Symbol.dispose](): void {
    if (!this.killed) this.kill()
  }

  onStarted(hostPid: number): void {
    this.pid = hostPid === 0 ? undefined : hostPid
    this.#tellSpawned()
  }

  onOutput(stream: StreamName, chunk: Buffer): void {
    this.#kept?.add(stream, chunk)
    const target = stream === 'stderr' && this.stderr !== null ? this.stderr : this.stdout
    if (target !== this.stdout || this.stderr === null) this.#denialText.add(stream, chunk)
    target.accept(chunk)
  }

  onStdinDrained(): void { this.stdin?.drained() }
  onStopped(signal: number): void { this.emit('stopped', signalName(signal)) }
  onContinued(): void { this.emit('continued') }
  hearsDenial(): DenialListener | undefined { return this.listenerCount('denial') > 0 ? denial => this.emit('denial', denial) : undefined }
  isWaiting(): boolean { return this.stdout.isWaiting || this.stderr?.isWaiting === true }

  onNotExecuted({ errno }: StartFailure): void {
    const number = (constants.errno as Readonly<Record<string, number | undefined>>)[errno] ?? 0
    this.#startError = Object.assign(new Error(`spawn ${this.spawnfile} ${errno}`), {
      errno: -number, code: errno, syscall: `spawn ${this.spawnfile}`, path: this.spawnfile, spawnargs: this.spawnargs.slice(1),
    })
  }

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

  #end({ exitCode, signal, cancelled }: ExecResult<E>): void {
    const end = { exitCode: signal === null ? exitCode : null, signal }
    if (this.#startError !== undefined) return this.#fail(this.#startError, end)
    if (cancelled && this.#signal?.aborted === true) return this.#fail(abortError(this.#signal), end)
    // One that ended before it could be looked up has run all the same.
    this.#tellSpawned()
    this.#tellEnd(end)
  }

  /** `exited` tells it to those who wait for it; the event is for those who listen. */
  #fail(error: unknown, end: ChildEnd): void {
    if (this.listenerCount('error') > 0) this.emit('error', error)
    this.#tellEnd(end)
  }

  #tellEnd({ exitCode, signal }: ChildEnd): void {
    this.exitCode = exitCode
    this.signalCode = signal
    this.emit('exit', exitCode, signal)
    this.#whenStreamsClose(() => this.emit('close', exitCode, signal))
    process.nextTick(() => this.#dropWhatNobodyReads())
  }

  #tellSpawned(): void {
    if (this.#spawned) return
    this.#spawned = true
    this.emit('spawn')
  }

  /** As ChildProcess does after `exit`: a stream without a reader must not keep `close` from coming. */
  #dropWhatNobodyReads(): void {
    for (const stream of [this.stdout, this.stderr]) {
      if (stream !== null && stream.readableFlowing === null && stream.listenerCount('readable') === 0) stream.resume()
    }
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

interface ChildEnd { readonly exitCode: number | null; readonly signal: NodeJS.Signals | null }

/** As Node has it. */
const abortError = ({ reason }: AbortSignal): Error => Object.assign(new Error('The operation was aborted', { cause: reason }), { name: 'AbortError', code: 'ABORT_ERR' })
