// Options of the command line → the policy that they ask for.
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { homedir, tmpdir } from 'node:os'
import { afterAll, afterEach, describe, expect, test, vi } from 'vitest'
import { parseArguments } from '../../../src/cli/arguments.js'
import type { LoadConfigOptions } from '../../../src/config/load.js'
import { policyFromOptions } from '../../../src/cli/policy-options.js'
import { presetPolicy } from '../../../src/policy/presets.js'
import type { SandboxPolicy } from '../../../src/policy/sandbox-policy.js'

const CWD = '/here/now'
const folder = mkdtempSync(`${tmpdir()}/policy-options-`)
mkdirSync(`${folder}/codex-home`)
afterAll(() => rmSync(folder, { recursive: true }))
afterEach(() => void vi.unstubAllEnvs())

async function policyOf(...words: string[]): Promise<SandboxPolicy> {
  return policyWith({}, ...words)
}

async function policyWith(config: Partial<LoadConfigOptions>, ...words: string[]): Promise<SandboxPolicy> {
  const { verb, options } = parseArguments(words)
  const { codexHome = `${folder}/codex-home`, ...others } = config
  vi.stubEnv('CODEX_HOME', codexHome)
  return policyFromOptions(verb, options, { cwd: CWD, config: { systemFolder: `${folder}/etc`, cwd: folder, ...others } })
}

const LIBRARY = presetPolicy('workspace-write', 'library')
const REFERENCE = presetPolicy('read-only', 'reference')

test.each<{ name: string; words: string[]; base?: SandboxPolicy; changes: Partial<SandboxPolicy> }>([
  { name: 'nothing given is workspace-write with our defaults',  words: ['--', 'x'],                              changes: {} },
  { name: 'sandbox is read-only with the reference\'s defaults', words: ['sandbox', 'x'],                         base: REFERENCE, changes: {} },
  { name: '--full-auto is workspace-write',                      words: ['sandbox', '--full-auto', 'x'],          base: presetPolicy('workspace-write', 'reference'), changes: {} },
  { name: '-s says the mode',                                    words: ['-s', 'read-only', '--', 'x'],           base: presetPolicy('read-only', 'library'), changes: {} },
  { name: 'relative paths start at our cwd, whatever --cd says', words: ['-C', '/else', '--write', 'a', '--deny=../b', '--', 'x'], changes: { write: ['/here/now/a'], deny: ['/here/b'] } },
  { name: 'a glob keeps its shape',                              words: ['--deny', '**/*.key', '--', 'x'],        changes: { deny: ['/here/now/**/*.key'] } },
  { name: '~/ is the home folder',                               words: ['--read=~/x', '--', 'x'],                changes: { read: [`${homedir()}/x`] } },
  { name: 'protect takes names as they are',                     words: ['--protect', '.vscode', '--', 'x'],      changes: { protect: ['.vscode'] } },
  { name: 'a device by its name',                                words: ['--device', 'kvm', '--device', '/dev/fuse', '--', 'x'], changes: { devices: ['/dev/kvm', '/dev/fuse'] } },
  { name: 'git commits',                                         words: ['--git', 'commits', '--', 'x'],          changes: { git: 'commits' } },
  { name: 'the network, as a remedy proposes it',                words: ['--network', 'open', '--', 'x'],         changes: { network: 'open' } },
  { name: 'limits',                                              words: ['--memory', '1M', '--pids=9', '--', 'x'], changes: { limits: { memoryBytes: 1_048_576, pids: 9 } } },
  { name: 'variables are set or kept',                           words: ['--env', 'A=1', '--env', 'MY_TOKEN', '--env', 'A=2', '--', 'x'], changes: { env: { ...LIBRARY.env, set: { A: '2' }, keep: ['MY_TOKEN'] } } },
])('$name', async ({ words, base = LIBRARY, changes }) => {
  expect(await policyOf(...words)).toEqual({ ...base, ...changes })
})

