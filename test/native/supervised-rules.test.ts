// What the monitor takes a policy's rules to mean (native/linux/supervised-rules.c) is what `decide` says they mean.
import { spawnSync } from 'node:child_process'
import fc from 'fast-check'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { judge } from '../../src/policy/judge-path.js'
import { isInside } from '../../src/policy/path-syntax.js'
import type { Effect, PathRule, ResolvedPolicy } from '../../src/policy/resolved-policy.js'
import { orderRules } from '../../src/policy/rule-order.js'
import { buildCTool, type CTool } from './c-tool.js'

let tool: CTool | string
beforeAll(() => { tool = process.platform === 'linux' ? buildCTool('rules-tool', ['supervised-rules']) : 'the launcher is for Linux' })
afterAll(() => { if (typeof tool === 'object') tool.remove() })
beforeEach(context => { if (typeof tool === 'string') context.skip(tool) })

interface Policy { readonly base: 'read' | 'deny'; readonly rules: readonly { readonly path: string; readonly effect: Effect }[]; readonly caseInsensitiveRoots: readonly string[] }
interface Meaning { readonly effect: Effect; readonly create: boolean; readonly remove: boolean; readonly aboveClosed: boolean; readonly supervised: boolean; readonly granted: boolean }

const hex = (text: string): string => Buffer.from(text).toString('hex')

/** One answer a path, for each policy. */
function ask(questions: readonly { readonly policy: Policy; readonly grants?: readonly string[]; readonly paths: readonly string[] }[]): Meaning[][] {
  const lines = questions.flatMap(({ policy, grants = [], paths }) => [
    `policy ${policy.base}`,
    ...policy.rules.map(({ path, effect }) => `rule ${effect} ${policy.caseInsensitiveRoots.some(root => isInside('linux', root, path)) ? 1 : 0} ${hex(path)}`),
    ...grants.map(path => `grant ${hex(path)}`),
    ...paths.map(path => `ask ${hex(path)}`),
  ])
  const { status, stdout, stderr } = spawnSync((tool as CTool).path, { input: `${lines.join('\n')}\n`, encoding: 'utf8', env: { ASAN_OPTIONS: 'detect_leaks=0' }, maxBuffer: 1 << 30 })
  if (status !== 0) throw new Error(`the tool ended with ${status}: ${stderr}`)
  const answers = stdout.split('\n').filter(line => !/^(granted|refused|)$/.test(line)).map((line): Meaning => {
    const [effect, ...words] = line.split(' ')
    const has = (word: string) => words.includes(word)
    return { effect: effect as Effect, create: has('create'), remove: has('remove'), aboveClosed: has('above_closed'), supervised: has('supervised'), granted: has('granted') }
  })
  return questions.map(({ paths }) => answers.splice(0, paths.length))
}

function resolved({ base, rules, caseInsensitiveRoots }: Policy): ResolvedPolicy {
  const paths = rules.map(({ path, effect }): PathRule => ({ path, effect, origin: 'rule', field: 'x', owner: undefined, kind: 'directory', identity: { device: '1', inode: '1' } }))
  return { platform: 'linux', base, globs: [], tmp: 'host', caseInsensitiveRoots, paths: orderRules('linux', caseInsensitiveRoots, paths) } as unknown as ResolvedPolicy
}

/** `/` has no name that could be made or removed. */
function reference(policy: ResolvedPolicy, path: string): Omit<Meaning, 'aboveClosed' | 'supervised' | 'granted'> {
  const allows = (kind: 'read' | 'write' | 'create' | 'remove') => judge(policy, { kind, path }).verdict === 'allow'
  return { effect: allows('write') ? 'write' : allows('read') ? 'read' : 'deny', create: path !== '/' && allows('create'), remove: path !== '/' && allows('remove') }
}

const NAMES = ['a', 'b', '.git', 'long-name', 'A']
const pathOf = (names: fc.Arbitrary<string>) => fc.array(names, { maxLength: 5 }).map(parts => `/${parts.join('/')}`)
const effect = fc.constantFrom<Effect>('write', 'read', 'deny')
const policyOf = (names: fc.Arbitrary<string>, roots: readonly string[]): fc.Arbitrary<Policy> => fc.record({
  base: fc.constantFrom('read' as const, 'deny' as const),
  rules: fc.array(fc.record({ path: pathOf(names), effect }), { maxLength: 9 }),
  caseInsensitiveRoots: fc.constantFrom([], roots),
})
const meaning = ({ effect, create, remove }: Meaning) => ({ effect, create, remove })
const runs = { numRuns: Number(process.env['LAWS_RUNS'] ?? 60) }

