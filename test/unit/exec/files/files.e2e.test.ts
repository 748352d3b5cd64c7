// sandbox.files in real sandboxes: what it does is looked at from outside, and what the policy closes is tried for real.
import { execFileSync, spawnSync } from 'node:child_process'
import { existsSync, linkSync, lstatSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, statSync, symlinkSync, writeFileSync } from 'node:fs'
import { promises as hostFs } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, onTestFinished, test } from 'vitest'
import { SandboxError } from '../../../../src/errors.js'
import { DeniedError } from '../../../../src/exec/files/file-errors.js'
import { LARGEST_FILE_BYTES, type SandboxFiles } from '../../../../src/exec/files/files.js'
import type { SandboxOptions } from '../../../../src/exec/options.js'
import { createSandbox, type Sandbox } from '../../../../src/exec/sandbox.js'
import { expectNone, processesNamed } from '../../../native/host-processes.js'
import { ownLauncher } from '../../../native/own-launcher.js'
import { makeWorkspace, type Workspace } from '../../../native/workspace.js'
import { failureOf } from '../../../support/failure-of.js'
import { type Call, expectNodesFailure, FAILING_CALLS } from './failing-calls.js'

/** The file beside this one runs the same on the supervised rung. */
const rung = process.env['TEST_RUNG'] as SandboxOptions['rung']

async function start(workspace: Workspace, options: SandboxOptions = {}): Promise<Sandbox> {
  const sandbox = await createSandbox({ cwd: workspace.path, ...(rung === undefined || options.policy === 'danger-full-access' ? {} : { rung }), ...options })
  onTestFinished(() => sandbox.close())
  return sandbox
}

