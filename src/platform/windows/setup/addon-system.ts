// The system that set-up works on, on Windows: the addon's functions, and files of the Codex home.
import { mkdir, open, readdir, readFile, rename, rm, rmdir, stat, unlink } from 'node:fs/promises'
import { join } from 'node:path/win32'
import type { WindowsAddon } from '../addon.js'
import { isAddonFailure } from '../addon.js'
import type { SecurityDescriptor } from '../sddl.js'
import { decodeDescriptor, encodeList } from './descriptor-bytes.js'
import { elevate, type HelperCommand } from './elevation.js'
import type { NativeHeldRule } from './native.js'
import { LOCK_FILE, STATE_FOLDER } from './state-files.js'
import { ACCESS_DENIED, type FirewallRuleState, type ObjectState, WindowsFailure, type WindowsSystem } from './system.js'

export interface WindowsPlace {
  readonly addon: WindowsAddon
  /** Absolute. */
  readonly codexHome: string
  /** How this package's command line is started again: node, its arguments, and the folder in which it runs. */
  readonly self: Omit<HelperCommand, 'run'>
}

/** Every failure of the addon, and of the file system, is a WindowsFailure. */
export function windowsSystem({ addon, codexHome, self }: WindowsPlace): WindowsSystem {
  const folder = join(codexHome, STATE_FOLDER)
  const lockFile = join(codexHome, LOCK_FILE)
  const system: WindowsSystem = {
    async machine() {
      const { user, isElevated } = addon.machineFacts()
      return { user: { name: user.name, sid: user.sid }, isElevated, ...await addon.accountPolicy() }
    },
    nameOf: sid => addon.nameOfSid(sid),
    readGroup: name => addon.readGroup(name),
    addGroup: (name, comment) => addon.addGroup(name, comment),
    removeGroup: name => addon.removeGroup(name),
    addMember: (group, member) => addon.addMember(group, member),
    removeMember: (group, member) => addon.removeMember(group, member),
    readAccount: name => addon.readAccount(name),
    addAccount: account => addon.addAccount(account),
    setAccount: account => addon.setAccount(account),
    removeAccount: (name, sid) => addon.removeAccount(name, sid),
    logOn: (name, password) => addon.logOn(name, password),
    readRights: sid => addon.readRights(sid),
    addRights: (sid, rights) => addon.addRights(sid, rights),
    removeRights: (sid, rights) => addon.removeRights(sid, rights),
    isHidden: name => addon.isHidden(name),
    hide: name => addon.hide(name),
    unhide: name => addon.unhide(name),
    ...firewallOf(addon),
    putFirewallRule: ({ name, direction, protocol, remoteAddresses, remotePorts, localUser }, { grouping, description }) => addon.putFirewallRule({
      name, grouping, description, localUser, direction: DIRECTIONS[direction], protocol: PROTOCOLS[protocol], remoteAddresses: remoteAddresses?.join(',') ?? '*', remotePorts: remotePorts ?? '',
    }),
    removeFirewallRule: name => addon.removeFirewallRule(name),
    seal: async secret => addon.protectSecret(secret),
    unseal: async sealed => addon.unprotectSecret(sealed),
    async readObject(path) {
      const found = await addon.readObject(path)
      if (found === undefined) return undefined
      const { descriptor, device, inode, isDirectory, isLink } = found
      return { kind: isDirectory ? 'directory' : 'file', isLink, identity: { device, inode }, list: decodeDescriptor(descriptor), raw: descriptor }
    },
    replaceList: (path: string, { identity, raw }: ObjectState, after: SecurityDescriptor) => {
      if (raw === undefined) throw new Error('an object that was not read here')
      return addon.replaceList(path, { ...identity, descriptor: Buffer.from(raw) }, encodeList(after))
    },
    // So that names are taken as they stand, and paths of any length.
    children: async path => await unlessMissing(readdir(`\\\\?\\${path}`)) ?? [],
    readState: name => unlessMissing(readFile(join(folder, name), 'utf8')),
    async writeState(name, text) {
      const written = join(folder, `${name}.new`)
      const file = await open(written, 'w')
      try {
        await file.writeFile(text)
        await file.sync()
      } finally {
        await file.close()
      }
      await rename(written, join(folder, name))
    },
    removeState: async name => {
      await rm(join(folder, `${name}.new`), { force: true })
      await rm(join(folder, name), { force: true })
    },
    async makeStateFolder() {
      await mkdir(folder, { recursive: true })
      return folder
    },
    removeStateFolder: async () => { await unlessMissing(rmdir(folder)) },
    stateFolder: async () => (await unlessMissing(stat(folder)))?.isDirectory() === true ? folder : undefined,
    async lock(text) {
      await mkdir(codexHome, { recursive: true })
      try {
        const lock = addon.holdLock(lockFile, text)
        return { release: async () => addon.releaseLock(lock) }
      } catch (error) {
        if (!isAddonFailure(error) || error.code !== SHARING_VIOLATION) throw error
        return { heldBy: await unlessMissing(readFile(lockFile, 'utf8')) ?? '' }
      }
    },
    async lockHolder() {
      const text = await unlessMissing(readFile(lockFile, 'utf8'))
      if (text === undefined) return undefined
      // After a loss of power the file may be there without a holder: then it may be written.
      try {
        await (await open(lockFile, 'r+')).close()
      } catch {
        return text
      }
      await unlink(lockFile).catch(() => {})
      return undefined
    },
    elevate: (request, listeners) => elevate({ ...self, run: (program, parameters, cwd) => addon.runElevated(program, parameters, cwd) }, request, listeners),
  }
  return failing(system)
}

