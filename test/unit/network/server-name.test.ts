// TLS through a tunnel: the server that the client names must be the one it was let through for.
import { createServer, type Server } from 'node:net'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { clientHello, serverName, records, tlsStart } from './client-hello.js'
import { collect, listen, openWorld, PUBLIC, type World } from './proxy-world.js'

let world: World
let origin: Server
let originPort: number
let arrived: Buffer[] = []

beforeAll(async () => {
  origin = createServer({ allowHalfOpen: true }, socket => {
    socket.on('error', () => {}).on('data', chunk => arrived.push(chunk)).on('end', () => socket.end(`got ${Buffer.concat(arrived).length}`))
  })
  originPort = await listen(origin)
})
afterAll(() => { origin.close() })
beforeEach(async () => {
  arrived = []
  world = await openWorld({
    rules: { allowedDomains: ['app.test', '*.wild.test', '5.5.5.5', '::5'], deniedDomains: ['bad.test', '6.6.6.6'] },
    names: { 'app.test': [PUBLIC], 'a.wild.test': [PUBLIC] },
    servers: { [`${PUBLIC}:443`]: originPort, '5.5.5.5:443': originPort },
  })
})
afterEach(() => world.close())

const ESTABLISHED = 'HTTP/1.1 200 Connection established\r\n\r\n'
const connectTo = (host: string): Buffer => Buffer.from(`CONNECT ${host}:443 HTTP/1.1\r\nHost: ${host}:443\r\n\r\n`)
const socksTo = (host: string): Buffer => Buffer.from([5, 1, 0, 5, 1, 0, 3, host.length, ...Buffer.from(host), 1, 187])
const socksOk = Buffer.from([5, 0, 5, 0, 0, 1, 0, 0, 0, 0, 0, 0]).toString('latin1')

async function open(first: Buffer, then: readonly Buffer[]): Promise<string> {
  const socket = await world.connect()
  const all = collect(socket)
  socket.write(first)
  for (const piece of then) {
    socket.write(piece)
    await new Promise(resolve => setImmediate(resolve))
  }
  socket.end()
  return all
}

const HELLOS = [
  { host: 'app.test',    name: 'the same name',                 bytes: tlsStart('app.test'),        passes: true },
  { host: 'app.test',    name: 'the same in capitals',          bytes: tlsStart('APP.TEST'),        passes: true },
  { host: 'app.test',    name: 'the same with a dot',           bytes: tlsStart('app.test.'),       passes: true },
  { host: 'app.test',    name: 'no name',                       bytes: tlsStart(undefined),         passes: true },
  { host: 'app.test',    name: 'another name',                  bytes: tlsStart('evil.test'),       passes: false },
  { host: 'app.test',    name: 'another name that is allowed',  bytes: tlsStart('a.wild.test'),     passes: false },
  { host: 'app.test',    name: 'a name below it',               bytes: tlsStart('x.app.test'),      passes: false },
  { host: 'a.wild.test', name: 'a sibling under one wildcard',  bytes: tlsStart('b.wild.test'),     passes: false },
  { host: 'app.test',    name: 'an address',                    bytes: tlsStart('93.184.216.34'),   passes: false },
  { host: 'app.test',    name: 'a NUL behind the name',         bytes: tlsStart('app.test\0'),      passes: false },
  { host: 'app.test',    name: 'no host',                       bytes: tlsStart('app test'),        passes: false },
  { host: 'app.test',    name: 'two names',                     bytes: records(clientHello([...serverName('app.test'), ...serverName('evil.test')])), passes: false },
  { host: 'app.test',    name: 'broken TLS',                    bytes: Buffer.from([22, 3, 1, 0, 4, 2, 0, 0, 0]), passes: false },
  { host: 'app.test',    name: 'half a message and an end',     bytes: tlsStart('app.test').subarray(0, 60), passes: false },
  { host: 'app.test',    name: 'no TLS',                        bytes: Buffer.from('SSH-2.0-OpenSSH\r\n'), passes: true },
  { host: '5.5.5.5',     name: 'any name, for an address',      bytes: tlsStart('db.corp.test'),    passes: true },
  { host: '5.5.5.5',     name: 'a denied name, for an address', bytes: tlsStart('bad.test'),        passes: false },
  { host: '5.5.5.5',     name: 'a denied address',              bytes: tlsStart('6.6.6.6'),         passes: false },
  { host: '5.5.5.5',     name: 'no host, for an address',       bytes: tlsStart('a b'),             passes: false },
] as const

describe.each([{ way: 'CONNECT', first: connectTo, established: ESTABLISHED }, { way: 'SOCKS5', first: socksTo, established: socksOk }])('through $way', ({ first, established }) => {
  test.each(HELLOS)('to $host: $name', async ({ host, bytes, passes }) => {
    const text = await open(first(host), [bytes])
    if (passes) {
      expect(text).toBe(`${established}got ${bytes.length}`)
      expect(Buffer.concat(arrived).equals(bytes)).toBe(true)
      expect(world.denials).toEqual([])
    } else {
      expect(text).toBe(established)
      expect(arrived).toEqual([])
      expect(world.denials.map(({ host: denied, because }) => ({ denied, because }))).toEqual([{ denied: host, because: 'server-name-mismatch' }])
    }
  })
})

test('not a byte of a message reaches the server before its name is known, however it is cut', async () => {
  const good = tlsStart('app.test', 40)
  const bad = tlsStart('evil.test', 40)
  for (let at = 1; at < bad.length; at += 3) {
    const text = await open(connectTo('app.test'), [bad.subarray(0, at), bad.subarray(at)])
    expect({ at, text, arrived }).toEqual({ at, text: ESTABLISHED, arrived: [] })
  }
  for (let at = 1; at < good.length; at += 3) {
    arrived = []
    const text = await open(connectTo('app.test'), [good.subarray(0, at), good.subarray(at)])
    expect({ at, text }).toEqual({ at, text: `${ESTABLISHED}got ${good.length}` })
  }
})

test('a first message that does not go on ends the tunnel; a client that is silent before it does not', async () => {
  const { port } = origin.address() as { port: number }
  await world.close()
  world = await openWorld({ rules: { allowedDomains: ['app.test'] }, names: { 'app.test': [PUBLIC] }, servers: { [`${PUBLIC}:443`]: port }, timeouts: { headMs: 80 } })
  const silent = await world.connect()
  silent.write(connectTo('app.test'))
  expect(await collect(silent, '\r\n\r\n')).toBe(ESTABLISHED)
  const slow = await world.connect()
  const all = collect(slow)
  slow.write(Buffer.concat([connectTo('app.test'), Buffer.from([22])]))
  expect(await all).toBe(ESTABLISHED)
  await expect.poll(() => world.proxy.stats.tunnels).toBe(1)
  const later = collect(silent)
  silent.write(tlsStart('app.test'))
  silent.end()
  expect(await later).toBe(`got ${tlsStart('app.test').length}`)
})