describe('what it does', () => {
  test('every operation, seen from outside', async () => {
    const workspace = makeWorkspace()
    const { files } = await start(workspace)
    const outside = (name: string): string => join(workspace.path, name)

    await files.writeFile('text', 'ü\n', { mode: 0o640 })
    expect(readFileSync(outside('text'), 'utf8')).toBe('ü\n')
    expect(statSync(outside('text')).mode & 0o777).toBe(0o640 & ~process.umask())
    await files.writeFile(outside('bytes'), Buffer.from([0, 255]))
    expect([...readFileSync(outside('bytes'))]).toEqual([0, 255])
    await files.writeFile('text', 'more', { flag: 'a' })
    expect(readFileSync(outside('text'), 'utf8')).toBe('ü\nmore')
    await files.writeFile('hex', 'ff00', 'hex')
    expect([...readFileSync(outside('hex'))]).toEqual([255, 0])

    writeFileSync(outside('text'), 'from outside')
    expect(await files.readFile('text', 'utf8')).toBe('from outside')
    expect(await files.readFile('text')).toEqual(Buffer.from('from outside'))
    expect(await files.readFile('text', { encoding: 'base64' })).toBe(Buffer.from('from outside').toString('base64'))

    expect(await files.mkdir('a/b/c', { recursive: true })).toBe(outside('a'))
    expect(await files.mkdir('a/b/c', { recursive: true })).toBeUndefined()
    expect(await files.mkdir('plain')).toBeUndefined()
    expect(lstatSync(outside('a/b/c')).isDirectory()).toBe(true)
    await files.rename('text', 'a/renamed')
    expect(readFileSync(outside('a/renamed'), 'utf8')).toBe('from outside')
    expect(existsSync(outside('text'))).toBe(false)

    symlinkSync('a/renamed', outside('link'))
    expect((await files.readdir('.')).filter(name => !name.startsWith('.')).sort()).toEqual(['a', 'bytes', 'hex', 'link', 'plain'])
    const kinds = (await files.readdir('.', { withFileTypes: true })).map(entry => [entry.name, entry.isDirectory(), entry.isFile(), entry.isSymbolicLink()])
    expect(kinds.filter(([name]) => !(name as string).startsWith('.')).sort()).toEqual([
      ['a', true, false, false], ['bytes', false, true, false], ['hex', false, true, false], ['link', false, false, true], ['plain', true, false, false],
    ])
    const [seen, real] = [await files.stat('link'), statSync(outside('link'))]
    for (const field of ['ino', 'dev', 'mode', 'nlink', 'uid', 'gid', 'size', 'mtimeMs', 'blocks'] as const) expect(seen[field], field).toBe(real[field])
    expect(seen.mtime).toEqual(real.mtime)
    expect((await files.lstat('link')).isSymbolicLink()).toBe(true)

    await files.rm('a', { recursive: true })
    await files.rm('link')
    await files.rm('not-there', { force: true })
    await files.rm('not-there', { recursive: true, force: true })
    expect(workspace.entries().filter(name => !name.startsWith('.'))).toEqual(['bytes', 'hex', 'plain'])
  })

  test('sizes from nothing to the largest, many names, and many calls at once, in their order', async () => {
    const { files } = await start(makeWorkspace())
    for (const size of [0, 1, 65_535, 65_536, 65_537, 200_000, 5_000_000]) {
      const content = Buffer.alloc(size, size % 251)
      await files.writeFile('file', content)
      expect((await files.readFile('file')).equals(content), String(size)).toBe(true)
    }
    await files.mkdir('many')
    await Promise.all(Array.from({ length: 2000 }, (_, i) => files.writeFile(`many/${'n'.repeat(50)}-${i}`, String(i))))
    expect((await files.readdir('many')).length).toBe(2000)
    expect(await Promise.all(Array.from({ length: 200 }, (_, i) => files.readFile(`many/${'n'.repeat(50)}-${i}`, 'utf8')))).toEqual(Array.from({ length: 200 }, (_, i) => String(i)))
    const calls = [files.writeFile('one', '1'), files.readFile('one', 'utf8'), files.rename('one', 'two'), files.readFile('two', 'utf8'), files.rm('two')]
    expect(await Promise.all(calls)).toEqual([undefined, '1', undefined, '1', undefined])
  })

  test('/proc is the server\'s own, and files without a size are read whole', async () => {
    const { files } = await start(makeWorkspace())
    expect(await files.readFile('/proc/self/status', 'utf8')).toMatch(/^Name:\tsandbox-files\n/)
    expect(await files.readFile('/proc/self/status', 'utf8')).toMatch(/^CapEff:\t0000000000000000$/m)
    expect(await files.readFile('/proc/self/environ', 'utf8')).toBe('')
  })

  test('without a sandbox, Node\'s own functions work from the policy\'s cwd on', async () => {
    const workspace = makeWorkspace()
    const { files } = await start(workspace, { policy: 'danger-full-access' })
    await files.writeFile('x', 'y')
    expect(readFileSync(join(workspace.path, 'x'), 'utf8')).toBe('y')
    expect([await files.readdir('.'), (await files.stat('x')).size]).toEqual([['x'], 1])
  })
})

