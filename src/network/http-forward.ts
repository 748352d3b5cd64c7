// Passes one HTTP request on to its server and the response back, both written anew from what was understood.
import type { HostRequest } from '../policy/domains.js'
import { ByteReader } from './byte-reader.js'
import type { Client, Next } from './client.js'
import { dialFirst, dialUpstream, upstreamAuthorization } from './dial.js'
import { formatAnswer } from './http-answer.js'
import { BodyCutError, relayBody } from './http-body.js'
import { findHeadEnd, type Framing, type Header, HttpSyntaxError, listValues, parseResponseHead, type RequestHead, type ResponseHead, responseFraming } from './http-syntax.js'
import type { Target } from './http-target.js'
import type { Admission } from './judge.js'
import { GoneError, write } from './socket-write.js'
import { join } from './tunnel.js'

/** A connection that a response left open: for the next request of the same client to the same server. */
export interface UpstreamConnection {
  readonly reader: ByteReader
  /** The address that was dialled; undefined: the upstream proxy. */
  readonly address: string | undefined
  readonly host: string
  readonly port: number
}

interface Exchange {
  readonly head: RequestHead
  readonly target: Target
  readonly framing: Framing
  readonly upgrade: 'websocket' | undefined
  readonly request: HostRequest
  readonly admission: Extract<Admission, { kind: 'admitted' }>
}

/** Concern one connection, not the message (RFC 9110 section 7.6.1). Framing and Host are written anew. */
const NOT_PASSED_ON: ReadonlySet<string> = new Set([
  'connection', 'proxy-connection', 'keep-alive', 'te', 'transfer-encoding', 'content-length', 'upgrade', 'proxy-authorization', 'proxy-authenticate', 'proxy-authentication-info', 'host', 'http2-settings',
])
/** May be sent twice without harm, so a kept connection that turns out closed is no failure. */
const SAFE_METHODS: ReadonlySet<string> = new Set(['GET', 'HEAD', 'OPTIONS'])

/** What the connection to the server did before any response. */
class NoResponseError extends Error {}

/** @throws DialError where the server cannot be reached */
export async function forward(client: Client, exchange: Exchange, kept: { connection?: UpstreamConnection }): Promise<Next> {
  const reusable = takeKept(kept, exchange)
  if (reusable !== undefined) {
    try {
      return await run(client, exchange, reusable, kept)
    } catch (error) {
      if (!(error instanceof NoResponseError)) throw error
    }
  }
  try {
    return await run(client, exchange, await open(client, exchange), kept)
  } catch (error) {
    if (!(error instanceof NoResponseError)) throw error
    return fail(client, exchange, 'it closed the connection before it answered')
  }
}

async function run(client: Client, exchange: Exchange, server: UpstreamConnection, kept: { connection?: UpstreamConnection }): Promise<Next> {
  const to = server.reader.socket
  // A client that is gone needs no response; a server that is gone takes no body.
  const onGone = (): void => { to.destroy() }
  client.reader.socket.on('close', onGone)
  let answered = false
  let settled = false
  const ended: { timer?: NodeJS.Timeout } = {}
  const sent = send(client, exchange, to).then(() => {
    // It has said its last, or it is gone: who can tell. It may wait for its answer, but not for ever.
    const onEnd = (): void => { ended.timer = setTimeout(onGone, client.timeouts.endedMs).unref() }
    const signal = client.reader.watch('end')
    if (signal.aborted) onEnd()
    else signal.addEventListener('abort', onEnd, { once: true })
  }, (error: unknown) => {
    // Half a request must not be taken for a whole one.
    if (!(error instanceof GoneError)) to.destroy()
    return error
  }).finally(() => { settled = true })
  try {
    const outcome = await receive(client, exchange, server, () => { answered = true })
    if (outcome === 'tunnel') return 'tunnel'
    // A response may come before the request is sent; what is left of it has nobody to go to.
    if (!settled || await sent !== undefined || !outcome.clientStays) {
      to.destroy()
      return 'close'
    }
    if (outcome.serverStays && server.reader.bytes.length === 0) {
      // Its end, and bytes that belong to no request, are noticed before it is used again.
      server.reader.watch('end')
      kept.connection = server
    } else {
      to.destroy()
    }
    return 'next'
  } catch (error) {
    to.destroy()
    if (client.reader.socket.destroyed) return 'close'
    // What is still missing of the request has nobody to go to; the client may be waiting for an answer before it sends it.
    const cause = settled ? await sent : client.reader.stop()
    if (answered) {
      // Part of a response has gone out: only a reset says that it is not all.
      client.reader.socket.resetAndDestroy()
      return 'close'
    }
    if (cause instanceof HttpSyntaxError) throw cause
    if (error instanceof HttpSyntaxError) return fail(client, exchange, `its response was refused: ${error.message}`)
    if (cause instanceof BodyCutError) return 'close'
    throw error
  } finally {
    client.reader.unwatch()
    clearTimeout(ended.timer)
    client.reader.socket.off('close', onGone)
  }
}

