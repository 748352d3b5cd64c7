// Commands that are decided about first, over the wire: ask, answer, run or not, and the next time unasked. What did not run is looked for from outside.
import { existsSync, mkdirSync, mkdtempSync, readFileSync, realpathSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { ENV, type Message, type RawClient, type RunningService, startService, TRANSPORTS } from './raw-client.js'

const WORKSPACE = { type: 'workspaceWrite', excludeSlashTmp: true, excludeTmpdirEnvVar: true }
const RULES = `prefix_rule(["mkdir"], "forbidden", justification="no folders today")
prefix_rule(["touch", "prompted"], "prompt")
`

describe.each(TRANSPORTS)('over %s', transport => {
  const outside = realpathSync(mkdtempSync('/var/tmp/cs-commands-'))
  const cwd = join(outside, 'work')
  const codexHome = join(outside, 'home')
  const rulesFile = join(codexHome, 'rules/default.rules')
  let service: RunningService
  let client: RawClient
  const start = async (): Promise<RawClient> => {
    const made = await service.connect()
    await made.initialize({ optOutNotificationMethods: ['sandbox/commandReport'] })
    return made
  }
  beforeAll(async () => {
    for (const folder of [cwd, join(codexHome, 'rules')]) mkdirSync(folder, { recursive: true })
    writeFileSync(join(codexHome, 'config.toml'), 'approval_policy = "untrusted"\n')
    writeFileSync(rulesFile, RULES)
    service = await startService(transport, { cwd, env: { ...ENV, CODEX_HOME: codexHome } })
    client = await start()
  })
  afterAll(async () => {
    await service.stop()
    rmSync(outside, { recursive: true, force: true, maxRetries: 20, retryDelay: 100 })
  })
  const run = (command: readonly string[], more: object = {}): string | number => client.begin('sandbox/runCommand', { command, sandboxPolicy: WORKSPACE, turnId: 't', itemId: 'i', ...more })
  const question = (): Promise<Message> => client.message(({ method }) => method === 'item/commandExecution/requestApproval')
  const outcome = async (id: string | number): Promise<Message> => (await client.answer(id)).result
  const made = (name: string): boolean => existsSync(join(cwd, name))
  /** Answers the next question. */
  async function answer(decision: unknown): Promise<Message> {
    const asked = await question()
    client.send({ id: asked.id, result: { decision } })
    expect(await client.notification('serverRequest/resolved')).toEqual({ threadId: asked.params.threadId, requestId: asked.id })
    return asked.params
  }
  /** What was told of the item, in order; the rest is gone. */
  const told = (): string[] => client.messages.splice(0).map(({ method, params }) => `${method} ${params.item?.status ?? ''}`.trim())

  test('ask, accept with a rule, run; the next time unasked', async () => {
    const first = run(['touch', 'made'], { justification: 'please\nyes' })
    const asked = await answer({ acceptWithExecpolicyAmendment: { execpolicy_amendment: ['touch', 'made'] } })
    expect(asked).toMatchObject({ turnId: 't', itemId: 'i', approvalId: expect.any(String), startedAtMs: expect.any(Number), command: 'touch made', cwd, reason: '`touch made` is not known to be harmless (the asker says: "please\\nyes")', proposedExecpolicyAmendment: ['touch', 'made'] })
    expect(asked.availableDecisions).toEqual(['accept', 'acceptForSession', { acceptWithExecpolicyAmendment: { execpolicy_amendment: ['touch', 'made'] } }, 'decline', 'cancel'])
    expect(await outcome(first)).toEqual({ outcome: 'ran', reason: null, asked: true, escalated: false, retried: false, warning: null, exec: { exitCode: 0, stdout: '', stderr: '' } })
    expect(made('made')).toBe(true)
    expect(readFileSync(rulesFile, 'utf8')).toBe(`${RULES}prefix_rule(pattern=["touch", "made"], decision="allow")\n`)
    expect(told()).toEqual(['item/started inProgress', 'item/completed completed'])
    rmSync(join(cwd, 'made'))
    expect(await outcome(run(['bash', '-lc', 'ls && touch made']))).toMatchObject({ outcome: 'ran', asked: false, exec: { exitCode: 0 } })
    expect(made('made')).toBe(true)
    expect(told()).toEqual(['item/started inProgress', 'item/completed completed'])
  })
  test('harmless commands are not asked about', async () => {
    expect(await outcome(run(['echo', 'hi']))).toMatchObject({ outcome: 'ran', asked: false, exec: { exitCode: 0, stdout: 'hi\n' } })
    expect(told()).toEqual(['item/started inProgress', 'item/completed completed'])
  })
  const NO_ANSWER = ' (it was asked about and got no valid answer)'
  test.each([
    ['decline', 'declined', ''], ['cancel', 'cancelled', ''], ['acceptForever', 'declined', NO_ANSWER], [{ acceptWithExecpolicyAmendment: { execpolicy_amendment: ['touch'] } }, 'declined', NO_ANSWER], [undefined, 'declined', NO_ANSWER],
  ])('the answer %j: %s, and nothing ran', async (decision, expected, why) => {
    const id = run(['touch', 'refused'])
    await answer(decision)
    expect(await outcome(id)).toMatchObject({ outcome: expected, reason: `\`touch refused\` is not known to be harmless${why}`, asked: true, exec: null })
    expect(made('refused')).toBe(false)
    expect(told()).toEqual(['item/started inProgress', 'item/completed declined'])
  })
  test('an error in the answer declines', async () => {
    const id = run(['touch', 'refused'])
    client.send({ id: (await question()).id, error: { code: -32000, message: 'no' } })
    expect(await outcome(id)).toMatchObject({ outcome: 'declined' })
    expect(made('refused')).toBe(false)
    client.messages.splice(0)
  })
  test('what a rule forbids is not asked about and does not run', async () => {
    expect(await outcome(run(['bash', '-lc', 'echo $(mkdir folder)']))).toMatchObject({ outcome: 'forbidden', reason: expect.stringContaining('no folders today'), asked: false, exec: null })
    expect(made('folder')).toBe(false)
    expect(told()).toEqual(['item/started inProgress', 'item/completed declined'])
  })
  test('a request that is wrong is over for who was told that it began', async () => {
    expect((await client.answer(run(['touch', 'refused'], { additionalPermissions: { filesystem: { write: [outside] } } }))).error).toMatchObject({ code: -32602, data: { field: 'additionalPermissions.filesystem' } })
    expect(told()).toEqual(['item/started inProgress', 'item/completed failed'])
  })
  test('what was approved for the session is asked about again by another client, and with other permissions', async () => {
    const first = run(['touch', 'prompted'])
    expect((await answer('acceptForSession')).reason).toContain('a rule wants `touch prompted` to be asked about')
    expect(await outcome(first)).toMatchObject({ outcome: 'ran', asked: true })
    expect(await outcome(run(['touch', 'prompted']))).toMatchObject({ outcome: 'ran', asked: false })
    const wider = run(['touch', 'prompted'], { additionalPermissions: { fileSystem: { read: null, write: [outside] } } })
    expect(await answer('decline')).toMatchObject({ additionalPermissions: { fileSystem: { write: [outside] } } })
    expect(await outcome(wider)).toMatchObject({ outcome: 'declined' })
    if (transport === 'unix') {
      const mine = client
      client = await start()
      const other = run(['touch', 'prompted'])
      await answer('decline')
      expect(await outcome(other)).toMatchObject({ outcome: 'declined' })
      client = mine
    }
    client.messages.splice(0)
  })
  test('more permissions hold for the command that they were approved for', async () => {
    const beside = join(outside, 'beside')
    const id = run(['touch', beside], { additionalPermissions: { fileSystem: { write: [outside] } } })
    await answer('accept')
    expect(await outcome(id)).toMatchObject({ outcome: 'ran', escalated: false, exec: { exitCode: 0 } })
    expect(existsSync(beside)).toBe(true)
    rmSync(beside)
    expect((await client.ask('command/exec', { command: ['touch', beside], sandboxPolicy: WORKSPACE })).result.exitCode).not.toBe(0)
    expect(existsSync(beside)).toBe(false)
    client.messages.splice(0)
  })
  test('without the sandbox: only after a yes to that', async () => {
    const beside = join(outside, 'beside')
    const escalated = { sandboxPermissions: 'require_escalated' }
    const no = run(['touch', beside], escalated)
    expect((await answer('decline')).reason).toContain('asks to run without the sandbox')
    expect([(await outcome(no)).outcome, existsSync(beside)]).toEqual(['declined', false])
    const yes = run(['touch', beside], escalated)
    await answer('accept')
    expect(await outcome(yes)).toMatchObject({ outcome: 'ran', escalated: true, exec: { exitCode: 0 } })
    expect(existsSync(beside)).toBe(true)
    rmSync(beside)
    client.messages.splice(0)
  })
  test('a retry after a denial is another question, with an id of its own', async () => {
    const beside = join(outside, 'beside')
    const id = run(['touch', beside])
    const first = await answer('acceptForSession')
    const second = await answer('decline')
    expect(second.reason).toBe('command failed; retry without sandbox?')
    expect(second.approvalId).not.toBe(first.approvalId)
    const { exec, ...rest } = await outcome(id)
    expect([exec.exitCode === 0, rest.outcome, rest.retried, existsSync(beside)]).toEqual([false, 'ran', false, false])
    const again = run(['touch', beside])
    expect((await answer('accept')).approvalId).not.toBe(second.approvalId)
    expect(await outcome(again)).toMatchObject({ outcome: 'ran', escalated: true, retried: true, exec: { exitCode: 0 } })
    expect(existsSync(beside)).toBe(true)
    rmSync(beside)
    client.messages.splice(0)
  })
  test('a rules file that is wrong asks about everything, until it is mended', async () => {
    const good = readFileSync(rulesFile, 'utf8')
    writeFileSync(rulesFile, `${good}prefix_rule(\n`)
    const id = run(['echo', 'hi'])
    expect((await answer('decline')).reason).toMatch(/default\.rules:4:12/)
    expect(await outcome(id)).toMatchObject({ outcome: 'declined' })
    writeFileSync(rulesFile, good)
    expect(await outcome(run(['echo', 'hi']))).toMatchObject({ outcome: 'ran', asked: false })
    client.messages.splice(0)
  })
  test('a misspelt parameter and an empty command are refused', async () => {
    expect((await client.ask('sandbox/runCommand', { command: ['true'], sandboxPermission: 'use_default' })).error).toMatchObject({ code: -32602, message: expect.stringContaining('sandboxPermission') })
    expect((await client.ask('sandbox/runCommand', { command: [] })).error).toMatchObject({ code: -32600 })
    expect((await client.ask('sandbox/runCommand', { command: ['true'], sandboxPermissions: 'all' })).error.code).toBeLessThan(0)
  })
})

describe('hosts', () => {
  /** Prints the answer's status. The hosts do not exist: an allowed one is looked for in vain (502), a denied one is refused (403). */
  const FETCH = ['import sys, urllib.request, urllib.error', 'try:', '  print(urllib.request.urlopen(sys.argv[1]).status)', 'except urllib.error.HTTPError as error:', '  print(error.code)'].join('\n')
  const cwd = realpathSync(mkdtempSync('/var/tmp/cs-hosts-'))
  const codexHome = join(cwd, 'home')
  const rulesFile = join(codexHome, 'rules/default.rules')
  const RULES = 'network_rule("rule.invalid", "http", "allow")\nnetwork_rule("listed.invalid", "https", "deny")\n'
  let service: RunningService
  let client: RawClient
  beforeAll(async () => {
    mkdirSync(join(codexHome, 'rules'), { recursive: true })
    writeFileSync(join(codexHome, 'config.toml'), '[network]\nenabled = true\nallowed_domains = ["listed.invalid", "plain.invalid"]\n')
    writeFileSync(rulesFile, RULES)
    service = await startService('stdio', { cwd, env: { ...ENV, CODEX_HOME: codexHome } })
    client = await service.connect()
    await client.initialize({ optOutNotificationMethods: ['sandbox/commandReport'] })
  })
  afterAll(async () => {
    await service.stop()
    rmSync(cwd, { recursive: true, force: true, maxRetries: 20, retryDelay: 100 })
  })
  const fetch = (host: string): string | number => client.begin('command/exec', { command: ['python3', '-c', FETCH, `http://${host}/`], timeoutMs: 25_000 })
  const status = async (id: string | number): Promise<string> => (await client.answer(id)).result.stdout.trim()

  test('rules answer for hosts that the policy does not name, and deny those that it allows', async () => {
    expect(await status(fetch('rule.invalid'))).toBe('502')
    expect(await status(fetch('plain.invalid'))).toBe('502')
    expect(await status(fetch('listed.invalid'))).toBe('403')
    expect(client.messages).toEqual([])
  })
  test('what is answered for good becomes a rule, which another service knows', async () => {
    const id = fetch('asked.invalid')
    const asked = await client.message(({ method }) => method === 'item/commandExecution/requestApproval')
    expect(asked.params.proposedNetworkPolicyAmendments).toContainEqual({ host: 'asked.invalid', action: 'allow' })
    client.send({ id: asked.id, result: { decision: { applyNetworkPolicyAmendment: { network_policy_amendment: { host: 'asked.invalid', action: 'allow' } } } } })
    expect(await status(id)).toBe('502')
    expect(readFileSync(rulesFile, 'utf8')).toBe(`${RULES}network_rule(host="asked.invalid", protocol="http", decision="allow")\n`)
    await service.stop()
    service = await startService('stdio', { cwd, env: { ...ENV, CODEX_HOME: codexHome } })
    client = await service.connect()
    await client.initialize({ optOutNotificationMethods: ['sandbox/commandReport'] })
    expect(await status(fetch('asked.invalid'))).toBe('502')
    expect(client.messages).toEqual([])
  })
})
