// Tokens → trees. The grammar is that of Starlark without `load`, types, floats and bytes. Pure.
import { tokenize } from './lexer.js'
import { type Span, StarlarkError } from './source.js'
import type { Argument, BinaryOperator, Clause, Expression, FunctionBody, Parameter, Statement, Target } from './syntax.js'
import { describeToken, type TemplatePart, type Token } from './tokens.js'

/** Constructs inside constructs. Each level is a few frames of this parser's stack. */
const MAX_DEPTH = 100

/** Loosest first; the operators of one row are read from left to right. */
const BINARY_LEVELS: readonly (readonly string[])[] = [['|'], ['^'], ['&'], ['<<', '>>'], ['+', '-'], ['*', '//', '%']]
const COMPARISONS: readonly string[] = ['==', '!=', '<', '<=', '>', '>=']
const AUGMENTED: readonly string[] = ['+=', '-=', '*=', '//=', '%=', '&=', '|=', '^=', '<<=', '>>=']

/** @throws StarlarkError */
export function parseProgram(text: string): readonly Statement[] {
  return new Parser(tokenize(text)).program()
}

class Parser {
  #at = 0
  /** What surrounds the statement that is being read. */
  #inFunction = false
  #inLoop = false
  #depth: number
  readonly #tokens: readonly Token[]

  constructor(tokens: readonly Token[], depth = 0) {
    this.#tokens = tokens
    this.#depth = depth
  }

