// Every way in which bwrap may fail, or do something else than it was told: nothing runs then, and nothing is left on the host.
import { spawnSync } from 'node:child_process'
import { chmodSync, copyFileSync, existsSync, mkdirSync, mkdtempSync, readdirSync, realpathSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { beforeEach, describe, expect, onTestFinished, test } from 'vitest'
import type { SandboxOptions } from '../../src/exec/options.js'
import type { Sandbox } from '../../src/exec/sandbox.js'
import { locateBwrap } from '../../src/platform/linux/bwrap/find.js'
import { BWRAP, onBackend, startOn } from '../support/rungs.js'
import { makeWorkspace, type Workspace } from './workspace.js'

const PYTHON = '/usr/bin/python3'
const REAL = locateBwrap('/usr/local/bin:/usr/bin:/bin')?.path

beforeEach(context => {
  if (process.platform !== 'linux') context.skip('bwrap is for Linux')
  if (REAL === undefined) context.skip('no bwrap is installed')
  if (!existsSync(PYTHON)) context.skip(`${PYTHON} is not there`)
})

/** A folder that no policy here makes writable. */
function makeFolder(): string {
  const folder = mkdtempSync('/var/tmp/bwrap-faults-')
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }))
  return folder
}

/** A program of that text in a folder of its own, and that folder. */
function fake(text: string): string {
  const folder = makeFolder()
  writeFileSync(join(folder, 'bwrap'), text, { mode: 0o755 })
  return folder
}

/** The real one, but for the run whose arguments come by a descriptor. */
const insteadOfRun = (script: string): string => fake(`#!/bin/sh\ncase "$1" in --args) ;; *) exec ${REAL} "$@" ;; esac\n${script}\n`)

/** The real one, with other arguments: `edit` is Python that changes the list `words`. */
const withOtherWords = (edit: string): string => fake(`#!${PYTHON} -ES
import os, sys
if sys.argv[1] == '--args':
    text = b''
    while piece := os.read(6, 65536): text += piece
    words = text.decode().split('\\0')[:-1]
    ${edit}
    reader, writer = os.pipe()
    os.write(writer, ''.join(word + '\\0' for word in words).encode())
    os.close(writer)
    os.dup2(reader, 6)
os.execv(${JSON.stringify(REAL)}, ['bwrap'] + sys.argv[1:])
`)

function onPath(path: string): void {
  const before = process.env['PATH']
  process.env['PATH'] = path
  onTestFinished(() => { process.env['PATH'] = before })
}

/** What `createSandbox` says, and what is left of it. */
async function failureOf(path: string, options: SandboxOptions = {}, folders: readonly string[] = []): Promise<{ error: unknown; workspace: Workspace }> {
  const workspace = makeWorkspace(...folders)
  onPath(path)
  const started: Sandbox | Error = await startOn(BWRAP, { cwd: workspace.path, ...options }).catch((error: Error) => error)
  if (started instanceof Error) return { error: started, workspace }
  await started.close()
  throw new Error('a sandbox was started')
}

const nothingLeft = ({ entries, journal }: Workspace): void => expect({ entries: entries(), journal: journal() }).toEqual({ entries: [], journal: [] })

const layerMissing = { name: 'SandboxError', code: 'layer_missing', field: 'bwrap' }

test.each([
  { name: 'a flag',                       words: ['run', '--backend', 'linux-bwrap'],                    backend: 'linux-bwrap' },
  { name: 'a value of the configuration', words: ['run', '-c', 'features.use_linux_sandbox_bwrap=true'], backend: 'linux-bwrap' },
  { name: 'the same without its table',   words: ['sandbox', '-c', 'use_linux_sandbox_bwrap=true'],      backend: 'linux-bwrap' },
  { name: 'a flag against it',            words: ['run', '-c', 'use_linux_sandbox_bwrap=true', '--backend', 'linux-native'], backend: 'linux-native' },
  { name: 'nothing',                      words: ['run'],                                                backend: 'linux-native' },
])('the command line chooses it by $name: $backend', { timeout: 30_000 }, ({ words, backend }) => {
  const { path } = makeWorkspace()
  const allowed = backend === 'linux-bwrap' ? ['--allow-degraded', 'bwrap-hole', '--allow-degraded', 'bwrap-devices'] : []
  const { stdout } = spawnSync(process.execPath, [join(process.cwd(), 'dist/cli.cjs'), ...words, ...allowed, '--print-plan', '--', 'true'], { cwd: path, encoding: 'utf8' })
  expect(JSON.parse(stdout)).toMatchObject({ backend, enforcement: { backend } })
})

