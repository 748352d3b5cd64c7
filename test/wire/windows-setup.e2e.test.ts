// The set-up of the Windows sandbox over the wire, on a machine that is made by hand: begun at once, one at a time, its end told to the client
// that asked; readiness; and the warning of folders that everybody may write.
import { mkdtempSync, realpathSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { PassThrough } from 'node:stream'
import { describe, expect, onTestFinished, test } from 'vitest'
import { loadConfig } from '../../src/config/load.js'
import { SandboxError } from '../../src/errors.js'
import type { SetUpReport } from '../../src/platform/windows/setup/report.js'
import { Service } from '../../src/service/service.js'
import { FakeWindows } from '../support/fake-windows.js'
import { EVERYBODYS, winHost } from '../support/windows-host.js'
import { fakeSetup, NOT_SET_UP, REPORT, setupOn, type FakeSetup, type SetupScript } from '../support/windows-setup.js'
import { RawClient } from './raw-client.js'

interface Started {
  readonly client: RawClient
  readonly service: Service
  readonly fake: FakeSetup
  connect(): Promise<RawClient>
}

/** @param silent  notifications that the first client does not want */
async function start(script: SetupScript = {}, { silent = [], overrides = [], machine }: { readonly silent?: readonly string[]; readonly overrides?: readonly string[]; readonly machine?: FakeWindows } = {}): Promise<Started> {
  const home = realpathSync(mkdtempSync('/var/tmp/cs-windows-'))
  const fake = fakeSetup(script)
  // The configuration is read of a folder of this machine; the workspace is one of the other.
  const service = new Service({
    cwd: home, openWindowsSetup: async () => machine === undefined ? fake.setup : setupOn(machine),
    readConfig: async () => loadConfig({ cwd: home, codexHome: 'C:\\Users\\me\\.codex', systemFolder: join(home, 'system'), overrides }),
  })
  const connect = async (without: readonly string[] = []): Promise<RawClient> => {
    const [input, output] = [new PassThrough(), new PassThrough()]
    service.accept(input, output)
    const client = new RawClient(output, input)
    await client.initialize({ optOutNotificationMethods: ['sandbox/commandReport', ...without] })
    return client
  }
  const client = await connect(silent)
  onTestFinished(async () => {
    await service.end(0)
    rmSync(home, { recursive: true, force: true })
  })
  return { client, service, fake, connect }
}

const WORK = 'C:\\Users\\me\\work'
const COMPLETED = 'windowsSandbox/setupCompleted'

test.each(['elevated', 'unelevated'] as const)('%s: begun at once, and its end is told', async mode => {
  const { client, fake } = await start()
  expect((await client.ask('windowsSandbox/setupStart', { mode, cwd: WORK })).result).toEqual({ started: true })
  expect(await client.notification(COMPLETED)).toEqual({ mode, success: true, error: null })
  expect(fake.requests.map(request => [request.mode, request.policies[0]?.cwd])).toEqual([[mode, WORK]])
})
test('the policy of the configuration is made ready with the presets', async () => {
  const { client, fake } = await start({}, { overrides: ['sandbox_mode="workspace-write"', 'sandbox_workspace_write.exclude_tmpdir_env_var=true'] })
  await client.ask('windowsSandbox/setupStart', { mode: 'unelevated', cwd: WORK })
  expect(await client.notification(COMPLETED)).toEqual({ mode: 'unelevated', success: true, error: null })
  const roots = fake.requests[0]?.policies.map(({ paths }) => paths.filter(({ effect }) => effect === 'write').map(({ path }) => path))
  expect(roots?.at(-1)).toEqual([WORK])
  expect(roots?.[0]).toContain('C:\\Users\\me\\AppData\\Local\\Temp')
})
test('what it failed with is told in words, and another one may begin', async () => {
  let turn = 0
  const { client, fake } = await start({
    async work() {
      if (turn++ === 0) throw new SandboxError('set_up_failed', { step: 'token_restricting_sids', errno: 'EACCES' }, { detail: 'it did not read back' })
      return REPORT
    },
  })
  await client.ask('windowsSandbox/setupStart', { mode: 'unelevated', cwd: WORK })
  expect(await client.notification(COMPLETED)).toEqual({ mode: 'unelevated', success: false, error: expect.stringMatching(/^token_restricting_sids \(EACCES\) failed.*it did not read back/) })
  await client.ask('windowsSandbox/setupStart', { mode: 'unelevated', cwd: WORK })
  expect(await client.notification(COMPLETED)).toEqual({ mode: 'unelevated', success: true, error: null })
  expect(fake.requests).toHaveLength(2)
})
test('a second one is told that one is under way, whichever client asks; only who began it hears of its end', async () => {
  let finish: (report: SetUpReport) => void = () => {}
  const { client, connect, fake } = await start({ work: () => new Promise(resolve => { finish = resolve }) })
  const other = await connect()
  await client.ask('windowsSandbox/setupStart', { mode: 'elevated', cwd: WORK })
  for (const each of [client, other]) {
    expect((await each.ask('windowsSandbox/setupStart', { mode: 'unelevated', cwd: WORK })).error).toMatchObject({ code: -32600, message: expect.stringContaining('already under way (elevated)') })
  }
  while (fake.requests.length === 0) await new Promise(resolve => setImmediate(resolve))
  finish(REPORT)
  expect(await client.notification(COMPLETED)).toEqual({ mode: 'elevated', success: true, error: null })
  expect((await other.ask('windowsSandbox/readiness', null)).result).toEqual({ status: 'notConfigured' })
  expect(other.messages.filter(({ method }) => method === COMPLETED)).toEqual([])
  expect(fake.requests).toHaveLength(1)
})
test('a service that ends has it undone', async () => {
  const heard: unknown[] = []
  const { client, service, fake } = await start({
    work: ({ signal }) => new Promise((_, reject) => {
      signal?.addEventListener('abort', () => {
        heard.push(signal.reason)
        reject(signal.reason as Error)
      })
    }),
  })
  await client.ask('windowsSandbox/setupStart', { mode: 'elevated', cwd: WORK })
  while (fake.requests.length === 0) await new Promise(resolve => setImmediate(resolve))
  await service.end(0)
  expect(heard).toEqual([expect.objectContaining({ message: expect.stringContaining('undone') })])
})
test('a bad mode, a relative cwd, and a workspace that is not there', async () => {
  const { client, fake } = await start()
  expect((await client.ask('windowsSandbox/setupStart', { mode: 'full' })).error).toMatchObject({ code: -32600, message: expect.stringContaining('unknown variant') })
  expect((await client.ask('windowsSandbox/setupStart', { mode: 'elevated', cwd: 'here' })).error).toMatchObject({ code: -32600, message: expect.stringContaining('cwd') })
  await client.ask('windowsSandbox/setupStart', { mode: 'elevated', cwd: 'C:\\none' })
  expect(await client.notification(COMPLETED)).toEqual({ mode: 'elevated', success: false, error: expect.stringContaining('C:\\\\none') })
  expect(fake.requests).toEqual([])
})
test.each([
  { name: 'nothing is set up', status: NOT_SET_UP, overrides: [], is: 'notConfigured' },
  { name: 'the default mode is', status: { ...NOT_SET_UP, status: 'ready', modes: ['elevated', 'unelevated'] }, overrides: [], is: 'ready' },
  { name: 'the configured mode is', status: { ...NOT_SET_UP, status: 'ready', modes: ['unelevated'] }, overrides: ['windows.sandbox="unelevated"'], is: 'ready' },
  { name: 'only the other mode is', status: { ...NOT_SET_UP, status: 'ready', modes: ['unelevated'] }, overrides: [], is: 'notConfigured' },
  { name: 'by another version', status: { ...NOT_SET_UP, status: 'updateRequired', modes: ['elevated'] }, overrides: [], is: 'updateRequired' },
] as const)('readiness: $name', async ({ status, overrides, is }) => {
  const { client } = await start({ status }, { overrides })
  expect((await client.ask('windowsSandbox/readiness', null)).result).toEqual({ status: is })
})

describe('the real set-up, on a machine in memory', () => {
  test.each(['elevated', 'unelevated'] as const)('%s is carried out, and the machine is ready', async mode => {
    const machine = new FakeWindows(winHost())
    const { client } = await start({}, { machine, overrides: [`windows.sandbox="${mode}"`] })
    expect((await client.ask('windowsSandbox/readiness', null)).result).toEqual({ status: 'notConfigured' })
    await client.ask('windowsSandbox/setupStart', { mode, cwd: WORK })
    expect(await client.notification(COMPLETED)).toEqual({ mode, success: true, error: null })
    expect((await client.ask('windowsSandbox/readiness', null)).result).toEqual({ status: 'ready' })
    expect([machine.isLocked, machine.rules.length > 0, machine.account('CsbxOffline') !== undefined]).toEqual([false, mode === 'elevated', mode === 'elevated'])
    expect(machine.list(WORK)).not.toBe(winHost().windows?.descriptor(WORK))
  })
  test.each([
    { call: 'replaceList', mode: 'unelevated', says: /state_folder|access_lists/ },
    { call: 'putFirewallRule', mode: 'elevated', says: /firewall/ },
    { call: 'addAccount', mode: 'elevated', says: /account/ },
  ] as const)('a machine that says yes to $call and does nothing: told with the step, and all of it is undone', async ({ call, mode, says }) => {
    const machine = new FakeWindows(winHost())
    const before = machine.picture()
    machine.lies.add(call)
    const { client } = await start({}, { machine })
    await client.ask('windowsSandbox/setupStart', { mode, cwd: WORK })
    expect(await client.notification(COMPLETED)).toEqual({ mode, success: false, error: expect.stringMatching(says) })
    machine.lies.clear()
    expect(withoutStateFolder(machine.picture())).toEqual(withoutStateFolder(before))
    expect((await client.ask('windowsSandbox/readiness', null)).result).not.toEqual({ status: 'ready' })
  })
  test('while another process is at it, that is told', async () => {
    const machine = new FakeWindows(winHost())
    await machine.system().lock(JSON.stringify({ pid: 77, what: 'set-up', since: '2026-01-01T00:00:00.000Z' }))
    const { client } = await start({}, { machine })
    await client.ask('windowsSandbox/setupStart', { mode: 'unelevated', cwd: WORK })
    expect(await client.notification(COMPLETED)).toEqual({ mode: 'unelevated', success: false, error: expect.stringContaining('process 77 has been at its set-up since') })
  })
})

/** The folder of the state stays where what failed is written down. */
const withoutStateFolder = ({ lists, ...rest }: Record<string, unknown>) => ({ ...rest, lists: Object.fromEntries(Object.entries(lists as Record<string, string>).filter(([path]) => !path.includes('windows-sandbox'))) })

const view = { folders: () => [], descriptor: () => EVERYBODYS, nowMs: () => 0 }
test('a client is warned of folders that everybody may write', async () => {
  const { client, connect } = await start({ scan: { scan: { found: ['C:\\a', 'C:\\b', 'C:\\c', 'C:\\d'], looked: 9, unseen: [], stopped: 'time', left: ['C:\\'] }, view } })
  const warning = { samplePaths: ['C:\\a', 'C:\\b', 'C:\\c'], extraCount: 1, failedScan: true }
  expect(await client.notification('windows/worldWritableWarning')).toEqual(warning)
  expect(await (await connect()).notification('windows/worldWritableWarning')).toEqual(warning)
})
test('one that wants none gets none, and where there is nothing there is no warning', async () => {
  const silent = await start({ scan: { scan: { found: ['C:\\a'], looked: 1, unseen: [], left: [] }, view } }, { silent: ['windows/worldWritableWarning'] })
  const clean = await start({ scan: { scan: { found: [], looked: 5, unseen: [], left: [] }, view } })
  for (const { client } of [silent, clean]) {
    await client.ask('windowsSandbox/readiness', null)
    await new Promise(resolve => setImmediate(resolve))
    expect(client.messages.filter(({ method }) => method === 'windows/worldWritableWarning')).toEqual([])
  }
})
