// Input and output that break, are too much, or that nobody wants: nothing hangs, nothing is lost.
import { once } from 'node:events'
import { Readable } from 'node:stream'
import { setTimeout as sleep } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { startSandbox } from './sandbox.js'

const BIG = Buffer.alloc(8 << 20, 'x')

test.each<{ name: string; stdin: () => string | Uint8Array | Readable | AsyncIterable<string> }>([
  { name: 'bytes', stdin: () => BIG },
  { name: 'a stream', stdin: () => Readable.from([BIG]) },
  { name: 'an endless stream', stdin: () => new Readable({ read() { this.push(BIG.subarray(0, 65_536)) } }) },
  { name: 'an endless iterable', stdin: () => (async function* () { for (;;) yield 'x'.repeat(65_536) })() },
])('input that is more than the command reads: $name', async ({ stdin }) => {
  const sandbox = await startSandbox()
  expect(await sandbox.exec(['head', '-c', '3'], { stdin: stdin() })).toMatchObject({ exitCode: 0, stdout: 'xxx' })
  expect(await sandbox.exec(['true'], { stdin: stdin() })).toMatchObject({ exitCode: 0 })
  expect(await sandbox.exec(['sh', '-c', 'exec <&-; sleep 0.1; echo closed'], { stdin: stdin() })).toMatchObject({ exitCode: 0, stdout: 'closed\n' })
})

test.each<{ name: string; stdin: () => Readable | AsyncIterable<string> }>([
  { name: 'a stream that fails', stdin: () => new Readable({ read() { this.destroy(new Error('broken source')) } }) },
  { name: 'a stream that fails after some bytes', stdin: () => Readable.from((async function* () { yield 'x'; await sleep(5); throw new Error('broken source') })()) },
  { name: 'an iterable that fails', stdin: () => (async function* () { yield 'x'; throw new Error('broken source') })() },
])('$name ends the command, and is the error', async ({ stdin }) => {
  const sandbox = await startSandbox()
  await expect(sandbox.exec(['sh', '-c', 'cat; sleep 1000'], { stdin: stdin() })).rejects.toThrow('broken source')
  expect((await sandbox.exec(['true'])).exitCode).toBe(0)
})

test.each<{ name: string; stdin: () => Readable }>([
  { name: 'objects', stdin: () => Readable.from([{ a: 1 }]) },
  { name: 'numbers', stdin: () => Readable.from([1, 2]) },
])('a stream of $name is an error that names stdin', async ({ stdin }) => {
  await expect((await startSandbox()).exec(['cat'], { stdin: stdin() })).rejects.toMatchObject({ code: 'option_invalid', field: 'stdin' })
})

test('a stream that was destroyed before is at its end', async () => {
  const stdin = Readable.from(['x'])
  stdin.destroy()
  expect(await (await startSandbox()).exec(['cat'], { stdin })).toMatchObject({ exitCode: 0, stdout: '' })
})

test('a stream that was read to its end before', async () => {
  const stdin = Readable.from(['x'])
  for await (const _ of stdin);
  expect(await (await startSandbox()).exec(['cat'], { stdin })).toMatchObject({ exitCode: 0, stdout: '' })
})

test('a command that closes its output early goes on, and its end is told', async () => {
  expect(await (await startSandbox()).exec(['sh', '-c', 'echo before; exec >&- 2>&-; sleep 0.1; exit 5'])).toMatchObject({ exitCode: 5, stdout: 'before\n' })
})

test.each([
  { name: 'throws', onOutput: () => { throw new Error('broken reader') } },
  { name: 'rejects', onOutput: async () => { throw new Error('broken reader') } },
  // biome-ignore lint/style/useThrowOnlyError: others' code may throw anything
  { name: 'throws nothing', onOutput: () => { throw undefined } },
])('an onOutput that $name ends the command', async ({ onOutput }) => {
  const sandbox = await startSandbox()
  const outcome = await sandbox.exec(['sh', '-c', 'echo x; sleep 1000'], { onOutput }).then(() => 'resolved', error => error instanceof Error ? error.message : error)
  expect([undefined, 'broken reader']).toContain(outcome)
  expect((await sandbox.exec(['true'])).exitCode).toBe(0)
})

test('a listener that never answers does not outlive a time-out', async () => {
  expect(await (await startSandbox()).exec(['sh', '-c', 'yes'], { onOutput: chunk => sleep(chunk.length > 0 ? 1 : 0), timeoutMs: 50, killGraceMs: 0 })).toMatchObject({ timedOut: true, exitCode: 124 })
})

test('what a command writes before it is killed is kept', async () => {
  const result = await (await startSandbox()).exec(['sh', '-c', 'seq 1000; echo err >&2; kill -9 $$'])
  expect(result).toMatchObject({ exitCode: 137, signal: 'SIGKILL', stderr: 'err\n' })
  expect(result.stdout.split('\n').length).toBe(1001)
})

test('output that a background process still holds does not keep the result back', async () => {
  expect(await (await startSandbox()).exec(['sh', '-c', 'sleep 1000 & echo done'])).toMatchObject({ exitCode: 0, stdout: 'done\n', ended: [expect.objectContaining({ name: expect.stringMatching(/^(?:sleep|sh)$/) })] })
})

test('spawn: input written after the end is dropped, and streams that are destroyed end nothing', async () => {
  const child = (await startSandbox()).spawn(['sh', '-c', 'read line; echo "$line"; exit 3'])
  child.stdout.destroy()
  child.stdin!.write('line\n')
  expect((await child.exited).exitCode).toBe(3)
  child.stdin!.on('error', () => {})
  child.stdin!.write('more')
  child.stdin!.end()
})

test('spawn: input that the caller destroys is at its end for the command', async () => {
  const child = (await startSandbox()).spawn(['cat'])
  child.stdout.resume()
  child.stdin!.write('x')
  child.stdin!.destroy()
  expect((await child.exited).exitCode).toBe(0)
})

test('spawn: a terminal whose reader stops, is resized and killed', async () => {
  const child = (await startSandbox()).spawn(['sh', '-c', 'while :; do stty size; done'], { tty: { rows: 5, cols: 7 } })
  await once(child.stdout, 'data')
  child.stdout.pause()
  child.resize(0, 0)
  child.resize(65_535, 65_535)
  child.kill('SIGKILL')
  child.stdout.resume()
  expect((await child.exited).signal).toBe('SIGKILL')
})
