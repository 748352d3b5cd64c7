// Where control groups may be made, on made-up hosts.
import { describe, expect, test } from 'vitest'
import { findEndingGroup, findGroups } from '../../../../../src/platform/linux/native/control-groups.js'

const MOUNT = '/sys/fs/cgroup'

/** A service whose process was put in a group of its own below it, and what is different on another host. */
function find(changes: Readonly<Record<string, string | undefined>> = {}, { own = '/app.service/main', foreign = '' } = {}) {
  const parent = `${MOUNT}/app.service`
  const files: Record<string, string | undefined> = {
    '/proc/self/cgroup': `0::${own}\n`,
    [`${MOUNT}/cgroup.controllers`]: 'cpu memory pids\n',
    [`${parent}/cgroup.type`]: 'domain\n',
    [`${parent}/cgroup.procs`]: '',
    [`${parent}/cgroup.controllers`]: 'cpu memory pids\n',
    [`${parent}/cgroup.subtree_control`]: '\n',
    ...changes,
  }
  return findGroups({ read: path => files[path], isOwn: path => path !== foreign, isThere: path => files[path] !== undefined })
}

test('beside the own group, where that lies below a delegated one', () => {
  expect(find()).toEqual({ available: true, parent: `${MOUNT}/app.service`, holds: ['memoryBytes', 'pids'] })
})

test('limits of the own group that are none', () => {
  const own = `${MOUNT}/app.service/main`
  expect(find({ [`${own}/memory.max`]: 'max\n', [`${own}/cpu.max`]: 'max 100000\n', [`${own}/pids.max`]: 'max\n' }).available).toBe(true)
})

test.each([
  { holds: ['pids'], name: 'only what the host delegates', changes: { [`${MOUNT}/app.service/cgroup.controllers`]: 'cpu pids\n' } },
  { holds: ['memoryBytes'], name: 'only what is on already, where there are processes', changes: { [`${MOUNT}/app.service/cgroup.procs`]: '7\n', [`${MOUNT}/app.service/cgroup.subtree_control`]: 'memory\n' } },
])('$name', ({ changes, holds }) => {
  expect(find(changes)).toMatchObject({ available: true, holds })
})

test.each<{ name: string; reason: string; changes?: Record<string, string | undefined>; own?: string; foreign?: string }>([
  { name: 'cgroup v1, or both', changes: { [`${MOUNT}/cgroup.controllers`]: undefined }, reason: 'cgroup v2 is not what is mounted' },
  { name: 'no line of v2', changes: { '/proc/self/cgroup': '4:memory:/x\n' }, reason: 'not below what is mounted' },
  { name: 'outside the own cgroup namespace', own: '/../x', reason: 'not below what is mounted' },
  { name: 'the root', own: '/', reason: 'the root of the control groups' },
  { name: 'a service without a group below it', own: '/app.service', reason: 'systemd' },
  { name: 'a terminal in a desktop', own: '/user.slice/app.slice/vte-spawn.scope', reason: 'systemd' },
  { name: 'right below the host\'s root', own: '/main', reason: 'host\'s root' },
  { name: 'a threaded group', changes: { [`${MOUNT}/app.service/cgroup.type`]: 'domain threaded\n' }, reason: 'holds no memory' },
  { name: 'a limit on the own group', changes: { [`${MOUNT}/app.service/main/pids.max`]: '500\n' }, reason: 'limits of its own' },
  { name: 'a limit on the own group\'s processor time', changes: { [`${MOUNT}/app.service/main/cpu.max`]: '50000 100000\n' }, reason: 'limits of its own' },
  { name: 'somebody else\'s group', foreign: `${MOUNT}/app.service`, reason: 'delegated to this user' },
  { name: 'an own group that cannot be entered again', foreign: `${MOUNT}/app.service/main/cgroup.procs`, reason: 'delegated to this user' },
  { name: 'no controllers', changes: { [`${MOUNT}/app.service/cgroup.controllers`]: 'cpu\n' }, reason: 'neither memory nor pids' },
])('not at all: $name', ({ changes = {}, reason, own, foreign }) => {
  const report = find(changes, { ...(own === undefined ? {} : { own }), ...(foreign === undefined ? {} : { foreign }) })
  expect(report).toEqual({ available: false, reason: expect.stringContaining(reason) })
})

/** A terminal on a desktop, whose group is the user's own, and what is different on another host. */
function findEnding(changes: Readonly<Record<string, string | undefined>> = {}, { own = '/user.slice/vte-spawn.scope', foreign = '', without = '' } = {}) {
  const files: Record<string, string | undefined> = {
    '/proc/self/cgroup': `0::${own}\n`,
    [`${MOUNT}/cgroup.controllers`]: 'cpu memory pids\n',
    [`${MOUNT}/user.slice/vte-spawn.scope/cgroup.type`]: 'domain\n',
    ...changes,
  }
  return findEndingGroup({ read: path => files[path], isOwn: path => path !== foreign && !path.endsWith('/cgroup.kill'), isThere: path => path !== without })
}

describe('groups that end commands', () => {
  const own = `${MOUNT}/user.slice/vte-spawn.scope`

  test.each<{ name: string; changes?: Record<string, string | undefined>; at?: string; parent: string }>([
    { name: 'a unit of systemd\'s too: nothing leaves it', parent: own },
    { name: 'with limits of its own: nothing leaves them', changes: { [`${own}/memory.max`]: '1000000\n' }, parent: own },
    { name: 'the root of a cgroup namespace, as in a container', at: '/', changes: { [`${MOUNT}/cgroup.type`]: 'domain\n' }, parent: MOUNT },
    {
      name: 'v2 beside v1', parent: `${MOUNT}/unified/x`, at: '/x',
      changes: { [`${MOUNT}/cgroup.controllers`]: undefined, [`${MOUNT}/unified/cgroup.controllers`]: '\n', [`${MOUNT}/unified/x/cgroup.type`]: 'domain\n' },
    },
  ])('lie in the own one: $name', ({ changes, at, parent }) => {
    expect(findEnding(changes, at === undefined ? {} : { own: at })).toEqual({ available: true, parent })
  })

  test.each<{ name: string; reason: string; changes?: Record<string, string | undefined>; at?: string; foreign?: string; without?: string }>([
    { name: 'cgroup v1 alone', changes: { [`${MOUNT}/cgroup.controllers`]: undefined }, reason: 'not mounted' },
    { name: 'no line of v2', changes: { '/proc/self/cgroup': '4:memory:/x\n' }, reason: 'not below what is mounted' },
    { name: 'outside the own cgroup namespace', at: '/../x', reason: 'not below what is mounted' },
    { name: 'the host\'s root', at: '/', reason: 'the root of the control groups' },
    { name: 'a threaded group', changes: { [`${own}/cgroup.type`]: 'threaded\n' }, reason: 'holds no processes' },
    { name: 'somebody else\'s group, or a file system that is read-only', foreign: own, reason: 'not this user\'s' },
    { name: 'a group that nothing may be moved out of', foreign: `${own}/cgroup.procs`, reason: 'not this user\'s' },
    { name: 'a kernel without cgroup.kill', without: `${own}/cgroup.kill`, reason: 'no cgroup.kill' },
  ])('are nowhere: $name', ({ changes = {}, reason, at, foreign, without }) => {
    expect(findEnding(changes, { ...(at === undefined ? {} : { own: at }), ...(foreign === undefined ? {} : { foreign }), ...(without === undefined ? {} : { without }) })).toEqual({ available: false, reason: expect.stringContaining(reason) })
  })
})
