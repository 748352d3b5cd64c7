// The addon in a Windows Node: under Wine by `npm run test:windows`, or on Windows. Three kinds of tests. Plumbing: real under Wine too.
// Refusals: Wine takes the call and does nothing, and the step says so. Enforcement: only a real Windows can tell, so skipped under Wine.
import assert from 'node:assert/strict'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, describe, test } from 'node:test'

const { CODEX_SANDBOX_ADDON, CODEX_SANDBOX_ADDON_PLUMBING, CODEX_SANDBOX_PRODUCT, CODEX_SANDBOX_RUNNER, CODEX_SANDBOX_RUNNER_PLUMBING, CODEX_SANDBOX_WINE } = process.env
const require = createRequire(import.meta.url)
const addon = require(CODEX_SANDBOX_ADDON)
/** Goes on where a step did not read back; the same code otherwise. */
const plumbing = require(CODEX_SANDBOX_ADDON_PLUMBING)
const { refuseUnproven, tokenPlan } = await import(CODEX_SANDBOX_PRODUCT)
const folder = mkdtempSync(join(tmpdir(), 'codex-sandbox-'))
after(() => rmSync(folder, { recursive: true, force: true }))

/** Wine shows the whole of Unix as Z:. */
const toWindows = path => path.startsWith('/') ? `Z:${path.replaceAll('/', '\\')}` : path

const onWine = CODEX_SANDBOX_WINE === '1'

describe('plumbing', () => {
  test('a secret is sealed, opened again, and refused where a byte has changed', () => {
    const secret = Buffer.from('correct horse battery staple')
    const sealed = addon.protectSecret(secret)
    assert.equal(sealed.includes(secret), false)
    assert.ok(addon.unprotectSecret(sealed).equals(secret))
    const changed = Buffer.from(sealed)
    changed[changed.length - 20] ^= 1
    assert.throws(() => addon.unprotectSecret(changed), error => error.step === 'unprotect_secret' && error.code !== 0)
  })

  test('what is built to be shipped does not go past a step that did not read back; what the tests use does', () => {
    const goesPast = path => readFileSync(toWindows(path)).includes('CODEX_SANDBOX_TEST_PAST_READ_BACK')
    assert.deepEqual([CODEX_SANDBOX_ADDON, CODEX_SANDBOX_RUNNER, CODEX_SANDBOX_ADDON_PLUMBING, CODEX_SANDBOX_RUNNER_PLUMBING].map(goesPast), [false, false, true, true])
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
})
