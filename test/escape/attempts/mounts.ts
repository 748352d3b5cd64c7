// The tricks of ../programs/mounts.c on a protected `.git`, and other ways to get at one.
import { chmodSync, existsSync, lstatSync, mkdirSync, readlinkSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { fileState, firstChange } from '../../../src/doctor/file-state.js'
import { IN_REPOSITORY, repository, type Scene, sh } from '../../../src/doctor/escapes/attempt.js'
import { type HostileAttempt, privateKey, runProgram, setVariable, whileItWaits } from './hostile.js'
import { KEEP_WHAT_LEAKED } from './reads.js'

const HELD_BY_MOUNTS = 'row 13, facts A3/B4: a read-only bind holds only where nobody can take it off or write past it'
const TRICKS: readonly (readonly [trick: string, name: string])[] = [
  ['unmount', 'unmounting it'], ['remount', 'remounting it writable'], ['mount_setattr', 'clearing its read-only flag'],
  ['mount-over', 'mounting over it'], ['bind-elsewhere', 'binding its folder elsewhere'], ['open_tree', 'a detached copy of its mount'],
  ['chroot', 'chroot and pivot_root'], ['user-namespace', 'a user namespace of its own'], ['setns', 'entering other namespaces'],
  ['descriptors', '/proc, descriptors and unnamed files'], ['rename', 'rename, exchange and hard links'], ['metadata', 'modes, owners, times and attributes'],
  ['read-only-descriptor', 'a descriptor that only reads'],
]

/** A repository is there, and nothing that a later git of the host would run was planted. */
const planted = ({ workspace }: Scene, ...folders: string[]): string | undefined => {
  const found = folders.flatMap(folder => ['hooks/planted', 'made', 'config.worktree'].map(name => `${folder}/${name}`)).find(path => existsSync(`${workspace}/${path}`))
  return found === undefined ? undefined : `${found} was made`
}

export const MOUNT_ATTEMPTS: readonly HostileAttempt[] = [
  ...TRICKS.map(([trick, name]): HostileAttempt => ({
    name: `change a protected .git by ${name}`, failure: HELD_BY_MOUNTS, ...IN_REPOSITORY, compiled: true,
    attack: async scene => {
      mkdirSync(`${scene.workspace}/own`)
      await runProgram('mounts', ({ workspace }) => [trick, `${workspace}/.git`, `${workspace}/own`])(scene)
    },
    evidence: scene => planted(scene, '.git'),
    can: { name: 'the same program changes a folder that is not protected', act: async scene => {
      mkdirSync(`${scene.workspace}/own`)
      mkdirSync(`${scene.workspace}/open/hooks`, { recursive: true })
      const before = fileState([`${scene.workspace}/open`])
      await runProgram('mounts', ({ workspace }) => [trick, `${workspace}/open`, `${workspace}/own`])(scene)
      if (firstChange(before, fileState([`${scene.workspace}/open`])) !== undefined) writeFileSync(`${scene.workspace}/can`, '')
    } },
  })),
  {
    name: 'change a .git that is a link, or what it leads to', failure: 'row 13, row 40: a protected name that is a link is a path to another file',
    prepare: scene => {
      repository(scene)
      renameSync(`${scene.workspace}/.git`, `${scene.workspace}/store`)
      symlinkSync('store', `${scene.workspace}/.git`)
      scene.notes.set('link', String(lstatSync(`${scene.workspace}/.git`, { bigint: true }).ino))
    },
    unchanged: ['store'],
    attack: sh('cd "$W"; mkdir -p mine/hooks; for d in .git store; do echo x > $d/hooks/planted; echo x >> $d/config; done; rm -f .git; ln -sfn mine .git; mv mine .git; mv -T mine store; mv store s; mv --exchange mine .git; mv --exchange mine store; unlink .git; mkdir .git'),
    evidence: ({ workspace, notes }) => {
      const now = lstatSync(`${workspace}/.git`, { bigint: true, throwIfNoEntry: false })
      return now?.isSymbolicLink() === true && String(now.ino) === notes.get('link') && readlinkSync(`${workspace}/.git`) === 'store' ? undefined : 'the link .git was replaced'
    },
    can: { name: 'reads through the link', act: sh('cat "$W/.git/HEAD" > "$W/can"') },
  },
  {
    name: 'change a .git that is a pointer, or the folder that it names', failure: 'row 46, row 33: a worktree\'s .git is a file, and what it names runs hooks too',
    prepare: scene => {
      repository(scene)
      renameSync(`${scene.workspace}/.git`, `${scene.workspace}/store`)
      writeFileSync(`${scene.workspace}/.git`, 'gitdir: store\n')
    },
    unchanged: ['.git', 'store'],
    attack: sh('cd "$W"; mkdir -p mine/hooks; echo "gitdir: mine" > .git; rm -f .git; mv -T mine/hooks .git; ln -sfn mine .git; echo x > store/hooks/planted; echo x >> store/config; mv store s; mv --exchange mine store; sed -i s/store/mine/ .git'),
    evidence: scene => planted(scene, 'store', 'mine'),
    can: { name: 'reads the pointer', act: sh('grep -q store "$W/.git" && cp "$W/.git" "$W/can"') },
  },
  {
    name: 'make a protected name in a workspace that nobody may write to at first', failure: 'ours: its owner gives himself the right, and no placeholder could be made',
    prepare: ({ workspace, defer }) => { chmodSync(workspace, 0o555); defer(() => chmodSync(workspace, 0o755)) },
    attack: async scene => {
      const script = 'cd "$W"; chmod 755 .; for n in .git .codex .agents; do mkdir -p t/hooks; echo x > t/hooks/planted; echo x > t/config; mv -T t $n; done; sleep 0.1'
      // Refused twice: what failed for the first command is no better for the second.
      const first = await scene.run(['sh', '-c', script]).catch((error: unknown) => error)
      await scene.run(['sh', '-c', script])
      if (first instanceof Error) throw first
    },
    evidence: ({ workspace }) => ['.git', '.codex', '.agents'].find(name => existsSync(`${workspace}/${name}/hooks/planted`)),
    supervised: { why: 'no placeholder is needed, so that the sandbox is not refused', can: { name: 'opens and uses its folder', act: sh('chmod 755 "$W" && echo x > "$W/can"') } },
  },
  {
    name: 'read and change what is denied in a folder that was closed at first', failure: 'ours: its owner opens the folder that kept the sandbox from looking',
    prepare: scene => {
      privateKey(scene)
      chmodSync(`${scene.workspace}/private`, 0)
      scene.defer(() => chmodSync(`${scene.workspace}/private`, 0o755))
    },
    policy: ({ workspace }) => ({ deny: [`${workspace}/private/key`], protect: ['private/held'] }),
    attack: sh(`mkdir "$W/out"; chmod 755 "$W/private"; cat "$W/private/key" > "$W/out/a"; mkdir "$W/private/held" && touch "$W/private/held/x"; ${KEEP_WHAT_LEAKED}`),
    evidence: ({ workspace }) => {
      chmodSync(`${workspace}/private`, 0o755)
      return existsSync(`${workspace}/private/held/x`) ? 'private/held was made' : undefined
    },
  },
  {
    name: 'blind the sandbox while the host replaces .git', failure: 'ours: what cannot be looked at for a moment must not count as held', ...IN_REPOSITORY, unchanged: [],
    attack: async scene => {
      await whileItWaits(scene, 'cd "$W"; (while [ ! -e over ]; do chmod 300 .; chmod 755 .; chmod 000 .; chmod 755 .; done; chmod 755 .) &', async () => {
        for (let i = 0; i < 20; i++) {
          try {
            renameSync(`${scene.workspace}/.git`, `${scene.workspace}/.git-${i}`)
            repository(scene)
          } catch (error) {
            if ((error as NodeJS.ErrnoException).code !== 'EACCES' && (error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
          }
        }
      }, 'sleep 0.1; touch over; wait; chmod 755 .; echo x > .git/hooks/planted; echo x >> .git/config; mkdir .git/made')
        .finally(() => chmodSync(scene.workspace, 0o755))
      await scene.run(['sh', '-c', 'cd "$W"; echo x > .git/hooks/planted; mkdir .git/made'])
    },
    evidence: scene => planted(scene, '.git'),
  },
  {
    name: 'free a workspace\'s name below a writable /tmp', failure: 'row 12, facts B4: mv /tmp/x /tmp/y moves the mount along, and a new /tmp/x/ws/.git is open', ...IN_REPOSITORY,
    policy: () => ({ excludeSlashTmp: false }),
    attack: sh('cd "$W"; up=$(dirname "$W"); base=$(basename "$W"); cd /; mkdir "$W/own"; mv -T "$W/own" "$up/own"; mv "$up" "$up-moved"; mv "$W" "$W-moved"; mv --exchange "$up/own" "$W"; mkdir -p "$W/.git/hooks"; echo x > "$W/.git/hooks/planted"; rm -rf "$W"'),
    evidence: scene => existsSync(`${scene.workspace}/.git/HEAD`) ? planted(scene, '.git') : 'the repository is gone',
    can: { name: 'writes in /tmp', act: sh('f=$(mktemp /tmp/escape-can-XXXXXX) && rm "$f" && touch "$W/can"') },
  },
  {
    name: 'get a $TMPDIR inside .git made writable', failure: 'ours: the embedding process\'s $TMPDIR is a root too, and may lie anywhere',
    prepare: scene => {
      repository(scene)
      mkdirSync(`${scene.workspace}/.git/tmp`)
      setVariable(scene, 'TMPDIR', `${scene.workspace}/.git/tmp`)
    },
    unchanged: ['.git'], policy: () => ({ excludeTmpdirEnvVar: false }),
    attack: sh('echo x > "$W/.git/tmp/x"; echo x > "$TMPDIR/x"; ln "$W/.git/config" "$W/.git/tmp/c"'),
  },
  {
    name: 'use the folder that the host puts in the place of the cwd', failure: 'row 39, ours: a cwd is a folder, not a name',
    prepare: ({ workspace, outside, defer }) => {
      mkdirSync(`${workspace}/inner`)
      defer(() => rmSync(`${workspace}/inner`, { recursive: true, force: true }))
      writeFileSync(`${outside}/kept`, 'kept\n')
    },
    policy: ({ workspace }) => ({ write: [`${workspace}/inner`] }),
    attack: async ({ workspace, outside, run, another }) => {
      renameSync(workspace, `${workspace}-before`)
      symlinkSync(outside, workspace)
      await run(['sh', '-c', 'echo x > new; echo x > "$W/new"; echo x > "$W/inner/new"']).catch(() => undefined)
      rmSync(workspace)
      mkdirSync(workspace)
      await run(['sh', '-c', 'echo x > new; echo x > "$W/new"']).catch(() => undefined)
      rmSync(workspace, { recursive: true })
      renameSync(`${workspace}-before`, workspace)
      // The same, where the command's own folder is swapped for a link by the command before it.
      await run(['sh', '-c', 'mv "$W/inner" "$W/i"; ln -s "$O" "$W/inner"'])
      const second = await another({}).catch(() => undefined)
      await second?.run(['sh', '-c', 'cd "$W/inner" && echo x > new'])
      await second?.close()
    },
    can: { name: 'works there when nothing was swapped', act: sh('echo x > "$W/inner/f" && touch "$W/can"') },
  },
]
