// Files of configuration as somebody may have left them: each that cannot be read whole is an error, since what it forbids would be lost.
import { spawnSync } from 'node:child_process'
import { chmodSync, mkdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, describe, expect, test, vi } from 'vitest'
import { configPlace, TRUSTED } from '../../support/config-place.js'
import { failureOf } from '../../support/failure-of.js'

afterEach(() => void vi.unstubAllEnvs())

const FILES = ['home/.codex/config.toml', 'project/.codex/config.toml', 'system/config.toml', 'system/managed_config.toml', 'system/requirements.toml'] as const
const place = () => configPlace({ 'home/.codex/config.toml': TRUSTED, 'project/.codex/x': '' })

/** Put in the file's place. */
const OBSTACLES: readonly { readonly name: string; readonly put: (file: string) => void; readonly code: string; readonly says: string }[] = [
  { name: 'more than 1 MiB',      put: file => writeFileSync(file, `#${'x'.repeat(1 << 20)}`),           code: 'config_unreadable', says: 'it is larger than 1048576 bytes' },
  { name: 'NUL',                  put: file => writeFileSync(file, '# a\n#\0'),                          code: 'config_invalid',    says: ':2:2): it contains NUL' },
  { name: 'bytes that are not UTF-8', put: file => writeFileSync(file, Buffer.from([0x23, 0xff])),       code: 'config_unreadable', says: 'it is not UTF-8' },
  { name: 'a text of UTF-16',     put: file => writeFileSync(file, Buffer.from('\ufeffa = 1', 'utf16le')), code: 'config_unreadable', says: 'it is not UTF-8' },
  { name: 'a folder',             put: file => mkdirSync(file),                                          code: 'config_unreadable', says: 'it is not a file' },
  { name: 'a FIFO that nobody writes', put: file => void spawnSync('mkfifo', [file]),                    code: 'config_unreadable', says: 'it is not a file' },
  { name: 'a link that leads nowhere', put: file => symlinkSync('none', file),                           code: 'config_unreadable', says: 'symbolic link' },
  { name: 'a link to itself',     put: file => symlinkSync(file, file),                                  code: 'config_unreadable', says: 'a symbolic link, or a loop of them' },
  { name: 'a device',             put: file => symlinkSync('/dev/zero', file),                           code: 'config_unreadable', says: '' },
  { name: 'no TOML',              put: file => writeFileSync(file, 'sandbox_mode\n'),                    code: 'config_invalid',    says: ':1:13)' },
]

describe.each(FILES)('%s', path => {
  test.each(OBSTACLES)('$name', async ({ put, code, says }) => {
    const at = place()
    const file = join(at.folder, path)
    rmSync(file, { force: true })
    put(file)
    // The project's file counts where the project is trusted, which is said in the user's.
    const overrides = [`projects."${at.project}".trust_level=trusted`]
    const error = await failureOf(() => at.load({ overrides })) as Error
    expect(error).toMatchObject({ code })
    expect(error.message).toContain(file)
    expect(error.message).toContain(says)
  })
})

test('a file that may not be read is not taken for missing', async context => {
  if (process.getuid?.() === 0) context.skip('root reads every file')
  const at = place()
  chmodSync(at.write('system/requirements.toml', 'allowed_sandbox_modes = ["read-only"]\n'), 0)
  expect(await failureOf(() => at.load())).toMatchObject({ code: 'config_unreadable' })
})
test('a file where a folder of the way should be is a layer less', async () => {
  const at = configPlace({ 'file': '' })
  expect((await at.load({ systemFolder: join(at.folder, 'file') })).layers.map(({ name }) => name)).toEqual(['built-in'])
})
test('a mark at the start, and lines as on Windows', async () => {
  const at = configPlace({ 'home/.codex/config.toml': '\ufeffsandbox_mode = "workspace-write"\r\n[profiles.x]\r\n' })
  expect((await at.load()).config.sandboxMode).toBe('workspace-write')
})

describe('links', () => {
  test('the user\'s and the system\'s files may be links, as people keep them in repositories', async () => {
    const at = configPlace({ 'dotfiles/config.toml': 'sandbox_mode = "workspace-write"\n' })
    symlinkSync(join(at.folder, 'dotfiles/config.toml'), join(at.folder, 'between'))
    symlinkSync('../../between', join(at.codexHome, 'config.toml'))
    const { config, files } = await at.load()
    expect(config.sandboxMode).toBe('workspace-write')
    // Whoever may write one of these says what it holds.
    expect(files).toEqual([join(at.codexHome, 'config.toml'), join(at.folder, 'between'), join(at.folder, 'dotfiles/config.toml')])
  })
  test.each([
    { name: 'its file',   make: (project: string, target: string) => { mkdirSync(join(project, '.codex')); symlinkSync(join(target, 'config.toml'), join(project, '.codex/config.toml')) } },
    { name: 'its folder', make: (project: string, target: string) => symlinkSync(target, join(project, '.codex')) },
  ])('a project\'s may not, and what they lead to is not printed: $name', async ({ make }) => {
    const at = configPlace({ 'home/.codex/config.toml': TRUSTED, 'secret/config.toml': 'password = hunter2\n' })
    make(at.project, join(at.folder, 'secret'))
    const error = await failureOf(() => at.load()) as Error
    expect(error).toMatchObject({ code: 'config_unreadable' })
    expect(error.message).toContain('it is a symbolic link')
    expect(error.message).not.toContain('hunter2')
  })
})

describe('files that were believed', () => {
  test('stay read-only under workspace-write, but for those in CODEX_HOME, which is protected as a whole', async () => {
    const at = configPlace({ 'home/.codex/config.toml': `sandbox_mode = "workspace-write"\n${TRUSTED}`, 'project/.codex/config.toml': '', 'system/requirements.toml': '', 'system/config.toml': '', 'system/managed_config.toml': '' })
    // Only the process's own is protected by every policy.
    expect((await at.load()).policy().read).toContain(at.codexHome)
    vi.stubEnv('CODEX_HOME', at.codexHome)
    const loaded = await at.load()
    expect(loaded.policy().read).toEqual(['system/config.toml', 'system/managed_config.toml', 'system/requirements.toml', 'project/.codex/config.toml'].map(path => join(at.folder, path)))
    expect(loaded.policy({ sandboxMode: 'read-only' }).read).toEqual([])
    expect(loaded.policy({ sandboxMode: 'danger-full-access' }).read).toEqual([])
  })
})
