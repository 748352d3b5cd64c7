// Requirements: where they are from, which of them wins, and what they do to a configuration and to one request.
import { describe, expect, test } from 'vitest'
import { isCovered, checkWindowsSandbox } from '../../../src/config/bounds.js'
import type { LoadConfigOptions, LoadedConfig } from '../../../src/config/load.js'
import { parsePolicy } from '../../../src/policy/parse.js'
import { configPlace } from '../../support/config-place.js'
import { failureOf } from '../../support/failure-of.js'

const USER = 'home/.codex/config.toml'
const SYSTEM = 'system/requirements.toml'
const MANAGED = 'system/managed_config.toml'
const preferences = (requirements?: string, config?: string): NonNullable<LoadConfigOptions['managedPreferences']> => key =>
  Promise.resolve([key === 'requirements_toml_base64' ? requirements : config].flatMap(text => text === undefined ? [] : [Buffer.from(text).toString('base64')])[0])

describe('the earlier source wins, field by field', () => {
  const all = (files: Record<string, string> = {}) => configPlace({
    [SYSTEM]: 'allowed_sandbox_modes = ["read-only"]\nallowed_approval_policies = ["never"]\nallowed_windows_sandbox_implementations = ["elevated"]\n',
    [MANAGED]: 'sandbox_mode = "workspace-write"\napproval_policy = "on-request"\n', ...files,
  })
  const fieldsOf = ({ requirements }: LoadedConfig) => [requirements?.allowedSandboxModes, requirements?.allowedApprovalPolicies].map(field => [field?.value, field?.source.name])

  test('the system\'s over managed_config.toml', async () => {
    expect(fieldsOf(await all().load())).toEqual([[['read-only'], 'system'], [['never'], 'system']])
  })
  test('managed preferences over the system\'s, where they say something', async () => {
    expect(fieldsOf(await all().load({ managedPreferences: preferences('allowed_approval_policies = ["untrusted"]\n') }))).toEqual([[['read-only'], 'system'], [['untrusted'], 'managed-preferences']])
  })
  test('the cloud\'s over all', async () => {
    const loaded = await all().load({ cloudRequirements: 'allowed_sandbox_modes = ["read-only", "danger-full-access"]\n', managedPreferences: preferences('allowed_sandbox_modes = ["read-only"]\nallowed_approval_policies = ["untrusted"]\n') })
    expect(fieldsOf(loaded)).toEqual([[['read-only', 'danger-full-access'], 'cloud'], [['untrusted'], 'managed-preferences']])
    expect(loaded.requirements?.allowedWindowsSandboxImplementations?.source.name).toBe('system')
  })
  test('an empty list is a word like any other', async () => {
    const { requirements } = await all().load({ cloudRequirements: 'allowed_windows_sandbox_implementations = []\n' })
    expect(requirements?.allowedWindowsSandboxImplementations).toEqual({ value: [], source: { name: 'cloud' } })
  })
  test('managed_config.toml alone: what it sets, and read-only, are what is allowed', async () => {
    const place = configPlace({ [MANAGED]: 'sandbox_mode = "workspace-write"\napproval_policy = "never"\n' })
    expect(fieldsOf(await place.load())).toEqual([[['read-only', 'workspace-write'], 'managed-config'], [['never'], 'managed-config']])
  })
  test('of its preference as well, which wins over the file', async () => {
    const place = configPlace({ [MANAGED]: 'sandbox_mode = "danger-full-access"\n' })
    const loaded = await place.load({ managedPreferences: preferences(undefined, 'sandbox_mode = "workspace-write"\n') })
    expect(fieldsOf(loaded)[0]).toEqual([['read-only', 'workspace-write'], 'managed-config'])
    expect(loaded.config.sandboxMode).toBe('workspace-write')
  })
  test('none of them: null', async () => {
    expect((await configPlace().load()).requirements).toBeNull()
  })
})

