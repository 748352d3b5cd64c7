import fc from 'fast-check'
import { posix } from 'node:path'
import { describe, expect, test } from 'vitest'
import { depth, isInside, joinPath, lastName, namesOf, normalizePath, parentOf, upwards } from '../../../src/policy/path-syntax.js'

describe('normalizePath', () => {
  test.each([
    ['linux', '/', '/'],
    ['linux', '//a///b/', '/a/b'],
    ['linux', '/a/./b/.', '/a/b'],
    ['linux', '/a\\b', '/a\\b'],
    ['macos', '/Users/x/', '/Users/x'],
    ['windows', 'c:/Users/x/', 'C:\\Users\\x'],
    ['windows', 'C:\\', 'C:\\'],
    ['windows', '\\\\server\\share\\a', '\\\\server\\share\\a'],
    ['windows', '\\\\server\\share', '\\\\server\\share\\'],
  ] as const)('%s %s is %s', (platform, path, expected) => {
    expect(normalizePath(platform, path)).toBe(expected)
  })

  test.each([
    ['linux', 'a/b', 'path_not_absolute'],
    ['linux', '', 'path_not_absolute'],
    ['linux', '~/x', 'path_not_absolute'],
    ['linux', 'C:\\x', 'path_not_absolute'],
    ['linux', '/a/../b', 'path_invalid'],
    ['linux', '/a/..', 'path_invalid'],
    ['linux', '/a\0b', 'path_invalid'],
    ['linux', '/a\nb', 'path_invalid'],
    ['linux', '/a\u0085b', 'path_invalid'],
    ['linux', '/a\ud800b', 'path_invalid'],
    ['linux', `/${'a'.repeat(4095)}`, 'path_invalid'],
    ['windows', '/x', 'path_not_absolute'],
    ['windows', 'C:x', 'path_not_absolute'],
    ['windows', '\\x', 'path_not_absolute'],
    ['windows', '\\\\.\\pipe\\x', 'path_invalid'],
    ['windows', 'C:\\a:stream', 'path_invalid'],
    ['windows', 'C:\\a.', 'path_invalid'],
    ['windows', 'C:\\a \\b', 'path_invalid'],
    ['windows', 'C:\\nul.txt', 'path_invalid'],
    ['windows', 'C:\\a\\..\\b', 'path_invalid'],
  ] as const)('%s refuses %j: %s, naming field and value', (platform, path, code) => {
    expect(() => normalizePath(platform, path, { field: 'writableRoots[1]' })).toThrowError(expect.objectContaining({ code, field: 'writableRoots[1]' }))
  })

  test('4095 bytes are a path, 4096 are not, and bytes are counted, not characters', () => {
    expect(normalizePath('linux', `/${'a'.repeat(4094)}`)).toHaveLength(4095)
    expect(() => normalizePath('linux', `/${'ä'.repeat(2048)}`)).toThrowError(expect.objectContaining({ code: 'path_invalid' }))
  })

  test('a name that a program made may hold a newline, never NUL', () => {
    expect(normalizePath('linux', '/a\nb', { field: 'path', controlCharacters: 'accept' })).toBe('/a\nb')
    expect(() => normalizePath('linux', '/a\0', { field: 'path', controlCharacters: 'accept' })).toThrow()
  })

  test('the error quotes the value, so that no newline forges a line', () => {
    expect(() => normalizePath('linux', '/a\nb', { field: 'deny[0]' })).toThrow('deny[0] "/a\\nb" cannot be used as a path')
  })

  test('a normalised path is its own normal form', () => {
    fc.assert(fc.property(fc.array(fc.stringMatching(/^[a-z.]{1,3}$/).filter(name => name !== '..')), names => {
      const once = normalizePath('linux', `/${names.join('//')}/`)
      expect(normalizePath('linux', once)).toBe(once)
    }))
  })
})

test.each([
  ['linux', '/a', '/a', true],
  ['linux', '/a', '/a/b', true],
  ['linux', '/a', '/ab', false],
  ['linux', '/', '/x', true],
  ['linux', '/a/b', '/a', false],
  ['linux', '/a', '/A/b', false],
  ['windows', 'C:\\a', 'c:\\A\\b', true],
  ['windows', 'C:\\', 'C:\\x', true],
  ['windows', 'C:\\a', 'D:\\a\\b', false],
] as const)('%s: %s holds %s: %s', (platform, outer, path, expected) => {
  expect(isInside(platform, outer, path)).toBe(expected)
})

test('depth, names, parents', () => {
  expect([depth('linux', '/'), depth('linux', '/a/b'), depth('windows', 'C:\\a')]).toEqual([0, 2, 1])
  expect(namesOf('windows', '\\\\s\\d\\a\\b')).toEqual(['a', 'b'])
  expect([parentOf('linux', '/a'), parentOf('linux', '/'), parentOf('windows', 'C:\\a')]).toEqual(['/', '/', 'C:\\'])
  expect([...upwards('linux', '/a/b')]).toEqual(['/a/b', '/a', '/'])
})

test('parents, last names and joined paths are Node\'s, whatever the path looks like', () => {
  const path = fc.string({ unit: fc.constantFrom('/', '/', 'a', 'bc', '.', '..', '\\') })
  fc.assert(fc.property(path, fc.string({ unit: fc.constantFrom('/', 'a', '.', ' ') }), (text, name) => {
    const folder = posix.resolve('/', text)
    expect([parentOf('linux', text), lastName('linux', text), joinPath('linux', folder, name)]).toEqual([posix.dirname(text), posix.basename(text), posix.join(folder, name)])
  }), { examples: [['/', 'a'], ['//a', '..'], ['/a//b', ''], ['/a/', '.a']], numRuns: 2000 })
})
