// Text → tokens, indentation and f-strings included. Pure.
import { StarlarkError } from './source.js'
import { KEYWORDS, RESERVED, SYMBOLS, type TemplatePart, type Token } from './tokens.js'

const NAME = /[A-Za-z_][A-Za-z0-9_]*/y
const NUMBER = /0[xX][0-9a-fA-F]+|0[oO][0-7]+|0[bB][01]+|[0-9]+(?:\.[0-9]*)?(?:[eE][+-]?[0-9]+)?|\.[0-9]+/y
const STRING_START = /([rR][fF]?|[fF][rR]?|[bB][rR]?|[rR][bB])?("""|'''|"|')/y
const SIMPLE_ESCAPES: Readonly<Record<string, string>> = { a: '\x07', b: '\b', f: '\f', n: '\n', r: '\r', t: '\t', v: '\v', '\\': '\\', '\'': '\'', '"': '"', '\n': '' }
/** How many hexadecimal digits follow. */
const HEX_ESCAPES: Readonly<Record<string, number>> = { x: 2, u: 4, U: 8 }
const CLOSING: Readonly<Record<string, string>> = { '(': ')', '[': ']', '{': '}' }

/** F-strings inside f-strings; deeper ones help nobody. */
const MAX_TEMPLATE_DEPTH = 5

/** @throws StarlarkError */
export function tokenize(text: string): Token[] {
  return new Lexer(text).file()
}

class Lexer {
  readonly #text: string
  #at = 0
  #templateDepth = 0

  constructor(text: string) {
    this.#text = text
  }

  file(): Token[] {
    const tokens: Token[] = []
    const indents = [0]
    while (this.#at < this.#text.length) {
      const indent = this.#indentation()
      if (indent === undefined) continue
      // One by one: a line may have more than a call takes arguments.
      for (const token of this.#block(indents, indent)) tokens.push(token)
      for (const token of this.#logicalLine()) tokens.push(token)
    }
    const end = { start: this.#text.length, end: this.#text.length }
    return [...tokens, ...indents.slice(1).map((): Token => ({ kind: 'dedent', ...end })), { kind: 'end', ...end }]
  }

  /** Undefined for a line of blanks or a comment, which is taken. */
  #indentation(): number | undefined {
    const start = this.#at
    while (this.#peek() === ' ') this.#at++
    const width = this.#at - start
    if (this.#peek() === '\t') throw this.#wrong('tabs are not allowed in indentation: use spaces')
    if (this.#peek() === '#') this.#comment()
    if (!this.#takeNewline() && this.#at < this.#text.length) return width
    return undefined
  }

  #block(indents: number[], width: number): Token[] {
    const tokens: Token[] = []
    const span = { start: this.#at, end: this.#at }
    if (width > (indents.at(-1) as number)) {
      indents.push(width)
      return [{ kind: 'indent', ...span }]
    }
    while (width < (indents.at(-1) as number)) {
      indents.pop()
      tokens.push({ kind: 'dedent', ...span })
    }
    if (width !== indents.at(-1)) throw this.#wrong('this indentation matches no line above')
    return tokens
  }

  /** Up to a newline that is in no brackets. */
  #logicalLine(): Token[] {
    const tokens: Token[] = []
    const open: Token[] = []
    for (;;) {
      this.#blanks()
      const start = this.#at
      if (this.#peek() === '#') this.#comment()
      if (this.#at >= this.#text.length || this.#takeNewline()) {
        if (open.length > 0 && this.#at < this.#text.length) continue
        if (open.length > 0) throw unclosed(open)
        tokens.push({ kind: 'newline', start, end: Math.max(start, Math.min(start + 1, this.#text.length)) })
        return tokens
      }
      const token = this.#token()
      trackBrackets(open, token)
      tokens.push(token)
    }
  }

  #token(): Token {
    const start = this.#at
    const opening = this.#match(STRING_START)
    if (opening !== null) return this.#string(start, (opening[1] ?? '').toLowerCase(), opening[2] as string)
    const name = this.#match(NAME)?.[0]
    if (name !== undefined) {
      if (RESERVED.has(name)) throw new StarlarkError(`\`${name}\` is not part of the rules' language`, { start, end: this.#at })
      return { kind: KEYWORDS.has(name) ? 'keyword' : 'name', text: name, start, end: this.#at }
    }
    const number = this.#match(NUMBER)?.[0]
    if (number !== undefined) return { kind: 'int', value: this.#int(number, start), start, end: this.#at }
    const symbol = SYMBOLS.find(each => this.#text.startsWith(each, start))
    if (symbol === undefined) throw new StarlarkError(`${JSON.stringify(String.fromCodePoint(this.#text.codePointAt(start) as number))} is not part of the rules' language`, { start, end: start + 1 })
    this.#at += symbol.length
    return { kind: 'symbol', text: symbol, start, end: this.#at }
  }

  #int(text: string, start: number): number {
    const span = { start, end: this.#at }
    if (/^0[0-9]/.test(text)) throw new StarlarkError(`a whole number does not begin with 0: ${text}`, span)
    if (!/^0[xob]/i.test(text) && /[.eE]/.test(text)) throw new StarlarkError(`only whole numbers are understood, not ${text}`, span)
    const value = Number(text)
    if (!Number.isSafeInteger(value)) throw new StarlarkError('this number is too large', span)
    return value
  }

  #string(start: number, prefix: string, quote: string): Token {
    if (prefix.includes('b')) throw new StarlarkError('bytes are not part of the rules\' language: leave the b out', { start, end: this.#at })
    const raw = prefix.includes('r')
    if (!prefix.includes('f')) return { kind: 'string', value: this.#quoted(start, quote, raw, false).join(''), start, end: this.#at }
    if (++this.#templateDepth > MAX_TEMPLATE_DEPTH) throw new StarlarkError('f-strings are nested too deeply', { start, end: this.#at })
    const parts = this.#quoted(start, quote, raw, true)
    this.#templateDepth--
    return { kind: 'template', parts, start, end: this.#at }
  }

  /** Up to the closing quote. Without `template` all parts are text. */
  #quoted(start: number, quote: string, raw: boolean, template: boolean): TemplatePart[] {
    const parts: TemplatePart[] = []
    let text = ''
    for (;;) {
      const at = this.#at
      const character = this.#text[at]
      if (character === undefined || (character === '\n' && quote.length === 1)) throw new StarlarkError('this string is not closed', { start, end: at })
      if (this.#text.startsWith(quote, at)) {
        this.#at += quote.length
        return [...parts, text]
      }
      this.#at++
      if (character === '\\') text += this.#escape(at, raw)
      else if (character === '\r' && this.#peek() === '\n') text += ''
      else if (template && (character === '{' || character === '}') && this.#peek() === character) {
        this.#at++
        text += character
      } else if (template && character === '}') {
        throw new StarlarkError('a single `}` in an f-string: write `}}` for the character', { start: at, end: at + 1 })
      } else if (template && character === '{') {
        parts.push(text, this.#expression(at))
        text = ''
      } else text += character
    }
  }

  #escape(at: number, raw: boolean): string {
    const next = this.#text[this.#at++]
    if (next === undefined) throw new StarlarkError('this string is not closed', { start: at, end: at + 1 })
    if (raw) return `\\${next}`
    if (next === '\r' && this.#peek() === '\n') {
      this.#at++
      return ''
    }
    const simple = SIMPLE_ESCAPES[next]
    if (simple !== undefined) return simple
    const digits = HEX_ESCAPES[next]
    if (digits !== undefined) {
      const hex = this.#text.slice(this.#at, this.#at + digits)
      this.#at += hex.length
      return codePoint(/^[0-9a-fA-F]+$/.test(hex) && hex.length === digits ? Number.parseInt(hex, 16) : -1, next === 'x', { start: at, end: this.#at })
    }
    if (/[0-7]/.test(next)) {
      const octal = next + (this.#match(/[0-7]{1,2}/y)?.[0] ?? '')
      return codePoint(Number.parseInt(octal, 8), true, { start: at, end: this.#at })
    }
    // The reference keeps both characters of what is no escape.
    return `\\${next}`
  }

  /** What stands between the braces of an f-string; `{` is taken. */
  #expression(start: number): TemplatePart {
    const tokens: Token[] = []
    const open: Token[] = []
    for (;;) {
      this.#blanks()
      const at = this.#at
      const character = this.#peek()
      if (character === undefined || character === '\n' || character === '#') throw new StarlarkError('this `{` of an f-string is not closed', { start, end: start + 1 })
      const end = { kind: 'end', start: at, end: at } as const
      if (open.length === 0 && character === '}') {
        this.#at++
        return { tokens: [...tokens, end], repr: false }
      }
      const conversion = open.length === 0 ? this.#match(/!([rs])\s*\}/y) : null
      if (conversion !== null) return { tokens: [...tokens, end], repr: conversion[1] === 'r' }
      if (open.length === 0 && character === ':') throw new StarlarkError('formats in f-strings are not part of the rules\' language', { start: at, end: at + 1 })
      const token = this.#token()
      trackBrackets(open, token)
      tokens.push(token)
    }
  }

  #blanks(): void {
    for (;;) {
      if (this.#match(/[ \t]+/y) !== null) continue
      if (this.#match(/\\\r?\n/y) === null) return
    }
  }

  #comment(): void {
    const end = this.#text.indexOf('\n', this.#at)
    this.#at = end === -1 ? this.#text.length : end
  }

  #takeNewline(): boolean {
    return this.#match(/\r?\n/y) !== null
  }

  #peek(): string | undefined {
    return this.#text[this.#at]
  }

  #match(pattern: RegExp): RegExpExecArray | null {
    pattern.lastIndex = this.#at
    const match = pattern.exec(this.#text)
    if (match !== null) this.#at = pattern.lastIndex
    return match
  }

  #wrong(reason: string): StarlarkError {
    return new StarlarkError(reason, { start: this.#at, end: this.#at + 1 })
  }
}

/** Keeps the list of brackets that are open. */
function trackBrackets(open: Token[], token: Token): void {
  if (token.kind !== 'symbol') return
  if (token.text in CLOSING) open.push(token)
  else if (Object.values(CLOSING).includes(token.text)) {
    const last = open.pop()
    if (last === undefined) throw new StarlarkError(`this \`${token.text}\` closes nothing`, token)
    if (last.kind === 'symbol' && CLOSING[last.text] !== token.text) throw new StarlarkError(`\`${token.text}\` does not close \`${last.text}\``, token)
  }
}

function unclosed(open: readonly Token[]): StarlarkError {
  const last = open.at(-1) as Token & { readonly text: string }
  return new StarlarkError(`this \`${last.text}\` is not closed`, last)
}

function codePoint(value: number, ascii: boolean, span: { start: number; end: number }): string {
  if (value < 0 || value > 0x10ffff || (value >= 0xd800 && value <= 0xdfff)) throw new StarlarkError('this escape is no character', span)
  if (ascii && value > 0x7f) throw new StarlarkError('this escape is above \\x7f: write \\u and four digits', span)
  return String.fromCodePoint(value)
}
