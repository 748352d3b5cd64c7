// Each key of the table: what it may hold, in which spellings, and the error for anything else.
import { describe, expect, test } from 'vitest'
import { CONFIG_KEYS, TOP_KEYS } from '../../../src/config/keys.js'
import type { EffectiveConfig } from '../../../src/config/effective.js'
import { configPlace } from '../../support/config-place.js'
import { failureOf } from '../../support/failure-of.js'

const USER = 'home/.codex/config.toml'

/** A value that each key takes, and one that it does not, as TOML. `part`: where the wrong part of it stands, beside its start. */
const VALUES: Readonly<Record<string, { readonly right: string; readonly wrong: string; readonly part?: number }>> = {
  sandbox_mode:                            { right: '"workspace-write"', wrong: '"external-sandbox"' },
  'sandbox_workspace_write.writable_roots': { right: '["/a", "b"]', wrong: '["/a", 1]', part: 7 },
  approval_policy:                         { right: '"never"', wrong: '"always"' },
  'shell_environment_policy.inherit':      { right: '"core"', wrong: '"most"' },
  'shell_environment_policy.exclude':      { right: '["AWS_*"]', wrong: '["A=B"]', part: 1 },
  'shell_environment_policy.include_only': { right: '["PATH"]', wrong: '"PATH"' },
  'shell_environment_policy.set':          { right: '{ A = "1" }', wrong: '{ A = "1", B = 2 }', part: 15 },
  'windows.sandbox':                       { right: '"elevated"', wrong: '"mxc"' },
  background_terminal_max_timeout:         { right: '5000', wrong: '-1' },
  profile:                                 { right: '"p"', wrong: '""' },
  'projects.*.trust_level':                { right: '"trusted"', wrong: '"yes"' },
  mode:                                    { right: '"limited"', wrong: '"off"' },
  allowed_domains:                         { right: '["example.com:443", "@npm"]', wrong: '["@npn"]', part: 1 },
  denied_domains:                          { right: '["*.example.com"]', wrong: '["*"]', part: 1 },
  domains:                                 { right: '{ "a.org" = "allow", "b.org" = "deny" }', wrong: '{ "a.org" = "ask" }', part: 12 },
  allow_unix_sockets:                      { right: '["/run/x.sock"]', wrong: '[""]', part: 1 },
  unix_sockets:                            { right: '{ "/run/x.sock" = "allow" }', wrong: '{ "/run/x.sock" = true }', part: 18 },
  proxy_url:                               { right: '"http://127.0.0.1:3128"', wrong: '3128' },
  socks_url:                               { right: '"http://127.0.0.1:8081"', wrong: '8081' },
  admin_url:                               { right: '"http://127.0.0.1:8080"', wrong: '8080' },
  http_port:                               { right: '3128', wrong: '65536' },
  socks_port:                              { right: '8081', wrong: '"8081"' },
}
const BOOLEAN = { right: 'true', wrong: '"true"' }
const rows = [...CONFIG_KEYS, ...TOP_KEYS].map(({ key }) => ({ key, ...VALUES[key] ?? VALUES[key.split('.').at(-1) as string] ?? BOOLEAN }))
const writtenKey = (key: string): string => key.replace('*', '"/p"')

describe.each([
  { where: 'the file',   under: '',            keys: rows },
  { where: 'a profile',  under: 'profiles.p.', keys: rows.filter(({ key }) => CONFIG_KEYS.some(row => row.key === key)) },
])('of $where', ({ under, keys }) => {
  test.each(keys)('$key takes $right, and not $wrong', async ({ key, right, wrong, ...row }) => {
    const before = `# a line\n${under}${writtenKey(key)} = `
    const profile = under === '' && key !== 'profile' ? '' : '\n[profiles.p.tui]\n'
    const load = (value: string) => configPlace({ [USER]: `${before}${value}${profile}` }).load({ ...(under === '' ? {} : { profile: 'p' }) })
    await expect(load(right)).resolves.toBeTypeOf('object')
    const part = 'part' in row ? row.part ?? 0 : 0
    expect(await failureOf(() => load(wrong))).toMatchObject({
      code: 'config_invalid',
      source: { file: expect.stringMatching(/\/home\/\.codex\/config\.toml$/) as string, line: 2, column: before.length - before.indexOf('\n') + part },
    })
  })
})

