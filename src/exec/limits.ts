// The limits of one command: the policy's, narrowed by its own, and how they are held.
import { SandboxError } from '../errors.js'
import type { Enforcement, GroupLimit, LaunchPlan } from '../platform/launch-plan.js'
import { limitMechanisms, refuseUnheldLimits } from '../platform/limits.js'
import { groupLimits, limitMechanisms as linuxLimitMechanisms } from '../platform/linux/native/limits.js'
import { LIMIT_HOLDINGS as MACOS_HOLDINGS } from '../platform/macos/limits.js'
import { LIMIT_HOLDINGS as WINDOWS_HOLDINGS } from '../platform/windows/limits.js'
import type { Limits } from '../policy/sandbox-policy.js'

/** @throws SandboxError `option_invalid` where a limit is wider than the policy's */
export function narrowLimits(policy: Limits, asked: Limits | undefined): Limits {
  if (asked === undefined) return policy
  const limits: { -readonly [Name in keyof Limits]: Limits[Name] } = { ...policy }
  for (const [name, value] of Object.entries(asked) as [keyof Limits, number | undefined][]) {
    if (value === undefined) continue
    const most = policy[name]
    // 0 means "none" to the launcher, which would be the widest of all.
    if (value === 0) throw new SandboxError('option_invalid', { field: `limits.${name}`, value }, { detail: 'it must be 1 or more' })
    if (most !== undefined && value > most) {
      throw new SandboxError('option_invalid', { field: `limits.${name}`, value }, { detail: `the policy's is ${most}, and a command may only narrow it`, remedy: 'Give less, or raise it in the policy.' })
    }
    limits[name] = value
  }
  return limits
}

/**
 * What a result says about a command: as its plan, and how the limits are held that only this command has.
 *
 * @param requireLimits  refuse what is not held exactly
 * @throws SandboxError `rule_not_enforceable` where nothing would hold them and that was not allowed
 */
export function enforcementWith(plan: LaunchPlan, asked: Limits | undefined, requireLimits: boolean): Enforcement {
  if (asked === undefined) return plan.enforcement
  const enforcement = { ...plan.enforcement, limits: { ...plan.enforcement.limits, ...mechanismsOf(plan, asked) } }
  if (requireLimits) refuseInexactLimits(asked, enforcement)
  return enforcement
}

/** @throws SandboxError `rule_not_enforceable`, `field` = the first of `limits` that is held in another way than exactly */
export function refuseInexactLimits(limits: Limits, enforcement: Enforcement): void {
  for (const [name, value] of Object.entries(limits) as [keyof Limits, number | undefined][]) {
    const mechanism = enforcement.limits[name] ?? 'absent'
    if (value !== undefined && mechanism !== 'exact') {
      throw new SandboxError('rule_not_enforceable', { field: `limits.${name}`, value }, { detail: `this host holds it as "${mechanism}" only`, remedy: 'Drop the limit, or drop requireLimits.' })
    }
  }
}

function mechanismsOf(plan: LaunchPlan, asked: Limits): Enforcement['limits'] {
  switch (plan.backend) {
    case 'linux-native': return linuxLimitMechanisms(asked, plan.uid, plan.groups, plan.rung)
    case 'linux-bwrap': return linuxLimitMechanisms(asked, plan.uid)
    case 'macos-seatbelt':
      refuseUnheldLimits(MACOS_HOLDINGS, asked, new Set(plan.degraded), 'macOS')
      return limitMechanisms(MACOS_HOLDINGS, asked)
    case 'windows-elevated': case 'windows-unelevated':
      refuseUnheldLimits(WINDOWS_HOLDINGS, asked, new Set(plan.degraded), 'Windows')
      return limitMechanisms(WINDOWS_HOLDINGS, asked)
    case 'unconfined': return absent(asked, plan)
    default: return plan satisfies never
  }
}

/** Those of a command's limits that a control group of its own is to hold. */
export const groupLimitsOf = (plan: LaunchPlan, limits: Limits): readonly GroupLimit[] | undefined =>
  plan.backend === 'linux-native' && plan.groups !== undefined ? groupLimits(limits, plan.groups) : undefined

function absent(asked: Limits, { degraded }: LaunchPlan): Enforcement['limits'] {
  const given = Object.entries(asked).filter(([, value]) => value !== undefined)
  const [first] = given
  if (first !== undefined && !degraded.includes('limits')) {
    throw new SandboxError('rule_not_enforceable', { field: `limits.${first[0]}`, value: first[1] }, { detail: 'commands run without a sandbox', remedy: 'Drop the limit, or allow `limits` to be degraded.' })
  }
  return Object.fromEntries(given.map(([name]) => [name, 'absent']))
}
