// What an organisation requires, over the wire: a request that asks for more by name is an error, and a file that does gets less.
import { existsSync, mkdirSync, mkdtempSync, realpathSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { PassThrough } from 'node:stream'
import { expect, onTestFinished, test } from 'vitest'
import { loadConfig } from '../../src/config/load.js'
import { Service } from '../../src/service/service.js'
import { RawClient } from './raw-client.js'

/** A service of this process, since where the system's files lie cannot be said from outside. */
async function start(requirements: string, config = ''): Promise<{ client: RawClient; cwd: string }> {
  const cwd = realpathSync(mkdtempSync('/var/tmp/cs-required-'))
  for (const [name, file, text] of [['system', 'requirements.toml', requirements], ['home', 'config.toml', config]] as const) {
    mkdirSync(join(cwd, name))
    writeFileSync(join(cwd, name, file), text)
  }
  const service = new Service({ cwd, readConfig: folder => loadConfig({ cwd: folder, codexHome: join(cwd, 'home'), systemFolder: join(cwd, 'system') }) })
  const [input, output] = [new PassThrough(), new PassThrough()]
  service.accept(input, output)
  const client = new RawClient(output, input)
  onTestFinished(async () => {
    await service.end(0)
    rmSync(cwd, { recursive: true, force: true, maxRetries: 20, retryDelay: 100 })
  })
  await client.initialize({ optOutNotificationMethods: ['sandbox/commandReport'] })
  return { client, cwd }
}

test('modes that are not allowed: an error by name, a narrower one from a file, and the client is told', async () => {
  const { client, cwd } = await start('allowed_sandbox_modes = ["read-only"]\nallowed_approval_policies = ["never"]\n', 'sandbox_mode = "workspace-write"\n')
  for (const type of ['workspaceWrite', 'dangerFullAccess']) {
    const { error } = await client.ask('command/exec', { command: ['true'], sandboxPolicy: { type } })
    expect(error).toMatchObject({ code: -32600, message: expect.stringMatching(/^invalid sandbox policy: .*allowed_sandbox_modes/) })
  }
  expect((await client.ask('command/exec', { command: ['true'], sandboxPolicy: { type: 'readOnly' } })).result.exitCode).toBe(0)
  expect((await client.ask('command/exec', { command: ['sh', '-c', `echo x > ${cwd}/x`] })).result.stderr).toContain('Read-only')
  expect((await client.notification('configWarning', ({ summary }) => summary.startsWith('sandbox_mode'))).summary).toContain('"workspace-write" became "read-only"')
  expect((await client.ask('configRequirements/read')).result).toEqual({ requirements: { allowedSandboxModes: ['read-only'], allowedApprovalPolicies: ['never'] } })
  expect((await client.ask('config/read')).result.config).toMatchObject({ sandbox_mode: 'read-only' })
  const { error } = await client.ask('sandbox/grant', { permissions: { fileSystem: { write: [cwd] } }, sandboxPolicy: { type: 'readOnly' } })
  expect(error).toMatchObject({ code: -32600, message: expect.stringMatching(/^invalid sandbox policy/) })
})
test('all modes allowed: each of them is', async () => {
  const { client, cwd } = await start('allowed_sandbox_modes = ["read-only", "workspace-write", "danger-full-access"]\n')
  expect((await client.ask('command/exec', { command: ['sh', '-c', `echo x > ${cwd}/x`], sandboxPolicy: { type: 'workspaceWrite' } })).result.exitCode).toBe(0)
  expect((await client.ask('command/exec', { command: ['true'], sandboxPolicy: { type: 'dangerFullAccess' } })).result.exitCode).toBe(0)
})
test('a bounded network: no open one, and no grant of it', async () => {
  const { client } = await start('[experimental_network]\nenabled = true\nallowed_domains = ["a.example"]\n')
  expect((await client.ask('command/exec', { command: ['true'], sandboxPolicy: { type: 'readOnly', networkAccess: true } })).error).toMatchObject({ code: -32600 })
  expect((await client.ask('sandbox/grant', { permissions: { network: { enabled: true } }, sandboxPolicy: { type: 'readOnly' } })).error).toMatchObject({ code: -32600 })
  expect((await client.ask('command/exec', { command: ['true'], sandboxPolicy: { type: 'readOnly' } })).result.exitCode).toBe(0)
  expect((await client.ask('configRequirements/read')).result.requirements.network).toEqual({ enabled: true, allowedDomains: ['a.example'] })
})
test('paths that nobody may read are not read by a policy of the request\'s own either', async () => {
  const { client, cwd } = await start('')
  writeFileSync(join(cwd, 'secret'), 'secret\n')
  expect((await client.ask('command/exec', { command: ['cat', 'secret'], sandboxPolicy: { type: 'workspaceWrite' } })).result.stdout).toBe('secret\n')
  const { client: bounded, cwd: held } = await start(`[permissions.filesystem]\ndeny_read = ["${cwd}/secret"]\n`)
  expect(held).not.toBe(cwd)
  expect((await bounded.ask('command/exec', { command: ['cat', join(cwd, 'secret')], sandboxPolicy: { type: 'workspaceWrite' } })).result.stdout).toBe('')
})
test('nor is a part of them opened by a more specific rule: a root, a permission of one command, a grant', async () => {
  const held = realpathSync(mkdtempSync('/var/tmp/cs-held-'))
  onTestFinished(() => rmSync(held, { recursive: true, force: true }))
  mkdirSync(join(held, 'part'))
  writeFileSync(join(held, 'part/key'), 'secret\n')
  const { client } = await start(`[permissions.filesystem]\ndeny_read = ["${held}"]\n`, 'approval_policy = "on-request"\n')
  const refused = expect.objectContaining({ message: expect.stringContaining(`requirements deny reading "${held}"`) })
  expect((await client.ask('command/exec', { command: ['cat', join(held, 'part/key')], sandboxPolicy: { type: 'workspaceWrite', writableRoots: [join(held, 'part')] } })).error).toEqual(refused)
  for (const permissions of [{ fileSystem: { read: [join(held, 'part/key')] } }, { fileSystem: { write: [join(held, 'part')] } }]) {
    expect((await client.ask('sandbox/grant', { permissions, sandboxPolicy: { type: 'workspaceWrite' } })).error, JSON.stringify(permissions)).toBeDefined()
    const after = await client.ask('command/exec', { command: ['cat', join(held, 'part/key')], sandboxPolicy: { type: 'workspaceWrite' } })
    expect(after.result?.stdout ?? '').toBe('')
  }
  const { client: free } = await start('')
  expect((await free.ask('command/exec', { command: ['cat', join(held, 'part/key')], sandboxPolicy: { type: 'workspaceWrite', writableRoots: [join(held, 'part')] } })).result.stdout).toBe('secret\n')
})
test('a Windows sandbox that is not allowed is refused before it begins', async () => {
  const { client } = await start('[windows]\nallowed_sandbox_implementations = ["elevated"]\n')
  expect((await client.ask('windowsSandbox/setupStart', { mode: 'unelevated' })).error).toMatchObject({ code: -32600, message: expect.stringContaining('allowed_windows_sandbox_implementations') })
  expect((await client.ask('windowsSandbox/setupStart', { mode: 'elevated' })).result).toEqual({ started: true })
})

test('a yes of the client does not go beyond what is required: permissions of one command, hosts and all of the sandbox', async () => {
  const { client, cwd } = await start('allowed_sandbox_modes = ["read-only"]\n[experimental_network]\nenabled = true\nallowed_domains = ["a.example"]\n', 'approval_policy = "on-request"\n')
  const readOnly = { type: 'readOnly' }
  const wider = [{ fileSystem: { write: [cwd] } }, { network: { enabled: true } }, { network: { allowedDomains: ['b.example'] } }, { network: { allowedDomains: ['a.example', '@npm'] } }]
  for (const additionalPermissions of wider) {
    const run = client.ask('sandbox/runCommand', { command: ['touch', join(cwd, 'made')], additionalPermissions, sandboxPolicy: readOnly })
    expect((await run).error, JSON.stringify(additionalPermissions)).toMatchObject({ code: -32600, message: expect.stringMatching(/^invalid sandbox policy/) })
    expect((await client.ask('sandbox/grant', { permissions: additionalPermissions, sandboxPolicy: readOnly })).error, JSON.stringify(additionalPermissions)).toMatchObject({ code: -32600 })
  }
  expect(existsSync(join(cwd, 'made'))).toBe(false)
  expect(client.messages.filter(({ method }) => method === 'item/commandExecution/requestApproval')).toEqual([])
  // What is required to be there at most may be asked for.
  const permissions = { network: { allowedDomains: ['a.example'] } }
  expect((await client.ask('sandbox/grant', { permissions, sandboxPolicy: readOnly })).result).toMatchObject({ changed: true })
})
test('a network that is required to be off is not opened for one host', async () => {
  const { client } = await start('[experimental_network]\nenabled = false\n')
  expect((await client.ask('sandbox/grant', { permissions: { network: { allowedDomains: ['a.example'] } }, sandboxPolicy: { type: 'readOnly' } })).error).toMatchObject({ code: -32600 })
})
