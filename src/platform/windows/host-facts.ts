// What a plan needs of a Windows host, worked out from the facts: descriptors, and which disks have access lists. Pure.
import type { HostSnapshot, WindowsFacts } from '../../policy/host-snapshot.js'
import { isInside, parentOf } from '../../policy/path-syntax.js'
import { grantedAccess, type Token } from './access-check.js'
import { EVERY_CHANGE } from './access-rights.js'
import { inheritFrom } from './inheritance.js'
import { kindOfAce, parseDescriptor, printDescriptor, type SecurityDescriptor } from './sddl.js'
import { INTEGRITY, SIDS } from './sid.js'

/** Undefined where nothing is, or it cannot be read. @throws SandboxError `descriptor_invalid` */
export function descriptorOf(facts: Pick<WindowsFacts, 'descriptor'>, path: string): SecurityDescriptor | undefined {
  const text = facts.descriptor(path)
  return text === undefined ? undefined : parseDescriptor(text, `the access list of ${path}`)
}

/** File systems that keep a list for each file. */
const WITH_LISTS: readonly string[] = ['NTFS', 'REFS']

/** Why no access list on `path` confines anybody; undefined where it does. */
export function whyNoLists({ drives }: Pick<WindowsFacts, 'drives'>, path: string): string | undefined {
  if (path.startsWith('\\\\')) return 'it is on another machine, which judges by the account and knows no restricted tokens'
  const drive = drives.find(({ letter }) => isInside('windows', `${letter}\\`, path))
  if (drive === undefined) return 'its drive is not known'
  if (drive.substituted !== undefined) return `${drive.letter} is another name of ${drive.substituted} (subst): give the path by that one`
  if (drive.kind === 'remote') return 'its drive is on another machine, which judges by the account and knows no restricted tokens'
  return WITH_LISTS.includes(drive.fileSystem.toUpperCase()) ? undefined : `${drive.fileSystem} keeps no access lists`
}

/** Drives on which everybody may write everything. */
export const drivesWithoutLists = ({ drives }: Pick<WindowsFacts, 'drives'>): string[] =>
  drives.filter(({ fileSystem, kind }) => kind !== 'optical' && kind !== 'remote' && !WITH_LISTS.includes(fileSystem.toUpperCase())).map(({ letter }) => letter)

/** By entries of its own everybody may change something there, or in it. */
export function everybodyChanges({ owner, dacl }: SecurityDescriptor): boolean {
  if (dacl === 'null' || dacl === undefined) return true
  const own = dacl.aces.filter(({ flags }) => !flags.includes('inherited')).map(ace => ({ ...ace, flags: ace.flags.filter(flag => flag !== 'inherit-only') }))
  return (grantedAccess(EVERYBODY, { owner, group: undefined, dacl: { ...dacl, aces: own }, sacl: undefined }) & EVERY_CHANGE) !== 0
}

const EVERYBODY: Token = { user: SIDS.everyone, groups: [], denyOnly: [], restricting: [], isWriteRestricted: false, integrity: INTEGRITY.medium }

/** What is denied above does not decide there: it inherits nothing, or something of its own allows. */
export const hasOwnList = ({ dacl }: SecurityDescriptor): boolean =>
  dacl === 'null' || dacl === undefined || dacl.isProtected || dacl.aces.some(ace => kindOfAce(ace) === 'allow' && !ace.flags.includes('inherited'))

/**
 * For a host that was written by hand: what exists and has no descriptor of its own has what it inherits, and the owner of its folder.
 * A drive without one is as Windows formats it. Of the listed descriptors those are found that a scan and set-up's walk would find.
 */
export function withInheritedDescriptors(host: HostSnapshot): HostSnapshot {
  const { windows: facts, files } = host
  if (facts === undefined) return host
  const known = new Map<string, SecurityDescriptor>()
  const find = (path: string): SecurityDescriptor => {
    const before = known.get(path)
    if (before !== undefined) return before
    const parent = parentOf('windows', path)
    const own = facts.descriptor(path)
    const above = parent === path ? undefined : find(parent)
    const base: SecurityDescriptor = own !== undefined ? parseDescriptor(own, `the access list of ${path}`)
      : above === undefined ? parseDescriptor(DRIVE, 'drive') : { owner: above.owner, group: above.group, dacl: { isProtected: false, control: ['AI'], aces: [] }, sacl: undefined }
    const kind = files.entry(path)?.kind === 'directory' ? 'directory' : 'file'
    const found = above === undefined ? base : inheritFrom(above, base, kind)
    known.set(path, found)
    return found
  }
  const listed = facts.ownLists.map(each => ({ ...each, descriptor: find(each.path) }))
  const worldWritable = listed.filter(({ kind, descriptor }) => kind === 'directory' && everybodyChanges(descriptor)).map(({ path }) => path)
  const ownLists = listed.filter(({ descriptor }) => hasOwnList(descriptor)).map(({ path, kind }) => ({ path, kind }))
  return { ...host, windows: { ...facts, worldWritable: [...new Set([...facts.worldWritable, ...worldWritable])], ownLists, descriptor: path => files.entry(path) === undefined ? undefined : printDescriptor(find(path)) } }
}

/** Everybody with an account reads, and makes folders of his own; what is in them is his and every other account's to change. */
const DRIVE = 'O:S-1-5-80-956008885-3418522649-1831038044-1853292631-2271478464G:SYD:PAI(A;OICI;FA;;;BA)(A;OICI;FA;;;SY)(A;OICI;0x1200a9;;;BU)(A;OICIIO;0x1301bf;;;AU)(A;;0x100004;;;AU)'
