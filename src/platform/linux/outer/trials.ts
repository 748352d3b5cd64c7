// What a sandbox around this process would have to refuse, so that commands without one of their own stay within a policy. Pure.
import { decide } from '../../../policy/decide.js'
import { isInside, parentOf } from '../../../policy/path-syntax.js'
import type { ResolvedPolicy } from '../../../policy/resolved-policy.js'

/** One access that the policy denies, to be tried for real. `make`: a name that is not there. */
export interface Trial {
  readonly access: 'write' | 'make' | 'read'
  readonly path: string
}

/** How the names begin that trials make, so that whoever holds them can tell what they were. */
export const TRIAL_NAME = '.codex-sandbox-trial-'

/** Where a machine keeps what matters, whatever the policy names. */
const USUAL_PLACES = [
  '/', '/bin', '/boot', '/etc', '/etc/passwd', '/home', '/lib', '/mnt', '/opt', '/root', '/run', '/sbin', '/srv', '/tmp', '/usr', '/usr/bin', '/usr/lib', '/usr/local/bin', '/var', '/var/lib', '/var/tmp',
] as const
const IN_HOME = ['.bashrc', '.cache', '.config', '.gitconfig', '.local/bin', '.npmrc', '.profile', '.ssh', '.ssh/authorized_keys'] as const

/** Not files of anybody's: each sandbox has its own, or sees a part. */
const NOT_TRIED = ['/dev', '/proc', '/sys'] as const

export interface Places {
  /** Where something is mounted, what variables name: there an outer sandbox may let write. */
  readonly others: readonly string[]
  /** Of this package's own, where commands have caches: without a sandbox of their own they can write there. */
  readonly except: readonly string[]
  /** The canonical path; undefined where there is nothing. */
  readonly real: (path: string) => string | undefined
  /** Of a folder, the paths of what lies in it. */
  readonly entries: (folder: string) => readonly string[]
}

/**
 * The trials for `policy`: each of its rules that denies something, the folders above its roots and rules with what lies beside the way, where
 * something is mounted, and the usual places. No list of them is a proof: what they do not try may be open.
 */
export function outerTrials(policy: ResolvedPolicy, { others, except, real, entries }: Places): Trial[] {
  const ways = policy.paths.flatMap(({ path }) => [path, ...parentsOf(policy, path)])
  const inHome = policy.home === undefined ? [] : [policy.home, ...IN_HOME.map(name => `${policy.home}/${name}`)]
  const there = [...USUAL_PLACES, ...inHome, ...ways, ...policy.cwd, ...[policy.cwd, ...parentsOf(policy, policy.cwd)].flatMap(entries), ...others].flatMap(path => real(path) ?? [])
  const missing = policy.paths.filter(({ path, kind }) => kind === 'missing' && real(path) === undefined && real(parentOf(policy.platform, path)) !== undefined)
  const isTried = (path: string): boolean => ![...NOT_TRIED, ...except].some(place => isInside(policy.platform, place, path))
  const isDenied = (kind: 'read' | 'write' | 'create', path: string): boolean => decide(policy, { kind, path }).verdict === 'deny'
  return [
    ...unique(there).filter(isTried).flatMap((path): Trial[] => [
      ...(isDenied('write', path) ? [{ access: 'write', path } as const] : []),
      ...(isDenied('read', path) ? [{ access: 'read', path } as const] : []),
    ]),
    ...unique(missing.map(({ path }) => path)).filter(path => isTried(path) && isDenied('create', path)).map((path): Trial => ({ access: 'make', path })),
  ]
}

function parentsOf({ platform }: ResolvedPolicy, path: string): string[] {
  const parents: string[] = []
  for (let at = path; at !== '/'; parents.push(at)) at = parentOf(platform, at)
  return parents
}

const unique = (paths: readonly string[]): string[] => [...new Set(paths)].sort()
