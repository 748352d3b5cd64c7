// What a command that wants out would try on a Mac, call by call, in a model of its kernel. Each attempt has a twin that must work.
import { describe, expect, test } from 'vitest'
import { compileProfile } from '../../../../src/platform/macos/compile.js'
import type { Request } from '../../../../src/platform/macos/sbpl/request.js'
import type { NetworkEndpoints } from '../../../../src/platform/backend.js'
import { presetPolicy } from '../../../../src/policy/presets.js'
import { resolve } from '../../../../src/policy/resolve.js'
import type { SandboxPolicy } from '../../../../src/policy/sandbox-policy.js'
import { socket, symlink, type Tree } from '../../../support/fake-host.js'
import { MAC_TREE, MAC_WORK, macHost } from '../../../support/macos-host.js'
import { SeatbeltModel } from '../../../support/seatbelt-model.js'

const users = MAC_TREE['Users'] as Tree
const me = users['me'] as Tree
const privateFolder = MAC_TREE['private'] as Tree
const W = '/Users/me/work'

const HOST = macHost({
  ...MAC_TREE,
  Users: { ...users, me: { ...me, work: { ...MAC_WORK, 'later.key': '', empty: {}, 'app.sock': socket(), out: symlink('/Users/them') }, work2: { file: '' }, '.docker': { run: { 'docker.sock': socket() } } } },
  private: { ...privateFolder, tmp: { 'com.apple.launchd.abc': { Listeners: socket() }, 'tmux-501': { default: socket() }, scratch: {}, 'plain.txt': '' }, var: { ...privateFolder['var'] as Tree, run: { mDNSResponder: socket(), 'docker.sock': socket(), syslog: socket() } } },
})
const NO_GIT = macHost({ ...MAC_TREE, Users: { ...users, me: { ...me, work: { src: {}, 'g.txt': '' } } } })

function model(changes: Partial<SandboxPolicy> = {}, { on = HOST, endpoints }: { on?: typeof HOST; endpoints?: NetworkEndpoints } = {}): SeatbeltModel {
  const policy = resolve({ ...presetPolicy(changes.mode ?? 'workspace-write', 'library'), ...changes }, on)
  return new SeatbeltModel(compileProfile(policy, endpoints), on)
}

const DENIED = model({ deny: ['deep/er/secret.txt', '**/*.pem', 'vault'], read: ['src'] })
const PLAIN = model()
/** Its pattern begins above every firmlink. */
const KEYS = model({ deny: ['/*/*/*.key'] })
const FRESH = model({}, { on: NO_GIT })
const OPEN = model({ network: 'open' })
const PROXIED = model({ network: 'open' }, { endpoints: { proxyPorts: [8888] } })
const LOOPBACK = model({}, { endpoints: { localBinding: true } })
const RESTRICTED = model({ readAccess: { kind: 'restricted', includePlatformDefaults: true, readableRoots: [] }, denySecrets: false })

interface Attempt {
  readonly name: string
  readonly escapes: () => boolean
  /** Like it, and right. */
  readonly works: () => boolean
}

