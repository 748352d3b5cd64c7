// The two filters of a sandbox: what no command may call, and what the launcher does on a command's behalf.
import type { JudgedReads, Observation } from '../../launch-plan.js'
import { FIRST_ABI_WITH_SCOPES, FIRST_ABI_WITH_TCP } from '../landlock/access-rights.js'
import { assembleFilter } from './assemble.js'
import { type Action, type ArgumentCase, type ArgumentCondition, low, MARKED, type SystemCallRule } from './filter-rules.js'
import { observedRows } from './observed-calls.js'
import { FILE_SYSTEM_REQUESTS, supervisedFileCalls } from './supervised-calls.js'
import { type Architecture, SYSTEM_CALLS, type SystemCallName } from './system-calls.js'

/** `private`: a network namespace of its own; `none`: the host's, and nothing of it; `host`: the policy opens the host's. */
type Network = 'private' | 'none' | 'host'

/** The supervised rung: no namespace keeps processes, System V IPC and message queues apart. `abi`: Landlock's. */
interface Supervised {
  readonly abi: number
  readonly reads: JudgedReads
  /** The launcher connects TCP sockets to a port or two: its proxy's, or the host's own. */
  readonly connects?: boolean
}

/** `quiet`: a refusal that no report is made of, in a row that is told. */
export interface CommandFilterCase extends ArgumentCase {
  readonly quiet?: true
}

/** One decision of ours: the calls that it is about, and why. */
export interface CommandFilterRow {
  readonly calls: readonly SystemCallName[]
  readonly action: Action
  readonly cases?: readonly CommandFilterCase[]
  /** With an observer the launcher refuses the call instead of this filter, and reports it. Not what programs only try out. */
  readonly told?: true
  /** Absent: whichever network the command has. */
  readonly network?: Network
  /** Absent: on both rungs. */
  readonly when?: (supervised: Supervised | undefined) => boolean
  readonly reason: string
}

const EPERM: Action = { errno: 'EPERM' }
const EACCES: Action = { errno: 'EACCES' }
const ENOSYS: Action = { errno: 'ENOSYS' }
const EPROTONOSUPPORT: Action = { errno: 'EPROTONOSUPPORT' }
const ESOCKTNOSUPPORT: Action = { errno: 'ESOCKTNOSUPPORT' }
const EAFNOSUPPORT: Action = { errno: 'EAFNOSUPPORT' }
const EOPNOTSUPP: Action = { errno: 'EOPNOTSUPP' }

/** CLONE_NEWNS, NEWCGROUP, NEWUTS, NEWIPC, NEWUSER, NEWPID, NEWNET. Not NEWTIME (0x80): in clone(2) that bit belongs to the exit signal. */
const NAMESPACE_FLAGS = 0x0002_0000n | 0x0200_0000n | 0x0400_0000n | 0x0800_0000n | 0x1000_0000n | 0x2000_0000n | 0x4000_0000n

/** CLONE_VM, FS, FILES, SIGHAND, THREAD, SYSVSEM: all that unshare(2) takes and that makes no namespace. */
const PLAIN_UNSHARE_FLAGS = 0x100n | 0x200n | 0x400n | 0x800n | 0x1_0000n | 0x4_0000n

/** PER_LINUX32 (uname says i686), UNAME26, ADDR_NO_RANDOMIZE (gdb, `setarch -R`). */
const PLAIN_PERSONALITY = 0x8n | 0x2_0000n | 0x4_0000n
const PERSONALITY_QUERY = 0xffff_ffffn

/** ioctl requests; the numbers are the same on both architectures. */
const TIOCSTI = 0x5412n
const TIOCLINUX = 0x541cn
const TIOCCONS = 0x541dn
const TIOCSETD = 0x5423n
const FIOSETOWN = 0x8901n
const SIOCSPGRP = 0x8902n

/** fcntl commands. */
const F_SETOWN = 8n
const F_SETOWN_EX = 15n

/** In sendto and its like: a connection is made without connect(2). */
const MSG_FASTOPEN = 0x2000_0000n

