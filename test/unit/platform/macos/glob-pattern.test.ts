import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { globSource, HERE_AND_BELOW, remainders } from '../../../../src/platform/macos/glob-pattern.js'
import { nameSpeller } from '../../../../src/platform/macos/name-pattern.js'
import { compileRegex, toBytes } from '../../../../src/platform/macos/sbpl/regex.js'
import { escapeGlob, formatSegments, globMatches, parseGlob } from '../../../../src/policy/glob.js'
import { upwards } from '../../../../src/policy/path-syntax.js'

const spell = nameSpeller()
const glob = (pattern: string) => parseGlob('macos', pattern, 'deny')
const source = (pattern: string, ignoreCase = false) => globSource('', glob(pattern).segments, { ignoreCase, spell })

function matches(pattern: string, path: string): boolean {
  const regex = compileRegex(pattern)
  if ('problem' in regex) throw new Error(`${regex.problem} in ${pattern}`)
  return regex.matches(toBytes(path))
}

test.each([
  ['/w/*.key', '^/w/[^/]*\\.key'],
  ['/w/**/x', '^/w(/.*)?/x'],
  ['/**/.env', '^(/.*)?/\\.env'],
  ['/w/a?c', '^/w/a([ -.0-~]|[^ -~]+)c'],
  ['/w/[a-c0]', '^/w/[0a-c]'],
  ['/w/[!a]', '^/w/([ -,.0-Z_`b-~]|-|\\[|\\\\|\\]|\\^|[^ -~]+)'],
  ['/w/[]^-]', '^/w/(-|\\]|\\^)'],
])('%s', (pattern, expected) => {
  expect(source(pattern)).toBe(expected)
})

test('in a folder that ignores letter case', () => {
  expect(source('/w/**/*.Key', true)).toBe('^/[wW](/.*)?/[^/]*\\.([kK]|\u212a)[eE][yY]')
  expect(source('/w/[a-b]?', true)).toBe('^/[wW]/[ABab]([ -.0-~]|[ -.0-~]?[^ -~]+)')
})

describe('what remains below a folder', () => {
  const rest = (pattern: string, folder: string, ignoreCase = false) => remainders(glob(pattern), folder, ignoreCase).map(segments => formatSegments('macos', segments))
  test.each([
    ['/w/*/x.key', '/w', ['*/x.key']],
    ['/w/*/x.key', '/w/a', ['x.key']],
    ['/w/*/x.key', '/w/a/x.key', ['']],
    ['/w/*/x.key', '/v', []],
    ['/w/*/x.key', '/w/a/b', []],
    ['/w/**/x', '/w/a/b', ['**/x']],
    ['/w/**/x', '/w/x', ['**/x', '']],
    ['/w/**/b/*.key', '/w/a/b', ['**/b/*.key', '*.key']],
    ['/**/x', '/', ['**/x']],
  ])('%s below %s', (pattern, folder, expected) => {
    expect(rest(pattern, folder)).toEqual(expected)
  })
  test('with other letters', () => {
    expect([rest('/w/Sub/*', '/w/sub'), rest('/w/Sub/*', '/w/sub', true)]).toEqual([[], ['*']])
  })
})

const char = fc.constantFrom('a', 'b', 'e', 'K', '.', '-', '^', ']', '[', '\u00e9', '日', '\u212a', '\u0301')
const name = fc.string({ unit: char, minLength: 1, maxLength: 4 }).filter(text => text !== '.' && text !== '..')
const path = fc.array(name, { minLength: 1, maxLength: 5 }).map(names => `/${names.join('/')}`)
const segment = fc.oneof(name.map(text => escapeGlob('macos', text)), fc.constantFrom('**', '*', '?', 'a*', '*.K', '[ab]', '[!a]', '[a-k]*', '??', 'a?b', '[^b]', 'e*', '*e', '[c-f]'))
const pattern = fc.array(segment, { minLength: 1, maxLength: 4 }).map(segments => `/${segments.join('/')}`).filter(text => !text.endsWith('**'))
const isAscii = (text: string) => /^[\x20-\x7e]*$/.test(text)
const runs = { numRuns: Number(process.env['SEATBELT_RUNS'] ?? 3000) }

/** What `decide` makes of a glob: the path, or a folder above it, is named. */
const isNamed = (text: string, at: string, ignoreCase: boolean) => [...upwards('macos', at)].some(above => globMatches('macos', glob(text), above, { ignoreCase }))

test('the expression matches what the glob names, and what lies below; beyond ASCII perhaps more', () => {
  fc.assert(fc.property(pattern, path, fc.boolean(), (text, at, ignoreCase) => {
    const [named, matched] = [isNamed(text, at, ignoreCase), matches(`${source(text, ignoreCase)}${HERE_AND_BELOW}`, at)]
    if (named || isAscii(at)) expect([text, at, matched]).toEqual([text, at, named])
  }), runs)
})

test('what remains below a folder matches as the whole does from there on', () => {
  fc.assert(fc.property(pattern, path.filter(isAscii), path.filter(isAscii), (text, folder, below) => {
    const at = `${folder}${below}`
    const prefix = folder.replaceAll(/[\^\].[-]/g, '\\$&')
    const named = [...upwards('macos', at)].some(above => above.length >= folder.length && globMatches('macos', glob(text), above, { ignoreCase: false }))
    const matched = remainders(glob(text), folder, false).some(rest => matches(`${globSource(prefix, rest, { ignoreCase: false, spell })}${HERE_AND_BELOW}`, at))
    expect([text, folder, below, matched]).toEqual([text, folder, below, named])
  }), runs)
})
