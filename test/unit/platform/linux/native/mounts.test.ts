// Which mounts a policy becomes, and that they mean what `decide` says.
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { SandboxError } from '../../../../../src/errors.js'
import type { MountStep } from '../../../../../src/platform/launch-plan.js'
import { compileLinuxNative } from '../../../../../src/platform/linux/native/compile.js'
import { compileMounts } from '../../../../../src/platform/linux/native/mounts.js'
import { decide } from '../../../../../src/policy/decide.js'
import { isPermitted } from '../../../../../src/policy/decide-path.js'
import type { FileAccess } from '../../../../../src/policy/decision.js'
import type { HostSnapshot } from '../../../../../src/policy/host-snapshot.js'
import { presetPolicy } from '../../../../../src/policy/presets.js'
import { resolve } from '../../../../../src/policy/resolve.js'
import type { ResolvedPolicy } from '../../../../../src/policy/resolved-policy.js'
import type { SandboxPolicy } from '../../../../../src/policy/sandbox-policy.js'
import { fakeHost, symlink, type Tree } from '../../../../support/fake-host.js'
import { compileOptions, linuxLayers } from '../../../../support/linux-layers.js'
import { modelPlan } from '../../../../support/plan-model.js'

const TREE: Tree = {
  w: { '.git': { HEAD: '' }, '.codex': {}, '.agents': {}, a: { b: { c: '', n: {} }, f: '' }, k: { open: { in: '', private: '' }, 'closed': '' }, link: symlink('/w/a') },
  data: { d: { e: '' }, f: '' }, tmp: { x: { ws: { '.git': {}, '.codex': {}, '.agents': {}, s: '' } }, file: '' }, dev: { shm: {}, null: '' }, proc: { kcore: '' },
}
const host = fakeHost(TREE, { cwd: '/w', home: '/home' })
const IDENTITY = { device: '1', inode: '99' }

function mountsOf(changes: Partial<SandboxPolicy>, on: HostSnapshot = host): string[] {
  return compileMounts(resolve({ ...presetPolicy('workspace-write', 'reference'), excludeSlashTmp: true, ...changes }, on, { allowBroadRoots: true }), IDENTITY).map(line)
}

function line(step: MountStep): string {
  switch (step.step) {
    case 'mask': return `mask ${step.path}${step.openings.map(({ effect, path }) => ` +${effect} ${path}`).join('')}`
    case 'placeholder': return `placeholder ${step.path} ${step.kind} ${step.effect}${step.text === undefined ? '' : ` ${JSON.stringify(step.text)}`}`
    case 'watch': return `watch ${step.path} ${step.effect}`
    default: return `${step.step} ${step.path}`
  }
}

/** What the preset gives at /w. */
const ROOT = ['bind_writable /w']
const HELD = ['bind_read_only /w/.agents', 'bind_read_only /w/.codex', 'bind_read_only /w/.git']

