// The C twin of src/platform/linux/native/plan-codec.ts: it reads from the same golden bytes what their JSON says.
import { constants } from 'node:os'
import { readdirSync, readFileSync } from 'node:fs'
import { afterAll, beforeEach, expect, test } from 'vitest'
import type { CommandPlan, LandlockRule, LinuxNativePlan, MountStep } from '../../src/platform/launch-plan.js'
import { encodeCommand, encodePlan } from '../../src/platform/linux/native/plan-codec.js'
import { buildDecodeTool, type DecodeTool } from './decode-tool.js'

const GOLDEN = 'test/golden/plan-codec'
const names = (kind: string): string[] => readdirSync(GOLDEN).filter(name => name.startsWith(kind) && name.endsWith('.json')).map(name => name.slice(0, -'.json'.length))
const json = <Input>(name: string): Input => JSON.parse(readFileSync(`${GOLDEN}/${name}.json`, 'utf8')) as Input
const golden = (name: string): Buffer => Buffer.from(readFileSync(`${GOLDEN}/${name}.hex`, 'utf8').replaceAll(/\s/g, ''), 'hex')

const built = process.platform === 'linux' ? buildDecodeTool() : 'the launcher is for Linux'
const { decode } = typeof built === 'string' ? {} as DecodeTool : built
afterAll(() => { if (typeof built !== 'string') built.remove() })
beforeEach(context => { if (typeof built === 'string') context.skip(built) })

const REFUSED = { refused: constants.errno.EBADMSG }

/** What the launcher reads of a plan: the answer of decode-tool.c, from the plan itself. */
const readOfPlan = (plan: LinuxNativePlan): object => ({
  flags: (plan.network === 'private' ? 1 : 0) + (plan.landlock === undefined ? 0 : 2) + (plan.landlock?.files === undefined ? 0 : 4) + (plan.degraded.includes('no-own-proc') || plan.supervision !== undefined ? 0 : 8)
    + (plan.groups?.holds.includes('memoryBytes') === true ? 16 : 0) + (plan.groups?.holds.includes('pids') === true ? 32 : 0) + (plan.groups?.ends === true ? 1024 : 0)
    + (plan.supervision === undefined ? 0 : 64) + (plan.network === 'none' ? 128 : 0) + (plan.sockets === 'made' ? 256 : 0),
  uid: plan.uid, gid: plan.gid, stateDirectory: plan.stateDirectory, cwd: plan.cwd.path, identity: Object.values(plan.cwd.identity),
  mounts: plan.mounts.map(readOfMount),
  devices: plan.devices,
  scopes: String(plan.landlock?.scopes ?? 0), net: String(plan.landlock?.handledNet ?? 0),
  fs: plan.landlock?.files?.handled ?? '0', proc: plan.landlock?.files?.proc ?? '0', rules: (plan.landlock?.files?.rules ?? []).map(readOfRule),
  commandFilter: hex(plan.seccomp.command), listenerFilter: hex(plan.seccomp.listener ?? ''),
  group: plan.groups?.parent ?? '',
  base: plan.supervision?.base ?? 'read', pathRules: plan.supervision?.rules ?? [],
  outerNet: String(plan.supervision?.outer.handledNet ?? 0), outerRules: (plan.supervision?.outer.rules ?? []).map(readOfRule),
  trees: (plan.supervision?.reads ?? []).map(({ closed, ...rule }) => ({ ...readOfRule(rule), closed })),
  listeners: plan.listeners ?? [], socketFlags: (plan.unixSockets?.all === true ? 1 : 0) + (plan.unixSockets?.ofRoot === true ? 2 : 0),
  sockets: (plan.unixSockets?.allowed ?? []).map(({ path, identity }, index) => ({ index, path, identity: identity === undefined ? ['0', '0'] : Object.values(identity) })),
})

const readOfRule = ({ path, allowed, identity }: LandlockRule): object => ({ path, allowed, identity: identity === undefined ? ['0', '0'] : Object.values(identity) })

function readOfMount(step: MountStep): object {
  const { path } = step
  const common = { kind: step.step, path, text: '', openings: [] as object[] }
  const missing = ['0', '0']
  switch (step.step) {
    case 'bind_writable':     return { ...common, entry: 'missing', effect: 'write', identity: Object.values(step.identity) }
    case 'bind_read_only': {
      const gone = step.gone === 'nothing' ? { entry: 'missing' } : { entry: step.gone?.kind ?? 'directory', text: step.gone?.text ?? '' }
      return { ...common, ...gone, effect: 'read', identity: Object.values(step.identity) }
    }
    case 'mask':              return { ...common, entry: step.kind, effect: 'deny', identity: Object.values(step.identity), openings: step.openings.map(each => ({ ...each, identity: Object.values(each.identity) })) }
    case 'pin':               return { ...common, entry: 'directory', effect: 'write', identity: Object.values(step.identity) }
    case 'placeholder':       return { ...common, entry: step.kind, effect: step.effect, identity: Object.values(step.parent), text: step.text ?? '' }
    case 'watch':             return { ...common, entry: 'missing', effect: step.effect, identity: missing }
    case 'private_directory': return { ...common, entry: 'directory', effect: 'write', identity: missing }
    default:                  return step satisfies never
  }
}

