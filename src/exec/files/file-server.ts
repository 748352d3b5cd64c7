// The client of the file server: a helper of the launcher's (or serve.ts, by Node) that runs inside, as a command of the sandbox.
// Requests and answers are those of native/linux/file-operations.def. What it answers is checked like anything from outside.
import { SandboxError } from '../../errors.js'
import type { CommandExit, CommandHandlers, Launcher, RunningCommand, StartFailure } from '../../platform/backend.js'
import type { CommandPlan, LaunchPlan } from '../../platform/launch-plan.js'
import { FILE_ANSWER } from '../../platform/linux/native/file-operations.generated.js'
import { errnoName } from '../../platform/linux/native/frames.js'
import { EXHAUSTED } from '../../platform/exhausted.js'
import type { Cancellable, RunningCommands } from '../running-commands.js'
import { FILE_SERVER } from './serve.generated.js'

/** Without a request for so long it ends: while it runs, what a sandbox puts on the host for its commands is there. */
const IDLE_MS = 5_000
const HEADER_BYTES = 9
/** No answer has more; a larger one is no answer of ours. */
const LARGEST_ANSWER_BYTES = 80 << 10

const BY_LAUNCHER = { argv: ['codex-sandbox-launcher', '--serve-files'], helper: true, env: [] } as const satisfies Partial<CommandPlan>
/** Where the launcher is Node itself, so is the server. The variable has Electron be Node. */
const BY_NODE = { argv: [process.execPath, '-e', FILE_SERVER.join('\n')], env: ['ELECTRON_RUN_AS_NODE=1'] } as const satisfies Partial<CommandPlan>

const UNREADABLE = { detail: `${process.execPath} carries out file work inside, and cannot be run there`, remedy: 'Add it and its libraries to read or readableRoots.' }

/** What came of a request: its answer, or the errno that a system call gave. */
export type FileAnswer =
  | { readonly ok: true; readonly data: readonly Buffer[]; readonly done: Buffer }
  | { readonly ok: false; readonly errno: string; readonly path: string | undefined }

/** What a server needs of its sandbox. */
export interface FileServerHost {
  readonly launcher: Launcher
  readonly plan: LaunchPlan
  readonly running: RunningCommands
}

/** The server ended before it answered: whether the request was carried out is not known. */
export class FileServerLost extends Error {
  override readonly name = 'FileServerLost'
}

interface Pending {
  readonly data: Buffer[]
  readonly resolve: (answer: FileAnswer) => void
  readonly reject: (error: unknown) => void
}

/** One server process: from the first request until it is idle, or dies. */
export class FileServer implements CommandHandlers, Cancellable {
  readonly #host: FileServerHost
  readonly #running: RunningCommand
  /** In the order of their requests, which is that of the answers. */
  readonly #pending: { readonly id: number; readonly request: Pending }[] = []
  #nextId = 1
  #read: Buffer = Buffer.alloc(0)
  #idle: NodeJS.Timeout | undefined
  #ending = false
  #over = false
  #whyLost = 'it ended'

  /** @throws SandboxError where the sandbox is closed or lost */
  constructor(host: FileServerHost) {
    const { launcher, plan, running } = host
    this.#host = host
    // No server of ours runs there yet, and what a command finds by its name would be anybody's.
    if (plan.backend === 'windows-elevated' || plan.backend === 'windows-unelevated') throw new SandboxError('platform_unsupported', { field: 'sandbox.files', value: 'windows' }, { detail: 'file work inside is not carried out on Windows', remedy: 'Let a command do it.' })
    const limits = plan.backend === 'unconfined' ? {} : plan.limits
    this.#running = launcher.run({ ...(plan.backend === 'macos-seatbelt' ? BY_NODE : BY_LAUNCHER), cwd: plan.cwd, stdin: 'pipe', limits }, this)
    running.add(this)
  }

  get isIdle(): boolean {
    return this.#pending.length === 0
  }

  /** Takes requests for `launcher`. */
  serves(launcher: Launcher): boolean {
    return !this.#over && !this.#ending && this.#host.launcher === launcher
  }

