// What operators, indices and slices do.
import type { Budget } from './budget.js'
import type { BinaryOperator } from './syntax.js'
import { compare, Dict, exact, isEqual, keyOf, List, Range, reprOf, textOf, Tuple, typeOf, type Value, ValueError } from './values.js'

/** @throws ValueError */
export function binary(operator: BinaryOperator, a: Value, b: Value, budget: Budget): Value {
  switch (operator) {
    case '==':     return isEqual(a, b, budget)
    case '!=':     return !isEqual(a, b, budget)
    case '<':      return compare(a, b, budget) < 0
    case '<=':     return compare(a, b, budget) <= 0
    case '>':      return compare(a, b, budget) > 0
    case '>=':     return compare(a, b, budget) >= 0
    case 'in':     return contains(b, a, budget)
    case 'not in': return !contains(b, a, budget)
    default:
  }
  if (typeof a === 'number' && typeof b === 'number') return arithmetic(operator, a, b)
  if (operator === '+') {
    const sum = concatenate(a, b, budget)
    if (sum !== undefined) return sum
  }
  if (operator === '*') {
    const product = typeof b === 'number' ? repeat(a, b, budget) : typeof a === 'number' ? repeat(b, a, budget) : undefined
    if (product !== undefined) return product
  }
  if (operator === '%' && typeof a === 'string') return format(a, b instanceof Tuple ? b.items : [b], budget)
  if (operator === '|' && a instanceof Dict && b instanceof Dict) {
    budget.make(a.entries.size + b.entries.size)
    const union = new Dict()
    for (const [key, entry] of [...a.entries, ...b.entries]) union.entries.set(key, { ...entry })
    return union
  }
  throw new ValueError(`\`${operator}\` is not understood for ${typeOf(a)} and ${typeOf(b)}`)
}

function arithmetic(operator: BinaryOperator, a: number, b: number): number {
  switch (operator) {
    case '+': return exact(a + b)
    case '-': return exact(a - b)
    case '*': return exact(a * b)
    case '//':
      if (b === 0) throw new ValueError('a division by 0')
      return exact(Math.floor(a / b))
    case '%':
      if (b === 0) throw new ValueError('a division by 0')
      return exact(((a % b) + b) % b)
    case '|':
    case '&':
    case '^':
    case '<<':
    case '>>': return bitwise(operator, a, b)
    default: throw new ValueError(`\`${operator}\` is not understood for numbers`)
  }
}

/** Exact beyond 32 bits, which JavaScript's own operators are not. */
function bitwise(operator: '|' | '&' | '^' | '<<' | '>>', a: number, b: number): number {
  const [x, y] = [BigInt(a), BigInt(b)]
  if ((operator === '<<' || operator === '>>') && (b < 0 || b > 64)) throw new ValueError('a shift is from 0 to 64 bits')
  switch (operator) {
    case '|':  return exact(Number(x | y))
    case '&':  return exact(Number(x & y))
    case '^':  return exact(Number(x ^ y))
    case '<<': return exact(Number(x << y))
    case '>>': return exact(Number(x >> y))
    default:   return operator satisfies never
  }
}

function concatenate(a: Value, b: Value, budget: Budget): Value | undefined {
  if (typeof a === 'string' && typeof b === 'string') {
    budget.make(a.length + b.length)
    return a + b
  }
  if (a instanceof List && b instanceof List) {
    budget.make(a.items.length + b.items.length)
    return new List([...a.items, ...b.items])
  }
  if (a instanceof Tuple && b instanceof Tuple) {
    budget.make(a.items.length + b.items.length)
    return new Tuple([...a.items, ...b.items])
  }
  return undefined
}

function repeat(value: Value, times: number, budget: Budget): Value | undefined {
  const count = Math.max(0, times)
  if (typeof value === 'string') {
    budget.make(value.length * count)
    return value.repeat(count)
  }
  if (!(value instanceof List || value instanceof Tuple)) return undefined
  budget.make(value.items.length * count)
  const items = Array.from({ length: value.items.length * count }, (_, index) => value.items[index % value.items.length] as Value)
  return value instanceof List ? new List(items) : new Tuple(items)
}

function contains(container: Value, value: Value, budget: Budget): boolean {
  if (typeof container === 'string') {
    if (typeof value !== 'string') throw new ValueError(`a string contains strings, not a ${typeOf(value)}`)
    budget.spend(Math.ceil(container.length / 64))
    return container.includes(value)
  }
  if (container instanceof Dict) return container.entries.has(keyOf(value, budget))
  if (container instanceof List || container instanceof Tuple) return container.items.some(item => isEqual(item, value, budget))
  if (container instanceof Range) {
    const place = typeof value === 'number' ? (value - container.from) / container.step : -1
    return Number.isInteger(place) && place >= 0 && place < container.length
  }
  throw new ValueError(`\`in\` is not understood for a ${typeOf(container)}`)
}

