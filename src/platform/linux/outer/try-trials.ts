// Tries for real what a policy denies, with this process's own rights, and undoes it: whether a sandbox around it refuses that.
import { randomBytes } from 'node:crypto'
import { createSocket } from 'node:dgram'
import { closeSync, constants, lstatSync, mkdirSync, openSync, readdirSync, readFileSync, realpathSync, rmdirSync, rmSync } from 'node:fs'
import { connect } from 'node:net'
import { networkInterfaces, userInfo } from 'node:os'
import { join } from 'node:path/posix'
import { readMounts } from '../../../host/mounts.js'
import type { ResolvedPolicy } from '../../../policy/resolved-policy.js'
import { type Listening, listeningIn } from './listening.js'
import { outerTrials, type Trial, TRIAL_NAME } from './trials.js'

/** What refuses, whatever it is: a mode, a read-only mount, Landlock, a filter. */
const REFUSED = ['EACCES', 'EPERM', 'EROFS']
/** There is nothing to be tried, or no more. */
const NOTHING = ['ENOENT', 'ENOTDIR', 'ELOOP', 'ENAMETOOLONG']
/** No way leads there, or there are no such addresses; anything else of a socket, a lack of descriptors too, is not known to be a refusal. */
const NO_WAY = ['ENETUNREACH', 'EHOSTUNREACH', 'ENETDOWN', 'EADDRNOTAVAIL', 'EAFNOSUPPORT', 'EPROTONOSUPPORT']
/** A socket that nobody serves, or no more. */
const UNSERVED = 'ECONNREFUSED'
/** Beside each folder above a root lies what other sandboxes write in; of so many entries. */
const MOST_ENTRIES = 256
/** Runs just now: the kernel says so before it looks at the mount. The folder that it lies in is tried as well. */
const BUSY = ['ETXTBSY', 'ENXIO']

/** Reserved for documentation (RFC 5737, RFC 3849): nobody is there. Connecting a datagram socket sends nothing. */
const NOWHERE = [{ type: 'udp4', address: '192.0.2.1' }, { type: 'udp6', address: '2001:db8::1' }] as const
const DISCARD_PORT = 9
const UNIX_SOCKETS = ['/run/docker.sock', '/run/podman/podman.sock', '/run/containerd/containerd.sock', '/run/dbus/system_bus_socket', '/run/systemd/private'] as const
const CONNECT_TIMEOUT_MS = 1000

/** So many are told, and then nothing more is tried: where no sandbox is around, each trial is for a moment a folder where nobody expects one. */
export const MOST_FOUND = 3

/**
 * @returns  what is denied by `policy` and was not refused, in words: `writing "/etc"`; at most `MOST_FOUND`; empty where all was refused
 * @throws   an error of Node's where something could not be tried: there are no descriptors left, a file system is broken
 */
export async function findOpen(policy: ResolvedPolicy, env: NodeJS.ProcessEnv): Promise<string[]> {
  const found: string[] = []
  for (const trial of outerTrials(policy, { others: [...readMounts().map(({ point }) => point), ...Object.values(env).filter(value => value?.startsWith('/') === true) as string[]], except: ownFolders(), real, entries })) {
    if (isOpen(trial)) found.push(`${WORDS[trial.access]} ${JSON.stringify(trial.path)}`)
    if (found.length === MOST_FOUND) return found
  }
  if (policy.network === 'off') found.push(...await openNetwork())
  if (policy.networkRules?.dangerouslyAllowAllUnixSockets !== true) found.push(...await openUnixSockets(policy, env))
  return found.slice(0, MOST_FOUND)
}

/**
 * What this package keeps in the home of the account: an outer sandbox of ours lets commands write in their caches there. As the account has
 * it, not as a variable says: one could be set so that a place is not tried.
 */
function ownFolders(): string[] {
  try {
    const { homedir } = userInfo()
    return [join(homedir, '.cache/codex-sandbox'), join(homedir, '.local/state/codex-sandbox')]
  } catch {
    return [] // an account without an entry
  }
}

