// What ordinary HTTP clients and servers do, through the proxy: large bodies, slow readers, upgrades, expectations, old versions, broken servers.
import { createHash, randomBytes } from 'node:crypto'
import { createServer, type Server, type Socket } from 'node:net'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { collect, listen, openWorld, PUBLIC, type World } from './proxy-world.js'

let world: World
let origin: Server
let originPort: number
/** What the server of a test does with its connection. */
let serve: (socket: Socket) => void
let connections: Socket[] = []

beforeAll(async () => {
  origin = createServer({ allowHalfOpen: true, noDelay: true }, socket => {
    connections.push(socket)
    socket.on('error', () => {})
    serve(socket)
  })
  originPort = await listen(origin)
})
afterAll(() => { origin.close() })
beforeEach(async () => {
  connections = []
  world = await openWorld({ rules: { allowedDomains: ['app.test'] }, names: { 'app.test': [PUBLIC] }, servers: { [`${PUBLIC}:80`]: originPort } })
})
afterEach(async () => {
  for (const socket of connections) socket.destroy()
  await world.close()
})

/** Answers each head with the next of `answers`; the last one is repeated. */
function answering(...answers: string[]): { heads: string[] } {
  const heads: string[] = []
  serve = socket => {
    let text = ''
    socket.on('data', (chunk: Buffer) => {
      text += chunk.toString('latin1')
      for (let end = text.indexOf('\r\n\r\n'); end !== -1; end = text.indexOf('\r\n\r\n')) {
        heads.push(text.slice(0, end))
        text = text.slice(end + 4)
        socket.write(answers[Math.min(heads.length, answers.length) - 1]!, 'latin1')
      }
    })
    socket.on('end', () => socket.end())
  }
  return { heads }
}
const get = (path: string, ...lines: string[]): string => `GET http://app.test${path} HTTP/1.1\r\nHost: app.test\r\n${lines.map(line => `${line}\r\n`).join('')}\r\n`
const OK = 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok'

