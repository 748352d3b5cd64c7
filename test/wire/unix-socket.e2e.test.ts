// The service's socket: its mode, who may connect, where it may lie, and that no command can put another one in its place.
import { spawn, spawnSync } from 'node:child_process'
import { chmodSync, existsSync, lstatSync, mkdirSync, mkdtempSync, realpathSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { CLI, ENV, type RunningService, startService } from './raw-client.js'

const isRoot = process.getuid?.() === 0

let folder: string
let service: RunningService | undefined
beforeEach(() => {
  folder = realpathSync(mkdtempSync('/var/tmp/cs-unix-'))
  service = undefined
})
afterEach(async () => {
  await service?.stop()
  rmSync(folder, { recursive: true, force: true, maxRetries: 20, retryDelay: 100 })
})

/** Asks over the socket at its first argument, and prints what came back. */
const CLIENT = [
  'import socket, sys', 's = socket.socket(socket.AF_UNIX)', 's.connect(sys.argv[1])',
  'try:', '  s.sendall(b\'{"id":1,"method":"initialize","params":{"clientInfo":{"name":"p","version":"1"}}}\\n\')',
  '  print(s.recv(1000).decode() or "nothing")', 'except (ConnectionResetError, BrokenPipeError):', '  print("nothing")',
].join('\n')

interface Spoken {
  readonly stdout: string
  readonly stderr: string
}

/** Runs the client as a process of its own, with whatever runs it in front. */
function speak(path: string, before: readonly string[] = [], user: { uid?: number; gid?: number } = {}): Promise<Spoken> {
  const [program = 'python3', ...words] = [...before, 'python3', '-c', CLIENT, path]
  return runProgram(program, words, user)
}

function runProgram(program: string, words: readonly string[], user: { uid?: number; gid?: number } = {}): Promise<Spoken> {
  return new Promise(resolve => {
    const child = spawn(program, words, { env: ENV, cwd: folder, stdio: ['ignore', 'pipe', 'pipe'], timeout: 20_000, ...user })
    let [stdout, stderr] = ['', '']
    child.stdout.on('data', chunk => { stdout += chunk })
    child.stderr.on('data', chunk => { stderr += chunk })
    child.once('close', () => resolve({ stdout, stderr }))
  })
}

test('mode 0600 whatever the umask, gone afterwards, and a client of this user is served', async () => {
  const path = join(folder, 's.sock')
  service = await startService('unix', { cwd: folder, env: ENV, socketPath: path, umask: '0000' })
  expect((lstatSync(path).mode & 0o777).toString(8)).toBe('600')
  expect((await speak(path)).stdout).toContain('"userAgent"')
  await service.stop()
  expect(existsSync(path)).toBe(false)
  service = undefined
})

test.skipIf(!isRoot)('another user cannot connect, and one who can is refused (only root can be another user)', async () => {
  chmodSync(folder, 0o755)
  service = await startService('unix', { cwd: folder, env: ENV, socketPath: join(folder, 's.sock') })
  const path = service.socketPath as string
  const other = { uid: 54_321, gid: 54_321 }
  expect((await speak(path, [], other)).stderr).toContain('PermissionError')
  // Even where the mode lets them.
  chmodSync(path, 0o666)
  expect((await speak(path, [], other)).stdout).toBe('nothing\n')
  await expect.poll(() => service!.log(), { timeout: 10_000 }).toContain('refused a connection: it is of user 54321')
  expect((await speak(path)).stdout).toContain('"userAgent"')
})

test('a process in a sandbox does not reach the socket, and is refused where a rule opens it', async () => {
  service = await startService('unix', { cwd: folder, env: ENV, socketPath: join(folder, 's.sock') })
  const path = service.socketPath as string
  const run = (...options: string[]) => [process.execPath, CLI, 'run', '--quiet', ...options, '--']
  expect((await speak(path, run())).stderr).toContain('PermissionError')
  // Without a sandbox the same client is served.
  expect((await speak(path, run('--sandbox', 'danger-full-access'))).stdout).toContain('"userAgent"')
  // The launcher connects on behalf of the command then, and is known.
  const policy = JSON.stringify({ mode: 'workspace-write', network: { allowUnixSockets: [path] } })
  for (const rung of ['namespaces', 'supervised']) {
    expect((await speak(path, run('--rung', rung, '--policy', policy))).stdout).toBe('nothing\n')
    await expect.poll(() => service!.log().match(/refused a connection: its process \d+ runs in a sandbox/g) ?? [], { timeout: 10_000 }).toHaveLength(rung === 'namespaces' ? 1 : 2)
  }
})

test('what runs below a launcher is refused', async () => {
  service = await startService('unix', { cwd: folder, env: ENV, socketPath: join(folder, 's.sock') })
  const path = service.socketPath as string
  // Above the client stands a process that is called as the launcher is.
  const above = (name: string) => `import os, sys\nopen("/proc/self/comm", "w").write(${JSON.stringify(name)})\npid = os.fork()\nif pid:\n  os.waitpid(pid, 0)\nelse:\n  exec(sys.argv[2])`
  expect((await runProgram('python3', ['-c', above('codex-sandbox-l'), path, CLIENT])).stdout).toBe('nothing\n')
  await expect.poll(() => service!.log(), { timeout: 10_000 }).toMatch(/refused a connection: its process \d+ runs in a sandbox \(launcher \d+\)/)
  expect((await runProgram('python3', ['-c', above('another'), path, CLIENT])).stdout).toContain('"userAgent"')
})

test('no command can remove the socket, replace it or move its folder away', async () => {
  const inner = join(folder, 'run')
  mkdirSync(inner)
  service = await startService('unix', { cwd: folder, env: ENV, socketPath: join(inner, 's.sock') })
  const client = await service.connect()
  await client.initialize()
  const script = 'rm -f run/s.sock; mv run/s.sock elsewhere; mv run gone; python3 -c "import socket; socket.socket(socket.AF_UNIX).bind(\'run/s.sock\')"; echo fine > run/beside'
  const { result } = await client.ask('command/exec', { command: ['sh', '-c', script], sandboxPolicy: { type: 'workspaceWrite' } })
  expect(result.exitCode).toBe(0)
  expect(existsSync(join(inner, 'beside'))).toBe(true)
  expect(lstatSync(join(inner, 's.sock')).isSocket()).toBe(true)
  expect((await speak(join(inner, 's.sock'))).stdout).toContain('"userAgent"')
})

/** What the service says where it must not start. */
async function refusal(url: string): Promise<string> {
  const child = spawn(process.execPath, [CLI, 'app-server', '--listen', url], { env: ENV, cwd: folder, stdio: ['ignore', 'ignore', 'pipe'] })
  let text = ''
  child.stderr.on('data', chunk => { text += chunk })
  const code = await new Promise(resolve => child.once('close', resolve))
  expect(code).toBe(125)
  return text
}

test('a place where others could replace it is refused', async () => {
  const open = join(folder, 'open')
  mkdirSync(open)
  chmodSync(open, 0o777)
  expect(await refusal(`unix://${open}/s.sock`)).toContain(`${JSON.stringify(open).slice(1, -1)}`)
  // As /tmp is: others may write there, and not replace what is somebody else's.
  chmodSync(open, 0o1777)
  service = await startService('unix', { cwd: folder, env: ENV, socketPath: join(open, 's.sock') })
})
test.each([
  ['a relative path', 'unix://here.sock', 'is not an absolute path'],
  ['a folder that is missing', 'unix:///cs-nowhere/s.sock', 'its folder does not exist'],
  ['a path that is too long', `unix:///var/tmp/${'x'.repeat(100)}`, 'longer than 107 bytes'],
  ['another scheme', 'ws://127.0.0.1:1', 'neither stdio:// nor unix://PATH'],
])('%s is refused', async (_name, url, words) => {
  expect(await refusal(url)).toContain(words)
})
test('a socket of a service that was killed is replaced; a file, and a service that answers, are not', async () => {
  const path = join(folder, 's.sock')
  service = await startService('unix', { cwd: folder, env: ENV, socketPath: path })
  expect(await refusal(`unix://${path}`)).toContain('a service listens there already')
  service.process.kill('SIGKILL')
  await service.exited
  expect(existsSync(path)).toBe(true)
  service = await startService('unix', { cwd: folder, env: ENV, socketPath: path })
  expect((await speak(path)).stdout).toContain('"userAgent"')
  writeFileSync(join(folder, 'file'), 'mine')
  expect(await refusal(`unix://${folder}/file`)).toContain('something else is there')
})
test('the usual place is below XDG_STATE_HOME, and `sessions` looks there', async () => {
  const env = { ...ENV, XDG_STATE_HOME: join(folder, 'state') }
  // A path of nothing means the usual place.
  const child = spawn(process.execPath, [CLI, 'app-server', '--listen', 'unix://'], { env, cwd: folder, stdio: ['ignore', 'ignore', 'pipe'] })
  const said = await new Promise<string>(resolve => child.stderr.once('data', chunk => resolve(String(chunk))))
  expect(said).toBe(`codex-sandbox: listening on ${folder}/state/codex-sandbox/service.sock\n`)
  expect((lstatSync(join(folder, 'state/codex-sandbox')).mode & 0o777).toString(8)).toBe('700')
  expect(spawnSync(process.execPath, [CLI, 'sessions', '--json'], { env, encoding: 'utf8' })).toMatchObject({ status: 0, stdout: '[]\n', stderr: '' })
  child.kill('SIGTERM')
  expect(await new Promise(resolve => child.once('exit', resolve))).toBe(0)
})
test('whoever connects and says nothing holds nobody up', async () => {
  service = await startService('unix', { cwd: folder, env: ENV, socketPath: join(folder, 's.sock') })
  const silent = await service.connect()
  expect((await speak(service.socketPath as string)).stdout).toContain('"userAgent"')
  silent.destroy()
})
test('`sessions` tells a listener that is no service', async () => {
  const path = join(folder, 'other.sock')
  const server = createServer(socket => socket.destroy()).listen(path)
  const { stderr } = await runProgram(process.execPath, [CLI, 'sessions', '--listen', `unix://${path}`])
  server.close()
  expect(stderr).toContain('is no service that answers')
})
test('without a listener `sessions` says how to start one', () => {
  const { status, stderr } = spawnSync(process.execPath, [CLI, 'sessions', '--listen', `unix://${folder}/none`], { env: ENV, encoding: 'utf8' })
  expect({ status, stderr }).toEqual({ status: 125, stderr: expect.stringContaining('Start one: `codex-sandbox app-server --listen unix://`.') })
})
