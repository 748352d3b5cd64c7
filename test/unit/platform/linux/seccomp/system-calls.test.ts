import { spawnSync } from 'node:child_process'
import { expect, test } from 'vitest'
import { type Architecture, AUDIT_ARCH, SYSTEM_CALLS } from '../../../../../src/platform/linux/seccomp/system-calls.js'
import { HAS_GCC, compileProgram } from './native-programs.js'

const ARCHITECTURES: readonly Architecture[] = ['x64', 'arm64']

test.each(ARCHITECTURES)('%s: a number has one name', arch => {
  const numbers = Object.values(SYSTEM_CALLS[arch])
  expect(numbers.length).toBeGreaterThan(320)
  expect(new Set(numbers).size).toBe(numbers.length)
})

test.each(ARCHITECTURES)('%s: from 424 to 469 each number has the same name everywhere', arch => {
  const byNumber = new Map(Object.entries(SYSTEM_CALLS[arch]).map(([name, number]) => [number, name]))
  const reference = new Map(Object.entries(SYSTEM_CALLS.x64).map(([name, number]) => [number, name]))
  for (let number = 424; number <= 469; number++) expect(byNumber.get(number)).toBe(reference.get(number))
  expect(Math.max(...byNumber.keys())).toBe(469)
})

test.each([
  { arch: 'x64', calls: { read: 0, ioctl: 16, socket: 41, connect: 42, clone: 56, mount: 165, unshare: 272, uretprobe: 335, clone3: 435, file_setattr: 469 } },
  { arch: 'arm64', calls: { read: 63, ioctl: 29, socket: 198, connect: 203, clone: 220, mount: 40, unshare: 97, mkdirat: 34, clone3: 435, file_setattr: 469 } },
] as const)('$arch has the well-known numbers', ({ arch, calls }) => {
  expect(SYSTEM_CALLS[arch]).toMatchObject(calls)
})

const resolver = HAS_GCC ? compileProgram('resolve-calls.c') : undefined
const hasLibseccomp = resolver !== undefined && spawnSync(resolver, ['0']).status === 0

test.skipIf(!hasLibseccomp)('libseccomp has the same numbers (skipped without gcc or libseccomp.so.2)', () => {
  for (const arch of ARCHITECTURES) {
    const names = Object.keys(SYSTEM_CALLS[arch])
    const { stdout } = spawnSync(resolver ?? '', [String(AUDIT_ARCH[arch])], { input: names.join('\n'), encoding: 'utf8' })
    const theirs = stdout.trim().split('\n').map(Number)
    // Negative: a call that this version of libseccomp does not know.
    const known = names.map((name, index) => [name, theirs[index] ?? -1] as const).filter(([, number]) => number >= 0)
    expect(Object.fromEntries(known)).toEqual(Object.fromEntries(known.map(([name]) => [name, SYSTEM_CALLS[arch][name as keyof typeof SYSTEM_CALLS.x64]])))
    expect(known.length).toBeGreaterThan(300)
  }
})
