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

/** @param tag  stands in the profile's messages, so that the system's log tells whose a denial is */
export function startWords({ argv, profile }: Pick<MacosSeatbeltPlan, 'argv' | 'profile'>, command: Pick<CommandPlan, 'argv' | 'limits' | 'terminal'>, tag?: string): string[] {
  const text = profile.join('\n')
  const own = argv.map(word => word === PROFILE_WORD ? (tag === undefined ? text : text.replaceAll(TAG_WORD, tag)) : word)
  return [...own, ...withLimits(command, withTerminal(command))]
}

const withTerminal = ({ argv, terminal }: Pick<CommandPlan, 'argv' | 'terminal'>): readonly string[] =>
  terminal === undefined ? argv : [SCRIPT, '-q', '/dev/null', SHELL, '-c', SIZE_AND_RUN, 'sh', String(terminal.rows), String(terminal.cols), ...argv]

/** Through a shell only where there is something to set: it is one program more to start. */
function withLimits({ limits }: Pick<CommandPlan, 'limits'>, words: readonly string[]): readonly string[] {
  const line = ulimitLine(limits)
  return line === undefined ? words : [SHELL, '-c', `${line} && exec "$@"`, 'sh', ...words]
}
