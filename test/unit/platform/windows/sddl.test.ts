import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { type Ace, ACE_FLAGS, type AceFlag, type Acl, kindOfAce, parseAceText, parseDescriptor, printDescriptor, type SecurityDescriptor } from '../../../../src/platform/windows/sddl.js'
import { isSid, SID_ALIASES, SIDS } from '../../../../src/platform/windows/sid.js'

const parse = (text: string) => parseDescriptor(text, 'f')
const ME = 'S-1-5-21-1-2-3-1001'

test('a folder of a profile, as Windows writes it', () => {
  expect(parse(`O:${ME}G:S-1-5-21-1-2-3-513D:PAI(A;OICI;FA;;;SY)(A;OICI;FA;;;BA)(D;;DCLCRPCR;;;WD)(A;OICIIOID;0x1301bf;;;${ME})S:AI(ML;OICI;NW;;;LW)`)).toEqual({
    owner: ME, group: 'S-1-5-21-1-2-3-513',
    dacl: {
      isProtected: true, control: ['AI'], aces: [
        { type: 'A', flags: ['object-inherit', 'container-inherit'], mask: 0x1f01ff, sid: SIDS.system },
        { type: 'A', flags: ['object-inherit', 'container-inherit'], mask: 0x1f01ff, sid: SIDS.administrators },
        { type: 'D', flags: [], mask: 0x116, sid: SIDS.everyone },
        { type: 'A', flags: ['object-inherit', 'container-inherit', 'inherit-only', 'inherited'], mask: 0x1301bf, sid: ME },
      ],
    },
    sacl: { isProtected: false, control: ['AI'], aces: [{ type: 'ML', flags: ['object-inherit', 'container-inherit'], mask: 1, sid: 'S-1-16-4096' }] },
  })
})

test.each([
  ['D:', { isProtected: false, control: [], aces: [] }],
  ['D:NO_ACCESS_CONTROL', 'null'],
  ['O:SY', undefined],
] as const)('%s: no list, a null list and an empty one are three things', (text, dacl) => {
  expect(parse(text).dacl).toEqual(dacl)
  expect(parse(printDescriptor(parse(text))).dacl).toEqual(dacl)
})

test('conditions and types of objects are kept, and are not plain', () => {
  const text = 'D:(XA;;FA;;;WD;(@User.Title == "a) b" && (Member_of {SID(BA)})))(OA;;0x10;00000000-0000-0000-0000-000000000001;;BU)(XD;;0x2;;;WD;(Exists x))'
  const { dacl } = parse(text)
  expect((dacl as Acl).aces.map(ace => [ace.type, kindOfAce(ace), ace.rest?.condition])).toEqual([['XA', 'allow', '(@User.Title == "a) b" && (Member_of {SID(BA)}))'], ['OA', 'allow', ''], ['XD', 'deny', '(Exists x)']])
  expect(printDescriptor(parse(text))).toBe(text)
})

test.each([
  '', 'x', 'D', 'D:X', 'D:(A;;FA;;;WD', 'D:(A;;FA;;;WD))', 'D:(A;;FA;;WD)', 'D:(Q;;FA;;;WD)', 'D:(A;XX;FA;;;WD)', 'D:(A;O;FA;;;WD)', 'D:(A;;ZZ;;;WD)', 'D:(A;;F;;;WD)', 'D:(A;;0x1ffffffff;;;WD)',
  'D:(A;;-1;;;WD)', 'D:(A;;FA;;;XX)', 'D:(A;;FA;;;LA)', 'D:(A;;FA;;;S-1-5-x)', 'D:(A;;FA;;;S-1-5-4294967296)', 'D:(A;;FA;;;)', 'D:(A;;FA;x;;WD)', 'O:nobody', 'D:(A;;FA;;;WD)O:SY', 'D:(A;;FA;;;WD) ', 'D:(A;;FA;;;WD;(x))',
])('%j is refused', text => {
  expect(() => parse(text)).toThrow(expect.objectContaining({ code: 'descriptor_invalid', field: 'f' }))
})

