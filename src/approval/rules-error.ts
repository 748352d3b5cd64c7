// What is wrong with a rules file: one error that names file, line and column, and shows the line with a caret.
import { SandboxError } from '../errors.js'
import { excerpt, positionOf, type Source, type Span } from './starlark/source.js'

export class RulesError extends SandboxError {
  readonly file: string
  /** Why, alone. */
  readonly reason: string
  /** The line, and a caret below the place. Undefined where the file could not be read. */
  readonly excerpt: string | undefined

  constructor(file: string, reason: string, at?: { readonly source: Source; readonly span: Span }, cause?: unknown) {
    const safe = oneLine(reason)
    super('rules_invalid', { field: 'the rules file', value: at === undefined ? file : undefined }, {
      detail: safe, ...(at === undefined ? {} : { source: { file, ...positionOf(at.source.text, at.span.start) } }), ...(cause === undefined ? {} : { cause }),
    })
    this.file = file
    this.reason = safe
    this.excerpt = at === undefined ? undefined : excerpt(at.source.text, at.span)
  }
}

/** Text of a file must not forge lines. */
const oneLine = (text: string): string => {
  const plain = text.replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, '.')
  return plain.length > 500 ? `${plain.slice(0, 500)}…` : plain
}
