// A port of the sandbox's loopback on the host's 127.0.0.1, in real sandboxes, with real clients outside.
import { spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { connect, createServer, type Socket } from 'node:net'
import { networkInterfaces } from 'node:os'
import { join } from 'node:path'
import { describe, expect, onTestFinished, test } from 'vitest'
import type { SandboxOptions } from '../../../src/exec/options.js'
import { createSandbox, type Sandbox } from '../../../src/exec/sandbox.js'
import type { SandboxChild } from '../../../src/exec/spawn.js'
import { expectNone, processesNamed } from '../../native/host-processes.js'
import { makeWorkspace } from '../../native/workspace.js'

async function start(options: SandboxOptions = {}): Promise<Sandbox> {
  const sandbox = await createSandbox({ cwd: makeWorkspace().path, ...options })
  onTestFinished(() => sandbox.close())
  return sandbox
}

/** Runs a server inside, as text for `node -e` that gets a socket `s`; resolves when it listens. */
async function serve(sandbox: Sandbox, port: number, onSocket: string, host = '127.0.0.1', additionalPermissions?: object): Promise<SandboxChild> {
  const script = `require('node:net').createServer({ allowHalfOpen: true }, s => { s.on('error', () => {}); ${onSocket} }).listen(${port}, '${host}', () => console.log('up'))`
  const child = sandbox.spawn([process.execPath, '-e', script], additionalPermissions === undefined ? {} : { additionalPermissions })
  onTestFinished(() => { child.kill('SIGKILL') })
  await new Promise((resolve, reject) => {
    child.stdout.once('data', resolve)
    child.exited.then(({ exitCode }) => reject(new Error(`the server ended with ${exitCode}`)), reject)
  })
  return child
}

const ECHO = 's.pipe(s)'

/** All that comes on one connection; rejects where it breaks. */
function talk(port: number, send: (socket: Socket) => void, host = '127.0.0.1'): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const socket = connect({ port, host, allowHalfOpen: true })
    const parts: Buffer[] = []
    socket.on('connect', () => send(socket)).on('data', part => parts.push(part)).on('error', reject).on('end', () => {
      socket.end()
      resolve(Buffer.concat(parts))
    })
  })
}

const say = (text: string | Buffer) => (socket: Socket): void => void socket.end(text)
const codeOf = (promise: Promise<unknown>): Promise<unknown> => promise.then(() => 'connected', (error: NodeJS.ErrnoException) => error.code)

