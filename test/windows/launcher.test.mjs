// Commands through the launcher, by the runner: `unelevated` as it is started there, `elevated` through its broker and the named pipe. Under Wine
// nobody can log another account on and no token is restricted, so the runner of the tests goes past what does not read back, and its
// broker starts it as this very user. That the one without this refuses, and at which step, is tested as well.
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, renameSync, rmdirSync, rmSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { after, before, describe, test } from 'node:test'

const { CODEX_SANDBOX_ADDON_PLUMBING, CODEX_SANDBOX_PRODUCT, CODEX_SANDBOX_RUNNER, CODEX_SANDBOX_RUNNER_PLUMBING, CODEX_SANDBOX_TELL, CODEX_SANDBOX_TRY_JOB, CODEX_SANDBOX_VERSION, CODEX_SANDBOX_WINE, SystemRoot } = process.env
const addon = createRequire(import.meta.url)(CODEX_SANDBOX_ADDON_PLUMBING)
const { environmentPlan, jobPlan, Placeholders, startRunnerProcess, startWindowsLauncher, tokenPlan, windowsBackend } = await import(CODEX_SANDBOX_PRODUCT)

/** Wine shows the whole of Unix as Z:. */
const toWindows = path => path.startsWith('/') ? `Z:${path.replaceAll('/', '\\')}` : path
const onWine = CODEX_SANDBOX_WINE === '1'
const onlyWine = onWine ? {} : { skip: 'a real Windows does what it is asked for' }
const onlyWindows = onWine ? { skip: 'Wine enforces nothing of this: it needs a real Windows' } : {}

const tell = toWindows(CODEX_SANDBOX_TELL)
const CMD = join(SystemRoot, 'System32', 'cmd.exe')
const folder = mkdtempSync(join(tmpdir(), 'codex-sandbox-'))
after(() => rmSync(folder, { recursive: true, force: true }))
const user = addon.machineFacts().user
const CAPABILITY = 'S-1-5-21-9-9-9-9'
const ENVIRONMENT = [`SystemRoot=${SystemRoot}`, `Path=${SystemRoot}\\System32`, `TEMP=${tmpdir()}`, 'PATHEXT=.COM;.EXE;.BAT;.CMD']
const identity = path => (({ device, inode }) => ({ device, inode }))(addon.lookAt(path))
/** Of an administrator on Windows; Wine keeps them all. */
const PRIVILEGES = ['AssignPrimaryToken', 'Audit', 'Backup', 'ChangeNotify', 'CreateGlobal', 'CreatePagefile', 'CreatePermanent', 'CreateSymbolicLink', 'CreateToken', 'Debug', 'DelegateSessionUserImpersonate', 'EnableDelegation', 'Impersonate', 'IncreaseBasePriority', 'IncreaseQuota', 'IncreaseWorkingSet', 'LoadDriver', 'LockMemory', 'MachineAccount', 'ManageVolume', 'ProfileSingleProcess', 'Relabel', 'RemoteShutdown', 'Restore', 'Security', 'Shutdown', 'SyncAgent', 'SystemEnvironment', 'SystemProfile', 'Systemtime', 'TakeOwnership', 'Tcb', 'TimeZone', 'TrustedCredManAccess', 'Undock', 'UnsolicitedInput'].map(name => `Se${name}Privilege`)
const cwd = { path: folder, identity: identity(folder) }

function planOf(mode = 'unelevated', changes = {}) {
  const limits = changes.limits ?? {}
  return {
    backend: `windows-${mode}`, platform: 'windows', token: tokenPlan(user, [CAPABILITY], mode === 'elevated'), capabilities: [], access: [], placeholders: [], job: jobPlan(limits), desktop: 'own', network: 'advised',
    environment: environmentPlan('open'), commandInterpreter: CMD, stateDirectory: join(folder, 'state'), limits, cwd, degraded: [], enforcement: { backend: `windows-${mode}`, layers: [], degraded: [], limits: {}, notes: [] },
    ...(mode === 'elevated' ? { machine: { accounts: [user, { name: 'other', sid: 'S-1-5-21-1-1-1-2' }], group: 'S-1-5-21-1-1-1-1', firewall: [], secrets: join(folder, 'secrets.json') } } : {}),
    ...changes,
  }
}
/** No proofs: Wine's answers are not the plan's. */
const unproven = (mode, changes = {}) => {
  const plan = planOf(mode, changes)
  return { ...plan, token: { ...plan.token, proofs: [] } }
}

