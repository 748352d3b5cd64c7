// git in a workspace: reading always works, `.git` itself is read-only, and with git: 'commits' so does the daily work.
import { expect } from 'vitest'
import type { Place, Workload } from './workload.js'
import { lines } from './workload.js'

const AUTHOR = { GIT_AUTHOR_NAME: 'A', GIT_AUTHOR_EMAIL: 'a@example.org', GIT_COMMITTER_NAME: 'A', GIT_COMMITTER_EMAIL: 'a@example.org', GIT_CONFIG_GLOBAL: '/dev/null' }
const COMMITS = { git: 'commits' } as const

/** One commit on `main`, with a.txt. */
function repository(place: Place, folder = place.path()): void {
  place.host('git', 'init', '-q', '-b', 'main', folder)
  place.host('sh', '-c', 'cd "$1" && echo one > a.txt && git add a.txt && git -c user.name=A -c user.email=a@example.org commit -qm first', 'sh', folder)
}

/** main: first, m1, m2; topic: first, t1, t2; no file in both. `first` is a tag. */
function diverged(place: Place): void {
  repository(place)
  const commits = (...names: string[]): string => names.map(name => `echo ${name} > ${name}; git add .; git commit -qm ${name}`).join('; ')
  place.host('sh', '-ec', `export ${Object.entries(AUTHOR).map(([name, value]) => `${name}=${value}`).join(' ')}; git tag first; ${commits('m1', 'm2')}; git switch -qc topic first; ${commits('t1', 't2')}; git switch -q main`)
}

/** To git on the host no operation is under way, and none was. */
function nothingToContinue(place: Place): void {
  expect(['rebase-merge', 'rebase-apply', 'sequencer'].filter(name => place.exists(`.git/${name}`))).toEqual([])
  expect(place.host('git', 'status')).not.toContain('in progress')
}

/** Nothing is broken, half done or locked. */
function whole(place: Place, folder = place.path()): void {
  expect(place.host('git', '-C', folder, 'fsck', '--strict', '--no-dangling')).toBe('')
  expect(place.host('find', folder, '-name', '*.lock')).toBe('')
}

