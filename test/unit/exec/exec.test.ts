import { Readable } from 'node:stream'
import { setTimeout as sleep } from 'node:timers/promises'
import { expect, test } from 'vitest'
import type { ExecOptions } from '../../../src/exec/options.js'
import { STEPS, type StepName } from '../../../src/platform/linux/native/steps.generated.js'
import { startFakeSandbox } from '../../support/fake-sandbox.js'

const numberOf = (step: StepName): string => String(STEPS.findIndex(({ name }) => name === step))
const ENOENT = '2'
const E2BIG = '7'
const ENOEXEC = '8'
const EACCES = '13'
const ESTALE = '116'

test('a whole result', async () => {
  const sandbox = await startFakeSandbox()
  const { durationMs, ...result } = await sandbox.exec(['print', 'out\n', 'err\n'])
  expect(result).toEqual({
    exitCode: 0, signal: null, timedOut: false, cancelled: false, stdout: 'out\n', stderr: 'err\n', output: 'out\nerr\n', dropped: { stdout: 0, stderr: 0 },
    usage: { cpuMs: 1.5, maxRssBytes: 4096 }, denials: [], ended: [], environment: { dropped: expect.any(Array) }, enforcement: sandbox.enforcement,
  })
  expect(durationMs).toBeGreaterThan(0)
})

test.each([
  { argv: ['exit', '7'], result: { exitCode: 7, signal: null } },
  { argv: ['signal', '15'], result: { exitCode: 143, signal: 'SIGTERM' } },
  { argv: ['reason', '1'], result: { exitCode: 137, signal: 'SIGKILL', ended: [{ pid: 7, name: 'sleep' }, { pid: 8, name: 'node' }] } },
  { argv: ['reason', '2', '/w/.git'], result: { exitCode: 137, changedPath: '/w/.git' } },
  { argv: ['reason', '3'], result: { exitCode: 137, limit: 'memoryBytes' } },
  { argv: ['reason', '4'], result: { exitCode: 137, limit: 'pids' } },
  { argv: ['fail', numberOf('exec'), ENOENT], result: { exitCode: 127, stdout: '', stderr: 'codex-sandbox: fail: not found\n', output: 'codex-sandbox: fail: not found\n' } },
  { argv: ['fail', numberOf('exec'), EACCES], result: { exitCode: 126, stderr: 'codex-sandbox: fail: Permission denied\n' } },
  { argv: ['fail', numberOf('exec'), ENOEXEC], result: { exitCode: 126, stderr: 'codex-sandbox: fail: not an executable format\n' } },
])('$argv', async ({ argv, result }) => {
  expect(await (await startFakeSandbox()).exec(argv)).toMatchObject(result)
})

test.each([
  { name: 'cpuSeconds', policy: { limits: { cpuSeconds: 1 } }, argv: ['signal', '24'], limit: 'cpuSeconds' },
  { name: 'fileSizeBytes, as a shell passes it on', policy: { limits: { fileSizeBytes: 1 } }, argv: ['exit', String(128 + 25)], limit: 'fileSizeBytes' },
  { name: 'none is set: the signal is only a signal', policy: {}, argv: ['signal', '24'], limit: undefined },
])('limit: $name', async ({ policy, argv, limit }) => {
  expect((await (await startFakeSandbox(policy)).exec(argv)).limit).toBe(limit)
})

test('a limit that only one command has is named in its enforcement', async () => {
  const sandbox = await startFakeSandbox()
  expect((await sandbox.exec(['exit', '0'], { limits: { openFiles: 64 } })).enforcement.limits).toEqual({ openFiles: 'exact' })
  expect((await sandbox.exec(['exit', '0'])).enforcement.limits).toEqual({})
})

test.each([
  { name: 'arguments above the system\'s bound', argv: ['fail', numberOf('exec'), E2BIG], error: { code: 'arguments_too_large', field: 'argv' } },
  { name: 'a cwd that another directory has replaced', argv: ['fail', numberOf('enter_cwd'), ESTALE], error: { code: 'path_not_found', field: 'cwd' } },
  { name: 'a step of the set-up', argv: ['fail', numberOf('mount_proc'), '1', '/proc'], error: { code: 'set_up_failed', step: 'mount_proc', errno: 'EPERM', path: '/proc' } },
  { name: 'a launcher that dies', argv: ['die'], error: { code: 'launcher_lost' } },
  { name: 'a launcher that sends garbage', argv: ['garbage'], error: { code: 'launcher_lost', errno: 'EBADMSG' } },
])('rejects: $name', async ({ argv, error }) => {
  await expect((await startFakeSandbox()).exec(argv)).rejects.toMatchObject(error)
})

