// The same from the command line: exit code 125 and one line, never a stack.
import { spawnSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect, onTestFinished, test } from 'vitest'

const CLI = process.env['CLI_UNDER_TEST'] ?? fileURLToPath(new URL('../../../dist/cli.cjs', import.meta.url))

interface Outcome { readonly status: number | null; readonly stdout: string; readonly stderr: string }

interface Call { readonly words: readonly string[]; readonly env?: Readonly<Record<string, string | undefined>>; readonly before?: string; readonly files?: (folder: string) => void; readonly input?: string }

/** `before`: a shell's words in front of the program, which is "$@". */
function cli({ words, env = {}, before = '"$@"', files, input = '' }: Call): Outcome {
  const folder = mkdtempSync('/var/tmp/bad-cli-')
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }))
  const workspace = join(folder, 'workspace')
  mkdirSync(workspace)
  files?.(workspace)
  const { status, stdout, stderr } = spawnSync('/bin/sh', ['-c', before, 'sh', process.execPath, CLI, ...words], { cwd: workspace, input, encoding: 'utf8', timeout: 25_000, env: { ...process.env, XDG_STATE_HOME: folder, ...env } })
  return { status, stdout, stderr }
}

const TRUE = ['--', 'true']
const ONE_LINE = (words: RegExp): RegExp => new RegExp(`^codex-sandbox: [^\\n]*${words.source}[^\\n]*\\n$`)

test.each<Call & { readonly name: string; readonly says: RegExp }>([
  { name: 'an unknown key in the policy',       words: ['--policy', '{"mod":"read-only"}', ...TRUE],       says: /mod .*Did you mean "mode"/ },
  { name: 'a policy that is no JSON',           words: ['--policy', '{"mode"', ...TRUE],                  says: /--policy .*not JSON/ },
  { name: 'a policy that is an array',          words: ['--policy', '[]', ...TRUE],                       says: /policy/ },
  { name: 'a policy file that is missing',      words: ['--policy', 'missing.json', ...TRUE],             says: /--policy "missing.json" does not exist/ },
  { name: 'a policy file that is a folder',     words: ['--policy', '.', ...TRUE],                        says: /--policy/ },
  { name: 'a policy file that is empty',        words: ['--policy', 'empty', ...TRUE],                    says: /--policy/, files: folder => writeFileSync(join(folder, 'empty'), '') },
  { name: 'a policy file that is no text',      words: ['--policy', 'binary', ...TRUE],                   says: /--policy/, files: folder => writeFileSync(join(folder, 'binary'), Buffer.from([0, 255, 1])) },
  { name: 'a root with a newline',              words: ['--write', 'a\nb', ...TRUE],                      says: /"[^"]*a\\nb".*control character/ },
  { name: 'a root that is empty',               words: ['--write', '', ...TRUE],                          says: /--write "" is not valid: it is empty/ },
  { name: 'a root of 4,096 bytes',              words: ['--write', `/${'d'.repeat(4095)}`, ...TRUE],      says: /longer than 4095 bytes/ },
  { name: 'a root that is a loop',              words: ['--write', 'loop', ...TRUE],                      says: /loop of symbolic links/, files: folder => symlinkSync('loop', join(folder, 'loop')) },
  { name: 'a time without a unit that is text', words: ['--timeout', 'soon', ...TRUE],                    says: /--timeout "soon"/ },
  { name: 'a time below 0',                     words: ['--timeout=-1', ...TRUE],                         says: /--timeout "-1"/ },
  { name: 'a time of 10,000 days',              words: ['--timeout', '10000d', ...TRUE],                  says: /--timeout/ },
  { name: 'a size that is text',                words: ['--memory', 'much', ...TRUE],                     says: /--memory "much"/ },
  { name: 'a number of processes that is 0',    words: ['--pids', '0', ...TRUE],                          says: /pids/ },
  { name: 'a variable without a name',          words: ['--env', '=x', ...TRUE],                          says: /--env "=x"/ },
  { name: 'a mode that is none',                words: ['-s', 'workspace', ...TRUE],                      says: /--sandbox "workspace"/ },
  { name: 'a key of -c that is none',           words: ['-c', 'sandbox_mod=read-only', ...TRUE],          says: /Did you mean sandbox_mode/ },
  { name: 'a value of -c that is none',         words: ['-c', 'sandbox_workspace_write={', ...TRUE],      says: /sandbox_workspace_write/ },
  { name: 'a relative root in -c is fine, a number is not', words: ['-c', 'sandbox_workspace_write.writable_roots=[3]', ...TRUE], says: /writable_roots\[0\]/ },
  { name: 'a cwd that is a file',               words: ['-C', '/etc/passwd', ...TRUE],                    says: /is not a directory/ },
  { name: 'a report that cannot be written',    words: ['--report', '/no/such/folder/r', ...TRUE],        says: /--report/ },
  { name: 'an empty command',                   words: ['--'],                                            says: /a command is missing.*Give one after --/ },
  { name: 'quiet, and denials after the command', words: ['-q', '--log-denials', ...TRUE],                says: /--quiet contradicts.*--log-denials/ },
  { name: 'a TMPDIR with ..',                   words: TRUE,                                              says: /\$TMPDIR .*contains ".."/, env: { TMPDIR: '/tmp/../etc' } },
  { name: 'a folder that was removed',          words: TRUE,                                              says: /current folder does not exist/, before: 'mkdir gone; cd gone; rmdir ../gone; exec "$@"' },
  { name: 'a CODEX_HOME that is missing: sandbox', words: ['sandbox', 'true'], says: /CODEX_HOME "\/no\/such\/codex" does not exist/, env: { CODEX_HOME: '/no/such/codex' } },
  { name: 'a CODEX_HOME that is missing: debug-config', words: ['debug-config'], says: /CODEX_HOME "\/no\/such\/codex" does not exist/, env: { CODEX_HOME: '/no/such/codex' } },
  { name: 'a CODEX_HOME that is missing: run, where it reads the configuration', words: ['-c', 'sandbox_mode=read-only', ...TRUE], says: /CODEX_HOME "\/no\/such\/codex" does not exist/, env: { CODEX_HOME: '/no/such/codex' } },
  { name: 'a CODEX_HOME that is missing: app-server', words: ['app-server'], says: /CODEX_HOME "\/no\/such\/codex" does not exist/, env: { CODEX_HOME: '/no/such/codex' } },
])('$name', ({ says, name: _, ...call }) => {
  expect(cli(call)).toEqual({ status: 125, stdout: '', stderr: expect.stringMatching(ONE_LINE(says)) })
})

