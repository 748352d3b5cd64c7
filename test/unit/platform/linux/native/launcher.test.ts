import { execFileSync } from 'node:child_process'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest'
import type { CommandHandlers, Launcher, RunningCommand } from '../../../../../src/platform/backend.js'
import type { CommandPlan } from '../../../../../src/platform/launch-plan.js'
import { startLauncher } from '../../../../../src/platform/linux/native/launcher.js'
import { type StepName, STEPS } from '../../../../../src/platform/linux/native/steps.generated.js'
import { fakePlan, makeFakeLauncher } from '../../../../support/fake-launcher.js'

let fake: { path: string; remove: () => void }
beforeAll(() => { fake = makeFakeLauncher() })
afterAll(() => fake.remove())

async function start(): Promise<Launcher> {
  const launcher = await startLauncher(fake.path, fakePlan())
  onTestFinished(() => launcher.close())
  return launcher
}

const numberOf = (step: StepName): string => String(STEPS.findIndex(({ name }) => name === step))

const commandOf = (argv: readonly string[], more: Partial<CommandPlan> = {}): CommandPlan =>
  ({ argv, cwd: { path: '/', identity: { device: '0', inode: '0' } }, env: [], stdin: 'empty', limits: {}, ...more })

/** Runs a command to its end; `events` has all that came, in order. */
function run(launcher: Launcher, argv: readonly string[], use: (running: RunningCommand) => void = () => {}, more: Partial<CommandHandlers> & { env?: readonly string[] } = {}): Promise<unknown[]> {
  const { env = [], ...handlers } = more
  return new Promise(resolve => {
    const events: unknown[] = []
    const running = launcher.run(commandOf(argv, { env }), {
      onOutput(stream, chunk) {
        const last = events.at(-1) as [string, string] | undefined
        if (last?.[0] === stream) last[1] += chunk.toString()
        else events.push([stream, chunk.toString()])
        running.consumed(stream, chunk.length)
      },
      onStarted: pid => void events.push(['started', pid]),
      onStopped: signal => void events.push(['stopped', signal]),
      onContinued: () => void events.push(['continued']),
      onAccess: report => void events.push(['access', report.operation, report.path, report.program, report.pid]),
      onAccessesLost: count => void events.push(['lost', count]),
      onExit: exit => { events.push(['exit', exit.exitCode ?? `signal ${exit.signal}`, exit.reason]); resolve(events) },
      onFailed: failure => { events.push(['failed', failure.step, failure.errno, failure.path]); resolve(events) },
      ...handlers,
    })
    use(running)
  })
}

test.each([
  { argv: ['print', 'out', 'err'], events: [['started', 4242], ['stdout', 'out'], ['stderr', 'err'], ['exit', 0, 'none']] },
  { argv: ['split'], events: [['started', 4242], ['stdout', 'one'], ['stderr', 'two'], ['stdout', 'three'], ['exit', 0, 'none']] },
  { argv: ['exit', '7'], events: [['started', 4242], ['exit', 7, 'none']] },
  { argv: ['signal', '15'], events: [['started', 4242], ['exit', 'signal 15', 'none']] },
  { argv: ['stop'], events: [['started', 4242], ['stopped', 20], ['continued'], ['exit', 0, 'none']] },
  { argv: ['reason', '3'], events: [['started', 4242], ['exit', 'signal 9', 'memory-limit']] },
  { argv: ['fail', numberOf('exec'), '2'], events: [['failed', 'exec', 'ENOENT', undefined]] },
  { argv: ['fail', numberOf('enter_cwd'), '116', '/w'], events: [['failed', 'enter_cwd', 'ESTALE', '/w']] },
  { argv: ['refuse', '/run/docker.sock'], events: [['started', 4242], ['access', 'unix-connect', '/run/docker.sock', 'docker', 99], ['lost', 3], ['exit', 1, 'none']] },
])('$argv', async ({ argv, events }) => {
  expect(await run(await start(), argv)).toEqual(events)
})