async function send(client: Client, { head, target, framing, upgrade, admission }: Exchange, to: UpstreamConnection['reader']['socket']): Promise<void> {
  const named = new Set(listValues(head.headers, 'connection'))
  const headers = head.headers.filter(({ key }) => !NOT_PASSED_ON.has(key) && !named.has(key))
  const upstream = admission.throughUpstream ? client.upstream : undefined
  const authorization = upstream === undefined ? undefined : upstreamAuthorization(upstream)
  const lines = [
    `${head.method} ${upstream === undefined ? target.path : `http://${target.authority}${target.path === '*' ? '' : target.path}`} HTTP/1.1`,
    `Host: ${target.authority}`,
    ...headers.map(({ name, value }) => `${name}: ${value}`),
    ...framing.kind === 'chunked' ? ['Transfer-Encoding: chunked'] : framing.kind === 'length' ? [`Content-Length: ${framing.length}`] : [],
    ...upgrade !== undefined ? ['Connection: Upgrade', `Upgrade: ${upgrade}`] : ['Connection: keep-alive'],
    ...authorization === undefined ? [] : [`Proxy-Authorization: ${authorization}`],
  ]
  await write(to, `${lines.join('\r\n')}\r\n\r\n`, 'latin1')
  await relayBody(client.reader, to, framing, 'chunked')
}

/** Passes the response on. `clientStays`, `serverStays`: the connection may carry another request. */
async function receive(client: Client, exchange: Exchange, server: UpstreamConnection, onAnswer: () => void): Promise<'tunnel' | { clientStays: boolean; serverStays: boolean }> {
  const { head: request, upgrade } = exchange
  const to = client.reader.socket
  let head = await readResponseHead(server.reader)
  for (; head.status < 200 && head.status !== 101; head = await readResponseHead(server.reader)) {
    if (request.version === '1.1') await write(to, formatHead(head, []), 'latin1')
  }
  if (head.status === 101) {
    if (upgrade === undefined) throw new HttpSyntaxError(502, 'it switches protocols unasked')
    onAnswer()
    await write(to, formatHead(head, ['Connection: Upgrade', `Upgrade: ${upgrade}`]), 'latin1')
    client.tunnelled()
    join(client.reader, server.reader)
    return 'tunnel'
  }

  const framing = responseFraming(head, request.method)
  const asChunks = framing.kind === 'chunked' && request.version === '1.1'
  const closes = listValues(request.headers, 'connection').includes('close') || listValues(request.headers, 'proxy-connection').includes('close')
  const clientStays = request.version === '1.1' && !closes && framing.kind !== 'until-close'
  onAnswer()
  await write(to, formatHead(head, [
    ...framing.kind === 'length' ? [`Content-Length: ${framing.length}`] : [],
    // These two tell the length of a body that they do not have; of others a client would wait for it.
    ...framing.kind === 'none' && (request.method === 'HEAD' || head.status === 304) ? head.headers.filter(({ key }) => key === 'content-length').map(({ value }) => `Content-Length: ${value}`) : [],
    ...asChunks ? ['Transfer-Encoding: chunked'] : [],
    `Connection: ${clientStays ? 'keep-alive' : 'close'}`,
  ]), 'latin1')
  await relayBody(server.reader, to, framing, asChunks ? 'chunked' : 'plain')
  const serverStays = head.version === '1.1' && framing.kind !== 'until-close' && !listValues(head.headers, 'connection').includes('close')
  return { clientStays, serverStays }
}

async function readResponseHead(reader: ByteReader): Promise<ResponseHead> {
  let end = findHeadEnd(reader.bytes, 0)
  for (let looked = 0; end === undefined; end = findHeadEnd(reader.bytes, looked)) {
    looked = reader.bytes.length
    if (!await reader.more()) {
      if (reader.bytes.length === 0) throw new NoResponseError()
      throw new HttpSyntaxError(502, 'its head is cut off')
    }
  }
  const head = parseResponseHead(reader.bytes.subarray(0, end))
  reader.skip(end)
  return head
}

function formatHead({ status, reason, headers }: ResponseHead, own: readonly string[]): string {
  const named = new Set(listValues(headers, 'connection'))
  const passed: readonly Header[] = headers.filter(({ key }) => !NOT_PASSED_ON.has(key) && !named.has(key))
  return `${[`HTTP/1.1 ${status} ${reason}`, ...passed.map(({ name, value }) => `${name}: ${value}`), ...own].join('\r\n')}\r\n\r\n`
}

/** The connection that the last request left, where it is to the same host at an address that this request may use as well. */
function takeKept(kept: { connection?: UpstreamConnection }, { head, framing, target, admission, upgrade }: Exchange): UpstreamConnection | undefined {
  const { connection } = kept
  delete kept.connection
  if (connection === undefined) return undefined
  const { host, addresses, throughUpstream } = admission
  const { reader } = connection
  const sameServer = connection.host === host && connection.port === target.port
    && (throughUpstream ? connection.address === undefined : addresses.some(({ address }) => address === connection.address))
  const safe = SAFE_METHODS.has(head.method) && framing.kind === 'none' && upgrade === undefined
  reader.unwatch()
  if (sameServer && safe && !reader.ended && reader.bytes.length === 0) return connection
  reader.socket.destroy()
  return undefined
}

async function open({ reader, upstream, dial }: Client, { target, admission }: Exchange): Promise<UpstreamConnection> {
  const signal = reader.watch('close')
  try {
    const { socket, address } = upstream !== undefined && admission.throughUpstream
      ? { socket: await dialUpstream(upstream, signal), address: undefined }
      : await dialFirst(dial, admission.addresses, target.port, signal)
    return { reader: new ByteReader(socket), address, host: admission.host, port: target.port }
  } finally {
    reader.unwatch()
  }
}

/** Nothing was sent to the client yet. */
async function fail(client: Client, { head, target }: Exchange, why: string): Promise<Next> {
  await write(client.reader.socket, formatAnswer({ status: 502, text: `${JSON.stringify(target.authority)} was permitted, but ${why}.` }, true, head.method))
  return 'close'
}
