// The attacks of ../programs/sockets.c on servers outside, with the network off and with it open.
import { existsSync, mkdirSync, readdirSync, rmSync } from 'node:fs'
import { createServer } from 'node:net'
import { findProgram, node, pause, python, type Scene, textOf } from '../../../src/doctor/escapes/attempt.js'
import { contacts, type HostileAttempt, runProgram, serveOutside } from './hostile.js'

const OPEN_NETWORK = { network: 'open' } as const
const contacted = async (scene: Scene): Promise<string | undefined> => {
  await pause(50)
  const text = textOf(contacts(scene))
  return text === '' ? undefined : `the server outside had ${text.trim().split('\n').length} contacts, first ${text.split('\n')[0]}`
}

/** Where a server of the host's may lie: out of the way, or in the workspace, where commands may rename and link its file. */
const atOutside = ({ outside }: Scene): string => `${outside}/host.sock`
const inWorkspace = ({ workspace }: Scene): string => `${workspace}/host.sock`
const abstract = ({ id }: Scene): string => `@escape-attempt-${id}-c`

const attack = (mode: string, address: (scene: Scene) => string) => runProgram('sockets', scene => [mode, address(scene), scene.workspace])

const OWN_SOCKETS = { name: 'uses own stream and packet sockets', act: python(`
for kind, path in ((socket.SOCK_STREAM, W + '/a.sock'), (socket.SOCK_SEQPACKET, W + '/b.sock')):
    server = socket.socket(socket.AF_UNIX, kind); server.bind(path); server.listen()
    client = socket.socket(socket.AF_UNIX, kind); client.connect(path)
    assert server.getsockname() == client.getpeername() == path
    peer, _ = server.accept(); client.sendall(b'hello'); assert peer.recv(5) == b'hello'
open(W + '/can', 'w').close()
`) } as const

const ROWS: readonly { mode: string; name: string; kind: 'stream' | 'seqpacket' | 'datagram'; address: (scene: Scene) => string; open?: true; failure: string }[] = [
  { mode: 'connect', name: 'a stream server outside', kind: 'stream', address: atOutside, failure: 'row 20' },
  { mode: 'connect', name: 'a packet server outside', kind: 'seqpacket', address: atOutside, failure: 'row 20: SOCK_SEQPACKET knows connections too' },
  { mode: 'connect', name: 'a stream server in the workspace', kind: 'stream', address: inWorkspace, failure: 'row 20, row 22' },
  { mode: 'connect', name: 'an abstract server', kind: 'stream', address: abstract, failure: 'row 20: abstract names know no file rules' },
  { mode: 'send', name: 'a datagram server outside, by sendto, sendmsg, sendmmsg and pairs', kind: 'datagram', address: atOutside, failure: 'row 21: nono PR#1096; an end of a datagram pair may send anywhere' },
  { mode: 'send', name: 'an abstract datagram server', kind: 'datagram', address: abstract, failure: 'row 21' },
  { mode: 'io_uring', name: 'a stream server by io_uring', kind: 'stream', address: atOutside, failure: 'row 18: srt#183' },
  { mode: 'undumpable', name: 'a stream server, from a process that cannot be looked into', kind: 'stream', address: inWorkspace, failure: 'row 29: what cannot be judged must be refused' },
  { mode: 'race-address', name: 'a server outside, while a thread changes the address', kind: 'stream', address: inWorkspace, failure: 'row 26: sandlock#27, #28: judged, then read again' },
  { mode: 'race-link', name: 'a server outside, while a thread changes a link', kind: 'stream', address: inWorkspace, failure: 'row 26: sandlock#111' },
  { mode: 'race-hard-link', name: 'a server in the workspace, while a thread changes a hard link', kind: 'stream', address: inWorkspace, failure: 'row 26' },
  { mode: 'race-descriptor', name: 'a server outside, while a thread changes the descriptor', kind: 'stream', address: inWorkspace, failure: 'row 26: CONTINUE is unsafe for TCP too' },
]

