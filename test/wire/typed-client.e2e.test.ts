// A client that is written from the generated types alone does a day's work, and every message fits what was generated.
import { spawn } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, realpathSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { METHODS } from '../../src/service/methods.js'
import { NOTIFICATIONS } from '../../src/service/protocol.js'
import type { ClientRequests, CommandExecOutputDeltaNotification, SandboxCommandReportNotification } from './generated/index.js'
import { CLI, ENV } from './raw-client.js'
import { type Listeners, RequestError, TypedClient } from './typed-client.js'

const folder = (): string => {
  const made = realpathSync(mkdtempSync('/var/tmp/cs-typed-'))
  onTestFinished(() => rmSync(made, { recursive: true, force: true, maxRetries: 20, retryDelay: 100 }))
  return made
}

interface Place { readonly cwd: string; readonly codexHome: string }

function start(listeners: Listeners, { cwd, codexHome }: Place, words: readonly string[] = []): TypedClient {
  const child = spawn(process.execPath, [CLI, 'app-server', ...words], { cwd, env: { ...ENV, CODEX_HOME: codexHome }, stdio: ['pipe', 'pipe', 'inherit'] })
  onTestFinished(() => new Promise<void>(resolve => {
    child.once('exit', () => resolve())
    child.stdin.end()
  }))
  return new TypedClient(child.stdout, child.stdin, listeners)
}

/** Asks, and holds the answer to its schema. */
async function ask<Method extends keyof ClientRequests>(client: TypedClient, method: Method, params: ClientRequests[Method]['params']): Promise<ClientRequests[Method]['response']> {
  const response = await client.request(method, params)
  expect(METHODS[method]?.result.safeParse(response)).toMatchObject({ success: true })
  return response
}

test('handshake, commands, streams, reports, explanations, a grant and a terminal', async () => {
  const deltas: CommandExecOutputDeltaNotification[] = []
  const reports: SandboxCommandReportNotification[] = []
  const place = { cwd: folder(), codexHome: folder() }
  const outside = folder()
  const client = start({
    heard(notification) {
      expect(NOTIFICATIONS[notification.method].params.safeParse(notification.params)).toMatchObject({ success: true })
      if (notification.method === 'command/exec/outputDelta') deltas.push(notification.params)
      if (notification.method === 'sandbox/commandReport') reports.push(notification.params)
    },
  }, place)
  await ask(client, 'initialize', { clientInfo: { name: 'typed', title: 'Typed', version: '2' }, capabilities: { optOutNotificationMethods: [] } })
  client.initialized()

  const denied = await ask(client, 'command/exec', { command: ['touch', join(outside, 'x')], sandboxPolicy: { type: 'workspaceWrite' } })
  expect(denied.exitCode).toBe(1)
  await expect.poll(() => reports.length).toBe(1)
  const { denials, enforcement } = reports[0]!.report
  expect(denials[0]).toMatchObject({ kind: 'file', operation: 'create', path: join(outside, 'x') })
  expect(enforcement.backend).toBe('linux-native')

  // What the denial proposes is what the grant takes.
  const { remedy } = denials[0] as unknown as { remedy: { additionalPermissions: ClientRequests['sandbox/grant']['params']['permissions'] } }
  expect(await ask(client, 'sandbox/grant', { permissions: remedy.additionalPermissions, sandboxPolicy: { type: 'workspaceWrite' } })).toEqual({ changed: true, notes: [] })
  expect((await ask(client, 'command/exec', { command: ['touch', join(outside, 'x')], sandboxPolicy: { type: 'workspaceWrite' } })).exitCode).toBe(0)
  // And for this policy only.
  expect((await ask(client, 'command/exec', { command: ['touch', join(outside, 'x')], sandboxPolicy: { type: 'readOnly' } })).exitCode).toBe(1)

  await ask(client, 'command/exec', { command: ['printf', 'abc'], processId: 'p', streamStdoutStderr: true })
  expect(Buffer.concat(deltas.map(({ deltaBase64 }) => Buffer.from(deltaBase64, 'base64'))).toString()).toBe('abc')

  expect(await ask(client, 'sandbox/explain', { access: { kind: 'write', path: '/etc/hosts' } })).toMatchObject({ verdict: 'deny', text: expect.stringContaining('write to "/etc/hosts" denied') })
  expect(await ask(client, 'sandbox/explain', { access: { kind: 'write', path: 'here' }, sandboxPolicy: { type: 'workspaceWrite' } })).toMatchObject({ verdict: 'allow' })
  expect(await ask(client, 'sandbox/checkHost', {})).toMatchObject({ ok: true })
  const { sessionId } = await ask(client, 'sandbox/session/start', { command: ['sleep', '1000'], yieldTimeMs: 250 })
  expect((await ask(client, 'sandbox/session/list', {})).sessions).toHaveLength(1)
  await ask(client, 'sandbox/session/poll', { sessionId, yieldTimeMs: 0 })
  expect(await ask(client, 'sandbox/session/kill', { sessionId })).toEqual({ exitCode: null, signal: 'SIGTERM' })
  const failure = await client.request('command/exec', { command: [] }).catch((error: unknown) => error)
  expect(failure).toBeInstanceOf(RequestError)
  expect(failure).toMatchObject({ code: -32600 })
})

