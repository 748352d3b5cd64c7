// Terminals and shared memory where /dev is the host's: commands make their own and reach no other.
import { spawn, spawnSync } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { beforeEach, describe, expect, onTestFinished, test } from 'vitest'
import type { Sandbox } from '../../src/exec/sandbox.js'
import { ALL_RUNGS, startOn } from '../support/rungs.js'
import { expectNone } from './host-processes.js'
import { ownLauncher } from './own-launcher.js'
import { makeWorkspace } from './workspace.js'

beforeEach(context => {
  if (process.platform !== 'linux') context.skip('the launcher is for Linux')
  if (spawnSync('python3', ['-c', '']).status !== 0) context.skip('python3 makes the terminals')
})

const PRELUDE = `
import errno, fcntl, os, pty, struct, sys, termios
def attempt(name, call):
    try: print(name, call())
    except OSError as error: print(name, errno.errorcode[error.errno])
`

/** A terminal of the host's, made by a process outside; `typed` is what arrives at its master. */
async function hostTerminal(): Promise<{ path: string; typed: () => Promise<string> }> {
  const child = spawn('python3', ['-uc', `${PRELUDE}
master, slave = pty.openpty()
print(os.ttyname(slave))
sys.stdin.readline()
os.set_blocking(master, False)
try: print(repr(os.read(master, 1000)))
except BlockingIOError: print('nothing')
`], { stdio: ['pipe', 'pipe', 'inherit'] })
  onTestFinished(() => void child.kill('SIGKILL'))
  let output = ''
  child.stdout.on('data', chunk => { output += String(chunk) })
  const line = async (n: number): Promise<string> => {
    await expect.poll(() => output.split('\n').length, { timeout: 20_000 }).toBeGreaterThan(n)
    return output.split('\n')[n - 1]!
  }
  return {
    path: await line(1),
    typed: () => {
      child.stdin.write('\n')
      return line(2)
    },
  }
}

