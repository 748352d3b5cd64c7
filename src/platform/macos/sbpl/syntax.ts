// The syntax of Apple's sandbox profile language (SBPL) as data: S-expressions. Templates, generated rules and what the
// parser reads are the same thing. `print.ts` writes it, `parse.ts` reads it, `evaluate.ts` says what it means.
import { SandboxError } from '../../../errors.js'

/** Where an expression starts in its source, both from 1; a column counts UTF-16 units. */
export interface Position {
  readonly line: number
  readonly column: number
}

export type Expression =
  /** `file-read*`, `subpath`, `with` */
  | { readonly kind: 'symbol'; readonly name: string; readonly at?: Position }
  /** `"/usr/lib"`: any text without NUL */
  | { readonly kind: 'string'; readonly value: string; readonly at?: Position }
  /** `#"^/dev/tty"`: its text as it stands between the quotes; nothing is an escape to the reader, only to the matcher. */
  | { readonly kind: 'regex'; readonly source: string; readonly at?: Position }
  /** `1`, `-5`, `#o644`: whole numbers only, printed in decimal */
  | { readonly kind: 'number'; readonly value: number; readonly at?: Position }
  /** `#t`, `#f` */
  | { readonly kind: 'boolean'; readonly value: boolean; readonly at?: Position }
  | { readonly kind: 'list'; readonly items: readonly Expression[]; readonly at?: Position }

/** One top-level expression of a profile. `comment` stands above it, a line of it on a line, without the semicolons. */
export interface Form {
  readonly expression: Expression
  readonly comment?: string
}

/** The text of a symbol that reads back as that symbol: no number, no boolean, nothing that ends it or starts a comment. `.` stands before rest arguments. */
export const isSymbolName = (name: string): boolean => /^[A-Za-z!$%&*/:<=>?^_~+.@-][\w!$%&*/:<=>?^~+.@-]*$/.test(name) && !/^[+-]?\.?\d/.test(name)

/** The text of a regex literal: without quotes, control characters, and a backslash at its end that would take the closing quote. */
export const isRegexLiteral = (source: string): boolean =>
  !/["\u0000-\u001f\u007f]/.test(source) && !hasLoneSurrogate(source) && (/\\*$/.exec(source)?.[0].length ?? 0) % 2 === 0

/** Half of a pair of UTF-16 units: it has no UTF-8 form, so no file's name has it. */
export const hasLoneSurrogate = (text: string): boolean => /[\ud800-\udfff]/u.test(text)

/** @throws SandboxError `profile_text_invalid`: the name would not be read back as one symbol */
export function symbol(name: string): Expression {
  if (!isSymbolName(name)) throw new SandboxError('profile_text_invalid', { field: 'symbol', value: name })
  return { kind: 'symbol', name }
}

/** @throws SandboxError `profile_text_invalid`: NUL, or half of a surrogate pair, which no file's name has */
export function string(value: string): Expression {
  if (value.includes('\0') || hasLoneSurrogate(value)) throw new SandboxError('profile_text_invalid', { field: 'string', value })
  return { kind: 'string', value }
}

/** A regular expression as a literal, or where a literal cannot hold it (a quote, a newline) as a string, which `regex` takes too. */
const regexText = (source: string): Expression => isRegexLiteral(source) ? { kind: 'regex', source } : string(source)

/** @throws SandboxError `profile_text_invalid`: not a whole number that is exact in a double */
export function number(value: number): Expression {
  if (!Number.isSafeInteger(value)) throw new SandboxError('profile_text_invalid', { field: 'number', value })
  return { kind: 'number', value }
}

/** What builders take: a plain text is a symbol, never a string. */
export type Item = string | number | boolean | Expression

/** `list('allow', 'file-read*', subpath(…))`. Texts are symbols: write `string(…)` for a string. */
export const list = (...items: readonly Item[]): Expression & { readonly kind: 'list' } => ({ kind: 'list', items: items.map(toExpression) })

/** `(param "NAME")` */
export const param = (name: string): Expression => list('param', string(name))
/** `(literal PATH)`: that path alone */
export const literal = (path: Expression): Expression => list('literal', path)
/** `(subpath PATH)`: that path and all below it */
export const subpath = (path: Expression): Expression => list('subpath', path)
/** `(regex #"SOURCE")` */
export const regex = (source: string): Expression => list('regex', regexText(source))
export const requireAll = (...filters: readonly Expression[]): Expression => list('require-all', ...filters)
export const requireAny = (...filters: readonly Expression[]): Expression => list('require-any', ...filters)
export const requireNot = (filter: Expression): Expression => list('require-not', filter)

export const form = (expression: Expression, comment?: string): Form => comment === undefined ? { expression } : { expression, comment }

function toExpression(item: Item): Expression {
  switch (typeof item) {
    case 'string': return symbol(item)
    case 'number': return number(item)
    case 'boolean': return { kind: 'boolean', value: item }
    default: return item
  }
}
