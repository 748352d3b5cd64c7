// Resource limits on Windows: what a job object holds for all of a command together, and what it does not know.
import type { Limits } from '../../policy/sandbox-policy.js'
import type { WindowsJobPlan } from '../launch-plan.js'
import { givenLimits, type LimitHolding, type LimitHoldings } from '../limits.js'

interface Holding extends LimitHolding {
  /** The member of JOBOBJECT_EXTENDED_LIMIT_INFORMATION, and what one unit of ours is in its own. */
  readonly member?: { readonly name: string; readonly unit: number }
}

/** One row a limit. Source: JOBOBJECT_BASIC_LIMIT_INFORMATION and JOBOBJECT_EXTENDED_LIMIT_INFORMATION. Times are in units of 100 ns. */
export const LIMIT_HOLDINGS: LimitHoldings<Holding> = {
  memoryBytes:   { mechanism: 'exact', member: { name: 'JobMemoryLimit', unit: 1 } },
  pids:          { mechanism: 'perProcess', member: { name: 'ActiveProcessLimit', unit: 1 }, note: 'the number of processes is limited, not that of their threads' },
  cpuSeconds:    { mechanism: 'perProcess', member: { name: 'PerProcessUserTimeLimit', unit: 10_000_000 }, note: 'processor time is limited for each process, and that in the kernel does not count' },
  openFiles:     { mechanism: 'absent' },
  fileSizeBytes: { mechanism: 'absent' },
}

/**
 * The job of a command. All that it starts ends with the job's last handle; nothing leaves it, as it has neither of the two flags that
 * would let a process go.
 */
export const jobPlan = (limits: Limits): WindowsJobPlan => ({
  flags: ['KILL_ON_JOB_CLOSE', 'DIE_ON_UNHANDLED_EXCEPTION'],
  // Handles of windows, the clipboard, other desktops and the end of the session are the user's.
  userInterface: ['HANDLES', 'READCLIPBOARD', 'WRITECLIPBOARD', 'SYSTEMPARAMETERS', 'DISPLAYSETTINGS', 'GLOBALATOMS', 'DESKTOP', 'EXITWINDOWS'],
  limits: Object.fromEntries(givenLimits(limits).flatMap(([name, value]) => {
    const { member } = LIMIT_HOLDINGS[name]
    return member === undefined ? [] : [[member.name, value * member.unit]]
  })),
})
