// Commands of a sandbox that has an approval policy: each is decided about before it runs, and one that may leave the sandbox leaves it here.
import { CommandApprovals, type CommandApprovalOptions, type ApprovalOutcome, type CommandToApprove, deniesReading } from '../approval/command-approvals.js'
import { approveHosts, deniedHosts } from '../approval/approve-hosts.js'
import type { OnApproval } from '../approval/approval-request.js'
import { placesOfRules } from '../approval/load-rules.js'
import { SandboxError } from '../errors.js'
import type { ResolvedPolicy } from '../policy/resolved-policy.js'
import type { SandboxPolicy } from '../policy/sandbox-policy.js'
import { checkExecOptions } from './check-options.js'
import type { ApprovalChoice, ExecOptions, ParsedSandboxOptions } from './options.js'
import type { Encoding, ExecResult } from './result.js'
import type { Sandbox } from './sandbox.js'

/** @param Options  of the command itself, without what is for its approval */
type Run<E extends Encoding> = (sandbox: Sandbox, options: ExecOptions<E>) => Promise<ExecResult<E>>

/** Whoever may write rules approves himself, so the folder stays read-only, and what its links lead to; and hosts that rules deny are denied whatever the policy allows. */
export function withRules(given: ParsedSandboxOptions, approvals: CommandApprovalOptions): ParsedSandboxOptions {
  const { policy } = given
  const options = approvals.codexHome === undefined ? given : { ...given, selfPaths: [...given.selfPaths ?? [], ...placesOfRules(approvals.codexHome)] }
  if (policy.networkRules === undefined) return options
  return { ...options, policy: { ...policy, networkRules: { ...policy.networkRules, deniedDomains: [...new Set([...policy.networkRules.deniedDomains, ...deniedHosts(approvals)])] } } }
}

export class ApprovedCommands {
  /** For questions about hosts. */
  readonly onApproval: OnApproval
  readonly #approvals: CommandApprovals
  readonly #policy: ResolvedPolicy
  readonly #makeUnconfined: () => Promise<Sandbox>
  #unconfined: Promise<Sandbox> | undefined

  /**
   * @param asked           the policy as it was asked for: what it denies counts, whether it is there today or not
   * @param makeUnconfined  a sandbox that holds nothing, for what was approved to run without one
   */
  constructor(options: CommandApprovalOptions, onApproval: OnApproval | undefined, policy: ResolvedPolicy, asked: SandboxPolicy, makeUnconfined: () => Promise<Sandbox>) {
    this.#approvals = new CommandApprovals(options, { sandboxMode: policy.mode, deniesReading: deniesReading(asked), platform: policy.platform }, onApproval)
    this.onApproval = approveHosts(options, onApproval)
    this.#policy = policy
    this.#makeUnconfined = makeUnconfined
  }

