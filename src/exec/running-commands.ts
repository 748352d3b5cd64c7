// The commands of a sandbox that run now, so that `close` can end them and knows when they have.

export interface Cancellable {
  /** Ends the command at once. */
  cancel(): void
  /** It only waits for work: nobody misses it. */
  readonly isIdle?: boolean
}

export class RunningCommands {
  readonly #commands = new Set<Cancellable>()
  #whenNone: (() => void) | undefined
  readonly #onIdle: (() => void) | undefined

  /** @param onIdle  called each time that the last command has ended */
  constructor(onIdle?: () => void) {
    this.#onIdle = onIdle
  }

  get isEmpty(): boolean {
    return this.#commands.size === 0
  }

  add(command: Cancellable): void {
    this.#commands.add(command)
  }

  delete(command: Cancellable): void {
    if (!this.#commands.delete(command) || this.#commands.size > 0) return
    this.#whenNone?.()
    this.#onIdle?.()
  }

  /** Ends what only waits for work. */
  endIdle(): void {
    for (const command of [...this.#commands]) if (command.isIdle === true) command.cancel()
  }

  /** Resolves when all have ended, or after `timeoutMs`. Their output may still be on its way to the caller. */
  async cancelAll(timeoutMs: number): Promise<void> {
    for (const command of [...this.#commands]) command.cancel()
    if (this.#commands.size === 0) return
    await new Promise<void>(resolve => {
      const timer = setTimeout(resolve, timeoutMs)
      this.#whenNone = () => {
        clearTimeout(timer)
        resolve()
      }
    })
  }
}
