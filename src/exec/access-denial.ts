// From a call that the launcher refused or saw to a denial: only what the policy does deny is one. A file mode, a missing file or
// a missing privilege of the host is no denial of ours.
import type { AccessReport } from '../platform/backend.js'
import { decide } from '../policy/decide.js'
import type { Access, Decision, FileAccess, Remedy } from '../policy/decision.js'
import { describeDecision } from '../policy/explain.js'
import type { FileSystemView, HostSnapshot } from '../policy/host-snapshot.js'
import { isLoopback } from '../policy/decide-host.js'
import type { FileRequest } from '../policy/judge-path.js'
import { looksAbsolute, resolveText } from '../policy/path-syntax.js'
import type { ResolvedPolicy } from '../policy/resolved-policy.js'
import type { Denial } from './denial.js'
import { explainRefusedCall, PAST_PROXY } from './refused-calls.js'
import type { RememberedAnswers } from './remembered-answers.js'

type Refusal = Extract<Decision, { verdict: 'deny' }>

export interface Circumstances {
  readonly policy: ResolvedPolicy
  /** Looked at where something depends on it. */
  readonly host: HostSnapshot
  /** Of the command. */
  readonly cwd: string
}

/** What was made of an access to a file, whoever tried it; undefined: none of ours. */
export type JudgedFile = Omit<Denial, keyof ReturnType<typeof origin>> | undefined

/**
 * Undefined: none of ours.
 *
 * @param remembered  what was made of others before; absent: each is judged anew
 */
export function denialOf(circumstances: Circumstances, report: AccessReport, remembered?: RememberedAnswers<JudgedFile>): Denial | undefined {
  switch (report.operation) {
    case 'unix-connect': return socketDenial(circumstances, report)
    case 'connect':      return networkDenial(circumstances, report)
    case 'system-call':  return callDenial(circumstances, report)
    case 'read': case 'write': case 'create': case 'remove': case 'execute': return fileDenial(circumstances, report, report.operation, remembered)
    default: return report.operation satisfies never
  }
}

const origin = ({ pid, program, refused }: AccessReport): Pick<Denial, 'pid' | 'program' | 'certainty'> => ({ ...(pid === undefined ? {} : { pid }), program, certainty: refused ? 'refused' : 'observed' })

function fileDenial(circumstances: Circumstances, report: AccessReport, operation: FileAccess, remembered: RememberedAnswers<JudgedFile> | undefined): Denial | undefined {
  const { path, refused, modeRefuses, missing = false } = report
  if (path === undefined) return unknownDenial(report, operation)
  const { policy } = circumstances
  const judge = (files: FileSystemView): JudgedFile => judgeFile(policy, files, { kind: operation, path }, report)
  const judged = remembered === undefined ? judge(circumstances.host.files) : remembered.answer(policy, `${operation} ${refused} ${modeRefuses} ${missing} ${path}`, () => circumstances.host.files, judge)
  return judged === undefined ? undefined : { ...judged, ...origin(report) }
}

/** Follows from what it is given, and from what it sees of `files`. */
function judgeFile(policy: ResolvedPolicy, files: FileSystemView, access: FileRequest, report: Pick<AccessReport, 'refused' | 'modeRefuses' | 'missing'>): JudgedFile {
  const { kind: operation, path } = access
  const judged = decide(policy, access, files)
  if (judged.verdict === 'allow' || failsAnyway(judged, operation, report.refused, () => report.missing !== true && files.entry(path) !== undefined)) return undefined
  // A mask refuses by its mode as well: what it hides is a rule that denies it.
  const decision: Refusal = report.modeRefuses && !isHidden(judged) ? { ...judged, remedy: NO_REMEDY_FOR_MODE } : judged
  return { kind: 'file', operation, path, message: describeDecision(access, decision), ...('rule' in decision ? { rule: decision.rule } : {}), remedy: decision.remedy }
}

const isHidden = (decision: Refusal): boolean => decision.because === 'glob' || (decision.because === 'rule' && decision.rule.effect === 'deny')

const NO_REMEDY_FOR_MODE: Remedy = { text: 'no change of the policy does, as its own mode refuses it too', flags: [], changes: [] }

/** What would have failed without the sandbox too. */
function failsAnyway(decision: Refusal, operation: FileAccess, refused: boolean, exists: () => boolean): boolean {
  if (refused) return false
  // What stands at a missing protected name is the sandbox's own.
  const placeholder = 'rule' in decision && decision.rule.kind === 'missing'
  if (operation === 'create') return !placeholder && exists()
  return operation !== 'write' && !exists()
}

