// Where no namespaces hold the rules, the process that becomes a program is made before its command comes, and is in its domain already. What
// the host does meanwhile, to its folders or to that process, changes nothing of what the command may do, and keeps none from its end.
import { chmodSync, mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { setTimeout as sleep } from 'node:timers/promises'
import { beforeEach, describe, expect, onTestFinished, test } from 'vitest'
import type { Sandbox } from '../../src/exec/sandbox.js'
import { ALL_RUNGS, BWRAP_IF_THERE, isSupervised, type RungVariant, startOn, SUPERVISED } from '../support/rungs.js'
import { childrenOf, expectNone, expectRunning, forkerOf, isRunning, processesWithArgument, stateOf } from './host-processes.js'
import { type OwnLauncher, ownLauncher } from './own-launcher.js'
import { holdEnd, trace, whyNoTracing } from './tracing.js'
import { makeQuietWorkspace, PROTECTED_NAMES, type Workspace } from './workspace.js'

beforeEach(context => { if (process.platform !== 'linux') context.skip('the launcher is for Linux') })

interface Started { readonly sandbox: Sandbox; readonly workspace: Workspace; readonly launcher: OwnLauncher; readonly forker: number }

/** `outside/keys` is denied, so what lies beside it is named in the rules. */
async function start(variant: RungVariant): Promise<Started> {
  const workspace = makeQuietWorkspace(...PROTECTED_NAMES)
  mkdirSync(join(workspace.outside, 'keys'))
  const launcher = ownLauncher()
  const sandbox = await startOn(variant, { cwd: workspace.path, launcherPath: launcher.path, policy: { mode: 'workspace-write', deny: [join(workspace.outside, 'keys')] } })
  onTestFinished(() => sandbox.close())
  return { sandbox, workspace, launcher, forker: forkerOf(sandbox.pid!) }
}

/** What waits now to become a program: each init's child. */
const waiting = ({ forker }: Started): number[] => childrenOf(forker).flatMap(childrenOf)

/** Two, once the forker has made up for what was taken. */
async function expectWaiting(started: Started): Promise<number[]> {
  await expect.poll(() => waiting(started).length, { timeout: 20_000 }).toBe(2)
  return waiting(started)
}

let words = 0

/** The process that runs a command's program, as the host numbers it. */
async function runsAs({ sandbox }: Started): Promise<number> {
  const word = `waits-${process.pid}-${++words}`
  const abort = new AbortController()
  const result = sandbox.exec(['sh', '-c', 'while :; do sleep 1000; done', word], { signal: abort.signal, killGraceMs: 0 })
  await expectRunning(word, 1)
  const [pid] = processesWithArgument(word)
  abort.abort()
  await result
  return pid!
}

const VARIANTS = [...ALL_RUNGS.filter(isSupervised), ...BWRAP_IF_THERE]

describe.each(VARIANTS)('$name: the process that waits for a command', variant => {
  test('becomes its program, and the next ones that wait become the next ones', async () => {
    const started = await start(variant)
    // A change of the host's on the way to the denied path makes those that wait of no use.
    for (let command = 0; command < 4; command++) await expect.poll(async () => (await expectWaiting(started)).includes(await runsAs(started)), { timeout: 20_000 }).toBe(true)
  })

  test('goes with its init, when the sandbox closes and when the init is killed', async () => {
    const started = await start(variant)
    const before = await expectWaiting(started)
    const [first, ...inits] = childrenOf(started.forker)
    process.kill(first!, 'SIGKILL')
    await expect.poll(() => before.filter(isRunning).length, { timeout: 20_000 }).toBe(1)
    expect(inits).toHaveLength(1)
    await started.sandbox.close()
    await expectNone(started.launcher.processes)
  })

  test('is killed by somebody outside: the commands run in others', async () => {
    const started = await start(variant)
    const before = await expectWaiting(started)
    for (const pid of before) process.kill(pid, 'SIGKILL')
    await expectNone(() => before.filter(isRunning))
    for (let command = 0; command < 4; command++) expect(await started.sandbox.exec(['sh', '-c', 'echo ran; cat keys/* 2>/dev/null; exit 3'])).toMatchObject({ stdout: 'ran\n', exitCode: 3 })
  })

  test('is stopped by somebody outside: its command waits, and can be ended', async () => {
    const started = await start(variant)
    const before = await expectWaiting(started)
    for (const pid of before) process.kill(pid, 'SIGSTOP')
    const abort = new AbortController()
    const first = started.sandbox.exec(['echo', 'first'], { signal: abort.signal, killGraceMs: 0 })
    const second = started.sandbox.exec(['echo', 'second'])
    abort.abort()
    expect(await first).toMatchObject({ cancelled: true, signal: 'SIGKILL', stdout: '' })
    // The other one, whichever it is by now, goes on where it was.
    for (const pid of before.filter(isRunning)) process.kill(pid, 'SIGCONT')
    expect(await second).toMatchObject({ stdout: 'second\n', exitCode: 0 })
    expect(await started.sandbox.exec(['echo', 'third'])).toMatchObject({ stdout: 'third\n', exitCode: 0 })
  })

  test('is not what runs on a terminal, which only a child of one that has it gets', async () => {
    const started = await start(variant)
    await expectWaiting(started)
    const child = started.sandbox.spawn(['sh', '-c', 'test -t 0 && echo from the terminal > /dev/tty'], { tty: true })
    const [output, { exitCode }] = await Promise.all([text(child.stdout), child.exited])
    expect({ output, exitCode }).toEqual({ output: 'from the terminal\r\n', exitCode: 0 })
  })

  test('is nothing that a command left which did not need it, however long it takes to be gone', async context => {
    const reason = whyNoTracing()
    if (reason !== undefined) context.skip(reason)
    const started = await start(variant)
    const before = await expectWaiting(started)
    const holders = await Promise.all(before.map(holdEnd))
    const child = started.sandbox.spawn(['true'], { tty: true })
    child.stdout.resume()
    await expect.poll(() => before.some(pid => stateOf(pid) === 'Z'), { timeout: 20_000 }).toBe(true)
    await sleep(300)
    for (const { end } of holders) end()
    expect(await child.exited).toMatchObject({ exitCode: 0, ended: [] })
  })
})

describe.each(ALL_RUNGS.filter(isSupervised))('$name: the host makes a file beside a denied path while processes wait', variant => {
  test('the next commands run it, each in a process that was made after that; later ones in those that wait again', async () => {
    const started = await start(variant)
    const { sandbox, workspace } = started
    const before = await expectWaiting(started)
    const tool = join(workspace.outside, 'tool')
    writeFileSync(tool, '#!/bin/sh\necho "$0"\n')
    chmodSync(tool, 0o755)
    expect(before).not.toContain(await runsAs(started))
    for (let command = 0; command < 4; command++) {
      await expectWaiting(started)
      expect(await sandbox.exec([tool])).toMatchObject({ stdout: `${tool}\n`, exitCode: 0 })
    }
    // The times of folders are coarse: one that has changed lately counts as changed again.
    await expect.poll(async () => (await expectWaiting(started)).includes(await runsAs(started)), { timeout: 20_000 }).toBe(true)
  })

  test('what it puts in the place of a denied name, or below it, no process that waits may read', async () => {
    const started = await start(variant)
    const { sandbox, workspace } = started
    const keys = join(workspace.outside, 'keys')
    writeFileSync(join(workspace.outside, 'open'), 'open')
    expect(await sandbox.exec(['cat', join(workspace.outside, 'open')])).toMatchObject({ stdout: 'open' })
    await expectWaiting(started)
    writeFileSync(join(keys, 'key'), 'secret')
    for (let command = 0; command < 3; command++) {
      expect(await sandbox.exec(['sh', '-c', `cat ${keys}/key ${keys}/*; cat ${workspace.outside}/open`])).toMatchObject({ stdout: 'open' })
      await expectWaiting(started)
    }
  })
})

test('supervised: word of new rules does not reach the forker, as the user has too much on its way through sockets: commands get them all the same', async context => {
  const reason = whyNoTracing()
  if (reason !== undefined) context.skip(reason)
  const started = await start(SUPERVISED)
  const { sandbox, workspace } = started
  await expectWaiting(started)
  const tool = join(workspace.outside, 'tool')
  writeFileSync(tool, '#!/bin/sh\necho ran\n')
  chmodSync(tool, 0o755)
  // The first one that the monitor sends then is that one.
  const { traced, end } = await trace([sandbox.pid!], 'sendmsg', 'error=ETOOMANYREFS:when=1')
  expect(await sandbox.exec([tool])).toMatchObject({ stdout: 'ran\n', exitCode: 0 })
  await expect.poll(traced, { timeout: 20_000 }).toContain('(INJECTED)')
  await end()
  for (let command = 0; command < 4; command++) expect(await sandbox.exec([tool])).toMatchObject({ stdout: 'ran\n', exitCode: 0 })
})