export const GIT: readonly Workload[] = [
  {
    name: 'git init, add, commit, log and status in a subfolder', needs: ['git'], env: AUTHOR,
    run: 'mkdir sub; cd sub; git init -q -b main; echo one > f; git add f; git commit -qm first; git log --format=%s; git status --short',
    prints: 'first\n',
    seen: place => {
      expect(place.host('git', '-C', place.path('sub'), 'log', '--format=%s %an')).toBe('first A\n')
      whole(place, place.path('sub'))
    },
  },
  {
    name: 'git reads a repository: status, diff, log, show, blame, grep, ls-files, worktree list, describe', tolerates: /^create .*\/\.git\/index\.lock$/, needs: ['git'], env: AUTHOR,
    given: place => {
      repository(place)
      place.host('git', 'tag', 'v1')
      place.write('a.txt', 'one\ntwo\n')
      place.write('new.txt', '')
    },
    run: lines`
      git status --short
      git diff --stat
      git log --format=%s
      git show --format=%s --name-only HEAD
      git blame -s a.txt | grep -c one
      git grep -c one
      git ls-files
      git worktree list --porcelain | grep -c ^worktree
      git describe --tags
    `,
    prints: ' M a.txt\n?? new.txt\n a.txt | 1 +\n 1 file changed, 1 insertion(+)\nfirst\nfirst\n\na.txt\n1\na.txt:1\na.txt\n1\nv1\n',
  },
  {
    name: 'git status, diff and log in another user\'s checkout', needs: ['git'],
    unless: place => place.uid === 0 ? undefined : 'only root can give a checkout to another user',
    given: place => {
      repository(place)
      place.write('a.txt', 'two\n')
      place.host('chown', '-R', '4321:4322', place.path())
    },
    // The user's own configuration trusts what it trusts; here nothing does.
    env: { GIT_CONFIG_GLOBAL: '/dev/null' }, tolerates: /^create .*\/\.git\/index\.lock$/,
    run: 'git status --short; git diff --stat; git log --format=%s; git config --get-all safe.directory | wc -l', prints: ' M a.txt\n a.txt | 2 +-\n 1 file changed, 1 insertion(+), 1 deletion(-)\nfirst\n2\n',
  },
  {
    name: 'nobody else\'s repository is safe: one beside the workspace, and what lies in /tmp', needs: ['git'],
    unless: place => place.uid === 0 ? undefined : 'only root can give a checkout to another user',
    given: place => {
      repository(place, place.beside('theirs'))
      place.host('chown', '-R', '4321:4322', place.beside('theirs'), place.path())
    },
    env: { GIT_CONFIG_GLOBAL: '/dev/null' }, run: 'git -C ../theirs status --short || echo refused', prints: 'refused\n', complains: /dubious ownership/,
  },
  {
    name: 'git add, commit and stash are refused by the protected .git, and leave the repository whole', needs: ['git'], env: AUTHOR,
    given: place => {
      repository(place)
      place.write('a.txt', 'two\n')
    },
    run: 'git add a.txt || echo no add; git commit -qam second || echo no commit; git stash || echo no stash; git tag v1 || echo no tag',
    prints: 'no add\nno commit\nno stash\nno tag\n', complains: /Read-only file system/, denied: true,
    seen: place => {
      expect(place.host('git', 'log', '--all', '--format=%s')).toBe('first\n')
      expect(place.host('git', 'status', '--short')).toBe(' M a.txt\n')
      whole(place)
    },
  },
  {
    name: 'git: commits — add, commit, amend, branch, merge, stash, tag, reset, gc', tolerates: /^(?:remove .*\/\.git|write .*\/\.git\/config)$/, needs: ['git'], env: AUTHOR, policy: COMMITS,
    given: repository,
    run: lines`
      echo two >> a.txt; git add a.txt; git commit -qm second; git commit -q --amend -m 'second, amended'
      git switch -qc feature; echo f > f.txt; git add .; git commit -qm feature
      git switch -q main; echo three >> a.txt; git commit -qam third
      git merge -q --no-ff -m merged feature
      echo dirty >> a.txt; git stash -q; git status --short; git stash pop -q; git status --short; git checkout -q a.txt
      git tag v1; git tag -am annotated v2; git branch -d feature -q; git reset -q --hard HEAD
      git gc -q; git log --first-parent --format=%s
    `,
    prints: ' M a.txt\nmerged\nthird\nsecond, amended\nfirst\n', complains: /^(?:.*config.*\n)*$/,
    seen: place => {
      whole(place)
      expect(place.host('git', 'status', '--short')).toBe('')
      expect(place.host('git', 'tag')).toBe('v1\nv2\n')
      place.host('sh', '-c', 'echo later > later.txt && git add . && git -c user.name=A -c user.email=a@example.org commit -qm "from outside" && git gc -q')
      whole(place)
    },
  },
  {
    name: 'git: commits — a conflict is met, resolved and committed', needs: ['git'], env: AUTHOR, policy: COMMITS,
    given: repository,
    run: lines`
      git switch -qc other; echo other > a.txt; git commit -qam other
      git switch -q main; echo main > a.txt; git commit -qam main
      git merge other >/dev/null || echo conflict
      echo both > a.txt; git add a.txt; git commit -qm merged; git log --format=%s; git status --short --branch
    `,
    prints: 'conflict\nmerged\nmain\nother\nfirst\n## main\n',
    seen: place => whole(place),
  },
  {
    name: 'git: commits — rebase, onto, interactive, with exec, autostash, a conflict, --continue, --abort and pull --rebase', on: 'namespaces', tolerates: /^remove .*\/\.git$/, needs: ['git'], env: AUTHOR, policy: COMMITS,
    given: place => {
      diverged(place)
      repository(place, place.beside('upstream'))
    },
    run: lines`
      git rebase -q main topic; git log --format=%s; git status --short --branch
      GIT_SEQUENCE_EDITOR="sed -i '1a exec echo in between'" git rebase -q -i HEAD~2 2>/dev/null
      git switch -qc clash first; echo clash > m1; git add .; git commit -qm clash; echo later > l; git add .; git commit -qm later
      git rebase -q main >/dev/null 2>&1 || echo conflict; git status | head -1 | cut -d';' -f1
      echo both > m1; git add m1; git rebase --continue >/dev/null 2>&1; git log --format=%s; git status --short --branch
      git reset -q --hard ORIG_HEAD; git rebase -q main >/dev/null 2>&1 || git rebase --abort; git log --format=%s; git status --short --branch
      git switch -q topic; echo dirty >> t1; git rebase -q --autostash --onto first main >/dev/null 2>&1; git log --format=%s; git status --short --branch; git checkout -q t1
      git pull -q --rebase ../upstream main 2>/dev/null || git rebase --abort; git status --short --branch
    `,
    prints: `t2\nt1\nm2\nm1\nfirst\n## topic\nin between\nconflict\ninteractive rebase in progress\nlater\nclash\nm2\nm1\nfirst\n## clash\nlater\nclash\nfirst\n## clash\nt2\nt1\nfirst\n## topic\n M t1\n## topic\n`,
    seen: place => {
      whole(place)
      nothingToContinue(place)
    },
  },
  {
    name: 'git: commits — cherry-pick and revert of several commits, with a conflict, --continue, --skip and --abort', on: 'namespaces', needs: ['git'], env: AUTHOR, policy: COMMITS,
    given: diverged,
    run: lines`
      git cherry-pick main..topic >/dev/null; git log --format=%s; git revert --no-edit HEAD HEAD~1 >/dev/null; git log -2 --format=%s
      git switch -qc clash first; echo clash > m1; git add .; git commit -qm clash; git switch -q main
      git cherry-pick first..clash first..topic >/dev/null 2>&1 || echo conflict
      echo both > m1; git add m1; git -c core.editor=true cherry-pick --continue >/dev/null; git log -3 --format=%s
      git reset -q --hard HEAD~3; git cherry-pick first..clash first..topic >/dev/null 2>&1 || git cherry-pick --skip >/dev/null; git log -2 --format=%s
      git reset -q --hard HEAD~2; git cherry-pick first..clash first..topic >/dev/null 2>&1 || git cherry-pick --abort; git log -1 --format=%s; git status --short --branch
    `,
    prints: 't2\nt1\nm2\nm1\nfirst\nRevert "t1"\nRevert "t2"\nconflict\nclash\nt2\nt1\nt2\nt1\nRevert "t1"\n## main\n',
    seen: place => {
      whole(place)
      nothingToContinue(place)
    },
  },
  {
    name: 'git: commits — without namespaces a rebase is refused before it begins', on: 'supervised', tolerates: /^create .*\/\.git\/rebase-merge$/, needs: ['git'], env: AUTHOR, policy: COMMITS,
    given: diverged,
    run: 'git switch -q topic; git rebase -q main || echo no rebase; git log --format=%s; git status --short --branch',
    prints: 'no rebase\nt2\nt1\nfirst\n## topic\n', complains: /rebase-merge/,
    seen: place => {
      whole(place)
      expect(place.host('git', 'status', '--short', '--branch')).toBe('## topic\n')
    },
  },
  {
    name: 'git: commits — am is refused with a denial that names its folder', tolerates: /^create .*\/\.git\/rebase-apply$/, needs: ['git'], env: AUTHOR, policy: COMMITS,
    given: place => {
      diverged(place)
      place.host('git', 'format-patch', '-q', '-1', '-o', place.path('patches'), 'topic')
    },
    run: 'git am -q patches/*.patch || echo no am; git log --format=%s; git status --short', denied: true,
    prints: 'no am\nm2\nm1\nfirst\n?? patches/\n', complains: /rebase-apply/,
    seen: place => whole(place),
  },
  {
    name: 'git: commits — in a linked worktree, with its repository named as a root', needs: ['git'], env: AUTHOR,
    policy: place => ({ ...COMMITS, writableRoots: [place.beside('repository/.git')] }),
    given: place => {
      repository(place, place.beside('repository'))
      place.host('git', '-C', place.beside('repository'), 'worktree', 'add', '-q', '-b', 'feature', place.path())
    },
    run: 'git status --short; echo two > a.txt; git add a.txt; git commit -qm second; git stash list; git log --format=%s',
    prints: 'second\nfirst\n',
    seen: place => {
      expect(place.host('git', '-C', place.beside('repository'), 'log', 'feature', '--format=%s')).toBe('second\nfirst\n')
      whole(place, place.beside('repository'))
    },
  },
  {
    name: 'git: commits — in a linked worktree whose repository lies outside of every root', needs: ['git'], env: AUTHOR, policy: COMMITS,
    given: place => {
      repository(place, place.beside('repository'))
      place.host('git', '-C', place.beside('repository'), 'worktree', 'add', '-q', '-b', 'feature', place.path())
    },
    run: lines`
      echo two > a.txt; git add a.txt; git commit -qm second; git switch -qc other; git branch -q -d feature || echo kept; git log --format=%s
      for held in hooks/pre-commit config worktrees/workspace/gitdir ../a.txt; do (echo x > "$(git rev-parse --git-common-dir)/$held") 2>/dev/null || echo "held $held"; done
    `,
    prints: 'second\nfirst\nheld hooks/pre-commit\nheld config\nheld worktrees/workspace/gitdir\nheld ../a.txt\n', complains: /^(?:.*config.*\n)*$/, denied: true,
    seen: place => {
      expect(place.host('git', '-C', place.beside('repository'), 'log', 'other', '--format=%s')).toBe('second\nfirst\n')
      whole(place, place.beside('repository'))
    },
  },
  {
    name: 'git: commits — switch -c, cherry-pick, revert, fetch from a path, worktree add and remove, notes, bisect', needs: ['git'], env: AUTHOR, policy: COMMITS,
    given: place => {
      repository(place)
      repository(place, place.beside('upstream'))
      place.host('sh', '-c', 'cd "$1" && git switch -qc theirs && echo theirs > theirs.txt && git add . && git -c user.name=A -c user.email=a@example.org commit -qm theirs', 'sh', place.beside('upstream'))
    },
    run: lines`
      git switch -qc feature; echo f > f.txt; git add .; git commit -qm feature; git switch -q main
      git cherry-pick feature >/dev/null; git revert --no-edit HEAD >/dev/null; git log --format=%s
      git fetch -q ../upstream theirs:theirs; git log -1 --format=%s theirs
      git worktree add -q tree theirs; (cd tree; echo more >> theirs.txt; git commit -qam more); git log -1 --format=%s theirs; git worktree remove tree
      git notes add -m note; git notes show; git bisect start HEAD HEAD~2 >/dev/null; git bisect reset 2>/dev/null; git status --short
    `,
    prints: 'Revert "feature"\nfeature\nfirst\ntheirs\nmore\nnote\n', complains: /^(?:.*(?:Switched|Previous|HEAD|dubious|config).*\n)*$/,
    seen: place => {
      whole(place)
      expect(place.host('git', 'log', '-1', '--format=%s', 'theirs')).toBe('more\n')
    },
  },
  {
    name: 'git: commits — a rebase, where its own place is named: what it leaves half done is believed outside', needs: ['git'], env: AUTHOR,
    policy: place => ({ ...COMMITS, write: [place.path('.git/rebase-merge')] }),
    given: repository,
    run: lines`
      git switch -qc feature; echo f > f.txt; git add .; git commit -qm feature
      git switch -q main; echo m > m.txt; git add .; git commit -qm main; git rebase -q main feature; git log --format=%s; git status --short --branch
    `,
    prints: 'feature\nmain\nfirst\n## feature\n',
    seen: place => {
      whole(place)
      expect(place.exists('.git/rebase-merge')).toBe(false)
    },
  },
  {
    name: 'git: commits — what writes config ends with a denial, and leaves no lock', needs: ['git'], env: AUTHOR, policy: COMMITS,
    given: repository,
    run: 'git config user.name x || echo no name; git remote add origin /x || echo no remote; git config core.fsmonitor ./x || echo no monitor; git config core.hooksPath . || echo no hooks; find .git -name "*.lock"; git status --short',
    prints: 'no name\nno remote\nno monitor\nno hooks\n', complains: /could not (?:write config file|set|lock config file)/, denied: true,
    seen: place => {
      whole(place)
      expect(place.read('.git/config')).not.toMatch(/fsmonitor|hooksPath|remote/)
    },
  },
  {
    name: 'git: commits — the identity is the one that the user has configured', needs: ['git'], policy: COMMITS, env: { GIT_CONFIG_GLOBAL: '' },
    given: place => {
      repository(place)
      place.host('git', 'config', 'user.name', 'The User')
      place.host('git', 'config', 'user.email', 'user@example.org')
    },
    run: 'unset GIT_CONFIG_GLOBAL; echo two > a.txt; git commit -qam second; git log -1 --format="%an <%ae>"', prints: 'The User <user@example.org>\n',
  },
  {
    name: 'git: commits — in a submodule', needs: ['git'], env: AUTHOR, policy: COMMITS,
    given: place => {
      repository(place, place.beside('library'))
      repository(place)
      place.host('git', '-c', 'protocol.file.allow=always', 'submodule', '--quiet', 'add', place.beside('library'), 'library')
      place.host('git', '-c', 'user.name=A', '-c', 'user.email=a@example.org', 'commit', '-qm', 'with library')
    },
    run: 'git submodule status | wc -l; cd library; echo two > a.txt; git commit -qam second; cd ..; git commit -qam "library moved"; git status --short; git log --format=%s',
    prints: '1\nlibrary moved\nwith library\nfirst\n',
    seen: place => {
      whole(place)
      expect(place.host('git', '-C', place.path('library'), 'log', '--format=%s')).toBe('second\nfirst\n')
    },
  },
  {
    name: 'git clone of local paths, and fetch, pull and push between them', needs: ['git'], env: AUTHOR,
    given: repository,
    run: lines`
      git clone -q . copy; git clone -q --bare "file://$PWD" bare.git; git clone -q bare.git second; cd second
      echo two >> a.txt; git commit -qam second; git push -q; cd ../copy; git pull -q ../second main; git log --format=%s
    `,
    prints: 'second\nfirst\n',
    seen: place => expect(place.host('git', '-C', place.path('bare.git'), 'log', '--format=%s')).toBe('second\nfirst\n'),
  },
  {
    name: 'git worktree add, format-patch, am, apply, archive and bisect run in a repository of its own', needs: ['git', 'tar'], env: AUTHOR,
    given: place => repository(place, place.path('sub')),
    run: lines`
      cd sub; git worktree add -q ../tree -b other; cd ../tree; echo two >> a.txt; git commit -qam second; git format-patch -q -1 -o ../patches
      cd ../sub; git am -q ../patches/*.patch; git archive HEAD | tar -xO a.txt
      git diff HEAD~1 | git apply -R; cat a.txt; git checkout -q .
      for i in 1 2 3; do echo $i > n; git add n; git commit -qm $i; done
      git bisect start HEAD HEAD~4 >/dev/null; git bisect run sh -c 'test ! -e n || test $(cat n) -lt 2' | grep -c 'is the first bad commit'; git bisect reset
    `,
    prints: 'one\ntwo\none\n1\n', complains: /Previous HEAD|Switched to branch/,
    seen: place => whole(place, place.path('sub')),
  },
]
