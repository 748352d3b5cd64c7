// The command line as on a Mac, all of it but the kernel: `process.platform` says darwin, and in a mount namespace a program that
// confines nothing stands at /usr/bin/sandbox-exec, and one that knows no preferences at /usr/bin/defaults.
import { spawnSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, realpathSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'

const CLI = fileURLToPath(new URL('../../../dist/cli.cjs', import.meta.url))
const SANDBOX_EXEC = `#!/bin/sh
while [ "$1" != -- ]; do
  case $1 in -p | -D) shift 2 ;; *) exit 64 ;; esac
done
shift
exec "$@"
`
let folder: string
let work: string

beforeAll(() => {
  folder = realpathSync(mkdtempSync(join(tmpdir(), 'as-mac-')))
  work = join(folder, 'work')
  for (const each of [join(work, '.git'), join(folder, 'bin')]) mkdirSync(each, { recursive: true })
  writeFileSync(join(folder, 'bin/sandbox-exec'), SANDBOX_EXEC, { mode: 0o755 })
  // Managed preferences are the files of that name, as base64.
  writeFileSync(join(folder, 'bin/defaults'), `#!/bin/sh\nbase64 < ${folder}/preferences/"$3" 2>/dev/null && exit\necho "The domain/default pair of ($2, $3) does not exist" >&2\nexit 1\n`, { mode: 0o755 })
  writeFileSync(join(folder, 'darwin.mjs'), 'Object.defineProperty(process, "platform", { value: "darwin" })\n')
})
afterAll(() => rmSync(folder, { recursive: true, force: true }))

const unshare = ['unshare', ...(process.getuid?.() === 0 ? [] : ['--map-root-user']), '--mount']
const overlay = (): string => `mount -t overlay -o lowerdir=${join(folder, 'bin')}:/usr/bin overlay /usr/bin`

interface Done { readonly status: number | null; readonly stdout: string; readonly stderr: string }

function inMac(words: readonly string[], { there = true } = {}): Done {
  const node = [process.execPath, '--import', join(folder, 'darwin.mjs'), CLI, ...words]
  const [program, ...rest] = there ? [...unshare, 'sh', '-c', `${overlay()} && exec "$@"`, 'sh', ...node] : node
  const { status, stdout, stderr } = spawnSync(program as string, rest, { cwd: work, encoding: 'utf8', timeout: 60_000 })
  return { status, stdout, stderr }
}

describe('on a Mac without sandbox-exec', () => {
  test('nothing runs', () => {
    expect(inMac(['--', 'true'], { there: false })).toEqual({
      status: 125, stdout: '', stderr: 'codex-sandbox: seatbelt "ENOENT" is not available on this host: /usr/bin/sandbox-exec cannot be run. Run on macOS, with the system\'s own sandbox-exec.\n',
    })
  })
  test('doctor says so, and looks for nothing of Linux', () => {
    const { status, stdout } = inMac(['doctor'], { there: false })
    expect(stdout).toMatch(/^missing {2}seatbelt {2}\/usr\/bin\/sandbox-exec cannot be run, ENOENT$/m)
    expect(stdout).not.toMatch(/launcher|landlock|namespace/)
    expect(status).toBe(1)
  })
  test('what a policy means is told all the same', () => {
    const { stdout } = inMac(['explain', '--write', '.git/config'], { there: false })
    expect(stdout).toMatch(/^creation of ".*\/work\/\.git\/config" denied: ".*\/work\/\.git" is protected in the writable root/)
  })
})

describe('on a Mac', () => {
  let canMount: boolean
  beforeAll(() => { canMount = spawnSync(unshare[0] as string, [...unshare.slice(1), 'sh', '-c', overlay()]).status === 0 })
  beforeEach(context => { if (!canMount) context.skip('nothing can be mounted here') })

  test.each<{ name: string; words: string[]; done: Partial<Done> }>([
    { name: 'a command runs and is told', words: ['--', 'sh', '-c', 'echo $CODEX_SANDBOX $CODEX_SANDBOX_NETWORK_DISABLED'], done: { status: 0, stdout: 'seatbelt 1\n', stderr: '' } },
    { name: 'its exit code is ours', words: ['--', 'sh', '-c', 'exit 7'], done: { status: 7 } },
    { name: 'as it was called before', words: ['sandbox', 'macos', '--full-auto', '--', 'echo', 'hi'], done: { status: 0, stdout: 'hi\n', stderr: '' } },
    { name: 'another system\'s word', words: ['sandbox', 'linux', '--', 'true'], done: { status: 125, stderr: 'codex-sandbox: sandbox "linux" is not valid: this machine is macos. Leave the word out: the system is known.\n' } },
    { name: 'what no Mac can hold is refused', words: ['--tmp', 'private', '--', 'true'], done: { status: 125, stderr: 'codex-sandbox: --tmp "private" cannot be enforced on this host: macOS shows every process the same /tmp. Say "host" or "none"; set TMPDIR to a folder in the workspace.\n' } },
    { name: 'a program that is not there', words: ['--', 'no-such-program'], done: { status: 127, stderr: 'codex-sandbox: no-such-program: not found\n' } },
  ])('$name', ({ words, done }) => {
    expect(inMac(words)).toMatchObject(done)
  })
  test('managed preferences are read, and their requirements hold', () => {
    mkdirSync(join(folder, 'preferences'))
    writeFileSync(join(folder, 'preferences/requirements_toml_base64'), 'allowed_sandbox_modes = ["read-only"]\n')
    writeFileSync(join(folder, 'preferences/config_toml_base64'), 'sandbox_mode = "workspace-write"\n[shell_environment_policy.set]\nMANAGED = "yes"\n')
    try {
      expect(inMac(['sandbox', '--', 'sh', '-c', 'echo $MANAGED'])).toMatchObject({ status: 0, stdout: 'yes\n', stderr: expect.stringContaining('sandbox_mode "workspace-write" is not allowed here: "read-only" holds') as string })
      expect(inMac(['sandbox', '--full-auto', '--', 'true'])).toMatchObject({ status: 125, stderr: expect.stringContaining('sandbox_mode "workspace-write" is not allowed by the requirements of this machine') as string })
    } finally {
      rmSync(join(folder, 'preferences'), { recursive: true })
    }
  })
  test('doctor', () => {
    const { status, stdout } = inMac(['doctor'])
    expect([status, stdout]).toEqual([0, expect.stringContaining('workspace-write is enforced here by macos-seatbelt (seatbelt).\n  nobody has run this back end on a Mac yet')])
  })
  test('a report', () => {
    const { stdout } = inMac(['--json', '--', 'true'])
    expect(JSON.parse(stdout)).toMatchObject({ exitCode: 0, enforcement: { backend: 'macos-seatbelt', layers: ['seatbelt'], degraded: [] } })
  })
})
