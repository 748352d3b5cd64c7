// Docker's default seccomp profile for a container without extra capabilities, as a filter of our own assembler.
// Source: moby/profiles, seccomp/default.json, its rows for amd64 and arm64 with the capabilities that Docker gives by default.
// Differences: i386 and x32 programs end, where Docker runs them under the same rules; a call that the table of the assembler does
// not know is ENOSYS, as from the one that the profile does not know.
import { assembleFilter } from '../../src/platform/linux/seccomp/assemble.js'
import type { ArgumentCase, SystemCallRule } from '../../src/platform/linux/seccomp/filter-rules.js'
import { type Architecture, SYSTEM_CALLS, type SystemCallName } from '../../src/platform/linux/seccomp/system-calls.js'

/** The calls of the profile's first row; those that only 32-bit architectures have are left out. */
const ALLOWED = `
  accept accept4 access adjtimex alarm bind brk cachestat capget capset chdir chmod chown clock_adjtime clock_getres clock_gettime
  clock_nanosleep close close_range connect copy_file_range creat dup dup2 dup3 epoll_create epoll_create1 epoll_ctl epoll_ctl_old
  epoll_pwait epoll_pwait2 epoll_wait epoll_wait_old eventfd eventfd2 execve execveat exit exit_group faccessat faccessat2 fadvise64
  fallocate fanotify_mark fchdir fchmod fchmodat fchmodat2 fchown fchownat fcntl fdatasync fgetxattr flistxattr flock fork
  fremovexattr fsetxattr fstat fstatfs fsync ftruncate futex futex_requeue futex_wait futex_waitv futex_wake futimesat getcpu getcwd
  getdents getdents64 getegid geteuid getgid getgroups getitimer getpeername getpgid getpgrp getpid getppid getpriority getrandom
  getresgid getresuid getrlimit get_robust_list getrusage getsid getsockname getsockopt get_thread_area gettid gettimeofday getuid
  getxattr getxattrat inotify_add_watch inotify_init inotify_init1 inotify_rm_watch io_cancel ioctl io_destroy io_getevents
  io_pgetevents ioprio_get ioprio_set io_setup io_submit kill landlock_add_rule landlock_create_ruleset landlock_restrict_self lchown
  lgetxattr link linkat listen listmount listxattr listxattrat llistxattr lremovexattr lseek lsetxattr lstat madvise map_shadow_stack
  membarrier memfd_create memfd_secret mincore mkdir mkdirat mknod mknodat mlock mlock2 mlockall mmap mprotect mq_getsetattr mq_notify
  mq_open mq_timedreceive mq_timedsend mq_unlink mremap mseal msgctl msgget msgrcv msgsnd msync munlock munlockall munmap
  name_to_handle_at nanosleep newfstatat open openat openat2 pause pidfd_open pidfd_send_signal pipe pipe2 pkey_alloc pkey_free
  pkey_mprotect poll ppoll prctl pread64 preadv preadv2 prlimit64 process_mrelease pselect6 pwrite64 pwritev pwritev2 read readahead
  readlink readlinkat readv recvfrom recvmmsg recvmsg remap_file_pages removexattr removexattrat rename renameat renameat2
  restart_syscall rmdir rseq rt_sigaction rt_sigpending rt_sigprocmask rt_sigqueueinfo rt_sigreturn rt_sigsuspend rt_sigtimedwait
  rt_tgsigqueueinfo sched_getaffinity sched_getattr sched_getparam sched_get_priority_max sched_get_priority_min sched_getscheduler
  sched_rr_get_interval sched_setaffinity sched_setattr sched_setparam sched_setscheduler sched_yield seccomp select semctl semget
  semop semtimedop sendfile sendmmsg sendmsg sendto setfsgid setfsuid setgid setgroups setitimer setpgid setpriority setregid
  setresgid setresuid setreuid setrlimit set_robust_list setsid setsockopt set_thread_area set_tid_address setuid setxattr setxattrat
  shmat shmctl shmdt shmget shutdown sigaltstack signalfd signalfd4 socketpair splice stat statfs statmount statx symlink symlinkat
  sync sync_file_range syncfs sysinfo tee tgkill time timer_create timer_delete timer_getoverrun timer_gettime timer_settime
  timerfd_create timerfd_gettime timerfd_settime times tkill truncate umask uname unlink unlinkat uretprobe utime utimensat utimes
  vfork vmsplice wait4 waitid write writev
  process_vm_readv process_vm_writev ptrace
  arch_prctl modify_ldt
  chroot
`.trim().split(/\s+/) as SystemCallName[]

/** CLONE_NEWNS, NEWCGROUP, NEWUTS, NEWIPC, NEWUSER, NEWPID, NEWNET. */
const NAMESPACES = 0x7e02_0000n
/** Families below 12, and those above that the profile names: not AF_VSOCK, AF_ALG and a few that are no longer. */
const FAMILIES = [...Array(12).keys(), 13, 14, 15, 16, 17, 18, 21, 22, 24, 26, 27, 28, 29, 30, 31, 32, 33, 35, 36, 39, 41, 42, 43, 44, 45].map(BigInt)
const PERSONALITIES = [0n, 0x8n, 0x2_0000n, 0x2_0008n, 0xffff_ffffn]

const only = (argument: 0, oneOf: readonly bigint[], mask?: bigint): ArgumentCase =>
  ({ when: [{ argument, width: 32, oneOf, ...(mask === undefined ? {} : { mask }) }], action: 'allow' })

const CONDITIONAL: readonly SystemCallRule[] = [
  { call: 'socket', action: { errno: 'EPERM' }, cases: [only(0, FAMILIES)] },
  { call: 'personality', action: { errno: 'EPERM' }, cases: [only(0, PERSONALITIES)] },
  { call: 'clone', action: { errno: 'EPERM' }, cases: [only(0, [0n], NAMESPACES)] },
  { call: 'clone3', action: { errno: 'ENOSYS' } },
]

/** Calls that the profile names and the assembler's table does not have: the profile is newer, or a name is misspelt here. */
export const unknownCalls = (): string[] => ALLOWED.filter(call => !Object.hasOwn(SYSTEM_CALLS.x64, call) && !Object.hasOwn(SYSTEM_CALLS.arm64, call))

/** `struct sock_filter[]`. */
export function dockerProfile(arch: Architecture): Uint8Array {
  const rules = [...ALLOWED.map((call): SystemCallRule => ({ call, action: 'allow' })), ...CONDITIONAL]
  return assembleFilter(rules.filter(({ call }) => Object.hasOwn(SYSTEM_CALLS[arch], call)), arch, { errno: 'EPERM' })
}
