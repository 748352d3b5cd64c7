// What a hostile client can make of HTTP: nothing of it reaches a server, and none of it is taken for a second request.
import { createServer as createHttpServer, type Server } from 'node:http'
import type { Server as NetServer } from 'node:net'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { listen, openWorld, PUBLIC, type World } from './proxy-world.js'

let world: World
let origin: Server
let originPort: number
/** Whole requests only. */
const seen: string[] = []

beforeAll(async () => {
  origin = createHttpServer((request, response) => {
    const chunks: Buffer[] = []
    request.on('data', (chunk: Buffer) => chunks.push(chunk)).on('error', () => {})
    request.on('end', () => {
      seen.push(`${request.method} ${request.url} ${request.headers.host} ${Buffer.concat(chunks).toString('latin1')}`.trimEnd())
      response.end('ok')
    })
  })
  originPort = await listen(origin as NetServer)
})
afterAll(() => { origin.closeAllConnections(); origin.close() })
beforeEach(async () => {
  seen.length = 0
  world = await openWorld({
    rules: { allowedDomains: ['app.test'] },
    names: { 'app.test': [PUBLIC] },
    servers: { [`${PUBLIC}:80`]: originPort },
    timeouts: { headMs: 300, idleMs: 400 },
  })
})
afterEach(() => world.close())

const post = (lines: readonly string[], body = ''): string => `POST http://app.test/up HTTP/1.1\r\nHost: app.test\r\n${lines.map(line => `${line}\r\n`).join('')}\r\n${body}`
const SMUGGLED = 'GET http://app.test/smuggled HTTP/1.1\r\nHost: app.test\r\n\r\n'

