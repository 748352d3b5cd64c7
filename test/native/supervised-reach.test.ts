// Without namespaces a command has the numbers and keys of all that runs beside it: other processes, System V IPC, message queues. What it may do to
// its own, and what it cannot do to theirs; looked at from outside.
import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { createInterface } from 'node:readline'
import { beforeEach, describe, expect, onTestFinished, test } from 'vitest'
import type { Sandbox } from '../../src/exec/sandbox.js'
import { type Architecture, SYSTEM_CALLS, type SystemCallName } from '../../src/platform/linux/seccomp/system-calls.js'
import { BWRAP_IF_THERE, startOn, SUPERVISED, SUPERVISED_BEFORE } from '../support/rungs.js'
import { makeWorkspace } from './workspace.js'

beforeEach(context => {
  if (process.platform !== 'linux') context.skip('the launcher is for Linux')
  if (spawnSync('python3', ['-c', '']).status !== 0) context.skip('python3 makes the calls')
})

const number = (call: SystemCallName): number => SYSTEM_CALLS[process.arch as Architecture][call] ?? -1

/** `attempt(name, call)` prints `name done`, or the errno; `system(number, …)` raises as os functions do. */
const PRELUDE = `
import ctypes, errno, fcntl, mmap, os, resource, signal, socket, struct, sys, time
libc = ctypes.CDLL(None, use_errno=True)
for function in ('syscall', 'ptrace', 'shmat'): getattr(libc, function).restype = ctypes.c_long
def checked(result):
    if result == -1: raise OSError(ctypes.get_errno(), '')
    return result
def system(number, *arguments): return checked(libc.syscall(ctypes.c_long(number), *[ctypes.c_long(a) if isinstance(a, int) else a for a in arguments]))
def attempt(name, call):
    try: print(f'{name} done {call() or str()}'.strip())
    except OSError as error: print(name, errno.errorcode[error.errno])
def drop_capabilities():
    system(${number('capset')}, ctypes.create_string_buffer(struct.pack('Ii', 0x20080522, 0)), ctypes.create_string_buffer(24))
def sleeper():
    child = os.fork()
    if child == 0:
        time.sleep(60); os._exit(0)
    return child
`

/** A process of this user's beside the sandbox, with no more rights: it has a secret in its memory, and says when it gets a signal. */
interface Outsider { readonly pid: number; readonly address: bigint; ask(): Promise<string> }

async function startOutsider(): Promise<Outsider> {
  const child = spawn('python3', ['-uc', `${PRELUDE}
drop_capabilities()
secret = ctypes.create_string_buffer(b'of the outsider', 32)
got = []
for each in (signal.SIGIO, signal.SIGUSR1, signal.SIGURG, signal.SIGTERM): signal.signal(each, lambda number, frame: got.append(number))
print(ctypes.addressof(secret))
for line in sys.stdin: print(secret.value.decode(), got, os.getpriority(os.PRIO_PROCESS, 0), os.sched_getscheduler(0), len(os.sched_getaffinity(0)), resource.getrlimit(resource.RLIMIT_NOFILE)[0], libc.syscall(${number('ioprio_get')}, 1, 0))
`], { stdio: ['pipe', 'pipe', 'inherit'], detached: true })    // a group of its own: the tests' own must get no signal
  onTestFinished(() => void child.kill('SIGKILL'))
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]()
  const address = BigInt((await lines.next()).value as string)
  return {
    pid: child.pid as number, address,
    ask: async () => {
      child.stdin.write('\n')
      const line = (await lines.next()).value as string
      const status = readFileSync(`/proc/${child.pid}/status`, 'utf8')
      return [line, /^State:\s+[RSD]/m.test(status) ? 'runs' : status, /^TracerPid:\s+0$/m.test(status) ? 'not traced' : 'traced', readFileSync(`/proc/${child.pid}/oom_score_adj`, 'utf8').trim(), readFileSync(`/proc/${child.pid}/comm`, 'utf8').trim()].join('; ')
    },
  }
}

interface Started { readonly sandbox: Sandbox; readonly python: (program: string) => Promise<string>; readonly reported: () => string }

