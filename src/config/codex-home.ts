// The folder of the user's own configuration, rules and tokens: CODEX_HOME, else `~/.codex`.
import { statSync } from 'node:fs'
import path from 'node:path'
import { SandboxError } from '../errors.js'
import { userHome } from '../host/snapshot.js'

type Variables = Readonly<Record<string, string | undefined>>

/**
 * For who reads what lies there. The default need not exist. A folder that is named has to, as in the reference: what it should say, what it
 * forbids among it, would hold for nothing, and nobody would be told.
 *
 * @param env  default: this process's
 * @throws SandboxError `path_not_found`, `path_not_directory`: what CODEX_HOME names; `option_missing` for a user who has neither it nor a home
 */
export function codexHomeOf(env: Variables = process.env): string {
  const folder = codexHomePath(env)
  if (!isNamed(env['CODEX_HOME'])) return folder
  const code = problemOf(folder)
  if (code !== undefined) throw new SandboxError(code, { field: 'CODEX_HOME', value: folder }, { remedy: 'Create the folder, correct the variable, or unset it.' })
  return folder
}

/** What else keeps it from being read is told by who reads there. */
function problemOf(folder: string): 'path_not_found' | 'path_not_directory' | undefined {
  try {
    return statSync(folder).isDirectory() ? undefined : 'path_not_directory'
  } catch (error) {
    return MISSING.includes((error as NodeJS.ErrnoException).code ?? '') ? 'path_not_found' : undefined
  }
}
const MISSING: readonly string[] = ['ENOENT', 'ENOTDIR']

/** Where it is, whether it is there or not. @throws SandboxError `option_missing` */
export function codexHomePath(env: Variables): string {
  const named = env['CODEX_HOME']
  if (isNamed(named)) return path.resolve(named)
  const home = userHome(env)
  if (home === undefined) throw new SandboxError('option_missing', { field: 'CODEX_HOME', value: undefined }, { detail: 'this user has no home folder in which the configuration could be', remedy: 'Set CODEX_HOME or HOME to an absolute path.' })
  return path.join(home, '.codex')
}

const isNamed = (value: string | undefined): value is string => value !== undefined && value !== ''
