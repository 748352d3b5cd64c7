// What the library can say of a policy, and `grant`, for a client.
import { SandboxError } from '../errors.js'
import { checkParsedHost } from '../exec/check-host.js'
import type { AdditionalPermissions } from '../policy/additional-permissions.js'
import type { Client } from './client.js'
import type { CommandExecParams } from './protocol.js'
import { boundPermissions, sandboxOptionsOf } from './policies.js'

export async function inspectHost(client: Client, given: CommandExecParams['sandboxPolicy']) {
  const { policy } = await client.policy(given)
  const configuration = await client.shared.configuration()
  const check = await checkParsedHost(sandboxOptionsOf(policy, { ...client.shared, configuration }))
  return JSON.parse(JSON.stringify(check)) as WireHostCheck
}

type WireHostCheck =
  | { ok: true; enforcement: { backend: string; layers: unknown[]; degraded: string[]; notes: string[] } }
  | { ok: false; missing: { rule?: string; layer: string; reason: string; remedy: string }[] }

/** Widens a policy for this client, as long as it is connected. Requirements that forbid a policy that wide forbid the grant. */
export async function grant(client: Client, permissions: AdditionalPermissions, given: CommandExecParams['sandboxPolicy']) {
  const configuration = await client.shared.configuration()
  const { policy } = await client.policy(given)
  boundPermissions(policy, permissions, configuration)
  const lease = await client.borrow(given)
  try {
    const { changed, notes } = await lease.sandbox.grant(permissions).catch((error: unknown) => { throw inWireWords(error) })
    if (changed) client.remember(policy, permissions)
    return { changed, notes: [...notes] }
  } finally {
    lease.release()
  }
}

/** The parameter has another name than the library's. */
const inWireWords = (error: unknown): unknown => error instanceof SandboxError && error.field !== undefined ? error.renamed(error.field.replace(/^additionalPermissions/, 'permissions')) : error
