// Attempts on what stays read-only inside a writable root: .git, .codex, .agents, what `protect` names, and our own files.
import { existsSync, mkdirSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { dirname } from 'node:path'
import { ownFile } from '../../host/own-package.js'
import { type Act, type EscapeAttempt, findProgram, IN_REPOSITORY, listing, onHost, pause, plantedScript, repository, type Scene, sh, textOf } from './attempt.js'

const NAMES = ['.git', '.codex', '.agents']
const absentAfterwards = (scene: Scene): string | undefined => NAMES.find(name => existsSync(`${scene.workspace}/${name}`))
const ABSENT = { evidence: (scene: Scene) => { const name = absentAfterwards(scene); return name === undefined ? undefined : `${name} exists in the workspace` } } as const

/** Git as the host runs it later: what it executes by the workspace's own settings leaves `evil-ran` outside. */
async function gitOnHost(scene: Scene): Promise<string | undefined> {
  const git = findProgram('git') as string
  for (const words of [['status'], ['diff'], ['checkout', '.'], ['commit', '--allow-empty', '-m', 'x']]) await onHost(scene, git, words)
  return existsSync(`${scene.outside}/evil-ran`) ? 'git on the host ran a program of the sandbox\'s choice' : undefined
}

async function realRepository(scene: Scene): Promise<void> {
  const git = findProgram('git') as string
  for (const words of [['init', '-q', '-b', 'main'], ['config', 'user.name', 'x'], ['config', 'user.email', 'x@example.org'], ['commit', '-q', '--allow-empty', '-m', 'first']]) await onHost(scene, git, words)
  plantedScript(scene)
}

export const PROTECTED_ATTEMPTS: readonly EscapeAttempt[] = [
  ...([
    ['made as a folder', 'mkdir "$n"; mkdir -p "$n/hooks"; echo x > "$n/config"'],
    ['made as a file', 'echo "gitdir: $O" > "$n"; touch "$n"; mkfifo "$n"'],
    ['renamed to', 'mkdir t; echo x > t/config; mv -T t "$n"; rmdir "$n"; mv -T t "$n"; mv --exchange t "$n"'],
    ['linked to by a hard link', 'echo x > f; ln -T f "$n"; rmdir "$n"; ln -T f "$n"'],
    ['made as a symbolic link', 'mkdir t; ln -sT t "$n"; rmdir "$n"; ln -sT "$O" "$n"'],
  ] as const).map(([how, script]): EscapeAttempt => ({
    name: `a protected name, absent at the start, is ${how}`, failure: 'row 2: CVE-2026-25725, a protected file only held if it existed',
    attack: sh(`cd "$W"; for n in ${NAMES.join(' ')}; do ${script}; done`), ...ABSENT,
    can: { name: 'makes such names deeper down', act: sh('cd "$W" && mkdir -p sub/.git/hooks && echo x > sub/.git/config && touch can') },
  })),
  {
    name: 'change a repository\'s hooks, config and head', failure: 'row 32: cplt#210, trailofbits devcontainer PR#42', ...IN_REPOSITORY,
    attack: sh('cd "$W"; echo x > .git/hooks/pre-commit; echo x >> .git/config; echo x > .git/config.worktree; echo x > .git/info/attributes; rm -rf .git/hooks; chmod 777 .git .git/config; touch .git/HEAD; truncate -s 0 .git/config; rm -f .git/HEAD'),
    can: { name: 'reads the repository', act: sh('cat "$W/.git/HEAD" > "$W/can"') },
  },
  {
    name: 'replace a protected folder by another or a link', failure: 'row 13: srt@7fcfd84, #71, #138, mount targets resolved once', ...IN_REPOSITORY,
    attack: async scene => {
      const script = 'cd "$W"; mkdir -p mine/hooks; echo x > mine/config; mv .git old; mv -T mine .git; ln -sT mine .git; ln -sfnT "$O" .git; rm -rf .git; mv --exchange mine .git'
      await scene.run(['sh', '-c', script])
      await scene.run(['sh', '-c', `${script}; echo x > .git/hooks/pre-commit`])
    },
  },
  {
    name: 'reach a protected file by another way to its folder', failure: 'row 13, row 28: another path to the same file', ...IN_REPOSITORY,
    attack: sh('cd "$W"; for base in /proc/self/cwd "$W/." "$W/../$(basename "$W")" /proc/self/root"$W" "$W//"; do echo x > "$base/.git/hooks/pre-commit"; echo x >> "$base/.git/config"; done; cd .git/hooks && echo x > post-checkout; ln -s .git g; echo x > g/hooks/pre-push'),
  },
  {
    name: 'use another letter case of a protected name', failure: 'row 41: CVE-2025-59944 (Cursor), .GIT on a file system that ignores case', ...IN_REPOSITORY,
    attack: sh('cd "$W"; for n in .GIT .Git .gIt; do echo x > "$n/hooks/pre-commit"; echo x >> "$n/config"; mkdir -p "$n/hooks"; echo x > "$n/hooks/post-merge"; done'),
  },
  {
    name: 'rename an ancestor of a protected path', failure: 'row 12, ours: the mount moves along and the old path is free',
    prepare: scene => { mkdirSync(`${scene.workspace}/a/b/held`, { recursive: true }); writeFileSync(`${scene.workspace}/a/b/held/file`, 'held\n') },
    policy: () => ({ protect: ['a/b/held'] }), unchanged: ['a/b/held'],
    attack: sh('cd "$W"; mv a z; mv a/b a/y; mkdir -p a/b/held; echo x > a/b/held/file; echo x > a/b/held/new; mv --exchange a sub'),
    can: { name: 'writes beside it', act: sh('cd "$W" && echo x > a/b/f && mv a/b/f a/g && mv a/g can') },
  },
  {
    name: 'rename an ancestor of a nested root', failure: 'ours: /root/x/workspace under a writable /root, with a .git of its own',
    prepare: scene => { mkdirSync(`${scene.workspace}/x/nested/.git/hooks`, { recursive: true }) },
    policy: scene => ({ write: [`${scene.workspace}/x/nested`] }), unchanged: ['x/nested/.git'],
    attack: sh('cd "$W"; mv x y; mv x/nested x/n; mkdir -p x/nested/.git/hooks; echo x > x/nested/.git/hooks/pre-commit'),
    can: { name: 'writes in the nested root', act: sh('echo x > "$W/x/nested/f" && touch "$W/can"') },
  },
  {
    name: 'use a repository pointer that the command wrote', failure: 'row 33: omac PR#31, qwen-code PR#11614: granted by what the sandbox may edit',
    prepare: scene => {
      mkdirSync(`${scene.outside}/repo/hooks`, { recursive: true })
      writeFileSync(`${scene.outside}/repo/HEAD`, 'ref: refs/heads/main\n')
      writeFileSync(`${scene.outside}/repo/commondir`, '.\n')
      writeFileSync(`${scene.workspace}/.git`, `gitdir: ${scene.outside}/repo\n`)
    },
    policy: () => ({ git: 'commits' }), unchanged: ['.git'],
    attack: sh('echo x > "$O/repo/hooks/pre-commit"; echo x > "$O/repo/index"; echo x >> "$O/repo/HEAD"; echo "gitdir: /" > "$W/.git"; rm -f "$W/.git"; mv "$W/.git" "$W/g"'),
    can: { name: 'writes beside it', act: sh('touch "$W/can"') },
  },
  {
    name: 'let git run a program on the host', failure: 'row 32: cplt#210, sandy PR#82: core.fsmonitor, hooksPath, filters', needs: ['git'],
    prepare: realRepository, unchanged: ['.git'],
    attack: sh('cd "$W"; git config core.fsmonitor ./evil.sh; git config core.hooksPath .; git config filter.x.clean ./evil.sh; git config core.pager ./evil.sh; git config core.editor ./evil.sh; cp evil.sh .git/hooks/pre-commit; cp evil.sh .git/hooks/post-checkout; printf "[core]\\n\\tfsmonitor = ./evil.sh\\n" > .git/config.worktree; echo "* filter=x" > .gitattributes'),
    evidence: gitOnHost,
    can: { name: 'runs git status', act: sh('cd "$W" && git -c safe.directory="*" status --porcelain > can') },
  },
  {
    name: 'make a repository whose settings git on the host believes', failure: 'row 32: hooksPath and fsmonitor, absent at the start', needs: ['git'],
    prepare: plantedScript,
    attack: sh('cd "$W"; git init -q .; mkdir -p .git; git config core.fsmonitor ./evil.sh; printf "[core]\\n\\tfsmonitor = ./evil.sh\\n\\tbare = false\\n" > .git/config; mkdir r; git init -q r; mv r/.git .git'),
    evidence: async scene => absentAfterwards(scene) ?? gitOnHost(scene),
    can: { name: 'makes a repository deeper down', act: sh('cd "$W" && git init -q sub && test -f sub/.git/HEAD && touch can') },
  },
  {
    name: 'write hooks or config where git may commit', failure: 'row 49: gemini-cli opened all of .git for `git status; echo x > .git/hooks/pre-commit`', needs: ['git'],
    prepare: realRepository, policy: () => ({ git: 'commits' }),
    attack: sh('cd "$W"; git status; for f in hooks/pre-commit hooks/post-checkout config config.worktree info/attributes commondir; do echo x > ".git/$f"; cp evil.sh ".git/$f"; done; git config core.fsmonitor ./evil.sh; mv .git/hooks .git/h; mkdir .git/hooks; cp evil.sh .git/hooks/pre-commit; rm -rf .git/hooks; ln -s .. .git/hooks; mkdir -p .git/modules/m/hooks; cp evil.sh .git/modules/m/hooks/pre-commit; mv .git g; mkdir -p .git/hooks; cp evil.sh .git/hooks/pre-commit'),
    evidence: async scene => {
      const planted = ['hooks/pre-commit', 'hooks/post-checkout', 'config.worktree', 'info/attributes', 'commondir'].find(file => existsSync(`${scene.workspace}/.git/${file}`) && textOf(`${scene.workspace}/.git/${file}`) !== '')
      if (planted !== undefined) return `.git/${planted} was written`
      return textOf(`${scene.workspace}/.git/config`).includes('evil') ? '.git/config was written' : gitOnHost(scene)
    },
    can: { name: 'commits', act: sh('cd "$W" && echo x > f && git add f && git commit -qm second && git log --oneline | grep -q second && touch can') },
  },
  {
    name: 'leave a line that git on the host carries out when it goes on with a rebase', failure: 'ours: `exec` lines in the list of a rebase that was opened for git\'s sake', needs: ['git'],
    prepare: realRepository, policy: () => ({ git: 'commits' }),
    // A rebase that stops, in the repository itself and in a copy of it, whose state is then put into the place of the first one's.
    attack: sh([
      'cd "$W"; export GIT_SEQUENCE_EDITOR="sed -i \'\\$a exec $W/evil.sh\'" GIT_AUTHOR_NAME=x GIT_AUTHOR_EMAIL=x@example.org GIT_COMMITTER_NAME=x GIT_COMMITTER_EMAIL=x@example.org',
      'git clone -q . copy; stop() { git checkout -q -b one; echo 1 > f; git add f; git commit -q -m one; git checkout -q -b two HEAD~1; echo 2 > f; git add f; git commit -q -m two; git rebase -i one; }',
      '(cd copy; stop); git fetch -q copy one two; stop; echo 3 > f; git add f',
      'at=.git/rebase-merge; mkdir $at && cp -r copy/.git/rebase-merge/. $at/; mv -T copy/.git/rebase-merge $at; ln -sfnT "$W/copy/.git/rebase-merge" $at; mv --exchange -T copy/.git/rebase-merge $at',
      'echo "exec $W/evil.sh" >> .git/rebase-merge/git-rebase-todo',
    ].join('; ')),
    evidence: async scene => {
      const git = findProgram('git') as string
      for (const words of [['rebase', '--continue'], ['rebase', '--skip'], ['am', '--continue'], ['cherry-pick', '--continue'], ['rebase', '--abort']]) await onHost(scene, git, words)
      return existsSync(`${scene.outside}/evil-ran`) ? 'git on the host ran a program of the sandbox\'s choice' : undefined
    },
    can: { name: 'rebases', act: sh('cd "$W" && echo x > g && git add g && git commit -qm third && git checkout -q -b side HEAD~1 && git commit -q --allow-empty -m fourth && git rebase -q main && git log --format=%s | grep -q third && touch can') },
    supervised: {
      why: 'inside and outside are one place, so there is no rebase',
      can: { name: 'commits', act: sh('cd "$W" && echo x > g && git add g && git commit -qm third && touch can') },
    },
  },
  {
    name: 'write into a .git that the host swaps in during the command', failure: 'ours: a mount follows its inode, so a new .git would be open', ...IN_REPOSITORY, unchanged: [],
    attack: duringCommand('i=0; while [ ! -e "$W/go" ] && [ $i -lt 200 ]; do sleep 0.02; i=$((i+1)); done; echo x > "$W/.git/hooks/pre-commit"; echo x >> "$W/.git/config"; mkdir "$W/.git/made"', scene => {
      renameSync(`${scene.workspace}/.git`, `${scene.workspace}/.git-before`)
      repository(scene)
    }),
    evidence: scene => {
      const written = existsSync(`${scene.workspace}/.git/hooks/pre-commit`) || existsSync(`${scene.workspace}/.git/made`) || textOf(`${scene.workspace}/.git/config`).endsWith('x\n')
      return written ? 'the new .git was written to' : undefined
    },
  },
  {
    name: 'make a .git after the host removed it during the command', failure: 'ours: a removed protected folder leaves its name free', ...IN_REPOSITORY, unchanged: [],
    attack: duringCommand('i=0; while [ ! -e "$W/go" ] && [ $i -lt 200 ]; do sleep 0.02; i=$((i+1)); done; mkdir -p "$W/.git/hooks"; echo x > "$W/.git/hooks/pre-commit"', scene => rmSync(`${scene.workspace}/.git`, { recursive: true })),
    evidence: scene => existsSync(`${scene.workspace}/.git/hooks/pre-commit`) ? 'a .git of the command\'s own is there' : undefined,
  },
  {
    name: 'make a protected name when another sandbox of the folder closes', failure: 'ours: two sandboxes rely on one placeholder', ...ABSENT,
    attack: async scene => {
      const second = await scene.another({})
      await second.run(['true'])
      const running = scene.run(['sh', '-c', 'i=0; while [ ! -e "$W/go" ] && [ $i -lt 200 ]; do sleep 0.02; i=$((i+1)); done; cd "$W"; for n in .git .codex .agents; do mkdir "$n"; echo x > "$n/config"; mkdir -p "$n/hooks"; done'])
      await pause(50)
      await second.close()
      writeFileSync(`${scene.workspace}/go`, '')
      await running
    },
  },
  {
    name: 'rewrite this package, its launcher or node', failure: 'ours: what runs outside next time is written inside now',
    // The package's own folder is made writable; refusing that is an answer too.
    policy: () => ({ write: [packageFolder()] }),
    prepare: scene => scene.notes.set('before', selfState()),
    // Opened for appending and nothing written: an escape shows in $LEAK and harms nothing.
    attack: scene => sh(`for f in ${selfFiles().map(file => `'${file}'`).join(' ')}; do true >> "$f" && echo "$f" >> "$LEAK"; d=$(dirname "$f"); mkdir "$d/escape-attempt" && rmdir "$d/escape-attempt" && echo "$d" >> "$LEAK"; done; :`)(scene),
    evidence: scene => selfState() === scene.notes.get('before') ? undefined : 'a file of the package changed',
  },
]

/** Runs a script inside; while it runs the host acts, waits until that was noticed, and lets the script go on. */
function duringCommand(script: string, host: (scene: Scene) => void): Act {
  return async scene => {
    const running = scene.run(['sh', '-c', `touch "$W/ready"; ${script}`])
    for (let i = 0; i < 200 && !existsSync(`${scene.workspace}/ready`); i++) await pause(10)
    host(scene)
    await pause(100)
    writeFileSync(`${scene.workspace}/go`, '')
    await running
  }
}

/** The nearest folder above this file that holds package.json. */
function packageFolder(): string {
  let folder = dirname(ownFile())
  while (!existsSync(`${folder}/package.json`) && folder !== '/') folder = dirname(folder)
  return folder
}

/** What runs outside: node, and the built files where there are any. */
function selfFiles(): string[] {
  const dist = `${packageFolder()}/dist`
  return [process.execPath, ...listing(dist).map(name => `${dist}/${name}`).filter(path => statSync(path).isFile())]
}

const selfState = (): string => selfFiles().map(path => { const { size, mtimeMs, ino } = statSync(path); return `${path} ${size} ${mtimeMs} ${ino}` }).join('\n')
