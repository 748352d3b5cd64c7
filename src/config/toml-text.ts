// TOML text → its tables, and where each key stands in it. smol-toml reads; the places are found here, since it tells those of syntax errors only.
import { parse, TomlError } from 'smol-toml'
import { SandboxError, type TextPlace } from '../errors.js'

export type TomlTable = { readonly [key: string]: unknown }
/** Names of tables and keys, and indexes of lists. */
export type TomlPath = readonly (string | number)[]

export interface TomlText {
  readonly value: TomlTable
  /** Where the value at `path` stands, else the nearest table or list around it that is written down. */
  place(path: TomlPath): TextPlace
}

/** As the reference reads whole files into memory, and merging goes down from table to table: far above any real configuration. */
export const MOST_BYTES = 1 << 20
const MOST_LEVELS = 32
/** Of a key with more names than that only the first have places: each is a path of its own. */
const MOST_PLACED = MOST_LEVELS + 2

/**
 * @param file   its path, or what else errors call it
 * @throws SandboxError `config_invalid`, with the place
 */
export function readToml(text: string, file: string): TomlText {
  const at = (offset: number): TextPlace => ({ file, ...lineAndColumn(text, offset) })
  const refuse = (offset: number, detail: string): SandboxError => new SandboxError('config_invalid', { field: 'TOML', value: undefined }, { detail, source: at(offset) })
  if (Buffer.byteLength(text) > MOST_BYTES) throw refuse(0, `it is larger than ${MOST_BYTES} bytes`)
  const nul = text.indexOf('\0')
  if (nul !== -1) throw refuse(nul, 'it contains NUL')
  const value = parseText(text, file)
  const deep = tooDeep(value)
  if (deep !== undefined) throw refuse(placesOf(text).get(keyOf(deep)) ?? 0, `tables and lists stand in each other at most ${MOST_LEVELS} levels deep`)
  let places: ReadonlyMap<string, number> | undefined
  return {
    value,
    place(path) {
      places ??= placesOf(text)
      for (let length = path.length; length > 0; length--) {
        const offset = places.get(keyOf(path.slice(0, length)))
        if (offset !== undefined) return at(offset)
      }
      return at(0)
    },
  }
}

function parseText(text: string, file: string): TomlTable {
  try {
    return parse(text, { maxDepth: 100 })
  } catch (error) {
    if (!(error instanceof TomlError)) throw error
    const [first = '', ...more] = error.message.replace(/^Invalid TOML document: /, '').split('\n')
    const detail = more.length > 0 ? first : error.message
    throw new SandboxError('config_invalid', { field: 'TOML', value: undefined }, { detail, source: { file, line: error.line, column: error.column }, cause: error })
  }
}

/** The first path that is deeper than tables may be. Without recursion: a dotted key makes as many levels as it has dots. */
function tooDeep(value: TomlTable): TomlPath | undefined {
  const left: { path: TomlPath; value: unknown }[] = [{ path: [], value }]
  for (let each = left.pop(); each !== undefined; each = left.pop()) {
    if (!isTableOrList(each.value)) continue
    if (each.path.length >= MOST_LEVELS) return each.path
    for (const [key, inner] of Object.entries(each.value)) left.push({ path: [...each.path, Array.isArray(each.value) ? Number(key) : key], value: inner })
  }
  return undefined
}

const isTableOrList = (value: unknown): value is object => typeof value === 'object' && value !== null && !(value instanceof Date)

/** No name can hold NUL, since the text cannot; but `\u0000` in a quoted key can, so names are told apart by JSON. */
const keyOf = (path: TomlPath): string => JSON.stringify(path)

function lineAndColumn(text: string, offset: number): { line: number; column: number } {
  const before = text.slice(0, offset)
  const start = before.lastIndexOf('\n') + 1
  return { line: before.split('\n').length, column: offset - start + 1 }
}

