// What stands on the host for a missing protected name: there while commands run, removed after the last one, and by nobody but
// those who made it.
import { execFileSync } from 'node:child_process'
import { existsSync, lstatSync, mkdirSync, readdirSync, readFileSync, renameSync, rmdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { beforeEach, describe, expect, onTestFinished, test } from 'vitest'
import { parseOptions, prepare } from '../../src/exec/prepare.js'
import { createSandbox, type Sandbox, startSandbox as startPrepared } from '../../src/exec/sandbox.js'
import { expectNone } from './host-processes.js'
import { ownLauncher } from './own-launcher.js'
import { makeWorkspace, type Workspace } from './workspace.js'

beforeEach(context => { if (process.platform !== 'linux') context.skip('the launcher is for Linux') })

const NAMES = ['.agents', '.codex', '.git']

async function startSandbox({ path }: Workspace, launcherPath?: string): Promise<Sandbox> {
  const sandbox = await createSandbox({ cwd: path, ...(launcherPath === undefined ? {} : { launcherPath }) })
  onTestFinished(() => sandbox.close())
  return sandbox
}

/** A command that runs until `end`; resolves when its placeholders are there. */
async function startCommand(sandbox: Sandbox, { path, outside }: Workspace): Promise<{ end: () => Promise<object> }> {
  const id = Math.random()
  const started = join(path, `started-${id}`)
  const go = join(outside, `go-${id}`)
  const result = sandbox.exec(['sh', '-c', ': > "$0"; until test -e "$1"; do sleep 0.01; done', started, go])
  await expect.poll(() => existsSync(started), { timeout: 20_000, interval: 5 }).toBe(true)
  return {
    end: () => {
      writeFileSync(go, '')
      return result
    },
  }
}

const held = ({ entries }: Workspace): string[] => entries().filter(name => NAMES.includes(name))

test('they are there while a command runs, cannot be written, and are removed after it although the sandbox stays', async () => {
  const workspace = makeWorkspace()
  const sandbox = await startSandbox(workspace)
  expect(held(workspace)).toEqual([])
  const command = await startCommand(sandbox, workspace)
  expect(held(workspace)).toEqual(NAMES)
  expect(workspace.journal()).toHaveLength(NAMES.length)
  for (const name of NAMES) {
    const inside = await sandbox.exec(['sh', '-c', `touch ${name}/file || rmdir ${name} || mv ${name} other`])
    expect(inside.exitCode).not.toBe(0)
  }
  expect(await sandbox.exec(['sh', '-c', 'mkdir other && touch other/file && rm -r other'])).toMatchObject({ exitCode: 0 })
  expect(NAMES.flatMap(name => readdirSync(join(workspace.path, name)))).toEqual([])
  expect(await command.end()).toMatchObject({ exitCode: 0 })
  await expectNone(() => held(workspace))
  await expectNone(workspace.journal)
})

test('git: \'commits\' beside another such sandbox whose placeholders are there: hooks and config stay closed', async () => {
  const workspace = makeWorkspace()
  execFileSync('git', ['init', '--quiet', workspace.path])
  const git = (...names: string[]) => join(workspace.path, '.git', ...names)
  const config = readFileSync(git('config'), 'utf8')
  const start = async (): Promise<Sandbox> => {
    const sandbox = await createSandbox({ cwd: workspace.path, policy: { git: 'commits' } })
    onTestFinished(() => sandbox.close())
    return sandbox
  }
  const command = await startCommand(await start(), workspace)
  expect(existsSync(git('commondir'))).toBe(true)
  const other = await start()
  const tried = await other.exec(['sh', '-c', 'echo x >> .git/config; echo x > .git/hooks/pre-commit; mv .git/hooks .git/h; echo x > .git/info/attributes; echo x > .git/commondir'])
  expect(tried.exitCode).not.toBe(0)
  expect({ config: readFileSync(git('config'), 'utf8'), hook: existsSync(git('hooks/pre-commit')), moved: existsSync(git('h')) }).toEqual({ config, hook: false, moved: false })
  expect(await other.exec(['git', '-c', 'user.name=n', '-c', 'user.email=e@x', 'commit', '--quiet', '--allow-empty', '--message', 'one'])).toMatchObject({ exitCode: 0, stderr: '' })
  // And what widens one of them finds the policy as it was.
  expect(await other.exec(['true'], { additionalPermissions: { network: { enabled: true } } })).toMatchObject({ exitCode: 0 })
  await command.end()
})

test('a sandbox that is made while the placeholders of another one stand there goes on without them', async () => {
  const workspace = makeWorkspace()
  execFileSync('git', ['init', '--quiet', workspace.path])
  const start = async (): Promise<Sandbox> => {
    const sandbox = await createSandbox({ cwd: workspace.path, policy: { git: 'commits' } })
    onTestFinished(() => sandbox.close())
    return sandbox
  }
  const rules = ({ policy }: Sandbox): string[] => policy.paths.map(({ effect, path, kind, placeholderText }) => [effect, path, kind, placeholderText].join(' '))
  const alone = await start()
  const command = await startCommand(alone, workspace)
  const other = await start()
  expect(rules(other)).toEqual(rules(alone))
  await command.end()
  await alone.close()
  await expectNone(workspace.journal)
  const commit = await other.exec(['git', '-c', 'user.name=n', '-c', 'user.email=e@x', 'commit', '--quiet', '--allow-empty', '--message', 'one'])
  expect(commit).toMatchObject({ exitCode: 0, stderr: '' })
  const git = (name: string): string => join(workspace.path, '.git', name)
  const during = await startCommand(other, workspace)
  expect({ commondir: readFileSync(git('commondir'), 'utf8'), worktree: readFileSync(git('config.worktree'), 'utf8') }).toEqual({ commondir: '.\n', worktree: '' })
  expect((await other.exec(['sh', '-c', 'echo x > .git/hooks/post-commit; echo x >> .git/config; echo x > .git/commondir'])).exitCode).not.toBe(0)
  await during.end()
  expect([existsSync(git('hooks/post-commit')), readFileSync(git('config'), 'utf8').includes('x\n')]).toEqual([false, false])
})

/** A launcher was killed while its placeholders were there. */
async function leaveBehind(workspace: Workspace): Promise<void> {
  const launcher = ownLauncher()
  const sandbox = await startSandbox(workspace, launcher.path)
  const command = await startCommand(sandbox, workspace)
  process.kill(sandbox.pid!, 'SIGKILL')
  await expect(command.end()).rejects.toMatchObject({ code: 'launcher_lost' })
  await expectNone(launcher.processes)
  expect(held(workspace)).toEqual(NAMES)
  expect(workspace.journal()).toHaveLength(NAMES.length)
}

describe('left by a launcher that was killed', () => {
  test.each<{ name: string; change: (git: string) => void; kept: boolean }>([
    { name: 'untouched ones are removed', change: () => {}, kept: false },
    { name: 'one in which the user made a file is kept', change: git => writeFileSync(join(git, 'config'), ''), kept: true },
    { name: 'an empty one that the user made in its place is kept', change: git => { renameSync(git, `${git}-old`); mkdirSync(git); rmdirSync(`${git}-old`) }, kept: true },
    { name: 'a file that the user made in its place is kept', change: git => { rmdirSync(git); writeFileSync(git, 'gitdir: elsewhere') }, kept: true },
    { name: 'nothing is made where the user removed it', change: git => rmdirSync(git), kept: false },
  ])('$name by the next start', async ({ change, kept }) => {
    const workspace = makeWorkspace()
    await leaveBehind(workspace)
    const git = join(workspace.path, '.git')
    change(git)
    const before = existsSync(git) ? lstatSync(git).ino : undefined
    // Anywhere: the journal is one for all workspaces.
    const elsewhere = join(workspace.outside, 'elsewhere')
    mkdirSync(elsewhere)
    const sandbox = await createSandbox({ cwd: elsewhere })
    await sandbox.close()
    expect(held(workspace)).toEqual(kept ? ['.git'] : [])
    expect(existsSync(git) ? lstatSync(git).ino : undefined).toBe(kept ? before : undefined)
    expect(workspace.journal()).toEqual([])
  })

  test('those of a launcher that runs are left alone by another start', async () => {
    const workspace = makeWorkspace()
    const sandbox = await startSandbox(workspace)
    const command = await startCommand(sandbox, workspace)
    const other = await startSandbox(workspace)
    await other.close()
    expect(held(workspace)).toEqual(NAMES)
    expect(workspace.journal()).toHaveLength(NAMES.length)
    await command.end()
    await expectNone(() => held(workspace))
  })

  test('a record that is torn or forged removes nothing that is not an empty directory of that inode', async () => {
    const workspace = makeWorkspace('precious', 'empty')
    const sandbox = await startSandbox(workspace)
    await sandbox.close()
    const { dev, ino } = lstatSync(workspace.path, { bigint: true })
    writeFileSync(join(workspace.path, 'precious/file'), 'x')
    const state = join(workspace.outside, 'state/codex-sandbox')
    const record = (name: string, inode: bigint): string => `2 ${dev} ${inode} ${dev} ${ino}\n${workspace.path}\n${name}\n\n`
    const records = ['', '2 1', record('precious', lstatSync(join(workspace.path, 'precious'), { bigint: true }).ino), record('empty', 1n), record('../workspace', ino), 'x'.repeat(10_000)]
    for (const [i, text] of records.entries()) writeFileSync(join(state, `placeholder-${i}`), text)
    const next = await startSandbox(workspace)
    await next.close()
    expect(workspace.entries()).toEqual(['empty', 'precious', 'precious/file'])
  })
})

describe('shared by two sandboxes of one workspace', () => {
  test.each(['closed', 'killed'] as const)('one is %s: they stay, and hold, until the other\'s last command has ended', async how => {
    const workspace = makeWorkspace()
    const launcher = ownLauncher()
    const [first, second] = [await startSandbox(workspace, launcher.path), await startSandbox(workspace)]
    const running = await startCommand(first, workspace)
    const other = await startCommand(second, workspace)
    const inodes = NAMES.map(name => lstatSync(join(workspace.path, name)).ino)
    if (how === 'killed') process.kill(first.pid!, 'SIGKILL')
    await running.end().catch((error: unknown) => error)
    await first.close()
    await expectNone(launcher.processes)

    expect(NAMES.map(name => lstatSync(join(workspace.path, name)).ino)).toEqual(inodes)
    const inside = await second.exec(['sh', '-c', 'touch .git/file || rmdir .git'])
    expect(inside.exitCode).not.toBe(0)
    expect(readdirSync(join(workspace.path, '.git'))).toEqual([])
    await other.end()
    await second.close()
    expect(held(workspace)).toEqual([])
    expect(workspace.journal()).toEqual([])
  })

  test.each(['deny', 'protect'] as const)('the other sees it between its commands (%s): what it runs then finds the name closed when the first is gone', async how => {
    const workspace = makeWorkspace()
    const key = join(workspace.path, 'key')
    for (let round = 0; round < 6; round++) {
      const stop = join(workspace.path, `stop-${round}`)
      const [first, second] = await Promise.all([0, 1].map(() => createSandbox({ cwd: workspace.path, policy: { mode: 'workspace-write', [how]: [how === 'deny' ? key : 'key'] } })))
      await first!.exec(['true'])
      const result = second!.exec(['sh', '-c', `until test -e '${stop}'; do echo evil > key && echo open; rmdir key && echo gone; done 2>&-; true`])
      await first!.exec(['true'])
      await first!.close()
      await second!.exec(['true'])
      writeFileSync(stop, '')
      expect(await result).toMatchObject({ exitCode: 0, stdout: '' })
      expect(readdirSync(key)).toEqual([])
      await second!.close()
      expect(existsSync(key)).toBe(false)
    }
    expect(workspace.journal()).toEqual([])
  })

  test('it is seen by the plan of another sandbox and gone when that one starts: the name is held all the same', async () => {
    const workspace = makeWorkspace('.git')
    const git = join(workspace.path, '.git')
    const preparation = await prepare(await parseOptions({ cwd: workspace.path, policy: { mode: 'workspace-write', deny: [git, join(workspace.path, '.codex')] } }))
    rmdirSync(git)
    const sandbox = await startPrepared(preparation)
    onTestFinished(() => sandbox.close())
    expect(await sandbox.exec(['sh', '-c', 'mkdir .git .git/made; touch .git/file; rmdir .git; mkdir ok'])).toMatchObject({ exitCode: 0 })
    await sandbox.close()
    expect(workspace.entries()).toEqual(['ok'])
  })

  test('both start and end commands at the same time, again and again: none ever finds a name open', async () => {
    const workspace = makeWorkspace()
    const sandboxes = [await startSandbox(workspace), await startSandbox(workspace), await startSandbox(workspace)]
    for (let round = 0; round < 15; round++) {
      const results = await Promise.all(sandboxes.map(sandbox => sandbox.exec(['sh', '-c', 'for name in .git .codex .agents; do mkdir $name/made && echo open; rmdir $name && echo open; done; true'])))
      expect(results.map(({ exitCode, stdout }) => ({ exitCode, stdout }))).toEqual(sandboxes.map(() => ({ exitCode: 0, stdout: '' })))
      // Half of the rounds begin when the last one's have been given up.
      if (round % 2 === 0) await expectNone(() => held(workspace))
    }
    for (const sandbox of sandboxes) await sandbox.close()
    expect(workspace.entries()).toEqual([])
    expect(workspace.journal()).toEqual([])
  })
})
