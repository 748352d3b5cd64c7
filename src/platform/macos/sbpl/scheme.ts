// The part of Scheme that profiles are written in, evaluated with a bound on steps, depth and the size of what is made. There
// is no way out of it: no files, no output, no loops but recursion, and nothing that it does not know is passed over.
import type { SandboxError } from '../../../errors.js'
import { profileError } from './parse.js'
import { printExpression } from './print.js'
import type { Expression } from './syntax.js'
import { type Call, type Closure, describe, type Environment, isKind, isList, isTrue, Problem, UNSPECIFIED, type Value } from './values.js'

export interface SchemeLimits {
  /** Expressions evaluated, and elements of lists and pieces of strings made. */
  readonly steps: number
  /** Evaluations inside each other; a call in the last place of a procedure is not one. */
  readonly depth: number
}

export const DEFAULT_LIMITS: SchemeLimits = { steps: 1_000_000, depth: 500 }

type List = Extract<Expression, { kind: 'list' }>
/** A value, or the expression that gives it in the place of the form. */
type Result = { readonly value: Value } | { readonly next: Expression; readonly environment: Environment }
export type SpecialForm = (form: List, environment: Environment, scheme: Scheme) => Result

export class Scheme {
  private steps = 0
  private depth = 0
  private readonly global: (name: string) => Value | undefined
  private readonly forms: ReadonlyMap<string, SpecialForm>
  private readonly limits: SchemeLimits

  /** @param global  what names mean that the profile does not define */
  constructor(global: (name: string) => Value | undefined, forms: ReadonlyMap<string, SpecialForm>, limits: SchemeLimits) {
    this.global = global
    this.forms = new Map([...SPECIAL_FORMS, ...forms])
    this.limits = limits
  }

  /** @throws SandboxError `profile_invalid` with the place */
  evaluate(expression: Expression, environment: Environment): Value {
    if (++this.depth > this.limits.depth) throw this.error(expression, environment, `evaluations nested more than ${this.limits.depth} deep`)
    try {
      for (let [current, scope] = [expression, environment]; ;) {
        const result = this.step(current, scope)
        if ('value' in result) return result.value
        current = result.next
        scope = result.environment
      }
    } finally {
      this.depth--
    }
  }

  /** All but the last expression of a body; the last takes the place of the form. */
  body(expressions: readonly Expression[], environment: Environment): Result {
    for (const each of expressions.slice(0, -1)) this.evaluate(each, environment)
    const next = expressions.at(-1)
    return next === undefined ? { value: UNSPECIFIED } : { next, environment }
  }

  lookUp(name: string, environment: Environment): Value | undefined {
    for (let scope: Environment | undefined = environment; scope !== undefined; scope = scope.parent) {
      const value = scope.variables.get(name)
      if (value !== undefined) return value
    }
    return this.global(name)
  }

  error(expression: Expression, { source }: Environment, detail: string): SandboxError {
    return profileError(source, expression.at, snippet(expression), detail)
  }

  private step(expression: Expression, environment: Environment): Result {
    this.spend(1, expression, environment)
    switch (expression.kind) {
      case 'string': case 'number': case 'boolean': return { value: expression.value }
      // A regular expression is a string that is written without escapes.
      case 'regex': return { value: expression.source }
      case 'symbol': {
        const value = this.lookUp(expression.name, environment)
        if (value === undefined) throw this.error(expression, environment, this.forms.has(expression.name) ? 'a form of the language, not a value' : 'not defined')
        return { value }
      }
      case 'list': return this.stepList(expression, environment)
      default: return expression satisfies never
    }
  }

  private stepList(list: List, environment: Environment): Result {
    const [head, ...rest] = list.items
    if (head === undefined) return { value: [] }
    this.spend(rest.length, list, environment)
    const form = head.kind === 'symbol' && !isDefined(head.name, environment) ? this.forms.get(head.name) : undefined
    if (form !== undefined) return form(list, environment, this)
    const procedure = this.evaluate(head, environment)
    const values = rest.map(each => this.evaluate(each, environment))
    if (isKind(procedure, 'closure')) return this.body(procedure.body, this.bind(procedure, values, list, environment))
    return { value: this.callProcedure(procedure, values, list, environment) }
  }

