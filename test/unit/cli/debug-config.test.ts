// What `debug-config` prints: each value with its layer, what requirements changed, and no secret.
import { afterEach, describe, expect, test, vi } from 'vitest'
import { describeConfig, formatConfig } from '../../../src/cli/debug-config.js'
import { parsePolicy } from '../../../src/policy/parse.js'
import { configPlace, TRUSTED } from '../../support/config-place.js'

const USER = 'home/.codex/config.toml'
afterEach(() => void vi.unstubAllEnvs())

const everything = () => configPlace({
  [USER]: `sandbox_mode = "danger-full-access"\nmodel = "o9"\n[mcp_servers.x.env]\nAPI_KEY = "hunter2"\n[shell_environment_policy.set]\nMY_TOKEN = "hunter2"\nCOLOR = "red"\n[profiles.p]\napproval_policy = "never"\n${TRUSTED}`,
  'project/.codex/config.toml': 'approval_policy = "on-request"\nbackground_terminal_max_timeout = 5\n',
  'system/requirements.toml': 'allowed_sandbox_modes = ["read-only", "workspace-write"]\nenforce_residency = "us"\n[network]\nhttp_port = 3128\n',
})

describe('the text', () => {
  test('names layers, values, sources and changes', async () => {
    const place = everything()
    const text = formatConfig(await place.load({ profile: 'p', overrides: ['allow_login_shell=false'] })).replaceAll(place.folder, '')
    const [layers, values, requirements, notices] = text.split('\n\n')
    expect(layers?.split('\n')).toEqual(['Layers, the stronger below:', '  built-in', '  user /home/.codex/config.toml', '  profile p /home/.codex/config.toml', '  project /project/.codex/config.toml', '  session-flags'])
    const lines = values?.split('\n').map(line => line.replaceAll(/ {2,}/g, '  ').trim()) ?? []
    expect(lines).toEqual(expect.arrayContaining([
      'sandbox_mode = "workspace-write"  /system/requirements.toml',
      'user /home/.codex/config.toml says "danger-full-access"; allowed_sandbox_modes is ["read-only","workspace-write"]',
      'approval_policy = "never"  profile p /home/.codex/config.toml',
      'allow_login_shell = false  session-flags',
      'background_terminal_max_timeout = 5  project /project/.codex/config.toml',
      'shell_environment_policy.inherit = "all"  built-in',
      'shell_environment_policy.set.COLOR = "red"  user /home/.codex/config.toml',
      'keys that have no part here: model, mcp_servers',
    ]))
    expect(requirements?.split('\n').slice(0, 3)).toEqual(['Requirements:', '  allowedSandboxModes ["read-only","workspace-write"]  /system/requirements.toml', '  network {"httpPort":3128}  /system/requirements.toml'])
    expect(notices).toContain('approval_policy is ignored: a project may only narrow (/project/.codex/config.toml)')
  })
  test('a project that is not trusted, and how to trust it', async () => {
    const place = configPlace({ 'project/.codex/config.toml': '' })
    expect(formatConfig(await place.load())).toContain(`  project ${place.project}/.codex/config.toml (not read: the project is not trusted: say so in config.toml, projects.${JSON.stringify(place.project)}.trust_level = "trusted")`)
  })
  test('nothing configured', async () => {
    const text = formatConfig(await configPlace().load())
    expect(text).toContain('No requirements.')
    expect(text).toContain('sandbox_mode = "read-only"')
    expect(text).not.toContain('Not as it was written')
  })
})

describe('the object', () => {
  test('explains every value: those of the tables that are known here, and those that requirements add', async () => {
    const place = everything()
    const { values } = describeConfig(await place.load())
    expect(values.every(({ key, layer }) => key !== '' && layer !== '')).toBe(true)
    expect(values).toContainEqual({ key: 'sandbox_mode', value: 'workspace-write', layer: 'user', path: `${place.codexHome}/config.toml`, said: 'danger-full-access', because: 'allowed_sandbox_modes is ["read-only","workspace-write"]', requirement: `${place.system}/requirements.toml` })
    const bounded = configPlace({ [USER]: 'network.enabled = true\n', 'system/requirements.toml': 'network.allowed_domains = ["a.org"]\n' })
    expect(describeConfig(await bounded.load()).values).toContainEqual(expect.objectContaining({ key: 'network.allowed_domains', value: ['a.org'], layer: 'requirements', requirement: `${bounded.system}/requirements.toml` }))
  })
  test('its policy is the one that holds, and --policy takes it', async () => {
    const place = configPlace({ [USER]: 'sandbox_mode = "workspace-write"\nnetwork = { enabled = true, denied_domains = ["a.org"], allow_unix_sockets = ["/run/x"] }\n' })
    vi.stubEnv('CODEX_HOME', place.codexHome)
    const loaded = await place.load()
    expect(parsePolicy(JSON.parse(JSON.stringify(describeConfig(loaded).policy)))).toEqual(loaded.policy())
  })
})

test.each(['text', 'object'])('the %s holds no value of keys that are not known here, and none of a variable that is called like a secret', async form => {
  const loaded = await everything().load()
  const printed = form === 'text' ? formatConfig(loaded) : JSON.stringify(describeConfig(loaded))
  expect(printed).not.toContain('hunter2')
  expect(printed).toContain('MY_TOKEN')
  expect(printed).toContain('mcp_servers')
})