describe('what is not allowed falls back to what is, and is told', () => {
  const DANGER = 'sandbox_mode = "danger-full-access"\n'
  test.each<{ name: string; user: string; required: string; key: string; to: unknown; because: string }>([
    { name: 'a mode, to the widest below it',       user: DANGER, required: 'allowed_sandbox_modes = ["read-only", "workspace-write"]', key: 'sandbox_mode', to: 'workspace-write', because: 'allowed_sandbox_modes is' },
    { name: 'not to a wider one',                   user: 'sandbox_mode = "workspace-write"', required: 'allowed_sandbox_modes = ["read-only", "danger-full-access"]', key: 'sandbox_mode', to: 'read-only', because: 'allowed_sandbox_modes is' },
    { name: 'a policy, to a narrower one',          user: 'approval_policy = "on-request"', required: 'allowed_approval_policies = ["on-failure", "never"]', key: 'approval_policy', to: 'on-failure', because: 'allowed_approval_policies is "on-failure", "never"' },
    { name: 'else to the first that is allowed',    user: 'approval_policy = "never"', required: 'allowed_approval_policies = ["on-request", "untrusted"]', key: 'approval_policy', to: 'on-request', because: 'allowed_approval_policies is' },
    { name: 'a policy in another spelling',         user: 'approval_policy = "on-request"', required: 'allowed_approval_policies = [{ reject = { rules = true } }]', key: 'approval_policy', to: { granular: { sandbox_approval: true, rules: false, mcp_elicitations: true, skill_approval: false, request_permissions: false } }, because: 'allowed_approval_policies is' },
    { name: 'the sandbox of Windows',               user: 'windows.sandbox = "unelevated"', required: 'allowed_windows_sandbox_implementations = ["elevated"]', key: 'windows.sandbox', to: 'elevated', because: 'allowed_windows_sandbox_implementations is ["elevated"]' },
    { name: 'the same in the later spelling',       user: 'windows.sandbox = "unelevated"', required: '[windows]\nallowed_sandbox_implementations = []', key: 'windows.sandbox', to: undefined, because: 'allowed_windows_sandbox_implementations is []' },
    { name: 'the network, off',                     user: 'sandbox_mode = "workspace-write"\nsandbox_workspace_write.network_access = true', required: 'network.enabled = false', key: 'network.enabled', to: false, because: 'network.enabled is false' },
    { name: 'an open network, to one by rules',     user: 'sandbox_mode = "workspace-write"\nsandbox_workspace_write.network_access = true', required: 'network.denied_domains = ["a.org"]', key: 'network.enabled', to: true, because: 'bounded by rules' },
    { name: 'hosts that are not covered',           user: 'network = { enabled = true, allowed_domains = ["a.org", "b.org"] }', required: 'network.allowed_domains = ["**.a.org"]', key: 'network.allowed_domains', to: ['a.org'], because: 'network.allowed_domains is ["**.a.org"]' },
    { name: 'no host named, to those that are allowed', user: 'network.enabled = true', required: 'network.allowed_domains = ["a.org"]', key: 'network.allowed_domains', to: ['a.org'], because: 'network.allowed_domains is' },
    { name: 'denied hosts are added',               user: 'network = { enabled = true, denied_domains = ["b.org"] }', required: 'network.domains = { "a.org" = "deny" }', key: 'network.denied_domains', to: ['b.org', 'a.org'], because: 'network.denied_domains is ["a.org"]' },
    { name: 'only hosts that the organisation names', user: 'network.enabled = true', required: 'network.managed_allowed_domains_only = true', key: 'network.managed_allowed_domains_only', to: false, because: 'network.managed_allowed_domains_only is true' },
    { name: 'sockets',                              user: 'network.allow_unix_sockets = ["/a", "/b"]', required: 'network.unix_sockets = { "/a" = "allow", "/b" = "none" }', key: 'network.allow_unix_sockets', to: ['/a'], because: 'network.allow_unix_sockets is ["/a"]' },
    { name: 'all sockets',                          user: 'network = { enabled = true, dangerously_allow_all_unix_sockets = true }', required: 'network.dangerously_allow_all_unix_sockets = false', key: 'network.dangerously_allow_all_unix_sockets', to: false, because: 'is false' },
    { name: 'own servers',                          user: 'network = { enabled = true, allow_local_binding = true }', required: 'network.allow_local_binding = false', key: 'network.allow_local_binding', to: false, because: 'network.allow_local_binding is false' },
    { name: 'the proxy above',                      user: 'network = { enabled = true, allow_upstream_proxy = true }', required: '[experimental_network]\nallow_upstream_proxy = false', key: 'network.allow_upstream_proxy', to: false, because: 'is false' },
    { name: 'the port',                             user: 'network.enabled = true', required: 'network.http_port = 3128', key: 'network.http_port', to: 3128, because: 'network.http_port is 3128' },
    { name: 'a mode that would pass the network\'s bounds by', user: DANGER, required: 'network.denied_domains = ["a.org"]', key: 'sandbox_mode', to: 'workspace-write', because: 'danger-full-access enforces nothing, and the network is bounded' },
    { name: 'a mode that would show what is hidden', user: DANGER, required: '[permissions.filesystem]\ndeny_read = ["/secret"]', key: 'sandbox_mode', to: 'workspace-write', because: 'deny_read names paths' },
  ])('$name', async ({ user, required, key, to, because }) => {
    const { changes } = await configPlace({ [USER]: `${user}\n`, [SYSTEM]: `${required}\n` }).load()
    expect(changes).toContainEqual(expect.objectContaining({ key, to, because: expect.stringContaining(because) as string, source: expect.objectContaining({ name: 'system' }) as unknown }))
  })
  test.each([
    { name: 'a mode',     user: 'sandbox_mode = "workspace-write"', required: 'allowed_sandbox_modes = ["workspace-write", "read-only"]' },
    { name: 'a policy in another spelling', user: 'approval_policy = { reject = { rules = true } }', required: 'allowed_approval_policies = [{ granular = { sandbox_approval = true, rules = false, mcp_elicitations = true } }]' },
    { name: 'hosts',      user: 'network = { enabled = true, allowed_domains = ["b.a.org:443"], denied_domains = ["c.a.org"] }', required: 'network = { allowed_domains = ["*.a.org"], denied_domains = ["c.a.org"] }' },
    { name: 'no network', user: 'sandbox_mode = "workspace-write"', required: 'network.enabled = false' },
  ])('what is allowed stays: $name', async ({ user, required }) => {
    expect((await configPlace({ [USER]: `${user}\n`, [SYSTEM]: `${required}\n` }).load()).changes).toEqual([])
  })
  test('in the policy', async () => {
    const place = configPlace({
      [USER]: 'sandbox_mode = "workspace-write"\nsandbox_workspace_write.network_access = true\n',
      [SYSTEM]: '[network]\nallowed_domains = ["a.org"]\ndenied_domains = ["b.a.org"]\nmanaged_allowed_domains_only = true\n[permissions.filesystem]\ndeny_read = ["/secret", "~/.x/**"]\n',
    })
    expect((await place.load()).policy()).toMatchObject({
      mode: 'workspace-write', deny: ['/secret', '~/.x/**'], network: 'proxied', networkRules: { allowedDomains: ['a.org'], deniedDomains: ['b.a.org'], strictAllowlist: true },
    })
  })
  test('a mode that a program chooses is bounded anew', async () => {
    const place = configPlace({ [USER]: 'sandbox_workspace_write.network_access = true\n', [SYSTEM]: 'network.denied_domains = ["a.org"]\n' })
    const loaded = await place.load()
    expect(loaded.policy().network).toBe('off')
    expect(loaded.policy({ sandboxMode: 'workspace-write' })).toMatchObject({ network: 'proxied', networkRules: { deniedDomains: ['a.org'] } })
  })
})

