// Which limits are held by what.
import { describe, expect, test } from 'vitest'
import { limitMechanisms, limitNotes, lowerLimits } from '../../../../../src/platform/linux/native/limits.js'

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
