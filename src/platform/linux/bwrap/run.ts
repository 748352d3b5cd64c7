// Runs commands inside bwrap, with the launcher in it. What has to stand on the host while commands run stands there no longer: where a plan
// has such, bwrap ends a moment after the last command, and the next one gets another bwrap, which sees the host as it is then.
import { Server, type Socket } from 'node:net'
import { SandboxError } from '../../../errors.js'
import type { CommandExit, CommandHandlers, HeldListener, Launcher, RunningCommand, StartFailure } from '../../backend.js'
import type { CommandPlan, Enforcement, LinuxBwrapPlan } from '../../launch-plan.js'
import { PendingLauncher } from '../../pending-launcher.js'
import { Enclosure } from './enclosure.js'

/** As long as the launcher alone leaves placeholders after the last command. */
const IDLE_MS = 200

/**
 * Starts bwrap once, so that what is wrong with it is known before any command.
 *
 * @throws SandboxError `set_up_failed` with the step; nothing is left then
 */
export async function startInBwrap(launcherPath: string, plan: LinuxBwrapPlan): Promise<Launcher> {
  const launcher = new BwrapLauncher(launcherPath, plan)
  await launcher.ready()
  return launcher
}

/** One bwrap, from its start on, and what runs in it. */
interface Turn {
  readonly starting: Promise<Enclosure>
  readonly launcher: Launcher
  running: number
  /** Commands go elsewhere from now on. */
  over: boolean
  idle: NodeJS.Timeout | undefined
}

class BwrapLauncher implements Launcher {
  readonly enforcement: Enforcement
  readonly #path: string
  #plan: LinuxBwrapPlan
  readonly #keepsNothing: boolean
  readonly #lostListeners: (() => void)[] = []
  readonly #closing = new Set<Promise<void>>()
  /** Of ends that nobody waited for: `close` says the first. */
  readonly #failures: unknown[] = []
  #turn: Turn | undefined
  #pid: number | undefined
  #listeners: readonly HeldListener[] = []
  #lost: SandboxError | undefined
  #closed: Promise<void> | undefined

  constructor(path: string, plan: LinuxBwrapPlan) {
    this.enforcement = plan.enforcement
    this.#path = path
    this.#plan = plan
    this.#keepsNothing = plan.mounts.some(({ step }) => step === 'placeholder')
  }

  async ready(): Promise<void> {
    const turn = this.#begin()
    const { listeners } = await turn.starting
    // The ports that commands are told of stay the same in every bwrap: the loopback of each is its own.
    this.#plan = listeners.length === 0 ? this.#plan : { ...this.#plan, listeners: listeners.map(({ kind, port }) => ({ kind, port })) }
    this.#listeners = listeners.map(({ kind, port, server }) => ({ kind, port, server: passedOn(server) }))
    this.#becameIdle(turn)
  }

