import { describe, expect, test } from 'vitest'
import { evaluate, type Reading } from '../../../../../src/platform/macos/sbpl/evaluate.js'
import { parseProfile, type ProfileOptions } from '../../../../../src/platform/macos/sbpl/profile.js'
import type { Request } from '../../../../../src/platform/macos/sbpl/request.js'

/** `allow 3`: the verdict, and the line of the rule or `default`. The profile's own lines start with line 2. */
function decide(rules: string, request: Request, options: ProfileOptions & { reading?: Reading } = {}): string {
  const { verdict, rule } = evaluate(parseProfile(`(version 1)\n${rules}`, options), request, options.reading)
  return `${verdict} ${rule === 'default' ? rule : rule.line}`
}

const read = (path: string): Request => ({ operation: 'file-read-data', path })
const connect = (host: string, port: number, protocol: 'tcp' | 'udp' = 'tcp'): Request => ({ operation: 'network-outbound', remote: { protocol, host, port } })

describe('which rule decides', () => {
  const last = '(deny default)\n(allow file-read* (subpath "/w"))\n(deny file-read* (subpath "/w/x"))\n(allow file-read* (literal "/w/x/y"))'
  test.each([
    { name: 'the last one that matches', rules: last, request: read('/w/x/y'), kernel: 'allow 5', sourceOrder: 'allow 5' },
    { name: 'the one before it where the last does not match', rules: last, request: read('/w/x/z'), kernel: 'deny 4', sourceOrder: 'deny 4' },
    { name: 'the first of three', rules: last, request: read('/w/a'), kernel: 'allow 3', sourceOrder: 'allow 3' },
    { name: 'default where none does', rules: last, request: read('/v'), kernel: 'deny 2', sourceOrder: 'deny 2' },
    { name: 'a deny without (deny default)', rules: '', request: read('/v'), kernel: 'deny default', sourceOrder: 'deny default' },
    // The same profile as in greywall#20: reading the file was possible.
    { name: 'a specific operation wins over its parent\'s later rule', rules: '(deny default)\n(allow file-read-data (subpath "/"))\n(deny file-read* (literal "/x"))', request: read('/x'), kernel: 'allow 3', sourceOrder: 'deny 4' },
    // As sandbox-runtime reports it: unlinking stayed denied.
    { name: 'a specific deny wins over its parent\'s later allow', rules: '(deny default)\n(deny file-write-unlink (subpath "/w"))\n(allow file-write* (subpath "/w"))', request: { operation: 'file-write-unlink', path: '/w/a' }, kernel: 'deny 3', sourceOrder: 'allow 4' },
    { name: 'but not where it does not match', rules: '(deny default)\n(deny file-write-unlink (subpath "/w/x"))\n(allow file-write* (subpath "/w"))', request: { operation: 'file-write-unlink', path: '/w/a' }, kernel: 'allow 4', sourceOrder: 'allow 4' },
    // mxc#754: connecting was denied in either order.
    { name: 'a rule without a filter comes after the others on its operation', rules: '(deny default)\n(deny network-outbound (literal "/s"))\n(allow network-outbound)', request: { operation: 'network-outbound', path: '/s' }, kernel: 'deny 3', sourceOrder: 'allow 4' },
    { name: 'and so it does where it stands before', rules: '(deny default)\n(allow network-outbound)\n(deny network-outbound (literal "/s"))', request: { operation: 'network-outbound', path: '/s' }, kernel: 'deny 4', sourceOrder: 'deny 4' },
    // nono#971: a deny without a filter on the specific operation blocked in either order.
    { name: 'a rule without a filter wins over the parent\'s', rules: '(deny default)\n(deny file-write-unlink)\n(allow file-write* (subpath "/w"))', request: { operation: 'file-write-unlink', path: '/w/a' }, kernel: 'deny 3', sourceOrder: 'allow 4' },
    { name: 'of two rules without filters the last', rules: '(allow default)\n(deny default)\n(allow file-read*)\n(deny file-read*)', request: read('/x'), kernel: 'deny 5', sourceOrder: 'deny 5' },
    { name: 'parents are asked in turn', rules: '(deny default)\n(allow file* (subpath "/a"))\n(deny file-read* (subpath "/a/b"))\n(allow file-read-data (subpath "/a/b/c"))', request: read('/a/b/c'), kernel: 'allow 5', sourceOrder: 'allow 5' },
    { name: 'the parent between', rules: '(deny default)\n(allow file* (subpath "/a"))\n(deny file-read* (subpath "/a/b"))\n(allow file-read-data (subpath "/a/b/c"))', request: read('/a/b/d'), kernel: 'deny 4', sourceOrder: 'deny 4' },
    { name: 'the parent\'s parent', rules: '(deny default)\n(allow file* (subpath "/a"))\n(deny file-read* (subpath "/a/b"))', request: { operation: 'file-write-data', path: '/a/b/d' }, kernel: 'allow 3', sourceOrder: 'allow 3' },
    { name: 'a rule on several operations counts for each', rules: '(deny default)\n(allow file-read* file-write* (subpath "/w"))', request: { operation: 'file-write-create', path: '/w/n' }, kernel: 'allow 3', sourceOrder: 'allow 3' },
    { name: 'binding falls back to network-inbound', rules: '(deny default)\n(allow network-inbound (local ip "*:*"))', request: { operation: 'network-bind', local: { protocol: 'tcp', host: '127.0.0.1', port: 80 } }, kernel: 'allow 3', sourceOrder: 'allow 3' },
    { name: 'hard links are open under (deny default)', rules: '(deny default)', request: { operation: 'file-link', path: '/x' }, kernel: 'allow default', sourceOrder: 'allow default' },
    { name: 'and under (deny file*)', rules: '(deny default)\n(deny file* (subpath "/x"))', request: { operation: 'file-link', path: '/x' }, kernel: 'allow default', sourceOrder: 'allow default' },
    { name: 'and closed by name', rules: '(deny default)\n(deny file-link)', request: { operation: 'file-link', path: '/x' }, kernel: 'deny 3', sourceOrder: 'deny 3' },
    { name: 'looking at other processes is open under (deny default)', rules: '(deny default)\n(allow process-info* (target same-sandbox))', request: { operation: 'process-info-pidinfo', targets: ['others'] }, kernel: 'allow default', sourceOrder: 'allow default' },
    { name: 'a job is never created under (allow default)', rules: '(allow default)', request: { operation: 'job-creation' }, kernel: 'deny default', sourceOrder: 'deny default' },
    { name: 'aliases are their operations', rules: '(deny default)\n(allow process-exec (literal "/bin/sh"))', request: { operation: 'process-exec-interpreter', path: '/bin/sh' }, kernel: 'allow 3', sourceOrder: 'allow 3' },
  ] as { name: string; rules: string; request: Request; kernel: string; sourceOrder: string }[])('$name', ({ rules, request, kernel, sourceOrder }) => {
    expect(decide(rules, request)).toBe(kernel)
    expect(decide(rules, request, { reading: 'sourceOrder' })).toBe(sourceOrder)
  })
})

