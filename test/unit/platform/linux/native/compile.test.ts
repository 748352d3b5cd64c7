// Whole plans: what a good host gets, and what is refused or degraded where a layer is missing.
import { describe, expect, test } from 'vitest'
import type { EndingGroupReport, GroupReport, LayerReport } from '../../../../../src/platform/backend.js'
import { type DegradationName, type LinuxNativePlan, type Observation, printPlan, type Rung } from '../../../../../src/platform/launch-plan.js'
import { FS_RIGHTS } from '../../../../../src/platform/linux/landlock/access-rights.js'
import { compileLinuxNative } from '../../../../../src/platform/linux/native/compile.js'
import { type LayerName, LAYERS } from '../../../../../src/platform/linux/native/layers.js'
import { commandFilter, listenerFilter } from '../../../../../src/platform/linux/seccomp/filters.js'
import type { HostSnapshot } from '../../../../../src/policy/host-snapshot.js'
import { parsePolicy } from '../../../../../src/policy/parse.js'
import { presetPolicy } from '../../../../../src/policy/presets.js'
import { resolve } from '../../../../../src/policy/resolve.js'
import type { SandboxPolicy } from '../../../../../src/policy/sandbox-policy.js'
import { fakeHost, socket } from '../../../../support/fake-host.js'
import { compileOptions, linuxLayers } from '../../../../support/linux-layers.js'

const git = { HEAD: 'ref: refs/heads/main\n', objects: {}, refs: {}, config: '', hooks: {}, info: { exclude: '' } }
const HOST = fakeHost({
  home: { user: { work: { '.git': git, src: { 'a.ts': '', deep: { secret: '' } }, 'id.key': '' }, '.ssh': { id_ed25519: '', 'id_ed25519.pub': '' }, '.npmrc': '', other: {} } },
  tmp: { x: { ws: {} } }, usr: { bin: {} }, etc: {}, us: { launcher: '' }, dev: { shm: {}, fuse: '' },
}, { selfPaths: ['/us'] })

function compile(changes: Partial<SandboxPolicy> = {}, { layers = linuxLayers(), allow = [], on = HOST, ...options }: { layers?: readonly LayerReport[]; allow?: readonly DegradationName[]; on?: HostSnapshot; limits?: object; architecture?: 'x64' | 'arm64'; rung?: Rung; observe?: Observation; groups?: GroupReport; endingGroup?: EndingGroupReport } = {}): LinuxNativePlan {
  const policy = resolve({ ...presetPolicy(changes.mode ?? 'workspace-write', 'reference'), ...changes }, on)
  return compileLinuxNative(policy, layers, compileOptions({ allowDegraded: new Set(allow), ...options }))
}

const WITH_SOCKETS = fakeHost({ home: { user: { work: { 'own.sock': socket() } } }, run: { 'db.sock': socket() }, tmp: {}, dev: { shm: {} } })
const PROXIED = parsePolicy({ network: { allowedDomains: ['example.com'], httpPort: 3128, socksPort: 1080, allowLocalPorts: [5432], allowUnixSockets: ['/run/db.sock', '/home/user/work/own.sock'], allowLocalBinding: true } })

/** What Docker's default profile and its masked /proc take away. */
const IN_DOCKER: readonly LayerName[] = ['user-namespace', 'mount-namespace', 'pid-namespace', 'network-namespace', 'proc-mount', 'descriptor-copy']

