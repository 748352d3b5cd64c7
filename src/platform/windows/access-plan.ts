// The path rules of a policy as entries of access lists. An object's own entries stand before those that it inherits, and nearer folders'
// before farther ones', so the most specific rule wins, as the policy means it. Pure.
import type { FileIdentity, WindowsFacts } from '../../policy/host-snapshot.js'
import { foldName } from '../../policy/letter-case.js'
import { isInside, joinPath, parentOf, rootOf, upwards } from '../../policy/path-syntax.js'
import type { Effect, PathRule, ResolvedPolicy } from '../../policy/resolved-policy.js'
import { type Layer, layer, ruleOf } from '../../policy/rule-order.js'
import { SECRET_PLACES } from '../../policy/secrets.js'
import type { WindowsAccessEdit } from '../launch-plan.js'
import { isGranted, type Token } from './access-check.js'
import { EVERY_CHANGE, EVERY_READ, FILE_RIGHTS, MOVES, PASS_THROUGH, READ_AND_RUN, WRITE_AND_REMOVE } from './access-rights.js'
import { capabilityKey } from './capability-sids.js'
import { descriptorOf } from './host-facts.js'
import { printAce } from './sddl.js'

/** A writable root with its own capability: what lies in it, nested roots included, is granted to that. */
export interface RootCapability {
  readonly root: string
  readonly key: string
  readonly sid: string
}

export interface AccessContext {
  readonly policy: ResolvedPolicy
  readonly facts: WindowsFacts
  readonly capabilities: readonly RootCapability[]
  readonly readOnlySid: string
  /** `elevated`: whom reading and writing are granted to at all, and a token of theirs before it is restricted. */
  readonly accounts?: { readonly group: string; readonly token: Token }
}

/** The roots that are in no other one, each with the key of its capability. */
export function outermostRoots(policy: ResolvedPolicy): { readonly root: PathRule; readonly key: string }[] {
  const writable = policy.paths.filter(({ effect }) => effect === 'write')
  return writable.filter(({ path }) => !writable.some(other => other.path !== path && isInside('windows', other.path, path) && !isInside('windows', path, other.path))).map(root => ({
    root,
    key: capabilityKey(root.path, policy.paths.filter(({ path }) => isInside('windows', root.path, path)).map(({ path, effect }) => `${effect} ${path.toLowerCase()}`)),
  }))
}

/**
 * What each file and folder gets, sorted by path: denying entries before allowing ones.
 *
 * 1. A root lets its capability fill it, and what is in it be changed and removed; the root itself cannot be removed by it, and nothing in
 *    it by the right of its folder, so that what is protected has the last word on itself.
 * 2. A closed path denies all change to that capability; a path opened again in it allows it again.
 * 3. A folder that something closed lies in denies to be moved.
 * 4. What inherits nothing or has entries of its own, and what everybody may write, gets the same once more: what is denied above does not
 *    reach it, or comes behind.
 * 5. `elevated`: denied paths deny reading to the accounts, and what is to be read and is not yet is granted.
 */
export function accessEdits(context: AccessContext): WindowsAccessEdit[] {
  const { policy, facts, accounts } = context
  const rules = layer(policy)
  const edits = new Edits()
  const identities = knownIdentities(policy)
  const add = (path: string, kind: WindowsAccessEdit['kind'], ...aces: readonly string[]) => edits.add(path, kind, identities(path), aces)

  for (const rule of policy.paths) {
    if (rule.kind === 'missing' && !isPlaceholder(rules, facts, rule)) continue
    const aces = acesOfRule(context, rules, rule)
    if (aces.length > 0) add(rule.path, kindOf(rule), ...aces)
  }
  if (accounts !== undefined) for (const rule of deniedByNothingElse(policy, rules)) add(rule.path, kindOf(rule), entry('D', kindOf(rule) === 'directory' ? ALL_BELOW : '', EVERY_READ, accounts.group))
  for (const path of movable(policy, rules)) {
    const capability = capabilityOf(context, path)
    if (capability !== undefined) add(path, facts.kind(path) ?? 'directory', entry('D', '', MOVES, capability))
  }
  for (const { path, kind } of facts.ownLists) add(path, kind, ...acesWithoutInheritance(context, rules, path, kind))
  for (const path of facts.worldWritable) add(path, 'directory', ...acesAgainstEverybody(context, rules, path))
  if (accounts !== undefined) grantReading(context, rules, add)
  return edits.list()
}

type Add = (path: string, kind: WindowsAccessEdit['kind'], ...aces: readonly string[]) => void

/** On the object and all below it. */
const ALL_BELOW = 'OICI'

const entry = (type: 'A' | 'D', flags: '' | typeof ALL_BELOW, mask: number, sid: string): string =>
  printAce({ type, flags: flags === '' ? [] : ['object-inherit', 'container-inherit'], mask, sid })

