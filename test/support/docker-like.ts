// A container as Docker makes one, built by the tests themselves: docker-like.c under the profile of docker-profile.ts. It sees the
// host's files, has processes, mounts, a loopback and shared memory of its own, and may make no namespaces.
import { spawnSync } from 'node:child_process'
import { renameSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { dockerProfile } from './docker-profile.js'
import { BUILT, buildHostProgram, whyNoHostProgram } from './host-program.js'

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
export const whyNoContainer = whyNoHostProgram

/**
 * The command line that runs `argv` in a container of its own, to be spawned. Its exit code is the program's, 128+n for a signal.
 * Descriptors are inherited as by any program. When the process that was spawned ends, the container does.
 */
export function inContainer(argv: readonly string[], { uid = 0, cwd = '/', seccomp = 'default', systemPaths = 'default' }: ContainerOptions = {}): [program: string, ...words: string[]] {
  const { program, filter } = buildContainer()
  return [program, seccomp === 'default' ? filter : '-', systemPaths === 'default' ? 'masked' : 'all', String(uid), cwd, ...argv]
}

/** Runs it to its end. */
export function runInContainer(argv: readonly string[], container: ContainerOptions = {}, env: NodeJS.ProcessEnv = process.env): { status: number | null; stdout: string; stderr: string } {
  const [program, ...words] = inContainer(argv, container)
  return spawnSync(program, words, { env, encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] })
}

/** The profile is assembled each time; several test files may do it at once. */
function buildContainer(): { program: string; filter: string } {
  const program = buildHostProgram('docker-like')
  const filter = join(BUILT, 'profile.bpf')
  const own = `${filter}.${process.pid}`
  writeFileSync(own, dockerProfile(process.arch === 'arm64' ? 'arm64' : 'x64'))
  renameSync(own, filter)
  return { program, filter }
}
