// The settings of sandbox-runtime as a policy: complete against its schema, and never weaker than they were.
import fc from 'fast-check'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { dirname, join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { SRT_FILE_KEYS, SRT_KEYS, SRT_VARIABLE_KEYS } from '../../../src/config/srt-keys.js'
import { convertSrtSettings } from '../../../src/config/srt-settings.js'
import { decide } from '../../../src/policy/decide.js'
import type { HostSnapshot } from '../../../src/policy/host-snapshot.js'
import { parsePolicy } from '../../../src/policy/parse.js'
import { resolve } from '../../../src/policy/resolve.js'
import { fakeHost, symlink, type Tree } from '../../support/fake-host.js'

/** By a name that the compiler does not follow: the package's types need others that are not installed. */
const PACKAGE: string = '@anthropic-ai/sandbox-runtime'
const { SandboxRuntimeConfigSchema } = await import(PACKAGE) as { SandboxRuntimeConfigSchema: Schema & { safeParse(value: unknown): { success: boolean } } }

interface Settings {
  network?: object
  filesystem?: { denyRead?: string[]; allowRead?: string[]; allowWrite?: string[]; denyWrite?: string[]; [key: string]: unknown }
  [key: string]: unknown
}
const settings = ({ network, filesystem, ...others }: Settings = {}) => ({
  network: { allowedDomains: [], deniedDomains: [], ...network }, filesystem: { denyRead: [], allowWrite: [], denyWrite: [], ...filesystem }, ...others,
})

const TREE: Tree = {
  w: {
    a: { b: { f: '', '.vscode': { s: '' } }, '.env': '', 'c.pem': '', node_modules: { '.bashrc': '' }, sub: { '.git': { config: '', hooks: { h: '' } } } },
    '.env': '', secrets: { k: '', pub: { p: '' } }, '.mcp.json': '', '.git': { config: '', hooks: {}, HEAD: 'ref: refs/heads/main', objects: {}, refs: {} }, link: symlink('/o/target'),
  },
  start: {}, o: { target: { t: '' } }, tmp: { claude: {}, other: '' }, home: { user: { '.ssh': { id: '' }, x: '' } },
}
const host = fakeHost(TREE, { cwd: '/w', home: '/home/user' })
const convert = (input: unknown, on: HostSnapshot = host, env = {}) => convertSrtSettings(input, on, env)

/** What a policy allows on the fake machine, by path. */
function effects(input: Settings, paths: readonly string[], on: HostSnapshot = host): Record<string, string> {
  const policy = resolve(parsePolicy(convert(settings(input), on).policy), on, { cwd: '/start' })
  const may = (kind: 'read' | 'write', path: string) => decide(policy, { kind, path }).verdict === 'allow'
  return Object.fromEntries(paths.map(path => [path, `${may('read', path) ? 'r' : '-'}${may('write', path) ? 'w' : '-'}`]))
}

describe('the table of keys', () => {
  test('has every key of the schema of the installed version, and no other', () => {
    expect(SRT_KEYS.map(({ key }) => key).sort()).toEqual(keysOf(SandboxRuntimeConfigSchema, SRT_KEYS.map(({ key }) => key)).sort())
  })
  test.each([
    { list: 'files',   known: SRT_FILE_KEYS },
    { list: 'envVars', known: SRT_VARIABLE_KEYS },
  ])('has every key of a credential in $list', ({ list, known }) => {
    expect([...known].sort()).toEqual(shapeOf(elementOf(shapeOf(shapeOf(SandboxRuntimeConfigSchema)['credentials'])[list])).map(([key]) => key).sort())
  })
  test.each(SRT_KEYS.filter(({ required }) => required))('$key is required there too', ({ key }) => {
    const [section, name] = key.split('.') as ['network' | 'filesystem', string]
    const without = settings()
    delete (without[section] as Record<string, unknown>)[name]
    expect(SandboxRuntimeConfigSchema.safeParse(without).success).toBe(false)
    expect(() => convert(without)).toThrow(expect.objectContaining({ code: 'policy_invalid_value', field: key }))
  })
})

describe('a key that no rule stands for is a note', () => {
  test.each([
    [{ network: { allowedDomains: ['example.com'] } },          'network.allowedDomains', 'stricter'],
    [{ network: { deniedDomainReasons: { 'a.b': 'x' } } },      'network.deniedDomainReasons', 'unused'],
    [{ network: { allowUnixSockets: ['/run/docker.sock'] } },   'network.allowUnixSockets', 'stricter'],
    [{ network: { allowAllUnixSockets: true } },                'network.allowAllUnixSockets', 'stricter'],
    [{ network: { allowLocalBinding: true } },                  'network.allowLocalBinding', 'same'],
    [{ network: { allowLocalBinding: false } },                 'network.allowLocalBinding', 'same'],
    [{ network: { allowMachLookup: ['x.*'] } },                 'network.allowMachLookup', 'stricter'],
    [{ network: { httpProxyPort: 8080 } },                      'network.httpProxyPort', 'stricter'],
    [{ network: { socksProxyPort: 8080 } },                     'network.socksProxyPort', 'stricter'],
    [{ network: { mitmProxy: { socketPath: '/s', domains: ['a.b'] } } }, 'network.mitmProxy', 'stricter'],
    [{ network: { filterRequest: () => ({ action: 'allow' }) } }, 'network.filterRequest', 'stricter'],
    [{ network: { tlsTerminate: {} } },                         'network.tlsTerminate', 'stricter'],
    [{ network: { parentProxy: { http: 'http://p' } } },        'network.parentProxy', 'stricter'],
    [{ filesystem: { allowGitConfig: true } },                  'filesystem.allowGitConfig', 'stricter'],
    [{ filesystem: { allowWrite: ['/w/*.log'] } },              'filesystem.allowWrite', 'stricter'],
    [{ filesystem: { denyRead: ['/w/**'], allowRead: ['/w/*.md'] } }, 'filesystem.allowRead', 'stricter'],
    [{ filesystem: { denyRead: ['**/*.pem'] } },                'filesystem.denyRead', 'weaker'],
    [{ credentials: { files: [{ path: '~/.netrc', mode: 'mask' }] } }, 'credentials.files[0]', 'stricter'],
    [{ credentials: { envVars: [{ name: 'A', mode: 'deny' }, { name: 'T', mode: 'mask', injectHosts: ['a.b'] }] } }, 'credentials.envVars[1]', 'stricter'],
    [{ credentials: { allowPlaintextInject: true } },           'credentials.allowPlaintextInject', 'unused'],
    [{ credentials: { awsPairs: [{ accessKeyIdVar: 'A', secretAccessKeyVar: 'B' }] } }, 'credentials.awsPairs', 'unused'],
    [{ credentials: { sigv4: { streaming: 'deny' } } },         'credentials.sigv4', 'unused'],
    [{ ignoreViolations: { '*': ['/usr'] } },                   'ignoreViolations', 'unused'],
    [{ enableWeakerNestedSandbox: true },                       'enableWeakerNestedSandbox', 'stricter'],
    [{ enableWeakerNetworkIsolation: true },                    'enableWeakerNetworkIsolation', 'stricter'],
    [{ allowAppleEvents: true },                                'allowAppleEvents', 'stricter'],
    [{ ripgrep: { command: 'rg' } },                            'ripgrep', 'unused'],
    [{ allowPty: true },                                        'allowPty', 'same'],
    [{ seccomp: { applyPath: '/x' } },                          'seccomp', 'unused'],
    [{ bwrapPath: '/x' },                                       'bwrapPath', 'unused'],
    [{ socatPath: '/x' },                                       'socatPath', 'unused'],
    [{ javaAgentJarPath: '/x' },                                'javaAgentJarPath', 'unused'],
    [{ windows: { sandboxUser: 'x' } },                         'windows', 'unused'],
  ] as const)('%j: %s is %s', (input, key, effect) => {
    expect(convert(settings(input as Settings)).notes.map(note => [note.key, note.effect])).toContainEqual([key, effect])
  })

  test('a TMPDIR that is not there is told', () => {
    expect(convert(settings(), host, { CLAUDE_TMPDIR: '/no/such' }).notes).toEqual([{ key: 'filesystem.allowWrite', effect: 'same', text: expect.stringContaining('"/no/such"') }])
  })

  test('what asks for nothing has none', () => {
    expect(convert(settings({ network: { allowAllUnixSockets: false, allowUnixSockets: [] }, filesystem: { allowGitConfig: false }, ignoreViolations: {}, allowPty: false })).notes).toEqual([])
  })
})

describe('the network', () => {
  const network = (input: Settings['network']): unknown => convert(settings({ network: input! })).policy.network
  test.each<{ name: string; input: object; policy: unknown }>([
    { name: 'nothing allowed', input: {}, policy: 'off' },
    { name: 'only denials', input: { deniedDomains: ['example.com'], strictAllowlist: true }, policy: 'off' },
    { name: 'hosts, with denials and addresses that they may not lead to', input: { allowedDomains: ['*.example.com', 'localhost', 'a.b:8080', '[::1]:443'], deniedDomains: ['evil.example.com'], deniedResolvedAddresses: ['8.8.0.0/16'] },
      policy: { allowedDomains: ['*.example.com', 'localhost', 'a.b:8080', '[::1]:443'], deniedDomains: ['evil.example.com', '8.8.0.0/16'] } },
    { name: 'nobody asked', input: { allowedDomains: ['a.b'], strictAllowlist: true }, policy: { allowedDomains: ['a.b'], deniedDomains: [], strictAllowlist: true } },
    { name: 'everything denied', input: { allowedDomains: ['a.b'], deniedDomains: ['*'] }, policy: 'off' },
    { name: 'everything denied on one port', input: { allowedDomains: ['a.b'], deniedDomains: ['*:22'] }, policy: 'off' },
    ...[{ httpProxyPort: 1 }, { socksProxyPort: 1 }, { mitmProxy: { socketPath: '/s', domains: ['a.b'] } }, { filterRequest: () => ({ action: 'allow' }) }, { tlsTerminate: {} }, { parentProxy: { http: 'http://p' } }]
      .map(other => ({ name: `a proxy of its own (${Object.keys(other)[0]})`, input: { allowedDomains: ['a.b'], ...other }, policy: 'off' })),
  ])('$name', ({ input, policy }) => expect(network(input)).toEqual(policy))

  test('a host is allowed where it is there', async () => {
    const { matchesDomainPatternWithPort } = await import(pathToFileURL(join(dirname(fileURLToPath(import.meta.resolve(PACKAGE))), 'sandbox/domain-pattern.js')).href) as { matchesDomainPatternWithPort: (host: string, port: number, pattern: string) => boolean }
    const input = { allowedDomains: ['example.com', '*.example.org', 'ports.example.net:8443', 'XN--bcher-kva.example'], deniedDomains: ['deny.example.org', '*.evil.example.org'] }
    const resolved = resolve(parsePolicy(convert(settings({ network: input })).policy), host)
    for (const name of ['example.com', 'www.example.com', 'EXAMPLE.com', 'example.org', 'a.example.org', 'a.b.example.org', 'deny.example.org', 'x.deny.example.org', 'evil.example.org', 'x.evil.example.org', 'ports.example.net', 'example.com.evil.net', 'notexample.org', 'xn--bcher-kva.example']) {
      for (const port of [443, 8443]) {
        const there = input.allowedDomains.some(each => matchesDomainPatternWithPort(name, port, each)) && !input.deniedDomains.some(each => matchesDomainPatternWithPort(name, port, each))
        expect([name, port, decide(resolved, { kind: 'connect', host: name, port }).verdict]).toEqual([name, port, there ? 'allow' : 'deny'])
      }
    }
  })
})

describe('what would be weaker here is refused, and what is misspelt', () => {
  test.each([
    [{ filesystem: { disabled: true } },              'rule_not_enforceable', 'filesystem.disabled'],
    [{ filesystem: { allowWrite: ['.'], denyWrite: ['*.env'] } }, 'rule_not_enforceable', 'filesystem.denyWrite[0]'],
    [{ filesystem: { denyRead: ['**.pem'] } },        'glob_invalid', 'filesystem.denyRead[0]'],
    [{ filesystem: { denyRead: ['a', 'x[+-9]y'] } },  'glob_invalid', 'filesystem.denyRead[1]'],
    [{ filesystem: { denyRead: ['[!a]'] } },          'glob_invalid', 'filesystem.denyRead[0]'],
    [{ credentials: { files: [{ path: '**x', mode: 'deny' }] } }, 'glob_invalid', 'credentials.files[0].path'],
    [{ network: { allowedDomains: ['https://a.b'] } }, 'policy_invalid_value', 'network.allowedDomains[0]'],
    [{ network: { deniedDomains: ['a.*.b'] } },       'policy_invalid_value', 'network.deniedDomains[0]'],
    [{ network: { deniedResolvedAddresses: ['10.0.0.0/99'] } }, 'policy_invalid_value', 'network.deniedResolvedAddresses[0]'],
    [{ filesystem: { denyWrites: [] } },              'policy_unknown_key', 'filesystem.denyWrites'],
    [{ filesytem: {} },                               'policy_unknown_key', 'filesytem'],
    [{ credentials: { injectHosts: [] } },            'policy_unknown_key', 'credentials.injectHosts'],
    [{ credentials: { files: [{ path: '/x', mode: 'deny', extrct: '' }] } }, 'policy_unknown_key', 'credentials.files[0].extrct'],
    [{ filesystem: { allowWrite: '.' } },             'policy_invalid_value', 'filesystem.allowWrite'],
    [{ filesystem: { allowWrite: [''] } },            'policy_invalid_value', 'filesystem.allowWrite'],
    [{ filesystem: { disabled: 'no' } },              'policy_invalid_value', 'filesystem.disabled'],
    [{ mandatoryDenySearchDepth: 0 },                 'policy_invalid_value', 'mandatoryDenySearchDepth'],
    [{ network: null },                               'policy_invalid_value', 'network.allowedDomains'],
    [{ credentials: { envVars: [{ name: 'A', mode: 'hide' }] } }, 'policy_invalid_value', 'credentials.envVars[0].mode'],
    [{ credentials: { envVars: [{ mode: 'deny' }] } }, 'policy_invalid_value', 'credentials.envVars[0].name'],
  ] as const)('%j: %s at %s', (input, code, field) => {
    const whole = 'network' in input && input.network === null ? { ...settings(), network: {} } : settings(input as unknown as Settings)
    expect(() => convert(whole)).toThrow(expect.objectContaining({ code, field }))
  })
  test.each([null, undefined, [], 'x', 3])('%j is no settings', input => {
    expect(() => convert(input)).toThrow(expect.objectContaining({ code: 'policy_invalid_value' }))
  })
})

describe('files', () => {
  test.each<{ name: string; filesystem: Settings['filesystem']; effects: Record<string, string> }>([
    { name: 'nothing is writable that is not listed', filesystem: {}, effects: { '/w/a': 'r-', '/tmp/other': 'r-', '/home/user/.ssh/id': 'r-', '/tmp/claude': 'rw' } },
    { name: 'allowWrite opens, below the folder or not', filesystem: { allowWrite: ['.', '/o'] }, effects: { '/w/a/b/f': 'rw', '/o/target/t': 'rw', '/tmp/other': 'r-' } },
    { name: 'a trailing /** means the folder', filesystem: { allowWrite: ['a/**'] }, effects: { '/w/a/b/f': 'rw', '/w/.env': 'r-' } },
    { name: '.. and ~ are followed', filesystem: { allowWrite: ['../o'], denyRead: ['~/.ssh'] }, effects: { '/o/target/t': 'rw', '/home/user/.ssh/id': '--', '/home/user/x': 'r-' } },
    { name: 'denyWrite closes inside', filesystem: { allowWrite: ['.'], denyWrite: ['.env', 'secrets'] }, effects: { '/w/.env': 'r-', '/w/secrets/k': 'r-', '/w/a': 'rw' } },
    { name: 'denyWrite closes above as well', filesystem: { allowWrite: ['a/b', '/o'], denyWrite: ['a'] }, effects: { '/w/a/b/f': 'r-', '/o': 'rw' } },
    { name: 'denyWrite wins at one path', filesystem: { allowWrite: ['a'], denyWrite: ['a'] }, effects: { '/w/a': 'r-' } },
    { name: 'denyRead closes', filesystem: { allowWrite: ['.'], denyRead: ['secrets'] }, effects: { '/w/secrets/k': '--', '/w/a': 'rw' } },
    { name: 'allowRead opens inside denyRead', filesystem: { denyRead: ['/w'], allowRead: ['a'] }, effects: { '/w/.env': '--', '/w/a/b/f': 'r-' } },
    { name: 'allowRead wins at one path', filesystem: { denyRead: ['secrets'], allowRead: ['secrets'] }, effects: { '/w/secrets/k': 'r-' } },
    { name: 'allowRead inside allowWrite does not close writing', filesystem: { allowWrite: ['.'], allowRead: ['.', 'a'] }, effects: { '/w/a/b/f': 'rw', '/w/.env': 'rw' } },
    { name: 'a folder that is denied and whose part is writable', filesystem: { denyRead: ['/w'], allowWrite: ['a'] }, effects: { '/w/a/b/f': 'rw', '/w/.env': '--' } },
    { name: 'denyWrite inside denyRead opens nothing', filesystem: { allowWrite: ['.'], denyRead: ['secrets'], denyWrite: ['secrets/k'] }, effects: { '/w/secrets/k': '--' } },
    { name: 'denyWrite inside a denied pattern opens nothing', filesystem: { allowWrite: ['.'], denyRead: ['**/secrets'], denyWrite: ['secrets/k'] }, effects: { '/w/secrets/k': '--', '/w/.env': 'rw' } },
    { name: 'a pattern closes, and allowRead below it opens', filesystem: { denyRead: ['**/.env', '**/secrets'], allowRead: ['secrets/pub', '.env'] }, effects: { '/w/.env': '--', '/w/a/.env': '--', '/w/secrets/k': '--', '/w/secrets/pub/p': 'r-' } },
    { name: 'below x/** nothing is opened', filesystem: { denyRead: ['**/secrets/**'], allowRead: ['secrets/pub'] }, effects: { '/w/secrets/pub/p': '--' } },
    { name: 'nor is it by what is never written there', filesystem: { denyRead: ['/w/*/b/**'], allowRead: ['a/b/f'], allowWrite: ['.'], denyWrite: ['a/b/f'] }, effects: { '/w/a/b/f': '--' } },
    { name: 'what is no syntax there is none here', filesystem: { denyRead: ['{a,b}', '\\w'] }, effects: { '/w/a': 'r-' } },
    { name: 'a link in allowWrite means what it leads to', filesystem: { allowWrite: ['link'] }, effects: { '/o/target/t': 'rw' } },
    { name: 'a link in allowRead opens nothing', filesystem: { denyRead: ['/o'], allowRead: ['link'] }, effects: { '/o/target/t': '--' } },
    { name: 'what the tool never lets be written', filesystem: { allowWrite: ['.'] }, effects: { '/w/.mcp.json': 'r-', '/w/.bashrc': 'r-', '/w/.vscode': 'r-', '/w/.git/config': 'r-', '/w/.git/hooks': 'r-', '/w/.git/HEAD': 'rw' } },
    { name: 'and in folders below, where it exists', filesystem: { allowWrite: ['.'] }, effects: { '/w/a/b/.vscode/s': 'r-', '/w/a/sub/.git/config': 'r-', '/w/a/sub/.git/hooks/h': 'r-', '/w/a/node_modules/.bashrc': 'rw' } },
    { name: 'even where allowWrite names it', filesystem: { allowWrite: ['.', '.mcp.json', '.git', 'a/b/.vscode'] }, effects: { '/w/.mcp.json': 'r-', '/w/.git/config': 'r-', '/w/.git/hooks': 'r-', '/w/a/b/.vscode/s': 'r-' } },
  ])('$name', ({ filesystem, effects: expected }) => {
    expect(effects({ ...(filesystem === undefined ? {} : { filesystem }) }, Object.keys(expected))).toEqual(expected)
  })

  test('mandatoryDenySearchDepth: what lies deeper is not looked for', () => {
    expect(effects({ mandatoryDenySearchDepth: 1, filesystem: { allowWrite: ['.'] } }, ['/w/a/b/.vscode/s'])).toEqual({ '/w/a/b/.vscode/s': 'rw' })
  })

  test('a denied credential is a denied path, a masked one too', () => {
    expect(effects({ credentials: { files: [{ path: '~/.ssh', mode: 'deny' }, { path: 'secrets/k', mode: 'mask' }] } }, ['/home/user/.ssh/id', '/w/secrets/k', '/w/secrets/pub/p']))
      .toEqual({ '/home/user/.ssh/id': '--', '/w/secrets/k': '--', '/w/secrets/pub/p': 'r-' })
  })
})

describe('variables', () => {
  test('all are passed on but those of credentials; TMPDIR is the tool\'s', () => {
    const { policy } = convert(settings({ credentials: { envVars: [{ name: 'TOKEN', mode: 'deny' }, { name: 'KEY', mode: 'mask' }] } }))
    expect(policy.env).toEqual({ inherit: 'all', dropSecrets: false, exclude: ['TOKEN', 'KEY'], set: { TMPDIR: '/tmp/claude' } })
  })
  test.each([
    { env: {},                              set: { GIT_CONFIG_COUNT: '1', GIT_CONFIG_KEY_0: 'safe.directory', GIT_CONFIG_VALUE_0: '/r' } },
    { env: { GIT_CONFIG_COUNT: '2' },       set: { GIT_CONFIG_COUNT: '3', GIT_CONFIG_KEY_2: 'safe.directory', GIT_CONFIG_VALUE_2: '/r' } },
    { env: { GIT_CONFIG_COUNT: '0' },       set: {} },
    { env: { CLAUDE_CODE_TMPDIR: '/t/x' },  set: { TMPDIR: '/t/x', GIT_CONFIG_COUNT: '1', GIT_CONFIG_KEY_0: 'safe.directory', GIT_CONFIG_VALUE_0: '/r' } },
  ])('git.safeDirectories with $env', ({ env, set }) => {
    expect(convert(settings({ git: { safeDirectories: ['/r'] } }), host, env).policy.env?.set).toEqual({ TMPDIR: '/tmp/claude', ...set })
  })
})

/* Laws: against the words of the tool's README, written down again. */

const PLACES = ['/w', '/w/a', '/w/a/b', '/w/a/b/f', '/w/.env', '/w/a/.env', '/w/a/c.pem', '/w/secrets', '/w/secrets/k', '/w/secrets/pub', '/w/secrets/pub/p', '/w/.mcp.json', '/w/a/b/.vscode/s', '/o', '/o/target', '/o/target/t', '/home/user/.ssh', '/home/user/.ssh/id']
const PATTERNS = ['**/.env', '/w/**/secrets', '/w/a/**', '/w/*/b/**', '/w/secrets/p?b', '/w/a/[a-z].pem']
const place = fc.constantFrom(...PLACES)
const lists = fc.record({
  denyRead: fc.array(fc.oneof(place, fc.constantFrom(...PATTERNS)), { maxLength: 4 }),
  allowRead: fc.array(place, { maxLength: 3 }),
  allowWrite: fc.array(place, { maxLength: 3 }),
  denyWrite: fc.array(place, { maxLength: 3 }),
})

test('for any settings nothing is readable or writable that was not', () => {
  fc.assert(fc.property(lists, filesystem => {
    const found = effects({ filesystem }, PLACES)
    for (const path of PLACES) {
      const [mayRead, mayWrite] = there(filesystem, path)
      if (found[path]?.startsWith('r')) expect({ path, mayRead }).toEqual({ path, mayRead: true })
      if (found[path]?.endsWith('w')) expect({ path, mayWrite }).toEqual({ path, mayWrite: true })
    }
  }), { numRuns: 400 })
})

test('and without patterns everything that was readable is, and what was writable but for what stays protected', () => {
  const plain = fc.record({ denyRead: fc.array(place, { maxLength: 3 }), allowRead: fc.array(place, { maxLength: 2 }), allowWrite: fc.array(place, { maxLength: 3 }), denyWrite: fc.array(place, { maxLength: 2 }) })
  fc.assert(fc.property(plain, filesystem => {
    const found = effects({ filesystem }, PLACES)
    for (const path of PLACES) {
      const [mayRead, mayWrite] = there(filesystem, path)
      expect({ path, read: found[path]?.[0] }).toEqual({ path, read: mayRead ? 'r' : '-' })
      // A part that is opened again for reading is only that here.
      if (!filesystem.allowRead.some(other => isIn(other, path))) expect({ path, write: found[path]?.[1] }).toEqual({ path, write: mayWrite ? 'w' : '-' })
    }
  }), { numRuns: 200 })
})

/** README, "Filesystem Configuration" and "Implementation Details". */
function there({ denyRead, allowRead, allowWrite, denyWrite }: { denyRead: string[]; allowRead: string[]; allowWrite: string[]; denyWrite: string[] }, path: string): [read: boolean, write: boolean] {
  const mandatory = ['/w/.mcp.json', '/w/a/b/.vscode']
  const closed = [...denyWrite, ...mandatory]
  const writable = allowWrite.filter(root => !closed.some(other => isIn(other, root)))
  // A trailing /** goes first; what is a pattern without it keeps it, and then covers each entry below.
  const whole = denyRead.map(text => text.replace(/\/\*\*$/, ''))
  const literal = whole.filter(text => !/[*?[]/.test(text))
  const masked = PLACES.filter(at => denyRead.some((text, index) => /[*?[]/.test(whole[index]!) && matchesThere(text, at)))
  const denied = [...literal.filter(text => !allowRead.includes(text)), ...masked]
  const deepest = (names: string[]) => Math.max(-1, ...names.filter(name => isIn(name, path)).map(name => name.length))
  const opened = Math.max(deepest(allowRead), deepest(writable))
  const read = deepest(denied) < opened || deepest(denied) === -1
  const write = read && writable.some(root => isIn(root, path)) && !closed.some(other => isIn(other, path))
  return [read, write]
}

const isIn = (outer: string, path: string): boolean => path === outer || path.startsWith(`${outer}/`)

/** A deny covers everything below each match, however its pattern ends. */
function matchesThere(pattern: string, path: string): boolean {
  const text = pattern.startsWith('/') ? pattern : `/w/${pattern}`
  const source = text.replaceAll(/[.]/g, '\\.').replaceAll('**/', '\u0001').replaceAll('**', '\u0002').replaceAll('*', '[^/]*').replaceAll('?', '[^/]').replaceAll('\u0001', '(.*/)?').replaceAll('\u0002', '.*')
  return new RegExp(`^${source}$`).test(path)
}

/* The schema is made with zod 3. */

type Schema = { _def: { typeName: string; schema?: Schema; innerType?: Schema; type?: Schema; shape?: () => Record<string, Schema> } }
function unwrapped(schema: unknown): Schema {
  const { _def } = schema as Schema
  return _def.schema !== undefined ? unwrapped(_def.schema) : _def.innerType !== undefined ? unwrapped(_def.innerType) : schema as Schema
}
const shapeOf = (schema: unknown): [string, Schema][] & Record<string, Schema> => {
  const shape = unwrapped(schema)._def.shape?.() ?? {}
  return Object.assign(Object.entries(shape), shape) as [string, Schema][] & Record<string, Schema>
}
const elementOf = (schema: unknown): Schema => unwrapped(schema)._def.type as Schema

/** Dotted names; an object whose own name stands in `known` is not taken apart. */
function keysOf(schema: unknown, known: readonly string[], prefix = ''): string[] {
  return shapeOf(schema).flatMap(([name, inner]) => {
    const key = prefix + name
    const isObject = unwrapped(inner)._def.typeName === 'ZodObject'
    return isObject && !known.includes(key) ? keysOf(inner, known, `${key}.`) : [key]
  })
}
