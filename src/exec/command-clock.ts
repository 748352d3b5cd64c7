// The time of one command: so long in all, and so long without output. It stands still while somebody is asked about the command's
// connections, and what waits for its caller is no silence of the command's.
import { nowMs } from './monotonic-clock.js'
import type { CommandOptions } from './options.js'

export interface ClockListeners {
  /** Output waits for the caller: then a command that writes nothing is not idle. */
  isWaiting(): boolean
  /** Once. */
  over(why: 'timeoutMs' | 'idleTimeoutMs'): void
}

export class CommandClock {
  readonly #timeoutMs: number | undefined
  readonly #idleTimeoutMs: number | undefined
  readonly #listeners: ClockListeners
  #timer: NodeJS.Timeout | undefined
  #idleTimer: NodeJS.Timeout | undefined
  /** When `timeoutMs` is over, while it runs; what is left of it, while it stands still. */
  #deadline: number | undefined
  #leftMs: number | undefined
  /** Questions that nobody has answered yet. */
  #prompts = 0
  #lastOutputAt = 0
  #isStopped = false

  constructor({ timeoutMs, idleTimeoutMs }: Pick<CommandOptions, 'timeoutMs' | 'idleTimeoutMs'>, listeners: ClockListeners) {
    this.#timeoutMs = timeoutMs
    this.#idleTimeoutMs = idleTimeoutMs
    this.#listeners = listeners
  }

  start(): void {
    if (this.#timeoutMs !== undefined) this.#startTimeout(this.#timeoutMs)
    if (this.#idleTimeoutMs === undefined) return
    this.#lastOutputAt = nowMs()
    this.#watchIdle(this.#idleTimeoutMs, this.#idleTimeoutMs)
  }

  /** Output has come. */
  hear(): void {
    if (this.#idleTimeoutMs !== undefined) this.#lastOutputAt = nowMs()
  }

  /** A question was asked, or answered. */
  prompt(open: boolean): void {
    this.#prompts += open ? 1 : -1
    if (this.#isStopped) return
    if (this.#prompts > 0 && this.#deadline !== undefined) {
      clearTimeout(this.#timer)
      this.#leftMs = Math.max(0, this.#deadline - nowMs())
      this.#deadline = undefined
    } else if (this.#prompts === 0 && this.#leftMs !== undefined) {
      this.#startTimeout(this.#leftMs)
      this.#leftMs = undefined
    }
  }

  /** For good: time does not count any more. */
  stop(): void {
    this.#isStopped = true
    clearTimeout(this.#timer)
    clearTimeout(this.#idleTimer)
  }

  #startTimeout(ms: number): void {
    this.#deadline = nowMs() + ms
    this.#timer = setTimeout(() => this.#listeners.over('timeoutMs'), ms)
  }

  /** One timer that looks again, not one for each piece of output. */
  #watchIdle(idleMs: number, waitMs: number): void {
    this.#idleTimer = setTimeout(() => {
      if (this.#listeners.isWaiting() || this.#prompts > 0) this.#lastOutputAt = nowMs()
      const leftMs = idleMs - (nowMs() - this.#lastOutputAt)
      if (leftMs <= 0) this.#listeners.over('idleTimeoutMs')
      else this.#watchIdle(idleMs, Math.ceil(leftMs))
    }, waitMs)
  }
}
