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
