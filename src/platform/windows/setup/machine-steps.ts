// What set-up makes of the machine itself, for which it takes an administrator: one row a thing, each with how it is looked at, made, and
// taken away again. What is looked at is known for ours by its mark; a thing of the same name without it is never touched.
import { randomInt } from 'node:crypto'
import { SandboxError } from '../../../errors.js'
import type { WindowsAccount } from '../../../policy/host-snapshot.js'
import type { WindowsFirewallRule } from '../../launch-plan.js'
import { firewallRules } from '../firewall.js'
import { POWERFUL_GROUPS, SIDS } from '../sid.js'
import { ACCOUNTS, ACCOUNT_SETTINGS, type AccountName } from '../users.js'
import { FIREWALL_MARK, holdsRule, isOurRule } from './firewall-read-back.js'
import { ACCESS_DENIED, type AccountState, type FirewallRuleState, type GroupState, type MachineFacts, WindowsFailure, type WindowsSystem } from './system.js'

/** `other`: ours, and not as it should be. */
export type Look = 'absent' | 'other' | 'done'

export interface MachineStep {
  readonly step: string
  /** @throws SandboxError `windows_setup_refused` for what is not ours */
  look(): Promise<Look>
  make(): Promise<void>
  /** As it was when it was first looked at. */
  undo(): Promise<void>
  /** Uninstalling. Resolves with whether there was anything of ours to remove. */
  remove(): Promise<boolean>
  /** Whether there is anything of ours to remove, as far as this process may look. */
  exists(): Promise<boolean>
}

export interface MachinePart {
  readonly steps: readonly MachineStep[]
  /** Those that were set, in this process alone. */
  readonly passwords: Partial<Record<AccountName, string>>
  /** @throws SandboxError `set_up_failed` where one is not there */
  accounts(): Promise<Record<AccountName | 'group', WindowsAccount>>
}

export interface MachineWish {
  readonly user: WindowsAccount
  readonly wantsPasswords: boolean
  readonly proxyPorts: readonly number[]
}

const NAMES: readonly AccountName[] = ['offline', 'online']

/** Logging on here, and nowhere and in no other way: no task, no service, not from other machines. */
const RIGHTS: readonly string[] = ['SeInteractiveLogonRight', 'SeDenyNetworkLogonRight', 'SeDenyRemoteInteractiveLogonRight', 'SeDenyBatchLogonRight', 'SeDenyServiceLogonRight']

/** Whose it is, too: the accounts belong to one user of the machine, who alone has their passwords. */
const commentFor = (user: WindowsAccount): string => `${ACCOUNT_SETTINGS.comment} (for ${user.sid})`
const isOurComment = (comment: string): boolean => comment.startsWith(`${ACCOUNT_SETTINGS.comment} (for S-1-`)

/** UF_NORMAL_ACCOUNT, which each of them has. */
const NORMAL_ACCOUNT = 0x200

export function machinePart(system: WindowsSystem, wish: MachineWish, least: number): MachinePart {
  const passwords: Partial<Record<AccountName, string>> = {}
  const group = () => ownGroup(system, wish.user)
  const account = (name: AccountName) => ownAccount(system, wish.user, name)
  const steps = [
    groupStep(system, wish, group),
    ...NAMES.map(name => accountStep(system, wish, name, least, passwords)),
    ...NAMES.flatMap(name => [
      memberStep(system, `member_${name}`, async () => (await group())?.sid, () => account(name), async (found, member) => (await group())?.members.includes(member.sid) === true && found !== undefined),
      memberStep(system, `user_${name}`, async () => SIDS.users, () => account(name), async (found, member) => found !== undefined && member.groups.includes(found)),
    ]),
    rightsStep(system, group),
    ...NAMES.map(name => hiddenStep(system, ACCOUNTS[name], () => account(name))),
    ...firewallRules('', wish.proxyPorts).map(({ name }) => firewallStep(system, name, () => account('offline'), sid => firewallRules(sid, wish.proxyPorts).find(rule => rule.name === name))),
  ]
  return {
    steps, passwords,
    async accounts() {
      const [offline, online, users] = [await account('offline'), await account('online'), await group()]
      if (offline === undefined || online === undefined || users === undefined) throw new SandboxError('set_up_failed', { step: 'accounts', errno: 'ENOENT' }, { detail: 'they are gone again', remedy: 'Set up again.' })
      return { offline: { name: ACCOUNTS.offline, sid: offline.sid }, online: { name: ACCOUNTS.online, sid: online.sid }, group: { name: ACCOUNTS.group, sid: users.sid } }
    },
  }
}

