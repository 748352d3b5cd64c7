// The launcher's client: starts the program once a sandbox, sends it commands over the socket at its descriptor 3, and hands
// what comes back to each command's handlers.
import { type ChildProcess, spawn } from 'node:child_process'
import { Server, Socket } from 'node:net'
import { SandboxError } from '../../../errors.js'
import type { CommandHandlers, HeldListener, Launcher, RunningCommand } from '../../backend.js'
import { FramedCommands, takeSafely } from '../../framed-commands.js'
import { FRAME_HEADER_BYTES, FrameDecoder, LARGEST_FRAME_BYTES, makeFrame, MalformedFrame, needExactly, readU32, writeHeader } from '../../frames.js'
import type { CommandPlan, LinuxBwrapPlan, LinuxNativePlan, PlannedListener } from '../../launch-plan.js'
import { readAccessReport, readExit, readFailure } from './frames.js'
import { FROM_LAUNCHER, TO_LAUNCHER } from './frames.generated.js'
import { encodeCommand, encodeEnvironment, encodePlan } from './plan-codec.js'

/** A launcher sets up in a few milliseconds; one that says nothing for so long never will. */
const SET_UP_TIMEOUT_MS = 10_000
const CLOSE_TIMEOUT_MS = 5_000

/** What helps where a step of set-up fails with an errno that has one cause. */
const STEP_REMEDIES: readonly { readonly step: string; readonly errno: readonly string[]; readonly detail: string; readonly remedy: string }[] = [
  {
    step: 'placeholder', errno: ['EACCES', 'EPERM', 'EROFS'], detail: 'nothing can be made in that folder, which commands may write by the policy, and so the name cannot be kept closed there',
    remedy: 'Make the folder writable for this user, or take it out of the writable roots (read-only).',
  },
]

/**
 * Starts the launcher at `path` and has it set up `plan`.
 *
 * @throws SandboxError `launcher_not_found`; `set_up_failed` with the step, the errno and the path where it failed
 */
export async function startLauncher(path: string, plan: LinuxNativePlan): Promise<Launcher> {
  const frame = planFrame(plan)
  return connectLauncher(startProcess(path, plan.listeners !== undefined), path, plan, frame)
}

/**
 * Has a launcher set up `plan` that was started otherwise, with its control socket as descriptor 3, and Node's channel for handles as 4 where
 * the plan has listeners.
 *
 * @param path   what was started, for errors
 * @param frame  of `planFrame`
 * @throws SandboxError as `startLauncher`
 */
export async function connectLauncher(child: ChildProcess, path: string, plan: LinuxNativePlan | LinuxBwrapPlan, frame: Buffer): Promise<Launcher> {
  const launcher = new NativeLauncher(child, path, plan)
  await launcher.setUp(frame)
  return launcher
}

/** @throws SandboxError `policy_too_large`, `argument_invalid` */
export function planFrame(plan: LinuxNativePlan | LinuxBwrapPlan): Buffer {
  const bytes = encodePlan(plan)
  if (bytes.length > LARGEST_FRAME_BYTES) throw new SandboxError('policy_too_large', { field: 'policy', value: `${bytes.length} bytes` })
  const header = makeFrame(TO_LAUNCHER.PLAN, 0)
  header.writeUInt32LE(bytes.length, 0)
  return Buffer.concat([header, bytes])
}

/**
 * In a session of its own, so that a ctrl-C at the user's terminal is not also for it. It inherits nothing but the socket, and, where
 * listeners are to be handed over, Node's own channel for handles: the one way in which Node takes descriptors. The launcher closes
 * that before anything of a command is there.
 */
function startProcess(path: string, takesListeners: boolean): ChildProcess {
  try {
    return spawn(path, [], { stdio: ['ignore', 'ignore', 'ignore', 'pipe', ...(takesListeners ? ['ipc' as const] : [])], env: {}, detached: true, cwd: '/' })
  } catch (error) {
    throw startError(path, error as NodeJS.ErrnoException)
  }
}

function startError(path: string, error: NodeJS.ErrnoException): SandboxError {
  return error.code === 'ENOENT' || error.code === 'ENOTDIR'
    ? new SandboxError('launcher_not_found', { field: 'launcherPath', value: path }, { cause: error })
    : new SandboxError('set_up_failed', { step: 'start_launcher', errno: error.code ?? 'unknown', path }, { cause: error })
}

