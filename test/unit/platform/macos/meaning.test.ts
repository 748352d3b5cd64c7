// The compiled profile means what `decide` says: random policies on random hosts, and thousands of accesses. Longer runs:
// SEATBELT_RUNS=20000. A failure prints its seed; SEATBELT_SEED repeats it.
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { SandboxError } from '../../../../src/errors.js'
import { compileProfile } from '../../../../src/platform/macos/compile.js'
import type { FileAccess } from '../../../../src/policy/decision.js'
import { followLinks, followLinksToParent } from '../../../../src/policy/follow-links.js'
import { escapeGlob, globMatches, parseGlob } from '../../../../src/policy/glob.js'
import type { HostSnapshot } from '../../../../src/policy/host-snapshot.js'
import { judge } from '../../../../src/policy/judge-path.js'
import { isInside } from '../../../../src/policy/path-syntax.js'
import { presetPolicy } from '../../../../src/policy/presets.js'
import { resolve } from '../../../../src/policy/resolve.js'
import type { ResolvedPolicy } from '../../../../src/policy/resolved-policy.js'
import type { SandboxPolicy } from '../../../../src/policy/sandbox-policy.js'
import { symlink, type Tree } from '../../../support/fake-host.js'
import { macHost } from '../../../support/macos-host.js'
import { SeatbeltModel } from '../../../support/seatbelt-model.js'

const RUNS = Number(process.env['SEATBELT_RUNS'] ?? 400)
const parameters = { numRuns: RUNS, ...(process.env['SEATBELT_SEED'] === undefined ? {} : { seed: Number(process.env['SEATBELT_SEED']) }) }
const KINDS: readonly FileAccess[] = ['read', 'write', 'create', 'remove', 'execute']

const NAMES = ['a', 'b', 'c', 'Sub', 'x.key', 'y.KEY', '.git', '.codex', '.vscode', '.env', 'a b', 'q"\\', '(x)', '+[1]', 'caf\u00e9', 'stra\u00dfe'] as const
const name = fc.constantFrom<string>(...NAMES)

const leaf = fc.oneof({ weight: 3, arbitrary: fc.constant('') }, { weight: 1, arbitrary: fc.constantFrom('/data', '/Users/me/work/a', '../b', '/private/tmp', 'nowhere', '/Users/them').map(symlink) })
const folder = (depth: number): fc.Arbitrary<Tree> => fc.dictionary(name, depth === 0 ? leaf : fc.oneof(leaf, folder(depth - 1)), { maxKeys: 4 }).map(tree => tree as Tree)
const host: fc.Arbitrary<HostSnapshot> = fc.record({
  work: folder(2), data: folder(2), tmp: folder(1), them: folder(0), ignoresCase: fc.constantFrom([''], [], ['/Users'], ['/data']), tmpdir: fc.constantFrom('/var/folders/zz/T/', undefined), self: fc.constantFrom([], ['/Users/me/work/a'], ['/data']),
}).map(({ work, data, tmp, them, ignoresCase, tmpdir, self }) => macHost({
  Users: { me: { work: { ...work, own: {} }, '.ssh': { id: '', 'id.pub': '' }, '.npmrc': '', '.cache': { own: { x: '' }, settings: { y: '' } } }, them }, data, private: { tmp, var: { folders: { zz: { T: {} } } }, etc: { hosts: '' } },
  tmp: symlink('private/tmp'), var: symlink('private/var'), etc: symlink('private/etc'), usr: { bin: { env: '' }, lib: {} }, bin: { sh: '' }, System: { Library: {}, Volumes: { Data: {} } }, dev: {},
}, { tmpdir, selfPaths: self, caseInsensitive: ignoresCase }))

const BASES = ['/Users/me/work', '/data', '/private/tmp', '/tmp', '/Users', '/Users/me', '/Users/them', '/var/folders/zz/T', '/', '/System/Volumes/Data/Users/me/work', '/users/ME/Work'] as const
const place = fc.tuple(fc.constantFrom<string>(...BASES), fc.array(name, { maxLength: 3 })).map(([base, names]) => [base === '/' ? '' : base, ...names].join('/') || '/')
const rule = place.map(path => escapeGlob('macos', path))
const glob = fc.tuple(fc.constantFrom('/Users/me/work', '/data', '', '/users/me'), fc.array(fc.constantFrom('**', '*', 'a', 'Sub', '?', '[a-c]', '*b'), { maxLength: 2 }), fc.constantFrom('*.key', '.env', 'a', '*', '{a,c}', '[!a]*'))
  .map(([base, middle, last]) => [base, ...middle, last].join('/'))

const policy: fc.Arbitrary<SandboxPolicy> = fc.record({
  mode: fc.constantFrom('workspace-write' as const, 'workspace-write' as const, 'read-only' as const),
  writableRoots: fc.uniqueArray(place, { maxLength: 2 }), read: fc.uniqueArray(rule, { maxLength: 3 }), write: fc.uniqueArray(rule, { maxLength: 3 }),
  deny: fc.uniqueArray(fc.oneof({ weight: 2, arbitrary: rule }, { weight: 1, arbitrary: glob }), { maxLength: 4 }),
  protect: fc.constantFrom([], ['own'], ['a/b']), git: fc.constantFrom('protected' as const, 'commits' as const),
  protectAgentFiles: fc.boolean(), denySecrets: fc.constantFrom(false as const, { except: [] }), tmp: fc.constantFrom('host' as const, 'none' as const),
  readAccess: fc.oneof(fc.constant({ kind: 'full' as const }), fc.uniqueArray(place, { maxLength: 2 }).map(readableRoots => ({ kind: 'restricted' as const, includePlatformDefaults: true, readableRoots }))),
}).map(rest => ({ ...presetPolicy(rest.mode, 'reference'), ...rest, writableRoots: rest.mode === 'read-only' ? [] : rest.writableRoots }))

