// What the service answers, row by row as the reference does or better, over both transports. The client knows lines of JSON only.
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readFileSync, realpathSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { spawnSync } from 'node:child_process'
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { ENV, type Message, type RawClient, type RunningService, startService, TRANSPORTS } from './raw-client.js'

const SERVICE_ENV = { ...ENV, MARK: 'of the service', OPENAI_API_KEY: 'sk-secret' }

const base64 = (text: string): string => Buffer.from(text).toString('base64')
const text = (deltas: readonly Message[]): string => Buffer.concat(deltas.map(({ deltaBase64 }) => Buffer.from(deltaBase64, 'base64'))).toString()

describe.each(TRANSPORTS)('over %s', transport => {
  let service: RunningService
  let client: RawClient
  let work: string

  beforeAll(async () => {
    work = realpathSync(mkdtempSync('/var/tmp/cs-wire-'))
    mkdirSync(join(work, 'sub'))
    writeFileSync(join(work, 'not-executable'), 'text\n')
    service = await startService(transport, { cwd: work, env: SERVICE_ENV })
    client = await service.connect()
    await client.initialize()
  })
  afterAll(async () => {
    await service.stop()
    remove(work)
  })

  const exec = (command: readonly string[], more: object = {}): Promise<Message> => client.ask('command/exec', { command, ...more })
  const shell = (script: string, more: object = {}): Promise<Message> => exec(['sh', '-c', script], more)
  /** The deltas of a process so far; all of them, once its answer has come. */
  const deltasOf = (processId: string): Message[] => {
    const found = client.messages.filter(each => each.method === 'command/exec/outputDelta' && each.params.processId === processId).map(({ params }) => params)
    client.messages.splice(0, client.messages.length, ...client.messages.filter(each => each.params?.processId !== processId))
    return found
  }

  describe('results', () => {
    test.each([
      { name: 'a command and its output', command: ['echo', 'hi'], result: { exitCode: 0, stdout: 'hi\n', stderr: '' } },
      { name: 'its own exit code', command: ['sh', '-c', 'echo no >&2; exit 7'], result: { exitCode: 7, stdout: '', stderr: 'no\n' } },
      { name: 'the end by a signal', command: ['sh', '-c', 'kill -9 $$'], result: { exitCode: 137, stdout: '', stderr: '' } },
      { name: 'a time-out, with what was written so far', command: ['sh', '-c', 'echo early; sleep 60'], more: { timeoutMs: 500 }, result: { exitCode: 124, stdout: 'early\n', stderr: '' } },
      { name: 'a time-out of 0', command: ['sleep', '60'], more: { timeoutMs: 0 }, result: { exitCode: 124, stdout: '', stderr: '' } },
      { name: 'no time-out', command: ['echo', 'hi'], more: { disableTimeout: true }, result: { exitCode: 0, stdout: 'hi\n', stderr: '' } },
      { name: 'the first bytes of each stream', command: ['sh', '-c', 'echo abcdefg; echo 1234567 >&2; exit 3'], more: { outputBytesCap: 5 }, result: { exitCode: 3, stdout: 'abcde', stderr: '12345' } },
      { name: 'none of its output', command: ['echo', 'abc'], more: { outputBytesCap: 0 }, result: { exitCode: 0, stdout: '', stderr: '' } },
      { name: 'a missing program', command: ['cs-no-such-program'], result: { exitCode: 127, stdout: '', stderr: 'codex-sandbox: cs-no-such-program: not found\n' } },
      { name: 'a program without a name', command: [''], result: { exitCode: 127, stdout: '', stderr: 'codex-sandbox: "": not found\n' } },
      { name: 'a file that is not executable', command: ['./not-executable'], result: { exitCode: 126, stdout: '', stderr: 'codex-sandbox: ./not-executable: Permission denied\n' } },
      { name: 'standard input at its end', command: ['cat'], result: { exitCode: 0, stdout: '', stderr: '' } },
      { name: 'a cwd relative to the service\'s', command: ['sh', '-c', 'basename "$PWD"'], more: { cwd: './sub' }, result: { exitCode: 0, stdout: 'sub\n', stderr: '' } },
      { name: 'nulls for what is left out', command: ['echo', 'hi'], more: { processId: null, tty: null, size: null, streamStdin: null, streamStdoutStderr: null, outputBytesCap: null, disableOutputCap: null, timeoutMs: null, disableTimeout: null, cwd: null, env: null, sandboxPolicy: null }, result: { exitCode: 0, stdout: 'hi\n', stderr: '' } },
      { name: 'text in which U+FFFD stands for what is no UTF-8', command: ['printf', 'a\\377b'], result: { exitCode: 0, stdout: 'a\ufffdb', stderr: '' } },
    ])('$name', async ({ command, more, result }) => {
      expect(await exec(command, more)).toEqual({ id: expect.any(Number), result })
    })

    test('all output, and 1 MiB of it', async () => {
      const script = 'head -c 3000000 /dev/zero | tr "\\0" x'
      const { result: all } = await shell(script, { disableOutputCap: true })
      expect([all.exitCode, all.stdout.length]).toEqual([0, 3_000_000])
      const { result: capped } = await shell(script)
      expect([capped.exitCode, capped.stdout.length]).toEqual([0, 1 << 20])
    })
    test('of all output an answer holds 32 MiB of each stream', async () => {
      const script = 'head -c 34000000 /dev/zero | tr "\\0" x; head -c 34000000 /dev/zero | tr "\\0" y >&2'
      const { result } = await shell(script, { disableOutputCap: true, disableTimeout: true })
      expect([result.exitCode, result.stdout.length, result.stderr.length]).toEqual([0, 32 << 20, 32 << 20])
    }, 60_000)
    test('without a time-out of its own a command has ten seconds', async () => {
      const { result } = await shell('sleep 60')
      expect(result.exitCode).toBe(124)
    })
    test('what a command leaves in the background holding stdout is ended with it', async () => {
      const mark = `cs-left-${transport}-${process.pid}`
      const id = client.begin('command/exec', { command: ['sh', '-c', `sh -c 'sleep 1000; : ${mark}' & echo done`] })
      expect((await client.answer(id)).result).toEqual({ exitCode: 0, stdout: 'done\n', stderr: '' })
      const { report } = await client.notification('sandbox/commandReport', ({ requestId }) => requestId === id)
      expect(report.ended.map(({ name }: { name: string }) => name)).toContain('sh')
      expect(spawnSync('pgrep', ['-f', mark]).status).toBe(1)
    })
  })

  describe('errors', () => {
    const refused = (code: number, message: string | RegExp): Message => ({ id: expect.any(Number), error: expect.objectContaining({ code, message: typeof message === 'string' ? message : expect.stringMatching(message) }) })
    test.each([
      { name: 'a negative time-out', params: { command: ['true'], timeoutMs: -1 }, error: [-32602, 'command/exec timeoutMs must be non-negative, got -1'] },
      { name: 'a time-out and none', params: { command: ['true'], timeoutMs: 1, disableTimeout: true }, error: [-32602, 'command/exec cannot set both timeoutMs and disableTimeout'] },
      { name: 'a cap and none', params: { command: ['true'], outputBytesCap: 1, disableOutputCap: true }, error: [-32602, 'command/exec cannot set both outputBytesCap and disableOutputCap'] },
      { name: 'no command', params: { command: [] }, error: [-32600, 'command must not be empty'] },
      { name: 'a cwd that does not exist', params: { command: ['true'], cwd: '/cs-nowhere' }, error: [-32602, /^cwd "\/cs-nowhere" does not exist/] },
      { name: 'a terminal without an id', params: { command: ['true'], tty: true }, error: [-32600, 'command/exec tty or streaming requires a client-supplied processId'] },
      { name: 'a stream without an id', params: { command: ['true'], streamStdoutStderr: true }, error: [-32600, 'command/exec tty or streaming requires a client-supplied processId'] },
      { name: 'a size without a terminal', params: { command: ['true'], size: { rows: 1, cols: 1 } }, error: [-32602, 'command/exec size requires tty: true'] },
      { name: 'a size of nothing', params: { command: ['true'], processId: 's', tty: true, size: { rows: 0, cols: 1 } }, error: [-32602, /rows and cols must be greater than 0/] },
      { name: 'a command that is text', params: { command: 'true' }, error: [-32600, /^Invalid request: command: /] },
      { name: 'no parameters', params: undefined, error: [-32600, /^Invalid request: /] },
      { name: 'an unknown policy', params: { command: ['true'], sandboxPolicy: { type: 'readonly' } }, error: [-32600, /^Invalid request: sandboxPolicy\.type/] },
      { name: 'a relative writable root', params: { command: ['true'], sandboxPolicy: { type: 'workspaceWrite', writableRoots: ['here'] } }, error: [-32600, /^Invalid request: sandboxPolicy\.writableRoots\[0\]/] },
      { name: 'an unknown field of a policy', params: { command: ['true'], sandboxPolicy: { type: 'readOnly', netwrkAccess: false } }, error: [-32602, /sandboxPolicy\.netwrkAccess/] },
      { name: 'a misspelt restriction', params: { command: ['true'], sandboxPolcy: { type: 'readOnly' } }, error: [-32602, /sandboxPolcy/] },
      { name: 'a word with NUL', params: { command: ['a\0b'] }, error: [-32602, /command\[0\]/] },
    ])('$name', async ({ params, error: [code, message] }) => {
      expect(await client.ask('command/exec', params)).toEqual(refused(code as number, message as string | RegExp))
    })
    test.each([
      ['command/exec/write', { deltaBase64: '' }],
      ['command/exec/resize', { size: { rows: 1, cols: 1 } }],
      ['command/exec/terminate', {}],
    ])('%s of an unknown process', async (method, more) => {
      expect(await client.ask(method, { processId: 'zz', ...more })).toEqual(refused(-32600, 'no active command/exec for process id "zz"'))
    })
    test('an unknown method', async () => {
      expect(await client.ask('command/exek')).toEqual(refused(-32601, 'unknown method "command/exek"'))
      expect(await client.ask('constructor')).toEqual(refused(-32601, 'unknown method "constructor"'))
    })
    test('an id in use, which is free again afterwards', async () => {
      const first = client.begin('command/exec', { command: ['cat'], processId: 'p4', streamStdin: true })
      expect(await exec(['true'], { processId: 'p4' })).toEqual(refused(-32600, 'duplicate active command/exec process id: "p4"'))
      await client.ask('command/exec/write', { processId: 'p4', closeStdin: true })
      expect((await client.answer(first)).result.exitCode).toBe(0)
      expect((await exec(['true'], { processId: 'p4' })).result.exitCode).toBe(0)
    })
    test('initialize a second time', async () => {
      expect(await client.ask('initialize', { clientInfo: { name: 'x', title: null, version: '1' } })).toEqual(refused(-32600, 'Already initialized'))
    })
  })

  describe('streams', () => {
    test('output as it comes, nothing of it in the answer, and the answer last', async () => {
      const id = client.begin('command/exec', { command: ['sh', '-c', 'echo one; read line; echo "$line" >&2'], processId: 's1', streamStdin: true, streamStdoutStderr: true })
      expect(await client.notification('command/exec/outputDelta', ({ processId }) => processId === 's1')).toEqual({ processId: 's1', stream: 'stdout', deltaBase64: base64('one\n'), capReached: false })
      expect((await client.ask('command/exec/write', { processId: 's1', deltaBase64: base64('two\n') })).result).toEqual({})
      expect((await client.answer(id)).result).toEqual({ exitCode: 0, stdout: '', stderr: '' })
      expect(deltasOf('s1')).toEqual([{ processId: 's1', stream: 'stderr', deltaBase64: base64('two\n'), capReached: false }])
    })
    test('the chunk that reaches the cap says so and is the last, while the command runs on', async () => {
      const id = client.begin('command/exec', { command: ['sh', '-c', 'printf abcdef; printf ghi; exit 4'], processId: 's2', streamStdoutStderr: true, outputBytesCap: 4 })
      expect((await client.answer(id)).result).toEqual({ exitCode: 4, stdout: '', stderr: '' })
      expect((await client.notification('sandbox/commandReport', ({ requestId }) => requestId === id)).report.dropped).toEqual({ stdout: 5, stderr: 0 })
      const deltas = deltasOf('s2')
      expect(text(deltas)).toBe('abcd')
      expect(deltas.map(({ capReached }) => capReached)).toEqual([...deltas.slice(1).map(() => false), true])
    })
    test('exactly the cap is the cap reached', async () => {
      await exec(['printf', 'abcd'], { processId: 's3', streamStdoutStderr: true, outputBytesCap: 4 })
      const deltas = deltasOf('s3')
      expect([text(deltas), deltas.at(-1).capReached]).toEqual(['abcd', true])
    })
    test('much output comes whole and in pieces of at most 64 KiB', async () => {
      const { result } = await shell('seq 1 300000', { processId: 's4', streamStdoutStderr: true, disableOutputCap: true })
      expect(result).toEqual({ exitCode: 0, stdout: '', stderr: '' })
      const deltas = deltasOf('s4')
      expect(text(deltas)).toBe(`${Array.from({ length: 300_000 }, (_, index) => index + 1).join('\n')}\n`)
      expect(deltas.filter(({ deltaBase64 }) => Buffer.from(deltaBase64, 'base64').length > 65_536)).toEqual([])
    })
    test('input without streamed output', async () => {
      const id = client.begin('command/exec', { command: ['cat'], processId: 's5', streamStdin: true })
      await client.ask('command/exec/write', { processId: 's5', deltaBase64: base64('given'), closeStdin: true })
      expect((await client.answer(id)).result).toEqual({ exitCode: 0, stdout: 'given', stderr: '' })
    })
    test('a terminal: all output is stdout, its size is told, and it can be resized', async () => {
      const id = client.begin('command/exec', { command: ['sh', '-c', 'stty size; read x; stty size; echo err >&2'], processId: 't1', tty: true, size: { rows: 31, cols: 97 } })
      await client.message(each => each.method === 'command/exec/outputDelta' && Buffer.from(each.params.deltaBase64, 'base64').toString().includes('31 97'))
      expect((await client.ask('command/exec/resize', { processId: 't1', size: { rows: 40, cols: 120 } })).result).toEqual({})
      await client.ask('command/exec/write', { processId: 't1', deltaBase64: base64('\n') })
      expect((await client.answer(id)).result).toEqual({ exitCode: 0, stdout: '', stderr: '' })
      const deltas = deltasOf('t1')
      expect(text(deltas)).toMatch(/40 120\r\nerr\r\n$/)
      expect([...new Set(deltas.map(({ stream }) => stream))]).toEqual(['stdout'])
    })
    test('terminate ends all of it, and the answer is 137', async () => {
      const id = client.begin('command/exec', { command: ['sh', '-c', 'echo up; sleep 1000 & sleep 1000'], processId: 'k1', streamStdoutStderr: true })
      await client.notification('command/exec/outputDelta', ({ processId }) => processId === 'k1')
      expect((await client.ask('command/exec/terminate', { processId: 'k1' })).result).toEqual({})
      expect((await client.answer(id)).result).toEqual({ exitCode: 137, stdout: '', stderr: '' })
    })
    test('a command without streams can be terminated by its id too', async () => {
      const id = client.begin('command/exec', { command: ['sh', '-c', 'echo up; sleep 1000'], processId: 'k2', disableTimeout: true })
      await new Promise(resolve => setTimeout(resolve, 300))
      await client.ask('command/exec/terminate', { processId: 'k2' })
      expect((await client.answer(id)).result.exitCode).toBe(137)
    })
    test.each([
      ['neither bytes nor an end', { processId: 'w1' }, -32602, /deltaBase64 or closeStdin/],
      ['what is no base64', { processId: 'w1', deltaBase64: '!!' }, -32602, /base64/],
    ])('write with %s', async (_name, params, code, message) => {
      const id = client.begin('command/exec', { command: ['cat'], processId: 'w1', streamStdin: true })
      expect((await client.ask('command/exec/write', params)).error).toEqual(expect.objectContaining({ code, message: expect.stringMatching(message) }))
      await client.ask('command/exec/write', { processId: 'w1', closeStdin: true })
      expect((await client.ask('command/exec/write', { processId: 'w1', deltaBase64: '' })).error?.code).toBe(-32600)
      await client.answer(id)
    })
    test('write without streamStdin, and resize without a terminal', async () => {
      const id = client.begin('command/exec', { command: ['sleep', '1000'], processId: 'w2', streamStdoutStderr: true })
      expect((await client.ask('command/exec/write', { processId: 'w2', deltaBase64: base64('x') })).error.code).toBe(-32600)
      expect((await client.ask('command/exec/resize', { processId: 'w2', size: { rows: 1, cols: 1 } })).error.code).toBe(-32600)
      await client.ask('command/exec/terminate', { processId: 'w2' })
      await client.answer(id)
    })
  })

  describe('the environment', () => {
    test('is the service\'s, with changes merged over it', async () => {
      const script = 'echo "$MARK,$MORE,${HOME-none},${CODEX_SANDBOX_NETWORK_DISABLED-unset}"'
      expect((await shell(script, { env: { MORE: 'given', HOME: null } })).result.stdout).toBe('of the service,given,none,1\n')
    })
    test('does not tell that there is no network where there is one', async () => {
      expect((await shell('echo "${CODEX_SANDBOX_NETWORK_DISABLED-unset}"', { sandboxPolicy: { type: 'readOnly', networkAccess: true } })).result.stdout).toBe('unset\n')
    })
    test('has no key of the service, unless the request gives it', async () => {
      expect((await shell('env')).result.stdout).not.toContain('sk-secret')
      expect((await shell('echo "$OPENAI_API_KEY"', { env: { OPENAI_API_KEY: 'given' } })).result.stdout).toBe('given\n')
      // Nor can it be read from the service itself.
      expect((await shell(`cat /proc/${service.process.pid}/environ /proc/*/environ 2>/dev/null | tr "\\0" "\\n"`)).result.stdout).not.toContain('sk-secret')
    })
  })

  describe('policies', () => {
    const workspaceWrite = { type: 'workspaceWrite' }
    /** Whether a path can be written, as seen from outside. */
    const canWrite = async (path: string, sandboxPolicy: object | undefined, more: object = {}): Promise<boolean> => {
      await shell(`echo x > '${path}'`, { sandboxPolicy, ...more })
      const written = existsSync(path)
      rmSync(path, { force: true })
      return written
    }
    test('none: reading only', async () => {
      expect(await canWrite(join(work, 'a'), undefined)).toBe(false)
      expect(await canWrite('/tmp/cs-wire-a', undefined)).toBe(false)
      expect((await shell('cat not-executable')).result.stdout).toBe('text\n')
    })
    test('workspaceWrite: the service\'s folder and /tmp, unless excluded', async () => {
      expect(await canWrite(join(work, 'a'), workspaceWrite)).toBe(true)
      expect(await canWrite('/tmp/cs-wire-a', workspaceWrite)).toBe(true)
      expect(await canWrite('/tmp/cs-wire-a', { ...workspaceWrite, excludeSlashTmp: true })).toBe(false)
      expect(await canWrite('/var/tmp/cs-wire-a', workspaceWrite)).toBe(false)
    })
    test('a command\'s own cwd elsewhere is not writable', async () => {
      const elsewhere = realpathSync(mkdtempSync('/var/tmp/cs-elsewhere-'))
      onTestFinished(() => remove(elsewhere))
      expect((await shell('pwd', { cwd: elsewhere, sandboxPolicy: workspaceWrite })).result.stdout).toBe(`${elsewhere}\n`)
      expect(await canWrite(join(elsewhere, 'a'), workspaceWrite, { cwd: elsewhere })).toBe(false)
      expect(await canWrite(join(elsewhere, 'a'), { ...workspaceWrite, writableRoots: [elsewhere] }, { cwd: elsewhere })).toBe(true)
    })
    test.each(['.git', '.codex', '.agents'])('%s can neither be written nor made; deeper down it can', async name => {
      expect((await shell(`mkdir ${name} || echo x > ${name}`, { sandboxPolicy: workspaceWrite })).result.exitCode).not.toBe(0)
      expect(existsSync(join(work, name, 'x')) || readOrNothing(join(work, name)) === 'x\n').toBe(false)
      expect((await shell(`mkdir sub/${name} && echo x > sub/${name}/config`, { sandboxPolicy: workspaceWrite })).result.exitCode).toBe(0)
      rmSync(join(work, 'sub', name), { recursive: true })
    })
    test('a linked worktree: neither its .git file nor where that leads', async () => {
      const folder = realpathSync(mkdtempSync('/var/tmp/cs-tree-'))
      onTestFinished(() => remove(folder))
      const git = (...words: string[]) => spawnSync('git', ['-c', 'user.name=a', '-c', 'user.email=a@b', ...words], { cwd: folder, encoding: 'utf8' })
      git('init', '-q', 'main')
      git('-C', 'main', 'commit', '-q', '--allow-empty', '-m', 'first')
      git('-C', 'main', 'worktree', 'add', '-q', '../linked')
      const sandboxPolicy = { ...workspaceWrite, writableRoots: [join(folder, 'linked'), join(folder, 'main')] }
      const { result } = await shell('echo x > .git; echo x > ../main/.git/worktrees/linked/HEAD; echo x > ../main/.git/hooks/post-commit; echo x > fine', { cwd: join(folder, 'linked'), sandboxPolicy })
      expect(result.exitCode).toBe(0)
      expect(readFileSync(join(folder, 'linked/.git'), 'utf8')).toMatch(/^gitdir: /)
      expect(readFileSync(join(folder, 'main/.git/worktrees/linked/HEAD'), 'utf8')).toMatch(/^ref: /)
      expect(existsSync(join(folder, 'main/.git/hooks/post-commit'))).toBe(false)
      expect(readFileSync(join(folder, 'linked/fine'), 'utf8')).toBe('x\n')
    })
    test('a writable root that does not exist grants nothing, and the report names it', async () => {
      const id = client.begin('command/exec', { command: ['true'], sandboxPolicy: { ...workspaceWrite, writableRoots: ['/cs-nowhere'] } })
      expect((await client.answer(id)).result.exitCode).toBe(0)
      const { report } = await client.notification('sandbox/commandReport', ({ requestId }) => requestId === id)
      expect(report.ignored).toContainEqual(expect.objectContaining({ field: 'writableRoots[0]', value: '/cs-nowhere' }))
    })
    test('restricted reading', async () => {
      const folder = realpathSync(mkdtempSync('/var/tmp/cs-read-'))
      onTestFinished(() => remove(folder))
      const secret = join(folder, 'secret')
      writeFileSync(secret, 'secret\n')
      chmodSync(secret, 0o644)
      const restricted = (readableRoots: string[]) => ({ type: 'readOnly', access: { type: 'restricted', includePlatformDefaults: true, readableRoots } })
      expect((await exec(['cat', secret], { cwd: '/usr', sandboxPolicy: restricted(['/usr']) })).result.stdout).toBe('')
      expect((await exec(['cat', secret], { cwd: '/usr', sandboxPolicy: restricted(['/usr', folder]) })).result.stdout).toBe('secret\n')
    })
    test('dangerFullAccess and externalSandbox run without a sandbox', async () => {
      for (const sandboxPolicy of [{ type: 'dangerFullAccess' }, { type: 'externalSandbox', networkAccess: 'enabled' }]) {
        expect(await canWrite('/var/tmp/cs-wire-b', sandboxPolicy)).toBe(true)
      }
    })
    // What is there beside the reference's is an empty folder that git is led to for what it may not find in a workspace.
    test('own servers, unix sockets, and a small /dev', async () => {
      const script = [
        'import socket, os', 'a = socket.socket(); a.bind(("127.0.0.1", 0)); a.listen()', 'socket.create_connection(a.getsockname())', 'l, r = socket.socketpair(); l.send(b"x"); print(r.recv(1))',
        'print(" ".join(sorted(os.listdir("/dev"))))', 'print([l.split()[1] for l in open("/proc/self/status") if l.startswith(("CapEff", "CapBnd", "NoNewPrivs", "Seccomp:"))])',
      ].join('\n')
      const { result } = await exec(['python3', '-c', script])
      expect(result.stderr).toBe('')
      expect(result.stdout).toBe('b\'x\'\ncore fd full null ptmx pts random shm stderr stdin stdout tty urandom zero\n[\'0000000000000000\', \'0000000000000000\', \'1\', \'2\']\n')
    })
  })

  describe('configuration', () => {
    test.skipIf(existsSync('/etc/codex/requirements.toml'))('configRequirements/read: nothing is required here', async () => {
      expect((await client.ask('configRequirements/read')).result).toEqual({ requirements: null })
    })
    test('config/read: the values, and the layer of each; the layers only where they are asked for', async () => {
      const { config, origins, layers } = (await client.ask('config/read', { includeLayers: true })).result
      expect(config).toMatchObject({ sandbox_mode: 'read-only', sandbox_workspace_write: { writable_roots: [], network_access: false } })
      expect(origins.sandbox_mode).toEqual({ name: expect.objectContaining({ type: 'builtIn' }), version: expect.any(String) })
      expect(layers.length).toBeGreaterThan(0)
      expect((await client.ask('config/read', {})).result.layers ?? null).toBeNull()
    })
  })

  describe('windowsSandbox', () => {
    test.each([['elevated', 'elevated Windows sandbox setup is only supported on Windows'], ['unelevated', 'legacy Windows sandbox setup is only supported on Windows']])('setupStart %s begins, and tells that it failed', async (mode, error) => {
      expect((await client.ask('windowsSandbox/setupStart', { mode, cwd: work })).result).toEqual({ started: true })
      expect(await client.notification('windowsSandbox/setupCompleted')).toEqual({ mode, success: false, error })
    })
    test('a bad mode and a relative cwd', async () => {
      expect((await client.ask('windowsSandbox/setupStart', { mode: 'full' })).error).toEqual(expect.objectContaining({ code: -32600, message: expect.stringMatching(/^Invalid request: mode: unknown variant/) }))
      expect((await client.ask('windowsSandbox/setupStart', { mode: 'elevated', cwd: 'here' })).error).toEqual(expect.objectContaining({ code: -32600, message: expect.stringMatching(/^Invalid request: cwd/) }))
    })
    test('readiness', async () => {
      expect((await client.ask('windowsSandbox/readiness', null)).result).toEqual({ status: 'notConfigured' })
    })
  })
})

/** Placeholders in it are gone soon after the last command. */
const remove = (folder: string): void => rmSync(folder, { recursive: true, force: true, maxRetries: 20, retryDelay: 100 })

const readOrNothing = (path: string): string | undefined => {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return undefined
  }
}
