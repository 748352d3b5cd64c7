// Attempts to reach servers outside: unix sockets of every kind, and the network while it is off.
import { type ChildProcess, spawn } from 'node:child_process'
import { createSocket } from 'node:dgram'
import { mkdirSync } from 'node:fs'
import { createServer, type Server } from 'node:net'
import { type EscapeAttempt, findProgram, node, pause, python, type Scene, textOf } from './attempt.js'

const REACHED = 'reached'
/** A server outside notes each contact; the file is looked at afterwards. */
const contacted = (scene: Scene): string | undefined => scene.notes.get(REACHED)

/** A stream server of the host's at `path` (or an abstract name, or a port), as docker.sock or ssh-agent is one. Undefined where a host has no such address (no IPv6). */
async function listen(scene: Scene, where: { path: string } | { host: string; port: 0 }): Promise<Server | undefined> {
  const server = createServer(socket => {
    scene.notes.set(REACHED, 'the server outside accepted a connection')
    socket.on('error', () => undefined).resume().end('hello')
    scene.defer(() => { socket.destroy() })
  })
  const listening = await new Promise<boolean>(done => {
    server.once('error', () => done(false))
    server.listen(where, () => done(true))
  })
  if (!listening) {
    if ('path' in where) throw new Error(`no server could be made at ${JSON.stringify(where.path)}`)
    return undefined
  }
  scene.defer(() => new Promise(done => { server.close(() => done()) }))
  return server
}

/** Connects and says something; done when it failed or ended. */
const CONNECT = `
const net = require('node:net')
const tries = TARGETS
let left = tries.length
for (const target of tries) {
  const socket = net.connect(target)
  const done = () => { socket.destroy(); if (--left === 0) process.exit() }
  socket.setTimeout(1500, done).once('error', done).once('end', done).on('data', () => {}).write('hello')
}`
const connect = (targets: (scene: Scene) => readonly object[]) => (scene: Scene): Promise<void> => node(CONNECT.replace('TARGETS', JSON.stringify(targets(scene))))(scene)

const OWN_SOCKET = { name: 'uses a unix socket of its own', act: node(`
const net = require('node:net'), fs = require('node:fs')
const path = process.env.W + '/own.sock'
const server = net.createServer(socket => socket.end('hello')).listen(path, () => {
  net.connect(path).on('data', () => { fs.writeFileSync(process.env.W + '/can', 'x'); process.exit() }).on('error', () => process.exit(1))
})`) } as const

const OWN_LOOPBACK = { name: 'uses a server of its own on 127.0.0.1', act: node(`
const net = require('node:net'), fs = require('node:fs')
const server = net.createServer(socket => socket.end('hello')).listen(0, '127.0.0.1', () => {
  net.connect(server.address().port, '127.0.0.1').on('data', () => { fs.writeFileSync(process.env.W + '/can', 'x'); process.exit() }).on('error', () => process.exit(1))
})`) } as const

/** Without a network namespace there is no loopback that could be given to commands. */
const WITHOUT_LOOPBACK = { supervised: { why: 'with the network off there is no loopback of the sandbox\'s own', can: OWN_SOCKET } } as const

/** A datagram server needs a program: Node has none for unix sockets. */
async function listenDatagram(scene: Scene): Promise<void> {
  const server: ChildProcess = spawn(findProgram('python3') as string, ['-c', `
import socket, sys
path, abstract, out = sys.argv[1:]
import select
sockets = []
for address in (path, '\\0' + abstract):
    s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM); s.bind(address); sockets.append(s)
print('ready', flush=True)
while True:
    for s in select.select(sockets, [], [])[0]:
        data = s.recv(100)
        with open(out, 'a') as f: f.write(repr(data) + '\\n')
`, datagramPath(scene), abstractName(scene), received(scene)], { stdio: ['ignore', 'pipe', 'ignore'] })
  scene.defer(() => { server.kill('SIGKILL') })
  await new Promise<void>((done, fail) => { server.stdout?.once('data', () => done()); server.once('error', fail); server.once('exit', () => fail(new Error('the datagram server did not start'))) })
}
const datagramPath = (scene: Scene): string => `${scene.outside}/datagram.sock`
const abstractName = (scene: Scene): string => `escape-attempt-${scene.id}`
// Not in `outside`: a file that grows there would count as a change by itself.
const received = (scene: Scene): string => `${scene.outside}-received`
const datagramArrived = async (scene: Scene): Promise<string | undefined> => {
  await pause(50)
  const text = textOf(received(scene))
  return text === '' ? undefined : `the server outside got ${text.trim()}`
}