const secrets = sealed => JSON.stringify({ version: 1, offline: sealed.toString('base64'), online: sealed.toString('base64') })
/** Set-up's part, and not tried here. */
const HOLDS = { firewall: async () => ({ localRulesCount: true, offIn: [] }), readFirewallRules: async () => [] }
const parts = { addon, runner: toWindows(CODEX_SANDBOX_RUNNER_PLUMBING), version: CODEX_SANDBOX_VERSION, readSecrets: () => secrets(addon.protectSecret(Buffer.from('correct horse'))), firewall: HOLDS }
const start = (plan, more = {}) => windowsBackend(plan.backend.slice('windows-'.length), { ...parts, ...more }).start(plan)

/** ERROR_INTERNAL_ERROR: on a busy machine Wine now and then fails to start a process, and says so. Windows has no such excuse. */
const WINE_DID_NOT_START = 'WIN32_1359'

/** As a caller sees a command: { exit } or { failure }, with what it wrote. */
function begin(launcher, argv, options = {}, handlers = {}) {
  const out = { stdout: [], stderr: [] }
  let settle
  const done = new Promise(resolve => { settle = resolve })
  const text = () => ({ stdout: Buffer.concat(out.stdout), stderr: Buffer.concat(out.stderr) })
  const running = launcher.run({ argv, cwd, env: ENVIRONMENT, stdin: options.input === undefined ? 'empty' : 'pipe', limits: {}, ...options }, {
    onOutput(stream, chunk) {
      out[stream].push(Buffer.from(chunk))
      if (options.consume !== false) setImmediate(() => running.consumed(stream, chunk.length))
    },
    ...handlers,
    onExit: exit => settle({ ...exit, ...text() }),
    onFailed: failure => settle({ failure }),
  })
  if (options.input !== undefined) {
    running.writeStdin(options.input)
    running.closeStdin()
  }
  return { running, done, text }
}

async function run(launcher, argv, options, handlers) {
  for (let turn = 1; ; turn++) {
    const ended = await begin(launcher, argv, options, handlers).done
    if (!onWine || ended.failure?.errno !== WINE_DID_NOT_START || turn === 3) return ended
    console.log(`# Wine did not start a process, turn ${turn}`)
  }
}

const until = async (what, ms = 20_000) => {
  for (const end = Date.now() + ms; !what();) {
    if (Date.now() > end) throw new Error(`not within ${ms} ms`)
    await new Promise(resolve => setTimeout(resolve, 20))
  }
}
const isThere = pid => {
  try {
    return process.kill(pid, 0)
  } catch (error) {
    assert.equal(error.code, 'ESRCH')
    return false
  }
}
/** The same numbers each time. */
function randomOf(seed) {
  let state = seed
  return most => {
    state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0
    return (state >>> 8) % most
  }
}

const randomArguments = (random, letters) => Array.from({ length: 1 + random(5) }, () => Array.from({ length: random(10) }, () => letters[random(letters.length)]).join(''))

const lines = buffer => buffer.toString('utf8').split('\n').slice(0, -1)

