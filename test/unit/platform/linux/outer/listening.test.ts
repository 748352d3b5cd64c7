// The kernel's tables of sockets, as Linux 6.18 writes them on a processor that has the lowest byte first.
import { expect, test } from 'vitest'
import { listeningIn } from '../../../../../src/platform/linux/outer/listening.js'

const HEAD = '  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n'
const line = (number: number, address: string, port: string, state: string, remote = '0'.repeat(address.length)): string =>
  `${String(number).padStart(4)}: ${address}:${port} ${remote}:0000 ${state} 00000000:00000000 00:00000000 00000000     0        0 1681 1 00000000e8a99c6c 100 0 0 10 0\n`
const ANY6 = '0'.repeat(32)
const ONE6 = `${'0'.repeat(24)}01000000`
const MAPPED = '0000000000000000FFFF00000100007F'

test.each([
  { name: 'a server on the loopback',                   type: 'stream', lines: [line(0, '0100007F', '1F90', '0A')], found: [{ type: 'stream', address: '127.0.0.1', port: 8080 }] },
  { name: 'one on every address',                       type: 'stream', lines: [line(0, '00000000', '0016', '0A')], found: [{ type: 'stream', address: '127.0.0.1', port: 22 }] },
  { name: 'one on an address of an interface',          type: 'stream', lines: [line(0, '0500A8C0', '0016', '0A')], found: [{ type: 'stream', address: '192.168.0.5', port: 22 }] },
  { name: 'connections, and what is closing, are none', type: 'stream', lines: [line(0, '0100007F', '1F90', '01'), line(10, '0100007F', '1F90', '06')], found: [] },
  { name: 'IPv6: every address is IPv4 too',            type: 'stream', lines: [line(0, ANY6, '1F90', '0A')], found: [{ type: 'stream', address: '::1', port: 8080 }, { type: 'stream', address: '127.0.0.1', port: 8080 }] },
  { name: 'IPv6: the loopback, and one of IPv4',        type: 'stream', lines: [line(0, ONE6, '1F90', '0A'), line(1, MAPPED, '1F91', '0A')], found: [{ type: 'stream', address: '0:0:0:0:0:0:0:1', port: 8080 }, { type: 'stream', address: '127.0.0.1', port: 8081 }] },
  { name: 'IPv6: of one interface alone is not tried here', type: 'stream', lines: [line(0, '000080FE000000000000000001000000', '1F90', '0A')], found: [] },
  { name: 'datagrams: who is connected to nobody',      type: 'udp4',   lines: [line(0, '3500007F', '0035', '07'), line(1, '0100007F', '0036', '01')], found: [{ type: 'udp4', address: '127.0.0.53', port: 53 }] },
  { name: 'datagrams of IPv6',                          type: 'udp6',   lines: [line(0, ANY6, '14E9', '07')], found: [{ type: 'udp6', address: '::1', port: 5353 }, { type: 'udp4', address: '127.0.0.1', port: 5353 }] },
] as const)('$name', ({ type, lines, found }) => {
  expect(listeningIn(HEAD + lines.join(''), type)).toEqual(found)
})

test('an empty table has none', () => {
  expect(listeningIn(HEAD, 'stream')).toEqual([])
})