test.each([
  { pattern: 'a.org',         allowed: ['a.org'],          covered: true },
  { pattern: 'A.org',         allowed: ['a.ORG'],          covered: true },
  { pattern: 'b.a.org',       allowed: ['a.org'],          covered: false },
  { pattern: 'b.a.org',       allowed: ['*.a.org'],        covered: true },
  { pattern: 'a.org',         allowed: ['*.a.org'],        covered: false },
  { pattern: 'a.org',         allowed: ['**.a.org'],       covered: true },
  { pattern: 'xa.org',        allowed: ['**.a.org'],       covered: false },
  { pattern: '*.a.org',       allowed: ['**.a.org'],       covered: true },
  { pattern: '**.a.org',      allowed: ['*.a.org'],        covered: false },
  { pattern: '**.b.a.org',    allowed: ['*.a.org'],        covered: true },
  { pattern: '*.a.org',       allowed: ['b.a.org'],        covered: false },
  { pattern: '*.a.org',       allowed: ['a.org'],          covered: false },
  { pattern: 'a.org:443',     allowed: ['a.org'],          covered: true },
  { pattern: 'a.org',         allowed: ['a.org:443'],      covered: false },
  { pattern: 'a.org:80-90',   allowed: ['a.org:80-85'],    covered: false },
  { pattern: 'a.org:80-85',   allowed: ['a.org:80-90'],    covered: true },
  { pattern: 'a.org',         allowed: ['*'],              covered: true },
  { pattern: '*',             allowed: ['a.org'],          covered: false },
  { pattern: 'localhost',     allowed: ['*'],              covered: false },
  { pattern: '127.0.0.1',     allowed: ['*'],              covered: false },
  { pattern: '10.1.0.0/16',   allowed: ['10.0.0.0/8'],     covered: true },
  { pattern: '10.0.0.0/8',    allowed: ['10.1.0.0/16'],    covered: false },
  { pattern: '11.1.0.0/16',   allowed: ['10.0.0.0/8'],     covered: false },
  { pattern: '::1',           allowed: ['0.0.0.0/0'],      covered: false },
  { pattern: 'a.org',         allowed: ['10.0.0.0/8'],     covered: false },
  { pattern: 'registry.npmjs.org:443', allowed: ['@npm'],  covered: true },
  { pattern: '@npm',          allowed: ['@npm', 'a.org'],  covered: true },
  { pattern: '@npm',          allowed: ['registry.npmjs.org:443'], covered: false },
  { pattern: 'a.org',         allowed: [],                 covered: false },
])('$pattern within $allowed: $covered', ({ pattern, allowed, covered }) => {
  expect(isCovered(pattern, allowed)).toBe(covered)
})

