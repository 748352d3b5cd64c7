import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { grantedAccess, isGranted, mayRemove, type Token, type WriteReading } from '../../../../src/platform/windows/access-check.js'
import { ALL, EVERY_CHANGE, FILE_RIGHTS, GENERIC_EXECUTE, GENERIC_READ, GENERIC_WRITE, mapGeneric, WRITE_AND_REMOVE, WRITE_CONTENT } from '../../../../src/platform/windows/access-rights.js'
import { inheritFrom, newObject } from '../../../../src/platform/windows/inheritance.js'
import { type Acl, parseDescriptor, printDescriptor } from '../../../../src/platform/windows/sddl.js'
import { INTEGRITY, SIDS } from '../../../../src/platform/windows/sid.js'

const ME = 'S-1-5-21-1-2-3-1001'
const CAP = 'S-1-5-21-9-9-9-9'
const LOGON = 'S-1-5-5-0-77'
const user: Token = { user: ME, groups: [SIDS.everyone, SIDS.users, SIDS.authenticatedUsers, LOGON], denyOnly: [SIDS.administrators], restricting: [], isWriteRestricted: false, integrity: INTEGRITY.medium }
const restricted: Token = { ...user, restricting: [CAP, LOGON, SIDS.everyone] }
const writeRestricted: Token = { ...restricted, isWriteRestricted: true }

const TOKENS = { user, restricted, writeRestricted, low: { ...user, integrity: INTEGRITY.low } }
const rights = (text: string, token: keyof typeof TOKENS, reading?: WriteReading) => grantedAccess(TOKENS[token], parseDescriptor(text, 'f'), reading)

describe('the rules', () => {
  test.each<{ name: string; sd: string; token: keyof typeof TOKENS; granted: number; reading?: WriteReading }>([
    { name: 'no list: everything', sd: 'O:SY', token: 'user', granted: ALL },
    { name: 'a null list: everything', sd: 'O:SYD:NO_ACCESS_CONTROL', token: 'restricted', granted: ALL },
    { name: 'an empty list: nothing', sd: 'O:SYD:', token: 'user', granted: 0 },
    { name: 'an empty list: its owner may read and change it', sd: `O:${ME}D:`, token: 'user', granted: 0x6_0000 },
    { name: 'but not through restricting SIDs that do not hold him', sd: `O:${ME}D:`, token: 'restricted', granted: 0 },
    { name: 'nor, of a write-restricted token, the change', sd: `O:${ME}D:`, token: 'writeRestricted', granted: 0x2_0000 },
    { name: 'unless OWNER RIGHTS says otherwise', sd: `O:${ME}D:(A;;0x1;;;OW)`, token: 'user', granted: 1 },
    { name: 'an allow', sd: 'O:SYD:(A;;FR;;;BU)', token: 'user', granted: GENERIC_READ },
    { name: 'generic rights', sd: 'O:SYD:(A;;GR;;;BU)', token: 'user', granted: GENERIC_READ },
    { name: 'an allow for somebody else', sd: 'O:SYD:(A;;FA;;;SY)', token: 'user', granted: 0 },
    { name: 'a deny before an allow', sd: 'O:SYD:(D;;0x1;;;WD)(A;;FR;;;BU)', token: 'user', granted: GENERIC_READ & ~1 },
    { name: 'a deny behind an allow comes too late', sd: 'O:SYD:(A;;FR;;;BU)(D;;0x1;;;WD)', token: 'user', granted: GENERIC_READ },
    { name: 'a deny only takes what it names', sd: 'O:SYD:(D;;FW;;;WD)(A;;0x7;;;BU)', token: 'user', granted: 1 },
    { name: 'inherit-only says nothing here', sd: 'O:SYD:(A;OICIIO;FA;;;WD)(D;OICIIO;FA;;;WD)(A;;0x1;;;BU)', token: 'user', granted: 1 },
    { name: 'a deny-only SID does not allow', sd: 'O:SYD:(A;;FA;;;BA)', token: 'user', granted: 0 },
    { name: 'but denies', sd: 'O:SYD:(D;;0x1;;;BA)(A;;0x3;;;WD)', token: 'user', granted: 2 },
    { name: 'a conditional allow is none', sd: 'O:SYD:(XA;;FA;;;WD;(x))', token: 'user', granted: 0 },
    { name: 'a conditional deny is one', sd: 'O:SYD:(XD;;0x1;;;WD;(x))(A;;0x3;;;WD)', token: 'user', granted: 2 },
    { name: 'restricted: both passes have to grant', sd: `O:SYD:(A;;FA;;;BU)(A;;0x3;;;${CAP})`, token: 'restricted', granted: 3 },
    { name: 'restricted: the restricting SID alone is nothing', sd: `O:SYD:(A;;FA;;;${CAP})`, token: 'restricted', granted: 0 },
    { name: 'restricted: Everyone counts in both', sd: 'O:SYD:(A;;FA;;;WD)', token: 'restricted', granted: ALL },
    { name: 'restricted: a deny for a restricting SID denies, although Everyone may', sd: `O:SYD:(D;;0xd0156;;;${CAP})(A;;FA;;;WD)`, token: 'restricted', granted: ALL & ~0xd0156 },
    { name: 'write-restricted: reads are the user\'s', sd: 'O:SYD:(A;;FA;;;BU)', token: 'writeRestricted', granted: GENERIC_READ | GENERIC_EXECUTE },
    { name: 'write-restricted: a deny for a restricting SID does not deny reading', sd: `O:SYD:(D;;FA;;;${CAP})(A;;FA;;;BU)`, token: 'writeRestricted', granted: GENERIC_READ | GENERIC_EXECUTE },
    { name: 'write-restricted, the other reading: what GENERIC_WRITE does not name is the user\'s', sd: 'O:SYD:(A;;FA;;;BU)', token: 'writeRestricted', granted: ALL & ~(GENERIC_WRITE & ~(GENERIC_READ | GENERIC_EXECUTE)), reading: 'generic-write' },
    { name: 'low integrity does not write what has no label', sd: 'O:SYD:(A;;FA;;;WD)', token: 'low', granted: ALL & ~EVERY_CHANGE },
    { name: 'low integrity writes what is labelled low', sd: 'O:SYD:(A;;FA;;;WD)S:(ML;;NW;;;LW)', token: 'low', granted: ALL },
    { name: 'medium does not write what is labelled high', sd: 'O:SYD:(A;;FA;;;WD)S:(ML;;NW;;;HI)', token: 'user', granted: ALL & ~EVERY_CHANGE },
    { name: 'nor read it where the label says so', sd: 'O:SYD:(A;;FA;;;WD)S:(ML;;NWNRNX;;;HI)', token: 'user', granted: ALL & GENERIC_READ & GENERIC_EXECUTE },
    { name: 'a label for what is in the folder is not one of the folder', sd: 'O:SYD:(A;;FA;;;WD)S:(ML;OICIIO;NW;;;HI)', token: 'user', granted: ALL },
  ])('$name', ({ sd, token, granted, reading }) => {
    expect(rights(sd, token, reading).toString(16)).toBe(granted.toString(16))
  })

  test('removing: by the object\'s own list, or by the folder\'s', () => {
    const [closed, open] = [parseDescriptor('O:SYD:(D;;SD;;;WD)(A;;FA;;;WD)', 'f'), parseDescriptor('O:SYD:(A;;FA;;;WD)', 'f')]
    expect([mayRemove(user, closed, open), mayRemove(user, closed, closed), mayRemove(user, closed, undefined), mayRemove(user, open, undefined)]).toEqual([true, true, false, true])
    const withoutChild = parseDescriptor('O:SYD:(D;;0x40;;;WD)(A;;FA;;;WD)', 'f')
    expect(mayRemove(user, closed, withoutChild)).toBe(false)
  })
})

