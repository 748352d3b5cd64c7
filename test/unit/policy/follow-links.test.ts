import { expect, test } from 'vitest'
import { bothEnds, firstMissing, followLinks, followLinksToParent } from '../../../src/policy/follow-links.js'
import { fakeHost, symlink } from '../../support/fake-host.js'

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

test('the first missing part of a path', () => {
  expect([firstMissing(host, '/a/n/m'), firstMissing(host, '/a/n'), firstMissing(host, '/q/r/s')]).toEqual(['/a/n', '/a/n', '/q'])
})

test('Windows paths and links', () => {
  const windows = fakeHost({ 'C:': { a: { l: symlink('..\\b') }, b: { x: '' } } }, { platform: 'windows' })
  expect(followLinks(windows, 'C:\\a\\l\\x', 'x')).toMatchObject({ path: 'C:\\b\\x', entry: { kind: 'file' } })
})
