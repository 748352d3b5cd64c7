// The addon in a Windows Node: under Wine by `npm run test:windows`, or on Windows. Three kinds of tests. Plumbing: real under Wine too.
// Refusals: Wine takes the call and does nothing, and the step says so. Enforcement: only a real Windows can tell, so skipped under Wine.
import assert from 'node:assert/strict'
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, describe, test } from 'node:test'

const { CODEX_SANDBOX_ADDON, CODEX_SANDBOX_ADDON_PLUMBING, CODEX_SANDBOX_PRODUCT, CODEX_SANDBOX_TELL, CODEX_SANDBOX_WINE, SystemRoot } = process.env
const require = createRequire(import.meta.url)
const addon = require(CODEX_SANDBOX_ADDON)
/** Goes on where a step did not read back; the same code otherwise. */
const plumbing = require(CODEX_SANDBOX_ADDON_PLUMBING)
const { commandEnvironment, environmentPlan, refuseUnproven, tokenPlan, windowsCommand } = await import(CODEX_SANDBOX_PRODUCT)
const tell = toWindows(CODEX_SANDBOX_TELL)
const CMD = join(SystemRoot, 'System32', 'cmd.exe')
const folder = mkdtempSync(join(tmpdir(), 'codex-sandbox-'))
after(() => rmSync(folder, { recursive: true, force: true }))

/** Wine shows the whole of Unix as Z:. */
function toWindows(path) {
  return path.startsWith('/') ? `Z:${path.replaceAll('/', '\\')}` : path
}

const onWine = CODEX_SANDBOX_WINE === '1'
const KILL_ON_JOB_CLOSE = 0x2000
const ENVIRONMENT = [`SystemRoot=${SystemRoot}`, `Path=${SystemRoot}\\System32`, `TEMP=${tmpdir()}`]

function start(words, options = {}, token = undefined) {
  const program = options.program ?? { path: tell, kind: 'program' }
  return plumbing.runCommand(token, { ...windowsCommand(program, words, CMD), cwd: folder, environment: ENVIRONMENT, job: { flags: KILL_ON_JOB_CLOSE }, ...options })
}
/** ERROR_INTERNAL_ERROR: on a busy machine Wine now and then fails to start a process, and says so. Windows has no such excuse. */
const WINE_DID_NOT_START = 1359

async function run(words, options, token) {
  for (let turn = 1; ; turn++) {
    try {
      return await start(words, options, token).done
    } catch (error) {
      if (!onWine || error.code !== WINE_DID_NOT_START || turn === 3) throw error
      console.log(`# Wine did not start a process (${error.message}), turn ${turn}`)
    }
  }
}

const lines = buffer => buffer.toString('utf8').split('\n').slice(0, -1)

/** The same numbers each time. */
function randomOf(seed) {
  let state = seed
  return most => {
    state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0
    return (state >>> 8) % most
  }
}

function randomArguments(random, letters) {
  return Array.from({ length: 1 + random(5) }, () => Array.from({ length: random(10) }, () => letters[random(letters.length)]).join(''))
}

