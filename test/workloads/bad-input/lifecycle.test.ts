// Time-outs, aborts, closing, lost launchers, and a process that is itself in a bad state.
import { spawnSync } from 'node:child_process'
import { lstatSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { expect, onTestFinished, test } from 'vitest'
import { createSandbox } from '../../../src/exec/sandbox.js'
import { expectNone, processesWithArgument } from '../../native/host-processes.js'
import { ownLauncher } from '../../native/own-launcher.js'
import { makeWorkspace } from '../../native/workspace.js'
import { failureOf, setEnvironment, startSandbox } from './sandbox.js'

test('a time-out of 0 ends the command at once', async () => {
  expect(await (await startSandbox()).exec(['sleep', '1000'], { timeoutMs: 0 })).toMatchObject({ exitCode: 124, timedOut: true, cancelled: false })
})

test('an AbortSignal that fired before: nothing runs', async () => {
  const workspace = makeWorkspace()
  const sandbox = await startSandbox({}, workspace)
  expect(await sandbox.exec(['touch', 'made'], { signal: AbortSignal.abort() })).toMatchObject({ exitCode: 143, cancelled: true, timedOut: false })
  await sandbox.close()
  expect(workspace.entries()).toEqual([])
})

test('an abort mid-way keeps what was written', async () => {
  const controller = new AbortController()
  const sandbox = await startSandbox()
  const result = await sandbox.exec(['sh', '-c', 'echo started; sleep 1000'], { signal: controller.signal, onOutput: () => controller.abort() })
  expect(result).toMatchObject({ exitCode: 143, signal: 'SIGTERM', cancelled: true, stdout: 'started\n' })
})

test('a command that ignores SIGTERM is killed after the grace, with all its children', async () => {
  const sandbox = await startSandbox()
  // Long enough for a shell on a busy machine to have set its trap.
  expect(await sandbox.exec(['sh', '-c', `trap '' TERM; (setsid sleep 1000 &); while :; do sleep 1; done`], { timeoutMs: 2000, killGraceMs: 50 })).toMatchObject({ exitCode: 124, signal: 'SIGKILL', timedOut: true })
})

test('close ends what runs; a command after it and a second close are no surprise', async () => {
  const launcher = ownLauncher()
  const sandbox = await startSandbox({ launcherPath: launcher.path })
  const running = Array.from({ length: 20 }, () => sandbox.exec(['sleep', '1000']))
  const child = sandbox.spawn(['sleep', '1000'])
  await sandbox.exec(['true'])
  const closed = [sandbox.close(), sandbox.close()]
  for (const each of running) expect(await each).toMatchObject({ exitCode: 137, signal: 'SIGKILL', cancelled: true })
  expect(await child.exited).toMatchObject({ signal: 'SIGKILL', cancelled: true })
  await Promise.all(closed)
  await sandbox.close()
  expect(await failureOf(() => sandbox.exec(['true']))).toMatchObject({ code: 'sandbox_closed', message: 'sandbox is closed. Create a new sandbox.' })
  expect(await failureOf(async () => sandbox.spawn(['true']))).toMatchObject({ code: 'sandbox_closed' })
  await expectNone(launcher.processes)
})

test('close right after a command was started', async () => {
  const sandbox = await startSandbox()
  const running = sandbox.exec(['true']).then(({ exitCode }) => exitCode, error => (error as { code: string }).code)
  await sandbox.close()
  expect([0, 137, 'sandbox_closed']).toContain(await running)
})

test('a launcher that is killed: its commands and all that come after are told so, and close still works', async () => {
  const launcher = ownLauncher()
  const sandbox = await startSandbox({ launcherPath: launcher.path })
  const running = [sandbox.exec(['sleep', '1000']), sandbox.exec(['cat'], { stdin: 'x'.repeat(1 << 20) }).then(() => sandbox.exec(['sleep', '1000']))]
  const child = sandbox.spawn(['sleep', '1000'])
  await sandbox.exec(['true'])
  process.kill(sandbox.pid as number, 'SIGKILL')
  for (const each of [...running, child.exited]) expect(await failureOf(() => each)).toMatchObject({ code: 'launcher_lost', remedy: 'Create a new sandbox.' })
  expect(await failureOf(() => sandbox.exec(['true']))).toMatchObject({ code: 'launcher_lost' })
  await sandbox.close()
  await expectNone(launcher.processes)
})

test('200 sandboxes at once', async () => {
  const launcher = ownLauncher()
  const workspace = makeWorkspace()
  const sandboxes = await Promise.all(Array.from({ length: 200 }, () => createSandbox({ cwd: workspace.path, launcherPath: launcher.path })))
  const results = await Promise.all(sandboxes.map((sandbox, index) => sandbox.exec(['echo', String(index)])))
  expect(results.map(({ stdout }) => stdout)).toEqual(sandboxes.map((_, index) => `${index}\n`))
  await Promise.all(sandboxes.map(sandbox => sandbox.close()))
  await expectNone(launcher.processes)
  expect(workspace.entries()).toEqual([])
}, 120_000)

test.each<{ name: string; variables: Record<string, string | undefined> }>([
  { name: 'HOME is unset', variables: { HOME: undefined } },
  { name: 'HOME is empty', variables: { HOME: '' } },
  { name: 'HOME is relative', variables: { HOME: 'home' } },
  { name: 'HOME is missing', variables: { HOME: '/no/such/home' } },
  { name: 'TMPDIR is empty', variables: { TMPDIR: '' } },
  { name: 'TMPDIR is missing', variables: { TMPDIR: '/no/such/folder' } },
  { name: 'TMPDIR is a file', variables: { TMPDIR: '/etc/passwd' } },
  { name: 'TMPDIR is a device', variables: { TMPDIR: '/dev/null' } },
  { name: 'TMPDIR is relative', variables: { TMPDIR: 'tmp' } },
  { name: 'CODEX_HOME is missing', variables: { CODEX_HOME: '/no/such/codex' } },
  { name: 'PATH is unset', variables: { PATH: undefined } },
])('works although $name', async ({ variables }) => {
  const workspace = makeWorkspace()
  setEnvironment(variables)
  const sandbox = await startSandbox({}, workspace)
  expect(await sandbox.exec(['/bin/sh', '-c', 'echo ok; ! echo x >> /etc/passwd; ! touch /etc/x'])).toMatchObject({ exitCode: 0, stdout: 'ok\n' })
  // As execvp: without PATH, the system's own folders.
  expect((await sandbox.exec(['true'])).exitCode).toBe(0)
})

test.each<{ name: string; value: string; error: { code: string; field: string } }>([
  { name: 'with ..', value: '/tmp/../etc', error: { code: 'path_invalid', field: '$TMPDIR' } },
  { name: 'with a newline', value: '/tmp/a\nb', error: { code: 'path_invalid', field: '$TMPDIR' } },
  { name: 'that is the whole file system', value: '/', error: { code: 'path_too_broad', field: '$TMPDIR' } },
])('TMPDIR $name is refused, and named', async ({ value, error }) => {
  setEnvironment({ TMPDIR: value })
  expect(await failureOf(() => startSandbox())).toMatchObject(error)
})

test('the umask is this process\'s when the sandbox was made', async () => {
  const before = process.umask(0o027)
  onTestFinished(() => void process.umask(before))
  expect((await (await startSandbox()).exec(['sh', '-c', 'umask'])).stdout).toBe('0027\n')
})

test('a umask that takes the owner\'s own rights away: folders of ours can be used all the same', () => {
  const folder = mkdtempSync('/var/tmp/bad-input-')
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }))
  mkdirSync(join(folder, 'workspace'))
  const cli = fileURLToPath(new URL('../../../dist/cli.cjs', import.meta.url))
  const { XDG_CACHE_HOME: _, XDG_STATE_HOME: __, ...env } = process.env
  for (const umask of ['777', '177', '277']) {
    const { status, stdout, stderr } = spawnSync('sh', ['-c', `umask ${umask}; exec "$@"`, 'sh', process.execPath, cli, '--', 'sh', '-c', 'umask'], { cwd: join(folder, 'workspace'), encoding: 'utf8', timeout: 25_000, env: { ...env, HOME: folder } })
    expect({ status, stdout, stderr }).toEqual({ status: 0, stdout: `0${umask}\n`, stderr: '' })
    for (const made of ['.cache', '.cache/codex-sandbox', '.local', '.local/state', '.local/state/codex-sandbox']) expect(`${made} ${(lstatSync(join(folder, made)).mode & 0o777).toString(8)}`).toBe(`${made} 700`)
    rmSync(join(folder, '.cache'), { recursive: true })
    rmSync(join(folder, '.local'), { recursive: true })
  }
})

