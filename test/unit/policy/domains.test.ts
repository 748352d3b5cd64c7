// Which hosts may be reached, as a table: pattern, host, port, address -> verdict.
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { compileDomains, decideAddress, decideName, type HostRequest, type HostVerdict, narrowDomains, type NarrowingRules, type NetworkRules } from '../../../src/policy/domains.js'
import { parseHost } from '../../../src/policy/host-name.js'

type Lists = Partial<Pick<NetworkRules, 'mode' | 'allowedDomains' | 'deniedDomains' | 'strictAllowlist'>>
const compile = (lists: Lists) => compileDomains({ mode: 'full', allowedDomains: undefined, deniedDomains: [], ...lists })

/** `allow RULE`, `ask`, `deny REASON`, with the rule or the class behind it. */
function word(verdict: HostVerdict): string {
  switch (verdict.verdict) {
    case 'allow': return verdict.rule === undefined ? 'allow' : `allow ${verdict.rule}`
    case 'ask': return 'ask'
    case 'deny': return ['deny', verdict.because, ...'rule' in verdict ? [verdict.rule] : [], ...'class' in verdict ? [verdict.class] : []].join(' ')
    default: return verdict satisfies never
  }
}

/** `host port`, the port 443 where none stands. */
function ask(lists: Lists, text: string, more: Partial<HostRequest> = {}): string {
  const space = text.lastIndexOf(' ')
  const [host, port] = space === -1 ? [text, 443] : [text.slice(0, space), Number(text.slice(space + 1))]
  return word(decideName(compile(lists), { host, port, protocol: 'https', ...more }))
}
const answers = (lists: Lists, hosts: readonly string[]): Record<string, string> => Object.fromEntries(hosts.map(host => [host, ask(lists, host)]))
const each = (hosts: readonly string[], answer: string): Record<string, string> => Object.fromEntries(hosts.map(host => [host, answer]))

describe('one pattern that allows', () => {
  test.each([
    {
      pattern: 'example.com',
      allowed: ['example.com', 'EXAMPLE.com', 'example.com.', 'example.com 1', 'example.com 65535', 'ｅxample.com', 'example。com'],
      asked: ['a.example.com', 'notexample.com', 'example.com.evil.net', 'example.co', 'xexample.com', 'example.comx', 'example-com.net', 'com', 'exam.ple.com', '1.2.3.4'],
    },
    {
      pattern: '*.example.com',
      allowed: ['a.example.com', 'a.b.example.com', 'A.EXAMPLE.COM.', '_x.example.com', '-.example.com', 'example.com.example.com', '1.2.3.4.example.com'],
      asked: ['example.com', 'notexample.com', 'a.notexample.com', 'a.example.com.evil.net', 'a-example.com', 'a.example.org', 'com'],
    },
    {
      pattern: '**.example.com',
      allowed: ['example.com', 'a.example.com', 'a.b.c.d.e.example.com', 'example.com.'],
      asked: ['notexample.com', 'a.notexample.com', 'example.com.evil.net', 'example.org', 'com'],
    },
    { pattern: 'example.com:443', allowed: ['example.com 443'], asked: ['example.com 80', 'example.com 444', 'example.com 442', 'example.com 4433', 'a.example.com 443'] },
    { pattern: '*.example.com:8000-8999', allowed: ['a.example.com 8000', 'a.example.com 8500', 'a.example.com 8999'], asked: ['a.example.com 7999', 'a.example.com 9000', 'a.example.com 443', 'example.com 8000'] },
    { pattern: '**.example.com:22', allowed: ['example.com 22', 'x.example.com 22'], asked: ['example.com 443', 'x.example.com 23'] },
    { pattern: 'EXAMPLE.Com.', allowed: ['example.com', 'example.com.'], asked: ['www.example.com'] },
    { pattern: 'bücher.example', allowed: ['bücher.example', 'xn--bcher-kva.example', 'BÜCHER.example', 'XN--BCHER-KVA.EXAMPLE', 'bücher.example'], asked: ['bucher.example', 'xn--bcher-kvb.example'] },
    { pattern: '*.bücher.example', allowed: ['a.xn--bcher-kva.example', 'ü.bücher.example'], asked: ['bücher.example'] },
    { pattern: 'localhost', allowed: ['localhost', 'LOCALHOST.', '127.0.0.1', '127.5.6.7', '::1', '[::1]', '0x7f.1', '2130706433', '::ffff:127.0.0.1'], asked: ['localhost.example', 'notlocalhost', '1.1.1.1'] },
    { pattern: 'localhost:3000', allowed: ['localhost 3000', '127.0.0.1 3000', '::1 3000'], asked: [] },
    { pattern: 'single', allowed: ['single', 'SINGLE.'], asked: ['single.example', 'a.single'] },
    { pattern: '1.2.3.4', allowed: ['1.2.3.4', '1.2.3.4 22', '::ffff:1.2.3.4', '[::ffff:102:304]', '0x01020304', '16909060', '1.2.772', '01.02.03.04', '1.2.3.4.'], asked: ['1.2.3.5', '1.2.3', '1.2.3.4.example', '2001:4860::1'] },
    { pattern: '1.2.3.0/24', allowed: ['1.2.3.0', '1.2.3.255', '::ffff:1.2.3.9'], asked: ['1.2.2.255', '1.2.4.0'] },
    { pattern: '1.2.3.0/24:80', allowed: ['1.2.3.7 80'], asked: ['1.2.3.7 443'] },
    { pattern: '0.0.0.0/0', allowed: ['1.1.1.1', '223.255.255.255'], asked: ['2001:4860::1', 'example.com'] },
    { pattern: '2001:4860:4860::8888', allowed: ['2001:4860:4860::8888', '[2001:4860:4860:0:0:0:0:8888]', '2001:4860:4860::8888 1'], asked: ['2001:4860:4860::8889'] },
    { pattern: '[2001:4860:4860::8888]:443', allowed: ['2001:4860:4860::8888 443'], asked: ['2001:4860:4860::8888 80'] },
    { pattern: '2001:4860::/32', allowed: ['2001:4860::', '2001:4860:ffff:ffff:ffff:ffff:ffff:ffff'], asked: ['2001:4861::', '2001:485f:ffff::1'] },
    { pattern: '[2001:4860::/32]:443', allowed: ['2001:4860::1 443'], asked: ['2001:4860::1 444'] },
    { pattern: '*', allowed: ['example.com', 'a', '1.1.1.1', '2001:4860::1', 'example.com 1'], asked: [] },
    { pattern: '*:443', allowed: ['example.com 443', '1.1.1.1 443'], asked: ['example.com 80', '1.1.1.1 80'] },
  ])('$pattern', ({ pattern, allowed, asked }) => {
    expect(answers({ allowedDomains: [pattern] }, [...allowed, ...asked])).toEqual({ ...each(allowed, `allow ${pattern}`), ...each(asked, 'ask') })
  })
})

