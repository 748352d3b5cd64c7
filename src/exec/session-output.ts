// What a session's commands write, as text in one order: the head and the tail of it, read from any place by a cursor.
// However much comes, no more than HEAD_BYTES + TAIL_BYTES of it is held.
import { StringDecoder } from 'node:string_decoder'
import { dropMarker, KeptStream, type StreamName } from './kept-output.js'

const HEAD_BYTES = 64 << 10
const TAIL_BYTES = 192 << 10
/** Of a line in a list; longer ones are cut. */
const LONGEST_LINE = 200

export interface SessionText {
  readonly text: string
  /** Where the next read goes on. */
  readonly cursor: number
  /** Bytes between `cursor` as it was given and the first one here that are no longer held. */
  readonly dropped: number
}

export class SessionOutput {
  readonly #kept = new KeptStream(HEAD_BYTES, TAIL_BYTES)
  /** A code point may come in pieces, with the other stream's between them. */
  readonly #decoders = { stdout: new StringDecoder('utf8'), stderr: new StringDecoder('utf8') }
  #bytes = 0

  /** Of text so far: the cursor of what comes next. */
  get bytes(): number {
    return this.#bytes
  }

  add(stream: StreamName, chunk: Buffer): void {
    this.#push(this.#decoders[stream].write(chunk))
  }

  /** No more comes: what was cut off within a code point shows as such. */
  end(): void {
    this.#push(this.#decoders.stdout.end() + this.#decoders.stderr.end())
  }

  #push(text: string): void {
    if (text === '') return
    const bytes = Buffer.from(text)
    this.#bytes += bytes.length
    this.#kept.add(bytes)
  }

  /** From `cursor` on, at most `maxBytes`, never within a code point; a line stands where something is no longer held. */
  read(cursor: number, maxBytes: number): SessionText {
    const { head, tail, tailAt } = this.#kept.kept('code point')
    const start = Math.min(cursor, this.#bytes)
    const from = start < head.length ? start : Math.max(start, tailAt)
    // Where nothing lies between the two, a code point may lie across them.
    const held = tailAt === head.length ? Buffer.concat([head, tail]).subarray(from) : from < head.length ? head.subarray(from) : tail.subarray(from - tailAt)
    const piece = wholeCodePoints(held, maxBytes)
    const dropped = from - start
    return { text: `${dropped > 0 ? dropMarker(dropped, '') : ''}${piece.toString()}`, cursor: from + piece.length, dropped }
  }

  /** The last `count` lines as a terminal would show them, without control characters. */
  lastLines(count: number): string[] {
    const { head, tail } = this.#kept.kept('code point')
    const end = Buffer.concat([tail.length < END_BYTES ? head.subarray(-END_BYTES) : head.subarray(0, 0), tail.subarray(-END_BYTES)])
    const lines = end.toString().split('\n')
    if (lines.at(-1) === '') lines.pop()
    return lines.slice(-count).map(shownLine)
  }
}

const END_BYTES = 16 << 10

/** A control sequence of a terminal: CSI, OSC, or of two characters. */
const CONTROL_SEQUENCE = /\u001b(?:\[[0-?]*[ -/]*[@-~]|\][^\u0007\u001b]*(?:\u0007|\u001b\\)?|.)?/g

/** What a carriage return left standing, and nothing that moves a cursor or forges a line. */
function shownLine(line: string): string {
  const plain = line.replace(/\r+$/, '').replace(CONTROL_SEQUENCE, '')
  const shown = plain.slice(plain.lastIndexOf('\r') + 1).replace(/[\p{Cc}\u2028\u2029]/gu, ' ')
  const characters = Array.from(shown)
  return characters.length > LONGEST_LINE ? `${characters.slice(0, LONGEST_LINE - 1).join('')}…` : shown
}

/** The most of the start of `bytes` that fits, but one code point where even that does not. */
function wholeCodePoints(bytes: Buffer, maxBytes: number): Buffer {
  if (bytes.length <= maxBytes) return bytes
  let end = Math.max(maxBytes, 0)
  while (end > 0 && isContinuation(bytes[end])) end--
  if (end === 0) {
    end = 1
    while (end < bytes.length && isContinuation(bytes[end])) end++
  }
  return bytes.subarray(0, end)
}

const isContinuation = (byte: number | undefined): boolean => byte !== undefined && (byte & 0xc0) === 0x80