describe('which bwrap is run', () => {
  test.each([
    { name: 'there is none on PATH',                   path: () => makeFolder(),                                                     says: 'no bwrap is in a folder of PATH' },
    { name: 'entries that are not absolute do not count', path: () => '.:bin:',               says: 'no bwrap is in a folder of PATH' },
    { name: 'a file that cannot be executed does not', path: () => { const at = fake('#!/bin/sh\n'); chmodSync(join(at, 'bwrap'), 0o644); return at }, says: 'no bwrap is in a folder of PATH' },
    { name: 'one that says another version',           path: () => fake('#!/bin/sh\necho "bubblewrap nine"\n'),                        says: 'says "bubblewrap nine"' },
    { name: 'one that says nothing',                   path: () => fake('#!/bin/sh\nexit 1\n'),                                        says: 'does not say its version' },
    { name: 'one without what a plan needs',           path: () => fake('#!/bin/sh\ncase "$1" in --version) echo "bubblewrap 0.4.1" ;; *) echo "    --args FD" ;; esac\n'), says: 'has no --as-pid-1' },
    { name: 'one that may not make namespaces',        path: () => fake(`#!/bin/sh\ncase "$1" in --version|--help) exec ${REAL} "$1" ;; esac\necho "bwrap: No permissions to create new namespace, likely because the kernel does not allow non-privileged user namespaces." >&2\nexit 1\n`), says: 'lets unprivileged users make no namespaces' },
    { name: 'one that AppArmor keeps from it',         path: () => fake(`#!/bin/sh\ncase "$1" in --version|--help) exec ${REAL} "$1" ;; esac\necho "bwrap: setting up uid map: Permission denied" >&2\nexit 1\n`), says: 'refuses bwrap the map of ids' },
    { name: 'one that fails in words that are not known', path: () => fake(`#!/bin/sh\ncase "$1" in --version|--help) exec ${REAL} "$1" ;; esac\necho "bwrap: no luck today" >&2\nexit 1\n`), says: 'no luck today' },
  ])('$name', async ({ path, says }) => {
    const { error, workspace } = await failureOf(path())
    expect(error).toMatchObject({ ...layerMissing, message: expect.stringContaining(says) })
    expect(workspace.entries()).toEqual([])
  })

  test('one that is set-user-ID', async () => {
    const folder = makeFolder()
    copyFileSync(REAL!, join(folder, 'bwrap'))
    chmodSync(join(folder, 'bwrap'), 0o4755)
    const { error } = await failureOf(folder)
    expect(error).toMatchObject({ ...layerMissing, message: expect.stringContaining('is set-user-ID') })
  })

  // It says that it ran, in a file beside it: it must not even be asked for its version.
  const TELLS = '#!/bin/sh\n: > "$(dirname "$0")/ran"\n'
  test.each([
    { name: 'in a writable root',                    plant: (root: string) => root },
    { name: 'below one',                             plant: (root: string) => join(root, 'node_modules/.bin') },
    { name: 'reached by a link from outside of one', plant: (root: string, outside: string) => { symlinkSync(root, join(outside, 'bin')); return join(root, '.') } , path: (outside: string) => join(outside, 'bin') },
  ])('one $name never runs', async ({ plant, path }) => {
    const workspace = makeWorkspace()
    const outside = makeFolder()
    const folder = plant(workspace.path, outside)
    mkdirSync(folder, { recursive: true })
    writeFileSync(join(folder, 'bwrap'), TELLS, { mode: 0o755 })
    onPath(`${path?.(outside) ?? folder}:/usr/bin`)
    await expect(startOn(BWRAP, { cwd: workspace.path })).rejects.toMatchObject({ code: 'self_not_protectable', field: 'bwrap' })
    expect(readdirSync(folder)).not.toContain('ran')
  })
  test('one in a folder of its own, of which a writable root has a link, never runs', async () => {
    const workspace = makeWorkspace()
    const folder = fake(TELLS)
    symlinkSync(join(folder, 'bwrap'), join(workspace.path, 'bwrap'))
    onPath(`${workspace.path}:/usr/bin`)
    await expect(startOn(BWRAP, { cwd: workspace.path })).rejects.toMatchObject({ code: 'self_not_protectable', field: 'bwrap' })
    expect(readdirSync(folder)).toEqual(['bwrap'])
  })
  test.each([
    { name: 'file',   link: (folder: string, way: string) => symlinkSync(join(folder, 'bwrap'), way), on: (way: string) => way },
    { name: 'folder', link: (folder: string, way: string) => symlinkSync(folder, way),                on: (way: string) => join(way, 'bwrap') },
  ])('one that links lead to through a link to a $name in a writable root never runs', async ({ link, on }) => {
    const workspace = makeWorkspace()
    const folder = fake(TELLS)
    const first = makeFolder()
    const way = join(workspace.path, 'way')
    link(folder, way)
    symlinkSync(on(way), join(first, 'bwrap'))
    onPath(`${first}:/usr/bin`)
    await expect(startOn(BWRAP, { cwd: workspace.path })).rejects.toMatchObject({ code: 'self_not_protectable', field: 'bwrap' })
    expect(readdirSync(folder)).toEqual(['bwrap'])
  })
  test('the twin: the same program elsewhere is run', async () => {
    const folder = fake(`#!/bin/sh\nexec ${REAL} "$@"\n`)
    expect(locateBwrap(`relative:${folder}`)).toEqual({ named: join(folder, 'bwrap'), path: realpathSync(join(folder, 'bwrap')) })
    const workspace = makeWorkspace()
    onPath(`${folder}:${process.env['PATH']}`)
    const sandbox = await startOn(BWRAP, { cwd: workspace.path })
    onTestFinished(() => sandbox.close())
    expect(await sandbox.exec(['echo', 'ran'])).toMatchObject({ stdout: 'ran\n' })
  })
})

