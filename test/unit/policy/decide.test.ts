import { describe, expect, test } from 'vitest'
import type { Access, Decision } from '../../../src/policy/decision.js'
import { decide } from '../../../src/policy/decide.js'
import { isLoopback } from '../../../src/policy/decide-host.js'
import { describeDecision } from '../../../src/policy/explain.js'
import { parsePolicy } from '../../../src/policy/parse.js'
import { presetPolicy } from '../../../src/policy/presets.js'
import { resolve } from '../../../src/policy/resolve.js'
import type { SandboxMode, SandboxPolicy } from '../../../src/policy/sandbox-policy.js'
import { fakeHost, type FakeHostOptions, symlink } from '../../support/fake-host.js'

const TREE = {
  home: { user: {
    work: { 'a.txt': '', src: { deep: {} }, '.git': { config: '' }, keys: { public: '' }, sub: {}, '.env': '' },
    'notes.txt': '', '.npmrc': '', '.ssh': { id_rsa: '', 'id_rsa.pub': '' }, other: { x: '' },
  } },
  tmp: {}, usr: { bin: {} }, opt: { data: { x: '' } },
}
const W = '/home/user/work'

const policyOf = (rest: Partial<SandboxPolicy> = {}, mode: SandboxMode = 'workspace-write', options: FakeHostOptions = {}) =>
  resolve({ ...presetPolicy(mode, 'reference'), denySecrets: mode === 'workspace-write' ? { except: [] } : false, ...rest }, fakeHost(TREE, { selfPaths: [`${W}/sub`], ...options }))

const short = (decision: Decision): string => decision.verdict === 'allow' ? 'allow' : decision.because

describe('files', () => {
  const policy = policyOf({ deny: [`${W}/keys`, '**/*.secret'], read: [`${W}/src`, `${W}/keys/public`], write: [`${W}/src/deep`] })
  test.each([
    ['read', '/etc/passwd', 'allow'],
    ['execute', '/usr/bin/x', 'allow'],
    ['write', '/etc/passwd', 'no-rule'],
    ['write', `${W}/a.txt`, 'allow'],
    ['create', `${W}/new`, 'allow'],
    ['create', `${W}/new/deeper`, 'allow'],
    ['remove', `${W}/a.txt`, 'allow'],
    ['create', '/home/user/new', 'no-rule'],
    ['remove', W, 'no-rule'],
    ['remove', '/home', 'no-rule'],
    ['remove', '/', 'no-rule'],
    ['remove', '/tmp', 'no-rule'],
    ['create', '/tmp/x', 'allow'],
    ['read', `${W}/.git/config`, 'allow'],
    ['write', `${W}/.git/config`, 'protected'],
    ['create', `${W}/.git/hooks`, 'protected'],
    ['remove', `${W}/.git`, 'protected'],
    ['create', `${W}/.codex`, 'protected'],
    ['create', `${W}/.codex/x`, 'protected'],
    ['write', `${W}/sub/x`, 'protected'],
    ['create', `${W}/src/x`, 'rule'],
    ['read', `${W}/src/x`, 'allow'],
    ['create', `${W}/src/deep/x`, 'allow'],
    ['remove', `${W}/src/deep`, 'rule'],
    ['remove', `${W}/src`, 'rule'],
    ['read', `${W}/keys/private`, 'rule'],
    ['read', `${W}/keys`, 'rule'],
    ['read', `${W}/keys/public`, 'allow'],
    ['write', `${W}/keys/public`, 'rule'],
    ['create', `${W}/keys/new`, 'rule'],
    ['remove', `${W}/keys`, 'rule'],
    ['read', `${W}/later.secret`, 'glob'],
    ['read', `${W}/x/later.secret/inside`, 'glob'],
    ['create', `${W}/x.secret`, 'glob'],
    ['read', '/home/user/x.secret', 'allow'],
    ['read', '/home/user/.npmrc', 'rule'],
    ['read', '/home/user/.ssh/id_rsa', 'rule'],
    ['read', '/home/user/.ssh/id_rsa.pub', 'allow'],
    ['read', `${W}/a\nb`, 'allow'],
    ['create', `${W}/caf\u00e9`, 'allow'],
  ] as const)('%s %j: %s', (kind, path, expected) => {
    expect(short(decide(policy, { kind, path }))).toBe(expected)
  })

  test('a folder above something closed may not be moved away either', () => {
    const nested = policyOf({ deny: [`${W}/src/deep`] })
    expect(short(decide(nested, { kind: 'remove', path: `${W}/src` }))).toBe('rule')
    expect(short(decide(policyOf({}), { kind: 'remove', path: `${W}/src` }))).toBe('allow')
  })

  test('a root in a root may be removed only where nothing in it is protected', () => {
    const nested = policyOf({ writableRoots: [`${W}/src`] })
    expect(short(decide(nested, { kind: 'remove', path: `${W}/src` }))).toBe('protected')
    expect(short(decide(nested, { kind: 'remove', path: `${W}/src/deep` }))).toBe('allow')
  })

  test('a denied decision names the rule, its owner, and the nearest root', () => {
    expect(decide(policy, { kind: 'write', path: `${W}/.git/config` })).toMatchObject({ because: 'protected', owner: W, rule: { path: `${W}/.git`, origin: 'protected' } })
    expect(decide(policy, { kind: 'write', path: '/home/user/notes.txt' })).toMatchObject({ because: 'no-rule', nearest: W })
    expect(decide(policy, { kind: 'read', path: `${W}/keys/x` })).toMatchObject({ because: 'rule', rule: { field: 'deny[0]' } })
  })

  test.each(['relative', '/a/../b', '/a\0b'])('%j is no path to decide on', path => {
    expect(() => decide(policy, { kind: 'read', path })).toThrowError(expect.objectContaining({ field: 'path' }))
  })
})

