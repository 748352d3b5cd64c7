// The layers, the stronger over the weaker, and where each value is from.
import { expect, test } from 'vitest'
import { configPlace, TRUSTED } from '../../support/config-place.js'

const USER = 'home/.codex/config.toml'
const PROJECT = 'project/.codex/config.toml'
const SYSTEM = 'system/config.toml'
const MANAGED = 'system/managed_config.toml'
const base64 = (text: string): string => Buffer.from(text).toString('base64')

test('nothing configured is what the reference has: read-only, asked on request', async () => {
  const { config, layers, origins, requirements, warnings, policy } = await configPlace().load()
  expect(config).toMatchObject({ sandboxMode: 'read-only', approvalPolicy: 'on-request', allowLoginShell: true, backgroundTerminalMaxTimeoutMs: 300_000 })
  expect(layers.map(({ name }) => name)).toEqual(['built-in'])
  expect(new Set([...origins.values()].map(({ name }) => name))).toEqual(new Set(['built-in']))
  expect({ requirements, warnings }).toEqual({ requirements: null, warnings: [] })
  expect(policy()).toMatchObject({ mode: 'read-only', network: 'off' })
})

/** Each is stronger than the one before. The project narrows, so the values go down from layer to layer. */
const LAYERS = [
  { layer: 'built-in',            value: 300_000, add: {} },
  { layer: 'system',              value: 9000, add: { [SYSTEM]: 'background_terminal_max_timeout = 9000\n' } },
  { layer: 'user',                value: 8000, add: { [USER]: `background_terminal_max_timeout = 8000\n[profiles.p]\n${TRUSTED}` } },
  { layer: 'profile',             value: 7000, add: { [USER]: `background_terminal_max_timeout = 8000\n[profiles.p]\nbackground_terminal_max_timeout = 7000\n${TRUSTED}` } },
  { layer: 'project',             value: 6000, add: { [PROJECT]: 'background_terminal_max_timeout = 6000\n' } },
  { layer: 'session-flags',       value: 5000, overrides: ['background_terminal_max_timeout=5500', 'background_terminal_max_timeout=5000'], add: {} },
  { layer: 'managed-config',      value: 4000, add: { [MANAGED]: 'background_terminal_max_timeout = 4000\n' } },
  { layer: 'managed-preferences', value: 3000, preferences: 'background_terminal_max_timeout = 3000\n', add: {} },
] as const

test.each(LAYERS.map((row, index) => ({ ...row, index })))('$layer wins over all below it', async ({ layer, value, index }) => {
  const upTo = LAYERS.slice(0, index + 1)
  const place = configPlace(Object.assign({}, ...upTo.map(({ add }) => add)) as Record<string, string>)
  const preferences = upTo.flatMap(row => 'preferences' in row ? [row.preferences] : [])
  const loaded = await place.load({
    ...(index >= 3 ? { profile: 'p' } : {}),
    overrides: upTo.flatMap(row => 'overrides' in row ? row.overrides : []),
    managedPreferences: key => Promise.resolve(key === 'config_toml_base64' && preferences[0] !== undefined ? base64(preferences[0]) : undefined),
  })
  expect(loaded.config.backgroundTerminalMaxTimeoutMs).toBe(value)
  expect(loaded.origins.get('background_terminal_max_timeout')?.name).toBe(layer)
  expect(loaded.layers.map(({ name }) => name)).toEqual(upTo.map(({ layer }) => layer))
})
