// Whole plans for Windows, what a policy is refused for, and what has to be set up first.
import { readdirSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { type DegradationName, printPlan, type WindowsMode } from '../../../../src/platform/launch-plan.js'
import { grantedAccess, isGranted } from '../../../../src/platform/windows/access-check.js'
import { outermostRoots } from '../../../../src/platform/windows/access-plan.js'
import { windowsBackend } from '../../../../src/platform/windows/backend.js'
import { assignCapabilities, EMPTY_STORE, READ_ONLY_KEY } from '../../../../src/platform/windows/capability-sids.js'
import { compileWindows } from '../../../../src/platform/windows/compile.js'
import { parseDescriptor, printDescriptor } from '../../../../src/platform/windows/sddl.js'
import { fingerprint, SET_UP_VERSION, setUpCommand } from '../../../../src/platform/windows/set-up.js'
import { modelToken, refuseUnproven } from '../../../../src/platform/windows/token.js'
import { SUPPOSED_ACCOUNTS } from '../../../../src/platform/windows/users.js'
import type { CompileOptions } from '../../../../src/platform/backend.js'
import type { HostSnapshot, WindowsFacts, WindowsSetUp } from '../../../../src/policy/host-snapshot.js'
import { presetPolicy } from '../../../../src/policy/presets.js'
import { resolve } from '../../../../src/policy/resolve.js'
import type { SandboxPolicy } from '../../../../src/policy/sandbox-policy.js'
import { compileOptions } from '../../../support/linux-layers.js'
import { EVERYBODYS, ONLY_MINE, WIN_TREE, WINDOWS_THERE, winHost } from '../../../support/windows-host.js'
import { LOGON, SESSION, WindowsModel } from '../../../support/windows-model.js'
import { compileWindowsCase, WINDOWS_CASES } from '../../../support/windows-policies.js'

const W = 'C:\\Users\\me\\work'
const resolved = (policy: Partial<SandboxPolicy>, host: HostSnapshot, allowBroadRoots = false) => resolve({ ...presetPolicy(policy.mode ?? 'workspace-write', 'reference'), ...policy }, host, { allowBroadRoots })

function compile(mode: WindowsMode, policy: Partial<SandboxPolicy>, { host = winHost(), allowDegraded = [] as readonly DegradationName[], options = {} as Partial<CompileOptions>, allowBroadRoots = false } = {}) {
  return compileWindows(resolved(policy, host, allowBroadRoots), mode, WINDOWS_THERE, compileOptions({ allowDegraded: new Set(allowDegraded), windows: host.windows as WindowsFacts, supposeSetUp: true, ...options }))
}

describe('golden plans', () => {
  test.each(WINDOWS_CASES)('$name', async each => {
    await expect(printPlan(compileWindowsCase(each).plan)).toMatchFileSnapshot(`../../../golden/windows/${each.name}.json`)
  })

  test('every golden file is of a policy', () => {
    expect(readdirSync('test/golden/windows').sort()).toEqual(WINDOWS_CASES.map(({ name }) => `${name}.json`).sort())
  })

  test('every list and proof in a plan is SDDL that reads as it is written', () => {
    for (const each of WINDOWS_CASES) {
      const { plan } = compileWindowsCase(each)
      for (const { add } of plan.access) expect(printDescriptor(parseDescriptor(`D:${add.join('')}`, 'access'))).toBe(`D:${add.join('')}`)
      for (const { descriptor } of plan.token.proofs) expect(() => parseDescriptor(descriptor, 'proof')).not.toThrow()
      expect(() => parseDescriptor(plan.token.defaultDacl.replaceAll('{logon}', LOGON).replaceAll('{session}', SESSION), 'default')).not.toThrow()
    }
  })
})

describe('refused: what the mode cannot hold', () => {
  const cases: { name: string; mode: WindowsMode; policy: Partial<SandboxPolicy>; allow: readonly DegradationName[]; needs: DegradationName; field: string; host?: HostSnapshot }[] = [
    { name: 'the network off', mode: 'unelevated', policy: {}, allow: [], needs: 'network', field: 'network' },
    { name: 'denied reads', mode: 'unelevated', policy: { deny: ['deep'], network: 'open' }, allow: [], needs: 'denied-reads', field: 'deny[0]' },
    { name: 'restricted reads', mode: 'unelevated', policy: { readAccess: { kind: 'restricted', includePlatformDefaults: true, readableRoots: [] }, network: 'open' }, allow: [], needs: 'restricted-reads', field: 'readAccess' },
    { name: 'restricted reads', mode: 'elevated', policy: { readAccess: { kind: 'restricted', includePlatformDefaults: true, readableRoots: [] } }, allow: [], needs: 'restricted-reads', field: 'readAccess' },
    { name: 'files that match a glob later', mode: 'elevated', policy: { deny: ['**/*.key'] }, allow: [], needs: 'later-glob-matches', field: 'deny[0]' },
    { name: 'a denied path that only others can make', mode: 'elevated', policy: { deny: ['C:\\Users\\them\\later'] }, allow: [], needs: 'absent-paths', field: 'deny[0]' },
    { name: 'a disk without access lists', mode: 'elevated', policy: {}, allow: [], needs: 'world-writable', field: 'drives', host: winHost({ ...WIN_TREE, 'E:': {} }, { facts: { drives: [{ letter: 'C:', fileSystem: 'NTFS', kind: 'fixed' }, { letter: 'E:', fileSystem: 'FAT32', kind: 'removable' }] } }) },
    { name: 'a folder of everybody\'s that the user cannot close', mode: 'unelevated', policy: { network: 'open' }, allow: [], needs: 'world-writable', field: 'policy', host: winHost(WIN_TREE, { lists: { 'C:\\Users\\Public': 'O:SYG:SYD:AI(A;OICI;0x1301bf;;;WD)' }, facts: { ownLists: [{ path: 'C:\\Users\\Public', kind: 'directory' }] } }) },
    { name: 'a limit', mode: 'elevated', policy: { limits: { openFiles: 64 } }, allow: [], needs: 'limits', field: 'limits.openFiles' },
  ]
  test.each(cases)('$mode: $name needs $needs', ({ mode, policy, needs, field, host = winHost() }) => {
    expect(() => compile(mode, policy, { host })).toThrow(expect.objectContaining({ code: 'rule_not_enforceable', field }))
    expect(() => compile(mode, policy, { host, allowDegraded: (['network', 'denied-reads', 'restricted-reads', 'world-writable', 'later-glob-matches', 'absent-paths', 'limits'] as const).filter(name => name !== needs) })).toThrow(expect.objectContaining({ field }))
    const plan = compile(mode, policy, { host, allowDegraded: [needs] })
    expect(plan.degraded).toEqual([needs])
    expect(plan.enforcement.degraded).toEqual([needs])
  })

  test('allowing by name what is held degrades nothing', () => {
    expect(compile('elevated', {}, { allowDegraded: ['network', 'denied-reads', 'restricted-reads', 'world-writable', 'absent-paths'] }).degraded).toEqual([])
  })

  test('what everybody may write and the user can close is closed', () => {
    const host = winHost(WIN_TREE, { lists: { 'C:\\src': EVERYBODYS }, facts: { ownLists: [{ path: 'C:\\src', kind: 'directory' }] } })
    const plan = compile('unelevated', { network: 'open' }, { host })
    const model = new WindowsModel(host, plan)
    expect([model.allows('write', 'C:\\src\\project\\a.c'), model.allows('create', 'C:\\src\\new'), model.allows('remove', 'C:\\src\\project')]).toEqual([false, false, false])
    const open = new WindowsModel(host, { ...plan, access: plan.access.filter(({ path }) => path !== 'C:\\src') })
    expect(open.allows('write', 'C:\\src\\project\\a.c')).toBe(true)
  })
})

describe('refused, whatever is allowed', () => {
  const all: readonly DegradationName[] = ['network', 'denied-reads', 'restricted-reads', 'world-writable', 'later-glob-matches', 'absent-paths', 'limits']
  test.each<{ name: string; policy: Partial<SandboxPolicy>; code: string; field: string; host?: HostSnapshot; options?: Partial<CompileOptions> }>([
    { name: 'a drive as a root', policy: { write: ['C:\\'] }, code: 'path_too_broad', field: 'write[0]' },
    { name: 'the profile as a root', policy: { write: ['~'] }, code: 'path_too_broad', field: 'write[0]' },
    { name: 'what holds the profile', policy: { write: ['C:\\Users'] }, code: 'path_too_broad', field: 'write[0]' },
    { name: 'a part of Windows', policy: { write: ['C:\\Windows\\Temp'] }, code: 'path_too_broad', field: 'write[0]' },
    { name: 'a root without access lists', policy: { write: ['E:\\x'] }, code: 'rule_not_enforceable', field: 'write[0]', host: winHost({ ...WIN_TREE, 'E:': { x: {} } }, { facts: { drives: [{ letter: 'C:', fileSystem: 'NTFS', kind: 'fixed' }, { letter: 'E:', fileSystem: 'exFAT', kind: 'fixed' }] } }) },
    { name: 'a root on a drive of another machine', policy: { write: ['E:\\x'] }, code: 'rule_not_enforceable', field: 'write[0]', host: winHost({ ...WIN_TREE, 'E:': { x: {} } }, { facts: { drives: [{ letter: 'C:', fileSystem: 'NTFS', kind: 'fixed' }, { letter: 'E:', fileSystem: 'NTFS', kind: 'remote' }] } }) },
    { name: 'a root on a drive that is not known', policy: { write: ['E:\\x'] }, code: 'rule_not_enforceable', field: 'write[0]', host: winHost({ ...WIN_TREE, 'E:': { x: {} } }, { facts: { drives: [{ letter: 'C:', fileSystem: 'NTFS', kind: 'fixed' }] } }) },
    { name: 'a share', policy: { deny: ['\\\\server\\share\\x'] }, code: 'rule_not_enforceable', field: 'deny[0]' },
    { name: 'names of git that only a link would hold', policy: { git: 'commits' }, code: 'rule_not_enforceable', field: 'git' },
    { name: 'a private /tmp', policy: { tmp: 'private' }, code: 'rule_not_enforceable', field: 'tmp' },
    { name: 'a rung', policy: {}, code: 'option_invalid', field: 'rung', options: { rung: 'supervised' } },
    { name: 'own servers on the loopback', policy: {}, code: 'rule_not_enforceable', field: 'localBinding', options: { endpoints: { localBinding: true } } },
  ])('$name', ({ policy, code, field, host = winHost(), options = {} }) => {
    for (const mode of ['elevated', 'unelevated'] as const) {
      expect(() => compile(mode, policy, { host, options, allowDegraded: all, allowBroadRoots: true })).toThrow(expect.objectContaining({ code, field }))
    }
  })

  test('unelevated: a root whose list the user may not change', () => {
    const host = winHost(WIN_TREE, { lists: { 'C:\\src': 'O:SYG:SYD:PAI(A;OICI;FA;;;SY)(A;OICI;0x1301bf;;;BU)' } })
    expect(() => compile('unelevated', { write: ['C:\\src'], network: 'open' }, { host })).toThrow(expect.objectContaining({ code: 'rule_not_enforceable', field: 'write[0]' }))
    expect(() => compile('elevated', { write: ['C:\\src'] }, { host })).not.toThrow()
  })

  test('a list that is not understood', () => {
    const host = winHost()
    const windows: WindowsFacts = { ...host.windows as WindowsFacts, descriptor: () => 'D:(A;;FA;;;LA)' }
    expect(() => compile('elevated', {}, { host: { ...host, windows } })).toThrow(expect.objectContaining({ code: 'descriptor_invalid' }))
  })

  test('without the addon, and without facts', async () => {
    const policy = resolved({}, winHost())
    expect(() => compileWindows(policy, 'elevated', [], compileOptions())).toThrow(expect.objectContaining({ code: 'layer_missing', field: 'windows-addon' }))
    expect(() => compileWindows(policy, 'elevated', WINDOWS_THERE, compileOptions())).toThrow(expect.objectContaining({ code: 'layer_missing' }))
    const backend = windowsBackend('elevated')
    const layers = await backend.probe()
    expect(() => backend.compile(policy, layers, compileOptions({ windows: winHost().windows as WindowsFacts, supposeSetUp: true }))).toThrow(expect.objectContaining({ code: 'layer_missing', field: 'windows-addon' }))
    await expect(backend.start(compile('elevated', {}))).rejects.toMatchObject({ code: 'layer_missing' })
  })
})

describe('set-up comes first', () => {
  const noLimits = { tmp: 'none' as const }
  /** A machine on which set-up has run for `policy`. */
  function setUpFor(mode: WindowsMode, policy: Partial<SandboxPolicy>, host: HostSnapshot, changes: Partial<WindowsSetUp> = {}): HostSnapshot {
    let count = 0
    const { sids } = assignCapabilities(EMPTY_STORE, [...outermostRoots(resolved(policy, host)).map(({ key }) => key), READ_ONLY_KEY], () => ++count)
    const setUp: WindowsSetUp = { version: SET_UP_VERSION, ...(mode === 'elevated' ? { accounts: SUPPOSED_ACCOUNTS } : {}), proxyPorts: [8080], capabilities: sids, prepared: [], ...changes }
    const windows: WindowsFacts = { ...host.windows as WindowsFacts, setUp }
    let access: ReturnType<typeof compile>['access'] = []
    let placeholders: ReturnType<typeof compile>['placeholders'] = []
    // What is planned with these SIDs, taken from a compile that stops only at lists that were not made.
    const probe: WindowsFacts = { ...windows, setUp: { ...setUp, prepared: { includes: () => true } as unknown as string[] } }
    const plan = compileWindows(resolved(policy, host), mode, WINDOWS_THERE, compileOptions({ allowDegraded: new Set(['network']), windows: probe }))
    ;({ access, placeholders } = plan)
    const model = new WindowsModel(host, plan)
    expect(placeholders.length).toBeGreaterThan(0)
    expect(access.length).toBeGreaterThan(0)
    return { ...host, windows: { ...windows, descriptor: path => { const descriptor = model.descriptor(path); return descriptor === undefined ? undefined : printDescriptor(descriptor) } } }
  }
  const real = (mode: WindowsMode, policy: Partial<SandboxPolicy>, host: HostSnapshot, options: Partial<CompileOptions> = {}) =>
    compile(mode, policy, { host, allowDegraded: ['network'], options: { supposeSetUp: false, ...options } })
  const command = /`codex-sandbox windows setup --mode elevated --root C:\\Users\\me\\work`/

  test.each(['elevated', 'unelevated'] as const)('%s: afterwards it compiles, and does no work on lists', mode => {
    const host = setUpFor(mode, noLimits, winHost())
    expect(real(mode, noLimits, host).degraded).toEqual(mode === 'elevated' ? [] : ['network'])
  })

  test.each<{ name: string; host: () => HostSnapshot; policy?: Partial<SandboxPolicy>; field: string; options?: Partial<CompileOptions> }>([
    { name: 'never set up', host: () => winHost(), field: 'windows' },
    { name: 'by another version', host: () => setUpFor('elevated', noLimits, winHost(), { version: 0 }), field: 'windows' },
    { name: 'for the other mode', host: () => setUpFor('unelevated', noLimits, winHost()), field: 'windows' },
    { name: 'the lists were not made', host: () => { const host = setUpFor('elevated', noLimits, winHost()); return { ...host, windows: { ...host.windows as WindowsFacts, descriptor: (winHost().windows as WindowsFacts).descriptor } } }, field: 'windows' },
    { name: 'for a root in which less is closed', host: () => setUpFor('elevated', noLimits, winHost()), policy: { ...noLimits, protect: ['src'] }, field: 'cwd' },
    { name: 'for other ports', host: () => setUpFor('elevated', noLimits, winHost()), field: 'proxyPorts', options: { endpoints: { proxyPorts: [1080] } } },
  ])('$name', ({ host, policy = noLimits, field, options = {} }) => {
    let seen: HostSnapshot
    try {
      seen = host()
    } catch (error) {
      // Set-up of such a version cannot even be supposed.
      expect(error).toMatchObject({ code: 'windows_setup_required', field })
      return
    }
    expect(() => real('elevated', policy, seen, options)).toThrow(expect.objectContaining({ code: 'windows_setup_required', field, remedy: expect.stringMatching(command) }))
  })

  test('an entry that came in between, or one that went, is seen; a new one for somebody else is not', () => {
    const host = setUpFor('elevated', noLimits, winHost())
    const facts = host.windows as WindowsFacts
    const changed = (change: (text: string) => string): HostSnapshot => ({ ...host, windows: { ...facts, descriptor: path => { const text = facts.descriptor(path); return path === `${W}\\.git` && text !== undefined ? change(text) : text } } })
    const dacl = /D:(?:AI|P)*/
    expect(() => real('elevated', noLimits, changed(text => text.replace(dacl, '$&(A;OICI;FA;;;WD)')))).toThrow(expect.objectContaining({ code: 'windows_setup_required', message: expect.stringContaining('.git') }))
    expect(() => real('elevated', noLimits, changed(text => text.replace(/\(D;OICI;[^)]*\)/, '')))).toThrow(expect.objectContaining({ code: 'windows_setup_required' }))
    expect(() => real('elevated', noLimits, changed(text => text.replace(dacl, '$&(A;OICI;FA;;;S-1-5-21-4-4-4-4)')))).not.toThrow()
  })

  test('the fingerprint of what was made stands for a look at each entry, and changes with every list', () => {
    const { plan, host } = compileWindowsCase(WINDOWS_CASES[0] as (typeof WINDOWS_CASES)[number])
    const facts = host.windows as WindowsFacts
    const first = fingerprint(plan.access, facts)
    expect(fingerprint(plan.access, facts)).toBe(first)
    expect(fingerprint(plan.access.slice(1), facts)).not.toBe(first)
    expect(fingerprint(plan.access, { descriptor: path => path === W ? 'D:' : facts.descriptor(path) })).not.toBe(first)
  })

  test('the command quotes a root with a space', () => {
    expect(setUpCommand('unelevated', ['C:\\a b', 'C:\\c'])).toBe('codex-sandbox windows setup --mode unelevated --root "C:\\a b" --root C:\\c')
  })
})

