// The built command line on real commands: exit codes, streams, signals and terminals as if the command ran bare.
import { execFileSync, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, lstatSync, mkdirSync, mkdtempSync, readFileSync, realpathSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'

/** Another build of it can be named, to try it before it is in dist. */
const CLI = process.env['CLI_UNDER_TEST'] ?? fileURLToPath(new URL('../../../dist/cli.cjs', import.meta.url))
const PLAYER = fileURLToPath(new URL('terminal.py', import.meta.url))
const python = ['/usr/bin/python3', '/usr/local/bin/python3'].find(path => existsSync(path))
const shell = ['/bin/bash', '/usr/bin/bash'].find(path => existsSync(path))

let root: string
let workspace: string
beforeAll(() => {
  if (!existsSync(CLI)) throw new Error(`${CLI} is missing: run \`npm run build\` first, or \`npm test\`, which does`)
  root = realpathSync(mkdtempSync(`${tmpdir()}/cli-e2e-`))
  workspace = `${root}/workspace`
  for (const folder of [`${workspace}/.git`, `${root}/codex-home`]) mkdirSync(folder, { recursive: true })
})
afterAll(() => rmSync(root, { recursive: true }))

/** Outside every writable root, since these tests run below /tmp. */
const NO_TMP = ['-c', 'sandbox_workspace_write={exclude_slash_tmp=true, exclude_tmpdir_env_var=true}']

interface Outcome { readonly code: number | null; readonly stdout: string; readonly stderr: string }

/** Whoever runs these tests may have a config.toml of their own. */
function cli(words: readonly string[], { input = '', env = {} }: { input?: string | Buffer; env?: Record<string, string> } = {}): Outcome {
  const { status, stdout, stderr } = spawnSync(process.execPath, [CLI, ...words], { cwd: workspace, input, encoding: 'utf8', env: { ...process.env, CODEX_HOME: `${root}/codex-home`, ...env }, maxBuffer: 1 << 28, timeout: 25_000 })
  return { code: status, stdout, stderr }
}
const sh = (script: string): string[] => ['--', 'sh', '-c', script]

describe('exit codes', () => {
  test.each([
    { name: 'success',                        words: ['--', 'true'],                       code: 0,   stderr: /^$/ },
    { name: 'the command\'s own',             words: sh('exit 42'),                        code: 42,  stderr: /^$/ },
    { name: 'ended by a signal',              words: sh('kill -KILL $$'),                  code: 137, stderr: /^$/ },
    { name: 'timed out',                      words: ['--timeout', '200ms', '--', 'sleep', '20'], code: 124, stderr: /^codex-sandbox: timed out after 200ms\n$/ },
    { name: 'silent for too long',            words: ['--idle-timeout', '200ms', '--kill-grace', '0s', '--', 'sleep', '20'], code: 124, stderr: /^codex-sandbox: ended: it wrote nothing for 200ms\n$/ },
    { name: 'a background that is none',      words: ['--background', 'wait', '--', 'true'], code: 125, stderr: /^codex-sandbox: --background "wait" is not valid: it is one of kill, keep\./ },
    { name: 'not found',                      words: ['--', 'no-such-program'],            code: 127, stderr: /^codex-sandbox: no-such-program: not found\n$/ },
    { name: 'not executable',                 words: ['--', '/etc/passwd'],                code: 126, stderr: /^codex-sandbox: \/etc\/passwd: Permission denied\n$/ },
    { name: 'a folder as a program',          words: ['--', '/etc'],                       code: 126, stderr: /^codex-sandbox: \/etc: / },
    { name: 'no command',                     words: [],                                   code: 125, stderr: /^codex-sandbox: [^\n]*nothing to run[^\n]*\n$/ },
    { name: 'a word that is no verb',         words: ['git', 'status'],                    code: 125, stderr: /^codex-sandbox: [^\n]*codex-sandbox -- git[^\n]*\n$/ },
    { name: 'a folder that is missing',       words: ['-C', '/no/such', '--', 'true'],     code: 125, stderr: /^codex-sandbox: [^\n]*"\/no\/such" does not exist[^\n]*\n$/ },
    { name: 'another system',                 words: ['sandbox', 'windows', 'true'],       code: 125, stderr: /^codex-sandbox: [^\n]*this machine is linux[^\n]*\n$/ },
    { name: 'what a mode of Windows cannot hold', words: ['--print-plan', '--platform', 'windows', '--windows-mode', 'unelevated'], code: 125, stderr: /^codex-sandbox: [^\n]*nothing holds the network[^\n]*--allow-degraded network\.[^\n]*\n$/ },
    { name: 'a service with a value that is none', words: ['app-server', '-c', 'sandbox_mode=bad'], code: 125, stderr: /^codex-sandbox: sandbox_mode "bad" is not valid \(-c:1:14\)/ },
    { name: 'a service with a profile that is none', words: ['app-server', '-p', 'none'], code: 125, stderr: /^codex-sandbox: profile "none" is no profile/ },
    { name: 'a service with a value',         words: ['app-server', '-c', 'sandbox_mode=read-only'], code: 0, stderr: /^$/ },
    { name: 'an option for another system',   words: ['--windows-mode', 'elevated', '--', 'true'], code: 125, stderr: /^codex-sandbox: --windows-mode "elevated" is not valid: it has no effect here: it is for Windows/ },
    { name: 'one for another plan',           words: ['--print-plan', '--platform', 'macos', '--backend', 'linux-bwrap'], code: 125, stderr: /^codex-sandbox: --backend "linux-bwrap" is not valid: it has no effect here: it is for Linux, and this is macos/ },
    { name: 'a rule is named by its option',  words: ['--device', 'none-such', '--', 'true'], code: 125, stderr: /^codex-sandbox: --device "\/dev\/none-such" does not exist/ },
    { name: 'a policy\'s own field',          words: ['--policy', '{"mode": "x"}', '--', 'true'], code: 125, stderr: /^codex-sandbox: --policy mode "x" is not valid here/ },
    { name: 'a workspace is named by its option', words: ['-C', '/', '--', 'true'],      code: 125, stderr: /^codex-sandbox: --cd "\/" is too broad/ },
    { name: 'a degradation that is unknown',  words: ['--allow-degraded', 'x', '--', 'true'], code: 125, stderr: /^codex-sandbox: --allow-degraded "x" is not valid/ },
  ])('$name: $code', ({ words, code, stderr }) => {
    const outcome = cli(words)
    expect(outcome).toEqual({ code, stdout: '', stderr: expect.stringMatching(stderr) })
  })
})

test('what a command left is ended, or waited for with its output, and the exit code is the command\'s own', async () => {
  const script = '(sleep 0.3; echo later) & echo now; exit 5'
  expect(cli(sh(script))).toEqual({ code: 5, stdout: 'now\n', stderr: '' })
  expect(cli(['--background', 'keep', ...sh(script)])).toEqual({ code: 5, stdout: 'now\nlater\n', stderr: '' })
  const child = spawn(process.execPath, [CLI, '--background', 'keep', ...sh('sleep 1000 & echo left')], { cwd: workspace, stdio: ['ignore', 'pipe', 'pipe'], timeout: 20_000, killSignal: 'SIGKILL' })
  const printed = { stdout: '', stderr: '' }
  // Again and again: while the shell itself runs, a signal is passed on to it, and what it left ignores that.
  const interrupts = setInterval(() => printed.stdout !== '' && child.kill('SIGINT'), 100)
  child.stdout.on('data', chunk => { printed.stdout += chunk })
  child.stderr.on('data', chunk => { printed.stderr += chunk })
  // Only when nobody holds the pipes any more.
  await once(child, 'close')
  clearInterval(interrupts)
  expect([printed, child.signalCode]).toEqual([{ stdout: 'left\n', stderr: '' }, null])
})

describe('what is allowed', () => {
  test('the workspace is writable, what lies beside it is not, and the denial says how to allow it', () => {
    const outcome = cli([...NO_TMP, ...sh('echo x > inside && echo x > ../outside')])
    expect(outcome.code).not.toBe(0)
    expect(outcome.stderr).toContain(`codex-sandbox: creation of "${root}/outside" denied: outside every writable root`)
    expect(outcome.stderr).toContain(`(--write ${root})`)
    expect([existsSync(`${workspace}/inside`), existsSync(`${root}/outside`)]).toEqual([true, false])
  })
  test('the flags of a denial, given, allow it', () => {
    mkdirSync(`${root}/other`, { recursive: true })
    const [, flags] = /\((--write [^)]+)\)/.exec(cli([...NO_TMP, ...sh('echo x > ../other/file')]).stderr) ?? []
    expect(cli([...NO_TMP, ...(flags as string).split(' '), ...sh('echo x > ../other/file')]).code).toBe(0)
    expect(readFileSync(`${root}/other/file`, 'utf8')).toBe('x\n')
  })
  test('--quiet says nothing of our own', () => {
    expect(cli(['--quiet', ...NO_TMP, ...sh('echo x > ../quiet')]).stderr).not.toContain('codex-sandbox:')
  })
  test('denials are at most five lines', () => {
    const { stderr } = cli([...NO_TMP, ...sh('for i in 1 2 3 4 5 6 7 8 9; do echo x > ../many$i; done; exit 1')])
    expect(stderr.split('\n').filter(line => line.startsWith('codex-sandbox:')).length).toBeLessThanOrEqual(5)
  })
  test('--log-denials tells all of them, and nothing where there are none', () => {
    expect(cli(['--log-denials', '--', 'true']).stderr).toBe('')
    const { stderr } = cli(['--log-denials', ...NO_TMP, ...sh('for i in 1 2 3 4 5 6 7; do touch ../log$i; done; true')])
    for (const number of [1, 2, 3, 4, 5, 6, 7]) expect(stderr).toContain(`"${root}/log${number}" denied`)
  })
  test('.git stays read-only', () => {
    expect(cli(sh('echo x > .git/config')).code).not.toBe(0)
    expect(existsSync(`${workspace}/.git/config`)).toBe(false)
  })
  test('sandbox is read-only, with --full-auto the workspace is writable', () => {
    expect(cli(['sandbox', 'linux', 'touch', 'by-reference']).code).not.toBe(0)
    expect(cli(['sandbox', '--full-auto', '--', 'touch', 'by-full-auto']).code).toBe(0)
    expect([existsSync(`${workspace}/by-reference`), existsSync(`${workspace}/by-full-auto`)]).toEqual([false, true])
  })
  test('secrets of the environment are dropped unless they are kept', () => {
    const env = { MY_TOKEN: 'secret', PLAIN: 'plain' }
    expect(cli(sh('echo "$MY_TOKEN|$PLAIN|$SET"'), { env }).stdout).toBe('|plain|\n')
    expect(cli(['--env', 'MY_TOKEN', '--env', 'SET=a b', ...sh('echo "$MY_TOKEN|$PLAIN|$SET"')], { env }).stdout).toBe('secret|plain|a b\n')
  })
  test('the home folder as a workspace needs a word, and the error says which', () => {
    const env = { HOME: workspace }
    expect(cli(['--', 'true'], { env })).toEqual({ code: 125, stdout: '', stderr: expect.stringMatching(/too broad to be writable.*name it with --write/) })
    expect(cli(['--write', workspace, ...sh('touch in-home')], { env }).code).toBe(0)
  })
  test('a rule that cannot be held is refused with the flag that goes on without it', () => {
    expect(cli(['--deny', 'sub/*.key', '--', 'true'])).toEqual({ code: 125, stdout: '', stderr: expect.stringContaining('--allow-degraded later-glob-matches') })
    expect(cli(['--deny', 'sub/*.key', '--allow-degraded', 'later-glob-matches', '--', 'true']).code).toBe(0)
  })
  test('--cd is the workspace and where the command starts; other paths start here', () => {
    mkdirSync(`${workspace}/sub`, { recursive: true })
    expect(cli([...NO_TMP, '-C', 'sub', ...sh('pwd; touch a; touch ../b 2>/dev/null || echo denied')])).toMatchObject({ code: 0, stdout: `${workspace}/sub\ndenied\n` })
  })
})

