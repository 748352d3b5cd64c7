// The code cache of the command line is used where it is whole and of this very text and Node, and passed over without a word everywhere else.
import { spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'

const ROOT = join(import.meta.dirname, '../../..')
/** Tells on stderr what became of the data that the program gave to V8. */
const WATCH = `
const vm = require('node:vm')
vm.Script = class extends vm.Script {
  constructor(text, options) {
    super(text, options)
    process.stderr.write(options.cachedData === undefined ? 'compiled\\n' : this.cachedDataRejected ? 'rejected\\n' : 'used\\n')
  }
}
`
const DIGEST_BYTES = 32
/** V8's header: a magic number, then the hash of its version. */
const VERSION_AT = DIGEST_BYTES + 4

let folder: string
let text: string
let cache: string
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'code-cache-'))
  mkdirSync(join(folder, 'dist'))
  for (const name of ['package.json', 'dist/cli.cjs', 'dist/cli']) cpSync(join(ROOT, name), join(folder, name), { recursive: true })
  writeFileSync(join(folder, 'watch.cjs'), WATCH)
  const parts = join(folder, 'dist/cli')
  text = join(parts, readdirSync(parts).find(name => /^every-run-\w+\.cjs$/.test(name)) as string)
  cache = `${text}.${process.version}-${process.platform}-${process.arch}.code-cache`
})
afterEach(() => rmSync(folder, { recursive: true }))

/** The part for `run` is loaded, and says that there is nothing to run. */
function runNothing(...flags: readonly string[]): { code: string | undefined; message: string | undefined; status: number | null } {
  const { status, stderr } = spawnSync(process.execPath, [...flags, '--require', join(folder, 'watch.cjs'), join(folder, 'dist/cli.cjs'), 'run'], { encoding: 'utf8', env: { ...process.env, NODE_OPTIONS: '' } })
  const [code, message] = stderr.split('\n')
  return { code, message, status }
}
const MESSAGE = expect.stringContaining('nothing to run')

test('its own is used', () => {
  expect(runNothing()).toEqual({ code: 'used', message: MESSAGE, status: 125 })
})

test.each([
  { name: 'none is there',                            change: () => rmSync(cache) },
  { name: 'it cannot be read',                        change: () => { rmSync(cache); mkdirSync(cache) } },
  { name: 'it is empty',                              change: () => writeFileSync(cache, '') },
  { name: 'its end is missing',                       change: () => writeFileSync(cache, readFileSync(cache).subarray(0, -1)) },
  { name: 'a page of it was never written',           change: () => writeFileSync(cache, readFileSync(cache).fill(0, 8192, 12288)) },
  { name: 'one bit of it is another',                 change: () => flip(cache, readFileSync(cache).length >> 1) },
  { name: 'one bit of its digest is another',         change: () => flip(cache, 0) },
  { name: 'it is only there under another Node\'s name', change: () => renameSync(cache, cache.replace(process.version, 'v20.0.0')) },
])('where $name, the text is compiled', ({ change }) => {
  change()
  expect(runNothing()).toEqual({ code: 'compiled', message: MESSAGE, status: 125 })
})

// V8 would take it: the length is the same.
test('that of another text is not used in its place', () => {
  const changed = readFileSync(text, 'latin1').replace('nothing to run', 'nothing to RUN')
  writeFileSync(text, changed)
  expect(runNothing()).toEqual({ code: 'compiled', message: expect.stringContaining('nothing to RUN'), status: 125 })
})

test('where V8 takes it for another version\'s, the text is compiled', () => {
  const data = readFileSync(cache).subarray(DIGEST_BYTES)
  data[VERSION_AT - DIGEST_BYTES]! ^= 1
  writeFileSync(cache, Buffer.concat([createHash('sha256').update(readFileSync(text)).update(data).digest(), data]))
  expect(runNothing()).toEqual({ code: 'rejected', message: MESSAGE, status: 125 })
})

test('where V8 runs with other flags, the text is compiled', () => {
  expect(runNothing('--no-opt')).toEqual({ code: 'rejected', message: MESSAGE, status: 125 })
})

test('without --require nothing but the message is printed', () => {
  rmSync(cache)
  const { stderr } = spawnSync(process.execPath, [join(folder, 'dist/cli.cjs'), 'run'], { encoding: 'utf8' })
  expect(stderr.trimEnd().split('\n')).toEqual([MESSAGE])
})

function flip(path: string, at: number): void {
  const bytes = readFileSync(path)
  bytes[at]! ^= 1
  writeFileSync(path, bytes)
}