/** Of rules and of the folders between them, in whatever letters they are written. */
export function knownIdentities({ paths, directories = [] }: ResolvedPolicy): (path: string) => FileIdentity | undefined {
  const all = [...directories, ...paths].flatMap(({ path, identity }): [string, FileIdentity][] => identity === undefined ? [] : [[path, identity]])
  const [exact, folded] = [new Map(all), new Map(all.map(([path, identity]) => [foldName(path), identity]))]
  return path => exact.get(path) ?? folded.get(foldName(path))
}

/** A missing name that commands could make: something stands there while they run. In what is a file nothing can be made, and it stays one. */
export const isPlaceholder = (rules: Layer, { kind: kindAt }: Pick<WindowsFacts, 'kind'>, { path, kind }: PathRule): boolean =>
  kind === 'missing' && rules.effectAt(parentOf('windows', path)) === 'write' && kindAt(parentOf('windows', path)) !== 'file'

/** Of what is missing, what a placeholder will be. */
export const kindOf = ({ kind, placeholder }: PathRule): 'file' | 'directory' => kind === 'directory' || (kind === 'missing' && placeholder === undefined) ? 'directory' : 'file'

const capabilityOf = ({ capabilities }: Pick<AccessContext, 'capabilities'>, path: string): string | undefined =>
  capabilities.find(({ root }) => isInside('windows', root, path))?.sid

/** What may never be done through a folder's right, or to the list of what lies in a root. */
const NEVER_IN_A_ROOT = MOVES & ~FILE_RIGHTS.delete

function acesOfRule(context: AccessContext, rules: Layer, rule: PathRule): string[] {
  const { policy, accounts } = context
  const capability = capabilityOf(context, rule.path)
  const isDirectory = kindOf(rule) === 'directory'
  const flags = isDirectory ? ALL_BELOW : ''
  const parent = parentOf('windows', rule.path)
  const before: Effect = parent === rule.path ? policy.base : rules.effectAt(parent)
  // By a rule: what the policy denies as a whole has no entry anywhere.
  const isDenied = parent !== rule.path && ruleOf(rules, parent)?.effect === 'deny'
  switch (rule.effect) {
    case 'write': return before === 'write' || capability === undefined ? [] : opened(capability, accounts?.group, isDirectory)
    case 'read': return [
      ...(before === 'write' && capability !== undefined ? [entry('D', flags, EVERY_CHANGE, capability)] : []),
      ...(isDenied && accounts !== undefined ? [entry('A', flags, READ_AND_RUN, accounts.group)] : []),
    ]
    case 'deny': return [
      ...(before === 'write' && capability !== undefined ? [entry('D', flags, EVERY_CHANGE, capability)] : []),
      ...(accounts !== undefined && !isDenied ? [entry('D', flags, EVERY_READ, accounts.group)] : []),
    ]
    default: return rule.effect satisfies never
  }
}

/** A root, or what is opened again in a closed place: it cannot be removed itself, what is in it can. */
const opened = (capability: string, group: string | undefined, isDirectory: boolean): string[] => [
  entry('D', '', FILE_RIGHTS.delete, capability),
  entry('D', isDirectory ? ALL_BELOW : '', NEVER_IN_A_ROOT, capability),
  ...[capability, ...(group === undefined ? [] : [group])].map(sid => entry('A', isDirectory ? ALL_BELOW : '', WRITE_AND_REMOVE, sid)),
]

/** What a policy of restricted reads denies by name as well: no entry holds what it restricts reading to, and so these get one. */
const deniedByNothingElse = ({ base, shadowed = [] }: ResolvedPolicy, rules: Layer): readonly PathRule[] =>
  base !== 'deny' ? [] : shadowed.filter(({ effect, kind, path }) => effect === 'deny' && kind !== 'missing' && rules.effectAt(path) === 'deny' && ruleOf(rules, path)?.effect !== 'deny')

/** What lies in a root, has something closed in it, and could be moved together with it: a folder, or a file where a rule wants one. */
function movable({ paths, directories = [] }: ResolvedPolicy, rules: Layer): string[] {
  const closed = paths.filter(({ effect }) => effect !== 'write').map(({ path }) => path)
  const candidates = [...directories.map(({ path }) => path), ...paths.filter(({ effect }) => effect === 'write').map(({ path }) => path)]
  return [...new Set(candidates)].filter(path => {
    const parent = parentOf('windows', path)
    return parent !== path && rules.effectAt(path) === 'write' && rules.effectAt(parent) === 'write' && closed.some(other => other !== path && isInside('windows', path, other))
  })
}

