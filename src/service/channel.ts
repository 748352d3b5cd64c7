// One connection's messages: a JSON object a line, both ways. Answers are matched to the requests of either side; nothing here knows a
// method. A client that does not read is not read from either, once so much waits for it; what cannot be read is logged and skipped.
import type { Readable, Writable } from 'node:stream'
import { LineReader, LONGEST_LINE_BYTES } from './lines.js'
import type { RequestId } from './protocol.js'
import { invalidRequest, overloaded, type RpcError } from './rpc-error.js'

/** Waiting to be read by the client. Above it nothing more is taken from it, and what streams to it waits. */
const MOST_UNREAD_BYTES = 4 << 20
/** Not answered yet, of one client: the commands that may wait, and much else. */
const MOST_OPEN_REQUESTS = 2048
/** Of tables and lists in each other: far more than any message has, and far less than what walks through them can take. */
const DEEPEST = 64
/** Shown of what a client sent, in a log. */
const SHOWN_CHARACTERS = 120

export interface ChannelEvents {
  /** Resolves with the result. `after` registers what has to happen right behind the answer. */
  request(id: RequestId, method: string, params: unknown, after: (then: () => void) => void): unknown
  notification(method: string, params: unknown): void
  /** The client sends nothing more; it may still read. */
  ended(): void
  /** Nobody reads any more. */
  closed(): void
  log(text: string): void
}

interface Waiting {
  resolve(result: unknown): void
  reject(error: Error): void
}

export class Channel {
  readonly #input: Readable
  readonly #output: Writable
  readonly #events: ChannelEvents
  readonly #lines: LineReader
  /** Requests of the client that are not answered yet. */
  readonly #open = new Set<RequestId>()
  /** Requests of ours. */
  readonly #asked = new Map<RequestId, Waiting>()
  #nextId = 0
  #closed = false
  #paused = false
  #whenRead: (() => void)[] = []

