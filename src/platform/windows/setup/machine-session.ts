// Carries out the machine's part in a process that has an administrator's rights: this one, or the helper. First everything is looked at, so
// that what cannot be is told before any change; then step by step, each read back; a failure undoes what this session made.
import { SandboxError } from '../../../errors.js'
import { changeLists, type ListChange, stripLists } from './access-walk.js'
import { GROUP_WORD, type MachineListeners, type MachineRequest, type MachineSession } from './machine-request.js'
import { machinePart, type MachineStep, ownGroup, refuseMachine } from './machine-steps.js'
import type { SetUpStepReport } from './report.js'
import { CONSENT_REFUSED, WindowsFailure, type WindowsSystem } from './system.js'

/** @throws SandboxError `windows_setup_refused` before any change; `set_up_failed` after everything that was made is undone */
export async function openMachineSession(system: WindowsSystem, request: MachineRequest, listeners: MachineListeners): Promise<MachineSession> {
  await refuseSids(system, request)
  return request.task === 'set-up' ? setUp(system, request, listeners) : uninstall(system, request, listeners)
}

/** By the one helper. @throws SandboxError `windows_setup_refused` without consent */
export async function withConsent(system: WindowsSystem, request: MachineRequest, listeners: MachineListeners): Promise<MachineSession> {
  try {
    return await system.elevate(request, listeners)
  } catch (error) {
    if (error instanceof WindowsFailure && error.code === CONSENT_REFUSED) throw new SandboxError('windows_setup_refused', { field: 'consent', value: undefined }, { detail: 'an administrator\'s consent was asked for and refused', remedy: 'Start again and agree; or use the other mode: unelevated.', cause: error })
    return named('elevation', () => Promise.reject(error))
  }
}

/** Entries are only ever made or taken out for a SID that nobody has, or that is our group's: never for another account of this machine. */
async function refuseSids(system: WindowsSystem, { sids, user }: MachineRequest): Promise<void> {
  const group = await ownGroupSid(system, user)
  for (const sid of sids) {
    const owner = sid === group ? undefined : await system.nameOf(sid)
    if (owner !== undefined) throw new SandboxError('windows_setup_refused', { field: 'sid', value: sid }, { detail: `it is that of ${owner}, and no capability`, remedy: 'Run `codex-sandbox windows uninstall`, and set up again.' })
  }
}

/** Undefined: there is none, or not of ours. */
async function ownGroupSid(system: WindowsSystem, user: MachineRequest['user']): Promise<string | undefined> {
  return named('group', () => unlessForeign(async () => (await ownGroup(system, user))?.sid))
}

async function setUp(system: WindowsSystem, request: MachineRequest, listeners: MachineListeners): Promise<MachineSession> {
  const facts = await named('machine', () => system.machine())
  await named('machine', () => refuseMachine(system, facts))
  const part = machinePart(system, request, facts.leastPasswordCharacters)
  const steps = [...part.steps, closeStep(system, request, () => part.accounts(), listeners)]
  for (const step of part.steps) await named(step.step, () => step.look())
  const made: MachineStep[] = []
  const undo = () => undoSteps(made, listeners)
  const reports: SetUpStepReport[] = []
  try {
    for (const step of steps) reports.push({ step: step.step, outcome: await carryOut(step, made, listeners) })
    return { result: { steps: reports, accounts: await part.accounts(), passwords: part.passwords }, keep: async () => {}, undo }
  } catch (error) {
    await undoAfter(error, undo)
    throw error
  }
}

/** A step is made only where it is not there yet, and looked at again afterwards: what the system answered does not count. */
async function carryOut(step: MachineStep, made: MachineStep[], { onProgress, signal }: MachineListeners): Promise<'made' | 'unchanged'> {
  signal?.throwIfAborted()
  onProgress?.({ step: step.step })
  if (await named(step.step, () => step.look()) === 'done') return 'unchanged'
  made.push(step)
  await named(step.step, () => step.make())
  const after = await named(step.step, () => step.look())
  if (after !== 'done') throw new SandboxError('set_up_failed', { step: step.step, errno: '0' }, { detail: `Windows took it, and holds ${after === 'absent' ? 'nothing of it' : 'something else'}`, remedy: 'What this call made is undone. A policy of the machine may forbid it: ask who manages it.' })
  return 'made'
}

async function undoSteps(made: MachineStep[], { onProgress }: MachineListeners): Promise<void> {
  const failures: unknown[] = []
  for (let step = made.pop(); step !== undefined; step = made.pop()) {
    onProgress?.({ step: `undo ${step.step}` })
    // One that cannot be undone does not keep the others.
    await step.undo().catch((error: unknown) => failures.push(error))
  }
  if (failures.length > 0) throw new AggregateError(failures, failures.map(String).join('; '))
}

/** Undoing may fail as well: then the first failure says so, and uninstalling takes the rest away. */
export async function undoAfter(error: unknown, undo: () => Promise<void>): Promise<void> {
  try {
    await undo()
  } catch (failure) {
    throw new SandboxError('set_up_failed', { step: 'undo', errno: '0' }, { detail: `${error instanceof Error ? error.message : String(error)}; and undoing failed: ${failure instanceof Error ? failure.message : String(failure)}`, remedy: 'Run `codex-sandbox windows uninstall`: it takes away what is left.', cause: error })
  }
}

