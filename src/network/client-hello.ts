// The server name in the first message of a TLS client (RFC 8446 section 4, RFC 6066 section 3). Pure.

/**
 * `incomplete`  more bytes are needed
 * `other`       it is not TLS
 * `invalid`     it begins as TLS and goes on as nothing that a client sends
 * `hello`       `serverName` as it was sent, undefined where the client names no server
 */
export type ClientHello =
  | { readonly kind: 'incomplete' | 'other' | 'invalid' }
  | { readonly kind: 'hello'; readonly serverName: string | undefined }

const HANDSHAKE_RECORD = 22
const CLIENT_HELLO = 1
const SERVER_NAME = 0
const HOST_NAME = 0
const MOST_RECORD_BYTES = 16_384
/** Post-quantum keys make a hello of about 2 KiB, in one record. What comes in crumbs is read again with each of them, so there is an end. */
const MOST_HELLO_BYTES = 16 * 1024
const MOST_RECORDS = 256

/** Reads what a client has sent so far. A hello may be spread over records, and records over packets. */
export function parseClientHello(bytes: Buffer): ClientHello {
  if (bytes.length === 0) return { kind: 'incomplete' }
  if (bytes[0] !== HANDSHAKE_RECORD) return { kind: 'other' }
  const message = joinRecords(bytes)
  if (message === 'invalid') return { kind: 'invalid' }
  if (message.length > 0 && message[0] !== CLIENT_HELLO) return { kind: 'invalid' }
  if (message.length < 4) return { kind: 'incomplete' }
  const length = message.readUIntBE(1, 3)
  if (length > MOST_HELLO_BYTES) return { kind: 'invalid' }
  if (message.length < 4 + length) return { kind: 'incomplete' }
  try {
    return { kind: 'hello', serverName: readServerName(new Fields(message.subarray(4, 4 + length))) }
  } catch (error) {
    if (error instanceof MalformedError) return { kind: 'invalid' }
    throw error
  }
}

/** The handshake bytes of all records that have arrived, the last perhaps in part. */
function joinRecords(bytes: Buffer): Buffer | 'invalid' {
  const parts: Buffer[] = []
  for (let at = 0; at < bytes.length;) {
    if (bytes[at] !== HANDSHAKE_RECORD) {
      // Behind a complete hello anything may follow: the caller looks at the length first.
      return wholeMessage(parts) ? Buffer.concat(parts) : 'invalid'
    }
    if (bytes.length < at + 5) return bytes.length > at + 1 && bytes[at + 1] !== 3 ? 'invalid' : Buffer.concat(parts)
    const length = bytes.readUInt16BE(at + 3)
    if (bytes[at + 1] !== 3 || length === 0 || length > MOST_RECORD_BYTES || parts.length === MOST_RECORDS) return 'invalid'
    parts.push(bytes.subarray(at + 5, at + 5 + length))
    at += 5 + length
  }
  return Buffer.concat(parts)
}

function wholeMessage(parts: readonly Buffer[]): boolean {
  const message = Buffer.concat(parts)
  return message.length >= 4 && message.length >= 4 + message.readUIntBE(1, 3)
}

function readServerName(hello: Fields): string | undefined {
  hello.take(2 + 32)                    // version, random
  hello.vector(1)                       // session
  hello.vector(2)                       // cipher suites
  hello.vector(1)                       // compressions
  if (hello.empty) return undefined     // no extensions at all
  const extensions = hello.vector(2)
  if (!hello.empty) throw new MalformedError()
  let name: string | undefined
  while (!extensions.empty) {
    const type = extensions.number(2)
    const body = extensions.vector(2)
    if (type !== SERVER_NAME) continue
    // Which of two names a server would take is its secret.
    if (name !== undefined) throw new MalformedError()
    const names = body.vector(2)
    if (!body.empty || names.number(1) !== HOST_NAME) throw new MalformedError()
    name = names.vector(2).rest().toString('latin1')
    if (!names.empty || name === '') throw new MalformedError()
  }
  return name
}

class MalformedError extends Error {}

/** Fields one after another; each must lie within the bytes. */
class Fields {
  #bytes: Buffer
  constructor(bytes: Buffer) { this.#bytes = bytes }

  get empty(): boolean { return this.#bytes.length === 0 }

  take(count: number): Buffer {
    if (count > this.#bytes.length) throw new MalformedError()
    const taken = this.#bytes.subarray(0, count)
    this.#bytes = this.#bytes.subarray(count)
    return taken
  }

  number(size: 1 | 2): number { return this.take(size).readUIntBE(0, size) }
  vector(size: 1 | 2): Fields { return new Fields(this.take(this.number(size))) }
  rest(): Buffer { return this.take(this.#bytes.length) }
}