describe('streams', () => {
  test('input and output are passed on, byte for byte', () => {
    const bytes = Buffer.from(Array.from({ length: 300_000 }, (_, index) => (index * 7) % 256))
    const { stdout } = spawnSync(process.execPath, [CLI, '--', 'cat'], { cwd: workspace, input: bytes, maxBuffer: 1 << 28 })
    expect(stdout.equals(bytes)).toBe(true)
  })
  test('stdout and stderr stay apart', () => {
    expect(cli(sh('echo out; echo err >&2'))).toEqual({ code: 0, stdout: 'out\n', stderr: 'err\n' })
  })
  test('a file as input is read, the null device is at its end', () => {
    writeFileSync(`${workspace}/input`, 'from a file\n')
    expect(execFileSync('sh', ['-c', `"${process.execPath}" "${CLI}" -- cat < input; "${process.execPath}" "${CLI}" -- cat < /dev/null`], { cwd: workspace, encoding: 'utf8' })).toBe('from a file\n')
  })
  test('input that nobody reads does not hold the command back', () => {
    expect(execFileSync('sh', ['-c', `"${process.execPath}" "${CLI}" -- true < /dev/zero; echo $?`], { cwd: workspace, encoding: 'utf8', timeout: 15_000 })).toBe('0\n')
  })
  test('a reader that goes away ends the command as SIGPIPE does, without a word', () => {
    const { stdout, stderr } = spawnSync('sh', ['-c', `{ "${process.execPath}" "${CLI}" -- yes; echo "code $?" >&2; } | head -1`], { cwd: workspace, encoding: 'utf8', timeout: 20_000 })
    expect([stdout, stderr]).toEqual(['y\n', 'code 141\n'])
  })
  test.each([
    { name: 'of the command',  words: '-- echo out' },
    { name: 'of --json',       words: '--json -- true' },
    { name: 'of explain',      words: 'explain /etc/passwd' },
    { name: 'of the help',     words: '--help' },
  ])('output that cannot be written is an error, and not lost without a word: $name', ({ words }) => {
    const { stdout, stderr } = spawnSync('sh', ['-c', `"${process.execPath}" "${CLI}" ${words} > /dev/full; echo $?`], { cwd: workspace, encoding: 'utf8' })
    expect([stdout, stderr]).toEqual(['125\n', expect.stringMatching(/^codex-sandbox: standard output cannot be written: ENOSPC[^\n]*\n$/)])
  })
  test('a word that is not UTF-8 is an error, since Node would pass another one on; one with U+FFFD is a word', () => {
    const shell = (script: string) => spawnSync('sh', ['-c', `cli() { "${process.execPath}" "${CLI}" "$@"; }; ${script}`], { cwd: workspace, encoding: 'utf8' })
    writeFileSync(Buffer.concat([Buffer.from(`${workspace}/b`), Buffer.of(0xff)]), '')
    writeFileSync(`${workspace}/b\ufffd`, '')
    expect(shell('cli -- rm "$(printf \'b\\377\')"')).toMatchObject({ status: 125, stderr: expect.stringContaining('it is not UTF-8') })
    expect(existsSync(`${workspace}/b\ufffd`)).toBe(true)
    expect(shell('cli -- rm "b\ufffd"')).toMatchObject({ status: 0, stderr: '' })
    expect(existsSync(`${workspace}/b\ufffd`)).toBe(false)
    expect(shell('mkdir "$(printf \'d\\377\')" && cd "$(printf \'d\\377\')" && cli -- true')).toMatchObject({ status: 125, stderr: expect.stringContaining('its name is not UTF-8') })
  })
  test('a slow reader gets all of it', () => {
    expect(execFileSync('sh', ['-c', `"${process.execPath}" "${CLI}" -- head -c 20000000 /dev/zero | { sleep 0.5; wc -c; }`], { cwd: workspace, encoding: 'utf8' }).trim()).toBe('20000000')
  })
})