describe('the steps of a policy', () => {
  test.each<{ name: string; policy: Partial<SandboxPolicy>; steps: string[]; on?: HostSnapshot }>([
    { name: 'a workspace: the root opens, protected names close', policy: {}, steps: [...ROOT, ...HELD] },
    { name: 'read-only: no steps, nothing is open', policy: { mode: 'read-only' }, steps: [] },
    { name: 'a missing protected name gets a placeholder', policy: {}, on: fakeHost({ w: { '.git': {} } }, { cwd: '/w', home: '/home' }), steps: [...ROOT, 'placeholder /w/.agents directory read', 'placeholder /w/.codex directory read', 'bind_read_only /w/.git'] },
    { name: 'a read rule inside a root closes it for writing', policy: { read: ['/w/a'] }, steps: [...ROOT, ...HELD, 'bind_read_only /w/a'] },
    { name: 'a read rule outside every root says nothing new', policy: { read: ['/data'] }, steps: [...ROOT, ...HELD] },
    { name: 'a write rule inside a read rule opens again', policy: { read: ['/w/a'], write: ['/w/a/b/n'], git: 'protected' }, steps: [...ROOT, ...HELD, 'bind_read_only /w/a', 'bind_writable /w/a/b/n', 'placeholder /w/a/b/n/.agents directory read', 'placeholder /w/a/b/n/.codex directory read', 'placeholder /w/a/b/n/.git directory read'] },
    { name: 'at one path deny wins over write, and one step is enough', policy: { write: ['/data/f'], deny: ['/data/f'] }, steps: [...ROOT, 'mask /data/f', ...HELD] },
    { name: 'a denied file deep in a root: the directories on the way are pinned, parents first', policy: { deny: ['/w/a/b/c'] }, steps: [...ROOT, ...HELD, 'pin /w/a', 'pin /w/a/b', 'mask /w/a/b/c'] },
    { name: 'a denied folder is one mask', policy: { deny: ['/data'] }, steps: ['mask /data', ...ROOT, ...HELD] },
    { name: 'what is read or written inside a denied folder is an opening of its mask', policy: { deny: ['/data'], read: ['/data/f'], write: ['/data/d/e'] }, steps: ['mask /data +read /data/f +write /data/d/e', ...ROOT, ...HELD] },
    { name: 'a denied path inside an opening is a mask of its own', policy: { deny: ['/w/k', '/w/k/open/private'], read: ['/w/k/open'] }, steps: [...ROOT, ...HELD, 'mask /w/k +read /w/k/open', 'mask /w/k/open/private'] },
    { name: 'a write rule inside a read opening is a mount of its own', policy: { deny: ['/w/k'], read: ['/w/k/open'], write: ['/w/k/open/in'] }, steps: [...ROOT, ...HELD, 'mask /w/k +read /w/k/open', 'bind_writable /w/k/open/in'] },
    { name: 'denied twice, nested: the outer mask hides both, and has the openings of both', policy: { deny: ['/w/k', '/w/k/open'], read: ['/w/k/open/in'] }, steps: [...ROOT, ...HELD, 'mask /w/k +read /w/k/open/in'] },
    { name: 'a missing denied path in a root: a placeholder at its first missing part', policy: { deny: ['/w/a/new/er'] }, steps: [...ROOT, ...HELD, 'pin /w/a', 'placeholder /w/a/new directory deny'] },
    { name: 'a missing denied path outside the roots is watched for', policy: { deny: ['/data/new/er'] }, steps: [...ROOT, ...HELD, 'watch /data/new/er deny'] },
    { name: 'a missing denied path below a mask is hidden by it', policy: { deny: ['/data', '/data/new'] }, steps: ['mask /data', ...ROOT, ...HELD] },
    { name: 'a missing read path in a root gets a placeholder, elsewhere nothing', policy: { read: ['/w/new', '/data/new'] }, steps: [...ROOT, ...HELD, 'placeholder /w/new directory read'] },
    { name: 'a denied link is hidden itself, and what it leads to', policy: { deny: ['/w/link'] }, steps: [...ROOT, ...HELD, 'mask /w/a', 'mask /w/link'] },
    {
      name: 'a workspace below a writable /tmp: what is between is pinned', policy: { excludeSlashTmp: false }, on: fakeHost(TREE, { cwd: '/tmp/x/ws', home: '/home' }),
      steps: ['bind_writable /tmp', 'pin /tmp/x', 'bind_writable /tmp/x/ws', 'bind_read_only /tmp/x/ws/.agents', 'bind_read_only /tmp/x/ws/.codex', 'bind_read_only /tmp/x/ws/.git'],
    },
    {
      name: 'a workspace below a private /tmp is mounted after it; nothing there needs a pin', policy: { tmp: 'private' }, on: fakeHost(TREE, { cwd: '/tmp/x/ws', home: '/home' }),
      steps: ['private_directory /tmp', 'bind_writable /tmp/x/ws', 'bind_read_only /tmp/x/ws/.agents', 'bind_read_only /tmp/x/ws/.codex', 'bind_read_only /tmp/x/ws/.git'],
    },
    { name: 'a cwd below a private /tmp stays visible, read-only, and so does what is denied in it hidden', policy: { mode: 'read-only', tmp: 'private', deny: ['/tmp/x/ws/s'] }, on: fakeHost(TREE, { cwd: '/tmp/x/ws', home: '/home' }), steps: ['private_directory /tmp', 'bind_writable /tmp/x/ws', 'bind_read_only /tmp/x/ws', 'mask /tmp/x/ws/s'] },
    { name: 'what is denied below a private /tmp is hidden by it; what is to be read is shown', policy: { tmp: 'private', deny: ['/tmp/file', '/tmp/new'], read: ['/tmp/x'] }, steps: ['private_directory /tmp', ...ROOT, 'bind_writable /tmp/x', 'bind_read_only /tmp/x', ...HELD] },
    { name: 'what is to be read in a folder that is denied below a private /tmp is shown', policy: { tmp: 'private', deny: ['/tmp/x', '/tmp/x/ws/s'], read: ['/tmp/x/ws'] }, steps: ['private_directory /tmp', ...ROOT, ...HELD, 'bind_writable /tmp/x/ws', 'bind_read_only /tmp/x/ws', 'mask /tmp/x/ws/s'] },
    { name: 'a private /tmp that is denied is only denied', policy: { tmp: 'private', deny: ['/tmp'] }, steps: ['mask /tmp', ...ROOT, ...HELD] },
    { name: 'a private /tmp that is to be written stays private', policy: { tmp: 'private', write: ['/tmp'] }, steps: ['private_directory /tmp', ...ROOT, ...HELD] },
    { name: 'no /tmp', policy: { tmp: 'none', excludeSlashTmp: false }, steps: [...ROOT, ...HELD] },
    { name: 'restricted reads: roots open, denied paths are hidden all the same', policy: { readAccess: { kind: 'restricted', includePlatformDefaults: false, readableRoots: ['/data'] }, deny: ['/data/f', '/home/x'] }, steps: [...ROOT, 'mask /data/f', 'watch /home/x deny', ...HELD] },
    { name: '$TMPDIR in /dev/shm: the sandbox has its own', policy: {}, on: fakeHost(TREE, { cwd: '/w', home: '/home', tmpdir: '/dev/shm' }), steps: [...ROOT, ...HELD] },
    {
      name: 'an open .git keeps closed what git believes, and gets placeholders that git ignores', policy: { git: 'commits' },
      on: fakeHost({ w: { '.git': { HEAD: '', objects: {}, refs: {}, config: '', hooks: {}, info: {} }, '.codex': {}, '.agents': {} } }, { cwd: '/w', home: '/home' }),
      steps: [
        ...ROOT, 'bind_read_only /w/.agents', 'bind_read_only /w/.codex', 'pin /w/.git', 'placeholder /w/.git/branches directory read', 'placeholder /w/.git/commondir file read ".\\n"',
        'bind_read_only /w/.git/config', 'placeholder /w/.git/config.worktree file read', 'bind_read_only /w/.git/hooks', 'pin /w/.git/info', 'placeholder /w/.git/modules directory read',
        'placeholder /w/.git/rebase-apply symlink read "/proc/self/held-by-codex-sandbox"', 'placeholder /w/.git/rebase-merge symlink read "/dev/git-operations/25d574f1b4c265d3/rebase-merge"', 'placeholder /w/.git/remotes directory read',
        'placeholder /w/.git/sequencer symlink read "/dev/git-operations/25d574f1b4c265d3/sequencer"', 'placeholder /w/.git/info/attributes file read',
      ],
    },
  ])('$name', ({ policy, steps, on }) => {
    expect(mountsOf(policy, on)).toEqual(steps)
  })

  test('each step carries the identity that its path must have', () => {
    const policy = resolve({ ...presetPolicy('workspace-write', 'reference'), excludeSlashTmp: true, deny: ['/w/a/new', '/w/k'], read: ['/w/k/open'] }, host)
    const identity = (path: string) => {
      const { device, inode } = host.files.entry(path)!
      return { device, inode }
    }
    const mounts = compileMounts(policy, IDENTITY)
    for (const step of mounts) {
      if ('identity' in step) expect([step.path, step.identity]).toEqual([step.path, identity(step.path)])
      if (step.step === 'mask') expect(step.openings.map(each => each.identity)).toEqual(step.openings.map(({ path }) => identity(path)))
      if (step.step === 'placeholder') expect(step.parent).toEqual(identity('/w/a'))
    }
    expect(mounts.map(({ step }) => step)).toEqual(['bind_writable', 'bind_read_only', 'bind_read_only', 'bind_read_only', 'pin', 'mask', 'placeholder'])
  })
})