test.each([
  { name: 'a value where a table belongs',          text: 'sandbox_workspace_write = true\n',                       says: 'sandbox_workspace_write true is not valid (', words: ':1:27): it must be a table' },
  { name: 'the same in a profile',                  text: '[profiles]\np = 1\n',                                    says: 'profiles.p 1', words: ':2:5): it must be a table' },
  { name: 'profiles that are no table',             text: 'profiles = []\n',                                        says: 'profiles []', words: ':1:12)' },
  { name: 'a project that is no table',             text: 'projects = { "/p" = "trusted" }\n',                      says: 'projects."/p" "trusted"', words: ':1:21)' },
  { name: 'half an approval policy',                text: 'approval_policy = { granular = { rules = true } }\n',    says: 'approval_policy {"granular":{"rules":true}}', words: ':1:19)' },
  { name: 'both spellings of one',                  text: 'approval_policy = { granular = { rules = true, sandbox_approval = true, mcp_elicitations = true }, reject = {} }\n', says: 'approval_policy', words: ':1:19)' },
  { name: 'a date',                                 text: 'sandbox_mode = 1979-05-27\n',                            says: 'sandbox_mode', words: ':1:16)' },
  { name: 'the network\'s table twice',             text: '[network]\nenabled = true\n[permissions.network]\nenabled = false\n', says: 'permissions.network', words: ':3:1): it is the same table as network' },
  { name: 'domains as a map and as lists',          text: '[network]\nallowed_domains = []\ndomains = {}\n',        says: 'network.domains', words: ':3:11): network.allowed_domains says the same' },
  { name: 'sockets as a map and as a list',         text: '[network_proxy]\nunix_sockets = {}\nallow_unix_sockets = []\n', says: 'network_proxy.unix_sockets', words: ':2:16)' },
])('is an error: $name', async ({ text, says, words }) => {
  const error = await failureOf(() => configPlace({ [USER]: text }).load()) as Error
  expect(error.message).toContain(says)
  expect(error.message).toContain(`config.toml${words}`)
})

/* One meaning, whatever the spelling. */

const asks = (sandbox: boolean, rules: boolean, elicitations: boolean, skills = false, permissions = false): EffectiveConfig['approvalPolicy'] =>
  ({ asks: { sandbox_approval: sandbox, rules, mcp_elicitations: elicitations, skill_approval: skills, request_permissions: permissions } })

test.each<{ name: string; text: string; means: { [Key in keyof EffectiveConfig]?: unknown } }>([
  { name: 'reject: true is answered with no',       text: 'approval_policy = { reject = { sandbox_approval = true, rules = false, mcp_elicitations = false } }', means: { approvalPolicy: asks(false, true, true) } },
  { name: 'reject: what it does not name is asked', text: 'approval_policy = { reject = { rules = true } }', means: { approvalPolicy: asks(true, false, true) } },
  { name: 'granular: true is asked',                text: 'approval_policy = { granular = { sandbox_approval = false, rules = true, mcp_elicitations = true } }', means: { approvalPolicy: asks(false, true, true) } },
  { name: 'granular: later kinds are asked only where they are named', text: '[approval_policy.granular]\nsandbox_approval = true\nrules = true\nmcp_elicitations = true\nrequest_permissions = true\n', means: { approvalPolicy: asks(true, true, true, false, true) } },
  { name: 'on-failure is taken still',              text: 'approval_policy = "on-failure"', means: { approvalPolicy: 'on-failure' } },
  { name: 'windows.sandbox',                        text: 'windows.sandbox = "unelevated"', means: { windowsSandbox: 'unelevated' } },
  { name: 'the old switch for unelevated',          text: 'features.experimental_windows_sandbox = true', means: { windowsSandbox: 'unelevated' } },
  { name: 'the old switch for elevated',            text: 'features.elevated_windows_sandbox = true', means: { windowsSandbox: 'elevated' } },
  { name: 'of both the stronger',                   text: 'features.elevated_windows_sandbox = true\nfeatures.experimental_windows_sandbox = true', means: { windowsSandbox: 'elevated' } },
  { name: 'a switch that is off says nothing',      text: 'features.elevated_windows_sandbox = false', means: { windowsSandbox: undefined } },
  { name: 'the new word wins over the old switch',  text: 'windows.sandbox = "unelevated"\nfeatures.elevated_windows_sandbox = true', means: { windowsSandbox: 'unelevated' } },
  ...['network', 'permissions.network', 'network_proxy', 'features.network_proxy'].map(table => ({
    name: `[${table}]`, text: `[${table}]\nenabled = true\nallowed_domains = ["a.org"]\n`, means: { network: expect.objectContaining({ enabled: true, allowedDomains: ['a.org'] }) as unknown },
  })),
  { name: 'domains as a map',                       text: '[network.domains]\n"a.org" = "allow"\n"b.org" = "deny"\n', means: { network: expect.objectContaining({ allowedDomains: ['a.org'], deniedDomains: ['b.org'] }) as unknown } },
  { name: 'sockets as a map',                       text: '[network.unix_sockets]\n"/a" = "allow"\n"/b" = "none"\n"/c" = "deny"\n', means: { network: expect.objectContaining({ allowUnixSockets: ['/a'] }) as unknown } },
  { name: 'features that are switches stay',        text: '[features]\nnetwork_proxy = true\nuse_linux_sandbox_bwrap = true\n', means: { features: { network_proxy: true, use_linux_sandbox_bwrap: true } } },
  { name: 'variables',                              text: '[shell_environment_policy]\nset = { A = "1", __proto__ = "x" }\ninclude_only = ["A"]\n', means: { shellEnvironmentPolicy: { inherit: 'all', ignoreDefaultExcludes: true, exclude: [], set: Object.defineProperty({ A: '1' }, '__proto__', { value: 'x', enumerable: true }), includeOnly: ['A'] } } },
])('$name', async ({ text, means }) => {
  expect((await configPlace({ [USER]: text }).load()).config).toMatchObject(means)
})

