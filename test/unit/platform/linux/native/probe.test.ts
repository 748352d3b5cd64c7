// What the launcher's probe means, one row for each kind of host.
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, onTestFinished, test } from 'vitest'
import { findLauncher } from '../../../../../src/platform/linux/native/find-launcher.js'
import { isNested, type LayerName, LAYERS, NOT_TRIED } from '../../../../../src/platform/linux/native/layers.js'
import { interpretProbe, probeLinuxNative } from '../../../../../src/platform/linux/native/probe.js'

/** What the launcher prints on a host that has everything. */
const GOOD = {
  kernel: '6.18.44', machine: 'x86_64', landlock_abi: 7, landlock_errata: 7, seccomp: 0, seccomp_mode: 0, user_notification: 0, process_vm_readv: 0, caller_files: 0, pidfd_getfd: 0, unix_diag: 0, clone: 0, setgroups: 0, uid_map: 0,
  mount_slave: 0, mount_setattr: 0, mount_tmpfs: 0, netns: 0, mount_proc: 0, max_user_namespaces: 96365,
  max_mnt_namespaces: 96365, max_pid_namespaces: 96365, max_net_namespaces: 96365, max_ipc_namespaces: 96365, max_uts_namespaces: 96365, max_cgroup_namespaces: 96365, apparmor_restrict: -1, userns_clone: -1, proc_mounted: 1, pid_max_namespaced: 1,
}
type Answers = typeof GOOD
const print = (changes: Partial<Answers>): string => Object.entries({ ...GOOD, ...changes }).map(([name, value]) => `${name} ${value}\n`).join('')

const [EPERM, ENOENT, ESRCH, EACCES, EBUSY, EINVAL, ENOSPC, EROFS, ENOSYS, EPROTONOSUPPORT, EOPNOTSUPP] = [-1, -2, -3, -13, -16, -22, -28, -30, -38, -93, -95]
const NOTHING_TRIED = { setgroups: NOT_TRIED, uid_map: NOT_TRIED, mount_slave: NOT_TRIED, mount_setattr: NOT_TRIED, mount_tmpfs: NOT_TRIED, netns: NOT_TRIED, mount_proc: NOT_TRIED, pid_max_namespaced: 0 }
const NO_MOUNTS = { mount_setattr: NOT_TRIED, mount_tmpfs: NOT_TRIED }
const NAMESPACES: readonly LayerName[] = ['user-namespace', 'mount-namespace', 'pid-namespace', 'network-namespace', 'proc-mount']

test('a host that has everything', () => {
  expect(interpretProbe(print({}))).toEqual(LAYERS.map(({ layer }) => layer === 'landlock' ? { layer, available: true, version: 7 } : { layer, available: true }))
})

test('inside this sandbox every reason is that sandbox', () => {
  const missing = interpretProbe(print({ ...NOTHING_TRIED, clone: EPERM, seccomp_mode: 2, user_notification: EBUSY, unix_diag: EPROTONOSUPPORT })).filter(({ available }) => !available)
  expect(missing.map(({ layer }) => layer)).toEqual([...NAMESPACES, 'user-notification', 'socket-owners'])
  for (const { reason, remedy } of missing) expect([reason, remedy]).toEqual([expect.stringMatching(/^another sandbox around this process/), expect.stringMatching(/outside that sandbox/)])
  expect([isNested(missing), isNested(interpretProbe(print({})))]).toEqual([true, false])
})

