// A peer of the launcher that does not speak its language: the launcher ends, everything that ran ends with it, and nothing is left.
import { spawnSync } from 'node:child_process'
import { beforeEach, describe, expect, onTestFinished, test } from 'vitest'
import { parseOptions, prepare } from '../../src/exec/prepare.js'
import type { CommandPlan, LinuxNativePlan } from '../../src/platform/launch-plan.js'
import { FROM_LAUNCHER, TO_LAUNCHER } from '../../src/platform/linux/native/frames.generated.js'
import { readFailure } from '../../src/platform/linux/native/frames.js'
import { encodePlan } from '../../src/platform/linux/native/plan-codec.js'
import { expectNone, processesWithArgument } from '../native/host-processes.js'
import { type OwnLauncher, ownLauncher } from '../native/own-launcher.js'
import { frameOf, isReady, type RawLauncher, startFrame, startRawLauncher } from '../native/raw-launcher.js'
import { makeWorkspace, type Workspace } from '../native/workspace.js'

beforeEach(context => { if (process.platform !== 'linux') context.skip('the launcher is for Linux') })

interface Setting { launcher: OwnLauncher; workspace: Workspace; plan: LinuxNativePlan; raw: RawLauncher; command(...argv: string[]): CommandPlan }

async function setUp(launcher: OwnLauncher): Promise<Setting> {
  const workspace = makeWorkspace()
  const { plan, backend } = await prepare(await parseOptions({ cwd: workspace.path, launcherPath: launcher.path }))
  if (plan.backend !== 'linux-native') throw new Error(plan.backend)
  // Makes the state directory, as every start does.
  const first = await backend.start(plan)
  await first.close()
  const raw = startRawLauncher(launcher.path)
  onTestFinished(() => raw.hangUp())
  const command = (...argv: string[]): CommandPlan => ({ argv, cwd: plan.cwd, env: [`PATH=${process.env['PATH']}`], stdin: 'empty', limits: {} })
  return { launcher, workspace, plan, raw, command }
}

async function expectNothingLeft({ launcher, workspace }: Setting): Promise<void> {
  await expectNone(launcher.processes)
  expect(workspace.journal()).toEqual([])
  expect(workspace.entries().filter(name => name !== 'marker' && name !== 'pid')).toEqual([])
}

const header = (length: number, type: number, id: number): Buffer => {
  const bytes = frameOf(type, id)
  bytes.writeUInt32LE(length, 0)
  return bytes
}

describe('before the set-up', () => {
  test.each<{ name: string; say: (setting: Setting) => Buffer[]; hangUp?: true }>([
    { name: 'nothing at all', say: () => [], hangUp: true },
    { name: 'a command without a plan', say: ({ command }) => [startFrame(1, command('sh', '-c', ': > marker'))] },
    { name: 'CLOSE without a plan', say: () => [frameOf(TO_LAUNCHER.CLOSE, 0)] },
    { name: 'bytes that are no frame', say: () => [Buffer.alloc(64, 0xee)] },
    { name: 'a plan of 4 GiB', say: () => [header(0xffff_ffff, TO_LAUNCHER.PLAN, 0)] },
    { name: 'half a plan', say: ({ plan }) => [frameOf(TO_LAUNCHER.PLAN, 0, encodePlan(plan)).subarray(0, 1000)], hangUp: true },
    { name: 'half a header', say: () => [Buffer.alloc(5)], hangUp: true },
    { name: 'two plans', say: ({ plan }) => [frameOf(TO_LAUNCHER.PLAN, 0, encodePlan(plan)), frameOf(TO_LAUNCHER.PLAN, 0, encodePlan(plan))] },
    { name: 'a plan and a command at once', say: ({ plan, command }) => [frameOf(TO_LAUNCHER.PLAN, 0, encodePlan(plan)), startFrame(1, command('sh', '-c', ': > marker'))] },
  ])('$name: it ends, without a word', async ({ say, hangUp }) => {
    const setting = await setUp(ownLauncher())
    setting.raw.send(...say(setting))
    if (hangUp) setting.raw.hangUp()
    expect(await setting.raw.ended).toBe(1)
    expect(setting.raw.frames).toEqual([])
    expect(setting.workspace.entries()).toEqual([])
    await expectNothingLeft(setting)
  })

  test('a plan of random bytes: it says that it cannot read it, and ends', async () => {
    const setting = await setUp(ownLauncher())
    setting.raw.send(frameOf(TO_LAUNCHER.PLAN, 0, Buffer.from('not a plan')))
    expect(await setting.raw.ended).toBe(1)
    expect(setting.raw.frames.map(({ type, id, payload }) => ({ type, id, ...readFailure(payload) }))).toEqual([{ type: FROM_LAUNCHER.FAILED, id: 0, step: 'decode_plan', errno: 'EBADMSG', path: undefined }])
    await expectNothingLeft(setting)
  })
})

