// A launcher whose commands have a way out: the proxy that serves its listeners, and ports that lead to the host. What the proxy refuses
// or asks about is told to the command that wanted it.
import { randomBytes } from 'node:crypto'
import type { Server } from 'node:net'
import type { AccessReport, CommandExit, CommandHandlers, Launcher, RunningCommand, StartFailure } from '../../platform/backend.js'
import type { CommandPlan } from '../../platform/launch-plan.js'
import type { NetworkProxy } from '../../network/proxy.js'
import type { Denial } from '../denial.js'
import { leadToHost, type LocalPort } from './local-port.js'
import { fillProxyPlaces } from './proxy-environment.js'

/** What a command hears of its connections. */
export interface ConnectionListener {
  /** The proxy refused one. */
  onHostDenied(denial: Denial): void
  /** Somebody is being asked about one of them, and it waits; or that is over. */
  onPrompt(open: boolean): void
}

/** One connection to the proxy: what comes back with whatever is said of it. */
export interface ConnectionSource {
  readonly launcher: ProxiedLauncher
  /** By the client's own word: which command it is. */
  user: string | undefined
  /** Those that were told that it waits. */
  waiting: readonly Command[]
}

interface Command {
  readonly plan: CommandPlan
  readonly listener: Partial<ConnectionListener>
}

/** Of a listener that only the sandbox reaches, nobody checks it; clients send a name only with a password. */
const NO_TOKEN = 'x'

export class ProxiedLauncher implements Launcher {
  readonly #inner: Launcher
  readonly #proxy: NetworkProxy
  readonly #token: string | undefined
  readonly #httpPort: number
  readonly #socksPort: number
  readonly #localPorts: readonly LocalPort[]
  /** Those that run, by the name that their variables have. */
  readonly #commands = new Map<string, Command>()

  /**
   * @param listeners  of the proxy: HTTP's first
   * @param token      what the proxy wants of each client; undefined where only commands reach it
   */
  constructor(inner: Launcher, proxy: NetworkProxy, listeners: readonly { readonly port: number; readonly server: Server }[], token: string | undefined) {
    this.#inner = inner
    this.#proxy = proxy
    this.#token = token
    this.#httpPort = listeners[0]?.port ?? 0
    this.#socksPort = listeners.at(-1)?.port ?? 0
    for (const { server } of listeners) {
      server.on('connection', socket => {
        const source: ConnectionSource = { launcher: this, user: undefined, waiting: [] }
        proxy.accept(socket, source)
      })
      // One that cannot be accepted, where descriptors have run out: there will be others.
      server.on('error', () => {})
    }
    this.#localPorts = (inner.listeners ?? []).filter(({ kind }) => kind === 'local-port').map(({ server, port }) => leadToHost(server, port))
    inner.onLost(() => void this.#closeConnections())
  }

  get enforcement(): Launcher['enforcement'] { return this.#inner.enforcement }
  get pid(): number | undefined { return this.#inner.pid }

  run(plan: CommandPlan, handlers: CommandHandlers & Partial<ConnectionListener>): RunningCommand {
    const user = `c${randomBytes(8).toString('hex')}`
    const env = fillProxyPlaces(plan.env, { httpPort: this.#httpPort, socksPort: this.#socksPort, user, password: this.#token ?? NO_TOKEN })
    // A part of the launcher's own connects to nothing.
    if (env === plan.env) return this.#inner.run(plan, handlers)
    const running = this.#inner.run({ ...plan, env }, new WatchedHandlers(handlers, () => this.#commands.delete(user)))
    this.#commands.set(user, { plan, listener: handlers })
    return running
  }

  onLost(listener: () => void): void { this.#inner.onLost(listener) }

  async close(): Promise<void> {
    await this.#inner.close()
    await this.#closeConnections()
  }

  denied(denial: Denial, source: ConnectionSource): void {
    for (const { listener } of this.#commandsOf(source)) listener.onHostDenied?.(denial)
  }

  prompted(open: boolean, source: ConnectionSource): void {
    if (open) source.waiting = this.#commandsOf(source)
    for (const { listener } of source.waiting) listener.onPrompt?.(open)
  }

  /** The one that a connection belongs to; undefined where it could be several. */
  commandOf(source: ConnectionSource): CommandPlan | undefined {
    const [command, ...others] = this.#commandsOf(source)
    return others.length === 0 ? command?.plan : undefined
  }

  /** Where a client does not say who it is, all that run. */
  #commandsOf({ user }: ConnectionSource): readonly Command[] {
    const command = user === undefined ? undefined : this.#commands.get(user)
    return command === undefined ? [...this.#commands.values()] : [command]
  }

  async #closeConnections(): Promise<void> {
    for (const each of this.#localPorts) each.close()
    await this.#proxy.close()
  }
}

/** Passes everything on, and sees the end. */
class WatchedHandlers implements Required<CommandHandlers> {
  readonly #handlers: CommandHandlers
  readonly #over: () => void

  constructor(handlers: CommandHandlers, over: () => void) {
    this.#handlers = handlers
    this.#over = over
  }

  onOutput(stream: 'stdout' | 'stderr', chunk: Buffer): void { this.#handlers.onOutput(stream, chunk) }
  onStarted(hostPid: number): void { this.#handlers.onStarted?.(hostPid) }
  onStopped(signal: number): void { this.#handlers.onStopped?.(signal) }
  onContinued(): void { this.#handlers.onContinued?.() }
  onAccess(report: AccessReport): void { this.#handlers.onAccess?.(report) }
  onAccessesLost(count: number): void { this.#handlers.onAccessesLost?.(count) }
  onGitOperation(path: string): void { this.#handlers.onGitOperation?.(path) }
  onStdinDrained(): void { this.#handlers.onStdinDrained?.() }
  onLeft(exit: CommandExit): void { this.#handlers.onLeft?.(exit) }

  onExit(exit: CommandExit): void {
    this.#over()
    this.#handlers.onExit(exit)
  }

  onFailed(failure: StartFailure): void {
    this.#over()
    this.#handlers.onFailed(failure)
  }
}