function acesWithoutInheritance(context: AccessContext, rules: Layer, path: string, kind: WindowsAccessEdit['kind']): string[] {
  const { accounts } = context
  const flags = kind === 'directory' ? ALL_BELOW : ''
  const capability = capabilityOf(context, path)
  const effect = rules.effectAt(path)
  const denied = effect === 'deny' && accounts !== undefined ? [entry('D', flags, EVERY_READ, accounts.group)] : []
  if (capability === undefined) return denied
  if (effect !== 'write') return [entry('D', flags, EVERY_CHANGE, capability), ...denied, ...(effect === 'read' && accounts !== undefined ? [entry('A', flags, READ_AND_RUN, accounts.group)] : [])]
  return [entry('D', flags, NEVER_IN_A_ROOT, capability), ...[capability, ...(accounts === undefined ? [] : [accounts.group])].map(sid => entry('A', flags, WRITE_AND_REMOVE, sid))]
}

/** Everybody's own entry stands before what is inherited, and Everyone is among the restricting SIDs. */
function acesAgainstEverybody(context: AccessContext, rules: Layer, path: string): string[] {
  const capability = capabilityOf(context, path)
  if (rules.effectAt(path) === 'write') return capability === undefined ? [] : [entry('D', ALL_BELOW, NEVER_IN_A_ROOT, capability)]
  return [entry('D', ALL_BELOW, EVERY_CHANGE, capability ?? context.readOnlySid)]
}

/**
 * `elevated`: the accounts read what every account may. Of the rest they get the policy's own places, and, where it restricts no reading,
 * what is in the user's profile: never the places of keys and tokens, which stay closed to them whatever the policy says.
 */
function grantReading(context: AccessContext, rules: Layer, add: Add): void {
  const { policy, facts, accounts } = context
  if (accounts === undefined) return
  const mayAlready = (path: string, mask: number): boolean => {
    const descriptor = descriptorOf(facts, path)
    return descriptor !== undefined && isGranted(accounts.token, descriptor, mask)
  }
  const secrets = policy.home === undefined ? [] : SECRET_PLACES.filter(({ path }) => !path.startsWith('/')).map(({ path }) => joinPath('windows', policy.home as string, path))
  const own = [...policy.selfPaths ?? []]
  const isSecret = (path: string) => [...secrets, ...own].some(place => isInside('windows', place, path))
  const wanted = [policy.cwd, ...policy.paths.filter(({ effect, kind }) => effect === 'read' && kind !== 'missing').map(({ path }) => path), ...(policy.base === 'read' ? facts.profileEntries : [])]
    .filter(path => rules.effectAt(path) === 'read' && capabilityOf(context, path) === undefined && !isSecret(path) && facts.descriptor(path) !== undefined)
  const granted = [...new Set(wanted)].filter(path => !mayAlready(path, READ_AND_RUN))
  for (const path of granted) add(path, facts.kind(path) ?? 'file', entry('A', facts.kind(path) === 'directory' ? ALL_BELOW : '', READ_AND_RUN, accounts.group))
  for (const path of secrets) {
    const isReached = [...granted, ...context.capabilities.map(({ root }) => root)].some(place => isInside('windows', place, path))
    const kind = facts.kind(path)
    if (isReached && kind !== undefined && !rules.names(path) && rules.effectAt(path) !== 'deny') add(path, kind, entry('D', kind === 'directory' ? ALL_BELOW : '', EVERY_READ, accounts.group))
  }
  const reached = [...granted, ...policy.paths.filter(({ effect }) => effect !== 'deny').map(({ path }) => path), policy.cwd]
  const folders = new Set(reached.flatMap(path => [...upwards('windows', path)].slice(1)))
  for (const path of folders) {
    if (path === rootOf('windows', path) || rules.effectAt(path) === 'deny' && policy.base === 'read' || granted.some(place => isInside('windows', place, path))) continue
    const mask = policy.base === 'read' && path === policy.home ? READ_AND_RUN : PASS_THROUGH
    if (capabilityOf(context, path) === undefined && facts.descriptor(path) !== undefined && !mayAlready(path, mask)) add(path, 'directory', entry('A', '', mask, accounts.group))
  }
}

/** Entries by path; each once, those that deny first. */
class Edits {
  readonly #byPath = new Map<string, { path: string; kind: WindowsAccessEdit['kind']; identity: FileIdentity | undefined; aces: Set<string> }>()

  add(path: string, kind: WindowsAccessEdit['kind'], identity: FileIdentity | undefined, aces: readonly string[]): void {
    if (aces.length === 0) return
    const edit = this.#byPath.get(path) ?? { path, kind, identity, aces: new Set<string>() }
    for (const ace of aces) edit.aces.add(ace)
    this.#byPath.set(path, edit)
  }

  list(): WindowsAccessEdit[] {
    return [...this.#byPath.values()].sort((a, b) => a.path < b.path ? -1 : 1).map(({ path, kind, identity, aces }) => ({
      path, ...(identity === undefined ? {} : { identity }), kind, add: [...[...aces].filter(ace => ace.startsWith('(D')), ...[...aces].filter(ace => !ace.startsWith('(D'))],
    }))
  }
}
