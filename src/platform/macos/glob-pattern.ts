// Deny globs as regular expressions of a profile, and what remains of a glob below one of the folders that it passes through.
import { type Glob, type GlobSegment, type GlobToken, nameMatches } from '../../policy/glob.js'
import { namesOf } from '../../policy/path-syntax.js'
import { ASCII_SIGNS } from './name-pattern.js'
import { quoteRegex } from './sbpl/regex.js'

/** The end of the name that was matched, or a name below it. */
export const HERE_AND_BELOW = '($|/)'

/** One character of a name in ASCII. */
const ASCII_ONE = '[ -.0-~]'
/** One outside it: the kernel matches bytes, and such a character has several. More of them pass as one. */
const OTHER_ONE = '[^ -~]+'
/** Where forms make no other name, also a letter with an accent of its own. */
const other = (ignoreCase: boolean): string => ignoreCase ? `${ASCII_ONE}?${OTHER_ONE}` : OTHER_ONE

/**
 * How names are written: `ignoreCase` with the function of `nameSpeller`, so that every spelling matches.
 */
export interface Spelling {
  readonly ignoreCase: boolean
  readonly spell: (name: string) => string
}

/**
 * The source that matches each path that `segments` name, as far as they go; anchored at its start by `before`. Beyond ASCII it may
 * match more; never less, but for a ligature (`ﬁ`) half of which a wild character would have to match.
 */
export function globSource(before: string, segments: readonly GlobSegment[], spelling: Spelling): string {
  return `^${before}${segments.map(segment => segment.kind === 'globstar' ? '(/.*)?' : `/${segment.tokens.map(token => tokenSource(token, spelling)).join('')}`).join('')}`
}

/**
 * What of `glob` is still to match below `folder`: one list of segments for each way in which the names of `folder` use up
 * its beginning; an empty list where `folder` itself is named. Pure.
 */
export function remainders(glob: Glob, folder: string, ignoreCase: boolean): readonly (readonly GlobSegment[])[] {
  const { segments } = glob
  const reachable = (states: Iterable<number>): Set<number> => {
    const all = new Set<number>()
    for (let state of states) for (all.add(state); segments[state]?.kind === 'globstar'; all.add(state)) state++
    return all
  }
  let states = reachable([0])
  for (const name of namesOf('macos', folder)) {
    states = reachable([...states].flatMap(state => {
      const segment = segments[state]
      if (segment === undefined) return []
      if (segment.kind === 'globstar') return [state]
      return nameMatches(segment.tokens, name, { ignoreCase }) ? [state + 1] : []
    }))
  }
  // Behind a `**` that stays, what follows it is matched too: that state says nothing more.
  const implied = new Set([...states].flatMap(state => segments[state]?.kind === 'globstar' ? [...reachable([state])].filter(other => other !== state) : []))
  return [...states].filter(state => !implied.has(state)).sort((a, b) => a - b).map(state => segments.slice(state))
}

function tokenSource(token: GlobToken, { ignoreCase, spell }: Spelling): string {
  switch (token.kind) {
    case 'literal': return ignoreCase ? spell(token.text) : quoteRegex(token.text)
    case 'any': return '[^/]*'
    case 'one': return `(${ASCII_ONE}|${other(ignoreCase)})`
    case 'set': return setSource(token, ignoreCase)
    default: return token satisfies never
  }
}

/** Printable ASCII but the separator, in order. */
const ASCII = Array.from({ length: 0x7f - 0x20 }, (_, index) => String.fromCharCode(0x20 + index)).filter(char => char !== '/')

/** ASCII exactly; of all other characters any, where the set may hold one. */
function setSource(token: Extract<GlobToken, { kind: 'set' }>, ignoreCase: boolean): string {
  const ascii = ASCII.filter(char => nameMatches([token], char, { ignoreCase }))
  // What means something inside `[…]` stands outside of it.
  const special = ascii.filter(char => /[\]\\^[-]/.test(char)).map(quoteRegex)
  const plain = ascii.filter(char => !/[\]\\^[-]/.test(char))
  const others = token.negated || token.ranges.some(([, to]) => to > '~')
  const signs = others || !ignoreCase ? [] : ascii.flatMap(char => ASCII_SIGNS[char] ?? [])
  const sources = [...(plain.length === 0 ? [] : [`[${ranges(plain)}]`]), ...special, ...signs, ...(others ? [other(ignoreCase)] : [])]
  // A set without members matches no name: no path has two separators in a row.
  return sources.length === 0 ? '//' : sources.length === 1 ? sources[0] as string : `(${sources.join('|')})`
}

function ranges(chars: readonly string[]): string {
  const runs: string[][] = []
  for (const char of chars) {
    const run = runs.at(-1)
    if (run !== undefined && (run.at(-1) as string).charCodeAt(0) + 1 === char.charCodeAt(0)) run.push(char)
    else runs.push([char])
  }
  return runs.map(run => run.length > 2 ? `${run[0]}-${run.at(-1)}` : run.join('')).join('')
}
