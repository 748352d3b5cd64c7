// A job's plan as numbers of Windows. Pure.
import type { WindowsJobPlan } from '../launch-plan.js'
import type { RunnerJob } from './runner-codec.js'

/** JOB_OBJECT_LIMIT_*. Source: winnt.h. */
const FLAGS: Readonly<Record<string, number>> = { DIE_ON_UNHANDLED_EXCEPTION: 0x400, KILL_ON_JOB_CLOSE: 0x2000 }

/** JOB_OBJECT_UILIMIT_*. Source: winnt.h. */
const USER_INTERFACE: Readonly<Record<string, number>> = {
  HANDLES: 0x1, READCLIPBOARD: 0x2, WRITECLIPBOARD: 0x4, SYSTEMPARAMETERS: 0x8, DISPLAYSETTINGS: 0x10, GLOBALATOMS: 0x20, DESKTOP: 0x40, EXITWINDOWS: 0x80,
}

export function jobBits({ flags, userInterface, limits }: WindowsJobPlan): RunnerJob {
  return {
    flags: bitsOf(FLAGS, flags), userInterface: bitsOf(USER_INTERFACE, userInterface),
    memory: limits['JobMemoryLimit'] ?? 0, processes: limits['ActiveProcessLimit'] ?? 0, userTime: limits['PerProcessUserTimeLimit'] ?? 0,
  }
}

/** A name that has no number would be a limit that nothing holds. */
export function bitsOf(table: Readonly<Record<string, number>>, names: readonly string[]): number {
  return names.reduce((bits, name) => {
    const bit = table[name]
    if (bit === undefined) throw new Error(`${name} has no number`)
    return bits | bit
  }, 0)
}
