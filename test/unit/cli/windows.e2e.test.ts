// `--print-plan --platform windows`: from anywhere, for an example and for machines written down.
import { spawnSync } from 'node:child_process'
import { mkdtempSync, realpathSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { WindowsPlan } from '../../../src/platform/launch-plan.js'

const CLI = fileURLToPath(new URL('../../../dist/cli.cjs', import.meta.url))
let folder: string

beforeAll(() => { folder = realpathSync(mkdtempSync(join(tmpdir(), 'as-windows-'))) })
afterAll(() => rmSync(folder, { recursive: true, force: true }))

function cli(...words: readonly string[]): { status: number | null; stdout: string; stderr: string } {
  const { status, stdout, stderr } = spawnSync(process.execPath, [CLI, ...words], { cwd: folder, encoding: 'utf8', timeout: 60_000 })
  return { status, stdout, stderr }
}

function planOf(...words: readonly string[]): WindowsPlan {
  const { status, stdout, stderr } = cli('--print-plan', '--platform', 'windows', ...words)
  expect([status, stderr]).toEqual([0, ''])
  return JSON.parse(stdout) as WindowsPlan
}

const HOST = {
  platform: 'windows', cwd: 'D:\\code', home: 'C:\\Users\\eve',
  windows: { user: { name: 'eve', sid: 'S-1-5-21-4-5-6-1001' }, lists: { 'D:\\code': 'O:S-1-5-21-4-5-6-1001D:AI(A;OICI;FA;;;S-1-5-21-4-5-6-1001)', 'C:\\Users\\eve': 'O:S-1-5-21-4-5-6-1001D:PAI(A;OICI;FA;;;S-1-5-21-4-5-6-1001)' } },
  files: { 'D:\\code\\.git\\HEAD': '', 'D:\\code\\sub dir\\x': '', 'C:\\Users\\eve\\note': '', 'C:\\Windows\\': null },
}

test('an example, in both modes', () => {
  const elevated = planOf()
  expect([elevated.backend, elevated.network, elevated.degraded]).toEqual(['windows-elevated', 'blocked', []])
  expect(elevated.access.map(({ path }) => path)).toContain('C:\\Users\\me\\project\\.git')
  const unelevated = planOf('--windows-mode', 'unelevated', '--allow-degraded', 'network', '--allow-degraded', 'denied-reads')
  expect([unelevated.backend, unelevated.network, unelevated.degraded, unelevated.machine]).toEqual(['windows-unelevated', 'advised', ['network', 'denied-reads'], undefined])
})

test('a machine that was written down, with paths as they are there', () => {
  writeFileSync(join(folder, 'windows.json'), JSON.stringify(HOST))
  const plan = planOf('--host', 'windows.json', '--deny', 'sub dir', '--write', '~/note', '--network', 'open')
  expect(plan.cwd.path).toBe('D:\\code')
  expect(plan.capabilities.map(({ root }) => root)).toEqual(['D:\\code', 'C:\\Users\\eve\\note', undefined])
  expect(plan.access.map(({ path }) => path)).toEqual(expect.arrayContaining(['D:\\code\\sub dir', 'D:\\code\\.git', 'C:\\Users\\eve\\note']))
})

describe('refused', () => {
  test.each<{ name: string; words: string[]; file?: object; stderr: RegExp }>([
    { name: 'a policy that the mode cannot hold', words: ['--windows-mode', 'unelevated', '--network', 'open', '--deny', 'src'], stderr: /denied-reads/ },
    { name: 'a drive as a root', words: ['--write', 'C:\\'], stderr: /whole drive|whole file system/ },
    { name: 'another mode', words: ['--windows-mode', 'admin'], stderr: /--windows-mode "admin"/ },
    { name: 'a host of another platform', words: ['--host', 'windows.json'], file: { platform: 'macos', cwd: '/w', files: {} }, stderr: /--host platform "macos".*--platform says windows/ },
    { name: 'a list that is not understood', words: ['--host', 'windows.json'], file: { ...HOST, windows: { ...HOST.windows, lists: { 'D:\\code': 'D:(A;;FA;;;LA)' } } }, stderr: /depends on a domain/ },
    { name: 'a stream as a path', words: ['--deny', '.git::$INDEX_ALLOCATION'], stderr: /stream/ },
  ])('$name', ({ words, file, stderr }) => {
    if (file !== undefined) writeFileSync(join(folder, 'windows.json'), JSON.stringify(file))
    const done = cli('--print-plan', '--platform', 'windows', ...words)
    expect([done.status, done.stdout]).toEqual([125, ''])
    expect(done.stderr).toMatch(stderr)
  })
})
