// Any change to a tree shows.
import { chmodSync, linkSync, mkdirSync, mkdtempSync, renameSync, rmSync, symlinkSync, utimesSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { fileState, firstChange } from '../../../src/doctor/file-state.js'

let root: string
beforeEach(() => {
  root = mkdtempSync(`${tmpdir()}/file-state-`)
  mkdirSync(`${root}/tree/sub`, { recursive: true })
  writeFileSync(`${root}/tree/file`, 'abc')
  symlinkSync('file', `${root}/tree/link`)
})
afterEach(() => rmSync(root, { recursive: true }))

test.each<{ name: string; act: () => void; says: RegExp | undefined }>([
  { name: 'nothing',               act: () => {},                                                     says: undefined },
  { name: 'new content',           act: () => writeFileSync(`${root}/tree/file`, 'abd'),              says: /file changed: .*content/ },
  { name: 'another mode',          act: () => chmodSync(`${root}/tree/file`, 0o600),                  says: /file changed: .*mode/ },
  { name: 'another mode of a folder', act: () => chmodSync(`${root}/tree/sub`, 0o700),                says: /sub changed: mode/ },
  { name: 'another time',          act: () => utimesSync(`${root}/tree/file`, 1, 1),                  says: /file changed: .*modified/ },
  { name: 'a second name',         act: () => linkSync(`${root}/tree/file`, `${root}/second`),        says: /file changed: .*links 1 → links 2/ },
  { name: 'a new file',            act: () => writeFileSync(`${root}/tree/sub/new`, ''),              says: /sub\/new is new/ },
  { name: 'a removed file',        act: () => rmSync(`${root}/tree/file`),                            says: /file is gone/ },
  { name: 'a link elsewhere',      act: () => { rmSync(`${root}/tree/link`); symlinkSync('x', `${root}/tree/link`) }, says: /link changed: .*to file → to x/ },
  { name: 'a folder exchanged',    act: () => { renameSync(`${root}/tree/sub`, `${root}/old`); mkdirSync(`${root}/tree/sub`) }, says: /sub changed: inode/ },
  { name: 'the whole tree gone',   act: () => rmSync(`${root}/tree`, { recursive: true }),            says: /tree is gone/ },
])('$name', ({ act, says }) => {
  const before = fileState([`${root}/tree`])
  act()
  const change = firstChange(before, fileState([`${root}/tree`]))
  if (says === undefined) expect(change).toBeUndefined()
  else expect(change).toMatch(says)
})
test('what does not exist has no state, and shows when it comes', () => {
  const before = fileState([`${root}/none`])
  writeFileSync(`${root}/none`, '')
  expect(firstChange(before, fileState([`${root}/none`]))).toMatch('none is new')
})