/** In which order things happen to a launcher: each state is only ever followed by a later one. */
type State = 'starting' | 'ready' | 'closing' | 'gone'

class NativeLauncher implements Launcher {
  readonly enforcement: Launcher['enforcement']
  readonly pid: number | undefined
  readonly #child: ChildProcess
  readonly #path: string
  readonly #plan: LinuxNativePlan | LinuxBwrapPlan
  readonly #socket: Socket | undefined
  readonly #decoder = new FrameDecoder((type, id, payload) => takeSafely(() => this.#take(type, id, payload)))
  readonly #commands = new FramedCommands(TO_LAUNCHER, frame => this.#send(frame), holds => this.#hold(holds))
  readonly #lostListeners: (() => void)[] = []
  #state: State = 'starting'
  /** Why the launcher is lost, where this side found it out. */
  #failure: SandboxError | undefined
  #settleSetUp: ((error?: SandboxError) => void) | undefined
  /** Resolves after `#end`. */
  readonly #gone: Promise<void>
  #settleGone!: () => void
  #closed: Promise<void> | undefined
  /** Environments by their array: commands of a sandbox mostly share one. */
  readonly #environments = new WeakMap<readonly string[], Buffer>()
  readonly #planned: readonly PlannedListener[]
  readonly #servers: (Server | undefined)[]

