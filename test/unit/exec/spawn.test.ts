import { once } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { STEPS } from '../../../src/platform/linux/native/steps.generated.js'
import { startFakeSandbox } from '../../support/fake-sandbox.js'

const textOf = async (stream: AsyncIterable<Buffer>): Promise<string> => {
  const chunks: Buffer[] = []
  for await (const chunk of stream) chunks.push(chunk)
  return Buffer.concat(chunks).toString()
}

test('a child tells of denials as they come', async () => {
  const child = (await startFakeSandbox()).spawn(['refuse', '/run/docker.sock'])
  const heard: string[] = []
  child.on('denial', denial => heard.push(`${denial.path}`))
  const { denials } = await child.exited
  expect({ heard, denials: denials.length }).toEqual({ heard: ['/run/docker.sock'], denials: 1 })
})

test('streams, events and the result', async () => {
  const child = (await startFakeSandbox()).spawn(['print', 'out', 'err'])
  const events: unknown[] = []
  child.on('spawn', () => events.push(['spawn', child.pid]))
  child.on('exit', (code, signal) => events.push(['exit', code, signal]))
  child.on('close', (code, signal) => events.push(['close', code, signal]))
  expect([child.pid, child.exitCode, child.signalCode]).toEqual([undefined, null, null])
  expect(await Promise.all([textOf(child.stdout), textOf(child.stderr!), once(child, 'close')])).toEqual(['out', 'err', [0, null]])
  expect(events).toEqual([['spawn', 4242], ['exit', 0, null], ['close', 0, null]])
  expect(await child.exited).toMatchObject({ exitCode: 0, stdout: '', stderr: '', output: '', dropped: { stdout: 0, stderr: 0 } })
  expect([child.exitCode, child.kill()]).toEqual([0, false])
})

test('output is kept in the result as well where that is asked for', async () => {
  const child = (await startFakeSandbox()).spawn(['print', 'output'], { output: { maxBytes: 4, keep: 'tail' } })
  expect(await textOf(child.stdout)).toBe('output')
  expect((await child.exited).stdout).toBe('… 2 bytes dropped …\ntput')
})

test('stdin and stdout, megabytes through both', async () => {
  const child = (await startFakeSandbox()).spawn(['cat'])
  const text = Array.from({ length: 300_000 }, (_, index) => `${index}\n`).join('')
  child.stdin!.end(text)
  expect(await textOf(child.stdout)).toBe(text)
})

test('a writer waits while the command takes nothing', async () => {
  const child = (await startFakeSandbox()).spawn(['wait'])
  let accepted = 0
  while (child.stdin!.write(Buffer.alloc(64 << 10))) accepted++
  await sleep(30)
  while (child.stdin!.write(Buffer.alloc(64 << 10))) accepted++
  expect(accepted).toBeLessThan(8)
  child.kill('SIGKILL')
  expect((await child.exited).exitCode).toBe(137)
})

test('a command whose output nobody reads waits, and goes on when somebody does', async () => {
  const child = (await startFakeSandbox()).spawn(['flood', String(10 << 20)])
  await once(child, 'spawn')
  await sleep(50)
  expect(child.exitCode).toBe(null)
  let bytes = 0
  for await (const chunk of child.stdout) bytes += (chunk as Buffer).length
  expect(bytes).toBe(10 << 20)
  expect((await child.exited).exitCode).toBe(0)
})

test.each([
  { name: 'killed', end: 'SIGKILL' as const },
  { name: 'timed out', end: undefined },
])('a command whose output nobody reads is over when it is $name', async ({ end }) => {
  const child = (await startFakeSandbox()).spawn(['flood', String(10 << 20)], { timeoutMs: end === undefined ? 30 : 10_000, killGraceMs: 0 })
  await once(child, 'spawn')
  if (end !== undefined) child.kill(end)
  expect(await child.exited).toMatchObject({ signal: 'SIGKILL', timedOut: end === undefined })
})

test('close comes though nobody reads, as with a ChildProcess', async () => {
  const child = (await startFakeSandbox()).spawn(['print', 'out', 'err'])
  child.stdout.resume()
  expect(await once(child, 'close')).toEqual([0, null])
})

