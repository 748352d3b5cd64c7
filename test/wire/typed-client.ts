// A small client that knows the generated types and nothing else of this project.
import type { Readable, Writable } from 'node:stream'
import type { ClientRequests, ServerNotifications, ServerRequests } from './generated/index.js'

type Heard = { [Method in keyof ServerNotifications]: { method: Method; params: ServerNotifications[Method] } }[keyof ServerNotifications]
type Asked = { [Method in keyof ServerRequests]: { id: string | number; method: Method; params: ServerRequests[Method]['params'] } }[keyof ServerRequests]

export interface Listeners {
  heard?(notification: Heard): void
  asked?(request: Asked): ServerRequests[Asked['method']]['response']
}

export class RequestError extends Error {
  readonly code: number
  readonly data: unknown

  constructor({ code, message, data }: { code: number; message: string; data?: unknown }) {
    super(message)
    this.code = code
    this.data = data
  }
}

export class TypedClient {
  readonly #output: Writable
  readonly #waiting = new Map<number, { resolve(result: unknown): void; reject(error: Error): void }>()
  #nextId = 0
  #rest = ''

  constructor(input: Readable, output: Writable, listeners: Listeners = {}) {
    this.#output = output
    input.setEncoding('utf8')
    input.on('data', (text: string) => {
      const lines = (this.#rest + text).split('\n')
      this.#rest = lines.pop() ?? ''
      for (const line of lines) this.#take(JSON.parse(line), listeners)
    })
  }

  request<Method extends keyof ClientRequests>(method: Method, params: ClientRequests[Method]['params']): Promise<ClientRequests[Method]['response']> {
    const id = this.#nextId++
    this.#output.write(`${JSON.stringify({ id, method, params })}\n`)
    return new Promise((resolve, reject) => {
      this.#waiting.set(id, { resolve: resolve as (result: unknown) => void, reject })
    })
  }

  initialized(): void {
    this.#output.write('{"method":"initialized"}\n')
  }

  #take(message: { id?: number; method?: string; result?: unknown; error?: { code: number; message: string; data?: unknown } }, { heard, asked }: Listeners): void {
    if (message.method !== undefined && message.id !== undefined) {
      const result = asked?.(message as Asked) ?? { decision: 'decline' as const }
      this.#output.write(`${JSON.stringify({ id: message.id, result })}\n`)
    } else if (message.method !== undefined) heard?.(message as Heard)
    else {
      const waiting = this.#waiting.get(message.id as number)
      this.#waiting.delete(message.id as number)
      if (message.error === undefined) waiting?.resolve(message.result)
      else waiting?.reject(new RequestError(message.error))
    }
  }
}
