// The calls that the launcher only looks at before the kernel carries them out, so that a denial has its exact path:
// native/linux/observe.c has what is looked at.
import type { Observation } from '../../launch-plan.js'
import { type ArgumentCase, type ArgumentCondition, low, MARKED } from './filter-rules.js'
import type { SystemCallName } from './system-calls.js'

export interface ObservedRow {
  readonly calls: readonly SystemCallName[]
  /** What need not be looked at. */
  readonly cases?: readonly ArgumentCase[]
  /** Of two rows with one call the first that is wanted counts. */
  readonly from: Exclude<Observation, 'off'>
  readonly reason: string
}

/** Of open(2) and openat(2); the numbers are the same on both architectures. Source: include/uapi/asm-generic/fcntl.h. */
const O_ACCMODE = 0x3n
const O_CREAT = 0x40n
const O_TRUNC = 0x200n
const O_PATH = 0x20_0000n
/** O_TMPFILE without its O_DIRECTORY. */
const TMPFILE_BIT = 0x40_0000n
const WRITE_INTENT = O_ACCMODE | O_CREAT | O_TRUNC | TMPFILE_BIT

const quietWhere = (...when: ArgumentCondition[]): ArgumentCase => ({ when, action: 'allow' })
const quietWithout = (flags: ArgumentCondition['argument'], mask: bigint): ArgumentCase => quietWhere(low(flags, [0n], mask))
/** The launcher's own, on its way to a program. */
const own: ArgumentCase = quietWhere(MARKED)

/**
 * Looked at and left out: fchmod, fsetxattr and futimens (about a descriptor that is open already: they can only fail where
 * it was opened for reading, outside every root), stat, access and readlink (a few thousand of them in one `git status`).
 */
export const OBSERVED_CALLS: readonly ObservedRow[] = [
  { calls: ['open'], from: 'reads', cases: [quietWhere(low(1, [O_PATH], O_PATH))], reason: 'reads' },
  { calls: ['openat'], from: 'reads', cases: [own, quietWhere(low(2, [O_PATH], O_PATH))], reason: 'reads' },
  { calls: ['execve', 'execveat'], from: 'reads', cases: [own], reason: 'programs that are run' },

  { calls: ['open'], from: 'writes', cases: [quietWithout(1, WRITE_INTENT)], reason: 'writes' },
  { calls: ['openat'], from: 'writes', cases: [quietWithout(2, WRITE_INTENT)], reason: 'writes' },
  { calls: ['creat', 'mkdir', 'mkdirat', 'mknod', 'mknodat', 'symlink', 'symlinkat', 'link', 'linkat'], from: 'writes', reason: 'names that are made' },
  { calls: ['unlink', 'unlinkat', 'rmdir', 'rename', 'renameat', 'renameat2', 'truncate'], from: 'writes', reason: 'names that are removed or moved, files that are cut' },
  { calls: ['chmod', 'fchmodat', 'fchmodat2', 'chown', 'lchown', 'fchownat', 'utime', 'utimes'], from: 'writes', reason: 'modes, owners, times' },
  { calls: ['utimensat', 'futimesat'], from: 'writes', cases: [quietWhere({ argument: 1, width: 64, oneOf: [0n] })], reason: 'the same; without a path they are about a descriptor' },
  { calls: ['setxattr', 'lsetxattr', 'setxattrat', 'removexattr', 'lremovexattr', 'removexattrat'], from: 'writes', reason: 'extended attributes' },
  { calls: ['fchown'], from: 'writes', reason: 'owners that the sandbox does not have: native/linux/identity.c, which is also for those by path' },
  { calls: ['setuid', 'setreuid', 'setresuid', 'setgid', 'setregid', 'setresgid', 'setgroups'], from: 'writes',
    reason: 'users and groups that the sandbox does not have. The bare EINVAL of an id that is not mapped explains nothing' },
  { calls: ['bind'], from: 'writes', reason: 'makes the file of a unix socket' },
  { calls: ['seccomp'], from: 'writes', cases: [quietWithout(1, 8n)],
    reason: 'SECCOMP_FILTER_FLAG_NEW_LISTENER: the kernel permits one listener, and it is the launcher\'s. The bare EBUSY explains nothing' },
]

/** The rows that are wanted, one a call. */
export function observedRows(observe: Observation): ObservedRow[] {
  const taken = new Set<SystemCallName>()
  return OBSERVED_CALLS.filter(({ from }) => observe === 'reads' || from === observe)
    .map(row => ({ ...row, calls: row.calls.filter(call => !taken.has(call) && taken.add(call)) }))
}
