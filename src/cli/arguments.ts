// Words of the command line → a verb, its options and the rest. Pure; knows the grammar, not what the options mean.
import { SandboxError } from '../errors.js'
import { nearestName } from '../policy/nearest-name.js'
import { longName, type OptionRow, OPTIONS, type Options, SYSTEM_WORDS, type Verb, VERBS } from './options.js'

const LONGEST_SUGGESTION = 200
const SEE_HELP = 'See `codex-sandbox --help`.'

export interface Arguments {
  readonly verb: Verb
  /** False where `run` is understood. */
  readonly verbWasGiven: boolean
  readonly options: Options
  /** `run`, `sandbox`: the command. `explain`: the one access. `execpolicy`: the subcommand, then the command. `app-server`: what to do instead of serving. `setup`, `windows`: what to do. */
  readonly words: readonly string[]
  /** `sandbox linux …`: the system word as it was written. */
  readonly system: keyof typeof SYSTEM_WORDS | undefined
}

/**
 * Parses the words after the program's name.
 *
 * Options end at `--`, and under `sandbox` and `execpolicy check` also at the first word that is no option, as the reference has it.
 * Under `run` such a word is an error: whether it belongs to an option or starts the command would be a guess.
 *
 * @throws SandboxError `option_invalid`, with the nearest known spelling where there is one
 */
export function parseArguments(argv: readonly string[]): Arguments {
  const { verb, verbWasGiven, rest } = takeVerb(argv)
  const before = verbWasGiven ? [verb] : []
  const values = new Map<string, string[]>()
  const words: string[] = []
  let system: Arguments['system']

  for (let at = 0; at < rest.length; at++) {
    const word = rest[at] as string
    if (word === '--') {
      words.push(...rest.slice(at + 1))
      break
    }
    if (!isOption(word)) {
      if (verb === 'sandbox' && system === undefined && isSystemWord(word)) {
        system = word
        continue
      }
      if (verb === 'execpolicy' && words.length === 0) {
        words.push(word)
        continue
      }
      if (verb === 'sandbox' || verb === 'execpolicy') {
        words.push(...rest.slice(at))
        break
      }
      if (verb !== 'explain' && verb !== 'app-server' && verb !== 'setup' && verb !== 'windows') throw strayWord(verb, [...before, ...rest.slice(0, at)], rest.slice(at))
      words.push(word)
      continue
    }
    const { row, inline, written } = findOption(verb, word)
    if (row.value === undefined) {
      if (inline !== undefined) throw new SandboxError('option_invalid', { field: written, value: inline }, { detail: 'it takes no value', remedy: `Write ${written} alone.` })
      values.set(row.key, [])
      continue
    }
    if (row.bare === true && inline === undefined && (rest[at + 1] === undefined || isOption(rest[at + 1] as string))) {
      values.set(row.key, values.get(row.key) ?? [])
      continue
    }
    const value = inline ?? rest[++at]
    if (value === undefined || (inline === undefined && isOption(value))) throw missingValue(row, written, value)
    if (value === '') throw emptyValue(row, written)
    const given = values.get(row.key) ?? []
    if (given.length > 0 && row.repeat === undefined && given[0] !== value) {
      throw new SandboxError('option_invalid', { field: written, value }, { detail: `it was already given as ${JSON.stringify(given[0])}`, remedy: 'Give it once.' })
    }
    values.set(row.key, row.repeat === undefined ? [value] : [...given, value])
  }
  return { verb, verbWasGiven, options: toOptions(verb, values), words, system }
}

function takeVerb(argv: readonly string[]): { verb: Verb; verbWasGiven: boolean; rest: readonly string[] } {
  const [first, ...rest] = argv
  if (first === undefined) throw new SandboxError('option_missing', { field: 'a command', value: undefined }, { detail: 'nothing to run', remedy: 'Give one after --, such as `codex-sandbox -- git status`, or see `codex-sandbox --help`.' })
  if (first === 'help') return takeHelp(rest)
  if (isOption(first) || first === '--') return { verb: 'run', verbWasGiven: false, rest: argv }
  if (Object.hasOwn(VERBS, first)) return { verb: first as Verb, verbWasGiven: true, rest }
  throw new SandboxError('option_invalid', { field: 'verb', value: first }, { detail: `there are only ${Object.keys(VERBS).join(', ')}`, remedy: remedyOfVerb(first, argv) })
}

/** How the reference calls what a verb does here: `debug landlock` is its old spelling of `sandbox linux`. */
const ELSEWHERE: ReadonlyMap<string, Verb> = new Map([['exec', 'run'], ['debug', 'sandbox']])

function remedyOfVerb(first: string, argv: readonly string[]): string {
  const toRun = suggestion([], argv)
  const [, ...rest] = argv
  const verb = ELSEWHERE.get(first)
  if (verb !== undefined) {
    const isPlain = rest[0] === undefined || isOption(rest[0]) || (verb === 'sandbox' && isSystemWord(rest[0]))
    return `Did you mean ${isPlain ? quotedLine([verb, ...rest]) : suggestion([verb], rest)}?`
  }
  const near = nearestName(first, Object.keys(VERBS))
  return near === undefined ? `To run it, write ${toRun}.` : `Did you mean \`codex-sandbox ${near}\`, or to run it: ${toRun}?`
}

