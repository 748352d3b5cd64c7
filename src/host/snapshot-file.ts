// A host written down as JSON: a machine that this one is not, for printing what would be enforced there.
import { SandboxError } from '../errors.js'
import type { Entry, EntryKind, FileSystemView, HostSnapshot, PlatformName, WindowsDrive, WindowsFacts } from '../policy/host-snapshot.js'
import { foldName } from '../policy/letter-case.js'
import { joinPath, normalizePath, separatorOf } from '../policy/path-syntax.js'
import { isRecord } from '../policy/record.js'

/**
 * The form of such a file. Paths are absolute and in the syntax of `platform`; folders above a listed path are there too.
 * docs/macos.md and docs/windows.md describe it with examples.
 */
export interface SnapshotFile {
  readonly platform: PlatformName
  readonly cwd: string
  readonly home?: string
  readonly tmpdir?: string
  readonly codexHome?: string
  readonly uid?: number
  readonly gid?: number
  /** Folders in which letter case and Unicode form make no other name. Default on macOS: `["/"]`; on Windows it is not asked. */
  readonly ignoresCase?: readonly string[]
  /** On Windows only, where it has to be there. */
  readonly windows?: WindowsPart
  /** A path that ends in `/` (on Windows `\\`) is a folder, its value null. Else a text is a file's content, `{"link": "target"}` a symlink, `{"kind": "socket"}` something else. */
  readonly files: Readonly<Record<string, string | null | { readonly link: string } | { readonly kind: 'socket' | 'fifo' | 'device' }>>
}

export interface WindowsPart {
  readonly user: { readonly name: string; readonly sid: string }
  /** Default: each letter that a path has, as a fixed NTFS drive. */
  readonly drives?: readonly WindowsDrive[]
  /** Default: `C:\\Windows`. */
  readonly systemRoot?: string
  /** Access lists in SDDL, by path; what has none here inherits. */
  readonly lists?: Readonly<Record<string, string>>
}

type Node = { readonly kind: 'directory'; readonly children: Map<string, Node> } | { readonly kind: Exclude<EntryKind, 'directory'>; readonly text?: string; readonly target?: string }
type Folder = Extract<Node, { kind: 'directory' }>

const KINDS: readonly string[] = ['socket', 'fifo', 'device']
const KEYS: readonly string[] = ['platform', 'cwd', 'home', 'tmpdir', 'codexHome', 'uid', 'gid', 'ignoresCase', 'windows', 'files']
const WINDOWS_KEYS: readonly string[] = ['user', 'drives', 'systemRoot', 'lists']
const DRIVE_KINDS: readonly string[] = ['fixed', 'removable', 'remote', 'optical', 'memory'] satisfies WindowsDrive['kind'][]

/** What macOS shows at the root and in its data volume alike. */
const DATA_VOLUME = '/System/Volumes/Data'
const FIRMLINKS = ['/Applications', '/Library', '/Users', '/Volumes', '/cores', '/opt', '/private', '/usr/local']

/**
 * @param field   what an error names: the option that the file came from
 * @param value   parsed JSON
 * @throws        SandboxError `option_invalid`, `field` = the given one and the key
 */
export function readSnapshotFile(field: string, value: unknown): HostSnapshot {
  const file = check(field, value)
  const root: Folder = { kind: 'directory', children: new Map() }
  for (const [path, entry] of Object.entries(file.files)) place(field, root, separatorOf(file.platform), path, entry)
  const isMac = file.platform === 'macos'
  const files = viewOf(root, separatorOf(file.platform), isMac ? file.ignoresCase ?? ['/'] : ['/'])
  return {
    platform: file.platform, cwd: file.cwd, home: file.home, tmpdir: file.tmpdir,
    codexHome: file.codexHome ?? (file.home === undefined ? undefined : joinPath(file.platform, file.home, '.codex')),
    uid: file.uid ?? (isMac ? 501 : -1), gid: file.gid ?? (isMac ? 20 : -1), selfPaths: [],
    files: isMac ? withFirmlinks(files) : files,
    ...(file.windows === undefined ? {} : { windows: factsOf(file, file.windows, root, files) }),
  }
}

