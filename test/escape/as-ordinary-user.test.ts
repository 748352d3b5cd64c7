// Every escape attempt once more, as an ordinary user made for the run. Where the tests do not run as root, they are one already.
import { chmodSync, chownSync } from 'node:fs'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { makeOrdinaryUser, type OrdinaryUser } from '../support/ordinary-user.js'
import { ATTEMPTS, NAMED_ATTEMPTS } from './attempts/index.js'
import { compilePrograms, PROGRAMS } from './attempts/hostile.js'
import { expectHeld, type Verdict } from './verdict.js'

describe.skipIf(process.getuid?.() !== 0)(`as an ordinary user${process.getuid?.() === 0 ? '' : ' (only root can make one; the other run is one)'}`, () => {
  let user: OrdinaryUser
  const verdicts = new Map<string, { promise: Promise<Verdict>; settle: (verdict: Verdict) => void; fail: (error: Error) => void }>()

  beforeAll(async () => {
    user = makeOrdinaryUser()
    const programs = join(user.shared, 'programs')
    const compiled = compilePrograms(programs)
    if (compiled) {
      // Root's, and set-user-ID: what no_new_privs is there for.
      chownSync(join(programs, 'gain'), 0, 0)
      chmodSync(join(programs, 'gain'), 0o4755)
    }
    for (const { name } of ATTEMPTS) {
      let settle: (verdict: Verdict) => void = () => {}
      let fail: (error: Error) => void = () => {}
      const promise = new Promise<Verdict>((resolve, reject) => { settle = resolve; fail = reject })
      promise.catch(() => {})
      verdicts.set(name, { promise, settle, fail })
    }
    const child = await user.run('test/escape/run-attempts.ts', compiled ? { [PROGRAMS]: programs } : {})
    createInterface({ input: child.stdout as NodeJS.ReadableStream }).on('line', line => {
      const verdict = JSON.parse(line) as Verdict
      verdicts.get(verdict.name)?.settle(verdict)
    })
    child.on('close', code => { for (const { fail } of verdicts.values()) fail(new Error(`the user's process ended early, with ${code}`)) })
  })
  afterAll(() => user.remove())

  test.for(NAMED_ATTEMPTS)('%s', { timeout: 60_000 }, async ([, { name }], context) => {
    const verdict = await verdicts.get(name)?.promise
    expect(verdict).toBeDefined()
    expectHeld(verdict as Verdict, context)
  })
})
