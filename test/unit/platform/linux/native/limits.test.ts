// Which limits are held by what.
import { describe, expect, test } from 'vitest'
import { lowerLimits } from '../../../../../src/platform/limits.js'
import { groupLimits, LEAST_GROUP_MEMORY_BYTES, limitMechanisms, limitNotes, wantsGroups } from '../../../../../src/platform/linux/native/limits.js'

const ALL = { memoryBytes: 1, pids: 2, cpuSeconds: 3, openFiles: 4, fileSizeBytes: 5 }

describe('mechanisms', () => {
  test.each([
    { name: 'a user', uid: 1000, limits: ALL, mechanisms: { memoryBytes: 'polled', pids: 'exact', cpuSeconds: 'perProcess', openFiles: 'exact', fileSizeBytes: 'exact' } },
    { name: 'root, whom the kernel exempts from limits of processes', uid: 0, limits: ALL, mechanisms: { memoryBytes: 'polled', pids: 'polled', cpuSeconds: 'perProcess', openFiles: 'exact', fileSizeBytes: 'exact' } },
    { name: 'only what is set', uid: 1000, limits: { openFiles: 64 }, mechanisms: { openFiles: 'exact' } },
    { name: 'nothing', uid: 0, limits: {}, mechanisms: {} },
  ])('$name', ({ uid, limits, mechanisms }) => {
    expect(limitMechanisms(limits, uid)).toEqual(mechanisms)
  })
})

test('notes say where a limit means less than its name', () => {
  expect(limitNotes({ openFiles: 1, fileSizeBytes: 1 }, 0)).toEqual([])
  expect(limitNotes({ pids: 1 }, 1000)).toEqual(['the limit of processes counts those of all commands of the sandbox together'])
  expect(limitNotes({ pids: 1 }, 0)).toEqual(['the kernel exempts root from limits of processes: they are counted a few times a second, and a command may exceed its limit for that long'])
})

test.each([
  { a: { pids: 3 }, b: {}, lower: { pids: 3 } },
  { a: { pids: 3, openFiles: 9 }, b: { pids: 5, openFiles: 1 }, lower: { pids: 3, openFiles: 1 } },
  { a: {}, b: { cpuSeconds: 1 }, lower: { cpuSeconds: 1 } },
])('of two limits the lower: $lower', ({ a, b, lower }) => {
  expect(lowerLimits(a, b)).toEqual(lower)
})

describe('control groups', () => {
  const groups = { parent: '/sys/fs/cgroup/x', holds: ['memoryBytes', 'pids'] } as const
  const ENOUGH = { memoryBytes: LEAST_GROUP_MEMORY_BYTES, pids: 2 }

  test.each([
    { name: 'root', uid: 0 },
    { name: 'a user', uid: 1000 },
  ])('hold both limits exactly, for $name', ({ uid }) => {
    expect(limitMechanisms(ENOUGH, uid, groups)).toEqual({ memoryBytes: 'exact', pids: 'exact' })
    expect(limitNotes(ENOUGH, uid, groups, { available: true, ...groups })).toEqual([])
  })

  test.each([
    { name: 'a controller that is missing', limits: ENOUGH, holds: ['pids'] as const, held: ['pids'] },
    { name: 'too little memory for a program to start in', limits: { memoryBytes: LEAST_GROUP_MEMORY_BYTES - 1, pids: 2 }, holds: groups.holds, held: ['pids'] },
    { name: 'limits that are no group\'s', limits: { openFiles: 3 }, holds: groups.holds, held: [] },
  ])('leave out $name', ({ limits, holds, held }) => {
    expect(groupLimits(limits, { parent: '/x', holds })).toEqual(held)
  })

  test('none in the plan: none of a command', () => {
    expect(groupLimits(ENOUGH, undefined)).toEqual([])
  })

  test('are looked for only where a limit could use them', () => {
    expect([{}, { openFiles: 1, cpuSeconds: 1 }, { pids: 1 }, { memoryBytes: 1 }].map(wantsGroups)).toEqual([false, false, true, true])
  })

  test('that are not there are given as the reason for a polled limit, and for no other', () => {
    const report = { available: false, reason: 'nothing is delegated' } as const
    expect(limitNotes({ memoryBytes: 1 }, 1000, undefined, report)).toContain('no control group holds limits here: nothing is delegated')
    expect(limitNotes({ openFiles: 1 }, 1000, undefined, report)).toEqual([])
  })
})
