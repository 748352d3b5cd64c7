// Which layers this host offers, and why not the others. The launcher tries each and prints what the kernel answered; what
// the answers mean is told apart here. Settings only explain a refusal: they never stand for a trial.
import { execFile } from 'node:child_process'
import { SandboxError } from '../../../errors.js'
import type { LayerReport } from '../../backend.js'
import { EXHAUSTED } from '../../exhausted.js'
import { ERRNO, FACT_NAMES, type HostFacts, type Layer, LAYERS, NOT_TRIED } from './layers.js'

/** The probe takes milliseconds; it hangs only where something is very wrong. */
const PROBE_TIMEOUT_MS = 10_000

/**
 * Asks the host. Changes nothing: the trials run in processes that end at once.
 *
 * @throws SandboxError `launcher_not_found` where it cannot be run, `set_up_failed` where it does not answer
 */
export async function probeLinuxNative(launcherPath: string): Promise<readonly LayerReport[]> {
  return interpretProbe(await runProbe(launcherPath))
}

/**
 * What the launcher's answer means, one report for each of `LAYERS`, in their order. Pure.
 *
 * @param text  a line each of name and value, as `launcher --probe` prints them; names that are not known are left out
 * @throws      SandboxError `set_up_failed` where a line is missing
 */
export function interpretProbe(text: string): LayerReport[] {
  const facts = readFacts(text)
  return LAYERS.map(layer => report(layer, facts))
}

function runProbe(launcherPath: string): Promise<string> {
  return new Promise((resolve, reject) => {
    // A group and an environment of its own: nothing of the caller's may change the answer.
    execFile(launcherPath, ['--probe'], { env: {}, timeout: PROBE_TIMEOUT_MS, killSignal: 'SIGKILL', cwd: '/' }, (error, stdout) => {
      if (error === null) resolve(stdout)
      else reject(probeFailure(launcherPath, error))
    })
  })
}

function probeFailure(launcherPath: string, error: Error & { code?: string | number | null; signal?: NodeJS.Signals | null }): SandboxError {
  if (error.code === 'ENOENT' || error.code === 'EACCES') {
    return new SandboxError('launcher_not_found', { field: 'launcher', value: launcherPath }, { cause: error, detail: `it cannot be run (${error.code})` })
  }
  const errno = String(error.signal ?? error.code ?? 'unknown')
  return new SandboxError('set_up_failed', { step: 'probe', errno, path: launcherPath }, { cause: error, ...(EXHAUSTED[errno] ?? { remedy: 'Run `npm run build`: the launcher does not answer.' }) })
}

function readFacts(text: string): HostFacts {
  const values = new Map(text.split('\n').map(line => {
    const [name = '', value = ''] = line.split(' ')
    return [name, value]
  }))
  const read = (name: string): number => {
    const value = values.get(name)
    if (value === undefined || !/^-?\d+$/.test(value)) {
      throw new SandboxError('set_up_failed', { step: 'probe', errno: 'EBADMSG' }, { detail: `the launcher does not say ${name}`, remedy: 'Run `npm run build`: the launcher is of another version.' })
    }
    return Number(value)
  }
  return Object.fromEntries(FACT_NAMES.map(name => [name, read(name)])) as HostFacts
}

function report({ layer, needs, version }: Layer, facts: HostFacts): LayerReport {
  const failed = needs.find(({ trial }) => facts[trial] < 0)
  if (failed === undefined) return { layer, available: true, ...(version === undefined ? {} : { version: facts[version] }) }
  const answer = facts[failed.trial]
  if (answer === NOT_TRIED) return { layer, available: false, reason: 'it could not be tried, since a step before it failed', remedy: 'Repair the other layers first.' }
  const errno = errnoName(answer)
  const row = failed.refusals.find(refusal => refusal.errno.some(name => name === errno) && (refusal.when === undefined || refusal.when(facts)))
  return {
    layer, available: false, errno,
    reason: row?.reason ?? `the kernel refuses it (${failed.trial}: ${errno})`,
    remedy: row?.remedy ?? 'Look into the kernel\'s log for the reason.',
  }
}

/** Linux's own numbers, so that a probe's text means the same wherever it is read. */
const errnoName = (answer: number): string => Object.entries(ERRNO).find(([, value]) => value === answer)?.[0] ?? `errno ${-answer}`
