import { describe, expect, test } from 'vitest'
import { COMMAND_FILTER, commandFilter, listenerFilter } from '../../../../../src/platform/linux/seccomp/filters.js'
import { interpretFilter } from '../../../../../src/platform/linux/seccomp/interpret.js'
import { type Architecture, SYSTEM_CALLS, type SystemCallName } from '../../../../../src/platform/linux/seccomp/system-calls.js'

const ARCHITECTURES: readonly Architecture[] = ['x64', 'arm64']
const NETWORKS = ['private', 'host'] as const
const AUDIT = { x64: 0xc000_003e, arm64: 0xc000_00b7, i386: 0x4000_0003, arm: 0x4000_0028, riscv64: 0xc000_00f3 }

/** Written down again, by hand: what each call gets with all arguments 0. What stands in none of the lists is allowed. */
const REFUSED = {
  EPERM: `
    mount umount2 pivot_root move_mount open_tree open_tree_attr fsopen fsconfig fsmount fspick mount_setattr chroot setns
    add_key request_key keyctl bpf perf_event_open userfaultfd io_uring_setup io_uring_enter io_uring_register fanotify_init
    open_by_handle_at lsm_set_self_attr kexec_load kexec_file_load init_module finit_module delete_module reboot swapon
    swapoff acct quotactl quotactl_fd vhangup syslog lookup_dcookie settimeofday clock_settime sethostname setdomainname
    iopl ioperm modify_ldt`,
  ENOSYS: `
    clone3 openat2 uselib _sysctl ustat sysfs nfsservctl create_module get_kernel_syms query_module getpmsg putpmsg afs_syscall
    tuxcall security vserver`,
  EAFNOSUPPORT: 'socket socketpair',
}
/** Calls whose arguments are read even where they are then allowed. */
const JUDGED_BY_ARGUMENTS = ['chmod', 'fchmod', 'fchmodat', 'fchmodat2', 'creat', 'mknod', 'mknodat', 'open', 'openat', 'unshare', 'clone', 'personality', 'ioctl', 'socket', 'socketpair']

const NUMBER = { EPERM: 1, EOPNOTSUPP: 95, EACCES: 13, ENOSYS: 38, EPROTONOSUPPORT: 93, ESOCKTNOSUPPORT: 94, EAFNOSUPPORT: 97 }
type Errno = keyof typeof NUMBER
const expectedByName = new Map(Object.entries(REFUSED).flatMap(([errno, names]) => names.trim().split(/\s+/).map(name => [name, errno as Errno] as const)))

/** The errno's name, or the action's. */
function judge(program: Uint8Array, arch: Architecture, call: SystemCallName | number, ...args: (number | bigint)[]): string {
  const number = typeof call === 'number' ? call : SYSTEM_CALLS[arch][call]
  if (number === undefined) throw new Error(`${arch} has no ${call}`)
  const { action, data } = interpretFilter(program, { number, arch: AUDIT[arch], args: args.map(BigInt) })
  return action === 'errno' ? Object.entries(NUMBER).find(([, value]) => value === data)?.[0] ?? `errno ${data}` : action
}

