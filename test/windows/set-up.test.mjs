// Set-up over the addon in a Windows Node. Under Wine most of what it asks for is answered with yes and not done: there the tests are that
// it refuses at that very step, and that what it had made is undone. Real there too: files, the lock, sealed secrets, the helper, the registry.
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, realpathSync, rmSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, describe, test } from 'node:test'

const { CODEX_SANDBOX_ADDON, CODEX_SANDBOX_ADDON_PLUMBING, CODEX_SANDBOX_PRODUCT, CODEX_SANDBOX_WINE, CODEX_SANDBOX_TEST_MACHINE } = process.env
const require = createRequire(import.meta.url)
const addon = require(CODEX_SANDBOX_ADDON)
/** Goes on where a step did not read back; the same code otherwise. */
const plumbing = require(CODEX_SANDBOX_ADDON_PLUMBING)
const { changeLists, elevate, encodeList, FakeWindows, openMachineSession, parseDescriptor, presetPolicy, resolve, setUpCalls, stripLists, windowsSystem, winHost } = await import(CODEX_SANDBOX_PRODUCT)

const onWine = CODEX_SANDBOX_WINE === '1'
const onlyWine = onWine ? {} : { skip: 'a real Windows does what it is asked for' }
const onlyWindows = onWine ? { skip: 'Wine keeps no access lists: it needs a real Windows' } : {}
const folder = realpathSync.native(mkdtempSync(join(tmpdir(), 'codex-sandbox-')))
after(() => rmSync(folder, { recursive: true, force: true }))

const SELF = { program: process.execPath, args: [], cwd: folder }
const systemIn = (name, native = addon) => windowsSystem({ addon: native, codexHome: join(folder, name), self: SELF })
const CAPABILITY = 'S-1-5-21-9-9-9-9'

