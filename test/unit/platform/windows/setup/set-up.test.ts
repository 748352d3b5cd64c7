// Set-up on a machine in memory: what it makes, that it takes away what it made and nothing else, and that it does so after dying anywhere.
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { SandboxError } from '../../../../../src/errors.js'
import type { WindowsMode } from '../../../../../src/platform/launch-plan.js'
import { compileWindows } from '../../../../../src/platform/windows/compile.js'
import { parseStore } from '../../../../../src/platform/windows/capability-sids.js'
import { setUpCalls } from '../../../../../src/platform/windows/setup/calls.js'
import { REQUEST_VERSION } from '../../../../../src/platform/windows/setup/machine-request.js'
import { openMachineSession } from '../../../../../src/platform/windows/setup/machine-session.js'
import type { SetUpReport } from '../../../../../src/platform/windows/setup/report.js'
import { WindowsFailure } from '../../../../../src/platform/windows/setup/system.js'
import { parseJournal, parseState } from '../../../../../src/platform/windows/setup/state-files.js'
import type { WindowsFacts } from '../../../../../src/policy/host-snapshot.js'
import { presetPolicy } from '../../../../../src/policy/presets.js'
import { resolve } from '../../../../../src/policy/resolve.js'
import type { ResolvedPolicy } from '../../../../../src/policy/resolved-policy.js'
import type { SandboxPolicy } from '../../../../../src/policy/sandbox-policy.js'
import { symlink, type Tree } from '../../../../support/fake-host.js'
import { FakeWindows, type FakeWindowsOptions } from '../../../../support/fake-windows.js'
import { compileOptions } from '../../../../support/linux-layers.js'
import { ME, WINDOWS_THERE, winHost, type WinHostOptions } from '../../../../support/windows-host.js'

const W = 'C:\\Users\\me\\work'
/** Small, so that every call of a set-up can be the last one. */
const SMALL: Tree = {
  'C:': {
    Users: { me: { work: { '.git': { HEAD: 'ref: refs/heads/main\n', config: '', objects: {}, refs: {} }, src: { 'a.ts': '' }, own: { x: '' }, link: symlink('C:\\Users\\me\\Documents') }, Documents: { note: '' }, '.ssh': { id: '' }, '.codex': {} }, them: { notes: '' } },
    Windows: {}, everybodys: { x: '' },
  },
}
const LISTS = { [`${W}\\own`]: `O:${ME}G:${ME}D:PAI(A;OICI;FA;;;${ME})`, 'C:\\everybodys': 'O:SYG:SYD:AI(A;OICI;FA;;;WD)(A;OICI;FA;;;SY)' }

interface Machine {
  readonly windows: FakeWindows
  readonly policy: ResolvedPolicy
  setUp(mode?: WindowsMode, more?: Partial<SandboxPolicy>, extra?: { readonly proxyPorts?: readonly number[]; readonly signal?: AbortSignal; onProgress?(progress: { readonly step: string; readonly path?: string }): void }): Promise<SetUpReport>
  uninstall(): ReturnType<ReturnType<typeof setUpCalls>['uninstall']>
  status(): ReturnType<ReturnType<typeof setUpCalls>['status']>
}

function machineWith({ tree = SMALL, lists = LISTS, facts = {}, ...options }: FakeWindowsOptions & { readonly tree?: Tree } & Pick<WinHostOptions, 'lists' | 'facts'> = {}): Machine {
  const host = winHost(tree, { lists, tmpdir: undefined, ...(facts === undefined ? {} : { facts }) })
  const windows = new FakeWindows(host, options)
  const policyOf = (more: Partial<SandboxPolicy>) => resolve({ ...presetPolicy('workspace-write', 'reference'), ...more }, host)
  const calls = setUpCalls(windows.system())
  return {
    windows, policy: policyOf({}),
    setUp: (mode = 'elevated', more = {}, extra = {}) => calls.setUp({ mode, policies: [policyOf(more)], facts: () => windows.facts(), ...extra }),
    uninstall: () => calls.uninstall(),
    status: () => calls.status(),
  }
}

