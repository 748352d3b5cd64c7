import fc from 'fast-check'
import { parse } from 'smol-toml'
import { expect, test } from 'vitest'
import { policyJson, policyToml } from '../../../src/learn/policy-text.js'
import { parseConfigPolicy, parsePolicy } from '../../../src/policy/parse.js'
import { presetPolicy } from '../../../src/policy/presets.js'
import type { SandboxPolicy } from '../../../src/policy/sandbox-policy.js'

const paths = fc.uniqueArray(fc.constantFrom('/srv/a', '/srv/b c', '/x/\\*y', '~/z'), { maxLength: 3 })
const policies: fc.Arbitrary<SandboxPolicy> = fc.record({
  mode: fc.constantFrom('read-only', 'workspace-write'),
  roots: paths, read: paths, write: paths, deny: paths, protect: fc.constantFrom<string[]>([], ['vendor']),
  flags: fc.tuple(fc.boolean(), fc.boolean(), fc.boolean(), fc.boolean()),
  restricted: fc.boolean(), tmp: fc.constantFrom('host', 'private', 'none'),
}).map(({ mode, roots, read, write, deny, protect, flags: [tmpdir, slashTmp, open, commits], restricted, tmp }) => ({
  ...presetPolicy(mode as 'read-only', 'library'),
  ...(mode === 'workspace-write' ? { writableRoots: roots, excludeTmpdirEnvVar: tmpdir, excludeSlashTmp: slashTmp } : {}),
  read, write, deny, protect, tmp: tmp as 'host', network: open ? 'open' : 'off', git: commits ? 'commits' : 'protected', limits: open ? { pids: 7 } : {},
  ...(restricted ? { readAccess: { kind: 'restricted', includePlatformDefaults: commits, readableRoots: ['/srv'] } } : {}),
} as SandboxPolicy))

test('as JSON a policy is read back as the same', () => {
  fc.assert(fc.property(policies, policy => { expect(parsePolicy(JSON.parse(policyJson(policy)))).toEqual(policy) }))
})

test('no more stands there than differs from the mode', () => {
  expect(policyJson(presetPolicy('workspace-write', 'library'))).toBe('{\n  "mode": "workspace-write"\n}\n')
})

test('as config.toml it is read, with all roots and the network; what it cannot say is a comment', () => {
  fc.assert(fc.property(policies, policy => {
    const text = policyToml(policy)
    const read = parseConfigPolicy(parse(text))
    expect(read.network).toBe(policy.network)
    expect(read.writableRoots).toEqual([...policy.writableRoots, ...policy.write.map(path => path.replace('\\*', '*'))])
    if (policy.mode === 'workspace-write') expect([read.excludeSlashTmp, read.excludeTmpdirEnvVar]).toEqual([policy.excludeSlashTmp, policy.excludeTmpdirEnvVar])
    for (const [key, value] of Object.entries({ git: policy.git === 'commits', deny: policy.deny.length > 0, readAccess: policy.readAccess.kind === 'restricted' })) {
      expect(text.includes(`no key for it: ${key} = `)).toBe(value)
    }
  }))
})

test('roots of a read-only policy make it wider there, and it is said', () => {
  expect(policyToml({ ...presetPolicy('read-only', 'library'), write: ['/srv'] })).toContain('# wider than what was learned')
})

test.each(([
  'off', 'open', 'proxied', { allowedDomains: ['a.org:443', '@npm'] }, { allowedDomains: [] }, { deniedDomains: ['b.org'] }, { mode: 'limited' }, { strictAllowlist: true },
  { allowUnixSockets: ['/run/x'] }, { enabled: true, allowUnixSockets: ['/run/x'] }, { allowLocalPorts: [5432] }, { allowedDomains: ['a.org'], allowLocalPorts: [5432], httpPort: 8080, allowUpstreamProxy: true },
] as const).flatMap(network => (['read-only', 'workspace-write'] as const).map(mode => ({ mode, network }))))('the network %j is read back from config.toml as the same', ({ mode, network }) => {
  const policy = parsePolicy({ mode, network })
  const text = policyToml(policy)
  const read = parseConfigPolicy(parse(text))
  expect([read.network, read.networkRules]).toEqual([policy.network, policy.networkRules])
  // What the proxy alone lets out needs no wider mode there.
  expect([read.mode, text.includes('wider')]).toEqual(policy.network === 'open' ? ['workspace-write', mode === 'read-only'] : [mode, false])
})