function closeStep(system: WindowsSystem, { close, sids }: MachineRequest, accounts: () => Promise<{ readonly group: { readonly sid: string } }>, listeners: MachineListeners): MachineStep {
  const added: ListChange[] = []
  const changes = async (): Promise<{ readonly wanted: ListChange[]; readonly ours: ReadonlySet<string> }> => {
    const { group } = await accounts()
    return { wanted: close.map(edit => ({ path: edit.path, identity: edit.identity, add: edit.add.map(ace => ace.replaceAll(GROUP_WORD, group.sid)) })), ours: new Set([...sids, group.sid]) }
  }
  let isMade = close.length === 0
  return {
    step: 'closed_folders',
    // The walk itself looks at each object, and reads each back.
    look: async () => isMade ? 'done' : 'absent',
    async make() {
      const { wanted, ours } = await changes()
      await changeLists(system, wanted, { step: 'closed_folders', ours, readers: ours, ...listeners }, change => added.push(change))
      isMade = true
    },
    async undo() {
      const { ours } = await changes()
      await changeLists(system, added.map(({ path, add }) => ({ path, add: [], remove: add })), { step: 'closed_folders', ours })
    },
    remove: async () => false,
    exists: async () => false,
  }
}

async function uninstall(system: WindowsSystem, request: MachineRequest, listeners: MachineListeners): Promise<MachineSession> {
  const group = await ownGroupSid(system, request.user)
  const ours = new Set([...request.sids, ...(group === undefined ? [] : [group])])
  const steps: SetUpStepReport[] = []
  const stripped = await stripLists(system, request.strip.map(path => ({ path, isDeep: true })), { step: 'access_lists', ours, ...listeners })
  if (request.strip.length > 0) steps.push({ step: 'access_lists', outcome: stripped.written > 0 ? 'made' : 'unchanged', written: stripped.written })
  const part = machinePart(system, { ...request, wantsPasswords: false }, 0)
  for (const step of inOrderOfRemoval(part.steps)) {
    listeners.signal?.throwIfAborted()
    listeners.onProgress?.({ step: `remove ${step.step}` })
    steps.push({ step: step.step, outcome: await removeOne(step) })
  }
  return { result: { steps, left: [...stripped.left, ...stripped.unseen] }, keep: async () => {}, undo: async () => {} }
}

/** Rules of the firewall last: an account that cannot be removed, as commands of its still run, keeps what holds it. */
function inOrderOfRemoval(steps: readonly MachineStep[]): MachineStep[] {
  const isRule = ({ step }: MachineStep): boolean => step.startsWith('firewall_')
  const reversed = [...steps].reverse()
  return [...reversed.filter(step => !isRule(step)), ...reversed.filter(isRule)]
}

/** It is gone when there is nothing left to remove: what the system answered to the first time does not count. */
async function removeOne({ step, remove }: MachineStep): Promise<'made' | 'unchanged'> {
  const again = () => named(step, () => unlessForeign(remove))
  if (await again() !== true) return 'unchanged'
  if (await again() === true) throw new SandboxError('set_up_failed', { step, errno: '0' }, { detail: 'Windows took its removal, and it is still there', remedy: 'Run `codex-sandbox windows uninstall` again.' })
  return 'made'
}

/** What is not ours is none of ours to remove: it is as if nothing were there. */
async function unlessForeign<Answer>(work: () => Promise<Answer>): Promise<Answer | undefined> {
  try {
    return await work()
  } catch (error) {
    if (error instanceof SandboxError && error.code === 'windows_setup_refused') return undefined
    throw error
  }
}

/** Meanings of what the calls of Windows fail with; source: winerror.h, lmerr.h. */
const MEANINGS: Readonly<Record<number, string>> = {
  5: 'this process has no administrator\'s rights, or a policy of the machine forbids it', 1312: 'there is no logon session that could do it', 1314: 'a privilege is missing',
  1326: 'the password is not the account\'s', 1327: 'a policy of the machine keeps the account from logging on', 1331: 'the account is disabled', 1385: 'the account may not log on here', 1909: 'the account is locked',
  1376: 'there is no such local group', 1378: 'it is a member already', 1379: 'a group of this name is there already', 1388: 'that cannot be a member of a local group', 2221: 'there is no such account', 2224: 'an account of this name is there already', 2226: 'this works only on the primary domain controller', 2245: 'the password does not meet the policy of the machine',
}

/** A failure of Windows becomes an error that names the step. */
export async function named<Answer>(step: string, work: () => Promise<Answer>): Promise<Answer> {
  try {
    return await work()
  } catch (error) {
    if (!(error instanceof WindowsFailure)) throw error
    const meaning = MEANINGS[error.code]
    throw new SandboxError('set_up_failed', { step, errno: String(error.code) }, { detail: `${error.message}${meaning === undefined ? '' : ` (${meaning})`}`, remedy: 'What this call made is undone; `codex-sandbox windows status` says what there is.', cause: error })
  }
}