describe('filters on paths', () => {
  test.each([
    { filter: '(literal "/a/b")',             yes: ['/a/b'],                              no: ['/a', '/a/b/c', '/A/b', '/a/bc'] },
    { filter: '(path "/a/b")',                yes: ['/a/b'],                              no: ['/a/b/c'] },
    { filter: '(literal "/a" "/b")',          yes: ['/a', '/b'],                          no: ['/c'] },
    { filter: '(literal "/")',                yes: ['/'],                                 no: ['/a'] },
    { filter: '(subpath "/a/b")',             yes: ['/a/b', '/a/b/c', '/a/b/c/d'],        no: ['/a', '/a/bc', '/x/a/b', '/a/B'] },
    { filter: '(subpath "/")',                yes: ['/', '/a', '/a/b'],                   no: [] },
    { filter: '(subpath "/a" "/b")',          yes: ['/a/x', '/b/x'],                      no: ['/c'] },
    { filter: '(prefix "/a/b")',              yes: ['/a/b', '/a/bc', '/a/b/c'],           no: ['/a'] },
    { filter: '(prefix "/a/")',               yes: ['/a/b'],                              no: ['/a'] },
    { filter: '(regex #"^/a/[^/]+\\.txt$")',  yes: ['/a/x.txt'],                          no: ['/a/.txt', '/a/b/x.txt', '/a/x.txt/y', '/a/xtxt'] },
    { filter: '(regex "\\\\.txt$" "^/b")',    yes: ['/a.txt', '/b'],                      no: ['/a.txtx'] },
    { filter: '(regex #"/b/")',               yes: ['/a/b/c'],                            no: ['/a/b'] },
    { filter: '(path-ancestors "/a/b/c")',    yes: ['/', '/a', '/a/b'],                   no: ['/a/b/c', '/b', '/a/c'] },
    { filter: '(path-ancestors "/")',         yes: [],                                    no: ['/', '/a'] },
    { filter: '(require-all (subpath "/a") (require-not (subpath "/a/b")))', yes: ['/a', '/a/c'], no: ['/a/b', '/a/b/c', '/'] },
    { filter: '(require-any (literal "/a") (literal "/b"))', yes: ['/a', '/b'],           no: ['/c'] },
    { filter: '(literal "/a") (literal "/b")', yes: ['/a', '/b'],                         no: ['/c'] },
    { filter: '(require-not (literal "/a"))', yes: ['/b'],                                no: ['/a'] },
    { filter: '(literal "/é")',               yes: ['/\u00e9'],                           no: ['/e\u0301', '/É'] },
  ])('$filter', ({ filter, yes, no }) => {
    const verdict = (path: string) => decide(`(deny default)\n(allow file-read* ${filter})`, read(path))
    expect(yes.filter(path => verdict(path) !== 'allow 3')).toEqual([])
    expect(no.filter(path => verdict(path) !== 'deny 2')).toEqual([])
  })
})