/** Runs a script that imports the built package, in a process whose state is bad. */
function runApart(script: string): { status: number | null; stdout: string; stderr: string } {
  const folder = mkdtempSync('/var/tmp/bad-input-')
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }))
  const index = pathToFileURL(fileURLToPath(new URL('../../../dist/index.js', import.meta.url))).href
  writeFileSync(join(folder, 'main.mjs'), `const { createSandbox, loadPolicy, SandboxError } = await import(${JSON.stringify(index)});\nconst folder = ${JSON.stringify(folder)};\n${script}`)
  mkdirSync(join(folder, 'workspace'))
  const { status, stdout, stderr } = spawnSync(process.execPath, [join(folder, 'main.mjs')], { cwd: '/', encoding: 'utf8', timeout: 25_000, env: { ...process.env, XDG_STATE_HOME: folder } })
  return { status, stdout, stderr }
}

test('a sandbox made in a folder that was removed', () => {
  const made = runApart(`
    import { mkdirSync, rmdirSync } from 'node:fs'
    mkdirSync(folder + '/gone'); process.chdir(folder + '/gone'); rmdirSync(folder + '/gone')
    const told = await createSandbox().then(() => 'made', error => [error instanceof SandboxError, error.code, error.message].join())
    const loaded = (await loadPolicy({ cwd: folder + '/workspace' })).mode
    const sandbox = await createSandbox({ cwd: folder + '/workspace' })
    console.log(told, loaded, (await sandbox.exec(['pwd'])).stdout.trim() === folder + '/workspace')
    await sandbox.close()
  `)
  expect(made).toEqual({ status: 0, stdout: 'true,path_not_found,cwd does not exist: this process\'s own folder was removed. Change to one that exists, or give cwd. read-only true\n', stderr: '' })
})

