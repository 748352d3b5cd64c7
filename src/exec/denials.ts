// The denials of one command: calls that the launcher refused, and what the command itself reported, as far as the policy
// does deny it. A file mode or a missing privilege of the host is no denial of ours.
import { SandboxError } from '../errors.js'
import type { RefusedCall } from '../platform/backend.js'
import { decide } from '../policy/decide.js'
import type { Access, FileAccess } from '../policy/decision.js'
import { describeDecision } from '../policy/explain.js'
import { followLinks, followLinksToParent } from '../policy/follow-links.js'
import type { HostSnapshot } from '../policy/host-snapshot.js'
import { looksAbsolute, resolveText } from '../policy/path-syntax.js'
import type { ResolvedPolicy } from '../policy/resolved-policy.js'
import type { Denial } from './denial.js'
import { readReportedPaths } from './reported-paths.js'

export interface DenialSources {
  readonly policy: ResolvedPolicy
  readonly host: HostSnapshot
  /** Of the command. */
  readonly cwd: string
  /** What the command wrote to stderr. */
  readonly text: string
  readonly refused: readonly RefusedCall[]
}

/** Observed ones first, each access once. */
export function findDenials({ policy, host, cwd, text, refused }: DenialSources): Denial[] {
  const found = new Map<string, Denial>()
  const add = (denial: Denial | undefined): void => {
    const key = denial === undefined ? '' : `${denial.operation} ${denial.path}`
    if (denial !== undefined && !found.has(key)) found.set(key, denial)
  }
  for (const call of refused) add(refusedCall(policy, { ...call, path: absolute(policy, cwd, call.path) }))
  for (const { path, operations } of readReportedPaths(text)) add(reportedDenial(policy, host, absolute(policy, cwd, path), operations))
  return [...found.values()]
}

function refusedCall(policy: ResolvedPolicy, { path, pid, program }: RefusedCall): Denial {
  const access: Access = { kind: 'unix-connect', path }
  const decision = decide(policy, access)
  const origin = { kind: 'unix-socket', operation: 'unix-connect', path, pid, program, certainty: 'observed' } as const
  // The launcher judges by the socket's inode, the policy by its path: where the path alone would do, say what was seen.
  if (decision.verdict === 'allow') return { ...origin, message: `connection to socket ${JSON.stringify(path)} denied: it was made outside the sandbox.`, remedy: { text: 'nothing allows this socket', flags: [], changes: [] } }
  return { ...origin, message: describeDecision(access, decision), ...('rule' in decision ? { rule: decision.rule } : {}), remedy: decision.remedy }
}

/** The first of `operations` that the policy denies. */
function reportedDenial(policy: ResolvedPolicy, host: HostSnapshot, path: string, operations: readonly FileAccess[]): Denial | undefined {
  for (const operation of likely(host, path, operations)) {
    const access = locate(host, operation, path)
    if (access === undefined) return undefined
    const decision = decide(policy, access, host.files)
    if (decision.verdict === 'allow') continue
    return {
      kind: 'file', operation, path: access.path, message: describeDecision(access, decision), ...('rule' in decision ? { rule: decision.rule } : {}),
      remedy: decision.remedy, certainty: 'reported',
    }
  }
  return undefined
}

/** What is there is written, what is not is created; only what is there is read, removed or executed. */
function likely(host: HostSnapshot, path: string, operations: readonly FileAccess[]): FileAccess[] {
  const exists = host.files.entry(path) !== undefined
  const possible: Record<FileAccess, boolean> = { read: true, write: exists, create: !exists, remove: true, execute: true }
  const fitting = operations.filter(operation => possible[operation])
  return fitting.length > 0 ? fitting : [...operations]
}

/** Through the host's links, as the kernel went. Undefined where no kernel could: a loop, a text that is no path. */
function locate(host: HostSnapshot, kind: FileAccess, path: string): { kind: FileAccess; path: string } | undefined {
  try {
    const located = kind === 'create' || kind === 'remove' ? followLinksToParent(host, path, 'path') : followLinks(host, path, 'path')
    return { kind, path: located.path }
  } catch (error) {
    if (error instanceof SandboxError) return undefined
    throw error
  }
}

function absolute({ platform, home }: ResolvedPolicy, cwd: string, path: string): string {
  const expanded = path.startsWith('~/') && home !== undefined ? `${home}${path.slice(1)}` : path
  return resolveText(platform, looksAbsolute(expanded) ? '/' : cwd, expanded)
}
