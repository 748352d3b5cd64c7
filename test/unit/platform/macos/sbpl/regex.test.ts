import { createContext, runInContext } from 'node:vm'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { compileRegex, quoteRegex, type Regex, toBytes } from '../../../../../src/platform/macos/sbpl/regex.js'

const regex = (source: string): Regex => {
  const compiled = compileRegex(source)
  if ('problem' in compiled) throw new Error(`${source}: ${compiled.problem}`)
  return compiled
}
const matches = (source: string, text: string) => regex(source).matches(toBytes(text))

test.each([
  { source: 'b',                         yes: ['b', 'abc'],                           no: ['', 'a'] },
  { source: '^/dev/ttys[0-9]+$',         yes: ['/dev/ttys0', '/dev/ttys123'],         no: ['/dev/ttys', '/dev/ttys0x', 'x/dev/ttys0', '/dev/ttys0\n'] },
  { source: '^/w/[^/]*\\.pem$',          yes: ['/w/a.pem', '/w/.pem', '/w/a\nb.pem'], no: ['/w/a/b.pem', '/w/apem', '/w/a.pem/x', '/w/a.PEM'] },
  { source: '^/w(/|$)',                  yes: ['/w', '/w/x'],                         no: ['/wx', '/'] },
  { source: '^/w/(.+/)?x$',              yes: ['/w/x', '/w/a/x', '/w/a/b/x'],         no: ['/w/ax', '/wx'] },
  { source: 'a|bc|',                     yes: ['', 'zzz'],                            no: [] },
  { source: '^(a|bc)*$',                 yes: ['', 'a', 'bc', 'abca'],                no: ['b', 'ac'] },
  { source: '^a?b$',                     yes: ['b', 'ab'],                            no: ['aab', 'a'] },
  { source: '^(a*)*$',                   yes: ['', 'aaa'],                            no: ['b'] },
  { source: '^(a*)+$',                   yes: ['', 'aaa'],                            no: ['b'] },
  { source: '^[]a]$',                    yes: [']', 'a'],                             no: ['b', '[]a]'] },
  { source: '^[^]a]$',                   yes: ['b'],                                  no: [']', 'a'] },
  { source: '^[a-c-]$',                  yes: ['a', 'b', '-'],                        no: ['d'] },
  { source: '^[-a]$',                    yes: ['-', 'a'],                             no: ['b'] },
  { source: '^[.*(]$',                   yes: ['.', '*', '('],                        no: ['a'] },
  { source: '\\.\\*\\(\\)\\[\\]\\\\\\{\\}\\|\\^\\$', yes: ['.*()[]\\{}|^$'],          no: ['x'] },
  { source: '^é+$',                      yes: ['é', 'éé'],                            no: ['e', ''] },
  // The matcher sees bytes: é is two of them.
  { source: '^.$',                       yes: ['e'],                                  no: ['é'] },
  { source: '^[^/][^/]$',                yes: ['ab', 'é'],                            no: ['a/'] },
  { source: '^(a$|a/)',                  yes: ['a', 'a/b'],                           no: ['ab'] },
  { source: '^$',                        yes: [''],                                   no: ['a'] },
])('$source', ({ source, yes, no }) => {
  expect(yes.filter(text => !matches(source, text))).toEqual([])
  expect(no.filter(text => matches(source, text))).toEqual([])
})

test.each([
  { source: '',          problem: 'empty', offset: 0 },
  { source: 'a{2}',      problem: 'counts', offset: 1 },
  { source: 'a}',        problem: 'counts', offset: 1 },
  { source: '\\d+',      problem: '\\d', offset: 0 },
  { source: '(a)\\1',    problem: '\\1', offset: 3 },
  { source: 'ab\\',      problem: 'backslash at the end', offset: 2 },
  { source: '\\é',       problem: 'escape', offset: 0 },
  { source: '(?:a)',     problem: '(?…)', offset: 0 },
  { source: 'a**',       problem: 'two repetitions', offset: 2 },
  { source: 'a+?',       problem: 'two repetitions', offset: 2 },
  { source: '*a',        problem: 'nothing before', offset: 0 },
  { source: '(|+)',      problem: 'nothing before', offset: 2 },
  { source: '^*a',       problem: 'anchor', offset: 0 },
  { source: 'a^b',       problem: 'not at the start', offset: 1 },
  { source: '^a|^b',     problem: 'not at the start', offset: 3 },
  { source: '(^|/)a',    problem: 'not at the start', offset: 1 },
  { source: '$^',        problem: 'not at an end', offset: 0 },
  { source: 'a$b',       problem: 'not at an end', offset: 1 },
  { source: '(a$)b|a$+', problem: 'not at an end', offset: 7 },
  { source: '(a',        problem: 'not closed', offset: 0 },
  { source: 'a)',        problem: 'without its (', offset: 1 },
  { source: '[a',        problem: 'not closed', offset: 0 },
  { source: '[]',        problem: 'not closed', offset: 0 },
  { source: 'a]',        problem: 'without its [', offset: 1 },
  { source: '[b-a]',     problem: 'backwards', offset: 1 },
  { source: '[\\.]',     problem: 'backslash in', offset: 1 },
  { source: '[[:alpha:]]', problem: 'by name', offset: 1 },
  { source: '[é]',       problem: 'beyond ASCII', offset: 1 },
  { source: `${'('.repeat(100)}a${')'.repeat(100)}`, problem: 'deeply', offset: 65 },
  { source: 'a'.repeat(20_000), problem: 'longer', offset: 16_384 },
])('refused: $source', ({ source, problem, offset }) => {
  expect(compileRegex(source)).toEqual({ problem: expect.stringContaining(problem), offset })
})