const factsOf = ({ windows }: Machine): WindowsFacts => {
  const state = parseState(windows.file('state.json') as string)
  return { ...windows.facts(), setUp: state, ownLists: state.ownLists }
}
const compile = (machine: Machine, mode: WindowsMode) => compileWindows(machine.policy, mode, WINDOWS_THERE, compileOptions({ allowDegraded: new Set(['network', 'world-writable']), windows: factsOf(machine), cwdIdentity: { device: '1', inode: '2' } }))
const failure = async (work: Promise<unknown>): Promise<SandboxError> => work.then(() => { throw new Error('it went through') }, error => { expect(error).toBeInstanceOf(SandboxError); return error as SandboxError })

const MODES = ['elevated', 'unelevated'] as const

describe.each(MODES)('%s', mode => {
  test('afterwards a plan is carried out without a look at any list, and the state says so', async () => {
    const machine = machineWith()
    const report = await machine.setUp(mode)
    expect(report.roots).toEqual([W])
    expect(compile(machine, mode).access.length).toBeGreaterThan(0)
    expect(await machine.status()).toMatchObject({ status: 'ready', modes: [mode], roots: [W] })
    expect(machine.windows.files).toEqual([...(mode === 'elevated' ? ['capabilities.json', 'journal.json', 'secrets.json', 'state.json'] : ['capabilities.json', 'journal.json', 'state.json'])])
    expect(machine.windows.isLocked).toBe(false)
  })

  test('what the walk leaves is what Windows itself would have handed on', async () => {
    const machine = machineWith()
    await machine.setUp(mode)
    expect(machine.windows.picture()['lists']).toEqual(machine.windows.inheritedEverywhere())
  })

  test('several policies of one root, as a command line and a service begin with: each finds its entries', async () => {
    const machine = machineWith()
    const before = machine.windows.picture()
    const presets = [presetPolicy('workspace-write', 'library'), presetPolicy('workspace-write', 'reference'), presetPolicy('read-only', 'reference')]
    const calls = setUpCalls(machine.windows.system())
    const request = { mode, policies: presets.map(policy => resolve(policy, winHost(SMALL, { lists: LISTS, tmpdir: undefined }))), facts: () => machine.windows.facts() }
    await calls.setUp(request)
    expect(machine.windows.picture()['lists']).toEqual(machine.windows.inheritedEverywhere())
    expect((await calls.setUp(request)).steps.filter(({ outcome }) => outcome === 'made')).toEqual([])
    await calls.setUp({ ...request, policies: [...request.policies].reverse() })
    await calls.uninstall()
    expect(machine.windows.picture()).toEqual(before)
  })

  test('a second time everything is there: nothing is written, and no entry is made twice', async () => {
    const machine = machineWith()
    await machine.setUp(mode)
    const before = machine.windows.picture()
    const again = await machine.setUp(mode)
    expect(again.steps.filter(({ outcome }) => outcome === 'made')).toEqual([])
    expect(machine.windows.picture()).toEqual(before)
  })

  test('uninstalling leaves the machine as it was, and no file', async () => {
    const machine = machineWith()
    const before = machine.windows.picture()
    await machine.setUp(mode)
    expect(machine.windows.picture()).not.toEqual(before)
    const { left } = await machine.uninstall()
    expect(left).toEqual([])
    expect(machine.windows.picture()).toEqual(before)
    expect([machine.windows.files, machine.windows.hasFolder]).toEqual([[], false])
    expect(await machine.status()).toMatchObject({ status: 'notConfigured', modes: [], roots: [] })
  })

  test('files and links that appeared in the meantime lose what they inherited, and nothing else', async () => {
    const machine = machineWith()
    await machine.setUp(mode)
    machine.windows.create(`${W}\\new`, 'directory')
    machine.windows.create(`${W}\\new\\file`, 'file')
    expect(machine.windows.list(`${W}\\new\\file`)).toContain('S-1-5-21-')
    await machine.uninstall()
    const { capabilities } = { capabilities: Object.values(machine.windows.picture()['lists'] as Record<string, string>) }
    expect(capabilities.filter(text => /S-1-5-21(?:-\d+){4}/.test(text.replaceAll(ME, '').replaceAll(/S-1-5-21-11-22-33-\d+/g, '')))).toEqual([])
  })

  test('what lies behind a link is not touched', async () => {
    const machine = machineWith()
    const before = machine.windows.list('C:\\Users\\me\\.ssh\\id')
    await machine.setUp(mode)
    expect(machine.windows.list('C:\\Users\\me\\.ssh\\id')).toBe(before)
  })
})

/** By these alone what stands there changes: to die at any other call is to die before the next of these. */
const CHANGING = /^(?:add|remove|set|put|hide|unhide|replace|write|make|elevate|lock$)/

