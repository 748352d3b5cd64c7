// The text of a `.rules` file → rules. What the file may say is in the three functions below; the language is Starlark. Pure.
import { posix } from 'node:path'
import { parseHost } from '../policy/host-name.js'
import type { NetworkProtocol } from './approval-request.js'
import { type CommandRules, matchRules, type NetworkRule, type PrefixRule, RULE_DECISIONS, type RuleDecision, type RuleSource } from './command-rules.js'
import { RulesError } from './rules-error.js'
import { splitWords } from './split-words.js'
import { takeArguments } from './starlark/arguments.js'
import { evaluateProgram } from './starlark/evaluate.js'
import { linesOf, positionOf, type Span, StarlarkError } from './starlark/source.js'
import { type Call, List, reprOf, typeOf, type Value, ValueError } from './starlark/values.js'

/** What a file may hold; more helps nobody, and each command is compared with all of them. */
const MOST_RULES = 10_000

/** The word of rules, and that of the wire. */
const PROTOCOLS: Readonly<Record<string, NetworkProtocol>> = { http: 'http', https: 'https', https_connect: 'https', 'http-connect': 'https', socks5_tcp: 'socks5Tcp', socks5_udp: 'socks5Udp' }
const NETWORK_DECISIONS: Readonly<Record<string, RuleDecision>> = { allow: 'allow', prompt: 'prompt', deny: 'forbidden', forbidden: 'forbidden' }

export interface RulesFileOptions {
  /** As errors and rules name it. */
  readonly name: string
  readonly source: RuleSource
  /** What `~` stands for in `host_executable`. Without it, such a path is refused. */
  readonly home?: string | undefined
}

/**
 * Reads rules. The examples of a rule (`match`, `not_match`) are tried when the whole file is read, so that they see its
 * `host_executable`s; each must match, or not match, the rule that it stands in.
 *
 * @throws RulesError for text that is no program, for a wrong call, for an example that is not true, and beyond the limits of evaluation
 */
export function parseRules(text: string, { name, source, home }: RulesFileOptions): CommandRules {
  const reader = new Reader(text, name, source, home)
  try {
    evaluateProgram(text, { prefix_rule: call => reader.prefixRule(call), network_rule: call => reader.networkRule(call), host_executable: call => reader.hostExecutable(call) })
    reader.tryExamples()
  } catch (error) {
    if (!(error instanceof StarlarkError)) throw error
    throw new RulesError(name, reasonWithCalls(error, text), { source: { name, text }, span: error.span }, error)
  }
  return reader.rules
}

/** The calls that led there, where the place alone does not say whose mistake it is. */
function reasonWithCalls({ reason, calls, span }: StarlarkError, text: string): string {
  const outer = [...new Set(calls.filter(call => call.start < span.start || call.end > span.end).map(call => positionOf(text, call.start).line))]
  return outer.length === 0 ? reason : `${reason} (called from line ${outer.slice(0, 5).join(', ')})`
}

interface Examples {
  readonly rule: PrefixRule
  readonly match: readonly (readonly string[])[]
  readonly notMatch: readonly (readonly string[])[]
  readonly span: Span
}

class Reader {
  readonly #prefixes: PrefixRule[] = []
  readonly #networks: NetworkRule[] = []
  readonly #executables = new Map<string, readonly string[]>()
  readonly #examples: Examples[] = []
  readonly #lineOf: (offset: number) => number
  readonly #name: string
  readonly #source: RuleSource
  readonly #home: string | undefined

  constructor(text: string, name: string, source: RuleSource, home: string | undefined) {
    this.#lineOf = linesOf(text)
    this.#name = name
    this.#source = source
    this.#home = home
  }

