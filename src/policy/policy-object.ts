// A policy written down again in the form in code, with no more than differs from its mode's defaults.
import type { NetworkRules } from './domains.js'
import { presetPolicy } from './presets.js'
import type { NetworkMode, SandboxPolicy } from './sandbox-policy.js'
import type { PolicyObject } from './schema.js'

/** What `parsePolicy` makes the same policy of. */
export function policyObject(policy: SandboxPolicy): PolicyObject {
  const preset = presetPolicy(policy.mode, 'library')
  const differs = <Key extends keyof SandboxPolicy>(key: Key): boolean => JSON.stringify(policy[key]) !== JSON.stringify(preset[key])
  const { readAccess, denySecrets, env, limits } = policy
  return {
    mode: policy.mode,
    ...(readAccess.kind === 'full' ? {} : { readOnlyAccess: { type: 'restricted', includePlatformDefaults: readAccess.includePlatformDefaults, readableRoots: [...readAccess.readableRoots] } }),
    ...(differs('writableRoots') ? { writableRoots: [...policy.writableRoots] } : {}),
    ...(differs('excludeTmpdirEnvVar') ? { excludeTmpdirEnvVar: policy.excludeTmpdirEnvVar } : {}),
    ...(differs('excludeSlashTmp') ? { excludeSlashTmp: policy.excludeSlashTmp } : {}),
    ...(policy.networkRules !== undefined ? { network: networkTable(policy.network, policy.networkRules) } : differs('network') ? { network: policy.network } : {}),
    ...(differs('read') ? { read: [...policy.read] } : {}),
    ...(differs('write') ? { write: [...policy.write] } : {}),
    ...(differs('deny') ? { deny: [...policy.deny] } : {}),
    ...(differs('requiredDeny') ? { requiredDeny: [...policy.requiredDeny ?? []] } : {}),
    ...(differs('protect') ? { protect: [...policy.protect] } : {}),
    ...(differs('protectAgentFiles') ? { protectAgentFiles: policy.protectAgentFiles } : {}),
    ...(differs('git') ? { git: policy.git } : {}),
    ...(differs('denySecrets') ? { denySecrets: denySecrets === false ? false : { except: [...denySecrets.except] } } : {}),
    ...(differs('caches') ? { caches: policy.caches } : {}),
    ...(differs('tmp') ? { tmp: policy.tmp } : {}),
    ...(differs('devices') ? { devices: [...policy.devices] } : {}),
    ...(differs('limits') ? { limits } : {}),
    ...(differs('env') ? { env: { ...env, keep: [...env.keep], exclude: [...env.exclude], set: { ...env.set }, ...(env.only === undefined ? {} : { only: [...env.only] }) } } : {}),
  }
}

/** Without `enabled` the rules say that it is proxied; of those that say nothing, `strictAllowlist` does. */
function networkTable(network: NetworkMode, { allowedDomains, strictAllowlist, ...rules }: NetworkRules): PolicyObject['network'] {
  const { mode, deniedDomains, httpPort, socksPort, ...others } = rules
  if (network !== 'proxied') return { enabled: network === 'open', ...others }
  return {
    ...others, mode, deniedDomains, strictAllowlist: strictAllowlist ?? false,
    ...(allowedDomains === undefined ? {} : { allowedDomains }), ...(httpPort === undefined ? {} : { httpPort }), ...(socksPort === undefined ? {} : { socksPort }),
  }
}
