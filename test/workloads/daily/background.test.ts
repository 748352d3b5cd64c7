// What a command leaves in the background: ended and named, or kept as a session until it ends, is killed, or the sandbox closes.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { describe, expect, onTestFinished, test } from 'vitest'
import type { SandboxOptions } from '../../../src/exec/options.js'
import type { Sandbox } from '../../../src/exec/sandbox.js'
import { RUNGS } from '../../../src/platform/launch-plan.js'
import { expectNone, expectRunning, isRunning, processesWithArgument } from '../../native/host-processes.js'
import { ownLauncher } from '../../native/own-launcher.js'
import { makeWorkspace, type Workspace } from '../../native/workspace.js'
import { failureOf, startSandbox as startOn } from '../bad-input/sandbox.js'

/** How long it takes is not what is tested. */
const soon = <T>(what: () => T) => expect.poll(what, { timeout: 20_000, interval: 10 })

let words = 0
/** An argument that no other process has. */
const newWord = (): string => `background-${process.pid}-${++words}`

/** A shell that leaves one process behind, which has `word` among its arguments, and waits until that has set its trap. */
const leaving = (word: string, trap = ':'): string[] =>
  ['sh', '-c', `setsid sh -c '${trap}; : > "ready-$0"; while :; do sleep 0.05; done' "$0" > kept.out 2>&1 & until test -e "ready-$0"; do sleep 0.01; done; echo left`, word]

const stateOf = (sandbox: Sandbox, id: number): string | undefined => sandbox.sessions.list().find(each => each.id === id)?.state

