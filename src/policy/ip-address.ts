// IP addresses: strict parsing, one canonical text, and the class that decides whether an address may be reached without a rule of its own.

/** `bytes`: 4 or 16 numbers. `text`: canonical (RFC 5952). An IPv4 address written as IPv6 (`::ffff:…`) is the IPv4 address. */
export interface IpAddress {
  readonly family: 4 | 6
  readonly bytes: readonly number[]
  readonly text: string
}

export type AddressClass =
  | 'public' | 'loopback' | 'private' | 'link-local' | 'metadata' | 'multicast' | 'unspecified' | 'documentation' | 'reserved' | 'ipv4-in-ipv6' | 'own-interface'

/** `prefix`: how many leading bits the range has that gave the class. A rule for a range counts only where it lies within that range. */
export interface ClassifiedAddress {
  readonly class: AddressClass
  readonly prefix: number
}

/**
 * Ranges that are not the public internet; the first row that holds an address gives its class.
 * Sources: IANA's special-purpose address registries for IPv4 and IPv6 (RFC 6890); metadata services as the cloud vendors document them.
 * Of IPv6, only 2000::/3 is assigned to the internet: what lies outside and in no row is `reserved`.
 */
export const ADDRESS_RANGES: readonly (readonly [range: string, AddressClass])[] = [
  ['169.254.169.254/32', 'metadata'],   // AWS, Azure, Google, Oracle, DigitalOcean, OpenStack
  ['169.254.170.2/32', 'metadata'],     // AWS: tasks' credentials
  ['169.254.170.23/32', 'metadata'],    // AWS: pods' credentials
  ['100.100.100.200/32', 'metadata'],   // Alibaba
  ['192.0.0.192/32', 'metadata'],       // Oracle, older
  ['168.63.129.16/32', 'metadata'],     // Azure's wire server, in a public range
  ['fd00:ec2::254/128', 'metadata'],    // AWS
  ['fd00:ec2::23/128', 'metadata'],     // AWS: pods' credentials
  ['fd20:ce::254/128', 'metadata'],     // Google
  ['0.0.0.0/8', 'unspecified'],         // "this host": connecting to 0.0.0.0 reaches the loopback
  ['10.0.0.0/8', 'private'],
  ['100.64.0.0/10', 'private'],         // carrier-grade NAT, also what overlay networks use
  ['127.0.0.0/8', 'loopback'],
  ['169.254.0.0/16', 'link-local'],
  ['172.16.0.0/12', 'private'],
  ['192.0.0.0/24', 'reserved'],
  ['192.0.2.0/24', 'documentation'],
  ['192.88.99.0/24', 'reserved'],       // relays of 6to4, withdrawn
  ['192.168.0.0/16', 'private'],
  ['198.18.0.0/15', 'reserved'],        // benchmarks
  ['198.51.100.0/24', 'documentation'],
  ['203.0.113.0/24', 'documentation'],
  ['224.0.0.0/4', 'multicast'],
  ['240.0.0.0/4', 'reserved'],          // with the broadcast address
  ['::/128', 'unspecified'],
  ['::1/128', 'loopback'],
  ['::/96', 'ipv4-in-ipv6'],            // "compatible", withdrawn
  ['64:ff9b:1::/48', 'private'],        // NAT64 of a network's own
  ['2001::/23', 'reserved'],            // Teredo, ORCHID, benchmarks and other protocols
  ['2001:db8::/32', 'documentation'],
  ['2002::/16', 'ipv4-in-ipv6'],        // 6to4
  ['3fff::/20', 'documentation'],
  ['fc00::/7', 'private'],
  ['fe80::/10', 'link-local'],
  ['fec0::/10', 'private'],             // site-local, withdrawn
  ['ff00::/8', 'multicast'],
]

/**
 * Strict: four decimal parts without leading zeros, or the forms of RFC 4291. No brackets, no zone, no surrounding space.
 * @returns undefined for all else
 */
export function parseAddress(text: string): IpAddress | undefined {
  const v4 = parseIpv4(text)
  if (v4 !== undefined) return ipv4(v4)
  const bytes = parseIpv6(text)
  return bytes === undefined ? undefined : fromIpv6(bytes)
}

/**
 * The IPv4 address that the C library and browsers read in spellings such as `127.1`, `0x7f.1`, `2130706433`, `0177.0.0.1`: one to four
 * parts, decimal, octal with a leading 0 or hexadecimal with 0x; the last part fills what is left.
 */
export function parseLegacyIpv4(text: string): IpAddress | undefined {
  const parts = text.split('.')
  if (parts.length > 4) return undefined
  const numbers = parts.map(part => {
    if (/^0x[0-9a-f]{0,8}$/i.test(part)) return part.length === 2 ? 0 : Number.parseInt(part.slice(2), 16)
    if (/^0[0-7]{0,11}$/.test(part)) return Number.parseInt(part, 8)
    return /^[1-9][0-9]{0,9}$/.test(part) ? Number(part) : Number.NaN
  })
  const last = numbers.pop() ?? Number.NaN
  if (numbers.some(number => !(number <= 255)) || !(last < 256 ** (4 - numbers.length))) return undefined
  const value = numbers.reduce((sum, number, index) => sum + number * 256 ** (3 - index), 0) + last
  return ipv4([value >>> 24, value >>> 16 & 255, value >>> 8 & 255, value & 255])
}

/**
 * Which class `address` has.
 * @param own canonical texts of the addresses of this host's own interfaces
 */
