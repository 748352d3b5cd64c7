// Sandboxes that are kept between the commands of a client, one a policy, so that only the first command of a policy pays for making one.
// Nothing is shared between clients. Before each use what the sandbox was made of is compared with the host as it is now; where it
// differs, or its launcher is gone, commands that run finish in the old one and a new one is made.
import process from 'node:process'
import { takeMark, type MarkedPaths } from './host-mark.js'

/** What the pool needs of a sandbox. */
export interface Keepable {
  readonly pid: number | undefined
  close(): Promise<void>
}

/** How to make a sandbox where there is none that fits. */
export interface Recipe<Kept extends Keepable> {
  /** The policy, and all else that a sandbox depends on. */
  readonly key: string
  /** Undefined: it is not used again, since what it denies is looked up when it is made. */
  readonly marked: MarkedPaths | undefined
  make(): Promise<Kept>
}

/** A sandbox in use. It stays until `release`. */
export interface Lease<Kept extends Keepable> {
  readonly sandbox: Kept
  /** @param broken  it failed in a way that makes it unfit for others */
  release(broken?: boolean): void
}

export interface KeepLimits {
  /** Of one client. */
  readonly mostIdleEach: number
  readonly mostIdle: number
  readonly idleMs: number
}
export const KEEP_LIMITS: KeepLimits = { mostIdleEach: 4, mostIdle: 128, idleMs: 60_000 }

interface Entry<Kept extends Keepable> {
  readonly owner: object
  readonly recipe: Recipe<Kept>
  /** Taken before it was made, so that a change while it was made is found too. */
  readonly mark: string | undefined
  readonly made: Promise<Kept>
  ready: Kept | undefined
  users: number
  /** Nobody else gets it. */
  retired: boolean
  timer: NodeJS.Timeout | undefined
}

export class WarmSandboxes<Kept extends Keepable> {
  readonly #limits: KeepLimits
  /** The most recently used one last. */
  readonly #entries = new Map<object, Map<string, Entry<Kept>>>()
  readonly #idle = new Set<Entry<Kept>>()
  readonly #closing = new Set<Promise<void>>()
  /** Owners that are gone: what of theirs is still being made or used is not kept. */
  readonly #gone = new WeakSet<object>()

  constructor(limits: KeepLimits = KEEP_LIMITS) {
    this.#limits = limits
  }

  /** Throws what making one throws. */
  async borrow(owner: object, recipe: Recipe<Kept>): Promise<Lease<Kept>> {
    const known = this.#entries.get(owner)?.get(recipe.key)
    if (known !== undefined) {
      if (this.#isFit(known)) return this.#use(known)
      this.#retire(known)
    }
    const mark = recipe.marked === undefined ? undefined : takeMark(recipe.marked)
    const entry: Entry<Kept> = { owner, recipe, mark, made: recipe.make(), ready: undefined, users: 0, retired: false, timer: undefined }
    const own = this.#entries.get(owner) ?? new Map<string, Entry<Kept>>()
    this.#entries.set(owner, own)
    own.set(recipe.key, entry)
    const lease = this.#use(entry)
    if (mark === undefined) this.#retire(entry)
    return lease
  }

  /** The owner is gone: what of its is not in use is closed, the rest when it is released. */
  forget(owner: object): void {
    this.#gone.add(owner)
    for (const entry of [...this.#entries.get(owner)?.values() ?? []]) this.#retire(entry)
  }

  /** Resolves when all are gone that are not in use. */
  async close(): Promise<void> {
    for (const owner of [...this.#entries.keys()]) this.forget(owner)
    while (this.#closing.size > 0) await Promise.all(this.#closing)
  }

  async #use(entry: Entry<Kept>): Promise<Lease<Kept>> {
    entry.users++
    clearTimeout(entry.timer)
    this.#idle.delete(entry)
    let sandbox: Kept
    try {
      sandbox = entry.ready ?? await entry.made
      entry.ready = sandbox
    } catch (error) {
      entry.users--
      this.#retire(entry)
      throw error
    }
    let open = true
    return {
      sandbox,
      release: (broken = false) => {
        if (!open) return
        open = false
        entry.users--
        if ((broken || this.#gone.has(entry.owner)) && !entry.retired) return this.#retire(entry)
        if (entry.users > 0) return
        if (entry.retired) this.#end(entry)
        else this.#keep(entry)
      },
    }
  }

  #isFit({ ready, mark, recipe: { marked } }: Entry<Kept>): boolean {
    return (ready === undefined || isAlive(ready.pid)) && marked !== undefined && takeMark(marked) === mark
  }

  #keep(entry: Entry<Kept>): void {
    this.#idle.add(entry)
    entry.timer = setTimeout(() => this.#retire(entry), this.#limits.idleMs).unref()
    const idleHere = [...this.#idle].filter(({ owner }) => owner === entry.owner)
    if (idleHere.length > this.#limits.mostIdleEach) this.#retire(idleHere[0] as Entry<Kept>)
    if (this.#idle.size > this.#limits.mostIdle) for (const oldest of this.#idle) return this.#retire(oldest)
  }

  #retire(entry: Entry<Kept>): void {
    if (entry.retired) return
    entry.retired = true
    clearTimeout(entry.timer)
    this.#idle.delete(entry)
    const own = this.#entries.get(entry.owner)
    if (own?.get(entry.recipe.key) === entry) own.delete(entry.recipe.key)
    if (own?.size === 0) this.#entries.delete(entry.owner)
    if (entry.users === 0) this.#end(entry)
  }

  #end(entry: Entry<Kept>): void {
    const closing = entry.made.then(sandbox => sandbox.close(), () => {}).finally(() => this.#closing.delete(closing))
    this.#closing.add(closing)
  }
}

/** A back end without a process of its own cannot lose it. */
function isAlive(pid: number | undefined): boolean {
  if (pid === undefined) return true
  try {
    return process.kill(pid, 0)
  } catch {
    return false
  }
}