for (const mode of ['unelevated', 'elevated']) {
  describe(`commands, ${mode}`, () => {
    const launchers = []
    const launcher = async (changes, more) => {
      const made = await start(unproven(mode, changes), more)
      launchers.push(made)
      return made
    }
    after(() => Promise.all(launchers.map(each => each.close())))

    test('exit codes, of 32 bits', async () => {
      const one = await launcher()
      for (const code of [0, 1, 37, 255, 259, 3_221_225_477]) assert.equal((await run(one, [tell, 'exit', String(code)])).exitCode, code)
    })

    test('output, input and arguments arrive as they were given', async () => {
      const one = await launcher()
      const given = ['a b', '', '"', 'c\\', '%PATH%', 'ü', '*', 'x\\"y']
      const { exitCode, stdout, stderr } = await run(one, [tell, 'args', ...given])
      assert.deepEqual([exitCode, lines(stdout), stderr.length], [0, given, 0])
      const input = Buffer.from(Array.from({ length: 700_000 }, (_, index) => index % 251))
      const echoed = await run(one, [tell, 'cat'], { input })
      assert.ok(echoed.stdout.equals(input))
      assert.deepEqual([(await run(one, [tell, 'cat'])).stdout.length, (await run(one, [tell, 'exit', '0'], { input })).exitCode], [0, 0])
    })

    test('input that a command does not read is told as taken, so that nobody waits for it', async () => {
      const one = await launcher()
      let drained = 0
      const { running, done } = begin(one, [tell, 'exit', '0'], { stdin: 'pipe' }, { onStdinDrained: () => { drained++ } })
      running.writeStdin(Buffer.alloc(1 << 20))
      assert.equal((await done).exitCode, 0)
      assert.ok(drained <= 1)
    })

    test('a program is found on PATH with PATHEXT, never in the working directory; what cannot be started says why', async () => {
      const one = await launcher()
      assert.match((await run(one, ['cmd', '/d', '/c', 'echo', 'found'])).stdout.toString(), /found/)
      writeFileSync(join(folder, 'here.cmd'), '@echo no\r\n')
      assert.deepEqual((await run(one, ['here'])).failure, { step: 'exec', errno: 'ENOENT', path: undefined })
      assert.match((await run(one, ['.\\here'])).stdout.toString(), /no/)
      writeFileSync(join(folder, 'broken.exe'), 'not a program')
      const { failure } = await run(one, ['.\\broken'])
      assert.deepEqual([failure.step, failure.errno], ['exec', 'ENOEXEC'])
      writeFileSync(join(folder, 'script.py'), '')
      assert.deepEqual((await run(one, ['.\\script.py'], { env: [...ENVIRONMENT, 'PATHEXT=.PY'] })).failure, { step: 'exec', errno: 'ENOEXEC', path: join(folder, 'script.py') })
    })

    test('the working directory is the one that was meant, or it does not start', async () => {
      const one = await launcher()
      const other = join(folder, 'of its own')
      mkdirSync(other, { recursive: true })
      assert.equal((await run(one, [tell, 'cwd'], { cwd: { path: other, identity: identity(other) } })).stdout.toString(), other)
      assert.deepEqual((await run(one, [tell, 'cwd'], { cwd: { path: other, identity: { device: '1', inode: '1' } } })).failure, { step: 'enter_cwd', errno: 'ESTALE', path: undefined })
      assert.equal((await run(one, [tell, 'cwd'], { cwd: { path: join(folder, 'nowhere'), identity: identity(other) } })).failure.errno, 'ENOENT')
    })

    test('the environment is the command\'s, and nothing of this process or of the runner\'s', async () => {
      const one = await launcher()
      process.env.OF_THE_PARENT = 'x'
      assert.equal((await run(one, [tell, 'env', 'OWN'], { env: [...ENVIRONMENT, 'Own=ü b'] })).stdout.toString(), 'ü b')
      assert.equal((await run(one, [tell, 'env', 'OF_THE_PARENT'])).exitCode, 3)
    })

    test('a command has its three handles and no other of the runner\'s', async () => {
      const one = await launcher()
      const alone = Number((await run(one, [tell, 'handles'])).stdout)
      const others = Array.from({ length: 4 }, () => begin(one, [tell, 'sleep'], { stdin: 'pipe' }))
      const among = Number((await run(one, [tell, 'handles'])).stdout)
      for (const { running } of others) running.kill()
      await Promise.all(others.map(({ done }) => done))
      assert.equal(among, alone)
    })

    test('a signal ends all of it, and the exit says by which', async () => {
      const one = await launcher()
      for (const signal of [15, 1]) {
        const { running, done } = begin(one, [tell, 'sleep'], {}, { onStarted: () => running.signal(signal) })
        const { exitCode, signal: by, reason } = await done
        assert.deepEqual([exitCode, by, reason], [undefined, signal, 'none'])
      }
      const { running, done } = begin(one, [tell, 'sleep'])
      running.kill()
      assert.deepEqual((({ signal, reason }) => [signal, reason])(await done), [9, 'killed'])
    })

    test('what it leaves behind ends with it, and is named', async () => {
      const one = await launcher()
      const file = join(folder, `left ${mode}`)
      const { exitCode, ended } = await run(one, [tell, 'leave', file])
      const child = Number(readFileSync(file, 'utf8'))
      assert.deepEqual([exitCode, ended], [7, [{ pid: child, name: basename(tell) }]])
      assert.equal(isThere(child), false)
    })

    test('or goes on where it is to be kept, until it is ended', async () => {
      const one = await launcher()
      const file = join(folder, `kept ${mode}`)
      let left
      const { running, done } = begin(one, [tell, 'leave', file], { keep: true }, { onLeft: exit => { left = exit } })
      await until(() => left !== undefined)
      const child = Number(readFileSync(file, 'utf8'))
      assert.deepEqual([left.exitCode, left.ended], [7, [{ pid: child, name: basename(tell) }]])
      assert.equal(isThere(child), true)
      running.kill()
      assert.equal((await done).exitCode, 7)
      assert.equal(isThere(child), false)
    })

    test('a tree that is killed is gone as a whole', async () => {
      const one = await launcher()
      const file = join(folder, `tree ${mode}`)
      const { running, done } = begin(one, [tell, 'tree', file])
      await until(() => existsSync(file))
      const child = Number(readFileSync(file, 'utf8'))
      assert.equal(isThere(child), true)
      running.kill()
      await done
      assert.equal(isThere(child), false)
    })

    test('nothing leaves the job', async () => {
      assert.equal((await run(await launcher(), [tell, 'away'])).exitCode, 5)
    })

    test('output stops at the window while nobody consumes it, and goes on after', async () => {
      const one = await launcher()
      const size = 3 << 20
      const { running, done, text } = begin(one, [tell, 'flood', String(size)], { consume: false })
      await until(() => text().stdout.length >= 1 << 20)
      await new Promise(resolve => setTimeout(resolve, 300))
      const held = text().stdout.length
      assert.ok(held < size && held <= (1 << 20) + (64 << 10), `${held} bytes came`)
      let consumed = 0
      const timer = setInterval(() => {
        const { length } = text().stdout
        running.consumed('stdout', length - consumed)
        consumed = length
      }, 5)
      const { stdout, exitCode } = await done
      clearInterval(timer)
      assert.deepEqual([exitCode, stdout.length], [0, size])
    })

    test('several at once, each with its own output', async () => {
      const one = await launcher()
      const all = await Promise.all(Array.from({ length: 8 }, (_, index) => run(one, [tell, 'args', `of ${index}`])))
      assert.deepEqual(all.map(({ stdout }) => stdout.toString()), Array.from({ length: 8 }, (_, index) => `of ${index}\n`))
    })

    test('several sandboxes at once know nothing of each other, and one that is closed takes no other with it', async () => {
      const [one, other] = [await launcher(), await launcher()]
      const { running, done } = begin(other, [tell, 'sleep'])
      const first = begin(one, [tell, 'sleep'])
      await one.close()
      assert.deepEqual((await first.done).failure, { step: 'sandbox_closed', errno: 'exit 0', path: undefined })
      assert.equal((await run(other, [tell, 'exit', '3'])).exitCode, 3)
      running.kill()
      assert.equal((await done).signal, 9)
      assert.throws(() => one.run({ argv: [tell], cwd, env: [], stdin: 'empty', limits: {} }, {}), { code: 'launcher_lost' })
    })

    test('when the runner is lost, all of its commands are gone, and that is told', async () => {
      const one = await launcher()
      const file = join(folder, `lost ${mode}`)
      let lost = 0
      one.onLost(() => { lost++ })
      const { done } = begin(one, [tell, 'tree', file])
      await until(() => existsSync(file))
      const child = Number(readFileSync(file, 'utf8'))
      assert.equal(spawnSync(tell, ['end', String(one.pid)]).status, 0)
      assert.equal((await done).failure.step, 'launcher_lost')
      await until(() => !isThere(child))
      assert.equal(lost, 1)
    })

    test('a command looks into no process of the runner\'s', mode === 'elevated' ? { skip: 'the broker runs as the user, and the runner is not known by its number here' } : {}, async () => {
      const one = await launcher()
      assert.deepEqual([(await run(one, [tell, 'look-into', String(one.pid)])).exitCode, (await run(one, [tell, 'look-into', String(process.pid)])).exitCode], [5, 0])
    })

    test('no handle is left behind, here or in the runner', async () => {
      const one = await launcher()
      await run(one, [tell, 'exit', '0'])
      const count = async () => [addon.handleCount(), Number((await run(one, [tell, 'handles-of', String(one.pid)])).stdout)]
      const before = await count()
      for (let i = 0; i < 10; i++) await run(one, [tell, 'exit', '0'], { stdin: 'pipe', input: Buffer.from('x') })
      const behind = await count()
      assert.ok(behind.every((number, index) => number - before[index] < 10), `${before} handles before, ${behind} after ten commands`)
    })

    test('a terminal', onWine ? { skip: 'Wine makes a pseudo console, and nothing ever comes out of it' } : {}, async () => {
      const one = await launcher()
      const { running, done, text } = begin(one, [tell, 'cat'], { stdin: 'pipe', terminal: { rows: 24, cols: 80 } })
      running.writeStdin(Buffer.from('hello\r'))
      await until(() => text().stdout.includes('hello'))
      running.resize(30, 100)
      running.signal(2)
      assert.notEqual((await done).exitCode, 0)
    })
  })
}

