import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { FS_RIGHTS, type FsRight, ON_FILE_MASK, fsMask } from '../../../../../src/platform/linux/landlock/access-rights.js'
import { type RulesetOptions, type Rulesets, compileRulesets, deviceRights, procRights, writableRights } from '../../../../../src/platform/linux/landlock/ruleset.js'
import type { EntryKind } from '../../../../../src/policy/host-snapshot.js'
import type { Effect, PathRule, ResolvedPolicy } from '../../../../../src/policy/resolved-policy.js'

const READ = 'execute read_file read_dir'
const FILE_WRITE = 'execute write_file read_file truncate ioctl_dev'
const ALL = 'execute write_file read_file read_dir remove_dir remove_file make_char make_dir make_reg make_sock make_fifo make_block make_sym refer truncate ioctl_dev'

const OPTIONS: RulesetOptions = { privateNetwork: true, systemPaths: ['/dev', '/proc'], extraRules: [] }

const rule = (effect: Effect, path: string, kind: PathRule['kind'] = 'directory'): PathRule =>
  ({ path, effect, origin: 'rule', field: undefined, owner: undefined, kind, identity: kind === 'missing' ? undefined : { device: '1', inode: '1' } })
const write = (path: string, kind?: PathRule['kind']): PathRule => rule('write', path, kind)
const read = (path: string, kind?: PathRule['kind']): PathRule => rule('read', path, kind)
const deny = (path: string, kind?: PathRule['kind']): PathRule => rule('deny', path, kind)

/** Only what compileRulesets looks at. */
const policy = (base: Effect, paths: readonly PathRule[], network: 'off' | 'open' = 'off'): ResolvedPolicy =>
  ({ base, paths, network }) as unknown as ResolvedPolicy

const names = (mask: bigint): string => FS_RIGHTS.map(({ right }) => right).filter(right => (fsMask([right]) & mask) !== 0n).join(' ')
const shown = ({ file }: Rulesets): string[] | undefined => file?.rules.map(({ path, allowed }) => `${path}: ${names(allowed)}`)

test.each<{ name: string; base: Effect; paths: PathRule[]; rules: string[] | undefined }>([
  { name: 'reads of everything, and nothing is writable', base: 'read', paths: [], rules: [`/: ${READ}`] },
  { name: 'a writable root gets every right', base: 'read', paths: [write('/w')], rules: [`/: ${READ}`, `/w: ${ALL}`] },
  { name: 'each root can be the source and the target of a rename', base: 'read', paths: [write('/v'), write('/w')], rules: [`/: ${READ}`, `/v: ${ALL}`, `/w: ${ALL}`] },
  { name: 'a writable file gets what may stand on a file', base: 'read', paths: [write('/w/f', 'file')], rules: [`/: ${READ}`, `/w/f: ${FILE_WRITE}`] },
  { name: 'a device, socket or FIFO too', base: 'read', paths: [write('/a', 'device'), write('/b', 'fifo'), write('/c', 'socket')], rules: [`/: ${READ}`, `/a: ${FILE_WRITE}`, `/b: ${FILE_WRITE}`, `/c: ${FILE_WRITE}`] },
  { name: 'protected and denied paths are left to mounts', base: 'read', paths: [write('/w'), read('/w/.git'), deny('/w/.env', 'file')], rules: [`/: ${READ}`, `/w: ${ALL}`] },
  { name: 'at one path the strictest decides', base: 'read', paths: [write('/w'), read('/w'), write('/x'), deny('/x')], rules: [`/: ${READ}`] },
  { name: 'what is missing gets no rule', base: 'read', paths: [write('/w', 'missing')], rules: [`/: ${READ}`] },
  { name: 'restricted reads: only what is named, and the system\'s', base: 'deny', paths: [], rules: [`/dev: ${READ}`, `/proc: ${READ}`] },
  { name: 'restricted reads: a readable root', base: 'deny', paths: [read('/usr'), write('/w')], rules: [`/dev: ${READ}`, `/proc: ${READ}`, `/usr: ${READ}`, `/w: ${ALL}`] },
  { name: 'restricted reads: a readable file', base: 'deny', paths: [read('/etc/hosts', 'file')], rules: [`/dev: ${READ}`, `/proc: ${READ}`, '/etc/hosts: execute read_file'] },
  { name: 'restricted reads: denied, missing and linked paths open nothing', base: 'deny', paths: [deny('/a'), read('/b', 'missing'), read('/c', 'symlink')], rules: [`/dev: ${READ}`, `/proc: ${READ}`] },
  { name: 'no restriction at all: no layer', base: 'write', paths: [], rules: undefined },
])('$name', ({ base, paths, rules }) => {
  expect(shown(compileRulesets(policy(base, paths), 7, OPTIONS))).toEqual(rules)
})