describe('one request', () => {
  const bound = async (required: string, policy: unknown) => (await configPlace({ [SYSTEM]: `${required}\n` }).load()).bound(parsePolicy(policy))
  const OPEN = { type: 'workspaceWrite', networkAccess: true }
  const rules = (network: object) => ({ mode: 'read-only', network })
  test.each<{ name: string; required: string; policy: unknown; says: string }>([
    { name: 'its mode',            required: 'allowed_sandbox_modes = ["read-only"]',              policy: { type: 'workspaceWrite' }, says: 'sandboxPolicy "workspace-write" is not allowed' },
    { name: 'the external mode',   required: 'allowed_sandbox_modes = ["read-only", "workspace-write", "danger-full-access"]', policy: { type: 'externalSandbox' }, says: 'sandboxPolicy "external-sandbox"' },
    { name: 'full access where the network is bounded', required: 'network.enabled = true',        policy: { type: 'dangerFullAccess' }, says: 'enforces nothing' },
    { name: 'external where paths are hidden', required: 'permissions.filesystem.deny_read = ["/a"]', policy: { type: 'externalSandbox' }, says: 'enforces nothing' },
    { name: 'an open network',     required: 'network.allowed_domains = ["a.org"]',                policy: OPEN, says: 'sandboxPolicy.network "open"' },
    { name: 'any network',         required: 'network.enabled = false',                            policy: rules({ allowedDomains: ['a.org'] }), says: 'sandboxPolicy.network "proxied"' },
    { name: 'a host',              required: 'network.allowed_domains = ["a.org"]',                policy: rules({ allowedDomains: ['a.org', 'b.org'] }), says: 'sandboxPolicy.network.allowedDomains "b.org"' },
    { name: 'a socket',            required: 'network.allow_unix_sockets = []',                    policy: rules({ allowUnixSockets: ['/a'] }), says: 'sandboxPolicy.network.allowUnixSockets "/a"' },
    { name: 'all sockets',         required: 'network.allow_unix_sockets = ["/a"]',                policy: rules({ dangerouslyAllowAllUnixSockets: true }), says: 'sandboxPolicy.network.dangerouslyAllowAllUnixSockets true' },
    { name: 'a local port where no network is allowed', required: 'network.enabled = false',       policy: rules({ enabled: false, allowLocalPorts: [5432] }), says: 'sandboxPolicy.network.allowLocalPorts [5432]' },
    { name: 'a local port where own servers are not', required: 'network.allow_local_binding = false', policy: rules({ allowLocalPorts: [5432] }), says: 'network.allow_local_binding is false' },
    { name: 'own servers',         required: 'network.allow_local_binding = false',                policy: rules({ allowLocalBinding: true }), says: 'sandboxPolicy.network.allowLocalBinding true' },
    { name: 'the proxy above',     required: 'network.allow_upstream_proxy = false',               policy: rules({ allowedDomains: ['a.org'], allowUpstreamProxy: true }), says: 'sandboxPolicy.network.allowUpstreamProxy true' },
  ])('that asks for $name is refused', async ({ required, policy, says }) => {
    const error = await failureOf(() => bound(required, policy)) as Error
    expect(error).toMatchObject({ code: 'requirement_conflict' })
    expect(error.message).toContain(says)
  })
  test.each<{ name: string; required: string; policy: unknown }>([
    { name: 'its mode',     required: 'allowed_sandbox_modes = ["read-only", "workspace-write"]', policy: { type: 'workspaceWrite' } },
    { name: 'external',     required: 'allowed_sandbox_modes = ["read-only", "external-sandbox"]', policy: { type: 'externalSandbox' } },
    { name: 'the network',  required: 'allowed_sandbox_modes = ["read-only", "workspace-write"]', policy: OPEN },
    { name: 'a local port', required: 'network.allowed_domains = ["a.org"]', policy: rules({ allowLocalPorts: [5432] }) },
    { name: 'a host',       required: 'network.allowed_domains = ["*.a.org"]', policy: rules({ allowedDomains: ['b.a.org'] }) },
    { name: 'nothing',      required: 'network.enabled = false', policy: 'read-only' },
  ])('that asks for $name, and may, is left as it is', async ({ required, policy }) => {
    expect(await bound(required, policy)).toEqual(parsePolicy(policy))
  })
  test('what is forbidden beside it is added', async () => {
    expect(await bound('network = { denied_domains = ["b.org"], managed_allowed_domains_only = true, allowed_domains = ["a.org"] }\npermissions.filesystem.deny_read = ["/s"]', rules({ allowedDomains: ['a.org'] })))
      .toMatchObject({ deny: ['/s'], networkRules: { deniedDomains: ['b.org'], strictAllowlist: true, allowedDomains: ['a.org'] } })
  })
  test('of the Windows sandbox', async () => {
    const { requirements } = await configPlace({ [SYSTEM]: 'allowed_windows_sandbox_implementations = ["elevated"]\n' }).load()
    expect(() => checkWindowsSandbox('elevated', requirements)).not.toThrow()
    expect(() => checkWindowsSandbox('unelevated', requirements)).toThrow('mode "unelevated" is not allowed')
  })
  test('of a mode by name from the configuration', async () => {
    const loaded = await configPlace({ [SYSTEM]: 'allowed_sandbox_modes = ["read-only"]\n' }).load()
    expect(() => loaded.policy({ sandboxMode: 'workspace-write' })).toThrow('sandbox_mode "workspace-write" is not allowed')
    expect(loaded.policy({ normalMode: 'workspace-write' }).mode).toBe('read-only')
  })
})

