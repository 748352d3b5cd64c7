// Ways to read what is denied, or outside of restricted reads.
import { chmodSync, copyFileSync, linkSync, mkdirSync, symlinkSync, writeFileSync } from 'node:fs'
import { findProgram, python, type Scene, SECRET, secretOutside, sh } from '../../../src/doctor/escapes/attempt.js'
import { type HostileAttempt, privateKey, setVariable } from './hostile.js'

/** What of the secret stands in the folder `out` is what leaked. */
export const KEEP_WHAT_LEAKED = `grep -rs ${SECRET} "$W/out" > "$W/found" && mv "$W/found" "$LEAK"`

const RESTRICTED = { readAccess: { kind: 'restricted', includePlatformDefaults: true, readableRoots: [] } } as const
const DENIED = { prepare: privateKey, policy: ({ workspace }: Scene) => ({ deny: [`${workspace}/private`] }) } as const

/** Every way to a file's content that we know. `path` is a Python expression. */
const everyRead = (path: string): string => `
import mmap, subprocess
path = ${path}
def tell(how, data):
    if b'${SECRET}' in data: leak('read by ' + how)
def attempt(how, act):
    try: tell(how, act())
    except (OSError, ValueError, subprocess.SubprocessError): pass
def opened(name, flags=os.O_RDONLY, **more):
    fd = os.open(name, flags, **more)
    try: return os.read(fd, 4096)
    finally: os.close(fd)
def mapped():
    fd = os.open(path, os.O_RDWR)
    return bytes(mmap.mmap(fd, 0))
def reopened():
    fd = os.open(path, os.O_PATH)
    return opened(f'/proc/self/fd/{fd}')
def linked(make, name):
    make(path, W + '/' + name)
    return opened(W + '/' + name)
def renamed():
    os.rename(path, W + '/renamed')
    return opened(W + '/renamed')
def beneath():
    folder = os.open(os.path.dirname(path), os.O_PATH)
    return opened(os.path.basename(path), dir_fd=folder)
def changed_folder():
    os.chdir(os.path.dirname(path))
    try: return opened(os.path.basename(path))
    finally: os.chdir(W)
def run(*words): return subprocess.run(words, capture_output=True, timeout=10).stdout
attempt('open', lambda: opened(path))
attempt('open for both', lambda: opened(path, os.O_RDWR))
attempt('mmap', mapped)
attempt('a descriptor without rights', reopened)
attempt('a symbolic link', lambda: linked(os.symlink, 'link'))
attempt('a hard link', lambda: linked(os.link, 'hard'))
attempt('rename', renamed)
attempt('its folder\\'s descriptor', beneath)
attempt('its folder as cwd', changed_folder)
for base in ('/proc/self/root', '/proc/thread-self/root', '/proc/1/root', '/proc/self/cwd/..' , '/proc/self/task/%d/root' % os.getpid()):
    attempt(base, lambda: opened(base + path))
attempt('running it', lambda: run(path))
attempt('the interpreter of a script', lambda: run('/bin/sh', path))
attempt('the dynamic linker', lambda: run('/lib64/ld-linux-x86-64.so.2', path))
attempt('another program', lambda: run('cat', path))
attempt('listing its folder', lambda: b'${SECRET}' if os.listdir(os.path.dirname(path)) else b'')
`

