// Reads profiles into the tree of `syntax.ts`. The reader is TinyScheme's, as libsandbox has it, without what it leaves open:
// what two readers could read in two ways is an error with its line and column.
import { SandboxError } from '../../../errors.js'
import { type Expression, type Form, isSymbolName, type Position } from './syntax.js'

export interface ParseOptions {
  /** Named in errors. Default `profile`. */
  readonly source?: string
}

/** In UTF-16 units. */
const MAX_LENGTH = 1_048_576
const MAX_DEPTH = 256
const MAX_EXPRESSIONS = 200_000

/**
 * The forms of a profile. A form's comment is what stands in the lines right above it, inside it and behind it.
 *
 * @throws SandboxError `profile_invalid`, `field` = `SOURCE:LINE:COLUMN`
 */
export function parseForms(text: string, { source = 'profile' }: ParseOptions = {}): Form[] {
  if (text.length > MAX_LENGTH) throw profileError(source, { line: 1, column: 1 }, text.slice(0, 40), `longer than ${MAX_LENGTH} characters`)
  const reader = new Reader(text, source)
  const forms: { expression: Expression; comment: string[] }[] = []
  for (;;) {
    const comments = reader.skipBlanks()
    const previous = forms.at(-1)
    const behind = previous === undefined ? [] : comments.filter(({ line }) => line === reader.lastLine)
    previous?.comment.push(...behind.map(({ text: each }) => each))
    if (reader.atEnd()) break
    const above = linesAbove(comments.slice(behind.length), reader.position().line)
    const inside: Comment[] = []
    const expression = reader.read(0, inside)
    forms.push({ expression, comment: [...above, ...inside.map(({ text: each }) => each)] })
  }
  return forms.map(({ expression, comment }) => comment.length === 0 ? { expression } : { expression, comment: comment.join('\n') })
}

/** An error of a profile at a place. `value` is what stands there. */
export function profileError(source: string, at: Position | undefined, value: unknown, detail: string): SandboxError {
  const place = at === undefined ? source : `${source}:${at.line}:${at.column}`
  return new SandboxError('profile_invalid', { field: place, value }, { detail })
}

interface Comment { readonly line: number; readonly text: string }

/** The last comments without a gap between them and `line`. */
function linesAbove(comments: readonly Comment[], line: number): string[] {
  let first = comments.length
  for (let expected = line - 1; first > 0 && comments[first - 1]?.line === expected; expected--) first--
  return comments.slice(first).map(({ text }) => text)
}

const QUOTES: Readonly<Record<string, string>> = { "'": 'quote', '`': 'quasiquote', ',': 'unquote', ',@': 'unquote-splicing' }
const STRING_ESCAPES: Readonly<Record<string, string>> = { n: '\n', r: '\r', t: '\t' }
const NUMBER_BASES: Readonly<Record<string, { readonly base: number; readonly digits: RegExp }>> = {
  b: { base: 2, digits: /^[+-]?[01]+$/ }, o: { base: 8, digits: /^[+-]?[0-7]+$/ }, d: { base: 10, digits: /^[+-]?[0-9]+$/ }, x: { base: 16, digits: /^[+-]?[0-9a-fA-F]+$/ },
}

class Reader {
  /** Of the expression that was read last. */
  lastLine = 0
  private index = 0
  private line = 1
  private lineStart = 0
  private expressions = 0
  private readonly text: string
  private readonly source: string

  constructor(text: string, source: string) {
    this.text = text
    this.source = source
  }

  atEnd(): boolean {
    return this.index >= this.text.length
  }

  position(): Position {
    return { line: this.line, column: this.index - this.lineStart + 1 }
  }

  /** White space and comments. `;` to the end of the line is kept as text, `#| … |#` and `#!` lines are not. */
  skipBlanks(): Comment[] {
    const comments: Comment[] = []
    for (let char = this.text[this.index]; char !== undefined; char = this.text[this.index]) {
      if (/[ \t\r\f\n]/.test(char)) {
        this.advance(1)
      } else if (char === ';' || this.text.startsWith('#!', this.index)) {
        const end = this.text.indexOf('\n', this.index)
        const text = this.text.slice(this.index, end === -1 ? undefined : end)
        if (char === ';') comments.push({ line: this.line, text: text.replace(/^;+ ?/, '').trimEnd() })
        this.index += text.length
      } else if (this.text.startsWith('#|', this.index)) {
        this.skipBlockComment()
      } else {
        break
      }
    }
    return comments
  }

  read(depth: number, comments: Comment[]): Expression {
    const at = this.position()
    if (depth > MAX_DEPTH) throw this.error(at, '(', `nested more than ${MAX_DEPTH} deep`)
    if (++this.expressions > MAX_EXPRESSIONS) throw this.error(at, this.rest(), `more than ${MAX_EXPRESSIONS} expressions`)
    const expression = this.readAt(at, depth, comments)
    this.lastLine = this.line
    return expression
  }

  private readAt(at: Position, depth: number, comments: Comment[]): Expression {
    const char = this.text[this.index]
    switch (char) {
      case undefined: throw this.error(at, '', 'an expression is missing at the end')
      case '(': return this.readList(at, depth, comments)
      case ')': throw this.error(at, ')', 'a ) without its (')
      case '"': return { kind: 'string', value: this.readString(at), at }
      case '#': return this.readSharp(at)
      case "'": case '`': case ',': {
        const mark = this.text.startsWith(',@', this.index) ? ',@' : char
        this.index += mark.length
        comments.push(...this.skipBlanks())
        return { kind: 'list', items: [{ kind: 'symbol', name: QUOTES[mark] as string, at }, this.read(depth + 1, comments)], at }
      }
      default: return this.readAtom(at)
    }
  }

