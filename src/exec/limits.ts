// The limits of one command: the policy's, narrowed by its own.
import { SandboxError } from '../errors.js'
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
