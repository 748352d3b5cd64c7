// Prints text and waits until it has left this process: process.exit() would lose what a pipe has not taken yet.
import type { Writable } from 'node:stream'
import { SandboxError } from '../errors.js'

/** Nobody reads any more: not worth a message, as with any program in a pipe. */
const GONE = new Set(['EPIPE', 'EIO'])

export const isGone = (error: Error): boolean => GONE.has((error as NodeJS.ErrnoException).code ?? '')

/** @throws SandboxError `output_file`: a full disk, for example */
export function print(stream: Writable, text: string): Promise<void> {
  return new Promise((done, fail) => {
    // It is told twice, to the callback and then by the event, which must not become an uncaught one.
    const ignore = (): void => {}
    stream.once('error', ignore)
    stream.write(text, error => {
      if (!error) stream.off('error', ignore)
      if (error && !isGone(error)) fail(notWritten(stream, error))
      else done()
    })
  })
}

/** What a stream of this process did not take. */
export const notWritten = (stream: Writable, error: Error): SandboxError => new SandboxError('output_file', { field: stream === process.stderr ? 'standard error' : 'standard output', value: undefined }, {
  detail: error.message, remedy: 'Make room there, or send it elsewhere.', cause: error,
})
