// Puts entries of ours into access lists and takes them out again, with a walk of our own through all that inherits them: Windows' own way
// tells no progress, cannot be stopped, and makes everything below anew. Only entries for our SIDs come and go; all others stay as they
// are, in their order, wherever they came from.
import { SandboxError } from '../../../errors.js'
import type { FileIdentity } from '../../../policy/host-snapshot.js'
import { foldName } from '../../../policy/letter-case.js'
import { depth, isInside, joinPath } from '../../../policy/path-syntax.js'
import { addAces, removeAces } from '../access-edits.js'
import { EVERY_CHANGE, mapGeneric } from '../access-rights.js'
import { hasOwnList } from '../host-facts.js'
import { inheritedAces, type ObjectKind } from '../inheritance.js'
import { type Ace, type Acl, isInherited, kindOfAce, parseAceText, printAce, printDescriptor, type SecurityDescriptor } from '../sddl.js'
import { SIDS } from '../sid.js'
import type { SetUpListeners } from './report.js'
import type { EditedPlace, OwnLists } from './state-files.js'
import { CHANGED_MEANWHILE, type ObjectState, WindowsFailure, type WindowsSystem } from './system.js'

/** What one path gets and loses among its own entries. */
export interface ListChange {
  readonly path: string
  /** Undefined: whatever is there. */
  readonly identity?: FileIdentity | undefined
  readonly add: readonly string[]
  readonly remove?: readonly string[]
  /** What is below is looked at in any case. Default: where an entry is handed on. */
  readonly reachesDown?: boolean
}

export interface WalkOptions extends SetUpListeners {
  readonly step: string
  /** All SIDs of ours. */
  readonly ours: ReadonlySet<string>
  /** Those to whom reading is denied: what is denied to them has to reach everything below. */
  readonly readers?: ReadonlySet<string>
}

/** Errors of an object that is held by others, or about to be gone, or none of this user's: ERROR_ACCESS_DENIED, _SHARING_VIOLATION, _LOCK_VIOLATION, _DELETE_PENDING. */
const UNREACHED: readonly number[] = [5, 32, 33, 303]

export interface LeftPlace {
  readonly path: string
  readonly reason: string
}

type Objects = Pick<WindowsSystem, 'readObject' | 'replaceList' | 'children'>

/** How often an object is looked at again that somebody else changes at the same time. */
const MOST_TURNS = 5

/**
 * Carries out `changes`, those of one path in their order, and hands on to what is below what it inherits of ours.
 *
 * @param record  is told, before it happens, what a path gets that it does not have: undoing takes out that and no more
 * What lies somewhere below and may not be changed by this user is missed, and no more than that: without an entry of ours no command
 * writes it. Where reading is denied to it, or everybody may write, it is an error.
 *
 * @returns       how many lists were written, and what was missed
 * @throws        SandboxError `set_up_failed`, `step` = that of the options, `path` = the object
 */
export async function changeLists(system: Objects, changes: readonly ListChange[], options: WalkOptions, record: (added: ListChange) => void = () => {}): Promise<{ readonly written: number; readonly missed: readonly string[] }> {
  const walk = new Walk(system, options)
  const byPath = new Map<string, ListChange[]>()
  for (const change of changes) byPath.set(foldName(change.path), [...byPath.get(foldName(change.path)) ?? [], change])
  const deep = changes.filter(isDeep)
  const tops = [...changes].sort((a, b) => depth('windows', a.path) - depth('windows', b.path)).filter(({ path }) => !deep.some(other => other.path !== path && isInside('windows', other.path, path)))
  const visited = new Set<string>()
  const missed: string[] = []
  const mayMiss = (path: string, parent: SecurityDescriptor | undefined): boolean =>
    parent !== undefined && !byPath.has(foldName(path)) && !inheritedAces(parent.dacl, 'directory', undefined, undefined).some(ace => hasToArrive(ace, options))
  const visit = async (path: string, parent: SecurityDescriptor | undefined, isBelow: boolean): Promise<void> => {
    // One after the other, as they were planned: each finds its own entries before those of another.
    const here = byPath.get(foldName(path)) ?? []
    visited.add(foldName(path))
    const unlessMissed = <Answer>(work: Promise<Answer>): Promise<Answer | undefined> => work.catch((error: unknown) => {
      if (!isUnreached(error) || !mayMiss(path, parent)) throw error
      missed.push(path)
      return undefined
    })
    const found = await unlessMissed(walk.rewrite(path, parent === undefined && here.some(({ add }) => add.length > 0), (list, object) => {
      for (const change of here) refuseOther(change, object, options.step)
      const own = here.reduce((before, change) => changeOwn(before, change, missing => record({ path: change.path, add: missing })), list)
      return parent === undefined ? own : inheritOurs(parent, own, object.kind, options.ours)
    }))
    if (found === undefined || found.kind !== 'directory' || found.isLink || !(isBelow || here.some(isDeep))) return
    for (const name of await unlessMissed(walk.children(path)) ?? []) await visit(joinPath('windows', path, name), found.list, true)
  }
  for (const top of tops) if (!visited.has(foldName(top.path))) await visit(top.path, undefined, false)
  const unseen = changes.find(({ path, add }) => add.length > 0 && !visited.has(foldName(path)))
  if (unseen !== undefined) throw failed(options.step, unseen.path, 'ENOENT', 'it is not there any more, or is behind a link')
  return { written: walk.written, missed }
}

