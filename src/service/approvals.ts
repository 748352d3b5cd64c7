// What the service asks its client: `item/commandExecution/requestApproval`, for commands and for hosts. The same question, while it is
// open, is one prompt that answers all who ask it. Whatever is not a decision that was offered declines; a client that is gone, that
// answers with an error or not in time, has not agreed.
import type { ApprovalDecision, ApprovalRequest, NetworkApprovalRequest, OnApproval } from '../approval/approval-request.js'
import { decisionOf } from '../approval/approval-request.js'
import type { Channel } from './channel.js'
import { type ApprovalParams, requestApprovalResult } from './protocol.js'

const METHOD = 'item/commandExecution/requestApproval'
const ANSWER_WITHIN_MS = 300_000
const LONGEST_JUSTIFICATION = 1000

/** What a question is about, where it is known: the ids that a client shows it under. */
export interface Origin {
  readonly turnId: string
  readonly itemId: string
}

interface Prompt {
  readonly answer: Promise<ApprovalDecision>
  /** Those who still wait for the answer. */
  waiting: number
  withdraw(): void
}

export class Approvals {
  readonly #channel: Pick<Channel, 'ask' | 'forget' | 'notify'>
  readonly #threadId: string
  readonly #answerWithinMs: number
  readonly #prompts = new Map<string, Prompt>()

  /** @param threadId  what questions of this client belong to */
  constructor(channel: Pick<Channel, 'ask' | 'forget' | 'notify'>, threadId: string, answerWithinMs = ANSWER_WITHIN_MS) {
    this.#channel = channel
    this.#threadId = threadId
    this.#answerWithinMs = answerWithinMs
  }

  /** Asks the client, in the form that the library's `onApproval` has. `origin`: of the one command that it can be about. */
  readonly ask = (request: ApprovalRequest, { signal }: { readonly signal: AbortSignal }, origin?: Origin): Promise<ApprovalDecision> => {
    if (signal.aborted) return Promise.resolve('cancel')
    const key = keyOf(request)
    const prompt = this.#prompts.get(key) ?? this.#open(key, request, origin ?? { turnId: request.kind, itemId: request.approvalId })
    prompt.waiting++
    return new Promise(resolve => {
      const leave = (): void => {
        resolve('cancel')
        if (--prompt.waiting === 0) prompt.withdraw()
      }
      signal.addEventListener('abort', leave, { once: true })
      void prompt.answer.then(decision => {
        signal.removeEventListener('abort', leave)
        resolve(decision)
      })
    })
  }

  /** The same, as an option of a sandbox. */
  onApproval(): OnApproval {
    return (request, options) => this.ask(request, options)
  }

  /** The same, about one command: its questions are shown under its ids. */
  about(origin: Origin): OnApproval {
    return (request, options) => this.ask(request, options, origin)
  }

  #open(key: string, request: ApprovalRequest, origin: Origin): Prompt {
    const { id, answer } = this.#channel.ask(METHOD, paramsOf(request, this.#threadId, origin))
    let settle!: (decision: ApprovalDecision) => void
    const decided = new Promise<ApprovalDecision>(resolve => { settle = resolve })
    const finish = (decision: ApprovalDecision): void => {
      if (this.#prompts.get(key) !== prompt) return
      this.#prompts.delete(key)
      clearTimeout(timer)
      this.#channel.forget(id)
      this.#channel.notify('serverRequest/resolved', { threadId: this.#threadId, requestId: id })
      settle(decision)
    }
    const prompt: Prompt = { answer: decided, waiting: 0, withdraw: () => finish('cancel') }
    const timer = setTimeout(() => finish('decline'), this.#answerWithinMs).unref()
    this.#prompts.set(key, prompt)
    answer.then(result => finish(readDecision(result, request)), () => finish('decline'))
    return prompt
  }
}

/** Questions with one key are one. A command's is its own: the retry of a command is another question than its first attempt. */
function keyOf(request: ApprovalRequest): string {
  if (request.kind === 'network') {
    const { networkApprovalContext: { host, protocol }, port } = request
    return JSON.stringify(['network', host.toLowerCase(), protocol, port])
  }
  const { command, cwd, attempt, sandboxPermissions, additionalPermissions } = request
  return JSON.stringify(['command', command, cwd, attempt, sandboxPermissions, additionalPermissions ?? null])
}

function readDecision(result: unknown, { availableDecisions }: ApprovalRequest): ApprovalDecision {
  const read = requestApprovalResult.safeParse(result)
  return read.success ? decisionOf(read.data.decision, availableDecisions) : 'decline'
}

function paramsOf(request: ApprovalRequest, threadId: string, origin: Origin): ApprovalParams {
  const common: ApprovalParams = {
    threadId, ...origin, startedAtMs: Date.now(), approvalId: request.approvalId, reason: request.reason, availableDecisions: request.availableDecisions as ApprovalParams['availableDecisions'],
  }
  if (request.kind === 'network') {
    return {
      ...common,
      networkApprovalContext: request.networkApprovalContext,
      command: request.command === undefined ? networkCommand(request) : shellWords(request.command),
      ...(request.cwd === undefined ? {} : { cwd: request.cwd }),
      ...(request.proposedNetworkPolicyAmendments === undefined ? {} : { proposedNetworkPolicyAmendments: [...request.proposedNetworkPolicyAmendments] }),
    }
  }
  const { additionalPermissions: more, justification } = request
  return {
    ...common,
    // Whoever asked chose these words: quoted, so that they cannot pass for ours.
    ...(justification === undefined ? {} : { reason: `${request.reason} (the asker says: ${JSON.stringify(justification.slice(0, LONGEST_JUSTIFICATION))})` }),
    command: shellWords(request.command),
    cwd: request.cwd,
    ...(request.proposedExecpolicyAmendment === undefined ? {} : { proposedExecpolicyAmendment: [...request.proposedExecpolicyAmendment] }),
    ...(more === undefined ? {} : { additionalPermissions: JSON.parse(JSON.stringify(more)) as ApprovalParams['additionalPermissions'] }),
  }
}

/** As the reference shows a connection of nobody in particular. */
const networkCommand = ({ networkApprovalContext: { host, protocol }, port }: NetworkApprovalRequest): string => `network-access ${protocol}://${host}:${port}`

/** The command as one would type it; who approves must see where a word ends. */
const shellWords = (argv: readonly string[]): string => argv.map(word => /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll('\'', '\'\\\'\'')}'`).join(' ')