describe.each(ALL_RUNGS)('$name', variant => {
  async function start(): Promise<{ sandbox: Sandbox; python: (program: string) => Promise<string> }> {
    const workspace = makeWorkspace()
    const sandbox = await startOn(variant, { cwd: workspace.path })
    onTestFinished(() => sandbox.close())
    const python = async (program: string): Promise<string> => {
      const { stdout, stderr } = await sandbox.exec(['python3', '-c', `${PRELUDE}${program}`])
      return `${stdout.toString()}${stderr.toString()}`.trim()
    }
    return { sandbox, python }
  }

  test('terminals are made, opened by name, and used; the command\'s own too', async () => {
    const { sandbox, python } = await start()
    expect(await python(`
master, slave = pty.openpty()
again = os.open(os.ttyname(slave), os.O_RDWR | os.O_NOCTTY)
os.write(again, b'to the master')
print(os.read(master, 100).decode())
pid, fd = pty.fork()
if pid == 0: os.execvp('sh', ['sh', '-c', 'echo on $(tty | cut -c1-8) > /dev/tty'])
print(os.read(fd, 100).decode().strip())
`)).toBe('to the master\non /dev/pts')
    expect((await text(sandbox.spawn(['sh', '-c', 'echo through its name > $(tty)'], { tty: true }).stdout)).trim()).toBe('through its name')
  })

  test('a terminal of the host is neither written to nor read, by whatever name', async () => {
    const { python } = await start()
    const { path, typed } = await hostTerminal()
    expect(await python(`
for flags in (os.O_RDWR, os.O_WRONLY, os.O_RDONLY, os.O_RDWR | os.O_NOFOLLOW, os.O_WRONLY | os.O_CREAT, os.O_RDWR | os.O_TRUNC, os.O_WRONLY | os.O_APPEND):
    attempt('open', lambda: os.write(os.open('${path}', flags | os.O_NOCTTY | os.O_NONBLOCK), b'typed'))
os.symlink('${path}', 'link')
attempt('link', lambda: os.open('link', os.O_RDWR | os.O_NOCTTY))
os.chdir('/dev/pts')
attempt('relative', lambda: os.open('${path.split('/').at(-1)}', os.O_RDWR | os.O_NOCTTY))
attempt('magic', lambda: os.open('/proc/self/fd/%d' % os.open('${path}', os.O_PATH), os.O_RDWR | os.O_NOCTTY))
`)).not.toMatch(/^\w+ \d+$/m)
    expect(await typed()).toBe('nothing')
  })

  test('the number of a terminal that is gone opens nothing when the host has it again', async context => {
    const { sandbox, python } = await start()
    const number = /\d+$/
    const kept = sandbox.exec(['python3', '-uc', `${PRELUDE}
master, slave = pty.openpty()
name = os.ttyname(slave)
os.close(master), os.close(slave)
open('name', 'w').write(name)
import time
while not os.path.exists('go'): time.sleep(0.05)
attempt('open', lambda: os.write(os.open(name, os.O_RDWR | os.O_NOCTTY), b'typed'))
`])
    const workspace = sandbox.policy.cwd
    await expect.poll(() => existsSync(join(workspace, 'name')) && readFileSync(join(workspace, 'name'), 'utf8'), { timeout: 20_000 }).toMatch(number)
    const name = readFileSync(join(workspace, 'name'), 'utf8')
    const { path, typed } = await hostTerminal()
    writeFileSync(join(workspace, 'go'), '')
    const { stdout } = await kept
    expect(stdout.toString()).toMatch(/^open E/)
    expect(await typed()).toBe('nothing')
    if (variant.rung === 'supervised' && path !== name) context.skip(`the host took ${path}, not ${name} again`)
    expect(await python('print(1)')).toBe('1')
  })

  test('shared memory and semaphores work, and end with the sandbox', async () => {
    const before = new Set(readdirSync('/dev/shm'))
    const { sandbox, python } = await start()
    expect(await python(`
import multiprocessing, multiprocessing.shared_memory as shared
made = shared.SharedMemory(create=True, size=100, name='made')
made.buf[0] = 7
found = shared.SharedMemory(name='made')
print(found.buf[0])
found.close()
print(multiprocessing.Pool(2).map(abs, [-1, -2]))
open('/dev/shm/file', 'w').write('text')
os.rename('/dev/shm/file', '/dev/shm/other')
os.mkdir('/dev/shm/folder')
open('/dev/shm/folder/file', 'w').write('deep')
made.close()
`)).toContain('7\n[1, 2]')
    expect(await python(`
os.chdir('/dev')
for at in ('/dev//shm/other', '//dev/shm/other', '/dev/./shm/./other', '/dev/../dev/shm/other', '/dev/shm//other', 'shm/other', './shm/../shm/other'):
    try: print(at, os.read(os.open(at, os.O_RDONLY | os.O_NOFOLLOW), 10) == b'text')
    except OSError as error: print(at, error.strerror)
`)).toBe(['/dev//shm/other', '//dev/shm/other', '/dev/./shm/./other', '/dev/../dev/shm/other', '/dev/shm//other', 'shm/other', './shm/../shm/other'].map(at => `${at} True`).join('\n'))
    expect(await python(`print(os.read(os.open('/dev/shm/other', os.O_RDONLY | os.O_NOFOLLOW), 10), os.stat(os.open('/dev/shm/folder/file', os.O_RDWR)).st_size); os.unlink('/dev/shm/other')`)).toBe('b\'text\' 4')
    await sandbox.close()
    expect(readdirSync('/dev/shm').filter(name => !before.has(name))).toEqual([])
  })

  test('shared memory of the host, and of another sandbox, is not reached, and names inside hide none outside', async () => {
    const [{ python }, other] = [await start(), await start()]
    const name = `host-${randomUUID()}`
    const path = join('/dev/shm', name)
    writeFileSync(path, 'of the host', { mode: 0o666 })
    onTestFinished(() => rmSync(path))
    await other.python(`open('/dev/shm/of-the-other', 'w').write('secret')`)
    for (const each of [name, 'of-the-other']) {
      expect(await python(`
name = '${each}'
for at in ('/dev/shm/' + name, '/dev/shm/../shm/' + name, '/dev/shm/./' + name, '/proc/self/root/dev/shm/' + name):
    for flags in (os.O_RDWR, os.O_RDONLY, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC, os.O_WRONLY | os.O_TRUNC):
        attempt('open', lambda: os.read(os.open(at, flags), 100))
    attempt('unlink', lambda: os.unlink(at))
    attempt('rename', lambda: os.rename(at, '/dev/shm/mine'))
    attempt('hard', lambda: os.link(at, 'hard'))
    attempt('truncate', lambda: os.truncate(at, 0))
    attempt('chmod', lambda: os.chmod(at, 0))
os.chdir('/dev/shm')
attempt('relative', lambda: os.read(os.open(name, os.O_RDWR), 100))
attempt('up', lambda: os.read(os.open('../shm/' + name, os.O_RDWR), 100))
`)).not.toMatch(/^\w+ (None|b)/m)
    }
    expect(await python(`
for name in os.popen('ls -A /dev/shm 2>/dev/null').read().split():
    if name.startswith('codex-sandbox-'): attempt('folder', lambda: os.open('/dev/shm/' + name + '/of-the-other', os.O_RDWR))
open('/dev/shm/${name}', 'w').write('of the command')
`)).not.toMatch(/^folder \d/m)
    expect(readFileSync(path, 'utf8')).toBe('of the host')
    expect(await other.python(`print(os.stat(os.open('/dev/shm/of-the-other', os.O_RDWR)).st_size)`)).toBe('6')
  })

  test('what a launcher that was killed left in /dev/shm the next one removes', async () => {
    const before = new Set(readdirSync('/dev/shm'))
    const workspace = makeWorkspace()
    const launcher = ownLauncher()
    const sandbox = await startOn(variant, { cwd: workspace.path, launcherPath: launcher.path })
    await sandbox.exec(['sh', '-c', ': > /dev/shm/left'])
    process.kill(sandbox.pid!, 'SIGKILL')
    await expectNone(launcher.processes)
    await sandbox.close()
    const next = await start()
    await next.python(`open('/dev/shm/new', 'w')`)
    await next.sandbox.close()
    expect(readdirSync('/dev/shm').filter(name => !before.has(name))).toEqual([])
  })
})
