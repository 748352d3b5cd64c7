// The methods of strings, lists and dicts: one row each.
import { takeArguments } from './arguments.js'
import { checkUnwalked, setKey } from './operators.js'
import { arrayOf, Builtin, type Call, Dict, elementsOf, isEqual, keyOf, List, reprOf, textOf, Tuple, typeOf, type Value, ValueError } from './values.js'

type Method<Self> = (self: Self, call: Call) => Value

const SPACE = ' \t\n\v\f\r\u0085\u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000'
const CASED = /\p{Lu}|\p{Ll}|\p{Lt}/u

const STRING_METHODS: Readonly<Record<string, Method<string>>> = {
  capitalize: (self, call) => made(call, none('capitalize', call, [...self].map((character, index) => index === 0 ? character.toUpperCase() : character.toLowerCase()).join(''))),
  codepoints: (self, call) => list(call, none('codepoints', call, [...self].map(character => character.codePointAt(0) as number))),
  count(self, call) {
    const part = text('count', call, 0)
    const found = part === '' ? [...self].length + 1 : self.split(part).length - 1
    call.budget.spend(Math.ceil(self.length / 16))
    return found
  },
  elems: (self, call) => list(call, none('elems', call, [...self])),
  endswith: (self, call) => affixes('endswith', call).some(affix => self.endsWith(affix)),
  find: (self, call) => place(self, self.indexOf(text('find', call, 0))),
  format: formatBraces,
  index: (self, call) => found(place(self, self.indexOf(text('index', call, 0)))),
  isalnum: (self, call) => none('isalnum', call, /^[\p{L}\p{N}]+$/u.test(self)),
  isalpha: (self, call) => none('isalpha', call, /^\p{L}+$/u.test(self)),
  isdigit: (self, call) => none('isdigit', call, /^\p{Nd}+$/u.test(self)),
  islower: (self, call) => none('islower', call, CASED.test(self) && self === self.toLowerCase()),
  isspace: (self, call) => none('isspace', call, new RegExp(`^[${SPACE}]+$`, 'u').test(self)),
  isupper: (self, call) => none('isupper', call, CASED.test(self) && self === self.toUpperCase()),
  join(self, call) {
    const parts = arrayOf(one('join', call), call.budget).map((part, index) => {
      if (typeof part !== 'string') throw new ValueError(`join takes strings: element ${index} is a ${typeOf(part)}`)
      return part
    })
    call.budget.make(parts.reduce((sum, part) => sum + part.length, self.length * parts.length))
    return parts.join(self)
  },
  lower: (self, call) => made(call, none('lower', call, self.toLowerCase())),
  lstrip: (self, call) => made(call, strip('lstrip', self, call, true, false)),
  partition: (self, call) => partition(self, text('partition', call, 0), call, part => self.indexOf(part), false),
  removeprefix: (self, call) => made(call, self.startsWith(text('removeprefix', call, 0)) ? self.slice(text('removeprefix', call, 0).length) : self),
  removesuffix(self, call) {
    const suffix = text('removesuffix', call, 0)
    return made(call, suffix !== '' && self.endsWith(suffix) ? self.slice(0, -suffix.length) : self)
  },
  replace(self, call) {
    const { old, new: by, count } = takeArguments('replace', call, [{ name: 'old', required: true, type: 'string' }, { name: 'new', required: true, type: 'string' }, { name: 'count', type: 'int' }])
    const parts = old === '' ? ['', ...self, ''] : self.split(old as string)
    const replaced = typeof count === 'number' && count >= 0 ? Math.min(count, parts.length - 1) : parts.length - 1
    call.budget.make(self.length + replaced * (by as string).length)
    return parts.reduce((result, part, index) => index === 0 ? part : result + (index <= replaced ? by as string : old as string) + part, '')
  },
  rfind: (self, call) => place(self, self.lastIndexOf(text('rfind', call, 0))),
  rindex: (self, call) => found(place(self, self.lastIndexOf(text('rindex', call, 0)))),
  rpartition: (self, call) => partition(self, text('rpartition', call, 0), call, part => self.lastIndexOf(part), true),
  rsplit: (self, call) => split('rsplit', self, call, true),
  rstrip: (self, call) => made(call, strip('rstrip', self, call, false, true)),
  split: (self, call) => split('split', self, call, false),
  splitlines(self, call) {
    const keep = call.positional[0] === true
    const lines = self.match(/[^\r\n]*(?:\r\n|\r|\n)|[^\r\n]+$/g) ?? []
    return list(call, lines.map(line => keep ? line : line.replace(/[\r\n]+$/, '')))
  },
  startswith: (self, call) => affixes('startswith', call).some(affix => self.startsWith(affix)),
  strip: (self, call) => made(call, strip('strip', self, call, true, true)),
  title: (self, call) => made(call, none('title', call, self.toLowerCase().replace(/(?<!\p{L})\p{L}/gu, letter => letter.toUpperCase()))),
  upper: (self, call) => made(call, none('upper', call, self.toUpperCase())),
}

