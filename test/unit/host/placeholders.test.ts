// What is hidden from a policy because a launcher wrote down that it put it there, and what is not.
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { type PlaceholdersIn, readPlaceholders, withoutPlaceholders } from '../../../src/host/placeholders.js'
import { fakeFiles, socket, symlink } from '../../support/fake-host.js'

let state: string
beforeEach(() => { state = mkdtempSync(join(tmpdir(), 'placeholders-')) })
afterEach(() => rmSync(state, { recursive: true }))
/** Of an object in the folder with device 1 and inode 0x2a. */
const FOLDER = { device: '1', inode: '42' }
const record = (name: string, text: string): void => writeFileSync(join(state, `placeholder-1-2a-${name}`), text)

test('records are read, by the folder that they are about; what is no record, or not whole yet, is left out', () => {
  record('a', '0 1 7 1 2\n/w/.git\nhooks\n')
  record('b', '1 1 8 1 2\n/w/.git\ncommondir\n.\n')
  record('c', '2 1 9 1 2\n/w/.git\nsequencer\n/dev/x')
  record('empty', '')
  record('half', '0 1 7 1 2\n/w')
  writeFileSync(join(state, 'layers.json'), '{}')
  writeFileSync(join(state, 'placeholder-1-2b-d'), '0 1 7 1 43\n/other\nhooks\n')
  const placeholdersIn = readPlaceholders(state)
  // Listed when somebody first asks, read for the folder that is asked about; and then not again.
  expect(placeholdersIn({ device: '2', inode: '42' }).size).toBe(0)
  rmSync(join(state, 'placeholder-1-2b-d'))
  expect(placeholdersIn({ device: '1', inode: '43' }).size).toBe(0)
  expect(placeholdersIn(FOLDER)).toBe(placeholdersIn(FOLDER))
  expect(Object.fromEntries(placeholdersIn(FOLDER))).toEqual({
    '/w/.git/hooks': { device: '1', inode: '7', text: '' }, '/w/.git/commondir': { device: '1', inode: '8', text: '.\n' }, '/w/.git/sequencer': { device: '1', inode: '9', text: '/dev/x' },
  })
})

test('without a state directory there are none', () => {
  expect(readPlaceholders('/no/such/folder')(FOLDER).size).toBe(0)
  mkdirSync(join(state, 'placeholder-1-2a-folder'))
  expect(readPlaceholders(state)(FOLDER).size).toBe(0)
})

const tree = { w: { empty: {}, full: { x: '' }, file: '.\n', changed: 'mine\n', link: symlink('/nowhere'), other: symlink('/mine'), socket: socket() } }
const files = fakeFiles(tree)
const recordedInW = (path: string, placeholder: { device: string; inode: string; text: string }): PlaceholdersIn => ({ device, inode }) =>
  device === files.entry('/w')?.device && inode === files.entry('/w')?.inode ? new Map([[path, placeholder]]) : new Map()
const identity = (name: string): { device: string; inode: string } => ({ device: files.entry(`/w/${name}`)!.device, inode: files.entry(`/w/${name}`)!.inode })

test.each([
  { name: 'empty',   text: '',         hidden: true,  why: 'an empty folder' },
  { name: 'full',    text: '',         hidden: false, why: 'a folder in which somebody has made something' },
  { name: 'file',    text: '.\n',      hidden: true,  why: 'a file with its text' },
  { name: 'changed', text: '.\n',      hidden: false, why: 'a file that somebody has written' },
  { name: 'link',    text: '/nowhere', hidden: true,  why: 'a link that leads where it was made to lead' },
  { name: 'socket',  text: '',         hidden: true,  why: 'a socket' },
  { name: 'other',   text: '/nowhere', hidden: false, why: 'a link that leads elsewhere' },
])('$why is hidden: $hidden', ({ name, text, hidden }) => {
  const path = `/w/${name}`
  const view = withoutPlaceholders(files, recordedInW(path, { ...identity(name), text }))
  expect({ entry: view.entry(path), text: view.text(path), listed: view.children('/w')?.includes(name) })
    .toEqual(hidden ? { entry: undefined, text: undefined, listed: false } : { entry: files.entry(path), text: files.text(path), listed: true })
  expect(view.entry('/w')).toEqual(files.entry('/w'))
})

test('what somebody has put in its place is another object, and shows', () => {
  const view = withoutPlaceholders(files, recordedInW('/w/empty', { device: '1', inode: '999', text: '' }))
  expect(view.entry('/w/empty')).toEqual(files.entry('/w/empty'))
})
