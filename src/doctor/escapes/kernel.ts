// Attempts on processes outside and on the kernel's own interfaces.
import { spawn, spawnSync } from 'node:child_process'
import { existsSync, readlinkSync, writeFileSync } from 'node:fs'
import { type EscapeAttempt, IN_REPOSITORY, node, pause, python, pythonOnTerminal, type Scene, sh, textOf } from './attempt.js'

/** Root's own processes would be out of reach by their capabilities alone, which no command has, whatever the sandbox does. */
const WITHOUT_CAPABILITIES = process.getuid?.() === 0 && spawnSync('setpriv', ['--bounding-set', '-all', '--inh-caps', '-all', 'true']).status === 0

/** CAP_SETPCAP; what is not root's is lost at the launcher's exec. */
const MAY_EMPTY_BOUNDING_SET = process.getuid?.() === 0 && (Number.parseInt(/^CapEff:\t[0-9a-f]*([0-9a-f])[0-9a-f]{2}$/m.exec(textOf('/proc/self/status'))?.[1] ?? '0', 16) & 1) === 1

const capabilitiesIn = (sets: string) => sh(`grep -E "^Cap(${sets}):" /proc/self/status | grep -qv "0000000000000000$" && grep ^Cap /proc/self/status >> "$LEAK"; grep -q "^NoNewPrivs:.1" /proc/self/status || echo "no_new_privs is not set" >> "$LEAK"; grep -q "^Seccomp:.2" /proc/self/status || echo "no filter" >> "$LEAK"; :`)

/** A process of the same user outside, with no more rights than commands have, which must live on untouched. */
function hostProcess(scene: Scene): void {
  const child = WITHOUT_CAPABILITIES ? spawn('setpriv', ['--bounding-set', '-all', '--inh-caps', '-all', 'sleep', '60'], { stdio: 'ignore', detached: true })
    : spawn('sleep', ['60'], { stdio: 'ignore', detached: true })
  child.unref()
  scene.notes.set('pid', String(child.pid))
  scene.defer(() => { child.kill('SIGKILL') })
}

/** Its state letter and tracer, or that it is gone. */
function hostProcessTouched(scene: Scene): string | undefined {
  const status = textOf(`/proc/${scene.notes.get('pid')}/status`)
  if (!/^State:\s[SRD]/m.test(status)) return 'the process outside was ended or stopped'
  return /^TracerPid:\s0$/m.test(status) ? undefined : 'the process outside is being traced'
}

/** process_vm_readv(2) and process_vm_writev(2), at the head of a program, wherever it may lie: where nothing is mapped there is nothing to read. */
const REACH_MEMORY = `
def reach_memory(pid):
    for address in (0x400000, 0x555555554000, int(open('/proc/self/maps').read(16).split('-')[0], 16)):
        for number in (${process.arch === 'arm64' ? '270, 271' : '310, 311'}):
            buffer = ctypes.create_string_buffer(8)
            local = (ctypes.c_size_t * 2)(ctypes.addressof(buffer), 8)
            remote = (ctypes.c_size_t * 2)(address, 8)
            ctypes.set_errno(0)
            result = syscall(number, pid, local, 1, remote, 1, 0)
            # EFAULT: the kernel would have let it, had there been memory.
            if result > 0 or ctypes.get_errno() == errno.EFAULT: leak(f'call {number} reached memory of {pid}')
`

/** That, and by a descriptor of the process. */
const REACH_PROCESS = `${REACH_MEMORY}
def reach_process(pid):
    try:
        descriptor = os.pidfd_open(pid)
        for number in range(8):
            if syscall(438, descriptor, number, 0) >= 0: leak(f'took descriptor {number} of {pid}')
    except (OSError, AttributeError): pass
    reach_memory(pid)
`

