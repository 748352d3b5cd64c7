// The back end's processes, on any system: a program takes the place of sandbox-exec and confines nothing. What the profile does
// to a command is not tested here.
import { existsSync, mkdtempSync, readFileSync, realpathSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { expect, onTestFinished, test } from 'vitest'
import { Sandbox } from '../../../../src/exec/sandbox.js'
import { takeSnapshot } from '../../../../src/host/snapshot.js'
import type { MacosSeatbeltPlan } from '../../../../src/platform/launch-plan.js'
import { macosSeatbeltBackend } from '../../../../src/platform/macos/backend.js'
import { PROFILE_WORD, SANDBOX_EXEC } from '../../../../src/platform/macos/compile.js'
import { startWords } from '../../../../src/platform/macos/start-words.js'
import type { HostSnapshot } from '../../../../src/policy/host-snapshot.js'
import { presetPolicy } from '../../../../src/policy/presets.js'
import { resolve } from '../../../../src/policy/resolve.js'
import type { SandboxPolicy } from '../../../../src/policy/sandbox-policy.js'
import { compileOptions } from '../../../support/linux-layers.js'
import { SEATBELT_THERE } from '../../../support/macos-host.js'
import { logStandIn, sandboxExecStandIn, type StandIn } from '../../../support/stand-ins.js'

function makeFolder(): string {
  const folder = realpathSync(mkdtempSync(join(tmpdir(), 'seatbelt-')))
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }))
  return folder
}

/** This machine, as if it were a Mac. */
const asMac = (cwd: string): HostSnapshot => ({ ...takeSnapshot({ selfPaths: [], cwd }), platform: 'macos' })

interface Started { readonly sandbox: Sandbox; readonly plan: MacosSeatbeltPlan; readonly folder: string; readonly standIn: StandIn }

async function start({ policy: changes = {}, standIn = sandboxExecStandIn(), allow = [], log }: { policy?: Partial<SandboxPolicy>; standIn?: StandIn; allow?: readonly 'limits'[]; log?: string } = {}): Promise<Started> {
  const folder = makeFolder()
  const host = asMac(folder)
  const policy = resolve({ ...presetPolicy('workspace-write', 'reference'), ...changes }, host)
  const backend = macosSeatbeltBackend({ sandboxExec: standIn.path, ...(log === undefined ? {} : { log }) })
  const entry = host.files.entry(folder)
  const plan = backend.compile(policy, SEATBELT_THERE, compileOptions({ allowDegraded: new Set(allow), cwdIdentity: { device: entry?.device ?? '', inode: entry?.inode ?? '' }, ...(log === undefined ? {} : { observe: 'reads' as const }) })) as MacosSeatbeltPlan
  const sandbox = new Sandbox(policy, plan, await backend.start(plan), () => asMac(folder))
  onTestFinished(() => sandbox.close())
  return { sandbox, plan, folder, standIn }
}

test('a command is started by sandbox-exec with the profile, every parameter and its own words', async () => {
  const { sandbox, plan, standIn, folder } = await start()
  const result = await sandbox.exec(['printf', '%s|', '--', '-D', 'a b', '$x'])
  expect(result).toMatchObject({ exitCode: 0, stdout: '--|-D|a b|$x|', enforcement: { backend: 'macos-seatbelt', layers: ['seatbelt'] } })
  expect(standIn.words()).toEqual([
    '-p', plan.profile.join('\n'), ...Object.entries(plan.parameters).flatMap(([name, value]) => ['-D', `${name}=${value}`]), '--', 'printf', '%s|', '--', '-D', 'a b', '$x',
  ])
  expect(Object.values(plan.parameters)).toContain(folder)
})

test('the program that confines is never looked up', async () => {
  const { plan } = await start()
  expect([plan.argv[0], SANDBOX_EXEC]).toEqual(['/usr/bin/sandbox-exec', '/usr/bin/sandbox-exec'])
  expect(startWords(plan, { argv: ['x'], limits: {} })[0]).toBe('/usr/bin/sandbox-exec')
})

test('programs inside are told, whatever the command sets', async () => {
  const { sandbox } = await start()
  const { stdout } = await sandbox.exec(['sh', '-c', 'echo $CODEX_SANDBOX $CODEX_SANDBOX_NETWORK_DISABLED $OTHER'], { env: { CODEX_SANDBOX: 'none', OTHER: 'kept' } })
  expect(stdout).toBe('seatbelt 1 kept\n')
})

