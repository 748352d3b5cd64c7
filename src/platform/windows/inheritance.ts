// What a new object, or one whose folder's list changes, inherits. Source: [MS-DTYP] 2.5.3.4 and "ACE Inheritance Rules". Pure.
import { mapGeneric } from './access-rights.js'
import type { Ace, AceFlag, Acl, SecurityDescriptor } from './sddl.js'
import { SIDS } from './sid.js'

export type ObjectKind = 'file' | 'directory'

/** The entries that `kind` in a folder with `dacl` gets from it, marked as inherited, in the folder's order. */
export function inheritedAces(dacl: Acl | 'null' | undefined, kind: ObjectKind, owner: string | undefined, group: string | undefined): Ace[] {
  if (dacl === undefined || dacl === 'null') return []
  return dacl.aces.flatMap(ace => kind === 'file' ? toFile(ace, owner, group) : toDirectory(ace, owner, group))
}

const has = ({ flags }: Ace, flag: AceFlag): boolean => flags.includes(flag)
const CREATORS: readonly string[] = [SIDS.creatorOwner, SIDS.creatorGroup]
const INHERITANCE: readonly AceFlag[] = ['object-inherit', 'container-inherit', 'no-propagate', 'inherit-only', 'inherited']
const plainFlags = ({ flags }: Ace): AceFlag[] => flags.filter(flag => !INHERITANCE.includes(flag))

/** What stands for whoever makes it becomes his own SID on the object itself. */
const forCreator = (ace: Ace, owner: string | undefined, group: string | undefined): Ace => ({ ...ace, mask: mapGeneric(ace.mask), sid: (ace.sid === SIDS.creatorOwner ? owner : ace.sid === SIDS.creatorGroup ? group : undefined) ?? ace.sid })

const toFile = (ace: Ace, owner: string | undefined, group: string | undefined): Ace[] =>
  has(ace, 'object-inherit') ? [forCreator({ ...ace, flags: [...plainFlags(ace), 'inherited'] }, owner, group)] : []

function toDirectory(ace: Ace, owner: string | undefined, group: string | undefined): Ace[] {
  const ends = has(ace, 'no-propagate')
  if (has(ace, 'container-inherit')) {
    const own = [...plainFlags(ace), 'inherited' as const]
    if (ends) return [forCreator({ ...ace, flags: own }, owner, group)]
    const further: AceFlag[] = has(ace, 'object-inherit') ? ['object-inherit', 'container-inherit'] : ['container-inherit']
    // One for the folder itself with the creator in it, and one that hands the entry on as it was.
    if (CREATORS.includes(ace.sid)) return [forCreator({ ...ace, flags: own }, owner, group), { ...ace, flags: [...further, 'inherit-only', ...own] }]
    return [{ ...ace, mask: mapGeneric(ace.mask), flags: [...further, ...own] }]
  }
  return has(ace, 'object-inherit') && !ends ? [{ ...ace, flags: ['object-inherit', 'inherit-only', ...plainFlags(ace), 'inherited'] }] : []
}

/**
 * The descriptor of an object whose folder has `parent` now: its own entries first, then what it inherits. One that inherits nothing
 * (`P`) stays as it is, and so does one without a list.
 */
export function inheritFrom(parent: SecurityDescriptor, own: SecurityDescriptor, kind: ObjectKind): SecurityDescriptor {
  const { dacl } = own
  if (dacl === undefined || dacl === 'null' || dacl.isProtected) return own
  const explicit = dacl.aces.filter(ace => !has(ace, 'inherited'))
  return { ...own, dacl: { ...dacl, aces: [...explicit, ...inheritedAces(parent.dacl, kind, own.owner, own.group)] } }
}

/** What is made in a folder by a creator who gives no descriptor of his own. Without anything to inherit it gets `defaultDacl`. */
export function newObject(parent: SecurityDescriptor, kind: ObjectKind, { owner, group, defaultDacl }: { readonly owner: string; readonly group: string; readonly defaultDacl: Acl }): SecurityDescriptor {
  const aces = inheritedAces(parent.dacl, kind, owner, group)
  return { owner, group, dacl: aces.length === 0 ? defaultDacl : { isProtected: false, control: ['AI'], aces }, sacl: undefined }
}