test('restricted reads: what is not named is not readable', () => {
  const policy = policyOf({ readAccess: { kind: 'restricted', includePlatformDefaults: true, readableRoots: ['/opt/data'] } })
  const reads = (path: string) => short(decide(policy, { kind: 'read', path }))
  expect([reads('/opt/data/x'), reads('/usr/bin/x'), reads(`${W}/a.txt`), reads('/opt'), reads('/home/user/notes.txt')]).toEqual(['allow', 'allow', 'allow', 'no-rule', 'no-rule'])
  expect(short(decide(policy, { kind: 'write', path: '/usr/bin/x' }))).toBe('no-rule')
})

test('tmp: private makes /tmp writable without a rule, none does not', () => {
  const creates = (tmp: SandboxPolicy['tmp'], path: string) => short(decide(policyOf({ tmp }), { kind: 'create', path }))
  expect([creates('private', '/tmp/x'), creates('private', '/tmpx'), creates('none', '/tmp/x')]).toEqual(['allow', 'no-rule', 'no-rule'])
  expect(short(decide(policyOf({ tmp: 'private' }), { kind: 'remove', path: '/tmp' }))).toBe('no-rule')
})

test('in a case-insensitive root every spelling is protected, elsewhere they are other names', () => {
  const tree = { w: { '.git': { config: '' } }, home: { user: {} } }
  const verdict = (caseInsensitive: string[], path: string) => short(decide(resolve(presetPolicy('workspace-write', 'reference'), fakeHost(tree, { cwd: '/w', caseInsensitive })), { kind: 'write', path }))
  expect(['/w/.GIT/config', '/w/.g\u200cit/config', '/w/.CODEX'].map(path => verdict(['/w'], path))).toEqual(['protected', 'protected', 'protected'])
  expect(verdict([], '/w/.GIT/config')).toBe('allow')
})

test('Unicode forms are different names unless the root says otherwise', () => {
  const tree = { w: { 'cafe\u0301': {}, x: '' }, home: { user: {} } }
  const verdict = (caseInsensitive: string[]) => short(decide(resolve({ ...presetPolicy('workspace-write', 'reference'), protect: ['caf\u00e9'] }, fakeHost(tree, { cwd: '/w', caseInsensitive })), { kind: 'create', path: '/w/cafe\u0301/x' }))
  expect([verdict([]), verdict(['/w'])]).toEqual(['allow', 'protected'])
})

