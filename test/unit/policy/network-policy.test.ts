// The table of docs/network.md: what the fields that speak of the network make together, in every spelling.
import { describe, expect, test } from 'vitest'
import { SandboxError } from '../../../src/errors.js'
import { DOMAIN_PRESETS, describePreset, expandDomains } from '../../../src/policy/domain-presets.js'
import { parseConfigPolicy, parsePolicy } from '../../../src/policy/parse.js'
import type { PolicyObject } from '../../../src/policy/schema.js'

const HOSTS = ['example.com', '*.example.org:443']

/** `off`, `proxied`, `open`, or the field that contradicts another. */
function outcome(read: () => { readonly network: string } | undefined): string {
  try {
    return read()?.network ?? 'nothing'
  } catch (error) {
    if (!(error instanceof SandboxError)) throw error
    return `${error.code} at ${error.field}`
  }
}

const against = (field: string): string => `policy_contradiction at ${field}`

describe('each combination is off, proxied, open, or an error that names the field', () => {
  test.each<[PolicyObject, string]>([
    [{}, 'off'],
    [{ networkAccess: false }, 'off'],
    [{ networkAccess: true }, 'open'],
    [{ network: 'off' }, 'off'],
    [{ network: false }, 'off'],
    [{ network: 'open' }, 'open'],
    [{ network: true, networkAccess: true }, 'open'],
    [{ network: 'proxied' }, 'proxied'],
    [{ network: 'proxied', networkAccess: true }, 'proxied'],
    [{ network: { enabled: false } }, 'off'],
    [{ network: { enabled: true } }, 'open'],
    [{ network: { enabled: true, allowedDomains: HOSTS } }, 'proxied'],
    [{ network: { enabled: true, allowedDomains: [] } }, 'proxied'],
    [{ network: { enabled: true, deniedDomains: HOSTS } }, 'proxied'],
    [{ network: { enabled: true, deniedDomains: [] } }, 'open'],
    [{ network: { enabled: true, mode: 'limited' } }, 'proxied'],
    [{ network: { enabled: true, mode: 'full' } }, 'open'],
    [{ network: { allowedDomains: HOSTS } }, 'proxied'],
    [{ network: { allowedDomains: [] } }, 'proxied'],
    [{ network: { deniedDomains: HOSTS } }, 'proxied'],
    [{ network: { mode: 'limited' } }, 'proxied'],
    [{ network: { domains: { 'example.com': 'allow', 'x.example.com': 'deny' } } }, 'proxied'],
    [{ networkAccess: true, network: { allowedDomains: HOSTS } }, 'proxied'],
    [{ network: { enabled: false, allowedDomains: [] } }, 'off'],
    [{ network: { enabled: false, deniedDomains: HOSTS } }, 'off'],
    [{ networkAccess: false, network: { mode: 'limited' } }, 'off'],
    [{ network: { allowUnixSockets: ['/run/x.sock'] } }, 'off'],
    [{ network: { allowLocalPorts: [5432] } }, 'off'],
    [{ network: { allowLocalBinding: true } }, 'off'],
    [{ network: { httpPort: 3128 } }, 'off'],
    [{ networkAccess: true, network: { allowUnixSockets: ['/run/x.sock'] } }, 'open'],

    [{ network: 'off', networkAccess: true }, against('networkAccess')],
    [{ network: 'proxied', networkAccess: false }, against('networkAccess')],
    [{ network: { enabled: true }, networkAccess: false }, against('networkAccess')],
    [{ network: { enabled: false }, networkAccess: true }, against('networkAccess')],
    [{ network: { enabled: false, allowedDomains: HOSTS } }, against('network.allowedDomains')],
    [{ networkAccess: false, network: { allowedDomains: HOSTS } }, against('network.allowedDomains')],
    [{ network: { domains: { x: 'allow' }, allowedDomains: HOSTS } }, against('network.domains')],
    [{ network: { unixSockets: { '/x': 'allow' }, allowUnixSockets: ['/y'] } }, against('network.unixSockets')],
    [{ networkAccess: true, network: { allowLocalPorts: [5432] } }, against('network.allowLocalPorts')],
    [{ network: { allowedDomains: HOSTS, httpPort: 5432, allowLocalPorts: [5432] } }, against('network.httpPort')],
  ])('%j: %s', (input, expected) => {
    expect(outcome(() => parsePolicy(input))).toBe(expected)
  })
})

