// Folders of this program's own: for their user alone, and for him whatever the umask is.
import { chmodSync, lstatSync, mkdirSync } from 'node:fs'
import { dirname } from 'node:path'

const MODE = 0o700

/**
 * Makes `path` and the folders above it that are missing, each with mode 0700. What is there stays as it is, of whatever kind.
 * A umask may take the owner's own rights away (`umask 177`, before a key is written): nothing could be made in such a folder.
 */
export function makeOwnFolder(path: string): void {
  try {
    return makeFolder(path)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT' || dirname(path) === path) throw error
  }
  makeOwnFolder(dirname(path))
  makeFolder(path)
}

function makeFolder(path: string): void {
  // Mostly it is: an exception costs more than a look.
  if (lstatSync(path, { throwIfNoEntry: false }) !== undefined) return
  try {
    mkdirSync(path, { mode: MODE })
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return
    throw error
  }
  chmodSync(path, MODE)
}
