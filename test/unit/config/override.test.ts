// `-c KEY=VALUE`.
import { expect, test } from 'vitest'
import { parseOverride } from '../../../src/config/override.js'
import { configPlace } from '../../support/config-place.js'
import { failureOf } from '../../support/failure-of.js'

test.each<{ text: string; path: string[]; value: unknown }>([
  { text: 'sandbox_mode=read-only',                     path: ['sandbox_mode'], value: 'read-only' },
  { text: 'sandbox_mode = "read-only"',                 path: ['sandbox_mode'], value: 'read-only' },
  { text: 'a.b.c=1',                                    path: ['a', 'b', 'c'], value: 1 },
  { text: 'a . b = true',                               path: ['a', 'b'], value: true },
  { text: 'a=[1, "b"]',                                 path: ['a'], value: [1, 'b'] },
  { text: 'a=',                                         path: ['a'], value: '' },
  { text: 'a=b=c',                                      path: ['a'], value: 'b=c' },
  { text: 'a=[1',                                       path: ['a'], value: '[1' },
  { text: 'projects."/a.b/c=d".trust_level=trusted',    path: ['projects', '/a.b/c=d', 'trust_level'], value: 'trusted' },
  { text: 'projects.\'/a"b\'.trust_level=trusted',      path: ['projects', '/a"b', 'trust_level'], value: 'trusted' },
  { text: 'projects./a/b.trust_level=trusted',          path: ['projects', '/a/b', 'trust_level'], value: 'trusted' },
  { text: 'shell_environment_policy.set.A=1',           path: ['shell_environment_policy', 'set', 'A'], value: '1' },
  { text: 'shell_environment_policy.set.A="1"',         path: ['shell_environment_policy', 'set', 'A'], value: '1' },
  { text: 'profiles.p.shell_environment_policy.set.A=true', path: ['profiles', 'p', 'shell_environment_policy', 'set', 'A'], value: 'true' },
  { text: 'a=1\nb=2',                                   path: ['a'], value: '1\nb=2' },
  { text: '__proto__.x=1',                              path: ['__proto__', 'x'], value: 1 },
])('$text', ({ text, path, value }) => {
  const override = parseOverride(text)
  expect(override.path).toEqual(path)
  const found = path.reduce<unknown>((at, name) => Object.getOwnPropertyDescriptor(at as object, name)?.value, override.config)
  expect(found).toEqual(value)
  expect(({} as Record<string, unknown>)['x']).toBeUndefined()
})
test.each(['sandbox_mode', '', '=1', 'a..b=1', '.a=1', 'a.=1', '"a=1', 'a."b'])('is an error: %j', async text => {
  expect(await failureOf(async () => parseOverride(text))).toMatchObject({ code: 'option_invalid', field: '-c' })
})
test('a wrong value is an error with its column', async () => {
  expect(await failureOf(() => configPlace().load({ overrides: ['sandbox_workspace_write.network_access=yes'] }))).toMatchObject({ code: 'config_invalid', field: 'sandbox_workspace_write.network_access', source: { file: '-c', line: 1, column: 40 } })
})
test.each([
  { given: 'sandbox_workspace_write.writeable_roots=[]', says: 'Did you mean sandbox_workspace_write.writable_roots?' },
  { given: 'sandbox_workspace_write={nope=1}',            says: 'Leave it out' },
  { given: 'profiles.p.sandbox_mod=x',                    says: 'Did you mean profiles.p.sandbox_mode?' },
])('a misspelt key is an error: $given', async ({ given, says }) => {
  const error = await failureOf(() => configPlace().load({ overrides: [given] })) as Error
  expect(error).toMatchObject({ code: 'option_invalid' })
  expect(error.message).toContain(says)
})
test('a key that has no part here is taken, as scripts for the reference give it', async () => {
  const { layers, warnings } = await configPlace().load({ overrides: ['model="o9"', 'tui.theme=dark'] })
  expect(layers.at(-1)?.config).toEqual({ model: 'o9', tui: { theme: 'dark' } })
  expect(warnings).toEqual([])
})
test('a profile may be made and chosen by it', async () => {
  const { config, profile } = await configPlace().load({ overrides: ['profile=p', 'profiles.p.approval_policy=never', 'profiles.p.sandbox_mode="workspace-write"'] })
  expect({ profile, mode: config.sandboxMode, approval: config.approvalPolicy }).toEqual({ profile: 'p', mode: 'workspace-write', approval: 'never' })
})
test('a profile that is not there is an error that names those that are', async () => {
  const place = configPlace({ 'home/.codex/config.toml': '[profiles.a]\n[profiles.b]\n' })
  const error = await failureOf(() => place.load({ profile: 'c' })) as Error
  expect(error).toMatchObject({ code: 'profile_not_found' })
  expect(error.message).toContain('there are a, b')
})

/* A profile in a file of its own, as later generations have it. */

test('NAME.config.toml beside the user\'s file is a profile, too', async () => {
  const place = configPlace({ 'home/.codex/config.toml': 'sandbox_mode = "workspace-write"\n', 'home/.codex/careful.config.toml': 'sandbox_mode = "read-only"\n' })
  const { config, layers, origins, files } = await place.load({ profile: 'careful' })
  expect(config.sandboxMode).toBe('read-only')
  expect(layers.map(({ name, path }) => [name, path?.replace(place.folder, '')])).toEqual([['built-in', undefined], ['user', '/home/.codex/config.toml'], ['profile', '/home/.codex/careful.config.toml']])
  expect(origins.get('sandbox_mode')?.name).toBe('profile')
  expect(files).toContain(`${place.codexHome}/careful.config.toml`)
})
test('a table of that name comes first, and a name with a path in it is no file', async () => {
  const place = configPlace({ 'home/.codex/config.toml': '[profiles.p]\nsandbox_mode = "workspace-write"\n', 'home/.codex/p.config.toml': 'sandbox_mode = "danger-full-access"\n', 'home/x.config.toml': '' })
  expect((await place.load({ profile: 'p' })).config.sandboxMode).toBe('workspace-write')
  expect(await failureOf(() => place.load({ profile: '../x' }))).toMatchObject({ code: 'profile_not_found' })
})
test('one that is wrong is an error with its place', async () => {
  const place = configPlace({ 'home/.codex/p.config.toml': '\nsandbox_mode = 1\n' })
  expect(await failureOf(() => place.load({ profile: 'p' }))).toMatchObject({ code: 'config_invalid', source: { file: `${place.codexHome}/p.config.toml`, line: 2, column: 16 } })
})
