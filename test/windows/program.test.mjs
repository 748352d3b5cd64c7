// The package as it lies on a disk, with the addon in its dist: the command line and the service as processes, in a Windows Node. Under Wine
// set-up is refused at the step that Wine only pretends to do; on Windows verify-windows.ps1 sets up and goes on from there.
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { mkdirSync, mkdtempSync, realpathSync, rmSync } from 'node:fs'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { after, before, describe, test } from 'node:test'

const { CODEX_SANDBOX_ADDON, CODEX_SANDBOX_PACKAGE, CODEX_SANDBOX_PRODUCT, CODEX_SANDBOX_WINE } = process.env
const { compileWindows, presetPolicy, resolve, windowsHost } = await import(CODEX_SANDBOX_PRODUCT)
const addon = createRequire(import.meta.url)(CODEX_SANDBOX_ADDON)
const onWine = CODEX_SANDBOX_WINE === '1'
const onlyWine = onWine ? {} : { skip: 'a real Windows does what it is asked for' }
/** Wine shows the whole of Unix as Z:. */
const CLI = join(CODEX_SANDBOX_PACKAGE.startsWith('/') ? `Z:${CODEX_SANDBOX_PACKAGE}` : CODEX_SANDBOX_PACKAGE, 'dist', 'cli.cjs')
const folder = realpathSync.native(mkdtempSync(join(tmpdir(), 'codex-sandbox-')))
const [work, codexHome, temp] = ['work', 'home', 'temp'].map(name => join(folder, name))
for (const path of [work, codexHome, temp]) mkdirSync(path)
after(() => rmSync(folder, { recursive: true, force: true, maxRetries: 5, retryDelay: 200 }))
const env = { ...process.env, CODEX_HOME: codexHome, TEMP: temp, TMP: temp }

const start = words => spawn(process.execPath, [CLI, ...words], { env, cwd: work, stdio: ['pipe', 'pipe', 'pipe'] })

async function run(...words) {
  const child = start(words)
  const printed = { stdout: '', stderr: '' }
  for (const stream of ['stdout', 'stderr']) child[stream].setEncoding('utf8').on('data', text => { printed[stream] += text })
  child.stdin.end()
  return { code: await new Promise(done => child.once('close', done)), ...printed }
}

