// Adds entries to an access list and takes the same ones out again, leaving all others as they are, in their order. Pure.
import { type Acl, isInherited, parseAceText, printAce, type SecurityDescriptor } from './sddl.js'

const EMPTY: Acl = { isProtected: false, control: [], aces: [] }

/**
 * Puts `texts` before all other entries that the object has of its own; those stay in their order, and so do `texts` that stand there
 * already. A null list becomes one with an entry that lets everybody do everything, which is what it means.
 */
export function addAces(descriptor: SecurityDescriptor, texts: readonly string[]): SecurityDescriptor {
  const dacl = descriptor.dacl === 'null' || descriptor.dacl === undefined ? { ...EMPTY, aces: [parseAceText('(A;;FA;;;WD)', 'dacl')] } : descriptor.dacl
  const added = texts.map(text => parseAceText(text, 'add'))
  const wanted = added.map(printAce)
  const own = dacl.aces.filter(ace => !isInherited(ace)).map(printAce)
  // Those of another policy of the same root stay where they are, so that its lists need no new look.
  const missing = added.filter(ace => !own.includes(printAce(ace)))
  const present = wanted.slice(missing.length)
  const isInOrder = missing.every((ace, index) => printAce(ace) === wanted[index]) && present.every((text, index) => index === 0 || own.indexOf(present[index - 1] as string) < own.indexOf(text))
  const front = isInOrder ? missing : added
  return { ...descriptor, dacl: { ...dacl, aces: [...front, ...dacl.aces.filter(ace => isInherited(ace) || isInOrder || !wanted.includes(printAce(ace)))] } }
}

/** Takes out the entries that are for one of `sids`, inherited ones too: the folder above, which handed them on, loses its own. */
export function removeAces(descriptor: SecurityDescriptor, sids: ReadonlySet<string>): SecurityDescriptor {
  const { dacl } = descriptor
  if (dacl === undefined || dacl === 'null') return descriptor
  return { ...descriptor, dacl: { ...dacl, aces: dacl.aces.filter(({ sid }) => !sids.has(sid)) } }
}

/**
 * Each of `texts` stands there, in this order, and before it nothing but entries for others.
 *
 * @param inToken  the SIDs that the token has in any way: an entry for one of them that came in between would decide first
 */
export function hasAces({ dacl }: SecurityDescriptor, texts: readonly string[], inToken: ReadonlySet<string>): boolean {
  if (dacl === undefined || dacl === 'null') return texts.length === 0
  const wanted = texts.map(text => printAce(parseAceText(text, 'add')))
  const deciding = dacl.aces.filter(ace => !isInherited(ace) && inToken.has(ace.sid)).map(printAce)
  return wanted.every((text, index) => deciding[index] === text)
}
