import { mkdtempSync, readdirSync, readFileSync, rmSync, utimesSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import type { LayerReport } from '../../../../../src/platform/backend.js'
import { keepLayers, recallLayers } from '../../../../../src/platform/linux/native/probe-cache.js'

let folder = ''
let launcher = ''
const LAYERS: readonly LayerReport[] = [{ layer: 'landlock', available: true, version: 7 }, { layer: 'seccomp', available: true }]

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'probe-cache-'))
  launcher = join(folder, 'launcher')
  writeFileSync(launcher, 'one')
})
afterEach(() => rmSync(folder, { recursive: true }))

test('what was kept is recalled', () => {
  expect(recallLayers(folder, launcher)).toBe(undefined)
  keepLayers(folder, launcher, LAYERS)
  expect(recallLayers(folder, launcher)).toEqual(LAYERS)
  expect(readdirSync(folder).sort()).toEqual(['launcher', 'layers.json'])
})

test('an answer with a missing layer is never kept: the host may have been repaired', () => {
  keepLayers(folder, launcher, [...LAYERS, { layer: 'proc-mount', available: false }])
  expect(recallLayers(folder, launcher)).toBe(undefined)
})

test.each<{ name: string; change: () => void }>([
  { name: 'another launcher', change: () => utimesSync(launcher, 1, 1) },
  { name: 'another boot', change: () => { const file = join(folder, 'layers.json'); writeFileSync(file, readFileSync(file, 'utf8').replace(/"key":"[^ ]+/, '"key":"another-boot')) } },
  { name: 'another setting of Yama', change: () => { const file = join(folder, 'layers.json'); writeFileSync(file, readFileSync(file, 'utf8').replace(/"key":"([^ ]+ [^ ]+) [^ ]+/, '"key":"$1 9')) } },
  { name: 'half a file', change: () => writeFileSync(join(folder, 'layers.json'), '{"key"') },
  { name: 'a layer that is not there', change: () => { const file = join(folder, 'layers.json'); writeFileSync(file, readFileSync(file, 'utf8').replace('true', 'false')) } },
  { name: 'no layers at all', change: () => { const file = join(folder, 'layers.json'); writeFileSync(file, readFileSync(file, 'utf8').replace(/"layers":.*\]/, '"layers":[]')) } },
])('$name: the host is asked again', ({ change }) => {
  keepLayers(folder, launcher, LAYERS)
  change()
  expect(recallLayers(folder, launcher)).toBe(undefined)
})

test('a folder that cannot be written is no error', () => {
  expect(() => keepLayers(join(folder, 'absent'), launcher, LAYERS)).not.toThrow()
})
