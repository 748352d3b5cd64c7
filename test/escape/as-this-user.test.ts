// Every escape attempt, as the user that runs the tests (root in most CI), each in a sandbox as anybody gets it.
import { chmodSync, mkdtempSync, rmSync } from 'node:fs'
import { afterAll, beforeAll, describe, test } from 'vitest'
import { sandboxMaker } from '../../src/doctor/escape-score.js'
import { tryEscape } from '../../src/doctor/try-escapes.js'
import { SLOWNESS, TABLE_RUNGS } from '../support/rungs.js'
import { NAMED_ATTEMPTS } from './attempts/index.js'
import { compilePrograms, lackOf, PROGRAMS } from './attempts/hostile.js'
import { expectHeld } from './verdict.js'

const programs = mkdtempSync('/tmp/codex-sandbox-programs-')
beforeAll(() => {
  chmodSync(programs, 0o755)
  if (compilePrograms(programs)) process.env[PROGRAMS] = programs
})
afterAll(() => rmSync(programs, { recursive: true, force: true }))

describe.each(TABLE_RUNGS)('$name', ({ rung }) => {
  test.for(NAMED_ATTEMPTS)('%s', async ([, attempt], context) => {
    const lack = lackOf(attempt)
    if (lack !== undefined) context.skip(lack)
    expectHeld(await tryEscape(attempt, sandboxMaker(rung === undefined ? {} : { rung }, 20_000 * SLOWNESS)), context)
  })
})