describe('plumbing', () => {
  test('exit codes', async () => {
    for (const code of [0, 1, 37, 255]) assert.equal((await run(['exit', String(code)])).exitCode, code)
  })

  test('a program reads the arguments that it was given', async () => {
    const random = randomOf(1)
    const letters = ['a', ' ', '"', '\\', '%', '&', '^', '|', '<', '(', ')', '!', 'PATH', '\u00fc', '*', "'", '\t']
    for (let i = 0; i < 25; i++) {
      const given = randomArguments(random, letters)
      const { exitCode, stdout } = await run(['args', ...given])
      assert.deepEqual([exitCode, lines(stdout)], [0, given])
    }
  })

  const throughBatch = async letters => {
    const batch = join(folder, 'pass on.cmd')
    writeFileSync(batch, `@echo off\r\n"${tell}" args %*\r\n`)
    const random = randomOf(2)
    for (let i = 0; i < 12; i++) {
      const given = randomArguments(random, letters).filter(text => text !== '')
      const { exitCode, stdout } = await run(given, { program: { path: batch, kind: 'batch' } })
      assert.deepEqual([exitCode, lines(stdout)], [0, given], `of ${JSON.stringify(given)}: ${stdout}`)
    }
  }
  test('a batch file gets its arguments unchanged, and cmd.exe acts on none of them', () => throughBatch(['a', ' ', '&', '|', '<', '>', '^', '(', ')', '!', '=', ',', ';', 'PATH', '-', '.']))
  test('nor on variables in them', onWine ? { skip: 'the cmd.exe of Wine expands variables by rules of its own' } : {}, () => throughBatch(['a', ' ', '%', '%PATH%', '%cd%', '&', '!PATH!']))

  test('a stub says no and fails, found before any program of its name', async () => {
    const stubs = join(folder, 'stubs')
    mkdirSync(stubs)
    const plan = environmentPlan('advised')
    for (const { name, text } of plan.stubs) writeFileSync(join(stubs, name), text)
    const environment = commandEnvironment(plan, ENVIRONMENT, stubs)
    for (const name of ['ssh', 'scp', 'ssh.cmd']) {
      const { exitCode, stdout, stderr } = await plumbing.runCommand(undefined, { application: CMD, commandLine: `cmd.exe /d /c ${name} example.com`, cwd: folder, environment, job: { flags: KILL_ON_JOB_CLOSE } }).done
      assert.notEqual(exitCode, 0)
      assert.match(stderr.toString(), /the sandbox has no network/)
      assert.equal(stdout.toString(), '')
    }
  })

  test('the environment is what was given, and nothing of ours', async () => {
    process.env.OF_THE_PARENT = 'x'
    const environment = [...ENVIRONMENT, 'Own=\u00fc b', 'EMPTY=']
    assert.equal((await run(['env', 'OWN'], { environment })).stdout.toString(), '\u00fc b')
    assert.equal((await run(['env', 'OF_THE_PARENT'], { environment })).exitCode, 3)
  })

  test('input arrives whole and ends; output is kept up to its bound, and the rest is read', async () => {
    const input = Buffer.from(Array.from({ length: 200_000 }, (_, index) => index % 251))
    const whole = await run(['cat'], { input })
    assert.ok(whole.stdout.equals(input))
    const cut = await run(['cat'], { input, maxBytes: 1000 })
    assert.deepEqual([cut.exitCode, cut.stdout.length], [0, 1000])
    assert.deepEqual([(await run(['cat'])).stdout.length, (await run(['exit', '0'], { input })).exitCode], [0, 0])
  })

  test('a time-out and a kill end it, with a code of their own', async () => {
    const late = await run(['sleep'], { timeoutMs: 300 })
    assert.deepEqual([late.timedOut, late.exitCode], [true, 124])
    const running = start(['sleep'])
    setTimeout(() => running.kill(), 200)
    const killed = await running.done
    assert.equal(killed.timedOut, false)
    assert.notEqual(killed.exitCode, 0)
  })

  test('what it started ends with it', async () => {
    const file = join(folder, 'child')
    const running = start(['tree', file])
    while (!existsSync(file)) await new Promise(resolve => setTimeout(resolve, 50))
    const child = Number(readFileSync(file, 'utf8'))
    assert.equal(process.kill(child, 0), true)
    running.kill()
    await running.done
    assert.throws(() => process.kill(child, 0), { code: 'ESRCH' })
  })

  test('nothing leaves the job', async () => {
    assert.equal((await run(['away'])).exitCode, 5)
  })

  test('several at once, each with its own output', async () => {
    const all = await Promise.all(Array.from({ length: 6 }, (_, index) => run(['args', `of ${index}`])))
    assert.deepEqual(all.map(({ stdout }) => stdout.toString()), Array.from({ length: 6 }, (_, index) => `of ${index}\n`))
  })

  test('no handle is left behind', async () => {
    await run(['exit', '0'])
    const before = plumbing.handleCount()
    for (let i = 0; i < 10; i++) await run(['exit', '0'])
    assert.ok(plumbing.handleCount() - before < 10, `${before} handles before, ${plumbing.handleCount()} after ten commands`)
  })

  test('what cannot be started is a failed step, with the system\'s error', async () => {
    await assert.rejects(run(['x'], { application: join(folder, 'nothing.exe') }), { step: 'exec', code: 2 })
    await assert.rejects(run(['exit', '0'], { cwd: join(folder, 'nowhere') }), error => error.step === 'exec' && error.code !== 0)
  })

  test('with a token that was made for it, as far as the system makes one', async () => {
    const token = plumbing.restrictToken(spec())
    assert.equal((await run(['exit', '9'], {}, token)).exitCode, 9)
  })

  test('a secret is sealed, opened again, and refused where a byte has changed', () => {
    const secret = Buffer.from('correct horse battery staple')
    const sealed = addon.protectSecret(secret)
    assert.equal(sealed.includes(secret), false)
    assert.ok(addon.unprotectSecret(sealed).equals(secret))
    const changed = Buffer.from(sealed)
    changed[changed.length - 20] ^= 1
    assert.throws(() => addon.unprotectSecret(changed), error => error.step === 'unprotect_secret' && error.code !== 0)
  })

  test('the logon session has a SID', () => {
    assert.match(addon.logonSid(), /^S-1-5-5-\d+-\d+$/)
  })
})

const USER = 'S-1-5-21-1-2-3-1001'
const CAPABILITY = 'S-1-5-21-9-9-9-9'
const FLAGS = { DISABLE_MAX_PRIVILEGE: 0x1, LUA_TOKEN: 0x4, WRITE_RESTRICTED: 0x8 }

