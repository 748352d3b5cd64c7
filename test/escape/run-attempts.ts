// Run in a process of its own, as another user: tries the attempts that ATTEMPTS names one after another, and answers each with its result.
import { sandboxMaker } from '../../src/doctor/escape-score.js'
import { tryEscape } from '../../src/doctor/try-escapes.js'
import { answer } from '../support/user-answers.js'
import { ATTEMPTS } from './attempts/index.js'
import { lackOf } from './attempts/hostile.js'
import type { Verdict } from './verdict.js'

const tried = new Set(JSON.parse(process.env['ATTEMPTS'] ?? '') as readonly string[])

for (const attempt of ATTEMPTS.filter(({ name }) => tried.has(name))) {
  const lack = lackOf(attempt)
  const { result, twin } = lack === undefined ? await tryEscape(attempt, sandboxMaker()).catch(broken) : { result: { outcome: 'skipped' as const, reason: lack }, twin: undefined }
  answer(attempt.name, { result, twin } satisfies Verdict)
}

/** A mistake in one attempt is that attempt's failure; the others go on. */
function broken(error: unknown): Pick<Verdict, 'result' | 'twin'> {
  return { result: { outcome: 'failed', reason: error instanceof Error ? error.message : String(error) }, twin: undefined }
}
