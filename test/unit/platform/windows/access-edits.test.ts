import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { addAces, hasAces, removeAces } from '../../../../src/platform/windows/access-edits.js'
import { type Acl, parseDescriptor, printDescriptor } from '../../../../src/platform/windows/sddl.js'

const ME = 'S-1-5-21-11-22-33-1001'
const [CAP, OTHER, GROUP] = ['S-1-5-21-9-9-9-1', 'S-1-5-21-9-9-9-2', 'S-1-5-21-9-9-9-3'] as const
const EDIT = [`(D;OICI;0xc0040;;;${CAP})`, `(A;OICI;0x1301bf;;;${CAP})`, `(A;OICI;0x1301bf;;;${GROUP})`]
const EDIT_OF_OTHER = EDIT.map(text => text.replaceAll(CAP, OTHER))
const sd = (text: string) => parseDescriptor(text, 'f')
const IN_TOKEN = new Set([CAP, GROUP, 'S-1-1-0'])

const ace = fc.tuple(fc.constantFrom('A', 'D', 'AU'), fc.constantFrom('', 'OICI', 'ID', 'OICIID'), fc.constantFrom('FA', 'FR', '0x1301bf'), fc.constantFrom('WD', 'BU', 'SY', ME)).map(([type, flags, mask, who]) => `(${type};${flags};${mask};;;${who})`)
const list = fc.tuple(fc.constantFrom('', 'P', 'AI', 'PAI'), fc.array(ace, { maxLength: 6 })).map(([head, aces]) => `O:${ME}G:SYD:${head}${aces.join('')}`)

describe('properties', () => {
  test('what is added is taken out again, and all others stand unchanged, in their order', () => {
    fc.assert(fc.property(list, text => {
      const before = sd(text)
      const after = addAces(before, EDIT)
      expect(hasAces(after, EDIT, IN_TOKEN)).toBe(true)
      expect((after.dacl as Acl).aces.filter(({ sid }) => sid !== CAP && sid !== GROUP)).toEqual((before.dacl as Acl).aces)
      expect(printDescriptor(removeAces(after, new Set([CAP, GROUP])))).toBe(printDescriptor(before))
    }), { numRuns: 1000 })
  })

  test('adding twice is adding once; two policies of one root do not disturb each other, in either order', () => {
    fc.assert(fc.property(list, text => {
      const once = addAces(sd(text), EDIT)
      expect(addAces(once, EDIT)).toEqual(once)
      const both = addAces(once, EDIT_OF_OTHER)
      expect([hasAces(both, EDIT, IN_TOKEN), hasAces(both, EDIT_OF_OTHER, new Set([OTHER, GROUP, 'S-1-1-0']))]).toEqual([true, true])
      expect(printDescriptor(removeAces(removeAces(both, new Set([OTHER])), new Set([CAP, GROUP])))).toBe(printDescriptor(sd(text)))
    }), { numRuns: 500 })
  })
})

test('inherited entries of ours are taken out as well, those of others are not', () => {
  const others = 'D:(A;OICI;FA;;;WD)(A;OICIID;FA;;;BU)'
  expect(printDescriptor(removeAces(sd(`${others}(D;OICIID;0x116;;;${CAP})`), new Set([CAP])))).toBe(others)
})

test('a null list becomes what it means, and entries of ours before it', () => {
  expect(printDescriptor(addAces(sd('D:NO_ACCESS_CONTROL'), [`(D;;SD;;;${CAP})`.replace('SD', '0x10000')]))).toBe(`D:(D;;0x10000;;;${CAP})(A;;FA;;;WD)`)
})

test.each([
  { name: 'all there', list: EDIT.join(''), has: true },
  { name: 'with another\'s before', list: `(A;;FA;;;${OTHER})${EDIT.join('')}`, has: true },
  { name: 'with Everyone before', list: `(A;;FA;;;WD)${EDIT.join('')}`, has: false },
  { name: 'with Everyone behind', list: `${EDIT.join('')}(A;;FA;;;WD)`, has: true },
  { name: 'in another order', list: [...EDIT].reverse().join(''), has: false },
  { name: 'one missing', list: EDIT.slice(1).join(''), has: false },
  { name: 'inherited ones only', list: EDIT.join('').replaceAll('OICI', 'OICIID'), has: false },
  { name: 'with another mask', list: EDIT.join('').replace('0xc0040', '0xc0000'), has: false },
  { name: 'none', list: '', has: false },
])('is it in force: $name: $has', ({ list: text, has }) => {
  expect(hasAces(sd(`D:${text}`), EDIT, IN_TOKEN)).toBe(has)
})

test('a null list has nothing in force', () => {
  expect([hasAces(sd('D:NO_ACCESS_CONTROL'), EDIT, IN_TOKEN), hasAces(sd('O:SY'), EDIT, IN_TOKEN)]).toEqual([false, false])
})
