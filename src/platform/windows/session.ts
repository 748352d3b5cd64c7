// What a plan leaves open until there is a process with a logon session: the words in it filled in, and the lists of what the runner makes. Pure
// but for the one random SID.
import { randomInt } from 'node:crypto'
import type { WindowsTokenPlan } from '../launch-plan.js'
import { bitsOf } from './job-bits.js'
import type { RunnerSetUp } from './runner-codec.js'
import { SIDS } from './sid.js'
import { LOGON_WORD, SESSION_WORD } from './token.js'

export interface Session {
  /** SID of the account that commands run as. */
  readonly account: string
  /** The SID that this sandbox alone has. */
  readonly session: string
  /** That of the runner's logon session. */
  readonly logon: string
  /** It is this process's as well, and so that of all other runners. */
  readonly isShared: boolean
}

/** As random as a capability, and kept nowhere. */
export const randomSession = (): string => `S-1-5-21-${[0, 0, 0, 0].map(() => randomInt(2 ** 32)).join('-')}`

/** Of CreateRestrictedToken. Source: winnt.h. */
const TOKEN_FLAGS: Readonly<Record<string, number>> = { DISABLE_MAX_PRIVILEGE: 0x1, SANDBOX_INERT: 0x2, LUA_TOKEN: 0x4, WRITE_RESTRICTED: 0x8 }

const PROCESS_ALL = '0x1fffff'
/** SYNCHRONIZE, PROCESS_QUERY_LIMITED_INFORMATION, PROCESS_TERMINATE: enough for a task manager, and no look into its memory. */
const PROCESS_OUTSIDE = '0x101001'
const DESKTOP_ALL = '0xf01ff'
/** All of DESKTOP_* but SWITCHDESKTOP, with READ_CONTROL: windows and menus, and never what the user sees. */
const DESKTOP_COMMANDS = '0x200ff'

/**
 * A write-restricted token is checked twice for whatever changes something, so that the desktop has an entry for each check: the account's, and
 * that of this sandbox alone. The runner's own process has none for the second.
 */
export function setUpOf(token: WindowsTokenPlan, ids: Session): RunnerSetUp {
  const { account, session } = ids
  return {
    token: {
      flags: bitsOf(TOKEN_FLAGS, token.flags), disable: token.disable, restricting: token.restricting.map(sid => fill(sid, ids)), privileges: token.privileges,
      integrity: token.integrity, defaultDacl: fill(ownLogonOnly(token.defaultDacl, ids), ids),
    },
    desktop: { name: `codex-sandbox-${session.split('-').slice(4).map(part => Number(part).toString(16)).join('-')}`, list: `D:P(A;;${DESKTOP_ALL};;;${account})(A;;${DESKTOP_COMMANDS};;;${session})` },
    processList: `D:P(A;;${PROCESS_ALL};;;${SIDS.system})(A;;${PROCESS_OUTSIDE};;;${account})`,
    proofs: token.proofs,
  }
}

const fill = (text: string, { logon, session }: Session): string => text.replaceAll(LOGON_WORD, logon).replaceAll(SESSION_WORD, session)

/**
 * What one sandbox makes is for its own logon session. Where several share one, an entry for that would let each of them pass both checks, so that it
 * is for the account: others then read what a sandbox makes and gives no list, and still change nothing of it.
 */
const ownLogonOnly = (defaultDacl: string, { account, isShared }: Session): string => isShared ? defaultDacl.replaceAll(LOGON_WORD, account) : defaultDacl
