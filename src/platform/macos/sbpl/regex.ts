// The regular expressions of sandbox profiles, matched as the kernel matches them: over bytes of UTF-8, anywhere in the text
// unless anchored, by an automaton, so never in more than (length of the text) × (length of the pattern) steps.
//
// What is known of Apple's matcher is what its compiled form holds: single bytes, `.`, classes and negated classes, groups,
// alternatives, `*` `+` `?`, `^` and `$` (XNUSandbox and sandblaster, which read it back). A `^` anywhere but at the start keeps a
// profile from loading (constellation-works/orbit#495: "unexpected ^ operator in middle of expression"). All else is refused here:
// counts (`{2}`), classes by name or by letter (`\d`), back references, options, and what two readers would read in two ways.

export interface Regex {
  readonly source: string
  /** Bytes: see `toBytes`. */
  matches(text: Uint8Array): boolean
}

/** Why a pattern is not understood; `offset` counts UTF-16 units of its source. */
export interface RegexProblem {
  readonly problem: string
  readonly offset: number
}

const MAX_LENGTH = 16_384
const MAX_GROUP_DEPTH = 64

export const toBytes = (text: string): Uint8Array => new TextEncoder().encode(text)

/**
 * Compiles a pattern. Pure.
 *
 * @param ignoreCase  ASCII letters match in either case
 */
export function compileRegex(source: string, ignoreCase = false): Regex | RegexProblem {
  if (source.length > MAX_LENGTH) return { problem: `longer than ${MAX_LENGTH} characters`, offset: MAX_LENGTH }
  if (source === '') return { problem: 'an empty pattern matches everything', offset: 0 }
  try {
    const program: Instruction[] = []
    emit(parseAlternatives({ source, at: 0 }, 0), program, ignoreCase)
    program.push({ op: 'match' })
    return { source, matches: text => run(program, text) }
  } catch (error) {
    if (error instanceof Refusal) return { problem: error.message, offset: error.offset }
    throw error
  }
}

/** The pattern that matches just this text: what `regex-quote` of the language gives. */
export const quoteRegex = (text: string): string => text.replaceAll(/[\\^$.[\]|()*+?{}]/g, '\\$&')

class Refusal extends Error {
  readonly offset: number
  constructor(message: string, offset: number) {
    super(message)
    this.offset = offset
  }
}

/** 256 of them: 1 for a byte that is in it. */
type ByteSet = Uint8Array

type Node =
  | { readonly kind: 'bytes'; readonly set: ByteSet }
  | { readonly kind: 'any' } | { readonly kind: 'begin' } | { readonly kind: 'end' }
  | { readonly kind: 'sequence' | 'alternatives'; readonly nodes: readonly Node[] }
  | { readonly kind: 'repeat'; readonly node: Node; readonly least: 0 | 1; readonly unbounded: boolean }

interface Cursor { readonly source: string; at: number }

function parseAlternatives(cursor: Cursor, depth: number): Node {
  if (depth > MAX_GROUP_DEPTH) throw new Refusal('groups are nested too deeply', cursor.at)
  const nodes = [parseSequence(cursor, depth)]
  while (cursor.source[cursor.at] === '|') {
    cursor.at++
    nodes.push(parseSequence(cursor, depth))
  }
  if (depth === 0 && cursor.at < cursor.source.length) throw new Refusal('a ) without its (', cursor.at)
  return nodes.length === 1 ? nodes[0] as Node : { kind: 'alternatives', nodes }
}

function parseSequence(cursor: Cursor, depth: number): Node {
  const nodes: Node[] = []
  for (let char = cursor.source[cursor.at]; char !== undefined && char !== '|' && char !== ')'; char = cursor.source[cursor.at]) nodes.push(parseRepeated(cursor, depth))
  return { kind: 'sequence', nodes }
}

function parseRepeated(cursor: Cursor, depth: number): Node {
  const start = cursor.at
  const node = parseAtom(cursor, depth)
  const char = cursor.source[cursor.at]
  if (char !== '*' && char !== '+' && char !== '?') return node
  if (node.kind === 'begin' || node.kind === 'end') throw new Refusal('an anchor cannot be repeated', start)
  cursor.at++
  if (/[*+?]/.test(cursor.source[cursor.at] ?? '')) throw new Refusal('two repetitions in a row', cursor.at)
  return { kind: 'repeat', node, least: char === '+' ? 1 : 0, unbounded: char !== '?' }
}

