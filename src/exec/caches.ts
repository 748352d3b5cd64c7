// Caches of tools: a folder for each workspace, outside of it, in which its commands may write. No tool on the host looks there, so
// that nothing outside ever runs or trusts what a sandbox has cached; and no other workspace's commands may write in it.
import { createHash, randomBytes } from 'node:crypto'
import { closeSync, constants, existsSync, lstatSync, mkdirSync, openSync, readdirSync, rmdirSync, rmSync, symlinkSync } from 'node:fs'
import { basename, join } from 'node:path/posix'
import { SandboxError } from '../errors.js'
import { makeOwnFolder } from '../host/own-folder.js'
import { isPermitted } from '../policy/decide-path.js'
import type { HostSnapshot } from '../policy/host-snapshot.js'
import { joinPath } from '../policy/path-syntax.js'
import type { ResolvedPolicy } from '../policy/resolved-policy.js'
import type { PlaceVariables, Variables } from './environment.js'
import { ownerVariables } from './owner-variables.js'
import { standInVariables, inheritedValue } from './stand-ins.js'

const NAME = 'codex-sandbox'

/**
 * One row a variable that leads a tool to its cache, and the folder of ours that it gets. In docs/caches.md stands beside each what
 * the host's own tool would do with it: all of these caches hold what is executed later.
 */
export const CACHE_ROWS = [
  { variable: 'npm_config_cache',      folder: 'npm' },
  // Its store lies there. It has a setting for the store alone, which npm complains about.
  { variable: 'PNPM_HOME',             folder: 'pnpm' },
  { variable: 'BUN_INSTALL_CACHE_DIR', folder: 'bun' },
  { variable: 'PIP_CACHE_DIR',         folder: 'pip' },
  { variable: 'GOCACHE',               folder: 'go-build' },
  { variable: 'GOMODCACHE',            folder: 'go-mod' },
  { variable: 'CARGO_HOME',            folder: 'cargo' },
  { variable: 'GRADLE_USER_HOME',      folder: 'gradle' },
  { variable: 'NUGET_PACKAGES',        folder: 'nuget' },
  { variable: 'NUGET_HTTP_CACHE_PATH', folder: 'nuget-http' },
  { variable: 'XDG_CACHE_HOME',        folder: 'xdg' },
] as const satisfies readonly { readonly variable: string; readonly folder: string }[]

/** What of the home folder's caches a tool can read beside its own, one row a variable. Set where the folder is there and the host does not set it. */
const READ_ROWS: readonly { readonly variable: string; readonly folder: string; readonly network?: 'off' }[] = [
  { variable: 'GRADLE_RO_DEP_CACHE',      folder: '.gradle/caches' },
  // Browsers, which are only looked for in one place: with the network on they may also be downloaded there, so it has to be ours.
  { variable: 'PLAYWRIGHT_BROWSERS_PATH', folder: '.cache/ms-playwright', network: 'off' },
  { variable: 'CYPRESS_CACHE_FOLDER',     folder: '.cache/Cypress', network: 'off' },
  { variable: 'PUPPETEER_CACHE_DIR',      folder: '.cache/puppeteer', network: 'off' },
]

/** What a Cargo home of ours takes from the home folder's. */
const CARGO_LINKS = ['config.toml', 'config'] as const
/** Maven's repository of this machine: a system property, for which there is no variable. */
const MAVEN_REPOSITORY = 'maven.repo.local'
const GO_DEFAULT_PROXY = 'https://proxy.golang.org,direct'

/** The folders of one workspace, by name. `undefined`: not wanted. */
export interface CacheFolders {
  /** Of all workspaces: only this process's. */
  readonly parent: string
  /** Of this workspace. */
  readonly own: string
  /** Commands may write in it. */
  readonly files: string | undefined
  /** Written from outside, read inside: what stands in for configuration that holds keys. */
  readonly settings: string | undefined
}