describe('writeFile', () => {
  test('a reader sees the old content or the new one, never a part', async () => {
    const workspace = makeWorkspace()
    const { files } = await start(workspace)
    const path = join(workspace.path, 'file')
    await files.writeFile('file', 'a'.repeat(300_000))
    let writing = true
    const wrong: string[] = []
    const watch = (async () => {
      while (writing) {
        const text = await hostFs.readFile(path, 'utf8')
        if (text.length !== 300_000 || text[0] !== text.at(-1)) wrong.push(`${text.length} ${text[0]}${text.at(-1)}`)
      }
    })()
    for (let i = 0; i < 50; i++) await files.writeFile('file', (i % 2 === 0 ? 'b' : 'c').repeat(300_000))
    writing = false
    await watch
    expect(wrong).toEqual([])
    expect(workspace.entries().filter(name => name.includes('tmp'))).toEqual([])
  })

  test.each<{ name: string; given: (path: string) => void; seen: (path: string) => unknown; is: unknown }>([
    { name: 'the mode stays', given: path => writeFileSync(path, 'old', { mode: 0o755 }), seen: path => statSync(path).mode & 0o777, is: 0o755 & ~process.umask() },
    { name: 'a link stays a link, and its target is written', given: path => { writeFileSync(`${path}.target`, 'old'); symlinkSync('file.target', path) }, seen: path => [lstatSync(path).isSymbolicLink(), readFileSync(`${path}.target`, 'utf8')], is: [true, 'new'] },
    { name: 'a link that leads nowhere is gone through', given: path => symlinkSync('file.target', path), seen: path => [lstatSync(path).isSymbolicLink(), readFileSync(`${path}.target`, 'utf8')], is: [true, 'new'] },
    { name: 'both names of a file with two have the content', given: path => { writeFileSync(path, 'old'); linkSync(path, `${path}.other`) }, seen: path => readFileSync(`${path}.other`, 'utf8'), is: 'new' },
    { name: 'a longer old content leaves nothing behind', given: path => writeFileSync(path, 'old'.repeat(1000)), seen: path => statSync(path).size, is: 3 },
  ])('$name', async ({ given, seen, is }) => {
    const workspace = makeWorkspace()
    const path = join(workspace.path, 'file')
    given(path)
    const { files } = await start(workspace)
    await files.writeFile('file', 'new')
    expect(readFileSync(path, 'utf8')).toBe('new')
    expect(seen(path)).toEqual(is)
    expect(readdirSync(workspace.path).filter(name => name.endsWith('.tmp'))).toEqual([])
  })

  test('a single file that may be written is written in its place, its folder untouched', async () => {
    const workspace = makeWorkspace()
    const folder = join(workspace.outside, 'other')
    mkdirSync(folder)
    writeFileSync(join(folder, 'one'), 'old'.repeat(100))
    const { ino } = statSync(join(folder, 'one'))
    const { files } = await start(workspace, { policy: { write: [join(folder, 'one')] } })
    await files.writeFile(join(folder, 'one'), 'new')
    expect([readFileSync(join(folder, 'one'), 'utf8'), statSync(join(folder, 'one')).ino, readdirSync(folder)]).toEqual(['new', ino, ['one']])
    expect(await failureOf(() => files.writeFile(join(folder, 'two'), 'x'))).toBeInstanceOf(DeniedError)
    expect(readdirSync(folder)).toEqual(['one'])
  })

  test('what is not finished leaves the old file as it was: a limit on the size of files is an answer', async () => {
    const workspace = makeWorkspace()
    writeFileSync(join(workspace.path, 'file'), 'old')
    const { files } = await start(workspace, { policy: { limits: { fileSizeBytes: 100_000 } } })
    expect(await failureOf(() => files.writeFile('file', 'n'.repeat(200_000)))).toMatchObject({ code: 'EFBIG', syscall: 'open' })
    expect(readFileSync(join(workspace.path, 'file'), 'utf8')).toBe('old')
    expect(readdirSync(workspace.path).filter(name => name.endsWith('.tmp'))).toEqual([])
    await files.writeFile('file', 'n'.repeat(100_000))
    expect(statSync(join(workspace.path, 'file')).size).toBe(100_000)
  })
})

test.for(FAILING_CALLS)('fails as Node does: $name', async row => {
  const workspace = makeWorkspace('folder', 'full/sub')
  writeFileSync(join(workspace.path, 'file'), 'x')
  symlinkSync('loop', join(workspace.path, 'loop'))
  const { files } = await start(workspace)
  const before = workspace.entries().filter(name => !name.startsWith('.'))
  await expectNodesFailure(row, files, name => join(workspace.path, name))
  expect(workspace.entries().filter(name => !name.startsWith('.'))).toEqual(before)
})

