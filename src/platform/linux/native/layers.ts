// The layers of enforcement: what each holds, what goes without it, and why a host may not have it.
import type { DegradationName } from '../../launch-plan.js'

/** What `launcher --probe` tried: 0 or more, or the errno as a negative number, as the kernel gives it. */
const TRIALS = [
  'landlock_abi', 'seccomp', 'user_notification', 'process_vm_readv', 'caller_files', 'pidfd_getfd', 'unix_diag', 'clone', 'uid_map',
  'mount_slave', 'mount_setattr', 'mount_tmpfs', 'netns', 'mount_proc',
] as const
/** What else it reads, to tell causes apart; -1 where the host does not have the setting. */
const READINGS = [
  'seccomp_mode', 'max_user_namespaces', 'max_mnt_namespaces', 'max_pid_namespaces', 'max_net_namespaces', 'max_ipc_namespaces', 'max_uts_namespaces', 'max_cgroup_namespaces',
  'apparmor_restrict', 'userns_clone', 'proc_mounted',
] as const
export const FACT_NAMES = [...TRIALS, ...READINGS] as const

export type HostFacts = Readonly<Record<(typeof FACT_NAMES)[number], number>>

/** The trial was left out, because one before it failed. */
export const NOT_TRIED = -1000

export const ERRNO = {
  EPERM: -1, ENOENT: -2, ESRCH: -3, EAGAIN: -11, ENOMEM: -12, EACCES: -13, EBUSY: -16, ENODEV: -19, EINVAL: -22, ENOSPC: -28, EROFS: -30, ENOSYS: -38,
  EUSERS: -87, EPROTONOSUPPORT: -93, EOPNOTSUPP: -95,
} as const
type Errno = keyof typeof ERRNO

/** Why a layer is refused: the first row that fits. */
interface Refusal {
  readonly errno: readonly Errno[]
  /** What else must be so; several causes have one errno. */
  readonly when?: (facts: HostFacts) => boolean
  readonly reason: string
  readonly remedy: string
}

export interface Layer {
  readonly layer: string
  /** What it holds, as the enforcement report puts it. */
  readonly holds: string
  /** On the rung of namespaces: the degradation that a caller must allow to go without it; `refuse` where there is none; `unused` where it is not one of that rung's. */
  readonly without: DegradationName | 'refuse' | 'unused'
  /** On the supervised rung, which goes without none that it needs. */
  readonly supervised: 'needed' | 'unused'
  /** What it holds there, where that is more. */
  readonly holdsSupervised?: string
  /** The trials that must have succeeded, in the order in which they were made, with what their errnos mean. */
  readonly needs: readonly { readonly trial: (typeof TRIALS)[number]; readonly refusals: readonly Refusal[] }[]
  /** The trial whose answer is the layer's version. */
  readonly version?: (typeof TRIALS)[number]
}

const insideFilter = ({ seccomp_mode }: HostFacts) => seccomp_mode === 2
const restrictedByAppArmor = ({ apparmor_restrict }: HostFacts) => apparmor_restrict === 1

const hasNoneOfAKind = ({ max_mnt_namespaces, max_pid_namespaces, max_ipc_namespaces, max_uts_namespaces, max_cgroup_namespaces }: HostFacts) =>
  [max_mnt_namespaces, max_pid_namespaces, max_ipc_namespaces, max_uts_namespaces, max_cgroup_namespaces].includes(0)

const CONTAINER_REMEDY = 'Run the container with a seccomp profile that permits namespaces and mounts (Docker: --security-opt seccomp=unconfined --security-opt systempaths=unconfined; docs/hosts.md has the others), or start from outside it.'
const NESTED_REMEDY = 'Start from outside that sandbox; or go with what it refuses, which is then tried and not proven: allowDegraded ["outer-sandbox"].'
const OLDER_KERNEL = (since: string) => `Boot Linux ${since} or newer.`

const APPARMOR: Omit<Refusal, 'errno'> = {
  when: restrictedByAppArmor,
  reason: 'AppArmor lets unprivileged users make a user namespace, but do nothing in it (kernel.apparmor_restrict_unprivileged_userns is 1)',
  remedy: 'As root: codex-sandbox setup linux, which installs the launcher with an AppArmor profile of its own (docs/hosts.md).',
}

/** Whether a sandbox with a listener of its own, such as one of this package's, is around this process. */
export const isNested = (layers: readonly { readonly layer: string; readonly errno?: string }[]): boolean =>
  layers.some(({ layer, errno }) => layer === 'user-notification' && errno === 'EBUSY')