  constructor(input: Readable, output: Writable, events: ChannelEvents, longestLineBytes = LONGEST_LINE_BYTES) {
    this.#input = input
    this.#output = output
    this.#events = events
    this.#lines = new LineReader({
      line: text => this.#receive(text),
      tooLong: start => this.#refuseLong(start, longestLineBytes),
      notUtf8: () => events.log('skipped a line that is not UTF-8'),
    }, longestLineBytes)
    // Whatever becomes of one side, it is told once, by `closed`.
    output.on('error', () => this.close())
    output.once('close', () => this.close())
    output.on('drain', () => this.#drained())
    input.on('error', () => this.close())
    input.once('end', () => {
      this.#lines.end()
      events.ended()
    })
    input.on('data', (chunk: Buffer) => {
      if (this.#closed) return
      this.#lines.add(chunk)
      this.#waitIfUnread()
    })
  }

  get isClosed(): boolean {
    return this.#closed
  }

  /** How many requests of the client are not answered yet. */
  get openRequests(): number {
    return this.#open.size
  }

  /** Undefined where more may be sent at once; else resolves when the client has read, or is gone. */
  whenRead(): Promise<void> | undefined {
    if (this.#closed || this.#output.writableLength < MOST_UNREAD_BYTES) return undefined
    return new Promise(resolve => { this.#whenRead.push(resolve) })
  }

  notify(method: string, params: unknown): void {
    this.#send({ method, params })
  }

  /** Asks the client. Rejects where it answers with an error, or goes. */
  ask(method: string, params: unknown): { readonly id: RequestId; readonly answer: Promise<unknown> } {
    const id = this.#nextId++
    const answer = new Promise<unknown>((resolve, reject) => {
      if (this.#closed) return reject(new Error('the client is gone'))
      this.#asked.set(id, { resolve, reject })
      this.#send({ id, method, params })
    })
    return { id, answer }
  }

  /** Nobody waits for the answer any more. */
  forget(id: RequestId): void {
    this.#asked.delete(id)
  }

  /** Takes nothing more from the client; what was sent to it is still delivered. Resolves when it is. */
  finish(): Promise<void> {
    this.#input.pause()
    if (this.#closed) return Promise.resolve()
    return new Promise(resolve => {
      this.#output.once('close', resolve)
      this.#output.end(resolve)
    })
  }

  /** Idempotent. */
  close(): void {
    if (this.#closed) return
    this.#closed = true
    this.#input.destroy()
    this.#output.destroy()
    for (const { reject } of this.#asked.values()) reject(new Error('the client is gone'))
    this.#asked.clear()
    this.#wake()
    this.#events.closed()
  }

  #send(message: object): void {
    if (!this.#closed && !this.#output.writableEnded) this.#output.write(`${JSON.stringify(message)}\n`)
  }

  #receive(text: string): void {
    let message: unknown
    try {
      message = JSON.parse(text)
    } catch {
      return this.#events.log(`skipped a line that is not JSON: ${shown(text)}`)
    }
    if (typeof message !== 'object' || message === null || Array.isArray(message)) return this.#events.log(`skipped a line that is no message: ${shown(text)}`)
    const { id, method, params } = message as { id?: unknown; method?: unknown; params?: unknown }
    if (isDeeper(message, DEEPEST)) return this.#refuseDeep(id, method)
    if (typeof method === 'string') {
      if (isRequestId(id)) void this.#answer(id, method, params)
      else if (id === undefined || id === null) this.#events.notification(method, params)
      else this.#refuseId(id)
    } else if (method !== undefined && isRequestId(id) && !this.#open.has(id)) this.#sendError(id, invalidRequest('Invalid request: method: invalid type, expected string'))
    else if (isRequestId(id) && ('result' in message || 'error' in message)) this.#take(id, message)
    else this.#events.log(`skipped a line that is no message: ${shown(text)}`)
  }

  async #answer(id: RequestId, method: string, params: unknown): Promise<void> {
    if (this.#open.has(id)) return this.#sendError(id, invalidRequest(`duplicate request id ${JSON.stringify(id)}: the request before it is not answered yet`))
    if (this.#open.size >= MOST_OPEN_REQUESTS) return this.#sendError(id, overloaded(`${this.#open.size} requests of this client are not answered yet`))
    this.#open.add(id)
    const after: (() => void)[] = []
    let failure: RpcError | undefined
    let result: unknown
    try {
      const returned = this.#events.request(id, method, params, then => after.push(then))
      result = isPromise(returned) ? await returned : returned
    } catch (error) {
      failure = error as RpcError
    }
    this.#open.delete(id)
    // The answer and what follows it in one piece.
    this.#output.cork()
    if (failure === undefined) this.#send({ id, result })
    else this.#sendError(id, failure)
    for (const then of after) then()
    this.#output.uncork()
  }

  #sendError(id: RequestId | null, { code, message, data }: RpcError): void {
    this.#send({ id, error: { code, message, ...(data === undefined ? {} : { data }) } })
  }

  #take(id: RequestId, message: object): void {
    const waiting = this.#asked.get(id)
    if (waiting === undefined) return this.#events.log(`skipped an answer to ${JSON.stringify(id)}, which was not asked`)
    this.#asked.delete(id)
    if ('error' in message) waiting.reject(new Error(`the client answered with an error: ${shown(JSON.stringify(message.error) ?? '')}`))
    else waiting.resolve((message as { result: unknown }).result)
  }

  /** Whoever sent it waits. Its own id cannot be given back: JSON has no integer of more than 53 bits here, and the protocol none with a fraction. */
  #refuseId(id: unknown): void {
    const text = `id: invalid type, expected a string or an integer of at most 53 bits, got ${shown(JSON.stringify(id))}`
    this.#events.log(`refused a request: ${text}`)
    this.#sendError(null, invalidRequest(`Invalid request: ${text}`))
  }

  /** A question that is answered so is not answered by anything better. */
  #refuseDeep(id: unknown, method: unknown): void {
    const text = `tables and lists lie in each other more than ${DEEPEST} deep`
    if (!isRequestId(id)) this.#events.log(`skipped a line: ${text}`)
    else if (typeof method === 'string') this.#sendError(id, invalidRequest(`Invalid request: ${text}`))
    else this.#take(id, { error: text })
  }

  #refuseLong(start: string, longestBytes: number): void {
    const id = requestIdIn(start)
    if (id === undefined) this.#events.log(`skipped a line of more than ${longestBytes} bytes`)
    else this.#sendError(id, invalidRequest(`Invalid request: the line is longer than ${longestBytes} bytes`))
  }

  #waitIfUnread(): void {
    if (this.#paused || this.#output.writableLength < MOST_UNREAD_BYTES) return
    this.#paused = true
    this.#input.pause()
  }

  #drained(): void {
    if (this.#paused) this.#input.resume()
    this.#paused = false
    this.#wake()
  }

  #wake(): void {
    const waiting = this.#whenRead
    this.#whenRead = []
    for (const wake of waiting) wake()
  }
}

function isDeeper(value: unknown, most: number): boolean {
  if (typeof value !== 'object' || value === null) return false
  return most === 0 || Object.values(value).some(each => isDeeper(each, most - 1))
}

const isRequestId = (id: unknown): id is RequestId => typeof id === 'string' || (typeof id === 'number' && Number.isSafeInteger(id))

/** Where the first members of a message are its id and its method, in whatever order, the id can be told without the rest. */
function requestIdIn(start: string): RequestId | undefined {
  const found = /^\s*\{\s*(?:"(?:method|jsonrpc)"\s*:\s*"[^"\\]{0,100}"\s*,\s*){0,2}"id"\s*:\s*(-?\d{1,15}|"[^"\\]{0,200}")\s*[,}]/.exec(start)?.[1]
  return found === undefined ? undefined : JSON.parse(found) as RequestId
}

const shown = (text: string): string => JSON.stringify(text.length > SHOWN_CHARACTERS ? `${text.slice(0, SHOWN_CHARACTERS)}…` : text)

const isPromise = (value: unknown): value is Promise<unknown> => typeof value === 'object' && value !== null && 'then' in value
