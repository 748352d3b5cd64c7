// The token that commands run with, as data: a restricted form of the user's own, or of an account's that set-up made. Pure.
import { SandboxError } from '../../errors.js'
import type { WindowsAccount } from '../../policy/host-snapshot.js'
import type { WindowsProof, WindowsTokenPlan } from '../launch-plan.js'
import type { Token } from './access-check.js'
import { EVERY_CHANGE, FILE_RIGHTS, type FileRight, GENERIC_READ, GENERIC_WRITE, WRITE_AND_REMOVE } from './access-rights.js'
import { INTEGRITY, POWERFUL_GROUPS, printSid, SIDS } from './sid.js'

/** Stands for the SID of the logon session, which is known when there is one. */
export const LOGON_WORD = '{logon}'
/** Stands for a SID that is made for each sandbox, as random as a capability and kept nowhere. */
export const SESSION_WORD = '{session}'

/**
 * @param account       whose
 * @param capabilities  of the writable roots, and the one that every sandbox has
 * @param isShared      other sandboxes run with the same account: what one of them makes is then for its own logon session
 */
export function tokenPlan(account: WindowsAccount, capabilities: readonly string[], isShared: boolean): WindowsTokenPlan {
  const [first] = capabilities
  return {
    account: account.sid,
    // WRITE_RESTRICTED: reading is judged by the account alone, so that programs and their libraries load; all that changes anything is
    // judged by the restricting SIDs as well.
    flags: ['DISABLE_MAX_PRIVILEGE', 'LUA_TOKEN', 'WRITE_RESTRICTED'],
    disable: POWERFUL_GROUPS,
    // The logon SID is for the desktop, Everyone for the null device and the system's own shared objects.
    restricting: [...capabilities, SESSION_WORD, LOGON_WORD, SIDS.everyone],
    privileges: ['SeChangeNotifyPrivilege'],
    integrity: `S-1-16-${INTEGRITY.medium}`,
    // Two passes, so two entries: one that the account's own SIDs match, and one for this sandbox and no other.
    defaultDacl: `D:(A;;GA;;;${isShared ? LOGON_WORD : account.sid})(A;;GA;;;${SESSION_WORD})`,
    proofs: first === undefined ? [] : proofs(account.sid, first),
  }
}

/**
 * Questions whose answers are the enforcement. Each is put to the system with the finished token and an object made for it; where one
 * answer differs, as with a kernel that checks less of a write-restricted token twice, nothing is started.
 */
function proofs(account: string, capability: string): WindowsProof[] {
  const changes: readonly FileRight[] = ['writeData', 'appendData', 'writeEa', 'writeAttributes', 'deleteChild', 'delete', 'writeDac', 'writeOwner']
  const own = `O:${printSid(account)}G:${printSid(account)}`
  const hex = (mask: number) => `0x${mask.toString(16)}`
  return [
    { what: 'reading what is the account\'s', descriptor: `${own}D:(A;;FA;;;${account})`, desired: hex(GENERIC_READ), granted: true },
    ...changes.map(right => ({ what: `${right} on what is the account's`, descriptor: `${own}D:(A;;FA;;;${account})`, desired: hex(FILE_RIGHTS[right]), granted: false })),
    { what: 'changing the list of an own object', descriptor: `${own}D:`, desired: hex(FILE_RIGHTS.writeDac), granted: false },
    { what: 'writing in a root', descriptor: `${own}D:(A;;FA;;;${account})(A;;${hex(WRITE_AND_REMOVE)};;;${capability})`, desired: hex(GENERIC_WRITE), granted: true },
    { what: 'removing in a root', descriptor: `${own}D:(A;;FA;;;${account})(A;;${hex(WRITE_AND_REMOVE)};;;${capability})`, desired: hex(FILE_RIGHTS.delete), granted: true },
    { what: 'writing what is closed, though everybody may', descriptor: `${own}D:(D;;${hex(EVERY_CHANGE)};;;${capability})(A;;FA;;;WD)`, desired: hex(FILE_RIGHTS.writeData), granted: false },
    { what: 'what is only for administrators', descriptor: 'O:BAG:BAD:(A;;FA;;;BA)', desired: hex(FILE_RIGHTS.readData), granted: false },
  ]
}

/**
 * Puts a plan's proofs to the system.
 *
 * @param ask     the system's own answer for the finished token: whether it gets `desired` to an object with `descriptor`
 * @throws        SandboxError `set_up_failed`, `step` = `token_proof`, for the first answer that is another one than the plan's
 */
export function refuseUnproven(proofs: readonly WindowsProof[], ask: (descriptor: string, desired: number) => boolean): void {
  for (const { what, descriptor, desired, granted } of proofs) {
    if (ask(descriptor, Number(desired)) === granted) continue
    throw new SandboxError('set_up_failed', { step: 'token_proof', errno: 'EACCES', path: what }, { detail: `this system ${granted ? 'denies' : 'grants'} it to a token that was made to ${granted ? 'have' : 'lack'} it`, remedy: 'This version of Windows does not confine as this package needs it: run `codex-sandbox doctor`, and report it.' })
  }
}

/** The groups that each account has in its token, beside those of set-up. */
export const COMMON_GROUPS: readonly string[] = [SIDS.everyone, SIDS.users, SIDS.authenticatedUsers, SIDS.interactive]

/**
 * The same token for the model of access checks.
 *
 * @param groups  of the account beside the common ones
 */
export function modelToken({ account, disable, restricting }: WindowsTokenPlan, { logon, session, groups }: { readonly logon: string; readonly session: string; readonly groups: readonly string[] }): Token {
  const word = (sid: string) => sid === LOGON_WORD ? logon : sid === SESSION_WORD ? session : sid
  return { user: account, groups: [...COMMON_GROUPS, logon, ...groups], denyOnly: disable, restricting: restricting.map(word), isWriteRestricted: true, integrity: INTEGRITY.medium }
}

/** An account's token before it is restricted. */
export const plainToken = (account: string, groups: readonly string[]): Token =>
  ({ user: account, groups: [...COMMON_GROUPS, ...groups], denyOnly: POWERFUL_GROUPS, restricting: [], isWriteRestricted: false, integrity: INTEGRITY.medium })
