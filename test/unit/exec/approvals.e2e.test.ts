// Approvals of a real sandbox's commands: what was not approved did not run, as seen from outside, and what was did.
import { existsSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, onTestFinished, test } from 'vitest'
import type { ApprovalDecision, CommandApprovalRequest } from '../../../src/approval/approval-request.js'
import type { CommandApprovalOptions } from '../../../src/approval/command-approvals.js'
import type { SandboxOptions } from '../../../src/exec/options.js'
import { createSandbox, type Sandbox } from '../../../src/exec/sandbox.js'
import { makeWorkspace, type Workspace } from '../../native/workspace.js'
import { failureOf } from '../../support/failure-of.js'

interface Approved { readonly sandbox: Sandbox; readonly asked: CommandApprovalRequest[]; readonly workspace: Workspace; readonly codexHome: string; readonly outside: string }

/** Answers in order; the last one from then on. Places of keys may be read: else nothing could be approved to leave. */
async function start(answers: readonly ApprovalDecision[], approvals: Partial<CommandApprovalOptions> = {}, options: SandboxOptions = {}): Promise<Approved> {
  const workspace = makeWorkspace()
  const codexHome = join(workspace.outside, 'codex')
  mkdirSync(codexHome, { recursive: true })
  const asked: CommandApprovalRequest[] = []
  const sandbox = await createSandbox({
    cwd: workspace.path, policy: { mode: 'workspace-write', denySecrets: false, excludeSlashTmp: true, excludeTmpdirEnvVar: true }, approvals: { approvalPolicy: 'untrusted', codexHome, ...approvals },
    onApproval: request => {
      asked.push(request as CommandApprovalRequest)
      return answers[Math.min(asked.length, answers.length) - 1] as ApprovalDecision
    },
    ...options,
  })
  onTestFinished(() => sandbox.close())
  return { sandbox, asked, workspace, codexHome, outside: join(workspace.outside, 'made') }
}

test('ask, accept with a rule, run; the next time it runs unasked, in another sandbox too', async () => {
  const rule: ApprovalDecision = { acceptWithExecpolicyAmendment: { execpolicy_amendment: ['touch', 'made'] } }
  const { sandbox, asked, workspace, codexHome } = await start([rule])
  expect(await sandbox.exec(['touch', 'made'])).toMatchObject({ exitCode: 0, approval: { asked: true, escalated: false } })
  expect(existsSync(join(workspace.path, 'made'))).toBe(true)
  expect(asked).toMatchObject([{ kind: 'command', command: ['touch', 'made'], cwd: workspace.path, proposedExecpolicyAmendment: ['touch', 'made'] }])
  expect(await sandbox.exec(['touch', 'made'])).toMatchObject({ exitCode: 0, approval: { asked: false, escalated: false } })
  const later = await start(['decline'], { codexHome })
  expect(await later.sandbox.shell('ls && touch made')).toMatchObject({ exitCode: 0, approval: { asked: false } })
  expect([asked.length, later.asked.length]).toEqual([1, 0])
})

test('what is declined, cancelled or forbidden does not run', async () => {
  const { sandbox, codexHome, workspace } = await start(['decline', 'cancel', 'accept'])
  expect(await failureOf(() => sandbox.exec(['touch', 'a']))).toMatchObject({ code: 'approval_declined', field: 'command' })
  expect(await failureOf(() => sandbox.shell('touch b > log'))).toMatchObject({ code: 'approval_cancelled' })
  expect(await sandbox.exec(['touch', 'c'])).toMatchObject({ exitCode: 0 })
  mkdirSync(join(codexHome, 'rules'))
  writeFileSync(join(codexHome, 'rules/x.rules'), 'prefix_rule(["touch"], "forbidden", justification="no files today")')
  const forbidden = await failureOf(() => sandbox.shell('ls; touch d'))
  expect(forbidden).toMatchObject({ code: 'command_forbidden' })
  expect(String(forbidden)).toContain('no files today')
  expect(['a', 'b', 'c', 'd', 'log'].map(name => existsSync(join(workspace.path, name)))).toEqual([false, false, true, false, false])
})

