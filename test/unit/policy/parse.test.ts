import { describe, expect, test } from 'vitest'
import { parseConfigPolicy, parsePolicy, parseWirePolicy } from '../../../src/policy/parse.js'
import { presetPolicy, SANDBOX_MODES } from '../../../src/policy/presets.js'
import type { SandboxPolicy } from '../../../src/policy/sandbox-policy.js'

const reference = (mode: SandboxPolicy['mode'], rest: Partial<SandboxPolicy> = {}): SandboxPolicy => ({ ...presetPolicy(mode, 'reference'), ...rest })
const library = (rest: Partial<SandboxPolicy> = {}): SandboxPolicy => ({ ...presetPolicy('workspace-write', 'library'), ...rest })
const restricted = (readableRoots: string[], includePlatformDefaults = true) => ({ kind: 'restricted', includePlatformDefaults, readableRoots }) as const

test.each(SANDBOX_MODES)('the preset %s has the library defaults', mode => {
  expect(parsePolicy(mode)).toEqual(presetPolicy(mode, 'library'))
})

describe('the wire', () => {
  test.each([
    [{ type: 'dangerFullAccess' }, reference('danger-full-access')],
    [{ type: 'readOnly' }, reference('read-only')],
    [{ type: 'readOnly', networkAccess: true, access: { type: 'fullAccess' } }, reference('read-only', { network: 'open' })],
    [{ type: 'readOnly', access: { type: 'restricted' } }, reference('read-only', { readAccess: restricted([]) })],
    [{ type: 'readOnly', access: { type: 'restricted', includePlatformDefaults: false, readableRoots: ['/r'] } }, reference('read-only', { readAccess: restricted(['/r'], false) })],
    [{ type: 'externalSandbox' }, reference('external-sandbox')],
    [{ type: 'externalSandbox', networkAccess: 'enabled' }, reference('external-sandbox', { network: 'open' })],
    [{ type: 'workspaceWrite' }, reference('workspace-write')],
    [
      { type: 'workspaceWrite', writableRoots: ['/a', '~/b'], networkAccess: true, excludeTmpdirEnvVar: true, excludeSlashTmp: true, readOnlyAccess: { type: 'restricted' } },
      reference('workspace-write', { writableRoots: ['/a', '~/b'], network: 'open', excludeTmpdirEnvVar: true, excludeSlashTmp: true, readAccess: restricted([]) }),
    ],
  ])('%j', (input, expected) => {
    expect(parsePolicy(input)).toEqual(expected)
  })
})

describe('the core', () => {
  test.each([
    [{ type: 'danger-full-access' }, reference('danger-full-access')],
    [{ type: 'read-only', network_access: true, access: { type: 'restricted', include_platform_defaults: false, readable_roots: ['/r'] } }, reference('read-only', { network: 'open', readAccess: restricted(['/r'], false) })],
    [{ type: 'external-sandbox', network_access: 'enabled' }, reference('external-sandbox', { network: 'open' })],
    [{ type: 'workspace-write', writable_roots: ['/a'], network_access: true, exclude_tmpdir_env_var: true, exclude_slash_tmp: true }, reference('workspace-write', { writableRoots: ['/a'], network: 'open', excludeTmpdirEnvVar: true, excludeSlashTmp: true })],
  ])('%j', (input, expected) => {
    expect(parseWirePolicy(input)).toEqual(expected)
  })
})

describe('config.toml', () => {
  test.each([
    [{}, reference('read-only')],
    [{ sandbox_mode: 'workspace-write' }, reference('workspace-write')],
    [{ sandbox_mode: 'read-only', sandbox_workspace_write: { network_access: true } }, reference('read-only')],
    [{ shell_environment_policy: { inherit: 'core', ignore_default_excludes: false, exclude: ['A*'], set: { B: '1' }, include_only: ['PATH', 'B'] } },
      reference('read-only', { env: { inherit: 'core', keep: [], exclude: ['A*'], set: { B: '1' }, only: ['PATH', 'B'], dropSecrets: true } })],
    [{ sandbox_mode: 'workspace-write', shell_environment_policy: { ignore_default_excludes: true, experimental_use_profile: false } }, reference('workspace-write')],
    [{ sandbox_mode: 'workspace-write', sandbox_workspace_write: { writable_roots: ['a', '../b', '/c'], network_access: true, exclude_slash_tmp: true } }, reference('workspace-write', { writableRoots: ['/etc/codex/a', '/etc/b', '/c'], network: 'open', excludeSlashTmp: true })],
  ])('%j', (input, expected) => {
    expect(parseConfigPolicy(input, '/etc/codex')).toEqual(expected)
  })
})

