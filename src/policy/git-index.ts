// The index of a git dir, as far as a policy needs it: which of its names are repositories of their own.
// Format: gitformat-index(5), versions 2 to 4. Commands may have written it: it is read as git's read-cache.c does, which goes by the lengths
// that entries give, checks neither the sum at its end nor the order, and looks at nothing else of a mode but its kind. Where git can read one
// file in two ways (with one thread or with several, to the end of the file or of its last page), both are read.
import { Buffer } from 'node:buffer'

/** So long are the names of objects: SHA-1's or SHA-256's. The file itself does not say. */
export type ObjectBytes = 20 | 32

export interface GitIndex {
  /** The paths that git takes for submodules. */
  readonly links: readonly string[]
  /** Folders that a sparse index has as one entry, with the name of what they hold: in that there may be submodules too. */
  readonly folders: readonly { readonly path: string; readonly object: string }[]
  /** Undefined: all of it was read. Else why not, in words. */
  readonly unread?: string
}

const KIND = 0o170000
const GIT_LINK = 0o160000
const FOLDER = 0o040000
const HEADER_BYTES = 12
const MODE_AT = 24
const OBJECT_AT = 40
const HAS_MORE_FLAGS = 0x4000
/** Such a name is as long as it is up to its zero byte. */
const LONG_NAME = 0xfff
/** Nobody can enter a longer path (PATH_MAX). */
const LONGEST_PATH = 4096
const MOST_LINKS = 10_000
/** Some are read twice. */
const MOST_LOOKS = 4 * MOST_LINKS
/** Git makes one for each thread. */
const MOST_BLOCKS = 4096
const NEWEST_VERSION = 4
/** What follows the file in memory, where git reads on: zeros, to the end of a page. */
const LARGEST_PAGE = 65_536

/** An entry of the index, numbered as git does: by where the parts begin that are read at once, not by where it stands. */
type Visit = (position: number, mode: number, names: () => readonly Buffer[], object: () => string) => void

/** Part of the entries, read by a thread of its own. */
interface Block { readonly offset: number; readonly position: number; readonly count: number }

/**
 * @param sharedIndex  the bytes of `sharedindex.<name>` beside it, where most of a split index is; undefined where they cannot be read
 */
export function readGitIndex(index: Uint8Array, objectBytes: ObjectBytes, sharedIndex: (name: string) => Uint8Array | undefined): GitIndex {
  const main = readFile(index, objectBytes)
  const links = new Set(main.links)
  let unread = main.unread
  for (const { base, replaced } of main.bases) {
    const bytes = sharedIndex(base)
    // One that is not there either git takes for an error.
    if (bytes === undefined) {
      unread ??= `sharedindex.${base} cannot be read`
      continue
    }
    const positions = positionsOf(replaced, main.nameless, bytes.length / OBJECT_AT)
    const shared = readFile(bytes, objectBytes, positions)
    for (const link of shared.links) links.add(link)
    unread ??= shared.unread
  }
  if (main.nameless.size > 0 && main.bases.length === 0) unread ??= 'it has entries without a name'
  return { links: [...links], folders: main.folders, ...(unread === undefined ? {} : { unread }) }
}

interface IndexFile {
  readonly links: readonly string[]
  readonly folders: GitIndex['folders']
  readonly unread: string | undefined
  /** Of a split index: entries that are submodules and have the name of another one in the shared index, by their position. */
  readonly nameless: ReadonlySet<number>
  readonly bases: readonly { readonly base: string; readonly replaced: Bits }[]
}