/** The same by way of /proc. The numbers in fd may be listed by their owner; what they lead to may not be seen nor opened. */
const REACH_THROUGH_PROC = `
def reach_through_proc(pid):
    for name in ('environ', 'maps', 'mem', 'auxv', 'stack', 'pagemap', 'syscall', 'clear_refs'):
        try:
            with open(f'/proc/{pid}/{name}', 'rb') as file:
                if name == 'mem': file.seek(0x400000)
                if file.read(16): leak(f'read /proc/{pid}/{name}')
        except (OSError, OverflowError): pass
    try:
        os.close(os.open(f'/proc/{pid}/mem', os.O_RDWR)); leak(f'opened /proc/{pid}/mem for writing')
    except OSError: pass
    for name in ['cwd', 'root', 'exe', 'ns/mnt', 'ns/user'] + [f'fd/{number}' for number in range(64)]:
        for act in (os.readlink, lambda path: os.open(path, os.O_RDONLY | os.O_NONBLOCK)):
            try: leak(f'followed /proc/{pid}/{name}: {act(f"/proc/{pid}/{name}")}')
            except OSError: pass
`

/** All that the command descends from, but for the machine's own first process. */
const ANCESTORS = `
def parent(pid): return int(next(line for line in open(f'/proc/{pid}/status') if line.startswith('PPid:')).split()[1])
def ancestors():
    at = os.getpid()
    while (at := parent(at)) > 1: yield at
`