test('who waits for the end first can still read what came', async () => {
  const child = (await startFakeSandbox()).spawn(['print', 'out', 'err'])
  await child.exited
  expect(await Promise.all([textOf(child.stdout), textOf(child.stderr!)])).toEqual(['out', 'err'])
})

test('a reader that destroys its stream does not stop the command', async () => {
  const child = (await startFakeSandbox()).spawn(['flood', String(10 << 20)])
  child.stdout.destroy()
  expect((await child.exited).exitCode).toBe(0)
})

test('kill sends the signal; exit has it, close follows', async () => {
  const child = (await startFakeSandbox()).spawn(['wait'])
  child.stdout.resume()
  child.stderr!.resume()
  expect(child.kill()).toBe(true)
  expect(await once(child, 'close')).toEqual([null, 'SIGTERM'])
  expect({ killed: child.killed, exitCode: child.exitCode, signalCode: child.signalCode, result: (await child.exited).exitCode }).toEqual({ killed: true, exitCode: null, signalCode: 'SIGTERM', result: 143 })
})

test('an unknown signal and a size that is none are errors', async () => {
  const child = (await startFakeSandbox()).spawn(['wait'], { tty: true })
  expect(() => child.kill('SIGNONE' as NodeJS.Signals)).toThrow(expect.objectContaining({ code: 'option_invalid', field: 'signal' }))
  expect(() => child.resize(-1, 80)).toThrow(expect.objectContaining({ code: 'option_invalid', field: 'size' }))
  child.kill('SIGKILL')
  await child.exited
})

test('a terminal has one output stream and a size', async () => {
  const child = (await startFakeSandbox()).spawn(['wait'], { tty: { rows: 24, cols: 80 } })
  expect(child.stderr).toBe(null)
  child.resize(50, 132)
  child.kill('SIGKILL')
  expect(await textOf(child.stdout)).toBe('50x132')
})

test('stops and continues are events', async () => {
  const child = (await startFakeSandbox()).spawn(['stop'])
  const events: unknown[] = []
  child.on('stopped', signal => events.push(signal))
  child.on('continued', () => events.push('continued'))
  await child.exited
  expect(events).toEqual(['SIGTSTP', 'continued'])
})

test('a missing program is exit code 127 and a line on stderr, as in a shell', async () => {
  const child = (await startFakeSandbox()).spawn(['fail', String(STEPS.findIndex(({ name }) => name === 'exec')), '2'])
  const events: unknown[] = []
  for (const event of ['spawn', 'error', 'exit', 'close']) child.on(event, (...values: unknown[]) => events.push([event, ...values]))
  expect(await textOf(child.stderr!)).toBe('codex-sandbox: fail: not found\n')
  child.stdout.resume()
  await expect.poll(() => events).toEqual([
    ['error', expect.objectContaining({ message: 'spawn fail ENOENT', code: 'ENOENT', errno: -2, syscall: 'spawn fail', path: 'fail' })], ['exit', 127, null], ['close', 127, null],
  ])
  expect((await child.exited).exitCode).toBe(127)
})

test('a sandbox that fails is an error event and a rejection; without a listener only the latter', async () => {
  const sandbox = await startFakeSandbox()
  const child = sandbox.spawn(['die'])
  const [error] = await once(child, 'error') as [unknown]
  expect(error).toMatchObject({ code: 'launcher_lost' })
  await expect(child.exited).rejects.toBe(error)
})

test('denials are read from what was streamed', async () => {
  const child = (await startFakeSandbox()).spawn(['print', '', 'sh: 1: cannot create /etc/x: Read-only file system\n'])
  child.stderr!.resume()
  expect((await child.exited).denials).toMatchObject([{ operation: 'create', path: '/etc/x' }])
})

test.each([
  { name: 'text as stdin', options: { stdin: 'text' }, field: 'stdin' },
  { name: 'an option of exec', options: { onOutput: () => {} }, field: 'onOutput' },
  { name: 'half a size', options: { tty: { rows: 3 } }, field: 'tty' },
])('refused: $name', async ({ options, field }) => {
  const sandbox = await startFakeSandbox()
  expect(() => sandbox.spawn(['exit', '0'], options as never)).toThrow(expect.objectContaining({ code: 'option_invalid', field }))
})
