// Turns filter rules into the classic BPF program that seccomp(2) takes. Pure; interpret.ts is its independent reader.
import { SandboxError } from '../../../errors.js'
import { type Action, type ArgumentCase, type ArgumentCondition, ERRNO, type SystemCallRule, sameAction } from './filter-rules.js'
import { type Architecture, AUDIT_ARCH, SYSTEM_CALLS } from './system-calls.js'

/** BPF_MAXINSNS of include/uapi/linux/bpf_common.h: seccomp(2) answers EINVAL above it. */
const MAX_INSTRUCTIONS = 4096

/** `struct sock_filter`: `jumpTrue` and `jumpFalse` count from the next instruction and are 8 bits wide, `operand` 32. */
interface Instruction {
  readonly code: number
  readonly jumpTrue: number
  readonly jumpFalse: number
  readonly operand: number
}

/** The instructions in use, spelled as in include/uapi/linux/bpf_common.h. */
const OPCODE = {
  load: 0x20,             // BPF_LD  | BPF_W   | BPF_ABS
  and: 0x54,              // BPF_ALU | BPF_AND | BPF_K
  jump: 0x05,             // BPF_JMP | BPF_JA
  jumpIfEqual: 0x15,      // BPF_JMP | BPF_JEQ | BPF_K
  jumpIfAtLeast: 0x35,    // BPF_JMP | BPF_JGE | BPF_K
  return: 0x06,           // BPF_RET | BPF_K
} as const

/** Offsets in `struct seccomp_data`, whose arguments are little-endian on both architectures: the low word comes first. */
const NUMBER_OFFSET = 0
const ARCH_OFFSET = 4
const lowWordOffset = (argument: number): number => 16 + argument * 8
const highWordOffset = (argument: number): number => 20 + argument * 8

/** The longest conditional jump is 255; one less, so that it can still step over an unconditional one behind it. */
const MAX_BRANCH = 254
const WORD = 0xffff_ffffn

/** -1: a tracer told the kernel to skip the call, and no call is made whatever the filter says (kill would end strace's child). */
const SKIPPED_BY_TRACER = 0xffff_ffff

/** The numbers from `start` to the next interval's start get one decision. */
interface Interval {
  readonly start: number
  readonly decision: Decision
}

type Decision = { readonly action: Action; readonly cases: readonly ArgumentCase[] }

/**
 * Assembles the seccomp filter of one architecture. Pure.
 *
 * A call of another architecture ends the process: an i386 program that gets errnos cannot even exit. Numbers that are
 * not in the table, x32's among them (bit 30 is set), get ENOSYS as from a kernel without the call.
 * Calls with a constant action are decided by architecture and number alone, so that the kernel's bitmap of calls that
 * are always allowed takes them and runs no filter; the search over numbers takes a logarithmic number of steps.
 *
 * @param rules    at most one a system call; a call without a rule gets `fallback`
 * @param arch     the only architecture whose calls the filter lets through
 * @param fallback for the table's calls without a rule
 * @returns        little-endian `struct sock_filter[]`: 8 bytes an instruction, at most 4096 instructions
 * @throws         SandboxError `unknown_system_call` or `duplicate_system_call`, `field` = that rule's; `filter_too_large`
 * @see            Documentation/userspace-api/seccomp_filter.rst
 */
export function assembleFilter(rules: readonly SystemCallRule[], arch: Architecture, fallback: Action): Uint8Array {
  const program = [
    load(ARCH_OFFSET),
    ...branch(OPCODE.jumpIfEqual, AUDIT_ARCH[arch], 1, 0),
    giveBack('kill_process'),
    load(NUMBER_OFFSET),
    ...searchTree(intervals(decisions(rules, arch, fallback))),
  ]
  if (program.length > MAX_INSTRUCTIONS) throw new SandboxError('filter_too_large', { field: 'rules', value: rules.length })
  return encode(program)
}

/** The decision for each number of the table. */
function decisions(rules: readonly SystemCallRule[], arch: Architecture, fallback: Action): Map<number, Decision> {
  const table = SYSTEM_CALLS[arch]
  const byNumber = new Map<number, Decision>(Object.values(table).map(number => [number, { action: fallback, cases: [] }]))
  const ruled = new Set<number>()
  for (const [index, { call, action, cases = [] }] of rules.entries()) {
    const place = { field: `rules[${index}].call`, value: call }
    // Object.hasOwn: a name such as `constructor` is no call either.
    const number = Object.hasOwn(table, call) ? table[call] : undefined
    if (number === undefined) throw new SandboxError('unknown_system_call', place)
    if (ruled.has(number)) throw new SandboxError('duplicate_system_call', place)
    ruled.add(number)
    byNumber.set(number, { action, cases })
  }
  return byNumber
}

/** All 2^32 numbers, neighbours with the same constant action joined. */
function intervals(byNumber: Map<number, Decision>): Interval[] {
  const notInTable: Decision = { action: { errno: 'ENOSYS' }, cases: [] }
  const numbers = [...byNumber.keys()].sort((a, b) => a - b)
  const joined: Interval[] = []
  const append = (start: number, decision: Decision): void => {
    const last = joined.at(-1)
    if (last === undefined || !sameConstant(last.decision, decision)) joined.push({ start, decision })
  }
  let next = 0
  for (const number of numbers) {
    if (number > next) append(next, notInTable)
    append(number, byNumber.get(number) ?? notInTable)
    next = number + 1
  }
  append(next, notInTable)
  append(SKIPPED_BY_TRACER, { action: 'allow', cases: [] })
  return joined
}

