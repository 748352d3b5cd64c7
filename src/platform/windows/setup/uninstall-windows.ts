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
  const { journal, damage } = await readJournal(system)
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
  const away = await machineAway(system, machine, ours, stripped, listeners)
  steps.push(...away.steps)
  const left = [...away.left, ...damage]
  // With an administrator's eyes it was looked at again.
  const unseen = away.steps.length > 0 && !machine.isElevated ? [] : stripped.unseen
  // Where entries may still stand, their SIDs and places stay known, for another try.
  const kept: readonly string[] = left.length === 0 ? [] : damage.length > 0 ? [STATE_FILES.capabilities] : [STATE_FILES.journal, STATE_FILES.capabilities]
  if (hasFolder) await named('state', async () => {
    for (const name of [STATE_FILES.secrets, STATE_FILES.error, STATE_FILES.capabilities, STATE_FILES.journal]) if (!kept.includes(name)) await system.removeState(name)
    if (kept.length === 0) await system.removeStateFolder()
  })
  steps.push({ step: 'files', outcome: hasFolder ? 'made' : 'unchanged' })
  return { steps, left: [...left, ...unseen] }
}

/**
 * The state may speak of entries that a journal of old, or a lost one, does not. A damaged file does not keep the rest from being taken away:
 * what only that file knew is told as left.
 */
async function readJournal(system: WindowsSystem): Promise<{ readonly journal: SetUpJournal; readonly damage: UninstallReport['left'] }> {
  const damage: { path: string; reason: string }[] = []
  const read = async <Content>(name: string, parse: (text: string) => Content): Promise<Content | undefined> => {
    const text = await named('state', () => system.readState(name))
    try {
      return text === undefined ? undefined : parse(text)
    } catch (error) {
      if (!(error instanceof SandboxError)) throw error
      if (name === STATE_FILES.journal) damage.push({ path: `${STATE_FOLDER}\\${name}`, reason: `${error.message} Entries outside of the roots may still stand.` })
      return undefined
    }
  }
  const journal = await read(STATE_FILES.journal, parseJournal) ?? NO_JOURNAL
  const state = await read(STATE_FILES.state, parseState)
  if (state === undefined) return { journal, damage }
  const { roots, accounts, capabilities } = state
  const missing = roots.filter(root => !journal.places.some(({ path }) => path === root))
  return { damage, journal: { ...journal, places: [...journal.places, ...missing.map(path => ({ path, isDeep: true }))], sids: [...new Set([...journal.sids, ...Object.values(capabilities), ...(accounts === undefined ? [] : [accounts.group.sid])])] } }
}

/** Capabilities, kept or retired, and the group's: each of a form that we make, and nobody else's. */
async function ownSids(system: WindowsSystem, { user }: MachineFacts, journal: SetUpJournal): Promise<ReadonlySet<string>> {
  const text = await system.readState(STATE_FILES.capabilities)
  const store = text === undefined ? EMPTY_STORE : storeOr(text, journal)
  const group = await groupSid(system, user)
  const ours = new Set(group === undefined ? [] : [group])
  for (const sid of new Set([...Object.values(store.sids), ...store.retired, ...journal.sids])) {
    if (isOwnShape(sid) && await named('sid', () => system.nameOf(sid)) === undefined) ours.add(sid)
  }
  return ours
}

/** The journal has the SIDs of all entries that stand; the store has those of calls that failed as well. */
function storeOr(text: string, { sids }: SetUpJournal): CapabilityStore {
  try {
    return parseStore(text, `${STATE_FOLDER}\\${STATE_FILES.capabilities}`)
  } catch (error) {
    if (error instanceof SandboxError && sids.length > 0) return EMPTY_STORE
    throw error
  }
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
async function machineAway(system: WindowsSystem, machine: MachineFacts, ours: ReadonlySet<string>, { left, unseen }: Pick<Awaited<ReturnType<typeof stripLists>>, 'left' | 'unseen'>, listeners: SetUpListeners): Promise<{ readonly steps: readonly SetUpStepReport[]; readonly left: UninstallReport['left'] }> {
  if (!await isAnythingThere(system, machine) && (left.length === 0 || machine.isElevated)) return { steps: [], left }
  const request: MachineRequest = {
    version: REQUEST_VERSION, task: 'uninstall', user: machine.user, wantsPasswords: false, proxyPorts: [], close: [], sids: [...ours], strip: machine.isElevated ? [] : [...left, ...unseen].map(({ path }) => path),
  }
  const session = machine.isElevated ? await openMachineSession(system, request, listeners) : await withConsent(system, request, listeners)
  await session.keep()
  // What another process answered is asked of the system again.
  if (await isAnythingThere(system, machine)) throw new SandboxError('set_up_failed', { step: 'uninstall', errno: '0' }, { detail: 'accounts, groups or rules of ours are still there', remedy: 'Run `codex-sandbox windows uninstall` again.' })
  return { steps: session.result.steps, left: machine.isElevated ? left : session.result.left ?? [] }
}

async function isAnythingThere(system: WindowsSystem, { user }: MachineFacts): Promise<boolean> {
  for (const { step, exists } of machinePart(system, { user, wantsPasswords: false, proxyPorts: [] }, 0).steps) if (await named(step, exists)) return true
  return false
}
