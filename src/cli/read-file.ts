// Files that an option names: read and parsed, or an error that names the option.
import { readFileSync } from 'node:fs'
import { SandboxError } from '../errors.js'

/**
 * @param given    as it was written
 * @param missing  the remedy where there is no such file
 * @throws SandboxError `path_not_found`, `option_invalid`, `field` = the option
 */
export function readText(option: string, file: string, given: string, missing: string): string {
  try {
    return readFileSync(file, 'utf8')
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (code === 'ENOENT' || code === 'ENOTDIR') throw new SandboxError('path_not_found', { field: option, value: given }, { remedy: missing })
    if (code === 'EISDIR' || code === 'EACCES') throw new SandboxError('option_invalid', { field: option, value: given }, { detail: `it cannot be read (${code})`, remedy: 'Name a file that you may read.' })
    throw error
  }
}

/** @throws SandboxError `option_invalid`, `field` = the option */
export function parseJson(option: string, text: string, given: string, remedy: string): unknown {
  try {
    return JSON.parse(text)
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error
    throw new SandboxError('option_invalid', { field: option, value: given }, { detail: `it is not JSON (${error.message})`, remedy, cause: error })
  }
}