/** Why not even the namespaces could be made; they are made by one call. */
const CLONE_REFUSALS: readonly Refusal[] = [
  { errno: ['ENOSPC'], when: ({ max_user_namespaces }) => max_user_namespaces === 0, reason: 'user namespaces are switched off (user.max_user_namespaces is 0)', remedy: 'As root: sysctl -w user.max_user_namespaces=15000.' },
  { errno: ['ENOSPC'], when: hasNoneOfAKind, reason: 'a kind of namespace is switched off (one of user.max_mnt_namespaces, max_pid_namespaces, max_ipc_namespaces, max_uts_namespaces and max_cgroup_namespaces is 0)', remedy: 'As root: set that one to 15000 with sysctl -w.' },
  { errno: ['ENOSPC', 'EUSERS'], reason: 'user namespaces are nested too deep (32 is the most), or as many are in use as user.max_user_namespaces allows', remedy: 'Start from outside the other sandboxes, or raise user.max_user_namespaces.' },
  { errno: ['EPERM'], when: facts => facts.userns_clone === 0 && !insideFilter(facts), reason: 'unprivileged users may not make user namespaces (kernel.unprivileged_userns_clone is 0)', remedy: 'As root: sysctl -w kernel.unprivileged_userns_clone=1.' },
  { errno: ['EPERM', 'ENOSYS'], when: facts => insideFilter(facts) && facts.user_notification === ERRNO.EBUSY, reason: 'another sandbox around this process refuses namespaces', remedy: NESTED_REMEDY },
  { errno: ['EPERM', 'ENOSYS'], when: insideFilter, reason: 'a seccomp filter around this process refuses namespaces, as Docker\'s default profile and other sandboxes do', remedy: CONTAINER_REMEDY },
  { errno: ['EPERM', 'EACCES'], ...APPARMOR },
  { errno: ['EPERM'], reason: 'this process runs in a chroot, or under an id that is not mapped: the kernel makes no user namespace there', remedy: 'Start from outside the chroot.' },
  { errno: ['EACCES'], reason: 'a security module of this host refuses user namespaces', remedy: 'Permit user namespaces for the launcher in that module\'s policy.' },
  { errno: ['EINVAL', 'ENOSYS'], reason: 'this kernel was built without one of the namespaces', remedy: 'Boot a kernel with CONFIG_USER_NS, CONFIG_PID_NS, CONFIG_NET_NS, CONFIG_IPC_NS and CONFIG_UTS_NS.' },
]

const MAP_REFUSALS: readonly Refusal[] = [
  { errno: ['ENOENT'], when: ({ proc_mounted }) => proc_mounted === 0, reason: '/proc is not mounted, so that a user namespace gets no map of ids', remedy: 'Mount /proc before.' },
  { errno: ['EACCES', 'EPERM'], ...APPARMOR },
  { errno: ['EACCES', 'EPERM', 'EROFS'], reason: 'another sandbox around this process (a Landlock domain, or a read-only /proc) refuses to write the map of ids', remedy: NESTED_REMEDY },
]

const MOUNT_REFUSALS: readonly Refusal[] = [
  { errno: ['EACCES', 'EPERM'], ...APPARMOR },
  { errno: ['EPERM', 'EACCES', 'ENOSYS'], when: insideFilter, reason: 'a seccomp filter around this process refuses mounts', remedy: CONTAINER_REMEDY },
  { errno: ['EPERM'], reason: 'another sandbox around this process (a Landlock domain) refuses every mount', remedy: NESTED_REMEDY },
  { errno: ['EACCES'], reason: 'a security module of this host refuses mounts in a user namespace', remedy: 'Permit the launcher to mount in that module\'s policy.' },
  { errno: ['ENOSYS'], reason: 'this kernel has no mount_setattr(2)', remedy: OLDER_KERNEL('5.12') },
]

const NETWORK_REFUSALS: readonly Refusal[] = [
  { errno: ['ENOSPC'], when: ({ max_net_namespaces }) => max_net_namespaces === 0, reason: 'network namespaces are switched off (user.max_net_namespaces is 0)', remedy: 'As root: sysctl -w user.max_net_namespaces=15000.' },
  { errno: ['ENOSPC'], reason: 'as many network namespaces are in use as user.max_net_namespaces allows', remedy: 'As root: raise user.max_net_namespaces.' },
  { errno: ['EINVAL'], reason: 'this kernel was built without network namespaces', remedy: 'Boot a kernel with CONFIG_NET_NS.' },
  { errno: ['EACCES', 'EPERM'], ...APPARMOR },
  { errno: ['EPERM', 'EACCES'], reason: 'another sandbox or a security module refuses to bring up a loopback', remedy: NESTED_REMEDY },
]

