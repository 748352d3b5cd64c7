// Fills a HostSnapshot from this machine. The only reader of `process.platform`.
import { closeSync, constants, fstatSync, lstatSync, openSync, readdirSync, readFileSync, readlinkSync, readSync, statSync } from 'node:fs'
import { userInfo } from 'node:os'
import path from 'node:path'
import process from 'node:process'
import { SandboxError } from '../errors.js'
import { isPlaceholderLink } from '../policy/git-paths.js'
import type { Entry, FileSystemView, HostSnapshot, PlatformName } from '../policy/host-snapshot.js'
import { entryKind } from './entry-kind.js'
import { readMounts } from './mounts.js'
import { unless } from './unless.js'
import { readWsl } from './wsl.js'

const TEXT_BYTES = 64 * 1024
const MOST_BYTES = 64 * 1024 * 1024

export interface SnapshotOptions {
  /** What runs or is believed outside: run-time files of this package, the launcher, node, the journal. Absolute. */
  readonly selfPaths: readonly string[]
  readonly cwd?: string
  /** Default: this process's. Read for HOME, TMPDIR and CODEX_HOME only. */
  readonly env?: Readonly<Record<string, string | undefined>>
}

/**
 * A view of this machine that stays as it was first seen: each answer about a file is kept, so that one resolution never
 * sees two states of a name. Take a new one for each resolution. Never follows a link, never throws for what is missing.
 */
export function takeSnapshot({ selfPaths, cwd = currentFolder(), env = process.env }: SnapshotOptions): HostSnapshot {
  const { platform, wsl } = currentSystem()
  const home = homeFolder(platform, env)
  const accountHome = accountFolder()
  return {
    platform,
    cwd,
    home,
    ...(accountHome === undefined || accountHome === home ? {} : { accountHome }),
    tmpdir: nonEmpty(platform === 'windows' ? env['TEMP'] || env['TMP'] : env['TMPDIR']),
    codexHome: codexHomeFolder(env, home),
    uid: process.getuid?.() ?? -1,
    gid: process.getgid?.() ?? -1,
    selfPaths,
    files: realFiles(),
    ...(platform === 'linux' ? { mounts: readMounts() } : {}),
    ...(wsl === undefined ? {} : { wsl }),
  }
}

/**
 * @param field  the one whose default it is, for the error
 * @throws SandboxError `path_not_found`: this process's folder was removed under it; `path_invalid`: it cannot be named
 */
export function currentFolder(field: 'current folder' | 'cwd' = 'current folder'): string {
  try {
    return readable(process.cwd(), field)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
    const other = field === 'cwd' ? ', or give cwd' : ''
    throw new SandboxError('path_not_found', { field, value: undefined }, { detail: 'this process\'s own folder was removed', remedy: `Change to one that exists${other}.`, cause: error })
  }
}

/** A name that is not UTF-8 comes decoded, and so as that of another folder, which may be there too. */
function readable(folder: string, field: string): string {
  if (!folder.includes('\ufffd')) return folder
  const [named, own] = [statSync(folder, { throwIfNoEntry: false }), statSync('.')]
  if (named?.dev === own.dev && named.ino === own.ino) return folder
  throw new SandboxError('path_invalid', { field, value: folder }, { detail: 'its name is not UTF-8', remedy: 'Rename it, or change to another one.' })
}

/** A relative one starts at this process's folder, as in the reference. */
function codexHomeFolder(env: NonNullable<SnapshotOptions['env']>, home: string | undefined): string | undefined {
  const named = nonEmpty(env['CODEX_HOME'])
  return named !== undefined ? path.resolve(named) : home === undefined ? undefined : path.join(home, '.codex')
}

const PLATFORMS: Readonly<Partial<Record<NodeJS.Platform, PlatformName>>> = { linux: 'linux', darwin: 'macos', win32: 'windows' }

export const currentPlatform = (): PlatformName => platformName(process.platform)

/** What chooses a back end. */
export function currentSystem(): Pick<HostSnapshot, 'platform' | 'wsl'> {
  const platform = currentPlatform()
  const wsl = platform === 'linux' ? readWsl() : undefined
  return { platform, ...(wsl === undefined ? {} : { wsl }) }
}

export function platformName(name: NodeJS.Platform): PlatformName {
  const known = PLATFORMS[name]
  if (known === undefined) throw new SandboxError('platform_unsupported', { field: 'platform', value: name })
  return known
}

