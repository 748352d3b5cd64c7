// The switch that asks for bwrap: in both of its spellings, in each layer, and what is told of it.
import { describe, expect, test } from 'vitest'
import { loadPolicy } from '../../../src/config/load-policy.js'
import { configPlace, TRUSTED } from '../../support/config-place.js'

const USER = 'home/.codex/config.toml'
const PROJECT = 'project/.codex/config.toml'
const ON = '[features]\nuse_linux_sandbox_bwrap = true\n'
const OFF = '[features]\nuse_linux_sandbox_bwrap = false\n'

describe('which back end it asks for', () => {
  test.each([
    { name: 'nothing is said',                         user: '',                                                   overrides: [],                                           backend: undefined },
    { name: 'the user\'s file says it',                user: ON,                                                   overrides: [],                                           backend: 'linux-bwrap' },
    { name: 'without its table',                       user: 'use_linux_sandbox_bwrap = true\n',                   overrides: [],                                           backend: 'linux-bwrap' },
    { name: 'a flag says it',                          user: '',                                                   overrides: ['features.use_linux_sandbox_bwrap=true'],    backend: 'linux-bwrap' },
    { name: 'a flag says it without its table',        user: '',                                                   overrides: ['use_linux_sandbox_bwrap=true'],             backend: 'linux-bwrap' },
    { name: 'a flag takes it back',                    user: ON,                                                   overrides: ['use_linux_sandbox_bwrap=false'],            backend: undefined },
    { name: 'both spellings: that within its table',   user: `use_linux_sandbox_bwrap = true\n${OFF}`,             overrides: [],                                           backend: undefined },
  ])('$name: $backend', async ({ user, overrides, backend }) => {
    expect((await configPlace({ [USER]: user }).load({ overrides })).backend).toBe(backend)
  })

  test('a project never says it', async () => {
    const { backend, warnings } = await configPlace({ [USER]: TRUSTED, [PROJECT]: ON }).load()
    expect({ backend, told: warnings.some(({ key }) => key === 'features.use_linux_sandbox_bwrap') }).toEqual({ backend: undefined, told: true })
  })
  test('on another system it has no effect, and that is told', async () => {
    const { backend, warnings } = await configPlace({ [USER]: ON }).load({ platform: 'windows' })
    expect({ backend, warnings: warnings.map(({ key, text }) => `${key} ${text}`) }).toEqual({ backend: undefined, warnings: ['features.use_linux_sandbox_bwrap has no effect: it is about Linux'] })
  })
  test('what is no switch is an error', async () => {
    await expect(configPlace({ [USER]: 'use_linux_sandbox_bwrap = "yes"\n' }).load()).rejects.toMatchObject({ code: 'config_invalid', field: 'features.use_linux_sandbox_bwrap' })
  })
})

test('a program that asks for the policy alone is told what to give', async () => {
  const place = configPlace({ [USER]: ON })
  const notices: string[] = []
  await loadPolicy({ codexHome: place.codexHome, cwd: place.project, systemFolder: place.system, env: { HOME: place.home }, onNotice: notice => notices.push(notice) })
  expect(notices).toEqual(['features.use_linux_sandbox_bwrap is no part of a policy: give createSandbox backend: \'linux-bwrap\''])
})
