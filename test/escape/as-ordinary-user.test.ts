// Every escape attempt once more, as an ordinary user made for the run. Where the tests do not run as root, they are one already.
import { chmodSync, chownSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, test } from 'vitest'
import { reportLeftOut, shareOf } from '../support/container-share.js'
import { makeOrdinaryUser, type OrdinaryUser } from '../support/ordinary-user.js'
import { answersAsUser } from '../support/user-answers.js'
import { NAMED_ATTEMPTS } from './attempts/index.js'
import { compilePrograms, PROGRAMS } from './attempts/hostile.js'
import { expectHeld, type Verdict } from './verdict.js'

describe.skipIf(process.getuid?.() !== 0)(`as an ordinary user${process.getuid?.() === 0 ? '' : ' (only root can make one; the other run is one)'}`, () => {
  let user: OrdinaryUser
  let verdictOf: (name: string) => Promise<Verdict>

  beforeAll(async () => {
    user = makeOrdinaryUser()
    const programs = join(user.shared, 'programs')
    const compiled = compilePrograms(programs)
    if (compiled) {
      // Root's, and set-user-ID: what no_new_privs is there for.
      chownSync(join(programs, 'gain'), 0, 0)
      chmodSync(join(programs, 'gain'), 0o4755)
    }
    const tried = shareOf(NAMED_ATTEMPTS).map(([, { name }]) => name)
    verdictOf = await answersAsUser(user, 'test/escape/run-attempts.ts', { ATTEMPTS: JSON.stringify(tried), ...(compiled ? { [PROGRAMS]: programs } : {}) })
  })
  afterAll(() => user.remove())

  test.for(shareOf(NAMED_ATTEMPTS))('%s', { timeout: 60_000 }, async ([, { name }], context) => {
    expectHeld(await verdictOf(name), context)
  })
  reportLeftOut(NAMED_ATTEMPTS)
})
