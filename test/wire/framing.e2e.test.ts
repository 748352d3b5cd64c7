// What comes over a connection however it is cut, wrong or rude, and what becomes of commands whose client is slow or gone.
import { mkdtempSync, realpathSync, rmSync } from 'node:fs'
import { spawnSync } from 'node:child_process'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { ENV, type Message, type RunningService, startService, TRANSPORTS } from './raw-client.js'

const INITIALIZE = { clientInfo: { name: 'raw', title: null, version: '1' }, capabilities: null }

/** Processes whose command line has this text. */
const count = (mark: string): number => Number(spawnSync('pgrep', ['-fc', mark], { encoding: 'utf8' }).stdout)

/** Waits for something that is seen from outside only. */
async function until(condition: () => boolean, what: string): Promise<void> {
  for (let looks = 0; !condition(); looks++) {
    if (looks > 400) throw new Error(`it did not happen: ${what}`)
    await new Promise(resolve => setTimeout(resolve, 25))
  }
}

describe.each(TRANSPORTS)('over %s', transport => {
  const cwd = realpathSync(mkdtempSync('/var/tmp/cs-framing-'))
  afterAll(() => rmSync(cwd, { recursive: true, force: true, maxRetries: 20, retryDelay: 100 }))

  async function start(run: (service: RunningService) => Promise<void>): Promise<void> {
    const service = await startService(transport, { cwd, env: ENV })
    try {
      await run(service)
    } finally {
      await service.stop()
    }
  }

  describe('one service', () => {
    let service: RunningService
    let client: Awaited<ReturnType<RunningService['connect']>>
    const early: Message[] = []
    let initialized: Message
    beforeAll(async () => {
      service = await startService(transport, { cwd, env: ENV })
      client = await service.connect()
      for (const method of ['command/exec', 'config/read', 'sandbox/session/list']) early.push(await client.ask(method, { command: ['true'] }))
      early.push(await client.ask('initialize', { clientInfo: 'me' }))
      initialized = await client.ask('initialize', INITIALIZE, 'a text as id')
      client.notify('initialized')
    })
    afterAll(() => service.stop())
    const works = async (): Promise<void> => expect((await client.ask('command/exec', { command: ['echo', 'hi'] })).result).toEqual({ exitCode: 0, stdout: 'hi\n', stderr: '' })

    test('nothing is taken before initialize, whatever it is; then its answer says where it runs', async () => {
      for (const answer of early.slice(0, 3)) expect(answer).toEqual({ id: expect.any(Number), error: expect.objectContaining({ code: -32600, message: 'Not initialized' }) })
      expect(early[3].error.message).toMatch(/^Invalid request: clientInfo/)
      expect(initialized).toEqual({
        id: 'a text as id', result: { userAgent: expect.stringMatching(/^codex-sandbox\/\d/), codexHome: ENV.CODEX_HOME, platformFamily: 'unix', platformOs: 'linux' },
      })
      await works()
    })
    test('lines may come in pieces, several at once, with CRLF and blank ones between', async () => {
      const line = `${JSON.stringify({ id: 'pieces', method: 'command/exec', params: { command: ['printf', 'ä'] } })}\r\n`
      for (const byte of Buffer.from(line)) {
        client.write(Buffer.from([byte]))
        if (byte === 0xc3) await new Promise(resolve => setTimeout(resolve, 20))
      }
      expect((await client.answer('pieces')).result.stdout).toBe('ä')
      const many = ['x', 'y', 'z'].map(id => JSON.stringify({ id, method: 'command/exec', params: { command: ['echo', id] } })).join('\n\n\r\n')
      client.write(`${many}\n`)
      for (const id of ['x', 'y', 'z']) expect((await client.answer(id)).result.stdout).toBe(`${id}\n`)
    })
    test('jsonrpc may be there and is not sent', async () => {
      client.send({ jsonrpc: '2.0', id: 'j', method: 'command/exec', params: { command: ['true'] } })
      expect(Object.keys(await client.answer('j'))).toEqual(['id', 'result'])
    })
    test.each([
      ['no JSON', 'this is no JSON', 'skipped a line that is not JSON'],
      ['a number', '42', 'skipped a line that is no message'],
      ['a list', '[{"id":1,"method":"command/exec"}]', 'skipped a line that is no message'],
      ['an object without a method', '{"id":1}', 'skipped a line that is no message'],
      ['an answer to nothing', '{"id":77,"result":{}}', 'skipped an answer to 77'],
      ['invalid UTF-8', Buffer.from([0x22, 0xff, 0xfe, 0x22]), 'skipped a line that is not UTF-8'],
      ['an unknown notification', '{"method":"cancel"}', 'ignored the notification "cancel"'],
    ])('%s is logged and skipped, and the connection lives on', async (_name, line, logged) => {
      client.write(line)
      client.write('\n')
      await works()
      await expect.poll(() => service.log(), { timeout: 10_000 }).toContain(logged)
    })
    test.each([
      ['a fraction', '1.5'], ['more than 53 bits', '12345678901234567890'], ['a truth', 'true'], ['a table', '{}'], ['a list', '[1]'],
    ])('a request whose id is %s is answered with an error, under no id, and not carried out', async (_name, id) => {
      client.write(`{"id":${id},"method":"command/exec","params":{"command":["touch","by-such-an-id"]}}\n`)
      expect(await client.message(each => each.id === null)).toEqual({ id: null, error: { code: -32600, message: expect.stringMatching(/^Invalid request: id: invalid type, expected a string or an integer/) } })
      await works()
    })
    test('one whose method is no text is answered under its id; an id of null makes a notification, as for the reference', async () => {
      client.write('{"id":"no text","method":5}\n{"id":null,"method":"command/exec","params":{"command":["true"]}}\n')
      expect((await client.answer('no text')).error).toEqual({ code: -32600, message: 'Invalid request: method: invalid type, expected string' })
      await works()
      await expect.poll(() => service.log(), { timeout: 10_000 }).toContain('ignored the notification "command/exec"')
      expect(client.messages.filter(({ id }) => id === null)).toEqual([])
    })
    test('a line of 100 MB is refused while it comes, by its id where that stands at its start', async () => {
      const chunk = Buffer.alloc(1 << 20, 'x')
      for (const start of ['{"id":"long","method":"command/exec","params":{"command":["', '{"params":{"command":["']) {
        client.write(start)
        for (let megabytes = 0; megabytes < 100; megabytes++) client.write(chunk)
        client.write('"]}}\n')
      }
      expect((await client.answer('long')).error).toEqual(expect.objectContaining({ code: -32600, message: expect.stringMatching(/longer than 16777216 bytes/) }))
      await works()
      await expect.poll(() => service.log(), { timeout: 10_000 }).toContain('skipped a line of more than 16777216 bytes')
    })
    test('an id that is not answered yet is refused a second time, and is free again afterwards', async () => {
      client.begin('command/exec', { command: ['sleep', '1'] }, 'twice')
      client.begin('command/exec', { command: ['true'] }, 'twice')
      expect((await client.answer('twice')).error.message).toMatch(/^duplicate request id "twice"/)
      expect((await client.answer('twice')).result.exitCode).toBe(0)
      expect((await client.ask('command/exec', { command: ['true'] }, 'twice')).result.exitCode).toBe(0)
    })
    test('a flood of commands is answered, all of it, with results or with "retry later"', async () => {
      const ids = Array.from({ length: 900 }, (_, index) => client.begin('command/exec', { command: ['sleep', '0.3'], disableTimeout: true }, `flood-${index}`))
      const answers: Message[] = []
      for (const id of ids) answers.push(await client.answer(id))
      const refused = answers.filter(({ error }) => error !== undefined)
      expect(refused.map(({ error }) => error.code).every(code => code === -32001)).toBe(true)
      // 128 run and 512 wait.
      expect(refused.length).toBeGreaterThan(0)
      expect(answers.filter(({ result }) => result?.exitCode === 0)).toHaveLength(900 - refused.length)
      expect(refused[0].error).toEqual(expect.objectContaining({ message: 'Server overloaded; retry later.', data: { retryAfterMs: 500, detail: expect.any(String) } }))
      await works()
    })
  })

  test('what was silenced by name does not come, and nothing else is', async () => {
    await start(async service => {
      const client = await service.connect()
      await client.initialize({ optOutNotificationMethods: ['sandbox/commandReport', 'windowsSandbox/setupCompleted'] })
      await client.ask('windowsSandbox/setupStart', { mode: 'elevated' })
      await client.ask('command/exec', { command: ['echo', 'x'], processId: 'a', streamStdoutStderr: true })
      await client.ask('windowsSandbox/readiness', {})
      expect(client.messages.map(({ method }) => method)).toEqual(['command/exec/outputDelta'])
    })
  })

  test('a client that goes takes its commands with it', async () => {
    await start(async service => {
      const mark = `cs-gone-${transport}-${process.pid}`
      const client = await service.connect()
      await client.initialize()
      client.begin('command/exec', { command: ['sh', '-c', `sleep 1000; : ${mark}`], processId: 'a', streamStdoutStderr: true, disableTimeout: true })
      client.begin('command/exec', { command: ['sh', '-c', `sleep 1000; : ${mark}`], disableTimeout: true })
      client.begin('sandbox/session/start', { command: ['sh', '-c', `sleep 1000; : ${mark}`] })
      await until(() => count(mark) === 3, 'all three run')
      client.destroy()
      await until(() => count(mark) === 0, 'none of them runs')
    })
  })

  test('a client that closes its side only gets what it asked for', async () => {
    await start(async service => {
      const client = await service.connect()
      client.begin('initialize', INITIALIZE)
      client.begin('command/exec', { command: ['sh', '-c', 'sleep 0.5; echo late'] }, 'late')
      client.begin('command/exec', { command: ['sh', '-c', 'sleep 1000'], disableTimeout: true }, 'endless')
      client.end()
      expect((await client.answer('late')).result.stdout).toBe('late\n')
      expect((await client.answer('endless')).result.exitCode).toBe(137)
      await client.over()
    })
  })

  test('a client that does not read holds its command up, and nothing is lost', async () => {
    await start(async service => {
      const client = await service.connect()
      await client.initialize()
      client.pause()
      const id = client.begin('command/exec', { command: ['sh', '-c', 'head -c 60000000 /dev/zero'], processId: 'big', streamStdoutStderr: true, disableOutputCap: true, disableTimeout: true })
      await new Promise(resolve => setTimeout(resolve, 1500))
      // The service holds some megabytes, not 80.
      const resident = Number(/VmRSS:\s+(\d+)/.exec(spawnSync('cat', [`/proc/${service.process.pid}/status`], { encoding: 'utf8' }).stdout)?.[1]) / 1024
      client.resume()
      const { result } = await client.answer(id)
      expect(result.exitCode).toBe(0)
      const bytes = client.messages.filter(({ method }) => method === 'command/exec/outputDelta').reduce((sum, { params }) => sum + Buffer.from(params.deltaBase64, 'base64').length, 0)
      expect(bytes).toBe(60_000_000)
      expect(resident).toBeLessThan(160)
    })
  }, 60_000)

  test('SIGTERM: no new work, what runs has a moment, the rest is ended and told, and nothing is left', async () => {
    const service = await startService(transport, { cwd, env: ENV })
    const mark = `cs-term-${transport}-${process.pid}`
    const client = await service.connect()
    await client.initialize()
    client.begin('command/exec', { command: ['sh', '-c', `sleep 1; echo done; : ${mark}`], disableTimeout: true }, 'short')
    client.begin('command/exec', { command: ['sh', '-c', `sleep 1000; : ${mark}`], disableTimeout: true }, 'endless')
    await until(() => count(mark) === 2, 'both run')
    service.process.kill('SIGTERM')
    // Until the signal has arrived.
    let refused: Message
    do refused = await client.ask('command/exec', { command: ['true'] })
    while (refused.error === undefined)
    expect(refused.error.code).toBe(-32001)
    expect((await client.answer('short')).result.stdout).toBe('done\n')
    expect((await client.answer('endless')).result.exitCode).toBe(137)
    await client.over()
    expect(await service.exited).toEqual({ code: 0, signal: null })
    expect(count(mark)).toBe(0)
    await service.stop()
  })
})
