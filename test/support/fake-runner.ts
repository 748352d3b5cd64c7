// A runner in memory: what the launcher sends it is cut into frames, and a test plays what it answers.
import { PassThrough } from 'node:stream'
import { FRAME_HEADER_BYTES, makeFrame } from '../../src/platform/frames.js'
import { FROM_RUNNER, TO_RUNNER } from '../../src/platform/windows/frames.generated.js'
import type { RunnerProcess, StartRunnerProcess } from '../../src/platform/windows/runner-process.js'

export interface SentFrame {
  readonly type: keyof typeof TO_RUNNER
  readonly id: number
  readonly payload: Buffer
}

export const ACCOUNT = 'S-1-5-21-1-2-3-1001'
export const LOGON = 'S-1-5-5-0-77'

export class FakeRunner implements RunnerProcess {
  readonly pid = 4242
  readonly input = new PassThrough()
  readonly output = new PassThrough()
  readonly sent: SentFrame[] = []
  args: readonly string[] = []
  killed = false
  holds = 0
  #held = Buffer.alloc(0)
  #exit: ((word: string) => void)[] = []
  #waiting: { readonly type: keyof typeof TO_RUNNER; readonly resolve: (frame: SentFrame) => void }[] = []

  constructor() {
    this.input.on('data', (chunk: Buffer) => this.#take(chunk))
  }

  readonly start: StartRunnerProcess = (_path, args) => {
    this.args = args
    return this
  }

  onExit(listener: (word: string) => void): void { this.#exit.push(listener) }
  kill(): void {
    this.killed = true
    this.end('SIGKILL')
  }
  ref(): void { this.holds++ }
  unref(): void { this.holds-- }

  /** The process ends. */
  end(word: string): void {
    this.output.end()
    for (const listener of this.#exit.splice(0)) setImmediate(() => listener(word))
  }

  answer(type: keyof typeof FROM_RUNNER, id: number, payload: Buffer = Buffer.alloc(0)): void {
    const frame = makeFrame(FROM_RUNNER[type], id, payload.length)
    payload.copy(frame, FRAME_HEADER_BYTES)
    this.output.write(frame)
  }

  hello({ version = '1.2.3', account = ACCOUNT, logon = LOGON }: { version?: string; account?: string; logon?: string } = {}): void {
    this.answer('HELLO', 0, Buffer.concat([version, account, logon].map(text)))
  }

  ready(answers: readonly boolean[]): void {
    this.answer('READY', 0, Buffer.concat([u32(answers.length), Buffer.from(answers.map(Number))]))
  }

  fail(id: number, step: string, code: number, detail = ''): void {
    this.answer('FAILED', id, Buffer.concat([u32(code), Buffer.of(step.length), Buffer.from(step), Buffer.from(detail)]))
  }

  exit(id: number, { code = 0, signal = 0, reason = 0, ended = [] as readonly { pid: number; name: string }[] } = {}, type: 'EXIT' | 'LEFT' = 'EXIT'): void {
    const names = ended.map(({ pid, name }) => Buffer.concat([u32(pid), Buffer.of(Buffer.byteLength(name)), Buffer.from(name)]))
    this.answer(type, id, Buffer.concat([u32(code), u32(signal), u32(reason), u64(1_234_000), u64(5_000), Buffer.of(ended.length, 0), ...names]))
  }

  /** The next frame of this type, or the first that has come and was not asked for yet. */
  async next(type: keyof typeof TO_RUNNER): Promise<SentFrame> {
    const index = this.sent.findIndex(frame => frame.type === type)
    if (index !== -1) return this.sent.splice(index, 1)[0] as SentFrame
    return new Promise(resolve => this.#waiting.push({ type, resolve }))
  }

  #take(chunk: Buffer): void {
    this.#held = Buffer.concat([this.#held, chunk])
    while (this.#held.length >= FRAME_HEADER_BYTES) {
      const end = FRAME_HEADER_BYTES + this.#held.readUInt32LE(0)
      if (this.#held.length < end) return
      const [type] = Object.entries(TO_RUNNER).find(([, number]) => number === this.#held[4]) as [keyof typeof TO_RUNNER, number]
      const frame = { type, id: this.#held.readUInt32LE(5), payload: this.#held.subarray(FRAME_HEADER_BYTES, end) }
      this.#held = this.#held.subarray(end)
      const waiting = this.#waiting.findIndex(each => each.type === type)
      if (waiting === -1) this.sent.push(frame)
      else this.#waiting.splice(waiting, 1)[0]?.resolve(frame)
    }
  }
}

const u32 = (value: number): Buffer => {
  const bytes = Buffer.alloc(4)
  bytes.writeUInt32LE(value)
  return bytes
}

const u64 = (value: number): Buffer => Buffer.concat([u32(value >>> 0), u32(Math.floor(value / 2 ** 32))])

const text = (value: string): Buffer => Buffer.concat([u32(value.length), Buffer.from(value, 'utf16le')])

/** Reads what the launcher wrote, as the runner does. */
export class Payload {
  readonly #bytes: Buffer
  #at = 0

  constructor(bytes: Buffer) {
    this.#bytes = bytes
  }

  u8(): number { return this.#bytes[this.#at++] as number }
  u16(): number { return this.u8() | this.u8() << 8 }
  u32(): number { return (this.u16() | this.u16() << 16) >>> 0 }
  u64(): number { return this.u32() + this.u32() * 2 ** 32 }

  text(): string {
    const end = this.#at + 4 + this.#bytes.readUInt32LE(this.#at) * 2
    const value = this.#bytes.toString('utf16le', this.#at + 4, end)
    this.#at = end
    return value
  }

  list(): string[] { return Array.from({ length: this.u32() }, () => this.text()) }
  rest(): Buffer { return this.#bytes.subarray(this.#at) }
  get isOver(): boolean { return this.#at === this.#bytes.length }
}

export const readSetUp = (payload: Buffer) => {
  const reader = new Payload(payload)
  const setUp = {
    flags: reader.u32(), disable: reader.list(), restricting: reader.list(), privileges: reader.list(), integrity: reader.text(), defaultDacl: reader.text(),
    desktopName: reader.text(), desktopList: reader.text(), processList: reader.text(), proofs: Array.from({ length: reader.u32() }, () => [reader.text(), reader.u32()] as const),
  }
  if (!reader.isOver) throw new Error('a set-up that goes on behind its end')
  return setUp
}

export const readStart = (payload: Buffer) => {
  const reader = new Payload(payload)
  const command = {
    application: reader.text(), line: reader.text(), cwd: reader.text(), environment: reader.list(), flags: reader.u8(), rows: reader.u16(), columns: reader.u16(),
    job: { flags: reader.u32(), userInterface: reader.u32(), memory: reader.u64(), processes: reader.u32(), userTime: reader.u64() },
  }
  if (!reader.isOver) throw new Error('a command that goes on behind its end')
  return command
}
