// The evaluator against a second one that shares nothing with it: rules as data, sets of paths in place of filters, and the order
// worked out by sorting rather than by looking.
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { evaluate, type Reading } from '../../../../../src/platform/macos/sbpl/evaluate.js'
import { printProfile } from '../../../../../src/platform/macos/sbpl/print.js'
import { parseProfile } from '../../../../../src/platform/macos/sbpl/profile.js'
import { type Expression, form, list, literal, regex, requireAll, requireAny, requireNot, string, subpath } from '../../../../../src/platform/macos/sbpl/syntax.js'

/** Each operation with its level: the more specific, the higher. */
const LEVELS: Readonly<Record<string, Readonly<Record<string, number>>>> = {
  'file-read-data': { 'file-read-data': 3, 'file-read*': 2, 'file*': 1, default: 0 },
  'file-write-unlink': { 'file-write-unlink': 3, 'file-write*': 2, 'file*': 1, default: 0 },
  'file-ioctl': { 'file-ioctl': 3, 'file*': 1, default: 0 },
  'file-link': { 'file-link': 3 },
}
const OPERATIONS = ['file-read-data', 'file-read*', 'file-write-unlink', 'file-write*', 'file-ioctl', 'file-link', 'file*']
const PATHS = ['/', '/a', '/a/b', '/a/b/c', '/a/bc', '/b', '/b/a', '/A', '/a/b"c', '/é']

interface Case { readonly expression: Expression; readonly holds: (path: string) => boolean }

const below = (root: string) => (path: string) => root === '/' || path === root || path.slice(0, root.length + 1) === `${root}/`
const quoted = (path: string) => path.replaceAll(/[^\w/]/g, char => `\\${char}`)
const paths = fc.constantFrom(...PATHS)
const { filter } = fc.letrec<{ filter: Case }>(tie => ({
  filter: fc.oneof({ maxDepth: 3, withCrossShrink: true },
    paths.map((root): Case => ({ expression: literal(string(root)), holds: path => path === root })),
    paths.map((root): Case => ({ expression: subpath(string(root)), holds: below(root) })),
    fc.constantFrom(...PATHS.filter(path => path !== '/é')).map((root): Case => ({ expression: regex(`^${quoted(root)}$`), holds: path => path === root })),
    paths.map((root): Case => ({ expression: list('path-ancestors', string(root)), holds: path => path !== root && below(path)(root) })),
    fc.array(tie('filter'), { minLength: 1, maxLength: 3 }).map((all): Case => ({ expression: requireAll(...all.map(({ expression }) => expression)), holds: path => all.every(({ holds }) => holds(path)) })),
    fc.array(tie('filter'), { minLength: 1, maxLength: 3 }).map((any): Case => ({ expression: requireAny(...any.map(({ expression }) => expression)), holds: path => any.some(({ holds }) => holds(path)) })),
    tie('filter').map((one): Case => ({ expression: requireNot(one.expression), holds: path => !one.holds(path) })),
  ),
}))
const rule = fc.record({
  action: fc.constantFrom('allow', 'deny'),
  operations: fc.uniqueArray(fc.constantFrom(...OPERATIONS), { minLength: 1, maxLength: 3 }),
  filters: fc.array(filter, { maxLength: 2 }),
})
type RuleCase = typeof rule extends fc.Arbitrary<infer Type> ? Type : never

/** The index of the rule that decides, -1 for none. */
function oracle(rules: readonly RuleCase[], operation: string, path: string, reading: Reading): number {
  const levels = LEVELS[operation] as Readonly<Record<string, number>>
  const ranks = rules.flatMap(({ operations, filters }, index) => {
    const level = Math.max(...operations.map(name => levels[name] ?? -1))
    if (level === -1 || (filters.length > 0 && !filters.some(({ holds }) => holds(path)))) return []
    return [{ index, rank: reading === 'sourceOrder' ? [index] : [level, filters.length > 0 ? 1 : 0, index] }]
  })
  ranks.sort((left, right) => left.rank.map((value, at) => value - (right.rank[at] as number)).find(difference => difference !== 0) ?? 0)
  return ranks.at(-1)?.index ?? -1
}

test('the rule that decides is the oracle\'s, in both readings', () => {
  fc.assert(fc.property(fc.array(rule, { maxLength: 8 }), fc.constantFrom('allow', 'deny'), fc.constantFrom<Reading>('kernel', 'sourceOrder'), (cases, byDefault, reading) => {
    const rules: RuleCase[] = [{ action: byDefault, operations: ['default'], filters: [] }, ...cases]
    const forms = rules.map(({ action, operations, filters }) => form(list(action, ...operations, ...filters.map(({ expression }) => expression))))
    const profile = parseProfile(printProfile([form(list('version', 1)), ...forms]))
    for (const operation of Object.keys(LEVELS)) {
      for (const path of PATHS) {
        const index = oracle(rules, operation, path, reading)
        const decision = evaluate(profile, { operation, path }, reading)
        expect({ operation, path, index: decision.rule === 'default' ? -1 : profile.rules.indexOf(decision.rule), verdict: decision.verdict })
          .toEqual({ operation, path, index, verdict: index === -1 ? 'allow' : rules[index]?.action })
      }
    }
  }), { numRuns: 400 })
})
