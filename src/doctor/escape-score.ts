// `doctor --escape`: tries every attempt on this machine and counts.
import type { ParsedSandboxOptions } from '../exec/options.js'
import { takeSnapshot } from '../host/snapshot.js'
import { attemptsOn } from './escape-attempts.js'
import { createParsedSandbox, type Sandbox } from '../exec/sandbox.js'
import { type AttemptResult, type AttemptSandbox, type MakeSandbox, tryEscape } from './try-escapes.js'

export interface EscapeScore {
  readonly results: readonly AttemptResult[]
  /** Held or refused. */
  readonly held: number
  readonly escaped: number
  readonly skipped: number
  readonly failed: number
  /** Of what must work. */
  readonly works: number
  readonly broken: number
}

/** An attempt that hangs must not hang the doctor. */
const COMMAND_TIMEOUT_MS = 20_000

/** The sandbox as anybody gets it, or on one rung or back end. */
export const sandboxMaker = (options: Pick<ParsedSandboxOptions, 'rung' | 'backend' | 'allowDegraded'> = {}, timeoutMs = COMMAND_TIMEOUT_MS): MakeSandbox => async (policy, cwd, allowDegraded) =>
  asAttempted(await createParsedSandbox({ ...options, policy, cwd, allowDegraded: [...options.allowDegraded ?? [], ...allowDegraded] }), timeoutMs)

/** A sandbox as attempts use it. */
export const asAttempted = (sandbox: Sandbox, timeoutMs: number): AttemptSandbox => ({
  backend: sandbox.enforcement.backend,
  ...(sandbox.enforcement.rung === undefined ? {} : { rung: sandbox.enforcement.rung }),
  run: async (argv, env) => (await sandbox.exec(argv, { env, timeoutMs, killGraceMs: 200 })).output,
  runOnTerminal: async (argv, env) => {
    const child = sandbox.spawn(argv, { env, tty: true, timeoutMs, killGraceMs: 200, output: { maxBytes: 1 << 20 } })
    child.stdout.resume()
    return (await child.exited).output
  },
  close: () => sandbox.close(),
})

/** One after another, so that no attempt sees another's sandbox. */
export async function scoreEscapes(
  onResult: (result: AttemptResult, number: number, of: number) => void, makeSandbox: MakeSandbox = sandboxMaker(), attempts = attemptsOn(takeSnapshot({ selfPaths: [] }).platform),
): Promise<EscapeScore> {
  const results: AttemptResult[] = []
  for (const attempt of attempts) {
    const result = await tryEscape(attempt, makeSandbox)
    results.push(result)
    onResult(result, results.length, attempts.length)
  }
  return score(results)
}

export function score(results: readonly AttemptResult[]): EscapeScore {
  const count = (matches: (result: AttemptResult) => boolean): number => results.filter(matches).length
  return {
    results,
    held: count(({ result }) => result.outcome === 'held' || result.outcome === 'refused'),
    escaped: count(({ result }) => result.outcome === 'escaped'),
    skipped: count(({ result }) => result.outcome === 'skipped'),
    failed: count(({ result }) => result.outcome === 'failed'),
    works: count(({ twin }) => twin?.outcome === 'works'),
    broken: count(({ twin }) => twin?.outcome === 'broken'),
  }
}

/** One attempt as lines: what it stands for is told where it matters. */
export function formatAttempt({ attempt, result, twin }: AttemptResult): string[] {
  const lines = [`${result.outcome.toUpperCase().padEnd(8)} ${attempt.name}`]
  if (result.outcome === 'escaped') lines.push(`         ${plain(result.evidence)}`, `         stands for: ${attempt.failure}`)
  if (result.outcome === 'skipped' || result.outcome === 'failed' || result.outcome === 'refused') lines.push(`         ${plain(result.reason)}`)
  if (twin?.outcome === 'broken') lines.push(`BROKEN   ${attempt.can?.name}: ${plain(twin.reason)}`)
  return lines
}

export function formatScore({ results, held, escaped, skipped, failed, works, broken }: EscapeScore): string {
  const tried = results.length - skipped - failed
  return [
    `${held} of ${tried} escape attempts held${escaped > 0 ? `, ${escaped} ESCAPED` : ''}; ${works} of ${works + broken} things that must work do.`,
    ...(skipped + failed > 0 ? [`${skipped} skipped${failed > 0 ? `, ${failed} could not be tried` : ''}.`] : []),
  ].join('\n')
}

const plain = (text: string): string => text.replaceAll(/\p{Cc}+/gu, ' ').slice(0, 500)
