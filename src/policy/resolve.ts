// A policy on one machine: SandboxPolicy + HostSnapshot -> ResolvedPolicy. Reads the host only through the snapshot.
import { SandboxError } from '../errors.js'
import { AGENT_FILES } from './agent-files.js'
import { bothEnds, firstMissing, followLinks, followLinksToParent, type Located } from './follow-links.js'
import { searchGlob } from './glob-search.js'
import type { FileIdentity, FileSystemView, HostSnapshot, PlatformName } from './host-snapshot.js'
import { comparisonKey, isCaseInsensitive } from './letter-case.js'
import { absolutePath, holdingPlace, type NamedGlob, type NamedPath, onlyByLink, readNamed } from './named-rules.js'
import { repositoryOf } from './git-paths.js'
import { aliasRules } from './mount-aliases.js'
import { isInside, joinPath, normalizePath, parentOf, splitNames, upwards } from './path-syntax.js'
import { PLATFORM_DEFAULTS } from './platform-defaults.js'
import { type ProtectedPath, protectedPaths } from './protected-paths.js'
import type { Effect, GlobRule, IgnoredRule, PathRule, ResolvedPolicy, RuleOrigin } from './resolved-policy.js'
import { type Layer, layer, orderRules, ruleOf } from './rule-order.js'
import type { SandboxPolicy } from './sandbox-policy.js'
import { secretPlaces, secretRules } from './secret-rules.js'
import { unixSocketRules } from './unix-socket-rules.js'
import { isTooBroad, type WritableRoot, writableRoots } from './writable-roots.js'

/** More rules than this cannot be enforced in a reasonable time; a mount or a profile line each. */
const MAX_PATH_RULES = 4096

export interface ResolveOptions {
  /** The policy's cwd; else the snapshot's. */
  readonly cwd?: string
  /** Accept `/` and home folders as writable roots. */
  readonly allowBroadRoots?: boolean
  readonly caches?: CacheRoots
}

/** `caches: 'private'`: a folder of this workspace's outside of it, in which commands may write; and one that they may only read. Absolute, existing. */
export interface CacheRoots {
  readonly files?: string | undefined
  readonly settings?: string | undefined
}

/**
 * Gives `policy` its meaning on `host`. Pure: the same policy and snapshot give the same result.
 *
 * The rules come in layers, and no layer opens what one before it denies: the policy's own; secrets; what is protected in
 * each writable root; what runs or is believed outside. An automatic rule gives way to a rule of the policy for exactly
 * its path, except the last layer, which gives way to nothing.
 *
 * @throws SandboxError naming field and value: `path_*`, `glob_*`, `self_not_protectable`, `policy_contradiction`, `policy_too_large`
 */
export function resolve(policy: SandboxPolicy, host: HostSnapshot, options: ResolveOptions = {}): ResolvedPolicy {
  return resolveBeforeCaches(policy, host, options)(options.caches)
}

/**
 * The same in two steps, since the folders of caches are made only for a policy that is right. The second, called without any, says what is wrong
 * with it; called with them it takes the `files` in which they show, and what the first has seen of the host stands.
 */