test.each<{ name: string; argv?: readonly string[]; options?: object; error: { code: string; field: string; message?: string } }>([
  { name: 'no argument', argv: [], error: { code: 'argument_invalid', field: 'argv' } },
  { name: 'a NUL', argv: ['a', 'b\0'], error: { code: 'argument_invalid', field: 'argv[1]' } },
  { name: 'no string', argv: ['a', 1 as unknown as string], error: { code: 'argument_invalid', field: 'argv[1]' } },
  { name: 'text instead of a list', argv: 'ls' as unknown as string[], error: { code: 'argument_invalid', field: 'argv' } },
  { name: 'an unknown option', options: { timeout: 3 }, error: { code: 'option_invalid', field: 'timeout' } },
  { name: 'a background that is none', options: { background: 'detach' }, error: { code: 'option_invalid', field: 'background' } },
  { name: 'an option of spawn', options: { tty: true }, error: { code: 'option_invalid', field: 'tty' } },
  { name: 'what an approval is about, where there are none', options: { sandboxPermissions: 'require_escalated' }, error: { code: 'option_invalid', field: 'sandboxPermissions', message: expect.stringContaining('made with approvals') as string } },
  { name: 'a negative time-out', options: { timeoutMs: -1 }, error: { code: 'option_invalid', field: 'timeoutMs' } },
  { name: 'a time-out above setTimeout\'s bound', options: { timeoutMs: 2 ** 31 }, error: { code: 'option_invalid', field: 'timeoutMs' } },
  { name: 'an unknown output option', options: { output: { max: 1 } }, error: { code: 'option_invalid', field: 'output.max' } },
  { name: 'an unknown encoding', options: { output: { encoding: 'utf16' } }, error: { code: 'option_invalid', field: 'output.encoding' } },
  { name: 'an unknown limit', options: { limits: { memory: 1 } }, error: { code: 'option_invalid', field: 'limits.memory' } },
  { name: 'a wider limit', options: { limits: { pids: 11 } }, error: { code: 'option_invalid', field: 'limits.pids' } },
  { name: 'a limit of 0', options: { limits: { pids: 0 } }, error: { code: 'option_invalid', field: 'limits.pids' } },
  { name: 'stdin that is no source', options: { stdin: 3 }, error: { code: 'option_invalid', field: 'stdin' } },
  { name: 'a signal that is none', options: { signal: {} }, error: { code: 'option_invalid', field: 'signal' } },
  { name: 'options that are none', options: 'fast' as unknown as object, error: { code: 'option_invalid', field: 'options' } },
  { name: 'a cwd that is missing', options: { cwd: '/nowhere/at/all' }, error: { code: 'path_not_found', field: 'cwd' } },
  { name: 'a cwd that is a file', options: { cwd: '/etc/passwd' }, error: { code: 'path_not_directory', field: 'cwd' } },
  { name: 'a cwd with a NUL', options: { cwd: '/\0' }, error: { code: 'path_invalid', field: 'cwd' } },
])('refused, and nothing is started: $name', async ({ argv = ['exit', '0'], options, error }) => {
  const sandbox = await startFakeSandbox({ limits: { pids: 10 } })
  await expect(sandbox.exec(argv, options as ExecOptions)).rejects.toMatchObject(error)
  expect((await sandbox.exec(['exit', '0'])).exitCode).toBe(0)
})

test('an option that is undefined is not given', async () => {
  const options = { cwd: undefined, timeoutMs: undefined, stdin: undefined, output: undefined } as unknown as ExecOptions
  expect((await (await startFakeSandbox()).exec(['exit', '0'], options)).exitCode).toBe(0)
})

test.each([
  { name: 'a time-out', options: { timeoutMs: 20 }, result: { exitCode: 124, signal: 'SIGTERM', timedOut: true, cancelled: false } },
  { name: 'a time-out of 0', options: { timeoutMs: 0 }, result: { exitCode: 124, timedOut: true } },
  { name: 'a time-out without grace', options: { timeoutMs: 20, killGraceMs: 0 }, result: { exitCode: 124, signal: 'SIGKILL', timedOut: true } },
  { name: 'an abort', options: { signal: AbortSignal.timeout(20) }, result: { exitCode: 143, signal: 'SIGTERM', timedOut: false, cancelled: true } },
])('$name ends the command', async ({ options, result }) => {
  expect(await (await startFakeSandbox()).exec(['wait'], options)).toMatchObject(result)
})

