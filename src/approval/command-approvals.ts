// The whole way of one command from its words to "it may run": rules, the approval policy, what this session approved, and a question.
import { randomUUID } from 'node:crypto'
import { SandboxError } from '../errors.js'
import { type AdditionalPermissions, keyOfPermissions } from '../policy/additional-permissions.js'
import type { SandboxMode, SandboxPolicy } from '../policy/sandbox-policy.js'
import { type ApprovalDecision, type CommandApprovalRequest, offeredDecision, type OnApproval, type SandboxPermissions } from './approval-request.js'
import { type ApprovalPolicy, assessWithReasons, settingOf } from './assess.js'
import { mergeRules } from './command-rules.js'
import { loadRules, type RequiredRule, requiredRules, userRulesFile } from './load-rules.js'
import { SHELLS, trustedName } from './programs.js'
import { appendPrefixRule } from './write-rules.js'

/** How commands of one session are approved. */
export interface CommandApprovalOptions {
  readonly approvalPolicy: ApprovalPolicy
  /** Absolute: CODEX_HOME, whose rules count and are amended. Without it there are neither rules nor amendments. */
  readonly codexHome?: string
  /** Absolute: projects that the user trusts. Their `.codex/rules` may prompt and forbid. */
  readonly trustedFolders?: readonly string[]
  /** `[rules] prefix_rules` of requirements. */
  readonly requiredRules?: readonly RequiredRule[]
  /** Default: true. */
  readonly allowLoginShell?: boolean
  /** How long an answer is waited for, before it counts as no. Default: 300,000. */
  readonly answerWithinMs?: number
}

/** What the commands run in. */
export interface CommandPlace {
  readonly sandboxMode: SandboxMode
  /** Something may not be read there. */
  readonly deniesReading: boolean
  readonly platform: 'linux' | 'macos' | 'windows'
}

/** As the policy was asked for: what it denies counts, whether it is there today or not. */
export const deniesReading = ({ denySecrets, deny, readAccess }: SandboxPolicy): boolean => denySecrets !== false || deny.length > 0 || readAccess.kind === 'restricted'

export interface CommandToApprove {
  readonly command: readonly string[]
  /** Absolute. */
  readonly cwd: string
  readonly sandboxPermissions?: SandboxPermissions
  readonly additionalPermissions?: AdditionalPermissions
  readonly justification?: string
  readonly prefixRule?: readonly string[]
}

/** `escalated`: without the sandbox, as somebody approved. `warning`: what was approved besides and could not be done. */
export type ApprovalOutcome =
  | { readonly outcome: 'run'; readonly asked: boolean; readonly escalated: boolean; readonly warning?: string }
  | { readonly outcome: 'forbidden' | 'declined' | 'cancelled'; readonly reason: string }

const ANSWER_WITHIN_MS = 300_000

export class CommandApprovals {
  readonly #options: CommandApprovalOptions
  readonly #place: CommandPlace
  readonly #onApproval: OnApproval | undefined
  readonly #requirements
  /** Whole commands with their folder and permissions, as `keyOf` has them. */
  readonly #session = new Set<string>()

  /** @throws SandboxError `option_invalid` for an approval policy that there is none of */
  constructor(options: CommandApprovalOptions, place: CommandPlace, onApproval: OnApproval | undefined) {
    settingOf(options.approvalPolicy)
    this.#options = options
    this.#place = place
    this.#onApproval = onApproval
    this.#requirements = requiredRules(options.requiredRules ?? [], 'requirements')
  }

  /** Without asking anybody: undefined where it may run as it is, else why not. */
  refusal(asked: CommandToApprove): string | undefined {
    const { assessment: result } = this.#assess(asked)
    return 'run' in result ? undefined : 'ask' in result ? result.ask : result.forbidden
  }

