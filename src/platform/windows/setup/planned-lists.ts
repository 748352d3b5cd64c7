// The entries that plans of these policies need, and by whom they can be made: the user himself, or an administrator. Pure.
import { SandboxError } from '../../../errors.js'
import type { WindowsFacts, WindowsSetUp } from '../../../policy/host-snapshot.js'
import type { ResolvedPolicy } from '../../../policy/resolved-policy.js'
import { DEGRADATIONS, type DegradationName, type WindowsAccessEdit, type WindowsMode } from '../../launch-plan.js'
import { foldName } from '../../../policy/letter-case.js'
import { isInside, parentOf } from '../../../policy/path-syntax.js'
import { addAces } from '../access-edits.js'
import { compileWindows, isOwn } from '../compile.js'
import { descriptorOf } from '../host-facts.js'
import { WINDOWS_LAYER } from '../layer.js'
import { kindOfAce, parseAceText, printDescriptor, type SecurityDescriptor } from '../sddl.js'
import { fingerprint } from '../set-up.js'
import { inheritOurs } from './access-walk.js'

/** Of one policy: what stays when no command runs. */
export function lastingEdits(policy: ResolvedPolicy, mode: WindowsMode, facts: WindowsFacts, setUp: WindowsSetUp): WindowsAccessEdit[] {
  const { access, placeholders } = compiled(policy, mode, { ...facts, setUp }, true)
  const standing = new Set(placeholders.map(({ path }) => path))
  return access.filter(({ path }) => !standing.has(path))
}

/**
 * Of several policies, each planned as if the lists of those before it stood there: what one grants, the next finds granted. Those that
 * write come first, since reading is granted with writing.
 */
export function lastingEditsOfAll(policies: readonly ResolvedPolicy[], mode: WindowsMode, facts: WindowsFacts, setUp: WindowsSetUp, ours: ReadonlySet<string>): WindowsAccessEdit[] {
  const isWriting = ({ paths }: ResolvedPolicy) => paths.some(({ effect }) => effect === 'write')
  const edits: WindowsAccessEdit[] = []
  for (const policy of [...policies.filter(isWriting), ...policies.filter(each => !isWriting(each))]) edits.push(...lastingEdits(policy, mode, withEdits(facts, edits, ours), setUp))
  return edits
}

/** The machine as it will be when these edits are made, and handed on. */
function withEdits(facts: WindowsFacts, edits: readonly WindowsAccessEdit[], ours: ReadonlySet<string>): WindowsFacts {
  if (edits.length === 0) return facts
  const known = new Map<string, SecurityDescriptor | undefined>()
  const isReached = (path: string): boolean => edits.some(edit => isInside('windows', edit.path, path))
  const find = (path: string): SecurityDescriptor | undefined => {
    if (known.has(path)) return known.get(path)
    const before = descriptorOf(facts, path)
    const parent = parentOf('windows', path)
    const above = before === undefined || parent === path || !isReached(parent) ? undefined : find(parent)
    const own = before === undefined ? undefined : edits.filter(edit => foldName(edit.path) === foldName(path)).reduce((list, { add }) => addAces(list, add), before)
    const found = own === undefined || above === undefined ? own : inheritOurs(above, own, facts.kind(path) ?? 'file', ours)
    known.set(path, found)
    return found
  }
  return { ...facts, descriptor: path => { const found = isReached(path) ? find(path) : undefined; return found === undefined ? facts.descriptor(path) : printDescriptor(found) } }
}

/**
 * What the state says of a policy whose lists are made.
 *
 * @throws SandboxError `windows_setup_required` where they do not have what a plan needs
 */
export function preparedWord(policy: ResolvedPolicy, mode: WindowsMode, facts: WindowsFacts, setUp: WindowsSetUp): string {
  const unprepared = { ...facts, setUp: { ...setUp, prepared: [] } }
  compiled(policy, mode, unprepared, false)
  return fingerprint(lastingEdits(policy, mode, facts, setUp), facts)
}

/** What a policy degrades is for its own commands to say. */
const compiled = (policy: ResolvedPolicy, mode: WindowsMode, windows: WindowsFacts, isSettingUp: boolean) => compileWindows(policy, mode, [{ layer: WINDOWS_LAYER, available: true }], {
  allowDegraded: new Set(Object.keys(DEGRADATIONS) as DegradationName[]), limits: {}, architecture: 'x64', stateDirectory: '', cwdIdentity: { device: '0', inode: '0' }, windows, isSettingUp,
})

/**
 * Those that the user may make, and those for an administrator. The second kind may only deny, and only to SIDs of ours: nobody is given
 * anything on what is not the user's.
 *
 * @throws SandboxError `windows_setup_refused`
 */
export function splitByOwner(edits: readonly WindowsAccessEdit[], facts: WindowsFacts): { readonly own: WindowsAccessEdit[]; readonly foreign: WindowsAccessEdit[] } {
  const own = edits.filter(({ path }) => isOwn(facts, path))
  const foreign = edits.filter(({ path }) => !isOwn(facts, path))
  const giving = foreign.find(({ add }) => add.some(text => kindOfAce(parseAceText(text, 'entry')) !== 'deny'))
  if (giving !== undefined) throw new SandboxError('windows_setup_refused', { field: 'path', value: giving.path }, { detail: 'commands need entries on it that you may not make', remedy: 'Name a folder that is yours, or become its owner.' })
  return { own, foreign }
}