/**
 * Takes out every entry for one of `ours`, also where it was handed on or copied.
 *
 * @returns `left`: what has entries of ours, or was to have them, and could not be changed; `unseen`: what lies below such a place and could
 *          not be looked at, so that nothing is known of it
 */
export async function stripLists(system: Objects, places: readonly EditedPlace[], options: WalkOptions): Promise<{ readonly written: number; readonly left: LeftPlace[]; readonly unseen: LeftPlace[] }> {
  const walk = new Walk(system, options)
  const [left, unseen]: [LeftPlace[], LeftPlace[]] = [[], []]
  const deep = places.filter(place => place.isDeep)
  const tops = places.filter(({ path, isDeep }) => !deep.some(other => other.path !== path && isInside('windows', other.path, path) && !(isDeep && isInside('windows', path, other.path))))
  const visit = async (path: string, isDeep: boolean, isTop: boolean): Promise<void> => {
    let found: ObjectState | undefined
    let names: readonly string[] = []
    let hasOurs = isTop
    try {
      found = await walk.rewrite(path, false, list => {
        const after = removeAces(list, options.ours)
        hasOurs ||= !sameList(list, after)
        return after
      })
      if (isDeep && found?.kind === 'directory' && !found.isLink) names = await walk.children(path)
    } catch (error) {
      if (!(error instanceof WindowsFailure || error instanceof SandboxError)) throw error
      const place = { path, reason: error.message }
      if (hasOurs) left.push(place)
      else unseen.push(place)
    }
    for (const name of names) await visit(joinPath('windows', path, name), true, false)
  }
  for (const { path, isDeep } of tops) await visit(path, isDeep, true)
  return { written: walk.written, left, unseen }
}

/**
 * What lies below `paths` and has a list that what stands above does not decide; entries of ours do not count. Changes nothing.
 *
 * @param denied  among them: what cannot be looked at there is an error. Elsewhere it has no entry of ours, and no command writes it
 */
export async function findOwnLists(system: Objects, paths: readonly string[], options: WalkOptions, denied: readonly string[] = paths): Promise<OwnLists> {
  const walk = new Walk(system, options)
  const found: { path: string; kind: ObjectKind }[] = []
  const tops = paths.filter((path, index) => !paths.some((other, at) => at !== index && isInside('windows', other, path) && (at < index || !isInside('windows', path, other))))
  const visit = async (path: string, isTop: boolean): Promise<void> => {
    const unlessMissed = <Answer>(work: Promise<Answer>): Promise<Answer | undefined> => work.catch((error: unknown) => {
      if (isTop || !isUnreached(error) || denied.some(place => isInside('windows', place, path))) throw error
      return undefined
    })
    const object = await unlessMissed(walk.look(path))
    if (object === undefined) return
    if (!isTop && hasOwnList(removeAces(object.list, options.ours))) found.push({ path, kind: object.kind })
    if (object.kind === 'directory' && !object.isLink) for (const name of await unlessMissed(walk.children(path)) ?? []) await visit(joinPath('windows', path, name), false)
  }
  for (const path of tops) await visit(path, true)
  return found
}

class Walk {
  readonly #system: Objects
  readonly #options: WalkOptions
  #done = 0
  written = 0

  constructor(system: Objects, options: WalkOptions) {
    this.#system = system
    this.#options = options
  }

