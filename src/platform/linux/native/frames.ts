// Frames between this process and the launcher: u32 length, u8 type, u32 command id, payload; little-endian.
// Their list is native/linux/frames.def. What the launcher sends is checked like anything from outside.
import { constants } from 'node:os'
import type { AccessOperation, AccessReport, CommandExit, EndedProcess, EndReason, StartFailure } from '../../backend.js'
import { FROM_LAUNCHER } from './frames.generated.js'
import { STEPS } from './steps.generated.js'

export const FRAME_HEADER_BYTES = 9

/** Of one output stream, sent by the launcher and not yet told as consumed. The same in native/linux/frames.h, like the next two. */
export const OUTPUT_WINDOW_BYTES = 1 << 20
/** Of one command's input, sent and not yet told as drained. */
export const STDIN_WINDOW_BYTES = 256 << 10
export const LARGEST_FRAME_BYTES = 64 << 20

/** No frame but output needs more: a path, and at most 64 names of processes. */
const LARGEST_MESSAGE_BYTES = 64 << 10

/** The other side does not speak this protocol, or was cut off within a frame. */
export class MalformedFrame extends Error {
  override readonly name = 'MalformedFrame'
}

/** Receives each frame. An output frame may come in several pieces, each a view of what was read: nothing of it is copied. */
export type FrameListener = (type: number, id: number, payload: Buffer) => void

/** Cuts what is read from a socket, however it was split or joined on the way, into frames. */
export class FrameDecoder {
  readonly #listener: FrameListener
  /** Bytes of a header or of a message that is not complete yet. */
  #held: Buffer | undefined
  #type = 0
  #id = 0
  /** Of an output frame: bytes that are still to come. */
  #outputLeft = 0

  constructor(listener: FrameListener) {
    this.#listener = listener
  }

  /** True between two frames. */
  get atBoundary(): boolean {
    return this.#held === undefined && this.#outputLeft === 0
  }

