// What ends with what: the embedding process, the launcher, the forker, the command.
import { type ChildProcess, spawn } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { beforeEach, describe, expect, onTestFinished, test } from 'vitest'
import { createSandbox, type Sandbox } from '../../src/exec/sandbox.js'
import { childrenOf, expectNone, isRunning, processesWithArgument } from './host-processes.js'
import { type OwnLauncher, ownLauncher } from './own-launcher.js'
import { makeWorkspace, type Workspace } from './workspace.js'

beforeEach(context => { if (process.platform !== 'linux') context.skip('the launcher is for Linux') })

let words = 0
/** An argument that no other process has. */
const newWord = (): string => `word-${process.pid}-${++words}`

/** Runs until it is ended, and so does what it has put into a session of its own; both have `word` as an argument. */
const daemonising = (word: string): string[] => ['sh', '-c', 'setsid sh -c "trap : TERM HUP; while :; do sleep 1000; done" "$0" & while :; do sleep 1000; done', word]
const expectRunning = (word: string, processes: number): Promise<void> => expect.poll(() => processesWithArgument(word).length, { timeout: 20_000 }).toBe(processes)

async function startSandbox(): Promise<{ sandbox: Sandbox; workspace: Workspace; launcher: OwnLauncher; pid: number }> {
  const workspace = makeWorkspace()
  const launcher = ownLauncher()
  const sandbox = await createSandbox({ cwd: workspace.path, launcherPath: launcher.path })
  onTestFinished(() => sandbox.close())
  return { sandbox, workspace, launcher, pid: sandbox.pid! }
}

/** A Node process of its own that embeds a sandbox; `body` has it as `sandbox`. */
function startEmbedding(workspace: Workspace, launcher: OwnLauncher, body: string): ChildProcess & { output: () => string } {
  const script = join(workspace.outside, 'embedding.mjs')
  writeFileSync(script, `
    import { createSandbox } from ${JSON.stringify(join(process.cwd(), 'dist/index.js'))}
    const sandbox = await createSandbox(${JSON.stringify({ cwd: workspace.path, launcherPath: launcher.path })})
    ${body}`)
  const child = spawn(process.execPath, [script], { stdio: ['ignore', 'pipe', 'inherit'] })
  onTestFinished(() => void child.kill('SIGKILL'))
  let output = ''
  child.stdout.on('data', chunk => { output += String(chunk) })
  return Object.assign(child, { output: () => output })
}

const exitOf = (child: ChildProcess): Promise<number | string> => new Promise(resolve => child.once('close', (code, signal) => resolve(code ?? signal ?? 'unknown')))

describe('the embedding process', () => {
  test('is killed: its commands end, daemons too, and so does the launcher', async () => {
    const workspace = makeWorkspace()
    const launcher = ownLauncher()
    const word = newWord()
    const child = startEmbedding(workspace, launcher, `await sandbox.exec(${JSON.stringify(daemonising(word))})`)
    await expectRunning(word, 2)
    expect(launcher.processes().length).toBeGreaterThanOrEqual(2)

    child.kill('SIGKILL')
    expect(await exitOf(child)).toBe('SIGKILL')
    await expectNone(() => processesWithArgument(word))
    await expectNone(launcher.processes)
    // The launcher itself was not killed: it took its placeholders away.
    expect({ entries: workspace.entries(), journal: workspace.journal() }).toEqual({ entries: [], journal: [] })
  })

  test('is killed together with the launcher: its commands end', async () => {
    const workspace = makeWorkspace()
    const launcher = ownLauncher()
    const word = newWord()
    const child = startEmbedding(workspace, launcher, `console.log(sandbox.pid); await sandbox.exec(${JSON.stringify(daemonising(word))})`)
    await expectRunning(word, 2)
    process.kill(Number(child.output()), 'SIGKILL')
    child.kill('SIGKILL')
    await expectNone(() => processesWithArgument(word))
    await expectNone(launcher.processes)
  })

  test('has an idle sandbox that was not closed: it ends by itself, and the launcher with it', async () => {
    const workspace = makeWorkspace()
    const launcher = ownLauncher()
    const child = startEmbedding(workspace, launcher, `console.log((await sandbox.exec(['echo', 'ran'])).stdout)`)
    expect(await exitOf(child)).toBe(0)
    expect(child.output()).toBe('ran\n\n')
    await expectNone(launcher.processes)
    expect({ entries: workspace.entries(), journal: workspace.journal() }).toEqual({ entries: [], journal: [] })
  })

  test('has a command that runs: it stays until the command has ended', async () => {
    const workspace = makeWorkspace()
    const launcher = ownLauncher()
    // Nothing but the command itself keeps Node alive: nobody awaits it at the top level.
    const child = startEmbedding(workspace, launcher, `sandbox.exec(['sh', '-c', 'until test -e go; do sleep 0.01; done; echo went']).then(result => console.log(result.stdout))`)
    await expect.poll(() => workspace.entries(), { timeout: 20_000 }).toContain('.git')
    expect(child.exitCode).toBe(null)
    writeFileSync(join(workspace.path, 'go'), '')
    expect(await exitOf(child)).toBe(0)
    expect(child.output()).toBe('went\n\n')
  })
})