describe('-c', () => {
  test.each<{ name: string; words: string[]; base: SandboxPolicy; changes: Partial<SandboxPolicy> }>([
    { name: 'a bare word is a string, as in the reference',     words: ['-c', 'sandbox_mode=workspace-write', 'x'],         base: presetPolicy('workspace-write', 'reference'), changes: {} },
    { name: 'a TOML string',                                    words: ['-c', 'sandbox_mode="workspace-write"', 'x'],       base: presetPolicy('workspace-write', 'reference'), changes: {} },
    { name: 'relative roots start at our cwd',                  words: ['--full-auto', '-c', 'sandbox_workspace_write.writable_roots=["/a", "b"]', 'x'], base: presetPolicy('workspace-write', 'reference'), changes: { writableRoots: ['/a', '/here/now/b'] } },
    { name: 'the network and /tmp',                             words: ['--full-auto', '-c', 'sandbox_workspace_write.network_access=true', '-c', 'sandbox_workspace_write.exclude_slash_tmp=true', 'x'], base: presetPolicy('workspace-write', 'reference'), changes: { network: 'open', excludeSlashTmp: true } },
    { name: 'the table at once',                                words: ['--full-auto', '-c', 'sandbox_workspace_write={network_access=true}', 'x'], base: presetPolicy('workspace-write', 'reference'), changes: { network: 'open' } },
    { name: 'the later one counts',                             words: ['-c', 'sandbox_mode=workspace-write', '-c', 'sandbox_mode=read-only', 'x'], base: REFERENCE, changes: {} },
    { name: 'which variables commands get',                      words: ['-c', 'shell_environment_policy.inherit=core', '-c', 'shell_environment_policy.set.A=1', '-c', 'shell_environment_policy.set.B="two"', '-c', 'shell_environment_policy.ignore_default_excludes=false', 'x'], base: REFERENCE, changes: { env: { ...REFERENCE.env, inherit: 'core', set: { A: '1', B: 'two' }, dropSecrets: true } } },
    { name: 'the table waits for its mode, as in the reference', words: ['-c', 'sandbox_workspace_write.network_access=true', 'x'], base: REFERENCE, changes: {} },
  ])('$name', async ({ words, base, changes }) => {
    expect(await policyOf('sandbox', ...words)).toEqual({ ...base, ...changes })
  })
  test('under run it keeps run\'s own defaults', async () => {
    expect(await policyOf('-c', 'shell_environment_policy.exclude=["AWS_*"]', '--', 'x')).toEqual({ ...LIBRARY, env: { ...LIBRARY.env, exclude: ['AWS_*'] } })
    expect(await policyOf('-c', 'sandbox_workspace_write.network_access=true', '--', 'x')).toEqual({ ...LIBRARY, network: 'open' })
  })
})