/** Of a call that nothing stopped: before which of its calls it can die. */
const places = ({ windows }: Machine): number[] => [...windows.calls.flatMap((name, index) => CHANGING.test(name) ? [index + 1] : []), windows.calls.length + 1]

describe.each([['elevated', true], ['elevated', false], ['unelevated', false]] as const)('dying anywhere in %s (administrator: %s)', (mode, isElevated) => {
  const start = () => machineWith({ machine: { isElevated }, facts: { worldWritable: ['C:\\everybodys'] } })

  test('the same call goes on, and uninstalling takes all away', async () => {
    const whole = start()
    const before = whole.windows.picture()
    await whole.setUp(mode)
    const [shape, all] = [whole.windows.shape(), places(whole)]
    expect(all.length).toBeGreaterThan(15)
    for (const at of all) {
      for (const next of ['set-up', 'uninstall'] as const) {
        const machine = start()
        machine.windows.diesAt = at
        await machine.setUp(mode).catch(() => {})
        machine.windows.restart()
        if (next === 'set-up') {
          await machine.setUp(mode)
          expect(machine.windows.shape(), `after dying at call ${at}, ${whole.windows.calls[at - 1]}`).toEqual(shape)
          expect(machine.windows.picture()['lists']).toEqual(machine.windows.inheritedEverywhere())
        } else {
          await machine.uninstall()
          expect(machine.windows.picture(), `uninstalled after dying at call ${at}, ${whole.windows.calls[at - 1]}`).toEqual(before)
          expect(machine.windows.files).toEqual([])
        }
      }
    }
  }, 120_000)

  test('and anywhere in uninstalling: the same call goes on', async () => {
    const first = start()
    const before = first.windows.picture()
    await first.setUp(mode)
    first.windows.restart()
    await first.uninstall()
    for (const at of places(first)) {
      const machine = start()
      await machine.setUp(mode)
      machine.windows.restart()
      machine.windows.diesAt = at
      await machine.uninstall().catch(() => {})
      machine.windows.restart()
      await machine.uninstall()
      expect(machine.windows.picture(), `uninstalled after dying at call ${at}`).toEqual(before)
      expect(machine.windows.files).toEqual([])
    }
  }, 120_000)
})

const CHANGES = ['addGroup', 'addAccount', 'addMember', 'addRights', 'hide', 'putFirewallRule', 'replaceList', 'writeState'] as const

