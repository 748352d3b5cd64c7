// The reference meaning of a policy: what every back end is tested against.
import type { Access, Decision } from './decision.js'
import { decideHost } from './decide-host.js'
import { decidePath } from './decide-path.js'
import type { FileSystemView } from './host-snapshot.js'
import type { ResolvedPolicy } from './resolved-policy.js'

/**
 * Whether `policy` permits one access. Pure.
 *
 * @param access   its path is taken as canonical; trailing and doubled separators make no difference
 * @param files    lets a remedy name exactly what exists; without it the remedy supposes that folders do and that a file
 *                 to be made does not. Never changes the verdict.
 * @throws         SandboxError `path_not_absolute`, `path_invalid` (`..`, NUL), `field` = `path`
 */
export function decide(policy: ResolvedPolicy, access: Access, files?: FileSystemView): Decision {
  switch (access.kind) {
    case 'read': case 'write': case 'create': case 'remove': case 'execute': return decidePath(policy, access, files)
    case 'connect': case 'bind': case 'unix-connect': return decideHost(policy, access)
    default: return access satisfies never
  }
}