export const READ_ATTEMPTS: readonly HostileAttempt[] = [
  {
    name: 'read a denied file in every way', failure: 'row 25, row 40: a deny that holds for one way in only', needs: ['python3'], ...DENIED,
    attack: python(everyRead('W + "/private/key"')),
    can: { name: 'reads its own file in every way', act: async scene => {
      await python(`os.mkdir(W + '/d'); open(W + '/d/f', 'w').write('${SECRET}')${everyRead('W + "/d/f"').replaceAll('leak(', '(lambda text: open(W + "/can", "a").write(text))(')}`)(scene)
    } },
  },
  {
    name: 'read outside of restricted reads in every way', failure: 'DESIGN 4: restricted reads; Landlock holds them alone', needs: ['python3'],
    prepare: secretOutside, policy: () => RESTRICTED,
    attack: python(everyRead('O + "/secret"')),
    can: { name: 'reads its own file and runs programs', act: sh('echo x > "$W/f" && cat "$W/f" > "$W/can"') },
  },
  {
    name: 'run a program outside of restricted reads', failure: 'DESIGN 4: what cannot be read cannot be run',
    prepare: ({ outside }) => { copyFileSync(findProgram('touch') as string, `${outside}/tool`); chmodSync(`${outside}/tool`, 0o755) },
    policy: () => RESTRICTED,
    attack: sh('"$O/tool" "$LEAK"; cp "$O/tool" "$W/t" && "$W/t" "$LEAK"; ln "$O/tool" "$W/l" && "$W/l" "$LEAK"; ln -s "$O/tool" "$W/s" && "$W/s" "$LEAK"'),
    can: { name: 'runs a program of the system', act: sh('touch "$W/can"') },
  },
  {
    name: 'read a denied file through links that were there before', failure: 'row 40: Deno PR#33894: a chain of links into the denied place',
    prepare: scene => {
      privateKey(scene)
      symlinkSync('private', `${scene.workspace}/a`)
      symlinkSync('a/key', `${scene.workspace}/b`)
      symlinkSync(`${scene.workspace}/b`, `${scene.outside}/c`)
    },
    policy: DENIED.policy,
    attack: sh(`mkdir "$W/out"; cat "$W/b" > "$W/out/b"; cat "$O/c" > "$W/out/c"; cat "$W/a/key" > "$W/out/a"; tar chf "$W/out/t" -C "$W" a b; cp -rL "$W/a" "$W/out/d"; ${KEEP_WHAT_LEAKED}`),
    can: { name: 'reads beside it', act: sh('echo x > "$W/f" && cat "$W/f" > "$W/can"') },
  },
  {
    name: 'have the deny rule on a link miss its target', failure: 'row 36, row 40: a rule on a link is a rule on what it leads to',
    prepare: ({ workspace, outside }) => {
      mkdirSync(`${workspace}/real`)
      writeFileSync(`${workspace}/real/key`, `${SECRET}\n`)
      symlinkSync('real', `${workspace}/named`)
      writeFileSync(`${outside}/keep`, '')
    },
    policy: ({ workspace }) => ({ deny: [`${workspace}/named`] }), unchanged: ['real'],
    attack: sh(`mkdir "$W/out"; cat "$W/named/key" > "$W/out/a"; cat "$W/real/key" > "$W/out/b"; rm "$W/named"; ln -s out "$W/named"; mv "$W/real" "$W/r"; cat "$W/r/key" > "$W/out/c"; ${KEEP_WHAT_LEAKED}`),
  },
  {
    name: 'be handed a denied file by a sandbox that may read it', failure: 'row 20, row 24: two sandboxes are outside to each other', needs: ['python3'], ...DENIED,
    attack: async scene => {
      const other = await scene.another({})
      const giving = other.run([findProgram('python3') as string, '-c', `
import os, socket, time
W = os.environ['W']
server = socket.socket(socket.AF_UNIX); server.bind(W + '/give.sock'); server.listen()
server.settimeout(3)
try:
    peer, _ = server.accept()
    socket.send_fds(peer, [b'x'], [os.open(W + '/private/key', os.O_RDONLY)])
except OSError: pass
`])
      await python(`
import time
for i in range(100):
    if os.path.exists(W + '/give.sock'): break
    time.sleep(0.02)
try:
    peer = socket.socket(socket.AF_UNIX); peer.settimeout(3); peer.connect(W + '/give.sock')
    _, fds, _, _ = socket.recv_fds(peer, 10, 4)
    leak(os.read(fds[0], 100))
except (OSError, IndexError): pass
`)(scene)
      await giving
      await other.close()
    },
    can: { name: 'two processes of one command hand each other a file', act: python(`
ours, theirs = socket.socketpair()
open(W + '/f', 'w').write('handed')
if os.fork() == 0:
    socket.send_fds(theirs, [b'x'], [os.open(W + '/f', os.O_RDONLY)]); os._exit(0)
_, fds, _, _ = socket.recv_fds(ours, 10, 1)
if os.read(fds[0], 10) == b'handed': open(W + '/can', 'w').close()
`) },
  },
  {
    name: 'read the journal, or lock it against other sandboxes', failure: 'ours: a lock needs no right to write, and launchers wait for each other by them', needs: ['python3'],
    prepare: scene => setVariable(scene, 'XDG_STATE_HOME', `${scene.outside}-state`),
    attack: python(`
import fcntl
folder = O + '-state/codex-sandbox'
try: names = os.listdir(folder)
except OSError: names = []
for name in names:
    leak('saw ' + name)
    try: fcntl.flock(os.open(folder + '/' + name, os.O_RDONLY), fcntl.LOCK_SH); leak('locked ' + name)
    except OSError: pass
try: open(folder + '/placeholder-new', 'w').close(); leak('made a record')
except OSError: pass
`),
    can: { name: 'locks its own file', act: python(`
import fcntl
file = open(W + '/can', 'w'); fcntl.flock(file, fcntl.LOCK_EX)
`) },
  },
  {
    name: 'change a file by the second name that it had before', failure: 'row 34: documented: a hard link is another file to any rule on paths; a protected one stays so under its own name',
    prepare: ({ workspace }) => {
      mkdirSync(`${workspace}/.codex`)
      writeFileSync(`${workspace}/.codex/config.toml`, 'mode = "safe"\n')
      linkSync(`${workspace}/.codex/config.toml`, `${workspace}/second-name`)
    },
    // What the rule on the path can hold: the name itself is not replaced. The content is the documented limit.
    attack: sh('cd "$W"; mv second-name .codex/config.toml; rm -f .codex/config.toml; mv --exchange second-name .codex/config.toml; ln -f second-name .codex/new'),
    unchanged: ['.codex'],
    can: { name: 'writes its own name of the file', act: sh('echo x > "$W/second-name" && touch "$W/can"') },
  },
]
