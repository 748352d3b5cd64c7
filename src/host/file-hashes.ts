// SHA-256 of files that are asked about again and again, as the launcher's is before each start.
import { createHash } from 'node:crypto'
import { type BigIntStats, closeSync, fstatSync, openSync, readSync, statSync } from 'node:fs'

const CHUNK_BYTES = 64 * 1024
/** Coarser than the clock of any file system: what changed since then has another time. */
const SETTLED_MS = 5_000

interface Known {
  readonly identity: string
  readonly hash: string
}

/**
 * Remembers the hash of a file while device, inode, size and both times stay: nobody sets the time of a file's last change (ctime), so
 * what was written or put in its place since has another one. It is not believed before it is some seconds old, as two changes at
 * one tick of the clock have the same. What this leaves open is memory of the file that somebody had mapped for writing before it
 * was read: Linux starts no such file, and whoever can do that could as well exchange it between any look at it and its start.
 */
export class FileHashes {
  readonly #known = new Map<string, Known>()
  readonly #now: () => number
  readonly #read: (descriptor: number) => string

  /**
   * @param now   milliseconds since 1970
   * @param read  from the descriptor's beginning to the file's end
   */
  constructor(now: () => number = Date.now, read = hashOf) {
    this.#now = now
    this.#read = read
  }

  /**
   * In hex.
   *
   * @throws what opening and reading it throws
   */
  sha256(path: string): string {
    const known = this.#known.get(path)
    if (known !== undefined && known.identity === identityOf(statSync(path, { bigint: true }))) return known.hash
    const descriptor = openSync(path, 'r')
    try {
      const before = fstatSync(descriptor, { bigint: true })
      const hash = this.#read(descriptor)
      const identity = identityOf(fstatSync(descriptor, { bigint: true }))
      if (identity === identityOf(before) && this.#isSettled(before)) this.#known.set(path, { identity, hash })
      return hash
    } finally {
      closeSync(descriptor)
    }
  }

  #isSettled({ ctimeMs }: BigIntStats): boolean {
    return this.#now() - Number(ctimeMs) > SETTLED_MS
  }
}

const identityOf = ({ dev, ino, size, mtimeNs, ctimeNs }: BigIntStats): string => [dev, ino, size, mtimeNs, ctimeNs].join(' ')

/** In pieces: a buffer for all of it costs more than the hash. */
export function hashOf(descriptor: number): string {
  const hash = createHash('sha256')
  const chunk = Buffer.allocUnsafeSlow(CHUNK_BYTES)
  for (let length = readSync(descriptor, chunk); length > 0; length = readSync(descriptor, chunk)) hash.update(chunk.subarray(0, length))
  return hash.digest('hex')
}
