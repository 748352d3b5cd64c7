import { spawnSync } from 'node:child_process'
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { constants, tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, test } from 'vitest'
import { FS_RIGHTS, NET_RIGHTS, ON_FILE_MASK, SCOPES, fsMask, handledRights, netMask, scopeMask } from '../../../../../src/platform/linux/landlock/access-rights.js'

const HEADER = '/usr/include/linux/landlock.h'
const TABLES = [
  { name: 'file rights', prefix: 'LANDLOCK_ACCESS_FS_', rows: FS_RIGHTS },
  { name: 'network rights', prefix: 'LANDLOCK_ACCESS_NET_', rows: NET_RIGHTS },
  { name: 'scopes', prefix: 'LANDLOCK_SCOPE_', rows: SCOPES },
] as const

test.each(TABLES)('$name: rows are unique, and a later bit never belongs to an earlier ABI', ({ rows }) => {
  expect(new Set(rows.map(({ right }) => right)).size).toBe(rows.length)
  expect(rows.map(({ since }) => since)).toEqual(rows.map(({ since }) => since).sort((a, b) => a - b))
})

test.skipIf(!existsSync(HEADER)).each(TABLES)(`$name: bits as in ${HEADER}, as far as it goes (skipped without it)`, ({ prefix, rows }) => {
  const defined = [...readFileSync(HEADER, 'utf8').matchAll(new RegExp(`^#define ${prefix}(\\w+)\\s+\\(1ULL << (\\d+)\\)`, 'gm'))]
  expect(defined.map(([, name, bit]) => `${name?.toLowerCase()} ${bit}`)).toEqual(rows.slice(0, defined.length).map(({ right }, bit) => `${right} ${bit}`))
  if (prefix === 'LANDLOCK_ACCESS_FS_') expect(defined.length).toBeGreaterThanOrEqual(13)
})

test.each([
  { abi: 0, fs: 0n, net: 0, scopes: 0 },
  { abi: 1, fs: 0x1fffn, net: 0, scopes: 0 },
  { abi: 2, fs: 0x3fffn, net: 0, scopes: 0 },
  { abi: 3, fs: 0x7fffn, net: 0, scopes: 0 },
  { abi: 4, fs: 0x7fffn, net: 3, scopes: 0 },
  { abi: 5, fs: 0xffffn, net: 3, scopes: 0 },
  { abi: 6, fs: 0xffffn, net: 3, scopes: 3 },
  { abi: 7, fs: 0xffffn, net: 3, scopes: 3 },
  { abi: 8, fs: 0xffffn, net: 3, scopes: 3 },
  { abi: 9, fs: 0x1ffffn, net: 3, scopes: 3 },
  { abi: 10, fs: 0x1ffffn, net: 15, scopes: 3 },
  { abi: 99, fs: 0x1ffffn, net: 15, scopes: 3 },
])('ABI $abi', ({ abi, fs, net, scopes }) => {
  expect([fsMask(handledRights(abi)), netMask(abi), scopeMask(abi)]).toEqual([fs, net, scopes])
})

test('the rights that a file may have', () => {
  expect(ON_FILE_MASK).toBe(fsMask(['execute', 'write_file', 'read_file', 'truncate', 'ioctl_dev', 'resolve_unix']))
  expect(fsMask([])).toBe(0n)
})

const program = compileProgram()
const kernelAbi = program === undefined ? 0 : Number(ask('version'))

describe.skipIf(kernelAbi === 0)('this kernel (skipped without Landlock or gcc)', () => {
  test('handles what the table says for its ABI', () => {
    expect(ask('create', fsMask(handledRights(kernelAbi)), netMask(kernelAbi), scopeMask(kernelAbi))).toBe('0')
  })

  test.skipIf(kernelAbi >= 10)('and no right of a later ABI (skipped where the table has none later)', () => {
    const later = FS_RIGHTS.filter(({ since }) => since > kernelAbi).map(({ right }) => right)
    for (const right of later) expect(ask('create', fsMask([right]), 0, 0)).toBe(String(constants.errno.EINVAL))
    if (netMask(kernelAbi) !== netMask(10)) expect(ask('create', 1, netMask(10), 0)).toBe(String(constants.errno.EINVAL))
  })

  test('each right stands where the table says: on a directory all, on a file only `file` rights', () => {
    for (const { right, since, on } of FS_RIGHTS) {
      if (since > kernelAbi) continue
      expect(ask('add', fsMask([right]), import.meta.dirname, fsMask([right])), right).toBe('0')
      expect(ask('add', fsMask([right]), import.meta.filename, fsMask([right])), right).toBe(on === 'file' ? '0' : String(constants.errno.EINVAL))
    }
    expect(ask('add', 1, import.meta.dirname, 0)).toBe(String(constants.errno.ENOMSG))
  })
})

function compileProgram(): string | undefined {
  if (process.platform !== 'linux' || spawnSync('gcc', ['--version']).status !== 0) return undefined
  const folder = mkdtempSync(join(tmpdir(), 'landlock-test-'))
  afterAll(() => rmSync(folder, { recursive: true }))
  const path = join(folder, 'program')
  const { status, stderr } = spawnSync('gcc', ['-Wall', '-Wextra', '-Werror', '-o', path, join(import.meta.dirname, 'try-ruleset.c')], { encoding: 'utf8' })
  if (status !== 0) throw new Error(`gcc: ${stderr}`)
  return path
}

function ask(...args: readonly (string | number | bigint)[]): string {
  const { stdout, status } = spawnSync(program ?? '', args.map(String), { encoding: 'utf8' })
  if (status !== 0) throw new Error(`${args.join(' ')}: status ${status}`)
  return stdout.trim()
}