test('nobody is asked about what could not be run', async () => {
  const { sandbox, asked } = await start(['accept'])
  for (const [argv, options] of [[['touch', 'a'], { timeoutMs: -1 }], [['touch', 'a'], { sandboxPermissions: 'require_escalated', background: 'keep' }], [['touch', 'a'], { sandboxPermissions: 'all' }], [['touch', 'a'], { prefixRule: 'touch' }], [['touch', 'a'], { justificaton: 'x' }], [[], {}], [['a\0b'], {}]] as const) {
    expect(await failureOf(() => sandbox.exec(argv, options as object))).toMatchObject({ code: argv[0] === 'touch' ? 'option_invalid' : 'argument_invalid' })
  }
  expect(asked).toEqual([])
})

test('without an approval policy nothing is asked', async () => {
  const workspace = makeWorkspace()
  const sandbox = await createSandbox({ cwd: workspace.path, onApproval: () => { throw new Error('asked') } })
  onTestFinished(() => sandbox.close())
  expect(await sandbox.exec(['touch', 'made'])).not.toHaveProperty('approval')
})

test('what begins at once runs unasked or not at all; what waits asks', async () => {
  const { sandbox, asked, workspace } = await start(['accept'])
  expect((await sandbox.spawn(['ls'], { stdin: 'empty' }).exited).exitCode).toBe(0)
  expect(() => sandbox.spawn(['touch', 'a'])).toThrow('cannot wait for an answer')
  expect(() => sandbox.spawnShell('touch a')).toThrow('cannot wait for an answer')
  expect(asked).toEqual([])
  const { id } = await sandbox.sessions.start(['touch', 'b'])
  await expect.poll(() => sandbox.sessions.list().find(each => each.id === id)?.state ?? 'ended').toBe('ended')
  expect(asked).toHaveLength(1)
  expect([existsSync(join(workspace.path, 'a')), existsSync(join(workspace.path, 'b'))]).toEqual([false, true])
})

describe('more than the sandbox', () => {
  const makes = (path: string): string[] => ['touch', path]

  test('without it: only after a yes, and the result says so', async () => {
    const { sandbox, asked, outside } = await start(['decline', 'accept'], { approvalPolicy: 'on-request' })
    const before = await sandbox.exec(makes(outside))
    expect([before.exitCode === 0, existsSync(outside)]).toEqual([false, false])
    expect(await failureOf(() => sandbox.exec(makes(outside), { sandboxPermissions: 'require_escalated', justification: 'please' }))).toMatchObject({ code: 'approval_declined' })
    expect(existsSync(outside)).toBe(false)
    const result = await sandbox.exec(makes(outside), { sandboxPermissions: 'require_escalated' })
    expect(result).toMatchObject({ exitCode: 0, approval: { asked: true, escalated: true }, enforcement: { backend: 'unconfined' } })
    expect(existsSync(outside)).toBe(true)
    expect(asked).toMatchObject([{ justification: 'please', sandboxPermissions: 'require_escalated' }, { attempt: 'first' }])
    // The next one is in the sandbox again.
    expect((await sandbox.exec(makes(`${outside}2`))).exitCode).not.toBe(0)
    expect(existsSync(`${outside}2`)).toBe(false)
  })

  test('never while the policy denies reading', async () => {
    const { sandbox, asked, outside } = await start(['accept'], {}, { policy: 'workspace-write' })
    expect(await failureOf(() => sandbox.exec(makes(outside), { sandboxPermissions: 'require_escalated' }))).toMatchObject({ code: 'command_forbidden' })
    expect([existsSync(outside), asked.length]).toEqual([false, 0])
  })

  test('additional permissions are asked about, and hold for that command', async () => {
    const { sandbox, asked, workspace } = await start(['decline', 'accept'], { approvalPolicy: 'on-request' })
    const folder = join(workspace.outside, 'folder')
    mkdirSync(folder)
    const additionalPermissions = { fileSystem: { write: [folder] } }
    expect(await failureOf(() => sandbox.exec(makes(join(folder, 'a')), { additionalPermissions }))).toMatchObject({ code: 'approval_declined' })
    expect(await sandbox.exec(makes(join(folder, 'b')), { additionalPermissions })).toMatchObject({ exitCode: 0, approval: { escalated: false } })
    expect((await sandbox.exec(makes(join(folder, 'c')))).exitCode).not.toBe(0)
    expect(['a', 'b', 'c'].map(name => existsSync(join(folder, name)))).toEqual([false, true, false])
    expect(asked[0]).toMatchObject({ sandboxPermissions: 'with_additional_permissions', additionalPermissions })
  })

  test('a denied command may be retried without it, by a question of its own', async () => {
    const { sandbox, asked, outside } = await start(['acceptForSession', 'decline', 'accept'])
    const first = await sandbox.exec(makes(outside))
    expect(first).toMatchObject({ approval: { asked: true, escalated: false } })
    expect(first.denials).not.toEqual([])
    expect([first.exitCode === 0, existsSync(outside)]).toEqual([false, false])
    const second = await sandbox.exec(makes(outside))
    expect(second).toMatchObject({ exitCode: 0, approval: { asked: true, escalated: true, retried: true }, enforcement: { backend: 'unconfined' } })
    expect(existsSync(outside)).toBe(true)
    expect(asked.map(({ attempt }) => attempt)).toEqual(['first', 'retry', 'retry'])
    expect(new Set(asked.map(({ approvalId }) => approvalId)).size).toBe(3)
  })
})

