// The built package in a Windows Node, through its own API: with the addon and the runner as they are shipped, which refuse under Wine, and with
// those that go past what does not read back.
import assert from 'node:assert/strict'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, describe, test } from 'node:test'

const { CODEX_SANDBOX_ADDON_PLUMBING, CODEX_SANDBOX_PACKAGE, CODEX_SANDBOX_PACKAGE_PLUMBING, CODEX_SANDBOX_PRODUCT, CODEX_SANDBOX_TELL, CODEX_SANDBOX_WINE } = process.env

const addon = createRequire(import.meta.url)(CODEX_SANDBOX_ADDON_PLUMBING)
const { fingerprint, lastingEdits, presetPolicy, resolve, takeSnapshot, WHOLE_SCAN, windowsHost } = await import(CODEX_SANDBOX_PRODUCT)

/** Wine shows the whole of Unix as Z:. */
const toWindows = path => path.startsWith('/') ? `Z:${path.replaceAll('/', '\\')}` : path
const toUrl = path => `file:///${toWindows(path).replaceAll('\\', '/')}`
const onWine = CODEX_SANDBOX_WINE === '1'
const onlyWine = onWine ? {} : { skip: 'scripts/verify-windows.ps1 runs commands through the package after a set-up' }
const tell = toWindows(CODEX_SANDBOX_TELL)

const folder = mkdtempSync(join(tmpdir(), 'codex-sandbox-'))
after(() => rmSync(folder, { recursive: true, force: true }))
const [work, home] = [join(folder, 'work'), join(folder, 'home')]
for (const each of [work, home]) mkdirSync(each)
Object.assign(process.env, { USERPROFILE: home, LOCALAPPDATA: join(home, 'local'), CODEX_HOME: join(home, '.codex') })

const load = path => import(`${toUrl(path)}/dist/index.js`)
/** Nothing of it is written, so no list has to be changed for it: what set-up keeps is then only its own SID. */
const POLICY = { policy: 'read-only', cwd: work, windowsMode: 'unelevated', allowDegraded: ['network', 'denied-reads', 'world-writable'] }

