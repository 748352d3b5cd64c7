// The denials of one command: what the launcher refused or saw, and what the command itself reported, as far as the policy does
// deny it.
import { SandboxError } from '../errors.js'
import type { AccessReport } from '../platform/backend.js'
import { decide } from '../policy/decide.js'
import type { FileAccess } from '../policy/decision.js'
import { describeDecision } from '../policy/explain.js'
import { followLinks, followLinksToParent } from '../policy/follow-links.js'
import type { HostSnapshot } from '../policy/host-snapshot.js'
import type { ResolvedPolicy } from '../policy/resolved-policy.js'
import { absolute, type Circumstances, denialOf } from './access-denial.js'
import type { Denial } from './denial.js'
import { readReportedPaths } from './reported-paths.js'

export interface DenialSources extends Circumstances {
  /** What the command wrote to stderr. */
  readonly text: string
  readonly reports: readonly AccessReport[]
}

/** What the launcher saw first, each access once; of what the command reports only paths of which the launcher saw nothing. */
export function findDenials({ policy, host, cwd, text, reports }: DenialSources): Denial[] {
  const found = new Map<string, Denial>()
  const add = (denial: Denial | undefined): void => {
    const key = denial === undefined ? '' : keyOf(denial)
    if (denial !== undefined && !found.has(key)) found.set(key, denial)
  }
  for (const report of reports) add(denialOf({ policy, host, cwd }, report))
  const seen = new Set([...found.values()].map(({ path }) => path))
  for (const { path, operations } of readReportedPaths(text)) {
    const denial = reportedDenial(policy, host, absolute(policy, cwd, path), operations)
    if (!seen.has(denial?.path)) add(denial)
  }
  return [...found.values()]
}

const keyOf = ({ operation, path, host, port, call, program }: Denial): string =>
  [operation, path ?? (host === undefined ? call ?? `by ${program}` : `${host}:${port}`)].join(' ')

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
