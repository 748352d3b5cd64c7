// The users as whom the table is run: this one, and, where this one is root, one who owns nothing but a home folder.
import { type ChildProcess, execFileSync, fork, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { chownSync, cpSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { SandboxOptions } from '../../src/exec/options.js'
import type { Rung } from '../../src/platform/launch-plan.js'
import type { PolicyInput } from '../../src/policy/schema.js'

export const REPOSITORY = fileURLToPath(new URL('../..', import.meta.url)).replace(/\/$/, '')
const RUNNER = fileURLToPath(new URL('command-runner.mjs', import.meta.url))
/** In no database of users: nobody's. */
const OTHER_USER = 54_400

export interface Request {
  readonly cwd: string
  readonly argv: readonly string[]
  readonly policy: PolicyInput
  /** Absent: the one that is chosen here. */
  readonly rung: Rung | undefined
  /** Of another back end. */
  readonly other: Pick<SandboxOptions, 'backend' | 'allowDegraded'>
  readonly env: Readonly<Record<string, string>> | undefined
  readonly stdin: string | Uint8Array | undefined
  readonly terminal: { readonly rows: number; readonly cols: number } | undefined
}

export interface Outcome {
  readonly exitCode: number
  readonly signal: string | null
  /** On a terminal all output is stdout. */
  readonly stdout: string
  readonly stderr: string
  /** Of stdout. */
  readonly bytes: number
  readonly sha256: string
  readonly leaves: readonly string[]
  readonly denials: readonly string[]
}

export interface User {
  readonly uid: number
  /** Where workspaces are made: this user's own. */
  readonly folder: string
  readonly environment: NodeJS.ProcessEnv
  /** Runs a command in a sandbox of its own. */
  run(request: Request): Promise<Outcome>
  remove(): void
}

/** Why the table cannot be run as another user; undefined where it can. */
export function whyNoOtherUser(): string | undefined {
  if (process.getuid?.() !== 0) return 'only root can become another user'
  const { status } = spawnSync(process.execPath, ['-e', '0'], { uid: OTHER_USER, gid: OTHER_USER, cwd: '/', env: {} })
  return status === 0 ? undefined : `another user cannot run ${process.execPath}`
}

export async function thisUser(): Promise<User> {
  const folder = mkdtempSync('/var/tmp/workloads-')
  return startUser({ uid: process.getuid?.() ?? -1, folder, environment: { ...process.env, XDG_STATE_HOME: join(folder, 'state'), XDG_CACHE_HOME: join(folder, 'cache') }, index: join(REPOSITORY, 'dist/index.js'), runner: RUNNER })
}

/** Gets a copy of the package that it can read, a home folder, and an environment without this user's settings. */
export async function otherUser(): Promise<User> {
  const folder = mkdtempSync('/var/tmp/workloads-')
  execFileSync('chmod', ['755', folder])
  const home = join(folder, 'home')
  const copy = join(folder, 'package')
  for (const part of ['dist', 'package.json', 'node_modules/zod', 'node_modules/smol-toml']) cpSync(join(REPOSITORY, part), join(copy, part), { recursive: true })
  const runner = join(copy, 'command-runner.mjs')
  cpSync(RUNNER, runner)
  for (const owned of [folder, home]) {
    mkdirSync(owned, { recursive: true })
    chownSync(owned, OTHER_USER, OTHER_USER)
  }
  return startUser({
    uid: OTHER_USER, folder, index: join(copy, 'dist/index.js'), runner,
    environment: { HOME: home, PATH: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin', LANG: process.env['LANG'] ?? 'C.UTF-8', TERM: 'dumb' },
  })
}

interface UserStart extends Omit<User, 'run' | 'remove'> { readonly index: string; readonly runner: string }

async function startUser({ uid, folder, environment, index, runner }: UserStart): Promise<User> {
  const child = fork(runner, [index], { uid, gid: uid === process.getuid?.() ? process.getgid?.() : uid, cwd: '/', env: environment, serialization: 'advanced', execArgv: [], stdio: ['ignore', 'inherit', 'inherit', 'ipc'] })
  await once(child, 'message')
  let last = 0
  return {
    uid, folder, environment,
    run: request => ask(child, { id: ++last, ...request }),
    remove: () => {
      child.kill('SIGKILL')
      rmSync(folder, { recursive: true, force: true })
    },
  }
}

function ask(child: ChildProcess, request: Request & { readonly id: number }): Promise<Outcome> {
  return new Promise((resolve, reject) => {
    const lost = (): void => reject(new Error('the process that runs the commands is gone'))
    const take = (answer: { id: number; outcome?: Outcome; error?: object }): void => {
      if (answer.id !== request.id) return
      child.off('message', take).off('exit', lost)
      if (answer.outcome === undefined) reject(Object.assign(new Error('the sandbox failed'), answer.error))
      else resolve(answer.outcome)
    }
    child.on('message', take).once('exit', lost)
    child.send(request)
  })
}
