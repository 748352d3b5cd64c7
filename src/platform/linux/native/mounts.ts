// The mounts that give a policy its meaning. The launcher makes the whole tree read-only first; these steps open, close and
// hide parts of it again.
import { SandboxError } from '../../../errors.js'
import type { FileIdentity } from '../../../policy/host-snapshot.js'
import { depth, isInside, parentOf, upwards } from '../../../policy/path-syntax.js'
import type { Effect, PathRule, ResolvedPolicy } from '../../../policy/resolved-policy.js'
import type { MaskOpening, MountStep } from '../../launch-plan.js'

/** What `tmp: 'private'` replaces. */
const TMP = '/tmp'

/**
 * Places of which every sandbox has its own, so that no mount of the template shows there: the host's cannot be opened,
 * and need not be hidden.
 */
const OWN_PLACES = [
  { path: '/dev', detail: 'commands see a small /dev of their own', remedy: 'Name device nodes in devices; put folders elsewhere.' },
  { path: '/proc', detail: 'commands see a /proc of their own', remedy: 'Drop the rule: no other process is seen there.' },
] as const

/** A file system of the sandbox's own, writable for every command; a $TMPDIR may be it. */
export const OWN_SHARED_MEMORY = '/dev/shm'

/** What lies around a path: the effect of the nearest rule above it, and which; or a private directory. */
interface Surroundings {
  readonly effect: Effect | 'private'
  readonly rule: PathRule | undefined
}

/**
 * The mount steps of `policy`, in the order in which the launcher makes them. Pure.
 *
 * A mount covers what was mounted below its path before, so parents come first. What a rule becomes depends on what lies
 * around it:
 *
 * | rule | in a writable root | below a mask | in a private directory | elsewhere |
 * |---|---|---|---|---|
 * | write | bind_writable | opening of the mask | bind_writable | bind_writable |
 * | read | bind_read_only | opening of the mask | bind_writable, bind_read_only | nothing: it is read-only |
 * | read, missing | placeholder | nothing | nothing | nothing |
 * | deny | mask | nothing: hidden by it | nothing: hidden by it | mask |
 * | deny, missing | placeholder | nothing | nothing | watch |
 *
 * A missing write rule grants nothing. Where commands could rename a directory on the way to one of these, its path would
 * be free for another one: so each such directory is pinned.
 *
 * @param cwd  identity of the policy's cwd, which stays visible where a private directory would hide it
 * @throws     SandboxError `rule_not_enforceable`: `/` as a rule, a rule in a place that the sandbox has its own of, a file
 *             system in which letter case makes no other name, `tmp: 'private'` with /tmp as cwd, a missing path to be read
 *             below a private /tmp
 */
export function compileMounts(policy: ResolvedPolicy, cwd: FileIdentity): MountStep[] {
  const standing = policy.paths.filter(rule => !isOwnPlace(rule))
  for (const rule of standing) if (rule.path === '/' && rule.effect !== 'read') throw refuseRoot(rule)
  const isPrivate = hasPrivateTmp(policy)
  const speaking = new Map<string, PathRule>()
  const around = (path: string) => surroundings(policy, speaking, isPrivate, path)
  const masks = new Map<string, MaskOpening[]>()
  const steps: MountStep[] = isPrivate ? [{ step: 'private_directory', path: TMP }] : []
  // Sorted by depth: what lies around a rule has spoken before it.
  for (const rule of isPrivate ? withCwd(policy, standing, cwd) : standing) {
    const its = around(rule.path)
    if (rule.effect === 'deny' && its.effect === 'private') continue
    speaking.set(rule.path, rule)
    steps.push(...stepsOf(policy, rule, its, masks))
  }
  refuseCaseInsensitive(policy, steps)
  return parentsFirst([...pins(policy, speaking, steps, around), ...steps])
}

/** `tmp: 'private'`, unless a rule for /tmp itself says that the host's stays visible and closed, or hides it anyway. */
export const hasPrivateTmp = ({ tmp, paths }: ResolvedPolicy): boolean =>
  tmp === 'private' && paths.every(({ path, effect }) => path !== TMP || effect === 'write')