describe('poor hosts', () => {
  test.each<{ host: string; answers: Partial<Answers>; missing: readonly LayerName[]; errno: string; reason: RegExp; remedy: RegExp }>([
    { host: 'a kernel without Landlock', answers: { landlock_abi: ENOSYS }, missing: ['landlock'], errno: 'ENOSYS', reason: /^this kernel has no Landlock$/, remedy: /5\.13/ },
    { host: 'Landlock not in lsm=', answers: { landlock_abi: EOPNOTSUPP }, missing: ['landlock'], errno: 'EOPNOTSUPP', reason: /not enabled at boot/, remedy: /lsm=/ },
    { host: 'a container whose filter does not know Landlock', answers: { landlock_abi: ENOSYS, seccomp_mode: 2 }, missing: ['landlock'], errno: 'ENOSYS', reason: /or a seccomp filter/, remedy: /container/ },
    { host: 'Docker\'s default seccomp profile', answers: { ...NOTHING_TRIED, clone: EPERM, seccomp_mode: 2 }, missing: NAMESPACES, errno: 'EPERM', reason: /seccomp filter .* Docker/, remedy: /--security-opt seccomp/ },
    { host: 'inside this sandbox', answers: { ...NOTHING_TRIED, clone: EPERM, seccomp_mode: 2, user_notification: EBUSY }, missing: [...NAMESPACES, 'user-notification'], errno: 'EPERM', reason: /^another sandbox around this process refuses namespaces$/, remedy: /outside .*outer-sandbox/ },
    { host: 'Docker that permits namespaces but not mounts', answers: { ...NO_MOUNTS, mount_slave: EPERM, mount_proc: EPERM, seccomp_mode: 2 }, missing: ['mount-namespace', 'proc-mount'], errno: 'EPERM', reason: /seccomp filter .* mounts/, remedy: /--security-opt seccomp/ },
    { host: 'Ubuntu with AppArmor: the namespace is made, and nothing works in it', answers: { ...NO_MOUNTS, setgroups: EACCES, uid_map: EACCES, mount_slave: EACCES, mount_proc: EACCES, netns: EPERM, apparmor_restrict: 1 }, missing: ['user-namespace', 'mount-namespace', 'network-namespace', 'proc-mount'], errno: 'EACCES', reason: /AppArmor/, remedy: /codex-sandbox setup linux/ },
    { host: 'the same with EPERM', answers: { ...NO_MOUNTS, uid_map: EPERM, mount_slave: EPERM, mount_proc: EPERM, apparmor_restrict: 1 }, missing: ['user-namespace', 'mount-namespace', 'proc-mount'], errno: 'EPERM', reason: /AppArmor/, remedy: /setup linux/ },
    { host: 'user.max_user_namespaces = 0', answers: { ...NOTHING_TRIED, clone: ENOSPC, max_user_namespaces: 0 }, missing: NAMESPACES, errno: 'ENOSPC', reason: /max_user_namespaces is 0/, remedy: /sysctl -w user\.max_user_namespaces=/ },
    { host: '33 levels of user namespaces', answers: { ...NOTHING_TRIED, clone: ENOSPC }, missing: NAMESPACES, errno: 'ENOSPC', reason: /nested too deep/, remedy: /outside/ },
    { host: 'user.max_pid_namespaces = 0', answers: { ...NOTHING_TRIED, clone: ENOSPC, max_pid_namespaces: 0 }, missing: NAMESPACES, errno: 'ENOSPC', reason: /max_pid_namespaces/, remedy: /15000/ },
    { host: 'user.max_net_namespaces = 0: the others are made', answers: { netns: ENOSPC, max_net_namespaces: 0 }, missing: ['network-namespace'], errno: 'ENOSPC', reason: /max_net_namespaces is 0/, remedy: /sysctl -w user\.max_net_namespaces=/ },
    { host: 'as many network namespaces as are allowed', answers: { netns: ENOSPC }, missing: ['network-namespace'], errno: 'ENOSPC', reason: /in use/, remedy: /raise/ },
    { host: 'a kernel built without network namespaces', answers: { netns: EINVAL }, missing: ['network-namespace'], errno: 'EINVAL', reason: /built without network namespaces/, remedy: /CONFIG_NET_NS/ },
    { host: 'Debian with unprivileged_userns_clone = 0', answers: { ...NOTHING_TRIED, clone: EPERM, userns_clone: 0 }, missing: NAMESPACES, errno: 'EPERM', reason: /unprivileged_userns_clone is 0/, remedy: /sysctl -w kernel\.unprivileged_userns_clone=1/ },
    { host: 'a chroot', answers: { ...NOTHING_TRIED, clone: EPERM, userns_clone: 1 }, missing: NAMESPACES, errno: 'EPERM', reason: /chroot/, remedy: /outside the chroot/ },
    { host: 'a kernel built without user namespaces', answers: { ...NOTHING_TRIED, clone: EINVAL }, missing: NAMESPACES, errno: 'EINVAL', reason: /built without/, remedy: /CONFIG_USER_NS/ },
    { host: 'a masked /proc', answers: { mount_proc: EPERM }, missing: ['proc-mount'], errno: 'EPERM', reason: /mounted over a part of \/proc/, remedy: /systempaths=unconfined/ },
    { host: 'no /proc', answers: { setgroups: ENOENT, uid_map: ENOENT, mount_proc: EPERM, proc_mounted: 0, caller_files: ENOENT, max_user_namespaces: -1 }, missing: ['user-namespace', 'proc-mount', 'caller-memory'], errno: 'ENOENT', reason: /\/proc is not mounted/, remedy: /Mount \/proc/ },
    { host: 'another PID namespace\'s /proc', answers: { caller_files: ESRCH }, missing: ['caller-memory'], errno: 'ESRCH', reason: /another PID namespace's/, remedy: /mount-proc/ },
    { host: 'inside another Landlock sandbox', answers: { ...NO_MOUNTS, setgroups: EACCES, uid_map: EACCES, mount_slave: EPERM, mount_proc: EPERM }, missing: ['user-namespace', 'mount-namespace', 'proc-mount'], errno: 'EACCES', reason: /another sandbox .* Landlock/, remedy: /outside that sandbox/ },
    { host: 'inside another sandbox whose /proc may be written', answers: { ...NO_MOUNTS, mount_slave: EPERM, mount_proc: EPERM }, missing: ['mount-namespace', 'proc-mount'], errno: 'EPERM', reason: /another sandbox .* every mount/, remedy: /outside that sandbox/ },
    { host: 'a read-only /proc', answers: { uid_map: EROFS }, missing: ['user-namespace'], errno: 'EROFS', reason: /read-only \/proc/, remedy: /outside/ },
    { host: 'a kernel before 5.12', answers: { mount_setattr: ENOSYS }, missing: ['mount-namespace'], errno: 'ENOSYS', reason: /mount_setattr/, remedy: /5\.12/ },
    { host: 'a kernel before 5.19', answers: { user_notification: EINVAL }, missing: ['user-notification'], errno: 'EINVAL', reason: /repeating them/, remedy: /5\.19/ },
    { host: 'an outer sandbox that has the listener', answers: { user_notification: EBUSY }, missing: ['user-notification'], errno: 'EBUSY', reason: /one listener/, remedy: /outside/ },
    { host: 'Yama with ptrace_scope 2', answers: { process_vm_readv: EPERM, pidfd_getfd: EPERM }, missing: ['caller-memory', 'descriptor-copy'], errno: 'EPERM', reason: /Yama/, remedy: /ptrace_scope=1/ },
    { host: 'a container that refuses pidfd_getfd, as Docker\'s does', answers: { pidfd_getfd: EPERM, seccomp_mode: 2 }, missing: ['descriptor-copy'], errno: 'EPERM', reason: /Docker/, remedy: /SYS_PTRACE/ },
    { host: 'a kernel that does not tell of unix sockets', answers: { unix_diag: ENOENT }, missing: ['socket-owners'], errno: 'ENOENT', reason: /unix_diag/, remedy: /modprobe unix_diag/ },
    { host: 'a kernel that does not know the netlink of sockets', answers: { unix_diag: EPROTONOSUPPORT }, missing: ['socket-owners'], errno: 'EPROTONOSUPPORT', reason: /unix_diag/, remedy: /modprobe unix_diag/ },
    { host: 'a filter that refuses that netlink', answers: { unix_diag: EPROTONOSUPPORT, seccomp_mode: 2 }, missing: ['socket-owners'], errno: 'EPROTONOSUPPORT', reason: /seccomp filter around/, remedy: /netlink/ },
    { host: 'a kernel without seccomp filters', answers: { seccomp: EINVAL, user_notification: EINVAL }, missing: ['seccomp', 'user-notification'], errno: 'EINVAL', reason: /no seccomp filters/, remedy: /CONFIG_SECCOMP_FILTER/ },
    { host: 'a security module that refuses the loopback', answers: { netns: EPERM }, missing: ['network-namespace'], errno: 'EPERM', reason: /loopback/, remedy: /outside/ },
    { host: 'an errno that nobody has met', answers: { mount_tmpfs: -117 }, missing: ['mount-namespace'], errno: 'errno 117', reason: /mount_tmpfs: errno 117/, remedy: /log/ },
  ])('$host', ({ answers, missing, errno, reason, remedy }) => {
    const reports = interpretProbe(print(answers))
    expect(reports.filter(({ available }) => !available).map(({ layer }) => layer)).toEqual(missing)
    const [first] = reports.filter(({ available }) => !available)
    expect(first?.errno).toBe(errno)
    expect(first?.reason).toMatch(reason)
    expect(first?.remedy).toMatch(remedy)
    for (const report of reports.filter(({ available }) => !available)) expect([report.reason, report.remedy].every(text => text !== undefined && text.length > 0)).toBe(true)
  })

  test.each([1, 2, 6, 99])('Landlock of ABI %i', abi => {
    expect(interpretProbe(print({ landlock_abi: abi })).find(({ layer }) => layer === 'landlock')).toEqual({ layer: 'landlock', available: true, version: abi })
  })
})

describe('a launcher that does not answer as it should', () => {
  const script = (text: string): string => {
    const folder = mkdtempSync(join(tmpdir(), 'probe-'))
    onTestFinished(() => rmSync(folder, { recursive: true }))
    const path = join(folder, 'launcher')
    writeFileSync(path, text)
    chmodSync(path, 0o755)
    return path
  }
  test('a line that is missing', () => {
    expect(() => interpretProbe(print({}).replace(/^clone.*\n/m, ''))).toThrow('probe (EBADMSG) failed before the command ran: the launcher does not say clone. Run `npm run build`: the launcher is of another version.')
  })
  test('a line that is no number', () => {
    expect(() => interpretProbe(print({}).replace(/^clone 0/m, 'clone 0x0'))).toThrow('the launcher does not say clone')
  })
  test('a name that is not known is left out', () => {
    expect(interpretProbe(`${print({})}later 1\n`)).toEqual(interpretProbe(print({})))
  })
  test.each([
    { name: 'missing', path: () => '/nowhere/launcher', error: { code: 'launcher_not_found', field: 'launcher' } },
    { name: 'no program', path: () => script('\x7fELF nonsense'), error: { code: 'set_up_failed', step: 'probe' } },
    { name: 'it fails', path: () => script('#!/bin/sh\nexit 3\n'), error: { code: 'set_up_failed', step: 'probe', errno: '3' } },
    { name: 'it is killed', path: () => script('#!/bin/sh\nkill -9 $$\n'), error: { code: 'set_up_failed', step: 'probe', errno: 'SIGKILL' } },
    { name: 'it says nothing', path: () => script('#!/bin/sh\n'), error: { code: 'set_up_failed', step: 'probe', errno: 'EBADMSG' } },
  ])('$name', async ({ path, error }) => {
    await expect(probeLinuxNative(path())).rejects.toMatchObject(error)
  })
})

test('this machine answers, and no variable of the caller changes the answer', async () => {
  const reports = await probeLinuxNative(findLauncher())
  expect(reports.map(({ layer }) => layer)).toEqual(LAYERS.map(({ layer }) => layer))
})