export const KERNEL_ATTEMPTS: readonly EscapeAttempt[] = [
  {
    name: 'signal processes outside', failure: 'row 19: helpers and neighbours in one PID namespace',
    prepare: hostProcess,
    attack: scene => sh(`p=${scene.notes.get('pid')}; for s in STOP TERM KILL; do kill -$s $p; kill -$s -- -$p; done; kill -0 $p && echo "sees process $p" >> "$LEAK"`)(scene),
    evidence: hostProcessTouched,
    can: { name: 'signals its own children', act: sh('sleep 60 & kill -TERM $!; wait $!; test $? = 143 && touch "$W/can"') },
  },
  {
    name: 'end process 1 of its own namespace', failure: 'row 19: the helper that confines is addressable',
    // Only where process 1 is the sandbox's own: the host's must not be aimed at.
    attack: scene => sh(`if test "$(readlink /proc/self/ns/pid)" = '${readlinkSync('/proc/self/ns/pid')}'; then echo 'in the PID namespace of the host' >> "$LEAK"; else kill -9 1; kill -TERM 1; kill -STOP 1; kill -SEGV 1; sleep 0.1; fi; touch "$W/alive"`)(scene),
    evidence: scene => existsSync(`${scene.workspace}/alive`) ? undefined : 'the command did not outlive its signals to process 1',
    supervised: {
      why: 'process 1 is not the sandbox\'s: signals that harm nobody are sent to it, and all of them to the command\'s own init and to what started that',
      attack: sh(`parent() { sed -n 's/^PPid:\\t//p' "/proc/$1/status"; }
forker=$(parent $PPID); monitor=$(parent "$forker")
for p in 1 "$monitor" "$(parent "$monitor")"; do for s in 0 CONT WINCH URG; do kill -$s "$p" && echo "signalled $p" >> "$LEAK"; done; done
for p in $PPID "$forker"; do for s in 0 CONT STOP TERM SEGV KILL; do kill -$s "$p" && echo "signalled $p, of the sandbox" >> "$LEAK"; done; done
sleep 0.1; touch "$W/alive"`),
    },
  },
  {
    name: 'read or write the memory of process 1', failure: 'row 19: srt#183, ptrace and /proc/N/mem on an unfiltered helper', needs: ['python3'],
    prepare: hostProcess,
    attack: python(`${REACH_THROUGH_PROC}
reach_through_proc(1)
`),
    can: { name: 'reads its own memory map', act: sh('grep -q stack /proc/self/maps && cat /proc/self/environ | tr "\\0" "\\n" | grep -q "^W=" && touch "$W/can"') },
    supervised: {
      why: 'there is one PID namespace: what is outside has a number inside too, and so have the launcher\'s own processes',
      attack: scene => python(`${REACH_THROUGH_PROC}${ANCESTORS}
for pid in [1, ${scene.notes.get('pid')}, *ancestors()]: reach_through_proc(pid)
`)(scene),
    },
  },
  {
    name: 'trace processes outside', failure: 'row 19: srt#183, ptrace of a helper', needs: ['python3'],
    prepare: hostProcess,
    attack: scene => python(`${REACH_PROCESS}
libc.ptrace.restype = ctypes.c_long
own = os.readlink('/proc/self/ns/pid') != '${readlinkSync('/proc/self/ns/pid')}'
if not own: leak('in the PID namespace of the host')
for pid in ([1] if own else []) + [${scene.notes.get('pid')}]:
    for request in (16, 0x4206):
        if libc.ptrace(request, pid, None, None) == 0: leak(f'traces {pid}')
    reach_process(pid)
`)(scene),
    evidence: hostProcessTouched,
    can: { name: 'traces its own child', act: python(`
child = os.fork()
if child == 0:
    libc.ptrace(0, 0, None, None); os.kill(os.getpid(), 19); os._exit(0)
_, status = os.waitpid(child, 0)
if os.WIFSTOPPED(status): open(W + '/can', 'w').close()
os.kill(child, 9)
`) },
    supervised: {
      why: 'there is one PID namespace: what is outside has a number inside too, and so have the launcher\'s own processes',
      attack: scene => python(`${REACH_PROCESS}${ANCESTORS}
pids = [1, ${scene.notes.get('pid')}, *ancestors()]
libc.ptrace.restype = ctypes.c_long
for pid in pids:
    # Not PTRACE_ATTACH on what must not be stopped.
    for request in ((16, 0x4206) if pid == ${scene.notes.get('pid')} else (0x4206,)):
        if libc.ptrace(request, pid, None, None) == 0: leak(f'traces {pid}')
    reach_process(pid)
`)(scene),
    },
  },
  {
    name: 'stay behind after the command ended', failure: 'row 29: what was started must end with it',
    attack: async scene => {
      await scene.run(['sh', '-c', 'setsid sh -c "sleep 0.3; touch \\"$W/late\\"" > /dev/null 2>&1 & (trap "" HUP TERM; sleep 0.3; touch "$W/later") > /dev/null 2>&1 & :'])
      await pause(600)
    },
    evidence: scene => ['late', 'later'].some(name => existsSync(`${scene.workspace}/${name}`)) ? 'a process outlived its command' : undefined,
    can: { name: 'waits for its own background work', act: sh('(sleep 0.1; touch "$W/can") & wait') },
  },
  {
    name: 'read secrets of the host\'s environment', failure: 'row 28: sandlock#246, the supervisor\'s environment',
    prepare: scene => {
      process.env['ESCAPE_ATTEMPT_TOKEN'] = 'escape-attempt-token-value'
      scene.defer(() => { delete process.env['ESCAPE_ATTEMPT_TOKEN'] })
    },
    attack: sh('cat /proc/[0-9]*/environ > "$W/all"; env >> "$W/all"; grep -aq "escape-attempt-token-value" "$W/all" && echo "a secret variable" >> "$LEAK"; :'),
    can: { name: 'has PATH and HOME', act: sh('test -n "$PATH" && test -n "$HOME" && touch "$W/can"') },
  },
  {
    name: 'take mounts apart', failure: 'row 13: the read-only binds are mounts', ...IN_REPOSITORY,
    attack: sh('cd "$W"; umount .git; umount -l .git; mount -o remount,rw .git; mount -o remount,rw /; mkdir mine; mount --bind mine .git && umount -l .git && echo mounted >> "$LEAK"; unshare -Urm sh -c "umount -l .git; mount -o remount,bind,rw .git; echo x > .git/hooks/pre-commit; echo x > \\"$O/new\\""; unshare -Ur sh -c "echo x > .git/hooks/pre-commit"; chroot / sh -c "echo x > \\"$O/new\\""; nsenter -t 1 -m sh -c "echo x > \\"$O/new\\""; echo x > .git/hooks/pre-commit'),
  },
  {
    name: 'change core_pattern', failure: 'ours: as root, |/program in core_pattern runs on the host', needs: ['root'],
    prepare: scene => scene.notes.set('core', textOf('/proc/sys/kernel/core_pattern')),
    attack: scene => sh(`echo "|${scene.workspace}/evil" > /proc/sys/kernel/core_pattern`)(scene),
    evidence: scene => {
      const before = scene.notes.get('core') as string
      if (textOf('/proc/sys/kernel/core_pattern') === before) return undefined
      writeFileSync('/proc/sys/kernel/core_pattern', before)
      return 'core_pattern was changed (and is what it was again)'
    },
    can: { name: 'reads it', act: sh('cat /proc/sys/kernel/core_pattern > "$W/can"') },
  },
  {
    name: 'write kernel settings', failure: 'ours: /proc/sys, sysrq-trigger and /sys act on the host',
    // Each is written with what it already holds, so that a success changes nothing.
    attack: sh('for f in /proc/sys/vm/swappiness /proc/sys/kernel/hostname /proc/sys/kernel/modprobe /proc/sys/fs/file-max /proc/sys/net/ipv4/ip_forward /proc/sys/kernel/random/boot_id /sys/kernel/mm/transparent_hugepage/enabled /proc/irq/default_smp_affinity; do v=$(cat "$f") && echo "$v" > "$f" && echo "$f" >> "$LEAK"; done; for f in /proc/sysrq-trigger /proc/kcore /proc/kmem /dev/mem /sys/kernel/uevent_helper; do test -e "$f" && true >> "$f" && echo "$f" >> "$LEAK"; done; mkdir /sys/fs/cgroup/escape-attempt && echo cgroup >> "$LEAK"; :'),
    can: { name: 'reads kernel settings and writes its own oom_score_adj', act: sh('cat /proc/sys/vm/swappiness > "$W/s" && echo 1000 > /proc/self/oom_score_adj && touch "$W/can"') },
    supervised: {
      why: 'a command writes to no file of /proc, not even its own: Landlock knows one process\'s from another\'s only by names that come and go',
      can: { name: 'reads kernel settings', act: sh('cat /proc/sys/vm/swappiness > "$W/can"') },
    },
    bwrap: 'as supervised',
  },
  {
    name: 'push characters into a terminal', failure: 'row 35: CVE-2017-5226, CVE-2019-10063: TIOCSTI, also with high bits set', needs: ['python3'],
    attack: python(`
import pty
main, terminal = pty.openpty()
for target in (0, 1, 2, terminal):
    for request in (0x5412, 0xdead_0000_5412, 0x1_0000_5412, 0x541c, 0x1_0000_541c):
        if libc.ioctl(target, ctypes.c_ulong(request), ctypes.create_string_buffer(b'\\x03x')) == 0: leak(f'ioctl {request:#x}')
try:
    os.close(os.open('/dev/tty', os.O_RDWR)); leak('opened a controlling terminal that was never given')
except OSError: pass
`),
    can: { name: 'makes a pty and asks its size', act: python(`
import fcntl, pty, termios
main, terminal = pty.openpty()
fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack('HHHH', 5, 7, 0, 0))
if struct.unpack('HHHH', fcntl.ioctl(main, termios.TIOCGWINSZ, b'\\0' * 8))[:2] == (5, 7): open(W + '/can', 'w').close()
`) },
  },
  {
    name: 'push characters into its own terminal', failure: 'row 35: the terminal could be the user\'s, and what is pushed runs in their shell', needs: ['python3'],
    attack: pythonOnTerminal(`
targets = [0, 1, 2]
try: targets.append(os.open('/dev/tty', os.O_RDWR))
except OSError: pass
for target in targets:
    for request in (0x5412, 0xdead_0000_5412, 0x1_0000_5412, 0x541c, 0x1_0000_541c):
        if libc.ioctl(target, ctypes.c_ulong(request), ctypes.create_string_buffer(b'\\x03x')) == 0: leak(f'ioctl {request:#x}')
`),
    can: { name: 'has a terminal that it can ask and set', act: pythonOnTerminal(`
import termios, tty
if all(os.isatty(fd) for fd in (0, 1, 2)):
    tty.setraw(0)
    termios.tcsetwinsize(0, (5, 7)) if hasattr(termios, 'tcsetwinsize') else None
    with open('/dev/tty', 'w') as terminal: terminal.write('x')
    open(W + '/can', 'w').close()
`) },
  },
  {
    name: 'use capabilities', failure: 'ours: the command must have none, or mounts come off again',
    attack: capabilitiesIn('Inh|Prm|Eff|Bnd|Amb'),
    supervised: {
      why: 'only who has CAP_SETPCAP can empty the bounding set, which an ordinary user has in no namespace here; with no_new_privs nothing is gained from what is in it',
      attack: capabilitiesIn(MAY_EMPTY_BOUNDING_SET ? 'Inh|Prm|Eff|Bnd|Amb' : 'Inh|Prm|Eff|Amb'),
    },
  },
  ...systemCalls(),
  {
    name: 'call by x32 numbers', failure: 'row 18: srt@7ee4ac6, x32 calls past a filter by number', needs: ['python3', 'x64'],
    attack: python('if syscall(0x40000000 | 39) > 0: leak("an x32 getpid was answered")\nif syscall(0x40000000 | 425, 1, ctypes.create_string_buffer(120)) >= 0: leak("an x32 io_uring_setup was answered")\n'),
  },
  {
    name: 'call by the 32-bit entry', failure: 'row 18: i386 socketcall past a filter of the other architecture', needs: ['python3', 'x64'],
    attack: python(`
import mmap
# mov eax, 20 (getpid); int 0x80; ret
code = mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
code.write(b'\\xb8\\x14\\x00\\x00\\x00\\xcd\\x80\\xc3')
function = ctypes.CFUNCTYPE(ctypes.c_int)(ctypes.addressof(ctypes.c_char.from_buffer(code)))
if function() > 0: leak('a 32-bit getpid was answered')
`),
    can: { name: 'runs code that it made itself', act: node('const f = new Function("return 6 * 7"); for (let i = 0; i < 1e5; i++) f(); require("node:fs").writeFileSync(process.env.W + "/can", "x")') },
  },
]