describe('a server inside is reached', () => {
  test.each(['127.0.0.1', '::1', '0.0.0.0'])('that listens on %s', async host => {
    const sandbox = await start()
    const exposed = await sandbox.expose(3000, { hostPort: 0 })
    await serve(sandbox, 3000, ECHO, host)
    expect(exposed.port).toBe(3000)
    expect(exposed.hostPort).toBeGreaterThan(0)
    expect((await talk(exposed.hostPort, say('hello'))).toString()).toBe('hello')
  })

  test('under its own number unless another is asked for, and by what speaks HTTP', async () => {
    const free = await freePort()
    const sandbox = await start()
    const exposed = await sandbox.expose(free)
    expect(exposed.hostPort).toBe(free)
    await serve(sandbox, free, 's.once("data", () => s.end("HTTP/1.1 200 OK\\r\\ncontent-length: 2\\r\\n\\r\\nok"))')
    expect(await (await fetch(`http://127.0.0.1:${free}/`)).text()).toBe('ok')
  })

  test('with much in both directions, whole and in order, and by many at once', async () => {
    const sandbox = await start()
    const { hostPort } = await sandbox.expose(3000, { hostPort: 0 })
    await serve(sandbox, 3000, ECHO)
    const large = Buffer.alloc(20 << 20, Buffer.from(Array.from({ length: 251 }, (_, i) => i)))
    const hash = (bytes: Buffer): string => createHash('sha256').update(bytes).digest('hex')
    expect(hash(await talk(hostPort, say(large)))).toBe(hash(large))
    const many = await Promise.all(Array.from({ length: 100 }, (_, i) => talk(hostPort, say(`${i} `.repeat(5000)))))
    expect(many.map(bytes => hash(bytes))).toEqual(many.map((_, i) => hash(Buffer.from(`${i} `.repeat(5000)))))
    await expectNone(() => processesNamed('sandbox-relay'))
  })

  test('either side may say its last and go on listening', async () => {
    const sandbox = await start()
    const { hostPort } = await sandbox.expose(3000, { hostPort: 0 })
    // The client ends first: the server answers after it.
    await serve(sandbox, 3000, 'let t = ""; s.on("data", d => { t += d }).on("end", () => s.end(`got ${t}`))')
    expect((await talk(hostPort, say('all'))).toString()).toBe('got all')
    // The server ends first: what the client says then still arrives.
    const other = await sandbox.expose(3001, { hostPort: 0 })
    const server = await serve(sandbox, 3001, 's.end("bye"); let t = ""; s.on("data", d => { t += d }).on("end", () => console.log(`after: ${t}`))')
    // Again and again: whose last word comes first is a race.
    for (let round = 0; round < 30; round++) {
      const heard = new Promise<string>(resolve => server.stdout.once('data', chunk => resolve(String(chunk))))
      const said = await new Promise<string>((resolve, reject) => {
        const socket = connect({ port: other.hostPort, host: '127.0.0.1', allowHalfOpen: true })
        let text = ''
        socket.on('data', part => { text += part }).on('error', reject).on('end', () => {
          resolve(text)
          socket.end('late words')
        })
      })
      expect([round, said, await heard]).toEqual([round, 'bye', 'after: late words\n'])
    }
  })

  test('who does not read is not read from: nothing is piled up', async () => {
    const sandbox = await start()
    const { hostPort } = await sandbox.expose(3000, { hostPort: 0 })
    await serve(sandbox, 3000, 'let n = 0; const more = () => { while (n < 100) { n++; if (!s.write(Buffer.alloc(1 << 20))) return s.once("drain", more) } s.end() }; more()')
    const socket = connect(hostPort, '127.0.0.1')
    socket.pause()
    await new Promise(resolve => socket.once('connect', resolve))
    const before = process.memoryUsage().rss
    await new Promise(resolve => setTimeout(resolve, 1000))
    expect(process.memoryUsage().rss - before).toBeLessThan(40 << 20)
    let total = 0
    socket.on('data', part => { total += part.length }).resume()
    await new Promise(resolve => socket.once('close', resolve))
    expect(total).toBe(100 << 20)
  })

  test('in the confinement in which it runs: before a grant, after it, and with permissions of its own', async () => {
    const sandbox = await start()
    const exposed = await Promise.all([3000, 3001, 3002].map(port => sandbox.expose(port, { hostPort: 0 })))
    await serve(sandbox, 3000, 's.end("old")')
    await sandbox.grant({ network: { enabled: false }, fileSystem: { write: ['/var/tmp'] } })
    await serve(sandbox, 3001, 's.end("new")')
    await serve(sandbox, 3002, 's.end("wider")', '127.0.0.1', { fileSystem: { write: ['/var/cache'] } })
    expect(await Promise.all(exposed.map(async ({ hostPort }) => (await talk(hostPort, say('who?'))).toString()))).toEqual(['old', 'new', 'wider'])
  })
})

