// Whether the accounts that set-up made can still log on, with what they fail otherwise. Changes nothing, but that a wrong password counts.
import { ACCOUNTS, LOGON_FAILURES } from '../users.js'
import { parseSecrets, parseState, STATE_FILES } from './state-files.js'
import { WindowsFailure, type WindowsSystem } from './system.js'

export type LogonCheck =
  | { readonly account: string; readonly ok: true }
  | { readonly account: string; readonly ok: false; readonly reason: string; readonly remedy: string }

const AGAIN = 'Run `codex-sandbox windows setup --mode elevated`.'

/** One row an account; none where `elevated` is not set up. */
export async function checkLogons(system: Pick<WindowsSystem, 'readState' | 'unseal' | 'logOn'>): Promise<LogonCheck[]> {
  const [stateText, secretsText] = [await system.readState(STATE_FILES.state), await system.readState(STATE_FILES.secrets)]
  const accounts = stateText === undefined ? undefined : parseState(stateText).accounts
  if (accounts === undefined) return []
  const secrets = secretsText === undefined ? undefined : parseSecrets(secretsText)
  const checks: LogonCheck[] = []
  for (const name of ['offline', 'online'] as const) {
    const account = ACCOUNTS[name]
    const failed = (reason: string, remedy: string): LogonCheck => ({ account, ok: false, reason, remedy })
    if (secrets === undefined) {
      checks.push(failed('its password is not kept any more', AGAIN))
      continue
    }
    try {
      const sid = await system.logOn(account, Buffer.from(await system.unseal(Buffer.from(secrets[name], 'base64'))).toString('utf8'))
      checks.push(sid === accounts[name].sid ? { account, ok: true } : failed(`a logon as ${account} was one as ${sid}`, AGAIN))
    } catch (error) {
      if (!(error instanceof WindowsFailure)) throw error
      const known = LOGON_FAILURES[error.code]
      checks.push(known === undefined ? failed(error.message, AGAIN) : failed(`${known.reason} (${known.name}, ${error.code})`, known.remedy))
    }
  }
  return checks
}