describe.each(ARCHITECTURES.flatMap(arch => NETWORKS.map(network => ({ arch, network }))))('the command filter of $arch, network $network', ({ arch, network }) => {
  const program = commandFilter({ arch, network })
  const names = new Map(Object.entries(SYSTEM_CALLS[arch]).map(([name, number]) => [number, name]))
  const last = Math.max(...names.keys())

  test('every number up to 100 above the table, each with all arguments 0', () => {
    for (let number = 0; number <= last + 100; number++) {
      const name = names.get(number)
      const expected = name === undefined ? 'ENOSYS' : expectedByName.get(name) ?? 'allow'
      expect(judge(program, arch, number), name ?? String(number)).toBe(expected)
    }
  })

  test('a call whose arguments do not matter is decided without reading them, in a logarithmic number of instructions', () => {
    const intervals = 2 * COMMAND_FILTER.filter(({ when }) => when?.(undefined) !== false).flatMap(({ calls }) => calls).length + 8
    for (let number = 0; number <= last + 100; number++) {
      const { readArguments, instructions } = interpretFilter(program, { number, arch: AUDIT[arch] })
      if (JUDGED_BY_ARGUMENTS.includes(names.get(number) ?? '')) continue
      expect(readArguments, names.get(number)).toBe(false)
      expect(instructions).toBeLessThanOrEqual(4 + 2 * Math.ceil(Math.log2(intervals)))
    }
  })

  test('numbers far away: x32 and others are not there, the one of a call that a tracer skips is let through', () => {
    for (let number = 0; number <= 600; number++) expect(judge(program, arch, 0x4000_0000 + number)).toBe('ENOSYS')
    for (const number of [0x7fff_ffff, 0x8000_0000, 0xffff_fffe, -2]) expect(judge(program, arch, number)).toBe('ENOSYS')
    expect(judge(program, arch, -1)).toBe('allow')
  })

  test('every other architecture ends the process, whatever the number', () => {
    for (const [name, audit] of Object.entries(AUDIT)) {
      for (let number = 0; number <= last; number++) {
        const { action } = interpretFilter(program, { number, arch: audit })
        if (name === arch) expect(action).not.toBe('kill_process')
        else expect(action).toBe('kill_process')
      }
    }
  })

  test.each([0n, 0xffff_ffff_0000_0000n, 0x1_0000_0000n])('ioctl: requests that reach the terminal or its discipline, high bits %i', high => {
    for (const request of [0x5412n, 0x541cn, 0x541dn, 0x5423n]) expect(judge(program, arch, 'ioctl', 0, high | request, 0)).toBe('EPERM')
    // TCGETS, TCSETS, TIOCSCTTY, TIOCGWINSZ, TIOCSWINSZ, FIONREAD, TIOCGPTPEER, FICLONE
    for (const request of [0x5401n, 0x5402n, 0x540en, 0x5413n, 0x5414n, 0x541bn, 0x5441n, 0x4004_9409n]) expect(judge(program, arch, 'ioctl', 0, high | request, 0)).toBe('allow')
  })

  test.each([
    { flag: 'NEWTIME', bit: 0x80, clone: 'allow' },   // to clone(2) a part of the exit signal
    { flag: 'NEWNS', bit: 0x2_0000, clone: 'EPERM' },
    { flag: 'NEWCGROUP', bit: 0x200_0000, clone: 'EPERM' },
    { flag: 'NEWUTS', bit: 0x400_0000, clone: 'EPERM' },
    { flag: 'NEWIPC', bit: 0x800_0000, clone: 'EPERM' },
    { flag: 'NEWUSER', bit: 0x1000_0000, clone: 'EPERM' },
    { flag: 'NEWPID', bit: 0x2000_0000, clone: 'EPERM' },
    { flag: 'NEWNET', bit: 0x4000_0000, clone: 'EPERM' },
  ])('no new namespace: $flag', ({ bit, clone }) => {
    for (const with_ of [0n, 0x11n, 0x500n, 0xdead_0000_0000n]) {
      expect(judge(program, arch, 'unshare', BigInt(bit) | with_)).toBe('EPERM')
      expect(judge(program, arch, 'clone', BigInt(bit) | with_)).toBe(clone)
    }
  })

  test.each([0n, 0xffff_ffff_0000_0000n])('no mode with the set-user-ID bit, every other one; high bits %i', high => {
    const calls = Object.keys(SYSTEM_CALLS[arch])
    for (const [call, at] of [['chmod', 1], ['fchmod', 1], ['creat', 1], ['mknod', 1], ['fchmodat', 2], ['fchmodat2', 2], ['mknodat', 2]] as const) {
      if (!calls.includes(call)) continue
      const withMode = (mode: number): string => judge(program, arch, call, ...Array.from({ length: at }, () => 0), high | BigInt(mode))
      for (const mode of [0o4000, 0o4755, 0o6711, 0o10_4711]) expect(withMode(mode), `${call} ${mode.toString(8)}`).toBe('EPERM')
      for (const mode of [0, 0o777, 0o3777, 0o10_2755]) expect(withMode(mode), `${call} ${mode.toString(8)}`).toBe('allow')
    }
    // O_CREAT, O_TMPFILE|O_DIRECTORY, and what has no mode, whatever stands in the register.
    for (const [flags, expected] of [[0o101, 'EPERM'], [0o2020_0002, 'EPERM'], [0o2000_0002, 'EPERM'], [0, 'allow'], [0o1, 'allow'], [0o1002, 'allow']] as const) {
      expect(judge(program, arch, 'openat', 0, 0, high | BigInt(flags), 0o4755)).toBe(expected)
      expect(judge(program, arch, 'openat', 0, 0, high | BigInt(flags), 0o3777)).toBe('allow')
      if (calls.includes('open')) expect(judge(program, arch, 'open', 0, high | BigInt(flags), 0o4755)).toBe(expected)
    }
    // The bit means nothing there, and the kernel drops it.
    expect(judge(program, arch, 'mkdirat', 0, 0, 0o4755)).toBe('allow')
  })

  test('processes, threads and plain unshare work', () => {
    expect(judge(program, arch, 'clone', 0x11)).toBe('allow')               // fork: SIGCHLD
    expect(judge(program, arch, 'clone', 0x0120_0011)).toBe('allow')        // glibc's fork
    expect(judge(program, arch, 'clone', 0x4111)).toBe('allow')             // posix_spawn: VM, VFORK
    expect(judge(program, arch, 'clone', 0x003d_0f00)).toBe('allow')        // pthread_create
    expect(judge(program, arch, 'clone', 0x8000_1011)).toBe('allow')        // IO, PIDFD
    for (const flags of [0, 0x200, 0x400, 0x4_0000, 0x4_0600, 0x1_0900]) expect(judge(program, arch, 'unshare', flags)).toBe('allow')
  })

  test('unshare refuses flags that it does not know, in either word', () => {
    for (const flags of [0x10_0000n, 0x8000_0000n, 0x1_0000_0000n, 0x1_0000_0400n]) expect(judge(program, arch, 'unshare', flags)).toBe('EPERM')
  })

  test('personality: plain Linux, with or without fixed addresses, and the question', () => {
    for (const persona of [0n, 0x8n, 0x2_0000n, 0x4_0000n, 0x4_0008n, 0xffff_ffffn, 0xffff_ffff_ffff_ffffn]) expect(judge(program, arch, 'personality', persona)).toBe('allow')
    // READ_IMPLIES_EXEC, MMAP_PAGE_ZERO, ADDR_COMPAT_LAYOUT, STICKY_TIMEOUTS, PER_SVR4, and all but all bits
    for (const persona of [0x40_0000n, 0x44_0000n, 0x10_0000n, 0x20_0000n, 0x400_0000n, 0x1n, 0xffff_fffen]) expect(judge(program, arch, 'personality', persona)).toBe('EPERM')
  })

  const ICMP = network === 'host' ? 'allow' : 'EACCES'
  test.each<[string, number, number, number, string]>([
    ['unix stream', 1, 1, 0, 'allow'],
    ['unix stream, protocol named', 1, 1, 1, 'allow'],
    ['unix seqpacket', 1, 5, 0, 'allow'],
    ['unix datagram', 1, 2, 0, 'EPROTONOSUPPORT'],
    ['unix raw', 1, 3, 0, 'EPROTONOSUPPORT'],
    ['unix type 0', 1, 0, 0, 'EPROTONOSUPPORT'],
    ...[2, 10].flatMap((family): [string, number, number, number, string][] => [
      [`family ${family} stream`, family, 1, 0, 'allow'],
      [`family ${family} TCP`, family, 1, 6, 'allow'],
      [`family ${family} MPTCP`, family, 1, 262, 'EPROTONOSUPPORT'],
      [`family ${family} SCTP`, family, 1, 132, 'EPROTONOSUPPORT'],
      [`family ${family} SMC by stream`, family, 1, 256, 'EPROTONOSUPPORT'],
      [`family ${family} datagram`, family, 2, 0, 'allow'],
      [`family ${family} UDP`, family, 2, 17, 'allow'],
      [`family ${family} UDP-Lite`, family, 2, 136, 'EPROTONOSUPPORT'],
      [`family ${family} stream with UDP`, family, 1, 17, 'EPROTONOSUPPORT'],
      [`family ${family} ping`, family, 2, 1, ICMP],
      [`family ${family} ping 6`, family, 2, 58, ICMP],
      [`family ${family} raw`, family, 3, 1, 'EPERM'],
      [`family ${family} raw, all`, family, 3, 255, 'EPERM'],
      [`family ${family} old packet`, family, 10, 3, 'EPERM'],
      [`family ${family} seqpacket SCTP`, family, 5, 132, 'ESOCKTNOSUPPORT'],
      [`family ${family} DCCP`, family, 6, 33, 'ESOCKTNOSUPPORT'],
    ]),
    ['netlink route', 16, 3, 0, 'allow'],
    ['netlink route, datagram', 16, 2, 0, 'allow'],
    ['netlink sock_diag', 16, 3, 4, 'EPROTONOSUPPORT'],
    ['netlink audit', 16, 3, 9, 'EPROTONOSUPPORT'],
    ['netlink netfilter', 16, 3, 12, 'EPROTONOSUPPORT'],
    ['netlink generic', 16, 3, 16, 'EPROTONOSUPPORT'],
    ['netlink kobject events', 16, 3, 15, 'EPROTONOSUPPORT'],
    ['packet', 17, 3, 0, 'EAFNOSUPPORT'],
    ['kernel crypto', 38, 5, 0, 'EAFNOSUPPORT'],
    ['vsock', 40, 1, 0, 'EAFNOSUPPORT'],
    ['xdp', 44, 3, 0, 'EAFNOSUPPORT'],
    ['bluetooth', 31, 3, 0, 'EAFNOSUPPORT'],
    ['can', 29, 3, 1, 'EAFNOSUPPORT'],
    ['tipc', 30, 1, 0, 'EAFNOSUPPORT'],
  ])('socket and socketpair: %s', (_, family, type, protocol, expected) => {
    for (const call of ['socket', 'socketpair'] as const) {
      // Without and with SOCK_NONBLOCK | SOCK_CLOEXEC, and with garbage in the high words that the kernel drops.
      for (const flags of [0n, 0x8_0800n]) {
        for (const high of [0n, 0x1_0000_0000n, 0xffff_ffff_0000_0000n]) {
          expect(judge(program, arch, call, high | BigInt(family), high | flags | BigInt(type), high | BigInt(protocol))).toBe(expected)
        }
      }
    }
  })

  test('in its network namespace a command may use its sockets', () => {
    for (const call of ['connect', 'bind', 'listen', 'accept', 'accept4', 'sendto', 'sendmsg', 'sendmmsg', 'recvmmsg', 'getsockname', 'getpeername', 'setsockopt', 'getsockopt', 'shutdown'] as const) {
      expect(judge(program, arch, call)).toBe('allow')
    }
  })
})

