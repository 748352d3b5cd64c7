// What the kernel interrupts, or has no room for at the moment, is tried again.
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { beforeEach, expect, onTestFinished, test } from 'vitest'
import { ALL_RUNGS, isSupervised, startOn, SUPERVISED, SUPERVISED_BEFORE } from '../support/rungs.js'
import { ownLauncher } from './own-launcher.js'
import { trace, whyNoTracing } from './tracing.js'
import { makeWorkspace } from './workspace.js'

beforeEach(context => { if (process.platform !== 'linux') context.skip('the launcher is for Linux') })

test.for([...ALL_RUNGS])('$name: whatever the monitor asks of its listener is interrupted: each call has its answer, and no other one', async (variant, { skip }) => {
  const reason = whyNoTracing()
  if (reason !== undefined) skip(reason)
  const workspace = makeWorkspace()
  const sandbox = await startOn(variant, { cwd: workspace.path, launcherPath: ownLauncher().path })
  onTestFinished(() => sandbox.close())
  // Every other one, so that each is interrupted once: receiving a call, asking whether it waits, giving a descriptor, answering.
  const { traced } = await trace([sandbox.pid!], 'ioctl', 'error=EINTR:when=1+2')
  const script = 'for i in 1 2 3; do mkdir d$i && echo $i > d$i/f && mv d$i/f d$i/g && ln d$i/g d$i/h && cat d$i/h; done; echo no > .git/f || mkdir .git/d || rm -r .git || echo refused'
  expect(await sandbox.exec(['sh', '-c', script])).toMatchObject({ exitCode: 0, stdout: '1\n2\n3\nrefused\n' })
  for (const request of ['SECCOMP_IOCTL_NOTIF_RECV', 'SECCOMP_IOCTL_NOTIF_ID_VALID', 'SECCOMP_IOCTL_NOTIF_SEND', ...isSupervised(variant) ? ['SECCOMP_IOCTL_NOTIF_ADDFD'] : []]) {
    await expect.poll(traced, { timeout: 20_000 }).toMatch(new RegExp(`${request}.*EINTR.*INJECTED`))
  }
})

test.for([...ALL_RUNGS])('$name: a terminal has no room for the end of the input: it comes when there is', async (variant, { skip }) => {
  const reason = whyNoTracing()
  if (reason !== undefined) skip(reason)
  const sandbox = await startOn(variant, { cwd: makeWorkspace().path, launcherPath: ownLauncher().path })
  onTestFinished(() => sandbox.close())
  const child = sandbox.spawn(['sh', '-c', 'stty -echo; echo ready; cat; echo over'], { tty: true, stdin: 'pipe' })
  let output = ''
  child.stdout.on('data', chunk => { output += String(chunk) })
  await expect.poll(() => output, { timeout: 20_000 }).toBe('ready\r\n')
  const { traced } = await trace([sandbox.pid!], 'write', 'error=EAGAIN:when=2')
  child.stdin!.end('line\n')
  expect(await child.exited).toMatchObject({ exitCode: 0 })
  expect(output).toBe('ready\r\nline\r\nover\r\n')
  await expect.poll(traced, { timeout: 20_000 }).toMatch(/"\\4", 1\).*EAGAIN.*INJECTED/)
})

test.for([...ALL_RUNGS])('$name: the user has no room for descriptors on their way: that command is refused, and its neighbours go on', async (variant, { skip }) => {
  const reason = whyNoTracing()
  if (reason !== undefined) skip(reason)
  const sandbox = await startOn(variant, { cwd: makeWorkspace().path, launcherPath: ownLauncher().path })
  onTestFinished(() => sandbox.close())
  const neighbour = sandbox.exec(['sh', '-c', 'echo came >came; until test -e go; do sleep 0.05; done; echo went'])
  await sandbox.exec(['sh', '-c', 'until test -e came; do sleep 0.05; done'])
  // All of them: word of new rules, which comes before where a folder has changed, is not what a command needs.
  const { end } = await trace([sandbox.pid!], 'sendmsg', 'error=ETOOMANYREFS')
  await expect(sandbox.exec(['true'])).rejects.toMatchObject({ step: 'make_streams', errno: 'ETOOMANYREFS' })
  await end()
  expect(await sandbox.exec(['touch', 'go'])).toMatchObject({ exitCode: 0 })
  expect(await neighbour).toMatchObject({ exitCode: 0, stdout: 'went\n' })
})

test.for([SUPERVISED, SUPERVISED_BEFORE])('$name: the launcher is stopped again and again, as in a container that is paused: each file and each socket has a descriptor of its own', async variant => {
  const workspace = makeWorkspace()
  const sandbox = await startOn(variant, { cwd: workspace.path })
  onTestFinished(() => sandbox.close())
  const script = `
import os, socket
opens = wrong = 0
while not os.path.exists('over'):
  fd = os.open('file', os.O_CREAT | os.O_RDWR)
  made = socket.socket(socket.AF_UNIX)
  opens += 1
  wrong += fd < 3
  wrong += made.fileno() < 3
  for each in [fd, made.detach()]:
    if each > 2: os.close(each)
print(opens > 100, wrong)
`
  const running = sandbox.exec(['python3', '-c', script])
  for (let i = 0; i < 400; i++) {
    process.kill(sandbox.pid!, 'SIGSTOP')
    await pause(0)
    process.kill(sandbox.pid!, 'SIGCONT')
    await pause(1)
  }
  writeFileSync(join(workspace.path, 'over'), '')
  expect(await running).toMatchObject({ exitCode: 0, stdout: 'True 0\n' })
})