describe('supervised rules', { timeout: 600_000 }, () => {
  test('random rules and paths: the same effect, the same names may be made and removed', () => {
    const names = fc.constantFrom(...NAMES)
    const question = fc.record({ policy: policyOf(names, []), paths: fc.array(pathOf(names), { minLength: 20, maxLength: 20 }) })
    fc.assert(fc.property(fc.array(question, { minLength: 20, maxLength: 20 }), questions => {
      const answers = ask(questions)
      questions.forEach(({ policy, paths }, i) => {
        const known = resolved(policy)
        paths.forEach((path, j) => { expect({ path, ...meaning(answers[i]?.[j] as Meaning) }).toEqual({ path, ...reference(known, path) }) })
      })
    }), runs)
  })

  const STRICTNESS: Record<Effect, number> = { write: 0, read: 1, deny: 2 }
  test('where letter case makes no other name, nothing is opened that `decide` closes', () => {
    const names = fc.constantFrom('w', 'git', 'GIT', 'g\u200cit', 'GI\u017f', 'gis', 'stra\u00dfe', 'STRASSE', 'K', '\u212a', '\u00e9', 'E\u0301', '\ufb01n', 'FIN', '\u0131', 'i')
    const folded = fc.array(names, { maxLength: 3 }).map(parts => `/${['w', ...parts].join('/')}`)
    const question = fc.record({
      policy: fc.record({ base: fc.constantFrom('read' as const, 'deny' as const), rules: fc.array(fc.record({ path: folded, effect }), { maxLength: 6 }), caseInsensitiveRoots: fc.constant(['/w']) }),
      paths: fc.array(folded, { minLength: 20, maxLength: 20 }),
    })
    let same = 0
    let all = 0
    fc.assert(fc.property(fc.array(question, { minLength: 20, maxLength: 20 }), questions => {
      const answers = ask(questions)
      questions.forEach(({ policy, paths }, i) => {
        const known = resolved(policy)
        paths.forEach((path, j) => {
          const ours = answers[i]?.[j] as Meaning
          const theirs = reference(known, path)
          const said = JSON.stringify({ policy, path, ours, theirs })
          // Rules that open are taken in their own spelling only, so the base or a rule above may speak, which closes more.
          if (policy.rules.every(rule => rule.effect !== 'write' || rule.path === '/w')) expect(STRICTNESS[ours.effect], said).toBeGreaterThanOrEqual(STRICTNESS[theirs.effect])
          if (ours.effect === 'write') expect(theirs.effect, said).toBe('write')
          if (ours.create) expect(theirs.create, said).toBe(true)
          if (ours.remove) expect(theirs.remove, said).toBe(true)
          all++
          if (JSON.stringify(meaning(ours)) === JSON.stringify(theirs)) same++
        })
      })
    }), runs)
    // Else everything could be closed.
    expect(same / all).toBeGreaterThan(0.5)
  })

  test.each([
    ['.GIT', 'read'], ['.Git', 'read'], ['.g\u200cit', 'read'], ['.git\ufeff', 'read'], ['.gi', 'write'], ['.gitt', 'write'], ['.g\u0131t', 'write'], ['caf\u00e9', 'write'], ['.git', 'read'],
  ] as const)('letter case: %j is %s', (name, effect) => {
    const policy: Policy = { base: 'read', rules: [{ path: '/w', effect: 'write' }, { path: '/w/.git', effect: 'read' }], caseInsensitiveRoots: ['/w'] }
    expect(ask([{ policy, paths: [`/w/${name}`, `/w/${name}/config`] }])[0]?.map(each => each.effect)).toEqual([effect, effect])
  })

  const workspace: Policy = {
    base: 'read', caseInsensitiveRoots: [],
    rules: [
      { path: '/w', effect: 'write' }, { path: '/w/.git', effect: 'read' }, { path: '/w/.git/info', effect: 'write' }, { path: '/w/a/b/secret', effect: 'deny' },
      { path: '/tmp', effect: 'write' }, { path: '/home/u/.ssh', effect: 'deny' }, { path: '/etc/own', effect: 'read' },
    ],
  }
  test('supervised is what lies in a writable root with something closed below', () => {
    const paths = ['/w', '/w/src', '/w/.git', '/w/.git/objects', '/w/a/b', '/w/a/b/secret/x', '/w/.git/info', '/tmp', '/tmp/x', '/home/u/.ssh', '/etc/own', '/usr', '/']
    expect(paths.filter((_, i) => ask([{ policy: workspace, paths }])[0]?.[i]?.supervised)).toEqual(paths.slice(0, 6))
  })

  test('what lies above something closed is told, and cannot be removed', () => {
    const paths = ['/w', '/w/a', '/w/a/b', '/w/a/b/secret', '/w/a/b2', '/w/src', '/w/.git']
    const answers = ask([{ policy: workspace, paths }])[0] ?? []
    expect(paths.filter((_, i) => answers[i]?.aboveClosed)).toEqual(['/w', '/w/a', '/w/a/b'])
    expect(paths.filter((_, i) => answers[i]?.remove)).toEqual(['/w/a/b2', '/w/src'])
  })

  test('a granted directory holds for what lies in it; closed ones, and those above closed ones, are not granted', () => {
    const paths = ['/w/src', '/w/src/deep/er', '/w/src2', '/w', '/w/.git', '/w/a']
    const answers = ask([{ policy: workspace, grants: ['/w/src', '/w/.git', '/w/a', '/usr'], paths }])[0] ?? []
    expect(paths.filter((_, i) => answers[i]?.granted)).toEqual(['/w/src', '/w/src/deep/er'])
  })

  test('4096 rules, and names up to the longest path', () => {
    const rules = Array.from({ length: 4095 }, (_, i) => ({ path: `/w/${i % 64}/${i}`, effect: 'read' as const }))
    const long = `/w${'/x'.repeat(2046)}`
    const policy: Policy = { base: 'read', rules: [{ path: '/w', effect: 'write' }, ...rules], caseInsensitiveRoots: [] }
    expect(ask([{ policy, paths: ['/w/1/1', '/w/1/2', '/w/1', long, '/w/63/4031/x'] }])[0]?.map(each => `${each.effect} ${each.aboveClosed}`)).toEqual(['read false', 'write false', 'write true', 'write false', 'read false'])
  })
})
