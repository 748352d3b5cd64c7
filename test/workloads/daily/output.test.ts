// Output: whole code points, back-pressure, a file for all of it, time-outs, and callers that fail.
import { spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, readdirSync, readFileSync, rmSync, symlinkSync, utimesSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { expect, test } from 'vitest'
import type { ExecOptions } from '../../../src/exec/options.js'
import { OutputFile } from '../../../src/exec/output-file.js'
import { makeWorkspace } from '../../native/workspace.js'
import { failureOf, setEnvironment, startSandbox } from '../bad-input/sandbox.js'

test('code points that come in pieces, on both streams at once, are never split', async () => {
  const sandbox = await startSandbox()
  const pieces: string[] = []
  const script = String.raw`for b in 303 274 342 202 254 360 237 230 200; do printf "\\$b"; printf "\\$b" >&2; sleep 0.002; done; printf 'end'; printf '\360\237'`
  const result = await sandbox.exec(['sh', '-c', script], { onOutput: (text, stream) => void pieces.push(`${stream} ${text}`) })
  const of = (stream: string): string => pieces.filter(piece => piece.startsWith(stream)).map(piece => piece.slice(7)).join('')
  expect([of('stdout'), of('stderr')]).toEqual(['ü€😀end\ufffd', 'ü€😀'])
  expect([result.stdout, result.stderr]).toEqual(['ü€😀end\ufffd', 'ü€😀'])
  expect(pieces.filter(piece => piece.includes('\ufffd'))).toEqual(['stdout \ufffd'])
})

test('bytes are passed on as they come, split or not', async () => {
  const sandbox = await startSandbox()
  const pieces: Buffer[] = []
  const { stdout } = await sandbox.exec(['sh', '-c', String.raw`printf '\342'; sleep 0.05; printf '\202\254\377'`], { output: { encoding: 'bytes' }, onOutput: chunk => void pieces.push(chunk) })
  expect([Buffer.concat(pieces), stdout]).toEqual([Buffer.from([0xe2, 0x82, 0xac, 0xff]), Buffer.from([0xe2, 0x82, 0xac, 0xff])])
})

test('100 MB: bounded memory, all of it through the listener, and a line where the middle was dropped', async () => {
  const sandbox = await startSandbox()
  let received = 0
  const before = process.memoryUsage().rss
  let most = 0
  const result = await sandbox.exec(['sh', '-c', 'yes 0123456789abcde | head -c 100000000'], {
    onOutput: async text => {
      received += text.length
      most = Math.max(most, process.memoryUsage().rss)
      if (received % 7 === 0) await sleep(1)
    },
  })
  expect({ received, dropped: result.dropped.stdout, lines: /^… \d+ bytes dropped …$/m.exec(result.stdout)?.length }).toEqual({ received: 100_000_000, dropped: expect.any(Number), lines: 1 })
  expect(result.dropped.stdout + Buffer.byteLength(result.stdout)).toBeGreaterThan(100_000_000)
  expect((most - before) / 1e6).toBeLessThan(150)
})

test.each<{ keep: 'head' | 'tail' | 'both'; text: string }>([
  { keep: 'head', text: '1\n2\n3\n4\n5\n… 282 bytes dropped …\n' },
  { keep: 'tail', text: '… 282 bytes dropped …\n98\n99\n100\n' },
  { keep: 'both', text: '1\n2\n3\n… 282 bytes dropped …\n\n100\n' },
])('kept: $keep', async ({ keep, text }) => {
  const { stdout } = await (await startSandbox()).exec(['seq', '100'], { output: { maxBytes: 10, keep } })
  expect(stdout).toBe(text)
})

test('a listener whose promise is pending makes the command wait', async () => {
  const sandbox = await startSandbox()
  let release!: () => void
  const held = new Promise<void>(resolve => { release = resolve })
  const file = join(sandbox.policy.cwd, 'progress')
  const running = sandbox.exec(['sh', '-c', 'i=0; while [ $i -lt 400 ]; do head -c 65536 /dev/zero; i=$((i+1)); echo $i > progress; done'], { output: { maxBytes: 0 }, onOutput: () => held })
  await expect.poll(() => { try { return readFileSync(file, 'utf8') } catch { return '' } }, { timeout: 20_000 }).not.toBe('')
  await sleep(300)
  const stopped = Number(readFileSync(file, 'utf8'))
  expect(stopped).toBeLessThan(100)
  release()
  expect((await running).dropped.stdout).toBe(400 * 65_536)
})

test('the file has all of it, whatever is kept and whoever listens', async () => {
  const workspace = makeWorkspace()
  const sandbox = await startSandbox({}, workspace)
  writeFileSync(join(workspace.path, 'log.txt'), 'x'.repeat(1000))
  let heard = ''
  const result = await sandbox.exec(['sh', '-c', 'seq 2000; echo err >&2'], { output: { maxBytes: 20, file: 'log.txt' }, onOutput: text => { heard += text } })
  const log = readFileSync(join(workspace.path, 'log.txt'), 'utf8')
  expect(log.replace('err\n', '')).toBe(Array.from({ length: 2000 }, (_, index) => `${index + 1}\n`).join(''))
  expect(heard).toBe(log)
  expect(result.stdout).toContain('bytes dropped; all of the output is in "log.txt" …')
  await sandbox.exec(['echo', 'again'], { output: { file: join(workspace.outside, 'outside.txt') } })
  expect(readFileSync(join(workspace.outside, 'outside.txt'), 'utf8')).toBe('again\n')
})

test('the file of a command that cannot be started, is aborted before, or is missing', async () => {
  const workspace = makeWorkspace()
  const sandbox = await startSandbox({}, workspace)
  await sandbox.exec(['no-such-program'], { output: { file: 'a' } })
  await sandbox.exec(['true'], { output: { file: 'b' }, signal: AbortSignal.abort() })
  await failureOf(() => sandbox.exec(['true'], { output: { file: 'c' }, cwd: '/no/such/folder' }))
  expect(['a', 'b', 'c'].map(name => readFileSync(join(workspace.path, name), 'utf8'))).toEqual(['codex-sandbox: no-such-program: not found\n', '', ''])
})

test.each<{ name: string; prepare: (workspace: string, outside: string) => string; detail: RegExp }>([
  { name: 'a link to a file', prepare: (workspace, outside) => { symlinkSync(join(outside, 'victim'), join(workspace, 'log')); return 'log' }, detail: /ELOOP/ },
  { name: 'a dangling link', prepare: (workspace, outside) => { symlinkSync(join(outside, 'new'), join(workspace, 'log')); return 'log' }, detail: /ELOOP/ },
  { name: 'a folder that is a link', prepare: (workspace, outside) => { symlinkSync(outside, join(workspace, 'logs')); return 'logs/victim' }, detail: /"\/.*\/workspace\/logs" is a symbolic link that a command could have made/ },
  { name: 'a link further up', prepare: (workspace, outside) => { mkdirSync(join(outside, 'deep')); symlinkSync(outside, join(workspace, 'logs')); return 'logs/deep/victim' }, detail: /symbolic link that a command could have made/ },
  { name: 'a pipe that nobody reads', prepare: workspace => { mkfifo(join(workspace, 'log')); return 'log' }, detail: /ENXIO/ },
  { name: 'a folder', prepare: workspace => { mkdirSync(join(workspace, 'log')); return 'log' }, detail: /EISDIR/ },
  { name: 'no folder', prepare: () => 'no/such/log', detail: /ENOENT/ },
  { name: 'a device', prepare: () => '/dev/null', detail: /it is no file/ },
])('a file in a place that a command has prepared is refused: $name', async ({ prepare, detail }) => {
  const workspace = makeWorkspace()
  writeFileSync(join(workspace.outside, 'victim'), 'untouched')
  const file = prepare(workspace.path, workspace.outside)
  const sandbox = await startSandbox({}, workspace)
  const error = await failureOf(() => sandbox.exec(['touch', 'ran'], { output: { file } }))
  expect({ code: error.code, field: error.field }).toEqual({ code: 'output_file', field: 'output.file' })
  expect(error.message).toMatch(detail)
  expect(readFileSync(join(workspace.outside, 'victim'), 'utf8')).toBe('untouched')
  expect(workspace.entries().filter(name => name === 'ran')).toEqual([])
})

test('a link of the host\'s own on the way to the file is followed', async () => {
  const workspace = makeWorkspace()
  mkdirSync(join(workspace.outside, 'real'))
  symlinkSync('real', join(workspace.outside, 'link'))
  const sandbox = await startSandbox({}, workspace)
  await sandbox.exec(['echo', 'x'], { output: { file: join(workspace.outside, 'link/../link/log') } })
  expect(readFileSync(join(workspace.outside, 'real/log'), 'utf8')).toBe('x\n')
})

test('a folder that is exchanged for a link while the file is opened: the file is in the folder, or nowhere', async () => {
  const workspace = makeWorkspace('logs')
  mkdirSync(join(workspace.outside, 'target'))
  symlinkSync(join(workspace.outside, 'target'), join(workspace.path, 'link'))
  const sandbox = await startSandbox({}, workspace)
  const swapping = sandbox.spawn([process.execPath, '-e', 'const { renameSync: to } = fs; console.log("ready"); for (;;) { to("logs", "away"); to("link", "logs"); to("logs", "link"); to("away", "logs") }'])
  await once(swapping.stdout, 'data')
  const outcomes = { opened: 0, refused: 0 }
  for (let round = 0; round < 15_000; round++) {
    try {
      new OutputFile(sandbox.policy, workspace.path, `logs/${round % 100}`).close()
      outcomes.opened++
    } catch {
      outcomes.refused++
    }
  }
  expect(Math.min(outcomes.opened, outcomes.refused)).toBeGreaterThan(100)
  swapping.kill('SIGKILL')
  await swapping.exited
  expect(readdirSync(join(workspace.outside, 'target'))).toEqual([])
  // The twin: without the swapping it is written where it was asked for.
  rmSync(join(workspace.path, 'logs'), { recursive: true, force: true })
  mkdirSync(join(workspace.path, 'logs'))
  await sandbox.exec(['echo', 'x'], { output: { file: 'logs/quiet' } })
  expect(readFileSync(join(workspace.path, 'logs/quiet'), 'utf8')).toBe('x\n')
}, 120_000)

test('a disk that is full ends the command, and the error names the file', async () => {
  const sandbox = await startSandbox()
  // A file whose size is limited, as the quickest full disk.
  const script = `
    process.on('SIGXFSZ', () => {})
    const { createSandbox } = await import(${JSON.stringify(join(process.cwd(), 'dist/index.js'))})
    const sandbox = await createSandbox({ cwd: ${JSON.stringify(sandbox.policy.cwd)} })
    const told = await sandbox.exec(['sh', '-c', 'yes'], { output: { file: 'log' } }).then(() => 'resolved', error => [error.code, error.field, /EFBIG/.test(error.message)].join())
    console.log(told)
    await sandbox.close()`
  writeFileSync(join(sandbox.policy.cwd, 'full.mjs'), script)
  const { stdout, stderr } = spawnSync('sh', ['-c', `ulimit -f 100; exec "${process.execPath}" full.mjs`], { cwd: sandbox.policy.cwd, encoding: 'utf8' })
  expect({ stdout, stderr }).toEqual({ stdout: 'output_file,output.file,true\n', stderr: '' })
})

test('idle: a command that writes nothing for so long is ended, one that writes is not', async () => {
  const sandbox = await startSandbox()
  expect(await sandbox.exec(['sh', '-c', 'echo a; sleep 1000'], { idleTimeoutMs: 200 })).toMatchObject({ exitCode: 124, timedOut: true, timedOutBy: 'idleTimeoutMs', stdout: 'a\n' })
  expect(await sandbox.exec(['sh', '-c', 'for i in 1 2 3 4 5 6 7 8; do echo $i >&2; sleep 0.25; done'], { idleTimeoutMs: 1500 })).toMatchObject({ exitCode: 0, timedOut: false })
  expect(await sandbox.exec(['sleep', '1000'], { idleTimeoutMs: 5000, timeoutMs: 100 })).toMatchObject({ timedOutBy: 'timeoutMs' })
})

test('idle: time in which output waits for the caller does not count', async () => {
  const sandbox = await startSandbox()
  const result = await sandbox.exec(['sh', '-c', 'head -c 1000000 /dev/zero; echo end'], { idleTimeoutMs: 400, output: { maxBytes: 0 }, onOutput: () => sleep(100) })
  expect(result).toMatchObject({ exitCode: 0, timedOut: false })
  const child = sandbox.spawn(['sh', '-c', 'head -c 3000000 /dev/zero'], { idleTimeoutMs: 300 })
  await sleep(1000)
  child.stdout.resume()
  expect(await child.exited).toMatchObject({ exitCode: 0, timedOut: false })
})

test('a listener that never answers does not keep back the result of a time-out', async () => {
  const sandbox = await startSandbox()
  expect(await sandbox.exec(['sh', '-c', 'echo x; sleep 1000'], { timeoutMs: 100, onOutput: () => new Promise(() => {}) })).toMatchObject({ timedOut: true, exitCode: 124 })
})

test('grace: SIGTERM is told first, SIGKILL comes after it', async () => {
  const sandbox = await startSandbox()
  const script = 'trap "echo got TERM; exit 9" TERM; echo ready; while :; do sleep 0.05; done'
  const controller = new AbortController()
  const options: ExecOptions = { signal: controller.signal, onOutput: () => controller.abort() }
  expect(await sandbox.exec(['sh', '-c', script], options)).toMatchObject({ exitCode: 9, cancelled: true, stdout: 'ready\ngot TERM\n' })
  const again = new AbortController()
  expect(await sandbox.exec(['sh', '-c', script], { signal: again.signal, onOutput: () => again.abort(), killGraceMs: 0 })).toMatchObject({ exitCode: 137, signal: 'SIGKILL', stdout: 'ready\n' })
})

test('without a terminal nothing asks and nothing pages; with one all is as it was', async () => {
  setEnvironment({ GIT_EDITOR: undefined, GIT_OPTIONAL_LOCKS: undefined, GIT_TERMINAL_PROMPT: undefined, PAGER: undefined })
  const sandbox = await startSandbox()
  const script = 'echo "${GIT_TERMINAL_PROMPT-unset} ${GIT_OPTIONAL_LOCKS-unset} ${GIT_EDITOR-unset} ${PAGER-unset}"'
  expect((await sandbox.exec(['sh', '-c', script])).stdout).toBe('0 0 true cat\n')
  expect((await sandbox.exec(['sh', '-c', script], { env: { PAGER: 'more', GIT_EDITOR: null, GIT_OPTIONAL_LOCKS: '1' } })).stdout).toBe('0 1 unset more\n')
  const child = sandbox.spawn(['sh', '-c', script], { tty: true })
  let output = ''
  for await (const chunk of child.stdout) output += String(chunk)
  expect(output).toBe('unset unset unset unset\r\n')
  setEnvironment({ PAGER: 'less' })
  expect((await (await startSandbox()).exec(['sh', '-c', script])).stdout).toBe('0 0 true less\n')
})

test('git that only looks does not try to write where `.git` is protected, which would be a denial; told to, it tries; where it may, it does', async () => {
  const workspace = makeWorkspace()
  spawnSync('git', ['init', '-q', workspace.path])
  writeFileSync(join(workspace.path, 'file'), 'text')
  spawnSync('git', ['-C', workspace.path, 'add', '.'])
  // With another time than the index has it, which git would write down.
  utimesSync(join(workspace.path, 'file'), 1, 1)
  const sandbox = await startSandbox({}, workspace)
  expect(await sandbox.exec(['git', 'status', '--short'])).toMatchObject({ exitCode: 0, stdout: 'A  file\n', denials: [] })
  expect((await sandbox.exec(['git', 'status', '--short'], { env: { GIT_OPTIONAL_LOCKS: '1' } })).denials).toMatchObject([{ operation: 'create', path: join(workspace.path, '.git/index.lock') }])
  const index = readFileSync(join(workspace.path, '.git/index'))
  const commits = await startSandbox({ policy: { git: 'commits' } }, workspace)
  expect(await commits.exec(['git', 'status', '--short'])).toMatchObject({ stdout: 'A  file\n', denials: [] })
  expect(readFileSync(join(workspace.path, '.git/index')).equals(index)).toBe(false)
})

test('git that would ask for a message or a password ends instead of waiting', async () => {
  const workspace = makeWorkspace()
  spawnSync('git', ['init', '-q', workspace.path])
  const sandbox = await startSandbox({ policy: { git: 'commits' } }, workspace)
  const commit = ['git', '-c', 'user.name=a', '-c', 'user.email=a@b', 'commit', '--allow-empty']
  expect(await sandbox.exec([...commit, '-m', 'first'])).toMatchObject({ exitCode: 0 })
  expect(await sandbox.exec(commit, { timeoutMs: 20_000 })).toMatchObject({ timedOut: false, exitCode: 1, stderr: expect.stringContaining('empty commit message') })
})

function mkfifo(path: string): void {
  if (spawnSync('mkfifo', [path]).status !== 0) throw new Error('mkfifo failed')
}
