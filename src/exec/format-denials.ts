// Denials as text: a few lines for a person at a terminal, a short paragraph for a model.
import { TRIAL_NAME } from '../platform/linux/outer/trials.js'
import { type Denial, keyOf } from './denial.js'

const MOST_LINES = 5
const MOST_CHARACTERS = 500
const LONGEST_LINE = 300
const MOST_OF_FLAGS = 1000

/**
 * @param options.for  `human`: at most five lines, each with the flags that would allow it. `model`: at most 500 characters.
 * @returns            without a newline at the end; empty where nothing was denied
 */
export function formatDenials(result: { readonly denials: readonly Denial[] }, options: { readonly for: 'human' | 'model' }): string {
  const { denials } = result
  if (denials.length === 0) return ''
  return options.for === 'human' ? forHuman(trialsLast(denials)) : forModel(trialsLast(denials))
}

const TRIED = 'a sandbox inside this one tried whether this one refuses it'

/** What a sandbox inside this one tries at its start is dozens of accesses that nobody wants: one line, behind the others. Told by the process that made the names of such trials. */
function trialsLast(denials: readonly Denial[]): readonly Denial[] {
  const triers = new Set(denials.flatMap(({ path, pid }) => pid !== undefined && path?.includes(`/${TRIAL_NAME}`) === true ? [pid] : []))
  if (triers.size === 0) return denials
  const isTrial = ({ pid }: Denial): boolean => pid !== undefined && triers.has(pid)
  return [...denials.filter(denial => !isTrial(denial)), ...denials.filter(isTrial).map(asTrial)]
}

const asTrial = (denial: Denial): Denial =>
  ({ ...denial, message: `${denial.operation} of ${JSON.stringify(denial.path ?? denial.host ?? denial.call ?? '')} denied: ${TRIED}.`, remedy: { text: TRIED, flags: [], changes: [] } })

function forHuman(denials: readonly Denial[]): string {
  const groups = groupByRemedy(denials)
  const shown = groups.length > MOST_LINES ? groups.slice(0, MOST_LINES - 1) : groups
  const lines = shown.map(([{ message, remedy }, ...alike]) => `${cut(message, LONGEST_LINE)}${flagsOf(remedy)}${alikeOf(alike)}`)
  return [...lines, ...moreOf(countIn(groups) - countIn(shown))].join('\n')
}

function forModel(denials: readonly Denial[]): string {
  const groups = groupByRemedy(denials)
  const lines = ['The sandbox denied:']
  let left = denials.length
  for (const [first, ...alike] of groups) {
    const line = `- ${cut(first.message, LONGEST_LINE)}${alikeOf(alike)}`
    const rest = moreOf(left - 1 - alike.length)
    if ([...lines, line, ...rest].join('\n').length > MOST_CHARACTERS) break
    lines.push(line)
    left -= 1 + alike.length
  }
  return [...lines, ...moreOf(left)].join('\n')
}

/** Of what the same change would allow, and of system calls with the same advice, the first stands for all. */
export function groupByRemedy(denials: readonly Denial[]): (readonly [Denial, ...Denial[]])[] {
  const groups = new Map<string, [Denial, ...Denial[]]>()
  for (const denial of denials) {
    const { flags, changes = [], text } = denial.remedy
    const key = flags.length > 0 || changes.length > 0 ? JSON.stringify([flags, changes]) : denial.kind === 'system-call' || text === TRIED ? JSON.stringify([text]) : keyOf(denial)
    const group = groups.get(key)
    if (group === undefined) groups.set(key, [denial])
    else group.push(denial)
  }
  return [...groups.values()]
}

/** To be copied, so whole or not at all. */
function flagsOf({ flags }: Denial['remedy']): string {
  const text = flags.map(shellWord).join(' ')
  return text === '' || text.length > MOST_OF_FLAGS ? '' : ` (${text})`
}

const countIn = (groups: readonly (readonly Denial[])[]): number => groups.reduce((sum, { length }) => sum + length, 0)
const alikeOf = (alike: readonly Denial[]): string => alike.length === 0 ? '' : ` (the same for ${alike.length} more)`

const moreOf = (count: number): string[] => count === 0 ? [] : [`… and ${count} more`]

/** A pair of surrogates goes whole. */
const cut = (text: string, length: number): string => text.length > length ? `${text.slice(0, length - 1).replace(/[\ud800-\udbff]$/, '')}…` : text

const shellWord = (word: string): string => /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll('\'', '\'\\\'\'')}'`
