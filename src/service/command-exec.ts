// `command/exec` and what goes with it: one client's commands, each from its request to its answer.
import type { CommandOptions } from '../exec/options.js'
import type { ExecResult } from '../exec/result.js'
import type { Sandbox } from '../exec/sandbox.js'
import type { SandboxChild } from '../exec/spawn.js'
import { SandboxError } from '../errors.js'
import type { CommandExecParams, CommandExecResult, NotificationParams, RequestId } from './protocol.js'
import { invalidParams, invalidRequest, rpcError } from './rpc-error.js'
import type { Lease } from './warm-sandboxes.js'

const DEFAULT_TIMEOUT_MS = 10_000
/** setTimeout takes no more: 24 days. */
const LONGEST_TIMEOUT_MS = 2 ** 31 - 1
const DEFAULT_CAP_BYTES = 1 << 20
/** Kept of one stream where the client wants all of it. An answer is one string: of control characters alone it is six times as long, and V8 has a bound. */
const LARGEST_CAP_BYTES = 32 << 20
/** Of each stream of a command, for one place among those that run. */
const PLACE_BYTES = 2 << 20
/** Of one `outputDelta`. */
const LARGEST_DELTA_BYTES = 64 << 10

/** What commands need of the client that they belong to. */
export interface CommandHost {
  /** A sandbox for a policy of the wire; null and undefined: the configured one. */
  borrow(sandboxPolicy: CommandExecParams['sandboxPolicy']): Promise<Lease<Sandbox>>
  /** Undefined: at once. */
  enter(places: number): Promise<void> | undefined
  leave(places: number): void
  readonly isGone: boolean
  notify(method: 'command/exec/outputDelta', params: NotificationParams<'command/exec/outputDelta'>): void
  /** Undefined: the client has read what it was sent. */
  whenRead(): Promise<void> | undefined
}

/** What a command told, for `sandbox/commandReport`. */
export type Report = (result: ExecResult<'bytes'>, sandbox: Sandbox) => void

/** What was approved for one command. */
type More = Pick<CommandOptions, 'additionalPermissions'>

class ActiveCommand {
  /** Resolves with the command once it runs with streams; undefined: it never will. */
  readonly started: Promise<SandboxChild<'bytes'> | undefined>
  readonly streams: boolean
  readonly streamsStdin: boolean
  readonly tty: boolean
  readonly abort = new AbortController()
  stdinClosed = false
  over = false
  start!: (child: SandboxChild<'bytes'> | undefined) => void

  constructor({ streamsStdin, streamsOutput, tty }: Asked) {
    this.streams = streamsStdin || streamsOutput
    this.streamsStdin = streamsStdin
    this.tty = tty !== undefined
    this.started = new Promise(resolve => { this.start = resolve })
  }
}

export class Commands {
  readonly #host: CommandHost
  /** By the id that the client gave. */
  readonly #named = new Map<string, ActiveCommand>()
  readonly #all = new Set<ActiveCommand>()

  constructor(host: CommandHost) {
    this.#host = host
  }

  get running(): number {
    return this.#all.size
  }