describe('one pattern that denies, beside * that allows', () => {
  test.each([
    { pattern: 'example.com', denied: ['example.com', 'EXAMPLE.COM.', 'example.com 80'], allowed: ['a.example.com', 'notexample.com', 'example.com.evil.net'] },
    { pattern: '*.example.com', denied: ['a.example.com', 'a.b.example.com'], allowed: ['example.com', 'a.notexample.com'] },
    { pattern: '**.example.com', denied: ['example.com', 'a.example.com'], allowed: ['notexample.com'] },
    { pattern: 'example.com:80', denied: ['example.com 80'], allowed: ['example.com 443'] },
    { pattern: '8.8.8.8', denied: ['8.8.8.8', '::ffff:8.8.8.8', '0x08080808', '134744072', '[::ffff:808:808]'], allowed: ['8.8.4.4'] },
    { pattern: '8.8.0.0/16', denied: ['8.8.8.8', '8.8.4.4'], allowed: ['8.7.8.8', '8.9.0.0'] },
    { pattern: 'bücher.example', denied: ['xn--bcher-kva.example', 'bücher.example'], allowed: ['bucher.example'] },
    { pattern: 'localhost', denied: ['localhost', '127.0.0.1', '127.9.9.9', '::1', '0x7f.1', '::ffff:127.0.0.1'], allowed: ['localhost.example'] },
  ])('$pattern', ({ pattern, denied, allowed }) => {
    expect(answers({ allowedDomains: ['*'], deniedDomains: [pattern] }, [...denied, ...allowed])).toEqual({ ...each(denied, `deny denied ${pattern}`), ...each(allowed, 'allow *') })
  })

  test('deny beats allow, however narrow the allow rule is', () => {
    const lists = { allowedDomains: ['a.example.com:443', '10.1.2.3', 'localhost'], deniedDomains: ['**.example.com', '10.0.0.0/8', 'localhost:1-65535'] }
    expect(answers(lists, ['a.example.com', '10.1.2.3', '127.0.0.1', 'localhost'])).toEqual({
      'a.example.com': 'deny denied **.example.com', '10.1.2.3': 'deny denied 10.0.0.0/8', '127.0.0.1': 'deny denied localhost:1-65535', 'localhost': 'deny denied localhost:1-65535',
    })
  })
})

