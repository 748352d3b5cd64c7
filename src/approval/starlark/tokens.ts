// The words of the language: kinds of tokens, keywords, and how an error names them.
import type { Span } from './source.js'

export type Token =
  | (Span & { readonly kind: 'newline' | 'indent' | 'dedent' | 'end' })
  | (Span & { readonly kind: 'name' | 'keyword' | 'symbol'; readonly text: string })
  | (Span & { readonly kind: 'int'; readonly value: number })
  | (Span & { readonly kind: 'string'; readonly value: string })
  | (Span & { readonly kind: 'template'; readonly parts: readonly TemplatePart[] })

/** Of an f-string: text, or the tokens between braces (an `end` token closes them). */
export type TemplatePart = string | { readonly tokens: readonly Token[]; readonly repr: boolean }

/** Words that stand for something. */
export const KEYWORDS = new Set(['and', 'break', 'continue', 'def', 'elif', 'else', 'for', 'if', 'in', 'lambda', 'load', 'not', 'or', 'pass', 'return'])

/** Words of Python that mean nothing here and may not be names either. */
export const RESERVED = new Set([
  'as', 'assert', 'async', 'await', 'class', 'del', 'except', 'finally', 'from', 'global', 'import', 'is', 'nonlocal', 'raise', 'try', 'while', 'with', 'yield',
])

/** Longest first. */
export const SYMBOLS = [
  '**', '//=', '<<=', '>>=', '//', '<<', '>>', '<=', '>=', '==', '!=', '+=', '-=', '*=', '/=', '%=', '&=', '|=', '^=', '->',
  '+', '-', '*', '/', '%', '&', '|', '^', '~', '<', '>', '=', '(', ')', '[', ']', '{', '}', ',', ':', ';', '.',
].sort((a, b) => b.length - a.length)

const NAMES = { newline: 'the end of the line', indent: 'more indentation', dedent: 'less indentation', end: 'the end of the file' } as const

/** As an error names it. */
export function describeToken(token: Token): string {
  switch (token.kind) {
    case 'newline':
    case 'indent':
    case 'dedent':
    case 'end':      return NAMES[token.kind]
    case 'name':     return `the name \`${token.text}\``
    case 'keyword':  return `the keyword \`${token.text}\``
    case 'symbol':   return `\`${token.text}\``
    case 'int':      return `the number ${token.value}`
    case 'string':   return 'a string'
    case 'template': return 'an f-string'
    default:         return token satisfies never
  }
}
