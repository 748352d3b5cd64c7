// What each template is for, rule by rule, said a second time: what tools ask for and must get, and its neighbours that they must
// not get. A change of a template that nobody meant shows here.
import type { Request } from '../../src/platform/macos/sbpl/request.js'

export interface Need {
  readonly template: 'base' | 'devices' | 'platform-defaults' | 'network-open' | 'network-proxied' | 'last'
  readonly tool: string
  readonly allowed: readonly Request[]
  readonly denied: readonly Request[]
}

const sysctl = (...names: readonly string[]): Request[] => names.map(sysctlName => ({ operation: 'sysctl-read', sysctlName }))
const lookup = (...names: readonly string[]): Request[] => names.map(globalName => ({ operation: 'mach-lookup', globalName }))
const device = (operation: string, ...paths: readonly string[]): Request[] => paths.map(path => ({ operation, path, vnodeType: 'CHARACTER-DEVICE' }))
const net = (operation: 'network-outbound' | 'network-inbound' | 'network-bind', host: string, port: number, protocol: 'tcp' | 'udp' = 'tcp'): Request =>
  ({ operation, [operation === 'network-outbound' ? 'remote' : 'local']: { protocol, host, port }, socketDomain: host.includes(':') ? 30 : 2 })
const resolver: Request = { operation: 'network-outbound', path: '/private/var/run/mDNSResponder', vnodeType: 'SOCKET', socketDomain: 1 }

