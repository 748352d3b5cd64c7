// A command's own cwd: canonical, and tied to the directory that it names, so that the launcher enters no other.
import { lstatSync, realpathSync } from 'node:fs'
import { resolve } from 'node:path'
import { SandboxError } from '../errors.js'
import type { CommandPlan } from '../platform/launch-plan.js'

type WorkingDirectory = CommandPlan['cwd']

/**
 * @param asked   absolute, or relative to the policy's cwd, which is the default
 * @throws SandboxError `path_invalid`, `path_not_found`, `path_not_directory`, `field` = the given one
 */
export function findWorkingDirectory(policyCwd: WorkingDirectory, asked: string | undefined, field = 'cwd'): WorkingDirectory {
  if (asked === undefined) return policyCwd
  if (asked === '' || asked.includes('\0')) throw new SandboxError('path_invalid', { field, value: asked })
  const path = canonical(resolve(policyCwd.path, asked), asked, field)
  const { dev, ino } = lstatSync(path, { bigint: true })
  return { path, identity: { device: String(dev), inode: String(ino) } }
}

function canonical(path: string, asked: string, field: string): string {
  try {
    const real = realpathSync.native(path)
    if (!lstatSync(real).isDirectory()) throw new SandboxError('path_not_directory', { field, value: asked })
    return real
  } catch (error) {
    if (error instanceof SandboxError) throw error
    throw cwdError(asked, (error as NodeJS.ErrnoException).code, error).renamed(field)
  }
}

/** The launcher reports the same failures by errno: the directory vanished, or the sandbox may not enter it. */
export function cwdError(cwd: string, errno: string | undefined, cause?: unknown): SandboxError {
  switch (errno) {
    case 'ENOTDIR': return new SandboxError('path_not_directory', { field: 'cwd', value: cwd }, { cause })
    case 'ELOOP':   return new SandboxError('path_symlink_loop', { field: 'cwd', value: cwd }, { cause })
    case 'EACCES':  return new SandboxError('path_not_found', { field: 'cwd', value: cwd }, { cause, detail: 'or it may not be entered', remedy: 'Name a folder that commands may read.' })
    case 'ESTALE':  return new SandboxError('path_not_found', { field: 'cwd', value: cwd }, { cause, detail: 'another directory has taken its place', remedy: 'Create a new sandbox, or name another cwd.' })
    default:        return new SandboxError('path_not_found', { field: 'cwd', value: cwd }, { cause })
  }
}
