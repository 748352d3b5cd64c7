// Why a host is refused, and the smallest change of the rules that would let it through, in words and as data. Pure.
import type { HostRefusal, Remedy } from './decision.js'
import { parseHost } from './host-name.js'

export interface HostAndPort {
  readonly host: string
  readonly port: number
}

/** `api.example.com:443`, in normal form; IPv6 in brackets. */
export function writtenHost({ host, port }: HostAndPort): string {
  const { kind, text } = parseHost(host)
  return kind === 'address' && text.includes(':') ? `[${text}]:${port}` : `${text}:${port}`
}

/** @param address  what a permitted name resolved to, where that was refused */
export function hostRemedy(target: HostAndPort, refusal: HostRefusal, address?: string): Remedy {
  if (refusal.verdict === 'ask') return allow([writtenHost(target)])
  switch (refusal.because) {
    case 'no-rule': return allow([writtenHost(target)])
    // Both have to be named.
    case 'local-address': return address === undefined ? allow([writtenHost(target)]) : allow([writtenHost({ host: address, port: target.port })])
    case 'denied': return { text: `remove ${JSON.stringify(refusal.rule)} from network.deniedDomains`, flags: [], changes: [] }
    case 'method': return { text: 'set network.mode to "full"', flags: [], changes: [] }
    case 'invalid-host': return { text: 'nothing: no host has such a name', flags: [], changes: [] }
    default: return refusal satisfies never
  }
}

const allow = (patterns: readonly string[]): Remedy => ({
  text: `add ${patterns.map(each => JSON.stringify(each)).join(' and ')} to network.allowedDomains`,
  flags: patterns.flatMap(each => ['--allow-domain', each]),
  changes: patterns.map(value => ({ operation: 'add', field: 'network.allowedDomains', value })),
  additionalPermissions: { network: { allowedDomains: patterns } },
})

/** As the end of `connection to "x:1" denied: …`. */
export function hostReason(refusal: HostRefusal, address?: string): string {
  if (refusal.verdict === 'ask') return 'no rule of network.allowedDomains names it'
  switch (refusal.because) {
    case 'no-rule': return 'network.allowedDomains does not name it'
    case 'denied': return `network.deniedDomains ${JSON.stringify(refusal.rule)} denies it`
    case 'local-address': {
      const what = refusal.class === 'localhost' ? 'the loopback of this machine' : `a ${refusal.class} address`
      return address === undefined ? `it is ${what}, which needs a rule that names it` : `it resolves to ${JSON.stringify(address)}, ${what}, which needs a rule that names it`
    }
    case 'method': return 'network.mode "limited" lets only GET, HEAD and OPTIONS of plain HTTP through'
    case 'invalid-host': return `its host ${refusal.reason}`
    default: return refusal satisfies never
  }
}