/** Filters are compared in full and then named, so that a golden plan can be read and does not change with a filter. */
function readable(plan: LinuxNativePlan, arch: 'x64' | 'arm64' = 'x64'): string {
  const base64 = (bytes: Uint8Array) => Buffer.from(bytes).toString('base64')
  const { network, rung, sockets, observe } = plan
  const connects = plan.listeners === undefined ? {} : { connects: true }
  const supervised = plan.supervision === undefined ? {} : { supervised: { abi: plan.landlock?.abi ?? 0, reads: observe === 'reads' ? 'all' : plan.supervision.judgedReads, ...connects } as const }
  const makeSockets = sockets === 'made'
  expect(plan.seccomp.command).toBe(base64(commandFilter({ arch, network, makeSockets, observe, ...supervised })))
  const bind = rung === 'supervised' || network === 'host' || makeSockets
  if (plan.seccomp.listener !== undefined) expect(plan.seccomp.listener).toBe(base64(listenerFilter({ arch, network, bind, makeSockets, observe, ...supervised })))
  const words = `${rung === 'supervised' ? ' supervised' : ''}${bind ? ' bind' : ''}${makeSockets ? ' socket' : ''} ${observe}`
  const seccomp = { command: `commandFilter ${arch} ${network} ${observe}`, ...(plan.seccomp.listener === undefined ? {} : { listener: `listenerFilter ${arch}${words}` }) }
  return printPlan({ ...plan, seccomp })
}

describe('a root where letter case makes no other name', () => {
  const FOLDING = fakeHost({ w: { '.git': git, src: {} }, tmp: {}, dev: { shm: {} } }, { cwd: '/w', home: '/home', caseInsensitive: ['/w'] })
  const plain = { on: FOLDING }

  test('is held by the supervised way, which compares names as the file system does, and that is told', () => {
    const plan = compile({}, plain)
    expect(plan).toMatchObject({ rung: 'supervised', mounts: [], enforcement: { notes: expect.arrayContaining([expect.stringContaining('mounts cannot hold names in "/w"')]) } })
    expect(plan.supervision?.rules.filter(({ path }) => path.startsWith('/w/.'))).toEqual(['/w/.agents', '/w/.codex', '/w/.git'].map(path => ({ path, effect: 'read', foldsCase: true })))
  })
  test('is refused where that way is missing too, and where namespaces are asked for', () => {
    for (const options of [{ layers: linuxLayers({ missing: ['user-notification'] }), allow: ['no-unix-socket-control'] }, { rung: 'namespaces' }] as const) {
      expect(() => compile({}, { ...plain, ...options })).toThrow(expect.objectContaining({ code: 'rule_not_enforceable', message: expect.stringContaining('other spellings lead to the same file') }))
    }
  })
  test('with nothing closed in it is held by mounts, as is a policy that writes nowhere', () => {
    expect([compile({ mode: 'read-only' }, plain).rung, compile({}).rung]).toEqual(['namespaces', 'namespaces'])
  })
})

