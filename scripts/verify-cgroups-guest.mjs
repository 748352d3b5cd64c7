// What runs in the VM that scripts/verify-cgroups.mjs boots; started again, with a role, inside the group of each case.
import { spawnSync } from 'node:child_process'
import { chownSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { setTimeout as wait } from 'node:timers/promises'

const CGROUP = '/sys/fs/cgroup'
const USER = 1234
const [role, parent, expectation] = process.argv.slice(2)
const log = text => process.stdout.write(`${text}\n`)
let failed = 0

function check(name, found, expected) {
  const same = JSON.stringify(found) === JSON.stringify(expected)
  if (!same) failed++
  log(`${same ? 'ok  ' : 'FAIL'} ${name}${same ? '' : `: ${JSON.stringify(found)} instead of ${JSON.stringify(expected)}`}`)
}

/** Looks until it is so, for as long as a slow machine may need. */
async function until(look, expected) {
  const end = performance.now() + 20_000
  while (JSON.stringify(look()) !== JSON.stringify(expected) && performance.now() < end) await wait(20)
}

async function checkSoon(name, look, expected) {
  await until(look, expected)
  check(name, look(), expected)
}

/** As systemd delegates: the group and three of its files. */
function delegate(path, uid) {
  for (const name of ['', '/cgroup.procs', '/cgroup.subtree_control', '/cgroup.threads']) chownSync(path + name, uid, uid)
}

/** Runs this file in `group`. `parent`: where its groups are expected. */
function runIn(title, group, uid, ...words) {
  log(`-- ${title}`)
  const program = `echo $$ > ${group}/cgroup.procs && exec ${uid === 0 ? '' : `setpriv --reuid ${uid} --regid ${uid} --clear-groups `}node ${process.argv[1]} ${words.join(' ')}`
  const { status } = spawnSync('sh', ['-c', program], { stdio: 'inherit', env: { PATH: process.env.PATH, HOME: `/tmp/home${uid}` } })
  if (status !== 0) {
    failed++
    log(`FAIL ${title}: ended with ${status}`)
  }
}

function host() {
  for (const uid of [0, USER]) {
    mkdirSync(`/tmp/home${uid}`)
    chownSync(`/tmp/home${uid}`, uid, uid)
  }
  writeFileSync(`${CGROUP}/cgroup.subtree_control`, '+memory +pids +cpu')
  for (const [name, uid] of [['user.service', USER], ['root.service', 0]]) {
    mkdirSync(`${CGROUP}/${name}`)
    mkdirSync(`${CGROUP}/${name}/main`)
    delegate(`${CGROUP}/${name}`, uid)
    delegate(`${CGROUP}/${name}/main`, uid)
    runIn(`uid ${uid}, in a group below a delegated one`, `${CGROUP}/${name}/main`, uid, 'limits', `${CGROUP}/${name}`)
  }
  runIn('root, in the root group: polled', CGROUP, 0, 'polled', 'x', 'root')
  mkdirSync(`${CGROUP}/alone`)
  delegate(`${CGROUP}/alone`, USER)
  runIn('in the delegated group itself, which is not left: polled', `${CGROUP}/alone`, USER, 'polled', 'x', 'root')
  mkdirSync(`${CGROUP}/whole`)
  mkdirSync(`${CGROUP}/whole/x.scope`)
  delegate(`${CGROUP}/whole`, USER)
  delegate(`${CGROUP}/whole/x.scope`, USER)
  runIn('in a group of systemd\'s own: polled', `${CGROUP}/whole/x.scope`, USER, 'polled', 'x', 'systemd')
  mkdirSync(`${CGROUP}/capped`)
  mkdirSync(`${CGROUP}/capped/main`)
  writeFileSync(`${CGROUP}/capped/cgroup.subtree_control`, '+memory +pids')
  writeFileSync(`${CGROUP}/capped/main/pids.max`, '500')
  runIn('in a group with limits of its own: polled', `${CGROUP}/capped/main`, 0, 'polled', 'x', 'limits')
  log(failed === 0 ? 'all passed' : `${failed} failed`)
  process.exitCode = failed === 0 ? 0 : 1
}

const library = () => import('/guest/src/index.js')
const ownGroups = () => readdirSync(parent).filter(name => name.startsWith('codex-sandbox-'))
const groupsOf = sandbox => readdirSync(`${parent}/codex-sandbox-${sandbox.pid}`, { withFileTypes: true }).filter(entry => entry.isDirectory()).map(({ name }) => name).sort()
const workspace = () => mkdtempSync(`${process.env.HOME}/w`)
const options = (limits, more = {}) => ({ cwd: workspace(), policy: { mode: 'workspace-write', limits }, allowDegraded: ['no-landlock', 'no-own-proc', 'no-unix-socket-control'], ...more })
const allocate = megabytes => ['node', '-e', `const a=[];for(let i=0;i<${megabytes};i++)a.push(Buffer.alloc(1<<20,1));console.log(a.length)`]
const MANY = ['sh', '-c', 'i=0; while [ $i -lt 30 ]; do sleep 5 & i=$((i+1)); done; wait']
const summary = ({ exitCode, signal, limit }) => ({ exitCode, signal, limit })

async function limits() {
  const { createSandbox } = await library()
  const own = readFileSync('/proc/self/cgroup', 'utf8')
  const sandbox = await createSandbox(options({ memoryBytes: 128 << 20, pids: 40 }, { requireLimits: true }))
  check('exact', sandbox.enforcement.limits, { memoryBytes: 'exact', pids: 'exact' })
  check('the embedding process was not moved', readFileSync('/proc/self/cgroup', 'utf8'), own)
  check('only the launcher\'s group while nothing runs', groupsOf(sandbox), ['launcher'])

  const sibling = sandbox.exec(['sh', '-c', 'sleep 8; echo well'])
  const over = await sandbox.exec(allocate(400), { limits: { memoryBytes: 64 << 20 } })
  check('memory exceeded', summary(over), { exitCode: 137, signal: 'SIGKILL', limit: 'memoryBytes' })
  check('memory exceeded by a grandchild: all of the command ends', summary(await sandbox.exec(['sh', '-c', `node -e "const a=[];for(;;)a.push(Buffer.alloc(1<<20,1))"; echo on`])), { exitCode: 137, signal: 'SIGKILL', limit: 'memoryBytes' })
  const many = await sandbox.exec(MANY, { limits: { pids: 10 } })
  check('processes exceeded', { failed: many.exitCode !== 0, limit: many.limit }, { failed: true, limit: 'pids' })
  check('processes within', summary(await sandbox.exec(['sh', '-c', 'for i in 1 2 3 4; do true & done; wait'], { limits: { pids: 10 } })), { exitCode: 0, signal: null })
  check('exactly as many as asked for', (await sandbox.exec(['sh', '-c', 'for i in 1 2 3 4 5 6 7 8 9; do sleep 1 & done; wait; echo fine'], { limits: { pids: 10 } })).stdout, 'fine\n')
  check('another signal is no limit', summary(await sandbox.exec(['sh', '-c', 'kill -KILL $$'])), { exitCode: 137, signal: 'SIGKILL' })
  check('a program that is not there', (await sandbox.exec(['nothing-here'])).exitCode, 127)
  check('a large command', (await sandbox.exec(['sh', '-c', 'echo $#', 'sh', 'x'.repeat(100_000)])).stdout, '1\n')
  check('the sibling went on', summary(await sibling), { exitCode: 0, signal: null })

  const inside = await sandbox.exec(['sh', '-c', `cat /proc/self/cgroup; for f in ${parent}/cgroup.procs ${parent}/codex-sandbox-${sandbox.pid}/launcher/cgroup.procs; do echo 0 > $f; done; mkdir ${parent}/codex-sandbox-${sandbox.pid}/own; cat /proc/self/cgroup`])
  check('a command stays in its group', new Set(inside.stdout.trim().split('\n')).size, 1)
  check('no group of a command is left', groupsOf(sandbox), ['launcher'])
  await Promise.all(Array.from({ length: 50 }, () => sandbox.exec(['true'])))
  for (let i = 0; i < 200; i++) await sandbox.exec(['true'])
  await checkSoon('none of 250 leaks', () => groupsOf(sandbox), ['launcher'])
  check('refused below what can be held', await sandbox.exec(['true'], { limits: { memoryBytes: 1 << 20 } }).then(() => 'it ran', ({ code, field }) => ({ code, field })), { code: 'rule_not_enforceable', field: 'limits.memoryBytes' })
  const running = sandbox.exec(['sleep', '60'])
  await until(() => groupsOf(sandbox).length, 2)
  await sandbox.close()
  await running.catch(() => {})
  await checkSoon('nothing is left after close', ownGroups, [])

  await killed(createSandbox)
  for (const step of ['enter_sandbox_group', 'divide_sandbox_group', 'make_command_group', 'enter_command_group']) await failing(createSandbox, step)
  await timing(createSandbox)
  await ending(createSandbox)
}

/** Without namespaces, on a kernel whose Landlock has no scopes: a command's group ends all of it, also where it holds limits. */
async function ending(createSandbox) {
  for (const given of [{}, { memoryBytes: 128 << 20, pids: 40 }]) {
    const sandbox = await createSandbox(options(given, { rung: 'supervised' }))
    const name = Object.keys(given).length === 0 ? 'without limits' : 'with limits'
    check(`a control group ends commands, ${name}`, sandbox.enforcement.treeEnd, 'control-group')
    const abort = new AbortController()
    const running = sandbox.exec(['sh', '-c', 'setsid sh -c "trap : TERM HUP; while :; do sleep 77; done" & while :; do sleep 77; done'], { signal: abort.signal, killGraceMs: 0 })
    await until(sleepers, 2)
    const before = sleepers()
    abort.abort()
    const { cancelled } = await running
    check('all of a command has ended', { before, after: sleepers(), cancelled }, { before: 2, after: 0, cancelled: true })
    const last = sandbox.exec(['sh', '-c', 'setsid sleep 77 & sleep 77']).catch(error => error.code)
    await checkSoon('another one runs', sleepers, 2)
    process.kill(sandbox.pid, 'SIGKILL')
    check('the launcher was killed', await last, 'launcher_lost')
    await checkSoon('its commands have ended', sleepers, 0)
    await sandbox.close()
  }
}

const sleepers = () => readdirSync('/proc').filter(name => /^\d+$/.test(name)).filter(pid => {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'latin1') === 'sleep\x0077\0'
  } catch {
    return false
  }
}).length