const WORDS: Record<Trial['access'], string> = { write: 'writing', make: 'making', read: 'reading' }

function isOpen({ access, path }: Trial): boolean {
  switch (access) {
    case 'write': return kindOf(path) === 'directory' ? isMadeIn(path) : ['file', 'empty file'].includes(kindOf(path) ?? '') && succeeds(() => closeSync(openSync(path, constants.O_WRONLY | constants.O_NONBLOCK | constants.O_NOFOLLOW)))
    case 'make': return isMade(path)
    // What hides a folder is empty, and what hides a file no file.
    case 'read': return kindOf(path) === 'directory' ? hasEntries(path) : kindOf(path) === 'file' && succeeds(() => closeSync(openSync(path, constants.O_RDONLY | constants.O_NONBLOCK | constants.O_NOFOLLOW)))
    default: return access satisfies never
  }
}

/** A folder or a file: two rights, of which an outer sandbox may give one. */
function isMadeIn(folder: string): boolean {
  const path = join(folder, `${TRIAL_NAME}${randomBytes(8).toString('hex')}`)
  if (isMade(path)) return true
  const made = succeeds(() => closeSync(openSync(path, constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW, 0o600)))
  if (made) rmSync(path, { force: true })
  return made
}

function isMade(path: string): boolean {
  const made = succeeds(() => mkdirSync(path, 0o700))
  if (made) removeFolder(path)
  return made
}

/** Where nothing came of it, as on a full disk, there is none. */
function removeFolder(path: string): void {
  try {
    rmdirSync(path)
  } catch (error) {
    if (codeOf(error) !== 'ENOENT') throw error
  }
}

function hasEntries(folder: string): boolean {
  try {
    return readdirSync(folder).length > 0
  } catch (error) {
    return isAnswer(error)
  }
}

function succeeds(attempt: () => void): boolean {
  try {
    attempt()
    return true
  } catch (error) {
    return isAnswer(error)
  }
}

/** Whether an error says that nothing refused: a full disk, say, or a name that is taken. */
const isAnswer = (error: unknown): boolean => ![...REFUSED, ...NOTHING, ...BUSY].includes(codeOf(error))

const codeOf = (error: unknown): string => (error as NodeJS.ErrnoException).code ?? ''

function kindOf(path: string): 'directory' | 'file' | 'empty file' | 'other' | undefined {
  const entry = unlessRefused(() => lstatSync(path))
  if (entry === undefined) return undefined
  return entry.isDirectory() ? 'directory' : !entry.isFile() ? 'other' : entry.size > 0 ? 'file' : 'empty file'
}

const real = (path: string): string | undefined => unlessRefused(() => realpathSync.native(path))

const entries = (folder: string): string[] => (unlessRefused(() => readdirSync(folder)) ?? []).slice(0, MOST_ENTRIES).map(name => join(folder, name))

/** Undefined where nothing is, or it may not be looked at. Whatever else goes wrong leaves something untried, and so is no answer. */
function unlessRefused<Answer>(look: () => Answer): Answer | undefined {
  try {
    return look()
  } catch (error) {
    if (isAnswer(error)) throw error
    return undefined
  }
}

async function openNetwork(): Promise<string[]> {
  // Before there are sockets of our own.
  const listening = listeningHere()
  const own = Object.values(networkInterfaces()).flatMap(each => each ?? []).filter(({ internal }) => !internal)
  const datagrams = [...NOWHERE, ...own.map(({ family, address, scopeid }) => ({ type: family === 'IPv4' ? 'udp4' as const : 'udp6' as const, address: scopeid ? `${address}%${scopeid}` : address }))]
  const found = [
    ...await Promise.all(datagrams.map(async ({ type, address }) => await datagramConnects(type, address) ? [address] : [])),
    ...await Promise.all(own.filter(({ family }) => family === 'IPv4').map(async ({ address }) => await streamConnects({ host: address, port: DISCARD_PORT }) ? [address] : [])),
  ].flat()
  return found.length === 0 ? openLoopback(listening) : [`the network (${[...new Set(found)].join(', ')})`]
}

