// Which shell carries out a script, and with which words: a table, the same on every platform.
import { accessSync, constants, realpathSync } from 'node:fs'
import { posix, win32 } from 'node:path'
import { SandboxError } from '../errors.js'
import { findProgram } from '../platform/windows/find-program.js'
import { decide } from '../policy/decide.js'
import type { PlatformName } from '../policy/host-snapshot.js'
import type { ResolvedPolicy } from '../policy/resolved-policy.js'
import { type Environment, mergeEnvironment } from './environment.js'
import type { ShellChoice } from './options.js'

interface ShellRow {
  readonly names: readonly string[]
  /** What stands between the shell and the script. */
  readonly words: readonly string[]
  /** The same where it reads the profile first; undefined: it cannot be told to. */
  readonly loginWords: readonly string[] | undefined
}

/** What no row names is taken for a shell that knows `-c`. Windows' rows were never run: no back end is there for them yet. */
export const SHELLS: readonly ShellRow[] = [
  { names: ['bash', 'sh', 'dash', 'zsh', 'ksh', 'ash', 'mksh', 'fish'], words: ['-c'], loginWords: ['-l', '-c'] },
  // Profiles are read unless that is forbidden: there, a login shell is one that is not told anything. On Windows `pwsh` has no `-Login`.
  { names: ['pwsh', 'powershell'], words: ['-NoLogo', '-NoProfile', '-NonInteractive', '-Command'], loginWords: ['-NoLogo', '-NonInteractive', '-Command'] },
  // Without AutoRun; the script is what stands between the first quote and the last.
  { names: ['cmd'], words: ['/d', '/s', '/c'], loginWords: undefined },
]
const OTHER_SHELL: ShellRow = { names: [], words: ['-c'], loginWords: undefined }

/** The first that is there and may be executed. The last is taken unseen: its absence is the command's failure. */
export const DEFAULT_SHELLS: Readonly<Record<PlatformName, readonly [string, ...string[]]>> = {
  linux: ['bash', 'sh'],
  macos: ['bash', 'sh'],
  windows: ['pwsh', 'cmd'],
}

/**
 * The command that carries out `script`. Pure.
 *
 * @throws SandboxError `option_invalid`, `field` = `shell` or `login`
 */
export function shellCommand(shell: string, login: boolean, script: string): string[] {
  if (shell === '' || shell.includes('\0')) throw new SandboxError('option_invalid', { field: 'shell', value: shell }, { detail: 'it is no name of a program' })
  const name = (shell.split(/[\\/]/).pop() as string).toLowerCase().replace(/\.exe$/, '')
  const row = SHELLS.find(({ names }) => names.includes(name)) ?? OTHER_SHELL
  const words = login ? row.loginWords : row.words
  if (words === undefined) throw new SandboxError('option_invalid', { field: 'login', value: login }, { detail: `${JSON.stringify(shell)} has no login shell that we know`, remedy: 'Leave it out, or name another shell.' })
  return [shell, ...words, script]
}

/** Finds a sandbox's default shell, once. */
export class ShellFinder {
  readonly #policy: ResolvedPolicy
  readonly #environment: Environment
  #found: string | undefined
  #plainEnvironment: readonly string[] | undefined

  constructor(policy: ResolvedPolicy, environment: Environment) {
    this.#policy = policy
    this.#environment = environment
  }

  /** @param ownPath  the command has another PATH than the sandbox: then the shell is named by its place */
  command({ shell, login = false }: ShellChoice, script: string, ownPath: boolean): string[] {
    if (shell !== undefined) return shellCommand(shell, login, script)
    this.#found ??= this.#find()
    const isPosix = this.#policy.platform !== 'windows'
    // By its name, as scripts show it in their messages and have it as $0.
    return shellCommand(isPosix && !ownPath ? posix.basename(this.#found) : this.#found, login, script)
  }

  /** What a shell in `cwd` gives to a command that it runs: PWD is its own doing. One array, so that it is encoded once. */
  plainEnvironment(cwd: string): readonly string[] {
    this.#plainEnvironment ??= mergeEnvironment(this.#environment, { PWD: cwd })
    return this.#plainEnvironment
  }

  #find(): string {
    const names = DEFAULT_SHELLS[this.#policy.platform]
    for (const name of names.slice(0, -1)) {
      const found = this.#policy.platform === 'windows' ? this.#findOnWindows(name) : this.#findOnPosix(name)
      if (found !== undefined) return found
    }
    return names.at(-1) as string
  }

  #findOnPosix(name: string): string | undefined {
    const folders = (this.#environment.variables['PATH'] ?? '/usr/local/bin:/bin:/usr/bin').split(':').filter(folder => folder.startsWith('/'))
    return folders.map(folder => posix.join(folder, name)).find(path => this.#mayExecute(path))
  }

  #findOnWindows(name: string): string | undefined {
    const found = findProgram(name, { env: this.#environment.variables, cwd: win32.sep, exists: path => this.#mayExecute(path) })
    return found?.path
  }

  #mayExecute(path: string): boolean {
    try {
      accessSync(path, constants.X_OK)
      return decide(this.#policy, { kind: 'execute', path: realpathSync.native(path) }).verdict === 'allow'
    } catch {
      // Not there, not executable, or no path that a policy could judge: then it is not the one.
      return false
    }
  }
}