describe('which lists there are', () => {
  test.each([
    { name: 'no allow list: each host is asked about', lists: {}, host: 'example.com', answer: 'ask' },
    { name: 'no allow list, a deny rule: the others are asked about', lists: { deniedDomains: ['bad.test'] }, host: 'example.com', answer: 'ask' },
    { name: 'an empty allow list: nothing, and nobody is asked', lists: { allowedDomains: [] }, host: 'example.com', answer: 'deny no-rule' },
    { name: 'an empty allow list and a literal', lists: { allowedDomains: [] }, host: '1.1.1.1', answer: 'deny no-rule' },
    { name: 'an allow list: what it does not name is asked about', lists: { allowedDomains: ['a.test'] }, host: 'example.com', answer: 'ask' },
    { name: 'a strict list: what it does not name is denied, and nobody is asked', lists: { allowedDomains: ['a.test'], strictAllowlist: true as const }, host: 'example.com', answer: 'deny no-rule' },
    { name: 'and what it names is allowed', lists: { allowedDomains: ['a.test'], strictAllowlist: true as const }, host: 'a.test', answer: 'allow a.test' },
    { name: 'strict without a list: nothing', lists: { strictAllowlist: true as const }, host: 'example.com', answer: 'deny no-rule' },
    { name: 'deny rules hold without an allow list', lists: { deniedDomains: ['bad.test'] }, host: 'bad.test', answer: 'deny denied bad.test' },
    { name: 'a local address is never asked about', lists: {}, host: '10.0.0.1', answer: 'deny local-address private' },
    { name: 'nor is the loopback', lists: {}, host: '127.0.0.1', answer: 'deny local-address loopback' },
    { name: 'nor its name', lists: {}, host: 'localhost', answer: 'deny local-address localhost' },
    { name: 'nor a name below it', lists: { allowedDomains: ['*'] }, host: 'a.b.localhost', answer: 'deny local-address localhost' },
  ])('$name', ({ lists, host, answer }) => {
    expect(ask(lists, host)).toBe(answer)
  })
})

describe('what is no host', () => {
  const long = `${'a'.repeat(63)}.${'b'.repeat(63)}.${'c'.repeat(63)}.`
  test.each([
    '', '.', '..', 'a..b', '.a', 'a.b..', 'a b', 'a\tb', 'a\0.example.com', 'example.com\0', 'a\r\nb', 'a\nb', 'a%00b', 'a%2eb', '%61.com', 'a/b', 'a\\b', 'a@b', 'a#b', 'a?b', 'a:b', 'a:80',
    'a,b', 'a;b', 'a"b', "a'b", 'a<b', 'a|b', 'a^b', 'a{b}', 'a`b', 'a=b', 'a&b', 'a+b', 'a!b', 'a$b', 'a*b', '*', '*.example.com', '(a)', '[example.com]', '[1.2.3.4]', '[::1', '::1]', '[]', '[::1]a',
    ':::', '1::2::3', '1:2:3:4:5:6:7:8:9', '1:2:3:4:5:6:7', '::12345', '::g', '::1.2.3', '::1.2.3.4.5', '::256.1.1.1', '::01.2.3.4', 'fe80::1%eth0', 'fe80::1%25eth0', '::ffff:127.1', '::ffff:0x7f000001',
    '256.1.1.1', '1.2.3.256', '1.2.3.4.5', '1.256.1', '4294967296', '0x100000000', '1.2.3.08', '09', 'a.09', 'a.1', 'example.0x1', '1.2.3.0xg.5', '08.1.1.1', '1e3.1', '１２７.0.0.1.5',
    'a'.repeat(64), `${'a'.repeat(64)}.com`, `${long}${'d'.repeat(62)}`, 'x'.repeat(300), 'ü'.repeat(300), '\u{ad}', '\ufffd.com', 'a\u{200b}\u{200b}b\u{0}', 'xn--\u{fc}',
  ])('%j', host => {
    expect(ask({ allowedDomains: ['*', '**.example.com', 'localhost'] }, host)).toBe('deny invalid-host')
  })

  test('the longest that is one', () => {
    expect(ask({ allowedDomains: ['*'] }, `${long}${'d'.repeat(61)}`)).toBe('allow *')
    expect(ask({ allowedDomains: ['*'] }, `${long}${'d'.repeat(61)}.`)).toBe('allow *')
  })

  test.each([0, -1, 65_536, 1.5, Number.NaN, Number.POSITIVE_INFINITY])('port %s', port => {
    expect(word(decideName(compile({ allowedDomains: ['*'] }), { host: 'example.com', port, protocol: 'https' }))).toBe('deny invalid-host')
  })
})

