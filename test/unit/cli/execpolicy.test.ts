// `codex-sandbox execpolicy check`: the program itself, its output byte for byte and its exit codes.
import { execFile } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, expect, test } from 'vitest'

const CLI = fileURLToPath(new URL('../../../dist/cli.cjs', import.meta.url))
let folder: string

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'execpolicy-'))
  writeFileSync(join(folder, 'git.rules'), 'prefix_rule(pattern=["git", "commit"], decision="prompt", justification="review")\nhost_executable("git", ["/usr/bin/git"])\n')
  writeFileSync(join(folder, 'more.rules'), 'prefix_rule(["git"])\n')
  writeFileSync(join(folder, 'wrong.rules'), '# rules\nprefix_rule(pattern=[])\n')
  writeFileSync(join(folder, 'bytes.rules'), Buffer.from([0x23, 0xff, 0x0a]))
  mkdirSync(join(folder, 'folder.rules'))
})
afterAll(() => rmSync(folder, { recursive: true }))

const run = (...words: string[]): Promise<{ code: number; stdout: string; stderr: string }> => new Promise(done => {
  execFile(process.execPath, [CLI, 'execpolicy', ...words], { cwd: folder }, (error, stdout, stderr) => done({ code: error === null ? 0 : Number(error.code), stdout, stderr }))
})

test.each<{ name: string; words: string[]; stdout: string }>([
  { name: 'a match',                       words: ['check', '--rules', 'git.rules', '--', 'git', 'commit', '-m', 'x'], stdout: '{"matchedRules":[{"prefixRuleMatch":{"matchedPrefix":["git","commit"],"decision":"prompt","justification":"review"}}],"decision":"prompt"}\n' },
  { name: 'no match has no decision',      words: ['check', '--rules', 'git.rules', '--', 'ls'],                       stdout: '{"matchedRules":[]}\n' },
  { name: 'several files, -r, no --',      words: ['check', '-r', 'git.rules', '-r', 'more.rules', 'git', 'commit', '--pretty'], stdout: '{"matchedRules":[{"prefixRuleMatch":{"matchedPrefix":["git","commit"],"decision":"prompt","justification":"review"}},{"prefixRuleMatch":{"matchedPrefix":["git"],"decision":"allow"}}],"decision":"prompt"}\n' },
  { name: 'on several lines',              words: ['check', '--pretty', '--rules', 'more.rules', '--', 'git'],         stdout: '{\n  "matchedRules": [\n    {\n      "prefixRuleMatch": {\n        "matchedPrefix": [\n          "git"\n        ],\n        "decision": "allow"\n      }\n    }\n  ],\n  "decision": "allow"\n}\n' },
  { name: 'on several lines, no match',    words: ['check', '--pretty', '--rules', 'more.rules', '--', 'ls'],          stdout: '{\n  "matchedRules": []\n}\n' },
  { name: 'a path for its base name',      words: ['check', '--resolve-host-executables', '--rules', 'git.rules', '--', '/usr/bin/git', 'commit'], stdout: '{"matchedRules":[{"prefixRuleMatch":{"matchedPrefix":["git","commit"],"decision":"prompt","resolvedProgram":"/usr/bin/git","justification":"review"}}],"decision":"prompt"}\n' },
])('$name', async ({ words, stdout }) => {
  expect(await run(...words)).toEqual({ code: 0, stdout, stderr: '' })
})

test('a file that is wrong: exit 1, with file, line, column, reason and a caret', async () => {
  expect(await run('check', '--rules', 'more.rules', '--rules', 'wrong.rules', '--', 'git')).toEqual({
    code: 1, stdout: '',
    stderr: 'codex-sandbox: the rules file is not understood (wrong.rules:2:1): the pattern is empty. Correct it: until then nothing runs unasked.\n    2 | prefix_rule(pattern=[])\n      | ^^^^^^^^^^^^^^^^^^^^^^^\n',
  })
})

test.each<{ name: string; words: string[]; code: number; says: string }>([
  { name: 'a file that is not there',  words: ['check', '--rules', 'none.rules', '--', 'git'],   code: 1,   says: '"none.rules" is not understood: it cannot be read (ENOENT)' },
  { name: 'a folder',                  words: ['check', '--rules', 'folder.rules', '--', 'git'], code: 1,   says: '(EISDIR)' },
  { name: 'a file that is not UTF-8',  words: ['check', '--rules', 'bytes.rules', '--', 'git'],  code: 1,   says: 'it is not UTF-8' },
  { name: 'no file',                   words: ['check', '--', 'git'],                            code: 125, says: '--rules is missing' },
  { name: 'no command',                words: ['check', '--rules', 'git.rules'],                 code: 125, says: 'nothing to check' },
  { name: 'no subcommand',             words: ['--rules', 'git.rules', '--', 'git'],             code: 125, says: 'there is only check' },
])('$name', async ({ words, code, says }) => {
  const result = await run(...words)
  expect(result).toMatchObject({ code, stdout: '' })
  expect(result.stderr).toContain(says)
})
