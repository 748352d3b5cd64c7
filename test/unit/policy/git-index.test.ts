// Indexes as git writes them, in all of its forms, and ones that it would not write.
import { execFileSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { gitLinksIn } from '../../../src/policy/git-index.js'

let folder: string
beforeEach(() => { folder = mkdtempSync(join(tmpdir(), 'git-index-')) })
afterEach(() => rmSync(folder, { recursive: true }))

/** Files before, between and after two submodules. */
function makeIndex(format: 'sha1' | 'sha256', ...settings: readonly string[]): Uint8Array[] {
  const git = (...args: string[]) => execFileSync('git', [...settings.flatMap(each => ['-c', each]), ...args], { cwd: folder, env: { ...process.env, GIT_CONFIG_GLOBAL: '/dev/null', GIT_CONFIG_SYSTEM: '/dev/null' } })
  git('init', '-q', `--object-format=${format}`)
  mkdirSync(join(folder, 'libs'))
  for (const name of ['a', 'libs/b', 'libs/long-name-that-is-shared', 'libs/long-name-that-is-shared-too', 'z'.repeat(200)]) writeFileSync(join(folder, name), name)
  git('add', '.')
  git('add', '--intent-to-add', '.')
  for (const path of ['libs/foo', 'vendored é']) git('update-index', '--add', '--cacheinfo', `160000,${'1'.repeat(format === 'sha1' ? 40 : 64)},${path}`)
  return readdirSync(join(folder, '.git')).filter(name => /^(shared)?index/.test(name)).map(name => readFileSync(join(folder, '.git', name)))
}

describe.each(['sha1', 'sha256'] as const)('%s', format => {
  test.each(['2', '3', '4'])('version %s', version => {
    expect(makeIndex(format, `index.version=${version}`).flatMap(gitLinksIn)).toEqual(['libs/foo', 'vendored é'])
  })

  test('in two files', () => {
    const files = makeIndex(format, 'core.splitIndex=true')
    expect(files.length).toBeGreaterThan(1)
    expect([...new Set(files.flatMap(gitLinksIn))].sort()).toEqual(['libs/foo', 'vendored é'])
  })
})

test('one that is cut off, or has another byte anywhere, gives paths or none, and ends', () => {
  for (const version of ['2', '4']) {
    rmSync(join(folder, '.git'), { recursive: true, force: true })
    rmSync(join(folder, 'libs'), { recursive: true, force: true })
    const [index = new Uint8Array()] = makeIndex('sha1', `index.version=${version}`)
    expect(gitLinksIn(index)).toHaveLength(2)
    for (let length = 0; length < index.length; length++) {
      gitLinksIn(index.subarray(0, length))
      for (const byte of [0, 0x7f, 0xff]) gitLinksIn(Uint8Array.from(index, (old, at) => at === length ? byte : old))
    }
  }
  expect(gitLinksIn(new Uint8Array())).toEqual([])
})

describe('what a command wrote so that git sees a submodule, and a reader that is stricter than git does not', () => {
  const indexWith = (change: (index: Buffer) => void): Buffer => {
    const [index] = makeIndex('sha1')
    const bytes = Buffer.from(index!)
    change(bytes)
    return bytes
  }
  /** Git's own word for each path that it would enter. */
  const enteredByGit = (index: Buffer): string[] => {
    writeFileSync(join(folder, '.git/index'), index)
    return execFileSync('git', ['ls-files', '-z', '--format=%(objectmode) %(path)'], { cwd: folder, encoding: 'utf8' }).split('\0').filter(line => line.startsWith('16')).map(line => line.slice(line.indexOf(' ') + 1))
  }

  test.each([
    { name: 'a mode with other bits',                        change: (index: Buffer) => { index[index.indexOf(Buffer.from([0, 0, 0xe0, 0])) + 3] = 1 } },
    { name: 'no zero byte behind the name of another entry', change: (index: Buffer) => index.fill(0x41, 12 + 62 + 1, 12 + 64) },
    { name: 'nothing',                                       change: () => {} },
  ])('$name', ({ change }) => {
    const index = indexWith(change)
    expect(enteredByGit(index)).toEqual(['libs/foo', 'vendored é'])
    expect(gitLinksIn(index)).toEqual(['libs/foo', 'vendored é'])
  })
})

test('a name ends at a zero byte, so that system calls take it', () => {
  const [index] = makeIndex('sha1')
  const bytes = Buffer.from(index!)
  bytes[bytes.indexOf('libs/foo') + 5] = 0
  expect(gitLinksIn(bytes)).toEqual(['libs/', 'vendored é'])
})

test('in a split index, an entry that took a file\'s place has no name of its own', () => {
  makeIndex('sha1', 'core.splitIndex=true')
  execFileSync('git', ['-c', 'core.splitIndex=true', 'update-index', '--cacheinfo', `160000,${'2'.repeat(40)},a`], { cwd: folder })
  expect(gitLinksIn(readFileSync(join(folder, '.git/index')))).toContain('')
})

test('version 4 with names that grow: no more is kept than can be a path', () => {
  const entry = Buffer.alloc(65)
  entry.writeUInt32BE(0o160000, 24)
  entry.writeUInt16BE(0xfff, 60)
  entry[63] = 0x61
  const n = 20_000
  const index = Buffer.concat([Buffer.from('DIRC\0\0\0\x04'), Buffer.from([0, 0, n >> 8, n & 255]), ...Array<Buffer>(n).fill(entry), Buffer.alloc(20)])
  const links = gitLinksIn(index)
  expect(links[0]).toBe('a')
  expect(links.at(-1)).toBe('a'.repeat(4095))
})
