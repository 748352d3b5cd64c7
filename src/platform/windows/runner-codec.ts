// What frames for the runner carry, and what its own do: see native/windows/frames.def. What it sends is checked like anything from outside.
import type { CommandExit, EndedProcess, EndReason } from '../backend.js'
import { FRAME_HEADER_BYTES, MalformedFrame, needAtLeast, needExactly, readSafeInteger, writeHeader } from '../frames.js'
import type { WindowsProof } from '../launch-plan.js'
import type { NativeTokenSpec } from './addon.js'
import type { WindowsCommand } from './command-line.js'
import { TO_RUNNER } from './frames.generated.js'

export interface RunnerSetUp {
  readonly token: NativeTokenSpec
  readonly desktop: { readonly name: string; readonly list: string }
  /** Of the runner's own process, SDDL. */
  readonly processList: string
  readonly proofs: readonly Pick<WindowsProof, 'descriptor' | 'desired'>[]
}

/** Bits and numbers of Windows; 0: no limit. */
export interface RunnerJob {
  readonly flags: number
  readonly userInterface: number
  readonly memory: number
  readonly processes: number
  /** In units of 100 ns. */
  readonly userTime: number
}

export interface RunnerCommand extends WindowsCommand {
  readonly cwd: string
  /** `NAME=value` each. */
  readonly environment: readonly string[]
  readonly inputComes: boolean
  readonly keep: boolean
  readonly terminal?: { readonly rows: number; readonly cols: number }
  readonly job: RunnerJob
}

/** Whom a broker logs on, and as what. */
export interface RunnerLogon {
  readonly account: { readonly name: string; readonly sid: string }
  readonly runner: string
  /** Sealed for this user, as `protectSecret` makes it. */
  readonly sealedPassword: Uint8Array
}

const COMMAND_FLAG = { inputComes: 1, keep: 2 } as const

export function setUpFrame({ token, desktop, processList, proofs }: RunnerSetUp): Buffer {
  const writer = new Writer()
  writer.u32(token.flags)
  for (const list of [token.disable, token.restricting, token.privileges]) writer.list(list)
  for (const text of [token.integrity, token.defaultDacl, desktop.name, desktop.list, processList]) writer.text(text)
  writer.u32(proofs.length)
  for (const { descriptor, desired } of proofs) {
    writer.text(descriptor)
    writer.u32(Number(desired))
  }
  return writer.frame(TO_RUNNER.SET_UP, 0)
}

export function startFrame(id: number, { application, commandLine, cwd, environment, inputComes, keep, terminal, job }: RunnerCommand): Buffer {
  const writer = new Writer()
  for (const text of [application, commandLine, cwd]) writer.text(text)
  writer.list(environment)
  writer.u8((inputComes ? COMMAND_FLAG.inputComes : 0) | (keep ? COMMAND_FLAG.keep : 0))
  writer.u16(terminal?.rows ?? 0)
  writer.u16(terminal?.cols ?? 0)
  writer.u32(job.flags)
  writer.u32(job.userInterface)
  writer.u64(job.memory)
  writer.u32(job.processes)
  writer.u64(job.userTime)
  return writer.frame(TO_RUNNER.START, id)
}

export function logonFrame({ account, runner, sealedPassword }: RunnerLogon): Buffer {
  const writer = new Writer()
  for (const text of [account.name, account.sid, runner]) writer.text(text)
  writer.bytes(sealedPassword)
  return writer.frame(TO_RUNNER.LOGON, 0)
}

export interface RunnerHello {
  /** Of the package that it was built with. */
  readonly version: string
  /** SIDs. */
  readonly account: string
  readonly logon: string
}

export function readHello(payload: Buffer): RunnerHello {
  const reader = new Reader(payload)
  const hello = { version: reader.text(), account: reader.text(), logon: reader.text() }
  reader.end()
  return hello
}

