// Commands that are asked about even where others run unasked: what they destroy does not come back. A table of the reference's. Pure.
import { programName } from './command-rules.js'
import type { ScriptCommand } from './shell-script.js'

/** The words after the program → whether that is dangerous. */
type Check = (words: readonly string[]) => boolean

/** `-f`, alone or in a cluster, `--force` or the beginning of it; not after `--`, where files come. */
const forces: Check = words => {
  const end = words.indexOf('--')
  return (end === -1 ? words : words.slice(0, end)).some(word => /^-[A-Za-z0-9]*f/.test(word) || (word.length > 2 && '--force'.startsWith(word)))
}

const DANGEROUS: Readonly<Record<string, Check>> = { rm: forces }

/** Windows: words ignore letter case there. */
const REMOVES: ReadonlySet<string> = new Set(['remove-item', 'rm', 'ri', 'del', 'erase', 'rd', 'rmdir'])
const isForce = (word: string): boolean => /^-fo?r?c?e?(?::|$)/.test(word) && word.length > 1
const OPENERS: ReadonlySet<string> = new Set(['start', 'start-process', 'saps', 'explorer', 'mshta', 'rundll32', 'invoke-item', 'ii'])
const isUrl = (word: string): boolean => /^["'(]*https?:\/\//.test(word)

const DANGEROUS_ON_WINDOWS: Readonly<Record<string, Check>> = {
  ...DANGEROUS,
  powershell: words => dangerousWords(words, isForce),
  pwsh: words => dangerousWords(words, isForce),
  cmd: words => dangerousWords(words, word => word === '/f' || word === '/s' || word === '/q'),
  explorer: words => words.some(isUrl),
  mshta: words => words.some(isUrl),
  rundll32: words => words.some(word => word.includes('url.dll') || isUrl(word)),
}

/** Whether the command, as far as its words are known, is one of the table. */
export function isDangerous([program, ...words]: ScriptCommand, platform: 'linux' | 'macos' | 'windows' = 'linux'): boolean {
  if (program === undefined) return false
  const name = programName(program.text, platform === 'windows')
  const table = platform === 'windows' ? DANGEROUS_ON_WINDOWS : DANGEROUS
  // An option that the shell still completes (`-{r,f}`, `-$X`) may be any.
  return Object.hasOwn(table, name) && (table[name] as Check)(words.map(({ text, fixed }) => !fixed && text.startsWith('-') ? '-f' : text))
}

/**
 * PowerShell and cmd scripts are not read, only searched: a word that removes and, anywhere after it in the same statement, one that
 * forces; or one that opens, and an address. It may find too much, which costs a question.
 */
function dangerousWords(words: readonly string[], forced: (word: string) => boolean): boolean {
  const statements = words.join(' ').toLowerCase().split(/[;&|\n{}]+/)
  return statements.some(statement => {
    const parts = statement.split(/[\s"'`,()]+/).filter(part => part !== '')
    const removes = parts.findIndex(part => REMOVES.has(programName(part, true)))
    const opens = parts.findIndex(part => OPENERS.has(programName(part, true)))
    return (removes !== -1 && parts.slice(removes + 1).some(forced)) || (opens !== -1 && parts.slice(opens + 1).some(isUrl))
  })
}