test.each<Call & { readonly name: string; readonly outcome: Outcome }>([
  { name: 'a folder as a program', words: ['--', '/etc'], outcome: { status: 126, stdout: '', stderr: 'codex-sandbox: /etc: Permission denied\n' } },
  { name: 'an interpreter that is nowhere', words: ['--', './s'], files: folder => writeFileSync(join(folder, 's'), '#!/no/such\n', { mode: 0o755 }), outcome: { status: 127, stdout: '', stderr: 'codex-sandbox: ./s: it is there, but the interpreter or loader that it names was not found\n' } },
  { name: 'HOME unset', words: ['--', 'echo', 'ok'], env: { HOME: undefined }, outcome: { status: 0, stdout: 'ok\n', stderr: '' } },
  { name: 'PATH unset', words: ['--', 'echo', 'ok'], env: { PATH: undefined }, outcome: { status: 0, stdout: 'ok\n', stderr: '' } },
  { name: 'CODEX_HOME missing, where no configuration is read', words: ['--', 'echo', 'ok'], env: { CODEX_HOME: '/no/such/codex' }, outcome: { status: 0, stdout: 'ok\n', stderr: '' } },
  { name: 'TMPDIR missing', words: ['--', 'echo', 'ok'], env: { TMPDIR: '/no/such' }, outcome: { status: 0, stdout: 'ok\n', stderr: '' } },
  { name: 'TMPDIR a file', words: ['--', 'echo', 'ok'], env: { TMPDIR: '/etc/passwd' }, outcome: { status: 0, stdout: 'ok\n', stderr: '' } },
  { name: 'TMPDIR relative', words: ['--', 'echo', 'ok'], env: { TMPDIR: 'tmp' }, outcome: { status: 0, stdout: 'ok\n', stderr: '' } },
  { name: 'standard input closed', words: ['--', 'sh', '-c', 'cat; echo ok'], before: 'exec "$@" <&-', outcome: { status: 0, stdout: 'ok\n', stderr: '' } },
  { name: 'standard output closed', words: ['--', 'sh', '-c', 'echo lost; echo ok >&2; exit 4'], before: 'exec "$@" >&-', outcome: { status: 4, stdout: '', stderr: 'ok\n' } },
  { name: 'standard error closed', words: ['--', 'sh', '-c', 'echo lost >&2; echo ok; exit 4'], before: 'exec "$@" 2>&-', outcome: { status: 4, stdout: 'ok\n', stderr: '' } },
  { name: 'the umask', words: ['--', 'sh', '-c', 'umask'], before: 'umask 0077; exec "$@"', outcome: { status: 0, stdout: '0077\n', stderr: '' } },
  { name: '64 descriptors', words: ['--', 'echo', 'ok'], before: 'ulimit -n 64; exec "$@"', outcome: { status: 0, stdout: 'ok\n', stderr: '' } },
])('$name', ({ outcome, name: _, ...call }) => {
  expect(cli(call)).toEqual(outcome)
})

test('too few descriptors is one line', () => {
  for (const bound of [12, 18, 22, 26, 30, 40]) {
    const { status, stderr } = cli({ words: ['--', 'echo', 'ok'], before: `ulimit -n ${bound}; exec "$@"` })
    // Node itself does not start below some bound.
    if (status === 0 || /^(?:node|Assertion|#|\s|FATAL|terminate)/m.test(stderr) || status === null) continue
    expect({ bound, status, stderr }).toEqual({ bound, status: 125, stderr: expect.stringMatching(/^codex-sandbox: [^\n]*no more files may be opened[^\n]*\n$/) })
  }
})
