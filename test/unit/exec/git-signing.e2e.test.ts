// Signed commits: the keys are hidden, and the denial says so in whatever words git fails.
import { execFileSync, spawnSync } from 'node:child_process'
import { chmodSync, mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { createSandbox } from '../../../src/exec/sandbox.js'
import { makeWorkspace } from '../../native/workspace.js'

test.for([
  { format: 'ssh',     program: 'ssh-keygen', place: '.ssh/id' },
  { format: 'openpgp', program: 'gpg',        place: '.gnupg' },
])('$format: the commit fails, nothing is left half done, the denial names the place, and without a signature it works', async ({ format, program, place }, { skip }) => {
  if (spawnSync('sh', ['-c', 'command -v "$1"', 'sh', program]).status !== 0) skip(`${program} is not installed`)
  const workspace = makeWorkspace()
  const home = join(workspace.outside, 'home')
  for (const folder of ['.ssh', '.gnupg']) mkdirSync(join(home, folder), { recursive: true })
  for (const folder of ['.ssh', '.gnupg']) chmodSync(join(home, folder), 0o700)
  execFileSync('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-f', join(home, '.ssh/id')])
  writeFileSync(join(home, '.gitconfig'), `[user]\nname = U\nemail = u@example.org\nsigningkey = ${join(home, '.ssh/id.pub')}\n[gpg]\nformat = ${format}\n[commit]\ngpgsign = true\n`)
  const before = process.env['HOME']
  process.env['HOME'] = home
  onTestFinished(() => { process.env['HOME'] = before })
  execFileSync('git', ['init', '-q', '-b', 'main'], { cwd: workspace.path })
  writeFileSync(join(workspace.path, 'a'), 'a')
  const sandbox = await createSandbox({ cwd: workspace.path, policy: { git: 'commits' } })
  onTestFinished(() => sandbox.close())

  const { exitCode, denials } = await sandbox.exec(['sh', '-c', 'git add a && git commit -qm signed'], { env: { GIT_CONFIG_GLOBAL: null } })
  expect(exitCode).toBe(128)
  const denial = denials.find(({ message }) => message.includes('is a place of keys or tokens'))
  expect(denial?.path?.startsWith(join(home, place))).toBe(true)
  const plain = await sandbox.exec(['git', 'commit', '-qm', 'plain', '--no-gpg-sign'], { env: { GIT_CONFIG_GLOBAL: null } })
  expect([plain.exitCode, execFileSync('git', ['log', '--format=%s %an <%ae>'], { cwd: workspace.path, encoding: 'utf8' })]).toEqual([0, 'plain U <u@example.org>\n'])
})
