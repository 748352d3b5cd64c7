// The proxy as an HTTP client meets it: absolute form, answers, bodies, connections that stay.
import { createServer, type Server } from 'node:http'
import type { Server as NetServer } from 'node:net'
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest'
import { listen, openWorld, OTHER_PUBLIC, PUBLIC, type World } from './proxy-world.js'

let world: World
let origin: Server
let originPort: number
const seen: { method: string; url: string; host: string | undefined; headers: string[]; body: string; trailers: NodeJS.Dict<string> }[] = []
let connections = 0

beforeAll(async () => {
  origin = createServer((request, response) => {
    let body = ''
    request.setEncoding('latin1').on('data', (chunk: string) => { body += chunk })
    request.on('end', () => {
      seen.push({ method: request.method ?? '', url: request.url ?? '', host: request.headers.host, headers: request.rawHeaders, body, trailers: request.trailers })
      if (request.url === '/chunked') {
        response.write('one,')
        return void response.end('two')
      }
      if (request.url === '/empty') return void response.writeHead(204).end()
      response.end(`hello ${request.url}`)
    })
  })
  origin.on('connection', () => { connections++ })
  originPort = await listen(origin as NetServer)
})
afterAll(() => { origin.closeAllConnections(); origin.close() })
beforeEach(async () => {
  seen.length = 0
  connections = 0
  world = await openWorld({
    rules: { allowedDomains: ['app.test', '*.wild.test', 'gone.test', 'mixed.test', 'inner.test'], deniedDomains: ['bad.wild.test'] },
    names: { 'app.test': [PUBLIC], 'a.wild.test': [OTHER_PUBLIC], 'bad.wild.test': [PUBLIC], 'gone.test': [OTHER_PUBLIC], 'mixed.test': ['10.0.0.1', PUBLIC], 'inner.test': ['10.0.0.1'], 'other.test': [PUBLIC] },
    servers: { [`${PUBLIC}:80`]: originPort },
  })
})
afterEach(() => world.close())

const get = (url: string, host: string, ...headers: string[]): string => `GET ${url} HTTP/1.1\r\nHost: ${host}\r\n${headers.map(line => `${line}\r\n`).join('')}\r\n`
const CLOSE = 'Connection: close'

test('a request that a rule allows is passed on in origin form, and answered', async () => {
  const text = await world.talk(get('http://App.Test/a?b=c', 'app.test', 'X-Own: 1', CLOSE))
  expect(text).toMatch(/^HTTP\/1\.1 200 OK\r\n/)
  expect(text.endsWith('\r\n\r\nhello /a?b=c')).toBe(true)
  expect(seen).toEqual([{ method: 'GET', url: '/a?b=c', host: 'app.test', headers: ['Host', 'app.test', 'X-Own', '1', 'Connection', 'keep-alive'], body: '', trailers: {} }])
  expect({ looked: world.looked, dialled: world.dialled, denials: world.denials }).toEqual({ looked: ['app.test'], dialled: [`${PUBLIC}:80`], denials: [] })
})

test('a request that no rule allows is refused before anything is looked up', async () => {
  const text = await world.talk(get('http://other.test/', 'other.test', CLOSE))
  expect(text).toMatch(/^HTTP\/1\.1 403 Forbidden\r\nx-proxy-error: blocked-by-allowlist\r\n/)
  expect(text.endsWith('\r\n\r\nNetwork access to "other.test:80" was refused: no rule allows it.\n')).toBe(true)
  expect({ looked: world.looked, dialled: world.dialled }).toEqual({ looked: [], dialled: [] })
  expect(world.denials).toEqual([{ host: 'other.test', port: 80, protocol: 'http', because: 'no-rule', method: 'GET' }])
})