describe('what the policy closes', () => {
  interface Row { readonly name: string; readonly call: Call; readonly operation: string; readonly remedied?: boolean }
  test.for<Row>([
    { name: 'write outside',                     operation: 'create', call: fs => fs.writeFile('../other/new', 'x'), remedied: true },
    { name: 'write a file outside',              operation: 'write',  call: fs => fs.writeFile('../other/file', 'x'), remedied: true },
    { name: 'append to a file outside',          operation: 'write',  call: fs => fs.writeFile('../other/file', 'x', { flag: 'a' }), remedied: true },
    { name: 'write outside through a link',      operation: 'write',  call: fs => fs.writeFile('link/file', 'x'), remedied: true },
    { name: 'make a folder outside',             operation: 'create', call: fs => fs.mkdir('../other/deep/er', { recursive: true }), remedied: true },
    { name: 'remove a file outside',             operation: 'remove', call: fs => fs.rm('../other/file'), remedied: true },
    { name: 'remove a folder outside, with all', operation: 'remove', call: fs => fs.rm('../other', { recursive: true, force: true }) },
    { name: 'rename a file out',                 operation: 'create', call: fs => fs.rename('mine', '../other/mine'), remedied: true },
    { name: 'rename a file in',                  operation: 'remove', call: fs => fs.rename('../other/file', 'taken'), remedied: true },
    { name: 'write .git/config',                 operation: 'write',  call: fs => fs.writeFile('.git/config', 'x'), remedied: true },
    { name: 'make a hook',                       operation: 'create', call: fs => fs.writeFile('.git/hooks/pre-commit', 'x'), remedied: true },
    { name: 'make .codex',                       operation: 'create', call: fs => rung === 'supervised' ? fs.mkdir('.codex') : fs.writeFile('.codex/config.toml', 'x') },
    { name: 'remove .git',                       operation: 'remove', call: fs => fs.rm('.git', { recursive: true }) },
    { name: 'rename .git away',                  operation: 'remove', call: fs => fs.rename('.git', 'git') },
    { name: 'rename onto .git',                  operation: 'remove', call: fs => fs.rename('sub', '.git') },
    { name: 'read a denied file',                operation: 'read',   call: fs => fs.readFile('denied/key') },
    { name: 'list a denied folder',              operation: 'read',   call: fs => fs.readdir('denied') },
    { name: 'read a denied file through a link', operation: 'read',   call: fs => fs.readFile('key-link') },
    { name: 'write a denied file',               operation: 'write',  call: fs => fs.writeFile('denied/key', 'x') },
  ])('$name', async ({ call, operation, remedied }) => {
    const workspace = makeWorkspace('.git/hooks', 'sub', 'denied')
    const at = (name: string): string => join(workspace.path, name)
    mkdirSync(join(workspace.outside, 'other'))
    writeFileSync(join(workspace.outside, 'other/file'), 'outside')
    writeFileSync(at('.git/config'), '[core]\n')
    writeFileSync(at('denied/key'), 'secret')
    writeFileSync(at('mine'), 'mine')
    symlinkSync('../other', at('link'))
    symlinkSync('denied/key', at('key-link'))
    const state = (): object => ({
      all: execFileSync('find', [workspace.outside, '(', '-path', '*/state', '-o', '-path', '*/cache', ')', '-prune', '-o', '-printf', '%p %y %s\n'], { encoding: 'utf8' }).split('\n').filter(line => !/\/\.(?:codex|agents) /.test(line)).sort(),
      contents: ['../other/file', '.git/config', 'denied/key'].map(name => existsSync(at(name)) ? readFileSync(at(name), 'utf8') : undefined),
    })
    const before = state()
    const sandbox = await start(workspace, { policy: { deny: ['denied'] } })

    const error = await failureOf(() => call(sandbox.files, at))
    expect(error, String(error)).toBeInstanceOf(DeniedError)
    expect(error).toMatchObject({ code: 'denied', denial: { kind: 'file', operation } })
    expect((error as DeniedError).errno).toMatch(/^E(?:ROFS|ACCES|PERM|BUSY|XDEV)$/)
    expect(state()).toEqual(before)

    const { remedy } = (error as DeniedError).denial
    expect((error as Error).message.endsWith(`To allow: ${remedy.text}.`)).toBe(true)
    if (remedied !== true) return
    // The twin: with the remedy the same call works. Where roots are mounts, a move between two of them is another matter.
    await sandbox.grant(remedy.additionalPermissions!)
    const after = await call(sandbox.files, at).then(() => 'done', (again: NodeJS.ErrnoException) => again.code)
    expect(after).toBe(operation !== 'create' && operation !== 'remove' || !/rename/.test(String(call)) || rung === 'supervised' ? 'done' : 'EXDEV')
    if (after === 'done') expect(state()).not.toEqual(before)
  })

  test('a file\'s own mode is no denial of the policy', async () => {
    const workspace = makeWorkspace('locked')
    writeFileSync(join(workspace.path, 'file'), 'x', { mode: 0o400 })
    writeFileSync(join(workspace.path, 'none'), 'x', { mode: 0 })
    const { files } = await start(workspace)
    expect(await failureOf(() => files.writeFile('file', 'y'))).toMatchObject({ code: 'EACCES', syscall: 'open' })
    expect(await failureOf(() => files.readFile('none'))).toMatchObject({ code: 'EACCES', syscall: 'open' })
    expect(readFileSync(join(workspace.path, 'file'), 'utf8')).toBe('x')
  })

  test('while a command exchanges a folder with a link to outside, nothing outside is read, written or removed', async () => {
    const workspace = makeWorkspace('real')
    const other = join(workspace.outside, 'other')
    mkdirSync(other)
    for (const name of ['file', 'keep']) writeFileSync(join(other, name), 'outside')
    const sandbox = await start(workspace, { policy: { deny: [join(other, 'keep')] } })
    const abort = new AbortController()
    const attack = sandbox.exec(['sh', '-c', 'ln -s ../other other; while :; do mv -T real away; mv -T other real; mv -T real other; mv -T away real; done'], { signal: abort.signal, killGraceMs: 0 })
    const codes = new Set<string>()
    for (let i = 0; i < 300; i++) {
      for (const call of [() => sandbox.files.writeFile('real/file', 'inside'), () => sandbox.files.rm('real/file'), () => sandbox.files.mkdir('real/new', { recursive: true }), () => sandbox.files.readFile('real/keep', 'utf8'), () => sandbox.files.rm('real/keep', { force: true })]) {
        await call().then(() => codes.add('done'), (error: NodeJS.ErrnoException) => codes.add(error.code ?? String(error)))
      }
    }
    abort.abort()
    await attack
    expect([...codes].filter(code => !['done', 'denied', 'ENOENT', 'EROFS', 'EACCES', 'ENOTDIR', 'ELOOP'].includes(code))).toEqual([])
    expect(codes.has('done')).toBe(true)
    expect(readdirSync(other).sort()).toEqual(['file', 'keep'])
    expect(['file', 'keep'].map(name => readFileSync(join(other, name), 'utf8'))).toEqual(['outside', 'outside'])
  })

  test('with restricted reads it works although the launcher itself may not be read', async () => {
    const workspace = makeWorkspace()
    writeFileSync(join(workspace.path, 'file'), 'x')
    const launcher = ownLauncher()
    const sandbox = await start(workspace, { policy: { readOnlyAccess: { type: 'restricted' } }, launcherPath: launcher.path })
    expect((await sandbox.exec(['cat', launcher.path])).exitCode).not.toBe(0)
    expect((await sandbox.exec([launcher.path, '--serve-files'])).exitCode).toBe(126)
    expect(await sandbox.files.readFile('file', 'utf8')).toBe('x')
    await sandbox.files.writeFile('new', 'y')
    expect(readFileSync(join(workspace.path, 'new'), 'utf8')).toBe('y')
    expect(await failureOf(() => sandbox.files.readFile(launcher.path))).toBeInstanceOf(DeniedError)
  })

  test('where the launcher itself lies in a denied folder, too', async () => {
    const workspace = makeWorkspace()
    const launcher = ownLauncher()
    const sandbox = await start(workspace, { policy: { deny: [join(launcher.path, '..')] }, launcherPath: launcher.path })
    await sandbox.files.writeFile('new', 'y')
    expect(readFileSync(join(workspace.path, 'new'), 'utf8')).toBe('y')
  })
})