describe('results as JSON', () => {
  test('--json has the output inside', () => {
    const { code, stdout, stderr } = cli(['--json', ...sh('cat; echo err >&2; exit 3')], { input: 'in' })
    expect([code, stderr]).toEqual([3, ''])
    expect(JSON.parse(stdout)).toMatchObject({ exitCode: 3, stdout: 'in', stderr: 'err\n', timedOut: false, denials: [], enforcement: { backend: 'linux-native' } })
  })
  test('--json tells an error as data too', () => {
    const { code, stdout } = cli(['--json', '-s', 'none', '--', 'true'])
    expect([code, JSON.parse(stdout)]).toEqual([125, { error: expect.objectContaining({ code: 'option_invalid', field: '--sandbox' }) }])
  })
  test('--report writes it while the output passes through', () => {
    expect(cli(['--report', `${root}/report.json`, ...sh('echo out')]).stdout).toBe('out\n')
    expect(JSON.parse(readFileSync(`${root}/report.json`, 'utf8'))).toMatchObject({ exitCode: 0, stdout: 'out\n' })
  })
  test('--report has the error where no command ran, in place of what was there', () => {
    writeFileSync(`${root}/old.json`, `{"old":"${'x'.repeat(2000)}"}`)
    expect(cli(['--report', `${root}/old.json`, '-C', `${root}/absent`, ...sh('true')]).code).toBe(125)
    expect(JSON.parse(readFileSync(`${root}/old.json`, 'utf8'))).toMatchObject({ error: { code: 'path_not_found', field: 'cwd' } })
  })
  test('a folder of --write that does not exist is told, and grants nothing', () => {
    const { code, stderr } = cli(['--write', `${root}/absent`, ...sh('true')])
    expect([code, stderr]).toEqual([0, `codex-sandbox: --write "${root}/absent" does not exist and grants nothing\n`])
  })
  test('a socket, or a folder of them, that grants nothing because commands may write there is told', () => {
    for (const path of [`${workspace}/absent.sock`, workspace]) {
      const { code, stderr } = cli(['--allow-unix-socket', path, ...sh('true')])
      expect([code, stderr]).toEqual([0, expect.stringContaining(`codex-sandbox: --allow-unix-socket "${path}" grants nothing: where commands may write`)])
    }
    expect(cli(['--allow-unix-socket', '/usr/absent.sock', ...sh('true')])).toMatchObject({ code: 0, stderr: '' })
  })
  test('a commit that is denied proposes --git commits, and that is enough', () => {
    const commit = 'git init -q r && git -C r -c user.name=n -c user.email=e commit -q --allow-empty -m x'
    expect(cli(sh(commit)).code).toBe(0)
    expect(cli(['-C', `${workspace}/r`, ...sh('git -c user.name=n -c user.email=e commit -q --allow-empty -m y')]).stderr).toContain('(--git commits)')
    expect(cli(['-C', `${workspace}/r`, '--git', 'commits', ...sh('git -c user.name=n -c user.email=e commit -q --allow-empty -m y')])).toMatchObject({ code: 0, stderr: '' })
  })
  test('explain takes no URL and no bare address for a file', () => {
    for (const word of ['https://example.org/', '1.1.1.1']) expect(cli(['explain', word])).toMatchObject({ code: 125, stdout: '' })
  })
  test('--report follows no link that a command may have made', () => {
    symlinkSync(`${root}/target`, `${workspace}/report`)
    const { code, stderr } = cli(['--report', 'report', ...sh('touch ran')])
    expect([code, stderr]).toEqual([125, expect.stringContaining('it is a symbolic link')])
    expect([existsSync(`${root}/target`), existsSync(`${workspace}/ran`)]).toEqual([false, false])
  })
  test('--print-plan prints the plan and runs nothing', () => {
    const { code, stdout } = cli(['--print-plan', '--', 'touch', 'never'])
    expect([code, JSON.parse(stdout)]).toEqual([0, expect.objectContaining({ backend: 'linux-native', platform: 'linux', cwd: expect.objectContaining({ path: workspace }) })])
    expect(existsSync(`${workspace}/never`)).toBe(false)
  })
  test('--print-plan --platform macos prints profile, parameters and argv, for an example of a Mac or for a given one', () => {
    const { code, stdout } = cli(['sandbox', 'macos', '--platform', 'macos', '--full-auto', '--print-plan', '--', 'git', 'status'])
    const plan = JSON.parse(stdout)
    expect([code, plan]).toEqual([0, expect.objectContaining({
      backend: 'macos-seatbelt', profile: expect.arrayContaining(['(version 1)', '(deny default)']), parameters: expect.objectContaining({ WRITABLE_1: '/Users/me/project' }),
      argv: ['/usr/bin/sandbox-exec', '-p', '{profile}', ...Object.entries(plan.parameters).flatMap(([name, value]) => ['-D', `${name}=${value}`]), '--', 'git', 'status'],
    })])
    writeFileSync(`${root}/mac.json`, JSON.stringify({ platform: 'macos', cwd: '/w', home: '/Users/x', files: { '/w/': null, '/Users/x/.ssh/': null, '/tmp': { link: 'private/tmp' }, '/private/tmp/': null } }))
    const given = JSON.parse(cli(['--print-plan', '--platform', 'macos', '--host', '../mac.json', '--deny', 'secret', '--read', '~/.ssh', '--', 'ls']).stdout)
    expect(Object.values(given.parameters)).toEqual(expect.arrayContaining(['/w', '/w/secret', '/private/tmp']))
    expect(Object.values(given.parameters)).not.toContain('/Users/x/.ssh')
  })
  test.each([
    { name: 'without a plan',         words: ['--host', 'x', '--', 'true'],                                      stderr: /--host "x" is not valid: it belongs to --print-plan/ },
    { name: 'for this machine',       words: ['--print-plan', '--host', 'x'],                                    stderr: /--host "x" is not valid: it is for --platform macos/ },
    { name: 'that is not there',      words: ['--print-plan', '--platform', 'macos', '--host', 'nope'],          stderr: /--host "nope" does not exist/ },
    { name: 'of another system',      words: ['sandbox', 'linux', '--print-plan', '--platform', 'macos'],        stderr: /sandbox "linux" is not valid: --platform says macos/ },
  ])('a host $name is refused', ({ words, stderr }) => {
    expect(cli(words)).toEqual({ code: 125, stdout: '', stderr: expect.stringMatching(stderr) })
  })
  test('doctor --json says what there is', () => {
    expect(JSON.parse(cli(['doctor', '--json']).stdout)).toMatchObject({ ok: true, findings: expect.arrayContaining([expect.objectContaining({ name: 'node', ok: true }), expect.objectContaining({ name: 'launcher', ok: true })]) })
  })
})

