// What stands for vitest in the virtual machines of scripts/test-kernels.mjs: a test that fails there must be told as one that failed.
import { execFileSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { build } from 'esbuild'
import { afterAll, beforeAll, expect, test } from 'vitest'

const ROOT = fileURLToPath(new URL('../../..', import.meta.url))

const SAMPLE = `
import { afterEach, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
test.each([{ name: 'one' }, { name: 'two' }])('$name holds', ({ name }) => { expect({ name }).toEqual({ name: expect.stringMatching(/one|two/) }) })
test('fails', () => { expect([1]).toEqual([2]) })
test('throws', async () => { throw new Error('thrown') })
test('hangs', { timeout: 20 }, () => new Promise(() => {}))
test('becomes true', async () => { let n = 0; await expect.poll(() => ++n, { interval: 1 }).toBe(3) })
test('never becomes true', async () => { await expect.poll(() => 1, { interval: 1, timeout: 20 }).not.toBe(1) })
test('is skipped while it runs', ({ skip }) => { skip('no compiler') })
test.skip('is skipped (only root can)', () => {})
test('is cleaned up', () => { onTestFinished(() => { throw new Error('not removed') }) })
describe('a group', () => {
  beforeAll(() => { throw new Error('no scene') })
  test('in it', () => {})
})
`
const ENTRY = `
import { runFiles } from 'vitest'
const told = []
const [files, options] = JSON.parse(process.argv[2])
await runFiles(files, { ...options, ...(options.matching ? { matching: new RegExp(options.matching) } : {}), onResult: ({ name, state, reason }) => told.push({ name, state, reason: reason?.split('\\n')[0] }) })
console.log(JSON.stringify(told))
process.exit(0)
`

let folder: string

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'test-kernels-'))
  mkdirSync(join(folder, 'node_modules/vitest'), { recursive: true })
  await build({ absWorkingDir: ROOT, entryPoints: ['scripts/test-kernels-vitest.mjs'], outfile: join(folder, 'node_modules/vitest/index.js'), bundle: true, platform: 'node', format: 'esm', target: 'node20.19', logLevel: 'error' })
  writeFileSync(join(folder, 'node_modules/vitest/package.json'), '{"type":"module","exports":"./index.js"}')
  writeFileSync(join(folder, 'sample.test.mjs'), SAMPLE)
  writeFileSync(join(folder, 'broken.test.mjs'), 'import "nothing-of-this-name"')
  writeFileSync(join(folder, 'entry.mjs'), ENTRY)
})
afterAll(() => rmSync(folder, { recursive: true, force: true }))

const told = (file: string, options: object = {}): { name: string; state: string; reason?: string }[] =>
  JSON.parse(execFileSync(process.execPath, ['entry.mjs', JSON.stringify([[join(folder, file)], options])], { cwd: folder, encoding: 'utf8' })) as ReturnType<typeof told>

const states = (results: ReturnType<typeof told>): Record<string, string> => Object.fromEntries(results.map(({ name, state }) => [name, state]))

test('each test is told, with what came of it', () => {
  const results = told('sample.test.mjs')
  expect(states(results)).toEqual({
    "'one' holds": 'passed', "'two' holds": 'passed', 'fails': 'failed', 'throws': 'failed', 'hangs': 'failed', 'becomes true': 'passed', 'never becomes true': 'failed',
    'is skipped while it runs': 'skipped', 'is skipped (only root can)': 'skipped', 'is cleaned up': 'failed', 'a group': 'failed', 'a group > in it': 'skipped',
  })
  expect(results.filter(({ state }) => state === 'skipped').slice(0, 2).map(({ reason }) => reason)).toEqual(['no compiler', 'only root can'])
  expect(results.find(({ name }) => name === 'throws')?.reason).toBe('thrown')
})

test('a file that cannot be loaded has failed', () => {
  expect(told('broken.test.mjs')).toEqual([{ name: 'broken.test.mjs', state: 'failed', reason: expect.stringMatching(/nothing-of-this-name/) }])
})

test.each([
  { name: 'those that match', options: { matching: 'holds|throws' }, found: ["'one' holds", "'two' holds", 'throws'] },
  { name: 'every second of them', options: { matching: 'holds|throws', share: 2 }, found: ["'one' holds", 'throws'] },
])('only what is asked for is run: $name', ({ options, found }) => {
  expect(told('sample.test.mjs', options).map(({ name }) => name).filter(name => name !== 'a group')).toEqual(found)
})
