// Compiles the C programs of these tests into a temporary folder.
import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll } from 'vitest'

export const HAS_GCC = spawnSync('gcc', ['--version']).status === 0

/** The path of the program made from `source`, a file of this folder; removed after the tests of the file that asks. */
export function compileProgram(source: string): string {
  const folder = mkdtempSync(join(tmpdir(), 'seccomp-test-'))
  afterAll(() => rmSync(folder, { recursive: true }))
  const program = join(folder, 'program')
  const { status, stderr } = spawnSync('gcc', ['-Wall', '-Wextra', '-Werror', '-O1', '-o', program, join(import.meta.dirname, source), '-lpthread', '-ldl'], { encoding: 'utf8' })
  if (status !== 0) throw new Error(`gcc: ${stderr}`)
  return program
}