  private apply(procedure: Value, values: readonly Value[], list: Expression, environment: Environment): Value {
    if (!isKind(procedure, 'closure')) return this.callProcedure(procedure, values, list, environment)
    const result = this.body(procedure.body, this.bind(procedure, values, list, environment))
    return 'value' in result ? result.value : this.evaluate(result.next, result.environment)
  }

  private callProcedure(procedure: Value, values: readonly Value[], list: Expression, environment: Environment): Value {
    if (!isKind(procedure, 'procedure')) throw this.error(list, environment, `${describe(procedure)} cannot be called`)
    const call: Call = {
      expression: list, source: environment.source, at: list.at,
      apply: (other, arguments_) => this.apply(other, arguments_, list, environment),
      spend: steps => this.spend(steps, list, environment),
    }
    try {
      return procedure.call(values, call)
    } catch (error) {
      if (error instanceof Problem) throw this.error(list, environment, error.message)
      throw error
    }
  }

  private bind({ name, parameters, rest, environment: parent }: Closure, values: readonly Value[], list: Expression, environment: Environment): Environment {
    if (values.length < parameters.length || (rest === undefined && values.length > parameters.length)) {
      throw this.error(list, environment, `${name} takes ${rest === undefined ? '' : 'at least '}${parameters.length} arguments, not ${values.length}`)
    }
    const variables = new Map(parameters.map((parameter, index) => [parameter, values[index] as Value]))
    if (rest !== undefined) variables.set(rest, values.slice(parameters.length))
    return { variables, parent, source: parent.source }
  }

  /** @throws SandboxError `profile_invalid`: too many steps */
  spend(steps: number, expression: Expression, environment: Environment): void {
    this.steps += steps
    if (this.steps > this.limits.steps) throw this.error(expression, environment, `more than ${this.limits.steps} steps of evaluation`)
  }
}

/** What an error shows of an expression. */
export const snippet = (expression: Expression): string => printExpression(expression).replaceAll(/\s+/g, ' ').slice(0, 80)

/** Whether the profile itself defines a name: then it is no form. */
function isDefined(name: string, environment: Environment): boolean {
  for (let scope: Environment | undefined = environment; scope !== undefined; scope = scope.parent) if (scope.variables.has(name)) return true
  return false
}

const child = (parent: Environment): Environment => ({ variables: new Map(), parent, source: parent.source })

/** Checks that a form has at least `least` parts after its name. */
function parts(form: List, environment: Environment, scheme: Scheme, least: number, most = Number.POSITIVE_INFINITY): readonly Expression[] {
  const rest = form.items.slice(1)
  if (rest.length < least || rest.length > most) throw scheme.error(form, environment, `takes ${least === most ? least : `${least}${most === Number.POSITIVE_INFINITY ? ' or more' : ` to ${most}`}`} parts, not ${rest.length}`)
  return rest
}

function symbolName(expression: Expression | undefined, form: List, environment: Environment, scheme: Scheme): string {
  if (expression?.kind !== 'symbol' || expression.name === '.') throw scheme.error(expression ?? form, environment, 'a name is expected here')
  return expression.name
}

function listItems(expression: Expression | undefined, form: List, environment: Environment, scheme: Scheme): readonly Expression[] {
  if (expression?.kind !== 'list') throw scheme.error(expression ?? form, environment, 'a list is expected here')
  scheme.spend(expression.items.length, expression, environment)
  return expression.items
}

const isSymbol = (expression: Expression | undefined, name: string): boolean => expression?.kind === 'symbol' && expression.name === name

/** `(a b . rest)`, `(a b)`, or `all` alone. */
function makeClosure(name: string, parameters: Expression, body: readonly Expression[], form: List, environment: Environment, scheme: Scheme): Closure {
  if (body.length === 0) throw scheme.error(form, environment, 'a procedure without a body')
  if (parameters.kind === 'symbol') return { kind: 'closure', name, parameters: [], rest: parameters.name, body, environment }
  const items = listItems(parameters, form, environment, scheme)
  const dot = items.findIndex(item => isSymbol(item, '.'))
  if (dot !== -1 && dot !== items.length - 2) throw scheme.error(parameters, environment, 'one name is expected after the dot')
  const names = items.filter(item => !isSymbol(item, '.')).map(item => symbolName(item, form, environment, scheme))
  if (new Set(names).size !== names.length) throw scheme.error(parameters, environment, 'a parameter is named twice')
  return { kind: 'closure', name, parameters: dot === -1 ? names : names.slice(0, -1), rest: dot === -1 ? undefined : names.at(-1), body, environment }
}