/** @param wanted  positions whose names are links whatever the mode there */
function readFile(given: Uint8Array, objectBytes: ObjectBytes, wanted: ReadonlySet<number> = new Set()): IndexFile {
  const links = new Set<string>()
  const folders = new Map<string, string>()
  const nameless = new Set<number>()
  const bases: { base: string; replaced: Bits }[] = []
  let looks = 0
  let unread: string | undefined
  const done = (): IndexFile => ({ links: [...links], folders: [...folders].map(([path, object]) => ({ path, object })), unread, nameless, bases })
  let bytes = Buffer.from(given.buffer, given.byteOffset, given.byteLength)
  if (bytes.length < HEADER_BYTES || bytes.toString('latin1', 0, 4) !== 'DIRC' || bytes.readUInt32BE(4) < 2) return done()
  if (bytes.readUInt32BE(4) > NEWEST_VERSION) {
    unread = `its version is ${bytes.readUInt32BE(4)}`
    return done()
  }
  const visit: Visit = (position, mode, names, object) => {
    const kind = mode & KIND
    if (kind !== GIT_LINK && kind !== FOLDER && !wanted.has(position)) return
    if (looks++ >= MOST_LOOKS || links.size + folders.size >= MOST_LINKS) {
      unread ??= `it has more than ${MOST_LINKS} submodules`
      return
    }
    for (const text of names()) {
      if (kind === GIT_LINK && text.length === 0) nameless.add(position)
      if (text.length === 0 || text.length >= LONGEST_PATH) continue
      const path = text.toString('utf8')
      // Another name would come to the same text.
      if (!Buffer.from(path).equals(text)) unread ??= 'a name in it is not UTF-8'
      if (kind === FOLDER) folders.set(path, object())
      else links.add(path)
    }
  }
  const trailer = bytes.length - objectBytes
  const extensions = endOfEntries(bytes, trailer)
  const blocks = extensions === undefined ? [] : blocksOf(bytes, trailer, extensions)
  let read = readEntries(bytes, objectBytes, blocks ?? [], visit)
  if (read.end === undefined) {
    bytes = Buffer.concat([bytes, Buffer.alloc(LARGEST_PAGE)])
    read = readEntries(bytes, objectBytes, blocks ?? [], visit)
  }
  if (blocks === undefined) unread ??= TOO_LONG_TABLE
  unread ??= read.unread
  for (const start of new Set([extensions, read.end])) {
    const { base, count } = start === undefined ? { base: undefined, count: 0 } : baseOf(bytes, trailer, start, objectBytes)
    if (base !== undefined) bases.push(base)
    if (count > 1) unread ??= 'it is a part of more than one shared index'
  }
  return done()
}

const TOO_LONG_TABLE = 'its table of offsets has more entries than the file'

/** `end`: behind the entries as they stand, undefined where they are cut off. `unread`: why not all blocks, or not all in them, was read. */
function readEntries(bytes: Buffer, objectBytes: ObjectBytes, blocks: readonly Block[], visit: Visit): { end: number | undefined; unread: string | undefined } {
  let unread: string | undefined
  const onSenseless = (): void => { unread ??= 'a name in it is shorter than what it keeps of the one before' }
  const count = bytes.readUInt32BE(8)
  // Nearly always the table says what is read anyway.
  const others = new Map(blocks.map(block => [block.position, block]))
  const end = readBlock(bytes, objectBytes, { offset: HEADER_BYTES, position: 0, count }, visit, {
    onEntry: (position, offset, kept) => {
      const block = others.get(position)
      if (block?.offset === offset && kept === 0 && position + block.count <= count) others.delete(position)
    },
    onSenseless,
  })
  // As they may lie over each other, there is no other end of it.
  const left: Left = { entries: 2 * Math.ceil(bytes.length / OBJECT_AT), bytes: 2 * bytes.length }
  for (const block of others.values()) {
    left.entries -= block.count
    if (left.entries < 0) return { end, unread: TOO_LONG_TABLE }
    readBlock(bytes, objectBytes, block, visit, { left, onSenseless })
    if (left.bytes < 0) return { end, unread: TOO_LONG_TABLE }
  }
  return { end, unread }
}

/** So much may still be looked at. */
interface Left { entries: number; bytes: number }

interface BlockOptions {
  onEntry?(position: number, at: number, kept: number): void
  /** Git copies as many bytes as are less than none there, and may go on. */
  onSenseless(): void
  readonly left?: Left
}