const PROC_REFUSALS: readonly Refusal[] = [
  { errno: ['EPERM', 'ENOENT'], when: ({ proc_mounted }) => proc_mounted === 0, reason: '/proc is not mounted here, and the kernel lets nobody mount a fuller one', remedy: 'Mount /proc before.' },
  { errno: ['EPERM'], when: ({ mount_tmpfs }) => mount_tmpfs === 0, reason: 'something is mounted over a part of /proc, as Docker does to hide it, and the kernel lets nobody mount a fuller one', remedy: 'Docker: --security-opt systempaths=unconfined. Podman: --security-opt unmask=ALL.' },
  ...MOUNT_REFUSALS,
]

const LANDLOCK_REFUSALS: readonly Refusal[] = [
  { errno: ['EOPNOTSUPP'], reason: 'Landlock is built into this kernel, but was not enabled at boot', remedy: 'Add landlock to the kernel\'s lsm= list and boot again.' },
  { errno: ['ENOSYS', 'EPERM'], when: insideFilter, reason: 'this kernel has no Landlock, or a seccomp filter around this process (a container\'s) refuses it', remedy: 'Boot Linux 5.13 or newer with CONFIG_SECURITY_LANDLOCK; in a container, use a runtime whose seccomp profile knows Landlock.' },
  { errno: ['ENOSYS'], reason: 'this kernel has no Landlock', remedy: 'Boot Linux 5.13 or newer with CONFIG_SECURITY_LANDLOCK.' },
]

const NESTED_FILTER: Refusal = { errno: ['EPERM', 'EACCES'], reason: 'another sandbox around this process refuses further seccomp filters', remedy: NESTED_REMEDY }

const SECCOMP_REFUSALS: readonly Refusal[] = [
  NESTED_FILTER,
  { errno: ['EINVAL', 'ENOSYS'], reason: 'this kernel has no seccomp filters', remedy: 'Boot a kernel with CONFIG_SECCOMP_FILTER.' },
]

const NOTIFICATION_REFUSALS: readonly Refusal[] = [
  { errno: ['EBUSY'], reason: 'another sandbox around this process has the one listener that the kernel permits', remedy: NESTED_REMEDY },
  NESTED_FILTER,
  { errno: ['EINVAL', 'ENOSYS'], reason: 'this kernel cannot hand system calls over without repeating them after signals', remedy: OLDER_KERNEL('5.19') },
]

const MEMORY_REFUSALS: readonly Refusal[] = [
  { errno: ['EPERM', 'ENOSYS'], when: insideFilter, reason: 'a seccomp filter around this process refuses process_vm_readv(2), as Docker\'s default profile does on old kernels', remedy: 'Run the container with --cap-add SYS_PTRACE, or boot Linux 4.8 or newer.' },
  { errno: ['EPERM'], reason: 'a security module (Yama, kernel.yama.ptrace_scope 2 or 3) lets no process look into its own children', remedy: 'As root: sysctl -w kernel.yama.ptrace_scope=1.' },
  { errno: ['ENOSYS'], reason: 'this kernel was built without process_vm_readv(2)', remedy: 'Boot a kernel with CONFIG_CROSS_MEMORY_ATTACH.' },
]

const CALLER_FILES_REFUSALS: readonly Refusal[] = [
  { errno: ['ENOENT'], reason: '/proc is not mounted, so that nobody knows from which folder a command names a file', remedy: 'Mount /proc before.' },
  { errno: ['ESRCH'], reason: 'the /proc that is mounted here is another PID namespace\'s', remedy: 'Mount this one\'s own /proc before (unshare --mount-proc).' },
]

const DESCRIPTOR_REFUSALS: readonly Refusal[] = [
  { errno: ['EPERM', 'ENOSYS'], when: insideFilter, reason: 'a seccomp filter around this process refuses pidfd_getfd(2), as Docker\'s default profile does', remedy: 'Nothing is lost but speed. Docker: --cap-add SYS_PTRACE.' },
  { errno: ['EPERM'], reason: 'a security module refuses pidfd_getfd(2)', remedy: 'Nothing is lost but speed.' },
  { errno: ['ENOSYS'], reason: 'this kernel has no pidfd_getfd(2)', remedy: OLDER_KERNEL('5.6') },
]

