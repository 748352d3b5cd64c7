// Asks about hosts that no rule names. Connections that want the same at the same time share one question.
import type { HostRequest } from '../policy/domains.js'
import { parseHost } from '../policy/host-name.js'

/**
 * Answers `accept`, `acceptForSession`, `decline`, `cancel` or `{ applyNetworkPolicyAmendment: { network_policy_amendment: { host, action } } }`, as on
 * the wire; all else refuses. `request.host` is in its normal form. `source`: of the connection that wanted to know first.
 */
export type Ask = (request: HostRequest, options: { readonly signal: AbortSignal; readonly source: unknown }) => Promise<unknown>

export interface ApprovalOptions {
  readonly ask: Ask
  /** How long an answer may take. Default: 300,000. */
  readonly timeoutMs?: number
  /** Told of each connection that begins to wait and that ends to wait, with its source. */
  readonly onPrompt?: (open: boolean, source: unknown) => void
}

/** `accepted`: this time or for good. `declined`: no. `denied`: no, for good. `timed-out`, `failed`: nobody answered, or not with an answer. */
export type Approval = 'accepted' | 'declined' | 'denied' | 'timed-out' | 'failed' | 'aborted'

export interface Approvals {
  /** `request.host` in its normal form. `signal`: the connection that waits is gone. Never rejects. */
  decide(request: HostRequest, source: unknown, signal: AbortSignal): Promise<Approval>
  /** Aborts the questions that are open, and denies whoever waits. */
  close(): void
}

const DEFAULT_TIMEOUT_MS = 300_000
/** More at a time would be no question to anybody, but a flood. */
const MOST_QUESTIONS = 64

interface Question {
  readonly answer: Promise<Approval>
  readonly abort: AbortController
  waiting: number
}

/** What was accepted or denied for good is kept as long as the proxy lives. */
export function createApprovals({ ask, timeoutMs = DEFAULT_TIMEOUT_MS, onPrompt }: ApprovalOptions): Approvals {
  const open = new Map<string, Question>()
  const accepted = new Set<string>()
  /** Hosts, whatever the protocol and port: what an amendment names. */
  const amended = new Map<string, 'allow' | 'deny'>()
  let closed = false

  const keep = (key: string, host: string, answer: unknown): Approval => {
    if (answer === 'accept') return 'accepted'
    if (answer === 'acceptForSession') {
      accepted.add(key)
      return 'accepted'
    }
    if (answer === 'decline' || answer === 'cancel') return 'declined'
    const amendment = readAmendment(answer)
    // An amendment for another host answers another question.
    if (amendment?.host !== host) return 'failed'
    amended.set(host, amendment.action)
    return amendment.action === 'allow' ? 'accepted' : 'denied'
  }

  const start = (key: string, request: HostRequest, source: unknown): Question => {
    const abort = new AbortController()
    const question: Question = {
      abort,
      waiting: 0,
      answer: untilAnswered(ask, request, source, abort, timeoutMs).then(outcome => outcome.kind === 'answered' ? keep(key, request.host, outcome.answer) : outcome.kind)
        .finally(() => { if (open.get(key) === question) open.delete(key) }),
    }
    open.set(key, question)
    return question
  }

  return {
    async decide(request, source, signal) {
      if (closed || signal.aborted) return 'aborted'
      const key = `${request.protocol} ${request.host} ${request.port}`
      const amendment = amended.get(request.host)
      if (amendment !== undefined) return amendment === 'allow' ? 'accepted' : 'denied'
      if (accepted.has(key)) return 'accepted'
      const known = open.get(key)
      if (known === undefined && open.size >= MOST_QUESTIONS) return 'failed'
      const question = known ?? start(key, request, source)
      question.waiting++
      notify(onPrompt, true, source)
      try {
        return await unlessAborted(question.answer, signal)
      } finally {
        question.waiting--
        // Nobody is left who wants to know; the next one asks anew.
        if (question.waiting === 0 && open.get(key) === question) {
          open.delete(key)
          question.abort.abort()
        }
        notify(onPrompt, false, source)
      }
    },
    close() {
      closed = true
      for (const { abort } of open.values()) abort.abort()
      open.clear()
    },
  }
}

type Outcome = { readonly kind: 'answered'; readonly answer: unknown } | { readonly kind: 'timed-out' | 'failed' | 'aborted' }

async function untilAnswered(ask: Ask, request: HostRequest, source: unknown, abort: AbortController, timeoutMs: number): Promise<Outcome> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<Outcome>(resolve => { timer = setTimeout(() => resolve({ kind: 'timed-out' }), timeoutMs) })
  let outcome: Outcome | undefined
  try {
    // The callback runs in a later turn: what it throws at once is an answer too, and the question is on record before it runs.
    const answered = Promise.resolve().then(() => ask(request, { signal: abort.signal, source })).then((answer): Outcome => ({ kind: 'answered', answer }), (): Outcome => ({ kind: 'failed' }))
    const first = await unlessAborted(Promise.race([answered, late]), abort.signal)
    outcome = first === 'aborted' ? { kind: 'aborted' } : first
    return outcome
  } finally {
    clearTimeout(timer)
    if (outcome?.kind !== 'answered') abort.abort()
  }
}

async function unlessAborted<T>(promise: Promise<T>, signal: AbortSignal): Promise<T | 'aborted'> {
  let stop = (): void => {}
  const aborted = new Promise<'aborted'>(resolve => { stop = () => resolve('aborted') })
  if (signal.aborted) stop()
  signal.addEventListener('abort', stop, { once: true })
  try {
    return await Promise.race([promise, aborted])
  } finally {
    signal.removeEventListener('abort', stop)
  }
}

function readAmendment(answer: unknown): { host: string; action: 'allow' | 'deny' } | undefined {
  if (typeof answer !== 'object' || answer === null || !('applyNetworkPolicyAmendment' in answer)) return undefined
  const outer = answer.applyNetworkPolicyAmendment
  if (typeof outer !== 'object' || outer === null || !('network_policy_amendment' in outer)) return undefined
  const inner = outer.network_policy_amendment
  if (typeof inner !== 'object' || inner === null || !('host' in inner) || !('action' in inner)) return undefined
  const { host, action } = inner
  return typeof host === 'string' && (action === 'allow' || action === 'deny') ? { host: parseHost(host).text, action } : undefined
}

/** A listener that throws is not a reason to open or to close anything. */
function notify(onPrompt: ApprovalOptions['onPrompt'], open: boolean, source: unknown): void {
  try {
    onPrompt?.(open, source)
  } catch {
    // Its own affair.
  }
}
