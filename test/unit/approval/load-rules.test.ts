// Which files count, what each may say, and what becomes of one that is wrong.
import { execFileSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { assess } from '../../../src/approval/assess.js'
import { loadRules, requiredRules } from '../../../src/approval/load-rules.js'

let folder: string
beforeEach(() => { folder = mkdtempSync(path.join(tmpdir(), 'rules-')) })
afterEach(() => rmSync(folder, { recursive: true }))

function write(name: string, text: string | Buffer): string {
  const file = path.join(folder, name)
  mkdirSync(path.dirname(file), { recursive: true })
  writeFileSync(file, text)
  return file
}
const load = (trusted: readonly string[] = []) => loadRules({ codexHome: path.join(folder, 'home'), trustedFolders: trusted.map(name => path.join(folder, name)) })
const decide = (command: readonly string[], rules = load(), approvalPolicy: 'on-request' | 'untrusted' | 'never' = 'on-request') => Object.keys(assess(command, { approvalPolicy, sandboxMode: 'workspace-write', rules }))[0]

test('no folder, no rules', () => {
  expect(load()).toEqual({ prefixes: [], networks: [], executables: new Map(), broken: [], ignored: [] })
})
test('all .rules files of the user, by name; others are none', () => {
  const [b, a] = [write('home/rules/b.rules', 'prefix_rule(["b"])'), write('home/rules/a.rules', '\nprefix_rule(["a"])')]
  write('home/rules/c.rules.bak', 'prefix_rule(["c"])')
  expect(load().prefixes.map(({ place, source }) => [place, source])).toEqual([[`${a}:2`, 'user'], [`${b}:1`, 'user']])
})
test('a file that is a link counts', () => {
  write('dotfiles/x', 'prefix_rule(["x"], "forbidden")')
  mkdirSync(path.join(folder, 'home/rules'), { recursive: true })
  symlinkSync(path.join(folder, 'dotfiles/x'), path.join(folder, 'home/rules/x.rules'))
  expect(decide(['x'])).toBe('forbidden')
})

test.each<{ name: string; make: () => void; says: string }>([
  { name: 'is no program',        make: () => { write('home/rules/x.rules', 'prefix_rule(["x"])\nprefix_rule(') },                says: 'x.rules:2:12)' },
  { name: 'has a false example',  make: () => { write('home/rules/x.rules', 'prefix_rule(["x"], match=["y"])') },                 says: 'does not match its example' },
  { name: 'is not UTF-8',         make: () => { write('home/rules/x.rules', Buffer.from([0xff])) },                               says: 'it is not UTF-8' },
  { name: 'is a folder',          make: () => { mkdirSync(path.join(folder, 'home/rules/x.rules'), { recursive: true }) },        says: 'EISDIR' },
  { name: 'is a link to nowhere', make: () => { mkdirSync(path.join(folder, 'home/rules'), { recursive: true }); symlinkSync('none', path.join(folder, 'home/rules/x.rules')) }, says: 'ENOENT' },
  { name: 'is a FIFO, for which nobody waits', make: () => { mkdirSync(path.join(folder, 'home/rules'), { recursive: true }); execFileSync('mkfifo', [path.join(folder, 'home/rules/x.rules')]) }, says: 'not a regular file' },
  { name: 'never ends',           make: () => { write('home/rules/x.rules', 'for i in range(1000000000):\n  pass') },             says: 'steps' },
  { name: 'is a project\'s',      make: () => { write('work/.codex/rules/x.rules', 'x = ') },                                     says: 'unexpected' },
])('a file that $name: nothing runs unasked, and under never nothing runs, until it is mended', ({ make, says }) => {
  write('home/rules/good.rules', 'prefix_rule(["tool"])')
  make()
  const rules = load(['work'])
  expect(rules.broken).toEqual([expect.stringContaining(says)])
  expect([decide(['ls'], rules), decide(['tool'], rules), decide(['ls'], rules, 'never')]).toEqual(['ask', 'ask', 'forbidden'])
  rmSync(path.join(folder, 'home/rules/x.rules'), { recursive: true, force: true })
  rmSync(path.join(folder, 'work'), { recursive: true, force: true })
  expect([decide(['ls']), decide(['tool']), decide(['ls'], load(), 'never')]).toEqual(['run', 'run', 'run'])
})

test('a project that is trusted may prompt and forbid, and nothing else; what it says to allow is named', () => {
  const file = write('work/.codex/rules/x.rules', `prefix_rule(["a"])
prefix_rule(["b"], "prompt")
prefix_rule(["c"], "forbidden")
network_rule(host="x.com", protocol="https", decision="allow")
network_rule(host="y.com", protocol="https", decision="deny")
host_executable("b", ["/usr/bin/b"])`)
  const rules = load(['work'])
  expect([decide(['a'], rules, 'untrusted'), decide(['b'], rules), decide(['c'], rules)]).toEqual(['ask', 'ask', 'forbidden'])
  expect(rules.networks.map(({ host }) => host)).toEqual(['y.com'])
  expect(rules.executables.size).toBe(0)
  expect(rules.ignored).toEqual([`${file}:1: a project's rules may only prompt or forbid`, `${file}:4: a project's rules may only prompt or forbid`, `${file}: host_executable of "b" counts in the user's rules only`])
})
test('a project that is not trusted says nothing', () => {
  write('work/.codex/rules/x.rules', 'prefix_rule(["c"], "forbidden")')
  expect(decide(['c'])).toBe('run')
})
test('requirements never allow, and win', () => {
  write('home/rules/x.rules', 'prefix_rule(["rm"])')
  const requirements = requiredRules([{ pattern: [{ token: 'rm' }, { anyOf: ['-rf', '-fr'] }], decision: 'forbidden', justification: 'use trash' }], 'requirements')
  const given = { approvalPolicy: 'on-request', sandboxMode: 'workspace-write', rules: load(), requirements } as const
  expect(assess(['rm', '-fr', 'x'], given)).toEqual({ forbidden: '`rm -fr x` is forbidden by a rule: use trash (requirements)' })
  expect(assess(['rm', 'x'], given)).toEqual({ run: 'sandboxed' })
})
