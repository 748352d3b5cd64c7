// The approval of commands as a whole: who is asked, what each answer does, and that everything else is no.
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import type { ApprovalDecision, CommandApprovalRequest, OnApproval } from '../../../src/approval/approval-request.js'
import { CommandApprovals, type CommandApprovalOptions, type CommandPlace } from '../../../src/approval/command-approvals.js'

let codexHome: string
beforeEach(() => { codexHome = mkdtempSync(path.join(tmpdir(), 'approvals-')) })
afterEach(() => rmSync(codexHome, { recursive: true }))

const place: CommandPlace = { sandboxMode: 'workspace-write', deniesReading: false, platform: 'linux' }
const npm = { command: ['npm', 'ci'], cwd: '/work' }
const escalated = { ...npm, sandboxPermissions: 'require_escalated' } as const
const amendment: ApprovalDecision = { acceptWithExecpolicyAmendment: { execpolicy_amendment: ['npm', 'ci'] } }

interface Session { readonly approvals: CommandApprovals; readonly asked: CommandApprovalRequest[] }

/** Answers in order; the last one from then on. */
function session(answers: readonly unknown[], options: Partial<CommandApprovalOptions> = {}, where: Partial<CommandPlace> = {}): Session {
  const asked: CommandApprovalRequest[] = []
  const onApproval: OnApproval = request => {
    asked.push(request as CommandApprovalRequest)
    const answer = answers[Math.min(asked.length, answers.length) - 1]
    if (answer instanceof Error) throw answer
    if (answer === 'reject') return Promise.reject(new Error('no'))
    return answer as ApprovalDecision
  }
  return { asked, approvals: new CommandApprovals({ approvalPolicy: 'untrusted', codexHome, ...options }, { ...place, ...where }, onApproval) }
}
const outcomes = async ({ approvals }: Session, ...commands: Parameters<CommandApprovals['decide']>[0][]): Promise<string[]> => {
  const all: string[] = []
  for (const command of commands) {
    const result = await approvals.decide(command)
    all.push(result.outcome === 'run' ? `run${result.escalated ? ' escalated' : ''}${result.asked ? ' asked' : ''}` : result.outcome)
  }
  return all
}

test('the question says all that matters', async () => {
  const one = session(['accept'])
  await one.approvals.decide({ ...npm, justification: 'please', sandboxPermissions: 'with_additional_permissions', additionalPermissions: { network: { enabled: true } } })
  await one.approvals.decide(npm)
  expect(one.asked).toEqual([
    {
      kind: 'command', approvalId: expect.any(String), command: ['npm', 'ci'], cwd: '/work', attempt: 'first', sandboxPermissions: 'with_additional_permissions', justification: 'please',
      additionalPermissions: { network: { enabled: true } }, reason: '`npm ci` is not known to be harmless; `npm ci` asks for more than the sandbox allows', availableDecisions: ['accept', 'acceptForSession', 'decline', 'cancel'],
    },
    {
      kind: 'command', approvalId: expect.any(String), command: ['npm', 'ci'], cwd: '/work', attempt: 'first', sandboxPermissions: 'use_default', reason: '`npm ci` is not known to be harmless',
      availableDecisions: ['accept', 'acceptForSession', amendment, 'decline', 'cancel'], proposedExecpolicyAmendment: ['npm', 'ci'],
    },
  ])
  expect(one.asked[0]?.approvalId).not.toBe(one.asked[1]?.approvalId)
})

