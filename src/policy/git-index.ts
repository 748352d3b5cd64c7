// The index of a git dir, as far as a policy needs it: which of its names are repositories of their own.
// Format: gitformat-index(5), versions 2 to 4, with names of objects of 20 or 32 bytes.
import { Buffer } from 'node:buffer'

/** Mode 160000. */
const GIT_LINK = Buffer.from([0, 0, 0xe0, 0])
const MODES = new Set([0o100644, 0o100755, 0o120000, 0o160000, 0o040000])
const MODE_AT = 24
const OBJECT_AT = 40
const HAS_MORE_FLAGS = 0x4000

/** The paths of an index that git takes for submodules; none where it cannot be read. */
export function gitLinksIn(index: Uint8Array): string[] {
  const bytes = Buffer.from(index.buffer, index.byteOffset, index.byteLength)
  // Nearly every index has none, and this is much faster than reading it.
  if (bytes.indexOf(GIT_LINK) < 0 || bytes.length < 12 || bytes.toString('latin1', 0, 4) !== 'DIRC') return []
  return readEntries(bytes, 20) ?? readEntries(bytes, 32) ?? []
}

/** Undefined where the entries are not of this form. */
function readEntries(bytes: Buffer, objectBytes: number): string[] | undefined {
  const version = bytes.readUInt32BE(4)
  if (version < 2 || version > 4) return undefined
  const links: string[] = []
  let at = 12
  let before: Buffer = Buffer.alloc(0)
  for (let left = bytes.readUInt32BE(8); left > 0; left--) {
    const flagsAt = at + OBJECT_AT + objectBytes
    if (flagsAt + 4 > bytes.length) return undefined
    const mode = bytes.readUInt32BE(at + MODE_AT)
    if (!MODES.has(mode)) return undefined
    const nameAt = flagsAt + (bytes.readUInt16BE(flagsAt) & HAS_MORE_FLAGS ? 4 : 2)
    const name = version === 4 ? readShortened(bytes, nameAt, before) : readName(bytes, nameAt)
    if (name === undefined) return undefined
    if (mode === 0o160000) links.push(name.text.toString('utf8'))
    before = name.text
    // Up to version 3 an entry ends with one to eight zero bytes, at a multiple of eight.
    at = version === 4 ? name.end + 1 : at + ((name.end - at + 8) & ~7)
  }
  return links
}

interface Name { readonly text: Buffer; readonly end: number }

function readName(bytes: Buffer, at: number): Name | undefined {
  const end = bytes.indexOf(0, at)
  return end < 0 ? undefined : { text: bytes.subarray(at, end), end }
}

/** Version 4: how much of the name before is to be left out at its end, and what follows. */
function readShortened(bytes: Buffer, nameAt: number, before: Buffer): Name | undefined {
  let at = nameAt
  let byte = bytes[at++] ?? 0
  let without = byte & 127
  while (byte & 128) {
    byte = bytes[at++] ?? 0
    without = (without + 1) * 128 + (byte & 127)
  }
  const rest = without > before.length ? undefined : readName(bytes, at)
  return rest === undefined ? undefined : { text: Buffer.concat([before.subarray(0, before.length - without), rest.text]), end: rest.end }
}
