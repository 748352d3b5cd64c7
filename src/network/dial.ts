// Connections outwards: to judged addresses, or through the upstream proxy.
import { connect, type Socket } from 'node:net'
import { connect as connectTls } from 'node:tls'
import { formatHostPort } from '../policy/host-name.js'
import { ByteReader } from './byte-reader.js'
import { findHeadEnd, parseResponseHead } from './http-syntax.js'
import type { Address } from './resolver.js'

/** Opens one connection to exactly this address. Rejects where it cannot, or when aborted. */
export type Dial = (to: Address & { readonly port: number }, options: { readonly signal: AbortSignal }) => Promise<Socket>

/** Nobody could be reached. `code`: of the last attempt. */
export class DialError extends Error {
  override readonly name = 'DialError'
  readonly code: string
  constructor(code: string) {
    super(`it could not be reached (${code})`)
    this.code = code
  }
}

const DIAL_TIMEOUT_MS = 30_000
/** Where there is another address to try. */
const FIRST_DIAL_TIMEOUT_MS = 4_000

/** Of one name. */
const MOST_ADDRESSES = 8

/** `allowHalfOpen`: an end in one direction is passed on and leaves the other open. */
export const dialDirect: Dial = ({ address, family, port }, { signal }) =>
  settled(connect({ host: address, port, family, allowHalfOpen: true, noDelay: true, autoSelectFamily: false }), 'connect', signal)

/** Tries one address after the other. @throws DialError */
export async function dialFirst(dial: Dial, addresses: readonly Address[], port: number, signal: AbortSignal): Promise<{ socket: Socket; address: string }> {
  let code = 'no address'
  const tried = addresses.slice(0, MOST_ADDRESSES)
  for (const [index, address] of tried.entries()) {
    const late = AbortSignal.timeout(index < tried.length - 1 ? FIRST_DIAL_TIMEOUT_MS : DIAL_TIMEOUT_MS)
    try {
      const socket = await dial({ ...address, port }, { signal: AbortSignal.any([signal, late]) })
      return { socket: guarded(socket), address: address.address }
    } catch (error) {
      code = late.aborted ? 'ETIMEDOUT' : codeOf(error)
    }
    if (signal.aborted) break
  }
  throw new DialError(code)
}

/** A connection to the upstream proxy itself. */
export async function dialUpstream(upstream: URL, signal: AbortSignal): Promise<Socket> {
  const secure = upstream.protocol === 'https:'
  const host = upstream.hostname.replace(/^\[(.*)\]$/, '$1')
  const port = Number(upstream.port === '' ? secure ? 443 : 80 : upstream.port)
  const late = AbortSignal.any([signal, AbortSignal.timeout(DIAL_TIMEOUT_MS)])
  const socket = secure ? connectTls({ host, port, servername: host }) : connect({ host, port, allowHalfOpen: true, noDelay: true })
  try {
    return guarded(await settled(socket, secure ? 'secureConnect' : 'connect', late))
  } catch (error) {
    throw new DialError(`upstream proxy: ${codeOf(error)}`)
  }
}

/** A tunnel through the upstream proxy. @throws DialError where it refuses */
export async function tunnelThrough(upstream: URL, host: string, port: number, signal: AbortSignal): Promise<Socket> {
  const socket = await dialUpstream(upstream, signal)
  const stop = (): void => { socket.destroy() }
  const late = AbortSignal.any([signal, AbortSignal.timeout(DIAL_TIMEOUT_MS)])
  late.addEventListener('abort', stop, { once: true })
  try {
    const authority = formatHostPort(host, port)
    const authorization = upstreamAuthorization(upstream)
    socket.write(`CONNECT ${authority} HTTP/1.1\r\nHost: ${authority}\r\n${authorization === undefined ? '' : `Proxy-Authorization: ${authorization}\r\n`}\r\n`)
    const reader = new ByteReader(socket)
    let end = findHeadEnd(reader.bytes, 0)
    for (let looked = 0; end === undefined; end = findHeadEnd(reader.bytes, looked)) {
      looked = reader.bytes.length
      if (!await reader.more()) throw new DialError('upstream proxy: ended')
    }
    const { status } = parseResponseHead(reader.bytes.subarray(0, end))
    if (status < 200 || status > 299) throw new DialError(`upstream proxy: ${status}`)
    reader.skip(end)
    const left = reader.release()
    if (left.length > 0) socket.unshift(left)
    return socket
  } catch (error) {
    socket.destroy()
    throw error instanceof DialError ? error : new DialError(`upstream proxy: ${error instanceof Error ? error.message : 'failed'}`)
  } finally {
    late.removeEventListener('abort', stop)
  }
}

/** From the user and the password in its URL. */
export function upstreamAuthorization({ username, password }: URL): string | undefined {
  if (username === '' && password === '') return undefined
  return `Basic ${Buffer.from(`${decodeURIComponent(username)}:${decodeURIComponent(password)}`).toString('base64')}`
}

/** Waits for `event`; an error, or an abort, destroys the socket and rejects. */
function settled(socket: Socket, event: 'connect' | 'secureConnect', signal: AbortSignal): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const fail = (error: Error): void => {
      signal.removeEventListener('abort', onAbort)
      socket.destroy()
      reject(error)
    }
    const onAbort = (): void => fail(new Error('aborted'))
    if (signal.aborted) return onAbort()
    signal.addEventListener('abort', onAbort, { once: true })
    // Stays: an error after the abort has nobody else to go to.
    socket.on('error', fail)
    socket.once(event, () => {
      signal.removeEventListener('abort', onAbort)
      socket.off('error', fail)
      resolve(guarded(socket))
    })
  })
}

const GUARDED = Symbol('its errors are taken')

/** Errors of a socket show as its end; none may go unhandled. Idle connections do not keep the process. */
export function guarded(socket: Socket & { [GUARDED]?: true }): Socket {
  if (socket[GUARDED] === true) return socket
  socket[GUARDED] = true
  socket.on('error', ignore)
  socket.unref()
  return socket
}

function ignore(): void {
  // 'close' follows, and whoever uses the socket listens to that.
}

function codeOf(error: unknown): string {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : 'failed'
}