describe('answers', () => {
  test.each<{ name: string; answers: unknown[]; outcomes: string[]; questions: number }>([
    { name: 'accept is for once',                          answers: ['accept'],             outcomes: ['run asked', 'run asked'],   questions: 2 },
    { name: 'acceptForSession is for the session',         answers: ['acceptForSession'],   outcomes: ['run asked', 'run'],         questions: 1 },
    { name: 'a rule is for good',                          answers: [amendment],            outcomes: ['run asked', 'run'],         questions: 1 },
    { name: 'decline',                                     answers: ['decline'],            outcomes: ['declined', 'declined'],     questions: 2 },
    { name: 'cancel',                                      answers: ['cancel'],             outcomes: ['cancelled', 'cancelled'],   questions: 2 },
    { name: 'a rule that was not proposed declines',       answers: [{ acceptWithExecpolicyAmendment: { execpolicy_amendment: ['npm'] } }], outcomes: ['declined', 'declined'], questions: 2 },
    { name: 'no answer declines',                          answers: [undefined],            outcomes: ['declined', 'declined'],     questions: 2 },
    { name: 'true declines',                               answers: [true],                 outcomes: ['declined', 'declined'],     questions: 2 },
    { name: 'a throw declines',                            answers: [new Error('no')],      outcomes: ['declined', 'declined'],     questions: 2 },
    { name: 'a rejection declines',                        answers: ['reject'], outcomes: ['declined', 'declined'], questions: 2 },
    { name: 'a host\'s amendment declines',                answers: [{ applyNetworkPolicyAmendment: { network_policy_amendment: { host: 'x', action: 'allow' } } }], outcomes: ['declined', 'declined'], questions: 2 },
  ])('$name', async ({ answers, outcomes: expected, questions }) => {
    const one = session(answers)
    expect(await outcomes(one, npm, npm)).toEqual(expected)
    expect(one.asked).toHaveLength(questions)
  })

  test('an accepted rule stands in the user\'s file, and other sessions know it', async () => {
    await outcomes(session([amendment]), npm)
    expect(readFileSync(path.join(codexHome, 'rules/default.rules'), 'utf8')).toBe('prefix_rule(pattern=["npm", "ci"], decision="allow")\n')
    expect(await outcomes(session(['decline']), npm, { ...npm, command: ['bash', '-lc', 'npm ci | cat'] }, { ...npm, command: ['npm', 'test'] })).toEqual(['run', 'run', 'declined'])
  })
  test('a rule that cannot be written does not undo the yes, and is told', async () => {
    writeFileSync(path.join(codexHome, 'rules'), 'in the way')
    // What stands in the folder's place is not read as rules either.
    expect(await session([amendment]).approvals.decide(npm)).toEqual({ outcome: 'run', asked: true, escalated: false, warning: expect.stringContaining('the rule was not written: append_rule') })
  })
  test('without a home for rules none is proposed', async () => {
    const asked: CommandApprovalRequest[] = []
    const homeless = new CommandApprovals({ approvalPolicy: 'untrusted' }, place, request => { asked.push(request as CommandApprovalRequest); return 'accept' })
    expect(await homeless.decide(npm)).toMatchObject({ outcome: 'run' })
    expect(asked[0]).not.toHaveProperty('proposedExecpolicyAmendment')
  })
  test('without anybody to ask the answer is no', async () => {
    expect(await new CommandApprovals({ approvalPolicy: 'untrusted' }, place, undefined).decide(npm)).toMatchObject({ outcome: 'declined' })
  })
  test('nobody answers in time: no, and the question is withdrawn', async () => {
    let withdrawn = false
    const slow = new CommandApprovals({ approvalPolicy: 'untrusted', answerWithinMs: 20 }, place, (_, { signal }) => new Promise(() => { signal.addEventListener('abort', () => { withdrawn = true }) }))
    expect(await slow.decide(npm)).toMatchObject({ outcome: 'declined' })
    expect(withdrawn).toBe(true)
  })
  test('who asked is gone: it is cancelled', async () => {
    const abort = new AbortController()
    const waiting = new CommandApprovals({ approvalPolicy: 'untrusted' }, place, () => { abort.abort(); return new Promise(() => undefined) })
    expect(await waiting.decide(npm, abort.signal)).toMatchObject({ outcome: 'cancelled' })
    expect(await waiting.decide(npm, abort.signal)).toMatchObject({ outcome: 'cancelled' })
  })
})