describe('bodies', () => {
  const MIB = 1024 * 1024
  const SIZE = Number(process.env['PROXY_BODY_MIB'] ?? 100) * MIB
  const block = randomBytes(MIB)
  const digest = (() => {
    const hash = createHash('sha256')
    for (let sent = 0; sent < SIZE; sent += MIB) hash.update(block)
    return hash.digest('hex')
  })()
  const send = async (socket: Socket, wrap: (data: Buffer) => Buffer = data => data): Promise<void> => {
    for (let sent = 0; sent < SIZE; sent += MIB) if (!socket.write(wrap(block))) await new Promise(resolve => socket.once('drain', resolve))
  }

  test('100 MB upwards, by length', async () => {
    const hash = createHash('sha256')
    let left = SIZE
    serve = socket => {
      let head = ''
      socket.on('data', (chunk: Buffer) => {
        let body = chunk
        if (!head.includes('\r\n\r\n')) {
          head += chunk.toString('latin1')
          if (!head.includes('\r\n\r\n')) return
          body = Buffer.from(head.slice(head.indexOf('\r\n\r\n') + 4), 'latin1')
        }
        hash.update(body)
        left -= body.length
        if (left === 0) socket.write(OK)
      })
    }
    const socket = await world.connect()
    const answer = collect(socket, 'ok')
    socket.write(`PUT http://app.test/ HTTP/1.1\r\nHost: app.test\r\nContent-Length: ${SIZE}\r\n\r\n`)
    await send(socket)
    expect(await answer).toMatch(/^HTTP\/1\.1 200 /)
    expect(hash.digest('hex')).toBe(digest)
    socket.destroy()
  })

  test.each([
    { name: 'by length', head: `Content-Length: ${SIZE}`, wrap: undefined, end: '' },
    { name: 'in chunks', head: 'Transfer-Encoding: chunked', wrap: (data: Buffer) => Buffer.concat([Buffer.from(`${data.length.toString(16)}\r\n`), data, Buffer.from('\r\n')]), end: '0\r\n\r\n' },
    { name: 'until the connection closes', head: 'X-None: 1', wrap: undefined, end: undefined },
  ])('100 MB downwards, $name, to a reader that pauses', async ({ head, wrap, end }) => {
    serve = socket => {
      socket.once('data', () => {
        socket.write(`HTTP/1.1 200 OK\r\n${head}\r\n\r\n`)
        void send(socket, wrap).then(() => { if (end === undefined) socket.end(); else socket.write(end) })
      })
    }
    const socket = await world.connect()
    socket.write(get('/').replace('1.1', end === '0\r\n\r\n' ? '1.0' : '1.1'))
    const hash = createHash('sha256')
    let headText = ''
    let left = SIZE
    let paused = 0
    await new Promise<void>(resolve => {
      socket.on('data', (chunk: Buffer) => {
        let body = chunk
        if (!headText.includes('\r\n\r\n')) {
          headText += chunk.toString('latin1')
          body = Buffer.from(headText.slice(headText.indexOf('\r\n\r\n') + 4), 'latin1')
        }
        hash.update(body)
        left -= body.length
        if (left <= 0) return resolve()
        if (paused < 10 && left < SIZE - paused * 5 * MIB) {
          paused++
          socket.pause()
          setTimeout(() => socket.resume(), 5)
        }
      })
    })
    expect({ left, digest: hash.digest('hex') }).toEqual({ left: 0, digest })
    socket.destroy()
  })

  test('a reader that stops makes the server stop, not the proxy grow', async () => {
    let written = 0
    serve = socket => {
      socket.once('data', () => {
        socket.write('HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n')
        const more = (): void => {
          while (written < 1_000_000_000 && socket.write(block)) written += MIB
          socket.once('drain', more)
        }
        more()
      })
    }
    const socket = await world.connect()
    socket.write(get('/'))
    await new Promise(resolve => socket.once('data', resolve))
    socket.pause()
    // Until nothing more moves: what the kernel's buffers of three connections hold, and no more.
    for (let last = -1; last !== written;) {
      last = written
      await new Promise(resolve => setTimeout(resolve, 100))
    }
    expect(written).toBeLessThan(64 * MIB)
    socket.destroy()
    await expect.poll(() => connections[0]?.readableEnded || connections[0]?.destroyed).toBe(true)
  })
})

