// How much of a table is run once more in the container: all rows as root, and a share of them as a user, or with CODEX_SANDBOX_TEST_ALL all.
import { test } from 'vitest'
import { IN_CONTAINER } from './rungs.js'

const EVERY = process.env['CODEX_SANDBOX_TEST_ALL'] === undefined ? 4 : 1

/** The rows that are run as a user here. */
export const shareOf = <Row>(rows: readonly Row[]): readonly Row[] => IN_CONTAINER ? rows.filter((_, index) => index % EVERY === 0) : rows

/** Says in the report how many were left out. */
export function reportLeftOut(rows: readonly unknown[]): void {
  const left = rows.length - shareOf(rows).length
  if (left > 0) test.skip(`${left} of ${rows.length} rows (CODEX_SANDBOX_TEST_ALL=1 runs them as a user in the container as well)`, () => {})
}
