// Questions to a client: in the wire's form, one prompt for the same question, and no answer that was not given.
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import type { ApprovalDecision, CommandApprovalRequest, NetworkApprovalRequest } from '../../../src/approval/approval-request.js'
import { Approvals } from '../../../src/service/approvals.js'
import { requestApprovalParams } from '../../../src/service/protocol.js'

beforeEach(() => { vi.useFakeTimers() })
afterEach(() => { vi.useRealTimers() })

const ALLOW: ApprovalDecision = { applyNetworkPolicyAmendment: { network_policy_amendment: { host: 'a.example', action: 'allow' } } }
const network = (changes: Partial<NetworkApprovalRequest> = {}): NetworkApprovalRequest => ({
  kind: 'network', approvalId: 'q1', reason: 'a.example is not in the allowed domains', port: 443, availableDecisions: ['accept', 'acceptForSession', ALLOW, 'decline', 'cancel'],
  networkApprovalContext: { host: 'a.example', protocol: 'https' }, proposedNetworkPolicyAmendments: [{ host: 'a.example', action: 'allow' }], ...changes,
})
const command = (changes: Partial<CommandApprovalRequest> = {}): CommandApprovalRequest => ({
  kind: 'command', approvalId: 'c1', reason: 'it is not known to be safe', command: ['rm', '-rf', 'a b'], cwd: '/w', attempt: 'first', sandboxPermissions: 'use_default',
  availableDecisions: ['accept', { acceptWithExecpolicyAmendment: { execpolicy_amendment: ['rm', '-rf'] } }, 'decline', 'cancel'], proposedExecpolicyAmendment: ['rm', '-rf'], ...changes,
})

interface Asked { readonly id: number; readonly method: string; readonly params: unknown; resolve(result: unknown): void; reject(error: Error): void }

function make(answerWithinMs?: number) {
  const asked: Asked[] = []
  const told: unknown[] = []
  const forgotten: unknown[] = []
  const logged: string[] = []
  const approvals = new Approvals({
    ask: (method, params) => {
      const id = asked.length
      const answer = new Promise<unknown>((resolve, reject) => { asked.push({ id, method, params, resolve, reject }) })
      return { id, answer }
    },
    forget: id => forgotten.push(id),
    notify: (method, params) => told.push([method, params]),
  }, 'thread', text => logged.push(text), answerWithinMs)
  return { approvals, asked, told, forgotten, logged }
}
const waits = () => new AbortController()

test('a host is asked about in the wire\'s form, and the end of the question is told', async () => {
  const { approvals, asked, told } = make()
  const answer = approvals.ask(network(), waits())
  expect(asked[0]).toMatchObject({
    method: 'item/commandExecution/requestApproval',
    params: {
      threadId: 'thread', turnId: 'network', itemId: 'q1', approvalId: 'q1', reason: 'a.example is not in the allowed domains', command: 'network-access https://a.example:443',
      networkApprovalContext: { host: 'a.example', protocol: 'https' }, proposedNetworkPolicyAmendments: [{ host: 'a.example', action: 'allow' }], startedAtMs: Date.now(),
    },
  })
  expect(requestApprovalParams.safeParse(asked[0]?.params).success).toBe(true)
  expect(told).toEqual([])
  asked[0]?.resolve({ decision: ALLOW })
  expect(await answer).toEqual(ALLOW)
  expect(told).toEqual([['serverRequest/resolved', { threadId: 'thread', requestId: 0 }]])
})
test('a command is asked about with its words apart, its amendment, and the ids of its item', async () => {
  const { approvals, asked } = make()
  const answer = approvals.ask(command({ additionalPermissions: { fileSystem: { write: ['/x'] } } }), waits(), { turnId: 'turn', itemId: 'item' })
  expect(asked[0]?.params).toMatchObject({ turnId: 'turn', itemId: 'item', command: 'rm -rf \'a b\'', cwd: '/w', proposedExecpolicyAmendment: ['rm', '-rf'], additionalPermissions: { fileSystem: { write: ['/x'] } } })
  expect(requestApprovalParams.safeParse(asked[0]?.params).success).toBe(true)
  asked[0]?.resolve({ decision: { acceptWithExecpolicyAmendment: { execpolicy_amendment: ['rm', '-rf'] } } })
  expect(await answer).toEqual({ acceptWithExecpolicyAmendment: { execpolicy_amendment: ['rm', '-rf'] } })
})