const LIST_METHODS: Readonly<Record<string, Method<List>>> = {
  append(self, call) {
    changed(self)
    call.budget.make(1)
    self.items.push(one('append', call))
    return null
  },
  clear(self) {
    changed(self).items.length = 0
    return null
  },
  extend(self, call) {
    changed(self)
    for (const item of arrayOf(one('extend', call), call.budget)) self.items.push(item)
    return null
  },
  index(self, call) {
    const at = self.items.findIndex(item => isEqual(item, one('index', call), call.budget))
    if (at === -1) throw new ValueError('the list has no such element')
    return at
  },
  insert(self, call) {
    const { index, value } = takeArguments('insert', call, [{ name: 'index', required: true, type: 'int' }, { name: 'value', required: true }])
    changed(self)
    call.budget.make(1)
    call.budget.spend(Math.ceil(self.items.length / 64))
    self.items.splice(index as number, 0, value as Value)
    return null
  },
  pop(self, call) {
    const { index = -1 } = takeArguments('pop', call, [{ name: 'index', type: 'int' }])
    const at = (index as number) < 0 ? (index as number) + self.items.length : index as number
    if (at < 0 || at >= self.items.length) throw new ValueError(`there is no index ${index}: ${self.items.length} elements`)
    call.budget.spend(Math.ceil(self.items.length / 64))
    return changed(self).items.splice(at, 1)[0] as Value
  },
  remove(self, call) {
    const at = self.items.findIndex(item => isEqual(item, one('remove', call), call.budget))
    if (at === -1) throw new ValueError('the list has no such element')
    changed(self).items.splice(at, 1)
    return null
  },
}

const DICT_METHODS: Readonly<Record<string, Method<Dict>>> = {
  clear(self) {
    changed(self).entries.clear()
    return null
  },
  get(self, call) {
    const { key, default: fallback } = takeArguments('get', call, [{ name: 'key', required: true }, { name: 'default' }])
    return self.entries.get(keyOf(key as Value, call.budget))?.value ?? fallback ?? null
  },
  items: (self, call) => list(call, [...self.entries.values()].map(({ key, value }) => new Tuple([key, value]))),
  keys: (self, call) => list(call, [...self.entries.values()].map(({ key }) => key)),
  pop(self, call) {
    const { key, default: fallback } = takeArguments('pop', call, [{ name: 'key', required: true }, { name: 'default' }])
    const text = keyOf(key as Value, call.budget)
    const entry = self.entries.get(text)
    if (entry === undefined && fallback === undefined) throw new ValueError(`there is no key ${reprOf(key as Value, call.budget)}`)
    changed(self).entries.delete(text)
    return entry === undefined ? fallback as Value : entry.value
  },
  popitem(self) {
    const [text, entry] = [...self.entries][0] ?? []
    if (text === undefined || entry === undefined) throw new ValueError('the dict is empty')
    changed(self).entries.delete(text)
    return new Tuple([entry.key, entry.value])
  },
  setdefault(self, call) {
    const { key, default: fallback } = takeArguments('setdefault', call, [{ name: 'key', required: true }, { name: 'default' }])
    const entry = self.entries.get(keyOf(key as Value, call.budget))
    if (entry !== undefined) return entry.value
    setKey(self, key as Value, fallback ?? null, call.budget)
    return fallback ?? null
  },
  update(self, call) {
    changed(self)
    for (const from of call.positional) {
      if (from instanceof Dict) for (const { key, value } of [...from.entries.values()]) setKey(self, key, value, call.budget)
      else for (const pair of elementsOf(from, call.budget)) {
        const [key, value, ...more] = arrayOf(pair, call.budget)
        if (key === undefined || value === undefined || more.length > 0) throw new ValueError('update takes pairs of a key and a value')
        setKey(self, key, value, call.budget)
      }
    }
    for (const [name, value] of call.named) setKey(self, name, value, call.budget)
    return null
  },
  values: (self, call) => list(call, [...self.entries.values()].map(({ value }) => value)),
}

/** The method of that name, bound to `self`. @throws ValueError where there is none */
export function methodOf(self: Value, name: string): Builtin {
  const bind = <Self>(methods: Readonly<Record<string, Method<Self>>>, value: Self): Builtin | undefined => {
    const method = Object.hasOwn(methods, name) ? methods[name] : undefined
    return method === undefined ? undefined : new Builtin(name, call => {
      if (typeof value === 'string') call.budget.spend(Math.ceil(value.length / 16))
      if (value instanceof Dict) call.budget.spend(Math.ceil(value.entries.size / 16))
      return method(value, call)
    })
  }
  const found = typeof self === 'string' ? bind(STRING_METHODS, self) : self instanceof List ? bind(LIST_METHODS, self) : self instanceof Dict ? bind(DICT_METHODS, self) : undefined
  if (found === undefined) throw new ValueError(`a ${typeOf(self)} has no \`.${name}\``)
  return found
}

function changed<T extends List | Dict>(value: T): T {
  checkUnwalked(value)
  return value
}

