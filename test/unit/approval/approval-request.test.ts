import { expect, test } from 'vitest'
import { type ApprovalDecision, offeredDecision } from '../../../src/approval/approval-request.js'

const rule: ApprovalDecision = { acceptWithExecpolicyAmendment: { execpolicy_amendment: ['npm', 'test'] } }
const host: ApprovalDecision = { applyNetworkPolicyAmendment: { network_policy_amendment: { host: 'example.com', action: 'allow' } } }
const available: readonly ApprovalDecision[] = ['accept', rule, host, 'decline', 'cancel']

test.each<{ name: string; answer: unknown; decision: ApprovalDecision | undefined }>([
  { name: 'an available word stands for itself',             answer: 'accept',                                                                         decision: 'accept' },
  { name: 'so does cancel',                                  answer: 'cancel',                                                                         decision: 'cancel' },
  { name: 'a proposed rule may be taken as it is',           answer: structuredClone(rule),                                                            decision: rule },
  { name: 'the order of keys means nothing',                 answer: { applyNetworkPolicyAmendment: { network_policy_amendment: { action: 'allow', host: 'example.com' } } }, decision: host },
  { name: 'a word that is not available is none',           answer: 'acceptForSession',                                                               decision: undefined },
  { name: 'a shorter prefix than the proposed one is none', answer: { acceptWithExecpolicyAmendment: { execpolicy_amendment: ['npm'] } },              decision: undefined },
  { name: 'nor is a longer one',                                answer: { acceptWithExecpolicyAmendment: { execpolicy_amendment: ['npm', 'test', 'x'] } }, decision: undefined },
  { name: 'a key too many is none',                         answer: { ...rule, also: 'accept' },                                                      decision: undefined },
  { name: 'an object in the place of a list is none',       answer: { acceptWithExecpolicyAmendment: { execpolicy_amendment: { 0: 'npm', 1: 'test', length: 2 } } }, decision: undefined },
  { name: 'true is none',                                   answer: true,                                                                             decision: undefined },
  { name: 'nothing is none',                                answer: undefined,                                                                        decision: undefined },
  { name: 'null is none',                                   answer: null,                                                                             decision: undefined },
  { name: 'inherited keys are no answer',                    answer: Object.create(rule as object),                                                    decision: undefined },
])('$name', ({ answer, decision }) => {
  expect(offeredDecision(answer, available)).toEqual(decision)
})

test('an answer that throws when it is read is none', () => {
  const answer = { get acceptWithExecpolicyAmendment(): never { throw new Error('no') } }
  expect(offeredDecision(answer, available)).toBeUndefined()
})