const sid = fc.oneof(fc.constantFrom(...Object.values(SID_ALIASES)), fc.array(fc.nat({ max: 0xffff_ffff }), { minLength: 1, maxLength: 6 }).map(parts => `S-1-5-${parts.join('-')}`))
const FLAGS = Object.values(ACE_FLAGS)
const flags = fc.subarray(FLAGS) as fc.Arbitrary<AceFlag[]>
const mask = fc.oneof(fc.nat({ max: 0xffff_ffff }), fc.constantFrom(0x1f01ff, 0x120089, 0x1200a9, 0x1301bf, 0x8000_0000, 0x1000_0000))
const plain: fc.Arbitrary<Ace> = fc.record({ type: fc.constantFrom('A', 'D', 'AU'), flags, mask, sid })
const special: fc.Arbitrary<Ace> = fc.record({ type: fc.constantFrom('XA', 'XD', 'OA', 'OD'), flags, mask, sid, rest: fc.record({ object: fc.constantFrom('', '01234567-0000-0000-0000-000000000000'), inheritedObject: fc.constant(''), condition: fc.constantFrom('(x == ")")', '((a) || (b))') }) })
const acl: fc.Arbitrary<Acl> = fc.record({ isProtected: fc.boolean(), control: fc.subarray(['AR', 'AI']), aces: fc.array(fc.oneof(plain, special), { maxLength: 6 }) })
const descriptor: fc.Arbitrary<SecurityDescriptor> = fc.record({
  owner: fc.option(sid, { nil: undefined }), group: fc.option(sid, { nil: undefined }), dacl: fc.oneof(acl, fc.constant('null' as const), fc.constant(undefined)), sacl: fc.option(acl, { nil: undefined }),
}).filter(each => Object.values(each).some(part => part !== undefined))

describe('properties', () => {
  test('what is printed is read as the same', () => {
    fc.assert(fc.property(descriptor, each => {
      expect(parse(printDescriptor(each))).toEqual(each)
    }), { numRuns: 3000 })
  })

  test('no text that is cut or has a character more is read as the same list', () => {
    fc.assert(fc.property(descriptor, fc.nat(), fc.constantFrom('(', ')', ';', 'A', ':', '"', ' '), (each, at, extra) => {
      const text = printDescriptor(each)
      const place = at % (text.length + 1)
      const other = text.slice(0, place) + extra + text.slice(place)
      let read: SecurityDescriptor | undefined
      try {
        read = parse(other)
      } catch {
        return
      }
      // Inside of a condition, or a flag said twice: never one entry more or less.
      const counts = (list: Acl | 'null' | undefined) => list === undefined || list === 'null' ? list : list.aces.length
      expect([counts(read.dacl), counts(read.sacl)]).toEqual([counts(each.dacl), counts(each.sacl)])
    }), { numRuns: 2000 })
  })
})

test('one entry by itself', () => {
  expect(parseAceText('(A;OICI;FA;;;WD)', 'f')).toEqual({ type: 'A', flags: ['object-inherit', 'container-inherit'], mask: 0x1f01ff, sid: SIDS.everyone })
  for (const text of ['', '(A;;FA;;;WD)(A;;FA;;;SY)', 'P']) expect(() => parseAceText(text, 'f')).toThrow(expect.objectContaining({ code: 'descriptor_invalid' }))
})

test('SIDs', () => {
  expect(['S-1-1-0', ME, 'S-1-5-4294967295'].map(isSid)).toEqual([true, true, true])
  expect(['S-1-5', 'S-2-5-1', 'S-1-5-4294967296', 's-1-1-0', 'S-1-1-0 ', `S-1-5${'-1'.repeat(16)}`].map(isSid)).toEqual([false, false, false, false, false, false])
  expect(new Set(Object.values(SID_ALIASES)).size).toBe(Object.keys(SID_ALIASES).length)
})