describe('network', () => {
  const connect = (network: 'off' | 'open', host: string) => short(decide(policyOf({ network }), { kind: 'connect', host, port: 80 }))
  test.each(['127.0.0.1', '127.255.0.9', '::1', '[::1]', 'localhost', 'LOCALHOST', '::ffff:127.0.0.1'])('%s is the sandbox\'s own loopback', host => {
    expect(connect('off', host)).toBe('allow')
  })
  test.each(['10.0.0.1', '8.8.8.8', 'example.com', 'localhost.example.com', '127.0.0.1.example.com', '127.0.0.999', '0.0.0.0', '::', '::2', '169.254.169.254'])('%s is not', host => {
    expect([connect('off', host), connect('open', host), isLoopback(host)]).toEqual(['network-off', 'allow', false])
  })
  test('bind is always allowed; a socket made outside is not reachable', () => {
    expect(short(decide(policyOf(), { kind: 'bind', host: '0.0.0.0', port: 80 }))).toBe('allow')
    expect(short(decide(policyOf({ network: 'open' }), { kind: 'unix-connect', path: '/run/docker.sock' }))).toBe('unix-socket')
    expect(short(decide(policyOf({}, 'danger-full-access'), { kind: 'unix-connect', path: '/run/docker.sock' }))).toBe('allow')
  })
  test('macOS has no loopback of a sandbox\'s own: the host\'s is closed with the network', () => {
    const on = (network: 'off' | 'open', kind: 'connect' | 'bind') => short(decide(policyOf({ network }, 'workspace-write', { platform: 'macos' }), { kind, host: '127.0.0.1', port: 80 }))
    expect([on('off', 'connect'), on('off', 'bind'), on('open', 'connect'), on('open', 'bind')]).toEqual(['network-off', 'network-off', 'allow', 'allow'])
  })
  describe('proxied', () => {
    const proxied = (table: object) => policyOf(parsePolicy({ network: table }))
    const told = (table: object, host: string, port = 443) => {
      const policy = proxied(table)
      const access = { kind: 'connect', host, port } as const
      return describeDecision(access, decide(policy, access), policy)
    }
    const rules = { allowedDomains: ['example.com', '*.example.org:443', '10.1.2.3:80'], deniedDomains: ['bad.example.org'] }
    test.each([
      ['example.com', 80, 'connection to "example.com:80" allowed: a rule of network.allowedDomains names it.'],
      ['a.example.org', 443, 'connection to "a.example.org:443" allowed: a rule of network.allowedDomains names it.'],
      ['localhost', 3000, 'connection to "localhost:3000" allowed: the loopback is the sandbox\'s own, where the host lets it have one: its servers are there, those of this machine are not.'],
      ['a.example.org', 80, 'connection to "a.example.org:80" denied: no rule of network.allowedDomains names it. To allow: add "a.example.org:80" to network.allowedDomains.'],
      ['bad.example.org', 443, 'connection to "bad.example.org:443" denied: network.deniedDomains "bad.example.org" denies it. To allow: remove "bad.example.org" from network.deniedDomains.'],
      ['10.1.2.4', 80, 'connection to "10.1.2.4:80" denied: it is a private address, which needs a rule that names it. To allow: add "10.1.2.4:80" to network.allowedDomains.'],
      ['fd00::1', 80, 'connection to "fd00::1:80" denied: it is a private address, which needs a rule that names it. To allow: add "[fd00::1]:80" to network.allowedDomains.'],
      ['a%00b', 80, 'connection to "a%00b:80" denied: its host holds a character that no host name has. To allow: nothing: no host has such a name.'],
    ])('%s:%i', (host, port, text) => {
      expect(told(rules, host, port)).toBe(text)
    })
    test('what limited lets through is plain HTTP, which is told', () => {
      expect(told({ mode: 'limited', allowedDomains: ['example.com'] }, 'example.com', 80)).toContain('allowed')
    })
    test('the remedy can be handed in again, and then it is allowed', () => {
      const { remedy } = decide(proxied(rules), { kind: 'connect', host: 'NEW.example.net.', port: 8443 }) as Extract<Decision, { verdict: 'deny' }>
      expect([remedy.flags, remedy.changes]).toEqual([['--allow-domain', 'new.example.net:8443'], [{ operation: 'add', field: 'network.allowedDomains', value: 'new.example.net:8443' }]])
      const added = (remedy.changes ?? []).flatMap(change => change.operation === 'add' ? [change.value] : [])
      expect(short(decide(proxied({ ...rules, allowedDomains: [...rules.allowedDomains, ...added] }), { kind: 'connect', host: 'new.example.net', port: 8443 }))).toBe('allow')
    })
  })
  test.each([
    ['/run/db.sock', 'allow'], ['/run/pool/x.sock', 'allow'], ['/run/pool', 'allow'], ['/run/other.sock', 'unix-socket'], ['/run/db.sock2', 'unix-socket'], ['/run/pool/docker.sock', 'unix-socket'],
  ])('the socket %s: %s', (path, verdict) => {
    expect(short(decide(policyOf(parsePolicy({ network: { allowUnixSockets: ['/run/db.sock', '/run/pool'] } })), { kind: 'unix-connect', path }))).toBe(verdict)
  })
  test('the remedy turns it on, for a name as little as there is', () => {
    expect(decide(policyOf(), { kind: 'connect', host: 'x.org', port: 1 })).toMatchObject({ remedy: { flags: ['--allow-domain', 'x.org:1'], additionalPermissions: { network: { allowedDomains: ['x.org:1'] } } } })
    expect(decide(policyOf(), { kind: 'connect', host: '192.0.2.1', port: 1 })).toMatchObject({ remedy: { additionalPermissions: { network: { enabled: true } } } })
  })
})

