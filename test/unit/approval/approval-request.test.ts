import { expect, test } from 'vitest'
import { type ApprovalDecision, decisionOf } from '../../../src/approval/approval-request.js'

const rule: ApprovalDecision = { acceptWithExecpolicyAmendment: { execpolicy_amendment: ['npm', 'test'] } }
const host: ApprovalDecision = { applyNetworkPolicyAmendment: { network_policy_amendment: { host: 'example.com', action: 'allow' } } }
const available: readonly ApprovalDecision[] = ['accept', rule, host, 'decline', 'cancel']

test.each<{ name: string; answer: unknown; decision: ApprovalDecision }>([
  { name: 'an available word stands for itself',             answer: 'accept',                                                                         decision: 'accept' },
  { name: 'so does cancel',                                  answer: 'cancel',                                                                         decision: 'cancel' },
  { name: 'a proposed rule may be taken as it is',           answer: structuredClone(rule),                                                            decision: rule },
  { name: 'the order of keys means nothing',                 answer: { applyNetworkPolicyAmendment: { network_policy_amendment: { action: 'allow', host: 'example.com' } } }, decision: host },
  { name: 'a word that is not available declines',           answer: 'acceptForSession',                                                               decision: 'decline' },
  { name: 'a shorter prefix than the proposed one declines', answer: { acceptWithExecpolicyAmendment: { execpolicy_amendment: ['npm'] } },              decision: 'decline' },
  { name: 'a longer one too',                                answer: { acceptWithExecpolicyAmendment: { execpolicy_amendment: ['npm', 'test', 'x'] } }, decision: 'decline' },
  { name: 'a key too many declines',                         answer: { ...rule, also: 'accept' },                                                      decision: 'decline' },
  { name: 'an object in the place of a list declines',       answer: { acceptWithExecpolicyAmendment: { execpolicy_amendment: { 0: 'npm', 1: 'test', length: 2 } } }, decision: 'decline' },
  { name: 'true declines',                                   answer: true,                                                                             decision: 'decline' },
  { name: 'nothing declines',                                answer: undefined,                                                                        decision: 'decline' },
  { name: 'null declines',                                   answer: null,                                                                             decision: 'decline' },
  { name: 'inherited keys are no answer',                    answer: Object.create(rule as object),                                                    decision: 'decline' },
])('$name', ({ answer, decision }) => {
  expect(decisionOf(answer, available)).toEqual(decision)
})

test('an answer that throws when it is read declines', () => {
  const answer = { get acceptWithExecpolicyAmendment(): never { throw new Error('no') } }
  expect(decisionOf(answer, available)).toBe('decline')
})
