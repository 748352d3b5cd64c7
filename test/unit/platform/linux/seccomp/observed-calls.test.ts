import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { Observation } from '../../../../../src/platform/launch-plan.js'
import { OWN_MARK } from '../../../../../src/platform/linux/seccomp/filter-rules.js'
import { COMMAND_FILTER, commandFilter, listenerFilter, OWN_CALLS } from '../../../../../src/platform/linux/seccomp/filters.js'
import { OBSERVED_CALLS } from '../../../../../src/platform/linux/seccomp/observed-calls.js'
import { interpretFilter } from '../../../../../src/platform/linux/seccomp/interpret.js'
import { type Architecture, SYSTEM_CALLS, type SystemCallName } from '../../../../../src/platform/linux/seccomp/system-calls.js'

const ARCHITECTURES: readonly Architecture[] = ['x64', 'arm64']
const NETWORKS = ['private', 'host'] as const
const AUDIT = { x64: 0xc000_003e, arm64: 0xc000_00b7, i386: 0x4000_0003, arm: 0x4000_0028 }

function judge(program: Uint8Array, arch: Architecture, call: SystemCallName | number, ...args: (number | bigint)[]): string {
  const number = typeof call === 'number' ? call : SYSTEM_CALLS[arch][call]
  if (number === undefined) throw new Error(`${arch} has no ${call}`)
  const { action, data } = interpretFilter(program, { number, arch: AUDIT[arch], args: args.map(BigInt) })
  return action === 'errno' ? `errno ${data}` : action
}

/** Written down again, by hand: what is handed over with all arguments 0. */
const HANDED_OVER: Record<Observation, string> = {
  off: 'connect',
  writes: `connect bind
    creat mkdir mkdirat mknod mknodat symlink symlinkat link linkat unlink unlinkat rmdir rename renameat renameat2 truncate
    chmod fchmodat fchmodat2 chown lchown fchown fchownat setuid setreuid setresuid setgid setregid setresgid setgroups utime utimes setxattr lsetxattr setxattrat removexattr lremovexattr removexattrat
    mount umount2 pivot_root move_mount open_tree open_tree_attr fsopen fsconfig fsmount fspick mount_setattr chroot setns
    add_key request_key keyctl bpf perf_event_open userfaultfd io_uring_setup io_uring_enter io_uring_register fanotify_init
    open_by_handle_at kexec_load kexec_file_load init_module finit_module delete_module reboot swapon swapoff acct quotactl
    quotactl_fd vhangup syslog lookup_dcookie settimeofday clock_settime sethostname setdomainname socket socketpair`,
  reads: 'open openat execve execveat',
}
const namesIn = (text: string): string[] => text.trim().split(/\s+/)

describe.each(ARCHITECTURES.flatMap(arch => NETWORKS.flatMap(network => (['off', 'writes', 'reads'] as const).map(observe => ({ arch, network, observe })))))('the listener filter of $arch, network $network, observe $observe', ({ arch, network, observe }) => {
  const program = listenerFilter({ arch, network, bind: network === 'host', observe })

  test('hands over exactly what it should, each call with all arguments 0', () => {
    const expected = new Set([
      ...namesIn(HANDED_OVER.off),
      ...(observe === 'off' ? [] : namesIn(HANDED_OVER.writes)),
      ...(observe === 'reads' ? namesIn(HANDED_OVER.reads) : []),
      ...(network === 'host' ? ['bind'] : []),
    ])
    for (const [name, number] of Object.entries(SYSTEM_CALLS[arch])) expect(judge(program, arch, number), name).toBe(expected.has(name) ? 'user_notification' : 'allow')
  })

  test('neither x32 nor another architecture is a way around it', () => {
    expect(judge(program, arch, 0x4000_002a)).toBe('errno 38')
    expect(interpretFilter(program, { number: 362, arch: AUDIT.i386 }).action).toBe('kill_process')
    expect(interpretFilter(program, { number: 283, arch: AUDIT.arm }).action).toBe('kill_process')
  })

  const write = observe === 'off' ? 'allow' : 'user_notification'
  const read = observe === 'reads' ? 'user_notification' : 'allow'
  test.each([
    { what: 'O_RDONLY', flags: 0, expected: read },
    { what: 'O_RDONLY|O_CLOEXEC|O_DIRECTORY|O_NOFOLLOW|O_NONBLOCK', flags: 0x8_0000 | 0x1_0000 | 0x2_0000 | 0x800, expected: read },
    { what: 'O_WRONLY', flags: 1, expected: write },
    { what: 'O_RDWR', flags: 2, expected: write },
    { what: 'O_CREAT', flags: 0x40, expected: write },
    { what: 'O_TRUNC', flags: 0x200, expected: write },
    { what: 'O_TMPFILE', flags: 0x41_0000, expected: write },
    { what: 'O_PATH', flags: 0x20_0000, expected: 'allow' },
  ])('opens: $what', ({ flags, expected }) => {
    // The kernel cuts the flags to 32 bits.
    for (const high of [0n, 0xffff_ffff_0000_0000n]) {
      expect(judge(program, arch, 'openat', 0, 0, high | BigInt(flags))).toBe(expected)
      if (arch === 'x64') expect(judge(program, arch, 'open', 0, high | BigInt(flags))).toBe(expected)
    }
  })

  test('times of a descriptor are not looked at, times of a path are', () => {
    expect(judge(program, arch, 'utimensat', 5, 0)).toBe('allow')
    for (const path of [1n, 0x1_0000_0000n]) expect(judge(program, arch, 'utimensat', 5, path)).toBe(write)
  })

  test('a listener of the command\'s own is answered, other filters are its own affair', () => {
    for (const flags of [8n, 9n, 0x28n]) expect(judge(program, arch, 'seccomp', 1, flags)).toBe(write)
    for (const flags of [0n, 1n, 0x10n]) expect(judge(program, arch, 'seccomp', 1, flags)).toBe('allow')
  })
})

