// The reference meaning of the path rules: which rule speaks, and what an access needs of it.
import type { Decision, FileAccess, Remedy } from './decision.js'
import { globMatches, parseGlob } from './glob.js'
import { comparisonKey } from './letter-case.js'
import { depth, isInside, namesOf, parentOf, rootOf, upwards } from './path-syntax.js'
import type { Effect, GlobRule, PathRule, ResolvedPolicy } from './resolved-policy.js'
import { ruleOf } from './rule-order.js'

export interface FileRequest {
  readonly kind: FileAccess
  readonly path: string
}

/** Each member of `Decision` on its own, so that leaving a field out keeps the union. */
type WithoutRemedy<Outcome> = Outcome extends { readonly remedy: Remedy } ? Omit<Outcome, 'remedy'> : never
export type Refusal = WithoutRemedy<Decision>

/**
 * The verdict on one access, without a remedy. Pure.
 *
 * - `read`, `execute`: the path's own rule must not deny.
 * - `write`: it must let write.
 * - `create`, `remove` (and both ends of a rename): the folder that holds the name must let write as well.
 * - `remove`: and nothing below may be closed, else a closed path would move along with its folder.
 *
 * @param request   its path is normalised
 */
export function judge(policy: ResolvedPolicy, { kind, path }: FileRequest): Extract<Decision, { verdict: 'allow' }> | Refusal {
  const needed = kind === 'read' || kind === 'execute' ? 'read' : 'write'
  const own = speaker(policy, path)
  if (!permits(own.effect, needed)) return refuse(policy, path, own, needed)
  if (kind === 'create' || kind === 'remove') {
    const parent = parentOf(policy.platform, path)
    const above = speaker(policy, parent)
    if (!permits(above.effect, 'write')) return refuse(policy, path, above, 'write')
  }
  if (kind === 'remove') {
    const key = comparisonKey(policy.platform, policy.caseInsensitiveRoots, path)
    const below = policy.paths.find(rule => {
      const other = comparisonKey(policy.platform, policy.caseInsensitiveRoots, rule.path)
      return rule.effect !== 'write' && other !== key && isInside(policy.platform, key, other)
    })
    if (below !== undefined) return refuse(policy, below.path, { effect: below.effect, rule: below, glob: undefined }, 'write')
  }
  return { verdict: 'allow', rule: own.rule }
}

interface Speaker {
  readonly effect: Effect
  readonly rule: PathRule | undefined
  readonly glob: GlobRule | undefined
}

/** What decides at `path`: of the rule and the globs that name it or a folder above it the deepest, at one path deny first. */
function speaker(policy: ResolvedPolicy, path: string): Speaker {
  const rule = ruleOf(policy, path)
  if (isPrivate(policy, path) && (rule === undefined || !isPrivate(policy, rule.path))) return { effect: 'write', rule: undefined, glob: undefined }
  if (policy.globs.length > 0 && rule?.effect !== 'deny') {
    const glob = deepestGlob(policy, path, rule === undefined ? 0 : depth(policy.platform, rule.path))
    if (glob !== undefined) return { effect: 'deny', rule: undefined, glob }
  }
  return { effect: rule?.effect ?? policy.base, rule, glob: undefined }
}

function deepestGlob(policy: ResolvedPolicy, path: string, floor: number): GlobRule | undefined {
  const globs = policy.globs.map(rule => ({ rule, glob: parseGlob(policy.platform, rule.pattern, rule.field) }))
  for (const at of upwards(policy.platform, path)) {
    if (depth(policy.platform, at) < floor) return undefined
    const found = globs.find(({ glob }) => globMatches(policy.platform, glob, at, { ignoreCase: ignoresCase(policy, at) }))
    if (found !== undefined) return found.rule
  }
  return undefined
}

const ignoresCase = ({ platform, caseInsensitiveRoots }: ResolvedPolicy, path: string): boolean =>
  platform === 'windows' || caseInsensitiveRoots.some(root => isInside(platform, root, path))

/** `tmp: 'private'`: at /tmp commands see a folder of their own; rules for paths below it still stand. */
const isPrivate = ({ platform, tmp }: ResolvedPolicy, path: string): boolean =>
  tmp === 'private' && platform !== 'windows' && isInside(platform, '/tmp', path)

const permits = (effect: Effect, needed: 'read' | 'write'): boolean => effect === 'write' || effect === needed

function refuse(policy: ResolvedPolicy, path: string, { effect, rule, glob }: Speaker, needed: 'read' | 'write'): Refusal {
  if (glob !== undefined) return { verdict: 'deny', because: 'glob', pattern: glob.pattern }
  const noRule = (): Refusal => ({ verdict: 'deny', because: 'no-rule', nearest: nearestRoot(policy, path, needed) })
  if (rule === undefined) return noRule()
  switch (rule.origin) {
    case 'protected': case 'self': return { verdict: 'deny', because: 'protected', rule, owner: rule.owner ?? rootOf(policy.platform, path) }
    case 'rule': case 'secret': return { verdict: 'deny', because: 'rule', rule }
    // These grant reading and say nothing about writing.
    case 'mode': case 'cwd': case 'readable-root': case 'writable-root': case 'tmp': case 'cache':
      return effect === 'deny' ? { verdict: 'deny', because: 'rule', rule } : noRule()
    default: return rule.origin satisfies never
  }
}

/** The root that shares the longest way with `path`; of equals the first. */
function nearestRoot(policy: ResolvedPolicy, path: string, needed: 'read' | 'write'): string | undefined {
  const names = namesOf(policy.platform, path)
  let best: { path: string; shared: number } | undefined
  for (const { path: root, effect, origin } of policy.paths) {
    // Nobody means to put anything there.
    if (!permits(effect, needed) || origin === 'cache') continue
    const others = namesOf(policy.platform, root)
    const differs = others.findIndex((name, index) => name !== names[index])
    const shared = differs === -1 ? others.length : differs
    if (best === undefined || shared > best.shared) best = { path: root, shared }
  }
  return best?.path
}
