// Between this process's own streams, terminal and signals and those of the command, so that it looks as if the command ran bare.
import { fstatSync } from 'node:fs'
import type { Readable, Writable } from 'node:stream'
import { isatty, type ReadStream, type WriteStream } from 'node:tty'
import { isGone, notWritten } from './print.js'
import { UserTerminal, whenForeground } from './terminal.js'

/** The little of a spawned command that is needed here. */
export interface RelayedCommand {
  readonly stdin: Writable | null
  readonly stdout: Readable
  readonly stderr: Readable | null
  kill(signal: NodeJS.Signals): boolean
  resize(rows: number, cols: number): void
  on(event: 'stopped', listener: () => void): unknown
}

/** How standard input, output and error reach the command. */
export type Wiring =
  /** All three are terminals: the command gets one of its own, of the same size. */
  | { readonly kind: 'terminal'; readonly terminal: UserTerminal }
  /** `stdin`: whether there is anything to pass on. */
  | { readonly kind: 'pipes'; readonly stdin: boolean }

/**
 * A terminal only where all three are: with one of them redirected, its bytes must go where the user sent them, and a
 * terminal inside would merge them.
 */
export function chooseWiring(output: 'pass' | 'keep'): Wiring {
  if (output === 'pass' && isatty(0) && isatty(1) && isatty(2)) {
    return { kind: 'terminal', terminal: new UserTerminal(process.stdin as ReadStream, process.stdout as WriteStream) }
  }
  return { kind: 'pipes', stdin: !isNullDevice(0) }
}

/** Signals that a user or a supervisor sends to a job, and that so belong to the command. SIGTSTP and SIGCONT are handled apart. */
const FORWARDED = ['SIGINT', 'SIGTERM', 'SIGHUP', 'SIGQUIT', 'SIGUSR1', 'SIGUSR2'] as const satisfies readonly NodeJS.Signals[]

/** After SIGPIPE, for a command that ignores it and goes on writing to nobody. */
const BROKEN_PIPE_GRACE_MS = 1000

/**
 * Connects everything; output that the result keeps is only let through here. The returned function disconnects it, gives the terminal back,
 * and resolves when all output is written. It rejects where some of it could not be, though there is somebody who would read it.
 */
export function relay(command: RelayedCommand, wiring: Wiring, output: 'pass' | 'keep'): () => Promise<void> {
  const terminal = wiring.kind === 'terminal' ? wiring.terminal : undefined
  const input = inputGate(command, wiring)
  const undo = [input.close, forwardSignals(command, input, terminal)]
  if (terminal !== undefined) undo.push(terminal.onResize(() => resize(command, terminal)))
  const pass = (from: Readable, to: () => Writable): Promise<void> => output === 'pass' ? passOutput(command, from, to()) : closed(from.resume())
  const outputs = [pass(command.stdout, () => process.stdout)]
  if (command.stderr !== null) outputs.push(pass(command.stderr, () => process.stderr))
  input.open()
  return async () => {
    try {
      await Promise.all(outputs)
    } finally {
      for (const step of undo) step()
    }
  }
}

const resize = (command: RelayedCommand, { size: { rows, cols } }: UserTerminal): void => command.resize(rows, cols)

/** Resolves when what was written before has left this process, or never can. */
function written(stream: Writable): Promise<void> {
  return stream.writableLength === 0 || stream.destroyed ? Promise.resolve() : new Promise(done => { stream.write('', () => done()) })
}

/** What lets the user's input through: closed before this process is stopped, opened again when it goes on. */
interface InputGate {
  /** Waits until this process is in the foreground, where the input is a terminal: reading it earlier would stop this process. */
  open(): void
  close(): void
}

function inputGate(command: RelayedCommand, wiring: Wiring): InputGate {
  const target = command.stdin
  if (target === null || (wiring.kind === 'pipes' && !wiring.stdin)) {
    target?.end()
    return { open: () => {}, close: () => {} }
  }
  const terminal = wiring.kind === 'terminal' ? wiring.terminal : undefined
  const input: Readable & { readonly isTTY?: boolean } = process.stdin
  // No faster than the command takes it.
  const take = (chunk: Buffer): void => { if (!target.write(chunk)) input.pause() }
  const end = (): void => { target.end() }
  // EIO: the terminal was hung up.
  input.on('end', end).on('error', end)
  // EPIPE: the command takes no more input, as a bare one would not.
  target.on('drain', () => { if (input.listenerCount('data') > 0) input.resume() }).on('error', () => {})
  const begin = (): void => {
    terminal?.enter()
    input.on('data', take).resume()
  }
  let stopWaiting = (): void => {}
  return {
    open: () => {
      if (input.isTTY === true) stopWaiting = whenForeground(begin)
      else begin()
    },
    close: () => {
      stopWaiting()
      input.off('data', take).pause()
      terminal?.leave()
    },
  }
}

/** Resolves when all of it is written, or nobody reads it any more. @throws SandboxError `output_file` */
async function passOutput(command: RelayedCommand, from: Readable, to: Writable): Promise<void> {
  const timers: NodeJS.Timeout[] = []
  let failure: Error | undefined
  const broken = (error: Error): void => {
    if (timers.length > 0) return
    failure = error
    from.unpipe(to)
    // What still comes goes nowhere, as it would after SIGPIPE.
    from.resume()
    command.kill('SIGPIPE')
    timers.push(setTimeout(() => command.kill('SIGTERM'), BROKEN_PIPE_GRACE_MS), setTimeout(() => command.kill('SIGKILL'), 2 * BROKEN_PIPE_GRACE_MS))
  }
  // EPIPE, and EIO of a terminal that is gone. Stays to the end: a late error must not become an uncaught one.
  to.on('error', broken)
  from.pipe(to, { end: false })
  await closed(from)
  for (const timer of timers) clearTimeout(timer)
  await written(to)
  if (failure !== undefined && !isGone(failure)) throw notWritten(to, failure)
}

const closed = (stream: Readable): Promise<void> => stream.closed ? Promise.resolve() : new Promise(done => { stream.once('close', done) })

/** A stop of the command stops this whole job, so that the shell takes over; when the shell continues it, the command goes on. */
function forwardSignals(command: RelayedCommand, input: InputGate, terminal: UserTerminal | undefined): () => void {
  const forward = (signal: NodeJS.Signals): void => { command.kill(signal) }
  const goOn = (): void => {
    // Closed first: whoever had the terminal meanwhile may have changed its settings.
    input.close()
    input.open()
    // A terminal tells its size to the foreground only: Node looks again, and a change comes as a resize.
    if (terminal !== undefined) process.emit('SIGWINCH', 'SIGWINCH')
    command.kill('SIGCONT')
  }
  for (const signal of FORWARDED) process.on(signal, forward)
  process.on('SIGCONT', goOn)
  // Comes where the terminal is not raw: the command decides whether it stops.
  process.on('SIGTSTP', forward)

  command.on('stopped', () => {
    input.close()
    process.off('SIGTSTP', forward)
    // The default action stops this process before kill() returns. Where the kernel ignores it, since no shell could
    // continue us (an orphaned process group), we go on at once.
    process.kill(0, 'SIGTSTP')
    process.on('SIGTSTP', forward)
    goOn()
  })
  return () => {
    for (const signal of FORWARDED) process.off(signal, forward)
    process.off('SIGTSTP', forward).off('SIGCONT', goOn)
  }
}

/** Reading it would only give its end. */
function isNullDevice(descriptor: number): boolean {
  const NULL_DEVICE = 0x103
  const stat = fstatSync(descriptor)
  return stat.isCharacterDevice() && stat.rdev === NULL_DEVICE
}