test.each([
  { abi: 0, handled: undefined },
  { abi: 1, handled: 0x1fffn },
  { abi: 2, handled: 0x3fffn },
  { abi: 3, handled: 0x7fffn },
  { abi: 4, handled: 0x7fffn },
  { abi: 5, handled: 0xffffn },
  { abi: 8, handled: 0xffffn },
  { abi: 9, handled: 0xffffn },
  { abi: 99, handled: 0xffffn },
])('ABI $abi: every file right that it has is handled, but never resolve_unix', ({ abi, handled }) => {
  expect(compileRulesets(policy('read', [write('/w')]), abi, OPTIONS).file?.handled).toBe(handled)
})

describe('network and scopes', () => {
  test.each([
    { name: 'the private loopback stays open', network: 'off', privateNetwork: true, abi: 10, handledNet: 0 },
    { name: 'an open network stays open', network: 'open', privateNetwork: false, abi: 10, handledNet: 0 },
    { name: 'network off without a namespace: TCP from ABI 4', network: 'off', privateNetwork: false, abi: 4, handledNet: 3 },
    { name: 'network off without a namespace: UDP from ABI 10', network: 'off', privateNetwork: false, abi: 10, handledNet: 15 },
    { name: 'network off without a namespace: nothing before ABI 4', network: 'off', privateNetwork: false, abi: 3, handledNet: 0 },
  ] as const)('$name', ({ network, privateNetwork, abi, handledNet }) => {
    expect(compileRulesets(policy('read', [], network), abi, { ...OPTIONS, privateNetwork }).handledNet).toBe(handledNet)
  })

  test.each([{ abi: 5, scopes: 0 }, { abi: 6, scopes: 3 }, { abi: 99, scopes: 3 }])('scopes under ABI $abi', ({ abi, scopes }) => {
    expect(compileRulesets(policy('deny', []), abi, OPTIONS).scopes).toBe(scopes)
  })

  test('no scope where nothing is restricted', () => {
    expect(compileRulesets(policy('write', [], 'open'), 7, OPTIONS)).toEqual({ scopes: 0, handledNet: 0, file: undefined })
  })
})

test('the launcher\'s own rules come last, without rights that are not handled', () => {
  const extraRules = [{ path: '/dev', allowed: deviceRights(7) }, { path: '/dev/shm', allowed: writableRights(7) }, { path: '/x', allowed: fsMask(['truncate']) }]
  expect(shown(compileRulesets(policy('read', []), 7, { ...OPTIONS, extraRules }))).toEqual([
    `/: ${READ}`, '/dev: execute write_file read_file read_dir truncate ioctl_dev', `/dev/shm: ${ALL}`, '/x: truncate',
  ])
  expect(shown(compileRulesets(policy('read', []), 2, { ...OPTIONS, extraRules }))).toEqual([
    `/: ${READ}`, '/dev: execute write_file read_file read_dir', `/dev/shm: ${names(writableRights(2))}`,
  ])
})

test('what a command may do below /proc and /dev', () => {
  expect(names(procRights(7))).toBe('execute write_file read_file read_dir truncate')
  expect(names(procRights(1))).toBe('execute write_file read_file read_dir')
  expect(names(deviceRights(5))).toBe('execute write_file read_file read_dir truncate ioctl_dev')
})

test('any policy, any ABI: a rule allows something, only what is handled, and on a file only what may stand there', () => {
  const anyKind = fc.constantFrom<EntryKind | 'missing'>('file', 'directory', 'symlink', 'socket', 'fifo', 'device', 'missing')
  const anyRule = fc.record({ effect: fc.constantFrom<Effect>('write', 'read', 'deny'), path: fc.constantFrom('/a', '/a/b', '/c', '/d/e'), kind: anyKind })
  const writing = fsMask(['write_file', 'truncate', 'make_reg', 'make_dir', 'remove_file', 'remove_dir', 'refer'] satisfies FsRight[])
  fc.assert(fc.property(fc.constantFrom<Effect>('read', 'deny'), fc.array(anyRule, { maxLength: 8 }), fc.integer({ min: 1, max: 12 }), (base, rules, abi) => {
    const paths = rules.map(({ effect, path, kind }) => rule(effect, path, kind))
    const { file } = compileRulesets(policy(base, paths), abi, OPTIONS)
    if (file === undefined) throw new Error('no layer')
    for (const { path, allowed } of file.rules) {
      expect(allowed).not.toBe(0n)
      expect(allowed & ~file.handled).toBe(0n)
      const last = paths.findLast(each => each.path === path)
      if (last !== undefined && last.kind !== 'directory') expect(allowed & ~ON_FILE_MASK).toBe(0n)
      // Nothing is writable that no write rule names.
      if (last?.effect !== 'write') expect(allowed & writing).toBe(0n)
    }
  }))
})