/** The bindings of a `let`. */
function bindings(expression: Expression | undefined, form: List, environment: Environment, scheme: Scheme): { readonly name: string; readonly value: Expression }[] {
  return listItems(expression, form, environment, scheme).map(binding => {
    const [name, value, ...more] = listItems(binding, form, environment, scheme)
    if (value === undefined || more.length > 0) throw scheme.error(binding, environment, 'a name and its value are expected here')
    return { name: symbolName(name, form, environment, scheme), value }
  })
}

/** What stands after `'`. */
function quoted(expression: Expression, environment: Environment, scheme: Scheme): Value {
  switch (expression.kind) {
    case 'symbol': return { kind: 'symbol', name: expression.name }
    case 'list': return listItems(expression, expression, environment, scheme).map(item => quoted(item, environment, scheme))
    case 'regex': return expression.source
    default: return expression.value
  }
}

function quasiquoted(expression: Expression, environment: Environment, scheme: Scheme): Value {
  if (expression.kind !== 'list') return quoted(expression, environment, scheme)
  const [head] = expression.items
  if (isSymbol(head, 'quasiquote')) throw scheme.error(expression, environment, 'a quasi-quotation in another one is not known')
  if (isSymbol(head, 'unquote')) return scheme.evaluate(parts(expression, environment, scheme, 1, 1)[0] as Expression, environment)
  return listItems(expression, expression, environment, scheme).flatMap(item => {
    if (item.kind !== 'list' || !isSymbol(item.items[0], 'unquote-splicing')) return [quasiquoted(item, environment, scheme)]
    const value = scheme.evaluate(parts(item, environment, scheme, 1, 1)[0] as Expression, environment)
    if (!isList(value)) throw scheme.error(item, environment, `a list is expected here, not ${describe(value)}`)
    scheme.spend(value.length, item, environment)
    return value
  })
}

function defineForm(form: List, environment: Environment, scheme: Scheme): Result {
  const [target, ...body] = parts(form, environment, scheme, 2)
  if (target?.kind === 'list') {
    const [name, ...parameters] = target.items
    const text = symbolName(name, form, environment, scheme)
    environment.variables.set(text, makeClosure(text, { kind: 'list', items: parameters, ...(target.at === undefined ? {} : { at: target.at }) }, body, form, environment, scheme))
    return { value: UNSPECIFIED }
  }
  const text = symbolName(target, form, environment, scheme)
  const [value, ...more] = body
  if (value === undefined || more.length > 0) throw scheme.error(form, environment, 'a name takes one value')
  environment.variables.set(text, scheme.evaluate(value, environment))
  return { value: UNSPECIFIED }
}

function letForm(form: List, environment: Environment, scheme: Scheme): Result {
  const [first, ...rest] = parts(form, environment, scheme, 2)
  if (first?.kind === 'symbol') {
    const [list, ...body] = rest
    const bound = bindings(list, form, environment, scheme)
    const scope = child(environment)
    const names: Expression = { kind: 'list', items: bound.map(({ name }) => ({ kind: 'symbol', name })) }
    const loop = makeClosure(first.name, names, body, form, scope, scheme)
    scope.variables.set(first.name, loop)
    const inner = child(scope)
    for (const { name, value } of bound) inner.variables.set(name, scheme.evaluate(value, environment))
    return scheme.body(body, inner)
  }
  const inner = child(environment)
  for (const { name, value } of bindings(first, form, environment, scheme)) inner.variables.set(name, scheme.evaluate(value, environment))
  return scheme.body(rest, inner)
}

/** `let*` and `letrec`: each value sees the names before it. */
function letInTurnForm(form: List, environment: Environment, scheme: Scheme): Result {
  const [first, ...body] = parts(form, environment, scheme, 2)
  const inner = child(environment)
  let scope = inner
  for (const { name, value } of bindings(first, form, environment, scheme)) {
    // A scope for each, so that a name may be bound again from its former value; procedures still see themselves.
    scope = child(scope)
    scope.variables.set(name, scheme.evaluate(value, scope))
  }
  return scheme.body(body, child(scope))
}