test('under danger-full-access all is allowed', () => {
  expect((['read', 'write', 'create', 'remove', 'execute'] as const).map(kind => short(decide(policyOf({}, 'danger-full-access'), { kind, path: '/etc/x' })))).toEqual(Array(5).fill('allow'))
})

describe('remedies', () => {
  const policy = policyOf({ deny: [`${W}/keys`, '**/*.secret'], read: [`${W}/src`] })
  const host = fakeHost(TREE)
  const remedy = (access: Access, files?: typeof host.files) => {
    const decision = decide(policy, access, files)
    return decision.verdict === 'deny' ? [decision.remedy.text, ...decision.remedy.flags].join(' | ') : 'allowed'
  }
  test.each([
    ['write', '/home/user/other/x', 'add "/home/user/other" to write | --write | /home/user/other'],
    ['create', '/home/user/other/y', 'add "/home/user/other" to write | --write | /home/user/other'],
    ['write', '/home/user/notes.txt', 'add "/home/user/notes.txt" to write | --write | /home/user/notes.txt'],
    ['create', '/home/user/new', 'make "/home/user/new" outside the sandbox first and add it to write, or make it inside a writable root'],
    ['write', `${W}/.git/config`, `add "${W}/.git/config" to write | --write | ${W}/.git/config`],
    // Git's own writes: hooks and config stay closed. What stays closed under it as well has to be named.
    ['create', `${W}/.git/x`, `set git to "commits" | --git | commits`],
    ['create', `${W}/.git/hooks/pre-commit`, `add "${W}/.git/hooks" to write | --write | ${W}/.git/hooks`],
    ['create', `${W}/.git/config`, `add "${W}/.git" to write, and add "${W}/.git/config" to write | --write | ${W}/.git | --write | ${W}/.git/config`],
    ['create', `${W}/.codex/x`, `add "${W}/.codex" to write | --write | ${W}/.codex`],
    ['create', `${W}/sub/x`, 'nothing: it runs or is trusted outside the sandbox'],
    ['remove', '/home/user', 'nothing: it runs or is trusted outside the sandbox'],
    ['read', `${W}/keys/x`, `add "${W}/keys/x" to read | --read | ${W}/keys/x`],
    ['read', `${W}/keys`, 'remove deny[0]'],
    ['create', `${W}/src/y`, 'remove read[0]'],
    ['read', `${W}/a.secret`, 'remove deny[1]'],
    ['read', '/home/user/.npmrc', 'add "/home/user/.npmrc" to read | --read | /home/user/.npmrc'],
    ['read', '/home/user/.ssh/id_rsa', 'add "/home/user/.ssh/id_rsa" to read | --read | /home/user/.ssh/id_rsa'],
    ['write', '/opt/*/[x]', 'add "/opt/\\\\*" to write | --write | /opt/\\*'],
  ] as const)('%s %s: %s', (kind, path, expected) => {
    expect(remedy({ kind, path })).toBe(expected)
  })

  test('with a view of the files the remedy names what exists', () => {
    expect(remedy({ kind: 'write', path: '/home/user/other/x' }, host.files)).toContain('add "/home/user/other/x" to write')
    expect(remedy({ kind: 'create', path: '/opt/new/deep/x' }, host.files)).toContain('add "/opt" to write')
  })
})

