// Serves one HTTP client: request after request, each judged anew, and CONNECT.
import type { HostRequest } from '../policy/domains.js'
import { admit, type Client, closeGently, type Next, openTunnel, report } from './client.js'
import { DialError } from './dial.js'
import { type Answer, formatAnswer, refusalAnswer, TOKEN_MISSING } from './http-answer.js'
import { forward, type UpstreamConnection } from './http-forward.js'
import { findHeadEnd, HttpSyntaxError, listValues, parseRequestHead, type RequestHead, requestFraming } from './http-syntax.js'
import { hostAgrees, parseAbsoluteTarget, parseConnectTarget, type Target } from './http-target.js'
import { serverNameCheck } from './server-name.js'
import { GoneError, write } from './socket-write.js'
import { basicCredentials, sameToken } from './token.js'
import { joinChecked } from './tunnel.js'

/** Returns once the connection is closed or a tunnel. */
export async function serveHttp(client: Client): Promise<void> {
  const kept: { connection?: UpstreamConnection } = {}
  try {
    const next = await serveRequests(client, kept)
    if (next !== 'tunnel') closeGently(client.reader)
  } catch (error) {
    // The client is gone.
    if (!(error instanceof GoneError)) throw error
    client.reader.socket.destroy()
  } finally {
    kept.connection?.reader.socket.destroy()
  }
}

async function serveRequests(client: Client, kept: { connection?: UpstreamConnection }): Promise<Next> {
  try {
    for (let first = true; ; first = false) {
      const head = await readHead(client, first)
      if (head === undefined) return 'close'
      const next = await serveRequest(client, head, kept)
      if (next !== 'next') return next
    }
  } catch (error) {
    if (!(error instanceof HttpSyntaxError)) throw error
    // Where the next request would begin is not known any more.
    await write(client.reader.socket, formatAnswer({ status: error.status, text: `This request was refused: ${error.message}.` }, true, ''))
    return 'close'
  }
}

async function serveRequest(client: Client, head: RequestHead, kept: { connection?: UpstreamConnection }): Promise<Next> {
  const framing = requestFraming(head)
  const hasBody = framing.kind === 'chunked' || (framing.kind === 'length' && framing.length > 0)
  const connect = head.method === 'CONNECT'
  // A refused request's body is not read, so nothing can follow it.
  const keepAlive = !hasBody && wantsKeepAlive(head)
  const answer = async (text: Answer, keep = keepAlive): Promise<Next> => {
    await write(client.reader.socket, formatAnswer(text, !keep, head.method))
    return keep ? 'next' : 'close'
  }

  const given = credentialsOf(head)
  if (client.token !== undefined && !(given !== undefined && sameToken(given.password, client.token))) return answer(TOKEN_MISSING)
  if (given !== undefined) client.named?.(given.user)
  if (connect && hasBody) throw new HttpSyntaxError(400, 'CONNECT has no body')
  const target = connect ? parseConnectTarget(head) : parseAbsoluteTarget(head)
  const upgrade = upgradeOf(head)
  if (upgrade !== undefined && hasBody) throw new HttpSyntaxError(400, 'a request to upgrade has no body here')
  if (listValues(head.headers, 'expect').some(value => value !== '100-continue')) return answer({ status: 417, text: 'This expectation is not understood.' })

  const request = hostRequest(head, target, upgrade !== undefined)
  if (!hostAgrees(head, target, connect ? target.port : undefined)) {
    report(client, request, { because: 'host-mismatch' })
    return answer({ ...refusalAnswer({ because: 'host-mismatch' }, target.host, target.port), status: 400 }, false)
  }
  const admission = await admit(client, request)
  if (admission.kind === 'refused') return answer(refusalAnswer(admission.refusal, admission.host, target.port))
  if (admission.kind === 'unresolved') return answer({ status: 502, text: `${JSON.stringify(admission.host)} could not be resolved: ${admission.reason}.` })
  try {
    if (!connect) return await forward(client, { head, target, framing, upgrade, request, admission }, kept)
    const server = await openTunnel(client, admission, target.port)
    await write(client.reader.socket, 'HTTP/1.1 200 Connection established\r\n\r\n').catch(error => {
      server.destroy()
      throw error
    })
    client.tunnelled()
    await joinChecked(client.reader, server, serverNameCheck(client, { ...request, host: admission.host }))
    return 'tunnel'
  } catch (error) {
    if (!(error instanceof DialError)) throw error
    return answer({ status: error.code === 'ETIMEDOUT' ? 504 : 502, text: `${JSON.stringify(target.authority)} was permitted, but ${error.message}.` })
  }
}

/** The next head; undefined where the client says no more. @throws HttpSyntaxError */
async function readHead({ reader, timeouts: { headMs, idleMs } }: Client, first: boolean): Promise<RequestHead | undefined> {
  const idle = setTimeout(() => reader.stop(), idleMs).unref()
  while (reader.bytes.length === 0) {
    if (await reader.more()) continue
    clearTimeout(idle)
    return undefined
  }
  clearTimeout(idle)
  let late = false
  const deadline = setTimeout(() => {
    late = true
    reader.stop()
  }, headMs).unref()
  try {
    for (let looked = 0, skipped = first; ;) {
      // One empty line before a request is a habit of old clients.
      if (!skipped && reader.bytes.length >= 2) {
        if (reader.bytes[0] === 0x0d && reader.bytes[1] === 0x0a) reader.skip(2)
        skipped = true
      }
      const end = skipped ? findHeadEnd(reader.bytes, looked) : undefined
      if (end !== undefined) {
        const head = parseRequestHead(reader.bytes.subarray(0, end))
        reader.skip(end)
        return head
      }
      looked = skipped ? reader.bytes.length : 0
      if (!await reader.more()) break
    }
  } finally {
    clearTimeout(deadline)
  }
  if (late) throw new HttpSyntaxError(408, 'its head did not arrive in time')
  return undefined
}

function hostRequest(head: RequestHead, { host, port }: Target, upgrade: boolean): HostRequest {
  return head.method === 'CONNECT' ? { host, port, protocol: 'https' } : { host, port, protocol: 'http', method: head.method, ...upgrade && { upgrade } }
}

function credentialsOf({ headers }: RequestHead): ReturnType<typeof basicCredentials> {
  const given = headers.filter(({ key }) => key === 'proxy-authorization')
  return given.length === 1 ? basicCredentials(given[0]?.value ?? '') : undefined
}

function wantsKeepAlive({ headers, version }: RequestHead): boolean {
  return version === '1.1' && ![...listValues(headers, 'connection'), ...listValues(headers, 'proxy-connection')].includes('close')
}

/** The protocol that a request asks to go over to. Only WebSocket is passed on: h2c would carry requests that nobody judges. */
function upgradeOf({ headers, method, version }: RequestHead): 'websocket' | undefined {
  if (!listValues(headers, 'connection').includes('upgrade') || version === '1.0') return undefined
  const asked = listValues(headers, 'upgrade')
  return method === 'GET' && asked.length === 1 && asked[0] === 'websocket' ? 'websocket' : undefined
}