async function killed(createSandbox) {
  const sandbox = await createSandbox(options({ memoryBytes: 64 << 20 }))
  const running = sandbox.exec(['sleep', '60']).catch(error => error.code)
  await until(() => groupsOf(sandbox).length, 2)
  process.kill(sandbox.pid, 'SIGKILL')
  check('the launcher was killed', await running, 'launcher_lost')
  await sandbox.close()
  await wait(500)
  check('its groups stay', ownGroups().length, 1)
  const next = await createSandbox(options({ memoryBytes: 64 << 20 }))
  check('the next start removes them', ownGroups(), [`codex-sandbox-${next.pid}`])
  await next.close()
  await checkSoon('and its own', ownGroups, [])
}

async function failing(createSandbox, step) {
  // Not where commands may write: nobody could keep them from it.
  const launcher = `${mkdtempSync('/var/tmp/failing-')}/${step}`
  writeFileSync(launcher, `#!/bin/sh\nCODEX_SANDBOX_FAIL_STEP=${step} exec /guest/build/launcher-fault-injection/linux-x64/codex-sandbox-launcher "$@"\n`, { mode: 0o755 })
  const given = options({ memoryBytes: 64 << 20 }, { launcherPath: launcher })
  const told = error => ({ code: error.code, step: error.step })
  const outcome = await createSandbox(given).then(async sandbox => {
    const result = await sandbox.exec(['sh', '-c', ': > marker']).then(() => 'it ran', told)
    await sandbox.close()
    return result
  }, told)
  await checkSoon(`${step} fails: nothing runs, nothing is left`, () => ({ outcome, marker: existsSync(`${given.cwd}/marker`), groups: ownGroups() }), { outcome: { code: 'set_up_failed', step }, marker: false, groups: [] })
}

