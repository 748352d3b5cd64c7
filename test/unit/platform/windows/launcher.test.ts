import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import type { CommandExit, Launcher, StartFailure } from '../../../../src/platform/backend.js'
import type { CommandPlan, WindowsMode, WindowsPlan } from '../../../../src/platform/launch-plan.js'
import { isGranted } from '../../../../src/platform/windows/access-check.js'
import { FILE_RIGHTS, GENERIC_READ } from '../../../../src/platform/windows/access-rights.js'
import { environmentPlan } from '../../../../src/platform/windows/environment.js'
import { jobPlan } from '../../../../src/platform/windows/limits.js'
import type { Placeholders } from '../../../../src/platform/windows/placeholders.js'
import { setUpError, startFailureOf } from '../../../../src/platform/windows/runner-failures.js'
import { parseDescriptor } from '../../../../src/platform/windows/sddl.js'
import { setUpOf } from '../../../../src/platform/windows/session.js'
import { startWindowsLauncher, type WindowsLauncherParts } from '../../../../src/platform/windows/launcher.js'
import { modelToken, tokenPlan } from '../../../../src/platform/windows/token.js'
import { LOGON_FAILURES } from '../../../../src/platform/windows/users.js'
import { ACCOUNT, FakeRunner, LOGON, Payload, readSetUp, readStart } from '../../../support/fake-runner.js'

const CAPABILITY = 'S-1-5-21-9-9-9-9'
const SESSION = 'S-1-5-21-7-7-7-7'
const CWD = { path: 'C:\\work', identity: { device: '1', inode: '2' } }
const CMD = 'C:\\Windows\\System32\\cmd.exe'

let folder: string
let runner: FakeRunner
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'codex-sandbox-'))
  runner = new FakeRunner()
})
afterEach(() => rmSync(folder, { recursive: true, force: true }))

function planOf(changes: Partial<WindowsPlan> = {}, mode: WindowsMode = 'unelevated'): WindowsPlan {
  return {
    backend: `windows-${mode}`, platform: 'windows', token: tokenPlan({ name: 'me', sid: ACCOUNT }, [CAPABILITY], mode === 'elevated'), capabilities: [], access: [], placeholders: [], job: jobPlan({}),
    desktop: 'own', network: 'advised', environment: environmentPlan('open'), commandInterpreter: CMD, stateDirectory: folder, limits: {}, cwd: CWD, degraded: [],
    enforcement: { backend: `windows-${mode}`, layers: [], degraded: [], limits: {}, notes: [] }, ...changes,
  }
}

const calls: string[] = []
const placeholders = { make: () => void calls.push('make'), remove: () => void calls.push('remove') } as unknown as Placeholders
beforeEach(() => { calls.length = 0 })

const partsOf = (changes: Partial<WindowsLauncherParts> = {}): WindowsLauncherParts =>
  ({ runner: '/runner', version: '1.2.3', startProcess: runner.start, placeholders, lookAt: path => path === CWD.path ? CWD.identity : undefined, isFile: path => [TOOL, BATCH, SCRIPT].includes(path), session: SESSION, ...changes })

async function started(plan: WindowsPlan = planOf(), changes?: Partial<WindowsLauncherParts>): Promise<Launcher> {
  const starting = startWindowsLauncher(plan, partsOf(changes))
  starting.catch(() => {})
  runner.hello()
  await runner.next('SET_UP')
  runner.ready(plan.token.proofs.map(({ granted }) => granted))
  return starting
}

const [TOOL, BATCH, SCRIPT] = ['C:\\bin\\tool.exe', 'C:\\bin\\batch.cmd', 'C:\\bin\\script.py']

interface Told {
  readonly output: string[]
  exit?: CommandExit
  left?: CommandExit
  failure?: StartFailure
}

function run(launcher: Launcher, argv: readonly string[], changes: Partial<CommandPlan> = {}) {
  const told: Told = { output: [] }
  const running = launcher.run({ argv, cwd: CWD, env: ['SystemRoot=C:\\Windows'], stdin: 'empty', limits: {}, ...changes }, {
    onOutput: (stream, chunk) => void told.output.push(`${stream} ${chunk.toString()}`),
    onStarted: pid => void told.output.push(`started ${pid}`),
    onLeft: exit => { told.left = exit },
    onExit: exit => { told.exit = exit },
    onFailed: failure => { told.failure = failure },
  })
  return { running, told }
}

