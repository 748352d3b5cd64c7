// Security descriptors as Windows keeps them, in bytes. What is not understood stays as it is: it is carried along whole, and put back whole.
// Source: [MS-DTYP] 2.4.4 to 2.4.6. Pure.
import { SandboxError } from '../../../errors.js'
import { ACE_FLAGS, type Ace, type AceFlag, type Acl, type SecurityDescriptor } from '../sddl.js'

const HEADER = 20
const CONTROL = { DP: 0x4, AR: 0x100, AI: 0x400, P: 0x1000, selfRelative: 0x8000 } as const

/** Plain entries, by their type. All others are kept as bytes, under the letters that SDDL has for them. */
const PLAIN: Readonly<Record<number, string>> = { 0: 'A', 1: 'D' }
/** Allowing and denying ones that depend on more than a SID; `other` for the rest. */
const SPECIAL: Readonly<Record<number, string>> = { 5: 'OA', 6: 'OD', 9: 'XA', 10: 'XD', 11: 'OA', 12: 'OD' }
const OTHER = 'AU'
/** Stands before the bytes of an entry that is kept whole. */
const WHOLE = 'bytes:'

const FLAG_BITS: readonly (readonly [number, AceFlag])[] = [
  [0x1, ACE_FLAGS.OI], [0x2, ACE_FLAGS.CI], [0x4, ACE_FLAGS.NP], [0x8, ACE_FLAGS.IO], [0x10, ACE_FLAGS.ID], [0x20, ACE_FLAGS.CR], [0x40, ACE_FLAGS.SA], [0x80, ACE_FLAGS.FA],
]

const refuse = (detail: string): SandboxError => new SandboxError('descriptor_invalid', { field: 'descriptor', value: undefined }, { detail, remedy: 'Report it: a list that is half understood is not touched.' })

/** Owner, group and access list of a self-relative descriptor. @throws SandboxError `descriptor_invalid` */
export function decodeDescriptor(bytes: Uint8Array): SecurityDescriptor {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  if (bytes.length < HEADER || view.getUint8(0) !== 1) throw refuse('it has no head')
  const control = view.getUint16(2, true)
  const [owner, group, , dacl] = [4, 8, 12, 16].map(at => view.getUint32(at, true)) as [number, number, number, number]
  const acl = (control & CONTROL.DP) === 0 ? undefined : dacl === 0 ? 'null' as const : decodeAcl(view, dacl, control)
  return { owner: owner === 0 ? undefined : decodeSid(view, owner).sid, group: group === 0 ? undefined : decodeSid(view, group).sid, dacl: acl, sacl: undefined }
}

function decodeAcl(view: DataView, at: number, control: number): Acl {
  if (at + 8 > view.byteLength) throw refuse('its list lies outside')
  const [size, count] = [view.getUint16(at + 2, true), view.getUint16(at + 4, true)]
  if (at + size > view.byteLength) throw refuse('its list lies outside')
  const aces: Ace[] = []
  let next = at + 8
  for (let index = 0; index < count; index++) {
    if (next + 4 > at + size) throw refuse('an entry lies outside')
    const length = view.getUint16(next + 2, true)
    if (length < 4 || next + length > at + size) throw refuse('an entry lies outside')
    aces.push(decodeAce(new DataView(view.buffer, view.byteOffset + next, length)))
    next += length
  }
  return { isProtected: (control & CONTROL.P) !== 0, control: [...((control & CONTROL.AR) === 0 ? [] : ['AR']), ...((control & CONTROL.AI) === 0 ? [] : ['AI'])], aces }
}

function decodeAce(view: DataView): Ace {
  const [type, bits] = [view.getUint8(0), view.getUint8(1)]
  const flags = FLAG_BITS.filter(([bit]) => (bits & bit) !== 0).map(([, flag]) => flag)
  const plain = PLAIN[type]
  if (plain !== undefined && view.byteLength >= 16) {
    const { sid, end } = decodeSid(view, 8)
    if (end === view.byteLength) return { type: plain, flags, mask: view.getUint32(4, true), sid }
  }
  const whole = Buffer.from(view.buffer, view.byteOffset, view.byteLength).toString('hex')
  return { type: SPECIAL[type] ?? OTHER, flags, mask: view.byteLength >= 8 ? view.getUint32(4, true) : 0, sid: NOBODY, rest: { object: '', inheritedObject: '', condition: `${WHOLE}${whole}` } }
}

