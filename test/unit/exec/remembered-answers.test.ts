import { expect, test } from 'vitest'
import { RememberedAnswers } from '../../../src/exec/remembered-answers.js'
import type { FileSystemView } from '../../../src/policy/host-snapshot.js'
import { fakeFiles, symlink, type Tree } from '../../support/fake-host.js'

const subject = {}
const before: Tree = { w: { notes: 'a', link: symlink('notes'), dir: { x: '' } } }

/** How often it was worked out, with the same files and then with others. */
function timesWorkedOut(work: (files: FileSystemView) => unknown, after: Tree, more: { subject?: object; key?: string } = {}): { same: number; changed: number } {
  const remembered = new RememberedAnswers<unknown>()
  let times = 0
  const counted = (files: FileSystemView): unknown => {
    times++
    return work(files)
  }
  remembered.answer(subject, 'key', () => fakeFiles(before), counted)
  const first = remembered.answer(subject, 'key', () => fakeFiles(before), counted)
  expect(first).toEqual(work(fakeFiles(before)))
  const same = times
  const changed = remembered.answer(more.subject ?? subject, more.key ?? 'key', () => fakeFiles(after), counted)
  expect(changed).toEqual(work(fakeFiles(after)))
  return { same, changed: times }
}

test.each<{ name: string; work: (files: FileSystemView) => unknown; after: Tree; changed: number; same?: number; subject?: object; key?: string }>([
  { name: 'the same again is not worked out again', work: files => files.entry('/w/notes')?.kind, after: before, changed: 1 },
  { name: 'what never looks depends on nothing', work: () => 'always', after: {}, changed: 1 },
  { name: 'a change elsewhere does not count', work: files => files.entry('/w/missing')?.kind, after: { w: { other: '' } }, changed: 1 },
  { name: 'what was missing and is there now', work: files => files.entry('/w/missing')?.kind, after: { w: { ...before['w'] as Tree, missing: '' } }, changed: 2 },
  { name: 'what was there and is missing now', work: files => files.entry('/w/notes')?.kind, after: { w: {} }, changed: 2 },
  { name: 'another kind', work: files => files.entry('/w/notes')?.kind, after: { w: { notes: {}, link: symlink('notes'), dir: { x: '' } } }, changed: 2 },
  { name: 'another file at the same name', work: files => files.entry('/w/notes')?.inode, after: { w: { first: '', notes: 'a' } }, changed: 2 },
  { name: 'a link that leads elsewhere', work: files => files.entry('/w/link')?.target, after: { w: { notes: 'a', link: symlink('other'), dir: { x: '' } } }, changed: 2 },
  { name: 'another name in a folder', work: files => files.children('/w/dir'), after: { w: { notes: 'a', link: symlink('notes'), dir: { x: '', y: '' } } }, changed: 2 },
  { name: 'another text', work: files => files.text('/w/notes'), after: { w: { notes: 'b', link: symlink('notes'), dir: { x: '' } } }, changed: 2 },
  { name: 'the second of two looks', work: files => [files.entry('/w')?.kind, files.text('/w/notes')], after: { w: { notes: 'b', link: symlink('notes'), dir: { x: '' } } }, changed: 2 },
  { name: 'what looks at bytes is worked out each time', work: files => files.bytes('/w/notes')?.length, after: before, same: 2, changed: 3 },
  { name: 'what looks at too much, too', work: files => files.entry(`/w/${'x'.repeat(9000)}`), after: before, same: 2, changed: 3 },
  { name: 'another subject', work: files => files.entry('/w/notes')?.kind, after: before, subject: {}, changed: 2 },
  { name: 'another key', work: files => files.entry('/w/notes')?.kind, after: before, key: 'other', changed: 2 },
])('$name', ({ work, after, same = 1, changed, ...more }) => {
  expect(timesWorkedOut(work, after, more)).toEqual({ same, changed })
})

test('what depends on no file is given again without a look at the host', () => {
  const remembered = new RememberedAnswers<string>()
  const unseen = (): FileSystemView => { throw new Error('looked') }
  remembered.answer(subject, 'key', () => fakeFiles(before), () => 'always')
  expect(remembered.answer(subject, 'key', unseen, () => 'again')).toBe('always')
})

test('an error is nobody\'s answer: it is thrown each time', () => {
  const remembered = new RememberedAnswers<string>()
  const fails = (): string => { throw new Error('no') }
  for (let time = 0; time < 2; time++) expect(() => remembered.answer(subject, 'key', () => fakeFiles(before), fails)).toThrow('no')
  expect(remembered.answer(subject, 'key', () => fakeFiles(before), () => 'yes')).toBe('yes')
})

test('there is room for 128: then the oldest go', () => {
  const remembered = new RememberedAnswers<number>()
  let times = 0
  const ask = (key: number) => remembered.answer(subject, `${key}`, () => fakeFiles(before), () => ++times)
  for (let key = 0; key < 129; key++) ask(key)
  expect(times).toBe(129)
  ask(128)
  ask(1)
  expect(times).toBe(129)
  ask(0)
  expect(times).toBe(130)
})
