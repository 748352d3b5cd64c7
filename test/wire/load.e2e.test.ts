// Many clients with many commands, a tenth of them gone in the middle: nothing lost, mixed up or left over.
// CODEX_SANDBOX_LOAD=full: 200 clients with 5,000 commands; else a short form.
import { spawnSync } from 'node:child_process'
import { mkdtempSync, readdirSync, realpathSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { ENV, type Message, type RawClient, type RunningService, startService } from './raw-client.js'

const FULL = process.env['CODEX_SANDBOX_LOAD'] === 'full'
const [CLIENTS, COMMANDS_EACH] = FULL ? [200, 25] : [16, 10]

/** What each command is, and what its answer has to be. */
const KINDS = [
  { name: 'plain',    script: (mark: string) => `echo ${mark}; echo err-${mark} >&2; exit 7`, more: {}, expected: (mark: string) => ({ exitCode: 7, stdout: `${mark}\n`, stderr: `err-${mark}\n` }) },
  { name: 'streamed', script: (mark: string) => `for i in 1 2 3; do echo ${mark}-$i; done`, more: { streamStdoutStderr: true }, expected: () => ({ exitCode: 0, stdout: '', stderr: '' }) },
  { name: 'writing',  script: (mark: string) => `echo ${mark} > ${mark} && cat ${mark} && rm ${mark}`, more: { sandboxPolicy: { type: 'workspaceWrite' } }, expected: (mark: string) => ({ exitCode: 0, stdout: `${mark}\n`, stderr: '' }) },
  { name: 'slow',     script: (mark: string) => `sleep 0.1; echo ${mark}`, more: {}, expected: (mark: string) => ({ exitCode: 0, stdout: `${mark}\n`, stderr: '' }) },
] as const

test(`${CLIENTS} clients with ${COMMANDS_EACH} commands each`, async () => {
  const cwd = realpathSync(mkdtempSync('/var/tmp/cs-load-'))
  const service = await startService('unix', { cwd, env: ENV })
  const token = `cs-load-${process.pid}`
  try {
    const outcomes = await Promise.all(Array.from({ length: CLIENTS }, (_, number) => runClient(service, token, number)))
    const gone = outcomes.filter(outcome => outcome === 'gone').length
    expect(gone).toBe(Math.ceil(CLIENTS / 10))
    expect(outcomes.filter(outcome => outcome !== 'gone' && outcome.length > 0)).toEqual([])
    // Of those that are gone nothing is left, neither processes nor files of half-done ones beside those that they were writing.
    for (let looks = 0; processes(token) > 0 && looks < 200; looks++) await new Promise(resolve => setTimeout(resolve, 50))
    expect(processes(token)).toBe(0)
    const client = await service.connect()
    await client.initialize()
    expect((await client.ask('command/exec', { command: ['echo', 'still here'] })).result.stdout).toBe('still here\n')
    client.destroy()
    expect(readdirSync(join('/proc', String(service.process.pid), 'fd')).length).toBeLessThan(60)
  } finally {
    await service.stop()
    expect(launchersOf(cwd)).toBe(0)
    rmSync(cwd, { recursive: true, force: true, maxRetries: 20, retryDelay: 100 })
  }
}, 900_000)

/** What is wrong with the answers of one client. */
async function runClient(service: RunningService, token: string, number: number): Promise<string[] | 'gone'> {
  const client = await service.connect()
  await client.initialize({ optOutNotificationMethods: ['sandbox/commandReport'] })
  const leaves = number % 10 === 0
  const asked = Array.from({ length: COMMANDS_EACH }, (_, index) => {
    const kind = KINDS[(number + index) % KINDS.length] as (typeof KINDS)[number]
    const mark = `${token}-${number}-${index}`
    // Those of a client that goes would run for ever.
    const script = leaves && index % 2 === 1 ? `sleep 1000; : ${mark}` : kind.script(mark)
    const id = client.begin('command/exec', { command: ['sh', '-c', script], processId: `p${index}`, disableTimeout: true, ...kind.more })
    return { id, kind, mark, processId: `p${index}` }
  })
  if (leaves) {
    await client.answer((asked[0] as { id: string | number }).id)
    client.destroy()
    return 'gone'
  }
  const wrong: string[] = []
  for (const { id, kind, mark, processId } of asked) {
    const { result, error } = await client.answer(id)
    const expected = kind.expected(mark)
    if (JSON.stringify(result) !== JSON.stringify(expected)) wrong.push(`${mark} ${kind.name}: ${JSON.stringify(error ?? result)}`)
    if (kind.name === 'streamed' && streamed(client, processId) !== `${mark}-1\n${mark}-2\n${mark}-3\n`) wrong.push(`${mark} streamed: ${JSON.stringify(streamed(client, processId))}`)
  }
  const others = client.messages.filter(({ method, params }: Message) => method !== 'command/exec/outputDelta' || !asked.some(({ processId, kind }) => processId === params.processId && kind.name === 'streamed'))
  if (others.length > 0) wrong.push(`client ${number}: messages that nobody asked for: ${JSON.stringify(others).slice(0, 500)}`)
  client.destroy()
  return wrong
}

const streamed = (client: RawClient, processId: string): string =>
  Buffer.concat(client.messages.filter(({ params }) => params?.processId === processId).map(({ params }) => Buffer.from(params.deltaBase64, 'base64'))).toString()

const processes = (text: string): number => Number(spawnSync('pgrep', ['-fc', `sleep 1000; : ${text}`], { encoding: 'utf8' }).stdout)

/** Launchers that work in this folder, by what they hold open. */
function launchersOf(folder: string): number {
  const pids = spawnSync('pgrep', ['-x', 'codex-sandbox-l'], { encoding: 'utf8' }).stdout.split('\n').filter(Boolean)
  return pids.filter(pid => {
    try {
      return spawnSync('cat', [`/proc/${pid}/mountinfo`], { encoding: 'utf8' }).stdout.includes(folder)
    } catch {
      return false
    }
  }).length
}
