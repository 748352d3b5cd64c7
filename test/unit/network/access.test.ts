// Who may use the proxy and for what: the token, the limited mode, the upstream proxy, the number of connections, the end.
import { createServer as createHttpServer, type Server as HttpServer } from 'node:http'
import { createServer, type Server, type Socket } from 'node:net'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { createProxy } from '../../../src/network/proxy.js'
import { compileDomains } from '../../../src/policy/domains.js'
import { collect, listen, openWorld, PUBLIC, type World, type WorldOptions } from './proxy-world.js'

let world: World
let origin: HttpServer
let originPort: number
let upstream: Server
let upstreamPort: number
const seen: string[] = []
const upstreamSaw: string[] = []
let upstreamAnswers = 'HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nup\n'

beforeAll(async () => {
  origin = createHttpServer((request, response) => {
    seen.push(`${request.method} ${request.url}`)
    response.end('ok')
  })
  originPort = await listen(origin as unknown as Server)
  upstream = createServer((socket: Socket) => {
    socket.on('error', () => {}).once('data', chunk => {
      upstreamSaw.push(String(chunk))
      socket.write(upstreamAnswers)
      socket.on('data', more => socket.write(more))
    })
  })
  upstreamPort = await listen(upstream)
})
afterAll(() => { origin.closeAllConnections(); origin.close(); upstream.close() })
afterEach(async () => {
  seen.length = 0
  upstreamSaw.length = 0
  upstreamAnswers = 'HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nup\n'
  await world.close()
})
const start = async (options: WorldOptions = {}): Promise<void> => {
  world = await openWorld({ rules: { allowedDomains: ['app.test', 'localhost:9'] }, names: { 'app.test': [PUBLIC], 'inner.test': ['10.0.0.1'] }, servers: { [`${PUBLIC}:80`]: originPort }, ...options })
}
const get = (...lines: string[]): string => `GET http://app.test/ HTTP/1.1\r\nHost: app.test\r\n${lines.map(line => `${line}\r\n`).join('')}Connection: close\r\n\r\n`
const basic = (text: string): string => `Proxy-Authorization: Basic ${Buffer.from(text).toString('base64')}`

describe('the token', () => {
  const TOKEN = '0123456789abcdef'.repeat(4)
  test.each([
    { name: 'as the password, whatever the user', lines: [basic(`anybody:${TOKEN}`)], status: 200 },
    { name: 'in another spelling of Basic', lines: [basic(`:${TOKEN}`).replace('Basic', 'bAsIc')], status: 200 },
    { name: 'missing', lines: [], status: 407 },
    { name: 'wrong', lines: [basic(`x:${TOKEN.replace('0', '1')}`)], status: 407 },
    { name: 'shorter', lines: [basic(`x:${TOKEN.slice(0, -1)}`)], status: 407 },
    { name: 'longer', lines: [basic(`x:${TOKEN}0`)], status: 407 },
    { name: 'empty', lines: [basic('x:')], status: 407 },
    { name: 'as the user', lines: [basic(`${TOKEN}:x`)], status: 407 },
    { name: 'alone', lines: [basic(TOKEN)], status: 407 },
    { name: 'of another scheme', lines: [`Proxy-Authorization: Bearer ${TOKEN}`], status: 407 },
    { name: 'for the server', lines: [basic(`x:${TOKEN}`).replace('Proxy-', '')], status: 407 },
    { name: 'twice', lines: [basic(`x:${TOKEN}`), basic(`x:${TOKEN}`)], status: 407 },
  ])('$name: $status', async ({ lines, status }) => {
    await start({ token: TOKEN })
    const text = await world.talk(get(...lines))
    expect(text).toMatch(new RegExp(`^HTTP/1\\.1 ${status} `))
    expect(text.includes('\r\nProxy-Authenticate: Basic realm="codex-sandbox"\r\n')).toBe(status === 407)
    expect({ seen: seen.length, dialled: world.dialled.length, looked: world.looked.length }).toEqual(status === 200 ? { seen: 1, dialled: 1, looked: 1 } : { seen: 0, dialled: 0, looked: 0 })
  })

  test('is demanded of each request of a connection, and of CONNECT', async () => {
    await start({ token: TOKEN })
    const text = await world.talk([get(basic(`x:${TOKEN}`)).replace('Connection: close\r\n', ''), get()])
    expect(text.match(/HTTP\/1\.1 \d+/g)).toEqual(['HTTP/1.1 200', 'HTTP/1.1 407'])
    expect(await world.talk('CONNECT app.test:80 HTTP/1.1\r\nHost: app.test:80\r\nConnection: close\r\n\r\n')).toMatch(/^HTTP\/1\.1 407 /)
    expect(await world.talk(`CONNECT app.test:80 HTTP/1.1\r\nHost: app.test:80\r\n${basic(`x:${TOKEN}`)}\r\n\r\n`, '\r\n\r\n')).toMatch(/^HTTP\/1\.1 200 /)
  })
})