describe('the form in code', () => {
  test.each([
    [{}, library()],
    [{ mode: 'read-only', write: ['/w'] }, { ...presetPolicy('read-only', 'library'), write: ['/w'] }],
    [{ networkAccess: true }, library({ network: 'open' })],
    [{ network: 'open' }, library({ network: 'open' })],
    [{ network: false, networkAccess: 'restricted' }, library()],
    [{ network: { enabled: true } }, library({ network: 'open' })],
    [{ denySecrets: false }, library({ denySecrets: false })],
    [{ denySecrets: { except: ['~/.npmrc'] } }, library({ denySecrets: { except: ['~/.npmrc'] } })],
    [{ caches: 'private', tmp: 'none', git: 'commits', protect: ['.vscode', 'a/b'] }, library({ caches: 'private', tmp: 'none', git: 'commits', protect: ['.vscode', 'a/b'] })],
    [{ limits: { pids: 5, memoryBytes: undefined } }, library({ limits: { pids: 5 } })],
    [{ env: { inherit: 'core', set: { A: '1' } } }, library({ env: { inherit: 'core', keep: [], exclude: [], set: { A: '1' }, dropSecrets: true } })],
    [{ readOnlyAccess: { type: 'restricted', readableRoots: ['/r'] } }, library({ readAccess: restricted(['/r']) })],
    [{ mode: 'danger-full-access', denySecrets: false, env: { inherit: 'none' } }, { ...presetPolicy('danger-full-access', 'library'), env: { inherit: 'none', keep: [], exclude: [], set: {}, dropSecrets: false } }],
  ])('%j', (input, expected) => {
    expect(parsePolicy(input)).toEqual(expected)
  })
})

test.each([
  [{ type: 'workspaceWrite', writeableRoots: ['/a'] }, 'writeableRoots', 'Did you mean "writableRoots"?'],
  [{ type: 'workspace-write', writableRoots: ['/a'] }, 'writableRoots', 'Did you mean "writable_roots"?'],
  [{ type: 'readOnly', access: { type: 'restricted', readableRoot: [] } }, 'access.readableRoot', 'Did you mean "readableRoots"?'],
  [{ sandbox_mode: 'workspace-write', sandbox_workspace_write: { exclude_tmp: true } }, 'sandbox_workspace_write.exclude_tmp', 'exclude_slash_tmp'],
  [{ sandbox_mode: 'read-only', model: 'x' }, 'model', 'Known here: sandbox_mode, sandbox_workspace_write, shell_environment_policy, network.'],
  [{ limits: { memoryByte: 5 } }, 'limits.memoryByte', 'Did you mean "memoryBytes"?'],
  [{ denySecrets: { excpet: [] } }, 'denySecrets.excpet', 'Did you mean "except"?'],
  [{ network: { allowedDomain: [] } }, 'network.allowedDomain', 'Did you mean "allowedDomains"?'],
  [{ dney: ['/x'] }, 'dney', 'Did you mean "deny"?'],
  [{ mode: 'nonsense', dney: ['/x'] }, 'dney', 'Did you mean "deny"?'],
])('an unknown key is named in full, with the nearest known one: %j', (input, field, words) => {
  expect(() => parsePolicy(input)).toThrowError(expect.objectContaining({ code: 'policy_unknown_key', field, message: expect.stringContaining(words) }))
})

test('an unknown key is told by its name alone, whatever its value', () => {
  expect(() => parsePolicy({ mod: 'x' })).toThrowError('mod is not a known key. Did you mean "mode"?')
})

test.each([
  [{ sandbox_mode: 'foo' }, 'it must be one of read-only, workspace-write, danger-full-access.'],
  [{ sandbox_mode: 'workspace-write', sandbox_workspace_write: { network_access: 'yes' } }, 'it must be true or false.'],
  [{ network: 'yes' }, 'it must be true or false, or one of off, proxied, open, or an object.'],
  [{ type: 'workspaceWrite', readOnlyAccess: { type: 'x' } }, 'it must be one of fullAccess, restricted.'],
  [{ write: 'x' }, 'it must be a list.'],
  [{ write: [''] }, 'it must not be empty.'],
  [{ write: [1] }, 'it must be a text.'],
  [{ limits: 1 }, 'it must be an object.'],
  [{ limits: { pids: 0 } }, 'it must be more than 0.'],
  [{ limits: { pids: 1.5 } }, 'it must be a whole number.'],
  [{ limits: { fileSizeBytes: -1 } }, 'it must be 0 or more.'],
  [{ env: { keep: ['a=b'] } }, 'it must be a variable name without "=" and NUL.'],
])('%j: what it must be is said in our words', (input, words) => {
  expect(() => parsePolicy(input)).toThrowError(`is not valid here: ${words}`)
})

