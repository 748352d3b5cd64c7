// Whether this Mac's sandbox-exec takes a profile: it may be missing, or this process may be in a sandbox already.
import { execFile } from 'node:child_process'
import { accessSync, constants } from 'node:fs'
import type { LayerReport } from '../backend.js'
import { SANDBOX_EXEC, SEATBELT } from './compile.js'
import { SANDBOX_EXEC_FAILURES } from './launcher.js'

const TRIAL_PROFILE = '(version 1) (allow default)'
const TIMEOUT_MS = 10_000

/** @param program  takes the place of /usr/bin/sandbox-exec, for tests */
export async function probeSeatbelt(program: string = SANDBOX_EXEC): Promise<readonly LayerReport[]> {
  const missing = whyMissing(program)
  if (missing !== undefined) return [{ layer: SEATBELT, available: false, errno: missing, reason: `${program} cannot be run`, remedy: 'Run on macOS, with the system\'s own sandbox-exec.' }]
  const { failed, stderr } = await run(program)
  if (!failed) return [{ layer: SEATBELT, available: true }]
  const line = stderr.trim().split('\n')[0] ?? ''
  const { step, errno } = line.startsWith(SANDBOX_EXEC_FAILURES.prefix) ? SANDBOX_EXEC_FAILURES.failureOf(line) : { step: 'sandbox_exec', errno: 'unknown' }
  const isNested = step === 'sandbox_apply' && errno === 'EPERM'
  return [{
    layer: SEATBELT, available: false, errno,
    reason: isNested ? 'this process is in a sandbox already, and macOS does not put one into another' : `sandbox-exec does not work here: ${line === '' ? 'it said nothing' : line}`,
    remedy: isNested ? 'Start from outside the other sandbox, or say external-sandbox where that one confines enough.' : 'Run /usr/bin/sandbox-exec by hand to see why.',
  }]
}

function whyMissing(program: string): string | undefined {
  try {
    accessSync(program, constants.X_OK)
    return undefined
  } catch (error) {
    return (error as NodeJS.ErrnoException).code ?? 'unknown'
  }
}

const run = (program: string): Promise<{ failed: boolean; stderr: string }> => new Promise(resolve => {
  execFile(program, ['-p', TRIAL_PROFILE, '--', '/usr/bin/true'], { timeout: TIMEOUT_MS, env: {} }, (error, _stdout, stderr) => resolve({ failed: error !== null, stderr }))
})
