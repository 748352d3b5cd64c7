// Resource limits: which mechanism holds each one on this host, and how far.
import type { GroupReport } from '../../backend.js'
import type { Enforcement, GroupLimit, GroupPlan, Rung } from '../../launch-plan.js'
import { givenLimits, type LimitHolding, type LimitName } from '../../limits.js'
import type { Limits } from '../../../policy/sandbox-policy.js'

interface Holding extends LimitHolding {
  readonly by: string
}

/**
 * One row a limit. `asRoot` differs where the kernel makes an exception for uid 0, which a user namespace does not take away;
 * `supervised` where there is no such namespace, in which the kernel counts for one sandbox alone.
 * Source: setrlimit(2); kernel/ucount.c for RLIMIT_NPROC, which is counted for each user namespace since Linux 5.14.
 */
const LIMIT_HOLDINGS: Readonly<Record<LimitName, { readonly asUser: Holding; readonly asRoot: Holding; readonly supervised: Holding }>> = {
  memoryBytes:   same({ mechanism: 'polled', by: 'RLIMIT_DATA for each process; the launcher adds up what all of a command\'s have', note: 'memory is looked at a few times a second: a command may exceed its limit for that long; a single process that asks for more than the limit gets an error of its own (ENOMEM, MemoryError) instead of being ended' }),
  pids: {
    asUser: { mechanism: 'exact', by: 'RLIMIT_NPROC in the sandbox\'s user namespace', note: 'the limit of processes counts those of all commands of the sandbox together' },
    asRoot: { mechanism: 'polled', by: 'the launcher counts a command\'s processes', note: 'the kernel exempts root from limits of processes: they are counted a few times a second, and a command may exceed its limit for that long' },
    supervised: { mechanism: 'polled', by: 'the launcher counts a command\'s processes', note: 'without a user namespace the kernel counts all processes of the user: those of a command are counted a few times a second, and it may exceed its limit for that long' },
  },
  cpuSeconds:    same({ mechanism: 'perProcess', by: 'RLIMIT_CPU', note: 'processor time is limited for each process, not for all of a command\'s together' }),
  openFiles:     same({ mechanism: 'exact', by: 'RLIMIT_NOFILE' }),
  fileSizeBytes: same({ mechanism: 'exact', by: 'RLIMIT_FSIZE' }),
}

/** What a control group of the command's own holds, where the plan has groups. Source: Documentation/admin-guide/cgroup-v2.rst. */
const GROUP_HOLDINGS: Readonly<Record<GroupLimit, Holding>> = {
  memoryBytes: { mechanism: 'exact', by: 'memory.max of the command\'s control group' },
  pids:        { mechanism: 'exact', by: 'pids.max of the command\'s control group' },
}
const GROUP_LIMITS = Object.keys(GROUP_HOLDINGS) as GroupLimit[]

/**
 * Below it memory is polled: until its exec a program has the launcher's memory for its own, and the kernel kills whoever shares
 * the memory of what exceeds a limit. What a program is given until then (arguments of 6 MiB at most, and the kernel's records) fits.
 */
export const LEAST_GROUP_MEMORY_BYTES = 16 << 20

/** How the limits that are set are held for `uid`. Pure. */
export function limitMechanisms(limits: Limits, uid: number, groups?: GroupPlan, rung: Rung = 'namespaces'): Enforcement['limits'] {
  return Object.fromEntries(holdings(limits, holderOf(uid, rung), groups).map(([name, { mechanism }]) => [name, mechanism]))
}

/** What a reader of `limitMechanisms` should know beside. */
export function limitNotes(limits: Limits, uid: number, groups?: GroupPlan, report?: GroupReport, rung: Rung = 'namespaces'): string[] {
  const held = holdings(limits, holderOf(uid, rung), groups)
  const polled = held.some(([, { mechanism }]) => mechanism === 'polled')
  return [...held.flatMap(([, { note }]) => note ?? []), ...(polled && report?.available === false ? [`no control group holds limits here: ${report.reason}`] : [])]
}

/** Whether control groups could hold one of `limits`. */
export const wantsGroups = (limits: Limits): boolean => GROUP_LIMITS.some(name => limits[name] !== undefined)

/** Those of the limits that a control group of the command's own holds. */
export const groupLimits = (limits: Limits, groups: GroupPlan | undefined): GroupLimit[] => GROUP_LIMITS.filter(name => isGroupHeld(name, limits, groups))

type Holder = 'asUser' | 'asRoot' | 'supervised'
const holderOf = (uid: number, rung: Rung): Holder => rung === 'supervised' ? 'supervised' : uid === 0 ? 'asRoot' : 'asUser'

function holdings(limits: Limits, holder: Holder, groups: GroupPlan | undefined): [LimitName, Holding][] {
  const byGroup = groupLimits(limits, groups)
  return givenLimits(limits).map(([name]) => [name, byGroup.find(each => each === name) === undefined ? LIMIT_HOLDINGS[name][holder] : GROUP_HOLDINGS[name as GroupLimit]])
}

const isGroupHeld = (name: GroupLimit, limits: Limits, groups: GroupPlan | undefined): boolean =>
  groups?.holds.includes(name) === true && limits[name] !== undefined && (name !== 'memoryBytes' || limits[name] >= LEAST_GROUP_MEMORY_BYTES)

function same(holding: Holding): Record<Holder, Holding> {
  return { asUser: holding, asRoot: holding, supervised: holding }
}
