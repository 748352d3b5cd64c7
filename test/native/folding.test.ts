// A workspace on a file system that takes names for the same in any letter case, and of which each spelling is another name to the kernel, as
// Windows' drives in WSL are: what is closed is closed in every spelling. Real sandboxes on test/support/folding-fs.c.
import { type ChildProcess, execFileSync, spawn, spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, realpathSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { once } from 'node:events'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { ExecResult } from '../../src/exec/result.js'

const file = (path: string): string => fileURLToPath(new URL(path, import.meta.url))
const CLI = file('../../dist/cli.cjs')
const reason = process.getuid?.() !== 0 ? 'only root can mount it' : existsSync('/dev/fuse') ? undefined : 'there is no /dev/fuse'

let base: string
let folder: string
let server: ChildProcess
beforeAll(async () => {
  if (reason !== undefined) return
  base = realpathSync(mkdtempSync('/var/tmp/folding-'))
  folder = join(base, 'folding')
  mkdirSync(folder)
  const program = join(base, 'folding-fs')
  execFileSync('gcc', ['-D_GNU_SOURCE', '-O1', '-Wall', '-Wextra', '-Werror', '-o', program, file('../support/folding-fs.c')])
  server = spawn(program, [folder], { stdio: ['pipe', 'pipe', 'inherit'] })
  await once(server.stdout!, 'data')
})
afterAll(async () => {
  if (reason !== undefined) return
  server.stdin!.end()
  await once(server, 'exit')
  rmSync(base, { recursive: true, force: true })
})

let made = 0
function makeWorkspace(): string {
  const workspace = join(folder, `work-${++made}`)
  for (const name of ['.git/hooks', 'src']) mkdirSync(join(workspace, name), { recursive: true })
  writeFileSync(join(workspace, '.git/config'), 'as it was\n')
  writeFileSync(join(workspace, 'secret'), 'hidden\n')
  return workspace
}

function run(workspace: string, script: string, options: readonly string[] = []): { status: number | null; stdout: string; stderr: string } {
  return spawnSync(process.execPath, [CLI, '--deny', 'secret', '--json', ...options, '--', 'sh', '-c', script], {
    cwd: workspace, encoding: 'utf8', env: { ...process.env, HOME: base, CODEX_HOME: join(base, 'none') }, timeout: 60_000,
  })
}

/** Names, modes, times and content, from outside. */
const stateOf = (workspace: string): object => Object.fromEntries(readdirSync(workspace, { recursive: true, encoding: 'utf8' }).sort().map(name => {
  const stats = statSync(join(workspace, name))
  return [name, [stats.mode, stats.ino, stats.mtimeMs, stats.isFile() ? readFileSync(join(workspace, name), 'utf8') : 'folder']]
}))

/** Each on its own; a shell says what it could not do. */
const ATTEMPTS = [
  'echo x > .GIT/config', 'echo x >> .git/CONFIG', 'echo x > .Git/hooks/pre-commit', 'echo x > .gIt/HOOKS/pre-commit', 'mkdir .GIT/new', 'cd .GIT && echo x > config',
  'rm .GIT/config', 'rm -rf .giT', 'mv .GIT src/gone', 'mv .Git/config .git/other', 'echo x > new; mv new .GIT/config; rm -f new', 'ln -s /etc .GIT/link',
  'chmod 777 .GIT/config', 'touch -d @1 .giT/Config', 'truncate -s 0 .GIT/config', 'cp /bin/true .GIT/hooks/pre-push',
  'mkdir .CODEX', 'mkdir .Agents', 'mkdir .agent\u017f', 'ln -s /etc .cOdEx', 'echo x > .AGENTS', 'mv src .CODEX', 'mkdir t; mv t .Agents; rmdir t',
] as const
const READS = ['cat SECRET', 'cat Secret', 'cat ./SECRET', 'cp seCret src/copy', 'cat < /proc/self/cwd/SECRET', 'ln SECRET src/link', 'mv SECRET src/moved'] as const

describe.skipIf(reason !== undefined)(`a file system that folds letter case${reason === undefined ? '' : ` (${reason})`}`, () => {
  test('without a sandbox other spellings lead to the files that would be closed', () => {
    const workspace = makeWorkspace()
    execFileSync('sh', ['-ec', 'echo x > .GIT/config; echo x > .Git/HOOKS/pre-commit; mkdir .codex; ! mkdir .CODEX 2>/dev/null; cat SECRET; mkdir .agent\u017f; rmdir .AGENTS'], { cwd: workspace })
    expect([readFileSync(join(workspace, '.git/config'), 'utf8'), readdirSync(join(workspace, '.git/hooks'))]).toEqual(['x\n', ['pre-commit']])
  })

  test('mounts cannot hold them: refused where namespaces are asked for', () => {
    const workspace = makeWorkspace()
    const { status, stderr } = run(workspace, 'echo x > ran', ['--rung', 'namespaces'])
    expect([status, stderr]).toEqual([125, expect.stringMatching(/cannot be enforced on this host: in "[^"]*" other spellings lead to the same file/)])
    expect(existsSync(join(workspace, 'ran'))).toBe(false)
  })

  test('the supervised way is chosen, and holds what is protected in every spelling', () => {
    const workspace = makeWorkspace()
    const before = stateOf(workspace)
    const { stdout, stderr } = run(workspace, ATTEMPTS.map(attempt => `(${attempt})`).join('\n'))
    expect(stdout, stderr).not.toBe('')
    const result = JSON.parse(stdout) as ExecResult
    expect(result.enforcement).toMatchObject({ rung: 'supervised', notes: expect.arrayContaining([expect.stringContaining('mounts cannot hold names')]) })
    expect(stateOf(workspace)).toEqual(before)
    expect(result.denials.length).toBeGreaterThan(8)
  })

  test('and what is denied', () => {
    const workspace = makeWorkspace()
    const before = stateOf(workspace)
    const { stdout } = run(workspace, READS.map(attempt => `(${attempt}) 2>&1`).join('\n'))
    expect((JSON.parse(stdout) as ExecResult).stdout).not.toContain('hidden')
    expect(stateOf(workspace)).toEqual(before)
  })

  test('everything else works, in any spelling', () => {
    const workspace = makeWorkspace()
    const { stdout, stderr } = run(workspace, 'set -e; echo one > Src/File; cat src/file; mkdir NEW; echo x > .GITIGNORE; cat .gitignore; mv new OLD; rmdir old; cat .GIT/config; ls SRC')
    expect(stdout, stderr).not.toBe('')
    expect(JSON.parse(stdout)).toMatchObject({ exitCode: 0, stdout: 'one\nx\nas it was\nFile\n', denials: [] })
    expect(readdirSync(workspace).sort()).toEqual(['.GITIGNORE', '.git', 'secret', 'src'])
  })
})