describe('one line for people', () => {
  const policy = policyOf({ deny: [`${W}/keys`] })
  test.each([
    [{ kind: 'write', path: '/home/user/notes.txt' }, `write to "/home/user/notes.txt" denied: outside every writable root, nearest "${W}". To allow: add "/home/user/notes.txt" to write.`],
    [{ kind: 'create', path: `${W}/.codex` }, `creation of "${W}/.codex" denied: "${W}/.codex" is protected in the writable root "${W}". To allow: add "${W}/.codex" to write.`],
    [{ kind: 'read', path: `${W}/keys/a\nb` }, `read of "${W}/keys/a\\nb" denied: deny[0] "${W}/keys" denies it. To allow: remove deny[0].`],
    [{ kind: 'read', path: '/home/user/.npmrc' }, 'read of "/home/user/.npmrc" denied: "/home/user/.npmrc" is a place of keys or tokens (denySecrets). To allow: add "/home/user/.npmrc" to read.'],
    [{ kind: 'connect', host: 'example.com', port: 443 }, 'connection to "example.com:443" denied: the network is off. To allow: add "example.com:443" to network.allowedDomains.'],
    [{ kind: 'unix-connect', path: '/run/docker.sock' }, 'connection to socket "/run/docker.sock" denied: the socket was made outside the sandbox. To allow: nothing: through it a command gets the whole machine.'],
    [{ kind: 'write', path: `${W}/a.txt` }, `write to "${W}/a.txt" allowed: cwd "${W}".`],
    [{ kind: 'read', path: '/etc/hosts' }, 'read of "/etc/hosts" allowed.'],
  ] as const)('%j', (access, expected) => {
    expect(describeDecision(access, decide(policy, access))).toBe(expected)
  })
})

test.each([
  [{ network: 'off' },  { kind: 'connect', host: 'localhost', port: 3000 },   'connection to "localhost:3000" allowed: the loopback is the sandbox\'s own, where the host lets it have one: its servers are there, those of this machine are not.'],
  [{ network: 'off' },  { kind: 'bind', host: '0.0.0.0', port: 80 },          'bind to "0.0.0.0:80" allowed: the loopback is the sandbox\'s own, where the host lets it have one: its servers are there, those of this machine are not.'],
  [{ network: 'open' }, { kind: 'connect', host: 'example.com', port: 443 },  'connection to "example.com:443" allowed: the network is open.'],
  [{},                  { kind: 'read', path: '/etc/hosts' },                 'read of "/etc/hosts" allowed: what no rule closes may be read.'],
  [{ tmp: 'private' },  { kind: 'write', path: '/tmp/x' },                    'write to "/tmp/x" allowed: the sandbox has a /tmp of its own.'],
] as const)('where no rule speaks, the policy says why it is allowed: %j %j', (changes, access, expected) => {
  const policy = policyOf(changes)
  expect(describeDecision(access, decide(policy, access), policy)).toBe(expected)
})

test('links are the caller\'s to follow: the denied target is denied whatever leads to it', () => {
  const policy = resolve({ ...presetPolicy('workspace-write', 'reference'), deny: ['link'] }, fakeHost({ w: { link: symlink('/s') }, s: '', home: { user: {} } }, { cwd: '/w' }))
  expect(['/s', '/w/link'].map(path => short(decide(policy, { kind: 'read', path })))).toEqual(['rule', 'rule'])
})