function unknownDenial(report: AccessReport, operation: FileAccess): Denial {
  return {
    kind: 'file', operation, message: `${operation} by ${JSON.stringify(report.program)} at a path that is not known, as the program may not be looked into: it may have been denied.`,
    remedy: { text: 'see what the program itself says', flags: [], changes: [] }, ...origin(report),
  }
}

function socketDenial({ policy, cwd }: Circumstances, report: AccessReport): Denial {
  if (report.path?.startsWith('@') === true) return abstractDenial(report, report.path)
  const path = absolute(policy, cwd, report.path ?? '')
  const access: Access = { kind: 'unix-connect', path }
  const decision = decide(policy, access)
  const base = { kind: 'unix-socket', operation: 'unix-connect', path, ...origin(report) } as const
  // The launcher judges by the socket's inode, the policy by its path: where the path alone would do, say what was seen.
  if (decision.verdict === 'allow') return { ...base, message: `connection to socket ${JSON.stringify(path)} denied: it was made outside the sandbox.`, remedy: { text: 'nothing allows this socket', flags: [], changes: [] } }
  return { ...base, message: describeDecision(access, decision), ...('rule' in decision ? { rule: decision.rule } : {}), remedy: decision.remedy }
}

/** No path: nothing in a policy names it. */
function abstractDenial(report: AccessReport, path: string): Denial {
  return {
    kind: 'unix-socket', operation: 'unix-connect', path, message: `connection to the abstract socket ${JSON.stringify(path)} denied: abstract names of this machine are closed.`,
    remedy: { text: 'use a socket with a path', flags: [], changes: [] }, ...origin(report),
  }
}

function networkDenial({ policy }: Circumstances, report: AccessReport): Denial | undefined {
  const [, host, port] = /^\[?(.*?)\]?:(\d+)$/.exec(report.path ?? '') ?? []
  if (host === undefined) return undefined
  const access: Access = { kind: 'connect', host, port: Number(port) }
  // The host's resolver on its own loopback, which this one is not: told by the launcher for its port alone.
  const isLookup = Number(port) === PORT_OF_NAMES && isLoopback(host)
  // Where there is a loopback of the sandbox's own, nothing of it is refused.
  if (report.refused && isLoopback(host) && Number(port) > 0) return localPortDenial(report, host, Number(port))
  if (policy.network === 'proxied') return isLoopback(host) && !isLookup ? undefined : pastProxyDenial(report, host, Number(port))
  const decision = decide(policy, isLookup ? { ...access, host: '0.0.0.0' } : access)
  if (decision.verdict === 'allow') return undefined
  return { kind: 'network', operation: 'connect', host, port: Number(port), message: describeDecision(access, decision), remedy: decision.remedy, ...origin(report) }
}

/** Without a network namespace the loopback is the host's. */
function localPortDenial(report: AccessReport, host: string, port: number): Denial {
  return {
    kind: 'network', operation: 'connect', host, port, message: `connection to ${JSON.stringify(`${host}:${port}`)} denied: the loopback is this machine's own here. To allow: add ${port} to network.allowLocalPorts.`,
    remedy: { text: `add ${port} to network.allowLocalPorts`, flags: ['--allow-local-port', String(port)], changes: [] }, ...origin(report),
  }
}

/** Rules are the proxy's to judge: this one never asked it. */
function pastProxyDenial(report: AccessReport, host: string, port: number): Denial {
  const what = port === PORT_OF_NAMES ? 'lookup of a name at' : 'connection to'
  return {
    kind: 'network', operation: 'connect', host, port, message: `${what} ${JSON.stringify(`${host}:${port}`)} denied: the program went past the proxy, which alone leads out. Instead: ${PAST_PROXY}.`,
    remedy: { text: PAST_PROXY, flags: [], changes: [] }, ...origin(report),
  }
}

const PORT_OF_NAMES = 53

function callDenial({ policy }: Circumstances, report: AccessReport): Denial {
  const call = report.path ?? 'unknown'
  return { kind: 'system-call', operation: 'system-call', call, ...explainRefusedCall(policy, call, report.program), ...origin(report) }
}

/** As a command spelled it, from its cwd. */
export function absolute({ platform, home }: ResolvedPolicy, cwd: string, path: string): string {
  const expanded = path.startsWith('~/') && home !== undefined ? `${home}${path.slice(1)}` : path
  return resolveText(platform, looksAbsolute(expanded) ? '/' : cwd, expanded)
}