describe('the configuration', () => {
  const home = `${folder}/user`
  mkdirSync(home, { recursive: true })
  mkdirSync(`${folder}/admin`, { recursive: true })
  writeFileSync(`${home}/config.toml`, 'sandbox_mode = "workspace-write"\n[sandbox_workspace_write]\nwritable_roots = ["/cache"]\n[profiles.careful]\nsandbox_mode = "read-only"\n')
  writeFileSync(`${folder}/admin/requirements.toml`, 'allowed_sandbox_modes = ["read-only", "workspace-write"]\n[network]\nallowed_domains = ["example.com"]\n')
  const configured = presetPolicy('workspace-write', 'reference')
  const plain = { codexHome: home }
  const bounded = { codexHome: home, systemFolder: `${folder}/admin` }

  test.each<{ name: string; words: string[]; policy: SandboxPolicy }>([
    { name: 'sandbox reads it',                                words: ['sandbox', 'x'],                                   policy: { ...configured, writableRoots: ['/cache'] } },
    { name: 'run knows nothing of it',                         words: ['--', 'x'],                                        policy: LIBRARY },
    { name: 'nor does run with other options',                 words: ['-s', 'read-only', '--', 'x'],                     policy: presetPolicy('read-only', 'library') },
    { name: 'run --config reads it, with run\'s own defaults', words: ['run', '--config', '--', 'x'],                     policy: { ...LIBRARY, writableRoots: ['/cache'] } },
    { name: '-c before another option is --config alone',      words: ['run', '-c', '--deny', '/a', '--', 'x'],           policy: { ...LIBRARY, writableRoots: ['/cache'], deny: ['/a'] } },
    { name: 'so does run with a key',                          words: ['run', '-c', 'sandbox_workspace_write.exclude_slash_tmp=true', '--', 'x'], policy: { ...LIBRARY, writableRoots: ['/cache'], excludeSlashTmp: true } },
    { name: 'run -p reads it, with the profile',               words: ['run', '-p', 'careful', '--', 'x'],                policy: presetPolicy('read-only', 'library') },
    { name: '-s wins over it',                                 words: ['sandbox', '-s', 'read-only', 'x'],                policy: REFERENCE },
    { name: '--full-auto wins over a profile',                 words: ['sandbox', '-p', 'careful', '--full-auto', 'x'],   policy: { ...configured, writableRoots: ['/cache'] } },
    { name: 'options add to it',                               words: ['sandbox', '--write', '/a', 'x'],                  policy: { ...configured, writableRoots: ['/cache'], write: ['/a'] } },
    { name: '--policy is a whole one',                         words: ['sandbox', '--policy', '{"sandbox_mode":"read-only"}', 'x'], policy: REFERENCE },
  ])('$name', async ({ words, policy }) => {
    expect(await policyWith(plain, ...words)).toEqual(policy)
  })

  test.each([
    { name: '-s with a mode',                 words: ['sandbox', '-s', 'danger-full-access', 'x'],                  says: 'sandbox_mode "danger-full-access" is not allowed by the requirements of this machine: allowed_sandbox_modes is ["read-only","workspace-write"]' },
    { name: '--network open',                 words: ['sandbox', '--full-auto', '--network', 'open', 'x'],          says: 'policy.network "open" is not allowed' },
    { name: '--allow-domain',                 words: ['sandbox', '--allow-domain', 'other.org', 'x'],               says: 'policy.network.allowedDomains "other.org" is not allowed' },
    { name: '--policy with a mode',           words: ['sandbox', '--policy', '"danger-full-access"', 'x'],          says: 'policy "danger-full-access" is not allowed' },
    { name: 'also of run where it reads them', words: ['run', '--config', '--network', 'open', '--', 'x'],          says: 'policy.network "open" is not allowed' },
  ])('what requirements forbid is an error: $name', async ({ words, says }) => {
    await expect(policyWith(bounded, ...words)).rejects.toThrow(says)
  })
  test('what they allow is allowed', async () => {
    expect(await policyWith(bounded, 'sandbox', '-s', 'workspace-write', 'x')).toMatchObject({ mode: 'workspace-write', network: 'off' })
    expect(await policyWith(bounded, 'sandbox', '--allow-domain', 'example.com:443', 'x')).toMatchObject({ network: 'proxied', networkRules: { allowedDomains: ['example.com:443'] } })
  })
  test('a mode that is configured and not asked for falls back, and says so', async () => {
    const notices: string[] = []
    const { verb, options } = parseArguments(['sandbox', '-c', 'sandbox_mode=danger-full-access', 'x'])
    const policy = await policyFromOptions(verb, options, { cwd: CWD, config: { ...bounded, cwd: folder }, onNotice: notice => notices.push(notice) })
    expect(policy.mode).toBe('workspace-write')
    expect(notices).toEqual([expect.stringContaining('sandbox_mode "danger-full-access" is not allowed here: "workspace-write" holds')])
  })
})

