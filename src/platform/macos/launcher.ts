// Starts commands under sandbox-exec. Node itself is the launcher: there is no process of ours between it and a command.
import { accessSync, constants, lstatSync, statSync } from 'node:fs'
import { delimiter, resolve } from 'node:path'
import { SandboxError } from '../../errors.js'
import type { CommandHandlers, Launcher, RunningCommand, StartFailure } from '../backend.js'
import type { FailureReader } from '../child-command.js'
import { ChildCommands } from '../child-commands.js'
import { failedCommand } from '../failed-command.js'
import type { CommandPlan, Enforcement, MacosSeatbeltPlan } from '../launch-plan.js'
import { DenialLog } from './denial-log.js'
import { outerEnvironment, startWords } from './start-words.js'

export interface SeatbeltPrograms {
  /** Takes the place of /usr/bin/sandbox-exec, for tests on other systems. */
  readonly sandboxExec?: string
  /** The same for /usr/bin/log. */
  readonly log?: string
}

export class SeatbeltLauncher implements Launcher {
  readonly enforcement: Enforcement
  readonly pid = undefined
  readonly #plan: MacosSeatbeltPlan
  readonly #log: DenialLog | undefined
  readonly #commands = new ChildCommands()

  constructor(plan: MacosSeatbeltPlan, { sandboxExec, log }: SeatbeltPrograms = {}) {
    this.enforcement = plan.enforcement
    this.#plan = sandboxExec === undefined ? plan : { ...plan, argv: [sandboxExec, ...plan.argv.slice(1)] }
    this.#log = plan.logsDenials ? new DenialLog(log) : undefined
  }

  /** Resolves when the log is read, where it is. */
  async ready(): Promise<void> {
    await this.#log?.ready
  }

  run(command: CommandPlan, handlers: CommandHandlers): RunningCommand {
    this.#commands.refuseWhenClosed()
    if (command.helper === true) throw new SandboxError('platform_unsupported', { field: 'helper', value: command.argv[1] }, { detail: 'only the launcher of Linux has such programs' })
    const early = earlyFailure(command)
    if (early !== undefined) return failedCommand(early, handlers)
    const reading = this.#log?.follow(report => handlers.onAccess?.(report))
    return this.#commands.start(
      { ...command, argv: startWords(this.#plan, command, reading?.tag), env: [...outerEnvironment(command.env).filter(isNotOurs(this.#plan.environment)), ...this.#plan.environment] },
      reading === undefined ? handlers : afterLog(handlers, reading),
      { hasProcessGroup: true, readFailure: SANDBOX_EXEC_FAILURES },
    )
  }

  /** Has no process of its own that could be lost. */
  onLost(): void {}

  async close(): Promise<void> {
    await this.#commands.close()
    await this.#log?.close()
  }
}

/** The end of a command is told when the log has had its time to say what was denied. */
function afterLog(handlers: CommandHandlers, { end }: { end(): Promise<void> }): CommandHandlers {
  return {
    ...bound(handlers),
    onExit: exit => void end().then(() => handlers.onExit(exit)),
    onFailed: failure => void end().then(() => handlers.onFailed(failure)),
  }
}

/** Handlers may be methods of an object. */
const bound = (handlers: CommandHandlers): CommandHandlers => ({
  onOutput: (stream, chunk) => handlers.onOutput(stream, chunk),
  onStarted: pid => handlers.onStarted?.(pid),
  onStopped: signal => handlers.onStopped?.(signal),
  onContinued: () => handlers.onContinued?.(),
  onStdinDrained: () => handlers.onStdinDrained?.(),
  onLeft: exit => handlers.onLeft?.(exit),
  onExit: exit => handlers.onExit(exit),
  onFailed: failure => handlers.onFailed(failure),
})

const isNotOurs = (environment: readonly string[]) => (variable: string): boolean =>
  !environment.some(own => variable.startsWith(own.slice(0, own.indexOf('=') + 1)))

/** Errors in words, as strerror(3) of macOS has them. */
const ERRNOS: Readonly<Record<string, string>> = {
  'No such file or directory': 'ENOENT', 'Permission denied': 'EACCES', 'Operation not permitted': 'EPERM', 'Exec format error': 'ENOEXEC',
  'Argument list too long': 'E2BIG', 'Not a directory': 'ENOTDIR', 'Too many levels of symbolic links': 'ELOOP', 'Bad CPU type in executable': 'ENOEXEC',
  'Text file busy': 'ETXTBSY', 'File name too long': 'ENAMETOOLONG', 'Is a directory': 'EISDIR', 'Cannot allocate memory': 'ENOMEM',
}
const errnoOf = (words: string): string => ERRNOS[words] ?? words

/** What sandbox-exec says on stderr where the command did not start. */
export const SANDBOX_EXEC_FAILURES: FailureReader = {
  prefix: 'sandbox-exec: ',
  failureOf(line): StartFailure {
    const exec = /^sandbox-exec: execvp\(\) of '.*' failed: (.*)$/.exec(line)?.[1]
    if (exec !== undefined) return { step: 'exec', errno: errnoOf(exec), path: undefined }
    const apply = /^sandbox-exec: sandbox_apply(?:_container)?: (.*)$/.exec(line)?.[1]
    if (apply !== undefined) return { step: 'sandbox_apply', errno: errnoOf(apply), path: undefined }
    return { step: 'sandbox_profile', errno: 'EINVAL', path: line.slice('sandbox-exec: '.length) }
  },
}

/** What can be told before anything starts, in the words of the other back ends. The program is looked up again inside. */
function earlyFailure({ argv, cwd, env }: CommandPlan): StartFailure | undefined {
  const entered = identityOf(cwd.path)
  if (typeof entered === 'string') return { step: 'enter_cwd', errno: entered, path: undefined }
  if (entered.dev !== cwd.identity.device || entered.ino !== cwd.identity.inode) return { step: 'enter_cwd', errno: 'ESTALE', path: undefined }
  const errno = whyNotExecutable(argv[0] as string, cwd.path, env)
  return errno === undefined ? undefined : { step: 'exec', errno, path: undefined }
}

function identityOf(path: string): { dev: string; ino: string } | string {
  try {
    const stats = lstatSync(path, { bigint: true })
    return stats.isDirectory() ? { dev: String(stats.dev), ino: String(stats.ino) } : 'ENOTDIR'
  } catch (error) {
    return (error as NodeJS.ErrnoException).code ?? 'unknown'
  }
}

/** As execvp(3): of several candidates the first that can be run; else the most telling reason. */
function whyNotExecutable(program: string, cwd: string, env: readonly string[]): string | undefined {
  if (program === '') return 'ENOENT'
  const search = env.find(variable => variable.startsWith('PATH='))?.slice('PATH='.length) ?? '/usr/bin:/bin'
  const candidates = program.includes('/') ? [resolve(cwd, program)] : search.split(delimiter).map(folder => resolve(cwd, folder, program))
  let reason = 'ENOENT'
  for (const path of candidates) {
    const errno = whyNotRun(path)
    if (errno === undefined) return undefined
    if (errno !== 'ENOENT' && errno !== 'ENOTDIR') reason = errno
    else if (program.includes('/')) reason = errno
  }
  return reason
}

function whyNotRun(path: string): string | undefined {
  try {
    if (statSync(path).isDirectory()) return 'EACCES'
    accessSync(path, constants.X_OK)
    return undefined
  } catch (error) {
    return (error as NodeJS.ErrnoException).code ?? 'unknown'
  }
}