export function resolveBeforeCaches(policy: SandboxPolicy, host: HostSnapshot, options: Omit<ResolveOptions, 'caches'> = {}): (caches?: CacheRoots, files?: FileSystemView) => ResolvedPolicy {
  refuseTooMany(policy)
  const view = { ...host, home: canonicalHome(host) }
  const cwd = findCwd(view, options.cwd)
  const selfPaths = findSelfPaths(view)
  if (policy.mode === 'danger-full-access' || policy.mode === 'external-sandbox') {
    const resolved = unconfined(policy, view, cwd.path)
    return () => resolved
  }

  const ignored: IgnoredRule[] = []
  const named = readLists(view, policy, cwd.path)
  const asked = writableRoots(view, policy, cwd, named.write, selfPaths, { allowBroadRoots: options.allowBroadRoots ?? false }, ignored)
  const candidates = [...asked, ...repositoryRoots(view, policy, cwd.path, named, asked, selfPaths, ignored)]
  const protectedByAll = protectedPaths(view, policy, candidates)
  const roots = closeProtected(candidates, protectedByAll, view, ignored)
  // What only a closed root would have opened is not open.
  const held = roots.length === candidates.length ? protectedByAll : protectedPaths(view, policy, roots)
  const rootPaths = roots.map(({ path }) => path)
  if (policy.git === 'commits' && roots.every(({ isTemporary }) => isTemporary)) ignored.push({ field: 'git', value: 'commits', reason: 'nothing-writable' })
  const base: Effect = policy.readAccess.kind === 'full' ? 'read' : 'deny'

  /** Missing read rules outside every root: they say nothing, until a new root holds them. */
  const dormant: PathRule[] = []
  const listed = [
    ...roots.map(root => rule(root, 'write', root.origin, root.field)),
    ...readRules(view, named.read, rootPaths, dormant, ignored),
    ...denyRules(view, named.deny, rootPaths),
  ]
  const caseInsensitiveRoots = findCaseInsensitive(view, roots, listed, [...rootPaths, ...held.flatMap(({ path, entry }) => entry === undefined ? [] : [path])])
  const order = (rules: readonly PathRule[]): Layer => layer({ platform: view.platform, base, caseInsensitiveRoots, paths: orderRules(view.platform, caseInsensitiveRoots, rules) })

  // What is readable by mode only widens: inside a writable root it leaves the root writable, as in the reference.
  const listedLayer = order(listed)
  const plain = [...listed, ...modeRules(view, policy, cwd, ignored).filter(({ path }) => listedLayer.effectAt(path) !== 'write')]

  const globs = named.globs.map(({ field, glob }): GlobRule => ({ pattern: glob.pattern, effect: 'deny', field }))
  const matches = rulesOfGlobs(view, named.globs, order(plain))
  const own = [...plain, ...matches.standing]
  const exact = exactPaths(named)
  const ownLayer = order(own)
  const placesOfSecrets = secretPlaces(view, policy)
  const secrets = secretRules(view, policy, cwd.path, placesOfSecrets, exact, ownLayer, ignored)
  refuseLinksToDenied(view, named, roots, [...own, ...secrets])

  const upToSecrets = order([...own, ...secrets])
  const automatic = held.flatMap(each => protectedRule(view, each, upToSecrets))
  const kept = automatic.filter(({ path }) => !exact.has(path))
  const self = selfRules(view, selfPaths, roots, upToSecrets)
  const covered = secretRules(view, policy, cwd.path, placesOfSecrets, new Set(), layer({ ...ownLayer, base: 'read', paths: [] }), [])
  const unheld = unheldSelf(view, selfPaths)

  return (caches, files = view.files) => {
    const now = { ...view, files }
    const told = [...ignored]
    const once = [...self, ...own, ...secrets, ...kept, ...cacheRules(now, caches, upToSecrets, told)]
    const all = [...once, ...aliasRules(now, order(once), unheld)]
    const { paths } = order(all)
    if (paths.length > MAX_PATH_RULES) throw new SandboxError('policy_too_large', { field: 'policy', value: `${paths.length} rules` }, { detail: `at most ${MAX_PATH_RULES} fit` })
    const final = order(paths)
    refuseDeniedCwd(final, cwd)
    refuseOpenedRequirements(view.platform, policy, all)
    const unixSockets = policy.networkRules === undefined ? [] : unixSocketRules(now, cwd.path, policy.networkRules, final, told)

    return brand({
      platform: view.platform,
      mode: policy.mode,
      cwd: cwd.path,
      uid: view.uid,
      gid: view.gid,
      home: view.home,
      base,
      paths,
      directories: foldersOnTheWay(now, final),
      shadowed: shadowedBy(paths, [...all, ...automatic, ...covered, ...dormant, ...matches.covered]),
      globs,
      caseInsensitiveRoots,
      selfPaths,
      protect: policy.protect.map(name => splitNames(view.platform, name).filter(part => part !== '.').join('/')),
      protectExisting: policy.protectAgentFiles ? AGENT_FILES.map(({ name }) => name) : [],
      network: policy.network,
      ...(policy.networkRules === undefined ? {} : { networkRules: { ...policy.networkRules, allowUnixSockets: unixSockets.map(({ path }) => path) } }),
      ...(unixSockets.length === 0 ? {} : { unixSockets }),
      tmp: policy.tmp,
      devices: readDevices(view, policy),
      limits: policy.limits,
      env: policy.env,
      ignored: told,
    })
  }
}

