// A folder for a sandbox to work in, and a state directory of its own; both outside /tmp, which policies treat by rules of its own.
import { accessSync, constants, mkdirSync, mkdtempSync, readdirSync, realpathSync, rmSync } from 'node:fs'
import { homedir } from 'node:os'
import { join, relative } from 'node:path'
import { onTestFinished } from 'vitest'

export interface Workspace {
  readonly path: string
  /** The journal's files: what launchers have written down of placeholders. */
  journal(): string[]
  /** Everything in the workspace, by relative path, sorted. */
  entries(): string[]
  /** Its folder outside of the workspace, for what the test itself writes. */
  readonly outside: string
}

/** Where all of them exist, nothing has to stand on the host while commands run: the launcher inside bwrap does not end with the last of them. */
export const PROTECTED_NAMES = ['.agents', '.codex', '.git']

/** Removed when the test ends, after everything that the test starts later has been closed. Sandboxes made meanwhile keep their state and caches here. */
export const makeWorkspace = (...folders: readonly string[]): Workspace => makeWorkspaceIn('/var/tmp', folders)

/**
 * The same in a folder in which other processes make nothing, for tests of what the launcher keeps as long as the host changes none of the folders on
 * the way to a denied path: in /var/tmp one that is made by any process of the machine is such a change.
 */
export const makeQuietWorkspace = (...folders: readonly string[]): Workspace => makeWorkspaceIn(['/srv', '/opt', homedir()].find(isWritable) ?? '/var/tmp', folders)

function isWritable(folder: string): boolean {
  try {
    accessSync(folder, constants.W_OK)
    return true
  } catch {
    return false
  }
}

function makeWorkspaceIn(place: string, folders: readonly string[]): Workspace {
  const outside = realpathSync(mkdtempSync(join(place, 'native-test-')))
  const path = join(outside, 'workspace')
  const state = join(outside, 'state')
  for (const folder of [path, state, ...folders.map(name => join(path, name))]) mkdirSync(folder, { recursive: true })
  const own: Readonly<Record<string, string>> = { XDG_STATE_HOME: state, XDG_CACHE_HOME: join(outside, 'cache') }
  const before = Object.keys(own).map(name => [name, process.env[name]] as const)
  Object.assign(process.env, own)
  onTestFinished(() => {
    for (const [name, value] of before) {
      if (value === undefined) delete process.env[name]
      else process.env[name] = value
    }
    rmSync(outside, { recursive: true, force: true })
  })
  return {
    path,
    outside,
    journal: () => readdirSync(join(state, 'codex-sandbox')).filter(name => name.startsWith('placeholder-')),
    // With the types, since the names alone follow links to folders.
    entries: () => readdirSync(path, { recursive: true, withFileTypes: true }).map(entry => relative(path, join(entry.parentPath, entry.name))).sort(),
  }
}