const sameConstant = (a: Decision, b: Decision): boolean => a.cases.length === 0 && b.cases.length === 0 && sameAction(a.action, b.action)

/** A balanced binary search over the accumulator, which holds the number; each leaf returns. */
function searchTree(sorted: readonly Interval[]): Instruction[] {
  const [first] = sorted
  if (first === undefined) throw new Error('a filter has at least one interval')
  if (sorted.length === 1) return decide(first.decision)
  const middle = sorted.length >> 1
  const pivot = sorted[middle]
  if (pivot === undefined) throw new Error('the middle of a list lies in it')
  const below = searchTree(sorted.slice(0, middle))
  return [...branch(OPCODE.jumpIfAtLeast, pivot.start, below.length, 0), ...below, ...searchTree(sorted.slice(middle))]
}

function decide({ cases, action }: Decision): Instruction[] {
  return [...cases.flatMap(({ when, action: special }) => testAll(when, [giveBack(special)])), giveBack(action)]
}

/** Runs `then` if all conditions hold, else what follows it. Built from the end, where the distances are known. */
function testAll(conditions: readonly ArgumentCondition[], then: readonly Instruction[]): Instruction[] {
  return conditions.reduceRight<Instruction[]>((rest, condition) => [...testArgument(condition, rest.length), ...rest], [...then])
}

/** Falls through if `condition` holds; else jumps over the `distance` instructions that follow. */
function testArgument(condition: ArgumentCondition, distance: number): Instruction[] {
  const { argument, width, oneOf } = condition
  const mask = BigInt.asUintN(width, condition.mask ?? -1n)
  if (oneOf.length === 0 || oneOf.some(value => (value & ~mask) !== 0n)) throw new Error(`the condition on argument ${argument} can never hold`)
  const loadLow = loadMasked(lowWordOffset(argument), mask & WORD)
  const loadHigh = loadMasked(highWordOffset(argument), mask >> 32n)

  // From the last value to the first: what fails tries the next one, the last one's failure is the condition's.
  return oneOf.reduceRight<Instruction[]>((others, value, index) => {
    const isLast = index === oneOf.length - 1
    const held = others.length
    const failed = isLast ? distance : 0
    const test = branch(OPCODE.jumpIfEqual, Number(value & WORD), held, failed)
    // Of 32 bits one load serves all values.
    if (width === 32) return [...(index === 0 ? loadLow : []), ...test, ...others]
    const low = [...loadLow, ...test]
    return [...loadHigh, ...branch(OPCODE.jumpIfEqual, Number(value >> 32n), 0, low.length + failed), ...low, ...others]
  }, [])
}

function loadMasked(offset: number, mask: bigint): Instruction[] {
  return mask === WORD ? [load(offset)] : [load(offset), { code: OPCODE.and, jumpTrue: 0, jumpFalse: 0, operand: Number(mask) }]
}

/** Jumps over `whenTrue` or `whenFalse` of the instructions that follow, by way of unconditional jumps where 8 bits are too few. */
function branch(code: number, operand: number, whenTrue: number, whenFalse: number): Instruction[] {
  const farTrue = whenTrue > MAX_BRANCH
  const farFalse = whenFalse > MAX_BRANCH
  if (farTrue && farFalse) return [{ code, jumpTrue: 0, jumpFalse: 1, operand }, jump(whenTrue + 1), jump(whenFalse)]
  if (farTrue) return [{ code, jumpTrue: 0, jumpFalse: whenFalse + 1, operand }, jump(whenTrue)]
  if (farFalse) return [{ code, jumpTrue: whenTrue + 1, jumpFalse: 0, operand }, jump(whenFalse)]
  return [{ code, jumpTrue: whenTrue, jumpFalse: whenFalse, operand }]
}

const jump = (distance: number): Instruction => ({ code: OPCODE.jump, jumpTrue: 0, jumpFalse: 0, operand: distance })
const load = (offset: number): Instruction => ({ code: OPCODE.load, jumpTrue: 0, jumpFalse: 0, operand: offset })
const giveBack = (action: Action): Instruction => ({ code: OPCODE.return, jumpTrue: 0, jumpFalse: 0, operand: returnValue(action) })

/** SECCOMP_RET_* of include/uapi/linux/seccomp.h; an errno stands in the low 16 bits. */
function returnValue(action: Action): number {
  switch (action) {
    case 'kill_process': return 0x8000_0000
    case 'trap': return 0x0003_0000
    case 'user_notification': return 0x7fc0_0000
    case 'allow': return 0x7fff_0000
    default: return 0x0005_0000 | ERRNO[action.errno]
  }
}

function encode(program: readonly Instruction[]): Uint8Array {
  const bytes = new Uint8Array(program.length * 8)
  const view = new DataView(bytes.buffer)
  for (const [index, { code, jumpTrue, jumpFalse, operand }] of program.entries()) {
    if (jumpTrue > 255 || jumpFalse > 255) throw new Error(`instruction ${index} jumps further than 8 bits can say`)
    view.setUint16(index * 8, code, true)
    view.setUint8(index * 8 + 2, jumpTrue)
    view.setUint8(index * 8 + 3, jumpFalse)
    view.setUint32(index * 8 + 4, operand, true)
  }
  return bytes
}