async function timing(createSandbox) {
  const policies = { 'no limits': {}, 'limits in groups': { memoryBytes: 64 << 20, pids: 50 } }
  for (const [name, policyLimits] of Object.entries(policies)) {
    const created = performance.now()
    const sandbox = await createSandbox(options(policyLimits))
    const started = performance.now()
    for (let i = 0; i < 100; i++) await sandbox.exec(['true'])
    const ran = performance.now()
    await sandbox.close()
    log(`     ${name}: created ${(started - created).toFixed(1)} ms, a command ${((ran - started) / 100).toFixed(2)} ms, closed ${(performance.now() - ran).toFixed(1)} ms`)
    if (name === 'no limits') await checkSoon('no group without limits', ownGroups, [])
  }
}

/** The limit holds all the same, and the reason is told. */
async function polled() {
  const { createSandbox, capabilities } = await library()
  const sandbox = await createSandbox(options({ memoryBytes: 64 << 20 }))
  check('polled', sandbox.enforcement.limits, { memoryBytes: 'polled' })
  const { groups } = await capabilities()
  log(`     ${groups.reason ?? JSON.stringify(groups)}`)
  check('the reason', expectation === undefined || (groups.reason ?? '').includes(expectation), true)
  check('a command runs', (await sandbox.exec(['true'])).exitCode, 0)
  await sandbox.close()
}

const ROLES = { limits, polled }
if (role === undefined) host()
else {
  await ROLES[role]()
  process.exitCode = failed === 0 ? 0 : 1
}
