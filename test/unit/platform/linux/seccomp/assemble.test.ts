import fc from 'fast-check'
import { expect, test } from 'vitest'
import { SandboxError } from '../../../../../src/errors.js'
import { assembleFilter } from '../../../../../src/platform/linux/seccomp/assemble.js'
import { type Action, type ArgumentCondition, ERRNO, type SystemCallRule } from '../../../../../src/platform/linux/seccomp/filter-rules.js'
import { type CallData, interpretFilter } from '../../../../../src/platform/linux/seccomp/interpret.js'
import { type Architecture, AUDIT_ARCH, SYSTEM_CALLS, type SystemCallName } from '../../../../../src/platform/linux/seccomp/system-calls.js'

const EPERM: Action = { errno: 'EPERM' }
const X64 = AUDIT_ARCH.x64

/** An action as text, errnos by number. */
const words = (action: Action): string => (typeof action === 'object' ? `errno ${ERRNO[action.errno]}` : action)
const judge = (program: Uint8Array, call: CallData): string => {
  const { action, data } = interpretFilter(program, call)
  return action === 'errno' ? `errno ${data}` : action
}

const codeOf = (run: () => unknown): string => {
  try {
    run()
  } catch (error) {
    if (error instanceof SandboxError) return `${error.code} ${error.field}`
    throw error
  }
  return 'no error'
}

/** What the rules say, in the plainest form. */
function reference(rules: readonly SystemCallRule[], arch: Architecture, fallback: Action, { number, arch: callArch, args = [] }: CallData): string {
  if (callArch !== AUDIT_ARCH[arch]) return 'kill_process'
  if (number === 0xffff_ffff) return 'allow'
  const name = Object.entries(SYSTEM_CALLS[arch]).find(([, its]) => its === number)?.[0]
  if (name === undefined) return 'errno 38'
  const rule = rules.find(({ call }) => call === name)
  if (rule === undefined) return words(fallback)
  const holds = ({ argument, width, mask, oneOf }: ArgumentCondition): boolean => {
    const value = BigInt.asUintN(width, args[argument] ?? 0n) & (mask ?? 2n ** 64n - 1n)
    return oneOf.includes(value)
  }
  return words(rule.cases?.find(({ when }) => when.every(holds))?.action ?? rule.action)
}

const anyArch = fc.constantFrom<Architecture>('x64', 'arm64')
const anyAction = fc.oneof(
  fc.constantFrom<Action>('allow', 'kill_process', 'trap', 'user_notification'),
  fc.constantFrom<Action>(...Object.keys(ERRNO).map(errno => ({ errno: errno as keyof typeof ERRNO }))),
)
// Few bits, in both words, so that conditions hold often.
const anyWord = fc.oneof(fc.bigInt(0n, 3n), fc.constantFrom(0x8000_0000n, 0xffff_ffffn, 0x1_0000_0000n, 0x1_0000_0001n, 0xffff_ffff_ffff_ffffn), fc.bigInt(0n, 2n ** 64n - 1n))
const anyCondition = fc.record({
  argument: fc.constantFrom<ArgumentCondition['argument']>(0, 1, 2, 3, 4, 5),
  width: fc.constantFrom<32 | 64>(32, 64),
  mask: fc.option(anyWord, { nil: undefined }),
  values: fc.array(anyWord, { minLength: 1, maxLength: 4 }),
}).map(({ argument, width, mask, values }): ArgumentCondition => {
  const bits = BigInt.asUintN(width, mask ?? 2n ** 64n - 1n)
  const oneOf = values.map(value => value & bits)
  return mask === undefined ? { argument, width, oneOf } : { argument, width, mask: bits, oneOf }
})
const anyCases = fc.array(fc.record({ when: fc.array(anyCondition, { maxLength: 3 }), action: anyAction }), { maxLength: 3 })
const anyFilter = anyArch.chain(arch => fc.record({
  arch: fc.constant(arch),
  fallback: anyAction,
  rules: fc.uniqueArray(fc.record({ call: fc.constantFrom(...(Object.keys(SYSTEM_CALLS[arch]) as SystemCallName[])), cases: anyCases, action: anyAction }), { selector: ({ call }) => call, maxLength: 40 }),
}))

