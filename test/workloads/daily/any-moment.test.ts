// Whatever is done to a command, at whatever moment of its life: there is one outcome, nothing hangs, and nothing is left.
import { once } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'
import { describe, expect, onTestFinished, test } from 'vitest'
import { SandboxError } from '../../../src/errors.js'
import { createSandbox, type Sandbox } from '../../../src/exec/sandbox.js'
import { RUNGS, type Rung } from '../../../src/platform/launch-plan.js'
import { expectNone, processesWithArgument } from '../../native/host-processes.js'
import { ownLauncher } from '../../native/own-launcher.js'
import { makeWorkspace } from '../../native/workspace.js'

const WORD = `any-moment-${process.pid}`

/** Writes, leaves something behind, and ends; `keep` decides what becomes of that. */
const COMMAND = ['sh', '-c', 'echo a; (while :; do echo b; sleep 0.001; done) & setsid sh -c "while :; do sleep 1; done" "$0" & sleep 0.005; echo c', WORD]

async function start(rung: Rung): Promise<{ sandbox: Sandbox; left: () => number[] }> {
  const launcher = ownLauncher()
  const sandbox = await createSandbox({ cwd: makeWorkspace().path, launcherPath: launcher.path, rung })
  onTestFinished(() => sandbox.close())
  return { sandbox, left: () => processesWithArgument(WORD) }
}

/** From before the command has begun until after it has ended. */
const MOMENTS_MS = Array.from({ length: 40 }, (_, index) => index / 2)

/**
 * Fills the queue of signals, and says when there is no room for more. They wait at a process that is stopped: before it is, a signal that ends
 * it ends it, though a SIGSTOP waits already.
 */
const FILL_QUEUE = `
  count() { while read -r name used; do [ $name = SigQ: ] && now=\${used%/*}; done < /proc/$!/status; }
  trap 'exit 9' TERM
  setsid sh -c 'while :; do sleep 1; done' "$0" &
  sleep 1000 &
  kill -STOP $! || exit 1
  until read -r pid name state rest < /proc/$!/stat && [ $state = T ]; do :; done
  before=-1 now=0
  while ((now != before)); do
    before=$now
    for ((i = 0; i < 1000; i++)); do kill -40 $! || exit 1; done
    count
  done
  echo full
  while :; do sleep 1; done`

const outcomeOf = (promise: Promise<unknown>): Promise<string> => promise.then(() => 'resolved', error => {
  if (error instanceof SandboxError) return error.code
  return error instanceof Error ? error.message : String(error)
})

