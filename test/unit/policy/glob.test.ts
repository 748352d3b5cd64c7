import fc from 'fast-check'
import picomatch from 'picomatch'
import { describe, expect, test } from 'vitest'
import { escapeGlob, expandBraces, formatSegments, globMatches, hasGlobSyntax, parseGlob, unescapeGlob } from '../../../src/policy/glob.js'
import type { PlatformName } from '../../../src/policy/host-snapshot.js'

/** Whether `pattern`, braces and all, matches `path`. */
const matchesOn = (platform: PlatformName, pattern: string, path: string, { field = 'deny[0]', ignoreCase = false } = {}) =>
  expandBraces(platform, pattern, field).map(each => parseGlob(platform, each, field)).some(glob => globMatches(platform, glob, path, { ignoreCase }))
const matches = (pattern: string, path: string) => matchesOn('linux', pattern, path)

test.each([
  ['/w/*.env', '/w/a.env', true],
  ['/w/*.env', '/w/.env', true],
  ['/w/*.env', '/w/a/b.env', false],
  ['/w/**/*.env', '/w/a.env', true],
  ['/w/**/*.env', '/w/a/b/c.env', true],
  ['/w/**/x/**/y', '/w/x/y', true],
  ['/w/**/x/**/y', '/w/a/x/b/c/y', true],
  ['/w/a?c', '/w/abc', true],
  ['/w/a?c', '/w/ac', false],
  ['/w/[a-c]x', '/w/bx', true],
  ['/w/[!a-c]x', '/w/bx', false],
  ['/w/[^a-c]x', '/w/dx', true],
  ['/w/[]x]', '/w/]', true],
  ['/w/{a,b/c}/d', '/w/b/c/d', true],
  ['/w/{a,{b,c}}', '/w/c', true],
  ['/w/\\*', '/w/*', true],
  ['/w/\\*', '/w/x', false],
  ['/w/x', '/w/X', false],
  ['/w/a**b', '/w/axxb', true],
  ['/**', '/', true],
  ['/w/**', '/w', true],
  ['/w/?', '/w/\u{1f600}', true],
] as const)('%s on %s: %s', (pattern, path, expected) => {
  expect(matches(pattern, path)).toBe(expected)
})

test.each([
  ['/w/[a', 'a [ is not closed'],
  ['/w/{a,b', 'a { is not closed'],
  ['/w/{a}', 'braces without a comma'],
  ['/w/{1..3}', '{1..3} is not known'],
  ['/w/[[:alpha:]]', 'named classes'],
  ['/w/[z-a]', 'runs backwards'],
  ['/w/!(a)', '!(…) is not known'],
  ['/w/@(a|b)', '@(…) is not known'],
  ['!/w/x', 'no negation'],
  ['/w/../*', 'it contains ".."'],
  ['/w/*\n', 'control character'],
  ['/w/*\\', 'a backslash stands at the end'],
  [`/w/${'{a,b}'.repeat(9)}`, 'more than 256 patterns'],
])('%j is refused: %s', (pattern, words) => {
  expect(() => matchesOn('linux', pattern, '/w', { field: 'deny[2]' })).toThrowError(expect.objectContaining({ code: 'glob_invalid', field: 'deny[2]', message: expect.stringContaining(words) }))
})

describe('against picomatch', () => {
  const name = fc.array(fc.constantFrom('a', 'b', '.', '*', '?', '[ab]', '[^a]', '{a,bb}', '**'), { minLength: 1, maxLength: 4 }).map(parts => parts.join(''))
    // "**" beside other characters is a matter of taste; "." and ".." are no names.
    .filter(text => (text === '**' || !text.includes('**')) && !/^\.+$/.test(text) && !/[?*]{2,}/.test(text.replace(/^\*\*$/, '')))
  const pattern = fc.array(name, { minLength: 1, maxLength: 4 }).map(names => `/w/${names.join('/')}`)
  // Two habits of picomatch that are not ours: `*/**` does not match what `*` does (`a/**` matches `a`, though), and a
  // pattern that starts with `/**/` does not match at the root. Hence the folder /w, and the second question.
  const oracle = (glob: string, text: string) =>
    [glob, ...(glob.endsWith('/**') ? [glob.replace(/(\/\*\*)+$/, '')] : [])].some(each => picomatch.isMatch(text, each, { dot: true, noextglob: true, nonegate: true }))
  const path = fc.array(fc.stringMatching(/^[ab.]{0,2}[ab]$/), { minLength: 1, maxLength: 4 }).map(names => `/w/${names.join('/')}`)

  test('both say the same of every pattern and path', () => {
    fc.assert(fc.property(pattern, path, (glob, text) => {
      expect(`${glob} ${text} ${matches(glob, text)}`).toBe(`${glob} ${text} ${oracle(glob, text)}`)
    }), { numRuns: 3000 })
  })
})

test('a pattern printed from its parse tree parses to the same tree', () => {
  const token = fc.constantFrom('a', '*', '?', '[a-c]', '[!x]', '[]-]', '\\*', '\\[', '**', '/', 'b')
  fc.assert(fc.property(fc.array(token, { minLength: 1, maxLength: 8 }), parts => {
    const { segments } = parseGlob('linux', parts.join(''), 'x')
    expect(parseGlob('linux', formatSegments('linux', segments), 'x').segments).toEqual(segments)
  }), { numRuns: 500 })
})

test.each(['linux', 'windows'] as const)('%s: an escaped path is no pattern and means itself', platform => {
  const name = platform === 'windows' ? fc.stringMatching(/^[a{}[\]!().~]{1,5}$/) : fc.stringMatching(/^[a*?{}[\]!()\\~]{1,5}$/)
  fc.assert(fc.property(fc.array(name.filter(text => !/^\.+$/.test(text)), { minLength: 1, maxLength: 3 }), names => {
    const path = platform === 'windows' ? `C:\\${names.join('\\')}` : `/${names.join('/')}`
    const escaped = escapeGlob(platform, path)
    if (platform === 'linux') {
      expect(hasGlobSyntax(platform, escaped)).toBe(false)
      expect(unescapeGlob(platform, escaped)).toBe(path)
    }
    expect(matchesOn(platform, escaped, path)).toBe(true)
  }), { numRuns: 500 })
})

test('braces keep their order', () => {
  expect(expandBraces('linux', '/w/{a,b}/{c,}', 'x')).toEqual(['/w/a/c', '/w/a/', '/w/b/c', '/w/b/'])
})

test('letter case counts only where asked', () => {
  expect([true, false].map(ignoreCase => matchesOn('linux', '/w/*.Env', '/w/a.ENV', { ignoreCase }))).toEqual([true, false])
})

test('many stars on a long name take no exponential time', () => {
  // A matcher that tries every way would not come back from it.
  expect(matches(`/w/${'*a'.repeat(60)}b`, `/w/${'a'.repeat(250)}`)).toBe(false)
})
