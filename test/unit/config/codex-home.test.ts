import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { codexHomeOf, codexHomePath } from '../../../src/config/codex-home.js'
import { loadApprovals } from '../../../src/config/approvals.js'
import { loadPolicy } from '../../../src/config/load-policy.js'

function makeFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'codex-home-'))
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }))
  mkdirSync(join(folder, 'there'))
  writeFileSync(join(folder, 'file'), '')
  return folder
}

test.each([
  { name: 'the folder that it names',               env: { CODEX_HOME: 'FOLDER/there', HOME: '/h' }, home: 'FOLDER/there' },
  { name: 'without it the default',                 env: { HOME: '/no/such/home' },                  home: '/no/such/home/.codex' },
  { name: 'empty it is not set',                    env: { CODEX_HOME: '', HOME: '/no/such/home' },  home: '/no/such/home/.codex' },
  { name: 'one that names nothing is an error',     env: { CODEX_HOME: 'FOLDER/none', HOME: '/h' },  error: 'CODEX_HOME "FOLDER/none" does not exist. Create the folder, correct the variable, or unset it.' },
  { name: 'nor may its parent be a file',           env: { CODEX_HOME: 'FOLDER/file/x', HOME: '/h' }, error: 'CODEX_HOME "FOLDER/file/x" does not exist. Create the folder, correct the variable, or unset it.' },
  { name: 'one that names a file too',              env: { CODEX_HOME: 'FOLDER/file', HOME: '/h' },  error: 'CODEX_HOME "FOLDER/file" is not a directory. Create the folder, correct the variable, or unset it.' },
])('CODEX_HOME: $name', ({ env, home, error }) => {
  const folder = makeFolder()
  const there = (text: string): string => text.replaceAll('FOLDER', folder)
  const find = (): string => codexHomeOf(Object.fromEntries(Object.entries(env).map(([name, value]) => [name, there(value)])))
  if (error === undefined) expect(find()).toBe(there(home))
  else expect(find).toThrow(expect.objectContaining({ name: 'SandboxError', field: 'CODEX_HOME', message: there(error) }))
})

test('where it would be is known also where it is not there', () => {
  expect(codexHomePath({ CODEX_HOME: '/no/such/folder' })).toBe('/no/such/folder')
})

test.each([{ name: 'loadPolicy', load: loadPolicy }, { name: 'loadApprovals', load: loadApprovals }])('$name: what the variable names has to be there, unless the caller names another folder', async ({ load }) => {
  const folder = makeFolder()
  const env = { CODEX_HOME: join(folder, 'none'), HOME: folder }
  const given = { env, cwd: folder, systemFolder: join(folder, 'none') }
  await expect(load(given)).rejects.toMatchObject({ code: 'path_not_found', field: 'CODEX_HOME' })
  await expect(load({ ...given, codexHome: join(folder, 'there') })).resolves.toBeDefined()
})
