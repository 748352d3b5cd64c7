// Sets up what plans need on this machine: step by step, each read back, one at a time. A failure undoes what this call made; after a
// crash the same call goes on, or uninstalling takes everything away.
import { randomInt } from 'node:crypto'
import { SandboxError } from '../../../errors.js'
import { isInside } from '../../../policy/path-syntax.js'
import type { WindowsFacts, WindowsSetUp } from '../../../policy/host-snapshot.js'
import type { WindowsAccessEdit } from '../../launch-plan.js'
import { outermostRoots } from '../access-plan.js'
import { assignCapabilities, type CapabilityStore, EMPTY_STORE, parseStore, printStore, READ_ONLY_KEY, retireCapabilities } from '../capability-sids.js'
import { isOwn } from '../compile.js'
import { firstPending, SET_UP_VERSION } from '../set-up.js'
import { printDescriptor, parseDescriptor } from '../sddl.js'
import { ACCOUNTS, type AccountName, SUPPOSED_ACCOUNTS } from '../users.js'
import { changeLists, findOwnLists, isDeep, type ListChange, type WalkOptions } from './access-walk.js'
import { GROUP_WORD, type MachineRequest, type MachineSession, REQUEST_VERSION } from './machine-request.js'
import { named, openMachineSession, undoAfter, withConsent } from './machine-session.js'
import { machinePart, refuseMachine } from './machine-steps.js'
import { lastingEditsOfAll, preparedWord, splitByOwner } from './planned-lists.js'
import type { SetUpReport, SetUpRequest, SetUpStepReport } from './report.js'
import { takeLock } from './set-up-lock.js'
import { type EditedPlace, JOURNAL_VERSION, NO_JOURNAL, parseJournal, parseSecrets, parseState, printError, printJournal, printSecrets, printState, type SealedPasswords, type SetUpState, STATE_FILES, STATE_FOLDER } from './state-files.js'
import { ACCESS_DENIED, type MachineFacts, WindowsFailure, type WindowsSystem } from './system.js'

/** See `WindowsSetUpCalls.setUp`. */
export async function setUpWindows(system: WindowsSystem, request: SetUpRequest): Promise<SetUpReport> {
  const machine = await named('machine', () => system.machine())
  if (request.mode === 'elevated') await named('machine', () => refuseMachine(system, machine))
  const lock = await takeLock(system, 'set-up')
  try {
    return await new SetUpRun(system, request, machine).run()
  } finally {
    await lock.release()
  }
}

/** How many fingerprints the state keeps. */
const MOST_PREPARED = 256

interface Known {
  readonly state: SetUpState | undefined
  readonly journal: string | undefined
  readonly secrets: SealedPasswords | undefined
  readonly store: CapabilityStore
}

class SetUpRun {
  readonly #system: WindowsSystem
  readonly #request: SetUpRequest
  readonly #machine: MachineFacts
  readonly #reports: SetUpStepReport[] = []
  readonly #undo: (() => Promise<void>)[] = []
  readonly #notes: string[] = []

  constructor(system: WindowsSystem, request: SetUpRequest, machine: MachineFacts) {
    this.#system = system
    this.#request = request
    this.#machine = machine
  }