type Unbranded = { [Key in keyof ResolvedPolicy as Key extends string ? Key : never]: ResolvedPolicy[Key] }
const brand = (facts: Unbranded): ResolvedPolicy => facts as ResolvedPolicy

interface NamedLists {
  readonly read: readonly NamedPath[]
  readonly write: readonly NamedPath[]
  readonly deny: readonly NamedPath[]
  readonly globs: readonly NamedGlob[]
}

function readLists(host: HostSnapshot, policy: SandboxPolicy, cwd: string): NamedLists {
  const read = (list: 'read' | 'write' | 'deny') => policy[list].flatMap((value, index) => readNamed(host, cwd, list, index, value))
  const paths = (named: readonly (NamedPath | NamedGlob)[]) => named.filter(each => 'ends' in each)
  const deny = read('deny')
  return { read: paths(read('read')), write: paths(read('write')), deny: paths(deny), globs: deny.filter(each => 'glob' in each) }
}

/**
 * What requirements deny stays denied: elsewhere the most specific rule decides, and one below such a place would open a part of it.
 *
 * @throws SandboxError `requirement_conflict`, naming the rule
 */
function refuseOpenedRequirements(platform: PlatformName, { deny, requiredDeny = [] }: SandboxPolicy, rules: readonly PathRule[]): void {
  const fields = new Set(deny.flatMap((value, index) => requiredDeny.includes(value) ? [`deny[${index}]`] : []))
  if (fields.size === 0) return
  const closed = rules.filter(({ effect, field }) => effect === 'deny' && field !== undefined && fields.has(field))
  for (const { path, effect, field } of rules) {
    const over = effect === 'deny' || field === undefined ? undefined : closed.find(each => each.path !== path && isInside(platform, each.path, path))
    if (over !== undefined) throw new SandboxError('requirement_conflict', { field: field as string, value: path }, { detail: `requirements deny reading ${JSON.stringify(over.path)}` })
  }
}

/** Before any look at the disk: each value would cost several. */
function refuseTooMany(policy: SandboxPolicy): void {
  const lists = { writableRoots: policy.writableRoots, read: policy.read, write: policy.write, deny: policy.deny, protect: policy.protect, readableRoots: policy.readAccess.kind === 'restricted' ? policy.readAccess.readableRoots : [] }
  for (const [field, values] of Object.entries(lists)) {
    if (values.length > MAX_PATH_RULES) throw new SandboxError('policy_too_large', { field, value: `${values.length} values` }, { detail: `at most ${MAX_PATH_RULES} fit` })
  }
}

function canonicalHome(host: HostSnapshot): string | undefined {
  return host.home === undefined ? undefined : followLinks(host, normalizePath(host.platform, host.home, { field: '$HOME' }), '$HOME').path
}

function findCwd(host: HostSnapshot, given: string | undefined): Located & { readonly value: string; readonly written: string } {
  const value = given ?? host.cwd
  const written = absolutePath(host, undefined, value, 'cwd')
  const located = followLinks(host, written, 'cwd')
  if (located.entry === undefined) throw new SandboxError('path_not_found', { field: 'cwd', value })
  if (located.entry.kind !== 'directory') throw new SandboxError('path_not_directory', { field: 'cwd', value })
  return { ...located, value, written }
}

/**
 * `git: 'commits'` where a root is a linked worktree, or a submodule, whose repository lies outside of every root: it is one more
 * root, in which what git runs or believes is held as in any other. Not where the policy denies it, nor below a place of keys.
 */
