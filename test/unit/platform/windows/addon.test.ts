// Which file is loaded as the addon, and what is refused in its place.
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, expect, test } from 'vitest'
import { findPackage } from '../../../../src/host/own-package.js'
import { packageRuntimePaths } from '../../../../src/platform/linux/native/find-launcher.js'
import { findWindowsAddon, isAddonFailure, loadWindowsAddon } from '../../../../src/platform/windows/addon.js'
import { findRunner } from '../../../../src/platform/windows/find-runner.js'
import { probeWindows } from '../../../../src/platform/windows/probe.js'

const root = mkdtempSync(join(tmpdir(), 'codex-sandbox-addon-'))
afterAll(() => rmSync(root, { recursive: true, force: true }))
const own = { root, version: '1.2.3', dependencies: [] }
const file = findWindowsAddon({ own, arch: 'x64', load: () => ({}) }).path
mkdirSync(join(root, 'dist', 'windows-x64'), { recursive: true })
writeFileSync(file, '')

/** Every function that the addon's own source gives, so that the list there and the one here are the same. */
const sources = fileURLToPath(new URL('../../../../native/windows/', import.meta.url))
const exported = readdirSync(sources).filter(name => name.endsWith('.cc')).flatMap(name => [...readFileSync(join(sources, name), 'utf8').matchAll(/exports\.Set\("(\w+)", Napi::Function/g)].map(([, found]) => found as string))
const complete = Object.fromEntries([['version', '1.2.3'], ...exported.map(name => [name, () => {}])])

test('it is a file of this package\'s dist, which commands may never write', () => {
  const { path } = findWindowsAddon({ arch: 'arm64' })
  expect(path).toBe(join(findPackage()?.root as string, 'dist', 'windows-arm64', 'codex_sandbox.node'))
  expect(packageRuntimePaths()).toContain(join(findPackage()?.root as string, 'dist'))
})
test('that file and no other is loaded', () => {
  const loaded: string[] = []
  const load = (path: string) => { loaded.push(path); return complete }
  expect(loadWindowsAddon({ own, arch: 'x64', load })).toBe(complete)
  expect(loaded).toEqual([join(root, 'dist', 'windows-x64', 'codex_sandbox.node')])
})
test('the addon has what is asked of it, and the list asks for functions that it has', () => {
  for (const name of exported) {
    const { [name]: _, ...rest } = complete
    expect(() => loadWindowsAddon({ own, arch: 'x64', load: () => rest })).toThrow(expect.objectContaining({ code: 'layer_missing', message: expect.stringContaining(`it has no ${name}: it was built from other sources`) }))
  }
})
test.each([
  { name: 'not built',                       place: { own: { ...own, root: join(root, 'elsewhere') }, arch: 'x64', load: () => complete }, says: /it is not built. Build it: `node scripts\/build-windows-addon\.mjs`/ },
  { name: 'not built for this processor',    place: { own, arch: 'arm64', load: () => complete },                                          says: /it is not built/ },
  { name: 'a processor that nothing is for', place: { own, arch: 'ia32', load: () => complete },                                           says: /built for x64 and arm64 only, and this Node is for ia32\. Use a Node for/ },
  { name: 'of another version',              place: { own, arch: 'x64', load: () => ({ ...complete, version: '1.2.2' }) },                 says: /it has version "1\.2\.2", and this is "1\.2\.3"/ },
  { name: 'of no version',                   place: { own, arch: 'x64', load: () => ({ ...complete, version: undefined }) },               says: /it has version undefined/ },
  { name: 'not loadable',                    place: { own, arch: 'x64', load: () => { throw new Error('%1 is not a valid Win32 application.') } }, says: /cannot be loaded \(%1 is not a valid/ },
] as const)('$name: the layer is missing', ({ place, says }) => {
  expect(() => loadWindowsAddon(place)).toThrow(expect.objectContaining({ code: 'layer_missing', field: 'windows-addon', message: expect.stringMatching(says) }))
})
test('a probe tells the same', () => {
  const found = findWindowsAddon({ own, arch: 'x64', load: () => complete })
  expect(probeWindows(found, () => 'runner')).toEqual([{ layer: 'windows-addon', available: true }])
  expect(probeWindows(found, () => findRunner({ own, arch: 'x64' }))).toEqual([{ layer: 'windows-addon', available: false, reason: 'the program that runs commands is not built', remedy: expect.stringContaining('build-windows-addon') }])
  expect(probeWindows(findWindowsAddon({ own, arch: 'arm64' }))).toEqual([{ layer: 'windows-addon', available: false, reason: expect.stringMatching(/codex_sandbox\.node: it is not built$/), remedy: expect.stringContaining('build-windows-addon') }])
})
test('a failed step is told from other errors', () => {
  expect(isAddonFailure(Object.assign(new Error('x'), { step: 'exec', code: 2 }))).toBe(true)
  expect([new Error('x'), Object.assign(new Error('x'), { code: 'ENOENT' }), undefined, { step: 'exec', code: 2 }].map(isAddonFailure)).toEqual([false, false, false, false])
})