function factsOf({ home }: SnapshotFile, { user, drives, systemRoot = 'C:\\Windows', lists = {} }: WindowsPart, root: Folder, files: FileSystemView): WindowsFacts {
  const kind = (path: string): 'file' | 'directory' | undefined => {
    const entry = files.entry(path)
    return entry === undefined ? undefined : entry.kind === 'directory' ? 'directory' : 'file'
  }
  const byPath = new Map(Object.entries(lists).map(([path, list]) => [foldName(normalizePath('windows', path)), list]))
  return {
    drives: drives ?? [...root.children.keys()].map(letter => ({ letter, fileSystem: 'NTFS', kind: 'fixed' })), user, systemRoot,
    profileEntries: home === undefined ? [] : (files.children(home) ?? []).map(name => joinPath('windows', home, name)),
    descriptor: path => byPath.get(foldName(path)), kind, worldWritable: [], setUp: undefined,
    ownLists: Object.keys(lists).map(path => normalizePath('windows', path)).map(path => ({ path, kind: kind(path) ?? 'file' })),
  }
}

function check(field: string, value: unknown): SnapshotFile {
  const refuse: Refuse = (key, found, detail) => new SandboxError('option_invalid', { field: `${field} ${key}`, value: found }, { detail, remedy: 'See docs/macos.md and docs/windows.md for the form of a host.' })
  if (!isRecord(value)) throw refuse('host', value, 'it must be an object')
  const unknown = Object.keys(value).find(key => !KEYS.includes(key))
  if (unknown !== undefined) throw refuse(unknown, value[unknown], `the keys are ${KEYS.join(', ')}`)
  const { platform } = value
  if (platform !== 'macos' && platform !== 'windows') throw refuse('platform', platform, 'only hosts of macos and windows are read from files')
  const isAbsolute = (path: unknown): path is string => typeof path === 'string' && (platform === 'macos' ? path.startsWith('/') : isWindowsPath(path))
  for (const key of ['cwd', 'home', 'tmpdir', 'codexHome']) {
    const path = value[key]
    if (path === undefined ? key === 'cwd' : !isAbsolute(path)) throw refuse(key, path, 'it must be an absolute path')
  }
  for (const key of ['uid', 'gid']) if (value[key] !== undefined && !Number.isSafeInteger(value[key])) throw refuse(key, value[key], 'it must be a whole number')
  const folders = value['ignoresCase']
  if (folders !== undefined && !(Array.isArray(folders) && folders.every(isAbsolute))) throw refuse('ignoresCase', folders, 'it must be a list of absolute paths')
  if (platform === 'windows') checkWindows(value['windows'], refuse)
  else if (value['windows'] !== undefined) throw refuse('windows', value['windows'], 'it is for the platform windows')
  if (!isRecord(value['files'])) throw refuse('files', value['files'], 'it must be an object of paths')
  for (const [path, entry] of Object.entries(value['files'])) {
    const problem = problemOf(platform, path, entry)
    if (problem !== undefined) throw refuse('files', path, problem)
  }
  return value as unknown as SnapshotFile
}

type Refuse = (key: string, found: unknown, detail: string) => SandboxError

function checkWindows(value: unknown, refuse: Refuse): void {
  if (!isRecord(value)) throw refuse('windows', value, 'it must be an object')
  const unknown = Object.keys(value).find(key => !WINDOWS_KEYS.includes(key))
  if (unknown !== undefined) throw refuse(`windows.${unknown}`, value[unknown], `the keys are ${WINDOWS_KEYS.join(', ')}`)
  const { user, drives, systemRoot, lists } = value
  if (!isRecord(user) || typeof user['name'] !== 'string' || typeof user['sid'] !== 'string' || !/^S-1-\d+(?:-\d+)+$/.test(user['sid'])) throw refuse('windows.user', user, 'it must have a name and a sid')
  const isDrive = (drive: unknown): boolean => isRecord(drive) && /^[A-Z]:$/.test(String(drive['letter'])) && typeof drive['fileSystem'] === 'string' && DRIVE_KINDS.includes(String(drive['kind']))
  if (drives !== undefined && !(Array.isArray(drives) && drives.every(isDrive))) throw refuse('windows.drives', drives, `it must be a list of {"letter": "C:", "fileSystem": "NTFS", "kind": "${DRIVE_KINDS.join('" | "')}"}`)
  if (systemRoot !== undefined && !(typeof systemRoot === 'string' && isWindowsPath(systemRoot))) throw refuse('windows.systemRoot', systemRoot, 'it must be an absolute path')
  if (lists !== undefined && !isRecord(lists)) throw refuse('windows.lists', lists, 'it must be an object of paths')
  for (const [path, list] of Object.entries(lists ?? {})) if (!isWindowsPath(path) || typeof list !== 'string') throw refuse('windows.lists', path, 'it must be an absolute path with an access list in SDDL')
}