describe('the session knows exactly what was approved', () => {
  const more = { sandboxPermissions: 'with_additional_permissions', additionalPermissions: { fileSystem: { write: ['/srv', '/opt'] } } } as const
  test.each<{ name: string; first: Parameters<CommandApprovals['decide']>[0]; next: Parameters<CommandApprovals['decide']>[0]; asksAgain: boolean }>([
    { name: 'the same',                         first: npm, next: { ...npm }, asksAgain: false },
    { name: 'another justification',            first: npm, next: { ...npm, justification: 'x' }, asksAgain: false },
    { name: 'the same shell by another path',   first: { ...npm, command: ['bash', '-lc', 'make > x'] }, next: { ...npm, command: ['/usr/bin/bash', '-lc', 'make > x'] }, asksAgain: false },
    { name: 'the same permissions in another order', first: { ...npm, ...more }, next: { ...npm, ...more, additionalPermissions: { fileSystem: { write: ['/opt', '/srv'] } } }, asksAgain: false },
    { name: 'the same without the sandbox, if that was approved', first: escalated, next: escalated, asksAgain: false },
    { name: 'another word',                     first: npm, next: { ...npm, command: ['npm', 'ci', '-x'] }, asksAgain: true },
    { name: 'words that run together',          first: { ...npm, command: ['a', 'b c'] }, next: { ...npm, command: ['a b', 'c'] }, asksAgain: true },
    { name: 'another folder',                   first: npm, next: { ...npm, cwd: '/work2' }, asksAgain: true },
    { name: 'without the sandbox',              first: npm, next: escalated, asksAgain: true },
    { name: 'in the sandbox, after without',    first: escalated, next: npm, asksAgain: true },
    { name: 'more permissions',                 first: npm, next: { ...npm, ...more }, asksAgain: true },
    { name: 'other permissions',                first: { ...npm, ...more }, next: { ...npm, ...more, additionalPermissions: { fileSystem: { write: ['/srv'] } } }, asksAgain: true },
    { name: 'a shell of the workspace',         first: { ...npm, command: ['bash', '-lc', 'make > x'] }, next: { ...npm, command: ['./bash', '-lc', 'make > x'] }, asksAgain: true },
  ])('$name: asks again: $asksAgain', async ({ first, next, asksAgain }) => {
    const one = session(['acceptForSession'])
    await outcomes(one, first, next)
    expect(one.asked).toHaveLength(asksAgain ? 2 : 1)
  })
  test('another session knows nothing of it', async () => {
    await outcomes(session(['acceptForSession']), npm)
    expect(await outcomes(session(['decline']), npm)).toEqual(['declined'])
  })
  test('what rules forbid since is forbidden', async () => {
    const one = session(['acceptForSession'])
    await outcomes(one, npm)
    mkdirSync(path.join(codexHome, 'rules'))
    writeFileSync(path.join(codexHome, 'rules/x.rules'), 'prefix_rule(["npm"], "forbidden")')
    expect(await outcomes(one, npm)).toEqual(['forbidden'])
  })
  test.each([
    { name: 'what a rule wants to be asked since',      rules: 'prefix_rule(["npm"], "prompt")', reason: 'a rule wants' },
    { name: 'anything while a rules file is not known', rules: 'prefix_rule(', reason: 'cannot be relied on' },
  ])('$name is another question', async ({ rules, reason }) => {
    const one = session(['acceptForSession', 'decline', 'acceptForSession'])
    await outcomes(one, npm)
    mkdirSync(path.join(codexHome, 'rules'))
    writeFileSync(path.join(codexHome, 'rules/x.rules'), rules)
    expect(await outcomes(one, npm, npm, npm)).toEqual(['declined', 'run asked', 'run'])
    expect(one.asked[1]?.reason).toContain(reason)
    rmSync(path.join(codexHome, 'rules/x.rules'))
    expect(await outcomes(one, npm)).toEqual(['run'])
  })
  test('a program of another folder is another one, and a shell of the system is not', async () => {
    const at = (program: string) => ({ ...npm, command: [program, 'ci'] })
    expect(await outcomes(session(['acceptForSession']), at('npm'), at('/usr/local/bin/npm'), at('/usr/bin/npm'))).toEqual(['run asked', 'run asked', 'run asked'])
    expect(await outcomes(session(['acceptForSession']), { ...npm, command: ['bash', '-c', 'make > x'] }, { ...npm, command: ['/bin/bash', '-c', 'make > x'] })).toEqual(['run asked', 'run'])
  })
})