describe('command rules', () => {
  test('are kept as they were checked', async () => {
    const { requirements } = await configPlace({ [SYSTEM]: '[rules]\nprefix_rules = [{ pattern = [{ token = "git" }, { any_of = ["push", "fetch"] }], decision = "prompt", justification = "leaves" }, { pattern = [{ token = "rm" }], decision = "forbidden" }]\n' }).load()
    expect(requirements?.prefixRules?.value).toEqual([{ pattern: [{ token: 'git' }, { anyOf: ['push', 'fetch'] }], decision: 'prompt', justification: 'leaves' }, { pattern: [{ token: 'rm' }], decision: 'forbidden' }])
  })
  test('other fields of the reference are kept, and have no part', async () => {
    const { requirements, warnings } = await configPlace({ [SYSTEM]: 'enforce_residency = "us"\n[mcp_servers.x]\nidentity = { command = "y" }\n' }).load()
    expect(Object.keys(requirements?.other ?? {})).toEqual(['enforce_residency', 'mcp_servers'])
    expect(warnings).toEqual([])
  })
  test('what is not known bounds nothing, which is told', async () => {
    const { warnings } = await configPlace({ [SYSTEM]: 'allowed_sandbox_mode = ["read-only"]\n[permissions.filesystem]\ndeny_raed = []\n[future]\n' }).load()
    expect(warnings.map(({ kind, key, near }) => [kind, key, near])).toEqual([['unheld', 'allowed_sandbox_mode', 'allowed_sandbox_modes'], ['unheld', 'future', undefined], ['unheld', 'permissions.filesystem.deny_raed', 'permissions.filesystem.deny_read']])
  })
})

