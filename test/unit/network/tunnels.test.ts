// CONNECT and SOCKS5: what they open, how they refuse, and what passes through.
import { createServer, type Server, type Socket } from 'node:net'
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest'
import { collect, listen, openWorld, PUBLIC, type World } from './proxy-world.js'

let world: World
let echo: Server
let echoPort: number
const servers = new Set<Socket>()

beforeAll(async () => {
  // Says hello first, then everything back; its end follows the client's.
  echo = createServer({ allowHalfOpen: true }, socket => {
    servers.add(socket)
    socket.on('error', () => {}).on('close', () => servers.delete(socket))
    socket.write('hello ')
    socket.pipe(socket)
  })
  echoPort = await listen(echo)
})
afterAll(() => { echo.close() })
beforeEach(async () => {
  world = await openWorld({
    rules: { allowedDomains: ['app.test:443', '5.5.0.0/16', 'fd00::7', 'dead.test'], deniedDomains: ['bad.test'] },
    names: { 'app.test': [PUBLIC], 'inner.test': ['127.0.0.1'], 'dead.test': [PUBLIC] },
    servers: { [`${PUBLIC}:443`]: echoPort, '5.5.5.5:22': echoPort, 'fd00::7:22': echoPort },
  })
})
afterEach(() => world.close())

const ESTABLISHED = 'HTTP/1.1 200 Connection established\r\n\r\n'
const connectTo = (authority: string, ...headers: string[]): string => `CONNECT ${authority} HTTP/1.1\r\nHost: ${authority}\r\n${headers.map(line => `${line}\r\n`).join('')}\r\n`
const socksName = (name: string | Buffer, port: number): Buffer => {
  const bytes = Buffer.from(name)
  return Buffer.from([5, 1, 0, 5, 1, 0, 3, bytes.length, ...bytes, port >> 8, port & 255])
}
const socksAddress = (type: 1 | 4, bytes: readonly number[], port: number): Buffer => Buffer.from([5, 1, 0, 5, 1, 0, type, ...bytes, port >> 8, port & 255])
const socksReply = (code: number): string => Buffer.from([5, 0, 5, code, 0, 1, 0, 0, 0, 0, 0, 0]).toString('latin1')

/** One end of a tunnel, ended by the client once it has sent. */
async function through(first: Buffer | string, more: string): Promise<string> {
  const socket = await world.connect()
  const all = collect(socket)
  socket.write(first)
  socket.end(more)
  return all
}

test('CONNECT opens a tunnel; the server may speak first; an end in one direction leaves the other open', async () => {
  expect(await through(connectTo('app.test:443'), 'ping')).toBe(`${ESTABLISHED}hello ping`)
  expect(world.dialled).toEqual([`${PUBLIC}:443`])
})

test('SOCKS5 opens a tunnel by name, by IPv4 and by IPv6 address', async () => {
  expect(await through(socksName('app.test', 443), 'ping')).toBe(`${socksReply(0)}hello ping`)
  expect(await through(socksAddress(1, [5, 5, 5, 5], 22), 'ping')).toBe(`${socksReply(0)}hello ping`)
  expect(await through(socksAddress(4, [0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 7], 22), 'ping')).toBe(`${socksReply(0)}hello ping`)
  expect({ looked: world.looked, dialled: world.dialled }).toEqual({ looked: ['app.test'], dialled: [`${PUBLIC}:443`, '5.5.5.5:22', 'fd00::7:22'] })
})

test.each([
  { name: 'another port than the rule\'s', target: 'app.test:444', error: 'blocked-by-allowlist' },
  { name: 'a denied host', target: 'bad.test:443', error: 'blocked-by-denylist' },
  { name: 'the loopback', target: '[::1]:443', error: 'blocked-by-local-address' },
])('CONNECT to $name is refused', async ({ target, error }) => {
  const text = await world.talk(connectTo(target, 'Connection: close'))
  expect(text).toMatch(/^HTTP\/1\.1 403 /)
  expect(text).toContain(`x-proxy-error: ${error}`)
  expect({ looked: world.looked, dialled: world.dialled, denied: world.denials.length }).toEqual({ looked: [], dialled: [], denied: 1 })
})

test.each([
  { name: 'no rule',                      bytes: socksName('other.test', 443),            because: 'no-rule' },
  { name: 'a deny rule',                  bytes: socksName('bad.test', 443),              because: 'denied' },
  { name: 'a NUL in the name',            bytes: socksName('bad.test\0.app.test', 443),   because: 'invalid-host' },
  { name: 'the loopback as a name 127.1', bytes: socksName('127.1', 443),                 because: 'local-address' },
  { name: 'the loopback as 0x7f.1',       bytes: socksName('0x7f.1', 443),                because: 'local-address' },
  { name: 'the loopback as a number',     bytes: socksName('2130706433', 443),            because: 'local-address' },
  { name: 'the loopback as IPv6',         bytes: socksName('::ffff:127.0.0.1', 443),      because: 'local-address' },
  { name: 'the loopback as an address',   bytes: socksAddress(1, [127, 0, 0, 1], 443),    because: 'local-address' },
  { name: 'IPv4 in an IPv6 address',      bytes: socksAddress(4, [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 255, 255, 127, 0, 0, 1], 443), because: 'local-address' },
  { name: 'port 0',                       bytes: socksName('app.test', 0),                because: 'invalid-host' },
])('SOCKS5 refuses: $name', async ({ bytes, because }) => {
  expect(await world.talk(bytes)).toBe(socksReply(2))
  expect(world.denials.map(denial => denial.because)).toEqual([because])
  expect({ looked: world.looked, dialled: world.dialled }).toEqual({ looked: [], dialled: [] })
})

test('SOCKS5 tells what is not possible: other commands, other address types, no acceptable method, nobody there', async () => {
  expect(await world.talk(Buffer.from([5, 1, 0, 5, 3, 0, 1, 1, 1, 1, 1, 0, 80]))).toBe(socksReply(7))
  expect(await world.talk(Buffer.from([5, 1, 0, 5, 2, 0, 1, 1, 1, 1, 1, 0, 80]))).toBe(socksReply(7))
  expect(await world.talk(Buffer.from([5, 1, 0, 5, 1, 0, 9, 1, 1, 1, 1, 0, 80]))).toBe(socksReply(8))
  expect(await world.talk(Buffer.from([5, 1, 1]))).toBe('\x05\xff')
  expect(await world.talk(socksName('dead.test', 1))).toBe(socksReply(5))
  expect(await world.talk(socksName('app.test', 443), 'hello ')).toBe(`${socksReply(0)}hello `)
})

test('a connection that breaks on one side breaks on the other', async () => {
  const socket = await world.connect()
  const text = collect(socket, 'hello ')
  socket.write(connectTo('app.test:443'))
  await text
  const [server] = [...servers]
  const closed = new Promise(resolve => server!.once('close', resolve))
  socket.resetAndDestroy()
  await closed
  expect(servers.size).toBe(0)
})
