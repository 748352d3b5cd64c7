// What the build has assembled is what would be assembled, and the usual plan takes it.
import { build } from 'esbuild'
import { describe, expect, test } from 'vitest'
import { commandFilter, listenerFilter } from '../../../../../src/platform/linux/seccomp/filters.js'
import { planCommandFilter, planListenerFilter, usualFilters } from '../../../../../src/platform/linux/seccomp/plan-filters.js'
import { presetPolicy } from '../../../../../src/policy/presets.js'
import { resolve } from '../../../../../src/policy/resolve.js'
import { fakeHost } from '../../../../support/fake-host.js'
import { compileOptions, linuxLayers } from '../../../../support/linux-layers.js'

const ROOT = new URL('../../../../../', import.meta.url)
const base64 = (bytes: Uint8Array): string => Buffer.from(bytes).toString('base64')

test('the usual filters are those that are assembled for their options', () => {
  const expected = Object.fromEntries(Object.keys(usualFilters()).map(key => {
    const [kind, options] = JSON.parse(key) as ['command' | 'listener', Parameters<typeof listenerFilter>[0]]
    return [key, base64(kind === 'command' ? commandFilter(options) : listenerFilter(options))]
  }))
  expect(usualFilters()).toEqual(expected)
  expect(Object.keys(expected)).toHaveLength(6)
})

test('run from source, each is assembled', () => {
  expect(planCommandFilter({ arch: 'x64', network: 'host' })).toBe(base64(commandFilter({ arch: 'x64', network: 'host' })))
  expect(planListenerFilter({ arch: 'arm64', network: 'private', bind: true })).toBe(base64(listenerFilter({ arch: 'arm64', network: 'private', bind: true })))
})

describe('built', async () => {
  const marks = Object.fromEntries(Object.keys(usualFilters()).map(key => [key, `built ${(JSON.parse(key) as [string])[0]}`]))
  const { outputFiles: [bundle] } = await build({
    absWorkingDir: ROOT.pathname, entryPoints: ['src/platform/linux/native/compile.ts'], bundle: true, write: false, platform: 'node', format: 'esm',
    define: { ASSEMBLED_FILTERS: JSON.stringify(JSON.stringify(marks)) },
  })
  const { compileLinuxNative } = await import(`data:text/javascript;base64,${Buffer.from(bundle!.text).toString('base64')}`) as typeof import('../../../../../src/platform/linux/native/compile.js')
  const filtersOf = (options: Parameters<typeof compileOptions>[0], network: 'off' | 'open' = 'off') => {
    const policy = resolve({ ...presetPolicy('workspace-write', 'library'), network }, fakeHost({ home: { user: { work: {} } }, dev: {} }))
    const { command, listener } = compileLinuxNative(policy, linuxLayers(), compileOptions(options)).seccomp
    return [command, listener].map(each => each?.startsWith('built') ? each : 'assembled')
  }
  test.each<{ name: string; options: Parameters<typeof compileOptions>[0]; network?: 'open'; filters: readonly string[] }>([
    { name: 'the usual plan has those of the build',       options: {},                        filters: ['built command', 'built listener'] },
    { name: 'for the other processor too',                 options: { architecture: 'arm64' }, filters: ['built command', 'built listener'] },
    { name: 'with reads observed each is assembled',       options: { observe: 'reads' },      filters: ['assembled', 'assembled'] },
    { name: 'on the supervised rung as well',              options: { rung: 'supervised' },    filters: ['assembled', 'assembled'] },
    { name: 'and with the network open', network: 'open',  options: {},                        filters: ['assembled', 'assembled'] },
  ])('$name', ({ options, network, filters }) => {
    expect(filtersOf(options, network)).toEqual(filters)
  })
})
