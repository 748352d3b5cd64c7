// Rules of Landlock that are made anew for a command, as a folder beside something denied has other entries: where descriptors run out on the
// way, the command is refused, and none of those that were opened stays open.
import { spawnSync } from 'node:child_process'
import { readdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { beforeEach, expect, onTestFinished, test } from 'vitest'
import { startOn, SUPERVISED } from '../support/rungs.js'
import { makeWorkspace } from './workspace.js'

beforeEach(context => {
  if (process.platform !== 'linux') context.skip('the launcher is for Linux')
  if (process.getuid?.() !== 0) context.skip('only root may look at the launcher\'s descriptors')
})

test('a folder that cannot be noted leaves no descriptor behind', async () => {
  const workspace = makeWorkspace('deep')
  for (const name of ['secret', 'deep/secret']) writeFileSync(join(workspace.path, name), '')
  const sandbox = await startOn(SUPERVISED, { cwd: workspace.path, policy: { mode: 'workspace-write', deny: ['secret', 'deep/secret'] } })
  onTestFinished(() => sandbox.close())
  const descriptors = (): number[] => readdirSync(`/proc/${sandbox.pid}/fd`).map(Number)
  const limit = (most: number): void => void expect(spawnSync('prlimit', [`--pid=${sandbox.pid}`, `--nofile=${most}:4096`]).status).toBe(0)
  let made = 0
  /** With other entries than before, so that the rules are made anew. */
  const run = (): Promise<unknown> => {
    writeFileSync(join(workspace.path, 'deep', `entry-${made++}`), '')
    return sandbox.exec(['true']).then(({ exitCode }) => exitCode, (error: { step?: string }) => error.step)
  }
  limit(4096)
  expect(await run()).toBe(0)
  const before = descriptors().length
  const highest = Math.max(...descriptors())
  const outcomes = new Set<unknown>()
  for (let more = 1; more <= 24; more++) {
    limit(highest + more)
    outcomes.add(await run())
    limit(4096)
  }
  expect(outcomes).toContain('refresh_rules')
  expect(await run()).toBe(0)
  // An init that waited then need not wait now; each folder that was left open would be one more.
  await expect.poll(() => descriptors().length, { timeout: 10_000 }).toBeLessThanOrEqual(before)
})