test('a command that ignores SIGTERM is killed after the grace', async () => {
  const started = performance.now()
  const result = await (await startFakeSandbox()).exec(['stubborn'], { timeoutMs: 10, killGraceMs: 60 })
  expect(result).toMatchObject({ exitCode: 124, signal: 'SIGKILL', timedOut: true })
  expect(performance.now() - started).toBeGreaterThanOrEqual(65)
})

test('a signal that was aborted before: nothing is run', async () => {
  expect(await (await startFakeSandbox()).exec(['print', 'x'], { signal: AbortSignal.abort() })).toMatchObject({ cancelled: true, exitCode: 143, stdout: '' })
})

test('an abort signal that outlives many commands holds none of them', async () => {
  const controller = new AbortController()
  let listeners = 0
  const add = controller.signal.addEventListener.bind(controller.signal)
  const remove = controller.signal.removeEventListener.bind(controller.signal)
  controller.signal.addEventListener = ((...given: Parameters<typeof add>) => { listeners++; add(...given) }) as typeof add
  controller.signal.removeEventListener = ((...given: Parameters<typeof remove>) => { listeners--; remove(...given) }) as typeof remove
  const sandbox = await startFakeSandbox()
  for (let round = 0; round < 20; round++) await sandbox.exec(['exit', '0'], { signal: controller.signal })
  expect(listeners).toBe(0)
})

const LINES = Array.from({ length: 100_000 }, (_, index) => `${index}\n`).join('')

async function* pieces(): AsyncGenerator<string | Uint8Array> {
  yield LINES
  await sleep(1)
  yield Buffer.from('end')
}

test.each<{ name: string; stdin: () => NonNullable<ExecOptions['stdin']>; stdout: string }>([
  { name: 'an empty string', stdin: () => '', stdout: '' },
  { name: 'a string', stdin: () => 'ü\n', stdout: 'ü\n' },
  { name: 'a long string', stdin: () => LINES, stdout: LINES },
  { name: 'bytes', stdin: () => Buffer.from(LINES), stdout: LINES },
  { name: 'a stream', stdin: () => Readable.from([Buffer.from(LINES), 'end']), stdout: `${LINES}end` },
  { name: 'a stream of many pieces', stdin: () => Readable.from(LINES.match(/.{1,1000}/gs) as string[]), stdout: LINES },
  { name: 'an async iterable', stdin: () => pieces(), stdout: `${LINES}end` },
])('stdin: $name', async ({ stdin, stdout }) => {
  const result = await (await startFakeSandbox()).exec(['cat'], { stdin: stdin(), output: { maxBytes: 2 << 20 } })
  expect(result.stdout).toBe(stdout)
})

test('a command that ends without reading leaves the caller\'s stream as it is', async () => {
  const stdin = new Readable({ read() { this.push('x'.repeat(1000)) } })
  expect((await (await startFakeSandbox()).exec(['exit', '0'], { stdin })).exitCode).toBe(0)
  expect({ destroyed: stdin.destroyed, paused: stdin.isPaused(), listeners: stdin.listenerCount('data') }).toEqual({ destroyed: false, paused: true, listeners: 0 })
})

test('an endless iterable is left when the command ends', async () => {
  async function* endless(): AsyncGenerator<string> { for (;;) { await sleep(1); yield 'x' } }
  expect((await (await startFakeSandbox()).exec(['wait'], { stdin: endless(), timeoutMs: 30 })).timedOut).toBe(true)
})

test.each<{ name: string; stdin: () => NonNullable<ExecOptions['stdin']> }>([
  { name: 'a stream', stdin: () => new Readable({ read() { this.destroy(new Error('broken source')) } }) },
  { name: 'an iterable', stdin: () => (async function* (): AsyncGenerator<string> { yield 'x'; throw new Error('broken source') })() },
])('$name that fails ends the command and is the error', async ({ stdin }) => {
  await expect((await startFakeSandbox()).exec(['wait'], { stdin: stdin() })).rejects.toThrow('broken source')
})

test('onOutput gets every piece, one at a time, and makes the command wait', async () => {
  const sandbox = await startFakeSandbox()
  let received = 0
  let calls = 0
  let most = 0
  const result = await sandbox.exec(['flood', String(8 << 20)], {
    output: { maxBytes: 10 },
    onOutput: async (chunk, stream) => {
      most = Math.max(most, ++calls)
      expect(stream).toBe('stdout')
      await sleep(1)
      received += chunk.length
      calls--
    },
  })
  expect({ received, most, dropped: result.dropped.stdout }).toEqual({ received: 8 << 20, most: 1, dropped: (8 << 20) - 10 })
})