describe('golden plans', () => {
  test.each<{ name: string; policy: Partial<SandboxPolicy>; with?: Parameters<typeof compile>[1] }>([
    { name: 'workspace-write', policy: {} },
    { name: 'read-only', policy: { mode: 'read-only' } },
    { name: 'workspace-below-tmp', policy: {}, with: { on: { ...HOST, cwd: '/tmp/x/ws' } } },
    { name: 'private-tmp', policy: { tmp: 'private' }, with: { on: { ...HOST, cwd: '/tmp/x/ws' } } },
    { name: 'secrets-and-rules', policy: { denySecrets: { except: [] }, deny: ['src/deep/secret', 'missing/file'], read: ['src'], write: ['/home/user/other'], protect: ['vendor'] } },
    { name: 'git-commits', policy: { git: 'commits' } },
    { name: 'restricted-reads', policy: { readAccess: { kind: 'restricted', includePlatformDefaults: true, readableRoots: ['/home/user/other'] }, excludeSlashTmp: true } },
    { name: 'network-proxied', policy: { ...PROXIED }, with: { on: WITH_SOCKETS } },
    { name: 'supervised-proxied', policy: { ...PROXIED }, with: { on: WITH_SOCKETS, rung: 'supervised' } },
    { name: 'sockets-made', policy: {}, with: { layers: linuxLayers({ missing: ['descriptor-copy'] }) } },
    { name: 'network-open', policy: { network: 'open', devices: ['/dev/fuse'], limits: { memoryBytes: 1 << 30, pids: 64, cpuSeconds: 60, openFiles: 256, fileSizeBytes: 1 << 20 } } },
    { name: 'old-landlock', policy: {}, with: { layers: linuxLayers({ abi: 1 }) } },
    { name: 'everything-degraded', policy: { deny: ['**/*.key'] }, with: { layers: linuxLayers({ missing: ['landlock', 'proc-mount', 'user-notification'] }), allow: ['later-glob-matches', 'no-landlock', 'no-unix-socket-control', 'no-own-proc'] } },
    { name: 'supervised', policy: { denySecrets: { except: [] }, deny: ['src/deep/secret'], read: ['src'], write: ['/home/user/other'] }, with: { rung: 'supervised' } },
    { name: 'supervised-in-docker', policy: {}, with: { layers: linuxLayers({ missing: IN_DOCKER }) } },
    { name: 'supervised-restricted-reads', policy: { readAccess: { kind: 'restricted', includePlatformDefaults: true, readableRoots: ['/home/user/other'] }, deny: ['/usr/bin'], network: 'open', devices: ['/dev/fuse'] }, with: { layers: linuxLayers({ missing: IN_DOCKER, abi: 4 }) } },
  ])('$name', async ({ name, policy, with: options }) => {
    await expect(readable(compile(policy, options))).toMatchFileSnapshot(`../../../../golden/plans/${name}.json`)
  })

  test('arm64 differs in its filters alone', () => {
    expect({ ...compile({}, { architecture: 'arm64' }), seccomp: undefined }).toEqual({ ...compile(), seccomp: undefined })
    expect(readable(compile({}, { architecture: 'arm64' }), 'arm64')).toContain('commandFilter arm64 private')
  })

  test('compiling is repeatable', () => {
    expect(compile({ denySecrets: { except: [] } })).toEqual(compile({ denySecrets: { except: [] } }))
  })
})

describe('a missing layer is refused by name, with reason and remedy', () => {
  const needed = LAYERS.filter(({ without }) => without !== 'unused').map(({ layer, without }) => ({ layer, without }))
  const rung = 'namespaces'
  test.each(needed)('$layer', ({ layer, without }) => {
    const remedy = without === 'refuse' ? `Get ${layer}.` : `Get ${layer}. Or allow it by name: allowDegraded ["${without}"].`
    const attempt = () => compile({}, { layers: linuxLayers({ missing: [layer] }), rung })
    expect(attempt).toThrow(`${layer} "EPERM" is not available on this host: no ${layer} here. ${remedy}`)
    expect(attempt).toThrow(expect.objectContaining({ code: 'layer_missing', field: layer, remedy }))
  })

  test.each(needed)('$layer, when the probe does not report it at all', ({ layer }) => {
    expect(() => compile({}, { layers: linuxLayers().filter(each => each.layer !== layer), rung })).toThrow(expect.objectContaining({ code: 'layer_missing', field: layer }))
  })

  test.each(needed.filter(({ without }) => without !== 'refuse') as { layer: LayerName; without: DegradationName }[])('without $layer, where $without is allowed, the plan says so', ({ layer, without }) => {
    const plan = compile({}, { layers: linuxLayers({ missing: [layer] }), allow: [without] })
    expect(plan.degraded).toEqual([without])
    expect(plan.enforcement.degraded).toEqual([without])
    // What goes by one name goes together.
    expect(plan.enforcement.layers).toEqual(needed.filter(each => each.without !== without).map(each => each.layer))
  })

  test('allowing what is not missing degrades nothing', () => {
    expect(compile({}, { allow: ['later-glob-matches', 'no-landlock', 'no-unix-socket-control', 'no-own-proc', 'limits'] })).toEqual(compile())
  })

  test('allowing one degradation allows no other', () => {
    expect(() => compile({}, { layers: linuxLayers({ missing: ['landlock', 'proc-mount'] }), allow: ['no-landlock'], rung })).toThrow(expect.objectContaining({ field: 'proc-mount' }))
  })

  test('without a listener there is no place for git\'s operations, and no rule on one', () => {
    const places = (missing: readonly LayerName[]) => JSON.stringify(compile({ git: 'commits' }, { layers: linuxLayers({ missing }), allow: ['no-unix-socket-control'] })).includes('/dev/git-operations')
    expect([places([]), places(['user-notification'])]).toEqual([true, false])
  })

  test('no seccomp is never accepted', () => {
    expect(() => compile({}, { layers: linuxLayers({ missing: ['seccomp'] }), allow: ['later-glob-matches', 'no-landlock', 'no-unix-socket-control', 'no-own-proc', 'limits'] })).toThrow(expect.objectContaining({ code: 'layer_missing', field: 'seccomp' }))
  })

  test('an open network needs no namespace for it', () => {
    const plan = compile({ network: 'open' }, { layers: linuxLayers({ missing: ['network-namespace'] }) })
    expect([plan.network, plan.degraded, plan.enforcement.layers.includes('network-namespace')]).toEqual(['host', [], false])
  })
})

