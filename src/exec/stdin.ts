// Feeds a command's standard input from what the caller gave, no faster than it is taken.
import type { Readable } from 'node:stream'
import { SandboxError } from '../errors.js'
import type { RunningCommand } from '../platform/backend.js'
import { isReadable } from './check-options.js'
import type { ExecOptions } from './options.js'

export interface StdinFeed {
  /** More may be written. */
  drained(): void
  /** The command is over: leaves the source as it is now. */
  stop(): void
}

/** @param fail  called with what the source threw */
export function feedStdin(input: NonNullable<ExecOptions['stdin']>, running: RunningCommand, fail: (error: unknown) => void): StdinFeed {
  if (typeof input === 'string' || input instanceof Uint8Array) {
    running.writeStdin(typeof input === 'string' ? Buffer.from(input) : input)
    running.closeStdin()
    return { drained: () => {}, stop: () => {} }
  }
  return isReadable(input) ? feedFromStream(input, running, fail) : feedFromIterable(input, running, fail)
}

/** By events, not by iteration: a stream such as process.stdin must not be destroyed, nor waited for, when the command ends. */
function feedFromStream(stream: Readable, running: RunningCommand, fail: (error: unknown) => void): StdinFeed {
  const take = (chunk: unknown): void => {
    const bytes = bytesOf(chunk)
    if (bytes === undefined) fail(notBytes(chunk))
    else if (!running.writeStdin(bytes)) stream.pause()
  }
  const end = (): void => running.closeStdin()
  if (stream.readableEnded || stream.destroyed) end()
  stream.on('data', take).once('end', end).once('close', end).once('error', fail)
  return {
    drained: () => void stream.resume(),
    stop: () => void stream.off('data', take).off('end', end).off('close', end).off('error', fail).pause(),
  }
}

function feedFromIterable(input: AsyncIterable<string | Uint8Array>, running: RunningCommand, fail: (error: unknown) => void): StdinFeed {
  let stopped = false
  let wake: () => void = () => {}
  const feed = async (): Promise<void> => {
    for await (const chunk of input) {
      if (stopped) return
      const bytes = bytesOf(chunk)
      if (bytes === undefined) throw notBytes(chunk)
      if (!running.writeStdin(bytes)) await new Promise<void>(resolve => { wake = resolve })
      if (stopped) return
    }
    running.closeStdin()
  }
  feed().catch(error => { if (!stopped) fail(error) })
  return {
    drained: () => wake(),
    stop: () => {
      stopped = true
      wake()
    },
  }
}

const bytesOf = (chunk: unknown): Uint8Array | undefined => typeof chunk === 'string' ? Buffer.from(chunk) : chunk instanceof Uint8Array ? chunk : undefined

const notBytes = (chunk: unknown): SandboxError =>
  new SandboxError('option_invalid', { field: 'stdin', value: typeof chunk }, { detail: 'its pieces must be strings or bytes', remedy: 'Give a stream that is not in object mode.' })
