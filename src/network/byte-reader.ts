// Reads a socket by asking for bytes, so that what is not asked for stays in the kernel and slows its sender down.
import type { Socket } from 'node:net'

/** How much may arrive unasked while a connection is only watched. */
const MOST_WATCHED = 64 * 1024

/** The one reader of its socket until `release`. */
export class ByteReader {
  readonly socket: Socket
  /** Bytes that arrived and were not taken. Valid until the next call. */
  bytes: Buffer = EMPTY
  /** The other side said its last, or the connection broke: what is in `bytes` is all there will be. */
  ended: boolean
  #grown: Buffer = EMPTY
  #waiting: ((arrived: boolean) => void) | undefined
  #released = false
  #watch: { readonly abort: AbortController; readonly until: 'end' | 'close' } | undefined
  readonly #onData = (chunk: Buffer): void => this.#take(chunk)
  readonly #onEnd = (): void => this.#end('end')
  readonly #onClose = (): void => this.#end('close')

  constructor(socket: Socket) {
    this.socket = socket
    this.ended = socket.destroyed || socket.readableEnded
    socket.on('data', this.#onData).on('end', this.#onEnd).on('close', this.#onClose)
    socket.pause()
  }

  /** Takes the first `count` bytes off. */
  skip(count: number): void {
    this.bytes = this.bytes.subarray(count)
  }

  /** Waits until there are more bytes; false where none will come. */
  more(): Promise<boolean> {
    if (this.ended) return Promise.resolve(false)
    return new Promise(resolve => {
      this.#waiting = resolve
      this.socket.resume()
    })
  }

  /** Waits until there are `count` bytes; false where fewer will come. */
  async atLeast(count: number): Promise<boolean> {
    while (this.bytes.length < count) if (!await this.more()) return false
    return true
  }

  /** Gives up on what is waited for: no more will come. */
  stop(): void {
    this.socket.pause()
    this.#end('end')
  }

  /**
   * Notices the end of the connection while nothing is read from it. Bytes that arrive are kept, up to a bound.
   * @returns aborted once the other side is gone; with `end`, also once it has said its last
   */
  watch(until: 'end' | 'close'): AbortSignal {
    const abort = new AbortController()
    if (this.socket.destroyed || (this.ended && until === 'end')) abort.abort()
    // The socket is somebody else's.
    if (this.#released) return abort.signal
    this.#watch = { abort, until }
    if (this.bytes.length < MOST_WATCHED) this.socket.resume()
    return abort.signal
  }

  unwatch(): void {
    if (this.#watch === undefined) return
    this.#watch = undefined
    if (this.#waiting === undefined) this.socket.pause()
  }

  /** Gives the socket back, paused, with the bytes that were not taken. */
  release(): Buffer {
    this.#released = true
    this.#watch = undefined
    this.socket.off('data', this.#onData).off('end', this.#onEnd).off('close', this.#onClose)
    this.socket.pause()
    const left = this.bytes
    this.bytes = EMPTY
    return left
  }

  #take(chunk: Buffer): void {
    this.bytes = this.bytes.length === 0 ? chunk : this.#append(chunk)
    if (this.#watch === undefined || this.bytes.length >= MOST_WATCHED) this.socket.pause()
    this.#wake(true)
  }

  /** Doubles its room, so that a sender of single bytes does not make every byte cost a copy of all before it. */
  #append(chunk: Buffer): Buffer {
    const used = this.bytes.length
    const grown = this.#grown
    const at = this.bytes.buffer === grown.buffer ? this.bytes.byteOffset - grown.byteOffset : -1
    if (at >= 0 && at + used + chunk.length <= grown.length) {
      chunk.copy(grown, at + used)
      return grown.subarray(at, at + used + chunk.length)
    }
    // Not from the pool, which other buffers share.
    this.#grown = Buffer.allocUnsafeSlow(2 * (used + chunk.length))
    this.bytes.copy(this.#grown)
    chunk.copy(this.#grown, used)
    return this.#grown.subarray(0, used + chunk.length)
  }

  #end(how: 'end' | 'close'): void {
    this.ended = true
    if (how === 'close' || this.#watch?.until === 'end') this.#watch?.abort.abort()
    this.#wake(false)
  }

  #wake(arrived: boolean): void {
    const waiting = this.#waiting
    this.#waiting = undefined
    waiting?.(arrived)
  }
}

const EMPTY = Buffer.alloc(0)
