// What widens a sandbox: for one command, or from now on. Each thing that opens is tried before and after, and seen from outside.
import { execFileSync } from 'node:child_process'
import { existsSync, mkdirSync, readFileSync, renameSync, symlinkSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, onTestFinished, test } from 'vitest'
import type { SandboxOptions } from '../../../src/exec/options.js'
import { createSandbox, type Sandbox } from '../../../src/exec/sandbox.js'
import type { AdditionalPermissions } from '../../../src/policy/additional-permissions.js'
import { childrenOf, expectNone } from '../../native/host-processes.js'
import { ownLauncher } from '../../native/own-launcher.js'
import { makeWorkspace, type Workspace } from '../../native/workspace.js'
import { failureOf } from '../../support/failure-of.js'

/** The file beside this one runs the same on the supervised rung. */
const rung = process.env['TEST_RUNG'] as SandboxOptions['rung']

async function start(workspace: Workspace, options: SandboxOptions = {}): Promise<Sandbox> {
  const sandbox = await createSandbox({ cwd: workspace.path, ...(rung === undefined || options.policy === 'danger-full-access' ? {} : { rung }), ...options })
  onTestFinished(() => sandbox.close())
  return sandbox
}

/** A folder beside the workspace. */
function other(workspace: Workspace, name = 'other'): string {
  const path = join(workspace.outside, name)
  mkdirSync(path)
  return path
}

const write = (path: string): string[] => ['sh', '-c', 'echo x > "$1"', 'sh', path]
const codeOf = async (sandbox: Sandbox, argv: readonly string[], additionalPermissions?: AdditionalPermissions): Promise<number> =>
  (await sandbox.exec(argv, additionalPermissions === undefined ? {} : { additionalPermissions })).exitCode