describe('literals that are not public need a rule for exactly that', () => {
  const WIDE = ['*', '0.0.0.0/0', '::/0']
  test.each([
    { host: '10.1.2.3',                class: 'private',      rules: ['10.1.2.3', '10.0.0.0/8', '10.1.0.0/16'],               without: ['10.1.2.4', '10.1.2.3:80', '8.0.0.0/6', '192.168.0.0/16'] },
    { host: '192.168.1.1',             class: 'private',      rules: ['192.168.1.1', '192.168.0.0/16'],                       without: ['192.0.0.0/8'] },
    { host: '172.16.0.1',              class: 'private',      rules: ['172.16.0.1', '172.16.0.0/12'],                         without: ['172.0.0.0/8', '172.17.0.0/16'] },
    { host: '100.64.1.1',              class: 'private',      rules: ['100.64.0.0/10'],                                       without: ['100.0.0.0/8'] },
    { host: '127.0.0.1',               class: 'loopback',     rules: ['127.0.0.1', '127.0.0.0/8', 'localhost', '**.localhost'], without: ['127.0.0.2', 'localhost:80', '*.localhost', '126.0.0.0/7'] },
    { host: '::1',                     class: 'loopback',     rules: ['::1', '[::1]:443', '::1/128', 'localhost'],            without: ['127.0.0.1', '::/96', '[::1]:80'] },
    { host: '169.254.169.254',         class: 'metadata',     rules: ['169.254.169.254'],                                     without: ['169.254.0.0/16', '169.254.169.254:80'] },
    { host: '168.63.129.16',           class: 'metadata',     rules: ['168.63.129.16/32'],                                    without: ['168.63.129.0/24'] },
    { host: 'fd00:ec2::254',           class: 'metadata',     rules: ['fd00:ec2::254'],                                       without: ['fd00::/8', 'fc00::/7'] },
    { host: '169.254.1.1',             class: 'link-local',   rules: ['169.254.0.0/16'],                                      without: ['169.0.0.0/8'] },
    { host: 'fe80::1',                 class: 'link-local',   rules: ['fe80::1', 'fe80::/10'],                                without: ['fe00::/8'] },
    { host: 'fd12::1',                 class: 'private',      rules: ['fd12::/16', 'fc00::/7'],                               without: ['f000::/4'] },
    { host: '0.0.0.0',                 class: 'unspecified',  rules: ['0.0.0.0', '0.0.0.0/8'],                                without: ['localhost'] },
    { host: '::',                      class: 'unspecified',  rules: ['::'],                                                  without: ['localhost', '::/96'] },
    { host: '224.0.0.1',               class: 'multicast',    rules: ['224.0.0.1'],                                           without: [] },
    { host: '255.255.255.255',         class: 'reserved',     rules: ['255.255.255.255'],                                     without: [] },
    { host: '192.0.2.1',               class: 'documentation', rules: ['192.0.2.0/24'],                                       without: [] },
    { host: '64:ff9b::10.0.0.1',       class: 'private',      rules: ['64:ff9b::a00:1', '64:ff9b::a00:0/104'],                without: ['10.0.0.1', '64:ff9b::/96'] },
    { host: '64:ff9b::127.0.0.1',      class: 'loopback',     rules: ['64:ff9b::7f00:1', 'localhost'],                        without: ['127.0.0.1'] },
    { host: '2002:7f00:1::',           class: 'ipv4-in-ipv6', rules: ['2002:7f00:1::'],                                       without: ['127.0.0.1', 'localhost'] },
    { host: '::7f00:1',                class: 'ipv4-in-ipv6', rules: ['::7f00:1'],                                            without: ['127.0.0.1', 'localhost'] },
    { host: '2001:4860::5efe:a00:1',   class: 'ipv4-in-ipv6', rules: ['2001:4860::5efe:a00:1'],                               without: ['2001:4860::/32', '10.0.0.1'] },
  ])('$host', ({ host, class: name, rules, without }) => {
    const alone = `deny local-address ${name}`
    expect(ask({ allowedDomains: WIDE }, host)).toBe(alone)
    expect(Object.fromEntries(rules.map(rule => [rule, ask({ allowedDomains: [...WIDE, rule] }, host)]))).toEqual(Object.fromEntries(rules.map(rule => [rule, `allow ${rule}`])))
    expect(Object.fromEntries(without.map(rule => [rule, ask({ allowedDomains: [...WIDE, rule] }, host)]))).toEqual(each(without, alone))
  })

  test('of several rules the narrowest is named', () => {
    expect(ask({ allowedDomains: ['10.0.0.0/8', '10.1.2.3', '10.1.0.0/16'] }, '10.1.2.3')).toBe('allow 10.1.2.3')
    expect(ask({ allowedDomains: ['10.0.0.0/8', '10.1.2.3:80', '10.1.0.0/16'] }, '10.1.2.3')).toBe('allow 10.1.0.0/16')
  })

  test('addresses of the host\'s own interfaces, public or private, need themselves', () => {
    const own = new Set(['198.41.0.4', '192.168.7.7', '2001:4860::7', '127.0.0.1'])
    const of = (allowedDomains: string[], host: string): string => word(decideName(compile({ allowedDomains }), { host, port: 443, protocol: 'https' }, own))
    expect(of(['*', '198.41.0.0/16'], '198.41.0.4')).toBe('deny local-address own-interface')
    expect(of(['*', '192.168.0.0/16'], '192.168.7.7')).toBe('deny local-address own-interface')
    expect(of(['*', '2001:4860::/32'], '2001:4860::7')).toBe('deny local-address own-interface')
    expect(of(['198.41.0.4'], '198.41.0.4')).toBe('allow 198.41.0.4')
    expect(of(['192.168.0.0/16'], '192.168.7.8')).toBe('allow 192.168.0.0/16')
    expect(of(['127.0.0.0/8'], '127.0.0.1')).toBe('allow 127.0.0.0/8')
  })
})

