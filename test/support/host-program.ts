// Programs that make a host or a container of another kind for what they run: C files of this folder, compiled when they are first needed.
import { spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, renameSync, statSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

/** From this file, or from where a script bundled it to. */
const ROOT = findRoot(dirname(fileURLToPath(import.meta.url)))
/** Where they are kept. */
export const BUILT = join(ROOT, 'build/hosts')

/** Why none can run here; undefined where one can. */
export function whyNoHostProgram(): string | undefined {
  if (process.platform !== 'linux') return 'containers and poorer hosts are made on Linux'
  if (process.getuid?.() !== 0) return 'only root can make a container or a poorer host'
  if (spawnSync('gcc', ['--version']).status !== 0) return 'gcc is not installed'
  return undefined
}

/** Several test files may do it at once. @returns its path */
export function buildHostProgram(name: string): string {
  const source = join(ROOT, `test/support/${name}.c`)
  const program = join(BUILT, name)
  if (existsSync(program) && statSync(program).mtimeMs >= statSync(source).mtimeMs) return program
  mkdirSync(BUILT, { recursive: true })
  const own = `${program}.${process.pid}`
  const { status, stderr } = spawnSync('gcc', ['-D_GNU_SOURCE', '-Wall', '-Wextra', '-Werror', '-O1', '-o', own, source], { encoding: 'utf8', cwd: dirname(source) })
  if (status !== 0) throw new Error(`gcc: ${stderr}`)
  renameSync(own, program)
  return program
}

function findRoot(folder: string): string {
  return existsSync(join(folder, 'package.json')) ? folder : findRoot(dirname(folder))
}