describe('plumbing', () => {
  test('files of the state are written whole, read and removed, and the folder goes when it is empty', async () => {
    const system = systemIn('state')
    assert.deepEqual([await system.stateFolder(), await system.readState('a.json')], [undefined, undefined])
    const made = await system.makeStateFolder()
    assert.equal(await system.makeStateFolder(), made)
    for (const text of ['one', 'two \u00fc', '']) {
      await system.writeState('a.json', text)
      assert.equal(await system.readState('a.json'), text)
    }
    await assert.rejects(system.removeStateFolder(), { name: 'WindowsFailure' })
    await system.removeState('a.json')
    await system.removeState('a.json')
    await system.removeStateFolder()
    assert.equal(existsSync(made), false)
  })

  test('a password is sealed and opened again; a changed byte is refused', async () => {
    const system = systemIn('state')
    const sealed = Buffer.from(await system.seal(Buffer.from('correct horse')))
    assert.equal(sealed.includes('correct horse'), false)
    assert.equal(Buffer.from(await system.unseal(sealed)).toString(), 'correct horse')
    sealed[sealed.length - 20] ^= 1
    await assert.rejects(system.unseal(sealed), { name: 'WindowsFailure', call: 'unprotect_secret' })
  })

  test('one holds the lock, the second is told who, and afterwards it may', async () => {
    const [one, two] = [systemIn('lock'), systemIn('lock')]
    assert.equal(await one.lockHolder(), undefined)
    const lock = await one.lock('{"pid":1}')
    assert.deepEqual(await two.lock('{"pid":2}'), { heldBy: '{"pid":1}' })
    assert.equal(await two.lockHolder(), '{"pid":1}')
    await lock.release()
    assert.equal(await two.lockHolder(), undefined)
    await (await two.lock('{"pid":2}')).release()
  })

  test('a lock ends with its process', async () => {
    const path = join(folder, 'lock-of-another')
    const child = spawn(process.execPath, ['-e', `require(${JSON.stringify(require.resolve(CODEX_SANDBOX_ADDON))}).holdLock(${JSON.stringify(path)}, 'x'); console.log('held'); setInterval(() => {}, 1000)`], { stdio: ['ignore', 'pipe', 'inherit'] })
    await new Promise(done => child.stdout.once('data', done))
    assert.throws(() => addon.holdLock(path, 'y'), { step: 'hold_lock', code: 32 })
    child.kill()
    await new Promise(done => child.once('exit', done))
    addon.releaseLock(addon.holdLock(path, 'y'))
    assert.equal(existsSync(path), false)
  })

  test('an object is what stands there: kind, identity, list; nothing is undefined', async () => {
    const system = systemIn('objects')
    const file = join(folder, 'file')
    writeFileSync(file, '')
    const [found, upper] = [await system.readObject(file), await system.readObject(file.toUpperCase())]
    const { device, inode } = addon.lookAt(file)
    assert.deepEqual([found.kind, found.isLink, found.identity], ['file', false, { device, inode }])
    assert.deepEqual(upper.identity, found.identity)
    assert.equal((await system.readObject(folder)).kind, 'directory')
    assert.ok(found.list.dacl.aces.length > 0)
    assert.equal(await system.readObject(join(folder, 'nothing')), undefined)
    assert.equal(await system.readObject(join(file, 'below a file')), undefined)
    assert.deepEqual(await system.children(join(folder, 'nowhere')), [])
    assert.ok((await system.children(folder)).includes('file'))
  })

  test('a list is replaced only where the object is still the same one, with the same list', async () => {
    const system = systemIn('objects', plumbing)
    const [file, other] = [join(folder, 'replaced'), join(folder, 'other')]
    for (const path of [file, other]) writeFileSync(path, '')
    const [before, foreign] = [await system.readObject(file), await system.readObject(other)]
    await system.replaceList(file, before, before.list)
    const changed = Buffer.from(before.raw)
    changed[changed.length - 1] ^= 1
    await assert.rejects(system.replaceList(file, { ...before, raw: changed }, before.list), { code: 6800 })
    await assert.rejects(system.replaceList(file, foreign, before.list), { code: 6800 })
    await assert.rejects(system.replaceList(join(folder, 'nothing'), before, before.list), { code: 2 })
    await assert.rejects(system.replaceList(file, before, { ...before.list, dacl: 'null' }), /everybody could do everything/)
    assert.equal(Buffer.from((await system.readObject(file)).raw).toString('hex'), Buffer.from(before.raw).toString('hex'))
  })

  test('a list that is null or damaged is refused by the addon as well', async () => {
    const file = join(folder, 'never opened')
    writeFileSync(file, '')
    const before = await addon.readObject(file)
    const open = Buffer.alloc(20)
    open.writeUInt8(1, 0)
    open.writeUInt16LE(0x8004, 2)
    await assert.rejects(addon.replaceList(file, before, open), error => error.step === 'replace_list' && error.code !== 0)
    for (const length of [0, 3, 19]) await assert.rejects(addon.replaceList(file, before, Buffer.from(encodeList(parseDescriptor('D:(A;;FA;;;WD)', 'f'))).subarray(0, length)), { step: 'replace_list' })
  })

  test('who has a SID, and that nobody has a capability', async () => {
    const system = systemIn('sids')
    assert.match(await system.nameOf('S-1-5-32-544'), /./)
    assert.equal(await system.nameOf(CAPABILITY), undefined)
    await assert.rejects(system.nameOf('nobody'), { name: 'WindowsFailure', call: 'name_of_sid' })
  })

  test('an account is hidden from the logon screen, and shown again', async context => {
    const system = systemIn('hidden')
    if (!addon.machineFacts().isElevated) return context.skip('only an administrator may')
    const name = 'CsbxOfATest'
    assert.equal(await system.isHidden(name), false)
    await system.hide(name)
    assert.equal(await system.isHidden(name), true)
    await system.unhide(name)
    await system.unhide(name)
    assert.equal(await system.isHidden(name), false)
  })

  /** Started as the helper is, with consent where the system asks for one. */
  const helperOf = work => {
    const script = join(folder, `helper-${Math.random()}.mjs`)
    writeFileSync(script, `
      import { createRequire } from 'node:module'
      const { FakeWindows, serveElevated, windowsSystem, winHost } = await import(${JSON.stringify(new URL(CODEX_SANDBOX_PRODUCT, import.meta.url).href)})
      const addon = createRequire(import.meta.url)(${JSON.stringify(require.resolve(CODEX_SANDBOX_ADDON))})
      const [pipe, digest] = process.argv.slice(-2)
      const system = (${work})({ FakeWindows, windowsSystem, winHost, addon })
      process.exit(await serveElevated(system, { pipe, digest }))
    `)
    return { program: process.execPath, args: [script], cwd: folder, run: (program, parameters, cwd) => addon.runElevated(program, parameters, cwd) }
  }
  const REQUEST = { version: 1, task: 'set-up', user: { name: 'me', sid: 'S-1-5-21-11-22-33-1001' }, wantsPasswords: true, proxyPorts: [8080], close: [], sids: [CAPABILITY], strip: [] }
  const noConsent = onWine ? {} : { skip: 'a real Windows asks a person for consent: see docs/windows.md for the whole set-up' }

  test('the elevated helper is started, asked over a pipe, and answers', noConsent, async () => {
    const steps = []
    const session = await elevate(helperOf('({ FakeWindows, winHost }) => new FakeWindows(winHost()).system(true)'), REQUEST, { onProgress: ({ step }) => steps.push(step) })
    assert.equal(session.result.accounts.offline.name, 'CsbxOffline')
    assert.equal(session.result.passwords.online.length, 32)
    assert.ok(steps.includes('logon_rights'))
    await session.keep()
  })

  test('undoes when it is told to', noConsent, async () => {
    const session = await elevate(helperOf('({ FakeWindows, winHost }) => new FakeWindows(winHost()).system(true)'), REQUEST, {})
    await session.undo()
  })

  test('and on a system that does nothing of what it says, its failure comes over by its step', noConsent, async () => {
    await assert.rejects(elevate(helperOf('({ windowsSystem, addon }) => windowsSystem({ addon, codexHome: "C:\\\\nowhere", self: {} })'), REQUEST, {}), { code: 'set_up_failed', step: 'machine' })
  })
})