test('what is read before anything is confined is set inside', async () => {
  const env = { DYLD_INSERT_LIBRARIES: '/no/such library', MallocLogFile: '/no/such/file', LIBDISPATCH_LOG: 'file', PLAIN: 'p' }
  const { sandbox, folder } = await start({ standIn: sandboxExecStandIn('env > outer') })
  const show = 'echo "$DYLD_INSERT_LIBRARIES|$MallocLogFile|$LIBDISPATCH_LOG|$PLAIN|$1"'
  expect((await sandbox.exec(['sh', '-c', show, 'sh', 'a b'], { env, limits: { openFiles: 64 } })).stdout).toBe('/no/such library|/no/such/file|file|p|a b\n')
  const outer = readFileSync(join(folder, 'outer'), 'utf8')
  expect(outer).toContain('PLAIN=p\n')
  expect(outer).not.toMatch(/^(DYLD_|Malloc|LIBDISPATCH_)/m)
  writeFileSync(join(folder, 'a=b'), `#!/bin/sh\n${show}\n`, { mode: 0o755 })
  expect((await sandbox.exec([join(folder, 'a=b'), 'x'], { env })).stdout).toBe('/no/such library|/no/such/file|file|p|x\n')
})

test('exit codes, signals, output and input are the command\'s', async () => {
  const { sandbox } = await start()
  expect(await sandbox.exec(['sh', '-c', 'echo out; echo err >&2; exit 3'])).toMatchObject({ exitCode: 3, stdout: 'out\n', stderr: 'err\n' })
  expect(await sandbox.exec(['sh', '-c', 'kill -9 $$'])).toMatchObject({ exitCode: 137, signal: 'SIGKILL' })
  expect((await sandbox.exec(['cat'], { stdin: 'ü'.repeat(300_000) })).stdout).toHaveLength(300_000)
})

test.each([
  { name: 'is missing',         argv: ['no-such-program-here'], exitCode: 127, stderr: 'codex-sandbox: no-such-program-here: not found\n' },
  { name: 'is missing by path', argv: ['./no-such'],            exitCode: 127, stderr: 'codex-sandbox: ./no-such: not found\n' },
  { name: 'is a folder',        argv: ['/etc'],                 exitCode: 126, stderr: 'codex-sandbox: /etc: Permission denied\n' },
  { name: 'cannot be run',      argv: [import.meta.filename],   exitCode: 126, stderr: `codex-sandbox: ${import.meta.filename}: Permission denied\n` },
])('a program that $name is told as on Linux, and sandbox-exec is not even started', async ({ argv, exitCode, stderr }) => {
  const { sandbox, standIn } = await start()
  expect(await sandbox.exec(argv)).toMatchObject({ exitCode, stderr, stdout: '' })
  expect(existsSync(`${standIn.path}.words`)).toBe(false)
})

test.each([
  { words: 'Operation not permitted',   exitCode: 126, stderr: 'codex-sandbox: true: Operation not permitted\n' },
  { words: 'Permission denied',         exitCode: 126, stderr: 'codex-sandbox: true: Permission denied\n' },
  { words: 'No such file or directory', exitCode: 127, stderr: 'codex-sandbox: true: not found\n' },
  { words: 'Bad CPU type in executable', exitCode: 126, stderr: 'codex-sandbox: true: not an executable format\n' },
])('a program that the profile keeps from running: $words', async ({ words, exitCode, stderr }) => {
  const { sandbox } = await start({ standIn: sandboxExecStandIn(`echo "sandbox-exec: execvp() of '$1' failed: ${words}" >&2; exit 71`) })
  expect(await sandbox.exec(['true'])).toMatchObject({ exitCode, stderr, stdout: '' })
})

test.each([
  { name: 'the profile is refused by the kernel',  line: 'sandbox-exec: sandbox_apply: Operation not permitted',        code: 71, step: 'sandbox_apply',   errno: 'EPERM' },
  { name: 'the profile does not compile',          line: 'sandbox-exec: <input string>:3:14: unbound variable: file-clone', code: 65, step: 'sandbox_profile', errno: 'EINVAL' },
])('a sandbox that cannot be made is an error and never a result: $name', async ({ line, code, step, errno }) => {
  const folder = makeFolder()
  const { sandbox } = await start({ standIn: sandboxExecStandIn(`echo "${line}" >&2; exit ${code}`) })
  await expect(sandbox.exec(['touch', join(folder, 'ran')])).rejects.toMatchObject({ code: 'set_up_failed', step, errno })
  expect(existsSync(join(folder, 'ran'))).toBe(false)
})

