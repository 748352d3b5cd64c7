// Control files of other agents and editors, in real sandboxes: each is tried to be changed in every way, and looked at from outside.
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, statSync, symlinkSync, unlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import type { SandboxOptions } from '../../../src/exec/options.js'
import { createSandbox, type Sandbox } from '../../../src/exec/sandbox.js'
import { AGENT_FILES, OPEN_AGENT_FILES } from '../../../src/policy/agent-files.js'
import { makeWorkspace, type Workspace } from '../../native/workspace.js'

/** Those with an extension are files. */
const isFile = (name: string): boolean => /\.(?:json|ya?ml|toml|md)$|rc$|rules$|Makefile/.test(name)

function makeAll(workspace: Workspace, files: readonly { readonly name: string }[]): void {
  for (const { name } of files) {
    const path = join(workspace.path, name)
    mkdirSync(isFile(name) ? join(path, '..') : path, { recursive: true })
    writeFileSync(isFile(name) ? path : join(path, 'inner'), 'original')
  }
}

async function start(workspace: Workspace, options: SandboxOptions = {}): Promise<Sandbox> {
  const sandbox = await createSandbox({ cwd: workspace.path, ...options })
  onTestFinished(() => sandbox.close())
  return sandbox
}

/** Every way to change what is there, one line for each that worked. */
const ATTACK = `for name in "$@"; do
  for way in 'echo changed > "$name"' 'echo changed > "$name/inner"' 'echo new > "$name/new"' 'rm -rf "$name"' 'mv "$name" "$name.away"' 'echo other > other && mv -f other "$name"' 'ln -f other "$name"' 'chmod 777 "$name"' 'mkdir -p fresh && mv -T fresh "$name"'; do
    name=$name sh -c "$way" 2>/dev/null && echo "$name: $way"
  done
done; true`

test('what exists can be changed in no way, and is there as it was', async () => {
  const workspace = makeWorkspace()
  makeAll(workspace, AGENT_FILES)
  const sandbox = await start(workspace)
  const { stdout } = await sandbox.exec(['sh', '-c', ATTACK, 'sh', ...AGENT_FILES.map(({ name }) => name)])
  expect(stdout).toBe('')
  for (const { name } of AGENT_FILES) {
    const path = join(workspace.path, name)
    expect([name, readFileSync(isFile(name) ? path : join(path, 'inner'), 'utf8'), isFile(name) ? [] : readdirSync(path)]).toEqual([name, 'original', isFile(name) ? [] : ['inner']])
    expect((await sandbox.decide({ kind: 'write', path: isFile(name) ? name : `${name}/inner` })).verdict).toBe('deny')
  }
})

test('what is left open can be changed; so can all of it, when it is switched off, and each that is named', async () => {
  const workspace = makeWorkspace()
  makeAll(workspace, [...AGENT_FILES, ...OPEN_AGENT_FILES])
  const write = 'for name in "$@"; do if test -d "$name"; then echo changed > "$name/inner"; else echo changed > "$name"; fi || echo "$name"; done'
  const names = OPEN_AGENT_FILES.map(({ name }) => name)
  expect(await (await start(workspace)).exec(['sh', '-c', write, 'sh', ...names])).toMatchObject({ exitCode: 0, stdout: '', stderr: '' })
  const one = await start(workspace, { policy: { write: [join(workspace.path, '.vscode')] } })
  expect(await one.exec(['sh', '-c', write, 'sh', '.vscode'])).toMatchObject({ exitCode: 0, stderr: '' })
  expect((await one.exec(['sh', '-c', write, 'sh', '.claude'])).stdout).toBe('.claude\n')
  const open = await start(workspace, { policy: { protectAgentFiles: false } })
  expect(await open.exec(['sh', '-c', write, 'sh', ...AGENT_FILES.map(({ name }) => name)])).toMatchObject({ exitCode: 0, stdout: '', stderr: '' })
})

test('the denial names the file and what opens it, and a grant of just that does', async () => {
  const workspace = makeWorkspace('.vscode')
  const sandbox = await start(workspace)
  const { denials } = await sandbox.exec(['sh', '-c', 'echo {} > .vscode/tasks.json'])
  expect(denials[0]).toMatchObject({ operation: 'create', path: join(workspace.path, '.vscode/tasks.json'), rule: { origin: 'protected', field: 'protectAgentFiles' } })
  const { notes } = await sandbox.grant(denials[0]!.remedy.additionalPermissions!)
  expect(notes[0]).toContain('which is protected in')
  expect((await sandbox.exec(['sh', '-c', 'echo {} > .vscode/tasks.json'])).exitCode).toBe(0)
})