describe('the second judgement, of what a permitted name resolved to', () => {
  test.each([
    { rules: ['app.test'],                    address: '93.184.216.34',    answer: 'allow' },
    { rules: ['app.test'],                    address: '2001:4860::1',     answer: 'allow' },
    { rules: ['app.test'],                    address: '10.0.0.1',         answer: 'deny local-address private' },
    { rules: ['app.test', '10.0.0.0/8'],      address: '10.0.0.1',         answer: 'allow 10.0.0.0/8' },
    { rules: ['app.test', '10.0.0.0/8:80'],   address: '10.0.0.1',         answer: 'deny local-address private' },
    { rules: ['app.test', '10.0.0.2'],        address: '10.0.0.1',         answer: 'deny local-address private' },
    { rules: ['app.test', '*'],               address: '127.0.0.1',        answer: 'deny local-address loopback' },
    { rules: ['app.test', 'localhost'],       address: '127.0.0.1',        answer: 'allow localhost' },
    { rules: ['app.test', 'localhost:80'],    address: '127.0.0.1',        answer: 'deny local-address loopback' },
    { rules: ['app.test', '127.0.0.1'],       address: '::ffff:127.0.0.1', answer: 'allow 127.0.0.1' },
    { rules: ['app.test'],                    address: '::ffff:10.0.0.1',  answer: 'deny local-address private' },
    { rules: ['app.test'],                    address: '169.254.169.254',  answer: 'deny local-address metadata' },
    { rules: ['app.test'],                    address: '64:ff9b::5db8:d822', answer: 'allow' },
    { rules: ['app.test'],                    address: '64:ff9b::a00:1',   answer: 'deny local-address private' },
    { rules: ['app.test'],                    address: 'fe80::1%eth0',     answer: 'deny invalid-host' },
    { rules: ['app.test'],                    address: 'app.test',         answer: 'deny invalid-host' },
    { rules: ['app.test'],                    address: '',                 answer: 'deny invalid-host' },
    { rules: ['app.test'],                    address: '0.0.0.0',          answer: 'deny local-address unspecified' },
    { rules: ['app.test'],                    address: '::',               answer: 'deny local-address unspecified' },
  ])('$rules, $address: $answer', ({ rules, address, answer }) => {
    expect(word(decideAddress(compile({ allowedDomains: rules }), { address, port: 443 }))).toBe(answer)
  })

  test('a deny rule for an address holds whatever the name', () => {
    expect(word(decideAddress(compile({ allowedDomains: ['app.test', '93.184.216.34'], deniedDomains: ['93.184.0.0/16'] }), { address: '93.184.216.34', port: 443 }))).toBe('deny denied 93.184.0.0/16')
    expect(word(decideAddress(compile({ allowedDomains: ['app.test', '127.0.0.1'], deniedDomains: ['localhost'] }), { address: '127.0.0.1', port: 443 }))).toBe('deny denied localhost')
  })

  test('an address of the host itself', () => {
    expect(word(decideAddress(compile({ allowedDomains: ['app.test'] }), { address: '198.41.0.4', port: 443, hostAddresses: new Set(['198.41.0.4']) }))).toBe('deny local-address own-interface')
  })
})

