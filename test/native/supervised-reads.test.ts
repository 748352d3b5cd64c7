// Reads on the supervised rung: Landlock cannot take a path away from what lies around it, so what lies beside a denied one is named when a
// command starts, and what comes later is opened by the launcher.
import { chmodSync, mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { beforeEach, describe, expect, onTestFinished, test } from 'vitest'
import type { SandboxOptions } from '../../src/exec/options.js'
import type { Sandbox } from '../../src/exec/sandbox.js'
import { ALL_RUNGS, startOn } from '../support/rungs.js'
import { makeWorkspace, type Workspace } from './workspace.js'

beforeEach(context => { if (process.platform !== 'linux') context.skip('the launcher is for Linux') })

const SECRET = 'the secret'

/**
 * A thread changes the path, another process what a link leads to: an ordinary folder, the one on the way to the denied one, that one itself.
 * Counts by what was listed. Its argument is the folder on the way.
 */
const FLIPPED_FOLDERS = `
import ctypes, json, os, sys, threading
sys.setswitchinterval(1e-5)
way = sys.argv[1]
libc = ctypes.CDLL(None)
path = ctypes.create_string_buffer(len(way) + 16)
ways = [f'{way}/src', f'{way}/./', f'{way}/keys', 'made/l', f'{way}/keys/.']
ways = [each.encode().ljust(len(path), bytes(1)) for each in ways]
os.mkdir('made')
os.symlink(way, 'made/l')
done = False
def flip():
  i = 0
  while not done:
    path.raw = ways[i % len(ways)]
    i += 1
child = os.fork()
if child == 0:
  i = 0
  while not os.path.exists('over'):
    os.symlink([f'{way}/src', way, f'{way}/keys'][i % 3], 'made/next')
    os.rename('made/next', 'made/l')
    i += 1
  os._exit(0)
threading.Thread(target=flip).start()
count = {'keys': 0, 'src': 0, 'way': 0}
def attempt(path):
  fd = libc.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
  if fd < 0: return
  names = os.listdir(fd)
  os.close(fd)
  count['keys' if 'one' in names else 'src' if 'file' in names else 'way' if 'src' in names else 'none'] += 1
try:
  for i in range(1200): attempt(path)
finally:
  done = True
  open('over', 'w').close()
  os.waitpid(child, 0)
for each in ways[:3]: attempt(each)
print(json.dumps(count))
`

describe.each(ALL_RUNGS)('$name: beside a denied path', variant => {
  async function start(options: (workspace: Workspace) => Partial<SandboxOptions> = () => ({ policy: { mode: 'workspace-write', deny: ['.env', 'keys'] } })): Promise<{ workspace: Workspace; sandbox: Sandbox; sh: (script: string) => Promise<string> }> {
    const workspace = makeWorkspace()
    for (const folder of ['keys', 'src']) mkdirSync(join(workspace.path, folder))
    for (const path of ['.env', 'keys/one', 'src/file']) writeFileSync(join(workspace.path, path), path === 'src/file' ? 'open' : SECRET)
    const sandbox = await startOn(variant, { cwd: workspace.path, ...options(workspace) })
    onTestFinished(() => sandbox.close())
    const sh = async (script: string): Promise<string> => {
      const { stdout, stderr, exitCode } = await sandbox.exec(['bash', '-c', script])
      return `${stdout.toString()}${stderr.toString()}${exitCode === 0 ? '' : `exit ${exitCode}`}`.trim()
    }
    return { workspace, sandbox, sh }
  }

  test('folders are listed, what was there is read, what is denied is not, by whatever way', async () => {
    const { sh } = await start()
    expect(await sh('ls -A; cat src/file')).toMatch(/\.env\n(.*\n)*keys\nsrc\nopen/)
    expect(await sh('ls / | head -1')).not.toMatch(/exit/)
    for (const way of ['cat .env', 'cat keys/one', 'ls keys', 'cd keys && cat one', 'cat src/../.env', 'ln -s .env link; cat link', 'ln .env src/hard && cat src/hard', 'mv .env src/moved && cat src/moved',
      'mv keys src/keys && cat src/keys/one', 'cp .env copy && cat copy', 'exec 3< .env && cat <&3', 'cat /proc/self/cwd/.env', 'source ./.env', 'mkdir new && cd new && cat ../.env']) {
      const result = await sh(way)
      expect({ way, result }).toEqual({ way, result: expect.not.stringContaining(SECRET) as string })
      expect({ way, result }).toEqual({ way, result: expect.stringMatching(/denied|Read-only|not permitted|busy|cross-device|Device or resource/i) as string })
    }
  })

  test('what a command makes it can read and list: files, folders, pipes, through descriptors and links', async () => {
    const { sh } = await start()
    expect(await sh('echo one > new; cat new; ln -s new link; cat link; cat /proc/self/cwd/new; cat ../*/new')).toBe('one\none\none\none')
    expect(await sh('mkdir -p a/b; echo two > a/b/c; cat a/b/c; ls a; ls a/b; cd a/b && cat c; cat < c; mv c ../../d; cat ../../d')).toBe('two\nb\nc\ntwo\ntwo\ntwo')
    expect(await sh('mkfifo pipe; echo three > pipe & cat pipe; wait')).toBe('three')
    expect(await sh('echo "echo four" > script; sh script; source ./script; bash < script')).toBe('four\nfour\nfour')
  })

  test('what a command made a later one can run', async () => {
    const { sh } = await start()
    await sh('mkdir bin; printf "#!/bin/sh\\necho ran\\n" > bin/tool; cp bin/tool tool; chmod +x bin/tool tool')
    expect(await sh('bin/tool; ./tool')).toBe('ran\nran')
    expect(await sh('cat .env')).toMatch(/denied/i)
  })

  test('what others make while the sandbox is there, a later command reads and runs; what they make denied, none', async () => {
    const { workspace, sh } = await start(workspace => ({ policy: { mode: 'workspace-write', deny: [join(workspace.outside, 'keys')] } }))
    mkdirSync(join(workspace.outside, 'keys'))
    expect(await sh('true')).toBe('')
    writeFileSync(join(workspace.outside, 'keys/one'), SECRET)
    writeFileSync(join(workspace.outside, 'file'), '#!/bin/sh\necho open\n')
    chmodSync(join(workspace.outside, 'file'), 0o755)
    expect(await sh(`${workspace.outside}/file; head -1 ${workspace.outside}/file; ls ${workspace.outside}`)).toMatch(/^open\n#!\/bin\/sh\n(cache\n)?file\nkeys\n/)
    expect(await sh(`cat ${workspace.outside}/keys/one`)).toMatch(/denied/i)
  })

  test('outside of every root: a folder on the way is listed, what lies in it is read without following links too, what is denied is not', async () => {
    const { workspace, sandbox, sh } = await start(({ outside }) => {
      mkdirSync(join(outside, 'way/keys'), { recursive: true })
      for (const path of ['keys/one', 'open']) writeFileSync(join(outside, 'way', path), path === 'open' ? 'open' : SECRET)
      return { policy: { mode: 'workspace-write', deny: [join(outside, 'way/keys')] } }
    })
    const way = join(workspace.outside, 'way')
    const read = (path: string): string => `dd status=none iflag=nofollow if=${path}`
    expect(await sh(`ls ${way}; ls src; ${read(`${way}/open`)}; ${read('src/file')}; cd src && ${read('file')}; ${read('/dev/null')}`)).toBe('keys\nopen\nfile\nopenopenopen')
    expect(await sh('mkdir made; echo made > made/file; ls made; ls .')).toBe('file\nkeys\nmade\nsrc')
    for (const command of [read(`${way}/keys/one`), `cd ${way} && ${read('keys/one')}`, `ls ${way}/keys`]) expect({ command, result: await sh(command) }).toEqual({ command, result: expect.stringMatching(/denied/i) as string })
    expect((await sandbox.exec(['ls', `${way}/keys`])).denials).toMatchObject([{ operation: 'read', path: join(way, 'keys') }])
  })

  test('a folder whose path changes while it is opened: the denied one is never listed, the others are', async () => {
    const { sandbox, workspace } = await start(({ outside }) => {
      for (const folder of ['keys', 'src']) mkdirSync(join(outside, 'way', folder), { recursive: true })
      for (const path of ['keys/one', 'src/file']) writeFileSync(join(outside, 'way', path), path === 'src/file' ? 'open' : SECRET)
      return { policy: { mode: 'workspace-write', deny: [join(outside, 'way/keys')] } }
    })
    const { stdout, stderr } = await sandbox.exec(['python3', '-c', FLIPPED_FOLDERS, join(workspace.outside, 'way')])
    expect(stderr).toBe('')
    const { keys, src, way } = JSON.parse(stdout) as Record<'keys' | 'src' | 'way', number>
    expect({ keys, src: src > 0, way: way > 0 }).toEqual({ keys: 0, src: true, way: true })
  })

  test('thousands of entries there are no matter', async () => {
    const { workspace, sh } = await start()
    for (let i = 0; i < 3000; i++) writeFileSync(join(workspace.path, `entry-${i}`), `${i}`)
    expect(await sh('ls | wc -l; cat entry-2999')).toBe('3002\n2999')
    expect(await sh('cat .env')).toMatch(/denied/i)
  })
})
