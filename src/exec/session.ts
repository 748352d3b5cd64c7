// One command in the background: what it wrote, how it stands, and what may still be done with it.
import { constants } from 'node:os'
import { SandboxError } from '../errors.js'
import type { CommandExit, EndedProcess, RunningCommand } from '../platform/backend.js'
import type { Denial } from './denial.js'
import type { StreamName } from './kept-output.js'
import type { OutputFlow } from './output-flow.js'
import { signalName } from './result.js'
import { SessionOutput } from './session-output.js'

export type SessionState =
  /** The command itself runs. */
  | 'running'
  /** It has ended, and what it left behind runs. */
  | 'left'
  /** Nothing of it runs. */
  | 'ended'

export interface SessionInfo {
  readonly id: number
  readonly command: readonly string[]
  readonly cwd: string
  /** Of the command, on the host; undefined until it runs, and where it is not known. */
  readonly pid: number | undefined
  readonly startedAt: Date
  readonly state: SessionState
  /** Of the command itself; null while it runs, and where a signal ended it. */
  readonly exitCode: number | null
  readonly signal: NodeJS.Signals | null
  /** What ended all of it, where it did not end by itself: `killed`, `memory-limit`, `pids-limit`, `host-changed-protected-path`, `launcher-lost`. */
  readonly endedBy?: string
  /** What the command left behind when it ended, with ids as seen inside. */
  readonly left: readonly EndedProcess[]
  /** Of its output, without control characters, each at most 200 characters. */
  readonly lastLines: readonly string[]
  /** Bytes of its output so far: as `cursor` of a read, what comes next. */
  readonly bytes: number
  /** Known once the command itself has ended. */
  readonly denials: readonly Denial[]
}

export interface SessionRead {
  /** Of both streams, in order of arrival; a line stands where something was dropped. */
  readonly text: string
  /** For the next read: where this one ended. */
  readonly cursor: number
  /** Bytes after the given cursor that are no longer held. */
  readonly dropped: number
  /** Whether there was more than `maxBytes`. */
  readonly more: boolean
  readonly state: SessionState
  readonly exitCode: number | null
  readonly signal: NodeJS.Signals | null
}

/** What a session needs of the command that it is. */
export interface SessionCommand {
  readonly running: RunningCommand | undefined
  kill(): void
}

export interface SessionEvents {
  /** It is to be listed. Returns its id. */
  show(session: Session): number
  /** Nothing of it runs any more. */
  gone(): void
}

const NO_DENIALS: readonly Denial[] = []

export class Session {
  readonly output = new SessionOutput()
  readonly #command: readonly string[]
  readonly #cwd: string
  readonly #startedAt = new Date()
  readonly #flow: OutputFlow
  readonly #events: SessionEvents
  #state: SessionState = 'running'
  /** 0: it is not listed, and may never be. */
  #id = 0
  #run: SessionCommand | undefined
  #pid: number | undefined
  #exitCode: number | null = null
  #signal: NodeJS.Signals | null = null
  #endedBy: string | undefined
  #left: readonly EndedProcess[] = []
  #denials = NO_DENIALS
  #killed = false
  #inputEnded = false
  /** Those who wait for input to be taken, for news, and for the end. */
  #whenDrained: (() => void)[] = []
  #whenChanged: (() => void)[] = []
  #whenEnded: (() => void)[] = []
  #holders = 0

  constructor(command: readonly string[], cwd: string, flow: OutputFlow, events: SessionEvents) {
    this.#command = command
    this.#cwd = cwd
    this.#flow = flow
    this.#events = events
  }

  get id(): number {
    return this.#id
  }

  get state(): SessionState {
    return this.#state
  }

  started(hostPid: number): void {
    this.#pid = hostPid === 0 ? undefined : hostPid
    this.#changed()
  }