test('the environment is what the command has, also where the array is another one', async () => {
  const launcher = await start()
  const first = ['A=1', 'B=ü']
  expect(await run(launcher, ['env'], () => {}, { env: first })).toContainEqual(['stdout', 'A=1\nB=ü'])
  expect(await run(launcher, ['env'], () => {}, { env: ['C=3'] })).toContainEqual(['stdout', 'C=3'])
  expect(await run(launcher, ['env'], () => {}, { env: first })).toContainEqual(['stdout', 'A=1\nB=ü'])
})

test('commands at once keep their outputs apart', async () => {
  const launcher = await start()
  const all = await Promise.all(Array.from({ length: 200 }, (_, index) => run(launcher, ['print', `out ${index}`])))
  expect(all.map(events => events[1])).toEqual(Array.from({ length: 200 }, (_, index) => ['stdout', `out ${index}`]))
})

test('signal, kill and resize reach the command', async () => {
  const launcher = await start()
  expect(await run(launcher, ['wait'], running => running.signal(2))).toContainEqual(['exit', 'signal 2', 'none'])
  expect(await run(launcher, ['wait'], running => running.kill())).toContainEqual(['exit', 'signal 9', 'killed'])
  expect(await run(launcher, ['wait'], running => { running.resize(30, 200); running.kill() })).toContainEqual(['stdout', '30x200'])
})

test('after a command\'s end nothing reaches the launcher any more', async () => {
  const launcher = await start()
  let ended: RunningCommand | undefined
  await run(launcher, ['exit', '0'], running => { ended = running })
  ended!.kill()
  ended!.signal(15)
  ended!.consumed('stdout', 1 << 20)
  expect(ended!.writeStdin(Buffer.from('x'))).toBe(true)
  ended!.closeStdin()
  expect(await run(launcher, ['exit', '0'])).toContainEqual(['exit', 0, 'none'])
})

test('output stops at the window while nobody consumes it, and goes on after', async () => {
  const launcher = await start()
  let received = 0
  let ended = false
  const running = launcher.run(commandOf(['flood', String(5 << 20)]), {
    onOutput: (_stream, chunk) => { received += chunk.length },
    onExit: () => { ended = true },
    onFailed: () => { throw new Error('failed') },
  })
  await waitUntil(() => received === 1 << 20)
  await sleep(50)
  expect({ received, ended }).toEqual({ received: 1 << 20, ended: false })
  for (let told = 0; !ended; ) {
    const bytes = received - told
    running.consumed('stdout', bytes)
    told += bytes
    await sleep(1)
  }
  expect(received).toBe(5 << 20)
})

test('input comes whole and in order, in frames that the window has room for', async () => {
  const launcher = await start()
  const input = Buffer.from(Array.from({ length: 200_000 }, (_, index) => `${index}\n`).join(''))
  const events = await run(launcher, ['cat'], running => {
    expect(running.writeStdin(input)).toBe(false)
    running.writeStdin(Buffer.from('the end'))
    running.closeStdin()
  })
  expect(events[1]).toEqual(['stdout', `${input}the end`])
})

test('no more input than the window is sent ahead; the writer is told when more may come', async () => {
  const launcher = await start()
  let wrote: boolean | undefined
  let drains = 0
  let running: RunningCommand | undefined
  const events = await run(launcher, ['most-input'], command => {
    running = command
    wrote = command.writeStdin(Buffer.alloc(400 << 10))
    command.signal(1)
  }, {
    onStdinDrained: () => {
      drains++
      running!.signal(1)
      running!.closeStdin()
    },
  })
  expect({ wrote, drains, stderr: events[1] }).toEqual({ wrote: false, drains: 1, stderr: ['stderr', `${256 << 10} ${144 << 10} `] })
})

