// The service asks its client about a host that no rule names, and holds to the answer.
import { mkdirSync, mkdtempSync, realpathSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { ENV, type Message, type RawClient, type RunningService, startService, TRANSPORTS } from './raw-client.js'

/** Asks for a page, and prints the answer's status. The hosts do not exist: an allowed one is looked for in vain (502), a denied one is refused (403). */
const FETCH = ['import sys, urllib.request, urllib.error', 'try:', '  print(urllib.request.urlopen(sys.argv[1]).status)', 'except urllib.error.HTTPError as error:', '  print(error.code)'].join('\n')

describe.each(TRANSPORTS)('over %s', transport => {
  const cwd = realpathSync(mkdtempSync('/var/tmp/cs-approvals-'))
  const codexHome = join(cwd, 'home')
  let service: RunningService
  let client: RawClient
  beforeAll(async () => {
    mkdirSync(codexHome)
    writeFileSync(join(codexHome, 'config.toml'), '[network]\nenabled = true\nallowed_domains = ["allowed.invalid"]\ndenied_domains = ["denied.invalid"]\n')
    service = await startService(transport, { cwd, env: { ...ENV, CODEX_HOME: codexHome } })
    client = await service.connect()
    await client.initialize({ optOutNotificationMethods: ['sandbox/commandReport'] })
  })
  afterAll(async () => {
    await service.stop()
    rmSync(cwd, { recursive: true, force: true, maxRetries: 20, retryDelay: 100 })
  })
  const fetch = (...urls: string[]): string | number => client.begin('command/exec', { command: ['sh', '-c', `for url in ${urls.join(' ')}; do python3 -c '${FETCH}' $url & done; wait`], timeoutMs: 25_000 })
  const question = (): Promise<Message> => client.message(({ method }) => method === 'item/commandExecution/requestApproval')
  const outcome = async (id: string | number): Promise<string> => (await client.answer(id)).result.stdout

  test('an allowed host is not asked about, and a denied one neither', async () => {
    expect(await outcome(fetch('http://allowed.invalid/'))).toBe('502\n')
    expect(await outcome(fetch('http://denied.invalid/'))).toBe('403\n')
    expect(client.messages).toEqual([])
  })
  test.each([['accept', '502\n'], ['decline', '403\n'], ['cancel', '403\n']])('%s', async (decision, expected) => {
    const id = fetch(`http://${decision}.invalid:8080/`)
    const asked = await question()
    expect(asked.params).toMatchObject({
      threadId: expect.any(String), turnId: expect.any(String), itemId: expect.any(String), startedAtMs: expect.any(Number), reason: expect.stringContaining(`${decision}.invalid`),
      networkApprovalContext: { host: `${decision}.invalid`, protocol: 'http' },
    })
    expect(asked.params.availableDecisions).toEqual(expect.arrayContaining(['accept', 'acceptForSession', 'decline', 'cancel']))
    client.send({ id: asked.id, result: { decision } })
    expect(await client.notification('serverRequest/resolved')).toEqual({ threadId: asked.params.threadId, requestId: asked.id })
    expect(await outcome(id)).toBe(expected)
  })
  test('at one time a host is asked about once, and all that wait get the answer', async () => {
    const id = fetch('http://many.invalid/', 'http://many.invalid/', 'http://many.invalid/', 'http://MANY.invalid/')
    const asked = await question()
    await new Promise(resolve => setTimeout(resolve, 1000))
    expect(client.messages.filter(({ method }) => method === 'item/commandExecution/requestApproval')).toEqual([])
    client.send({ id: asked.id, result: { decision: 'accept' } })
    expect(await outcome(id)).toBe('502\n502\n502\n502\n')
    await client.notification('serverRequest/resolved')
  })
  test('accepted for the session it is not asked again; an error in the answer denies', async () => {
    const id = fetch('http://session.invalid/')
    client.send({ id: (await question()).id, result: { decision: 'acceptForSession' } })
    expect(await outcome(id)).toBe('502\n')
    await client.notification('serverRequest/resolved')
    expect(await outcome(fetch('http://session.invalid/'))).toBe('502\n')
    const other = fetch('http://other.invalid/')
    client.send({ id: (await question()).id, error: { code: -32000, message: 'no' } })
    expect(await outcome(other)).toBe('403\n')
    await client.notification('serverRequest/resolved')
    expect(client.messages).toEqual([])
  })
  test('a command that ends while it is asked about takes its question back', async () => {
    const id = client.begin('command/exec', { command: ['python3', '-c', FETCH, 'http://slow.invalid/'], processId: 'slow' })
    const asked = await question()
    await client.ask('command/exec/terminate', { processId: 'slow' })
    expect((await client.answer(id)).result.exitCode).toBe(137)
    expect(await client.notification('serverRequest/resolved')).toMatchObject({ requestId: asked.id })
  })
})

test('under approval_policy = "never" nobody is asked', async () => {
  const cwd = realpathSync(mkdtempSync('/var/tmp/cs-approvals-'))
  writeFileSync(join(cwd, 'config.toml'), 'approval_policy = "never"\n[network]\nenabled = true\nallowed_domains = ["allowed.invalid"]\n')
  const service = await startService('stdio', { cwd, env: { ...ENV, CODEX_HOME: cwd } })
  try {
    const client = await service.connect()
    await client.initialize({ optOutNotificationMethods: ['sandbox/commandReport'] })
    expect((await client.ask('command/exec', { command: ['python3', '-c', FETCH, 'http://a.invalid/'] })).result.stdout).toBe('403\n')
    expect(client.messages).toEqual([])
  } finally {
    await service.stop()
    rmSync(cwd, { recursive: true, force: true, maxRetries: 20, retryDelay: 100 })
  }
})
