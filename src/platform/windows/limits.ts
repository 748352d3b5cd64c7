// Resource limits on Windows: what a job object holds for all of a command together, and what it does not know.
import { SandboxError } from '../../errors.js'
import type { Limits } from '../../policy/sandbox-policy.js'
import type { DegradationName, Enforcement, LimitMechanism, WindowsJobPlan } from '../launch-plan.js'

type LimitName = keyof Limits

interface Holding {
  readonly mechanism: LimitMechanism
  /** The member of JOBOBJECT_EXTENDED_LIMIT_INFORMATION, and what one unit of ours is in its own. */
  readonly member?: { readonly name: string; readonly unit: number }
  readonly note?: string
}

/** One row a limit. Source: JOBOBJECT_BASIC_LIMIT_INFORMATION and JOBOBJECT_EXTENDED_LIMIT_INFORMATION. Times are in units of 100 ns. */
const HOLDINGS: Readonly<Record<LimitName, Holding>> = {
  memoryBytes:   { mechanism: 'exact', member: { name: 'JobMemoryLimit', unit: 1 } },
  pids:          { mechanism: 'perProcess', member: { name: 'ActiveProcessLimit', unit: 1 }, note: 'the number of processes is limited, not that of their threads' },
  cpuSeconds:    { mechanism: 'perProcess', member: { name: 'PerProcessUserTimeLimit', unit: 10_000_000 }, note: 'processor time is limited for each process, and that in the kernel does not count' },
  openFiles:     { mechanism: 'absent' },
  fileSizeBytes: { mechanism: 'absent' },
}
const NAMES = Object.keys(HOLDINGS) as LimitName[]

const given = (limits: Limits): [LimitName, number][] => NAMES.flatMap(name => limits[name] === undefined ? [] : [[name, limits[name]]])

export const limitMechanisms = (limits: Limits): Enforcement['limits'] => Object.fromEntries(given(limits).map(([name]) => [name, HOLDINGS[name].mechanism]))

export const limitNotes = (limits: Limits): string[] => given(limits).flatMap(([name]) => HOLDINGS[name].note ?? [])

/**
 * The job of a command. All that it starts ends with the job's last handle; nothing leaves it, as it has neither of the two flags that
 * would let a process go.
 */
export const jobPlan = (limits: Limits): WindowsJobPlan => ({
  flags: ['KILL_ON_JOB_CLOSE', 'DIE_ON_UNHANDLED_EXCEPTION'],
  // Handles of windows, the clipboard, other desktops and the end of the session are the user's.
  userInterface: ['HANDLES', 'READCLIPBOARD', 'WRITECLIPBOARD', 'SYSTEMPARAMETERS', 'DISPLAYSETTINGS', 'GLOBALATOMS', 'DESKTOP', 'EXITWINDOWS'],
  limits: Object.fromEntries(given(limits).flatMap(([name, value]) => {
    const { member } = HOLDINGS[name]
    return member === undefined ? [] : [[member.name, value * member.unit]]
  })),
})

/**
 * @returns what is degraded
 * @throws SandboxError `rule_not_enforceable`, `field` = `limits.NAME`, where nothing holds a limit and that was not allowed
 */
export function refuseUnheldLimits(limits: Limits, allowed: ReadonlySet<DegradationName>): DegradationName[] {
  const absent = given(limits).find(([name]) => HOLDINGS[name].mechanism === 'absent')
  if (absent === undefined) return []
  if (allowed.has('limits')) return ['limits']
  const [name, value] = absent
  throw new SandboxError('rule_not_enforceable', { field: `limits.${name}`, value }, { detail: 'Windows holds no such limit for a command', remedy: 'Drop the limit, or name it in allowDegraded ["limits"].' })
}

/** Of two limits the lower. */
export function lowerLimits(a: Limits, b: Limits): Limits {
  return Object.fromEntries(NAMES.flatMap(name => {
    const values = [a[name], b[name]].filter(value => value !== undefined)
    return values.length === 0 ? [] : [[name, Math.min(...values)]]
  }))
}
