import { readdirSync, readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import type { CommandPlan, LinuxNativePlan } from '../../../../../src/platform/launch-plan.js'
import { encodeCommand, encodeEnvironment, encodePlan } from '../../../../../src/platform/linux/native/plan-codec.js'

// test/native decodes the same bytes in C. A change of the encoding changes them, plan.h and PLAN_VERSION together.
const GOLDEN = 'test/golden/plan-codec'
const names = (kind: string): string[] => readdirSync(GOLDEN).filter(name => name.startsWith(kind) && name.endsWith('.json')).map(name => name.slice(0, -'.json'.length))
const input = <Input>(name: string): Input => JSON.parse(readFileSync(`${GOLDEN}/${name}.json`, 'utf8')) as Input
const bytes = (name: string): string => readFileSync(`${GOLDEN}/${name}.hex`, 'utf8').replaceAll(/\s/g, '')

test.each(names('plan'))('%s has its golden bytes', name => {
  expect(encodePlan(input<LinuxNativePlan>(name)).toString('hex')).toBe(bytes(name))
})

test.each(names('command'))('%s has its golden bytes', name => {
  expect(encodeCommand(input<CommandPlan>(name)).toString('hex')).toBe(bytes(name))
})

const plan = input<LinuxNativePlan>('plan-full')
const command = input<CommandPlan>('command-full')
const FLAGS_AT = 8
const { groups: _, ...withoutGroups } = plan

test.each<{ name: string; change: Partial<LinuxNativePlan>; flags: number }>([
  { name: 'a control group for memory only', change: { groups: { parent: '/g', holds: ['memoryBytes'] } }, flags: 1 | 2 | 4 | 8 | 16 },
  { name: 'a control group that ends commands', change: { groups: { parent: '/g', holds: [], ends: true } }, flags: 1 | 2 | 4 | 8 | 1024 },
  { name: 'private network, Landlock with files, own /proc', change: {}, flags: 1 | 2 | 4 | 8 },
  { name: 'the supervised rung, which has no /proc of its own', change: { supervision: { base: 'read', rules: [], outer: { handledNet: 0, rules: [] }, reads: [], judgedReads: 'shared-memory' } }, flags: 1 | 2 | 4 | 64 },
  { name: 'the same, with something closed to reading in a writable root', change: { supervision: { base: 'read', rules: [], outer: { handledNet: 0, rules: [] }, reads: [], judgedReads: 'all' } }, flags: 1 | 2 | 4 | 64 | 8192 },
  { name: 'no network, and sockets made by the launcher', change: { network: 'none', sockets: 'made' }, flags: 2 | 4 | 8 | 128 | 256 },
  { name: 'an observer of writes', change: { observe: 'writes' }, flags: 1 | 2 | 4 | 8 | 512 },
  { name: 'an observer of reads', change: { observe: 'reads' }, flags: 1 | 2 | 4 | 8 | 512 | 4096 },
  { name: 'none', change: { observe: 'off' }, flags: 1 | 2 | 4 | 8 },
  { name: 'the host\'s network', change: { network: 'host' }, flags: 2 | 4 | 8 },
  { name: 'Landlock without file rules', change: { landlock: { abi: 6, scopes: 3, handledNet: 3 } }, flags: 1 | 2 | 8 },
  { name: 'the host\'s /proc where that is degraded', change: { degraded: ['no-own-proc'] }, flags: 1 | 2 | 4 },
])('flags: $name', ({ change, flags }) => {
  expect(encodePlan({ ...withoutGroups, ...change }).readUInt32LE(FLAGS_AT)).toBe(flags)
})

test('no Landlock at all: neither flag, no rules', () => {
  const { landlock, ...without } = withoutGroups
  expect(encodePlan(without).readUInt32LE(FLAGS_AT)).toBe(1 | 8)
})

test('a large plan grows as it is written', () => {
  const mounts = Array.from({ length: 5000 }, (_, index) => ({ step: 'pin', path: `/a/long/path/number/${index}`, identity: { device: '1', inode: '2' } }) as const)
  const small = encodePlan({ ...plan, mounts: [] })
  const row = (path: string): number => 3 + 4 + path.length + 16 + 4 + 4
  expect(encodePlan({ ...plan, mounts }).length).toBe(small.length + mounts.reduce((sum, { path }) => sum + row(path), 0))
})

test('identities and masks above 2^53 keep every bit', () => {
  const encoded = encodeCommand({ ...command, cwd: { path: '/', identity: { device: '18446744073709551615', inode: '9007199254740993' } } })
  expect(encoded.subarray(13, 29).toString('hex')).toBe('ffffffffffffffff0100000000002000')
})

test('limits above 2^32 keep every bit', () => {
  const encoded = encodeCommand({ ...command, cwd: { path: '/', identity: { device: '0', inode: '0' } }, limits: { memoryBytes: 2 ** 40 + 7 } })
  expect(encoded.readBigUInt64LE(29)).toBe(2n ** 40n + 7n)
})

test('room for a frame\'s header comes first, and a kept environment gives the same bytes', () => {
  const whole = encodeCommand(command)
  expect(encodeCommand(command, encodeEnvironment(command.env), 9).subarray(9)).toEqual(whole)
})

test.each<{ name: string; encode: () => Buffer; field: string }>([
  { name: 'an argument', encode: () => encodeCommand({ ...command, argv: ['a', 'b\0c'] }), field: 'argv[1]' },
  { name: 'a variable', encode: () => encodeCommand({ ...command, env: ['A=\0'] }), field: 'env[0]' },
  { name: 'a cwd', encode: () => encodeCommand({ ...command, cwd: { ...command.cwd, path: '/\0' } }), field: 'cwd' },
  { name: 'a mount', encode: () => encodePlan({ ...plan, mounts: [{ step: 'private_directory', path: '/\0' }] }), field: 'mounts[0]' },
  { name: 'a device', encode: () => encodePlan({ ...plan, devices: ['/dev/\0'] }), field: 'devices[0]' },
])('NUL in $name is refused', ({ encode, field }) => {
  expect(encode).toThrow(expect.objectContaining({ code: 'argument_invalid', field }))
})
