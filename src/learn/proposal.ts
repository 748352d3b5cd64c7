// From a policy and what a command was denied under it to the smallest policy that would permit it. Pure.
import type { Denial } from '../exec/denial.js'
import { escapeGlob } from '../policy/glob.js'
import { isInside } from '../policy/path-syntax.js'
import { presetPolicy } from '../policy/presets.js'
import type { SandboxPolicy } from '../policy/sandbox-policy.js'
import { collapseNeeds, isInCache, type Need, type Place, type Root } from './roots.js'

export interface LearnPlace extends Place {
  /** Of the policy, canonical, like the next two. */
  readonly cwd: string
  readonly slashTmp: string | undefined
  /** $TMPDIR. */
  readonly tmpdir: string | undefined
}

/** One change of the policy, and why. */
export interface Reason {
  readonly change: string
  readonly because: string
  /** What the change opens that a reader might not expect. */
  readonly warning?: string
}

/** A denial that the proposal leaves as it is. */
export interface Withheld {
  readonly denial: Denial
  readonly because: string
  /** The command ended with exit code 0 without it: there is nothing to decide. */
  readonly needless?: true
}

/** A denial, and the policy of the run in which it was met, as far as it says what another run would meet. */
export interface Met {
  readonly denial: Denial
  readonly caches: SandboxPolicy['caches']
}

/**
 * What becomes of denials that the network would allow, as it opens so much. `needless`: withheld, since the last run ended with exit code
 * 0. `untried`: withheld, since what else was denied is to be tried first. `open`: it is opened.
 */
export type NetworkStep = 'needless' | 'untried' | 'open'

export interface Proposal {
  readonly policy: SandboxPolicy
  readonly reasons: readonly Reason[]
  readonly withheld: readonly Withheld[]
}

/** What a denial asks for. */
type Want =
  | { readonly kind: 'write' | 'read'; readonly path: string; readonly tried: string }
  | { readonly kind: 'network'; readonly tried: string }
  | { readonly kind: 'git'; readonly tried: string }
  | { readonly kind: 'caches'; readonly tried: string }
  | { readonly kind: 'withheld'; readonly because: string; readonly needless?: true }

/**
 * @param base  the policy to start from; nothing of it is taken back
 * @param met   the denials of all runs so far
 */
export function propose(base: SandboxPolicy, met: readonly Met[], place: LearnPlace, network: NetworkStep): Proposal {
  // A path may be denied for another reason once the first is gone: then it wants both.
  const wants = [...new Map(met.map(each => [`${each.caches} ${each.denial.message}`, each])).values()]
    .flatMap(each => wantsOf(each, base, place, network).map(want => ({ want, denial: each.denial })))
  const needs = (kind: 'write' | 'read'): Need[] => wants.flatMap(({ want }) => want.kind === kind ? [{ path: want.path, tried: [want.tried] }] : [])
  const tried = (kind: 'network' | 'git' | 'caches'): string[] => wants.flatMap(({ want }) => want.kind === kind ? [want.tried] : [])
  const written = addWrites(base, needs('write'), place)
  const read = collapseNeeds(place, needs('read'))
  const [connections, commits, cached] = [tried('network'), tried('git'), tried('caches')]
  return {
    policy: {
      ...written.policy,
      ...(read.length === 0 ? {} : { read: union(base.read, read.map(({ path }) => escapeGlob(place.platform, path))) }),
      ...(cached.length === 0 ? {} : { caches: 'private' }),
      ...(connections.length === 0 ? {} : { network: 'open' }),
      ...(commits.length === 0 ? {} : { git: 'commits' }),
    },
    reasons: [
      ...written.reasons,
      ...(cached.length === 0 ? [] : [{ change: 'caches private', because: `it writes ${listed(cached)}: caches of this workspace stand in, as tools outside run what they find in their own` }]),
      ...read.map(root => ({ change: `read ${JSON.stringify(root.path)}`, because: because('it reads', root) })),
      ...(connections.length === 0 ? [] : [{
        change: 'network open', because: `it connects to ${listed(connections)}`, warning: 'the whole network of this machine is open then, its own services included',
      }]),
      ...(commits.length === 0 ? [] : [{
        change: 'git commits', because: `it writes ${listed(commits)}`, warning: '.git is writable then, except hooks, config and what else git on the host would run or believe',
      }]),
    ],
    withheld: [...new Map(wants.flatMap(({ want, denial }) => want.kind === 'withheld' ? [[denial.message, withholding(denial, want)] as const] : [])).values()],
  }
}

const withholding = (denial: Denial, { because, needless }: Extract<Want, { kind: 'withheld' }>): Withheld => ({ denial, because, ...(needless === true ? { needless } : {}) })

