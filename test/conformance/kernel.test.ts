// The table against the real kernel: each access is tried in a sandbox, and judged by what it left or reached outside.
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { reportLeftOut, shareOf } from '../support/container-share.js'
import { makeOrdinaryUser, type OrdinaryUser } from '../support/ordinary-user.js'
import { BWRAP, IN_CONTAINER, isSupervised, TABLE_RUNGS } from '../support/rungs.js'
import { answersAsUser } from '../support/user-answers.js'
import { TABLE } from './table.js'
import { expectedOf, type RowOutcome, tryRow } from './try-row.js'

describe.each(TABLE_RUNGS.flatMap(variant => TABLE.map(group => ({ variant, group }))))('$variant.name: $group.name', ({ variant, group }) => {
  test.each(group.rows)('$verdict $access $path: $why', async row => {
    expect(await tryRow(group, row, variant)).toEqual(expectedOf(group, row, variant === BWRAP ? 'bwrap' : isSupervised(variant) ? 'supervised' : 'namespaces'))
  })
})

const NUMBERED = TABLE.flatMap(group => group.rows.map(row => ({ name: `${group.name}: ${row.verdict} ${row.access} ${row.path}: ${row.why}`, group, row }))).map((each, index) => ({ ...each, index }))

if (IN_CONTAINER) describe('in a container, as a user', () => {
  let user: OrdinaryUser
  let outcomeOf: (key: string) => Promise<RowOutcome>
  beforeAll(async () => {
    user = makeOrdinaryUser()
    outcomeOf = await answersAsUser(user, 'test/conformance/run-rows.ts', { ROWS: JSON.stringify(shareOf(NUMBERED).map(({ index }) => index)) })
  })
  afterAll(() => user.remove())

  test.each(shareOf(NUMBERED))('$name', { timeout: 120_000 }, async ({ group, row, index }) => {
    expect(await outcomeOf(String(index))).toEqual(expectedOf(group, row, 'supervised'))
  })
  reportLeftOut(NUMBERED)
})
