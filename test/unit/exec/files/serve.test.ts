// The file server that Node carries out, where the launcher has none: the same answers as Node's own functions, and as the other
// server's. The sandbox is that of macOS with a program in the place of sandbox-exec that confines nothing.
import { execFileSync, spawnSync } from 'node:child_process'
import { chmodSync, existsSync, linkSync, lstatSync, mkdirSync, mkdtempSync, promises as hostFs, readdirSync, readFileSync, realpathSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { beforeEach, describe, expect, onTestFinished, test } from 'vitest'
import { renderFileServer } from '../../../../scripts/emit-file-server.js'
import { DeniedError } from '../../../../src/exec/files/file-errors.js'
import { LARGEST_FILE_BYTES, type SandboxFiles } from '../../../../src/exec/files/files.js'
import { FILE_SERVER } from '../../../../src/exec/files/serve.generated.js'
import { Sandbox } from '../../../../src/exec/sandbox.js'
import { takeSnapshot } from '../../../../src/host/snapshot.js'
import { macosSeatbeltBackend } from '../../../../src/platform/macos/backend.js'
import { FILE_ANSWER } from '../../../../src/platform/linux/native/file-operations.generated.js'
import type { HostSnapshot } from '../../../../src/policy/host-snapshot.js'
import { presetPolicy } from '../../../../src/policy/presets.js'
import { resolve } from '../../../../src/policy/resolve.js'
import type { SandboxPolicy } from '../../../../src/policy/sandbox-policy.js'
import { compileOptions } from '../../../support/linux-layers.js'
import { SEATBELT_THERE } from '../../../support/macos-host.js'
import { sandboxExecStandIn, type StandIn } from '../../../support/stand-ins.js'
import { failureOf } from '../../../support/failure-of.js'
import { expectNodesFailure, FAILING_CALLS } from './failing-calls.js'

const asMac = (cwd: string): HostSnapshot => ({ ...takeSnapshot({ selfPaths: [], cwd }), platform: 'macos' })

interface Started { readonly files: SandboxFiles; readonly sandbox: Sandbox; readonly at: (name: string) => string; readonly standIn: StandIn }

async function start({ policy: changes = {}, instead }: { policy?: Partial<SandboxPolicy>; instead?: string } = {}): Promise<Started> {
  const folder = realpathSync(mkdtempSync(join(tmpdir(), 'serve-')))
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }))
  const host = asMac(folder)
  const policy = resolve({ ...presetPolicy('workspace-write', 'reference'), ...changes }, host)
  const standIn = sandboxExecStandIn(instead)
  const backend = macosSeatbeltBackend({ sandboxExec: standIn.path })
  const entry = host.files.entry(folder)
  const plan = backend.compile(policy, SEATBELT_THERE, compileOptions({ limits: changes.limits ?? {}, cwdIdentity: { device: entry?.device ?? '', inode: entry?.inode ?? '' } }))
  const sandbox = new Sandbox(policy, plan, await backend.start(plan), () => asMac(folder))
  onTestFinished(() => sandbox.close())
  return { files: sandbox.files, sandbox, at: name => join(folder, name), standIn }
}

function u32(value: number): Buffer {
  const buffer = Buffer.alloc(4)
  buffer.writeUInt32LE(value)
  return buffer
}

test('the text is that of the source', async () => {
  expect(readFileSync('src/exec/files/serve.generated.ts', 'utf8')).toBe(await renderFileServer())
})

test('it is a command of the sandbox, with nothing of this process\'s environment', async () => {
  const { files, at, standIn } = await start({ instead: 'env > "$0.env"' })
  await files.writeFile('a', 'x')
  expect(readFileSync(at('a'), 'utf8')).toBe('x')
  expect(standIn.words()).toContain('-p')
  expect(standIn.words().slice(standIn.words().indexOf('--') + 1, -1)).toEqual([process.execPath, '-e'])
  const variables = readFileSync(`${standIn.path}.env`, 'utf8').trim().split('\n').map(line => line.split('=')[0]).filter(name => !['PWD', '_', 'SHLVL', 'OLDPWD'].includes(name as string))
  expect(variables.sort()).toEqual(['CODEX_SANDBOX', 'ELECTRON_RUN_AS_NODE'])
})

