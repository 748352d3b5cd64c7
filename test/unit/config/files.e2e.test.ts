// Files of configuration that lie where commands may write, in real sandboxes: they are tried to be changed in every way, and looked at from outside.
import { existsSync, mkdirSync, readFileSync, readlinkSync, renameSync, symlinkSync } from 'node:fs'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { loadPolicy } from '../../../src/config/load-policy.js'
import { createSandbox, type Sandbox } from '../../../src/exec/sandbox.js'
import { type ConfigPlace, configPlace } from '../../support/config-place.js'

const USER = 'sandbox_mode = "workspace-write"\n[sandbox_workspace_write]\nwritable_roots = ["$PLACE"]\n[projects."$PLACE/project"]\ntrust_level = "trusted"\n'

async function start(place: ConfigPlace, cwd: string = place.project): Promise<Sandbox> {
  const policy = await loadPolicy({ codexHome: place.codexHome, cwd, systemFolder: place.system, env: { HOME: place.home } })
  const sandbox = await createSandbox({ policy, cwd })
  onTestFinished(() => sandbox.close())
  return sandbox
}

/** Every way to say something else in a file's place, one line for each that worked. */
const ATTACK = `for file in "$@"; do
  for way in 'echo "sandbox_mode = \\"danger-full-access\\"" > "$file"' 'rm -f "$file"' 'mv "$file" "$file.away"' 'echo x > other && mv -f other "$file"' 'ln -sf /etc/passwd "$file"' 'mv "$(dirname "$file")" "$(dirname "$file").away"' 'rm -rf "$(dirname "$file")"'; do
    file=$file sh -c "$way" 2>/dev/null && echo "$file: $way"
  done
done; true`

test('the user\'s file behind a link into the workspace, and the links to it, stay as they are', async () => {
  const place = configPlace({ 'project/dotfiles/codex/config.toml': USER, 'project/notes': 'old\n' })
  const target = join(place.project, 'dotfiles/codex/config.toml')
  const between = join(place.project, 'between')
  symlinkSync(target, between)
  symlinkSync(between, join(place.codexHome, 'config.toml'))
  const sandbox = await start(place)
  const { stdout } = await sandbox.exec(['sh', '-c', ATTACK, 'sh', target, between])
  expect(stdout).toBe('')
  expect(readFileSync(join(place.codexHome, 'config.toml'), 'utf8')).toContain('workspace-write')
  expect(readlinkSync(between)).toBe(target)
  // The same folder is open but for that file.
  expect(await sandbox.exec(['sh', '-c', 'echo new > notes && echo x > dotfiles/codex/other && mkdir dotfiles/more'])).toMatchObject({ exitCode: 0 })
  expect(readFileSync(join(place.project, 'notes'), 'utf8')).toBe('new\n')
})

test('the system\'s files and those of folders above the workspace stay as they are, in a root that holds all of them', async () => {
  const files = { 'system/requirements.toml': 'allowed_sandbox_modes = ["read-only", "workspace-write"]\n', 'system/config.toml': '', 'system/managed_config.toml': '', 'project/.codex/config.toml': 'background_terminal_max_timeout = 5\n' }
  const place = configPlace({ 'home/.codex/config.toml': USER, ...files, 'project/deep/er/x': '' })
  const sandbox = await start(place, join(place.project, 'deep/er'))
  const names = Object.keys(files).map(name => join(place.folder, name))
  expect((await sandbox.exec(['sh', '-c', ATTACK, 'sh', ...names])).stdout).toBe('')
  for (const [name, text] of Object.entries(files)) expect(readFileSync(join(place.folder, name), 'utf8')).toBe(text)
  expect(await sandbox.exec(['sh', '-c', `echo x > ${place.folder}/free && echo x > ${place.system}/free`])).toMatchObject({ exitCode: 0 })
  expect(existsSync(join(place.system, 'free'))).toBe(true)
})

test('a project that is not trusted gets no wider by what it writes', async () => {
  const place = configPlace({ 'home/.codex/config.toml': 'sandbox_mode = "workspace-write"\n', 'project/.codex/config.toml': '[sandbox_workspace_write]\nwritable_roots = ["$PLACE"]\nnetwork_access = true\n' })
  const sandbox = await start(place)
  await sandbox.exec(['sh', '-c', `echo x > ${place.folder}/outside; echo y > inside`])
  expect([existsSync(join(place.folder, 'outside')), existsSync(join(place.project, 'inside'))]).toEqual([false, true])
  expect(sandbox.policy.network).toBe('off')
})

test('neither does a trusted one, and what it narrows holds', async () => {
  const trust = '[projects."$PLACE/project"]\ntrust_level = "trusted"\n'
  const place = configPlace({
    'home/.codex/config.toml': `sandbox_mode = "workspace-write"\n[sandbox_workspace_write]\nwritable_roots = ["$PLACE/cache", "$PLACE/other"]\n${trust}`,
    'project/.codex/config.toml': 'sandbox_mode = "danger-full-access"\n[sandbox_workspace_write]\nwritable_roots = ["$PLACE/cache", "$PLACE"]\n', 'cache/x': '', 'other/x': '',
  })
  const sandbox = await start(place)
  await sandbox.exec(['sh', '-c', `for folder in . cache other; do echo x > ${place.folder}/$folder/made; done; true`])
  expect(['.', 'cache', 'other'].filter(name => existsSync(join(place.folder, name, 'made')))).toEqual(['cache'])
})

test('CODEX_HOME that is a link is protected where it leads', async () => {
  const place = configPlace({ 'home/.codex/config.toml': USER })
  renameSync(place.codexHome, join(place.project, 'codex-home'))
  symlinkSync(join(place.project, 'codex-home'), place.codexHome)
  mkdirSync(join(place.project, 'open'))
  const sandbox = await start(place)
  expect((await sandbox.exec(['sh', '-c', ATTACK, 'sh', join(place.project, 'codex-home/config.toml')])).stdout).toBe('')
  expect(readFileSync(join(place.project, 'codex-home/config.toml'), 'utf8')).toContain('workspace-write')
  expect(await sandbox.exec(['sh', '-c', 'echo x > open/x'])).toMatchObject({ exitCode: 0 })
})
