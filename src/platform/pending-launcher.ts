// A launcher that is still being started, for those who need one at once: what is asked of it waits, and is passed on in order.
import { SandboxError } from '../errors.js'
import type { CommandHandlers, Launcher, RunningCommand } from './backend.js'
import type { CommandPlan, Enforcement } from './launch-plan.js'

export class PendingLauncher implements Launcher {
  readonly enforcement: Enforcement
  readonly #starting: Promise<Launcher>
  readonly #lostListeners: (() => void)[] = []
  #launcher: Launcher | undefined

  constructor(starting: Promise<Launcher>, enforcement: Enforcement) {
    this.enforcement = enforcement
    this.#starting = starting
    starting.then(launcher => {
      this.#launcher = launcher
      for (const listener of this.#lostListeners) launcher.onLost(listener)
    }, () => {})
  }

  get pid(): number | undefined {
    return this.#launcher?.pid
  }

  run(command: CommandPlan, handlers: CommandHandlers): RunningCommand {
    return this.#launcher === undefined ? new WaitingCommand(this.#starting, command, handlers) : this.#launcher.run(command, handlers)
  }

  onLost(listener: () => void): void {
    this.#lostListeners.push(listener)
    this.#launcher?.onLost(listener)
  }

  async close(): Promise<void> {
    const launcher = await this.#starting.catch(() => undefined)
    await launcher?.close()
  }
}

/** Keeps Node alive by the launcher that starts for it. */
class WaitingCommand implements RunningCommand {
  #running: RunningCommand | undefined
  #waiting: ((running: RunningCommand) => void)[] = []
  #stdinIsClosed = false

  constructor(starting: Promise<Launcher>, command: CommandPlan, handlers: CommandHandlers) {
    starting.then(launcher => this.#begin(launcher.run(command, handlers))).catch(error => handlers.onFailed(failureOf(error)))
  }

  consumed(stream: 'stdout' | 'stderr', bytes: number): void { this.#running?.consumed(stream, bytes) }

  /** Nothing takes it yet: one piece waits, and the caller is told to. */
  writeStdin(data: Uint8Array): boolean {
    if (this.#running !== undefined) return this.#running.writeStdin(data)
    if (!this.#stdinIsClosed) this.#later(running => void running.writeStdin(data))
    return true
  }

  closeStdin(): void {
    this.#stdinIsClosed = true
    this.#later(running => running.closeStdin())
  }

  signal(number: number): void { this.#later(running => running.signal(number)) }
  kill(): void { this.#later(running => running.kill()) }
  resize(rows: number, cols: number): void { this.#later(running => running.resize(rows, cols)) }
  ref(): void { this.#later(running => running.ref()) }
  unref(): void { this.#later(running => running.unref()) }

  #later(step: (running: RunningCommand) => void): void {
    if (this.#running === undefined) this.#waiting.push(step)
    else step(this.#running)
  }

  #begin(running: RunningCommand): void {
    this.#running = running
    for (const step of this.#waiting.splice(0)) step(running)
  }
}

function failureOf(error: unknown): { step: string; errno: string; path: string | undefined } {
  if (!(error instanceof SandboxError)) return { step: 'start_launcher', errno: error instanceof Error ? error.message : String(error), path: undefined }
  return { step: error.code === 'sandbox_closed' ? 'sandbox_closed' : error.step ?? 'start_launcher', errno: error.errno ?? error.code, path: error.path }
}