test('every operation, seen from outside', async () => {
  const { files, at } = await start()
  await files.writeFile('text', 'ü\n', { mode: 0o640 })
  expect([readFileSync(at('text'), 'utf8'), statSync(at('text')).mode & 0o777]).toEqual(['ü\n', 0o640 & ~process.umask()])
  await files.writeFile(at('bytes'), Buffer.from([0, 255]))
  expect([...readFileSync(at('bytes'))]).toEqual([0, 255])
  await files.writeFile('text', 'more', { flag: 'a' })
  expect(await files.readFile('text', 'utf8')).toBe('ü\nmore')
  expect(await files.mkdir('a/b/c', { recursive: true })).toBe(at('a'))
  expect(await files.mkdir('a/b/c', { recursive: true })).toBeUndefined()
  expect(await files.mkdir('plain', 0o700)).toBeUndefined()
  await files.rename('text', 'a/renamed')
  expect([readFileSync(at('a/renamed'), 'utf8'), existsSync(at('text'))]).toEqual(['ü\nmore', false])
  symlinkSync('a/renamed', at('link'))
  execFileSync('mkfifo', [at('pipe')])
  expect((await files.readdir('.')).sort()).toEqual(['a', 'bytes', 'link', 'pipe', 'plain'])
  const kinds = (await files.readdir('.', { withFileTypes: true })).map(entry => `${entry.name} ${entry.isDirectory()} ${entry.isFile()} ${entry.isSymbolicLink()} ${entry.isFIFO()}`)
  expect(kinds.sort()).toEqual(['a true false false false', 'bytes false true false false', 'link false false true false', 'pipe false false false true', 'plain true false false false'])
  const [seen, real] = [await files.stat('link'), statSync(at('link'))]
  for (const field of ['ino', 'dev', 'mode', 'nlink', 'uid', 'gid', 'rdev', 'size', 'atimeMs', 'mtimeMs', 'ctimeMs', 'blksize', 'blocks'] as const) expect(seen[field], field).toBe(real[field])
  expect((await files.lstat('link')).isSymbolicLink()).toBe(true)
  mkdirSync(at('kept'))
  writeFileSync(at('kept/file'), '')
  symlinkSync('../../kept', at('a/b/out'))
  await files.rm('a', { recursive: true })
  await files.rm('link')
  await files.rm('not-there', { force: true })
  expect([readdirSync(at('.')).sort(), readdirSync(at('kept'))]).toEqual([['bytes', 'kept', 'pipe', 'plain'], ['file']])
})

test('sizes from nothing to the largest, many names, many calls at once, in their order', async () => {
  const { files, at } = await start()
  for (const size of [0, 1, 65_535, 65_536, 65_537, 200_000, LARGEST_FILE_BYTES]) {
    const content = Buffer.alloc(size, size % 251)
    await files.writeFile('file', content)
    expect((await files.readFile('file')).equals(content), String(size)).toBe(true)
  }
  expect(statSync(at('file')).size).toBe(LARGEST_FILE_BYTES)
  await files.mkdir('many')
  await Promise.all(Array.from({ length: 2000 }, (_, i) => files.writeFile(`many/${'n'.repeat(50)}-${i}`, String(i))))
  expect((await files.readdir('many')).length).toBe(2000)
  const calls = [files.writeFile('one', '1'), files.readFile('one', 'utf8'), files.rename('one', 'two'), files.readFile('two', 'utf8'), files.rm('two')]
  expect(await Promise.all(calls)).toEqual([undefined, '1', undefined, '1', undefined])
})

