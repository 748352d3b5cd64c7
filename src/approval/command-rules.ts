// Rules about commands and hosts, wherever they come from, and which of them a command meets. Pure.
import { posix, win32 } from 'node:path'
import type { NetworkProtocol } from './approval-request.js'

/** From the laxest to the strictest. */
export const RULE_DECISIONS = ['allow', 'prompt', 'forbidden'] as const
export type RuleDecision = (typeof RULE_DECISIONS)[number]

/** Who wrote a rule. Only the user's own may allow. */
export type RuleSource = 'user' | 'project' | 'requirements'

interface Rule {
  readonly decision: RuleDecision
  readonly justification?: string
  readonly source: RuleSource
  /** `default.rules:3`, or the field of the requirements. */
  readonly place: string
}

/** Matches a command whose first words are these; each word is one of the alternatives. Never empty. */
export interface PrefixRule extends Rule {
  readonly pattern: readonly (readonly string[])[]
}

/** One host, in lower case, without a port. */
export interface NetworkRule extends Rule {
  readonly host: string
  readonly protocol: NetworkProtocol
}

export interface CommandRules {
  /** In the order in which they were written. */
  readonly prefixes: readonly PrefixRule[]
  readonly networks: readonly NetworkRule[]
  /** Where the programs of these names may lie to count as them. */
  readonly executables: ReadonlyMap<string, readonly string[]>
  /** Files that could not be read or understood, as sentences. While there is one, nothing runs unasked. */
  readonly broken: readonly string[]
  /** Rules that were dropped because their file may not say that, as sentences. */
  readonly ignored: readonly string[]
}

export const NO_RULES: CommandRules = { prefixes: [], networks: [], executables: new Map(), broken: [], ignored: [] }

/** All of them together. Of executables of one name the last list counts, as in one file. */
export function mergeRules(...all: readonly CommandRules[]): CommandRules {
  return {
    prefixes: all.flatMap(({ prefixes }) => prefixes),
    networks: all.flatMap(({ networks }) => networks),
    executables: new Map(all.flatMap(({ executables }) => [...executables])),
    broken: all.flatMap(({ broken }) => broken),
    ignored: all.flatMap(({ ignored }) => ignored),
  }
}

export interface RuleMatch {
  readonly rule: PrefixRule
  readonly matchedPrefix: readonly string[]
  /** The program's path, where a rule for its base name was met. */
  readonly resolvedProgram?: string
}

export interface MatchOptions {
  /** Take a program's path for its base name too, as far as `executables` lets it. */
  readonly resolveHostExecutables?: boolean
  /** What a relative path of a program is below. Without it, only absolute ones count. */
  readonly cwd?: string
}

/**
 * The rules that `command` meets, in the order in which they were written.
 *
 * As the reference answers `execpolicy check`: rules for the program as it is written come first, and only where there is no such match
 * those for its base name.
 */
export function matchRules(rules: CommandRules, command: readonly string[], { resolveHostExecutables = false, cwd }: MatchOptions = {}): RuleMatch[] {
  const exact = matchPrefixes(rules, command)
  const written = command[0] ?? ''
  const program = posix.isAbsolute(written) ? posix.normalize(written) : cwd !== undefined && written.includes('/') ? posix.resolve(cwd, written) : undefined
  if (exact.length > 0 || !resolveHostExecutables || program === undefined) return exact
  const name = posix.basename(program)
  const listed = rules.executables.get(name)
  if (listed !== undefined && !listed.includes(program)) return []
  return matchPrefixes(rules, [name, ...command.slice(1)]).map(match => ({ ...match, resolvedProgram: program }))
}

/** The rules whose words are the first of `command`, literally. */
export function matchPrefixes({ prefixes }: CommandRules, command: readonly string[]): RuleMatch[] {
  return prefixes.filter(({ pattern }) => pattern.length <= command.length && pattern.every((alternatives, index) => alternatives.includes(command[index] as string)))
    .map(rule => ({ rule, matchedPrefix: command.slice(0, rule.pattern.length) }))
}

/** Undefined for none. */
export function strictest(decisions: Iterable<RuleDecision>): RuleDecision | undefined {
  const all = new Set(decisions)
  return RULE_DECISIONS.findLast(decision => all.has(decision))
}

/** The name of a program, whatever path it is written with; on Windows without its extension, in lower case. */
export function programName(program: string, windows = false): string {
  return windows ? win32.basename(program).toLowerCase().replace(/\.(exe|cmd|bat|com|ps1)$/, '') : posix.basename(program)
}