  get rules(): CommandRules {
    return { prefixes: this.#prefixes, networks: this.#networks, executables: this.#executables, broken: [], ignored: [] }
  }

  prefixRule(call: Call): null {
    const given = takeArguments('prefix_rule', call, [
      { name: 'pattern', required: true, type: 'list' }, { name: 'decision', type: 'string' }, { name: 'match', type: 'list' }, { name: 'not_match', type: 'list' }, { name: 'justification', type: 'string' },
    ])
    const decision = given.decision ?? 'allow'
    if (!(RULE_DECISIONS as readonly Value[]).includes(decision)) throw new ValueError(`${shown(call, decision)} is no decision: use ${RULE_DECISIONS.join(', ')}`)
    const rule: PrefixRule = { pattern: patternOf(call, given.pattern as List), decision: decision as RuleDecision, ...this.#common(call, given.justification) }
    if (this.#prefixes.push(rule) + this.#networks.length > MOST_RULES) throw new ValueError(`this file has more than ${MOST_RULES} rules`)
    this.#examples.push({ rule, match: examplesOf(call, 'match', given.match), notMatch: examplesOf(call, 'not_match', given.not_match), span: call.span })
    return null
  }

  networkRule(call: Call): null {
    const given = takeArguments('network_rule', call, [
      { name: 'host', required: true, type: 'string' }, { name: 'protocol', required: true, type: 'string' }, { name: 'decision', required: true, type: 'string' }, { name: 'justification', type: 'string' },
    ])
    const protocol = ownValue(PROTOCOLS, given.protocol as string)
    if (protocol === undefined) throw new ValueError(`${shown(call, given.protocol as Value)} is no protocol: use http, https, socks5_tcp, socks5_udp`)
    const decision = ownValue(NETWORK_DECISIONS, given.decision as string)
    if (decision === undefined) throw new ValueError(`${shown(call, given.decision as Value)} is no decision: use allow, prompt, deny`)
    this.#networks.push({ host: hostOf(call, given.host as string), protocol, decision, ...this.#common(call, given.justification) })
    if (this.#prefixes.length + this.#networks.length > MOST_RULES) throw new ValueError(`this file has more than ${MOST_RULES} rules`)
    return null
  }

  hostExecutable(call: Call): null {
    const given = takeArguments('host_executable', call, [{ name: 'name', required: true, type: 'string' }, { name: 'paths', required: true, type: 'list' }])
    const name = given.name as string
    if (name === '' || /[/\\\0]/.test(name) || name === '.' || name === '..') throw new ValueError(`${shown(call, name)} is no bare name of a program`)
    const paths = (given.paths as List).items.map(path => {
      if (typeof path !== 'string') throw new ValueError(`paths are strings, not a ${typeOf(path)}`)
      const absolute = path.startsWith('~/') && this.#home !== undefined ? posix.join(this.#home, path.slice(2)) : path
      if (!posix.isAbsolute(absolute) || absolute.includes('\0')) throw new ValueError(`the path ${shown(call, path)} is not absolute`)
      if (posix.basename(absolute) !== name) throw new ValueError(`the path ${shown(call, path)} does not end in ${shown(call, name)}`)
      return posix.normalize(absolute)
    })
    this.#executables.set(name, paths)
    return null
  }

  /** @throws StarlarkError at the rule whose example is not true */
  tryExamples(): void {
    for (const { rule, match, notMatch, span } of this.#examples) {
      const alone: CommandRules = { ...this.rules, prefixes: [rule] }
      const meets = (example: readonly string[]): boolean => matchRules(alone, example, { resolveHostExecutables: true }).length > 0
      const missed = match.find(example => !meets(example))
      if (missed !== undefined) throw new StarlarkError(`the rule does not match its example ${JSON.stringify(missed)}`, span)
      const met = notMatch.find(meets)
      if (met !== undefined) throw new StarlarkError(`the rule matches ${JSON.stringify(met)}, which not_match says it must not`, span)
    }
  }

  #common({ span }: Call, justification: Value | undefined): Pick<PrefixRule, 'source' | 'place' | 'justification'> {
    if (typeof justification === 'string' && justification.trim() === '') throw new ValueError('the justification is empty')
    return { source: this.#source, place: `${this.#name}:${this.#lineOf(span.start)}`, ...(typeof justification === 'string' ? { justification } : {}) }
  }
}

function patternOf(call: Call, { items }: List): string[][] {
  if (items.length === 0) throw new ValueError('the pattern is empty')
  return items.map(element => {
    if (typeof element === 'string') return [element]
    if (!(element instanceof List)) throw new ValueError(`an element of a pattern is a string or a list of strings, not a ${typeOf(element)}`)
    if (element.items.length === 0) throw new ValueError('a list of alternatives is empty')
    call.budget.make(element.items.length)
    return element.items.map(alternative => {
      if (typeof alternative !== 'string') throw new ValueError(`an alternative is a string, not a ${typeOf(alternative)}`)
      return alternative
    })
  })
}

function examplesOf(call: Call, name: 'match' | 'not_match', given: Value | undefined): string[][] {
  return !(given instanceof List) ? [] : given.items.map(example => {
    if (example instanceof List) {
      if (example.items.length === 0) throw new ValueError(`an example of ${name} is empty`)
      return example.items.map(word => {
        if (typeof word !== 'string') throw new ValueError(`the words of an example of ${name} are strings, not a ${typeOf(word)}`)
        return word
      })
    }
    if (typeof example !== 'string') throw new ValueError(`an example of ${name} is a string or a list of strings, not a ${typeOf(example)}`)
    call.budget.make(example.length)
    const words = splitWords(example)
    if (words === undefined) throw new ValueError(`a shell could not divide the example ${shown(call, example)} of ${name}: is a quote open?`)
    if (words.length === 0) throw new ValueError(`an example of ${name} is empty`)
    return words
  })
}

/** A specific host, a name or an address, in its one normal form and without a port. */
function hostOf(call: Call, given: string): string {
  const trimmed = given.trim()
  if (trimmed === '') throw new ValueError('the host is empty')
  const bare = /^(\[[^\]]*\]|[^:]+):\d{1,5}$/.exec(trimmed)?.[1] ?? trimmed
  if (/[*?[\]]/.test(bare.replace(/^\[([0-9a-fA-F:.]+)\]$/, '$1'))) throw new ValueError(`${shown(call, given)} is a pattern: a rule is for one host, without * ? [ ]`)
  const host = parseHost(bare)
  if (host.kind === 'invalid') throw new ValueError(`the host ${shown(call, given)} ${host.reason}: give a name or an address, without a scheme or a path`)
  return host.text
}

const shown = (call: Call, value: Value): string => reprOf(value, call.budget)
const ownValue = <T>(table: Readonly<Record<string, T>>, key: string): T | undefined => Object.hasOwn(table, key) ? table[key] : undefined