  constructor(child: ChildProcess, path: string, plan: LinuxNativePlan | LinuxBwrapPlan) {
    this.#child = child
    this.#path = path
    this.#plan = plan
    this.pid = child.pid
    this.enforcement = plan.enforcement
    // Without a namespace, a port of the host's loopback needs no listener.
    this.#planned = (plan.listeners ?? []).filter(({ kind }) => kind === 'proxy' || plan.network === 'private')
    this.#servers = (plan.listeners ?? []).map(() => undefined)
    if (plan.listeners !== undefined) child.on('message', (message, handle) => this.#takeListener(message, handle))
    // Absent where descriptors have run out; the child's 'error' event follows.
    const socket = child.stdio?.[3] as Socket | undefined
    this.#socket = socket
    this.#gone = new Promise(resolve => { this.#settleGone = resolve })
    const exited = new Promise<void>(resolve => {
      child.once('exit', () => resolve())
      child.once('error', error => {
        this.#failure ??= startError(path, error)
        resolve()
        socket?.destroy()
        if (socket === undefined) this.#end()
      })
    })
    socket?.on('data', chunk => this.#read(chunk))
    // A write to a launcher that is gone; what was read before it still counts, and 'close' follows.
    socket?.on('error', () => {})
    socket?.once('close', () => {
      // After CLOSE the end of the socket says that all is done; the kernel takes the process apart for some milliseconds more.
      // Otherwise how the process ended is the reason to tell.
      if (this.#state === 'closing') this.#end()
      else {
        // Nothing else may keep Node alive until commands that ran have been told.
        child.ref()
        void exited.then(() => this.#end())
      }
    })
  }

  async setUp(frame: Buffer): Promise<void> {
    const settled = new Promise<void>((resolve, reject) => {
      const timer = setTimeout(() => this.#fail(new SandboxError('set_up_failed', { step: 'start_launcher', errno: 'ETIMEDOUT', path: this.#path })), SET_UP_TIMEOUT_MS)
      this.#settleSetUp = error => {
        clearTimeout(timer)
        this.#settleSetUp = undefined
        error === undefined ? resolve() : reject(error)
      }
    })
    this.#socket?.write(frame)
    await settled
    this.#child.unref()
    this.#socket?.unref()
  }

  run(command: CommandPlan, handlers: CommandHandlers): RunningCommand {
    if (this.#state === 'gone') throw this.#lostError()
    if (this.#state !== 'ready') throw new SandboxError('sandbox_closed', { field: 'sandbox', value: undefined })
    const frame = encodeCommand(command, this.#encoded(command.env), FRAME_HEADER_BYTES)
    if (frame.length > LARGEST_FRAME_BYTES) throw new SandboxError('arguments_too_large', { field: 'argv', value: `${frame.length} bytes` })

    const id = this.#commands.freeId()
    writeHeader(frame, TO_LAUNCHER.START, id)
    const running = this.#commands.add(id, handlers)
    this.#send(frame)
    return running
  }

  #encoded(env: readonly string[]): Buffer {
    const known = this.#environments.get(env)
    if (known !== undefined) return known
    const bytes = encodeEnvironment(env)
    this.#environments.set(env, bytes)
    return bytes
  }

  onLost(listener: () => void): void {
    this.#lostListeners.push(listener)
  }

  close(): Promise<void> {
    this.#closed ??= this.#close()
    return this.#closed
  }

  async #close(): Promise<void> {
    if (this.#state === 'gone') return this.#gone
    this.#state = 'closing'
    this.#child.ref()
    this.#socket?.ref()
    this.#send(makeFrame(TO_LAUNCHER.CLOSE, 0))
    const timer = setTimeout(() => this.#kill(), CLOSE_TIMEOUT_MS)
    this.#child.once('exit', () => clearTimeout(timer))
    await this.#gone
    timer.unref()
  }

  readonly #send = (frame: Buffer): void => {
    if (this.#socket?.writable) this.#socket.write(frame)
  }

  #read(chunk: Buffer): void {
    try {
      this.#decoder.decode(chunk)
    } catch (error) {
      if (!(error instanceof MalformedFrame)) throw error
      const place = { step: this.#state === 'starting' ? 'start_launcher' : 'launcher', errno: 'EBADMSG' }
      this.#fail(new SandboxError(this.#state === 'starting' ? 'set_up_failed' : 'launcher_lost', place, { detail: error.message, cause: error }))
    }
  }

  #take(type: number, id: number, payload: Buffer): void {
    if (this.#state === 'starting') return this.#takeSetUp(type, id, payload)
    if (this.#state === 'gone') return
    const command = this.#commands.get(id)
    if (command === undefined) return this.#takeWithoutCommand(type, id, payload)
    switch (type) {
      case FROM_LAUNCHER.STDOUT:        return command.handlers.onOutput('stdout', payload)
      case FROM_LAUNCHER.STDERR:        return command.handlers.onOutput('stderr', payload)
      case FROM_LAUNCHER.STARTED:       return command.handlers.onStarted?.(readU32(payload))
      case FROM_LAUNCHER.STDIN_DRAINED: return command.drained(readU32(payload))
      case FROM_LAUNCHER.STOPPED:       return command.handlers.onStopped?.(readU32(payload))
      case FROM_LAUNCHER.CONTINUED:     return command.handlers.onContinued?.()
      case FROM_LAUNCHER.ACCESS:        return command.handlers.onAccess?.(readAccessReport(payload))
      case FROM_LAUNCHER.ACCESSES_LOST: return command.handlers.onAccessesLost?.(readU32(payload))
      case FROM_LAUNCHER.GIT_OPERATION: return command.handlers.onGitOperation?.(payload.toString('utf8'))
      case FROM_LAUNCHER.LEFT:          return command.handlers.onLeft?.(readExit(payload))
      case FROM_LAUNCHER.EXIT: {
        const exit = readExit(payload)
        this.#commands.forget(command)
        return command.handlers.onExit(exit)
      }
      case FROM_LAUNCHER.FAILED: {
        const failure = readFailure(payload)
        this.#commands.forget(command)
        return command.handlers.onFailed(failure)
      }
      default: throw new MalformedFrame(`type ${type}`)
    }
  }

  #takeSetUp(type: number, id: number, payload: Buffer): void {
    if (id !== 0) throw new MalformedFrame(`command ${id} before the set-up`)
    if (type === FROM_LAUNCHER.FAILED) {
      const { step, errno, path } = readFailure(payload)
      if (step === 'make_listener' && errno === 'EADDRINUSE') return this.#fail(this.#portTaken())
      const known = STEP_REMEDIES.find(row => row.step === step && row.errno.includes(errno))
      return this.#fail(new SandboxError('set_up_failed', { step, errno, ...(path === undefined ? {} : { path }) }, known))
    }
    if (type !== FROM_LAUNCHER.READY) throw new MalformedFrame(`type ${type} before the set-up`)
    needExactly(payload, 0)
    if (this.listeners.length !== this.#planned.length) return this.#fail(new SandboxError('set_up_failed', { step: 'hand_over_listener', errno: 'EBADF' }))
    this.#state = 'ready'
    this.#settleSetUp?.()
  }

  get listeners(): readonly HeldListener[] {
    return this.#servers.flatMap((server, index) => server === undefined ? [] : [{ kind: this.#kindOf(index), port: portOf(server) ?? 0, server }])
  }

  #kindOf(index: number): PlannedListener['kind'] {
    return this.#plan.listeners?.[index]?.kind ?? 'proxy'
  }

  /** Without a namespace, one that was asked for by its number may be somebody's. */
  #portTaken(): SandboxError {
    const ports = this.#planned.map(({ port }) => port).filter(port => port !== 0)
    return new SandboxError('port_taken', { field: 'network.httpPort', value: ports.join(', ') }, { remedy: 'Name another one, or none: then any that is free is taken.' })
  }

  /** What is not exactly the listener that was planned leaves a place empty, and then nothing starts. */
  #takeListener(message: unknown, handle: unknown): void {
    const index = typeof message === 'object' && message !== null && 'listener' in message ? message.listener : undefined
    const planned = typeof index === 'number' ? this.#plan.listeners?.[index] : undefined
    const port = handle instanceof Server ? portOf(handle) : undefined
    if (handle instanceof Server && planned !== undefined && port !== undefined && (planned.port === 0 || planned.port === port) && this.#state === 'starting' && this.#servers[index as number] === undefined) {
      // It came without options: a client that has said its last word still hears the answer.
      Object.assign(handle, { allowHalfOpen: true })
      handle.unref()
      this.#servers[index as number] = handle
    } else if (handle instanceof Server || handle instanceof Socket) {
      closeHandle(handle)
    }
  }

  #takeWithoutCommand(type: number, id: number, payload: Buffer): void {
    if (type === FROM_LAUNCHER.FAILED && id === 0) {
      const { step, errno } = readFailure(payload)
      return this.#fail(new SandboxError('launcher_lost', { step, errno }))
    }
    throw new MalformedFrame(`type ${type} for command ${id}, which is not running`)
  }

  /** The socket keeps Node alive as long as a command does. */
  #hold(holds: boolean): void {
    if (this.#state !== 'ready') return
    if (holds) this.#socket?.ref()
    else this.#socket?.unref()
  }

  /** Gives the launcher up. Its end is told when it is gone. */
  #fail(error: SandboxError): void {
    this.#failure ??= error
    this.#kill()
  }

  #kill(): void {
    this.#child.ref()
    this.#child.kill('SIGKILL')
    this.#socket?.destroy()
  }

  /** The launcher is gone: by `close`, or by itself. */
  #end(): void {
    if (this.#state === 'gone') return
    this.#child.unref()
    for (const server of this.#servers) server?.close()
    const lost = this.#state === 'ready'
    const step = this.#state === 'closing' ? 'sandbox_closed' : 'launcher_lost'
    this.#state = 'gone'
    this.#settleSetUp?.(this.#failure ?? new SandboxError('set_up_failed', { step: 'start_launcher', errno: this.#exitWord(), path: this.#path }))
    const errno = this.#lostError().errno ?? 'unknown'
    for (const command of this.#commands.all()) {
      this.#commands.forget(command)
      command.handlers.onFailed({ step, errno, path: undefined })
    }
    if (lost) for (const listener of this.#lostListeners) listener()
    this.#settleGone()
  }

  #lostError(): SandboxError {
    return this.#failure ?? new SandboxError('launcher_lost', { step: 'launcher', errno: this.#exitWord() })
  }

  #exitWord(): string {
    return this.#child.signalCode ?? `exit ${this.#child.exitCode}`
  }
}

/** Of a listener on 127.0.0.1; undefined for any other. */
function portOf(server: Server): number | undefined {
  const address = server.address()
  return typeof address === 'object' && address !== null && address.address === '127.0.0.1' ? address.port : undefined
}

function closeHandle(handle: Server | Socket): void {
  if (handle instanceof Server) handle.close()
  else handle.destroy()
}
