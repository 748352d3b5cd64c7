// Resource limits: which mechanism holds each one on this host, and how far.
import type { Enforcement, LimitMechanism } from '../../launch-plan.js'
import type { Limits } from '../../../policy/sandbox-policy.js'

type LimitName = keyof Limits

/** How one limit is held. `note`: a sentence for the report where the name alone promises more. */
interface Holding {
  readonly mechanism: LimitMechanism
  readonly by: string
  readonly note?: string
}

/**
 * One row a limit. `asRoot` differs where the kernel makes an exception for uid 0, which a user namespace does not take away.
 * Source: setrlimit(2); kernel/ucount.c for RLIMIT_NPROC, which is counted for each user namespace since Linux 5.14.
 */
export const LIMIT_HOLDINGS: Readonly<Record<LimitName, { readonly asUser: Holding; readonly asRoot: Holding }>> = {
  memoryBytes:   same({ mechanism: 'polled', by: 'RLIMIT_DATA for each process; the launcher adds up what all of a command\'s have', note: 'memory is looked at a few times a second: a command may exceed its limit for that long' }),
  pids: {
    asUser: { mechanism: 'exact', by: 'RLIMIT_NPROC in the sandbox\'s user namespace', note: 'the limit of processes counts those of all commands of the sandbox together' },
    asRoot: { mechanism: 'polled', by: 'the launcher counts a command\'s processes', note: 'the kernel exempts root from limits of processes: they are counted a few times a second, and a command may exceed its limit for that long' },
  },
  cpuSeconds:    same({ mechanism: 'perProcess', by: 'RLIMIT_CPU', note: 'processor time is limited for each process, not for all of a command\'s together' }),
  openFiles:     same({ mechanism: 'exact', by: 'RLIMIT_NOFILE' }),
  fileSizeBytes: same({ mechanism: 'exact', by: 'RLIMIT_FSIZE' }),
}

const LIMIT_NAMES = Object.keys(LIMIT_HOLDINGS) as LimitName[]

/** How the limits that are set are held for `uid`. Pure. */
export function limitMechanisms(limits: Limits, uid: number): Enforcement['limits'] {
  return Object.fromEntries(setLimits(limits).map(name => [name, holding(name, uid).mechanism]))
}

/** What a reader of `limitMechanisms` should know beside. */
export const limitNotes = (limits: Limits, uid: number): string[] => setLimits(limits).flatMap(name => holding(name, uid).note ?? [])

/** Of two limits the lower. */
export function lowerLimits(a: Limits, b: Limits): Limits {
  const lower = (name: LimitName) => Math.min(a[name] ?? Number.POSITIVE_INFINITY, b[name] ?? Number.POSITIVE_INFINITY)
  return Object.fromEntries(LIMIT_NAMES.filter(name => Number.isFinite(lower(name))).map(name => [name, lower(name)]))
}

const setLimits = (limits: Limits): LimitName[] => LIMIT_NAMES.filter(name => limits[name] !== undefined)

const holding = (name: LimitName, uid: number): Holding => LIMIT_HOLDINGS[name][uid === 0 ? 'asRoot' : 'asUser']

function same(holding: Holding): { asUser: Holding; asRoot: Holding } {
  return { asUser: holding, asRoot: holding }
}