const prlimit = spawnSync('prlimit', ['--version']).status === 0 ? undefined : 'prlimit (util-linux) is not installed'

test('few descriptors: a clear error or a result, and all is well when there are some again', ({ skip }) => {
  if (prlimit !== undefined) return skip(prlimit)
  const { status, stdout, stderr } = runApart(`
    import { closeSync, openSync } from 'node:fs'
    import { execFileSync } from 'node:child_process'
    execFileSync('prlimit', ['--pid', String(process.pid), '--nofile=64'])
    const sandbox = await createSandbox({ cwd: folder + '/workspace' })
    const held = []
    try { for (;;) held.push(openSync('/dev/null', 'r')) } catch {}
    const told = await sandbox.exec(['echo', 'x']).then(({ stdout }) => stdout.trim(), error => error instanceof SandboxError)
    const second = await createSandbox({ cwd: folder + '/workspace' }).then(() => 'made', error => error instanceof SandboxError)
    for (const each of held) closeSync(each)
    console.log(told, second, (await sandbox.exec(['echo', 'after'])).stdout.trim())
    await sandbox.close()
  `)
  expect({ status, stdout, stderr }).toEqual({ status: 0, stdout: expect.stringMatching(/^(?:x|true) true after\n$/), stderr: '' })
})

test('few descriptors: 100 commands at once under a bound of 64', ({ skip }) => {
  if (prlimit !== undefined) return skip(prlimit)
  const { status, stdout, stderr } = runApart(`
    import { execFileSync } from 'node:child_process'
    execFileSync('prlimit', ['--pid', String(process.pid), '--nofile=64'])
    const sandbox = await createSandbox({ cwd: folder + '/workspace' })
    const told = await Promise.all(Array.from({ length: 100 }, (_, i) => sandbox.exec(['sh', '-c', 'sleep 0.1; echo ok']).then(({ stdout }) => stdout.trim(), error => error instanceof SandboxError && /ulimit -n/.test(error.remedy) ? error.code : String(error))))
    console.log([...new Set(told)].sort().join(), (await sandbox.exec(['echo', 'after'])).stdout.trim())
    await sandbox.close()
  `)
  expect({ status, stdout, stderr }).toEqual({ status: 0, stdout: expect.stringMatching(/^(?:ok|ok,set_up_failed|set_up_failed) after\n$/), stderr: '' })
})

test('a program that never closes its sandbox ends all the same', () => {
  expect(runApart(`
    const sandbox = await createSandbox({ cwd: folder + '/workspace' })
    console.log((await sandbox.exec(['echo', 'x'])).stdout.trim())
  `)).toEqual({ status: 0, stdout: 'x\n', stderr: '' })
})

test('a program that exits while a command runs ends it, without a word', async () => {
  const { stderr } = runApart(`
    const sandbox = await createSandbox({ cwd: folder + '/workspace' })
    void sandbox.exec(['sleep', '987654'])
    await sandbox.exec(['true'])
    process.exit(3)
  `)
  expect(stderr).toBe('')
  await expectNone(() => processesWithArgument('987654'))
})
