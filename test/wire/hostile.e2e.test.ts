// A client that means harm: what it sends reaches no other client, and does not end the service.
import { existsSync, mkdirSync, mkdtempSync, realpathSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { ENV, type Message, type RawClient, type RunningService, startService } from './raw-client.js'

const place = realpathSync(mkdtempSync('/var/tmp/cs-hostile-'))
mkdirSync(join(place, 'home'))
writeFileSync(join(place, 'home', 'config.toml'), 'approval_policy = "on-request"\n')
afterAll(() => rmSync(place, { recursive: true, force: true, maxRetries: 20, retryDelay: 100 }))

let service: RunningService
beforeAll(async () => { service = await startService('unix', { cwd: place, env: { ...ENV, CODEX_HOME: join(place, 'home'), OPENAI_API_KEY: 'canary-of-the-service' } }) })
afterAll(() => service.stop())

/** So many lists in each other, as text. */
const deep = (levels: number): string => `${'['.repeat(levels)}${']'.repeat(levels)}`
const DEEP = deep(200_000)

async function connect(): Promise<RawClient> {
  const client = await service.connect()
  await client.initialize({ optOutNotificationMethods: ['sandbox/commandReport'] })
  return client
}

const question = (client: RawClient): Promise<Message> => client.message(({ method }) => method === 'item/commandExecution/requestApproval')

test('lists in lists, 200,000 of them, wherever a message has room for them', async () => {
  const [client, other] = [await connect(), await connect()]
  client.write(`${DEEP}\n{"id":${DEEP},"method":"command/exec","params":{}}\n{"method":"x","params":${DEEP}}\n{"id":7,"error":${DEEP}}\n`)
  for (const [id, method, params] of [
    ['policy', 'command/exec', `{"command":["true"],"sandboxPolicy":{"type":"readOnly","x":${DEEP}}}`],
    ['type', 'command/exec', `{"command":["true"],"sandboxPolicy":{"type":${DEEP}}}`],
    ['command', 'command/exec', `{"command":${DEEP}}`],
    ['unknown', 'command/exec', `{"command":["true"],"x":${DEEP}}`],
    ['grant', 'sandbox/grant', `{"permissions":{"fileSystem":{"write":["/x"],"x":${DEEP}}}}`],
    ['run', 'sandbox/runCommand', `{"command":["true"],"additionalPermissions":{"x":${DEEP}}}`],
    ['config', 'config/read', `{"cwd":${DEEP}}`],
  ] as const) {
    client.write(`{"id":"${id}","method":"${method}","params":${params}}\n`)
    expect((await client.answer(id)).error, id).toMatchObject({ code: expect.any(Number) })
  }
  // Decisions, of questions that are open.
  for (const answer of [`"error":${DEEP}`, `"result":${DEEP}`, `"result":{"decision":${DEEP}}`, `"result":{"decision":{"acceptWithExpecolicyAmendment":${DEEP}}}`]) {
    const asked = client.ask('sandbox/runCommand', { command: ['touch', 'x'], sandboxPermissions: 'require_escalated' })
    const { id } = await question(client)
    client.write(`{"id":${id},${answer}}\n`)
    expect((await asked).result, answer.slice(0, 40)).toMatchObject({ outcome: 'declined' })
  }
  expect((await other.ask('command/exec', { command: ['echo', 'here'] })).result.stdout).toBe('here\n')
  expect((await client.ask('command/exec', { command: ['echo', 'here'] })).result.stdout).toBe('here\n')
  for (const each of [client, other]) each.end()
})

test('a question is answered once, by the client that was asked; others and unknown ids are not heard', async () => {
  const [asker, other] = [await connect(), await connect()]
  const asked = asker.ask('sandbox/runCommand', { command: ['touch', join(place, 'made')], sandboxPermissions: 'require_escalated' })
  const { id } = await question(asker)
  for (const each of [id, String(id), id + 1, -1, '__proto__']) other.send({ id: each, result: { decision: 'accept' } })
  for (const each of [String(id), id + 1, '__proto__', id + 0.5, null, [id]]) asker.send({ id: each, result: { decision: 'accept' } })
  await other.ask('config/read')
  asker.send({ id, result: { decision: 'decline' } })
  asker.send({ id, result: { decision: 'accept' } })
  expect((await asked).result).toMatchObject({ outcome: 'declined' })
  for (const each of [asker, other]) each.end()
})

test('names of prototypes are names', async () => {
  const client = await connect()
  for (const method of ['__proto__', 'constructor', 'toString', 'hasOwnProperty']) expect((await client.ask(method)).error.code).toBe(-32601)
  client.write('{"id":"p","method":"command/exec","params":{"command":["true"],"__proto__":{"sandboxPolicy":{"type":"dangerFullAccess"}}}}\n')
  expect((await client.answer('p')).error).toMatchObject({ code: -32602 })
  client.write('{"id":"q","method":"command/exec","params":{"command":["sh","-c","echo x > through; echo $?"],"sandboxPolicy":{"type":"readOnly","__proto__":{"type":"workspaceWrite","networkAccess":true}}}}\n')
  expect((await client.answer('q')).result.stdout).not.toBe('0\n')
  expect(existsSync(join(place, 'through'))).toBe(false)
  expect((await client.ask('command/exec', { command: ['env'], env: { constructor: 'one', toString: null } })).result.stdout).toContain('constructor=one\n')
  expect(({} as Message).type).toBeUndefined()
  client.end()
})

test('what a client that does not read has waiting does not begin, and comes when it reads', async () => {
  const [client, other] = [await connect(), await connect()]
  const policy = { type: 'workspaceWrite' }
  client.pause()
  const ids = Array.from({ length: 8 }, (_, index) => client.begin('command/exec', { command: ['sh', '-c', `head -c 6000000 /dev/zero; touch done-${index}`], disableOutputCap: true, sandboxPolicy: policy }))
  ids.push(client.begin('command/exec', { command: ['touch', 'late'], sandboxPolicy: policy }))
  const made = async (name: string): Promise<boolean> => (await other.ask('command/exec', { command: ['test', '-e', join(place, name)] })).result.exitCode === 0
  for (let index = 0; index < 8; index++) while (!await made(`done-${index}`)) await new Promise(resolve => setTimeout(resolve, 20))
  for (let looks = 0; looks < 20; looks++) expect(await made('late')).toBe(false)
  client.resume()
  for (const id of ids) expect((await client.answer(id)).result.exitCode).toBe(0)
  expect(await made('late')).toBe(true)
  for (const each of [client, other]) each.end()
})

test('what starts processes beside commands waits for its turn as they do', async () => {
  const [client, other] = [await connect(), await connect()]
  const ids = Array.from({ length: 128 }, (_, index) => client.begin('command/exec', { command: ['sleep', '100'], processId: `p${index}`, streamStdoutStderr: true, disableTimeout: true }))
  const policy = { type: 'readOnly', networkAccess: true }
  const waiting = [
    client.begin('sandbox/explain', { access: { kind: 'write', path: '/x' }, sandboxPolicy: policy }), client.begin('sandbox/checkHost', { sandboxPolicy: policy }),
    client.begin('sandbox/grant', { permissions: { fileSystem: { read: ['/usr'] } }, sandboxPolicy: policy }), client.begin('sandbox/session/start', { command: ['true'], sandboxPolicy: policy }),
  ]
  for (let looks = 0; looks < 10; looks++) expect((await other.ask('sandbox/explain', { access: { kind: 'write', path: '/x' } })).result.verdict).toBe('deny')
  expect(client.messages.filter(({ id }) => waiting.includes(id))).toEqual([])
  await client.ask('command/exec/terminate', { processId: 'p0' })
  for (const id of waiting) expect((await client.answer(id)).result).toBeDefined()
  for (let index = 1; index < 128; index++) client.begin('command/exec/terminate', { processId: `p${index}` })
  for (const id of ids) expect((await client.answer(id)).result.exitCode).toBe(137)
  for (const each of [client, other]) each.end()
})