  /** @throws SandboxError where it could not be started, `FileServerLost` where it ended before it answered */
  request(operation: number, payload: readonly Uint8Array[]): Promise<FileAnswer> {
    clearTimeout(this.#idle)
    if (this.#pending.length === 0) this.#running.ref()
    const id = this.#nextId++ >>> 0
    return new Promise((resolve, reject) => {
      this.#pending.push({ id, request: { data: [], resolve, reject } })
      const length = payload.reduce((sum, part) => sum + part.length, 0)
      const header = Buffer.alloc(HEADER_BYTES)
      header.writeUInt32LE(length + HEADER_BYTES - 4, 0)
      header.writeUInt32LE(id, 4)
      header[8] = operation
      // A small request is one frame.
      if (length < 4096) this.#running.writeStdin(Buffer.concat([header, ...payload]))
      else for (const part of [header, ...payload]) this.#running.writeStdin(part)
    })
  }

  /** The sandbox closes: what was asked for is still answered, if that comes soon. */
  cancel(): void {
    this.#ending = true
    if (this.#pending.length === 0) this.#running.kill()
  }

  onOutput(stream: 'stdout' | 'stderr', chunk: Buffer): void {
    this.#running.consumed(stream, chunk.length)
    if (stream === 'stderr') return
    this.#read = this.#read.length === 0 ? chunk : Buffer.concat([this.#read, chunk])
    let at = 0
    while (!this.#over && this.#read.length - at >= HEADER_BYTES) {
      const end = at + 4 + this.#read.readUInt32LE(at)
      if (end - at < HEADER_BYTES || end - at > LARGEST_ANSWER_BYTES) return this.#refuse('an answer of a wrong length')
      if (end > this.#read.length) break
      this.#take(this.#read.readUInt32LE(at + 4), this.#read[at + 8] as number, this.#read.subarray(at + HEADER_BYTES, end))
      at = end
    }
    // Copied: what was read belongs to a larger buffer.
    this.#read = at === this.#read.length ? Buffer.alloc(0) : Buffer.from(this.#read.subarray(at))
  }

  onExit({ reason }: CommandExit): void {
    if (reason !== 'none' && reason !== 'killed') this.#whyLost = reason
    this.#end(new FileServerLost(this.#whyLost))
  }

  onFailed({ step, errno, path }: StartFailure): void {
    const place = { step, errno, ...(path === undefined ? {} : { path }) }
    this.#end(
      step === 'sandbox_closed' ? new SandboxError('sandbox_closed', { field: 'sandbox', value: undefined })
      : step === 'launcher_lost' ? new SandboxError('launcher_lost', { step: 'launcher', errno })
      : new SandboxError('set_up_failed', place, EXHAUSTED[errno] ?? (step === 'exec' ? UNREADABLE : undefined)),
    )
  }

  #take(id: number, kind: number, payload: Buffer): void {
    const first = this.#pending[0]
    if (first === undefined || first.id !== id) return this.#refuse('an answer to another request')
    switch (kind) {
      case FILE_ANSWER.DATA:
        first.request.data.push(payload)
        return
      case FILE_ANSWER.DONE:
        first.request.resolve({ ok: true, data: first.request.data, done: payload })
        break
      case FILE_ANSWER.FAILED:
        if (payload.length < 4) return this.#refuse('a failure without an errno')
        first.request.resolve({ ok: false, errno: errnoName(payload.readInt32LE(0)), path: payload.length > 4 ? payload.toString('utf8', 4) : undefined })
        break
      default: return this.#refuse(`an answer of kind ${kind}`)
    }
    this.#pending.shift()
    if (this.#pending.length > 0) return
    this.#running.unref()
    if (this.#ending) return this.#running.kill()
    this.#idle = setTimeout(() => {
      this.#ending = true
      this.#running.closeStdin()
    }, IDLE_MS).unref()
  }

  #refuse(what: string): void {
    this.#whyLost = what
    this.#ending = true
    this.#running.kill()
  }

  #end(error: Error): void {
    this.#over = true
    clearTimeout(this.#idle)
    this.#host.running.delete(this)
    for (const { request } of this.#pending.splice(0)) request.reject(error)
  }
}
