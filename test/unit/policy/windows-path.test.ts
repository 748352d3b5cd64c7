import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { followLinks, followLinksToParent } from '../../../src/policy/follow-links.js'
import { looksShort, normalizeWindowsPath, windowsTarget } from '../../../src/policy/windows-path.js'
import type { FileSystemView } from '../../../src/policy/host-snapshot.js'
import { fakeHost, symlink } from '../../support/fake-host.js'

const normalize = (path: string) => normalizeWindowsPath(path, 'f')

describe('one spelling', () => {
  test.each([
    ['c:/Users//x/./y/', 'C:\\Users\\x\\y'],
    ['C:\\', 'C:\\'],
    ['C:/', 'C:\\'],
    ['\\\\?\\C:\\x', 'C:\\x'],
    ['\\??\\c:\\x\\y', undefined],
    ['\\\\?\\UNC\\server\\share\\a', '\\\\server\\share\\a'],
    ['\\\\?\\unc\\server\\share', '\\\\server\\share\\'],
    ['//server/share/a', '\\\\server\\share\\a'],
    ['\\\\server\\share', '\\\\server\\share\\'],
    ['C:\\.git', 'C:\\.git'],
    ['C:\\GIT~1', 'C:\\GIT~1'],
    ['C:\\a b\\com10\\nulx\\aux_', 'C:\\a b\\com10\\nulx\\aux_'],
    ['C:\\...a', 'C:\\...a'],
    ['C:\\\u00fc\\\ud83d\ude00', 'C:\\\u00fc\\\ud83d\ude00'],
  ] as const)('%s is %s', (path, expected) => {
    if (expected === undefined) expect(() => normalize(path)).toThrow()
    else expect(normalize(path)).toBe(expected)
  })
})

describe('refused, naming field and value', () => {
  test.each<{ path: string; why: RegExp }>([
    { path: 'C:\\a\\..\\b', why: /"\.\."/ },
    { path: 'C:\\a:stream', why: /stream/ },
    { path: 'C:\\.git::$INDEX_ALLOCATION', why: /stream/ },
    { path: 'C:\\.git::$INDEX_ALLOCATION\\config', why: /stream/ },
    { path: 'C:\\a::$DATA', why: /stream/ },
    { path: 'C:\\D:\\a', why: /stream/ },
    { path: 'C:\\.git.', why: /drops/ },
    { path: 'C:\\.git \\config', why: /drops/ },
    { path: 'C:\\.git. .', why: /drops/ },
    { path: 'C:\\...', why: /drops/ },
    { path: '\\\\?\\C:\\.git.', why: /drops/ },
    { path: '\\\\?\\C:\\a/b', why: /bypasses/ },
    { path: '\\\\?\\C:\\a\\.\\b', why: /bypasses/ },
    { path: '\\\\?\\C:\\\\a', why: /bypasses/ },
    { path: '//?/C:/a', why: /bypasses/ },
    { path: '\\\\.\\C:\\a', why: /device/ },
    { path: '\\\\.\\pipe\\x', why: /device/ },
    { path: '\\\\.', why: /device/ },
    { path: '\\\\?\\Volume{01234567-0000-0000-0000-000000000000}\\a', why: /device/ },
    { path: '\\\\?\\GLOBALROOT\\Device\\HarddiskVolume1\\a', why: /device/ },
    { path: '\\\\?\\C:a', why: /device/ },
    { path: '\\??\\C:\\a', why: /device/ },
    { path: 'C:\\nul', why: /device/ },
    { path: 'C:\\a\\CON.txt', why: /device/ },
    { path: 'C:\\NUL .txt', why: /device/ },
    { path: 'C:\\com1.tar.gz\\x', why: /device/ },
    { path: 'C:\\LPT\u00b9', why: /device/ },
    { path: 'C:\\conin$', why: /device/ },
    { path: 'C:\\a*', why: /does not allow/ },
    { path: 'C:\\a|b', why: /does not allow/ },
    { path: 'C:\\a\u0001b', why: /control/ },
    { path: `C:\\${'a'.repeat(256)}`, why: /255/ },
    { path: '\\\\localhost\\share\\a', why: /this machine/ },
    { path: '\\\\127.0.0.1\\share\\a', why: /this machine/ },
    { path: '\\\\server\\C$\\a', why: /administrators/ },
    { path: '\\\\server\\..\\a', why: /server or share/ },
    { path: '\\\\?\\UNC\\localhost\\c$\\a', why: /this machine/ },
  ])('$path', ({ path, why }) => {
    expect(() => normalize(path)).toThrow(expect.objectContaining({ code: 'path_invalid', field: 'f', message: expect.stringMatching(why) }))
  })

  test.each(['', 'a', 'C:', 'C:a', '\\a', '/a', '.\\a', '\\\\server', '\\\\server\\', 'CC:\\a', '\\', '~\\a'])('%s is not absolute', path => {
    expect(() => normalize(path)).toThrow(expect.objectContaining({ code: 'path_not_absolute', field: 'f' }))
  })
})

