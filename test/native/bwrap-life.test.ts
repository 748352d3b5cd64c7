// bwrap, the launcher inside and the keeper beside: what ends with what, and that nothing stays on the host. What ends with the embedding
// process is in life.test.ts, where bwrap has the rows of the others.
import { mkdirSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { beforeEach, describe, expect, onTestFinished, test } from 'vitest'
import type { SandboxOptions } from '../../src/exec/options.js'
import type { SandboxError } from '../../src/errors.js'
import type { Sandbox } from '../../src/exec/sandbox.js'
import { locateBwrap } from '../../src/platform/linux/bwrap/find.js'
import { WarmSandboxes } from '../../src/service/warm-sandboxes.js'
import { BWRAP, startOn } from '../support/rungs.js'
import { childrenOf, expectNone, isRunning, parentOf, processesWithArgument, stateOf } from './host-processes.js'
import { type OwnLauncher, ownLauncher } from './own-launcher.js'
import { holdEnd, whyNoTracing } from './tracing.js'
import { makeWorkspace, PROTECTED_NAMES, type Workspace } from './workspace.js'

beforeEach(context => {
  if (process.platform !== 'linux') context.skip('bwrap is for Linux')
  if (locateBwrap(process.env['PATH'] ?? '') === undefined) context.skip('no bwrap is installed')
})

let words = 0
const newWord = (): string => `bwrap-word-${process.pid}-${++words}`

async function start(options: SandboxOptions = {}, ...folders: readonly string[]): Promise<{ sandbox: Sandbox; workspace: Workspace; launcher: OwnLauncher }> {
  const workspace = makeWorkspace(...folders)
  const launcher = ownLauncher()
  const sandbox = await startOn(BWRAP, { cwd: workspace.path, launcherPath: launcher.path, ...options })
  onTestFinished(() => sandbox.close())
  return { sandbox, workspace, launcher }
}

/** Runs until it is ended, and makes what is protected as soon as it can. */
const eager = (word: string): string[] => ['sh', '-c', 'touch came; while :; do mkdir -p .codex/x .agents/x 2>/dev/null; echo x >> .git/config; done', word]

async function startEager(sandbox: Sandbox, workspace: Workspace): Promise<{ word: string; result: Promise<unknown> }> {
  const word = newWord()
  const result = sandbox.exec(eager(word), { output: { maxBytes: 1000 } }).catch((error: unknown) => error)
  await expect.poll(() => workspace.entries(), { timeout: 20_000 }).toContain('came')
  return { word, result }
}

/** The program that has the launcher for its child. */
const bwrapOf = (sandbox: Sandbox): number => parentOf(sandbox.pid!)
/** The one that is none of bwrap's. */
const keeperOf = (sandbox: Sandbox, launcher: OwnLauncher): number => launcher.processes().find(each => each !== sandbox.pid && parentOf(each) !== sandbox.pid && !childrenOf(sandbox.pid!).includes(parentOf(each)))!

describe('killed while a command runs', () => {
  test.each([
    { what: 'bwrap',              find: (sandbox: Sandbox) => bwrapOf(sandbox) },
    { what: 'the launcher inside', find: (sandbox: Sandbox) => sandbox.pid! },
    { what: 'the keeper',         find: (sandbox: Sandbox, launcher: OwnLauncher) => keeperOf(sandbox, launcher), follows: true },
  ])('$what: the command ends, the sandbox says so, and no protected name was made by it', { timeout: 40_000 }, async ({ find, follows }) => {
    const { sandbox, workspace, launcher } = await start()
    const { word, result } = await startEager(sandbox, workspace)
    process.kill(find(sandbox, launcher), 'SIGKILL')
    expect(await result).toMatchObject({ name: 'SandboxError', code: 'launcher_lost' })
    await expectNone(() => processesWithArgument(word))
    // The keeper took nothing away: what it had made is empty, and the next one takes it over.
    if (follows === true) {
      expect(workspace.entries()).toEqual([...PROTECTED_NAMES, 'came'])
      expect(await sandbox.exec(['sh', '-c', 'mkdir .codex/x || echo held'])).toMatchObject({ stdout: 'held\n' })
    } else {
      await expect(sandbox.exec(['true'])).rejects.toMatchObject({ code: 'launcher_lost' })
    }
    await sandbox.close()
    await expectNone(launcher.processes)
    expect({ entries: workspace.entries(), journal: workspace.journal() }).toEqual({ entries: ['came'], journal: [] })
  })
})

test('the keeper is killed and this process hears last of it: the next command starts anew', { timeout: 40_000 }, async context => {
  const reason = whyNoTracing()
  if (reason !== undefined) context.skip(reason)
  const { sandbox, launcher } = await start({}, ...PROTECTED_NAMES)
  const [keeper, inside] = [keeperOf(sandbox, launcher), sandbox.pid!]
  const { end } = await holdEnd(keeper)
  process.kill(keeper, 'SIGKILL')
  await expectNone(() => [inside].filter(isRunning))
  await expect.poll(() => sandbox.pid, { timeout: 20_000 }).toBe(undefined)
  expect(stateOf(keeper)).toBe('Z')
  expect(await sandbox.exec(['echo', 'ran'])).toMatchObject({ stdout: 'ran\n' })
  end()
  await sandbox.close()
  await expectNone(launcher.processes)
})

describe('the number of the process inside', () => {
  test('is another one with each bwrap, and none between two', { timeout: 30_000 }, async () => {
    const { sandbox, workspace, launcher } = await start()
    const numbers: (number | undefined)[] = []
    for (const turn of ['first', 'second']) {
      const running = sandbox.exec(['sh', '-c', `touch ${turn}; until test -e go-${turn}; do sleep 0.02; done`])
      await expect.poll(() => workspace.entries(), { timeout: 10_000 }).toContain(turn)
      numbers.push(sandbox.pid)
      writeFileSync(join(workspace.path, `go-${turn}`), '')
      await running
      await expect.poll(() => sandbox.pid, { timeout: 20_000 }).toBe(undefined)
      await expectNone(launcher.processes)
    }
    expect(new Set(numbers)).toHaveProperty('size', 2)
    expect(numbers).not.toContain(undefined)
  })

  test('is missing: the service uses the sandbox again; belongs to a process that was killed: it makes another', { timeout: 30_000 }, async () => {
    const pool = new WarmSandboxes<Sandbox>()
    onTestFinished(() => pool.close())
    const use = async (...folders: readonly string[]): Promise<Sandbox> => {
      const lease = await pool.borrow(pool, { key: folders.join(), marked: { roots: [], variables: {}, filled: new Set() }, make: async () => (await start({}, ...folders)).sandbox })
      lease.release()
      return lease.sandbox
    }
    const resting = await use()
    await expect.poll(() => resting.pid, { timeout: 20_000 }).toBe(undefined)
    expect(await use()).toBe(resting)
    const lasting = await use(...PROTECTED_NAMES)
    const inside = lasting.pid!
    process.kill(inside, 'SIGKILL')
    await expect.poll(() => stateOf(inside), { timeout: 20_000 }).toBe(undefined)
    expect(await use(...PROTECTED_NAMES)).not.toBe(lasting)
  })

  test('of one that somebody has killed stays what it was', { timeout: 30_000 }, async () => {
    const { sandbox } = await start({}, ...PROTECTED_NAMES)
    const inside = sandbox.pid!
    process.kill(inside, 'SIGKILL')
    await expect.poll(() => sandbox.exec(['true']).catch((error: SandboxError) => error.code), { timeout: 20_000 }).toBe('launcher_lost')
    expect(sandbox.pid).toBe(inside)
  })
})

describe('what stands at missing names', () => {
  test('goes a moment after the last command, and comes again with the next', { timeout: 30_000 }, async () => {
    const { sandbox, workspace } = await start()
    for (let turn = 0; turn < 2; turn++) {
      expect(await sandbox.exec(['ls', '-A'])).toMatchObject({ stdout: PROTECTED_NAMES.map(name => `${name}\n`).join('') })
      await expect.poll(() => workspace.entries(), { timeout: 10_000 }).toEqual([])
    }
    expect(workspace.journal()).toEqual([])
  })

  test('stays while one of two sandboxes runs something', { timeout: 30_000 }, async () => {
    const { sandbox, workspace } = await start()
    const other = await startOn(BWRAP, { cwd: workspace.path })
    onTestFinished(() => other.close())
    const waiting = sandbox.exec(['sh', '-c', 'touch came; until test -e go; do sleep 0.02; done'])
    await expect.poll(() => workspace.entries(), { timeout: 10_000 }).toContain('came')
    await other.exec(['true'])
    await other.close()
    expect(workspace.entries()).toEqual([...PROTECTED_NAMES, 'came'])
    writeFileSync(join(workspace.path, 'go'), '')
    expect(await waiting).toMatchObject({ exitCode: 0 })
    await sandbox.close()
    expect({ entries: workspace.entries(), journal: workspace.journal() }).toEqual({ entries: ['came', 'go'], journal: [] })
  })

  test('is left alone where the host puts something into it', { timeout: 30_000 }, async () => {
    const { sandbox, workspace } = await start()
    const waiting = sandbox.exec(['sh', '-c', 'touch came; until test -e go; do sleep 0.02; done; echo x > .codex/y'])
    await expect.poll(() => workspace.entries(), { timeout: 10_000 }).toContain('came')
    writeFileSync(join(workspace.path, '.codex/config.toml'), '')
    writeFileSync(join(workspace.path, 'go'), '')
    expect(await waiting).toMatchObject({ exitCode: 2 })
    await sandbox.close()
    expect(workspace.entries()).toEqual(['.codex', '.codex/config.toml', 'came', 'go'])
  })
})

describe('what the host changes at a held path', () => {
  const waits = ['sh', '-c', 'touch came; sleep 60']

  test.each([
    { name: 'a protected folder is replaced', change: (at: string) => { mkdirSync(join(at, 'fresh')); renameSync(join(at, '.git'), join(at, 'old')); renameSync(join(at, 'fresh'), join(at, '.git')) } },
    { name: 'a protected folder is taken away', change: (at: string) => renameSync(join(at, '.git'), join(at, 'old')) },
    { name: 'a denied file is replaced',      change: (at: string) => { writeFileSync(join(at, 'new'), 'other'); renameSync(join(at, 'new'), join(at, 'secret')) } },
  ])('while a command runs, $name: the command is ended, and the next one finds it held', { timeout: 30_000 }, async ({ change }) => {
    const workspace = makeWorkspace('.git')
    writeFileSync(join(workspace.path, 'secret'), 'secret')
    const sandbox = await startOn(BWRAP, { cwd: workspace.path, policy: { mode: 'workspace-write', deny: ['secret'] } })
    onTestFinished(() => sandbox.close())
    const running = sandbox.exec(waits).catch((error: unknown) => error)
    await expect.poll(() => workspace.entries(), { timeout: 10_000 }).toContain('came')
    change(workspace.path)
    expect(await running).toMatchObject({ signal: 'SIGKILL' })
    const next = await sandbox.exec(['sh', '-c', 'echo x > .git/config; mkdir .git; cat secret; echo done'])
    expect(next.stdout).toBe('done\n')
    await sandbox.close()
    expect(workspace.entries().filter(name => name.startsWith('.git'))).toEqual(workspace.entries().includes('.git') ? ['.git'] : [])
  })

  test('between two commands: the next one finds it held, and nothing is ended', { timeout: 30_000 }, async () => {
    const workspace = makeWorkspace('.git')
    const sandbox = await startOn(BWRAP, { cwd: workspace.path })
    onTestFinished(() => sandbox.close())
    expect(await sandbox.exec(['true'])).toMatchObject({ exitCode: 0 })
    await expect.poll(() => workspace.entries(), { timeout: 10_000 }).toEqual(['.git'])
    rmSync(join(workspace.path, '.git'), { recursive: true })
    mkdirSync(join(workspace.path, '.git'))
    expect(await sandbox.exec(['sh', '-c', 'echo x > .git/config || echo held'])).toMatchObject({ stdout: 'held\n' })
  })
})

test('what is refused is told with its exact path: hidden files, whose masks are devices, and folders', { timeout: 30_000 }, async () => {
  const workspace = makeWorkspace('hidden')
  writeFileSync(join(workspace.path, 'secret'), 'secret')
  const sandbox = await startOn(BWRAP, { cwd: workspace.path, observe: 'reads', policy: { mode: 'workspace-write', deny: ['secret', 'hidden'] } })
  onTestFinished(() => sandbox.close())
  const { denials } = await sandbox.exec(['sh', '-c', 'exec 2>/dev/null; cat secret; ls hidden; (echo x > secret); mkdir .codex/x; cat /dev/null; echo x > /dev/null'])
  expect(denials.map(({ operation, path, certainty }) => `${operation} ${path?.slice(workspace.path.length + 1)} ${certainty}`)).toEqual(['read secret observed', 'read hidden observed', 'write secret observed', 'create .codex/x observed'])
})