/** The launcher is ready and runs a command, whose processes have `word` among their arguments. */
async function setUpRunning(launcher = ownLauncher()): Promise<Setting & { word: string }> {
  const setting = await setUp(launcher)
  const word = `word-${process.pid}-${Math.random()}`
  setting.raw.send(frameOf(TO_LAUNCHER.PLAN, 0, encodePlan(setting.plan)))
  await setting.raw.next(isReady)
  setting.raw.send(startFrame(1, setting.command('sh', '-c', 'setsid sh -c "while :; do sleep 1000; done" "$0" & while :; do sleep 1000; done', word)))
  await expect.poll(() => processesWithArgument(word).length, { timeout: 20_000 }).toBe(2)
  return { ...setting, word }
}

describe('while a command runs', () => {
  test.each<{ name: string; say: (setting: Setting) => Buffer[]; hangUp?: true }>([
    { name: 'another plan', say: ({ plan }) => [frameOf(TO_LAUNCHER.PLAN, 0, encodePlan(plan))] },
    ...[0, 10, FROM_LAUNCHER.READY, 255].map(type => ({ name: `a frame of type ${type}`, say: () => [frameOf(type, 1)] })),
    { name: 'a frame of 4 GiB', say: () => [header(0xffff_ffff, TO_LAUNCHER.STDIN, 1)] },
    { name: 'a command with id 0', say: ({ command }) => [startFrame(0, command('sh', '-c', ': > marker'))] },
    { name: 'a command with the id of the running one', say: ({ command }) => [startFrame(1, command('sh', '-c', ': > marker'))] },
    { name: 'a signal of three bytes', say: () => [frameOf(TO_LAUNCHER.SIGNAL, 1, Buffer.alloc(3))] },
    { name: 'a size of one byte', say: () => [frameOf(TO_LAUNCHER.RESIZE, 1, Buffer.alloc(1))] },
    { name: 'consumed bytes of no stream', say: () => [frameOf(TO_LAUNCHER.CONSUMED, 1, Buffer.alloc(4))] },
    { name: 'half a frame, and the end', say: () => [header(100, TO_LAUNCHER.STDIN, 1)], hangUp: true },
    { name: 'the end', say: () => [], hangUp: true },
    { name: 'a command behind CLOSE', say: ({ command }) => [frameOf(TO_LAUNCHER.CLOSE, 0), startFrame(2, command('sh', '-c', ': > marker'))] },
  ])('$name: all of it ends', async ({ say, hangUp }) => {
    const setting = await setUpRunning()
    setting.raw.send(...say(setting))
    if (hangUp) setting.raw.hangUp()
    expect(await setting.raw.ended).toBe(0)
    await expectNone(() => processesWithArgument(setting.word))
    expect(setting.workspace.entries()).toEqual([])
    await expectNothingLeft(setting)
  })

  test.each<{ name: string; say: (setting: Setting) => Buffer[]; answers: object[] }>([
    { name: 'a command cut off', say: ({ command }) => [frameOf(TO_LAUNCHER.START, 2, startFrame(2, command('true')).subarray(9, -1))], answers: [{ id: 2, step: 'decode_command', errno: 'EBADMSG', path: undefined }] },
    { name: 'a command of no bytes', say: () => [frameOf(TO_LAUNCHER.START, 2)], answers: [{ id: 2, step: 'decode_command', errno: 'EBADMSG', path: undefined }] },
    { name: 'a cut off command that no packet holds', say: ({ command }) => [frameOf(TO_LAUNCHER.START, 2, startFrame(2, command('true', 'x'.repeat(100_000))).subarray(9, -1))], answers: [{ id: 2, step: 'decode_command', errno: 'EBADMSG', path: undefined }] },
    { name: 'frames for commands that are not there', say: () => [3, 4, 5, 6, 7, 8].map(type => frameOf(type, 77, Buffer.alloc(8))), answers: [] },
    { name: 'signals that are none', say: () => [-1, 0, 65, 0x7fff_ffff].map(number => { const bytes = Buffer.alloc(4); bytes.writeInt32LE(number); return frameOf(TO_LAUNCHER.SIGNAL, 1, bytes) }), answers: [] },
    { name: 'input and more consumed bytes than there were', say: () => [frameOf(TO_LAUNCHER.CONSUMED, 1, Buffer.from([9, 255, 255, 255, 255])), frameOf(TO_LAUNCHER.RESIZE, 1, Buffer.alloc(4, 255))], answers: [] },
  ])('$name: only that fails, and the next command runs', async ({ say, answers }) => {
    const setting = await setUpRunning()
    setting.raw.send(...say(setting), startFrame(3, setting.command('sh', '-c', ': > marker')))
    const exit = await setting.raw.next(({ type, id }) => type === FROM_LAUNCHER.EXIT && id === 3)
    expect(exit?.payload.readInt32LE(0)).toBe(0)
    expect(setting.workspace.entries()).toContain('marker')
    expect(setting.raw.frames.filter(({ type }) => type === FROM_LAUNCHER.FAILED).map(({ id, payload }) => ({ id, ...readFailure(payload) }))).toEqual(answers)
    expect(processesWithArgument(setting.word)).toHaveLength(2)
    setting.raw.hangUp()
    expect(await setting.raw.ended).toBe(0)
    await expectNone(() => processesWithArgument(setting.word))
    await expectNothingLeft(setting)
  })
})