/** Of a file's mode, and of open(2)'s flags: O_CREAT, and O_TMPFILE without its O_DIRECTORY. Source: include/uapi/linux/stat.h, fcntl.h. */
const S_ISUID = 0o4000n
const O_CREAT = 0o100n
const TMPFILE_BIT = 0o2000_0000n

/** `which` of setpriority, and of ioprio_set. */
const PRIO_PROCESS = 0n
const PRIO_PGRP = 1n
const IOPRIO_WHO_PROCESS = 1n
const IOPRIO_WHO_PGRP = 2n

/** Requests of ptrace(2) that begin to trace a process. */
const PTRACE_ATTACH = 16n
const PTRACE_SEIZE = 0x4206n

/** socket(2)'s terms. Source: include/linux/socket.h, include/linux/net.h, include/uapi/linux/in.h, include/uapi/linux/netlink.h. */
const AF_UNIX = 1n
const AF_INET = 2n
const AF_INET6 = 10n
const AF_NETLINK = 16n
const SOCK_STREAM = 1n
const SOCK_DGRAM = 2n
const SOCK_RAW = 3n
const SOCK_SEQPACKET = 5n
const SOCK_PACKET = 10n
const IPPROTO_DEFAULT = 0n
const IPPROTO_ICMP = 1n
const IPPROTO_TCP = 6n
const IPPROTO_UDP = 17n
const IPPROTO_ICMPV6 = 58n
const NETLINK_ROUTE = 0n

/**
 * Where a connection goes is not its address alone. IP_OPTIONS; IPV6_2292RTHDR, IPV6_2292PKTOPTIONS, IPV6_RTHDR; SO_BINDTODEVICE,
 * SO_BINDTOIFINDEX. Source: include/uapi/linux/in.h, include/uapi/linux/in6.h, include/uapi/asm-generic/socket.h.
 */
const ROUTE_OPTIONS: readonly { readonly level: bigint; readonly names: readonly bigint[] }[] = [
  { level: 0n, names: [4n] },
  { level: 41n, names: [5n, 6n, 57n] },
  { level: 1n, names: [25n, 62n] },
]

const family = (...oneOf: bigint[]): ArgumentCondition => low(0, oneOf)
/** The low four bits; the others are SOCK_CLOEXEC and SOCK_NONBLOCK. */
const socketType = (...oneOf: bigint[]): ArgumentCondition => low(1, oneOf, 0xfn)
const protocol = (...oneOf: bigint[]): ArgumentCondition => low(2, oneOf)

/** For socket and socketpair. In order: the first case that holds decides. */
const socketCases = ({ stream, datagram, icmp }: { readonly stream: Action; readonly datagram: Action; readonly icmp: Action }): readonly CommandFilterCase[] => [
  { when: [family(AF_UNIX), socketType(SOCK_STREAM, SOCK_SEQPACKET)], action: 'allow' },
  // Its sendto and sendmsg reach any path without a connect; RAW is DGRAM to the kernel, and one of a pair can do it too.
  { when: [family(AF_UNIX)], action: EPROTONOSUPPORT },
  { when: [family(AF_INET, AF_INET6), socketType(SOCK_STREAM), protocol(IPPROTO_DEFAULT, IPPROTO_TCP)], action: stream },
  { when: [family(AF_INET, AF_INET6), socketType(SOCK_DGRAM), protocol(IPPROTO_DEFAULT, IPPROTO_UDP)], action: datagram },
  { when: [family(AF_INET, AF_INET6), socketType(SOCK_DGRAM), protocol(IPPROTO_ICMP, IPPROTO_ICMPV6)], action: icmp },
  // MPTCP, SCTP, UDP-Lite: no rule of Landlock's sees them. Go listens by MPTCP where it can, and takes TCP after this errno.
  { when: [family(AF_INET, AF_INET6), socketType(SOCK_STREAM, SOCK_DGRAM)], action: EPROTONOSUPPORT, quiet: true },
  { when: [family(AF_INET, AF_INET6), socketType(SOCK_RAW, SOCK_PACKET)], action: EPERM },
  { when: [family(AF_INET, AF_INET6)], action: ESOCKTNOSUPPORT },
  { when: [family(AF_NETLINK), protocol(NETLINK_ROUTE)], action: 'allow' },
  { when: [family(AF_NETLINK)], action: EPROTONOSUPPORT },
]

