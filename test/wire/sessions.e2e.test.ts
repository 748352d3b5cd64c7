// Background terminals over both transports, and what `codex-sandbox sessions` shows of them.
import { spawnSync } from 'node:child_process'
import { mkdtempSync, realpathSync, rmSync } from 'node:fs'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { CLI, ENV, type Message, type RawClient, type RunningService, startService, TRANSPORTS } from './raw-client.js'


describe.each(TRANSPORTS)('over %s', transport => {
  const cwd = realpathSync(mkdtempSync('/var/tmp/cs-sessions-'))
  let service: RunningService
  let client: RawClient
  beforeAll(async () => {
    service = await startService(transport, { cwd, env: ENV })
    client = await service.connect()
    await client.initialize()
  })
  afterAll(async () => {
    await service.stop()
    rmSync(cwd, { recursive: true, force: true, maxRetries: 20, retryDelay: 100 })
  })
  const ask = async (method: string, params: object): Promise<Message> => {
    const { result, error } = await client.ask(`sandbox/session/${method}`, params)
    if (error !== undefined) throw new Error(`${error.code} ${error.message}`)
    return result
  }
  const start = (script: string, more: object = {}): Promise<Message> => ask('start', { command: ['sh', '-c', script], yieldTimeMs: 1000, ...more })

  test('one that ends at once answers with all of it, before the time is over, and is gone', async () => {
    const result = await start('echo out; echo err >&2; exit 3', { yieldTimeMs: 30_000 })
    expect(result).toEqual({ sessionId: expect.any(Number), state: 'ended', exitCode: 3, signal: null, output: expect.stringMatching(/out\n|err\n/), dropped: 0, more: false, wallTimeMs: expect.any(Number) })
    await expect(ask('poll', { sessionId: result.sessionId })).rejects.toThrow(`-32600 no background terminal ${result.sessionId}`)
  })
  test('one that goes on: yield, write, poll, end', async () => {
    const { sessionId, state, output } = await start('echo ready; while read line; do echo "got $line"; done; echo bye; exit 5')
    expect([state, output]).toEqual(['running', 'ready\n'])
    expect(await ask('write', { sessionId, chars: 'one\n', yieldTimeMs: 1500 })).toMatchObject({ state: 'running', exitCode: null, output: 'got one\n' })
    expect(await ask('write', { sessionId, deltaBase64: Buffer.from('two\n').toString('base64'), closeStdin: true, yieldTimeMs: 30_000 })).toMatchObject({ state: 'ended', exitCode: 5, output: 'got two\nbye\n' })
  })
  test('what is written between two polls comes with the next one, and nothing comes twice', async () => {
    const { sessionId } = await start('sleep 1.5; echo later; sleep 1000', { yieldTimeMs: 250 })
    expect(await ask('poll', { sessionId, yieldTimeMs: 3000 })).toMatchObject({ state: 'running', output: 'later\n' })
    expect(await ask('poll', { sessionId, yieldTimeMs: 100 })).toMatchObject({ state: 'running', output: '' })
    expect(await ask('kill', { sessionId, graceMs: 0 })).toEqual({ exitCode: null, signal: 'SIGKILL' })
  })
  test('output in parts', async () => {
    const { sessionId, output, more } = await start('printf abcdef; sleep 1000', { maxOutputBytes: 4 })
    expect([output, more]).toEqual(['abcd', true])
    expect(await ask('poll', { sessionId, yieldTimeMs: 0 })).toMatchObject({ output: 'ef', more: false })
    await ask('kill', { sessionId, graceMs: 0 })
  })
  test('a terminal, its size, and ctrl-C', async () => {
    const { sessionId, output } = await ask('start', { command: ['sh', '-c', 'stty size; trap "echo int; exit 9" INT; while :; do sleep 0.1; done'], tty: true, size: { rows: 22, cols: 88 }, yieldTimeMs: 1500 })
    expect(output).toBe('22 88\r\n')
    expect(await client.ask('sandbox/session/resize', { sessionId, size: { rows: 10, cols: 20 } })).toMatchObject({ result: {} })
    expect(await ask('write', { sessionId, chars: '\u0003', yieldTimeMs: 20_000 })).toMatchObject({ state: 'ended', exitCode: 9, output: expect.stringContaining('int') })
  })
  test('it is held by the same policy, and has the variables of a log', async () => {
    const script = `echo x > ${cwd}/made; echo "$TERM $PAGER $MORE"; test -e ${cwd}/made || echo refused`
    expect((await start(script, { yieldTimeMs: 30_000, env: { MORE: 'given' } })).output).toMatch(/dumb cat given\nrefused\n$/)
    expect((await start(script, { yieldTimeMs: 30_000, sandboxPolicy: { type: 'workspaceWrite' } })).output).toBe('dumb cat \n')
  })
  test('the list', async () => {
    const { sessionId } = await start('echo one; echo two; sleep 1000')
    const { sessions } = await ask('list', { lines: 1 })
    expect(sessions).toEqual([{
      sessionId, command: ['sh', '-c', 'echo one; echo two; sleep 1000'], cwd, pid: expect.any(Number), startedAtMs: expect.any(Number), state: 'running', exitCode: null, signal: null, endedBy: null,
      lastLines: ['two'], own: true, client: 'raw',
    }])
    await ask('kill', { sessionId, graceMs: 0 })
    expect((await ask('list', {})).sessions).toEqual([])
  })
  test.each([
    ['an empty command', 'start', { command: [] }, '-32600 command must not be empty'],
    ['a size without a terminal', 'start', { command: ['true'], size: { rows: 1, cols: 1 } }, '-32602'],
    ['an unknown parameter', 'start', { command: ['true'], timeoutMs: 5 }, '-32602 sandbox/session/start has no parameter "timeoutMs"'],
    ['an unknown terminal', 'write', { sessionId: 999, chars: 'x' }, '-32600 no background terminal 999'],
    ['an unknown cwd', 'start', { command: ['true'], cwd: '/cs-nowhere' }, '-32602 cwd "/cs-nowhere" does not exist'],
  ])('%s is refused', async (_name, method, params, message) => {
    await expect(ask(method, params)).rejects.toThrow(message)
  })
  test('a client may have 64 of them; ended ones make room', async () => {
    const begun = Array.from({ length: 64 }, () => client.ask('sandbox/session/start', { command: ['sleep', '1000'], yieldTimeMs: 250 }))
    const ids: number[] = (await Promise.all(begun)).map(({ result }) => result.sessionId)
    expect((await client.ask('sandbox/session/start', { command: ['sleep', '1000'] })).error).toMatchObject({ code: -32600, message: expect.stringMatching(/^64 background terminals are the most/) })
    await ask('kill', { sessionId: ids[0], graceMs: 0 })
    ids[0] = (await client.ask('sandbox/session/start', { command: ['sleep', '1000'], yieldTimeMs: 250 })).result.sessionId
    await Promise.all(ids.map(sessionId => ask('kill', { sessionId, graceMs: 0 })))
  }, 60_000)
})