describe('the rung', () => {
  const rungOf = (missing: readonly LayerName[], options: Parameters<typeof compile>[1] = {}) => compile({}, { layers: linuxLayers({ missing }), ...options }).rung

  test.each<{ name: string; missing: readonly LayerName[]; allow?: readonly DegradationName[]; rung: Rung }>([
    { name: 'everything', missing: [], rung: 'namespaces' },
    { name: 'what only makes it slower is missing', missing: ['descriptor-copy'], rung: 'namespaces' },
    { name: 'no look into callers, where that is allowed', missing: ['caller-memory'], allow: ['no-unix-socket-control'], rung: 'namespaces' },
    { name: 'Docker', missing: IN_DOCKER, rung: 'supervised' },
    { name: 'no user namespace', missing: ['user-namespace'], rung: 'supervised' },
    { name: 'no mounts in one', missing: ['mount-namespace', 'proc-mount'], rung: 'supervised' },
    { name: 'a masked /proc', missing: ['proc-mount'], rung: 'supervised' },
    { name: 'a masked /proc, where that is allowed', missing: ['proc-mount'], allow: ['no-own-proc'], rung: 'namespaces' },
  ])('$name: $rung', ({ missing, allow = [], rung }) => {
    expect(rungOf(missing, { allow })).toBe(rung)
  })
  test.each<LayerName>(['landlock', 'seccomp', 'user-notification', 'caller-memory'])('without namespaces and %s the missing namespace is told, and asked for the rung, what it lacks', layer => {
    expect(() => rungOf([...IN_DOCKER, layer])).toThrow(expect.objectContaining({ code: 'layer_missing', field: layer === 'caller-memory' ? 'user-namespace' : expect.stringMatching(/./) }))
    expect(() => rungOf([layer], { rung: 'supervised', allow: ['no-landlock', 'no-unix-socket-control'] })).toThrow(expect.objectContaining({ code: 'layer_missing', field: layer }))
  })
  test('each can be asked for, and the report says which one holds', () => {
    expect([rungOf([], { rung: 'supervised' }), compile({}, { rung: 'supervised' }).enforcement.rung, compile().enforcement.rung]).toEqual(['supervised', 'supervised', 'namespaces'])
    expect(compile({}, { rung: 'supervised' }).enforcement.layers).toEqual(['landlock', 'seccomp', 'user-notification', 'caller-memory'])
    expect(() => rungOf(IN_DOCKER, { rung: 'namespaces' })).toThrow(expect.objectContaining({ code: 'layer_missing', field: 'user-namespace' }))
  })
  test.each<{ name: string; policy: Partial<SandboxPolicy>; field: string }>([
    { name: 'a private /tmp', policy: { tmp: 'private' }, field: 'tmp' },
    { name: 'a denied place in /dev', policy: { deny: ['/dev/shm'] }, field: 'deny[0]' },
    { name: 'a writable place in /proc', policy: { write: ['/proc'] }, field: 'write[0]' },
  ])('supervised, $name is refused by name', ({ policy, field }) => {
    expect(() => compile(policy, { rung: 'supervised', on: { ...HOST, files: fakeHost({ home: { user: { work: {} } }, tmp: {}, dev: { shm: {} }, proc: {} }).files } })).toThrow(expect.objectContaining({ code: 'rule_not_enforceable', field }))
  })
  test('limits of processes are polled where no namespace counts them', () => {
    expect(compile({ limits: { pids: 9 } }, { rung: 'supervised' }).enforcement.limits).toEqual({ pids: 'polled' })
  })
})