const setsUserId = (mode: ArgumentCondition['argument'], ...more: ArgumentCondition[]): CommandFilterCase => ({ when: [...more, low(mode, [S_ISUID], S_ISUID)], action: EPERM })
/** Without one of the flags there is no mode, and the register holds anything. */
const makesWithUserId = (flags: 1 | 2, mode: 2 | 3): CommandFilterCase[] => [O_CREAT, TMPFILE_BIT].map(flag => setsUserId(mode, low(flags, [flag], flag)))

const TERMINAL_REQUESTS: ArgumentCase = { when: [low(1, [TIOCSTI, TIOCLINUX, TIOCCONS, TIOCSETD])], action: EPERM }

/**
 * All that a command may not call. What no row names is allowed. Many rows need a capability that a command does not
 * have anyway: there the filter is the second lock, and keeps what lies behind the call out of reach.
 *
 * Looked at and left open: ptrace, process_vm_*, pidfd_getfd, kcmp, process_madvise (they end at the command's own PID
 * namespace, or at its Landlock domain), seccomp, landlock_* (they only narrow), adjtimex (reading the clock's state), name_to_handle_at
 * (opening a handle is refused), mknod (devices need a capability; FIFOs do not), memory policy, Linux AIO, uretprobe
 * and uprobe (the kernel itself makes them in a program that is traced from outside).
 */
