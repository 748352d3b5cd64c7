// Background terminals: commands that go on between requests. Each belongs to the client that started it, ends with it, and holds the
// sandbox that it runs in. Every client of the service sees all of them and may end them; to write to one and to read it is its owner's.
import type { Sandbox } from '../exec/sandbox.js'
import type { SessionInfo, SessionRead } from '../exec/session.js'
import { invalidParams, invalidRequest, rpcError } from './rpc-error.js'
import type { SessionResult } from './protocol.js'
import type { Lease } from './warm-sandboxes.js'

/** Of one client, those that run; ended ones make room. */
const MOST_OF_A_CLIENT = 64
const START_YIELD = { least: 250, usual: 10_000, most: 30_000 } as const
const WRITE_YIELD = { least: 0, usual: 250, most: 30_000 } as const
const POLL_YIELD = { least: 0, usual: 5_000 } as const
const DEFAULT_OUTPUT_BYTES = 40_000
const LARGEST_OUTPUT_BYTES = 1 << 20
const DEFAULT_LINES = 5
const MOST_LINES = 1_000
const DEFAULT_SIZE = { rows: 24, cols: 80 } as const

/** What programs that write for a log and not for a person need, as the reference sets it. The request's own `env` goes over it. */
const VARIABLES = {
  NO_COLOR: '1', TERM: 'dumb', LANG: 'C.UTF-8', LC_CTYPE: 'C.UTF-8', LC_ALL: 'C.UTF-8', COLORTERM: '', PAGER: 'cat', GIT_PAGER: 'cat', GH_PAGER: 'cat', CODEX_CI: '1',
} as const

export interface StartParams {
  readonly command: readonly string[]
  readonly cwd?: string | null | undefined
  readonly env?: Readonly<Record<string, string | null>> | null | undefined
  readonly tty?: boolean | null | undefined
  readonly size?: { readonly rows: number; readonly cols: number } | null | undefined
}
export interface YieldParams {
  readonly yieldTimeMs?: number | null | undefined
  readonly maxOutputBytes?: number | null | undefined
}

interface Terminal {
  readonly id: number
  readonly owner: object
  readonly client: string
  readonly lease: Lease<Sandbox>
  /** In its sandbox. */
  readonly localId: number
  /** Where the last answer ended. */
  cursor: number
}

export class Terminals {
  readonly #terminals = new Map<number, Terminal>()
  /** Being started, by owner: they count. */
  readonly #starting = new Map<object, number>()
  readonly #gone = new WeakSet<object>()
  #nextId = 1