function repositoryRoots(host: HostSnapshot, policy: SandboxPolicy, cwd: string, named: NamedLists, roots: readonly WritableRoot[], selfPaths: readonly string[], ignored: IgnoredRule[]): WritableRoot[] {
  if (policy.git !== 'commits' || policy.mode !== 'workspace-write') return []
  const found = new Map<string, WritableRoot>()
  let closed: Layer | undefined
  for (const root of roots) {
    if (root.isTemporary || root.entry.kind !== 'directory') continue
    const repository = repositoryOf(host, root.path, root.field)
    if (repository?.entry === undefined || found.has(repository.path) || roots.some(each => isInside(host.platform, each.path, repository.path))) continue
    const { path, entry } = repository
    closed ??= closedWithout(host, policy, cwd, named, roots)
    const isClosed = closed.effectAt(path) === 'deny' || rulesOfGlobs(host, named.globs, closed).standing.some(match => isInside(host.platform, match.path, path) || isInside(host.platform, path, match.path))
    if (isClosed || isTooBroad(host, path) || selfPaths.some(self => isInside(host.platform, self, path))) ignored.push({ field: 'git', value: path, reason: 'covered' })
    else found.set(path, { path, entry, origin: 'writable-root', field: 'git', value: path, written: path, isTemporary: false, isNamedByWrite: false })
  }
  return [...found.values()]
}

/** What the policy closes by itself, secrets included. */
function closedWithout(host: HostSnapshot, policy: SandboxPolicy, cwd: string, named: NamedLists, roots: readonly WritableRoot[]): Layer {
  const base: Effect = policy.readAccess.kind === 'full' ? 'read' : 'deny'
  const order = (paths: readonly PathRule[]): Layer => layer({ platform: host.platform, base, caseInsensitiveRoots: [], paths: orderRules(host.platform, [], paths) })
  const own = [...roots.map(root => rule(root, 'write', root.origin, root.field)), ...readRules(host, named.read, [], [], []), ...denyRules(host, named.deny, [])]
  return order([...own, ...modeRules(host, policy, { path: cwd, entry: host.files.entry(cwd) }, []), ...secretRules(host, policy, cwd, secretPlaces(host, policy), exactPaths(named), order(own), [])])
}

function findSelfPaths(host: HostSnapshot): string[] {
  const given = [...host.selfPaths, ...(host.codexHome === undefined ? [] : [host.codexHome])]
  return [...new Set(given.flatMap(path => bothEnds(host, normalizePath(host.platform, path, { field: 'selfPaths' }), 'selfPaths').map(end => end.path)))]
}

/** Nothing is enforced under these two, so a rule that asks for enforcement contradicts them. */
function unconfined(policy: SandboxPolicy, host: HostSnapshot, cwd: string): ResolvedPolicy {
  if (policy.network === 'proxied' || policy.networkRules !== undefined) throw new SandboxError('policy_contradiction', { field: 'network', value: policy.networkRules ?? policy.network }, { detail: `${policy.mode} enforces nothing` })
  const unheld = { read: policy.read.length > 0, deny: policy.deny.length > 0, protect: policy.protect.length > 0, denySecrets: policy.denySecrets !== false }
  for (const [field, isSet] of Object.entries(unheld)) {
    if (isSet) throw new SandboxError('policy_contradiction', { field, value: policy[field as keyof typeof unheld] }, { detail: `${policy.mode} enforces nothing` })
  }
  return brand({
    platform: host.platform, mode: policy.mode, cwd, uid: host.uid, gid: host.gid, home: host.home,
    base: 'write', paths: [], directories: [], shadowed: [], globs: [], caseInsensitiveRoots: [], selfPaths: [], protect: [],
    network: policy.network, tmp: 'host', devices: [], limits: policy.limits, env: policy.env, ignored: [],
  })
}

/**
 * A root inside another root's protected path: reached by a link it is refused, since commands may have made the link;
 * from `writableRoots`, cwd or $TMPDIR it stays closed and is reported; from `write` it was meant. What is protected only
 * because it lies in /tmp closes no root: a workspace may well lie below it.
 */