describe('command lines', () => {
  let one
  before(async () => { one = await start(unproven()) })
  after(() => one.close())

  test('a program reads the arguments that it was given', async () => {
    const random = randomOf(1)
    const letters = ['a', ' ', '"', '\\', '%', '&', '^', '|', '<', '(', ')', '!', 'PATH', 'ü', '*', "'", '\t']
    for (let i = 0; i < 20; i++) {
      const given = randomArguments(random, letters)
      const { exitCode, stdout } = await run(one, [tell, 'args', ...given])
      assert.deepEqual([exitCode, lines(stdout)], [0, given])
    }
  })

  const throughBatch = async letters => {
    const batch = join(folder, 'pass on.cmd')
    writeFileSync(batch, `@echo off\r\n"${tell}" args %*\r\n`)
    const random = randomOf(2)
    for (let i = 0; i < 12; i++) {
      const given = randomArguments(random, letters).filter(text => text !== '')
      const { exitCode, stdout } = await run(one, [batch, ...given])
      assert.deepEqual([exitCode, lines(stdout)], [0, given], `of ${JSON.stringify(given)}: ${stdout}`)
    }
  }
  test('a batch file gets its arguments unchanged, and cmd.exe acts on none of them', () => throughBatch(['a', ' ', '&', '|', '<', '>', '^', '(', ')', '!', '=', ',', ';', 'PATH', '-', '.']))
  test('nor on variables in them', onWine ? { skip: 'the cmd.exe of Wine expands variables by rules of its own' } : {}, () => throughBatch(['a', ' ', '%', '%PATH%', '%cd%', '&', '!PATH!']))
})

