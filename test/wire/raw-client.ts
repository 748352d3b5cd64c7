// A client that knows nothing but lines of JSON: what a program in any language would write from the documentation alone. It shares no
// code and no type with the server.
import { type ChildProcess, spawn } from 'node:child_process'
import { mkdirSync, mkdtempSync, realpathSync, rmSync } from 'node:fs'
import { connect, type Socket } from 'node:net'
import { join } from 'node:path'
import type { Readable, Writable } from 'node:stream'
import { fileURLToPath } from 'node:url'
import { afterAll } from 'vitest'

export const CLI = fileURLToPath(new URL('../../dist/cli.cjs', import.meta.url))

/** Journal and configuration of a test file's services, empty at its start and gone afterwards. */
const place = realpathSync(mkdtempSync('/var/tmp/cs-wire-'))
afterAll(() => rmSync(place, { recursive: true, force: true, maxRetries: 20, retryDelay: 100 }))
mkdirSync(join(place, 'codex-home'))
export const ENV = { PATH: process.env['PATH'], HOME: '/var/tmp', LANG: 'C.UTF-8', XDG_STATE_HOME: join(place, 'state'), CODEX_HOME: join(place, 'codex-home') }

// biome-ignore lint/suspicious/noExplicitAny: a message is whatever came
export type Message = any

export const TRANSPORTS = ['stdio', 'unix'] as const
export type Transport = (typeof TRANSPORTS)[number]

export class RawClient {
  readonly messages: Message[] = []
  readonly #input: Readable
  readonly #output: Writable
  #nextId = 1
  /** Of a line that has not ended. */
  #parts: string[] = []
  #isOver = false
  readonly #waiting = new Set<() => void>()

  constructor(input: Readable, output: Writable) {
    this.#input = input
    this.#output = output
    output.on('error', () => {})
    input.setEncoding('utf8')
    input.on('error', () => {})
    input.on('data', (text: string) => {
      const pieces = text.split('\n')
      this.#parts.push(pieces[0] as string)
      for (const piece of pieces.slice(1)) {
        this.messages.push(JSON.parse(this.#parts.join('')))
        this.#parts = [piece]
      }
      this.#wake()
    })
    const over = (): void => {
      this.#isOver = true
      this.#wake()
    }
    input.on('end', over).on('close', over)
  }

  get isOver(): boolean {
    return this.#isOver
  }

  write(bytes: string | Uint8Array): void {
    this.#output.write(bytes)
  }

  send(message: object): void {
    this.write(`${JSON.stringify(message)}\n`)
  }

  notify(method: string, params?: unknown): void {
    this.send(params === undefined ? { method } : { method, params })
  }

  /** Sends a request, and returns its id. */
  begin(method: string, params: unknown, id: string | number = this.#nextId++): string | number {
    this.send({ id, method, params })
    return id
  }

  async ask(method: string, params: unknown = {}, id?: string | number): Promise<Message> {
    return this.answer(this.begin(method, params, id))
  }

  answer(id: string | number): Promise<Message> {
    return this.message(each => each.id === id && each.method === undefined)
  }

  notification(method: string, matches: (params: Message) => boolean = () => true): Promise<Message> {
    return this.message(each => each.method === method && each.id === undefined && matches(each.params)).then(each => each.params)
  }

  /** The first message that matches, taken out of `messages`. */
  async message(matches: (message: Message) => boolean): Promise<Message> {
    for (;;) {
      const at = this.messages.findIndex(matches)
      if (at !== -1) return this.messages.splice(at, 1)[0]
      if (this.#isOver) throw new Error(`the connection ended; unread: ${JSON.stringify(this.messages).slice(0, 2000)}`)
      await new Promise<void>(resolve => { this.#waiting.add(resolve) })
    }
  }

  /** Resolves when the server has closed its side. */
  async over(): Promise<void> {
    while (!this.#isOver) await new Promise<void>(resolve => { this.#waiting.add(resolve) })
  }

  async initialize(capabilities: object | null = null): Promise<Message> {
    const answer = await this.ask('initialize', { clientInfo: { name: 'raw', title: null, version: '1' }, capabilities }, 'initialize')
    this.notify('initialized')
    return answer
  }

  end(): void {
    this.#output.end()
  }

  /** Goes without a word. */
  destroy(): void {
    this.#output.destroy()
    this.#input.destroy()
  }

  /** Reads nothing. */
  pause(): void {
    this.#input.pause()
  }

  resume(): void {
    this.#input.resume()
  }

  #wake(): void {
    const waiting = [...this.#waiting]
    this.#waiting.clear()
    for (const wake of waiting) wake()
  }
}

export interface RunningService {
  readonly process: ChildProcess
  /** What it wrote on stderr so far. */
  log(): string
  /** Over stdio there is one. */
  connect(): Promise<RawClient>
  readonly socketPath: string | undefined
  readonly exited: Promise<{ code: number | null; signal: string | null }>
  stop(): Promise<void>
}

export interface ServiceStart {
  readonly cwd?: string
  readonly env?: NodeJS.ProcessEnv
  readonly words?: readonly string[]
  /** Default: a folder of its own. */
  readonly socketPath?: string
  /** Octal, for the service alone. */
  readonly umask?: string
}

/** Starts the service as a program, as an agent runtime would. */
export async function startService(transport: Transport, { cwd = process.cwd(), env = process.env, words = [], socketPath, umask = '0022' }: ServiceStart = {}): Promise<RunningService> {
  const folder = transport === 'unix' && socketPath === undefined ? realpathSync(mkdtempSync('/var/tmp/cs-socket-')) : undefined
  const path = transport === 'unix' ? socketPath ?? join(folder as string, 's.sock') : undefined
  const child = spawn('sh', ['-c', `umask ${umask}; exec "$@"`, 'sh', process.execPath, CLI, 'app-server', '--listen', path === undefined ? 'stdio://' : `unix://${path}`, ...words], { cwd, env, stdio: ['pipe', 'pipe', 'pipe'] })
  let log = ''
  const exited = new Promise<{ code: number | null; signal: string | null }>(resolve => child.once('exit', (code, signal) => resolve({ code, signal })))
  const listening = new Promise<void>((resolve, reject) => {
    child.stderr?.on('data', chunk => {
      log += chunk
      if (log.includes('listening on')) resolve()
    })
    child.once('exit', code => reject(new Error(`the service ended with ${code}: ${log}`)))
  })
  listening.catch(() => {})
  if (path !== undefined) await listening
  return {
    process: child, log: () => log, socketPath: path, exited,
    async connect() {
      if (path === undefined) return new RawClient(child.stdout as Readable, child.stdin as Writable)
      const socket: Socket = connect({ path, allowHalfOpen: true })
      await new Promise<void>((resolve, reject) => socket.once('connect', resolve).once('error', reject))
      return new RawClient(socket, socket)
    },
    async stop() {
      child.kill('SIGTERM')
      await exited
      if (folder !== undefined) rmSync(folder, { recursive: true, force: true })
    },
  }
}