/** A plan's token as the addon takes it. */
function spec(plan = tokenPlan({ name: 'me', sid: USER }, [CAPABILITY], false)) {
  const logon = addon.logonSid()
  const fill = text => text.replaceAll('{logon}', logon).replaceAll('{session}', 'S-1-5-21-7-7-7-7')
  return {
    flags: plan.flags.reduce((bits, name) => bits | FLAGS[name], 0), disable: plan.disable, restricting: plan.restricting.map(fill), privileges: plan.privileges, integrity: plan.integrity, defaultDacl: fill(plan.defaultDacl),
  }
}

const onlyWine = onWine ? {} : { skip: 'a real Windows does what it is asked for' }
const onlyWindows = onWine ? { skip: 'Wine enforces nothing of this: it needs a real Windows' } : {}

describe('refusals: a system that says yes and does nothing', () => {
  test('the token: its restricting SIDs do not read back', onlyWine, () => {
    assert.throws(() => addon.restrictToken(spec()), error => error.step === 'token_restricting_sids' && error.code === 0 && /0 restricting SIDs, not 4/.test(error.message))
  })

  test('the proofs: with the token that Wine makes, its own answers are not the plan\'s', onlyWine, () => {
    const token = plumbing.restrictToken(spec())
    const { proofs } = tokenPlan({ name: 'me', sid: USER }, [CAPABILITY], false)
    assert.throws(() => refuseUnproven(proofs, (descriptor, desired) => addon.askAccess(token, descriptor, desired)), { code: 'set_up_failed', step: 'token_proof' })
  })

  test('the job: limits do not read back', onlyWine, async () => {
    await assert.rejects(addon.runCommand(undefined, { ...windowsCommand({ path: tell, kind: 'program' }, ['exit', '0'], CMD), cwd: folder, environment: ENVIRONMENT, job: { flags: KILL_ON_JOB_CLOSE, processes: 1, memory: 1 << 26 } }).done, { step: 'job_limits', code: 0 })
  })

  test('an access list: an entry for a capability does not read back', onlyWine, () => {
    const file = join(folder, 'listed')
    writeFileSync(file, '')
    assert.throws(() => addon.writeAccessList(file, `D:(D;;0xd0156;;;${CAPABILITY})(A;;FA;;;WD)`), error => error.step === 'write_access_list' && error.code === 0)
  })

  test('a list that would open everything is never written', () => {
    const file = join(folder, 'listed too')
    writeFileSync(file, '')
    for (const sddl of ['D:NO_ACCESS_CONTROL', 'O:SY']) assert.throws(() => addon.writeAccessList(file, sddl), error => error.step === 'write_access_list' || error.step === 'parse_descriptor')
  })

  test('what is not understood is a failed step', () => {
    assert.throws(() => addon.restrictToken({ ...spec(), restricting: ['nobody'] }), { step: 'parse_sid' })
    assert.throws(() => addon.writeAccessList(join(folder, 'nowhere'), 'D:(A;;FA;;;WD)'), error => error.step === 'write_access_list' && error.code === 2)
    assert.throws(() => addon.readAccessList(join(folder, 'nowhere')), { step: 'read_access_list', code: 2 })
  })
})

describe('enforcement', () => {
  test('every proof of a plan is as the system answers', onlyWindows, () => {
    const token = addon.restrictToken(spec())
    const { proofs } = tokenPlan({ name: 'me', sid: USER }, [CAPABILITY], false)
    // The account of the proofs is this process's own.
    const owner = /^O:(S-1-5-[\d-]+?)(?=G:)/.exec(addon.readAccessList(folder))[1]
    refuseUnproven(proofs, (descriptor, desired) => addon.askAccess(token, descriptor.replaceAll(USER, owner), desired))
  })

  test('a command under the token cannot make a file in the user\'s own folder', onlyWindows, async () => {
    const file = join(folder, 'forbidden')
    assert.notEqual((await run(['make', file], {}, addon.restrictToken(spec()))).exitCode, 0)
    assert.equal(existsSync(file), false)
    assert.deepEqual([(await run(['make', file])).exitCode, existsSync(file)], [0, true])
  })

  test('and can where its capability may', onlyWindows, async () => {
    const owner = /^O:(S-1-5-[\d-]+?)(?=G:)/.exec(addon.readAccessList(folder))[1]
    addon.writeAccessList(folder, `D:(A;OICI;FA;;;${owner})(A;OICI;0x1301bf;;;${CAPABILITY})`)
    const file = join(folder, 'allowed')
    assert.deepEqual([(await run(['make', file], {}, addon.restrictToken(spec()))).exitCode, existsSync(file)], [0, true])
  })

  test('a job holds the number of its processes', onlyWindows, async () => {
    const { stdout, exitCode } = await addon.runCommand(undefined, { ...windowsCommand({ path: tell, kind: 'program' }, ['tree', join(folder, 'never')], CMD), cwd: folder, environment: ENVIRONMENT, job: { flags: KILL_ON_JOB_CLOSE, processes: 1 } }).done
    assert.deepEqual([exitCode, stdout.length], [4, 0])
  })
})
