// Security descriptors and their text form, SDDL. Source: [MS-DTYP] 2.5.1 and "Security Descriptor String Format".
import { SandboxError } from '../../errors.js'
import { isSid, printSid, SID_ALIASES } from './sid.js'

/** `inherit-only` ACEs say nothing about the object that they stand at; `inherited` ones came from the folder above. */
export const ACE_FLAGS = { OI: 'object-inherit', CI: 'container-inherit', NP: 'no-propagate', IO: 'inherit-only', ID: 'inherited', SA: 'audit-success', FA: 'audit-failure', CR: 'critical' } as const
type FlagText = keyof typeof ACE_FLAGS
export type AceFlag = (typeof ACE_FLAGS)[FlagText]

/** `other`: an ACE that is kept as it is, and means nothing here: audit, resource attributes and the like. */
export type AceKind = 'allow' | 'deny' | 'label' | 'other'

/** Type of SDDL to its meaning. Conditional and object ACEs: see `ace.rest`. */
const ACE_TYPES: Readonly<Record<string, AceKind>> = {
  A: 'allow', D: 'deny', OA: 'allow', OD: 'deny', XA: 'allow', XD: 'deny', ZA: 'allow', ML: 'label', AU: 'other', AL: 'other', OU: 'other', OL: 'other', XU: 'other', RA: 'other', SP: 'other', TL: 'other', FL: 'other',
}

export interface Ace {
  /** As SDDL has it: `A`, `D`, `ML`, … */
  readonly type: string
  readonly flags: readonly AceFlag[]
  readonly mask: number
  readonly sid: string
  /** Of object and conditional ACEs: what depends on more than the SID, as text. Absent for plain ones. */
  readonly rest?: { readonly object: string; readonly inheritedObject: string; readonly condition: string }
}

/** It came from the folder above. */
export const isInherited = ({ flags }: Ace): boolean => flags.includes('inherited')

export interface Acl {
  /** `P`: nothing is inherited. */
  readonly isProtected: boolean
  /** `AR`, `AI`: kept as they are. */
  readonly control: readonly string[]
  readonly aces: readonly Ace[]
}

/** A null DACL lets everybody do everything; an empty one lets nobody do anything but the owner. */
export interface SecurityDescriptor {
  readonly owner: string | undefined
  readonly group: string | undefined
  readonly dacl: Acl | 'null' | undefined
  readonly sacl: Acl | undefined
}

export const kindOfAce = ({ type }: Ace): AceKind => ACE_TYPES[type] ?? 'other'

/** Its meaning depends on its SID and mask alone. */
export const isPlain = ({ type }: Ace): boolean => type === 'A' || type === 'D'

const RIGHTS: Readonly<Record<string, number>> = {
  GA: 0x1000_0000, GX: 0x2000_0000, GW: 0x4000_0000, GR: 0x8000_0000, RC: 0x2_0000, SD: 0x1_0000, WD: 0x4_0000, WO: 0x8_0000,
  CC: 0x1, DC: 0x2, LC: 0x4, SW: 0x8, RP: 0x10, WP: 0x20, DT: 0x40, LO: 0x80, CR: 0x100,
  FA: 0x1f_01ff, FR: 0x12_0089, FW: 0x12_0116, FX: 0x12_00a0, KA: 0xf_003f, KR: 0x2_0019, KW: 0x2_0006, KX: 0x2_0019,
}
/** Of an integrity label: what the less trusted may not do. */
const LABEL_RIGHTS: Readonly<Record<string, number>> = { NW: 0x1, NR: 0x2, NX: 0x4 }
/** Written by their name; every other mask is a number. */
const NAMED_MASKS: ReadonlyMap<number, string> = new Map((['FA', 'FR', 'FW', 'FX', 'GA', 'GR', 'GW', 'GX'] as const).map(name => [RIGHTS[name] as number, name]))

/**
 * Reads a descriptor. What is not understood is an error: a list that was half understood would be worse than none.
 *
 * @throws SandboxError `descriptor_invalid`, `field` = the given one
 */
export function parseDescriptor(text: string, field: string): SecurityDescriptor {
  const refuse = (detail: string) => new SandboxError('descriptor_invalid', { field, value: text }, { detail })
  const parts = splitParts(text, refuse)
  const sidOf = (part: string | undefined) => part === undefined || part === '' ? undefined : parseSid(part, refuse)
  const dacl = parts.get('D')
  const sacl = parts.get('S')
  return {
    owner: sidOf(parts.get('O')),
    group: sidOf(parts.get('G')),
    dacl: dacl === undefined ? undefined : /^(?:P|AR|AI)*NO_ACCESS_CONTROL$/.test(dacl) ? 'null' : parseAcl(dacl, refuse),
    sacl: sacl === undefined ? undefined : parseAcl(sacl, refuse),
  }
}

type Refuse = (detail: string) => SandboxError

/** `O:…G:…D:…S:…`: a part begins with its letter, outside of every parenthesis. */
function splitParts(text: string, refuse: Refuse): ReadonlyMap<string, string> {
  const parts = new Map<string, string>()
  let at = 0
  for (const letter of 'OGDS') {
    if (!text.startsWith(`${letter}:`, at)) continue
    const start = at + 2
    at = endOfPart(text, start, refuse)
    parts.set(letter, text.slice(start, at))
  }
  if (at !== text.length || parts.size === 0) throw refuse(`${JSON.stringify(text.slice(at, at + 20))} is not understood at character ${at}`)
  return parts
}