/** Undefined where the policy is refused as a whole: that is never an opening. */
function resolveOrRefuse(input: SandboxPolicy, on: HostSnapshot, pick: number): ResolvedPolicy | undefined {
  const caches = { ...(pick % 3 === 0 ? { files: '/Users/me/.cache/own' } : {}), ...(pick % 5 === 0 ? { settings: '/Users/me/.cache/settings' } : {}) }
  try {
    return resolve(input, on, { allowBroadRoots: true, caches })
  } catch (error) {
    if (error instanceof SandboxError) return undefined
    throw error
  }
}

const PATHS_A_RUN = 80

/** Some of all paths of the tree, with names that are not there, as the kernel has them; and respelled where the disk ignores that. */
function accessesOn(on: HostSnapshot, pick: number): { kind: FileAccess; path: string }[] {
  const paths = new Set<string>(['/', '/Users/me/work/.agents', '/data/New/er'])
  const walk = (at: string, depth: number): void => {
    paths.add(at)
    for (const child of depth === 0 ? [] : on.files.children(at) ?? []) walk(`${at === '/' ? '' : at}/${child}`, depth - 1)
  }
  walk('/', 2)
  for (const base of ['/Users/me/work', '/data', '/private/tmp', '/private/var/folders/zz/T', '/Users/me/.cache']) walk(base, 4)
  for (const path of [...paths]) for (const extra of ['new', 'x.KEY', '.GIT', '.agent\u017f', 'A']) paths.add(`${path === '/' ? '' : path}/${extra}`)
  for (const path of [...paths]) paths.add(path.toUpperCase())
  const stride = Math.ceil(paths.size / PATHS_A_RUN)
  return [...paths].filter((_, index) => index % stride === pick % stride).flatMap(path => KINDS.flatMap(kind => {
    try {
      return [{ kind, path: (kind === 'create' || kind === 'remove' ? followLinksToParent : followLinks)(on, path, 'path').path }]
    } catch (error) {
      if (error instanceof SandboxError) return []
      throw error
    }
  }))
}

/** What is the profile's own, whatever the policy: /dev, and the root folder. */
const isOwn = (path: string) => path === '/' || isInside('macos', '/dev', path)

/** A folder that lies on a glob's way stays in its place, even where nothing that is denied lies in it now. */
function isOnAGlobsWay({ globs, caseInsensitiveRoots }: ResolvedPolicy, path: string): boolean {
  const ignoreCase = caseInsensitiveRoots.some(root => isInside('macos', root, path))
  return globs.some(({ pattern }) => {
    const { segments } = parseGlob('macos', pattern, 'deny')
    return segments.slice(0, -1).some((segment, index) => segment.kind === 'name' && globMatches('macos', { pattern, segments: segments.slice(0, index + 1) }, path, { ignoreCase }))
  })
}

describe('the profile means what decide says', { timeout: 1_800_000 }, () => {
  test('every access on every path', () => {
    let judged = 0
    let denied = 0
    fc.assert(fc.property(policy, host, fc.nat(), (input, on, pick) => {
      const resolved = resolveOrRefuse(input, on, pick)
      if (resolved === undefined) return
      const profile = compileProfile(resolved)
      const model = new SeatbeltModel(profile, on)
      const loose = new SeatbeltModel(profile, on, { readings: ['kernel'], regexCase: 'ignored' })
      for (const { kind, path } of accessesOn(on, pick)) {
        if (isOwn(path)) continue
        const decision = judge(resolved, { kind, path })
        const expected = decision.verdict
        const verdict = model.allows(kind, path) ? 'allow' : 'deny'
        judged++
        if (expected === 'deny') denied++
        if (expected === 'deny') {
          // Where a kernel ignores the case of expressions, and by the far end of a firmlink.
          expect(`${kind} ${path}: ${loose.allows(kind, path)}`).toBe(`${kind} ${path}: false`)
          const far = `/System/Volumes/Data${path}`
          if (kind === 'read' && path.startsWith('/Users')) expect(`${kind} ${far}: ${model.allows(kind, far)}`).toBe(`${kind} ${far}: false`)
        }
        if (verdict === expected) continue
        if (expected === 'allow' && kind === 'remove' && isOnAGlobsWay(resolved, path)) continue
        // What is missing below a denied folder, and to be read there, is opened in the policy's own spelling only.
        if (decision.verdict === 'allow' && decision.rule?.kind === 'missing' && !isInside('macos', decision.rule.path, path)) continue
        // Beyond ASCII a glob may deny more than it names.
        if (expected === 'allow' && resolved.globs.length > 0 && !/^[\x20-\x7e]*$/.test(path)) continue
        expect(`${kind} ${path}: ${verdict}`).toBe(`${kind} ${path}: ${expected}`)
      }
    }), parameters)
    // Most policies are accepted, and both verdicts are frequent.
    expect(judged).toBeGreaterThan(RUNS * 100)
    expect(denied / judged).toBeGreaterThan(0.2)
    expect(denied / judged).toBeLessThan(0.9)
  })
})