function condForm(form: List, environment: Environment, scheme: Scheme): Result {
  const clauses = parts(form, environment, scheme, 1)
  for (const [index, clause] of clauses.entries()) {
    const [test, ...body] = listItems(clause, form, environment, scheme)
    if (test === undefined) throw scheme.error(clause, environment, 'a clause without a condition')
    if (isSymbol(test, 'else')) {
      if (index !== clauses.length - 1) throw scheme.error(clause, environment, 'else is not the last clause')
      return scheme.body(body, environment)
    }
    if (isSymbol(body[0], '=>')) throw scheme.error(clause, environment, '=> is not known')
    const value = scheme.evaluate(test, environment)
    if (isTrue(value)) return body.length === 0 ? { value } : scheme.body(body, environment)
  }
  return { value: UNSPECIFIED }
}

function caseForm(form: List, environment: Environment, scheme: Scheme): Result {
  const [subject, ...clauses] = parts(form, environment, scheme, 2)
  const value = scheme.evaluate(subject as Expression, environment)
  for (const clause of clauses) {
    const [list, ...body] = listItems(clause, form, environment, scheme)
    if (isSymbol(list, 'else')) return scheme.body(body, environment)
    const found = listItems(list, form, environment, scheme).some(item => {
      const data = quoted(item, environment, scheme)
      return data === value || (isKind(data, 'symbol') && isKind(value, 'symbol') && data.name === value.name)
    })
    if (found) return scheme.body(body, environment)
  }
  return { value: UNSPECIFIED }
}

/** Stops at the first value that is (`or`) or is not (`and`) true. */
const untilForm = (stopsAt: boolean): SpecialForm => (form, environment, scheme) => {
  const expressions = form.items.slice(1)
  for (const each of expressions.slice(0, -1)) {
    const value = scheme.evaluate(each, environment)
    if (isTrue(value) === stopsAt) return { value }
  }
  const last = expressions.at(-1)
  return last === undefined ? { value: !stopsAt } : { next: last, environment }
}

/** `when` and `unless`. */
const guardForm = (wanted: boolean): SpecialForm => (form, environment, scheme) => {
  const [condition, ...body] = parts(form, environment, scheme, 2)
  return isTrue(scheme.evaluate(condition as Expression, environment)) === wanted ? scheme.body(body, environment) : { value: UNSPECIFIED }
}

const SPECIAL_FORMS: ReadonlyMap<string, SpecialForm> = new Map<string, SpecialForm>([
  ['define', defineForm],
  ['let', letForm],
  ['let*', letInTurnForm],
  ['letrec', letInTurnForm],
  ['cond', condForm],
  ['case', caseForm],
  ['and', untilForm(false)],
  ['or', untilForm(true)],
  ['when', guardForm(true)],
  ['unless', guardForm(false)],
  ['begin', (form, environment, scheme) => scheme.body(parts(form, environment, scheme, 1), environment)],
  ['quote', (form, environment, scheme) => ({ value: quoted(parts(form, environment, scheme, 1, 1)[0] as Expression, environment, scheme) })],
  ['quasiquote', (form, environment, scheme) => ({ value: quasiquoted(parts(form, environment, scheme, 1, 1)[0] as Expression, environment, scheme) })],
  ['lambda', (form, environment, scheme) => {
    const [parameters, ...body] = parts(form, environment, scheme, 2)
    return { value: makeClosure('lambda', parameters as Expression, body, form, environment, scheme) }
  }],
  ['if', (form, environment, scheme) => {
    const [condition, yes, no] = parts(form, environment, scheme, 2, 3)
    const next = isTrue(scheme.evaluate(condition as Expression, environment)) ? yes : no
    return next === undefined ? { value: UNSPECIFIED } : { next, environment }
  }],
  ['set!', (form, environment, scheme) => {
    const [target, value] = parts(form, environment, scheme, 2, 2)
    const name = symbolName(target, form, environment, scheme)
    for (let scope: Environment | undefined = environment; scope !== undefined; scope = scope.parent) {
      if (!scope.variables.has(name)) continue
      scope.variables.set(name, scheme.evaluate(value as Expression, environment))
      return { value: UNSPECIFIED }
    }
    throw scheme.error(form, environment, `${name} is not defined by the profile, so it cannot be set`)
  }],
])