describe('the limited mode', () => {
  const lists: Lists = { mode: 'limited', allowedDomains: ['app.test', '1.1.1.1'], deniedDomains: ['bad.test'] }
  test.each([
    { request: { protocol: 'http', method: 'GET' },                  host: 'app.test',   answer: 'allow app.test' },
    { request: { protocol: 'http', method: 'HEAD' },                 host: '1.1.1.1',    answer: 'allow 1.1.1.1' },
    { request: { protocol: 'http', method: 'OPTIONS' },              host: 'app.test',   answer: 'allow app.test' },
    { request: { protocol: 'http', method: 'POST' },                 host: 'app.test',   answer: 'deny method' },
    { request: { protocol: 'http', method: 'get' },                  host: 'app.test',   answer: 'deny method' },
    { request: { protocol: 'http', method: 'DELETE' },               host: '1.1.1.1',    answer: 'deny method' },
    { request: { protocol: 'http' },                                 host: 'app.test',   answer: 'deny method' },
    { request: { protocol: 'http', method: 'GET', upgrade: true },   host: 'app.test',   answer: 'deny method' },
    { request: { protocol: 'https' },                                host: 'app.test',   answer: 'deny method' },
    { request: { protocol: 'socks5Tcp' },                            host: 'app.test',   answer: 'deny method' },
    { request: { protocol: 'http', method: 'GET' },                  host: 'other.test', answer: 'ask' },
    { request: { protocol: 'https' },                                host: 'other.test', answer: 'deny no-rule' },
    { request: { protocol: 'http', method: 'POST' },                 host: 'bad.test',   answer: 'deny denied bad.test' },
    { request: { protocol: 'http', method: 'GET' },                  host: '10.0.0.1',   answer: 'deny local-address private' },
  ] as const)('$request to $host: $answer', ({ request, host, answer }) => {
    expect(ask(lists, host, { method: undefined as never, ...request })).toBe(answer)
  })
})