test('the same host, protocol and port at one time are one question, whose answer releases all', async () => {
  const { approvals, asked, told } = make()
  const answers = [approvals.ask(network(), waits()), approvals.ask(network({ approvalId: 'q2', networkApprovalContext: { host: 'A.Example', protocol: 'https' } }), waits())]
  expect(asked).toHaveLength(1)
  asked[0]?.resolve({ decision: 'accept' })
  expect(await Promise.all(answers)).toEqual(['accept', 'accept'])
  expect(told).toHaveLength(1)
})
test.each([
  ['another port', network({ port: 8443 })],
  ['another protocol', network({ networkApprovalContext: { host: 'a.example', protocol: 'http' } })],
  ['another host', network({ networkApprovalContext: { host: 'b.example', protocol: 'https' } })],
  ['a command', command()],
])('%s is another question', (_name, other) => {
  const { approvals, asked } = make()
  void approvals.ask(network(), waits())
  void approvals.ask(other, waits())
  expect(asked).toHaveLength(2)
})
test('the retry of a command is another question than its first attempt', () => {
  const { approvals, asked } = make()
  void approvals.ask(command(), waits())
  void approvals.ask(command({ attempt: 'retry', approvalId: 'c2' }), waits())
  void approvals.ask(command({ cwd: '/elsewhere', approvalId: 'c3' }), waits())
  expect(asked).toHaveLength(3)
})
test('asked again after the answer, it is a new question', async () => {
  const { approvals, asked } = make()
  const first = approvals.ask(network(), waits())
  asked[0]?.resolve({ decision: 'accept' })
  await first
  void approvals.ask(network(), waits())
  expect(asked).toHaveLength(2)
})

test.each([
  ['an answer of another shape', { decision: 'yes' }],
  ['no decision', {}],
  ['nothing', null],
  ['a decision that was not offered', { decision: { applyNetworkPolicyAmendment: { network_policy_amendment: { host: '*', action: 'allow' } } } }],
  ['a decision with more in it', { decision: { ...ALLOW as object, acceptForSession: true } }],
])('%s is no decision, and that is logged', async (_name, result) => {
  const { approvals, asked, told, logged } = make()
  const answer = approvals.ask(network(), waits())
  asked[0]?.resolve(result)
  await expect(answer).rejects.toThrow('is none of {"decision": …} with "accept", "acceptForSession"')
  expect([told.length, logged]).toEqual([1, [expect.stringMatching(/^question 0 is declined: the answer .* is none of/)]])
  expect(logged[0]).toContain(JSON.stringify(JSON.stringify(result)))
})
test('a decision that was offered is logged nowhere', async () => {
  const { approvals, asked, logged } = make()
  const answer = approvals.ask(network(), waits())
  asked[0]?.resolve({ decision: 'decline' })
  expect([await answer, logged]).toEqual(['decline', []])
})
test('an error, or a client that is gone, is no decision, and that is logged', async () => {
  const { approvals, asked, logged } = make()
  const answer = approvals.ask(network(), waits())
  asked[0]?.reject(new Error('the client is gone'))
  await expect(answer).rejects.toThrow('the client is gone')
  expect(logged).toEqual(['question 0 is declined: the client is gone'])
})
test('no answer in time is none, is logged, is told as the end of the question, and a late one is not heard', async () => {
  const { approvals, asked, told, forgotten } = make(1000)
  const answer = approvals.ask(network(), waits())
  const refused = expect(answer).rejects.toThrow('nobody answered within 1 s')
  await vi.advanceTimersByTimeAsync(1000)
  await refused
  expect([told.length, forgotten]).toEqual([1, [0]])
  asked[0]?.resolve({ decision: 'accept' })
  await vi.advanceTimersByTimeAsync(0)
  expect(told).toHaveLength(1)
})
test('whoever no longer waits is let go; the question stands as long as somebody waits', async () => {
  const { approvals, asked, told } = make()
  const [one, two] = [waits(), waits()]
  const answers = [approvals.ask(network(), one), approvals.ask(network(), two)]
  one.abort()
  expect(await answers[0]).toBe('cancel')
  expect(told).toEqual([])
  two.abort()
  expect(await answers[1]).toBe('cancel')
  expect(told).toEqual([['serverRequest/resolved', { threadId: 'thread', requestId: 0 }]])
  expect(asked).toHaveLength(1)
  const over = waits()
  over.abort()
  expect(await approvals.ask(network(), over)).toBe('cancel')
  expect(asked).toHaveLength(1)
})
