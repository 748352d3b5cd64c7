// What the configuration says of approvals: whose rules count, and what requirements add.
import { expect, test } from 'vitest'
import { assess } from '../../../src/approval/assess.js'
import { loadRules, requiredRules } from '../../../src/approval/load-rules.js'
import { approvalsOf, loadApprovals } from '../../../src/config/approvals.js'
import { loadPolicy } from '../../../src/config/load-policy.js'
import { configPlace, TRUSTED } from '../../support/config-place.js'

test('nothing configured: on-request, the user\'s rules, no project\'s', async () => {
  const place = configPlace()
  expect(approvalsOf(await place.load(), { codexHome: place.codexHome, cwd: place.project })).toEqual({ approvalPolicy: 'on-request', allowLoginShell: true, codexHome: place.codexHome, trustedFolders: [] })
})
test('approval_policy in either spelling, allow_login_shell, and a project that is trusted', async () => {
  const place = configPlace({ 'home/.codex/config.toml': `approval_policy = { reject = { sandbox_approval = true, rules = false, mcp_elicitations = false } }\nallow_login_shell = false\n${TRUSTED}` })
  expect(approvalsOf(await place.load(), { codexHome: place.codexHome, cwd: place.project })).toMatchObject({
    approvalPolicy: { asks: { sandbox_approval: false, rules: true } }, allowLoginShell: false, trustedFolders: [place.project],
  })
})
test.each(['untrusted', undefined])('a project that is %s cannot trust itself', async level => {
  const place = configPlace({ 'project/.codex/config.toml': TRUSTED, ...(level === undefined ? {} : { 'home/.codex/config.toml': TRUSTED.replace('"trusted"', '"untrusted"') }) })
  expect(approvalsOf(await place.load(), { codexHome: place.codexHome, cwd: place.project }).trustedFolders).toEqual([])
})
test('rules of requirements decide, whatever the user\'s file allows; of one that says allow nothing is loaded at all', async () => {
  const place = configPlace({
    'home/.codex/rules/default.rules': 'prefix_rule(["rm"])\n',
    'system/requirements.toml': '[rules]\nprefix_rules = [{ pattern = [{ token = "rm" }, { any_of = ["-rf", "-fr"] }], decision = "forbidden", justification = "use trash" }]\n',
  })
  const approvals = approvalsOf(await place.load(), { codexHome: place.codexHome, cwd: place.project })
  const decide = (command: readonly string[]) => assess(command, { approvalPolicy: approvals.approvalPolicy, sandboxMode: 'workspace-write', rules: loadRules({ codexHome: place.codexHome }), requirements: requiredRules(approvals.requiredRules ?? [], 'requirements') })
  expect(decide(['rm', '-fr', 'x'])).toEqual({ forbidden: '`rm -fr x` is forbidden by a rule: use trash (requirements)' })
  expect(decide(['rm', '-f', 'x'])).toEqual({ run: 'sandboxed' })
  place.write('system/requirements.toml', '[rules]\nprefix_rules = [{ pattern = [{ token = "rm" }], decision = "allow" }]\n')
  await expect(place.load()).rejects.toMatchObject({ code: 'config_invalid', message: expect.stringContaining('must be prompt or forbidden') })
})
test('loadApprovals reads them for the library', async () => {
  const place = configPlace({ 'home/.codex/config.toml': 'approval_policy = "untrusted"\n' })
  expect(await loadApprovals({ codexHome: place.codexHome, cwd: place.project, systemFolder: place.system, env: { HOME: place.home } })).toMatchObject({ approvalPolicy: 'untrusted', codexHome: place.codexHome })
})
test('an option that there is not is an error, as another configuration would be loaded', async () => {
  for (const load of [loadApprovals, loadPolicy]) await expect(load({ profle: 'careful' } as never)).rejects.toMatchObject({ code: 'option_invalid', field: 'profle', message: expect.stringContaining('there are onNotice, codexHome, cwd') })
})