describe('stubs and placeholders', () => {
  test('where the network is only advised against, ssh is a stub that says so', async () => {
    const one = await start(unproven('unelevated', { environment: environmentPlan('advised') }))
    const { exitCode, stderr } = await run(one, ['ssh', 'example.com'])
    assert.deepEqual([exitCode, stderr.toString().trim()], [1, 'ssh: the sandbox has no network'])
    assert.equal((await run(one, [tell, 'env', 'GIT_ALLOW_PROTOCOL'])).stdout.toString(), 'file')
    await one.close()
  })

  const place = name => ({ path: join(folder, name), parent: identity(folder), kind: 'directory' })

  test('a missing name is an empty folder while commands run, that nobody removes, and gone after', async () => {
    const placeholder = place('.git')
    const one = await start(unproven('unelevated', { placeholders: [placeholder] }))
    assert.equal(existsSync(placeholder.path), false)
    const { running, done } = begin(one, [tell, 'sleep'])
    assert.equal(existsSync(placeholder.path), true)
    assert.throws(() => rmdirSync(placeholder.path))
    running.kill()
    await done
    await until(() => !existsSync(placeholder.path))
    assert.deepEqual(readdirSync(join(folder, 'state')).filter(name => name.startsWith('placeholder-')), [])
    await one.close()
  })

  test('two sandboxes share one, and the last one removes it', async () => {
    const placeholder = place('.codex')
    const [one, other] = [await start(unproven('unelevated', { placeholders: [placeholder] })), await start(unproven('unelevated', { placeholders: [placeholder] }))]
    const [first, second] = [begin(one, [tell, 'sleep']), begin(other, [tell, 'sleep'])]
    first.running.kill()
    await first.done
    await one.close()
    assert.equal(existsSync(placeholder.path), true)
    second.running.kill()
    await second.done
    await other.close()
    assert.equal(existsSync(placeholder.path), false)
  })

  test('what the user has made there meanwhile is neither taken for one nor removed', async () => {
    const placeholder = place('.agents')
    const one = await start(unproven('unelevated', { placeholders: [placeholder] }))
    mkdirSync(placeholder.path)
    assert.deepEqual((await run(one, [tell, 'exit', '0'])).failure, { step: 'placeholder', errno: 'ESTALE', path: placeholder.path })
    await one.close()
    assert.equal(existsSync(placeholder.path), true)
  })

  test('what a process that was killed has left is removed by the next one, and only if it is still the same and empty', async () => {
    const state = join(folder, 'state')
    const names = ['left empty', 'left full', 'left and made again']
    for (const name of names) mkdirSync(join(folder, name))
    for (const [index, name] of names.entries()) {
      const { device, inode } = name === 'left and made again' ? { device: '1', inode: '1' } : identity(join(folder, name))
      writeFileSync(join(state, `placeholder-${index}`), `0 ${device} ${inode} 1 1\n${folder}\n${name}\n`)
    }
    writeFileSync(join(folder, 'left full', 'file'), '')
    await (await start(unproven())).close()
    assert.deepEqual(names.map(name => existsSync(join(folder, name))), [false, true, true])
    assert.deepEqual(readdirSync(state).filter(name => name.startsWith('placeholder-')), [])
  })

  test('a closed path at which something else stands now: nothing runs', async () => {
    const closed = join(folder, 'closed')
    mkdirSync(closed)
    const access = [{ path: closed, kind: 'directory', identity: identity(closed), add: [`(D;OICI;0xd0156;;;${CAPABILITY})`] }]
    const one = await start(unproven('unelevated', { access }))
    assert.equal((await run(one, [tell, 'exit', '4'])).exitCode, 4)
    // Before the other goes: its number would be free for the new one.
    mkdirSync(`${closed} again`)
    rmdirSync(closed)
    renameSync(`${closed} again`, closed)
    assert.deepEqual((await run(one, [tell, 'exit', '4'])).failure, { step: 'recheck', errno: 'ESTALE', path: closed })
    await one.close()
  })
})

