// A port of the sandbox's own loopback on the host's 127.0.0.1: Node listens outside, and each connection is carried by a helper of
// the launcher's that runs inside, as a command of the sandbox.
import { createServer, type Server, type Socket } from 'node:net'
import { SandboxError } from '../errors.js'
import type { CommandExit, CommandHandlers, RunningCommand } from '../platform/backend.js'
import type { BackendName } from '../platform/launch-plan.js'
import type { CommandContext } from './command-run.js'
import type { Cancellable } from './running-commands.js'

const HOST = '127.0.0.1'
/** At once; each holds a process. */
const MOST_CONNECTIONS = 256
/** For a server that does not take what a client said before it went. */
const LINGER_MS = 30_000
/** What native/linux/relay.c writes to stderr. */
const OPEN = 'o'.charCodeAt(0)
const ENDED = 'e'.charCodeAt(0)
const ENDED_BYTES = 9
/** As it exits. */
const NOBODY_LISTENS = 1

export interface ExposeOptions {
  /** Of the host. 0: any that is free. Default: the same number as inside. */
  readonly hostPort?: number
}

export interface ExposedPort extends AsyncDisposable {
  /** Inside. */
  readonly port: number
  /** On the host's 127.0.0.1. */
  readonly hostPort: number
  /** Whether it keeps Node alive; it does not unless told so. */
  ref(): void
  unref(): void
  /** Ends its connections too. Idempotent. The sandbox's own close does it as well. */
  close(): Promise<void>
}

/**
 * Listens, and only on 127.0.0.1: no other machine can connect. What connects while nobody listens inside is reset.
 *
 * @param contexts  where a server may run now, the newest first
 * @throws SandboxError `option_invalid`; `port_taken`; `rule_not_enforceable` where commands have no loopback at all
 */
export async function exposePort(port: number, options: ExposeOptions, contexts: () => readonly CommandContext[]): Promise<ExposedPort> {
  const { hostPort = port, ...unknown } = checkOptions(options)
  const [name] = Object.keys(unknown)
  if (name !== undefined) throw new SandboxError('option_invalid', { field: name, value: (unknown as Record<string, unknown>)[name] }, { detail: 'there is no such option; there is hostPort', remedy: 'Correct it or leave it out.' })
  checkPort('port', port, 1)
  checkPort('hostPort', hostPort, 0)
  const network = networkOf(contexts()[0])
  if (network === 'none') throw new SandboxError('rule_not_enforceable', { field: 'port', value: port }, { detail: 'without a network namespace commands have no loopback of their own while the network is off', remedy: 'Open the network, or use a Linux host that has network namespaces (there codex-sandbox doctor says why one has not).' })
  // The server inside listens on the host's own loopback.
  if (network === 'host' && hostPort === port) return alreadyThere(port)
  const system = SHARED_LOOPBACK[contexts()[0]?.plan.backend ?? 'unconfined']
  if (system !== undefined) throw new SandboxError('option_invalid', { field: 'hostPort', value: hostPort }, { detail: `on ${system} a server inside listens on this machine's own loopback, at its own port`, remedy: 'Leave it out.' })
  const connections = new Set<Connection>()
  let holds = false
  const server = createServer({ allowHalfOpen: true, pauseOnConnect: true, noDelay: true }, socket => {
    const connection = new Connection(socket, port, contexts(), () => connections.delete(connection))
    connections.add(connection)
    if (!holds) connection.unref()
    connection.begin()
  })
  server.maxConnections = MOST_CONNECTIONS
  await listen(server, hostPort)
  server.unref()
  // A connection that fails to be accepted, where descriptors have run out: there will be others.
  server.on('error', () => {})
  let closed: Promise<void> | undefined
  const close = (): Promise<void> => {
    closed ??= new Promise<void>(resolve => {
      server.close(() => resolve())
      // Who closes waits for it, so this much keeps Node alive.
      for (const connection of [...connections]) {
        connection.ref()
        connection.cancel()
      }
    })
    return closed
  }
  const hold = (value: boolean): void => {
    holds = value
    for (const each of [server, ...connections]) {
      if (value) each.ref()
      else each.unref()
    }
  }
  return { port, hostPort: (server.address() as { port: number }).port, ref: () => hold(true), unref: () => hold(false), close, [Symbol.asyncDispose]: close }
}

/** Systems that know one loopback. */
const SHARED_LOOPBACK: Partial<Record<BackendName, string>> = { 'macos-seatbelt': 'macOS', 'windows-elevated': 'Windows', 'windows-unelevated': 'Windows' }

/** Where the network is the host's, the port is there as soon as something listens. */
function alreadyThere(port: number): ExposedPort {
  const close = async (): Promise<void> => {}
  return { port, hostPort: port, ref: () => {}, unref: () => {}, close, [Symbol.asyncDispose]: close }
}

function networkOf(context: CommandContext | undefined): 'private' | 'host' | 'none' {
  switch (context?.plan.backend) {
    case 'linux-native': case 'linux-bwrap': return context.plan.network
    // They know one loopback, and who may not use the network may not use it.
    case 'macos-seatbelt': case 'windows-elevated': case 'windows-unelevated': return context.policy.network === 'open' ? 'host' : 'none'
    default: return 'host'
  }
}