function parseAtom(cursor: Cursor, depth: number): Node {
  const start = cursor.at
  const char = String.fromCodePoint(cursor.source.codePointAt(start) as number)
  cursor.at += char.length
  switch (char) {
    case '.': return { kind: 'any' }
    case '^':
      if (start > 0) throw new Refusal('a ^ that is not at the start: write \\^ for the character itself', start)
      return { kind: 'begin' }
    case '$':
      if (!/^([|)]|$)/.test(cursor.source.slice(cursor.at, cursor.at + 1))) throw new Refusal('a $ that is not at an end: write \\$ for the character itself', start)
      return { kind: 'end' }
    case '[': return parseClass(cursor, start)
    case '(': {
      if (cursor.source[cursor.at] === '?') throw new Refusal('(?…) is not known', start)
      const node = parseAlternatives(cursor, depth + 1)
      if (cursor.source[cursor.at] !== ')') throw new Refusal('a ( that is not closed', start)
      cursor.at++
      return node
    }
    case '*': case '+': case '?': throw new Refusal(`a ${char} with nothing before it`, start)
    case '{': case '}': throw new Refusal('counts are not known: write \\{ or \\} for the character itself', start)
    case ']': throw new Refusal('a ] without its [: write \\] for the character itself', start)
    case '\\': {
      const escaped = cursor.source[cursor.at]
      if (escaped === undefined) throw new Refusal('a backslash at the end', start)
      if (!/[!-/:-@[-`{-~ ]/.test(escaped)) throw new Refusal(`the escape \\${escaped} is not known`, start)
      cursor.at++
      return literalText(escaped)
    }
    default: return literalText(char)
  }
}

/** A character beyond ASCII is a sequence of bytes, so a repetition after it repeats all of them. */
const literalText = (char: string): Node => {
  const nodes = [...toBytes(char)].map((byte): Node => ({ kind: 'bytes', set: new Uint8Array(256).fill(1, byte, byte + 1) }))
  return nodes.length === 1 ? nodes[0] as Node : { kind: 'sequence', nodes }
}

function parseClass(cursor: Cursor, start: number): Node {
  const { source } = cursor
  const negated = source[cursor.at] === '^'
  if (negated) cursor.at++
  const set = new Uint8Array(256).fill(negated ? 1 : 0)
  const first = cursor.at
  const take = (): number => {
    const at = cursor.at++
    const char = source[at]
    if (char === undefined) throw new Refusal('a [ that is not closed', start)
    if (char === '\\') throw new Refusal('a backslash in […]: readers differ in what it means, write the character outside', at)
    if (char === '[' && /[:.=]/.test(source[at + 1] ?? '')) throw new Refusal('classes by name are not known', at)
    if (char.charCodeAt(0) > 0x7f) throw new Refusal('a character beyond ASCII in […]: the matcher compares bytes', at)
    return char.charCodeAt(0)
  }
  while (source[cursor.at] !== ']' || cursor.at === first) {
    const at = cursor.at
    const from = take()
    const isRange = source[cursor.at] === '-' && source[cursor.at + 1] !== ']' && source[cursor.at + 1] !== undefined
    if (isRange) cursor.at++
    const to = isRange ? take() : from
    if (to < from) throw new Refusal('a range that runs backwards', at)
    set.fill(negated ? 0 : 1, from, to + 1)
  }
  cursor.at++
  return { kind: 'bytes', set }
}

type Instruction =
  | { readonly op: 'bytes'; readonly set: ByteSet }
  | { readonly op: 'any' } | { readonly op: 'begin' } | { readonly op: 'end' } | { readonly op: 'match' }
  | { readonly op: 'jump'; to: number }
  | { readonly op: 'split'; first: number; second: number }

function emit(node: Node, program: Instruction[], ignoreCase: boolean): void {
  switch (node.kind) {
    case 'bytes': program.push({ op: 'bytes', set: ignoreCase ? inBothCases(node.set) : node.set }); return
    case 'any': case 'begin': case 'end': program.push({ op: node.kind }); return
    case 'sequence': for (const each of node.nodes) emit(each, program, ignoreCase); return
    case 'alternatives': {
      const jumps: { readonly op: 'jump'; to: number }[] = []
      node.nodes.forEach((each, index) => {
        const split = { op: 'split' as const, first: program.length + 1, second: 0 }
        const isLast = index === node.nodes.length - 1
        if (!isLast) program.push(split)
        emit(each, program, ignoreCase)
        if (isLast) return
        const jump = { op: 'jump' as const, to: 0 }
        program.push(jump)
        jumps.push(jump)
        split.second = program.length
      })
      for (const jump of jumps) jump.to = program.length
      return
    }
    case 'repeat': {
      const start = program.length
      const split = { op: 'split' as const, first: start + 1, second: 0 }
      if (node.least === 0) program.push(split)
      emit(node.node, program, ignoreCase)
      if (node.unbounded && node.least === 0) program.push({ op: 'jump', to: start })
      if (node.least === 1) program.push({ op: 'split', first: start, second: program.length + 1 })
      split.second = program.length
      return
    }
    default: node satisfies never
  }
}

/** A negated class stays one: what it leaves out in one case may come in by the other. */
const inBothCases = (set: ByteSet): ByteSet => set.map((held, byte) => held === 1 || set[otherCase(byte)] === 1 ? 1 : 0)

const otherCase = (byte: number): number => (byte >= 0x41 && byte <= 0x5a) || (byte >= 0x61 && byte <= 0x7a) ? byte ^ 0x20 : byte

/** All states at once, one byte after the other. */
function run(program: readonly Instruction[], text: Uint8Array): boolean {
  let states = new Set<number>()
  for (let at = 0; ; at++) {
    states.add(0)
    const reached = closure(program, states, at, text.length)
    if (reached === undefined) return true
    if (at === text.length) return false
    states = new Set()
    const byte = text[at] as number
    for (const state of reached) {
      const instruction = program[state] as Instruction
      if (instruction.op === 'any' || (instruction.op === 'bytes' && instruction.set[byte] === 1)) states.add(state + 1)
    }
  }
}

/** What is reached without a byte; undefined where the match is. */
function closure(program: readonly Instruction[], from: ReadonlySet<number>, at: number, length: number): Set<number> | undefined {
  const reached = new Set<number>()
  const waiting = [...from]
  for (let state = waiting.pop(); state !== undefined; state = waiting.pop()) {
    if (reached.has(state)) continue
    reached.add(state)
    const instruction = program[state] as Instruction
    switch (instruction.op) {
      case 'match': return undefined
      case 'jump': waiting.push(instruction.to); break
      case 'split': waiting.push(instruction.first, instruction.second); break
      case 'begin': if (at === 0) waiting.push(state + 1); break
      case 'end': if (at === length) waiting.push(state + 1); break
      case 'any': case 'bytes': break
      default: instruction satisfies never
    }
  }
  return reached
}