describe('refused, naming field and value', () => {
  test.each<{ name: string; policy: Partial<SandboxPolicy>; message: string; on?: HostSnapshot }>([
    { name: 'the root directory as writable', policy: { write: ['/'] }, message: 'write[0] "/" cannot be enforced on this host: nothing can be mounted on the root directory that programs start from. Name the folders to write to; or, with commands unconfined, say danger-full-access.' },
    { name: 'the root directory as denied', policy: { deny: ['/'] }, message: 'deny[0] "/" cannot be enforced on this host: nothing can be mounted on the root directory that programs start from. Restrict reads with readAccess, and name what is readable.' },
    { name: 'a device as writable', policy: { write: ['/dev/null'] }, message: 'write[0] "/dev/null" cannot be enforced on this host: commands see a small /dev of their own. Name device nodes in devices; put folders elsewhere.' },
    { name: 'a workspace in shared memory', policy: {}, on: fakeHost(TREE, { cwd: '/dev/shm', home: '/home' }), message: 'cwd "/dev/shm" cannot be enforced on this host: commands see a small /dev of their own. Name device nodes in devices; put folders elsewhere.' },
    { name: 'a denied part of /proc', policy: { deny: ['/proc/kcore'] }, message: 'deny[0] "/proc/kcore" cannot be enforced on this host: commands see a /proc of their own. Drop the rule: no other process is seen there.' },
    { name: 'a private /tmp that is the cwd', policy: { tmp: 'private' }, on: fakeHost(TREE, { cwd: '/tmp', home: '/home' }), message: 'tmp "private" cannot be enforced on this host: the policy\'s cwd is /tmp itself, which would be hidden. Start in another folder, or drop tmp.' },
    { name: 'a missing path to be read below a private /tmp', policy: { tmp: 'private', write: ['/tmp'], read: ['/tmp/new'] }, message: 'read[0] "/tmp/new" cannot be enforced on this host: it does not exist, and a private /tmp is writable. Drop the rule, or make the path first.' },
    { name: 'a root where letter case makes no other name', policy: {}, on: fakeHost(TREE, { cwd: '/w', home: '/home', caseInsensitive: ['/w'] }), message: 'protected "/w/.agents" cannot be enforced on this host: in "/w" other spellings lead to the same file. Work in a folder of a file system that tells letter case apart.' },
  ])('$name', ({ policy, message, on }) => {
    expect(() => mountsOf(policy, on)).toThrow(message)
  })

  test('not refused there: where nothing has to be held', () => {
    expect(mountsOf({ mode: 'read-only' }, fakeHost(TREE, { cwd: '/w', home: '/home', caseInsensitive: ['/w'] }))).toEqual([])
    expect(mountsOf({ read: ['/proc/kcore', '/dev/null'] })).toEqual([...ROOT, ...HELD])
  })
})