describe.each(RUNGS)('%s', rung => {
  test.each(['kill', 'keep'] as const)('aborted at any moment, with background: %s', async background => {
    const { sandbox, left } = await start(rung)
    for (const ms of MOMENTS_MS) {
      const controller = new AbortController()
      const running = sandbox.exec(COMMAND, { signal: controller.signal, killGraceMs: ms % 3 === 0 ? 0 : 5, background, onOutput: () => sleep(0) })
      await sleep(ms)
      controller.abort()
      const { cancelled, session, exitCode } = await running
      // Either it was aborted, and nothing of it is left, or it had ended before.
      expect(cancelled ? session : exitCode).toBe(cancelled ? undefined : 0)
      if (session !== undefined) await sandbox.sessions.kill(session.id, { graceMs: 0 })
    }
    expect(sandbox.sessions.list().filter(({ state }) => state !== 'ended')).toEqual([])
    await expectNone(left)
  })

  test('killed at any moment, by every way there is', async () => {
    const { sandbox, left } = await start(rung)
    for (const ms of MOMENTS_MS) {
      const child = sandbox.spawn(COMMAND, { background: ms % 2 === 0 ? 'keep' : 'kill', stdin: 'pipe' })
      if (ms % 3 === 0) child.stdout.destroy()
      else child.stdout.resume()
      if (ms % 5 === 0) child.stdin!.write('x'.repeat(1 << 20))
      const closed = once(child, 'close')
      await sleep(ms)
      child.kill(ms % 3 === 0 ? 'SIGKILL' : 'SIGTERM')
      await sleep(ms % 4)
      child.kill('SIGKILL')
      await closed
      const { session } = await child.exited
      if (session !== undefined) await sandbox.sessions.kill(session.id, { graceMs: ms % 2 })
    }
    await expectNone(left)
  })

  test('a session is killed, signalled, read, written to and resized by many at once', async () => {
    const { sandbox, left } = await start(rung)
    for (let round = 0; round < 10; round++) {
      const { id } = await sandbox.sessions.start(COMMAND, round % 2 === 0 ? { tty: true } : {})
      const outcomes = await Promise.all([
        ...MOMENTS_MS.slice(0, 10).map(async ms => { await sleep(ms); return sandbox.sessions.read(id, { waitMs: 20 }).then(() => 'read') }),
        ...MOMENTS_MS.slice(0, 10).map(async ms => { await sleep(ms); return outcomeOf(sandbox.sessions.write(id, 'x'.repeat(100_000))) }),
        ...MOMENTS_MS.slice(0, 10).map(async ms => { await sleep(ms); sandbox.sessions.resize(id, round, round); return String(sandbox.sessions.signal(id, 'SIGWINCH')) }),
        ...[3, 5, 8].map(async ms => { await sleep(ms); return (await sandbox.sessions.kill(id, { graceMs: 3 })).state }),
      ])
      expect(outcomes.filter(outcome => !['read', 'resolved', 'session_ended', 'true', 'false', 'ended'].includes(outcome))).toEqual([])
    }
    await expectNone(left)
  })

  test('a listener that throws at any moment', async () => {
    const { sandbox, left } = await start(rung)
    for (let calls = 1; calls <= 12; calls++) {
      let left = calls
      const running = sandbox.exec(COMMAND, {
        background: calls % 2 === 0 ? 'keep' : 'kill',
        onOutput: async () => {
          if (calls % 3 === 0) await sleep(1)
          if (--left === 0) throw new Error('broken reader')
        },
      })
      const outcome = await running.then(({ session }) => session, error => (error as Error).message)
      // The command may have ended before it wrote so much.
      if (typeof outcome === 'object') await sandbox.sessions.kill(outcome.id, { graceMs: 0 })
      else expect([undefined, 'broken reader']).toContain(outcome)
    }
    expect(sandbox.sessions.list().filter(({ state }) => state !== 'ended')).toEqual([])
    await expectNone(left)
  })

  test('closed at any moment: every command has one outcome, and nothing is left', async () => {
    const launcher = ownLauncher()
    const workspace = makeWorkspace()
    for (const ms of MOMENTS_MS.slice(0, 16)) {
      const sandbox = await createSandbox({ cwd: workspace.path, launcherPath: launcher.path, rung })
      const running = [
        outcomeOf(sandbox.exec(COMMAND)), outcomeOf(sandbox.exec(COMMAND, { background: 'keep' })), outcomeOf(sandbox.sessions.start(COMMAND)), outcomeOf(sandbox.shell('no-such-program')),
        outcomeOf(sandbox.spawn(COMMAND).exited), outcomeOf(sandbox.exec(['cat'], { stdin: 'x'.repeat(1 << 20), output: { file: 'log' } })),
      ]
      await sleep(ms)
      await sandbox.close()
      expect((await Promise.all(running)).filter(outcome => !['resolved', 'sandbox_closed'].includes(outcome))).toEqual([])
    }
    await expectNone(launcher.processes)
    await expectNone(() => processesWithArgument(WORD))
  })

  test('signals one after the other all arrive', async () => {
    const { sandbox } = await start(rung)
    const names = ['SIGHUP', 'SIGINT', 'SIGQUIT', 'SIGUSR1', 'SIGUSR2', 'SIGALRM', 'SIGTERM', 'SIGWINCH'] as const
    for (let round = 0; round < 20; round++) {
      const child = sandbox.spawn(['sh', '-c', `for s in ${names.map(name => name.slice(3)).join(' ')}; do trap "echo $s" $s; done; trap 'exit 9' URG; echo ready; while :; do sleep 0.01; done`])
      let output = ''
      child.stdout.on('data', chunk => { output += String(chunk) })
      await expect.poll(() => output, { timeout: 20_000, interval: 1 }).toBe('ready\n')
      for (const name of names) child.kill(name)
      await expect.poll(() => output.split('\n').slice(1, -1).sort(), { timeout: 20_000, interval: 1 }).toEqual(names.map(name => name.slice(3)).sort())
      child.kill('SIGURG')
      expect((await child.exited).exitCode).toBe(9)
    }
  })

  test.for([
    { name: 'killed',             signal: 'SIGKILL', outcome: { exitCode: 137, signal: 'SIGKILL' } },
    { name: 'sent what it heeds', signal: 'SIGTERM', outcome: { exitCode: 9, signal: null } },
  ] as const)('a command that fills the queue of signals is $name all the same, and all that it started ends', async ({ signal, outcome }, { skip }) => {
    const { sandbox, left } = await start(rung)
    if (Number((await sandbox.exec(['bash', '-c', 'ulimit -i'])).stdout) > 200_000) return skip('there is no bash, or the queue is too long to be filled')
    const child = sandbox.spawn(['bash', '-c', FILL_QUEUE, WORD])
    let errors = ''
    child.stderr!.on('data', chunk => { errors += String(chunk) })
    const first = await Promise.race([once(child.stdout, 'data').then(([chunk]) => String(chunk)), child.exited.then(() => 'it ended')])
    expect([first, errors]).toEqual(['full\n', ''])
    child.kill(signal)
    expect(await child.exited).toMatchObject(outcome)
    await expectNone(left)
  })
})