describe('explain', () => {
  test.each([
    { name: 'an allowed read',       words: ['/etc/hostname'],                         code: 0, says: 'allowed' },
    { name: 'a denied write',        words: ['--write', '/etc/hostname'],              code: 1, says: 'To allow: add "/etc/hostname" to write.\n  --write /etc/hostname\n' },
    { name: 'a write that a folder allows', words: ['--write', '--add-dir', '/etc', '/etc/x'], code: 0, says: 'allowed' },
    { name: 'a host',                words: ['example.org:443'],                       code: 1, says: 'the network is off' },
    { name: 'a host without its port, which is read as a file', words: ['example.org'],    code: 0, says: '\n  (no file of that name is there; a host is written with its port, example.org:443)\n' },
    { name: 'a host with the network on', words: ['--network', 'open', 'example.org:443'], code: 0, says: 'allowed' },
  ])('$name: $code', ({ words, code, says }) => {
    expect(cli(['explain', ...words])).toMatchObject({ code, stdout: expect.stringContaining(says), stderr: '' })
  })
})

describe('signals', () => {
  test.each([['SIGINT', 130], ['SIGTERM', 143], ['SIGHUP', 129], ['SIGQUIT', 131], ['SIGUSR1', 138], ['SIGUSR2', 140]] as const)('%s goes to the command: %i', async (signal, code) => {
    const outcome = await signalled(sh('echo ready; exec sleep 20'), signal)
    expect(outcome.code).toBe(code)
  })
  test('a command that handles one ends as it likes', async () => {
    expect(await signalled(sh('trap "echo caught; exit 7" TERM; echo ready; while :; do sleep 0.05; done'), 'SIGTERM')).toMatchObject({ code: 7, stdout: 'ready\ncaught\n' })
  })
  test('nothing is left when this program is killed', async () => {
    const child = spawn(process.execPath, [CLI, ...sh('echo ready; exec sleep 37.25')], { cwd: workspace, stdio: ['ignore', 'pipe', 'inherit'] })
    await new Promise(done => child.stdout.once('data', done))
    child.kill('SIGKILL')
    const gone = (): boolean => spawnSync('pgrep', ['-f', 'sleep 37[.]25']).status === 1
    await expect.poll(gone, { timeout: 5000 }).toBe(true)
  })

  function signalled(words: readonly string[], signal: NodeJS.Signals): Promise<{ code: number | null; stdout: string }> {
    return new Promise(done => {
      const child = spawn(process.execPath, [CLI, ...words], { cwd: workspace, stdio: ['ignore', 'pipe', 'ignore'] })
      let stdout = ''
      child.stdout.on('data', (chunk: Buffer) => {
        if (stdout === '') child.kill(signal)
        stdout += chunk
      })
      child.on('close', code => done({ code, stdout }))
    })
  }
})

