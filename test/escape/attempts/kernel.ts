// Processes, devices, /proc, descriptors and limits.
import { existsSync, lstatSync, mkdirSync, readdirSync, statSync, writeFileSync } from 'node:fs'
import { pause, python, sh } from '../../../src/doctor/escapes/attempt.js'
import { type HostileAttempt, program, setVariable, whileItWaits } from './hostile.js'

const DEVICES = ['/dev/null', '/dev/zero', '/dev/full', '/dev/random', '/dev/urandom', '/dev/tty']
/** A changed attribute shows in the change time, whatever the value. */
const deviceState = (): string => DEVICES.map(path => { const { mode, uid, gid, ctimeMs } = statSync(path); return `${path} ${mode.toString(8)} ${uid}:${gid} ${ctimeMs}` }).join('\n')

export const PROCESS_ATTEMPTS: readonly HostileAttempt[] = [
  {
    name: 'change the host\'s device nodes', failure: 'ours: root owns them, and a small /dev of bind mounts shows the same inodes', needs: ['python3'],
    prepare: scene => { scene.notes.set('devices', deviceState()) },
    // Nothing but what they have already, so that a success does no harm.
    attack: python(`
import fcntl
for path in ${JSON.stringify(DEVICES)} + ['/dev/stdin', 0, 1, 2]:
    for act in (lambda: os.chmod(path, os.stat(path).st_mode & 0o7777), lambda: os.chown(path, -1, os.getgid()), lambda: os.setxattr(path, 'user.x', b'x')):
        try: act()
        except (OSError, ValueError): pass
`),
    evidence: ({ notes }) => deviceState() === notes.get('devices') ? undefined : `the nodes were ${notes.get('devices')} and are ${deviceState()}`,
    can: { name: 'writes to them', act: sh('echo x > /dev/null && head -c4 /dev/zero | tee /dev/null > "$W/z" && head -c2 /dev/urandom > "$W/can" && : < /dev/null') },
  },
  {
    name: 'find a descriptor of node or of the launcher', failure: 'row 28, CVE-2024-21626: what was open before is inherited', needs: ['python3'],
    attack: python(`
for name in os.listdir('/proc/self/fd'):
    if int(name) > 2:
        try: leak(name + ' ' + os.readlink('/proc/self/fd/' + name))
        except OSError: pass
for fd in range(3, 4096):
    try: os.fstat(fd); leak(f'descriptor {fd} is open')
    except OSError: pass
`),
    can: { name: 'has its three', act: python('[os.fstat(fd) for fd in (0, 1, 2)]; open(W + "/can", "w").close()') },
  },
  {
    name: 'write to process 1 through /proc', failure: 'row 19: the helper that confines is writable by its owner, and root owns it', needs: ['python3'],
    attack: python(`
for name in ('oom_score_adj', 'oom_adj', 'clear_refs', 'coredump_filter', 'comm', 'sched', 'autogroup', 'mem', 'uid_map', 'gid_map', 'setgroups', 'loginuid', 'task/1/comm'):
    try:
        with open('/proc/1/' + name, 'r+b' if name == 'mem' else 'wb', buffering=0) as file: leak(f'opened /proc/1/{name}')
    except OSError: pass
`),
    can: { name: 'writes to its own', act: sh('echo 1000 > /proc/self/oom_score_adj && echo 0x23 > /proc/self/coredump_filter && touch "$W/can"') },
    supervised: { why: 'a command writes to no file of /proc', can: { name: 'reads its own', act: sh('cat /proc/self/oom_score_adj /proc/self/status > "$W/can"') } },
    bwrap: 'as supervised',
  },
  {
    name: 'open anything of /proc for writing that is not its own', failure: 'ours: as root, whatever no capability guards', needs: ['python3'],
    attack: python(`
for folder, folders, files in os.walk('/proc'):
    if folder == '/proc': folders[:] = [name for name in folders if not name.isdigit() and name not in ('self', 'thread-self')]
    for name in files:
        path = folder + '/' + name
        if path.startswith('/proc/pressure/'): continue    # open to everybody: a process's own triggers
        try:
            if os.stat(path).st_rdev == os.stat('/dev/null').st_rdev: continue    # as a container hides it
            os.close(os.open(path, os.O_WRONLY | os.O_NONBLOCK)); leak(path)
        except OSError: pass
`),
    can: { name: 'reads what says how the machine does', act: sh('cat /proc/meminfo /proc/cpuinfo /proc/loadavg > "$W/can" && test -s "$W/can"') },
  },
  {
    name: 'signal another command of the sandbox', failure: 'row 19: neighbours in one PID namespace',
    attack: async scene => {
      await whileItWaits(scene, 'trap "echo signalled > \\"$LEAK\\"" TERM HUP USR1 CONT', async () => {
        await scene.run(['sh', '-c', 'kill -TERM -1; for s in TERM USR1 KILL; do for p in $(seq 2 200); do [ $p = $$ ] || kill -$s $p; done; done; kill -KILL -- -1']).catch(() => undefined)
      }, 'touch "$W/alive"')
    },
    evidence: ({ workspace }) => existsSync(`${workspace}/alive`) ? undefined : 'the other command was ended',
    supervised: {
      why: 'all processes of the machine have numbers there: the other command alone is aimed at',
      attack: async scene => {
        await whileItWaits(scene, 'trap "echo signalled > \\"$LEAK\\"" TERM HUP USR1 CONT; echo $$ > "$W/pid"', async () => {
          await sh('p=$(cat "$W/pid"); for s in 0 TERM USR1 CONT KILL; do kill -$s $p && echo "$s arrived" >> "$LEAK"; kill -$s -- -$p && echo "$s arrived at its group" >> "$LEAK"; done; :')(scene)
        }, 'touch "$W/alive"')
      },
    },
  },
  {
    name: 'read or trace another command of the sandbox', failure: 'row 19, facts A5: a PID namespace for each', needs: ['python3'],
    attack: async scene => {
      await whileItWaits(scene, 'SECRET_OF_ONE=escape-attempt-of-one; export SECRET_OF_ONE; sleep 60 & echo $! > "$W/pid"', async () => {
        await python(`
for name in os.listdir('/proc'):
    if not name.isdigit() or int(name) == os.getpid(): continue
    for file in ('environ', 'cmdline'):
        try:
            text = open(f'/proc/{name}/{file}', 'rb').read()
            if b'escape-attempt-of-one' in text or b'sleep' in text: leak(f'{name}/{file}: {text!r}')
        except OSError: pass
`)(scene)
      }, 'kill %1 2>/dev/null; kill $(cat "$W/pid")')
    },
    bwrap: 'as supervised',
    supervised: {
      why: 'all processes of the machine show with their arguments (a note of the report says so); what is in them does not',
      attack: async scene => {
        await whileItWaits(scene, 'SECRET_OF_ONE=escape-attempt-of-one; export SECRET_OF_ONE; sleep 60 & echo $! > "$W/pid"', async () => {
          await python(`
pid = int(open(W + '/pid').read())
for name in os.listdir('/proc'):
    if not name.isdigit() or int(name) == os.getpid(): continue
    for file in ('environ', 'mem', 'maps', 'auxv', 'stack', 'syscall', 'exe', 'cwd/w', 'root/etc/passwd', 'fd/1', 'fdinfo/1', 'map_files', 'personality', 'io'):
        try:
            with open(f'/proc/{name}/{file}', 'rb') as opened:
                # Some of them open for everybody, and are read by nobody.
                text = opened.read(4096)
                if b'escape-attempt-of-one' in text or int(name) == pid and text != b'': leak(f'read {name}/{file}: {text!r}')
        except OSError: pass
for request in (16, 0x4206):
    if libc.ptrace(request, pid, None, None) == 0: leak(f'traces {pid}')
try:
    if syscall(438, os.pidfd_open(pid), 1, 0) >= 0: leak('took its output')
except OSError: pass
`)(scene)
        }, 'kill %1 2>/dev/null; kill $(cat "$W/pid")')
      },
    },
  },
  {
    name: 'gain rights by a set-user-ID program', failure: 'no_new_privs, nosuid: the oldest way to become root', compiled: true, asUser: true,
    attack: scene => sh(`for p in '${program('gain')}' /bin/su /usr/bin/sudo /usr/bin/passwd /bin/mount; do cp "$p" "$W/copy"; done; uid=$('${program('gain')}'); test "$uid" = 0 && echo "runs as $uid" >> "$LEAK"; sudo -n true && echo sudo >> "$LEAK"; :`)(scene),
    can: { name: 'runs it without', act: scene => sh(`test "$('${program('gain')}')" = "$(id -u)" && touch "$W/can"`)(scene) },
  },
  {
    name: 'leave devices or root\'s programs behind', failure: 'ours: what is made inside is run outside', compiled: true,
    attack: scene => sh(`cp '${program('gain')}' "$W/g"; chown 0:0 "$W/g"; mknod "$W/b" b 254 0; mknod "$W/c" c 1 1; mknod "$W/z" c 5 1; :`)(scene),
    evidence: ({ workspace }) => ['b', 'c', 'z'].find(name => existsSync(`${workspace}/${name}`)) ?? (process.getuid?.() !== 0 && statSync(`${workspace}/g`).uid === 0 ? 'a file of root' : undefined),
    can: { name: 'makes programs and pipes', act: sh('cd "$W" && cp /bin/true t && ./t && mknod p p && touch can') },
  },
  {
    name: 'leave set-user-ID programs behind', failure: 'ours: for everybody on the host they run as the user of the sandbox', needs: ['python3'],
    attack: python(`
import struct
os.chdir(W)
X64 = os.uname().machine == 'x86_64'
def file(name):
    open(name, 'w').close(); os.chmod(name, 0o755)
    return name.encode()
def attempt(act):
    try: act()
    except OSError: pass
MODE = 0o4755
call = lambda *all: libc.syscall(*[ctypes.c_long(one) if isinstance(one, int) else one for one in all])
attempt(lambda: os.chmod(file('chmod'), MODE))
attempt(lambda: os.fchmod(os.open(file('fchmod'), os.O_RDONLY), MODE))
attempt(lambda: os.chmod(file('fchmodat'), MODE, dir_fd=os.open('.', os.O_RDONLY)))
call(452, -100, file('fchmodat2'), MODE, 0)
call(452, -100, file('fchmodat2-high'), MODE | 1 << 32, 0)
call(452, os.open(file('fchmodat2-fd'), os.O_RDONLY), b'', MODE, 0x1000)
attempt(lambda: os.chmod('/proc/self/fd/%d' % os.open(file('by-link'), os.O_RDONLY), MODE))
os.umask(0)
attempt(lambda: os.open('open', os.O_CREAT | os.O_RDWR, MODE))
attempt(lambda: os.open('open-excl', os.O_CREAT | os.O_EXCL, MODE))
attempt(lambda: os.mknod('mknod', 0o100000 | MODE))
if X64:
    call(2, b'open2', os.O_CREAT, MODE); call(85, b'creat', MODE); call(133, b'mknod-plain', 0o100000 | MODE, 0); call(90, file('chmod-plain'), MODE)
call(437, -100, b'openat2', struct.pack('QQQ', os.O_CREAT | os.O_RDWR, MODE, 0), 24)
try:
    fd = os.open('.', os.O_TMPFILE | os.O_RDWR, MODE)
    libc.linkat(-100, b'/proc/self/fd/%d' % fd, -100, b'tmpfile', 0x400)
except OSError: pass
OWN_MARK = 0x78636f64656d6b31
call(257 if X64 else 56, -100, b'marked', os.O_CREAT, MODE, 0, OWN_MARK)
`),
    evidence: ({ workspace }) => readdirSync(workspace).find(name => (lstatSync(`${workspace}/${name}`).mode & 0o4000) !== 0),
    can: { name: 'sets every other bit', act: sh('cd "$W" && : > f && chmod 2755 f && test "$(stat -c %a f)" = 2755 && mkdir d && chmod 3777 d && test "$(stat -c %a d)" = 3777 && install -m 755 f g && touch can') },
  },
  {
    name: 'raise its own limits', failure: 'DESIGN 4: limits hold because they cannot be raised', needs: ['python3'],
    policy: () => ({ limits: { openFiles: 64, fileSizeBytes: 1 << 20 } }),
    attack: python(`
import resource
for name in (resource.RLIMIT_NOFILE, resource.RLIMIT_FSIZE, resource.RLIMIT_CORE):
    for value in (resource.RLIM_INFINITY, 1 << 30):
        for act in (lambda: resource.setrlimit(name, (value, value)), lambda: resource.prlimit(os.getpid(), name, (value, value))):
            try: act(); leak(f'limit {name} is {value}')
            except (OSError, ValueError): pass
try:
    fds = [os.open('/dev/null', os.O_RDONLY) for _ in range(100)]; leak('opened a hundred files')
except OSError: pass
`),
    can: { name: 'lowers them', act: sh('ulimit -n 32 && ulimit -c 0 && touch "$W/can"') },
  },
  {
    name: 'have a core written', failure: 'ours: the host\'s core_pattern decides where', needs: ['python3'],
    attack: python('import resource\ntry: resource.setrlimit(resource.RLIMIT_CORE, (1 << 20, 1 << 20))\nexcept (OSError, ValueError): pass\nos.chdir(W); os.abort()\n'),
    evidence: ({ workspace, outside }) => [workspace, outside].find(folder => ['core', `core.${process.pid}`].some(name => existsSync(`${folder}/${name}`))),
  },
  {
    name: 'type into the user\'s terminal', failure: 'row 35: CVE-2017-5226: the terminal of the embedding process', needs: ['python3'],
    attack: python(`
import fcntl, glob, termios
for path in ['/dev/tty', '/dev/console', '/dev/tty0', '/dev/tty1'] + glob.glob('/dev/pts/*'):
    if path.endswith('ptmx'): continue
    try: fd = os.open(path, os.O_RDWR | os.O_NOCTTY)
    except OSError: continue
    leak('opened ' + path)
    for request in (termios.TIOCSTI, 1 << 32 | termios.TIOCSTI, 1 << 63 | termios.TIOCSTI, 0x541c, 1 << 32 | 0x541c):
        if libc.ioctl(fd, ctypes.c_ulong(request), ctypes.create_string_buffer(b'x')) == 0: leak(f'{path} {request:#x}')
`),
    can: { name: 'makes a terminal of its own', act: python('import pty\npid, fd = pty.fork()\nif pid == 0: os.execlp("touch", "touch", W + "/can")\nos.waitpid(pid, 0)\n') },
  },
  {
    name: 'change what CODEX_HOME believes', failure: 'DESIGN 4: rules and tokens of the agent, wherever its home lies',
    prepare: scene => {
      mkdirSync(`${scene.workspace}/agent-home/rules`, { recursive: true })
      writeFileSync(`${scene.workspace}/agent-home/config.toml`, 'sandbox_mode = "read-only"\n')
      setVariable(scene, 'CODEX_HOME', `${scene.workspace}/agent-home`)
    },
    unchanged: ['agent-home'],
    attack: sh('cd "$W"; echo x >> agent-home/config.toml; rm -rf agent-home; mv agent-home h; mkdir -p agent-home/rules && echo x > agent-home/rules/x; sed -i s/read-only/danger/ agent-home/config.toml; ln -f agent-home/config.toml c && echo x >> c'),
    can: { name: 'writes beside it', act: sh('touch "$W/can"') },
  },
  {
    name: 'forge the journal of a state folder in the workspace', failure: 'ours: its records make the next launcher remove folders',
    prepare: scene => {
      mkdirSync(`${scene.workspace}/state`)
      setVariable(scene, 'XDG_STATE_HOME', `${scene.workspace}/state`)
    },
    attack: async scene => {
      const script = 'cd "$W"; for d in state/codex-sandbox state; do echo "d 1 1 1 1" > $d/placeholder-evil; echo "{}" > $d/layers.json; mkdir $d/evil; done; rm -rf state; mv state s; mkdir -p state/codex-sandbox && echo x > state/codex-sandbox/placeholder-evil'
      await scene.run(['sh', '-c', script])
      await scene.run(['sh', '-c', script])
    },
    evidence: ({ workspace }) => ['placeholder-evil', 'evil'].map(name => `${workspace}/state/codex-sandbox/${name}`).find(path => existsSync(path)),
    can: { name: 'writes beside it', act: sh('touch "$W/can"') },
  },
  {
    name: 'go on after its init was stopped or traced', failure: 'row 29: a command cannot make its own end impossible', needs: ['python3'],
    attack: async scene => {
      // PTRACE_TRACEME makes init the tracer; what is left behind must end all the same.
      await python(`
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        import time
        time.sleep(0.5); open(W + '/late', 'w').close(); os._exit(0)
    os._exit(0)
os.wait()
os.kill(1, 19); os.kill(1, 9); os.kill(1, 6)
for number in range(1, 65):
    try: os.kill(1, number)
    except OSError: pass
`)(scene)
      await pause(800)
    },
    evidence: ({ workspace }) => existsSync(`${workspace}/late`) ? 'a process outlived its command' : undefined,
  },
]
