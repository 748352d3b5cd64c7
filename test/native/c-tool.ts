// Parts of the launcher as programs of their own, built for a test: native/linux/test/*-tool.c with the files that it names.
import { spawnSync } from 'node:child_process'
import { chmodSync, mkdtempSync, rmSync } from 'node:fs'
import { basename, join } from 'node:path'

export interface CTool {
  readonly path: string
  remove(): void
}

const FLAGS = ['-std=c11', '-D_GNU_SOURCE', '-pthread', '-Wall', '-Wextra', '-Werror', '-O1', '-g', '-fno-omit-frame-pointer']
const SANITIZERS = ['-fsanitize=address,undefined', '-fno-sanitize-recover=all']

/**
 * @param sources  names in native/linux, without `.c`
 * @returns        why this machine cannot build it, where it cannot
 * @throws         Error with the compiler's words where the sources are wrong
 */
export const buildCTool = (name: string, sources: readonly string[]): CTool | string =>
  build(name, [`native/linux/test/${name}.c`, ...sources.map(source => `native/linux/${source}.c`)], SANITIZERS)

/** A program that a test runs, inside or beside: without sanitizers, for any user to run. */
export const buildProgram = (source: string): CTool | string => build(basename(source, '.c'), [source], ['-O2'])

function build(name: string, files: readonly string[], flags: readonly string[]): CTool | string {
  const compiler = process.env['CC'] ?? 'gcc'
  const folder = mkdtempSync(join('/var/tmp', `${name}-`))
  chmodSync(folder, 0o755)
  const path = join(folder, name)
  const remove = (): void => rmSync(folder, { recursive: true })
  const probe = spawnSync(compiler, [...flags, '-x', 'c', '-o', path, '-'], { input: 'int main(void) { return 0; }', encoding: 'utf8' })
  if (probe.error !== undefined || probe.status !== 0) {
    remove()
    return `${compiler} cannot build with ${flags[0]} here: ${probe.error?.message ?? probe.stderr.trim().split('\n')[0]}`
  }
  const { status, stderr } = spawnSync(compiler, [...FLAGS, ...flags, '-o', path, ...files], { encoding: 'utf8' })
  if (status === 0) return { path, remove }
  remove()
  throw new Error(`${compiler}: ${stderr}`)
}
