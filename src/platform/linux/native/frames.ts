// What the launcher's frames carry. Their list is native/linux/frames.def.
import { constants } from 'node:os'
import type { AccessOperation, AccessReport, CommandExit, EndedProcess, EndReason, StartFailure } from '../../backend.js'
import { MalformedFrame, needAtLeast, readSafeInteger } from '../../frames.js'
import { STEPS } from './steps.generated.js'

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
export const ACCESS_OPERATIONS: readonly AccessOperation[] = ['read', 'write', 'create', 'remove', 'execute', 'unix-connect', 'connect', 'system-call']
const REPORT_FLAG = { refused: 1, pathUnknown: 2, modeRefuses: 4, missing: 8 } as const

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
    ...((flags & REPORT_FLAG.missing) === 0 ? {} : { missing: true as const }),
    ...(payload.readUInt32LE(0) === 0 ? {} : { pid: payload.readUInt32LE(0) }),
    program: payload.toString('utf8', 7, pathAt),
  }
}

/** Linux has it, and Node's table does not: no room for descriptors that are on their way through sockets. */
const ETOOMANYREFS = 109

/** `ENOENT` for 2, as this system numbers them. */
export function errnoName(errno: number): string {
  return Object.entries({ ...constants.errno, ETOOMANYREFS }).find(([, number]) => number === errno)?.[0] ?? `errno ${errno}`
}