test.each([
  { name: 'a deny rule',                          url: 'http://bad.wild.test/',   host: 'bad.wild.test',  error: 'blocked-by-denylist',      looked: [] },
  { name: 'a private address behind a name',      url: 'http://inner.test/',      host: 'inner.test',     error: 'blocked-by-local-address', looked: ['inner.test'] },
  { name: 'a private address',                    url: 'http://10.0.0.1/',        host: '10.0.0.1',       error: 'blocked-by-local-address', looked: [] },
  { name: 'the loopback',                         url: 'http://127.0.0.1/',       host: '127.0.0.1',      error: 'blocked-by-local-address', looked: [] },
  { name: 'the loopback as one number',           url: 'http://2130706433/',      host: '2130706433',     error: 'blocked-by-local-address', looked: [] },
  { name: 'the loopback in hexadecimal',          url: 'http://0x7f.1/',          host: '0x7f.1',         error: 'blocked-by-local-address', looked: [] },
  { name: 'an IPv4 address as IPv6',              url: 'http://[::ffff:7f00:1]/', host: '[::ffff:7f00:1]', error: 'blocked-by-local-address', looked: [] },
  { name: 'the metadata service',                 url: 'http://169.254.169.254/latest/', host: '169.254.169.254', error: 'blocked-by-local-address', looked: [] },
  { name: 'an interface of the host',             url: 'http://198.41.0.4/',      host: '198.41.0.4',     error: 'blocked-by-local-address', looked: [] },
  { name: 'a name with an escape',                url: 'http://app%2etest/',      host: 'app%2etest',     error: 'blocked-by-policy',        looked: [] },
])('$name is refused: $url', async ({ url, host, error, looked }) => {
  const text = await world.talk(get(url, host, CLOSE))
  expect(text).toMatch(/^HTTP\/1\.1 403 /)
  expect(text).toContain(`\r\nx-proxy-error: ${error}\r\n`)
  expect({ looked: world.looked, dialled: world.dialled, denied: world.denials.length }).toEqual({ looked, dialled: [], denied: 1 })
})

test('of several addresses only those that are permitted are dialled', async () => {
  const text = await world.talk(get('http://mixed.test/', 'mixed.test', CLOSE))
  expect(text).toMatch(/^HTTP\/1\.1 200 /)
  expect(world.dialled).toEqual([`${PUBLIC}:80`])
})

test('Host must agree with the target', async () => {
  const text = await world.talk(get('http://app.test/', 'a.wild.test'))
  expect(text).toMatch(/^HTTP\/1\.1 400 Bad Request\r\nx-proxy-error: blocked-by-policy\r\n/)
  expect(world.denials).toEqual([{ host: 'app.test', port: 80, protocol: 'http', because: 'host-mismatch', method: 'GET' }])
  expect({ looked: world.looked, seen }).toEqual({ looked: [], seen: [] })
})

test('requests follow one another on one connection to the client and one to the server', async () => {
  const text = await world.talk([get('http://app.test/1', 'app.test'), get('http://other.test/', 'other.test'), get('http://app.test/chunked', 'app.test'), get('http://app.test/empty', 'app.test'), get('http://app.test/2', 'app.test', CLOSE)])
  expect(text.match(/HTTP\/1\.1 \d+/g)).toEqual(['HTTP/1.1 200', 'HTTP/1.1 403', 'HTTP/1.1 200', 'HTTP/1.1 204', 'HTTP/1.1 200'])
  expect(text).toContain('\r\n\r\n4\r\none,\r\n3\r\ntwo\r\n0\r\n\r\n')
  expect(seen.map(({ url }) => url)).toEqual(['/1', '/chunked', '/empty', '/2'])
  expect(connections).toBe(1)
})

test('a chunked body arrives with its trailers, without those that would change the message', async () => {
  const text = await world.talk(`POST http://app.test/up HTTP/1.1\r\nHost: app.test\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n3;ext=1\r\nabc\r\n0A\r\n0123456789\r\n0\r\nX-Sum: 9\r\nHost: evil.test\r\n\r\n`)
  expect(text).toMatch(/^HTTP\/1\.1 200 /)
  expect(seen.map(({ body, trailers }) => ({ body, trailers }))).toEqual([{ body: 'abc0123456789', trailers: { 'x-sum': '9' } }])
})

test('a host that has no address, or where nobody listens, is a 502 and no denial', async () => {
  world.rules = { allowedDomains: ['nowhere.test', 'gone.test'] }
  expect(await world.talk(get('http://nowhere.test/', 'nowhere.test', CLOSE))).toMatch(/^HTTP\/1\.1 502 [\s\S]*"nowhere\.test" could not be resolved: ENOTFOUND\.\n$/)
  expect(await world.talk(get('http://gone.test/', 'gone.test', CLOSE))).toMatch(/^HTTP\/1\.1 502 [\s\S]*"gone\.test" was permitted, but it could not be reached \(ECONNREFUSED\)\.\n$/)
  expect(world.denials).toEqual([])
})