test('a service reads config.toml: its mode, its roots, its variables, -c over it, and what it says of itself', async () => {
  const place = { cwd: folder(), codexHome: folder() }
  const root = folder()
  writeFileSync(join(place.codexHome, 'config.toml'), `sandbox_mode = "workspace-write"\n[sandbox_workspace_write]\nwritable_roots = ["${root}"]\n[shell_environment_policy]\nset = { FROM_CONFIG = "yes" }\n`)
  const client = start({}, place, ['-c', 'shell_environment_policy.set.MORE="too"'])
  await ask(client, 'initialize', { clientInfo: { name: 'typed', version: '2' } })
  client.initialized()
  expect(await ask(client, 'command/exec', { command: ['sh', '-c', `echo x > ${root}/a && echo "$FROM_CONFIG $MORE"`] })).toEqual({ exitCode: 0, stdout: 'yes too\n', stderr: '' })
  // A policy of the request's own has the same variables.
  expect(await ask(client, 'command/exec', { command: ['sh', '-c', `echo x > ${root}/b; echo "$FROM_CONFIG"`], sandboxPolicy: { type: 'readOnly' } })).toMatchObject({ stdout: 'yes\n', stderr: expect.stringContaining('Read-only') })
  const { config, origins, layers } = await ask(client, 'config/read', { includeLayers: true })
  expect(config).toMatchObject({ sandbox_mode: 'workspace-write', sandbox_workspace_write: { writable_roots: [root], network_access: false }, approval_policy: 'on-request' })
  expect(origins['sandbox_mode']).toEqual({ name: { type: 'user', file: join(place.codexHome, 'config.toml') }, version: expect.stringMatching(/^sha256:/) })
  expect(layers?.map(({ name: { type } }) => type)).toEqual(['sessionFlags', 'user', 'builtIn'])
  expect((await ask(client, 'config/read', {})).layers).toBe(undefined)
  expect(await ask(client, 'configRequirements/read', {})).toEqual({ requirements: null })
})

test('a config file that is wrong refuses every command, with file and line, and the client is told at once', async () => {
  const place = { cwd: folder(), codexHome: folder() }
  writeFileSync(join(place.codexHome, 'config.toml'), 'model = "x"\nsandbox_mode = 5\n')
  const warnings: string[] = []
  const client = start({ heard: ({ method, params }) => { if (method === 'configWarning') warnings.push(params.summary) } }, place)
  await ask(client, 'initialize', { clientInfo: { name: 'typed', version: '2' } })
  client.initialized()
  for (const sandboxPolicy of [null, { type: 'readOnly' as const }]) {
    expect(await client.request('command/exec', { command: ['true'], sandboxPolicy }).catch((error: unknown) => error)).toMatchObject({ message: expect.stringMatching(/config\.toml:?.*2/) })
  }
  expect(warnings).toEqual([expect.stringContaining('sandbox_mode')])
})

test('folders of the configuration cannot be written by a command that has them as its workspace', async () => {
  const codexHome = folder()
  mkdirSync(join(codexHome, 'sub'))
  const client = start({}, { cwd: codexHome, codexHome })
  await ask(client, 'initialize', { clientInfo: { name: 'typed', version: '2' } })
  client.initialized()
  const outcome = await client.request('command/exec', { command: ['sh', '-c', 'echo x > config.toml'], sandboxPolicy: { type: 'workspaceWrite' } }).catch((error: unknown) => error)
  expect(outcome instanceof RequestError || (outcome as { exitCode: number }).exitCode !== 0).toBe(true)
  expect(existsSync(join(codexHome, 'config.toml'))).toBe(false)
})
