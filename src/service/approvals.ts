// What the service asks its client: `item/commandExecution/requestApproval`, for commands and for hosts. The same question, while it is
// open, is one prompt that answers all who ask it. Whatever is not a decision that was offered is none, as are an error, no answer in time and
// a client that is gone: that is logged, and whoever asked is told that there was no answer, which declines.
import type { ApprovalDecision, ApprovalRequest, NetworkApprovalRequest, OnApproval } from '../approval/approval-request.js'
import { offeredDecision } from '../approval/approval-request.js'
import type { Channel } from './channel.js'
import { type ApprovalParams, requestApprovalResult } from './protocol.js'

const METHOD = 'item/commandExecution/requestApproval'
const ANSWER_WITHIN_MS = 300_000
const LONGEST_JUSTIFICATION = 1000
/** Shown of a client's answer, in a log. */
const SHOWN_CHARACTERS = 200

/** What a question is about, where it is known: the ids that a client shows it under. */
export interface Origin {
  readonly turnId: string
  readonly itemId: string
}

/** A decision, or in words why there is none. */
type Answer = { readonly decision: ApprovalDecision } | { readonly none: string }

interface Prompt {
  readonly answer: Promise<Answer>
  /** Those who still wait for the answer. */
  waiting: number
  withdraw(): void
}

export class Approvals {
  readonly #channel: Pick<Channel, 'ask' | 'forget' | 'notify'>
  readonly #threadId: string
  readonly #log: (text: string) => void
  readonly #answerWithinMs: number
  readonly #prompts = new Map<string, Prompt>()

  /** @param threadId  what questions of this client belong to */
  constructor(channel: Pick<Channel, 'ask' | 'forget' | 'notify'>, threadId: string, log: (text: string) => void, answerWithinMs = ANSWER_WITHIN_MS) {
    this.#channel = channel
    this.#threadId = threadId
    this.#log = log
    this.#answerWithinMs = answerWithinMs
  }

  /** Asks the client, in the form that the library's `onApproval` has. Rejects where no decision came. `origin`: of the one command that it can be about. */
  readonly ask = (request: ApprovalRequest, { signal }: { readonly signal: AbortSignal }, origin?: Origin): Promise<ApprovalDecision> => {
    if (signal.aborted) return Promise.resolve('cancel')
    const key = keyOf(request)
    const prompt = this.#prompts.get(key) ?? this.#open(key, request, origin ?? { turnId: request.kind, itemId: request.approvalId })
    prompt.waiting++
    return new Promise((resolve, reject) => {
      const leave = (): void => {
        resolve('cancel')
        if (--prompt.waiting === 0) prompt.withdraw()
      }
      signal.addEventListener('abort', leave, { once: true })
      void prompt.answer.then(answer => {
        signal.removeEventListener('abort', leave)
        if ('decision' in answer) resolve(answer.decision)
        else reject(new Error(answer.none))
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
    let settle!: (answer: Answer) => void
    const answered = new Promise<Answer>(resolve => { settle = resolve })
    const finish = (answer: Answer): void => {
      if (this.#prompts.get(key) !== prompt) return
      if ('none' in answer) this.#log(`question ${JSON.stringify(id)} is declined: ${answer.none}`)
      this.#prompts.delete(key)
      clearTimeout(timer)
      this.#channel.forget(id)
      this.#channel.notify('serverRequest/resolved', { threadId: this.#threadId, requestId: id })
      settle(answer)
    }
    const prompt: Prompt = { answer: answered, waiting: 0, withdraw: () => finish({ decision: 'cancel' }) }
    const timer = setTimeout(() => finish({ none: `nobody answered within ${this.#answerWithinMs / 1000} s` }), this.#answerWithinMs).unref()
    this.#prompts.set(key, prompt)
    answer.then(result => finish(readDecision(result, request)), (error: Error) => finish({ none: error.message }))
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

function readDecision(result: unknown, { availableDecisions }: ApprovalRequest): Answer {
  const read = requestApprovalResult.safeParse(result)
  const decision = read.success ? offeredDecision(read.data.decision, availableDecisions) : undefined
  if (decision !== undefined) return { decision }
  const given = (JSON.stringify(result) ?? 'nothing').slice(0, SHOWN_CHARACTERS)
  return { none: `the answer ${JSON.stringify(given)} is none of {"decision": …} with ${availableDecisions.map(each => JSON.stringify(each)).join(', ')}` }
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
