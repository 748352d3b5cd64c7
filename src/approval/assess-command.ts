// `assess` as the library offers it: with its parser of shell scripts only where it is asked for.
import type { Assessment, AssessOptions } from './assess.js'

/**
 * Whether a command would run unasked, be asked about or be refused, by its words. Runs nothing and asks nobody.
 *
 * @param command  the argument vector. `bash -lc SCRIPT` is judged by what the script runs
 * @throws SandboxError `argument_invalid`, `option_invalid`
 * @see docs/approvals.md
 */
export async function assess(command: readonly string[], options: AssessOptions): Promise<Assessment> {
  return (await import('./assess.js')).assess(command, options)
}