/** Before any change, and told as what it is. @throws SandboxError `windows_setup_refused` */
export async function refuseMachine(system: Pick<WindowsSystem, 'firewall'>, facts: MachineFacts): Promise<void> {
  if (facts.isDomainController) throw refused('machine', 'a domain controller', 'it has no local accounts', 'Set up the other mode: unelevated.')
  if (facts.leastPasswordCharacters > MOST_PASSWORD_CHARACTERS) throw refused('machine', facts.leastPasswordCharacters, 'its policy wants longer passwords than an account can have', 'Ask who manages this machine.')
  const { localRulesCount, offIn } = await system.firewall()
  if (!localRulesCount) throw refused('firewall', 'local rules', 'a group policy forbids rules of this machine\'s own, so none would hold the network', 'Ask who manages this machine; or set up the other mode: unelevated.')
  if (offIn.length > 0) throw refused('firewall', offIn, 'it is off in these profiles, so no rule would hold the network', 'Turn it on (wf.msc); or set up the other mode: unelevated.')
}

const refused = (field: string, value: unknown, detail: string, remedy: string): SandboxError => new SandboxError('windows_setup_refused', { field, value }, { detail, remedy })

/** @throws SandboxError `windows_setup_refused` for another's */
export async function ownGroup(system: WindowsSystem, user: WindowsAccount): Promise<GroupState | undefined> {
  const found = await system.readGroup(ACCOUNTS.group)
  if (found !== undefined) await refuseForeign(system, 'group', ACCOUNTS.group, found.comment, user)
  return found
}

async function ownAccount(system: WindowsSystem, user: WindowsAccount, name: AccountName): Promise<AccountState | undefined> {
  const found = await system.readAccount(ACCOUNTS[name])
  if (found !== undefined) await refuseForeign(system, 'account', ACCOUNTS[name], found.comment, user)
  return found
}

async function refuseForeign(system: WindowsSystem, field: string, name: string, comment: string, user: WindowsAccount): Promise<void> {
  if (comment === commentFor(user)) return
  if (!isOurComment(comment)) throw refused(field, name, 'something of this name is there that codex-sandbox did not make', 'Rename or remove it.')
  const [, sid = ''] = / \(for (S-1-[\d-]+)\)$/.exec(comment) ?? []
  throw refused(field, name, `it was set up for another user of this machine, ${(await system.nameOf(sid)) ?? sid}`, 'Have it uninstalled there first (`codex-sandbox windows uninstall`); or set up the other mode: unelevated.')
}

function groupStep(system: WindowsSystem, { user }: MachineWish, group: () => Promise<GroupState | undefined>): MachineStep {
  const remove = async () => {
    if (await group() === undefined) return false
    await system.removeGroup(ACCOUNTS.group)
    return true
  }
  return once({ step: 'group', look: async () => await group() === undefined ? 'absent' : 'done', make: () => system.addGroup(ACCOUNTS.group, commentFor(user)), remove, restore: remove })
}

function accountStep(system: WindowsSystem, wish: MachineWish, name: AccountName, least: number, passwords: Partial<Record<AccountName, string>>): MachineStep {
  const account = { name: ACCOUNTS[name], comment: commentFor(wish.user), flags: ACCOUNT_SETTINGS.flags }
  const remove = async () => {
    const found = await ownAccount(system, wish.user, name)
    if (found === undefined) return false
    await system.removeAccount(account.name, found.sid)
    return true
  }
  return once({
    step: `account_${name}`,
    async look() {
      const found = await ownAccount(system, wish.user, name)
      if (found === undefined) return 'absent'
      const powerful = found.groups.find(sid => POWERFUL_GROUPS.includes(sid))
      if (powerful !== undefined) throw refused('account', account.name, `somebody has put it into a powerful group, ${(await system.nameOf(powerful)) ?? powerful}`, 'Take it out of that group.')
      return (found.flags & ~NORMAL_ACCOUNT) !== account.flags || (wish.wantsPasswords && passwords[name] === undefined) ? 'other' : 'done'
    },
    async make(before) {
      const password = newPassword(least)
      if (before === 'absent') await system.addAccount({ ...account, password })
      else await system.setAccount({ name: account.name, flags: account.flags, ...(wish.wantsPasswords ? { password } : {}) })
      if (before === 'absent' || wish.wantsPasswords) passwords[name] = password
    },
    remove,
    // Settings of an account that was there are set right for good: its old password, if it was another one, was lost anyway.
    restore: async before => { if (before === 'absent') await remove() },
  })
}

function memberStep(system: WindowsSystem, step: string, groupSid: () => Promise<string | undefined>, account: () => Promise<AccountState | undefined>, isIn: (group: string | undefined, member: AccountState) => Promise<boolean>): MachineStep {
  const look = async (): Promise<Look> => {
    const [group, member] = [await groupSid(), await account()]
    return group !== undefined && member !== undefined && await isIn(group, member) ? 'done' : 'absent'
  }
  const both = async (): Promise<[string, string] | undefined> => {
    const [group, member] = [await groupSid(), await account()]
    return group === undefined || member === undefined ? undefined : [group, member.sid]
  }
  const remove = async () => {
    const pair = await both()
    if (pair === undefined || await look() !== 'done') return false
    await system.removeMember(...pair)
    return true
  }
  return once({ step, look, make: async () => { await system.addMember(...required(await both(), step)) }, remove, restore: remove })
}

