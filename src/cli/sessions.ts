// `sessions`: the background terminals of a running service, asked over its socket as any client would.
import { connect } from 'node:net'
import { SandboxError } from '../errors.js'
import { packageVersion } from '../host/package-version.js'
import { LineReader } from '../service/lines.js'
import type { Arguments } from './arguments.js'
import { socketPathOf } from './app-server.js'
import { print } from './print.js'

interface ListedSession {
  readonly sessionId: number
  readonly command: readonly string[]
  readonly cwd: string
  readonly state: 'running' | 'left' | 'ended'
  readonly exitCode: number | null
  readonly signal: string | null
  readonly startedAtMs: number
  readonly lastLines: readonly string[]
  readonly client: string
}

/** @returns 0 */
export async function listSessions({ options }: Arguments): Promise<number> {
  const path = await socketPathOf(options.listen ?? 'unix://')
  const service = await reach(path)
  try {
    if (options.kill !== undefined) {
      const sessionId = Number(options.kill)
      if (!/^\d+$/.test(options.kill) || sessionId < 1) throw new SandboxError('option_invalid', { field: '--kill', value: options.kill }, { detail: 'it is no id of a terminal', remedy: 'See `codex-sandbox sessions`.' })
      const result = await service.ask('sandbox/session/kill', { sessionId })
      await print(process.stdout, options.json === true ? `${JSON.stringify(result)}\n` : `ended ${sessionId}\n`)
      return 0
    }
    const { sessions } = await service.ask('sandbox/session/list', { all: true }) as { sessions: readonly ListedSession[] }
    await print(process.stdout, options.json === true ? `${JSON.stringify(sessions, null, 2)}\n` : sessions.map(describe).join(''))
    return 0
  } finally {
    service.close()
  }
}

function describe({ sessionId, command, cwd, state, exitCode, signal, startedAtMs, lastLines, client }: ListedSession): string {
  const how = state === 'ended' ? `ended with ${signal ?? exitCode ?? 'nothing known'}` : state === 'left' ? 'its processes run on' : 'runs'
  const since = new Date(startedAtMs).toISOString()
  return `${sessionId}  ${how} since ${since}, of ${quoted(client)} in ${quoted(cwd)}: ${command.map(quoted).join(' ')}\n${lastLines.map(line => `    ${line}\n`).join('')}`
}

/** A word cannot forge a line. */
const quoted = (word: string): string => /^[\w@%+=:,./-]+$/.test(word) ? word : JSON.stringify(word)

interface ReachedService {
  ask(method: string, params: unknown): Promise<unknown>
  close(): void
}

/** @throws SandboxError `service_not_reached` */
async function reach(path: string): Promise<ReachedService> {
  const unreached = (detail: string, cause?: unknown) => new SandboxError('service_not_reached', { field: '--listen', value: path }, { detail, ...(cause === undefined ? {} : { cause }) })
  const socket = connect(path)
  await new Promise<void>((resolve, reject) => {
    socket.once('connect', resolve)
    socket.once('error', (error: NodeJS.ErrnoException) => reject(unreached(error.code ?? error.message, error)))
  })
  const waiting = new Map<number, { resolve(result: unknown): void; reject(error: Error): void }>()
  const take = (line: string): void => {
    const { id, result, error } = JSON.parse(line) as { id?: number; result?: unknown; error?: { message: string } }
    const asked = waiting.get(id ?? -1)
    if (asked === undefined) return
    waiting.delete(id as number)
    if (error === undefined) asked.resolve(result)
    else asked.reject(new SandboxError('option_invalid', { field: 'the request', value: undefined }, { detail: error.message, remedy: 'See `codex-sandbox sessions`.' }))
  }
  const lines = new LineReader({ line: take, tooLong: () => socket.destroy(), notUtf8: () => socket.destroy() })
  socket.on('data', chunk => lines.add(chunk))
  socket.on('error', () => {})
  socket.once('close', () => { for (const { reject } of waiting.values()) reject(unreached('it closed the connection; its own log says why')) })
  let nextId = 0
  const ask = (method: string, params: unknown): Promise<unknown> => new Promise((resolve, reject) => {
    if (socket.destroyed) return reject(unreached('it closed the connection; its own log says why'))
    const id = nextId++
    waiting.set(id, { resolve, reject })
    socket.write(`${JSON.stringify({ id, method, params })}\n`)
  })
  await ask('initialize', { clientInfo: { name: 'codex-sandbox sessions', title: null, version: packageVersion() }, capabilities: null })
  socket.write(`${JSON.stringify({ method: 'initialized' })}\n`)
  return { ask, close: () => socket.destroy() }
}
