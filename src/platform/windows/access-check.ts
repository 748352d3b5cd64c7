// Whether a token gets access to an object: a model of the kernel's check, against which the planned descriptors are held. Pure.
// Source: [MS-DTYP] 2.5.3.2 to 2.5.3.3, "Restricted Tokens" and "How AccessCheck Works". What the model leaves out, it denies.
import { ALL, EVERY_CHANGE, FILE_RIGHTS, GENERIC_EXECUTE, GENERIC_READ, GENERIC_WRITE, mapGeneric } from './access-rights.js'
import { type Ace, isPlain, kindOfAce, type SecurityDescriptor } from './sddl.js'
import { INTEGRITY, integrityOf, SIDS } from './sid.js'

/** What of a token counts in a check. Privileges are left out: a token that confines has none that grants access. */
export interface Token {
  readonly user: string
  /** Enabled ones. */
  readonly groups: readonly string[]
  /** SIDs, of groups or the user's, by which access is only denied. */
  readonly denyOnly: readonly string[]
  /** With one of these, access has to be granted to them alone as well. Empty: not restricted. */
  readonly restricting: readonly string[]
  /** The second pass is for what writes only. */
  readonly isWriteRestricted: boolean
  readonly integrity: number
}

/**
 * Which rights a write-restricted token has checked twice. Microsoft's documents say "write access" and no more. `changes`: all but
 * what reading and running need. `generic-write`: those that GENERIC_WRITE stands for, so neither DELETE nor WRITE_DAC. Which of them a
 * kernel has is asked of it before the first command (`proofs` of the plan); where it is the second, nothing starts.
 */
export type WriteReading = 'changes' | 'generic-write'

const CHECKED_TWICE: Readonly<Record<WriteReading, number>> = {
  'changes': EVERY_CHANGE,
  'generic-write': GENERIC_WRITE & ~(GENERIC_READ | GENERIC_EXECUTE),
}

/**
 * All rights that `token` gets to an object: integrity first, then the list entry by entry, where what was said first stands; then the
 * same for the restricting SIDs.
 */
export function grantedAccess(token: Token, descriptor: SecurityDescriptor, reading: WriteReading = 'changes'): number {
  const normal = walk(descriptor, { allowedBy: new Set([token.user, ...token.groups].filter(sid => !token.denyOnly.includes(sid))), deniedBy: new Set([token.user, ...token.groups, ...token.denyOnly]) })
  const both = token.restricting.length === 0 ? normal : restrict(token, descriptor, normal, reading)
  return (both & allowedByIntegrity(token, descriptor)) >>> 0
}

export const isGranted = (token: Token, descriptor: SecurityDescriptor, desired: number, reading?: WriteReading): boolean =>
  (mapGeneric(desired) & ~grantedAccess(token, descriptor, reading)) === 0

/** DELETE may come from the object itself, or from the folder that holds it. */
export const mayRemove = (token: Token, descriptor: SecurityDescriptor, parent: SecurityDescriptor | undefined, reading?: WriteReading): boolean =>
  isGranted(token, descriptor, FILE_RIGHTS.delete, reading) || parent !== undefined && isGranted(token, parent, FILE_RIGHTS.deleteChild, reading)

function restrict({ restricting, isWriteRestricted }: Token, descriptor: SecurityDescriptor, normal: number, reading: WriteReading): number {
  const sids = new Set(restricting)
  const second = walk(descriptor, { allowedBy: sids, deniedBy: sids })
  return isWriteRestricted ? normal & (second | ~CHECKED_TWICE[reading]) : normal & second
}

interface Pass {
  readonly allowedBy: ReadonlySet<string>
  readonly deniedBy: ReadonlySet<string>
}

/** Bits that no entry spoke of are denied. An owner may read and change the list, unless an entry for OWNER RIGHTS says otherwise. */
function walk({ owner, dacl }: SecurityDescriptor, { allowedBy, deniedBy }: Pass): number {
  if (dacl === 'null' || dacl === undefined) return ALL
  const isOwner = owner !== undefined && allowedBy.has(owner)
  const own = isOwner ? [SIDS.ownerRights] : []
  const [allow, deny] = [new Set([...allowedBy, ...own]), new Set([...deniedBy, ...own])]
  const here = dacl.aces.filter(({ flags }) => !flags.includes('inherit-only'))
  let granted = isOwner && !here.some(({ sid }) => sid === SIDS.ownerRights) ? FILE_RIGHTS.readControl | FILE_RIGHTS.writeDac : 0
  let denied = 0
  for (const ace of here) {
    const mask = mapGeneric(ace.mask)
    if (grants(ace) && allow.has(ace.sid)) granted |= mask & ~denied
    else if (kindOfAce(ace) === 'deny' && deny.has(ace.sid)) denied |= mask & ~granted
  }
  return granted & ALL
}

/** One that depends on a condition or on a type of object is taken for granting nothing. */
const grants = (ace: Ace): boolean => kindOfAce(ace) === 'allow' && isPlain(ace)

const NO_WRITE_UP = 0x1
const NO_READ_UP = 0x2
const NO_EXECUTE_UP = 0x4
/** An object without a label is of medium integrity, and may not be written by what has less. */
function allowedByIntegrity({ integrity }: Token, { sacl }: SecurityDescriptor): number {
  const label = sacl?.aces.find(ace => kindOfAce(ace) === 'label' && !ace.flags.includes('inherit-only'))
  const level = label === undefined ? INTEGRITY.medium : integrityOf(label.sid) ?? INTEGRITY.system
  if (integrity >= level) return ALL
  const policy = label === undefined ? NO_WRITE_UP : label.mask
  let allowed = ALL
  if ((policy & NO_WRITE_UP) !== 0) allowed &= ~EVERY_CHANGE
  if ((policy & NO_READ_UP) !== 0) allowed &= ~(GENERIC_READ & ~GENERIC_EXECUTE)
  if ((policy & NO_EXECUTE_UP) !== 0) allowed &= ~(GENERIC_EXECUTE & ~GENERIC_READ)
  return allowed
}
