// What ends with what: the embedding process, the launcher, the forker, the command; on each rung.
import { type ChildProcess, spawn } from 'node:child_process'
import { existsSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { setTimeout as sleep } from 'node:timers/promises'
import { beforeEach, describe, expect, onTestFinished, test } from 'vitest'
import type { Sandbox } from '../../src/exec/sandbox.js'
import { ALL_RUNGS, BWRAP_IF_THERE, isSupervised, landlockAbi, onBackend, type RungVariant, startOn, SUPERVISED } from '../support/rungs.js'
import { childrenOf, daemonising, expectNone, expectRunning, forkerOf, isRunning, parentOf, processesWithArgument, stateOf } from './host-processes.js'
import { type OwnLauncher, ownLauncher } from './own-launcher.js'
import { trace, whyNoTracing } from './tracing.js'
import { makeWorkspace, PROTECTED_NAMES, type Workspace } from './workspace.js'

beforeEach(context => { if (process.platform !== 'linux') context.skip('the launcher is for Linux') })

let words = 0
/** An argument that no other process has. */
const newWord = (): string => `word-${process.pid}-${++words}`

/** The inits that wait for commands: two, of which a sandbox that has been started has at least the first. */
async function waitingInits(monitor: number): Promise<number[]> {
  const forker = forkerOf(monitor)
  await expect.poll(() => childrenOf(forker), { timeout: 20_000 }).toHaveLength(2)
  return childrenOf(forker)
}

async function startSandbox(variant: RungVariant, folders: readonly string[] = []): Promise<{ sandbox: Sandbox; workspace: Workspace; launcher: OwnLauncher; pid: number }> {
  const workspace = makeWorkspace(...folders)
  const launcher = ownLauncher()
  const sandbox = await startOn(variant, { cwd: workspace.path, launcherPath: launcher.path })
  onTestFinished(() => sandbox.close())
  return { sandbox, workspace, launcher, pid: sandbox.pid! }
}

/** A Node process of its own that embeds a sandbox; `body` has it as `sandbox`. */
function startEmbedding({ rung, backend }: RungVariant, workspace: Workspace, launcher: OwnLauncher, body: string): ChildProcess & { output: () => string } {
  const script = join(workspace.outside, 'embedding.mjs')
  writeFileSync(script, `
    import { createSandbox } from ${JSON.stringify(join(process.cwd(), 'dist/index.js'))}
    const sandbox = await createSandbox(${JSON.stringify({ cwd: workspace.path, launcherPath: launcher.path, rung, ...onBackend(backend) })})
    ${body}`)
  const child = spawn(process.execPath, [script], { stdio: ['ignore', 'pipe', 'inherit'] })
  onTestFinished(() => void child.kill('SIGKILL'))
  let output = ''
  child.stdout.on('data', chunk => { output += String(chunk) })
  return Object.assign(child, { output: () => output })
}

const exitOf = (child: ChildProcess): Promise<number | string> => new Promise(resolve => child.once('close', (code, signal) => resolve(code ?? signal ?? 'unknown')))

// A plan for another kernel is made inside this process only.
describe.each([...ALL_RUNGS.filter(({ abi }) => abi === undefined), ...BWRAP_IF_THERE])('$name: the embedding process', variant => {
  test('is killed: its commands end, daemons too, and so does the launcher', async () => {
    const workspace = makeWorkspace()
    const launcher = ownLauncher()
    const word = newWord()
    const child = startEmbedding(variant, workspace, launcher, `await sandbox.exec(${JSON.stringify(daemonising(word))})`)
    await expectRunning(word, 2)
    expect(launcher.processes().length).toBeGreaterThanOrEqual(2)

    child.kill('SIGKILL')
    expect(await exitOf(child)).toBe('SIGKILL')
    await expectNone(() => processesWithArgument(word))
    await expectNone(launcher.processes)
    // The launcher itself was not killed: it took its placeholders away.
    expect({ entries: workspace.entries(), journal: workspace.journal() }).toEqual({ entries: [], journal: [] })
  })

  test('is killed together with the launcher: its commands end', async () => {
    const workspace = makeWorkspace()
    const launcher = ownLauncher()
    const word = newWord()
    const child = startEmbedding(variant, workspace, launcher, `console.log(sandbox.pid); await sandbox.exec(${JSON.stringify(daemonising(word))})`)
    await expectRunning(word, 2)
    process.kill(Number(child.output()), 'SIGKILL')
    child.kill('SIGKILL')
    await expectNone(() => processesWithArgument(word))
    await expectNone(launcher.processes)
  })

  test('has an idle sandbox that was not closed: it ends by itself, and the launcher with it', async () => {
    const workspace = makeWorkspace()
    const launcher = ownLauncher()
    const child = startEmbedding(variant, workspace, launcher, `console.log((await sandbox.exec(['echo', 'ran'])).stdout)`)
    expect(await exitOf(child)).toBe(0)
    expect(child.output()).toBe('ran\n\n')
    await expectNone(launcher.processes)
    expect({ entries: workspace.entries(), journal: workspace.journal() }).toEqual({ entries: [], journal: [] })
  })

  test('has a command that runs: it stays until the command has ended', async () => {
    const workspace = makeWorkspace()
    const launcher = ownLauncher()
    // Nothing but the command itself keeps Node alive: nobody awaits it at the top level.
    const child = startEmbedding(variant, workspace, launcher, `sandbox.exec(['sh', '-c', 'touch came; until test -e go; do sleep 0.01; done; echo went']).then(result => console.log(result.stdout))`)
    await expect.poll(() => workspace.entries(), { timeout: 20_000 }).toContain('came')
    expect(child.exitCode).toBe(null)
    writeFileSync(join(workspace.path, 'go'), '')
    expect(await exitOf(child)).toBe(0)
    expect(child.output()).toBe('went\n\n')
  })
})

describe.each([...ALL_RUNGS, ...BWRAP_IF_THERE])('$name: the launcher', variant => {
  test.each([
    { role: 'monitor', find: (monitor: number) => monitor },
    { role: 'forker', find: (monitor: number) => forkerOf(monitor) },
  ])('loses its $role: all commands end and are told so, and later ones are refused', async ({ find }) => {
    const { sandbox, launcher } = await startSandbox(variant)
    const running = [newWord(), newWord()].map(word => ({ word, result: sandbox.exec(daemonising(word)).catch((error: unknown) => error) }))
    for (const { word } of running) await expectRunning(word, 2)

    // Inside bwrap it is another one after a pause.
    process.kill(find(sandbox.pid!), 'SIGKILL')
    for (const { word, result } of running) {
      expect(await result).toMatchObject({ name: 'SandboxError', code: 'launcher_lost' })
      await expectNone(() => processesWithArgument(word))
    }
    await expectNone(launcher.processes)
    await expect(sandbox.exec(['true'])).rejects.toMatchObject({ code: 'launcher_lost' })
    await sandbox.close()
  })

  test('is told to close: commands end first, and nothing is left when the promise resolves', async () => {
    const { sandbox, launcher, workspace } = await startSandbox(variant)
    const word = newWord()
    const result = sandbox.exec(daemonising(word))
    await expectRunning(word, 2)
    await sandbox.close()
    expect({ processes: processesWithArgument(word), entries: workspace.entries(), journal: workspace.journal() }).toEqual({ processes: [], entries: [], journal: [] })
    expect(await result).toMatchObject({ cancelled: true, signal: 'SIGKILL' })
    await expectNone(launcher.processes)
  })

  test('is sent signals by a command, by every id that there could be: none reaches it, but those to the command\'s own children do', async () => {
    const { sandbox, pid } = await startSandbox(variant, PROTECTED_NAMES)
    const forker = forkerOf(pid)
    const script = `sleep 1000 & kill -TERM $!; wait $!; echo $?; for s in USR1 TERM HUP KILL; do for p in ${pid} -${pid} ${forker} -${forker} 1; do kill -$s $p; done; done; kill -KILL -1`
    expect(await sandbox.exec(['sh', '-c', script])).toMatchObject({ stdout: '143\n' })
    expect([pid, forker].map(isRunning)).toEqual([true, true])
    expect(await sandbox.exec(['echo', 'still there'])).toMatchObject({ stdout: 'still there\n' })
  })
})

describe.each([...ALL_RUNGS, ...BWRAP_IF_THERE])('$name: a command', variant => {
  test('ends: what it left behind ends too, and is named', async () => {
    const { sandbox } = await startSandbox(variant)
    const word = newWord()
    const result = await sandbox.exec(['sh', '-c', 'setsid sh -c "while :; do sleep 1000; done" "$0" & until pgrep -f "^sh -c while .* $0$" > /dev/null; do :; done; exit 3', word])
    expect(result.exitCode).toBe(3)
    expect(result.ended.map(({ name }) => name)).toContain('sh')
    expect(processesWithArgument(word)).toEqual([])
  })

  test('is killed: its whole tree has ended when the result comes, and its neighbour goes on', async () => {
    const { sandbox } = await startSandbox(variant)
    const [word, neighbour] = [newWord(), newWord()]
    const abort = new AbortController()
    const result = sandbox.exec(daemonising(word), { signal: abort.signal, killGraceMs: 0 })
    const other = sandbox.exec(daemonising(neighbour))
    await Promise.all([expectRunning(word, 2), expectRunning(neighbour, 2)])
    abort.abort()
    expect(await result).toMatchObject({ cancelled: true, signal: 'SIGKILL' })
    expect({ killed: processesWithArgument(word), neighbour: processesWithArgument(neighbour).length }).toEqual({ killed: [], neighbour: 2 })
    await sandbox.close()
    expect(await other).toMatchObject({ cancelled: true })
  })

  test.each([
    { name: 'a session of its own',        script: 'setsid "$T" "$0" & until pgrep -f "^./sleeper ./$T $0" >/dev/null; do :; done',                       left: ['sleeper'] },
    { name: 'a double fork',               script: '(setsid sh -c \'"$T" "$0" & sleep 0.2\' "$0" &) ; until pgrep -f "$T $0" >/dev/null; do :; done', left: ['sleeper'] },
    { name: 'a process that ignores what it can', script: 'sh -c \'trap "" TERM HUP INT; "$T" "$0" & wait\' "$0" & until pgrep -f "$T $0" >/dev/null; do :; done', left: ['sleeper'] },
  ])('leaves $name: it ends with the command, and is named', async ({ script, left }) => {
    const { sandbox, workspace } = await startSandbox(variant)
    const word = newWord()
    symlinkSync('/bin/sh', join(workspace.path, 'sleeper'))
    writeFileSync(join(workspace.path, 'sleep-long'), 'while :; do sleep 1000; done')
    const result = await sandbox.exec(['sh', '-c', script.replaceAll('"$T"', './sleeper ./sleep-long').replaceAll('$T', 'sleep-long'), word])
    expect(result.ended.map(({ name }) => name)).toEqual(expect.arrayContaining(left))
    expect(processesWithArgument(word)).toEqual([])
  })

  test('is stopped and told to go on before its init has looked: it goes on', async () => {
    const { sandbox } = await startSandbox(variant)
    // In one of twenty the init takes its command between two of the signals.
    for (let i = 0; i < 60; i++) {
      const child = sandbox.spawn(['sh', '-c', 'read line; echo $line'])
      for (const signal of ['SIGSTOP', 'SIGCONT', 'SIGTSTP', 'SIGCONT'] as const) child.kill(signal)
      child.stdin?.end('on\n')
      expect(await text(child.stdout)).toBe('on\n')
    }
  })

  test('leaves processes that fork as fast as they can: none is left', { timeout: 60_000 }, async () => {
    const { sandbox } = await startSandbox(variant)
    const word = newWord()
    // Each one makes its successor and ends, in a session of its own; a few of them at a time.
    const program = 'import os,sys,time\nfor _ in range(3):\n  if os.fork() == 0:\n    os.setsid()\n    while True:\n      if os.fork() != 0: os._exit(0)\ntime.sleep(0.3)\n'
    await sandbox.exec(['python3', '-c', program, word])
    expect(processesWithArgument(word)).toEqual([])
    expect(await sandbox.exec(['echo', 'still there'])).toMatchObject({ stdout: 'still there\n' })
  })

  test('sends its init all signals that there are: how it ends is not changed by that', async () => {
    const { sandbox, workspace } = await startSandbox(variant)
    expect(await sandbox.exec(['sh', '-c', 'for n in $(seq 1 64); do kill -$n $PPID 2>/dev/null; done; exit 3'])).toMatchObject({ exitCode: 3, signal: null })
    const kept = await sandbox.exec(['sh', '-c', 'init=$PPID; (for n in $(seq 1 64); do kill -$n $init 2>/dev/null; done; sleep 0.1; echo on > went) > /dev/null 2>&1 & exit 3'], { background: 'keep' })
    expect(kept.exitCode).toBe(3)
    await expect.poll(() => existsSync(join(workspace.path, 'went')), { timeout: 20_000 }).toBe(true)
  })

  test('cannot end its init, and what outsiders do to that ends the command all the same', async () => {
    const { sandbox } = await startSandbox(variant)
    const word = newWord()
    expect(await sandbox.exec(['sh', '-c', 'kill -KILL $PPID; kill -STOP $PPID; echo alive'])).toMatchObject({ stdout: 'alive\n' })
    const result = sandbox.exec(daemonising(word)).catch((error: unknown) => error)
    await expectRunning(word, 2)
    const init = parentOf(Math.min(...processesWithArgument(word)))
    process.kill(init, 'SIGKILL')
    expect(await result).toMatchObject({ signal: 'SIGKILL' })
    await expectNone(() => processesWithArgument(word))
    expect(await sandbox.exec(['echo', 'still there'])).toMatchObject({ stdout: 'still there\n' })
  })

  test('is killed also where somebody outside has stopped its init', async () => {
    const { sandbox } = await startSandbox(variant)
    const word = newWord()
    const abort = new AbortController()
    const result = sandbox.exec(daemonising(word), { signal: abort.signal, killGraceMs: 0 })
    await expectRunning(word, 2)
    process.kill(parentOf(Math.min(...processesWithArgument(word))), 'SIGSTOP')
    abort.abort()
    expect(await result).toMatchObject({ cancelled: true, signal: 'SIGKILL' })
    await expectNone(() => processesWithArgument(word))
  })

  test('starts, however many run, also after the host has killed the inits that wait for commands', async () => {
    const { sandbox, pid } = await startSandbox(variant, PROTECTED_NAMES)
    const inits = await waitingInits(pid)
    for (const init of inits) process.kill(init, 'SIGKILL')
    // Until then one may take a command, and end with it.
    await expectNone(() => inits.filter(isRunning))
    expect(await sandbox.exec(['echo', 'still there'])).toMatchObject({ stdout: 'still there\n' })
    const running = [newWord(), newWord(), newWord(), newWord()].map(word => ({ word, result: sandbox.exec(daemonising(word)) }))
    for (const { word } of running) await expectRunning(word, 2)
    await sandbox.close()
    for (const { result } of running) expect(await result).toMatchObject({ cancelled: true })
    expect(inits.length).toBeGreaterThan(0)
  })
})

test.for([...ALL_RUNGS, ...BWRAP_IF_THERE])('$name: an init is killed when it has taken a command and has not said so: the command is over', async (variant, { skip }) => {
  const reason = whyNoTracing()
  if (reason !== undefined) skip(reason)
  const { sandbox, pid } = await startSandbox(variant, PROTECTED_NAMES)
  const inits = await waitingInits(pid)
  // Stops it where recvmsg(2) returns, and so before its next instruction.
  const tracer = await trace(inits, 'recvmsg', 'delay_exit=60000000')
  // One that is attached and has not entered the call anew would return from it unseen.
  await expect.poll(() => tracer.traced().match(/recvmsg\(/g), { timeout: 20_000 }).toHaveLength(inits.length)
  const result = sandbox.exec(['echo', 'never'])
  const stopped = (): number[] => inits.filter(init => stateOf(init) === 't')
  // Each is stopped for a moment when it enters the call, too.
  await expect.poll(async () => { const before = stopped(); await sleep(200); return stopped().filter(init => before.includes(init)) }, { timeout: 20_000 }).toHaveLength(1)
  process.kill(stopped()[0]!, 'SIGKILL')
  await tracer.end()
  expect(await result).toMatchObject({ signal: 'SIGKILL', stdout: '' })
})

test.for([...ALL_RUNGS, ...BWRAP_IF_THERE])('$name: the signals that an init knows come from somebody else: its command runs to its end, before and after it was taken', async variant => {
  const { sandbox, pid } = await startSandbox(variant, PROTECTED_NAMES)
  const inits = await waitingInits(pid)
  /** One whose command is over goes by itself. */
  const send = (init: number, signal: NodeJS.Signals): void => {
    try {
      process.kill(init, signal)
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error
    }
  }
  const signalAll = (): void => inits.forEach(init => ['SIGUSR1', 'SIGUSR2', 'SIGCHLD'].forEach(signal => send(init, signal as NodeJS.Signals)))
  signalAll()
  const running = sandbox.exec(['sh', '-c', 'echo came >came; until test -e go; do sleep 0.05; done; echo went; exit 3'])
  await sandbox.exec(['sh', '-c', 'until test -e came; do sleep 0.05; done'])
  signalAll()
  expect(await sandbox.exec(['touch', 'go'])).toMatchObject({ exitCode: 0 })
  expect(await running).toMatchObject({ exitCode: 3, stdout: 'went\n' })
})

/** Of Landlock, with a scope for signals. */
const FIRST_SCOPED_ABI = 6

test('supervised: the monitor is lost, and taken away just when the forker asks whether it can be signalled: all commands end', async context => {
  if (await landlockAbi(SUPERVISED) < FIRST_SCOPED_ABI) context.skip('below Landlock ABI 6 signals have no scope, and the forker does not ask')
  const reason = whyNoTracing()
  if (reason !== undefined) context.skip(reason)
  const { sandbox, launcher } = await startSandbox(SUPERVISED)
  const word = newWord()
  const result = sandbox.exec(daemonising(word)).catch((error: unknown) => error)
  await expectRunning(word, 2)
  // The kernel's answer where the parent was taken away between getppid and kill.
  const { traced } = await trace([forkerOf(sandbox.pid!)], 'kill', 'error=ESRCH:when=1')
  process.kill(sandbox.pid!, 'SIGKILL')
  expect(await result).toMatchObject({ code: 'launcher_lost' })
  await expectNone(() => processesWithArgument(word))
  await expectNone(launcher.processes)
  await expect.poll(traced, { timeout: 20_000 }).toContain('(INJECTED)')
  await sandbox.close()
})

test.for(ALL_RUNGS.filter(({ abi = FIRST_SCOPED_ABI }) => abi < FIRST_SCOPED_ABI))('$name: the guardian is killed, who would end commands without the launcher: they end with it, and later ones are refused', async variant => {
  const { sandbox, launcher, pid } = await startSandbox(variant)
  const word = newWord()
  const result = sandbox.exec(daemonising(word)).catch((error: unknown) => error)
  await expectRunning(word, 2)
  const [guardian, ...others] = childrenOf(pid).filter(child => child !== forkerOf(pid))
  expect(others).toEqual([])
  process.kill(guardian!, 'SIGKILL')
  expect(await result).toMatchObject({ code: 'launcher_lost' })
  expect(processesWithArgument(word)).toEqual([])
  await expectNone(launcher.processes)
  await expect(sandbox.exec(['true'])).rejects.toMatchObject({ code: 'launcher_lost' })
})

test.for(ALL_RUNGS.filter(isSupervised))('$name: monitor and forker are killed at once, and taken away before an init has heard of it: its command ends', async (variant, context) => {
  const { sandbox, launcher, pid } = await startSandbox(variant)
  const forker = forkerOf(pid)
  const word = newWord()
  const result = sandbox.exec(daemonising(word)).catch((error: unknown) => error)
  await expectRunning(word, 2)
  const init = parentOf(Math.min(...processesWithArgument(word)))
  process.kill(init, 'SIGSTOP')
  process.kill(forker, 'SIGKILL')
  process.kill(pid, 'SIGKILL')
  expect(await result).toMatchObject({ code: 'launcher_lost' })
  await expect.poll(() => isRunning(forker)).toBe(false)
  const takenAway = await expect.poll(() => parentOf(forker), { timeout: 5000 }).toBe(0).then(() => true, () => false)
  if (isRunning(init)) process.kill(init, 'SIGCONT')
  await expectNone(() => processesWithArgument(word))
  await expectNone(launcher.processes)
  await sandbox.close()
  if (!takenAway) context.skip('process 1 here takes no ended processes away')
})
