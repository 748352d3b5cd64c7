// How file work fails: as Node's own does, and where the policy is the reason, with the denial as well.
import { constants } from 'node:os'
import { resolve as resolvePath } from 'node:path'
import { getSystemErrorMap } from 'node:util'
import { SandboxError } from '../../errors.js'
import type { LaunchPlan } from '../../platform/launch-plan.js'
import { decide } from '../../policy/decide.js'
import type { FileAccess } from '../../policy/decision.js'
import { describeDecision } from '../../policy/explain.js'
import { followLinks, followLinksToParent } from '../../policy/follow-links.js'
import type { HostSnapshot } from '../../policy/host-snapshot.js'
import type { ResolvedPolicy } from '../../policy/resolved-policy.js'
import type { Denial } from '../denial.js'
import type { LookAtHost } from '../prepare.js'

export interface DeniedContext {
  readonly policy: ResolvedPolicy
  readonly plan: LaunchPlan
  readonly lookAtHost: LookAtHost
}

/** The policy refused it. `code` is `denied`; what Node's own error would say is in `errno` (a name here), `syscall`, `path` and `dest`. */
export class DeniedError extends SandboxError {
  readonly denial: Denial
  /** Such as `EROFS`. */
  override readonly errno: string
  readonly syscall: string
  override readonly path: string
  readonly dest: string | undefined

  constructor(denial: Denial, { errno, syscall, path, dest }: Failure) {
    const { message, remedy } = denial
    const end = message.lastIndexOf(`. To allow: ${remedy.text}`)
    super('denied', { field: syscall, value: path }, { detail: end === -1 ? message : message.slice(0, end), remedy: `To allow: ${remedy.text}.` })
    this.denial = denial
    this.errno = errno
    this.syscall = syscall
    this.path = path
    this.dest = dest
  }
}

/** A call that failed, as Node's own errors tell it. */
export interface Failure {
  readonly errno: string
  readonly syscall: string
  readonly path: string
  readonly dest?: string | undefined
}

/** What the kernel says where mounts or Landlock refuse; a file's own mode says some of them too, so the policy is asked. */
const REFUSALS: readonly string[] = ['EACCES', 'EPERM', 'EROFS', 'EBUSY', 'EXDEV']

/** The first of `operations` that the policy denies, where `errno` may mean that. */
export function deniedAccess({ policy, plan, lookAtHost }: DeniedContext, errno: string, path: string, operations: readonly FileAccess[]): Denial | undefined {
  if (!REFUSALS.includes(errno)) return undefined
  const host = lookAtHost('files')
  const absolute = resolvePath(plan.cwd.path, path)
  const exists = host.files.entry(absolute) !== undefined
  const possible = operations.filter(operation => operation === 'write' ? exists : operation === 'create' ? !exists || operations.length === 1 : true)
  for (const operation of possible) {
    const access = locate(host, operation, absolute)
    const decision = access === undefined ? undefined : decide(policy, access, host.files)
    if (access === undefined || decision === undefined || decision.verdict === 'allow') continue
    return {
      kind: 'file', operation, path: access.path, message: describeDecision(access, decision), ...('rule' in decision ? { rule: decision.rule } : {}),
      remedy: decision.remedy, certainty: 'observed',
    }
  }
  return undefined
}

/** As the kernel went; undefined for a loop. */
function locate(host: HostSnapshot, kind: FileAccess, path: string): { kind: FileAccess; path: string } | undefined {
  try {
    return { kind, path: (kind === 'create' || kind === 'remove' ? followLinksToParent(host, path, 'path') : followLinks(host, path, 'path')).path }
  } catch (error) {
    if (error instanceof SandboxError) return undefined
    throw error
  }
}

/** `ENOENT: no such file or directory, open '/x'`, with Node's fields; a DeniedError where there is a denial. */
export function fileError(failure: Failure, denial?: Denial): Error {
  if (denial !== undefined) return new DeniedError(denial, failure)
  const { errno: code, syscall, path, dest } = failure
  const number = (constants.errno as Readonly<Record<string, number>>)[code]
  const words = number === undefined ? 'unknown error' : getSystemErrorMap().get(-number)?.[1] ?? code
  const error = new Error(`${code}: ${words}, ${syscall} '${path}'${dest === undefined ? '' : ` -> '${dest}'`}`)
  return Object.assign(error, { code, ...(number === undefined ? {} : { errno: -number }), syscall, path, ...(dest === undefined ? {} : { dest }) })
}
