// The functions that every file finds: no files, no clock, no randomness, nothing printed.
import { takeArguments } from './arguments.js'
import { setKey } from './operators.js'
import { arrayOf, Builtin, type Call, compare, Dict, elementsOf, exact, isTrue, List, Range, reprOf, textOf, Tuple, typeOf, type Value, ValueError } from './values.js'

const FUNCTIONS: Readonly<Record<string, (call: Call) => Value>> = {
  abs: call => exact(Math.abs(number('abs', only('abs', call)))),
  all: call => [...elementsOf(only('all', call), call.budget)].every(isTrue),
  any: call => [...elementsOf(only('any', call), call.budget)].some(isTrue),
  bool: call => isTrue(atMostOne('bool', call) ?? false),
  chr: call => character(only('chr', call)),
  dict: makeDict,
  enumerate(call) {
    const { items, start } = takeArguments('enumerate', call, [{ name: 'items', required: true }, { name: 'start', type: 'int' }])
    return new List(arrayOf(items as Value, call.budget).map((item, index) => new Tuple([exact(index + Number(start ?? 0)), item])))
  },
  fail(call) {
    throw new ValueError(call.positional.map(value => textOf(value, call.budget)).join(' ') || 'fail()')
  },
  int: call => toInt(call),
  len(call) {
    const value = only('len', call)
    if (typeof value === 'string') {
      call.budget.spend(Math.ceil(value.length / 16))
      return [...value].length
    }
    if (value instanceof List || value instanceof Tuple) return value.items.length
    if (value instanceof Dict) return value.entries.size
    if (value instanceof Range) return exact(value.length)
    throw new ValueError(`a ${typeOf(value)} has no length`)
  },
  list: call => new List(listOf('list', call)),
  max: call => extreme('max', call, 1),
  min: call => extreme('min', call, -1),
  ord(call) {
    const value = only('ord', call)
    if (typeof value !== 'string' || [...value].length !== 1) throw new ValueError('ord takes one character')
    return value.codePointAt(0) as number
  },
  range(call) {
    const numbers = call.positional.map(value => number('range', value))
    if (call.named.size > 0 || numbers.length < 1 || numbers.length > 3) throw new ValueError('range takes one to three numbers')
    const [from, to, step] = numbers.length === 1 ? [0, numbers[0] as number, 1] : [numbers[0] as number, numbers[1] as number, numbers[2] ?? 1]
    if (step === 0) throw new ValueError('a range does not step by 0')
    return new Range(from, to, step)
  },
  repr: call => reprOf(only('repr', call), call.budget),
  reversed: call => new List(arrayOf(only('reversed', call), call.budget).reverse()),
  sorted: sort,
  str: call => textOf(only('str', call), call.budget),
  tuple: call => new Tuple(listOf('tuple', call)),
  type: call => typeOf(only('type', call)),
  zip(call) {
    if (call.named.size > 0) throw new ValueError('zip takes no names')
    const columns = call.positional.map(value => arrayOf(value, call.budget))
    const rows = columns.reduce((least, { length }) => Math.min(least, length), Number.POSITIVE_INFINITY)
    return new List(columns.length === 0 ? [] : Array.from({ length: rows }, (_, row) => new Tuple(columns.map(column => column[row] as Value))))
  },
}

/** A fresh table, so that no file sees what another one did. */
export const builtins = (): Map<string, Value> => new Map(Object.entries(FUNCTIONS).map(([name, call]) => [name, new Builtin(name, call)]))

function atMostOne(name: string, { positional, named }: Call): Value | undefined {
  if (named.size > 0 || positional.length > 1) throw new ValueError(`${name} takes one argument`)
  return positional[0]
}

function only(name: string, call: Call): Value {
  const value = atMostOne(name, call)
  if (value === undefined) throw new ValueError(`${name} takes one argument`)
  return value
}

const listOf = (name: string, call: Call): Value[] => {
  const value = atMostOne(name, call)
  return value === undefined ? [] : arrayOf(value, call.budget)
}

function number(name: string, value: Value): number {
  if (typeof value !== 'number') throw new ValueError(`${name} takes numbers, not a ${typeOf(value)}`)
  return value
}

function character(value: Value): string {
  const code = number('chr', value)
  if (code < 0 || code > 0x10ffff || (code >= 0xd800 && code <= 0xdfff)) throw new ValueError(`${code} is no character`)
  return String.fromCodePoint(code)
}

function toInt(call: Call): number {
  const value = only('int', call)
  if (typeof value === 'boolean') return Number(value)
  if (typeof value === 'number') return value
  if (typeof value === 'string' && /^[+-]?[0-9]{1,16}$/.test(value)) return exact(Number(value))
  throw new ValueError(`${reprOf(value, call.budget)} is no whole number`)
}

function makeDict(call: Call): Dict {
  const dict = new Dict()
  const from = call.positional.length > 1 ? undefined : call.positional[0]
  if (call.positional.length > 1) throw new ValueError('dict takes at most one argument without a name')
  if (from instanceof Dict) for (const { key, value } of from.entries.values()) setKey(dict, key, value, call.budget)
  else if (from !== undefined) {
    for (const pair of elementsOf(from, call.budget)) {
      const [key, value, ...more] = arrayOf(pair, call.budget)
      if (key === undefined || value === undefined || more.length > 0) throw new ValueError('dict takes pairs of a key and a value')
      setKey(dict, key, value, call.budget)
    }
  }
  for (const [name, value] of call.named) setKey(dict, name, value, call.budget)
  return dict
}

function extreme(name: 'min' | 'max', call: Call, sign: 1 | -1): Value {
  const key = call.named.get('key')
  if (call.named.size > (key === undefined ? 0 : 1)) throw new ValueError(`${name} has only the name \`key\``)
  const values = call.positional.length === 1 ? arrayOf(call.positional[0] as Value, call.budget) : call.positional
  const [first, ...others] = values.map(value => ({ value, key: key === undefined ? value : call.callBack(key, [value]) }))
  if (first === undefined) throw new ValueError(`${name} of nothing`)
  return others.reduce((best, each) => sign * compare(each.key, best.key, call.budget) > 0 ? each : best, first).value
}

function sort(call: Call): List {
  const { items, key, reverse } = takeArguments('sorted', call, [{ name: 'items', required: true }, { name: 'key', type: 'function' }, { name: 'reverse', type: 'bool' }])
  const rows = arrayOf(items as Value, call.budget).map(value => ({ value, key: key === undefined ? value : call.callBack(key, [value]) }))
  const sign = reverse === true ? -1 : 1
  return new List(rows.sort((a, b) => sign * compare(a.key, b.key, call.budget)).map(({ value }) => value))
}
