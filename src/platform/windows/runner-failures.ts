// What a failed step of the runner means: in the words that all back ends have for a program that does not start, and in sentences where
// Windows's own number would say little. Pure.
import { SandboxError } from '../../errors.js'
import type { StartFailure } from '../backend.js'
import type { RunnerFailure } from './runner-codec.js'
import { LOGON_FAILURES } from './users.js'

/** One row an error of Windows. Source: winerror.h. */
const ERRNOS: Readonly<Record<number, string>> = {
  2: 'ENOENT', 3: 'ENOENT', 4: 'EMFILE', 5: 'EACCES', 8: 'ENOMEM', 11: 'ENOEXEC', 14: 'ENOMEM', 32: 'ETXTBSY', 87: 'EINVAL', 109: 'EPIPE', 123: 'ENOENT', 129: 'ENOEXEC', 161: 'ENOENT',
  192: 'ENOEXEC', 193: 'ENOEXEC', 206: 'E2BIG', 216: 'ENOEXEC', 225: 'EPERM', 577: 'EPERM', 740: 'EPERM', 1260: 'EPERM', 1450: 'ENOMEM', 1455: 'ENOMEM', 1460: 'ETIMEDOUT', 1816: 'EAGAIN', 4551: 'EPERM',
}

/** `ENOENT` for 2; an error without such a name keeps its number: `WIN32_1326`. A step that did not read back is `EMISMATCH`. */
export const errnoOf = (code: number): string => code === 0 ? 'EMISMATCH' : ERRNOS[code] ?? `WIN32_${code}`

/** The working directory is none: CreateProcess says so by an error of its own. */
const ERROR_DIRECTORY = 267

/** Of a command. */
export function startFailureOf({ step, code, detail }: RunnerFailure): StartFailure {
  if (step === 'exec' && code === ERROR_DIRECTORY) return { step: 'enter_cwd', errno: 'ENOTDIR', path: undefined }
  return { step, errno: errnoOf(code), path: detail === '' ? undefined : detail }
}

/** Steps that have something to say beside their own name. */
const STEPS: Readonly<Record<string, { readonly detail: string; readonly remedy: string }>> = {
  pipe_connect: { detail: 'the program that runs commands did not start as the sandbox\'s account', remedy: 'Look whether that account may read and execute it, and whether AppLocker or another policy of the machine keeps it from it.' },
  pipe_client: { detail: 'another process than the one that was started opened its pipe', remedy: 'Nothing was sent to it. Look what runs as the sandbox\'s account.' },
}

/** Of the set-up of a sandbox. */
export function setUpError({ step, code, detail }: RunnerFailure): SandboxError {
  if (step === 'logon') {
    const known = LOGON_FAILURES[code]
    return new SandboxError('set_up_failed', { step, errno: known?.name ?? errnoOf(code) }, known === undefined ? { detail: `CreateProcessWithLogonW failed with ${code}` } : { detail: known.reason, remedy: known.remedy })
  }
  const known = STEPS[step]
  const words = [known?.detail, detail === '' ? undefined : detail].filter(word => word !== undefined).join(': ')
  return new SandboxError('set_up_failed', { step, errno: errnoOf(code) }, { ...(words === '' ? {} : { detail: words }), ...(known === undefined ? {} : { remedy: known.remedy }) })
}
