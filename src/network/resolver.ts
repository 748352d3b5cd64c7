// Names to addresses, by the host's resolver. Each lookup holds one of the few threads that file access of the embedding process needs
// as well, and a name server that does not answer holds it for long: so only a few run at a time, however many connections want one.
import { lookup } from 'node:dns/promises'

export interface Address {
  readonly address: string
  readonly family: 4 | 6
}

/** All addresses of a name, one at least. Rejects with a `code` where there is none. */
export type Resolve = (name: string) => Promise<readonly Address[]>

export interface ResolverOptions {
  /** Default: the host's own, from its files and name servers. */
  readonly lookup?: Resolve
  /** Default: 2, of libuv's 4 threads. */
  readonly atOnce?: number
  /** How long a caller waits, its turn included. Default: 10,000. */
  readonly timeoutMs?: number
}

const DEFAULT_AT_ONCE = 2
const DEFAULT_TIMEOUT_MS = 10_000
/** Names that wait for their turn; more are refused at once. */
const MOST_WAITING = 1000

/** Callers that want the same name at the same time share one lookup. Nothing is kept afterwards: what is judged is what was found just now. */
export function createResolver({ lookup: find = lookupOnHost, atOnce = DEFAULT_AT_ONCE, timeoutMs = DEFAULT_TIMEOUT_MS }: ResolverOptions = {}): Resolve {
  const wanted = new Map<string, Promise<readonly Address[]>>()
  const waiting: (() => void)[] = []
  let running = 0

  const run = async (name: string): Promise<readonly Address[]> => {
    if (running >= atOnce) await new Promise<void>(resolve => { waiting.push(resolve) })
    else running++
    try {
      return await find(name)
    } finally {
      wanted.delete(name)
      // The place goes to the next one, or is free. One that took too long for its caller holds its place until it is over.
      const next = waiting.shift()
      if (next === undefined) running--
      else next()
    }
  }

  return async name => {
    let found = wanted.get(name)
    if (found === undefined) {
      if (waiting.length >= MOST_WAITING) throw coded('EAGAIN', 'too many names are being resolved')
      found = run(name)
      wanted.set(name, found)
    }
    return within(found, timeoutMs)
  }
}

async function within<T>(promise: Promise<T>, timeoutMs: number): Promise<T> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(coded('ETIMEDOUT', 'the resolver did not answer in time')), timeoutMs)
  })
  try {
    return await Promise.race([promise, late])
  } finally {
    clearTimeout(timer)
  }
}

async function lookupOnHost(name: string): Promise<readonly Address[]> {
  const found = await lookup(name, { all: true })
  return found.map(({ address, family }) => ({ address, family: family === 6 ? 6 : 4 }))
}

const coded = (code: string, message: string): Error => Object.assign(new Error(message), { code })
