// Evaluates a profile to its rules, as libsandbox does before it compiles them for the kernel.
import { takesCategory } from './filter-categories.js'
import { combineFilters, type Filter, filterBuilders, isConstant, type RegexCase, SYSTEM_NUMBERS, testsOf } from './filters.js'
import { LIBRARY } from './library.js'
import { type OperationName, operationNamed } from './operations.js'
import { parseForms, profileError } from './parse.js'
import { DEFAULT_LIMITS, Scheme, type SchemeLimits, type SpecialForm, snippet } from './scheme.js'
import type { Expression, Form, Position } from './syntax.js'
import { type Call, describe, type Environment, isKind, type Modifier, Problem, type Procedure, UNSPECIFIED, type Value } from './values.js'

export interface Rule {
  readonly action: 'allow' | 'deny'
  readonly operations: readonly OperationName[]
  /** Undefined: on everything. */
  readonly filter: Filter | undefined
  readonly modifiers: readonly Modifier[]
  /** The call that made it. */
  readonly form: string
  readonly source: string
  readonly line: number
}

export interface Profile {
  /** In the order in which they were made. */
  readonly rules: readonly Rule[]
  /** The file of `(trace …)`. */
  readonly trace: string | undefined
}

export interface ProfileOptions {
  /** What `(param "NAME")` gives; #f for others, as there. */
  readonly params?: Readonly<Record<string, string>>
  /** The text of an imported profile, undefined where there is none. Default: none is found. */
  readonly importer?: (path: string) => string | undefined
  readonly limits?: Partial<SchemeLimits>
  /** Default `exact`. A profile that is to be safe allows no more with `ignored`. */
  readonly regexCase?: RegexCase
  /** Named in errors and rules. Default `profile`. */
  readonly source?: string
}

const MAX_IMPORTS = 64
const MAX_RULES = 20_000

/** What changes how a rule acts: on which actions it may stand, what it takes, and the operations if not all. Source: `modifier_info` of libsandbox. */
const MODIFIERS: Readonly<Record<string, { readonly on?: Rule['action']; readonly takes?: 'string' | 'number'; readonly operations?: readonly OperationName[] }>> = {
  'send-signal': { takes: 'number' },
  report: { on: 'allow' },
  'no-report': { on: 'deny' },
  'no-sandbox': { on: 'allow', operations: ['process-exec*', 'process-exec-interpreter'] },
  'default-sandbox': { on: 'allow', takes: 'string', operations: ['process-exec*', 'process-exec-interpreter'] },
  'no-times': { on: 'allow', operations: ['file-read-metadata'] },
  rootless: { on: 'deny' },
  message: { takes: 'string' },
  telemetry: {},
  'no-callout': {},
  'partial-symbolication': {},
  termination: {},
}
const MODIFIER_ALIASES: Readonly<Record<string, string>> = { 'no-log': 'no-report', 'no-profile': 'no-sandbox', 'rootless-modifier': 'rootless' }

/** Parses and evaluates a whole profile. */
export const parseProfile = (text: string, options: ProfileOptions = {}): Profile => loadProfile(parseForms(text, options), options)

/**
 * Evaluates forms to rules. Pure but for `importer`.
 *
 * @throws SandboxError `profile_invalid`, `field` = `SOURCE:LINE:COLUMN`: anything that is not known, does not fit, or goes
 *         beyond the limits; also a profile without `(version 1)`
 */
function loadProfile(forms: readonly Form[], options: ProfileOptions = {}): Profile {
  const source = options.source ?? 'profile'
  const loader = new Loader(options, source)
  loader.run(forms, source)
  return loader.finish()
}

/** What `with-filter` and its like add to each rule inside them. */
interface Additions { readonly filters: readonly Filter[]; readonly modifiers: readonly Modifier[]; readonly operations: readonly OperationName[] }

class Loader {
  private readonly rules: Rule[] = []
  private readonly variables = new Map<string, Value>()
  private readonly importing: string[] = []
  private readonly procedures: ReadonlyMap<string, Procedure>
  private readonly filters: ReturnType<typeof filterBuilders>
  private readonly scheme: Scheme
  private readonly options: ProfileOptions
  private readonly source: string
  private additions: Additions = { filters: [], modifiers: [], operations: [] }
  private imports = 0
  private versioned = false
  private trace: string | undefined

