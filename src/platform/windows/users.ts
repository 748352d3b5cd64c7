// The accounts that set-up makes for `elevated`, and what the logon of one of them may fail with. Pure.
import type { WindowsAccount } from '../../policy/host-snapshot.js'

/** At most 20 characters each, as the account database has it. Not the reference's names: its set-up would change their passwords. */
export const ACCOUNTS = { offline: 'CsbxOffline', online: 'CsbxOnline', group: 'CsbxUsers' } as const
export type AccountName = Exclude<keyof typeof ACCOUNTS, 'group'>

/** How set-up makes them, one row a fact that is read back. */
export const ACCOUNT_SETTINGS = {
  comment: 'Runs commands of codex-sandbox; removed by `codex-sandbox windows uninstall`',
  /** UF_SCRIPT, UF_DONT_EXPIRE_PASSWD, UF_PASSWD_CANT_CHANGE. */
  flags: 0x1_0041,
  /** Winlogon\SpecialAccounts\UserList: no place on the logon screen. */
  hidden: true,
  passwordCharacters: 32,
} as const

/** For a plan that is only looked at. */
export const SUPPOSED_ACCOUNTS: Readonly<Record<AccountName | 'group', WindowsAccount>> = {
  offline: { name: ACCOUNTS.offline, sid: 'S-1-5-21-1000-1000-1000-1101' },
  online: { name: ACCOUNTS.online, sid: 'S-1-5-21-1000-1000-1000-1102' },
  group: { name: ACCOUNTS.group, sid: 'S-1-5-21-1000-1000-1000-1103' },
}

/** Errors of CreateProcessWithLogonW that a user meets, with what each means for these accounts. Source: winerror.h. */
export const LOGON_FAILURES: Readonly<Record<number, { readonly name: string; readonly reason: string; readonly remedy: string }>> = {
  5:    { name: 'ERROR_ACCESS_DENIED', reason: 'the account may not start the program, or a policy of the machine forbids this way to start one', remedy: 'Ask whether group policy restricts "Log on as" rights or AppLocker; programs of the Microsoft Store cannot be started by another account.' },
  1312: { name: 'ERROR_NO_SUCH_LOGON_SESSION', reason: 'this process has no logon session that could make another one, as in services and some remote sessions', remedy: 'Start from a desktop session, or with the Secondary Logon service running.' },
  1326: { name: 'ERROR_LOGON_FAILURE', reason: 'the kept password is not the account\'s any more', remedy: 'Run `codex-sandbox windows setup --mode elevated`: it sets a new one.' },
  1327: { name: 'ERROR_ACCOUNT_RESTRICTION', reason: 'a policy of the machine keeps the account from logging on', remedy: 'Ask whether group policy denies local accounts the right to log on.' },
  1331: { name: 'ERROR_ACCOUNT_DISABLED', reason: 'somebody has disabled the account', remedy: 'Run `codex-sandbox windows setup --mode elevated`: it enables it.' },
  1385: { name: 'ERROR_LOGON_TYPE_NOT_GRANTED', reason: 'the account may not log on interactively here', remedy: 'Ask whether group policy names who may "Allow log on locally".' },
  1909: { name: 'ERROR_ACCOUNT_LOCKED_OUT', reason: 'the account is locked after too many wrong passwords', remedy: 'Wait until the lock ends, or run `codex-sandbox windows setup --mode elevated`.' },
}
