// How many commands run and wait, of each client and of all; one whose output is kept for its answer may take several places. What may
// not run yet waits for its turn, one of each client after the other; what may not wait either is refused with -32001, before anything
// of it has begun.
import { overloaded } from './rpc-error.js'

export interface QueueLimits {
  readonly mostRunning: number
  readonly mostRunningEach: number
  readonly mostWaiting: number
  readonly mostWaitingEach: number
}
const QUEUE_LIMITS: QueueLimits = { mostRunning: 1024, mostRunningEach: 128, mostWaiting: 8192, mostWaitingEach: 512 }

interface Share {
  /** Places that are taken. */
  running: number
  readonly waiting: Waiting[]
}

interface Waiting {
  readonly places: number
  begin(): void
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
   * Takes the places of one command. Undefined: it may run at once; else it may when the promise resolves, and never when it rejects.
   *
   * @param places  at least 1. One that takes more than a client may have runs alone
   * @throws RpcError -32001
   */
  enter(owner: Owner, places = 1): Promise<void> | undefined {
    const share = this.#shareOf(owner)
    if (this.#mayBegin(share, places) && share.waiting.length === 0) {
      this.#begin(owner, share, places)
      return undefined
    }
    if (share.waiting.length >= this.#limits.mostWaitingEach) throw overloaded(`${share.running} commands of this client run and ${share.waiting.length} wait`)
    if (this.#waiting >= this.#limits.mostWaiting) throw overloaded(`${this.#running} commands run and ${this.#waiting} wait`)
    this.#waiting++
    return new Promise(begin => { share.waiting.push({ places, begin }) })
  }

  /** A command that ran has ended. `places`: as it entered. */
  leave(owner: Owner, places = 1): void {
    const share = this.#shares.get(owner)
    if (share === undefined) return
    share.running -= places
    this.#running -= places
    this.#forgetIdle(owner, share)
    this.#next()
  }

  /** Its turn comes no more: the owner is gone. What waits begins at once, to find that out; it leaves as others do. */
  release(owner: Owner): void {
    const share = this.#shares.get(owner)
    if (share === undefined) return
    for (const { places, begin } of share.waiting.splice(0)) {
      this.#waiting--
      this.#begin(owner, share, places)
      begin()
    }
  }

  /** Alone it may in any case. */
  #mayBegin({ running }: Share, places: number): boolean {
    const { mostRunning, mostRunningEach } = this.#limits
    return (this.#running === 0 || this.#running + places <= mostRunning) && (running === 0 || running + places <= mostRunningEach)
  }

  #begin(owner: Owner, share: Share, places: number): void {
    // To the end of the line, so that the next one is another client's.
    this.#shares.delete(owner)
    this.#shares.set(owner, share)
    share.running += places
    this.#running += places
  }

  #next(): void {
    while (this.#waiting > 0) {
      const [owner, share] = this.#firstWaiting() ?? []
      const next = share?.waiting.shift()
      if (owner === undefined || share === undefined || next === undefined) return
      this.#waiting--
      this.#begin(owner, share, next.places)
      next.begin()
    }
  }

  #firstWaiting(): [Owner, Share] | undefined {
    return [...this.#shares].find(([, share]) => share.waiting[0] !== undefined && this.#mayBegin(share, share.waiting[0].places))
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
