// The smallest change of the policy that would permit a refused access, found by trying: a change is made on a copy of
// the rules and the access judged again, until it is allowed.
import { SandboxError } from '../errors.js'
import type { FileAccess, PolicyChange, Remedy } from './decision.js'
import { escapeGlob } from './glob.js'
import { HELD_IN_GIT_DIRECTORY, isGitDirectory } from './git-paths.js'
import { firstMissing } from './follow-links.js'
import type { FileSystemView } from './host-snapshot.js'
import { type FileRequest, judge, type Refusal } from './judge-path.js'
import { foldName } from './letter-case.js'
import { isInside, joinPath, lastName, namesOf, normalizePath, parentOf, upwards } from './path-syntax.js'
import { PROTECTED_NAMES } from './protected-paths.js'
import type { PathRule, ResolvedPolicy } from './resolved-policy.js'
import { orderRules } from './rule-order.js'
import { isTooBroad } from './writable-roots.js'

/** More single changes than this are no remedy. */
const MAX_CHANGES = 16

const NONE = (text: string): Remedy => ({ text, flags: [], changes: [] })

export function remedyFor(policy: ResolvedPolicy, request: FileRequest, refusal: Refusal, files: FileSystemView | undefined): Remedy {
  if (gitOperation(policy, request, refusal)) return { text: 'set git to "commits"', flags: ['--git', 'commits'], changes: [{ operation: 'set', field: 'git', value: 'commits' }] }
  const changes: PolicyChange[] = []
  const grants: { field: 'read' | 'write'; path: string }[] = []
  let current = policy
  for (let verdict: ReturnType<typeof judge> = refusal; verdict.verdict === 'deny'; verdict = judge(current, request)) {
    const step = changes.length < MAX_CHANGES ? oneStep(current, request, verdict, files) : undefined
    if (step === undefined) return NONE(isMissingToRead(request, files) ? 'nothing: it does not exist' : whyNot(policy, request, verdict))
    changes.push(...step.grants.map(({ field, path }): PolicyChange => ({ operation: 'add', field, value: escapeGlob(policy.platform, path) })))
    if (step.removes !== undefined) changes.push({ operation: 'remove', field: step.removes })
    grants.push(...step.grants)
    current = step.policy
  }
  const removes = changes.some(({ operation }) => operation === 'remove')
  const text = changes.map(changeText).join(', and ')
  if (removes) return { text, flags: [], changes }
  const list = (field: 'read' | 'write') => grants.filter(grant => grant.field === field).map(({ path }) => path)
  const [read, write] = [list('read'), list('write')]
  return {
    text,
    flags: changes.flatMap(change => change.operation === 'add' ? [`--${change.field}`, change.value] : []),
    changes,
    additionalPermissions: { fileSystem: { ...(read.length > 0 ? { read } : {}), ...(write.length > 0 ? { write } : {}) } },
  }
}

/** Folded, with a `/` behind each. */
const CLOSED_IN_GIT_DIRECTORY = [...HELD_IN_GIT_DIRECTORY.map(({ name }) => name), 'worktrees'].map(name => `${foldName(name)}/`)

/**
 * A write of git's own below `.git`: naming `.git` as a root would open hooks and config with it, `git: 'commits'` does not.
 * Only where that alone permits the access, so not for what stays closed under it either.
 */
function gitOperation(policy: ResolvedPolicy, request: FileRequest, refusal: Refusal): boolean {
  if (refusal.because !== 'protected' || request.kind === 'read' || request.kind === 'execute') return false
  const { rule } = refusal
  const { platform } = policy
  if (rule.origin !== 'protected' || rule.kind !== 'directory' || lastName(platform, rule.path) !== '.git' || request.path === rule.path) return false
  const [folder, path] = [foldName(rule.path), foldName(request.path)]
  if (!isInside(platform, folder, path)) return false
  const below = `${namesOf(platform, path.slice(folder.length)).join('/')}/`
  if (below === '/' || CLOSED_IN_GIT_DIRECTORY.some(name => name.startsWith(below) || below.startsWith(name))) return false
  return judge({ ...policy, paths: policy.paths.filter(each => each !== rule) }, request).verdict === 'allow'
}

interface Step {
  readonly policy: ResolvedPolicy
  readonly grants: readonly { readonly field: 'read' | 'write'; readonly path: string }[]
  readonly removes?: string
}

