// `sandbox.updateNetwork`: what of the rules may change while a sandbox runs.
import { SandboxError } from '../../errors.js'
import type { NetworkRules } from '../../policy/domains.js'
import { parsePolicy } from '../../policy/parse.js'
import type { NetworkUpdate } from './sandbox-network.js'

const KEYS = ['mode', 'allowedDomains', 'deniedDomains', 'strictAllowlist'] as const satisfies readonly (keyof NetworkUpdate)[]

/**
 * `rules` with what `change` says. An undefined value is no change.
 *
 * @throws SandboxError `option_invalid` for a field that cannot change; `policy_*` as for a policy
 */
export function updatedRules(rules: NetworkRules, change: NetworkUpdate): NetworkRules {
  if (typeof change !== 'object' || change === null || Array.isArray(change)) throw new SandboxError('option_invalid', { field: 'updateNetwork', value: change }, { detail: 'it must be an object', remedy: `Give some of ${KEYS.join(', ')}.` })
  const unknown = Object.keys(change).find(key => !(KEYS as readonly string[]).includes(key))
  if (unknown !== undefined) {
    throw new SandboxError('option_invalid', { field: `network.${unknown}`, value: (change as Readonly<Record<string, unknown>>)[unknown] }, { detail: `while a sandbox runs, ${KEYS.join(', ')} can be changed`, remedy: 'Leave it out, or create a new sandbox.' })
  }
  const { mode, allowedDomains, deniedDomains, strictAllowlist } = rules
  const merged = { mode, allowedDomains, deniedDomains, strictAllowlist: strictAllowlist ?? false, ...withoutUndefined(change) }
  const { networkRules } = parsePolicy({ network: merged })
  if (networkRules === undefined) throw new Error('rules with strictAllowlist are those of a proxied network')
  const { strictAllowlist: _, ...others } = rules
  return {
    ...others, mode: networkRules.mode, allowedDomains: networkRules.allowedDomains, deniedDomains: networkRules.deniedDomains,
    ...(networkRules.strictAllowlist === true ? { strictAllowlist: true } : {}),
  }
}

const withoutUndefined = (change: NetworkUpdate): object => Object.fromEntries(Object.entries(change).filter(([, value]) => value !== undefined))