const soon = () => new Promise<void>(resolve => setImmediate(() => setImmediate(() => setImmediate(resolve))))

describe('the set-up', () => {
  test('the token is the plan\'s, with the words filled in; the proofs are put before it is ready', async () => {
    const plan = planOf()
    const starting = startWindowsLauncher(plan, partsOf())
    let isReady = false
    void starting.then(() => { isReady = true })
    runner.hello()
    const setUp = readSetUp((await runner.next('SET_UP')).payload)
    expect(setUp).toEqual({
      flags: 0xd, disable: plan.token.disable, restricting: [CAPABILITY, SESSION, LOGON, 'S-1-1-0'], privileges: ['SeChangeNotifyPrivilege'], integrity: 'S-1-16-8192',
      defaultDacl: `D:(A;;GA;;;${ACCOUNT})(A;;GA;;;${SESSION})`,
      desktopName: 'codex-sandbox-7-7-7-7', desktopList: `D:P(A;;0xf01ff;;;${ACCOUNT})(A;;0x200ff;;;${SESSION})`, processList: `D:P(A;;0x1fffff;;;S-1-5-18)(A;;0x101001;;;${ACCOUNT})`,
      proofs: plan.token.proofs.map(({ descriptor, desired }) => [descriptor, Number(desired)]),
    })
    await soon()
    expect(isReady).toBe(false)
    runner.ready(plan.token.proofs.map(({ granted }) => granted))
    await starting
  })

  test.each(planOf().token.proofs.map(({ what }, index) => ({ what, index })))('a system that answers "$what" otherwise: refused, and the runner is ended', async ({ what, index }) => {
    const starting = startWindowsLauncher(planOf(), partsOf())
    runner.hello()
    await runner.next('SET_UP')
    runner.ready(planOf().token.proofs.map(({ granted }, at) => at === index ? !granted : granted))
    await expect(starting).rejects.toMatchObject({ code: 'set_up_failed', step: 'token_proof', path: what })
    expect(runner.killed).toBe(true)
  })

  test.each([
    { name: 'fewer answers than questions', play: () => runner.ready([true]) },
    { name: 'an answer that is neither yes nor no', play: () => runner.answer('READY', 0, Buffer.from([1, 0, 0, 0, 2])) },
    { name: 'a second greeting', play: () => runner.hello() },
    { name: 'output before the set-up', play: () => runner.answer('STDOUT', 1, Buffer.from('x')) },
    { name: 'a frame of no type', play: () => runner.output.write(Buffer.from([0, 0, 0, 0, 99, 0, 0, 0, 0])) },
  ])('$name: refused', async ({ play }) => {
    const starting = startWindowsLauncher(planOf(), partsOf())
    runner.hello()
    await runner.next('SET_UP')
    play()
    await expect(starting).rejects.toMatchObject({ code: 'set_up_failed', step: 'start_runner', errno: 'EBADMSG' })
    expect(runner.killed).toBe(true)
  })

  test.each([
    { name: 'another version', hello: { version: '1.2.2' }, step: 'runner_version' },
    { name: 'another account', hello: { account: 'S-1-5-21-1-2-3-1002' }, step: 'runner_account' },
  ])('a runner of $name gets no plan', async ({ hello, step }) => {
    const starting = startWindowsLauncher(planOf(), partsOf())
    runner.hello(hello)
    await expect(starting).rejects.toMatchObject({ code: 'set_up_failed', step })
    expect(runner.sent).toEqual([])
  })

  test('a step that did not read back, and one that failed: their names, and what Windows said', async () => {
    for (const [step, code, errno] of [['token_restricting_sids', 0, 'EMISMATCH'], ['create_desktop', 5, 'EACCES'], ['create_desktop', 8999, 'WIN32_8999']] as const) {
      runner = new FakeRunner()
      const starting = startWindowsLauncher(planOf(), partsOf())
      runner.hello()
      await runner.next('SET_UP')
      runner.fail(0, step, code, 'why')
      await expect(starting).rejects.toMatchObject({ code: 'set_up_failed', step, errno, message: expect.stringContaining('why') })
    }
  })

  test('one that ends at once, or cannot be started', async () => {
    const starting = startWindowsLauncher(planOf(), partsOf())
    runner.end('ENOENT')
    await expect(starting).rejects.toMatchObject({ code: 'set_up_failed', step: 'start_runner', errno: 'ENOENT' })
  })

  test('elevated: the broker is told whom to log on before anything else, with the password as it was sealed', async () => {
    const account = { name: 'CsbxOffline', sid: ACCOUNT }
    const starting = startWindowsLauncher(planOf({}, 'elevated'), partsOf({ logon: { account, runner: 'C:\\runner.exe', sealedPassword: Buffer.from('sealed') }, ownLogon: 'S-1-5-5-0-1' }))
    const reader = new Payload((await runner.next('LOGON')).payload)
    expect([runner.args, reader.text(), reader.text(), reader.text(), reader.rest().toString()]).toEqual([['--broker'], 'CsbxOffline', ACCOUNT, 'C:\\runner.exe', 'sealed'])
    runner.hello()
    expect(readSetUp((await runner.next('SET_UP')).payload).defaultDacl).toBe(`D:(A;;GA;;;${LOGON})(A;;GA;;;${SESSION})`)
    runner.ready(planOf({}, 'elevated').token.proofs.map(({ granted }) => granted))
    await starting
  })

  test.each(Object.entries(LOGON_FAILURES))('a logon that fails with %s is explained', (code, { name, reason, remedy }) => {
    expect(setUpError({ step: 'logon', code: Number(code), detail: '' })).toMatchObject({ code: 'set_up_failed', step: 'logon', errno: name, remedy, message: expect.stringContaining(reason) })
  })
})