/** `%s %r %d %%`, each taking the next value. */
function format(text: string, values: readonly Value[], budget: Budget): string {
  budget.make(text.length)
  let next = 0
  const result = text.replace(/%(.?)/gsu, (_, kind: string) => {
    if (kind === '%') return '%'
    if (next >= values.length) throw new ValueError('there are more % than values')
    const value = values[next++] as Value
    switch (kind) {
      case 's': {
        const shown = textOf(value, budget)
        budget.make(shown.length)
        return shown
      }
      case 'r': return reprOf(value, budget)
      case 'd':
        if (typeof value !== 'number') throw new ValueError(`%d takes a number, not a ${typeOf(value)}`)
        return String(value)
      default: throw new ValueError(`%${kind} is not understood: use %s, %r, %d or %%`)
    }
  })
  if (next < values.length) throw new ValueError('there are more values than %')
  return result
}

/** @throws ValueError */
export function unary(operator: '+' | '-' | '~', value: Value): Value {
  if (typeof value !== 'number') throw new ValueError(`\`${operator}\` is not understood for a ${typeOf(value)}`)
  switch (operator) {
    case '+': return value
    case '-': return exact(-value)
    case '~': return exact(-value - 1)
    default:  return operator satisfies never
  }
}

/** @throws ValueError */
export function indexOf(object: Value, index: Value, budget: Budget): Value {
  if (object instanceof Dict) {
    const entry = object.entries.get(keyOf(index, budget))
    if (entry === undefined) throw new ValueError(`there is no key ${reprOf(index, budget)}`)
    return entry.value
  }
  const sequence = sequenceOf(object, budget)
  if (typeof index !== 'number') throw new ValueError(`an index is a number, not a ${typeOf(index)}`)
  const place = index < 0 ? index + sequence.length : index
  if (place < 0 || place >= sequence.length) throw new ValueError(`there is no index ${index}: ${sequence.length} elements`)
  return sequence.at(place)
}

/** @throws ValueError */
export function sliceOf(object: Value, from: Value, to: Value, step: Value, budget: Budget): Value {
  const sequence = sequenceOf(object, budget)
  const bound = (value: Value, fallback: number): number => {
    if (value === null) return fallback
    if (typeof value !== 'number') throw new ValueError(`a slice takes numbers, not a ${typeOf(value)}`)
    return value
  }
  const by = bound(step, 1)
  if (by === 0) throw new ValueError('a slice does not step by 0')
  const { length } = sequence
  const place = (value: number, low: number, high: number) => Math.min(Math.max(value < 0 ? value + length : value, low), high)
  const first = by > 0 ? place(bound(from, 0), 0, length) : from === null ? length - 1 : place(bound(from, 0), -1, length - 1)
  const last = by > 0 ? place(bound(to, length), 0, length) : to === null ? -1 : place(bound(to, 0), -1, length - 1)
  const items: Value[] = []
  for (let at = first; by > 0 ? at < last : at > last; at += by) {
    budget.make(1)
    items.push(sequence.at(at))
  }
  if (typeof object === 'string') return items.join('')
  return object instanceof Tuple ? new Tuple(items) : new List(items)
}

function sequenceOf(object: Value, budget: Budget): { readonly length: number; at(index: number): Value } {
  if (typeof object === 'string') {
    budget.make(object.length)
    const characters = [...object]
    return { length: characters.length, at: index => characters[index] as string }
  }
  if (object instanceof List || object instanceof Tuple) return { length: object.items.length, at: index => object.items[index] as Value }
  if (object instanceof Range) return object
  throw new ValueError(`a ${typeOf(object)} has no elements to index`)
}

/** `object[index] = value`. @throws ValueError */
export function assignIndex(object: Value, index: Value, value: Value, budget: Budget): void {
  if (object instanceof Dict) {
    setKey(object, index, value, budget)
    return
  }
  if (!(object instanceof List)) throw new ValueError(`elements of a ${typeOf(object)} cannot be set`)
  checkUnwalked(object)
  if (typeof index !== 'number') throw new ValueError(`an index is a number, not a ${typeOf(index)}`)
  const place = index < 0 ? index + object.items.length : index
  if (place < 0 || place >= object.items.length) throw new ValueError(`there is no index ${index}: ${object.items.length} elements`)
  object.items[place] = value
}

export function setKey(dict: Dict, key: Value, value: Value, budget: Budget): void {
  checkUnwalked(dict)
  budget.make(1)
  const text = keyOf(key, budget)
  const entry = dict.entries.get(text)
  if (entry === undefined) dict.entries.set(text, { key, value })
  else entry.value = value
}

/** @throws ValueError */
export function checkUnwalked(value: List | Dict): void {
  if (value.walked > 0) throw new ValueError(`this ${typeOf(value)} cannot change while a loop walks over it`)
}
