// Git operations of several steps, in a namespace of mounts: their state is the sandbox's own, and git on the host finds nothing of it
// that it could carry out, neither while commands run nor afterwards.
import { execFileSync } from 'node:child_process'
import { existsSync, lstatSync, mkdirSync, readdirSync, readlinkSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { beforeEach, describe, expect, onTestFinished, test } from 'vitest'
import type { SandboxOptions } from '../../src/exec/options.js'
import { createSandbox, type Sandbox } from '../../src/exec/sandbox.js'
import { expectNone } from './host-processes.js'
import { makeWorkspace, type Workspace } from './workspace.js'

beforeEach(context => { if (process.platform !== 'linux') context.skip('the launcher is for Linux') })

const AUTHOR = { GIT_AUTHOR_NAME: 'A', GIT_AUTHOR_EMAIL: 'a@example.org', GIT_COMMITTER_NAME: 'A', GIT_COMMITTER_EMAIL: 'a@example.org' }
const STATE = ['rebase-apply', 'rebase-merge', 'sequencer']

interface Repository extends Workspace {
  /** Runs a script outside of the sandbox; what it wrote, whatever its exit code. */
  host(script: string): string
  git(...names: string[]): string
  /** Of the names of operations, those at which something stands on the host. */
  state(): string[]
}

/** `main` and `topic` have changed the same file. */
function makeRepository(): Repository {
  const workspace = makeWorkspace()
  const host = (script: string): string => execFileSync('sh', ['-c', `(${script}) 2>&1; true`], { cwd: workspace.path, encoding: 'utf8', env: { ...process.env, ...AUTHOR, GIT_CONFIG_GLOBAL: '/dev/null' } })
  host('git init -q -b main; echo one > f; git add f; git commit -qm one; git switch -qc topic; echo theirs > f; git commit -qam theirs; git switch -q main; echo ours > f; git commit -qam ours')
  const git = (...names: string[]): string => join(workspace.path, '.git', ...names)
  return { ...workspace, host, git, state: () => readdirSync(git()).filter(name => STATE.includes(name)).sort() }
}

async function start({ path }: Repository, options: SandboxOptions = {}): Promise<Sandbox> {
  const sandbox = await createSandbox({ cwd: path, policy: { git: 'commits', env: { set: { ...AUTHOR, GIT_CONFIG_GLOBAL: '/dev/null' } } }, ...options })
  onTestFinished(() => sandbox.close())
  return sandbox
}

/** A rebase that stops at the conflict, with a line for later that tells when it is carried out. */
const STOP = 'GIT_SEQUENCE_EDITOR="sed -i \'\\$a exec touch carried-out\'" git rebase -i main topic >/dev/null 2>&1; test -e .git/rebase-merge/git-rebase-todo && cat .git/rebase-merge/git-rebase-todo | grep -v "^#"'

describe.each(['writes', 'off'] as const)('observe: %s', observe => {
  test('a rebase that stops is carried on by a later command of the sandbox, and told until then', async () => {
    const repository = makeRepository()
    const sandbox = await start(repository, { observe })
    const stopped = await sandbox.shell(STOP)
    expect(stopped).toMatchObject({ stdout: expect.stringContaining('exec touch carried-out'), gitOperations: [repository.git('rebase-merge')], denials: [] })
    expect((await sandbox.exec(['true'])).gitOperations).toEqual([repository.git('rebase-merge')])
    const ended = await sandbox.shell('echo both > f; git add f; git rebase --continue && git log --format=%s')
    expect(ended).toMatchObject({ exitCode: 0, stdout: expect.stringContaining('theirs\nours\none\n'), denials: [] })
    expect(ended.gitOperations).toBeUndefined()
    expect([existsSync(join(repository.path, 'carried-out')), repository.host('git status --short --branch; git fsck --no-dangling')]).toEqual([true, '## topic\n?? carried-out\n'])
  })
})

test('with rules for the network, an operation is told as without them', async () => {
  const repository = makeRepository()
  const sandbox = await start(repository, { policy: { git: 'commits', network: { allowedDomains: ['example.org'] }, env: { set: { ...AUTHOR, GIT_CONFIG_GLOBAL: '/dev/null' } } } })
  expect(await sandbox.shell(STOP)).toMatchObject({ gitOperations: [repository.git('rebase-merge')], denials: [] })
})

test('git on the host finds nothing to carry out: while commands run, between them and when the sandbox is closed', async () => {
  const repository = makeRepository()
  const sandbox = await start(repository)
  const look = (): void => {
    // Nobody but root could make what the links say, and root only with the folder above.
    for (const name of repository.state()) expect([name, lstatSync(repository.git(name)).isSymbolicLink(), existsSync(readlinkSync(repository.git(name)))]).toEqual([name, true, false])
    for (const operation of ['rebase', 'cherry-pick', 'revert', 'am']) for (const how of ['--continue', '--skip', '--abort', '--quit']) repository.host(`git ${operation} ${how} </dev/null`)
    expect(repository.host('git rebase --continue')).toMatch(/No rebase in progress/i)
    expect(existsSync(join(repository.path, 'carried-out'))).toBe(false)
  }
  await sandbox.shell(STOP)
  const running = sandbox.shell(`${STOP}; git cherry-pick main~1 topic >/dev/null 2>&1; touch started; until test -e go; do sleep 0.01; done; ls .git/rebase-merge .git/sequencer | wc -l`)
  await expect.poll(() => existsSync(join(repository.path, 'started')), { timeout: 20_000, interval: 5 }).toBe(true)
  expect(repository.state()).toEqual(STATE)
  look()
  writeFileSync(join(repository.path, 'go'), '')
  // The state was there all the time: git on the host changed nothing of it.
  expect(Number((await running).stdout.trim().split('\n').at(-1))).toBeGreaterThan(3)
  await expectNone(repository.state)
  look()
  await sandbox.close()
  look()
  expect([repository.state(), repository.journal()]).toEqual([[], []])
})

test('commands can put nothing at the names, by no call and through no link of their own', async () => {
  const repository = makeRepository()
  const sandbox = await start(repository)
  const tried = await sandbox.shell(`
    mkdir -p evil; echo 'exec touch carried-out' > evil/git-rebase-todo; echo refs/heads/main > evil/head-name
    for name in rebase-merge rebase-apply sequencer; do
      mv -T evil .git/$name; rm -f .git/$name; mv .git/$name other; ln -sfn "$PWD/evil" .git/$name; ln -f evil/head-name .git/$name; rmdir .git/$name; mkdir .git/$name; mv .git moved
    done
    python3 -c 'import os; os.rename("evil", ".git/rebase-merge")'
    operations=$(echo /dev/git-operations/*); rm -rf "$operations"; ln -s "$PWD/.git" "$operations"; rm -f .git/index
    mkdir .git/rebase-merge .git/sequencer; rmdir .git/rebase-merge; ln -sfn "$PWD" "$operations"; mkdir .git/rebase-merge; mkdir "$operations/rebase-merge"
    ls -d evil .git/refs`)
  expect(tried.stdout.trim().split('\n').slice(-2)).toEqual(['.git/refs', 'evil'])
  await expectNone(repository.state)
  expect([existsSync(repository.git()), existsSync(repository.git('rebase-merge'))]).toEqual([true, false])
  // In the folder that the link of its own led to, a folder of its own.
  expect(readdirSync(join(repository.path, 'rebase-merge'))).toEqual([])
})

test('a folder with the same name elsewhere is made and removed as ever', async () => {
  const sandbox = await start(makeRepository())
  expect(await sandbox.shell('mkdir sequencer rebase-merge && rmdir sequencer/ ./rebase-merge && ln -s nowhere sequencer && ! mkdir sequencer 2>/dev/null && ! rmdir sequencer 2>/dev/null && echo as ever'))
    .toMatchObject({ stdout: 'as ever\n', exitCode: 0 })
})

test('an operation of the host\'s own stays as it is, and what follows it in the sandbox is the sandbox\'s', async () => {
  const repository = makeRepository()
  repository.host('git rebase main topic')
  const sandbox = await start(repository)
  expect(await sandbox.shell('echo exec touch carried-out >> .git/rebase-merge/git-rebase-todo; rm -rf .git/rebase-merge; git status | head -1')).toMatchObject({ stdout: expect.stringContaining('rebase in progress') })
  expect(repository.host('git rebase --abort; git status --short --branch')).toBe('## topic\n')
  await sandbox.exec(['true'])
  expect(await sandbox.shell(`git status | head -1; ${STOP}; git rebase --abort`)).toMatchObject({ exitCode: 0, stdout: expect.stringMatching(/^On branch topic\n.*exec touch/s) })
  await expectNone(repository.state)
})

test('what commands put there is bounded, in bytes and in files, and a rebase goes on when it is removed', async () => {
  const sandbox = await start(makeRepository())
  expect(await sandbox.shell(`
    cd /dev/git-operations; mkdir fill; seq 20000 | sed 's,^,fill/,' | xargs touch 2>/dev/null; ls fill | wc -l | awk '{ print $1 < 10000 }'; rm -rf fill
    head -c 200m /dev/zero > fill 2>/dev/null; wc -c < fill | awk '{ print $1 <= 64 * 1024 * 1024 }'; rm fill
    cd "$OLDPWD"; ${STOP} >/dev/null; git rebase --abort && git status --short --branch`)).toMatchObject({ exitCode: 0, stdout: '1\n1\n## topic\n' })
})

test('each repository and worktree has its own', async () => {
  const repository = makeRepository()
  mkdirSync(join(repository.outside, 'trees'))
  repository.host(`git worktree add -q tree topic`)
  const sandbox = await start(repository)
  onTestFinished(() => rmSync(join(repository.outside, 'trees'), { recursive: true, force: true }))
  expect(await sandbox.shell('cd tree; git rebase main >/dev/null 2>&1; git status | head -1; cd ..; git status | head -1'))
    .toMatchObject({ stdout: expect.stringMatching(/rebase in progress.*\nOn branch main\n/), gitOperations: [repository.git('worktrees', 'tree', 'rebase-merge')] })
})
