// What came of an attempt, and what a test expects of it.
import { expect, type TestContext } from 'vitest'
import type { AttemptResult } from '../../src/doctor/try-escapes.js'

export type Verdict = Pick<AttemptResult, 'result' | 'twin'>

/** Held, or refused as a whole; and what must work did. */
export function expectHeld({ result, twin }: Verdict, { skip }: Pick<TestContext, 'skip'>): void {
  if (result.outcome === 'skipped') skip(result.reason)
  expect(result).toEqual(result.outcome === 'refused' ? { outcome: 'refused', reason: expect.stringMatching(/./) } : { outcome: 'held' })
  if (twin !== undefined && result.outcome !== 'refused') expect(twin).toEqual({ outcome: 'works' })
}