function closeProtected(candidates: readonly WritableRoot[], all: readonly ProtectedPath[], host: HostSnapshot, ignored: IgnoredRule[]): WritableRoot[] {
  const owners = new Map(candidates.map(root => [root.path, root]))
  const closing = new Map<string, ProtectedPath[]>()
  for (const each of all) {
    const key = comparisonKey(host.platform, [], each.path)
    closing.set(key, [...(closing.get(key) ?? []), each])
  }
  const closed = new Set<string>()
  for (const root of candidates) {
    const place = [...upwards(host.platform, root.path)]
      .flatMap(at => closing.get(comparisonKey(host.platform, [], at)) ?? [])
      .find(each => each.effect === 'read' && each.owner !== root.path && owners.get(each.owner)?.isTemporary !== true)
    if (place === undefined) continue
    if (onlyByLink(host, root.written, root.path, place.path)) {
      throw new SandboxError('path_into_protected', { field: root.field, value: root.value }, { detail: `it is ${JSON.stringify(root.path)}` })
    }
    if (root.isNamedByWrite) continue
    closed.add(root.path)
    ignored.push({ field: root.field, value: root.value, reason: 'protected' })
  }
  return candidates.filter(({ path }) => !closed.has(path))
}

function readRules(host: HostSnapshot, read: readonly NamedPath[], rootPaths: readonly string[], dormant: PathRule[], ignored: IgnoredRule[]): PathRule[] {
  return read.flatMap(({ field, value, ends: [end] }) => {
    if (end === undefined) return []
    if (end.entry !== undefined) return [rule(end, 'read', 'rule', field)]
    if (rootPaths.some(root => isInside(host.platform, root, end.path))) return [rule({ path: firstMissing(host, end.path), entry: undefined }, 'read', 'rule', field)]
    ignored.push({ field, value, reason: 'missing' })
    dormant.push(rule(end, 'read', 'rule', field))
    return []
  })
}

const denyRules = (host: HostSnapshot, deny: readonly NamedPath[], rootPaths: readonly string[]): PathRule[] =>
  deny.flatMap(({ field, ends }) => ends.map(end => rule(end.entry === undefined ? { path: holdingPlace(host, rootPaths, end.path), entry: undefined } : end, 'deny', 'rule', field)))

/** Restricted reads: the named roots, the cwd, and what programs need to start. */
function modeRules(host: HostSnapshot, policy: SandboxPolicy, cwd: Located, ignored: IgnoredRule[]): PathRule[] {
  if (policy.readAccess.kind === 'full') return []
  const { readableRoots, includePlatformDefaults } = policy.readAccess
  const rules = readableRoots.flatMap((value, index) => {
    const field = `readAccess.readableRoots[${index}]`
    const end = followLinks(host, absolutePath(host, undefined, value, field), field)
    if (end.entry !== undefined) return [rule(end, 'read', 'readable-root', field)]
    ignored.push({ field, value, reason: 'missing' })
    return []
  })
  if (policy.mode === 'read-only') rules.push(rule(cwd, 'read', 'cwd', 'cwd'))
  for (const path of includePlatformDefaults ? PLATFORM_DEFAULTS[host.platform] : []) {
    const end = followLinks(host, path, 'includePlatformDefaults')
    if (end.entry !== undefined) rules.push(rule(end, 'read', 'mode', undefined))
  }
  return rules
}

/** Each match, a link at its target too. Below a denied folder only what another rule opens needs a rule of its own: the rest is `covered`. */
function rulesOfGlobs(host: HostSnapshot, globs: readonly NamedGlob[], set: Layer): { standing: PathRule[]; covered: PathRule[] } {
  const opened = set.paths.filter(({ effect }) => effect !== 'deny')
  const rules = globs.flatMap(named => {
    const ignoreCase = host.platform === 'windows' || set.caseInsensitiveRoots.some(root => isInside(host.platform, root, named.start))
    const hasOpeningBelow = (path: string) => opened.some(each => each.path !== path && isInside(host.platform, path, each.path))
    const found = searchGlob(host, { ...named, ignoreCase, hasOpeningBelow })
    return found.flatMap(path => bothEnds(host, path, named.field)).filter(({ entry }) => entry !== undefined).map(end => rule(end, 'deny', 'rule', named.field))
  })
  const all = layer({ ...set, paths: orderRules(host.platform, set.caseInsensitiveRoots, [...set.paths, ...rules]) })
  // Where another rule names the very path, that one would open it without this one.
  const isCovered = ({ path }: PathRule) => !set.names(path) && all.effectAt(parentOf(host.platform, path)) === 'deny'
  return { standing: rules.filter(each => !isCovered(each)), covered: rules.filter(isCovered) }
}