type FirewallReading = Pick<WindowsSystem, 'firewall' | 'readFirewallRules'>

/** What the firewall is and holds, alone: for who only asks whether it does. Failures are WindowsFailures. */
export const firewallReader = (addon: Pick<WindowsAddon, 'firewallState' | 'readFirewallRules'>): FirewallReading => failing(firewallOf(addon))

const firewallOf = (addon: Pick<WindowsAddon, 'firewallState' | 'readFirewallRules'>): FirewallReading => ({
  async firewall() {
    const { modifyState, offIn } = await addon.firewallState()
    return { localRulesCount: modifyState !== OVERRIDDEN_BY_GROUP_POLICY, offIn: offIn.map(profile => PROFILES[profile] ?? String(profile)) }
  },
  readFirewallRules: async name => (await addon.readFirewallRules(name)).map(heldRule),
})

const OVERRIDDEN_BY_GROUP_POLICY = 1
const PROFILES: Readonly<Record<number, string>> = { 1: 'domain', 2: 'private', 4: 'public' }
const ALL_PROFILES = 0x7fff_ffff
const BLOCK = 0
const DIRECTIONS = { in: 1, out: 2 } as const
const PROTOCOLS = { tcp: 6, udp: 17, any: 256 } as const
const SHARING_VIOLATION = 32

function heldRule(rule: NativeHeldRule): FirewallRuleState {
  const protocol = (['tcp', 'udp', 'any'] as const).find(name => PROTOCOLS[name] === rule.protocol)
  const isAny = (text: string): boolean => text === '' || text === '*'
  return {
    name: rule.name, grouping: rule.grouping, description: rule.description, isEnabled: rule.enabled, blocks: rule.action === BLOCK, localUser: rule.localUser,
    direction: rule.direction === DIRECTIONS.in ? 'in' : 'out', protocol: protocol ?? 'any',
    isForAll: protocol !== undefined && rule.profiles === ALL_PROFILES && rule.application === '' && rule.service === '' && rule.package === '' && !rule.someInterfaces && /^all$/i.test(rule.interfaceTypes || 'all') && isAny(rule.localAddresses) && isAny(rule.localPorts),
    ...(isAny(rule.remoteAddresses) ? {} : { remoteAddresses: rule.remoteAddresses.split(',') }), ...(isAny(rule.remotePorts) ? {} : { remotePorts: rule.remotePorts }),
  }
}

async function unlessMissing<Answer>(work: Promise<Answer>): Promise<Answer | undefined> {
  try {
    return await work
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw error
  }
}

/** ERROR_GEN_FAILURE, where the file system's own word is all there is. */
const OF_THE_FILE_SYSTEM = 31

function failing<Calls extends object>(system: Calls): Calls {
  const wrapped: Record<string, unknown> = {}
  for (const [name, call] of Object.entries(system)) {
    wrapped[name] = async (...args: unknown[]) => {
      try {
        return await (call as (...given: unknown[]) => unknown)(...args)
      } catch (error) {
        if (isAddonFailure(error)) throw new WindowsFailure(error.step, error.code, error.message)
        const { code } = error as NodeJS.ErrnoException
        if (typeof code === 'string' && /^E[A-Z]+$/.test(code)) throw new WindowsFailure(name, code === 'EPERM' || code === 'EACCES' ? ACCESS_DENIED : OF_THE_FILE_SYSTEM, code)
        throw error
      }
    }
  }
  return wrapped as Calls
}