describe.each([SUPERVISED, SUPERVISED_BEFORE])('$name', { timeout: 60_000 }, variant => {
  async function start(network: 'off' | 'open' = 'off'): Promise<Started> {
    const sandbox = await startOn(variant, { cwd: makeWorkspace().path, policy: { mode: 'workspace-write', network } })
    onTestFinished(() => sandbox.close())
    let reported = ''
    const python = async (program: string): Promise<string> => {
      const { stdout, stderr, denials } = await sandbox.exec(['python3', '-c', `${PRELUDE}${program}`])
      reported = denials.map(denial => `${denial.operation} ${denial.call ?? ''}`).join('\n')
      return `${stdout}${stderr}`.trim()
    }
    return { sandbox, python, reported: () => reported }
  }

  describe('what is done to a process by its number', () => {
    test.each([
      { name: 'prlimit64',          call: 'resource.prlimit(PID, resource.RLIMIT_NOFILE, (50, 60))', within: 'itself' },
      { name: 'setpriority',        call: 'os.setpriority(os.PRIO_PROCESS, PID, 7)' },
      { name: 'setpriority',        call: 'os.setpriority(os.PRIO_PGRP, os.getpgid(PID), 7)', within: 'nothing' },
      { name: 'sched_setaffinity',  call: 'os.sched_setaffinity(PID, {min(os.sched_getaffinity(0))})' },
      { name: 'sched_setscheduler', call: 'os.sched_setscheduler(PID, os.SCHED_BATCH, os.sched_param(0))' },
      { name: 'sched_setparam',     call: 'os.sched_setparam(PID, os.sched_param(0))' },
      { name: 'sched_setattr',      call: `system(${number('sched_setattr')}, PID, ctypes.create_string_buffer(struct.pack("IIQiIQQQ", 48, 3, 0, 5, 0, 0, 0, 0)), 0)` },
      { name: 'ioprio_set',         call: `system(${number('ioprio_set')}, 1, PID, 3 << 13)` },
    ] as const)('$name: $call', async row => {
      const { name, call } = row
      const within = 'within' in row ? row.within : 'a child'
      const { sandbox, python, reported } = await start()
      const outsider = await startOutsider()
      const before = await outsider.ask()
      expect(await python(`
for name, PID in (('outsider', ${outsider.pid}), ('launcher', ${sandbox.pid}), ('init', os.getppid())): attempt(name, lambda: ${call})
${within === 'nothing' ? '' : `for name, PID in ((('own', os.getpid()),) if '${within}' == 'itself' else (('own', os.getpid()), ('zero', 0), ('child', sleeper()))): attempt(name, lambda: ${call} and None)`}
if name == 'child': os.kill(PID, 9)
`)).toBe([...['outsider', 'launcher', 'init'].map(each => `${each} EPERM`), ...(within === 'nothing' ? [] : within === 'itself' ? ['own done'] : ['own done', 'zero done', 'child done'])].join('\n'))
      expect(reported()).toContain(name)
      expect(await outsider.ask()).toBe(before)
    })

    test('all of a user\'s processes at once', async () => {
      const { python } = await start()
      const outsider = await startOutsider()
      const before = await outsider.ask()
      expect(await python(`
attempt('setpriority', lambda: os.setpriority(os.PRIO_USER, 0, 3))
attempt('setpriority', lambda: os.setpriority(os.PRIO_USER, os.getuid(), 3))
attempt('ioprio_set', lambda: system(${number('ioprio_set')}, 3, 0, 3 << 13))
attempt('own', lambda: os.setpriority(os.PRIO_PGRP, 0, 3))
`)).toMatch(/^(?:\w+ EPERM\n){3}own done$/)
      expect(await outsider.ask()).toBe(before)
    })

    test('another command\'s process is as far away as one outside', async () => {
      const { sandbox, python } = await start()
      const other = sandbox.spawn(['sh', '-c', 'echo $$; exec sleep 60'])
      onTestFinished(() => void other.kill('SIGKILL'))
      const [line] = await once(other.stdout, 'data') as [Buffer]
      expect(await python(`
PID = ${Number(line)}
for name, call in (
    ('setpriority', lambda: os.setpriority(os.PRIO_PROCESS, PID, 7)), ('kill', lambda: os.kill(PID, 15)), ('sched_setaffinity', lambda: os.sched_setaffinity(PID, {0})),
    ('environ', lambda: open(f'/proc/{PID}/environ').read()), ('trace', lambda: checked(libc.ptrace(0x4206, PID, None, None))), ('limits', lambda: resource.prlimit(PID, resource.RLIMIT_NOFILE, (50, 60))),
): attempt(name, call)
`)).toMatch(/^(?:\w+ (?:EPERM|EACCES)\n?){6}$/)
      expect(other.exitCode).toBe(null)
    })
  })

  test('memory, descriptors and tracing: of a child, and of nobody else', async () => {
    const { python, reported } = await start()
    const outsider = await startOutsider()
    const before = await outsider.ask()
    const program = (pid: string, address: string): string => `
def vector(address, length): return (ctypes.c_size_t * 2)(address, length)
def remote(call, content):
    buffer = ctypes.create_string_buffer(content, 15)
    system(call, ${pid}, vector(ctypes.addressof(buffer), 15), 1, vector(${address}, 15), 1, 0)
    return buffer.raw.decode()
attempt('read', lambda: remote(${number('process_vm_readv')}, b''))
attempt('write', lambda: remote(${number('process_vm_writev')}, b'of the attacker'))
attempt('descriptor', lambda: system(${number('pidfd_getfd')}, os.pidfd_open(${pid}), 0, 0) and '')
attempt('kcmp', lambda: system(${number('kcmp')}, ${pid}, os.getpid(), 0, 0, 0) and '')
attempt('advise', lambda: system(${number('process_madvise')}, os.pidfd_open(${pid}), vector(${address} & ~4095, 4096), 1, 20, 0) and '')
attempt('mem', lambda: os.close(os.open('/proc/%d/mem' % ${pid}, os.O_RDWR)))
attempt('trace', lambda: checked(libc.ptrace(0x4206, ${pid}, None, None)))
`
    const refused = (await python(program(String(outsider.pid), String(outsider.address)))).split('\n')
    expect(refused).toEqual(['read EPERM', 'write EPERM', 'descriptor EPERM', 'kcmp EPERM', expect.stringMatching(/^advise E/), expect.stringMatching(/^mem E/), 'trace EPERM'])
    expect(reported()).toContain('system-call ptrace')
    expect(await outsider.ask()).toBe(before)
    // A child has the same memory at the same place.
    const allowed = await python(`
secret = ctypes.create_string_buffer(b'of the parent__', 16)
child = sleeper()
${program('child', 'ctypes.addressof(secret)')}
checked(libc.ptrace(17, child, None, None)) if False else os.kill(child, 9)
`)
    expect(allowed.split('\n').map(line => line.trim())).toEqual(expect.arrayContaining(['read done of the parent__', 'write done of the attacker', 'descriptor done', 'kcmp done', 'trace done']))
    expect(reported()).not.toContain('ptrace')
  })

  test('/proc of outsiders tells their names and nothing that is in them, and takes nothing', async () => {
    const { sandbox, python } = await start()
    const outsider = await startOutsider()
    const before = await outsider.ask()
    expect(await python(`
for pid in (${outsider.pid}, ${sandbox.pid}, os.getppid()):
    for name in ('environ', 'auxv', 'maps', 'smaps', 'mem', 'pagemap', 'stack', 'syscall', 'io', 'personality', 'numa_maps', 'fdinfo/0', 'timerslack_ns', 'map_files', 'fd/0', 'fd/1', 'cwd', 'root', 'exe', 'ns/user', 'task/%d/environ' % pid):
        path = '/proc/%d/%s' % (pid, name)
        for call in (lambda: open(path, 'rb').read(16) or 1 / 0, lambda: os.readlink(path), lambda: os.listdir(path), lambda: os.open(path + '/.', os.O_PATH) if name in ('cwd', 'root') else 1 / 0):
            try: call(); print('reached', path)
            except (OSError, ZeroDivisionError): pass
    for name in ('oom_score_adj', 'oom_adj', 'comm', 'coredump_filter', 'clear_refs', 'mem', 'timerslack_ns', 'autogroup', 'sched', 'attr/current', 'uid_map', 'setgroups', 'loginuid', 'fd/1', 'task/%d/comm' % pid):
        for flags in (os.O_WRONLY, os.O_RDWR, os.O_WRONLY | os.O_TRUNC, os.O_WRONLY | os.O_CREAT):
            try: print('opened', name, os.open('/proc/%d/%s' % (pid, name), flags | os.O_NONBLOCK))
            except OSError: pass
    for call in (lambda: os.chmod('/proc/%d/environ' % pid, 0o666), lambda: os.chdir('/proc/%d/cwd' % pid), lambda: os.stat('/proc/%d/root/etc/passwd' % pid)):
        try: call(); print('reached by', call)
        except OSError: pass
print(open('/proc/${outsider.pid}/comm').read().strip(), len(open('/proc/${outsider.pid}/status').read()) > 100)
child = sleeper()
print(b'PATH=' in open('/proc/%d/environ' % child, 'rb').read(), len(open('/proc/%d/maps' % child).read()) > 100, os.readlink('/proc/%d/cwd' % child) == os.getcwd(), len(os.listdir('/proc/%d/fd' % child)) > 2)
os.kill(child, 9)
`)).toBe('python3 True\nTrue True True True')
    expect(await outsider.ask()).toBe(before)
  })

  test('signals by way of a descriptor: F_SETOWN, F_SETOWN_EX, FIOSETOWN, SIOCSPGRP', async () => {
    const { python } = await start()
    const outsider = await startOutsider()
    const before = await outsider.ask()
    const program = (pid: string): string => `
def trigger(set_owner):
    ours, theirs = socket.socketpair()
    fcntl.fcntl(ours, fcntl.F_SETFL, os.O_ASYNC | os.O_NONBLOCK)
    fcntl.fcntl(ours, 10, signal.SIGUSR1)    # F_SETSIG
    set_owner(ours)
    theirs.send(b'x'); time.sleep(0.05)
for name, set_owner in (
    ('F_SETOWN', lambda s: fcntl.fcntl(s, fcntl.F_SETOWN, ${pid})), ('F_SETOWN of a group', lambda s: fcntl.fcntl(s, fcntl.F_SETOWN, -os.getpgid(${pid}))),
    ('F_SETOWN_EX', lambda s: fcntl.fcntl(s, 15, struct.pack('ii', 1, ${pid}))),
    ('FIOSETOWN', lambda s: fcntl.ioctl(s, 0x8901, struct.pack('i', ${pid}))), ('SIOCSPGRP', lambda s: fcntl.ioctl(s, 0x8902, struct.pack('i', ${pid}))),
):
    try: trigger(set_owner)
    except OSError: pass
`
    await python(program(String(outsider.pid)))
    expect(await outsider.ask()).toBe(before)
    expect(await python(`
got = []
signal.signal(signal.SIGUSR1, lambda *_: got.append('own'))
ours, theirs = socket.socketpair()
fcntl.fcntl(ours, fcntl.F_SETFL, os.O_ASYNC | os.O_NONBLOCK)
fcntl.fcntl(ours, 10, signal.SIGUSR1)
fcntl.fcntl(ours, fcntl.F_SETOWN, os.getpid())
theirs.send(b'x'); time.sleep(0.1)
print(got)
`)).toBe('[\'own\']')
    // Outside, what is tried here reaches it.
    spawnSync('python3', ['-c', `${PRELUDE}${program(String(outsider.pid))}`])
    expect(await outsider.ask()).not.toBe(before)
  })

  test('signals by number, to processes, threads and groups', async () => {
    const { sandbox, python } = await start()
    const outsider = await startOutsider()
    const before = await outsider.ask()
    const info = 'ctypes.create_string_buffer(struct.pack("iiiiii", 15, 0, -1, 0, os.getpid(), os.getuid()), 128)'
    // Signal 0 asks whether one would arrive: where this test fails, nothing but its own outsider may get any.
    expect(await python(`
for pid in (${outsider.pid}, ${sandbox.pid}, os.getppid(), 1):
    number = 15 if pid == ${outsider.pid} else 0
    for call in (lambda: os.kill(pid, number), lambda: os.kill(pid, 0), lambda: os.kill(-os.getpgid(pid) if os.getpgid(pid) > 0 else pid, number), lambda: system(${number('tkill')}, pid, number), lambda: system(${number('tgkill')}, pid, pid, number),
                 lambda: signal.pidfd_send_signal(os.pidfd_open(pid), number), lambda: system(${number('rt_sigqueueinfo')}, pid, number, ${info}), lambda: system(${number('rt_tgsigqueueinfo')}, pid, pid, number, ${info})):
        try: call(); print('signalled', pid)
        except OSError: pass
attempt('group', lambda: os.kill(0, 0))
child = sleeper()
for call in (lambda: os.kill(child, 0), lambda: system(${number('tgkill')}, child, child, 0), lambda: os.kill(child, 9)): attempt('child', call)
print(os.waitpid(child, 0)[1])
`)).toBe('group done\nchild done\nchild done\nchild done\n9')
    expect(await outsider.ask()).toBe(before)
    expect((await sandbox.exec(['echo', 'lives'])).stdout).toBe('lives\n')
  })

  test('System V IPC and message queues of the host are not reached, made or removed', async () => {
    const { python, reported } = await start()
    const keeper = await startKeeper()
    expect(await python(`
key = ${keeper.key}
for name, call in (
    ('shmget', lambda: checked(libc.shmget(key, 0, 0))), ('shmat', lambda: checked(libc.shmat(${keeper.memory}, None, 0))), ('shmctl', lambda: checked(libc.shmctl(${keeper.memory}, 0, None))),
    ('semget', lambda: checked(libc.semget(key, 0, 0))), ('semctl', lambda: checked(libc.semctl(${keeper.semaphore}, 0, 16, 5))),
    ('msgget', lambda: checked(libc.msgget(key, 0))), ('msgrcv', lambda: checked(libc.msgrcv(${keeper.queue}, ctypes.create_string_buffer(100), 90, 0, 0o4000))), ('msgctl', lambda: checked(libc.msgctl(${keeper.queue}, 0, None))),
    ('new', lambda: checked(libc.shmget(0, 4096, 0o1600))), ('new', lambda: checked(libc.msgget(0, 0o1600))),
    ('mq_open', lambda: system(${number('mq_open')}, b'${keeper.name}', os.O_RDWR, 0, None)), ('mq_unlink', lambda: system(${number('mq_unlink')}, b'${keeper.name}')),
    ('mq_open', lambda: system(${number('mq_open')}, b'${keeper.name}-inside', os.O_RDWR | os.O_CREAT, 0o600, None)),
): attempt(name, call)
`)).toBe(['shmget', 'shmat', 'shmctl', 'semget', 'semctl', 'msgget', 'msgrcv', 'msgctl', 'new', 'new', 'mq_open', 'mq_unlink', 'mq_open'].map(name => `${name} EACCES`).join('\n'))
    expect(reported().split('\n').sort()).toEqual(['mq_open', 'msgget', 'semget', 'shmget'].map(name => `system-call ${name}`))
    expect(await keeper.ask()).toBe('b\'in memory\' 3 b\'in the queue\' b\'in a message\' False')
    // What takes their place: semaphores and memory in /dev/shm, pipes and pairs of sockets.
    expect(await python(`
import multiprocessing
lock, value, queue = multiprocessing.Lock(), multiprocessing.Value('i', 0), multiprocessing.Queue()
def work():
    with lock: value.value += 1
    queue.put(value.value)
processes = [multiprocessing.Process(target=work) for _ in range(3)]
for each in processes: each.start()
print(sorted(queue.get() for _ in processes)); [each.join() for each in processes]
`)).toBe('[1, 2, 3]')
  })
})