  /** Runs a command, and resolves with the answer when its last delta was sent. */
  async exec(params: CommandExecParams, report: Report, more: More = {}): Promise<CommandExecResult> {
    const asked = check(params)
    const { processId } = params
    if (typeof processId === 'string' && this.#named.has(processId)) throw invalidRequest(`duplicate active command/exec process id: ${JSON.stringify(processId)}`)
    const places = placesOf(asked)
    const turn = this.#host.enter(places)
    const active = new ActiveCommand(asked)
    if (typeof processId === 'string') this.#named.set(processId, active)
    this.#all.add(active)
    try {
      if (turn !== undefined) {
        await turn
        // The answer of the command that made room has been sent by then.
        await new Promise(resolve => setImmediate(resolve))
      }
      // What it would answer would wait in memory.
      await this.#host.whenRead()
      return await this.#run(params, asked, active, report, more)
    } catch (error) {
      throw rpcError(error)
    } finally {
      active.over = true
      active.start(undefined)
      if (typeof processId === 'string') this.#named.delete(processId)
      this.#all.delete(active)
      this.#host.leave(places)
    }
  }

  /** Resolves when the command's input has taken it. */
  async write({ processId, deltaBase64, closeStdin }: { readonly processId: string; readonly deltaBase64?: string | null | undefined; readonly closeStdin?: boolean | null | undefined }): Promise<void> {
    const closes = closeStdin === true
    if (typeof deltaBase64 !== 'string' && !closes) throw invalidParams('command/exec/write requires deltaBase64 or closeStdin')
    const active = this.#find(processId)
    if (!active.streamsStdin) throw invalidRequest(`stdin streaming is not enabled for command/exec ${JSON.stringify(processId)}`)
    if (active.stdinClosed) throw invalidRequest(`stdin of command/exec ${JSON.stringify(processId)} is already closed`)
    const bytes = typeof deltaBase64 === 'string' ? decodeBase64(deltaBase64) : undefined
    if (closes) active.stdinClosed = true
    const { stdin } = await startOf(processId, active)
    if (stdin === null || stdin.destroyed) throw noLongerRunning(processId)
    if (bytes !== undefined && bytes.length > 0) await new Promise<void>(resolve => { stdin.write(bytes, () => resolve()) })
    if (closes) stdin.end()
  }

  async resize({ processId, size }: { readonly processId: string; readonly size: { readonly rows: number; readonly cols: number } }): Promise<void> {
    checkSize(size)
    const active = this.#find(processId)
    if (!active.tty) throw invalidRequest(`command/exec ${JSON.stringify(processId)} has no terminal`)
    const child = await startOf(processId, active)
    child.resize(size.rows, size.cols)
  }

  terminate({ processId }: { readonly processId: string }): void {
    const active = this.#find(processId)
    active.abort.abort()
  }

  /** Ends those that stream, whose client can do nothing with them any more; with `all` the others too. */
  end({ all }: { readonly all: boolean }): void {
    for (const active of this.#all) if (all || active.streams) active.abort.abort()
  }

  async #run(params: CommandExecParams, asked: Asked, active: ActiveCommand, report: Report, more: More): Promise<CommandExecResult> {
    for (let attempt = 1; ; attempt++) {
      if (this.#host.isGone) throw invalidRequest('the client is gone')
      const lease = await this.#host.borrow(params.sandboxPolicy)
      let broken = false
      try {
        return await this.#runIn(lease.sandbox, params, asked, active, report, more)
      } catch (error) {
        broken = isUnfit(error)
        // Nothing of the command has run: a sandbox of the host as it is now may have it.
        if (!(broken && attempt === 1 && isOutdated(error))) throw error
      } finally {
        lease.release(broken)
      }
    }
  }

  async #runIn(sandbox: Sandbox, params: CommandExecParams, asked: Asked, active: ActiveCommand, report: Report, more: More): Promise<CommandExecResult> {
    if (this.#host.isGone) throw invalidRequest('the client is gone')
    if (active.abort.signal.aborted) return TERMINATED
    const { command, cwd, env } = params
    const options: CommandOptions<'bytes'> = {
      ...more,
      killGraceMs: 0, signal: active.abort.signal, output: { maxBytes: asked.capBytes, keep: 'head', encoding: 'bytes' },
      ...(typeof cwd === 'string' ? { cwd } : undefined), ...(env === undefined || env === null ? undefined : { env }),
      ...(asked.timeoutMs === undefined ? undefined : { timeoutMs: asked.timeoutMs }),
    }
    const result = asked.streamsOutput || asked.streamsStdin ? await this.#stream(sandbox, params, asked, active, options) : await sandbox.exec(command, options)
    report(result, sandbox)
    const streamed = asked.streamsOutput
    return { exitCode: result.exitCode, stdout: streamed ? '' : result.stdout.toString('utf8'), stderr: streamed ? '' : result.stderr.toString('utf8') }
  }

  async #stream(sandbox: Sandbox, { command, processId }: CommandExecParams, asked: Asked, active: ActiveCommand, options: CommandOptions<'bytes'>): Promise<ExecResult<'bytes'>> {
    const child = sandbox.spawn(command, {
      ...options, stdin: asked.streamsStdin ? 'pipe' : 'empty', ...(asked.tty === undefined ? undefined : { tty: asked.tty }),
      // What is streamed is not kept as well.
      output: asked.streamsOutput ? { maxBytes: 0, encoding: 'bytes' } : options.output as NonNullable<typeof options.output>,
    })
    active.start(child)
    child.stdin?.on('error', () => {})
    if (!asked.streamsOutput) {
      child.stdout.resume()
      child.stderr?.resume()
      return child.exited
    }
    const send = (name: 'stdout' | 'stderr') => child[name] === null ? 0 : this.#sendDeltas(processId as string, name, child[name], asked.capBytes)
    const [result, stdout, stderr] = await Promise.all([child.exited, send('stdout'), send('stderr')])
    return { ...result, dropped: { stdout, stderr } }
  }

  /** Resolves with how many bytes of the stream were not sent, when it is over. A client that does not read makes the command wait. */
  async #sendDeltas(processId: string, stream: 'stdout' | 'stderr', from: AsyncIterable<Buffer>, capBytes: number): Promise<number> {
    let left = capBytes
    let capped = false
    let total = 0
    for await (const chunk of from) {
      total += chunk.length
      // The command runs on, and what it writes is nobody's.
      for (let at = 0; at < chunk.length && !capped; at += LARGEST_DELTA_BYTES) {
        const piece = chunk.subarray(at, Math.min(at + LARGEST_DELTA_BYTES, at + left, chunk.length))
        left -= piece.length
        capped = left === 0
        this.#host.notify('command/exec/outputDelta', { processId, stream, deltaBase64: piece.toString('base64'), capReached: capped })
        const read = this.#host.whenRead()
        if (read !== undefined) await read
      }
    }
    return total - (capBytes - left)
  }

