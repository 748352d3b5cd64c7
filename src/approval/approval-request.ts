// What somebody is asked to approve, and what may be answered: one union for the library's `onApproval` and the wire's requestApproval. Pure.
import type { AdditionalPermissions } from '../policy/additional-permissions.js'

/** As the wire spells them. */
const NETWORK_PROTOCOLS = ['http', 'https', 'socks5Tcp', 'socks5Udp'] as const
export type NetworkProtocol = (typeof NETWORK_PROTOCOLS)[number]

/** One host, never a pattern. */
export interface NetworkPolicyAmendment {
  readonly host: string
  readonly action: 'allow' | 'deny'
}

interface AnyApprovalRequest {
  /** Fresh for every question: an answer to one can never be taken for an answer to another, such as the retry of the same command. */
  readonly approvalId: string
  /** One sentence for people: why it is asked. */
  readonly reason: string
  /** The answers that mean something here; any other one declines. */
  readonly availableDecisions: readonly ApprovalDecision[]
}

/** A command that is not to run unasked. Nothing of it has run yet, unless `attempt` is `retry`. */
export interface CommandApprovalRequest extends AnyApprovalRequest {
  readonly kind: 'command'
  readonly command: readonly string[]
  readonly cwd: string
  /** `retry`: it ran in the sandbox, was denied something, and would run again without it. */
  readonly attempt: 'first' | 'retry'
  /** What it asks for beyond the sandbox as it is; `require_escalated` is no sandbox at all. */
  readonly sandboxPermissions: SandboxPermissions
  /** What the asker said for itself. Untrusted text. */
  readonly justification?: string
  readonly additionalPermissions?: AdditionalPermissions
  /** The prefix of a rule that would let such commands run unasked. Absent where no rule can. */
  readonly proposedExecpolicyAmendment?: readonly string[]
}

/** A host that no rule names. Denied hosts and private addresses are never asked about. */
export interface NetworkApprovalRequest extends AnyApprovalRequest {
  readonly kind: 'network'
  readonly networkApprovalContext: { readonly host: string; readonly protocol: NetworkProtocol }
  readonly port: number
  /** The command that connects, where exactly one can be it. */
  readonly command?: readonly string[]
  readonly cwd?: string
  readonly proposedNetworkPolicyAmendments?: readonly NetworkPolicyAmendment[]
}

export type ApprovalRequest = CommandApprovalRequest | NetworkApprovalRequest

/**
 * `accept`: this once. `acceptForSession`: for the same command, cwd and permissions (or host, protocol and port) until the sandbox closes.
 * `decline`: not now. `cancel`: neither this, nor what would come after it. The objects write a rule as well; their keys are the wire's.
 */
export type ApprovalDecision =
  | 'accept'
  | 'acceptForSession'
  | 'decline'
  | 'cancel'
  | { readonly acceptWithExecpolicyAmendment: { readonly execpolicy_amendment: readonly string[] } }
  | { readonly applyNetworkPolicyAmendment: { readonly network_policy_amendment: NetworkPolicyAmendment } }

/**
 * Answers one request. A throw, a rejection, an answer that is no `ApprovalDecision` or not among the available ones declines; `signal`
 * aborts when nobody waits for the answer any more.
 */
export type OnApproval = (request: ApprovalRequest, options: { readonly signal: AbortSignal }) => ApprovalDecision | Promise<ApprovalDecision>

/** What a command asks for beyond the sandbox as it is. */
export const SANDBOX_PERMISSIONS = ['use_default', 'require_escalated', 'with_additional_permissions'] as const
export type SandboxPermissions = (typeof SANDBOX_PERMISSIONS)[number]

/**
 * The decision that an answer stands for: the one of `available` that is the same; undefined, which declines, where it is none of them. Never
 * throws, whatever it is given. Amendments are compared whole: who answers may take a proposal, and not write another one.
 */
export const offeredDecision = (answer: unknown, available: readonly ApprovalDecision[]): ApprovalDecision | undefined => available.find(decision => sameData(decision, answer))

/** Equal as data; whatever a getter or a proxy does, it is no decision. */
function sameData(decision: unknown, answer: unknown): boolean {
  try {
    return equal(decision, answer)
  } catch {
    return false
  }
}

function equal(a: unknown, b: unknown): boolean {
  if (typeof a !== 'object' || a === null) return a === b
  if (typeof b !== 'object' || b === null || Array.isArray(a) !== Array.isArray(b)) return false
  const keys = Object.keys(a)
  return keys.length === Object.keys(b).length && keys.every(key => Object.hasOwn(b, key) && equal((a as Record<string, unknown>)[key], (b as Record<string, unknown>)[key]))
}