/**
 * Path → the offset of its value; of a table, of its header. The text is known to be right, so what is no quote and no bracket is passed over.
 */
function placesOf(text: string): Map<string, number> {
  const places = new Map<string, number>()
  /** How many elements each list of tables has so far. */
  const lists = new Map<string, number>()
  let at = text.charCodeAt(0) === 0xfeff ? 1 : 0
  let table: TomlPath = []

  const endOf = (pattern: RegExp, start: number): number => {
    pattern.lastIndex = start
    pattern.test(text)
    return pattern.lastIndex
  }
  const note = (path: TomlPath, offset: number): void => { if (!places.has(keyOf(path))) places.set(keyOf(path), offset) }
  const skipSpace = (): void => {
    for (;;) {
      at = endOf(/[ \t\r\n]*/y, at)
      if (text[at] !== '#') return
      const end = text.indexOf('\n', at)
      at = end === -1 ? text.length : end
    }
  }
  const skipString = (): string => {
    const start = at
    const quote = text[at] as string
    const fence = text.startsWith(quote.repeat(3), at) ? quote.repeat(3) : quote
    at += fence.length
    while (at < text.length && !text.startsWith(fence, at)) at += quote === '"' && text[at] === '\\' ? 2 : 1
    at += fence.length
    // `""""` at the end of a long string: up to two quotes belong to it.
    if (fence.length === 3) while (text[at] === quote) at++
    return text.slice(start, at)
  }
  const readKey = (end: string): string[] => {
    const names: string[] = []
    for (skipSpace(); at < text.length && text[at] !== end; skipSpace()) {
      if (text[at] === '.') at++
      else if (text[at] === '"' || text[at] === '\'') names.push(String(parse(`key = ${skipString()}`)['key']))
      else {
        const start = at
        at = endOf(/[\w-]*/y, at)
        names.push(text.slice(start, at))
        // What no key can hold; the parser would have refused it.
        if (at === start) at++
      }
    }
    at++
    return names
  }
  /** A header's names, with the last index of each list of tables on the way. */
  const inLists = (names: readonly string[]): TomlPath => names.reduce<TomlPath>((path, name) => {
    const next = [...path, name]
    const count = lists.get(keyOf(next))
    return count === undefined ? next : [...next, count - 1]
  }, [])
  const readValue = (path: TomlPath): void => {
    skipSpace()
    places.set(keyOf(path), at)
    switch (text[at]) {
      case '"': case '\'': skipString(); return
      case '[': {
        at++
        for (let index = 0; ; index++) {
          skipSpace()
          if (text[at] === ']' || at >= text.length) break
          readValue([...path, index])
          skipSpace()
          if (text[at] === ',') at++
        }
        at++
        return
      }
      case '{': {
        at++
        for (;;) {
          skipSpace()
          if (text[at] === '}' || at >= text.length) break
          readPair(path)
          skipSpace()
          if (text[at] === ',') at++
        }
        at++
        return
      }
      default: at = endOf(/[^,\]}#\r\n]*/y, at)
    }
  }
  const readPair = (under: TomlPath): void => {
    const start = at
    const names = readKey('=')
    for (let length = 1; length < Math.min(names.length, MOST_PLACED); length++) note([...under, ...names.slice(0, length)], start)
    readValue([...under, ...names])
  }

  for (skipSpace(); at < text.length; skipSpace()) {
    const start = at
    if (text[at] !== '[') {
      readPair(table)
      continue
    }
    const isList = text[at + 1] === '['
    at += isList ? 2 : 1
    const names = readKey(']')
    if (isList) {
      at++
      const list = [...inLists(names.slice(0, -1)), names.at(-1) as string]
      lists.set(keyOf(list), (lists.get(keyOf(list)) ?? 0) + 1)
      note(list, start)
    }
    for (let length = 1; length <= Math.min(names.length, MOST_PLACED); length++) note(inLists(names.slice(0, length)), start)
    table = inLists(names)
  }
  return places
}
