// Every call that is observed, tried on a folder where commands may not write and on one where they may. Run as this user by
// observer.test.ts, and bundled as another by as-user.ts.
import { execFileSync } from 'node:child_process'
import { chmodSync, lstatSync, mkdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { createSandbox } from '../../../src/exec/sandbox.js'
import type { ExecResult } from '../../../src/exec/result.js'
import type { Rung } from '../../../src/platform/launch-plan.js'
import type { FileAccess } from '../../../src/policy/decision.js'

interface Attempt {
  /** As test/native/programs/attempt.c names it. */
  readonly call: string
  /** What stands at the path before. */
  readonly at: 'file' | 'folder' | 'link' | 'nothing'
  readonly denied: FileAccess
  /** The call's other path: a file of the workspace, or a new name there. */
  readonly second?: 'own' | 'new'
  /** Its path may start at a descriptor. */
  readonly fromFolder?: true
  /** Not on arm64. */
  readonly old?: true
}

const ATTEMPTS: readonly Attempt[] = [
  { call: 'wronly', at: 'file', denied: 'write', fromFolder: true },
  { call: 'rdwr', at: 'file', denied: 'write', fromFolder: true },
  { call: 'o_append', at: 'file', denied: 'write', fromFolder: true },
  { call: 'o_trunc', at: 'file', denied: 'write', fromFolder: true },
  { call: 'o_creat', at: 'file', denied: 'write', fromFolder: true },
  { call: 'o_creat', at: 'nothing', denied: 'create', fromFolder: true },
  { call: 'o_excl', at: 'nothing', denied: 'create', fromFolder: true },
  { call: 'rdonly|o_creat', at: 'nothing', denied: 'create', fromFolder: true },
  { call: 'o_tmpfile', at: 'folder', denied: 'write', fromFolder: true },
  { call: 'o_nofollow', at: 'file', denied: 'write', fromFolder: true },
  { call: 'mkdirat', at: 'nothing', denied: 'create', fromFolder: true },
  { call: 'mknodat', at: 'nothing', denied: 'create', fromFolder: true },
  { call: 'symlinkat', at: 'nothing', denied: 'create', fromFolder: true },
  { call: 'linkat', at: 'nothing', denied: 'create', second: 'own', fromFolder: true },
  { call: 'unlinkat', at: 'file', denied: 'remove', fromFolder: true },
  { call: 'unlinkat', at: 'link', denied: 'remove', fromFolder: true },
  { call: 'rmdirat', at: 'folder', denied: 'remove', fromFolder: true },
  { call: 'renameat2', at: 'file', denied: 'remove', second: 'new', fromFolder: true },
  { call: 'renameat2-onto', at: 'file', denied: 'write', second: 'own', fromFolder: true },
  { call: 'renameat2-onto', at: 'nothing', denied: 'create', second: 'own', fromFolder: true },
  { call: 'exchange', at: 'file', denied: 'write', second: 'own', fromFolder: true },
  { call: 'truncate', at: 'file', denied: 'write' },
  { call: 'fchmodat', at: 'file', denied: 'write', fromFolder: true },
  { call: 'fchmodat2', at: 'file', denied: 'write', fromFolder: true },
  { call: 'fchownat', at: 'file', denied: 'write', fromFolder: true },
  { call: 'fchownat-link', at: 'link', denied: 'write', fromFolder: true },
  { call: 'utimensat', at: 'file', denied: 'write', fromFolder: true },
  { call: 'utimensat-link', at: 'link', denied: 'write', fromFolder: true },
  { call: 'setxattr', at: 'file', denied: 'write' },
  { call: 'setxattrat', at: 'file', denied: 'write', fromFolder: true },
  { call: 'bind', at: 'nothing', denied: 'create' },
  { call: 'open', at: 'nothing', denied: 'create', old: true },
  { call: 'creat', at: 'nothing', denied: 'create', old: true },
  { call: 'mkdir', at: 'nothing', denied: 'create', old: true },
  { call: 'mknod', at: 'nothing', denied: 'create', old: true },
  { call: 'symlink', at: 'nothing', denied: 'create', old: true },
  { call: 'link', at: 'nothing', denied: 'create', second: 'own', old: true },
  { call: 'unlink', at: 'file', denied: 'remove', old: true },
  { call: 'rmdir', at: 'folder', denied: 'remove', old: true },
  { call: 'rename', at: 'file', denied: 'remove', second: 'new', old: true },
  { call: 'renameat', at: 'file', denied: 'remove', second: 'new', fromFolder: true, old: true },
  { call: 'chmod', at: 'file', denied: 'write', old: true },
  { call: 'chown', at: 'file', denied: 'write', old: true },
  { call: 'lchown', at: 'link', denied: 'write', old: true },
  { call: 'utime', at: 'file', denied: 'write', old: true },
  { call: 'utimes', at: 'file', denied: 'write', old: true },
  { call: 'futimesat', at: 'file', denied: 'write', fromFolder: true, old: true },
]

/** What the launcher saw of one attempt, and what became of the file. */
export interface Outcome {
  readonly name: string
  readonly expected: readonly string[]
  readonly denials: readonly string[]
  readonly changed: boolean
  readonly errno: number
}

/** For a program in `folder` that anybody may run. Undefined without gcc. */
export function compileAttempt(folder: string): string | undefined {
  const program = join(folder, 'attempt')
  try {
    execFileSync('gcc', ['-O1', '-pthread', '-o', program, join(import.meta.dirname, '../programs/attempt.c')], { stdio: 'pipe' })
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw error
  }
  chmodSync(program, 0o755)
  return program
}

export const describeDenials = ({ denials }: Pick<ExecResult, 'denials'>): string[] =>
  denials.map(({ operation, path, host, port, call, certainty }) => `${certainty} ${operation} ${path ?? call ?? (host === undefined ? 'at an unknown path' : `${host}:${port}`)}`)

/** Tries all of ATTEMPTS below `outside`, which has the workspace in it, in every spelling of the path or in `only` one. */
export async function runAttempts(program: string, outside: string, workspace: string, rung: Rung, only?: 'absolute'): Promise<Outcome[]> {
  const elsewhere = join(outside, 'elsewhere')
  mkdirSync(elsewhere)
  symlinkSync(elsewhere, join(workspace, 'way'))
  const sandbox = await createSandbox({ cwd: workspace, policy: { mode: 'workspace-write' }, rung })
  const outcomes: Outcome[] = []
  try {
    for (const attempt of ATTEMPTS) {
      if (attempt.old === true && process.arch === 'arm64') continue
      const forms = [
        { form: 'absolute', words: (folder: string) => [attempt.call, join(folder, 'x')] },
        { form: 'relative', words: (folder: string) => [attempt.call, folder === workspace ? 'x' : '../elsewhere/x'] },
        ...(folder => folder === true ? [{ form: 'from a descriptor', words: (folder: string) => [`folder=${folder}`, attempt.call, 'x'] }] : [])(attempt.fromFolder),
        { form: 'through a link', words: (folder: string) => [attempt.call, folder === workspace ? './x' : 'way/x'] },
      ]
      for (const { form, words } of forms.filter(({ form }) => only === undefined || form === only)) {
        for (const allowed of [false, true]) {
          const folder = allowed ? workspace : elsewhere
          for (const name of ['x', 'own', 'new']) rmSync(join(workspace, name), { recursive: true, force: true })
          rmSync(join(folder, 'x'), { recursive: true, force: true })
          prepare(join(folder, 'x'), attempt.at)
          writeFileSync(join(workspace, 'own'), '')
          const before = look(join(folder, 'x'))
          const result = await sandbox.exec([program, ...words(folder), ...(attempt.second === undefined ? [] : [join(workspace, attempt.second)])])
          outcomes.push({
            name: `${attempt.call} on ${attempt.at}, ${form}${allowed ? ', allowed' : ''}`,
            expected: allowed ? [] : [`${attempt.denied} ${join(elsewhere, 'x')}`],
            denials: describeDenials(result).map(line => line.replace(/^(?:observed|refused) /, '')),
            changed: look(join(folder, 'x')) !== before,
            errno: Number(result.stdout),
          })
        }
      }
    }
  } finally {
    await sandbox.close()
  }
  return outcomes
}

function prepare(path: string, at: Attempt['at']): void {
  if (at === 'file') writeFileSync(path, 'content', { mode: 0o600 })
  if (at === 'folder') mkdirSync(path)
  if (at === 'link') symlinkSync('nowhere', path)
}

/** All that one of the calls could change, but times of access. */
function look(path: string): string {
  const found = lstatSync(path, { bigint: true, throwIfNoEntry: false })
  if (found === undefined) return 'nothing'
  const { mode, nlink, ino, size, mtimeNs, ctimeNs } = found
  return [mode, nlink, ino, size, mtimeNs, ctimeNs, found.isFile() ? readFileSync(path, 'latin1') : ''].join()
}
