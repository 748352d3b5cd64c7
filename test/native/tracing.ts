// Moments and errors that a machine gives once in a thousand runs: strace(1) makes them, in processes that run.
import { spawn, spawnSync } from 'node:child_process'
import { expect, onTestFinished } from 'vitest'

/** Why the launcher's processes, which are not dumpable, cannot be traced here; undefined where they can. */
export const whyNoTracing = (): string | undefined =>
  process.geteuid?.() !== 0 ? 'only root may trace the launcher' : spawnSync('strace', ['-V']).status !== 0 ? 'strace is not installed' : undefined

/**
 * Traces one system call of processes, with all of their threads, and does with it what `injection` says (strace(1), `inject`).
 * `traced`: what was written so far. `end`: they go on untraced; so they do when the test is over.
 */
export async function trace(pids: readonly number[], call: string, injection: string): Promise<{ traced: () => string, end: () => void }> {
  const words = ['-f', '-e', `trace=${call}`, '-e', `inject=${call}:${injection}`, ...pids.flatMap(pid => ['-p', String(pid)])]
  const tracer = spawn('strace', words, { stdio: ['ignore', 'ignore', 'pipe'] })
  const end = (): void => void tracer.kill('SIGKILL')
  onTestFinished(end)
  let text = ''
  tracer.stderr.setEncoding('utf8').on('data', chunk => { text += chunk })
  await expect.poll(() => text.match(/^strace: Process \d+ attached/gm)?.length, { timeout: 20_000 }).toBe(pids.length)
  return { traced: () => text, end }
}