const attempts: readonly Attempt[] = [
  // A denied path, by another path.
  { name: 'read a denied file after moving the folder above it', escapes: () => DENIED.rename(`${W}/deep`, `${W}/moved`), works: () => DENIED.rename(`${W}/empty`, `${W}/moved`) },
  { name: 'read a denied file after moving the folder that holds it', escapes: () => DENIED.rename(`${W}/deep/er`, `${W}/moved`), works: () => DENIED.rename(`${W}/deep/er/open.txt`, `${W}/open.txt`) },
  { name: 'exchange the folder above with another', escapes: () => DENIED.swap(`${W}/deep`, `${W}/empty`), works: () => DENIED.swap(`${W}/empty`, `${W}/id.key`) },
  { name: 'move a denied file itself', escapes: () => DENIED.rename(`${W}/deep/er/secret.txt`, `${W}/x`), works: () => DENIED.rename(`${W}/id.key`, `${W}/x`) },
  { name: 'link to a denied file', escapes: () => DENIED.link(`${W}/deep/er/secret.txt`, `${W}/x`), works: () => DENIED.link(`${W}/id.key`, `${W}/x`) },
  { name: 'clone a denied file', escapes: () => DENIED.clone(`${W}/deep/er/secret.txt`, `${W}/x`), works: () => DENIED.clone(`${W}/id.key`, `${W}/x`) },
  { name: 'clone the folder above it', escapes: () => DENIED.clone(`${W}/deep`, `${W}/x`), works: () => DENIED.clone('/usr/bin/env', `${W}/x`) },
  { name: 'read its resource fork', escapes: () => DENIED.operation('file-read-data', `${W}/deep/er/secret.txt/..namedfork/rsrc`), works: () => DENIED.operation('file-read-data', `${W}/id.key/..namedfork/rsrc`) },
  { name: 'read it by the data volume', escapes: () => DENIED.open(`/System/Volumes/Data${W}/deep/er/secret.txt`, 'read'), works: () => DENIED.open(`/System/Volumes/Data${W}/id.key`, 'read') },
  {
    name: 'the same, if the kernel kept that path', escapes: () => ['/deep/er/secret.txt', '/DEEP/er/secret.txt', '/x/y.pem'].some(path => DENIED.operation('file-read-data', `/System/Volumes/Data${W}${path}`)),
    works: () => DENIED.operation('file-read-data', `/System/Volumes/Data${W}/id.key`),
  },
  {
    name: 'the same, where a glob begins with a star', escapes: () => KEYS.operation('file-read-data', '/Users/me/a.key') || KEYS.operation('file-read-data', '/System/Volumes/Data/Users/me/a.key'),
    works: () => KEYS.operation('file-read-data', '/System/Volumes/Data/Users/me/a.txt') && KEYS.operation('file-read-data', `/System/Volumes/Data${W}/id.key`),
  },
  { name: 'read it in other letters', escapes: () => DENIED.open('/users/ME/WORK/Deep/ER/SECRET.TXT', 'read'), works: () => DENIED.open('/users/ME/WORK/ID.KEY', 'read') },
  { name: 'make what a glob denies', escapes: () => DENIED.create(`${W}/src/../x.PEM`), works: () => DENIED.create(`${W}/x.pen`) },
  { name: 'make what is denied and not there, in other letters', escapes: () => DENIED.create(`${W}/Vault`), works: () => DENIED.create(`${W}/vaults`) },
  { name: 'its metadata', escapes: () => DENIED.operation('file-read-metadata', `${W}/deep/er/secret.txt`), works: () => DENIED.operation('file-read-metadata', `${W}/deep/er`) },
  { name: 'its extended attributes', escapes: () => DENIED.operation('file-read-xattr', `${W}/deep/er/secret.txt`), works: () => DENIED.operation('file-read-xattr', `${W}/id.key`) },
  { name: 'run a denied program', escapes: () => DENIED.allows('execute', `${W}/vault/tool`), works: () => DENIED.allows('execute', `${W}/run`) },
  { name: 'load a denied library', escapes: () => DENIED.operation('file-map-executable', `${W}/vault/x.dylib`), works: () => DENIED.operation('file-map-executable', '/usr/lib/libSystem.B.dylib') },
  { name: 'read keys', escapes: () => PLAIN.open('/Users/me/.ssh/id_ed25519', 'read'), works: () => PLAIN.open('/Users/me/.ssh/id_ed25519.pub', 'read') },
  { name: 'read the keychain\'s file', escapes: () => PLAIN.open('/Users/me/Library/Keychains/login.keychain-db', 'read'), works: () => PLAIN.open('/Users/me/.gitconfig', 'read') },
  { name: 'read what no rule lets read', escapes: () => RESTRICTED.open('/Users/them/notes', 'read'), works: () => RESTRICTED.open('/private/etc/hosts', 'read') },
  { name: 'list a home folder on the way to the workspace', escapes: () => RESTRICTED.open('/Users/me', 'read'), works: () => RESTRICTED.operation('file-read-metadata', '/Users/me') },

  // A protected name.
  ...['.git', '.GIT', '.Git', '.codex', '.CODEX', '.agents', '.agent\u017f', '.AGENT\u017f'].map((name): Attempt => (
    { name: `make ${name} where it is missing`, escapes: () => FRESH.create(`${W}/${name}`), works: () => FRESH.create(`${W}/${name}ignore`) }
  )),
  { name: 'move a folder to a protected name', escapes: () => FRESH.rename(`${W}/src`, `${W}/.Git`), works: () => FRESH.rename(`${W}/src`, `${W}/git`) },
  { name: 'link to a protected name', escapes: () => FRESH.link(`${W}/g.txt`, `${W}/.GIT`), works: () => FRESH.link(`${W}/g.txt`, `${W}/g2.txt`) },
  { name: 'exchange with a protected name', escapes: () => PLAIN.swap(`${W}/.git`, `${W}/empty`), works: () => PLAIN.swap(`${W}/src`, `${W}/empty`) },
  { name: 'move the protected folder away', escapes: () => PLAIN.rename(`${W}/.git`, `${W}/old`), works: () => PLAIN.rename(`${W}/src`, `${W}/old`) },
  { name: 'rename it in other letters', escapes: () => PLAIN.rename(`${W}/.git`, `${W}/.GIT`), works: () => PLAIN.rename(`${W}/src`, `${W}/SRC`) },
  { name: 'write a hook by the data volume, in other letters', escapes: () => PLAIN.create('/System/Volumes/Data/Users/ME/work/.GIT/hooks/post-commit'), works: () => PLAIN.create('/System/Volumes/Data/Users/ME/work/SRC/post-commit') },
  { name: 'link to a hook and write there', escapes: () => PLAIN.link(`${W}/.git/hooks/pre-commit`, `${W}/x`), works: () => PLAIN.link(`${W}/src/a.ts`, `${W}/x`) },
  { name: 'move the root with it', escapes: () => PLAIN.rename(W, '/private/tmp/x'), works: () => PLAIN.rename(`${W}/src`, '/private/tmp/x') },
  ...['file-write-mode', 'file-write-owner', 'file-write-flags', 'file-write-times', 'file-write-xattr', 'file-write-acl', 'file-write-data', 'file-write-unlink', 'file-write-create', 'file-link'].map((operation): Attempt => (
    { name: `${operation} on a protected file`, escapes: () => PLAIN.operation(operation, `${W}/.git/config`), works: () => PLAIN.operation(operation, `${W}/src/a.ts`) }
  )),
  { name: 'make a name that HFS+ takes for .git', escapes: () => FRESH.create(`${W}/.g\u200cit`) || FRESH.create(`${W}/\u200d.git`) || FRESH.create(`${W}/.git\ufeff`), works: () => FRESH.create(`${W}/\u{1f468}\u200d\u{1f469}\u200d\u{1f467}.png`) },
  { name: 'a file that is set-user-id', escapes: () => PLAIN.operation('file-write-setugid', `${W}/run`), works: () => PLAIN.operation('file-write-mode', `${W}/run`) },
  { name: 'a device node', escapes: () => PLAIN.operation('file-mknod', `${W}/disk`), works: () => PLAIN.asks({ operation: 'file-write-create', path: `${W}/pipe`, vnodeType: 'FIFO' }) },

  // What lies outside of every root.
  { name: 'a folder whose name begins like the root\'s', escapes: () => PLAIN.open('/Users/me/work2/file', 'write'), works: () => PLAIN.open(`${W}/src/a.ts`, 'write') },
  { name: 'through a link that leads out', escapes: () => PLAIN.create(`${W}/out/x`), works: () => PLAIN.open(`${W}/out/notes`, 'read') },
  { name: 'link to a file outside and write there', escapes: () => PLAIN.link('/Users/me/.gitconfig', `${W}/x`), works: () => PLAIN.clone('/Users/me/.gitconfig', `${W}/x`) },
  { name: 'remove the root', escapes: () => PLAIN.unlink(W), works: () => PLAIN.unlink(`${W}/empty`) },
  { name: 'start with the next login', escapes: () => PLAIN.create('/Users/me/Library/LaunchAgents/x.plist'), works: () => PLAIN.create(`${W}/x.plist`) },
  { name: 'a start-up file of the shell', escapes: () => PLAIN.create('/Users/me/.zshenv'), works: () => PLAIN.create('/private/tmp/.zshenv') },

  // Devices.
  ...['/dev/disk0', '/dev/rdisk1s2', '/dev/ttys001', '/dev/bpf0', '/dev/mem', '/dev/auditpipe', '/dev/fsevents'].map((path): Attempt => (
    { name: `read ${path}`, escapes: () => PLAIN.asks({ operation: 'file-read-data', path, vnodeType: 'CHARACTER-DEVICE' }), works: () => PLAIN.asks({ operation: 'file-read-data', path: '/dev/urandom', vnodeType: 'CHARACTER-DEVICE' }) }
  )),
  {
    name: 'type into the user\'s terminal', escapes: () => PLAIN.asks({ operation: 'file-ioctl', path: '/dev/ttys001', vnodeType: 'CHARACTER-DEVICE' }),
    works: () => PLAIN.asks({ operation: 'file-ioctl', path: '/dev/ttys009', vnodeType: 'CHARACTER-DEVICE', extensions: ['com.apple.sandbox.pty'] }),
  },
  { name: 'a file in place of /dev/null', escapes: () => PLAIN.asks({ operation: 'file-write-data', path: '/dev/null', vnodeType: 'REGULAR-FILE' }), works: () => PLAIN.asks({ operation: 'file-write-data', path: '/dev/null', vnodeType: 'CHARACTER-DEVICE' }) },
  { name: 'make a node in /dev', escapes: () => PLAIN.create('/dev/x'), works: () => PLAIN.open('/dev/fd/0', 'read') },

  // Unix sockets: file rules say nothing about them.
  ...['/private/var/run/docker.sock', '/var/run/docker.sock', '/Users/me/.docker/run/docker.sock', '/private/tmp/com.apple.launchd.abc/Listeners', '/tmp/tmux-501/default', `${W}/app.sock`, '/private/var/run/syslog'].flatMap(path => [PLAIN, OPEN, PROXIED, LOOPBACK].map((each, index): Attempt => (
    { name: `connect to ${path}, network ${['off', 'open', 'proxied', 'loopback'][index]}`, escapes: () => each.connectUnix(path), works: () => OPEN.connectUnix('/private/var/run/mDNSResponder') }
  ))),
  { name: 'connect past the one socket that was allowed', escapes: () => model({}, { endpoints: { unixSockets: ['/private/tmp/tmux-501'] } }).connectUnix('/private/var/run/docker.sock'), works: () => model({}, { endpoints: { unixSockets: ['/private/tmp/tmux-501'] } }).connectUnix('/tmp/tmux-501/default') },
  { name: 'the resolver through a folder of allowed sockets, behind a proxy', escapes: () => model({}, { endpoints: { proxyPorts: [1], unixSockets: ['/private/var/run'] } }).connectUnix('/private/var/run/mDNSResponder'), works: () => model({}, { endpoints: { proxyPorts: [1], unixSockets: ['/private/var/run'] } }).connectUnix('/private/var/run/docker.sock') },

  // The network.
  { name: 'any address with the network off', escapes: () => PLAIN.connect('1.1.1.1', 443) || PLAIN.connect('127.0.0.1', 8080) || PLAIN.connect('::1', 8080) || PLAIN.bind('0.0.0.0', 80), works: () => OPEN.connect('1.1.1.1', 443) && OPEN.bind('0.0.0.0', 8080) },
  { name: 'past the proxy', escapes: () => PROXIED.connect('1.1.1.1', 8888) || PROXIED.connect('127.0.0.1', 8889) || PROXIED.connect('10.0.0.1', 443), works: () => PROXIED.connect('127.0.0.1', 8888) && PROXIED.connect('::1', 8888) },
  { name: 'datagrams to the proxy\'s port', escapes: () => PROXIED.connect('127.0.0.1', 8888, 'udp'), works: () => PROXIED.connect('127.0.0.1', 8888, 'tcp') },
  { name: 'ask a resolver behind a proxy', escapes: () => PROXIED.connect('8.8.8.8', 53, 'udp') || PROXIED.connect('127.0.0.1', 53, 'udp') || PROXIED.connectUnix('/private/var/run/mDNSResponder'), works: () => OPEN.connect('8.8.8.8', 53, 'udp') },
  { name: 'a resolver on the loopback', escapes: () => LOOPBACK.connect('127.0.0.1', 53, 'udp') || LOOPBACK.connect('127.0.0.1', 53), works: () => LOOPBACK.connect('127.0.0.1', 3000) && LOOPBACK.bind('0.0.0.0', 3000) && LOOPBACK.accept('127.0.0.1', 3000) },
  { name: 'serve the network with a loopback alone', escapes: () => LOOPBACK.accept('192.168.1.5', 3000) || LOOPBACK.connect('192.168.1.5', 3000), works: () => OPEN.accept('192.168.1.5', 3000) },
  { name: 'a raw control socket with the network off', escapes: () => PLAIN.asks({ operation: 'system-socket', socketDomain: 32, socketProtocol: 2 }), works: () => OPEN.asks({ operation: 'system-socket', socketDomain: 32, socketProtocol: 2 }) },

  // Services of the system, and what starts programs outside.
  ...[
    'com.apple.SecurityServer', 'com.apple.securityd.xpc', 'com.apple.coreservices.launchservicesd', 'com.apple.coreservices.appleevents', 'com.apple.coreservices.quarantine-resolver', 'com.apple.lsd.mapdb', 'com.apple.pasteboard.1', 'com.apple.windowserver.active',
    'com.apple.tccd', 'com.apple.dock.server', 'com.apple.diskarbitrationd', 'com.apple.diskimagesiod', 'com.apple.xpc.launchd.domain.system', 'com.apple.FSEvents', 'com.apple.metadata.mds', 'com.apple.usernoted.client', 'com.apple.nsurlsessiond', 'com.apple.screencapture.interactive',
    'com.apple.accessibility.mediaaccessibilityd', 'com.apple.touchbar.agent', 'com.apple.cfprefsd.agent.x', 'com.apple.trustd',
  ].map((service): Attempt => ({ name: `the service ${service}`, escapes: () => PLAIN.lookup(service), works: () => PLAIN.lookup('com.apple.system.opendirectoryd.libinfo') })),
  { name: 'the keychain with the network open', escapes: () => OPEN.lookup('com.apple.SecurityServer'), works: () => OPEN.lookup('com.apple.trustd.agent') },
  { name: 'an xpc service of an application', escapes: () => PLAIN.asks({ operation: 'mach-lookup', xpcServiceName: 'com.apple.Terminal.helper' }), works: () => PLAIN.lookup('com.apple.cfprefsd.agent') },
  { name: 'open -a Terminal', escapes: () => PLAIN.asks({ operation: 'lsopen' }), works: () => PLAIN.asks({ operation: 'process-fork' }) },
  { name: 'osascript', escapes: () => PLAIN.asks({ operation: 'appleevent-send', appleEventDestination: 'com.apple.finder' }), works: () => PLAIN.allows('execute', '/usr/bin/osascript') },
  { name: 'launchctl submit', escapes: () => PLAIN.asks({ operation: 'job-creation' }), works: () => PLAIN.asks({ operation: 'pseudo-tty' }) },
  { name: 'settings of other programs', escapes: () => PLAIN.asks({ operation: 'user-preference-read', preferenceDomain: 'com.googlecode.iterm2' }), works: () => PLAIN.asks({ operation: 'user-preference-read', preferenceDomain: 'kCFPreferencesAnyApplication' }) },
  { name: 'change a setting', escapes: () => PLAIN.asks({ operation: 'user-preference-write', preferenceDomain: 'kCFPreferencesAnyApplication' }), works: () => PLAIN.asks({ operation: 'ipc-posix-shm-read-data', ipcName: 'apple.cfprefs.501v1' }) },

  // Other processes.
  { name: 'signal a process outside', escapes: () => PLAIN.asks({ operation: 'signal', targets: ['others'] }), works: () => PLAIN.asks({ operation: 'signal', targets: ['same-sandbox', 'others'] }) },
  { name: 'look at a process outside', escapes: () => PLAIN.asks({ operation: 'process-info-pidinfo', targets: ['others'] }), works: () => PLAIN.asks({ operation: 'process-info-pidinfo', targets: ['same-sandbox'] }) },
  { name: 'arguments and environments of others', escapes: () => PLAIN.asks({ operation: 'sysctl-read', sysctlName: 'kern.procargs2' }), works: () => PLAIN.asks({ operation: 'sysctl-read', sysctlName: 'kern.osrelease' }) },
  { name: 'the task of another process', escapes: () => PLAIN.asks({ operation: 'mach-priv-task-port', targets: ['others'] }) || PLAIN.asks({ operation: 'mach-task-read', targets: ['others'] }), works: () => PLAIN.asks({ operation: 'process-info-rusage', targets: ['same-sandbox'] }) },
  { name: 'memory that another program shares', escapes: () => PLAIN.asks({ operation: 'ipc-posix-shm-read-data', ipcName: '/com.example.app' }) || PLAIN.asks({ operation: 'ipc-posix-shm-write-data', ipcName: 'apple.cfprefs.501v1' }), works: () => PLAIN.asks({ operation: 'ipc-posix-shm-write-create', ipcName: '/psm_12ab' }) },
  { name: 'a sysctl of the kernel', escapes: () => PLAIN.asks({ operation: 'sysctl-write', sysctlName: 'kern.maxproc' }) || PLAIN.asks({ operation: 'sysctl-read', sysctlName: 'kern.bootargs' }), works: () => PLAIN.asks({ operation: 'sysctl-write', sysctlName: 'kern.grade_cputype' }) },
  ...(['iokit-open-user-client', 'nvram-get', 'fs-snapshot-mount', 'file-mount', 'file-chroot', 'file-search', 'system-kext-load', 'device-camera', 'device-microphone', 'hid-control', 'mach-register', 'authorization-right-obtain', 'process-exec-interpreter'] as const).map((operation): Attempt => (
    { name: operation, escapes: () => DENIED.asks({ operation, path: `${W}/vault/x` } satisfies Request), works: () => PLAIN.asks({ operation: 'process-exec-interpreter', path: '/bin/sh' }) }
  )),
]

describe('attempts to get out', () => {
  test.each(attempts)('$name', ({ escapes, works }) => {
    expect([escapes(), works()]).toEqual([false, true])
  })
})