  async run(): Promise<SetUpReport> {
    try {
      return await this.#carryOut()
    } catch (error) {
      await undoAfter(error, () => this.#undoAll()).catch(async (failure: unknown) => {
        await this.#writeError(failure)
        throw failure
      })
      await this.#writeError(error)
      throw error
    }
  }

  async #carryOut(): Promise<SetUpReport> {
    const { mode, policies, proxyPorts = [] } = this.#request
    if (mode === 'elevated' && this.#machine.domain !== undefined) this.#notes.push(`this machine is in the domain ${this.#machine.domain}, whose policies may take accounts, rights or firewall rules of its own away again: \`codex-sandbox windows status\` tells`)
    await this.#step('state_folder', () => lockStateFolder(this.#system, this.#machine))
    const known = await this.#read()
    const store = await this.#capabilities(known)
    const ours = new Set([...Object.values(store.sids), ...store.retired, ...(known.state?.accounts === undefined ? [] : [known.state.accounts.group.sid]), ...(known.journal === undefined ? [] : parseJournal(known.journal).sids)])
    const ports = [...new Set([...known.state?.proxyPorts ?? [], ...proxyPorts])].sort((a, b) => a - b)
    const ownLists = await this.#findOwnLists(known, ours)
    const supposed: WindowsSetUp = { version: SET_UP_VERSION, proxyPorts: ports, capabilities: store.sids, prepared: [], ...(mode === 'elevated' ? { accounts: known.state?.accounts ?? SUPPOSED_ACCOUNTS } : known.state?.accounts === undefined ? {} : { accounts: known.state.accounts }) }
    const before = await this.#facts(ownLists)
    const planned = lastingEditsOfAll(policies, mode, before, supposed, new Set([...ours, SUPPOSED_ACCOUNTS.group.sid]))
    const split = this.#machine.isElevated || mode === 'unelevated' ? { own: planned, foreign: [] } : splitByOwner(planned, before)
    await this.#journal(known, planned, Object.values(store.sids))
    const accounts = mode === 'elevated' ? await this.#machinePart(known, { ports, store, foreign: split.foreign, facts: before }) : known.state?.accounts
    const setUp: WindowsSetUp = { ...supposed, ...(accounts === undefined ? {} : { accounts }) }
    if (accounts !== undefined) {
      ours.add(accounts.group.sid)
      await this.#journal(known, planned, [...Object.values(store.sids), accounts.group.sid])
    }
    const facts = await this.#facts(ownLists)
    const edits = lastingEditsOfAll(policies, mode, facts, setUp, ours)
    await this.#accessLists(this.#machine.isElevated || mode === 'unelevated' ? edits : splitByOwner(edits, facts).own, { ours, readers: new Set(accounts === undefined ? [] : [accounts.group.sid]) }, this.#unfinished(known, facts))
    return this.#finish(known, setUp, ownLists)
  }

  async #undoAll(): Promise<void> {
    const failures: unknown[] = []
    for (let undo = this.#undo.pop(); undo !== undefined; undo = this.#undo.pop()) {
      try {
        await undo()
      } catch (error) {
        // What is undone after it needs the journal less than the user needs it: with it uninstalling finds what is left.
        failures.push(error)
        break
      }
    }
    if (failures.length > 0) throw failures[0]
  }

  async #step(step: string, work: () => Promise<Omit<SetUpStepReport, 'step'>>): Promise<void> {
    this.#request.signal?.throwIfAborted()
    this.#request.onProgress?.({ step })
    this.#reports.push({ step, ...await named(step, work) })
  }

  async #read(): Promise<Known> {
    const text = (name: string) => named('state', () => this.#system.readState(name))
    const [state, journal, secrets, store] = [await text(STATE_FILES.state), await text(STATE_FILES.journal), await text(STATE_FILES.secrets), await text(STATE_FILES.capabilities)]
    const known: Known = {
      state: state === undefined ? undefined : parseState(state), journal, secrets: secrets === undefined ? undefined : parseSecrets(secrets), store: store === undefined ? EMPTY_STORE : parseStore(store, `${STATE_FOLDER}\\${STATE_FILES.capabilities}`),
    }
    if (known.state !== undefined && known.state.user.sid !== this.#machine.user.sid) throw new SandboxError('windows_setup_refused', { field: 'user', value: this.#machine.user.name }, { detail: `what this Codex home has was set up for ${known.state.user.name}`, remedy: 'Use a Codex home of your own.' })
    return known
  }

  /** A SID of its own for each root with what is closed in it, and one that every sandbox has. */
  async #capabilities({ store }: Known): Promise<CapabilityStore> {
    const keys = [READ_ONLY_KEY, ...this.#request.policies.flatMap(policy => outermostRoots(policy).map(({ key }) => key))]
    const after = assignCapabilities(store, keys, () => randomInt(2 ** 32))
    await this.#step('capabilities', async () => {
      const added = keys.filter(key => store.sids[key] === undefined)
      for (const key of added) {
        const owner = await this.#system.nameOf(after.sids[key] as string)
        if (owner !== undefined) throw new WindowsFailure('capabilities', 0, `a random SID is that of ${owner}`)
      }
      if (added.length === 0) return { outcome: 'unchanged' }
      this.#undo.push(async () => this.#write(STATE_FILES.capabilities, printStore(retireCapabilities(after, added)), 'capabilities'))
      await this.#write(STATE_FILES.capabilities, printStore(after), 'capabilities')
      return { outcome: 'made' }
    })
    return after
  }

  /** The walk reads only: what is found there decides what is planned. */
  async #findOwnLists({ state }: Known, ours: ReadonlySet<string>): Promise<WindowsFacts['ownLists']> {
    const rules = this.#request.policies.flatMap(policy => policy.paths.filter(({ effect, kind }) => effect !== 'read' && kind !== 'missing'))
    const paths = [...new Set(rules.map(({ path }) => path))]
    const denied = [...new Set(rules.filter(({ effect }) => effect === 'deny').map(({ path }) => path))]
    const found = await findOwnLists(this.#system, paths, { step: 'own_lists', ours, ...this.#request }, denied)
    const kept = (state?.ownLists ?? []).filter(({ path }) => !paths.some(place => isInside('windows', place, path)))
    return [...kept, ...found].sort((a, b) => a.path < b.path ? -1 : 1)
  }

  async #facts(ownLists: WindowsFacts['ownLists']): Promise<WindowsFacts> {
    return { ...await this.#request.facts(), ownLists, setUp: undefined }
  }

  #isJournaled = false

  /** Before the first of these places is changed. */
  async #journal({ journal }: Known, edits: readonly WindowsAccessEdit[], sids: readonly string[]): Promise<void> {
    const before = journal === undefined ? NO_JOURNAL : parseJournal(journal)
    const places = mergePlaces(before.places, edits.map(edit => ({ path: edit.path, isDeep: isDeep(edit) })))
    await named('journal', async () => {
      if (!this.#isJournaled) this.#undo.push(() => journal === undefined ? this.#system.removeState(STATE_FILES.journal) : this.#write(STATE_FILES.journal, journal, 'journal'))
      this.#isJournaled = true
      await this.#write(STATE_FILES.journal, printJournal({ version: JOURNAL_VERSION, phase: 'begun', places, sids: [...new Set([...before.sids, ...sids])] }), 'journal')
    })
  }

  /** Accounts, rules and rights: by this process, or by one helper with the user's consent, and by none where all of it is there. */
  async #machinePart(known: Known, { ports, store, foreign, facts }: { readonly ports: readonly number[]; readonly store: CapabilityStore; readonly foreign: readonly WindowsAccessEdit[]; readonly facts: WindowsFacts }): Promise<NonNullable<WindowsSetUp['accounts']>> {
    const wish = { user: this.#machine.user, proxyPorts: ports, wantsPasswords: !await this.#passwordsWork(known) }
    const part = machinePart(this.#system, wish, this.#machine.leastPasswordCharacters)
    const isThere = !this.#machine.isElevated && !wish.wantsPasswords && await this.#isComplete(part, known) && firstPending(foreign, new Set(), facts, { version: SET_UP_VERSION, proxyPorts: [], capabilities: {}, prepared: [] }, new Set(Object.values(store.sids))) === undefined
    if (isThere) {
      this.#reports.push({ step: 'machine', outcome: 'unchanged' })
      return part.accounts()
    }
    const known_ = known.state?.accounts ?? SUPPOSED_ACCOUNTS
    const request: MachineRequest = {
      version: REQUEST_VERSION, task: 'set-up', ...wish, sids: Object.values(store.sids), strip: [],
      close: foreign.map(edit => ({ ...edit, add: edit.add.map(ace => ace.replaceAll(known_.group.sid, GROUP_WORD)) })),
    }
    const session = this.#machine.isElevated ? await openMachineSession(this.#system, request, this.#request) : await withConsent(this.#system, request, this.#request)
    this.#undo.push(() => session.undo())
    this.#sessions.push(session)
    this.#reports.push(...session.result.steps)
    // What another process answered is asked of the system again.
    const accounts = await named('accounts', () => part.accounts())
    await this.#passwords(known, session, accounts)
    return accounts
  }

  readonly #sessions: MachineSession[] = []

  /** Some things only an administrator may look at; those are there if the state says so. */
  async #isComplete({ steps }: ReturnType<typeof machinePart>, { state }: Known): Promise<boolean> {
    for (const { step, look } of steps) {
      try {
        if (await named(step, look) !== 'done') return false
      } catch (error) {
        const isHidden = error instanceof SandboxError && error.cause instanceof WindowsFailure && error.cause.code === ACCESS_DENIED
        if (!isHidden) throw error
        if (state?.version !== SET_UP_VERSION || !state.modes.includes('elevated')) return false
      }
    }
    return true
  }

  /** The kept passwords are tried: a logon as each account is the only proof. */
  async #passwordsWork({ secrets }: Known): Promise<boolean> {
    if (secrets === undefined) return false
    for (const name of ['offline', 'online'] as const) {
      const account = await named('passwords', () => this.#system.readAccount(ACCOUNTS[name]))
      if (account === undefined) return false
      try {
        const password = Buffer.from(await this.#system.unseal(Buffer.from(secrets[name], 'base64'))).toString('utf8')
        if (await this.#system.logOn(ACCOUNTS[name], password) !== account.sid) return false
      } catch (error) {
        if (!(error instanceof WindowsFailure)) throw error
        return false
      }
    }
    return true
  }

  async #passwords({ secrets }: Known, { result }: MachineSession, accounts: NonNullable<WindowsSetUp['accounts']>): Promise<void> {
    await this.#step('passwords', async () => {
      const given = result.passwords ?? {}
      if (given.offline === undefined && given.online === undefined) return { outcome: 'unchanged' }
      const sealed = async (name: AccountName): Promise<string> => {
        const password = given[name]
        if (password === undefined) {
          if (secrets === undefined) throw new WindowsFailure('passwords', 0, `that of ${ACCOUNTS[name]} is not known`)
          return secrets[name]
        }
        return Buffer.from(await this.#system.seal(Buffer.from(password))).toString('base64')
      }
      const after: SealedPasswords = { offline: await sealed('offline'), online: await sealed('online') }
      this.#undo.push(() => secrets === undefined ? this.#system.removeState(STATE_FILES.secrets) : this.#write(STATE_FILES.secrets, printSecrets(secrets), 'passwords'))
      await this.#write(STATE_FILES.secrets, printSecrets(after), 'passwords')
      for (const name of ['offline', 'online'] as const) {
        const password = Buffer.from(await this.#system.unseal(Buffer.from(after[name], 'base64'))).toString('utf8')
        const sid = await this.#system.logOn(ACCOUNTS[name], password)
        if (sid !== accounts[name].sid) throw new WindowsFailure('logOn', 0, `a logon as ${ACCOUNTS[name]} was one as ${sid}`)
      }
      return { outcome: 'made' }
    })
  }

  /** After a call that was stopped: where it may have written a list, and not yet what inherits from it. */
  #unfinished({ journal }: Known, facts: WindowsFacts): string[] {
    const { phase, places } = journal === undefined ? NO_JOURNAL : parseJournal(journal)
    return phase === 'finished' ? [] : places.filter(({ path, isDeep: reachesDown }) => reachesDown && facts.descriptor(path) !== undefined && (this.#machine.isElevated || isOwn(facts, path))).map(({ path }) => path)
  }

  async #accessLists(edits: readonly WindowsAccessEdit[], sids: Pick<WalkOptions, 'ours' | 'readers'>, unfinished: readonly string[]): Promise<void> {
    await this.#step('access_lists', async () => {
      const added: ListChange[] = []
      const options = { step: 'access_lists', ...sids }
      this.#undo.push(async () => { await changeLists(this.#system, added.map(({ path, add }) => ({ path, add: [], remove: add })), options) })
      const changes: ListChange[] = [...edits.map(({ path, identity, add }) => ({ path, identity, add })), ...unfinished.filter(path => !edits.some(edit => edit.path === path)).map(path => ({ path, add: [], reachesDown: true }))]
      const { written, missed } = await changeLists(this.#system, changes, { ...options, ...this.#request }, change => added.push(change))
      const [first] = missed
      if (first !== undefined) this.#notes.push(`${missed.length} files or folders could not be changed by you, so that commands get nothing there; the first is ${first}`)
      return { outcome: written > 0 ? 'made' : 'unchanged', written }
    })
  }

  /** The state comes last, when everything that it speaks of was read back. */
  async #finish({ state }: Known, setUp: WindowsSetUp, ownLists: WindowsFacts['ownLists']): Promise<SetUpReport> {
    const { mode, policies } = this.#request
    const roots = [...new Set(policies.flatMap(policy => outermostRoots(policy).map(({ root }) => root.path)))]
    await this.#step('state', async () => {
      const facts = await this.#facts(ownLists)
      const words = policies.map(policy => asFailure(() => preparedWord(policy, mode, facts, setUp)))
      const after: SetUpState = {
        ...setUp, user: this.#machine.user, modes: [...new Set([...state?.modes ?? [], mode])], roots: [...new Set([...state?.roots ?? [], ...roots])], ownLists,
        prepared: [...new Set([...state?.prepared ?? [], ...words])].slice(-MOST_PREPARED),
      }
      if (state !== undefined && printState(state) === printState(after)) return { outcome: 'unchanged' }
      this.#undo.push(() => state === undefined ? this.#system.removeState(STATE_FILES.state) : this.#write(STATE_FILES.state, printState(state), 'state'))
      await this.#write(STATE_FILES.state, printState(after), 'state')
      return { outcome: 'made' }
    })
    const journal = parseJournal(await this.#system.readState(STATE_FILES.journal) ?? printJournal(NO_JOURNAL))
    await named('journal', () => this.#write(STATE_FILES.journal, printJournal({ ...journal, phase: 'finished' }), 'journal'))
    // Before anything is kept: what fails from here on could be undone by halves only.
    await named('state', () => this.#system.removeState(STATE_FILES.error))
    for (const session of this.#sessions) await session.keep()
    return { mode, steps: this.#reports, roots, notes: this.#notes }
  }

  async #write(name: string, text: string, step: string): Promise<void> {
    await this.#system.writeState(name, text)
    if (await this.#system.readState(name) !== text) throw new WindowsFailure(step, 0, `${name} does not read back`)
  }

  async #writeError(error: unknown): Promise<void> {
    const step = error instanceof SandboxError ? error.step ?? error.field ?? error.code : 'set_up'
    const message = error instanceof Error ? error.message : String(error)
    await this.#system.writeState(STATE_FILES.error, printError({ step, message, at: new Date().toISOString() })).catch((failure: unknown) => {
      // The error itself is thrown in any case.
      if (!(failure instanceof WindowsFailure)) throw failure
    })
  }
}

