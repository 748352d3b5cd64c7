// The commands of a sandbox that go on in the background: those started as sessions, and what others left with `background: 'keep'`.
// Each lives until it ends by itself, is killed, or the sandbox closes. None keeps Node alive, and none waits for a reader: of what
// nobody reads the middle is dropped, and what floods is slowed down.
import { SandboxError } from '../errors.js'
import { isTerminalSize, signalNumber, wholeNumber } from './check-options.js'
import type { SessionOptions } from './options.js'
import { OutputFlow } from './output-flow.js'
import { Session, type SessionInfo, type SessionRead } from './session.js'

/** At once in a sandbox; each holds at most 256 KiB of output. */
const MOST_SESSIONS = 64
/** Ended ones that are still listed and read; the oldest go first. */
const MOST_ENDED = 16
const DEFAULT_LINES = 5
const DEFAULT_READ_BYTES = 64 << 10
const DEFAULT_KILL_GRACE_MS = 2_000

export interface SessionReadOptions {
  /** Where the last read ended. Default: 0, the start. */
  readonly cursor?: number
  /** Default: 64 KiB. */
  readonly maxBytes?: number
  /** How long to wait where there is nothing after `cursor` yet. Default: 0. */
  readonly waitMs?: number
}

type Start = (argv: readonly string[], options: SessionOptions) => Promise<Session>

/** `sandbox.sessions`. */
export class Sessions {
  readonly #sessions = new Map<number, Session>()
  readonly #flow = new OutputFlow()
  readonly #start: Start
  #nextId = 1
  #running = 0

  /** Made by the sandbox. */
  constructor(start: Start) {
    this.#start = start
  }

  /**
   * Starts a command in the background, with its input open. Resolves when it runs, or has failed to: then its exit code is 126 or 127.
   *
   * @throws SandboxError `too_many_sessions`, and all that `exec` has
   */
  async start(argv: readonly string[], options: SessionOptions = {}): Promise<SessionInfo> {
    return (await this.#start(argv, options)).info(DEFAULT_LINES)
  }

  /** All that run and the 16 that ended last, oldest first. `lines`: how many of the last ones to show. Default: 5. */
  list({ lines = DEFAULT_LINES }: { readonly lines?: number } = {}): SessionInfo[] {
    needCount('lines', lines)
    return [...this.#sessions.values()].map(session => session.info(lines))
  }

  /**
   * Output from a cursor on.
   *
   * @throws SandboxError `session_not_found`
   */
  async read(id: number, { cursor = 0, maxBytes = DEFAULT_READ_BYTES, waitMs = 0 }: SessionReadOptions = {}): Promise<SessionRead> {
    for (const [field, value] of Object.entries({ cursor, maxBytes, waitMs })) needCount(field, value)
    const session = this.#find(id)
    if (waitMs > 0 && session.output.bytes <= cursor) await session.news(waitMs)
    return session.read(cursor, maxBytes)
  }

  /**
   * Writes to its standard input, or types on its terminal. Resolves when the command's input has taken it.
   *
   * @throws SandboxError `session_not_found`; `session_ended`, also where its input is closed
   */
  async write(id: number, data: string | Uint8Array): Promise<void> {
    if (typeof data !== 'string' && !(data instanceof Uint8Array)) throw new SandboxError('option_invalid', { field: 'data', value: typeof data }, { detail: 'it must be a string or bytes' })
    await this.#find(id).write(typeof data === 'string' ? Buffer.from(data) : data)
  }

  /** Its input is at its end, once what was written is taken. */
  endInput(id: number): void {
    this.#find(id).endInput()
  }

  /** Its terminal's size. Without effect where it has none. */
  resize(id: number, rows: number, cols: number): void {
    if (!isTerminalSize(rows) || !isTerminalSize(cols)) throw new SandboxError('option_invalid', { field: 'size', value: { rows, cols } }, { detail: 'both must be from 0 to 65535' })
    this.#find(id).resize(rows, cols)
  }

  /** Sends a signal to the command's process group, or to all of what it left. False where it has ended. */
  signal(id: number, signal: NodeJS.Signals | number): boolean {
    return this.#find(id).signal(signalNumber(signal))
  }

  /** SIGTERM, and after `graceMs` (default 2000) the end of its whole tree. Resolves when nothing of it is left. */
  async kill(id: number, { graceMs = DEFAULT_KILL_GRACE_MS }: { readonly graceMs?: number } = {}): Promise<SessionInfo> {
    needCount('graceMs', graceMs)
    const session = this.#find(id)
    await session.kill(graceMs)
    return session.info(DEFAULT_LINES)
  }

  /** For `CommandRun`: a place for one more, listed once it is shown. @throws SandboxError `too_many_sessions` */
  open(command: readonly string[], cwd: string): Session {
    if (this.#running >= MOST_SESSIONS) throw new SandboxError('too_many_sessions', { field: 'sessions', value: this.#running })
    this.#running++
    return new Session(command, cwd, this.#flow, {
      show: session => {
        const id = this.#nextId++
        this.#sessions.set(id, session)
        return id
      },
      gone: () => {
        this.#running--
        this.#forgetOldest()
      },
    })
  }

  #forgetOldest(): void {
    const ended = [...this.#sessions.values()].filter(({ state }) => state === 'ended')
    for (const { id } of ended.slice(0, Math.max(0, ended.length - MOST_ENDED))) this.#sessions.delete(id)
  }

  #find(id: number): Session {
    const session = this.#sessions.get(id)
    if (session !== undefined) return session
    const ids = [...this.#sessions.keys()]
    throw new SandboxError('session_not_found', { field: 'id', value: id }, { remedy: ids.length === 0 ? 'There are none.' : `There are ${ids.join(', ')}.` })
  }
}

function needCount(field: string, value: unknown): void {
  const wrong = wholeNumber(value)
  if (wrong !== undefined) throw new SandboxError('option_invalid', { field, value }, { detail: wrong })
}
