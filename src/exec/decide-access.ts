// Answers `decide` and `explain` for a caller: takes the path through this machine's links first, as the kernel would.
import { decide } from '../policy/decide.js'
import type { Access, Decision } from '../policy/decision.js'
import { describeDecision } from '../policy/explain.js'
import { followLinks, followLinksToParent } from '../policy/follow-links.js'
import type { HostSnapshot } from '../policy/host-snapshot.js'
import { resolveText } from '../policy/path-syntax.js'
import type { ResolvedPolicy } from '../policy/resolved-policy.js'

/** A decision, and the same as one line for people and models. */
export interface Explanation {
  readonly decision: Decision
  readonly text: string
}

/**
 * @param access  a relative path starts at the policy's cwd
 * @throws SandboxError `path_invalid`, `path_symlink_loop`, `field` = `path`
 */
export function explainAccess(policy: ResolvedPolicy, host: HostSnapshot, access: Access): Explanation {
  const located = locate(policy, host, access)
  const decision = decide(policy, located, host.files)
  return { decision, text: describeDecision(located, decision, policy) }
}

function locate(policy: ResolvedPolicy, host: HostSnapshot, access: Access): Access {
  if (!('path' in access)) return access
  const path = resolveText(policy.platform, policy.cwd, access.path)
  // What is created or removed is the name itself, whatever a link of that name leads to.
  const isName = access.kind === 'create' || access.kind === 'remove'
  return { ...access, path: (isName ? followLinksToParent(host, path, 'path') : followLinks(host, path, 'path')).path }
}
