// From a call that the launcher refused or saw to a denial: only what the policy does deny is one. A file mode, a missing file or
// a missing privilege of the host is no denial of ours.
import type { AccessReport } from '../platform/backend.js'
import { decide } from '../policy/decide.js'
import type { Access, Decision, FileAccess } from '../policy/decision.js'
import { describeDecision } from '../policy/explain.js'
import type { HostSnapshot } from '../policy/host-snapshot.js'
import { looksAbsolute, resolveText } from '../policy/path-syntax.js'
import type { ResolvedPolicy } from '../policy/resolved-policy.js'
import type { Denial } from './denial.js'

type Refusal = Extract<Decision, { verdict: 'deny' }>

export interface Circumstances {
  readonly policy: ResolvedPolicy
  readonly host: HostSnapshot
  /** Of the command. */
  readonly cwd: string
}

/** Undefined: none of ours. */
export function denialOf(circumstances: Circumstances, report: AccessReport): Denial | undefined {
  switch (report.operation) {
    case 'unix-connect': return socketDenial(circumstances, report)
    case 'connect':      return networkDenial(circumstances, report)
    case 'system-call':  return callDenial(report)
    case 'read': case 'write': case 'create': case 'remove': case 'execute': return fileDenial(circumstances, report, report.operation)
    default: return report.operation satisfies never
  }
}

const origin = ({ pid, program, refused }: AccessReport): Pick<Denial, 'pid' | 'program' | 'certainty'> => ({ pid, program, certainty: refused ? 'refused' : 'observed' })

function fileDenial({ policy, host }: Circumstances, report: AccessReport, operation: FileAccess): Denial | undefined {
  const { path } = report
  if (path === undefined) return unknownDenial(report, operation)
  const access: Access = { kind: operation, path }
  const decision = decide(policy, access, host.files)
  if (decision.verdict === 'allow' || failsAnyway(decision, report, host.files.entry(path) !== undefined)) return undefined
  return { kind: 'file', operation, path, message: describeDecision(access, decision), ...('rule' in decision ? { rule: decision.rule } : {}), remedy: decision.remedy, ...origin(report) }
}

/** What would have failed without the sandbox too. */
function failsAnyway(decision: Refusal, { operation, modeRefuses, refused }: AccessReport, exists: boolean): boolean {
  if (refused) return false
  // A mask refuses by its mode as well: what hides a path is a rule that denies it.
  const hidden = decision.because === 'glob' || (decision.because === 'rule' && decision.rule.effect === 'deny')
  if (modeRefuses && !hidden) return true
  // What stands at a missing protected name is the sandbox's own.
  const placeholder = 'rule' in decision && decision.rule.kind === 'missing'
  if (operation === 'create') return exists && !placeholder
  return !exists && operation !== 'write'
}

function unknownDenial(report: AccessReport, operation: FileAccess): Denial {
  return {
    kind: 'file', operation, message: `${operation} by ${JSON.stringify(report.program)} at a path that is not known, as the program may not be looked into: it may have been denied.`,
    remedy: { text: 'see what the program itself says', flags: [], changes: [] }, ...origin(report),
  }
}

function socketDenial({ policy, cwd }: Circumstances, report: AccessReport): Denial {
  const path = absolute(policy, cwd, report.path ?? '')
  const access: Access = { kind: 'unix-connect', path }
  const decision = decide(policy, access)
  const base = { kind: 'unix-socket', operation: 'unix-connect', path, ...origin(report) } as const
  // The launcher judges by the socket's inode, the policy by its path: where the path alone would do, say what was seen.
  if (decision.verdict === 'allow') return { ...base, message: `connection to socket ${JSON.stringify(path)} denied: it was made outside the sandbox.`, remedy: { text: 'nothing allows this socket', flags: [], changes: [] } }
  return { ...base, message: describeDecision(access, decision), ...('rule' in decision ? { rule: decision.rule } : {}), remedy: decision.remedy }
}

function networkDenial({ policy }: Circumstances, report: AccessReport): Denial | undefined {
  const [, host, port] = /^\[?(.*?)\]?:(\d+)$/.exec(report.path ?? '') ?? []
  if (host === undefined) return undefined
  const access: Access = { kind: 'connect', host, port: Number(port) }
  const decision = decide(policy, access)
  if (decision.verdict === 'allow') return undefined
  return { kind: 'network', operation: 'connect', host, port: Number(port), message: describeDecision(access, decision), remedy: decision.remedy, ...origin(report) }
}

function callDenial(report: AccessReport): Denial {
  const call = report.path ?? 'unknown'
  return {
    kind: 'system-call', operation: 'system-call', call, message: `system call ${call} denied.`,
    remedy: { text: 'nothing allows this call in a sandbox', flags: [], changes: [] }, ...origin(report),
  }
}

/** As a command spelled it, from its cwd. */
export function absolute({ platform, home }: ResolvedPolicy, cwd: string, path: string): string {
  const expanded = path.startsWith('~/') && home !== undefined ? `${home}${path.slice(1)}` : path
  return resolveText(platform, looksAbsolute(expanded) ? '/' : cwd, expanded)
}
