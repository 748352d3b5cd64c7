import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import type { WindowsFirewallRule, WindowsMode, WindowsPlan } from '../../../../src/platform/launch-plan.js'
import { environmentPlan } from '../../../../src/platform/windows/environment.js'
import { firewallRules } from '../../../../src/platform/windows/firewall.js'
import { findRunner } from '../../../../src/platform/windows/find-runner.js'
import { jobPlan } from '../../../../src/platform/windows/limits.js'
import { FIREWALL_MARK } from '../../../../src/platform/windows/setup/firewall-read-back.js'
import { WindowsFailure } from '../../../../src/platform/windows/setup/system.js'
import { startWindows, type WindowsParts } from '../../../../src/platform/windows/start.js'
import { tokenPlan } from '../../../../src/platform/windows/token.js'
import { ACCOUNT, FakeRunner, Payload } from '../../../support/fake-runner.js'

const CWD = { path: 'C:\\work', identity: { device: '1', inode: '2' } }
const [OFFLINE, ONLINE] = [{ name: 'CsbxOffline', sid: ACCOUNT }, { name: 'CsbxOnline', sid: 'S-1-5-21-1-2-3-1002' }] as const

let folder: string
let runner: FakeRunner
const touched: string[] = []
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'codex-sandbox-'))
  runner = new FakeRunner()
  touched.length = 0
})
afterEach(() => rmSync(folder, { recursive: true, force: true }))

const planOf = (mode: WindowsMode, account: string = OFFLINE.sid): WindowsPlan => ({
  backend: `windows-${mode}`, platform: 'windows', token: tokenPlan({ name: 'x', sid: account }, ['S-1-5-21-9-9-9-9'], mode === 'elevated'), capabilities: [{ sid: 'S-1-5-21-9-9-9-9', root: 'C:\\work', key: 'k' }],
  access: [{ path: 'C:\\work', kind: 'directory', identity: CWD.identity, add: ['(D;OICI;0xd0156;;;S-1-5-21-9-9-9-9)'] }], placeholders: [], job: jobPlan({}), desktop: 'own', network: 'blocked', environment: environmentPlan('open'),
  commandInterpreter: 'C:\\Windows\\System32\\cmd.exe', stateDirectory: join(folder, 'state'), limits: {}, cwd: CWD, degraded: [],
  enforcement: { backend: `windows-${mode}`, layers: [], degraded: [], limits: {}, notes: [] },
  ...(mode === 'elevated' ? { machine: { accounts: [OFFLINE, ONLINE], group: 'S-1-5-21-1-2-3-1003', firewall: [], secrets: 'C:\\home\\secrets.json' } } : {}),
})

const partsOf = (readSecrets?: (path: string) => string | undefined): WindowsParts => ({
  runner: 'C:\\runner.exe', version: '1.2.3', startProcess: runner.start, isFile: () => true, ...(readSecrets === undefined ? {} : { readSecrets }),
  addon: {
    logonSid: () => 'S-1-5-5-0-1',
    lookAt: path => ({ ...CWD.identity, kind: 'directory', isDirectory: true, path }) as never,
    holdPlace: path => { throw new Error(`${path} was held`) },
    readAccessList: path => { touched.push(`read ${path}`); return 'D:' },
    writeAccessList: path => void touched.push(`write ${path}`),
    firewallState: async () => { touched.push('the firewall'); return { modifyState: 0, offIn: [] } },
    readFirewallRules: async () => [],
  },
})

/** Of the machine, as the rules of a plan are held by it. */
const holding = (rules: readonly WindowsFirewallRule[], changes: { readonly localRulesCount?: boolean; readonly offIn?: readonly string[]; readonly fails?: boolean } = {}): NonNullable<WindowsParts['firewall']> => ({
  firewall: async () => ({ localRulesCount: changes.localRulesCount ?? true, offIn: changes.offIn ?? [] }),
  readFirewallRules: async name => {
    if (changes.fails === true) throw new WindowsFailure('firewall_rule', 5, 'ERROR_ACCESS_DENIED')
    return rules.filter(rule => rule.name === name).map(rule => ({ ...rule, ...FIREWALL_MARK, isEnabled: true, blocks: true, isForAll: true }))
  },
})

const secrets = JSON.stringify({ version: 1, offline: Buffer.from('sealed offline').toString('base64'), online: Buffer.from('sealed online').toString('base64') })