describe('what ends all that a command started', () => {
  const there: EndingGroupReport = { available: true, parent: '/sys/fs/cgroup/own' }
  const old = { rung: 'supervised', layers: linuxLayers({ abi: 5 }) } as const

  test.each<{ name: string; policy?: Partial<SandboxPolicy>; with: Parameters<typeof compile>[1]; treeEnd: string; groups?: object; noted?: string }>([
    { name: 'a PID namespace, whatever Landlock can', with: { layers: linuxLayers({ abi: 5 }), endingGroup: there }, treeEnd: 'pid-namespace' },
    { name: 'a signal that stays inside', with: { rung: 'supervised', layers: linuxLayers({ abi: 6 }), endingGroup: there }, treeEnd: 'signal-scope' },
    { name: 'its control group', with: { ...old, endingGroup: there }, treeEnd: 'control-group', groups: { parent: '/sys/fs/cgroup/own', holds: [], ends: true } },
    {
      name: 'the control group that holds its limits', policy: { limits: { pids: 9 } }, treeEnd: 'control-group', groups: { parent: '/sys/fs/cgroup/beside', holds: ['pids'], ends: true },
      with: { ...old, endingGroup: there, groups: { available: true, parent: '/sys/fs/cgroup/beside', holds: ['pids'] } },
    },
    { name: 'a walk, with the reason', with: { ...old, endingGroup: { available: false, reason: 'cgroup v2 is not mounted' } }, treeEnd: 'repeated-walk', noted: 'no control group can end commands (cgroup v2 is not mounted)' },
    { name: 'a walk, where nobody looked for a group', with: old, treeEnd: 'repeated-walk', noted: 'could outrun' },
    { name: 'a walk, where commands could leave their group', policy: { write: ['/sys'] }, with: { ...old, endingGroup: there }, treeEnd: 'repeated-walk', noted: 'commands may write in /sys/fs/cgroup' },
  ])('$name', ({ policy = {}, with: options, treeEnd, groups, noted }) => {
    const plan = compile(policy, { ...options, on: { ...HOST, files: fakeHost({ home: { user: { work: {} } }, tmp: {}, dev: { shm: {} }, sys: {} }).files } })
    expect([plan.enforcement.treeEnd, plan.groups]).toEqual([treeEnd, groups])
    expect(plan.supervision?.outer.rules.some(({ path }) => path === (plan.groups?.parent ?? 'none')) ?? false).toBe(groups !== undefined)
    expect(plan.enforcement.notes.filter(note => /could outrun/.test(note))).toEqual(noted === undefined ? [] : [expect.stringContaining(noted)])
  })
})

