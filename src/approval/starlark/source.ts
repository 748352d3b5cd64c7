// A text that is read, and errors that point into it: file, line, column, and the line itself with a caret. Pure.

/** A text and the name that errors call it by. */
export interface Source {
  readonly name: string
  readonly text: string
}

/** Offsets into a source's text, in UTF-16 code units; `end` is not part of it. */
export interface Span {
  readonly start: number
  readonly end: number
}

/** What is wrong at one place of a source. Whoever knows the source makes an error for people of it. */
export class StarlarkError extends Error {
  override readonly name = 'StarlarkError'
  readonly reason: string
  readonly span: Span
  /** The calls that led there, outermost first. */
  readonly calls: readonly Span[]

  constructor(reason: string, span: Span, calls: readonly Span[] = []) {
    super(reason)
    this.reason = reason
    this.span = span
    this.calls = calls
  }
}

/** Both from 1; `column` counts characters, not code units. */
export interface Position {
  readonly line: number
  readonly column: number
}

export function positionOf(text: string, offset: number): Position {
  const before = text.slice(0, offset)
  const lineStart = before.lastIndexOf('\n') + 1
  return { line: before.split('\n').length, column: [...before.slice(lineStart)].length + 1 }
}

/** The line of an offset, from 1, for whoever asks of one text again and again: the text is walked over once. */
export function linesOf(text: string): (offset: number) => number {
  const starts = [0]
  for (let at = text.indexOf('\n'); at !== -1; at = text.indexOf('\n', at + 1)) starts.push(at + 1)
  return offset => {
    let [low, high] = [0, starts.length]
    while (high - low > 1) {
      const middle = (low + high) >> 1
      if ((starts[middle] as number) <= offset) low = middle
      else high = middle
    }
    return low + 1
  }
}

/** Characters of a line that are shown; a caret further right moves the window. */
const EXCERPT_WIDTH = 100

/**
 * The line at `span` with carets below it:
 *
 *     3 | prefix_rule(pattern=[])
 *       | ^^^^^^^^^^^^^^^^^^^^^^^
 *
 * Control characters and those that turn the direction of writing are shown as `.`, so that a file cannot forge what a terminal shows.
 */
export function excerpt(text: string, span: Span): string {
  const { line, column } = positionOf(text, span.start)
  const lineStart = text.lastIndexOf('\n', span.start - 1) + 1
  const lineEnd = endOfLine(text, span.start)
  const characters = [...text.slice(lineStart, lineEnd)]
  const first = column > EXCERPT_WIDTH ? column - 1 - EXCERPT_WIDTH / 2 : 0
  const shown = characters.slice(first, first + EXCERPT_WIDTH).map(printable).join('')
  const wanted = [...text.slice(span.start, Math.min(span.end, lineEnd))].length
  const carets = '^'.repeat(Math.max(1, Math.min(wanted, EXCERPT_WIDTH - (column - 1 - first))))
  const gutter = String(line)
  return `${gutter} | ${shown}\n${' '.repeat(gutter.length)} | ${' '.repeat(column - 1 - first)}${carets}`
}

function endOfLine(text: string, from: number): number {
  const end = text.indexOf('\n', from)
  return end === -1 ? text.length : end
}

const printable = (character: string): string => /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}]/u.test(character) ? '.' : character
