// A launcher whose end is an error: what the keeper holds on the host goes all the same, and whoever closes hears of it.
import { beforeEach, expect, onTestFinished, test, vi } from 'vitest'
import type * as Native from '../../src/platform/linux/native/launcher.js'
import { locateBwrap } from '../../src/platform/linux/bwrap/find.js'
import { BWRAP, startOn } from '../support/rungs.js'
import { makeWorkspace } from './workspace.js'

beforeEach(context => {
  if (process.platform !== 'linux') context.skip('bwrap is for Linux')
  if (locateBwrap('/usr/local/bin:/usr/bin:/bin') === undefined) context.skip('no bwrap is installed')
})

const FAILURE = new Error('it could not be heard')

vi.mock('../../src/platform/linux/native/launcher.js', async original => {
  const native = await original<typeof Native>()
  const connectLauncher: typeof Native.connectLauncher = async (...given) => {
    const launcher = await native.connectLauncher(...given)
    const close = launcher.close.bind(launcher)
    launcher.close = () => close().then(() => Promise.reject(FAILURE))
    return launcher
  }
  return { ...native, connectLauncher }
})

test.each([
  { name: 'while it is used',                              waits: false },
  { name: 'after it has ended by itself, as nothing runs', waits: true },
])('$name', async ({ waits }) => {
  const unheard = vi.fn()
  process.on('unhandledRejection', unheard)
  onTestFinished(() => void process.off('unhandledRejection', unheard))
  const workspace = makeWorkspace()
  const sandbox = await startOn(BWRAP, { cwd: workspace.path })
  expect(await sandbox.shell('ls -A')).toMatchObject({ stdout: '.agents\n.codex\n.git\n' })
  if (waits) {
    await expect.poll(workspace.entries, { timeout: 10_000 }).toEqual([])
    expect(await sandbox.exec(['true'])).toMatchObject({ exitCode: 0 })
  }
  await expect(sandbox.close()).rejects.toBe(FAILURE)
  expect({ entries: workspace.entries(), journal: workspace.journal() }).toEqual({ entries: [], journal: [] })
  expect(unheard).not.toHaveBeenCalled()
})