describe('one command', () => {
  test('may write where it is permitted to, and the others may not', async () => {
    const workspace = makeWorkspace()
    const folder = other(workspace)
    const sandbox = await start(workspace)
    const permissions = { fileSystem: { write: [folder] } }
    expect(await codeOf(sandbox, write(join(folder, 'a')))).not.toBe(0)
    const both = await Promise.all([codeOf(sandbox, write(join(folder, 'b')), permissions), codeOf(sandbox, write(join(folder, 'c')))])
    expect([both[0], both[1] === 0]).toEqual([0, false])
    expect(['a', 'b', 'c'].filter(name => existsSync(join(folder, name)))).toEqual(['b'])
    expect(await codeOf(sandbox, write(join(folder, 'd')))).not.toBe(0)
    // Its own workspace is writable for it too, and what is protected stays so.
    expect(await codeOf(sandbox, write('in-workspace'), permissions)).toBe(0)
    expect(await codeOf(sandbox, write('.git'), permissions)).not.toBe(0)
  })

  test('a denial\'s remedy is passed on unchanged: a write, a secret, a protected folder, the network', async () => {
    const workspace = makeWorkspace('.git')
    const folder = other(workspace)
    const sandbox = await start(workspace)
    const target = join(folder, 'new')
    const failed = await sandbox.exec(write(target))
    const [denial] = failed.denials
    expect(denial).toMatchObject({ operation: 'create', path: target })
    const allowed = await sandbox.exec(write(target), { additionalPermissions: denial!.remedy.additionalPermissions! })
    expect([allowed.exitCode, readFileSync(target, 'utf8')]).toEqual([0, 'x\n'])
    const decision = await sandbox.decide({ kind: 'write', path: '.git/config' })
    if (decision.verdict !== 'deny') throw new Error('.git/config is open')
    const opened = await sandbox.exec(write('.git/x'), { additionalPermissions: { fileSystem: { write: [join(workspace.path, '.git')] } } })
    expect(opened.exitCode).toBe(0)
    expect(opened.enforcement.notes).toContainEqual(`additionalPermissions open ${JSON.stringify(join(workspace.path, '.git'))}, which is protected in ${JSON.stringify(workspace.path)} otherwise`)
    expect(existsSync(join(workspace.path, '.git/x'))).toBe(true)
  })

  test('an operation of git that is closed passes by its remedy, though what holds its place stands there', async ({ skip }) => {
    if (rung === 'supervised') skip('there is no denial for it yet')
    const workspace = makeWorkspace()
    const identity = { GIT_AUTHOR_NAME: 'A', GIT_AUTHOR_EMAIL: 'a@example.org', GIT_COMMITTER_NAME: 'A', GIT_COMMITTER_EMAIL: 'a@example.org' }
    execFileSync('sh', ['-euc', 'git init -q -b main; echo 1 > a; git add a; git commit -qm one; git switch -qc feature; echo f > f; git add f; git commit -qm feature; git format-patch -q -1 -o patches; git switch -q main; echo m > m; git add m; git commit -qm main'], { cwd: workspace.path, env: { ...process.env, ...identity } })
    const sandbox = await start(workspace, { policy: { git: 'commits' } })
    await sandbox.files.stat('a')
    const failed = await sandbox.exec(['sh', '-c', 'git am -q patches/*'], { env: identity })
    const denial = failed.denials.find(({ path }) => path?.endsWith('.git/rebase-apply'))
    expect([failed.exitCode === 0, denial?.operation]).toEqual([false, 'create'])
    const permissions = denial!.remedy.additionalPermissions!
    // What holds the place is still there: this command, the file server of before, and in vain as long as something runs.
    const other = sandbox.spawn(['sleep', '1000'])
    await new Promise(resolve => other.once('spawn', () => resolve(undefined)))
    expect(await failureOf(() => sandbox.exec(['true'], { additionalPermissions: permissions }))).toMatchObject({ code: 'permission_refused' })
    other.kill('SIGKILL')
    await other.exited
    const passed = await sandbox.exec(['sh', '-c', 'git am -q patches/* && git log --format=%s'], { env: identity, additionalPermissions: permissions })
    expect([passed.exitCode, passed.stdout]).toEqual([0, 'feature\nmain\none\n'])
    expect((await sandbox.exec(['sh', '-c', 'git reset -q --hard main~1 && git am -q patches/*'], { env: identity })).exitCode).not.toBe(0)
  })

  test('gets the network, and the others do not', async () => {
    const server = createServer(socket => socket.end('hello'))
    await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
    onTestFinished(() => void server.close())
    const { port } = server.address() as { port: number }
    const sandbox = await start(makeWorkspace())
    const connect = [process.execPath, '-e', `require('node:net').connect(${port}, '127.0.0.1').on('data', d => process.stdout.write(d)).on('error', e => { console.log(e.code); process.exit(1) })`]
    expect(await sandbox.exec(connect)).toMatchObject({ exitCode: 1, stdout: 'ECONNREFUSED\n' })
    const denied = await sandbox.decide({ kind: 'connect', host: '192.0.2.1', port: 443 })
    if (denied.verdict !== 'deny') throw new Error('the network is open')
    expect(await sandbox.exec(connect, { additionalPermissions: denied.remedy.additionalPermissions! })).toMatchObject({ exitCode: 0, stdout: 'hello' })
    expect((await sandbox.exec(['sh', '-c', 'echo $CODEX_SANDBOX_NETWORK_DISABLED'], { additionalPermissions: { network: { enabled: true } } })).stdout).toBe('\n')
    expect((await sandbox.exec(['sh', '-c', 'echo $CODEX_SANDBOX_NETWORK_DISABLED'])).stdout).toBe('1\n')
  })

  test('shares no loopback, no processes and no shared memory with the others', async ({ skip }) => {
    if (rung === 'supervised') skip('commands have no loopback there, and see the host\'s processes')
    const workspace = makeWorkspace()
    const folder = other(workspace)
    const permissions = { fileSystem: { write: [folder] } }
    const sandbox = await start(workspace)
    const child = sandbox.spawn([process.execPath, '-e', 'require("fs").writeFileSync("/dev/shm/mark", "x"); require("node:net").createServer(s => s.end()).listen(4123, "127.0.0.1", () => console.log("up"))'])
    await new Promise(resolve => child.stdout.once('data', resolve))
    const look = [process.execPath, '-e', 'const up = require("fs").existsSync("/dev/shm/mark"); require("node:net").connect(4123, "127.0.0.1").on("connect", () => { console.log(up, "connected"); process.exit() }).on("error", e => console.log(up, e.code))']
    expect((await sandbox.exec(look)).stdout).toBe('true connected\n')
    expect((await sandbox.exec(look, { additionalPermissions: permissions })).stdout).toBe('false ECONNREFUSED\n')
    child.kill('SIGKILL')
    await child.exited
  })

  test('with streams: what is written before the launcher is there arrives, and kill works', async () => {
    const workspace = makeWorkspace()
    const folder = other(workspace)
    const sandbox = await start(workspace)
    const child = sandbox.spawn(['sh', '-c', 'cat > "$0/copy"; echo done', folder], { additionalPermissions: { fileSystem: { write: [folder] } } })
    child.stdin!.end('a line\n')
    let text = ''
    child.stdout.on('data', chunk => { text += chunk })
    expect((await child.exited).exitCode).toBe(0)
    expect([text, readFileSync(join(folder, 'copy'), 'utf8')]).toEqual(['done\n', 'a line\n'])
    const killed = sandbox.spawn(['sleep', '1000'], { additionalPermissions: { fileSystem: { write: [folder] } } })
    killed.kill('SIGKILL')
    expect(await killed.exited).toMatchObject({ signal: 'SIGKILL' })
  })

  test('the same permissions use one launcher, other ones another; close ends all', async () => {
    const workspace = makeWorkspace()
    const [first, second] = [other(workspace, 'first'), other(workspace, 'second')]
    const launcher = ownLauncher()
    const sandbox = await start(workspace, { launcherPath: launcher.path })
    const launchers = (): number => childrenOf(process.pid).filter(pid => launcher.processes().includes(pid)).length
    await codeOf(sandbox, ['true'])
    expect(launchers()).toBe(1)
    for (const write of [[first], [first], [first, first]]) expect(await codeOf(sandbox, ['true'], { fileSystem: { write, read: [second] } })).toBe(0)
    expect(launchers()).toBe(2)
    expect(await codeOf(sandbox, ['true'], { fileSystem: { write: [second] } })).toBe(0)
    expect(launchers()).toBe(3)
    for (let i = 0; i < 12; i++) {
      expect(await codeOf(sandbox, ['true'], { fileSystem: { write: [other(workspace, `more-${i}`)] } })).toBe(0)
    }
    await expect.poll(launchers, { timeout: 20_000 }).toBe(9)
    // What is permitted already needs none.
    expect(await codeOf(sandbox, ['true'], { fileSystem: { write: [workspace.path], read: ['/etc/hostname'] } })).toBe(0)
    await sandbox.close()
    await expectNone(launcher.processes)
  })
})