/** Paths that the policy itself names, links as themselves and as what they lead to. */
const exactPaths = ({ read, write, deny }: NamedLists): ReadonlySet<string> =>
  new Set([...read, ...write, ...deny].flatMap(({ written, ends }) => [written, ...ends.map(end => end.path)]))

/** A rule that grants, and leads through a link into a denied place, is refused: whoever made the link would decide. */
function refuseLinksToDenied(host: HostSnapshot, named: NamedLists, roots: readonly WritableRoot[], rules: readonly PathRule[]): void {
  const denied = rules.filter(({ effect }) => effect === 'deny')
  const granting = [...roots, ...named.read.flatMap(({ ends: [end], ...rest }) => end === undefined ? [] : [{ ...rest, path: end.path }])]
  for (const { field, value, written, path } of granting) {
    const place = denied.find(each => each.path !== path && onlyByLink(host, written, path, each.path))
    if (place !== undefined) throw new SandboxError('path_into_protected', { field, value }, { detail: `it is ${JSON.stringify(path)}, inside the denied ${JSON.stringify(place.path)}` })
  }
}

function protectedRule(host: HostSnapshot, { path, entry, effect, placeholder, owner, field, whileThere }: ProtectedPath, before: Layer): PathRule[] {
  const outer = before.effectAt(parentOf(host.platform, path))
  // What is opened again inside a held path was open before: it lies in a writable root that no rule closes.
  if (effect === 'write') return outer === 'write' ? [{ ...rule({ path, entry }, 'write', 'protected', field), owner }] : []
  const closed = { ...rule({ path, entry }, outer === 'deny' ? 'deny' : 'read', 'protected', field), owner }
  return [{ ...closed, ...placeholder, ...(whileThere === undefined || entry === undefined ? {} : { whileThere }) }]
}

function selfRules(host: HostSnapshot, selfPaths: readonly string[], roots: readonly WritableRoot[], before: Layer): PathRule[] {
  return selfPaths.flatMap(path => {
    const owner = roots.find(root => isInside(host.platform, root.path, path))
    if (owner === undefined) return []
    const end = followLinksToParent(host, path, 'selfPaths')
    const at = end.entry === undefined ? { path: firstMissing(host, end.path), entry: undefined } : end
    return [{ ...rule(at, before.effectAt(at.path) === 'deny' ? 'deny' : 'read', 'self', undefined), owner: owner.path }]
  })
}

/** Not below what the policy denies: what is hidden there stays hidden as a whole. */
function cacheRules(host: HostSnapshot, { files, settings }: CacheRoots = {}, before: Layer, ignored: IgnoredRule[]): PathRule[] {
  return ([[files, 'write'], [settings, 'read']] as const).flatMap(([path, effect]) => {
    const end = path === undefined ? undefined : followLinks(host, normalizePath(host.platform, path, { field: 'caches' }), 'caches')
    if (end?.entry?.kind !== 'directory') return []
    if (ruleOf(before, end.path)?.effect === 'deny') {
      ignored.push({ field: 'caches', value: end.path, reason: 'covered' })
      return []
    }
    return effect === 'read' && before.effectAt(end.path) === 'read' ? [] : [rule(end, effect, 'cache', 'caches')]
  })
}

/** What no root holds, but a second mount of it might show in one. */
const unheldSelf = (host: HostSnapshot, selfPaths: readonly string[]): PathRule[] => selfPaths.flatMap(path => {
  const end = followLinksToParent(host, path, 'selfPaths')
  return end.entry === undefined ? [] : [{ ...rule(end, 'read', 'self', undefined), owner: end.path }]
})

