// Attempts on files that are outside every writable root, denied, or held read-only inside one.
import { execFileSync } from 'node:child_process'
import { closeSync, constants, mkdirSync, openSync, readSync, symlinkSync, writeFileSync } from 'node:fs'
import { type EscapeAttempt, IN_REPOSITORY, python, repository, type Scene, SECRET, secretOutside, sh } from './attempt.js'

const READS_INSIDE = { name: 'reads and writes in the workspace', act: sh('echo x > "$W/a" && cat "$W/a" > "$W/can"') } as const
const KEEP_IN_LEAK = 'grep -rs escape-attempt-secret "$W/out" > "$W/found" && mv "$W/found" "$LEAK"'

export const FILE_ATTEMPTS: readonly EscapeAttempt[] = [
  {
    name: 'make a file outside', failure: 'the plain case: every row that ends in a write',
    attack: sh('echo x > "$O/new"; mkdir "$O/folder"; ln -s /etc "$O/link"; mkfifo "$O/pipe"'),
    can: { name: 'makes files, folders, links and pipes in the workspace', act: sh('cd "$W" && mkdir d && ln -s d l && mkfifo p && echo x > l/f && mv d/f can') },
  },
  {
    name: 'change a file outside', failure: 'the plain case: write, append, truncate',
    prepare: secretOutside,
    attack: sh('echo x > "$O/secret"; echo x >> "$O/secret"; true > "$O/secret"; truncate -s 1 "$O/secret"; dd if=/dev/zero of="$O/secret" conv=notrunc bs=1 count=1; sed -i s/e/x/ "$O/secret"'),
    can: { name: 'changes its own file in place', act: sh('cd "$W" && echo abc > f && sed -i s/b/x/ f && truncate -s 2 f && test "$(cat f)" = ax && touch can') },
  },
  {
    name: 'remove or rename outside', failure: 'the plain case: unlink, rmdir, rename',
    prepare: scene => { secretOutside(scene); mkdirSync(`${scene.outside}/empty`) },
    attack: sh('rm -f "$O/secret"; rmdir "$O/empty"; mv "$O/secret" "$O/other"; mv -f "$O/secret" "$W/taken"; mv "$O/empty" "$W/empty"; rm -rf "$O"'),
    can: { name: 'removes and renames its own', act: sh('cd "$W" && mkdir -p d/e && touch d/e/f && mv d n && rm -rf n && test ! -e n && touch can') },
  },
  {
    name: 'change modes, owners, times and attributes outside', failure: 'Landlock covers no metadata: chmod, utimes and xattrs need mounts or seccomp',
    needs: ['python3'], prepare: secretOutside,
    attack: python(`
import contextlib
path = O + '/secret'
fd = os.open(path, os.O_RDONLY)
for act in (lambda: os.chmod(path, 0o666), lambda: os.fchmod(fd, 0o666), lambda: os.chown(path, os.getuid(), os.getgid()), lambda: os.fchown(fd, os.getuid(), os.getgid()),
            lambda: os.utime(path, (1, 1)), lambda: os.utime(fd, (1, 1)), lambda: os.setxattr(path, 'user.escape', b'x'), lambda: os.setxattr(fd, 'user.escape', b'x'),
            lambda: os.chmod(O, 0o777)):
    with contextlib.suppress(OSError): act()
`),
    can: { name: 'changes its own modes and times', act: sh('cd "$W" && touch f && chmod 640 f && touch -t 200001010000 f && test "$(stat -c %a f)" = 640 && touch can') },
  },
  {
    name: 'write through a link that the command made', failure: 'row 3: CVE-2026-39861, a path checked as text and then followed',
    prepare: secretOutside,
    attack: sh('ln -s "$O/secret" "$W/l"; echo x >> "$W/l"; ln -s "$O" "$W/d"; echo x > "$W/d/new"; ln -s "$O/absent" "$W/a"; echo x > "$W/a"'),
    can: { name: 'writes through a link to its own file', act: sh('cd "$W" && ln -s can l && echo x > l') },
  },
  {
    name: 'make a folder below a linked ancestor', failure: 'row 3: librefang#6299, ancestor link and missing folder',
    attack: sh('ln -s "$O" "$W/up"; mkdir -p "$W/up/a/b"; echo x > "$W/up/a/b/f"; cd "$W/up" && mkdir c'),
  },
  {
    name: 'swap a writable folder for a link between commands', failure: 'row 39: CVE-2024-42472 (flatpak), a persistent folder replaced by a link',
    prepare: scene => mkdirSync(`${scene.workspace}/kept`),
    policy: scene => ({ write: [`${scene.workspace}/kept`] }),
    attack: async scene => {
      await scene.run(['sh', '-c', 'mv "$W/kept" "$W/old" || rm -rf "$W/kept"; ln -s "$O" "$W/kept"'])
      await scene.run(['sh', '-c', 'echo x > "$W/kept/new"'])
      const second = await scene.another({ write: [`${scene.workspace}/kept`] }).catch(() => undefined)
      await second?.run(['sh', '-c', 'echo x > "$W/kept/new"; echo x > "$O/new"'])
      await second?.close()
    },
    can: { name: 'writes in that folder', act: sh('echo x > "$W/kept/f" && touch "$W/can"') },
  },
  {
    name: 'get a mount point made outside by a deny rule', failure: 'row 1: CVE-2026-87766 (bubblewrap), set-up follows a planted parent link',
    attack: async scene => {
      await scene.run(['sh', '-c', 'ln -s "$O" "$W/dir"'])
      const second = await scene.another({ deny: [`${scene.workspace}/dir/new`], protect: ['dir/other'] }).catch(() => undefined)
      await second?.run(['sh', '-c', 'echo x > "$W/dir/new"'])
      await second?.close()
    },
  },
  {
    name: 'write through a hard link to a file outside', failure: 'row 34: merry PR#29, another name in the writable mount',
    prepare: secretOutside,
    attack: sh('ln "$O/secret" "$W/l" && echo x >> "$W/l"; ln -L "$O/secret" "$W/m" && echo x >> "$W/m"; ln /proc/self/root"$O/secret" "$W/n"'),
    can: { name: 'makes a hard link of its own file', act: sh('cd "$W" && echo x > f && ln f can') },
  },
  {
    name: 'write through a hard link to a protected file', failure: 'row 34: srt README, a protected file under a second name',
    ...IN_REPOSITORY,
    attack: sh('cd "$W"; ln .git/config l && echo x >> l; cp -l .git/config m && echo x >> m; mkdir d; ln .git/HEAD d/h'),
  },
  {
    name: 'read a denied file', failure: 'row 25: nono#547, a deny below an allowed folder without effect',
    prepare: denied, policy: denyPolicy,
    attack: sh(`mkdir "$W/out"; cat "$W/private/key" > "$W/out/a"; cp -r "$W/private" "$W/out/b"; tar cf "$W/out/c" -C "$W" private; (cd "$W/private" && cat key) > "$W/out/d"; ${KEEP_IN_LEAK}`),
    can: { ...READS_INSIDE },
  },
  {
    name: 'change or replace a denied file', failure: 'row 25: nono#547',
    prepare: denied, policy: denyPolicy, unchanged: ['private'],
    attack: sh('echo x > "$W/private/key"; echo x > "$W/private/new"; rm -rf "$W/private"; mv "$W/private" "$W/p"; mkdir "$W/private"; chmod 777 "$W/private"'),
  },
  {
    name: 'read a denied file through a link in an allowed folder', failure: 'row 40: Deno#12152, #2318: checked before it was resolved',
    prepare: scene => { denied(scene); symlinkSync(`${scene.workspace}/private/key`, `${scene.workspace}/link`); symlinkSync(`${scene.workspace}/private`, `${scene.workspace}/folder-link`) },
    policy: denyPolicy,
    attack: sh(`mkdir "$W/out"; cat "$W/link" > "$W/out/a"; cat "$W/folder-link/key" > "$W/out/b"; ln -s private/key "$W/mine"; cat "$W/mine" > "$W/out/c"; ln "$W/private/key" "$W/out/d"; ${KEEP_IN_LEAK}`),
    can: { ...READS_INSIDE },
  },
  {
    name: 'read denied credentials where their link points', failure: 'row 36: cplt#551, ~/.ssh -> ~/dotfiles/ssh',
    prepare: scene => {
      mkdirSync(`${scene.outside}/dotfiles/ssh`, { recursive: true })
      writeFileSync(`${scene.outside}/dotfiles/ssh/id`, `${SECRET}\n`)
      writeFileSync(`${scene.outside}/dotfiles/public`, 'public\n')
      symlinkSync('dotfiles/ssh', `${scene.outside}/.ssh`)
    },
    policy: scene => ({ deny: [`${scene.outside}/.ssh`], read: [`${scene.outside}/dotfiles`] }),
    attack: sh(`mkdir "$W/out"; cat "$O/.ssh/id" > "$W/out/a"; cat "$O/dotfiles/ssh/id" > "$W/out/b"; ${KEEP_IN_LEAK}`),
    can: { name: 'reads beside them', act: sh('cat "$O/dotfiles/public" > "$W/can"') },
  },
  {
    name: 'read a file denied by a glob with a wildcard in its middle', failure: 'row 15: claude-code#92684, such a pattern was skipped without a word',
    prepare: scene => {
      for (const name of ['a', 'b']) {
        mkdirSync(`${scene.workspace}/sub/${name}`, { recursive: true })
        writeFileSync(`${scene.workspace}/sub/${name}/token`, `${SECRET}\n`)
      }
    },
    policy: scene => ({ deny: [`${scene.workspace}/sub/*/token`] }), allowDegraded: ['later-glob-matches'], unchanged: ['sub'],
    attack: sh(`mkdir "$W/out"; cat "$W/sub/a/token" > "$W/out/a"; cat "$W/sub/b/token" > "$W/out/b"; echo x > "$W/sub/a/token"; ${KEEP_IN_LEAK}`),
    can: { name: 'reads and writes beside them', act: sh('echo x > "$W/sub/a/other" && cat "$W/sub/a/other" > "$W/can"') },
  },
  {
    name: 'read a denied file that a protect rule binds too', failure: 'row 16: srt@ebf2912, fence#36, the bind laid over the mask',
    prepare: scene => { repository(scene); writeFileSync(`${scene.workspace}/.git/credentials`, `${SECRET}\n`) },
    policy: scene => ({ deny: [`${scene.workspace}/.git/credentials`], protect: ['.git/credentials'], read: [`${scene.workspace}/.git`] }), unchanged: ['.git'],
    attack: sh(`mkdir "$W/out"; cat "$W/.git/credentials" > "$W/out/a"; cp -r "$W/.git" "$W/out/b"; ${KEEP_IN_LEAK}`),
    can: { name: 'reads beside it', act: sh('cat "$W/.git/HEAD" > "$W/can"') },
  },
  {
    name: 'reveal a denied folder by making a folder inside it writable', failure: 'row 16: a later rule uncovers what an earlier one hid',
    prepare: scene => { denied(scene); mkdirSync(`${scene.workspace}/private/open`) },
    policy: scene => ({ deny: [`${scene.workspace}/private`], write: [`${scene.workspace}/private/open`] }),
    attack: sh(`mkdir "$W/out"; cat "$W/private/key" > "$W/out/a"; cat "$W/private/open/../key" > "$W/out/b"; ${KEEP_IN_LEAK}`),
    can: { name: 'writes in the opened folder', act: sh('echo x > "$W/private/open/f" && touch "$W/can"') },
  },
  {
    name: 'reach denied files and the host through /proc', failure: 'row 28: sandlock#246, /proc/self and magic links served from outside',
    prepare: scene => { denied(scene); secretOutside(scene) }, policy: denyPolicy, unchanged: ['private'],
    attack: sh(`mkdir "$W/out"; for base in /proc/self/root /proc/thread-self/root /proc/1/root /proc/self/cwd/.. /proc/1/cwd; do cat "$base$W/private/key"; echo x > "$base$O/new"; echo x >> "$base$O/secret"; done > "$W/out/a"
for base in /proc/[0-9]*; do cat "$base/root$W/private/key"; echo x > "$base/root$O/new"; done > "$W/out/b"; ${KEEP_IN_LEAK}`),
    can: { name: 'uses its own /proc', act: sh('test "$(readlink /proc/self/root)" = / && grep -q PPid /proc/self/status && echo x > /proc/self/root"$W/can"') },
    supervised: {
      why: 'a writable root with something closed in it is not written to by way of /proc/self',
      can: { name: 'reads by its own /proc', act: sh('test "$(readlink /proc/self/root)" = / && grep -q PPid /proc/self/status && cat /proc/self/root"$O/secret" > "$W/can"') },
    },
  },
  {
    name: 'reach the host through an inherited descriptor', failure: 'row 28: /proc/self/fd of what was open before',
    prepare: scene => {
      secretOutside(scene)
      // Kept open while the launcher starts and the command runs, as an embedding program's log file would be.
      const folder = openSync(scene.outside, 'r')
      const file = openSync(`${scene.outside}/secret`, 'a')
      scene.defer(() => { closeSync(folder); closeSync(file) })
    },
    attack: sh('for fd in /proc/self/fd/*; do case "$(readlink "$fd")" in "$O"*) readlink "$fd" >> "$LEAK"; echo x >> "$fd"; echo x > "$fd/new";; esac; done'),
  },
  {
    name: 'write into a FIFO outside', failure: 'ours: a read-only mount does not stop a write into a FIFO',
    prepare: scene => {
      execFileSync('mkfifo', [`${scene.outside}/fifo`])
      const reader = openSync(`${scene.outside}/fifo`, constants.O_RDWR | constants.O_NONBLOCK)
      scene.notes.set('fifo', String(reader))
      scene.defer(() => closeSync(reader))
    },
    attack: sh('echo escaped > "$O/fifo"; echo escaped >> "$O/fifo"; echo escaped 1<> "$O/fifo"'),
    evidence: scene => {
      const bytes = Buffer.alloc(64)
      try {
        const length = readSync(Number(scene.notes.get('fifo')), bytes)
        return length > 0 ? `the reader outside got ${JSON.stringify(bytes.toString('utf8', 0, length))}` : undefined
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code === 'EAGAIN') return undefined
        throw error
      }
    },
    can: { name: 'uses a FIFO of its own', act: sh('cd "$W" && mkfifo p && { echo x > p & } && cat p > can && wait') },
  },
  {
    name: 'use devices of the host', failure: 'ours: a read-only mount does not stop a write to a device',
    attack: sh('for d in mem kmem port kmsg sda vda nvme0n1 loop-control loop0 fuse kvm net/tun uinput hwrng; do test -e "/dev/$d" && true < "/dev/$d" && echo "opened $d" >> "$LEAK"; done; mknod "$W/disk" b 259 0 && echo mknod-block >> "$LEAK"; mknod "$W/mem" c 1 1 && echo mknod-char >> "$LEAK"; :'),
    can: { name: 'uses null, zero, urandom, shm and a pty', act: sh('head -c4 /dev/urandom > "$W/r" && head -c4 /dev/zero > /dev/null && echo x > /dev/shm/escape-can && rm /dev/shm/escape-can && test -c /dev/ptmx && touch "$W/can"') },
  },
]

/** A file in the workspace that the policy denies. */
function denied(scene: Scene): void {
  mkdirSync(`${scene.workspace}/private`)
  writeFileSync(`${scene.workspace}/private/key`, `${SECRET}\n`)
}

function denyPolicy(scene: Scene): { readonly deny: readonly string[] } {
  return { deny: [`${scene.workspace}/private`] }
}