describe('without the sandbox', () => {
  test('only after a yes to that very question', async () => {
    expect(await outcomes(session(['accept']), escalated)).toEqual(['run escalated asked'])
    expect(await outcomes(session(['decline']), escalated)).toEqual(['declined'])
    expect(await outcomes(session(['accept'], { approvalPolicy: 'on-request' }), npm, escalated)).toEqual(['run', 'run escalated asked'])
  })
  test('no rule gives it', async () => {
    mkdirSync(path.join(codexHome, 'rules'))
    writeFileSync(path.join(codexHome, 'rules/x.rules'), 'prefix_rule(["npm"])')
    expect(await outcomes(session(['decline']), npm, escalated)).toEqual(['run', 'declined'])
  })
  test('never where reading is denied, and never under never', async () => {
    expect(await outcomes(session(['accept'], {}, { deniesReading: true }), escalated)).toEqual(['forbidden'])
    expect(await outcomes(session(['accept'], { approvalPolicy: 'never' }), escalated)).toEqual(['forbidden'])
  })
  test('where there is no sandbox nothing is escalated', async () => {
    expect(await outcomes(session(['accept'], { approvalPolicy: 'on-request' }, { sandboxMode: 'danger-full-access' }), escalated)).toEqual(['run'])
  })
})

describe('a retry after a denial', () => {
  test('has an id of its own, and is not approved by what came before', async () => {
    const one = session(['acceptForSession', 'decline'], { approvalPolicy: 'untrusted' })
    await outcomes(one, npm)
    expect(await one.approvals.decideRetry(npm)).toEqual({ outcome: 'declined', reason: 'command failed; retry without sandbox?' })
    expect(one.asked.map(({ attempt, sandboxPermissions }) => [attempt, sandboxPermissions])).toEqual([['first', 'use_default'], ['retry', 'require_escalated']])
    expect(one.asked[0]?.approvalId).not.toBe(one.asked[1]?.approvalId)
    expect(one.asked[1]?.availableDecisions).toEqual(['accept', 'decline', 'cancel'])
  })
  test('runs without the sandbox where it is approved, once', async () => {
    const one = session(['accept'])
    expect(await one.approvals.decideRetry(npm)).toEqual({ outcome: 'run', asked: true, escalated: true })
    expect(await outcomes(session(['decline']), escalated)).toEqual(['declined'])
  })
  test.each<{ name: string; options?: Partial<CommandApprovalOptions>; where?: Partial<CommandPlace> }>([
    { name: 'under on-request', options: { approvalPolicy: 'on-request' } },
    { name: 'under never', options: { approvalPolicy: 'never' } },
    { name: 'where single kinds of questions are named', options: { approvalPolicy: { granular: { sandbox_approval: true, rules: true, mcp_elicitations: true } } } },
    { name: 'where reading is denied', where: { deniesReading: true } },
    { name: 'where there is no sandbox', where: { sandboxMode: 'danger-full-access' } },
  ])('is not asked $name', async ({ options, where }) => {
    const one = session(['accept'], options, where)
    expect(await one.approvals.decideRetry(npm)).toBeUndefined()
    expect(one.asked).toEqual([])
  })
  test('is refused where a rule forbids the command meanwhile', async () => {
    mkdirSync(path.join(codexHome, 'rules'))
    writeFileSync(path.join(codexHome, 'rules/x.rules'), 'prefix_rule(["npm"], "forbidden")')
    expect(await session(['accept']).approvals.decideRetry(npm)).toMatchObject({ outcome: 'forbidden' })
  })
})

test('a broken file asks about everything, and the next command after it is mended is not asked about', async () => {
  mkdirSync(path.join(codexHome, 'rules'))
  const file = path.join(codexHome, 'rules/x.rules')
  writeFileSync(file, 'prefix_rule(')
  const one = session(['decline'], { approvalPolicy: 'on-request' })
  expect(await outcomes(one, { ...npm, command: ['ls'] })).toEqual(['declined'])
  expect(one.asked[0]?.reason).toContain(`${file}:1:12`)
  writeFileSync(file, '')
  expect(await outcomes(one, { ...npm, command: ['ls'] })).toEqual(['run'])
})
test('an approval policy that there is none of is refused at once', () => {
  expect(() => new CommandApprovals({ approvalPolicy: 'always' as 'never' }, place, undefined)).toThrow('approvalPolicy "always"')
})
