// Python, whose process pools, servers and shared memory are what filters break first.
import { expect } from 'vitest'
import { lines, withoutLoopback, type Workload } from './workload.js'

const python = (name: string, script: string, rest: Partial<Workload> = {}): Workload => ({ name: `python: ${name}`, needs: ['python3'], given: place => place.write('main.py', script), run: ['python3', 'main.py'], prints: 'ok\n', ...rest })

export const PYTHON: readonly Workload[] = [
  python('multiprocessing: pools by fork, spawn and forkserver', lines`
    import multiprocessing
    def square(x): return x * x
    if __name__ == '__main__':
        for method in 'fork', 'spawn', 'forkserver':
            with multiprocessing.get_context(method).Pool(3) as pool:
                assert pool.map(square, range(20)) == [x * x for x in range(20)], method
        print('ok')
  `),
  python('multiprocessing: queues, locks, semaphores, managers', lines`
    from multiprocessing import Process, Queue, Lock, Semaphore, Value, Manager, Pipe
    def work(queue, lock, semaphore, value, shared, pipe):
        with semaphore, lock: value.value += 1
        shared.append(1); queue.put('q'); pipe.send('p')
    if __name__ == '__main__':
        queue, lock, semaphore, value, (here, there) = Queue(), Lock(), Semaphore(2), Value('i', 0), Pipe()
        with Manager() as manager:
            shared = manager.list()
            workers = [Process(target=work, args=(queue, lock, semaphore, value, shared, there)) for _ in range(4)]
            for w in workers: w.start()
            got = [queue.get() + here.recv() for _ in workers]
            for w in workers: w.join()
            assert value.value == 4 and len(shared) == 4 and got == ['qp'] * 4
        print('ok')
  `),
  python('concurrent.futures: processes and threads', lines`
    from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
    if __name__ == '__main__':
        for kind in ProcessPoolExecutor, ThreadPoolExecutor:
            with kind(4) as pool: assert list(pool.map(abs, [-1, -2, -3])) == [1, 2, 3]
        print('ok')
  `),
  python('asyncio: child processes, a TCP and a unix server, signals', lines`
    import asyncio, signal, os
    async def echo(reader, writer):
        writer.write(await reader.readline()); await writer.drain(); writer.close()
    async def main():
        child = await asyncio.create_subprocess_exec('cat', stdin=-1, stdout=-1)
        assert (await child.communicate(b'text'))[0] == b'text'
        shell = await asyncio.create_subprocess_shell('exit 3')
        assert await shell.wait() == 3
        for server, connect in ((await asyncio.start_server(echo, '127.0.0.1', 0), None), (await asyncio.start_unix_server(echo, 'a.sock'), 'a.sock')):
            reader, writer = await (asyncio.open_unix_connection(connect) if connect else asyncio.open_connection(*server.sockets[0].getsockname()))
            writer.write(b'line\n'); assert await reader.readline() == b'line\n'
            writer.close(); server.close()
        got = asyncio.Event()
        asyncio.get_running_loop().add_signal_handler(signal.SIGUSR1, got.set)
        os.kill(os.getpid(), signal.SIGUSR1); await got.wait()
        print('ok')
    asyncio.run(main())
  `, withoutLoopback({ exits: 1, complains: /PermissionError: .* bind on address/ })),
  python('subprocess: pipes, time-outs, sessions, process groups, pass_fds', lines`
    import subprocess, os, signal
    assert subprocess.run(['tr', 'a-z', 'A-Z'], input='text', text=True, capture_output=True).stdout == 'TEXT'
    try: subprocess.run(['sleep', '100'], timeout=0.1); raise SystemExit('no time-out')
    except subprocess.TimeoutExpired: pass
    child = subprocess.Popen(['sleep', '100'], start_new_session=True)
    os.killpg(child.pid, signal.SIGTERM); assert child.wait() == -signal.SIGTERM
    r, w = os.pipe(); subprocess.run(['sh', '-c', f'echo fd >&{w}'], pass_fds=[w], check=True); assert os.read(r, 9) == b'fd\n'
    print('ok')
  `),
  python('threading, with locks and a thousand threads one after another', lines`
    import threading
    total, lock = 0, threading.Lock()
    def add():
        global total
        with lock: total += 1
    for _ in range(50):
        threads = [threading.Thread(target=add) for _ in range(20)]
        for t in threads: t.start()
        for t in threads: t.join()
    print('ok' if total == 1000 else total)
  `),
  python('tempfile, shutil, pathlib, glob', lines`
    import tempfile, shutil, pathlib, os
    with tempfile.TemporaryDirectory() as d:
        pathlib.Path(d, 'a').write_text('x'); shutil.copytree(d, 'copy'); shutil.make_archive('packed', 'zip', d); shutil.unpack_archive('packed.zip', 'unpacked')
    with tempfile.NamedTemporaryFile() as f, tempfile.TemporaryFile() as g, tempfile.SpooledTemporaryFile(1) as h:
        f.write(b'x'); g.write(b'x'); h.write(b'xyz')
    print('ok' if sorted(map(str, pathlib.Path('.').glob('*/a'))) == ['copy/a', 'unpacked/a'] else 'wrong')
  `, { seen: place => expect(place.read('unpacked/a')).toBe('x') }),
  python('sqlite3 with write-ahead logging, and two processes that write', lines`
    import sqlite3, multiprocessing
    def write(n):
        with sqlite3.connect('a.db', timeout=20) as db: db.execute('insert into t values (?)', (n,))
    if __name__ == '__main__':
        db = sqlite3.connect('a.db')
        assert db.execute('pragma journal_mode=wal').fetchone() == ('wal',)
        db.execute('create table t (n)'); db.commit()
        with multiprocessing.Pool(2) as pool: pool.map(write, range(20))
        print('ok' if db.execute('select count(*) from t').fetchone() == (20,) else 'wrong')
  `, { seen: place => expect(place.exists('a.db')).toBe(true) }),
  {
    name: 'python: a virtual environment is made and used', needs: ['/usr/bin/python3'],
    run: '/usr/bin/python3 -m venv --without-pip own; own/bin/python -c "import sys; print(sys.prefix != sys.base_prefix)"', prints: 'True\n',
    seen: place => expect(place.exists('own/pyvenv.cfg')).toBe(true),
  },
  python('the pty module: a terminal of its own', lines`
    import pty, os
    pid, fd = pty.fork()
    if pid == 0: os.execvp('sh', ['sh', '-c', 'test -t 0 && stty size && tty'])
    text = b''
    try:
        while True:
            piece = os.read(fd, 1024)
            if not piece: break
            text += piece
    except OSError: pass
    os.waitpid(pid, 0)
    print('ok' if text.startswith(b'0 0\r\n/dev/pts/') else text)
  `),
  python('shared memory, mmap, and semaphores with a name', lines`
    from multiprocessing import shared_memory
    import mmap, os
    a = shared_memory.SharedMemory(create=True, size=4096); a.buf[0] = 7
    b = shared_memory.SharedMemory(name=a.name); assert b.buf[0] == 7
    b.close(); a.close(); a.unlink()
    with open('mapped', 'wb+') as f:
        f.truncate(8192); m = mmap.mmap(f.fileno(), 0); m[4096] = 65; m.flush(); m.close()
    anonymous = mmap.mmap(-1, 1 << 20); anonymous[5] = 1
    fd = os.memfd_create('x'); os.write(fd, b'y')
    print('ok' if open('mapped', 'rb').read()[4096] == 65 else 'wrong')
  `),
  python('epoll, eventfd, timerfd-free selectors, inotify, pidfd, signals and alarms', lines`
    import os, select, signal, ctypes, subprocess
    e = os.eventfd(0); p = select.epoll(); p.register(e, select.EPOLLIN); os.eventfd_write(e, 3); assert p.poll(5)[0][0] == e and os.eventfd_read(e) == 3
    libc = ctypes.CDLL(None, use_errno=True); i = libc.inotify_init(); assert i >= 0 and libc.inotify_add_watch(i, b'.', 0x100) > 0
    open('new', 'w').close(); assert b'new' in os.read(i, 1024)
    child = subprocess.Popen(['sleep', '100']); fd = os.pidfd_open(child.pid); signal.pidfd_send_signal(fd, signal.SIGKILL); assert child.wait() == -9
    signal.signal(signal.SIGALRM, lambda *_: print('ok')); signal.setitimer(signal.ITIMER_REAL, 0.01); signal.pause()
  `),
  {
    name: 'python -m http.server, and urllib against it', needs: ['python3'],
    given: place => place.write('page', 'ok'),
    run: lines`
      python3 -u -m http.server 8000 --bind 127.0.0.1 >log 2>&1 &
      until grep -qs Serving log; do sleep 0.05; done
      python3 -c 'import urllib.request; print(urllib.request.urlopen("http://127.0.0.1:8000/page").read().decode())'
      kill $!; wait $! || true
    `,
    prints: 'ok\n', complains: /^(?:Terminated\n)?$/,
    ...withoutLoopback({ run: 'python3 -m http.server 8000 --bind 127.0.0.1', exits: 1, complains: /PermissionError/ }),
  },
  {
    name: 'python: compiles its modules into the workspace', needs: ['python3'], given: place => place.write('own.py', 'word = "ok"'),
    run: ['python3', '-c', 'import py_compile, own; assert py_compile.compile("own.py").startswith("__pycache__"); print(own.word)'], prints: 'ok\n',
    seen: place => expect(place.exists('__pycache__')).toBe(true),
  },
  {
    name: 'python -m unittest', needs: ['python3'],
    given: place => place.write('test_a.py', 'import unittest\nclass A(unittest.TestCase):\n    def test_a(self): self.assertEqual(1, 1)\n'),
    run: ['python3', '-m', 'unittest', '-q'], complains: /Ran 1 test[^]*OK/,
  },
]
