import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { makeEnvironment } from '../../../src/exec/environment.js'
import { DEFAULT_SHELLS, ShellFinder, SHELLS, shellCommand } from '../../../src/exec/shells.js'
import { presetPolicy } from '../../../src/policy/presets.js'
import { resolve } from '../../../src/policy/resolve.js'
import type { SandboxPolicy } from '../../../src/policy/sandbox-policy.js'
import { fakeHost } from '../../support/fake-host.js'

test.each<{ shell: string; login: boolean; words: readonly string[] }>([
  { shell: 'bash', login: false, words: ['bash', '-c', 'S'] },
  { shell: '/usr/bin/bash', login: true, words: ['/usr/bin/bash', '-l', '-c', 'S'] },
  { shell: 'sh', login: true, words: ['sh', '-l', '-c', 'S'] },
  { shell: 'fish', login: false, words: ['fish', '-c', 'S'] },
  { shell: 'elvish', login: false, words: ['elvish', '-c', 'S'] },
  { shell: 'pwsh', login: false, words: ['pwsh', '-NoLogo', '-NoProfile', '-NonInteractive', '-Command', 'S'] },
  { shell: 'C:\\Program Files\\PowerShell\\7\\PWSH.EXE', login: true, words: ['C:\\Program Files\\PowerShell\\7\\PWSH.EXE', '-NoLogo', '-NonInteractive', '-Command', 'S'] },
  { shell: 'cmd.exe', login: false, words: ['cmd.exe', '/d', '/s', '/c', 'S'] },
])('$shell, login $login', ({ shell, login, words }) => {
  expect(shellCommand(shell, login, 'S')).toEqual(words)
})

test.each([
  { shell: '', login: false, field: 'shell' },
  { shell: 'sh\0', login: false, field: 'shell' },
  { shell: 'cmd', login: true, field: 'login' },
  { shell: 'elvish', login: true, field: 'login' },
])('refused: "$shell", login $login', ({ shell, login, field }) => {
  expect(() => shellCommand(shell, login, 'S')).toThrow(expect.objectContaining({ code: 'option_invalid', field }))
})

test('a shell stands in one row', () => {
  const names = SHELLS.flatMap(row => row.names)
  expect(new Set(names).size).toBe(names.length)
  expect(Object.values(DEFAULT_SHELLS).flat().filter(name => !names.includes(name))).toEqual([])
})

/** A finder whose PATH has two folders with these programs in the second. */
function finder(programs: Readonly<Record<string, number>>, changes: (folder: string) => Partial<SandboxPolicy> = () => ({})): { find: (ownPath?: boolean) => string; folder: string } {
  const folder = mkdtempSync('/var/tmp/shells-')
  onTestFinished(() => rmSync(folder, { recursive: true }))
  mkdirSync(join(folder, 'bin'))
  for (const [name, mode] of Object.entries(programs)) {
    writeFileSync(join(folder, 'bin', name), '')
    chmodSync(join(folder, 'bin', name), mode)
  }
  const policy = resolve({ ...presetPolicy('workspace-write', 'reference'), ...changes(folder) }, fakeHost({ w: {}, tmp: {}, var: { tmp: { [folder.slice('/var/tmp/'.length)]: { bin: { bash: '' } } } } }, { cwd: '/w' }))
  const shells = new ShellFinder(policy, makeEnvironment(policy.env, { PATH: `/nowhere:relative:${folder}/bin` }, 'off'))
  return { folder, find: (ownPath = false) => shells.command({}, 'S', ownPath)[0] as string }
}

test.each<{ name: string; programs: Record<string, number>; found: string }>([
  { name: 'bash is there', programs: { bash: 0o755, sh: 0o755 }, found: 'bash' },
  { name: 'bash is missing', programs: { sh: 0o755 }, found: 'sh' },
  { name: 'bash may not be executed', programs: { bash: 0o644, sh: 0o755 }, found: 'sh' },
  { name: 'nothing is there: sh is named all the same', programs: {}, found: 'sh' },
])('$name: $found', ({ programs, found }) => {
  expect(finder(programs).find()).toBe(found)
})

test('a bash that the policy denies is not the one', () => {
  expect(finder({ bash: 0o755 }, folder => ({ deny: [`${folder}/bin/bash`] })).find()).toBe('sh')
})

test('where the command has a PATH of its own, bash is named by its place', () => {
  const { find, folder } = finder({ bash: 0o755 })
  expect([find(true), find()]).toEqual([`${folder}/bin/bash`, 'bash'])
})
