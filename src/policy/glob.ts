// Globs: `*` `?` `[a-z]` `[!a]` `{a,b}` inside a name, `**` across folders, `\` before a character that is meant itself
// (not on Windows, where it separates). One parse tree for the matcher, the search at the start and the compilers.
import { SandboxError } from '../errors.js'
import type { PlatformName } from './host-snapshot.js'
import { foldName } from './letter-case.js'
import { namesOf } from './path-syntax.js'

export type GlobToken =
  | { readonly kind: 'literal'; readonly text: string }
  /** `*`: any number of characters of one name. */
  | { readonly kind: 'any' }
  /** `?`: one character. */
  | { readonly kind: 'one' }
  | { readonly kind: 'set'; readonly negated: boolean; readonly ranges: readonly (readonly [from: string, to: string])[] }

export type GlobSegment =
  /** `**`: any number of names, none included. */
  | { readonly kind: 'globstar' }
  | { readonly kind: 'name'; readonly tokens: readonly GlobToken[] }

/** One pattern without braces. */
export interface Glob {
  readonly pattern: string
  readonly segments: readonly GlobSegment[]
}

/** `{a,b}` multiplies; more patterns than this in one are refused. */
const MAX_ALTERNATIVES = 256

/** Whether a path is meant as a pattern. A special character is meant as itself after a backslash. */
export const hasGlobSyntax = (platform: PlatformName, text: string): boolean =>
  text.startsWith('!') || /[*?[{]/.test(platform === 'windows' ? text : text.replaceAll(/\\./gsu, ''))

/** Spells a path so that no character of it is special in `read`, `write` and `deny`. */
export const escapeGlob = (platform: PlatformName, path: string): string =>
  platform === 'windows' ? path.replaceAll(/[[{(]/g, '[$&]') : path.replaceAll(/[*?[\]{}\\!()]/g, '\\$&')

/** The reverse, for a text without pattern characters. */
export const unescapeGlob = (platform: PlatformName, text: string): string =>
  platform === 'windows' ? text : text.replaceAll(/\\(.)/gsu, '$1')

/**
 * The patterns that `{…}` stands for, in order.
 *
 * @throws SandboxError `glob_invalid`: a brace that is not closed, lists nothing or counts (`{1..3}`), too many patterns
 */
export function expandBraces(platform: PlatformName, pattern: string, field: string): string[] {
  const open = findOutsideSets(platform, pattern, '{')
  if (open === -1) return [pattern]
  const parts: string[] = []
  let depth = 0
  let start = open + 1
  for (let at = open; at < pattern.length; at++) {
    const char = pattern[at]
    if (char === '\\' && platform !== 'windows') at++
    else if (char === '{') depth++
    else if (char === ',' && depth === 1) {
      parts.push(pattern.slice(start, at))
      start = at + 1
    } else if (char === '}' && --depth === 0) {
      parts.push(pattern.slice(start, at))
      if (parts.length === 1) throw invalid(field, pattern, /\.\./.test(parts[0] ?? '') ? '{1..3} is not known' : 'braces without a comma: write \\{ for the character itself')
      const [before, after] = [pattern.slice(0, open), pattern.slice(at + 1)]
      const patterns = parts.flatMap(part => expandBraces(platform, before + part + after, field))
      if (patterns.length > MAX_ALTERNATIVES) throw invalid(field, pattern, `its braces stand for more than ${MAX_ALTERNATIVES} patterns`)
      return patterns
    }
  }
  throw invalid(field, pattern, 'a { is not closed')
}

/**
 * Parses one pattern without braces. Empty names and `.` are dropped, as in paths.
 *
 * @throws SandboxError `glob_invalid`, `field` = the given one: what is not known is refused, never taken as literal text
 */
export function parseGlob(platform: PlatformName, pattern: string, field: string): Glob {
  if (pattern.startsWith('!')) throw invalid(field, pattern, 'there is no negation: write \\! for the character itself')
  if (/[\u0000-\u001f\u007f]/.test(pattern)) throw invalid(field, pattern, 'it contains a control character')
  if (Buffer.byteLength(pattern) > 4095) throw invalid(field, '(too long)', 'it is longer than 4095 bytes')
  const names = pattern.split(platform === 'windows' ? /[\\/]/ : '/').filter(name => name !== '' && name !== '.')
  const segments = names.map((name): GlobSegment => {
    if (name === '..') throw invalid(field, pattern, 'it contains ".."')
    return name === '**' ? { kind: 'globstar' } : { kind: 'name', tokens: parseName(platform, name, pattern, field) }
  })
  return { pattern, segments: segments.filter(({ kind }, index) => kind !== 'globstar' || segments[index - 1]?.kind !== 'globstar') }
}

export interface MatchOptions {
  readonly ignoreCase: boolean
}

/** Whether a parsed glob names exactly this path (both absolute). Its time is bounded by the product of both lengths. */
export const globMatches = (platform: PlatformName, glob: Glob, path: string, options: MatchOptions): boolean =>
  matchSequence(glob.segments, [...rootNames(platform, path), ...namesOf(platform, path)], segment => segment.kind === 'globstar', (segment, name) =>
    segment.kind === 'name' && nameMatches(segment.tokens, name, options))

export function nameMatches(tokens: readonly GlobToken[], name: string, { ignoreCase }: MatchOptions): boolean {
  // Composed, so that a letter with its accent is one character, for `?` as for its reader.
  const fold = (text: string) => ignoreCase ? foldName(text).normalize('NFC') : text
  const units = tokens.flatMap((token): Unit[] => token.kind === 'literal' ? [...fold(token.text)] : [token])
  return matchSequence(units, [...fold(name)], unit => typeof unit === 'object' && unit.kind === 'any', (unit, char) =>
    typeof unit === 'string' ? unit === char : unit.kind === 'one' || unit.kind === 'set' && setHolds(unit, char, ignoreCase))
}

/** The text of a name that matches nothing but itself, else undefined. */
export function literalName(segment: GlobSegment): string | undefined {
  if (segment.kind === 'globstar') return undefined
  const texts = segment.tokens.map(token => token.kind === 'literal' ? token.text : undefined)
  return texts.includes(undefined) ? undefined : texts.join('')
}

/** Spells segments as a pattern again: parsing it gives the same segments. */
export const formatSegments = (platform: PlatformName, segments: readonly GlobSegment[]): string =>
  segments.map(segment => segment.kind === 'globstar' ? '**' : segment.tokens.map(token => formatToken(platform, token)).join('')).join(platform === 'windows' ? '\\' : '/')

type Unit = string | Exclude<GlobToken, { kind: 'literal' }>
type SetToken = Extract<GlobToken, { kind: 'set' }>

function formatToken(platform: PlatformName, token: GlobToken): string {
  switch (token.kind) {
    case 'literal': return escapeGlob(platform, token.text)
    case 'any': return '*'
    case 'one': return '?'
    case 'set': {
      // On Windows `]` is a character of a set only as its first one.
      const [first, others] = [token.ranges.filter(([from]) => from === ']'), token.ranges.filter(([from]) => from !== ']')]
      const char = (text: string) => platform !== 'windows' && /[\]\\^!-]/.test(text) ? `\\${text}` : text
      return `[${token.negated ? '!' : ''}${[...first, ...others].map(([from, to]) => from === to ? char(from) : `${char(from)}-${char(to)}`).join('')}]`
    }
    default: return token satisfies never
  }
}

/** Greedy, with one step back to the last wild part: enough for `*` and `**`, and never exponential. */
function matchSequence<Part, Item>(parts: readonly Part[], items: readonly Item[], isWild: (part: Part) => boolean, matches: (part: Part, item: Item) => boolean): boolean {
  let [part, item, wild, resume] = [0, 0, -1, 0]
  while (item < items.length) {
    const current = parts[part]
    if (current !== undefined && isWild(current)) {
      wild = part++
      resume = item
    } else if (current !== undefined && matches(current, items[item] as Item)) {
      part++
      item++
    } else if (wild !== -1) {
      part = wild + 1
      item = ++resume
    } else {
      return false
    }
  }
  return parts.slice(part).every(isWild)
}

function setHolds({ ranges, negated }: SetToken, char: string, ignoreCase: boolean): boolean {
  const forms = ignoreCase ? [char, char.toUpperCase(), char.toLowerCase()] : [char]
  return ranges.some(([from, to]) => forms.some(form => from <= form && form <= to)) !== negated
}

function parseName(platform: PlatformName, name: string, pattern: string, field: string): GlobToken[] {
  const tokens: GlobToken[] = []
  const chars = [...name]
  let text = ''
  const flush = () => {
    if (text !== '') tokens.push({ kind: 'literal', text })
    text = ''
  }
  for (let at = 0; at < chars.length; at++) {
    const char = chars[at] as string
    if (char === '\\' && platform !== 'windows') {
      const next = chars[++at]
      if (next === undefined) throw invalid(field, pattern, 'a backslash stands at the end of a name')
      text += next
    } else if (/[?*+@!]/.test(char) && chars[at + 1] === '(' && chars.includes(')', at)) {
      throw invalid(field, pattern, `${char}(…) is not known: write \\( for the character itself`)
    } else if (char === '*' || char === '?') {
      flush()
      if (char === '?') tokens.push({ kind: 'one' })
      else if (tokens.at(-1)?.kind !== 'any') tokens.push({ kind: 'any' })
    } else if (char === '[') {
      const { token, end } = parseSet(platform, chars, at, pattern, field)
      at = end
      const [range, ...others] = token.ranges
      // `[x]` is how Windows, which has no escape, writes a special character.
      if (range !== undefined && others.length === 0 && range[0] === range[1] && !token.negated) {
        text += range[0]
      } else {
        flush()
        tokens.push(token)
      }
    } else {
      text += char
    }
  }
  flush()
  return tokens
}

function parseSet(platform: PlatformName, chars: readonly string[], start: number, pattern: string, field: string): { token: SetToken; end: number } {
  let at = start + 1
  const negated = chars[at] === '!' || chars[at] === '^'
  if (negated) at++
  const ranges: [string, string][] = []
  const first = at
  const take = (): string => {
    const char = chars[at++]
    const taken = char === '\\' && platform !== 'windows' ? chars[at++] : char
    if (taken === undefined) throw invalid(field, pattern, 'a [ is not closed: write \\[ for the character itself')
    return taken
  }
  while (chars[at] !== ']' || at === first) {
    if (chars[at] === '[' && /[:.=]/.test(chars[at + 1] ?? '')) throw invalid(field, pattern, 'named classes such as [[:alpha:]] are not known')
    const from = take()
    if (chars[at] !== '-' || chars[at + 1] === ']') {
      ranges.push([from, from])
      continue
    }
    at++
    const to = take()
    if (to < from) throw invalid(field, pattern, `the range ${from}-${to} runs backwards`)
    ranges.push([from, to])
  }
  return { token: { kind: 'set', negated, ranges }, end: at }
}

/** The first `char` that is neither escaped nor inside `[…]`. */
function findOutsideSets(platform: PlatformName, pattern: string, char: string): number {
  for (let at = 0; at < pattern.length; at++) {
    if (pattern[at] === '\\' && platform !== 'windows') at++
    else if (pattern[at] === char) return at
    else if (pattern[at] === '[') {
      const close = pattern.indexOf(']', at + (/[!^]/.test(pattern[at + 1] ?? '') ? 3 : 2))
      if (close !== -1 && !pattern.slice(at, close).includes('/')) at = close
    }
  }
  return -1
}

/** On Windows the drive is the first name of a pattern: `C:\x` has the names `C:` and `x`. */
const rootNames = (platform: PlatformName, path: string): string[] =>
  platform === 'windows' ? path.slice(0, path.length - namesOf(platform, path).join('\\').length).split('\\').filter(Boolean) : []

const invalid = (field: string, pattern: string, detail: string) => new SandboxError('glob_invalid', { field, value: pattern }, { detail })