describe('a grant', () => {
  test('is for later commands and files; what runs stays as it was', async () => {
    const workspace = makeWorkspace()
    const folder = other(workspace)
    const sandbox = await start(workspace)
    const running = sandbox.spawn(['sh', '-c', 'read line; echo x > "$1/from-running"', 'sh', folder])
    expect(await sandbox.grant({ fileSystem: { write: [folder] } })).toEqual({ changed: true, notes: [] })
    expect(await sandbox.grant({ fileSystem: { write: [folder, workspace.path] } })).toEqual({ changed: false, notes: [] })
    running.stdin!.end('go\n')
    expect((await running.exited).exitCode).not.toBe(0)
    expect(await codeOf(sandbox, write(join(folder, 'later')))).toBe(0)
    await sandbox.files.writeFile(join(folder, 'file'), 'x')
    expect(['from-running', 'later', 'file'].map(name => existsSync(join(folder, name)))).toEqual([false, true, true])
    expect((await sandbox.decide({ kind: 'create', path: join(folder, 'y') })).verdict).toBe('allow')
    // A second one adds to the first.
    const more = other(workspace, 'more')
    await sandbox.grant({ fileSystem: { write: [more] } })
    expect([await codeOf(sandbox, write(join(folder, 'again'))), await codeOf(sandbox, write(join(more, 'again')))]).toEqual([0, 0])
  })

  test('the old launcher goes when the last command in it has ended', async () => {
    const workspace = makeWorkspace()
    const launcher = ownLauncher()
    const sandbox = await start(workspace, { launcherPath: launcher.path })
    const { pid } = sandbox
    const running = sandbox.spawn(['sh', '-c', 'read line'])
    await sandbox.grant({ fileSystem: { write: [other(workspace)] } })
    expect(sandbox.pid).not.toBe(pid)
    expect(launcher.processes()).toContain(pid)
    running.stdin!.end()
    await running.exited
    await expectNone(() => launcher.processes().filter(each => each === pid))
    expect(await codeOf(sandbox, ['true'])).toBe(0)
  })

  test('addReadRoot opens a folder where reads are restricted, also by a relative path', async () => {
    const workspace = makeWorkspace()
    const folder = other(workspace)
    writeFileSync(join(folder, 'file'), 'text')
    const sandbox = await start(workspace, { policy: { readOnlyAccess: { type: 'restricted' } } })
    expect(await codeOf(sandbox, ['cat', join(folder, 'file')])).not.toBe(0)
    expect((await sandbox.addReadRoot('../other')).changed).toBe(true)
    expect((await sandbox.exec(['cat', join(folder, 'file')])).stdout).toBe('text')
    expect(await codeOf(sandbox, write(join(folder, 'file')))).not.toBe(0)
    expect(await failureOf(() => sandbox.addReadRoot(join(folder, 'file')))).toMatchObject({ code: 'path_not_directory', field: 'folder' })
    expect(await failureOf(() => sandbox.addReadRoot('/not/there'))).toMatchObject({ code: 'path_not_found', field: 'folder' })
  })

  test('to read a part of a writable folder leaves it writable, and to write a part adds no protected names to it', async () => {
    const workspace = makeWorkspace('sub')
    const sandbox = await start(workspace)
    const sub = join(workspace.path, 'sub')
    expect(await sandbox.grant({ fileSystem: { read: [sub], write: [sub] } })).toEqual({ changed: false, notes: [] })
    expect([await codeOf(sandbox, write('sub/x')), await codeOf(sandbox, ['mkdir', 'sub/.git'])]).toEqual([0, 0])
  })

  test('what is protected, and what is secret, is opened by its exact path only, and the notes say so', async () => {
    const workspace = makeWorkspace('.git/hooks', '.codex')
    const home = other(workspace, 'home')
    mkdirSync(join(home, '.ssh'))
    for (const name of ['.ssh/id', '.npmrc', 'plain']) writeFileSync(join(home, name), 'secret')
    const before = process.env['HOME']
    process.env['HOME'] = home
    onTestFinished(() => { process.env['HOME'] = before })
    const sandbox = await start(workspace, { policy: { readOnlyAccess: { type: 'restricted' } } })
    await sandbox.addReadRoot(home)
    expect([await codeOf(sandbox, ['cat', join(home, 'plain')]), await codeOf(sandbox, ['cat', join(home, '.npmrc')]), await codeOf(sandbox, ['cat', join(home, '.ssh/id')])]).toEqual([0, 1, 1])
    expect((await sandbox.grant({ fileSystem: { read: [join(home, '.npmrc')] } })).notes).toEqual([`additionalPermissions open ${JSON.stringify(join(home, '.npmrc'))}, which is a place of keys or tokens`])
    expect([await codeOf(sandbox, ['cat', join(home, '.npmrc')]), await codeOf(sandbox, ['cat', join(home, '.ssh/id')])]).toEqual([0, 1])
    // The folder that holds them was writable all along: naming it opens nothing.
    await sandbox.grant({ fileSystem: { write: [workspace.path] } })
    expect(await codeOf(sandbox, write('.git/hooks/pre-commit'))).not.toBe(0)
    const { notes } = await sandbox.grant({ fileSystem: { write: [join(workspace.path, '.git/hooks')] } })
    expect(notes).toEqual([`additionalPermissions open ${JSON.stringify(join(workspace.path, '.git/hooks'))}, which is protected in ${JSON.stringify(workspace.path)} otherwise`])
    expect([await codeOf(sandbox, write('.git/hooks/pre-commit')), await codeOf(sandbox, write('.git/config')), await codeOf(sandbox, write('.codex/x'))].map(code => code === 0)).toEqual([true, false, false])
  })

  test('while grants are made, commands run in one confinement or the next, and none in a mixture', async () => {
    const workspace = makeWorkspace()
    const folders = Array.from({ length: 6 }, (_, i) => other(workspace, `f${i}`))
    const sandbox = await start(workspace)
    let granting = true
    const wrong: unknown[] = []
    const storm = Array.from({ length: 4 }, async () => {
      while (granting) {
        const permitted = sandbox.policy.paths.filter(({ path, effect }) => effect === 'write' && folders.includes(path)).length
        const { exitCode, stdout } = await sandbox.exec(['sh', '-c', 'n=0; for f in "$@"; do if (: > "$f/x") 2>/dev/null; then n=$((n+1)); fi; done; echo $n', 'sh', ...folders])
        if (exitCode !== 0 || Number(stdout) !== permitted) wrong.push({ exitCode, stdout, permitted })
      }
    })
    await Promise.all(folders.map(folder => sandbox.grant({ fileSystem: { write: [folder] } })))
    granting = false
    await Promise.all(storm)
    expect(wrong).toEqual([])
    expect((await sandbox.exec(['sh', '-c', 'for f in "$@"; do : > "$f/y"; done', 'sh', ...folders])).exitCode).toBe(0)
  })

  test('close while one is being made: it is refused, and nothing is left', async () => {
    const workspace = makeWorkspace()
    const launcher = ownLauncher()
    const sandbox = await start(workspace, { launcherPath: launcher.path })
    const granted = sandbox.grant({ fileSystem: { write: [other(workspace)] } }).then(() => 'granted', (error: { code: string }) => error.code)
    const ran = codeOf(sandbox, ['sleep', '1000'], { fileSystem: { write: [other(workspace, 'more')] } }).then(() => 'ran', (error: { code: string }) => error.code)
    await sandbox.close()
    expect(await granted).toMatch(/^(?:sandbox_closed|granted)$/)
    expect(await ran).toMatch(/^(?:sandbox_closed|ran)$/)
    await expectNone(launcher.processes)
    expect(await failureOf(() => sandbox.grant({}))).toMatchObject({ code: 'sandbox_closed' })
  })
})