/** After all that was made and read back, a plan still lacks something: another program, or a policy of the machine, has changed it. */
function asFailure(work: () => string): string {
  try {
    return work()
  } catch (error) {
    if (!(error instanceof SandboxError) || error.code !== 'windows_setup_required') throw error
    throw new SandboxError('set_up_failed', { step: 'state', errno: '0' }, { detail: error.message, remedy: 'What this call made is undone; set up again.', cause: error })
  }
}

function mergePlaces(before: readonly EditedPlace[], more: readonly EditedPlace[]): EditedPlace[] {
  const byPath = new Map(before.map(place => [place.path, place]))
  for (const place of more) byPath.set(place.path, { path: place.path, isDeep: place.isDeep || byPath.get(place.path)?.isDeep === true })
  return [...byPath.values()]
}

/** Only the user, the system and administrators: neither the accounts nor a command with the user's own restricted token writes there. */
async function lockStateFolder(system: WindowsSystem, { user }: MachineFacts): Promise<Omit<SetUpStepReport, 'step'>> {
  const path = await system.makeStateFolder()
  const wanted = parseDescriptor(`D:P(A;OICI;FA;;;SY)(A;OICI;FA;;;BA)(A;OICI;FA;;;${user.sid})`, 'state folder')
  const found = await system.readObject(path)
  if (found === undefined || found.kind !== 'directory' || found.isLink) throw new WindowsFailure('state_folder', 0, `${path} is no folder`)
  const text = (list: typeof wanted) => printDescriptor({ owner: undefined, group: undefined, sacl: undefined, dacl: list.dacl === 'null' || list.dacl === undefined ? list.dacl : { ...list.dacl, control: [] } })
  if (text(found.list) === text(wanted)) return { outcome: 'unchanged' }
  await system.replaceList(path, found, { ...found.list, dacl: wanted.dacl })
  const after = await system.readObject(path)
  if (after === undefined || text(after.list) !== text(wanted)) throw new WindowsFailure('state_folder', 0, 'its access list does not read back')
  return { outcome: 'made' }
}