/** $XDG_CACHE_HOME, else its default; a user without a home has a folder of their own in /var/tmp. */
export function cacheDirectory(env: Variables, { home, uid }: Pick<HostSnapshot, 'home' | 'uid'>): string {
  const named = env['XDG_CACHE_HOME']
  if (named?.startsWith('/')) return join(named, NAME)
  return home === undefined ? `/var/tmp/${NAME}-caches-${uid}` : join(home, '.cache', NAME)
}

/**
 * Where the workspace's folders are, or would be. A workspace is known by its canonical path.
 *
 * @param cwd  canonical
 */
export function cacheFolders(parent: string, cwd: string, { files, settings }: { readonly files: boolean; readonly settings: boolean }): CacheFolders {
  const readable = basename(cwd).replace(/[^\w.-]/g, '_').slice(0, 32)
  const own = join(parent, `${readable === '' ? 'root' : readable}-${createHash('sha256').update(cwd).digest('hex').slice(0, 16)}`)
  return { parent, own, files: files ? join(own, 'files') : undefined, settings: settings ? join(own, 'settings') : undefined }
}

const foldersOf = ({ parent, own, files, settings }: CacheFolders): string[] => [parent, own, ...[files, settings].filter(path => path !== undefined)]

export const areMade = (folders: CacheFolders): boolean => foldersOf(folders).every(path => existsSync(path))

/** Who uses a workspace's folders now: a file each beside them, so that nobody removes them under another. */
const USER = /^user-(?<pid>\d+)-/

/** Of one sandbox. */
export interface CacheUse {
  /** Optional, before `leave`: no command is left that could read the copies of configuration. They go, if `leave` is going to remove the folders. */
  commandsEnded(): void
  /** The launcher is gone. The last user removes the folders, if they are empty: a workspace that has cached nothing leaves nothing behind. */
  leave(): void
}

/** Says that a sandbox uses them, until it leaves. */
export function useCacheFolders(folders: CacheFolders): CacheUse {
  const mark = join(folders.own, `user-${process.pid}-${randomBytes(6).toString('hex')}`)
  try {
    unlessTaken(() => closeSync(openSync(mark, 'wx', 0o600)))
  } catch (error) {
    throw refuse(folders.own, (error as NodeJS.ErrnoException).code ?? 'unknown', 'nothing can be made in it', error)
  }
  return {
    commandsEnded() {
      rmSync(mark, { force: true })
      if (!areUsed(folders) && (folders.files === undefined || listed(folders.files).length === 0)) removeSettings(folders)
    },
    leave() {
      rmSync(mark, { force: true })
      removeUnused(folders)
    },
  }
}

/** Never what commands have put there: only names of our own, and folders that are empty. */
export function removeUnused(folders: CacheFolders): void {
  if (areUsed(folders) || (folders.files !== undefined && !removeFolder(folders.files))) return
  removeSettings(folders)
  removeFolder(folders.own)
}

/** Removes what says so of processes that are gone. */
function areUsed({ own }: CacheFolders): boolean {
  for (const name of listed(own)) {
    const pid = USER.exec(name)?.groups?.['pid']
    if (pid === undefined) continue
    if (isAlive(Number(pid))) return true
    rmSync(join(own, name), { force: true })
  }
  return false
}

function removeSettings({ settings }: CacheFolders): void {
  if (settings === undefined || !existsSync(settings)) return
  for (const name of listed(settings)) rmSync(join(settings, name), { force: true })
  removeFolder(settings)
}

/** True where it is gone. */
function removeFolder(path: string): boolean {
  try {
    rmdirSync(path)
    return true
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'ENOENT'
  }
}

function listed(path: string): string[] {
  try {
    return readdirSync(path)
  } catch {
    return [] // it is not there
  }
}

function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0)
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM'
  }
}

/**
 * Makes what is missing of them, for this user only.
 *
 * @throws SandboxError `set_up_failed`, step `make_cache_directory`, also where somebody else could write in one of them
 */