describe('writeFile', () => {
  test('a reader sees the old content or the new one, never a part', async () => {
    const { files, at } = await start()
    await files.writeFile('file', 'a'.repeat(300_000))
    let writing = true
    const wrong: string[] = []
    const watch = (async () => {
      while (writing) {
        const text = await hostFs.readFile(at('file'), 'utf8')
        if (text.length !== 300_000 || text[0] !== text.at(-1)) wrong.push(`${text.length} ${text[0]}${text.at(-1)}`)
      }
    })()
    for (let i = 0; i < 50; i++) await files.writeFile('file', (i % 2 === 0 ? 'b' : 'c').repeat(300_000))
    writing = false
    await watch
    expect([wrong, readdirSync(at('.'))]).toEqual([[], ['file']])
  })

  test.each<{ name: string; given: (path: string) => void; seen: (path: string) => unknown; is: unknown }>([
    { name: 'the mode stays', given: path => { writeFileSync(path, 'old'); chmodSync(path, 0o755) }, seen: path => statSync(path).mode & 0o777, is: 0o755 },
    { name: 'a link stays a link, and its target is written', given: path => { writeFileSync(`${path}.target`, 'old'); symlinkSync('file.target', path) }, seen: path => [lstatSync(path).isSymbolicLink(), readFileSync(`${path}.target`, 'utf8')], is: [true, 'new'] },
    { name: 'a link that leads nowhere is gone through', given: path => symlinkSync('file.target', path), seen: path => [lstatSync(path).isSymbolicLink(), readFileSync(`${path}.target`, 'utf8')], is: [true, 'new'] },
    { name: 'both names of a file with two have the content', given: path => { writeFileSync(path, 'old'); linkSync(path, `${path}.other`) }, seen: path => readFileSync(`${path}.other`, 'utf8'), is: 'new' },
    { name: 'a longer old content leaves nothing behind', given: path => writeFileSync(path, 'old'.repeat(1000)), seen: path => statSync(path).size, is: 3 },
  ])('$name', async ({ given, seen, is }) => {
    const { files, at } = await start()
    given(at('file'))
    await files.writeFile('file', 'new')
    expect([readFileSync(at('file'), 'utf8'), seen(at('file')), readdirSync(at('.')).filter(name => name.endsWith('.tmp'))]).toEqual(['new', is, []])
  })

  test('what is not finished leaves the old file as it was: a limit on the size of files is an answer', async () => {
    const { files, at } = await start({ policy: { limits: { fileSizeBytes: 102_400 } } })
    writeFileSync(at('file'), 'old')
    expect(await failureOf(() => files.writeFile('file', 'n'.repeat(200_000)))).toMatchObject({ code: 'EFBIG', syscall: 'open' })
    expect([readFileSync(at('file'), 'utf8'), readdirSync(at('.'))]).toEqual(['old', ['file']])
    await files.writeFile('file', 'n'.repeat(102_400))
    expect(statSync(at('file')).size).toBe(102_400)
  })
})

test.for(FAILING_CALLS)('fails as Node does: $name', async row => {
  const { files, at } = await start()
  for (const folder of ['folder', 'full/sub']) mkdirSync(at(folder), { recursive: true })
  writeFileSync(at('file'), 'x')
  symlinkSync('loop', at('loop'))
  const before = readdirSync(at('.'), { recursive: true })
  await expectNodesFailure(row, files, at)
  expect(readdirSync(at('.'), { recursive: true })).toEqual(before)
})

test.each<{ name: string; call: (files: SandboxFiles) => Promise<unknown>; code: string }>([
  { name: 'more than the bound',          call: files => files.writeFile('a', Buffer.alloc(LARGEST_FILE_BYTES + 1)), code: 'EFBIG' },
  { name: 'a file above it',              call: files => files.readFile('huge'), code: 'EFBIG' },
  { name: 'a pipe that nobody writes to', call: files => files.readFile('pipe'), code: 'EINVAL' },
  { name: 'a pipe that nobody reads',     call: files => files.writeFile('pipe', 'x'), code: 'EINVAL' },
  { name: 'the same, to append',          call: files => files.writeFile('pipe', 'x', { flag: 'a' }), code: 'ENXIO' },
  { name: 'an endless device',            call: files => files.readFile('/dev/zero'), code: 'EINVAL' },
  { name: 'a folder, not emptied',        call: files => files.rm('folder'), code: 'EISDIR' },
])('$name, and it goes on serving', async ({ call, code }) => {
  const { files, at } = await start()
  execFileSync('sh', ['-c', 'mkfifo pipe; truncate -s 100M huge; mkdir folder'], { cwd: at('.') })
  expect(await failureOf(() => call(files))).toMatchObject({ code })
  await files.writeFile('after', 'x')
  expect(await files.readFile('after', 'utf8')).toBe('x')
})

describe('what the kernel refuses', () => {
  test('is told as the denial of the policy that it is', async () => {
    // Nothing is confined here: a file system in which nobody makes names refuses in its place.
    const { files } = await start()
    const error = await failureOf(() => files.mkdir('/sys/new'))
    expect(error, String(error)).toBeInstanceOf(DeniedError)
    expect(error).toMatchObject({ code: 'denied', errno: expect.stringMatching(/^E(PERM|ACCES|ROFS)$/), denial: { kind: 'file', operation: 'create', path: '/sys/new', certainty: 'observed' } })
  })

  test('what a file\'s own mode refuses is no denial', async context => {
    if (process.getuid?.() === 0) context.skip('root is refused nothing by a mode')
    const { files, at } = await start()
    writeFileSync(at('file'), 'x', { mode: 0o400 })
    expect(await failureOf(() => files.writeFile('file', 'y'))).toMatchObject({ code: 'EACCES' })
  })

  test('Node itself may not be run: the error says so', async () => {
    const { files } = await start({ instead: 'echo "sandbox-exec: execvp() of \'$1\' failed: Operation not permitted" >&2; exit 71' })
    expect(await failureOf(() => files.readFile('x'))).toMatchObject({ code: 'set_up_failed', step: 'exec', errno: 'EPERM', message: expect.stringContaining(process.execPath) })
  })
})

