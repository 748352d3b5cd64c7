// Whose a refused call is stays known among commands with numbers far apart: of those that live, each has a place of its own.
import { existsSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { beforeEach, describe, expect, onTestFinished, test } from 'vitest'
import type { CommandPlan, LinuxNativePlan } from '../../src/platform/launch-plan.js'
import { FROM_LAUNCHER, TO_LAUNCHER } from '../../src/platform/linux/native/frames.generated.js'
import { encodePlan } from '../../src/platform/linux/native/plan-codec.js'
import { ALL_RUNGS, prepareOn } from '../support/rungs.js'
import { ownLauncher } from './own-launcher.js'
import { frameOf, isReady, startFrame, startRawLauncher } from './raw-launcher.js'
import { makeWorkspace } from './workspace.js'

beforeEach(context => { if (process.platform !== 'linux') context.skip('the launcher is for Linux') })

describe.each(ALL_RUNGS)('$name', variant => {
  test('commands whose numbers are 4,096 and more apart are told apart', async () => {
    const launcher = ownLauncher()
    const workspace = makeWorkspace()
    const { plan, backend } = await prepareOn(variant, { cwd: workspace.path, launcherPath: launcher.path })
    // Makes the state directory, as every start does.
    await (await backend.start(plan)).close()
    const { cwd } = plan as LinuxNativePlan
    const raw = startRawLauncher(launcher.path)
    onTestFinished(() => raw.hangUp())
    const command = (script: string): CommandPlan => ({ argv: ['sh', '-c', script], cwd, env: [`PATH=${process.env['PATH']}`], stdin: 'empty', limits: {} })
    const ended = (id: number) => raw.next(frame => frame.type === FROM_LAUNCHER.EXIT && frame.id === id)
    raw.send(frameOf(TO_LAUNCHER.PLAN, 0, encodePlan(plan as LinuxNativePlan)))
    await raw.next(isReady)
    const [first, ...others] = [1, 4097, 8193] as const
    raw.send(startFrame(first, command(': > ready; while [ ! -e go ]; do sleep 0.01; done; echo x > /etc/denied-1; echo x > /etc/denied-1-again')))
    await expect.poll(() => existsSync(join(workspace.path, 'ready')), { timeout: 20_000 }).toBe(true)
    for (const id of others) {
      raw.send(startFrame(id, command(`echo x > /etc/denied-${id}`)))
      await ended(id)
    }
    writeFileSync(join(workspace.path, 'go'), '')
    await ended(first)
    const told = raw.frames.filter(({ type }) => type === FROM_LAUNCHER.ACCESS).map(({ id, payload }) => `${id} ${/\/etc\/.*/.exec(payload.toString('latin1'))?.[0]}`)
    expect(told).toEqual(['4097 /etc/denied-4097', '8193 /etc/denied-8193', '1 /etc/denied-1', '1 /etc/denied-1-again'])
  })
})
