// Joins two sockets: each side's bytes, ends and failures become the other's. Of what looks like TLS the server's name is checked first.
import type { Socket } from 'node:net'
import type { ByteReader } from './byte-reader.js'
import { parseClientHello } from './client-hello.js'

/** Each end of a tunnel knows the other: no closures, so that thousands of idle tunnels stay small. */
const OTHER = Symbol('the other end of a tunnel')
type End = Socket & { [OTHER]?: End }

/** Passes everything on in both directions, from now on. */
export function join(a: ByteReader, b: ByteReader): void {
  tie(a.socket, b.socket)
  passOnRest(a)
  passOnRest(b)
}

/** What a client that began with TLS said: `invalid` where it is nothing that a TLS client says. */
export type FirstMessage = { readonly serverName: string | undefined } | 'invalid'

export interface Check {
  /** Whether a client that speaks TLS may go on; where not, both are closed. Called at most once. */
  readonly permits: (first: FirstMessage) => boolean
  /** From the first byte of TLS until its message is complete. Before, a client may be silent for as long as it likes. */
  readonly timeoutMs: number
}

/**
 * Joins a client with the server that was dialled for it, and watches the client's first bytes. Resolves once it is clear what they are.
 */
export async function joinChecked(client: ByteReader, server: Socket, { permits, timeoutMs }: Check): Promise<void> {
  const { socket } = client
  tie(socket, server)
  // Servers that speak first (ssh, mail) are heard at once.
  passOn(server)
  const first = await firstMessage(client, timeoutMs)
  if (socket.destroyed || server.destroyed || (first !== 'other' && !permits(first))) {
    socket.destroy()
    server.destroy()
    return
  }
  passOnRest(client)
}

/** Reads without taking. */
async function firstMessage(client: ByteReader, timeoutMs: number): Promise<'other' | FirstMessage> {
  if (client.bytes.length === 0) await client.more()
  const deadline = setTimeout(() => client.socket.destroy(), timeoutMs).unref()
  try {
    for (;;) {
      const hello = parseClientHello(client.bytes)
      if (hello.kind === 'hello') return hello
      if (hello.kind !== 'incomplete') return hello.kind
      if (!await client.more()) return client.bytes.length === 0 ? 'other' : 'invalid'
    }
  } finally {
    clearTimeout(deadline)
  }
}

function tie(a: End, b: End): void {
  a[OTHER] = b
  b[OTHER] = a
  a.on('close', onClose)
  b.on('close', onClose)
}

/** Goes on where the reader stopped. */
function passOnRest(from: ByteReader): void {
  const { ended } = from
  const end: End = from.socket
  const rest = from.release()
  if (rest.length > 0) end[OTHER]?.write(rest)
  if (ended) end[OTHER]?.end()
  else passOn(end)
}

function passOn(from: End): void {
  from.on('data', onData).on('end', onEnd)
  from[OTHER]?.on('drain', onDrain)
  from.resume()
}

function onData(this: End, chunk: Buffer): void {
  if (this[OTHER]?.write(chunk) === false) this.pause()
}

function onDrain(this: End): void {
  this[OTHER]?.resume()
}

function onEnd(this: End): void {
  this[OTHER]?.end()
}

/** Closed before both directions had ended: the other side learns of it the hard way, as it would without a proxy. */
function onClose(this: End): void {
  const other = this[OTHER]
  if (other === undefined || other.destroyed) return
  if (this.errored !== null || !this.readableEnded || !this.writableFinished) other.destroy()
}
