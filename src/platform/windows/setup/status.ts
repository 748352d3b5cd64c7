// What is set up on this machine, and whether plans can rely on it. Changes nothing.
import { SET_UP_VERSION } from '../set-up.js'
import { firewallRules } from '../firewall.js'
import { ACCOUNTS } from '../users.js'
import { holdsRule } from './firewall-read-back.js'
import type { SetUpStatus } from './report.js'
import { parseHolder } from './set-up-lock.js'
import { parseError, parseJournal, parseState, STATE_FILES, type SetUpState } from './state-files.js'
import { WindowsFailure, type WindowsSystem } from './system.js'

/** See `WindowsSetUpCalls.status`. */
export async function windowsSetUpStatus(system: WindowsSystem): Promise<SetUpStatus> {
  const [stateText, journalText, errorText, holderText] = [await system.readState(STATE_FILES.state), await system.readState(STATE_FILES.journal), await system.readState(STATE_FILES.error), await system.lockHolder()]
  const state = stateText === undefined ? undefined : parseState(stateText)
  const holder = holderText === undefined ? undefined : parseHolder(holderText)
  const reason = await whyNotReady(system, state, journalText === undefined ? undefined : parseJournal(journalText).phase)
  const { accounts } = state ?? {}
  return {
    status: state === undefined && reason === undefined ? 'notConfigured' : reason === undefined ? 'ready' : 'updateRequired',
    ...(reason === undefined ? {} : { reason }),
    modes: state?.modes ?? [], roots: state?.roots ?? [], proxyPorts: state?.proxyPorts ?? [],
    ...(accounts === undefined ? {} : { accounts: { offline: accounts.offline.name, online: accounts.online.name, group: accounts.group.name } }),
    ...(holder === undefined ? {} : { holder }),
    ...(errorText === undefined ? {} : { lastError: parseError(errorText) }),
  }
}

async function whyNotReady(system: WindowsSystem, state: SetUpState | undefined, phase: 'begun' | 'finished' | 'uninstalling' | undefined): Promise<string | undefined> {
  if (phase === 'uninstalling') return 'uninstalling was interrupted: run `codex-sandbox windows uninstall` again'
  if (phase === 'begun') return 'set-up was interrupted: run it again, or `codex-sandbox windows uninstall`'
  if (state === undefined) return undefined
  if (state.version !== SET_UP_VERSION) return `it was set up by version ${state.version}, and this is ${SET_UP_VERSION}: run set-up again`
  for (const name of ['offline', 'online'] as const) {
    const expected = state.accounts?.[name]
    if (expected !== undefined && (await system.readAccount(ACCOUNTS[name]))?.sid !== expected.sid) return `the account ${ACCOUNTS[name]} is gone, or is another one: run set-up again`
  }
  return state.accounts === undefined ? undefined : whyNetworkIsOpen(system, state.accounts.offline.sid, state.proxyPorts)
}

/** A reset of the firewall, or a policy, takes the rules away and leaves the account. */
async function whyNetworkIsOpen(system: WindowsSystem, account: string, proxyPorts: readonly number[]): Promise<string | undefined> {
  try {
    return await firstOpening(system, account, proxyPorts)
  } catch (error) {
    if (!(error instanceof WindowsFailure)) throw error
    return `the firewall cannot be looked at (${error.message}), so nobody knows whether it holds the network`
  }
}

async function firstOpening(system: WindowsSystem, account: string, proxyPorts: readonly number[]): Promise<string | undefined> {
  const { localRulesCount, offIn } = await system.firewall()
  if (!localRulesCount) return 'a group policy forbids firewall rules of this machine\'s own, so nothing holds the network: ask who manages it'
  if (offIn.length > 0) return `the firewall is off (${offIn.join(', ')}), so nothing holds the network: turn it on (wf.msc)`
  for (const rule of firewallRules(account, proxyPorts)) {
    const found = await system.readFirewallRules(rule.name)
    if (!found.some(each => holdsRule(each, rule))) return `the firewall rule ${rule.name} is gone or is another one, so nothing holds the network: run set-up again`
  }
  return undefined
}
