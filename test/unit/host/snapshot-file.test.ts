import { expect, test } from 'vitest'
import { EXAMPLE_WINDOWS } from '../../../src/host/example-windows.js'
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

const ME = 'S-1-5-21-1-2-3-1001'
const readWindows = (files: object, windows: object = {}, rest: object = {}) => readSnapshotFile('--host', { platform: 'windows', cwd: 'C:\\w', home: 'C:\\Users\\me', windows: { user: { name: 'me', sid: ME }, ...windows }, files: { 'C:\\w\\': null, 'C:\\Users\\me\\x': '', ...files }, ...rest })

test('Windows: files in any letters, facts of the machine, and lists by path', () => {
  const { files, windows, codexHome, uid } = readWindows({ 'C:\\w\\a\\b.txt': 'text', 'D:\\x\\': null, 'C:\\w\\j': { link: 'D:\\x' } }, { lists: { 'c:\\W': 'D:(A;;FA;;;WD)' } })
  expect(['c:\\W\\A\\B.TXT', 'C:\\w\\j', 'D:\\', 'D:\\nope'].map(path => files.entry(path)?.kind)).toEqual(['file', 'symlink', 'directory', undefined])
  expect(windows).toMatchObject({ drives: [{ letter: 'C:', fileSystem: 'NTFS', kind: 'fixed' }, { letter: 'D:', fileSystem: 'NTFS', kind: 'fixed' }], systemRoot: 'C:\\Windows', profileEntries: ['C:\\Users\\me\\x'], setUp: undefined, ownLists: [{ path: 'C:\\W', kind: 'directory' }] })
  expect([windows?.descriptor('C:\\w'), windows?.descriptor('C:\\w\\a'), windows?.kind('C:\\w'), windows?.kind('C:\\nope'), codexHome, uid]).toEqual(['D:(A;;FA;;;WD)', undefined, 'directory', undefined, 'C:\\Users\\me\\.codex', -1])
})

test.each([
  { value: { platform: 'windows', cwd: 'C:\\w', files: {} }, field: '--host windows' },
  { value: { platform: 'macos', cwd: '/w', windows: {}, files: {} }, field: '--host windows' },
  { value: { platform: 'windows', cwd: '/w', windows: { user: { name: 'me', sid: ME } }, files: {} }, field: '--host cwd' },
  { value: { platform: 'windows', cwd: 'C:\\w', windows: { user: { name: 'me' } }, files: {} }, field: '--host windows.user' },
  { value: { platform: 'windows', cwd: 'C:\\w', windows: { user: { name: 'me', sid: 'me' } }, files: {} }, field: '--host windows.user' },
  { value: { platform: 'windows', cwd: 'C:\\w', windows: { user: { name: 'me', sid: ME }, drive: [] }, files: {} }, field: '--host windows.drive' },
  { value: { platform: 'windows', cwd: 'C:\\w', windows: { user: { name: 'me', sid: ME }, drives: [{ letter: 'C' }] }, files: {} }, field: '--host windows.drives' },
  { value: { platform: 'windows', cwd: 'C:\\w', windows: { user: { name: 'me', sid: ME }, lists: { 'C:\\w.': 'D:' } }, files: {} }, field: '--host windows.lists' },
  { value: { platform: 'windows', cwd: 'C:\\w', windows: { user: { name: 'me', sid: ME }, systemRoot: 'Windows' }, files: {} }, field: '--host windows.systemRoot' },
  { value: { platform: 'windows', cwd: 'C:\\w', windows: { user: { name: 'me', sid: ME } }, files: { '/w': '' } }, field: '--host files' },
  { value: { platform: 'windows', cwd: 'C:\\w', windows: { user: { name: 'me', sid: ME } }, files: { 'C:\\w\\a:b': '' } }, field: '--host files' },
])('refused by name, Windows: $value', ({ value, field }) => {
  expect(() => readSnapshotFile('--host', value)).toThrow(expect.objectContaining({ code: 'option_invalid', field }))
})

test('the example of Windows is a machine on which the default policy says what it should', () => {
  const host = readSnapshotFile('example', EXAMPLE_WINDOWS)
  const { paths, ignored } = resolve(presetPolicy('workspace-write', 'library'), host)
  expect(ignored).toEqual([])
  expect(paths.map(({ path, effect }) => `${effect} ${path}`)).toEqual(expect.arrayContaining([
    'write C:\\Users\\me\\project', 'write C:\\Users\\me\\AppData\\Local\\Temp', 'read C:\\Users\\me\\project\\.git', 'deny C:\\Users\\me\\.ssh', 'read C:\\Users\\me\\.ssh\\id_ed25519.pub', 'deny C:\\Users\\me\\AppData\\Roaming\\GitHub CLI\\hosts.yml',
  ]))
})
