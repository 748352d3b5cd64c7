// What holds for every policy, host and access: random ones, on a small tree with links, repositories and missing names.
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { SandboxError } from '../../../src/errors.js'
import { type AdditionalPermissions, checkWidened, widen } from '../../../src/policy/additional-permissions.js'
import { decide } from '../../../src/policy/decide.js'
import { isPermitted } from '../../../src/policy/decide-path.js'
import type { Decision, FileAccess } from '../../../src/policy/decision.js'
import { describeDecision } from '../../../src/policy/explain.js'
import { followLinks } from '../../../src/policy/follow-links.js'
import { presetPolicy } from '../../../src/policy/presets.js'
import { resolve } from '../../../src/policy/resolve.js'
import type { ResolvedPolicy } from '../../../src/policy/resolved-policy.js'
import type { SandboxPolicy } from '../../../src/policy/sandbox-policy.js'
import { fakeHost, symlink } from '../../support/fake-host.js'

const git = { HEAD: '', objects: {}, refs: {}, config: '', hooks: { 'pre-commit': '' }, modules: { m: { HEAD: '', objects: {}, refs: {}, config: '' } } }
const host = fakeHost({
  home: { user: { work: { a: { b: { c: '' }, 'x.key': '' }, '.git': git, link: symlink('a'), out: symlink('/data/d') }, '.npmrc': '', '.ssh': { id: '', 'id.pub': '' }, repo: { '.git': 'gitdir: ../work/.git', '.codex': {} } } },
  data: { d: { e: '' }, 'f.key': '' }, tmp: { '.agents': '' }, usr: { bin: { node: '' } }, us: { launcher: '' },
}, { selfPaths: ['/us'], codexHome: '/home/user/.codex' })

const PLACES = [
  '/', '/home', '/home/user', '/home/user/work', '/home/user/work/a', '/home/user/work/a/b', '/home/user/work/a/b/c', '/home/user/work/a/x.key', '/home/user/work/a/new', '/home/user/work/a/new/er',
  '/home/user/work/.git', '/home/user/work/.git/config', '/home/user/work/.git/hooks/pre-commit', '/home/user/work/.git/index', '/home/user/work/.git/modules/m', '/home/user/work/.git/modules/m/config', '/home/user/work/.git/modules/n',
  '/home/user/work/.codex', '/home/user/work/.codex/x', '/home/user/work/link', '/home/user/work/out', '/home/user/repo', '/home/user/repo/.git', '/home/user/repo/.codex/x', '/home/user/.npmrc', '/home/user/.ssh', '/home/user/.ssh/id', '/home/user/.ssh/id.pub',
  '/data', '/data/d', '/data/d/e', '/data/f.key', '/data/g.key', '/tmp', '/tmp/x', '/tmp/.agents', '/usr/bin/node', '/us', '/us/launcher', '/home/user/.codex/auth.json',
]
const GLOBS = ['**/*.key', '/data/*.key', 'a/**', '/data/{d,x}', '/home/user/work/*/b', '/data/?']

const place = fc.constantFrom(...PLACES)
const places = fc.uniqueArray(place, { maxLength: 3 })
const policyArbitrary: fc.Arbitrary<SandboxPolicy> = fc.record({
  mode: fc.constantFrom('workspace-write' as const, 'read-only' as const),
  writableRoots: places, read: places, write: places,
  deny: fc.uniqueArray(fc.oneof(place, fc.constantFrom(...GLOBS)), { maxLength: 3 }),
  protect: fc.constantFrom([], ['x'], ['a/b']),
  git: fc.constantFrom('protected' as const, 'commits' as const),
  denySecrets: fc.constantFrom(false as const, { except: [] }, { except: ['~/.ssh/id'] }),
  tmp: fc.constantFrom('host' as const, 'private' as const),
  readAccess: fc.constantFrom({ kind: 'full' as const }, { kind: 'restricted' as const, includePlatformDefaults: true, readableRoots: ['/data'] }),
}).map(rest => ({ ...presetPolicy(rest.mode, 'reference'), ...rest, writableRoots: rest.mode === 'read-only' ? [] : rest.writableRoots }))
const kind = fc.constantFrom<FileAccess>('read', 'write', 'create', 'remove', 'execute')
const access = fc.record({ kind, path: place })

