// Submodules: `git status` on the host enters them by itself and runs what their config names, so commands can neither make one nor
// change the config of one that is there.
import { execFileSync, spawnSync } from 'node:child_process'
import { existsSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { beforeEach, describe, expect, onTestFinished, test, vi } from 'vitest'
import { BWRAP, BWRAP_IF_THERE, NAMESPACES, startOn, SUPERVISED } from '../support/rungs.js'
import { parentOf } from './host-processes.js'
import { ownLauncher } from './own-launcher.js'
import { makeWorkspace } from './workspace.js'

beforeEach(context => { if (process.platform !== 'linux') context.skip('the launcher is for Linux') })

const AUTHOR = { GIT_AUTHOR_NAME: 'A', GIT_AUTHOR_EMAIL: 'a@example.org', GIT_COMMITTER_NAME: 'A', GIT_COMMITTER_EMAIL: 'a@example.org', GIT_CONFIG_GLOBAL: '/dev/null' }

/** How a submodule lies on the host before the first command; each is called `library`. */
const STATES = [
  { name: 'not checked out',                       make: 'rm -rf library/.git' },
  { name: 'whose folder is missing',               make: 'rm -rf library' },
  { name: 'in whose place a file stands',          make: 'rm -rf library; echo x > library' },
  { name: 'with a git dir of its own',             make: ':' },
  { name: 'whose git dir its pointer file names',  make: 'mv library/.git elsewhere; echo "gitdir: ../elsewhere" > library/.git' },
] as const

/** A program that git on the host would run, in whatever way commands find to have it named. */
const ATTACK = `
  printf '#!/bin/sh\\ntouch "%s/ran"\\n' "$PWD" > program; chmod +x program; P=$PWD/program
  rm -f library; mv library away; rm -rf library; mkdir library
  git init -q made; git -C made commit -q --allow-empty -m made; git -C made config core.fsmonitor "$P"
  mv made/.git library/.git; cp -r made/.git library/.git; ln -s ../made/.git library/.git; echo "gitdir: ../made/.git" > library/.git; mv -T made library
  for config in library/.git/config away/.git/config elsewhere/config; do printf '[core]\\n\\tfsmonitor = %s\\n' "$P" >> $config; done
  echo "$P" > tried`

describe.each([NAMESPACES, SUPERVISED])('$name', rung => {
  describe.each(['protected', 'commits'] as const)('git: %s', git => {
    test.each(STATES)('a submodule $name', async ({ make }) => {
      const workspace = makeWorkspace()
      const host = (script: string): string => execFileSync('sh', ['-c', `(${script}) 2>&1; true`], { cwd: workspace.path, encoding: 'utf8', env: { ...process.env, ...AUTHOR } })
      host('git init -q; git init -q library; git -C library commit -q --allow-empty -m one; git -c advice.addEmbeddedRepo=false add library; git commit -qm one')
      host(make)
      const sandbox = await startOn(rung, { cwd: workspace.path, policy: { git, env: { set: AUTHOR } } })
      onTestFinished(() => sandbox.close())
      await sandbox.shell(ATTACK)
      const look = (): boolean => {
        rmSync(join(workspace.path, 'ran'), { force: true })
        for (const command of ['status', 'diff', 'add -A -n', 'stash']) host(`git ${command}`)
        return existsSync(join(workspace.path, 'ran'))
      }
      expect([existsSync(join(workspace.path, 'program')), look()]).toEqual([true, false])
      await sandbox.close()
      expect(look()).toBe(false)
    })
  })

  test.each(['protected', 'commits'] as const)('git: %s: what the configuration includes and its hooks\' folder can be neither changed nor made', async git => {
    const workspace = makeWorkspace('hooks')
    const host = (script: string): string => execFileSync('sh', ['-c', `(${script}) 2>&1; true`], { cwd: workspace.path, encoding: 'utf8', env: { ...process.env, ...AUTHOR } })
    host('git init -q; git config include.path ../settings; git config --add include.path ../later; git config core.hooksPath hooks; touch settings')
    const sandbox = await startOn(rung, { cwd: workspace.path, policy: { git, env: { set: AUTHOR } } })
    onTestFinished(() => sandbox.close())
    await sandbox.shell(`printf '#!/bin/sh\\ntouch "%s/ran"\\n' "$PWD" > program; chmod +x program
      for file in settings later; do printf '[core]\\n\\tfsmonitor = %s/program\\n' "$PWD" > own; cat own >> $file; mv own $file; done; cp program hooks/pre-commit; mv hooks away; mkdir hooks; cp program hooks/pre-commit`)
    await sandbox.close()
    host('git status; git commit --allow-empty -m x')
    expect([existsSync(join(workspace.path, 'program')), existsSync(join(workspace.path, 'ran'))]).toEqual([true, false])
  })

  test('git: commits: a repository that a command makes and names in the index is told, as long as it is named, and taken out before git enters it', async () => {
    const workspace = makeWorkspace()
    const host = (script: string): string => execFileSync('sh', ['-c', `(${script}) 2>&1; true`], { cwd: workspace.path, encoding: 'utf8', env: { ...process.env, ...AUTHOR } })
    host('git init -q; git init -q library; git -C library commit -q --allow-empty -m one; git -c advice.addEmbeddedRepo=false add library; git commit -qm one')
    const sandbox = await startOn(rung, { cwd: workspace.path, policy: { git: 'commits', env: { set: AUTHOR } } })
    onTestFinished(() => sandbox.close())
    expect((await sandbox.shell('echo x > file; git add file && git commit -qm two')).gitLinks).toBe(undefined)
    const made = await sandbox.shell(`printf '#!/bin/sh\\ntouch "%s/ran"\\n' "$PWD" > program; chmod +x program
      git init -q made; git -C made commit -q --allow-empty -m made; git -C made config core.fsmonitor "$PWD/program"; git -c advice.addEmbeddedRepo=false add made; git commit -qm three; rm -f ran`)
    const named = [join(workspace.path, 'made')]
    expect([made.gitLinks, (await sandbox.exec(['true'])).gitLinks]).toEqual([named, named])
    const ran = (): boolean => existsSync(join(workspace.path, 'ran'))
    host('git ls-files --stage; git update-index --force-remove made')
    expect(ran()).toBe(false)
    expect((await sandbox.exec(['true'])).gitLinks).toBe(undefined)
    host('git status')
    expect(ran()).toBe(false)
    // What it was told for.
    host('git -c advice.addEmbeddedRepo=false add made; rm -f ran; git status')
    expect(ran()).toBe(true)
  })

  test('git: commits: so is one in the index of a submodule, which git enters by way of that', async () => {
    const workspace = makeWorkspace()
    const host = (script: string): string => execFileSync('sh', ['-c', `(${script}) 2>&1; true`], { cwd: workspace.path, encoding: 'utf8', env: { ...process.env, ...AUTHOR } })
    host('git init -q; git init -q library; git -C library commit -q --allow-empty -m one; git -c advice.addEmbeddedRepo=false add library; git commit -qm one')
    const sandbox = await startOn(rung, { cwd: workspace.path, policy: { git: 'commits', env: { set: AUTHOR } } })
    onTestFinished(() => sandbox.close())
    const { gitLinks } = await sandbox.shell(`printf '#!/bin/sh\ntouch "%s/ran"\n' "$PWD" > program; chmod +x program
      git init -q library/made; git -C library/made commit -q --allow-empty -m made; git -C library/made config core.fsmonitor "$PWD/program"
      git -C library -c advice.addEmbeddedRepo=false add made; rm -f ran`)
    expect(gitLinks).toEqual([join(workspace.path, 'library/made')])
    // What it was told for.
    host('git status')
    expect(existsSync(join(workspace.path, 'ran'))).toBe(true)
  })

  /** Where else git has an index, and what makes it enter `made` of that folder. `prepare`: on the host, before. */
  const OTHERS = [
    {
      name: 'a linked worktree in the workspace', prepare: 'git worktree add -q tree', at: 'tree',
      add: 'git -C tree -c advice.addEmbeddedRepo=false add made',
    },
    {
      name: 'a linked worktree that a command makes', prepare: ':', at: 'tree', alsoTold: ['tree/library'],
      add: 'git worktree add -q tree; mv keep tree/made; git -C tree -c advice.addEmbeddedRepo=false add made',
    },
    {
      name: 'an index in two files, in a place that an ordinary file had', at: '.',
      prepare: 'git config core.splitIndex true; git config splitIndex.maxPercentChange 100; touch made; git add made; git update-index --split-index; C=$(git -C library commit-tree -m two $(git -C library write-tree)); git update-index --cacheinfo 160000,$C,library; rm made',
      add: 'git update-index --cacheinfo 160000,$(git -C made rev-parse HEAD),made',
    },
  ] as const

  test.each(OTHERS)('git: commits: so is one in the index of $name', async ({ prepare, at, add, ...rest }) => {
    const workspace = makeWorkspace()
    const host = (script: string): string => execFileSync('sh', ['-c', `(${script}) 2>&1; true`], { cwd: workspace.path, encoding: 'utf8', env: { ...process.env, ...AUTHOR } })
    host(`git init -q; git init -q library; git -C library commit -q --allow-empty -m one; git -c advice.addEmbeddedRepo=false add library; git commit -qm one; ${prepare}`)
    const sandbox = await startOn(rung, { cwd: workspace.path, policy: { git: 'commits', env: { set: AUTHOR } } })
    onTestFinished(() => sandbox.close())
    // A commit of a submodule that was there is nothing new.
    expect((await sandbox.shell('git -C library commit -q --allow-empty -m two && git add library && git commit -qm two')).gitLinks).toBe(undefined)
    const { gitLinks } = await sandbox.shell(`printf '#!/bin/sh\ntouch "%s/ran"\n' "$PWD" > program; chmod +x program; M=${at}/made; [ -d ${at} ] || M=keep
      git init -q $M; git -C $M commit -q --allow-empty -m made; git -C $M config core.fsmonitor "$PWD/program"; ${add}; rm -f ran`)
    expect(gitLinks).toEqual(['alsoTold' in rest ? rest.alsoTold : [], join(at, 'made')].flat().map(path => join(workspace.path, path)))
    expect((await sandbox.exec(['true'])).gitLinks).toEqual(gitLinks)
    // What it was told for.
    host(`git -C ${at} status`)
    expect(existsSync(join(workspace.path, 'ran'))).toBe(true)
  })

  test.each(['protected', 'commits'] as const)('git: %s: a submodule of a linked worktree that is not checked out there is given no repository', async git => {
    const workspace = makeWorkspace()
    const host = (script: string): string => execFileSync('sh', ['-c', `(${script}) 2>&1; true`], { cwd: workspace.path, encoding: 'utf8', env: { ...process.env, ...AUTHOR } })
    host('git init -q; git init -q library; git -C library commit -q --allow-empty -m one; git -c advice.addEmbeddedRepo=false add library; git commit -qm one; git worktree add -q tree')
    const sandbox = await startOn(rung, { cwd: workspace.path, policy: { git, env: { set: AUTHOR } } })
    onTestFinished(() => sandbox.close())
    expect(await sandbox.shell('git -C tree status --short')).toMatchObject({ stdout: '', exitCode: 0 })
    await sandbox.shell(`cd tree; ${ATTACK}`)
    await sandbox.close()
    for (const command of ['status', 'diff', 'stash']) host(`git -C tree ${command}`)
    expect([existsSync(join(workspace.path, 'tree/program')), existsSync(join(workspace.path, 'tree/ran'))]).toEqual([true, false])
  })

  test('git: commits: a folder of a sparse index that is in the workspace is told when it has another tree', async context => {
    if (spawnSync('python3', ['-c', '']).status !== 0) context.skip('python3 is not there')
    const workspace = makeWorkspace()
    const host = (script: string): string => execFileSync('sh', ['-c', `(${script}) 2>&1; true`], { cwd: workspace.path, encoding: 'utf8', env: { ...process.env, ...AUTHOR } })
    host('git init -q; mkdir keep d; echo > keep/f; echo > d/f; git add .; git commit -qm one; git sparse-checkout set --sparse-index keep')
    const sandbox = await startOn(rung, { cwd: workspace.path, policy: { git: 'commits', env: { set: AUTHOR } } })
    onTestFinished(() => sandbox.close())
    expect((await sandbox.shell('echo x > keep/f; git commit -qam two')).gitLinks).toBe(undefined)
    const { gitLinks } = await sandbox.shell(`printf '#!/bin/sh\\ntouch "%s/ran"\\n' "$PWD" > program; chmod +x program
      mkdir d; git init -q d/made; git -C d/made commit -q --allow-empty -m made; git -C d/made config core.fsmonitor "$PWD/program"
      python3 - $(printf '160000 commit %s\\tmade\\n' $(git -C d/made rev-parse HEAD) | git mktree --missing) <<'END'
import hashlib, sys
index = bytearray(open('.git/index', 'rb').read())
end = index.index(b'd/\\0') - 4
index[end - 20:end] = bytes.fromhex(sys.argv[1])
index[-20:] = hashlib.sha1(index[:-20]).digest()
open('.git/index', 'wb').write(index)
END
      rm -f ran`)
    expect(gitLinks).toEqual([join(workspace.path, 'd/')])
    // What it was told for.
    host('git status')
    expect(existsSync(join(workspace.path, 'ran'))).toBe(true)
  })

  test('git: commits: an index of which not all can be read is told when it is another than it was', async () => {
    const workspace = makeWorkspace()
    const host = (script: string): string => execFileSync('sh', ['-c', script], { cwd: workspace.path, encoding: 'utf8', env: { ...process.env, ...AUTHOR } })
    host('git init -q; echo > file; git add file; git commit -qm one; mv .git/index .git/real; ln -s real .git/index')
    const sandbox = await startOn(rung, { cwd: workspace.path, policy: { git: 'commits', env: { set: AUTHOR } } })
    onTestFinished(() => sandbox.close())
    expect((await sandbox.exec(['true'])).gitLinks).toBe(undefined)
    expect((await sandbox.shell('echo x > other; git add other')).gitLinks).toEqual([join(workspace.path, '.git/index')])
  })

  test.each(['protected', 'commits'] as const)('git: %s: where a submodule is not checked out, git works inside, and on the host while commands run', async git => {
    const workspace = makeWorkspace()
    const host = (script: string): string => execFileSync('sh', ['-c', script], { cwd: workspace.path, encoding: 'utf8', env: { ...process.env, ...AUTHOR } })
    host(`git init -q; git init -q library; git -C library commit -q --allow-empty -m one; git -c advice.addEmbeddedRepo=false add library; git commit -qm one
      rm -rf library/.git; echo x > new`)
    const sandbox = await startOn(rung, { cwd: workspace.path, policy: { git, env: { set: AUTHOR } } })
    onTestFinished(() => sandbox.close())
    const { stdout, exitCode } = await sandbox.shell('git status --short && git diff && mkdir library/.git')
    expect([stdout, exitCode]).toEqual(['?? new\n', 1])
    const running = sandbox.shell('echo > started; while [ ! -e stop ]; do sleep 0.05; done')
    await vi.waitFor(() => host('test -e started'), { timeout: 20_000 })
    expect(host('git status --short')).toBe('?? new\n?? started\n')
    host('touch stop')
    await running
    await sandbox.close()
    expect(host('ls -A library')).toBe('')
  })

  test('without a submodule, a repository below the root is made and used', async () => {
    const workspace = makeWorkspace()
    execFileSync('git', ['init', '-q'], { cwd: workspace.path })
    const sandbox = await startOn(rung, { cwd: workspace.path, policy: { env: { set: AUTHOR } } })
    onTestFinished(() => sandbox.close())
    expect(await sandbox.shell('git init -q library && git -C library commit -q --allow-empty -m one && git -C library config a.b c && git -C library config a.b')).toMatchObject({ stdout: 'c\n', exitCode: 0 })
  })
})

/** bwrap holds no link: what stands at the `.git` of a submodule that is not checked out is another thing there. */
describe.each(BWRAP_IF_THERE)('$name', () => {
  const notCheckedOut = (): { workspace: ReturnType<typeof makeWorkspace>; host: (script: string) => string } => {
    const workspace = makeWorkspace()
    const host = (script: string): string => execFileSync('sh', ['-c', script], { cwd: workspace.path, encoding: 'utf8', env: { ...process.env, ...AUTHOR } })
    host(`git init -q; git init -q library; git -C library commit -q --allow-empty -m one; git -c advice.addEmbeddedRepo=false add library; git commit -qm one
      rm -rf library/.git; echo x > new`)
    return { workspace, host }
  }

  test('where a submodule is not checked out, git works inside, and on the host while commands run; commands can give it no repository', async () => {
    const { workspace, host } = notCheckedOut()
    const sandbox = await startOn(BWRAP, { cwd: workspace.path, policy: { env: { set: AUTHOR } } })
    onTestFinished(() => sandbox.close())
    const { stdout, exitCode } = await sandbox.shell('git status --short && git diff && mkdir library/.git')
    expect([stdout, exitCode]).toEqual(['?? new\n', 1])
    const running = sandbox.shell(`${ATTACK}; while [ ! -e stop ]; do sleep 0.05; done`)
    await vi.waitFor(() => host('test -e tried'), { timeout: 20_000 })
    expect(host('git status --short && git diff')).toContain('?? program\n')
    host('touch stop')
    await running
    await sandbox.close()
    expect(host('git status > /dev/null; ls -A library; test -e ran || echo nothing ran')).toBe('nothing ran\n')
  })

  test('a keeper that is killed leaves there what it made, and the next start takes it away', async () => {
    const { workspace, host } = notCheckedOut()
    const launcher = ownLauncher()
    const sandbox = await startOn(BWRAP, { cwd: workspace.path, launcherPath: launcher.path })
    onTestFinished(() => sandbox.close())
    const running = sandbox.shell('echo > started; sleep 60').catch((error: unknown) => error)
    await vi.waitFor(() => host('test -e started'), { timeout: 20_000 })
    const keeper = launcher.processes().find(each => each !== sandbox.pid && parentOf(each) === process.pid)
    process.kill(keeper!, 'SIGKILL')
    expect(await running).toMatchObject({ code: 'launcher_lost' })
    expect(host('stat -c %F library/.git')).toBe('socket\n')
    const next = await startOn(NAMESPACES, { cwd: workspace.path })
    await next.close()
    expect([host('ls -A library'), workspace.journal()]).toEqual(['', []])
  })

  test('beside the launcher alone: the error says what stands there and what to do; the other way round both work', async () => {
    const { workspace, host } = notCheckedOut()
    const options = { cwd: workspace.path, policy: { env: { set: AUTHOR } } }
    const native = await startOn(NAMESPACES, options)
    onTestFinished(() => native.close())
    const running = native.shell('echo > started; while [ ! -e stop ]; do sleep 0.05; done')
    await vi.waitFor(() => host('test -e started'), { timeout: 20_000 })
    await expect(startOn(BWRAP, options)).rejects.toMatchObject({
      code: 'set_up_failed', step: 'bwrap', errno: 'ELOOP', path: join(workspace.path, 'library/.git'), message: expect.stringContaining('a symbolic link stands there'), remedy: expect.stringContaining('one back end'),
    })
    host('touch stop')
    expect(await running).toMatchObject({ exitCode: 0 })
    await vi.waitFor(() => expect(host('ls -A library')).toBe(''), { timeout: 10_000 })
    host('rm stop started')
    const inBwrap = await startOn(BWRAP, options)
    onTestFinished(() => inBwrap.close())
    const other = inBwrap.shell('echo > started; while [ ! -e stop ]; do sleep 0.05; done; git status --short')
    await vi.waitFor(() => host('test -e started'), { timeout: 20_000 })
    expect(await native.shell('git status --short; mkdir library/.git')).toMatchObject({ stdout: '?? new\n?? started\n', exitCode: 1 })
    host('touch stop')
    expect(await other).toMatchObject({ stdout: '?? new\n?? started\n?? stop\n' })
    await Promise.all([native.close(), inBwrap.close()])
    expect([host('ls -A library'), workspace.journal()]).toEqual(['', []])
  })
})
