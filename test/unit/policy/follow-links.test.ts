import { describe, expect, test } from 'vitest'
import { bothEnds, firstMissing, followLinks, followLinksToParent, followOnce } from '../../../src/policy/follow-links.js'
import { fakeHost, symlink } from '../../support/fake-host.js'
import { macHost } from '../../support/macos-host.js'

const host = fakeHost({
  a: { file: '', down: symlink('b/c'), b: { c: { x: '' } }, up: symlink('../z'), self: symlink('self'), abs: symlink('/a/b'), chain: symlink('abs/c'), gone: symlink('/nowhere/x') },
  z: { y: '' },
})

test.each([
  ['/a/b', '/a/b'],
  ['/a/down/x', '/a/b/c/x'],
  ['/a/up/y', '/z/y'],
  ['/a/chain/x', '/a/b/c/x'],
  ['/a/abs/missing/deep', '/a/b/missing/deep'],
  ['/a/gone', '/nowhere/x'],
  ['/a/file/x', '/a/file/x'],
  ['/missing', '/missing'],
  ['/', '/'],
])('%s leads to %s', (path, expected) => {
  expect(followLinks(host, path, 'cwd').path).toBe(expected)
})

test('a link in a circle is an error that names field and value', () => {
  expect(() => followLinks(host, '/a/self/x', 'write[0]')).toThrowError(expect.objectContaining({ code: 'path_symlink_loop', field: 'write[0]' }))
})

test('40 links are followed, 41 are a loop', () => {
  const chain = (length: number) => fakeHost(Object.fromEntries([...Array.from({ length }, (_, index) => [`l${index}`, symlink(`/l${index + 1}`)]), [`l${length}`, 'end']]))
  expect(followLinks(chain(40), '/l0', 'cwd').entry?.kind).toBe('file')
  expect(() => followLinks(chain(41), '/l0', 'cwd')).toThrowError(expect.objectContaining({ code: 'path_symlink_loop' }))
})

test('a link that is the last part can be kept', () => {
  expect(followLinksToParent(host, '/a/abs', 'x')).toMatchObject({ path: '/a/abs', entry: { kind: 'symlink' } })
  expect(followLinksToParent(host, '/a/abs/c', 'x').path).toBe('/a/b/c')
  expect(bothEnds(host, '/a/up', 'x').map(end => end.path)).toEqual(['/a/up', '/z'])
})

test('many names of one folder: it is followed once, and each leads where it does by itself', () => {
  const asked: string[] = []
  const files = { ...host.files, entry: (path: string) => { asked.push(path); return host.files.entry(path) } }
  const names = ['/a/abs/c', '/a/abs/missing', '/a/up', '/a/chain/x', '/a/chain']
  const follow = followOnce()
  expect(names.map(name => bothEnds({ ...host, files }, name, 'x', follow))).toEqual(names.map(name => bothEnds(host, name, 'x')))
  asked.length = 0
  for (const name of ['c', 'missing', 'other']) followLinksToParent({ ...host, files }, `/a/b/${name}`, 'x', follow)
  expect(asked).toEqual(['/', '/a', '/a/b', '/a/b/c', '/a/b/missing', '/a/b/other'])
  expect(() => followLinksToParent(host, '/a/self/x', 'write[0]', followOnce())).toThrowError(expect.objectContaining({ code: 'path_symlink_loop', field: 'write[0]' }))
})

test('the first missing part of a path', () => {
  expect([firstMissing(host, '/a/n/m'), firstMissing(host, '/a/n'), firstMissing(host, '/q/r/s')]).toEqual(['/a/n', '/a/n', '/q'])
})

test('Windows paths and links', () => {
  const windows = fakeHost({ 'C:': { a: { l: symlink('..\\b') }, b: { x: '' } } }, { platform: 'windows' })
  expect(followLinks(windows, 'C:\\a\\l\\x', 'x')).toMatchObject({ path: 'C:\\b\\x', entry: { kind: 'file' } })
})

describe('macOS: the path as the kernel has it', () => {
  const mac = macHost({
    Users: { me: { Work: { Src: {}, 'cafe\u0301': {} }, Link: symlink('Work/Src'), twins: { a: '' } } }, private: { tmp: {} }, tmp: symlink('private/tmp'), System: { Volumes: { Data: { own: {} } } },
  })

  test.each([
    ['/users/ME/work/src', '/Users/me/Work/Src', 'the letters that stand on the disk'],
    ['/Users/me/work/NEW', '/Users/me/Work/NEW', 'what is missing keeps its own'],
    ['/Users/me/Work/caf\u00e9', '/Users/me/Work/cafe\u0301', 'the form that stands on the disk'],
    ['/users/me/link', '/Users/me/Work/Src', 'links in every spelling'],
    ['/System/Volumes/Data/Users/me/work', '/Users/me/Work', 'the near end of a firmlink'],
    ['/System/Volumes/Data/Users/me/missing/x', '/Users/me/missing/x', 'for missing names as well'],
    ['/system/volumes/data/private/tmp', '/private/tmp', 'both at once'],
    ['/System/Volumes/Data/own', '/System/Volumes/Data/own', 'what has no near end'],
    ['/TMP/x', '/private/tmp/x', 'the links of the system'],
  ])('%s is %s: %s', (path, expected) => {
    expect(followLinks(mac, path, 'x').path).toBe(expected)
  })

  test('a name that is kept has its letters from the disk too', () => {
    expect(bothEnds(mac, '/users/me/LINK', 'x').map(({ path }) => path)).toEqual(['/Users/me/Link', '/Users/me/Work/Src'])
    expect(followLinksToParent(mac, '/System/Volumes/Data/Users', 'x').path).toBe('/Users')
  })

  test('a folder that cannot be listed leaves a name as it is', () => {
    const hidden = { ...mac, files: { ...mac.files, children: () => undefined } }
    expect(followLinks(hidden, '/users/ME', 'x').path).toBe('/users/ME')
  })

  test('a disk on which letter case matters', () => {
    const strict = macHost({ Users: { me: { work: '', Work: '' } } }, { caseInsensitive: [] })
    expect([followLinks(strict, '/Users/me/work', 'x').path, followLinks(strict, '/Users/me/WORK', 'x').path]).toEqual(['/Users/me/work', '/Users/me/WORK'])
  })

  test('a file by its number is refused', () => {
    expect(() => followLinks(mac, '/.vol/16777234/2', 'deny[0]')).toThrow(expect.objectContaining({ code: 'path_invalid', field: 'deny[0]' }))
    expect(followLinks(fakeHost({}), '/.vol/x', 'x').path).toBe('/.vol/x')
  })
})
