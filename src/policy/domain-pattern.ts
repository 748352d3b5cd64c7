// The patterns of `allowedDomains` and `deniedDomains`, each with an optional port or range of ports.
import { SandboxError } from '../errors.js'
import { parseHost } from './host-name.js'
import { type IpAddress, sameNetwork } from './ip-address.js'

export interface PortRange {
  readonly from: number
  readonly to: number
}

/**
 * `exact`       `example.com`
 * `subdomains`  `*.example.com`: what is below it, at any depth, never itself
 * `both`        `**.example.com`: itself and what is below it
 * `network`     an IP address (all bits) or a range of them in CIDR form
 * `any`         `*`: each name and each public address; never one that is local
 */
export type DomainPattern = { readonly text: string; readonly ports: PortRange | undefined } & (
  | { readonly kind: 'exact' | 'subdomains' | 'both'; readonly name: string }
  | { readonly kind: 'network'; readonly network: IpAddress; readonly prefix: number }
  | { readonly kind: 'any' }
)

/**
 * Parses one entry of a list. Pure.
 *
 * @param list   `deny` refuses `*`: a network with nothing in it is the network turned off
 * @param field  for the error: `network.allowedDomains[3]`
 * @throws       SandboxError `policy_invalid_value`, which says what to write instead
 */
export function parseDomainPattern(text: string, list: 'allow' | 'deny', field: string): DomainPattern {
  const wrong = (detail: string, remedy: string): SandboxError => new SandboxError('policy_invalid_value', { field, value: text }, { detail, remedy })
  if (/^[a-z][a-z0-9+.-]*:\/\//i.test(text)) throw wrong('it is a URL', 'Write the host alone, with :port where one port is meant.')
  const { rest, portText } = splitPort(text)
  const ports = portText === undefined ? undefined : parsePorts(portText)
  if (ports === 'invalid') throw wrong('its port is not one of 1 to 65535', 'Write example.com:443 or example.com:8000-8999.')

  if (rest === '*') {
    if (list === 'deny') throw wrong('it denies everything', 'Turn the network off instead: network: "off".')
    return { text, ports, kind: 'any' }
  }
  if (rest.includes('/')) return { text, ports, kind: 'network', ...parseCidr(rest, wrong) }
  const kind = rest.startsWith('**.') ? 'both' : rest.startsWith('*.') ? 'subdomains' : 'exact'
  const named = rest.slice({ exact: 0, subdomains: 2, both: 3 }[kind])
  if (named.includes('*')) throw wrong('a * stands only for whole labels at the front', 'Write *.example.com (subdomains) or **.example.com (itself as well).')
  const host = parseHost(named)
  switch (host.kind) {
    case 'invalid': throw wrong(`its host ${host.reason}`, 'Write a domain, *.domain, **.domain, an IP address or a range of them.')
    case 'address':
      if (kind !== 'exact') throw wrong('an address has no subdomains', `Write ${host.text}, or a range such as 10.0.0.0/8.`)
      return { text, ports, kind: 'network', network: host.address, prefix: host.address.bytes.length * 8 }
    case 'name': return { text, ports, kind, name: host.text }
    default: return host satisfies never
  }
}

function splitPort(text: string): { rest: string; portText: string | undefined } {
  const bracketed = /^\[([^\]]*)\](?::(.*))?$/s.exec(text)
  // What stood in brackets may only be IPv6: a colon is left in it, so a name is refused further down.
  if (bracketed !== null) return { rest: bracketed[1]?.includes(':') === true ? bracketed[1] : text, portText: bracketed[2] }
  const parts = text.split(':')
  return parts.length === 2 ? { rest: parts[0] ?? '', portText: parts[1] } : { rest: text, portText: undefined }
}

function parsePorts(text: string): PortRange | 'invalid' {
  const found = /^([0-9]{1,5})(?:-([0-9]{1,5}))?$/.exec(text)
  const from = Number(found?.[1])
  const to = Number(found?.[2] ?? found?.[1])
  return from >= 1 && from <= to && to <= 65_535 ? { from, to } : 'invalid'
}

function parseCidr(text: string, wrong: (detail: string, remedy: string) => SandboxError): { network: IpAddress; prefix: number } {
  const [address = '', length = '', ...more] = text.split('/')
  const host = parseHost(address)
  const prefix = /^[0-9]{1,3}$/.test(length) ? Number(length) : Number.NaN
  if (host.kind === 'name') throw wrong('it has a path', 'Write the host alone, with :port where one port is meant.')
  if (more.length > 0 || host.kind !== 'address' || !(prefix <= host.address.bytes.length * 8)) throw wrong('it is no range of addresses', 'Write 10.0.0.0/8 or fd00::/8.')
  const network = maskBytes(host.address.bytes, prefix)
  if (!sameNetwork(network, host.address.bytes, network.length * 8)) throw wrong('it has bits beyond its length', 'Write the first address of the range, such as 10.0.0.0/8.')
  return { network: host.address, prefix }
}

function maskBytes(bytes: readonly number[], prefix: number): number[] {
  return bytes.map((byte, index) => byte & 0xff << Math.min(8, Math.max(0, 8 * (index + 1) - prefix)) & 0xff)
}
