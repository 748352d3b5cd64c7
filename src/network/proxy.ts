// The sandbox's only way to the network: takes connections, and serves HTTP, CONNECT or SOCKS5 on each, told apart by its first byte.
import type { Socket } from 'node:net'
import { networkInterfaces } from 'node:os'
import { type CompiledDomains, decideName } from '../policy/domains.js'
import { parseHost } from '../policy/host-name.js'
import { type Approvals, type Ask, createApprovals } from './approvals.js'
import { ByteReader } from './byte-reader.js'
import type { Client, NetworkDenial, Timeouts } from './client.js'
import { type Dial, dialDirect, guarded } from './dial.js'
import { serveHttp } from './http.js'
import { createJudge } from './judge.js'
import { createResolver, type Resolve } from './resolver.js'
import { serveSocks5 } from './socks5.js'

export interface ProxyOptions {
  /** Read for each request: what changes applies from the next one on. Tunnels that stand are left alone. */
  readonly rules: () => CompiledDomains
  /** Demanded from every client, as the password of Basic or of SOCKS5: for a listener that others on the host can reach. */
  readonly token?: string
  /** Told of the user that a client names beside its password, before what it asks for is judged. Believed by nobody: it is the client's own word for who it is. */
  readonly onUser?: (user: string, source: unknown) => void
  /** Asked about hosts that no rule names. Default: they are denied. */
  readonly ask?: Ask
  /** In place of `ask`: shared by several proxies, and closed by whoever made it. */
  readonly approvals?: Approvals
  /** How long an answer may take. Default: 300,000. */
  readonly askTimeoutMs?: number
  /** Told of each connection that begins to wait for an answer and that ends to wait, with its source. */
  readonly onPrompt?: (open: boolean, source: unknown) => void
  readonly onDenied?: (denial: NetworkDenial, source: unknown) => void
  /** All addresses of a name. Default: the host's resolver, for at most 10 s. */
  readonly resolve?: Resolve
  readonly dial?: Dial
  /** An HTTP proxy that leads on: `http://` or `https://`, with user and password where it wants them. Addresses that are not public are dialled directly. */
  readonly upstream?: URL
  /** Addresses of the host's own interfaces. Default: as they are, read again at most once a second. */
  readonly hostAddresses?: () => readonly string[]
  /** Connections beyond it are closed at once. Default: 8192. */
  readonly maxConnections?: number
  /** Of them, those that are no tunnel: each may make the proxy hold a head of 64 KiB. Default: 1024. */
  readonly maxUndecided?: number
  readonly timeouts?: Partial<Timeouts>
}

export interface ProxyStats {
  readonly connections: number
  /** Of them, those that only pass bytes on. */
  readonly tunnels: number
  /** Since the start. */
  readonly denied: number
}

export interface NetworkProxy {
  /** Takes a connection over, paused or not. `source` comes back in `onDenied` and `onPrompt`. */
  accept(socket: Socket, source?: unknown): void
  /** Ends all connections and withdraws all questions. */
  close(): Promise<void>
  readonly stats: ProxyStats
}

const INTERFACES_FOR_MS = 1_000
const DEFAULT_MAX_CONNECTIONS = 8192
const DEFAULT_MAX_UNDECIDED = 1024
const DEFAULT_TIMEOUTS: Timeouts = { headMs: 60_000, idleMs: 300_000, endedMs: 60_000 }
const SOCKS5 = 5

/** Listens to nothing itself: it is given sockets. */
export function createProxy(options: ProxyOptions): NetworkProxy {
  const { rules, ask, onPrompt, onDenied, upstream } = options
  if (upstream !== undefined && upstream.protocol !== 'http:' && upstream.protocol !== 'https:') throw new TypeError(`an upstream proxy is http:// or https://, not ${upstream.protocol}`)
  const timeouts: Timeouts = { ...DEFAULT_TIMEOUTS, ...options.timeouts }
  const { maxConnections = DEFAULT_MAX_CONNECTIONS, maxUndecided = DEFAULT_MAX_UNDECIDED } = options
  const hostAddresses = cachedSet(options.hostAddresses ?? interfaceAddresses)
  const own: Approvals | undefined = ask === undefined || options.approvals !== undefined ? undefined : createApprovals({
    ask,
    ...options.askTimeoutMs !== undefined && { timeoutMs: options.askTimeoutMs },
    ...onPrompt !== undefined && { onPrompt },
  })
  const approvals = options.approvals ?? own
  const judge = createJudge({ rules, approvals, resolve: options.resolve ?? createResolver(), hostAddresses, upstream: upstream !== undefined })
  const sockets = new Set<Socket>()
  const tunnels = new Set<Socket>()
  let denied = 0
  let closed = false

  const serve = async (socket: Socket, source: unknown): Promise<void> => {
    const client: Client = {
      reader: new ByteReader(socket),
      source,
      token: options.token,
      named: options.onUser === undefined ? undefined : user => options.onUser?.(user, source),
      judge,
      dial: options.dial ?? dialDirect,
      upstream,
      timeouts,
      deniesName: (host, port) => {
        const verdict = decideName(rules(), { host, port, protocol: 'https' })
        return verdict.verdict === 'deny' && (verdict.because === 'denied' || verdict.because === 'invalid-host')
      },
      denied: denial => {
        denied++
        onDenied?.(denial, source)
      },
      tunnelled: () => { tunnels.add(socket) },
    }
    const idle = setTimeout(() => socket.destroy(), timeouts.idleMs).unref()
    await client.reader.more()
    clearTimeout(idle)
    const [first] = client.reader.bytes
    if (first === undefined) socket.end()
    else if (first === SOCKS5) await serveSocks5(client)
    // A method's first letter. TLS, SOCKS4 and all else are not spoken here.
    else if (first >= 0x41 && first <= 0x5a) await serveHttp(client)
    else socket.destroy()
  }

  return {
    accept(socket, source) {
      guarded(socket)
      if (closed || sockets.size >= maxConnections || sockets.size - tunnels.size >= maxUndecided) return void socket.destroy()
      sockets.add(socket)
      socket.once('close', () => {
        sockets.delete(socket)
        tunnels.delete(socket)
      })
      socket.setNoDelay(true)
      // An end in one direction is passed on and leaves the other open.
      socket.allowHalfOpen = true
      // What is not foreseen ends this connection, and no other.
      serve(socket, source).catch(() => socket.destroy())
    },
    async close() {
      closed = true
      own?.close()
      await Promise.all([...sockets].map(socket => new Promise<void>(resolve => {
        socket.once('close', () => resolve())
        socket.destroy()
      })))
    },
    get stats() {
      return { connections: sockets.size, tunnels: tunnels.size, denied }
    },
  }
}

function interfaceAddresses(): string[] {
  return Object.values(networkInterfaces()).flatMap(addresses => addresses ?? []).map(({ address }) => address.replace(/%.*$/, ''))
}

function cachedSet(read: () => readonly string[]): () => ReadonlySet<string> {
  let kept: { readonly set: ReadonlySet<string>; readonly until: number } | undefined
  return () => {
    const now = performance.now()
    if (kept === undefined || now >= kept.until) kept = { set: new Set(read().map(address => parseHost(address).text)), until: now + INTERFACES_FOR_MS }
    return kept.set
  }
}
