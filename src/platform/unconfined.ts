// "No sandbox", as a back end that can be found: plain child processes for danger-full-access and external-sandbox, with the
// same interface and the same outcomes. Every result's `enforcement` says that nothing is enforced here.
import { type ChildProcess, spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { constants } from 'node:os'
import { SandboxError } from '../errors.js'
import type { ResolvedPolicy } from '../policy/resolved-policy.js'
import type { Limits } from '../policy/sandbox-policy.js'
import type { Backend, CommandExit, CommandHandlers, CompileOptions, Launcher, LayerReport, RunningCommand } from './backend.js'
import type { CommandPlan, Enforcement, LaunchPlan, UnconfinedPlan } from './launch-plan.js'

const STREAMS = ['stdout', 'stderr'] as const
const OUTPUT_WINDOW_BYTES = 1 << 20
/** After the command's own end its pipes are read for so long: what still holds them then was left in the background. */
const DRAIN_MS = 100
/** How often a process group is looked at whose leader has ended, where what it left is kept. */
const LOOK_MS = 200

const NOTES = [
  'commands run without a sandbox, as the policy says',
  'what a command leaves in the background is ended with its process group only',
  'processor time and memory are not measured',
]

export function unconfinedBackend(): Backend {
  return {
    name: 'unconfined',
    probe: async (): Promise<readonly LayerReport[]> => [],
    compile: compileUnconfined,
    async start(plan) {
      return new UnconfinedLauncher(plan)
    },
  }
}

/** @throws SandboxError `rule_not_enforceable` for a rule or a limit: nothing here could hold it */
function compileUnconfined(policy: ResolvedPolicy, _layers: readonly LayerReport[], options: CompileOptions): UnconfinedPlan {
  const limits = Object.keys({ ...policy.limits, ...options.limits }) as (keyof Limits)[]
  const limited = limits.find(name => (options.limits[name] ?? policy.limits[name]) !== undefined)
  if (limited !== undefined && !options.allowDegraded.has('limits')) {
    throw new SandboxError('rule_not_enforceable', { field: `limits.${limited}`, value: policy.limits[limited] ?? options.limits[limited] }, { detail: `${policy.mode} runs commands without a sandbox`, remedy: 'Drop the limit, or allow `limits` to be degraded.' })
  }
  const degraded: Enforcement['degraded'] = limited === undefined ? [] : ['limits']
  return {
    backend: 'unconfined',
    platform: policy.platform,
    cwd: { path: policy.cwd, identity: options.cwdIdentity },
    degraded,
    enforcement: { backend: 'unconfined', layers: [], degraded, limits: Object.fromEntries(limits.map(name => [name, 'absent'])), notes: NOTES },
  }
}

class UnconfinedLauncher implements Launcher {
  readonly enforcement: Enforcement
  readonly pid = undefined
  readonly #hasProcessGroups: boolean
  readonly #commands = new Map<UnconfinedCommand, Promise<void>>()
  #closed = false

  constructor({ enforcement, platform }: LaunchPlan) {
    this.enforcement = enforcement
    this.#hasProcessGroups = platform !== 'windows'
  }

  run(command: CommandPlan, handlers: CommandHandlers): RunningCommand {
    if (this.#closed) throw new SandboxError('sandbox_closed', { field: 'sandbox', value: command.argv[0] })
    if (command.terminal !== undefined) {
      throw new SandboxError('option_invalid', { field: 'tty', value: command.terminal }, { detail: 'there is no terminal without a sandbox', remedy: 'Leave it out, or choose another mode.' })
    }
    if (command.keep === true && !this.#hasProcessGroups) {
      throw new SandboxError('option_invalid', { field: 'background', value: 'keep' }, { detail: 'without a sandbox, nothing here knows what a command left', remedy: 'Leave it out, or choose another mode.' })
    }
    const running = new UnconfinedCommand(command, handlers, this.#hasProcessGroups)
    this.#commands.set(running, running.over.then(() => void this.#commands.delete(running)))
    return running
  }

  /** Has no process of its own that could be lost. */
  onLost(): void {}

  async close(): Promise<void> {
    this.#closed = true
    for (const command of this.#commands.keys()) command.kill()
    await Promise.all(this.#commands.values())
  }
}

class UnconfinedCommand implements RunningCommand {
  readonly over: Promise<void>
  readonly #handlers: CommandHandlers
  readonly #hasProcessGroup: boolean
  readonly #keeps: boolean
  /** Undefined where it could not even be tried. */
  readonly #child: ChildProcess | undefined
  readonly #unconsumed = { stdout: 0, stderr: 0 }
  #killed = false
  /** The program itself has ended; its output may still come. */
  #exited = false
  /** Its pipes are closed as well. */
  #closed = false
  #finished = false
  /** Runs where the command has ended and what it left is kept. */
  #look: NodeJS.Timeout | undefined
  #finish: () => void = () => {}

  constructor(command: CommandPlan, handlers: CommandHandlers, hasProcessGroup: boolean) {
    this.#handlers = handlers
    this.#hasProcessGroup = hasProcessGroup
    this.#keeps = command.keep === true
    this.over = new Promise(resolve => { this.#finish = resolve })
    this.#child = this.#spawn(command)
    if (this.#child !== undefined) this.#listen(this.#child, command.cwd.path)
  }

  consumed(stream: 'stdout' | 'stderr', bytes: number): void {
    this.#unconsumed[stream] -= bytes
    const readable = this.#child?.[stream]
    if (readable?.isPaused() && this.#unconsumed[stream] < OUTPUT_WINDOW_BYTES) readable.resume()
  }

  writeStdin(data: Uint8Array): boolean { return this.#child?.stdin?.writable ? this.#child.stdin.write(data) : true }
  closeStdin(): void { this.#child?.stdin?.end() }
  signal(number: number): void { this.#signalGroup(number) }

  kill(): void {
    this.#killed = true
    this.#signalGroup(constants.signals.SIGKILL)
  }

  resize(): void {}

  ref(): void {
    for (const handle of this.#handles()) handle.ref()
  }

  unref(): void {
    for (const handle of this.#handles()) handle.unref()
  }

  /** What keeps Node alive: the process, its pipes, and the look at its group. Pipes are sockets, which their type does not say. */
  #handles(): Pick<NodeJS.Timeout, 'ref' | 'unref'>[] {
    const { stdin, stdout, stderr } = this.#child ?? {}
    return [this.#child, stdin, stdout, stderr, this.#look].filter(handle => handle !== undefined && handle !== null) as unknown as Pick<NodeJS.Timeout, 'ref' | 'unref'>[]
  }

  /** As the leader of a process group, so that what it starts can be signalled with it. */
  #spawn(command: CommandPlan): ChildProcess | undefined {
    const [program, ...rest] = command.argv
    const env = Object.fromEntries(command.env.map(variable => {
      // A name may begin with "=" on Windows.
      const equals = variable.indexOf('=', 1)
      return [variable.slice(0, equals), variable.slice(equals + 1)]
    }))
    try {
      return spawn(program as string, rest, { cwd: command.cwd.path, env, detached: this.#hasProcessGroup, stdio: [command.stdin === 'pipe' ? 'pipe' : 'ignore', 'pipe', 'pipe'] })
    } catch (error) {
      // Node throws some failures (E2BIG) and tells others as an event; here all are told.
      const { code } = error as NodeJS.ErrnoException
      if (code === undefined || !Object.hasOwn(constants.errno, code)) throw error
      setImmediate(() => this.#fail('exec', code))
      return undefined
    }
  }

  #listen(child: ChildProcess, cwd: string): void {
    child.once('spawn', () => this.#handlers.onStarted?.(child.pid ?? 0))
    child.once('error', error => {
      const errno = (error as NodeJS.ErrnoException).code ?? 'unknown'
      // Node reports a missing cwd as if the program were missing.
      this.#fail(errno === 'ENOENT' && !existsSync(cwd) ? 'enter_cwd' : 'exec', errno)
    })
    for (const stream of STREAMS) child[stream]?.on('data', (chunk: Buffer) => this.#take(stream, chunk))
    child.stdin?.on('drain', () => this.#handlers.onStdinDrained?.())
    // The command closed its input: what it does not want is dropped, and there is nothing to wait for.
    child.stdin?.on('error', () => this.#handlers.onStdinDrained?.())
    child.once('exit', (code, signal) => {
      if (this.#keeps && !this.#killed && this.#groupIsThere()) this.#keep(child, code, signal)
      else this.#drain(child)
    })
    child.once('close', (code, signal) => {
      this.#closed = true
      if (this.#look === undefined) this.#exit(code, signal)
    })
  }

  /** Tells the command's own end, once its pipes were read, and looks at its process group until that is gone. */
  #keep(child: ChildProcess, code: number | null, signal: NodeJS.Signals | null): void {
    let told = false
    this.#look = setInterval(() => {
      if (this.#groupIsThere()) {
        if (!told) this.#handlers.onLeft?.(exitOf(code, signal, 'none'))
        told = true
        return
      }
      clearInterval(this.#look)
      this.#look = undefined
      this.#exited = true
      if (this.#closed) this.#exit(code, signal)
      else this.#drain(child)
    }, LOOK_MS)
  }

  #groupIsThere(): boolean {
    try {
      return process.kill(-(this.#child?.pid as number), 0)
    } catch {
      return false
    }
  }

  #take(stream: 'stdout' | 'stderr', chunk: Buffer): void {
    this.#unconsumed[stream] += chunk.length
    this.#handlers.onOutput(stream, chunk)
    if (!this.#exited && this.#unconsumed[stream] >= OUTPUT_WINDOW_BYTES) this.#child?.[stream]?.pause()
  }

  /** Ends what is left of the process group, and reads what the pipes still hold: no more than their size, window or not. */
  #drain(child: ChildProcess): void {
    this.#signalGroup(constants.signals.SIGKILL)
    this.#exited = true
    for (const stream of STREAMS) child[stream]?.resume()
    const timer = setTimeout(() => {
      for (const stream of STREAMS) child[stream]?.destroy()
    }, DRAIN_MS)
    child.once('close', () => clearTimeout(timer))
  }

  #exit(code: number | null, signal: NodeJS.Signals | null): void {
    if (this.#finished) return
    this.#finished = true
    this.#handlers.onExit(exitOf(code, signal, this.#killed ? 'killed' : 'none'))
    this.#finish()
  }

  #fail(step: string, errno: string): void {
    if (this.#finished) return
    this.#finished = true
    this.#handlers.onFailed({ step, errno, path: undefined })
    this.#finish()
  }

  /** Never after the program's end: its number may be another's by then. Gone already is no error. */
  #signalGroup(number: number): void {
    const pid = this.#child?.pid
    if (pid === undefined || this.#exited) return
    try {
      process.kill(this.#hasProcessGroup ? -pid : pid, number)
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error
    }
  }
}

const exitOf = (code: number | null, signal: NodeJS.Signals | null, reason: CommandExit['reason']): CommandExit =>
  ({ exitCode: code ?? undefined, signal: signal === null ? undefined : constants.signals[signal], reason, path: undefined, cpuMs: 0, maxRssBytes: 0, ended: [] })