test('a pattern that sends backtracking matchers to the end of time', () => {
  expect(matches('^(a|a|aa|a*)*$', `${'a'.repeat(4000)}b`)).toBe(false)
  expect(matches(`^${'a?'.repeat(500)}${'a'.repeat(500)}$`, 'a'.repeat(500))).toBe(true)
})

test('letters in either case', () => {
  const both = (source: string, text: string) => {
    const compiled = compileRegex(source, true)
    return 'matches' in compiled && compiled.matches(toBytes(text))
  }
  expect(['^/A[b-d]\\.x$', '^/a[B-D]\\.X$'].map(source => ['/aC.x', '/AC.X', '/ae.x', '/aC_x'].map(text => both(source, text)))).toEqual([[true, true, false, false], [true, true, false, false]])
  expect([both('^[^a]$', 'A'), both('^[^a]$', 'a'), both('^é$', 'É'), both('^[@]$', '`')]).toEqual([true, true, false, false])
})

describe('properties', () => {
  // The same grammar, built rather than parsed, so that JavaScript's own engine can say what it means.
  const atom = fc.oneof(fc.constantFrom('a', 'b', '/', '\\.', '.', '[ab]', '[^/]', '[^a]', '[a-b/]'))
  const { pattern } = fc.letrec<{ pattern: string; piece: string }>(tie => ({
    piece: fc.oneof({ maxDepth: 3 }, atom, tie('pattern').map(inner => `(${inner})`)),
    pattern: fc.array(fc.tuple(tie('piece'), fc.constantFrom('', '', '*', '+', '?')).map(([piece, suffix]) => piece + suffix), { minLength: 1, maxLength: 3 }).chain(parts =>
      fc.constantFrom(parts.join(''), parts.join('|'))),
  }))
  const text = fc.string({ unit: fc.constantFrom('a', 'b', '/', '.'), maxLength: 8 })

  const context = createContext({})
  /** Undefined where its engine goes back and forth for too long: stars of stars of stars take it minutes, even on eight letters. */
  const inJavaScript = (source: string, subject: string): boolean | undefined => {
    try {
      return runInContext(`new RegExp(${JSON.stringify(source)}, 's').test(${JSON.stringify(subject)})`, context, { timeout: 200 }) as boolean
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ERR_SCRIPT_EXECUTION_TIMEOUT') return undefined
      throw error
    }
  }
  test('JavaScript gives up where it would take too long', () => {
    expect(inJavaScript('^((((((a*)*)*)*)*)*)*$', `${'a'.repeat(40)}b`)).toBe(undefined)
  })
  test('agrees with JavaScript on what both know', () => {
    fc.assert(fc.property(pattern, fc.constantFrom('', '^'), fc.constantFrom('', '$'), text, (inner, before, after, subject) => {
      const source = `${before}(${inner})${after}`
      const expected = inJavaScript(source, subject)
      fc.pre(expected !== undefined)
      expect(matches(source, subject)).toBe(expected)
    }), { numRuns: 3000 })
  }, 120_000)
  test('a quoted text matches itself, and nothing else when anchored', () => {
    fc.assert(fc.property(fc.string({ unit: 'grapheme', minLength: 1 }), fc.string({ unit: 'grapheme' }), (mine, other) => {
      expect(matches(`^${quoteRegex(mine)}$`, mine)).toBe(true)
      expect(matches(`^${quoteRegex(mine)}$`, other)).toBe(mine === other)
    }))
  })
  test('any text is a pattern or a problem, never a crash', () => {
    fc.assert(fc.property(fc.string({ unit: fc.constantFrom(...'()[]|*+?^$.\\-a{}é') }), fc.string(), (source, subject) => {
      const compiled = compileRegex(source)
      if ('problem' in compiled) expect(compiled.offset).toBeLessThanOrEqual(source.length)
      else expect(typeof compiled.matches(toBytes(subject))).toBe('boolean')
    }), { numRuns: 2000 })
  })
})