/** The real file system, each answer remembered. */
export function realFiles(): FileSystemView {
  const entry = rememberEntries()
  const isFile = (path: string): boolean => entry(path)?.kind === 'file'
  return {
    entry,
    children: remember(folder => unlessUnseen(() => readdirSync(folder))),
    text: remember(file => isFile(file) ? readText(file) : undefined),
    bytes: file => isFile(file) ? readBytes(file) : undefined,
  }
}

/** Nothing lies below what was not there: of a hundred places of keys most are below folders that this user does not have. */
function rememberEntries(): (path: string) => Entry | undefined {
  const answers = new Map<string, Entry | undefined>()
  return file => {
    if (answers.has(file)) return answers.get(file)
    const parent = path.dirname(file)
    const answer = answers.has(parent) && answers.get(parent) === undefined ? undefined : readEntry(file)
    answers.set(file, answer)
    return answer
  }
}

/** Names of the folders directly in a folder, links left out; undefined where it cannot be listed. */
export const foldersIn = (folder: string): string[] | undefined =>
  unlessUnseen(() => readdirSync(folder, { withFileTypes: true }).filter(each => each.isDirectory()).map(({ name }) => name))

/** Asks once for each path. */
export function remember<Answer>(ask: (path: string) => Answer): (path: string) => Answer {
  const answers = new Map<string, Answer>()
  return path => {
    if (answers.has(path)) return answers.get(path) as Answer
    const answer = ask(path)
    answers.set(path, answer)
    return answer
  }
}

function readEntry(file: string): Entry | undefined {
  return unlessUnseen(() => {
    const stats = lstatSync(file, { bigint: true, throwIfNoEntry: false })
    if (stats === undefined) return undefined
    const kind = entryKind(stats)
    const identity = { kind, device: stats.dev.toString(), inode: stats.ino.toString() }
    if (kind !== 'symlink') return identity
    const target = readlinkSync(file)
    // Another sandbox's, or this one's: it goes with the commands for which it stands there.
    return isPlaceholderLink(target) ? undefined : { ...identity, target }
  })
}

const readText = (file: string): string | undefined => readRegular(file, descriptor => {
  const buffer = Buffer.alloc(TEXT_BYTES)
  return buffer.toString('utf8', 0, readSync(descriptor, buffer, 0, TEXT_BYTES, 0))
})

const readBytes = (file: string): Uint8Array | undefined => readRegular(file, (descriptor, size) => size > MOST_BYTES ? undefined : readFileSync(descriptor))

function readRegular<Answer>(file: string, read: (descriptor: number, size: number) => Answer): Answer | undefined {
  return unlessUnseen(() => {
    // O_NONBLOCK: a FIFO put in the file's place must not hold us up.
    const descriptor = openSync(file, constants.O_RDONLY | (constants.O_NOFOLLOW ?? 0) | (constants.O_NONBLOCK ?? 0))
    try {
      const stats = fstatSync(descriptor)
      return stats.isFile() ? read(descriptor, stats.size) : undefined
    } finally {
      closeSync(descriptor)
    }
  })
}

/** Not there, or not to be looked at by this user: both are "undefined" in a FileSystemView. */
const UNSEEN = new Set(['ENOENT', 'ENOTDIR', 'EACCES', 'EPERM', 'ELOOP', 'ENAMETOOLONG', 'ENXIO', 'ENOTCONN', 'ESTALE'])

const unlessUnseen = <Answer>(ask: () => Answer): Answer | undefined => unless(UNSEEN, ask)

function homeFolder(platform: PlatformName, env: NonNullable<SnapshotOptions['env']>): string | undefined {
  const named = nonEmpty(platform === 'windows' ? env['USERPROFILE'] : env['HOME'])
  if (named !== undefined && path.isAbsolute(named)) return named
  return accountFolder()
}

/** A user without an entry in the database (containers) has none; userInfo throws then. */
function accountFolder(): string | undefined {
  const folder = unlessNoUser(() => nonEmpty(userInfo().homedir))
  return folder !== undefined && path.isAbsolute(folder) ? folder : undefined
}

/** Where `~` leads for this user: HOME where that is absolute, else as the account has it. Undefined: it has none. */
export const userHome = (env: NonNullable<SnapshotOptions['env']> = process.env): string | undefined => homeFolder(currentPlatform(), env)

function unlessNoUser<Answer>(ask: () => Answer): Answer | undefined {
  try {
    return ask()
  } catch (error) {
    if (error instanceof Error && 'syscall' in error && error.syscall === 'uv_os_get_passwd') return undefined
    throw error
  }
}

const nonEmpty = (text: string | undefined): string | undefined => text === undefined || text === '' ? undefined : text
