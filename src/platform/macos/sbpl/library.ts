// The procedures of Scheme that profiles use: of TinyScheme's library, those with one meaning. They change nothing.
import { quoteRegex } from './regex.js'
import { type Call, describe, isKind, isList, isTrue, Problem, type Procedure, UNSPECIFIED, type Value } from './values.js'

/** In UTF-16 units. */
const MAX_STRING = 65_536

type Check<T> = (value: Value, place: string) => T

const text: Check<string> = (value, place) => {
  if (typeof value !== 'string') throw new Problem(`${place} is not a string but ${describe(value)}`)
  return value
}
const integer: Check<number> = (value, place) => {
  if (typeof value !== 'number') throw new Problem(`${place} is not a number but ${describe(value)}`)
  return value
}
const listOf: Check<readonly Value[]> = (value, place) => {
  if (!isList(value)) throw new Problem(`${place} is not a list but ${describe(value)}`)
  return value
}
const any: Check<Value> = value => value

/** A procedure of a fixed number of arguments, each checked. */
const fixed = <Values extends readonly unknown[]>(name: string, checks: { readonly [Index in keyof Values]: Check<Values[Index]> }, body: (call: Call, ...values: Values) => Value): Procedure => ({
  kind: 'procedure', name,
  call(values, call) {
    if (values.length !== checks.length) throw new Problem(`${name} takes ${checks.length} arguments, not ${values.length}`)
    return body(call, ...checks.map((check, index) => check(values[index] as Value, `argument ${index + 1} of ${name}`)) as unknown as Values)
  },
})

/** One of `least` or more arguments, all of one kind. */
const many = <T>(name: string, least: number, check: Check<T>, body: (call: Call, values: readonly T[]) => Value): Procedure => ({
  kind: 'procedure', name,
  call(values, call) {
    if (values.length < least) throw new Problem(`${name} takes ${least} or more arguments, not ${values.length}`)
    call.spend(values.length)
    return body(call, values.map((value, index) => check(value, `argument ${index + 1} of ${name}`)))
  },
})

const predicate = (name: string, holds: (value: Value) => boolean): Procedure => fixed(name, [any], (_, value) => holds(value))

/** Each with its successor: `(< 1 2 3)`. */
const chain = <T>(name: string, check: Check<T>, holds: (left: T, right: T) => boolean): Procedure =>
  many(name, 2, check, (_, values) => values.every((value, index) => index === 0 || holds(values[index - 1] as T, value)))

const arithmetic = (name: string, least: number, compute: (values: readonly number[]) => number): Procedure => many(name, least, integer, (_, values) => {
  const result = compute(values)
  if (!Number.isSafeInteger(result)) throw new Problem(`${name} gives ${result}, which is not a whole number that is exact`)
  return result === 0 ? 0 : result
})

/** As `equal?`: what two values consist of. */
function isEqual(left: Value, right: Value, call: Call): boolean {
  call.spend(1)
  if (isList(left)) return isList(right) && left.length === right.length && left.every((item, index) => isEqual(item, right[index] as Value, call))
  if (typeof left !== 'object' || typeof right !== 'object' || isList(right)) return left === right
  if (left.kind === 'symbol' || left.kind === 'constant') return right.kind === left.kind && left.name === right.name
  if (left.kind === 'operation') return right.kind === 'operation' && left.operation === right.operation
  return left === right
}

function element(list: readonly Value[], name: string): Value {
  const [first] = list
  if (first === undefined) throw new Problem(`${name} of an empty list`)
  return first
}

function tail(list: readonly Value[], name: string, call: Call): readonly Value[] {
  if (list.length === 0) throw new Problem(`${name} of an empty list`)
  call.spend(list.length)
  return list.slice(1)
}

function index(value: number, length: number, name: string): number {
  if (value < 0 || value > length) throw new Problem(`${name}: ${value} is not between 0 and ${length}`)
  return value
}

function joined(values: readonly string[], call: Call): string {
  const length = values.reduce((sum, value) => sum + value.length, 0)
  if (length > MAX_STRING) throw new Problem(`a string of more than ${MAX_STRING} characters`)
  call.spend(Math.ceil(length / 16))
  return values.join('')
}

/** The lists' elements in turn, as many as the shortest has. */
function mapped(name: string, [procedure, ...lists]: readonly Value[], call: Call): Value[] {
  if (procedure === undefined || lists.length === 0) throw new Problem(`${name} takes a procedure and lists`)
  const checked = lists.map((list, at) => listOf(list, `argument ${at + 2} of ${name}`))
  const length = Math.min(...checked.map(list => list.length))
  return Array.from({ length }, (_, at) => call.apply(procedure, checked.map(list => list[at] as Value)))
}

