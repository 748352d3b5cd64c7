// All commands of a back end whose launcher is Node itself: started, and ended together.
import { SandboxError } from '../errors.js'
import type { CommandHandlers, RunningCommand } from './backend.js'
import { ChildCommand, type ChildOptions } from './child-command.js'
import type { CommandPlan } from './launch-plan.js'

export class ChildCommands {
  readonly #running = new Map<ChildCommand, Promise<void>>()
  #closed = false

  /** @throws SandboxError `sandbox_closed` after `close` */
  refuseWhenClosed(): void {
    if (this.#closed) throw new SandboxError('sandbox_closed', { field: 'sandbox', value: undefined })
  }

  start(command: CommandPlan, handlers: CommandHandlers, options: ChildOptions): RunningCommand {
    const running = new ChildCommand(command, handlers, options)
    this.#running.set(running, running.over.then(() => void this.#running.delete(running)))
    return running
  }

  /** Ends all of them; resolves when the last one is over. */
  async close(): Promise<void> {
    this.#closed = true
    for (const command of this.#running.keys()) command.kill()
    await Promise.all(this.#running.values())
  }
}