/** A machine in memory, of which some calls are the real system's. */
function mixed(real, names) {
  const windows = new FakeWindows(winHost())
  const fake = windows.system()
  const system = new Proxy(fake, { get: (target, name) => names.includes(name) ? real[name] : target[name] })
  const host = winHost()
  const policy = resolve(presetPolicy('workspace-write', 'reference'), host)
  return { windows, setUp: () => setUpCalls(system).setUp({ mode: 'elevated', policies: [policy], facts: () => windows.facts() }) }
}

describe('refusals: a system that says yes and does nothing', () => {
  test('the whole of it: nothing of the machine can be known, so nothing is begun', onlyWine, async () => {
    const system = systemIn('whole')
    const host = winHost()
    const policy = resolve(presetPolicy('workspace-write', 'reference'), host)
    await assert.rejects(setUpCalls(system).setUp({ mode: 'elevated', policies: [policy], facts: () => host.windows }), { code: 'set_up_failed', step: 'machine' })
    assert.equal(existsSync(join(folder, 'whole')), false)
  })

  const FILES = ['stateFolder', 'makeStateFolder', 'removeStateFolder', 'readState', 'writeState', 'removeState', 'lock', 'lockHolder']
  for (const { what, names, step, errno } of [
    { what: 'access lists drop entries', names: [...FILES, 'readObject', 'replaceList', 'children'], step: 'state_folder', errno: '0' },
    { what: 'a group that was made is not there', names: ['readGroup', 'addGroup', 'removeGroup'], step: 'group', errno: '0' },
    { what: 'an account that was made is not there', names: ['readAccount', 'addAccount'], step: 'account_offline', errno: '0' },
    { what: 'rights that were given are not held', names: ['readRights', 'addRights', 'removeRights'], step: 'logon_rights', errno: '0' },
    { what: 'a logon gives what is no token', names: ['logOn'], step: 'passwords', errno: '6' },
    { what: 'the firewall cannot be asked whether it is on', names: ['firewall'], step: 'machine', errno: '2147500033' },
    { what: 'rules of the firewall cannot be read', names: ['readFirewallRules', 'putFirewallRule', 'removeFirewallRule'], step: 'firewall_csbx_offline_block_outbound', errno: '2147500033' },
  ]) {
    test(`${what}: the step is named, and what was made is undone`, onlyWine, async () => {
      const real = systemIn(`mixed-${step}`)
      const { windows, setUp } = mixed(real, [...names, 'isHidden', 'hide', 'unhide'])
      const before = windows.picture()
      await assert.rejects(setUp(), { code: 'set_up_failed', step, errno })
      const changed = Object.keys(windows.picture().lists).filter(path => windows.picture().lists[path] !== before.lists[path])
      assert.deepEqual(changed.filter(path => !path.endsWith('windows-sandbox')), [])
      assert.deepEqual({ ...windows.picture(), lists: undefined }, { ...before, lists: undefined })
      assert.deepEqual([await real.isHidden('CsbxOffline'), await real.isHidden('CsbxOnline')], [false, false])
    })
  }

  test('with real files, lock, secrets and registry, and the rest in memory, it is set up and taken away', async context => {
    if (!addon.machineFacts().isElevated) return context.skip('only an administrator may hide accounts')
    const real = systemIn('real files')
    const { windows, setUp } = mixed(real, [...FILES.filter(name => name !== 'makeStateFolder'), 'seal', 'unseal', 'isHidden', 'hide', 'unhide'])
    mkdirSync(join(folder, 'real files', 'windows-sandbox'), { recursive: true })
    const report = await setUp()
    assert.equal(report.steps.find(({ step }) => step === 'passwords').outcome, 'made')
    assert.equal(await real.isHidden('CsbxOffline'), true)
    assert.ok(existsSync(join(folder, 'real files', 'windows-sandbox', 'state.json')))
    assert.equal(windows.picture().accounts.length, 2)
    const system = new Proxy(windows.system(), { get: (target, name) => [...FILES, 'isHidden', 'hide', 'unhide'].includes(name) ? real[name] : target[name] })
    await setUpCalls(system).uninstall()
    assert.equal(await real.isHidden('CsbxOffline'), false)
    assert.equal(existsSync(join(folder, 'real files', 'windows-sandbox')), false)
    assert.deepEqual(windows.picture().accounts, [])
  })
})

