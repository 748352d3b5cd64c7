// What a command's end looks like to a caller, whatever the back end.
import { constants } from 'node:os'
import type { CommandExit, EndedProcess } from '../platform/backend.js'
import type { Enforcement } from '../platform/launch-plan.js'
import type { Limits } from '../policy/sandbox-policy.js'
import type { Denial } from './denial.js'

export type Encoding = 'text' | 'bytes'
export type OutputOf<E extends Encoding> = E extends 'bytes' ? Buffer : string

export interface ExecResult<E extends Encoding = 'text'> {
  /** Of the command; 128+n where signal n ended it, 124 after a time-out, 126 where it is not executable, 127 where it was not found. */
  readonly exitCode: number
  /** The signal that ended it. */
  readonly signal: NodeJS.Signals | null
  readonly timedOut: boolean
  /** The option whose time ran out. */
  readonly timedOutBy?: 'timeoutMs' | 'idleTimeoutMs'
  /** Ended because the caller's AbortSignal fired or the sandbox was closed. */
  readonly cancelled: boolean
  /** The limit that ended it. */
  readonly limit?: keyof Limits
  /** The protected path that the host changed while the command ran, which is why the sandbox ended it. */
  readonly changedPath?: string
  readonly stdout: OutputOf<E>
  readonly stderr: OutputOf<E>
  /** Both, in order of arrival. */
  readonly output: OutputOf<E>
  /** Bytes of each stream that were not kept. */
  readonly dropped: { readonly stdout: number; readonly stderr: number }
  readonly durationMs: number
  readonly usage: { readonly cpuMs: number; readonly maxRssBytes: number }
  /** What it tried and was denied: the launcher's own refusals and what was observed first, then what only the command itself reported. */
  readonly denials: readonly Denial[]
  /** So many accesses were too many to be looked at: some of them may be denials that are not in the list. */
  readonly denialsLost?: number
  /**
   * Git operations that did not end (`<git dir>/rebase-merge`, `<git dir>/sequencer`): they are known in this sandbox alone. Its later commands can
   * continue or abort them; git outside sees a detached HEAD and nothing to continue, and when the sandbox is closed they are gone.
   */
  readonly gitOperations?: readonly string[]
  /**
   * With `git: 'commits'`: paths that an index names as repositories of their own (submodules) and did not when the sandbox was made: that of a
   * root, of a linked worktree, of a submodule. `git status` on the host enters each by itself and runs what its config says (`core.fsmonitor`), and
   * commands can make that: look at them first (`git ls-files --stage` enters nothing), or take them out again (`git update-index --force-remove
   * PATH`). What could not be looked at stands there itself: an index that is not what it was, or `.git` of the first root.
   */
  readonly gitLinks?: readonly string[]
  /** Processes that were still there when the command itself ended, and were ended with it. */
  readonly ended: readonly EndedProcess[]
  /** With `ended`: how to keep them instead, in words and as options that the next call takes unchanged. */
  readonly toKeep?: { readonly text: string; readonly options: { readonly background: 'keep' } }
  /** What the command left behind and goes on, as it was asked with `background: 'keep'`. */
  readonly session?: LeftSession
  readonly environment: {
    /** Names of the embedding process's variables that the command did not get. */
    readonly dropped: readonly string[]
  }
  readonly enforcement: Enforcement
  /** Of a sandbox with `approvals`: whether somebody was asked, and whether it ran without the sandbox, at once or again after a denial. */
  readonly approval?: { readonly asked: boolean; readonly escalated: boolean; readonly retried?: true; readonly warning?: string }
}

export interface LeftSession {
  /** In `sandbox.sessions`. */
  readonly id: number
  /** Those that go on, with ids as seen inside. */
  readonly processes: readonly EndedProcess[]
  /** For `sessions.read`: what comes after this result. */
  readonly cursor: number
}

export const EXIT_CODE = { timedOut: 124, noSandbox: 125, notExecutable: 126, notFound: 127, signalBase: 128 } as const

/** Why the command was asked to end, if it was. */
export type Interruption = 'timeoutMs' | 'idleTimeoutMs' | 'cancelled' | undefined

export const isTimeout = (interruption: Interruption): interruption is 'timeoutMs' | 'idleTimeoutMs' => interruption === 'timeoutMs' || interruption === 'idleTimeoutMs'

export function exitCodeOf({ exitCode, signal }: Pick<CommandExit, 'exitCode' | 'signal'>, interruption: Interruption): number {
  if (isTimeout(interruption)) return EXIT_CODE.timedOut
  return exitCode ?? EXIT_CODE.signalBase + (signal ?? 0)
}

export const TO_KEEP: NonNullable<ExecResult['toKeep']> = {
  text: 'to let what a command leaves in the background go on, run it with background: "keep"; it becomes a session',
  options: { background: 'keep' },
}

/** The name of a signal's number; null where there is none, as ChildProcess has it. Real-time signals have no name in Node. */
export function signalName(number: number | undefined): NodeJS.Signals | null {
  if (number === undefined) return null
  const names = Object.entries(constants.signals) as [NodeJS.Signals, number][]
  return names.find(([, value]) => value === number)?.[0] ?? (`SIGRTMIN+${number - 34}` as NodeJS.Signals)
}

/** The limit that ended a command: told by the launcher, or by the signal that the kernel has for it. */
export function limitOf(exit: CommandExit, limits: Limits): keyof Limits | undefined {
  if (exit.reason === 'memory-limit') return 'memoryBytes'
  if (exit.reason === 'pids-limit') return 'pids'
  if (exit.reason === 'cpu-limit') return 'cpuSeconds'
  // A shell passes on the signal of what it ran as 128+n.
  const signal = exit.signal ?? (exit.exitCode === undefined ? undefined : exit.exitCode - EXIT_CODE.signalBase)
  if (signal === constants.signals.SIGXCPU && limits.cpuSeconds !== undefined) return 'cpuSeconds'
  if (signal === constants.signals.SIGXFSZ && limits.fileSizeBytes !== undefined) return 'fileSizeBytes'
  return undefined
}
