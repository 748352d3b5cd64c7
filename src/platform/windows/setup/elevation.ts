// One elevated helper: the same program started again with an administrator's consent, told what to do over a pipe, and taken at its word by
// nobody: whoever asked reads everything back. Between consent and reading nobody changes the request: its digest is on the command line,
// which the system took when it asked for the consent.
import { createHash, randomBytes } from 'node:crypto'
import { connect, createServer, type Server, type Socket } from 'node:net'
import { createInterface } from 'node:readline'
import { ERRORS, type ErrorCode, SandboxError } from '../../../errors.js'
import { quoteArgument } from '../command-line.js'
import { isAddonFailure } from '../addon.js'
import { type MachineListeners, type MachineRequest, type MachineResult, type MachineSession, parseMachineRequest } from './machine-request.js'
import { openMachineSession } from './machine-session.js'
import type { SetUpProgress } from './report.js'
import { WindowsFailure, type WindowsSystem } from './system.js'

/** Behind the program and its script: the words by which it knows itself for the helper. The pipe and the digest follow. */
const HELPER_WORDS = ['windows', 'helper'] as const

export interface HelperCommand {
  /** `process.execPath`, and what makes the command line of this package of it. */
  readonly program: string
  readonly args: readonly string[]
  readonly cwd: string
  /** Waits until it has ended. Resolves with its exit code. */
  run(program: string, parameters: string, cwd: string): Promise<number>
}

/** From the helper. */
type Report =
  | { readonly kind: 'progress'; readonly progress: SetUpProgress }
  | { readonly kind: 'result'; readonly result: MachineResult }
  | { readonly kind: 'failed'; readonly failure: Failure }
  | { readonly kind: 'done' }
/** To the helper: first the request, then one word. */
type Order = { readonly kind: 'request'; readonly text: string } | { readonly kind: 'keep' } | { readonly kind: 'undo' }

/** An error of ours as a line. */
interface Failure {
  readonly code: ErrorCode
  readonly step?: string
  readonly errno?: string
  readonly path?: string
  readonly field?: string
  readonly detail: string
  readonly remedy: string
}

/** How long the last lines of a helper that has ended are waited for. */
const LAST_WORDS_MS = 2000

const PIPE = /^\\\\\.\\pipe\\codex-sandbox-set-up-[0-9a-f]{32}$/
const digestOf = (text: string): string => createHash('sha256').update(text).digest('hex')

/**
 * Starts the helper and has it do `request`. The session stays open until it is kept or undone; where this process ends before, the helper
 * undoes what it made.
 *
 * @param pipe  where both meet; default: a name that nobody can guess
 * @throws      WindowsFailure: `CONSENT_REFUSED`, and what else starting it failed with; SandboxError: what the helper failed with
 */
export async function elevate(command: HelperCommand, request: MachineRequest, { onProgress, signal }: MachineListeners, pipe = `\\\\.\\pipe\\codex-sandbox-set-up-${randomBytes(16).toString('hex')}`): Promise<MachineSession> {
  const text = JSON.stringify(request)
  const parameters = [...command.args, ...HELPER_WORDS, pipe, digestOf(text)].map(quoteArgument).join(' ')
  const server = createServer()
  const answers = new Answers(onProgress)
  server.on('connection', socket => answers.listen(socket, text))
  await listening(server, pipe)
  const ended = command.run(command.program, parameters, command.cwd).then(code => answers.end(code), (error: unknown) => answers.fail(asFailure(error))).finally(() => server.close())
  const say = async (order: Order): Promise<void> => {
    await answers.say(order)
    await ended
  }
  const abort = () => answers.fail(signal?.reason)
  signal?.addEventListener('abort', abort, { once: true })
  try {
    const result = await answers.result
    return { result, keep: () => say({ kind: 'keep' }), undo: () => say({ kind: 'undo' }) }
  } catch (error) {
    answers.close()
    await ended
    throw error
  } finally {
    signal?.removeEventListener('abort', abort)
  }
}

const listening = (server: Server, pipe: string): Promise<void> => new Promise((resolve, reject) => {
  server.once('error', reject)
  server.listen(pipe, resolve)
})

const asFailure = (error: unknown): unknown => isAddonFailure(error) ? new WindowsFailure(error.step, error.code) : error

/** Whoever connects is told the request, which is no secret; the first that answers with a result is the helper. */
class Answers {
  readonly result: Promise<MachineResult>
  readonly #onProgress: MachineListeners['onProgress']
  readonly #sockets = new Set<Socket>()
  #resolve: (result: MachineResult) => void = () => {}
  #reject: (error: unknown) => void = () => {}
  #done: (() => void) | undefined
  #helper: Socket | undefined
  /** Each is over when its last line was taken. */
  readonly #over = new Map<Socket, Promise<void>>()
  #last: unknown