test('`codex-sandbox sessions` lists those of all clients, and ends one; another client sees them and cannot write to them', async () => {
  const cwd = realpathSync(mkdtempSync('/var/tmp/cs-sessions-'))
  const service = await startService('unix', { cwd, env: ENV })
  const sessions = (...words: string[]) => {
    const { status, stdout, stderr } = spawnSync(process.execPath, [CLI, 'sessions', '--listen', `unix://${service.socketPath}`, ...words], { env: ENV, encoding: 'utf8' })
    return { status, stdout, stderr }
  }
  try {
    expect(sessions()).toEqual({ status: 0, stdout: '', stderr: '' })
    const [one, two] = [await service.connect(), await service.connect()]
    await one.initialize()
    await two.initialize()
    const { result: { sessionId } } = await one.ask('sandbox/session/start', { command: ['sh', '-c', 'printf "first\\nlast\\033[31m\\n"; sleep 1000'], yieldTimeMs: 1000 })
    expect(sessions().stdout).toMatch(new RegExp(`^${sessionId}  runs since \\S+Z, of raw in ${cwd}: sh -c "printf .*"\n    first\n    last\n$`))
    expect(JSON.parse(sessions('--json').stdout)).toEqual([expect.objectContaining({ sessionId, own: false, client: 'raw' })])
    expect((await two.ask('sandbox/session/list', {})).result.sessions).toEqual([])
    expect((await two.ask('sandbox/session/list', { all: true })).result.sessions).toHaveLength(1)
    expect((await two.ask('sandbox/session/write', { sessionId, chars: 'x' })).error).toMatchObject({ code: -32600, message: `no background terminal ${sessionId} of this client` })
    expect((await two.ask('sandbox/session/poll', { sessionId })).error.code).toBe(-32600)
    expect(sessions('--kill', String(sessionId))).toEqual({ status: 0, stdout: `ended ${sessionId}\n`, stderr: '' })
    expect(sessions('--kill', String(sessionId))).toMatchObject({ status: 125, stderr: expect.stringContaining(`no background terminal ${sessionId}`) })
    expect(sessions('--kill', 'x')).toMatchObject({ status: 125, stderr: expect.stringContaining('it is no id of a terminal') })
  } finally {
    await service.stop()
    rmSync(cwd, { recursive: true, force: true, maxRetries: 20, retryDelay: 100 })
  }
})