describe('two sandboxes of one account', () => {
  const tokenOf = (session: string, logon: string, isShared: boolean) => {
    const plan = tokenPlan({ name: 'o', sid: ACCOUNT }, [CAPABILITY], true)
    return { made: setUpOf(plan, { account: ACCOUNT, session, logon, isShared }).token.defaultDacl, model: modelToken(plan, { logon, session, groups: [] }) }
  }
  const [first, second] = ['S-1-5-21-1-1-1-1', 'S-1-5-21-2-2-2-2'] as const

  test.each([
    { name: 'each with a logon session of its own', logons: ['S-1-5-5-0-1', 'S-1-5-5-0-2'], isShared: false, reads: false },
    { name: 'with one logon session, such as this process\'s own', logons: ['S-1-5-5-0-1', 'S-1-5-5-0-1'], isShared: true, reads: true },
  ])('$name: what one makes the other does not change', ({ logons, isShared, reads }) => {
    const [one, other] = [tokenOf(first, logons[0] as string, isShared), tokenOf(second, logons[1] as string, isShared)]
    const object = parseDescriptor(`O:${ACCOUNT}G:${ACCOUNT}${one.made}`, 'object')
    for (const right of ['writeData', 'delete', 'writeDac', 'writeOwner'] as const) {
      expect([right, isGranted(one.model, object, FILE_RIGHTS[right]), isGranted(other.model, object, FILE_RIGHTS[right])]).toEqual([right, true, false])
    }
    expect([isGranted(one.model, object, GENERIC_READ), isGranted(other.model, object, GENERIC_READ)]).toEqual([true, reads])
  })

  test('an entry for a logon session that they share would let them: so there is none', () => {
    const shared = tokenOf(second, 'S-1-5-5-0-1', true)
    const object = parseDescriptor(`O:${ACCOUNT}G:${ACCOUNT}D:(A;;GA;;;S-1-5-5-0-1)(A;;GA;;;${first})`, 'object')
    expect(isGranted(shared.model, object, FILE_RIGHTS.writeData)).toBe(true)
    expect(tokenOf(first, 'S-1-5-5-0-1', true).made).not.toContain('S-1-5-5-0-1')
  })

  test('the desktop of one, and its runner\'s process, are closed to the other', () => {
    const { desktop, processList } = setUpOf(tokenPlan({ name: 'o', sid: ACCOUNT }, [CAPABILITY], true), { account: ACCOUNT, session: first, logon: LOGON, isShared: false })
    const [own, foreign] = [tokenOf(first, LOGON, false).model, tokenOf(second, 'S-1-5-5-0-2', false).model]
    const list = (text: string) => parseDescriptor(`O:${ACCOUNT}G:${ACCOUNT}${text}`, 'object')
    // DESKTOP_CREATEWINDOW has the number of FILE_WRITE_DATA, WRITE_DAC is WRITE_DAC everywhere.
    expect([isGranted(own, list(desktop.list), 0x2), isGranted(foreign, list(desktop.list), 0x2), isGranted(own, list(desktop.list), FILE_RIGHTS.writeDac)]).toEqual([true, false, false])
    // PROCESS_VM_OPERATION is 8, PROCESS_VM_WRITE 0x20, PROCESS_VM_READ 0x10.
    for (const right of [0x8, 0x10, 0x20, FILE_RIGHTS.writeDac]) expect([right, isGranted(own, list(processList), right)]).toEqual([right, false])
  })
})