describe('a head that two readers could read in two ways is refused, and nothing is dialled', () => {
  test.each([
    ['both lengths', post(['Content-Length: 5', 'Transfer-Encoding: chunked'], '0\r\n\r\n')],
    ['both lengths, the other way round', post(['Transfer-Encoding: chunked', 'Content-Length: 5'], '0\r\n\r\n')],
    ['two lengths', post(['Content-Length: 5', 'Content-Length: 6'], 'hello!')],
    ['the same length twice', post(['Content-Length: 5', 'Content-Length: 5'], 'hello')],
    ['a list of lengths', post(['Content-Length: 5, 5'], 'hello')],
    ['a length with a sign', post(['Content-Length: +5'], 'hello')],
    ['a negative length', post(['Content-Length: -5'], 'hello')],
    ['a length in hexadecimal', post(['Content-Length: 0x5'], 'hello')],
    ['a length with a fraction', post(['Content-Length: 5.0'], 'hello')],
    ['a length with a vertical tab', post(['Content-Length: \x0b5'], 'hello')],
    ['a length with a no-break space', post(['Content-Length: 5\xa0'], 'hello')],
    ['an empty length', post(['Content-Length:'], 'hello')],
    ['a length beyond what numbers hold', post(['Content-Length: 99999999999999999999'], 'hello')],
    ['another encoding before chunked', post(['Transfer-Encoding: gzip, chunked'], '0\r\n\r\n')],
    ['chunked twice', post(['Transfer-Encoding: chunked, chunked'], '0\r\n\r\n')],
    ['two encodings', post(['Transfer-Encoding: chunked', 'Transfer-Encoding: identity'], '0\r\n\r\n')],
    ['identity', post(['Transfer-Encoding: identity'], 'hello')],
    ['an encoding like chunked', post(['Transfer-Encoding: xchunked'], '0\r\n\r\n')],
    ['chunked with a vertical tab', post(['Transfer-Encoding: \x0bchunked'], '0\r\n\r\n')],
    ['chunked in quotes', post(['Transfer-Encoding: "chunked"'], '0\r\n\r\n')],
    ['an empty encoding', post(['Transfer-Encoding:', 'Content-Length: 5'], 'hello')],
    ['chunked with HTTP/1.0', post(['Transfer-Encoding: chunked'], '0\r\n\r\n').replace('1.1', '1.0')],
    ['a space before the colon', post(['Transfer-Encoding : chunked', 'Content-Length: 5'], 'hello')],
    ['a tab before the colon', post(['Content-Length\t: 5'], 'hello')],
    ['a folded line', post(['X-A: 1', ' folded'])],
    ['a folded line with a tab', post(['Transfer-Encoding:', '\tchunked'], '0\r\n\r\n')],
    ['a first line that begins with a space', 'GET http://app.test/ HTTP/1.1\r\n Host: app.test\r\n\r\n'],
    ['a bare CR in a value', post(['X-A: 1\rTransfer-Encoding: chunked'])],
    ['a bare CR at the end of a value', post(['X-A: 1\r'])],
    ['a bare CR in the request line', 'GET http://app.test/\r HTTP/1.1\r\nHost: app.test\r\n\r\n'],
    ['a bare LF between lines', 'GET http://app.test/ HTTP/1.1\nHost: app.test\n\n'],
    ['a bare LF in a value', post(['X-A: 1\nTransfer-Encoding: chunked'])],
    ['a bare LF as the empty line', 'GET http://app.test/ HTTP/1.1\r\nHost: app.test\r\n\n'],
    ['a NUL in a value', post(['X-A: 1\x002'])],
    ['a NUL in a name', post(['X\0A: 1'])],
    ['a DEL in a value', post(['X-A: \x7f'])],
    ['an escape in a value', post(['X-A: \x1b[2J'])],
    ['a line without a colon', post(['nonsense'])],
    ['an empty name', post([': 1'])],
    ['a space in a name', post(['X A: 1'])],
    ['a name that is not ASCII', post(['X\xe9: 1'])],
    ['two spaces in the request line', 'GET  http://app.test/ HTTP/1.1\r\nHost: app.test\r\n\r\n'],
    ['a tab in the request line', 'GET\thttp://app.test/ HTTP/1.1\r\nHost: app.test\r\n\r\n'],
    ['a space in the target', 'GET http://app.test/a b HTTP/1.1\r\nHost: app.test\r\n\r\n'],
    ['a space at the end of the request line', 'GET http://app.test/ HTTP/1.1 \r\nHost: app.test\r\n\r\n'],
    ['no version', 'GET http://app.test/\r\nHost: app.test\r\n\r\n'],
    ['another version', 'GET http://app.test/ HTTP/1.2\r\nHost: app.test\r\n\r\n'],
    ['HTTP/2 with prior knowledge', 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'],
    ['a version in small letters', 'GET http://app.test/ http/1.1\r\nHost: app.test\r\n\r\n'],
    ['another protocol', 'GET http://app.test/ ICY/1.1\r\nHost: app.test\r\n\r\n'],
    ['a method that is no token', 'GE(T http://app.test/ HTTP/1.1\r\nHost: app.test\r\n\r\n'],
    ['a target that is not ASCII', 'GET http://app.test/\xe9 HTTP/1.1\r\nHost: app.test\r\n\r\n'],
    ['a control character in the target', 'GET http://app.test/\x01 HTTP/1.1\r\nHost: app.test\r\n\r\n'],
    ['a fragment', 'GET http://app.test/#a HTTP/1.1\r\nHost: app.test\r\n\r\n'],
    ['a user in the target', 'GET http://app.test@evil.test/ HTTP/1.1\r\nHost: app.test\r\n\r\n'],
    ['a user and a password in the target', 'GET http://a:b@app.test/ HTTP/1.1\r\nHost: app.test\r\n\r\n'],
    ['a target without a host', 'GET http:///path HTTP/1.1\r\nHost: app.test\r\n\r\n'],
    ['a target with one slash', 'GET http:/app.test/ HTTP/1.1\r\nHost: app.test\r\n\r\n'],
    ['a colon without a port', 'GET http://app.test:/ HTTP/1.1\r\nHost: app.test\r\n\r\n'],
    ['port 0', 'GET http://app.test:0/ HTTP/1.1\r\nHost: app.test:0\r\n\r\n'],
    ['a port that is too large', 'GET http://app.test:65536/ HTTP/1.1\r\nHost: app.test:65536\r\n\r\n'],
    ['a port with a sign', 'GET http://app.test:+80/ HTTP/1.1\r\nHost: app.test\r\n\r\n'],
    ['two ports', 'GET http://app.test:80:80/ HTTP/1.1\r\nHost: app.test\r\n\r\n'],
    ['https in absolute form', 'GET https://app.test/ HTTP/1.1\r\nHost: app.test\r\n\r\n'],
    ['another scheme', 'GET ftp://app.test/ HTTP/1.1\r\nHost: app.test\r\n\r\n'],
    ['a target in origin form', 'GET / HTTP/1.1\r\nHost: app.test\r\n\r\n'],
    ['a target of *', 'OPTIONS * HTTP/1.1\r\nHost: app.test\r\n\r\n'],
    ['a target with two slashes', 'GET //app.test/ HTTP/1.1\r\nHost: app.test\r\n\r\n'],
    ['no Host', 'GET http://app.test/ HTTP/1.1\r\n\r\n'],
    ['two Hosts', 'GET http://app.test/ HTTP/1.1\r\nHost: app.test\r\nHost: app.test\r\n\r\n'],
    ['another Host', 'GET http://app.test/ HTTP/1.1\r\nHost: evil.test\r\n\r\n'],
    ['another port in Host', 'GET http://app.test/ HTTP/1.1\r\nHost: app.test:81\r\n\r\n'],
    ['a list in Host', 'GET http://app.test/ HTTP/1.1\r\nHost: app.test, evil.test\r\n\r\n'],
    ['a user in Host', 'GET http://app.test/ HTTP/1.1\r\nHost: x@app.test\r\n\r\n'],
    ['an empty Host', 'GET http://app.test/ HTTP/1.1\r\nHost:\r\n\r\n'],
    ['a path in Host', 'GET http://app.test/ HTTP/1.1\r\nHost: app.test/x\r\n\r\n'],
    ['CONNECT with another Host', 'CONNECT app.test:80 HTTP/1.1\r\nHost: evil.test\r\n\r\n'],
    ['CONNECT with another port in Host', 'CONNECT app.test:80 HTTP/1.1\r\nHost: app.test:81\r\n\r\n'],
    ['CONNECT without a port', 'CONNECT app.test HTTP/1.1\r\nHost: app.test\r\n\r\n'],
    ['CONNECT with a path', 'CONNECT app.test:80/ HTTP/1.1\r\nHost: app.test:80\r\n\r\n'],
    ['CONNECT with a scheme', 'CONNECT http://app.test:80 HTTP/1.1\r\nHost: app.test:80\r\n\r\n'],
    ['CONNECT with a body', 'CONNECT app.test:80 HTTP/1.1\r\nHost: app.test:80\r\nContent-Length: 5\r\n\r\nhello'],
    ['CONNECT with chunks', 'CONNECT app.test:80 HTTP/1.1\r\nHost: app.test:80\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n'],
    ['an upgrade with a body', 'GET http://app.test/ HTTP/1.1\r\nHost: app.test\r\nConnection: upgrade\r\nUpgrade: websocket\r\nContent-Length: 5\r\n\r\nhello'],
    ['more lines than anybody sends', post(Array.from({ length: 300 }, (_, index) => `X-${index}: 1`))],
    ['a head that is too long', post([`X-Long: ${'a'.repeat(70_000)}`])],
    ['a request line that does not end', `GET http://app.test/${'a'.repeat(70_000)}`],
  ])('%s', async (_name, bytes) => {
    const text = await world.talk(bytes + SMUGGLED)
    expect(text).toMatch(/^HTTP\/1\.1 (?:400|431|501|505) [^\r\n]+\r\n/)
    // One answer, after which nothing is read any more.
    expect(text.match(/^HTTP\/1\.1 /gm)).toHaveLength(1)
    expect(text).toContain('\r\nConnection: close\r\n')
    expect({ seen, looked: world.looked, dialled: world.dialled }).toEqual({ seen: [], looked: [], dialled: [] })
  })

  test('a folded line is called one', async () => {
    expect(await world.talk(post(['X-A: 1', ' folded']))).toMatch(/\r\n\r\nThis request was refused: a header line is folded\.\n$/)
  })

  test.each([
    ['a method in small letters', SMUGGLED.replace('GET', 'get')],
    ['TLS', Buffer.from([22, 3, 1, 0, 5, 1, 0, 0, 1, 0])],
    ['SOCKS4', Buffer.from([4, 1, 0, 80, 1, 1, 1, 1, 0])],
    ['an empty line before the request line twice', `\r\n\r\n${SMUGGLED}`],
    ['a NUL', '\0'],
  ])('%s is not answered at all', async (_name, bytes) => {
    expect(await world.talk(bytes)).toBe('')
    expect({ seen, dialled: world.dialled }).toEqual({ seen: [], dialled: [] })
  })
})

describe('a body that does not hold to its framing never makes a whole request', () => {
  test.each([
    ['a size with 0x', '0x3\r\nabc\r\n0\r\n\r\n'],
    ['a negative size', '-1\r\nabc\r\n0\r\n\r\n'],
    ['a size with a space', '3 \r\nabc\r\n0\r\n\r\n'],
    ['a space before the size', ' 3\r\nabc\r\n0\r\n\r\n'],
    ['no size', '\r\nabc\r\n0\r\n\r\n'],
    ['a size that is too large', 'fffffffffffff\r\nabc'],
    ['a size line that ends with LF alone', '3\nabc\r\n0\r\n\r\n'],
    ['an extension with a bare LF', '3;a\nabc\r\n0\r\n\r\n'],
    ['an extension with a bare CR', '3;a\rb\r\nabc\r\n0\r\n\r\n'],
    ['an extension with a NUL', '3;\0\r\nabc\r\n0\r\n\r\n'],
    ['an extension without end', `3;${'a'.repeat(5000)}`],
    ['a chunk that is longer than its size', '3\r\nabcd\r\n0\r\n\r\n'],
    ['a chunk that ends with two other bytes', '3\r\nabcXX0\r\n\r\n'],
    ['a chunk that ends with LF alone', '3\r\nabc\n0\r\n\r\n'],
    ['a chunk that ends with CR alone', '3\r\nabc\r0\r\n\r\n'],
    ['a folded trailer', '0\r\nX-A: 1\r\n folded\r\n\r\n'],
    ['a trailer without a colon', '0\r\nnonsense\r\n\r\n'],
    ['trailers without end', `0\r\n${'X-A: 1\r\n'.repeat(5000)}`],
    ['a last chunk that ends with LF alone', '0\r\n\n'],
  ])('%s', async (_name, body) => {
    const text = await world.talk(post(['Transfer-Encoding: chunked'], body + SMUGGLED))
    expect(text).toMatch(/^HTTP\/1\.1 4[0-9]{2} /)
    expect(text.match(/^HTTP\/1\.1 /gm)).toHaveLength(1)
    expect(seen).toEqual([])
  })

  test.each([
    ['a length', post(['Content-Length: 10'], 'hello')],
    ['a chunk', post(['Transfer-Encoding: chunked'], 'a\r\nhello')],
    ['the last chunk', post(['Transfer-Encoding: chunked'], '5\r\nhello\r\n')],
    ['the trailers', post(['Transfer-Encoding: chunked'], '5\r\nhello\r\n0\r\n')],
  ])('a client that ends before the end of %s', async (_name, bytes) => {
    const socket = await world.connect()
    const closed = new Promise(resolve => socket.once('close', resolve))
    socket.on('error', () => {}).resume()
    socket.end(bytes, 'latin1')
    await closed
    expect(seen).toEqual([])
  })

  test('what follows a body is the next request; what is in it is none', async () => {
    const text = await world.talk([post([`Content-Length: ${SMUGGLED.length}`], SMUGGLED), 'GET http://app.test/next HTTP/1.1\r\nHost: app.test\r\nConnection: close\r\n\r\n'])
    expect(text.match(/HTTP\/1\.1 200/g)).toHaveLength(2)
    expect(seen).toEqual([`POST /up app.test ${SMUGGLED.trimEnd()}`, 'GET /next app.test'])
  })

  test('the body of a refused request is not read as requests', async () => {
    const text = await world.talk(`POST http://evil.test/ HTTP/1.1\r\nHost: evil.test\r\nContent-Length: ${SMUGGLED.length}\r\n\r\n${SMUGGLED}`)
    expect(text).toMatch(/^HTTP\/1\.1 403 /)
    expect(text.match(/^HTTP\/1\.1 /gm)).toHaveLength(1)
    expect(seen).toEqual([])
  })
})

describe('headers that try to change what is passed on', () => {
  test.each([
    ['Connection names Host',           'GET http://app.test/ HTTP/1.1\r\nHost: app.test\r\nConnection: close, Host\r\n\r\n', 'GET / app.test'],
    ['Connection names Content-Length', post(['Connection: close, Content-Length', 'Content-Length: 5'], 'hello'), 'POST /up app.test hello'],
    ['a method that overrides nothing', 'GET http://app.test/ HTTP/1.1\r\nHost: APP.test.:80\r\nConnection: close\r\n\r\n', 'GET / app.test'],
    ['one empty line before it',        `${post(['Content-Length: 0', 'Connection: keep-alive'])}\r\nGET http://app.test/2 HTTP/1.1\r\nHost: app.test\r\nConnection: close\r\n\r\n`, 'POST /up app.test', 'GET /2 app.test'],
  ])('%s', async (_name, bytes, ...expected) => {
    await world.talk(bytes)
    expect(seen).toEqual(expected)
  })

  test('the server is told the host that was judged, however it was spelled', async () => {
    await world.close()
    const { port } = origin.address() as { port: number }
    world = await openWorld({ rules: { allowedDomains: ['app.test', '8.8.8.8:81'] }, names: { 'app.test': [PUBLIC] }, servers: { [`${PUBLIC}:80`]: port, '8.8.8.8:81': port } })
    for (const [target, host] of [['APP.test.', 'app.test.:80'], ['010.8.8.8:81', '8.8.8.8:81'], ['0x8080808:81', '010.8.8.8:81']]) await world.talk(`GET http://${target}/ HTTP/1.1\r\nHost: ${host}\r\nConnection: close\r\n\r\n`)
    expect(seen).toEqual(['GET / app.test', 'GET / 8.8.8.8:81', 'GET / 8.8.8.8:81'])
  })

  test('h2c and other upgrades are not passed on', async () => {
    const raw: string[][] = []
    const listener = (request: { rawHeaders: string[] }): void => { raw.push(request.rawHeaders) }
    origin.on('request', listener)
    await world.talk('GET http://app.test/ HTTP/1.1\r\nHost: app.test\r\nConnection: Upgrade, HTTP2-Settings, close\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA\r\nTE: trailers\r\nProxy-Authorization: Basic eDp5\r\nKeep-Alive: 5\r\n\r\n')
    origin.off('request', listener)
    expect(raw).toEqual([['Host', 'app.test', 'Connection', 'keep-alive']])
  })
})

describe('slow and silent clients', () => {
  test('a head that does not arrive in time is answered with 408', async () => {
    const socket = await world.connect()
    let text = ''
    socket.on('data', (chunk: Buffer) => { text += chunk.toString() })
    const ended = new Promise(resolve => socket.once('end', resolve))
    socket.write('GET http://app.test/ HT')
    await ended
    expect(text).toMatch(/^HTTP\/1\.1 408 /)
    socket.destroy()
  })

  test('a connection that says nothing is closed', async () => {
    const socket = await world.connect()
    await new Promise(resolve => socket.once('close', resolve).resume().on('end', () => socket.end()))
    await expect.poll(() => world.proxy.stats.connections).toBe(0)
  })

  test('a connection that asks for nothing more is closed', async () => {
    const socket = await world.connect()
    socket.write('GET http://app.test/ HTTP/1.1\r\nHost: app.test\r\n\r\n')
    await new Promise(resolve => socket.once('close', resolve).resume().on('end', () => socket.end()))
    expect(seen).toEqual(['GET / app.test'])
  })
})

test('split at every byte, a conversation means the same', async () => {
  const conversation = `${post(['Transfer-Encoding: chunked'], '3;x\r\nabc\r\n0\r\nX-T: 1\r\n\r\n')}\r\n${post(['Content-Length: 4'], 'wxyz')}GET http://evil.test/ HTTP/1.1\r\nHost: evil.test\r\n\r\nGET http://app.test/ HTTP/1.1\r\nHost: app.test\r\nConnection: close\r\n\r\n`
  const whole = { answers: (await world.talk(conversation)).replaceAll(/Date: [^\r]*/g, 'Date'), seen: seen.splice(0) }
  expect(whole.seen).toEqual(['POST /up app.test abc', 'POST /up app.test wxyz', 'GET / app.test'])
  for (let at = 1; at < conversation.length; at++) {
    const answers = (await world.talk([conversation.slice(0, at), conversation.slice(at)])).replaceAll(/Date: [^\r]*/g, 'Date')
    expect({ at, answers, seen: seen.splice(0) }).toEqual({ at, ...whole })
  }
  const answers = (await world.talk([...conversation])).replaceAll(/Date: [^\r]*/g, 'Date')
  expect({ answers, seen: seen.splice(0) }).toEqual(whole)
})