describe('the token', () => {
  test.each(WINDOWS_CASES)('$name: every proof is as the model answers; with a kernel that checks less twice one differs', each => {
    const { plan } = compileWindowsCase(each)
    const token = modelToken(plan.token, { logon: LOGON, session: SESSION, groups: plan.machine === undefined ? [] : [plan.machine.group] })
    for (const { what, descriptor, desired, granted } of plan.token.proofs) expect([what, isGranted(token, parseDescriptor(descriptor, what), Number(desired))]).toEqual([what, granted])
    const differing = plan.token.proofs.filter(({ descriptor, desired, granted }) => isGranted(token, parseDescriptor(descriptor, ''), Number(desired), 'generic-write') !== granted)
    expect(differing.map(({ what }) => what)).toEqual(expect.arrayContaining(['delete on what is the account\'s', 'writeDac on what is the account\'s', 'changing the list of an own object']))
    const unrestricted = { ...token, restricting: [] }
    expect(plan.token.proofs.filter(({ descriptor, desired, granted }) => isGranted(unrestricted, parseDescriptor(descriptor, ''), Number(desired)) !== granted).length).toBeGreaterThan(8)
  })

  test('a system whose answers differ is refused, by the proof that it fails', () => {
    const { token } = compile('elevated', {})
    const model = modelToken(token, { logon: LOGON, session: SESSION, groups: [SUPPOSED_ACCOUNTS.group.sid] })
    expect(() => refuseUnproven(token.proofs, (descriptor, desired) => isGranted(model, parseDescriptor(descriptor, ''), desired))).not.toThrow()
    expect(() => refuseUnproven(token.proofs, (descriptor, desired) => isGranted(model, parseDescriptor(descriptor, ''), desired, 'generic-write'))).toThrow(expect.objectContaining({ code: 'set_up_failed', step: 'token_proof', path: expect.stringContaining('deleteChild') }))
    expect(() => refuseUnproven(token.proofs, () => true)).toThrow(expect.objectContaining({ step: 'token_proof' }))
    expect(() => refuseUnproven(token.proofs, () => false)).toThrow(expect.objectContaining({ step: 'token_proof', path: 'reading what is the account\'s' }))
  })

  test.each(['elevated', 'unelevated'] as const)('%s: what one sandbox makes is closed to another of the same root', mode => {
    const plan = compile(mode, {}, { allowDegraded: ['network'] })
    const groups = plan.machine === undefined ? [] : [plan.machine.group]
    const [one, other] = [{ session: 'S-1-5-21-6-6-6-1', logon: 'S-1-5-5-0-1' }, { session: 'S-1-5-21-6-6-6-2', logon: mode === 'elevated' ? 'S-1-5-5-0-2' : 'S-1-5-5-0-1' }].map(ids => ({ ...ids, token: modelToken(plan.token, { ...ids, groups }) })) as [{ session: string; logon: string; token: ReturnType<typeof modelToken> }, { session: string; logon: string; token: ReturnType<typeof modelToken> }]
    const made = parseDescriptor(`O:${plan.token.account}${plan.token.defaultDacl.replaceAll('{session}', one.session).replaceAll('{logon}', one.logon)}`, 'made')
    expect(grantedAccess(one.token, made).toString(16)).toBe('1f01ff')
    const changes = grantedAccess(other.token, made) & 0xd0156
    expect(changes.toString(16)).toBe('0')
    // With an account that sandboxes share, the other does not even read it.
    if (mode === 'elevated') expect(grantedAccess(other.token, made) & 0x1).toBe(0)
  })
})

