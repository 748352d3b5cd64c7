// Whether a rule reads back: the firewall writes addresses in other forms than it was given.
import { expect, test } from 'vitest'
import type { WindowsFirewallRule } from '../../../../../src/platform/launch-plan.js'
import { firewallRules } from '../../../../../src/platform/windows/firewall.js'
import { FIREWALL_MARK, holdsRule } from '../../../../../src/platform/windows/setup/firewall-read-back.js'
import type { FirewallRuleState } from '../../../../../src/platform/windows/setup/system.js'

const RULES = firewallRules('S-1-5-21-1-2-3-1101', [8080])
const held = (rule: WindowsFirewallRule): FirewallRuleState => ({ ...rule, ...FIREWALL_MARK, isEnabled: true, blocks: true, isForAll: true })
const tcp = held(RULES.find(({ name }) => name.endsWith('tcp')) as WindowsFirewallRule)
const outbound = held(RULES.find(({ name }) => name.endsWith('outbound')) as WindowsFirewallRule)

test('as it was given it is held, each by itself', () => {
  expect(RULES.map(a => RULES.map(b => holdsRule(held(a), b)))).toEqual(RULES.map(a => RULES.map(b => a === b)))
})

test.each([
  { name: 'with masks', found: { ...tcp, remoteAddresses: ['127.0.0.0/255.0.0.0', '::', '::1/128'] } },
  { name: 'in another order, as ranges', found: { ...tcp, remoteAddresses: ['0:0:0:0:0:0:0:0-::1', '127.0.0.0-127.255.255.255'] } },
  { name: 'in parts', found: { ...tcp, remoteAddresses: ['127.0.0.0/9', '127.128.0.0/9', '::1', '::'] } },
  { name: 'ports apart', found: { ...tcp, remotePorts: '8081-65535, 1-8079' } },
  { name: 'a single address as a range', found: { ...outbound, remoteAddresses: ['0.0.0.0-126.255.255.255', '128.0.0.0-255.255.255.255', '::-::', '::2-ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff'] } },
  { name: 'letter case', found: { ...tcp, localUser: tcp.localUser.toLowerCase() } },
])('other forms of the same: $name', ({ found }) => {
  expect(holdsRule(found, found.name === tcp.name ? tcp : outbound)).toBe(true)
})

test.each<{ name: string; found: FirewallRuleState }>([
  { name: 'off', found: { ...tcp, isEnabled: false } },
  { name: 'allows', found: { ...tcp, blocks: false } },
  { name: 'in some profiles', found: { ...tcp, isForAll: false } },
  { name: 'for another account', found: { ...tcp, localUser: 'O:LSD:(A;;CC;;;S-1-5-21-1-2-3-1102)' } },
  { name: 'for everybody', found: { ...tcp, localUser: '' } },
  { name: 'other direction', found: { ...tcp, direction: 'in' } },
  { name: 'other protocol', found: { ...tcp, protocol: 'udp' } },
  { name: 'an address less', found: { ...tcp, remoteAddresses: ['127.0.0.0/8'] } },
  { name: 'a smaller network', found: { ...tcp, remoteAddresses: ['127.0.0.0/9', '::/127'] } },
  { name: 'an address of IPv4 for one of IPv6', found: { ...tcp, remoteAddresses: ['127.0.0.0/8', '0.0.0.0/31'] } },
  { name: 'what is not understood', found: { ...tcp, remoteAddresses: ['127.0.0.0/8', 'LocalSubnet'] } },
  { name: 'a mask with holes', found: { ...tcp, remoteAddresses: ['127.0.0.0/255.0.255.0', '::/127'] } },
  { name: 'a port open', found: { ...tcp, remotePorts: '1-8078,8081-65535' } },
  { name: 'of somebody else', found: { ...tcp, grouping: '' } },
  { name: 'without a mark', found: { ...tcp, description: '' } },
])('not held: $name', ({ found }) => {
  expect(holdsRule(found, tcp)).toBe(false)
})

test('any address is not some, nor the other way round', () => {
  const { remoteAddresses: _some, ...any } = tcp
  expect([holdsRule(any, tcp), holdsRule(tcp, any)]).toEqual([false, false])
})