describe('the limited mode', () => {
  test.each([
    { name: 'GET', bytes: get(), status: 200 },
    { name: 'HEAD', bytes: get().replace('GET', 'HEAD'), status: 200 },
    { name: 'OPTIONS', bytes: get().replace('GET', 'OPTIONS'), status: 200 },
    { name: 'POST', bytes: get('Content-Length: 0').replace('GET', 'POST'), status: 403 },
    { name: 'PUT with a body', bytes: `${get('Content-Length: 5').replace('GET', 'PUT')}hello`, status: 403 },
    { name: 'DELETE', bytes: get().replace('GET', 'DELETE'), status: 403 },
    { name: 'an unknown method', bytes: get().replace('GET', 'PROPFIND'), status: 403 },
    { name: 'CONNECT', bytes: 'CONNECT app.test:80 HTTP/1.1\r\nHost: app.test:80\r\nConnection: close\r\n\r\n', status: 403 },
    { name: 'WebSocket', bytes: get('Connection: Upgrade', 'Upgrade: websocket'), status: 403 },
  ])('$name: $status', async ({ bytes, status }) => {
    await start({ rules: { mode: 'limited', allowedDomains: ['app.test'] } })
    const text = await world.talk(bytes)
    expect(text).toMatch(new RegExp(`^HTTP/1\\.1 ${status} `))
    expect(text.includes('\r\nx-proxy-error: blocked-by-method-policy\r\n')).toBe(status === 403)
    expect({ seen: seen.length, denied: world.denials.map(({ because }) => because) }).toEqual(status === 200 ? { seen: 1, denied: [] } : { seen: 0, denied: ['method'] })
  })

  test('SOCKS5 is refused', async () => {
    await start({ rules: { mode: 'limited', allowedDomains: ['app.test'] } })
    expect(await world.talk(Buffer.from([5, 1, 0, 5, 1, 0, 3, 8, ...Buffer.from('app.test'), 0, 80]))).toBe(Buffer.from([5, 0, 5, 2, 0, 1, 0, 0, 0, 0, 0, 0]).toString('latin1'))
  })
})

describe('the upstream proxy', () => {
  const through = (): URL => new URL(`http://me:s%20ecret@127.0.0.1:${upstreamPort}`)
  const secret = Buffer.from('me:s ecret').toString('base64')

  test('gets plain requests in absolute form, with its own password and without ours', async () => {
    await start({ upstream: through(), token: 'ours' })
    expect(await world.talk(get(basic('x:ours')))).toMatch(/^HTTP\/1\.1 200 [\s\S]*up\n$/)
    expect(upstreamSaw).toEqual([`GET http://app.test/ HTTP/1.1\r\nHost: app.test\r\nConnection: keep-alive\r\nProxy-Authorization: Basic ${secret}\r\n\r\n`])
    expect(world.dialled).toEqual([])
  })

  test('opens tunnels by name', async () => {
    upstreamAnswers = 'HTTP/1.1 200 Established\r\nX: 1\r\n\r\nearly;'
    await start({ upstream: through(), rules: { allowedDomains: ['unknown.test'] } })
    const socket = await world.connect()
    const all = collect(socket, 'pong')
    socket.write('CONNECT unknown.test:443 HTTP/1.1\r\nHost: unknown.test:443\r\n\r\n')
    await collect(socket, 'early;')
    socket.write('pong')
    expect(await all).toBe('HTTP/1.1 200 Connection established\r\n\r\nearly;pong')
    expect(upstreamSaw).toEqual([`CONNECT unknown.test:443 HTTP/1.1\r\nHost: unknown.test:443\r\nProxy-Authorization: Basic ${secret}\r\n\r\n`])
    socket.destroy()
  })

  test.each([
    { name: 'refuses', answer: 'HTTP/1.1 403 Forbidden\r\n\r\n', says: 'upstream proxy: 403' },
    { name: 'says nonsense', answer: 'nonsense\r\n\r\n', says: 'upstream proxy: the status line' },
  ])('that $name is a 502', async ({ answer, says }) => {
    upstreamAnswers = answer
    await start({ upstream: through() })
    const text = await world.talk('CONNECT app.test:443 HTTP/1.1\r\nHost: app.test:443\r\nConnection: close\r\n\r\n')
    expect(text).toMatch(/^HTTP\/1\.1 502 /)
    expect(text).toContain(says)
  })

  test('that is not there is a 502', async () => {
    await start({ upstream: new URL('http://127.0.0.1:1') })
    expect(await world.talk(get())).toMatch(/^HTTP\/1\.1 502 [\s\S]*upstream proxy: ECONNREFUSED/)
  })

  test('is asked for nothing that no rule allows, nor for a name that is known to be private, be it by one of its addresses', async () => {
    await start({ upstream: through(), rules: { allowedDomains: ['inner.test', 'mixed.test'] }, names: { 'inner.test': ['10.0.0.1'], 'mixed.test': [PUBLIC, '10.0.0.1'] } })
    for (const host of ['other.test', 'inner.test', 'mixed.test', '10.0.0.1', 'localhost']) expect(await world.talk(`GET http://${host}/ HTTP/1.1\r\nHost: ${host}\r\nConnection: close\r\n\r\n`)).toMatch(/^HTTP\/1\.1 403 /)
    expect(upstreamSaw).toEqual([])
  })

  test('is not asked for what is here: addresses that are not public are dialled', async () => {
    await start({ upstream: through(), rules: { allowedDomains: ['localhost'] }, servers: { '127.0.0.1:9': originPort } })
    expect(await world.talk('GET http://localhost:9/ HTTP/1.1\r\nHost: localhost:9\r\nConnection: close\r\n\r\n')).toMatch(/^HTTP\/1\.1 200 /)
    expect({ upstreamSaw, dialled: world.dialled, looked: world.looked }).toEqual({ upstreamSaw: [], dialled: ['127.0.0.1:9'], looked: [] })
  })

  test('speaks HTTP', () => {
    expect(() => createProxy({ rules: () => compileDomains({ mode: 'full', allowedDomains: [], deniedDomains: [] }), upstream: new URL('socks5://127.0.0.1:1080') })).toThrow('an upstream proxy is http:// or https://, not socks5:')
    world = { close: () => Promise.resolve() } as World
  })
})

