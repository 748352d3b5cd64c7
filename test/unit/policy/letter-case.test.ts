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

test.each([
  { name: 'one that tells the cases apart: the folder is not listed',                    known: ['/elsewhere/x', '/cs/Work/a'], folder: '/cs',       expected: { insensitive: false, listed: [] } },
  { name: 'one that does not: it is listed, and asked itself',                           known: ['/ci/Work/read.me'],          folder: '/ci/Work',  expected: { insensitive: true, listed: ['/ci/Work'] } },
  { name: 'two names that may be one file, or two: it is listed, and the one above asked', known: ['/cs/twins/a'],               folder: '/cs/twins', expected: { insensitive: false, listed: ['/cs/twins'] } },
  { name: 'one that is not there: it is listed',                                         known: ['/cs/Work/gone'],             folder: '/cs/Work',  expected: { insensitive: false, listed: ['/cs/Work'] } },
  { name: 'one without letters: it is listed',                                           known: ['/ci/1'],                     folder: '/ci',       expected: { insensitive: true, listed: ['/ci'] } },
  { name: 'the folder itself, and its neighbour of a longer name: it is listed',         known: ['/ci', '/ci-more/x'],         folder: '/ci',       expected: { insensitive: true, listed: ['/ci'] } },
])('of what is known there, $name', ({ known, folder, expected }) => {
  const host = fakeHost({ ...tree, ci: { ...tree.ci, 1: '' }, 'ci-more': { x: '' } }, { platform: 'linux', caseInsensitive: ['/ci'] })
  const listed: string[] = []
  const files = { ...host.files, children: (path: string) => { listed.push(path); return host.files.children(path) } }
  expect({ insensitive: isCaseInsensitive({ ...host, files }, folder, known), listed }).toEqual(expected)
})

test('an empty folder answers as the one above it, which is listed only where that has both spellings', () => {
  const host = fakeHost({ ...tree, cs: { ...tree.cs, empty: {}, pair: {}, PAIR: {} } }, { platform: 'linux', caseInsensitive: ['/ci'] })
  const ask = (folder: string) => {
    const listed: string[] = []
    const files = { ...host.files, children: (path: string) => { listed.push(path); return host.files.children(path) } }
    return { insensitive: isCaseInsensitive({ ...host, files }, folder), listed }
  }
  expect([ask('/cs/empty'), ask('/cs/pair'), ask('/ci/empty')]).toEqual([
    { insensitive: false, listed: ['/cs/empty'] },
    { insensitive: false, listed: ['/cs/pair', '/cs'] },
    { insensitive: true, listed: ['/ci/empty', '/ci'] },
  ])
})

test('where nothing can be asked, the platform decides', () => {
  expect(['linux', 'macos', 'windows'].map(platform => isCaseInsensitive(fakeHost({ 1: { 2: '' } }, { platform: platform as 'linux' }), '/1'))).toEqual([false, true, true])
})