const readOfCommand = ({ argv, cwd, env, terminal, stdin, limits, reportStart, groupLimits, keep, helper }: CommandPlan): object => ({
  flags: (terminal === undefined ? 0 : 1) + (stdin === 'pipe' ? 2 : 0) + (reportStart === true ? 4 : 0)
    + (groupLimits?.includes('memoryBytes') === true ? 8 : 0) + (groupLimits?.includes('pids') === true ? 16 : 0) + (keep === true ? 32 : 0) + (helper === true ? 64 : 0),
  rows: terminal?.rows ?? 0, cols: terminal?.cols ?? 0, cwd: cwd.path, identity: Object.values(cwd.identity),
  memoryBytes: String(limits.memoryBytes ?? 0), pids: String(limits.pids ?? 0), cpuSeconds: String(limits.cpuSeconds ?? 0),
  openFiles: String(limits.openFiles ?? 0), fileSizeBytes: String(limits.fileSizeBytes ?? 0), argv, env,
})

const hex = (base64: string): string => Buffer.from(base64, 'base64').toString('hex')

test.each(names('plan'))('%s is read as it was written', name => {
  expect(decode('p', golden(name))).toEqual([readOfPlan(json(name))])
})

test.each(names('command'))('%s is read as it was written', name => {
  expect(decode('c', golden(name))).toEqual([readOfCommand(json(name))])
})

test('a plan with thousands of mounts, and a command with thousands of arguments', () => {
  const plan = { ...json<LinuxNativePlan>('plan-full'), mounts: Array.from({ length: 5000 }, (_, i): MountStep => ({ step: 'pin', path: `/w/${i}`, identity: { device: '1', inode: String(i) } })) }
  const command = { ...json<CommandPlan>('command-full'), argv: Array.from({ length: 20_000 }, (_, i) => i % 3 === 0 ? '' : `${i}`) }
  expect([decode('p', encodePlan(plan)), decode('c', encodeCommand(command))]).toEqual([[readOfPlan(plan)], [readOfCommand(command)]])
})

test.each([...names('plan'), ...names('command')])('%s cut off anywhere, or with a byte more, is refused', name => {
  const kind = name.startsWith('plan') ? 'p' : 'c'
  const bytes = golden(name)
  const damaged = [...Array.from(bytes, (_, length) => bytes.subarray(0, length)), Buffer.concat([bytes, Buffer.alloc(1)])]
  expect(decode(kind, ...damaged)).toEqual(damaged.map(() => REFUSED))
})

const COMMAND_COUNT_AT = 8 + 4 + '/'.length + 16 + 40

test.each<{ name: string; kind: 'p' | 'c'; from: string; change: (bytes: Buffer) => unknown }>([
  { name: 'another magic number', kind: 'p', from: 'plan-least', change: bytes => bytes.writeUInt32LE(0, 0) },
  { name: 'another version', kind: 'p', from: 'plan-least', change: bytes => bytes.writeUInt32LE(0xff, 4) },
  { name: 'a string of 4 GiB', kind: 'p', from: 'plan-least', change: bytes => bytes.writeUInt32LE(0xffff_ffff, 20) },
  { name: 'a NUL in a string', kind: 'p', from: 'plan-least', change: bytes => bytes.writeUInt8(0, 24) },
  { name: 'no argument', kind: 'c', from: 'command-least', change: bytes => bytes.writeUInt32LE(0, COMMAND_COUNT_AT) },
  { name: '4 Gi arguments', kind: 'c', from: 'command-least', change: bytes => bytes.writeUInt32LE(0xffff_ffff, COMMAND_COUNT_AT) },
])('$name is refused', ({ kind, from, change }) => {
  const bytes = golden(from)
  change(bytes)
  expect(decode(kind, bytes)).toEqual([REFUSED])
})

test('a plan without a seccomp filter is refused, though every length fits', () => {
  const plan = json<LinuxNativePlan>('plan-least')
  expect(decode('p', encodePlan({ ...plan, seccomp: { command: '' } }))).toEqual([REFUSED])
})

test.each(['kind', 'entry', 'effect'].flatMap((field, at) => [0, 200].filter(value => field !== 'entry' || value !== 0).map(value => ({ field, at, value }))))('a mount with $field $value is refused', ({ at, value }) => {
  const plan = { ...json<LinuxNativePlan>('plan-least'), mounts: [{ step: 'private_directory', path: '/unlike/any/other' } as const] }
  const bytes = encodePlan(plan)
  bytes.writeUInt8(value, bytes.indexOf('/unlike') - 4 - 3 + at)
  expect(decode('p', bytes)).toEqual([REFUSED])
})

const frame = (length: number, type: number, payload = Buffer.alloc(0)): Buffer => {
  const header = Buffer.alloc(9)
  header.writeUInt32LE(length, 0)
  header[4] = type
  return Buffer.concat([header, payload])
}

test.each([
  { name: 'nothing', bytes: Buffer.alloc(0), types: [], end: 'whole' },
  { name: 'two frames in pieces', bytes: Buffer.concat([frame(70_000, 1, Buffer.alloc(70_000, 7)), frame(0, 9)]), types: [1, 9], end: 'whole' },
  { name: 'a frame and half of one', bytes: Buffer.concat([frame(0, 9), frame(5, 3, Buffer.alloc(4))]), types: [9], end: 'more' },
  { name: 'a frame of 4 GiB', bytes: Buffer.concat([frame(0, 4), frame(0xffff_ffff, 3), frame(0, 9)]), types: [4], end: 'refused' },
  { name: 'a frame of one byte more than the most', bytes: frame((64 << 20) + 1, 3), types: [], end: 'refused' },
  { name: 'a frame of the most, of which no byte came', bytes: frame(64 << 20, 3), types: [], end: 'more' },
])('frames: $name', ({ bytes, types, end }) => {
  const [answer] = decode('f', bytes) as [{ frames: { type: number }[]; same: boolean; end: string }]
  expect({ types: answer.frames.map(({ type }) => type), same: answer.same, end: answer.end }).toEqual({ types, same: true, end })
})
