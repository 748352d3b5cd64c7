// From what a client asks for to the addresses that may be dialled: judge the name, ask where no rule names it, resolve once, judge each address.
import { type CompiledDomains, decideAddress, decideName, type HostRequest, type HostVerdict } from '../policy/domains.js'
import { isLocalhost, parseHost } from '../policy/host-name.js'
import { classifyAddress } from '../policy/ip-address.js'
import type { Approval, Approvals } from './approvals.js'
import { fromVerdict, type Refusal, type RefusalReason } from './refusal.js'
import type { Address, Resolve } from './resolver.js'

export type Admission =
  /** `throughUpstream`: by name to the upstream proxy. Otherwise one of `addresses` is dialled, and nothing else. */
  | { readonly kind: 'admitted'; readonly host: string; readonly addresses: readonly Address[]; readonly throughUpstream: boolean }
  | { readonly kind: 'refused'; readonly host: string; readonly refusal: Refusal }
  /** Permitted, but it has no address. */
  | { readonly kind: 'unresolved'; readonly host: string; readonly reason: string }

export interface JudgeOptions {
  readonly rules: () => CompiledDomains
  readonly approvals: Approvals | undefined
  readonly resolve: Resolve
  readonly hostAddresses: () => ReadonlySet<string>
  /** Whether there is a proxy between here and the internet. */
  readonly upstream: boolean
}

export type Judge = (request: HostRequest, source: unknown, signal: AbortSignal) => Promise<Admission>

const LOOPBACK: readonly Address[] = [{ address: '127.0.0.1', family: 4 }, { address: '::1', family: 6 }]
const APPROVALS: Record<Exclude<Approval, 'accepted'>, RefusalReason> = {
  'declined': 'declined', 'denied': 'declined', 'timed-out': 'timed-out', 'failed': 'unanswered', 'aborted': 'unanswered',
}

/** Nothing is resolved before the name is permitted: a lookup tells the name's owner something. */
export function createJudge({ rules, approvals, resolve, hostAddresses, upstream }: JudgeOptions): Judge {
  return async (request, source, signal) => {
    const host = parseHost(request.host)
    const refused = (refusal: Refusal): Admission => ({ kind: 'refused', host: host.text, refusal })
    const normal = { ...request, host: host.text }
    const own = hostAddresses()

    const named = decideName(rules(), normal, own)
    if (named.verdict === 'deny') return refused(fromVerdict(named))
    if (named.verdict === 'ask') {
      if (approvals === undefined) return refused({ because: 'no-rule' })
      const approval = await approvals.decide({ host: normal.host, port: normal.port, protocol: normal.protocol }, source, signal)
      if (approval !== 'accepted') return refused({ because: APPROVALS[approval] })
      // The rules may be others by now; only their silence leaves the answer standing.
      const now = decideName(rules(), normal, own)
      if (now.verdict === 'deny') return refused(fromVerdict(now))
    }

    // Both judgements of a literal are done.
    if (host.kind === 'address') {
      const { address } = host
      return { kind: 'admitted', host: host.text, addresses: [{ address: address.text, family: address.family }], throughUpstream: upstream && classifyAddress(address, own).class === 'public' }
    }
    const found = isLocalhost(host.text) ? LOOPBACK : await resolve(host.text).catch((error: unknown) => describeError(error))
    if (typeof found === 'string' || found.length === 0) {
      // Behind a proxy that resolves for everybody, names may have no address here at all.
      return upstream ? { kind: 'admitted', host: host.text, addresses: [], throughUpstream: true } : { kind: 'unresolved', host: host.text, reason: typeof found === 'string' ? found : 'it has no address' }
    }
    const judged = found.map(({ address }) => ({ address, verdict: decideAddress(rules(), { address, port: normal.port, hostAddresses: own }) }))
    const permitted = judged.filter(({ verdict }) => verdict.verdict === 'allow').map(({ address }) => canonical(address))
    // Addresses that are refused are left out; but which one an upstream proxy takes for a name is not ours to say.
    if (permitted.length === 0 || (upstream && permitted.length < judged.length)) return refused(describeRefused(judged))
    const public_ = permitted.every(({ address }) => isPublic(address, own))
    return { kind: 'admitted', host: host.text, addresses: permitted, throughUpstream: upstream && public_ }
  }
}

/** The address in its canonical text: exactly what was judged is what is dialled. */
function canonical(address: string): Address {
  const host = parseHost(address)
  if (host.kind !== 'address') throw new Error(`${JSON.stringify(address)} was permitted and is no address`)
  return { address: host.text, family: host.address.family }
}

function isPublic(address: string, own: ReadonlySet<string>): boolean {
  const host = parseHost(address)
  return host.kind === 'address' && classifyAddress(host.address, own).class === 'public'
}

/** What is said of a name none of whose addresses may be reached: the first of them. */
function describeRefused(judged: readonly { readonly address: string; readonly verdict: HostVerdict }[]): Refusal {
  for (const { address, verdict } of judged) {
    if (verdict.verdict !== 'deny') continue
    const refusal = fromVerdict(verdict)
    return { ...refusal, detail: `it resolves to ${address}${refusal.detail === undefined ? '' : `, ${refusal.detail}`}` }
  }
  throw new Error('nothing was refused')
}

function describeError(error: unknown): string {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : 'the lookup failed'
}