function oneStep(policy: ResolvedPolicy, request: FileRequest, refusal: Refusal, files: FileSystemView | undefined): Step | undefined {
  const field = request.kind === 'read' || request.kind === 'execute' ? 'read' : 'write'
  if (touchesSelf(policy, request, field) || isMissingToRead(request, files)) return undefined
  switch (refusal.because) {
    case 'glob': {
      const glob = policy.globs.find(({ pattern }) => pattern === refusal.pattern)
      return glob === undefined ? undefined : withoutField(policy, glob.field)
    }
    case 'protected': return refusal.rule.origin === 'self' ? undefined : openAutomatic(policy, request, refusal.rule, field, files)
    case 'rule': {
      if (refusal.rule.origin === 'secret') return openAutomatic(policy, request, refusal.rule, field, files)
      const inner = innerGrant(policy, request, refusal.rule.path, files)
      if (inner !== undefined && isSpellable(policy, inner) && !movesProtected(policy, inner, request, files)) return grant(policy, field, withProtected(policy, field, inner, request, files), files)
      return refusal.rule.field === undefined ? undefined : withoutField(policy, refusal.rule.field)
    }
    case 'no-rule': {
      const place = field === 'read' ? request.path : newRoot(policy, request, files)
      if (place === undefined || !isSpellable(policy, place) || movesProtected(policy, place, request, files)) return undefined
      return grant(policy, field, withProtected(policy, field, place, request, files), files)
    }
    case 'host': case 'network-off': case 'unix-socket': return undefined
    default: return refusal satisfies never
  }
}

/** Opens something that no rule of the policy closed: naming it, or a part of it, is enough. */
function openAutomatic(policy: ResolvedPolicy, request: FileRequest, rule: PathRule, field: 'read' | 'write', files: FileSystemView | undefined): Step | undefined {
  const inner = rule.kind === 'directory' ? innerGrant(policy, request, rule.path, files) : undefined
  const place = inner ?? rule.path
  if (!isSpellable(policy, place)) return undefined
  // A folder that becomes a root of its own holds protected names of its own, so it cannot be removed either.
  if (request.kind === 'remove' && rule.kind === 'directory' && isInside(policy.platform, request.path, place)) return undefined
  const step = grant(policy, field, withProtected(policy, field, place, request, files), files)
  if (inner !== undefined) return step
  const paths = rule.kind === 'missing' ? policy.paths.filter(each => each !== rule) : policy.paths.map((each): PathRule => each === rule ? { ...each, effect: field, origin: 'rule' } : each)
  return { ...step, policy: { ...policy, paths } }
}

/** A place strictly inside a rule of the policy, which is then more specific than that rule. */
function innerGrant(policy: ResolvedPolicy, { kind, path }: FileRequest, outer: string, files: FileSystemView | undefined): string | undefined {
  const strictlyInside = (place: string) => place !== outer && isInside(policy.platform, outer, place)
  const place = kind === 'create' || kind === 'remove' ? existingFolder(policy, parentOf(policy.platform, path), files)
    : files === undefined || files.entry(path) !== undefined ? path
    : existingFolder(policy, parentOf(policy.platform, path), files)
  return strictlyInside(place) ? place : undefined
}

/**
 * What to make writable for an access outside every root: the path itself where it exists, else the folder that holds
 * it; where that is too broad, the path itself, which then has to be made first.
 */
function newRoot(policy: ResolvedPolicy, { kind, path }: FileRequest, files: FileSystemView | undefined): string | undefined {
  if (kind === 'write' && files?.entry(path) !== undefined && !isTooBroad(policy, path)) return path
  const folder = existingFolder(policy, parentOf(policy.platform, path), files)
  if (!isTooBroad(policy, folder)) return folder
  return kind === 'write' && !isTooBroad(policy, path) ? path : undefined
}

/** A name with a newline may exist, but a policy cannot be written with it. */
function isSpellable({ platform }: ResolvedPolicy, path: string): boolean {
  try {
    return normalizePath(platform, path) === path
  } catch (error) {
    if (error instanceof SandboxError) return false
    throw error
  }
}

function existingFolder({ platform }: ResolvedPolicy, folder: string, files: FileSystemView | undefined): string {
  if (files === undefined) return folder
  for (const at of upwards(platform, folder)) if (files.entry(at) !== undefined) return at
  return folder
}

/** A new root protects names of its own: where the access goes through one of them, it has to be named as well. */
function withProtected(policy: ResolvedPolicy, field: 'read' | 'write', root: string, { path }: FileRequest, files: FileSystemView | undefined): string[] {
  if (field === 'read') return [root]
  const held = protectedNames(policy, root, files).filter(place => isInside(policy.platform, foldName(place), foldName(path)))
  return [...new Set([root, ...held])]
}

/** What becomes protected in a new root cannot be moved away with its folder. */
const movesProtected = (policy: ResolvedPolicy, root: string, { kind, path }: FileRequest, files: FileSystemView | undefined): boolean =>
  kind === 'remove' && (files === undefined || files.entry(path)?.kind === 'directory')
  && protectedNames(policy, root, files).some(name => isInside(policy.platform, path, name))