describe('a rule that cannot be held', () => {
  const restricted: Partial<SandboxPolicy> = { readAccess: { kind: 'restricted', includePlatformDefaults: true, readableRoots: [] }, excludeSlashTmp: true }
  test('restricted reads without Landlock, whatever is allowed', () => {
    expect(() => compile(restricted, { layers: linuxLayers({ missing: ['landlock'] }), allow: ['no-landlock'] })).toThrow('readAccess "restricted" cannot be enforced on this host: only Landlock holds it, and no landlock here. Get landlock. Or say full access, and deny by name what must not be read.')
    expect(compile(restricted).landlock?.files?.rules.some(({ path }) => path === '/')).toBe(false)
  })
  test('a glob whose later matches no mount holds', () => {
    expect(() => compile({ deny: ['**/*.key'] })).toThrow(expect.objectContaining({ code: 'rule_not_enforceable', field: 'deny[0]' }))
    expect(() => compile({ deny: ['**/*.key'] })).toThrow('deny[0] "/home/user/work/**/*.key" cannot be enforced on this host: files that match a deny glob but are made after the start are not denied. Deny a folder instead, or allow it by name: allowDegraded ["later-glob-matches"].')
    expect(compile({ deny: ['**/*.key'] }, { allow: ['later-glob-matches'] }).mounts).toContainEqual(expect.objectContaining({ step: 'mask', path: '/home/user/work/id.key' }))
  })
})

describe('Landlock', () => {
  const rights = (plan: LinuxNativePlan, path: string): string[] => {
    const allowed = BigInt(plan.landlock?.files?.rules.find(rule => rule.path === path)?.allowed ?? 0)
    return FS_RIGHTS.filter((_, bit) => allowed & (1n << BigInt(bit))).map(({ right }) => right)
  }
  const EVERYTHING = FS_RIGHTS.filter(({ since }) => since <= 7).map(({ right }) => right)

  test('what a command may do in places of its own', () => {
    expect(rights(compile(), '/dev')).toEqual(['execute', 'write_file', 'read_file', 'read_dir', 'truncate', 'ioctl_dev'])
    expect(rights(compile(), '/dev/shm')).toEqual(EVERYTHING)
    expect(rights(compile({ tmp: 'private' }), '/tmp')).toEqual(EVERYTHING)
    expect(rights(compile({ tmp: 'none' }), '/tmp')).toEqual([])
  })
  test('reads everywhere, all rights in a root', () => {
    expect(rights(compile(), '/')).toEqual(['execute', 'read_file', 'read_dir'])
    expect(rights(compile(), '/home/user/work')).toEqual(EVERYTHING)
  })
  test('no rule on a place of the host that the sandbox has its own of', () => {
    const plan = compile({}, { on: { ...HOST, tmpdir: '/dev/shm' } })
    expect(plan.landlock?.files?.rules.map(({ path }) => path)).toEqual(['/', '/tmp', '/home/user/work', '/dev', '/dev/shm'])
  })
  test.each([{ abi: 1, scopes: 0 }, { abi: 5, scopes: 0 }, { abi: 6, scopes: 3 }, { abi: 99, scopes: 3 }])('ABI $abi: scopes $scopes, and no network rights, since a namespace holds it', ({ abi, scopes }) => {
    expect(compile({}, { layers: linuxLayers({ abi }) }).landlock).toMatchObject({ abi, scopes, handledNet: 0 })
  })
})

