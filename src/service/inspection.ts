// What the library can say of a policy, and `grant`, for a client.
import { checkParsedHost } from '../exec/check-host.js'
import type { AdditionalPermissions } from '../policy/additional-permissions.js'
import type { Client } from './client.js'
import type { CommandExecParams } from './protocol.js'
import { invalidRequest } from './rpc-error.js'
import { sandboxOptionsOf } from './policies.js'

export async function inspectHost(client: Client, given: CommandExecParams['sandboxPolicy']) {
  const { policy } = await client.policy(given)
  const check = await checkParsedHost(sandboxOptionsOf(policy, client.shared))
  return JSON.parse(JSON.stringify(check)) as { ok: true; enforcement: { backend: string; layers: unknown[]; degraded: string[]; notes: string[] } } | { ok: false; missing: { rule?: string; layer: string; reason: string; remedy: string }[] }
}

/** Widens a policy for this client, as long as it is connected. Requirements that allow reading only allow no grant of more. */
export async function grant(client: Client, permissions: AdditionalPermissions, given: CommandExecParams['sandboxPolicy']) {
  const { allowedModes } = await client.shared.configuration()
  const { policy } = await client.policy(given)
  const writes = (permissions.fileSystem?.write ?? []).length > 0
  if (writes && allowedModes !== undefined && !allowedModes.includes('workspace-write') && !allowedModes.includes('danger-full-access')) {
    throw invalidRequest(`invalid permissions: requirements allow ${allowedModes.join(', ')} only, and fileSystem.write is more`)
  }
  const lease = await client.borrow(given)
  try {
    const { changed, notes } = await lease.sandbox.grant(permissions)
    if (changed) client.remember(policy, permissions)
    return { changed, notes: [...notes] }
  } finally {
    lease.release()
  }
}
