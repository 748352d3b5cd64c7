// Random configuration: tables of config.toml and requirements.toml that are right, from few words, so that layers meet each other.
import fc from 'fast-check'

const some = <Value>(...values: Value[]): fc.Arbitrary<Value> => fc.constantFrom(...values)
const listOf = (...values: string[]): fc.Arbitrary<string[]> => fc.subarray(values)
const optional = (shape: Record<string, fc.Arbitrary<unknown>>): fc.Arbitrary<Record<string, unknown>> => fc.record(shape, { requiredKeys: [] })

const HOSTS = ['a.org', '*.a.org', '**.a.org', 'b.a.org', 'a.org:443', 'b.org', '10.0.0.0/8', '10.1.0.0/16'] as const
const flags = { sandbox_approval: fc.boolean(), rules: fc.boolean(), mcp_elicitations: fc.boolean() }
const approvalPolicies = fc.oneof(
  some<unknown>('untrusted', 'on-failure', 'on-request', 'never'),
  optional(flags).map(reject => ({ reject })),
  fc.record({ ...flags, skill_approval: fc.boolean(), request_permissions: fc.boolean() }, { requiredKeys: ['sandbox_approval', 'rules', 'mcp_elicitations'] }).map(granular => ({ granular })),
)

/** @param folder  roots lie in it or in the system */
export function configTables(folder: string): fc.Arbitrary<Record<string, unknown>> {
  const lists = { allowed_domains: listOf(...HOSTS), denied_domains: listOf('a.org', '*.b.org', 'c.org'), allow_unix_sockets: listOf('/run/a', '/run/b') }
  const maps = {
    domains: fc.dictionary(some('a.org', 'b.org', 'c.org'), some('allow', 'deny')),
    unix_sockets: fc.dictionary(some('/run/a', '/run/b'), some('allow', 'none', 'deny')),
  }
  const switches = {
    enabled: fc.boolean(), mode: some('full', 'limited'), allow_local_binding: fc.boolean(), allow_upstream_proxy: fc.boolean(), dangerously_allow_all_unix_sockets: fc.boolean(),
    http_port: some(1000, 2000), proxy_url: some('http://127.0.0.1:1'),
  }
  const network = fc.oneof(optional({ ...switches, ...lists }), optional({ ...switches, ...maps }))
  return optional({
    sandbox_mode: some('read-only', 'workspace-write', 'danger-full-access'),
    sandbox_workspace_write: optional({
      writable_roots: listOf('/data', '/data/sub', '/other', `${folder}/project/sub`, `${folder}/project`), network_access: fc.boolean(), exclude_tmpdir_env_var: fc.boolean(), exclude_slash_tmp: fc.boolean(),
    }),
    approval_policy: approvalPolicies,
    allow_login_shell: fc.boolean(),
    shell_environment_policy: optional({
      inherit: some('all', 'core', 'none'), ignore_default_excludes: fc.boolean(), exclude: listOf('A*', 'B'), include_only: listOf('PATH', 'A1', '*'),
      set: fc.dictionary(some('A1', 'B', 'LD_PRELOAD'), some('x', 'y')),
    }),
    windows: optional({ sandbox: some('elevated', 'unelevated') }),
    features: optional({ use_linux_sandbox_bwrap: fc.boolean(), experimental_windows_sandbox: fc.boolean(), elevated_windows_sandbox: fc.boolean() }),
    background_terminal_max_timeout: some(1, 1000, 400_000),
    network,
    model: some('x'),
  })
}

export const requirementTables: fc.Arbitrary<Record<string, unknown>> = optional({
  allowed_sandbox_modes: fc.subarray(['workspace-write', 'danger-full-access', 'external-sandbox']).map(modes => [...modes, 'read-only']),
  allowed_approval_policies: fc.array(approvalPolicies, { minLength: 1, maxLength: 3 }),
  allowed_windows_sandbox_implementations: listOf('elevated', 'unelevated'),
  network: optional({
    enabled: fc.boolean(), allowed_domains: listOf(...HOSTS), denied_domains: listOf('a.org', 'c.org'), managed_allowed_domains_only: fc.boolean(), allow_unix_sockets: listOf('/run/a'),
    allow_local_binding: fc.boolean(), allow_upstream_proxy: fc.boolean(), dangerously_allow_all_unix_sockets: fc.boolean(),
  }),
  permissions: optional({ filesystem: optional({ deny_read: listOf('/secret', '/data') }) }),
})