describe('bad input', () => {
  test.each<{ name: string; call: (files: SandboxFiles) => Promise<unknown>; error: object }>([
    { name: 'NUL in a path',        call: files => files.readFile('a\0b'), error: { code: 'path_invalid', field: 'path' } },
    { name: 'an empty path',        call: files => files.readdir(''), error: { code: 'path_invalid', field: 'path' } },
    { name: 'no path',              call: files => files.rm(7 as never), error: { code: 'path_invalid', field: 'path' } },
    { name: 'a wrong encoding',     call: files => files.readFile('a', 'utf-9' as never), error: { code: 'option_invalid', field: 'encoding' } },
    { name: 'no content',           call: files => files.writeFile('a', { x: 1 } as never), error: { code: 'option_invalid', field: 'data' } },
    { name: 'an unknown flag',      call: files => files.writeFile('a', 'x', { flag: 'r+' as never }), error: { code: 'option_invalid', field: 'flag' } },
    { name: 'a set-uid mode',       call: files => files.writeFile('a', 'x', { mode: 0o4755 }), error: { code: 'option_invalid', field: 'mode' } },
    { name: 'more than the bound',  call: files => files.writeFile('a', Buffer.alloc(LARGEST_FILE_BYTES + 1)), error: { code: 'EFBIG' } },
    { name: 'a file above it',      call: files => files.readFile('huge'), error: { code: 'EFBIG' } },
    { name: 'a pipe that nobody writes to', call: files => files.readFile('pipe'), error: { code: 'EINVAL' } },
    { name: 'a pipe that nobody reads',     call: files => files.writeFile('pipe', 'x'), error: { code: 'EINVAL' } },
    { name: 'an endless device',    call: files => files.readFile('/dev/zero'), error: { code: 'EINVAL' } },
  ])('$name', async ({ call, error }) => {
    const workspace = makeWorkspace()
    execFileSync('sh', ['-c', 'mkfifo pipe; truncate -s 100M huge'], { cwd: workspace.path })
    const { files } = await start(workspace)
    expect(await failureOf(() => call(files))).toMatchObject(error)
    // It goes on serving.
    await files.writeFile('after', 'x')
    expect(await files.readFile('after', 'utf8')).toBe('x')
  })

  test('names that are no text come as they can be shown, and line breaks in names as they are', async () => {
    const workspace = makeWorkspace()
    writeFileSync(join(workspace.path, 'a\nb'), 'x')
    const { files } = await start(workspace)
    expect((await files.readdir('.')).filter(name => name.includes('\n'))).toEqual(['a\nb'])
    expect(await files.readFile('a\nb', 'utf8')).toBe('x')
  })
})

