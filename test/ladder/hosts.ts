// The ladder: hosts that lack layers, each with what is missing there, which rung holds, and what is refused or opened.
// One table for the tests, which take the layers away for real, and for docs/hosts.md, whose own table is made of it.
import { DEGRADATIONS, type DegradationName, type Rung } from '../../src/platform/launch-plan.js'
import type { LayerName } from '../../src/platform/linux/native/layers.js'
import type { Row } from '../conformance/table.js'
import type { HostWord } from '../support/poor-host.js'
import type { Reach } from './reaches.js'

/** What comes of workspace-write there. */
export type Outcome =
  | {
    readonly rung: Rung
    /** Accesses that the table denies and that are open. */
    readonly opens?: readonly (Row['access'] | Reach)[]
  }
  | {
    /** The layer that the error names. */
    readonly refused: LayerName
    /** Its reason, as the error gives it. */
    readonly reason: RegExp
  }

export interface Host {
  readonly name: string
  readonly without: readonly HostWord[]
  /** Beside that: in a container as Docker makes it. */
  readonly container?: true
  /** Not as root. */
  readonly asUser?: true
  readonly missing: readonly LayerName[]
  /** Landlock's version, where it is not this kernel's. */
  readonly abi?: number
  readonly asItIs: Outcome
  /** Where that refuses or a caller wants the other rung: with what is allowed by name. */
  readonly allowing?: { readonly names: readonly DegradationName[]; readonly outcome: Outcome }
}

const NAMESPACES: readonly LayerName[] = ['user-namespace', 'mount-namespace', 'pid-namespace', 'network-namespace', 'proc-mount']
const HELD: Outcome = { rung: 'namespaces' }
const SUPERVISED: Outcome = { rung: 'supervised' }

/** Without somebody who answers calls, no rung but that of namespaces is left, and that with unix sockets open. */
const WITHOUT_NOTIFICATION = { names: ['no-unix-socket-control'], outcome: { rung: 'namespaces', opens: ['unix-connect'] } } as const
const WITHOUT_LANDLOCK = { names: ['no-landlock'], outcome: { rung: 'namespaces' } } as const
const WITHOUT_OWN_PROC = { names: ['no-own-proc'], outcome: { rung: 'namespaces', opens: ['process-seen'] } } as const

