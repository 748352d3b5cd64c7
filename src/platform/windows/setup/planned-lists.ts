// The entries that plans of these policies need, and by whom they can be made: the user himself, or an administrator. Pure.
import { SandboxError } from '../../../errors.js'
import type { WindowsFacts, WindowsSetUp } from '../../../policy/host-snapshot.js'
import type { ResolvedPolicy } from '../../../policy/resolved-policy.js'
import { DEGRADATIONS, type DegradationName, type WindowsAccessEdit, type WindowsMode } from '../../launch-plan.js'
import { kindOfAce, parseAceText } from '../sddl.js'
import { compileWindows, isOwn } from '../compile.js'
import { WINDOWS_LAYER } from '../layer.js'
import { fingerprint } from '../set-up.js'

/** Of one policy: what stays when no command runs. */
export function lastingEdits(policy: ResolvedPolicy, mode: WindowsMode, facts: WindowsFacts, setUp: WindowsSetUp): WindowsAccessEdit[] {
  const { access, placeholders } = compiled(policy, mode, { ...facts, setUp }, true)
  const standing = new Set(placeholders.map(({ path }) => path))
  return access.filter(({ path }) => !standing.has(path))
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

/** Edits of one path become one. */
export function mergeEdits(edits: readonly WindowsAccessEdit[]): WindowsAccessEdit[] {
  const byPath = new Map<string, WindowsAccessEdit>()
  for (const edit of edits) {
    const before = byPath.get(edit.path)
    byPath.set(edit.path, before === undefined ? edit : { ...before, add: [...before.add, ...edit.add.filter(ace => !before.add.includes(ace))].sort(denyingFirst) })
  }
  return [...byPath.values()]
}

const denyingFirst = (a: string, b: string): number => Number(b.startsWith('(D')) - Number(a.startsWith('(D'))

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
