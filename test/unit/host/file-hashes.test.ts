import { createHash } from 'node:crypto'
import { closeSync, copyFileSync, mkdirSync, mkdtempSync, openSync, readFileSync, renameSync, rmSync, statSync, utimesSync, writeFileSync, writeSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import { beforeEach, expect, onTestFinished, test } from 'vitest'
import { FileHashes, hashOf } from '../../../src/host/file-hashes.js'

const LATER_MS = 60_000
/** Longer than what the kernel's clock for files goes on by at once. */
const TICK_MS = 50
const sha256 = (bytes: Uint8Array | string): string => createHash('sha256').update(bytes).digest('hex')

let folder: string
let file: string
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'file-hashes-'))
  onTestFinished(() => rmSync(folder, { recursive: true }))
  file = join(folder, 'file')
  writeFileSync(file, 'first')
  // A time that can be given back exactly.
  utimesSync(file, 1_000, 1_000)
})

/** Of a minute from now, when the file has settled. */
const later = (): FileHashes => new FileHashes(() => Date.now() + LATER_MS)

/** Writes the same length over it, and gives it back the time that anybody can set. */
function overwrite(path: string, text: string): void {
  const { atime, mtime } = statSync(path)
  const descriptor = openSync(path, 'r+')
  writeSync(descriptor, text, 0)
  closeSync(descriptor)
  utimesSync(path, atime, mtime)
}

test('of a file of many pieces', () => {
  expect(new FileHashes().sha256(process.execPath)).toBe(sha256(readFileSync(process.execPath)))
})

test('of an empty one', () => {
  writeFileSync(file, '')
  expect(later().sha256(file)).toBe(sha256(''))
})

test.each<{ name: string; change: () => void; after: string }>([
  { name: 'nothing changed',                                                   change: () => {}, after: 'first' },
  { name: 'it was written over in place, with its length and its time as before', change: () => overwrite(file, 'other'), after: 'other' },
  { name: 'another was put in its place, with its length and its time as before', change: () => {
    const { atime, mtime } = statSync(file)
    writeFileSync(`${file}.new`, 'other')
    utimesSync(`${file}.new`, atime, mtime)
    renameSync(`${file}.new`, file)
  }, after: 'other' },
  { name: 'it is longer',                                                      change: () => writeFileSync(file, 'first and more'), after: 'first and more' },
  { name: 'what it was comes back by another copy',                            change: () => { copyFileSync(file, `${file}.copy`); renameSync(`${file}.copy`, file) }, after: 'first' },
])('asked again where $name', async ({ change, after }) => {
  const hashes = later()
  expect(hashes.sha256(file)).toBe(sha256('first'))
  await wait(TICK_MS)
  change()
  expect(hashes.sha256(file)).toBe(sha256(after))
})

test.each([
  { name: 'has not changed for long: once',                                                                 msAfter: LATER_MS, reads: 1 },
  { name: 'has just changed: each time, as a second change at one tick of the clock would have the same times', msAfter: 1, reads: 3 },
  { name: 'changed in the future, as the clock goes: each time',                                                msAfter: -LATER_MS, reads: 3 },
])('how often a file is read that $name', ({ msAfter, reads }) => {
  let count = 0
  const hashes = new FileHashes(() => Number(statSync(file, { bigint: true }).ctimeMs) + msAfter, descriptor => {
    count++
    return hashOf(descriptor)
  })
  for (let i = 0; i < 3; i++) expect(hashes.sha256(file)).toBe(sha256('first'))
  expect(count).toBe(reads)
})

test('what changes while it is read is not remembered', async () => {
  await wait(TICK_MS)
  const hashes = new FileHashes(() => Date.now() + LATER_MS, descriptor => {
    const hash = hashOf(descriptor)
    if (hash === sha256('first')) overwrite(file, 'other')
    return hash
  })
  hashes.sha256(file)
  expect(hashes.sha256(file)).toBe(sha256('other'))
})

test('what cannot be read throws, also where it could be before', () => {
  const hashes = later()
  hashes.sha256(file)
  rmSync(file)
  expect(() => hashes.sha256(file)).toThrow(expect.objectContaining({ code: 'ENOENT' }))
  mkdirSync(file)
  expect(() => hashes.sha256(file)).toThrow(expect.objectContaining({ code: 'EISDIR' }))
})