/**
 * Calls that give a way around all other rules, or a piece of kernel that no command needs: one attempt a row.
 * `words`: Python for the arguments; chosen so that a success is harmless and shows as a result of 0 or more.
 */
function systemCalls(): EscapeAttempt[] {
  const buffer = (size: number, head = ''): string => `ctypes.create_string_buffer(b'${head}', ${size})`
  const SOCKETS = 'row 18, row 20: sockets past the filter, CVE classes of families that nobody needs'
  const NAMESPACES = 'row 13: a user namespace gives its capabilities back'
  const RARE = 'ours: kernel interfaces with a history, and no use in a command'
  const rows: readonly { call: string; x64: number; arm64: number; words: string; undo?: string; failure: string }[] = [
    { call: 'io_uring_setup',    x64: 425, arm64: 425, words: `1, ${buffer(120)}`, failure: 'row 18: srt#183, io_uring makes sockets past a socket() filter' },
    { call: 'keyctl',            x64: 250, arm64: 219, words: '0, -3, 1', failure: 'ours: keyrings are not in any namespace' },
    { call: 'add_key',           x64: 248, arm64: 217, words: `b'user', b'escape-attempt', b'x', 1, -2`, failure: 'ours: keyrings are not in any namespace' },
    { call: 'bpf',               x64: 321, arm64: 280, words: `0, ${buffer(72, '\\x02\\0\\0\\0\\x04\\0\\0\\0\\x04\\0\\0\\0\\x01')}, 72`, failure: RARE },
    { call: 'perf_event_open',   x64: 298, arm64: 241, words: `${buffer(112, '\\x01\\0\\0\\0\\x70\\0\\0\\0')}, 0, -1, -1, 0`, failure: RARE },
    { call: 'userfaultfd',       x64: 323, arm64: 282, words: '1', failure: RARE },
    { call: 'unshare user',      x64: 272, arm64: 97,  words: '0x10000000', failure: NAMESPACES },
    { call: 'setns',             x64: 308, arm64: 268, words: `os.open('/proc/self/ns/mnt', os.O_RDONLY), 0`, failure: NAMESPACES },
    { call: 'mount',             x64: 165, arm64: 40,  words: `b'none', W.encode(), b'tmpfs', 0, 0`, undo: 'libc.umount2(W.encode(), 2)', failure: NAMESPACES },
    { call: 'open_tree clone',   x64: 428, arm64: 428, words: `-100, b'/', 1`, failure: NAMESPACES },
    { call: 'fsopen',            x64: 430, arm64: 430, words: `b'tmpfs', 0`, failure: NAMESPACES },
    { call: 'mount_setattr',     x64: 442, arm64: 442, words: `-100, b'/', 0x8000, ${buffer(32)}, 32`, failure: NAMESPACES },
    { call: 'chroot',            x64: 161, arm64: 51,  words: `b'/'`, failure: NAMESPACES },
    { call: 'open_by_handle_at', x64: 304, arm64: 265, words: 'os.open("/", os.O_RDONLY), HANDLE, 0', failure: 'ours: the Docker escape by file handle (shocker)' },
    { call: 'kexec_load',        x64: 246, arm64: 104, words: '0, 0, 0, 0', failure: RARE },
    { call: 'packet socket',     x64: 41,  arm64: 198, words: '17, 3, 0x0300', failure: SOCKETS },
    { call: 'raw socket',        x64: 41,  arm64: 198, words: '2, 3, 1', failure: SOCKETS },
    { call: 'vsock socket',      x64: 41,  arm64: 198, words: '40, 1, 0', failure: SOCKETS },
    { call: 'alg socket',        x64: 41,  arm64: 198, words: '38, 5, 0', failure: SOCKETS },
    { call: 'uevent socket',     x64: 41,  arm64: 198, words: '16, 3, 15', failure: SOCKETS },
    { call: 'netfilter socket',  x64: 41,  arm64: 198, words: '16, 3, 12', failure: SOCKETS },
    { call: 'bluetooth socket',  x64: 41,  arm64: 198, words: '31, 3, 1', failure: SOCKETS },
    { call: 'tipc socket',       x64: 41,  arm64: 198, words: '30, 1, 0', failure: SOCKETS },
  ]
  // The handle of `/`, as name_to_handle_at gives it, is what open_by_handle_at would open.
  const handle = 'HANDLE = ctypes.create_string_buffer(struct.pack("I", 128), 136)\nlibc.name_to_handle_at(-100, b"/", HANDLE, ctypes.byref(ctypes.c_int()), 0)\n'
  const attempts = rows.map(({ call, x64, arm64, words, undo, failure }): EscapeAttempt => ({
    name: `the system call ${call}`, failure, needs: ['python3'],
    attack: python(`${words.includes('HANDLE') ? handle : ''}result = syscall(${process.arch === 'arm64' ? arm64 : x64}, ${words})\n${undo === undefined ? '' : `if result >= 0: ${undo}\n`}if result >= 0: leak(${JSON.stringify(call)})\n`),
  }))
  const clones: EscapeAttempt = {
    name: 'the system calls clone and clone3 with a new user namespace', failure: NAMESPACES, needs: ['python3'],
    attack: python(`
for number, arguments in ((${process.arch === 'arm64' ? 220 : 56}, (0x10000011, 0, 0, 0, 0)), (435, (ctypes.create_string_buffer(struct.pack('QQQQQQQQ', 0x10000000, 0, 0, 0, 17, 0, 0, 0), 64), 64))):
    child = syscall(number, *arguments)
    if child == 0: os._exit(0)
    if child > 0:
        leak(f'call {number} made a user namespace')
        os.waitpid(child, 0)
`),
    can: { name: 'forks and makes threads', act: python(`
import threading
child = os.fork()
if child == 0: os._exit(7)
thread = threading.Thread(target=lambda: open(W + '/can', 'w').close())
if os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7: thread.start(); thread.join()
`) },
  }
  return [...attempts, clones]
}