  /** @returns the object as it is afterwards, undefined where nothing is */
  async rewrite(path: string, isNeeded: boolean, edit: (list: SecurityDescriptor, object: ObjectState) => SecurityDescriptor): Promise<ObjectState | undefined> {
    for (let turn = 1; ; turn++) {
      const object = await this.look(path)
      if (object === undefined) {
        if (isNeeded) throw failed(this.#options.step, path, 'ENOENT', 'nothing is there')
        return undefined
      }
      const after = edit(object.list, object)
      if (sameList(object.list, after)) return object
      try {
        await this.#system.replaceList(path, object, after)
      } catch (error) {
        if (error instanceof WindowsFailure && error.code === CHANGED_MEANWHILE && turn < MOST_TURNS) continue
        throw this.#explain(error, path)
      }
      this.written++
      return { ...object, list: after }
    }
  }

  async look(path: string): Promise<ObjectState | undefined> {
    this.#options.signal?.throwIfAborted()
    this.#options.onProgress?.({ step: this.#options.step, done: ++this.#done, path })
    try {
      return await this.#system.readObject(path)
    } catch (error) {
      throw this.#explain(error, path)
    }
  }

  async children(path: string): Promise<readonly string[]> {
    try {
      return await this.#system.children(path)
    } catch (error) {
      throw this.#explain(error, path)
    }
  }

  #explain(error: unknown, path: string): unknown {
    return error instanceof WindowsFailure ? failed(this.#options.step, path, String(error.code), error.message, error) : error
  }
}

const failed = (step: string, path: string, errno: string, detail: string, cause?: unknown): SandboxError =>
  new SandboxError('set_up_failed', { step, errno, path }, { detail, remedy: 'What this call made is undone; look at the path, and set up again.', ...(cause === undefined ? {} : { cause }) })

/** Without it a command could do what is denied to it: read, or, as everybody, write. */
const hasToArrive = (ace: Ace, { readers }: WalkOptions): boolean =>
  kindOfAce(ace) === 'deny' ? readers?.has(ace.sid) === true : kindOfAce(ace) === 'allow' && ace.sid === SIDS.everyone && (mapGeneric(ace.mask) & EVERY_CHANGE) !== 0

const isUnreached = (error: unknown): boolean => error instanceof SandboxError && error.cause instanceof WindowsFailure && UNREACHED.includes(error.cause.code)

function refuseOther({ path, identity }: ListChange, object: ObjectState, step: string): void {
  if (identity !== undefined && (identity.device !== object.identity.device || identity.inode !== object.identity.inode)) throw failed(step, path, 'ESTALE', 'it is another one than when the policy was resolved')
}
const isHandedOn = ({ flags }: Ace): boolean => flags.includes('object-inherit') || flags.includes('container-inherit')
export const isDeep = ({ add, remove = [], reachesDown = false }: ListChange): boolean => reachesDown || [...add, ...remove].some(text => isHandedOn(parseAceText(text, 'entry')))

const aclOf = ({ dacl }: SecurityDescriptor): Acl | undefined => dacl === 'null' ? undefined : dacl

function changeOwn(list: SecurityDescriptor, { add, remove = [] }: ListChange, tell: (missing: string[]) => void): SecurityDescriptor {
  const own = new Set((aclOf(list)?.aces ?? []).filter(ace => !isInherited(ace)).map(printAce))
  const missing = add.filter(text => !own.has(printAce(parseAceText(text, 'entry'))))
  if (missing.length > 0) tell(missing)
  const gone = new Set(remove.map(text => printAce(parseAceText(text, 'entry'))))
  const acl = aclOf(list)
  const rest = acl === undefined || gone.size === 0 ? list : { ...list, dacl: { ...acl, aces: acl.aces.filter(ace => isInherited(ace) || !gone.has(printAce(ace))) } }
  return add.length === 0 ? rest : addAces(rest, add)
}

/**
 * What is below `parent` with what it inherits of ours, and with nothing else changed. Where all that it inherits is as its folder has it,
 * ours stand among the others as Windows would put them; where it was moved here with what it inherited elsewhere, they stand first.
 */
export function inheritOurs(parent: SecurityDescriptor, list: SecurityDescriptor, kind: ObjectKind, ours: ReadonlySet<string>): SecurityDescriptor {
  const acl = aclOf(list)
  if (acl === undefined || acl.isProtected) return list
  const handedOn = inheritedAces(parent.dacl, kind, list.owner, list.group)
  const own = acl.aces.filter(ace => !isInherited(ace))
  const others = acl.aces.filter(ace => isInherited(ace) && !ours.has(ace.sid))
  const expected = handedOn.filter(({ sid }) => !ours.has(sid))
  const isAsHandedOn = expected.length === others.length && expected.every((ace, index) => printAce(ace) === printAce(others[index] as Ace))
  const wanted = handedOn.filter(({ sid }) => ours.has(sid))
  // Without one of ours the order of the others stays as it is, also where inherited entries stand before own ones.
  if (wanted.length === 0) return { ...list, dacl: { ...acl, aces: acl.aces.filter(ace => !isInherited(ace) || !ours.has(ace.sid)) } }
  const isInOrder = acl.aces.every((ace, index) => isInherited(ace) || index < own.length)
  const inherited = isAsHandedOn ? handedOn : [...wanted, ...others]
  if (isInOrder) return { ...list, dacl: { ...acl, aces: [...own, ...inherited] } }
  return { ...list, dacl: { ...acl, aces: [...wanted, ...acl.aces.filter(ace => !isInherited(ace) || !ours.has(ace.sid))] } }
}

const sameList = (a: SecurityDescriptor, b: SecurityDescriptor): boolean =>
  printDescriptor({ owner: undefined, group: undefined, sacl: undefined, dacl: a.dacl }) === printDescriptor({ owner: undefined, group: undefined, sacl: undefined, dacl: b.dacl })
