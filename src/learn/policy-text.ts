// A policy written down again: as JSON that `--policy` takes, with no more than differs from its mode's defaults, and as config.toml.
import { stringify } from 'smol-toml'
import { policyObject } from '../policy/policy-object.js'
import { presetPolicy } from '../policy/presets.js'
import { snakeCase } from '../policy/schema.js'
import type { SandboxPolicy } from '../policy/sandbox-policy.js'

export const policyJson = (policy: SandboxPolicy): string => `${JSON.stringify(policyObject(policy), null, 2)}\n`

/** The fields that config.toml has no key for. */
const WITHOUT_KEY = ['readAccess', 'read', 'deny', 'protect', 'git', 'tmp', 'devices', 'limits', 'env'] as const satisfies readonly (keyof SandboxPolicy)[]

/** As config.toml spells it. What that cannot say stands above it, as comments. */
export function policyToml(policy: SandboxPolicy): string {
  const base = presetPolicy(policy.mode, 'library')
  const unsaid = WITHOUT_KEY.filter(key => JSON.stringify(policy[key]) !== JSON.stringify(base[key]))
  const roots = [...policy.writableRoots, ...policy.write.map(path => path.replaceAll(/\\(.)/gsu, '$1'))]
  const isWorkspace = policy.mode === 'workspace-write'
  // Roots and an open network belong to workspace-write there.
  const mode = isWorkspace || (roots.length === 0 && policy.network !== 'open') ? policy.mode : 'workspace-write'
  const lines = [
    ...unsaid.map(key => `# not said here, as config.toml has no key for it: ${key} = ${JSON.stringify(policy[key])}`),
    ...(mode === policy.mode ? [] : ['# wider than what was learned: roots and an open network need workspace-write, which opens the current folder']),
    ...(policy.denySecrets === false ? [] : ['# places of keys and tokens are readable under a config.toml, as in the reference']),
    ...(policy.caches === 'off' ? [] : ['# caches are those of the home folder under a config.toml, read-only unless writable_roots names them']),
  ]
  const table = {
    ...(roots.length === 0 ? {} : { writable_roots: roots }),
    ...(policy.network === 'open' ? { network_access: true } : {}),
    ...(policy.excludeTmpdirEnvVar || !isWorkspace ? { exclude_tmpdir_env_var: true } : {}),
    ...(policy.excludeSlashTmp || !isWorkspace ? { exclude_slash_tmp: true } : {}),
  }
  const network = networkTable(policy)
  const tables = {
    ...(mode === 'workspace-write' && Object.keys(table).length > 0 ? { sandbox_workspace_write: table } : {}),
    ...(Object.keys(network).length > 0 ? { network } : {}),
  }
  return `${[...lines, stringify({ sandbox_mode: mode, ...tables })].join('\n').trimEnd()}\n`
}

/** `[network]` with what differs from its defaults. `enabled` means the proxy there; an open network has a key of its own. */
function networkTable(policy: SandboxPolicy): Record<string, unknown> {
  const table = policyObject(policy).network
  if (typeof table !== 'object') return {}
  const { enabled: _, ...rules } = table
  // An empty list of what is allowed is a word: nothing is, and nobody is asked.
  const says = ([key, value]: [string, unknown]): boolean => key === 'allowedDomains' || (value !== false && value !== 'full' && !(Array.isArray(value) && value.length === 0))
  const said = Object.entries(rules).filter(says).map(([key, value]) => [snakeCase(key), value] as const)
  // Rules alone lead through the proxy; where there are none, a word has to.
  const proxied = policy.network !== 'proxied' ? {} : { enabled: true, ...(said.some(([key]) => PROXY_RULES.has(key)) ? {} : { strict_allowlist: false }) }
  return { ...proxied, ...Object.fromEntries(said) }
}

const PROXY_RULES: ReadonlySet<string> = new Set(['allowed_domains', 'denied_domains', 'mode', 'strict_allowlist'])
