// Many commands, much output: nothing is left over, and memory does not grow with either.
import { once } from 'node:events'
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { beforeEach, expect, onTestFinished, test } from 'vitest'
import { createSandbox, type Sandbox } from '../../src/exec/sandbox.js'
import { expectNone, residentKiB } from './host-processes.js'
import { type OwnLauncher, ownLauncher } from './own-launcher.js'
import { makeWorkspace, type Workspace } from './workspace.js'

beforeEach(context => { if (process.platform !== 'linux') context.skip('the launcher is for Linux') })

/** Of the monitor, which is what stays for as long as the sandbox does. */
const MOST_LAUNCHER_KIB = 2048
/** The launcher and what it keeps prepared: the forker, two inits. */
const IDLE_PROCESSES = 4

interface Setting { sandbox: Sandbox; workspace: Workspace; launcher: OwnLauncher; pid: number }

async function start(): Promise<Setting> {
  const workspace = makeWorkspace()
  const launcher = ownLauncher()
  const sandbox = await createSandbox({ cwd: workspace.path, launcherPath: launcher.path })
  onTestFinished(() => sandbox.close())
  return { sandbox, workspace, launcher, pid: sandbox.pid! }
}

/** What there is when no command runs and none has for a while. */
async function settle({ workspace, launcher }: Setting): Promise<void> {
  await expectNone(workspace.entries)
  await expect.poll(() => launcher.processes().length, { timeout: 20_000 }).toBe(IDLE_PROCESSES)
}

async function runMany({ sandbox }: Setting): Promise<void> {
  for (let i = 0; i < 1000; i++) {
    const { exitCode, stdout } = await sandbox.exec(['echo', String(i)])
    expect({ exitCode, stdout }).toEqual({ exitCode: 0, stdout: `${i}\n` })
  }
  const script = 'echo $0; echo error >&2; read line; echo $line; exit $(($0 % 100))'
  const results = await Promise.all(Array.from({ length: 200 }, (_, i) => sandbox.exec(['sh', '-c', script, String(i)], { stdin: `in ${i}\n` })))
  expect(results.map(({ exitCode, stdout, stderr, ended }) => ({ exitCode, stdout, stderr, ended }))).toEqual(results.map((_, i) => ({ exitCode: i % 100, stdout: `${i}\nin ${i}\n`, stderr: 'error\n', ended: [] })))
}

test('1,000 commands in a row and 200 at once: Node has no descriptor more, the sandbox no process, and the launcher is small', { timeout: 120_000 }, async () => {
  const setting = await start()
  await Promise.all(Array.from({ length: 5 }, () => setting.sandbox.exec(['true'])))
  await settle(setting)
  const before = readdirSync('/proc/self/fd').length
  await runMany(setting)
  await settle(setting)
  expect(readdirSync('/proc/self/fd').length).toBe(before)
  expect(residentKiB(setting.pid)).toBeLessThanOrEqual(MOST_LAUNCHER_KIB)
})

test('1,000 commands in a row and 200 at once: the launcher and the forker have no descriptor and no mount more', { timeout: 120_000 }, async context => {
  if (process.getuid?.() !== 0) context.skip('only root may look into a process that hides its memory')
  const setting = await start()
  await Promise.all(Array.from({ length: 5 }, () => setting.sandbox.exec(['true'])))
  await settle(setting)
  const before = belongings(setting)
  await runMany(setting)
  await settle(setting)
  expect(belongings(setting)).toEqual(before)
})

/** Of each process of the launcher: how many descriptors it has, and how many mounts it sees. */
const belongings = ({ launcher }: Setting): string[] => launcher.processes()
  .map(pid => `${readdirSync(`/proc/${pid}/fd`).length} descriptors, ${readFileSync(`/proc/${pid}/mountinfo`, 'utf8').split('\n').length} mounts`)
  .sort()

test('2 GiB of output to a slow reader: all of it arrives, and neither Node nor the launcher grows', { timeout: 240_000 }, async () => {
  const { sandbox, pid } = await start()
  const total = 2 * 2 ** 30
  const child = sandbox.spawn(['head', '-c', String(total), '/dev/zero'])
  let bytes = 0
  let largest = { launcher: 0, node: 0 }
  const before = process.memoryUsage.rss()
  for await (const chunk of child.stdout) {
    bytes += (chunk as Buffer).length
    largest = { launcher: Math.max(largest.launcher, residentKiB(pid)), node: Math.max(largest.node, process.memoryUsage.rss() - before) }
  }
  expect(await child.exited).toMatchObject({ exitCode: 0 })
  expect(bytes).toBe(total)
  expect(largest.node).toBeLessThan(128 * 2 ** 20)
  // Its queue to Node, and what is being added to it.
  expect(largest.launcher).toBeLessThan(2 * MOST_LAUNCHER_KIB)
})

test('output that nobody reads: the command waits, and what is kept of it is no more than the window', async () => {
  const { sandbox, pid, workspace } = await start()
  const child = sandbox.spawn(['sh', '-c', 'head -c 100000000 /dev/zero; echo done >&2; touch written'])
  const received: number[] = []
  child.stderr!.on('data', chunk => received.push((chunk as Buffer).length))
  // A second command goes through meanwhile, again and again: the first is not in its way, and had the time to write all.
  for (let i = 0; i < 50; i++) expect((await sandbox.exec(['echo', String(i)])).stdout).toBe(`${i}\n`)
  expect({ received, entries: workspace.entries() }).toEqual({ received: [], entries: ['.agents', '.codex', '.git'] })
  expect(child.stdout.readableLength).toBeLessThanOrEqual(1 << 20)
  expect(residentKiB(pid)).toBeLessThan(2 * MOST_LAUNCHER_KIB)
  let bytes = 0
  child.stdout.on('data', chunk => { bytes += (chunk as Buffer).length })
  await once(child, 'close')
  expect({ bytes, entries: workspace.entries().includes('written') }).toEqual({ bytes: 100_000_000, entries: true })
})

test('input that the command does not read: writing waits until it does, and then all of it arrives', async () => {
  const { sandbox, pid, workspace } = await start()
  const child = sandbox.spawn(['sh', '-c', 'until test -e go; do sleep 0.01; done; wc -c'])
  const piece = Buffer.alloc(1 << 20, '\n')
  let written = 0
  const source = (async () => {
    for (; written < 64; written++) if (!child.stdin!.write(piece)) await once(child.stdin!, 'drain')
    child.stdin!.end()
  })()
  for (let i = 0; i < 20; i++) expect((await sandbox.exec(['echo', String(i)])).stdout).toBe(`${i}\n`)
  expect(written).toBeLessThanOrEqual(1)
  expect(residentKiB(pid)).toBeLessThan(2 * MOST_LAUNCHER_KIB)
  writeFileSync(join(workspace.path, 'go'), '')
  let output = ''
  child.stdout.on('data', chunk => { output += String(chunk) })
  await source
  expect(await child.exited).toMatchObject({ exitCode: 0 })
  expect(output).toBe(`${64 * piece.length}\n`)
})