describe('the package', onlyWine, () => {
  const sandboxes = []
  after(() => Promise.all(sandboxes.map(sandbox => sandbox.close())))
  const create = async (path, options = POLICY) => {
    const { createSandbox } = await load(path)
    const sandbox = await createSandbox(options)
    sandboxes.push(sandbox)
    return sandbox
  }

  test('without a sandbox commands run', async () => {
    const sandbox = await create(CODEX_SANDBOX_PACKAGE, { policy: 'danger-full-access', cwd: work })
    const { exitCode, stdout } = await sandbox.exec([tell, 'args', 'a b'])
    assert.deepEqual([exitCode, stdout], [0, 'a b\n'])
  })

  test('before set-up nothing runs, and the error has the command that sets up', async () => {
    await assert.rejects(create(CODEX_SANDBOX_PACKAGE), error => error.code === 'windows_setup_required' && /codex-sandbox windows setup --mode unelevated/.test(error.message))
    await assert.rejects(create(CODEX_SANDBOX_PACKAGE, { ...POLICY, windowsMode: 'elevated' }), error => error.code === 'windows_setup_required' && /windows setup --mode elevated/.test(error.message))
  })

  test('what is shipped refuses where Wine makes no token', async () => {
    setUp()
    await assert.rejects(create(CODEX_SANDBOX_PACKAGE), { code: 'set_up_failed', step: 'token_restricting_sids' })
  })

  test('past that, a command has its output, its code, its input, its variables and its working directory', async () => {
    setUp()
    const sandbox = await create(CODEX_SANDBOX_PACKAGE_PLUMBING)
    const { exitCode, stdout, stderr, enforcement, timedOut, signal } = await sandbox.exec([tell, 'args', 'ü "x"'])
    assert.deepEqual([exitCode, stdout, stderr, timedOut, signal, enforcement.backend], [0, 'ü "x"\n', '', false, null, 'windows-unelevated'])
    assert.ok(enforcement.degraded.includes('network'))
    assert.equal((await sandbox.exec([tell, 'exit', '37'])).exitCode, 37)
    assert.equal((await sandbox.exec([tell, 'cat'], { stdin: 'in\nput' })).stdout, 'in\nput')
    assert.equal((await sandbox.exec([tell, 'env', 'OWN'], { env: { OWN: 'x' } })).stdout, 'x')
    assert.equal((await sandbox.exec([tell, 'env', 'GIT_ALLOW_PROTOCOL'])).stdout, 'file')
    mkdirSync(join(work, 'sub'))
    assert.equal((await sandbox.exec([tell, 'cwd'], { cwd: 'sub' })).stdout, join(work, 'sub'))
  })

  test('a program that is missing is 127, one that cannot be executed 126', async () => {
    const [sandbox] = sandboxes.slice(-1)
    const missing = await sandbox.exec(['no-such-program'])
    assert.deepEqual([missing.exitCode, missing.stderr], [127, 'codex-sandbox: no-such-program: not found\n'])
    writeFileSync(join(work, 'broken.exe'), 'x')
    assert.equal((await sandbox.exec(['.\\broken.exe'])).exitCode, 126)
  })

  test('a time-out, an abort, and what a command leaves behind', async () => {
    const [sandbox] = sandboxes.slice(-1)
    const late = await sandbox.exec([tell, 'sleep'], { timeoutMs: 500 })
    assert.deepEqual([late.exitCode, late.timedOut, late.signal], [124, true, 'SIGTERM'])
    const controller = new AbortController()
    const running = sandbox.exec([tell, 'sleep'], { signal: controller.signal, onOutput() {} })
    setTimeout(() => controller.abort(), 300)
    const aborted = await running
    assert.deepEqual([aborted.cancelled, aborted.exitCode], [true, 143])
    const left = await sandbox.exec([tell, 'leave', join(work, 'left')])
    assert.deepEqual([left.exitCode, left.ended.map(({ name }) => name)], [7, ['tell.exe']])
  })

  test('spawn takes the place of a child process', async () => {
    const [sandbox] = sandboxes.slice(-1)
    const child = sandbox.spawn([tell, 'cat'])
    const pieces = []
    child.stdout.on('data', piece => pieces.push(piece))
    child.stdin.end('through')
    const { exitCode } = await child.exited
    assert.deepEqual([exitCode, Buffer.concat(pieces.map(piece => Buffer.from(piece))).toString()], [0, 'through'])
  })

  test('many at once', async () => {
    const [sandbox] = sandboxes.slice(-1)
    const all = await Promise.all(Array.from({ length: 6 }, (_, index) => sandbox.exec([tell, 'args', `of ${index}`])))
    assert.deepEqual(all.map(({ stdout }) => stdout), Array.from({ length: 6 }, (_, index) => `of ${index}\n`))
  })

})

/** As set-up leaves it for a policy that writes nowhere: what everybody may write has its entries, so its state says. */
function setUp() {
  const place = join(process.env.CODEX_HOME, 'windows-sandbox')
  mkdirSync(place, { recursive: true })
  const state = { version: 1, user: { name: 'me', sid: 'S-1-5-21-1-2-3-1001' }, modes: ['unelevated'], roots: [], proxyPorts: [], capabilities: { 'read-only': 'S-1-5-21-9-9-9-9' }, prepared: [], ownLists: [] }
  // The scan of a sandbox has little time, and on a busy machine finds a part of this: so any part of it counts as prepared.
  const host = windowsHost(() => addon, WHOLE_SCAN).host(takeSnapshot({ selfPaths: [], env: process.env, cwd: work }), process.env)
  const edits = lastingEdits(resolve(presetPolicy('read-only'), host, { cwd: work }), 'unelevated', host.windows, state)
  writeFileSync(join(place, 'state.json'), JSON.stringify({ ...state, prepared: subsets(edits).map(some => fingerprint(some, host.windows)) }))
}

const subsets = ([first, ...rest]) => first === undefined ? [[]] : subsets(rest).flatMap(some => [some, [first, ...some]])