describe('what is observed', () => {
  const noted = (plan: LinuxNativePlan) => plan.enforcement.notes.filter(note => note.includes('observed'))

  test.each<{ name: string; policy: Partial<SandboxPolicy>; with?: Parameters<typeof compile>[1]; observe: Observation; noted: number }>([
    { name: 'writes, where all may be read', policy: {}, observe: 'writes', noted: 0 },
    { name: 'writes, where some paths are denied: reading them is not, and it is said', policy: { deny: ['src'] }, observe: 'writes', noted: 1 },
    { name: 'reads too, where reading is restricted as a whole', policy: { readAccess: { kind: 'restricted', includePlatformDefaults: true, readableRoots: [] } }, observe: 'reads', noted: 0 },
    { name: 'reads, where they are asked for', policy: { deny: ['src'] }, with: { observe: 'reads' }, observe: 'reads', noted: 0 },
    { name: 'nothing, where that is asked for, and it is said', policy: {}, with: { observe: 'off' }, observe: 'off', noted: 1 },
    { name: 'nothing without the layer', policy: {}, with: { layers: linuxLayers({ missing: ['user-notification'] }), allow: ['no-unix-socket-control'], observe: 'reads' }, observe: 'off', noted: 1 },
    { name: 'the same on the supervised rung', policy: {}, with: { rung: 'supervised' }, observe: 'writes', noted: 0 },
  ])('$name', ({ policy, with: options, observe, noted: count }) => {
    const plan = compile(policy, options)
    expect({ observe: plan.observe, noted: noted(plan).length }).toEqual({ observe, noted: count })
    expect(readable(plan)).toContain(`"observe": "${observe}"`)
  })
})

test.each(['namespaces', 'supervised'] as const)('where the kernel does not tell of unix sockets, own ones are out of reach too, and it is said: %s', rung => {
  const noted = (missing: readonly LayerName[]) => compile({}, { rung, layers: linuxLayers({ missing }) }).enforcement.notes.filter(note => note.includes('unix sockets with a path'))
  expect(noted(['socket-owners'])).toEqual(['commands cannot connect to unix sockets with a path, not even to own ones: no socket-owners here. Get socket-owners.'])
  expect(noted([])).toEqual([])
})

test('limits: of policy and options the lower', () => {
  const plan = compile({ limits: { pids: 10, openFiles: 100 } }, { limits: { pids: 20, cpuSeconds: 5 } })
  expect(plan.limits).toEqual({ pids: 10, cpuSeconds: 5, openFiles: 100 })
  expect(plan.enforcement.limits).toEqual({ pids: 'exact', cpuSeconds: 'perProcess', openFiles: 'exact' })
})

test('a policy that confines nothing has no plan here', () => {
  const policy = resolve(presetPolicy('danger-full-access', 'reference'), HOST)
  expect(() => compileLinuxNative(policy, linuxLayers(), compileOptions())).toThrow('danger-full-access has nothing to enforce')
})

describe('a proxied network', () => {
  const { network, networkRules } = PROXIED
  const proxied = { network, ...(networkRules === undefined ? {} : { networkRules }) }
  test('needs a namespace, or the launcher to connect on behalf: without notification it is refused', () => {
    for (const rung of ['supervised', undefined] as const) {
      const layers = linuxLayers({ missing: ['network-namespace', 'user-notification'] })
      expect(() => compile(proxied, { layers, allow: ['no-unix-socket-control'], ...(rung === undefined ? {} : { rung }) })).toThrow(expect.objectContaining({ code: 'layer_missing' }))
    }
    expect(compile(proxied, { layers: linuxLayers({ missing: ['network-namespace'] }) })).toMatchObject({ rung: 'supervised', network: 'none' })
    expect(compile(proxied, { layers: linuxLayers({ missing: ['user-notification'] }), allow: ['no-unix-socket-control'] })).toMatchObject({ rung: 'namespaces', network: 'private' })
  })
  test('is one listener, two where two ports are named, and one for each local port', () => {
    const listeners = (table: object) => compile(parsePolicy({ network: table })).listeners
    expect([{ allowedDomains: [] }, { allowedDomains: [], httpPort: 80 }, { allowedDomains: [], socksPort: 80 }, { allowedDomains: [], httpPort: 80, socksPort: 80 }, { allowLocalPorts: [9, 7] }, { enabled: true }].map(listeners)).toEqual([
      [{ kind: 'proxy', port: 0 }], [{ kind: 'proxy', port: 80 }], [{ kind: 'proxy', port: 80 }], [{ kind: 'proxy', port: 80 }], [{ kind: 'local-port', port: 7 }, { kind: 'local-port', port: 9 }], undefined,
    ])
  })
})