function endOfPart(text: string, start: number, refuse: Refuse): number {
  let at = start
  while (at < text.length) {
    if (text[at] === '(') at = endOfGroup(text, at, refuse)
    else if (/^[OGDS]:/.test(text.slice(at, at + 2))) return at
    else at++
  }
  return at
}

/** Behind the parenthesis that closes the one at `start`; texts in quotes may hold any. */
function endOfGroup(text: string, start: number, refuse: Refuse): number {
  let depth = 0
  let quoted = false
  for (let at = start; at < text.length; at++) {
    if (text[at] === '"') quoted = !quoted
    else if (quoted) continue
    else if (text[at] === '(') depth++
    else if (text[at] === ')' && --depth === 0) return at + 1
  }
  throw refuse('a parenthesis is not closed')
}

function parseSid(text: string, refuse: Refuse): string {
  const known = SID_ALIASES[text]
  if (known !== undefined) return known
  const plain = text.toUpperCase()
  if (!isSid(plain)) throw refuse(/^[A-Z]{2}$/.test(text) ? `${text} depends on a domain: the SID is needed in full` : `${JSON.stringify(text)} is no SID`)
  return plain
}

function parseAcl(text: string, refuse: Refuse): Acl {
  const [head] = /^[A-Z]*/.exec(text) as RegExpExecArray
  const control: readonly string[] = head.match(/P|AR|AI/g) ?? []
  if (control.join('') !== head) throw refuse(`${JSON.stringify(head)} is no set of flags of a list`)
  const aces: Ace[] = []
  for (let at = head.length; at < text.length;) {
    if (text[at] !== '(') throw refuse(`${JSON.stringify(text.slice(at, at + 20))} is no entry of a list`)
    const end = endOfGroup(text, at, refuse)
    aces.push(parseAce(text.slice(at + 1, end - 1), refuse))
    at = end
  }
  return { isProtected: control.includes('P'), control: control.filter(flag => flag !== 'P'), aces }
}

function parseAce(text: string, refuse: Refuse): Ace {
  const [type = '', flags = '', rights = '', object = '', inheritedObject = '', ...last] = text.split(';')
  const [sid = '', ...condition] = last
  if (!Object.hasOwn(ACE_TYPES, type)) throw refuse(`${JSON.stringify(type)} is no type of an entry`)
  const written = flags.match(/../g) ?? []
  if (flags.length % 2 !== 0 || written.some(flag => !Object.hasOwn(ACE_FLAGS, flag))) throw refuse(`${JSON.stringify(flags)} are no flags of an entry`)
  const isSpecial = object !== '' || inheritedObject !== '' || condition.length > 0
  if (isSpecial && (type === 'A' || type === 'D')) throw refuse(`an entry of type ${type} has six fields`)
  return {
    type, flags: [...new Set(written.map(flag => ACE_FLAGS[flag as FlagText]))], mask: parseRights(type, rights, refuse), sid: parseSid(sid, refuse),
    ...(isSpecial ? { rest: { object, inheritedObject, condition: condition.join(';') } } : {}),
  }
}

function parseRights(type: string, text: string, refuse: Refuse): number {
  if (/^0x[0-9a-f]{1,8}$/i.test(text)) return Number.parseInt(text.slice(2), 16) >>> 0
  if (/^(?:0|[1-9]\d{0,9})$/.test(text) && Number(text) <= 0xffff_ffff) return Number(text) >>> 0
  const table = type === 'ML' ? LABEL_RIGHTS : RIGHTS
  const words = text.match(/../g) ?? []
  if (text.length % 2 !== 0 || words.some(word => !Object.hasOwn(table, word))) throw refuse(`${JSON.stringify(text)} are no rights`)
  return words.reduce((mask, word) => (mask | (table[word] as number)) >>> 0, 0)
}

/** One spelling for a descriptor: `parseDescriptor` reads the same from it. */
export function printDescriptor({ owner, group, dacl, sacl }: SecurityDescriptor): string {
  return [
    owner === undefined ? '' : `O:${printSid(owner)}`, group === undefined ? '' : `G:${printSid(group)}`,
    dacl === undefined ? '' : `D:${dacl === 'null' ? 'NO_ACCESS_CONTROL' : printAcl(dacl)}`, sacl === undefined ? '' : `S:${printAcl(sacl)}`,
  ].join('')
}

const printAcl = ({ isProtected, control, aces }: Acl): string => `${isProtected ? 'P' : ''}${control.join('')}${aces.map(printAce).join('')}`

/** `(A;OICI;0x1301bf;;;S-1-5-21-…)` */
export function printAce({ type, flags, mask, sid, rest }: Ace): string {
  const words = (Object.keys(ACE_FLAGS) as FlagText[]).filter(word => flags.includes(ACE_FLAGS[word]))
  return `(${[type, words.join(''), printMask(type, mask), rest?.object ?? '', rest?.inheritedObject ?? '', printSid(sid)].join(';')}${rest === undefined || rest.condition === '' ? '' : `;${rest.condition}`})`
}

function printMask(type: string, mask: number): string {
  if (type === 'ML') return Object.entries(LABEL_RIGHTS).filter(([, bit]) => (mask & bit) !== 0).map(([word]) => word).join('') || '0x0'
  return NAMED_MASKS.get(mask) ?? `0x${mask.toString(16)}`
}

/** One entry by itself. @throws SandboxError `descriptor_invalid` */
export function parseAceText(text: string, field: string): Ace {
  const { dacl } = parseDescriptor(`D:${text}`, field)
  const [ace, ...more] = dacl === undefined || dacl === 'null' ? [] : dacl.aces
  if (ace === undefined || more.length > 0) throw new SandboxError('descriptor_invalid', { field, value: text }, { detail: 'it is not one entry' })
  return ace
}