export const COMMAND_FILTER: readonly CommandFilterRow[] = [
  { calls: ['mount', 'umount2', 'pivot_root', 'move_mount', 'open_tree', 'open_tree_attr', 'fsopen', 'fsconfig', 'fsmount', 'fspick', 'mount_setattr'], action: EPERM,
    told: true, reason: 'protected and denied paths hang on mounts' },
  { calls: ['chroot'], action: EPERM,
    told: true, reason: 'only useful with the capability that a command must not have' },
  { calls: ['unshare'], action: EPERM, cases: [{ when: [{ argument: 0, width: 64, mask: ~PLAIN_UNSHARE_FLAGS, oneOf: [0n] }], action: 'allow' }],
    told: true, reason: 'a new user namespace would give every capability inside it; flags of later kernels are refused with the known ones' },
  { calls: ['setns'], action: EPERM,
    told: true, reason: 'the same, by entering one' },
  { calls: ['clone'], action: EPERM, cases: [{ when: [low(0, [0n], NAMESPACE_FLAGS)], action: 'allow' }],
    told: true, reason: 'the same, with a new process' },
  { calls: ['clone3'], action: ENOSYS,
    reason: 'its flags are behind a pointer; every libc falls back to clone' },

  { calls: ['add_key', 'request_key', 'keyctl'], action: EPERM,
    told: true, reason: 'keyrings belong to the user, not to a namespace: they hold the host session\'s keys, and a quota shared with it' },
  { calls: ['bpf', 'perf_event_open', 'userfaultfd'], action: EPERM,
    told: true, reason: 'large and often broken parts of the kernel that builds and tests do not need' },
  { calls: ['io_uring_setup', 'io_uring_enter', 'io_uring_register'], action: EPERM,
    told: true, reason: 'carries out opens, connects and sends that no filter sees' },
  { calls: ['fanotify_init'], action: EPERM,
    told: true, reason: 'watches file handles of whole mounts; inotify stays' },
  { calls: ['open_by_handle_at'], action: EPERM,
    told: true, reason: 'opens a file without walking its path, past masks' },
  { calls: ['lsm_set_self_attr'], action: EPERM,
    reason: 'changes the label by which the host\'s security modules judge the command' },

  { calls: ['chmod', 'fchmod', 'creat', 'mknod'], action: 'allow', cases: [setsUserId(1)],
    told: true, reason: 'a set-user-ID program that stays behind runs as the sandbox\'s user, root perhaps, for everybody on the host' },
  { calls: ['fchmodat', 'fchmodat2', 'mknodat'], action: 'allow', cases: [setsUserId(2)],
    told: true, reason: 'the same, its mode one argument later' },
  { calls: ['open'], action: 'allow', cases: makesWithUserId(1, 2),
    told: true, reason: 'the same, for a file that is made' },
  { calls: ['openat'], action: 'allow', cases: makesWithUserId(2, 3),
    told: true, reason: 'the same, one argument later' },
  { calls: ['openat2'], action: ENOSYS,
    reason: 'the same, and its mode is behind a pointer; programs fall back to openat, as on kernels before 5.6' },

  { calls: ['kexec_load', 'kexec_file_load', 'init_module', 'finit_module', 'delete_module', 'reboot'], action: EPERM,
    told: true, reason: 'changes the kernel that runs' },
  { calls: ['swapon', 'swapoff', 'acct', 'quotactl', 'quotactl_fd', 'vhangup', 'syslog', 'lookup_dcookie'], action: EPERM,
    told: true, reason: 'administers the host, or reads its log' },
  { calls: ['settimeofday', 'clock_settime', 'sethostname', 'setdomainname'], action: EPERM,
    told: true, reason: 'sets what others on the host see' },
  { calls: ['iopl', 'ioperm'], action: EPERM,
    reason: 'opens the processor\'s ports' },
  { calls: ['modify_ldt'], action: EPERM,
    reason: '16-bit segments: many holes, and nothing that runs here needs them' },
  { calls: ['personality'], action: EPERM, cases: [
      { when: [low(0, [0n], ~PLAIN_PERSONALITY)], action: 'allow' },
      { when: [low(0, [PERSONALITY_QUERY])], action: 'allow' },
    ],
    reason: 'READ_IMPLIES_EXEC, MMAP_PAGE_ZERO and foreign execution domains weaken the program itself and the kernel' },
  { calls: ['uselib', '_sysctl', 'ustat', 'sysfs', 'nfsservctl', 'create_module', 'get_kernel_syms', 'query_module', 'getpmsg', 'putpmsg', 'afs_syscall', 'tuxcall', 'security', 'vserver'], action: ENOSYS,
    reason: 'gone, or going, from the kernel; the answer is that of a kernel without them' },

  { calls: ['ioctl'], action: 'allow', cases: [TERMINAL_REQUESTS], when: supervised => supervised === undefined,
    reason: 'TIOCSTI and TIOCLINUX type into a terminal, TIOCCONS takes the console, TIOCSETD loads line disciplines; the kernel cuts the request to 32 bits' },
  { calls: ['ioctl'], action: 'allow', cases: [TERMINAL_REQUESTS, ...FILE_SYSTEM_REQUESTS], when: isSupervised,
    reason: 'the same; and file systems change files by ioctl through descriptors that are open for reading (chattr, verity, encryption, subvolumes), which Landlock does not know' },
  { calls: ['file_setattr'], action: EOPNOTSUPP, when: isSupervised,
    reason: 'the same, by path' },

  { calls: ['socket', 'socketpair'], action: EAFNOSUPPORT, cases: socketCases({ stream: 'allow', datagram: 'allow', icmp: EACCES }), network: 'private',
    told: true, reason: 'only families, types and protocols whose reach is judged: no vsock, packet, netlink other than route, kernel crypto. ICMP has nothing to reach here; the kernel too says EACCES' },
  { calls: ['socket', 'socketpair'], action: EAFNOSUPPORT, cases: socketCases({ stream: 'allow', datagram: 'allow', icmp: 'allow' }), network: 'host',
    told: true, reason: 'the same; ICMP sockets for ping, where the host\'s ping_group_range lets the user' },
  { calls: ['socket', 'socketpair'], action: EAFNOSUPPORT, cases: socketCases({ stream: 'allow', datagram: EACCES, icmp: EACCES }), network: 'none', when: mayHaveTcp,
    told: true, reason: 'the host\'s network is off: Landlock and the launcher refuse every address of TCP, and nothing would refuse those of UDP' },
  { calls: ['socket', 'socketpair'], action: EAFNOSUPPORT, cases: socketCases({ stream: EACCES, datagram: EACCES, icmp: EACCES }), network: 'none', when: supervised => !mayHaveTcp(supervised),
    told: true, reason: 'the same, where Landlock does not know TCP and nothing of it is to be reached' },
  { calls: ['sendto'], action: 'allow', cases: [{ when: [low(3, [MSG_FASTOPEN], MSG_FASTOPEN)], action: EOPNOTSUPP }], network: 'none',
    reason: 'connects without connect(2)' },
  { calls: ['sendmsg'], action: 'allow', cases: [{ when: [low(2, [MSG_FASTOPEN], MSG_FASTOPEN)], action: EOPNOTSUPP }], network: 'none',
    reason: 'the same as sendto' },
  { calls: ['sendmmsg'], action: 'allow', cases: [{ when: [low(3, [MSG_FASTOPEN], MSG_FASTOPEN)], action: EOPNOTSUPP }], network: 'none',
    reason: 'the same as sendto' },
  { calls: ['setsockopt'], action: 'allow', cases: ROUTE_OPTIONS.map(({ level, names }) => ({ when: [low(1, [level]), low(2, names)], action: EPERM })), network: 'none',
    reason: 'a source route or a device lets what is connected to the loopback leave the machine all the same' },

  { calls: ['shmget', 'semget', 'msgget', 'mq_open'], action: EACCES, when: isSupervised,
    told: true, reason: 'System V IPC and message queues belong to a namespace, and this one is the host\'s; shared memory in /dev/shm and semaphores in it stay' },
  { calls: ['shmat', 'shmctl', 'shmdt', 'semop', 'semtimedop', 'semctl', 'msgsnd', 'msgrcv', 'msgctl'], action: EACCES, when: isSupervised,
    reason: 'the same, by the number of what is there' },
  { calls: ['mq_unlink', 'mq_timedsend', 'mq_timedreceive', 'mq_notify', 'mq_getsetattr'], action: EACCES, when: isSupervised,
    reason: 'the same for message queues, of which one that is open for reading gives messages away' },
  { calls: ['migrate_pages', 'move_pages'], action: EPERM, cases: [{ when: [low(0, [0n])], action: 'allow' }], when: isSupervised,
    reason: 'moves the memory of any process of the user; 0 is the caller' },
]