describe.each(ARCHITECTURES.flatMap(arch => [4, 3].map(abi => ({ arch, abi }))))('the command filter of $arch on the supervised rung, network off, Landlock ABI $abi', ({ arch, abi }) => {
  const program = commandFilter({ arch, network: 'none', supervised: { abi, reads: 'folders' } })
  const [STREAM, DGRAM, UNIX, INET, INET6, FASTOPEN] = [1, 2, 1, 2, 10, 0x2000_0000]

  test('refuses System V IPC and message queues, which no namespace keeps apart', () => {
    for (const call of ['shmget', 'shmat', 'semget', 'semop', 'msgget', 'msgrcv', 'mq_open', 'mq_unlink', 'mq_timedreceive'] as const) expect(judge(program, arch, call), call).toBe('EACCES')
    expect(judge(commandFilter({ arch, network: 'private' }), arch, 'shmget')).toBe('allow')
  })
  test('lets a process move its own memory only', () => {
    expect([0, 1, 1n << 32n].map(pid => judge(program, arch, 'move_pages', pid))).toEqual(['allow', 'EPERM', 'allow'])
  })
  test.each([
    { family: UNIX, type: STREAM, protocol: 0, verdict: 'allow' },
    { family: UNIX, type: DGRAM, protocol: 0, verdict: 'EPROTONOSUPPORT' },
    { family: INET, type: STREAM, protocol: 0, verdict: abi >= 4 ? 'allow' : 'EACCES' },
    { family: INET6, type: STREAM, protocol: 6, verdict: abi >= 4 ? 'allow' : 'EACCES' },
    { family: INET, type: STREAM, protocol: 262, verdict: 'EPROTONOSUPPORT' },
    { family: INET, type: DGRAM, protocol: 0, verdict: 'EACCES' },
    { family: INET6, type: DGRAM, protocol: 17, verdict: 'EACCES' },
    { family: INET, type: 3, protocol: 1, verdict: 'EPERM' },
    { family: 40, type: STREAM, protocol: 0, verdict: 'EAFNOSUPPORT' },
  ])('socket($family, $type, $protocol): $verdict', ({ family, type, protocol, verdict }) => {
    expect(judge(program, arch, 'socket', family, type, protocol)).toBe(verdict)
  })
  test('refuses connections that sendto and its like make', () => {
    expect([judge(program, arch, 'sendto', 3, 0, 0, FASTOPEN), judge(program, arch, 'sendmsg', 3, 0, FASTOPEN), judge(program, arch, 'sendmmsg', 3, 0, 0, FASTOPEN | 0x40)]).toEqual(['EOPNOTSUPP', 'EOPNOTSUPP', 'EOPNOTSUPP'])
    expect([judge(program, arch, 'sendto'), judge(program, arch, 'sendmsg', 3, 0, 0x40), judge(program, arch, 'sendmmsg')]).toEqual(['allow', 'allow', 'allow'])
  })
})

