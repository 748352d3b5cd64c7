// The values of the language: their types, equality, order and text.
import type { Budget } from './budget.js'
import type { Span } from './source.js'
import type { FunctionBody } from './syntax.js'

/** Strings are sequences of code points; whole numbers are exact up to 2^53. */
export type Value = null | boolean | number | string | List | Tuple | Dict | Range | Closure | Builtin

/** What an operation that is not understood says; where is known by whoever called it. */
export class ValueError extends Error {
  override readonly name = 'ValueError'
}

export class List {
  /** Loops that walk over it: it may not change meanwhile. */
  walked = 0
  readonly items: Value[]
  constructor(items: Value[]) {
    this.items = items
  }
}

export class Tuple {
  readonly items: readonly Value[]
  constructor(items: readonly Value[]) {
    this.items = items
  }
}

/** Keeps the order in which keys came. */
export class Dict {
  walked = 0
  readonly entries = new Map<string, { readonly key: Value; value: Value }>()
}

/** Never laid out: `range(10 ** 9)` costs nothing until it is walked over. */
export class Range {
  readonly from: number
  readonly to: number
  readonly step: number
  constructor(from: number, to: number, step: number) {
    this.from = from
    this.to = to
    this.step = step
  }
  get length(): number {
    return Math.max(0, Math.ceil((this.to - this.from) / this.step))
  }
  at(index: number): number {
    return this.from + index * this.step
  }
}

/** Names and their values, and where to look for others. */
export interface Scope {
  readonly names: Map<string, Value>
  readonly locals: ReadonlySet<string>
  readonly outer: Scope | undefined
}

export class Closure {
  readonly body: FunctionBody
  readonly fallbacks: ReadonlyMap<string, Value>
  readonly scope: Scope
  constructor(body: FunctionBody, fallbacks: ReadonlyMap<string, Value>, scope: Scope) {
    this.body = body
    this.fallbacks = fallbacks
    this.scope = scope
  }
}

export interface Call {
  readonly positional: readonly Value[]
  readonly named: ReadonlyMap<string, Value>
  /** The call as it is written. */
  readonly span: Span
  readonly budget: Budget
  /** Calls a function that was given as an argument. */
  readonly callBack: (callee: Value, positional: readonly Value[]) => Value
}

export class Builtin {
  readonly name: string
  readonly call: (call: Call) => Value
  constructor(name: string, call: (call: Call) => Value) {
    this.name = name
    this.call = call
  }
}

/** Lists in lists that are compared, printed or used as keys. */
const MAX_NESTING = 50

export function typeOf(value: Value): string {
  if (value === null) return 'NoneType'
  switch (typeof value) {
    case 'boolean': return 'bool'
    case 'number':  return 'int'
    case 'string':  return 'string'
    default:
  }
  if (value instanceof List) return 'list'
  if (value instanceof Tuple) return 'tuple'
  if (value instanceof Dict) return 'dict'
  if (value instanceof Range) return 'range'
  return 'function'
}

export function isTrue(value: Value): boolean {
  if (value instanceof List || value instanceof Tuple) return value.items.length > 0
  if (value instanceof Dict) return value.entries.size > 0
  if (value instanceof Range) return value.length > 0
  return Boolean(value)
}

/** Each element once; a dict gives its keys. @throws ValueError */
export function* elementsOf(value: Value, budget: Budget): Generator<Value> {
  if (value instanceof Range) {
    for (let index = 0; index < value.length; index++) {
      budget.spend(1)
      yield value.at(index)
    }
    return
  }
  if (value instanceof Tuple) {
    for (const item of value.items) {
      budget.spend(1)
      yield item
    }
    return
  }
  if (!(value instanceof List || value instanceof Dict)) throw new ValueError(`a ${typeOf(value)} has no elements to walk over${typeof value === 'string' ? ': use .elems()' : ''}`)
  value.walked++
  try {
    for (const item of value instanceof List ? value.items : [...value.entries.values()].map(({ key }) => key)) {
      budget.spend(1)
      yield item
    }
  } finally {
    value.walked--
  }
}

export function arrayOf(value: Value, budget: Budget): Value[] {
  const items: Value[] = []
  for (const item of elementsOf(value, budget)) {
    budget.make(1)
    items.push(item)
  }
  return items
}

