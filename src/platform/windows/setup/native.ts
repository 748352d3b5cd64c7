// The addon's functions that set-up is made of, as they are in native/windows: accounts, firewall, objects, elevation. Each rejects with an
// AddonFailure; none of them decides anything.

import type { WindowsSystem } from './system.js'

export interface NativeFirewallRule {
  readonly name: string
  readonly description: string
  readonly grouping: string
  /** NET_FW_RULE_DIRECTION: 1 in, 2 out. */
  readonly direction: number
  /** By IANA; 256: any. */
  readonly protocol: number
  readonly remoteAddresses: string
  readonly remotePorts: string
  /** SDDL. */
  readonly localUser: string
}

/** As the firewall holds it. */
export interface NativeHeldRule extends NativeFirewallRule {
  readonly application: string
  readonly service: string
  readonly interfaceTypes: string
  readonly localAddresses: string
  readonly localPorts: string
  readonly package: string
  /** NET_FW_PROFILE_TYPE2. */
  readonly profiles: number
  /** 0: block. */
  readonly action: number
  readonly enabled: boolean
  readonly someInterfaces: boolean
}

export interface NativeObject {
  /** Self-relative: owner, group and access list. */
  readonly descriptor: Buffer
  readonly device: string
  readonly inode: string
  readonly isDirectory: boolean
  readonly isLink: boolean
}

declare const lock: unique symbol
export type NativeLock = { readonly [lock]: true }

/** Set-up's own calls, each with a native function of its name. */
type AccountCalls = Pick<WindowsSystem,
  | 'readGroup' | 'addGroup' | 'removeGroup' | 'addMember' | 'removeMember' | 'readAccount' | 'addAccount' | 'setAccount' | 'removeAccount' | 'logOn'
  | 'readRights' | 'addRights' | 'removeRights' | 'isHidden' | 'hide' | 'unhide'>

export interface AccountFunctions extends AccountCalls {
  accountPolicy(): Promise<{ readonly isDomainController: boolean; readonly domain: string | undefined; readonly leastPasswordCharacters: number }>
  nameOfSid(sid: string): Promise<string | undefined>
}

export interface FirewallFunctions {
  /** `modifyState`: NET_FW_MODIFY_STATE; `offIn`: NET_FW_PROFILE_TYPE2 of each profile in which it is off. */
  firewallState(): Promise<{ readonly modifyState: number; readonly offIn: readonly number[] }>
  readFirewallRules(name: string): Promise<readonly NativeHeldRule[]>
  putFirewallRule(rule: NativeFirewallRule): Promise<void>
  removeFirewallRule(name: string): Promise<void>
}

export interface ObjectFunctions {
  /** Undefined where nothing is. Rejects where a folder on the way is a link. */
  readObject(path: string): Promise<NativeObject | undefined>
  /** Where it is still the one of `before`, with the same descriptor; read back. `after`: a self-relative descriptor, of which the access list is taken. */
  replaceList(path: string, before: Pick<NativeObject, 'descriptor' | 'device' | 'inode'>, after: Uint8Array): Promise<void>
}

export interface ElevationFunctions {
  /** With an administrator's consent. Resolves with the exit code. */
  runElevated(file: string, parameters: string, folder: string): Promise<number>
  /** The file is there, and nobody else's to write, as long as the lock is held or its process lives. */
  holdLock(path: string, text: string): NativeLock
  releaseLock(lock: NativeLock): void
}

export interface SetUpFunctions extends AccountFunctions, FirewallFunctions, ObjectFunctions, ElevationFunctions {}
