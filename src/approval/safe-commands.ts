// Commands that only look: they run unasked whatever the approval policy says. A table of the reference's, with the ways out closed. Pure.
import { trustedName } from './programs.js'
import type { ScriptCommand, ScriptWord } from './shell-script.js'

type Arguments = readonly ScriptWord[]
/** Whether the command only looks with these arguments. */
type Check = (words: Arguments) => boolean

const always: Check = () => true

/**
 * Without these options: short ones alone, in a cluster or with their value, long ones whole, with a value or cut short, as GNU programs
 * take them. A word that file names take the place of may become an option, unless it begins with something else.
 */
function without({ short = '', long = [] }: { readonly short?: string; readonly long?: readonly string[] }): Check {
  return words => words.every(word => {
    if (!word.fixed && !beginsAsFile(word)) return false
    const { text } = word
    if (text.startsWith('--')) {
      const name = text.slice(2).split('=', 1)[0] as string
      return name === '' || !long.some(each => each.startsWith(name) || name.startsWith(each))
    }
    return !text.startsWith('-') || ![...short].some(letter => text.includes(letter))
  })
}

/** For programs whose options are whole words with one dash, such as find. */
const withoutWords = (...refused: readonly string[]): Check => words => words.every(word => (word.fixed || beginsAsFile(word)) && !refused.includes(word.text))

const beginsAsFile = ({ head }: ScriptWord): boolean => head !== '' && !/^[-+(!]/.test(head)

const all = (...checks: readonly Check[]): Check => words => checks.every(check => check(words))

/** `sed -n 5p`, `sed -n 5,9p`, with at most one file. */
const printsLines: Check = words => {
  const [option, script, file, ...more] = words
  return more.length === 0 && words.every(word => word.fixed || beginsAsFile(word)) && option?.text === '-n' && /^\d+(?:,\d+)?p$/.test(script?.text ?? '') && (file === undefined || !(file.head || file.text).startsWith('-'))
}

/** A second operand is a file to write. Whatever its name begins with: `+x` is one, and so is `-x` after `--`. */
const readsOneFile: Check = words => {
  const end = words.findIndex(({ text }) => text === '--')
  return words.every(({ fixed }) => fixed) && words.filter(({ text }, index) => (end !== -1 && index > end) || !text.startsWith('-') || text === '-').length <= 1
}

/** What makes git run a program of the repository's choice, or write. */
const GIT_OUTPUT = without({ long: ['output', 'ext-diff', 'textconv', 'exec', 'upload-pack', 'receive-pack', 'open-files-in-pager'], short: 'O' })
const GIT_SUBCOMMANDS: Readonly<Record<string, Check>> = {
  status: GIT_OUTPUT,
  log:    GIT_OUTPUT,
  diff:   GIT_OUTPUT,
  show:   GIT_OUTPUT,
  branch: words => words.every(({ text, fixed }) => fixed && /^(?:-[alrv]|-vv|--all|--list|--remotes|--verbose|--show-current)$/.test(text)),
}

/** Options before the subcommand (another folder, other config, other programs) are not looked at but refused, save one. */
const readsRepository: Check = words => {
  const rest = words[0]?.text === '--no-pager' ? words.slice(1) : words
  const [subcommand, ...options] = rest
  if (subcommand?.fixed !== true) return false
  return Object.hasOwn(GIT_SUBCOMMANDS, subcommand.text) && (GIT_SUBCOMMANDS[subcommand.text] as Check)(options)
}

const SAFE_COMMANDS: Readonly<Record<string, Check>> = {
  cat: always, cd: always, cut: always, echo: always, expr: always, false: always, grep: always, head: always, id: always, ls: always, nl: always,
  paste: always, pwd: always, rev: always, seq: always, stat: always, tail: always, tr: always, true: always, uname: always, wc: always, which: always, whoami: always,
  uniq: readsOneFile,
  base64: without({ short: 'o', long: ['output'] }),
  find: withoutWords('-exec', '-execdir', '-ok', '-okdir', '-delete', '-fls', '-fprint', '-fprint0', '-fprintf'),
  rg: all(without({ short: 'z', long: ['pre', 'hostname-bin', 'search-zip'] })),
  sed: printsLines,
  git: readsRepository,
}

/** GNU programs, which other systems do not have under these names. */
const SAFE_ON_LINUX: Readonly<Record<string, Check>> = { numfmt: always, tac: always }

/** @param platform  of the host that would run it */
export function isKnownSafe([program, ...words]: ScriptCommand, platform: 'linux' | 'macos' | 'windows' = 'linux'): boolean {
  if (program?.fixed !== true) return false
  const name = trustedName(program.text)
  if (name === undefined) return false
  const table = platform === 'linux' && Object.hasOwn(SAFE_ON_LINUX, name) ? SAFE_ON_LINUX : SAFE_COMMANDS
  return Object.hasOwn(table, name) && (table[name] as Check)(words)
}
