// What ran out on this machine, where that is why a sandbox or a command could not begin: told as such, not as a failed step alone.
import { SandboxError } from '../errors.js'

/** By errno: options of the error that names the step. */
export const EXHAUSTED: Readonly<Record<string, { readonly detail: string; readonly remedy: string }>> = {
  EMFILE: { detail: 'no more files may be opened', remedy: 'Run fewer commands at once, or raise the limit of open files (ulimit -n) before the sandbox is made.' },
  ENFILE: { detail: 'the system may open no more files', remedy: 'Run fewer commands at once, or raise fs.file-max.' },
  EAGAIN: { detail: 'no more processes may be started', remedy: 'Run fewer commands at once, or raise the limit of processes (ulimit -u).' },
  ENOMEM: { detail: 'there is not enough memory', remedy: 'Run fewer commands at once.' },
}

/** The error to throw where reading this machine failed for want of something; any other error as it is. */
export function orExhausted(error: unknown): unknown {
  if (!(error instanceof Error) || error instanceof SandboxError) return error
  const { code = '', path } = error as NodeJS.ErrnoException
  const words = EXHAUSTED[code]
  return words === undefined ? error : new SandboxError('set_up_failed', { step: 'read_host', errno: code, ...(path === undefined ? {} : { path }) }, { ...words, cause: error })
}