describe('refused, with nothing changed:', () => {
  interface Row { readonly name: string; readonly ask: (place: { workspace: Workspace; folder: string }) => unknown; readonly error: object }
  const list = (name: string, path: unknown): unknown => ({ fileSystem: { [name]: [path] } })
  const FIELD = 'additionalPermissions'
  test.for<Row>([
    { name: 'to write /',                    ask: () => list('write', '/'), error: { code: 'path_too_broad', field: `${FIELD}.fileSystem.write[0]` } },
    { name: 'to write the home folder',      ask: () => list('write', homedir()), error: { code: 'path_too_broad', field: `${FIELD}.fileSystem.write[0]` } },
    { name: '..',                            ask: ({ folder }) => list('write', `${folder}/../../etc`), error: { code: 'path_invalid', field: `${FIELD}.fileSystem.write[0]` } },
    { name: 'a relative path',               ask: () => list('write', 'sub'), error: { code: 'path_not_absolute', field: `${FIELD}.fileSystem.write[0]` } },
    { name: '~',                             ask: () => list('read', '~/.ssh'), error: { code: 'path_not_absolute', field: `${FIELD}.fileSystem.read[0]` } },
    { name: 'NUL',                           ask: () => list('read', '/a\0b'), error: { code: 'path_invalid', field: `${FIELD}.fileSystem.read[0]` } },
    { name: 'what does not exist',           ask: ({ folder }) => list('write', `${folder}/not-there`), error: { code: 'path_not_found', field: `${FIELD}.fileSystem.write[0]` } },
    { name: 'what the policy denies by name', ask: ({ folder }) => list('read', `${folder}/denied`), error: { code: 'permission_refused', field: `${FIELD}.fileSystem.read[0]` } },
    { name: 'what a deny glob matches',      ask: ({ folder }) => list('read', `${folder}/a.key`), error: { code: 'permission_refused', field: `${FIELD}.fileSystem.read[0]` } },
    { name: 'CODEX_HOME',                    ask: ({ workspace }) => list('write', join(workspace.outside, 'codex')), error: { code: 'permission_refused', field: `${FIELD}.fileSystem.write[0]` } },
    { name: 'the state directory',           ask: ({ workspace }) => list('write', join(workspace.outside, 'state/codex-sandbox')), error: { code: 'permission_refused', field: `${FIELD}.fileSystem.write[0]` } },
    { name: 'the node binary',               ask: () => list('write', process.execPath), error: { code: 'permission_refused', field: `${FIELD}.fileSystem.write[0]` } },
    { name: 'through a link in a writable folder', ask: ({ workspace }) => list('write', join(workspace.path, 'link/sub')), error: { code: 'permission_refused', field: `${FIELD}.fileSystem.write[0]` } },
    { name: 'an unknown key',                ask: () => ({ filesystem: { write: ['/x'] } }), error: { code: 'policy_unknown_key', field: `${FIELD}.filesystem`, remedy: 'Did you mean "fileSystem"?' } },
    { name: 'an unknown list',               ask: () => list('execute', '/x'), error: { code: 'policy_unknown_key', field: `${FIELD}.fileSystem.execute` } },
    { name: 'no list',                       ask: () => ({ fileSystem: { write: '/x' } }), error: { code: 'policy_invalid_value', field: `${FIELD}.fileSystem.write` } },
    { name: 'a number as a path',            ask: () => list('write', 7), error: { code: 'policy_invalid_value', field: `${FIELD}.fileSystem.write[0]` } },
    { name: 'a word for enabled',            ask: () => ({ network: { enabled: 'yes' } }), error: { code: 'policy_invalid_value', field: `${FIELD}.network.enabled` } },
    { name: 'nothing at all',                ask: () => null, error: { code: 'policy_invalid_value', field: FIELD } },
  ])('$name', async ({ ask, error }) => {
    const workspace = makeWorkspace()
    const folder = other(workspace)
    for (const name of ['sub', 'denied']) mkdirSync(join(folder, name))
    writeFileSync(join(folder, 'a.key'), 'secret')
    symlinkSync(folder, join(workspace.path, 'link'))
    const before = process.env['CODEX_HOME']
    process.env['CODEX_HOME'] = other(workspace, 'codex')
    onTestFinished(() => {
      if (before === undefined) delete process.env['CODEX_HOME']
      else process.env['CODEX_HOME'] = before
    })
    const sandbox = await start(workspace, { policy: { deny: [`${folder}/denied`, `${folder}/*.key`] }, allowDegraded: ['later-glob-matches'] })
    const { policy, pid } = sandbox
    const asked = ask({ workspace, folder }) as AdditionalPermissions
    expect(await failureOf(() => sandbox.grant(asked))).toMatchObject({ name: 'SandboxError', ...error })
    if (asked !== null) {
      expect(await failureOf(() => sandbox.exec(['true'], { additionalPermissions: asked }))).toMatchObject({ name: 'SandboxError', ...error })
      expect(() => sandbox.spawn(['true'], { additionalPermissions: asked })).toThrow(expect.objectContaining(error))
    }
    expect([sandbox.policy, sandbox.pid]).toEqual([policy, pid])
    expect(await codeOf(sandbox, ['true'])).toBe(0)
  })

  test('a root of the policy that a command has replaced by a link: nothing of where it leads is opened', async () => {
    const workspace = makeWorkspace('out')
    const target = other(workspace, 'target')
    // Not a root of its own: the command may move it, as a mount point could not be.
    const sandbox = await start(workspace, { policy: { read: [join(workspace.path, 'nothing')], write: [join(workspace.path, 'later')] } })
    expect(await codeOf(sandbox, ['ln', '-s', target, 'later'])).toBe(0)
    expect(await failureOf(() => sandbox.grant({ fileSystem: { write: [other(workspace, 'granted')] } }))).toMatchObject({ code: 'permission_refused', field: 'additionalPermissions' })
    expect(await codeOf(sandbox, write(join(target, 'x')))).not.toBe(0)
    expect(existsSync(join(target, 'x'))).toBe(false)
  })

  test('a root that the host has replaced by another folder', async () => {
    const workspace = makeWorkspace()
    const root = other(workspace, 'root')
    const sandbox = await start(workspace, { policy: { write: [root] } })
    renameSync(root, `${root}-old`)
    mkdirSync(root)
    expect(await failureOf(() => sandbox.grant({ fileSystem: { write: [other(workspace)] } }))).toMatchObject({ code: 'permission_refused', field: 'additionalPermissions' })
  })
})