describe.each(ARCHITECTURES)('the command filter of %s on the supervised rung, with a port to be reached', arch => {
  const [SOL_IP, SOL_SOCKET, SOL_TCP, SOL_IPV6] = [0, 1, 6, 41]

  test('has TCP sockets whatever Landlock knows of them, and no others', () => {
    for (const abi of [3, 4]) {
      const program = commandFilter({ arch, network: 'none', supervised: { abi, reads: 'folders', connects: true } })
      expect([[2, 1, 0], [10, 1, 6], [2, 2, 0], [10, 2, 17], [2, 3, 0], [2, 1, 262]].map(([family = 0, type = 0, protocol = 0]) => judge(program, arch, 'socket', family, type, protocol)))
        .toEqual(['allow', 'allow', 'EACCES', 'EACCES', 'EPERM', 'EPROTONOSUPPORT'])
    }
  })
  test.each([
    { name: 'IP_OPTIONS (a source route)', level: SOL_IP, option: 4, verdict: 'EPERM' },
    { name: 'IPV6_RTHDR',                  level: SOL_IPV6, option: 57, verdict: 'EPERM' },
    { name: 'IPV6_2292RTHDR',              level: SOL_IPV6, option: 5, verdict: 'EPERM' },
    { name: 'IPV6_2292PKTOPTIONS',         level: SOL_IPV6, option: 6, verdict: 'EPERM' },
    { name: 'SO_BINDTODEVICE',             level: SOL_SOCKET, option: 25, verdict: 'EPERM' },
    { name: 'SO_BINDTOIFINDEX',            level: SOL_SOCKET, option: 62, verdict: 'EPERM' },
    { name: 'IP_TOS',                      level: SOL_IP, option: 1, verdict: 'allow' },
    { name: 'IPV6_V6ONLY',                 level: SOL_IPV6, option: 26, verdict: 'allow' },
    { name: 'SO_REUSEADDR',                level: SOL_SOCKET, option: 2, verdict: 'allow' },
    { name: 'TCP_NODELAY',                 level: SOL_TCP, option: 1, verdict: 'allow' },
    { name: 'TCP_MAXSEG',                  level: SOL_TCP, option: 4, verdict: 'allow' },
  ])('setsockopt $name: $verdict', ({ level, option, verdict }) => {
    const supervised = { abi: 7, reads: 'folders' } as const
    expect(judge(commandFilter({ arch, network: 'none', supervised: { ...supervised, connects: true } }), arch, 'setsockopt', 3, level, option)).toBe(verdict)
    expect(judge(commandFilter({ arch, network: 'host', supervised }), arch, 'setsockopt', 3, level, option)).toBe('allow')
  })
})

