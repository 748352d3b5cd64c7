// The text of a shell script → the commands in it, by a real parser. What is not certain is said to be unknown, never guessed. Pure.
import { type Command, forEachChild, parse, type ParsedScript, type SyntaxNode, type Word, type WordPart } from 'unbash'

/** A word of a command. What the shell may still put in its place is not known; its text is as it was written, without quotes. */
export interface ScriptWord {
  readonly text: string
  /** The program gets exactly `text`. False where file names, a home folder or a value take its place. */
  readonly fixed: boolean
  /** What stands before the first character that is replaced: where it is not empty, the word begins with it whatever comes after. */
  readonly head: string
}

export type ScriptCommand = readonly ScriptWord[]

export interface Script {
  /** All that it runs, in order, where it is nothing but words joined by `&&`, `||`, `;`, `|` and line ends. */
  readonly plain: readonly ScriptCommand[] | undefined
  /** Of one command with here-documents and nothing else: its words. */
  readonly withHereDocument: ScriptCommand | undefined
  /** Every command that stands anywhere in it, in substitutions and functions too, as far as it was understood. */
  readonly found: readonly ScriptCommand[]
  /** It is too much to be read: anything may stand in it. */
  readonly unread?: true
}

const NOTHING_KNOWN: Script = { plain: undefined, withHereDocument: undefined, found: [] }

/** The parser takes quadratic time for what is nested deeply; nobody approves more than this by its words. */
const MOST_CHARACTERS = 16_384
const MOST_OPENINGS = 200

/**
 * @param dialect  `zsh` is not what the parser reads: there only words without any special character are plain
 */