  #find(processId: string): ActiveCommand {
    const active = this.#named.get(processId)
    if (active === undefined) throw invalidRequest(`no active command/exec for process id ${JSON.stringify(processId)}`)
    if (active.abort.signal.aborted || active.over) throw noLongerRunning(processId)
    return active
  }
}

/** A command that waits for its turn, or for its sandbox, takes input as soon as it runs. */
async function startOf(processId: string, active: ActiveCommand): Promise<SandboxChild<'bytes'>> {
  const child = await active.started
  if (child === undefined || active.over) throw noLongerRunning(processId)
  return child
}

interface Asked {
  readonly timeoutMs: number | undefined
  readonly capBytes: number
  readonly tty: true | { readonly rows: number; readonly cols: number } | undefined
  readonly streamsStdin: boolean
  readonly streamsOutput: boolean
}

/** What is wrong with a command before anything of it begins, in the reference's words. */
function check(params: CommandExecParams): Asked {
  const { command, processId, size, timeoutMs, outputBytesCap } = params
  const tty = params.tty === true
  const streamsStdin = tty || params.streamStdin === true
  const streamsOutput = tty || params.streamStdoutStderr === true
  if (command.length === 0) throw invalidRequest('command must not be empty')
  if (typeof size === 'object' && size !== null && !tty) throw invalidParams('command/exec size requires tty: true', { field: 'size' })
  if (size !== undefined && size !== null) checkSize(size)
  if (params.disableOutputCap === true && typeof outputBytesCap === 'number') throw invalidParams('command/exec cannot set both outputBytesCap and disableOutputCap', { field: 'outputBytesCap' })
  if (params.disableTimeout === true && typeof timeoutMs === 'number') throw invalidParams('command/exec cannot set both timeoutMs and disableTimeout', { field: 'timeoutMs' })
  if (typeof timeoutMs === 'number' && timeoutMs < 0) throw invalidParams(`command/exec timeoutMs must be non-negative, got ${timeoutMs}`, { field: 'timeoutMs' })
  if ((streamsStdin || streamsOutput) && typeof processId !== 'string') throw invalidRequest('command/exec tty or streaming requires a client-supplied processId')
  return {
    timeoutMs: params.disableTimeout === true ? undefined : Math.min(timeoutMs ?? DEFAULT_TIMEOUT_MS, LONGEST_TIMEOUT_MS),
    capBytes: params.disableOutputCap === true ? (streamsOutput ? Number.MAX_SAFE_INTEGER : LARGEST_CAP_BYTES) : Math.min(outputBytesCap ?? DEFAULT_CAP_BYTES, streamsOutput ? Number.MAX_SAFE_INTEGER : LARGEST_CAP_BYTES),
    tty: tty ? size ?? true : undefined,
    streamsStdin, streamsOutput,
  }
}

/** Output that is kept for an answer is memory: eight commands that keep all of it are as many as 128 that keep what is usual. */
const placesOf = ({ streamsOutput, capBytes }: Asked): number => streamsOutput ? 1 : Math.max(1, Math.ceil(capBytes / PLACE_BYTES))

function checkSize({ rows, cols }: { readonly rows: number; readonly cols: number }): void {
  if (rows === 0 || cols === 0) throw invalidParams(`command/exec size rows and cols must be greater than 0, got ${rows} and ${cols}`, { field: 'size' })
}

export function decodeBase64(text: string): Buffer {
  const bytes = Buffer.from(text, 'base64')
  // Buffer skips what is no base64.
  if (bytes.toString('base64') !== text) throw invalidParams('invalid deltaBase64: it is not standard base64 with padding', { field: 'deltaBase64' })
  return bytes
}

/** It was ended before it began. */
const TERMINATED: CommandExecResult = { exitCode: 137, stdout: '', stderr: '' }

const noLongerRunning = (processId: string) => invalidRequest(`command/exec ${JSON.stringify(processId)} is no longer running`)

const UNFIT: readonly string[] = ['launcher_lost', 'set_up_failed', 'sandbox_closed', 'files_lost']
/** Others must not get a sandbox that failed so. */
const isUnfit = (error: unknown): boolean => error instanceof SandboxError && UNFIT.includes(error.code)
/** A root or a held path is another one than when the sandbox was made. */
const isOutdated = (error: unknown): boolean => error instanceof SandboxError && error.code === 'set_up_failed' && (error.path !== undefined || error.step === 'recheck')

/** The report of a command as `sandbox/commandReport` has it: all but its output. */
export function reportOf(requestId: RequestId, processId: string | null, { stdout: _stdout, stderr: _stderr, output: _output, ...report }: ExecResult<'bytes'>, { policy }: Sandbox): NotificationParams<'sandbox/commandReport'> {
  return { requestId, processId, report: { ...report, ignored: policy.ignored } as unknown as NotificationParams<'sandbox/commandReport'>['report'] }
}