  program(): Statement[] {
    const statements: Statement[] = []
    while (this.#peek().kind !== 'end') for (const statement of this.#statement()) statements.push(statement)
    return statements
  }

  /** All of the tokens, as one expression: the inside of an f-string's braces. */
  whole(): Expression {
    const value = this.#expression()
    if (this.#peek().kind !== 'end') throw this.#unexpected('`}`')
    return value
  }

  #statement(): Statement[] {
    return this.#deeper(() => {
      const token = this.#peek()
      if (token.kind === 'indent') throw new StarlarkError('this line is indented, and nothing above it asks for that', token)
      if (this.#isKeyword('def')) return [this.#def()]
      if (this.#isKeyword('if')) return [this.#if()]
      if (this.#isKeyword('for')) return [this.#for()]
      return this.#simpleLine()
    })
  }

  #simpleLine(): Statement[] {
    const statements = [this.#simple()]
    while (this.#take('symbol', ';') !== undefined && this.#peek().kind !== 'newline') statements.push(this.#simple())
    this.#expectKind('newline')
    return statements
  }

  #simple(): Statement {
    const token = this.#peek()
    if (token.kind === 'keyword') {
      switch (token.text) {
        case 'load':     throw new StarlarkError('`load` is not available: a rules file stands for itself', token)
        case 'pass':     return { kind: 'pass', ...spanOf(token, this.#next()) }
        case 'break':
        case 'continue':
          if (!this.#inLoop) throw new StarlarkError(`\`${token.text}\` stands in no loop`, token)
          this.#next()
          return { kind: token.text, ...spanOf(token, token) }
        case 'return': {
          if (!this.#inFunction) throw new StarlarkError('`return` stands in no function', token)
          this.#next()
          const value = this.#endsStatement() ? undefined : this.#expressionOrTuple()
          return { kind: 'return', value, ...spanOf(token, value ?? token) }
        }
        default:
      }
    }
    const left = this.#expressionOrTuple()
    if (this.#take('symbol', '=') !== undefined) {
      const target = targetOf(left)
      const value = this.#expressionOrTuple()
      if (this.#isSymbol('=')) throw new StarlarkError('one assignment a statement', this.#peek())
      return { kind: 'assign', target, value, ...spanOf(left, value) }
    }
    const augmented = this.#takeAny(AUGMENTED)
    if (augmented === undefined) return { kind: 'expression', value: left, ...spanOf(left, left) }
    const target = targetOf(left)
    if (target.kind === 'several') throw new StarlarkError('several names cannot be changed in place', left)
    const value = this.#expressionOrTuple()
    return { kind: 'augment', target, operator: augmented.slice(0, -1) as BinaryOperator, value, ...spanOf(left, value) }
  }

  #def(): Statement {
    const start = this.#next()
    const name = this.#name()
    this.#expect('(')
    const parameters = this.#parameters(')')
    this.#expect(')')
    if (this.#isSymbol('->')) throw new StarlarkError('types are not part of the rules\' language', this.#peek())
    this.#expect(':')
    const [inFunction, inLoop] = [this.#inFunction, this.#inLoop]
    this.#inFunction = true
    this.#inLoop = false
    const body = this.#suite()
    this.#inFunction = inFunction
    this.#inLoop = inLoop
    return { kind: 'def', function: functionOf(name.text, parameters, body), ...spanOf(start, name) }
  }

  #if(): Statement {
    const start = this.#next()
    const branches = [this.#branch()]
    while (this.#takeKeyword('elif')) branches.push(this.#branch())
    const otherwise = this.#takeKeyword('else') ? this.#colonSuite() : []
    return { kind: 'if', branches, otherwise, ...spanOf(start, start) }
  }

  #branch(): { test: Expression; body: Statement[] } {
    const test = this.#expression()
    return { test, body: this.#colonSuite() }
  }

  #for(): Statement {
    const start = this.#next()
    const target = this.#loopTarget()
    this.#expectKeyword('in')
    const items = this.#expressionOrTuple()
    const inLoop = this.#inLoop
    this.#inLoop = true
    const body = this.#colonSuite()
    this.#inLoop = inLoop
    return { kind: 'for', target, items, body, ...spanOf(start, items) }
  }

  #colonSuite(): Statement[] {
    this.#expect(':')
    return this.#suite()
  }

  /** After the colon: one line, or an indented block. */
  #suite(): Statement[] {
    if (this.#peek().kind !== 'newline') return this.#simpleLine()
    this.#next()
    if (this.#peek().kind !== 'indent') throw this.#unexpected('an indented block')
    this.#next()
    const statements: Statement[] = []
    while (this.#peek().kind !== 'dedent') for (const statement of this.#statement()) statements.push(statement)
    this.#next()
    return statements
  }

  #parameters(close: ')' | ':'): Parameter[] {
    const parameters: Parameter[] = []
    const names = new Set<string>()
    let [rest, namedRest, fallbacks] = [false, false, false]
    while (!this.#isSymbol(close)) {
      const start = this.#peek()
      if (namedRest) throw new StarlarkError('nothing comes after `**`', start)
      const stars = this.#takeAny(['**', '*'])
      if (stars === '*' && rest) throw new StarlarkError('there is one `*` already', start)
      if (stars === '*' && (this.#isSymbol(',') || this.#isSymbol(close))) {
        parameters.push({ kind: 'named-only', ...spanOf(start, start) })
        rest = true
      } else {
        const name = this.#name()
        if (names.has(name.text)) throw new StarlarkError(`there is a parameter \`${name.text}\` already`, name)
        names.add(name.text)
        if (stars === undefined && close === ')' && this.#isSymbol(':')) throw new StarlarkError('types are not part of the rules\' language', this.#peek())
        const fallback = stars === undefined && this.#take('symbol', '=') !== undefined ? this.#expression() : undefined
        if (stars === undefined && fallback === undefined && fallbacks && !rest) throw new StarlarkError(`\`${name.text}\` needs a default, as the one before it has one`, name)
        fallbacks ||= fallback !== undefined
        rest ||= stars === '*'
        namedRest = stars === '**'
        parameters.push(stars === undefined ? { kind: 'plain', name: name.text, fallback, ...spanOf(name, fallback ?? name) } : { kind: stars === '*' ? 'rest' : 'named-rest', name: name.text, ...spanOf(start, name) })
      }
      if (this.#take('symbol', ',') === undefined) break
    }
    return parameters
  }

  #expressionOrTuple(): Expression {
    const first = this.#expression()
    if (!this.#isSymbol(',')) return first
    const items = [first]
    while (this.#take('symbol', ',') !== undefined && this.#startsExpression()) items.push(this.#expression())
    return { kind: 'tuple', items, ...spanOf(first, items.at(-1) as Expression) }
  }

  #expression(): Expression {
    return this.#deeper(() => {
      if (this.#isKeyword('lambda')) return this.#lambda()
      const value = this.#or()
      if (!this.#takeKeyword('if')) return value
      const test = this.#or()
      this.#expectKeyword('else')
      const otherwise = this.#expression()
      return { kind: 'conditional', test, chosen: value, otherwise, ...spanOf(value, otherwise) }
    })
  }

  #lambda(): Expression {
    const start = this.#next()
    const parameters = this.#parameters(':')
    this.#expect(':')
    const value = this.#expression()
    const body: Statement[] = [{ kind: 'return', value, ...spanOf(value, value) }]
    return { kind: 'lambda', ...functionOf('lambda', parameters, body), ...spanOf(start, value) }
  }

  #or(): Expression {
    let left = this.#and()
    while (this.#takeKeyword('or')) left = logical('or', left, this.#and())
    return left
  }

  #and(): Expression {
    let left = this.#not()
    while (this.#takeKeyword('and')) left = logical('and', left, this.#not())
    return left
  }

  #not(): Expression {
    if (!this.#isKeyword('not')) return this.#comparison()
    return this.#deeper(() => {
      const start = this.#next()
      const operand = this.#not()
      return { kind: 'unary', operator: 'not', operand, ...spanOf(start, operand) }
    })
  }

  #comparison(): Expression {
    const left = this.#binary(0)
    const operator = this.#comparisonOperator()
    if (operator === undefined) return left
    const right = this.#binary(0)
    const next = this.#peek()
    if (this.#comparisonOperator() !== undefined) throw new StarlarkError('comparisons do not follow one another: use `and`', next)
    return { kind: 'binary', operator, left, right, ...spanOf(left, right) }
  }

  #comparisonOperator(): BinaryOperator | undefined {
    if (this.#takeKeyword('in')) return 'in'
    if (this.#isKeyword('not')) {
      this.#next()
      this.#expectKeyword('in')
      return 'not in'
    }
    return this.#takeAny(COMPARISONS) as BinaryOperator | undefined
  }

  #binary(level: number): Expression {
    const operators = BINARY_LEVELS[level]
    if (operators === undefined) return this.#unary()
    let left = this.#binary(level + 1)
    for (let links = 0; ; links++) {
      if (level === BINARY_LEVELS.length - 1 && this.#isSymbol('/')) throw new StarlarkError('only whole numbers are understood: use `//`', this.#peek())
      const operator = this.#takeAny(operators) as BinaryOperator | undefined
      if (operator === undefined) return left
      if (links >= MAX_DEPTH) throw new StarlarkError('this expression is too long: use names for its parts', left)
      const right = this.#binary(level + 1)
      left = { kind: 'binary', operator, left, right, ...spanOf(left, right) }
    }
  }

  #unary(): Expression {
    const start = this.#peek()
    const operator = this.#takeAny(['+', '-', '~'])
    if (operator === undefined) return this.#postfix()
    return this.#deeper(() => {
      const operand = this.#unary()
      return { kind: 'unary', operator: operator as '+' | '-' | '~', operand, ...spanOf(start, operand) }
    })
  }

  #postfix(): Expression {
    let value = this.#primary()
    for (let links = 0; ; links++) {
      if (links >= MAX_DEPTH) throw new StarlarkError('this expression is too long: use names for its parts', value)
      if (this.#take('symbol', '.') !== undefined) {
        const name = this.#name()
        value = { kind: 'attribute', object: value, name: name.text, ...spanOf(value, name) }
      } else if (this.#take('symbol', '(') !== undefined) {
        const given = this.#arguments()
        value = { kind: 'call', callee: value, arguments: given, ...spanOf(value, this.#expect(')')) }
      } else if (this.#take('symbol', '[') !== undefined) value = this.#indexOrSlice(value)
      else return value
    }
  }

  #arguments(): Argument[] {
    const given: Argument[] = []
    const names = new Set<string>()
    let onlyPositional = true
    while (!this.#isSymbol(')')) {
      const start = this.#peek()
      const stars = this.#takeAny(['**', '*'])
      if (stars === undefined && start.kind === 'name' && this.#isSymbol('=', 1)) {
        this.#next()
        this.#next()
        if (names.has(start.text)) throw new StarlarkError(`\`${start.text}\` is given twice`, start)
        names.add(start.text)
        const value = this.#expression()
        given.push({ kind: 'named', name: start.text, value, ...spanOf(start, value) })
        onlyPositional = false
      } else {
        const value = this.#expression()
        const kind = stars === undefined ? 'positional' : stars === '*' ? 'spread' : 'spread-named'
        if (kind === 'positional' && !onlyPositional) throw new StarlarkError('an argument without a name comes before those with one', value)
        given.push({ kind, value, ...spanOf(start, value) })
        onlyPositional &&= kind === 'positional'
      }
      if (this.#take('symbol', ',') === undefined) break
    }
    return given
  }

  #indexOrSlice(object: Expression): Expression {
    const part = (): Expression | undefined => this.#isSymbol(':') || this.#isSymbol(']') ? undefined : this.#expression()
    const from = this.#isSymbol(':') ? undefined : this.#expressionOrTuple()
    if (this.#take('symbol', ':') === undefined) return { kind: 'index', object, index: from as Expression, ...spanOf(object, this.#expect(']')) }
    const to = part()
    const step = this.#take('symbol', ':') === undefined ? undefined : part()
    return { kind: 'slice', object, from, to, step, ...spanOf(object, this.#expect(']')) }
  }

  #primary(): Expression {
    const token = this.#next()
    switch (token.kind) {
      case 'int':
      case 'string':   return { kind: 'constant', value: token.value, ...spanOf(token, token) }
      case 'template': return { kind: 'template', parts: token.parts.map(part => this.#templatePart(part)), ...spanOf(token, token) }
      case 'name':     return token.text in CONSTANTS ? { kind: 'constant', value: CONSTANTS[token.text] as boolean | null, ...spanOf(token, token) } : { kind: 'name', name: token.text, ...spanOf(token, token) }
      case 'symbol':
        if (token.text === '(') return this.#parenthesized(token)
        if (token.text === '[') return this.#list(token)
        if (token.text === '{') return this.#dict(token)
        break
      default:
    }
    this.#at--
    throw this.#unexpected('an expression')
  }

  #templatePart(part: TemplatePart): string | { value: Expression; repr: boolean } {
    return typeof part === 'string' ? part : { value: new Parser(part.tokens, this.#depth + 1).whole(), repr: part.repr }
  }

  #parenthesized(start: Token): Expression {
    const close = this.#take('symbol', ')')
    if (close !== undefined) return { kind: 'tuple', items: [], ...spanOf(start, close) }
    const value = this.#expressionOrTuple()
    return { ...value, ...spanOf(start, this.#expect(')')) }
  }

  #list(start: Token): Expression {
    const close = this.#take('symbol', ']')
    if (close !== undefined) return { kind: 'list', items: [], ...spanOf(start, close) }
    const first = this.#expression()
    if (this.#isKeyword('for')) {
      const clauses = this.#clauses()
      return { kind: 'list-comprehension', item: first, clauses, ...spanOf(start, this.#expect(']')) }
    }
    const items = [first]
    while (this.#take('symbol', ',') !== undefined && !this.#isSymbol(']')) items.push(this.#expression())
    return { kind: 'list', items, ...spanOf(start, this.#expect(']')) }
  }

  #dict(start: Token): Expression {
    const entries: (readonly [Expression, Expression])[] = []
    while (!this.#isSymbol('}')) {
      const key = this.#expression()
      this.#expect(':')
      const value = this.#expression()
      if (entries.length === 0 && this.#isKeyword('for')) {
        const clauses = this.#clauses()
        return { kind: 'dict-comprehension', key, value, clauses, ...spanOf(start, this.#expect('}')) }
      }
      entries.push([key, value])
      if (this.#take('symbol', ',') === undefined) break
    }
    return { kind: 'dict', entries, ...spanOf(start, this.#expect('}')) }
  }

  #clauses(): Clause[] {
    const clauses: Clause[] = []
    for (;;) {
      if (clauses.length >= MAX_DEPTH) throw new StarlarkError('this comprehension has too many parts', this.#peek())
      if (this.#takeKeyword('for')) {
        const target = this.#loopTarget()
        this.#expectKeyword('in')
        clauses.push({ kind: 'for', target, items: this.#or() })
      } else if (this.#takeKeyword('if')) clauses.push({ kind: 'if', test: this.#or() })
      else return clauses
    }
  }

  /** Up to `in`, which would be an operator otherwise. */
  #loopTarget(): Target {
    const first = this.#postfix()
    if (!this.#isSymbol(',')) return targetOf(first)
    const items = [first]
    while (this.#take('symbol', ',') !== undefined && !this.#isKeyword('in')) items.push(this.#postfix())
    return targetOf({ kind: 'tuple', items, ...spanOf(first, items.at(-1) as Expression) })
  }

  #deeper<T>(read: () => T): T {
    if (this.#depth >= MAX_DEPTH) throw new StarlarkError('this is nested too deeply', this.#peek())
    this.#depth++
    const result = read()
    this.#depth--
    return result
  }

  #endsStatement(): boolean {
    return this.#peek().kind === 'newline' || this.#isSymbol(';')
  }

  /** Whether a trailing comma is followed by one more item. */
  #startsExpression(): boolean {
    const token = this.#peek()
    return token.kind !== 'newline' && token.kind !== 'end' && !(token.kind === 'symbol' && [')', ']', '}', '=', ':', ';', ...AUGMENTED].includes(token.text))
  }

  #peek(ahead = 0): Token {
    return this.#tokens[Math.min(this.#at + ahead, this.#tokens.length - 1)] as Token
  }

  #next(): Token {
    const token = this.#peek()
    this.#at++
    return token
  }

  #isSymbol(text: string, ahead = 0): boolean {
    const token = this.#peek(ahead)
    return token.kind === 'symbol' && token.text === text
  }

  #isKeyword(text: string): boolean {
    const token = this.#peek()
    return token.kind === 'keyword' && token.text === text
  }

  #take(kind: 'symbol', text: string): Token | undefined {
    const token = this.#peek()
    return token.kind === kind && token.text === text ? this.#next() : undefined
  }

  #takeKeyword(text: string): boolean {
    if (!this.#isKeyword(text)) return false
    this.#next()
    return true
  }

  #takeAny(symbols: readonly string[]): string | undefined {
    const token = this.#peek()
    if (token.kind !== 'symbol' || !symbols.includes(token.text)) return undefined
    this.#next()
    return token.text
  }

  #expect(symbol: string): Token {
    if (!this.#isSymbol(symbol)) throw this.#unexpected(`\`${symbol}\``)
    return this.#next()
  }

  #expectKeyword(text: string): void {
    if (!this.#takeKeyword(text)) throw this.#unexpected(`\`${text}\``)
  }

  #expectKind(kind: 'newline'): void {
    if (this.#peek().kind !== kind) throw this.#unexpected('the end of the statement')
    this.#next()
  }

  #name(): Token & { readonly text: string } {
    const token = this.#peek()
    if (token.kind !== 'name' || token.text in CONSTANTS) throw this.#unexpected('a name')
    this.#next()
    return token
  }

  #unexpected(wanted: string): StarlarkError {
    const token = this.#peek()
    return new StarlarkError(`unexpected ${describeToken(token)}, expected ${wanted}`, token)
  }
}

const CONSTANTS: Readonly<Record<string, boolean | null>> = Object.assign(Object.create(null) as object, { True: true, False: false, None: null })

const spanOf = (from: Span, to: Span): Span => ({ start: from.start, end: to.end })
const logical = (operator: 'and' | 'or', left: Expression, right: Expression): Expression => ({ kind: 'logical', operator, left, right, ...spanOf(left, right) })

function targetOf(expression: Expression): Target {
  const span = spanOf(expression, expression)
  switch (expression.kind) {
    case 'name':  return { kind: 'name', name: expression.name, ...span }
    case 'index': return { kind: 'index', object: expression.object, index: expression.index, ...span }
    case 'list':
    case 'tuple':
      if (expression.items.length > 0) return { kind: 'several', targets: expression.items.map(targetOf), ...span }
      break
    default:
  }
  throw new StarlarkError('nothing can be assigned to this: give a name, `a[b]`, or several of them', span)
}

function functionOf(name: string, parameters: readonly Parameter[], body: readonly Statement[]): FunctionBody {
  const locals = new Set(parameters.flatMap(parameter => parameter.kind === 'named-only' ? [] : [parameter.name]))
  for (const bound of boundNames(body)) locals.add(bound)
  return { name, parameters, body, locals }
}

/** What statements bind in the function (or file) that they stand in; functions inside have names of their own. */
function* boundNames(statements: readonly Statement[]): Generator<string> {
  for (const statement of statements) {
    switch (statement.kind) {
      case 'assign':
      case 'augment': yield* targetNames(statement.target); break
      case 'for':
        yield* targetNames(statement.target)
        yield* boundNames(statement.body)
        break
      case 'if':
        for (const { body } of statement.branches) yield* boundNames(body)
        yield* boundNames(statement.otherwise)
        break
      case 'def': yield statement.function.name; break
      default:
    }
  }
}

function* targetNames(target: Target): Generator<string> {
  if (target.kind === 'name') yield target.name
  else if (target.kind === 'several') for (const each of target.targets) yield* targetNames(each)
}