  constructor(onProgress: MachineListeners['onProgress']) {
    this.#onProgress = onProgress
    this.result = new Promise((resolve, reject) => { [this.#resolve, this.#reject] = [resolve, reject] })
    // Whoever awaits it sees it; without anybody it is no fault of the process.
    this.result.catch(() => {})
  }

  listen(socket: Socket, text: string): void {
    this.#sockets.add(socket)
    socket.on('error', () => socket.destroy())
    socket.on('close', () => this.#sockets.delete(socket))
    write(socket, { kind: 'request', text })
    const lines = createInterface({ input: socket }).on('line', line => this.#take(socket, line))
    this.#over.set(socket, new Promise(resolve => { lines.once('close', resolve) }))
  }

  #take(socket: Socket, line: string): void {
    if (this.#helper !== undefined && this.#helper !== socket) return
    let report: Report
    try {
      const said: unknown = JSON.parse(line)
      if (typeof said !== 'object' || said === null) throw new TypeError('no report')
      report = said as Report
    } catch {
      socket.destroy()
      return
    }
    switch (report.kind) {
      case 'progress':
        this.#onProgress?.(report.progress)
        return
      case 'result':
        this.#helper = socket
        this.#resolve(report.result)
        return
      case 'failed':
        this.#helper = socket
        this.#last = errorOf((report.failure ?? {}) as Failure)
        this.#reject(this.#last)
        return
      case 'done':
        this.#done?.()
        return
      default:
        socket.destroy()
    }
  }

  /** Resolves when the helper has said that it is done. */
  async say(order: Order): Promise<void> {
    const socket = this.#helper
    if (socket === undefined || socket.destroyed) throw new WindowsFailure('elevation', 0, 'the elevated helper is gone')
    const done = new Promise<void>((resolve, reject) => {
      this.#done = resolve
      void this.#over.get(socket)?.then(() => reject(this.#last ?? new WindowsFailure('elevation', 0, 'the elevated helper ended without a word')))
    })
    write(socket, order)
    await done
    socket.end()
  }

  /** Its last words may still be on their way; whoever else is connected is not waited for long. */
  async end(code: number): Promise<void> {
    const patience = new Promise<void>(resolve => { setTimeout(resolve, LAST_WORDS_MS).unref() })
    await Promise.race([Promise.all(this.#over.values()), patience])
    this.#reject(new WindowsFailure('elevation', 0, `the elevated helper ended with ${code}, and no answer of its came`))
    this.close()
  }

  fail(error: unknown): void {
    this.#reject(error)
    this.close()
  }

  close(): void {
    for (const socket of this.#sockets) socket.destroy()
  }
}

const write = (socket: Socket, message: Order | Report): void => { socket.write(`${JSON.stringify(message)}\n`) }

/** Its own words again: those of the table are put around them here. */
function failureOf(error: unknown): Failure {
  if (!(error instanceof SandboxError)) return { code: 'set_up_failed', step: 'elevation', errno: error instanceof WindowsFailure ? String(error.code) : '0', detail: error instanceof Error ? error.message : String(error), remedy: ERRORS.set_up_failed.remedy }
  const { code, step, errno, path, field, remedy, message } = error
  const start = message.indexOf(`${ERRORS[code].message}: `)
  const detail = start < 0 ? '' : message.slice(start + ERRORS[code].message.length + 2, message.length - remedy.length - 2)
  return { code, detail, remedy, ...(step === undefined ? {} : { step }), ...(errno === undefined ? {} : { errno }), ...(path === undefined ? {} : { path }), ...(field === undefined ? {} : { field }) }
}

function errorOf({ code, step, errno = '0', path, field = 'windows', detail, remedy }: Failure): SandboxError {
  const known = Object.hasOwn(ERRORS, code) ? code : 'set_up_failed'
  const place = step === undefined ? { field, value: undefined } : { step, errno, ...(path === undefined ? {} : { path }) }
  return new SandboxError(known, place, { remedy, ...(detail === '' ? {} : { detail }) })
}

export interface HelperOptions {
  readonly pipe: string
  readonly digest: string
}

/**
 * The helper itself: one request, and then a word to keep or to undo it. Where the other end goes away before that, it undoes.
 *
 * @returns     the exit code
 * @param known  which pipes are ours; tests say another one
 */
export async function serveElevated(system: WindowsSystem, { pipe, digest }: HelperOptions, known: RegExp = PIPE): Promise<number> {
  if (!known.test(pipe)) throw new SandboxError('option_invalid', { field: 'pipe', value: pipe }, { detail: 'it is no pipe of set-up', remedy: 'This verb is for set-up itself: run `codex-sandbox windows setup`.' })
  const socket = connect(pipe)
  const lost = new AbortController()
  socket.on('error', () => lost.abort(new SandboxError('set_up_failed', { step: 'elevation', errno: 'EPIPE' }, { detail: 'whoever asked for it is gone' })))
  socket.on('close', () => lost.abort(new SandboxError('set_up_failed', { step: 'elevation', errno: 'EPIPE' }, { detail: 'whoever asked for it is gone' })))
  const lines = createInterface({ input: socket })[Symbol.asyncIterator]()
  const next = async (): Promise<Order | undefined> => {
    const { value, done } = await lines.next()
    return done === true ? undefined : JSON.parse(value) as Order
  }
  try {
    const first = await next()
    if (first?.kind !== 'request') return 1
    if (digestOf(first.text) !== digest) throw new SandboxError('set_up_failed', { step: 'elevation', errno: 'EBADMSG' }, { detail: 'the request is not the one that consent was given for', remedy: 'Another program may have changed it: set up again.' })
    const session = await openMachineSession(system, parseMachineRequest(first.text), { signal: lost.signal, onProgress: progress => write(socket, { kind: 'progress', progress }) })
    write(socket, { kind: 'result', result: session.result })
    // Half a line, or a pipe that breaks, is no word to keep it.
    const order = await next().catch(() => undefined)
    if (order?.kind === 'keep') await session.keep()
    else await session.undo()
    write(socket, { kind: 'done' })
    return 0
  } catch (error) {
    write(socket, { kind: 'failed', failure: failureOf(error) })
    return 1
  } finally {
    await new Promise<void>(resolve => { socket.destroyed ? resolve() : socket.end(resolve) })
  }
}