/** Whoever it is for is in its bytes. */
const NOBODY = 'S-1-0-0'

function decodeSid(view: DataView, at: number): { readonly sid: string; readonly end: number } {
  if (at + 8 > view.byteLength) throw refuse('a SID lies outside')
  const count = view.getUint8(at + 1)
  const end = at + 8 + 4 * count
  if (view.getUint8(at) !== 1 || count > 15 || end > view.byteLength) throw refuse('a SID is none')
  const authority = view.getUint16(at + 2, false) * 2 ** 32 + view.getUint32(at + 4, false)
  return { sid: ['S-1', authority, ...Array.from({ length: count }, (_, index) => view.getUint32(at + 8 + 4 * index, true))].join('-'), end }
}

/**
 * A self-relative descriptor with the access list alone.
 *
 * @throws SandboxError `descriptor_invalid` for a list that is null or absent, or larger than Windows takes
 */
export function encodeList({ dacl }: SecurityDescriptor): Uint8Array {
  if (dacl === undefined || dacl === 'null') throw refuse('without a list everybody could do everything')
  const aces = dacl.aces.map(encodeAce)
  const size = 8 + aces.reduce((sum, ace) => sum + ace.length, 0)
  if (size > 0xfff8) throw refuse('its list would be larger than Windows takes')
  const bytes = new Uint8Array(HEADER + size)
  const view = new DataView(bytes.buffer)
  view.setUint8(0, 1)
  // Without the request Windows drops the mark that inheritance was worked out.
  const inherited = dacl.control.includes('AI') ? CONTROL.AI | CONTROL.AR : 0
  view.setUint16(2, CONTROL.selfRelative | CONTROL.DP | inherited | (dacl.isProtected ? CONTROL.P : 0), true)
  view.setUint32(16, HEADER, true)
  // Entries with an object in them need the fourth revision.
  view.setUint8(HEADER, aces.some(ace => OBJECT_TYPES.includes(ace[0] as number)) ? 4 : 2)
  view.setUint16(HEADER + 2, size, true)
  view.setUint16(HEADER + 4, aces.length, true)
  let next = HEADER + 8
  for (const ace of aces) {
    bytes.set(ace, next)
    next += ace.length
  }
  return bytes
}

const OBJECT_TYPES: readonly number[] = [5, 6, 7, 8, 11, 12, 15, 16]

function encodeAce({ type, flags, mask, sid, rest }: Ace): Uint8Array {
  const bits = FLAG_BITS.reduce((sum, [bit, flag]) => flags.includes(flag) ? sum | bit : sum, 0)
  if (rest !== undefined) {
    if (!rest.condition.startsWith(WHOLE)) throw refuse(`an entry of type ${type} is only ever put back as it was`)
    const whole = Uint8Array.from(Buffer.from(rest.condition.slice(WHOLE.length), 'hex'))
    whole[1] = bits
    return whole
  }
  const code = Object.entries(PLAIN).find(([, letter]) => letter === type)?.[0]
  if (code === undefined) throw refuse(`an entry of type ${type} is never made`)
  const encoded = encodeSid(sid)
  const bytes = new Uint8Array(8 + encoded.length)
  const view = new DataView(bytes.buffer)
  view.setUint8(0, Number(code))
  view.setUint8(1, bits)
  view.setUint16(2, bytes.length, true)
  view.setUint32(4, mask, true)
  bytes.set(encoded, 8)
  return bytes
}

function encodeSid(sid: string): Uint8Array {
  const [authority = 0, ...parts] = sid.split('-').slice(2).map(Number)
  const bytes = new Uint8Array(8 + 4 * parts.length)
  const view = new DataView(bytes.buffer)
  view.setUint8(0, 1)
  view.setUint8(1, parts.length)
  view.setUint16(2, Math.floor(authority / 2 ** 32), false)
  view.setUint32(4, authority % 2 ** 32, false)
  for (const [index, part] of parts.entries()) view.setUint32(8 + 4 * index, part, true)
  return bytes
}
