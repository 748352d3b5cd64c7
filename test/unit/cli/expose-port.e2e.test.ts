// `--expose-port`: a server of the command, asked from outside while it runs.
import { spawn, spawnSync } from 'node:child_process'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { makeWorkspace } from '../../native/workspace.js'

const CLI = join(process.cwd(), 'dist/cli.cjs')
const SERVER = 'require("node:http").createServer((q, r) => { r.end("inside"); setTimeout(() => process.exit(7), 50) }).listen(3000, "127.0.0.1", () => console.log("up"))'

test('a server is reached at the host port, which is printed; the exit code is the command\'s', async () => {
  const child = spawn(process.execPath, [CLI, 'run', '--expose-port', '3000:0', '--', process.execPath, '-e', SERVER], { cwd: makeWorkspace().path, stdio: ['ignore', 'pipe', 'pipe'] })
  onTestFinished(() => { child.kill('SIGKILL') })
  let told = ''
  child.stderr.on('data', chunk => { told += chunk })
  await new Promise(resolve => child.stdout.once('data', resolve))
  const [, port] = /^codex-sandbox: 127\.0\.0\.1:(\d+) leads to port 3000 of the sandbox\n$/.exec(told)!
  const exited = new Promise(resolve => child.once('exit', resolve))
  expect(await (await fetch(`http://127.0.0.1:${port}/`)).text()).toBe('inside')
  expect(await exited).toBe(7)
})

test('a taken port ends it before the command runs', async () => {
  const taken = createServer()
  const port = await new Promise<number>(resolve => taken.listen(0, '127.0.0.1', () => resolve((taken.address() as { port: number }).port)))
  onTestFinished(() => void taken.close())
  const { status, stdout, stderr } = spawnSync(process.execPath, [CLI, 'run', '--expose-port', `3000:${port}`, '--', 'echo', 'ran'], { cwd: makeWorkspace().path, encoding: 'utf8' })
  expect({ status, stdout }).toEqual({ status: 125, stdout: '' })
  expect(stderr).toContain(`--expose-port ${port} is taken on this host`)
})

test('with --quiet nothing is printed', () => {
  const { status, stdout, stderr } = spawnSync(process.execPath, [CLI, 'run', '-q', '--expose-port', '3000:0', '--', 'echo', 'ran'], { cwd: makeWorkspace().path, encoding: 'utf8' })
  expect({ status, stdout, stderr }).toEqual({ status: 0, stdout: 'ran\n', stderr: '' })
})
