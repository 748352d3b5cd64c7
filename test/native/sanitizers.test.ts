// The launcher built with AddressSanitizer and UBSan does everything that a launcher does: an error in its memory ends it.
import { execFileSync } from 'node:child_process'
import { existsSync, mkdirSync, renameSync, rmSync } from 'node:fs'
import { connect, createServer } from 'node:net'
import { join } from 'node:path'
import { beforeEach, expect, onTestFinished, test } from 'vitest'
import { createSandbox, type Sandbox } from '../../src/exec/sandbox.js'
import { ALL_RUNGS, startOn, SUPERVISED, SUPERVISED_BEFORE } from '../support/rungs.js'
import { expectNone } from './host-processes.js'
import { type OwnLauncher, ownLauncher } from './own-launcher.js'
import { makeWorkspace, type Workspace } from './workspace.js'

beforeEach(context => { if (process.platform !== 'linux') context.skip('the launcher is for Linux') })

async function start(policy: object = {}): Promise<{ sandbox: Sandbox; workspace: Workspace; launcher: OwnLauncher }> {
  const workspace = makeWorkspace('hidden/open', 'protected')
  // What a plan takes stays until the process ends: no leak.
  const launcher = ownLauncher('sanitizers', { ASAN_OPTIONS: 'detect_leaks=0' })
  const sandbox = await createSandbox({
    cwd: workspace.path, launcherPath: launcher.path,
    policy: { mode: 'workspace-write', deny: [join(workspace.path, 'hidden')], read: [join(workspace.path, 'hidden/open')], protect: ['protected'], ...policy },
  })
  onTestFinished(() => sandbox.close())
  return { sandbox, workspace, launcher }
}

const sh = (script: string): string[] => ['sh', '-c', script]

async function keepAndEnd(sandbox: Sandbox): Promise<string[]> {
  const results = [await sandbox.exec(sh('yes & setsid sleep 1000 & head -c 3000000 /dev/zero'), { background: 'keep' }), await sandbox.exec(sh('sleep 1000 & :'), { background: 'keep' })]
  const ids = results.map(({ session }) => session?.id ?? 0)
  const states = (): string[] => sandbox.sessions.list().map(({ state }) => state)
  const before = states()
  await Promise.all([sandbox.sessions.kill(ids[0]!, { graceMs: 0 }), sandbox.sessions.kill(ids[1]!)])
  return [...before, ...states()]
}

async function fillAndReplace(files: Sandbox['files']): Promise<void> {
  await files.mkdir('full/inner', { recursive: true })
  await files.mkdir('empty')
  await files.rename('empty', 'full')
}

async function useFiles({ files }: Sandbox, { path }: Workspace): Promise<unknown[]> {
  await files.mkdir('a/b/c', { recursive: true })
  await files.writeFile('a/file', 'x'.repeat(700_000))
  await files.writeFile('a/file', 'y'.repeat(700_000))
  await files.writeFile('a/appended', 'one', { flag: 'a' })
  for (let i = 0; i < 300; i++) await files.writeFile(`a/b/c/${'n'.repeat(200)}${i}`, '')
  const codes: unknown[] = []
  for (const call of [
    () => files.readFile('missing'), () => files.writeFile('protected/x', 'x'), () => files.readdir('hidden'), () => files.readFile('a'), () => files.mkdir('a'), () => fillAndReplace(files), () => files.readFile('/dev/null'),
  ]) codes.push(await call().then(() => 'done', (error: { code: string }) => error.code))
  const length = (await files.readFile('a/file')).length
  await files.rm('a/b/c', { recursive: true })
  await files.rename('a/file', 'b')
  await files.rm('a/appended')
  const names = (await files.readdir(path)).filter(name => ['a', 'b', 'c'].includes(name)).sort()
  await files.writeFile('wx', 'abc', { flag: 'wx' })
  return [...codes, length, names, (await files.stat('wx')).size]
}

async function connectFromOutside(sandbox: Sandbox): Promise<string> {
  const { hostPort } = await sandbox.expose(3000, { hostPort: 0 })
  const child = sandbox.spawn([process.execPath, '-e', 'require("net").createServer({ allowHalfOpen: true }, s => s.pipe(s)).listen(3000, "127.0.0.1", () => console.log("up"))'])
  await new Promise(resolve => child.stdout.once('data', resolve))
  const text = await new Promise<string>((resolve, reject) => {
    const socket = connect(hostPort, '127.0.0.1', () => socket.end('hello'))
    let said = ''
    socket.on('data', chunk => { said += chunk }).on('end', () => resolve(said)).on('error', reject)
  })
  child.kill('SIGKILL')
  await child.exited
  return text
}