/** Where nothing of TCP is to be reached, Landlock is a second lock, and without it there are no sockets. */
function mayHaveTcp(supervised: Supervised | undefined): boolean {
  return supervised?.connects === true || (supervised?.abi ?? 0) >= FIRST_ABI_WITH_TCP
}

function isSupervised(supervised: Supervised | undefined): boolean {
  return supervised !== undefined
}

/**
 * Of the calls that are told, those that the launcher's own processes make under the listener filter: inits are cloned into
 * namespaces and mount their /proc. They mark theirs by an argument that the kernel does not look at (OWN_MARK), and the listener
 * filter lets marked ones through. No secret: the command filter, which every command has, refuses marked ones.
 */
export const OWN_CALLS: readonly SystemCallName[] = ['mount', 'clone']

export interface FilterOptions {
  readonly arch: Architecture
  readonly network: Network
  /** The launcher makes commands' sockets, as it cannot take them. */
  readonly makeSockets?: boolean
  /** Absent: on the rung of namespaces. */
  readonly supervised?: Supervised
  /** Absent: nothing. */
  readonly observe?: Observation
}

interface AppliedRow extends CommandFilterRow {
  /** The listener filter hands the call over. */
  readonly isTold: boolean
}

function commandRows({ arch, network, supervised, observe = 'off' }: FilterOptions): AppliedRow[] {
  return COMMAND_FILTER
    .filter(row => (row.network === undefined || row.network === network) && row.when?.(supervised) !== false)
    // Rows name the calls of both architectures; arm64 never had the older ones.
    .map(row => ({ ...row, calls: row.calls.filter(call => Object.hasOwn(SYSTEM_CALLS[arch], call)) }))
    .map(row => ({ ...row, isTold: observe !== 'off' && row.told === true }))
}

/**
 * The filter that each command gets right before its program is run. Pure.
 *
 * What is told is left to the listener filter of the same options, around this one: of an errno and a notification the kernel takes
 * the errno, and nobody would be told.
 *
 * @returns `struct sock_filter[]` for seccomp(SECCOMP_SET_MODE_FILTER)
 */