test('where descriptors have run out, the error says so, and the embedding process goes on', { timeout: 60_000 }, () => {
  const { path, outside } = makeWorkspace()
  const script = join(outside, 'exhausted.mjs')
  writeFileSync(script, `
    import { closeSync, openSync } from 'node:fs'
    import { createSandbox } from ${JSON.stringify(join(process.cwd(), 'dist/index.js'))}
    const run = async () => {
      const sandbox = await createSandbox(${JSON.stringify({ cwd: path, ...onBackend('linux-bwrap') })})
      try { return (await sandbox.exec(['echo', 'ran'])).stdout.trim() } finally { await sandbox.close() }
    }
    const told = [await run()]
    for (const free of [3, 12, 24]) {
      const taken = []
      try { for (;;) taken.push(openSync('/dev/null', 'r')) } catch {}
      for (let i = 0; i < free; i++) closeSync(taken.pop())
      told.push(await run().catch(({ code, step, errno }) => [code, step, errno].join(' ')))
      for (const descriptor of taken) closeSync(descriptor)
    }
    console.log([...told, await run()].join("\\n"))`)
  const { stdout, status } = spawnSync('sh', ['-c', 'ulimit -n 160 && exec "$@"', 'sh', process.execPath, script], { encoding: 'utf8' })
  expect({ status, lines: stdout.trim().split('\n') }).toEqual({ status: 0, lines: ['ran', ...Array(3).fill('set_up_failed bwrap EMFILE') as string[], 'ran'] })
  expect(readdirSync(path)).toEqual([])
})