/** Between each rule and the writable root above it; where a rule stands, its own identity is known. */
function foldersOnTheWay({ files, platform }: HostSnapshot, rules: Layer): NonNullable<ResolvedPolicy['directories']> {
  const found = new Map<string, FileIdentity>()
  for (const { path } of rules.paths) {
    for (const at of upwards(platform, path)) {
      if (at === path) continue
      if (found.has(at) || rules.names(at) || rules.effectAt(at) !== 'write') break
      const entry = files.entry(at)
      if (entry !== undefined) found.set(at, { device: entry.device, inode: entry.inode })
    }
  }
  return [...found].map(([path, identity]) => ({ path, identity })).sort((a, b) => a.path < b.path ? -1 : 1)
}

/** What was decided but does not stand, for remedies. */
function shadowedBy(paths: readonly PathRule[], all: readonly PathRule[]): PathRule[] {
  // None of them holds NUL.
  const key = ({ path, effect, field = '' }: PathRule) => `${effect}\0${field}\0${path}`
  const standing = new Set(paths.map(key))
  return [...new Map(all.map(each => [key(each), each]))].filter(([own]) => !standing.has(own)).map(([, each]) => each)
}

/**
 * Asks the file system of each writable root, and of each folder in which a path is denied.
 *
 * @param known  existing paths
 */
function findCaseInsensitive(host: HostSnapshot, roots: readonly WritableRoot[], rules: readonly PathRule[], known: readonly string[]): string[] {
  const folders = new Set(roots.filter(({ entry }) => entry.kind === 'directory').map(({ path }) => path))
  for (const { effect, path } of rules) {
    if (effect !== 'deny') continue
    const parent = parentOf(host.platform, path)
    if (host.files.entry(parent)?.kind === 'directory') folders.add(parent)
  }
  // Outer ones first: what lies in one of them is compared without case anyway.
  return [...folders].sort((a, b) => a.length - b.length).reduce<string[]>((found, folder) =>
    found.some(root => isInside(host.platform, root, folder)) || !isCaseInsensitive(host, folder, known) ? found : [...found, folder], [])
}

function refuseDeniedCwd(rules: Layer, cwd: Located & { readonly value: string }): void {
  if (rules.effectAt(cwd.path) !== 'deny') return
  throw new SandboxError('policy_contradiction', { field: 'cwd', value: cwd.value }, { detail: 'the policy denies it', remedy: 'Start elsewhere, or add it to read.' })
}

/** What commands have of their own, or what leads to their own descriptors: a node of the host's can stand at none of these. */
const OWN_IN_DEV = ['/dev/pts', '/dev/ptmx', '/dev/shm', '/dev/fd', '/dev/stdin', '/dev/stdout', '/dev/stderr']

function readDevices(host: HostSnapshot, policy: SandboxPolicy): string[] {
  return policy.devices.map((value, index) => {
    const field = `devices[${index}]`
    if (host.platform === 'windows') throw new SandboxError('rule_not_enforceable', { field, value })
    const path = normalizePath(host.platform, value.startsWith('/') ? value : joinPath(host.platform, '/dev', value), { field })
    if (value.split('/').includes('..') || path === '/dev' || !isInside(host.platform, '/dev', path)) {
      throw new SandboxError('policy_invalid_value', { field, value }, { detail: 'it does not lie below /dev', remedy: 'Name a device below /dev.' })
    }
    if (host.platform === 'linux' && OWN_IN_DEV.some(own => isInside(host.platform, own, path))) {
      throw new SandboxError('policy_invalid_value', { field, value }, { detail: 'commands have terminals, shared memory and descriptors of their own', remedy: 'Leave it out.' })
    }
    if (host.files.entry(path) === undefined) throw new SandboxError('path_not_found', { field, value }, { remedy: 'Name a device that this machine has.' })
    return path
  })
}

const rule = ({ path, entry }: Located, effect: Effect, origin: RuleOrigin, field: string | undefined): PathRule => ({
  path, effect, origin, field, owner: undefined,
  kind: entry?.kind ?? 'missing',
  identity: entry === undefined ? undefined : { device: entry.device, inode: entry.inode },
})