describe.each(ARCHITECTURES)('the listener filter of %s: calls about other processes, which another PID namespace hides', arch => {
  test.each<{ call: SystemCallName; args: readonly (number | bigint)[]; shared: string }>([
    { call: 'prlimit64', args: [0, 7, 1], shared: 'allow' },
    { call: 'prlimit64', args: [4242, 7, 0], shared: 'allow' },
    { call: 'prlimit64', args: [4242, 7, 1], shared: 'user_notification' },
    { call: 'setpriority', args: [0, 0], shared: 'allow' },
    { call: 'setpriority', args: [0, 1], shared: 'user_notification' },
    { call: 'setpriority', args: [2, 0], shared: 'user_notification' },
    { call: 'ioprio_set', args: [1, 1], shared: 'user_notification' },
    { call: 'sched_setaffinity', args: [0], shared: 'allow' },
    { call: 'sched_setaffinity', args: [1], shared: 'user_notification' },
    { call: 'sched_setscheduler', args: [1], shared: 'user_notification' },
    { call: 'kill', args: [1, 9], shared: 'allow' },
  ])('$call($args): $shared inside bwrap, where commands share one', ({ call, args, shared }) => {
    const options = { arch, network: 'private', bind: false } as const
    expect(judge(listenerFilter({ ...options, sharesProcesses: true }), arch, call, ...args)).toBe(shared)
    expect(judge(listenerFilter(options), arch, call, ...args)).toBe('allow')
  })
})