export function makeCacheFolders(folders: CacheFolders): void {
  for (const path of foldersOf(folders)) {
    try {
      // Above the first of them are only the user's own folders, which may not be there yet either.
      makeOwnFolder(path)
    } catch (error) {
      throw refuse(path, (error as NodeJS.ErrnoException).code ?? 'unknown', 'it cannot be made', error)
    }
    const { uid, mode } = lstatSync(path)
    if ((mode & 0o170000) !== 0o040000) throw refuse(path, 'ENOTDIR', 'it is no folder')
    if (uid !== process.getuid?.() || (mode & 0o022) !== 0) throw refuse(path, 'EPERM', 'others than this user may write in it')
  }
}

const refuse = (path: string, errno: string, detail: string, cause?: unknown): SandboxError => new SandboxError('set_up_failed', { step: 'make_cache_directory', errno, path }, {
  detail, cause, remedy: 'Set XDG_CACHE_HOME to a folder of your own, or say caches: "off".',
})

/**
 * The variables that lead commands to caches and temporary files in which they may write. What the host or the policy sets to such
 * a place already stays as it is.
 */
function placeVariables(folders: CacheFolders | undefined, policy: ResolvedPolicy, host: HostSnapshot, inherited: Variables): Record<string, string> {
  const variables: Record<string, string> = { ...withoutRepository(policy, inherited) }
  if (policy.tmp === 'private') {
    for (const name of ['TMPDIR', 'TMP', 'TEMP']) if (inherited[name] !== undefined) variables[name] = '/tmp'
  }
  const files = folders?.files
  if (files === undefined || !mayWrite(policy, files)) return variables
  for (const { variable, folder } of CACHE_ROWS) {
    if (!isWritablePlace(policy, inheritedValue(inherited, variable))) variables[variable] = join(files, folder)
  }
  placeCargoHome(variables, policy, host, inherited)
  return { ...variables, ...readVariables(policy, host, inherited), ...goVariables(variables, host, inherited), ...mavenVariables(files, policy, host, inherited) }
}

/** All variables that lead commands to places other than the host's. Makes what they need. */
export function placesFor(folders: CacheFolders | undefined, policy: ResolvedPolicy, host: HostSnapshot, inherited: Variables): PlaceVariables {
  if (policy.base === 'write') return { variables: {}, replaces: () => false }
  const variables = { ...placeVariables(folders, policy, host, inherited), ...standInVariables(folders, policy, host, inherited), ...ownerVariables(policy, inherited) }
  return { variables, replaces: name => /^npm_/i.test(name) && !Object.hasOwn(variables, name) && Object.hasOwn(variables, name.toLowerCase()) }
}

const isWritablePlace = (policy: ResolvedPolicy, path: string | undefined): boolean => path?.startsWith('/') === true && mayWrite(policy, path)

function mayWrite(policy: ResolvedPolicy, path: string): boolean {
  try {
    return isPermitted(policy, { kind: 'write', path })
  } catch (error) {
    if (error instanceof SandboxError) return false
    throw error
  }
}

function readVariables({ network }: ResolvedPolicy, { home, files, platform }: HostSnapshot, inherited: Variables): Record<string, string> {
  if (home === undefined) return {}
  const rows = READ_ROWS.filter(row => inherited[row.variable] === undefined && (row.network === undefined || row.network === network))
  return Object.fromEntries(rows.map(({ variable, folder }) => [variable, joinPath(platform, home, folder)] as const).filter(([, path]) => files.entry(path)?.kind === 'directory'))
}

/** Go takes the empty folder that holds the place of a missing `.git` for a repository, and asks git about it. There is nothing to be asked. */
function withoutRepository({ paths, platform, cwd }: ResolvedPolicy, inherited: Variables): Record<string, string> {
  const own = joinPath(platform, cwd, '.git')
  const isPlaceholder = paths.some(({ path, kind, effect }) => path === own && kind === 'missing' && effect === 'read')
  return isPlaceholder ? { GOFLAGS: [inherited['GOFLAGS'], '-buildvcs=false'].filter(each => each !== undefined && each !== '').join(' ') } : {}
}

