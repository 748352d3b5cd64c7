// What stands on stderr after a command: why it was ended, what was denied and how to allow it.
import type { Denial } from '../exec/denial.js'
import { formatDenials, groupByRemedy } from '../exec/format-denials.js'
import type { ExecResult } from '../exec/result.js'
import { TREE_ENDS } from '../platform/launch-plan.js'
import { denialInFlags } from './in-flags.js'
import type { Options } from './options.js'

const KINDS: Record<Denial['kind'], string> = { file: 'Files', network: 'Network', 'unix-socket': 'Unix sockets', 'system-call': 'System calls' }

/** Lines without newlines. None after a command that ended well and was not asked about. */
export function reportLines(result: ExecResult, options: Options): string[] {
  return [
    ...endLines(result, options).map(line => `codex-sandbox: ${line}`),
    ...(options.logDenials === true ? allDenials(result) : result.exitCode === 0 ? [] : shortDenials(result)).map(line => denialInFlags(line, options)),
    ...(options.verbose === true ? enforcementLines(result).map(line => `codex-sandbox: ${line}`) : []),
  ]
}

/** Why it ended, where the command itself could not have said it. */
function endLines({ timedOut, timedOutBy, limit, changedPath, gitOperations = [], gitLinks = [] }: ExecResult, { timeout, idleTimeout, memory, pids }: Pick<Options, 'timeout' | 'idleTimeout' | 'memory' | 'pids'>): string[] {
  return [
    ...(timedOutBy === 'idleTimeoutMs' ? [`ended: it wrote nothing for ${idleTimeout}`] : timedOut ? [`timed out${timeout === undefined ? '' : ` after ${timeout}`}`] : []),
    ...(limit === undefined ? [] : [`ended by its limit ${limit}${limit === 'memoryBytes' && memory !== undefined ? ` (--memory ${memory})` : limit === 'pids' && pids !== undefined ? ` (--pids ${pids})` : ''}`]),
    ...(changedPath === undefined ? [] : [`ended, because ${JSON.stringify(changedPath)} was changed from outside while it ran`]),
    ...gitOperations.map(path => `the git operation of ${JSON.stringify(path)} did not end, and its state is gone with the sandbox: no later command can continue it. Continue in the same command, or go back with git switch -f BRANCH`),
    ...gitLinks.map(gitLinkLine),
  ]
}

/** Git takes no submodule of such a name: it is told in the place of what could not be looked at. */
const OF_GIT = /\/\.git(?:\/|$)/

const gitLinkLine = (path: string): string => OF_GIT.test(path)
  ? `not all that git has at ${JSON.stringify(path)} can be looked at, and it is not what it was before: it may name repositories that git status would enter, to run what their config says. Look first with git ls-files --stage, which enters none`
  : `the index of git names ${JSON.stringify(path)} as a repository of its own, as it did not before: git status would enter it and run what its config says. Look at it first, or take it out with git update-index --force-remove`

const shortDenials = (result: ExecResult): string[] => formatDenials(result, { for: 'human' }).split('\n').filter(line => line !== '').map(line => `codex-sandbox: ${line}`)

/** The heading is the reference's. Nothing where nothing was denied. */
function allDenials({ denials, denialsLost = 0 }: ExecResult): string[] {
  if (denials.length === 0 && denialsLost === 0) return []
  const kinds = (Object.keys(KINDS) as Denial['kind'][]).map(kind => [kind, denials.filter(denial => denial.kind === kind)] as const).filter(([, found]) => found.length > 0)
  return [
    '', '=== Sandbox denials ===',
    ...kinds.flatMap(([kind, found]) => [`${KINDS[kind]}:`, ...groupByRemedy(found).flatMap(groupLines)]),
    ...(denialsLost === 0 ? [] : [`${denialsLost} more accesses were too many to be looked at.`]),
  ]
}

/** What the same change would allow stands together, with the change once. */
function groupLines(group: readonly [Denial, ...Denial[]]): string[] {
  const [{ remedy }] = group
  return [...group.map(denial => `  ${whoOf(denial)}${denial.message}`), ...(remedy.flags.length === 0 ? [] : [`    ${remedy.flags.join(' ')}`])]
}

/** Who tried; nobody is known of what only stderr told. */
const whoOf = ({ program, pid, certainty }: Denial): string =>
  program === undefined ? certainty === 'reported' ? '(from stderr) ' : '' : `(${JSON.stringify(program).slice(1, -1)}${pid === undefined ? '' : ` ${pid}`}) `

function enforcementLines({ enforcement, environment, ended }: ExecResult): string[] {
  const { backend, treeEnd, layers, degraded, notes } = enforcement
  return [
    `enforced by ${backend}${layers.length === 0 ? '' : `: ${layers.join(', ')}`}`,
    ...(treeEnd === undefined ? [] : [`what a command leaves behind ends by ${TREE_ENDS[treeEnd]}`]),
    ...degraded.map(name => `degraded: ${name}`),
    ...notes,
    ...(environment.dropped.length === 0 ? [] : [`variables not passed on: ${environment.dropped.join(' ')}`]),
    ...(ended.length === 0 ? [] : [`ended with it: ${ended.map(({ pid, name }) => `${JSON.stringify(name)} (${pid})`).join(', ')}; to let it go on: --background keep`]),
  ]
}