export function readScript(text: string, dialect: 'bash' | 'zsh' = 'bash'): Script {
  if (text.length > MOST_CHARACTERS || text.includes('\0') || (text.match(/[({`]|\$\{/g)?.length ?? 0) > MOST_OPENINGS) return { ...NOTHING_KNOWN, unread: true }
  const script = parse(text)
  const found: ScriptCommand[] = []
  let wrong = (script.errors?.length ?? 0) > 0
  const visit = (node: SyntaxNode): void => {
    if (node.type === 'Script' && (node.errors?.length ?? 0) > 0) wrong = true
    if (node.type === 'Command') found.push(wordsOf(node).map(readWord))
    forEachChild(node, visit)
  }
  forEachChild(script, visit)
  if (wrong) return { ...NOTHING_KNOWN, found }
  return { plain: plainCommands(text, script, dialect), withHereDocument: hereDocumentCommand(script), found }
}

const wordsOf = ({ name, suffix }: Command): Word[] => [...(name === undefined ? [] : [name]), ...suffix.flatMap(each => each.type === 'Word' ? [each] : each.type === 'Assignment' ? [asWord(each)] : [])]

/** `export A=1`: an argument like any other to whoever reads the words. */
const asWord = ({ text, pos, end }: { text: string; pos: number; end: number }): Word => ({ type: 'Word', text, value: text, pos, end, parts: [{ type: 'SimpleExpansion', pos, end, text }] })

function plainCommands(text: string, script: ParsedScript, dialect: 'bash' | 'zsh'): ScriptCommand[] | undefined {
  const commands = script.commands.flatMap(({ command, background }) => background === true ? [undefined] : simpleCommands(command))
  if (commands.length === 0 || commands.includes(undefined)) return undefined
  const simple = commands as Command[]
  if (!coversAll(text, simple.map(wordsOf))) return undefined
  const words = simple.map(command => wordsOf(command).map(word => isPlainWord(word, dialect) ? readWord(word) : undefined))
  // A command whose name is a pattern is any command.
  if (words.some(command => command.includes(undefined) || command[0]?.fixed !== true || command[0].text === '')) return undefined
  return words as ScriptWord[][]
}

function simpleCommands(node: SyntaxNode): (Command | undefined)[] {
  switch (node.type) {
    case 'AndOr':    return node.commands.flatMap(simpleCommands)
    case 'Pipeline': return node.prefixes.length > 0 || node.operators.some(operator => operator !== '|') ? [undefined] : node.commands.flatMap(simpleCommands)
    case 'Command':  return node.name === undefined || node.prefix.length > 0 || node.suffix.some(({ type }) => type !== 'Word') ? [undefined] : [node]
    default:         return [undefined]
  }
}

/**
 * A second look, which does not believe the parser: between the words stands nothing but blanks, and between commands one operator.
 * So whatever the parser passes over (a comment, a line that goes on) is not plain.
 */
function coversAll(text: string, commands: readonly (readonly Word[])[]): boolean {
  let at = 0
  for (const [index, words] of commands.entries()) {
    for (const [place, word] of words.entries()) {
      const gap = text.slice(at, word.pos)
      if (word.pos < at || !(place > 0 ? INSIDE : index > 0 ? BETWEEN : BLANK).test(gap)) return false
      at = word.end
    }
  }
  return AFTER.test(text.slice(at))
}
const INSIDE = /^[ \t]+$/
const BETWEEN = /^[ \t\n]*(?:&&|\|\||;|\||\n)[ \t\n]*$/
const BLANK = /^[ \t\n]*$/
const AFTER = /^[ \t\n]*;?[ \t\n]*$/

/** Nothing in it is replaced but file names and home folders. */
function isPlainWord(word: Word, dialect: 'bash' | 'zsh'): boolean {
  // Patterns of zsh can run code, and `=name` is a path there.
  if (dialect === 'zsh' && !/^[A-Za-z0-9_./:@%+,-][A-Za-z0-9_./:@%+,=-]*$|^'[^'\n]*'$/.test(word.text)) return false
  // A line that goes on inside a word can make an expansion that no part shows: `$`, a backslash and a line end before a name.
  if (word.text.includes('\\\n')) return false
  return word.parts === undefined ? isLiteral(word.text) : word.parts.every(isPlainPart)
}

/** No `$` or backquote but escaped ones: what the parser took for itself may be more to a shell. */
const isLiteral = (text: string): boolean => !/[$`]/.test(text.replace(/\\./gs, ''))

function isPlainPart(part: WordPart): boolean {
  switch (part.type) {
    case 'SingleQuoted': return true
    case 'Literal':      return isLiteral(part.text)
    case 'DoubleQuoted': return part.parts.every(each => each.type === 'Literal' && isLiteral(each.text))
    case 'Glob':         return part.parts === undefined || part.parts.every(isPlainPart)
    default:             return false
  }
}

function readWord(word: Word): ScriptWord {
  const parts: readonly Pick<WordPart, 'type' | 'text'>[] = word.parts ?? [{ type: 'Literal', text: word.text }]
  let head = ''
  for (const part of parts) {
    const text = word.parts === undefined ? word.value : partText(part as WordPart)
    if (text === undefined || (part.type === 'Literal' && part.text.includes('~'))) return { text: word.value, fixed: false, head: part.type === 'Literal' && text !== undefined ? head + text.slice(0, Math.max(0, text.indexOf('~'))) : head }
    head += text
  }
  return { text: word.value, fixed: true, head }
}

/** Undefined where something takes its place. */
function partText(part: WordPart): string | undefined {
  switch (part.type) {
    case 'Literal':
    case 'SingleQuoted': return part.value
    case 'DoubleQuoted': return part.parts.every(({ type }) => type === 'Literal') ? part.parts.map(each => each.type === 'Literal' ? each.value : '').join('') : undefined
    case 'AnsiCQuoted':  return part.value
    default:             return undefined
  }
}

/** One command, words only, that reads here-documents in which nothing is replaced. */
function hereDocumentCommand({ commands }: ParsedScript): ScriptCommand | undefined {
  const [statement, ...others] = commands
  const command = statement?.command
  if (command?.type !== 'Command' || others.length > 0 || statement?.background === true || command.prefix.length > 0 || command.redirects.length === 0) return undefined
  if (command.redirects.some(redirect => redirect.type !== 'HereDoc' || redirect.body.parts?.some(({ type }) => type !== 'Literal') === true)) return undefined
  const words = wordsOf(command)
  if (words.length === 0 || !words.every(word => isPlainWord(word, 'bash')) || !command.suffix.every(({ type }) => type === 'Word' || type === 'HereDoc')) return undefined
  const read = words.map(readWord)
  return read[0]?.fixed === true ? read : undefined
}