test('a program decides as its rules say, for any rules and any call', () => {
  fc.assert(fc.property(anyFilter, fc.array(fc.array(anyWord, { minLength: 6, maxLength: 6 }), { minLength: 8, maxLength: 8 }), fc.integer({ min: 0, max: 0xffff_ffff }), ({ arch, fallback, rules }, argumentSets, anyNumber) => {
    const program = assembleFilter(rules, arch, fallback)
    const numbers = [...rules.map(({ call }) => SYSTEM_CALLS[arch][call] ?? 0), 0, 1, 300, 469, 470, anyNumber, 0x4000_0000, 0xffff_fffe, 0xffff_ffff]
    for (const number of numbers) {
      for (const args of argumentSets) {
        const call = { number, arch: AUDIT_ARCH[arch], args }
        expect(judge(program, call), JSON.stringify({ number, args: args.map(String) })).toBe(reference(rules, arch, fallback, call))
      }
    }
    expect(judge(program, { number: 0, arch: anyNumber })).toBe(reference(rules, arch, fallback, { number: 0, arch: anyNumber }))
  }), { numRuns: 150 })
})

test('calls with a constant action read no argument and take a logarithmic number of instructions', () => {
  fc.assert(fc.property(anyFilter, ({ arch, fallback, rules }) => {
    const program = assembleFilter(rules, arch, fallback)
    const withCases = new Set(rules.filter(({ cases }) => cases.length > 0).map(({ call }) => SYSTEM_CALLS[arch][call]))
    // At most 82 intervals with up to 40 rules and the table's gaps; a level is one jump, or two where it is far.
    for (let number = 0; number < 600; number++) {
      if (withCases.has(number)) continue
      const verdict = interpretFilter(program, { number, arch: AUDIT_ARCH[arch] })
      expect(verdict.readArguments).toBe(false)
      expect(verdict.instructions).toBeLessThanOrEqual(4 + 2 * 8)
    }
  }), { numRuns: 50 })
})

test('the largest useful filter, one rule a call, is still searched in nine levels', () => {
  const names = Object.keys(SYSTEM_CALLS.x64) as SystemCallName[]
  const program = assembleFilter(names.map((call, index) => ({ call, action: index % 2 === 0 ? 'allow' : EPERM })), 'x64', 'allow')
  for (const [index, name] of names.entries()) {
    const verdict = interpretFilter(program, { number: SYSTEM_CALLS.x64[name] ?? -1, arch: X64 })
    expect(verdict.action).toBe(index % 2 === 0 ? 'allow' : 'errno')
    expect(verdict.instructions).toBeLessThanOrEqual(4 + 2 * 9)
  }
})

test('jumps of more than 255 instructions, over values, conditions and calls', () => {
  const values = Array.from({ length: 300 }, (_, index) => BigInt(index * 3))
  const far: SystemCallRule = {
    call: 'ioctl',
    cases: [
      { when: [{ argument: 0, width: 32, oneOf: values }, { argument: 1, width: 64, oneOf: values }, { argument: 2, width: 32, oneOf: [7n] }], action: 'trap' },
      { when: [{ argument: 3, width: 64, oneOf: [1n] }], action: 'user_notification' },
    ],
    action: EPERM,
  }
  const rules: SystemCallRule[] = [far, { call: 'read', action: EPERM }, { call: 'connect', action: 'trap' }]
  const program = assembleFilter(rules, 'x64', 'allow')
  const arguments64 = [0n, 3n, 4n, 897n, 900n, 0x1_0000_0003n]
  for (const first of arguments64) {
    for (const second of arguments64) {
      for (const third of [7n, 8n, 0x1_0000_0007n]) {
        for (const fourth of [1n, 2n]) {
          const call = { number: SYSTEM_CALLS.x64.ioctl ?? -1, arch: X64, args: [first, second, third, fourth] }
          expect(judge(program, call)).toBe(reference(rules, 'x64', 'allow', call))
        }
      }
    }
  }
  for (const number of [0, 1, 15, 17, 42, 469, 470]) expect(judge(program, { number, arch: X64 })).toBe(reference(rules, 'x64', 'allow', { number, arch: X64 }))
})

