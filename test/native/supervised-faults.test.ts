// On the supervised rung the launcher makes files for commands: what goes wrong there reaches the command that asked, as the kernel would say it, and
// no other one. A full disk, more waiting FIFOs than there are threads, file systems that do not answer, a command that is killed in the middle.
import { spawn, spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { beforeEach, describe, expect, onTestFinished, test } from 'vitest'
import type { Sandbox } from '../../src/exec/sandbox.js'
import { startOn, SUPERVISED } from '../support/rungs.js'
import { makeWorkspace, type Workspace } from './workspace.js'

beforeEach(context => { if (process.platform !== 'linux') context.skip('the launcher is for Linux') })

const noMounts = whyNoMounts()

function whyNoMounts(): string | undefined {
  if (process.getuid?.() !== 0) return 'only root can mount a file system'
  const folder = mkdtempSync('/var/tmp/supervised-faults-')
  const { status } = spawnSync('mount', ['-t', 'tmpfs', 'tmpfs', folder])
  if (status === 0) spawnSync('umount', [folder])
  rmSync(folder, { recursive: true })
  return status === 0 ? undefined : 'root may not mount a file system here'
}

interface Started { readonly workspace: Workspace; readonly sandbox: Sandbox; readonly sh: (script: string) => Promise<string> }

/** `.git` is protected in the workspace, so that the launcher makes every name in it. */
async function start(prepare: (folder: string) => void = () => {}): Promise<Started> {
  const workspace = makeWorkspace()
  prepare(workspace.path)
  mkdirSync(join(workspace.path, '.git'))
  const sandbox = await startOn(SUPERVISED, { cwd: workspace.path })
  onTestFinished(() => sandbox.close())
  const sh = async (script: string): Promise<string> => {
    const { stdout, stderr } = await sandbox.exec(['sh', '-c', script])
    return `${stdout}${stderr}`.trim()
  }
  return { workspace, sandbox, sh }
}

/** Mounts it there; gone when the test ends, before the folder is. */
function mountAt(path: string, type: string, options: string): void {
  expect(spawnSync('mount', ['-t', type, '-o', options, type, path], { encoding: 'utf8' })).toMatchObject({ status: 0, stderr: '' })
  onTestFinished(() => void spawnSync('umount', ['-l', path]))
}

describe.skipIf(noMounts !== undefined)(`a disk that is full${noMounts === undefined ? '' : ` (${noMounts})`}`, () => {
  test('no bytes are left: the writer is told, what is there stays, and another command writes elsewhere', async () => {
    const { sh, workspace } = await start(folder => mountAt(folder, 'tmpfs', 'size=64k'))
    expect(await sh('echo kept > kept; dd if=/dev/zero of=big bs=1k count=200 2>&1 | grep -o "No space left on device"; echo x > more')).toMatch(/^No space left on device\n?(?:sh: .*(?:No space left on device|I\/O error))?/)
    expect(readFileSync(join(workspace.path, 'kept'), 'utf8')).toBe('kept\n')
    expect(await sh('f=$(mktemp) && echo elsewhere > $f && cat $f && rm $f; cat kept; rm big; echo again > again; cat again')).toBe('elsewhere\nkept\nagain')
  })

  test('no files are left: each call that makes one fails as outside, and works again when there is room', async () => {
    const { sh } = await start(folder => mountAt(folder, 'tmpfs', 'nr_inodes=8,size=1m'))
    expect(await sh('i=0; while [ $i -lt 20 ]; do touch f$i; i=$((i+1)); done 2>/dev/null; for c in "touch new" "mkdir new" "ln -s x new" "mkfifo new"; do $c 2>&1 | grep -c "No space left on device"; done; ls | grep -c new; rm f0; mkdir new && echo made; mv new moved && ls -d moved'))
      .toBe('1\n1\n1\n1\n0\nmade\nmoved')
  })
})

describe('calls that wait', { timeout: 120_000 }, () => {
  test('more FIFOs that nobody reads than there are threads: files and other commands go on, so does a later writer of another command, and all end when killed', async () => {
    const { sandbox, sh, workspace } = await start()
    const abort = new AbortController()
    const waiting = sandbox.exec(['sh', '-c', 'mkfifo many; i=0; while [ $i -lt 130 ]; do echo x > many & i=$((i+1)); done; echo > all-wait; wait'], { signal: abort.signal, killGraceMs: 0 })
    await expect.poll(() => existsSync(join(workspace.path, 'all-wait')), { timeout: 60_000 }).toBe(true)
    expect(await sh('for i in 1 2 3 4 5 6 7 8 9; do echo $i > beside; done; cat beside; mkdir d && mv d e && rmdir e && echo names')).toBe('9\nnames')
    expect(await sh('mkfifo late; cat late & echo through > late; wait')).toBe('through')
    abort.abort()
    expect((await waiting).cancelled).toBe(true)
    expect(await sh('mkfifo r; (sleep 0.1; cat r) & echo again > r; wait')).toBe('again')
  })

  test('a command that is killed while it waits for an open leaves no descriptor behind, and threads only for the next one', async () => {
    const { sandbox, sh } = await start()
    await sh('mkfifo p; true')
    const descriptors = (): number => readdirSync(`/proc/${sandbox.pid}/fd`).length
    const round = (): Promise<unknown> => sandbox.exec(['sh', '-c', 'for i in 1 2 3 4 5; do echo x > p & done; wait'], { timeoutMs: 300, killGraceMs: 0 })
    await round()
    await sh('true')
    const before = descriptors()
    for (let i = 0; i < 5; i++) await round()
    // Those whose caller is gone are looked for every second.
    await expect.poll(() => descriptors() - before, { timeout: 30_000, interval: 200 }).toBeLessThanOrEqual(2)
    // Threads stay for the next one that waits, as many as ever waited at once.
    expect(readdirSync(`/proc/${sandbox.pid}/task`).length).toBeLessThan(60)
    expect(await sh('(sleep 0.1; cat p) & echo works > p; wait')).toBe('works')
  })
})

/**
 * A file system whose files are never opened and whose lookups of `lost` are never answered, in 60 lines: FUSE without a library.
 * `hold` says which of its operations hang.
 */
const HANGING_FILE_SYSTEM = `
import ctypes, os, struct, sys
folder = sys.argv[1]
fuse = os.open('/dev/fuse', os.O_RDWR)
libc = ctypes.CDLL(None, use_errno=True)
if libc.mount(b'hanging', folder.encode(), b'fuse', 0, f'fd={fuse},rootmode=40000,user_id=0,group_id=0,allow_other,default_permissions'.encode()) != 0:
    print('cannot mount', os.strerror(ctypes.get_errno()), flush=True); sys.exit()
print('mounted', flush=True)
def attributes(node, mode): return struct.pack('<QQQQQQIIIIIIIIII', node, 0, 0, 0, 0, 0, 0, 0, 0, mode, 1, 0, 0, 0, 4096, 0)
def answer(unique, body=b'', error=0): os.write(fuse, struct.pack('<IiQ', 16 + len(body), -error, unique) + body)
while True:
    try: data = os.read(fuse, 1 << 17)
    except OSError: break
    length, operation, unique, node = struct.unpack_from('<IIQQ', data)
    if operation == 26: answer(unique, struct.pack('<IIIIHHIIHHI', 7, 31, 0, 0, 0, 0, 4096, 1, 1, 0, 0) + bytes(24))
    elif operation == 3: answer(unique, struct.pack('<QII', 0, 0, 0) + attributes(node, 0o40777 if node == 1 else 0o100666))
    elif operation == 1:
        name = data[40:].split(b'\\0')[0]
        if name == b'slow': answer(unique, struct.pack('<QQQQII', 2, 0, 0, 0, 0, 0) + attributes(2, 0o100666))
        elif name != b'lost': answer(unique, error=2)    # a lookup of that is not answered
    elif operation == 14: print('an open hangs', flush=True)
    elif operation == 36: answer(struct.unpack_from('<Q', data, 40)[0], error=4)    # as every server does: what is interrupted ends
    elif operation in (2, 42): pass                       # forget
    elif operation == 17: answer(unique, bytes(80))       # statfs
    elif operation == 27: answer(unique, bytes(16))       # opendir
    elif operation in (18, 25, 28, 29): answer(unique)    # an empty folder
    else: answer(unique, error=38)
`

describe.skipIf(noMounts !== undefined)(`a file system that does not answer${noMounts === undefined ? '' : ` (${noMounts})`}`, { timeout: 120_000 }, () => {
  let output = ''
  const said = (): string => output

  /** Why it cannot be, or nothing. */
  async function mountHanging(folder: string): Promise<string | undefined> {
    const server = spawn('python3', ['-c', HANGING_FILE_SYSTEM, folder], { stdio: ['ignore', 'pipe', 'inherit'] })
    onTestFinished(() => {
      // Its end is an answer to all that hangs.
      server.kill('SIGKILL')
      spawnSync('umount', ['-l', folder])
    })
    output = ''
    server.stdout.on('data', chunk => { output += String(chunk) })
    await expect.poll(said, { timeout: 20_000 }).toMatch(/mount/)
    return output.startsWith('mounted') ? undefined : output.trim()
  }

  test('an open that hangs holds up its own command and no other; it is killed, and the sandbox closes', async context => {
    const workspace = makeWorkspace()
    const mounted = await mountHanging(workspace.path)
    if (mounted !== undefined) context.skip(mounted)
    const sandbox = await startOn(SUPERVISED, { cwd: workspace.path })
    onTestFinished(() => sandbox.close())
    const stuck = sandbox.exec(['sh', '-c', 'echo x > slow'], { timeoutMs: 3000, killGraceMs: 0 })
    await expect.poll(said, { timeout: 20_000 }).toContain('an open hangs')
    const beside = ['sh', '-c', 'f=$(mktemp); echo beside > $f; cat $f; rm $f']
    expect((await sandbox.exec(beside)).stdout).toBe('beside\n')
    expect((await stuck).timedOut).toBe(true)
    expect((await sandbox.exec(beside)).stdout).toBe('beside\n')
    await sandbox.close()
  })
})