/** For each proof, in order, whether the system grants it. */
export function readAnswers(payload: Buffer): readonly boolean[] {
  needAtLeast(payload, 4)
  const count = payload.readUInt32LE(0)
  needExactly(payload, 4 + count)
  return [...payload.subarray(4)].map(answer => {
    if (answer > 1) throw new MalformedFrame(`an answer ${answer}`)
    return answer === 1
  })
}

export interface RunnerFailure {
  readonly step: string
  /** The error of Windows; 0: the step went through, and the system holds something else than was asked for. */
  readonly code: number
  readonly detail: string
}

export function readRunnerFailure(payload: Buffer): RunnerFailure {
  needAtLeast(payload, 5)
  const detailAt = 5 + (payload[4] as number)
  needAtLeast(payload, detailAt)
  return { code: payload.readUInt32LE(0), step: payload.toString('latin1', 5, detailAt), detail: payload.toString('utf8', detailAt) }
}

const END_REASONS: readonly EndReason[] = ['none', 'killed', 'memory-limit', 'pids-limit', 'cpu-limit']
const EXIT_FIXED_BYTES = 30

export function readRunnerExit(payload: Buffer): CommandExit {
  needAtLeast(payload, EXIT_FIXED_BYTES)
  const signal = payload.readUInt32LE(4)
  const reason = END_REASONS[payload.readUInt32LE(8)]
  if (reason === undefined) throw new MalformedFrame(`end reason ${payload.readUInt32LE(8)}`)
  const ended: EndedProcess[] = []
  let at = EXIT_FIXED_BYTES
  for (let left = payload.readUInt16LE(28); left > 0; left--) {
    needAtLeast(payload, at + 5)
    const end = at + 5 + (payload[at + 4] as number)
    needAtLeast(payload, end)
    ended.push({ pid: payload.readUInt32LE(at), name: payload.toString('utf8', at + 5, end) })
    at = end
  }
  needExactly(payload, at)
  return {
    exitCode: signal === 0 ? payload.readUInt32LE(0) : undefined,
    signal: signal === 0 ? undefined : signal,
    reason,
    path: undefined,
    cpuMs: readSafeInteger(payload, 12) / 1000,
    maxRssBytes: readSafeInteger(payload, 20),
    ended,
  }
}

/** Texts are UTF-16 with their number of units before them: what Windows takes for a name, lone surrogates too, arrives as it is. */
class Writer {
  readonly #pieces: Buffer[] = []

  u8(value: number): void { this.#pieces.push(Buffer.of(value)) }

  u16(value: number): void {
    const piece = Buffer.alloc(2)
    piece.writeUInt16LE(value)
    this.#pieces.push(piece)
  }

  u32(value: number): void {
    const piece = Buffer.alloc(4)
    piece.writeUInt32LE(value)
    this.#pieces.push(piece)
  }

  u64(value: number): void {
    const piece = Buffer.alloc(8)
    piece.writeBigUInt64LE(BigInt(value))
    this.#pieces.push(piece)
  }

  text(value: string): void {
    this.u32(value.length)
    this.#pieces.push(Buffer.from(value, 'utf16le'))
  }

  list(values: readonly string[]): void {
    this.u32(values.length)
    for (const value of values) this.text(value)
  }

  bytes(value: Uint8Array): void { this.#pieces.push(Buffer.from(value)) }

  frame(type: number, id: number): Buffer {
    const frame = Buffer.concat([Buffer.alloc(FRAME_HEADER_BYTES), ...this.#pieces])
    writeHeader(frame, type, id)
    return frame
  }
}

class Reader {
  readonly #payload: Buffer
  #at = 0

  constructor(payload: Buffer) {
    this.#payload = payload
  }

  text(): string {
    needAtLeast(this.#payload, this.#at + 4)
    const from = this.#at + 4
    const end = from + this.#payload.readUInt32LE(this.#at) * 2
    needAtLeast(this.#payload, end)
    this.#at = end
    return this.#payload.toString('utf16le', from, end)
  }

  end(): void { needExactly(this.#payload, this.#at) }
}
