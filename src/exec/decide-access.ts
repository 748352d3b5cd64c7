// Answers `decide` and `explain` for a caller: takes the path through this machine's links first, as the kernel would.
import { SandboxError } from '../errors.js'
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
 * @throws SandboxError `option_invalid` for what is no access; `path_invalid`, `path_symlink_loop`, `field` = `path`
 */
export function explainAccess(policy: ResolvedPolicy, host: HostSnapshot, access: Access): Explanation {
  checkAccess(access)
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

/** What each kind of access is about. */
const KINDS: Readonly<Record<Access['kind'], 'path' | 'host'>> = { read: 'path', write: 'path', create: 'path', remove: 'path', execute: 'path', 'unix-connect': 'path', connect: 'host', bind: 'host' }

/** The types say it to TypeScript alone; what is misspelt must not be answered as something else. */
function checkAccess(access: unknown): asserts access is Access {
  const refuse = (field: string, value: unknown, detail: string, remedy: string) => new SandboxError('option_invalid', { field, value }, { detail, remedy })
  if (typeof access !== 'object' || access === null) throw refuse('access', access, 'it must be an object', 'Give {kind: "write", path} or {kind: "connect", host, port}.')
  const { kind, path, host, port } = access as Readonly<Record<string, unknown>>
  if (typeof kind !== 'string' || !Object.hasOwn(KINDS, kind)) throw refuse('access.kind', kind, `it must be one of ${Object.keys(KINDS).join(', ')}`, 'Correct it.')
  if (KINDS[kind as Access['kind']] === 'path') {
    if (typeof path !== 'string' || path === '') throw refuse('access.path', path, 'it must be a text that is not empty', `Give {kind: ${JSON.stringify(kind)}, path}.`)
    return
  }
  if (typeof host !== 'string' || host === '') throw refuse('access.host', host, 'it must be a text that is not empty', `Give {kind: ${JSON.stringify(kind)}, host, port}.`)
  if (!Number.isInteger(port) || (port as number) < 0 || (port as number) > 65_535) throw refuse('access.port', port, 'it must be a whole number up to 65535', `Give {kind: ${JSON.stringify(kind)}, host, port}.`)
}
