// What Windows would make of a plan: its entries put into the lists of a host made by hand, handed on as folders do, and accesses judged
// by the model of access checks.
import type { WindowsPlan } from '../../src/platform/launch-plan.js'
import { grantedAccess, isGranted, mayRemove, type Token, type WriteReading } from '../../src/platform/windows/access-check.js'
import { FILE_RIGHTS, GENERIC_EXECUTE, GENERIC_READ, GENERIC_WRITE } from '../../src/platform/windows/access-rights.js'
import { addAces, removeAces } from '../../src/platform/windows/access-edits.js'
import { inheritFrom, newObject, type ObjectKind } from '../../src/platform/windows/inheritance.js'
import { type Acl, parseDescriptor, type SecurityDescriptor } from '../../src/platform/windows/sddl.js'
import { modelToken } from '../../src/platform/windows/token.js'
import type { FileAccess } from '../../src/policy/decision.js'
import type { HostSnapshot } from '../../src/policy/host-snapshot.js'
import { depth, joinPath, parentOf } from '../../src/policy/path-syntax.js'

interface Node {
  readonly path: string
  readonly kind: ObjectKind
  descriptor: SecurityDescriptor
}

export const SESSION = 'S-1-5-21-77-77-77-77'
export const LOGON = 'S-1-5-5-0-4711'

export class WindowsModel {
  readonly token: Token
  readonly #nodes = new Map<string, Node>()

  /** @param plan  undefined: the host as it is */
  constructor(host: HostSnapshot, plan: Pick<WindowsPlan, 'token' | 'access' | 'placeholders' | 'machine'>, { session = SESSION, logon = LOGON } = {}) {
    this.token = modelToken(plan.token, { logon, session, groups: plan.machine === undefined ? [] : [plan.machine.group] })
    const walk = (path: string): void => {
      const text = host.windows?.descriptor(path)
      const entry = host.files.entry(path)
      if (text === undefined || entry === undefined) return
      this.#nodes.set(key(path), { path, kind: entry.kind === 'directory' ? 'directory' : 'file', descriptor: parsed(text) })
      if (entry.kind === 'directory') for (const name of host.files.children(path) ?? []) walk(joinPath('windows', path, name))
    }
    for (const { letter } of host.windows?.drives ?? []) walk(`${letter}\\`)
    for (const { path, kind } of plan.placeholders) {
      const parent = this.#at(parentOf('windows', path))
      if (parent === undefined) throw new Error(`no folder for ${path}`)
      this.#nodes.set(key(path), { path, kind, descriptor: newObject(parent.descriptor, kind, { owner: plan.token.account, group: plan.token.account, defaultDacl: NOBODY }) })
    }
    this.change(plan.access.map(({ path, add }) => ({ path, to: descriptor => addAces(descriptor, add) })))
  }

  /** Changes lists, and hands them on to all below, as SetNamedSecurityInfo does. */
  change(edits: readonly { readonly path: string; readonly to: (before: SecurityDescriptor) => SecurityDescriptor }[]): void {
    for (const { path, to } of edits) {
      const node = this.#at(path)
      if (node === undefined) throw new Error(`nothing at ${path}`)
      node.descriptor = to(node.descriptor)
    }
    for (const node of [...this.#nodes.values()].sort((a, b) => depth('windows', a.path) - depth('windows', b.path))) {
      const parent = parentOf('windows', node.path)
      const above = parent === node.path ? undefined : this.#at(parent)
      if (above !== undefined) node.descriptor = inheritFrom(above.descriptor, node.descriptor, node.kind)
    }
  }

  uninstall(plan: Pick<WindowsPlan, 'access'>, sids: readonly string[]): void {
    this.change(plan.access.filter(({ path }) => this.exists(path)).map(({ path }) => ({ path, to: before => removeAces(before, new Set(sids)) })))
  }

  #at(path: string): Node | undefined {
    return this.#nodes.get(key(path))
  }

  isFolder(path: string): boolean { return this.#at(path)?.kind === 'directory' }
  exists(path: string): boolean { return this.#at(path) !== undefined }
  descriptor(path: string): SecurityDescriptor | undefined { return this.#at(path)?.descriptor }
  paths(): string[] { return [...this.#nodes.values()].map(({ path }) => path) }

  /** An access of `decide` on what is there; `create`: of what is not. */
  allows(kind: FileAccess, path: string, token: Token = this.token, reading?: WriteReading): boolean {
    const node = this.#at(path)
    const parentPath = parentOf('windows', path)
    const parent = parentPath === path ? undefined : this.#at(parentPath)
    const own = (mask: number) => node !== undefined && isGranted(token, node.descriptor, mask, reading)
    switch (kind) {
      case 'read': return own(GENERIC_READ)
      case 'execute': return own(GENERIC_READ | GENERIC_EXECUTE)
      case 'write': return own(GENERIC_WRITE)
      case 'create': return parent?.kind === 'directory' && isGranted(token, parent.descriptor, FILE_RIGHTS.writeData | FILE_RIGHTS.appendData, reading) && (node === undefined || own(GENERIC_WRITE))
      case 'remove': return node !== undefined && mayRemove(token, node.descriptor, parent?.descriptor, reading)
      default: return kind satisfies never
    }
  }

  /** Any right beside those that read: what a policy that closes something must not leave. */
  granted(path: string, token: Token = this.token, reading?: WriteReading): number {
    const node = this.#at(path)
    return node === undefined ? 0 : grantedAccess(token, node.descriptor, reading)
  }
}

/** The same texts come again and again. */
const PARSED = new Map<string, SecurityDescriptor>()
function parsed(text: string): SecurityDescriptor {
  const known = PARSED.get(text) ?? parseDescriptor(text, 'list')
  PARSED.set(text, known)
  return known
}

const key = (path: string): string => path.toLowerCase()
const NOBODY: Acl = { isProtected: false, control: [], aces: [] }
