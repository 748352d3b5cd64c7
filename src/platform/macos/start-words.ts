// The words that start a command inside the profile: sandbox-exec's own, then what sets limits and makes a terminal, then the
// command's. Pure.
import type { CommandPlan, MacosSeatbeltPlan } from '../launch-plan.js'
import { PROFILE_WORD, TAG_WORD } from './compile.js'
import { ulimitLine } from './limits.js'

/**
 * Makes a terminal inside, and is the command's parent there. The user's own terminal is never passed in: whoever has it may
 * type into it. Its size is set once, since script(1) has no word for a change.
 */
const SCRIPT = '/usr/bin/script'
const SHELL = '/bin/sh'
const SIZE_AND_RUN = 'stty rows "$1" columns "$2"; shift 2; exec "$@"'

/**
 * What the loader and the allocator of sandbox-exec would take from its environment before it confines anything: libraries to
 * load, a file to write messages to, which they even hand on open. SIP keeps them from it, where it is on.
 */
const READ_EARLY = /^(DYLD_|Malloc|LIBDISPATCH_)/
const ENV = '/usr/bin/env'

/** What sandbox-exec itself may have of a command's environment; `startWords` sets the rest inside. */
export const outerEnvironment = (env: readonly string[]): string[] => env.filter(variable => !READ_EARLY.test(variable))

/** @param tag  stands in the profile's messages, so that the system's log tells whose a denial is */
export function startWords(
  { argv, profile }: Pick<MacosSeatbeltPlan, 'argv' | 'profile'>, command: Pick<CommandPlan, 'argv' | 'limits' | 'terminal'> & Partial<Pick<CommandPlan, 'env'>>, tag?: string,
): string[] {
  const text = profile.join('\n')
  const own = argv.map(word => word === PROFILE_WORD ? (tag === undefined ? text : text.replaceAll(TAG_WORD, tag)) : word)
  return [...own, ...withLimits(command, withTerminal(command, withInnerEnvironment(command)))]
}

/** Right before the command, since programs of the system drop such variables for what they start. env(1) takes a program with `=` in its name for a variable. */
function withInnerEnvironment({ argv, env = [] }: Partial<Pick<CommandPlan, 'env'>> & Pick<CommandPlan, 'argv'>): readonly string[] {
  const inner = env.filter(variable => READ_EARLY.test(variable))
  if (inner.length === 0) return argv
  return [ENV, ...inner, ...(argv[0]?.includes('=') === true ? [SHELL, '-c', 'exec "$@"', 'sh'] : []), ...argv]
}

const withTerminal = ({ terminal }: Pick<CommandPlan, 'terminal'>, words: readonly string[]): readonly string[] =>
  terminal === undefined ? words : [SCRIPT, '-q', '/dev/null', SHELL, '-c', SIZE_AND_RUN, 'sh', String(terminal.rows), String(terminal.cols), ...words]

/** Through a shell only where there is something to set: it is one program more to start. */
function withLimits({ limits }: Pick<CommandPlan, 'limits'>, words: readonly string[]): readonly string[] {
  const line = ulimitLine(limits)
  return line === undefined ? words : [SHELL, '-c', `${line} && exec "$@"`, 'sh', ...words]
}