function isWindowsPath(path: string): boolean {
  try {
    normalizePath('windows', path)
    return true
  } catch (error) {
    if (error instanceof SandboxError) return false
    throw error
  }
}

function problemOf(platform: 'macos' | 'windows', path: string, entry: unknown): string | undefined {
  const separator = separatorOf(platform)
  if (platform === 'macos' ? !path.startsWith('/') : !isWindowsPath(path) || !/^[A-Z]:\\/.test(path) || path.includes('/')) return 'it is not an absolute path'
  if (path.includes('\0') || path.split(separator).some(name => name === '.' || name === '..')) return 'it contains ".", ".." or NUL'
  if (path.endsWith(separator)) return entry === null ? undefined : `a folder (it ends in ${separator}) has the value null`
  if (typeof entry === 'string') return undefined
  if (isRecord(entry)) {
    const [key, ...others] = Object.keys(entry)
    if (others.length === 0 && key === 'link' && typeof entry['link'] === 'string' && entry['link'] !== '') return undefined
    if (others.length === 0 && key === 'kind' && KINDS.includes(String(entry['kind']))) return undefined
  }
  return `its value must be a text (a file), {"link": "target"} or {"kind": "${KINDS.join('" | "')}"}; a folder ends in ${separator}`
}

function place(field: string, root: Folder, separator: string, path: string, entry: SnapshotFile['files'][string]): void {
  const names = path.split(separator).filter(name => name !== '')
  const last = path.endsWith(separator) ? undefined : names.pop()
  let at = root
  for (const name of names) {
    const next = at.children.get(name) ?? { kind: 'directory', children: new Map<string, Node>() }
    if (next.kind !== 'directory') throw new SandboxError('option_invalid', { field: `${field} files`, value: path }, { detail: `${JSON.stringify(name)} is no folder`, remedy: 'List each path once.' })
    at.children.set(name, next)
    at = next
  }
  if (last === undefined || entry === null) return
  if (at.children.has(last)) throw new SandboxError('option_invalid', { field: `${field} files`, value: path }, { detail: 'it is there twice', remedy: 'List each path once.' })
  at.children.set(last, typeof entry === 'string' ? { kind: 'file', text: entry } : 'link' in entry ? { kind: 'symlink', target: entry.link } : { kind: entry.kind })
}

/** Inodes are numbered in the order in which they are first asked for; two spellings of one name are one file. */
function viewOf(root: Folder, separator: string, ignoresCase: readonly string[]): FileSystemView {
  const inodes = new Map<Node, string>()
  const folds = (at: string) => ignoresCase.some(folder => folder === '/' || at === folder || at.startsWith(`${folder}/`))
  const find = (path: string): Node | undefined => {
    let node: Node | undefined = root
    let at = ''
    for (const name of path.split(separator).filter(Boolean)) {
      if (node?.kind !== 'directory') return undefined
      const stored: string | undefined = node.children.has(name) ? name : folds(at) ? [...node.children.keys()].find(each => foldName(each) === foldName(name)) : undefined
      node = stored === undefined ? undefined : node.children.get(stored)
      at = `${at}/${stored}`
    }
    return node
  }
  return {
    entry(path): Entry | undefined {
      const node = find(path)
      if (node === undefined) return undefined
      const inode = inodes.get(node) ?? String(inodes.size + 1)
      inodes.set(node, inode)
      return { kind: node.kind, device: '1', inode, ...('target' in node && node.target !== undefined ? { target: node.target } : {}) }
    },
    children(path) {
      const node = find(path)
      return node?.kind === 'directory' ? [...node.children.keys()] : undefined
    },
    text(path) {
      const node = find(path)
      return node?.kind === 'file' ? node.text : undefined
    },
    bytes(path) {
      const node = find(path)
      return node?.kind === 'file' ? new TextEncoder().encode(node.text) : undefined
    },
  }
}

function withFirmlinks(files: FileSystemView): FileSystemView {
  const near = (path: string): string => {
    const rest = path.slice(DATA_VOLUME.length)
    return path.startsWith(`${DATA_VOLUME}/`) && FIRMLINKS.some(folder => rest === folder || rest.startsWith(`${folder}/`)) ? rest : path
  }
  return { entry: path => files.entry(near(path)), children: path => files.children(near(path)), text: path => files.text(near(path)), bytes: path => files.bytes(near(path)) }
}
