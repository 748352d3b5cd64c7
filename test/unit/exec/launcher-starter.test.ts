// Where there is one loopback for all, the sandbox's proxy listens on the plan's port as long as its launcher is there.
import { connect, createServer } from 'node:net'
import { expect, test } from 'vitest'
import { LauncherStarter } from '../../../src/exec/network/launcher-starter.js'
import type { Backend, Launcher } from '../../../src/platform/backend.js'
import type { Enforcement, LaunchPlan } from '../../../src/platform/launch-plan.js'
import { failureOf } from '../../support/failure-of.js'

const ENFORCEMENT: Enforcement = { backend: 'windows-elevated', layers: [], degraded: [], limits: {}, notes: [] }

async function freePort(): Promise<number> {
  const server = createServer()
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as { port: number }
  await new Promise(resolve => server.close(resolve))
  return port
}

const answers = (port: number): Promise<boolean> => new Promise(resolve => {
  const socket = connect(port, '127.0.0.1', () => {
    socket.destroy()
    resolve(true)
  }).on('error', () => resolve(false))
})

function backend(start: () => Promise<Launcher>): Backend {
  return { name: 'windows-elevated', probe: async () => [], compile: () => { throw new Error('not asked') }, start }
}
const launcher = (): Launcher => ({ enforcement: ENFORCEMENT, pid: undefined, run: () => { throw new Error('not asked') }, onLost: () => {}, close: async () => {} })
const planFor = (backendName: 'windows-elevated' | 'macos-seatbelt', proxyPort: number | undefined): LaunchPlan => ({ backend: backendName, ...(proxyPort === undefined ? {} : { proxyPort }) }) as unknown as LaunchPlan

test.each(['windows-elevated', 'macos-seatbelt'] as const)('%s: there while the launcher is, gone with it', async name => {
  const port = await freePort()
  const starter = new LauncherStarter(backend(async () => launcher()), undefined, { variables: {} })
  const started = await starter.start(planFor(name, port))
  expect(await answers(port)).toBe(true)
  await started.close()
  expect(await answers(port)).toBe(false)
})
test('a launcher that does not start leaves no listener behind', async () => {
  const port = await freePort()
  const starter = new LauncherStarter(backend(async () => { throw new Error('no runner') }), undefined, { variables: {} })
  expect(await failureOf(() => starter.start(planFor('windows-elevated', port)))).toMatchObject({ message: 'no runner' })
  expect(await answers(port)).toBe(false)
})
test('a port that somebody has is told, and nothing is started', async () => {
  const server = createServer()
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as { port: number }
  const starter = new LauncherStarter(backend(async () => { throw new Error('started all the same') }), undefined, { variables: {} })
  expect(await failureOf(() => starter.start(planFor('windows-elevated', port)))).toMatchObject({ code: 'port_taken' })
  server.close()
})
test('without a proxy nothing listens', async () => {
  const own = launcher()
  expect(await new LauncherStarter(backend(async () => own), undefined, { variables: {} }).start(planFor('windows-elevated', undefined))).toBe(own)
})
