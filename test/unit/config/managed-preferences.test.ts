// macOS managed preferences, read through a `defaults` that is played here: no Mac was asked.
import { describe, expect, test } from 'vitest'
import { decodePreference, type DefaultsResult, managedPreferences } from '../../../src/config/managed-preferences.js'
import { configPlace } from '../../support/config-place.js'
import { failureOf } from '../../support/failure-of.js'

const base64 = (text: string): string => Buffer.from(text).toString('base64')
const MISSING: DefaultsResult = { exitCode: 1, stdout: '', stderr: '2026-03-04 12:00:00.000 defaults[1:2] \nThe domain/default pair of (com.openai.codex, config_toml_base64) does not exist\n' }

/** `defaults read com.openai.codex KEY`, with these keys. */
const defaults = (keys: Readonly<Record<string, string | DefaultsResult>>, asked: string[][] = []) => (argv: readonly string[]): Promise<DefaultsResult> => {
  asked.push([...argv])
  const value = argv[0] === 'read' && argv[1] === 'com.openai.codex' ? keys[argv[2] ?? ''] : undefined
  return Promise.resolve(value === undefined ? MISSING : typeof value === 'string' ? { exitCode: 0, stdout: `${value}\n`, stderr: '' } : value)
}

test('other systems have none, and nothing is run', () => {
  const asked: string[][] = []
  expect([managedPreferences('linux', defaults({}, asked)), managedPreferences('windows', defaults({}, asked))]).toEqual([undefined, undefined])
  expect(asked).toEqual([])
})
test('both keys are a layer and requirements', async () => {
  const asked: string[][] = []
  const run = defaults({ config_toml_base64: base64('background_terminal_max_timeout = 7\n'), requirements_toml_base64: base64('allowed_approval_policies = ["never"]\n') }, asked)
  const { config, origins, requirements } = await configPlace().load({ managedPreferences: managedPreferences('macos', run)! })
  expect(config).toMatchObject({ backgroundTerminalMaxTimeoutMs: 7, approvalPolicy: 'never' })
  expect(origins.get('background_terminal_max_timeout')).toMatchObject({ name: 'managed-preferences', path: 'com.openai.codex:config_toml_base64' })
  expect(requirements?.allowedApprovalPolicies?.source).toEqual({ name: 'managed-preferences', path: 'com.openai.codex:requirements_toml_base64' })
  expect(asked).toEqual([['read', 'com.openai.codex', 'config_toml_base64'], ['read', 'com.openai.codex', 'requirements_toml_base64']])
})
test('keys that are not there say nothing', async () => {
  const { layers, requirements } = await configPlace().load({ managedPreferences: managedPreferences('macos', defaults({}))! })
  expect({ layers: layers.map(({ name }) => name), requirements }).toEqual({ layers: ['built-in'], requirements: null })
})
test('an error in them names the key, with line and column', async () => {
  const run = defaults({ requirements_toml_base64: base64('\nallowed_sandbox_modes = []\n') })
  expect(await failureOf(() => configPlace().load({ managedPreferences: managedPreferences('macos', run)! }))).toMatchObject({ code: 'config_invalid', source: { file: 'com.openai.codex:requirements_toml_base64', line: 2, column: 25 } })
})
test.each<{ name: string; keys: Readonly<Record<string, string | DefaultsResult>>; says: string }>([
  { name: 'defaults fails for another reason', keys: { config_toml_base64: { exitCode: 1, stdout: '', stderr: 'Could not contact cfprefsd' } }, says: 'defaults ended with 1: "Could not contact cfprefsd"' },
  { name: 'a key that is no base64',           keys: { requirements_toml_base64: 'allowed_sandbox_modes = []' },                               says: 'it is not base64' },
  { name: 'a dictionary',                      keys: { requirements_toml_base64: '{\n    a = 1;\n}' },                                         says: 'it is not base64' },
  { name: 'bytes that are not UTF-8',          keys: { requirements_toml_base64: Buffer.from([0xff]).toString('base64') },                     says: 'it is not UTF-8' },
])('is an error, not a layer less: $name', async ({ keys, says }) => {
  const error = await failureOf(() => configPlace().load({ managedPreferences: managedPreferences('macos', defaults(keys))! })) as Error
  expect(error).toMatchObject({ code: 'config_unreadable' })
  expect(error.message).toContain(says)
})

describe('base64', () => {
  test('with the breaks that mail and plists put in it', () => {
    const text = base64('sandbox_mode = "read-only"\n'.repeat(5))
    expect(decodePreference('config_toml_base64', text.replaceAll(/(.{20})/g, '$1\n\t'))).toBe('sandbox_mode = "read-only"\n'.repeat(5))
  })
  test('one that is cut is not taken for a shorter one', () => {
    expect(() => decodePreference('config_toml_base64', base64('sandbox_mode = "read-only"\n').slice(0, -3))).toThrow('it is not base64')
  })
})
