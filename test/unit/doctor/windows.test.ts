// What doctor says of a Windows machine that is made by hand.
import { expect, test } from 'vitest'
import { windowsFindings } from '../../../src/doctor/windows.js'
import type { Scan } from '../../../src/platform/windows/world-writable.js'
import { EVERYBODYS, winHost } from '../../support/windows-host.js'
import { FakeWindows } from '../../support/fake-windows.js'
import { fakeSetup, NOT_SET_UP, setupOn, type SetupScript } from '../../support/windows-setup.js'

const READY = { ...NOT_SET_UP, status: 'ready', modes: ['elevated', 'unelevated'], roots: ['C:\\a', 'C:\\b', 'C:\\c', 'C:\\d', 'C:\\e'] } as const
const scanOf = (scan: Partial<Scan>): NonNullable<SetupScript['scan']> => ({ scan: { found: [], looked: 7, unseen: [], left: [], ...scan }, view: { folders: () => [], descriptor: () => EVERYBODYS, nowMs: () => 0 } })

/** `name: detail → remedy`, `missing` before those that are. */
const say = async (script: SetupScript) => (await windowsFindings(fakeSetup(script).setup)).map(({ name, ok, detail, remedy }) => `${ok ? '' : 'missing '}${name}: ${detail}${remedy === undefined ? '' : ` → ${remedy}`}`)
const OPEN = 'stays open: services that start programs for a user (WMI, the Task Scheduler, COM surrogates): what they start for a command is not confined'

test('nothing is set up: how to, and what stays open whatever one does', async () => {
  expect(await say({})).toEqual(['missing set-up: nothing was set up yet → Run `codex-sandbox windows setup --mode elevated --root DIR`.', OPEN])
})
test('ready, with roots and modes; accounts that log on, and one that does not, with the reason', async () => {
  expect(await say({ status: READY, logons: [{ account: 'CsbxOffline', ok: true }, { account: 'CsbxOnline', ok: false, reason: 'the account is locked', remedy: 'Wait.' }] })).toEqual([
    'set-up: elevated and unelevated, for C:\\a, C:\\b, C:\\c and 2 more', 'logon CsbxOffline: works', 'missing logon CsbxOnline: the account is locked → Wait.', OPEN,
  ])
})
test('who is at it, and what failed the last time', async () => {
  const [first, now, last] = await say({ status: { ...NOT_SET_UP, status: 'updateRequired', reason: 'set-up was interrupted', holder: { pid: 7, what: 'uninstall', since: 'noon' }, lastError: { step: 'firewall', message: 'no', at: 'then' } } })
  expect([first, now, last]).toEqual([
    expect.stringContaining('missing set-up: set-up was interrupted →'), 'set-up now: process 7 has been at its uninstall since noon', expect.stringContaining('missing last set-up: failed at firewall (then): no →'),
  ])
})
test.each([
  { name: 'none', scan: {}, says: 'world-writable: none open among 7 folders' },
  { name: 'some', scan: { found: ['C:\\t', 'C:\\u'] }, says: expect.stringMatching(/^missing world-writable: everybody may write C:\\t, C:\\u, and so may every sandbox → Take Everyone out/) },
  { name: 'none, but some could not be looked at', scan: { unseen: ['C:\\s'] }, says: 'world-writable: none open among 7 folders; C:\\s could not be looked at' },
  { name: 'none, but the time was over', scan: { stopped: 'time', left: ['C:\\', 'D:\\'] }, says: 'missing world-writable: none open among 7 folders; the scan ended by its time before C:\\, D:\\' },
] as const)('folders that everybody may write: $name', async ({ scan, says }) => {
  expect(await say({ status: READY, scan: scanOf(scan as Partial<Scan>) })).toEqual([expect.anything(), says, OPEN])
})
test('on a machine that was set up for real, in memory: the accounts log on, until somebody disables one', async () => {
  const machine = new FakeWindows(winHost())
  const setup = setupOn(machine)
  await setup.setUp('elevated', { roots: ['C:\\Users\\me\\work'] })
  const logons = async () => (await windowsFindings(setup)).filter(({ name }) => name.startsWith('logon')).map(({ name, ok }) => [name, ok])
  expect(await logons()).toEqual([['logon CsbxOffline', true], ['logon CsbxOnline', true]])
  machine.disable('CsbxOffline')
  expect((await windowsFindings(setup)).find(({ name }) => name === 'logon CsbxOffline')).toMatchObject({ ok: false, detail: 'somebody has disabled the account (ERROR_ACCOUNT_DISABLED, 1331)', remedy: expect.stringContaining('it enables it') })
})
