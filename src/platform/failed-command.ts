// A command that never began, for back ends that find that out before they start anything.
import type { CommandHandlers, RunningCommand, StartFailure } from './backend.js'

/** A command that was not even tried: told as one that did not start, after `run` has returned. */
export function failedCommand(failure: StartFailure, handlers: CommandHandlers): RunningCommand {
  setImmediate(() => handlers.onFailed(failure))
  const nothing = (): void => {}
  return { consumed: nothing, writeStdin: () => true, closeStdin: nothing, signal: nothing, kill: nothing, resize: nothing, ref: nothing, unref: nothing }
}
