// Run in a process of its own, as another user: tries the attempts one after another, and prints each result as a line of JSON.
import { sandboxMaker } from '../../src/doctor/escape-score.js'
import { tryEscape } from '../../src/doctor/try-escapes.js'
import { ATTEMPTS } from './attempts/index.js'
import { lackOf } from './attempts/hostile.js'
import type { Verdict } from './verdict.js'

for (const attempt of ATTEMPTS) {
  const lack = lackOf(attempt)
  const { result, twin } = lack === undefined ? await tryEscape(attempt, sandboxMaker()).catch(broken) : { result: { outcome: 'skipped' as const, reason: lack }, twin: undefined }
  process.stdout.write(`${JSON.stringify({ name: attempt.name, result, twin } satisfies Verdict)}\n`)
}

/** A mistake in one attempt is that attempt's failure; the others go on. */
function broken(error: unknown): Pick<Verdict, 'result' | 'twin'> {
  return { result: { outcome: 'failed', reason: error instanceof Error ? error.message : String(error) }, twin: undefined }
}