describe('in config.toml the keys are snake_case', () => {
  test.each<[object, string]>([
    [{ sandbox_mode: 'workspace-write', network: { allowed_domains: HOSTS } }, 'proxied'],
    [{ sandbox_mode: 'workspace-write', sandbox_workspace_write: { network_access: true }, network: { allowed_domains: HOSTS } }, 'proxied'],
    [{ sandbox_mode: 'workspace-write', sandbox_workspace_write: { network_access: true } }, 'open'],
    [{ sandbox_mode: 'workspace-write', sandbox_workspace_write: { network_access: false }, network: { allowed_domains: HOSTS } }, against('network.allowed_domains')],
    [{ sandbox_mode: 'workspace-write', sandbox_workspace_write: { network_access: false }, network: { enabled: true } }, against('sandbox_workspace_write.network_access')],
    [{ sandbox_mode: 'read-only', network: { enabled: true } }, 'open'],
    [{ sandbox_mode: 'danger-full-access', network: { allowed_domains: HOSTS } }, against('network')],
    [{ sandbox_mode: 'read-only', network: { allowedDomains: HOSTS } }, 'policy_unknown_key at network.allowedDomains'],
    [{ sandbox_mode: 'read-only', network: { enabled: false, allowed_domains: ['x'] } }, against('network.allowed_domains')],
    [{ sandbox_mode: 'read-only', network: { allowed_domains: ['@nmp'] } }, 'policy_invalid_value at network.allowed_domains[0]'],
  ])('%j: %s', (input, expected) => {
    expect(outcome(() => parseConfigPolicy(input))).toBe(expected)
  })

  test('every key', () => {
    const given = {
      enabled: true, mode: 'limited', allowed_domains: ['@pypi', 'a.org'], denied_domains: ['b.org'], allow_unix_sockets: ['/run/x'], dangerously_allow_all_unix_sockets: true,
      dangerously_allow_docker_socket: true, allow_local_ports: [6379, 5432, 5432], allow_local_binding: true, allow_upstream_proxy: true, http_port: 3128, socks_port: 1080,
    }
    expect(parseConfigPolicy({ sandbox_mode: 'read-only', network: given })).toMatchObject({
      network: 'proxied',
      networkRules: {
        mode: 'limited', allowedDomains: ['pypi.org:443', 'files.pythonhosted.org:443', 'a.org'], deniedDomains: ['b.org'], allowUnixSockets: ['/run/x'], dangerouslyAllowAllUnixSockets: true,
        dangerouslyAllowDockerSocket: true, allowLocalPorts: [5432, 6379], allowLocalBinding: true, allowUpstreamProxy: true, httpPort: 3128, socksPort: 1080,
      },
    })
  })
})

test('maps of the later spelling are the same lists', () => {
  expect(parsePolicy({ network: { domains: { 'a.org': 'allow', 'b.org': 'deny', 'c.org': 'allow' }, unixSockets: { '/run/a': 'allow', '/run/b': 'none' } } }).networkRules)
    .toEqual(parsePolicy({ network: { allowedDomains: ['a.org', 'c.org'], deniedDomains: ['b.org'], allowUnixSockets: ['/run/a'] } }).networkRules)
})

describe('presets of hosts', () => {
  test('stand for their hosts, once each', () => {
    expect(expandDomains(['@npm', 'x.org', '@npm'], 'f')).toEqual([...DOMAIN_PRESETS.npm.hosts, 'x.org'])
  })
  test('an unknown one is an error with the nearest name', () => {
    expect(() => expandDomains(['x', '@pypy'], 'network.allowedDomains')).toThrowError(/network\.allowedDomains\[1\] "@pypy" is not valid here: the presets are @npm, .*Did you mean "@pypi"\?/)
  })
  test('are printed with version, hosts and what to know', () => {
    expect(describePreset('@go', 'explain')).toBe([
      '@go (version 1): modules of Go, and their checksums', '  proxy.golang.org:443', '  sum.golang.org:443',
      'large modules may be redirected to storage.googleapis.com, where anybody\'s data lies: allow it by name if you have to.',
    ].join('\n'))
  })
})
