// The host itself renames, removes and replaces held paths: a mount follows its inode, so what takes the path must be held anew.
import { existsSync, lstatSync, mkdirSync, readdirSync, readFileSync, renameSync, rmdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { beforeEach, describe, expect, onTestFinished, test } from 'vitest'
import { createSandbox, type Sandbox } from '../../src/exec/sandbox.js'
import { expectNone, processesWithArgument } from './host-processes.js'
import { makeWorkspace, type Workspace } from './workspace.js'

beforeEach(context => { if (process.platform !== 'linux') context.skip('the launcher is for Linux') })

async function startSandbox(workspace: Workspace, deny: readonly string[] = []): Promise<Sandbox> {
  const sandbox = await createSandbox({ cwd: workspace.path, policy: { mode: 'workspace-write', deny: [...deny] } })
  onTestFinished(() => sandbox.close())
  return sandbox
}

/** A repository with a config; what `git init` makes of it. */
function makeRepository(path: string): void {
  mkdirSync(join(path, 'hooks'), { recursive: true })
  writeFileSync(join(path, 'config'), '[core]\n')
}

/** What commands try on a protected name; each that works leaves something that is seen from outside. */
const ATTACK = 'touch .git/evil .git/hooks/evil; echo evil >> .git/config; mkdir .git; rm -rf .git/hooks; rmdir .git; mv .git moved; ln -s /tmp .git; touch ok'

describe('between commands', () => {
  test.each<{ name: string; change: (git: string) => void; later?: true }>([
    { name: 'moves .git away and makes another', change: git => { renameSync(git, `${git}-2`); makeRepository(git) } },
    { name: 'puts another in its place', change: git => { makeRepository(`${git}-new`); renameSync(git, `${git}-2`); renameSync(`${git}-new`, git) } },
    { name: 'removes it', change: git => rmSync(git, { recursive: true }) },
    { name: 'removes it and makes another', change: git => { rmSync(git, { recursive: true }); makeRepository(git) } },
    { name: 'puts a file in its place', change: git => { rmSync(git, { recursive: true }); writeFileSync(git, 'gitdir: /elsewhere\n') }, later: true },
    { name: 'puts a link in its place', change: git => { renameSync(git, `${git}-2`); symlinkSync('.git-2', git) }, later: true },
    { name: 'replaces the config inside it', change: git => { writeFileSync(`${git}-config`, 'new'); renameSync(`${git}-config`, join(git, 'config')) } },
  ])('the host $name: the next command cannot write there', async ({ change, later }) => {
    const workspace = makeWorkspace()
    const git = join(workspace.path, '.git')
    makeRepository(git)
    const sandbox = await startSandbox(workspace)
    for (let round = 0; round < 3; round++) {
      await sandbox.exec(['true'])
      // Right behind a command what the host removes is made again at once, so that it cannot put a file there.
      if (later) await expectNone(() => ['.codex'].filter(name => existsSync(join(workspace.path, name))))
      if (round === 1) change(git)
      const before = contents(git)
      await sandbox.exec(['sh', '-c', ATTACK])
      // What was missing is a directory while commands run.
      expect(contents(git)).toEqual(before === undefined ? {} : before)
      expect(existsSync(join(workspace.path, 'ok'))).toBe(true)
      if (before === undefined) await expectNone(() => [git].filter(existsSync))
      rmSync(join(workspace.path, 'ok'))
    }
    expect(workspace.entries()).not.toContain('moved')
  })

  test('the host replaces the folders on the way to a denied file that is missing, and makes the file: it is not readable, its neighbour is', async () => {
    const workspace = makeWorkspace('keys/deep')
    const sandbox = await startSandbox(workspace, [join(workspace.path, 'keys/deep/key')])
    for (let round = 0; round < 4; round++) {
      await sandbox.exec(['true'])
      if (round % 2 === 0) await expectNone(() => ['.git'].filter(name => existsSync(join(workspace.path, name))))
      renameSync(join(workspace.path, 'keys'), join(workspace.outside, `keys-${round}`))
      makeRepository(join(workspace.outside, 'new/deep'))
      writeFileSync(join(workspace.outside, 'new/deep/key'), 'secret')
      renameSync(join(workspace.outside, 'new'), join(workspace.path, 'keys'))
      expect(await sandbox.exec(['sh', '-c', 'cat keys/deep/key; cat keys/deep/config'])).toMatchObject({ stdout: '[core]\n', stderr: expect.stringMatching(/^cat: .*key: Permission denied\n$/) })
    }
  })

  // As something stands at `keys` until the host moves its folder there, that folder may be taken for it.
  test('the host puts folders back at the moment in which the first one is seen missing: the denied file is not readable, its neighbour is', async () => {
    const workspace = makeWorkspace('keys/deep')
    const keys = join(workspace.path, 'keys')
    const sandbox = await startSandbox(workspace, [join(keys, 'deep/key')])
    for (let round = 0; round < 60; round++) {
      await sandbox.exec(['true'])
      makeRepository(join(workspace.outside, 'new/deep'))
      writeFileSync(join(workspace.outside, 'new/deep/key'), 'secret')
      renameSync(keys, join(workspace.outside, `keys-${round}`))
      for (let looks = 0; looks < 100_000 && !existsSync(keys); looks++);
      for (let looks = 0; looks < 20 * (round % 20); looks++) existsSync(keys)
      renameSync(join(workspace.outside, 'new'), keys)
      const { stdout, stderr } = await sandbox.exec(['sh', '-c', 'cat keys/deep/key; cat keys/deep/config'])
      expect({ stdout, stderr }).toEqual({ stdout: '[core]\n', stderr: 'cat: keys/deep/key: Permission denied\n' })
    }
  })

  test.each<{ how: 'deny' | 'protect'; meanwhile: string }>([{ how: 'deny', meanwhile: '' }, { how: 'protect', meanwhile: '[core]\n' }])('the host takes the folder of a missing path ($how) away and makes another in what stands for it: closed, and open again when no command has run for a moment', async ({ how, meanwhile }) => {
    const workspace = makeWorkspace('keys/deep')
    const keys = join(workspace.path, 'keys')
    const sandbox = await createSandbox({ cwd: workspace.path, policy: { mode: 'workspace-write', [how]: [how === 'deny' ? join(keys, 'deep/key') : 'keys/deep/key'] } })
    onTestFinished(() => sandbox.close())
    // Without it, what stands for the folder would be gone on a busy machine before the host makes something in it.
    const running = await startCommand(sandbox, workspace, 'true')
    renameSync(keys, join(workspace.outside, 'away'))
    await expectHeldAgain(sandbox, keys)
    makeRepository(join(keys, 'deep'))
    const use = ['sh', '-c', 'cat keys/deep/config; true > keys/deep/key; true > keys/deep/other']
    expect(await sandbox.exec(use)).toMatchObject({ stdout: meanwhile })
    expect(Object.keys(contents(keys) as object)).toEqual(['deep'])
    expect(contents(join(keys, 'deep'))).toEqual({ config: '[core]\n', hooks: {} })
    running.go()
    await running.result
    await expectNone(() => ['.git'].filter(name => existsSync(join(workspace.path, name))))
    expect(await sandbox.exec(use)).toMatchObject({ stdout: '[core]\n' })
    await sandbox.close()
    expect(contents(join(keys, 'deep'))).toEqual({ config: '[core]\n', hooks: {}, other: '' })
  })

  test.each([{ there: true }, { there: false }])('the host takes the folder of several denied files away (there before: $there): commands run, cannot make them, and can use the folder when it is back', async ({ there }) => {
    const workspace = makeWorkspace('keys/deep', 'keys/deep/config')
    const keys = join(workspace.path, 'keys')
    const denied = ['deep/key', 'deep/key-2', 'deep/more/key'].map(name => join(keys, name))
    mkdirSync(join(keys, 'deep/more'))
    if (there) for (const file of denied) writeFileSync(file, 'secret')
    const sandbox = await startSandbox(workspace, denied)
    const running = await startCommand(sandbox, workspace, 'echo went on')
    await sandbox.exec(['true'])
    renameSync(keys, join(workspace.outside, 'away'))
    for (let round = 0; round < 2; round++) {
      expect(await sandbox.exec(['sh', '-c', 'mkdir -p keys/deep/more; for key in key key-2 more/key; do echo evil > keys/deep/$key; done; echo ran'])).toMatchObject({ stdout: 'ran\n' })
      expect(denied.filter(existsSync)).toEqual([])
      running.go()
      expect(await running.result).toMatchObject({ stdout: 'went on\n' })
      // The second time, from nothing: all that stood for what is missing has gone with the last command.
      await expectNone(() => ['.git', 'keys'].filter(name => existsSync(join(workspace.path, name))))
    }
    renameSync(join(workspace.outside, 'away'), keys)
    // What stood for the files went away with the folder.
    for (const file of denied) rmSync(file, { recursive: true, force: true })
    for (const file of denied) writeFileSync(file, 'secret')
    for (let round = 0; round < 2; round++) {
      expect(await sandbox.exec(['sh', '-c', 'cat keys/deep/key keys/deep/key-2 keys/deep/more/key; test -r keys/deep/config && echo readable'])).toMatchObject({ stdout: 'readable\n' })
    }
  })
})

/** Names and texts of a folder; a file's text, a link's target; undefined where there is nothing. */
function contents(path: string): unknown {
  if (!existsSync(path) && !isLink(path)) return undefined
  if (isLink(path)) return 'a link'
  if (!lstatSync(path).isDirectory()) return readFileSync(path, 'utf8')
  return Object.fromEntries(readdirSync(path).sort().map(name => [name, contents(join(path, name))]))
}

function isLink(path: string): boolean {
  try {
    return lstatSync(path).isSymbolicLink()
  } catch {
    return false
  }
}

let words = 0

/** A command that runs `script` once `go` is called. */
async function startCommand(sandbox: Sandbox, { path }: Workspace, script: string): Promise<{ go: () => void; word: string; result: ReturnType<Sandbox['exec']> }> {
  const word = `word-${process.pid}-${++words}`
  const result = sandbox.exec(['sh', '-c', `: > started-$0; until test -e go-$0; do sleep 0.01; done; ${script}`, word])
  await expect.poll(() => existsSync(join(path, `started-${word}`)), { timeout: 20_000, interval: 5 }).toBe(true)
  return { word, result, go: () => writeFileSync(join(path, `go-${word}`), '') }
}

/** The launcher has seen that a path is missing. It looks again before each command: after one, what it made is bound as well. */
async function expectHeldAgain(sandbox: Sandbox, path: string): Promise<void> {
  await expect.poll(() => existsSync(path), { timeout: 20_000, interval: 1 }).toBe(true)
  await sandbox.exec(['true'])
}

describe('while a command runs', () => {
  test('the host moves .git away: an empty one takes its place, and holds', async () => {
    const workspace = makeWorkspace()
    const git = join(workspace.path, '.git')
    makeRepository(git)
    const sandbox = await startSandbox(workspace)
    const command = await startCommand(sandbox, workspace, 'touch .git/evil; rmdir .git; mv .git moved; echo held')
    renameSync(git, join(workspace.path, 'g2'))
    await expectHeldAgain(sandbox, git)
    command.go()
    expect(await command.result).toMatchObject({ exitCode: 0, stdout: 'held\n' })
    expect(existsSync(join(workspace.path, 'moved'))).toBe(false)
    // The old one is the user's again, and no longer protected by its name; its content is untouched.
    expect(contents(join(workspace.path, 'g2'))).toEqual({ config: '[core]\n', hooks: {} })
  })

  test('the host puts another .git in its place: the command is ended, and told which path it was', async () => {
    const workspace = makeWorkspace()
    const git = join(workspace.path, '.git')
    makeRepository(git)
    makeRepository(join(workspace.outside, 'new'))
    const sandbox = await startSandbox(workspace)
    const commands = [await startCommand(sandbox, workspace, 'exit 1'), await startCommand(sandbox, workspace, 'exit 1')]
    renameSync(git, join(workspace.path, 'g2'))
    renameSync(join(workspace.outside, 'new'), git)
    for (const { result, word } of commands) {
      expect(await result).toMatchObject({ signal: 'SIGKILL', changedPath: git })
      expect(processesWithArgument(word)).toEqual([])
    }
    await sandbox.exec(['sh', '-c', ATTACK])
    expect(contents(git)).toEqual({ config: '[core]\n', hooks: {} })
  })

  test('the host puts something in the place of a missing name: the command is ended, and what is there is held and kept', async () => {
    const workspace = makeWorkspace()
    const codex = join(workspace.path, '.codex')
    makeRepository(join(workspace.outside, 'new'))
    const sandbox = await startSandbox(workspace)
    const command = await startCommand(sandbox, workspace, 'exit 1')
    renameSync(join(workspace.outside, 'new'), codex)
    expect(await command.result).toMatchObject({ signal: 'SIGKILL', changedPath: codex })
    expect(await sandbox.exec(['sh', '-c', 'touch .codex/evil; rm -r .codex; touch ok'])).toMatchObject({ exitCode: 0 })
    await sandbox.close()
    expect(contents(codex)).toEqual({ config: '[core]\n', hooks: {} })
  })

  test('the host makes files in what stands for a missing name: the command goes on, cannot write there, and they are kept', async () => {
    const workspace = makeWorkspace()
    const git = join(workspace.path, '.git')
    const sandbox = await startSandbox(workspace)
    const command = await startCommand(sandbox, workspace, 'touch .git/evil .git/hooks/evil; echo evil >> .git/config; cat .git/config')
    makeRepository(git)
    command.go()
    expect(await command.result).toMatchObject({ exitCode: 0, stdout: '[core]\n' })
    await sandbox.close()
    expect(contents(git)).toEqual({ config: '[core]\n', hooks: {} })
    expect(workspace.journal()).toEqual([])
  })

  test.each<{ name: string; put: (file: string) => void }>([
    { name: 'writes the next one', put: file => writeFileSync(file, 'next') },
    { name: 'moves the next one there', put: file => { writeFileSync(`${file}-next`, 'next'); renameSync(`${file}-next`, file) } },
  ])('the host removes files that are held and $name: nothing is in its way, and what is new is held', async ({ put }) => {
    const workspace = makeWorkspace()
    const files = ['.git/config', 'key', 'kept'].map(name => join(workspace.path, name))
    makeRepository(join(workspace.path, '.git'))
    for (const file of files) writeFileSync(file, 'first')
    const sandbox = await createSandbox({ cwd: workspace.path, policy: { mode: 'workspace-write', git: 'commits', deny: [files[1] as string], protect: ['kept'] } })
    onTestFinished(() => sandbox.close())
    const command = await startCommand(sandbox, workspace, 'for file in .git/config key kept; do echo evil >> $file; rm -f $file; mkdir $file; ln -sf /tmp $file; done; exit 7')
    for (const file of files) rmSync(file)
    for (const file of files) await expectHeldAgain(sandbox, file)
    expect(files.map(contents)).toEqual(['', '', ''])
    for (const file of files) put(file)
    command.go()
    // One that is moved there takes the place of what stands there, and ends what runs, as ever.
    const { exitCode, changedPath } = await command.result
    expect(changedPath === undefined ? exitCode : files).toEqual(changedPath === undefined ? 7 : expect.arrayContaining([changedPath]))
    expect(files.map(contents)).toEqual(['next', 'next', 'next'])
    await sandbox.exec(['sh', '-c', 'for file in .git/config key kept; do echo evil >> $file; done'])
    await sandbox.close()
    // The record of a placeholder that the host has replaced goes with the next start.
    await (await startSandbox(workspace)).close()
    expect([files.map(contents), workspace.journal()]).toEqual([['next', 'next', 'next'], []])
  })

  test('the host removes what stands for a missing name: it is made again, and holds', async () => {
    const workspace = makeWorkspace()
    const git = join(workspace.path, '.git')
    const sandbox = await startSandbox(workspace)
    const command = await startCommand(sandbox, workspace, 'touch .git/evil; rmdir .git; mv .git moved; echo held')
    rmdirSync(git)
    await expectHeldAgain(sandbox, git)
    command.go()
    expect(await command.result).toMatchObject({ exitCode: 0, stdout: 'held\n' })
    await sandbox.close()
    expect(workspace.entries().filter(name => /^(\.git|\.codex|\.agents|moved)$/.test(name))).toEqual([])
    expect(workspace.journal()).toEqual([])
  })

  test('the host removes it while the command tries all the time to write there: it never can, or is ended for it', async () => {
    const workspace = makeWorkspace()
    const git = join(workspace.path, '.git')
    const sandbox = await startSandbox(workspace)
    let written = 0
    for (let round = 0; round < 40; round++) {
      const stop = join(workspace.path, `stop-${round}`)
      const command = await startCommand(sandbox, workspace, `until test -e '${stop}'; do true > .git/evil; mkdir .git; done 2>&-; echo held`)
      command.go()
      rmSync(git, { recursive: true })
      await expect.poll(() => existsSync(git), { timeout: 20_000, interval: 1 }).toBe(true)
      writeFileSync(stop, '')
      const { exitCode, changedPath } = await command.result
      const found = contents(git)
      if (changedPath === undefined) expect({ exitCode, found }).toEqual({ exitCode: 0, found: {} })
      else expect(changedPath).toBe(git)
      if (changedPath !== undefined) written++
      if (Object.keys(found as object).length > 0) rmSync(git, { recursive: true })
    }
    // A window that the command can always use would be none.
    expect(written).toBeLessThan(40)
  })

  test('the host replaces a denied file: the new one becomes unreadable for what runs, and for what comes', async () => {
    const workspace = makeWorkspace()
    const key = join(workspace.path, 'key')
    writeFileSync(key, 'old')
    writeFileSync(`${key}-new`, 'new')
    const sandbox = await startSandbox(workspace, [key])
    const command = await startCommand(sandbox, workspace, 'n=0; while cat key >&2 && test $n -lt 5000; do n=$((n + 1)); done; cat key >&2 || echo held')
    writeFileSync(join(workspace.path, 'open'), 'open')
    renameSync(`${key}-new`, key)
    command.go()
    expect(await command.result).toMatchObject({ exitCode: 0, stdout: 'held\n' })
    expect(await sandbox.exec(['sh', '-c', 'cat key; cat open'])).toMatchObject({ stdout: 'open' })
  })
})
