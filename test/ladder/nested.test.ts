// A sandbox inside another one. The kernel makes no second one there, so that an inner policy is refused with the reason, unless the caller
// says by name that the outer one is to hold it; and then only where all that is tried of what the policy denies is refused.
import { spawnSync } from 'node:child_process'
import { chmodSync, existsSync, mkdirSync, mkdtempSync, realpathSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { cacheFolders } from '../../src/exec/caches.js'
import { createSandbox } from '../../src/exec/sandbox.js'
import type { SandboxOptions } from '../../src/exec/options.js'
import { runInContainer } from '../support/docker-like.js'
import { makeOrdinaryUser, type OrdinaryUser } from '../support/ordinary-user.js'
import { runOnPoorHost, whyNoPoorHost } from '../support/poor-host.js'
import type { NestedAnswer, NestedTask } from './run-nested.js'

const reason = whyNoPoorHost()
const hasBwrap = spawnSync('bwrap', ['--version']).status === 0

let user: OrdinaryUser
let entry: string
let base: string
let work: string
beforeAll(async () => {
  if (reason !== undefined) return
  user = makeOrdinaryUser()
  entry = await user.bundle('test/ladder/run-nested.ts')
})
afterAll(() => user?.remove())
beforeEach(() => {
  base = realpathSync(mkdtempSync('/var/tmp/nested-'))
  work = join(base, 'work')
  for (const folder of [work, join(work, '.git'), join(base, 'home'), join(base, 'outside')]) mkdirSync(folder)
  writeFileSync(join(work, '.git/config'), '')
  writeFileSync(join(work, 'secret.txt'), 'secret\n')
  writeFileSync(join(base, 'empty'), '')
  chmodSync(base, 0o755)
})
afterEach(() => rmSync(base, { recursive: true, force: true }))

/** Without shared folders, so that both say the same of the same places. */
const POLICY = { mode: 'workspace-write', tmp: 'none', caches: 'off' } as const
const NO_PLACES = ['.codex', '.agents']

const taskFor = (task: Partial<NestedTask>): NestedTask => ({
  policy: POLICY, cwd: work, script: 'echo in > made; cat made; echo x > .git/config; mkdir .codex 2>/dev/null; echo x > ../outside/made; cat secret.txt', ...task,
})
const environment = (task: Partial<NestedTask>): Record<string, string> => ({
  PATH: process.env['PATH'] ?? '', HOME: join(base, 'home'), NESTED_TASK: JSON.stringify(taskFor(task)),
})
const parse = (stdout: string): NestedAnswer => (JSON.parse(stdout.split('\n')[0] ?? '') as { answer: NestedAnswer }).answer

type Outer = (task: Partial<NestedTask>, outer?: Partial<SandboxOptions>) => Promise<NestedAnswer>
/** The ways in which this sandbox is made. */
const WAYS = [{ way: 'namespaces', made: { rung: 'namespaces' } }, { way: 'supervised', made: { rung: 'supervised' } }, { way: 'bwrap', made: { backend: 'linux-bwrap', allowDegraded: ['bwrap-devices'] } }] as const
const ours = (made: (typeof WAYS)[number]['made']): Outer => async (task, outer = {}) => {
  const sandbox = await createSandbox({ policy: POLICY, cwd: work, ...made, ...outer })
  const { stdout, stderr } = await sandbox.exec([process.execPath, entry], { env: environment(task), onDenial: () => {} })
  await sandbox.close()
  expect(stdout, stderr).toContain('nested')
  return parse(stdout)
}
const inBwrap = async (task: Partial<NestedTask>, ...binds: readonly string[]): Promise<NestedAnswer> => {
  const words = ['--ro-bind', '/', '/', '--bind', base, base, ...binds, '--dev', '/dev', '--proc', '/proc', '--unshare-all', '--', process.execPath, entry]
  const { stdout, stderr } = spawnSync('bwrap', words, { env: environment(task), encoding: 'utf8' })
  expect(stdout, stderr).toContain('nested')
  return parse(stdout)
}
const inDocker: Outer = async task => parse(runInContainer([process.execPath, entry], { cwd: work }, environment(task)).stdout)
/** No sandbox around it, and nothing to make one of. */
const bare: Outer = async task => parse(runOnPoorHost(['no-user-namespaces', 'no-landlock'], [process.execPath, entry], environment(task)).stdout)

const expectUntouched = (): void => {
  expect([existsSync(join(base, 'outside/made')), ...NO_PLACES.map(name => existsSync(join(work, name)))]).toEqual([false, false, false])
  expect(spawnSync('cat', [join(work, '.git/config')], { encoding: 'utf8' }).stdout).toBe('')
}

describe.skipIf(reason !== undefined).each(hasBwrap ? WAYS : WAYS.slice(0, 2))('inside this sandbox, $way', ({ made }) => {
  const outer = ours(made)

  test('workspace-write is refused, with the reason and what to do; nothing runs', async () => {
    expect(await outer({})).toMatchObject({
      code: 'layer_missing', field: 'user-namespace', message: expect.stringContaining('another sandbox around this process refuses namespaces'), remedy: expect.stringContaining('outer-sandbox'),
      check: { ok: false, missing: expect.arrayContaining([expect.objectContaining({ layer: 'user-notification', reason: expect.stringContaining('the one listener') })]) },
    })
    expect(existsSync(join(work, 'made'))).toBe(false)
  })
  test('what a variable says of a sandbox changes nothing', async () => {
    const lies = { CODEX_SANDBOX: 'seatbelt', CODEX_SANDBOX_NETWORK_DISABLED: '1', CODEX_SANDBOX_ENFORCED: JSON.stringify(POLICY) }
    const sandbox = await createSandbox({ policy: POLICY, cwd: work, ...made })
    const { stdout } = await sandbox.exec([process.execPath, entry], { env: { ...environment({}), ...lies } })
    await sandbox.close()
    expect(parse(stdout)).toMatchObject({ code: 'layer_missing', field: 'user-namespace' })
  })
  test('a variable that leads this package\'s own folders elsewhere keeps nothing from being tried', async () => {
    mkdirSync(join(work, 'codex-sandbox'))
    const sandbox = await createSandbox({ policy: POLICY, cwd: work, ...made })
    const task = { policy: { ...POLICY, mode: 'read-only' as const, write: [] }, allowDegraded: ['outer-sandbox' as const], cwd: join(base, 'outside') }
    const { stdout } = await sandbox.exec([process.execPath, entry], { env: { ...environment(task), XDG_CACHE_HOME: base, XDG_STATE_HOME: base, HOME: base } })
    await sandbox.close()
    expect(parse(stdout)).toMatchObject({ code: 'layer_missing', field: 'outer-sandbox', message: expect.stringContaining(`writing ${JSON.stringify(work)}`) })
  })
  test('other degradations do not open it', async () => {
    expect(await outer({ allowDegraded: ['no-landlock', 'no-unix-socket-control', 'no-own-proc', 'limits', 'later-glob-matches'] })).toMatchObject({ code: 'layer_missing' })
  })
  test('relying on the outer one, where it holds the same: it runs, says so, and is held', async () => {
    const answer = await outer({ allowDegraded: ['outer-sandbox'] })
    expect(answer).toMatchObject({ stdout: 'in\nsecret\n', enforcement: { backend: 'unconfined', layers: [], degraded: ['outer-sandbox'] } })
    if ('enforcement' in answer) expect(answer.check).toEqual({ ok: true, enforcement: answer.enforcement })
    expectUntouched()
  })
  test.each<{ name: string; task: Partial<NestedTask>; outer?: () => Partial<SandboxOptions>; open: () => string }>([
    { name: 'read-only in workspace-write', task: { policy: { ...POLICY, mode: 'read-only' } }, open: () => `writing ${JSON.stringify(work)}` },
    { name: 'a denied file that the outer one lets read', task: { policy: { ...POLICY, deny: ['secret.txt'] } }, open: () => `reading ${JSON.stringify(join(work, 'secret.txt'))}` },
    { name: 'a protected name that the outer one does not know', task: { policy: { ...POLICY, protect: ['locked'] } }, open: () => `making ${JSON.stringify(join(work, 'locked'))}` },
    { name: 'an empty file that the outer one lets write', task: {}, outer: () => ({ policy: { ...POLICY, write: [join(base, 'empty')] } }), open: () => `writing ${JSON.stringify(join(base, 'empty'))}` },
    { name: 'the network off in an open one', task: {}, outer: () => ({ policy: { ...POLICY, network: 'open' } }), open: () => 'the network' },
    { name: 'the network off in one that has a proxy', task: {}, outer: () => ({ policy: { ...POLICY, network: { allowedDomains: ['example.com'] } } }), open: () => 'the network (127.0.0.1:' },
    { name: 'another workspace beside that of the outer one', task: {}, open: () => `writing ${JSON.stringify(work)}` },
  ])('relying on the outer one, where it holds less: $name is refused, and what was tried is gone', async ({ name, task, outer: options, open }) => {
    // Known when the test begins.
    const cwd = name.startsWith('another') ? join(base, 'outside') : work
    const answer = await outer({ allowDegraded: ['outer-sandbox'], cwd, ...task }, options?.())
    expect(answer).toMatchObject({ code: 'layer_missing', field: 'outer-sandbox', message: expect.stringContaining(open()) })
    expect(existsSync(join(work, 'locked'))).toBe(false)
    expect(existsSync(join(work, 'made'))).toBe(false)
    expectUntouched()
  })
  test('a server of the outer one\'s own, on a loopback that both share', async () => {
    // Supervised there is none that commands may connect to.
    const script = 'python3 -m http.server --bind 127.0.0.1 8099 >/dev/null 2>&1 & i=0; until grep -q ":1FA3 .* 0A " /proc/self/net/tcp || [ $i = 40 ]; do sleep 0.05; i=$((i+1)); done; exec "$0" "$1"'
    const sandbox = await createSandbox({ policy: POLICY, cwd: work, ...made })
    const { stdout, stderr } = await sandbox.exec(['sh', '-c', script, process.execPath, entry], { env: environment({ allowDegraded: ['outer-sandbox'] }), onDenial: () => {} })
    await sandbox.close()
    expect(stdout, stderr).toContain('nested')
    const refused = { code: 'layer_missing', field: 'outer-sandbox', message: expect.stringContaining('the network (127.0.0.1:8099, where something listens)') }
    expect(parse(stdout)).toMatchObject('rung' in made && made.rung === 'supervised' ? { stdout: 'in\nsecret\n' } : refused)
  })
  test('the same denied in both: held', async () => {
    const policy = { ...POLICY, deny: ['secret.txt'], protect: ['locked'] }
    expect(await outer({ policy, allowDegraded: ['outer-sandbox'] }, { policy })).toMatchObject({ stdout: 'in\n', enforcement: { degraded: ['outer-sandbox'] } })
    expectUntouched()
  })
  test('rules for the network cannot be held by another sandbox', async () => {
    expect(await outer({ policy: { ...POLICY, network: { allowedDomains: ['example.com'] } }, allowDegraded: ['outer-sandbox'] })).toMatchObject({ code: 'rule_not_enforceable', field: 'network' })
  })
  test('external-sandbox runs as ever', async () => {
    expect(await outer({ policy: 'external-sandbox' })).toMatchObject({ stdout: 'in\nsecret\n', enforcement: { backend: 'unconfined', degraded: [] } })
    expectUntouched()
  })
})

/** A machine of its own as far as the network goes: without an interface but the loopback, on which a server outside of the outer sandbox listens. */
describe.skipIf(reason !== undefined || process.getuid?.() !== 0)('on a machine that has no way out (as root, who may make one)', () => {
  const OUTER = `
    import { createServer } from 'node:net'
    import { createSandbox } from ${JSON.stringify(join(process.cwd(), 'dist/index.js'))}
    const [entry, options, serves] = process.argv.slice(1)
    let connections = 0
    const server = createServer(socket => { connections++; socket.end('reached') })
    if (serves === 'yes') await new Promise(resolve => server.listen(7999, '127.0.0.1', resolve))
    const sandbox = await createSandbox(JSON.parse(options))
    const { stdout, stderr } = await sandbox.exec([process.execPath, entry], { env: JSON.parse(process.env.NESTED_ENV), onDenial: () => {} })
    await sandbox.close()
    server.close()
    console.log(stdout.split('\\n')[0] || stderr)
    console.log(connections)`
  const inNetwork = (serves: 'yes' | 'no', script: string): { answer: NestedAnswer; connections: number } => {
    const options = JSON.stringify({ policy: { ...POLICY, network: 'open' }, cwd: work, rung: 'supervised' })
    const { stdout, stderr } = spawnSync('unshare', ['--net', 'sh', '-c', 'ip link set lo up && exec "$@"', 'sh', process.execPath, '--input-type=module', '-e', OUTER, entry, options, serves], {
      encoding: 'utf8', env: { ...process.env, NESTED_ENV: JSON.stringify(environment({ allowDegraded: ['outer-sandbox'], script })) },
    })
    expect(stdout, stderr).toContain('nested')
    return { answer: parse(stdout), connections: Number(stdout.trim().split('\n').at(-1)) }
  }
  const CONNECT = `exec 3<>/dev/tcp/127.0.0.1/7999 && head -c 7 <&3`

  test('a server on its loopback, which the policy denies, is found; nothing runs', () => {
    const { answer, connections } = inNetwork('yes', `bash -c '${CONNECT}'`)
    expect(answer).toMatchObject({ code: 'layer_missing', field: 'outer-sandbox', message: expect.stringContaining('the network (127.0.0.1:7999, where something listens)') })
    // The trials', for checkHost and createSandbox.
    expect(connections).toBe(2)
  })
  test('the twin: without one it runs', () => {
    expect(inNetwork('no', 'echo ran').answer).toMatchObject({ stdout: 'ran\n', enforcement: { degraded: ['outer-sandbox'] } })
  })
})

describe.skipIf(reason !== undefined)('inside others', () => {
  test('bubblewrap leaves the supervised rung, also where the caller would do with less', async context => {
    if (!hasBwrap) context.skip('bubblewrap is not installed')
    for (const allowDegraded of [[], ['outer-sandbox']] as const) expect(await inBwrap({ allowDegraded })).toMatchObject({ stdout: 'in\nsecret\n', enforcement: { rung: 'supervised', degraded: [] } })
    expectUntouched()
  })
  test('a home that has become read-only is told, with what to do', async context => {
    if (!hasBwrap) context.skip('bubblewrap is not installed')
    const home = join(base, 'home')
    const { own, files } = cacheFolders(join(home, '.cache/codex-sandbox'), work, { files: true, settings: false })
    mkdirSync(files ?? '', { recursive: true, mode: 0o700 })
    expect(await inBwrap({ policy: 'workspace-write' }, '--ro-bind', home, home)).toMatchObject({ code: 'set_up_failed', message: expect.stringMatching(/^make_cache_directory .* \(EROFS\) failed/), remedy: expect.stringContaining('XDG_CACHE_HOME') })
    rmSync(own, { recursive: true })
  })
  test('so does a container as Docker makes it', async () => {
    expect(await inDocker({ allowDegraded: ['outer-sandbox'] })).toMatchObject({ stdout: 'in\nsecret\n', enforcement: { rung: 'supervised', degraded: [] } })
    expectUntouched()
  })
  test('where there is no sandbox at all, relying on one is refused', async () => {
    expect(await bare({ allowDegraded: ['outer-sandbox'] })).toMatchObject({ code: 'layer_missing', field: 'outer-sandbox', message: expect.stringContaining('nothing around this process refuses writing "/"') })
    expect(existsSync(join(work, 'made'))).toBe(false)
  })
})