test('a denied path below what is a file: the file stays, so that no folder comes in its place', () => {
  const host = winHost()
  for (const write of [[], [`${W}\\src\\a.ts`]]) {
    const plan = compile('elevated', { write, deny: [`${W}\\src\\a.ts\\key`] }, { host, allowDegraded: ['absent-paths'] })
    const model = new WindowsModel(host, plan)
    expect(plan.placeholders.map(({ path }) => path)).not.toContain(`${W}\\src\\a.ts\\key`)
    expect([model.allows('remove', `${W}\\src\\a.ts`), model.allows('remove', `${W}\\src`), model.allows('write', `${W}\\src\\a.ts`)]).toEqual([false, false, true])
  }
})

describe('the machine', () => {
  test('elevated: the offline account where the network is closed, the other where it is open', () => {
    expect([compile('elevated', {}).token.account, compile('elevated', { network: 'open' }).token.account]).toEqual([SUPPOSED_ACCOUNTS.offline.sid, SUPPOSED_ACCOUNTS.online.sid])
    expect(compile('elevated', { network: 'open' }, { options: { endpoints: { proxyPorts: [8080] } } }).token.account).toBe(SUPPOSED_ACCOUNTS.offline.sid)
  })

  test('a proxied network is blocked but for the proxy; unelevated it is advised, by the proxy\'s own variables', () => {
    const endpoints = { proxyPorts: [3128] }
    const elevated = compile('elevated', { network: 'proxied' }, { options: { endpoints } })
    expect([elevated.network, elevated.token.account, elevated.machine?.firewall.at(-1)?.remotePorts]).toEqual(['blocked', SUPPOSED_ACCOUNTS.offline.sid, '1-3127,3129-65535'])
    expect([elevated.proxyPort, compile('elevated', {}).proxyPort]).toEqual([3128, undefined])
    expect(() => compile('unelevated', { network: 'proxied' }, { options: { endpoints } })).toThrow(expect.objectContaining({ code: 'rule_not_enforceable', field: 'network' }))
    const unelevated = compile('unelevated', { network: 'proxied' }, { options: { endpoints }, allowDegraded: ['network'] })
    expect([unelevated.network, unelevated.degraded, unelevated.environment.set, unelevated.environment.stubs]).toEqual(['advised', ['network'], [], []])
  })

  test('elevated: keys and tokens stay closed to the accounts, though the policy says nothing of them', () => {
    const host = winHost()
    const model = new WindowsModel(host, compile('elevated', {}, { host }))
    const read = (path: string) => model.allows('read', `C:\\Users\\me\\${path}`)
    expect([read('.ssh\\id_ed25519'), read('.npmrc'), read('.config\\gh\\hosts.yml'), read('AppData\\Roaming\\GitHub CLI\\hosts.yml'), read('.codex\\auth.json')]).toEqual([false, false, false, false, false])
    expect([read('Documents\\note.txt'), read('.config\\tool\\x'), read('AppData\\Local\\Programs\\x'), read('work\\src\\a.ts'), model.allows('read', 'C:\\Windows\\System32\\cmd.exe'), model.allows('execute', 'C:\\Program Files\\nodejs\\node.exe')]).toEqual([true, true, true, true, true, true])
  })

  test('elevated: the profile of somebody else stays closed', () => {
    const host = winHost()
    expect(new WindowsModel(host, compile('elevated', {}, { host })).allows('read', 'C:\\Users\\them\\notes')).toBe(false)
  })

  test('a folder that only the user reads inside of a granted one stays so', () => {
    const host = winHost(WIN_TREE, { lists: { 'C:\\Users\\me\\Documents': ONLY_MINE } })
    const plan = compile('elevated', {}, { host })
    expect(plan.access.find(({ path }) => path === 'C:\\Users\\me\\Documents')?.add).toEqual([`(A;OICI;0x1200a9;;;${SUPPOSED_ACCOUNTS.group.sid})`])
  })
})

test('after uninstalling every list is what it was, entry by entry', () => {
  for (const each of WINDOWS_CASES) {
    const { plan, host } = compileWindowsCase(each)
    const model = new WindowsModel(host, plan)
    const before = new WindowsModel(host, { ...plan, access: [], placeholders: plan.placeholders })
    expect(plan.access.some(({ path }) => printDescriptor(model.descriptor(path) as never) !== printDescriptor(before.descriptor(path) as never))).toBe(true)
    model.uninstall(plan, [...plan.capabilities.map(({ sid }) => sid), ...(plan.machine === undefined ? [] : [plan.machine.group])])
    for (const path of before.paths()) {
      const was = before.descriptor(path) as NonNullable<ReturnType<WindowsModel['descriptor']>>
      if (was.dacl === 'null') continue
      expect([path, printDescriptor(model.descriptor(path) as never)]).toEqual([path, printDescriptor(was)])
    }
  }
})
