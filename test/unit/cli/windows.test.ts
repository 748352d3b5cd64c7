// `windows setup | status | uninstall` on a machine that is made by hand, and what the program says of it where it is not Windows.
import { expect, test } from 'vitest'
import { parseArguments } from '../../../src/cli/arguments.js'
import { windows } from '../../../src/cli/windows.js'
import { SandboxError } from '../../../src/errors.js'
import { failureOf } from '../../support/failure-of.js'
import { FakeWindows } from '../../support/fake-windows.js'
import { winHost } from '../../support/windows-host.js'
import { fakeSetup, NOT_SET_UP, REPORT, setupOn, type SetupScript } from '../../support/windows-setup.js'

async function say(words: readonly string[], script: SetupScript = {}, { isTerminal = false } = {}) {
  const fake = fakeSetup(script)
  const printed = { out: '', err: '' }
  const code = await windows(parseArguments(['windows', ...words]), {
    open: async () => fake.setup, cwd: 'C:\\Users\\me\\work', isTerminal,
    out: async text => { printed.out += text }, err: async text => { printed.err += text },
  })
  return { code, ...printed, ...fake }
}

test('setup makes this folder ready, tells each step, and says what it made', async () => {
  const { code, out, err, requests } = await say(['setup', '--mode', 'elevated'], {
    async work({ onProgress }) {
      for (const done of [1, 2]) onProgress?.({ step: 'accounts', done, total: 2 })
      onProgress?.({ step: 'access_lists', path: 'C:\\a\nb' })
      return REPORT
    },
  })
  expect(code).toBe(0)
  expect(requests[0]).toMatchObject({ mode: 'elevated', policies: [expect.objectContaining({ cwd: 'C:\\Users\\me\\work' }), expect.anything(), expect.anything()] })
  expect(err).toBe('accounts\naccess_lists\n')
  expect(out).toBe('The elevated sandbox is set up.\n  accounts      made\n  access_lists  unchanged, 0 access lists\n  ready: C:\\Users\\me\\work\nnote: a note\n')
})
test('each --root is a workspace, also one that is relative', async () => {
  const { requests } = await say(['setup', '--mode=unelevated', '--root', 'C:\\src\\project', '--root', '..\\other'])
  expect([...new Set(requests[0]?.policies.map(({ cwd }) => cwd))]).toEqual(['C:\\src\\project', 'C:\\Users\\me\\other'])
})
test('on a terminal progress is one line, which is gone at the end', async () => {
  const { err } = await say(['setup', '--mode', 'elevated'], { async work({ onProgress }) { onProgress?.({ step: 'walk', done: 3, path: 'C:\\x\u001b[31m' }); return REPORT } }, { isTerminal: true })
  expect(err).toBe('\r\u001b[Kwalk 3 C:\\x [31m\r\u001b[K')
})
test('--json prints the report as data', async () => {
  expect(JSON.parse((await say(['setup', '--mode', 'elevated', '--json'])).out)).toEqual(REPORT)
  expect(JSON.parse((await say(['status', '--json'])).out)).toEqual(NOT_SET_UP)
})
test('what set-up fails with goes on to whoever prints errors', async () => {
  const failure = new SandboxError('set_up_failed', { step: 'token_restricting_sids', errno: 'EACCES' })
  expect(await failureOf(() => say(['setup', '--mode', 'elevated'], { work: async () => { throw failure } }))).toBe(failure)
})
test('Ctrl-C aborts it once, and the listener is gone afterwards', async () => {
  const before = process.listenerCount('SIGINT')
  const error = await failureOf(() => say(['setup', '--mode', 'elevated'], {
    async work({ signal }) {
      expect(process.listenerCount('SIGINT')).toBe(before + 1)
      process.emit('SIGINT')
      signal?.throwIfAborted()
      return REPORT
    },
  }))
  expect(error).toMatchObject({ code: 'set_up_failed', step: 'windows_setup', errno: 'EINTR' })
  expect(process.listenerCount('SIGINT')).toBe(before)
})
test.each([
  { name: 'nothing is set up', status: NOT_SET_UP, code: 1, says: /^The Windows sandbox is not set up\.\nTo set it up: codex-sandbox windows setup --mode elevated --root DIR\n$/ },
  { name: 'it was interrupted', status: { ...NOT_SET_UP, status: 'updateRequired', reason: 'set-up was interrupted' }, code: 1, says: /to be set up again: set-up was interrupted\./ },
  {
    name: 'it is ready', code: 0, says: /^The Windows sandbox is ready\.\n {2}modes: elevated, unelevated\n {2}accounts: Off \(no network\), On; group G\n {2}ports of proxies: 50000\n {2}root: C:\\w {2}x\n$/,
    status: { status: 'ready', modes: ['elevated', 'unelevated'], roots: ['C:\\w\n x'], proxyPorts: [50_000], accounts: { offline: 'Off', online: 'On', group: 'G' } },
  },
  { name: 'somebody is at it', status: { ...NOT_SET_UP, holder: { pid: 7, what: 'set-up', since: 'now' }, lastError: { step: 's', message: 'm', at: 'then' } }, code: 1, says: /process 7 has been at its set-up since now\n {2}the last failure: s: m \(then\)/ },
] as const)('status: $name', async ({ status, code, says }) => {
  const said = await say(['status'], { status })
  expect([said.code, said.calls]).toEqual([code, ['status']])
  expect(said.out).toMatch(says)
})
test('uninstall says what it could not look at', async () => {
  expect(await say(['uninstall'])).toMatchObject({ code: 0, out: 'The Windows sandbox is removed.\n', calls: ['uninstall'] })
  const partly = await say(['uninstall'], { uninstall: { steps: [{ step: 'accounts', outcome: 'made' }], left: [{ path: 'E:\\w', reason: 'the drive is not there' }] } })
  expect(partly).toMatchObject({ code: 1, out: 'The Windows sandbox is removed, but for what could not be looked at:\n  E:\\w: the drive is not there\n  accounts  made\n' })
})
test.each([
  { words: [], error: { code: 'option_missing', field: 'what to do' } },
  { words: ['install'], error: { code: 'option_invalid', field: 'windows' } },
  { words: ['setup'], error: { code: 'option_missing', field: '--mode' } },
  { words: ['setup', '--mode', 'full'], error: { code: 'option_invalid', field: '--mode' } },
  { words: ['setup', 'C:\\work', '--mode', 'elevated'], error: { code: 'option_invalid', field: 'argument' } },
  { words: ['status', '--root', 'C:\\work'], error: { code: 'option_invalid', field: '--root' } },
  { words: ['uninstall', '--mode', 'elevated'], error: { code: 'option_invalid', field: '--mode' } },
])('windows $words is refused before anything is opened', async ({ words, error }) => {
  const opened: string[] = []
  const open = async () => { opened.push('open'); return fakeSetup().setup }
  expect(await failureOf(async () => windows(parseArguments(['windows', ...words]), { open, cwd: 'C:\\', isTerminal: false, out: async () => {}, err: async () => {} }))).toMatchObject(error)
  expect(opened).toEqual([])
})