test.each([
  { setUp: 'fail' as const, error: { code: 'set_up_failed', step: STEPS[0].name, errno: 'ENOENT', path: '/gone' } },
  { setUp: 'die' as const, error: { code: 'set_up_failed', step: 'start_launcher', errno: 'exit 7' } },
  { setUp: 'garbage' as const, error: { code: 'set_up_failed', errno: 'EBADMSG' } },
  { setUp: 'wrong-order' as const, error: { code: 'set_up_failed', errno: 'EBADMSG' } },
])('a set-up that answers "$setUp" is an error', async ({ setUp, error }) => {
  await expect(startLauncher(fake.path, fakePlan(setUp))).rejects.toMatchObject(error)
})

test.each([
  { name: 'missing', path: '/nowhere/launcher', error: { code: 'launcher_not_found', field: 'launcherPath' } },
  { name: 'not executable', path: import.meta.filename, error: { code: 'set_up_failed', step: 'start_launcher', errno: 'EACCES', path: import.meta.filename } },
])('a launcher that is $name', async ({ path, error }) => {
  await expect(startLauncher(path, fakePlan())).rejects.toMatchObject(error)
})

test.each(['garbage', 'unknown-type', 'unknown-id', 'over-drain', 'late-failure', 'die'])('after "%s" every running command fails as lost, once, and so does the next one', async verb => {
  const launcher = await start()
  let lost = 0
  launcher.onLost(() => { lost++ })
  const waiting = run(launcher, ['wait'])
  const events = await run(launcher, [verb])
  expect([(await waiting).at(-1), events.at(-1)]).toEqual([expect.arrayContaining(['failed', 'launcher_lost']), expect.arrayContaining(['failed', 'launcher_lost'])])
  expect(lost).toBe(1)
  expect(() => launcher.run(commandOf(['exit', '0']), { onOutput() {}, onExit() {}, onFailed() {} })).toThrow(expect.objectContaining({ code: 'launcher_lost' }))
  await expect(launcher.close()).resolves.toBeUndefined()
  expect(isRunning(launcher.pid!)).toBe(false)
})

test('close ends the launcher, and running commands as closed; it is not "lost", and twice is once', async () => {
  const launcher = await startLauncher(fake.path, fakePlan())
  let lost = 0
  launcher.onLost(() => { lost++ })
  const waiting = run(launcher, ['wait'])
  await Promise.all([launcher.close(), launcher.close()])
  expect((await waiting).at(-1)).toEqual(expect.arrayContaining(['failed', 'sandbox_closed']))
  expect(lost).toBe(0)
  await waitUntil(() => !isRunning(launcher.pid!))
  expect(() => launcher.run(commandOf(['exit', '0']), { onOutput() {}, onExit() {}, onFailed() {} })).toThrow(/sandbox/)
})

test('an idle, unclosed sandbox does not keep Node alive; a running command does', () => {
  const script = `
    import { startLauncher } from './src/platform/linux/native/launcher.js'
    const plan = ${JSON.stringify(fakePlan())}
    const launcher = await startLauncher(${JSON.stringify(fake.path)}, plan)
    await new Promise(resolve => launcher.run(
      { argv: ['exit', '0'], cwd: plan.cwd, env: [], stdin: 'empty', limits: {} },
      { onOutput() {}, onExit: () => { console.log('ended'); resolve() }, onFailed() {} },
    ))
    console.log('idle')`
  const bundle = execFileSync('node_modules/.bin/esbuild', ['--bundle', '--platform=node', '--format=esm', '--loader=ts'], { input: script })
  const printed = execFileSync(process.execPath, ['--input-type=module', '-'], { input: bundle, timeout: 10_000, encoding: 'utf8' })
  expect(printed).toBe('ended\nidle\n')
})

function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch {
    return false
  }
}

async function waitUntil(condition: () => boolean): Promise<void> {
  while (!condition()) await sleep(2)
}