export const UNIX_SOCKET_ATTEMPTS: readonly HostileAttempt[] = [
  ...ROWS.flatMap(row => [row, { ...row, open: true as const }]).map(({ mode, name, kind, address, open, failure }): HostileAttempt => ({
    name: `reach ${name}${open === true ? ', with the network open' : ''}`, failure, compiled: true, needs: ['python3'],
    ...(open === true ? { policy: () => OPEN_NETWORK } : {}),
    prepare: scene => serveOutside(scene, kind, address(scene)),
    attack: attack(mode, address), evidence: contacted, can: OWN_SOCKETS,
  })),
  {
    name: 'pass a server of the host\'s off as one just made, with the network open', failure: 'ours: own sockets were told by the path that they had been bound to, after the fact', compiled: true,
    policy: () => OPEN_NETWORK, prepare: scene => serveOutside(scene, 'stream', inWorkspace(scene)),
    attack: attack('race-bind', inWorkspace), evidence: contacted,
  },
  {
    name: 'make a socket through the launcher\'s own /proc/self/fd, with the network open', failure: 'row 28: sandlock#246, /proc/self served by the supervisor; ours led to the user\'s home', compiled: true,
    policy: () => OPEN_NETWORK, attack: attack('bind-through-proc', () => '/nowhere'),
    evidence: scene => {
      const home = process.env['HOME'] as string
      const places = [home, `${home}/.local`, `${home}/.local/state`, `${home}/.local/state/codex-sandbox`, scene.workspace, `${scene.workspace}/..`, '/tmp']
      const found = places.map(place => `${place}/evil.sock`).filter(path => existsSync(path))
      for (const path of found) rmSync(path)
      return found.length === 0 ? undefined : `${found.join(', ')} was made`
    },
    can: { name: 'makes a socket by a relative path and by a link', act: python(`
os.mkdir(W + '/d'); os.symlink('d', W + '/l'); os.chdir(W)
for path in ('d/a.sock', 'l/b.sock', '../workspace/c.sock'):
    server = socket.socket(socket.AF_UNIX); server.bind(path); server.listen()
    client = socket.socket(socket.AF_UNIX); client.connect(path); assert server.getsockname() == path
open(W + '/can', 'w').close()
`) },
    supervised: {
      why: 'a socket that is bound through a link or a relative path tells its real path (docs/launcher.md)',
      can: { name: 'makes a socket by a relative path and by a link', act: python(`
os.mkdir(W + '/d'); os.symlink('d', W + '/l'); os.chdir(W)
for path, real in (('d/a.sock', 'd/a.sock'), ('l/b.sock', 'd/b.sock'), ('../workspace/c.sock', 'c.sock')):
    server = socket.socket(socket.AF_UNIX); server.bind(path); server.listen()
    client = socket.socket(socket.AF_UNIX); client.connect(path); assert server.getsockname() in (path, W + '/' + real), server.getsockname()
open(W + '/can', 'w').close()
`) },
    },
  },
  {
    name: 'make a socket outside, with the network open', failure: 'ours: binds are carried out by the launcher, and it may not have more rights than the command', needs: ['python3'],
    policy: () => OPEN_NETWORK,
    attack: python(`
for path in (O + '/new.sock', '../outside/new.sock', '/proc/self/root' + O + '/new.sock', W + '/.git/new.sock', W + '/.codex/new.sock'):
    try: socket.socket(socket.AF_UNIX).bind(path)
    except OSError: pass
try:
    os.symlink(O, W + '/link'); socket.socket(socket.AF_UNIX).bind(W + '/link/new.sock')
except OSError: pass
`),
    evidence: ({ workspace }) => ['.git', '.codex'].map(name => `${workspace}/${name}/new.sock`).find(path => existsSync(path)),
    can: OWN_SOCKETS,
  },
  {
    name: 'reach a server that another sandbox of the folder made', failure: 'row 50: one sandbox\'s servers are not another\'s', needs: ['python3'],
    attack: async scene => {
      const other = await scene.another({})
      const serving = other.run([findProgram('python3') as string, '-c', `
import os, socket
server = socket.socket(socket.AF_UNIX); server.bind(os.environ['W'] + '/other.sock'); server.listen(); server.settimeout(2)
tcp = socket.socket(); tcp.bind(('127.0.0.1', 47321)); tcp.listen(); tcp.settimeout(0.5)
open(os.environ['W'] + '/ready', 'w').close()
for each in (server, tcp):
    try: each.accept(); open(os.environ['W'] + '/contacted', 'w').close()
    except OSError: pass
`])
      for (let i = 0; i < 300 && !existsSync(`${scene.workspace}/ready`); i++) await pause(10)
      await python(`
for family, address in ((socket.AF_UNIX, W + '/other.sock'), (socket.AF_INET, ('127.0.0.1', 47321))):
    try: socket.socket(family).connect(address)
    except OSError: pass
`)(scene)
      await serving
      await other.close()
    },
    evidence: ({ workspace }) => existsSync(`${workspace}/contacted`) ? 'the other sandbox\'s server had a contact' : undefined,
    can: OWN_SOCKETS,
  },
  {
    name: 'keep a server\'s name when its server is gone', failure: 'B2: a socket\'s inode is never bound twice; a name is', needs: ['python3'],
    prepare: scene => { mkdirSync(`${scene.workspace}/run`) },
    attack: async scene => {
      // The command makes a.sock; the host then puts its own in that place.
      await python('s = socket.socket(socket.AF_UNIX); s.bind(W + "/run/a.sock"); os.unlink(W + "/run/a.sock")')(scene)
      const server = createServer(socket => { scene.notes.set('reached', 'the host\'s server had a contact'); socket.destroy() })
      await new Promise<void>(done => { server.listen(`${scene.workspace}/run/a.sock`, done) })
      scene.defer(() => new Promise(done => { server.close(() => done()) }))
      await node('require("node:net").connect(process.env.W + "/run/a.sock").on("error", () => process.exit()).on("connect", () => process.exit())')(scene)
    },
    evidence: async scene => { await pause(30); return scene.notes.get('reached') },
  },
  {
    name: 'leave sockets or shared memory on the host', failure: 'ours: /dev/shm and abstract names are the sandbox\'s own', needs: ['python3'],
    attack: python(`
import mmap
open('/dev/shm/escape-attempt-shared', 'w').write('x')
`),
    evidence: () => readdirSync('/dev/shm').includes('escape-attempt-shared') ? '/dev/shm is the host\'s' : undefined,
    can: { name: 'uses shared memory', act: python('open("/dev/shm/own", "w").write("x"); open(W + "/can", "w").write(open("/dev/shm/own").read())') },
  },
]