/** What was downloaded for the home folder's module cache serves as a proxy in front of the others. */
function goVariables(set: Readonly<Record<string, string>>, { home, files }: HostSnapshot, inherited: Variables): Record<string, string> {
  if (set['GOMODCACHE'] === undefined) return {}
  const goPath = inherited['GOPATH']?.split(':')[0] || (home === undefined ? undefined : join(home, 'go'))
  const downloads = join(inherited['GOMODCACHE'] || join(goPath ?? '/', 'pkg/mod'), 'cache/download')
  // Else a cache can only be removed by `go clean -modcache`.
  const flags = { GOFLAGS: [set['GOFLAGS'] ?? inherited['GOFLAGS'], '-modcacherw'].filter(each => each !== undefined && each !== '').join(' ') }
  return files.entry(downloads)?.kind === 'directory' ? { ...flags, GOPROXY: `file://${downloads},${inherited['GOPROXY'] || GO_DEFAULT_PROXY}` } : flags
}

/**
 * Maven 3.9 reads the home folder's repository behind its own; older ones know one alone, so without the network it is the home folder's, if
 * that has one: `mvn -o` builds from it.
 */
function mavenVariables(files: string, { network }: ResolvedPolicy, host: HostSnapshot, inherited: Variables): Record<string, string> {
  const theirs = host.home === undefined ? undefined : join(host.home, '.m2/repository')
  const isThere = theirs !== undefined && host.files.entry(theirs)?.kind === 'directory'
  const options = inherited['MAVEN_OPTS'] ?? ''
  // Its start script takes the options apart at spaces.
  if ((network === 'off' && isThere) || options.includes(MAVEN_REPOSITORY) || /\s/.test(files) || (isThere && /\s/.test(theirs))) return {}
  const own = [`-D${MAVEN_REPOSITORY}=${join(files, 'maven')}`, ...(isThere ? [`-D${MAVEN_REPOSITORY}.tail=${theirs}`] : [])]
  return { MAVEN_OPTS: [...(options === '' ? [] : [options]), ...own].join(' ') }
}

/**
 * Cargo has one home for its configuration and for what it has downloaded. Without the network all that there can be is what the home
 * folder's has, and Cargo builds from one that it may not write; with it, ours takes the configuration from there.
 */
function placeCargoHome(variables: Record<string, string>, { network }: ResolvedPolicy, { home, files }: HostSnapshot, inherited: Variables): void {
  const own = variables['CARGO_HOME']
  const theirs = inherited['CARGO_HOME'] || (home === undefined ? undefined : join(home, '.cargo'))
  if (own === undefined || theirs === undefined) return
  if (network === 'off') {
    if (files.entry(join(theirs, 'registry'))?.kind === 'directory') delete variables['CARGO_HOME']
    return
  }
  const names = CARGO_LINKS.filter(name => files.entry(join(theirs, name)) !== undefined)
  if (names.length === 0) return
  unlessTaken(() => mkdirSync(own, { mode: 0o700 }))
  // Commands may have put a link in the folder's place: what is opened here is the folder itself, and named by nothing but its number.
  unlessTaken(() => {
    const folder = openSync(own, constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW)
    try {
      for (const name of names) unlessTaken(() => symlinkSync(join(theirs, name), `/proc/self/fd/${folder}/${name}`))
    } finally {
      closeSync(folder)
    }
  })
}

/** In a folder in which commands may write a name may be taken, by whatever they like: that is left as it is. */
function unlessTaken(step: () => void): void {
  try {
    step()
  } catch (error) {
    if (!TAKEN.includes((error as NodeJS.ErrnoException).code ?? '')) throw error
  }
}
const TAKEN: readonly string[] = ['EEXIST', 'ELOOP', 'ENOTDIR', 'ENOENT', 'EACCES']
