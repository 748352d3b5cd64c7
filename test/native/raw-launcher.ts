// The launcher without its client: a test sends it any bytes, in any order.
import { spawn } from 'node:child_process'
import type { Socket } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import type { CommandPlan } from '../../src/platform/launch-plan.js'
import { FRAME_HEADER_BYTES, FrameDecoder, makeFrame, writeHeader } from '../../src/platform/frames.js'
import { FROM_LAUNCHER, TO_LAUNCHER } from '../../src/platform/linux/native/frames.generated.js'
import { encodeCommand, encodeEnvironment } from '../../src/platform/linux/native/plan-codec.js'

export interface Frame { readonly type: number; readonly id: number; readonly payload: Buffer }

export interface RawLauncher {
  send(...frames: readonly Buffer[]): void
  /** Everything that came, in order. */
  readonly frames: readonly Frame[]
  /** The first frame that fits, when it comes; undefined where the launcher ends without it. */
  next(fits: (frame: Frame) => boolean): Promise<Frame | undefined>
  /** Closes the socket, as Node's end does. */
  hangUp(): void
  /** The process is gone: its exit code, or its signal. */
  readonly ended: Promise<number | string>
}

export function startRawLauncher(path: string): RawLauncher {
  const child = spawn(path, [], { stdio: ['ignore', 'ignore', 'ignore', 'pipe'], env: {}, detached: true })
  const socket = child.stdio[3] as Socket
  const frames: Frame[] = []
  const decoder = new FrameDecoder((type, id, payload) => void frames.push({ type, id, payload: Buffer.from(payload) }))
  let over = false
  socket.on('data', chunk => decoder.decode(chunk))
  // A write to a launcher that has ended.
  socket.on('error', () => {})
  const ended = new Promise<number | string>((resolve, reject) => {
    child.once('error', reject)
    child.once('exit', (code, signal) => {
      over = true
      resolve(code ?? signal ?? 'unknown')
    })
  })
  return {
    frames,
    ended,
    send: (...parts) => void socket.write(Buffer.concat(parts)),
    hangUp: () => void socket.destroy(),
    async next(fits) {
      for (;;) {
        const found = frames.find(fits)
        if (found !== undefined || over) return found ?? frames.find(fits)
        await sleep(1)
      }
    },
  }
}

const ofType = (type: number) => (frame: Frame): boolean => frame.type === type
export const isReady = ofType(FROM_LAUNCHER.READY)

export function frameOf(type: number, id: number, payload: Uint8Array = Buffer.alloc(0)): Buffer {
  const frame = makeFrame(type, id, payload.length)
  frame.set(payload, FRAME_HEADER_BYTES)
  return frame
}

/** A START frame; `change` is done to its payload. */
export function startFrame(id: number, command: CommandPlan): Buffer {
  const frame = encodeCommand(command, encodeEnvironment(command.env), FRAME_HEADER_BYTES)
  writeHeader(frame, TO_LAUNCHER.START, id)
  return frame
}