  /**
   * Decides about `command`, asks where it has to, and runs it where it may.
   *
   * @param command  what it is judged by
   * @throws SandboxError `command_forbidden`, `approval_declined`, `approval_cancelled`; nothing ran then
   */
  async run<E extends Encoding>(sandbox: Sandbox, command: readonly string[], cwd: string, given: ExecOptions<E> & ApprovalChoice, run: Run<E>): Promise<ExecResult<E>> {
    const { choice, options } = takeApprovalChoice(given)
    // Nobody is asked about what could not be run.
    checkExecOptions(options)
    if (choice.sandboxPermissions === 'require_escalated' && options.background === 'keep') throw new SandboxError('option_invalid', { field: 'background', value: 'keep' }, { detail: 'what runs without the sandbox leaves nothing behind that the sandbox could keep', remedy: 'Leave it out.' })
    const asked = toApprove(command, cwd, options, choice)
    const first = allow(await this.#approvals.decide(asked, options.signal), command)
    const approval = { asked: first.asked, escalated: first.escalated, ...(first.warning === undefined ? {} : { warning: first.warning }) }
    if (first.escalated) return { ...await this.#outside(options, run), approval }
    const result = await run(sandbox, options)
    const again = mayRunAgain(result, options) ? await this.#approvals.decideRetry(asked, options.signal) : undefined
    if (again?.outcome !== 'run') return { ...result, approval }
    return { ...await this.#outside(options, run), approval: { asked: true, escalated: true, retried: true } }
  }

  /** For what begins at once and cannot wait for an answer. @throws SandboxError `command_forbidden` where it would have to be asked about */
  refuseUnasked(command: readonly string[], cwd: string, options: Pick<ExecOptions, 'additionalPermissions'>): void {
    const reason = this.#approvals.refusal(toApprove(command, cwd, options, {}))
    if (reason !== undefined) throw new SandboxError('command_forbidden', { field: 'command', value: [...command] }, { detail: `${reason}, and what begins at once cannot wait for an answer`, remedy: 'Use exec or shell, which wait.' })
  }

  /** @throws SandboxError as `run` */
  async decide(command: readonly string[], cwd: string, options: Pick<ExecOptions, 'additionalPermissions'>): Promise<void> {
    allow(await this.#approvals.decide(toApprove(command, cwd, options, {})), command)
  }

  async close(): Promise<void> {
    const unconfined = await this.#unconfined?.catch(() => undefined)
    await unconfined?.close()
  }

  /** What only widens or bounds the sandbox means nothing there; the folder is the same. */
  async #outside<E extends Encoding>({ additionalPermissions: _, network: __, ...options }: ExecOptions<E>, run: Run<E>): Promise<ExecResult<E>> {
    this.#unconfined ??= this.#makeUnconfined()
    return run(await this.#unconfined, { ...options, cwd: options.cwd ?? this.#policy.cwd } as ExecOptions<E>)
  }
}

/** A retry runs the same again: what was read from a stream is gone. Connections are asked about while they are made. */
function mayRunAgain<E extends Encoding>(result: ExecResult<E>, { stdin, background }: ExecOptions<E>): boolean {
  const whole = stdin === undefined || typeof stdin === 'string' || stdin instanceof Uint8Array
  return whole && background !== 'keep' && result.exitCode !== 0 && !result.timedOut && !result.cancelled && result.limit === undefined && result.denials.some(({ kind }) => kind !== 'network')
}

function toApprove(command: readonly string[], cwd: string, { additionalPermissions }: Pick<ExecOptions, 'additionalPermissions'>, choice: ApprovalChoice): CommandToApprove {
  const sandboxPermissions = choice.sandboxPermissions ?? (additionalPermissions === undefined ? undefined : 'with_additional_permissions')
  return {
    command, cwd,
    ...(sandboxPermissions === undefined ? {} : { sandboxPermissions }),
    ...(additionalPermissions === undefined ? {} : { additionalPermissions }),
    ...(choice.justification === undefined ? {} : { justification: choice.justification }),
    ...(choice.prefixRule === undefined ? {} : { prefixRule: choice.prefixRule }),
  }
}

function allow(outcome: ApprovalOutcome, command: readonly string[]): ApprovalOutcome & { readonly outcome: 'run' } {
  const place = { field: 'command', value: [...command] } as const
  switch (outcome.outcome) {
    case 'run':       return outcome
    case 'forbidden': throw new SandboxError('command_forbidden', place, { detail: outcome.reason })
    case 'declined':  throw new SandboxError('approval_declined', place, { detail: outcome.reason })
    case 'cancelled': throw new SandboxError('approval_cancelled', place, { detail: outcome.reason })
    default:          return outcome satisfies never
  }
}

function takeApprovalChoice<E extends Encoding>({ sandboxPermissions, justification, prefixRule, ...options }: ExecOptions<E> & ApprovalChoice): { choice: ApprovalChoice; options: ExecOptions<E> } {
  if (justification !== undefined && typeof justification !== 'string') throw new SandboxError('option_invalid', { field: 'justification', value: justification }, { detail: 'it must be a string', remedy: 'Correct it or leave it out.' })
  if (prefixRule !== undefined && !(Array.isArray(prefixRule) && prefixRule.every(word => typeof word === 'string'))) throw new SandboxError('option_invalid', { field: 'prefixRule', value: prefixRule }, { detail: 'it must be a list of words', remedy: 'Correct it or leave it out.' })
  return {
    choice: { ...(sandboxPermissions === undefined ? {} : { sandboxPermissions }), ...(justification === undefined ? {} : { justification }), ...(prefixRule === undefined ? {} : { prefixRule }) },
    options: options as ExecOptions<E>,
  }
}
