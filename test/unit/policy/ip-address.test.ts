// Addresses against Node's own readers, and the class at the edges of each range.
import { isIPv4, isIPv6 } from 'node:net'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { classifyAddress, parseAddress, parseLegacyIpv4 } from '../../../src/policy/ip-address.js'

const classOf = (text: string): string => {
  const address = parseAddress(text)
  return address === undefined ? 'no address' : classifyAddress(address).class
}

describe('classes, at the first and last address of each range and just outside', () => {
  test.each([
    ['metadata', ['169.254.169.254', '169.254.170.2', '169.254.170.23', '100.100.100.200', '192.0.0.192', '168.63.129.16', 'fd00:ec2::254', 'fd00:ec2::23', 'fd20:ce::254', '::ffff:169.254.169.254', '64:ff9b::a9fe:a9fe']],
    ['unspecified', ['0.0.0.0', '0.255.255.255', '::', '::ffff:0.0.0.0']],
    ['private', ['10.0.0.0', '10.255.255.255', '100.64.0.0', '100.127.255.255', '172.16.0.0', '172.31.255.255', '192.168.0.0', '192.168.255.255', 'fc00::', 'fdff:ffff:ffff:ffff:ffff:ffff:ffff:ffff', 'fec0::', 'feff::', '64:ff9b:1::', '64:ff9b:1:ffff::', '64:ff9b::a00:0']],
    ['loopback', ['127.0.0.0', '127.0.0.1', '127.255.255.255', '::1', '::ffff:7f00:1', '64:ff9b::7f00:1']],
    ['link-local', ['169.254.0.0', '169.254.169.253', '169.254.255.255', 'fe80::', 'febf:ffff::']],
    ['multicast', ['224.0.0.0', '239.255.255.255', 'ff00::', 'ff02::1', 'ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff']],
    ['documentation', ['192.0.2.0', '192.0.2.255', '198.51.100.0', '198.51.100.255', '203.0.113.0', '203.0.113.255', '2001:db8::', '2001:db8:ffff:ffff:ffff:ffff:ffff:ffff', '3fff::', '3fff:fff::']],
    ['reserved', ['192.0.0.0', '192.0.0.255', '192.88.99.1', '198.18.0.0', '198.19.255.255', '240.0.0.0', '255.255.255.255', '2001::', '2001:1ff:ffff::', '100::', '4000::', '1fff::', 'e000::', 'fe00::', 'fe7f::', '::1:0:0:0', '64:ff9a::', '5f00::']],
    ['ipv4-in-ipv6', ['::2', '::ffff', '::127.0.0.1', '::8.8.8.8', '2002::', '2002:808:808::', '2002:ffff:ffff::', '2a00::5efe:10.0.0.1', '2a00::200:5efe:127.0.0.1']],
    ['public', [
      '1.0.0.0', '9.255.255.255', '11.0.0.0', '100.63.255.255', '100.128.0.0', '126.255.255.255', '128.0.0.0', '169.253.255.255', '169.255.0.0', '172.15.255.255', '172.32.0.0', '191.255.255.255', '192.0.1.0', '192.0.3.0',
      '192.88.98.255', '192.88.100.0', '192.167.255.255', '192.169.0.0', '198.17.255.255', '198.20.0.0', '198.51.99.255', '198.51.101.0', '203.0.112.255', '203.0.114.0', '223.255.255.255', '168.63.129.15', '100.128.100.200',
      '2000::', '2001:200::', '2001:db7::', '2001:db9::', '2003::', '2001:4860:4860::8888', '3ffe::', '3fff:1000::', '3fff:ffff::', '64:ff9b::808:808', '2a00::5efe:8.8.8.8', '2a00::5eff:10.0.0.1', '2a00::1:5efe:10.0.0.1', '::ffff:8.8.8.8',
    ]],
  ])('%s', (name, addresses) => {
    expect(Object.fromEntries(addresses.map(address => [address, classOf(address)]))).toEqual(Object.fromEntries(addresses.map(address => [address, name])))
  })
})

describe('against Node\'s own readers', () => {
  const almost = fc.oneof(fc.ipV4(), fc.ipV6(), fc.ipV4Extended(), fc.stringMatching(/^[0-9a-fA-F:.]{0,24}$/), fc.stringMatching(/^(?:[0-9]{1,3}\.){3}[0-9]{1,3}$/), fc.stringMatching(/^(?:[0-9a-f]{0,5}:){1,8}[0-9a-f.]{0,8}$/))

  test('what is an address is what Node takes for one', () => {
    fc.assert(fc.property(almost, text => {
      // inet_pton of some C libraries takes leading zeros in dotted parts; here they are refused everywhere.
      fc.pre(!/(?:^|[.:])0[0-9]+\./.test(text) && !/\.0[0-9]/.test(text))
      expect(parseAddress(text) !== undefined).toBe(isIPv4(text) || isIPv6(text))
    }), { numRuns: 5000 })
  })

  test('the canonical text of IPv6 is the one that URLs have', () => {
    fc.assert(fc.property(fc.ipV6(), text => {
      const address = parseAddress(text)
      if (address?.family === 6) expect(`[${address.text}]`).toBe(new URL(`http://[${text}]`).hostname)
    }), { numRuns: 3000 })
  })

  test('the other spellings of IPv4 mean what URLs read in them', () => {
    const number = fc.oneof(fc.nat(300).map(String), fc.nat().map(String), fc.nat(0xffffffff).map(value => `0x${value.toString(16)}`), fc.nat(0o777).map(value => `0${value.toString(8)}`), fc.constantFrom('0x', '08', '0', '00', '4294967295', '4294967296'))
    fc.assert(fc.property(fc.array(number, { minLength: 1, maxLength: 5 }).map(parts => parts.join('.')), text => {
      const url = URL.canParse(`http://${text}`) ? new URL(`http://${text}`).hostname : undefined
      expect(parseLegacyIpv4(text)?.text).toBe(url)
    }), { numRuns: 5000 })
  })
})
