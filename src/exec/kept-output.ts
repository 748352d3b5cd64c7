// What is kept of a command's output: the head, the tail or both of each stream, and in which order the pieces came.
// However much comes, and in however small pieces, what is held here stays in proportion to what is kept.
import { StringDecoder } from 'node:string_decoder'
import type { OutputOptions } from './options.js'

export type StreamName = 'stdout' | 'stderr'
const STREAMS = ['stdout', 'stderr'] as const satisfies readonly StreamName[]

const DEFAULT_MAX_BYTES = 1 << 20

/** A piece smaller than this is copied to the end of a shared block once a list is long: a view of its own costs more. */
const SMALL_PIECE_BYTES = 1024
const LONG_LIST = 32
const BLOCK_BYTES = 16 << 10

/** Above so many changes between the streams, those inside what was dropped are forgotten. */
const MOST_RUNS = 65_536

export interface CollectedOutput {
  readonly stdout: Buffer
  readonly stderr: Buffer
  readonly output: Buffer
  readonly dropped: { readonly stdout: number; readonly stderr: number }
}

export interface CollectedText {
  readonly stdout: string
  readonly stderr: string
  readonly output: string
  readonly dropped: { readonly stdout: number; readonly stderr: number }
}

export class KeptOutput {
  readonly #streams: Record<StreamName, KeptStream>
  /** Bytes that came without a change of stream: of `#first`, of the other, of `#first`, … */
  #runs: number[] = []
  #first: StreamName | undefined
  #last: StreamName | undefined
  #mostRuns = MOST_RUNS
  /** Where all of it can be read. */
  readonly #file: string | undefined

  constructor({ maxBytes = DEFAULT_MAX_BYTES, keep = 'both', file }: OutputOptions = {}) {
    this.#file = file
    const headBytes = keep === 'head' ? maxBytes : keep === 'tail' ? 0 : Math.ceil(maxBytes / 2)
    this.#streams = { stdout: new KeptStream(headBytes, maxBytes - headBytes), stderr: new KeptStream(headBytes, maxBytes - headBytes) }
  }

