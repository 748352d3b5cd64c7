// Frames between this process and a launcher, on whatever platform: u32 length, u8 type, u32 command id, payload; little-endian.
// What each platform's frames are is in its frames.def. What a launcher sends is checked like anything from outside.

export const FRAME_HEADER_BYTES = 9

/** Of one output stream, sent by the launcher and not yet told as consumed. The same in native/linux/frames.h and native/windows/channel.h, like the next two. */
export const OUTPUT_WINDOW_BYTES = 1 << 20
/** Of one command's input, sent and not yet told as drained. */
export const STDIN_WINDOW_BYTES = 256 << 10
export const LARGEST_FRAME_BYTES = 64 << 20

/** No frame but output needs more: a path, and at most 64 names of processes. */
const LARGEST_MESSAGE_BYTES = 64 << 10

/** STDOUT and STDERR: each platform's have these types. */
export const OUTPUT_FRAMES: readonly number[] = [67, 68]

/** The other side does not speak this protocol, or was cut off within a frame. */
export class MalformedFrame extends Error {
  override readonly name = 'MalformedFrame'
}

/** Receives each frame. An output frame may come in several pieces, each a view of what was read: nothing of it is copied. */
export type FrameListener = (type: number, id: number, payload: Buffer) => void

/** Cuts what is read from a socket, however it was split or joined on the way, into frames. */
export class FrameDecoder {
  readonly #listener: FrameListener
  /** Bytes of a header or of a message that is not complete yet. */
  #held: Buffer | undefined
  #type = 0
  #id = 0
  /** Of an output frame: bytes that are still to come. */
  #outputLeft = 0

  constructor(listener: FrameListener) {
    this.#listener = listener
  }

  /** True between two frames. */
  get atBoundary(): boolean {
    return this.#held === undefined && this.#outputLeft === 0
  }

  /** @throws MalformedFrame */
  decode(chunk: Buffer): void {
    let bytes = chunk
    let at = 0
    if (this.#held !== undefined) {
      bytes = Buffer.concat([this.#held, chunk])
      this.#held = undefined
    }
    while (at < bytes.length) {
      if (this.#outputLeft > 0) {
        const end = Math.min(at + this.#outputLeft, bytes.length)
        const piece = bytes.subarray(at, end)
        this.#outputLeft -= piece.length
        at = end
        this.#listener(this.#type, this.#id, piece)
        continue
      }
      if (bytes.length - at < FRAME_HEADER_BYTES) break
      const length = bytes.readUInt32LE(at)
      const type = bytes[at + 4] as number
      const id = bytes.readUInt32LE(at + 5)
      if (OUTPUT_FRAMES.includes(type)) {
        if (length > LARGEST_FRAME_BYTES) throw new MalformedFrame(`an output frame of ${length} bytes`)
        this.#type = type
        this.#id = id
        this.#outputLeft = length
        at += FRAME_HEADER_BYTES
        continue
      }
      if (length > LARGEST_MESSAGE_BYTES) throw new MalformedFrame(`a frame of type ${type} with ${length} bytes`)
      const end = at + FRAME_HEADER_BYTES + length
      if (end > bytes.length) break
      const payload = bytes.subarray(at + FRAME_HEADER_BYTES, end)
      at = end
      this.#listener(type, id, payload)
    }
    if (at < bytes.length) this.#held = bytes.subarray(at)
  }
}

/** A whole frame for the launcher; `payload` of a u32 or of nothing is the usual case. */
export function makeFrame(type: number, id: number, payloadBytes = 0): Buffer {
  const frame = Buffer.allocUnsafe(FRAME_HEADER_BYTES + payloadBytes)
  writeHeader(frame, type, id)
  return frame
}

/** Writes the header of a frame that is all of `frame`. */
export function writeHeader(frame: Buffer, type: number, id: number): void {
  frame.writeUInt32LE(frame.length - FRAME_HEADER_BYTES, 0)
  frame[4] = type
  frame.writeUInt32LE(id, 5)
}

export function readU32(payload: Buffer): number {
  needExactly(payload, 4)
  return payload.readUInt32LE(0)
}

export function needExactly(payload: Buffer, bytes: number): void {
  if (payload.length !== bytes) throw new MalformedFrame(`a payload of ${payload.length} bytes instead of ${bytes}`)
}

export const readSafeInteger = (payload: Buffer, at: number): number => payload.readUInt32LE(at) + payload.readUInt32LE(at + 4) * 2 ** 32

export function needAtLeast(payload: Buffer, bytes: number): void {
  if (payload.length < bytes) throw new MalformedFrame(`a payload of ${payload.length} bytes, at least ${bytes} were needed`)
}
