import { expect, test } from 'vitest'
import { EXAMPLE_MAC } from '../../../src/host/example-mac.js'
import { readSnapshotFile } from '../../../src/host/snapshot-file.js'
import { presetPolicy } from '../../../src/policy/presets.js'
import { resolve } from '../../../src/policy/resolve.js'

const read = (files: object, rest: object = {}) => readSnapshotFile('--host', { platform: 'macos', cwd: '/w', files: { '/w/': null, ...files }, ...rest })

test('files, folders, links and others are what they were written as; folders above are there', () => {
  const { files } = read({ '/a/b/c.txt': 'text', '/a/empty/': null, '/a/link': { link: 'b' }, '/run/socket': { kind: 'socket' } })
  expect(['/', '/a', '/a/b', '/a/b/c.txt', '/a/empty', '/a/link', '/run/socket', '/nope'].map(path => files.entry(path)?.kind)).toEqual([
    'directory', 'directory', 'directory', 'file', 'directory', 'symlink', 'socket', undefined,
  ])
  expect([files.children('/a'), files.children('/a/b/c.txt'), files.text('/a/b/c.txt'), files.text('/a'), files.entry('/a/link')?.target]).toEqual([['b', 'empty', 'link'], undefined, 'text', undefined, 'b'])
})

test('one file has one identity, in every spelling, and no other has it', () => {
  const { files } = read({ '/Users/Me/x': '', '/Users/Me/y': '' })
  const inode = (path: string) => files.entry(path)?.inode
  expect([inode('/users/ME/X'), inode('/Users/Me/y'), inode('/System/Volumes/Data/Users/Me/x')]).toEqual([inode('/Users/Me/x'), expect.not.stringMatching(`^${inode('/Users/Me/x')}$`), inode('/Users/Me/x')])
})

test('a disk on which letter case matters', () => {
  const { files } = read({ '/A/x': '', '/b/x': '' }, { ignoresCase: ['/b'] })
  expect([files.entry('/a/x'), files.entry('/b/X')?.kind]).toEqual([undefined, 'file'])
})

test('what is not said has its default', () => {
  expect(read({}, { home: '/Users/x' })).toMatchObject({ uid: 501, gid: 20, codexHome: '/Users/x/.codex', tmpdir: undefined, selfPaths: [] })
  expect(read({})).toMatchObject({ home: undefined, codexHome: undefined })
})

test.each([
  { value: [], field: '--host host' },
  { value: { platform: 'linux', cwd: '/w', files: {} }, field: '--host platform' },
  { value: { platform: 'macos', files: {} }, field: '--host cwd' },
  { value: { platform: 'macos', cwd: 'w', files: {} }, field: '--host cwd' },
  { value: { platform: 'macos', cwd: '/w', home: 3, files: {} }, field: '--host home' },
  { value: { platform: 'macos', cwd: '/w', uid: '0', files: {} }, field: '--host uid' },
  { value: { platform: 'macos', cwd: '/w', ignoresCase: '/', files: {} }, field: '--host ignoresCase' },
  { value: { platform: 'macos', cwd: '/w', flies: {}, files: {} }, field: '--host flies' },
  { value: { platform: 'macos', cwd: '/w' }, field: '--host files' },
  { value: { platform: 'macos', cwd: '/w', files: { w: '' } }, field: '--host files' },
  { value: { platform: 'macos', cwd: '/w', files: { '/w/../x': '' } }, field: '--host files' },
  { value: { platform: 'macos', cwd: '/w', files: { '/w/': '' } }, field: '--host files' },
  { value: { platform: 'macos', cwd: '/w', files: { '/w': null } }, field: '--host files' },
  { value: { platform: 'macos', cwd: '/w', files: { '/w': { link: 'x', kind: 'socket' } } }, field: '--host files' },
  { value: { platform: 'macos', cwd: '/w', files: { '/w': '', '/w/x': '' } }, field: '--host files' },
])('refused by name: $value', ({ value, field }) => {
  expect(() => readSnapshotFile('--host', value)).toThrow(expect.objectContaining({ code: 'option_invalid', field }))
})

test('the example is a Mac on which the default policy says what it should', () => {
  const host = readSnapshotFile('example', EXAMPLE_MAC)
  const { paths, ignored } = resolve(presetPolicy('workspace-write', 'library'), host)
  expect(ignored).toEqual([])
  expect(paths.map(({ path, effect }) => `${effect} ${path}`)).toEqual(expect.arrayContaining([
    'write /private/tmp', 'write /Users/me/project', 'write /private/var/folders/zz/zyxvpxvq6csfxvn_n0000000000000/T', 'read /Users/me/project/.git', 'deny /Users/me/.ssh', 'read /Users/me/.ssh/id_ed25519.pub', 'deny /Users/me/Library/Keychains',
  ]))
})