describe('a system that fails, or says yes and does nothing', () => {
  test.each(CHANGES)('%s fails: the step is named, and all is undone', async call => {
    const machine = machineWith()
    const before = machine.windows.picture()
    machine.windows.fails.set(call, 5)
    const error = await failure(machine.setUp())
    expect([error.code, error.errno]).toEqual(['set_up_failed', '5'])
    const { lists, ...rest } = machine.windows.picture() as { lists: Record<string, string> }
    const { lists: listsBefore, ...restBefore } = before as { lists: Record<string, string> }
    expect(rest).toEqual(restBefore)
    expect(Object.fromEntries(Object.entries(lists).filter(([path]) => !path.endsWith('windows-sandbox')))).toEqual(listsBefore)
    expect(machine.windows.isLocked).toBe(false)
    await machine.setUp()
    expect(await machine.status()).toMatchObject({ status: 'ready' })
  })

  test.each([
    ['addGroup', 'group'], ['addAccount', 'account_offline'], ['addMember', 'member_offline'], ['addRights', 'logon_rights'], ['hide', 'hidden_CsbxOffline'], ['putFirewallRule', 'firewall_csbx_offline_block_outbound'],
    ['replaceList', 'state_folder'],
  ] as const)('%s does nothing: %s does not read back, and all is undone', async (call, step) => {
    const machine = machineWith()
    const before = machine.windows.picture()
    machine.windows.lies.add(call)
    const error = await failure(machine.setUp())
    expect([error.code, error.step, error.errno]).toEqual(['set_up_failed', step, '0'])
    machine.windows.lies.clear()
    await machine.uninstall()
    expect(machine.windows.picture()).toEqual(before)
  })

  test('a file that does not read back: neither it nor its undoing', async () => {
    const machine = machineWith()
    machine.windows.lies.add('writeState')
    expect(await failure(machine.setUp())).toMatchObject({ code: 'set_up_failed', step: 'undo', message: expect.stringContaining('capabilities.json does not read back') })
  })

  test('a password that the system does not take for the account\'s is a failed step', async () => {
    const machine = machineWith()
    machine.windows.lies.add('logOn')
    expect(await failure(machine.setUp())).toMatchObject({ code: 'set_up_failed', step: 'passwords' })
    expect(machine.windows.picture()['accounts']).toEqual([])
  })

  test('an error is kept for whoever looks later, until it works', async () => {
    const machine = machineWith()
    machine.windows.fails.set('addAccount', 2245)
    const error = await failure(machine.setUp())
    expect(error.message).toContain('the password does not meet the policy of the machine')
    expect((await machine.status()).lastError).toMatchObject({ step: 'account_offline' })
    await machine.setUp()
    expect((await machine.status()).lastError).toBeUndefined()
  })

  test('undoing fails too: it is said, and uninstalling takes the rest away', async () => {
    const machine = machineWith()
    const before = machine.windows.picture()
    machine.windows.fails.set('putFirewallRule', 5)
    machine.windows.fails.set('removeGroup', 5)
    const error = await failure(machine.setUp())
    expect(error).toMatchObject({ code: 'set_up_failed', step: 'undo' })
    expect(error.message).toContain('windows uninstall')
    await machine.uninstall()
    expect(machine.windows.picture()).toEqual(before)
  })

  test('the note of an earlier failure cannot be removed: all is undone, before anything is kept', async () => {
    const machine = machineWith()
    machine.windows.fails.set('removeState', 5)
    expect(await failure(machine.setUp())).toMatchObject({ code: 'set_up_failed', step: 'state', errno: '5' })
    expect([machine.windows.picture()['accounts'], machine.windows.rules]).toEqual([[], []])
    await machine.setUp()
    expect(await machine.status()).toMatchObject({ status: 'ready' })
  })

  test.each([
    { name: 'a rule is gone', change: (windows: FakeWindows) => windows.system().removeFirewallRule('csbx_offline_block_outbound'), reason: /csbx_offline_block_outbound is gone/ },
    { name: 'a rule is another one', change: (windows: FakeWindows) => { Object.assign(windows.rules[1] as object, { isEnabled: false }) }, reason: /csbx_offline_block_inbound is gone or is another one/ },
    { name: 'the firewall is off', change: (windows: FakeWindows) => { windows.firewallState.offIn.push('public') }, reason: /off \(public\)/ },
    { name: 'a policy forbids rules', change: (windows: FakeWindows) => { windows.firewallState.localRulesCount = false }, reason: /group policy/ },
    { name: 'the firewall does not answer', change: (windows: FakeWindows) => { windows.fails.set('firewall', 1) }, reason: /cannot be looked at/ },
  ])('afterwards $name: the status is not ready, and says why', async ({ change, reason }) => {
    const machine = machineWith()
    await machine.setUp()
    expect(await machine.status()).toMatchObject({ status: 'ready' })
    await change(machine.windows)
    expect(await machine.status()).toMatchObject({ status: 'updateRequired', reason: expect.stringMatching(reason) })
  })

  test('aborted: the same as failed', async () => {
    const machine = machineWith()
    const controller = new AbortController()
    const before = machine.windows.picture()
    await expect(machine.setUp('elevated', {}, { signal: controller.signal, onProgress: ({ step, path }) => { if (step === 'access_lists' && path?.endsWith('a.ts')) controller.abort(new Error('enough')) } })).rejects.toThrow('enough')
    const { lists: _lists, ...rest } = machine.windows.picture()
    expect(rest).toEqual((({ lists: _before, ...others }) => others)(before))
    expect(machine.windows.list(W)).toBe((before['lists'] as Record<string, string>)[W])
  })
})