test.each([254, 255, 256, 257, 258])('a jump of about 8 bits: %i values', count => {
  const values = Array.from({ length: count }, (_, index) => BigInt(index))
  for (const width of [32, 64] as const) {
    const program = assembleFilter([{ call: 'ioctl', cases: [{ when: [{ argument: 1, width, oneOf: values }, { argument: 0, width: 32, oneOf: [1n] }], action: 'trap' }], action: EPERM }], 'x64', 'allow')
    for (const [value, action] of [[0n, 'trap'], [1n, 'trap'], [BigInt(count - 1), 'trap'], [BigInt(count), 'errno 1']] as const) {
      expect(judge(program, { number: 16, arch: X64, args: [1n, value] })).toBe(action)
      expect(judge(program, { number: 16, arch: X64, args: [2n, value] })).toBe('errno 1')
    }
  }
})

test.each([
  { name: 'two rules for one call', rules: [{ call: 'connect', action: 'user_notification' }, { call: 'connect', action: EPERM }], error: 'duplicate_system_call rules[1].call' },
  { name: 'the same rule twice', rules: [{ call: 'connect', action: EPERM }, { call: 'connect', action: EPERM }], error: 'duplicate_system_call rules[1].call' },
  { name: 'a call of the other architecture', rules: [{ call: 'iopl', action: EPERM }], error: 'unknown_system_call rules[0].call' },
  { name: 'a property that every object has', rules: [{ call: 'constructor' as SystemCallName, action: EPERM }], error: 'unknown_system_call rules[0].call' },
  { name: 'more than 4096 instructions', rules: [{ call: 'ioctl', cases: [{ when: [{ argument: 1, width: 32, oneOf: Array.from({ length: 4096 }, (_, index) => BigInt(index)) }], action: EPERM }], action: 'allow' }], error: 'filter_too_large rules' },
] satisfies { name: string; rules: SystemCallRule[]; error: string }[])('refused: $name', ({ rules, error }) => {
  expect(codeOf(() => assembleFilter(rules, 'arm64', 'allow'))).toBe(error)
})

test.each([
  { name: 'no value', condition: { argument: 0, width: 32, oneOf: [] } },
  { name: 'a value outside its mask', condition: { argument: 0, width: 32, mask: 0xf0n, oneOf: [1n] } },
  { name: 'a value wider than the argument', condition: { argument: 0, width: 32, oneOf: [0x1_0000_0000n] } },
] satisfies { name: string; condition: ArgumentCondition }[])('a condition that can never hold is a mistake: $name', ({ condition }) => {
  expect(() => assembleFilter([{ call: 'ioctl', cases: [{ when: [condition], action: EPERM }], action: 'allow' }], 'x64', 'allow')).toThrow('can never hold')
})

test('no rules: the fallback for the table, ENOSYS beyond it, and nothing of another architecture', () => {
  const program = assembleFilter([], 'arm64', 'allow')
  expect(judge(program, { number: 63, arch: AUDIT_ARCH.arm64 })).toBe('allow')
  expect(judge(program, { number: 300, arch: AUDIT_ARCH.arm64 })).toBe('errno 38')
  expect(judge(program, { number: 470, arch: AUDIT_ARCH.arm64 })).toBe('errno 38')
  expect(judge(program, { number: 63, arch: 0x4000_0028 })).toBe('kill_process')
})

test('the shortest program, byte by byte', () => {
  expect(Buffer.from(assembleFilter([], 'arm64', { errno: 'ENOSYS' })).toString('hex')).toBe([
    '2000000004000000', // ld arch
    '15000100b70000c0', // jeq AUDIT_ARCH_AARCH64: over the next
    '0600000000000080', // ret kill_process
    '2000000000000000', // ld number
    '35000100ffffffff', // jge -1: over the next
    '0600000026000500', // ret errno ENOSYS
    '060000000000ff7f', // ret allow
  ].join(''))
})
