// Resource limits, as each back end tells how it holds them: one row a limit.
import { SandboxError } from '../errors.js'
import type { Limits } from '../policy/sandbox-policy.js'
import type { DegradationName, Enforcement, LimitMechanism } from './launch-plan.js'

export type LimitName = keyof Limits

/** How one limit is held. `note`: a sentence for the report where the name alone promises more. */
export interface LimitHolding {
  readonly mechanism: LimitMechanism
  readonly note?: string
}

/** Of a back end whose ways to hold them are the same on every host. */
export type LimitHoldings<Holding extends LimitHolding = LimitHolding> = Readonly<Record<LimitName, Holding>>

/** In the order in which reports have them. */
const LIMIT_NAMES = Object.keys({ memoryBytes: true, pids: true, cpuSeconds: true, openFiles: true, fileSizeBytes: true } satisfies Record<LimitName, true>) as LimitName[]

/** Those that are set, with their values. */
export const givenLimits = (limits: Limits): [LimitName, number][] => LIMIT_NAMES.flatMap(name => limits[name] === undefined ? [] : [[name, limits[name]]])

/** How the limits that are set are held. */
export const limitMechanisms = (holdings: LimitHoldings, limits: Limits): Enforcement['limits'] =>
  Object.fromEntries(givenLimits(limits).map(([name]) => [name, holdings[name].mechanism]))

/** What a reader of `limitMechanisms` should know beside. */
export const limitNotes = (holdings: LimitHoldings, limits: Limits): string[] => givenLimits(limits).flatMap(([name]) => holdings[name].note ?? [])

/**
 * @param system  as an error names it
 * @returns what is degraded
 * @throws SandboxError `rule_not_enforceable`, `field` = `limits.NAME`, where nothing holds a limit and that was not allowed
 */
export function refuseUnheldLimits(holdings: LimitHoldings, limits: Limits, allowed: ReadonlySet<DegradationName>, system: string): DegradationName[] {
  const absent = givenLimits(limits).find(([name]) => holdings[name].mechanism === 'absent')
  if (absent === undefined) return []
  if (allowed.has('limits')) return ['limits']
  const [name, value] = absent
  throw new SandboxError('rule_not_enforceable', { field: `limits.${name}`, value }, { detail: `${system} holds no such limit for a command`, remedy: 'Drop the limit, or name it in allowDegraded ["limits"].' })
}

/** Of two limits the lower. */
export const lowerLimits = (a: Limits, b: Limits): Limits =>
  Object.fromEntries(LIMIT_NAMES.flatMap(name => {
    const values = [a[name], b[name]].filter(value => value !== undefined)
    return values.length === 0 ? [] : [[name, Math.min(...values)]]
  }))