describe('connections', () => {
  test('a client that has said its last still gets its answer', async () => {
    answering(OK)
    const socket = await world.connect()
    const answer = collect(socket)
    socket.end(get('/'))
    expect(await answer).toMatch(/^HTTP\/1\.1 200 [\s\S]*\r\n\r\nok$/)
  })

  test('HTTP/1.0 gets one answer, without chunks, and the connection closes', async () => {
    const { heads } = answering('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n1\r\nc\r\n0\r\n\r\n')
    const text = await world.talk('GET http://app.test/ HTTP/1.0\r\n\r\n')
    expect(text).toBe('HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nabc')
    expect(heads).toEqual(['GET / HTTP/1.1\r\nHost: app.test\r\nConnection: keep-alive'])
  })

  test('a kept connection to the server that closes meanwhile is opened anew', async () => {
    let count = 0
    serve = socket => { socket.on('data', () => { count++; socket.write(`HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n${count}`); if (count === 1) setTimeout(() => socket.destroy(), 20) }) }
    const socket = await world.connect()
    const all = collect(socket)
    socket.write(get('/'))
    await expect.poll(() => connections[0]?.destroyed).toBe(true)
    socket.write(get('/', 'Connection: close'))
    expect((await all).match(/\r\n\r\n\d/g)).toEqual(['\r\n\r\n1', '\r\n\r\n2'])
    expect(connections).toHaveLength(2)
  })

  test('one that closes just when the next request is sent as well, for methods that change nothing', async () => {
    let count = 0
    serve = socket => {
      let requests = 0
      socket.on('data', () => {
        count++
        requests++
        // The second request on a connection is taken and not answered.
        if (requests === 2) return void socket.destroy()
        socket.write(`HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n${count}`)
      })
    }
    const text = await world.talk([get('/'), get('/', 'Connection: close')])
    expect(text.match(/\r\n\r\n\d/g)).toEqual(['\r\n\r\n1', '\r\n\r\n3'])
  })

  test('bytes that a server sends unasked are nobody\'s answer', async () => {
    let isWritten!: () => void
    const written = new Promise<void>(resolve => { isWritten = resolve })
    serve = socket => { socket.on('data', chunk => { socket.write(OK); if (String(chunk).startsWith('GET /1')) setTimeout(() => socket.write('HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nforged', isWritten), 10) }) }
    const socket = await world.connect()
    const all = collect(socket)
    socket.write(get('/1'))
    await written
    // Nothing tells when the proxy has read them.
    await new Promise(resolve => setTimeout(resolve, 50))
    socket.write(get('/2', 'Connection: close'))
    const text = await all
    expect(text.match(/200 OK/g)).toHaveLength(2)
    expect(text).not.toContain('forged')
    expect(connections).toHaveLength(2)
  })

  test('a connection is not shared between two hosts at one address', async () => {
    world.rules = { allowedDomains: ['app.test', 'two.test'] }
    await world.close()
    world = await openWorld({ rules: { allowedDomains: ['*.test'] }, names: { 'app.test': [PUBLIC], 'two.test': [PUBLIC] }, servers: { [`${PUBLIC}:80`]: originPort } })
    answering(OK)
    await world.talk([get('/'), 'GET http://two.test/ HTTP/1.1\r\nHost: two.test\r\nConnection: close\r\n\r\n'])
    expect(connections).toHaveLength(2)
  })

  test('rules that change apply to the next request of a connection', async () => {
    const { heads } = answering(OK)
    const socket = await world.connect()
    const first = collect(socket, 'ok')
    socket.write(get('/'))
    await first
    world.rules = { allowedDomains: ['app.test'], deniedDomains: ['app.test'] }
    const second = collect(socket)
    socket.write(get('/', 'Connection: close'))
    expect(await second).toContain('x-proxy-error: blocked-by-denylist')
    expect(heads).toHaveLength(1)
  })

  test('one that has said its last, and may as well be gone, waits for its answer for a while only', async () => {
    await world.close()
    world = await openWorld({ rules: { allowedDomains: ['app.test'] }, names: { 'app.test': [PUBLIC] }, servers: { [`${PUBLIC}:80`]: originPort }, timeouts: { endedMs: 50 } })
    serve = socket => { socket.resume() }
    const socket = await world.connect()
    socket.end(get('/'))
    await expect.poll(() => connections[0]?.readableEnded || connections[0]?.destroyed).toBe(true)
    await expect.poll(() => world.proxy.stats.connections).toBe(0)
  })

  test('a client that goes away in the middle of a response takes the server\'s connection with it', async () => {
    serve = socket => { socket.once('data', () => socket.write('HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nabc')) }
    const socket = await world.connect()
    const part = collect(socket, 'abc')
    socket.write(get('/'))
    await part
    socket.resetAndDestroy()
    await expect.poll(() => connections[0]?.readableEnded || connections[0]?.destroyed).toBe(true)
    expect(world.proxy.stats.connections).toBe(0)
  })
})