/** The same numbers for the same seed (mulberry32). */
function randomNumbers(seed: number): (below: number) => number {
  let state = seed >>> 0
  return below => {
    state = (state + 0x6d2b79f5) >>> 0
    let value = Math.imul(state ^ (state >>> 15), state | 1)
    value ^= value + Math.imul(value ^ (value >>> 7), value | 61)
    return ((value ^ (value >>> 14)) >>> 0) % below
  }
}

function randomFrame(random: (below: number) => number, { command }: Setting): Buffer {
  const id = [1, 2, 3, random(5), random(2 ** 32)][random(5)]!
  const bytes = Buffer.from(Array.from({ length: random(3) === 0 ? random(3000) : random(10) }, () => random(256)))
  // Types that end it at once come seldom, so that most frames find it alive.
  if (random(100) === 0) return random(2) === 0 ? frameOf(random(256), id, bytes) : header(random(2 ** 32), random(10), id)
  if (random(3) > 0) return frameOf(3 + random(6), id, random(2) === 0 ? Buffer.alloc(5, random(256)) : bytes)
  const start = startFrame(random(2 ** 32 - 1) + 1, { ...command('sh', '-c', 'echo $0; cat', String(id)), stdin: random(2) === 0 ? 'pipe' : 'empty', ...(random(3) === 0 ? { terminal: { rows: random(70_000) & 0xffff, cols: 80 } } : {}) })
  for (let changes = random(4); changes > 0; changes--) start[9 + random(start.length - 9)] = random(256)
  return start
}

test.each(['release', 'sanitizers'] as const)('random frames to the %s build: it never crashes, and nothing is left', { timeout: 120_000 }, async variant => {
  const seed = Math.floor(Math.random() * 2 ** 32)
  const random = randomNumbers(seed)
  const launcher = ownLauncher(variant, variant === 'sanitizers' ? { ASAN_OPTIONS: 'detect_leaks=0' } : {})
  for (let round = 0; round < 15; round++) {
    const setting = await setUp(launcher)
    setting.raw.send(frameOf(TO_LAUNCHER.PLAN, 0, encodePlan(setting.plan)))
    expect(await setting.raw.next(isReady), `seed ${seed}, round ${round}`).toBeDefined()
    const bytes = Buffer.concat(Array.from({ length: 200 }, () => randomFrame(random, setting)))
    for (let at = 0; at < bytes.length;) {
      const length = 1 + random(5000)
      setting.raw.send(bytes.subarray(at, at + length))
      at += length
      if (random(4) === 0) await new Promise(resolve => setImmediate(resolve))
    }
    if (random(2) === 0) setting.raw.send(frameOf(TO_LAUNCHER.CLOSE, 0))
    setting.raw.hangUp()
    expect(await setting.raw.ended, `seed ${seed}, round ${round}`).toBe(0)
    await expectNone(launcher.processes)
    // A command that was changed may make a file; what stands for a missing name is gone.
    expect({ journal: setting.workspace.journal(), held: setting.workspace.entries().filter(name => ['.git', '.codex', '.agents'].includes(name)) }).toEqual({ journal: [], held: [] })
  }
})

test('a launcher without a socket says what it is, and ends', () => {
  const { status, stderr } = spawnSync(ownLauncher().path, [], { encoding: 'utf8', env: {} })
  expect({ status, stderr }).toEqual({ status: 125, stderr: 'codex-sandbox-launcher: started by codex-sandbox only, with a socket as descriptor 3\n' })
})