/** Arguments that matter to some row, and others. */
const argument = fc.oneof(
  fc.constantFrom(0n, 1n, 2n, 3n, 5n, 10n, 16n, 17n, 58n, 262n, OWN_MARK, 0x11n, 0x2_0000n, 0x1000_0000n, 0x1000_0011n, 0x7c02_0000n, 0xffff_ffffn, 0x5412n, 0o4755n, 0o100n, 0o101n, 0o2020_0002n),
  fc.bigInt({ min: 0n, max: (1n << 64n) - 1n }),
)

describe.each(ARCHITECTURES.flatMap(arch => NETWORKS.map(network => ({ arch, network }))))('told refusals of $arch, network $network', ({ arch, network }) => {
  const quiet = commandFilter({ arch, network })
  const told = commandFilter({ arch, network, observe: 'writes' })
  const lookedAt = new Set<SystemCallName>(OBSERVED_CALLS.flatMap(({ calls }) => calls))
  const ruled = [...new Set(COMMAND_FILTER.flatMap(({ calls }) => calls))].filter(call => Object.hasOwn(SYSTEM_CALLS[arch], call))

  test.each(['writes', 'reads'] as const)('what the command filter alone refuses, both together refuse: by an errno, or by handing it over (observe %s)', observe => {
    const listener = listenerFilter({ arch, network, bind: network === 'host', observe })
    fc.assert(fc.property(fc.constantFrom(...ruled), fc.array(argument, { minLength: 6, maxLength: 6 }), (call, args) => {
      const alone = judge(quiet, arch, call, ...args)
      const together = [judge(told, arch, call, ...args), judge(listener, arch, call, ...args)]
      if (alone === 'allow') return (!together.includes('user_notification') || lookedAt.has(call)) && together[0] === 'allow'
      // The kernel takes an errno before it takes a notification.
      return together[0] === alone || together.includes('user_notification') || (together[0] === 'errno 1' && alone !== 'allow')
    }), { numRuns: 20_000 })
  })

  test('the launcher\'s own mark opens its calls before the command filter is there, and closes them after', () => {
    const listener = listenerFilter({ arch, network, bind: network === 'host', observe: 'writes' })
    for (const call of OWN_CALLS) {
      const args = [0x2002_0011n, 0n, 0n, 0n, 0n, OWN_MARK]
      expect(judge(listener, arch, call, ...args)).toBe('allow')
      expect(judge(told, arch, call, ...args)).toBe('errno 1')
      expect(judge(listener, arch, call, ...args.slice(0, 5), OWN_MARK ^ 1n)).toBe('user_notification')
      expect(judge(told, arch, call, ...args.slice(0, 5), OWN_MARK ^ 1n)).toBe('allow')
    }
    // A process of its own, as init makes one for the program.
    expect(judge(told, arch, 'clone', 0x4111n, 0n, 0n, 0n, 0n, OWN_MARK)).toBe('allow')
  })
})

test.each(ARCHITECTURES)('%s: for git operations without an observer, what makes and removes their folders comes to the launcher, and files that are made', arch => {
  const program = listenerFilter({ arch, network: 'private', bind: false, gitOperations: true, observe: 'off' })
  const handedOver = Object.entries(SYSTEM_CALLS[arch]).filter(([, number]) => judge(program, arch, number) === 'user_notification').map(([name]) => name)
  expect(handedOver.sort()).toEqual(['connect', 'mkdir', 'mkdirat', 'rmdir', 'unlinkat'].filter(name => Object.hasOwn(SYSTEM_CALLS[arch], name)).sort())
  const O_CREAT = 0x40
  if (arch === 'x64') expect([0, 1, O_CREAT, O_CREAT | 1].map(flags => judge(program, arch, 'open', 0, flags))).toEqual(['allow', 'allow', 'user_notification', 'user_notification'])
  expect([0, 1, O_CREAT, O_CREAT | 1].map(flags => judge(program, arch, 'openat', 0, 0, flags))).toEqual(['allow', 'allow', 'user_notification', 'user_notification'])
  // With one these come to it anyway, and what it looks at beside them still does.
  expect(listenerFilter({ arch, network: 'private', bind: false, gitOperations: true, observe: 'writes' })).toEqual(listenerFilter({ arch, network: 'private', bind: false, observe: 'writes' }))
})