/**
 * What the Win32 layer makes of a path before a file system sees it, written from Microsoft's documents: separators, `.` and `..`, dots and
 * spaces at the end, devices. Undefined: not a file of a drive or share.
 */
function win32Reads(path: string): string | undefined {
  if (path.startsWith('\\\\?\\')) {
    const rest = path.slice(4)
    return /^[A-Za-z]:\\/.test(rest) ? rest : /^UNC\\/i.test(rest) ? `\\\\${rest.slice(4)}` : undefined
  }
  const text = path.replaceAll('/', '\\')
  const start = /^[A-Za-z]:\\|^\\\\(?![.?]\\)[^\\]+\\[^\\]+/.exec(text)?.[0]
  if (start === undefined) return undefined
  const names: string[] = []
  for (const name of text.slice(start.length).split('\\')) {
    if (name === '' || name === '.') continue
    if (name === '..') {
      names.pop()
      continue
    }
    if (/^(con|prn|aux|nul|com\d|lpt\d)$/i.test((name.split(/[.:]/)[0] as string).trimEnd())) return undefined
    names.push(name.replace(/[. ]+$/, ''))
  }
  return [start.replace(/\\$/, ''), ...names.filter(name => name !== '')].join('\\')
}

const piece = fc.constantFrom('a', 'B', '.git', '.', '..', ' ', 'a.', 'a ', 'nul', 'con.txt', 'aux .x', 'x:y', '::$DATA', 'GIT~1', 'com1', '\u00e9', '...', 'a*b', '\u0007', 'C:')
const separator = fc.constantFrom('\\', '/', '\\\\', '//', '\\.\\')
const start = fc.constantFrom('C:', 'c:', '\\\\?\\C:', '\\\\.\\C:', '\\\\s\\d', '//s/d', '\\\\?\\UNC\\s\\d', '', '.', '\\??\\C:', 'C', '\\\\localhost\\d', '//?/C:')
const path = fc.tuple(start, fc.array(fc.tuple(separator, piece), { maxLength: 5 }), fc.constantFrom('', '\\', '/')).map(([first, rest, last]) => first + rest.flat().join('') + last)

function accepted(text: string): string | undefined {
  try {
    return normalize(text)
  } catch {
    return undefined
  }
}

