// Denials as text: a few lines for a person at a terminal, a short paragraph for a model.
import type { Denial } from './denial.js'

const MOST_LINES = 5
const MOST_CHARACTERS = 500
const LONGEST_LINE = 300

/**
 * @param options.for  `human`: at most five lines, each with the flags that would allow it. `model`: at most 500 characters.
 * @returns            without a newline at the end; empty where nothing was denied
 */
export function formatDenials(result: { readonly denials: readonly Denial[] }, options: { readonly for: 'human' | 'model' }): string {
  const { denials } = result
  if (denials.length === 0) return ''
  return options.for === 'human' ? forHuman(denials) : forModel(denials)
}

function forHuman(denials: readonly Denial[]): string {
  const shown = denials.length > MOST_LINES ? denials.slice(0, MOST_LINES - 1) : denials
  const lines = shown.map(({ message, remedy }) => cut(remedy.flags.length === 0 ? message : `${message} (${remedy.flags.map(shellWord).join(' ')})`, LONGEST_LINE))
  return [...lines, ...moreOf(denials.length - shown.length)].join('\n')
}

function forModel(denials: readonly Denial[]): string {
  const lines = ['The sandbox denied:']
  let shown = 0
  for (const { message } of denials) {
    const line = `- ${cut(message, LONGEST_LINE)}`
    const rest = moreOf(denials.length - shown - 1)
    if ([...lines, line, ...rest].join('\n').length > MOST_CHARACTERS) break
    lines.push(line)
    shown++
  }
  return [...lines, ...moreOf(denials.length - shown)].join('\n')
}

const moreOf = (count: number): string[] => count === 0 ? [] : [`… and ${count} more`]

const cut = (text: string, length: number): string => text.length > length ? `${text.slice(0, length - 1)}…` : text

const shellWord = (word: string): string => /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll('\'', '\'\\\'\'')}'`
