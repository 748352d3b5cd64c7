// What is set up on this machine, and whether plans can rely on it. Changes nothing.
import { SET_UP_VERSION } from '../set-up.js'
import { firewallRules } from '../firewall.js'
import { ACCOUNTS } from '../users.js'
import { whyNetworkIsOpen } from './network-held.js'
import type { SetUpStatus } from './report.js'
import { parseHolder } from './set-up-lock.js'
import { parseError, parseJournal, parseState, STATE_FILES, type SetUpState } from './state-files.js'
import type { WindowsSystem } from './system.js'

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
  return state.accounts === undefined ? undefined : whyNetworkIsOpen(system, firewallRules(state.accounts.offline.sid, state.proxyPorts))
}
