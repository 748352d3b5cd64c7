// Whole plans for bwrap: its arguments as data, and what is refused or degraded because it cannot hold it.
import { describe, expect, test } from 'vitest'
import type { LayerReport } from '../../../../../src/platform/backend.js'
import { type BwrapProgram, type DegradationName, type LinuxBwrapPlan, printPlan } from '../../../../../src/platform/launch-plan.js'
import { compileLinuxBwrap } from '../../../../../src/platform/linux/bwrap/compile.js'
import { bwrapArguments } from '../../../../../src/platform/linux/bwrap/compile-arguments.js'
import { compileLinuxNative } from '../../../../../src/platform/linux/native/compile.js'
import type { HostSnapshot } from '../../../../../src/policy/host-snapshot.js'
import { parsePolicy } from '../../../../../src/policy/parse.js'
import { presetPolicy } from '../../../../../src/policy/presets.js'
import { resolve } from '../../../../../src/policy/resolve.js'
import type { SandboxPolicy } from '../../../../../src/policy/sandbox-policy.js'
import { fakeHost, socket, symlink } from '../../../../support/fake-host.js'
import { compileOptions, linuxLayers } from '../../../../support/linux-layers.js'

const git = { HEAD: 'ref: refs/heads/main\n', objects: {}, refs: {}, config: '', hooks: {}, info: { exclude: '' } }
const HOST = fakeHost({
  home: { user: { work: { '.git': git, src: { 'a.ts': '', deep: { secret: '' } }, 'id.key': '' }, '.ssh': { id_ed25519: '', 'id_ed25519.pub': '' }, '.npmrc': '', other: {} } },
  tmp: { x: { ws: {} } }, usr: { bin: {} }, etc: {}, us: { launcher: '' }, dev: { shm: {}, fuse: '' }, state: {},
}, { selfPaths: ['/us'] })

const REPAIRED: BwrapProgram = { path: '/usr/bin/bwrap', version: '0.12.0', identity: { device: '1', inode: '99' }, changedNs: '1000' }
const OLD: BwrapProgram = { ...REPAIRED, version: '0.8.0', package: '0.8.0-2+deb12u1' }

const layersWith = (program: BwrapProgram, layers: readonly LayerReport[] = linuxLayers()): LayerReport[] => [{ layer: 'bwrap', available: true, program }, ...layers]

interface Surroundings { readonly layers?: readonly LayerReport[]; readonly allow?: readonly DegradationName[]; readonly on?: HostSnapshot; readonly bwrap?: BwrapProgram }

function resolved(changes: Partial<SandboxPolicy>, on: HostSnapshot) {
  return resolve({ ...presetPolicy(changes.mode ?? 'workspace-write', 'reference'), ...changes }, on)
}

function compile(changes: Partial<SandboxPolicy> = {}, { bwrap = REPAIRED, layers = layersWith(bwrap), allow = [], on = HOST }: Surroundings = {}): LinuxBwrapPlan {
  return compileLinuxBwrap(resolved(changes, on), layers, compileOptions({ allowDegraded: new Set(allow) }))
}