/** Steps that hold a path against commands inside a writable root, where Landlock cannot. */
export const isHeldStep = ({ step }: MountStep): boolean => step === 'bind_read_only' || step === 'mask' || step === 'placeholder'

function stepsOf(policy: ResolvedPolicy, rule: PathRule, around: Surroundings, masks: Map<string, MaskOpening[]>): MountStep[] {
  const { path, effect, identity, kind } = rule
  // A private directory is writable from the start, and what of it the host has is hidden.
  if (path === TMP && hasPrivateTmp(policy)) return []
  if (identity === undefined || kind === 'missing') return missingSteps(policy, rule, around)
  const openings = around.rule === undefined ? undefined : masks.get(around.rule.path)
  switch (effect) {
    case 'write':
      if (openings === undefined) return [{ step: 'bind_writable', path, identity }]
      openings.push({ path, identity, effect })
      return []
    case 'read':
      if (openings !== undefined) openings.push({ path, identity, effect })
      else if (around.effect === 'write') return [{ step: 'bind_read_only', path, identity, ...whenGone(rule) }]
      else if (around.effect === 'private') return [{ step: 'bind_writable', path, identity }, { step: 'bind_read_only', path, identity }]
      return []
    case 'deny': {
      if (openings !== undefined) {
        // Hidden already; what is opened below it, is opened in the mask that hides both.
        masks.set(path, openings)
        return []
      }
      const own: MaskOpening[] = []
      masks.set(path, own)
      return [{ step: 'mask', path, identity, kind, openings: own }]
    }
    default: return effect satisfies never
  }
}

/** A file in a file's place: the host can then write or move its next one there. */
function whenGone({ kind, placeholder = kind === 'file' ? 'file' : 'directory', placeholderText, whileThere }: PathRule): Pick<Extract<MountStep, { step: 'bind_read_only' }>, 'gone'> {
  if (whileThere === true) return { gone: 'nothing' }
  return placeholder === 'directory' ? {} : { gone: { kind: placeholder, ...(placeholderText === undefined ? {} : { text: placeholderText }) } }
}

function missingSteps(policy: ResolvedPolicy, { path, effect, field, origin, placeholder, placeholderText }: PathRule, around: Surroundings): MountStep[] {
  if (effect === 'write') return []
  // Nothing of the host is there to bind, and what commands make there is theirs.
  if (effect === 'read' && around.effect === 'private') {
    throw new SandboxError('rule_not_enforceable', { field: field ?? origin, value: path }, { detail: 'it does not exist, and a private /tmp is writable', remedy: 'Drop the rule, or make the path first.' })
  }
  if (around.effect === 'write') {
    return [{
      step: 'placeholder', path, parent: identityOf(policy, parentOf(policy.platform, path)), kind: placeholder ?? 'directory', effect,
      ...(placeholderText === undefined ? {} : { text: placeholderText }),
    }]
  }
  // Below a denied path nothing shows, and a missing read rule in a read-only place says nothing new.
  const isHidden = around.effect === 'deny' && around.rule !== undefined
  return effect === 'deny' && !isHidden ? [{ step: 'watch', path, effect }] : []
}

/** The nearest folder above `path` that a rule, or the private /tmp, speaks for. */
function surroundings({ platform, base }: ResolvedPolicy, speaking: ReadonlyMap<string, PathRule>, isPrivate: boolean, path: string): Surroundings {
  for (const at of upwards(platform, path)) {
    if (at === path) continue
    if (isPrivate && at === TMP) return { effect: 'private', rule: undefined }
    const rule = speaking.get(at)
    if (rule !== undefined) return { effect: rule.effect, rule }
  }
  return { effect: base, rule: undefined }
}

/**
 * The directories between a writable root and what is mounted deeper in it. A mount moves along when a directory above it
 * is renamed, and the old path is free then; a directory that is a mount point itself cannot be renamed (EBUSY).
 */