/** True and 1 are two values here. */
export function isEqual(a: Value, b: Value, budget: Budget, nesting = 0): boolean {
  budget.spend(1)
  if (nesting > MAX_NESTING) throw new ValueError('these values are nested too deeply to be compared')
  if (typeof a === 'string' && typeof b === 'string') budget.spend(Math.ceil(Math.min(a.length, b.length) / 64))
  if ((a instanceof List && b instanceof List) || (a instanceof Tuple && b instanceof Tuple)) {
    return a.items.length === b.items.length && a.items.every((item, index) => isEqual(item, b.items[index] as Value, budget, nesting + 1))
  }
  if (a instanceof Range && b instanceof Range) {
    return a.length === b.length && (a.length === 0 || (a.from === b.from && (a.length === 1 || a.step === b.step)))
  }
  if (a instanceof Dict && b instanceof Dict) {
    return a.entries.size === b.entries.size && [...a.entries].every(([key, { value }]) => {
      const other = b.entries.get(key)
      return other !== undefined && isEqual(value, other.value, budget, nesting + 1)
    })
  }
  return a === b
}

/** Below, at or above 0. @throws ValueError for what has no order */
export function compare(a: Value, b: Value, budget: Budget, nesting = 0): number {
  budget.spend(1)
  if (nesting > MAX_NESTING) throw new ValueError('these values are nested too deeply to be compared')
  if ((typeof a === 'number' && typeof b === 'number') || (typeof a === 'boolean' && typeof b === 'boolean')) return Number(a) - Number(b)
  if (typeof a === 'string' && typeof b === 'string') return compareText(a, b, budget)
  if ((a instanceof List && b instanceof List) || (a instanceof Tuple && b instanceof Tuple)) {
    for (const [index, item] of a.items.entries()) {
      if (index >= b.items.length) return 1
      const order = compare(item, b.items[index] as Value, budget, nesting + 1)
      if (order !== 0) return order
    }
    return a.items.length - b.items.length
  }
  throw new ValueError(`a ${typeOf(a)} and a ${typeOf(b)} have no order`)
}

/** By code points; code units would put astral characters before some others. */
function compareText(a: string, b: string, budget: Budget): number {
  budget.spend(Math.ceil(Math.min(a.length, b.length) / 64))
  return Buffer.compare(Buffer.from(a), Buffer.from(b))
}

/** The same text for equal values and for no others. @throws ValueError for what can change */
export function keyOf(value: Value, budget: Budget, nesting = 0): string {
  budget.make(typeof value === 'string' ? value.length : 1)
  if (nesting > MAX_NESTING) throw new ValueError('this key is nested too deeply')
  if (value === null) return 'n'
  switch (typeof value) {
    case 'boolean': return value ? 't' : 'f'
    case 'number':  return `i${value}`
    case 'string':  return `s${value.length}:${value}`
    default:
  }
  if (value instanceof Tuple) return `(${value.items.map(item => keyOf(item, budget, nesting + 1)).join(',')})`
  throw new ValueError(`a ${typeOf(value)} cannot be a key of a dict`)
}

/** As `str` gives it. */
export const textOf = (value: Value, budget: Budget): string => typeof value === 'string' ? value : reprOf(value, budget)

/** As it would be written. */
export function reprOf(value: Value, budget: Budget, nesting = 0): string {
  budget.make(1)
  if (nesting > MAX_NESTING) throw new ValueError('this value is nested too deeply to be shown')
  const all = (items: Iterable<Value>) => Array.from(items, item => reprOf(item, budget, nesting + 1)).join(', ')
  if (value === null) return 'None'
  switch (typeof value) {
    case 'boolean': return value ? 'True' : 'False'
    case 'number':  return String(value)
    case 'string':
      budget.make(value.length)
      return JSON.stringify(value)
    default:
  }
  if (value instanceof List) return `[${all(value.items)}]`
  if (value instanceof Tuple) return value.items.length === 1 ? `(${all(value.items)},)` : `(${all(value.items)})`
  if (value instanceof Dict) return `{${Array.from(value.entries.values(), entry => `${reprOf(entry.key, budget, nesting + 1)}: ${reprOf(entry.value, budget, nesting + 1)}`).join(', ')}}`
  if (value instanceof Range) return value.step === 1 ? value.from === 0 ? `range(${value.to})` : `range(${value.from}, ${value.to})` : `range(${value.from}, ${value.to}, ${value.step})`
  return `<function ${value instanceof Closure ? value.body.name : value.name}>`
}

/** @throws ValueError where a result is not exact */
export function exact(value: number): number {
  if (!Number.isSafeInteger(value)) throw new ValueError('this number is too large')
  // -0 is no whole number of its own.
  return value + 0
}