describe('golden plans', () => {
  test.each<{ name: string; policy: Partial<SandboxPolicy>; with?: Surroundings }>([
    { name: 'bwrap-workspace-write', policy: {} },
    { name: 'bwrap-read-only', policy: { mode: 'read-only' } },
    { name: 'bwrap-private-tmp', policy: { tmp: 'private' }, with: { on: { ...HOST, cwd: '/tmp/x/ws' } } },
    { name: 'bwrap-secrets-and-rules', policy: { denySecrets: { except: [] }, deny: ['src/deep/secret', 'missing/file'], read: ['src'], write: ['/home/user/other'], protect: ['vendor'] } },
    { name: 'bwrap-openings', policy: { deny: ['/home/user'], write: ['/home/user/work'], read: ['/home/user/.npmrc', '/home/user/other'] } },
    { name: 'bwrap-devices-network-open', policy: { network: 'open', devices: ['/dev/fuse'] } },
    { name: 'bwrap-old', policy: { protect: ['src/vendor'] }, with: { bwrap: OLD, allow: ['bwrap-hole'] } },
  ])('$name', async ({ name, policy, with: options }) => {
    // Filters are the launcher's own, and its tests compare them.
    await expect(printPlan({ ...compile(policy, options), seccomp: { command: '' } })).toMatchFileSnapshot(`../../../../golden/plans/${name}.json`)
  })

  test('without a listener nobody judges what commands do to the limits of others, and the report says so', () => {
    const notes = (surroundings?: Surroundings): string[] => compile({}, surroundings).enforcement.notes.filter(note => note.includes('PID namespace'))
    expect(notes()).toEqual(['commands share a PID namespace: they see each other\'s processes in /proc and reach none of them (Landlock, the launcher)'])
    expect(notes({ layers: layersWith(REPAIRED, linuxLayers({ missing: ['user-notification'] })), allow: ['no-unix-socket-control'] })).toEqual([expect.stringContaining('can lower their limits and priorities')])
  })

  test('all but the arguments is what the launcher alone would carry out', () => {
    const policy = resolved({ denySecrets: { except: [] }, network: 'proxied', networkRules: parsePolicy({ network: { allowedDomains: ['example.com'] } }).networkRules! }, HOST)
    const { backend: _, bwrap: __, degraded: ___, enforcement: ____, ...plan } = compileLinuxBwrap(policy, layersWith(REPAIRED), compileOptions())
    const { backend: _____, rung: ______, degraded: _______, enforcement: ________, ...native } = compileLinuxNative(policy, linuxLayers(), { ...compileOptions(), sharesProcesses: true })
    expect(plan).toEqual(native)
  })
})