describe.each(ARCHITECTURES.flatMap(arch => [6, 5].map(abi => ({ arch, abi }))))('the listener filter of $arch on the supervised rung, Landlock ABI $abi', ({ arch, abi }) => {
  const program = listenerFilter({ arch, network: 'none', bind: true, makeSockets: true, supervised: { abi, reads: 'folders' } })
  const signals = abi < 6 ? 'user_notification' : 'allow'

  test.each<{ call: SystemCallName; args: readonly (number | bigint)[]; verdict: string }>([
    { call: 'listen', args: [3, 1], verdict: 'user_notification' },
    { call: 'socket', args: [1, 1, 0], verdict: 'user_notification' },
    { call: 'socket', args: [2, 1, 0], verdict: 'user_notification' },
    { call: 'socket', args: [16, 3, 0], verdict: 'user_notification' },
    { call: 'prlimit64', args: [0, 7, 1], verdict: 'allow' },
    { call: 'prlimit64', args: [1n << 32n, 7, 1], verdict: 'allow' },
    { call: 'prlimit64', args: [4242, 7, 0], verdict: 'allow' },
    { call: 'prlimit64', args: [4242, 7, 1n << 32n], verdict: 'user_notification' },
    { call: 'setpriority', args: [0, 0], verdict: 'allow' },
    { call: 'setpriority', args: [1, 0], verdict: 'allow' },
    { call: 'setpriority', args: [2, 0], verdict: 'user_notification' },
    { call: 'setpriority', args: [0, 1], verdict: 'user_notification' },
    { call: 'ioprio_set', args: [3, 0], verdict: 'user_notification' },
    { call: 'ioprio_set', args: [1, 0], verdict: 'allow' },
    { call: 'sched_setaffinity', args: [0], verdict: 'allow' },
    { call: 'sched_setattr', args: [1], verdict: 'user_notification' },
    { call: 'kill', args: [1, 9], verdict: signals },
    { call: 'tgkill', args: [1, 1, 9], verdict: signals },
    { call: 'pidfd_send_signal', args: [3, 9], verdict: signals },
    { call: 'rt_sigqueueinfo', args: [1, 9], verdict: signals },
    { call: 'fcntl', args: [3, 8, 1], verdict: signals },
    { call: 'fcntl', args: [3, 15, 1], verdict: abi < 6 ? 'EPERM' : 'allow' },
    { call: 'fcntl', args: [3, 2, 1], verdict: 'allow' },
    { call: 'ioctl', args: [3, 0x8901], verdict: abi < 6 ? 'EPERM' : 'allow' },
    { call: 'ioctl', args: [3, 0x5401], verdict: 'allow' },
  ])('$call($args): $verdict', ({ call, args, verdict }) => {
    expect(judge(program, arch, call, ...args)).toBe(verdict)
  })
})

describe.each(ARCHITECTURES.flatMap(arch => [true, false].map(bind => ({ arch, bind }))))('the listener filter of $arch, bind $bind', ({ arch, bind }) => {
  const program = listenerFilter({ arch, network: bind ? 'host' : 'private', bind })

  test('hands over connect, and bind where asked; no other call', () => {
    for (const [name, number] of Object.entries(SYSTEM_CALLS[arch])) {
      expect(judge(program, arch, number), name).toBe(name === 'connect' || (bind && name === 'bind') ? 'user_notification' : 'allow')
    }
  })

  test('neither x32 nor another architecture is a way around it', () => {
    expect(judge(program, arch, 0x4000_002a)).toBe('ENOSYS')
    expect(interpretFilter(program, { number: 362, arch: AUDIT.i386 }).action).toBe('kill_process')
    expect(interpretFilter(program, { number: 283, arch: AUDIT.arm }).action).toBe('kill_process')
  })
})

test('the table says why in every row', () => {
  expect(COMMAND_FILTER.filter(({ reason }) => reason.length < 10)).toEqual([])
})

test('what one architecture lacks is left out of its filter, not an error', () => {
  expect('iopl' in SYSTEM_CALLS.arm64).toBe(false)
  expect(judge(commandFilter({ arch: 'arm64', network: 'private' }), 'arm64', 'nfsservctl')).toBe('ENOSYS')
})
