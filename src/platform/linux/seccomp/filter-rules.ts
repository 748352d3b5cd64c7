// What a filter says, before it is a program: for each system call an action, and the arguments that make it another one.
import type { SystemCallName } from './system-calls.js'

/** The errnos that our filters answer with; x64 and arm64 share the numbers. Source: include/uapi/asm-generic/errno.h. */
export const ERRNO = {
  EPERM: 1,
  EACCES: 13,
  ENOSYS: 38,
  EPROTONOSUPPORT: 93,
  ESOCKTNOSUPPORT: 94,
  EOPNOTSUPP: 95,
  EAFNOSUPPORT: 97,
} as const

export type ErrnoName = keyof typeof ERRNO

/**
 * What the kernel does with a call. Where several filters of one process disagree it takes the strictest, in this order:
 * `kill_process` (SIGSYS, no handler runs), `trap` (SIGSYS, a handler may run), an errno, `user_notification` (the
 * listener decides; ENOSYS without one), `allow`.
 */
export type Action = 'kill_process' | 'trap' | { readonly errno: ErrnoName } | 'user_notification' | 'allow'

/**
 * Holds if the argument, after `mask`, is one of `oneOf`.
 *
 * `width` is that of the kernel's parameter, not of the register. 32: an int, or one that the kernel cuts to 32 bits;
 * only the low word is looked at, so that garbage in the high bits cannot hide a value (CVE-2019-10063). 64: both words.
 */
export interface ArgumentCondition {
  readonly argument: 0 | 1 | 2 | 3 | 4 | 5
  readonly width: 32 | 64
  /** Cut to `width`; all bits where absent. */
  readonly mask?: bigint
  /** Not empty; no bit outside `mask`. */
  readonly oneOf: readonly bigint[]
}

/** A parameter that the kernel takes as an int, or cuts to 32 bits. */
export const low = (argument: ArgumentCondition['argument'], oneOf: readonly bigint[], mask?: bigint): ArgumentCondition =>
  mask === undefined ? { argument, width: 32, oneOf } : { argument, width: 32, mask, oneOf }

/** What the launcher's own processes put into the sixth argument of calls that have fewer. The same in native/linux/raw.h. */
export const OWN_MARK = 0x7863_6f64_656d_6b31n
export const MARKED: ArgumentCondition = { argument: 5, width: 64, oneOf: [OWN_MARK] }

/** Arguments that get another action than the rule's own. All conditions must hold. */
export interface ArgumentCase {
  readonly when: readonly ArgumentCondition[]
  readonly action: Action
}

/** The one rule of a system call: the first case that holds decides, else `action`. */
export interface SystemCallRule {
  readonly call: SystemCallName
  readonly cases?: readonly ArgumentCase[]
  readonly action: Action
}

/** Whether two actions are the same. Pure. */
export const sameAction = (a: Action, b: Action): boolean =>
  typeof a === 'object' && typeof b === 'object' ? a.errno === b.errno : a === b
