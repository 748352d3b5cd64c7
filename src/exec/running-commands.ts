// The commands of a sandbox that run now, so that `close` can end them and knows when they have.

export interface Cancellable {
  /** Ends the command at once. */
  cancel(): void
}

export class RunningCommands {
  readonly #commands = new Set<Cancellable>()
  #whenNone: (() => void) | undefined

  add(command: Cancellable): void {
    this.#commands.add(command)
  }

  delete(command: Cancellable): void {
    this.#commands.delete(command)
    if (this.#commands.size === 0) this.#whenNone?.()
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
