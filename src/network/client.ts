// What the three protocols share: one client's connection, who judges its requests, and how it is refused.
import type { Socket } from 'node:net'
import type { HostProtocol, HostRequest } from '../policy/domains.js'
import type { ByteReader } from './byte-reader.js'
import { type Dial, dialFirst, tunnelThrough } from './dial.js'
import type { Admission, Judge } from './judge.js'
import type { Refusal, RefusalReason } from './refusal.js'

export interface NetworkDenial {
  /** In its normal form; as it was sent where it has none. */
  readonly host: string
  readonly port: number
  readonly protocol: HostProtocol
  readonly because: RefusalReason
  /** The pattern that denies, as it was written. */
  readonly rule?: string
  readonly detail?: string
  readonly method?: string
}

export interface Timeouts {
  /** From a connection's first byte to the end of its head or SOCKS request. Default: 60,000. */
  readonly headMs: number
  /** Of a connection that asks for nothing. Default: 300,000. Tunnels have none. */
  readonly idleMs: number
  /** How long a client that has said its last may wait for its answer; it may as well be gone. Default: 60,000. */
  readonly endedMs: number
}

/** One connection to the proxy. */
export interface Client {
  readonly reader: ByteReader
  readonly source: unknown
  readonly token: string | undefined
  /** Wants to know which user the client names. */
  readonly named: ((user: string) => void) | undefined
  readonly judge: Judge
  readonly dial: Dial
  readonly upstream: URL | undefined
  readonly timeouts: Timeouts
  /** Whether a TLS client that asked for an address may name `serverName`: no rule denies it. */
  readonly deniesName: (serverName: string, port: number) => boolean
  readonly denied: (denial: NetworkDenial) => void
  /** A connection is a tunnel from now on. */
  readonly tunnelled: () => void
}

/** What becomes of a client's connection after a request: another one may follow, it is to be closed, or it is a tunnel. */
export type Next = 'next' | 'close' | 'tunnel'

/** What a client still sends after the last answer is read and dropped for so long, so that it reads the answer instead of a reset. */
const LINGER_MS = 2_000

/** Says that this was all, reads on for a moment, and closes. */
export function closeGently(reader: ByteReader): void {
  const { socket } = reader
  reader.release()
  if (socket.destroyed) return
  socket.end()
  socket.resume()
  const timer = setTimeout(() => socket.destroy(), LINGER_MS).unref()
  socket.once('close', () => clearTimeout(timer))
}

/** Judges, and reports what is refused. A client that goes away meanwhile withdraws its question. */
export async function admit(client: Client, request: HostRequest): Promise<Admission> {
  const signal = client.reader.watch('end')
  try {
    const admission = await client.judge(request, client.source, signal)
    if (admission.kind === 'refused') report(client, { ...request, host: admission.host }, admission.refusal)
    return admission
  } finally {
    client.reader.unwatch()
  }
}

export function report({ denied }: Client, { host, port, protocol, method }: HostRequest, { because, rule, detail }: Refusal): void {
  denied({ host, port, protocol, because, ...rule !== undefined && { rule }, ...detail !== undefined && { detail }, ...method !== undefined && { method } })
}

/** A connection for a tunnel. @throws DialError */
export async function openTunnel(client: Client, admission: Extract<Admission, { kind: 'admitted' }>, port: number): Promise<Socket> {
  const signal = client.reader.watch('close')
  try {
    if (client.upstream !== undefined && admission.throughUpstream) return await tunnelThrough(client.upstream, admission.host, port, signal)
    return (await dialFirst(client.dial, admission.addresses, port, signal)).socket
  } finally {
    client.reader.unwatch()
  }
}
