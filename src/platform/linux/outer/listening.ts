// The kernel's tables of sockets (/proc/net/tcp and the like): which of them wait for somebody. Pure.
import { isIPv4 } from 'node:net'

/** Where a socket can be reached from this machine. */
export interface Listening {
  readonly type: 'stream' | 'udp4' | 'udp6'
  readonly address: string
  readonly port: number
}

/** TCP_LISTEN, and what the table of datagram sockets says of one that is connected to nobody (TCP_CLOSE): include/net/tcp_states.h. */
const WAITING = { stream: '0A', udp4: '07', udp6: '07' } as const

const LINE = /^\s*\d+: (?<address>[0-9A-F]{8}|[0-9A-F]{32}):(?<port>[0-9A-F]{4}) \S+ (?<state>[0-9A-F]{2}) /gm

/** @param table  the text of `/proc/net/tcp`, `tcp6`, `udp` or `udp6`; `type` says of which kind its sockets are */
export function listeningIn(table: string, type: Listening['type']): Listening[] {
  return [...table.matchAll(LINE)].flatMap(({ groups = {} }) => {
    const { address = '', port = '', state } = groups
    if (state !== WAITING[type] || port === '0000') return []
    // A socket of IPv6 may hold an address of IPv4.
    return reachable(textOf(address)).map(reached => ({ type: type === 'udp6' && isIPv4(reached) ? 'udp4' : type, address: reached, port: Number.parseInt(port, 16) }))
  })
}

/** Of every address, the loopback's; a socket for all of IPv6 takes IPv4 as well. None of one interface alone, whose own addresses are tried by themselves. */
function reachable(address: string): string[] {
  if (address === '0.0.0.0') return ['127.0.0.1']
  if (address === '0:0:0:0:0:0:0:0') return ['::1', '127.0.0.1']
  return /^fe[89ab]/.test(address) ? [] : [address]
}

/** In words of 32 bits, each as the processor has it: the lowest byte first, on all that this runs on. */
function textOf(hex: string): string {
  const bytes = (hex.match(/.{8}/g) ?? []).flatMap(word => (word.match(/../g) ?? []).reverse().map(byte => Number.parseInt(byte, 16)))
  if (bytes.length === 4) return bytes.join('.')
  const isMapped = bytes.slice(0, 10).every(byte => byte === 0) && bytes[10] === 0xff && bytes[11] === 0xff
  if (isMapped) return bytes.slice(12).join('.')
  return Array.from({ length: 8 }, (_, index) => (((bytes[2 * index] ?? 0) << 8) | (bytes[2 * index + 1] ?? 0)).toString(16)).join(':')
}
