import { resolve } from 'node:path'
import { expect, test } from 'vitest'
import { findLauncher, packageRuntimePaths } from '../../../../../src/platform/linux/native/find-launcher.js'

const ROOT = resolve(import.meta.dirname, '../../../../..')

test('a launcher that the caller names is taken, if it is there', () => {
  expect(findLauncher(process.execPath)).toBe(process.execPath)
})

test.each([
  { path: '/nowhere/launcher', error: { code: 'launcher_not_found', field: 'launcherPath' } },
  { path: 'relative/launcher', error: { code: 'path_not_absolute', field: 'launcherPath' } },
])('$path is refused', ({ path, error }) => {
  expect(() => findLauncher(path)).toThrow(expect.objectContaining(error))
})

test('what runs outside: the package\'s code, its package.json, what it depends on, the launcher, node', () => {
  expect(packageRuntimePaths('/opt/launcher')).toEqual(expect.arrayContaining([
    `${ROOT}/src`, `${ROOT}/package.json`, `${ROOT}/node_modules/zod`, `${ROOT}/node_modules/smol-toml`, '/opt/launcher', process.execPath,
  ]))
})
