// What a sandbox costs while nobody uses it, and many of them at once.
import { spawnSync } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { createSandbox } from '../../../src/exec/sandbox.js'
import { expectNone, proportionalKiB } from '../../native/host-processes.js'
import { ownLauncher } from '../../native/own-launcher.js'
import { makeWorkspace } from '../../native/workspace.js'
import { startSandbox } from '../bad-input/sandbox.js'

/** What an idle sandbox may hold in all its processes. Forker and inits share their memory: on a busy machine, where commands overlap, that grew, counted three times. */
const MOST_IDLE_KIB = 3 << 10

test('an idle sandbox holds little, before its first command and after many', async () => {
  const launcher = ownLauncher()
  const sandbox = await startSandbox({ launcherPath: launcher.path })
  const held = (): number => launcher.processes().reduce((sum, pid) => sum + proportionalKiB(pid), 0)
  expect(held()).toBeLessThan(MOST_IDLE_KIB)
  for (let round = 0; round < 100; round++) await sandbox.exec(['true'])
  await expect.poll(held, { timeout: 20_000 }).toBeLessThan(MOST_IDLE_KIB)
  // What many at once have needed is given back, but for what the next ones will.
  await Promise.all(Array.from({ length: 200 }, () => sandbox.exec(['sleep', '0.2'])))
  await expect.poll(held, { timeout: 20_000 }).toBeLessThan(2 * MOST_IDLE_KIB)
})

test('100 open sandboxes: all of them work, and idle ones let Node end', async () => {
  const launcher = ownLauncher()
  const workspace = makeWorkspace()
  const script = join(workspace.outside, 'embedding.mjs')
  writeFileSync(script, `
    import { createSandbox } from ${JSON.stringify(join(process.cwd(), 'dist/index.js'))}
    const sandboxes = await Promise.all(Array.from({ length: 100 }, () => createSandbox(${JSON.stringify({ cwd: workspace.path, launcherPath: launcher.path })})))
    const results = await Promise.all(sandboxes.map((sandbox, index) => sandbox.shell('echo $((' + index + ' * 2))')))
    console.log(results.every(({ stdout }, index) => stdout === index * 2 + '\\n'))`)
  expect(spawnSync(process.execPath, [script], { encoding: 'utf8', timeout: 100_000 })).toMatchObject({ status: 0, stdout: 'true\n', stderr: '' })
  await expectNone(launcher.processes)
}, 120_000)

test('one after the other: nothing is left of a sandbox that was closed', async () => {
  const launcher = ownLauncher()
  const workspace = makeWorkspace()
  for (let round = 0; round < 20; round++) {
    const sandbox = await createSandbox({ cwd: workspace.path, launcherPath: launcher.path })
    await sandbox.sessions.start(['sleep', '1000'])
    await sandbox.close()
  }
  await expectNone(launcher.processes)
  expect(workspace.entries()).toEqual([])
})
