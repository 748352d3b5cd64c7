// Sockets on the supervised rung, where the launcher takes them from commands or, as in Docker, makes them: they end, and free their addresses, as
// elsewhere; which there are does not depend on who makes them; and nothing but connect(2) makes a connection.
import { spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { readdirSync } from 'node:fs'
import { createServer } from 'node:net'
import { beforeEach, describe, expect, onTestFinished, test } from 'vitest'
import type { SandboxOptions } from '../../src/exec/options.js'
import type { Sandbox } from '../../src/exec/sandbox.js'
import { ALL_RUNGS, landlockAbi, startOn, SUPERVISED, SUPERVISED_BEFORE, type RungVariant } from '../support/rungs.js'
import { makeWorkspace } from './workspace.js'

beforeEach(context => {
  if (process.platform !== 'linux') context.skip('the launcher is for Linux')
  if (spawnSync('python3', ['-c', '']).status !== 0) context.skip('python3 makes the sockets')
})

const PRELUDE = `
import ctypes, errno, os, select, socket, struct, sys, threading, time
libc = ctypes.CDLL(None, use_errno=True)
def attempt(name, call):
    try: print(f'{name} done {call() or str()}'.strip())
    except OSError as error: print(name, errno.errorcode[error.errno])    # EOPNOTSUPP is ENOTSUP here
`

interface Started { readonly sandbox: Sandbox; readonly python: (program: string) => Promise<string>; readonly told: () => readonly string[] }

type Network = 'off' | 'open' | { readonly allowedDomains: readonly string[] }

async function start(variant: RungVariant, network: Network = 'off', options: Partial<SandboxOptions> = {}): Promise<Started> {
  const sandbox = await startOn(variant, { cwd: makeWorkspace().path, policy: { mode: 'workspace-write', network }, ...options })
  onTestFinished(() => sandbox.close())
  let told: readonly string[] = []
  const python = async (program: string): Promise<string> => {
    const { stdout, stderr, denials } = await sandbox.exec(['python3', '-c', `${PRELUDE}${program}`])
    told = denials.map(({ call, operation }) => call ?? operation)
    return `${stdout}${stderr}`.trim()
  }
  return { sandbox, python, told: () => told }
}

describe('which sockets there are', () => {
  const program = `
for family in [*range(18), 29, 30, 31, 38, 40, 44, 45]:
    for kind in [*range(7), 10, 11, 0x801, 0x80802]:
        for protocol in (0, 1, 2, 6, 15, 17, 58, 132, 136, 262):
            fd = libc.socket(family, kind, protocol)
            print(family, kind, protocol, 'made' if fd >= 0 else errno.errorcode[ctypes.get_errno()])
            if fd >= 0: os.close(fd)
`
  test.each([4, 3].flatMap(abi => ([['off', 'off'], ['open', 'open'], ['by rules', { allowedDomains: ['example.com'] }]] as const satisfies readonly (readonly [string, Network])[]).flatMap(([name, network]) => (['writes', 'off'] as const).map(observe => ({ abi, name, network, observe })))))(
    'Landlock ABI $abi, network $name, observer $observe: the same, made by the kernel or by the launcher', async ({ abi, network, observe }) => {
      const taken = await start({ name: 'taken', rung: 'supervised', abi }, network, { observe })
      const made = await start({ name: 'made', rung: 'supervised', abi, makesSockets: true }, network, { observe })
      const expected = await taken.python(program)
      expect(await made.python(program)).toBe(expected)
      expect(expected).toContain('\n1 1 0 made\n')
      expect(expected).toContain('\n1 2 0 EPROTONOSUPPORT\n')
      expect(expected).toContain(`\n2 1 0 ${network !== 'off' || abi >= 4 ? 'made' : 'EACCES'}\n`)
      expect(expected).toContain(`\n2 2 0 ${network === 'open' ? 'made' : 'EACCES'}\n`)
      expect(expected).toContain('\n2 3 1 EPERM\n')
    })

  test.each([SUPERVISED, SUPERVISED_BEFORE])('what is refused is told: $name', async variant => {
    const { python, told } = await start(variant)
    await python('attempt("udp", lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM)); attempt("raw", lambda: socket.socket(socket.AF_INET, socket.SOCK_RAW, 1)); attempt("packet", lambda: socket.socket(17, 3))')
    expect(told()).toEqual(['socket(AF_INET, SOCK_DGRAM)', 'socket(AF_INET, SOCK_RAW, IPPROTO_ICMP)', 'socket(AF_PACKET, SOCK_RAW)'])
  })
})

describe.each(ALL_RUNGS)('$name', { timeout: 60_000 }, variant => {
  test('both ends of a unix socket meet their end, whichever closes, connected or not', async () => {
    const { python } = await start(variant)
    // Of a file that no socket is bound to any more nobody can say in which network namespace it was.
    const gone = variant.rung === 'namespaces' ? 'EACCES' : 'ECONNREFUSED'
    // Where Landlock does not scope abstract names, one of the sandbox's own cannot be told from the host's.
    const abstract = variant.abi === undefined
    expect(await python(`
def server(path, kind=socket.SOCK_STREAM):
    s = socket.socket(socket.AF_UNIX, kind); s.bind(path); s.listen(); return s
for kind, path in ((socket.SOCK_STREAM, 'a'), (socket.SOCK_SEQPACKET, 'b')${abstract ? `, (socket.SOCK_STREAM, '\\0abstract-%d' % os.getpid())` : ''}):
    s = server(path, kind)
    client = socket.socket(socket.AF_UNIX, kind); client.connect(path); peer, _ = s.accept()
    client.send(b'last words'); client.close()
    print(peer.recv(100), peer.recv(100))
    client = socket.socket(socket.AF_UNIX, kind); client.connect(path); peer, _ = s.accept()
    peer.close(); client.settimeout(5)
    print(client.recv(100))
    client = socket.socket(socket.AF_UNIX, kind); client.connect(path); peer, _ = s.accept()
    client.shutdown(socket.SHUT_WR); peer.settimeout(5)
    print(peer.recv(100))
    waiting = socket.socket(socket.AF_UNIX, kind); waiting.connect(path)
    s.close(); waiting.settimeout(5)
    # Never accepted, and now nobody can: the kernel says so once the last descriptor of the server is closed.
    try: print(waiting.recv(100))
    except ConnectionResetError: print('reset')
    attempt('gone', lambda: socket.socket(socket.AF_UNIX, kind).connect(path))
`)).toBe([gone, gone, ...(abstract ? ['ECONNREFUSED'] : [])].map(errno => `b'last words' b''\nb''\nb''\nreset\ngone ${errno}`).join('\n'))
  })

  test('a client that a connection keeps waiting hears of its end', async () => {
    const { python } = await start(variant)
    expect(await python(`
s = socket.socket(socket.AF_UNIX); s.bind('full'); s.listen(0)
first = socket.socket(socket.AF_UNIX); first.connect('full')
outcome = []
def second():
    try: c = socket.socket(socket.AF_UNIX); c.settimeout(None); c.connect('full'); outcome.append('connected')
    except OSError as error: outcome.append(errno.errorcode[error.errno])
thread = threading.Thread(target=second); thread.start()
time.sleep(0.2)
print(outcome)
s.close(); thread.join(10)
print(outcome)
`)).toMatch(/^\[\]\n\['(?:ECONNREFUSED|connected)'\]$/)
  })

  test('connections that one command keeps waiting, more than there are threads, hold up no other\'s', async () => {
    const { sandbox, python } = await start(variant)
    const abort = new AbortController()
    onTestFinished(() => abort.abort())
    let output = ''
    const waiting = sandbox.exec(['python3', '-c', `
import os, socket, threading, time
s = socket.socket(socket.AF_UNIX); s.bind('full'); s.listen(0)
def connect():
    # The first ones fill its queue.
    socket.socket(socket.AF_UNIX).connect('full'); time.sleep(100)
for i in range(200): threading.Thread(target=connect, daemon=True).start()
while open('/proc/self/status').read().split('Threads:')[1].split()[0] != '201': time.sleep(0.05)
time.sleep(0.5); print('full', flush=True); time.sleep(100)
`], { signal: abort.signal, killGraceMs: 0, onOutput: chunk => { output += String(chunk) } })
    await expect.poll(() => output, { timeout: 20_000 }).toBe('full\n')
    expect(await python(`
s = socket.socket(socket.AF_UNIX); s.bind('beside'); s.listen()
for i in range(20):
    c = socket.socket(socket.AF_UNIX); c.connect('beside'); s.accept()
print('connected')
`)).toBe('connected')
    abort.abort()
    expect((await waiting).cancelled).toBe(true)
    expect(await python('a = socket.socket(socket.AF_UNIX); a.bind("again"); a.listen(); socket.socket(socket.AF_UNIX).connect("again"); print("again")')).toBe('again')
  })

  test('an address is free as soon as its socket is closed: bound only, listening, connected', async () => {
    const { python } = await start(variant, variant.rung === 'namespaces' ? 'off' : 'open')
    expect(await python(`
def bound(port):
    s = socket.socket(); s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1) if port else None
    s.bind(('127.0.0.1', port)); return s
port = bound(0).getsockname()[1]
for i in range(20):
    s = bound(port); s.close()
s = bound(port); s.listen(); s.close()
s = bound(port); s.listen()
client = socket.create_connection(('127.0.0.1', port)); peer, _ = s.accept()
client.close(); print(peer.recv(10)); peer.close(); s.close()
s = bound(port); s.listen(); print('again')
attempt('twice', lambda: socket.socket().bind(('127.0.0.1', port)))
s.close()
for i in range(20):
    u = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); u.bind(('127.0.0.1', port)); u.close()
child = os.fork()
if child == 0: bound(port).listen(); os._exit(0)
os.waitpid(child, 0)
bound(port).listen(); print('after a child')
`)).toBe('b\'\'\nagain\ntwice EADDRINUSE\nafter a child')
  })

  test('a name is bound again when its file is gone, and not while it is there', async () => {
    const { python } = await start(variant)
    expect(await python(`
for i in range(3):
    s = socket.socket(socket.AF_UNIX); s.bind('name'); s.listen()
    attempt('second', lambda: socket.socket(socket.AF_UNIX).bind('name'))
    c = socket.socket(socket.AF_UNIX); c.connect('name'); print('connected')
    s.close(); attempt('left', lambda: socket.socket(socket.AF_UNIX).bind('name'))
    os.unlink('name')
a = socket.socket(socket.AF_UNIX); a.bind('\\0abstract-again-%d' % os.getpid()); a.listen(); a.close()
a = socket.socket(socket.AF_UNIX); a.bind('\\0abstract-again-%d' % os.getpid()); print('again')
`)).toBe(`${'second EADDRINUSE\nconnected\nleft EADDRINUSE\n'.repeat(3)}again`)
  })

  test('sockets that nothing is done with cost nothing when they are closed', async () => {
    const { sandbox, python } = await start(variant, variant.rung === 'namespaces' ? 'off' : 'open')
    const before = readdirSync(`/proc/${sandbox.pid}/fd`).length
    expect(await python(`
for i in range(6000):
    socket.socket(socket.AF_UNIX).close()
    if i % 3 == 0:
        u = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); u.sendto(b'x', ('127.0.0.1', 9)); u.close()
print('made')
`)).toBe('made')
    // Within seconds: nobody waits for them.
    await expect.poll(() => readdirSync(`/proc/${sandbox.pid}/fd`).length, { timeout: 20_000, interval: 200 }).toBeLessThan(before + 20)
    expect(await python(`
kept = [socket.socket(socket.AF_UNIX) for i in range(500)]
s = socket.socket(socket.AF_UNIX); s.bind('s'); s.listen(600)
for c in kept: c.connect('s')
print('all connected')
`)).toBe('all connected')
    expect((await sandbox.exec(['echo', 'lives'])).stdout).toBe('lives\n')
  })
})

describe.each([SUPERVISED, SUPERVISED_BEFORE])('connections without connect(2): $name', variant => {
  const program = (port: number): string => `
address = ('127.0.0.1', ${port})
raw = ctypes.create_string_buffer(struct.pack('=H', 2) + struct.pack('!H', ${port}) + bytes([127, 0, 0, 1]) + bytes(8), 16)
data = ctypes.create_string_buffer(b'fast', 4)
vector = (ctypes.c_size_t * 2)(ctypes.addressof(data), 4)
header = (ctypes.c_size_t * 8)(ctypes.addressof(raw), 16, ctypes.addressof(vector), 1, 0, 0, 0, 0)
FASTOPEN = 0x20000000
def checked(result):
    if result < 0: raise OSError(ctypes.get_errno(), '')
def by_option():
    s = socket.socket(); s.setsockopt(socket.IPPROTO_TCP, 30, 1); s.connect(address); s.send(b'fast')
for name, call in (
    ('sendto', lambda: socket.socket().sendto(b'fast', FASTOPEN, address) and None),
    ('sendto with more', lambda: socket.socket().sendto(b'fast', FASTOPEN | 0x4000 | 0x40, address) and None),
    ('sendmsg', lambda: socket.socket().sendmsg([b'fast'], [], FASTOPEN, address) and None),
    ('sendmmsg', lambda: checked(libc.sendmmsg(socket.socket().fileno(), header, 1, FASTOPEN))),
    ('TCP_FASTOPEN_CONNECT', by_option),
    ('connect', lambda: socket.socket().connect(address)),
): attempt(name, call)
`
  async function counting(): Promise<{ port: number; contacts: () => number }> {
    let contacts = 0
    const server = createServer(socket => {
      contacts++
      socket.on('error', () => {}).destroy()
    }).listen(0, '127.0.0.1')
    await once(server, 'listening')
    onTestFinished(() => void server.close())
    return { port: (server.address() as { port: number }).port, contacts: () => contacts }
  }

  test('none with the network off', async () => {
    const { python } = await start(variant)
    const { port, contacts } = await counting()
    // Below ABI 4 there is not even a socket.
    const [fast, slow] = await landlockAbi(variant) >= 4 ? ['ENOTSUP', 'ECONNREFUSED'] : ['EACCES', 'EACCES']
    expect((await python(program(port))).split('\n')).toEqual([
      `sendto ${fast}`, `sendto with more ${fast}`, `sendmsg ${fast}`, `sendmmsg ${fast}`, `TCP_FASTOPEN_CONNECT ${slow}`, `connect ${slow}`,
    ])
    expect(contacts()).toBe(0)
    expect(await python('a, b = socket.socketpair(); a.sendmsg([b"pair"], [], 0x4040); print(b.recv(9))')).toBe('b\'pair\'')
  })

  test('all of them with it on', async () => {
    const { python } = await start(variant, 'open')
    const { port, contacts } = await counting()
    expect(await python(program(port))).toMatch(/connect done$/)
    await expect.poll(contacts, { timeout: 10_000 }).toBeGreaterThanOrEqual(5)
  })
})