test.each<{ name: string; run: (sandbox: Sandbox, workspace: Workspace) => Promise<unknown>; comes: unknown }>([
  { name: 'an exit code, both streams, input', run: async sandbox => pick(await sandbox.exec(sh('cat; echo error >&2; exit 7'), { stdin: 'in' })), comes: { exitCode: 7, stdout: 'in', stderr: 'error\n' } },
  { name: 'no such program', run: async sandbox => (await sandbox.exec(['no-such-program'], { env: { PATH: '/usr/bin:/bin' } })).exitCode, comes: 127 },
  { name: 'a script without an interpreter line', run: async (sandbox, { path }) => { await sandbox.exec(sh('echo "echo script \\$1" > s; chmod +x s')); return (await sandbox.exec([join(path, 's'), 'ran'])).stdout }, comes: 'script ran\n' },
  { name: 'arguments that no packet holds', run: async sandbox => (await sandbox.exec(['sh', '-c', 'echo $# ${#1}', 'x', 'y'.repeat(100_000), ...Array<string>(5000).fill('z')])).stdout, comes: '5001 100000\n' },
  { name: 'a terminal and its size', run: async sandbox => { const child = sandbox.spawn(sh('stty size; tty'), { tty: { rows: 33, cols: 44 }, output: { maxBytes: 1000 } }); child.stdout.resume(); return (await child.exited).stdout }, comes: '33 44\r\n/dev/pts/0\r\n' },
  { name: 'much output', run: async sandbox => (await sandbox.exec(sh('head -c 20000000 /dev/zero'), { output: { encoding: 'bytes', maxBytes: 30_000_000 } })).stdout.length, comes: 20_000_000 },
  { name: 'a daemon that is left', run: async sandbox => (await sandbox.exec(sh('setsid sleep 1000 & sleep 0.1'))).ended.map(({ name }) => name), comes: ['sleep'] },
  { name: 'what is left and kept: signalled, killed', run: keepAndEnd, comes: ['left', 'left', 'ended', 'ended'] },
  { name: 'a time-out', run: async sandbox => (await sandbox.exec(sh('trap : TERM; while :; do sleep 1; done'), { timeoutMs: 50, killGraceMs: 20 })).timedOut, comes: true },
  { name: 'limits', run: async sandbox => pick(await sandbox.exec(sh('ulimit -n; ulimit -c'), { limits: { openFiles: 99, memoryBytes: 1e9, pids: 50, cpuSeconds: 9, fileSizeBytes: 1e6 } })), comes: { exitCode: 0, stdout: '99\n0\n', stderr: '' } },
  { name: 'held paths', run: async sandbox => (await sandbox.exec(sh('touch protected/x .git/x hidden/x hidden/open/x; ls -A hidden/open protected .git'))).stdout, comes: '.git:\n\nhidden/open:\n\nprotected:\n' },
  { name: 'files: each operation, and what is refused', run: useFiles, comes: ['ENOENT', 'denied', 'denied', 'EISDIR', 'EEXIST', 'ENOTEMPTY', 'EINVAL', 700_000, ['a', 'b'], 3] },
  { name: 'a connection from outside', run: connectFromOutside, comes: 'hello' },
  { name: '100 at once', run: async sandbox => new Set(await Promise.all(Array.from({ length: 100 }, async () => (await sandbox.exec(['echo', 'x'])).stdout))).size, comes: 1 },
])('$name', async ({ run, comes }) => {
  const { sandbox, workspace, launcher } = await start()
  expect(await run(sandbox, workspace)).toEqual(comes)
  expect((await sandbox.exec(['echo', 'still there'])).stdout).toBe('still there\n')
  await sandbox.close()
  await expectNone(launcher.processes)
})

test('the host replaces held paths again and again', async () => {
  const { sandbox, workspace } = await start()
  const [git, protectedFolder] = [join(workspace.path, '.git'), join(workspace.path, 'protected')]
  for (let i = 0; i < 20; i++) {
    const running = sandbox.exec(sh('sleep 0.02'))
    renameSync(protectedFolder, `${protectedFolder}-${i}`)
    if (!existsSync(protectedFolder)) mkdirSync(protectedFolder, { recursive: true })
    rmSync(git, { recursive: true, force: true })
    await running
  }
  expect((await sandbox.exec(sh('touch protected/x .git/x; echo tried'))).stdout).toBe('tried\n')
  expect([existsSync(join(git, 'x')), existsSync(join(protectedFolder, 'x'))]).toEqual([false, false])
})

test('sockets inside are connected to, one outside is not', async () => {
  const { sandbox, workspace } = await start()
  const outside = join(workspace.path, 'outside')
  const server = createServer(socket => socket.end('outside'))
  await new Promise<void>(resolve => server.listen(outside, resolve))
  onTestFinished(() => void server.close())
  const connect = (path: string): string => `require('net').connect('${path}').on('data', d => console.log(String(d))).on('error', e => console.log(e.code))`
  const script = `const s = require('net').createServer(c => c.end('inside')).listen('inside', () => { ${connect('inside')}; ${connect(outside)}; setTimeout(() => s.close(), 300) })`
  const { stdout } = await sandbox.exec([process.execPath, '-e', script])
  expect(stdout.trim().split('\n').sort()).toEqual(['EACCES', 'inside'])
})

