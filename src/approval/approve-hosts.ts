// Questions about hosts: answered by network rules where there are any, by whoever approves else; what he decides for good becomes a rule.
import type { ApprovalDecision, NetworkApprovalRequest, OnApproval } from './approval-request.js'
import { offeredDecision } from './approval-request.js'
import { mayAsk } from './approval-setting.js'
import { settingOf } from './assess.js'
import type { CommandApprovalOptions } from './command-approvals.js'
import { type CommandRules, NO_RULES, strictest } from './command-rules.js'
import { loadRules, userRulesFile } from './load-rules.js'
import { appendNetworkRule } from './write-rules.js'

/**
 * An `onApproval` that knows the rules. Only hosts that the policy neither allows nor denies come here, so a rule can open none that the
 * policy denies. While a rules file is broken no rule allows. A rule that cannot be written does not undo the answer.
 */
export function approveHosts(options: CommandApprovalOptions, onApproval: OnApproval | undefined): OnApproval {
  return async (request, context) => {
    if (request.kind !== 'network') return onApproval === undefined ? 'decline' : onApproval(request, context)
    const rules = rulesOf(options)
    const byRule = ruleFor(rules, request)
    if (byRule === 'forbidden') return 'decline'
    if (byRule === 'allow' && rules.broken.length === 0) return 'accept'
    if (onApproval === undefined || !mayAskAboutHosts(options)) return 'decline'
    const decision = offeredDecision(await onApproval(request, context), request.availableDecisions)
    // As whoever asks the callback itself has it: refused, and told as no answer.
    if (decision === undefined) throw new Error('the answer is none of the available decisions')
    await keep(decision, request, options)
    return decision
  }
}

/** Hosts that rules deny, for the policy: those are never asked about, whatever the policy allows. A rule of one protocol denies all. */
export const deniedHosts = (options: CommandApprovalOptions): string[] => [...new Set(rulesOf(options).networks.filter(({ decision }) => decision === 'forbidden').map(({ host }) => host))]

const rulesOf = ({ codexHome, trustedFolders }: CommandApprovalOptions): CommandRules =>
  codexHome === undefined ? NO_RULES : loadRules({ codexHome, ...(trustedFolders === undefined ? {} : { trustedFolders }) })

/** `prompt` and no rule are the same here: somebody is asked. */
const ruleFor = ({ networks }: CommandRules, { networkApprovalContext: { host, protocol } }: NetworkApprovalRequest) =>
  strictest(networks.filter(rule => rule.host === host && rule.protocol === protocol).map(({ decision }) => decision))

const mayAskAboutHosts = ({ approvalPolicy }: CommandApprovalOptions): boolean => mayAsk(settingOf(approvalPolicy), 'sandbox_approval')

async function keep(decision: ApprovalDecision, { networkApprovalContext: { protocol } }: NetworkApprovalRequest, { codexHome }: CommandApprovalOptions): Promise<void> {
  if (codexHome === undefined || typeof decision !== 'object' || !('applyNetworkPolicyAmendment' in decision)) return
  try {
    await appendNetworkRule(userRulesFile(codexHome), decision.applyNetworkPolicyAmendment.network_policy_amendment, protocol)
  } catch (error) {
    // The answer stands for this session, and the next one asks again.
    process.emitWarning(`the rule was not written: ${(error as Error).message}`, 'CodexSandboxWarning')
  }
}