function readBlock(bytes: Buffer, objectBytes: ObjectBytes, { offset, position, count }: Block, visit: Visit, { onEntry, onSenseless, left }: BlockOptions): number | undefined {
  const shortens = bytes.readUInt32BE(4) === NEWEST_VERSION
  const before = new ShortenedName()
  let at = offset
  for (let entry = 0; entry < count; entry++) {
    const objectAt = at + OBJECT_AT
    const flagsAt = objectAt + objectBytes
    if (flagsAt + 4 > bytes.length) return undefined
    const flags = bytes.readUInt16BE(flagsAt)
    const textAt = flagsAt + (flags & HAS_MORE_FLAGS ? 4 : 2)
    const shortened = shortens ? readShortening(bytes, textAt, before.length) : undefined
    const nameAt = shortened?.at ?? textAt
    // A block's first entry has nothing before it, whatever it says.
    const kept = entry === 0 ? 0 : shortened?.kept ?? 0
    const zero = (flags & LONG_NAME) === LONG_NAME ? bytes.indexOf(0, nameAt) : undefined
    const length = zero === undefined ? (flags & LONG_NAME) - kept : zero - nameAt
    const end = nameAt + length
    if (left !== undefined) left.bytes -= (zero === -1 ? bytes.length : Math.max(end, nameAt)) - at
    if ((left?.bytes ?? 0) < 0) return undefined
    if (kept >= 0 && zero !== -1 && length < -1) onSenseless()
    // One less is as if nothing followed; git goes on there.
    if (kept < 0 || length < (shortens ? -1 : 0) || end >= bytes.length) return undefined
    onEntry?.(position + entry, at, kept)
    const start = nameAt
    visit(position + entry, bytes.readUInt32BE(at + MODE_AT), () => namesOf(shortens ? before.with(kept, bytes, start, end + 1) : bytes.subarray(start, Math.min(end + 1, start + LONGEST_PATH)), kept + length), () => bytes.toString('hex', objectAt, flagsAt))
    if (shortens) before.change(kept, bytes, nameAt, end)
    // Up to version 3 an entry ends with one to eight zero bytes, at a multiple of eight.
    at = shortens ? end + 1 : at + ((end - at + 8) & ~7)
  }
  return at
}

/**
 * To a system call a name ends at its first zero byte, whatever its length says. Git takes the byte behind it along, which nobody has made sure is one:
 * then the name has that too, and to git's own comparisons it has not.
 */
function namesOf(withNext: Buffer, length: number): Buffer[] {
  const zero = withNext.indexOf(0)
  const name = zero < 0 ? withNext : withNext.subarray(0, zero)
  return name.length > length ? [name.subarray(0, length), name] : [name]
}

/** The first that git's decode_varint shifts no further. */
const LARGEST_SHORTENING = 1n << 57n

/**
 * Version 4: how much of the name before is to be left out at its end, and where what follows it is. Of a number that is too large git says that it
 * is none: nothing is left out, and its bytes are the name's.
 */
function readShortening(bytes: Buffer, start: number, before: number): { readonly at: number; readonly kept: number } {
  let at = start
  let byte = bytes[at++] ?? 0
  let without = BigInt(byte & 127)
  while (byte & 128) {
    if (++without >= LARGEST_SHORTENING) return { at: start, kept: before }
    byte = bytes[at++] ?? 0
    without = without * 128n + BigInt(byte & 127)
  }
  return { at, kept: before - Number(without) }
}

/** Changed in place: a name can be as long as the whole index, and there can be as many. */
class ShortenedName {
  #bytes = Buffer.alloc(LONGEST_PATH)
  length = 0

