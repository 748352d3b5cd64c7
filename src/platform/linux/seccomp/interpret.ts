// Runs a seccomp filter as the kernel would, to say what it decides. Knows nothing of how assemble.ts makes one.

/** `struct seccomp_data`: what a filter sees of a call. */
export interface CallData {
  /** Signed or unsigned, 32 bits. */
  readonly number: number
  /** AUDIT_ARCH_* */
  readonly arch: number
  readonly instructionPointer?: bigint
  /** Up to six registers, 64 bits each; missing ones are 0. */
  readonly args?: readonly bigint[]
}

export type VerdictAction = 'kill_process' | 'kill_thread' | 'trap' | 'errno' | 'user_notification' | 'trace' | 'log' | 'allow'

export interface Verdict {
  readonly action: VerdictAction
  /** SECCOMP_RET_DATA: the errno, where `action` is `errno`. */
  readonly data: number
  /** How many instructions ran. */
  readonly instructions: number
  /** Whether more than number and architecture was read: then the kernel cannot keep the answer in its bitmap. */
  readonly readArguments: boolean
}

/** Source: SECCOMP_RET_* in include/uapi/linux/seccomp.h. A value that is not here is treated as kill_process. */
const ACTIONS: ReadonlyMap<number, VerdictAction> = new Map([
  [0x8000_0000, 'kill_process'],
  [0x0000_0000, 'kill_thread'],
  [0x0003_0000, 'trap'],
  [0x0005_0000, 'errno'],
  [0x7fc0_0000, 'user_notification'],
  [0x7ff0_0000, 'trace'],
  [0x7ffc_0000, 'log'],
  [0x7fff_0000, 'allow'],
])

const DATA_BYTES = 64
const MEMORY_WORDS = 16

/**
 * What `program` decides for one call. Pure. Division is the one thing of seccomp's BPF that it does not know.
 *
 * @param program `struct sock_filter[]`, little-endian
 * @throws        Error where the kernel would have refused the program: no instruction, more than 4096, an unknown
 *                opcode, a load outside `seccomp_data`, a jump past the end, an end without a return
 * @see           seccomp_check_filter in kernel/seccomp.c and ___bpf_prog_run in kernel/bpf/core.c
 */
export function interpretFilter(program: Uint8Array, call: CallData): Verdict {
  if (program.length === 0 || program.length % 8 !== 0 || program.length > 4096 * 8) throw new Error(`${program.length} bytes are no seccomp filter`)
  const code = new DataView(program.buffer, program.byteOffset, program.byteLength)
  const data = layOut(call)
  const memory = new Uint32Array(MEMORY_WORDS)
  let accumulator = 0
  let index = 0
  let readArguments = false

  for (let at = 0, instructions = 1; ; at++, instructions++) {
    if (at * 8 >= program.length) throw new Error(`the filter runs past its end, to instruction ${at}`)
    const opcode = code.getUint16(at * 8, true)
    const jumpTrue = code.getUint8(at * 8 + 2)
    const jumpFalse = code.getUint8(at * 8 + 3)
    const operand = code.getUint32(at * 8 + 4, true)

    switch (opcode) {
      case 0x20:                                                     // ld [k]
        if (operand % 4 !== 0 || operand >= DATA_BYTES) throw new Error(`instruction ${at} loads from ${operand}`)
        if (operand >= 8) readArguments = true
        accumulator = data.getUint32(operand, true)
        break
      case 0x80: accumulator = DATA_BYTES; break                     // ld len
      case 0x81: index = DATA_BYTES; break                           // ldx len
      case 0x00: accumulator = operand; break                        // ld #k
      case 0x01: index = operand; break                              // ldx #k
      case 0x60: accumulator = memory[cell(operand, at)] ?? 0; break // ld M[k]
      case 0x61: index = memory[cell(operand, at)] ?? 0; break       // ldx M[k]
      case 0x02: memory[cell(operand, at)] = accumulator; break      // st
      case 0x03: memory[cell(operand, at)] = index; break            // stx
      case 0x07: index = accumulator; break                          // tax
      case 0x87: accumulator = index; break                          // txa
      case 0x05: at += operand; break                                // ja
      case 0x06: return verdict(operand, instructions, readArguments)      // ret #k
      case 0x16: return verdict(accumulator, instructions, readArguments)  // ret a
      default: {
        const value = (opcode & 0x08) === 0 ? operand : index        // BPF_K or BPF_X
        const group = opcode & ~0x08
        if ((group & 0x07) === 0x05) at += holds(group, accumulator, value, at) ? jumpTrue : jumpFalse
        else accumulator = compute(group, accumulator, value, at)
      }
    }
  }
}

function layOut({ number, arch, instructionPointer = 0n, args = [] }: CallData): DataView {
  const data = new DataView(new ArrayBuffer(DATA_BYTES))
  data.setUint32(0, number >>> 0, true)
  data.setUint32(4, arch >>> 0, true)
  data.setBigUint64(8, instructionPointer, true)
  for (const [position, value] of args.entries()) data.setBigUint64(16 + position * 8, value, true)
  return data
}

function cell(operand: number, at: number): number {
  if (operand >= MEMORY_WORDS) throw new Error(`instruction ${at} uses memory word ${operand}`)
  return operand
}

function holds(jump: number, accumulator: number, value: number, at: number): boolean {
  switch (jump) {
    case 0x15: return accumulator === value                          // jeq
    case 0x25: return accumulator > value                            // jgt
    case 0x35: return accumulator >= value                           // jge
    case 0x45: return (accumulator & value) !== 0                    // jset
    default: throw new Error(`instruction ${at} is an unknown jump`)
  }
}

function compute(operation: number, accumulator: number, value: number, at: number): number {
  switch (operation) {
    case 0x04: return (accumulator + value) >>> 0
    case 0x14: return (accumulator - value) >>> 0
    case 0x24: return Math.imul(accumulator, value) >>> 0
    case 0x44: return (accumulator | value) >>> 0
    case 0x54: return (accumulator & value) >>> 0
    case 0x64: return value > 31 ? 0 : (accumulator << value) >>> 0
    case 0x74: return value > 31 ? 0 : accumulator >>> value
    case 0x84: return -accumulator >>> 0
    case 0xa4: return (accumulator ^ value) >>> 0
    default: throw new Error(`instruction ${at} is unknown`)
  }
}

const verdict = (value: number, instructions: number, readArguments: boolean): Verdict => ({
  action: ACTIONS.get((value & 0xffff_0000) >>> 0) ?? 'kill_process',
  data: value & 0xffff,
  instructions,
  readArguments,
})