const pick = ({ exitCode, stdout, stderr }: { exitCode: number; stdout: string; stderr: string }): object => ({ exitCode, stdout, stderr })

test('git operations of several steps, and calls that are none of theirs', async () => {
  const author = { GIT_AUTHOR_NAME: 'A', GIT_AUTHOR_EMAIL: 'a@example.org', GIT_COMMITTER_NAME: 'A', GIT_COMMITTER_EMAIL: 'a@example.org', GIT_CONFIG_GLOBAL: '/dev/null' }
  const workspace = makeWorkspace()
  const launcher = ownLauncher('sanitizers', { ASAN_OPTIONS: 'detect_leaks=0' })
  execFileSync('git', ['init', '-q', '-b', 'main', workspace.path])
  const sandbox = await createSandbox({ cwd: workspace.path, launcherPath: launcher.path, policy: { git: 'commits', env: { set: author } } })
  onTestFinished(() => sandbox.close())
  const long = 'x'.repeat(4000)
  expect(await sandbox.exec(sh(`
    for i in 1 2 3; do echo $i > f$i; git add .; git commit -qm $i; done; git switch -qc other HEAD~1; echo x > f3; git add .; git commit -qm x
    git rebase -q main >/dev/null 2>&1; test -d .git/rebase-merge && git rebase --abort; test -e .git/rebase-merge || git cherry-pick HEAD~2..HEAD~1 HEAD~1..HEAD >/dev/null 2>&1; git cherry-pick --abort 2>/dev/null
    mkdir ${long}/sequencer / '' sequencer/ //sequencer .git/sequencer/. 2>/dev/null; rmdir ${long}/rebase-merge .git/sequencer/// .git/rebase-merge/ 2>/dev/null; rm -rf /dev/git-operations/*; mkdir .git/rebase-merge && rmdir .git/rebase-merge && echo done`)))
    .toMatchObject({ exitCode: 0, stdout: expect.stringMatching(/done\n$/) })
  await sandbox.close()
  await expectNone(launcher.processes)
})

test.each([SUPERVISED, SUPERVISED_BEFORE, ...ALL_RUNGS.filter(({ ends }) => ends === 'group')])('files, folders on the way to denied ones, sockets, terminals, shared memory and signals: $name', { timeout: 120_000 }, async variant => {
  const workspace = makeWorkspace('.git', 'src', 'secret')
  const launcher = ownLauncher('sanitizers', { ASAN_OPTIONS: 'detect_leaks=0' })
  const sandbox = await startOn(variant, { cwd: workspace.path, launcherPath: launcher.path, policy: { mode: 'workspace-write', deny: ['secret'] } })
  onTestFinished(() => sandbox.close())
  const files = await sandbox.exec(sh(`
echo one > a; mkdir -p d/e; mv a d/e/a; ln d/e/a hard; ln -s d/e/a soft; cat soft; chmod 600 hard; touch -d @1000 hard; stat -c '%a %Y %h' hard; cp -a d copy; rm -r d; mkfifo p; cat p & echo two > p; wait
echo x > .git/new; mkdir .codex; cat secret/x; ls secret; echo x >> /etc/hostname; chmod 777 /etc/hostname; truncate -s 5 hard; rm hard; ls; printf '#!/bin/sh\\necho ran' > tool; chmod +x tool
`))
  expect(files.stdout).toBe('one\n600 1000 2\ntwo\ncopy\np\nsecret\nsoft\nsrc\n')
  expect(files.denials.length).toBeGreaterThan(3)
  expect((await sandbox.exec(['./tool'])).stdout).toBe('ran\n')
  const { stdout, stderr } = await sandbox.exec(['python3', '-c', `
import os, pty, signal, socket, multiprocessing
for kind in (socket.SOCK_STREAM, socket.SOCK_SEQPACKET):
    server = socket.socket(socket.AF_UNIX, kind); server.bind('s%d' % kind); server.listen()
    client = socket.socket(socket.AF_UNIX, kind); client.connect('s%d' % kind); peer, _ = server.accept(); client.send(b'hello'); print(peer.recv(9))
for call in (lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM), lambda: socket.socket(17, 3), lambda: socket.create_connection(('192.0.2.1', 9)), lambda: os.kill(1, 0), lambda: os.setpriority(os.PRIO_PROCESS, 1, 3)):
    try: call(); print('done')
    except OSError: pass
for i in range(200): socket.socket(socket.AF_UNIX).close()
main, terminal = pty.openpty(); os.write(os.open(os.ttyname(terminal), os.O_RDWR), b'x'); print(os.read(main, 9))
print(multiprocessing.Pool(2).map(abs, [-1]))
child = os.fork()
if child == 0: signal.pause()
os.kill(child, 9); print(os.waitpid(child, 0)[1])
`])
  expect(`${stdout}${stderr}`).toBe('b\'hello\'\nb\'hello\'\nb\'x\'\n[1]\n9\n')
  await sandbox.close()
  await expectNone(launcher.processes)
})