export function commandFilter(options: FilterOptions): Uint8Array {
  const rules = commandRows(options).flatMap(({ calls, action, cases = [], isTold }) => calls.map((call): SystemCallRule => {
    if (!isTold) return { call, action, cases }
    const left = cases.map(({ when, action, quiet }): ArgumentCase => ({ when, action: quiet === true ? action : 'allow' }))
    return { call, action: 'allow', cases: OWN_CALLS.includes(call) ? [...left, { when: [MARKED], action: EPERM }] : left }
  }))
  return assembleFilter(rules, options.arch, 'allow')
}

export interface ListenerOptions extends FilterOptions {
  /** Also bind: where the kernel cannot list a network namespace's unix sockets and own ones are told by recording them, and where sockets are made. */
  readonly bind: boolean
  /** The launcher makes and removes the folders of git's operations that take several steps (native/linux/git-operations.h). */
  readonly gitOperations?: boolean
  /** Commands share a PID namespace, as inside bwrap; those that are supervised do in any case. */
  readonly sharesProcesses?: boolean
}

/** Calls that the launcher carries out or judges on a command's behalf, and when. */
interface ListenerRow {
  readonly calls: readonly SystemCallName[]
  readonly action: Action
  readonly cases?: readonly ArgumentCase[]
  readonly when: (options: ListenerOptions) => boolean
  readonly reason: string
}

const NOTIFY: Action = 'user_notification'
const always = (): boolean => true
const sharesProcesses = (options: ListenerOptions): boolean => options.supervised !== undefined || options.sharesProcesses === true
const observesSupervised = ({ supervised, observe = 'off' }: ListenerOptions): boolean => supervised !== undefined && observe !== 'off'
const judgesSignals = ({ supervised }: ListenerOptions): boolean => supervised !== undefined && supervised.abi < FIRST_ABI_WITH_SCOPES
/** What is observed anyway comes to the launcher without a row. */
const keepsGitOperations = ({ gitOperations, observe = 'off' }: ListenerOptions): boolean => gitOperations === true && observe === 'off'
/** With these arguments a call is about the caller itself, or about what cannot be another's. */
const own = (...when: ArgumentCondition[]): ArgumentCase => ({ when, action: 'allow' })