describe('refusals: a system that says yes and does nothing', () => {
  const shipped = { runner: toWindows(CODEX_SANDBOX_RUNNER) }

  const nothing = { flags: [], disable: [], restricting: [], privileges: PRIVILEGES, integrity: '', proofs: [] }
  for (const { step, token } of [
    { step: 'token_restricting_sids', token: {} },
    { step: 'token_privileges', token: { ...nothing, privileges: ['SeChangeNotifyPrivilege'] } },
    { step: 'token_integrity', token: { ...nothing, integrity: 'S-1-16-8192' } },
    { step: 'desktop_access_list', token: nothing },
  ]) {
    test(`the runner that is shipped refuses at ${step}, and nothing runs`, onlyWine, async () => {
      const plan = planOf()
      await assert.rejects(start({ ...plan, token: { ...plan.token, ...token } }, shipped), { code: 'set_up_failed', step, errno: 'EMISMATCH' })
    })
  }

  test('a job whose limits do not read back is no job', onlyWine, () => {
    const { status, stdout } = spawnSync(toWindows(CODEX_SANDBOX_TRY_JOB), { encoding: 'utf8' })
    assert.deepEqual([status, stdout.trim()], [1, 'job_limits 0'])
  })

  test('with proofs that the system answers otherwise, nothing runs', onlyWine, async () => {
    await assert.rejects(start(planOf()), { code: 'set_up_failed', step: 'token_proof' })
  })

  test('its broker refuses before anybody is logged on where the pipe\'s list does not read back, and else where the logon fails', onlyWine, async () => {
    await assert.rejects(start(planOf('elevated'), shipped), error => error.code === 'set_up_failed' && ['pipe_access_list', 'logon'].includes(error.step))
  })

  test('another program that opens the runner\'s pipe gets nothing', async () => {
    const plan = unproven('elevated')
    const logon = { account: user, runner: tell, sealedPassword: addon.protectSecret(Buffer.from('correct horse')) }
    const given = { ...parts, startProcess: startRunnerProcess, logon, placeholders: new Placeholders(plan, addon), lookAt: addon.lookAt }
    await assert.rejects(startWindowsLauncher(plan, given), error => error.code === 'set_up_failed' && error.step === 'pipe_client' && /another process than the one that was started/.test(error.message))
  })

  test('a runner of another account, or of another version, is not used', async () => {
    const plan = unproven()
    await assert.rejects(start({ ...plan, token: { ...plan.token, account: 'S-1-5-21-1-2-3-4' } }), { code: 'set_up_failed', step: 'runner_account' })
    await assert.rejects(start(plan, { version: '0.0.0' }), { code: 'set_up_failed', step: 'runner_version' })
  })

  test('no kept password: set up first', async () => {
    await assert.rejects(start(unproven('elevated'), { readSecrets: undefined }), error => error.code === 'windows_setup_required' && /windows setup --mode elevated/.test(error.message))
  })

  test('a password that was sealed for somebody else opens nothing', async () => {
    await assert.rejects(start(unproven('elevated'), { readSecrets: () => secrets(Buffer.alloc(200)) }), { code: 'set_up_failed', step: 'unprotect_secret' })
  })

  const frame = (type, id, payload = Buffer.alloc(0), length = payload.length) => {
    const header = Buffer.alloc(9)
    header.writeUInt32LE(length, 0)
    header[4] = type
    header.writeUInt32LE(id, 5)
    return Buffer.concat([header, payload])
  }
  for (const { name, sent } of [
    { name: 'a frame that is too large', sent: frame(3, 1, Buffer.alloc(0), 0xffff_ffff) },
    { name: 'a frame of no type', sent: frame(200, 0) },
    { name: 'a command before the set-up', sent: frame(2, 1, Buffer.alloc(64)) },
    { name: 'a set-up that ends too early', sent: frame(1, 0, Buffer.from([1, 0, 0, 0, 5, 0, 0, 0])) },
    { name: 'a text that is longer than all of it', sent: frame(1, 0, Buffer.from([1, 0, 0, 0, 1, 0, 0, 0, 0xff, 0xff, 0xff, 0xff])) },
  ]) {
    test(`the runner ends where it is sent ${name}`, () => {
      // Its greeting, then what failed: by its step.
      const { status, stdout } = spawnSync(shipped.runner, [], { input: sent })
      assert.deepEqual([status, stdout[4], stdout.includes('protocol')], [66, 77, true])
    })
  }

  test('and at the end of its input, with nothing said', () => {
    const { status, stdout } = spawnSync(shipped.runner, [], { input: '' })
    assert.deepEqual([status, stdout[4], stdout.length], [0, 77, 9 + stdout.readUInt32LE(0)])
  })

  test('a runner that is not there, or is something else', async () => {
    await assert.rejects(start(unproven(), { runner: join(folder, 'nothing.exe') }), { code: 'set_up_failed', step: 'start_runner', errno: 'ENOENT' })
    await assert.rejects(start(unproven(), { runner: tell }), { code: 'set_up_failed', step: 'start_runner', errno: 'exit 2' })
  })
})

