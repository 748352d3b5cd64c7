// A command that a launcher in a process of its own runs: what is asked of it goes out as frames, and no stream has more on its way than its
// window holds.
import type { CommandHandlers, RunningCommand } from './backend.js'
import { FRAME_HEADER_BYTES, makeFrame, MalformedFrame, OUTPUT_WINDOW_BYTES, STDIN_WINDOW_BYTES } from './frames.js'

/** Consumed bytes are told in batches: a quarter of the window, so that the launcher never waits for a batch to fill. */
const CONSUMED_BATCH_BYTES = OUTPUT_WINDOW_BYTES / 4
const LARGEST_STDIN_FRAME_BYTES = 64 << 10

const STREAM_NUMBER = { stdout: 1, stderr: 2 } as const

/** Types of the frames for one command, as a platform's frames.def numbers them. */
export type CommandFrames = Readonly<Record<'STDIN' | 'STDIN_CLOSE' | 'SIGNAL' | 'KILL' | 'RESIZE' | 'CONSUMED', number>>

export class FramedCommand implements RunningCommand {
  readonly id: number
  readonly handlers: CommandHandlers
  /** Its last frame has come; what is still asked of it has no effect. */
  over = false
  readonly #types: CommandFrames
  readonly #send: (frame: Buffer) => void
  readonly #changeHolders: (change: 1 | -1) => void
  #holds = false
  readonly #unreported = { stdout: 0, stderr: 0 }
  /** Input that the window has no room for yet, in order. */
  #waiting: Uint8Array[] = []
  #undrained = 0
  #closingStdin = false
  #endSent = false
  #toldToWait = false

  constructor(types: CommandFrames, id: number, handlers: CommandHandlers, send: (frame: Buffer) => void, changeHolders: (change: 1 | -1) => void) {
    this.#types = types
    this.id = id
    this.handlers = handlers
    this.#send = send
    this.#changeHolders = changeHolders
  }

  ref(): void { this.#hold(true) }
  unref(): void { this.#hold(false) }

  #hold(holds: boolean): void {
    if (this.over || holds === this.#holds) return
    this.#holds = holds
    this.#changeHolders(holds ? 1 : -1)
  }

  consumed(stream: 'stdout' | 'stderr', bytes: number): void {
    const unreported = this.#unreported[stream] + bytes
    if (unreported < CONSUMED_BATCH_BYTES || this.over) {
      this.#unreported[stream] = unreported
      return
    }
    this.#unreported[stream] = 0
    const frame = makeFrame(this.#types.CONSUMED, this.id, 5)
    frame[FRAME_HEADER_BYTES] = STREAM_NUMBER[stream]
    frame.writeUInt32LE(unreported, FRAME_HEADER_BYTES + 1)
    this.#send(frame)
  }

  writeStdin(data: Uint8Array): boolean {
    if (this.over || this.#closingStdin) return true
    if (data.length > 0) this.#waiting.push(data)
    this.#pump()
    this.#toldToWait = this.#waiting.length > 0
    return !this.#toldToWait
  }

  closeStdin(): void {
    if (this.over || this.#closingStdin) return
    this.#closingStdin = true
    this.#pump()
  }

  /** @throws MalformedFrame where more was drained than was sent */
  drained(bytes: number): void {
    if (bytes > this.#undrained) throw new MalformedFrame(`${bytes} bytes of input drained, ${this.#undrained} were sent`)
    this.#undrained -= bytes
    this.#pump()
    if (this.#toldToWait && this.#waiting.length === 0) {
      this.#toldToWait = false
      this.handlers.onStdinDrained?.()
    }
  }

  signal(number: number): void { this.#sendU32(this.#types.SIGNAL, number) }
  kill(): void { if (!this.over) this.#send(makeFrame(this.#types.KILL, this.id)) }

  resize(rows: number, cols: number): void {
    if (this.over) return
    const frame = makeFrame(this.#types.RESIZE, this.id, 4)
    frame.writeUInt16LE(rows, FRAME_HEADER_BYTES)
    frame.writeUInt16LE(cols, FRAME_HEADER_BYTES + 2)
    this.#send(frame)
  }

  #sendU32(type: number, value: number): void {
    if (this.over) return
    const frame = makeFrame(type, this.id, 4)
    frame.writeUInt32LE(value, FRAME_HEADER_BYTES)
    this.#send(frame)
  }

  /** Sends what the window has room for; the end of the input follows its last byte. */
  #pump(): void {
    let sent = 0
    for (; sent < this.#waiting.length && this.#undrained < STDIN_WINDOW_BYTES; sent++) {
      const data = this.#waiting[sent] as Uint8Array
      let at = 0
      while (at < data.length && this.#undrained < STDIN_WINDOW_BYTES) {
        const bytes = Math.min(data.length - at, LARGEST_STDIN_FRAME_BYTES, STDIN_WINDOW_BYTES - this.#undrained)
        const frame = makeFrame(this.#types.STDIN, this.id, bytes)
        frame.set(data.subarray(at, at + bytes), FRAME_HEADER_BYTES)
        this.#send(frame)
        this.#undrained += bytes
        at += bytes
      }
      if (at < data.length) {
        this.#waiting[sent] = data.subarray(at)
        break
      }
    }
    if (sent > 0) this.#waiting.splice(0, sent)
    if (this.#closingStdin && this.#waiting.length === 0 && !this.#endSent) {
      this.#endSent = true
      this.#send(makeFrame(this.#types.STDIN_CLOSE, this.id))
    }
  }
}
