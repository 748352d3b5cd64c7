// Which rule of a profile decides about an access, and how. The kernel's own order, as projects that tried it on Macs report it
// (sandbox-runtime on file-write-unlink, GreyhavenHQ/greywall#20, microsoft/mxc#754, nolabs-ai/nono#971), and as the rule lists
// with jumps in Dionysus Blazakis, "The Apple Sandbox", have it:
//
// 1. The rules on the operation itself are asked first, then those on its parent, and so on: `file-read-data`, `file-read*`,
//    `file*`, `default`. So a rule on a specific operation wins over one on its parent wherever the two stand in the profile.
// 2. Among rules on one operation, those with filters are asked from the last to the first.
// 3. A rule without filters is asked after all others on its operation, wherever it stands; of several, the last.
// 4. Where no rule matches, the last operation's own outcome holds: see `operations.ts`.
//
// Many texts say only "the last match wins". A profile that is to be safe means the same in both readings; `sourceOrder` is the
// other one.
import { filterMatches } from './filters.js'
import { decidingOperations, type OperationName } from './operations.js'
import type { Profile, Rule } from './profile.js'
import { prepareRequest, type Request } from './request.js'

export interface ProfileDecision {
  readonly verdict: 'allow' | 'deny'
  /** `default`: no rule matches. */
  readonly rule: Rule | 'default'
}

export type Reading = 'kernel' | 'sourceOrder'

/**
 * Decides about one access. Pure.
 *
 * @throws SandboxError `profile_invalid`, `field` = `operation`: not in the table; `path_not_absolute`, `path_invalid`
 */
export function evaluate(profile: Profile, request: Request, reading: Reading = 'kernel'): ProfileDecision {
  const { operations, byDefault } = decidingOperations(request.operation)
  const prepared = prepareRequest(request)
  const matches = ({ filter }: Rule) => filter === undefined || filterMatches(filter, prepared)
  const rule = reading === 'kernel' ? firstRule(operations, profile, matches)
    : profile.rules.findLast(each => each.operations.some(operation => operations.includes(operation)) && matches(each))
  return rule === undefined ? { verdict: byDefault, rule: 'default' } : { verdict: rule.action, rule }
}

function firstRule(operations: readonly OperationName[], { rules }: Profile, matches: (rule: Rule) => boolean): Rule | undefined {
  for (const operation of operations) {
    const own = rules.filter(rule => rule.operations.includes(operation))
    const rule = own.findLast(each => each.filter !== undefined && matches(each)) ?? own.findLast(({ filter }) => filter === undefined)
    if (rule !== undefined) return rule
  }
  return undefined
}