describe('before any change it is told', () => {
  test.each([
    { name: 'a domain controller', change: () => machineWith({ machine: { isDomainController: true } }), says: /domain controller/ },
    { name: 'a firewall that takes no local rules', change: () => { const machine = machineWith(); machine.windows.firewallState.localRulesCount = false; return machine }, says: /group policy/ },
    { name: 'a firewall that is off', change: () => { const machine = machineWith(); machine.windows.firewallState.offIn.push('public'); return machine }, says: /public/ },
    { name: 'a password that no account can have', change: () => machineWith({ machine: { leastPasswordCharacters: 250 } }), says: /longer passwords/ },
  ])('$name', async ({ change, says }) => {
    const machine = change()
    const error = await failure(machine.setUp())
    expect([error.code, error.message]).toEqual(['windows_setup_refused', expect.stringMatching(says)])
    expect([machine.windows.files, machine.windows.hasFolder]).toEqual([[], false])
  })

  test('a domain is told, for its policies come later', async () => {
    expect((await machineWith({ machine: { domain: 'CORP' } }).setUp()).notes).toEqual([expect.stringContaining('in the domain CORP')])
    expect((await machineWith({ machine: { domain: 'CORP' } }).setUp('unelevated')).notes).toEqual([])
  })

  test.each([
    { name: 'an account of somebody else', change: (windows: FakeWindows) => windows.addForeignAccount('CsbxOffline', 'the printer') },
    { name: 'accounts of another user', change: (windows: FakeWindows) => { windows.names.set('S-1-5-21-11-22-33-1002', 'them'); windows.addForeignAccount('CsbxOffline', 'Runs commands of codex-sandbox; removed by `codex-sandbox windows uninstall` (for S-1-5-21-11-22-33-1002)') } },
    { name: 'a rule of somebody else', change: (windows: FakeWindows) => windows.addForeignRule({ name: 'csbx_offline_block_inbound', direction: 'in', protocol: 'any', localUser: '', grouping: '', description: '', isEnabled: true, blocks: false, isForAll: true }) },
  ])('$name: it is neither used nor changed nor removed', async ({ change }) => {
    const machine = machineWith()
    change(machine.windows)
    const before = machine.windows.picture()
    const error = await failure(machine.setUp())
    expect(error.code).toBe('windows_setup_refused')
    const { lists: _after, ...rest } = machine.windows.picture()
    expect(rest).toEqual((({ lists: _before, ...others }) => others)(before))
    await machine.uninstall()
    expect(machine.windows.picture()).toEqual(before)
  })
})

test('uninstalling stops at an account whose commands still run, and that one has no network until it is gone', async () => {
  const machine = machineWith()
  const untouched = machine.windows.picture()
  await machine.setUp()
  for (const call of ['removeAccount', 'removeAccount']) {
    machine.windows.fails.set(call, 32)
    expect(await failure(machine.uninstall())).toMatchObject({ code: 'set_up_failed', errno: '32' })
    expect(machine.windows.rules).toHaveLength(4)
  }
  await machine.uninstall()
  expect(machine.windows.picture()).toEqual(untouched)
})

test('another user who uninstalls takes nothing of what holds these accounts: neither rules of the firewall nor marks', async () => {
  const machine = machineWith()
  const untouched = machine.windows.picture()
  await machine.setUp()
  machine.windows.names.set(ME, 'me')
  const before = machine.windows.picture()
  const [system, them] = [machine.windows.system(), { name: 'them', sid: 'S-1-5-21-11-22-33-1002' }]
  const theirs: Partial<typeof system> = { machine: async () => ({ ...await system.machine(), user: them }), readState: async () => undefined, stateFolder: async () => undefined }
  const { steps } = await setUpCalls(new Proxy(system, { get: (target, name: keyof typeof system) => theirs[name] ?? target[name] })).uninstall()
  expect(steps.filter(({ outcome }) => outcome === 'made')).toEqual([])
  const session = await openMachineSession(system, { version: REQUEST_VERSION, task: 'uninstall', user: them, wantsPasswords: false, proxyPorts: [], close: [], sids: [], strip: [] }, {})
  expect(session.result.steps.filter(({ outcome }) => outcome === 'made')).toEqual([])
  expect(machine.windows.picture()).toEqual(before)
  await machine.uninstall()
  expect(machine.windows.picture()).toEqual(untouched)
})

describe('one at a time', () => {
  test('the second is told who is first, and when the first is done it may', async () => {
    const machine = machineWith()
    let second: SandboxError | undefined
    const first = machine.setUp('elevated', {}, { onProgress: ({ step }) => { if (step === 'group') void machine.setUp().catch((error: SandboxError) => { second = error }) } })
    await first
    expect(second).toMatchObject({ code: 'windows_setup_busy', message: expect.stringContaining(`process ${process.pid} has been at its set-up since`) })
    expect((await machine.setUp()).roots).toEqual([W])
  })

  test('and so is uninstalling', async () => {
    const machine = machineWith()
    let second: SandboxError | undefined
    await machine.setUp('elevated', {}, { onProgress: ({ step }) => { if (step === 'group') void machine.uninstall().catch((error: SandboxError) => { second = error }) } })
    expect(second?.code).toBe('windows_setup_busy')
  })
})