export const HOSTS: readonly Host[] = [
  { name: 'everything is there', without: [], missing: [], asItIs: HELD },
  { name: 'everything is there, as a user', without: [], asUser: true, missing: [], asItIs: HELD },

  { name: 'user namespaces switched off (`user.max_user_namespaces=0`)', without: ['max_user_namespaces=0'], missing: NAMESPACES, asItIs: SUPERVISED },
  { name: 'user namespaces switched off (`user.max_user_namespaces=0`), as a user', without: ['max_user_namespaces=0'], asUser: true, missing: NAMESPACES, asItIs: SUPERVISED },
  { name: 'user namespaces nested 32 deep', without: ['nested-32-deep'], missing: NAMESPACES, asItIs: SUPERVISED },
  { name: 'user namespaces refused by a seccomp filter', without: ['no-user-namespaces'], missing: NAMESPACES, asItIs: SUPERVISED },
  { name: 'a chroot', without: ['chroot'], missing: NAMESPACES, asItIs: SUPERVISED },
  { name: 'a chroot, as a user', without: ['chroot'], asUser: true, missing: NAMESPACES, asItIs: SUPERVISED },
  { name: 'process namespaces switched off (`user.max_pid_namespaces=0`)', without: ['max_pid_namespaces=0'], missing: NAMESPACES, asItIs: SUPERVISED },
  { name: 'a container as Docker makes it', without: [], container: true, missing: [...NAMESPACES, 'descriptor-copy'], asItIs: SUPERVISED },
  { name: 'AppArmor restricts user namespaces (simulated)', without: ['apparmor-setting', 'no-power-in-namespaces'], asUser: true, missing: ['mount-namespace', 'network-namespace', 'proc-mount'], asItIs: SUPERVISED },
  { name: 'mounts refused by a seccomp filter', without: ['no-mounts'], missing: ['mount-namespace', 'proc-mount'], asItIs: SUPERVISED },
  { name: 'inside a Landlock domain of another program', without: ['landlock-domain'], missing: ['user-namespace', 'mount-namespace', 'proc-mount'], asItIs: SUPERVISED },
  { name: 'network namespaces switched off (`user.max_net_namespaces=0`)', without: ['max_net_namespaces=0'], missing: ['network-namespace'], asItIs: SUPERVISED },
  { name: 'a kernel without network namespaces', without: ['no-network-namespaces'], asUser: true, missing: ['network-namespace'], asItIs: SUPERVISED },

  { name: 'a `/proc` with hidden parts', without: ['masked-proc'], missing: ['proc-mount'], asItIs: SUPERVISED, allowing: WITHOUT_OWN_PROC },
  { name: 'a read-only `/proc/sys`', without: ['read-only-proc-sys'], asUser: true, missing: ['proc-mount'], asItIs: SUPERVISED, allowing: WITHOUT_OWN_PROC },
  { name: 'a read-only `/proc`', without: ['read-only-proc'], missing: ['user-namespace', 'proc-mount'], asItIs: SUPERVISED },
  { name: 'no `/proc`', without: ['no-proc'], missing: ['user-namespace', 'proc-mount', 'caller-memory'], asItIs: { refused: 'user-namespace', reason: /\/proc is not mounted/ } },
  { name: 'the `/proc` of another PID namespace', without: ['foreign-proc'], missing: ['caller-memory'], asItIs: { refused: 'caller-memory', reason: /another PID namespace/ }, allowing: WITHOUT_NOTIFICATION },
  { name: 'no control groups', without: ['no-cgroup'], missing: [], asItIs: HELD },

  { name: 'a kernel without Landlock', without: ['no-landlock'], missing: ['landlock'], asItIs: { refused: 'landlock', reason: /has no Landlock/ }, allowing: WITHOUT_LANDLOCK },
  { name: 'Landlock not in `lsm=`', without: ['landlock-off'], asUser: true, missing: ['landlock'], asItIs: { refused: 'landlock', reason: /not enabled at boot/ }, allowing: WITHOUT_LANDLOCK },
  ...[1, 2, 3, 4, 5, 6].map((abi): Host => ({ name: `Landlock ABI ${abi}`, without: [`landlock-abi=${abi}`], missing: [], abi, asItIs: HELD })),
  ...[1, 2, 3, 4, 5, 6].map((abi): Host => ({ name: `Landlock ABI ${abi}, no user namespaces`, without: [`landlock-abi=${abi}`, 'no-user-namespaces'], asUser: true, missing: NAMESPACES, abi, asItIs: SUPERVISED })),
  { name: 'neither Landlock nor user namespaces (gVisor)', without: ['no-landlock', 'no-user-namespaces'], missing: [...NAMESPACES, 'landlock'], asItIs: { refused: 'user-namespace', reason: /refuses namespaces/ } },
  { name: 'neither Landlock nor a `/proc` to mount', without: ['no-landlock', 'masked-proc'], missing: ['proc-mount', 'landlock'], asItIs: { refused: 'proc-mount', reason: /mounted over a part of \/proc/ }, allowing: { names: ['no-landlock', 'no-own-proc'], outcome: { rung: 'namespaces', opens: ['process-seen'] } } },

  { name: 'another listener for system calls already', without: ['listener'], missing: ['user-notification'], asItIs: { refused: 'user-notification', reason: /has the one listener/ }, allowing: WITHOUT_NOTIFICATION },
  { name: 'another listener, no user namespaces', without: ['listener', 'no-user-namespaces'], asUser: true, missing: [...NAMESPACES, 'user-notification'], asItIs: { refused: 'user-namespace', reason: /refuses namespaces/ } },
  { name: 'seccomp without notification (before Linux 5.0)', without: ['no-notification'], missing: ['user-notification'], asItIs: { refused: 'user-notification', reason: /cannot hand system calls over/ }, allowing: WITHOUT_NOTIFICATION },
  { name: 'seccomp notification before Linux 5.19', without: ['old-notification'], asUser: true, missing: ['user-notification'], asItIs: { refused: 'user-notification', reason: /cannot hand system calls over/ }, allowing: WITHOUT_NOTIFICATION },
  { name: 'a kernel without seccomp', without: ['no-seccomp'], missing: ['seccomp', 'user-notification'], asItIs: { refused: 'seccomp', reason: /no seccomp filters/ } },
  { name: 'a kernel without seccomp, as a user', without: ['no-seccomp'], asUser: true, missing: ['seccomp', 'user-notification'], asItIs: { refused: 'seccomp', reason: /no seccomp filters/ } },

  { name: 'processes may not be looked into', without: ['no-memory-reads'], missing: ['caller-memory'], asItIs: { refused: 'caller-memory', reason: /refuses process_vm_readv/ }, allowing: WITHOUT_NOTIFICATION },
  { name: 'processes may not be looked into, no user namespaces', without: ['no-memory-reads', 'no-user-namespaces'], missing: [...NAMESPACES, 'caller-memory'], asItIs: { refused: 'user-namespace', reason: /refuses namespaces/ } },
  { name: 'no pidfd_getfd(2)', without: ['no-descriptor-copies'], missing: ['descriptor-copy'], asItIs: HELD },
  { name: 'no pidfd_getfd(2), no user namespaces', without: ['no-descriptor-copies', 'no-user-namespaces'], missing: [...NAMESPACES, 'descriptor-copy'], asItIs: SUPERVISED },
]

/** The table of docs/hosts.md: a line a host. What differs in nothing but the user, or Landlock's version, is one. */
export function hostTable(): string {
  const lines = new Map<string, string[]>()
  for (const host of HOSTS) {
    const cells = `${missingWords(host.missing)} | ${outcomeWords(host.asItIs)} | ${host.allowing === undefined ? '' : allowingWords(host.allowing)} |`
    const name = host.name.replace(/, as a user$/, '').replace(/^Landlock ABI \d/, 'Landlock ABI 1 to 6')
    lines.set(cells, [...new Set([...lines.get(cells) ?? [], name])])
  }
  return ['| host | missing | workspace-write there | what else a caller can say |', '|---|---|---|---|', ...[...lines].map(([cells, names]) => `| ${names.join('; ')} | ${cells}`)].join('\n')
}

const missingWords = (missing: readonly LayerName[]): string =>
  missing.length === 0 ? 'nothing' : [...NAMESPACES.every(layer => missing.includes(layer)) ? ['every namespace'] : missing.filter(layer => NAMESPACES.includes(layer)), ...missing.filter(layer => !NAMESPACES.includes(layer))].map(word => word.includes(' ') ? word : `\`${word}\``).join(', ')

const outcomeWords = (outcome: Outcome): string => 'refused' in outcome ? `refused: \`${outcome.refused}\`` : outcome.rung

const allowingWords = ({ names, outcome }: NonNullable<Host['allowing']>): string =>
  `${names.map(name => `\`${name}\``).join(' and ')}: ${outcomeWords(outcome)}; ${names.map(name => DEGRADATIONS[name]).join('; ')}`
