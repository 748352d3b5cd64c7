// Hands output to the caller's `onOutput`, one call at a time. While a returned promise is pending, what comes waits here, and
// as none of it counts as consumed, no more than the stream's window comes.
import type { StreamName } from './kept-output.js'
import type { OutputListener } from './options.js'

export interface DeliveryEvents {
  consumed(stream: StreamName, bytes: number): void
  /** The listener threw: it is not called again. */
  failed(error: unknown): void
}

interface Piece { readonly stream: StreamName; readonly chunk: Buffer }

export class OutputDelivery {
  readonly #listener: OutputListener
  readonly #events: DeliveryEvents
  #waiting: Piece[] = []
  /** The piece whose promise is pending. */
  #pending: Piece | undefined
  #failed = false
  /** What comes counts as consumed at once: the command has ended, so no more than its pipes hold will come. */
  #waitsForNobody = false
  #wakeIdle: (() => void) | undefined

  constructor(listener: OutputListener, events: DeliveryEvents) {
    this.#listener = listener
    this.#events = events
  }

  add(stream: StreamName, chunk: Buffer): void {
    if (this.#waitsForNobody) this.#events.consumed(stream, chunk.length)
    if (this.#pending !== undefined) this.#waiting.push({ stream, chunk })
    else this.#deliver({ stream, chunk })
  }

  stopWaiting(): void {
    if (this.#waitsForNobody) return
    const undelivered = this.#pending === undefined ? this.#waiting : [this.#pending, ...this.#waiting]
    this.#waitsForNobody = true
    for (const { stream, chunk } of undelivered) this.#events.consumed(stream, chunk.length)
  }

  /** Undefined where everything was delivered already. */
  whenIdle(): Promise<void> | undefined {
    if (this.#pending === undefined) return undefined
    return new Promise(resolve => { this.#wakeIdle = resolve })
  }

  #deliver(piece: Piece): void {
    if (this.#failed) return this.#delivered(piece)
    try {
      const returned = this.#listener(piece.chunk, piece.stream)
      if (!isPromise(returned)) return this.#delivered(piece)
      this.#pending = piece
      returned.then(() => this.#deliverNext(piece), error => {
        this.#fail(error)
        this.#deliverNext(piece)
      })
    } catch (error) {
      this.#fail(error)
      this.#delivered(piece)
    }
  }

  #deliverNext(previous: Piece): void {
    this.#pending = undefined
    this.#delivered(previous)
    while (this.#pending === undefined && this.#waiting.length > 0) this.#deliver(this.#waiting.shift() as Piece)
    if (this.#pending === undefined) this.#wakeIdle?.()
  }

  #delivered({ stream, chunk }: Piece): void {
    if (!this.#waitsForNobody) this.#events.consumed(stream, chunk.length)
  }

  #fail(error: unknown): void {
    if (this.#failed) return
    this.#failed = true
    this.#events.failed(error)
  }
}

const isPromise = (value: unknown): value is PromiseLike<unknown> => typeof value === 'object' && value !== null && 'then' in value && typeof value.then === 'function'