  private readList(at: Position, depth: number, comments: Comment[]): Expression {
    this.index++
    const items: Expression[] = []
    for (;;) {
      comments.push(...this.skipBlanks())
      if (this.atEnd()) throw this.error(at, '(', 'a ( that is not closed')
      if (this.text[this.index] === ')') break
      items.push(this.read(depth + 1, comments))
    }
    this.index++
    return { kind: 'list', items, at }
  }

  /** Bytes, since `\xHH` is one of them: together they must be UTF-8. */
  private readString(at: Position): string {
    this.index++
    const parts: Uint8Array[] = []
    for (;;) {
      const plain = /[^"\\]*/y
      plain.lastIndex = this.index
      const text = plain.exec(this.text)?.[0] ?? ''
      parts.push(Buffer.from(text))
      this.advance(text.length)
      const char = this.text[this.index]
      if (char === undefined) throw this.error(at, this.text.slice(this.offsetOf(at)), 'a " that is not closed')
      this.index++
      if (char === '"') break
      parts.push(this.readEscape())
    }
    const bytes = Buffer.concat(parts)
    if (bytes.includes(0)) throw this.error(at, this.text.slice(this.offsetOf(at), this.index), 'NUL in a string')
    try {
      return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes)
    } catch {
      throw this.error(at, this.text.slice(this.offsetOf(at), this.index), 'a string that is not UTF-8')
    }
  }

  /** After the backslash. */
  private readEscape(): Uint8Array {
    const at = { ...this.position(), column: this.position().column - 1 }
    const char = this.text[this.index]
    const hexadecimal = /^[xX]([0-9a-fA-F]{2})/.exec(this.text.slice(this.index, this.index + 3))?.[1]
    if (hexadecimal !== undefined) {
      this.index += 3
      return Buffer.from(hexadecimal, 'hex')
    }
    const value = char === undefined || /[!-/:-@[-`{-~ ]/.test(char) ? char : STRING_ESCAPES[char]
    if (value === undefined) throw this.error(at, `\\${char ?? ''}`, 'not an escape that is known: \\n \\r \\t \\xHH, or a backslash before punctuation')
    this.index++
    return Buffer.from(value)
  }

  private readSharp(at: Position): Expression {
    if (this.text.startsWith('#"', this.index)) return this.readRegex(at)
    const word = this.takeWord()
    if (word === '#t' || word === '#f') return { kind: 'boolean', value: word === '#t', at }
    const number = NUMBER_BASES[word[1] ?? '']
    const digits = word.slice(2)
    if (number?.digits.test(digits)) return this.number(at, word, Number.parseInt(digits, number.base))
    throw this.error(at, word === '#' ? this.rest() : word, 'not known after #: #"regex", #t, #f, #o644, #x1f')
  }

  /** Nothing is an escape in it; a quote after a backslash is refused, since readers differ in whether it ends the literal. */
  private readRegex(at: Position): Expression {
    const end = this.text.indexOf('"', this.index + 2)
    if (end === -1) throw this.error(at, this.rest(), 'a #" that is not closed')
    const source = this.text.slice(this.index + 2, end)
    if ((/\\*$/.exec(source)?.[0].length ?? 0) % 2 === 1) throw this.error(at, `#"${source}"`, 'a backslash before the quote that ends #"…": write the pattern as a string')
    if (/[\u0000-\u001f\u007f]/.test(source)) throw this.error(at, `#"${source}"`, 'a control character in #"…"')
    this.index = end + 1
    return { kind: 'regex', source, at }
  }

  private readAtom(at: Position): Expression {
    const word = this.takeWord()
    if (/^[+-]?\d+$/.test(word)) return this.number(at, word, Number(word))
    if (/^[+-]?\.?\d/.test(word)) throw this.error(at, word, 'not a whole number')
    if (isSymbolName(word)) return { kind: 'symbol', name: word, at }
    throw this.error(at, word === '' ? this.rest() : word, 'not a symbol')
  }

  private number(at: Position, word: string, value: number): Expression {
    if (!Number.isSafeInteger(value)) throw this.error(at, word, 'too large a number')
    return { kind: 'number', value: value === 0 ? 0 : value, at }
  }

  /** Up to what ends an atom. */
  private takeWord(): string {
    const word = /[^\s()"';`,]*/y
    word.lastIndex = this.index
    const text = word.exec(this.text)?.[0] ?? ''
    this.index += text.length
    return text
  }

  private skipBlockComment(): void {
    const at = this.position()
    const end = this.text.indexOf('|#', this.index + 2)
    if (end === -1) throw this.error(at, '#|', 'a #| that is not closed')
    if (this.text.slice(this.index + 2, end).includes('#|')) throw this.error(at, '#|', 'a comment in a comment: readers differ in where it ends')
    this.advance(end + 2 - this.index)
  }

  /** Moves on, counting lines: for what may hold newlines. */
  private advance(count: number): void {
    const end = this.index + count
    for (let newline = this.text.indexOf('\n', this.index); newline !== -1 && newline < end; newline = this.text.indexOf('\n', newline + 1)) {
      this.line++
      this.lineStart = newline + 1
    }
    this.index = end
  }

  private rest(): string {
    return this.text.slice(this.index, this.index + 20)
  }

  /** Of a place in or before the line of the cursor: for a snippet only, so a place further up gives what is left. */
  private offsetOf({ line, column }: Position): number {
    return line === this.line ? this.lineStart + column - 1 : this.lineStart
  }

  private error(at: Position, value: string, detail: string): SandboxError {
    return profileError(this.source, at, value.slice(0, 80), detail)
  }
}
