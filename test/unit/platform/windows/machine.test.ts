// What set-up makes once: firewall rules, accounts; and what a job holds.
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { BEYOND_LOOPBACK, firewallRules, LOOPBACK, portsBut } from '../../../../src/platform/windows/firewall.js'
import { limitMechanisms, limitNotes, lowerLimits } from '../../../../src/platform/limits.js'
import { jobPlan, LIMIT_HOLDINGS } from '../../../../src/platform/windows/limits.js'
import { drivesWithoutLists, everybodyChanges, hasOwnList, whyNoLists } from '../../../../src/platform/windows/host-facts.js'
import { parseDescriptor } from '../../../../src/platform/windows/sddl.js'
import { ACCOUNTS, LOGON_FAILURES } from '../../../../src/platform/windows/users.js'

const SID = 'S-1-5-21-1-2-3-1101'

test('every port but the open ones is closed, and no other', () => {
  fc.assert(fc.property(fc.uniqueArray(fc.oneof(fc.constantFrom(1, 2, 65_535, 65_534), fc.integer({ min: 1, max: 65_535 })), { maxLength: 6 }), open => {
    const closed = (port: number) => portsBut(open).split(',').some(range => {
      const [first, last = first] = range.split('-').map(Number) as [number, number?]
      return port >= first && port <= last
    })
    for (const port of new Set([1, 2, 80, 65_534, 65_535, ...open.flatMap(each => [each - 1, each, each + 1])])) if (port >= 1 && port <= 65_535) expect([port, closed(port)]).toEqual([port, !open.includes(port)])
  }))
})
test.each([[[8080], '1-8079,8081-65535'], [[], '1-65535'], [[1, 65_535], '2-65534'], [[5, 5, 6], '1-4,7-65535'], [[2], '1,3-65535']] as const)('but %j: %s', (open, ports) => {
  expect(portsBut(open)).toBe(ports)
})

test('each rule is for the offline account alone, and together they leave nothing but the proxy', () => {
  const rules = firewallRules(SID, [8080])
  expect(new Set(rules.map(({ localUser }) => localUser))).toEqual(new Set([`O:LSD:(A;;CC;;;${SID})`]))
  expect(new Set(rules.map(({ name }) => name)).size).toBe(rules.length)
  const outbound = rules.filter(({ direction }) => direction === 'out')
  expect(outbound.filter(({ protocol, remoteAddresses, remotePorts }) => protocol === 'any' && remoteAddresses === BEYOND_LOOPBACK && remotePorts === undefined)).toHaveLength(1)
  expect(outbound.filter(({ remoteAddresses }) => remoteAddresses === LOOPBACK).map(({ protocol, remotePorts }) => [protocol, remotePorts])).toEqual([['udp', undefined], ['tcp', '1-8079,8081-65535']])
  expect(rules.some(({ direction, remoteAddresses }) => direction === 'in' && remoteAddresses === undefined)).toBe(true)
})

test('addresses beyond the loopback are all others', () => {
  const numbers = BEYOND_LOOPBACK.filter(range => !range.includes(':')).map(range => range.split('-').map(address => address.split('.').reduce((sum, part) => sum * 256 + Number(part), 0)))
  const covered = (address: string) => { const at = address.split('.').reduce((sum, part) => sum * 256 + Number(part), 0); return numbers.some(([first, last]) => at >= (first as number) && at <= (last as number)) }
  expect(['0.0.0.0', '1.1.1.1', '126.255.255.255', '128.0.0.0', '169.254.169.254', '255.255.255.255'].map(covered)).toEqual([true, true, true, true, true, true])
  expect(['127.0.0.0', '127.0.0.1', '127.255.255.255'].map(covered)).toEqual([false, false, false])
})

test('accounts have names that Windows takes, and none of the reference\'s', () => {
  for (const name of Object.values(ACCOUNTS)) {
    expect(name).toMatch(/^[A-Za-z]{1,20}$/)
    expect(name).not.toMatch(/^CodexSandbox/)
  }
})

test('each way in which a logon fails is explained, with what to do', () => {
  expect(Object.keys(LOGON_FAILURES).map(Number)).toEqual(expect.arrayContaining([5, 1312, 1326, 1909]))
  for (const { name, reason, remedy } of Object.values(LOGON_FAILURES)) expect([name, reason, remedy].every(text => text.length > 10)).toBe(true)
})

test('a job ends with its last handle, lets nothing out of it, and holds what it can', () => {
  const job = jobPlan({ memoryBytes: 1 << 30, pids: 8, cpuSeconds: 2, openFiles: 64 })
  expect(job.flags).toContain('KILL_ON_JOB_CLOSE')
  expect(job.flags.join(' ')).not.toMatch(/BREAKAWAY/)
  expect(job.limits).toEqual({ JobMemoryLimit: 1 << 30, ActiveProcessLimit: 8, PerProcessUserTimeLimit: 20_000_000 })
  expect(limitMechanisms(LIMIT_HOLDINGS, { memoryBytes: 1, pids: 1, openFiles: 1 })).toEqual({ memoryBytes: 'exact', pids: 'perProcess', openFiles: 'absent' })
  expect(limitNotes(LIMIT_HOLDINGS, { pids: 1 })).toEqual([expect.stringContaining('threads')])
  expect(lowerLimits({ pids: 3, memoryBytes: 5 }, { pids: 2 })).toEqual({ pids: 2, memoryBytes: 5 })
})

test('which disks keep lists', () => {
  const drives = [{ letter: 'C:', fileSystem: 'NTFS', kind: 'fixed' }, { letter: 'D:', fileSystem: 'ReFS', kind: 'fixed' }, { letter: 'E:', fileSystem: 'exFAT', kind: 'removable' }, { letter: 'F:', fileSystem: 'UDF', kind: 'optical' }, { letter: 'Z:', fileSystem: 'NTFS', kind: 'remote' }] as const
  expect(['C:\\x', 'D:\\', 'E:\\x', 'F:\\', 'Z:\\x', 'Q:\\x', '\\\\s\\d\\x'].map(path => whyNoLists({ drives }, path) === undefined)).toEqual([true, true, false, false, false, false, false])
  expect(drivesWithoutLists({ drives })).toEqual(['E:'])
})

test.each([
  ['D:(A;;FR;;;WD)', false, true], ['D:(A;OICIIO;FA;;;WD)', true, true], ['D:(A;ID;FA;;;WD)', false, false], ['D:NO_ACCESS_CONTROL', true, true], ['D:P(A;;FA;;;SY)', false, true],
  ['D:(D;;FA;;;WD)(A;;FA;;;WD)', false, true], ['D:(A;;0x40;;;WD)', true, true], ['D:(D;;FA;;;WD)', false, false], ['D:AI', false, false],
] as const)('%s: everybody changes it: %s; decides by itself: %s', (text, everybody, own) => {
  const descriptor = parseDescriptor(`O:SY${text}`, 'f')
  expect([everybodyChanges(descriptor), hasOwnList(descriptor)]).toEqual([everybody, own])
})