describe('a command', () => {
  test('its program, command line, environment and job are what the plan and the command say', async () => {
    const launcher = await started(planOf({ limits: { pids: 50, memoryBytes: 1 << 30 } }))
    run(launcher, [TOOL, 'a b', '"'], { env: ['A=1', 'SystemRoot=C:\\Windows', 'N=/dev/null'], limits: { pids: 20 }, stdin: 'pipe', keep: true })
    expect(readStart((await runner.next('START')).payload)).toEqual({
      application: TOOL, line: `${TOOL} "a b" "\\""`, cwd: CWD.path,
      environment: ['A=1', 'SystemRoot=C:\\Windows', 'N=NUL', 'GIT_PAGER=more.com', 'PAGER=more.com', 'LESS='], flags: 3, rows: 0, columns: 0,
      job: { flags: 0x2400, userInterface: 0xff, memory: 1 << 30, processes: 20, userTime: 0 },
    })
    expect(calls).toEqual(['make'])
  })

  test('a batch file is carried out by the system\'s cmd.exe, whatever COMSPEC says', async () => {
    const launcher = await started()
    run(launcher, [BATCH, 'x'], { env: ['COMSPEC=C:\\evil.exe'] })
    expect(readStart((await runner.next('START')).payload)).toMatchObject({ application: CMD, line: expect.stringMatching(/^cmd\.exe \/e:ON \/v:OFF \/d \/s \/c ""/) })
  })

  test('what it writes and how it ends is told', async () => {
    const launcher = await started()
    const { told } = run(launcher, [TOOL])
    const { id } = await runner.next('START')
    runner.answer('STARTED', id, Buffer.from([9, 0, 0, 0]))
    runner.answer('STDOUT', id, Buffer.from('out'))
    runner.answer('STDERR', id, Buffer.from('err'))
    runner.exit(id, { code: 3_221_225_477, reason: 2, ended: [{ pid: 5, name: 'ünder.exe' }] })
    await soon()
    expect(told).toEqual({
      output: ['started 9', 'stdout out', 'stderr err'],
      exit: { exitCode: 3_221_225_477, signal: undefined, reason: 'memory-limit', path: undefined, cpuMs: 1234, maxRssBytes: 5000, ended: [{ pid: 5, name: 'ünder.exe' }] },
    })
  })

  test('one that is kept, and one that a signal ended', async () => {
    const launcher = await started()
    const { running, told } = run(launcher, [TOOL], { keep: true })
    const { id } = await runner.next('START')
    runner.exit(id, { code: 7, ended: [{ pid: 5, name: 'x' }] }, 'LEFT')
    await soon()
    expect([told.left?.exitCode, told.exit]).toEqual([7, undefined])
    running.signal(15)
    expect((await runner.next('SIGNAL')).payload.readUInt32LE()).toBe(15)
    runner.exit(id, { code: 143, signal: 15 })
    await soon()
    expect([told.exit?.exitCode, told.exit?.signal]).toEqual([undefined, 15])
  })

  test.each([
    { name: 'a program that is not there', argv: ['C:\\nowhere\\tool.exe'], failure: { step: 'exec', errno: 'ENOENT' } },
    { name: 'a file that Windows starts by no means', argv: [SCRIPT], failure: { step: 'exec', errno: 'ENOEXEC' }, env: ['PATHEXT=.PY'] },
    { name: 'a working directory that is gone', argv: ['x'], failure: { step: 'enter_cwd', errno: 'ENOENT' }, cwd: { path: 'C:\\gone', identity: CWD.identity } },
    { name: 'a working directory that is another one now', argv: ['x'], failure: { step: 'enter_cwd', errno: 'ESTALE' }, cwd: { path: CWD.path, identity: { device: '1', inode: '3' } } },
  ])('$name: told, and nothing is started', async ({ argv, failure, env = [], cwd = CWD }) => {
    const launcher = await started()
    const { told } = run(launcher, argv, { env, cwd })
    await soon()
    expect(told.failure).toMatchObject(failure)
    expect([runner.sent, calls]).toEqual([[], []])
  })

  test('a closed path at which something else stands now: nothing is started', async () => {
    const closed = { path: 'C:\\work\\.git', kind: 'directory' as const, identity: { device: '1', inode: '9' }, add: [`(D;OICI;0xd0156;;;${CAPABILITY})`] }
    const open = { ...closed, path: 'C:\\work', identity: { device: '8', inode: '8' }, add: [`(A;OICI;0x1301bf;;;${CAPABILITY})`] }
    let inode = '9'
    const launcher = await started(planOf({ access: [open, closed] }), { lookAt: path => path === 'C:\\work\\.git' ? { device: '1', inode } : CWD.identity })
    run(launcher, [TOOL])
    await runner.next('START')
    inode = '10'
    const { told } = run(launcher, [TOOL])
    await soon()
    expect(told.failure).toEqual({ step: 'recheck', errno: 'ESTALE', path: 'C:\\work\\.git' })
    expect(runner.sent).toEqual([])
  })

  test('a step of its own that failed', () => {
    expect(startFailureOf({ step: 'exec', code: 5, detail: '' })).toEqual({ step: 'exec', errno: 'EACCES', path: undefined })
    expect(startFailureOf({ step: 'exec', code: 267, detail: '' })).toEqual({ step: 'enter_cwd', errno: 'ENOTDIR', path: undefined })
    expect(startFailureOf({ step: 'job_limits', code: 0, detail: 'flags 0, not 8192' })).toEqual({ step: 'job_limits', errno: 'EMISMATCH', path: 'flags 0, not 8192' })
  })

  test('a line break for a batch file, and a command line that is too long, are errors of the caller', async () => {
    const launcher = await started()
    expect(() => run(launcher, [BATCH, 'a\nb'])).toThrow(expect.objectContaining({ code: 'argument_invalid' }))
    expect(() => run(launcher, [TOOL, 'x'.repeat(40_000)])).toThrow(expect.objectContaining({ code: 'arguments_too_large' }))
  })
})

