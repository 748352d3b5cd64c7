// What the elevated part is asked to do, and how it answers. A request is judged by it as if a stranger had written it: it can ask for
// accounts, rules and rights of ours and nothing else, and for access lists only such that deny something to our own SIDs. Pure.
import { SandboxError } from '../../../errors.js'
import type { WindowsAccount } from '../../../policy/host-snapshot.js'
import type { WindowsAccessEdit } from '../../launch-plan.js'
import { isPlain, kindOfAce, parseAceText } from '../sddl.js'
import { isSid } from '../sid.js'
import type { SetUpProgress, SetUpStepReport } from './report.js'

/** Stands for the SID of the group in entries, which is not known before it is made. */
export const GROUP_WORD = '{group}'

export interface MachineRequest {
  readonly version: number
  readonly task: 'set-up' | 'uninstall'
  /** For whom: the accounts are theirs. */
  readonly user: WindowsAccount
  /** New passwords are wanted: the old ones are lost. */
  readonly wantsPasswords: boolean
  readonly proxyPorts: readonly number[]
  /** Set-up: denying entries on what is not the user's. */
  readonly close: readonly WindowsAccessEdit[]
  /** Uninstall: SIDs of ours, and where entries for them stand that the user may not take out. */
  readonly sids: readonly string[]
  readonly strip: readonly string[]
}

export interface MachineResult {
  readonly steps: readonly SetUpStepReport[]
  /** Set-up. */
  readonly accounts?: { readonly offline: WindowsAccount; readonly online: WindowsAccount; readonly group: WindowsAccount }
  /** Where new ones were wanted, or accounts were made. */
  readonly passwords?: { readonly offline?: string; readonly online?: string }
  readonly left?: readonly { readonly path: string; readonly reason: string }[]
}

export interface MachineListeners {
  onProgress?(progress: SetUpProgress): void
  readonly signal?: AbortSignal
}

/** What was made stays until one of the two is called. */
export interface MachineSession {
  readonly result: MachineResult
  keep(): Promise<void>
  /** Takes away what this session made, and nothing that was there before. */
  undo(): Promise<void>
}

export const REQUEST_VERSION = 1

export const isPort = (value: unknown): value is number => Number.isInteger(value) && (value as number) >= 1 && (value as number) <= 65_535

/** @throws SandboxError `option_invalid`, `field` = `request` */
export function parseMachineRequest(text: string): MachineRequest {
  const refuse = (detail: string) => new SandboxError('option_invalid', { field: 'request', value: undefined }, { detail, remedy: 'Start set-up again.' })
  let value: Partial<Record<keyof MachineRequest, unknown>>
  try {
    value = JSON.parse(text)
  } catch {
    throw refuse('it is not JSON')
  }
  if (typeof value !== 'object' || value === null) throw refuse('it is no object')
  const { version, task, user, wantsPasswords, proxyPorts, close, sids, strip } = value
  if (version !== REQUEST_VERSION) throw refuse(`it has version ${JSON.stringify(version)}, and this is ${REQUEST_VERSION}`)
  if (task !== 'set-up' && task !== 'uninstall') throw refuse('it has no known task')
  if (!isAccount(user)) throw refuse('it names no user')
  if (typeof wantsPasswords !== 'boolean') throw refuse('wantsPasswords is no boolean')
  if (!isListOf(proxyPorts, isPort)) throw refuse('proxyPorts are no ports')
  if (!isListOf(close, isEdit)) throw refuse('close are no entries of access lists')
  if (!isListOf(sids, isOwnShape)) throw refuse('sids are no SIDs of ours')
  if (!isListOf(strip, isPath)) throw refuse('strip are no paths')
  for (const { path, add } of close) for (const ace of add) {
    const why = whyNotClosing(ace, sids)
    if (why !== undefined) throw refuse(`the entry ${ace} for ${JSON.stringify(path)} ${why}`)
  }
  return { version, task, user, wantsPasswords, proxyPorts, close, sids, strip }
}

function whyNotClosing(text: string, sids: readonly string[]): string | undefined {
  let ace: ReturnType<typeof parseAceText>
  try {
    ace = parseAceText(text.replace(GROUP_WORD, NOBODY), 'ace')
  } catch {
    return 'is not understood'
  }
  if (!isPlain(ace) || kindOfAce(ace) !== 'deny') return 'does not deny'
  return ace.sid === NOBODY || sids.includes(ace.sid) ? undefined : 'is not for a SID of ours'
}

const NOBODY = 'S-1-5-21-0-0-0-0'

/** As capabilities and local accounts have it. */
export const isOwnShape = (sid: unknown): sid is string => typeof sid === 'string' && isSid(sid) && /^S-1-5-21(?:-\d+){4}$/.test(sid)

const isListOf = <Item>(value: unknown, is: (item: unknown) => item is Item): value is Item[] => Array.isArray(value) && value.every(is)
const isPath = (value: unknown): value is string => typeof value === 'string' && /^[A-Za-z]:\\/.test(value) && !/[\0/"<>|?*]/.test(value) && !value.split('\\').includes('..')
const isAccount = (value: unknown): value is WindowsAccount =>
  typeof value === 'object' && value !== null && typeof (value as WindowsAccount).name === 'string' && typeof (value as WindowsAccount).sid === 'string' && isSid((value as WindowsAccount).sid)

function isEdit(value: unknown): value is WindowsAccessEdit {
  if (typeof value !== 'object' || value === null) return false
  const { path, kind, add, identity } = value as Partial<Record<keyof WindowsAccessEdit, unknown>>
  const isIdentity = (each: unknown): boolean => typeof each === 'object' && each !== null && Object.values(each).every(number => typeof number === 'string')
  return isPath(path) && (kind === 'file' || kind === 'directory') && Array.isArray(add) && add.every(ace => typeof ace === 'string') && (identity === undefined || isIdentity(identity))
}
