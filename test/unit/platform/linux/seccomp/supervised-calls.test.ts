import { readFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { commandFilter, listenerFilter } from '../../../../../src/platform/linux/seccomp/filters.js'
import { OWN_MARK } from '../../../../../src/platform/linux/seccomp/filter-rules.js'
import { interpretFilter } from '../../../../../src/platform/linux/seccomp/interpret.js'
import { type Architecture, SYSTEM_CALLS, type SystemCallName } from '../../../../../src/platform/linux/seccomp/system-calls.js'

const AUDIT = { x64: 0xc000_003e, arm64: 0xc000_00b7 }
const ARCHITECTURES: readonly Architecture[] = ['x64', 'arm64']

/** All that makes, moves, removes or changes a file by its path, or changes its metadata in any way. Written by hand from the table of calls. */
const CHANGES = `
  creat mkdir mkdirat mknod mknodat symlink symlinkat link linkat unlink unlinkat rmdir rename renameat renameat2 truncate
  chmod fchmod fchmodat fchmodat2 chown lchown fchown fchownat utime utimes futimesat utimensat
  setxattr lsetxattr fsetxattr setxattrat removexattr lremovexattr fremovexattr removexattrat`.trim().split(/\s+/) as SystemCallName[]

describe.each(ARCHITECTURES)('the supervised rung on %s', arch => {
  const listener = listenerFilter({ arch, network: 'none', bind: true, supervised: { abi: 7, reads: 'shared-memory' } })
  const command = commandFilter({ arch, network: 'none', supervised: { abi: 7, reads: 'shared-memory' } })
  const judge = (program: Uint8Array, call: SystemCallName, ...args: (number | bigint)[]): string => {
    const { action, data } = interpretFilter(program, { number: SYSTEM_CALLS[arch][call] as number, arch: AUDIT[arch], args: args.map(BigInt) })
    return action === 'errno' ? `errno ${data}` : action
  }

  test('each call that changes files is notified', () => {
    for (const call of CHANGES.filter(name => Object.hasOwn(SYSTEM_CALLS[arch], name))) expect(`${call} ${judge(listener, call)}`).toBe(`${call} user_notification`)
    expect(judge(command, 'file_setattr')).toBe('errno 95')
  })

  test('each of them has a handler in the launcher, in its own row', () => {
    const handlers = readFileSync('native/linux/supervise.c', 'utf8')
    const rows = [...handlers.matchAll(/\{ (?:SYS|NR)_(\w+), (?:true|false), supervise_\w+ \}/g)].map(([, name]) => name)
    expect(rows.toSorted()).toEqual([...CHANGES, 'open', 'openat'].toSorted())
  })

  test.each([
    { name: 'O_RDONLY', flags: 0, action: 'allow' },
    { name: 'O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_DIRECTORY | O_PATH', flags: 0o12704000 | 0o400000, action: 'allow' },
    { name: 'O_RDONLY | O_APPEND', flags: 0o2000, action: 'allow' },
    { name: 'O_WRONLY', flags: 1, action: 'user_notification' },
    { name: 'O_RDWR', flags: 2, action: 'user_notification' },
    { name: 'access mode 3', flags: 3, action: 'user_notification' },
    { name: 'O_RDONLY | O_CREAT', flags: 0o100, action: 'user_notification' },
    { name: 'O_RDONLY | O_TRUNC', flags: 0o1000, action: 'user_notification' },
    { name: '__O_TMPFILE', flags: 0o20000000, action: 'user_notification' },
    { name: 'O_WRONLY with bits that the kernel cuts off', flags: 0xdead_beef_0000_0001n, action: 'user_notification' },
  ])('open with $name: $action', ({ flags, action }) => {
    expect(judge(listener, 'openat', 0, 0, flags)).toBe(action)
    if (Object.hasOwn(SYSTEM_CALLS[arch], 'open')) expect(judge(listener, 'open', 0, flags)).toBe(action)
  })

  const O_NOFOLLOW = arch === 'x64' ? 0o400000 : 0o100000
  const O_CLOEXEC = 0o2000000
  test.each([
    { name: 'O_NOFOLLOW and O_CLOEXEC, as shm_open(3) does, comes', flags: O_NOFOLLOW | O_CLOEXEC, action: 'user_notification' },
    { name: 'O_NONBLOCK as well, as musl\'s does, comes', flags: O_NOFOLLOW | O_CLOEXEC | 0o4000, action: 'user_notification' },
    { name: 'O_NOFOLLOW alone, as dd(1) does with iflag=nofollow, comes', flags: O_NOFOLLOW, action: 'user_notification' },
    { name: 'O_CLOEXEC alone is the kernel\'s', flags: O_CLOEXEC, action: 'allow' },
    { name: 'O_NOFOLLOW alone comes where it writes', flags: O_NOFOLLOW | 1, action: 'user_notification' },
  ])('an open that reads with $name', ({ flags, action }) => {
    expect(judge(listener, 'openat', 0, 0, flags)).toBe(action)
  })

  test('umask comes, but for the launcher\'s own', () => {
    expect(judge(listener, 'umask', 0o77)).toBe('user_notification')
    expect(judge(listener, 'umask', 0o22, 0, 0, 0, 0, OWN_MARK)).toBe('allow')
  })

  test.each([
    { name: 'FS_IOC_GETFLAGS', request: 0x8008_6601, action: 'allow' },
    { name: 'FS_IOC_FSGETXATTR', request: 0x801c_581f, action: 'allow' },
    { name: 'FICLONE', request: 0x4004_9409, action: 'allow' },
    { name: 'FS_IOC_FIEMAP', request: 0xc020_660b, action: 'allow' },
    { name: 'FIONREAD', request: 0x541b, action: 'allow' },
    { name: 'TIOCGWINSZ', request: 0x5413, action: 'allow' },
    { name: 'TIOCSPTLCK', request: 0x4004_5431, action: 'allow' },
    { name: 'TIOCSTI', request: 0x5412, action: 'errno 1' },
    { name: 'FS_IOC_SETFLAGS', request: 0x4008_6602, action: 'errno 95' },
    { name: 'FS_IOC32_SETFLAGS', request: 0x4004_6602, action: 'errno 95' },
    { name: 'FS_IOC_SETFLAGS with bits that the kernel cuts off', request: 0x1_4008_6602n, action: 'errno 95' },
    { name: 'FS_IOC_FSSETXATTR', request: 0x401c_5820, action: 'errno 95' },
    { name: 'FS_IOC_ENABLE_VERITY', request: 0x4080_6685, action: 'errno 95' },
    { name: 'FS_IOC_SET_ENCRYPTION_POLICY', request: 0x800c_6613, action: 'errno 95' },
    { name: 'BTRFS_IOC_SUBVOL_CREATE', request: 0x5000_940e, action: 'errno 95' },
    { name: 'BTRFS_IOC_SNAP_DESTROY', request: 0x5000_940f, action: 'errno 95' },
    { name: 'FAT_IOCTL_SET_ATTRIBUTES', request: 0x4004_7211, action: 'errno 95' },
  ])('ioctl $name: $action', ({ request, action }) => {
    expect(judge(command, 'ioctl', 3, request)).toBe(action)
  })
})