describe('filters on networks', () => {
  test.each([
    { filter: '(remote ip "*:*")',              yes: [connect('1.2.3.4', 80), connect('::1', 53, 'udp')],           no: [{ operation: 'network-outbound', path: '/s' }] },
    { filter: '(remote ip)',                    yes: [connect('1.2.3.4', 80)],                                      no: [{ operation: 'network-outbound', path: '/s' }] },
    { filter: '(remote tcp "localhost:8080")',  yes: [connect('127.0.0.1', 8080), connect('::1', 8080)],            no: [connect('127.0.0.1', 8081), connect('1.2.3.4', 8080), connect('127.0.0.1', 8080, 'udp'), connect('::ffff:127.0.0.1', 8080)] },
    { filter: '(remote udp "*:53")',            yes: [connect('1.2.3.4', 53, 'udp')],                               no: [connect('1.2.3.4', 53), connect('1.2.3.4', 54, 'udp')] },
    { filter: '(remote tcp4 "*:*")',            yes: [connect('1.2.3.4', 1)],                                       no: [connect('::1', 1)] },
    { filter: '(remote ip6 "*:*")',             yes: [connect('::1', 1), connect('::ffff:1.2.3.4', 1)],             no: [connect('1.2.3.4', 1)] },
    { filter: '(to tcp "*:1")',                 yes: [connect('1.2.3.4', 1)],                                       no: [connect('1.2.3.4', 2)] },
    // An unbound socket has the any-address, which localhost matches: such a rule opens everything.
    { filter: '(local ip "localhost:*")',       yes: [connect('1.2.3.4', 80), connect('2001:db8::1', 80)],          no: [{ ...connect('1.2.3.4', 80), local: { protocol: 'tcp', host: '10.0.0.1', port: 9 } }] },
    { filter: '(remote unix-socket)',           yes: [{ operation: 'network-outbound', path: '/s' }],               no: [connect('127.0.0.1', 80)] },
    { filter: '(remote unix (path-literal "/s"))', yes: [{ operation: 'network-outbound', path: '/s' }],            no: [{ operation: 'network-outbound', path: '/t' }, connect('127.0.0.1', 80)] },
    { filter: '(remote unix-socket (subpath "/d"))', yes: [{ operation: 'network-outbound', path: '/d/s' }],        no: [{ operation: 'network-outbound', path: '/s' }] },
    { filter: '(literal "/s")',                 yes: [{ operation: 'network-outbound', path: '/s' }],               no: [connect('127.0.0.1', 80)] },
    { filter: '(control-name "com.apple.netsrc")', yes: [{ operation: 'network-outbound', controlName: 'com.apple.netsrc' }], no: [connect('127.0.0.1', 80)] },
    { filter: '(socket-domain AF_INET6)',       yes: [{ ...connect('::1', 1), socketDomain: 30 }],                  no: [{ ...connect('127.0.0.1', 1), socketDomain: 2 }, connect('::1', 1)] },
  ] as { filter: string; yes: Request[]; no: Request[] }[])('$filter', ({ filter, yes, no }) => {
    const verdict = (request: Request) => decide(`(deny default)\n(allow network-outbound ${filter})`, request)
    expect(yes.filter(request => verdict(request) !== 'allow 3')).toEqual([])
    expect(no.filter(request => verdict(request) !== 'deny 2')).toEqual([])
  })
})

