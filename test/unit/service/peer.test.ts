// Who may speak to the service, from what the kernel tells of the peer and of the processes above it.
import { expect, test } from 'vitest'
import { type ProcessFacts, readProcess, whyRefused } from '../../../src/service/peer.js'

const LAUNCHER = 'codex-sandbox-l'
const process_ = (parent: number, name = 'x', startedAtTicks = 100): ProcessFacts => ({ name, parent, startedAtTicks })
/** 10 is the service, 20 an ordinary client, 33 a command in a sandbox that somebody's node (30) made. */
const TREE: Readonly<Record<number, ProcessFacts>> = {
  1: process_(0, 'init'), 10: process_(1, 'node'), 20: process_(1, 'client'),
  30: process_(1, 'node'), 31: process_(30, LAUNCHER), 32: process_(31, LAUNCHER), 33: process_(32, 'sh'), 34: process_(33, 'python'),
  40: process_(99, 'orphan'), 50: process_(33, 'service inside'),
}
const facts = (pid: number): ProcessFacts | undefined => TREE[pid]

test.each([
  { name: 'an ordinary process of this user may',           peer: { uid: 7, pid: 20 },  why: undefined },
  { name: 'the service itself may',                         peer: { uid: 7, pid: 10 },  why: undefined },
  { name: 'another user may not',                           peer: { uid: 8, pid: 20 },  why: 'it is of user 8' },
  { name: 'root is another user',                           peer: { uid: 0, pid: 20 },  why: 'it is of user 0' },
  { name: 'a command in a sandbox may not',                 peer: { uid: 7, pid: 33 },  why: 'its process 33 runs in a sandbox (launcher 32)' },
  { name: 'nor what it started',                            peer: { uid: 7, pid: 34 },  why: 'its process 34 runs in a sandbox (launcher 32)' },
  { name: 'nor the launcher, which connects on behalf',     peer: { uid: 7, pid: 31 },  why: 'its process 31 runs in a sandbox (launcher 31)' },
  { name: 'a process that cannot be seen may not',          peer: { uid: 7, pid: 0 },   why: 'its process is not to be seen from here' },
  { name: 'one that is gone may not',                       peer: { uid: 7, pid: 77 },  why: 'its process 77 is gone' },
  { name: 'one whose parents cannot be seen may not',       peer: { uid: 7, pid: 40 },  why: 'the processes above 40 cannot be looked at' },
])('$name', ({ peer, why }) => {
  expect(whyRefused(peer, 7, 10, 200, facts)).toBe(why)
})
test('one that began after the connection is not the one that connected', () => {
  expect(whyRefused({ uid: 7, pid: 20 }, 7, 10, 99, facts)).toBe('its process 20 began after it had connected')
})
test('a service inside a sandbox serves what runs there with it, and not what runs deeper', () => {
  expect(whyRefused({ uid: 7, pid: 34 }, 7, 50, 200, facts)).toBe(undefined)
  const deeper = (pid: number): ProcessFacts | undefined => ({ 60: process_(50, LAUNCHER), 61: process_(60, 'sh') })[pid] ?? facts(pid)
  expect(whyRefused({ uid: 7, pid: 61 }, 7, 50, 200, deeper)).toBe('its process 61 runs in a sandbox (launcher 60)')
})
test('a parent that ends while it is looked at is looked for again', () => {
  let looks = 0
  const moving = (pid: number): ProcessFacts | undefined => pid === 70 ? process_(++looks === 1 || looks === 2 ? 99 : 33) : facts(pid)
  expect(whyRefused({ uid: 7, pid: 70 }, 7, 10, 200, moving)).toBe('its process 70 runs in a sandbox (launcher 32)')
})
test.runIf(process.platform === 'linux')('of this process, as the kernel has it', () => {
  expect(readProcess(process.pid)).toMatchObject({ parent: process.ppid })
  expect(readProcess(2 ** 22 + 1)).toBe(undefined)
})
