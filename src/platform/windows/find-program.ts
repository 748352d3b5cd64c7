// Which file a program's name means on Windows: PATH, PATHEXT and the rules of cmd.exe, but never the working directory. Pure.
// CreateProcess alone finds nothing but .exe files, so `npm` (npm.cmd) would be missing. Never run on Windows.
import { win32 } from 'node:path'

/** `program`: CreateProcess starts it. `batch`: cmd.exe carries it out. `other`: nothing here can start it without a program of its own. */
export type ProgramKind = 'program' | 'batch' | 'other'

export interface FoundProgram {
  readonly path: string
  readonly kind: ProgramKind
}

export interface ProgramSearch {
  /** The command's variables; their names mean the same in any letter case. */
  readonly env: Readonly<Record<string, string | undefined>>
  /** Absolute: where a name with a separator begins. */
  readonly cwd: string
  /** Whether there is a file of that name. */
  readonly exists: (path: string) => boolean
}

const DEFAULT_PATHEXT = '.COM;.EXE;.BAT;.CMD'

const KINDS: Readonly<Record<string, ProgramKind>> = { '.exe': 'program', '.com': 'program', '.bat': 'batch', '.cmd': 'batch' }

/**
 * The file that `name` means, or undefined.
 *
 * A name with a separator or a drive is taken from `cwd`; any other is looked for on PATH. What has one of PATHEXT's endings is tried as it
 * is first. The working directory is not searched, whatever PATH says: a workspace must not get to say what `git` is.
 */
export function findProgram(name: string, { env, cwd, exists }: ProgramSearch): FoundProgram | undefined {
  if (name === '' || name.includes('\0') || /[<>|?*"]/.test(name)) return undefined
  const endings = endingsOf(variable(env, 'PATHEXT'))
  const names = endings.some(ending => name.toLowerCase().endsWith(ending.toLowerCase())) ? [name, ...endings.map(ending => name + ending)] : endings.map(ending => name + ending)
  for (const folder of foldersOf(name, variable(env, 'PATH'), cwd)) {
    for (const each of names) {
      const path = win32.resolve(folder, each)
      if (exists(path)) return { path, kind: kindOf(path) }
    }
  }
  return undefined
}

/** By its ending, which is what Windows goes by as well. A trailing dot or blank does not count: the file system drops it. */
export const kindOf = (path: string): ProgramKind => KINDS[win32.extname(path.replace(/[. ]+$/, '')).toLowerCase()] ?? 'other'

const foldersOf = (name: string, path: string | undefined, cwd: string): string[] =>
  /[\\/]|^[A-Za-z]:/.test(name) ? [cwd] : (path ?? '').split(';').map(folder => folder.replace(/^"(.*)"$/, '$1')).filter(isFixed)

/** Absolute and on a drive or a share; `\folder` depends on the current drive, and what is relative on the working directory. */
const isFixed = (folder: string): boolean => /^(?:[A-Za-z]:[\\/]|\\\\[^\\/])/.test(folder)

function endingsOf(pathext: string | undefined): string[] {
  const endings = (pathext ?? '').split(';').map(ending => ending.trim()).filter(ending => /^\.[^\\/:]+$/.test(ending))
  return endings.length > 0 ? endings : DEFAULT_PATHEXT.split(';')
}

function variable(env: ProgramSearch['env'], name: string): string | undefined {
  const found = Object.keys(env).find(each => each.toUpperCase() === name)
  return found === undefined ? undefined : env[found]
}