describe.each(RUNGS)('%s', rung => {
  const startSandbox = (options: SandboxOptions = {}, workspace?: Workspace): Promise<Sandbox> => startOn({ rung, ...options }, workspace)

  test('by default what is left is ended and named, and the result says how to keep it, in a form that the next call takes', async () => {
    const sandbox = await startSandbox()
    const word = newWord()
    const { ended, toKeep, session } = await sandbox.exec(leaving(word))
    expect({ names: ended.map(({ name }) => name), session, text: toKeep?.text }).toEqual({ names: expect.arrayContaining(['sh']), session: undefined, text: expect.stringContaining('background: "keep"') })
    expect(processesWithArgument(word)).toEqual([])
    const other = newWord()
    const kept = await sandbox.exec(leaving(other), toKeep?.options)
    expect(kept).toMatchObject({ exitCode: 0, ended: [], session: { processes: expect.arrayContaining([expect.objectContaining({ name: 'sh' })]) } })
    expect(kept.toKeep).toBe(undefined)
    await expectRunning(other, 1)
  })

  test('nothing left: no session, whatever was asked', async () => {
    const sandbox = await startSandbox()
    expect(await sandbox.exec(['sh', '-c', 'sleep 0.05 & wait; exit 3'], { background: 'keep' })).toEqual(expect.objectContaining({ exitCode: 3, ended: [] }))
    expect(sandbox.sessions.list()).toEqual([])
  })

  test('a kept session: its output goes on, it is listed, and it ends when it is killed', async () => {
    const sandbox = await startSandbox()
    const result = await sandbox.exec(['sh', '-c', 'echo first; (until test -e go; do sleep 0.01; done; echo second; echo err >&2; exec sleep 1000) & echo third'], { background: 'keep' })
    expect(result).toMatchObject({ exitCode: 0, stdout: 'first\nthird\n', stderr: '' })
    const { id, cursor } = result.session!
    expect(sandbox.sessions.list()).toEqual([{
      id, command: ['sh', '-c', expect.any(String)], cwd: sandbox.policy.cwd, pid: expect.any(Number), startedAt: expect.any(Date), state: 'left', exitCode: 0, signal: null,
      left: result.session!.processes, lastLines: ['first', 'third'], bytes: cursor, denials: [],
    }])
    writeFileSync(join(sandbox.policy.cwd, 'go'), '')
    const news = await sandbox.sessions.read(id, { cursor, waitMs: 20_000 })
    expect(news).toMatchObject({ text: expect.stringMatching(/^second\n/), state: 'left', dropped: 0 })
    await soon(() => sandbox.sessions.read(id).then(({ text }) => text)).toBe('first\nthird\nsecond\nerr\n')
    expect(await sandbox.sessions.kill(id)).toMatchObject({ state: 'ended', exitCode: 0, lastLines: ['first', 'third', 'second', 'err'] })
    expect(await sandbox.sessions.read(id, { cursor: news.cursor, waitMs: 20_000 })).toMatchObject({ state: 'ended' })
  })

  test('a kept session that ends by itself says so, and the names that were held for it go', async () => {
    const workspace = makeWorkspace()
    const sandbox = await startSandbox({}, workspace)
    const { session } = await sandbox.exec(['sh', '-c', '(until test -e go; do sleep 0.01; done) & exit 7'], { background: 'keep' })
    await sleep(400)
    if (rung === 'namespaces') expect(workspace.entries()).toContain('.git')
    writeFileSync(join(workspace.path, 'go'), '')
    await soon(() => sandbox.sessions.list()).toMatchObject([{ id: session!.id, state: 'ended', exitCode: 7 }])
    await soon(() => workspace.entries()).toEqual(['go'])
  })

  test('what is kept stays inside the policy', async () => {
    const workspace = makeWorkspace('.git')
    const sandbox = await startSandbox({}, workspace)
    const outside = join(workspace.outside, 'made')
    const { session } = await sandbox.exec(['sh', '-c', `(until test -e go; do sleep 0.01; done; echo x > .git/config; echo x > ${outside}; echo x > inside; echo done; exec sleep 1000) 2>/dev/null & :`], { background: 'keep' })
    writeFileSync(join(workspace.path, 'go'), '')
    await soon(() => sandbox.sessions.read(session!.id).then(({ text }) => text)).toBe('done\n')
    expect([join(workspace.path, '.git/config'), outside, join(workspace.path, 'inside')].map(path => existsSync(path))).toEqual([false, false, true])
  })

  test('a signal reaches all that is left, in whatever group it is, and no neighbour', async () => {
    const sandbox = await startSandbox()
    const [word, neighbour] = [newWord(), newWord()]
    const trap = 'trap "echo got >> got; exit" USR1'
    const kept = await sandbox.exec(leaving(word, trap), { background: 'keep' })
    const other = await sandbox.exec(leaving(neighbour, trap), { background: 'keep' })
    expect(sandbox.sessions.signal(kept.session!.id, 'SIGUSR1')).toBe(true)
    await soon(() => stateOf(sandbox, kept.session!.id)).toBe('ended')
    expect({ killed: processesWithArgument(word), state: stateOf(sandbox, other.session!.id) }).toEqual({ killed: [], state: 'left' })
    await expectRunning(neighbour, 1)
    expect(sandbox.sessions.signal(kept.session!.id, 'SIGUSR1')).toBe(false)
  })

  test('what is left and ignores SIGTERM is killed after the grace', async () => {
    const sandbox = await startSandbox()
    const word = newWord()
    const { session } = await sandbox.exec(leaving(word, 'trap : TERM'), { background: 'keep' })
    expect(await sandbox.sessions.kill(session!.id, { graceMs: 50 })).toMatchObject({ state: 'ended', endedBy: 'killed' })
    expect(processesWithArgument(word)).toEqual([])
  })

  test.each([
    { name: 'a time-out', options: () => ({ timeoutMs: 2000 }) },
    { name: 'an idle time-out', options: () => ({ idleTimeoutMs: 2000 }) },
    { name: 'an abort', options: () => ({ signal: AbortSignal.timeout(2000) }) },
  ])('after $name nothing is kept', async ({ options }) => {
    const sandbox = await startSandbox()
    const word = newWord()
    const result = await sandbox.exec(['sh', '-c', 'setsid sh -c "trap : TERM; while :; do sleep 1000; done" "$0" & sleep 1000', word], { ...options(), background: 'keep', killGraceMs: 5000 })
    expect(result.session).toBe(undefined)
    expect(result.ended.map(({ name }) => name)).toContain('sh')
    expect(processesWithArgument(word)).toEqual([])
    expect(sandbox.sessions.list()).toEqual([])
  })

  test('close ends every session, and nothing is left', async () => {
    const launcher = ownLauncher()
    const workspace = makeWorkspace()
    const sandbox = await startSandbox({ launcherPath: launcher.path }, workspace)
    const word = newWord()
    await sandbox.exec(leaving(word), { background: 'keep' })
    await sandbox.sessions.start(['sleep', '1000'])
    await sandbox.close()
    expect({ processes: processesWithArgument(word), states: sandbox.sessions.list().map(({ state }) => state), entries: workspace.entries() }).toEqual({ processes: [], states: ['ended', 'ended'], entries: ['kept.out', `ready-${word}`] })
    await expectNone(launcher.processes)
    expect(await failureOf(() => sandbox.sessions.start(['true']))).toMatchObject({ code: 'sandbox_closed' })
  })

  test('a launcher that is killed: sessions have ended, and say by what', async () => {
    const sandbox = await startSandbox()
    const word = newWord()
    await sandbox.exec(leaving(word), { background: 'keep' })
    await sandbox.sessions.start(['sleep', '1000'])
    process.kill(sandbox.pid as number, 'SIGKILL')
    await soon(() => sandbox.sessions.list().map(({ state, endedBy }) => [state, endedBy])).toEqual([['ended', 'launcher-lost'], ['ended', 'launcher-lost']])
    await expectNone(() => processesWithArgument(word))
  })

  test('a session never keeps Node alive, and ends with it', async () => {
    const workspace = makeWorkspace()
    const launcher = ownLauncher()
    const word = newWord()
    const script = join(workspace.outside, 'embedding.mjs')
    writeFileSync(script, `
      import { createSandbox } from ${JSON.stringify(join(process.cwd(), 'dist/index.js'))}
      const sandbox = await createSandbox(${JSON.stringify({ cwd: workspace.path, launcherPath: launcher.path, rung })})
      await sandbox.exec(${JSON.stringify(leaving(word))}, { background: 'keep' })
      await sandbox.sessions.start(['sh', '-c', 'yes'])
      console.log(sandbox.sessions.list().map(({ state }) => state).join())`)
    const child = spawn(process.execPath, [script], { stdio: ['ignore', 'pipe', 'inherit'] })
    onTestFinished(() => void child.kill('SIGKILL'))
    let output = ''
    child.stdout.on('data', chunk => { output += String(chunk) })
    expect(await once(child, 'close')).toEqual([0, null])
    expect(output).toBe('left,running\n')
    await expectNone(() => processesWithArgument(word))
    await expectNone(launcher.processes)
  })

  test('a session of its own: input, output, its end', async () => {
    const sandbox = await startSandbox()
    const { id, pid, state } = await sandbox.sessions.start(['cat'])
    expect({ runs: isRunning(pid!), state }).toEqual({ runs: true, state: 'running' })
    await sandbox.sessions.write(id, 'hé')
    await sandbox.sessions.write(id, Buffer.from('llo\n'))
    await soon(() => sandbox.sessions.read(id).then(({ text }) => text)).toBe('héllo\n')
    sandbox.sessions.endInput(id)
    await soon(() => sandbox.sessions.list()).toMatchObject([{ state: 'ended', exitCode: 0 }])
    expect(await failureOf(() => sandbox.sessions.write(id, 'x'))).toMatchObject({ code: 'session_ended', field: 'id' })
  })

  test('a session on a terminal: keys, size, ctrl-C', async () => {
    const sandbox = await startSandbox()
    const { id } = await sandbox.sessions.start(['sh', '-c', 'trap "echo interrupted" INT; while read line; do echo "<$line>"; stty size; done'], { tty: { rows: 10, cols: 20 } })
    await sandbox.sessions.write(id, 'one\r')
    await soon(() => sandbox.sessions.read(id).then(({ text }) => text)).toBe('one\r\n<one>\r\n10 20\r\n')
    sandbox.sessions.resize(id, 30, 40)
    const { cursor } = await sandbox.sessions.read(id)
    await sandbox.sessions.write(id, 'two\r')
    await soon(() => sandbox.sessions.read(id, { cursor }).then(({ text }) => text)).toBe('two\r\n<two>\r\n30 40\r\n')
    await sandbox.sessions.write(id, '\x03')
    await soon(() => sandbox.sessions.read(id).then(({ text }) => text)).toContain('interrupted')
    expect(await sandbox.sessions.kill(id)).toMatchObject({ state: 'ended', lastLines: expect.arrayContaining(['<two>', '30 40']) })
  })

  test('a session whose command leaves something goes on with it', async () => {
    const sandbox = await startSandbox()
    const word = newWord()
    const { id } = await sandbox.sessions.start(leaving(word))
    await soon(() => sandbox.sessions.list()).toMatchObject([{ state: 'left', exitCode: 0, left: expect.arrayContaining([expect.objectContaining({ name: 'sh' })]) }])
    await sandbox.sessions.kill(id)
    expect(processesWithArgument(word)).toEqual([])
  })

  test('a session whose program is missing has ended, and says why', async () => {
    const sandbox = await startSandbox()
    expect(await sandbox.sessions.start(['no-such-program'])).toMatchObject({ state: 'ended', exitCode: 127, lastLines: ['codex-sandbox: no-such-program: not found'] })
    expect(await failureOf(() => sandbox.sessions.start(['true'], { cwd: '/no/such/folder' }))).toMatchObject({ code: 'path_not_found', field: 'cwd' })
  })

  test('a denial of a session is told with it', async () => {
    const sandbox = await startSandbox()
    await sandbox.sessions.start(['sh', '-c', 'echo x > /etc/made-by-a-session'])
    await soon(() => sandbox.sessions.list()).toMatchObject([{ state: 'ended', denials: [{ operation: 'create', path: '/etc/made-by-a-session' }] }])
  })

  test('a limit ends a session, and it says which', async () => {
    const sandbox = await startSandbox({ policy: { limits: { memoryBytes: 64 << 20 } } })
    // Each stays well below the limit, or it would fail by itself, and keeps what it has: their sum is looked at ten times a second.
    const { session } = await sandbox.exec(['sh', '-c', 'for i in 1 2 3 4 5 6 7 8 9 10; do (x=$(head -c 10000000 /dev/zero | tr "\\0" x); sleep 1000; :) & done'], { background: 'keep' })
    await soon(() => sandbox.sessions.list().find(({ id }) => id === session!.id)).toMatchObject({ state: 'ended', endedBy: 'memory-limit' })
  })

  test('too many at once are refused before anything runs; one that ends makes room', async () => {
    const sandbox = await startSandbox()
    await Promise.all(Array.from({ length: 64 }, () => sandbox.sessions.start(['sleep', '1000'])))
    expect(await failureOf(() => sandbox.sessions.start(['touch', 'made']))).toMatchObject({ code: 'too_many_sessions' })
    expect(await failureOf(() => sandbox.exec(['touch', 'made'], { background: 'keep' }))).toMatchObject({ code: 'too_many_sessions' })
    expect(existsSync(join(sandbox.policy.cwd, 'made'))).toBe(false)
    expect((await sandbox.exec(['touch', 'made'])).exitCode).toBe(0)
    await sandbox.sessions.kill(sandbox.sessions.list()[0]!.id, { graceMs: 0 })
    expect((await sandbox.sessions.start(['sleep', '1000'])).state).toBe('running')
    await Promise.all(sandbox.sessions.list().map(({ id }) => sandbox.sessions.kill(id, { graceMs: 0 })))
    expect(sandbox.sessions.list().map(({ state }) => state)).toEqual(Array.from({ length: 16 }, () => 'ended'))
  })

  test('an unknown session, and numbers that are none, are errors that name what there is', async () => {
    const sandbox = await startSandbox()
    expect(await failureOf(() => sandbox.sessions.read(7))).toMatchObject({ code: 'session_not_found', field: 'id', remedy: 'There are none.' })
    const { id } = await sandbox.sessions.start(['sleep', '1000'], { stdin: 'empty' })
    expect(await failureOf(() => sandbox.sessions.kill(id + 1))).toMatchObject({ code: 'session_not_found', remedy: `There are ${id}.` })
    expect(await failureOf(() => sandbox.sessions.read(id, { cursor: -1 }))).toMatchObject({ code: 'option_invalid', field: 'cursor' })
    expect(await failureOf(() => sandbox.sessions.write(id, 'x'))).toMatchObject({ code: 'session_ended' })
    expect(await failureOf(() => sandbox.sessions.write(id, 3 as unknown as string))).toMatchObject({ code: 'option_invalid', field: 'data' })
    expect(await failureOf(async () => sandbox.sessions.resize(id, -1, 0))).toMatchObject({ code: 'option_invalid', field: 'size' })
    expect(await failureOf(async () => sandbox.sessions.signal(id, 'SIGNONE' as NodeJS.Signals))).toMatchObject({ code: 'option_invalid', field: 'signal' })
    expect(await failureOf(() => sandbox.sessions.start(['true'], { timeoutMs: 3 } as object))).toMatchObject({ code: 'option_invalid', field: 'timeoutMs' })
  })

  test('a session that floods holds a bounded part of it, lets others go on, and ends when it is killed', async () => {
    const sandbox = await startSandbox()
    const { session } = await sandbox.exec(['sh', '-c', 'yes aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa & yes bbbbbbbbbbbbbbbbbbbbbbbbbbb >&2 & :'], { background: 'keep' })
    await soon(() => sandbox.sessions.list()[0]!.bytes).toBeGreaterThan(4 << 20)
    expect((await sandbox.exec(['echo', 'still there'])).stdout).toBe('still there\n')
    let held = 0
    let cursor = 0
    let dropped = 0
    for (let turn = 0; turn < 8; turn++) {
      const piece = await sandbox.sessions.read(session!.id, { cursor })
      held += Buffer.byteLength(piece.text)
      dropped += piece.dropped
      cursor = piece.cursor
    }
    expect({ bounded: held < 1 << 20, dropped: dropped > 0 }).toEqual({ bounded: true, dropped: true })
    expect(await sandbox.sessions.kill(session!.id, { graceMs: 0 })).toMatchObject({ state: 'ended' })
  })

  test('hostile output: code points in pieces over both streams, escapes, forged lines', async () => {
    const sandbox = await startSandbox()
    const { id } = await sandbox.sessions.start(['sh', '-c', String.raw`printf '\303'; printf '\342' >&2; sleep 0.05; printf '\274'; printf '\202\254' >&2`])
    const other = await sandbox.sessions.start(['sh', '-c', String.raw`printf '\377\na\rb\033[2J\033]0;title\007c\033[31md\001\nno end\342'`])
    await soon(() => sandbox.sessions.list()).toMatchObject([{ state: 'ended' }, { state: 'ended', lastLines: ['\ufffd', 'bcd ', 'no end\ufffd'] }])
    expect(['ü€', '€ü']).toContain((await sandbox.sessions.read(id)).text)
    expect((await sandbox.sessions.read(other.id)).text).toBe('\ufffd\na\rb\u001b[2J\u001b]0;title\u0007c\u001b[31md\u0001\nno end\ufffd')
  })

  test('spawn keeps as well: exit and close come with the command\'s own end', async () => {
    const sandbox = await startSandbox()
    const child = sandbox.spawn(['sh', '-c', 'echo out; (until test -e go; do sleep 0.01; done; echo later; exec sleep 1000) & exit 4'], { background: 'keep' })
    let output = ''
    child.stdout.on('data', chunk => { output += String(chunk) })
    expect(await once(child, 'close')).toEqual([4, null])
    const { session } = await child.exited
    writeFileSync(join(sandbox.policy.cwd, 'go'), '')
    await soon(() => sandbox.sessions.read(session!.id).then(({ text }) => text)).toBe('out\nlater\n')
    expect({ output, killed: child.kill('SIGKILL'), state: stateOf(sandbox, session!.id) }).toEqual({ output: 'out\n', killed: false, state: 'left' })
  })

  test('output that the command wrote before it ended is in the result, however much waited in its pipe', async () => {
    const sandbox = await startSandbox()
    for (let round = 0; round < 20; round++) {
      const result = await sandbox.exec(['sh', '-c', 'sleep 1000 & head -c 60000 /dev/zero | tr "\\0" x; echo; echo end'], { background: 'keep' })
      expect(result.stdout.length).toBe(60_005)
      await sandbox.sessions.kill(result.session!.id, { graceMs: 0 })
    }
  })

  test('a reader that is slow does not lose the command\'s end', async () => {
    const sandbox = await startSandbox()
    const result = await sandbox.exec(['sh', '-c', 'sleep 1000 & head -c 3000000 /dev/zero'], { background: 'keep', output: { maxBytes: 0 }, onOutput: () => sleep(2) })
    expect(result).toMatchObject({ exitCode: 0, dropped: { stdout: 3_000_000 }, session: { cursor: 3_000_000 } })
  })
})