/** Which sockets wait for somebody here, as the kernel lists them; undefined where it cannot be read. */
function listeningHere(): Listening[] | undefined {
  const [first, ...others] = TABLES.map(({ name, type }) => {
    const text = unlessRefused(() => readFileSync(`/proc/self/net/${name}`, 'latin1'))
    return text === undefined ? undefined : listeningIn(text, type)
  })
  // The others are missing where a kernel has no IPv6.
  return first === undefined ? undefined : [first, ...others].flatMap(each => each ?? [])
}

const TABLES = [{ name: 'tcp', type: 'stream' }, { name: 'tcp6', type: 'stream' }, { name: 'udp', type: 'udp4' }, { name: 'udp6', type: 'udp6' }] as const

/**
 * Where no way leads out, as without an interface, or through a proxy alone, servers on this very machine can be reached all the same. An
 * outer sandbox may have a loopback of its own; what waits there is no part of this one either.
 */
async function openLoopback(listening: readonly Listening[] | undefined): Promise<string[]> {
  if (listening === undefined) {
    // Which there are is not known: it is enough that none could be reached.
    if (!await streamConnects({ host: '127.0.0.1', port: DISCARD_PORT })) return []
    throw Object.assign(new Error('the sockets of this machine cannot be listed'), { code: 'ENOENT', path: '/proc/self/net/tcp' })
  }
  for (const { type, address, port } of listening) {
    // Where it does wait, that nobody does is what the outer sandbox says.
    if (await (type === 'stream' ? streamConnects({ host: address, port }, error => codeOf(error) !== UNSERVED && isWay(error)) : datagramConnects(type, address, port))) return [`the network (${address.includes(':') ? `[${address}]` : address}:${port}, where something listens)`]
  }
  return []
}

function datagramConnects(type: 'udp4' | 'udp6', address: string, port = DISCARD_PORT): Promise<boolean> {
  return new Promise(resolve => {
    const socket = createSocket(type)
    const settle = (connected: boolean) => {
      socket.removeAllListeners('error').on('error', () => {})
      try { socket.close() } catch { /* it was never open */ }
      resolve(connected)
    }
    socket.on('error', error => settle(isWay(error)))
    socket.connect(port, address, ((error?: Error | null) => settle(error === undefined || error === null || isWay(error))) as () => void)
  })
}

/** Nobody has to listen: that it was looked for is enough. */
function streamConnects(target: { host: string; port: number } | { path: string }, isOpen: (error: Error) => boolean = isWay): Promise<boolean> {
  return new Promise(resolve => {
    const socket = connect(target).setTimeout(CONNECT_TIMEOUT_MS)
    const settle = (connected: boolean) => {
      socket.destroy()
      resolve(connected)
    }
    socket.on('connect', () => settle(true)).on('timeout', () => settle(true))
      .on('error', error => settle(isOpen(error)))
  })
}

/** Whether an error of a socket says that nothing kept it from the network. */
const isWay = (error: Error): boolean => ![...REFUSED, ...NO_WAY].includes(codeOf(error))

async function openUnixSockets({ unixSockets = [] }: ResolvedPolicy, env: NodeJS.ProcessEnv): Promise<string[]> {
  const bus = /^unix:path=([^,;]+)/.exec(env['DBUS_SESSION_BUS_ADDRESS'] ?? '')?.[1]
  const paths = [...UNIX_SOCKETS, env['SSH_AUTH_SOCK'], bus].filter(path => path !== undefined && path !== '' && !unixSockets.some(allowed => allowed.path === path)) as string[]
  const found = await Promise.all(paths.map(async path => await streamConnects({ path }, error => codeOf(error) !== UNSERVED && isAnswer(error)) ? [`the unix socket ${JSON.stringify(path)}`] : []))
  return found.flat()
}
