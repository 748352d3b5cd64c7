// A Windows machine in memory for set-up: accounts, rights, rules, access lists, files of the Codex home. Each call counts; the machine can
// die before or after any of them, say yes and do nothing, or fail, and it says what stands there afterwards.
import type { FileIdentity, HostSnapshot, WindowsFacts } from '../../src/policy/host-snapshot.js'
import type { WindowsFirewallRule } from '../../src/platform/launch-plan.js'
import { inheritFrom, newObject, type ObjectKind } from '../../src/platform/windows/inheritance.js'
import { parseDescriptor, printDescriptor, type SecurityDescriptor } from '../../src/platform/windows/sddl.js'
import { openMachineSession } from '../../src/platform/windows/setup/machine-session.js'
import { parseMachineRequest } from '../../src/platform/windows/setup/machine-request.js'
import { CHANGED_MEANWHILE, type FirewallRuleState, type MachineFacts, WindowsFailure, type WindowsSystem } from '../../src/platform/windows/setup/system.js'
import { joinPath, parentOf } from '../../src/policy/path-syntax.js'
import { ME } from './windows-host.js'

/** The process that made the call is no more: nothing catches it as a failure of Windows. */
class Died extends Error {}

interface Thing {
  readonly path: string
  readonly kind: ObjectKind
  readonly isLink: boolean
  readonly identity: FileIdentity
  list: SecurityDescriptor
}

interface Account {
  readonly sid: string
  readonly comment: string
  flags: number
  password: string
}

export interface FakeWindowsOptions {
  readonly machine?: Partial<MachineFacts>
  readonly codexHome?: string
}

/** Calls that only an administrator may make. */
const ELEVATED = new Set(['addGroup', 'removeGroup', 'addMember', 'removeMember', 'addAccount', 'setAccount', 'removeAccount', 'readRights', 'addRights', 'removeRights', 'hide', 'unhide', 'putFirewallRule', 'removeFirewallRule'])

export class FakeWindows {
  readonly #objects = new Map<string, Thing>()
  readonly #accounts = new Map<string, Account>()
  readonly #groups = new Map<string, { sid: string; comment: string; members: Set<string> }>([['Users', { sid: 'S-1-5-32-545', comment: '', members: new Set() }]])
  readonly #rights = new Map<string, Set<string>>()
  readonly #hidden = new Set<string>()
  #rules: FirewallRuleState[] = []
  readonly #files = new Map<string, string>()
  #folder = false
  #lock: string | undefined
  #rid = 1100
  readonly machine: MachineFacts
  readonly #codexHome: string
  readonly #host: HostSnapshot
  /** Names of other accounts. */
  readonly names = new Map<string, string>([[ME, 'me']])
  firewallState = { localRulesCount: true, offIn: [] as string[] }
  /** Calls so far, by name. */
  calls: string[] = []
  /** Before this call, counted from 1, everything stops. */
  diesAt = Number.POSITIVE_INFINITY
  /** Calls that say yes and do nothing. */
  readonly lies = new Set<string>()
  /** Calls that fail with this code, once each time they are in here. */
  readonly fails = new Map<string, number>()
  consents = 0
  refusesConsent = false

  constructor(host: HostSnapshot, { machine = {}, codexHome = 'C:\\Users\\me\\.codex' }: FakeWindowsOptions = {}) {
    this.#host = host
    this.#codexHome = codexHome
    this.machine = { user: { name: 'me', sid: ME }, isElevated: true, isDomainController: false, domain: undefined, leastPasswordCharacters: 0, ...machine }
    const walk = (path: string): void => {
      const [text, entry] = [host.windows?.descriptor(path), host.files.entry(path)]
      if (text === undefined || entry === undefined) return
      this.#objects.set(key(path), { path, kind: entry.kind === 'directory' ? 'directory' : 'file', isLink: entry.kind === 'symlink', identity: { device: entry.device, inode: entry.inode }, list: parseDescriptor(text, path) })
      if (entry.kind === 'directory') for (const name of host.files.children(path) ?? []) walk(joinPath('windows', path, name))
    }
    for (const { letter } of host.windows?.drives ?? []) walk(`${letter}\\`)
  }

