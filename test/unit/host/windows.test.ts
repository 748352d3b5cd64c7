// A Windows machine through functions of the addon, here made by hand.
import { expect, test } from 'vitest'
import { machineFacts, type MachineFunctions, type NativeEntry, type NativeMachine, readMachine, windowsFiles } from '../../../src/host/windows.js'
import type { FileSystemView } from '../../../src/policy/host-snapshot.js'
import { whyNoLists } from '../../../src/platform/windows/host-facts.js'

const MACHINE: NativeMachine = {
  user: { name: 'me', domain: 'PC', sid: 'S-1-5-21-1-2-3-1001' }, isElevated: false, systemRoot: 'C:\\WINDOWS', profile: 'C:\\Users\\me', publicFolder: 'C:\\Users\\Public', programData: 'C:\\ProgramData',
  programFiles: 'C:\\Program Files', programFilesX86: undefined, architecture: 'x64',
  drives: [{ letter: 'C:', fileSystem: 'NTFS', kind: 'fixed', serial: '1' }, { letter: 'X:', fileSystem: 'NTFS', kind: 'fixed', serial: '1', substituted: 'C:\\src' }],
}
const entry = (kind: NativeEntry['kind'], inode: string, more: Partial<NativeEntry> = {}): NativeEntry => ({ kind, device: '1', inode, isDirectory: kind === 'directory', ...more })
const ENTRIES: Readonly<Record<string, NativeEntry>> = {
  'C:\\Users\\me': entry('directory', '10'), 'C:\\Users\\me\\a.txt': entry('file', '11'), 'C:\\Users\\me\\link': entry('symlink', '12', { target: '\\??\\C:\\src', isDirectory: true }),
}

function machine(): MachineFunctions & { readonly asked: string[] } {
  const asked: string[] = []
  return { asked, machineFacts: () => MACHINE, lookAt: path => { asked.push(path); return ENTRIES[path] }, readDescriptor: path => ENTRIES[path] === undefined ? undefined : `O:${MACHINE.user.sid}D:(A;;FA;;;WD)` }
}
/** Node's view, which follows links. */
const NODE: FileSystemView = { entry: () => undefined, children: path => path.endsWith('a.txt') ? undefined : ['a.txt', 'link'], text: () => 'text', bytes: () => new Uint8Array(4) }

test('an entry is as the addon has it, asked once', () => {
  const given = machine()
  const files = windowsFiles(given, NODE)
  expect([files.entry('C:\\Users\\me\\a.txt'), files.entry('C:\\Users\\me\\link'), files.entry('C:\\Users\\me\\none'), files.entry('C:\\Users\\me\\a.txt')]).toEqual([
    { kind: 'file', device: '1', inode: '11' }, { kind: 'symlink', device: '1', inode: '12', target: '\\??\\C:\\src' }, undefined, { kind: 'file', device: '1', inode: '11' },
  ])
  expect(given.asked).toEqual(['C:\\Users\\me\\a.txt', 'C:\\Users\\me\\link', 'C:\\Users\\me\\none'])
})
test('nothing is read or listed through a link, though Node would', () => {
  const files = windowsFiles(machine(), NODE)
  expect([files.children('C:\\Users\\me\\link'), files.text('C:\\Users\\me\\link'), files.bytes('C:\\Users\\me\\link')]).toEqual([undefined, undefined, undefined])
  expect([files.children('C:\\Users\\me'), files.text('C:\\Users\\me\\a.txt'), files.bytes('C:\\Users\\me\\a.txt')?.length]).toEqual([['a.txt', 'link'], 'text', 4])
})
test('to its list a link to a folder is a folder', () => {
  const files = windowsFiles(machine(), NODE)
  expect(['C:\\Users\\me', 'C:\\Users\\me\\a.txt', 'C:\\Users\\me\\link', 'C:\\none'].map(files.kind)).toEqual(['directory', 'file', 'directory', undefined])
})
test('the facts of a plan', () => {
  const given = machine()
  const facts = machineFacts(readMachine(given), given, windowsFiles(given, NODE), MACHINE.profile)
  expect(facts).toMatchObject({
    user: { name: 'me', sid: 'S-1-5-21-1-2-3-1001' }, systemRoot: 'C:\\WINDOWS', profileEntries: ['C:\\Users\\me\\a.txt', 'C:\\Users\\me\\link'],
    drives: [{ letter: 'C:', fileSystem: 'NTFS', kind: 'fixed' }, { letter: 'X:', fileSystem: 'NTFS', kind: 'fixed', substituted: 'C:\\src' }],
  })
  expect([facts.descriptor('C:\\Users\\me'), facts.descriptor('C:\\none')]).toEqual(['O:S-1-5-21-1-2-3-1001D:(A;;FA;;;WD)', undefined])
})
test('a letter that is another name of a folder holds no rule', () => {
  expect(whyNoLists(MACHINE, 'X:\\project')).toBe('X: is another name of C:\\src (subst): give the path by that one')
  expect(whyNoLists(MACHINE, 'C:\\src')).toBeUndefined()
})
test.each([
  { name: 'no drive has Windows', change: { systemRoot: 'D:\\Windows' } },
  { name: 'the account has no SID', change: { user: { ...MACHINE.user, sid: '' } } },
])('a machine that makes no sense is none: $name', ({ change }) => {
  expect(() => readMachine({ machineFacts: () => ({ ...MACHINE, ...change }) })).toThrow(expect.objectContaining({ code: 'layer_missing', message: expect.stringContaining('makes no sense') }))
})