describe('properties', () => {
  test('what is accepted is the file that Win32 opens, and its own only spelling', () => {
    let count = 0
    fc.assert(fc.property(path, text => {
      const plain = accepted(text)
      if (plain === undefined) return
      count++
      expect(win32Reads(text)?.replace(/\\$/, '').toLowerCase()).toBe(plain.replace(/\\$/, '').toLowerCase())
      expect(normalize(plain)).toBe(plain)
      expect(win32Reads(plain)?.replace(/\\$/, '')).toBe(plain.replace(/\\$/, ''))
    }), { numRuns: 20_000, seed: 10 })
    expect(count).toBeGreaterThan(1000)
  })

  test('a form that means another file is refused wherever it stands', () => {
    const good = fc.array(fc.constantFrom('a', 'B', '.git', '\u00e9'), { maxLength: 3 })
    const bad = fc.constantFrom('..', 'a.', 'a ', 'nul', 'NUL.txt', 'a:b', 'a::$DATA', '. .', 'a?', 'COM3')
    fc.assert(fc.property(fc.constantFrom('C:\\', '\\\\s\\d\\', '\\\\?\\C:\\'), good, bad, good, (first, before, name, after) => {
      expect(accepted(first + [...before, name, ...after].join('\\'))).toBeUndefined()
    }), { seed: 10 })
  })
})

test.each([
  ['GIT~1', true], ['PROGRA~2', true], ['A1B2~1.TXT', true], ['a~12345', true], ['x~1.c', true],
  ['.git', false], ['notes~1.text', false], ['verylong~1', false], ['a~b', false], ['~1', false], ['file.txt~', false], ['a b~1', false],
] as const)('%s has the form of a short name: %s', (name, expected) => {
  expect(looksShort(name)).toBe(expected)
})

describe('on a host', () => {
  const host = fakeHost({ 'C:': {
    w: { '.git': { config: '' }, 'BACK~1': '', jct: symlink('C:\\other'), up: symlink('..\\other'), root: symlink('\\other\\x'), far: symlink('\\\\?\\D:\\y'), nt: symlink('\\??\\C:\\other'), vol: symlink('\\\\?\\Volume{1}\\'), drive: symlink('C:other'), odd: symlink('other. ') },
    other: { x: '' },
  }, 'D:': { y: { z: '' } } }, { platform: 'windows' })
  const short: FileSystemView = { ...host.files, entry: at => host.files.entry(at.replace('GIT~1', '.git')) }
  const withShort = { ...host, files: short }

  test('a short name is the long one that it stands for; its own name stays; one that nothing has is refused', () => {
    expect(followLinks(withShort, 'C:\\w\\GIT~1\\config', 'f').path).toBe('C:\\w\\.git\\config')
    expect(followLinksToParent(withShort, 'C:\\w\\GIT~1', 'f').path).toBe('C:\\w\\.git')
    expect(followLinks(withShort, 'C:\\w\\back~1', 'f').path).toBe('C:\\w\\BACK~1')
    expect(() => followLinks(host, 'C:\\w\\AGENT~1', 'f')).toThrow(expect.objectContaining({ code: 'path_invalid', message: expect.stringMatching(/short name/) }))
  })

  test.each([
    ['jct\\x', 'C:\\other\\x'], ['up\\x', 'C:\\other\\x'], ['root', 'C:\\other\\x'], ['far\\z', 'D:\\y\\z'], ['nt\\x', 'C:\\other\\x'],
  ])('%s leads to %s', (name, expected) => {
    expect(followLinks(host, `C:\\w\\${name}`, 'f').path).toBe(expected)
  })

  test.each(['vol', 'drive', 'odd'])('a link that cannot be judged is refused: %s', name => {
    expect(() => followLinks(host, `C:\\w\\${name}\\x`, 'f')).toThrow(expect.objectContaining({ code: 'path_invalid', message: expect.stringMatching(/a link on its way|drops/) }))
  })

  test('targets', () => {
    expect(windowsTarget('\\\\?\\C:\\a\\b', 'D:\\', 'f')).toEqual({ start: 'C:\\', names: ['a', 'b'] })
    expect(windowsTarget('..\\.\\b', 'D:\\', 'f')).toEqual({ start: '', names: ['..', '.', 'b'] })
    expect(windowsTarget('/a', 'D:\\', 'f')).toEqual({ start: 'D:\\', names: ['a'] })
    expect(() => windowsTarget('C:\\a\\..\\b', 'D:\\', 'f')).toThrow()
  })
})
