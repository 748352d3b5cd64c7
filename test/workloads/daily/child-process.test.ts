// A spawned command where a ChildProcess is expected: by its type, and by what consumers of child_process do with one.
import { type ChildProcess, type ChildProcessWithoutNullStreams, spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { createReadStream, createWriteStream, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { Readable, Transform } from 'node:stream'
import { buffer, text } from 'node:stream/consumers'
import { pipeline } from 'node:stream/promises'
import { createGzip, gunzipSync } from 'node:zlib'
import { expect, onTestFinished, test } from 'vitest'
import type { Sandbox } from '../../../src/exec/sandbox.js'
import { isRunning, processesWithArgument } from '../../native/host-processes.js'
import { makeWorkspace } from '../../native/workspace.js'
import { startSandbox } from '../bad-input/sandbox.js'

const inside = async (...argv: string[]): Promise<ChildProcess> => (await startSandbox()).spawn(argv)

/** The same for a ChildProcess and for a child of a sandbox. */
const BOTH: readonly { name: string; start: (argv: readonly [string, ...string[]], options?: { cwd?: string; signal?: AbortSignal }) => Promise<ChildProcess> }[] = [
  { name: 'child_process', start: async ([program, ...args], options = {}) => spawn(program, args, options) },
  { name: 'a sandbox', start: async (argv, options = {}) => (await startSandbox()).spawn(argv, options) },
]

/** Every event and what it carries, until `close`. */
function record(child: ChildProcess): { events: unknown[]; closed: Promise<unknown> } {
  const events: unknown[] = []
  for (const event of ['spawn', 'exit', 'close'] as const) child.on(event, (...values: unknown[]) => events.push([event, ...values]))
  child.on('error', error => events.push(['error', error.name, (error as NodeJS.ErrnoException).code, (error as NodeJS.ErrnoException).syscall]))
  return { events, closed: new Promise(resolve => { child.once('close', resolve) }) }
}

test.each(BOTH)('$name: events in order, properties before and after', async ({ start }) => {
  const child = await start(['sh', '-c', 'cat; exit 3'])
  const { events, closed } = record(child)
  const before = { exitCode: child.exitCode, signalCode: child.signalCode, killed: child.killed, connected: child.connected, file: child.spawnfile, args: child.spawnargs, send: child.send as unknown, stdio: child.stdio.length }
  expect(before).toEqual({ exitCode: null, signalCode: null, killed: false, connected: false, file: 'sh', args: ['sh', '-c', 'cat; exit 3'], send: undefined, stdio: 3 })
  expect([child.stdio[0], child.stdio[1], child.stdio[2]]).toEqual([child.stdin, child.stdout, child.stderr])
  await once(child, 'spawn')
  expect(isRunning(child.pid!)).toBe(true)
  child.stdin!.end('x')
  expect(await text(child.stdout!)).toBe('x')
  await closed
  expect({ events, exitCode: child.exitCode, signalCode: child.signalCode, kill: child.kill() }).toEqual({ events: [['spawn'], ['exit', 3, null], ['close', 3, null]], exitCode: 3, signalCode: null, kill: false })
})

test.each(BOTH)('$name: killed', async ({ start }) => {
  const child = await start(['sleep', '1000'])
  const { events, closed } = record(child)
  await once(child, 'spawn')
  expect([child.kill(0), child.kill(), child.killed]).toEqual([true, true, true])
  await closed
  expect({ events, signalCode: child.signalCode, exitCode: child.exitCode }).toEqual({ events: [['spawn'], ['exit', null, 'SIGTERM'], ['close', null, 'SIGTERM']], signalCode: 'SIGTERM', exitCode: null })
})

test.each(BOTH)('$name: a program that is missing', async ({ start }) => {
  const child = await start(['no-such-program', 'x'])
  const { events, closed } = record(child)
  await closed
  expect(events[0]).toEqual(['error', 'Error', 'ENOENT', 'spawn no-such-program'])
  expect(events.map(event => (event as unknown[])[0]).filter(name => name !== 'exit')).toEqual(['error', 'close'])
})

test.each(BOTH)('$name: one that ends at once has begun all the same', async ({ start }) => {
  for (let round = 0; round < 10; round++) {
    const child = await start(['true'])
    const { events, closed } = record(child)
    await closed
    expect(events).toEqual([['spawn'], ['exit', 0, null], ['close', 0, null]])
  }
})

test.each(BOTH)('$name: an AbortSignal', async ({ start }) => {
  const controller = new AbortController()
  const child = await start(['sleep', '1000'], { signal: controller.signal })
  const { events, closed } = record(child)
  await once(child, 'spawn')
  controller.abort()
  await closed
  expect(events).toEqual([['spawn'], ['error', 'AbortError', 'ABORT_ERR', undefined], ['exit', null, 'SIGTERM'], ['close', null, 'SIGTERM']])
})

test.each(BOTH)('$name: readline over its output, megabytes of it', async ({ start }) => {
  const child = await start(['seq', '200000'])
  let sum = 0
  for await (const line of createInterface({ input: child.stdout!, crlfDelay: Number.POSITIVE_INFINITY })) sum += Number(line)
  expect(sum).toBe(200_000 * 200_001 / 2)
})

test.each(BOTH)('$name: pipelines into it and out of it', async ({ start }) => {
  const folder = makeWorkspace().outside
  const content = Buffer.from(Array.from({ length: 200_000 }, (_, index) => `line ${index} ü\n`).join(''))
  writeFileSync(join(folder, 'in'), content)
  const child = await start(['cat'])
  await Promise.all([
    pipeline(createReadStream(join(folder, 'in')), child.stdin!),
    pipeline(child.stdout!, createGzip(), createWriteStream(join(folder, 'out.gz'))),
    once(child, 'close'),
  ])
  expect(gunzipSync(readFileSync(join(folder, 'out.gz'))).equals(content)).toBe(true)
})

test.each(BOTH)('$name: two in a row, as a shell pipes them', async ({ start }) => {
  const second = await start(['tail', '-n', '1'])
  const first = await start(['seq', '100000'])
  first.stdout!.pipe(second.stdin!)
  expect(await text(second.stdout!)).toBe('100000\n')
})

test.each(BOTH)('$name: a pipeline whose command ends early, and one whose source fails', async ({ start }) => {
  const child = await start(['head', '-c', '3'])
  const endless = new Readable({ read() { this.push('x'.repeat(10_000)) } })
  const written = pipeline(endless, child.stdin!).then(() => 'written', error => (error as { code: string }).code)
  expect(await text(child.stdout!)).toBe('xxx')
  expect(['EPIPE', 'ERR_STREAM_PREMATURE_CLOSE', 'ECONNRESET']).toContain(await written)

  const other = await start(['cat'])
  const failing = new Readable({ read() { this.destroy(new Error('broken source')) } })
  await expect(pipeline(failing, other.stdin!)).rejects.toThrow('broken source')
  // The pipe that was dropped is at its end for the command.
  expect(await once(other.stdout!.resume(), 'end')).toEqual([])
})

test.each(BOTH)('$name: encodings, object mode transforms, async iteration, consumers', async ({ start }) => {
  const child = await start(['printf', String.raw`\303\274\342\202\254`])
  child.stdout!.setEncoding('utf8')
  expect((await child.stdout!.toArray()).join('')).toBe('ü€')
  const hash = createHash('sha256')
  const upper = new Transform({ transform(chunk, _encoding, done) { done(null, String(chunk).toUpperCase()) } })
  await pipeline((await start(['echo', 'abc'])).stdout!, upper, hash)
  expect(hash.digest('hex')).toBe(createHash('sha256').update('ABC\n').digest('hex'))
  expect(await buffer((await start(['echo', 'x'])).stdout!)).toEqual(Buffer.from('x\n'))
})

test.each(BOTH)('$name: a reader that pauses and goes on', async ({ start }) => {
  const child = await start(['head', '-c', '5000000', '/dev/zero'])
  let bytes = 0
  child.stdout!.on('data', (chunk: Buffer) => {
    bytes += chunk.length
    child.stdout!.pause()
    setTimeout(() => child.stdout!.resume(), 1)
  })
  await once(child, 'close')
  expect(bytes).toBe(5_000_000)
})

test('its type takes a ChildProcess\'s place', async () => {
  const sandbox: Sandbox = await startSandbox()
  const child: ChildProcess = sandbox.spawn(['true'])
  const withStreams = (each: Pick<ChildProcessWithoutNullStreams, 'stdout' | 'kill'>): unknown => each.stdout
  expect(withStreams(sandbox.spawn(['true']))).toBeInstanceOf(Readable)
  expect(child.stdin).not.toBe(null)
  await once(child, 'close')
})

test('the shape that agent SDKs ask of a process', async () => {
  /** `SpawnedProcess` of @anthropic-ai/claude-agent-sdk, as its declarations have it. */
  interface SpawnedProcess {
    stdin: NodeJS.WritableStream
    stdout: NodeJS.ReadableStream
    readonly killed: boolean
    readonly exitCode: number | null
    kill(signal: NodeJS.Signals): boolean
    on(event: 'exit', listener: (code: number | null, signal: NodeJS.Signals | null) => void): void
    on(event: 'error', listener: (error: Error) => void): void
    once(event: 'exit', listener: (code: number | null, signal: NodeJS.Signals | null) => void): void
    once(event: 'error', listener: (error: Error) => void): void
    off(event: 'exit', listener: (code: number | null, signal: NodeJS.Signals | null) => void): void
    off(event: 'error', listener: (error: Error) => void): void
  }
  const child = await inside('cat')
  const spawned: SpawnedProcess = child as ChildProcess & { stdin: NodeJS.WritableStream; stdout: NodeJS.ReadableStream }
  const exited = new Promise(resolve => { spawned.once('exit', (...values) => resolve(values)) })
  spawned.stdin.end('{"type":"user"}\n')
  expect(await text(spawned.stdout as Readable)).toBe('{"type":"user"}\n')
  expect(await exited).toEqual([0, null])
})

test('using: what leaves its scope is killed', async () => {
  const sandbox = await startSandbox()
  let outer: ChildProcess | undefined
  {
    using child = sandbox.spawn(['sleep', '1000'])
    outer = child
    await once(child, 'spawn')
  }
  expect(await once(outer, 'exit')).toEqual([null, 'SIGTERM'])
})

/** Runs a script that has `sandbox`, and tells how it ended. */
async function embed(body: string): Promise<{ code: unknown; output: string }> {
  const workspace = makeWorkspace()
  const script = join(workspace.outside, 'embedding.mjs')
  writeFileSync(script, `
    import { createSandbox } from ${JSON.stringify(join(process.cwd(), 'dist/index.js'))}
    const sandbox = await createSandbox(${JSON.stringify({ cwd: workspace.path })})
    ${body}`)
  const child = spawn(process.execPath, [script], { stdio: ['ignore', 'pipe', 'inherit'] })
  onTestFinished(() => void child.kill('SIGKILL'))
  const output = await text(child.stdout)
  return { code: child.exitCode ?? (await once(child, 'exit'))[0], output }
}

test('unref: Node ends although the command runs, and the command with it; ref takes it back', async () => {
  const word = `unref-${process.pid}`
  expect(await embed(`
    const child = sandbox.spawn(['sh', '-c', 'echo started; while :; do sleep 1; done', ${JSON.stringify(word)}])
    await new Promise(resolve => child.stdout.once('data', resolve))
    child.unref()
    console.log('end')`)).toEqual({ code: 0, output: 'end\n' })
  await expect.poll(() => processesWithArgument(word), { timeout: 20_000 }).toEqual([])
  expect(await embed(`
    const child = sandbox.spawn(['sh', '-c', 'sleep 0.3; echo waited'])
    child.unref(); child.ref(); child.unref(); child.ref()
    child.stdout.on('data', data => console.log(String(data).trim()))`)).toEqual({ code: 0, output: 'waited\n' })
  // One that is unref'd does not let go of another.
  expect(await embed(`
    sandbox.spawn(['sleep', '1000']).unref()
    sandbox.exec(['sh', '-c', 'sleep 0.3; echo waited']).then(result => console.log(result.stdout.trim()))`)).toEqual({ code: 0, output: 'waited\n' })
})

test('listeners that throw are an uncaught exception as with a ChildProcess, and the sandbox goes on', async () => {
  expect(await embed(`
    process.on('uncaughtException', error => console.log(error.message))
    const child = sandbox.spawn(['echo', 'x'])
    child.on('spawn', () => { throw new Error('in spawn') })
    child.on('exit', () => { throw new Error('in exit') })
    child.stdout.on('data', () => { throw new Error('in data') })
    await child.exited
    await new Promise(resolve => setTimeout(resolve, 100))
    console.log((await sandbox.exec(['echo', 'still there'])).stdout.trim())
    await sandbox.close()`)).toMatchObject({ code: 0, output: expect.stringMatching(/still there\n$/) })
})