describe('filters on everything else', () => {
  test.each([
    { rule: 'mach-lookup (global-name "a" "b")',                  yes: { operation: 'mach-lookup', globalName: 'b' },                no: { operation: 'mach-lookup', globalName: 'c' } },
    { rule: 'mach-lookup (global-name-regex #"^com\\.x\\.")',     yes: { operation: 'mach-lookup', globalName: 'com.x.y' },          no: { operation: 'mach-lookup', globalName: 'comxxxy' } },
    { rule: 'mach-lookup (global-name-prefix "com.x.")',          yes: { operation: 'mach-lookup', globalName: 'com.x.y' },          no: { operation: 'mach-lookup', globalName: 'com.x' } },
    { rule: 'mach-lookup (local-name "a")',                       yes: { operation: 'mach-lookup', localName: 'a' },                 no: { operation: 'mach-lookup', globalName: 'a' } },
    { rule: 'mach-lookup (xpc-service-name "a")',                 yes: { operation: 'mach-lookup', xpcServiceName: 'a' },            no: { operation: 'mach-lookup', globalName: 'a' } },
    { rule: 'mach-register (global-name "a")',                    yes: { operation: 'mach-register', globalName: 'a' },              no: { operation: 'mach-lookup', globalName: 'a' } },
    { rule: 'signal (target self same-sandbox)',                  yes: { operation: 'signal', targets: ['others', 'same-sandbox'] }, no: { operation: 'signal', targets: ['others'] } },
    { rule: 'signal (signal-number SIGTERM)',                     yes: { operation: 'signal', signalNumber: 15 },                    no: { operation: 'signal', signalNumber: 9 } },
    { rule: 'sysctl-read (sysctl-name "hw.ncpu")',                yes: { operation: 'sysctl-read', sysctlName: 'hw.ncpu' },          no: { operation: 'sysctl-write', sysctlName: 'hw.ncpu' } },
    { rule: 'sysctl-read (sysctl-name-prefix "hw.")',             yes: { operation: 'sysctl-read', sysctlName: 'hw.ncpu' },          no: { operation: 'sysctl-read', sysctlName: 'kern.x' } },
    { rule: 'ipc-posix-shm-read* (ipc-posix-name "s")',           yes: { operation: 'ipc-posix-shm-read-data', ipcName: 's' },       no: { operation: 'ipc-posix-shm-write-data', ipcName: 's' } },
    { rule: 'ipc-posix-sem (ipc-posix-name-prefix "/x")',         yes: { operation: 'ipc-posix-sem-open', ipcName: '/xy' },          no: { operation: 'ipc-posix-sem-open', ipcName: '/y' } },
    { rule: 'iokit-open (iokit-user-client-class "C")',           yes: { operation: 'iokit-open-user-client', iokitClass: 'C' },     no: { operation: 'iokit-open-user-client', iokitClass: 'D' } },
    { rule: 'iokit-set-properties (iokit-property "p")',          yes: { operation: 'iokit-set-properties', iokitProperty: 'p' },    no: { operation: 'iokit-set-properties' } },
    { rule: 'file-read-xattr (xattr "q")',                        yes: { operation: 'file-read-xattr', path: '/x', xattr: 'q' },     no: { operation: 'file-read-xattr', path: '/x', xattr: 'r' } },
    { rule: 'file-read* (vnode-type DIRECTORY SYMLINK)',          yes: { operation: 'file-read-metadata', path: '/x', vnodeType: 'SYMLINK' }, no: { operation: 'file-read-metadata', path: '/x' } },
    { rule: 'file-read* (vnode-type REGULAR-FILE)',               yes: { operation: 'file-read-data', path: '/x' },                  no: { operation: 'file-read-data', path: '/x', vnodeType: 'FIFO' } },
    { rule: 'file-ioctl (tty)',                                   yes: { operation: 'file-ioctl', path: '/dev/ttys0', vnodeType: 'TTY' }, no: { operation: 'file-ioctl', path: '/dev/ttys0' } },
    { rule: 'file-read* (file-mode #o0004)',                      yes: { operation: 'file-read-data', path: '/x' },                  no: { operation: 'file-read-data', path: '/x', fileMode: 0o600 } },
    { rule: 'file-ioctl (ioctl-command DKIOCEJECT 17)',           yes: { operation: 'file-ioctl', path: '/x', command: 'DKIOCEJECT' }, no: { operation: 'file-ioctl', path: '/x', command: 'FIOCLEX' } },
    { rule: 'file-write-data (device-major 3)',                   yes: { operation: 'file-write-data', path: '/dev/x', deviceMajor: 3 }, no: { operation: 'file-write-data', path: '/dev/x' } },
    { rule: 'system-socket (require-all (socket-domain AF_SYSTEM) (socket-protocol 2))', yes: { operation: 'system-socket', socketDomain: 32, socketProtocol: 2 }, no: { operation: 'system-socket', socketDomain: 32, socketProtocol: 1 } },
    { rule: 'user-preference-read (preference-domain "d")',       yes: { operation: 'managed-preference-read', preferenceDomain: 'd' }, no: { operation: 'user-preference-write', preferenceDomain: 'd' } },
    { rule: 'appleevent-send (appleevent-destination "a")',       yes: { operation: 'appleevent-send', appleEventDestination: 'a' }, no: { operation: 'appleevent-send', appleEventDestination: 'b' } },
    { rule: 'file-read* (extension "e")',                         yes: { operation: 'file-read-data', path: '/x', extensions: ['e'] }, no: { operation: 'file-read-data', path: '/x' } },
    { rule: 'mach-lookup (require-entitlement "e")',              yes: { operation: 'mach-lookup', entitlements: ['e'] },            no: { operation: 'mach-lookup', globalName: 'e' } },
    { rule: 'file-read* (debug-mode)',                            yes: { operation: 'file-read-data', path: '/x', systemAttributes: ['sandbox-debug-mode'] }, no: { operation: 'file-read-data', path: '/x' } },
    { rule: 'file-read* (system-attribute apple-internal)',       yes: { operation: 'file-read-data', path: '/x', systemAttributes: ['apple-internal'] }, no: { operation: 'file-read-data', path: '/x' } },
    { rule: 'file-read* (process-path "/bin/ls")',                yes: { operation: 'file-read-data', path: '/x', processPath: '/bin/ls' }, no: { operation: 'file-read-data', path: '/bin/ls', processPath: '/bin/cat' } },
    { rule: 'file-read* (process-subpath "/bin")',                yes: { operation: 'file-read-data', path: '/x', processPath: '/bin/ls' }, no: { operation: 'file-read-data', path: '/bin/x' } },
    { rule: 'process-exec* (subpath "/bin")',                     yes: { operation: 'process-exec*', path: '/bin/ls' },              no: { operation: 'process-fork' } },
    { rule: 'system-fsctl (fsctl-command FSIOC_SYNC_VOLUME)',     yes: { operation: 'system-fsctl', command: 'FSIOC_SYNC_VOLUME' },  no: { operation: 'system-fsctl', command: 1 } },
  ] as { rule: string; yes: Request; no: Request }[])('$rule', ({ rule, yes, no }) => {
    expect(decide(`(deny default)\n(allow ${rule})`, yes)).toBe('allow 3')
    expect(decide(`(deny default)\n(allow ${rule})`, no)).toBe('deny 2')
  })
})

