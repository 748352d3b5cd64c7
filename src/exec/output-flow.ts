// How fast the output of all sessions of a sandbox comes: whoever floods in the background must not take this process's time.
// What is not yet told as consumed waits in the commands' pipes, so nothing is lost by it.
import type { RunningCommand } from '../platform/backend.js'
import type { StreamName } from './kept-output.js'

/** 40 MB/s for all of them together. */
const BYTES_A_TICK = 1 << 20
const TICK_MS = 25

interface Consumed { readonly running: RunningCommand; readonly stream: StreamName; bytes: number }

export class OutputFlow {
  readonly #waiting: Consumed[] = []
  #timer: NodeJS.Timeout | undefined

  /** Tells them as consumed, in a while. */
  add(running: RunningCommand, stream: StreamName, bytes: number): void {
    this.#waiting.push({ running, stream, bytes })
    // It keeps nobody alive: where nothing else does, nobody waits for this output.
    this.#timer ??= setInterval(() => this.#tick(), TICK_MS).unref()
  }

  #tick(): void {
    let left = BYTES_A_TICK
    while (left > 0) {
      const first = this.#waiting[0]
      if (first === undefined) break
      const bytes = Math.min(first.bytes, left)
      first.running.consumed(first.stream, bytes)
      left -= bytes
      first.bytes -= bytes
      if (first.bytes === 0) this.#waiting.shift()
    }
    if (this.#waiting.length > 0) return
    clearInterval(this.#timer)
    this.#timer = undefined
  }
}