function rightsStep(system: WindowsSystem, group: () => Promise<GroupState | undefined>): MachineStep {
  let before: readonly string[] = []
  const take = async (rights: readonly string[]) => {
    const found = await group()
    if (found === undefined) return false
    const held = (await system.readRights(found.sid)).filter(right => rights.includes(right))
    if (held.length === 0) return false
    await system.removeRights(found.sid, held)
    return true
  }
  return once({
    step: 'logon_rights',
    async look() {
      const found = await group()
      if (found === undefined) return 'absent'
      const held = await system.readRights(found.sid)
      return RIGHTS.every(right => held.includes(right)) ? 'done' : 'absent'
    },
    async make() {
      const { sid } = required(await group(), 'logon_rights')
      before = await system.readRights(sid)
      await system.addRights(sid, RIGHTS.filter(right => !before.includes(right)))
    },
    remove: () => take(RIGHTS),
    restore: () => take(RIGHTS.filter(right => !before.includes(right))),
  })
}

/** Its mark is the account's name alone: where the account is another user's, so is this. */
function hiddenStep(system: WindowsSystem, name: string, account: () => Promise<AccountState | undefined>): MachineStep {
  const isHidden = async (): Promise<boolean> => {
    await account()
    return system.isHidden(name)
  }
  const remove = async () => {
    if (!await isHidden()) return false
    await system.unhide(name)
    return true
  }
  return once({ step: `hidden_${name}`, look: async () => await isHidden() ? 'done' : 'absent', make: () => system.hide(name), remove, restore: remove })
}

/** The mark does not name a user: while the account that the rules hold is another's, they are as well, and without them it would have the network. */
function firewallStep(system: WindowsSystem, name: string, account: () => Promise<AccountState | undefined>, ruleFor: (sid: string) => WindowsFirewallRule | undefined): MachineStep {
  const step = `firewall_${name}`
  let before: FirewallRuleState | undefined
  const wanted = async (): Promise<WindowsFirewallRule | undefined> => {
    const offline = await account()
    return offline === undefined ? undefined : ruleFor(offline.sid)
  }
  const own = async (): Promise<readonly FirewallRuleState[]> => {
    await account()
    const found = await system.readFirewallRules(name)
    if (found.some(rule => !isOurRule(rule))) throw refused('firewall rule', name, 'a rule of this name is there that codex-sandbox did not make', 'Rename or remove it.')
    return found
  }
  const remove = async () => {
    const found = await own()
    for (const rule of found) await system.removeFirewallRule(rule.name)
    return found.length > 0
  }
  return once({
    step,
    async look() {
      const [found, rule] = [await own(), await wanted()]
      if (found.length === 0) return 'absent'
      return found.length === 1 && rule !== undefined && holdsRule(found[0] as FirewallRuleState, rule) ? 'done' : 'other'
    },
    async make() {
      const found = await own()
      before = found[0]
      for (const extra of found.slice(1)) await system.removeFirewallRule(extra.name)
      await system.putFirewallRule(required(await wanted(), step), FIREWALL_MARK)
    },
    remove,
    restore: async () => { if (before === undefined) await remove(); else await system.putFirewallRule(before, FIREWALL_MARK) },
  })
}

interface StepParts {
  readonly step: string
  look(): Promise<Look>
  make(before: Look): Promise<void>
  remove(): Promise<boolean>
  restore(before: Look): Promise<unknown>
}

/** Knows what stood there before it was made. */
function once({ step, look, make, remove, restore }: StepParts): MachineStep {
  let before: Look | undefined
  return {
    step, look, remove,
    exists: () => unlessHidden(async () => await look() !== 'absent'),
    async make() {
      before = await look()
      await make(before)
    },
    async undo() { if (before !== undefined) await restore(before) },
  }
}

/** What is not ours is not there for us, and neither is what only administrators see: the steps that everybody sees say enough. */
async function unlessHidden(look: () => Promise<boolean>): Promise<boolean> {
  try {
    return await look()
  } catch (error) {
    if (error instanceof SandboxError && error.code === 'windows_setup_refused') return false
    if (error instanceof WindowsFailure && error.code === ACCESS_DENIED) return false
    throw error
  }
}

/** The steps before have made it, and read it back. */
function required<Value>(value: Value | undefined, step: string): Value {
  if (value === undefined) throw new SandboxError('set_up_failed', { step, errno: 'ENOENT' }, { detail: 'what an earlier step made is gone again', remedy: 'Set up again.' })
  return value
}

/** PWLEN of lmcons.h is 256. */
const MOST_PASSWORD_CHARACTERS = 200
const KINDS = ['abcdefghijkmnopqrstuvwxyz', 'ABCDEFGHJKLMNPQRSTUVWXYZ', '23456789', '!#%+-_=.:'] as const

/** Of every kind that a policy may want, so that none refuses it. @param least  by the policy of the machine */
export function newPassword(least: number, random: (below: number) => number = randomInt): string {
  const all = KINDS.join('')
  const length = Math.max(ACCOUNT_SETTINGS.passwordCharacters, least)
  for (;;) {
    const password = Array.from({ length }, () => all[random(all.length)]).join('')
    if (KINDS.every(kind => [...password].some(letter => kind.includes(letter)))) return password
  }
}