function made(call: Call, text: string): string {
  call.budget.make(text.length)
  return text
}

function list(call: Call, items: Value[]): List {
  call.budget.make(items.length)
  return new List(items)
}

function none<T>(name: string, { positional, named }: Call, value: T): T {
  if (positional.length + named.size > 0) throw new ValueError(`${name} takes no arguments`)
  return value
}

function one(name: string, { positional, named }: Call): Value {
  const [value] = positional
  if (value === undefined || positional.length > 1 || named.size > 0) throw new ValueError(`${name} takes one argument`)
  return value
}

function text(name: string, { positional, named }: Call, index: number): string {
  const value = positional[index]
  if (typeof value !== 'string' || positional.length > 1 || named.size > 0) throw new ValueError(`${name} takes one string`)
  return value
}

/** A string, or a tuple of them. */
function affixes(name: string, call: Call): string[] {
  const value = one(name, call)
  const all = value instanceof Tuple ? value.items : [value]
  return all.map(each => {
    if (typeof each !== 'string') throw new ValueError(`${name} takes a string or a tuple of strings`)
    return each
  })
}

/** An offset as a number of characters. */
const place = (self: string, offset: number): number => offset === -1 ? -1 : [...self.slice(0, offset)].length

function found(at: number): number {
  if (at === -1) throw new ValueError('the string does not contain it')
  return at
}

function strip(name: string, self: string, call: Call, left: boolean, right: boolean): string {
  const given = call.positional.length === 0 ? undefined : text(name, call, 0)
  const cut = given === undefined ? new RegExp(`[${SPACE}]`, 'u') : undefined
  call.budget.spend(Math.ceil((given?.length ?? 0) / 16))
  const wanted = new Set(given)
  const goes = (character: string | undefined): boolean => character !== undefined && (cut === undefined ? wanted.has(character) : cut.test(character))
  const characters = [...self]
  let [start, end] = [0, characters.length]
  while (left && start < end && goes(characters[start])) start++
  while (right && end > start && goes(characters[end - 1])) end--
  return characters.slice(start, end).join('')
}

function partition(self: string, by: string, call: Call, find: (part: string) => number, last: boolean): Tuple {
  if (by === '') throw new ValueError('a string is not divided at nothing')
  call.budget.make(self.length)
  const at = find(by)
  if (at === -1) return new Tuple(last ? ['', '', self] : [self, '', ''])
  return new Tuple([self.slice(0, at), by, self.slice(at + by.length)])
}

function split(name: 'split' | 'rsplit', self: string, call: Call, fromRight: boolean): List {
  const { sep = null, maxsplit = -1 } = takeArguments(name, call, [{ name: 'sep' }, { name: 'maxsplit', type: 'int' }])
  if (sep === '') throw new ValueError('a string is not divided at nothing')
  if (sep !== null && typeof sep !== 'string') throw new ValueError(`${name} takes a string`)
  const most = (maxsplit as number) < 0 ? Number.POSITIVE_INFINITY : maxsplit as number
  const parts = sep === null ? splitBlanks(self, most, fromRight) : splitAt(self, sep, most, fromRight)
  call.budget.make(self.length + parts.length)
  return new List(parts)
}

function splitAt(self: string, by: string, most: number, fromRight: boolean): string[] {
  const parts = self.split(by)
  if (parts.length - 1 <= most) return parts
  return fromRight ? [parts.slice(0, parts.length - most).join(by), ...parts.slice(parts.length - most)] : [...parts.slice(0, most), parts.slice(most).join(by)]
}

function splitBlanks(self: string, most: number, fromRight: boolean): string[] {
  const words = [...self.matchAll(new RegExp(`[^${SPACE}]+`, 'gu'))]
  if (words.length - 1 <= most) return words.map(([word]) => word)
  const end = (word: RegExpExecArray) => word.index + word[0].length
  if (fromRight) {
    const first = words.length - most
    return [self.slice((words[0] as RegExpExecArray).index, end(words[first - 1] as RegExpExecArray)), ...words.slice(first).map(([word]) => word)]
  }
  return [...words.slice(0, most).map(([word]) => word), self.slice((words[most] as RegExpExecArray).index, end(words.at(-1) as RegExpExecArray))]
}

/** `{}`, `{0}` and `{name}`; `{{` and `}}` stand for themselves. */
function formatBraces(self: string, call: Call): string {
  let next = 0
  call.budget.make(self.length)
  return self.replace(/\{\{|\}\}|\{([^{}]*)\}|[{}]/g, (whole, name: string | undefined) => {
    if (whole === '{{' || whole === '}}') return whole.charAt(0)
    if (name === undefined) throw new ValueError('format: a single brace: write {{ or }} for the character')
    const value = name === '' ? call.positional[next++] : /^[0-9]{1,4}$/.test(name) ? call.positional[Number(name)] : call.named.get(name)
    if (value === undefined) throw new ValueError(`format: there is no value for {${name}}`)
    return made(call, textOf(value, call.budget))
  })
}