describe('enforcement', () => {
  const shipped = { runner: toWindows(CODEX_SANDBOX_RUNNER) }
  const owner = () => /^O:(S-1-5-[\d-]+?)(?=G:)/.exec(addon.readAccessList(folder))[1]

  test('every proof is as the system answers, and a command cannot make a file in the user\'s own folder', onlyWindows, async () => {
    const one = await start(planOf(), shipped)
    const file = join(folder, 'forbidden')
    assert.notEqual((await run(one, [tell, 'make', file])).exitCode, 0)
    assert.equal(existsSync(file), false)
    await one.close()
  })

  test('and can where its capability may', onlyWindows, async () => {
    const root = join(folder, 'root')
    mkdirSync(root)
    addon.writeAccessList(root, `D:(A;OICI;FA;;;${owner()})(A;OICI;0x1301bf;;;${CAPABILITY})`)
    const one = await start(planOf(), shipped)
    const file = join(root, 'allowed')
    assert.deepEqual([(await run(one, [tell, 'make', file])).exitCode, existsSync(file)], [0, true])
    await one.close()
  })

  test('one sandbox cannot end, nor look into, a command of another, nor the runner', onlyWindows, async () => {
    const [one, other] = [await start(planOf(), shipped), await start(planOf(), shipped)]
    let pid
    const { running, done } = begin(other, [tell, 'sleep'], {}, { onStarted: started => { pid = started } })
    await until(() => pid !== undefined)
    assert.equal((await run(one, [tell, 'end', String(pid)])).exitCode, 5)
    assert.equal((await run(one, [tell, 'end', String(other.pid)])).exitCode, 5)
    assert.equal((await run(one, [tell, 'look-into', String(other.pid)])).exitCode, 5)
    assert.equal(isThere(pid), true)
    running.kill()
    await done
    await Promise.all([one.close(), other.close()])
  })

  test('limits of a job hold', onlyWindows, async () => {
    const one = await start(planOf(), shipped)
    assert.equal((await run(one, [tell, 'tree', join(folder, 'never')], { limits: { pids: 1 } })).reason, 'pids-limit')
    assert.equal((await run(one, [tell, 'eat', String(1 << 28)], { limits: { memoryBytes: 1 << 26 } })).reason, 'memory-limit')
    assert.equal((await run(one, [tell, 'spin'], { limits: { cpuSeconds: 1 } })).reason, 'cpu-limit')
    await one.close()
  })

  test('a command is on a desktop of its own', onlyWindows, async () => {
    const one = await start(planOf(), shipped)
    assert.match((await run(one, [tell, 'desktop'])).stdout.toString(), /^codex-sandbox-/)
    await one.close()
  })
})
