import { expect, test } from 'vitest'
import { comparisonKey, foldName, isCaseInsensitive } from '../../../src/policy/letter-case.js'
import { fakeHost } from '../../support/fake-host.js'

test.each([
  ['.GIT', '.git'],
  ['.g\u200cit', '.git'],
  ['caf\u00e9', 'cafe\u0301'],
  ['STRASSE', 'stra\u00dfe'],
  ['STRA\u1e9eE', 'stra\u00dfe'],
  ['\u03a3\u0391\u03a3', '\u03c3\u03b1\u03c2'],
  ['\u212a', 'k'],
])('%j and %j are one name', (a, b) => {
  expect(foldName(a)).toBe(foldName(b))
})

test('the dotless i is another letter', () => {
  expect(foldName('\u0131')).not.toBe(foldName('i'))
})

test('names are folded below case-insensitive roots only', () => {
  expect(comparisonKey('linux', ['/mnt/c'], '/mnt/c/W/.GIT')).toBe('/mnt/c/w/.git')
  expect(comparisonKey('linux', ['/mnt/c'], '/mnt/C/W')).toBe('/mnt/C/W')
  expect(comparisonKey('windows', [], 'C:\\W')).toBe('c:\\w')
})

const tree = { ci: { Work: { 'read.me': '' }, empty: {} }, cs: { Work: { a: '' }, twins: { a: '', A: '' } } }
test.each([
  ['linux', '/ci/Work', true],
  ['linux', '/ci/empty', true],
  ['linux', '/cs/Work', false],
  ['linux', '/cs/twins', false],
  ['macos', '/cs/Work', false],
] as const)('%s asks %s itself: %s', (platform, folder, expected) => {
  expect(isCaseInsensitive(fakeHost(tree, { platform, caseInsensitive: ['/ci'] }), folder)).toBe(expected)
})

test('where nothing can be asked, the platform decides', () => {
  expect(['linux', 'macos', 'windows'].map(platform => isCaseInsensitive(fakeHost({ 1: { 2: '' } }, { platform: platform as 'linux' }), '/1'))).toEqual([false, true, true])
})