/** Secrets, protected paths and what the given policy closes are never opened by learning: a person has to name them. */
function wantsOf({ denial, caches }: Met, base: SandboxPolicy, place: LearnPlace, network: NetworkStep): Want[] {
  const { kind, operation, remedy, path } = denial
  const withheld = (because: string): Want[] => [{ kind: 'withheld', because }]
  if ((remedy.changes ?? []).some(change => change.operation === 'set' && change.field === 'networkAccess')) {
    if (network === 'needless') return [{ kind: 'withheld', because: 'the command ended with exit code 0 without it', needless: true }]
    if (network === 'untried') return withheld('the network was not tried: it comes last, and there were no runs left')
    return [{ kind: 'network', tried: denial.host === undefined ? `${denial.call}` : `"${denial.host}:${denial.port}"` }]
  }
  if (kind !== 'file' || path === undefined) return withheld(`nothing in a policy allows it. Instead: ${remedy.text}`)
  if (denial.rule?.origin === 'secret') return withheld('a place of keys or tokens')
  if ((remedy.changes ?? []).some(change => change.operation === 'set' && change.field === 'git')) return [{ kind: 'git', tried: JSON.stringify(path) }]
  switch (denial.rule?.origin) {
    case 'protected': return withheld('it is protected, as a program outside runs or believes it')
    case 'self':      return withheld('it runs or is trusted outside the sandbox')
    case 'rule':      return withheld('the policy that was given closes it')
    default:
  }
  // A cache that is denied again under private ones is one that its tool does not move.
  if (operation !== 'read' && operation !== 'execute' && caches === 'off' && mayMoveCaches(base) && isInCache(place, path)) return [{ kind: 'caches', tried: JSON.stringify(path) }]
  const { read = [], write = [] } = remedy.additionalPermissions?.fileSystem ?? {}
  if (read.length + write.length === 0) return withheld(remedy.text)
  // More than one place: in the new root something protected would have to be opened too.
  if (read.length + write.length > 1) return withheld('what it would open is protected, as a program outside runs or believes it')
  return [...read.map((at): Want => ({ kind: 'read', path: at, tried: path })), ...write.map((at): Want => ({ kind: 'write', path: at, tried: path }))]
}

/** Off by the mode, and not by somebody's word. */
const mayMoveCaches = (base: SandboxPolicy): boolean => base.caches === presetPolicy(base.mode, 'library').caches

function addWrites(base: SandboxPolicy, needs: readonly Need[], place: LearnPlace): { policy: SandboxPolicy; reasons: Reason[] } {
  const { cwd, slashTmp, tmpdir, platform } = place
  const within = (folder: string | undefined) => (path: string): boolean => folder !== undefined && isInside(platform, folder, path)
  const [inCwd, inTmp, inTmpdir] = [within(cwd), within(slashTmp), within(tmpdir)]
  const tried = (holds: (path: string) => boolean): string[] => needs.flatMap(need => holds(need.path) ? need.tried : [])
  const workspace = tried(inCwd)
  const temporary = tried(path => !inCwd(path) && inTmp(path))
  const temporaryByName = tried(path => !inCwd(path) && !inTmp(path) && inTmpdir(path))
  const roots = collapseNeeds(place, needs.filter(({ path }) => !inCwd(path) && !inTmp(path) && !inTmpdir(path)))
  const wantsMode = base.mode === 'read-only' && workspace.length + temporary.length + temporaryByName.length > 0
  // Each part of the mode only where it is needed; what the base has stays.
  const closedBefore = wantsMode ? { excludeSlashTmp: true, excludeTmpdirEnvVar: true } : { excludeSlashTmp: base.excludeSlashTmp, excludeTmpdirEnvVar: base.excludeTmpdirEnvVar }
  return {
    policy: {
      ...base,
      mode: wantsMode ? 'workspace-write' : base.mode,
      // As that mode has them, unless they were asked for.
      caches: wantsMode && base.caches === presetPolicy('read-only', 'library').caches ? presetPolicy('workspace-write', 'library').caches : base.caches,
      excludeSlashTmp: closedBefore.excludeSlashTmp && temporary.length === 0,
      excludeTmpdirEnvVar: closedBefore.excludeTmpdirEnvVar && temporaryByName.length === 0,
      write: union(base.write, roots.map(({ path }) => escapeGlob(platform, path))),
    },
    reasons: [
      ...(wantsMode ? [{ change: 'mode workspace-write', because: workspace.length === 0 ? 'temporary folders belong to it' : `it writes in the current folder: ${listed(quoted(workspace))}` }] : []),
      ...(temporary.length === 0 ? [] : [{ change: 'the folder /tmp', because: `it writes there: ${listed(quoted(temporary))}` }]),
      ...(temporaryByName.length === 0 ? [] : [{ change: 'the folder $TMPDIR', because: `it writes there: ${listed(quoted(temporaryByName))}` }]),
      ...roots.map(root => ({ change: `write ${JSON.stringify(root.path)}`, because: because('it writes', root) })),
    ],
  }
}

const because = (does: string, { path, tried, because }: Root): string =>
  tried.length === 1 && tried[0] === path ? `${does} it` : `${does} ${listed(quoted(tried))}${because === undefined ? '' : ` (${because})`}`

const quoted = (paths: readonly string[]): string[] => paths.map(path => JSON.stringify(path))

function listed(items: readonly string[]): string {
  const all = [...new Set(items)]
  return all.length > 2 ? `${all.slice(0, 2).join(', ')} and ${all.length - 2} more` : all.join(' and ')
}

const union = (before: readonly string[], more: readonly string[]): string[] => [...new Set([...before, ...more])]