async function play(plan: WindowsPlan): Promise<void> {
  runner.hello({ account: plan.token.account })
  await runner.next('SET_UP')
  runner.ready(plan.token.proofs.map(({ granted }) => granted))
}

test.each([{ account: OFFLINE, sealed: 'sealed offline' }, { account: ONLINE, sealed: 'sealed online' }])('elevated: the token\'s account is logged on with its own password: $account.name', async ({ account, sealed }) => {
  const plan = planOf('elevated', account.sid)
  const paths: string[] = []
  const starting = startWindows(plan, partsOf(path => { paths.push(path); return secrets }))
  const reader = new Payload((await runner.next('LOGON')).payload)
  expect([reader.text(), reader.text(), reader.text(), reader.rest().toString(), paths]).toEqual([account.name, account.sid, 'C:\\runner.exe', sealed, ['C:\\home\\secrets.json']])
  await play(plan)
  await starting
})

test('elevated: without kept passwords nothing is started, and the error has the command that sets up', async () => {
  await expect(startWindows(planOf('elevated'), partsOf(() => undefined))).rejects.toMatchObject({ code: 'windows_setup_required', message: expect.stringContaining('codex-sandbox windows setup --mode elevated --root C:\\work') })
  expect([runner.args, runner.sent]).toEqual([[], []])
})

const RULES = firewallRules(OFFLINE.sid, [3128])
const withRules = (account: string): WindowsPlan => {
  const plan = planOf('elevated', account)
  return { ...plan, machine: { ...plan.machine!, firewall: RULES } }
}

test.each([
  { name: 'a rule is gone',                  firewall: holding(RULES.slice(1)),                                        says: 'csbx_offline_block_outbound is gone' },
  { name: 'a rule leaves another port open', firewall: holding(firewallRules(OFFLINE.sid, [3128, 4000])),              says: 'csbx_offline_block_loopback_tcp is gone or is another one' },
  { name: 'the rules are for another',       firewall: holding(firewallRules(ONLINE.sid, [3128])),                     says: 'is another one' },
  { name: 'it is off',                       firewall: holding(RULES, { offIn: ['public'] }),                          says: 'the firewall is off (public)' },
  { name: 'a policy overrides it',           firewall: holding(RULES, { localRulesCount: false }),                     says: 'group policy' },
  { name: 'it cannot be read',               firewall: holding(RULES, { fails: true }),                                says: 'cannot be looked at' },
])('elevated: where the firewall does not hold the network now, nothing starts: $name', async ({ firewall, says }) => {
  await expect(startWindows(withRules(OFFLINE.sid), { ...partsOf(() => secrets), firewall })).rejects.toMatchObject({ code: 'windows_setup_required', field: 'firewall', message: expect.stringContaining(says) })
  expect([runner.args, runner.sent]).toEqual([[], []])
  // The account that may use the network is held by no rule.
  const plan = withRules(ONLINE.sid)
  const starting = startWindows(plan, { ...partsOf(() => secrets), firewall })
  await runner.next('LOGON')
  await play(plan)
  await starting
})

test('elevated: where it holds it, commands start', async () => {
  const plan = withRules(OFFLINE.sid)
  const starting = startWindows(plan, { ...partsOf(() => secrets), firewall: holding(RULES) })
  await runner.next('LOGON')
  await play(plan)
  await starting
})

test('elevated: a file of passwords that is damaged is never taken for none', async () => {
  await expect(startWindows(planOf('elevated'), partsOf(() => '{"offline":"*"}'))).rejects.toMatchObject({ code: 'option_invalid' })
})

test('neither the start nor a command reads or writes an access list', async () => {
  const plan = planOf('unelevated')
  const starting = startWindows(plan, partsOf())
  await play(plan)
  const launcher = await starting
  launcher.run({ argv: ['C:\\tool.exe'], cwd: CWD, env: [], stdin: 'empty', limits: {} }, { onOutput() {}, onExit() {}, onFailed() {} })
  await runner.next('START')
  expect(touched).toEqual([])
})

test('a package without the runner is a missing layer, with the way to build it', () => {
  expect(() => findRunner({ own: { root: folder, version: '1.2.3', dependencies: [] }, arch: 'x64' })).toThrow(expect.objectContaining({ code: 'layer_missing', remedy: expect.stringContaining('build-windows-addon') }))
  expect(() => findRunner({ own: undefined })).toThrow(expect.objectContaining({ code: 'layer_missing' }))
})
