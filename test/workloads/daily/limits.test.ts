// Limits that must be held exactly: asked for at the start, or by one command.
import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { checkHost } from '../../../src/exec/check-host.js'
import { makeWorkspace } from '../../native/workspace.js'
import { failureOf, startSandbox } from '../bad-input/sandbox.js'

test('a policy with a limit that is held for each process only is refused, and checkHost says so before', async () => {
  const { path: cwd } = makeWorkspace()
  const policy = { limits: { openFiles: 64, cpuSeconds: 9 } }
  expect(await checkHost(policy, { cwd, requireLimits: true })).toMatchObject({ ok: false, missing: [{ rule: 'limits.cpuSeconds', layer: 'rule_not_enforceable', remedy: expect.stringContaining('requireLimits') }] })
  expect(await failureOf(() => startSandbox({ policy, requireLimits: true }))).toMatchObject({ code: 'rule_not_enforceable', field: 'limits.cpuSeconds' })
  expect(await checkHost(policy, { cwd })).toMatchObject({ ok: true, enforcement: { limits: { openFiles: 'exact', cpuSeconds: 'perProcess' } } })
  expect(await checkHost({ limits: { openFiles: 64 } }, { cwd, requireLimits: true })).toMatchObject({ ok: true })
})

test('so is a command with one, and nothing of it runs; one that is held exactly does', async () => {
  const sandbox = await startSandbox({ policy: { limits: { openFiles: 128 } }, requireLimits: true })
  expect(await failureOf(() => sandbox.exec(['true'], { limits: { cpuSeconds: 9 } }))).toMatchObject({ code: 'rule_not_enforceable', field: 'limits.cpuSeconds' })
  expect(await failureOf(() => sandbox.sessions.start(['true'], { limits: { cpuSeconds: 9 } }))).toMatchObject({ code: 'rule_not_enforceable', field: 'limits.cpuSeconds' })
  expect((await sandbox.shell('ulimit -n', { limits: { openFiles: 64 } })).stdout).toBe('64\n')
  expect(sandbox.sessions.list()).toEqual([])
})

test('limits above what this process may have hold by that, and the command runs', async () => {
  const sandbox = await startSandbox({ policy: { limits: { openFiles: 2 ** 40, cpuSeconds: 2 ** 40, pids: 2 ** 40, memoryBytes: 2 ** 50, fileSizeBytes: 2 ** 50 } } })
  const own = Number(/^Max open files +\d+ +(\d+)/m.exec(readFileSync('/proc/self/limits', 'utf8'))?.[1])
  expect(Number((await sandbox.shell('ulimit -Hn')).stdout)).toBe(own)
  expect((await sandbox.shell('ulimit -n', { limits: { openFiles: 64 } })).stdout).toBe('64\n')
})