describe('expectations and early answers', () => {
  test('100 Continue goes through, and the body after it', async () => {
    let body = ''
    serve = socket => {
      socket.once('data', head => {
        expect(String(head)).toContain('Expect: 100-continue')
        socket.write('HTTP/1.1 100 Continue\r\n\r\n')
        socket.on('data', chunk => { body += String(chunk); if (body === 'hello') socket.write(OK) })
      })
    }
    const socket = await world.connect()
    const first = collect(socket, '\r\n\r\n')
    socket.write('PUT http://app.test/ HTTP/1.1\r\nHost: app.test\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n')
    expect(await first).toBe('HTTP/1.1 100 Continue\r\n\r\n')
    const second = collect(socket, 'ok')
    socket.write('hello')
    expect(await second).toMatch(/^HTTP\/1\.1 200 /)
    socket.destroy()
  })

  test('a refusal comes instead of 100 Continue', async () => {
    const text = await world.talk('PUT http://evil.test/ HTTP/1.1\r\nHost: evil.test\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n')
    expect(text).toMatch(/^HTTP\/1\.1 403 /)
  })

  test('another expectation fails', async () => {
    expect(await world.talk('PUT http://app.test/ HTTP/1.1\r\nHost: app.test\r\nExpect: the-unexpected\r\nConnection: close\r\n\r\n')).toMatch(/^HTTP\/1\.1 417 /)
    expect(world.dialled).toEqual([])
  })

  test('an answer that comes before the body is sent closes the connection, and the rest is no request', async () => {
    serve = socket => { socket.once('data', () => socket.write('HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\n\r\n')) }
    const text = await world.talk('PUT http://app.test/ HTTP/1.1\r\nHost: app.test\r\nContent-Length: 1000\r\n\r\nhello')
    expect(text).toMatch(/^HTTP\/1\.1 413 /)
    expect(text.match(/^HTTP/gm)).toHaveLength(1)
  })

  test('a server that fails while the client waits to send its body is told of at once', async () => {
    serve = socket => { socket.once('data', () => socket.end('nonsense\r\n\r\n')) }
    const head = 'PUT http://app.test/ HTTP/1.1\r\nHost: app.test\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n'
    expect(await world.talk(head)).toMatch(/^HTTP\/1\.1 502 /)
    serve = socket => { socket.once('data', () => socket.destroy()) }
    expect(await world.talk(head)).toMatch(/^HTTP\/1\.1 502 /)
  })

  test('a 403 is read by a client that sends its whole body first', async () => {
    const socket = await world.connect()
    const answer = collect(socket)
    socket.write(`PUT http://evil.test/ HTTP/1.1\r\nHost: evil.test\r\nContent-Length: ${8 * 1024 * 1024}\r\n\r\n`)
    socket.write(Buffer.alloc(8 * 1024 * 1024))
    expect(await answer).toMatch(/^HTTP\/1\.1 403 /)
  })
})

describe('responses without a body', () => {
  test.each([
    { name: 'HEAD keeps the length', request: get('/').replace('GET', 'HEAD'), answer: 'HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n' },
    { name: '204', request: get('/'), answer: 'HTTP/1.1 204 No Content\r\n\r\n' },
    { name: '304', request: get('/'), answer: 'HTTP/1.1 304 Not Modified\r\nContent-Length: 500\r\n\r\n' },
    { name: '204 with a length that it cannot have', request: get('/'), answer: 'HTTP/1.1 204 No Content\r\nContent-Length: 500\r\n\r\n', passed: 'HTTP/1.1 204 No Content\r\n\r\n' },
  ])('$name', async ({ request, answer, passed = answer }) => {
    answering(answer, OK)
    const text = await world.talk([request, get('/2', 'Connection: close')])
    expect(text).toBe(`${passed.replace('\r\n\r\n', '\r\nConnection: keep-alive\r\n\r\n')}HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok`)
  })
})

