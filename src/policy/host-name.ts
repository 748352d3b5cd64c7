// What a client or a rule calls a host: a name in its one normal form, an IP address in any of its spellings, or neither.
import { domainToASCII } from 'node:url'
import { type IpAddress, parseAddress, parseLegacyIpv4 } from './ip-address.js'

export type Host =
  | { readonly kind: 'name'; readonly text: string }
  | { readonly kind: 'address'; readonly text: string; readonly address: IpAddress }
  | { readonly kind: 'invalid'; readonly text: string; readonly reason: string }

const MOST_OCTETS = 253
const MOST_OCTETS_OF_LABEL = 63

/**
 * The one meaning of `text`: lower case, one trailing dot off, IDNA; addresses canonical, also from spellings such as `0x7f.1`, which
 * resolvers read as addresses. Brackets around IPv6 are taken off. `text` of the answer parses to the same answer again.
 * A name that resolvers could read in two ways is invalid: control characters, percent escapes, empty labels, a last label that is a number.
 */
export function parseHost(text: string): Host {
  const invalid = (reason: string): Host => ({ kind: 'invalid', text, reason })
  if (text.length > 4 * MOST_OCTETS) return invalid(`is longer than ${MOST_OCTETS} octets`)
  if (text.startsWith('[') || text.endsWith(']') || text.includes(':')) {
    const address = parseAddress(text.startsWith('[') && text.endsWith(']') ? text.slice(1, -1) : text)
    if (address === undefined || !text.includes(':')) return invalid('is not an IPv6 address')
    return { kind: 'address', text: address.text, address }
  }
  if (/[\0-\x7f]/.test(text) && !/^[A-Za-z0-9._\-\x80-\u{10ffff}]*$/u.test(text)) return invalid('holds a character that no host name has')
  const ascii = /[^\0-\x7f]/.test(text) ? domainToASCII(text) : text.toLowerCase()
  if (ascii === '' && text !== '') return invalid('is no international domain name')
  const name = ascii.endsWith('.') ? ascii.slice(0, -1) : ascii
  if (name === '') return invalid('is empty')
  if (name.length > MOST_OCTETS) return invalid(`is longer than ${MOST_OCTETS} octets`)
  if (!/^[a-z0-9._-]+$/.test(name)) return invalid('holds a character that no host name has')
  const labels = name.split('.')
  if (labels.some(label => label === '')) return invalid('has an empty label')
  // As browsers and the C library do: what ends in a number is an IPv4 address or nothing.
  if (/^(?:[0-9]+|0x[0-9a-f]*)$/.test(labels.at(-1) ?? '')) {
    const address = parseAddress(name) ?? parseLegacyIpv4(name)
    return address === undefined ? invalid('ends in a number and is not an IPv4 address') : { kind: 'address', text: address.text, address }
  }
  if (labels.some(label => label.length > MOST_OCTETS_OF_LABEL)) return invalid(`has a label of more than ${MOST_OCTETS_OF_LABEL} octets`)
  return { kind: 'name', text: name }
}

/** `localhost` and all below it: the loopback, whatever a resolver says (RFC 6761). */
export function isLocalhost(name: string): boolean {
  return name === 'localhost' || name.endsWith('.localhost')
}

/** `host:port` as URLs write it: IPv6 in brackets. */
export function formatHostPort(host: string, port: number): string {
  return `${host.includes(':') ? `[${host}]` : host}:${port}`
}