  /** Puts a list in the place of one, as the owner would. */
  setList(path: string, sddl: string): void {
    const thing = this.#objects.get(key(path))
    if (thing === undefined) throw new Error(`nothing at ${path}`)
    thing.list = parseDescriptor(sddl, path)
  }

  /** A new file or folder by somebody, as Windows makes it: it inherits. */
  create(path: string, kind: ObjectKind): void {
    const parent = this.#objects.get(key(parentOf('windows', path))) as Thing
    this.#objects.set(key(path), { path, kind, isLink: false, identity: { device: '9', inode: `${1_000_000 + this.#objects.size}` }, list: newObject(parent.list, kind, { owner: ME, group: ME, defaultDacl: { isProtected: false, control: [], aces: [] } }) })
  }

  remove(path: string): void {
    this.#objects.delete(key(path))
  }

  facts(): WindowsFacts {
    return { ...this.#host.windows as WindowsFacts, descriptor: path => { const thing = this.#objects.get(key(path)); return thing === undefined ? undefined : printDescriptor(thing.list) } }
  }

  list(path: string): string | undefined {
    const thing = this.#objects.get(key(path))
    return thing === undefined ? undefined : printDescriptor(thing.list)
  }

  file(name: string): string | undefined { return this.#files.get(name) }
  setFile(name: string, text: string): void { this.#folder = true; this.#files.set(name, text) }
  addForeignAccount(name: string, comment: string): void { this.#accounts.set(name, { sid: `S-1-5-21-5-5-5-${this.#rid++}`, comment, flags: 0x201, password: '' }) }
  addForeignRule(rule: FirewallRuleState): void { this.#rules.push(rule) }
  account(name: string): Readonly<Account> | undefined { return this.#accounts.get(name) }
  disable(name: string): void { (this.#accounts.get(name) as Account).flags |= 2 }
  forgetAccount(name: string): void { this.#accounts.delete(name) }
  get rules(): readonly FirewallRuleState[] { return this.#rules }

  /** All that an uninstalled machine has to have as before; files of the Codex home apart. */
  picture(): Record<string, unknown> {
    return {
      lists: Object.fromEntries([...this.#objects.values()].map(({ path, list }) => [path, printDescriptor(list)])),
      accounts: [...this.#accounts.keys()], groups: [...this.#groups].map(([name, { members }]) => [name, [...members]]), rights: [...this.#rights].filter(([, rights]) => rights.size > 0).map(([sid, rights]) => [sid, [...rights].sort()]),
      hidden: [...this.#hidden], rules: this.#rules.map(({ name }) => name),
    }
  }

  /** The same without the SIDs and passwords that are new each time. */
  shape(): unknown {
    const numbers = new Map<string, string>()
    const text = JSON.stringify({ ...this.picture(), files: [...this.#files.keys()].filter(name => name !== 'error.json').sort(), state: this.#files.get('state.json')?.replace(/"prepared": \[[^\]]*\]/, '') ?? null })
    return JSON.parse(text.replace(/S-1-5-21(?:-\d+){4}/g, sid => {
      if (sid !== ME && !numbers.has(sid)) numbers.set(sid, `SID${numbers.size}`)
      return numbers.get(sid) ?? sid
    }))
  }

  get files(): string[] { return [...this.#files.keys()].sort() }
  get hasFolder(): boolean { return this.#folder }
  get isLocked(): boolean { return this.#lock !== undefined }

  /** After a death: the next process. */
  restart(): void {
    this.#lock = undefined
    this.calls = []
    this.diesAt = Number.POSITIVE_INFINITY
  }

  /** As this process sees it, or the elevated helper. */
  system(isElevated: boolean = this.machine.isElevated): WindowsSystem {
    const parts = this.#parts()
    return new Proxy(parts, {
      get: (target, name: keyof WindowsSystem) => {
        const call = target[name] as (...args: unknown[]) => Promise<unknown>
        if (name === 'machine') return async () => { this.#count('machine'); return { ...this.machine, isElevated } }
        if (typeof call !== 'function') return call
        return async (...args: unknown[]) => {
          this.#count(name)
          if (ELEVATED.has(name) && !isElevated) throw new WindowsFailure(name, 5)
          const code = this.fails.get(name)
          if (code !== undefined) { this.fails.delete(name); throw new WindowsFailure(name, code) }
          return this.lies.has(name) ? undefined : await call.apply(target, args)
        }
      },
    })
  }

  #count(name: string): void {
    if (this.calls.length + 1 >= this.diesAt) throw new Died(name)
    this.calls.push(name)
  }

  #parts(): WindowsSystem {
    const found = (sid: string) => [...this.#accounts].find(([, account]) => account.sid === sid)?.[0] ?? [...this.#groups].find(([, group]) => group.sid === sid)?.[0] ?? this.names.get(sid)
    const fail = (call: string, code: number) => new WindowsFailure(call, code)
    const groupOf = (sid: string) => [...this.#groups.values()].find(group => group.sid === sid)
    const at = (path: string) => this.#objects.get(key(path))
    const stateFolder = joinPath('windows', this.#codexHome, 'windows-sandbox')
    return {
      machine: async () => this.machine,
      nameOf: async sid => found(sid),
      readGroup: async name => { const group = this.#groups.get(name); return group === undefined ? undefined : { sid: group.sid, comment: group.comment, members: [...group.members] } },
      addGroup: async (name, comment) => { if (this.#groups.has(name)) throw fail('addGroup', 1379); this.#groups.set(name, { sid: `S-1-5-21-5-5-5-${this.#rid++}`, comment, members: new Set() }) },
      removeGroup: async name => { if (!this.#groups.delete(name)) throw fail('removeGroup', 1376) },
      addMember: async (group, member) => { groupOf(group)?.members.add(member) },
      removeMember: async (group, member) => { if (groupOf(group)?.members.delete(member) !== true) throw fail('removeMember', 1377) },
      readAccount: async name => {
        const account = this.#accounts.get(name)
        return account === undefined ? undefined : { sid: account.sid, comment: account.comment, flags: account.flags, groups: [...this.#groups.values()].filter(({ members }) => members.has(account.sid)).map(({ sid }) => sid) }
      },
      addAccount: async ({ name, comment, flags, password }) => { if (this.#accounts.has(name)) throw fail('addAccount', 2224); this.#accounts.set(name, { sid: `S-1-5-21-5-5-5-${this.#rid++}`, comment, flags: flags | 0x200, password }) },
      setAccount: async ({ name, flags, password }) => { const account = this.#accounts.get(name) as Account; account.flags = flags | 0x200; if (password !== undefined) account.password = password },
      removeAccount: async (name, sid) => { this.#accounts.delete(name); for (const { members } of this.#groups.values()) members.delete(sid) },
      logOn: async (name, password) => { const account = this.#accounts.get(name); if (account === undefined || account.password !== password) throw fail('logOn', 1326); if ((account.flags & 2) !== 0) throw fail('logOn', 1331); return account.sid },
      readRights: async sid => [...this.#rights.get(sid) ?? []],
      addRights: async (sid, rights) => { this.#rights.set(sid, new Set([...this.#rights.get(sid) ?? [], ...rights])) },
      removeRights: async (sid, rights) => { for (const right of rights) this.#rights.get(sid)?.delete(right) },
      isHidden: async name => this.#hidden.has(name),
      hide: async name => { this.#hidden.add(name) },
      unhide: async name => { this.#hidden.delete(name) },
      firewall: async () => this.firewallState,
      readFirewallRules: async name => this.#rules.filter(rule => rule.name === name),
      putFirewallRule: async (rule: WindowsFirewallRule, mark) => {
        const made: FirewallRuleState = { name: rule.name, direction: rule.direction, protocol: rule.protocol, ...(rule.remoteAddresses === undefined ? {} : { remoteAddresses: rule.remoteAddresses }), ...(rule.remotePorts === undefined ? {} : { remotePorts: rule.remotePorts }), localUser: rule.localUser, ...mark, isEnabled: true, blocks: true, isForAll: true }
        const index = this.#rules.findIndex(({ name }) => name === rule.name)
        if (index < 0) this.#rules.push(made)
        else this.#rules[index] = made
      },
      removeFirewallRule: async name => { const index = this.#rules.findIndex(rule => rule.name === name); if (index >= 0) this.#rules.splice(index, 1) },
      // Bound to nothing: only that what is opened was sealed.
      seal: async secret => Buffer.concat([Buffer.from('sealed:'), Buffer.from(secret).reverse()]),
      unseal: async sealed => { const text = Buffer.from(sealed); if (!text.toString('latin1').startsWith('sealed:')) throw fail('unseal', 13); return Buffer.from(text.subarray(7)).reverse() },
      readObject: async path => { const thing = at(path); return thing === undefined ? undefined : { kind: thing.kind, isLink: thing.isLink, identity: thing.identity, list: thing.list } },
      replaceList: async (path, before, after) => {
        const thing = at(path)
        if (thing === undefined || thing.identity.inode !== before.identity.inode || printDescriptor(thing.list) !== printDescriptor(before.list)) throw fail('replaceList', CHANGED_MEANWHILE)
        thing.list = { ...thing.list, dacl: after.dacl }
      },
      children: async path => [...this.#objects.values()].filter(thing => key(thing.path) !== key(path) && key(parentOf('windows', thing.path)) === key(path)).map(thing => thing.path.slice(thing.path.lastIndexOf('\\') + 1)),
      readState: async name => this.#files.get(name),
      writeState: async (name, text) => { if (!this.#folder) throw fail('writeState', 3); this.#files.set(name, text) },
      removeState: async name => { this.#files.delete(name) },
      makeStateFolder: async () => { this.#folder = true; if (at(stateFolder) === undefined) this.create(stateFolder, 'directory'); return stateFolder },
      removeStateFolder: async () => { if (this.#files.size === 0) { this.#folder = false; this.#objects.delete(key(stateFolder)) } },
      stateFolder: async () => this.#folder ? stateFolder : undefined,
      lock: async text => { if (this.#lock !== undefined) return { heldBy: this.#lock }; this.#lock = text; return { release: async () => { this.#lock = undefined } } },
      lockHolder: async () => this.#lock,
      elevate: async (request, listeners) => {
        if (this.refusesConsent) throw fail('elevate', 1223)
        this.consents++
        return openMachineSession(this.system(true), parseMachineRequest(JSON.stringify(request)), listeners)
      },
    }
  }

  /** Hands every list on to what is below, as Windows would at its own walk: what set-up's walk left is to be the same. */
  inheritedEverywhere(): Record<string, string> {
    const lists = new Map([...this.#objects].map(([path, { list }]) => [path, list]))
    for (const { path, kind } of [...this.#objects.values()].sort((a, b) => a.path.length - b.path.length)) {
      const [parent, own] = [lists.get(key(parentOf('windows', path))), lists.get(key(path)) as SecurityDescriptor]
      if (parent !== undefined && key(parentOf('windows', path)) !== key(path)) lists.set(key(path), inheritFrom(parent, own, kind))
    }
    return Object.fromEntries([...this.#objects.values()].map(({ path }) => [path, printDescriptor(lists.get(key(path)) as SecurityDescriptor)]))
  }
}

const key = (path: string): string => path.toLowerCase()