test('what does not exist is not held, and leaves nothing behind; `protect` holds it', async () => {
  const workspace = makeWorkspace()
  const sandbox = await start(workspace)
  expect((await sandbox.exec(['mkdir', '.claude'])).exitCode).toBe(0)
  const held = await start(workspace, { policy: { protect: ['.vscode'] } })
  expect((await held.exec(['mkdir', '.vscode'])).exitCode).not.toBe(0)
  await held.close()
  expect([existsSync(join(workspace.path, '.claude')), existsSync(join(workspace.path, '.vscode'))]).toEqual([true, false])
  // A folder that a command made is one that exists, for the next sandbox.
  expect((await (await start(workspace)).exec(['sh', '-c', 'echo {} > .claude/settings.json'])).exitCode).not.toBe(0)
})

test('a link is held, and what it leads to in another root', async () => {
  const workspace = makeWorkspace()
  const elsewhere = join(workspace.outside, 'elsewhere')
  mkdirSync(elsewhere)
  writeFileSync(join(elsewhere, 'settings.json'), 'original')
  symlinkSync(elsewhere, join(workspace.path, '.claude'))
  const sandbox = await start(workspace, { policy: { writableRoots: [workspace.outside] } })
  expect((await sandbox.exec(['sh', '-c', 'echo x > .claude/settings.json'])).exitCode).not.toBe(0)
  expect((await sandbox.exec(['sh', '-c', 'rm .claude && mkdir .claude'])).exitCode).not.toBe(0)
  expect(readFileSync(join(elsewhere, 'settings.json'), 'utf8')).toBe('original')
})

test('the reference\'s policies, and folders for temporary files, hold none of it', async () => {
  const workspace = makeWorkspace('.vscode')
  const wire = await start(workspace, { policy: { type: 'workspaceWrite' } })
  expect((await wire.exec(['sh', '-c', 'echo x > .vscode/a'])).exitCode).toBe(0)
  expect(statSync(join(workspace.path, '.vscode/a')).size).toBe(2)
})

test('the user changes them while a command runs: saved anew, removed and put back. Nothing is in the way, nothing is ended, and the new ones are held', async ({ skip }) => {
  const workspace = makeWorkspace('.vscode')
  const at = (name: string): string => join(workspace.path, name)
  for (const name of ['.envrc', '.mcp.json', '.vscode/settings.json']) writeFileSync(at(name), 'original')
  const sandbox = await start(workspace)
  if (sandbox.enforcement.rung !== 'namespaces') skip('mounts are what is bound again')
  // Tries all the time, and says what it could write.
  const child = sandbox.spawn(['sh', '-c', 'echo up; while read -r line; do for f in .envrc .mcp.json .vscode/settings.json; do (echo evil > $f) 2>/dev/null && echo "$line: wrote $f"; done; echo "$line: tried"; done'], { output: { maxBytes: 1 << 20 } })
  const heard: string[] = []
  child.stdout.on('data', chunk => heard.push(String(chunk)))
  await expect.poll(() => heard.join('')).toContain('up')
  for (let round = 0; round < 20; round++) {
    // As an editor saves, and as git checks out: the second one fails where something stands at the name.
    writeFileSync(at('.envrc.new'), `saved ${round}`)
    renameSync(at('.envrc.new'), at('.envrc'))
    unlinkSync(at('.mcp.json'))
    writeFileSync(at('.mcp.json'), `put back ${round}`, { flag: 'wx' })
    writeFileSync(at('.vscode/settings.json'), `typed ${round}`)
    // How long the window is, is not what is tested: the next command's look closes it, and so does the next turn of the watch.
    await sandbox.exec(['true'])
    child.stdin!.write(`${round}\n`)
    await expect.poll(() => heard.join('')).toContain(`${round}: tried`)
    expect(['.envrc', '.mcp.json', '.vscode/settings.json'].map(name => readFileSync(at(name), 'utf8'))).toEqual([`saved ${round}`, `put back ${round}`, `typed ${round}`])
  }
  // Gone for good: the name is free, and nothing of ours stands there.
  unlinkSync(at('.mcp.json'))
  await sandbox.exec(['true'])
  expect(existsSync(at('.mcp.json'))).toBe(false)
  child.stdin!.end()
  expect(await child.exited).toMatchObject({ exitCode: 0, stdout: expect.not.stringContaining('wrote') })
  expect(workspace.journal().length).toBeLessThanOrEqual(3)
})