const procedures: readonly Procedure[] = [
  many('string-append', 0, text, (call, values) => joined(values, call)),
  fixed('string-length', [text], (_, value) => value.length),
  fixed('substring', [text, integer, integer], (call, value, from, to) => {
    call.spend(Math.ceil(value.length / 16))
    if (index(from, value.length, 'substring') > index(to, value.length, 'substring')) throw new Problem('substring ends before it starts')
    return value.slice(from, to)
  }),
  chain('string=?', text, (left, right) => left === right),
  chain('string<?', text, (left, right) => left < right),
  chain('string>?', text, (left, right) => left > right),
  chain('string<=?', text, (left, right) => left <= right),
  chain('string>=?', text, (left, right) => left >= right),
  fixed('string->number', [text], (_, value) => {
    if (!/^[+-]?\d{1,15}$/.test(value)) throw new Problem(`${JSON.stringify(value)} is not a whole number`)
    return Number(value) === 0 ? 0 : Number(value)
  }),
  fixed('number->string', [integer], (_, value) => String(value)),
  fixed('string->symbol', [text], (_, name) => ({ kind: 'symbol', name })),
  fixed('symbol->string', [any], (_, value) => {
    if (!isKind(value, 'symbol')) throw new Problem(`symbol->string takes a symbol, not ${describe(value)}`)
    return value.name
  }),
  fixed('regex-quote', [text], (call, value) => joined([quoteRegex(value)], call)),

  arithmetic('+', 0, values => values.reduce((sum, value) => sum + value, 0)),
  arithmetic('*', 0, values => values.reduce((product, value) => product * value, 1)),
  arithmetic('-', 1, ([first, ...rest]) => rest.length === 0 ? -(first as number) : rest.reduce((difference, value) => difference - value, first as number)),
  chain('=', integer, (left, right) => left === right),
  chain('<', integer, (left, right) => left < right),
  chain('>', integer, (left, right) => left > right),
  chain('<=', integer, (left, right) => left <= right),
  chain('>=', integer, (left, right) => left >= right),
  fixed('zero?', [integer], (_, value) => value === 0),

  predicate('not', value => !isTrue(value)),
  predicate('string?', value => typeof value === 'string'),
  predicate('number?', value => typeof value === 'number'),
  predicate('integer?', value => typeof value === 'number'),
  predicate('boolean?', value => typeof value === 'boolean'),
  predicate('symbol?', value => isKind(value, 'symbol')),
  predicate('procedure?', value => isKind(value, 'procedure') || isKind(value, 'closure')),
  predicate('list?', isList),
  predicate('pair?', value => isList(value) && value.length > 0),
  predicate('null?', value => isList(value) && value.length === 0),
  predicate('sbpl-filter?', value => isKind(value, 'filter')),
  fixed('equal?', [any, any], (call, left, right) => isEqual(left, right, call)),
  // Strings that are equal need not be the same one: what eq? says of them is chance, so it is not asked.
  ...['eq?', 'eqv?'].map(name => fixed(name, [any, any], (call, left, right) => {
    if (typeof left === 'string' || typeof right === 'string') throw new Problem(`${name} of strings says nothing: use string=? or equal?`)
    return isEqual(left, right, call)
  })),

  many('list', 0, any, (_, values) => values),
  fixed('cons', [any, listOf], (call, first, rest) => {
    call.spend(rest.length)
    return [first, ...rest]
  }),
  fixed('car', [listOf], (_, list) => element(list, 'car')),
  fixed('cdr', [listOf], (call, list) => tail(list, 'cdr', call)),
  fixed('cadr', [listOf], (call, list) => element(tail(list, 'cadr', call), 'cadr')),
  fixed('cddr', [listOf], (call, list) => tail(tail(list, 'cddr', call), 'cddr', call)),
  fixed('caddr', [listOf], (call, list) => element(tail(tail(list, 'caddr', call), 'caddr', call), 'caddr')),
  fixed('caar', [listOf], (_, list) => element(listOf(element(list, 'caar'), 'the first element'), 'caar')),
  many('append', 0, listOf, (call, lists) => {
    call.spend(lists.reduce((sum, list) => sum + list.length, 0))
    return lists.flat(1)
  }),
  fixed('length', [listOf], (_, list) => list.length),
  fixed('reverse', [listOf], (call, list) => {
    call.spend(list.length)
    return list.toReversed()
  }),
  fixed('list-ref', [listOf, integer], (_, list, at) => {
    const value = list[at]
    if (value === undefined) throw new Problem(`list-ref: there is no element ${at}`)
    return value
  }),
  fixed('list-tail', [listOf, integer], (call, list, from) => {
    call.spend(list.length)
    return list.slice(index(from, list.length, 'list-tail'))
  }),
  fixed('member', [any, listOf], (call, value, list) => {
    const at = list.findIndex(item => isEqual(item, value, call))
    return at === -1 ? false : list.slice(at)
  }),
  fixed('assoc', [any, listOf], (call, key, list) => list.find(entry => isEqual(element(listOf(entry, 'an entry of assoc'), 'assoc'), key, call)) ?? false),
  fixed('filter', [any, listOf], (call, procedure, list) => list.filter(item => isTrue(call.apply(procedure, [item])))),
  { kind: 'procedure', name: 'map', call: (values, call) => mapped('map', values, call) },
  { kind: 'procedure', name: 'for-each', call: (values, call) => {
    mapped('for-each', values, call)
    return UNSPECIFIED
  } },
  { kind: 'procedure', name: 'apply', call: (values, call) => {
    const [procedure, ...rest] = values
    const last = rest.at(-1)
    if (procedure === undefined || last === undefined) throw new Problem('apply takes a procedure and a list')
    const list = listOf(last, 'the last argument of apply')
    call.spend(list.length)
    return call.apply(procedure, [...rest.slice(0, -1), ...list])
  } },
  { kind: 'procedure', name: 'error', call: values => {
    throw new Problem(`the profile gives up: ${values.map(value => typeof value === 'string' ? value : describe(value)).join(' ')}`)
  } },
]

export const LIBRARY: ReadonlyMap<string, Procedure> = new Map(procedures.map(procedure => [procedure.name, procedure]))