test.each<[options: Record<string, unknown>, says: string]>([
  [{ approvalPolicy: 'always' }, 'approvalPolicy "always"'],
  [{ approvalPolicy: 'never', allowLoginShel: false }, 'approvals.allowLoginShel'],
  [{ approvalPolicy: 'never', codexHome: 'x' }, 'approvals.codexHome'],
])('%j is refused when the sandbox is made', async (approvals, says) => {
  expect(String(await failureOf(() => createSandbox({ approvals: approvals as unknown as CommandApprovalOptions })))).toContain(says)
})

test.each([[true], [false]])('commands cannot write the rules, even where these lie in the workspace (made before: %s)', async made => {
  const workspace = makeWorkspace()
  const codexHome = join(workspace.path, 'home')
  const file = join(codexHome, 'rules/default.rules')
  if (made) mkdirSync(join(codexHome, 'rules'), { recursive: true })
  if (made) writeFileSync(file, '# mine\n')
  const sandbox = await createSandbox({ cwd: workspace.path, approvals: { approvalPolicy: 'on-request', codexHome } })
  onTestFinished(() => sandbox.close())
  expect((await sandbox.shell(`mkdir -p ${codexHome}/rules && echo 'prefix_rule(["rm"])' >> ${file}`)).exitCode).not.toBe(0)
  expect(existsSync(file) ? readFileSync(file, 'utf8') : 'absent').toBe(made ? '# mine\n' : 'absent')
  expect((await sandbox.shell('echo x > beside')).exitCode).toBe(0)
})

test.each(['file', 'folder', 'chain'] as const)('nor where a link of CODEX_HOME leads to them in the workspace: a %s', async kind => {
  const workspace = makeWorkspace()
  const codexHome = join(workspace.outside, 'codex')
  const [kept, file] = [join(workspace.path, 'kept'), join(workspace.path, 'kept/default.rules')]
  for (const folder of [codexHome, kept]) mkdirSync(folder, { recursive: true })
  writeFileSync(file, '# mine\n')
  if (kind === 'folder') symlinkSync(kept, join(codexHome, 'rules'))
  else mkdirSync(join(codexHome, 'rules'))
  if (kind === 'file') symlinkSync(file, join(codexHome, 'rules/default.rules'))
  if (kind === 'chain') {
    symlinkSync(file, join(workspace.path, 'link.rules'))
    symlinkSync(join(workspace.path, 'link.rules'), join(codexHome, 'rules/default.rules'))
  }
  const rules = join(codexHome, 'rules/default.rules')
  const sandbox = await createSandbox({ cwd: workspace.path, approvals: { approvalPolicy: 'on-request', codexHome } })
  onTestFinished(() => sandbox.close())
  for (const script of [`echo 'prefix_rule(["rm"])' >> ${file}`, 'mv kept old; mkdir kept; echo \'prefix_rule(["rm"])\' > kept/default.rules', 'rm link.rules; echo \'prefix_rule(["rm"])\' > link.rules']) {
    await sandbox.shell(script)
    expect(readFileSync(rules, 'utf8')).toBe('# mine\n')
  }
  expect((await sandbox.shell('echo x > beside')).exitCode).toBe(0)
})