  /** @throws MalformedFrame */
  decode(chunk: Buffer): void {
    let bytes = chunk
    let at = 0
    if (this.#held !== undefined) {
      bytes = Buffer.concat([this.#held, chunk])
      this.#held = undefined
    }
    while (at < bytes.length) {
      if (this.#outputLeft > 0) {
        const end = Math.min(at + this.#outputLeft, bytes.length)
        const piece = bytes.subarray(at, end)
        this.#outputLeft -= piece.length
        at = end
        this.#listener(this.#type, this.#id, piece)
        continue
      }
      if (bytes.length - at < FRAME_HEADER_BYTES) break
      const length = bytes.readUInt32LE(at)
      const type = bytes[at + 4] as number
      const id = bytes.readUInt32LE(at + 5)
      if (type === FROM_LAUNCHER.STDOUT || type === FROM_LAUNCHER.STDERR) {
        if (length > LARGEST_FRAME_BYTES) throw new MalformedFrame(`an output frame of ${length} bytes`)
        this.#type = type
        this.#id = id
        this.#outputLeft = length
        at += FRAME_HEADER_BYTES
        continue
      }
      if (length > LARGEST_MESSAGE_BYTES) throw new MalformedFrame(`a frame of type ${type} with ${length} bytes`)
      const end = at + FRAME_HEADER_BYTES + length
      if (end > bytes.length) break
      const payload = bytes.subarray(at + FRAME_HEADER_BYTES, end)
      at = end
      this.#listener(type, id, payload)
    }
    if (at < bytes.length) this.#held = bytes.subarray(at)
  }
}

/** A whole frame for the launcher; `payload` of a u32 or of nothing is the usual case. */
export function makeFrame(type: number, id: number, payloadBytes = 0): Buffer {
  const frame = Buffer.allocUnsafe(FRAME_HEADER_BYTES + payloadBytes)
  writeHeader(frame, type, id)
  return frame
}

/** Writes the header of a frame that is all of `frame`. */
export function writeHeader(frame: Buffer, type: number, id: number): void {
  frame.writeUInt32LE(frame.length - FRAME_HEADER_BYTES, 0)
  frame[4] = type
  frame.writeUInt32LE(id, 5)
}

export function readU32(payload: Buffer): number {
  needExactly(payload, 4)
  return payload.readUInt32LE(0)
}

export function needExactly(payload: Buffer, bytes: number): void {
  if (payload.length !== bytes) throw new MalformedFrame(`a payload of ${payload.length} bytes instead of ${bytes}`)
}

export function readFailure(payload: Buffer): StartFailure {
  needAtLeast(payload, 6)
  const step = STEPS[payload.readUInt16LE(0)]
  if (step === undefined) throw new MalformedFrame(`step ${payload.readUInt16LE(0)}`)
  return { step: step.name, errno: errnoName(payload.readInt32LE(2)), path: payload.length > 6 ? payload.toString('utf8', 6) : undefined }
}

const END_REASONS: readonly EndReason[] = ['none', 'killed', 'host-changed-protected-path', 'memory-limit', 'pids-limit']
const EXIT_FIXED_BYTES = 26

export function readExit(payload: Buffer): CommandExit {
  needAtLeast(payload, EXIT_FIXED_BYTES)
  const status = payload.readInt32LE(0)
  const reason = END_REASONS[payload.readUInt32LE(4)]
  if (reason === undefined) throw new MalformedFrame(`end reason ${payload.readUInt32LE(4)}`)
  const { ended, end } = readEnded(payload, payload.readUInt16LE(24))
  // As WIFEXITED, WEXITSTATUS and WTERMSIG of wait(2) have it.
  const signal = status & 0x7f
  return {
    exitCode: signal === 0 ? (status >> 8) & 0xff : undefined,
    signal: signal === 0 ? undefined : signal,
    reason,
    path: end < payload.length ? payload.toString('utf8', end) : undefined,
    cpuMs: readSafeInteger(payload, 8) / 1000,
    maxRssBytes: readSafeInteger(payload, 16),
    ended,
  }
}

function readEnded(payload: Buffer, count: number): { ended: readonly EndedProcess[]; end: number } {
  const ended: EndedProcess[] = []
  let at = EXIT_FIXED_BYTES
  for (let row = 0; row < count; row++) {
    needAtLeast(payload, at + 5)
    const nameAt = at + 5
    const end = nameAt + (payload[at + 4] as number)
    needAtLeast(payload, end)
    ended.push({ pid: payload.readUInt32LE(at), name: payload.toString('utf8', nameAt, end) })
    at = end
  }
  return { ended, end: at }
}

/** As native/linux/reports.h numbers them, from 1. */
const ACCESS_OPERATIONS: readonly AccessOperation[] = ['read', 'write', 'create', 'remove', 'execute', 'unix-connect', 'connect', 'system-call']
const REPORT_FLAG = { refused: 1, pathUnknown: 2, modeRefuses: 4 } as const

export function readAccessReport(payload: Buffer): AccessReport {
  needAtLeast(payload, 7)
  const operation = ACCESS_OPERATIONS[(payload[4] as number) - 1]
  if (operation === undefined) throw new MalformedFrame(`access operation ${payload[4]}`)
  const flags = payload[5] as number
  const pathAt = 7 + (payload[6] as number)
  needAtLeast(payload, pathAt)
  return {
    operation,
    path: (flags & REPORT_FLAG.pathUnknown) === 0 ? payload.toString('utf8', pathAt) : undefined,
    refused: (flags & REPORT_FLAG.refused) !== 0,
    modeRefuses: (flags & REPORT_FLAG.modeRefuses) !== 0,
    pid: payload.readUInt32LE(0),
    program: payload.toString('utf8', 7, pathAt),
  }
}

/** `ENOENT` for 2, as this system numbers them. */
export function errnoName(errno: number): string {
  return Object.entries(constants.errno).find(([, number]) => number === errno)?.[0] ?? `errno ${errno}`
}

const readSafeInteger = (payload: Buffer, at: number): number => payload.readUInt32LE(at) + payload.readUInt32LE(at + 4) * 2 ** 32

function needAtLeast(payload: Buffer, bytes: number): void {
  if (payload.length < bytes) throw new MalformedFrame(`a payload of ${payload.length} bytes, at least ${bytes} were needed`)
}
