// A project's file: whose it is, who trusts it, and what of it holds.
import { mkdirSync, renameSync, rmSync, symlinkSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { CONFIG_KEYS } from '../../../src/config/keys.js'
import { configPlace, TRUSTED } from '../../support/config-place.js'
import { failureOf } from '../../support/failure-of.js'

const USER = 'home/.codex/config.toml'
const PROJECT = 'project/.codex/config.toml'
const NARROW = 'background_terminal_max_timeout = 1\n'

/** What the user says, what the project says, and what is written in the end. `told`: whether something of it is ignored. */
const NARROWING: readonly { readonly key: string; readonly user?: string; readonly project: string; readonly holds: unknown; readonly told: boolean }[] = [
  { key: 'sandbox_mode', user: '"workspace-write"', project: '"read-only"', holds: 'read-only', told: false },
  { key: 'sandbox_mode', user: '"danger-full-access"', project: '"workspace-write"', holds: 'workspace-write', told: false },
  { key: 'sandbox_mode', user: '"workspace-write"', project: '"danger-full-access"', holds: 'workspace-write', told: true },
  { key: 'sandbox_mode', project: '"workspace-write"', holds: 'read-only', told: true },
  { key: 'sandbox_workspace_write.writable_roots', user: '["/a", "/b"]', project: '["/b"]', holds: ['/b'], told: false },
  { key: 'sandbox_workspace_write.writable_roots', user: '["/a", "/b"]', project: '["/b", "/b/.git"]', holds: ['/b'], told: true },
  { key: 'sandbox_workspace_write.writable_roots', user: '["/a", "/b"]', project: '["/a", "/b", "/"]', holds: ['/a', '/b'], told: true },
  { key: 'sandbox_workspace_write.writable_roots', project: '["/a"]', holds: [], told: true },
  { key: 'sandbox_workspace_write.network_access', user: 'true', project: 'false', holds: false, told: false },
  { key: 'sandbox_workspace_write.network_access', user: 'false', project: 'true', holds: false, told: true },
  { key: 'sandbox_workspace_write.exclude_slash_tmp', project: 'true', holds: true, told: false },
  { key: 'sandbox_workspace_write.exclude_slash_tmp', user: 'true', project: 'false', holds: true, told: true },
  { key: 'sandbox_workspace_write.exclude_tmpdir_env_var', project: 'true', holds: true, told: false },
  { key: 'sandbox_workspace_write.exclude_tmpdir_env_var', user: 'true', project: 'false', holds: true, told: true },
  ...approvals([
    ['on-request', 'untrusted', true], ['on-request', 'never', true], ['on-request', 'on-failure', true], ['on-failure', 'on-request', true], ['untrusted', 'untrusted', true],
    ['never', 'untrusted', false], ['never', 'on-request', false], ['untrusted', 'never', false], ['untrusted', 'on-request', false],
  ]),
  { key: 'approval_policy', user: '"on-request"', project: '{ reject = { rules = true } }', holds: { reject: { rules: true } }, told: false },
  { key: 'approval_policy', user: '{ reject = { rules = true } }', project: '{ granular = { sandbox_approval = true, rules = false, mcp_elicitations = false } }', holds: { granular: { sandbox_approval: true, rules: false, mcp_elicitations: false } }, told: false },
  { key: 'approval_policy', user: '{ reject = { rules = true } }', project: '{ reject = {} }', holds: { reject: { rules: true } }, told: true },
  { key: 'approval_policy', user: '{ reject = { rules = true } }', project: '"on-request"', holds: { reject: { rules: true } }, told: true },
  { key: 'approval_policy', user: '"never"', project: '{ reject = { sandbox_approval = true, rules = true, mcp_elicitations = true } }', holds: { reject: { sandbox_approval: true, rules: true, mcp_elicitations: true } }, told: false },
  { key: 'allow_login_shell', project: 'false', holds: false, told: false },
  { key: 'allow_login_shell', user: 'false', project: 'true', holds: false, told: true },
  { key: 'shell_environment_policy.inherit', project: '"core"', holds: 'core', told: false },
  { key: 'shell_environment_policy.inherit', user: '"none"', project: '"core"', holds: 'none', told: true },
  { key: 'shell_environment_policy.ignore_default_excludes', project: 'false', holds: false, told: false },
  { key: 'shell_environment_policy.ignore_default_excludes', user: 'false', project: 'true', holds: false, told: true },
  { key: 'shell_environment_policy.exclude', user: '["A"]', project: '["B"]', holds: ['A', 'B'], told: false },
  { key: 'shell_environment_policy.exclude', user: '["A"]', project: '[]', holds: ['A'], told: false },
  { key: 'shell_environment_policy.set', project: '{ LD_PRELOAD = "/work/x.so" }', holds: undefined, told: true },
  { key: 'shell_environment_policy.include_only', project: '["PATH"]', holds: ['PATH'], told: false },
  { key: 'shell_environment_policy.include_only', user: '["PATH", "HOME"]', project: '["PATH"]', holds: ['PATH'], told: false },
  { key: 'shell_environment_policy.include_only', user: '["PATH"]', project: '["*"]', holds: ['PATH'], told: true },
  { key: 'shell_environment_policy.include_only', user: '["PATH"]', project: '[]', holds: ['PATH'], told: true },
  { key: 'shell_environment_policy.experimental_use_profile', project: 'true', holds: undefined, told: true },
  { key: 'windows.sandbox', user: '"elevated"', project: '"unelevated"', holds: 'elevated', told: true },
  { key: 'features.use_linux_sandbox_bwrap', project: 'true', holds: undefined, told: true },
  { key: 'features.experimental_windows_sandbox', project: 'true', holds: undefined, told: true },
  { key: 'features.elevated_windows_sandbox', project: 'true', holds: undefined, told: true },
  { key: 'background_terminal_max_timeout', project: '1', holds: 1, told: false },
  { key: 'background_terminal_max_timeout', user: '5', project: '6', holds: 5, told: true },
  { key: 'network.enabled', user: 'true', project: 'false', holds: false, told: false },
  { key: 'network.enabled', project: 'true', holds: undefined, told: true },
  { key: 'network.mode', project: '"limited"', holds: 'limited', told: false },
  { key: 'network.mode', user: '"limited"', project: '"full"', holds: 'limited', told: true },
  { key: 'network.allowed_domains', user: '["a.org", "*.b.org"]', project: '["a.org"]', holds: ['a.org'], told: false },
  { key: 'network.allowed_domains', user: '["**.b.org"]', project: '["b.org"]', holds: [], told: true },
  { key: 'network.allowed_domains', project: '["a.org"]', holds: undefined, told: true },
  { key: 'network.denied_domains', user: '["a.org"]', project: '["b.org"]', holds: ['a.org', 'b.org'], told: false },
  { key: 'network.domains', user: '{ "a.org" = "deny" }', project: '{ "a.org" = "allow" }', holds: undefined, told: true },
  { key: 'network.allow_unix_sockets', user: '["/a"]', project: '[]', holds: [], told: false },
  { key: 'network.allow_unix_sockets', user: '["/a"]', project: '["/a", "/var/run/docker.sock"]', holds: ['/a'], told: true },
  { key: 'network.unix_sockets', project: '{ "/a" = "allow" }', holds: undefined, told: true },
  ...['allow_local_binding', 'allow_upstream_proxy', 'dangerously_allow_all_unix_sockets', 'dangerously_allow_non_loopback_proxy', 'dangerously_allow_non_loopback_admin'].flatMap(name => [
    { key: `network.${name}`, user: 'true', project: 'false', holds: false, told: false },
    { key: `network.${name}`, user: 'false', project: 'true', holds: false, told: true },
  ]),
  ...['proxy_url', 'socks_url', 'admin_url'].map(name => ({ key: `network.${name}`, project: '"http://evil.example.com"', holds: undefined, told: true })),
  ...['http_port', 'socks_port'].map(name => ({ key: `network.${name}`, user: '1', project: '2', holds: 1, told: true })),
  ...['enable_socks5', 'enable_socks5_udp'].map(name => ({ key: `network.${name}`, user: 'false', project: 'true', holds: false, told: true })),
]

function approvals(rows: readonly (readonly [user: string, project: string, holds: boolean])[]): { key: string; user: string; project: string; holds: string; told: boolean }[] {
  return rows.map(([user, project, holds]) => ({ key: 'approval_policy', user: `"${user}"`, project: `"${project}"`, holds: holds ? project : user, told: !holds }))
}

const valueAt = (tables: unknown, key: string): unknown => key.split('.').reduce<unknown>((at, name) => (at as Record<string, unknown> | undefined)?.[name], tables)

describe('a trusted project only narrows', () => {
  test.each(NARROWING)('$key: the user says $user, the project $project', async ({ key, user, project, holds, told }) => {
    const place = configPlace({ [USER]: `${user === undefined ? '' : `${key} = ${user}\n`}${TRUSTED}`, [PROJECT]: `${key} = ${project}\n` })
    const { tables, warnings, origins } = await place.load({ cwd: place.project, env: { HOME: place.home, TMPDIR: '/elsewhere' } })
    expect(JSON.stringify(valueAt(tables, key))).toBe(JSON.stringify(holds))
    // What came of an old switch is ignored under its new name as well.
    expect(warnings.filter(({ kind }) => kind === 'refused').map(each => each.key)).toEqual(told ? expect.arrayContaining([key]) : [])
    if (!told) expect(origins.get(key)?.name ?? 'project').toBe('project')
  })
  test('each key of the table has its line here', () => {
    const keys = CONFIG_KEYS.map(({ key }) => key).filter(key => !/^(permissions\.network|network_proxy|features\.network_proxy)\./.test(key))
    expect(keys.filter(key => !NARROWING.some(row => row.key === key && row.told))).toEqual(['shell_environment_policy.exclude', 'network.denied_domains'])
  })
  test.each(['profile = "wide"', '[profiles.wide]\nsandbox_mode = "danger-full-access"', '[projects."/"]\ntrust_level = "trusted"'])('it says nothing of profiles and trust: %s', async text => {
    const place = configPlace({ [USER]: TRUSTED, [PROJECT]: `${text}\n` })
    const { config, profile, warnings } = await place.load()
    expect({ mode: config.sandboxMode, profile }).toEqual({ mode: 'read-only', profile: undefined })
    expect(warnings).toEqual([expect.objectContaining({ kind: 'refused', layer: 'project' })])
  })
  test('keys that are not known here stay in its own layer, whatever they would do to an agent', async () => {
    const place = configPlace({ [USER]: `model = "mine"\n${TRUSTED}`, [PROJECT]: 'model = "theirs"\nnotify = ["evil"]\nmodel_provider = "evil"\n' })
    const { tables, layers } = await place.load()
    expect(tables).toMatchObject({ model: 'mine' })
    expect(tables).not.toHaveProperty('notify')
    expect(layers.at(-1)?.config).toMatchObject({ notify: ['evil'] })
  })
  test('rules for hosts alone do not turn the network on', async () => {
    const place = configPlace({ [USER]: `sandbox_mode = "workspace-write"\n${TRUSTED}`, [PROJECT]: '[network]\nmode = "limited"\ndenied_domains = ["a.org"]\n' })
    expect((await place.load()).policy().network).toBe('off')
  })
  test('a narrower mode does not open a network that a wider one had closed', async () => {
    const place = configPlace({ [USER]: `sandbox_mode = "workspace-write"\nsandbox_workspace_write.network_access = false\nnetwork.enabled = true\n${TRUSTED}`, [PROJECT]: 'sandbox_mode = "read-only"\n' })
    expect((await place.load()).policy()).toMatchObject({ mode: 'read-only', network: 'off' })
  })
  test('-c and what is managed are the user\'s and the organisation\'s own, and stand above it', async () => {
    const place = configPlace({ [USER]: `sandbox_mode = "workspace-write"\n${TRUSTED}`, [PROJECT]: 'sandbox_mode = "read-only"\n' })
    expect((await place.load({ overrides: ['sandbox_mode=workspace-write'] })).config.sandboxMode).toBe('workspace-write')
  })
})

describe('a root is not left out where its .git would open', () => {
  const roots = async (files: Record<string, string>, said: string, env: Record<string, string> = {}) => {
    const place = configPlace({ [PROJECT]: `${said}\n`, ...files })
    const { config, warnings } = await place.load({ env: { HOME: place.home, ...env } })
    return { roots: config.workspaceWrite.writableRoots.map(root => root.replace(place.folder, '')), excluded: [config.workspaceWrite.excludeSlashTmp, config.workspaceWrite.excludeTmpdirEnvVar], told: warnings.map(({ text }) => text) }
  }
  const user = (list: string): Record<string, string> => ({ [USER]: `sandbox_mode = "workspace-write"\n[sandbox_workspace_write]\nexclude_slash_tmp = true\nwritable_roots = [${list}]\n${TRUSTED}` })
  test('in another root', async () => {
    expect(await roots(user('"/data", "/data/sub", "/other"'), 'sandbox_workspace_write.writable_roots = ["/data"]')).toMatchObject({ roots: ['/data', '/data/sub'], told: [expect.stringContaining('"/data/sub" lies in another writable folder')] })
  })
  test('in the workspace', async () => {
    expect(await roots(user('"$PLACE/project/sub"'), 'sandbox_workspace_write.writable_roots = []')).toMatchObject({ roots: ['/project/sub'] })
  })
  test('in the workspace, which is named as well', async () => {
    expect(await roots(user('"$PLACE/project/sub", "$PLACE/project"'), 'sandbox_workspace_write.writable_roots = []')).toMatchObject({ roots: ['/project/sub', '/project'] })
  })
  test('/tmp, which is protected less as the temporary folder that it stays', async () => {
    const open = { [USER]: `sandbox_mode = "workspace-write"\nsandbox_workspace_write.writable_roots = ["/tmp"]\n${TRUSTED}` }
    expect(await roots(open, 'sandbox_workspace_write.writable_roots = []')).toMatchObject({ roots: ['/tmp'] })
    expect(await roots(open, 'sandbox_workspace_write.exclude_slash_tmp = true')).toMatchObject({ roots: ['/tmp'], excluded: [false, false] })
  })
  test('behind a link', async () => {
    const place = configPlace({ ...user('"$PLACE/link"'), [PROJECT]: 'sandbox_workspace_write.writable_roots = []\n' })
    mkdirSync(join(place.project, 'sub'))
    symlinkSync(join(place.project, 'sub'), join(place.folder, 'link'))
    expect((await place.load()).config.workspaceWrite.writableRoots).toEqual([join(place.folder, 'link')])
  })
  test('elsewhere it is', async () => {
    expect(await roots(user('"/data", "/data/sub"'), 'sandbox_workspace_write.writable_roots = []')).toMatchObject({ roots: [], told: [] })
  })
  test('$TMPDIR in /tmp', async () => {
    const open = { [USER]: `sandbox_mode = "workspace-write"\n${TRUSTED}` }
    expect(await roots(open, 'sandbox_workspace_write.exclude_tmpdir_env_var = true', { TMPDIR: '/tmp/mine' })).toMatchObject({ excluded: [false, false], told: [expect.stringContaining('$TMPDIR lies in another writable folder')] })
    expect(await roots(open, 'sandbox_workspace_write.exclude_tmpdir_env_var = true', { TMPDIR: '/var/tmp/mine' })).toMatchObject({ excluded: [false, true], told: [] })
  })
})

describe('who trusts it', () => {
  const levels = (text: string) => ({ [USER]: text, [PROJECT]: NARROW })
  const isRead = async (place: ReturnType<typeof configPlace>, options: Parameters<typeof place.load>[0] = {}): Promise<boolean> => {
    const { config, layers } = await place.load(options)
    const project = layers.filter(({ name }) => name === 'project')
    expect(project.every(layer => (layer.disabledReason === undefined) === (config.backgroundTerminalMaxTimeoutMs === 1))).toBe(true)
    return config.backgroundTerminalMaxTimeoutMs === 1
  }
  test.each([
    { name: 'nobody says a word',                          text: '',                                                                   read: false },
    { name: 'the user trusts it',                          text: TRUSTED,                                                              read: true },
    { name: 'the user distrusts it',                       text: '[projects."$PLACE/project"]\ntrust_level = "untrusted"\n',           read: false },
    { name: 'another project is trusted',                  text: '[projects."$PLACE/other"]\ntrust_level = "trusted"\n',               read: false },
    { name: 'a folder above the project is trusted',       text: '[projects."$PLACE"]\ntrust_level = "trusted"\n',                     read: false },
    { name: 'a relative name is no folder',                text: '[projects."project"]\ntrust_level = "trusted"\n',                    read: false },
    { name: 'a name that only begins the same',            text: '[projects."$PLACE/proj"]\ntrust_level = "trusted"\n',                read: false },
    { name: 'the same folder by another spelling',         text: '[projects."$PLACE/home/../project/"]\ntrust_level = "trusted"\n',    read: true },
    { name: 'of two words for one folder the careful one', text: `${TRUSTED}[projects."$PLACE/./project"]\ntrust_level = "untrusted"\n`, read: false },
    { name: 'a profile trusts nobody',                     text: '[profiles.p.projects."$PLACE/project"]\ntrust_level = "trusted"\n',  read: false },
  ])('$name: read is $read', async ({ text, read }) => {
    expect(await isRead(configPlace(levels(text)))).toBe(read)
  })
  test('-c may say it for once, and what is managed has the last word', async () => {
    const place = configPlace(levels(''))
    const overrides = [`projects."${place.project}".trust_level=trusted`]
    expect(await isRead(place, { overrides })).toBe(true)
    place.write('system/managed_config.toml', '[projects."$PLACE/project"]\ntrust_level = "untrusted"\n')
    expect(await isRead(place, { overrides })).toBe(false)
  })
  test('a file that is not trusted is not even looked into', async () => {
    const place = configPlace({ [PROJECT]: 'this is no TOML' })
    const { layers } = await place.load()
    expect(layers.at(-1)).toMatchObject({ name: 'project', config: {}, disabledReason: expect.stringContaining('is not trusted') as string })
  })
  test('a trusted one that is wrong is an error with its place', async () => {
    const place = configPlace({ [USER]: TRUSTED, [PROJECT]: '\nsandbox_mode = 1\n' })
    expect(await failureOf(() => place.load())).toMatchObject({ code: 'config_invalid', source: { file: join(place.project, '.codex/config.toml'), line: 2, column: 16 } })
  })
  test('a link to a trusted folder is that folder; a trusted name that leads elsewhere now trusts elsewhere', async () => {
    const place = configPlace(levels(TRUSTED))
    symlinkSync(place.project, join(place.folder, 'link'))
    expect(await isRead(place, { cwd: join(place.folder, 'link') })).toBe(true)
    // A command in a wider sandbox puts a link in the place of the folder.
    renameSync(place.project, join(place.folder, 'moved'))
    symlinkSync(join(place.folder, 'moved'), place.project)
    expect(await isRead(place, { cwd: join(place.folder, 'moved') })).toBe(true)
    rmSync(place.project)
    mkdirSync(place.project)
    expect(await isRead(place, { cwd: join(place.folder, 'moved') })).toBe(false)
  })
  test('.git that names a trusted repository gains nothing', async () => {
    const place = configPlace({ ...levels(TRUSTED), 'evil/.codex/config.toml': NARROW, 'evil/.git': 'gitdir: $PLACE/project/.git\n' })
    expect(await isRead(place, { cwd: join(place.folder, 'evil') })).toBe(false)
  })
})

describe('which files', () => {
  test('from the root of the repository down to the workspace, the nearest last', async () => {
    const place = configPlace({
      [USER]: `background_terminal_max_timeout = 9\n${TRUSTED}`, [PROJECT]: 'background_terminal_max_timeout = 8\n',
      'project/a/.codex/config.toml': 'background_terminal_max_timeout = 7\n', 'project/a/b/.codex/config.toml': 'background_terminal_max_timeout = 6\n',
      '.codex/config.toml': 'background_terminal_max_timeout = 1\n',
    })
    const { layers, config } = await place.load({ cwd: join(place.project, 'a/b') })
    expect(layers.map(({ path }) => path?.replace(place.folder, ''))).toEqual([undefined, '/home/.codex/config.toml', '/project/.codex/config.toml', '/project/a/.codex/config.toml', '/project/a/b/.codex/config.toml'])
    expect(config.backgroundTerminalMaxTimeoutMs).toBe(6)
    expect((await place.load({ cwd: join(place.project, 'a') })).config.backgroundTerminalMaxTimeoutMs).toBe(7)
  })
  test('a folder below that is not trusted is left out, and so is one below it', async () => {
    const place = configPlace({
      [USER]: `${TRUSTED}[projects."$PLACE/project/a"]\ntrust_level = "untrusted"\n`, [PROJECT]: 'background_terminal_max_timeout = 8\n', 'project/a/b/.codex/config.toml': 'background_terminal_max_timeout = 6\n',
    })
    const { layers, config, trust } = await place.load({ cwd: join(place.project, 'a/b') })
    expect({ timeout: config.backgroundTerminalMaxTimeoutMs, trust, last: layers.at(-1)?.disabledReason }).toEqual({ timeout: 8, trust: 'untrusted', last: 'the project is not trusted' })
  })
  test('without a repository the workspace alone', async () => {
    const place = configPlace({ [USER]: '[projects."$PLACE/plain"]\ntrust_level = "trusted"\n[projects."$PLACE/plain/a"]\ntrust_level = "trusted"\n', 'plain/.codex/config.toml': NARROW, 'plain/a/x': '' })
    expect((await place.load({ cwd: join(place.folder, 'plain') })).layers.map(({ name }) => name)).toEqual(['built-in', 'user', 'project'])
    expect((await place.load({ cwd: join(place.folder, 'plain/a') })).layers.map(({ name }) => name)).toEqual(['built-in', 'user'])
  })
  test('CODEX_HOME is the user\'s own, also where the workspace is the home folder', async () => {
    const place = configPlace({ [USER]: 'sandbox_mode = "workspace-write"\n[projects."$PLACE/home"]\ntrust_level = "trusted"\n' })
    const { layers, warnings } = await place.load({ cwd: place.home })
    expect({ layers: layers.map(({ name }) => name), warnings }).toEqual({ layers: ['built-in', 'user'], warnings: [] })
  })
  test('a workspace that is not there is an error', async () => {
    const place = configPlace()
    expect(await failureOf(() => place.load({ cwd: join(place.folder, 'none') }))).toMatchObject({ code: 'path_not_found', field: 'cwd' })
  })
})
