// A host written down as JSON: a machine that this one is not, for printing what would be enforced there.
import { SandboxError } from '../errors.js'
import type { Entry, EntryKind, FileSystemView, HostSnapshot, PlatformName } from '../policy/host-snapshot.js'
import { foldName } from '../policy/letter-case.js'

/**
 * The form of such a file. Paths are absolute and in the syntax of `platform`; folders above a listed path are there too.
 * docs/macos.md describes it with an example.
 */
export interface SnapshotFile {
  readonly platform: PlatformName
  readonly cwd: string
  readonly home?: string
  readonly tmpdir?: string
  readonly codexHome?: string
  readonly uid?: number
  readonly gid?: number
  /** Folders in which letter case and Unicode form make no other name. Default on macOS: `["/"]`. */
  readonly ignoresCase?: readonly string[]
  /** A path that ends in `/` is a folder, its value null. Else a text is a file's content, `{"link": "target"}` a symlink, `{"kind": "socket"}` something else. */
  readonly files: Readonly<Record<string, string | null | { readonly link: string } | { readonly kind: 'socket' | 'fifo' | 'device' }>>
}

type Node = { readonly kind: 'directory'; readonly children: Map<string, Node> } | { readonly kind: Exclude<EntryKind, 'directory'>; readonly text?: string; readonly target?: string }
type Folder = Extract<Node, { kind: 'directory' }>

const KINDS: readonly string[] = ['socket', 'fifo', 'device']
const KEYS: readonly string[] = ['platform', 'cwd', 'home', 'tmpdir', 'codexHome', 'uid', 'gid', 'ignoresCase', 'files']

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
  for (const [path, entry] of Object.entries(file.files)) place(field, root, path, entry)
  const ignoresCase = file.ignoresCase ?? (file.platform === 'macos' ? ['/'] : [])
  const files = viewOf(root, ignoresCase)
  return {
    platform: file.platform, cwd: file.cwd, home: file.home, tmpdir: file.tmpdir,
    codexHome: file.codexHome ?? (file.home === undefined ? undefined : `${file.home}/.codex`),
    uid: file.uid ?? 501, gid: file.gid ?? 20, selfPaths: [],
    files: file.platform === 'macos' ? withFirmlinks(files) : files,
  }
}

function check(field: string, value: unknown): SnapshotFile {
  const refuse = (key: string, found: unknown, detail: string) => new SandboxError('option_invalid', { field: `${field} ${key}`, value: found }, { detail, remedy: 'See docs/macos.md for the form of a host.' })
  if (!isRecord(value)) throw refuse('host', value, 'it must be an object')
  const unknown = Object.keys(value).find(key => !KEYS.includes(key))
  if (unknown !== undefined) throw refuse(unknown, value[unknown], `the keys are ${KEYS.join(', ')}`)
  if (value['platform'] !== 'macos') throw refuse('platform', value['platform'], 'only hosts of macos are read from files')
  for (const key of ['cwd', 'home', 'tmpdir', 'codexHome']) {
    const path = value[key]
    if (path === undefined ? key === 'cwd' : typeof path !== 'string' || !path.startsWith('/')) throw refuse(key, path, 'it must be an absolute path')
  }
  for (const key of ['uid', 'gid']) if (value[key] !== undefined && !Number.isSafeInteger(value[key])) throw refuse(key, value[key], 'it must be a whole number')
  const folders = value['ignoresCase']
  if (folders !== undefined && !(Array.isArray(folders) && folders.every(each => typeof each === 'string' && each.startsWith('/')))) throw refuse('ignoresCase', folders, 'it must be a list of absolute paths')
  if (!isRecord(value['files'])) throw refuse('files', value['files'], 'it must be an object of paths')
  for (const [path, entry] of Object.entries(value['files'])) {
    const problem = problemOf(path, entry)
    if (problem !== undefined) throw refuse('files', path, problem)
  }
  return value as unknown as SnapshotFile
}

function problemOf(path: string, entry: unknown): string | undefined {
  if (!path.startsWith('/')) return 'it is not an absolute path'
  if (path.includes('\0') || path.split('/').some(name => name === '.' || name === '..')) return 'it contains ".", ".." or NUL'
  if (path.endsWith('/')) return entry === null ? undefined : 'a folder (it ends in /) has the value null'
  if (typeof entry === 'string') return undefined
  if (isRecord(entry)) {
    const [key, ...others] = Object.keys(entry)
    if (others.length === 0 && key === 'link' && typeof entry['link'] === 'string' && entry['link'] !== '') return undefined
    if (others.length === 0 && key === 'kind' && KINDS.includes(String(entry['kind']))) return undefined
  }
  return `its value must be a text (a file), {"link": "target"} or {"kind": "${KINDS.join('" | "')}"}; a folder ends in /`
}

function place(field: string, root: Folder, path: string, entry: SnapshotFile['files'][string]): void {
  const names = path.split('/').filter(name => name !== '')
  const last = path.endsWith('/') ? undefined : names.pop()
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
function viewOf(root: Folder, ignoresCase: readonly string[]): FileSystemView {
  const inodes = new Map<Node, string>()
  const folds = (at: string) => ignoresCase.some(folder => folder === '/' || at === folder || at.startsWith(`${folder}/`))
  const find = (path: string): Node | undefined => {
    let node: Node | undefined = root
    let at = ''
    for (const name of path.split('/').filter(Boolean)) {
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
  }
}

function withFirmlinks(files: FileSystemView): FileSystemView {
  const near = (path: string): string => {
    const rest = path.slice(DATA_VOLUME.length)
    return path.startsWith(`${DATA_VOLUME}/`) && FIRMLINKS.some(folder => rest === folder || rest.startsWith(`${folder}/`)) ? rest : path
  }
  return { entry: path => files.entry(near(path)), children: path => files.children(near(path)), text: path => files.text(near(path)) }
}

const isRecord = (value: unknown): value is Record<string, unknown> => typeof value === 'object' && value !== null && !Array.isArray(value)