  /** Undefined where no bwrap runs: the number may be another process's by now. Of a launcher that is lost it stays, as it does elsewhere. */
  get pid(): number | undefined { return this.#pid }
  get listeners(): readonly HeldListener[] { return this.#listeners }

  run(command: CommandPlan, handlers: CommandHandlers): RunningCommand {
    if (this.#lost !== undefined) throw this.#lost
    if (this.#closed !== undefined) throw new SandboxError('sandbox_closed', { field: 'sandbox', value: undefined })
    const turn = this.#turn ?? this.#begin()
    clearTimeout(turn.idle)
    turn.running++
    const over = (): void => {
      turn.running--
      if (turn.running === 0) this.#becameIdle(turn)
    }
    return turn.launcher.run(command, new WatchedHandlers(handlers, over, () => this.#retire(turn)))
  }

  onLost(listener: () => void): void {
    this.#lostListeners.push(listener)
  }

  close(): Promise<void> {
    this.#closed ??= this.#close()
    return this.#closed
  }

  async #close(): Promise<void> {
    if (this.#turn !== undefined) this.#retire(this.#turn)
    while (this.#closing.size > 0) await Promise.all(this.#closing)
    for (const { server } of this.#listeners) server.close()
    if (this.#failures.length > 0) throw this.#failures[0]
  }

  #begin(): Turn {
    const starting: Promise<Enclosure> = Enclosure.start(this.#path, this.#plan, () => this.#retire(turn))
    const launcher = new PendingLauncher(starting.then(enclosure => asLauncher(enclosure, this.enforcement)), this.enforcement)
    const turn: Turn = { starting, launcher, running: 0, over: false, idle: undefined }
    this.#turn = turn
    starting.then(enclosure => {
      this.#pid = enclosure.pid
      this.#listeners.forEach(({ server }, index) => {
        const made = enclosure.listeners[index]?.server
        if (made !== undefined) passOn(made, server)
      })
      enclosure.onLost(() => enclosure.endedWithKeeper ? this.#retire(turn) : this.#losing(turn))
    }, () => {
      // What waits for it is told; the next command tries again.
      if (this.#turn === turn) this.#turn = undefined
    })
    return turn
  }

  #becameIdle(turn: Turn): void {
    if (turn.over) this.#end(turn)
    else if (this.#keepsNothing) turn.idle = setTimeout(() => this.#retire(turn), IDLE_MS).unref()
  }

  /** No further command starts in it. What runs there goes on, unless the launcher inside ended it. */
  #retire(turn: Turn): void {
    if (this.#turn === turn) this.#turn = undefined
    clearTimeout(turn.idle)
    const wasOver = turn.over
    turn.over = true
    if (!wasOver && (turn.running === 0 || this.#closed !== undefined)) this.#end(turn)
  }

  #end(turn: Turn): void {
    const closing = turn.starting.then(enclosure => {
      if (this.#pid === enclosure.pid && this.#lost === undefined) this.#pid = undefined
      return enclosure.close().catch((error: unknown) => void this.#failures.push(error))
    }, () => {})
    this.#closing.add(closing)
    void closing.then(() => this.#closing.delete(closing))
  }

  /** Ended by itself: what holds the rules is gone, and the sandbox with it. */
  #losing(turn: Turn): void {
    if (turn.over || this.#closed !== undefined) return
    this.#lost = new SandboxError('launcher_lost', { step: 'bwrap', errno: 'EPIPE' })
    this.#retire(turn)
    for (const listener of this.#lostListeners) listener()
  }
}

function asLauncher(enclosure: Enclosure, enforcement: Enforcement): Launcher {
  return {
    enforcement, pid: enclosure.pid, listeners: enclosure.listeners,
    run: (command, handlers) => enclosure.run(command, handlers),
    onLost: listener => enclosure.onLost(listener),
    close: () => enclosure.close(),
  }
}

/** A server that listens nowhere: it has the connections of those that do, one after the other. */
function passedOn(made: Server): Server {
  const server = new Server({ allowHalfOpen: true })
  passOn(made, server)
  return server
}

function passOn(made: Server, server: Server): void {
  made.on('connection', (socket: Socket) => void server.emit('connection', socket))
  made.on('error', error => void server.emit('error', error))
}

/** Passes everything on, and sees the end. */
class WatchedHandlers implements CommandHandlers {
  readonly #handlers: CommandHandlers
  readonly #over: () => void
  readonly #changed: () => void

  constructor(handlers: CommandHandlers, over: () => void, changed: () => void) {
    this.#handlers = handlers
    this.#over = over
    this.#changed = changed
  }

  onOutput(stream: 'stdout' | 'stderr', chunk: Buffer): void { this.#handlers.onOutput(stream, chunk) }
  /** Which process it is on this machine nobody inside knows. */
  onStarted(): void { this.#handlers.onStarted?.(0) }
  onStopped(signal: number): void { this.#handlers.onStopped?.(signal) }
  onContinued(): void { this.#handlers.onContinued?.() }
  onAccess(report: Parameters<NonNullable<CommandHandlers['onAccess']>>[0]): void { this.#handlers.onAccess?.(report) }
  onAccessesLost(count: number): void { this.#handlers.onAccessesLost?.(count) }
  onGitOperation(path: string): void { this.#handlers.onGitOperation?.(path) }
  onStdinDrained(): void { this.#handlers.onStdinDrained?.() }
  onLeft(exit: CommandExit): void { this.#handlers.onLeft?.(exit) }

  onExit(exit: CommandExit): void {
    if (exit.reason === 'host-changed-protected-path') this.#changed()
    this.#over()
    this.#handlers.onExit(exit)
  }

  onFailed(failure: StartFailure): void {
    if (failure.step === 'recheck') this.#changed()
    this.#over()
    this.#handlers.onFailed(failure)
  }
}
