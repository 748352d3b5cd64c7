// Every escape attempt, as the user that runs the tests (root in most CI), each in a sandbox as anybody gets it.
import { chmodSync, mkdtempSync, rmSync } from 'node:fs'
import { afterAll, beforeAll, describe, test } from 'vitest'
import { sandboxMaker } from '../../src/doctor/escape-score.js'
import { tryEscape } from '../../src/doctor/try-escapes.js'
import { onBackend, SLOWNESS, TABLE_RUNGS } from '../support/rungs.js'
import { NAMED_ATTEMPTS } from './attempts/index.js'
import { compilePrograms, lackOf, PROGRAMS } from './attempts/hostile.js'
import { expectHeld } from './verdict.js'

const OF_ROOT = 'change the host\'s device nodes'

const programs = mkdtempSync('/tmp/codex-sandbox-programs-')
beforeAll(() => {
  chmodSync(programs, 0o755)
  if (compilePrograms(programs)) process.env[PROGRAMS] = programs
})
afterAll(() => rmSync(programs, { recursive: true, force: true }))

describe.each(TABLE_RUNGS)('$name', ({ rung, backend }) => {
  test.for(NAMED_ATTEMPTS)('%s', async ([, attempt], context) => {
    const lack = lackOf(attempt)
    if (lack !== undefined) context.skip(lack)
    if (backend === 'linux-bwrap' && process.getuid?.() === 0 && attempt.name === OF_ROOT) context.skip('bwrap cannot hold it against root, and so is refused as root unless bwrap-devices is allowed by name, as it is here')
    expectHeld(await tryEscape(attempt, sandboxMaker({ ...(rung === undefined ? {} : { rung }), ...onBackend(backend) }, 20_000 * SLOWNESS)), context)
  })
})
