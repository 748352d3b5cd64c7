// A command's output and input as streams of Node, which hold no more than the command's window.
import { Readable, Writable } from 'node:stream'
import type { RunningCommand } from '../platform/backend.js'

/** What a reader has not asked for yet waits here and is not consumed, so that no more than the window comes. */
export class CommandOutputStream extends Readable {
  readonly #consumed: (bytes: number) => void
  readonly #waiting: Buffer[] = []
  #wanted = false
  /** The command is over; its end is still to be pushed. */
  #ended = false
  #waitsForNobody = false

  constructor(consumed: (bytes: number) => void) {
    super()
    this.#consumed = consumed
  }

  /** Output has come that its reader has not asked for. */
  get isWaiting(): boolean {
    return this.#waiting.length > 0
  }

  accept(chunk: Buffer): void {
    // Nobody will read it any more.
    if (this.destroyed || this.#waitsForNobody) this.#consumed(chunk.length)
    if (this.destroyed) return
    this.#waiting.push(chunk)
    if (this.#wanted) this._read()
  }

  /** The command was killed: no more comes than its pipes hold. */
  stopWaiting(): void {
    if (this.#waitsForNobody) return
    this.#consumeWaiting()
    this.#waitsForNobody = true
  }

  end(): void {
    this.#ended = true
    if (this.#wanted) this._read()
  }

  override _read(): void {
    this.#wanted = true
    while (this.#wanted && this.#waiting.length > 0) {
      const chunk = this.#waiting.shift() as Buffer
      this.#wanted = this.push(chunk)
      if (!this.#waitsForNobody) this.#consumed(chunk.length)
    }
    if (!this.#ended || this.#waiting.length > 0) return
    this.#ended = false
    this.push(null)
  }

  override _destroy(error: Error | null, callback: (error?: Error | null) => void): void {
    if (!this.#waitsForNobody) this.#consumeWaiting()
    this.#waiting.length = 0
    callback(error)
  }

  #consumeWaiting(): void {
    for (const chunk of this.#waiting) this.#consumed(chunk.length)
  }
}

type Input = Pick<RunningCommand, 'writeStdin' | 'closeStdin'>

/** Takes no more than the command does; what is written after its end is dropped, as its own end is told by `exit`. */
export class CommandInput extends Writable {
  #running: Input | undefined
  #written: (() => void) | undefined

  connect(running: Input | undefined): void {
    this.#running = running
  }

  drained(): void {
    const written = this.#written
    this.#written = undefined
    written?.()
  }

  over(): void {
    this.#running = undefined
    this.drained()
    this.destroy()
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, callback: () => void): void {
    if (this.#running?.writeStdin(chunk) === false) this.#written = callback
    else callback()
  }

  override _final(callback: () => void): void {
    this.#running?.closeStdin()
    callback()
  }

  /** A pipe that its writer drops is at its end for the reader. */
  override _destroy(error: Error | null, callback: (error?: Error | null) => void): void {
    this.#running?.closeStdin()
    callback(error)
  }
}
