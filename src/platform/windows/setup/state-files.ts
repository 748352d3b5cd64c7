// The files in which set-up keeps what it has made, in a folder of the Codex home that only its user may open: their names and forms. Pure.
import { SandboxError } from '../../../errors.js'
import type { WindowsAccount, WindowsFacts, WindowsSetUp } from '../../../policy/host-snapshot.js'
import { isRecord } from '../../../policy/record.js'
import { WINDOWS_MODES, type WindowsMode } from '../../launch-plan.js'
import { isSid } from '../sid.js'
import { isPort } from './machine-request.js'

/** In the Codex home. */
export const STATE_FOLDER = 'windows-sandbox'
/** Beside the folder, so that the folder can be removed while it is held. */
export const LOCK_FILE = 'windows-sandbox.lock'

export const STATE_FILES = {
  /** What is finished, and read back: written last. */
  state: 'state.json',
  /** Capability SIDs (capability-sids.ts). */
  capabilities: 'capabilities.json',
  /** Passwords of the accounts, sealed for the user. */
  secrets: 'secrets.json',
  /** Where entries of ours may stand: written before the first of them is. */
  journal: 'journal.json',
  /** The last failure. */
  error: 'error.json',
} as const

export type OwnLists = WindowsFacts['ownLists']

/** What a plan needs, and what of it is whose. */
export interface SetUpState extends WindowsSetUp {
  readonly user: WindowsAccount
  readonly modes: readonly WindowsMode[]
  /** Writable roots that are ready, as they are written in policies. */
  readonly roots: readonly string[]
  /** What inherits nothing, or has allowing entries of its own, in the roots and denied folders. */
  readonly ownLists: OwnLists
}

/** A path with entries of ours of its own. */
export interface EditedPlace {
  readonly path: string
  /** All below it inherits them. */
  readonly isDeep: boolean
}

export interface SetUpJournal {
  readonly version: number
  /** `begun`: something was started and neither finished nor undone. */
  readonly phase: 'begun' | 'finished' | 'uninstalling'
  readonly places: readonly EditedPlace[]
  /** SIDs of ours beside the capabilities: the group's. */
  readonly sids: readonly string[]
}

export const JOURNAL_VERSION = 1
export const NO_JOURNAL: SetUpJournal = { version: JOURNAL_VERSION, phase: 'finished', places: [], sids: [] }

export interface SetUpError {
  readonly step: string
  readonly message: string
  /** ISO 8601. */
  readonly at: string
}

/** Base64 of what `seal` gave. */
export interface SealedPasswords {
  readonly offline: string
  readonly online: string
}

const print = (value: object): string => `${JSON.stringify(value, null, 2)}\n`

/** In one order of keys, so that the same state is the same text. */
export const printState = ({ version, user, modes, roots, accounts, proxyPorts, capabilities, prepared, ownLists }: SetUpState): string => print({ version, user, modes, roots, accounts, proxyPorts, capabilities, prepared, ownLists })
export const printJournal = (journal: SetUpJournal): string => print(journal)
export const printSecrets = (secrets: SealedPasswords): string => print({ version: 1, ...secrets })
export const printError = (error: SetUpError): string => print(error)

/** A file that is not understood is an error: it is never taken for none. @throws SandboxError `option_invalid`, `field` = the file's name */
export function parseState(text: string): SetUpState {
  const file = new StateFile(STATE_FILES.state, text)
  const accounts = file.optional('accounts', (value): value is NonNullable<SetUpState['accounts']> => isRecord(value) && ['offline', 'online', 'group'].every(name => isAccount(value[name])))
  return {
    version: file.required('version', isNumber),
    user: file.required('user', isAccount),
    modes: file.required('modes', isListOf((mode): mode is WindowsMode => WINDOWS_MODES.includes(mode as WindowsMode))),
    roots: file.required('roots', isListOf(isText)),
    ...(accounts === undefined ? {} : { accounts }),
    proxyPorts: file.required('proxyPorts', isListOf(isPort)),
    capabilities: file.required('capabilities', (value): value is Record<string, string> => isRecord(value) && Object.values(value).every(sid => typeof sid === 'string' && isSid(sid))),
    prepared: file.required('prepared', isListOf(isText)),
    ownLists: file.required('ownLists', isListOf((each): each is OwnLists[number] => isRecord(each) && isText(each['path']) && (each['kind'] === 'file' || each['kind'] === 'directory'))),
  }
}

export function parseJournal(text: string): SetUpJournal {
  const file = new StateFile(STATE_FILES.journal, text)
  return {
    version: file.required('version', (value): value is number => value === JOURNAL_VERSION),
    phase: file.required('phase', (value): value is SetUpJournal['phase'] => value === 'begun' || value === 'finished' || value === 'uninstalling'),
    places: file.required('places', isListOf((each): each is EditedPlace => isRecord(each) && isText(each['path']) && typeof each['isDeep'] === 'boolean')),
    sids: file.required('sids', isListOf((sid): sid is string => isText(sid) && isSid(sid))),
  }
}

export function parseSecrets(text: string): SealedPasswords {
  const file = new StateFile(STATE_FILES.secrets, text)
  const isBase64 = (value: unknown): value is string => isText(value) && /^[A-Za-z0-9+/]+={0,2}$/.test(value)
  return { offline: file.required('offline', isBase64), online: file.required('online', isBase64) }
}

export function parseError(text: string): SetUpError {
  const file = new StateFile(STATE_FILES.error, text)
  return { step: file.required('step', isText), message: file.required('message', isText), at: file.required('at', isText) }
}

type Is<Value> = (value: unknown) => value is Value

class StateFile {
  readonly #name: string
  readonly #record: Record<string, unknown>

  constructor(name: string, text: string) {
    this.#name = name
    let value: unknown
    try {
      value = JSON.parse(text)
    } catch {
      throw this.#refuse('it is not JSON')
    }
    if (!isRecord(value)) throw this.#refuse('it is no object')
    this.#record = value
  }

  required<Value>(key: string, is: Is<Value>): Value {
    const value = this.#record[key]
    if (!is(value)) throw this.#refuse(`its ${key} is not understood`)
    return value
  }

  optional<Value>(key: string, is: Is<Value>): Value | undefined {
    return this.#record[key] === undefined ? undefined : this.required(key, is)
  }

  #refuse(detail: string): SandboxError {
    return new SandboxError('option_invalid', { field: `${STATE_FOLDER}\\${this.#name}`, value: undefined }, { detail, remedy: 'Run `codex-sandbox windows uninstall`, and set up again.' })
  }
}

const isText = (value: unknown): value is string => typeof value === 'string'
const isNumber = (value: unknown): value is number => typeof value === 'number'
const isAccount = (value: unknown): value is WindowsAccount => isRecord(value) && isText(value['name']) && isText(value['sid']) && isSid(value['sid'])
const isListOf = <Item>(is: Is<Item>): Is<Item[]> => (value): value is Item[] => Array.isArray(value) && value.every(is)
