// All that set-up asks of Windows, one small call each. The addon fulfils it on Windows (addon-system.ts), a machine in memory in the tests.
// No call decides anything, none trusts that what it did took effect: the steps read back with the calls that read.
import type { FileIdentity, WindowsAccount } from '../../../policy/host-snapshot.js'
import type { WindowsFirewallRule } from '../../launch-plan.js'
import type { SecurityDescriptor } from '../sddl.js'
import type { MachineListeners, MachineRequest, MachineSession } from './machine-request.js'

/** What a call of Windows failed with. */
export class WindowsFailure extends Error {
  override readonly name = 'WindowsFailure'
  readonly call: string
  /** The error of Windows, of the network functions (NERR_…) or of COM, as a number without sign; 0: it did not read back. */
  readonly code: number

  constructor(call: string, code: number, detail = '') {
    super(`${call} failed (${code})${detail === '' ? '' : `: ${detail}`}`)
    this.call = call
    this.code = code
  }
}

/** Decides before any change whether a set-up can be. */
export interface MachineFacts {
  readonly user: WindowsAccount
  /** This process has an administrator's rights, and may use them. */
  readonly isElevated: boolean
  readonly isDomainController: boolean
  /** Of the domain that the machine is in; undefined in a workgroup. */
  readonly domain: string | undefined
  /** Characters, by the policy of this machine. */
  readonly leastPasswordCharacters: number
}

/** Whether rules of this machine's own count: a group policy may forbid them, and the firewall may be off. */
export interface FirewallState {
  readonly localRulesCount: boolean
  /** Names of the profiles in which it is off. */
  readonly offIn: readonly string[]
}

export interface AccountState {
  readonly sid: string
  readonly comment: string
  /** UF_… of lmaccess.h. */
  readonly flags: number
  /** SIDs of the local groups that it is in, by others too. */
  readonly groups: readonly string[]
}

export interface GroupState {
  readonly sid: string
  readonly comment: string
  readonly members: readonly string[]
}

/** A rule as the firewall holds it, with what tells whose it is. */
export interface FirewallRuleState extends WindowsFirewallRule {
  readonly grouping: string
  readonly description: string
  readonly isEnabled: boolean
  readonly blocks: boolean
  /** In each profile, on each interface, for each program and service. */
  readonly isForAll: boolean
}

/** A file, folder or link by itself: links are never followed, neither here nor on the way. */
export interface ObjectState {
  readonly kind: 'file' | 'directory'
  readonly isLink: boolean
  readonly identity: FileIdentity
  readonly list: SecurityDescriptor
  /** The same in bytes, where it was read of a real machine. */
  readonly raw?: Uint8Array
}

export interface HeldLock {
  release(): Promise<void>
}

export interface WindowsSystem {
  machine(): Promise<MachineFacts>
  /** Undefined: nobody has this SID. */
  nameOf(sid: string): Promise<string | undefined>

  readGroup(name: string): Promise<GroupState | undefined>
  addGroup(name: string, comment: string): Promise<void>
  removeGroup(name: string): Promise<void>
  /** @param group  its SID: names of built-in ones depend on the language */
  addMember(group: string, member: string): Promise<void>
  removeMember(group: string, member: string): Promise<void>

  readAccount(name: string): Promise<AccountState | undefined>
  addAccount(account: { readonly name: string; readonly comment: string; readonly flags: number; readonly password: string }): Promise<void>
  /** Sets what is given, and enables and unlocks it. */
  setAccount(account: { readonly name: string; readonly flags: number; readonly password?: string }): Promise<void>
  /** With its profile, where it has one. */
  removeAccount(name: string, sid: string): Promise<void>
  /** Logs on and off again. Resolves with the SID that the logon was for. */
  logOn(name: string, password: string): Promise<string>

  readRights(sid: string): Promise<readonly string[]>
  addRights(sid: string, rights: readonly string[]): Promise<void>
  removeRights(sid: string, rights: readonly string[]): Promise<void>

  isHidden(name: string): Promise<boolean>
  hide(name: string): Promise<void>
  unhide(name: string): Promise<void>

  firewall(): Promise<FirewallState>
  /** Those with this name: there may be several. */
  readFirewallRules(name: string): Promise<readonly FirewallRuleState[]>
  /** Makes it, or changes the one of its name, so that at no time there is none. */
  putFirewallRule(rule: WindowsFirewallRule, mark: { readonly grouping: string; readonly description: string }): Promise<void>
  removeFirewallRule(name: string): Promise<void>

  seal(secret: Uint8Array): Promise<Uint8Array>
  unseal(sealed: Uint8Array): Promise<Uint8Array>

  /** Undefined: nothing is there. */
  readObject(path: string): Promise<ObjectState | undefined>
  /**
   * Puts `after` in the place of the access list, where the object is still the one of `before` and its list the same. Nothing below it is
   * touched. `WindowsFailure` with the code `CHANGED_MEANWHILE` where it is not; read back by itself.
   */
  replaceList(path: string, before: ObjectState, after: SecurityDescriptor): Promise<void>
  /** Names in a folder. */
  children(path: string): Promise<readonly string[]>

  /** Files of the state folder in the Codex home, by name. Writing replaces the whole file at once. */
  readState(name: string): Promise<string | undefined>
  writeState(name: string, text: string): Promise<void>
  removeState(name: string): Promise<void>
  /** Makes the state folder, and the Codex home where there is none; resolves with its path. */
  makeStateFolder(): Promise<string>
  /** Where it is empty. */
  removeStateFolder(): Promise<void>
  /** Undefined while there is none. */
  stateFolder(): Promise<string | undefined>

  /** One at a time: the lock ends with the process that holds it. Resolves with what its holder wrote, where somebody else has it. */
  lock(text: string): Promise<HeldLock | { readonly heldBy: string }>
  /** What the holder of the lock wrote; undefined: nobody holds it. */
  lockHolder(): Promise<string | undefined>

  /** Has the machine's part done by one elevated helper, with the user's consent. `WindowsFailure` with the code `CONSENT_REFUSED`. */
  elevate(request: MachineRequest, listeners: MachineListeners): Promise<MachineSession>
}

/** ERROR_CANCELLED. */
export const CONSENT_REFUSED = 1223
/** ERROR_TRANSACTIONAL_CONFLICT: no call of ours gives it otherwise. */
export const CHANGED_MEANWHILE = 6800
export const ACCESS_DENIED = 5
