// Values of `protect`, and of --protect.
import { SandboxError } from '../errors.js'
import { hasGlobSyntax } from './glob.js'
import { looksAbsolute } from './path-syntax.js'

/**
 * A name or path relative to each writable root, as it was written.
 *
 * @param field  where it stands, for errors
 * @throws SandboxError `policy_invalid_value`, `glob_invalid`: it could name nothing below a root, and would protect nothing
 */
export function protectedName(name: string, field: string): string {
  const refuse = (detail: string) => new SandboxError('policy_invalid_value', { field, value: name }, { detail, remedy: 'Give a name or path relative to each writable root, such as ".vscode".' })
  if (looksAbsolute(name) || name.startsWith('~')) throw refuse('it is not relative to a writable root')
  if (/[\u0000-\u001f\u007f]/.test(name)) throw refuse('it contains a control character')
  const names = name.split(/[\\/]/).filter(part => part !== '' && part !== '.')
  if (names.length === 0 || names.includes('..')) throw refuse('it does not lie below a writable root')
  if (hasGlobSyntax('windows', name)) throw new SandboxError('glob_invalid', { field, value: name }, { detail: 'globs are not known in protect' })
  return name
}