describe('without an administrator\'s rights', () => {
  const ordinary = () => machineWith({ machine: { isElevated: false } })

  test('one consent for the machine\'s part; none for another root afterwards', async () => {
    const machine = ordinary()
    await machine.setUp()
    expect(machine.windows.consents).toBe(1)
    await machine.setUp('elevated', { write: ['C:\\Users\\me\\Documents'] })
    expect(machine.windows.consents).toBe(1)
    expect((await machine.status()).roots).toEqual([W, 'C:\\Users\\me\\Documents'])
  })

  test('no consent: it is told, nothing stays', async () => {
    const machine = ordinary()
    const before = machine.windows.picture()
    machine.windows.refusesConsent = true
    expect(await failure(machine.setUp())).toMatchObject({ code: 'windows_setup_refused', message: expect.stringContaining('consent') })
    expect(machine.windows.list(W)).toBe((before['lists'] as Record<string, string>)[W])
    expect(machine.windows.picture()['accounts']).toEqual([])
  })

  test('what everybody may write and is not the user\'s is closed by the administrator, and opened again', async () => {
    const machine = machineWith({ machine: { isElevated: false }, facts: { worldWritable: ['C:\\everybodys'] } })
    const before = machine.windows.picture()
    await machine.setUp()
    const { sids } = parseStore(machine.windows.file('capabilities.json') as string, 'f')
    expect(machine.windows.list('C:\\everybodys\\x')).toContain(`(D;ID;0xd0156;;;${sids['read-only']})`.replace('0xd0156', '0xd0156').slice(0, 6))
    expect(machine.windows.list('C:\\everybodys')).toContain(sids['read-only'])
    await machine.uninstall()
    expect(machine.windows.picture()).toEqual(before)
  })

  test('a root that is not the user\'s is refused before a consent is asked for', async () => {
    const machine = machineWith({ machine: { isElevated: false }, lists: { ...LISTS, [W]: 'O:SYG:SYD:PAI(A;OICI;FA;;;SY)(A;OICI;0x1200a9;;;BU)' } })
    expect(await failure(machine.setUp())).toMatchObject({ code: 'windows_setup_refused', message: expect.stringContaining('you may not make') })
    expect([machine.windows.consents, machine.windows.picture()['accounts']]).toEqual([0, []])
  })

  test('a lost password, a disabled account, another port: a consent again, and it works', async () => {
    const machine = ordinary()
    await machine.setUp()
    machine.windows.setFile('secrets.json', JSON.stringify({ version: 1, offline: 'AAAA', online: 'AAAA' }))
    await machine.setUp()
    machine.windows.disable('CsbxOnline')
    await machine.setUp()
    await machine.setUp('elevated', {}, { proxyPorts: [8080] })
    expect(machine.windows.consents).toBe(4)
    expect(machine.windows.rules.find(({ name }) => name.endsWith('loopback_tcp'))?.remotePorts).toBe('1-8079,8081-65535')
    expect(machine.windows.rules).toHaveLength(4)
  })
})

