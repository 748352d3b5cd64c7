// A policy as a request names it → how to make the sandbox for it.
import type { Sandbox } from '../exec/sandbox.js'
import type { ParsedSandboxOptions } from '../exec/options.js'
import { userHome } from '../host/snapshot.js'
import { hasGlobSyntax } from '../policy/glob.js'
import type { OnApproval } from '../approval/approval-request.js'
import type { AdditionalPermissions } from '../policy/additional-permissions.js'
import { expandDomains } from '../policy/domain-presets.js'
import { NO_NETWORK_RULES } from '../policy/network-policy.js'
import type { PlatformName } from '../policy/host-snapshot.js'
import type { SandboxPolicy } from '../policy/sandbox-policy.js'
import { boundRequest, type Configuration } from './configuration.js'
import { markedPaths } from './host-mark.js'
import type { CommandExecParams } from './protocol.js'
import { rpcError } from './rpc-error.js'
import type { Recipe } from './warm-sandboxes.js'

/**
 * What belongs to the service itself and no command gets, unless its own `env` gives it: credentials with which an agent runtime calls
 * its model, and the variables that this program reads.
 */
const SERVICE_VARIABLES = ['OPENAI_API_KEY', 'CODEX_API_KEY', 'CODEX_ACCESS_TOKEN', 'CODEX_SANDBOX_LAUNCHER', 'CODEX_SANDBOX_SERVICE_*'] as const

export interface PolicyContext {
  readonly platform: PlatformName
  /** The policy's cwd: the service's. */
  readonly cwd: string
  /** What of the service itself must stay read-only for commands: its socket. */
  readonly selfPaths: readonly string[]
  readonly configuration: Configuration
  /** What the client has permitted this policy since. */
  granted(): readonly AdditionalPermissions[]
  readonly onApproval: OnApproval
}

/** @throws RpcError naming the field of `sandboxPolicy` that is wrong, or what requirements forbid */
export async function policyOf(given: CommandExecParams['sandboxPolicy'], configuration: Configuration): Promise<SandboxPolicy> {
  if (given === undefined || given === null) return configuration.policy()
  const { parseWirePolicy } = await import('../policy/parse.js')
  let policy: SandboxPolicy
  try {
    policy = parseWirePolicy(withoutNulls(given))
  } catch (error) {
    throw rpcError(error, 'sandboxPolicy')
  }
  const configured = configuration.policy()
  // What variables a command gets is not the wire's to say, nor is it which hosts "the network" means where the configuration has rules for that.
  return boundRequest({ ...policy, ...proxied(policy, configured), env: configured.env }, configuration)
}

/**
 * Requirements that forbid a policy which is that wide forbid to widen it, for good or for one command.
 *
 * @throws RpcError -32600
 */
export function boundPermissions(policy: SandboxPolicy, { fileSystem, network }: AdditionalPermissions, configuration: Configuration): void {
  const isOpen = network?.enabled === true || policy.network === 'open'
  const hosts = isOpen ? [] : network?.allowedDomains ?? []
  const rules = policy.networkRules ?? NO_NETWORK_RULES
  boundRequest({
    ...policy,
    mode: (fileSystem?.write ?? []).length > 0 && policy.mode === 'read-only' ? 'workspace-write' : policy.mode,
    network: isOpen ? 'open' : hosts.length > 0 ? 'proxied' : policy.network,
    ...(hosts.length === 0 ? {} : { networkRules: { ...rules, allowedDomains: [...rules.allowedDomains ?? [], ...expandDomains(hosts, 'additionalPermissions.network.allowedDomains')] } }),
  }, configuration)
}

function proxied({ mode, network }: SandboxPolicy, configured: SandboxPolicy): Pick<SandboxPolicy, 'network' | 'networkRules'> | undefined {
  if (network !== 'open' || mode === 'danger-full-access' || mode === 'external-sandbox') return undefined
  if (configured.network !== 'proxied' || configured.networkRules === undefined) return undefined
  return { network: 'proxied', networkRules: configured.networkRules }
}

/** On the wire null is the same as absent. */
function withoutNulls(value: unknown): unknown {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return value
  return Object.fromEntries(Object.entries(value).filter(([, each]) => each !== null).map(([key, each]) => [key, withoutNulls(each)]))
}

export function sandboxOptionsOf(policy: SandboxPolicy, { platform, cwd, selfPaths, configuration }: Pick<PolicyContext, 'platform' | 'cwd' | 'selfPaths' | 'configuration'>): ParsedSandboxOptions {
  return {
    policy: { ...policy, env: { ...policy.env, exclude: [...policy.env.exclude, ...SERVICE_VARIABLES] } },
    cwd, selfPaths: [...selfPaths, ...configuration.files],
    ...(configuration.backend === undefined ? {} : { backend: configuration.backend }),
    ...(platform === 'windows' ? windowsOptions(configuration) : {}),
    // Naming it is the word that it needs.
    allowBroadRoots: [...policy.writableRoots, ...policy.write].some(path => path === '/' || path === userHome()),
  }
}

/** As the reference: with the user's own account the network is off by advice alone, and what everybody may write stays open; results name both. */
const UNELEVATED_HOLDS_NOT = ['network', 'world-writable'] as const

const windowsOptions = ({ windowsMode }: Pick<Configuration, 'windowsMode'>): Pick<ParsedSandboxOptions, 'windowsMode' | 'allowDegraded'> =>
  ({ ...(windowsMode === undefined ? {} : { windowsMode }), ...(windowsMode === 'unelevated' ? { allowDegraded: UNELEVATED_HOLDS_NOT } : {}) })

export function recipeOf(policy: SandboxPolicy, context: PolicyContext): Recipe<Sandbox> {
  const options: ParsedSandboxOptions = {
    ...sandboxOptionsOf(policy, context),
    // Rules answer first, and also where nobody may be asked.
    ...(policy.network === 'proxied' ? { onApproval: onApprovalOf(context) } : {}),
  }
  const hasGlobs = [...policy.read, ...policy.write, ...policy.deny].some(path => hasGlobSyntax(context.platform, path))
  return {
    key: keyOf(policy),
    marked: hasGlobs ? undefined : markedPaths(policy, context.cwd, process.env),
    async make() {
      const { createParsedSandbox } = await import('../exec/sandbox.js')
      const { withRules } = await import('../exec/approved-commands.js')
      const sandbox = await createParsedSandbox(withRules(options, context.configuration.approvals))
      try {
        for (const permissions of context.granted()) await sandbox.grant(permissions)
        return sandbox
      } catch (error) {
        await sandbox.close()
        throw error
      }
    },
  }
}

function onApprovalOf({ configuration: { approvals, mayAsk }, onApproval }: PolicyContext): OnApproval {
  return async (request, options) => (await import('../approval/approve-hosts.js')).approveHosts(approvals, mayAsk ? onApproval : undefined)(request, options)
}

/** The same for the same policy. */
export const keyOf = (policy: SandboxPolicy): string => JSON.stringify(policy)