export const SOCKET_ATTEMPTS: readonly EscapeAttempt[] = [
  {
    name: 'connect to a daemon\'s socket outside', failure: 'row 20: nono GHSA-27vp-2mmc-vmh3, landrun#43, greywall#32: D-Bus, docker.sock, gvfs',
    prepare: async scene => { await listen(scene, { path: `${scene.outside}/docker.sock` }) },
    attack: connect(scene => [{ path: `${scene.outside}/docker.sock` }, { path: `/proc/self/root${scene.outside}/docker.sock` }]),
    evidence: contacted, can: OWN_SOCKET,
  },
  {
    name: 'connect to a socket that the host made in the workspace', failure: 'row 20, row 22: allowed to write the folder is not allowed to talk to the server',
    prepare: async scene => { mkdirSync(`${scene.workspace}/run`); await listen(scene, { path: `${scene.workspace}/run/host.sock` }) },
    attack: async scene => {
      await connect(() => [{ path: `${scene.workspace}/run/host.sock` }])(scene)
      await scene.run(['sh', '-c', 'cd "$W" && ln -s run/host.sock l; ln run/host.sock h; mv run moved'])
      await connect(() => ['l', 'h', 'moved/host.sock'].map(name => ({ path: `${scene.workspace}/${name}` })))(scene)
    },
    evidence: contacted,
  },
  {
    name: 'connect to an abstract socket outside', failure: 'row 20: abstract names know no file rules',
    prepare: async scene => { await listen(scene, { path: `\0${abstractName(scene)}-stream` }) },
    attack: connect(scene => [{ path: `\0${abstractName(scene)}-stream` }]),
    evidence: contacted, can: OWN_SOCKET,
  },
  {
    name: 'send datagrams to a unix socket outside', failure: 'row 21: nono PR#1096, only connect was trapped, not sendto, sendmsg, sendmmsg', needs: ['python3'],
    prepare: listenDatagram,
    attack: scene => python(`
for address in (${JSON.stringify(datagramPath(scene))}, '\\0' + ${JSON.stringify(abstractName(scene))}):
    for kind in (socket.SOCK_DGRAM, socket.SOCK_RAW):
        for act in ('sendto', 'sendmsg', 'sendmmsg', 'connect'):
            try:
                s = socket.socket(socket.AF_UNIX, kind)
                if act == 'sendto': s.sendto(b'sendto', address)
                if act == 'sendmsg': s.sendmsg([b'sendmsg'], [], 0, address)
                if act == 'connect': s.connect(address); s.send(b'connect')
                if act == 'sendmmsg':
                    name = struct.pack('=H', 1) + address.encode()
                    name = ctypes.create_string_buffer(name, len(name) + (0 if address[0] == '\\0' else 1))
                    data = ctypes.create_string_buffer(b'sendmmsg')
                    vector = (ctypes.c_size_t * 2)(ctypes.addressof(data), 8)
                    header = (ctypes.c_size_t * 8)(ctypes.addressof(name), ctypes.sizeof(name), ctypes.addressof(vector), 1, 0, 0, 0, 0)
                    libc.sendmmsg(s.fileno(), header, 1, 0)
            except OSError: pass
`)(scene),
    evidence: datagramArrived,
    can: { name: 'uses a socketpair with its child', act: python(`
ours, theirs = socket.socketpair()
if os.fork() == 0: theirs.sendall(b'hello'); os._exit(0)
if ours.recv(5) == b'hello': open(W + '/can', 'w').close()
`) },
  },
  {
    name: 'connect to a port of the host', failure: 'row 23: nono#713 `--noproxy`, raw connect with no proxy variables',
    prepare: async scene => {
      for (const host of ['127.0.0.1', '::1']) {
        const address = (await listen(scene, { host, port: 0 }))?.address()
        if (typeof address === 'object' && address !== null) scene.notes.set(`port ${host}`, String(address.port))
      }
    },
    attack: connect(scene => ['127.0.0.1', '::1'].flatMap(host => {
      const port = scene.notes.get(`port ${host}`)
      return port === undefined ? [] : [{ host, port: Number(port) }, { host: host === '::1' ? '::ffff:127.0.0.1' : '0.0.0.0', port: Number(port) }]
    })),
    evidence: contacted, can: OWN_LOOPBACK, ...WITHOUT_LOOPBACK,
  },
  {
    name: 'send UDP to the host', failure: 'row 23, row 8: name lookups and UDP past a proxy',
    prepare: async scene => {
      const server = createSocket('udp4', () => { scene.notes.set(REACHED, 'the server outside got a datagram') })
      await new Promise<void>(done => { server.bind(0, '127.0.0.1', done) })
      scene.notes.set('port', String(server.address().port))
      scene.defer(() => new Promise(done => { server.close(done) }))
    },
    attack: scene => node(`
const socket = require('node:dgram').createSocket('udp4').on('error', () => process.exit(1))
socket.send('hello', ${scene.notes.get('port')}, '127.0.0.1', () => process.exit())`)(scene),
    evidence: async scene => { await pause(50); return contacted(scene) },
  },
  {
    name: 'find a way out of the private network', failure: 'row 23: any interface but the loopback', needs: ['python3'],
    attack: python(`
for name in socket.if_nameindex():
    if name[1] != 'lo': leak('interface ' + name[1])
for family, address in ((socket.AF_INET, ('192.0.2.1', 9)), (socket.AF_INET6, ('2001:db8::1', 9)), (socket.AF_INET, ('169.254.169.254', 80))):
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as s:
            s.connect(address)
            leak('a route to ' + address[0])
    except OSError: pass
`), can: OWN_LOOPBACK, ...WITHOUT_LOOPBACK,
  },
]
