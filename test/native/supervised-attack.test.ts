// The supervised rung judges calls whose paths, descriptors and directories other threads change meanwhile: what is closed stays as it was.
// Half a minute in all; `node scripts/attack-supervised.mjs` makes a million attempts.
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { makeOrdinaryUser, type OrdinaryUser } from '../support/ordinary-user.js'
import { type AttackOptions, type AttackOutcome, attackSupervised } from '../support/supervised-attack.js'
import { buildProgram, type CTool } from './c-tool.js'

let program: CTool | string
beforeAll(() => { program = process.platform === 'linux' ? buildProgram('test/escape/programs/race-files.c') : 'the launcher is for Linux' })
afterAll(() => { if (typeof program === 'object') program.remove() })
beforeEach(context => { if (typeof program === 'string') context.skip(program) })

const options = (rest: Partial<AttackOptions>): AttackOptions =>
  ({ program: (program as CTool).path, attempts: 1_000_000, seconds: 7, sandboxed: true, secret: 'protected', granted: false, ...rest })

/** What the attacker may do, it did: else it would have attacked nothing. Some need luck in so short a time. */
function expectHeld({ counted, before, after }: AttackOutcome): void {
  expect(after).toBe(before)
  expect(counted).toMatchObject({ reached: 0, failed: false })
  const worked = Object.values(counted.operations).filter(([, succeeded]) => succeeded > 0).length
  expect(worked, JSON.stringify(counted)).toBeGreaterThan(25)
  expect(counted.exchanges).toBeGreaterThan(0)
}

describe('races against the rules', { timeout: 120_000 }, () => {
  test('without a sandbox they succeed at once', async () => {
    const { counted, before, after } = await attackSupervised(options({ sandboxed: false, seconds: 2 }))
    expect(after).not.toBe(before)
    expect(counted.reached).toBeGreaterThan(0)
  })

  test('as this user: what is protected, and what is denied', async () => {
    expectHeld(await attackSupervised(options({ granted: false })))
    expectHeld(await attackSupervised(options({ granted: true, secret: 'denied' })))
  })

  test.skipIf(process.getuid?.() !== 0)(`as an ordinary user${process.getuid?.() === 0 ? '' : ' (only root can make one; this one is one)'}`, async () => {
    const user = makeOrdinaryUser()
    try {
      expectHeld(await runAs(user, options({ granted: true })))
      expectHeld(await runAs(user, options({ granted: false, secret: 'denied' })))
    } finally {
      user.remove()
    }
  })
})

async function runAs(user: OrdinaryUser, attack: AttackOptions): Promise<AttackOutcome> {
  const child = await user.run('test/native/run-supervised-attack.ts', { ATTACK: JSON.stringify(attack) })
  let printed = ''
  child.stdout?.on('data', (data: Buffer) => { printed += data })
  const code = await new Promise(resolve => child.on('close', resolve))
  if (code !== 0) throw new Error(`the user's process ended with ${code}`)
  return JSON.parse(printed) as AttackOutcome
}