test('a system call is open until denied, by name or number', () => {
  expect(decide('(deny default)', { operation: 'syscall-unix', command: 'SYS_setsid' })).toBe('allow default')
  expect(decide('(deny default)\n(deny syscall-unix (syscall-number SYS_setsid 82))', { operation: 'syscall-unix', command: 'SYS_setsid' })).toBe('deny 3')
  expect(decide('(deny default)\n(deny syscall-unix (syscall-number SYS_setsid 82))', { operation: 'syscall-unix', command: 82 })).toBe('deny 3')
})

test('letters of regular expressions in either case, where that is asked for', () => {
  const rules = '(deny default)\n(allow file-read* (regex #"^/a[b-c]$"))\n(allow mach-lookup (global-name-regex #"^a$"))\n(allow file-read* (literal "/x"))'
  expect([read('/aB'), read('/X'), { operation: 'mach-lookup', globalName: 'A' }].map(request => decide(rules, request))).toEqual(['deny 2', 'deny 2', 'deny 2'])
  expect([read('/aB'), read('/X'), { operation: 'mach-lookup', globalName: 'A' }].map(request => decide(rules, request, { regexCase: 'ignored' }))).toEqual(['allow 3', 'deny 2', 'allow 4'])
})

test.each([
  { request: { operation: 'file-frobnicate' },                    error: { code: 'profile_invalid', field: 'operation' } },
  { request: { operation: 'file-read-data', path: 'x' },          error: { code: 'path_not_absolute', field: 'request.path' } },
  { request: { operation: 'file-read-data', path: '/a\0b' },      error: { code: 'path_invalid', field: 'request.path' } },
])('refused: the request $request', ({ request, error }) => {
  expect(() => decide('(allow default)', request)).toThrow(expect.objectContaining(error))
})