type Step = readonly ['expect' | 'send' | 'signal' | 'modes', string] | readonly ['size', readonly [number, number]] | readonly ['wait', number]
interface Played { readonly seen: string; readonly status: number | null; readonly failure: string | null; readonly modes: Record<string, { echo: boolean; lines: boolean; signals: boolean; output: boolean }> }

const GIVEN = { echo: true, lines: true, signals: true, output: true }
const RAW = { echo: false, lines: false, signals: false, output: false }
const CTRL_C = '\u0003'
const CTRL_D = '\u0004'
const CTRL_Z = '\u001a'

describe('a terminal', () => {
  test.for<{ name: string; command: readonly string[]; steps: readonly Step[]; status: number; modes?: Played['modes'] }>([
    { name: 'the command has one, of the same size',        command: sh('test -t 0 -a -t 1 -a -t 2 && stty size'), steps: [['expect', '30 100\r\n']], status: 0, modes: { end: GIVEN } },
    { name: 'it is raw meanwhile, and given back',          command: sh('echo ready; read line; echo "got $line"; exit 5'), steps: [['expect', 'ready'], ['modes', 'during'], ['send', 'abc\r'], ['expect', 'got abc\r\n']], status: 5, modes: { during: RAW, end: GIVEN } },
    { name: 'a new size reaches the command',               command: sh('trap "stty size" WINCH; echo ready; while :; do sleep 0.05; done'), steps: [['expect', 'ready'], ['wait', 0.2], ['size', [41, 77]], ['expect', '41 77'], ['send', CTRL_C]], status: 130 },
    { name: 'ctrl-C interrupts the command',                command: sh('echo ready; exec sleep 20'), steps: [['expect', 'ready'], ['wait', 0.2], ['send', CTRL_C]], status: 130, modes: { end: GIVEN } },
    { name: 'a command that handles ctrl-C lives on',       command: sh('trap "echo caught" INT; echo ready; read a || read a; echo "got $a"'), steps: [['expect', 'ready'], ['wait', 0.2], ['send', CTRL_C], ['expect', 'caught'], ['send', 'x\r'], ['expect', 'got x']], status: 0 },
    { name: 'ctrl-D ends its input',                        command: sh('echo ready; cat; echo over'), steps: [['expect', 'ready'], ['send', CTRL_D], ['expect', 'over']], status: 0 },
    { name: 'SIGTERM ends the command and gives the terminal back', command: sh('echo ready; exec sleep 20'), steps: [['expect', 'ready'], ['wait', 0.2], ['modes', 'during'], ['signal', 'SIGTERM']], status: 143, modes: { during: RAW, end: GIVEN } },
    { name: 'SIGHUP too',                                   command: sh('echo ready; exec sleep 20'), steps: [['expect', 'ready'], ['wait', 0.2], ['signal', 'SIGHUP']], status: 129, modes: { end: GIVEN } },
    { name: 'ctrl-Z where no shell could continue it does not hang', command: sh('echo ready; read line; echo "got $line"'), steps: [['expect', 'ready'], ['wait', 0.2], ['send', CTRL_Z], ['wait', 0.3], ['send', 'abc\r'], ['expect', 'got abc']], status: 0 },
    { name: 'a denial is printed after the terminal is given back', command: [...NO_TMP, ...sh('echo x > ../at-terminal')], steps: [['expect', 'denied'], ['expect', '\r\n']], status: 2, modes: { end: GIVEN } },
  ])('$name', async ({ command, steps, status, modes }, { skip }) => {
    if (python === undefined) return skip('python3, which plays the terminal, is not installed')
    const played = play(steps, [process.execPath, CLI, ...command])
    expect(played).toMatchObject({ failure: null, status, ...(modes === undefined ? {} : { modes }) })
  })

  const job = (script: string, redirected = ''): string => `"${process.execPath}" "${CLI}" -- sh -c '${script}' ${redirected}`
  test.for<{ name: string; steps: readonly Step[] }>([
    {
      name: 'ctrl-Z stops the whole job, fg continues it',
      steps: [['send', `${job('echo rea""dy; while read x; do echo "<$x>"; done; echo ov""er')}\r`], ['expect', 'ready'], ['send', 'one\r'], ['expect', '<one>'], ['send', CTRL_Z], ['expect', 'Stopped'], ['expect', '$ '], ['send', 'echo in-the-sh""ell\r'], ['expect', 'in-the-shell'],
        ['send', 'fg\r'], ['wait', 0.5], ['modes', 'continued'], ['send', 'two\r'], ['expect', '<two>'], ['send', CTRL_D], ['expect', 'over'], ['expect', '$ '], ['send', 'echo "code $?"\r'], ['expect', 'code 0']],
    },
    {
      name: 'the same with its output redirected',
      steps: [['send', `${job('echo rea""dy >&2; sleep 0.5; sleep 0.5; echo ov""er', '> stopped')}\r`], ['expect', 'ready'], ['send', CTRL_Z], ['expect', 'Stopped'], ['expect', '$ '], ['send', 'fg\r'], ['expect', '$ '], ['send', 'echo "code $? $(cat stopped)"\r'], ['expect', 'code 0 over']],
    },
    {
      name: 'a background job does not take the terminal until it is in front',
      steps: [['send', `${job('sleep 0.4; echo rea""dy; read x; echo "<$x>"')} &\r`], ['wait', 0.3], ['send', 'echo ty""ped\r'], ['expect', 'typed'], ['expect', 'ready'], ['send', 'fg\r'], ['wait', 0.7], ['send', 'abc\r'], ['expect', '<abc>'], ['expect', '$ ']],
    },
    {
      name: 'continued in the background it ends there',
      steps: [['send', `${job('echo rea""dy; sleep 0.6; sleep 0.6; echo ov""er')}\r`], ['expect', 'ready'], ['send', CTRL_Z], ['expect', 'Stopped'], ['expect', '$ '], ['send', 'bg\r'], ['wait', 0.2], ['send', 'echo ty""ped\r'], ['expect', 'typed'], ['expect', 'over'], ['wait', 0.3], ['send', '\r'], ['expect', 'Done']],
    },
  ])('under a shell: $name', async ({ steps }, { skip }) => {
    if (python === undefined) return skip('python3, which plays the terminal, is not installed')
    if (shell === undefined) return skip('bash, whose job control this is about, is not installed')
    const played = play([['expect', '$ '], ...steps, ['send', '\rexit\r']], [shell, '--norc', '--noprofile', '-i'])
    expect(played.failure, played.seen).toBeNull()
  })

  test('an editor works', async ({ skip }) => {
    const editor = ['/usr/bin/vim', '/usr/bin/vi', '/usr/bin/nvi'].find(path => existsSync(path))
    if (python === undefined) return skip('python3, which plays the terminal, is not installed')
    if (editor === undefined) return skip('no vi is installed')
    const played = play([['wait', 1], ['send', 'ihello\u001b'], ['wait', 0.3], ['send', ':wq\r']], [process.execPath, CLI, '--', editor, 'edited'])
    expect([played.status, readFileSync(`${workspace}/edited`, 'utf8'), played.modes['end']]).toEqual([0, 'hello\n', GIVEN])
  })

  function play(steps: readonly Step[], program: readonly string[]): Played {
    const { stdout, stderr } = spawnSync(python as string, [PLAYER, JSON.stringify(steps), ...program], { cwd: workspace, encoding: 'utf8', env: { ...process.env, PS1: '$ ', TERM: 'xterm' }, timeout: 28_000 })
    if (stdout === '') throw new Error(`the player said: ${stderr}`)
    return JSON.parse(stdout) as Played
  }
})

test('nothing of ours is left in the workspace', () => {
  cli(['--', 'true'])
  expect(['.codex', '.agents'].filter(name => lstatSync(`${workspace}/${name}`, { throwIfNoEntry: false }) !== undefined)).toEqual([])
})