// Random policies: the kernel, as the model has it, and `decide` agree.
const git = { HEAD: '', objects: {}, refs: {}, config: '', hooks: { 'pre-commit': '' }, info: {}, modules: { m: { HEAD: '', objects: {}, refs: {}, config: '' } } }
const WILD = fakeHost({
  home: { user: { work: { a: { b: { c: '' }, 'x.key': '' }, '.git': git, link: symlink('a'), out: symlink('/data/d') }, '.npmrc': '', '.ssh': { id: '' }, repo: { '.git': 'gitdir: ../work/.git', '.codex': {} } } },
  data: { d: { e: '', deep: { er: { f: '' } } }, 'f.key': '' }, tmp: { '.agents': '', ws: { s: '' } }, usr: { bin: { node: '' } }, us: { launcher: '' },
}, { selfPaths: ['/us'], codexHome: '/home/user/.codex' })
const PLACES = [
  '/home', '/home/user', '/home/user/work', '/home/user/work/a', '/home/user/work/a/b', '/home/user/work/a/b/c', '/home/user/work/a/x.key', '/home/user/work/a/new', '/home/user/work/a/new/er',
  '/home/user/work/.git', '/home/user/work/.git/config', '/home/user/work/.git/hooks/pre-commit', '/home/user/work/.git/index', '/home/user/work/.git/modules/m', '/home/user/work/.git/modules/m/config',
  '/home/user/work/.codex', '/home/user/work/.codex/x', '/home/user/work/link', '/home/user/work/out', '/home/user/repo', '/home/user/repo/.git', '/home/user/repo/.codex/x', '/home/user/.npmrc', '/home/user/.ssh', '/home/user/.ssh/id',
  '/data', '/data/d', '/data/d/e', '/data/d/deep', '/data/d/deep/er', '/data/d/deep/er/f', '/data/f.key', '/data/g.key', '/tmp', '/tmp/x', '/tmp/.agents', '/tmp/ws', '/tmp/ws/s', '/usr/bin/node', '/us', '/us/launcher',
]
const places = fc.uniqueArray(fc.constantFrom(...PLACES), { maxLength: 3 })
const wildPolicy: fc.Arbitrary<SandboxPolicy> = fc.record({
  mode: fc.constantFrom('workspace-write' as const, 'read-only' as const),
  writableRoots: places, read: places, write: places,
  deny: fc.uniqueArray(fc.constantFrom(...PLACES, '**/*.key', '/home/user/work/*/b'), { maxLength: 3 }),
  protect: fc.constantFrom([], ['x'], ['a/b']),
  git: fc.constantFrom('protected' as const, 'commits' as const),
  denySecrets: fc.constantFrom(false as const, { except: [] }),
  tmp: fc.constantFrom('host' as const, 'private' as const, 'none' as const),
  readAccess: fc.constantFrom({ kind: 'full' as const }, { kind: 'restricted' as const, includePlatformDefaults: true, readableRoots: ['/data'] }),
}).map(rest => ({ ...presetPolicy(rest.mode, 'reference'), ...rest, writableRoots: rest.mode === 'read-only' ? [] : rest.writableRoots }))
const wildCwd = fc.constantFrom('/home/user/work', '/home/user/repo', '/tmp/ws', '/data/d')
const KINDS: readonly FileAccess[] = ['read', 'execute', 'write', 'create', 'remove']
const EVERYTHING = PLACES.flatMap(path => KINDS.map(kind => ({ kind, path })))
const runs = { numRuns: Number(process.env['MOUNT_RUNS'] ?? 500) }