test('on a machine in memory: set up, ready, uninstalled, and then all is as before', async () => {
  const machine = new FakeWindows(winHost())
  const before = machine.picture()
  const on = async (...words: string[]) => {
    let out = ''
    const code = await windows(parseArguments(['windows', ...words]), { open: async () => setupOn(machine), cwd: 'C:\\Users\\me\\work', isTerminal: false, out: async text => { out += text }, err: async () => {} })
    return { code, out }
  }
  expect((await on('status')).code).toBe(1)
  expect(await on('setup', '--mode', 'elevated')).toMatchObject({ code: 0, out: expect.stringMatching(/^The elevated sandbox is set up\.\n[^]*ready: C:\\Users\\me\\work\n/) })
  expect(await on('status')).toMatchObject({ code: 0, out: expect.stringMatching(/is ready\.\n {2}modes: elevated\n {2}accounts: CsbxOffline \(no network\), CsbxOnline; group CsbxUsers\n {2}ports of proxies: /) })
  expect((await on('setup', '--mode', 'elevated')).out).not.toContain(' made')
  expect(await on('uninstall')).toMatchObject({ code: 0, out: expect.stringMatching(/^The Windows sandbox is removed\.\n/) })
  expect(machine.picture()).toEqual(before)
})
test('the helper is no verb for people: off Windows it is refused, and its words are taken as they stand', async () => {
  expect(await failureOf(() => say(['helper', '\\\\.\\pipe\\codex-sandbox-set-up-0', 'digest']))).toMatchObject({ code: 'platform_unsupported' })
})