/** A process of the host's with a segment, a set of semaphores, a queue of each kind, all of them open to everybody. */
async function startKeeper(): Promise<{ key: number; memory: number; semaphore: number; queue: number; name: string; ask(): Promise<string> }> {
  const name = `reach-${process.pid}-${Math.floor(performance.now())}`
  const key = 0x5e00_0000 + Math.floor(Math.random() * 0xffff)
  const child: ChildProcess = spawn('python3', ['-uc', `${PRELUDE}
key, name = ${key}, b'${name}'
memory = checked(libc.shmget(key, 4096, 0o1666)); at = checked(libc.shmat(memory, None, 0)); ctypes.memmove(at, b'in memory', 9)
semaphore = checked(libc.semget(key, 1, 0o1666)); checked(libc.semctl(semaphore, 0, 16, 3))
queue = checked(libc.msgget(key, 0o1666)); checked(libc.msgsnd(queue, ctypes.create_string_buffer(struct.pack('l', 1) + b'in the queue'), 12, 0))
messages = system(${number('mq_open')}, name, os.O_RDWR | os.O_CREAT | os.O_NONBLOCK, 0o666, None); system(${number('mq_timedsend')}, messages, b'in a message', 12, 0, None)
print(memory, semaphore, queue)
sys.stdin.readline()
got, text = ctypes.create_string_buffer(100), ctypes.create_string_buffer(9000)
length = libc.msgrcv(queue, got, 90, 0, 0o4000)
size = libc.syscall(${number('mq_timedreceive')}, messages, text, 8192, None, None)
made = libc.syscall(${number('mq_unlink')}, name + b'-inside') == 0
print(ctypes.string_at(at, 9), libc.semctl(semaphore, 0, 12), got.raw[8:8 + max(length, 0)], text.raw[:max(size, 0)], made)
libc.shmctl(memory, 0, None); libc.semctl(semaphore, 0, 0); libc.msgctl(queue, 0, None); libc.syscall(${number('mq_unlink')}, name)
sys.stdin.readline()
`], { stdio: ['pipe', 'pipe', 'inherit'] })
  onTestFinished(() => void child.kill('SIGKILL'))
  const lines = createInterface({ input: child.stdout as NodeJS.ReadableStream })[Symbol.asyncIterator]()
  const [memory, semaphore, queue] = ((await lines.next()).value as string).split(' ').map(Number) as [number, number, number]
  return {
    key, memory, semaphore, queue, name,
    ask: async () => {
      child.stdin?.write('\n')
      return (await lines.next()).value as string
    },
  }
}