test('killed while it works: what changes nothing is asked again, and the rest is told as lost', async () => {
  const { files, at, standIn } = await start({ instead: 'echo $$ > "$0.pid"' })
  const kill = (): void => { process.kill(Number(readFileSync(`${standIn.path}.pid`, 'utf8')), 'SIGKILL') }
  writeFileSync(at('file'), Buffer.alloc(30 << 20))
  await files.stat('file')
  const read = files.readFile('file')
  kill()
  expect((await read).length).toBe(30 << 20)
  const write = failureOf(() => files.writeFile('file', Buffer.alloc(30 << 20, 1)))
  kill()
  expect(await write).toMatchObject({ code: 'files_lost', step: 'open' })
  expect(new Set(readFileSync(at('file')))).toEqual(new Set([0]))
})

test('after close every call says so; what was asked before is done', async () => {
  const { files, sandbox, at } = await start()
  await files.writeFile('first', 'x')
  const writes = Promise.all(Array.from({ length: 20 }, (_, i) => files.writeFile(`file-${i}`, 'x'.repeat(10_000))))
  await sandbox.close()
  await writes
  expect(readdirSync(at('.')).filter(name => name.startsWith('file-'))).toHaveLength(20)
  expect(await failureOf(() => files.readFile('first'))).toMatchObject({ code: 'sandbox_closed' })
})

describe('a name that is held where it is', () => {
  const unshare = ['unshare', ...(process.getuid?.() === 0 ? [] : ['--map-root-user']), '--mount', 'sh', '-c']
  const canMount = spawnSync(unshare[0] as string, [...unshare.slice(1), 'mount --bind /tmp /tmp']).status === 0
  beforeEach(context => { if (!canMount) context.skip('nothing can be mounted here') })
  test.each<{ name: string; prepare: string; left: string }>([
    { name: 'the content goes into the file that has it', prepare: 'mount --bind file file', left: 'new' },
    { name: 'the same where no file can be made beside it', prepare: 'mount --bind . . && mount -o remount,bind,ro . && mount --bind file "$PWD/file" && mount -o remount,bind,rw "$PWD/file"', left: 'new' },
    { name: 'the twin: a file that is read-only stays as it was', prepare: 'mount --bind file file && mount -o remount,bind,ro file', left: 'old content' },
  ])('$name', async ({ prepare, left }) => {
    const { at } = await start()
    writeFileSync(at('file'), 'old content')
    const before = statSync(at('file')).ino
    const path = Buffer.from(at('file'))
    const request = Buffer.concat([Buffer.alloc(4), Buffer.from([7, 0, 0, 0, 2, 0, 0xb6, 1, 0, 0]), u32(path.length), path, Buffer.from('new')])
    request.writeUInt32LE(request.length - 4)
    const { stdout, stderr } = spawnSync(unshare[0] as string, [...unshare.slice(1), `${prepare} && cd "$PWD" && exec "$@"`, 'sh', process.execPath, '-e', FILE_SERVER.join('\n')], { cwd: at('.'), input: request })
    expect([stderr.toString(), stdout[8]]).toEqual(['', left === 'new' ? FILE_ANSWER.DONE : FILE_ANSWER.FAILED])
    expect([readFileSync(at('file'), 'utf8'), statSync(at('file')).ino, readdirSync(at('.'))]).toEqual([left, before, ['file']])
  })
})

describe('what does not speak the language ends it', () => {
  test.each<{ name: string; bytes: number[] }>([
    { name: 'a length too small',      bytes: [1, 0, 0, 0, 1, 0, 0, 0, 1] },
    { name: 'a length too large',      bytes: [255, 255, 255, 255, 1, 0, 0, 0, 1] },
    { name: 'an unknown operation',    bytes: [6, 0, 0, 0, 1, 0, 0, 0, 99, 0x61] },
    { name: 'a payload that is short', bytes: [5, 0, 0, 0, 1, 0, 0, 0, 1] },
    { name: 'a path that is cut off',  bytes: [15, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 0, 0, 200, 0, 0, 0, 0x61] },
  ])('$name', ({ bytes }) => {
    expect(() => execFileSync(process.execPath, ['-e', FILE_SERVER.join('\n')], { input: Buffer.from(bytes), stdio: ['pipe', 'pipe', 'ignore'] })).toThrow(expect.objectContaining({ status: expect.any(Number), stdout: Buffer.alloc(0) }))
  })
})
