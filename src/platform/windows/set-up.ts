// Whether set-up has made what a plan needs, and the command that does. No plan is carried out before, and none changes access lists
// itself: the walk of a big tree belongs to set-up. Pure.
import { createHash } from 'node:crypto'
import { SandboxError } from '../../errors.js'
import type { WindowsFacts, WindowsSetUp } from '../../policy/host-snapshot.js'
import type { WindowsAccessEdit, WindowsMode } from '../launch-plan.js'
import { hasAces } from './access-edits.js'
import { descriptorOf } from './host-facts.js'
import { quoteArgument } from './command-line.js'

/** Of the state that set-up keeps. */
export const SET_UP_VERSION = 1

/** `codex-sandbox windows setup --mode elevated --root C:\work` */
export const setUpCommand = (mode: WindowsMode, roots: readonly string[]): string =>
  ['codex-sandbox', 'windows', 'setup', '--mode', mode, ...roots.flatMap(root => ['--root', quoteArgument(root)])].join(' ')

/** @param field  what is missing: `windows`, an account, a root */
export function setUpRequired(mode: WindowsMode, roots: readonly string[], field: string, value: unknown, detail: string): SandboxError {
  const needs = mode === 'elevated' ? ' It asks for an administrator\'s consent once.' : ''
  return new SandboxError('windows_setup_required', { field, value }, { detail, remedy: `Run \`${setUpCommand(mode, roots)}\`.${needs}` })
}

/**
 * What is planned and what stands there now, as one word: set-up writes it down when it has made the lists and read them back, and a
 * command starts without a look at any entry where it is still the same.
 */
export function fingerprint(edits: readonly WindowsAccessEdit[], facts: Pick<WindowsFacts, 'descriptor'>): string {
  const hash = createHash('sha256')
  for (const edit of edits) hash.update(JSON.stringify([edit, facts.descriptor(edit.path) ?? null]))
  return hash.digest('hex')
}

/**
 * The first edit that is not in force, or undefined. Placeholders are not looked at: they are made, with their entries, when commands run.
 *
 * @param inToken  the SIDs that the plan's token has in any way
 */
export function firstPending(edits: readonly WindowsAccessEdit[], placeholders: ReadonlySet<string>, facts: Pick<WindowsFacts, 'descriptor'>, { prepared }: WindowsSetUp, inToken: ReadonlySet<string>): WindowsAccessEdit | undefined {
  const lasting = edits.filter(({ path }) => !placeholders.has(path))
  if (prepared.includes(fingerprint(lasting, facts))) return undefined
  return lasting.find(({ path, add }) => {
    const descriptor = descriptorOf(facts, path)
    return descriptor === undefined || !hasAces(descriptor, add, inToken)
  })
}
