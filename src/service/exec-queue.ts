// How many commands run and wait, of each client and of all. What may not run yet waits for its turn, one of each client after the other;
// what may not wait either is refused with -32001, before anything of it has begun.
import { overloaded } from './rpc-error.js'

export interface QueueLimits {
  readonly mostRunning: number
  readonly mostRunningEach: number
  readonly mostWaiting: number
  readonly mostWaitingEach: number
}
export const QUEUE_LIMITS: QueueLimits = { mostRunning: 1024, mostRunningEach: 128, mostWaiting: 8192, mostWaitingEach: 512 }

interface Share {
  running: number
  readonly waiting: (() => void)[]
}

/** `Owner`: whose commands share one part of the limits. */
export class ExecQueue<Owner extends object> {
  readonly #limits: QueueLimits
  readonly #shares = new Map<Owner, Share>()
  #running = 0
  #waiting = 0

  constructor(limits: QueueLimits = QUEUE_LIMITS) {
    this.#limits = limits
  }

  /**
   * Takes a place for one command. Undefined: it may run at once; else it may when the promise resolves, and never when it rejects.
   *
   * @throws RpcError -32001
   */
  enter(owner: Owner): Promise<void> | undefined {
    const share = this.#shareOf(owner)
    if (this.#running < this.#limits.mostRunning && share.running < this.#limits.mostRunningEach && share.waiting.length === 0) {
      this.#begin(owner, share)
      return undefined
    }
    if (share.waiting.length >= this.#limits.mostWaitingEach) throw overloaded(`${share.running} commands of this client run and ${share.waiting.length} wait`)
    if (this.#waiting >= this.#limits.mostWaiting) throw overloaded(`${this.#running} commands run and ${this.#waiting} wait`)
    this.#waiting++
    return new Promise(resolve => { share.waiting.push(resolve) })
  }

  /** A command that ran has ended. */
  leave(owner: Owner): void {
    const share = this.#shares.get(owner)
    if (share === undefined) return
    share.running--
    this.#running--
    this.#forgetIdle(owner, share)
    this.#next()
  }

  /** Its turn comes no more: the owner is gone. What waits begins at once, to find that out; it leaves as others do. */
  release(owner: Owner): void {
    const share = this.#shares.get(owner)
    if (share === undefined) return
    for (const begin of share.waiting.splice(0)) {
      this.#waiting--
      this.#begin(owner, share)
      begin()
    }
  }

  #begin(owner: Owner, share: Share): void {
    // To the end of the line, so that the next one is another client's.
    this.#shares.delete(owner)
    this.#shares.set(owner, share)
    share.running++
    this.#running++
  }

  #next(): void {
    while (this.#running < this.#limits.mostRunning && this.#waiting > 0) {
      const next = this.#firstWaiting()
      if (next === undefined) return
      this.#waiting--
      this.#begin(...next)
      next[1].waiting.shift()?.()
    }
  }

  #firstWaiting(): [Owner, Share] | undefined {
    for (const entry of this.#shares) if (entry[1].waiting.length > 0 && entry[1].running < this.#limits.mostRunningEach) return entry
    return undefined
  }

  #shareOf(owner: Owner): Share {
    const known = this.#shares.get(owner)
    if (known !== undefined) return known
    const share: Share = { running: 0, waiting: [] }
    this.#shares.set(owner, share)
    return share
  }

  #forgetIdle(owner: Owner, share: Share): void {
    if (share.running === 0 && share.waiting.length === 0) this.#shares.delete(owner)
  }
}