describe('what is wrong is an error with its place, and nothing runs without requirements', () => {
  test.each([
    { name: 'modes without read-only',        text: 'allowed_sandbox_modes = ["workspace-write"]',          at: '1:25', says: 'it must hold read-only' },
    { name: 'no mode at all',                 text: 'allowed_sandbox_modes = []',                           at: '1:25', says: 'it must hold read-only' },
    { name: 'an unknown mode',                text: 'allowed_sandbox_modes = ["read-only", "free"]',        at: '1:39', says: 'external-sandbox' },
    { name: 'no policy at all',               text: 'allowed_approval_policies = []',                       at: '1:29', says: 'at least' },
    { name: 'an unknown policy',              text: 'allowed_approval_policies = ["never", "always"]',      at: '1:39', says: 'untrusted' },
    { name: 'an unknown sandbox of Windows',  text: 'allowed_windows_sandbox_implementations = ["mxc"]',    at: '1:44', says: 'elevated' },
    { name: 'two words for one field',        text: 'allowed_windows_sandbox_implementations = []\nwindows.allowed_sandbox_implementations = []', at: '2:43', says: 'says the same as' },
    { name: 'two tables for the network',     text: '[network]\n[experimental_network]\n',                  at: '2:1',  says: 'says the same as network' },
    { name: 'a network that is no table',     text: 'network = true',                                       at: '1:11', says: 'it must be a table' },
    { name: 'an unknown bound',               text: '[network]\nenabeld = false',                           at: '2:11', says: 'did you mean enabled?' },
    { name: 'a bound of a wrong type',        text: '[network]\nenabled = "no"',                            at: '2:11', says: 'true or false' },
    { name: 'a host that is none',            text: '[network]\ndenied_domains = ["http://x"]',             at: '2:18', says: 'hosts such as' },
    { name: 'domains in two spellings',       text: '[network]\nallowed_domains = []\ndomains = {}',        at: '3:11', says: 'says the same' },
    { name: 'a relative path to hide',        text: '[permissions.filesystem]\ndeny_read = ["/a", "b"]',    at: '2:20', says: 'absolute' },
    { name: 'a table on the way that is none', text: 'permissions = 1',                                     at: '1:15', says: 'it must be a table' },
    { name: 'no rules',                       text: 'rules.prefix_rules = []',                              at: '1:22', says: 'not empty' },
    { name: 'a rule that allows',             text: 'rules.prefix_rules = [{ pattern = [{ token = "a" }], decision = "allow" }]', at: '1:65', says: 'requirements allow no command' },
    { name: 'a rule without a decision',      text: 'rules.prefix_rules = [{ pattern = [{ token = "a" }] }]', at: '1:23', says: 'prompt or forbidden' },
    { name: 'a rule without a pattern',       text: 'rules.prefix_rules = [{ pattern = [], decision = "prompt" }]', at: '1:35', says: 'not empty' },
    { name: 'a token that is none',           text: 'rules.prefix_rules = [{ pattern = ["a"], decision = "prompt" }]', at: '1:36', says: 'token' },
    { name: 'a token that is two',            text: 'rules.prefix_rules = [{ pattern = [{ token = "a", any_of = ["b"] }], decision = "prompt" }]', at: '1:36', says: 'token' },
    { name: 'an empty justification',         text: 'rules.prefix_rules = [{ pattern = [{ token = "a" }], decision = "prompt", justification = " " }]', at: '1:91', says: 'not empty' },
    { name: 'an unknown part of a rule',      text: 'rules.prefix_rules = [{ pattern = [{ token = "a" }], decision = "prompt", reason = "x" }]', at: '1:84', says: 'a rule has' },
    { name: 'no TOML',                        text: 'allowed_sandbox_modes = [',                            at: '2:1', says: '' },
  ])('$name', async ({ text, at, says }) => {
    const [line, column] = at.split(':').map(Number)
    const place = configPlace({ [SYSTEM]: `${text}\n` })
    const error = await failureOf(() => place.load()) as Error
    expect(error).toMatchObject({ code: 'config_invalid', source: { file: `${place.system}/requirements.toml`, line, column } })
    expect(error.message).toContain(says)
    expect(await failureOf(() => configPlace().load({ cloudRequirements: `${text}\n` }))).toMatchObject({ source: { file: 'requirements of the cloud', line, column } })
  })
})
