// The keeper's client: the process beside bwrap that makes what has to stand at missing names of the host, watches held paths, and removes
// what it made when the last process of the sandbox is gone, also where Node is not there to ask for it.
import { type ChildProcess, spawn } from 'node:child_process'
import type { Socket } from 'node:net'
import { SandboxError } from '../../../errors.js'
import type { StartFailure } from '../../backend.js'
import { FRAME_HEADER_BYTES, FrameDecoder, makeFrame, MalformedFrame } from '../../frames.js'
import { readFailure } from '../native/frames.js'
import { FROM_LAUNCHER, TO_LAUNCHER } from '../native/frames.generated.js'

/** It makes a few folders; one that says nothing for so long never will. */
const READY_TIMEOUT_MS = 10_000
/** What is held is given up when the launcher inside is gone, which the kernel may take a moment for. */
const CLOSE_TIMEOUT_MS = 5_000

export class Keeper {
  /** What it ends everything inside by; bwrap's, once it is started. */
  readonly inside: Socket
  readonly #child: ChildProcess
  readonly #control: Socket
  readonly #gone: Promise<void>
  #ready: ((failure?: SandboxError) => void) | undefined
  #changed: ((failure: StartFailure) => void) | undefined

  private constructor(child: ChildProcess) {
    this.#child = child
    this.#control = child.stdio[3] as Socket
    this.inside = child.stdio[4] as Socket
    const decoder = new FrameDecoder((type, _, payload) => this.#take(type, payload))
    this.#control.on('data', chunk => {
      try {
        decoder.decode(chunk)
      } catch (error) {
        if (!(error instanceof MalformedFrame)) throw error
        this.#fail({ step: 'keeper', errno: 'EBADMSG', path: undefined })
      }
    })
    for (const socket of [this.#control, this.inside]) socket.on('error', () => {})
    this.#gone = new Promise(resolve => {
      child.once('error', error => {
        this.#fail({ step: 'keeper', errno: (error as NodeJS.ErrnoException).code ?? 'unknown', path: undefined })
        resolve()
      })
      child.once('exit', (code, signal) => {
        this.#fail({ step: 'keeper', errno: signal ?? `exit ${code}`, path: undefined })
        resolve()
      })
    })
  }

  /**
   * Starts one, and resolves when everything is held.
   *
   * @param changed  called once where that is over: the host changed a held path, or the keeper is gone. Everything inside ends by itself then.
   * @throws SandboxError `set_up_failed`; nothing is left then
   */
  static async start(launcher: string, planFrame: Buffer, changed: (failure: StartFailure) => void): Promise<Keeper> {
    let child: ChildProcess
    try {
      child = spawn(launcher, ['--keep'], { stdio: ['ignore', 'ignore', 'ignore', 'pipe', 'pipe'], env: {}, detached: true, cwd: '/' })
    } catch (error) {
      throw new SandboxError('set_up_failed', { step: 'keeper', errno: (error as NodeJS.ErrnoException).code ?? 'unknown', path: launcher }, { cause: error })
    }
    if (child.stdio[3] === undefined || child.stdio[4] === undefined) {
      const error = await new Promise<NodeJS.ErrnoException>(resolve => child.once('error', resolve))
      throw new SandboxError('set_up_failed', { step: 'keeper', errno: error.code ?? 'unknown', path: launcher }, { cause: error })
    }
    const keeper = new Keeper(child)
    try {
      await keeper.#setUp(planFrame)
    } catch (error) {
      await keeper.close()
      throw error
    }
    keeper.#changed = changed
    return keeper
  }

  /** What is held stays until the process with this id, as this machine has it, is gone. */
  holdUntil(process: number): void {
    const frame = makeFrame(TO_LAUNCHER.HOLD_UNTIL, 0, 4)
    frame.writeUInt32LE(process, FRAME_HEADER_BYTES)
    this.#control.write(frame)
  }

  /** Nobody else but bwrap has it then: its end is the keeper's. */
  handOver(): void {
    this.inside.destroy()
  }

  unref(): void {
    this.#child.unref()
    this.#control.unref()
  }

  /** Resolves when what it made is removed. */
  async close(): Promise<void> {
    this.#changed = undefined
    this.#child.ref()
    this.inside.destroy()
    this.#control.end(makeFrame(TO_LAUNCHER.CLOSE, 0))
    const timer = setTimeout(() => this.#child.kill('SIGKILL'), CLOSE_TIMEOUT_MS)
    await this.#gone
    clearTimeout(timer)
  }

  async #setUp(planFrame: Buffer): Promise<void> {
    const timer = setTimeout(() => this.#fail({ step: 'keeper', errno: 'ETIMEDOUT', path: undefined }), READY_TIMEOUT_MS)
    try {
      await new Promise<void>((resolve, reject) => {
        this.#ready = failure => failure === undefined ? resolve() : reject(failure)
        this.#control.write(planFrame)
      })
    } finally {
      clearTimeout(timer)
    }
  }

  #take(type: number, payload: Buffer): void {
    if (type === FROM_LAUNCHER.READY) this.#settle()
    else if (type === FROM_LAUNCHER.FAILED) this.#fail(readFailure(payload))
    else throw new MalformedFrame(`type ${type} from the keeper`)
  }

  #fail({ step, errno, path }: StartFailure): void {
    this.#settle(new SandboxError('set_up_failed', { step, errno, ...(path === undefined ? {} : { path }) }))
    const changed = this.#changed
    this.#changed = undefined
    changed?.({ step, errno, path })
  }

  #settle(failure?: SandboxError): void {
    const ready = this.#ready
    this.#ready = undefined
    ready?.(failure)
  }
}
