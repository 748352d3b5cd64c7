// Writes profiles. Whatever stands in a path, a name or a comment, the text reads back as the tree that was given.
import { SandboxError } from '../../../errors.js'
import { type Expression, type Form, hasLoneSurrogate, isRegexLiteral, isSymbolName } from './syntax.js'

/** A list longer than this gets a line for each of its items after the leading symbols. In characters. */
const LINE_LENGTH = 120

/**
 * A whole profile, a form after the other, each below its comment. Ends with a newline. Pure.
 *
 * @throws SandboxError `profile_text_invalid`, `field` = the kind of what cannot be written (a NUL, half of a surrogate
 *         pair, a symbol that would read back as something else, a number that is not whole)
 */
export const printProfile = (forms: readonly Form[]): string => forms.map(printForm).join('\n').concat(forms.length === 0 ? '' : '\n')

/** One expression. Lines after the first are indented by `indent` spaces and more. */
export function printExpression(expression: Expression, indent = 0): string {
  const line = printInLine(expression)
  if (expression.kind !== 'list' || indent + line.length <= LINE_LENGTH) return line
  const head = expression.items.findIndex(({ kind }) => kind !== 'symbol')
  const [first, rest] = head <= 0 ? [expression.items.slice(0, 1), expression.items.slice(1)] : [expression.items.slice(0, head), expression.items.slice(head)]
  const inner = indent + 2
  const lines = rest.map(item => `\n${' '.repeat(inner)}${printExpression(item, inner)}`)
  return `(${first.map(item => printExpression(item, indent + 1)).join(' ')}${lines.join('')})`
}

function printForm({ expression, comment }: Form): string {
  const lines = comment === undefined ? [] : comment.split('\n').map(line => `; ${visible(line)}`.trimEnd())
  return [...lines, printExpression(expression)].join('\n')
}

function printInLine(expression: Expression): string {
  switch (expression.kind) {
    case 'symbol': return isSymbolName(expression.name) ? expression.name : refuse('symbol', expression.name)
    case 'string': return printString(expression.value)
    case 'regex': return isRegexLiteral(expression.source) ? `#"${expression.source}"` : refuse('regex', expression.source)
    case 'number': return Number.isSafeInteger(expression.value) ? String(expression.value) : refuse('number', expression.value)
    case 'boolean': return expression.value ? '#t' : '#f'
    case 'list': return `(${expression.items.map(printInLine).join(' ')})`
    default: return expression satisfies never
  }
}

const ESCAPES: Readonly<Record<string, string>> = { '"': '\\"', '\\': '\\\\', '\n': '\\n', '\r': '\\r', '\t': '\\t' }

/** Other control characters as two hexadecimal digits, so that a printed profile cannot drive a terminal. */
function printString(value: string): string {
  if (value.includes('\0') || hasLoneSurrogate(value)) return refuse('string', value)
  return `"${value.replaceAll(/["\\\u0001-\u001f\u007f]/g, char => ESCAPES[char] ?? hexadecimal(char))}"`
}

const visible = (line: string): string => line.replaceAll(/[\u0000-\u001f\u007f]/g, hexadecimal)
const hexadecimal = (char: string): string => `\\x${char.charCodeAt(0).toString(16).padStart(2, '0')}`

function refuse(field: string, value: unknown): never {
  throw new SandboxError('profile_text_invalid', { field, value })
}