describe('and not reached', () => {
  test('while nobody listens: the connection is reset, and a later server has the next one', async () => {
    const sandbox = await start()
    const { hostPort } = await sandbox.expose(3000, { hostPort: 0 })
    expect(await codeOf(talk(hostPort, say('x')))).toBe('ECONNRESET')
    const idle = sandbox.spawn(['sleep', '1000'])
    expect(await codeOf(talk(hostPort, say('x')))).toBe('ECONNRESET')
    const server = await serve(sandbox, 3000, ECHO)
    expect((await talk(hostPort, say('x'))).toString()).toBe('x')
    server.kill('SIGKILL')
    await server.exited
    expect(await codeOf(talk(hostPort, say('x')))).toBe('ECONNRESET')
    idle.kill('SIGKILL')
    await idle.exited
  })

  test('from another address of this machine than 127.0.0.1', async ({ skip }) => {
    const sandbox = await start()
    const { hostPort } = await sandbox.expose(3000, { hostPort: 0 })
    await serve(sandbox, 3000, ECHO, '0.0.0.0')
    const others = Object.values(networkInterfaces()).flatMap(each => each ?? []).filter(({ address }) => address !== '127.0.0.1').map(({ address, family, scopeid }) => family === 'IPv6' && scopeid ? undefined : address).filter(address => address !== undefined)
    if (others.length === 0) skip('this machine has no other address')
    for (const address of [...others, '127.0.0.2']) expect([address, await codeOf(talk(hostPort, say('x'), address))]).toEqual([address, 'ECONNREFUSED'])
    expect((await talk(hostPort, say('x'))).toString()).toBe('x')
  })

  test('a port that was not exposed, and the host\'s own servers from inside', async () => {
    const sandbox = await start()
    const { hostPort } = await sandbox.expose(3000, { hostPort: 0 })
    await serve(sandbox, 3005, ECHO)
    expect(await codeOf(talk(3005, say('x')))).toBe('ECONNREFUSED')
    const { stdout } = await sandbox.exec([process.execPath, '-e', `require('node:net').connect(${hostPort}, '127.0.0.1').on('connect', () => { console.log('connected'); process.exit() }).on('error', e => console.log(e.code))`])
    expect(stdout).toBe('ECONNREFUSED\n')
  })

  test('after close: of the port, and of the sandbox', async () => {
    const sandbox = await start()
    const [first, second] = await Promise.all([sandbox.expose(3000, { hostPort: 0 }), sandbox.expose(3000, { hostPort: 0 })])
    await serve(sandbox, 3000, ECHO)
    const open = connect(first.hostPort, '127.0.0.1')
    open.on('error', () => {})
    await new Promise(resolve => open.once('connect', resolve))
    const gone = new Promise(resolve => open.once('close', resolve))
    await first.close()
    await gone
    expect(await codeOf(talk(first.hostPort, say('x')))).toBe('ECONNREFUSED')
    expect((await talk(second.hostPort, say('x'))).toString()).toBe('x')
    await sandbox.close()
    expect(await codeOf(talk(second.hostPort, say('x')))).toBe('ECONNREFUSED')
    await expect(sandbox.expose(3000)).rejects.toMatchObject({ code: 'sandbox_closed' })
    await first.close()
  })

  test('when the helper cannot be had: reset, and commands still run', async () => {
    const sandbox = await start({ policy: { limits: { openFiles: 1 } } })
    const { hostPort } = await sandbox.expose(3000, { hostPort: 0 })
    const child = sandbox.spawn(['sleep', '1000'])
    expect(await codeOf(talk(hostPort, say('x')))).toBe('ECONNRESET')
    child.kill('SIGKILL')
    await child.exited
  })
})

test('a client that goes away, or resets, ends its helper; the server sees it', async () => {
  const sandbox = await start()
  const { hostPort } = await sandbox.expose(3000, { hostPort: 0 })
  const server = await serve(sandbox, 3000, 's.write("x"); s.on("end", () => s.end()).on("close", () => console.log("gone"))')
  for (const leave of [(socket: Socket) => socket.destroy(), (socket: Socket) => socket.resetAndDestroy()]) {
    const told = new Promise<string>(resolve => server.stdout.once('data', chunk => resolve(String(chunk))))
    const socket = connect(hostPort, '127.0.0.1')
    socket.on('error', () => {})
    await new Promise(resolve => socket.once('data', resolve))
    leave(socket)
    expect(await told).toBe('gone\n')
  }
  await expectNone(() => processesNamed('sandbox-relay'))
})