describe('the end', () => {
  test('close tells the runner, waits for it, and commands that ran hear of it', async () => {
    const launcher = await started()
    const { told } = run(launcher, [TOOL])
    await runner.next('START')
    const closing = launcher.close()
    await runner.next('CLOSE')
    runner.end('exit 0')
    await closing
    expect(told.failure).toEqual({ step: 'sandbox_closed', errno: 'exit 0', path: undefined })
    expect(() => run(launcher, ['x'])).toThrow(expect.objectContaining({ code: 'launcher_lost' }))
    expect(calls).toEqual(['make', 'remove'])
  })

  test('a runner that is lost: its commands fail, who asked for it is told once, and placeholders go', async () => {
    const launcher = await started()
    let lost = 0
    launcher.onLost(() => { lost++ })
    const { told } = run(launcher, [TOOL])
    await runner.next('START')
    runner.end('exit 1')
    await soon()
    await soon()
    expect([told.failure, lost, calls]).toEqual([{ step: 'launcher_lost', errno: 'exit 1', path: undefined }, 1, ['make', 'remove']])
  })

  test('one that does not keep to the protocol is ended', async () => {
    const launcher = await started()
    const { told } = run(launcher, [TOOL])
    const { id } = await runner.next('START')
    runner.answer('STDOUT', id + 1, Buffer.from('whose?'))
    await soon()
    await soon()
    expect([runner.killed, told.failure]).toEqual([true, { step: 'launcher_lost', errno: 'EBADMSG', path: undefined }])
  })

  test('stubs are written once, and again where somebody has changed them', async () => {
    const plan = planOf({ environment: environmentPlan('advised') })
    await started(plan)
    const stubs = join(folder, 'stubs')
    expect(readdirSync(stubs).sort()).toEqual(['scp.bat', 'scp.cmd', 'sftp.bat', 'sftp.cmd', 'ssh.bat', 'ssh.cmd'])
    writeFileSync(join(stubs, 'ssh.cmd'), '@exit 0')
    runner = new FakeRunner()
    await started(plan)
    expect(readFileSync(join(stubs, 'ssh.cmd'), 'utf8')).toBe('@echo off\r\necho ssh: the sandbox has no network 1>&2\r\nexit /b 1\r\n')
    expect(existsSync(join(stubs, 'curl.cmd'))).toBe(false)
  })
})