const LISTENER_FILTER: readonly ListenerRow[] = [
  { calls: ['connect'], action: NOTIFY, when: always,
    reason: 'the address is behind a pointer, and may name a unix socket made outside' },
  { calls: ['bind'], action: NOTIFY, when: ({ bind }) => bind,
    reason: 'unix sockets made inside are told by the launcher having bound them, and it knows what became of a socket that it made' },
  { calls: ['listen'], action: NOTIFY, when: ({ network, makeSockets }) => network === 'none' || makeSockets === true,
    reason: 'a TCP socket that listens without bind(2) gets a port that anybody may reach, and Landlock knows only bind' },
  { calls: ['socket'], action: NOTIFY, when: ({ makeSockets }) => makeSockets === true,
    reason: 'the launcher keeps a copy until the socket is connected or listens; it also refuses what this filter would, so that it is told (native/linux/refuse.c)' },

  { calls: ['mkdir', 'mkdirat', 'rmdir', 'unlinkat'], action: NOTIFY, when: keepsGitOperations,
    reason: 'the folder of a git operation is a link inside, at which these stop' },
  { calls: ['open'], action: NOTIFY, cases: [{ when: [low(1, [0n], O_CREAT)], action: 'allow' }], when: keepsGitOperations,
    reason: 'what git writes there without an operation goes nowhere' },
  { calls: ['openat'], action: NOTIFY, cases: [{ when: [low(2, [0n], O_CREAT)], action: 'allow' }], when: keepsGitOperations,
    reason: 'the same' },

  { calls: ['prlimit64'], action: NOTIFY, cases: [own(low(0, [0n])), own({ argument: 2, width: 64, oneOf: [0n] })], when: sharesProcesses,
    reason: 'lowers the limits of any process of the user; 0 is the caller, and without new limits it only asks' },
  { calls: ['setpriority'], action: NOTIFY, cases: [own(low(0, [PRIO_PROCESS, PRIO_PGRP]), low(1, [0n]))], when: sharesProcesses,
    reason: 'slows any process of the user down; 0 is the caller, or its group' },
  { calls: ['ioprio_set'], action: NOTIFY, cases: [own(low(0, [IOPRIO_WHO_PROCESS, IOPRIO_WHO_PGRP]), low(1, [0n]))], when: sharesProcesses,
    reason: 'the same' },
  { calls: ['sched_setaffinity', 'sched_setscheduler', 'sched_setparam', 'sched_setattr'], action: NOTIFY, cases: [own(low(0, [0n]))], when: sharesProcesses,
    reason: 'the same' },

  { calls: ['ptrace'], action: 'allow', cases: [{ when: [low(0, [PTRACE_ATTACH, PTRACE_SEIZE])], action: NOTIFY }], when: observesSupervised,
    reason: 'refused by the domain of Landlock, which tells nobody' },
  { calls: ['kill', 'tkill', 'tgkill', 'rt_sigqueueinfo', 'rt_tgsigqueueinfo', 'pidfd_send_signal'], action: NOTIFY, when: judgesSignals,
    reason: 'reaches any process of the user, where Landlock has no scope for signals' },
  { calls: ['fcntl'], action: 'allow', cases: [{ when: [low(1, [F_SETOWN])], action: NOTIFY }, { when: [low(1, [F_SETOWN_EX])], action: EPERM }], when: judgesSignals,
    reason: 'the same, when something happens to a descriptor; of the second the process is behind a pointer' },
  { calls: ['ioctl'], action: 'allow', cases: [{ when: [low(1, [FIOSETOWN, SIOCSPGRP])], action: EPERM }], when: judgesSignals,
    reason: 'the same; the process is behind a pointer' },
]

/**
 * The filter that the forker installs once, with SECCOMP_FILTER_FLAG_NEW_LISTENER, and that all commands inherit. Pure.
 * Calls that are not in the table are refused here too, so that the forker must not depend on one.
 */
export function listenerFilter(options: ListenerOptions): Uint8Array {
  const { arch, supervised, observe = 'off' } = options
  const rules = new Map<SystemCallName, SystemCallRule>()
  // What is carried out or judged is not only looked at.
  const add = (calls: readonly SystemCallName[], action: Action, cases: readonly ArgumentCase[] = []): void => {
    for (const call of calls) if (Object.hasOwn(SYSTEM_CALLS[arch], call) && !rules.has(call)) rules.set(call, { call, action, cases })
  }
  for (const { calls, cases } of supervised === undefined ? [] : supervisedFileCalls(arch, supervised.reads)) add(calls, NOTIFY, cases)
  for (const { calls, action, cases, when } of LISTENER_FILTER) if (when(options)) add(calls, action, cases)
  // Told before anything else is done with the call: what is otherwise carried out or looked at, but for a few arguments.
  const refused = new Map<SystemCallName, ArgumentCase[]>()
  for (const { calls, action, cases = [], isTold } of commandRows(options)) {
    if (!isTold) continue
    if (action === 'allow') {
      for (const call of calls) refused.set(call, cases.map(({ when, action }) => ({ when, action: instead(action) })))
      continue
    }
    const handedOver = cases.map(({ when, action, quiet }): ArgumentCase => ({ when, action: quiet === true ? 'allow' : instead(action) }))
    for (const call of calls) add([call], instead(action), OWN_CALLS.includes(call) ? [{ when: [MARKED], action: 'allow' }, ...handedOver] : handedOver)
  }
  for (const { calls, cases } of observedRows(observe)) add(calls, NOTIFY, cases)
  add([...refused.keys()], 'allow')
  return assembleFilter([...rules.values()].map(rule => ({ ...rule, cases: [...refused.get(rule.call) ?? [], ...rule.cases ?? []] })), arch, 'allow')
}

/** What the command filter would refuse is the launcher's to refuse. */
const instead = (action: Action): Action => action === 'allow' ? 'allow' : NOTIFY