describe('rules of one command, which only narrow', () => {
  const narrow = (lists: Lists, narrowing: NarrowingRules, text: string, more: Partial<HostRequest> = {}): string =>
    word(decideName(narrowDomains(compile(lists), narrowing), { host: text, port: 443, protocol: 'https', ...more }))
  test.each([
    { narrowing: { allowedDomains: ['a.test'] },                     host: 'a.test',    answer: 'allow *.test' },
    { narrowing: { allowedDomains: ['a.test'] },                     host: 'b.test',    answer: 'deny no-rule' },
    { narrowing: { allowedDomains: ['*'] },                          host: 'b.test',    answer: 'allow *.test' },
    { narrowing: { allowedDomains: ['*'] },                          host: 'other.org', answer: 'ask' },
    { narrowing: { allowedDomains: ['a.test'] },                     host: 'other.org', answer: 'deny no-rule' },
    { narrowing: { allowedDomains: ['bad.test'] },                   host: 'bad.test',  answer: 'deny denied bad.test' },
    { narrowing: { allowedDomains: [] },                             host: 'a.test',    answer: 'deny no-rule' },
    { narrowing: { allowedDomains: ['10.0.0.1'] },                   host: '10.0.0.1',  answer: 'deny local-address private' },
    { narrowing: { deniedDomains: ['a.test'] },                      host: 'a.test',    answer: 'deny denied a.test' },
    { narrowing: { deniedDomains: ['a.test'] },                      host: 'b.test',    answer: 'allow *.test' },
    { narrowing: { deniedDomains: ['a.test'] },                      host: 'other.org', answer: 'ask' },
    { narrowing: { deniedDomains: ['a.test'] },                      host: '127.0.0.1', answer: 'allow localhost' },
    { narrowing: { deniedDomains: ['127.0.0.0/8'] },                 host: '127.0.0.1', answer: 'deny denied 127.0.0.0/8' },
    { narrowing: { mode: 'limited' },                                host: 'a.test',    answer: 'deny method' },
    { narrowing: { mode: 'limited', allowedDomains: ['a.test'] },    host: 'a.test',    answer: 'deny method' },
    { narrowing: { mode: 'limited' },                                host: '127.0.0.1', answer: 'deny method' },
    { narrowing: { mode: 'limited' },                                host: 'localhost', answer: 'deny method' },
    { narrowing: { mode: 'limited' },                                host: '10.0.0.1',  answer: 'deny local-address private' },
  ] as const)('$narrowing, $host: $answer', ({ narrowing, host, answer }) => {
    expect(narrow({ allowedDomains: ['*.test', 'localhost'], deniedDomains: ['bad.test'] }, narrowing, host)).toBe(answer)
  })

  test('the limited mode of a command permits plain GET', () => {
    expect(narrow({ allowedDomains: ['*.test'] }, { mode: 'limited' }, 'a.test', { protocol: 'http', method: 'GET' })).toBe('allow *.test')
  })

  test.each([
    { host: '127.0.0.1', method: 'GET',  answer: 'allow localhost' },
    { host: 'localhost', method: 'GET',  answer: 'allow localhost' },
    { host: '10.0.0.1',  method: 'GET',  answer: 'allow 10.0.0.1' },
    { host: '127.0.0.1', method: 'POST', answer: 'deny method' },
    { host: 'localhost', method: 'POST', answer: 'deny method' },
    { host: '10.0.0.1',  method: 'POST', answer: 'deny method' },
  ])('the limited mode of a command holds for addresses that are not public too: $method $host: $answer', ({ host, method, answer }) => {
    expect(narrow({ allowedDomains: ['localhost', '10.0.0.1'] }, { mode: 'limited' }, host, { protocol: 'http', method })).toBe(answer)
  })

  test('an address that only the command denies is not dialled', () => {
    const domains = narrowDomains(compile({ allowedDomains: ['*.test'] }), { deniedDomains: ['93.184.0.0/16'] })
    expect(word(decideAddress(domains, { address: '93.184.216.34', port: 443 }))).toBe('deny denied 93.184.0.0/16')
    expect(word(decideAddress(domains, { address: '93.185.0.1', port: 443 }))).toBe('allow')
    expect(word(decideAddress(domains, { address: '10.0.0.1', port: 443 }))).toBe('deny local-address private')
  })
})

describe('patterns that are refused, each with its field and what to write instead', () => {
  test.each([
    ['', 'is empty'], ['.', 'is empty'], ['a b', 'character'], ['https://example.com', 'URL'], ['example.com/path', 'path'], ['10.0.0.0/path', 'range'], ['10.0.0.1/8/x', 'range'], ['*.*', '*'], ['**', '*'], ['*example.com', '*'], ['a.*.com', '*'], ['*.', 'is empty'],
    ['**.', 'is empty'], ['***.com', '*'], ['example.com:', 'port'], ['example.com:0', 'port'], ['example.com:65536', 'port'], ['example.com:90-80', 'port'], ['example.com:80-', 'port'], ['example.com:http', 'port'],
    ['example.com:80:90', 'IPv6'], ['10.0.0.0/33', 'range'], ['10.0.0.1/8', 'bits'], ['10.0.0.0/', 'range'], ['10.0.0.0/8/8', 'range'], ['fd00::/129', 'range'], ['fd00::1/64', 'bits'], ['::ffff:10.0.0.0/104', 'range'],
    ['*.10.0.0.1', 'subdomains'], ['[example.com]', 'IPv6'], ['[example.com]:80', 'IPv6'], ['a..b', 'label'], ['exa%6dple.com', 'character'], ['user@example.com', 'character'], ['256.1.1.1', 'number'],
  ])('%j', (pattern, detail) => {
    for (const [field, lists] of [['network.allowedDomains[1]', { allowedDomains: ['ok.test', pattern] }], ['network.deniedDomains[1]', { deniedDomains: ['ok.test', pattern] }]] as const) {
      expect(() => compile(lists)).toThrow(expect.objectContaining({ code: 'policy_invalid_value', field, message: expect.stringContaining(detail) as string }))
    }
  })

  test('* may allow and may not deny', () => {
    expect(() => compile({ allowedDomains: ['*', '*:443'] })).not.toThrow()
    expect(() => compile({ deniedDomains: ['*:443'] })).toThrow(expect.objectContaining({ code: 'policy_invalid_value', field: 'network.deniedDomains[0]' }))
  })
})

