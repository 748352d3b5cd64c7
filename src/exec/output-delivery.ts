// Hands output to the caller's `onOutput` and to the file that it is kept in, one piece at a time. While a returned promise is pending,
// what comes waits here, and as none of it counts as consumed, no more than the stream's window comes.
import type { StreamName } from './kept-output.js'

export interface DeliveryEvents {
  consumed(stream: StreamName, bytes: number): void
  /** The receiver threw: it is not called again. */
  failed(error: unknown): void
}

/** Gets each piece, and `undefined` once when no more comes. */
export type OutputReceiver = (chunk: Buffer | undefined, stream: StreamName) => unknown

interface Piece { readonly stream: StreamName; readonly chunk: Buffer | undefined }

export class OutputDelivery {
  readonly #receiver: OutputReceiver
  readonly #events: DeliveryEvents
  #waiting: Piece[] = []
  /** The piece whose promise is pending. */
  #pending: Piece | undefined
  #failed = false
  /** What comes counts as consumed at once: the command has ended, so no more than its pipes hold will come. */
  #waitsForNobody = false
  #wakeIdle: (() => void) | undefined

  constructor(receiver: OutputReceiver, events: DeliveryEvents) {
    this.#receiver = receiver
    this.#events = events
  }

  /** The receiver has not yet dealt with what came. */
  get isWaiting(): boolean {
    return this.#pending !== undefined
  }

  add(stream: StreamName, chunk: Buffer): void {
    if (this.#waitsForNobody) this.#events.consumed(stream, chunk.length)
    this.#take({ stream, chunk })
  }

  stopWaiting(): void {
    if (this.#waitsForNobody) return
    const undelivered = this.#pending === undefined ? this.#waiting : [this.#pending, ...this.#waiting]
    this.#waitsForNobody = true
    for (const { stream, chunk } of undelivered) this.#events.consumed(stream, chunk?.length ?? 0)
  }

  /** No more comes. Undefined where everything was delivered already, else when it is. */
  finish(): Promise<void> | undefined {
    this.#take({ stream: 'stdout', chunk: undefined })
    this.#take({ stream: 'stderr', chunk: undefined })
    if (this.#pending === undefined) return undefined
    return new Promise(resolve => { this.#wakeIdle = resolve })
  }

  #take(piece: Piece): void {
    if (this.#pending !== undefined) this.#waiting.push(piece)
    else this.#deliver(piece)
  }

  #deliver(piece: Piece): void {
    if (this.#failed) return this.#delivered(piece)
    try {
      const returned = this.#receiver(piece.chunk, piece.stream)
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
    if (!this.#waitsForNobody && chunk !== undefined) this.#events.consumed(stream, chunk.length)
  }

  #fail(error: unknown): void {
    if (this.#failed) return
    this.#failed = true
    this.#events.failed(error)
  }
}

const isPromise = (value: unknown): value is PromiseLike<unknown> => typeof value === 'object' && value !== null && 'then' in value && typeof value.then === 'function'
