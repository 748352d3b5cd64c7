// Takes away all that set-up made: entries, accounts, rules, rights, files. What the files say only tells where to look: removed is what is
// known for ours by itself, its SID or its mark. Stopped at any point, the same call goes on.
import { SandboxError } from '../../../errors.js'
import { type CapabilityStore, EMPTY_STORE, parseStore } from '../capability-sids.js'
import { stripLists } from './access-walk.js'
import { isOwnShape, type MachineRequest, REQUEST_VERSION } from './machine-request.js'
import { named, openMachineSession, withConsent } from './machine-session.js'
import { machinePart, ownGroup } from './machine-steps.js'
import type { SetUpListeners, SetUpStepReport, UninstallReport } from './report.js'
import { takeLock } from './set-up-lock.js'
import { NO_JOURNAL, parseJournal, parseState, printJournal, type SetUpJournal, STATE_FILES, STATE_FOLDER } from './state-files.js'
import type { MachineFacts, WindowsSystem } from './system.js'

/** See `WindowsSetUpCalls.uninstall`. */
export async function uninstallWindows(system: WindowsSystem, listeners: SetUpListeners = {}): Promise<UninstallReport> {
  const machine = await named('machine', () => system.machine())
  const lock = await takeLock(system, 'uninstall')
  try {
    return await takeAway(system, machine, listeners)
  } finally {
    await lock.release()
  }
}

async function takeAway(system: WindowsSystem, machine: MachineFacts, listeners: SetUpListeners): Promise<UninstallReport> {
  const hasFolder = await system.stateFolder() !== undefined
  const journal = await readJournal(system)
  // From here on no plan finds a set-up: half of one confines nobody.
  if (hasFolder && (await system.readState(STATE_FILES.state) !== undefined || journal.places.length > 0)) {
    await named('journal', () => system.writeState(STATE_FILES.journal, printJournal({ ...journal, phase: 'uninstalling' })))
    await named('state', () => system.removeState(STATE_FILES.state))
  }
  const ours = await ownSids(system, machine, journal)
  const steps: SetUpStepReport[] = []
  listeners.onProgress?.({ step: 'access_lists' })
  const stripped = await stripLists(system, journal.places, { step: 'access_lists', ours, ...listeners })
  steps.push({ step: 'access_lists', outcome: stripped.written > 0 ? 'made' : 'unchanged', written: stripped.written })
  const { steps: machineSteps, left } = await machineAway(system, machine, ours, stripped.left, listeners)
  steps.push(...machineSteps)
  // Where entries may still stand, their SIDs and places stay known, for another try.
  const kept = left.length > 0 ? [STATE_FILES.journal, STATE_FILES.capabilities] as readonly string[] : []
  if (hasFolder) await named('state', async () => {
    for (const name of [STATE_FILES.secrets, STATE_FILES.error, STATE_FILES.capabilities, STATE_FILES.journal]) if (!kept.includes(name)) await system.removeState(name)
    if (kept.length === 0) await system.removeStateFolder()
  })
  steps.push({ step: 'files', outcome: hasFolder ? 'made' : 'unchanged' })
  return { steps, left }
}

/** The state may speak of entries that a journal of old, or a lost one, does not. */
async function readJournal(system: WindowsSystem): Promise<SetUpJournal> {
  const text = await system.readState(STATE_FILES.journal)
  const journal = text === undefined ? NO_JOURNAL : parseJournal(text)
  const state = await system.readState(STATE_FILES.state)
  if (state === undefined) return journal
  const { roots, accounts } = parseState(state)
  const missing = roots.filter(root => !journal.places.some(({ path }) => path === root))
  return { ...journal, places: [...journal.places, ...missing.map(path => ({ path, isDeep: true }))], sids: [...new Set([...journal.sids, ...(accounts === undefined ? [] : [accounts.group.sid])])] }
}

/** Capabilities, kept or retired, and the group's: each of a form that we make, and nobody else's. */
async function ownSids(system: WindowsSystem, { user }: MachineFacts, journal: SetUpJournal): Promise<ReadonlySet<string>> {
  const text = await system.readState(STATE_FILES.capabilities)
  const store: CapabilityStore = text === undefined ? EMPTY_STORE : parseStore(text, `${STATE_FOLDER}\\${STATE_FILES.capabilities}`)
  const group = await groupSid(system, user)
  const ours = new Set(group === undefined ? [] : [group])
  for (const sid of new Set([...Object.values(store.sids), ...store.retired, ...journal.sids])) {
    if (isOwnShape(sid) && await named('sid', () => system.nameOf(sid)) === undefined) ours.add(sid)
  }
  return ours
}

async function groupSid(system: WindowsSystem, user: MachineFacts['user']): Promise<string | undefined> {
  try {
    return (await named('group', () => ownGroup(system, user)))?.sid
  } catch (error) {
    if (error instanceof SandboxError && error.code === 'windows_setup_refused') return undefined
    throw error
  }
}

/** Without anything of the machine's no consent is asked for. What the user could not take out is tried again with it. */
async function machineAway(system: WindowsSystem, machine: MachineFacts, ours: ReadonlySet<string>, left: UninstallReport['left'], listeners: SetUpListeners): Promise<{ readonly steps: readonly SetUpStepReport[]; readonly left: UninstallReport['left'] }> {
  if (!await isAnythingThere(system, machine) && (left.length === 0 || machine.isElevated)) return { steps: [], left }
  const request: MachineRequest = {
    version: REQUEST_VERSION, task: 'uninstall', user: machine.user, wantsPasswords: false, proxyPorts: [], close: [], sids: [...ours], strip: machine.isElevated ? [] : left.map(({ path }) => path),
  }
  const session = machine.isElevated ? await openMachineSession(system, request, listeners) : await withConsent(system, request, listeners)
  await session.keep()
  return { steps: session.result.steps, left: machine.isElevated ? left : session.result.left ?? [] }
}

async function isAnythingThere(system: WindowsSystem, { user }: MachineFacts): Promise<boolean> {
  for (const { step, exists } of machinePart(system, { user, wantsPasswords: false, proxyPorts: [] }, 0).steps) if (await named(step, exists)) return true
  return false
}