describe('entries', () => {
  test('a failed second set-up leaves the first one in force', async () => {
    const machine = machineWith()
    await machine.setUp()
    const before = machine.windows.picture()
    machine.windows.fails.set('replaceList', 1)
    await failure(machine.setUp('elevated', { write: ['C:\\Users\\me\\Documents'] }))
    expect(machine.windows.picture()).toEqual(before)
    expect(compile(machine, 'elevated').access.length).toBeGreaterThan(0)
  })

  test('the SIDs of a call that failed are not used again', async () => {
    const machine = machineWith()
    machine.windows.fails.set('addAccount', 5)
    await failure(machine.setUp())
    const { retired } = parseStore(machine.windows.file('capabilities.json') as string, 'f')
    expect(retired).toHaveLength(2)
    await machine.setUp()
    const store = parseStore(machine.windows.file('capabilities.json') as string, 'f')
    expect(store.retired).toEqual(retired)
    expect(Object.values(store.sids).some(sid => retired.includes(sid))).toBe(false)
  })

  /** Objects that this user may not look at, or not change. */
  const withForbidden = (machine: Machine, forbidden: (call: string, path: string) => boolean) => {
    const system = machine.windows.system()
    return setUpCalls(new Proxy(system, {
      get: (target, name: keyof typeof system) => name !== 'readObject' && name !== 'replaceList' && name !== 'children' ? target[name]
        : async (path: string, ...more: unknown[]) => { if (forbidden(name, path)) throw new WindowsFailure(name, 5); return (target[name] as (...args: unknown[]) => Promise<unknown>)(path, ...more) },
    }))
  }

  test.each(['readObject', 'replaceList', 'children'])('%s fails somewhere in a root: it is told, has no entry of ours, and the rest is done', async call => {
    const machine = machineWith()
    const before = machine.windows.list(`${W}\\src`)
    const { notes } = await withForbidden(machine, (name, path) => name === call && path === `${W}\\src`).setUp({ mode: 'elevated', policies: [machine.policy], facts: () => machine.windows.facts() })
    expect(notes).toEqual([expect.stringContaining(`${W}\\src`)])
    if (call !== 'children') expect(machine.windows.list(`${W}\\src`)).toBe(before)
    expect(machine.windows.list(`${W}\\own\\x`)).toContain('0x1301bf')
    expect(await machine.status()).toMatchObject({ status: 'ready' })
  })

  test.each(['readObject', 'replaceList', 'children'])('%s fails where reading is denied, or on a root itself: an error', async call => {
    for (const place of [`${W}\\src\\inner`, W]) {
      const machine = machineWith()
      machine.windows.create(`${W}\\src\\inner`, 'directory')
      const before = machine.windows.picture()
      const host = winHost(SMALL, { lists: LISTS, tmpdir: undefined })
      const policy = resolve({ ...presetPolicy('workspace-write', 'reference'), deny: ['src'] }, host)
      const work = withForbidden(machine, (name, path) => name === call && path === place).setUp({ mode: 'elevated', policies: [policy], facts: () => machine.windows.facts() })
      expect(await failure(work)).toMatchObject({ code: 'set_up_failed', path: place, errno: '5' })
      expect({ ...machine.windows.picture(), lists: machine.windows.list(W) }).toEqual({ ...before, lists: (before['lists'] as Record<string, string>)[W] })
    }
  })

  test('uninstalling: what cannot be looked at is told, and no consent is asked for it; what has entries of ours and cannot be changed stays known', async () => {
    const machine = machineWith({ machine: { isElevated: false } })
    await machine.setUp('unelevated')
    const unseen = await withForbidden(machine, (name, path) => name === 'readObject' && path === `${W}\\src`).uninstall()
    expect(unseen.left).toEqual([{ path: `${W}\\src`, reason: expect.stringContaining('readObject') }])
    expect([machine.windows.consents, machine.windows.files]).toEqual([0, []])
    const again = machineWith({ machine: { isElevated: true } })
    await again.setUp('unelevated')
    const { left } = await withForbidden(again, (name, path) => name === 'replaceList' && path === `${W}\\src`).uninstall()
    expect(left).toEqual([{ path: `${W}\\src`, reason: expect.stringContaining('replaceList') }])
    expect(again.windows.files).toEqual(['capabilities.json', 'journal.json'])
    expect((await again.uninstall()).left).toEqual([])
    expect([again.windows.files, again.windows.list(`${W}\\src`)?.includes('S-1-5-21-11-22-33-1001)')]).toEqual([[], true])
  })

  test('and where everybody may write: an error, since nothing would close it', async () => {
    const machine = machineWith({ facts: { worldWritable: ['C:\\everybodys'] } })
    const work = withForbidden(machine, (name, path) => name === 'replaceList' && path === 'C:\\everybodys\\x').setUp({ mode: 'elevated', policies: [machine.policy], facts: () => machine.windows.facts() })
    expect(await failure(work)).toMatchObject({ code: 'set_up_failed', path: 'C:\\everybodys\\x' })
  })

  test('somebody changes a list at the same time: both changes stand', async () => {
    const machine = machineWith()
    const system = machine.windows.system()
    let isChanged = false
    const meddled = new Proxy(system, {
      get: (target, name: keyof typeof system) => name !== 'readObject' ? target[name] : async (path: string) => {
        const found = await target.readObject(path)
        if (path === W && !isChanged) { isChanged = true; machine.windows.setList(W, `${machine.windows.list(W)}`.replace('D:', 'D:').replace(/(D:[A-Z]*)/, '$1(A;;FR;;;BG)')) }
        return found
      },
    })
    isChanged = false
    await setUpCalls(meddled).setUp({ mode: 'unelevated', policies: [machine.policy], facts: () => machine.windows.facts() })
    expect(machine.windows.list(W)).toContain('(A;;FR;;;BG)')
    await machine.uninstall()
    expect(machine.windows.list(W)).toContain('(A;;FR;;;BG)')
  })

  const ace = fc.tuple(fc.constantFrom('A', 'D'), fc.constantFrom('', 'OI', 'CI', 'OICI', 'OICIIO', 'OICINP', 'ID', 'OICIID'), fc.constantFrom('FA', 'FR', '0x1301bf'), fc.constantFrom('WD', 'BU', 'SY', 'CO', 'OW')).map(([type, flags, mask, who]) => `(${type};${flags};${mask};;;${who})`)
  const list = fc.tuple(fc.constantFrom('', 'P', 'AI', 'PAI'), fc.array(ace, { maxLength: 5 })).map(([head, aces]) => `O:${ME}G:${ME}D:${head}${aces.join('')}`)
  const PATHS = [W, `${W}\\.git`, `${W}\\.git\\config`, `${W}\\src`, `${W}\\src\\a.ts`, `${W}\\own`, `${W}\\own\\x`, 'C:\\Users\\me\\Documents', 'C:\\Users\\me\\Documents\\note', 'C:\\everybodys\\x']

  test('whatever lists stand there, in whatever order: after uninstalling all others stand unchanged', async () => {
    let [made, refused] = [0, 0]
    await fc.assert(fc.asyncProperty(fc.constantFrom(...MODES), fc.dictionary(fc.constantFrom(...PATHS), list, { maxKeys: 6 }), async (mode, lists) => {
      const machine = machineWith()
      for (const [path, text] of Object.entries(lists)) machine.windows.setList(path, text)
      const before = machine.windows.picture()
      // A root whose list its user may not change is refused; nothing may be left of that either.
      await machine.setUp(mode).then(() => { made++ }, (error: SandboxError) => {
        if (error.code !== 'rule_not_enforceable') throw error
        refused++
      })
      await machine.uninstall()
      expect(machine.windows.picture()).toEqual(before)
    }), { numRuns: Number(process.env['WINDOWS_RUNS'] ?? 300) })
    expect(made).toBeGreaterThan(refused)
  }, 120_000)
})

