// Resource limits on macOS: what setrlimit(2) holds there for each process, set by the shell that starts the command.
import { SandboxError } from '../../errors.js'
import type { Limits } from '../../policy/sandbox-policy.js'
import type { DegradationName, Enforcement, LimitMechanism } from '../launch-plan.js'

type LimitName = keyof Limits

interface Holding {
  readonly mechanism: LimitMechanism
  /** The option of `ulimit`, and what one unit of it is. */
  readonly ulimit?: { readonly option: string; readonly unit: number }
  readonly note?: string
}

/**
 * One row a limit. Source: setrlimit(2) and sh(1) of macOS. RLIMIT_AS is not enforced there, and RLIMIT_NPROC counts all
 * processes of the user, so neither says anything about one command.
 */
const HOLDINGS: Readonly<Record<LimitName, Holding>> = {
  memoryBytes:   { mechanism: 'absent' },
  pids:          { mechanism: 'absent' },
  cpuSeconds:    { mechanism: 'perProcess', ulimit: { option: '-t', unit: 1 }, note: 'processor time is limited for each process, not for all of a command\'s together' },
  openFiles:     { mechanism: 'exact', ulimit: { option: '-n', unit: 1 } },
  fileSizeBytes: { mechanism: 'exact', ulimit: { option: '-f', unit: 512 }, note: 'the size of a file is limited in steps of 512 bytes, rounded down' },
}
const NAMES = Object.keys(HOLDINGS) as LimitName[]

const given = (limits: Limits): [LimitName, number][] => NAMES.flatMap(name => limits[name] === undefined ? [] : [[name, limits[name]]])

export const limitMechanisms = (limits: Limits): Enforcement['limits'] => Object.fromEntries(given(limits).map(([name]) => [name, HOLDINGS[name].mechanism]))

export const limitNotes = (limits: Limits): string[] => given(limits).flatMap(([name]) => HOLDINGS[name].note ?? [])

/** The words for `ulimit`, as one line for a shell: `ulimit -t 5 -n 256`; undefined where there is nothing to set. */
export function ulimitLine(limits: Limits): string | undefined {
  const words = given(limits).flatMap(([name, value]) => {
    const { ulimit } = HOLDINGS[name]
    return ulimit === undefined ? [] : [`ulimit ${ulimit.option} ${Math.floor(value / ulimit.unit)}`]
  })
  return words.length === 0 ? undefined : words.join(' && ')
}

/**
 * @returns what is degraded
 * @throws SandboxError `rule_not_enforceable`, `field` = `limits.NAME`, where nothing holds a limit and that was not allowed
 */
export function refuseUnheldLimits(limits: Limits, allowed: ReadonlySet<DegradationName>): DegradationName[] {
  const absent = given(limits).find(([name]) => HOLDINGS[name].mechanism === 'absent')
  if (absent === undefined) return []
  if (allowed.has('limits')) return ['limits']
  const [name, value] = absent
  throw new SandboxError('rule_not_enforceable', { field: `limits.${name}`, value }, { detail: 'macOS holds no such limit for a command', remedy: 'Drop the limit, or name it in allowDegraded ["limits"].' })
}

/** Of two limits the lower. */
export function lowerLimits(a: Limits, b: Limits): Limits {
  return Object.fromEntries(NAMES.flatMap(name => {
    const values = [a[name], b[name]].filter(value => value !== undefined)
    return values.length === 0 ? [] : [[name, Math.min(...values)]]
  }))
}