describe('enforcement', () => {
  test('a list is written as it was meant, with its flag, and nothing below is touched', onlyWindows, async () => {
    const system = systemIn('lists')
    const [outer, inner] = [join(folder, 'outer'), join(folder, 'outer', 'inner')]
    mkdirSync(inner, { recursive: true })
    const [before, below] = [await system.readObject(outer), await system.readObject(inner)]
    const entry = parseDescriptor(`D:(D;OICI;0xd0156;;;${CAPABILITY})`, 'f').dacl.aces
    await system.replaceList(outer, before, { ...before.list, dacl: { ...before.list.dacl, isProtected: true, aces: [...entry, ...before.list.dacl.aces] } })
    const after = await system.readObject(outer)
    assert.deepEqual(after.list.dacl.aces, [...entry, ...before.list.dacl.aces])
    assert.equal(after.list.dacl.isProtected, true)
    assert.equal(Buffer.from((await system.readObject(inner)).raw).toString('hex'), Buffer.from(below.raw).toString('hex'))
    await system.replaceList(outer, after, before.list)
    assert.equal(Buffer.from((await system.readObject(outer)).raw).toString('hex'), Buffer.from(before.raw).toString('hex'))
  })

  test('a walk hands entries on and takes them out again, and every byte is as before', onlyWindows, async () => {
    const system = systemIn('walk')
    const root = join(folder, 'tree')
    const paths = [root, join(root, 'a'), join(root, 'a', 'b'), join(root, 'a', 'b', 'file')]
    mkdirSync(paths[2], { recursive: true })
    writeFileSync(paths[3], '')
    const bytes = async () => Promise.all(paths.map(async path => Buffer.from((await system.readObject(path)).raw).toString('hex')))
    const before = await bytes()
    const options = { step: 'access_lists', ours: new Set([CAPABILITY]) }
    await changeLists(system, [{ path: root, add: [`(D;;0x10000;;;${CAPABILITY})`, `(A;OICI;0x1301bf;;;${CAPABILITY})`] }], options)
    assert.ok((await system.readObject(paths[3])).list.dacl.aces.some(({ sid, flags }) => sid === CAPABILITY && flags.includes('inherited')))
    const { left } = await stripLists(system, [{ path: root, isDeep: true }], options)
    assert.deepEqual([left, await bytes()], [[], before])
  })

  test('what a junction leads to is neither read nor changed', onlyWindows, async () => {
    const { symlinkSync } = await import('node:fs')
    const system = systemIn('junction')
    const [target, link] = [join(folder, 'target'), join(folder, 'link')]
    mkdirSync(join(target, 'inner'), { recursive: true })
    symlinkSync(target, link, 'junction')
    assert.equal((await system.readObject(link)).isLink, true)
    await assert.rejects(system.readObject(join(link, 'inner')), { call: 'final_path' })
    const before = await system.readObject(target)
    await changeLists(system, [{ path: link, add: [`(A;OICI;0x1301bf;;;${CAPABILITY})`] }], { step: 'access_lists', ours: new Set([CAPABILITY]) })
    assert.equal(Buffer.from((await system.readObject(target)).raw).toString('hex'), Buffer.from(before.raw).toString('hex'))
  })

  const wholeMachine = onWine ? { skip: 'Wine has neither accounts nor a firewall: it needs a real Windows' }
    : CODEX_SANDBOX_TEST_MACHINE !== '1' ? { skip: 'it makes accounts and firewall rules on this machine, and removes them: say CODEX_SANDBOX_TEST_MACHINE=1, as an administrator' } : {}
  test('accounts, rights and rules are made and read back; removed, nothing of them is there', wholeMachine, async () => {
    const system = systemIn('machine')
    const { user } = await system.machine()
    const request = { version: 1, task: 'set-up', user, wantsPasswords: true, proxyPorts: [49_999], close: [], sids: [], strip: [] }
    const { result } = await openMachineSession(system, request, {})
    try {
      assert.equal(await system.logOn('CsbxOffline', result.passwords.offline), result.accounts.offline.sid)
      await assert.rejects(system.logOn('CsbxOffline', 'another'), { code: 1326 })
      assert.equal((await system.readFirewallRules('csbx_offline_block_loopback_tcp')).length, 1)
      const again = await openMachineSession(system, { ...request, wantsPasswords: false }, {})
      assert.deepEqual(again.result.steps.filter(({ outcome }) => outcome === 'made'), [])
    } finally {
      await openMachineSession(system, { ...request, task: 'uninstall' }, {})
    }
    assert.deepEqual([await system.readAccount('CsbxOffline'), await system.readGroup('CsbxUsers'), await system.readFirewallRules('csbx_offline_block_outbound'), await system.isHidden('CsbxOffline')], [undefined, undefined, [], false])
  })
})
