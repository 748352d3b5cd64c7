// Trees → what they do. Deterministic, without any way to the outside but the functions that it is given, and within a budget.
import { Budget, BudgetError, LIMITS } from './budget.js'
import { builtins } from './builtins.js'
import { methodOf } from './methods.js'
import { assignIndex, binary, indexOf, setKey, sliceOf, unary } from './operators.js'
import { parseProgram } from './parser.js'
import { type Span, StarlarkError } from './source.js'
import type { Argument, Clause, Expression, FunctionBody, Statement, Target } from './syntax.js'
import { arrayOf, Builtin, type Call, Closure, Dict, elementsOf, isTrue, List, reprOf, type Scope, textOf, Tuple, typeOf, type Value, ValueError } from './values.js'

/** How a list of statements ended. */
type Outcome = { readonly kind: 'next' | 'break' | 'continue' } | { readonly kind: 'return'; readonly value: Value }
const NEXT: Outcome = { kind: 'next' }

/**
 * Runs a file.
 *
 * @param functions  what the file finds besides the language's own functions
 * @throws StarlarkError for text that is no program, for what fails while it runs, and for one that needs more than `LIMITS`
 */
export function evaluateProgram(text: string, functions: Readonly<Record<string, (call: Call) => Value>>): void {
  if (text.length > LIMITS.characters) throw new StarlarkError(`this file has more than ${LIMITS.characters} characters`, { start: 0, end: 0 })
  const program = parseProgram(text)
  const names = builtins()
  for (const [name, call] of Object.entries(functions)) names.set(name, new Builtin(name, call))
  const universe: Scope = { names, locals: new Set(), outer: undefined }
  new Evaluation().run(program, { names: new Map(), locals: new Set(), outer: universe })
}

class Evaluation {
  readonly #budget = new Budget()
  readonly #calls: Span[] = []
  #depth = 0

  run(program: readonly Statement[], scope: Scope): void {
    this.#block(program, scope)
  }