describe('laws', () => {
  const label = fc.stringMatching(/^[a-c]{1,2}$/)
  const name = fc.array(label, { minLength: 1, maxLength: 4 }).map(labels => labels.join('.'))
  const pattern = fc.tuple(fc.constantFrom('', '*.', '**.'), name, fc.constantFrom('', ':443', ':400-500')).map(parts => parts.join(''))
  const address = fc.oneof(fc.ipV4(), fc.ipV6())

  test('a decision is what a scan of all rules says', () => {
    fc.assert(fc.property(fc.array(pattern, { maxLength: 6 }), fc.array(pattern, { maxLength: 6 }), name, fc.constantFrom(443, 450, 80), (allowedDomains, deniedDomains, host, port) => {
      const matches = (text: string): boolean => {
        const [rest = '', range] = text.split(':')
        const [from = 0, to = from] = range?.split('-').map(Number) ?? [1, 65_535]
        const base = rest.replace(/^\*+\./, '')
        const below = host.endsWith(`.${base}`)
        return from <= port && port <= to && (rest.startsWith('**.') ? below || host === base : rest.startsWith('*.') ? below : host === base)
      }
      const expected = deniedDomains.some(matches) ? 'deny' : allowedDomains.some(matches) ? 'allow' : allowedDomains.length === 0 ? 'deny' : 'ask'
      const verdict = decideName(compile({ allowedDomains, deniedDomains }), { host, port, protocol: 'https' })
      expect(verdict.verdict).toBe(expected)
      if ('rule' in verdict && verdict.rule !== undefined) expect(matches(verdict.rule)).toBe(true)
    }), { numRuns: 2000 })
  })

  test('a deny rule never opens anything, an allow rule never closes anything', () => {
    const rank = { deny: 0, ask: 1, allow: 2 }
    fc.assert(fc.property(fc.array(pattern, { minLength: 1, maxLength: 4 }), fc.array(pattern, { maxLength: 4 }), pattern, fc.oneof(name, address), (allowedDomains, deniedDomains, added, host) => {
      const of = (lists: Lists): number => rank[decideName(compile(lists), { host, port: 443, protocol: 'https' }).verdict]
      const before = of({ allowedDomains, deniedDomains })
      expect(of({ allowedDomains, deniedDomains: [...deniedDomains, added] })).toBeLessThanOrEqual(before)
      expect(of({ allowedDomains: [...allowedDomains, added], deniedDomains })).toBeGreaterThanOrEqual(before)
    }), { numRuns: 1000 })
  })

  test('a command never reaches what its sandbox may not', () => {
    const rank = { deny: 0, ask: 1, allow: 2 }
    fc.assert(fc.property(fc.array(pattern, { maxLength: 4 }), fc.array(pattern, { maxLength: 3 }), fc.option(fc.array(pattern, { maxLength: 4 }), { nil: undefined }), fc.array(pattern, { maxLength: 3 }), fc.oneof(name, address), (allowedDomains, deniedDomains, allowed, deny, host) => {
      const wide = compile({ allowedDomains, deniedDomains })
      const narrowed = narrowDomains(wide, { ...(allowed !== undefined && { allowedDomains: allowed }), deniedDomains: deny })
      const request = { host, port: 443, protocol: 'https' } as const
      expect(rank[decideName(narrowed, request).verdict]).toBeLessThanOrEqual(rank[decideName(wide, request).verdict])
      expect(rank[decideName(narrowed, request).verdict]).toBeLessThanOrEqual(allowed === undefined ? 2 : rank[decideName(compile({ allowedDomains: allowed, deniedDomains: deny }), request).verdict])
    }), { numRuns: 1000 })
  })

  test('the normal form of a host is its own normal form, and is judged alike', () => {
    fc.assert(fc.property(fc.oneof(fc.string({ unit: 'binary', maxLength: 12 }), name, address, fc.domain(), fc.webAuthority()), text => {
      const host = parseHost(text)
      if (host.kind !== 'invalid') expect(parseHost(host.text)).toEqual(host)
    }), { numRuns: 5000 })
  })
})
