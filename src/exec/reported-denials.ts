// What a command itself reported as denied, as far as the policy does deny it.
import { SandboxError } from '../errors.js'
import type { Observation } from '../platform/launch-plan.js'
import { decide } from '../policy/decide.js'
import type { FileAccess } from '../policy/decision.js'
import { describeDecision } from '../policy/explain.js'
import { followLinks, followLinksToParent } from '../policy/follow-links.js'
import type { HostSnapshot } from '../policy/host-snapshot.js'
import type { ResolvedPolicy } from '../policy/resolved-policy.js'
import { absolute, type Circumstances } from './access-denial.js'
import { type Denial, keyOf } from './denial.js'
import { readReportedPaths } from './reported-paths.js'

export interface ReportSources {
  /** What the command wrote to stderr. */
  readonly text: string
  /** What the launcher saw of all accesses: of these, only what it told was denied. */
  readonly observe: Observation
  /** Paths of which the launcher told a denial: nothing is said about them again. */
  readonly seen: ReadonlySet<string | undefined>
}

/** Each access once. */
export function reportedDenials({ policy, host, cwd }: Circumstances, { text, observe, seen }: ReportSources): Denial[] {
  const found = new Map<string, Denial>()
  for (const { path, operations, readOnly } of readReportedPaths(text)) {
    const open = operations.filter(operation => readOnly || !isObserved(operation, observe))
    const denial = open.length === 0 ? undefined : reportedDenial(policy, host, absolute(policy, cwd, path), open)
    const key = denial === undefined ? '' : keyOf(denial)
    if (denial !== undefined && !seen.has(denial.path) && !found.has(key)) found.set(key, denial)
  }
  return [...found.values()]
}

const isObserved = (operation: FileAccess, observe: Observation): boolean =>
  observe === 'reads' || (observe === 'writes' && operation !== 'read' && operation !== 'execute')

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
