// Commands that end by cgroup.kill, where neither a PID namespace nor Landlock's scope of signals is there: for real, in a group of the test's own.
import { spawnSync } from 'node:child_process'
import { mkdirSync, readFileSync, rmdirSync, statSync, writeFileSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import { beforeEach, describe, expect, onTestFinished, test } from 'vitest'
import type { Sandbox } from '../../src/exec/sandbox.js'
import { findEndingGroup } from '../../src/platform/linux/native/control-groups.js'
import { groupsIn, makeGroup, moveTo, processesIn, whyNoGroup } from '../support/control-groups.js'
import { ALL_RUNGS, startOn, SUPERVISED, SUPERVISED_BEFORE, SUPERVISED_IN_GROUP } from '../support/rungs.js'
import { daemonising, expectNone, expectRunning, parentOf, processesWithArgument } from './host-processes.js'
import { ownLauncher } from './own-launcher.js'
import { makeWorkspace } from './workspace.js'

beforeEach(context => {
  if (process.platform !== 'linux') context.skip('the launcher is for Linux')
  const reason = whyNoGroup()
  if (reason !== undefined) context.skip(reason)
})

let words = 0
const newWord = (): string => `ending-${process.pid}-${++words}`

async function start(): Promise<{ sandbox: Sandbox; group: string }> {
  const group = makeGroup()
  const sandbox = await startOn(SUPERVISED_IN_GROUP, { cwd: makeWorkspace().path }, group)
  onTestFinished(() => sandbox.close())
  return { sandbox, group }
}

describe('where the group is found', () => {
  /** As this very process would find it if it had been started in `group`. */
  function foundIn(group: string) {
    const own = /^0::(.*)$/m.exec(readFileSync('/proc/self/cgroup', 'utf8'))![1]!
    const before = join(dirname(group), own)
    moveTo(group, process.pid)
    try {
      return findEndingGroup()
    } finally {
      moveTo(before, process.pid)
    }
  }

  test('in the own one, whose limits nothing leaves', () => {
    const group = makeGroup()
    expect(foundIn(group)).toEqual({ available: true, parent: group })
  })
})

describe('each command has a group of its own', () => {
  test('while it runs, with all that it started and without the launcher; afterwards it is gone, and the sandbox\'s goes with that', async () => {
    const { sandbox, group } = await start()
    const [word, other] = [newWord(), newWord()]
    const abort = new AbortController()
    const [first, second] = [sandbox.exec(daemonising(word), { signal: abort.signal, killGraceMs: 0 }), sandbox.exec(daemonising(other), { signal: abort.signal, killGraceMs: 0 })]
    await Promise.all([expectRunning(word, 2), expectRunning(other, 2)])
    const [own] = groupsIn(group)
    expect(basename(own!)).toBe(`codex-sandbox-${sandbox.pid}`)
    const members = groupsIn(own!).map(processesIn)
    expect(members).toHaveLength(2)
    for (const each of [word, other]) {
      const processes = processesWithArgument(each)
      // Beside the two, what they sleep by.
      expect(members.find(member => processes.every(pid => member.includes(pid)))?.length).toBeGreaterThanOrEqual(2)
      expect(members.flat()).not.toContain(parentOf(Math.min(...processes)))
    }
    expect(members.flat()).not.toContain(sandbox.pid)
    abort.abort()
    expect((await Promise.all([first, second])).map(({ signal, enforcement }) => [signal, enforcement.treeEnd])).toEqual([['SIGKILL', 'control-group'], ['SIGKILL', 'control-group']])
    expect(processesWithArgument(word).concat(processesWithArgument(other))).toEqual([])
    await expectNone(() => groupsIn(own!))
    await sandbox.close()
    expect(groupsIn(group)).toEqual([])
  })

  test('what the host took out of it ends all the same, with the command and with the sandbox', async () => {
    const { sandbox, group } = await start()
    const [word, other] = [newWord(), newWord()]
    const abort = new AbortController()
    const result = sandbox.exec(daemonising(word), { signal: abort.signal, killGraceMs: 0 })
    await expectRunning(word, 2)
    for (const pid of processesWithArgument(word)) moveTo(group, pid)
    abort.abort()
    expect(await result).toMatchObject({ cancelled: true })
    expect(processesWithArgument(word)).toEqual([])
    const last = sandbox.exec(daemonising(other))
    await expectRunning(other, 2)
    for (const pid of processesWithArgument(other)) moveTo(group, pid)
    await sandbox.close()
    expect(await last).toMatchObject({ cancelled: true })
    expect(processesWithArgument(other)).toEqual([])
  })

  test('the launcher\'s processes are killed, all of them at once: what it was to end has ended', async () => {
    const { sandbox } = await start()
    const word = newWord()
    const result = sandbox.exec(daemonising(word)).catch((error: unknown) => error)
    await expectRunning(word, 2)
    const init = parentOf(Math.min(...processesWithArgument(word)))
    // But for the guardian; which may be faster, once the first is gone.
    spawnSync('kill', ['-KILL', ...[sandbox.pid!, parentOf(init), init].map(String)])
    expect(await result).toMatchObject({ code: 'launcher_lost' })
    await expectNone(() => processesWithArgument(word))
  })
})

test.each(ALL_RUNGS)('no command leaves its group, nor enters, makes, kills or freezes one: $name', async variant => {
  const group = makeGroup()
  const sandbox = await startOn(variant, { cwd: makeWorkspace().path }, group)
  onTestFinished(() => sandbox.close())
  const other = makeGroup()
  const word = newWord()
  // Signals to say when it has tried: it goes on, to be looked at from outside.
  const attempts = `
    for g in "$1" "$2" "$2"/*/ "$2"/*/*/ "$3"; do
      echo $$ > "$g/cgroup.procs"; echo $$ > "$g/cgroup.threads"; echo 0 >> "$g/cgroup.procs"; echo 1 > "$g/cgroup.kill"; echo 1 > "$g/cgroup.freeze"; mkdir "$g/new"; chmod 777 "$g" "$g/cgroup.procs"; mv "$g" "$g.moved"
      for fd in /proc/self/fd/*; do echo 0 > "$fd/cgroup.procs"; done
    done 2>/dev/null
    echo tried; while :; do sleep 1000; done`
  const child = sandbox.spawn(['sh', '-c', attempts, word, dirname(group), group, other])
  onTestFinished(() => void child.kill('SIGKILL'))
  await new Promise(resolve => child.stdout!.once('data', resolve))
  const [pid] = processesWithArgument(word)
  const inGroups = groupsIn(group).flatMap(groupsIn)
  expect(processesIn(other)).toEqual([])
  expect(inGroups.flatMap(processesIn).includes(pid!)).toBe(variant === SUPERVISED_IN_GROUP)
  expect([group, other, ...inGroups].flatMap(groupsIn).map(path => basename(path))).not.toContain('new')
  expect(readFileSync(join(other, 'cgroup.freeze'), 'utf8')).toBe('0\n')
  expect([group, other, ...inGroups].map(path => statSync(path).mode & 0o777)).toEqual([0o755, 0o755, ...inGroups.map(() => 0o755)])
  // From outside it can be done: it is the sandbox that forbids it.
  moveTo(other, pid!)
  expect(processesIn(other)).toEqual([pid])
})

describe('whose group it is', () => {
  test('is known in another PID namespace too: a sandbox there, which shares the place, leaves it alone, and one that is gone leaves none', async context => {
    if (process.getuid?.() !== 0) context.skip('only root may mount a /proc for a PID namespace')
    const { sandbox, group } = await start()
    expect(await sandbox.exec(['true'])).toMatchObject({ exitCode: 0 })
    const [own] = groupsIn(group)
    await expectNone(() => groupsIn(own!))
    const workspace = makeWorkspace()
    const inNamespace = join(workspace.outside, 'launcher')
    writeFileSync(inNamespace, `#!/bin/sh\nexec unshare --pid --fork --kill-child --mount-proc '${ownLauncher().path}' "$@"\n`, { mode: 0o755 })
    const others: Sandbox[] = []
    for (let i = 0; i < 2; i++) others.push(await startOn(SUPERVISED_IN_GROUP, { cwd: workspace.path, launcherPath: inNamespace }, group))
    onTestFinished(async () => { for (const each of others) await each.close() })
    // Each is process 2 of its own.
    expect(groupsIn(group)).toHaveLength(3)
    for (const each of [sandbox, ...others]) expect(await each.exec(['true'])).toMatchObject({ exitCode: 0, enforcement: { treeEnd: 'control-group' } })
    for (const each of others) await each.close()
    expect(groupsIn(group)).toEqual([own])
  })

  test('nobody\'s is removed by the next start, whatever process has its number by now', async () => {
    const group = makeGroup()
    for (const path of ['codex-sandbox-1', 'codex-sandbox-1/7', `codex-sandbox-${process.pid}`, 'another']) mkdirSync(join(group, path))
    const sandbox = await startOn(SUPERVISED_IN_GROUP, { cwd: makeWorkspace().path }, group)
    onTestFinished(() => sandbox.close())
    expect(groupsIn(group).map(path => basename(path)).sort()).toEqual(['another', `codex-sandbox-${sandbox.pid}`])
  })
})

describe('a group that is not there, or cannot be used', () => {
  const inside = async (parent: string): Promise<unknown> => {
    try {
      const sandbox = await startOn(SUPERVISED_IN_GROUP, { cwd: makeWorkspace().path }, parent)
      onTestFinished(() => sandbox.close())
      return await sandbox.exec(['true'])
    } catch (error) {
      return error
    }
  }

  test('was removed before the start: nothing starts', async () => {
    const group = makeGroup()
    rmdirSync(group)
    expect(await inside(group)).toMatchObject({ code: 'set_up_failed', step: 'enter_sandbox_group', errno: 'ENOENT', path: group })
  })

  test('has no cgroup.kill, as before Linux 5.14: nothing starts', async () => {
    const folder = makeWorkspace().outside
    mkdirSync(join(folder, 'no-groups'))
    expect(await inside(join(folder, 'no-groups'))).toMatchObject({ code: 'set_up_failed', step: 'start_guardian', errno: 'ENOENT' })
  })

  test('is removed while no command runs: the next one is refused, and not run outside of a group', async () => {
    const { sandbox, group } = await start()
    expect(await sandbox.exec(['true'])).toMatchObject({ exitCode: 0 })
    const [own] = groupsIn(group)
    await expectNone(() => groupsIn(own!))
    rmdirSync(own!)
    await expect(sandbox.exec(['touch', 'ran'])).rejects.toMatchObject({ code: 'set_up_failed', step: 'make_command_group', errno: 'ENOENT' })
    expect(await sandbox.files.readFile('ran').catch((error: unknown) => error)).toBeInstanceOf(Error)
  })
})

test('what ends commands is told: the kernel by a scope, or a walk that is called best effort', async () => {
  const told = await Promise.all([SUPERVISED, SUPERVISED_BEFORE].map(async variant => {
    const sandbox = await startOn(variant, { cwd: makeWorkspace().path })
    onTestFinished(() => sandbox.close())
    return [sandbox.enforcement.treeEnd, sandbox.enforcement.notes.some(note => note.includes('could outrun'))]
  }))
  expect(told).toEqual([['signal-scope', false], ['repeated-walk', true]])
})
