// The commands that one launcher in a process of its own runs, by their numbers in its frames.
import type { CommandHandlers } from './backend.js'
import { type CommandFrames, FramedCommand } from './framed-command.js'
import { MalformedFrame } from './frames.js'

const LARGEST_ID = 0xffff_ffff

export class FramedCommands {
  readonly #byId = new Map<number, FramedCommand>()
  readonly #types: CommandFrames
  readonly #send: (frame: Buffer) => void
  readonly #hold: (holds: boolean) => void
  #nextId = 1
  #holders = 0

  /** @param hold  called where the first command keeps Node alive, and where none does any more */
  constructor(types: CommandFrames, send: (frame: Buffer) => void, hold: (holds: boolean) => void) {
    this.#types = types
    this.#send = send
    this.#hold = hold
  }

  get size(): number { return this.#byId.size }
  get(id: number): FramedCommand | undefined { return this.#byId.get(id) }
  all(): FramedCommand[] { return [...this.#byId.values()] }

  /** 0 is the launcher's own. Numbers come round, past those that still run. */
  freeId(): number {
    for (;;) {
      const id = this.#nextId
      this.#nextId = id === LARGEST_ID ? 1 : id + 1
      if (!this.#byId.has(id)) return id
    }
  }

  /** One that keeps Node alive. The frame that starts it is the caller's to send. */
  add(id: number, handlers: CommandHandlers): FramedCommand {
    const command = new FramedCommand(this.#types, id, handlers, this.#send, change => this.#changeHolders(change))
    this.#byId.set(id, command)
    command.ref()
    return command
  }

  /** Its last frame has come. */
  forget(command: FramedCommand): void {
    command.unref()
    command.over = true
    this.#byId.delete(command.id)
  }

  #changeHolders(change: 1 | -1): void {
    this.#holders += change
    if (this.#holders === 0) this.#hold(false)
    else if (this.#holders === 1 && change === 1) this.#hold(true)
  }
}

/** What a caller's listener throws is an uncaught exception, as from any event. It must not cost the frames that came with this one. */
export function takeSafely(take: () => void): void {
  try {
    take()
  } catch (error) {
    if (error instanceof MalformedFrame) throw error
    process.nextTick(() => { throw error })
  }
}
