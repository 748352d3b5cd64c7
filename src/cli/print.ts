// Prints text and waits until it has left this process: process.exit() would lose what a pipe has not taken yet.
import type { Writable } from 'node:stream'

/** Nobody reads any more: not worth a message, as with any program in a pipe. */
const GONE = new Set(['EPIPE', 'EIO'])

export function print(stream: Writable, text: string): Promise<void> {
  return new Promise((done, fail) => {
    const failed = (error: Error): void => { if (!GONE.has((error as NodeJS.ErrnoException).code ?? '')) fail(error) }
    stream.once('error', failed)
    stream.write(text, error => {
      // A stream that failed tells it by the event, after this.
      if (!error) stream.off('error', failed)
      done()
    })
  })
}