function pins(policy: ResolvedPolicy, speaking: ReadonlyMap<string, PathRule>, steps: readonly MountStep[], around: (path: string) => Surroundings): MountStep[] {
  const pinned = new Set<string>()
  for (const { step, path } of steps) {
    if (step === 'private_directory' || step === 'watch') continue
    for (const at of upwards(policy.platform, path)) {
      if (at === path) continue
      // A rule's own mount is as good as a pin, and has seen to what is above it.
      if (speaking.has(at) || around(at).effect !== 'write') break
      pinned.add(at)
    }
  }
  return [...pinned].map(path => ({ step: 'pin', path, identity: identityOf(policy, path) }))
}

/** By depth, then by path; steps at one path stay in their order. */
function parentsFirst(steps: readonly MountStep[]): MountStep[] {
  return steps.map(step => ({ step, depth: depth('linux', step.path) }))
    .sort((a, b) => a.depth - b.depth || (a.step.path < b.step.path ? -1 : a.step.path > b.step.path ? 1 : 0))
    .map(({ step }) => step)
}

/** A directory that `resolve` has seen: one on the way to a rule, or a rule itself. */
function identityOf({ directories, paths }: ResolvedPolicy, path: string): FileIdentity {
  const identity = directories?.find(each => each.path === path)?.identity ?? paths.find(rule => rule.path === path)?.identity
  if (identity === undefined) throw new Error(`resolve() left out the directory ${JSON.stringify(path)}`)
  return identity
}

/** The rules, and where none shows the cwd again (mode read-only), one that does. */
function withCwd({ platform, cwd, tmp }: ResolvedPolicy, rules: readonly PathRule[], identity: FileIdentity): readonly PathRule[] {
  if (cwd === TMP) {
    throw new SandboxError('rule_not_enforceable', { field: 'tmp', value: tmp }, { detail: 'the policy\'s cwd is /tmp itself, which would be hidden', remedy: 'Start in another folder, or drop tmp.' })
  }
  const shows = ({ path, effect, kind }: PathRule) => effect !== 'deny' && kind !== 'missing' && path !== TMP && isInside(platform, TMP, path) && isInside(platform, path, cwd)
  if (!isInside(platform, TMP, cwd) || rules.some(shows)) return rules
  const shown: PathRule = { path: cwd, effect: 'read', origin: 'cwd', field: undefined, owner: undefined, kind: 'directory', identity }
  return [...rules, shown].sort((a, b) => depth(platform, a.path) - depth(platform, b.path))
}

/** @throws SandboxError where the rule cannot be meant for the sandbox's own */
function isOwnPlace({ path, effect, field, origin, owner }: PathRule): boolean {
  const place = OWN_PLACES.find(each => isInside('linux', each.path, path))
  if (place === undefined) return false
  // What is open there is open anyway; /dev/shm is as good as the host's for temporary files, and empty of the host's names.
  const isFine = effect === 'read' || (origin === 'tmp' && path === OWN_SHARED_MEMORY) || owner === OWN_SHARED_MEMORY
  if (isFine) return true
  throw new SandboxError('rule_not_enforceable', { field: field ?? origin, value: path }, { detail: place.detail, remedy: place.remedy })
}

function refuseRoot({ field, origin, effect, path }: PathRule): SandboxError {
  const remedy = effect === 'write' ? 'Name the folders to write to; or, with commands unconfined, say danger-full-access.' : 'Restrict reads with readAccess, and name what is readable.'
  return new SandboxError('rule_not_enforceable', { field: field ?? origin, value: path }, { detail: 'nothing can be mounted on the root directory that programs start from', remedy })
}

/** A mount holds one name of a file. Some file systems (drvfs, 9p, shares) lead to it by other spellings that no mount covers. */
function refuseCaseInsensitive({ platform, caseInsensitiveRoots, paths }: ResolvedPolicy, steps: readonly MountStep[]): void {
  for (const step of steps) {
    if (!isHeldStep(step) && step.step !== 'watch') continue
    const root = caseInsensitiveRoots.find(each => each !== step.path && isInside(platform, each, step.path))
    if (root === undefined) continue
    const rule = paths.find(({ path }) => path === step.path)
    throw new SandboxError('rule_not_enforceable', { field: rule?.field ?? rule?.origin ?? 'cwd', value: step.path }, {
      detail: `in ${JSON.stringify(root)} other spellings lead to the same file`, remedy: 'Work in a folder of a file system that tells letter case apart.',
    })
  }
}
