// Descriptors in bytes: what Windows has and what is put back.
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { addAces, removeAces } from '../../../../../src/platform/windows/access-edits.js'
import { decodeDescriptor, encodeList } from '../../../../../src/platform/windows/setup/descriptor-bytes.js'
import { ACE_FLAGS, type Acl, parseDescriptor, printDescriptor, type SecurityDescriptor } from '../../../../../src/platform/windows/sddl.js'

const { OI, CI, NP, IO, ID, CR, SA, FA } = ACE_FLAGS
const BY_BIT = [OI, CI, NP, IO, ID, CR, SA, FA]
const number = fc.oneof(fc.constantFrom(0, 1, 0xffff_ffff, 0x8000_0000), fc.integer({ min: 0, max: 0xffff_ffff }))
const sid = fc.tuple(fc.constantFrom(1, 5, 15, 2 ** 32, 2 ** 48 - 1), fc.array(number, { minLength: 1, maxLength: 15 })).map(([authority, parts]) => ['S-1', authority, ...parts].join('-'))
const ace = fc.record({ type: fc.constantFrom('A', 'D'), flags: fc.subarray(BY_BIT), mask: number, sid })
const acl: fc.Arbitrary<Acl> = fc.record({ isProtected: fc.boolean(), control: fc.subarray(['AR', 'AI']), aces: fc.array(ace, { maxLength: 8 }) })
const of = (dacl: Acl): SecurityDescriptor => ({ owner: undefined, group: undefined, dacl, sacl: undefined })

test('a list in bytes is the same list', () => {
  fc.assert(fc.property(acl, dacl => {
    const back = decodeDescriptor(encodeList(of(dacl)))
    const { aces, isProtected } = back.dacl as Acl
    expect({ aces, isProtected }).toEqual({ aces: dacl.aces, isProtected: dacl.isProtected })
    expect((back.dacl as Acl).control.includes('AI')).toBe(dacl.control.includes('AI'))
  }), { numRuns: 1000 })
})

/** As Windows gives a folder: owner and group in front, `D:AI(A;OICI;FA;;;BA)(A;OICIID;0x1301bf;;;AU)`, from [MS-DTYP] by hand. */
const FOLDER = Buffer.from([
  '01000484', '14000000', '24000000', '00000000', '34000000',
  '01020000000000052000000020020000', '01020000000000052000000020020000',
  '0200340002000000', '00031800ff011f00', '01020000000000052000000020020000', '00131400bf011300', '01010000000000050b000000',
].join(''), 'hex')

test('a descriptor of Windows is read as its text says', () => {
  expect(printDescriptor(decodeDescriptor(FOLDER))).toBe('O:BAG:BAD:AI(A;OICI;FA;;;BA)(A;OICIID;0x1301bf;;;AU)')
})

test('and written as Windows has it: the list byte for byte', () => {
  expect(Buffer.from(encodeList(decodeDescriptor(FOLDER))).subarray(20).toString('hex')).toBe(FOLDER.subarray(52).toString('hex'))
})

/** Entries that mean more than a SID: with a condition, with an object, with data behind the SID, of a type that nobody knows. */
const WHOLE = [
  ['09001c00ff011f00', '01010000000000050b000000', '6172747800000000'],
  ['05002c00ff011f0001000000', '00112233445566778899aabbccddeeff', '01020000000000052000000020020000'],
  ['00001800ff011f00', '01010000000000050b000000', '00000000'],
  ['7f000800deadbeef'],
].map(parts => {
  const bytes = Buffer.from(parts.join(''), 'hex')
  bytes.writeUInt16LE(bytes.length, 2)
  return bytes
})

test('what is not understood is carried along whole, between ours and after they are gone', () => {
  const plain = encodeList(of({ isProtected: false, control: ['AI'], aces: [] }))
  const entries = Buffer.concat(WHOLE)
  const bytes = Buffer.concat([Buffer.from(plain), entries])
  bytes.writeUInt8(4, 20)
  bytes.writeUInt16LE(8 + entries.length, 22)
  bytes.writeUInt16LE(WHOLE.length, 24)
  const before = decodeDescriptor(bytes)
  expect((before.dacl as Acl).aces).toHaveLength(WHOLE.length)
  const CAP = 'S-1-5-21-9-9-9-9'
  const added = addAces(before, [`(D;OICI;0xd0156;;;${CAP})`, `(A;OICI;0x1301bf;;;${CAP})`])
  expect(Buffer.from(encodeList(added)).includes(entries)).toBe(true)
  const again = decodeDescriptor(encodeList(added))
  expect(Buffer.from(encodeList(removeAces(again, new Set([CAP])))).subarray(20).toString('hex')).toBe(bytes.subarray(20).toString('hex'))
})

test('no list is null or absent', () => {
  for (const text of ['D:NO_ACCESS_CONTROL', 'O:SY']) expect(() => encodeList(parseDescriptor(text, 'f'))).toThrow(/everybody/)
  const open = Buffer.from(FOLDER)
  open.writeUInt32LE(0, 16)
  expect(decodeDescriptor(open).dacl).toBe('null')
  open.writeUInt16LE(0x8000, 2)
  expect(decodeDescriptor(open).dacl).toBeUndefined()
})

test('an entry with a condition is never made, only put back', () => {
  expect(() => encodeList(parseDescriptor('D:(XA;;FA;;;WD;(Member_of{SID(BA)}))', 'f'))).toThrow(/put back/)
})

test('damaged bytes are an error, never a shorter list', () => {
  for (let length = 0; length < FOLDER.length; length++) expect(() => decodeDescriptor(FOLDER.subarray(0, length)), `${length} bytes`).toThrow(/not understood|descriptor/)
  fc.assert(fc.property(fc.integer({ min: 0, max: FOLDER.length - 1 }), fc.integer({ min: 0, max: 255 }), (at, value) => {
    const changed = Buffer.from(FOLDER)
    changed[at] = value
    try {
      decodeDescriptor(changed)
    } catch (error) {
      expect(error).toMatchObject({ code: 'descriptor_invalid' })
    }
  }), { numRuns: 2000 })
})
