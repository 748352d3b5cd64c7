// A container as Docker makes one, built by the tests themselves: docker-like.c under the profile of docker-profile.ts. It sees the
// host's files, has processes, mounts, a loopback and shared memory of its own, and may make no namespaces.
import { type ChildProcess, spawn, type SpawnOptions, spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, renameSync, statSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { dockerProfile } from './docker-profile.js'

/** From this file, or from where scripts/in-container.mjs bundled it to. */
const ROOT = findRoot(dirname(fileURLToPath(import.meta.url)))
const SOURCE = join(ROOT, 'test/support/docker-like.c')
const BUILT = join(ROOT, 'build/docker-like')

export interface ContainerOptions {
  /** Default: root. */
  readonly uid?: number
  /** Inside. Default: /. */
  readonly cwd?: string
  /** `unconfined`: without the seccomp profile, as `--security-opt seccomp=unconfined`. Default: Docker's own. */
  readonly seccomp?: 'default' | 'unconfined'
  /** `unconfined`: all of /proc shows, as `--security-opt systempaths=unconfined`. Default: masked as Docker does. */
  readonly systemPaths?: 'default' | 'unconfined'
}

/** Why no container can be made here; undefined where one can. */
export function whyNoContainer(): string | undefined {
  if (process.platform !== 'linux') return 'containers are made on Linux'
  if (process.getuid?.() !== 0) return 'only root can make a container'
  if (!existsSync(join(BUILT, 'docker-like')) && spawnSync('gcc', ['--version']).status !== 0) return 'gcc is not installed'
  return undefined
}

/**
 * The command line that runs `argv` in a container of its own, to be spawned. Its exit code is the program's, 128+n for a signal.
 * Descriptors are inherited as by any program. When the process that was spawned ends, the container does.
 */
export function inContainer(argv: readonly string[], { uid = 0, cwd = '/', seccomp = 'default', systemPaths = 'default' }: ContainerOptions = {}): [program: string, ...words: string[]] {
  const { program, filter } = buildContainer()
  return [program, seccomp === 'default' ? filter : '-', systemPaths === 'default' ? 'masked' : 'all', String(uid), cwd, ...argv]
}

/** Spawns it. `options.cwd` is the container program's own; the command's is `container.cwd`. */
export function spawnInContainer(argv: readonly string[], container: ContainerOptions = {}, options: SpawnOptions = {}): ChildProcess {
  const [program, ...words] = inContainer(argv, container)
  return spawn(program, words, options)
}

/** Runs it to its end. */
export function runInContainer(argv: readonly string[], container: ContainerOptions = {}, env: NodeJS.ProcessEnv = process.env): { status: number | null; stdout: string; stderr: string } {
  const [program, ...words] = inContainer(argv, container)
  return spawnSync(program, words, { env, encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] })
}

function findRoot(folder: string): string {
  return existsSync(join(folder, 'package.json')) ? folder : findRoot(dirname(folder))
}

/** Compiled and assembled where it is not current; several test files may do it at once. */
function buildContainer(): { program: string; filter: string } {
  const program = join(BUILT, 'docker-like')
  const filter = join(BUILT, 'profile.bpf')
  mkdirSync(BUILT, { recursive: true })
  const own = (path: string): string => `${path}.${process.pid}`
  const arch = process.arch === 'arm64' ? 'arm64' : 'x64'
  writeFileSync(own(filter), dockerProfile(arch))
  renameSync(own(filter), filter)
  if (!existsSync(program) || statSync(program).mtimeMs < statSync(SOURCE).mtimeMs) {
    const { status, stderr } = spawnSync('gcc', ['-D_GNU_SOURCE', '-Wall', '-Wextra', '-Werror', '-O1', '-o', own(program), SOURCE], { encoding: 'utf8', cwd: dirname(SOURCE) })
    if (status !== 0) throw new Error(`gcc: ${stderr}`)
    renameSync(own(program), program)
  }
  return { program, filter }
}
