// Sandboxes that the service keeps: one for many commands, a new one when the host has changed under it, and one that is lost.
import { spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, readFileSync, realpathSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, onTestFinished, test } from 'vitest'
import { ENV, type Message, type RawClient, type RunningService, startService } from './raw-client.js'

let cwd: string
let service: RunningService
let client: RawClient
beforeEach(async () => {
  cwd = realpathSync(mkdtempSync('/var/tmp/cs-kept-'))
  mkdirSync(join(cwd, 'root'))
  service = await startService('stdio', { cwd, env: ENV })
  client = await service.connect()
  await client.initialize({ optOutNotificationMethods: ['sandbox/commandReport'] })
})
afterEach(async () => {
  await service.stop()
  rmSync(cwd, { recursive: true, force: true, maxRetries: 20, retryDelay: 100 })
})

const sandboxPolicy = (): object => ({ type: 'workspaceWrite', writableRoots: [join(cwd, 'root')] })
const shell = (script: string, more: object = {}): Promise<Message> => client.ask('command/exec', { command: ['sh', '-c', script], sandboxPolicy: sandboxPolicy(), ...more })
/** Process ids of the launchers that the service has started and that still run. */
const launchers = (): string[] => spawnSync('pgrep', ['-x', '-P', String(service.process.pid), 'codex-sandbox-l'], { encoding: 'utf8' }).stdout.split('\n').filter(Boolean)

test('the same policy has one, another policy another one', async () => {
  await shell('true')
  const first = launchers()
  await Promise.all(Array.from({ length: 10 }, () => shell('true')))
  expect(launchers()).toEqual(first)
  await shell('true', { sandboxPolicy: { type: 'readOnly' } })
  expect(launchers()).toHaveLength(2)
})

test('a root that was replaced is the one that stands there now, protected as the old one was', async () => {
  await shell('echo 1 > root/a')
  renameSync(join(cwd, 'root'), join(cwd, 'old'))
  mkdirSync(join(cwd, 'root/.git'), { recursive: true })
  writeFileSync(join(cwd, 'root/.git/config'), 'mine\n')
  expect((await shell('echo 2 > root/a; echo theirs > root/.git/config')).result.stderr).toContain('Read-only')
  expect([readFileSync(join(cwd, 'root/a'), 'utf8'), readFileSync(join(cwd, 'old/a'), 'utf8'), readFileSync(join(cwd, 'root/.git/config'), 'utf8')]).toEqual(['2\n', '1\n', 'mine\n'])
})

test('where a repository leads is looked at before each command', async () => {
  await shell('true')
  const before = launchers()
  // A linked worktree whose repository lies in the other root.
  mkdirSync(join(cwd, 'repository'))
  writeFileSync(join(cwd, 'repository/HEAD'), 'ref: refs/heads/main\n')
  writeFileSync(join(cwd, 'repository/gitdir'), join(cwd, 'root/.git\n'))
  // The placeholder goes soon after the last command.
  while (existsSync(join(cwd, 'root/.git'))) await new Promise(resolve => setTimeout(resolve, 50))
  writeFileSync(join(cwd, 'root/.git'), `gitdir: ${join(cwd, 'repository')}\n`)
  await shell('echo theirs > repository/HEAD; echo fine > beside')
  expect(readFileSync(join(cwd, 'repository/HEAD'), 'utf8')).toBe('ref: refs/heads/main\n')
  expect(existsSync(join(cwd, 'beside'))).toBe(true)
  expect(launchers()).not.toEqual(before)
})

test('a .git that is a link: so is what its target says, which changes in place', async () => {
  for (const name of ['one', 'other']) {
    mkdirSync(join(cwd, name))
    writeFileSync(join(cwd, name, 'HEAD'), 'ref: refs/heads/main\n')
  }
  const pointer = realpathSync(mkdtempSync('/var/tmp/cs-pointer-'))
  onTestFinished(() => rmSync(pointer, { recursive: true }))
  const leadTo = (name: string): void => writeFileSync(join(pointer, 'file'), `gitdir: ${join(cwd, name)}\n`)
  leadTo('one')
  symlinkSync(join(pointer, 'file'), join(cwd, 'root/.git'))
  await shell('echo theirs > one/HEAD; echo fine > other/file')
  leadTo('other')
  await shell('echo theirs > other/HEAD')
  for (const name of ['one', 'other']) expect(readFileSync(join(cwd, name, 'HEAD'), 'utf8'), name).toBe('ref: refs/heads/main\n')
  expect(existsSync(join(cwd, 'other/file'))).toBe(true)
})

test('a root that was missing grants as soon as it is there', async () => {
  const policy = { type: 'workspaceWrite', excludeSlashTmp: true, writableRoots: [`${cwd}-later`] }
  try {
    expect((await shell(`echo x > ${cwd}-later/a`, { sandboxPolicy: policy })).result.exitCode).not.toBe(0)
    mkdirSync(`${cwd}-later`)
    expect((await shell(`echo x > ${cwd}-later/a`, { sandboxPolicy: policy })).result.exitCode).toBe(0)
  } finally {
    rmSync(`${cwd}-later`, { recursive: true, force: true, maxRetries: 20, retryDelay: 100 })
  }
})

test('a launcher that is killed costs its commands, which say so, and nothing else', async () => {
  await shell('true')
  const [launcher] = launchers()
  const id = client.begin('command/exec', { command: ['sh', '-c', 'echo up; sleep 1000'], processId: 'a', streamStdoutStderr: true, disableTimeout: true, sandboxPolicy: sandboxPolicy() })
  await client.notification('command/exec/outputDelta')
  process.kill(Number(launcher), 'SIGKILL')
  expect((await client.answer(id)).error).toMatchObject({ code: -32603, data: { code: 'launcher_lost' } })
  expect((await shell('echo on')).result).toEqual({ exitCode: 0, stdout: 'on\n', stderr: '' })
  expect(launchers()).not.toContain(launcher)
  // Also where it was idle.
  process.kill(Number(launchers()[0]), 'SIGKILL')
  await new Promise(resolve => setTimeout(resolve, 300))
  expect((await shell('echo on')).result).toEqual({ exitCode: 0, stdout: 'on\n', stderr: '' })
})
