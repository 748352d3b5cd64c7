import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { expect, onTestFinished, test } from 'vitest'
import { createSandbox, type Sandbox } from '../../../src/index.js'
import type { SandboxOptions } from '../../../src/index.js'
import { expectNone, isRunning } from '../../native/host-processes.js'

async function start(options: SandboxOptions = {}): Promise<Sandbox> {
  const sandbox = await createSandbox({ policy: 'danger-full-access', ...options })
  onTestFinished(() => sandbox.close())
  return sandbox
}

function makeFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'unconfined-'))
  onTestFinished(() => rmSync(folder, { recursive: true }))
  return folder
}

test('a command runs as it would without us, and the result says that nothing is enforced', async () => {
  const sandbox = await start()
  const result = await sandbox.exec(['sh', '-c', 'echo out; echo err >&2; exit 3'])
  expect(result).toMatchObject({ exitCode: 3, stdout: 'out\n', stderr: 'err\n', enforcement: { backend: 'unconfined', layers: [] } })
  expect(sandbox.pid).toBeUndefined()
})

test.each([
  { name: 'missing', argv: ['no-such-program-here'], exitCode: 127, stderr: 'codex-sandbox: no-such-program-here: not found\n' },
  { name: 'a directory', argv: ['/etc'], exitCode: 126, stderr: 'codex-sandbox: /etc: Permission denied\n' },
  { name: 'not executable', argv: [import.meta.filename], exitCode: 126, stderr: `codex-sandbox: ${import.meta.filename}: Permission denied\n` },
])('a program that is $name', async ({ argv, exitCode, stderr }) => {
  expect(await (await start()).exec(argv)).toMatchObject({ exitCode, stderr })
})

test('an interpreter that is missing is told apart from a missing program', async () => {
  const path = join(makeFolder(), 'script')
  writeFileSync(path, '#!/no/such/interpreter\n', { mode: 0o755 })
  expect(await (await start()).exec([path])).toMatchObject({ exitCode: 127, stderr: expect.stringContaining('interpreter') })
})

test('an argument above the system\'s bound', async () => {
  await expect((await start()).exec(['true', 'x'.repeat(4 << 20)])).rejects.toMatchObject({ code: 'arguments_too_large' })
})

test('input, and a cwd', async () => {
  const sandbox = await start({ cwd: '/' })
  expect((await sandbox.exec(['cat'], { stdin: 'ü'.repeat(500_000), output: { maxBytes: 2 << 20 } })).stdout).toHaveLength(500_000)
  expect((await sandbox.exec(['pwd'], { cwd: 'etc' })).stdout).toBe('/etc\n')
})

test('what it starts in its process group ends with it', async () => {
  const { exitCode, stdout } = await (await start()).exec(['sh', '-c', 'sleep 1000 & echo $!'])
  expect({ exitCode, stdout }).toEqual({ exitCode: 0, stdout: expect.stringMatching(/^\d+\n$/) })
  await expectNone(() => [Number(stdout)].filter(isRunning))
})

test('a process that left the group and holds the output does not hold up the result', async () => {
  const cwd = makeFolder()
  const { exitCode, stdout } = await (await start({ cwd })).exec(['sh', '-c', 'setsid sh -c \'echo $$ > id; exec sleep 1000\' & until test -s id; do sleep 0.01; done; cat id'])
  const left = Number(stdout)
  expect({ exitCode, isLeft: left > 1 && isRunning(left) }).toEqual({ exitCode: 0, isLeft: true })
  process.kill(left, 'SIGKILL')
})

test('time-out, kill, and close end the whole group', async () => {
  const sandbox = await start()
  expect(await sandbox.exec(['sh', '-c', 'sleep 10 & sleep 10'], { timeoutMs: 50 })).toMatchObject({ exitCode: 124, timedOut: true })
  const child = sandbox.spawn(['sleep', '10'])
  await once(child, 'spawn')
  expect(child.pid).toBeGreaterThan(0)
  const other = sandbox.exec(['sleep', '10'])
  child.kill('SIGKILL')
  expect(await child.exited).toMatchObject({ exitCode: 137, signal: 'SIGKILL' })
  await sandbox.close()
  expect(await other).toMatchObject({ exitCode: 137, cancelled: true })
})

test('a fast writer waits for a slow reader', async () => {
  let received = 0
  const result = await (await start()).exec(['sh', '-c', 'head -c 20000000 /dev/zero'], {
    output: { maxBytes: 0 },
    onOutput: async chunk => {
      await sleep(0)
      received += chunk.length
    },
  })
  expect({ exitCode: result.exitCode, received }).toEqual({ exitCode: 0, received: 20_000_000 })
})

test('a limit cannot be held: refused, unless that is allowed by name', async () => {
  await expect((await start()).exec(['true'], { limits: { pids: 3 } })).rejects.toMatchObject({ code: 'rule_not_enforceable', field: 'limits.pids' })
  const policy = { mode: 'danger-full-access', limits: { pids: 3 } } as const
  await expect(start({ policy })).rejects.toMatchObject({ code: 'rule_not_enforceable', field: 'limits.pids' })
  const result = await (await start({ policy, allowDegraded: ['limits'] })).exec(['true'], { limits: { openFiles: 99 } })
  expect(result).toMatchObject({ exitCode: 0, enforcement: { degraded: ['limits'], limits: { pids: 'absent', openFiles: 'absent' } } })
})

test('a terminal is refused', async () => {
  const sandbox = await start()
  expect(() => sandbox.spawn(['true'], { tty: true })).toThrow(expect.objectContaining({ code: 'option_invalid', field: 'tty' }))
})

test('external-sandbox is served the same way', async () => {
  expect((await (await start({ policy: 'external-sandbox' })).exec(['sh', '-c', 'echo $CODEX_SANDBOX_NETWORK_DISABLED'])).stdout).toBe('1\n')
})

test.each([
  { options: { policy: 'nonsense' }, error: { code: 'policy_invalid_value' } },
  { options: { polciy: 'read-only' }, error: { code: 'option_invalid', field: 'polciy' } },
  { options: { onApproval: 'accept' }, error: { code: 'option_invalid', field: 'onApproval' } },
  { options: { allowDegraded: ['everything'] }, error: { code: 'option_invalid', field: 'allowDegraded' } },
  { options: { launcherPath: 3 }, error: { code: 'option_invalid', field: 'launcherPath' } },
])('createSandbox refuses $options', async ({ options, error }) => {
  await expect(createSandbox(options as never)).rejects.toMatchObject(error)
})