  constructor(options: ProfileOptions, source: string) {
    this.options = options
    this.source = source
    this.filters = filterBuilders(options.regexCase ?? 'exact')
    const procedure = (name: string, call: Procedure['call']): [string, Procedure] => [name, { kind: 'procedure', name, call }]
    const param: Procedure['call'] = ([name, ...more]) => {
      if (typeof name !== 'string' || more.length > 0) throw new Problem('param takes the name of a parameter')
      return options.params !== undefined && Object.hasOwn(options.params, name) ? options.params[name] as string : false
    }
    this.procedures = new Map([
      procedure('version', values => this.version(values)),
      procedure('allow', (values, call) => this.addRule('allow', values, call)),
      procedure('deny', (values, call) => this.addRule('deny', values, call)),
      procedure('with', values => modifier(values)),
      procedure('param', param),
      procedure('getenv', param),
      procedure('import', (values, call) => this.import(values, call)),
      procedure('trace', values => this.setTrace(values)),
      procedure('defined?', ([name, ...more]) => {
        if (name === undefined || !isKind(name, 'symbol') || more.length > 0) throw new Problem('defined? takes one quoted name')
        return this.variables.has(name.name) || this.global(name.name) !== undefined
      }),
      // Options of the sandbox that change nothing of what is allowed.
      ...['disable-callouts', 'disable-full-symbolication', 'eliminate-duplicate-rules'].map(name => procedure(name, () => UNSPECIFIED)),
    ])
    const forms = new Map<string, SpecialForm>([
      ['debug', () => ({ value: UNSPECIFIED })],
      ['with-filter', this.addingForm((value, additions) => isKind(value, 'filter') ? { ...additions, filters: [...additions.filters, value] } : undefined)],
      ['with-modifier', this.addingForm((value, additions) => isKind(value, 'modifier') ? { ...additions, modifiers: [...additions.modifiers, value] } : undefined)],
    ])
    this.scheme = new Scheme(name => this.global(name), forms, { ...DEFAULT_LIMITS, ...options.limits })
  }

  run(forms: readonly Form[], source: string): void {
    const environment: Environment = { variables: this.variables, parent: undefined, source }
    for (const { expression } of forms) this.scheme.evaluate(expression, environment)
  }

  finish(): Profile {
    if (!this.versioned) throw profileError(this.source, undefined, '', 'there is no (version 1)')
    return { rules: this.rules, trace: this.trace }
  }

  private global(name: string): Value | undefined {
    const procedure = this.procedures.get(name) ?? LIBRARY.get(name)
    if (procedure !== undefined) return procedure
    const build = this.filters.get(name)
    if (build !== undefined) return { kind: 'procedure', name, call: (values, call) => buildFilter(build, values, call) }
    const operation = operationNamed(name)
    if (operation !== undefined) return { kind: 'operation', operation }
    if (Object.hasOwn(SYSTEM_NUMBERS, name)) return SYSTEM_NUMBERS[name] as number
    if (isConstant(name) || Object.hasOwn(MODIFIERS, name) || Object.hasOwn(MODIFIER_ALIASES, name)) return { kind: 'constant', name }
    return undefined
  }

  private version([version, ...more]: readonly Value[]): Value {
    if (version !== 1 || more.length > 0) throw new Problem('only version 1 of the language is known')
    this.versioned = true
    return UNSPECIFIED
  }

  private addRule(action: Rule['action'], values: readonly Value[], call: Call): Value {
    if (!this.versioned) throw new Problem('(version 1) must stand before the first rule')
    if (this.rules.length >= MAX_RULES) throw new Problem(`more than ${MAX_RULES} rules`)
    const operations: OperationName[] = [...this.additions.operations]
    const filters: Filter[] = []
    const modifiers: Modifier[] = [...this.additions.modifiers]
    for (const value of values) {
      if (isKind(value, 'operation')) operations.push(value.operation)
      else if (isKind(value, 'filter')) filters.push(value)
      else if (isKind(value, 'modifier')) modifiers.push(value)
      else throw new Problem(`${action} takes operations, filters and modifiers, not ${describe(value)}`)
    }
    if (operations.length === 0) throw new Problem(`${action} without an operation`)
    const filter = ruleFilter(filters, this.additions.filters)
    // What evaluating will cost counts too.
    call.spend(operations.length * (filter?.size ?? 1))
    const tests = filter === undefined ? [] : testsOf(filter)
    for (const operation of operations) {
      for (const test of tests) {
        if (!takesCategory(operation, test.category)) throw new Problem(`${test.name} cannot stand on ${operation}`)
      }
      for (const each of modifiers) checkModifier(each, action, operation)
    }
    this.rules.push({ action, operations, filter, modifiers, form: snippet(call.expression), source: call.source, line: lineOf(call.at) })
    return UNSPECIFIED
  }