function listen(server: Server, hostPort: number): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) => {
      if (error.code === 'EADDRINUSE') reject(new SandboxError('port_taken', { field: 'hostPort', value: hostPort }, { cause: error }))
      else if (error.code === 'EACCES') reject(new SandboxError('option_invalid', { field: 'hostPort', value: hostPort }, { cause: error, detail: 'this user may not listen on it', remedy: 'Choose one from 1024 on.' }))
      else reject(error)
    })
    server.listen(hostPort, HOST, resolve)
  })
}

function checkOptions(options: unknown): ExposeOptions {
  if (typeof options !== 'object' || options === null || Array.isArray(options)) throw new SandboxError('option_invalid', { field: 'options', value: options }, { detail: 'it must be an object', remedy: 'Correct it or leave it out.' })
  return options
}

function checkPort(field: string, port: unknown, least: number): void {
  if (Number.isInteger(port) && (port as number) >= least && (port as number) <= 0xffff) return
  throw new SandboxError('option_invalid', { field, value: port }, { detail: `it must be a whole number from ${least} to 65535`, remedy: 'Correct it.' })
}

/** One connection from outside, and the helper that carries it: the newest confinement in which somebody listens has it. */
class Connection implements CommandHandlers, Cancellable {
  readonly #socket: Socket
  readonly #port: number
  readonly #gone: () => void
  /** Still to be tried. */
  readonly #contexts: CommandContext[]
  #context: CommandContext | undefined
  #running: RunningCommand | undefined
  #holds = true
  #isOpen = false
  #messages: Buffer = Buffer.alloc(0)
  #sent = 0
  /** How much the server inside said in all, once it has said its last. */
  #total: number | undefined
  #over = false
  #lingering: NodeJS.Timeout | undefined

  constructor(socket: Socket, port: number, contexts: readonly CommandContext[], gone: () => void) {
    this.#socket = socket
    this.#port = port
    this.#gone = gone
    // With no command there is no server.
    this.#contexts = contexts.filter(({ running }) => !running.isEmpty)
    socket.on('data', (chunk: Buffer) => {
      if (this.#running?.writeStdin(chunk) === false) socket.pause()
    })
    socket.on('end', () => this.#running?.closeStdin())
    socket.on('error', () => this.cancel())
    // Both sides have said their last, and the helper has still to deliver the client's: it ends by itself then.
    socket.on('close', () => { if (!this.#over) this.#lingering = setTimeout(() => this.cancel(), LINGER_MS).unref() })
  }

  begin(): void {
    this.#tryNext()
  }

  ref(): void {
    this.#holds = true
    this.#socket.ref()
    this.#running?.ref()
  }

  unref(): void {
    this.#holds = false
    this.#socket.unref()
    this.#running?.unref()
  }

  /** The sandbox closes, or the other side is gone. */
  cancel(): void {
    if (this.#running === undefined) this.#end('reset')
    else this.#running.kill()
  }

  onOutput(stream: 'stdout' | 'stderr', chunk: Buffer): void {
    if (stream === 'stderr') return this.#takeMessages(chunk)
    this.#sent += chunk.length
    const consumed = (): void => this.#running?.consumed('stdout', chunk.length)
    if (this.#socket.destroyed) return consumed()
    this.#socket.write(chunk, consumed)
    this.#endIfSaid()
  }

  onStdinDrained(): void { this.#socket.resume() }

  onExit({ exitCode }: CommandExit): void {
    this.#leave()
    if (!this.#isOpen && exitCode === NOBODY_LISTENS) this.#tryNext()
    else this.#end(exitCode === 0 ? 'end' : 'reset')
  }

  onFailed(): void {
    this.#leave()
    this.#end('reset')
  }

  #tryNext(): void {
    const context = this.#contexts.shift()
    if (context === undefined || this.#socket.destroyed) return this.#end('reset')
    const { launcher, plan, running } = context
    const limits = plan.backend === 'linux-native' || plan.backend === 'linux-bwrap' ? plan.limits : {}
    try {
      this.#running = launcher.run({ argv: ['codex-sandbox-launcher', '--relay', String(this.#port)], helper: true, cwd: plan.cwd, env: [], stdin: 'pipe', limits }, this)
    } catch {
      // Closed or lost meanwhile: nobody listens there.
      return this.#tryNext()
    }
    this.#context = context
    running.add(this)
    if (!this.#holds) this.#running.unref()
  }

  #leave(): void {
    this.#context?.running.delete(this)
    this.#running = undefined
  }

  #takeMessages(chunk: Buffer): void {
    this.#running?.consumed('stderr', chunk.length)
    this.#messages = Buffer.concat([this.#messages, chunk])
    if (!this.#isOpen && this.#messages[0] === OPEN) {
      this.#isOpen = true
      this.#messages = this.#messages.subarray(1)
      // Not before: who is refused in one confinement is carried to the next with all that was said.
      this.#socket.resume()
    }
    if (this.#messages[0] !== ENDED || this.#messages.length < ENDED_BYTES) return
    this.#total = Number(this.#messages.readBigUInt64LE(1))
    this.#endIfSaid()
  }

  /** Its last word on one way may be the first on the other: what was said before it comes first. */
  #endIfSaid(): void {
    if (this.#total !== undefined && this.#sent >= this.#total) this.#socket.end()
  }

  #end(how: 'end' | 'reset'): void {
    if (this.#over) return
    this.#over = true
    clearTimeout(this.#lingering)
    this.#gone()
    if (how === 'reset') this.#socket.resetAndDestroy()
    else this.#socket.end()
  }
}