describe('the command line', () => {
  test('doctor finds the addon, says what is to be set up, and what stays open', async () => {
    const { code, stdout } = await run('doctor', '--json')
    const { findings, check } = JSON.parse(stdout)
    const found = name => findings.find(each => each.name === name)
    assert.deepEqual([code, found('windows-addon').ok, found('set-up').ok, check.ok], [1, true, false, false])
    assert.match(found('set-up').remedy, /codex-sandbox windows setup --mode elevated/)
    assert.match(found('stays open').detail, /WMI, the Task Scheduler/)
    assert.ok(found('world-writable'))
  })
  test('before set-up a command is refused with the command that sets up, and does not run', async () => {
    const { code, stdout, stderr } = await run('--', 'cmd.exe', '/d', '/c', 'echo it ran')
    assert.deepEqual([code, stdout], [125, ''])
    assert.match(stderr, /is not set up on this machine: nothing was set up yet\. Run `codex-sandbox windows setup --mode elevated --root /)
    assert.ok(stderr.includes(work), stderr)
  })
  test('with the user\'s own account the network cannot be held, and that is said before anything else', async () => {
    const { code, stderr } = await run('--windows-mode', 'unelevated', '--', 'cmd.exe')
    assert.equal(code, 125)
    assert.match(stderr, /network "off" cannot be enforced on this host.*--allow-degraded network/)
  })
  test('without a sandbox it runs, where that was said', async () => {
    assert.deepEqual(await run('-s', 'danger-full-access', '--', 'cmd.exe', '/d', '/c', 'echo it ran'), { code: 0, stdout: 'it ran\r\n', stderr: '' })
  })
  test('status: nothing is set up', async () => {
    const { code, stdout } = await run('windows', 'status', '--json')
    assert.deepEqual([code, JSON.parse(stdout).status], [1, 'notConfigured'])
  })
  test('setup is refused at the step that Wine only pretends to do, and nothing is set up', onlyWine, async () => {
    const { code, stdout, stderr } = await run('windows', 'setup', '--mode', 'unelevated', '--root', work)
    assert.deepEqual([code, stdout], [125, ''])
    assert.match(stderr, REFUSED)
    const status = await run('windows', 'status', '--json')
    assert.deepEqual([status.code, JSON.parse(status.stdout).modes], [1, []])
  })
  test('of explain and of a plan for this machine, paths are those of Windows', async () => {
    const { code, stdout } = await run('explain', '--write', join(work, 'new.txt'))
    assert.deepEqual([code, /^creation of "[A-Z]:.*" allowed/.test(stdout)], [0, true], stdout)
    assert.equal((await run('explain', '--write', join(process.env.SystemRoot, 'x'))).code, 1)
  })
})

/** The state's folder is locked first, by a list that Wine does not keep. */
const REFUSED = /state_folder|write_list|access_list|machine/

describe('the service', () => {
  let service, messages, waiting, nextId = 1
  before(() => {
    messages = []
    waiting = new Set()
    service = start(['app-server'])
    service.stderr.resume()
    createInterface({ input: service.stdout }).on('line', line => {
      messages.push(JSON.parse(line))
      for (const look of [...waiting]) look()
    })
  })
  after(async () => {
    service.stdin.end()
    await new Promise(done => service.once('close', done))
  })
  const message = async matches => {
    for (;;) {
      const found = messages.find(matches)
      if (found !== undefined) return found
      await new Promise(done => waiting.add(done))
    }
  }
  const ask = async (method, params = {}) => {
    const id = nextId++
    service.stdin.write(`${JSON.stringify({ id, method, params })}\n`)
    return message(each => each.id === id && each.method === undefined)
  }

  test('setupStart begins at once, and tells at which step it failed', onlyWine, async () => {
    const { result } = await ask('initialize', { clientInfo: { name: 'test', title: null, version: '1' }, capabilities: null })
    assert.deepEqual([result.platformFamily, result.platformOs, result.codexHome], ['windows', 'windows', codexHome])
    service.stdin.write(`${JSON.stringify({ method: 'initialized' })}\n`)
    assert.deepEqual((await ask('windowsSandbox/readiness', null)).result, { status: 'notConfigured' })
    assert.deepEqual((await ask('windowsSandbox/setupStart', { mode: 'unelevated', cwd: work })).result, { started: true })
    const { params } = await message(({ method }) => method === 'windowsSandbox/setupCompleted')
    assert.deepEqual([params.mode, params.success], ['unelevated', false])
    assert.match(params.error, REFUSED)
    assert.notDeepEqual((await ask('windowsSandbox/readiness', null)).result, { status: 'ready' })
  })
  test('a command is refused before set-up, on the wire as well', onlyWine, async () => {
    const { error } = await ask('command/exec', { command: ['cmd.exe', '/d', '/c', 'echo it ran'], sandboxPolicy: { type: 'workspaceWrite' } })
    assert.match(error.message, /is not set up on this machine/)
  })
})

test('this machine makes a plan', () => {
  const taken = { platform: 'windows', cwd: work, home: process.env.USERPROFILE, tmpdir: temp, codexHome, uid: -1, gid: -1, selfPaths: [], files: undefined }
  const host = windowsHost(() => addon).host(taken, process.env)
  const policy = resolve(presetPolicy('workspace-write', 'library'), host)
  for (const mode of ['elevated', 'unelevated']) {
    const plan = compileWindows(policy, mode, [{ layer: 'windows-addon', available: true }], {
      allowDegraded: new Set(['network', 'denied-reads', 'absent-paths', 'world-writable']), limits: {}, architecture: 'x64', stateDirectory: folder, cwdIdentity: host.files.entry(work), windows: host.windows, supposeSetUp: true,
    })
    assert.equal(plan.backend, `windows-${mode}`)
    assert.ok(plan.access.some(({ path, add }) => path === work && add.length > 0), JSON.stringify(plan.access.map(({ path }) => path)))
    assert.equal(plan.token.account, mode === 'elevated' ? plan.machine.accounts[0].sid : addon.machineFacts().user.sid)
  }
})