describe('inheritance', () => {
  const child = (parent: string, own: string, kind: 'file' | 'directory') => printDescriptor(inheritFrom(parseDescriptor(parent, 'f'), parseDescriptor(own, 'f'), kind))
  const O = 'O:SY'
  test.each<{ name: string; parent: string; own?: string; kind: 'file' | 'directory'; result: string }>([
    { name: 'to a folder', parent: 'D:(A;OICI;FA;;;BU)', kind: 'directory', result: 'D:(A;OICIID;FA;;;BU)' },
    { name: 'to a file', parent: 'D:(A;OICI;FA;;;BU)', kind: 'file', result: 'D:(A;ID;FA;;;BU)' },
    { name: 'nothing without a flag', parent: 'D:(A;;FA;;;BU)', kind: 'directory', result: 'D:' },
    { name: 'inherit-only counts in the child', parent: 'D:(A;OICIIO;FA;;;BU)', kind: 'directory', result: 'D:(A;OICIID;FA;;;BU)' },
    { name: 'folders only', parent: 'D:(A;CI;FA;;;BU)', kind: 'file', result: 'D:' },
    { name: 'files only: handed on by a folder', parent: 'D:(A;OI;FA;;;BU)', kind: 'directory', result: 'D:(A;OIIOID;FA;;;BU)' },
    { name: 'not further than the child', parent: 'D:(A;OICINP;FA;;;BU)', kind: 'directory', result: 'D:(A;ID;FA;;;BU)' },
    { name: 'files only, and not further: nothing for a folder', parent: 'D:(A;OINP;FA;;;BU)', kind: 'directory', result: 'D:' },
    { name: 'CREATOR OWNER becomes the owner, and is handed on', parent: 'D:(A;OICIIO;GA;;;CO)', kind: 'directory', result: 'D:(A;ID;FA;;;SY)(A;OICIIOID;GA;;;CO)' },
    { name: 'own entries stay first, inherited ones are replaced', parent: 'D:(D;OICI;0x1;;;WD)(A;OICI;FA;;;BU)', own: 'D:(A;;0x2;;;WD)(A;ID;FA;;;SY)', kind: 'file', result: 'D:(A;;0x2;;;WD)(D;ID;0x1;;;WD)(A;ID;FA;;;BU)' },
    { name: 'a protected list inherits nothing', parent: 'D:(A;OICI;FA;;;BU)', own: 'D:P(A;;0x2;;;WD)', kind: 'file', result: 'D:P(A;;0x2;;;WD)' },
  ])('$name', ({ parent, own = 'D:', kind, result }) => {
    expect(child(O + parent, O + own, kind)).toBe(O + result)
  })

  test('a new object without anything to inherit gets the default list of its maker\'s token', () => {
    const defaultDacl: Acl = { isProtected: false, control: [], aces: [] }
    expect(newObject(parseDescriptor('O:SYD:', 'f'), 'file', { owner: ME, group: ME, defaultDacl }).dacl).toBe(defaultDacl)
    expect(printDescriptor(newObject(parseDescriptor('O:SYD:(A;OICI;FR;;;BU)', 'f'), 'file', { owner: ME, group: ME, defaultDacl }))).toBe(`O:${ME}G:${ME}D:AI(A;ID;FR;;;BU)`)
  })
})