describe('connections', () => {
  test('beyond the most are closed at once; the others go on', async () => {
    await start({ maxConnections: 2 })
    const [one, two] = [await world.connect(), await world.connect()]
    await expect.poll(() => world.proxy.stats.connections).toBe(2)
    expect(await world.talk(get())).toBe('')
    const answer = collect(one)
    one.write(get())
    expect(await answer).toMatch(/^HTTP\/1\.1 200 /)
    one.destroy()
    two.destroy()
    await expect.poll(() => world.proxy.stats.connections).toBe(0)
    expect(await world.talk(get())).toMatch(/^HTTP\/1\.1 200 /)
  })

  test('that are no tunnels are fewer than all', async () => {
    await start({ maxUndecided: 2 })
    const tunnel = async (): Promise<Socket> => {
      const socket = await world.connect()
      socket.write('CONNECT app.test:80 HTTP/1.1\r\nHost: app.test:80\r\n\r\n')
      expect(await collect(socket, '\r\n\r\n')).toMatch(/^HTTP\/1\.1 200 /)
      return socket
    }
    const tunnels = [await tunnel(), await tunnel(), await tunnel()]
    const [one, two] = [await world.connect(), await world.connect()]
    await expect.poll(() => world.proxy.stats).toEqual({ connections: 5, tunnels: 3, denied: 0 })
    expect(await world.talk(get())).toBe('')
    for (const socket of [...tunnels, one, two]) socket.destroy()
  })

  test('end with the proxy, in whatever they are, and none is taken afterwards', async () => {
    await start({ ask: () => new Promise(() => {}) })
    const sockets = await Promise.all([1, 2, 3, 4].map(() => world.connect()))
    sockets[1]!.write('GET http://app.test/ HT')
    sockets[2]!.write('CONNECT app.test:80 HTTP/1.1\r\nHost: app.test:80\r\n\r\n')
    sockets[3]!.write('CONNECT asked.test:80 HTTP/1.1\r\nHost: asked.test:80\r\n\r\n')
    await expect.poll(() => world.prompts).toEqual(['open'])
    await expect.poll(() => world.proxy.stats).toEqual({ connections: 4, tunnels: 1, denied: 0 })
    const closed = Promise.all(sockets.map(socket => new Promise(resolve => socket.on('error', () => {}).resume().once('end', () => socket.end()).once('close', resolve))))
    await world.proxy.close()
    await closed
    expect(world.proxy.stats.connections).toBe(0)
    expect(world.prompts).toEqual(['open', 'closed'])
    const late = await world.connect()
    expect(await collect(late)).toBe('')
  })

  test('a listener that throws does not open anything', async () => {
    await start({ onDenied: () => { throw new Error('the caller\'s own') } })
    expect(await world.talk('GET http://other.test/ HTTP/1.1\r\nHost: other.test\r\n\r\n')).not.toContain('200')
    expect(world.dialled).toEqual([])
    expect(await world.talk(get())).toMatch(/^HTTP\/1\.1 200 /)
  })
})
