// Mutated requests: whatever comes in a line, the service answers what has an id, logs the rest, throws nothing and goes on.
// CODEX_SANDBOX_FUZZ_RUNS: how many (default: 1,500).
import { PassThrough } from 'node:stream'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { Service } from '../../src/service/service.js'

const RUNS = Number(process.env['CODEX_SANDBOX_FUZZ_RUNS'] ?? 1500)

/** None of them starts a command as it is: each is wrong somewhere, or asks only. */
const SEEDS = [
  { id: 1, method: 'command/exec', params: { command: [], processId: 'p', tty: true, size: { rows: 1, cols: 1 }, sandboxPolicy: { type: 'workspaceWrite', writableRoots: ['relative'] } } },
  { id: 2, method: 'command/exec/write', params: { processId: 'none', deltaBase64: 'eA==', closeStdin: true } },
  { id: 3, method: 'command/exec/resize', params: { processId: 'none', size: { rows: 2, cols: 2 } } },
  { id: 4, method: 'command/exec/terminate', params: { processId: 'none' } },
  { id: 5, method: 'windowsSandbox/readiness', params: {} },
  { id: 6, method: 'sandbox/session/write', params: { sessionId: 1, chars: 'x' } },
  { id: 7, method: 'sandbox/session/list', params: { all: true, lines: 3 } },
  { id: 8, method: 'initialize', params: { clientInfo: { name: 'x', title: null, version: '1' }, capabilities: { optOutNotificationMethods: ['x'] } } },
  { id: 'text', result: { decision: 'accept' } },
  { method: 'initialized' },
] as const

const anything = fc.oneof(fc.jsonValue({ maxDepth: 3 }), fc.constantFrom(null, -1, 1e308, '', '__proto__', [], {}, '\u0000', 'a'.repeat(5000)))

/** A seed with one value replaced, removed or doubled, or its text cut, or a byte of it changed. */
const line = fc.constantFrom(...SEEDS).chain(seed => fc.oneof(
  fc.tuple(fc.nat(20), anything).map(([at, value]) => JSON.stringify(replaceAt(seed, at, value))),
  fc.nat(200).map(at => JSON.stringify(seed).slice(0, at)),
  fc.tuple(fc.nat(200), fc.nat(255)).map(([at, byte]) => {
    const bytes = Buffer.from(JSON.stringify(seed))
    bytes[at % bytes.length] = byte === 0x0a ? 0x20 : byte
    return bytes
  }),
  anything.map(value => JSON.stringify(value)),
))

/** Replaces the value of the n-th place in a tree. */
function replaceAt(tree: unknown, at: number, value: unknown): unknown {
  let left = at
  const walk = (node: unknown): unknown => {
    if (left-- === 0) return value
    if (Array.isArray(node)) return node.map(walk)
    if (typeof node === 'object' && node !== null) return Object.fromEntries(Object.entries(node).map(([key, each]) => [key, walk(each)]))
    return node
  }
  return walk(tree)
}

test('every line is answered or logged, and the connection lives on', async () => {
  const logged: string[] = []
  const service = new Service({ cwd: '/', log: text => logged.push(text), readConfig: async () => { throw new Error('no command may start here') } })
  const [input, output] = [new PassThrough(), new PassThrough()]
  const client = service.accept(input, output)
  const answers: { id?: unknown; error?: { code?: unknown; message?: unknown } }[] = []
  let rest = ''
  let wake = (): void => {}
  output.setEncoding('utf8').on('data', (text: string) => {
    const lines = (rest + text).split('\n')
    rest = lines.pop() as string
    answers.push(...lines.map(each => JSON.parse(each)))
    wake()
  })
  const mark = async (id: string): Promise<void> => {
    input.write(`${JSON.stringify({ id, method: 'windowsSandbox/readiness' })}\n`)
    while (!answers.some(answer => answer.id === id)) await new Promise<void>(resolve => { wake = resolve })
  }
  input.write(`${JSON.stringify({ id: 'first', method: 'initialize', params: { clientInfo: { name: 'x', version: '1' } } })}\n`)
  let run = 0
  await fc.assert(fc.asyncProperty(fc.array(line, { minLength: 1, maxLength: 8 }), async lines => {
    for (const each of lines) input.write(typeof each === 'string' ? `${each}\n` : Buffer.concat([each, Buffer.from('\n')]))
    await mark(`mark-${run++}`)
    for (const { error } of answers) {
      if (error === undefined) continue
      expect([-32600, -32601, -32602, -32603]).toContain(error.code)
      expect(error.message).toEqual(expect.any(String))
      // A mistake of ours would be called so, but for the configuration, which no request gets here.
      if (error.code === -32603) expect(error.message).toBe('internal error: no command may start here')
    }
    answers.length = 0
    expect(client.isGone).toBe(false)
  }), { numRuns: RUNS })
  expect(logged.length).toBeGreaterThan(0)
  await service.kill()
}, 120_000)