const SOCKET_REFUSALS: readonly Refusal[] = [
  { errno: ['EPERM', 'EACCES', 'ENOSYS', 'EPROTONOSUPPORT'], when: facts => insideFilter(facts) && facts.user_notification === ERRNO.EBUSY, reason: 'another sandbox around this process refuses to ask the kernel for unix sockets', remedy: NESTED_REMEDY },
  { errno: ['EPERM', 'EACCES', 'ENOSYS', 'EPROTONOSUPPORT'], when: insideFilter, reason: 'a seccomp filter around this process refuses to ask the kernel for unix sockets', remedy: 'In a container, use a runtime whose seccomp profile permits netlink sockets.' },
  { errno: ['ENOENT', 'EPROTONOSUPPORT'], reason: 'this kernel does not tell of unix sockets: its module unix_diag is neither built in nor loaded', remedy: 'As root: modprobe unix_diag, or boot a kernel with CONFIG_UNIX_DIAG.' },
]

const CLONE = { trial: 'clone', refusals: CLONE_REFUSALS } as const
const MOUNT_SLAVE = { trial: 'mount_slave', refusals: MOUNT_REFUSALS } as const

/**
 * The layers in the order in which they are set up: one table for the probe, the compiler and the reports.
 * Source of the errnos: each host was met or simulated; the tests have one row a host.
 */
export const LAYERS = [
  {
    layer: 'user-namespace', holds: 'commands have no privilege over the host, not even as root', without: 'refuse', supervised: 'unused',
    needs: [CLONE, { trial: 'uid_map', refusals: MAP_REFUSALS }],
  },
  {
    layer: 'mount-namespace', holds: 'what may be written, and which paths are protected or denied', without: 'refuse', supervised: 'unused',
    needs: [CLONE, MOUNT_SLAVE, { trial: 'mount_setattr', refusals: MOUNT_REFUSALS }, { trial: 'mount_tmpfs', refusals: MOUNT_REFUSALS }],
  },
  {
    layer: 'pid-namespace', holds: 'commands see only their own processes, and all of these end with them', without: 'refuse', supervised: 'unused',
    needs: [CLONE],
  },
  {
    layer: 'network-namespace', holds: 'the network is off, but for a loopback of the sandbox\'s own', without: 'refuse', supervised: 'unused',
    needs: [CLONE, { trial: 'netns', refusals: NETWORK_REFUSALS }],
  },
  {
    layer: 'proc-mount', holds: 'each command has a /proc of its own', without: 'no-own-proc', supervised: 'unused',
    needs: [CLONE, MOUNT_SLAVE, { trial: 'mount_proc', refusals: PROC_REFUSALS }],
  },
  {
    layer: 'landlock', holds: 'a second lock on what may be read and written, and no signals to processes outside', without: 'no-landlock', supervised: 'needed',
    holdsSupervised: 'what may be read and written',
    needs: [{ trial: 'landlock_abi', refusals: LANDLOCK_REFUSALS }], version: 'landlock_abi',
  },
  {
    layer: 'seccomp', holds: 'system calls that a command has no use for are refused', without: 'refuse', supervised: 'needed',
    needs: [{ trial: 'seccomp', refusals: SECCOMP_REFUSALS }],
  },
  {
    layer: 'user-notification', holds: 'unix sockets made outside cannot be connected to', without: 'no-unix-socket-control', supervised: 'needed',
    holdsSupervised: 'what is protected or denied inside a writable root: the launcher carries calls out for commands; unix sockets made outside cannot be connected to',
    needs: [{ trial: 'user_notification', refusals: NOTIFICATION_REFUSALS }],
  },
  {
    // With the listener: without a look at the address it could only refuse every connect, own servers' and an open network's as well.
    layer: 'caller-memory', holds: 'the launcher reads what a command\'s system call is about', without: 'no-unix-socket-control', supervised: 'needed',
    needs: [{ trial: 'process_vm_readv', refusals: MEMORY_REFUSALS }, { trial: 'caller_files', refusals: CALLER_FILES_REFUSALS }],
  },
  {
    layer: 'descriptor-copy', holds: 'the launcher gets at a command\'s sockets; without it, it makes them itself', without: 'unused', supervised: 'unused',
    needs: [{ trial: 'pidfd_getfd', refusals: DESCRIPTOR_REFUSALS }],
  },
  {
    layer: 'socket-owners', holds: 'unix sockets that were made inside can be connected to; without it, they count as made outside', without: 'unused', supervised: 'unused',
    needs: [{ trial: 'unix_diag', refusals: SOCKET_REFUSALS }],
  },
] as const satisfies readonly Layer[]

export type LayerName = (typeof LAYERS)[number]['layer']