  /**
   * Decides about one command, and asks where it has to. Rules are read anew each time, so that a mended or amended file counts at once.
   *
   * @param signal      whoever wanted it does not any more
   * @param onApproval  asked in the place of the session's own
   * @throws SandboxError `argument_invalid`, `option_invalid`
   */
  async decide(asked: CommandToApprove, signal?: AbortSignal, onApproval = this.#onApproval): Promise<ApprovalOutcome> {
    const escalated = asked.sandboxPermissions === 'require_escalated' && (this.#place.sandboxMode === 'read-only' || this.#place.sandboxMode === 'workspace-write')
    const { assessment: result, byRules } = this.#assess(asked)
    if ('run' in result) return { outcome: 'run', asked: false, escalated: false }
    if ('forbidden' in result) return { outcome: 'forbidden', reason: result.forbidden }
    const key = keyOf(asked, byRules)
    if (this.#session.has(key)) return { outcome: 'run', asked: false, escalated }
    const amendment = this.#options.codexHome === undefined ? undefined : result.amendment
    const decision = await this.#ask(onApproval, asked, 'first', result.ask, amendment, signal)
    const outcome = this.#outcomeOf(decision, result.ask, escalated, key)
    if (typeof decision !== 'object' || !('acceptWithExecpolicyAmendment' in decision)) return outcome
    return { outcome: 'run', asked: true, escalated, ...await this.#amend(decision.acceptWithExecpolicyAmendment.execpolicy_amendment) }
  }

  /**
   * Whether a command that was denied something may run again without the sandbox. Asked by itself: no answer to the first question, nor
   * one for the session, counts for it.
   *
   * @returns undefined where that is not asked under this approval policy, or the policy denies reading something
   */
  async decideRetry(asked: CommandToApprove, signal?: AbortSignal, onApproval = this.#onApproval): Promise<ApprovalOutcome | undefined> {
    const setting = settingOf(this.#options.approvalPolicy)
    const confined = this.#place.sandboxMode === 'read-only' || this.#place.sandboxMode === 'workspace-write'
    if ((setting !== 'untrusted' && setting !== 'on-failure') || this.#place.deniesReading || !confined || onApproval === undefined) return undefined
    // The rules may have changed since, and forbid it now.
    const escalation: CommandToApprove = { ...asked, sandboxPermissions: 'require_escalated' }
    const { additionalPermissions: _, ...plain } = escalation
    const { assessment: result } = this.#assess(plain)
    if ('forbidden' in result) return { outcome: 'forbidden', reason: result.forbidden }
    const reason = 'command failed; retry without sandbox?'
    return this.#outcomeOf(await this.#ask(onApproval, plain, 'retry', reason, undefined, signal, ['accept', 'decline', 'cancel']), reason, true, undefined)
  }

  #assess({ command, sandboxPermissions, additionalPermissions, prefixRule }: CommandToApprove) {
    const { approvalPolicy, codexHome, trustedFolders, allowLoginShell } = this.#options
    const rules = codexHome === undefined ? undefined : loadRules({ codexHome, ...(trustedFolders === undefined ? {} : { trustedFolders }) })
    return assessWithReasons(command, {
      approvalPolicy, ...this.#place, requirements: this.#requirements,
      ...(rules === undefined ? {} : { rules: mergeRules(rules) }),
      ...(allowLoginShell === undefined ? {} : { allowLoginShell }),
      ...(sandboxPermissions === undefined ? {} : { sandboxPermissions }),
      ...(additionalPermissions === undefined ? {} : { additionalPermissions }),
      ...(prefixRule === undefined ? {} : { prefixRule }),
    })
  }

  #outcomeOf(decision: ApprovalDecision | undefined, reason: string, escalated: boolean, key: string | undefined): ApprovalOutcome {
    switch (decision) {
      case 'accept': return { outcome: 'run', asked: true, escalated }
      case 'acceptForSession':
        if (key !== undefined) this.#session.add(key)
        return { outcome: 'run', asked: true, escalated }
      case 'cancel':  return { outcome: 'cancelled', reason }
      case undefined: return { outcome: 'declined', reason: `${reason} (it was asked about and got no valid answer)` }
      default:        return { outcome: 'declined', reason }
    }
  }

  /** Undefined: no answer, or none that was offered. */
  async #ask(onApproval: OnApproval | undefined, asked: CommandToApprove, attempt: 'first' | 'retry', reason: string, amendment: readonly string[] | undefined, signal: AbortSignal | undefined, words: readonly ApprovalDecision[] = ['accept', 'acceptForSession', 'decline', 'cancel']): Promise<ApprovalDecision | undefined> {
    if (onApproval === undefined) return 'decline'
    const availableDecisions: ApprovalDecision[] = words.flatMap(word => word === 'decline' && amendment !== undefined ? [{ acceptWithExecpolicyAmendment: { execpolicy_amendment: amendment } }, word] : [word])
    const request: CommandApprovalRequest = {
      kind: 'command', approvalId: randomUUID(), reason, availableDecisions, command: [...asked.command], cwd: asked.cwd, attempt, sandboxPermissions: asked.sandboxPermissions ?? 'use_default',
      ...(asked.justification === undefined ? {} : { justification: asked.justification }),
      ...(asked.additionalPermissions === undefined ? {} : { additionalPermissions: structuredClone(asked.additionalPermissions) }),
      ...(amendment === undefined ? {} : { proposedExecpolicyAmendment: [...amendment] }),
    }
    return offeredDecision(await answerOf(onApproval, request, signal, this.#options.answerWithinMs ?? ANSWER_WITHIN_MS), availableDecisions)
  }

  /** The command was approved whether or not the rule can be written; that it could not is told. */
  async #amend(prefix: readonly string[]): Promise<{ warning?: string }> {
    try {
      await appendPrefixRule(userRulesFile(this.#options.codexHome as string), prefix)
      return {}
    } catch (error) {
      if (!(error instanceof SandboxError)) throw error
      return { warning: `the rule was not written: ${error.message}` }
    }
  }
}

/** Undefined, which is no decision, where nobody answers in time, the asker is gone, or the callback throws. */
async function answerOf(onApproval: OnApproval, request: CommandApprovalRequest, signal: AbortSignal | undefined, withinMs: number): Promise<unknown> {
  if (signal?.aborted === true) return 'cancel'
  const abort = new AbortController()
  let timer: NodeJS.Timeout | undefined
  let gone: (() => void) | undefined
  const nobody = new Promise<unknown>(resolve => {
    timer = setTimeout(() => resolve(undefined), withinMs)
    gone = () => resolve('cancel')
    signal?.addEventListener('abort', gone, { once: true })
  })
  try {
    // In a later turn, so that what it throws at once is an answer too.
    const answer = Promise.resolve().then(() => onApproval(request, { signal: abort.signal })).catch(() => undefined)
    return await Promise.race([answer, nobody])
  } finally {
    clearTimeout(timer)
    if (gone !== undefined) signal?.removeEventListener('abort', gone)
    abort.abort()
  }
}

/**
 * The same for the same command, folder and permissions, and for what rules asked: a rule that came since is another question. A shell
 * counts as the same by whichever path of the system it was named.
 */
function keyOf({ command, cwd, sandboxPermissions = 'use_default', additionalPermissions }: CommandToApprove, byRules: readonly string[]): string {
  const [program = '', ...words] = command
  const name = trustedName(program)
  return JSON.stringify([name !== undefined && Object.hasOwn(SHELLS, name) ? name : program, words, byRules, cwd, sandboxPermissions, additionalPermissions === undefined ? '' : keyOfPermissions(additionalPermissions)])
}
