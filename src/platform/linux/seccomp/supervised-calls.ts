// The calls that change files, as the supervised rung's listener filter has them: the launcher performs what leads into a writable root
// with something closed below, and all that changes metadata; native/linux/handlers.c has a handler for each.
import type { JudgedReads } from '../../launch-plan.js'
import { type Action, type ArgumentCase, type ArgumentCondition, MARKED } from './filter-rules.js'
import type { Architecture, SystemCallName } from './system-calls.js'

/** Calls that the listener gets, but for the arguments of `cases`. */
export interface SupervisedRow {
  readonly calls: readonly SystemCallName[]
  readonly cases?: readonly ArgumentCase[]
  readonly reason: string
}

const EOPNOTSUPP: Action = { errno: 'EOPNOTSUPP' }

/** O_ACCMODE, O_CREAT, O_TRUNC, and O_TMPFILE without O_DIRECTORY: the same on both architectures. Source: include/uapi/asm-generic/fcntl.h. */
const WRITE_INTENT = 0o3n | 0o100n | 0o1000n | 0o20000000n

/** ioctl requests are made of a direction, a size, a letter and a number. Source: include/uapi/asm-generic/ioctl.h. */
const IOC_LETTER = 0xff00n
const IOC_WRITES = 0x4000_0000n
const letter = (code: bigint): bigint => code << 8n

/**
 * Letters of the file systems' own requests: ext4 and all ('f'), XFS and all ('X'), btrfs and all (0x94), 'v', FAT ('r'), OCFS2 ('o'),
 * Ceph (0x97), bcachefs (0xbc), CIFS (0xcf), f2fs (0xf5).
 */
const FILE_SYSTEM_LETTERS = [0x66n, 0x58n, 0x94n, 0x76n, 0x72n, 0x6fn, 0x97n, 0xbcn, 0xcfn, 0xf5n].map(letter)

/** What changes something without saying so in its number: FS_IOC_SET_ENCRYPTION_POLICY, EXT4_IOC_MIGRATE. */
const HIDDEN_WRITERS = [0x800c_6613n, 0x6609n]

/**
 * Of those, what only asks although it hands something in, or changes nothing but a file that is open for writing: FICLONE, FICLONERANGE,
 * FIDEDUPERANGE (which changes no content), FS_IOC_FIEMAP, FS_IOC_GETFSMAP, FS_IOC_MEASURE_VERITY, FS_IOC_GET_ENCRYPTION_POLICY_EX,
 * BTRFS_IOC_TREE_SEARCH, _INO_LOOKUP, _INO_PATHS.
 */
const HARMLESS_REQUESTS = [0x4004_9409n, 0x4020_940dn, 0xc018_9436n, 0xc020_660bn, 0xc0c0_583bn, 0xc004_6686n, 0xc009_6616n, 0xd000_9411n, 0xd000_9412n, 0xc038_9423n]

const request = (oneOf: readonly bigint[], mask?: bigint): ArgumentCondition =>
  mask === undefined ? { argument: 1, width: 32, oneOf } : { argument: 1, width: 32, mask, oneOf }

/** O_PATH, and the two whose numbers differ. Source: arch/arm64/include/uapi/asm/fcntl.h. */
const O_PATH = 0o10000000n
const O_DIRECTORY = { x64: 0o200000n, arm64: 0o40000n }
const O_NOFOLLOW = { x64: 0o400000n, arm64: 0o100000n }

/** Which opens are not the launcher's. shm_open(3) follows no links, and little else that reads does. */
function keptOpens(argument: 1 | 2, arch: Architecture, reads: JudgedReads): ArgumentCase[] {
  const flags = (mask: bigint, ...oneOf: bigint[]): ArgumentCondition => ({ argument, width: 32, mask, oneOf })
  const opensNothing: ArgumentCase = { when: [flags(O_PATH, O_PATH)], action: 'allow' }
  const folder: ArgumentCase = { when: [flags(O_DIRECTORY[arch], O_DIRECTORY[arch])], action: 'user_notification' }
  const sharedMemory: ArgumentCase = { when: [flags(O_DIRECTORY[arch] | O_NOFOLLOW[arch], O_NOFOLLOW[arch])], action: 'user_notification' }
  const asksOnly: ArgumentCase = { when: [flags(WRITE_INTENT, 0n)], action: 'allow' }
  return reads === 'all' ? [opensNothing] : [opensNothing, ...(reads === 'folders' ? [folder] : []), sharedMemory, asksOnly]
}

/** Of both architectures: one may lack a call. */
export const supervisedFileCalls = (arch: Architecture, reads: JudgedReads): readonly SupervisedRow[] => [
  { calls: ['open'], cases: keptOpens(1, arch, reads),
    reason: 'opens for writing, makes or empties a file; most reading is Landlock\'s to judge' },
  { calls: ['openat'], cases: [{ when: [MARKED], action: 'allow' }, ...keptOpens(2, arch, reads)],
    reason: 'the same. The launcher\'s own, on its way to a program, are marked; whoever else marks one is left to the kernel, which refuses' },
  { calls: ['creat'],
    reason: 'the same' },
  { calls: ['mkdir', 'mkdirat', 'mknod', 'mknodat', 'symlink', 'symlinkat', 'link', 'linkat'],
    reason: 'makes a name' },
  { calls: ['unlink', 'unlinkat', 'rmdir', 'rename', 'renameat', 'renameat2'],
    reason: 'removes or moves a name' },
  { calls: ['umask'], cases: [{ when: [MARKED], action: 'allow' }],
    reason: 'goes on in the kernel; as long as nobody has set another, what the launcher makes on behalf has the one that commands begin with. A mark that is not the launcher\'s own (openat) only gives the caller\'s files another mode' },
  { calls: ['truncate'],
    reason: 'changes a file by path' },
  { calls: ['chmod', 'fchmod', 'fchmodat', 'fchmodat2', 'chown', 'lchown', 'fchown', 'fchownat'],
    reason: 'Landlock knows neither mode nor owner, of any file and through any descriptor' },
  { calls: ['utime', 'utimes', 'futimesat', 'utimensat'],
    reason: 'nor times' },
  { calls: ['setxattr', 'lsetxattr', 'fsetxattr', 'setxattrat', 'removexattr', 'lremovexattr', 'fremovexattr', 'removexattrat'],
    reason: 'nor extended attributes, access control lists among them' },
]

/** What changes a file through its descriptor by ioctl, also one that is open for reading: the argument cases of a row that allows. */
export const FILE_SYSTEM_REQUESTS: readonly ArgumentCase[] = [
  { when: [request(HARMLESS_REQUESTS)], action: 'allow' },
  { when: [request(HIDDEN_WRITERS)], action: EOPNOTSUPP },
  { when: [request([IOC_WRITES], IOC_WRITES), request(FILE_SYSTEM_LETTERS, IOC_LETTER)], action: EOPNOTSUPP },
]