  /** @param client  how lists call the owner */
  async start(owner: object, client: string, lease: Lease<Sandbox>, params: StartParams & YieldParams): Promise<SessionResult> {
    const { command, cwd, env, tty, size } = params
    const startedAt = performance.now()
    let terminal: Terminal | undefined
    try {
      if (command.length === 0) throw invalidRequest('command must not be empty')
      if (typeof size === 'object' && size !== null && tty !== true) throw invalidParams('sandbox/session/start size requires tty: true', { field: 'size' })
      this.#makeRoom(owner)
      this.#count(owner, 1)
      try {
        const info = await lease.sandbox.sessions.start(command, {
          env: { ...VARIABLES, ...env }, ...(typeof cwd === 'string' ? { cwd } : {}), ...(tty === true ? { tty: size ?? DEFAULT_SIZE } : {}),
        })
        terminal = { id: this.#nextId++, owner, client, lease, localId: info.id, cursor: 0 }
      } finally {
        this.#count(owner, -1)
      }
    } catch (error) {
      lease.release()
      throw rpcError(error)
    }
    this.#terminals.set(terminal.id, terminal)
    // Its client went while it was started.
    if (this.#gone.has(owner)) {
      await this.#end(terminal, 0)
      throw invalidRequest('the client is gone')
    }
    return this.#collect(terminal, startedAt, yieldTime(params.yieldTimeMs, START_YIELD), outputBytes(params))
  }

  async write(owner: object, { sessionId, bytes, closeStdin, ...params }: { readonly sessionId: number; readonly bytes: Uint8Array | undefined; readonly closeStdin: boolean } & YieldParams): Promise<SessionResult> {
    const startedAt = performance.now()
    const terminal = this.#find(owner, sessionId)
    const { sessions } = terminal.lease.sandbox
    try {
      if (bytes !== undefined && bytes.length > 0) await sessions.write(terminal.localId, bytes)
      if (closeStdin) sessions.endInput(terminal.localId)
    } catch (error) {
      throw rpcError(error)
    }
    return this.#collect(terminal, startedAt, yieldTime(params.yieldTimeMs, WRITE_YIELD), outputBytes(params))
  }

  /** @param longestMs  `background_terminal_max_timeout` */
  async poll(owner: object, { sessionId, ...params }: { readonly sessionId: number } & YieldParams, longestMs: number): Promise<SessionResult> {
    return this.#collect(this.#find(owner, sessionId), performance.now(), yieldTime(params.yieldTimeMs, { ...POLL_YIELD, most: longestMs }), outputBytes(params))
  }

  resize(owner: object, sessionId: number, { rows, cols }: { readonly rows: number; readonly cols: number }): void {
    const { lease, localId } = this.#find(owner, sessionId)
    if (rows === 0 || cols === 0) throw invalidParams(`size rows and cols must be greater than 0, got ${rows} and ${cols}`, { field: 'size' })
    lease.sandbox.sessions.resize(localId, rows, cols)
  }

  /** Resolves when nothing of it is left. */
  async kill(sessionId: number, graceMs: number): Promise<Pick<SessionInfo, 'exitCode' | 'signal'>> {
    return this.#end(this.#find(undefined, sessionId), graceMs)
  }

  /** @param all  those of other clients too */
  list(owner: object, { all, lines = DEFAULT_LINES }: { readonly all: boolean; readonly lines?: number | undefined }) {
    const listed = [...this.#terminals.values()].filter(terminal => all || terminal.owner === owner)
    return listed.flatMap(terminal => {
      const info = this.#infoOf(terminal, Math.min(Math.max(lines, 1), MOST_LINES))
      if (info === undefined) return []
      const { command, cwd, pid, startedAt, state, exitCode, signal, endedBy, lastLines } = info
      return [{
        sessionId: terminal.id, command: [...command], cwd, pid: pid ?? null, startedAtMs: startedAt.getTime(), state, exitCode, signal, endedBy: endedBy ?? null,
        lastLines: lines === 0 ? [] : [...lastLines], own: terminal.owner === owner, client: terminal.client,
      }]
    })
  }

  /** The client is gone, and what it started with it. Resolves when nothing of it is left. */
  async forget(owner: object): Promise<void> {
    this.#gone.add(owner)
    await Promise.all([...this.#terminals.values()].filter(terminal => terminal.owner === owner).map(terminal => this.#end(terminal, 0)))
  }

  /** Output from where the last answer ended on, until the time is over, the command is, or there is enough. */
  async #collect(terminal: Terminal, startedAt: number, waitMs: number, maxBytes: number): Promise<SessionResult> {
    const until = performance.now() + waitMs
    const { sessions } = terminal.lease.sandbox
    let [output, left, dropped] = ['', maxBytes, 0]
    let read: SessionRead
    for (;;) {
      const remaining = Math.max(0, Math.ceil(until - performance.now()))
      const from = terminal.cursor
      read = await sessions.read(terminal.localId, { cursor: from, maxBytes: left, waitMs: remaining }).catch((error: unknown) => { throw rpcError(error) })
      terminal.cursor = read.cursor
      output += read.text
      dropped += read.dropped
      left -= read.cursor - from - read.dropped
      if (left <= 0 || read.state === 'ended' || remaining === 0) break
    }
    const { state, exitCode, signal, more } = read
    if (state === 'ended' && !more) this.#forgetOne(terminal)
    return { sessionId: terminal.id, state, exitCode, signal, output, dropped, more, wallTimeMs: performance.now() - startedAt }
  }

  async #end(terminal: Terminal, graceMs: number): Promise<Pick<SessionInfo, 'exitCode' | 'signal'>> {
    try {
      const { exitCode, signal } = await terminal.lease.sandbox.sessions.kill(terminal.localId, { graceMs })
      return { exitCode, signal }
    } catch (error) {
      throw rpcError(error)
    } finally {
      this.#forgetOne(terminal)
    }
  }

  /** Undefined: it ended, and its sandbox has forgotten it in favour of later ones. */
  #infoOf({ lease, localId }: Terminal, lines: number): SessionInfo | undefined {
    return lease.sandbox.sessions.list({ lines }).find(({ id }) => id === localId)
  }

  #makeRoom(owner: object): void {
    const own = [...this.#terminals.values()].filter(terminal => terminal.owner === owner)
    const ended = own.filter(terminal => (this.#infoOf(terminal, 1)?.state ?? 'ended') === 'ended')
    const count = own.length + (this.#starting.get(owner) ?? 0)
    if (count < MOST_OF_A_CLIENT) return
    if (ended[0] !== undefined) return this.#forgetOne(ended[0])
    throw invalidRequest(`${count} background terminals are the most that one client may have. End one of them: sandbox/session/list and sandbox/session/kill.`)
  }

  #forgetOne(terminal: Terminal): void {
    if (this.#terminals.delete(terminal.id)) terminal.lease.release()
  }

  #count(owner: object, change: 1 | -1): void {
    const count = (this.#starting.get(owner) ?? 0) + change
    if (count === 0) this.#starting.delete(owner)
    else this.#starting.set(owner, count)
  }

  /** @param owner  undefined: anybody's */
  #find(owner: object | undefined, id: number): Terminal {
    const terminal = this.#terminals.get(id)
    if (terminal !== undefined && (owner === undefined || terminal.owner === owner)) return terminal
    throw invalidRequest(`no background terminal ${id}${terminal === undefined ? '' : ' of this client'}`)
  }
}

const yieldTime = (asked: number | null | undefined, { least, usual, most }: { readonly least: number; readonly usual: number; readonly most: number }): number =>
  Math.min(Math.max(asked ?? usual, least), most)

const outputBytes = ({ maxOutputBytes }: YieldParams): number => Math.min(Math.max(maxOutputBytes ?? DEFAULT_OUTPUT_BYTES, 1), LARGEST_OUTPUT_BYTES)

