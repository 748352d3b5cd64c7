// The addon's functions as TypeScript sees them, and the one place that loads it: the package's own file, of the package's own version.
import { existsSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { SandboxError } from '../../errors.js'
import { findPackage, type OwnPackage } from '../../host/own-package.js'
import type { MachineFunctions } from '../../host/windows.js'
import { WINDOWS_LAYER } from './layer.js'
import type { PlaceFunctions } from './placeholders.js'
import type { SetUpFunctions } from './setup/native.js'

/** What a failed step of the addon throws. A step that went through and left something else behind has the code 0. */
export interface AddonFailure extends Error {
  readonly step: string
  /** The error of Windows. */
  readonly code: number
}

export const isAddonFailure = (error: unknown): error is AddonFailure =>
  error instanceof Error && typeof (error as Partial<AddonFailure>).step === 'string' && typeof (error as { readonly code?: unknown }).code === 'number'

declare const native: unique symbol
/** A token that the addon made. It is closed when nobody holds it any more. */
export type NativeToken = { readonly [native]: 'token' }

/** Of CreateRestrictedToken; SIDs as text, in full. */
export interface NativeTokenSpec {
  readonly flags: number
  readonly disable: readonly string[]
  readonly restricting: readonly string[]
  /** Names of those that stay. */
  readonly privileges: readonly string[]
  readonly integrity: string
  /** SDDL. */
  readonly defaultDacl: string
}

export interface TokenFunctions {
  /** A restricted form of this process's own token, each part read back. */
  restrictToken(spec: NativeTokenSpec): NativeToken
  /** The SID of this process's logon session. */
  logonSid(): string
  /** The system's own answer: whether `token` gets `desired` (an access mask) to an object with the descriptor `sddl`. */
  askAccess(token: NativeToken, sddl: string, desired: number): boolean
}

export interface AccessListFunctions {
  /** Owner, group and list of a file or folder in SDDL. */
  readAccessList(path: string): string
  /** Puts the list of `sddl` (its `D:` part) in the place of the file's own, and reads it back. */
  writeAccessList(path: string, sddl: string): void
}

export interface ProcessFunctions {
  /** Of this process. */
  handleCount(): number
}

export interface SecretFunctions {
  /** Sealed so that only this user of this machine opens it again (DPAPI). */
  protectSecret(secret: Uint8Array): Buffer
  unprotectSecret(blob: Uint8Array): Buffer
}

/** All of it. A new section is an interface in the file of its subject, named here and in `FUNCTIONS`. */
export interface WindowsAddon extends TokenFunctions, AccessListFunctions, ProcessFunctions, SecretFunctions, MachineFunctions, SetUpFunctions, PlaceFunctions {
  /** Of the package that it was built with. */
  readonly version: string
}

/** Each of them has to be there: an addon that lacks one was built from other sources. */
const FUNCTIONS = {
  restrictToken: true, logonSid: true, askAccess: true,
  readAccessList: true, writeAccessList: true,
  handleCount: true,
  protectSecret: true, unprotectSecret: true,
  machineFacts: true, lookAt: true, readDescriptor: true,
  accountPolicy: true, nameOfSid: true, readGroup: true, addGroup: true, removeGroup: true, addMember: true, removeMember: true,
  readAccount: true, addAccount: true, setAccount: true, removeAccount: true, logOn: true, readRights: true, addRights: true, removeRights: true, isHidden: true, hide: true, unhide: true,
  firewallState: true, readFirewallRules: true, putFirewallRule: true, removeFirewallRule: true, readObject: true, replaceList: true, runElevated: true, holdLock: true, releaseLock: true,
  holdPlace: true,
} as const satisfies Record<Exclude<keyof WindowsAddon, 'version'>, true>

const FILE = 'codex_sandbox.node'
const BUILT_FOR: readonly string[] = ['x64', 'arm64']
const BUILD = 'Build it: `node scripts/build-windows-addon.mjs`, on Windows with Visual Studio\'s C++ build tools; docs/windows.md says how.'

/** What the loader needs of the world. */
export interface AddonPlace {
  /** Default: this package as it lies on the disk. */
  readonly own?: OwnPackage | undefined
  readonly arch?: string
  readonly load?: (path: string) => unknown
}

/** The addon, or why there is none and what to do. */
export type FoundAddon =
  | { readonly ok: true; readonly path: string; readonly addon: WindowsAddon }
  | { readonly ok: false; readonly path: string; readonly reason: string; readonly remedy: string; readonly cause?: unknown }

/**
 * The addon lies in this package's `dist`, which no command may write whatever its policy says (see `packageRuntimePaths`). Nothing else
 * names one, neither an option nor a variable: it runs with the user's rights. Node keeps what it has loaded: a second call costs little.
 */
export function findWindowsAddon({ own = findPackage(), arch = process.arch, load = path => createRequire(path)(path) }: AddonPlace = {}): FoundAddon {
  if (own === undefined) return { ok: false, path: 'bundled', reason: 'this code was bundled into another program, and the addon is a file of its own', remedy: 'Leave this package out of the bundle (mark it as external).' }
  const path = join(own.root, 'dist', `windows-${arch}`, FILE)
  const missing = (reason: string, cause?: unknown): FoundAddon => ({ ok: false, path, reason, remedy: BUILD, ...(cause === undefined ? {} : { cause }) })
  if (!BUILT_FOR.includes(arch)) return { ok: false, path, reason: `it is built for ${BUILT_FOR.join(' and ')} only, and this Node is for ${arch}`, remedy: `Use a Node for ${BUILT_FOR.join(' or ')}.` }
  if (!existsSync(path)) return missing('it is not built')
  let addon: Partial<Record<string, unknown>>
  try {
    addon = load(path) as typeof addon
  } catch (error) {
    return missing(`it cannot be loaded (${error instanceof Error ? error.message : String(error)})`, error)
  }
  if (addon['version'] !== own.version) return missing(`it has version ${JSON.stringify(addon['version'])}, and this is ${JSON.stringify(own.version)}`)
  const absent = Object.keys(FUNCTIONS).find(name => typeof addon[name] !== 'function')
  if (absent !== undefined) return missing(`it has no ${absent}: it was built from other sources`)
  return { ok: true, path, addon: addon as unknown as WindowsAddon }
}

/** @throws SandboxError `layer_missing` */
export function loadWindowsAddon(place: AddonPlace = {}): WindowsAddon {
  const found = findWindowsAddon(place)
  if (found.ok) return found.addon
  throw new SandboxError('layer_missing', { field: WINDOWS_LAYER, value: found.path }, { detail: found.reason, remedy: found.remedy, ...(found.cause === undefined ? {} : { cause: found.cause }) })
}
