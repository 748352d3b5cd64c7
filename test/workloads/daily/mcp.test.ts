// The stdio transport of the MCP SDK, as it is published, with a child of a sandbox in place of a ChildProcess.
import { existsSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect, onTestFinished, test } from 'vitest'
import type { Sandbox } from '../../../src/exec/sandbox.js'
import type { SandboxChild } from '../../../src/exec/spawn.js'
import { isRunning } from '../../native/host-processes.js'
import { makeWorkspace } from '../../native/workspace.js'
import { startSandbox } from '../bad-input/sandbox.js'

// The SDK's own declarations want types of browsers: here is what of it is used.
interface ServerParameters { command: string; args: string[]; stderr: 'pipe' }
interface Transport { readonly pid: number | null; readonly stderr: NodeJS.ReadableStream | null }
interface Client {
  onclose: () => void
  onerror: (error: Error) => void
  connect(transport: Transport): Promise<void>
  listTools(): Promise<{ tools: { name: string }[] }>
  callTool(call: { name: string; arguments: object }): Promise<{ content: { text: string }[] }>
  close(): Promise<void>
}
const sdk = async (name: string): Promise<Record<string, unknown>> => await import(`@modelcontextprotocol/sdk/client/${name}.js`) as Record<string, unknown>
const Client = (await sdk('index'))['Client'] as new (info: { name: string; version: string }) => Client
const StdioClientTransport = (await sdk('stdio'))['StdioClientTransport'] as new (parameters: ServerParameters) => Transport

let sandbox: Sandbox
let child: SandboxChild
// The transport starts its server with cross-spawn, and that with the `spawn` of this very object: here that is the sandbox's.
const childProcess = createRequire(import.meta.url)('node:child_process') as typeof import('node:child_process')
const { spawn } = childProcess
const spawnInside = (command: string, args: readonly string[], { env, cwd }: { env: Record<string, string>; cwd?: string }): SandboxChild => {
  child = sandbox.spawn([command, ...args], { env, ...(cwd === undefined ? {} : { cwd }) })
  return child
}

const SERVER = fileURLToPath(new URL('mcp-server.mjs', import.meta.url))

async function connect(parameters: Partial<ServerParameters> = {}): Promise<{ client: Client; transport: Transport; closed: () => boolean; errors: Error[] }> {
  sandbox = await startSandbox({}, makeWorkspace())
  const transport = new StdioClientTransport({ command: process.execPath, args: [SERVER], stderr: 'pipe', ...parameters })
  const client = new Client({ name: 'outside', version: '1' })
  let closed = false
  const errors: Error[] = []
  client.onclose = () => { closed = true }
  client.onerror = error => void errors.push(error)
  onTestFinished(() => client.close())
  childProcess.spawn = spawnInside as unknown as typeof spawn
  try {
    await client.connect(transport)
  } finally {
    childProcess.spawn = spawn
  }
  return { client, transport, closed: () => closed, errors }
}

const call = async (client: Client, name: string, args: Record<string, unknown> = {}): Promise<unknown> =>
  (await client.callTool({ name, arguments: args })).content[0]?.text

test('a server inside: its tools are called, and write only where the policy lets them', async () => {
  const { client, transport, errors } = await connect()
  const workspace = sandbox.policy.cwd
  expect((await client.listTools()).tools.map(({ name }) => name)).toEqual(['write', 'echo', 'crash'])
  expect(await call(client, 'write', { path: join(workspace, 'made') })).toBe('written')
  expect(await call(client, 'write', { path: join(workspace, '../made') })).toBe('EROFS')
  expect([existsSync(join(workspace, 'made')), existsSync(join(workspace, '../made'))]).toEqual([true, false])
  expect({ runs: isRunning(transport.pid!), errors }).toEqual({ runs: true, errors: [] })
})

test('messages larger than every pipe, both ways, many at once', async () => {
  const { client } = await connect()
  const texts = Array.from({ length: 8 }, (_, index) => `${index}`.repeat(1 << 20))
  expect(await Promise.all(texts.map(text => call(client, 'echo', { text })))).toEqual(texts)
})

test('what the server says on stderr arrives', async () => {
  const { transport } = await connect()
  const chunk = await new Promise(resolve => { transport.stderr!.once('data', resolve) })
  expect(String(chunk)).toBe('ready\n')
})

test('closing: the server sees the end of its input and ends', async () => {
  const { client, closed } = await connect()
  await client.close()
  expect({ closed: closed(), exitCode: child.exitCode, killed: child.killed }).toEqual({ closed: true, exitCode: 0, killed: false })
})

test('closing a stubborn server: SIGTERM, then SIGKILL', async () => {
  const { client } = await connect({ args: [SERVER, 'stubborn'] })
  await client.close()
  expect(await child.exited).toMatchObject({ signal: 'SIGKILL' })
  expect(child.killed).toBe(true)
})

test('a server that crashes: the transport is closed, and the call fails', async () => {
  const { client, closed } = await connect()
  await expect(call(client, 'crash')).rejects.toThrow(/closed/i)
  expect({ closed: closed(), exitCode: child.exitCode }).toEqual({ closed: true, exitCode: 3 })
})

test('a program that is missing: connecting fails as with a ChildProcess', async () => {
  await expect(connect({ command: 'no-such-server' })).rejects.toMatchObject({ code: 'ENOENT', syscall: 'spawn no-such-server' })
})

test('the sandbox is closed under it: the transport is closed too', async () => {
  const { closed } = await connect()
  await sandbox.close()
  await expect.poll(closed, { timeout: 20_000 }).toBe(true)
})