export function classifyAddress(address: IpAddress, own?: ReadonlySet<string>): ClassifiedAddress {
  const found = findClass(address)
  const literal = address.family === 4 ? 32 : 128
  return own?.has(address.text) === true && (found.class === 'public' || found.class === 'private') ? { class: 'own-interface', prefix: literal } : found
}

/** Whether the first `prefix` bits of both are the same. */
export function sameNetwork(a: readonly number[], b: readonly number[], prefix: number): boolean {
  const whole = prefix >> 3
  for (let index = 0; index < whole; index++) if (a[index] !== b[index]) return false
  const rest = prefix & 7
  return rest === 0 || ((a[whole] ?? 0) ^ (b[whole] ?? 0)) >> (8 - rest) === 0
}

function findClass(address: IpAddress): ClassifiedAddress {
  for (const range of PARSED_RANGES) {
    if (range.network.family === address.family && sameNetwork(range.network.bytes, address.bytes, range.prefix)) return range
  }
  if (address.family === 4) return { class: 'public', prefix: 0 }
  const { bytes } = address
  // NAT64 stands for its IPv4 address; ISATAP reaches it through any prefix.
  const nat64 = sameNetwork(bytes, [0, 0x64, 0xff, 0x9b, 0, 0, 0, 0, 0, 0, 0, 0], 96)
  const isatap = (bytes[8] === 0 || bytes[8] === 2) && bytes[9] === 0 && bytes[10] === 0x5e && bytes[11] === 0xfe
  if (nat64 || isatap) {
    const inner = findClass(ipv4(bytes.slice(12)))
    if (inner.class !== 'public') return nat64 ? { class: inner.class, prefix: 96 + inner.prefix } : { class: 'ipv4-in-ipv6', prefix: 128 }
    if (nat64) return { class: 'public', prefix: 0 }
  }
  return (bytes[0] ?? 0) >> 5 === 1 ? { class: 'public', prefix: 0 } : { class: 'reserved', prefix: 3 }
}

interface ParsedRange extends ClassifiedAddress { readonly network: IpAddress }

const PARSED_RANGES: readonly ParsedRange[] = ADDRESS_RANGES.map(([range, name]) => {
  const [text = '', prefix] = range.split('/')
  const network = parseAddress(text)
  if (network === undefined) throw new Error(`the table of ranges holds ${range}`)
  return { network, prefix: Number(prefix), class: name }
})

function parseIpv4(text: string): number[] | undefined {
  if (text.length > 15 || !/^(?:(?:0|[1-9][0-9]{0,2})\.){3}(?:0|[1-9][0-9]{0,2})$/.test(text)) return undefined
  const parts = text.split('.').map(Number)
  return parts.every(part => part <= 255) ? parts : undefined
}

function parseIpv6(text: string): number[] | undefined {
  if (text.length > 45) return undefined
  const dotted = text.includes('.') ? text.lastIndexOf(':') + 1 : text.length
  const tail = dotted === text.length ? [] : parseIpv4(text.slice(dotted))
  if (tail === undefined || dotted === 0) return undefined
  const bytes: number[] = []
  /** Where `::` stands, in bytes. */
  let gap = -1
  let at = 0
  if (text.startsWith('::')) {
    gap = 0
    at = 2
  }
  while (at < dotted) {
    let value = 0
    const start = at
    for (let digit = hexDigit(text.charCodeAt(at)); at < dotted && digit !== -1; digit = hexDigit(text.charCodeAt(at))) {
      value = value * 16 + digit
      at++
    }
    if (at === start || at - start > 4) return undefined
    bytes.push(value >> 8, value & 255)
    if (at === text.length) break
    if (text[at] !== ':') return undefined
    at++
    if (text[at] === ':') {
      if (gap !== -1) return undefined
      gap = bytes.length
      at++
    } else if (at === text.length) {
      return undefined
    }
  }
  bytes.push(...tail)
  if (gap === -1) return bytes.length === 16 ? bytes : undefined
  // The gap stands for one group at least.
  return bytes.length > 14 ? undefined : [...bytes.slice(0, gap), ...Array<number>(16 - bytes.length).fill(0), ...bytes.slice(gap)]
}

function hexDigit(code: number): number {
  if (code >= 48 && code <= 57) return code - 48
  const letter = code | 32
  return letter >= 97 && letter <= 102 ? letter - 87 : -1
}

/** The address that 16 bytes mean. */
function fromIpv6(bytes: readonly number[]): IpAddress {
  if (sameNetwork(bytes, [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 255, 255], 96)) return ipv4(bytes.slice(12))
  return { family: 6, bytes, text: formatIpv6(bytes) }
}

function ipv4(bytes: readonly number[]): IpAddress {
  return { family: 4, bytes, text: bytes.join('.') }
}

/** RFC 5952: lower case, no leading zeros, the first longest run of two or more zero groups is `::`. */
function formatIpv6(bytes: readonly number[]): string {
  const groups = Array.from({ length: 8 }, (_, index) => (bytes[2 * index] ?? 0) * 256 + (bytes[2 * index + 1] ?? 0))
  let best = { start: -1, length: 1 }
  for (let start = 0; start < 8; start++) {
    let length = 0
    while (start + length < 8 && groups[start + length] === 0) length++
    if (length > best.length) best = { start, length }
  }
  const hex = (part: readonly number[]): string => part.map(group => group.toString(16)).join(':')
  return best.start === -1 ? hex(groups) : `${hex(groups.slice(0, best.start))}::${hex(groups.slice(best.start + best.length))}`
}