describe('WebSocket', () => {
  const UPGRADE = get('/ws', 'Connection: Upgrade', 'Upgrade: websocket', 'Sec-WebSocket-Key: abc', 'Sec-WebSocket-Version: 13')

  test('passes through, bytes that follow the heads at once included', async () => {
    serve = socket => {
      socket.once('data', head => {
        expect(String(head)).toContain('Connection: Upgrade\r\nUpgrade: websocket\r\n')
        socket.write('HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: xyz\r\n\r\nfirst;')
        socket.write(String(head).split('\r\n\r\n')[1] ?? '')
        socket.on('data', chunk => socket.write(`echo ${String(chunk)}`))
        socket.on('end', () => socket.end('last'))
      })
    }
    const socket = await world.connect()
    const all = collect(socket)
    socket.write(UPGRADE)
    await expect.poll(() => world.proxy.stats.tunnels).toBe(1)
    socket.end('ping;')
    expect(await all).toBe('HTTP/1.1 101 Switching Protocols\r\nSec-WebSocket-Accept: xyz\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nfirst;echo ping;last')
  })

  test('a server that declines is an ordinary answer', async () => {
    answering('HTTP/1.1 426 Upgrade Required\r\nContent-Length: 0\r\n\r\n')
    expect(await world.talk(UPGRADE.replace('Upgrade\r\n', 'Upgrade, close\r\n'))).toMatch(/^HTTP\/1\.1 426 /)
  })

  test('a server that switches unasked is refused', async () => {
    answering('HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n')
    expect(await world.talk(get('/'))).toMatch(/^HTTP\/1\.1 502 [\s\S]*it switches protocols unasked\.\n$/)
  })
})

describe('what a hostile or broken server can send', () => {
  test.each([
    ['both lengths', 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n'],
    ['two lengths', 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nok'],
    ['a folded line', 'HTTP/1.1 200 OK\r\nX: 1\r\n 2\r\nContent-Length: 2\r\n\r\nok'],
    ['a bare LF', 'HTTP/1.1 200 OK\nContent-Length: 2\n\nok'],
    ['a bare CR', 'HTTP/1.1 200 OK\r\nX: 1\r2\r\nContent-Length: 2\r\n\r\nok'],
    ['no status line', 'hello\r\n\r\n'],
    ['HTTP/0.9', '<html>\r\n\r\n'],
    ['another encoding', 'HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n'],
    ['a head without end', `HTTP/1.1 200 OK\r\n${'X: 1\r\n'.repeat(20_000)}`],
  ])('%s is a 502', async (_name, answer) => {
    answering(answer)
    expect(await world.talk(get('/'))).toMatch(/^HTTP\/1\.1 502 [\s\S]*"app\.test" was permitted, but its response was refused: /)
  })

  test.each([
    ['nothing', ''],
    ['half a head', 'HTTP/1.1 200 OK\r\nContent-'],
  ])('%s and an end is a 502', async (_name, answer) => {
    serve = socket => { socket.once('data', () => socket.end(answer)) }
    expect(await world.talk(get('/'))).toMatch(/^HTTP\/1\.1 502 /)
  })

  test.each([
    ['a length', 'HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc'],
    ['a chunk', 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\na\r\nabc'],
    ['the last chunk', 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n'],
    ['a chunk that is none', 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\nnonsense\r\n'],
  ])('an end before the end of %s is not made a whole response', async (_name, answer) => {
    serve = socket => { socket.once('data', () => socket.end(answer)) }
    const text = await world.talk(get('/'))
    const body = text.slice(text.indexOf('\r\n\r\n') + 4)
    expect(body).toBe(answer.slice(answer.indexOf('\r\n\r\n') + 4).replace('nonsense\r\n', '').slice(0, body.length))
    expect(text.match(/^HTTP/gm)).toHaveLength(1)
    await expect.poll(() => world.proxy.stats.connections).toBe(0)
  })

  test('headers that concern the connection stay with it', async () => {
    answering('HTTP/1.1 200 OK\r\nConnection: X-Own\r\nX-Own: 1\r\nKeep-Alive: timeout=5\r\nProxy-Authenticate: Basic\r\nUpgrade: h2c\r\nX-Other: 2\r\nContent-Length: 2\r\n\r\nok')
    expect(await world.talk(get('/', 'Connection: close'))).toBe('HTTP/1.1 200 OK\r\nX-Other: 2\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok')
  })
})
