// Heads of HTTP/1 messages, read strictly: two readers of one message must never disagree about where it ends or whom it is for.
// What RFC 9112 lets a recipient repair (bare LF, folded lines, space before the colon, both lengths) is refused.

export interface Header {
  /** As it was sent. */
  readonly name: string
  /** In lower case. */
  readonly key: string
  /** Without space around it. Bytes above 127 as Latin-1. */
  readonly value: string
}

export interface RequestHead {
  readonly method: string
  readonly target: string
  readonly version: '1.0' | '1.1'
  readonly headers: readonly Header[]
}

export interface ResponseHead {
  readonly status: number
  readonly reason: string
  readonly version: '1.0' | '1.1'
  readonly headers: readonly Header[]
}

/** Where the body of a message ends. `length` may be 0. */
export type Framing = { readonly kind: 'none' | 'chunked' | 'until-close' } | { readonly kind: 'length'; readonly length: number }

/** A message that is refused. `status`: what the client is told of it. */
export class HttpSyntaxError extends Error {
  override readonly name = 'HttpSyntaxError'
  readonly status: number
  constructor(status: number, message: string) {
    super(message)
    this.status = status
  }
}

const MOST_HEAD_BYTES = 64 * 1024
const MOST_HEADERS = 256
const TOKEN = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/
const VALUE = /^[\t\x20-\x7e\x80-\xff]*$/

/**
 * Where the head that begins `bytes` ends: the offset behind its empty line; undefined while it is not complete.
 * @param from  offset up to which an earlier call has looked
 * @throws      HttpSyntaxError for a line that ends without CR, and for a head that is too long
 */
export function findHeadEnd(bytes: Buffer, from: number): number | undefined {
  let line = from
  for (let at = bytes.indexOf(0x0a, line); at !== -1; at = bytes.indexOf(0x0a, line)) {
    if (at === 0 || bytes[at - 1] !== 0x0d) throw new HttpSyntaxError(400, 'a line ends without CR')
    line = at + 1
    if (at >= 3 && bytes[at - 2] === 0x0a && bytes[at - 3] === 0x0d) {
      if (line > MOST_HEAD_BYTES) break
      return line
    }
  }
  if (bytes.length > MOST_HEAD_BYTES) throw new HttpSyntaxError(431, `the head is longer than ${MOST_HEAD_BYTES} bytes`)
  return undefined
}

/** @param bytes  a whole head with its empty line, as `findHeadEnd` cuts it */
export function parseRequestHead(bytes: Buffer): RequestHead {
  const [first = '', ...lines] = splitLines(bytes)
  const parts = first.split(' ')
  const [method = '', target = '', protocol = ''] = parts
  if (parts.length !== 3 || !TOKEN.test(method) || !/^[\x21-\x7e]+$/.test(target)) throw new HttpSyntaxError(400, 'the request line is not METHOD TARGET HTTP/1.1')
  return { method, target, version: parseVersion(protocol), headers: parseHeaders(lines) }
}

export function parseResponseHead(bytes: Buffer): ResponseHead {
  const [first = '', ...lines] = splitLines(bytes)
  const found = /^(HTTP\/[0-9]\.[0-9]) ([1-9][0-9]{2})(?: ([\t\x20-\x7e\x80-\xff]*))?$/.exec(first)
  if (found === null) throw new HttpSyntaxError(502, 'the status line is not HTTP/1.1 STATUS REASON')
  return { version: parseVersion(found[1] ?? ''), status: Number(found[2]), reason: found[3] ?? '', headers: parseHeaders(lines) }
}

/** Lines of a head or of trailers, each without its line end. */
export function parseHeaders(lines: readonly string[]): Header[] {
  if (lines.length > MOST_HEADERS) throw new HttpSyntaxError(431, `there are more than ${MOST_HEADERS} header lines`)
  return lines.map(line => {
    const colon = line.indexOf(':')
    const name = line.slice(0, Math.max(colon, 0))
    if (/^[ \t]/.test(line)) throw new HttpSyntaxError(400, 'a header line is folded')
    if (!TOKEN.test(name)) throw new HttpSyntaxError(400, 'a header line does not begin with a name and a colon')
    const value = trimBlanks(line.slice(colon + 1))
    if (!VALUE.test(value)) throw new HttpSyntaxError(400, `the header ${name} holds a control character`)
    return { name, key: name.toLowerCase(), value }
  })
}

export function requestFraming({ headers, version }: RequestHead): Framing {
  const framing = declaredFraming(headers, version, 400)
  return framing ?? { kind: 'none' }
}

/** @param method of the request that it answers */
export function responseFraming({ headers, version, status }: ResponseHead, method: string): Framing {
  const framing = declaredFraming(headers, version, 502)
  if (method === 'HEAD' || status < 200 || status === 204 || status === 304) return { kind: 'none' }
  return framing ?? { kind: 'until-close' }
}

/** The values of all lines named `key`, split at commas, in lower case. */
export function listValues(headers: readonly Header[], key: string): string[] {
  return headers.filter(header => header.key === key).flatMap(({ value }) => value.split(',')).map(value => value.trim().toLowerCase()).filter(value => value !== '')
}

function declaredFraming(headers: readonly Header[], version: '1.0' | '1.1', status: number): Framing | undefined {
  const lengths = headers.filter(({ key }) => key === 'content-length')
  const encodings = headers.filter(({ key }) => key === 'transfer-encoding')
  if (encodings.length > 0) {
    if (lengths.length > 0) throw new HttpSyntaxError(status, 'it has both Content-Length and Transfer-Encoding')
    if (version === '1.0') throw new HttpSyntaxError(status, 'HTTP/1.0 has no Transfer-Encoding')
    if (encodings.length > 1 || encodings[0]?.value.toLowerCase() !== 'chunked') throw new HttpSyntaxError(status === 400 ? 501 : status, 'its Transfer-Encoding is not chunked alone')
    return { kind: 'chunked' }
  }
  const [length] = lengths
  if (length === undefined) return undefined
  if (lengths.length > 1) throw new HttpSyntaxError(status, 'it has more than one Content-Length')
  if (!/^[0-9]{1,15}$/.test(length.value)) throw new HttpSyntaxError(status, 'its Content-Length is not a number')
  return { kind: 'length', length: Number(length.value) }
}

/** Spaces and tabs only; by hand, since a pattern for the end would take quadratic time. */
function trimBlanks(text: string): string {
  const blank = (at: number): boolean => text[at] === ' ' || text[at] === '\t'
  let start = 0
  let end = text.length
  while (start < end && blank(start)) start++
  while (end > start && blank(end - 1)) end--
  return text.slice(start, end)
}

function parseVersion(text: string): '1.0' | '1.1' {
  if (text === 'HTTP/1.1') return '1.1'
  if (text === 'HTTP/1.0') return '1.0'
  if (/^HTTP\/[0-9]\.[0-9]$/.test(text)) throw new HttpSyntaxError(505, 'only HTTP/1.0 and HTTP/1.1 are spoken here')
  throw new HttpSyntaxError(400, 'the first line does not end in a version')
}

/** `findHeadEnd` has seen that each LF follows a CR; here each CR must precede one. */
function splitLines(bytes: Buffer): string[] {
  const lines = bytes.toString('latin1').split('\r\n')
  if (lines.some(line => /[\r\n]/.test(line))) throw new HttpSyntaxError(400, 'a line holds a bare CR')
  return lines.slice(0, -2)
}
