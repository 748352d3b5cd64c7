// Scripts: by the shell that is there, or without one where that makes no difference.
import { spawnSync } from 'node:child_process'
import { chmodSync, mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { makeWorkspace } from '../../native/workspace.js'
import { failureOf, setEnvironment, startSandbox } from '../bad-input/sandbox.js'

const bash = spawnSync('bash', ['-c', 'echo']).status === 0 ? undefined : 'bash is not installed'

/** What a bare bash makes of it, in the same folder and environment. */
function bare(script: string, cwd: string): { exitCode: number | null; stdout: string; stderr: string } {
  const { status, signal, stdout, stderr } = spawnSync('bash', ['-c', script], { cwd, encoding: 'utf8', env: { ...process.env, GIT_TERMINAL_PROMPT: '0', GIT_EDITOR: 'true', GIT_OPTIONAL_LOCKS: '0', PAGER: 'cat' } })
  return { exitCode: signal === null ? status : 137, stdout, stderr }
}

test.for([
  { script: 'true' },
  { script: 'false' },
  { script: 'ls -a' },
  { script: 'git --version' },
  { script: 'cat there' },
  { script: 'cat missing' },
  { script: 'no-such-program --flag' },
  { script: 'not-executable' },
  { script: 'without-interpreter-line' },
  { script: './without-interpreter-line' },
  { script: 'printenv PWD' },
  { script: 'pwd' },
  { script: 'there' },
  { script: 'echo -e a\\tb; echo {1..3}; [[ -n x ]] && echo yes' },
  { script: 'cd sub && pwd; exit 7' },
  { script: 'set -o pipefail; false | true' },
  { script: 'kill -9 $$' },
  { script: 'cat <<< "here"; cat <(echo there)' },
  { script: 'a=(1 2 3); echo ${a[@]:1}' },
  { script: 'if' },
  { script: '' },
  { script: '# nothing' },
  { script: 'sh -c "exit 3"; echo $?' },
  { script: 'export X=1; printenv X' },
])('as bash does it: $script', async ({ script }, { skip }) => {
  if (bash !== undefined) return skip(bash)
  const workspace = makeWorkspace('sub')
  writeFileSync(join(workspace.path, 'there'), 'content\n')
  for (const name of ['not-executable', 'without-interpreter-line']) writeFileSync(join(workspace.path, name), 'echo ran by ${BASH_VERSION:+bash}\n')
  chmodSync(join(workspace.path, 'without-interpreter-line'), 0o755)
  const sandbox = await startSandbox({}, workspace)
  const { exitCode, stdout, stderr } = await sandbox.shell(script)
  expect({ exitCode, stdout, stderr }).toEqual(bare(script, workspace.path))
})

test('a script as text with a line break, quotes and NUL', async () => {
  const sandbox = await startSandbox()
  expect((await sandbox.shell('echo "a\nb"\necho \'$HOME\'')).stdout).toBe('a\nb\n$HOME\n')
  expect(await failureOf(() => sandbox.shell('echo \0'))).toMatchObject({ code: 'argument_invalid', field: 'script' })
  expect(await failureOf(() => sandbox.shell(['echo'] as unknown as string))).toMatchObject({ code: 'argument_invalid', field: 'script' })
  expect(await failureOf(() => sandbox.shell('x', { shells: 'sh' } as object))).toMatchObject({ code: 'option_invalid', field: 'shells' })
  expect(await failureOf(() => sandbox.shell('x', { login: 'yes' } as unknown as object))).toMatchObject({ code: 'option_invalid', field: 'login' })
})

test('stdin, time-out, environment and folder are as with exec', async () => {
  const workspace = makeWorkspace('sub')
  const sandbox = await startSandbox({}, workspace)
  expect((await sandbox.shell('cat', { stdin: 'given' })).stdout).toBe('given')
  expect(await sandbox.shell('sleep 1000', { timeoutMs: 50 })).toMatchObject({ exitCode: 124, timedOutBy: 'timeoutMs' })
  expect((await sandbox.shell('printenv X PWD', { env: { X: '1' }, cwd: 'sub' })).stdout).toBe(`1\n${workspace.path}/sub\n`)
  expect((await sandbox.shell('printenv PWD', { env: { PWD: '/own' } })).stdout).toBe('/own\n')
})

test('the shell that is asked for, and its profile only when that is asked for', async () => {
  const workspace = makeWorkspace()
  mkdirSync(join(workspace.outside, 'home'))
  writeFileSync(join(workspace.outside, 'home', '.profile'), 'PROFILE=read\n')
  setEnvironment({ HOME: join(workspace.outside, 'home') })
  const sandbox = await startSandbox({}, workspace)
  expect((await sandbox.shell('echo "$PROFILE$0"', { shell: 'sh' })).stdout).toBe('sh\n')
  expect((await sandbox.shell('echo "$PROFILE$0"', { shell: '/bin/sh', login: true })).stdout).toBe('read/bin/sh\n')
  expect((await sandbox.shell('echo "$PROFILE"', { login: true })).stdout).toBe('read\n')
  expect((await sandbox.shell('echo "$PROFILE"')).stdout).toBe('\n')
  expect(await sandbox.shell('echo', { shell: 'no-such-shell' })).toMatchObject({ exitCode: 127, stderr: 'codex-sandbox: no-such-shell: not found\n' })
})

test.for([
  { name: 'exported functions', variable: 'BASH_FUNC_git%%', value: '() { echo function; }' },
  { name: 'a file that is read first', variable: 'BASH_ENV', value: 'start' },
])('bash\'s $name count', async ({ variable, value }, { skip }) => {
  if (bash !== undefined) return skip(bash)
  const workspace = makeWorkspace()
  writeFileSync(join(workspace.path, 'start'), 'git() { echo function; }\n')
  const sandbox = await startSandbox({}, workspace)
  expect((await sandbox.shell('git', { env: { [variable]: value } })).stdout).toBe('function\n')
})

test('where bash may not be executed, sh does it', async () => {
  const found = spawnSync('sh', ['-c', 'command -v bash'], { encoding: 'utf8' }).stdout.trim()
  const sandbox = await startSandbox({ policy: { deny: ['/usr/bin/bash', '/bin/bash', found] } })
  expect((await sandbox.shell('echo "$0 ${BASH_VERSION-none}"')).stdout).toBe('sh none\n')
})

test('where the command has a PATH of its own, the shell is found all the same', async () => {
  const sandbox = await startSandbox()
  expect((await sandbox.shell('echo x; type -t ls', { env: { PATH: '/nowhere' } })).stdout).toBe('x\n')
})

test('a plain command that is missing is not run twice, and one that fails is not either', async () => {
  const sandbox = await startSandbox()
  expect(await sandbox.shell('mkdir once')).toMatchObject({ exitCode: 0 })
  expect(await sandbox.shell('mkdir once')).toMatchObject({ exitCode: 1 })
  const { stderr, output } = await sandbox.shell('no-such-program')
  expect([stderr, output]).toEqual(['bash: line 1: no-such-program: command not found\n', 'bash: line 1: no-such-program: command not found\n'])
})

test('an abort before and after the shell is asked in a program\'s place', async () => {
  const sandbox = await startSandbox()
  for (let round = 0; round < 20; round++) {
    const controller = new AbortController()
    const running = sandbox.shell('no-such-program', { signal: controller.signal })
    setTimeout(() => controller.abort(), round / 4)
    expect([127, 143]).toContain((await running).exitCode)
  }
})

test('spawnShell', async () => {
  const sandbox = await startSandbox()
  const child = sandbox.spawnShell('read x; echo "<$x>"; echo {1..2}')
  child.stdin!.end('line\n')
  let output = ''
  for await (const chunk of child.stdout) output += String(chunk)
  expect({ output, args: child.spawnargs.slice(0, 2), exitCode: (await child.exited).exitCode }).toEqual({ output: '<line>\n1 2\n', args: ['bash', '-c'], exitCode: 0 })
  expect(await failureOf(async () => sandbox.spawnShell('x\0'))).toMatchObject({ code: 'argument_invalid', field: 'script' })
})
