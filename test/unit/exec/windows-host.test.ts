// A snapshot of a Windows machine, completed by functions of the addon: here a machine made by hand, so that it runs everywhere.
import { expect, test } from 'vitest'
import { SandboxError } from '../../../src/errors.js'
import { resolvePolicy } from '../../../src/exec/prepare.js'
import { windowsHost } from '../../../src/exec/windows-host.js'
import { realFiles } from '../../../src/host/snapshot.js'
import type { MachineFunctions, NativeEntry } from '../../../src/host/windows.js'
import { compileWindows } from '../../../src/platform/windows/compile.js'
import type { HostSnapshot } from '../../../src/policy/host-snapshot.js'
import { presetPolicy } from '../../../src/policy/presets.js'
import { EVERYBODYS, ME, WIN_LISTS, WINDOWS_THERE, winHost } from '../../support/windows-host.js'

/** The machine of windows-host.ts as the addon would tell of it. */
function machine(lists: Readonly<Record<string, string>> = {}): MachineFunctions & { readonly read: string[] } {
  const made = winHost(undefined, { lists })
  const read: string[] = []
  return {
    read,
    machineFacts: () => ({
      user: { name: 'me', domain: 'PC', sid: ME }, isElevated: false, systemRoot: 'C:\\Windows', profile: 'C:\\Users\\me', publicFolder: 'C:\\Users\\Public', programData: 'C:\\ProgramData', programFiles: 'C:\\Program Files', programFilesX86: undefined,
      architecture: 'x64', drives: [{ letter: 'C:', fileSystem: 'NTFS', kind: 'fixed', serial: '1' }],
    }),
    lookAt(path) {
      const entry = made.files.entry(path)
      return entry === undefined ? undefined : { ...entry, isDirectory: entry.kind === 'directory' } satisfies NativeEntry
    },
    readDescriptor(path) {
      read.push(path)
      return made.windows?.descriptor(path)
    },
  }
}
const TAKEN: HostSnapshot = { platform: 'windows', cwd: 'c:\\Users\\me\\work', home: 'C:\\Users\\me', tmpdir: 'C:\\Users\\me\\AppData\\Local\\Temp', codexHome: 'C:\\Users\\me\\.codex', uid: -1, gid: -1, selfPaths: [], files: realFiles() }
const ENV = { Path: 'C:\\tools;;relative;C:\\Windows;"C:\\odd|"' }

test('what only the addon tells is there, and the workspace has one spelling', () => {
  const { cwd, files, windows } = windowsHost(() => machine()).host(TAKEN, ENV)
  expect(cwd).toBe('C:\\Users\\me\\work')
  expect(files.entry('C:\\Users\\me\\work\\junction')).toMatchObject({ kind: 'symlink', target: 'C:\\Users\\me\\other' })
  expect(windows).toMatchObject({ user: { name: 'me', sid: ME }, systemRoot: 'C:\\Windows', setUp: undefined, drives: [{ letter: 'C:', fileSystem: 'NTFS', kind: 'fixed' }] })
  expect(windows?.descriptor('C:\\Windows')).toBe(WIN_LISTS['C:\\Windows'])
})
test('folders that everybody may write are looked for when a plan asks, once', () => {
  const given = machine({ 'C:\\Users\\me\\AppData\\Local\\Temp': EVERYBODYS, 'C:\\Users\\Public': EVERYBODYS })
  const { windows } = windowsHost(() => given).host(TAKEN, ENV)
  expect(given.read).toEqual([])
  expect(windows?.worldWritable).toEqual(['C:\\Users\\me\\AppData\\Local\\Temp', 'C:\\Users\\Public'])
  const { length } = given.read
  expect(length).toBeGreaterThan(5)
  expect(windows?.worldWritable).toHaveLength(2)
  expect(given.read).toHaveLength(length)
})
test('such a machine makes a plan, which is refused before set-up with the command that sets up', () => {
  const host = windowsHost(() => machine()).host(TAKEN, ENV)
  const policy = resolvePolicy({ policy: presetPolicy('workspace-write', 'library') }, host)
  const options = { allowDegraded: new Set<never>(), limits: {}, architecture: 'x64', stateDirectory: 'C:\\state', cwdIdentity: { device: '1', inode: '1' }, ...(host.windows === undefined ? {} : { windows: host.windows }) } as const
  expect(compileWindows(policy, 'elevated', WINDOWS_THERE, { ...options, supposeSetUp: true }).capabilities.map(({ root }) => root)).toContain('C:\\Users\\me\\work')
  expect(() => compileWindows(policy, 'elevated', WINDOWS_THERE, options)).toThrow(expect.objectContaining({ code: 'windows_setup_required', remedy: expect.stringContaining('codex-sandbox windows setup --mode elevated --root C:\\Users\\me\\work') }))
})
test('without the addon the snapshot stays as it was; a broken addon is no missing one', () => {
  const none = windowsHost(() => { throw new SandboxError('layer_missing', { field: 'windows-addon', value: 'x' }) })
  expect(none.host(TAKEN, ENV)).toBe(TAKEN)
  expect(() => windowsHost(() => { throw new TypeError('broken') })).toThrow('broken')
})
