// A selection of the tables inside bwrap: of each group of the table of what is allowed one row that is denied and, of every second one, one that is allowed; and every
// twelfth escape. All of them: CODEX_SANDBOX_TEST_RUNGS=bwrap, docs/bwrap.md.
import { beforeEach, describe, expect, test } from 'vitest'
import { sandboxMaker } from '../../src/doctor/escape-score.js'
import { tryEscape } from '../../src/doctor/try-escapes.js'
import { locateBwrap } from '../../src/platform/linux/bwrap/find.js'
import { lackOf } from '../escape/attempts/hostile.js'
import { NAMED_ATTEMPTS } from '../escape/attempts/index.js'
import { expectHeld } from '../escape/verdict.js'
import { BWRAP, onBackend } from '../support/rungs.js'
import { TABLE } from './table.js'
import { expectedOf, tryRow } from './try-row.js'

beforeEach(context => {
  if (process.platform !== 'linux') context.skip('bwrap is for Linux')
  if (locateBwrap(process.env['PATH'] ?? '') === undefined) context.skip('no bwrap is installed')
})

const SELECTED = TABLE.flatMap((group, index) => {
  const [denied, allowed] = (['deny', 'allow'] as const).map(verdict => group.rows.find(row => row.verdict === verdict))
  return [denied, index % 2 === 0 ? allowed : undefined].filter(row => row !== undefined).map(row => ({ group, row, name: `${group.name}: ${row.verdict} ${row.access} ${row.path}` }))
})
const EVERY = 12

describe('what is allowed', () => {
  test.each(SELECTED)('$name', { timeout: 30_000 }, async ({ group, row }) => {
    expect(await tryRow(group, row, BWRAP)).toEqual(expectedOf(group, row, 'bwrap'))
  })
})

describe('escapes', () => {
  test.for(NAMED_ATTEMPTS.filter((_, index) => index % EVERY === EVERY - 1))('%s', { timeout: 60_000 }, async ([, attempt], context) => {
    const lack = lackOf(attempt)
    if (lack !== undefined) context.skip(lack)
    expectHeld(await tryEscape(attempt, sandboxMaker(onBackend('linux-bwrap'))), context)
  })
})
