// Absolute paths as text, in the syntax of the policy's platform. Nothing here looks at a file system, and nothing here
// asks which platform this process runs on.
import { posix, win32 } from 'node:path'
import { SandboxError } from '../errors.js'
import type { PlatformName } from './host-snapshot.js'
import { normalizeWindowsPath } from './windows-path.js'

/** Linux's PATH_MAX counts the final NUL. */
const MAX_PATH_BYTES = 4095

/** Of UTF-8, for a unit of UTF-16. */
const MOST_BYTES_A_UNIT = 3
/** An empty name, `.` or `..`; the root as well. */
const UNTIDY = /\/\.{0,2}(?:\/|$)/

export interface PathOptions {
  /** The policy field that an error names. */
  readonly field: string
  /** Names that a program made may hold control characters; names that a policy is written with may not. */
  readonly controlCharacters?: 'refuse' | 'accept'
}

/**
 * The one spelling of an absolute path: no `.`, no doubled and no trailing separator; on Windows also backslashes and
 * an upper-case drive letter (windows-path.ts). Letter case and Unicode form are left alone: to the policy two byte sequences are two names.
 *
 * @throws  SandboxError `path_not_absolute` or `path_invalid`, `field` = `options.field`
 */
export function normalizePath(platform: PlatformName, path: string, options: PathOptions = { field: 'path' }): string {
  const refuse = (detail: string) => new SandboxError('path_invalid', { field: options.field, value: path }, { detail })
  if (path.includes('\0')) throw refuse('it contains NUL')
  if (options.controlCharacters !== 'accept' && /[\u0000-\u001f\u007f-\u009f\u2028\u2029]/.test(path)) throw refuse('it contains a control character')
  if (!path.isWellFormed()) throw refuse('it is not valid Unicode')
  if (path.length > MAX_PATH_BYTES / MOST_BYTES_A_UNIT && Buffer.byteLength(path) > MAX_PATH_BYTES) throw refuse(`it is longer than ${MAX_PATH_BYTES} bytes`)
  if (platform === 'windows') return normalizeWindowsPath(path, options.field)
  if (!path.startsWith('/')) throw new SandboxError('path_not_absolute', { field: options.field, value: path })
  if (!UNTIDY.test(path)) return path
  const names = path.split('/').filter(name => name !== '' && name !== '.')
  if (names.includes('..')) throw refuse('it contains ".."')
  return `/${names.join('/')}`
}

/** `outer` is `path` itself or a folder above it. Both are normalised. Windows takes letter cases for the same. */
export function isInside(platform: PlatformName, outer: string, path: string): boolean {
  if (platform === 'windows') return isPrefix(outer.toLowerCase(), path.toLowerCase(), '\\')
  return isPrefix(outer, path, '/')
}

const isPrefix = (outer: string, path: string, separator: string): boolean =>
  path.startsWith(outer) && (path.length === outer.length || outer.endsWith(separator) || path[outer.length] === separator)

/** How many names lie below the root: 0 for `/`. */
export function depth(platform: PlatformName, path: string): number {
  if (platform === 'windows' || lastSeparator(platform, path) === undefined) return namesOf(platform, path).length
  let count = 0
  for (let at = path.indexOf('/'); at !== -1; at = path.indexOf('/', at + 1)) count++
  return count
}

/** `/a/b` -> `['a', 'b']`. */
export function namesOf(platform: PlatformName, path: string): string[] {
  return splitNames(platform, path.slice(rootOf(platform, path).length))
}

/** The names in a relative path. */
export const splitNames = (platform: PlatformName, text: string): string[] =>
  text.split(platform === 'windows' ? /[\\/]/ : '/').filter(name => name !== '')

/** `/` or `C:\` or `\\server\share\`. */
export const rootOf = (platform: PlatformName, path: string): string =>
  platform === 'windows' ? win32.parse(path).root : path.startsWith('/') ? '/' : ''

/** The folder that holds `path`; the root holds itself. */
export function parentOf(platform: PlatformName, path: string): string {
  const at = lastSeparator(platform, path)
  return at === undefined ? syntaxOf(platform).dirname(path) : at === 0 ? '/' : path.slice(0, at)
}

export function lastName(platform: PlatformName, path: string): string {
  const at = lastSeparator(platform, path)
  return at === undefined ? syntaxOf(platform).basename(path) : path.slice(at + 1)
}

/**
 * Where the last name of a normalised path begins, less one; undefined where Node's own functions are to be asked. They look at every
 * character, in code that is cold when a command line resolves its one policy.
 */
function lastSeparator(platform: PlatformName, path: string): number | undefined {
  if (platform === 'windows' || !path.startsWith('/') || path.endsWith('/') || path.includes('//')) return undefined
  return path.lastIndexOf('/')
}

/** Appends names, which may hold separators of their own but no `..`. */
export function joinPath(platform: PlatformName, path: string, ...names: string[]): string {
  // Plain names are what nearly all calls have, and node's own join costs more than all the rest of a resolve.
  const [name = ''] = names
  if (names.length === 1 && platform !== 'windows' && PLAIN_NAMES.test(name)) {
    if (path === '/') return `/${name}`
    if (!path.endsWith('/')) return `${path}/${name}`
  }
  return syntaxOf(platform).join(path, ...names)
}

/** Resolves what a file says, such as `../..`, against the folder that it lies in. Only as text: links are not followed. */
export const resolveText = (platform: PlatformName, folder: string, text: string): string => trimEnd(platform, syntaxOf(platform).resolve(folder, text))

/** `path` as seen from `outer`, which holds it; `''` where they are the same. */
export const relativeTo = (platform: PlatformName, outer: string, path: string): string => syntaxOf(platform).relative(outer, path)

/** Absolute in the syntax of any platform: what can be asked before the platform is known. */
export const looksAbsolute = (path: string): boolean => path.startsWith('/') || path.startsWith('\\\\') || /^[A-Za-z]:[\\/]/.test(path)

export const separatorOf = (platform: PlatformName): '/' | '\\' => platform === 'windows' ? '\\' : '/'

/** From `path` up to its root, `path` first. */
export function* upwards(platform: PlatformName, path: string): Generator<string> {
  for (let at = path; ; ) {
    yield at
    const above = parentOf(platform, at)
    if (above === at) return
    at = above
  }
}

/** One name or several, none of which is empty, `.` or `..`, told without looking at a character twice. */
const PLAIN_NAMES = /^(?:[^./][^/]*|\.[^./][^/]*)(?:\/(?:[^./][^/]*|\.[^./][^/]*))*$/

const syntaxOf = (platform: PlatformName): typeof posix => platform === 'windows' ? win32 : posix

const trimEnd = (platform: PlatformName, path: string): string => {
  const root = rootOf(platform, path)
  return path.length > root.length && path.endsWith(separatorOf(platform)) ? path.slice(0, -1) : path
}