test('what rights stand for', () => {
  expect([GENERIC_READ, GENERIC_WRITE, GENERIC_EXECUTE, WRITE_CONTENT, WRITE_AND_REMOVE].map(mask => mask.toString(16))).toEqual(['120089', '120116', '1200a0', '1201bf', '1301bf'])
  expect([mapGeneric(0x8000_0000), mapGeneric(0x1000_0000), mapGeneric(0xf000_0001)].map(mask => mask.toString(16))).toEqual(['120089', '1f01ff', '1f01ff'])
  expect(Object.values(FILE_RIGHTS).reduce((mask, bit) => mask | bit, 0)).toBe(ALL)
  expect(EVERY_CHANGE).toBe(ALL & ~(GENERIC_READ | GENERIC_EXECUTE))
})

const sid = fc.constantFrom(ME, CAP, LOGON, SIDS.everyone, SIDS.users, SIDS.administrators, SIDS.system)
const ace = fc.tuple(fc.constantFrom('A', 'D'), fc.constantFrom('', 'OICI', 'OICIIO', 'ID'), fc.nat({ max: ALL }).map(bits => bits & ALL), sid).map(([type, flags, mask, who]) => `(${type};${flags};0x${mask.toString(16)};;;${who})`)
const list = fc.array(ace, { maxLength: 6 })
const token = fc.record({ restricting: fc.subarray([CAP, LOGON, SIDS.everyone]), isWriteRestricted: fc.boolean() }).map((rest): Token => ({ ...user, ...rest }))

describe('properties', () => {
  const sdOf = (aces: readonly string[]) => parseDescriptor(`O:SYD:${aces.join('')}`, 'f')

  test('restricting never gives more', () => {
    fc.assert(fc.property(list, token, (aces, each) => {
      expect(grantedAccess(each, sdOf(aces)) & ~grantedAccess(user, sdOf(aces))).toBe(0)
    }), { numRuns: 2000 })
  })

  test('a deny put first never gives more, and takes all that it names', () => {
    fc.assert(fc.property(list, token, fc.nat({ max: ALL }).map(bits => bits & ALL), (aces, each, mask) => {
      const denied = grantedAccess(each, sdOf([`(D;;0x${mask.toString(16)};;;WD)`, ...aces]))
      expect(denied & ~grantedAccess(each, sdOf(aces))).toBe(0)
      expect(denied & mask).toBe(0)
    }), { numRuns: 2000 })
  })

  test('asked for one right or for many, the answer is the same: the algorithm of [MS-DTYP], right by right', () => {
    fc.assert(fc.property(list, token, fc.nat({ max: ALL }).map(bits => bits & ALL), (aces, each, desired) => {
      const pass = (sids: readonly string[], denying: readonly string[], wanted: number): boolean => {
        let remaining = wanted
        for (const { type, flags, mask, sid: who } of (sdOf(aces).dacl as Acl).aces) {
          if (remaining === 0) break
          if (flags.includes('inherit-only')) continue
          if (type === 'A' && sids.includes(who)) remaining &= ~mask
          else if (type === 'D' && denying.includes(who) && (remaining & mask) !== 0) return false
        }
        return remaining === 0
      }
      const own = [each.user, ...each.groups]
      const first = pass(own, [...own, ...each.denyOnly], desired)
      const twice = each.isWriteRestricted ? desired & EVERY_CHANGE : desired
      const second = each.restricting.length === 0 || pass(each.restricting, each.restricting, twice)
      expect(isGranted(each, sdOf(aces), desired)).toBe(first && second)
    }), { numRuns: 5000 })
  })
})
