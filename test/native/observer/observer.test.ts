// Denials name the exact path of what was tried, and nothing is a denial that is none.
import { chmodSync, chownSync, copyFileSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { afterAll, beforeAll, beforeEach, describe, expect, onTestFinished, test } from 'vitest'
import type { SandboxOptions } from '../../../src/exec/options.js'
import { createSandbox, type Sandbox } from '../../../src/exec/sandbox.js'
import { RUNGS } from '../../../src/platform/launch-plan.js'
import type { PolicyInput } from '../../../src/policy/schema.js'
import { SYSTEM_CALLS, type SystemCallName } from '../../../src/platform/linux/seccomp/system-calls.js'
import { makeOrdinaryUser } from '../../support/ordinary-user.js'
import { makeWorkspace, type Workspace } from '../workspace.js'
import { compileAttempt, describeDenials, type Outcome, runAttempts } from './attempts.js'

const folder = mkdtempSync(join(tmpdir(), 'observer-test-'))
chmodSync(folder, 0o755)
const program = process.platform === 'linux' ? compileAttempt(folder) : undefined
afterAll(() => rmSync(folder, { recursive: true }))

beforeEach(context => { if (program === undefined) context.skip('the launcher is for Linux, and gcc makes the program that tries') })

const ATTEMPT = program ?? ''
const arch = process.arch === 'arm64' ? 'arm64' : 'x64'
const call = (name: SystemCallName, ...args: (number | bigint)[]): string => [SYSTEM_CALLS[arch][name], ...args].join()

interface Place extends Workspace {
  readonly sandbox: Sandbox
  /** The folder beside the workspace, where nothing may be written. */
  readonly elsewhere: string
  /** Its denials, as text. */
  run(...argv: readonly string[]): Promise<string[]>
}

/** A workspace with a folder beside it. */
async function start(policy: PolicyInput = 'workspace-write', options: Partial<SandboxOptions> = {}, make: (workspace: Workspace) => void = () => {}): Promise<Place> {
  const workspace = makeWorkspace()
  const elsewhere = join(workspace.outside, 'elsewhere')
  mkdirSync(elsewhere)
  make(workspace)
  const sandbox = await createSandbox({ cwd: workspace.path, policy, ...options })
  onTestFinished(() => sandbox.close())
  return { ...workspace, sandbox, elsewhere, run: async (...argv) => describeDenials(await sandbox.exec(argv)) }
}

describe.each(RUNGS)('every call that writes, on the rung %s', rung => {
  let outcomes: readonly Outcome[] = []
  beforeAll(async () => {
    if (program === undefined) return
    const outside = mkdtempSync('/var/tmp/observer-test-')
    mkdirSync(join(outside, 'workspace'))
    try {
      outcomes = await runAttempts(program, outside, join(outside, 'workspace'), rung, rung === 'namespaces' ? undefined : 'absolute')
    } finally {
      rmSync(outside, { recursive: true })
    }
    for (const outcome of outcomes) Object.assign(outcome, { expected: outcome.expected.map(line => line.replace(outside, '')), denials: outcome.denials.map(line => line.replace(outside, '')) })
  }, 120_000)

  test('outside every root is a denial with its path, however the path was written, and changes nothing', () => {
    const denied = outcomes.filter(({ expected }) => expected.length > 0)
    expect(denied.length).toBeGreaterThan(40)
    for (const { name, denials, expected, changed, errno } of denied) expect({ name, denials, changed, failed: errno !== 0 }).toEqual({ name, denials: expected, changed: false, failed: true })
  })

  test('in the workspace works, and is none', () => {
    const allowed = outcomes.filter(({ expected }) => expected.length === 0)
    expect(allowed.length).toBeGreaterThan(40)
    // lremovexattr and its like are not among them: there is nothing to remove. O_TMPFILE leaves nothing behind.
    for (const { name, denials, errno } of allowed) expect({ name, denials, errno }).toEqual({ name, denials: [], errno: 0 })
  })

  test('the same as an ordinary user', { timeout: 120_000 }, async context => {
    if (process.getuid?.() !== 0) context.skip('only root can make an ordinary user')
    const user = makeOrdinaryUser()
    onTestFinished(() => user.remove())
    // Not in /tmp, where commands may write.
    const outside = mkdtempSync('/var/tmp/observer-test-')
    onTestFinished(() => rmSync(outside, { recursive: true }))
    chownSync(outside, user.uid, user.uid)
    const own = await user.run(join(import.meta.dirname, 'as-user.ts'), { PROGRAM: ATTEMPT, FOLDER: outside, RUNG: rung })
    const found = JSON.parse(await text(own.stdout!)) as Outcome[]
    expect(found.length).toBeGreaterThan(80)
    for (const { name, denials, expected } of found) expect({ name, denials }).toEqual({ name, denials: expected })
  })
})

describe.each(RUNGS)('what fails anyway is no denial, on the rung %s', rung => {
  test.each<{ name: string; words: (elsewhere: string) => string[] }>([
    { name: 'a folder that is there already', words: at => ['mkdirat', at] },
    { name: 'a file that may not be there yet', words: at => ['o_excl', `${at}/file`] },
    { name: 'removing what is not there', words: at => ['unlinkat', `${at}/missing`] },
    { name: 'removing a folder that is not there', words: at => ['rmdirat', `${at}/missing`] },
    { name: 'removing a folder that is not empty', words: at => ['rmdirat', at] },
    { name: 'removing a file as a folder', words: at => ['rmdirat', `${at}/file`] },
    { name: 'removing a folder as a file', words: at => ['unlinkat', at] },
    { name: 'moving what is not there', words: at => ['renameat2', `${at}/missing`, `${at}/new`] },
    { name: 'writing what is not there, without making it', words: at => ['wronly', `${at}/missing`] },
    { name: 'cutting what is not there', words: at => ['truncate', `${at}/missing`] },
    { name: 'the mode of what is not there', words: at => ['fchmodat', `${at}/missing`] },
    { name: 'a file in a folder that is not there', words: at => ['o_creat', `${at}/missing/file`] },
    { name: 'a file below a file', words: at => ['o_creat', `${at}/file/file`] },
    { name: 'a folder opened for writing', words: at => ['wronly', at] },
    { name: 'a path without end', words: () => ['unterminated'] },
    { name: 'a path at no address', words: () => ['bad-address'] },
    { name: 'a path that is too long', words: () => ['too-long'] },
    { name: 'an empty path', words: () => ['empty'] },
    { name: 'a name of /proc that is the caller\'s own', words: () => ['wronly', '/proc/self/comm'] },
    { name: 'a descriptor of the caller\'s by name', words: () => ['o_append', '/dev/stdout'] },
    { name: 'a device', words: () => ['wronly', '/dev/null'] },
  ])('$name', async ({ words }) => {
    const place = await start(undefined, { rung }, ({ outside }) => writeFileSync(join(outside, 'elsewhere/file'), ''))
    expect(await place.run(ATTEMPT, ...words(place.elsewhere))).toEqual([])
  })
})

describe.each(RUNGS)('through a link that leads to nothing yet, on the rung %s', rung => {
  test('a file is made in the workspace, and that is no denial', async () => {
    const place = await start(undefined, { rung }, ({ outside, path }) => symlinkSync(join(path, 'made'), join(outside, 'elsewhere/link')))
    expect(await place.run(ATTEMPT, 'o_creat', join(place.elsewhere, 'link'))).toEqual([])
    expect(place.entries()).toContain('made')
  })

  test('none is made outside', async () => {
    const place = await start(undefined, { rung }, ({ outside }) => symlinkSync(join(outside, 'elsewhere/made'), join(outside, 'elsewhere/link')))
    // Mounts refuse it, and where such a link leads is not looked at: only what the program says of it tells.
    expect(await place.run(ATTEMPT, 'o_creat', join(place.elsewhere, 'link'))).toEqual(rung === 'namespaces' ? [] : [`refused create ${place.elsewhere}/made`])
    expect(readdirSync(place.elsewhere)).toEqual(['link'])
  })
})

test.each(RUNGS)('a missing name with two dots in it is told like any other, on the rung %s', async rung => {
  const { elsewhere, run } = await start(undefined, { rung })
  // Without a word of the program's own, which would tell it too.
  for (const name of ['a..b', '..c', 'd..', '...']) expect(await run(ATTEMPT, 'o_creat', join(elsewhere, name))).toEqual([`${rung === 'namespaces' ? 'observed' : 'refused'} create ${elsewhere}/${name}`])
})

describe.each(RUNGS)('protected paths, on the rung %s', rung => {
  const repository = ({ path }: Workspace): void => {
    for (const name of ['.git/hooks', '.git/refs', '.agents']) mkdirSync(join(path, name), { recursive: true })
    for (const name of ['config', 'HEAD', 'index']) writeFileSync(join(path, '.git', name), '')
  }

  /** `supervised`: where that rung answers otherwise: nothing is put at missing names. */
  test.each<{ name: string; words: string[]; denied: string[]; supervised?: string[]; policy?: PolicyInput }>([
    { name: 'a write in .git', words: ['wronly', '.git/config'], denied: ['write .git/config'] },
    { name: 'a new file in .git', words: ['o_creat', '.git/new'], denied: ['create .git/new'] },
    { name: 'removing .git, which is not empty, as git itself tries', words: ['rmdirat', '.git'], denied: [] },
    { name: 'removing what is in .git', words: ['unlinkat', '.git/config'], denied: ['remove .git/config'] },
    { name: 'removing an empty folder in .git', words: ['rmdirat', '.git/refs'], denied: ['remove .git/refs'] },
    { name: 'removing an empty folder that is protected itself', words: ['rmdirat', '.agents'], denied: ['remove .agents'] },
    { name: 'moving .git', words: ['renameat2', '.git', 'moved'], denied: ['remove .git'] },
    { name: 'replacing .git by another name', words: ['renameat2-onto', '.git', 'own'], denied: ['write .git'] },
    { name: 'making .codex, where an empty folder stands meanwhile', words: ['mkdirat', '.codex'], denied: ['create .codex'] },
    { name: 'making a file of that name', words: ['o_creat', '.codex'], denied: ['create .codex'] },
    { name: 'removing it, which is not there but for the sandbox', words: ['rmdirat', '.codex'], denied: [] },
    { name: 'making something in it', words: ['mkdirat', '.codex/x'], denied: ['create .codex/x'], supervised: [] },
    { name: 'the index, where git may commit', words: ['renameat2-onto', '.git/index', 'own'], denied: [], policy: { mode: 'workspace-write', git: 'commits' } },
    { name: 'the config, where git may commit', words: ['renameat2-onto', '.git/config', 'own'], denied: ['write .git/config'], policy: { mode: 'workspace-write', git: 'commits' } },
    { name: 'a folder that is there, which git makes again', words: ['mkdirat', '.git'], denied: [] },
  ])('$name', async ({ words: [call = '', first = '', second], denied, supervised = denied, policy }) => {
    const place = await start(policy, { rung }, repository)
    writeFileSync(join(place.path, 'own'), '')
    expect(await place.run(ATTEMPT, call, first, ...(second === undefined ? [] : [second]))).toEqual((rung === 'namespaces' ? denied : supervised).map(line => `${rung === 'namespaces' ? 'observed' : 'refused'} ${line.replace(' ', ` ${place.path}/`)}`))
  })
})

describe.each(RUNGS)('reads, on the rung %s', rung => {
  /** The supervised rung opens files itself, and lets the kernel run programs. */
  const judged = (line: string): string => rung === 'supervised' && line.startsWith('read') ? `refused ${line}` : `observed ${line}`
  const files = ({ path, outside }: Workspace): void => {
    mkdirSync(join(path, 'keys'))
    mkdirSync(join(outside, 'elsewhere/open'))
    for (const name of ['secret', 'keys/key', 'notes', '../elsewhere/x', '../elsewhere/open/x']) writeFileSync(join(path, name), '#!/bin/true\n', { mode: 0o755 })
    symlinkSync('secret', join(path, 'link'))
  }
  const denying: PolicyInput = { mode: 'workspace-write', deny: ['secret', 'keys'] }

  test.each<{ name: string; words: string[]; denied: string[] }>([
    { name: 'a denied file', words: ['rdonly', 'secret'], denied: ['read secret'] },
    { name: 'the same through a link', words: ['rdonly', 'link'], denied: ['read secret'] },
    { name: 'a file in a denied folder', words: ['rdonly', 'keys/key'], denied: ['read keys/key'] },
    { name: 'a denied folder', words: ['o_directory', 'keys'], denied: ['read keys'] },
    { name: 'a denied program', words: ['execve', './secret'], denied: ['execute secret'] },
    { name: 'what is not there', words: ['rdonly', 'keys/missing'], denied: [] },
    { name: 'another file', words: ['rdonly', 'notes'], denied: [] },
    { name: 'another program', words: ['execve', './notes'], denied: [] },
    { name: 'a look at the path only', words: ['o_path', 'secret'], denied: [] },
  ])('where they are asked for: $name', async ({ words, denied }) => {
    const place = await start(denying, { observe: 'reads', rung }, files)
    expect(await place.run(ATTEMPT, ...words)).toEqual(denied.map(line => judged(line.replace(' ', ` ${place.path}/`))))
  })

  test('without, they are known where the command tells them', async () => {
    const place = await start(denying, { rung }, files)
    // In a root with something denied in it the supervised rung opens every file.
    expect(await place.run(ATTEMPT, 'rdonly', 'secret')).toEqual(rung === 'supervised' ? [`refused read ${place.path}/secret`] : [])
    expect(await place.run('cat', 'secret')).toEqual([`${rung === 'supervised' ? 'refused' : 'reported'} read ${place.path}/secret`])
    expect(place.sandbox.enforcement.notes.join()).toContain('reads are observed where it is asked for')
  })

  test.each<{ name: string; words: (place: Place) => string[]; denied: (place: Place) => string[] }>([
    { name: 'outside of what may be read', words: ({ elsewhere }) => ['rdonly', `${elsewhere}/x`], denied: ({ elsewhere }) => [`read ${elsewhere}/x`] },
    { name: 'a program there', words: ({ elsewhere }) => ['execve', `${elsewhere}/x`], denied: ({ elsewhere }) => [`execute ${elsewhere}/x`] },
    { name: 'a folder there', words: ({ elsewhere }) => ['o_directory', elsewhere], denied: ({ elsewhere }) => [`read ${elsewhere}`] },
    { name: 'what may be read', words: ({ elsewhere }) => ['rdonly', `${elsewhere}/open/x`], denied: () => [] },
    { name: 'what may be written', words: () => ['rdonly', 'notes'], denied: () => [] },
  ])('where reading is restricted as a whole: $name', async ({ words, denied }) => {
    const workspace = makeWorkspace()
    mkdirSync(join(workspace.outside, 'elsewhere'))
    files(workspace)
    const sandbox = await createSandbox({ cwd: workspace.path, policy: { type: 'workspaceWrite', readOnlyAccess: { type: 'restricted', includePlatformDefaults: true, readableRoots: [join(workspace.outside, 'elsewhere/open'), folder] } }, rung })
    onTestFinished(() => sandbox.close())
    const place: Place = { ...workspace, sandbox, elsewhere: join(workspace.outside, 'elsewhere'), run: async (...argv) => describeDenials(await sandbox.exec(argv)) }
    expect((await place.run(ATTEMPT, ...words(place))).filter(line => !line.includes('/etc/ld.so'))).toEqual(denied(place).map(judged))
  })
})

describe('refused system calls', () => {
  /** Those that the listener refuses instead of the command filter, with arguments that are refused. */
  const REFUSED: readonly (readonly [string, string])[] = [
    [call('mount'), 'mount'], [call('umount2'), 'umount2'], [call('open_tree', -1), 'open_tree'], [call('fsopen'), 'fsopen'], [call('mount_setattr'), 'mount_setattr'],
    [call('chroot'), 'chroot'], [call('pivot_root'), 'pivot_root'], [call('setns', -1), 'setns'],
    [call('unshare', 0x1002_0000), 'unshare(CLONE_NEWUSER|CLONE_NEWNS)'], [call('clone', 0x2000_0011), 'clone(CLONE_NEWPID)'],
    [call('keyctl', 0, -3), 'keyctl'], [call('add_key'), 'add_key'], [call('bpf'), 'bpf'], [call('perf_event_open'), 'perf_event_open'], [call('userfaultfd'), 'userfaultfd'],
    [call('io_uring_setup', 1), 'io_uring_setup'], [call('fanotify_init'), 'fanotify_init'], [call('open_by_handle_at'), 'open_by_handle_at'],
    [call('init_module'), 'init_module'], [call('kexec_file_load'), 'kexec_file_load'], [call('swapoff'), 'swapoff'], [call('syslog', 3), 'syslog'], [call('sethostname'), 'sethostname'],
    [call('socket', 1, 2, 0), 'socket(AF_UNIX, SOCK_DGRAM)'], [call('socketpair', 1, 2, 0), 'socketpair(AF_UNIX, SOCK_DGRAM)'],
    [call('socket', 17, 3, 0), 'socket(AF_PACKET, SOCK_RAW)'], [call('socket', 2, 3, 1), 'socket(AF_INET, SOCK_RAW, IPPROTO_ICMP)'], [call('socket', 2, 2, 1), 'socket(AF_INET, SOCK_DGRAM, IPPROTO_ICMP)'],
    [call('socket', 10, 5, 132), 'socket(AF_INET6, SOCK_SEQPACKET, 132)'], [call('socket', 16, 3, 9), 'socket(AF_NETLINK, SOCK_RAW, 9)'], [call('socket', 45, 1, 0), 'socket(45, SOCK_STREAM)'],
    [call('fchmod', 0, 0o4755), 'fchmod(S_ISUID)'], [call('fchmodat', -100, 0, 0o4755), 'fchmodat(S_ISUID)'], [call('openat', -100, 0, 0o101, 0o4755), 'openat(S_ISUID)'], [call('mknodat', -100, 0, 0o10_4755), 'mknodat(S_ISUID)'],
    ['own-listener', 'seccomp(SECCOMP_FILTER_FLAG_NEW_LISTENER)'],
  ]
  const QUIET = [call('clone3'), call('openat2', -100, 0, 0, 24), call('socket', 2, 1, 262), call('personality', 0x40_0000), call('iopl', 3)].filter(text => !text.startsWith(','))
  const ALLOWED = ['own-filter', call('socket', 1, 1, 0), call('socket', 2, 1, 0), call('unshare', 0x400), call('socket', 16, 3, 0)]

  test('each is a denial by its name, with the errno that it has without an observer', async () => {
    const observed = await start()
    const alone = await start(undefined, { observe: 'off' })
    for (const [words, name] of REFUSED) {
      const result = await observed.sandbox.exec([ATTEMPT, 'calls', words])
      expect(describeDenials(result), words).toEqual([`refused system-call ${name}`])
      expect(result.denials[0]?.message).toMatch(/denied: .+\. (?:Instead|To allow): .+\.$/)
      expect((await alone.sandbox.exec([ATTEMPT, 'calls', words])).stdout, words).toBe(result.stdout)
      expect(Number(result.stdout)).toBeGreaterThan(0)
    }
  })

  test('what programs only try out is refused without a word, and what is allowed works', async () => {
    const place = await start()
    const quiet = await place.sandbox.exec([ATTEMPT, 'calls', ...QUIET])
    expect({ denials: describeDenials(quiet), worked: quiet.stdout.trim().split('\n').filter(line => line === '0') }).toEqual({ denials: [], worked: [] })
    const allowed = await place.sandbox.exec([ATTEMPT, 'calls', ...ALLOWED])
    expect({ denials: describeDenials(allowed), stdout: allowed.stdout }).toEqual({ denials: [], stdout: '0\n'.repeat(ALLOWED.length) })
  })

  test('the launcher\'s own mark opens nothing for a command', async () => {
    const place = await start()
    const mark = 0x7863_6f64_656d_6b31n
    const result = await place.sandbox.exec([ATTEMPT, 'calls', call('mount', 0, 0, 0, 0, 0, mark), call('clone', 0x1000_0011, 0, 0, 0, 0, mark)])
    expect(result.stdout).toBe('1\n1\n')
  })

  test('connections while the network is off', async () => {
    const place = await start()
    const connect = (host: string, port: number) => `import socket; s = socket.socket(socket.AF_INET6 if ":" in "${host}" else socket.AF_INET, socket.SOCK_STREAM); s.settimeout(1); print(s.connect_ex(("${host}", ${port})))`
    expect(await place.run('python3', '-c', connect('93.184.216.34', 443))).toEqual(['refused connect 93.184.216.34:443'])
    expect(await place.run('python3', '-c', connect('2001:db8::1', 80))).toEqual(['refused connect 2001:db8::1:80'])
    expect(await place.run('python3', '-c', 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); s.listen(); socket.create_connection(s.getsockname())')).toEqual([])
  })
})

/** How certain a refusal outside every root is: the launcher's own on the supervised rung. */
const wordOf = (rung: string): string => rung === 'namespaces' ? 'observed' : 'refused'

describe.each(RUNGS)('whoever makes the call, on the rung %s', rung => {
  test.each(['vforked', 'cloned', 'threaded', 'daemon', 'across-pages'])('%s', async name => {
    const place = await start(undefined, { rung })
    const result = await place.sandbox.exec([ATTEMPT, name, join(place.elsewhere, 'x')])
    expect(describeDenials(result)).toEqual([`${wordOf(rung)} create ${place.elsewhere}/x`])
    expect(result.denials[0]).toMatchObject({ program: 'attempt', pid: expect.any(Number) })
    expect(await place.run(ATTEMPT, name, join(place.path, 'x'))).toEqual([])
    expect(place.entries()).toContain('x')
  })

  test('one after the other in one session: each has its own process, a thread its process, and the name that it has by then', async () => {
    const place = await start(undefined, { rung })
    const [first, second, third, last] = ['x1', 'x2', 'x3', 'x4'].map(name => join(place.elsewhere, name))
    const { denials } = await place.sandbox.exec(['sh', '-c', `true > ${first}; ${ATTEMPT} o_creat ${second}; ${ATTEMPT} threaded ${third}; exec ${ATTEMPT} threaded ${last}`])
    const [shell, ...others] = denials.map(({ pid }) => pid)
    expect(denials.map(({ path, program }) => `${program} ${path}`)).toEqual([`sh ${first}`, `attempt ${second}`, `attempt ${third}`, `attempt ${last}`])
    expect(others[2]).toBe(shell)
    expect(new Set([shell, ...others]).size).toBe(3)
  })

  test.each(['line\nend', 'back\\slash', '\\n\\\\n', 'longer than fifteen bytes', 'Name:\tx\nTgid:1', 'über'])('its name is told as it is, as far as the kernel keeps it: %j', async name => {
    const place = await start(undefined, { rung })
    copyFileSync(ATTEMPT, join(place.path, name))
    const { denials } = await place.sandbox.exec([join(place.path, name), 'o_creat', join(place.elsewhere, 'x')])
    expect(denials).toMatchObject([{ path: join(place.elsewhere, 'x'), program: Buffer.from(name).subarray(0, 15).toString() }])
  })

  test('commands side by side each have their own', async () => {
    const place = await start(undefined, { rung })
    const names = Array.from({ length: 20 }, (_, index) => join(place.elsewhere, `x${index}`))
    const found = await Promise.all(names.map(name => place.run('sh', '-c', `sleep 0.0${names.indexOf(name) % 5}; ${ATTEMPT} o_creat ${name}; ${ATTEMPT} daemon ${name}-2`)))
    expect(found).toEqual(names.map(name => [`${wordOf(rung)} create ${name}`, `${wordOf(rung)} create ${name}-2`]))
  })

  test('the same again is one denial; of the next command it is another', async () => {
    const place = await start(undefined, { rung })
    const again = `for i in 1 2 3 4 5 6; do ${ATTEMPT} o_creat ${place.elsewhere}/x; done`
    for (let round = 0; round < 3; round++) expect(await place.run('sh', '-c', again)).toEqual([`${wordOf(rung)} create ${place.elsewhere}/x`])
  })
})

describe.each(RUNGS)('faults, on the rung %s', rung => {
  test('a program that may not be looked into goes on, and what is not known of it is said', async () => {
    const place = await start(undefined, { rung })
    const denied = await place.sandbox.exec([ATTEMPT, 'undumpable', join(place.elsewhere, 'x')])
    expect({ errno: denied.stdout, denials: describeDenials(denied) }).toEqual({ errno: rung === 'namespaces' ? '30\n' : '13\n', denials: ['observed write at an unknown path'] })
    expect(denied.denials[0]?.message).toContain('a path that is not known')
    // Where the launcher itself would have to make the file, it must read the path: then only what the kernel can be left with works.
    const open = rung === 'namespaces' ? join(place.path, 'x') : '/dev/null'
    expect((await place.sandbox.exec([ATTEMPT, 'undumpable', open])).stdout).toBe('0\n')
    expect(existsSync(open)).toBe(true)
  })

  test('signals at any moment: each call comes to its end, and is made once', { timeout: 60_000 }, async () => {
    const place = await start(undefined, { rung })
    const result = await place.sandbox.exec([ATTEMPT, 'storm', join(place.path, 'x')], { timeoutMs: 50_000 })
    expect({ stdout: result.stdout, denials: result.denials }).toEqual({ stdout: '0\n', denials: [] })
  })

  test('callers that are killed in the middle of their calls leave the observer at work', { timeout: 60_000 }, async () => {
    const place = await start(undefined, { rung })
    const dying = await place.sandbox.exec([ATTEMPT, 'dying', join(place.elsewhere, 'x')])
    expect({ stdout: dying.stdout, denials: describeDenials(dying) }).toEqual({ stdout: '0\n', denials: [`${wordOf(rung)} create ${place.elsewhere}/x`] })
    expect(await place.run(ATTEMPT, 'o_creat', join(place.elsewhere, 'y'))).toEqual([`${wordOf(rung)} create ${place.elsewhere}/y`])
  })

  test('100,000 denials: the first are told, the others counted, and the launcher does not grow', { timeout: 120_000 }, async () => {
    const count = 100_000
    const place = await start(undefined, { rung })
    const [result, beside] = await Promise.all([place.sandbox.exec([ATTEMPT, 'many', join(place.elsewhere, 'x'), String(count)]), place.sandbox.exec(['sh', '-c', 'echo beside'])])
    expect({ stdout: result.stdout, told: result.denials.length, all: result.denials.length + (result.denialsLost ?? 0), beside: beside.stdout }).toEqual({ stdout: '0\n', told: 1000, all: count, beside: 'beside\n' })
    expect(result.denials[0]).toMatchObject({ operation: 'create', path: `${place.elsewhere}/x-0` })
    const resident = Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${place.sandbox.pid}/status`, 'utf8'))?.[1])
    expect(resident).toBeLessThan(4096)
    expect(await place.run(ATTEMPT, 'o_creat', join(place.elsewhere, 'y'))).toEqual([`${wordOf(rung)} create ${place.elsewhere}/y`])
  })

  test('the monitor is killed while calls wait: nothing more is written, and the command\'s result says so', async () => {
    const place = await start(undefined, { rung })
    const running = place.sandbox.exec(['sh', '-c', `while :; do : > ${place.path}/tick; ${ATTEMPT} o_creat ${place.elsewhere}/x; done`])
    running.catch(() => {})
    await place.sandbox.exec(['true'])
    process.kill(place.sandbox.pid as number, 'SIGKILL')
    await expect(running).rejects.toMatchObject({ code: 'launcher_lost' })
    expect(place.entries()).not.toContain('x')
  })
})