describe('--policy', () => {
  test('JSON, with what other options add', async () => {
    expect(await policyOf('--policy', '{"mode":"read-only","deny":["/a"]}', '--deny', '/b', '--', 'x')).toEqual({ ...presetPolicy('read-only', 'library'), deny: ['/a', '/b'] })
  })
  test('a file of JSON', async () => {
    writeFileSync(`${folder}/p.json`, '{"type":"workspaceWrite","networkAccess":true}')
    expect(await policyOf('--policy', `${folder}/p.json`, '--', 'x')).toEqual({ ...presetPolicy('workspace-write', 'reference'), network: 'open' })
  })
  test('a file of TOML: relative roots start at its folder', async () => {
    writeFileSync(`${folder}/c.toml`, 'sandbox_mode = "workspace-write"\n[sandbox_workspace_write]\nwritable_roots = ["a"]\n')
    expect(await policyOf('--policy', `${folder}/c.toml`, '--', 'x')).toEqual({ ...presetPolicy('workspace-write', 'reference'), writableRoots: [`${folder}/a`] })
  })
})

test.each([
  { name: 'an unknown mode',                    words: ['-s', 'readonly', '--', 'x'],                            says: '--sandbox "readonly" is not valid: it is one of read-only' },
  { name: 'external-sandbox is for programs',   words: ['-s', 'external-sandbox', '--', 'x'],                    says: 'it is one of' },
  { name: '--full-auto against -s',             words: ['sandbox', '--full-auto', '-s', 'read-only', 'x'],       says: '--full-auto means workspace-write' },
  { name: '-s against -c',                      words: ['-s', 'read-only', '-c', 'sandbox_mode=workspace-write', '--', 'x'], says: 'the mode was given as read-only' },
  { name: '-s and --policy',                    words: ['-s', 'read-only', '--policy', '{}', '--', 'x'],         says: '--policy says the mode already' },
  { name: '-c and --policy',                    words: ['-c', 'sandbox_mode=read-only', '--policy', '{}', '--', 'x'], says: '--policy is a whole policy' },
  { name: 'an unknown config key',              words: ['-c', 'sandbox_workspace_write.writeable_roots=[]', '--', 'x'], says: 'Did you mean sandbox_workspace_write.writable_roots?' },
  { name: 'a config key without a value',       words: ['-c', 'sandbox_mode', '--', 'x'],                        says: 'it is not KEY=VALUE' },
  { name: 'a config value of a wrong type',     words: ['-c', 'sandbox_workspace_write.network_access=yes', '--', 'x'], says: 'sandbox_workspace_write.network_access "yes"' },
  { name: 'a newline in a value makes no key',  words: ['-c', 'sandbox_mode="read-only"\nsandbox_x=1', '--', 'x'], says: 'sandbox_mode' },
  { name: 'JSON with an unknown key',           words: ['--policy', '{"dney":[]}', '--', 'x'],                   says: 'Did you mean "deny"?' },
  { name: 'broken JSON',                        words: ['--policy', '{"mode":', '--', 'x'],                      says: 'it is not JSON' },
  { name: 'a policy file that is missing',      words: ['--policy', 'none.json', '--', 'x'],                     says: '--policy "none.json" does not exist' },
  { name: 'a policy file that is a folder',     words: ['--policy', tmpdir(), '--', 'x'],                        says: 'it cannot be read (EISDIR)' },
  { name: 'a rule that nothing would enforce',  words: ['-s', 'danger-full-access', '--deny', 'x', '--', 'x'],   says: 'which enforces nothing' },
  { name: 'an empty path',                      words: ['--write=', '--', 'x'],                                  says: 'it is empty' },
  { name: 'a protected name that is none',      words: ['--protect', '/etc/x', '--', 'x'],                       says: '--protect "/etc/x" is not valid here: it is not relative' },
  { name: 'a protected name outside',           words: ['--protect', '../x', '--', 'x'],                         says: '--protect "../x" is not valid here: it does not lie below' },
  { name: 'a protected name that is a glob',    words: ['--protect', '*.key', '--', 'x'],                        says: '--protect "*.key" is not a glob' },
  { name: 'a list as a policy',                 words: ['--policy', '[]', '--', 'x'],                            says: '--policy [] is not valid here: it must be an object' },
  { name: 'git with an unknown word',           words: ['--git', 'all', '--', 'x'],                              says: 'it is one of commits, protected' },
])('is an error: $name', async ({ words, says }) => {
  await expect(policyOf(...words)).rejects.toThrow(says)
})