  private import([path, ...more]: readonly Value[], call: Call): Value {
    if (typeof path !== 'string' || more.length > 0) throw new Problem('import takes one path')
    if (this.importing.includes(path)) throw new Problem(`${JSON.stringify(path)} imports itself`)
    if (++this.imports > MAX_IMPORTS) throw new Problem(`more than ${MAX_IMPORTS} imports`)
    const text = this.options.importer?.(path)
    if (text === undefined) throw new Problem(`${JSON.stringify(path)} is not found`)
    call.spend(Math.ceil(text.length / 16))
    this.importing.push(path)
    this.run(parseForms(text, { source: path }), path)
    this.importing.pop()
    return UNSPECIFIED
  }

  private setTrace([path, ...more]: readonly Value[]): Value {
    if (typeof path !== 'string' || more.length > 0) throw new Problem('trace takes one path')
    if (this.trace !== undefined) throw new Problem('only one trace can be written')
    this.trace = path
    return UNSPECIFIED
  }

  /** `(with-filter FILTER RULE …)`: the value counts for each rule that is made meanwhile. */
  private addingForm(add: (value: Value, additions: Additions) => Additions | undefined): SpecialForm {
    return (form, environment, scheme) => {
      const [, first, ...body] = form.items
      const value: Value = first === undefined ? UNSPECIFIED : scheme.evaluate(first, environment)
      const additions = add(value, this.additions)
      if (additions === undefined) throw scheme.error(form, environment, `${snippet(form.items[0] as Expression)} does not take ${describe(value)}`)
      const before = this.additions
      this.additions = additions
      for (const each of body) scheme.evaluate(each, environment)
      this.additions = before
      return { value: UNSPECIFIED }
    }
  }
}

function buildFilter(build: (values: readonly Value[]) => Filter, values: readonly Value[], call: Call): Filter {
  for (const value of values) if (typeof value === 'string') call.spend(value.length)
  return build(values)
}

/** Of several filters of a rule one must match; what is added around it must match besides. */
function ruleFilter(filters: readonly Filter[], added: readonly Filter[]): Filter | undefined {
  const all = filters.length === 0 ? added : [combineFilters('any', filters), ...added]
  return all.length === 0 ? undefined : combineFilters('all', all)
}

function modifier([name, argument, ...more]: readonly Value[]): Modifier {
  if (name === undefined || !isKind(name, 'constant')) throw new Problem(`with takes the name of a modifier, not ${name === undefined ? 'nothing' : describe(name)}`)
  const modifier = Object.hasOwn(MODIFIER_ALIASES, name.name) ? MODIFIER_ALIASES[name.name] as string : name.name
  const row = Object.hasOwn(MODIFIERS, modifier) ? MODIFIERS[modifier] : undefined
  if (row === undefined) throw new Problem(`${name.name} is not a modifier`)
  if (row.takes === undefined && argument === undefined) return { kind: 'modifier', modifier }
  if (more.length > 0 || (typeof argument !== 'string' && typeof argument !== 'number') || typeof argument !== row.takes) {
    throw new Problem(`${name.name} takes ${row.takes === undefined ? 'no argument' : `one ${row.takes}`}`)
  }
  return { kind: 'modifier', modifier, argument }
}

function checkModifier({ modifier: name }: Modifier, action: Rule['action'], operation: OperationName): void {
  const row = MODIFIERS[name]
  if (row?.on !== undefined && row.on !== action) throw new Problem(`${name} cannot stand on ${action}`)
  if (row?.operations !== undefined && !row.operations.includes(operation)) throw new Problem(`${name} cannot stand on ${operation}`)
}

const lineOf = (at: Position | undefined): number => at?.line ?? 0