describe('its process', () => {
  test('starts with the first call, serves all, and is started again when it was killed', async () => {
    const workspace = makeWorkspace()
    writeFileSync(join(workspace.path, 'file'), 'x')
    const sandbox = await start(workspace)
    const servers = (): number[] => processesNamed('sandbox-files').filter(pid => readLink(`/proc/${pid}/cwd`) === workspace.path)
    expect(servers()).toEqual([])
    for (let i = 0; i < 10; i++) await sandbox.files.readFile('file')
    const [first] = servers()
    expect(servers()).toHaveLength(1)
    process.kill(first!, 'SIGKILL')
    await expectNone(() => servers().filter(pid => pid === first))
    expect(await sandbox.files.readFile('file', 'utf8')).toBe('x')
    await sandbox.files.writeFile('file', 'y')
    expect(servers()).toHaveLength(1)
    await sandbox.close()
    await expectNone(servers)
  })

  test('killed while it works: what changes nothing is asked again, and the rest is told as lost', async () => {
    const workspace = makeWorkspace()
    writeFileSync(join(workspace.path, 'file'), Buffer.alloc(30 << 20))
    const sandbox = await start(workspace)
    await sandbox.files.stat('file')
    const kill = (): void => { for (const pid of processesNamed('sandbox-files').filter(pid => readLink(`/proc/${pid}/cwd`) === workspace.path)) process.kill(pid, 'SIGKILL') }
    const read = sandbox.files.readFile('file')
    kill()
    expect((await read).length).toBe(30 << 20)
    const write = sandbox.files.writeFile('file', Buffer.alloc(30 << 20, 1))
    kill()
    const outcome = await write.then(() => 'done', error => error)
    expect(outcome).toMatchObject({ code: 'files_lost', step: 'open' })
    expect(new Set(readFileSync(join(workspace.path, 'file')))).toEqual(new Set([0]))
  })

  test('after close every call says so; what was asked before is done', async () => {
    const workspace = makeWorkspace()
    const sandbox = await start(workspace)
    await sandbox.files.writeFile('first', 'x')
    const writes = Promise.all(Array.from({ length: 20 }, (_, i) => sandbox.files.writeFile(`file-${i}`, 'x'.repeat(10_000))))
    await sandbox.close()
    await writes
    expect(workspace.entries().filter(name => name.startsWith('file-'))).toHaveLength(20)
    expect(await failureOf(() => sandbox.files.readFile('first'))).toMatchObject({ code: 'sandbox_closed' })
  })

  test('an idle server never keeps Node alive, and a call that is under way does', () => {
    const folder = mkdtempSync('/var/tmp/files-alive-')
    onTestFinished(() => { execFileSync('rm', ['-rf', folder]) })
    const script = `
      const { createSandbox } = await import(${JSON.stringify(join(process.cwd(), 'dist/index.js'))})
      const sandbox = await createSandbox({ cwd: ${JSON.stringify(folder)} })
      await sandbox.files.writeFile('a', 'x')
      sandbox.files.writeFile('b', 'y'.repeat(1e7)).then(() => console.log('written'))
    `
    const { stdout, status } = spawnSync(process.execPath, ['--input-type=module', '-e', script], { encoding: 'utf8', timeout: 60_000 })
    expect({ stdout, status }).toEqual({ stdout: 'written\n', status: 0 })
    expect(statSync(join(folder, 'b')).size).toBe(1e7)
  })

  test('the step that opens the launcher\'s program fails: nothing is done, the error names it, and commands still run', async () => {
    const workspace = makeWorkspace()
    const launcher = ownLauncher('fault-injection', { CODEX_SANDBOX_FAIL_STEP: 'open_helper' })
    const sandbox = await start(workspace, { launcherPath: launcher.path })
    for (let i = 0; i < 3; i++) {
      const error = await failureOf(() => sandbox.files.writeFile('file', 'x'))
      expect(error).toBeInstanceOf(SandboxError)
      expect(error).toMatchObject({ code: 'set_up_failed', step: 'open_helper', errno: 'EIO' })
    }
    expect(existsSync(join(workspace.path, 'file'))).toBe(false)
    expect((await sandbox.exec(['true'])).exitCode).toBe(0)
  })
})

function readLink(path: string): string | undefined {
  try {
    return execFileSync('readlink', [path], { encoding: 'utf8' }).trim()
  } catch {
    return undefined
  }
}
