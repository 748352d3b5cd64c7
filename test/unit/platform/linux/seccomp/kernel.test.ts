// The filters in this machine's kernel: installed by a program of their own, which then makes the calls.
import { spawnSync } from 'node:child_process'
import { constants } from 'node:os'
import { describe, expect, test } from 'vitest'
import { commandFilter, listenerFilter } from '../../../../../src/platform/linux/seccomp/filters.js'
import { SYSTEM_CALLS, type SystemCallName } from '../../../../../src/platform/linux/seccomp/system-calls.js'
import { HAS_GCC, compileProgram } from './native-programs.js'

const arch = process.arch === 'arm64' ? 'arm64' : 'x64'
const canRun = process.platform === 'linux' && ['x64', 'arm64'].includes(process.arch) && HAS_GCC
const program = canRun ? compileProgram('try-calls.c') : ''

/** Each try's errno by name, `ok` for success. */
function tryCalls(filter: Uint8Array, tries: readonly string[]): string[] {
  const { stdout, stderr, status, signal } = spawnSync(program, tries, { input: filter, encoding: 'utf8' })
  if (status !== 0) throw new Error(`status ${status}, signal ${signal}: ${stderr}`)
  return stdout.trim().split('\n').map(line => line === '0' ? 'ok' : Object.entries(constants.errno).find(([, number]) => number === Number(line))?.[0] ?? line)
}
const call = (name: SystemCallName, ...args: (number | bigint)[]): string => [SYSTEM_CALLS[arch][name], ...args].join()

describe.skipIf(!canRun)('in the kernel (skipped without Linux on x64 or arm64, or without gcc)', () => {
  const filter = commandFilter({ arch, network: 'private' })

  test.each([
    { name: 'a new user namespace', what: call('unshare', 0x1000_0000), expected: 'EPERM' },
    { name: 'a process in a new user namespace', what: call('clone', 0x1000_0011), expected: 'EPERM' },
    { name: 'clone3', what: call('clone3'), expected: 'ENOSYS' },
    { name: 'entering a namespace', what: call('setns', -1), expected: 'EPERM' },
    { name: 'plain unshare', what: call('unshare', 0x400), expected: 'ok' },
    { name: 'mount', what: call('mount'), expected: 'EPERM' },
    { name: 'the new mount calls', what: call('open_tree', -1), expected: 'EPERM' },
    { name: 'keyctl', what: call('keyctl', 0, -3), expected: 'EPERM' },
    { name: 'bpf', what: call('bpf', 0, 0, 0), expected: 'EPERM' },
    { name: 'io_uring', what: call('io_uring_setup', 1), expected: 'EPERM' },
    { name: 'TIOCSTI', what: call('ioctl', 0, 0x5412), expected: 'EPERM' },
    { name: 'TIOCSTI with high bits', what: call('ioctl', 0, 0x1_0000_5412n), expected: 'EPERM' },
    { name: 'TIOCLINUX with high bits', what: call('ioctl', 0, 0xffff_ffff_0000_541cn), expected: 'EPERM' },
    { name: 'another ioctl, on what is no terminal', what: call('ioctl', 0, 0x5401), expected: 'ENOTTY' },
    { name: 'a unix stream socket', what: call('socket', 1, 1, 0), expected: 'ok' },
    { name: 'a unix datagram socket', what: call('socket', 1, 2, 0), expected: 'EPROTONOSUPPORT' },
    { name: 'a unix datagram socket, high bits set', what: call('socket', 0x1_0000_0001n, 0x1_0008_0002n, 0), expected: 'EPROTONOSUPPORT' },
    { name: 'a unix raw socket', what: call('socket', 1, 3, 0), expected: 'EPROTONOSUPPORT' },
    { name: 'an internet stream socket', what: call('socket', 2, 1, 0), expected: 'ok' },
    { name: 'an internet datagram socket', what: call('socket', 2, 0x8_0802, 17), expected: 'ok' },
    { name: 'a raw socket', what: call('socket', 2, 3, 1), expected: 'EPERM' },
    { name: 'MPTCP', what: call('socket', 2, 1, 262), expected: 'EPROTONOSUPPORT' },
    { name: 'route netlink', what: call('socket', 16, 3, 0), expected: 'ok' },
    { name: 'audit netlink', what: call('socket', 16, 3, 9), expected: 'EPROTONOSUPPORT' },
    { name: 'vsock', what: call('socket', 40, 1, 0), expected: 'EAFNOSUPPORT' },
    { name: 'the question of personality', what: call('personality', 0xffff_ffff), expected: 'ok' },
    { name: 'READ_IMPLIES_EXEC', what: call('personality', 0x40_0000), expected: 'EPERM' },
    { name: 'a number above the table', what: '470', expected: 'ENOSYS' },
    { name: 'x32', what: String(0x4000_0000 + 39), expected: 'ENOSYS' },
    { name: 'fork', what: 'fork', expected: 'ok' },
    { name: 'a thread', what: 'thread', expected: 'ok' },
  ])('$name: $expected', ({ what, expected }) => {
    expect(tryCalls(filter, [what])).toEqual([expected])
  })

  test.skipIf(arch !== 'x64')('a call of i386 ends the process by SIGSYS (skipped on arm64)', () => {
    const { stdout } = spawnSync(program, ['i386'], { input: filter, encoding: 'utf8' })
    expect(stdout).toBe(`${constants.signals.SIGSYS}\n`)
  })

  test('the kernel takes every filter', () => {
    for (const network of ['private', 'host'] as const) {
      for (const observe of ['off', 'writes', 'reads'] as const) {
        expect(tryCalls(commandFilter({ arch, network, observe }), ['fork', 'thread'])).toEqual(['ok', 'ok'])
        expect(tryCalls(listenerFilter({ arch, network, bind: network === 'host', observe }), ['fork', 'thread'])).toEqual(['ok', 'ok'])
        expect(tryCalls(listenerFilter({ arch, network, bind: network === 'host', observe }), ['listener', 'fork', 'thread'])).toEqual(['ok', 'ok'])
      }
    }
  })

  test.each([call('mount'), call('setns', -1), call('clone', 0x1000_0011), call('socket', 1, 2, 0), call('keyctl', 0, -3), call('bpf', 0, 0, 0)])('%s gets ENOSYS where nobody listens any more', what => {
    expect(tryCalls(listenerFilter({ arch, network: 'private', bind: false, observe: 'writes' }), [what])).toEqual(['ENOSYS'])
  })
})
