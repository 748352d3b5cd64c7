// What the expressions of a profile evaluate to.
import type { Filter } from './filters.js'
import type { OperationName } from './operations.js'
import type { Expression, Position } from './syntax.js'

export type Value =
  | string | number | boolean
  | readonly Value[]
  | SymbolValue | Constant | OperationValue | Filter | Modifier | Procedure | Closure | Unspecified

/** From `quote`. */
export interface SymbolValue { readonly kind: 'symbol'; readonly name: string }
/** A name that a filter knows (`REGULAR-FILE`, `self`, `tcp`), or a modifier's (`no-log`). */
export interface Constant { readonly kind: 'constant'; readonly name: string }
export interface OperationValue { readonly kind: 'operation'; readonly operation: OperationName }
/** `(with NAME ARGUMENT)` */
export interface Modifier { readonly kind: 'modifier'; readonly modifier: string; readonly argument?: string | number }
/** What `define` and an `if` without its second branch give. */
export interface Unspecified { readonly kind: 'unspecified' }

/** A procedure of the language itself. What it throws as `Problem` gets the place of the call. */
export interface Procedure {
  readonly kind: 'procedure'
  readonly name: string
  readonly call: (values: readonly Value[], call: Call) => Value
}

/** One that the profile defines. */
export interface Closure {
  readonly kind: 'closure'
  readonly name: string
  readonly parameters: readonly string[]
  readonly rest: string | undefined
  readonly body: readonly Expression[]
  readonly environment: Environment
}

/** Where a procedure is called from. */
export interface Call {
  readonly expression: Expression
  readonly source: string
  readonly at: Position | undefined
  /** Calls another one. */
  apply(procedure: Value, values: readonly Value[]): Value
  /** Counts work that grows with its input. */
  spend(steps: number): void
}

export interface Environment {
  readonly variables: Map<string, Value>
  readonly parent: Environment | undefined
  /** The name of the text that is evaluated in it. */
  readonly source: string
}

/** Why an evaluation cannot go on, before it is known where that is. */
export class Problem extends Error {}

export const UNSPECIFIED: Unspecified = { kind: 'unspecified' }

export const isTrue = (value: Value): boolean => value !== false
export const isList = (value: Value): value is readonly Value[] => Array.isArray(value)
export const isKind = <Kind extends string>(value: Value, kind: Kind): value is Extract<Value, { readonly kind: Kind }> =>
  typeof value === 'object' && !isList(value) && value.kind === kind

/** In words, for errors. */
export function describe(value: Value): string {
  switch (typeof value) {
    case 'string': return `the string ${JSON.stringify(value)}`
    case 'number': return `the number ${value}`
    case 'boolean': return value ? '#t' : '#f'
    default: break
  }
  if (isList(value)) return value.length === 0 ? 'the empty list' : `a list of ${value.length}`
  switch (value.kind) {
    case 'symbol': return `the symbol ${value.name}`
    case 'constant': return value.name
    case 'operation': return `the operation ${value.operation}`
    case 'filter': return 'a filter'
    case 'modifier': return `the modifier ${value.modifier}`
    case 'procedure': case 'closure': return `the procedure ${value.name}`
    case 'unspecified': return 'no value'
    default: return value satisfies never
  }
}