/** Undefined where the policy is refused as a whole: that is never an opening. */
function resolveOrRefuse(policy: SandboxPolicy): ResolvedPolicy | undefined {
  try {
    return resolve(policy, host, { allowBroadRoots: true })
  } catch (error) {
    if (error instanceof SandboxError) return undefined
    throw error
  }
}
const allows = (policy: ResolvedPolicy, request: { kind: FileAccess; path: string }) => decide(policy, request).verdict === 'allow'
/** Many more in a long run: LAWS_RUNS=20000. */
const runs = { numRuns: Number(process.env['LAWS_RUNS'] ?? 200) }

/** As a grant does it. */
function widened(policy: SandboxPolicy, resolved: ResolvedPolicy, permissions: AdditionalPermissions): { policy: SandboxPolicy; resolved: ResolvedPolicy } {
  const widening = widen(policy, resolved, permissions, host)
  if (widening === undefined) return { policy, resolved }
  const after = resolve(widening.policy, host, { allowBroadRoots: true })
  checkWidened(resolved, after, widening, host)
  return { policy: widening.policy, resolved: after }
}

describe('laws', { timeout: 600_000 }, () => {
  test('the verdict alone is the one with its remedy', () => {
    fc.assert(fc.property(policyArbitrary, access, (policy, request) => {
      const resolved = resolveOrRefuse(policy)
      fc.pre(resolved !== undefined)
      expect(isPermitted(resolved, request)).toBe(allows(resolved, request))
    }), runs)
  })

  test('adding a deny never grows access', () => {
    fc.assert(fc.property(policyArbitrary, fc.oneof(place, fc.constantFrom(...GLOBS)), (policy, denied) => {
      const [before, after] = [resolveOrRefuse(policy), resolveOrRefuse({ ...policy, deny: [...policy.deny, denied] })]
      fc.pre(before !== undefined && after !== undefined)
      for (const path of PLACES) for (const kind of ['read', 'write', 'create', 'remove'] as const) {
        if (allows(after, { kind, path })) expect(`${kind} ${path} ${allows(before, { kind, path })}`).toBe(`${kind} ${path} true`)
      }
    }), runs)
  })

  test('what is denied by name is denied, unless a rule below it opens more', () => {
    fc.assert(fc.property(policyArbitrary, place, (policy, denied) => {
      const resolved = resolveOrRefuse({ ...policy, deny: [denied] })
      fc.pre(resolved !== undefined)
      expect(allows(resolved, { kind: 'read', path: followLinks(host, denied, 'x').path })).toBe(false)
    }), runs)
  })

  test('the most specific rule wins', () => {
    fc.assert(fc.property(policyArbitrary, access, (policy, { path }) => {
      const resolved = resolveOrRefuse({ ...policy, tmp: 'host', deny: policy.deny.filter(each => !/[*?{]/.test(each)) })
      fc.pre(resolved !== undefined)
      const over = resolved.paths.filter(rule => path === rule.path || path.startsWith(rule.path === '/' ? '/' : `${rule.path}/`))
      const longest = over.reduce<(typeof over)[number] | undefined>((best, rule) => best === undefined || rule.path.length > best.path.length ? rule : best, undefined)
      const effect = longest?.effect ?? resolved.base
      expect([allows(resolved, { kind: 'read', path }), allows(resolved, { kind: 'write', path })]).toEqual([effect !== 'deny', effect === 'write'])
    }), runs)
  })

  test('rules are sorted, one a path, and only a missing one has no identity', () => {
    fc.assert(fc.property(policyArbitrary, policy => {
      const paths = resolveOrRefuse(policy)?.paths ?? []
      const depth = (path: string) => path.split('/').filter(Boolean).length
      expect(paths.map(({ path }) => path)).toEqual([...new Set(paths.map(({ path }) => path))].sort((a, b) => depth(a) - depth(b) || (a < b ? -1 : 1)))
      for (const rule of paths) expect(rule.identity === undefined).toBe(rule.kind === 'missing')
    }), runs)
  })

  test('what runs outside is never writable, and tokens of CODEX_HOME are not readable with denySecrets', () => {
    fc.assert(fc.property(policyArbitrary, policy => {
      const resolved = resolveOrRefuse(policy)
      fc.pre(resolved !== undefined)
      for (const path of ['/us', '/us/launcher', '/home/user/.codex', '/home/user/.codex/auth.json']) for (const kind of ['write', 'create', 'remove'] as const) expect(allows(resolved, { kind, path })).toBe(false)
    }), runs)
  })

  test('git on the host never runs what a command wrote, unless `write` names it', () => {
    fc.assert(fc.property(policyArbitrary, policy => {
      const resolved = resolveOrRefuse({ ...policy, mode: 'workspace-write', write: policy.write.filter(each => !each.includes('.git')) })
      fc.pre(resolved !== undefined)
      for (const path of ['/home/user/work/.git/hooks/pre-commit', '/home/user/work/.git/config', '/home/user/work/.git/commondir', '/home/user/work/.git/rebase-merge', '/home/user/work/.git/modules/m/config', '/home/user/work/.git/modules/n']) {
        for (const kind of ['write', 'create', 'remove'] as const) expect(`${path} ${allows(resolved, { kind, path })}`).toBe(`${path} false`)
      }
      expect(allows(resolved, { kind: 'remove', path: '/home/user/work/.git' })).toBe(false)
    }), runs)
  })

  test('resolving is repeatable, and spellings make no difference', () => {
    const respell = (path: string) => /[*?{]/.test(path) ? path : `${path.replaceAll('/', '//')}/.`
    fc.assert(fc.property(policyArbitrary, policy => {
      const plain = resolveOrRefuse(policy)
      const spelled = resolveOrRefuse({ ...policy, writableRoots: policy.writableRoots.map(respell), read: policy.read.map(respell), write: policy.write.map(respell), deny: policy.deny.map(respell), protect: policy.protect.map(name => `./${name}/`) })
      const strip = (result: ResolvedPolicy | undefined) => result === undefined ? undefined : { ...result, ignored: result.ignored.map(({ field, reason }) => ({ field, reason })) }
      expect(resolveOrRefuse(policy)).toEqual(plain)
      expect(strip(spelled)).toEqual(strip(plain))
    }), runs)
  })

  test('resolving what was resolved changes nothing: canonical rules give the same rules', () => {
    fc.assert(fc.property(policyArbitrary, policy => {
      const canonical = (path: string) => /[*?{]/.test(path) ? path : followLinks(host, path, 'x').path
      const once = resolveOrRefuse(policy)
      const twice = resolveOrRefuse({ ...policy, writableRoots: policy.writableRoots.map(canonical), read: policy.read.map(canonical) })
      if (once !== undefined) expect(twice?.paths.map(({ path, effect }) => `${effect} ${path}`)).toEqual(once.paths.map(({ path, effect }) => `${effect} ${path}`))
    }), runs)
  })

  test('the spelling of an access makes no difference', () => {
    fc.assert(fc.property(policyArbitrary, access, (policy, request) => {
      const resolved = resolveOrRefuse(policy)
      fc.pre(resolved !== undefined)
      const verdict = decide(resolved, request)
      for (const path of [`${request.path}/`, request.path.replaceAll('/', '//'), `${request.path}/.`]) expect(decide(resolved, { ...request, path })).toEqual(verdict)
    }), runs)
  })

  test('write implies read', () => {
    fc.assert(fc.property(policyArbitrary, place, (policy, path) => {
      const resolved = resolveOrRefuse(policy)
      if (resolved !== undefined && allows(resolved, { kind: 'write', path })) expect(allows(resolved, { kind: 'read', path })).toBe(true)
    }), runs)
  })

  test('a remedy is accepted unchanged by the next call, and permits the access; seldom a rule that it uncovered needs one more', () => {
    const rounds = [0, 0, 0, 0]
    fc.assert(fc.property(policyArbitrary, access, (policy, { kind, path: written }) => {
      const path = followLinks(host, written, 'x').path
      const resolved = resolveOrRefuse(policy)
      fc.pre(resolved !== undefined)
      let [decision, current] = [decide(resolved, { kind, path }, host.files), policy]
      if (decision.verdict === 'allow' || decision.remedy.changes?.length === 0) return
      const story: string[] = []
      for (let round = 1; round <= 3 && decision.verdict === 'deny'; round++) {
        story.push(describeDecision({ kind, path }, decision))
        current = apply(current, decision)
        decision = decide(resolve(current, host, { allowBroadRoots: true }), { kind, path }, host.files)
        if (decision.verdict === 'allow') rounds[round] = (rounds[round] ?? 0) + 1
      }
      expect([...story, decision.verdict].join('\n')).toMatch(/\nallow$/)
    }), { numRuns: runs.numRuns * 3 })
    const [, first = 0, second = 0, third = 0] = rounds
    expect(first).toBeGreaterThan(runs.numRuns / 4)
    expect(second + third).toBeLessThanOrEqual(first / 50)
  })

  test('a remedy\'s additional permissions are granted unchanged, and permit the access', () => {
    let granted = 0
    fc.assert(fc.property(policyArbitrary, access, (policy, { kind, path: written }) => {
      const path = followLinks(host, written, 'x').path
      const resolved = resolveOrRefuse(policy)
      fc.pre(resolved !== undefined)
      let decision = decide(resolved, { kind, path }, host.files)
      let current = { policy, resolved }
      for (let round = 1; round <= 3 && decision.verdict === 'deny' && decision.remedy.additionalPermissions !== undefined; round++) {
        current = widened(current.policy, current.resolved, decision.remedy.additionalPermissions)
        decision = decide(current.resolved, { kind, path }, host.files)
        if (decision.verdict === 'allow') granted++
        else if (decision.remedy.additionalPermissions === undefined) return expect(decision.remedy.changes).not.toEqual([])
      }
      if (decision.verdict === 'deny') expect(decision.remedy.additionalPermissions).toBeUndefined()
    }), { numRuns: runs.numRuns * 3 })
    expect(granted).toBeGreaterThan(runs.numRuns / 4)
  })

  test('a grant opens nothing but what it names and what lies below, and closes nothing', () => {
    fc.assert(fc.property(policyArbitrary, fc.constantFrom('read' as const, 'write' as const), fc.uniqueArray(place, { minLength: 1, maxLength: 2 }), (policy, list, named) => {
      const before = resolveOrRefuse(policy)
      fc.pre(before !== undefined)
      let after: ResolvedPolicy
      try {
        after = widened(policy, before, { fileSystem: { [list]: named } }).resolved
      } catch (error) {
        if (error instanceof SandboxError) return
        throw error
      }
      const below = (path: string) => named.some(each => [each, followLinks(host, each, 'x').path].some(end => path === end || path.startsWith(end === '/' ? '/' : `${end}/`)))
      for (const path of PLACES) for (const kind of ['read', 'write'] as const) {
        const [was, is] = [allows(before, { kind, path }), allows(after, { kind, path })]
        if (is && !was) expect(`${kind} ${path} is below what was named: ${below(path)}`).toBe(`${kind} ${path} is below what was named: true`)
        // A missing name may be what holds a denied one below it, once its folder is writable.
        if (kind === 'read' && host.files.entry(path) !== undefined) expect(`read ${path} ${is || !was}`).toBe(`read ${path} true`)
      }
    }), runs)
  })
})

function apply(policy: SandboxPolicy, decision: Extract<Decision, { verdict: 'deny' }>): SandboxPolicy {
  const lists = { read: [...policy.read], write: [...policy.write], deny: [...policy.deny] }
  const gone = new Set<string>()
  let { git } = policy
  for (const change of decision.remedy.changes ?? []) {
    if (change.operation === 'remove') gone.add(change.field)
    else if (change.operation === 'add' && (change.field === 'read' || change.field === 'write')) lists[change.field].push(change.value)
    else if (change.field === 'git') git = change.value
  }
  const kept = (list: 'read' | 'write' | 'deny') => lists[list].filter((_, index) => !gone.has(`${list}[${index}]`))
  return { ...policy, git, read: kept('read'), write: kept('write'), deny: kept('deny') }
}
