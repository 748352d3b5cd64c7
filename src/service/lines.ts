// Bytes → lines, however they are cut on their way. A line that is too long is dropped whole, while it comes: it is never held.
import { isUtf8 } from 'node:buffer'

/** A command's arguments and environment together are at most about 2 MiB; this leaves room for their JSON, and for input in base64. */
export const LONGEST_LINE_BYTES = 16 << 20
/** Of a line that is dropped so much is kept, to find out whose request it was. */
const START_BYTES = 4096

export interface LineEvents {
  line(text: string): void
  /** `start`: its first 4 KiB. */
  tooLong(start: string): void
  notUtf8(): void
}

const NEWLINE = 0x0a

export class LineReader {
  readonly #events: LineEvents
  readonly #longestBytes: number
  #parts: Buffer[] = []
  #bytes = 0
  /** Set while the rest of a line that is too long goes by. */
  #start: string | undefined

  constructor(events: LineEvents, longestBytes = LONGEST_LINE_BYTES) {
    this.#events = events
    this.#longestBytes = longestBytes
  }

  add(chunk: Buffer): void {
    let from = 0
    for (let at = chunk.indexOf(NEWLINE); at !== -1; at = chunk.indexOf(NEWLINE, from)) {
      this.#take(chunk.subarray(from, at))
      this.#finish()
      from = at + 1
    }
    if (from < chunk.length) this.#take(chunk.subarray(from))
  }

  /** What comes after the last newline is a line too. */
  end(): void {
    if (this.#bytes > 0) this.#finish()
  }

  #take(part: Buffer): void {
    this.#bytes += part.length
    if (this.#start !== undefined) return
    this.#parts.push(part)
    if (this.#bytes <= this.#longestBytes) return
    this.#start = Buffer.concat(this.#parts).toString('utf8', 0, START_BYTES)
    this.#parts = []
  }

  #finish(): void {
    const [parts, start] = [this.#parts, this.#start]
    this.#parts = []
    this.#bytes = 0
    this.#start = undefined
    if (start !== undefined) return this.#events.tooLong(start)
    const line = parts.length === 1 ? parts[0] as Buffer : Buffer.concat(parts)
    if (!isUtf8(line)) return this.#events.notUtf8()
    const text = line.toString('utf8')
    if (text.trim() !== '') this.#events.line(text)
  }
}