export const SEATBELT_NEEDS: readonly Need[] = [
  { template: 'base', tool: 'a shell', allowed: [{ operation: 'process-fork' }], denied: [] },
  { template: 'base', tool: 'kill', allowed: [{ operation: 'signal', targets: ['same-sandbox'] }], denied: [{ operation: 'signal', targets: ['others'] }, { operation: 'signal', targets: ['initproc'] }] },
  {
    template: 'base', tool: 'resource use', allowed: [{ operation: 'process-info-rusage', targets: ['same-sandbox'] }, { operation: 'process-info-pidinfo', targets: ['same-sandbox'] }],
    denied: [{ operation: 'process-info-rusage', targets: ['others'] }, { operation: 'process-info-pidinfo', targets: ['others'] }, { operation: 'process-info-listpids' }],
  },
  {
    template: 'base', tool: 'processor, memory and version', allowed: sysctl(
      'hw.activecpu', 'hw.busfrequency_compat', 'hw.byteorder', 'hw.cacheconfig', 'hw.cachelinesize', 'hw.cachelinesize_compat', 'hw.cpu64bit_capable', 'hw.cpufamily', 'hw.cpufrequency', 'hw.cpufrequency_compat', 'hw.cpusubfamily', 'hw.cpusubtype',
      'hw.cputype', 'hw.l1dcachesize', 'hw.l1dcachesize_compat', 'hw.l1icachesize', 'hw.l1icachesize_compat', 'hw.l2cachesize', 'hw.l2cachesize_compat', 'hw.l3cachesize', 'hw.l3cachesize_compat', 'hw.logicalcpu', 'hw.logicalcpu_max', 'hw.machine',
      'hw.memsize', 'hw.model', 'hw.ncpu', 'hw.nperflevels', 'hw.packages', 'hw.pagesize', 'hw.pagesize_compat', 'hw.physicalcpu', 'hw.physicalcpu_max', 'hw.tbfrequency', 'hw.tbfrequency_compat', 'hw.vectorunit', 'kern.argmax', 'kern.boottime',
      'kern.hostname', 'kern.maxfilesperproc', 'kern.maxproc', 'kern.osproductversion', 'kern.osproductversioncompat', 'kern.osrelease', 'kern.ostype', 'kern.osvariant_status', 'kern.osversion', 'kern.secure_kernel', 'kern.usrstack64', 'kern.version',
      'sysctl.proc_cputype', 'vm.loadavg', 'hw.optional.arm.FEAT_LSE', 'hw.perflevel0.physicalcpu', 'machdep.cpu.brand_string', 'kern.proc.pid.42', 'kern.proc.pgrp.42', 'net.routetable.0.0.3.0',
    ),
    denied: sysctl('kern.procargs2', 'kern.procargs2.42', 'kern.proc.all', 'kern.proc.uid.501', 'kern.bootargs', 'kern.bootsessionuuid', 'net.inet.tcp.pcblist', 'hw.serial', 'machdep.misc', 'security.mac.sandbox.audio_active', 'vm.swapusage', 'kern.osrelease.x'),
  },
  { template: 'base', tool: 'the JVM', allowed: [{ operation: 'sysctl-write', sysctlName: 'kern.grade_cputype' }], denied: [{ operation: 'sysctl-write', sysctlName: 'kern.hostname' }, { operation: 'sysctl-write', sysctlName: 'hw.ncpu' }] },
  { template: 'base', tool: 'whoami', allowed: lookup('com.apple.system.opendirectoryd.libinfo', 'com.apple.system.opendirectoryd.membership'), denied: lookup('com.apple.system.opendirectoryd.api', 'com.apple.SecurityServer', 'com.apple.coreservices.launchservicesd', 'com.apple.pasteboard.1', 'com.apple.bsd.dirhelper') },
  { template: 'base', tool: 'python -m multiprocessing', allowed: ['create', 'open', 'post', 'wait', 'unlink'].map(what => ({ operation: `ipc-posix-sem-${what}`, ipcName: '/mp-x1' })), denied: [{ operation: 'ipc-sysv-sem' }, { operation: 'ipc-sysv-shm' }] },
  {
    template: 'base', tool: 'multiprocessing.shared_memory, PyTorch, OpenMP', allowed: ['/psm_1', '/torch_1', '/__KMP_REGISTERED_LIB_77'].flatMap(ipcName => ['read-data', 'write-create', 'write-data', 'write-unlink'].map(what => ({ operation: `ipc-posix-shm-${what}`, ipcName }))),
    denied: ['/other', 'AudioIO1', '/com.apple.x'].map(ipcName => ({ operation: 'ipc-posix-shm-read-data', ipcName })),
  },
  { template: 'base', tool: 'tmux', allowed: [{ operation: 'pseudo-tty' }], denied: [] },
  { template: 'base', tool: 'paths through /tmp, /var, /etc, and dyld', allowed: [...['/etc', '/tmp', '/var'].map((path): Request => ({ operation: 'file-read-metadata', path, vnodeType: 'SYMLINK' })), { operation: 'file-read-data', path: '/', vnodeType: 'DIRECTORY' }], denied: [] },
  { template: 'base', tool: 'nothing', allowed: [], denied: [{ operation: 'nvram-get', nvramVariable: 'boot-args' }, { operation: 'nvram-set', nvramVariable: 'boot-args' }, { operation: 'fs-snapshot-mount' }, { operation: 'job-creation' }, { operation: 'lsopen' }] },
  {
    template: 'devices', tool: 'every program', allowed: [
      ...device('file-read-data', '/dev', '/dev/null', '/dev/zero', '/dev/random', '/dev/urandom', '/dev/fd/3', '/dev/stdin', '/dev/stdout', '/dev/stderr', '/dev/ptmx', '/dev/tty'),
      ...device('file-write-data', '/dev/null', '/dev/zero', '/dev/random', '/dev/urandom', '/dev/fd/3', '/dev/stdin', '/dev/stdout', '/dev/stderr', '/dev/ptmx', '/dev/tty'),
      ...device('file-ioctl', '/dev/ptmx', '/dev/tty'),
      ...['file-read-data', 'file-write-data', 'file-ioctl'].flatMap(operation => device(operation, '/dev/ttys003').map(request => ({ ...request, extensions: ['com.apple.sandbox.pty'] }))),
    ],
    denied: [
      ...['file-read-data', 'file-write-data', 'file-ioctl', 'file-clone', 'file-map-executable', 'process-exec*', 'file-link', 'file-write-create'].flatMap(operation => device(operation, '/dev/disk0', '/dev/ttys003', '/dev/bpf0')),
      ...device('file-ioctl', '/dev/null', '/dev/disk0', '/dev/fd/3'), ...device('file-write-create', '/dev/null', '/dev/x'), ...device('file-write-mode', '/dev/null'),
      ...['file-read-data', 'file-ioctl'].flatMap(operation => device(operation, '/dev/ttysx', '/dev/ttys003/x').map(request => ({ ...request, extensions: ['com.apple.sandbox.pty'] }))),
      ...['/dev/null', '/dev/zero', '/dev/urandom'].map((path): Request => ({ operation: 'file-write-data', path, vnodeType: 'REGULAR-FILE' })),
    ],
  },
  {
    template: 'platform-defaults', tool: 'CoreFoundation', allowed: [...lookup('com.apple.cfprefsd.agent', 'com.apple.cfprefsd.daemon'), { operation: 'user-preference-read', preferenceDomain: 'kCFPreferencesAnyApplication' }, { operation: 'ipc-posix-shm-read-data', ipcName: 'apple.cfprefs.501v1' }],
    denied: [{ operation: 'user-preference-read', preferenceDomain: 'com.apple.Terminal' }, { operation: 'user-preference-write', preferenceDomain: 'kCFPreferencesAnyApplication' }, { operation: 'ipc-posix-shm-write-data', ipcName: 'apple.cfprefs.501v1' }, { operation: 'ipc-posix-shm-read-data', ipcName: 'x' }],
  },
  {
    template: 'network-open', tool: 'curl, git, servers', allowed: [
      net('network-outbound', '1.1.1.1', 443), net('network-outbound', '8.8.8.8', 53, 'udp'), net('network-outbound', '2001:db8::1', 443), net('network-inbound', '192.168.1.5', 3000), net('network-bind', '0.0.0.0', 3000), resolver,
      { operation: 'network-outbound', controlName: 'com.apple.netsrc', socketDomain: 32 }, { operation: 'system-socket', socketDomain: 32, socketProtocol: 2 },
      ...lookup('com.apple.SystemConfiguration.configd', 'com.apple.SystemConfiguration.DNSConfiguration', 'com.apple.trustd', 'com.apple.trustd.agent'),
    ],
    denied: [
      ...['/private/var/run/docker.sock', '/private/tmp/x.sock', '/private/var/run/mDNSResponder2'].map((path): Request => ({ operation: 'network-outbound', path, vnodeType: 'SOCKET', socketDomain: 1 })),
      { operation: 'network-bind', path: '/private/tmp/x.sock', vnodeType: 'SOCKET', socketDomain: 1 }, { operation: 'network-inbound', path: '/private/tmp/x.sock', vnodeType: 'SOCKET', socketDomain: 1 },
      { operation: 'network-outbound', controlName: 'com.apple.net.utun_control', socketDomain: 32 }, { operation: 'system-socket', socketDomain: 32, socketProtocol: 1 }, { operation: 'system-socket', socketDomain: 17, socketProtocol: 2 }, { operation: 'system-socket', socketDomain: 27, socketProtocol: 0 },
      ...lookup('com.apple.SecurityServer', 'com.apple.networkd', 'com.apple.nesessionmanager'),
    ],
  },
  {
    template: 'network-proxied', tool: 'curl through the proxy', allowed: lookup('com.apple.trustd', 'com.apple.trustd.agent'),
    denied: [net('network-outbound', '1.1.1.1', 443), net('network-outbound', '127.0.0.1', 53, 'udp'), net('network-outbound', '127.0.0.1', 53), resolver, ...lookup('com.apple.SystemConfiguration.DNSConfiguration', 'com.apple.SecurityServer')],
  },
  {
    template: 'last', tool: 'nobody', allowed: [{ operation: 'file-write-create', path: '/private/tmp/\u{1f468}\u200d\u{1f469}.png' }, { operation: 'file-clone', path: '/private/tmp/scratch.txt' }],
    denied: [
      { operation: 'file-clone', path: '/private/tmp/scratch', vnodeType: 'DIRECTORY' },
      ...['\u200c', '\u200d', '\u200e', '\u200f', '\u202a', '\u202b', '\u202c', '\u202d', '\u202e', '\u206a', '\u206b', '\u206c', '\u206d', '\u206e', '\u206f', '\ufeff'].map((char): Request => ({ operation: 'file-write-create', path: `/private/tmp/.g${char}it` })),
      ...['\u037e', '\u1fef', '\u212a', '\u017f', '\u00df', '\u1e9e', '\ufb00', '\ufb01', '\ufb02', '\ufb03', '\ufb04', '\ufb05', '\ufb06'].map((sign): Request => ({ operation: 'file-write-create', path: `/private/tmp/x${sign}\u200c` })),
    ],
  },
]