describe('on random policies', { timeout: 600_000 }, () => {
  const compileWild = (policy: SandboxPolicy, cwd: string, layers = linuxLayers()) => {
    try {
      const resolved = resolve(policy, WILD, { cwd, allowBroadRoots: true })
      const plan = compileLinuxNative(resolved, layers, compileOptions({ allowDegraded: new Set(['later-glob-matches', 'no-landlock']) }))
      return { resolved, plan, model: modelPlan(plan) }
    } catch (error) {
      if (error instanceof SandboxError) return undefined
      throw error
    }
  }
  /** At a private /tmp there is nothing of the host, so that a rule about what the host has there may be dropped. */
  const isOwn = ({ tmp, paths }: ResolvedPolicy, path: string) =>
    tmp === 'private' && path.startsWith('/tmp/') && !paths.some(rule => rule.effect !== 'deny' && rule.path.startsWith('/tmp/') && (path === rule.path || path.startsWith(`${rule.path}/`)))

  test('the kernel allows nothing that `decide` denies', () => {
    fc.assert(fc.property(wildPolicy, wildCwd, fc.boolean(), (policy, cwd, hasLandlock) => {
      const compiled = compileWild(policy, cwd, linuxLayers({ missing: hasLandlock ? [] : ['landlock'] }))
      fc.pre(compiled !== undefined)
      const wrong = EVERYTHING.filter(({ kind, path }) => {
        if (!compiled.model.allows(kind, path) || isOwn(compiled.resolved, path)) return false
        const decision = decide(compiled.resolved, { kind, path })
        const isLaterMatch = decision.verdict === 'deny' && decision.because === 'glob'
        return decision.verdict === 'deny' && !isLaterMatch
      })
      expect(wrong).toEqual([])
    }), runs)
  })

  test('the kernel denies nothing that `decide` allows, but to move what is mounted', () => {
    fc.assert(fc.property(wildPolicy, wildCwd, (policy, cwd) => {
      const compiled = compileWild(policy, cwd)
      fc.pre(compiled !== undefined)
      const wrong = EVERYTHING.filter(({ kind, path }) => {
        if (compiled.model.allows(kind, path) || isOwn(compiled.resolved, path)) return false
        const isMoved = (kind === 'create' || kind === 'remove') && compiled.model.isMountPoint(path)
        // Most are denied; what would permit each, which `decide` looks for, is not asked here.
        if (isMoved || !isPermitted(compiled.resolved, { kind, path })) return false
        const decision = decide(compiled.resolved, { kind, path })
        // Inside a denied folder nothing can be shown that is not there.
        return decision.verdict === 'allow' && decision.rule?.kind !== 'missing'
      })
      expect(wrong).toEqual([])
    }), runs)
  })

  test('no folder above what is held can be renamed away', () => {
    fc.assert(fc.property(wildPolicy, wildCwd, (policy, cwd) => {
      const compiled = compileWild(policy, cwd)
      fc.pre(compiled !== undefined)
      const { plan, model } = compiled
      for (const { step, path } of plan.mounts) {
        if (step === 'private_directory' || step === 'watch' || (policy.tmp === 'private' && path.startsWith('/tmp/'))) continue
        for (let at = path; at !== '/'; at = at.slice(0, at.lastIndexOf('/')) || '/') {
          const parent = at.slice(0, at.lastIndexOf('/')) || '/'
          expect(`${at} ${model.lets(parent) === 'change' && !model.isMountPoint(at)}`).toBe(`${at} false`)
        }
      }
    }), runs)
  })

  test('adding a deny never grows what the kernel allows', () => {
    fc.assert(fc.property(wildPolicy, wildCwd, fc.constantFrom(...PLACES), (policy, cwd, denied) => {
      const [before, after] = [compileWild(policy, cwd), compileWild({ ...policy, deny: [...policy.deny, denied] }, cwd)]
      fc.pre(before !== undefined && after !== undefined)
      const wrong = EVERYTHING.filter(({ kind, path }) =>
        after.model.allows(kind, path) && !isOwn(after.resolved, path) && !before.model.allows(kind, path) && !before.model.isMountPoint(path))
      expect(wrong).toEqual([])
    }), runs)
  })
})