describe('the launcher', () => {
  test.each([
    { role: 'monitor', find: (monitor: number) => monitor },
    { role: 'forker', find: (monitor: number) => childrenOf(monitor)[0]! },
  ])('loses its $role: all commands end and are told so, and later ones are refused', async ({ find }) => {
    const { sandbox, launcher, pid } = await startSandbox()
    const running = [newWord(), newWord()].map(word => ({ word, result: sandbox.exec(daemonising(word)).catch((error: unknown) => error) }))
    for (const { word } of running) await expectRunning(word, 2)

    process.kill(find(pid), 'SIGKILL')
    for (const { word, result } of running) {
      expect(await result).toMatchObject({ name: 'SandboxError', code: 'launcher_lost' })
      await expectNone(() => processesWithArgument(word))
    }
    await expectNone(launcher.processes)
    await expect(sandbox.exec(['true'])).rejects.toMatchObject({ code: 'launcher_lost' })
    await sandbox.close()
  })

  test('is told to close: commands end first, and nothing is left when the promise resolves', async () => {
    const { sandbox, launcher, workspace } = await startSandbox()
    const word = newWord()
    const result = sandbox.exec(daemonising(word))
    await expectRunning(word, 2)
    await sandbox.close()
    expect({ processes: processesWithArgument(word), entries: workspace.entries(), journal: workspace.journal() }).toEqual({ processes: [], entries: [], journal: [] })
    expect(await result).toMatchObject({ cancelled: true, signal: 'SIGKILL' })
    await expectNone(launcher.processes)
  })

  test('is sent signals by a command, by every id that there could be: none reaches it, but those to the command\'s own children do', async () => {
    const { sandbox, pid } = await startSandbox()
    const forker = childrenOf(pid)[0]!
    const script = `sleep 1000 & kill -TERM $!; wait $!; echo $?; for s in USR1 TERM HUP KILL; do for p in ${pid} -${pid} ${forker} -${forker} 1; do kill -$s $p; done; done; kill -KILL -1`
    expect(await sandbox.exec(['sh', '-c', script])).toMatchObject({ stdout: '143\n' })
    expect([pid, forker].map(isRunning)).toEqual([true, true])
    expect(await sandbox.exec(['echo', 'still there'])).toMatchObject({ stdout: 'still there\n' })
  })
})

describe('a command', () => {
  test('ends: what it left behind ends too, and is named', async () => {
    const { sandbox } = await startSandbox()
    const word = newWord()
    const result = await sandbox.exec(['sh', '-c', 'setsid sh -c "while :; do sleep 1000; done" "$0" & until test -n "$(pgrep -f "$0" | grep -v $$)"; do :; done; exit 3', word])
    expect(result.exitCode).toBe(3)
    expect(result.ended.map(({ name }) => name)).toContain('sh')
    expect(processesWithArgument(word)).toEqual([])
  })

  test('is killed: its whole tree has ended when the result comes, and its neighbour goes on', async () => {
    const { sandbox } = await startSandbox()
    const [word, neighbour] = [newWord(), newWord()]
    const abort = new AbortController()
    const result = sandbox.exec(daemonising(word), { signal: abort.signal, killGraceMs: 0 })
    const other = sandbox.exec(daemonising(neighbour))
    await Promise.all([expectRunning(word, 2), expectRunning(neighbour, 2)])
    abort.abort()
    expect(await result).toMatchObject({ cancelled: true, signal: 'SIGKILL' })
    expect({ killed: processesWithArgument(word), neighbour: processesWithArgument(neighbour).length }).toEqual({ killed: [], neighbour: 2 })
    await sandbox.close()
    expect(await other).toMatchObject({ cancelled: true })
  })
})