test.each([
  { name: 'throws', onOutput: () => { throw new Error('broken reader') } },
  { name: 'rejects', onOutput: async () => { await sleep(1); throw new Error('broken reader') } },
])('an onOutput that $name ends the command and is the error', async ({ onOutput }) => {
  await expect((await startFakeSandbox()).exec(['flood', String(64 << 20)], { onOutput })).rejects.toThrow('broken reader')
})

test('bytes on request', async () => {
  const { stdout, output } = await (await startFakeSandbox()).exec(['print', 'ü'], { output: { encoding: 'bytes' } })
  expect([stdout, output]).toEqual([Buffer.from('ü'), Buffer.from('ü')])
})

test('the environment: the policy\'s, changed by the command, and the names that were dropped', async () => {
  const sandbox = await startFakeSandbox({ env: { inherit: 'none', keep: [], exclude: [], set: { A: '1', B: '2' }, dropSecrets: true } })
  const { stdout, environment } = await sandbox.exec(['env'], { env: { B: null, C: '3', PAGER: null, GIT_EDITOR: null, GIT_OPTIONAL_LOCKS: null, GIT_TERMINAL_PROMPT: null } })
  expect(stdout.split('\n').sort()).toEqual(['A=1', 'C=3', 'CODEX_SANDBOX_NETWORK_DISABLED=1'])
  expect(environment.dropped).toContain('PATH')
})

test('a denial that the command reported is looked up in the policy; a file mode of the host is none', async () => {
  const sandbox = await startFakeSandbox()
  const result = await sandbox.exec(['print', '', 'touch: cannot touch \'/etc/x\': Read-only file system\ncat: /etc/hosts: Permission denied\n'])
  expect(result.denials.map(({ operation, path, certainty, remedy }) => ({ operation, path, certainty, flags: remedy.flags }))).toEqual([
    { operation: 'create', path: '/etc/x', certainty: 'reported', flags: ['--write', '/etc'] },
  ])
})

test('a socket that the launcher refused is a denial that is certain', async () => {
  expect((await (await startFakeSandbox()).exec(['refuse', '/run/docker.sock'])).denials).toMatchObject([
    { kind: 'unix-socket', operation: 'unix-connect', path: '/run/docker.sock', pid: 99, program: 'docker', certainty: 'refused' },
  ])
})

test('denials are heard while the command runs; accesses that were too many are counted', async () => {
  const heard: string[] = []
  const result = await (await startFakeSandbox()).exec(['refuse', '/run/docker.sock'], { onDenial: ({ path }) => heard.push(`${path}`) })
  expect({ heard, lost: result.denialsLost }).toEqual({ heard: ['/run/docker.sock'], lost: 3 })
})

test('what onDenial throws is what exec rejects with', async () => {
  const error = new Error('mine')
  await expect((await startFakeSandbox()).exec(['refuse', '/run/docker.sock'], { onDenial: () => { throw error } })).rejects.toBe(error)
})

test('close ends what runs, as cancelled, and what comes after is refused', async () => {
  const sandbox = await startFakeSandbox()
  const running = sandbox.exec(['stubborn'])
  await sandbox.exec(['exit', '0'])
  await sandbox.close()
  expect(await running).toMatchObject({ exitCode: 137, signal: 'SIGKILL', cancelled: true })
  await expect(sandbox.exec(['exit', '0'])).rejects.toMatchObject({ code: 'sandbox_closed' })
  await sandbox[Symbol.asyncDispose]()
})

test('200 at once and 500 in a row', async () => {
  const sandbox = await startFakeSandbox()
  const atOnce = await Promise.all(Array.from({ length: 200 }, (_, index) => sandbox.exec(['print', String(index)])))
  expect(atOnce.map(({ stdout }) => stdout)).toEqual(Array.from({ length: 200 }, (_, index) => String(index)))
  for (let round = 0; round < 500; round++) expect((await sandbox.exec(['print', 'x'])).stdout).toBe('x')
})

test('explain and decide', async () => {
  const sandbox = await startFakeSandbox()
  expect(await sandbox.decide({ kind: 'write', path: 'notes.txt' })).toMatchObject({ verdict: 'allow' })
  expect(await sandbox.decide({ kind: 'write', path: '.git/config' })).toMatchObject({ verdict: 'deny', because: 'protected' })
  expect((await sandbox.explain({ kind: 'write', path: '/etc/hosts' })).text).toMatch(/^write to "\/etc\/hosts" denied: .*To allow: /)
})