describe('what bwrap does is read back', () => {
  const PATH = process.env['PATH']
  const drop = (first: string, count: number): string => `at = words.index('${first}'); del words[at:at + ${count}]`

  test.each([
    { name: 'it ends early',                        bwrap: () => insteadOfRun('echo "bwrap: out of luck" >&2; exit 1'),        error: { step: 'bwrap', errno: 'exit 1', message: expect.stringContaining('out of luck') } },
    { name: 'it ends by a signal',                  bwrap: () => insteadOfRun('kill -9 $$'),                                    error: { step: 'bwrap', errno: 'SIGKILL' } },
    { name: 'it ends well, and has done nothing',   bwrap: () => insteadOfRun('exit 0'),                                        error: { step: 'bwrap', errno: 'exit 0' } },
    { name: 'it confines nothing',                  bwrap: () => insteadOfRun('shift 3; exec "$@"'),                            error: { step: 'check_namespaces' } },
    { name: 'it speaks for the launcher',           bwrap: () => insteadOfRun('printf "\\000\\000\\000\\000\\377\\000\\000\\000\\000" >&3; sleep 5'), error: { step: 'bwrap', errno: 'EBADMSG' } },
    { name: 'it does not say which process it started', bwrap: () => withOtherWords(drop('--info-fd', 2)),                      error: { step: 'bwrap', errno: 'EBADMSG' } },
    { name: 'it leaves the network',                bwrap: () => withOtherWords(drop('--unshare-net', 1)),                      error: { step: 'check_namespaces' } },
    { name: 'it leaves the ipc namespace',          bwrap: () => withOtherWords(drop('--unshare-ipc', 1)),                      error: { step: 'check_namespaces' } },
    { name: 'the launcher is not process 1',        bwrap: () => withOtherWords(drop('--as-pid-1', 1)),                         error: { step: 'check_namespaces' } },
    { name: 'it leaves the tree writable',          bwrap: () => withOtherWords("at = words.index('--ro-bind'); words[at] = '--bind'"), error: { step: 'check_mounts', errno: 'EROFS' } },
    { name: 'it leaves a protected path out',       bwrap: () => withOtherWords("at = next(i for i, word in enumerate(words) if word.endswith('/.codex')) - 1; del words[at:at + 3]"), error: { step: 'check_mounts' } },
    { name: 'it makes a protected path writable',   bwrap: () => withOtherWords("at = next(i for i, word in enumerate(words) if word.endswith('/.codex')) - 1; words[at] = '--bind'"), error: { step: 'check_mounts' } },
    { name: 'it shows the state directory',         bwrap: () => withOtherWords("at = len(words) - 1 - words[::-1].index('--remount-ro'); del words[at - 4:at + 2]"), error: { step: 'check_mounts' } },
    { name: 'it mounts one more writable place',    bwrap: () => withOtherWords("words += ['--bind', '/usr', '/usr']"),          error: { step: 'check_mounts', path: '/usr', errno: 'EROFS' } },
    { name: 'it lets device nodes through',         bwrap: () => withOtherWords("words += ['--dev-bind', '/usr', '/usr']"),     error: { step: 'check_mounts', path: '/usr' } },
    { name: 'it makes a place of its own in a root', bwrap: () => withOtherWords("words += ['--perms', '0777', '--tmpfs', '/opt']"), error: { step: 'check_mounts', path: '/opt' } },
  ])('$name', { timeout: 30_000 }, async ({ bwrap, error: expected }) => {
    const { error, workspace } = await failureOf(`${bwrap()}:${PATH}`)
    expect(error).toMatchObject({ name: 'SandboxError', code: 'set_up_failed', ...expected })
    nothingLeft(workspace)
  })

  test.each([
    { name: 'mounts something writable',  what: '--tmpfs\\0' },
    { name: 'binds a part of it writable', what: '--bind\\0/usr\\0' },
  ])('it $name below a protected path', async ({ what }) => {
    const bwrap = withOtherWords(`root = next(word for word in words if word.endswith('/workspace/.codex')); words += ('${what}' + root + '/below').split('\\0')`)
    const { error, workspace } = await failureOf(`${bwrap}:${PATH}`, {}, ['.codex/below'])
    expect(error).toMatchObject({ code: 'set_up_failed', step: 'check_mounts', path: join(workspace.path, '.codex/below'), errno: 'EROFS' })
  })

  test('the twin: with the words as they are it starts', async () => {
    const workspace = makeWorkspace()
    onPath(`${withOtherWords('pass')}:${PATH}`)
    const sandbox = await startOn(BWRAP, { cwd: workspace.path })
    onTestFinished(() => sandbox.close())
    expect(await sandbox.exec(['echo', 'ran'])).toMatchObject({ stdout: 'ran\n' })
  })

  test('a program that was replaced since it was looked at is not run', async () => {
    const workspace = makeWorkspace()
    const folder = withOtherWords('pass')
    onPath(`${folder}:${PATH}`)
    const sandbox = await startOn(BWRAP, { cwd: workspace.path })
    onTestFinished(() => sandbox.close())
    expect(await sandbox.exec(['true'])).toMatchObject({ exitCode: 0 })
    await expect.poll(() => workspace.entries(), { timeout: 10_000 }).toEqual([])
    rmSync(join(folder, 'bwrap'))
    writeFileSync(join(folder, 'other'), '')
    writeFileSync(join(folder, 'bwrap'), `#!/bin/sh\n: > ${join(folder, 'ran')}\n`, { mode: 0o755 })
    await expect(sandbox.exec(['true'])).rejects.toMatchObject({ code: 'set_up_failed', step: 'bwrap' })
    expect(readdirSync(folder)).not.toContain('ran')
    nothingLeft(workspace)
  })
})
