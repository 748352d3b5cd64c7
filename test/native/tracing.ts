// Moments and errors that a machine gives once in a thousand runs: strace(1) makes them, in processes that run.
import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { expect, onTestFinished } from 'vitest'

/** Why the launcher's processes, which are not dumpable, cannot be traced here; undefined where they can. */
export const whyNoTracing = (): string | undefined =>
  process.geteuid?.() !== 0 ? 'only root may trace the launcher' : spawnSync('strace', ['-V']).status !== 0 ? 'strace is not installed' : undefined

/**
 * Traces one system call of processes, with all of their threads, and does with it what `injection` says (strace(1), `inject`).
 * `traced`: what was written so far. `end`: they go on untraced, when it resolves; so they do when the test is over.
 */
export async function trace(pids: readonly number[], call: string, injection: string): Promise<{ traced: () => string, end: () => Promise<void> }> {
  const words = ['-f', '-e', `trace=${call}`, '-e', `inject=${call}:${injection}`, ...pids.flatMap(pid => ['-p', String(pid)])]
  const tracer = spawn('strace', words, { stdio: ['ignore', 'ignore', 'pipe'] })
  const ended = once(tracer, 'exit')
  const end = async (): Promise<void> => { tracer.kill('SIGKILL'); await ended }
  onTestFinished(end)
  let text = ''
  tracer.stderr.setEncoding('utf8').on('data', chunk => { text += chunk })
  await expect.poll(() => text.match(/^strace: Process \d+ attached/gm)?.length, { timeout: 20_000 }).toBe(pids.length)
  return { traced: () => text, end }
}

/** "PTRACE_SEIZE" without a wish, by somebody who never waits. */
const SEIZE = `import ctypes, signal, sys
libc = ctypes.CDLL(None)
libc.ptrace.argtypes = [ctypes.c_long] * 4
if libc.ptrace(0x4206, int(sys.argv[1]), 0, 0) != 0: sys.exit('refused')
print('seized', flush=True)
signal.pause()`

/** Lets a process end, all but for its parent, who hears nothing of it until `end`; that comes by itself when the test is over. Tracers have the first word. */
export async function holdEnd(pid: number): Promise<{ end: () => void }> {
  const tracer = spawn('python3', ['-c', SEIZE, String(pid)], { stdio: ['ignore', 'pipe', 'inherit'] })
  const end = (): void => void tracer.kill('SIGKILL')
  onTestFinished(end)
  let text = ''
  tracer.stdout.setEncoding('utf8').on('data', chunk => { text += chunk })
  await expect.poll(() => text, { timeout: 20_000 }).toBe('seized\n')
  return { end }
}
