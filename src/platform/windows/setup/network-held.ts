// Whether the firewall holds the network of the offline account now: set-up's rules may have gone since. Changes nothing.
import type { WindowsFirewallRule } from '../../launch-plan.js'
import { holdsRule } from './firewall-read-back.js'
import { WindowsFailure, type WindowsSystem } from './system.js'

type Firewall = Pick<WindowsSystem, 'firewall' | 'readFirewallRules'>

/** A reset of the firewall, or a policy, takes the rules away and leaves the account. Undefined: all of them are in force. */
export async function whyNetworkIsOpen(system: Firewall, rules: readonly WindowsFirewallRule[]): Promise<string | undefined> {
  try {
    return await firstOpening(system, rules)
  } catch (error) {
    if (!(error instanceof WindowsFailure)) throw error
    return `the firewall cannot be looked at (${error.message}), so nobody knows whether it holds the network`
  }
}

async function firstOpening(system: Firewall, rules: readonly WindowsFirewallRule[]): Promise<string | undefined> {
  const { localRulesCount, offIn } = await system.firewall()
  if (!localRulesCount) return 'a group policy forbids firewall rules of this machine\'s own, so nothing holds the network: ask who manages it'
  if (offIn.length > 0) return `the firewall is off (${offIn.join(', ')}), so nothing holds the network: turn it on (wf.msc)`
  for (const rule of rules) {
    const found = await system.readFirewallRules(rule.name)
    if (!found.some(each => holdsRule(each, rule))) return `the firewall rule ${rule.name} is gone or is another one, so nothing holds the network: run set-up again`
  }
  return undefined
}
