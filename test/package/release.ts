// The package as it is released and installed: packed in a copy of this clone by `npm pack` with all that it runs before, and installed from
// the tarball with nothing from the network, on a PATH that has Node and a shell, and no compiler.
import { spawnSync, type SpawnSyncReturns } from 'node:child_process'
import { cpSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, realpathSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { delimiter, join } from 'node:path'
import { fileURLToPath } from 'node:url'

export const ROOT = fileURLToPath(new URL('../../', import.meta.url))
const SOURCES = ['package.json', 'package-lock.json', 'tsconfig.json', 'tsconfig.build.json', 'scripts', 'src', 'native', 'docs', 'README.md', 'LICENSE', 'CHANGELOG.md', 'dist/launcher']
/** All that is on the PATH of whoever installs it. */
const PROGRAMS = ['sh', 'cat', 'env', 'mkdir']

export interface Release {
  /** Outside every writable root of the default policy. */
  readonly folder: string
  readonly tarball: string
  /** A project that has the package installed. */
  readonly project: string
  /** Without a compiler. */
  readonly path: string
  /** Runs a program of the project there, with that PATH. */
  run(program: string, words: readonly string[], options?: { cwd?: string; env?: Readonly<Record<string, string>> }): SpawnSyncReturns<string>
  remove(): void
}

export function makeRelease(): Release {
  const folder = realpathSync(mkdtempSync('/var/tmp/codex-sandbox-release-'))
  const path = makePath(join(folder, 'bin'))
  const tarball = pack(folder, copyOfClone(folder))
  // From elsewhere: npm obeys the `devEngines` of the folder that it is called in.
  const { dependencies: needed } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as { dependencies: Record<string, string> }
  const dependencies = Object.keys(needed).map(name => pack(folder, join(ROOT, 'node_modules', name), '--ignore-scripts'))
  const project = join(folder, 'project')
  mkdirSync(project)
  writeFileSync(join(project, 'package.json'), JSON.stringify({ name: 'an-agent', version: '1.0.0', private: true }))
  npm(['install', '--offline', '--no-audit', '--no-fund', tarball, ...dependencies], { cwd: project, env: { PATH: path, HOME: folder } })
  return {
    folder, tarball, project, path,
    run: (program, words, { cwd = project, env = {} } = {}) =>
      spawnSync(program, words, { cwd, encoding: 'utf8', env: { PATH: path, HOME: folder, XDG_STATE_HOME: join(folder, 'state'), ...env } }),
    remove: () => rmSync(folder, { recursive: true, force: true }),
  }
}

function copyOfClone(folder: string): string {
  const clone = join(folder, 'clone')
  for (const name of SOURCES) cpSync(join(ROOT, name), join(clone, name), { recursive: true, preserveTimestamps: true })
  symlinkSync(join(ROOT, 'node_modules'), join(clone, 'node_modules'))
  return clone
}

function pack(destination: string, source: string, ...words: readonly string[]): string {
  const [{ filename }] = JSON.parse(npm(['pack', source, '--json', '--pack-destination', destination, ...words], { cwd: destination, env: process.env })) as [{ filename: string }]
  return join(destination, filename)
}

/** npm by the Node that runs this, since the PATH may have none. */
function npm(words: readonly string[], { cwd, env }: { cwd: string; env: NodeJS.ProcessEnv }): string {
  const program = realpathSync((process.env['PATH'] ?? '').split(delimiter).map(place => join(place, 'npm')).find(place => existsSync(place)) ?? 'npm')
  const { status, stdout, stderr } = spawnSync(process.execPath, [program, ...words], { cwd, env, encoding: 'utf8' })
  if (status !== 0) throw new Error(`npm ${words.join(' ')} in ${cwd} ended with ${status}:\n${stdout}${stderr}`)
  return stdout
}

function makePath(folder: string): string {
  mkdirSync(folder)
  symlinkSync(process.execPath, join(folder, 'node'))
  for (const name of PROGRAMS) symlinkSync(join('/bin', name), join(folder, name))
  return folder
}

/** Relative paths of all files below a folder, sorted. */
export const filesOf = (folder: string): string[] =>
  readdirSync(folder, { recursive: true, withFileTypes: true }).filter(entry => entry.isFile()).map(entry => join(entry.parentPath, entry.name).slice(folder.length + 1)).sort()