describe('what bwrap cannot hold is refused by name', () => {
  const WITH_LINK = fakeHost({ home: { user: { work: { '.git': git, src: {}, link: symlink('src') } } }, tmp: {}, dev: { shm: {} } })
  test.each<{ name: string; policy?: Partial<SandboxPolicy>; with?: Surroundings; error: object }>([
    { name: 'no bwrap', with: { layers: [{ layer: 'bwrap', available: false, errno: 'ENOENT', reason: 'there is none', remedy: 'Install it.' }, ...linuxLayers()] }, error: { code: 'layer_missing', field: 'bwrap' } },
    { name: 'a probe that says nothing of it', with: { layers: linuxLayers() }, error: { code: 'layer_missing', field: 'bwrap' } },
    { name: 'no Landlock', with: { layers: layersWith(REPAIRED, linuxLayers({ missing: ['landlock'] })), allow: ['no-landlock'] }, error: { code: 'layer_missing', field: 'landlock' } },
    { name: 'a Landlock that does not fence signals', with: { layers: layersWith(REPAIRED, linuxLayers({ abi: 5 })) }, error: { code: 'layer_missing', field: 'landlock' } },
    { name: 'no seccomp', with: { layers: layersWith(REPAIRED, linuxLayers({ missing: ['seccomp'] })) }, error: { code: 'layer_missing', field: 'seccomp' } },
    { name: 'a denied link', policy: { deny: ['link'] }, with: { on: WITH_LINK }, error: { code: 'rule_not_enforceable', field: 'deny[0]' } },
    { name: 'git: commits, which has links stand in .git', policy: { git: 'commits' }, error: { code: 'rule_not_enforceable', field: 'git' } },
    { name: 'root, who could change the nodes of /dev', with: { on: { ...HOST, uid: 0 } }, error: { code: 'rule_not_enforceable', field: 'uid' } },
    { name: 'a hole that the plan comes near', policy: { protect: ['src/vendor'] }, with: { bwrap: OLD }, error: { code: 'rule_not_enforceable', field: 'bwrap' } },
  ])('$name', ({ policy, with: options, error }) => {
    expect(() => compile(policy, options)).toThrow(expect.objectContaining(error))
  })

  test('a submodule that is not checked out is held by a socket, where the launcher alone has a link stand', () => {
    // One entry of version 4, with the mode of a submodule.
    const index = `DIRC\0\0\0\x04\0\0\0\x01${'\0'.repeat(24)}\0\0\xe0\0${'\0'.repeat(33)}\x07\0library\0`
    const on = fakeHost({ home: { user: { work: { '.git': { ...git, index }, library: {} } } }, tmp: {}, dev: { shm: {} } })
    const at = (plan: { readonly mounts: readonly { readonly path: string }[] }) => plan.mounts.filter(({ path }) => path === '/home/user/work/library/.git')
    const native = compileLinuxNative(resolved({}, on), linuxLayers(), compileOptions())
    expect(at(native)).toEqual([expect.objectContaining({ step: 'placeholder', kind: 'symlink', text: expect.stringMatching(/^\/proc\/self\//) })])
    const plan = compile({}, { on })
    expect(at(plan)).toEqual([expect.objectContaining({ step: 'placeholder', kind: 'socket' })])
    expect(at(plan)[0]).not.toHaveProperty('text')
    expect(plan.bwrap.kinds['/home/user/work/library/.git']).toBe('socket')
  })

  test('the twin: the same with an ABI that fences them, an ordinary user, no link, and a bwrap without the hole', () => {
    expect(compile({ protect: ['src/vendor'] }, { layers: layersWith(REPAIRED, linuxLayers({ abi: 6 })) }).degraded).toEqual([])
  })
  test('a hole that the plan does not come near is none', () => {
    expect(compile({}, { bwrap: OLD }).degraded).toEqual([])
  })
  test('what is allowed by name is told', () => {
    const { degraded, enforcement } = compile({ protect: ['src/vendor'] }, { bwrap: OLD, allow: ['bwrap-hole', 'bwrap-devices'], on: { ...HOST, uid: 0 } })
    expect([degraded, enforcement.degraded, enforcement.notes.filter(note => note.includes('CVE-2026-87766')).length]).toEqual([['bwrap-devices', 'bwrap-hole'], ['bwrap-devices', 'bwrap-hole'], 1])
  })
})

describe('arguments for the host as it is now', () => {
  const plan = compile({ deny: ['/home/user/later', '/home/user/.npmrc'] }, { on: HOST })
  const words = (kinds: Record<string, 'file' | 'directory' | undefined>): string => bwrapArguments(plan, path => path in kinds ? kinds[path] : plan.bwrap.kinds[path]).join(' ')

  test.each([
    { name: 'a watched path that is not there is left out',      kinds: {},                                   has: [],                                                               not: ['/home/user/later'] },
    { name: 'a watched path that has come is hidden: a folder',  kinds: { '/home/user/later': 'directory' },  has: ['--perms 0000 --tmpfs /home/user/later --remount-ro /home/user/later'], not: [] },
    { name: 'a watched path that has come is hidden: a file',    kinds: { '/home/user/later': 'file' },       has: ['--ro-bind /dev/null /home/user/later'],                          not: [] },
    { name: 'a hidden file that became a folder is hidden as one', kinds: { '/home/user/.npmrc': 'directory' }, has: ['--tmpfs /home/user/.npmrc'],                                   not: ['/dev/null /home/user/.npmrc'] },
    { name: 'a placeholder that nobody could make is left out',  kinds: { '/home/user/work/.codex': undefined }, has: ['--ro-bind /home/user/work/.git /home/user/work/.git'],         not: ['.codex'] },
  ] as const)('$name', ({ kinds, has, not }) => {
    for (const each of has) expect(words(kinds)).toContain(each)
    for (const each of not) expect(words(kinds)).not.toContain(each)
  })

  test('nothing grows with the tree: a root with ten thousand files has the arguments of an empty one', () => {
    const full = Object.fromEntries(Array.from({ length: 10_000 }, (_, i) => [`f${i}`, '']))
    const on = (work: object): HostSnapshot => fakeHost({ home: { user: { work: work as never } }, tmp: {}, dev: { shm: {} } })
    expect(compile({}, { on: on(full) }).bwrap.arguments).toEqual(compile({}, { on: on({}) }).bwrap.arguments)
  })
})

test('a socket outside is not masked and stays unreachable by the filter', () => {
  const on = fakeHost({ home: { user: { work: { 'own.sock': socket() } } }, run: { 'db.sock': socket() }, tmp: {}, dev: { shm: {} } })
  expect(compile({}, { on }).seccomp.listener).toBeDefined()
})