  /** It is in the background from here on: listed, and nobody waits for it. */
  show(run: SessionCommand): void {
    this.#run = run
    this.#id = this.#events.show(this)
    if (this.#holders === 0) run.running?.unref()
  }

  /** Output that somebody else deals with as well. */
  record(stream: StreamName, chunk: Buffer): void {
    this.output.add(stream, chunk)
    this.#changed()
  }

  /** Output of the background. */
  take(stream: StreamName, chunk: Buffer): void {
    this.record(stream, chunk)
    const running = this.#run?.running
    if (running === undefined) return
    if (this.#killed) running.consumed(stream, chunk.length)
    else this.#flow.add(running, stream, chunk.length)
  }

  drained(): void {
    const waiting = this.#whenDrained
    this.#whenDrained = []
    for (const wake of waiting) wake()
  }

  /** The command itself ended, and `exit.ended` goes on. */
  commandLeft(exit: CommandExit): void {
    this.#state = 'left'
    this.#left = exit.ended
    this.#setExit(exit)
    this.#changed()
  }

  denied(denials: readonly Denial[]): void {
    this.#denials = denials
  }

  /** Nothing of it is left. @param exit  undefined where the launcher was lost, or nothing ever ran */
  over(exit: CommandExit | undefined): void {
    if (this.#state === 'ended') return
    if (this.#state === 'running' && exit !== undefined) this.#setExit(exit)
    if (exit === undefined) this.#endedBy = 'launcher-lost'
    else if (exit.reason !== 'none') this.#endedBy = exit.reason
    this.#state = 'ended'
    this.output.end()
    this.drained()
    this.#events.gone()
    this.#changed()
    for (const wake of this.#whenEnded) wake()
    this.#whenEnded = []
  }

  #setExit({ exitCode, signal }: CommandExit): void {
    this.#exitCode = exitCode ?? null
    this.#signal = signalName(signal)
  }

  #changed(): void {
    const waiting = this.#whenChanged
    if (waiting.length === 0) return
    this.#whenChanged = []
    for (const wake of waiting) wake()
  }

  info(lines: number): SessionInfo {
    return {
      id: this.#id, command: this.#command, cwd: this.#cwd, pid: this.#pid, startedAt: this.#startedAt, state: this.#state, exitCode: this.#exitCode, signal: this.#signal,
      ...(this.#endedBy === undefined ? undefined : { endedBy: this.#endedBy }),
      left: this.#left, lastLines: this.output.lastLines(lines), bytes: this.output.bytes, denials: this.#denials,
    }
  }

  read(cursor: number, maxBytes: number): SessionRead {
    const { text, cursor: next, dropped } = this.output.read(cursor, maxBytes)
    return { text, cursor: next, dropped, more: next < this.output.bytes, state: this.#state, exitCode: this.#exitCode, signal: this.#signal }
  }

  /** Resolves when there is more output or another state; where it has ended, at once. */
  async news(waitMs: number): Promise<void> {
    if (this.#state === 'ended') return
    let timer: NodeJS.Timeout | undefined
    await new Promise<void>(resolve => {
      this.#whenChanged.push(resolve)
      timer = setTimeout(resolve, waitMs)
    })
    clearTimeout(timer)
  }

  async write(bytes: Uint8Array): Promise<void> {
    const running = this.#run?.running
    if (this.#state === 'ended' || this.#inputEnded || running === undefined) throw this.#closed()
    if (running.writeStdin(bytes)) return
    await this.holding(() => new Promise<void>(resolve => { this.#whenDrained.push(resolve) }))
    if (this.#state !== 'running' && this.#state !== 'left') throw this.#closed()
  }

  endInput(): void {
    this.#inputEnded = true
    this.#run?.running?.closeStdin()
  }

  /** It had none from the start. */
  withoutInput(): void {
    this.#inputEnded = true
  }

  resize(rows: number, cols: number): void {
    if (this.#state !== 'ended') this.#run?.running?.resize(rows, cols)
  }

  signal(number: number): boolean {
    if (this.#state === 'ended') return false
    if (number === constants.signals.SIGKILL) this.#end()
    else this.#run?.running?.signal(number)
    return true
  }

  async kill(graceMs: number): Promise<void> {
    if (this.#state === 'ended') return
    await this.holding(async () => {
      const ended = new Promise<void>(resolve => { this.#whenEnded.push(resolve) })
      if (graceMs === 0) this.#end()
      else this.#run?.running?.signal(constants.signals.SIGTERM)
      const timer = graceMs === 0 ? undefined : setTimeout(() => this.#end(), graceMs)
      await ended
      clearTimeout(timer)
    })
  }

  #end(): void {
    this.#killed = true
    this.#run?.kill()
  }

  /** Keeps Node alive as long as a caller waits. */
  async holding(wait: () => Promise<void>): Promise<void> {
    this.#holders++
    this.#run?.running?.ref()
    try {
      await wait()
    } finally {
      if (--this.#holders === 0 && this.#id !== 0) this.#run?.running?.unref()
    }
  }

  #closed(): SandboxError {
    const detail = this.#state === 'ended' ? 'it has ended' : 'its input is closed'
    return new SandboxError('session_ended', { field: 'id', value: this.#id }, { detail })
  }
}
