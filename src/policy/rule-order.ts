// Which rule decides: the most specific one, and at one path deny before read before write.
import type { PlatformName } from './host-snapshot.js'
import { comparisonKey } from './letter-case.js'
import { depth, isInside, upwards } from './path-syntax.js'
import type { Effect, PathRule } from './resolved-policy.js'

export const STRICTNESS: Readonly<Record<Effect, number>> = { write: 0, read: 1, deny: 2 }

/** What `decide` needs of a policy to find the rule of a path; a `ResolvedPolicy` is one. */
export interface RuleSet {
  readonly platform: PlatformName
  readonly base: Effect
  /** In the order that `orderRules` gives them. */
  readonly paths: readonly PathRule[]
  readonly caseInsensitiveRoots: readonly string[]
}

/**
 * Sorts in the order of `ResolvedPolicy.paths` (depth, then path, then strictness), and keeps one rule a path: the strictest, of
 * two equally strict ones the first.
 */
export function orderRules(platform: PlatformName, caseInsensitiveRoots: readonly string[], rules: readonly PathRule[]): PathRule[] {
  const byPath = new Map<string, { rule: PathRule; key: string; depth: number }>()
  for (const rule of rules) {
    const key = comparisonKey(platform, caseInsensitiveRoots, rule.path)
    // On Windows names are folded that some disks tell apart. Each of two such files has an access list of its own, so both rules stay.
    const own = platform === 'windows' && rule.identity !== undefined ? `${key}\0${rule.identity.device}:${rule.identity.inode}` : key
    const other = byPath.get(own)
    if (other === undefined || STRICTNESS[rule.effect] > STRICTNESS[other.rule.effect]) byPath.set(own, { rule, key, depth: depth(platform, rule.path) })
  }
  return [...byPath.values()]
    .sort((a, b) => a.depth - b.depth || (a.key === b.key ? STRICTNESS[a.rule.effect] - STRICTNESS[b.rule.effect] : a.rule.path < b.rule.path ? -1 : 1))
    .map(({ rule }) => rule)
}

/** The most specific rule at or above `path`; undefined where only the base holds. */
export function ruleOf(set: RuleSet, path: string): PathRule | undefined {
  const { platform, caseInsensitiveRoots } = set
  const key = comparisonKey(platform, caseInsensitiveRoots, path)
  // There are a hundred rules and more, and most are elsewhere: where names are compared as they are, that shows at once.
  const exact = platform !== 'windows' && caseInsensitiveRoots.length === 0
  for (let index = set.paths.length - 1; index >= 0; index--) {
    const rule = set.paths[index]
    if (rule === undefined || (exact && !key.startsWith(rule.path))) continue
    if (isInside(platform, comparisonKey(platform, caseInsensitiveRoots, rule.path), key)) return rule
  }
  return undefined
}

/** Rules that are asked often: what costs a look at every rule in `ruleOf` costs one at every folder here. */
export interface Layer extends RuleSet {
  effectAt(path: string): Effect
  /** A rule stands at exactly this path. */
  names(path: string): boolean
}

export function layer(set: RuleSet): Layer {
  const key = (path: string) => comparisonKey(set.platform, set.caseInsensitiveRoots, path)
  const byKey = new Map(set.paths.map(rule => [key(rule.path), rule]))
  return {
    ...set,
    names: path => byKey.has(key(path)),
    effectAt: path => {
      for (const at of upwards(set.platform, key(path))) {
        const rule = byKey.get(at)
        if (rule !== undefined) return rule.effect
      }
      return set.base
    },
  }
}
