// What the doctor says, from findings made by hand; and on this machine, that it says something of each layer.
import { expect, test } from 'vitest'
import { type DoctorReport, examine, formatDoctor } from '../../../src/doctor/doctor.js'

const report = (changes: Partial<DoctorReport>): DoctorReport => ({
  ok: true, capabilities: undefined, findings: [{ name: 'node', ok: true, detail: '20.19.0 at /usr/bin/node' }, { name: 'landlock', ok: true, detail: 'version 7' }],
  check: { ok: true, enforcement: { backend: 'linux-native', layers: ['mounts', 'landlock'], degraded: [], limits: {}, notes: ['a note'] } }, ...changes,
})

test('all is there', () => {
  expect(formatDoctor(report({}))).toBe([
    'ok       node      20.19.0 at /usr/bin/node',
    'ok       landlock  version 7',
    '',
    'workspace-write is enforced here by linux-native (mounts, landlock).',
    '  a note',
    'To see it hold: codex-sandbox doctor --escape',
    '',
  ].join('\n'))
})
test.each([
  { rung: 'namespaces', ok: true,  says: 'workspace-write is enforced here by linux-native, by namespaces (landlock).' },
  { rung: 'supervised', ok: false, says: 'workspace-write is enforced here by linux-native, on the supervised rung (landlock); what is missing would give the stronger one, namespaces.' },
] as const)('which rung holds is said: $rung', ({ rung, ok, says }) => {
  const enforcement = { backend: 'linux-native', rung, layers: ['landlock'], degraded: [], limits: {}, notes: [] } as const
  expect(formatDoctor(report({ ok, check: { ok: true, enforcement } })).split('\n')).toContain(says)
})
test.each([
  { treeEnd: 'control-group', says: '  what a command leaves behind ends by cgroup.kill of a control group of its own' },
  { treeEnd: 'repeated-walk', says: '  what a command leaves behind ends by best effort: what is found below it is killed, again and again until nothing is' },
] as const)('what ends commands is said: $treeEnd', ({ treeEnd, says }) => {
  const enforcement = { backend: 'linux-native', treeEnd, layers: ['landlock'], degraded: [], limits: {}, notes: [] } as const
  expect(formatDoctor(report({ check: { ok: true, enforcement } })).split('\n')).toContain(says)
})
test('what is missing stands with the reason and what to do, once', () => {
  const reason = 'switched off by kernel.apparmor_restrict_unprivileged_userns'
  expect(formatDoctor(report({
    ok: false, findings: [{ name: 'user-namespace', ok: false, detail: `${reason}, EACCES`, remedy: 'Install the AppArmor profile.' }],
    check: { ok: false, missing: [{ rule: undefined, layer: 'layer_missing', reason: `${reason}, EACCES: more`, remedy: 'x' }, { rule: 'deny[0]', layer: 'rule_not_enforceable', reason: 'a reason of its own', remedy: 'x' }] },
  }))).toBe([
    `missing  user-namespace  ${reason}, EACCES`,
    '                         → Install the AppArmor profile.',
    '',
    'workspace-write cannot be enforced here.',
    '  rule_not_enforceable: a reason of its own',
    '',
  ].join('\n'))
})
test('one reason for several layers is told once, and not again below', () => {
  const missing = ['user-namespace', 'mount-namespace', 'pid-namespace'].map(name => ({ name, ok: false, detail: 'a filter refuses it, EPERM', remedy: 'Leave it.' }))
  const reason = 'a filter refuses it'
  expect(formatDoctor(report({
    ok: false, findings: [...missing, { name: 'seccomp', ok: true, detail: 'available' }, { name: 'other', ok: false, detail: 'a filter refuses it, EPERM', remedy: 'Leave it.' }],
    check: { ok: false, missing: [{ rule: undefined, layer: 'user-namespace', reason: `user-namespace "EPERM" is not available on this host: ${reason}. Leave it.`, remedy: 'x' }, { rule: undefined, layer: 'pid-namespace', reason, remedy: 'x' }] },
  }))).toBe([
    'missing  user-namespace   a filter refuses it, EPERM',
    '                          → Leave it.',
    'missing  mount-namespace  for the same reason',
    'missing  pid-namespace    for the same reason',
    'ok       seccomp          available',
    'missing  other            a filter refuses it, EPERM',
    '                          → Leave it.',
    '',
    'workspace-write cannot be enforced here.',
    '',
  ].join('\n'))
})
test('a control character in a reason cannot forge a line', () => {
  expect(formatDoctor(report({ findings: [{ name: 'x', ok: false, detail: 'a\nok b' }] }))).toContain('missing  x  a ok b\n')
})
test('this machine: node, the kernel and the launcher are among the findings', async () => {
  const { findings } = await examine()
  expect(findings.map(({ name }) => name)).toEqual(expect.arrayContaining(['node', 'kernel', 'launcher']))
  for (const finding of findings.filter(({ ok }) => !ok)) expect(finding.detail).not.toBe('')
})