describe('what the files say is not believed blindly', () => {
  test('a journal that names another\'s SID and path takes nothing from there', async () => {
    const machine = machineWith()
    const before = machine.windows.picture()
    await machine.setUp()
    const journal = parseJournal(machine.windows.file('journal.json') as string)
    machine.windows.names.set('S-1-5-21-11-22-33-1002', 'them')
    machine.windows.setFile('journal.json', JSON.stringify({ ...journal, places: [...journal.places, { path: 'C:\\Users\\them', isDeep: true }], sids: [...journal.sids, 'S-1-5-21-11-22-33-1002', 'S-1-5-32-544', 'S-1-5-18', ME] }))
    await machine.uninstall()
    expect(machine.windows.picture()).toEqual(before)
  })

  test.each(['state.json', 'capabilities.json', 'secrets.json'])('a damaged %s does not keep uninstalling from taking all away', async name => {
    const machine = machineWith()
    const before = machine.windows.picture()
    await machine.setUp()
    machine.windows.setFile(name, '{"version": 1')
    expect((await machine.uninstall()).left).toEqual([])
    expect(machine.windows.picture()).toEqual(before)
    expect(machine.windows.files).toEqual([])
  })

  test('a damaged journal: what the state knows is taken away, and what may be left is told', async () => {
    const machine = machineWith()
    const before = machine.windows.picture() as { lists: Record<string, string> }
    await machine.setUp()
    machine.windows.setFile('journal.json', '{}')
    expect((await machine.uninstall()).left).toEqual([{ path: 'windows-sandbox\\journal.json', reason: expect.stringContaining('may still stand') }])
    expect([machine.windows.list(W), machine.windows.picture()['accounts'], machine.windows.files]).toEqual([before.lists[W], [], ['capabilities.json']])
  })

  test.each(['state.json', 'capabilities.json', 'secrets.json', 'journal.json'])('a damaged %s is an error, and not taken for none', async name => {
    const machine = machineWith()
    await machine.setUp()
    machine.windows.setFile(name, '{"version": 1')
    expect(await failure(machine.setUp())).toMatchObject({ code: 'option_invalid', message: expect.stringContaining(name) })
  })
})
