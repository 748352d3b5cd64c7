// What it means that a command did not start: a program that cannot be run is the command's failure, told as a shell does; everything else
// is the sandbox's.
import { existsSync } from 'node:fs'
import { resolve as resolvePath } from 'node:path'
import { SandboxError } from '../errors.js'
import type { StartFailure } from '../platform/backend.js'
import type { CommandPlan } from '../platform/launch-plan.js'
import { EXHAUSTED } from '../platform/exhausted.js'
import { EXIT_CODE } from './result.js'
import { cwdError } from './working-directory.js'

/** The result's exit code and the line on stderr, or the error with which the call rejects. */
export function startOutcome({ step, errno, path }: StartFailure, command: CommandPlan): SandboxError | { exitCode: number; line: string } {
  const program = command.argv[0] as string
  switch (step) {
    case 'exec':           return errno === 'E2BIG' ? new SandboxError('arguments_too_large', { field: 'argv', value: program }) : programOutcome(program, errno, command.cwd.path)
    case 'enter_cwd':      return cwdError(command.cwd.path, errno)
    case 'recheck':        return new SandboxError('set_up_failed', { step, errno, ...(path === undefined ? {} : { path }) }, { detail: 'it is no longer what it was when the sandbox was made', remedy: 'Create a new sandbox.' })
    case 'launcher_lost':  return new SandboxError('launcher_lost', { step: 'launcher', errno })
    case 'sandbox_closed': return new SandboxError('sandbox_closed', { field: 'sandbox', value: undefined })
    default:               return new SandboxError('set_up_failed', { step, errno, ...(path === undefined ? {} : { path }) }, EXHAUSTED[errno])
  }
}

const EXEC_WORDS: Readonly<Record<string, string>> = {
  EACCES: 'Permission denied', EPERM: 'Operation not permitted', ENOEXEC: 'not an executable format', ELOOP: 'too many symbolic links',
  ETXTBSY: 'is being written', ENAMETOOLONG: 'its name is too long', EISDIR: 'is a directory',
}

function programOutcome(program: string, errno: string, cwd: string): { exitCode: number; line: string } {
  const missing = errno === 'ENOENT' || errno === 'ENOTDIR'
  const words = !missing ? EXEC_WORDS[errno] ?? errno
    : program.includes('/') && existsSync(resolvePath(cwd, program)) ? 'it is there, but the interpreter or loader that it names was not found'
    : 'not found'
  return { exitCode: missing ? EXIT_CODE.notFound : EXIT_CODE.notExecutable, line: `codex-sandbox: ${printableName(program)}: ${words}\n` }
}

/** A name cannot forge a line. */
const printableName = (name: string): string => /[\p{Cc}]/u.test(name) || name === '' ? JSON.stringify(name) : name
