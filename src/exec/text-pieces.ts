// Bytes of two streams → text, piece by piece, in which no code point is split: the start of one waits for its rest.
import { StringDecoder } from 'node:string_decoder'
import type { StreamName } from './kept-output.js'

export class TextPieces {
  readonly #decoders = { stdout: new StringDecoder('utf8'), stderr: new StringDecoder('utf8') }

  /** Empty where `chunk` has only the start of a code point. */
  add(stream: StreamName, chunk: Buffer): string {
    return this.#decoders[stream].write(chunk)
  }

  /** No more comes: U+FFFD for a code point that was cut off. */
  end(stream: StreamName): string {
    return this.#decoders[stream].end()
  }
}
