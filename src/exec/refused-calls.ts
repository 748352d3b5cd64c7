// Why a system call is refused, and what to do instead, for people and models.
import type { ResolvedPolicy } from '../policy/resolved-policy.js'
import type { Remedy } from '../policy/decision.js'

interface RefusedCallRow {
  /** Of what the launcher calls it: native/linux/refuse.c. */
  readonly call: RegExp
  readonly because: string
  readonly instead: string
  /** With the network open it is not refused; of what sends, the proxy is the better way. */
  readonly network?: 'sends' | 'serves'
}

const KEEP_OWNER = 'leave owners as they are (tar --no-same-owner, cp -r, rsync -rlpt, install without -o, -g), or set them outside'
const KEEP_IDENTITY = 'stay the user that you are; apt-get, dpkg, su, sudo and daemons that drop their rights belong outside (pip, npm and the like work inside)'

const REFUSED_CALLS: readonly RefusedCallRow[] = [
  { call: /^(?:u?mount|mount_|umount2|pivot_root|move_mount|open_tree|fs(?:open|config|mount|pick)$)/, because: 'protected and denied paths hang on mounts',
    instead: 'do without a mount, or make it outside the sandbox' },
  { call: /^chroot$/, because: 'commands have no privilege that it needs', instead: 'do without it' },
  { call: /^(?:unshare|clone)\(|^setns$/, because: 'no namespaces are made inside a sandbox',
    instead: 'switch the program\'s own sandbox off (Chromium: --no-sandbox; bubblewrap and the like: run what they wrap), as this one holds it' },
  { call: /^(?:add_key|request_key|keyctl)$/, because: 'keyrings are the host session\'s', instead: 'keep keys in a file, or hand them over in a variable' },
  { call: /^seccomp\(/, because: 'the kernel permits one listener for a process, and the sandbox has it (EBUSY)', instead: 'use a filter that answers by itself: SECCOMP_RET_ERRNO, SECCOMP_RET_TRAP' },
  { call: /^(?:bpf|perf_event_open|userfaultfd|io_uring_\w+|fanotify_init|open_by_handle_at)$/, because: 'it reaches further into the kernel than a sandbox can watch',
    instead: 'switch it off where the program has a choice: most fall back by themselves' },
  { call: /^(?:kill|fcntl\(F_SETOWN\)|prlimit64|ptrace|setpriority|ioprio_set|sched_\w+)$/, because: 'it is about a process outside of the command', instead: 'leave other processes alone' },
  { call: /^(?:shm|sem|msg)get$|^mq_open$/, because: 'without an ipc namespace it would be the machine\'s',
    instead: 'use memory and semaphores by name (shm_open, sem_open), pipes or unix sockets, or run it where namespaces can be made (codex-sandbox doctor says what is missing)' },
  { call: /^(?:l|f)?chown(?:at)?\(.*, not mapped\)$/, because: 'the uid map of the sandbox has one user and one group, and no file can be given to another', instead: KEEP_OWNER },
  { call: /^(?:l|f)?chown(?:at)?\(/, because: 'commands have no capability to give files to another user or group', instead: KEEP_OWNER },
  { call: /^set(?:res|re)?[ug]id\(.*, not mapped\)$/, because: 'the uid map of the sandbox has one user and one group', instead: KEEP_IDENTITY },
  { call: /^set(?:res|re)?[ug]id\(|^setgroups$/, because: 'commands have one user and one group, and no capability to take others', instead: KEEP_IDENTITY },
  { call: /\(S_ISUID\)$/, because: 'a set-user-ID program would run as this user for everybody on the host', instead: 'leave the bit out, or set it outside the sandbox' },
  { call: /^socket\w*\(AF_UNIX, /, because: 'unix datagrams reach sockets outside without a connection', instead: 'use SOCK_STREAM or SOCK_SEQPACKET' },
  { call: /^socket\(AF_INET6?, SOCK_DGRAM/, because: 'the network is off', instead: 'turn the network on: networkAccess', network: 'sends' },
  { call: /^socket\(AF_INET6?, SOCK_STREAM/, because: 'the network is off, and this kernel\'s Landlock cannot keep TCP inside', instead: 'turn the network on: networkAccess', network: 'sends' },
  { call: /^(?:bind\(|listen$)/, because: 'without a network namespace there is no loopback of the sandbox\'s own to serve on',
    instead: 'serve on a unix socket, run it where namespaces can be made (codex-sandbox doctor says what is missing), or turn the network on: networkAccess', network: 'serves' },
  { call: /^socket\w*\(/, because: 'only unix, TCP, UDP and route netlink sockets are known to stay inside', instead: 'do without it' },
]

const OTHERS: Omit<RefusedCallRow, 'call'> = { because: 'it administers the host', instead: 'do it outside the sandbox' }

/** Without a namespace there are no sockets but for what leads to the proxy; names, too, are looked up there. */
function pastProxy(call: string): { message: string; remedy: Remedy } {
  return { message: `system call ${call} denied: only the proxy leads out, by TCP, and it looks names up. Instead: ${PAST_PROXY}.`, remedy: { text: PAST_PROXY, flags: [], changes: [] } }
}

/** What to do with a program that goes past the proxy. */
export const PAST_PROXY = 'let the program use the proxy that HTTPS_PROXY names, or CODEX_SANDBOX_SOCKS_PROXY (node\'s own fetch and http do so from 22.21 and 24.5 on, before that undici\'s EnvHttpProxyAgent does)'

/** As the kernel cuts the launcher's name. */
const LAUNCHER_NAME = 'codex-sandbox-l'
/** Of a launcher that is one of the command's own: nothing is to be switched off there. */
const NESTED: Omit<RefusedCallRow, 'call'> = {
  because: 'no sandbox is made inside another', instead: 'run the command without its own, as this one holds it, or give the inner one --allow-degraded outer-sandbox',
}

/**
 * A denied call as one line, and what would help.
 *
 * @param program  that made it, where it is known; its own word, and so never a reason to leave the denial out
 */
export function explainRefusedCall({ network }: ResolvedPolicy, call: string, program?: string): { message: string; remedy: Remedy } {
  const { because, instead, network: byNetwork } = (program === LAUNCHER_NAME ? NESTED : REFUSED_CALLS.find(row => row.call.test(call))) ?? OTHERS
  if (byNetwork === 'sends' && network === 'proxied') return pastProxy(call)
  const opens = byNetwork !== undefined && network === 'off'
  return {
    message: `system call ${call} denied: ${because}. ${opens ? 'To allow' : 'Instead'}: ${instead}.`,
    remedy: opens
      ? { text: instead, flags: ['--network', 'open'], changes: [{ operation: 'set', field: 'networkAccess', value: true }], additionalPermissions: { network: { enabled: true } } }
      : { text: instead, flags: [], changes: [] },
  }
}