/** `help`, `help VERB`. */
function takeHelp(about: readonly string[]): ReturnType<typeof takeVerb> {
  const [name] = about
  if (name === undefined || isOption(name)) return { verb: 'run', verbWasGiven: false, rest: ['--help', ...about] }
  if (Object.hasOwn(VERBS, name)) return { verb: name as Verb, verbWasGiven: true, rest: ['--help', ...about.slice(1)] }
  throw new SandboxError('option_invalid', { field: 'help', value: name }, { detail: `there are only ${Object.keys(VERBS).join(', ')}`, remedy: SEE_HELP })
}

interface FoundOption {
  readonly row: OptionRow
  /** The value where it stands in the same word. */
  readonly inline: string | undefined
  /** The option without its value. */
  readonly written: string
}

/** `--name`, `--name=value`, `-n`, `-nvalue` and, as the reference accepts it, `-n=value`. */
function findOption(verb: Verb, word: string): FoundOption {
  const rows: readonly OptionRow[] = OPTIONS.filter(row => (row.for as readonly Verb[]).includes(verb))
  if (word.startsWith('--')) {
    const equals = word.indexOf('=')
    const written = equals === -1 ? word : word.slice(0, equals)
    const row = rows.find(candidate => `--${longName(candidate)}` === written || `--${candidate.alias}` === written)
    if (row === undefined) throw unknownOption(verb, written, rows)
    return { row, inline: equals === -1 ? undefined : word.slice(equals + 1), written }
  }
  const written = word.slice(0, 2)
  const row = rows.find(candidate => `-${candidate.short}` === written)
  if (row === undefined) throw unknownOption(verb, written, rows)
  const attached = word.slice(2)
  return { row, inline: attached === '' ? undefined : attached.replace(/^=/, ''), written }
}

function unknownOption(verb: Verb, written: string, rows: readonly OptionRow[]): SandboxError {
  const elsewhere = OPTIONS.filter(row => `--${longName(row)}` === written).flatMap(row => row.for)
  const known = rows.flatMap(row => [`--${longName(row)}`, ...(row.alias === undefined ? [] : [`--${row.alias}`])])
  // Of a single letter every name is as near.
  const near = written.startsWith('--') ? nearestName(written, known) : undefined
  return new SandboxError('option_invalid', { field: 'option', value: written }, {
    detail: elsewhere.length === 0 ? 'there is no such option' : `it belongs to ${elsewhere.join(', ')}, not to ${verb}`,
    remedy: near === undefined || elsewhere.length > 0 ? `See \`codex-sandbox ${verb} --help\`.` : `Did you mean ${near}?`,
  })
}

function missingValue(row: OptionRow, written: string, next: string | undefined): SandboxError {
  return new SandboxError('option_invalid', { field: written, value: next }, {
    detail: `it needs a value, ${row.value}`,
    remedy: next === undefined || next === '--' ? `Write ${written} ${row.value}.` : `If ${JSON.stringify(next)} is the value, join them: ${written}${written.startsWith('--') ? '=' : ''}${shown(next)}.`,
  })
}

/** No option means anything by an empty value, and a variable of the shell that was not set gives one. */
const emptyValue = (row: OptionRow, written: string): SandboxError =>
  new SandboxError('option_invalid', { field: written, value: '' }, { detail: `it is empty, where it needs ${row.value}`, remedy: `Write ${written} ${row.value}, or leave it out; a shell's variable that is not set is empty.` })

function strayWord(verb: Verb, before: readonly string[], command: readonly string[]): SandboxError {
  const usage = verb === 'doctor' || verb === 'sessions' || verb === 'debug-config' ? `${verb} takes no words.` : `Put the command after --: ${suggestion(before, command)}.`
  return new SandboxError('option_invalid', { field: 'argument', value: command[0] }, { detail: 'it belongs to no option', remedy: usage })
}

/** The whole command line as it should have been, to be copied. */
const suggestion = (before: readonly string[], command: readonly string[]): string => quotedLine([...before, '--', ...command])

/** A long one is cut. */
function quotedLine(words: readonly string[]): string {
  const text = ['codex-sandbox', ...words.map(shown)].join(' ')
  return `\`${text.length > LONGEST_SUGGESTION ? `${text.slice(0, LONGEST_SUGGESTION)}…` : text}\``
}

function toOptions(verb: Verb, values: ReadonlyMap<string, readonly string[]>): Options {
  const options: Record<string, true | string | readonly string[]> = {}
  for (const row of OPTIONS as readonly OptionRow[]) {
    const given = values.get(row.key)
    if (given === undefined || !row.for.includes(verb)) continue
    options[row.key] = row.value === undefined ? true : row.repeat === undefined ? (given[0] as string) : given
  }
  return options as Options
}

/** A word inside a sentence: a shell takes it as it was, and it cannot forge a line. */
const shown = (word: string): string =>
  /^[\w@%+=:,./-]+$/.test(word) ? word : /[\u0000-\u001f\u007f-\u009f]/.test(word) ? JSON.stringify(word) : `'${word.replaceAll('\'', '\'\\\'\'')}'`
/** A lone `-` is a word. */
const isOption = (word: string): boolean => word.startsWith('-') && word !== '-'
const isSystemWord = (word: string): word is keyof typeof SYSTEM_WORDS => Object.hasOwn(SYSTEM_WORDS, word)
