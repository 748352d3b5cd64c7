// Damaged requests to the proxy. Short here; FUZZ_RUNS=100000 for long. An origin that reads with Node's own parser, more leniently than the
// proxy, must never see a request that the proxy did not judge, and the proxy must end every connection.
import { createServer, type Server } from 'node:http'
import type { Server as NetServer } from 'node:net'
import fc from 'fast-check'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { listen, openWorld, PUBLIC, type World } from '../unit/network/proxy-world.js'

const RUNS = Number(process.env['FUZZ_RUNS'] ?? 400)
let origin: Server
let world: World
const seen: string[] = []

beforeAll(async () => {
  // As lenient as Node can be: what one server takes for the end of a message is not what another does.
  origin = createServer({ insecureHTTPParser: true, requireHostHeader: false }, (request, response) => {
    seen.push(`${request.headers.host} ${request.url}`)
    request.resume().on('end', () => response.end('ok')).on('error', () => {})
  })
  origin.on('clientError', (_, socket) => { socket.destroy() })
  world = await openWorld({
    rules: { allowedDomains: ['app.test'] }, names: { 'app.test': [PUBLIC] },
    servers: { [`${PUBLIC}:80`]: await listen(origin as NetServer) }, timeouts: { headMs: 200, idleMs: 200, endedMs: 200 },
  })
})
afterAll(async () => {
  origin.closeAllConnections()
  origin.close()
  await world.close()
})

/** What must not be seen stands where a server that cuts messages otherwise would find a request. */
const SMUGGLED = 'GET /smuggled HTTP/1.1\r\nHost: app.test\r\n\r\n'
const SEEDS = [
  `GET http://app.test/ok HTTP/1.1\r\nHost: app.test\r\nX-A: 1\r\n\r\n`,
  `POST http://app.test/ok HTTP/1.1\r\nHost: app.test\r\nContent-Length: ${SMUGGLED.length}\r\n\r\n${SMUGGLED}`,
  `POST http://app.test/ok HTTP/1.1\r\nHost: app.test\r\nTransfer-Encoding: chunked\r\n\r\n${SMUGGLED.length.toString(16)}\r\n${SMUGGLED}\r\n0\r\nX-T: 1\r\n\r\n`,
  // One reader takes the length, the other the chunks: what follows the last chunk is a body here and a request there.
  ...['chunked', 'Chunked', 'xchunked', ' chunked', '\x0bchunked', 'chunked\x0c', '"chunked"', 'gzip, chunked', 'chunked, identity', 'identity, chunked']
    .map(encoding => `POST http://app.test/ok HTTP/1.1\r\nHost: app.test\r\nTransfer-Encoding: ${encoding}\r\nContent-Length: ${5 + SMUGGLED.length}\r\n\r\n0\r\n\r\n${SMUGGLED}`),
  `POST http://app.test/ok HTTP/1.1\r\nHost: app.test\r\nContent-Length: ${SMUGGLED.length}\r\nContent-Length: 0\r\n\r\n${SMUGGLED}`,
  `POST http://app.test/ok HTTP/1.1\r\nHost: app.test\r\nContent-Length: 0\r\nContent-Length: ${SMUGGLED.length}\r\n\r\n${SMUGGLED}`,
  `POST http://app.test/ok HTTP/1.1\r\nHost: app.test\r\nTransfer-Encoding: chunked\r\n\r\n5;a\nxx\r\n0\r\n\r\n${SMUGGLED}\r\n0\r\n\r\n`,
  `POST http://evil.test/ok HTTP/1.1\r\nHost: evil.test\r\nContent-Length: ${SMUGGLED.length}\r\n\r\n${SMUGGLED}`,
  `GET http://app.test/ok HTTP/1.1\r\nHost: app.test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n`,
]
/** What parsers have disagreed about. */
const PIECES = [
  '\r', '\n', '\r\n', '\n\n', '\r\n\r\n', '\0', '\t', ' ', '\x0b', '\x0c', '\x85', '\xa0', ':', ',', ';', '"', '@', '#', '?', '/', '//', '\\', '%0d%0a', '0', '00', '0x10', '-1', '+1', '1e1', '_',
  'Transfer-Encoding: chunked\r\n', 'Transfer-Encoding: identity\r\n', 'Transfer-Encoding:chunked\r\n', 'Transfer-Encoding\r\n : chunked\r\n', 'Content-Length: 0\r\n', 'Content-Length: 5\r\n', 'content-length:\t9\r\n', ' folded\r\n',
  'Host: evil.test\r\n', 'Connection: close\r\n', 'Connection: Content-Length\r\n', 'Connection: Transfer-Encoding\r\n', 'Expect: 100-continue\r\n', 'HTTP/1.0', 'HTTP/1.1', 'HTTP/0.9', 'GET ', 'http://', 'https://', 'evil.test', '0\r\n\r\n', ';a=b', SMUGGLED,
]
const edit = fc.record({ at: fc.nat(400), remove: fc.nat(3), insert: fc.oneof({ weight: 4, arbitrary: fc.constantFrom(...PIECES) }, fc.string({ unit: 'binary-ascii', maxLength: 4 })) })

test('no server sees a request that was not judged', async () => {
  await fc.assert(fc.asyncProperty(fc.constantFrom(...SEEDS), fc.array(edit, { maxLength: 4 }), fc.nat(400), async (seed, edits, cut) => {
    let bytes = seed
    for (const { at, remove, insert } of edits) bytes = bytes.slice(0, at % (bytes.length + 1)) + insert + bytes.slice(at % (bytes.length + 1) + remove)
    seen.length = 0
    const socket = await world.connect()
    const closed = new Promise(resolve => socket.on('error', () => {}).once('close', resolve))
    socket.resume().on('end', () => socket.end())
    socket.write(bytes.slice(0, cut), 'latin1')
    socket.end(bytes.slice(cut), 'latin1')
    await closed
    // A request that the edit itself made whole, in absolute form and for that host, is an ordinary one.
    expect(seen.filter(request => !request.startsWith('app.test') && !/^app\.test\.?(?::0*80)? /i.test(request))).toEqual([])
    if (!bytes.includes('http://app.test/smuggled')) expect(seen.filter(request => request.includes('smuggled'))).toEqual([])
  }), { numRuns: RUNS, examples: SEEDS.map((seed): [string, never[], number] => [seed, [], 400]) })
  await expect.poll(() => world.proxy.stats.connections, { timeout: 5000 }).toBe(0)
}, 600_000)