  add(stream: StreamName, chunk: Buffer): void {
    this.#streams[stream].add(chunk)
    this.#first ??= stream
    if (stream === this.#last) lengthenLast(this.#runs, chunk.length)
    else this.#runs.push(chunk.length)
    this.#last = stream
    if (this.#runs.length > this.#mostRuns) this.#forgetDroppedRuns()
  }

  /** Text, with a line in place of what was dropped. No cut splits a code point. */
  text(): CollectedText {
    const kept = { stdout: this.#streams.stdout.kept('code point'), stderr: this.#streams.stderr.kept('code point') }
    const stdout = textOf(kept.stdout, this.#file)
    const stderr = textOf(kept.stderr, this.#file)
    return { stdout, stderr, output: this.#onlyOne(stdout, stderr) ?? this.#orderedText(kept), dropped: droppedOf(kept) }
  }

  bytes(): CollectedOutput {
    const kept = { stdout: this.#streams.stdout.kept('byte'), stderr: this.#streams.stderr.kept('byte') }
    const stdout = joined(kept.stdout)
    const stderr = joined(kept.stderr)
    return { stdout, stderr, output: this.#onlyOne(stdout, stderr) ?? this.#orderedBytes(kept), dropped: droppedOf(kept) }
  }

  #onlyOne<Output>(stdout: Output, stderr: Output): Output | undefined {
    if (this.#runs.length > 1) return undefined
    return this.#last === 'stderr' ? stderr : stdout
  }

  #orderedText(kept: Record<StreamName, Kept>): string {
    // A code point may lie across two runs of a stream, with the other stream's between.
    const decoders = { stdout: new StringDecoder('utf8'), stderr: new StringDecoder('utf8') }
    let text = ''
    for (const piece of this.#pieces(kept)) {
      const decoder = decoders[piece.stream]
      if (piece.bytes !== undefined) {
        text += decoder.write(piece.bytes)
        continue
      }
      text += decoder.end()
      text += dropMarker(kept[piece.stream].dropped, text, this.#file)
    }
    return text + decoders.stdout.end() + decoders.stderr.end()
  }

  #orderedBytes(kept: Record<StreamName, Kept>): Buffer {
    const pieces: Buffer[] = []
    for (const { bytes } of this.#pieces(kept)) if (bytes !== undefined) pieces.push(bytes)
    return Buffer.concat(pieces)
  }

  /** The kept pieces of both streams in order of arrival; one without bytes stands where a stream's middle or end was dropped. */
  *#pieces(kept: Record<StreamName, Kept>): Generator<{ stream: StreamName; bytes: Buffer | undefined }> {
    const at = { stdout: 0, stderr: 0 }
    const marked = { stdout: false, stderr: false }
    for (const [stream, length] of this.#orderedRuns()) {
      const { head, tail, tailAt, dropped } = kept[stream]
      const start = at[stream]
      const end = start + length
      at[stream] = end
      if (start < head.length) yield { stream, bytes: head.subarray(start, Math.min(end, head.length)) }
      if (dropped > 0 && end > head.length && !marked[stream]) {
        marked[stream] = true
        yield { stream, bytes: undefined }
      }
      if (end > tailAt && tail.length > 0) yield { stream, bytes: tail.subarray(Math.max(start - tailAt, 0), end - tailAt) }
    }
  }

  *#orderedRuns(): Generator<[StreamName, number]> {
    let stream = this.#first as StreamName
    for (const length of this.#runs) {
      yield [stream, length]
      stream = stream === 'stdout' ? 'stderr' : 'stdout'
    }
  }

  /** Joins runs that lie wholly in what was dropped: their order no longer shows. */
  #forgetDroppedRuns(): void {
    const at = { stdout: 0, stderr: 0 }
    const gaps = { stdout: this.#streams.stdout.gap, stderr: this.#streams.stderr.gap }
    const runs: number[] = []
    let last: StreamName | undefined
    // Dropped bytes of a stream whose place in the order is not yet chosen: before that stream's next kept byte.
    const waiting = { stdout: 0, stderr: 0 }
    const append = (stream: StreamName, length: number): void => {
      if (length === 0) return
      if (last === undefined) this.#first = stream
      if (last === stream) lengthenLast(runs, length)
      else runs.push(length)
      last = stream
    }
    for (const [stream, length] of this.#orderedRuns()) {
      const start = at[stream]
      const end = start + length
      at[stream] = end
      if (start >= gaps[stream].start && end <= gaps[stream].end) {
        waiting[stream] += length
        continue
      }
      append(stream, waiting[stream] + length)
      waiting[stream] = 0
    }
    for (const stream of STREAMS) append(stream, waiting[stream])
    this.#runs = runs
    this.#last = last
    this.#mostRuns = Math.max(MOST_RUNS, runs.length * 2)
  }
}

function lengthenLast(runs: number[], length: number): void {
  runs[runs.length - 1] = (runs.at(-1) as number) + length
}

interface Kept {
  readonly head: Buffer
  readonly tail: Buffer
  /** Where the tail begins in the whole stream. */
  readonly tailAt: number
  readonly dropped: number
}

export class KeptStream {
  readonly #head = new Pieces()
  readonly #tail = new Pieces()
  readonly #headBytes: number
  readonly #tailBytes: number
  #total = 0

  constructor(headBytes: number, tailBytes: number) {
    this.#headBytes = headBytes
    this.#tailBytes = tailBytes
  }

  add(chunk: Buffer): void {
    this.#total += chunk.length
    const room = this.#headBytes - this.#head.bytes
    if (chunk.length <= room) return this.#head.push(chunk)
    if (room > 0) this.#head.push(chunk.subarray(0, room))
    if (this.#tailBytes === 0) return
    this.#tail.push(room > 0 ? chunk.subarray(room) : chunk)
    this.#tail.keepLast(this.#tailBytes)
  }

  /** The part that is certain to be dropped, from the stream's start. */
  get gap(): { start: number; end: number } {
    return { start: this.#head.bytes, end: this.#total - Math.min(this.#tail.bytes, this.#tailBytes) }
  }

  kept(cut: 'byte' | 'code point'): Kept {
    let head = this.#head.join()
    let tail = this.#tail.join()
    tail = tail.subarray(Math.max(tail.length - this.#tailBytes, 0))
    if (cut === 'code point' && head.length + tail.length < this.#total) {
      head = head.subarray(0, lastBoundary(head))
      tail = tail.subarray(firstBoundary(tail))
    }
    return { head, tail, tailAt: this.#total - tail.length, dropped: this.#total - head.length - tail.length }
  }
}

/** Pieces of a stream in order. */
class Pieces {
  bytes = 0
  #list: Buffer[] = []
  /** The end of the last piece, where small ones are copied to. */
  #block: Buffer | undefined
  #blockUsed = 0

  push(piece: Buffer): void {
    this.bytes += piece.length
    if (piece.length >= SMALL_PIECE_BYTES || this.#list.length < LONG_LIST) {
      this.#list.push(piece)
      this.#block = undefined
      return
    }
    if (this.#block === undefined || this.#blockUsed + piece.length > BLOCK_BYTES) {
      this.#block = Buffer.allocUnsafeSlow(BLOCK_BYTES)
      this.#blockUsed = 0
      this.#list.push(this.#block)
    }
    this.#block.set(piece, this.#blockUsed)
    this.#blockUsed += piece.length
    this.#list[this.#list.length - 1] = this.#block.subarray(0, this.#blockUsed)
  }

  /** Drops whole pieces from the start as long as `bytes` remain. */
  keepLast(bytes: number): void {
    let gone = 0
    while (gone < this.#list.length - 1 && this.bytes - (this.#list[gone] as Buffer).length >= bytes) {
      this.bytes -= (this.#list[gone] as Buffer).length
      gone++
    }
    if (gone > 0) this.#list.splice(0, gone)
  }

  join(): Buffer {
    return this.#list.length === 1 ? this.#list[0] as Buffer : Buffer.concat(this.#list, this.bytes)
  }
}

/** Where `bytes` can end without splitting a code point that begins in it. */
function lastBoundary(bytes: Buffer): number {
  for (let back = 1; back <= Math.min(3, bytes.length); back++) {
    const byte = bytes[bytes.length - back] as number
    if (byte < 0x80) return bytes.length
    if (byte >= 0xc0) return back < (byte >= 0xf0 ? 4 : byte >= 0xe0 ? 3 : 2) ? bytes.length - back : bytes.length
  }
  return bytes.length
}

/** Where `bytes` can begin without the rest of a code point. */
function firstBoundary(bytes: Buffer): number {
  let at = 0
  while (at < Math.min(3, bytes.length) && ((bytes[at] as number) & 0xc0) === 0x80) at++
  return at
}

function textOf({ head, tail, dropped }: Kept, file: string | undefined): string {
  if (dropped === 0) return tail.length === 0 ? head.toString('utf8') : Buffer.concat([head, tail]).toString('utf8')
  const start = head.toString('utf8')
  return `${start}${dropMarker(dropped, start, file)}${tail.toString('utf8')}`
}

/** A line of its own after `before`. */
export const dropMarker = (dropped: number, before: string, file?: string): string =>
  `${before === '' || before.endsWith('\n') ? '' : '\n'}… ${dropped} bytes dropped${file === undefined ? '' : `; all of the output is in ${JSON.stringify(file)}`} …\n`

const joined = ({ head, tail }: Kept): Buffer => tail.length === 0 ? head : Buffer.concat([head, tail])

const droppedOf = (kept: Record<StreamName, Kept>): CollectedOutput['dropped'] => ({ stdout: kept.stdout.dropped, stderr: kept.stderr.dropped })