  #block(statements: readonly Statement[], scope: Scope): Outcome {
    for (const statement of statements) {
      const outcome = this.#at(statement, () => this.#statement(statement, scope))
      if (outcome.kind !== 'next') return outcome
    }
    return NEXT
  }

  #statement(statement: Statement, scope: Scope): Outcome {
    switch (statement.kind) {
      case 'expression':
        this.#evaluate(statement.value, scope)
        return NEXT
      case 'assign':
        this.#assign(statement.target, this.#evaluate(statement.value, scope), scope)
        return NEXT
      case 'augment':
        this.#augment(statement, scope)
        return NEXT
      case 'if': {
        const branch = statement.branches.find(({ test }) => isTrue(this.#evaluate(test, scope)))
        return this.#block(branch?.body ?? statement.otherwise, scope)
      }
      case 'for': return this.#for(statement, scope)
      case 'def':
        scope.names.set(statement.function.name, this.#closure(statement.function, scope))
        return NEXT
      case 'return':   return { kind: 'return', value: statement.value === undefined ? null : this.#evaluate(statement.value, scope) }
      case 'break':
      case 'continue': return { kind: statement.kind }
      case 'pass':     return NEXT
      default:         return statement satisfies never
    }
  }

  #for(statement: Statement & { kind: 'for' }, scope: Scope): Outcome {
    for (const item of elementsOf(this.#evaluate(statement.items, scope), this.#budget)) {
      this.#assign(statement.target, item, scope)
      const outcome = this.#block(statement.body, scope)
      if (outcome.kind === 'break') break
      if (outcome.kind === 'return') return outcome
    }
    return NEXT
  }

  #augment({ target, operator, value }: Statement & { kind: 'augment' }, scope: Scope): void {
    if (target.kind === 'index') {
      const [object, index] = [this.#evaluate(target.object, scope), this.#evaluate(target.index, scope)]
      const sum = this.#added(indexOf(object, index, this.#budget), operator, this.#evaluate(value, scope))
      assignIndex(object, index, sum, this.#budget)
    } else if (target.kind === 'name') {
      const current = this.#at(target, () => lookUp(target.name, scope))
      this.#assign(target, this.#added(current, operator, this.#evaluate(value, scope)), scope)
    }
  }

  /** `list += …` changes the list itself. */
  #added(current: Value, operator: (Statement & { kind: 'augment' })['operator'], by: Value): Value {
    if (operator === '+' && current instanceof List) {
      if (current.walked > 0) throw new ValueError('this list cannot change while a loop walks over it')
      for (const item of arrayOf(by, this.#budget)) current.items.push(item)
      return current
    }
    return binary(operator, current, by, this.#budget)
  }

  #assign(target: Target, value: Value, scope: Scope): void {
    this.#at(target, () => {
      switch (target.kind) {
        case 'name':
          scope.names.set(target.name, value)
          return
        case 'index':
          assignIndex(this.#evaluate(target.object, scope), this.#evaluate(target.index, scope), value, this.#budget)
          return
        case 'several': {
          const values = arrayOf(value, this.#budget)
          if (values.length !== target.targets.length) throw new ValueError(`${target.targets.length} names for ${values.length} values`)
          for (const [index, each] of target.targets.entries()) this.#assign(each, values[index] as Value, scope)
          return
        }
        default: return target satisfies never
      }
    })
  }

  #evaluate(expression: Expression, scope: Scope): Value {
    return this.#at(expression, () => this.#value(expression, scope))
  }

  #value(expression: Expression, scope: Scope): Value {
    switch (expression.kind) {
      case 'constant': return expression.value
      case 'template': return this.#template(expression.parts, scope)
      case 'name':     return lookUp(expression.name, scope)
      case 'list':
      case 'tuple': {
        this.#budget.make(expression.items.length)
        const items = expression.items.map(item => this.#evaluate(item, scope))
        return expression.kind === 'list' ? new List(items) : new Tuple(items)
      }
      case 'dict': {
        const dict = new Dict()
        for (const [key, value] of expression.entries) {
          const [name, size] = [this.#evaluate(key, scope), dict.entries.size]
          setKey(dict, name, this.#evaluate(value, scope), this.#budget)
          if (dict.entries.size === size) throw new ValueError(`the key ${reprOf(name, this.#budget)} is there twice`)
        }
        return dict
      }
      case 'list-comprehension': {
        const items: Value[] = []
        this.#comprehend(expression.clauses, 0, scope, inner => {
          this.#budget.make(1)
          items.push(this.#evaluate(expression.item, inner))
        })
        return new List(items)
      }
      case 'dict-comprehension': {
        const dict = new Dict()
        this.#comprehend(expression.clauses, 0, scope, inner => setKey(dict, this.#evaluate(expression.key, inner), this.#evaluate(expression.value, inner), this.#budget))
        return dict
      }
      case 'unary': {
        const operand = this.#evaluate(expression.operand, scope)
        return expression.operator === 'not' ? !isTrue(operand) : unary(expression.operator, operand)
      }
      case 'binary':  return binary(expression.operator, this.#evaluate(expression.left, scope), this.#evaluate(expression.right, scope), this.#budget)
      case 'logical': {
        const left = this.#evaluate(expression.left, scope)
        return isTrue(left) === (expression.operator === 'or') ? left : this.#evaluate(expression.right, scope)
      }
      case 'conditional': return this.#evaluate(isTrue(this.#evaluate(expression.test, scope)) ? expression.chosen : expression.otherwise, scope)
      case 'attribute':   return methodOf(this.#evaluate(expression.object, scope), expression.name)
      case 'index':       return indexOf(this.#evaluate(expression.object, scope), this.#evaluate(expression.index, scope), this.#budget)
      case 'slice': {
        const part = (each: Expression | undefined): Value => each === undefined ? null : this.#evaluate(each, scope)
        return sliceOf(this.#evaluate(expression.object, scope), part(expression.from), part(expression.to), part(expression.step), this.#budget)
      }
      case 'call':   return this.#callExpression(expression.callee, expression.arguments, expression, scope)
      case 'lambda': return this.#closure(expression, scope)
      default:       return expression satisfies never
    }
  }

  #template(parts: (Expression & { kind: 'template' })['parts'], scope: Scope): string {
    let text = ''
    for (const part of parts) {
      const piece = typeof part === 'string' ? part : part.repr ? reprOf(this.#evaluate(part.value, scope), this.#budget) : textOf(this.#evaluate(part.value, scope), this.#budget)
      this.#budget.make(piece.length)
      text += piece
    }
    return text
  }

  /** The first clause's items are looked up outside; its names, and those of the others, are the comprehension's own. */
  #comprehend(clauses: readonly Clause[], at: number, scope: Scope, each: (inner: Scope) => void): void {
    const clause = clauses[at]
    if (clause === undefined) {
      each(scope)
      return
    }
    if (clause.kind === 'if') {
      if (isTrue(this.#evaluate(clause.test, scope))) this.#comprehend(clauses, at + 1, scope, each)
      return
    }
    const inner: Scope = { names: new Map(), locals: new Set(), outer: scope }
    for (const item of elementsOf(this.#evaluate(clause.items, scope), this.#budget)) {
      this.#assign(clause.target, item, inner)
      this.#comprehend(clauses, at + 1, inner, each)
    }
  }

  #closure(body: FunctionBody, scope: Scope): Closure {
    const fallbacks = new Map<string, Value>()
    for (const parameter of body.parameters) {
      if (parameter.kind === 'plain' && parameter.fallback !== undefined) fallbacks.set(parameter.name, this.#evaluate(parameter.fallback, scope))
    }
    return new Closure(body, fallbacks, scope)
  }

  #callExpression(calleeExpression: Expression, given: readonly Argument[], span: Span, scope: Scope): Value {
    const callee = this.#evaluate(calleeExpression, scope)
    const positional: Value[] = []
    const named = new Map<string, Value>()
    const name = (key: string, value: Value): void => {
      if (named.has(key)) throw new ValueError(`\`${key}\` is given twice`)
      named.set(key, value)
    }
    for (const argument of given) {
      const value = this.#evaluate(argument.value, scope)
      switch (argument.kind) {
        case 'positional': positional.push(value); break
        case 'named':      name(argument.name, value); break
        case 'spread':     for (const item of arrayOf(value, this.#budget)) positional.push(item); break
        case 'spread-named':
          if (!(value instanceof Dict)) throw new ValueError(`** takes a dict, not a ${typeOf(value)}`)
          for (const { key, value: each } of value.entries.values()) {
            if (typeof key !== 'string') throw new ValueError('** takes a dict whose keys are strings')
            name(key, each)
          }
          break
        default: argument satisfies never
      }
    }
    return this.#call(callee, positional, named, span)
  }

  #call(callee: Value, positional: readonly Value[], named: ReadonlyMap<string, Value>, span: Span): Value {
    if (!(callee instanceof Builtin || callee instanceof Closure)) throw new ValueError(`a ${typeOf(callee)} is no function`)
    if (this.#calls.length >= LIMITS.calls) throw new BudgetError(`more than ${LIMITS.calls} functions wait for one another`)
    this.#calls.push(span)
    const result = callee instanceof Builtin
      ? callee.call({ positional, named, span, budget: this.#budget, callBack: (value, given) => this.#call(value, given, new Map(), span) })
      : this.#callClosure(callee, positional, named)
    this.#calls.pop()
    return result
  }

  #callClosure({ body, fallbacks, scope }: Closure, positional: readonly Value[], named: ReadonlyMap<string, Value>): Value {
    const inner: Scope = { names: bind(body, fallbacks, positional, named), locals: body.locals, outer: scope }
    const outcome = this.#block(body.body, inner)
    return outcome.kind === 'return' ? outcome.value : null
  }

  /** Counts one node, and says where whatever fails in it stands. */
  #at<T>(span: Span, work: () => T): T {
    try {
      this.#budget.spend(1)
      if (++this.#depth > LIMITS.depth) throw new BudgetError('this is nested too deeply')
      const result = work()
      this.#depth--
      return result
    } catch (error) {
      if (error instanceof ValueError || error instanceof BudgetError) throw new StarlarkError(error.message, { start: span.start, end: span.end }, [...this.#calls])
      throw error
    }
  }
}

function lookUp(name: string, from: Scope): Value {
  for (let scope: Scope | undefined = from; scope !== undefined; scope = scope.outer) {
    const value = scope.names.get(name)
    if (value !== undefined) return value
    if (scope.locals.has(name)) throw new ValueError(`\`${name}\` is used before it has a value`)
  }
  throw new ValueError(`there is no \`${name}\``)
}

/** The arguments by the names of a function's parameters. @throws ValueError */
function bind({ name, parameters }: FunctionBody, fallbacks: ReadonlyMap<string, Value>, positional: readonly Value[], named: ReadonlyMap<string, Value>): Map<string, Value> {
  const values = new Map<string, Value>()
  const left = new Map(named)
  let next = 0
  let byName = false
  for (const parameter of parameters) {
    switch (parameter.kind) {
      case 'plain': {
        const given = left.get(parameter.name)
        left.delete(parameter.name)
        const place = byName || next >= positional.length ? undefined : positional[next++]
        if (given !== undefined && place !== undefined) throw new ValueError(`\`${parameter.name}\` of ${name} is given twice`)
        // None is a value as any other.
        const value = given !== undefined ? given : place !== undefined ? place : fallbacks.get(parameter.name)
        if (value === undefined) throw new ValueError(`${name} needs \`${parameter.name}\``)
        values.set(parameter.name, value)
        break
      }
      case 'named-only':
        byName = true
        break
      case 'rest':
        values.set(parameter.name, new Tuple(positional.slice(next)))
        next = positional.length
        byName = true
        break
      case 'named-rest': {
        const rest = new Dict()
        for (const [key, value] of left) rest.entries.set(`s${key.length}:${key}`, { key, value })
        left.clear()
        values.set(parameter.name, rest)
        break
      }
      default: parameter satisfies never
    }
  }
  if (positional.length > next) throw new ValueError(`${name} takes ${parameters.length} arguments, and has ${positional.length}`)
  const [unknown] = left.keys()
  if (unknown !== undefined) throw new ValueError(`${name} has no parameter \`${unknown}\``)
  return values
}
