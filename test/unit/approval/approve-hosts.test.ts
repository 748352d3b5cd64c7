// Questions about hosts: rules answer first, and what is decided for good becomes one.
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import type { ApprovalDecision, NetworkApprovalRequest } from '../../../src/approval/approval-request.js'
import { approveHosts, deniedHosts } from '../../../src/approval/approve-hosts.js'
import type { ApprovalPolicy } from '../../../src/approval/assess.js'

let codexHome: string
beforeEach(() => { codexHome = mkdtempSync(path.join(tmpdir(), 'hosts-')) })
afterEach(() => rmSync(codexHome, { recursive: true }))
function rules(text: string): void {
  mkdirSync(path.join(codexHome, 'rules'), { recursive: true })
  writeFileSync(path.join(codexHome, 'rules/default.rules'), text)
}
const amend = (action: 'allow' | 'deny', host = 'a.com'): ApprovalDecision => ({ applyNetworkPolicyAmendment: { network_policy_amendment: { host, action } } })
const request: NetworkApprovalRequest = { kind: 'network', approvalId: 'x', reason: 'r', networkApprovalContext: { host: 'a.com', protocol: 'https' }, port: 443, availableDecisions: ['accept', 'acceptForSession', amend('allow'), amend('deny'), 'decline', 'cancel'] }

async function ask(answer: ApprovalDecision | undefined, approvalPolicy: ApprovalPolicy = 'on-request', about = request): Promise<{ decision: ApprovalDecision; questions: number }> {
  let questions = 0
  const approve = approveHosts({ approvalPolicy, codexHome }, answer === undefined ? undefined : () => { questions++; return answer })
  return { decision: await approve(about, { signal: new AbortController().signal }), questions }
}

test.each<{ name: string; text: string; answer?: ApprovalDecision; decision: ApprovalDecision; questions: number }>([
  { name: 'without a rule the answer counts',         text: '', answer: 'accept', decision: 'accept', questions: 1 },
  { name: 'a rule that allows needs no answer',       text: 'network_rule("a.com", "https", "allow")', answer: 'decline', decision: 'accept', questions: 0 },
  { name: 'also where nobody could be asked',         text: 'network_rule("a.com", "https", "allow")', decision: 'accept', questions: 0 },
  { name: 'nor does one that denies',                 text: 'network_rule("a.com", "https", "deny")', answer: 'accept', decision: 'decline', questions: 0 },
  { name: 'the strictest counts',                     text: 'network_rule("a.com", "https", "allow")\nnetwork_rule("a.com", "https", "deny")', answer: 'accept', decision: 'decline', questions: 0 },
  { name: 'prompt asks, whatever another one allows', text: 'network_rule("a.com", "https", "allow")\nnetwork_rule("a.com", "https", "prompt")', answer: 'accept', decision: 'accept', questions: 1 },
  { name: 'another host\'s rule says nothing',        text: 'network_rule("b.com", "https", "allow")', answer: 'decline', decision: 'decline', questions: 1 },
  { name: 'another protocol\'s neither',              text: 'network_rule("a.com", "http", "allow")', answer: 'decline', decision: 'decline', questions: 1 },
  { name: 'in a broken file nothing allows',          text: 'network_rule("a.com", "https", "allow")\nx = ', decision: 'decline', questions: 0 },
  { name: 'nobody there: no',                         text: '', decision: 'decline', questions: 0 },
])('$name', async ({ text, answer, decision, questions }) => {
  rules(text)
  expect(await ask(answer)).toEqual({ decision, questions })
})
test('an answer that was not offered is none, and writes no rule', async () => {
  rules('')
  await expect(ask(amend('allow', 'evil.com'))).rejects.toThrow('none of the available decisions')
  expect(readFileSync(path.join(codexHome, 'rules/default.rules'), 'utf8')).toBe('')
})
test.each<[ApprovalPolicy, number]>([
  ['never', 0], ['untrusted', 1], [{ reject: { sandbox_approval: true, rules: false, mcp_elicitations: false } }, 0], [{ reject: { sandbox_approval: false, rules: true, mcp_elicitations: true } }, 1],
])('under %j it is asked %i times', async (policy, questions) => {
  expect((await ask('accept', policy)).questions).toBe(questions)
})
test('a decision for good becomes a rule, once, and the next question needs no answer', async () => {
  expect(await ask(amend('allow'))).toEqual({ decision: amend('allow'), questions: 1 })
  expect(await ask('decline')).toEqual({ decision: 'accept', questions: 0 })
  expect(readFileSync(path.join(codexHome, 'rules/default.rules'), 'utf8')).toBe('network_rule(host="a.com", protocol="https", decision="allow")\n')
  expect(deniedHosts({ approvalPolicy: 'never', codexHome })).toEqual([])
})
test('and so does a denial', async () => {
  await ask(amend('deny'))
  expect(await ask('accept')).toEqual({ decision: 'decline', questions: 0 })
  expect(deniedHosts({ approvalPolicy: 'never', codexHome })).toEqual(['a.com'])
})
test('questions about commands go through', async () => {
  const approve = approveHosts({ approvalPolicy: 'never', codexHome }, ({ kind }) => kind === 'command' ? 'accept' : 'decline')
  expect(await approve({ kind: 'command', approvalId: 'x', reason: 'r', availableDecisions: ['accept'], command: ['x'], cwd: '/', attempt: 'first', sandboxPermissions: 'use_default' }, { signal: new AbortController().signal })).toBe('accept')
})