test('a map of domains adds to the lists below it, pattern by pattern; a list takes their place', async () => {
  const place = configPlace({
    'system/config.toml': '[network]\nallowed_domains = ["a.org", "b.org"]\ndenied_domains = ["c.org"]\n',
    [USER]: '[network.domains]\n"b.org" = "deny"\n"d.org" = "allow"\n',
  })
  expect((await place.load()).config.network).toMatchObject({ allowedDomains: ['a.org', 'd.org'], deniedDomains: ['c.org', 'b.org'] })
  expect((await place.load({ overrides: ['network.allowed_domains=["e.org"]'] })).config.network).toMatchObject({ allowedDomains: ['e.org'], deniedDomains: ['c.org', 'b.org'] })
  expect((await place.load({ overrides: ['network.domains."f.org"=allow'] })).config.network).toMatchObject({ allowedDomains: ['a.org', 'd.org', 'f.org'], deniedDomains: ['c.org', 'b.org'] })
})
test('an approval policy is said whole: half of one and half of another is neither', async () => {
  const place = configPlace({ 'system/config.toml': 'approval_policy = { reject = { rules = true } }\n', [USER]: '[approval_policy.granular]\nsandbox_approval = true\nrules = true\nmcp_elicitations = false\n' })
  const { config, tables } = await place.load()
  expect(config.approvalPolicy).toEqual(asks(true, true, false))
  expect(Object.keys(tables['approval_policy'] as object)).toEqual(['granular'])
})
test('an empty table says nothing against a full one', async () => {
  const place = configPlace({ 'system/config.toml': 'sandbox_workspace_write.network_access = true\nsandbox_mode = "workspace-write"\n', [USER]: '[sandbox_workspace_write]\n[network]\n' })
  expect((await place.load()).policy()).toMatchObject({ network: 'open' })
})
test('relative roots start at the folder of their file, those of -c where it is called', async () => {
  const place = configPlace({ 'system/config.toml': '[profiles.p.sandbox_workspace_write]\nwritable_roots = ["a/../b", "~/c", "/d"]\n' })
  expect((await place.load({ profile: 'p' })).config.workspaceWrite.writableRoots).toEqual([`${place.system}/b`, '~/c', '/d'])
  expect((await place.load({ overrides: ['sandbox_workspace_write.writable_roots=["x"]'], overridesFolder: '/here' })).config.workspaceWrite.writableRoots).toEqual(['/here/x'])
})

describe('other keys', () => {
  test('are kept, and have no part', async () => {
    const { config, tables, origins, warnings } = await configPlace({ [USER]: 'model = "o9"\n[mcp_servers.x]\ncommand = "y"\n' }).load()
    expect(tables).toMatchObject({ model: 'o9', mcp_servers: { x: { command: 'y' } } })
    expect(origins.get('mcp_servers.x.command')?.name).toBe('user')
    expect(config).toEqual((await configPlace().load()).config)
    expect(warnings).toEqual([])
  })
  test.each([
    { text: 'sandbox_mod = "read-only"',                              key: 'sandbox_mod', near: 'sandbox_mode' },
    { text: '[sandbox_workspace_write]\nexclude_slashtmp = true',     key: 'sandbox_workspace_write.exclude_slashtmp', near: 'sandbox_workspace_write.exclude_slash_tmp' },
    { text: '[shell_environment_policy]\nexcludes = ["A"]',           key: 'shell_environment_policy.excludes', near: 'shell_environment_policy.exclude' },
    { text: '[permissions.network]\nalowed_domains = []',             key: 'permissions.network.alowed_domains', near: 'permissions.network.allowed_domains' },
    { text: '[profiles.p]\naproval_policy = "never"',                 key: 'profiles.p.aproval_policy', near: 'profiles.p.approval_policy' },
    { text: '[sandbox_workspace_write]\nfrobnicate = 1',              key: 'sandbox_workspace_write.frobnicate', near: undefined },
  ])('$key is told, with what was meant', async ({ text, key, near }) => {
    const { warnings } = await configPlace({ [USER]: text }).load()
    expect(warnings).toEqual([expect.objectContaining({ kind: 'unknown', key, layer: 'user', ...(near === undefined ? {} : { near }) })])
  })
  test.each(['default_permissions = ":workspace"', '[permissions.x.filesystem]\n":root" = "read"'])('of a later generation that would forbid something: %s', async text => {
    expect((await configPlace({ [USER]: text }).load()).warnings).toEqual([expect.objectContaining({ kind: 'unheld' })])
  })
})