  /** What it would be; never longer than what can be entered. */
  with(kept: number, from: Buffer, start: number, end: number): Buffer {
    return Buffer.concat([this.#bytes.subarray(0, Math.min(kept, LONGEST_PATH)), from.subarray(start, Math.max(start, Math.min(end, start + LONGEST_PATH)))])
  }

  change(kept: number, from: Buffer, start: number, end: number): void {
    this.length = kept + end - start
    if (this.length > this.#bytes.length) this.#bytes = Buffer.concat([this.#bytes], this.length * 2)
    if (end > start) from.copy(this.#bytes, kept, start, end)
  }
}

/** Where the extensions begin, as the last of them (EOIE) says; several threads start there. Its sum is not checked: what is told then is at most too much. */
function endOfEntries(bytes: Buffer, trailer: number): number | undefined {
  const HEADER_AND_CONTENT = 8 + 24
  const at = trailer - HEADER_AND_CONTENT
  if (at < HEADER_BYTES || bytes.toString('latin1', at, at + 4) !== 'EOIE') return undefined
  const offset = bytes.readUInt32BE(at + 8)
  return offset >= HEADER_BYTES && offset < at ? offset : undefined
}

/** The table of offsets (IEOT) by which several threads read the entries. Undefined: it is longer than any is. */
function blocksOf(bytes: Buffer, trailer: number, start: number): Block[] | undefined {
  const blocks: Block[] = []
  const [table] = extensionsOf(bytes, trailer, start, 'IEOT')
  if (table !== undefined && table.length > 4 + 8 * MOST_BLOCKS) return undefined
  let position = 0
  for (let at = 4; table !== undefined && at + 8 <= table.length; at += 8) {
    const count = table.readUInt32BE(at + 4)
    blocks.push({ offset: table.readUInt32BE(at), position, count })
    position += count
  }
  return blocks
}

function* extensionsOf(bytes: Buffer, trailer: number, start: number, name: string): Generator<Buffer> {
  // As a number: there may be millions of empty ones.
  const wanted = Buffer.from(name).readUInt32BE()
  for (let at = start; at + 8 <= trailer;) {
    const size = bytes.readUInt32BE(at + 4)
    if (bytes.readUInt32BE(at) === wanted) yield bytes.subarray(at + 8, at + 8 + size)
    at += 8 + size
  }
}

/** A bitmap in the form of JavaEWAH: words that say how many words of equal bits follow, and how many that are given. */
type Bits = Generator<number>

/** The shared index that an index says last that it is a part of, and the positions in it that its own first entries take, in their order. */
function baseOf(bytes: Buffer, trailer: number, start: number, objectBytes: ObjectBytes): { base: { base: string; replaced: Bits } | undefined; count: number } {
  let last: Buffer | undefined
  let count = 0
  for (const link of extensionsOf(bytes, trailer, start, 'link')) {
    last = link
    count++
  }
  if (last === undefined || last.length < objectBytes) return { base: undefined, count }
  const base = last.toString('hex', 0, objectBytes)
  const deletedBytes = 12 + 8 * (objectBytes + 8 <= last.length ? last.readUInt32BE(objectBytes + 4) : 0)
  return { base: /^0*$/.test(base) ? undefined : { base, replaced: bitsAt(last, objectBytes + deletedBytes) }, count }
}

function* bitsAt(bytes: Buffer, at: number): Bits {
  if (at + 8 > bytes.length) return
  const wordsAt = at + 8
  const words = Math.min(bytes.readUInt32BE(at + 4), Math.floor((bytes.length - wordsAt) / 8))
  let position = 0
  for (let word = 0; word < words;) {
    const marker = bytes.readBigUInt64BE(wordsAt + 8 * word++)
    const equal = Number((marker >> 1n) & 0xffffffffn) * 64
    for (let bit = 0; marker & 1n && bit < equal; bit++) yield position + bit
    position += equal
    for (let given = Number(marker >> 33n); given > 0 && word < words; given--, position += 64) {
      const value = bytes.readBigUInt64BE(wordsAt + 8 * word++)
      for (let bit = 0; value !== 0n && bit < 64; bit++) if ((value >> BigInt(bit)) & 1n) yield position + bit
    }
  }
}

/** Of the bits, as many as there are entries: those whose entry is a submodule. Of one that no entry can have (`most`) git makes an error. */
function positionsOf(replaced: Bits, nameless: ReadonlySet<number>, most: number): Set<number> {
  const positions = new Set<number>()
  let left = nameless.size
  let entry = 0
  for (const position of replaced) {
    if (left === 0 || position > most) break
    if (!nameless.has(entry++)) continue
    positions.add(position)
    left--
  }
  return positions
}
