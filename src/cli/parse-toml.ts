// TOML that an option names. Loaded only when one does.
import { parse, TomlError } from 'smol-toml'
import { SandboxError } from '../errors.js'

/** @throws SandboxError `option_invalid` with line and column */
export function parseToml(text: string, field: string, value: string): unknown {
  try {
    return parse(text)
  } catch (error) {
    if (!(error instanceof TomlError)) throw error
    throw new SandboxError('option_invalid', { field, value }, { detail: `line ${error.line}, column ${error.column}: ${error.message.split('\n')[0]}`, cause: error })
  }
}
