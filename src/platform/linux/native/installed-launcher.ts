// A launcher that root has installed, for hosts whose AppArmor lets only named programs use user namespaces (Ubuntu): where it lies,
// and whether it may be used. It is the package's own file in another place, or it is left alone.
import { createHash } from 'node:crypto'
import { lstatSync, readFileSync, type Stats } from 'node:fs'
import { packageVersion } from '../../../host/package-version.js'
import { unless } from '../../../host/unless.js'

/** Root's; a folder a version below it. */
export const INSTALL_FOLDER = '/usr/lib/codex-sandbox'
export const LAUNCHER_PROGRAM = 'codex-sandbox-launcher'
/** 1: unprivileged programs may make user namespaces, and do nothing in them, unless a profile names them. */
export const RESTRICTION = '/proc/sys/kernel/apparmor_restrict_unprivileged_userns'

const OTHERS_WRITE = 0o022
const SET_ID = 0o6000

/** Where things are looked for. What differs from the defaults is a test's. */
export interface InstallPlace {
  /** Stands before every path. Default: empty. */
  readonly root?: string
  /** Who has to own all of it. Default: root. */
  readonly owner?: number
  /** Who is going to use it. Default: this process's user. */
  readonly uid?: number
}

export interface ChosenLauncher {
  /** The package's own, or the installed one, which is the same file. */
  readonly path: string
  /** An installed one that is not used, and why: one line. */
  readonly refused?: string
}

export const installedLauncherPath = (version = packageVersion()): string => `${INSTALL_FOLDER}/${version}/${LAUNCHER_PROGRAM}`

/** Whether AppArmor keeps unprivileged programs out of user namespaces; undefined where the kernel has no such setting. */
export function restrictsNamespaces({ root = '' }: InstallPlace = {}): boolean | undefined {
  const text = unlessUnseen(() => readFileSync(`${root}${RESTRICTION}`, 'utf8'))
  return text === undefined ? undefined : text.trim() === '1'
}

/**
 * The launcher to start. The installed one only where it is needed, where nobody but root can have changed it, and where it is byte
 * by byte the package's own.
 *
 * @param own  the package's own launcher, which has been checked
 */
export function chooseLauncher(own: string, place: InstallPlace = {}): ChosenLauncher {
  const { root = '', uid = process.geteuid?.() ?? 0 } = place
  // Root makes its namespaces with rights of its own, which the restriction is not about.
  if (uid === 0 || restrictsNamespaces(place) !== true) return { path: own }
  const path = `${root}${installedLauncherPath()}`
  if (unlessUnseen(() => lstatSync(path)) === undefined) return { path: own }
  const reason = whyUntrusted(path, place) ?? whyAnother(path, own)
  return reason === undefined ? { path } : { path: own, refused: `the launcher installed at ${JSON.stringify(path)} is not used: ${reason}. To mend it, as root: codex-sandbox setup linux` }
}

/** Why somebody else than the owner may have put it there; undefined where nobody can. Follows no link. */
function whyUntrusted(path: string, { root = '', owner = 0 }: InstallPlace = {}): string | undefined {
  const names = path.slice(root.length).split('/').filter(name => name !== '')
  const places = [root === '' ? '/' : root, ...names.map((_, index) => `${root}/${names.slice(0, index + 1).join('/')}`)]
  for (const at of places) {
    const stats = unlessUnseen(() => lstatSync(at))
    const reason = stats === undefined ? 'is not there' : whyUnowned(stats, owner, at === path ? 'file' : 'folder')
    if (reason !== undefined) return `${JSON.stringify(at)} ${reason}`
  }
  return undefined
}

/** The same of one entry. */
export function whyUnowned(stats: Stats, owner: number, wanted: 'file' | 'folder'): string | undefined {
  if (wanted === 'folder' ? !stats.isDirectory() : !stats.isFile()) return `is no ${wanted}${stats.isSymbolicLink() ? ' but a symbolic link' : ''}`
  if (stats.uid !== owner) return `belongs to user ${stats.uid}, not to ${owner === 0 ? 'root' : `user ${owner}`}`
  if ((stats.mode & OTHERS_WRITE) !== 0) return `can be written by others (mode ${(stats.mode & 0o7777).toString(8)})`
  if (wanted === 'file' && (stats.mode & SET_ID) !== 0) return `is a set-id program (mode ${(stats.mode & 0o7777).toString(8)})`
  return undefined
}

function whyAnother(path: string, own: string): string | undefined {
  const [installed, packaged] = [path, own].map(file => unlessUnseen(() => sha256(readFileSync(file))))
  if (installed === undefined) return 'it cannot be read'
  return installed === packaged ? undefined : `it is not the one of this package (its SHA-256 is ${installed}, not ${packaged})`
}

const sha256 = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex')

const UNSEEN = new Set(['ENOENT', 'ENOTDIR', 'EACCES', 'EPERM', 'ELOOP', 'EISDIR'])

const unlessUnseen = <Answer>(ask: () => Answer): Answer | undefined => unless(UNSEEN, ask)