test.each([
  { name: 'and goes on',            script: 'echo "sandbox-exec: hello" >&2; echo more >&2; exit 71',      exitCode: 71, stderr: 'sandbox-exec: hello\nmore\n' },
  { name: 'after output',           script: 'echo x; echo "sandbox-exec: hello" >&2; exit 71',             exitCode: 71, stderr: 'sandbox-exec: hello\n' },
  { name: 'and succeeds',           script: 'echo "sandbox-exec: hello" >&2; exit 0',                      exitCode: 0,  stderr: 'sandbox-exec: hello\n' },
  { name: 'in part',                script: 'printf sandbox-ex >&2; exit 71',                              exitCode: 71, stderr: 'sandbox-ex' },
  { name: 'and is killed',          script: 'echo "sandbox-exec: hello" >&2; kill -9 $$',                  exitCode: 137, stderr: 'sandbox-exec: hello\n' },
])('a command that says such words itself, $name, is a command', async ({ script, exitCode, stderr }) => {
  const { sandbox } = await start()
  expect(await sandbox.exec(['sh', '-c', script])).toMatchObject({ exitCode, stderr })
})

test('such words of a command that lives on are not held back for long', async () => {
  const { sandbox } = await start()
  let seen = ''
  const running = sandbox.exec(['sh', '-c', 'echo "sandbox-exec: hello" >&2; read line; exit 0'], { stdin: waitFor(() => seen.includes('hello')), onOutput: text => { seen += text } })
  expect(await running).toMatchObject({ exitCode: 0, stderr: 'sandbox-exec: hello\n' })
})

async function* waitFor(condition: () => boolean): AsyncGenerator<string> {
  while (!condition()) await sleep(10)
  yield 'go\n'
}

test('limits are set by a shell, where there are any', async () => {
  const { sandbox, standIn } = await start({ policy: { limits: { openFiles: 64, fileSizeBytes: 1 << 20, cpuSeconds: 7 } } })
  const result = await sandbox.exec(['sh', '-c', 'ulimit -n; ulimit -t; echo "$@"', 'sh', 'a b'], { limits: { openFiles: 32 } })
  expect(result).toMatchObject({ exitCode: 0, stdout: '32\n7\na b\n', enforcement: { limits: { openFiles: 'exact', cpuSeconds: 'perProcess', fileSizeBytes: 'exact' } } })
  expect(standIn.words().slice(-8)).toEqual(['-c', 'ulimit -t 7 && ulimit -n 32 && ulimit -f 2048 && exec "$@"', 'sh', 'sh', '-c', 'ulimit -n; ulimit -t; echo "$@"', 'sh', 'a b'])
})

test('memory and processes are held by nothing there', async () => {
  await expect(start({ policy: { limits: { pids: 5 } } })).rejects.toMatchObject({ code: 'rule_not_enforceable', field: 'limits.pids' })
  const { sandbox } = await start({ policy: { limits: { memoryBytes: 1 << 30 } }, allow: ['limits'] })
  expect((await sandbox.exec(['true'])).enforcement).toMatchObject({ degraded: ['limits'], limits: { memoryBytes: 'absent' } })
  const { sandbox: strict } = await start()
  await expect(strict.exec(['true'], { limits: { pids: 3 } })).rejects.toMatchObject({ code: 'rule_not_enforceable', field: 'limits.pids' })
})

test('a terminal is made inside, by script(1), with the size that was asked for', async () => {
  const { plan } = await start()
  const words = startWords(plan, { argv: ['bash', '-i'], limits: {}, terminal: { rows: 24, cols: 80 } })
  expect(words.slice(words.indexOf('--') + 1)).toEqual(['/usr/bin/script', '-q', '/dev/null', '/bin/sh', '-c', 'stty rows "$1" columns "$2"; shift 2; exec "$@"', 'sh', '24', '80', 'bash', '-i'])
})

test('the whole process group ends with its command, on time-out and on close', async () => {
  const { sandbox, folder } = await start()
  await sandbox.exec(['sh', '-c', `(sleep 0.5; echo late > ${folder}/late) & echo done`])
  expect(await sandbox.exec(['sh', '-c', 'sleep 10 & sleep 10'], { timeoutMs: 50, killGraceMs: 0 })).toMatchObject({ exitCode: 124, timedOut: true })
  const other = sandbox.exec(['sleep', '10'])
  await sandbox.close()
  expect(await other).toMatchObject({ cancelled: true })
  await sleep(600)
  expect(existsSync(`${folder}/late`)).toBe(false)
})

test('a cwd that was replaced is refused, and nothing runs', async () => {
  const { sandbox, folder } = await start()
  rmSync(folder, { recursive: true })
  await expect(sandbox.exec(['true'])).rejects.toMatchObject({ code: 'path_not_found', field: 'cwd' })
  writeFileSync(folder, '')
  await expect(sandbox.exec(['true'])).rejects.toMatchObject({ code: 'path_not_directory', field: 'cwd' })
})

test('what a command says was denied is judged by the policy', async () => {
  const { sandbox } = await start()
  const { denials } = await sandbox.exec(['sh', '-c', 'echo "touch: /etc/x: Operation not permitted" >&2; exit 1'])
  expect(denials).toMatchObject([{ kind: 'file', operation: 'create', path: '/etc/x', certainty: 'reported' }])
})

