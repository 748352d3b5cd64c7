// Security identifiers as text. Source: "Well-known SIDs" and "SID Strings" of Microsoft's documents.

export const SIDS = {
  everyone: 'S-1-1-0', creatorOwner: 'S-1-3-0', creatorGroup: 'S-1-3-1', ownerRights: 'S-1-3-4', network: 'S-1-5-2', interactive: 'S-1-5-4',
  authenticatedUsers: 'S-1-5-11', restrictedCode: 'S-1-5-12', system: 'S-1-5-18', writeRestrictedCode: 'S-1-5-33',
  administrators: 'S-1-5-32-544', users: 'S-1-5-32-545', guests: 'S-1-5-32-546', powerUsers: 'S-1-5-32-547', accountOperators: 'S-1-5-32-548',
  serverOperators: 'S-1-5-32-549', printOperators: 'S-1-5-32-550', backupOperators: 'S-1-5-32-551', networkOperators: 'S-1-5-32-556',
  hyperVAdministrators: 'S-1-5-32-578', localAccountAndAdministrator: 'S-1-5-114', allPackages: 'S-1-15-2-1',
} as const

/** Two letters that SDDL has for a SID. Those that depend on a domain are left out: they say nothing by themselves. */
export const SID_ALIASES: Readonly<Record<string, string>> = {
  WD: SIDS.everyone, CO: SIDS.creatorOwner, CG: SIDS.creatorGroup, OW: SIDS.ownerRights, NU: SIDS.network, IU: SIDS.interactive, SU: 'S-1-5-6', AN: 'S-1-5-7', ED: 'S-1-5-9', PS: 'S-1-5-10',
  AU: SIDS.authenticatedUsers, RC: SIDS.restrictedCode, SY: SIDS.system, LS: 'S-1-5-19', NS: 'S-1-5-20', WR: SIDS.writeRestrictedCode,
  BA: SIDS.administrators, BU: SIDS.users, BG: SIDS.guests, PU: SIDS.powerUsers, AO: SIDS.accountOperators, SO: SIDS.serverOperators, PO: SIDS.printOperators, BO: SIDS.backupOperators,
  RE: 'S-1-5-32-552', RU: 'S-1-5-32-554', RD: 'S-1-5-32-555', NO: SIDS.networkOperators, MU: 'S-1-5-32-558', LU: 'S-1-5-32-559', HA: SIDS.hyperVAdministrators,
  AC: SIDS.allPackages, LW: 'S-1-16-4096', ME: 'S-1-16-8192', MP: 'S-1-16-8448', HI: 'S-1-16-12288', SI: 'S-1-16-16384',
}

const ALIAS_OF: ReadonlyMap<string, string> = new Map(Object.entries(SID_ALIASES).map(([alias, sid]) => [sid, alias]))

/** Revision 1, an authority, up to 15 numbers of 32 bits. */
export const isSid = (text: string): boolean =>
  /^S-1-\d{1,15}(?:-\d{1,10}){1,15}$/.test(text) && text.split('-').slice(3).every(part => Number(part) <= 0xffff_ffff)

/** As SDDL writes it: the alias where there is one. */
export const printSid = (sid: string): string => ALIAS_OF.get(sid) ?? sid

/** Groups by which an account may change what is everybody's. A token that confines has them only to be denied by. */
export const POWERFUL_GROUPS: readonly string[] = [
  SIDS.administrators, SIDS.powerUsers, SIDS.accountOperators, SIDS.serverOperators, SIDS.printOperators, SIDS.backupOperators, SIDS.networkOperators,
  SIDS.hyperVAdministrators, SIDS.localAccountAndAdministrator,
]

/** How much an integrity label counts: `S-1-16-8192` is 8192. Undefined for any other SID. */
export function integrityOf(sid: string): number | undefined {
  const [, level] = /^S-1-16-(\d+)$/.exec(sid) ?? []
  return level === undefined ? undefined : Number(level)
}

export const INTEGRITY = { untrusted: 0, low: 4096, medium: 8192, high: 12_288, system: 16_384 } as const