test.each<{ name: string; port: unknown; options?: unknown; error: object }>([
  { name: 'port 0',               port: 0, error: { code: 'option_invalid', field: 'port' } },
  { name: 'no number',            port: '3000', error: { code: 'option_invalid', field: 'port' } },
  { name: 'a port above 65535',   port: 65_536, error: { code: 'option_invalid', field: 'port' } },
  { name: 'a negative host port', port: 3000, options: { hostPort: -1 }, error: { code: 'option_invalid', field: 'hostPort' } },
  { name: 'an unknown option',    port: 3000, options: { host: '0.0.0.0' }, error: { code: 'option_invalid', field: 'host' } },
  { name: 'no options',           port: 3000, options: null, error: { code: 'option_invalid', field: 'options' } },
])('refused: $name', async ({ port, options, error }) => {
  const sandbox = await start()
  await expect(options === undefined ? sandbox.expose(port as number) : sandbox.expose(port as number, options as object)).rejects.toMatchObject(error)
})

test('a port that is taken on the host is told, with what to do', async () => {
  const taken = createServer()
  const port = await new Promise<number>(resolve => taken.listen(0, '127.0.0.1', () => resolve((taken.address() as { port: number }).port)))
  onTestFinished(() => void taken.close())
  const sandbox = await start()
  await expect(sandbox.expose(port)).rejects.toMatchObject({ code: 'port_taken', field: 'hostPort', message: `hostPort ${port} is taken on this host. Choose another port of the host: hostPort, or 0 for any that is free.` })
  expect((await sandbox.expose(port, { hostPort: 0 })).hostPort).not.toBe(port)
})

test('with the network open a port is the host\'s already, and another one leads to it', async () => {
  const port = await freePort()
  const sandbox = await start({ policy: { network: 'open' } })
  const same = await sandbox.expose(port)
  await serve(sandbox, port, ECHO)
  const other = await sandbox.expose(port, { hostPort: 0 })
  expect([same.hostPort, (await talk(same.hostPort, say('a'))).toString(), (await talk(other.hostPort, say('b'))).toString()]).toEqual([port, 'a', 'b'])
})

test('but who waits for its close gets an answer, with a connection that was kept open too', () => {
  const workspace = makeWorkspace()
  const script = `
    import { createSandbox } from ${JSON.stringify(join(process.cwd(), 'dist/index.js'))}
    const sandbox = await createSandbox({ cwd: ${JSON.stringify(workspace.path)} })
    const server = await sandbox.sessions.start([process.execPath, '-e', "require('node:http').createServer((q, r) => r.end('page')).listen(3000, '127.0.0.1', () => console.log('up'))"])
    await sandbox.sessions.read(server.id, { waitMs: 10_000 })
    const exposed = await sandbox.expose(3000, { hostPort: 0 })
    console.log(await (await fetch(\`http://127.0.0.1:\${exposed.hostPort}/\`)).text())
    await exposed.close()
    console.log('closed')`
  const { status, stdout } = spawnSync(process.execPath, ['--input-type=module', '-e', script], { encoding: 'utf8', timeout: 20_000 })
  expect({ status, stdout }).toEqual({ status: 0, stdout: 'page\nclosed\n' })
})

test('an exposed port does not keep Node alive, unless told to', () => {
  const folder = makeWorkspace().path
  const script = (hold: string): string => `
    const { createSandbox } = await import(${JSON.stringify(join(process.cwd(), 'dist/index.js'))})
    const sandbox = await createSandbox({ cwd: ${JSON.stringify(folder)} })
    const port = await sandbox.expose(3000, { hostPort: 0 })
    ${hold}
  `
  const run = (hold: string): string | null => {
    const { status, signal, stderr } = spawnSync(process.execPath, ['--input-type=module', '-e', script(hold)], { encoding: 'utf8', timeout: 5000 })
    return signal ?? (status === 0 ? 'ended' : stderr)
  }
  expect([run(''), run('port.ref(); setTimeout(() => port.unref(), 500)'), run('port.ref()')]).toEqual(['ended', 'ended', 'SIGTERM'])
})

const freePort = (): Promise<number> => new Promise(resolve => {
  const server = createServer()
  server.listen(0, '127.0.0.1', () => {
    const { port } = server.address() as { port: number }
    server.close(() => resolve(port))
  })
})