test('a program of Linux\'s launcher is refused, and nothing runs', async () => {
  const { plan, standIn } = await start()
  const launcher = await macosSeatbeltBackend({ sandboxExec: standIn.path }).start(plan)
  const { cwd } = plan
  const handlers = { onOutput: () => {}, onExit: () => {}, onFailed: () => {} }
  expect(() => launcher.run({ argv: ['x', '--relay', '80'], helper: true, cwd, env: [], stdin: 'pipe', limits: {} }, handlers)).toThrow(expect.objectContaining({ code: 'platform_unsupported', field: 'helper' }))
  expect(existsSync(`${standIn.path}.words`)).toBe(false)
  await launcher.close()
})

test('a port: the network\'s loopback is the machine\'s own, and closed without the network', async () => {
  const { sandbox } = await start()
  await expect(sandbox.expose(8080)).rejects.toMatchObject({ code: 'rule_not_enforceable', field: 'port', message: expect.stringContaining('no loopback of their own while the network is off') })
  const { sandbox: open } = await start({ policy: { network: 'open' } })
  expect(await open.expose(8080)).toMatchObject({ port: 8080, hostPort: 8080 })
  await expect(open.expose(8080, { hostPort: 0 })).rejects.toMatchObject({ code: 'option_invalid', field: 'hostPort' })
})

test('with the log read, a denial is known exactly: path, rule, remedy, process and program', async () => {
  const log = logStandIn('touch "$0.lines"; echo "Filtering the log data"; tail -n +1 -f "$0.lines"')
  // The kernel's part: it finds the tag in the profile and writes a record.
  const record = `tag=$(printf '%s' "$profile" | grep -o 'codex-sandbox-[0-9a-f]*' | head -n 1)
    printf '{"processID":0,"eventMessage":"Sandbox: touch(42) deny(1) file-write-create /etc/x\\\\n%s"}\\n' "$tag" >> '${log.path}.lines'`
  const { sandbox, standIn, plan } = await start({ standIn: sandboxExecStandIn(record), log: log.path })
  const result = await sandbox.exec(['true'])
  expect(result.denials).toEqual([expect.objectContaining({
    kind: 'file', operation: 'create', path: '/etc/x', pid: 42, program: 'touch', certainty: 'refused', message: expect.stringContaining('creation of "/etc/x" denied'), remedy: expect.objectContaining({ flags: ['--write', '/etc'] }),
  })])
  expect(plan.profile.join('\n')).toContain('(deny default (with message "{tag}"))')
  expect(standIn.words()[1]).toMatch(/\(deny default \(with message "codex-sandbox-[0-9a-f]{24}"\)\)/)
  const [before] = standIn.words().slice(1, 2)
  await sandbox.exec(['true'])
  expect(standIn.words()[1]).not.toBe(before)
})

test('the plan that is printed has the words that are started', async () => {
  const { plan } = await start()
  const words = startWords(plan, { argv: ['ls'], limits: {} })
  expect(words.map(word => word === plan.profile.join('\n') ? PROFILE_WORD : word)).toEqual([...plan.argv, 'ls'])
})

test('probe: there, missing, refused in another sandbox, broken', async () => {
  const probe = (path: string) => macosSeatbeltBackend({ sandboxExec: path }).probe()
  expect(await probe(sandboxExecStandIn('exit 0').path)).toEqual([{ layer: 'seatbelt', available: true }])
  expect(await probe('/no/such/sandbox-exec')).toMatchObject([{ layer: 'seatbelt', available: false, errno: 'ENOENT' }])
  expect(await probe(sandboxExecStandIn('echo "sandbox-exec: sandbox_apply: Operation not permitted" >&2; exit 71').path)).toMatchObject([{ available: false, errno: 'EPERM', reason: expect.stringContaining('in a sandbox already') }])
  expect(await probe(sandboxExecStandIn('exit 5').path)).toMatchObject([{ available: false, reason: expect.stringContaining('said nothing') }])
})

test('without the layer nothing is compiled', () => {
  const host = asMac('/')
  const policy = resolve(presetPolicy('read-only', 'reference'), host)
  const compile = (layers: Parameters<ReturnType<typeof macosSeatbeltBackend>['compile']>[1]) => () => macosSeatbeltBackend().compile(policy, layers, compileOptions())
  expect(compile([])).toThrow(expect.objectContaining({ code: 'layer_missing', field: 'seatbelt' }))
  expect(compile([{ layer: 'seatbelt', available: false, errno: 'EPERM', reason: 'nested', remedy: 'Go out.' }])).toThrow(/nested\. Go out\./)
})
