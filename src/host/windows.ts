// A Windows machine as a HostSnapshot has it. What Node does not tell (access lists, drives, where a reparse point leads) comes from functions
// of the addon, which are given: this file runs on every platform.
import { SandboxError } from '../errors.js'
import type { Entry, FileSystemView, WindowsDrive, WindowsFacts } from '../policy/host-snapshot.js'
import { isInside, joinPath, normalizePath } from '../policy/path-syntax.js'
import { realFiles, remember } from './snapshot.js'

/** As `lstat` sees it, and what Node's does not say. */
export interface NativeEntry extends Entry {
  /** The object itself is a folder to its list: a junction, and a symbolic link to a folder, are. */
  readonly isDirectory: boolean
}

export interface NativeMachine {
  readonly user: { readonly name: string; readonly domain: string; readonly sid: string }
  /** This process runs with an administrator's full token. */
  readonly isElevated: boolean
  readonly systemRoot: string
  readonly profile: string | undefined
  readonly publicFolder: string | undefined
  readonly programData: string | undefined
  readonly programFiles: string | undefined
  readonly programFilesX86: string | undefined
  /** Of the machine, whatever this Node was built for. */
  readonly architecture: 'x64' | 'arm64' | 'other'
  readonly drives: readonly (WindowsDrive & { readonly serial: string })[]
}

/** Read only. Paths are absolute and normalised; each function looks at what stands there itself and follows nothing. */
export interface MachineFunctions {
  machineFacts(): NativeMachine
  /** Undefined where nothing is, or it may not be looked at. */
  lookAt(path: string): NativeEntry | undefined
  /** Owner, group, list and label in SDDL, SIDs in full; undefined like `lookAt`. */
  readDescriptor(path: string): string | undefined
}

/** What only the machine can say. */
export type MachineFacts = Pick<WindowsFacts, 'drives' | 'user' | 'systemRoot' | 'profileEntries' | 'descriptor' | 'kind'>

/**
 * The file system through the addon: identities are those that it compares later, junctions and mounted volumes are links, and what
 * stands for another file in a way that nobody can follow is a device. Each answer is kept, as in `realFiles`.
 */
export function windowsFiles({ lookAt }: Pick<MachineFunctions, 'lookAt'>, node: FileSystemView = realFiles()): FileSystemView & { kind: WindowsFacts['kind'] } {
  const look = remember((path: string) => lookAt(path))
  const isFile = (path: string): boolean => look(path)?.kind === 'file'
  return {
    entry(path) {
      const found = look(path)
      if (found === undefined) return undefined
      const { kind, device, inode, target } = found
      return { kind, device, inode, ...(target === undefined ? {} : { target }) }
    },
    // Node follows a link here, and lists what it leads to.
    children: path => look(path)?.kind === 'directory' ? node.children(path) : undefined,
    text: path => isFile(path) ? node.text(path) : undefined,
    bytes: path => isFile(path) ? node.bytes(path) : undefined,
    kind(path) {
      const found = look(path)
      return found === undefined ? undefined : found.isDirectory ? 'directory' : 'file'
    },
  }
}

/**
 * @param home  the user's profile, as the snapshot has it
 * @throws      SandboxError `layer_missing`: the machine cannot be read
 */
export function machineFacts(machine: NativeMachine, { readDescriptor }: Pick<MachineFunctions, 'readDescriptor'>, files: ReturnType<typeof windowsFiles>, home: string | undefined): MachineFacts {
  const { drives, user, systemRoot } = machine
  return {
    drives: drives.map(({ letter, fileSystem, kind, substituted }) => ({ letter, fileSystem, kind, ...(substituted === undefined ? {} : { substituted }) })),
    user: { name: user.name, sid: user.sid },
    systemRoot: normalizePath('windows', systemRoot, { field: 'systemRoot' }),
    profileEntries: home === undefined ? [] : (files.children(home) ?? []).map(name => joinPath('windows', home, name)),
    descriptor: remember(readDescriptor),
    kind: files.kind,
  }
}

/** What the machine says of itself has to make sense, or nothing is built on it. */
export function readMachine({ machineFacts: ask }: Pick<MachineFunctions, 'machineFacts'>): NativeMachine {
  const machine = ask()
  const { systemRoot, drives, user } = machine
  const wrong = !drives.some(({ letter }) => isInside('windows', `${letter}\\`, systemRoot)) ? `no drive has the folder of Windows, ${systemRoot}`
    : !/^S-1-\d/.test(user.sid) ? `your account has no SID but ${JSON.stringify(user.sid)}` : undefined
  if (wrong !== undefined) throw new SandboxError('layer_missing', { field: 'windows-addon', value: systemRoot }, { detail: `what the machine says of itself makes no sense: ${wrong}`, remedy: 'Report it.' })
  return machine
}
