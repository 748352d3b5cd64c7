// Bodies of HTTP/1 messages, passed on as they arrive.
import type { Socket } from 'node:net'
import type { ByteReader } from './byte-reader.js'
import { type Framing, type Header, HttpSyntaxError, parseHeaders } from './http-syntax.js'
import { write } from './socket-write.js'

const EMPTY = Buffer.alloc(0)
const LINE_END = Buffer.from('\r\n')
const MOST_CHUNK_LINE = 1024
const MOST_TRAILER_BYTES = 16 * 1024
/** Trailers may not say what only a head may: where the message ends, whom it is for, and who asks. */
const NOT_IN_TRAILERS: ReadonlySet<string> = new Set([
  'transfer-encoding', 'content-length', 'host', 'connection', 'trailer', 'te', 'upgrade', 'keep-alive', 'authorization', 'proxy-authorization', 'proxy-authenticate',
  'content-encoding', 'content-type', 'content-range', 'cookie', 'set-cookie', 'expect', 'cache-control', 'max-forwards', 'range',
])

/** The message ended before its body did. */
export class BodyCutError extends Error {
  override readonly name = 'BodyCutError'
}

/**
 * Passes one body on. Chunks are written anew, so that the receiver reads nothing that was not understood here.
 * @param as  `chunked` only for a body that arrives so; `plain` leaves the chunks' frames out
 * @throws    HttpSyntaxError, BodyCutError; `write`'s error where the receiver is gone
 */
export async function relayBody(from: ByteReader, to: Socket, framing: Framing, as: 'chunked' | 'plain'): Promise<void> {
  switch (framing.kind) {
    case 'none': return
    case 'length': return relayBytes(from, to, framing.length)
    case 'chunked': return relayChunks(from, to, as)
    case 'until-close':
      do {
        const { bytes } = from
        from.skip(bytes.length)
        if (bytes.length > 0) await write(to, bytes)
      } while (from.bytes.length > 0 || await from.more())
      // A connection that breaks is no end.
      if (from.socket.errored !== null) throw new BodyCutError('the connection broke')
      return
    default: framing satisfies never
  }
}

async function relayBytes(from: ByteReader, to: Socket, count: number): Promise<void> {
  let left = count
  while (left > 0) {
    if (from.bytes.length === 0 && !await from.more()) throw new BodyCutError(`${left} bytes are missing`)
    const bytes = from.bytes.subarray(0, Math.min(left, from.bytes.length))
    from.skip(bytes.length)
    left -= bytes.length
    await write(to, bytes)
  }
}

async function relayChunks(from: ByteReader, to: Socket, as: 'chunked' | 'plain'): Promise<void> {
  for (;;) {
    const line = await readLine(from, MOST_CHUNK_LINE)
    // Extensions are dropped: nobody uses them, and parsers disagree about them.
    const found = /^([0-9A-Fa-f]{1,12})(?:[ \t]*;[\t\x20-\x7e]*)?$/.exec(line)
    if (found === null) throw new HttpSyntaxError(400, 'a chunk does not begin with its size')
    const size = Number.parseInt(found[1] ?? '', 16)
    if (size === 0) break
    const start = as === 'chunked' ? Buffer.from(`${size.toString(16)}\r\n`) : EMPTY
    const end = as === 'chunked' ? LINE_END : EMPTY
    if (from.bytes.length >= size + 2) {
      // One write for a chunk that is there: many small ones would cost the host three system calls each.
      const whole = Buffer.concat([start, from.bytes.subarray(0, size), end])
      from.skip(size)
      await skipLineEnd(from)
      await write(to, whole)
    } else {
      await write(to, start)
      await relayBytes(from, to, size)
      await skipLineEnd(from)
      await write(to, end)
    }
  }
  const trailers = await readTrailers(from)
  if (as === 'chunked') await write(to, `0\r\n${trailers.map(({ name, value }) => `${name}: ${value}\r\n`).join('')}\r\n`, 'latin1')
}

async function skipLineEnd(from: ByteReader): Promise<void> {
  if (!await from.atLeast(2)) throw new BodyCutError('a chunk does not end')
  if (from.bytes[0] !== 0x0d || from.bytes[1] !== 0x0a) throw new HttpSyntaxError(400, 'a chunk is longer than its size')
  from.skip(2)
}

async function readTrailers(from: ByteReader): Promise<Header[]> {
  const lines: string[] = []
  let left = MOST_TRAILER_BYTES
  for (let line = await readLine(from, left); line !== ''; line = await readLine(from, left)) {
    lines.push(line)
    left -= line.length + 2
  }
  return parseHeaders(lines).filter(({ key }) => !NOT_IN_TRAILERS.has(key))
}

/** One line that ends in CR LF, without them. */
async function readLine(from: ByteReader, most: number): Promise<string> {
  for (let looked = 0; ;) {
    const end = from.bytes.indexOf(0x0a, looked)
    if (end > most || (end === -1 && from.bytes.length > most)) throw new HttpSyntaxError(400, 'a line of a chunked body is too long')
    if (end !== -1) {
      const line = from.bytes.toString('latin1', 0, end)
      if (!line.endsWith('\r') || line.indexOf('\r') !== end - 1) throw new HttpSyntaxError(400, 'a line of a chunked body ends without CR or holds a bare one')
      from.skip(end + 1)
      return line.slice(0, -1)
    }
    looked = from.bytes.length
    if (!await from.more()) throw new BodyCutError('a line of a chunked body does not end')
  }
}
