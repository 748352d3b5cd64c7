// What `learn` proposes for everyday commands runs them without a denial.
import { spawnSync } from 'node:child_process'
import { existsSync, lstatSync, mkdirSync, mkdtempSync, readFileSync, realpathSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { beforeEach, describe, expect, onTestFinished, test } from 'vitest'
import { RUNGS } from '../../../src/platform/launch-plan.js'

beforeEach(context => { if (process.platform !== 'linux') context.skip('the launcher is for Linux') })

const CLI = join(import.meta.dirname, '../../../dist/cli.cjs')

interface Place {
  readonly workspace: string
  readonly home: string
  readonly outside: string
  cli(...words: readonly string[]): { code: number | null; stdout: string; stderr: string }
}

/** A home and a workspace of their own, neither in /tmp. */
function makePlace(files: Readonly<Record<string, string>> = {}): Place {
  const outside = realpathSync(mkdtempSync('/var/tmp/learn-test-'))
  onTestFinished(() => rmSync(outside, { recursive: true, force: true }))
  const [workspace, home] = [join(outside, 'workspace'), join(outside, 'home')]
  for (const folder of [workspace, home]) mkdirSync(folder)
  for (const [name, text] of Object.entries(files)) {
    mkdirSync(join(workspace, name, '..'), { recursive: true })
    writeFileSync(join(workspace, name), text)
  }
  const env = { PATH: process.env['PATH'], HOME: home, LANG: 'C.UTF-8', GIT_CONFIG_GLOBAL: '/dev/null', npm_config_update_notifier: 'false', PYENV_ROOT: process.env['PYENV_ROOT'] ?? join(process.env['HOME'] ?? '/root', '.pyenv') }
  return {
    workspace, home, outside,
    cli: (...words) => {
      const { status, stdout, stderr } = spawnSync(process.execPath, [CLI, ...words], { cwd: workspace, env, encoding: 'utf8', timeout: 120_000 })
      return { code: status, stdout, stderr }
    },
  }
}

const MAKEFILE = 'out/a.o: a.c\n\tmkdir -p out\n\tgcc -c -o $@ a.c\nclean:\n\trm -rf out\n'
const PROGRAM = 'int main(void) { return 0; }\n'

describe.each(RUNGS)('the proposed policy runs without a denial, on the rung %s', { timeout: 180_000 }, rung => {
  /** `supervised`: where another one is learned there, as access(2) does not know of rules: gcc takes another temporary folder where it finds /tmp read-only. */
  test.each<{ name: string; files: Record<string, string>; before?: string; command: string[]; again?: string; policy: object; supervised?: object }>([
    {
      name: 'git: a commit', files: { 'a.txt': 'a' }, before: 'git init -q . && git add -A', command: ['git', '-c', 'user.name=x', '-c', 'user.email=x@example.org', 'commit', '-q', '--allow-empty', '-m', 'x'],
      policy: { mode: 'workspace-write', excludeTmpdirEnvVar: true, excludeSlashTmp: true, git: 'commits' },
    },
    {
      name: 'git: changes that are put aside, which tries to remove .git', files: { 'a.txt': 'a' }, before: 'git init -q . && git add -A && git -c user.name=x -c user.email=x@example.org commit -qm x && echo b >> a.txt',
      command: ['git', '-c', 'user.name=x', '-c', 'user.email=x@example.org', 'stash', '-q'], again: 'git stash pop -q',
      policy: { mode: 'workspace-write', excludeTmpdirEnvVar: true, excludeSlashTmp: true, git: 'commits' },
    },
    { name: 'git: a look', files: { 'a.txt': 'a' }, before: 'git init -q . && git add -A', command: ['git', 'log', '--all'], policy: { mode: 'read-only' } },
    {
      name: 'npm: a script', files: { 'package.json': '{"name":"a","version":"1.0.0","scripts":{"build":"node -e \\"fs.writeFileSync(\'out.txt\', \'1\')\\""}}' },
      command: ['npm', 'run', 'build'], policy: { mode: 'workspace-write', excludeTmpdirEnvVar: true, excludeSlashTmp: true },
    },
    { name: 'npm: a script that writes nothing', files: { 'package.json': '{"name":"a","version":"1.0.0","scripts":{"test":"node -e 0"}}' }, before: 'mkdir -p ../home/.npm', command: ['npm', 'test'], policy: { mode: 'read-only', caches: 'private' } },
    {
      name: 'npm: an installation from a folder', files: { 'package.json': '{"name":"a","version":"1.0.0","dependencies":{"b":"file:./b"}}', 'b/package.json': '{"name":"b","version":"1.0.0"}' },
      before: 'mkdir -p ../home/.npm', command: ['npm', 'install', '--no-audit', '--no-fund', '--offline'], again: 'rm -rf node_modules package-lock.json',
      policy: { mode: 'workspace-write', excludeTmpdirEnvVar: true, excludeSlashTmp: true },
    },
    { name: 'make: a compiler', files: { Makefile: MAKEFILE, 'a.c': PROGRAM }, command: ['make'], again: 'rm -rf out', policy: { mode: 'workspace-write', excludeTmpdirEnvVar: true, excludeSlashTmp: true }, supervised: { mode: 'workspace-write', excludeTmpdirEnvVar: true } },
    { name: 'node: a test run', files: { 'a.test.js': 'require("node:test")("x", () => { require("node:fs").writeFileSync("made.txt", "1") })' }, command: ['node', '--test'], policy: { mode: 'workspace-write', excludeTmpdirEnvVar: true, excludeSlashTmp: true } },
    { name: 'node: nothing written', files: {}, command: ['node', '-e', '0'], policy: { mode: 'read-only' } },
    {
      name: 'python: a test run with a temporary folder and bytecode', files: { 'test_a.py': 'import tempfile, unittest, b\nclass T(unittest.TestCase):\n  def test_a(self):\n    with tempfile.TemporaryDirectory() as d: open(d + "/x", "w").write("x")\n', 'b.py': '' },
      command: ['python3', '-m', 'unittest', '-q'], again: 'rm -rf __pycache__', policy: { mode: 'workspace-write', excludeTmpdirEnvVar: true },
    },
  ])('$name', ({ files, before, command, again, policy, supervised = policy }) => {
    const place = makePlace(files)
    const shell = (script: string) => expect(spawnSync('sh', ['-c', script], { cwd: place.workspace, encoding: 'utf8' }).stderr).toBe('')
    if (before !== undefined) shell(before)
    const learned = place.cli('learn', '--rung', rung, '--out', '../policy.json', '--', ...command)
    expect(learned.code, learned.stderr).toBe(0)
    const proposed = readFileSync(join(place.outside, 'policy.json'), 'utf8')
    expect(JSON.parse(proposed.replaceAll(place.home, 'HOME'))).toEqual(rung === 'namespaces' ? policy : supervised)
    if (again !== undefined) shell(again)
    const run = place.cli('run', '--rung', rung, '--policy', '../policy.json', '--log-denials', '--', ...command)
    expect({ code: run.code, denials: run.stderr.includes('denied') }, run.stderr).toEqual({ code: 0, denials: false })
  })
})

describe('what learning does not open', { timeout: 120_000 }, () => {
  test('keys and tokens: they are named, and the exit code is 1', () => {
    const place = makePlace()
    writeFileSync(join(place.home, '.netrc'), 'machine x password y\n')
    const { code, stdout, stderr } = place.cli('learn', '--json', '--', 'cat', join(place.home, '.netrc'))
    expect(code).toBe(1)
    expect(stderr).toContain('a place of keys or tokens; to have it, begin with --read')
    expect(JSON.parse(stdout)).toMatchObject({ complete: false, policy: { mode: 'read-only' }, withheld: [{ because: 'a place of keys or tokens', path: join(place.home, '.netrc') }], runs: [{ exitCode: 1 }] })
  })

  test('hooks and config of git, though commits are', () => {
    const place = makePlace()
    spawnSync('git', ['init', '-q', place.workspace])
    const { code, stdout, stderr } = place.cli('learn', '--json', '--', 'sh', '-c', 'echo x > .git/hooks/pre-commit; git config a.b c; git commit --allow-empty -qm x; true')
    expect({ code, policy: JSON.parse(stdout).policy.write }).toEqual({ code: 1, policy: undefined })
    expect(stderr).toContain('it is protected, as a program outside runs or believes it')
    expect(existsSync(join(place.workspace, '.git/hooks/pre-commit'))).toBe(false)
  })

  test('the network, where the command ends well without it', () => {
    const place = makePlace()
    const quiet = place.cli('learn', '--json', '--', 'sh', '-c', 'curl -s http://192.0.2.1/; true')
    expect(JSON.parse(quiet.stdout)).toMatchObject({ complete: false, enough: true, policy: { mode: 'read-only' }, withheld: [{ because: 'the command ended with exit code 0 without it', needless: true }] })
    expect(quiet.code).toBe(0)
    expect(quiet.stderr).toContain('the last one ended with exit code 0, with the denials below')
    expect(quiet.stderr).toContain('not proposed, as it is not needed:')
    const needed = place.cli('learn', '--json', '--runs', '1', '--', 'sh', '-c', 'curl -s http://192.0.2.1/')
    expect({ code: needed.code, policy: JSON.parse(needed.stdout).policy }).toEqual({ code: 1, policy: { mode: 'read-only', network: 'open' } })
    const both = place.cli('learn', '--json', '--runs', '1', '--', 'sh', '-c', 'curl -s http://192.0.2.1/; echo x > a')
    expect({ code: both.code, withheld: JSON.parse(both.stdout).withheld }).toMatchObject({ code: 1, withheld: [{ because: 'the network was not tried: it comes last, and there were no runs left' }] })
  })
})

describe('the command line', { timeout: 120_000 }, () => {
  test('the runs are told, the policy is printed in both forms', () => {
    const { code, stdout, stderr } = makePlace().cli('learn', '--', 'sh', '-c', 'echo x > a')
    expect(code).toBe(0)
    expect(stderr).toMatch(/run 1: exit code 2, 1 denial\n[^]*run 2: exit code 0, 0 denials\n[^]*learned from 2 runs; the last one had no denial\n {2}mode workspace-write: it writes in the current folder/)
    expect(stdout).toContain('"mode": "workspace-write"')
    expect(stdout).toContain('sandbox_mode = "workspace-write"')
  })

  test('--out FILE.toml is a config that is read', () => {
    const place = makePlace()
    expect(place.cli('learn', '-q', '--out', 'policy.toml', '--', 'sh', '-c', 'echo x > a').code).toBe(0)
    expect(place.cli('--policy', 'policy.toml', '--', 'sh', '-c', 'echo x > b').code).toBe(0)
    expect(place.cli('--policy', 'policy.toml', '--', 'sh', '-c', `echo x > ${place.outside}/b`).code).not.toBe(0)
  })

  test('--out follows no link, which an earlier command may have made', () => {
    const place = makePlace()
    symlinkSync(join(place.outside, 'target'), join(place.workspace, 'link'))
    const { code, stderr } = place.cli('learn', '--out', 'link', '--', 'true')
    expect({ code, there: existsSync(join(place.outside, 'target')), link: lstatSync(join(place.workspace, 'link')).isSymbolicLink() }).toEqual({ code: 125, there: false, link: true })
    expect(stderr).toContain('it is a symbolic link')
  })

  test('a command that never ends well is given up', () => {
    const place = makePlace()
    for (const number of [1, 2, 3, 4, 5]) mkdirSync(join(place.outside, `d${number}`))
    const { code, stderr } = place.cli('learn', '--runs', '3', '--', 'sh', '-c', 'for i in 1 2 3 4 5; do touch ../d$i/x || exit 1; done')
    expect(code).toBe(1)
    expect(stderr).toContain('learned from 3 runs; the last one still had others')
    expect(place.cli('learn', '--runs', '6', '--', 'sh', '-c', 'for i in 1 2 3 4 5; do touch ../d$i/x || exit 1; done').code).toBe(0)
  })

  test.each([
    { name: 'no command', words: ['learn'], says: 'nothing to learn from' },
    { name: 'nothing is denied', words: ['learn', '-s', 'danger-full-access', '--', 'true'], says: 'nothing is denied there' },
    { name: 'a wrong number', words: ['learn', '--runs', 'x', '--', 'true'], says: '--runs' },
  ])('$name: 125', ({ words, says }) => {
    const { code, stderr } = makePlace().cli(...words)
    expect({ code, says: stderr.includes(says) }, stderr).toEqual({ code: 125, says: true })
  })
})