/** Where a new root would hold something. */
function protectedNames({ platform, protect = [], protectExisting = [] }: ResolvedPolicy, root: string, files: FileSystemView | undefined): string[] {
  const mayBeGit = files === undefined ? namesOf(platform, root).some(name => foldName(name).endsWith('.git')) : isGitDirectory({ platform, files }, root)
  const names = ['.git', ...PROTECTED_NAMES, ...protect, ...(mayBeGit ? HELD_IN_GIT_DIRECTORY.map(({ name }) => name) : [])]
  const existing = protectExisting.map(name => joinPath(platform, root, name)).filter(place => files === undefined || files.entry(place) !== undefined)
  return [...names.map(name => joinPath(platform, root, name)).map(place => files === undefined ? place : firstMissing({ platform, files }, place)), ...existing]
}

function grant(policy: ResolvedPolicy, field: 'read' | 'write', places: readonly string[], files: FileSystemView | undefined): Step {
  const { platform, caseInsensitiveRoots, shadowed = [] } = policy
  const added = places.map((path): PathRule => ({ path, effect: field, origin: 'rule', field: undefined, owner: undefined, kind: 'directory', identity: undefined }))
  const inNewRoot = (path: string) => field === 'write' && places.some(place => isInside(platform, place, path))
  // In a writable root a missing path is held by its first missing part (`holdingPlace`).
  const held = (rule: PathRule): PathRule =>
    files !== undefined && rule.kind === 'missing' && inNewRoot(rule.path) ? { ...rule, path: firstMissing({ platform, files }, rule.path) } : rule
  const woken = shadowed.filter(({ kind, origin, path }) => inNewRoot(path) && (kind === 'missing' && origin === 'rule' || origin === 'secret' && !isNamed(policy, path)))
  return {
    policy: { ...policy, paths: orderRules(platform, caseInsensitiveRoots, [...[...policy.paths, ...woken].map(held), ...added]) },
    grants: places.map(path => ({ field, path })),
  }
}

/** What the removed rule hid speaks again. */
function withoutField(policy: ResolvedPolicy, field: string): Step {
  const stays = (rule: { readonly field: string | undefined }) => rule.field !== field
  const shadowed = (policy.shadowed ?? []).filter(stays)
  const paths = policy.paths.filter(stays)
  const globs = policy.globs.filter(stays)
  const bare = policy.paths.filter(rule => !stays(rule)).map(({ path }) => path)
  const below = (path: string) => bare.some(each => isInside(policy.platform, each, path))
  const speaksAgain = ({ path, field, origin }: PathRule) =>
    bare.includes(path) || below(path) && (globs.some(glob => glob.field === field) || origin === 'secret' && !isNamed({ paths }, path))
  return {
    policy: {
      ...policy,
      paths: orderRules(policy.platform, policy.caseInsensitiveRoots, [...paths, ...shadowed.filter(speaksAgain)]),
      shadowed,
      globs,
    },
    grants: [],
    removes: field,
  }
}

const isNamed = ({ paths }: Pick<ResolvedPolicy, 'paths'>, path: string): boolean => paths.some(each => each.path === path)

/** A removal takes along what lies below. */
const touchesSelf = ({ platform, selfPaths = [] }: ResolvedPolicy, { kind, path }: FileRequest, field: 'read' | 'write'): boolean =>
  field === 'write' && selfPaths.some(self => isInside(platform, self, path) || kind === 'remove' && isInside(platform, path, self))

const isMissingToRead = ({ kind, path }: FileRequest, files: FileSystemView | undefined): boolean =>
  (kind === 'read' || kind === 'execute') && files !== undefined && files.entry(path) === undefined

function changeText(change: PolicyChange): string {
  switch (change.operation) {
    case 'add': return `add ${JSON.stringify(change.value)} to ${change.field}`
    case 'remove': return `remove ${change.field}`
    case 'set': return `set ${change.field} to ${change.value}`
    default: return change satisfies never
  }
}

function whyNot(policy: ResolvedPolicy, request: FileRequest, refusal: Refusal): string {
  if (refusal.because === 'protected' && refusal.rule.origin === 'self' || touchesSelf(policy, request, 'write')) return 'nothing: it runs or is trusted outside the sandbox'
  const verbs: Record<FileAccess, string> = { read: 'read', write: 'write', create: 'make', remove: 'remove', execute: 'run' }
  return refusal.because === 'no-rule'
    ? `make ${JSON.stringify(request.path)} outside the sandbox first and add it to write, or ${verbs[request.kind]} it inside a writable root`
    : `change the policy at ${JSON.stringify(request.path)}: no single addition does`
}
