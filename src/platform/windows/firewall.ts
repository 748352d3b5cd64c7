// Firewall rules that keep the offline account from every network, the loopback included but for the ports of the proxy. Pure.
import type { WindowsFirewallRule } from '../launch-plan.js'

/** All of IPv4 and IPv6 but the loopback. Source: RFC 1122 3.2.1.3, RFC 4291 2.5.3. */
export const BEYOND_LOOPBACK: readonly string[] = ['0.0.0.0-126.255.255.255', '128.0.0.0-255.255.255.255', '::', '::2-ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff']
/** `::/127` is `::` and `::1`, as a network: the form that the reference's rules are known to be taken in. */
export const LOOPBACK: readonly string[] = ['127.0.0.0/8', '::/127']

/**
 * Blocking rules win over allowing ones, so that no other rule of the machine opens what these close. Each is for one account by its SID,
 * in every profile.
 *
 * @param account     SID of the offline account
 * @param proxyPorts  open on the loopback, TCP only
 */
export function firewallRules(account: string, proxyPorts: readonly number[]): WindowsFirewallRule[] {
  const localUser = `O:LSD:(A;;CC;;;${account})`
  return [
    { name: 'csbx_offline_block_outbound', direction: 'out', protocol: 'any', remoteAddresses: BEYOND_LOOPBACK, localUser },
    { name: 'csbx_offline_block_inbound', direction: 'in', protocol: 'any', localUser },
    { name: 'csbx_offline_block_loopback_udp', direction: 'out', protocol: 'udp', remoteAddresses: LOOPBACK, localUser },
    { name: 'csbx_offline_block_loopback_tcp', direction: 'out', protocol: 'tcp', remoteAddresses: LOOPBACK, remotePorts: portsBut(proxyPorts), localUser },
  ]
}

/** `1-8079,8081-65535` for 8080: every port but these. */
export function portsBut(open: readonly number[]): string {
  const ranges: string[] = []
  let first = 1
  for (const port of [...new Set(open)].sort((a, b) => a - b)) {
    if (port > first) ranges.push(range(first, port - 1))
    first = Math.max(first, port + 1)
  }
  if (first <= 65_535) ranges.push(range(first, 65_535))
  return ranges.join(',')
}

const range = (first: number, last: number): string => first === last ? `${first}` : `${first}-${last}`
