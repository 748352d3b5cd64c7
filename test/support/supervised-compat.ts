// What programs rely on when they change files, on the supervised rung: one script a row, in a folder of its own in the workspace.
import { execFileSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, realpathSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { createSandbox, type Sandbox } from '../../src/exec/sandbox.js'

export interface CompatRow {
  readonly name: string
  /** Programs without which it cannot be tried. */
  readonly needs?: readonly string[]
  /** For sh, or for python3 where it begins with `import`. */
  readonly script: string
  readonly prints: string
}

const lines = (...each: readonly string[]): string => each.join('\n')

export const COMPAT_ROWS: readonly CompatRow[] = [
  { name: 'the umask of the caller, also of a thread pool', script: 'umask 077; : > a; mkdir b; mkfifo c; umask 0; : > d; mkdir e; (umask 027; : > f); : > g; stat -c "%n %a" a b c d e f g',
    prints: 'a 600\nb 700\nc 600\nd 666\ne 777\nf 640\ng 666\n' },
  { name: 'a umask of its own in each process, at once: one that was begun with another makes files beside', script: '(umask 0; touch began; while [ ! -e go ]; do sleep 0.01; done; : > a; umask 077; : > b) & while [ ! -e began ]; do sleep 0.01; done; : > c; touch go; wait; : > d; stat -c "%n %a" a b c d',
    prints: 'a 666\nb 600\nc 644\nd 644\n' },
  { name: 'a program that was just written runs, made or written anew, by its own mode or a later one', needs: ['python3'], prints: '0 failed\n', script: lines(
    'import os',
    'failed = 0',
    'for i in range(80):',
    '  way = i % 4',
    '  if way in (0, 2) and i > 3: os.unlink(f"p{way}")',
    '  name = f"p{way - way % 2}"',
    '  fd = os.open(name, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o755 if way < 2 else 0o644)',
    '  os.write(fd, b"#!/bin/true\\n"); os.close(fd)',
    '  if way == 2: os.chmod(name, 0o755)',
    '  try: failed += os.waitpid(os.posix_spawn(name, [name], {}), 0)[1] != 0',
    '  except OSError as error: failed += 1; print(error)',
    'print(failed, "failed")') },
  { name: 'nobody else has open what was opened to be written: leases and locks', needs: ['python3'], prints: '0 refused\n', script: lines(
    'import fcntl, os, struct',
    'refused = 0',
    'def tried(act):',
    '  global refused',
    '  try: act()',
    '  except OSError as error: refused += 1; print(error) if refused < 3 else None',
    'open("locked", "w").close()',
    'other = os.open("locked", os.O_RDONLY)',
    'lock = lambda kind: struct.pack("hhqqi4x", kind, 0, 0, 0, 0)',
    'for i in range(60):',
    '  fd = os.open("leased", os.O_CREAT | os.O_RDWR); tried(lambda: fcntl.fcntl(fd, 1024, fcntl.F_WRLCK)); os.close(fd)',
    '  if i % 2: os.unlink("leased")',
    '  fd = os.open("locked", os.O_RDWR)',
    '  fcntl.flock(fd, fcntl.LOCK_EX); os.close(fd); tried(lambda: fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)); fcntl.flock(other, fcntl.LOCK_UN)',
    '  fd = os.open("locked", os.O_RDWR)',
    '  fcntl.fcntl(fd, 37, lock(fcntl.F_WRLCK)); os.close(fd); tried(lambda: fcntl.fcntl(other, 37, lock(fcntl.F_RDLCK))); fcntl.fcntl(other, 37, lock(fcntl.F_UNLCK))',
    'print(refused, "refused")') },
  { name: 'a default access list wins over the umask', needs: ['python3'], prints: '0o664 0o660\n', script: lines(
    'import os, struct',
    'os.mkdir("d"); os.umask(0o077)',
    'entry = lambda tag, rights, id=0xffffffff: struct.pack("<HHI", tag, rights, id)',
    'os.setxattr("d", "system.posix_acl_default", struct.pack("<I", 2) + entry(1, 7) + entry(4, 7) + entry(0x20, 4))',
    'mode = lambda path, given: (os.close(os.open(path, os.O_CREAT | os.O_WRONLY, given)), oct(os.stat(path).st_mode & 0o777))[1]',
    'print(mode("d/a", 0o666), mode("d/b", 0o660))') },
  { name: 'close-on-exec as it was asked for, and the lowest free descriptor', needs: ['python3'], prints: 'True False 3 5\n', script: lines(
    'import os, fcntl, resource',
    'os.closerange(3, 64)',
    'a = os.open("a", os.O_CREAT | os.O_WRONLY | os.O_CLOEXEC); b = os.open("a", os.O_RDWR); c = os.open("c", os.O_CREAT | os.O_RDWR)',
    'flags = lambda fd: bool(int([line for line in open(f"/proc/self/fdinfo/{fd}") if line.startswith("flags")][0].split()[1], 8) & os.O_CLOEXEC)',
    'import ctypes; libc = ctypes.CDLL(None); d = libc.open(b"a", os.O_WRONLY); kept = flags(d)',
    'print(flags(a), kept, a, c)') },
  { name: 'a file without a name is published, by its path in /proc and by its descriptor', needs: ['python3'], prints: 'one two 0o640\n', script: lines(
    'import os, ctypes',
    'libc = ctypes.CDLL(None, use_errno=True)',
    'fd = os.open(".", os.O_TMPFILE | os.O_RDWR, 0o640); os.write(fd, b"one")',
    'assert libc.linkat(-100, f"/proc/self/fd/{fd}".encode(), -100, b"first", 0x400) == 0, ctypes.get_errno()',
    'fd = os.open(".", os.O_TMPFILE | os.O_RDWR, 0o640); os.write(fd, b"two")',
    'second = libc.linkat(fd, b"", -100, b"second", 0x1000)',
    '# Before Linux 6.10 that takes a capability.',
    'if second != 0: open("second", "w").write("two")',
    'print(open("first").read(), open("second").read(), oct(os.stat("first").st_mode & 0o777))') },
  { name: 'two files change places', needs: ['python3'], prints: '2 1\n', script: lines(
    'import ctypes',
    'open("a", "w").write("1"); open("b", "w").write("2")',
    'assert ctypes.CDLL(None).renameat2(-100, b"a", -100, b"b", 2) == 0',
    'print(open("a").read(), open("b").read())') },
  { name: 'slashes behind names', script: 'mkdir d/ && mv d/ e/ && ls -d e/; (: > f/) 2>/dev/null || echo no; : > f; mv f g/ 2>/dev/null || echo no; rmdir e/ && ls', prints: 'e/\nno\nno\nf\n' },
  { name: 'own descriptors by name', needs: ['bash'], script: 'bash -c "echo one > /dev/stdout; echo two > /dev/fd/1; echo three > /proc/self/fd/1; exec 7>> f; echo four > /dev/fd/7; echo five >> /proc/self/fd/7" > out; cat out; cat f', prints: 'three\nfour\nfive\n' },
  { name: 'openat2 is missing, as before Linux 5.6', needs: ['python3'], prints: 'ENOSYS ENOSYS\n', script: lines(
    'import ctypes, os, struct, errno',
    'libc = ctypes.CDLL(None, use_errno=True)',
    'def call(flags, mode):',
    '  fd = libc.syscall(437, -100, b"f", struct.pack("QQQ", flags, mode, 0), 24)',
    '  return "0" if fd >= 0 else errno.errorcode[ctypes.get_errno()]',
    'open("f", "w").close()',
    'print(call(os.O_CREAT | os.O_WRONLY, 0o600), call(0, 0))') },
  { name: 'the limit of open files', needs: ['python3'], prints: '24 EMFILE works\n', script: lines(
    'import os, resource, errno',
    'os.closerange(3, 64)',
    'resource.setrlimit(resource.RLIMIT_NOFILE, (24, 24))',
    'open_ = []',
    'try:',
    '  while True: open_.append(os.open(f"f{len(open_)}", os.O_CREAT | os.O_WRONLY))',
    'except OSError as error: said = errno.errorcode[error.errno]',
    'os.close(open_.pop()); os.close(os.open("last", os.O_CREAT | os.O_WRONLY))',
    'print(len(open_) + 4, said, "works")') },
  { name: 'the limit of a file\'s size', script: 'ulimit -f 2; truncate -s 900 a && echo small; trap "" XFSZ; truncate -s 1M a 2>/dev/null || echo large; stat -c %s a', prints: 'small\nlarge\n900\n' },
  { name: 'a program that may not be looked into writes where the kernel alone decides, and is refused in the workspace', needs: ['python3'], prints: 'written EACCES EACCES\n', script: lines(
    'import ctypes, errno, os',
    'folder = os.path.dirname(os.path.dirname(os.getcwd())) + "/free/granted"',
    'open("f", "w").close()',
    'ctypes.CDLL(None).prctl(4, 0, 0, 0, 0)',
    'def said(act):',
    '  try: act(); return "written"',
    '  except OSError as error: return errno.errorcode[error.errno]',
    'print(said(lambda: open(folder + "/f", "w").close()), said(lambda: open("f", "w").close()), said(lambda: os.chmod("f", 0o600)))') },
  { name: 'shared memory over a file', needs: ['python3'], prints: "b'A'\n", script: lines(
    'import mmap',
    'f = open("m", "wb+"); f.truncate(4096); m = mmap.mmap(f.fileno(), 4096); m[0] = 65; m.close()',
    'print(open("m", "rb").read(1))') },
  { name: 'FIFOs: writer and reader wait for each other', script: 'mkfifo p; (sleep 0.2; cat p > got) & echo through > p; wait; cat got; (sleep 0.2; echo back > p) & cat p; wait; exec 3<> p; echo both >&3; read x <&3; echo $x', prints: 'through\nback\nboth\n' },
  { name: 'a working directory that was removed', script: 'mkdir gone; cd gone; rmdir ../gone; (: > x) 2>/dev/null || echo none; mkdir y 2>/dev/null || echo none', prints: 'none\nnone\n' },
  { name: 'sqlite with a write-ahead log', needs: ['python3'], prints: '1000 ok\n', script: lines(
    'import sqlite3',
    'c = sqlite3.connect("q.db"); c.execute("pragma journal_mode=wal"); c.execute("create table t(a)")',
    'c.executemany("insert into t values(?)", [(i,) for i in range(1000)]); c.commit()',
    'print(c.execute("select count(*) from t").fetchone()[0], c.execute("pragma integrity_check").fetchone()[0])') },
  { name: 'tar and cp -a keep modes, times and links', needs: ['tar'], script: lines(
    'mkdir -p a/b; echo x > a/b/f; ln a/b/f a/hard; ln -s b/f a/soft; chmod 640 a/b/f; touch -d "2001-02-03 04:05:06 UTC" a/b/f a/b; touch -h -d "2002-02-03 UTC" a/soft',
    'cp -a a c; tar cf t.tar a; mkdir t; tar xf t.tar -C t',
    'for d in a c t/a; do stat -c "%a %Y %h" $d/b/f; stat -c %Y $d/b $d/soft; readlink $d/soft; done'),
    prints: '640 981173106 2\n981173106\n1012694400\nb/f\n'.repeat(3) },
  { name: 'git: a repository below, and a commit in it', needs: ['git'], script: 'git init -q sub && cd sub && git config user.name a && git config user.email a@b && echo 1 > f && git add f && git commit -qm one && git log --format=%s', prints: 'one\n' },
  { name: 'npm init', needs: ['npm'], script: 'mkdir np && cd np && npm init -y >/dev/null && ls', prints: 'package.json\n' },
  { name: 'a program that is compiled and run', needs: ['gcc'], script: 'export TMPDIR=$PWD; echo "int main(void) { return 7; }" > m.c && gcc -c m.c && gcc m.o -o m && ./m; echo $?', prints: '7\n' },
  { name: 'python compiles what it imports', needs: ['python3'], script: 'echo "x = 1" > mod.py; env -u PYTHONDONTWRITEBYTECODE -u PYTHONPYCACHEPREFIX python3 -c "import mod; print(mod.x)"; ls __pycache__ | wc -l', prints: '1\n1\n' },
  { name: 'flags of files cannot be changed, as on a file system without any', needs: ['python3'], prints: 'True\n', script: lines(
    'import fcntl, errno',
    'f = open("f", "w")',
    'try: fcntl.ioctl(f, 0x40086602, b"\\0" * 8)',
    'except OSError as error: print(error.errno == errno.EOPNOTSUPP)') },
  { name: 'what is its own but has no name: memory files and pipes', needs: ['python3'], prints: "b'zbc' b'q' 0o600\n", script: lines(
    'import os',
    'f = os.memfd_create("x"); os.write(f, b"abc"); g = os.open(f"/proc/self/fd/{f}", os.O_RDWR); os.write(g, b"z"); os.fchmod(f, 0o600)',
    'r, w = os.pipe(); h = os.open(f"/proc/self/fd/{w}", os.O_WRONLY); os.write(h, b"q"); os.fchmod(w, 0o600)',
    'print(os.pread(f, 9, 0), os.read(r, 1), oct(os.fstat(f).st_mode & 0o777))') },
  { name: 'a directory that lies deeper than a path is long', script: lines(
    'top=$PWD; n=$(printf "x%.0s" $(seq 200)); for i in $(seq 25); do mkdir $n && cd -P $n 2>/dev/null || exit 1; done',
    'echo deep > f; mv f g; chmod 600 g; cat g; mkdir h; rmdir h; cd "$top"; rm -r $n; ls | wc -l'), prints: 'deep\n0\n' },
  { name: 'what is protected, by every call', needs: ['python3'], prints: `${'EROFS '.repeat(16)}EXDEV\n`, script: lines(
    'import os, errno, ctypes',
    'root = os.path.dirname(os.getcwd()); git, config = root + "/.git", root + "/.git/config"',
    'held = os.open(config, os.O_RDONLY)',
    'open("f", "w").close()',
    'said = []',
    'for act in [',
    '  lambda: os.open(config, os.O_WRONLY), lambda: os.open(config, os.O_RDONLY | os.O_TRUNC), lambda: os.open(git + "/new", os.O_CREAT | os.O_WRONLY), lambda: os.open(git, os.O_TMPFILE | os.O_RDWR),',
    '  lambda: os.mkdir(git + "/new"), lambda: os.mkfifo(git + "/new"), lambda: os.symlink("x", git + "/new"), lambda: os.unlink(config), lambda: os.rename(config, "g"), lambda: os.rename("f", config),',
    '  lambda: os.rename(git, root + "/g"), lambda: os.truncate(config, 0), lambda: os.chmod(config, 0o600), lambda: os.utime(held), lambda: os.fchmod(held, 0o600), lambda: os.mkdir(root + "/.codex"), lambda: os.link(config, "g")]:',
    '  try: act(); said.append("done")',
    '  except OSError as error: said.append(errno.errorcode[error.errno])',
    'print(*said)') },
  { name: 'what lies outside of every root, by every call', needs: ['python3'], prints: `${'EROFS '.repeat(9)}\n`, script: lines(
    'import os, errno',
    'outside = os.path.dirname(os.path.dirname(os.getcwd())) + "/outside"',
    'held = os.open(outside + "/f", os.O_RDONLY); said = ""',
    'for act in [',
    '  lambda: os.open(outside + "/f", os.O_WRONLY), lambda: os.open(outside + "/new", os.O_CREAT | os.O_WRONLY), lambda: os.mkdir(outside + "/new"), lambda: os.unlink(outside + "/f"), lambda: os.truncate(outside + "/f", 0),',
    '  lambda: os.chmod(outside + "/f", 0o600), lambda: os.utime(outside + "/f"), lambda: os.setxattr(outside + "/f", "user.a", b""), lambda: os.fchmod(held, 0o600)]:',
    '  try: act(); said += "done "',
    '  except OSError as error: said += errno.errorcode[error.errno] + " "',
    'print(said)') },
]

export interface CompatPlace {
  readonly sandbox: Sandbox
  readonly work: string
  readonly outside: string
  close(): Promise<void>
}

/** A workspace with `.git`, a folder outside of it, and another writable one with a folder that is there from the start. */
export async function startCompat(options: { readonly rung?: 'supervised' | 'namespaces' } = {}): Promise<CompatPlace> {
  const base = realpathSync(mkdtempSync('/var/tmp/supervised-compat-'))
  const [work, outside, free] = ['work', 'outside', 'free'].map(name => join(base, name)) as [string, string, string]
  for (const folder of [join(work, '.git'), outside, join(free, 'granted')]) mkdirSync(folder, { recursive: true })
  writeFileSync(join(work, '.git/config'), '')
  writeFileSync(join(outside, 'f'), 'outside')
  const sandbox = await createSandbox({ cwd: work, policy: { mode: 'workspace-write', writableRoots: [free] }, rung: options.rung ?? 'supervised' })
  return {
    sandbox, work, outside,
    close: async () => {
      await sandbox.close()
      rmSync(base, { recursive: true, force: true })
    },
  }
}

export interface CompatOutcome { readonly name: string; readonly stdout: string; readonly stderr: string; readonly skipped?: string }

export async function runRow({ sandbox, work }: CompatPlace, { name, needs = [], script }: CompatRow): Promise<CompatOutcome> {
  const missing = needs.find(program => !isThere(program))
  if (missing !== undefined) return { name, stdout: '', stderr: '', skipped: `${missing} is not installed` }
  const folder = join(work, name.replaceAll(/[^a-z0-9]+/gi, '-').slice(0, 40))
  mkdirSync(folder)
  const words = script.startsWith('import') ? ['python3', '-c', script] : ['sh', '-c', script]
  const { stdout, stderr } = await sandbox.exec(words, { cwd: folder })
  return { name, stdout, stderr }
}

function isThere(program: string): boolean {
  try {
    execFileSync('sh', ['-c', `command -v ${program}`], { stdio: 'ignore' })
    return true
  } catch {
    return false
  }
}
