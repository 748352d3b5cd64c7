// File names as regular expressions of a profile: in every spelling that a file system takes for the same name.
import { foldName } from '../../policy/letter-case.js'
import { quoteRegex } from './sbpl/regex.js'

/** More ways to write one part than this, and the part is matched by its letters and any others. */
const MOST_WAYS = 64
/** What one character folds to is no longer than this. */
const LONGEST_FOLD = 4

/** What HFS+ leaves out when it compares names (TN1150). */
export const LEFT_OUT = '\u200c\u200d\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u206a\u206b\u206c\u206d\u206e\u206f\ufeff'
const ANY_LEFT_OUT = `(${[...LEFT_OUT].join('|')})*`

/** Characters that fold to ASCII, by what they fold to. A test holds it against all of Unicode. */
export const ASCII_SIGNS: Readonly<Record<string, readonly string[]>> = {
  ';': ['\u037e'], '`': ['\u1fef'], k: ['\u212a'], s: ['\u017f'], ss: ['\u00df', '\u1e9e'], ff: ['\ufb00'], fi: ['\ufb01'], fl: ['\ufb02'], ffi: ['\ufb03'], ffl: ['\ufb04'], st: ['\ufb05', '\ufb06'],
}

/**
 * Gives a function that writes the source for every spelling of a name that a case-insensitive file system takes for it:
 * letter case, composed and decomposed characters, ligatures and other signs that fold to its letters. Pure.
 *
 * What HFS+ leaves out of a name (a zero-width joiner) may stand behind characters outside of ASCII. Behind others it is not in
 * it: no command can make such a name (profiles/last.sbpl).
 * What is longer than one byte stands in no `[…]`, because the kernel matches bytes. A part with too many spellings is
 * matched by more than them, never by fewer.
 */
export function nameSpeller(): (name: string) => string {
  let table: ReadonlyMap<string, readonly string[]> | undefined
  const signsFor = (folded: string): readonly string[] => {
    if (isAscii(folded)) return [...(/^[a-z]$/.test(folded) ? [folded.toUpperCase()] : []), ...(Object.hasOwn(ASCII_SIGNS, folded) ? ASCII_SIGNS[folded] as readonly string[] : [])]
    table ??= foldingSigns()
    return [...table.get(folded) ?? [], ...hangulSyllable(folded)]
  }
  const ofOne = (char: string): string => {
    const signs = [char, ...signsFor(char)]
    const ascii = signs.filter(isAscii)
    const written = oneOf([...(ascii.length > 1 ? [`[${ascii.join('')}]`] : ascii.map(quoteRegex)), ...signs.filter(sign => !isAscii(sign)).map(quoteRegex)])
    return written === '' || isAscii(char) ? written : written + ANY_LEFT_OUT
  }
  const ofSome = (folded: string): string => {
    const written = oneOf(signsFor(folded).map(quoteRegex))
    return written === '' || isAscii(folded) ? written : written + ANY_LEFT_OUT
  }
  /** Adds the source of each way to write `rest` after `before`; false where there are too many. */
  const addWays = (rest: readonly string[], before: string, ways: Set<string>): boolean => {
    if (rest.length === 0) return ways.add(before).size <= MOST_WAYS
    for (let length = 1; length <= Math.min(LONGEST_FOLD, rest.length); length++) {
      const source = length === 1 ? ofOne(rest[0] as string) : ofSome(rest.slice(0, length).join(''))
      if (source !== '' && !addWays(rest.slice(length), before + source, ways)) return false
    }
    return true
  }
  const ofPart = (part: readonly string[]): string => {
    if (part.length === 1) return ofOne(part[0] as string)
    const ways = new Set<string>()
    return markOrders(part).every(order => addWays(order, '', ways)) ? oneOf([...ways]) : anyOf(part)
  }
  /** Up to where characters belong together: a sign may stand for several letters, and the marks of a letter change places. */
  const partEnd = (target: readonly string[], start: number): number => {
    let end = start + 1
    for (let at = start; at < end; at++) {
      while (end < target.length && isMark(target[end] as string)) end++
      for (let length = 2; length <= LONGEST_FOLD && at + length <= target.length; length++) {
        if (signsFor(target.slice(at, at + length).join('')).length > 0) end = Math.max(end, at + length)
      }
    }
    return end
  }
  return name => {
    const target = [...foldName(name)]
    const parts: string[] = []
    for (let start = 0; start < target.length;) {
      const end = partEnd(target, start)
      parts.push(ofPart(target.slice(start, end)))
      start = end
    }
    return parts.join('')
  }
}

const oneOf = (sources: readonly string[]): string => sources.length === 0 ? '' : sources.length === 1 ? sources[0] as string : `(${sources.join('|')})`

/** Any text of the same ASCII letters, and of others. */
function anyOf(part: readonly string[]): string {
  const letters = [...new Set(part.filter(isAscii))].map(char => /^[a-z]$/.test(char) ? `[${char}${char.toUpperCase()}]` : quoteRegex(char))
  return `(${[...letters, '[^ -~]'].join('|')})+`
}

const isAscii = (text: string): boolean => /^[\x20-\x7e]*$/.test(text)
const isMark = (char: string): boolean => /^\p{M}$/u.test(char)

/** The orders in which the marks of one letter may stand: file systems sort them before they compare. */
function markOrders(part: readonly string[]): readonly (readonly string[])[] {
  const [letter, ...marks] = part as [string, ...string[]]
  if (marks.length < 2 || marks.length > 4 || !marks.every(isMark)) return [part]
  const sorted = part.join('').normalize('NFD')
  return permutations(marks).map(order => [letter, ...order]).filter(order => order.join('').normalize('NFD') === sorted)
}

const permutations = (items: readonly string[]): string[][] =>
  items.length <= 1 ? [[...items]] : items.flatMap((item, index) => permutations(items.toSpliced(index, 1)).map(rest => [item, ...rest]))

/** Every character that folds to another text, by that text. */
function foldingSigns(): ReadonlyMap<string, readonly string[]> {
  const found = new Map<string, string[]>()
  for (let code = 0x80; code < 0x20000; code++) {
    // Hangul syllables are composed by rule; surrogates are no characters.
    if (code === 0xac00) code = 0xe000
    const char = String.fromCodePoint(code)
    const folded = foldName(char)
    if (folded !== char && folded !== '') found.set(folded, [...found.get(folded) ?? [], char])
  }
  return found
}

function hangulSyllable(folded: string): readonly string[] {
  const composed = folded.normalize('NFC')
  return composed !== folded && /^[\uac00-\ud7a3]$/.test(composed) ? [composed] : []
}