test.each([
  ['workspace-wirte', 'policy_invalid_value', 'policy'],
  [undefined, 'policy_invalid_value', 'policy'],
  [null, 'policy_invalid_value', 'policy'],
  [5, 'policy_invalid_value', 'policy'],
  [[], 'policy_invalid_value', 'policy'],
  [{ type: 'readonly' }, 'policy_invalid_value', 'type'],
  [{ type: 7 }, 'policy_invalid_value', 'type'],
  [{ type: 'constructor' }, 'policy_invalid_value', 'type'],
  [{ type: 'workspaceWrite', networkAccess: 'enabled' }, 'policy_invalid_value', 'networkAccess'],
  [{ type: 'workspaceWrite', writableRoots: '/a' }, 'policy_invalid_value', 'writableRoots'],
  [{ type: 'workspaceWrite', writableRoots: ['/a', 5] }, 'policy_invalid_value', 'writableRoots[1]'],
  [{ type: 'workspaceWrite', writableRoots: ['/a', ''] }, 'policy_invalid_value', 'writableRoots[1]'],
  [{ type: 'workspaceWrite', writableRoots: ['/a', 'b'] }, 'path_not_absolute', 'writableRoots[1]'],
  [{ type: 'readOnly', access: { type: 'restricted', readableRoots: ['r'] } }, 'path_not_absolute', 'access.readableRoots[0]'],
  [{ sandbox_mode: 'external-sandbox' }, 'policy_invalid_value', 'sandbox_mode'],
  [{ sandbox_mode: 'workspace-write', sandbox_workspace_write: { writable_roots: ['a'] } }, 'path_not_absolute', 'sandbox_workspace_write.writable_roots[0]'],
  [{ shell_environment_policy: { experimental_use_profile: true } }, 'rule_not_enforceable', 'shell_environment_policy.experimental_use_profile'],
  [{ mode: 'read-only', writableRoots: [] }, 'policy_contradiction', 'writableRoots'],
  [{ mode: 'danger-full-access', deny: ['/x'] }, 'policy_contradiction', 'deny'],
  [{ mode: 'danger-full-access', network: 'off' }, 'policy_contradiction', 'network'],
  [{ mode: 'external-sandbox', denySecrets: true }, 'policy_contradiction', 'denySecrets'],
  [{ network: 'open', networkAccess: false }, 'policy_contradiction', 'networkAccess'],
  [{ access: { type: 'fullAccess' }, readOnlyAccess: { type: 'fullAccess' } }, 'policy_contradiction', 'access'],
  [{ network: { mode: 'open' } }, 'policy_invalid_value', 'network.mode'],
  [{ network: { allowLocalPorts: [0] } }, 'policy_invalid_value', 'network.allowLocalPorts[0]'],
  [{ mode: 'danger-full-access', network: { allowedDomains: ['x.org'] } }, 'policy_contradiction', 'network'],
  [{ protect: ['/abs'] }, 'policy_invalid_value', 'protect[0]'],
  [{ protect: ['a', '../b'] }, 'policy_invalid_value', 'protect[1]'],
  [{ protect: ['.'] }, 'policy_invalid_value', 'protect[0]'],
  [{ protect: ['a\nb'] }, 'policy_invalid_value', 'protect[0]'],
  [{ protect: ['*.lock'] }, 'glob_invalid', 'protect[0]'],
  [{ limits: { pids: 0 } }, 'policy_invalid_value', 'limits.pids'],
  [{ limits: { pids: 1.5 } }, 'policy_invalid_value', 'limits.pids'],
  [{ env: { set: { 'A=B': 'x' } } }, 'policy_invalid_value', 'env.set.A=B'],
  [{ env: { set: { A: 'x\0' } } }, 'policy_invalid_value', 'env.set.A'],
  [{ denySecrets: 'yes' }, 'policy_invalid_value', 'denySecrets'],
])('%j is refused: %s at %s', (input, code, field) => {
  expect(() => parsePolicy(input)).toThrowError(expect.objectContaining({ code, field }))
})