describe.each(BWRAP_IF_THERE)('$name: commands and the launcher share a PID namespace', variant => {
  test.each([
    { call: 'resource.prlimit(PID, resource.RLIMIT_NOFILE, (50, 60))', within: 'itself' },
    { call: 'os.setpriority(os.PRIO_PROCESS, PID, 7)', within: 'a child' },
    { call: 'os.setpriority(os.PRIO_PGRP, PID, 7)', within: 'nothing' },
    { call: 'os.sched_setaffinity(PID, {min(os.sched_getaffinity(0))})', within: 'a child' },
    { call: 'os.sched_setscheduler(PID, os.SCHED_BATCH, os.sched_param(0))', within: 'a child' },
    { call: `system(${number('ioprio_set')}, 1, PID, 3 << 13)`, within: 'a child' },
  ])('$call: to $within', async ({ call, within }) => {
    const sandbox = await startOn(variant, { cwd: makeWorkspace().path, policy: 'workspace-write' })
    onTestFinished(() => sandbox.close())
    const other = sandbox.spawn(['sh', '-c', 'echo there; exec sleep 60'])
    onTestFinished(() => void other.kill('SIGKILL'))
    await once(other.stdout, 'data')
    const { stdout, stderr } = await sandbox.exec(['python3', '-c', `${PRELUDE}
others = [int(name) for name in os.listdir('/proc') if name.isdigit() and int(name) != os.getpid()]
print(len(others) > 5)
for PID in others: attempt('other', lambda: ${call})
own = [] if '${within}' == 'nothing' else [os.getpid()] if '${within}' == 'itself' else [os.getpid(), sleeper()]
for PID in own: attempt('own', lambda: ${call} and None)
if len(own) == 2: os.kill(PID, 9)
`])
    expect(`${[...new Set(stdout.split('\n'))].join('\n')}${stderr}`).toBe(['True', 'other EPERM', ...(within === 'nothing' ? [] : ['own done']), ''].join('\n'))
  })
})
