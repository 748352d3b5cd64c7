import { createHash } from 'node:crypto'
import { existsSync, readFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { expect, test } from 'vitest'
import { findLauncher, namedLauncher, packageRuntimePaths } from '../../../../../src/platform/linux/native/find-launcher.js'

const ROOT = resolve(import.meta.dirname, '../../../../..')

test.each([
  { name: 'the option',                         options: { launcherPath: '/opt/l' },                          env: { CODEX_SANDBOX_LAUNCHER: '/env/l' }, named: { field: 'launcherPath', path: '/opt/l' } },
  { name: 'the option with a hash',             options: { launcherPath: '/opt/l', launcherSha256: 'abc' },   env: {},                                   named: { field: 'launcherPath', path: '/opt/l', sha256: 'abc' } },
  { name: 'the variable where there is no option', options: {},                                               env: { CODEX_SANDBOX_LAUNCHER: '/env/l' }, named: { field: 'CODEX_SANDBOX_LAUNCHER', path: '/env/l' } },
  { name: 'nothing where the variable is empty', options: {},                                                 env: { CODEX_SANDBOX_LAUNCHER: '' },       named: undefined },
  { name: 'nothing',                            options: {},                                                  env: {},                                   named: undefined },
])('named by: $name', ({ options, env, named }) => {
  expect(namedLauncher(options, env)).toEqual(named)
})

test('a hash without a path is an error', () => {
  expect(() => namedLauncher({ launcherSha256: 'abc' }, {})).toThrow(expect.objectContaining({ code: 'option_invalid', field: 'launcherSha256' }))
})

test('a launcher that the caller names is taken, if it is there', () => {
  expect(findLauncher({ field: 'launcherPath', path: process.execPath })).toBe(process.execPath)
})

test('and if it has the hash that the caller names, in either letter case', () => {
  const sha256 = createHash('sha256').update(readFileSync('package.json')).digest('hex')
  const path = `${ROOT}/package.json`
  for (const same of [sha256, sha256.toUpperCase()]) expect(findLauncher({ field: 'launcherPath', path, sha256: same })).toBe(path)
  expect(() => findLauncher({ field: 'launcherPath', path, sha256: '0'.repeat(64) })).toThrow(expect.objectContaining({ code: 'launcher_not_known', field: 'launcherPath', message: expect.stringContaining(sha256) }))
})

test.each([
  { path: '/nowhere/launcher', error: { code: 'launcher_not_found' } },
  { path: 'relative/launcher', error: { code: 'path_not_absolute' } },
  { path: '/etc',              error: { code: 'launcher_not_found', message: expect.stringContaining('EISDIR') }, sha256: '0'.repeat(64) },
])('$path is refused, with the option or the variable that named it', ({ path, error, sha256 }) => {
  for (const field of ['launcherPath', 'CODEX_SANDBOX_LAUNCHER']) expect(() => findLauncher({ field, path, sha256 })).toThrow(expect.objectContaining({ ...error, field }))
})

test('what runs outside: the package\'s code, its package.json, what it depends on, the launcher, node', () => {
  expect(packageRuntimePaths({ field: 'launcherPath', path: '/opt/launcher' })).toEqual(expect.arrayContaining([
    `${ROOT}/src`, `${ROOT}/package.json`, `${ROOT}/node_modules/zod`, `${ROOT}/node_modules/smol-toml`, '/opt/launcher', process.execPath,
  ]))
})

test.for(['x64', 'arm64'])('the launcher for %s, which is read and hashed before it is started, carries no empty buffers in its file', (arch, context) => {
  const path = `${ROOT}/dist/launcher/linux-${arch}/codex-sandbox-launcher`
  if (!existsSync(path)) context.skip('it is not built for this processor here')
  expect(writableBytesInFile(readFileSync(path))).toBeLessThan(64 * 1024)
})

/** Of an ELF file for 64 bits: what of its writable segments stands in the file. Zeros that are only counted are not in it. */
function writableBytesInFile(elf: Buffer): number {
  const [LOAD, WRITABLE] = [1, 2]
  const [table, size, count] = [Number(elf.readBigUInt64LE(32)), elf.readUInt16LE(54), elf.readUInt16LE(56)]
  const headers = Array.from({ length: count }, (_, index) => elf.subarray(table + index * size))
  return headers.filter(header => header.readUInt32LE(0) === LOAD && (header.readUInt32LE(4) & WRITABLE) !== 0).reduce((sum, header) => sum + Number(header.readBigUInt64LE(32)), 0)
}
