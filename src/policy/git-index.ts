// The index of a git dir, as far as a policy needs it: which of its names are repositories of their own.
// Format: gitformat-index(5), versions 2 to 4, with names of objects of 20 or 32 bytes. Commands may have written it: it is read as git's
// read-cache.c does, which goes by the lengths that entries give, and looks at nothing else of a mode but its kind.
import { Buffer } from 'node:buffer'

const KIND = 0o170000
const GIT_LINK = 0o160000
/** What git itself writes. */
const MODES = new Set([0o100644, 0o100755, 0o120000, 0o160000, 0o040000])
const MODE_AT = 24
const OBJECT_AT = 40
const HAS_MORE_FLAGS = 0x4000
/** Such a name is as long as it is up to its zero byte. */
const LONG_NAME = 0xfff
/** Nobody can enter a longer path (PATH_MAX). */
const LONGEST_PATH = 4096
/** More are not told: some thousand that are new say it as well. */
const MOST_LINKS = 10_000

interface Entries {
  readonly links: readonly string[]
  /** Nothing in it that git would not write. */
  readonly asWritten: boolean
}

/**
 * The paths of an index that git takes for submodules; none where git could not read it. Empty: of an entry whose name is in the other file of a
 * split index.
 */
export function gitLinksIn(index: Uint8Array): string[] {
  const bytes = Buffer.from(index.buffer, index.byteOffset, index.byteLength)
  if (bytes.length < 12 || bytes.toString('latin1', 0, 4) !== 'DIRC') return []
  // It does not say how long names of objects are. What is as git writes it in one way is hardly ever so in the other one.
  const short = readEntries(bytes, 20)
  const long = readEntries(bytes, 32)
  return [...new Set([...short?.links ?? [], ...short?.asWritten === true && long?.asWritten !== true ? [] : long?.links ?? []])]
}

/** Undefined where the entries are not of this form. */
function readEntries(bytes: Buffer, objectBytes: number): Entries | undefined {
  const version = bytes.readUInt32BE(4)
  if (version < 2 || version > 4) return undefined
  const links: string[] = []
  const before = new ShortenedName()
  let asWritten = true
  let at = 12
  for (let left = bytes.readUInt32BE(8); left > 0; left--) {
    const flagsAt = at + OBJECT_AT + objectBytes
    if (flagsAt + 4 > bytes.length) return undefined
    const mode = bytes.readUInt32BE(at + MODE_AT)
    const flags = bytes.readUInt16BE(flagsAt)
    const shortened = version === 4 ? readShortening(bytes, flagsAt + (flags & HAS_MORE_FLAGS ? 4 : 2), before.length) : undefined
    const nameAt = shortened?.at ?? flagsAt + (flags & HAS_MORE_FLAGS ? 4 : 2)
    const kept = shortened?.kept ?? 0
    const length = (flags & LONG_NAME) === LONG_NAME ? bytes.indexOf(0, nameAt) - nameAt : (flags & LONG_NAME) - kept
    const end = nameAt + length
    if (kept < 0 || length < 0 || end >= bytes.length) return undefined
    asWritten &&= MODES.has(mode) && bytes[end] === 0
    if (version === 4) before.change(kept, bytes, nameAt, end)
    if ((mode & KIND) === GIT_LINK && kept + length < LONGEST_PATH && links.length < MOST_LINKS) links.push(firstString(version === 4 ? before.text : bytes.toString('utf8', nameAt, end)))
    // Up to version 3 an entry ends with one to eight zero bytes, at a multiple of eight.
    at = version === 4 ? end + 1 : at + ((end - at + 8) & ~7)
  }
  return { links, asWritten }
}

/** To a system call a name ends there, whatever its length says. */
const firstString = (text: string): string => text.split('\0', 1)[0] as string

/** Version 4: how much of the name before is to be left out at its end, and where what follows it is. */
function readShortening(bytes: Buffer, start: number, before: number): { readonly at: number; readonly kept: number } {
  let at = start
  let byte = bytes[at++] ?? 0
  let without = byte & 127
  while (byte & 128) {
    byte = bytes[at++] ?? 0
    without = (without + 1) * 128 + (byte & 127)
  }
  return { at, kept: before - without }
}

/** Changed in place: a name can be as long as the whole index, and there can be as many. */
class ShortenedName {
  #bytes = Buffer.alloc(LONGEST_PATH)
  length = 0

  change(kept: number, from: Buffer, start: number, end: number): void {
    this.length = kept + end - start
    if (this.length > this.#bytes.length) this.#bytes = Buffer.concat([this.#bytes], this.length * 2)
    from.copy(this.#bytes, kept, start, end)
  }

  get text(): string { return this.#bytes.toString('utf8', 0, this.length) }
}
