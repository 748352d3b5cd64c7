// SOCKS5 (RFC 1928, RFC 1929): CONNECT only, with names.
import { setTimeout as wait } from 'node:timers/promises'
import type { HostRequest } from '../policy/domains.js'
import { admit, type Client, closeGently, openTunnel } from './client.js'
import { DialError } from './dial.js'
import { serverNameCheck } from './server-name.js'
import { write } from './socket-write.js'
import { sameToken } from './token.js'
import { joinChecked } from './tunnel.js'

const VERSION = 5
const METHOD = { none: 0, password: 2, noneAcceptable: 0xff } as const
const CONNECT = 1
const REPLY = { succeeded: 0, failed: 1, notAllowed: 2, hostUnreachable: 4, refused: 5, commandNotSupported: 7, addressTypeNotSupported: 8 } as const
/** An address type's length in bytes; a name's is in its first byte. */
const ADDRESS_LENGTH: Readonly<Record<number, number | 'counted'>> = { 1: 4, 3: 'counted', 4: 16 }

/** Serves one connection, whose first byte is 5. Returns once it is a tunnel or closed. */
export async function serveSocks5(client: Client): Promise<void> {
  const { reader } = client
  const done = new AbortController()
  void wait(client.timeouts.headMs, undefined, { ref: false, signal: done.signal }).then(() => reader.socket.destroy(), () => {})
  const request = await readRequest(client).finally(() => done.abort())
  if (request === undefined) return closeGently(reader)

  const admission = await admit(client, request)
  if (admission.kind !== 'admitted') return finish(client, admission.kind === 'refused' ? REPLY.notAllowed : REPLY.hostUnreachable)
  try {
    const server = await openTunnel(client, admission, request.port)
    await write(reader.socket, reply(REPLY.succeeded)).catch(() => server.destroy())
    client.tunnelled()
    await joinChecked(reader, server, serverNameCheck(client, { ...request, host: admission.host }))
  } catch (error) {
    if (!(error instanceof DialError)) throw error
    finish(client, error.code === 'ECONNREFUSED' ? REPLY.refused : REPLY.hostUnreachable)
  }
}

/** Greeting, password where one is demanded, request. undefined: refused, and the client was told as far as the protocol can. */
async function readRequest({ reader, token, named }: Client): Promise<HostRequest | undefined> {
  const take = async (count: number): Promise<Buffer | undefined> => {
    if (!await reader.atLeast(count)) return undefined
    const bytes = Buffer.from(reader.bytes.subarray(0, count))
    reader.skip(count)
    return bytes
  }
  const counted = async (): Promise<Buffer | undefined> => {
    const length = await take(1)
    return length === undefined ? undefined : take(length[0] ?? 0)
  }
  const answer = (...bytes: number[]): Promise<void> => write(reader.socket, Buffer.from(bytes)).catch(() => {})

  if ((await take(1))?.[0] !== VERSION) return undefined
  const offered = await counted()
  // Without a token the user alone is asked for, of clients that have one to name.
  const method = token !== undefined || (named !== undefined && offered?.includes(METHOD.password) === true) ? METHOD.password : METHOD.none
  if (offered?.includes(method) !== true) {
    await answer(VERSION, METHOD.noneAcceptable)
    return undefined
  }
  await answer(VERSION, method)
  if (method === METHOD.password) {
    const version = await take(1)
    const user = await counted()
    const password = await counted()
    if (version?.[0] !== 1 || user === undefined || password === undefined || (token !== undefined && !sameToken(password.toString('utf8'), token))) {
      await answer(1, 1)
      return undefined
    }
    await answer(1, 0)
    named?.(user.toString('utf8'))
  }

  const head = await take(4)
  if (head?.[0] !== VERSION) return undefined
  if (head[1] !== CONNECT) {
    await write(reader.socket, reply(REPLY.commandNotSupported)).catch(() => {})
    return undefined
  }
  const length = ADDRESS_LENGTH[head[3] ?? 0]
  if (length === undefined) {
    await write(reader.socket, reply(REPLY.addressTypeNotSupported)).catch(() => {})
    return undefined
  }
  const address = length === 'counted' ? await counted() : await take(length)
  const port = await take(2)
  if (address === undefined || port === undefined) return undefined
  return { host: length === 'counted' ? decodeName(address) : formatAddress(address), port: port.readUInt16BE(0), protocol: 'socks5Tcp' }
}

/** What is not UTF-8 becomes U+FFFD, which no host name has. */
function decodeName(bytes: Buffer): string {
  return bytes.toString('utf8')
}

function formatAddress(bytes: Buffer): string {
  if (bytes.length === 4) return bytes.join('.')
  return Array.from({ length: 8 }, (_, index) => bytes.readUInt16BE(2 * index).toString(16)).join(':')
}

function finish({ reader }: Client, code: number): void {
  if (!reader.socket.destroyed) reader.socket.write(reply(code))
  closeGently(reader)
}

/** The bound address is of no use to a client and is left zero. */
function reply(code: number): Buffer {
  return Buffer.from([VERSION, code, 0, 1, 0, 0, 0, 0, 0, 0])
}
