// Every method of the service, one row each: what it takes and gives, when it may be called, and what carries it out. The generated
// schemas are printed from the same table.
import { release } from 'node:os'
import { isAbsolute, win32 } from 'node:path'
import type * as z from 'zod/mini'
import type { AdditionalPermissions } from '../policy/additional-permissions.js'
import type { Client, Request } from './client.js'
import { configAnswer, requirementsAnswer } from './configuration.js'
import { decodeBase64, reportOf } from './command-exec.js'
import * as protocol from './protocol.js'
import { CODE, invalidParams, invalidRequest, overloaded, RpcError, rpcError, shapeError } from './rpc-error.js'

type Schema = z.ZodMiniType

export interface Method {
  /** Of the types that are generated: NAMEParams and NAMEResponse. */
  readonly name: string
  readonly params: Schema
  readonly result: Schema
  /** `new`: once, before everything else. `ready`: after that. */
  readonly phase: 'new' | 'ready'
  /** Begins work that a service on its way out does not take. */
  readonly work?: true
  /** An unknown parameter that is not null is an error: it may be a restriction. Elsewhere it is ignored, as the reference does. */
  readonly strict?: true
  readonly handler: (client: Client, params: never, request: Request) => unknown
}

function method<Params extends Schema, Result extends Schema>(
  row: Omit<Method, 'params' | 'result' | 'handler'> & {
    readonly params: Params
    readonly result: Result
    readonly handler: (client: Client, params: z.infer<Params>, request: Request) => z.infer<Result> | Promise<z.infer<Result>>
  },
): Method {
  return row
}

export const METHODS: Readonly<Record<string, Method>> = {
  'initialize': method({
    name: 'Initialize', phase: 'new', params: protocol.initializeParams, result: protocol.initializeResult,
    async handler(client, { clientInfo, capabilities }) {
      client.info = { name: clientInfo.name, version: clientInfo.version }
      client.silence(capabilities?.optOutNotificationMethods ?? [])
      const { takeSnapshot } = await import('../host/snapshot.js')
      const { packageVersion } = await import('../host/package-version.js')
      const { codexHome } = takeSnapshot({ selfPaths: [] })
      const { platform } = client.shared
      return {
        userAgent: `codex-sandbox/${packageVersion()} (${platform} ${release()}; ${process.arch}) ${headerWord(clientInfo.name)} (${headerWord(clientInfo.version)})`,
        codexHome: codexHome ?? '', platformFamily: platform === 'windows' ? 'windows' : 'unix', platformOs: platform,
      }
    },
  }),
  'command/exec': method({
    name: 'CommandExec', phase: 'ready', work: true, strict: true, params: protocol.commandExecParams, result: protocol.commandExecResult,
    handler: (client, params, request) => client.commands.exec(params, (result, sandbox) => request.after(() => {
      if (client.hears('sandbox/commandReport')) client.notify('sandbox/commandReport', reportOf(request.id, params.processId ?? null, result, sandbox))
    })),
  }),
  'command/exec/write': method({
    name: 'CommandExecWrite', phase: 'ready', params: protocol.commandWriteParams, result: protocol.noResult,
    async handler(client, params) {
      await client.commands.write(params)
      return {}
    },
  }),
  'command/exec/resize': method({
    name: 'CommandExecResize', phase: 'ready', params: protocol.commandResizeParams, result: protocol.noResult,
    async handler(client, params) {
      await client.commands.resize(params)
      return {}
    },
  }),
  'command/exec/terminate': method({
    name: 'CommandExecTerminate', phase: 'ready', params: protocol.commandTerminateParams, result: protocol.noResult,
    handler(client, params) {
      client.commands.terminate(params)
      return {}
    },
  }),
  'windowsSandbox/setupStart': method({
    name: 'WindowsSandboxSetupStart', phase: 'ready', work: true, params: protocol.setupStartParams, result: protocol.setupStartResult,
    async handler(client, { mode, cwd }, request) {
      const isAbsoluteThere = client.shared.windows.platform === 'windows' ? win32.isAbsolute : isAbsolute
      if (typeof cwd === 'string' && !isAbsoluteThere(cwd)) throw invalidRequest(`Invalid request: cwd: AbsolutePathBuf deserialized without a base path: ${JSON.stringify(cwd)} is not absolute`)
      const workspace = cwd ?? client.shared.cwd
      const [{ checkWindowsSandbox }, loaded] = await Promise.all([import('../config/bounds.js'), client.shared.readConfig(workspace)])
      try {
        checkWindowsSandbox(mode, loaded.requirements)
      } catch (error) {
        throw invalidRequest(`invalid Windows sandbox mode: ${(error as Error).message}`)
      }
      request.after(client.shared.windows.begin(client, mode, workspace, loaded.policy()))
      return { started: true }
    },
  }),
  'windowsSandbox/readiness': method({
    name: 'WindowsSandboxReadiness', phase: 'ready', params: protocol.noParams, result: protocol.readinessResult,
    async handler(client) {
      const { windowsMode } = await client.shared.configuration()
      return { status: await client.shared.windows.readiness(windowsMode) }
    },
  }),
  'config/read': method({
    name: 'ConfigRead', phase: 'ready', params: protocol.configReadParams, result: protocol.configReadResult,
    async handler(client, { includeLayers, cwd }) {
      if (typeof cwd === 'string' && !isAbsolute(cwd)) throw invalidRequest(`Invalid request: cwd: ${JSON.stringify(cwd)} is not absolute`)
      return configAnswer(await client.shared.readConfig(cwd ?? client.shared.cwd), includeLayers === true)
    },
  }),
  'configRequirements/read': method({
    name: 'ConfigRequirementsRead', phase: 'ready', params: protocol.noParams, result: protocol.requirementsReadResult,
    async handler(client) {
      return requirementsAnswer(await client.shared.readConfig(client.shared.cwd))
    },
  }),
  'sandbox/runCommand': method({
    name: 'SandboxRunCommand', phase: 'ready', work: true, strict: true, params: protocol.runCommandParams, result: protocol.runCommandResult,
    async handler(client, params, request) {
      const { runApproved } = await import('./approved-command.js')
      return runApproved(client, params, (result, sandbox) => request.after(() => {
        if (client.hears('sandbox/commandReport')) client.notify('sandbox/commandReport', reportOf(request.id, params.processId ?? null, result, sandbox))
      }), request)
    },
  }),
  'sandbox/explain': method({
    name: 'SandboxExplain', phase: 'ready', work: true, strict: true, params: protocol.explainParams, result: protocol.explainResult,
    handler: (client, { access, sandboxPolicy }) => client.inTurn(async () => {
      const lease = await client.borrow(sandboxPolicy)
      try {
        const { decision, text } = await lease.sandbox.explain(access)
        return { verdict: decision.verdict, text, decision: { ...decision } }
      } finally {
        lease.release()
      }
    }),
  }),
  'sandbox/checkHost': method({
    name: 'SandboxCheckHost', phase: 'ready', strict: true, params: protocol.checkHostParams, result: protocol.checkHostResult,
    async handler(client, { sandboxPolicy }) {
      const { inspectHost } = await import('./inspection.js')
      return client.inTurn(() => inspectHost(client, sandboxPolicy))
    },
  }),
  'sandbox/grant': method({
    name: 'SandboxGrant', phase: 'ready', work: true, strict: true, params: protocol.grantParams, result: protocol.grantResult,
    async handler(client, { permissions, sandboxPolicy }) {
      const { grant } = await import('./inspection.js')
      return client.inTurn(() => grant(client, permissions as AdditionalPermissions, sandboxPolicy))
    },
  }),
  'sandbox/session/start': method({
    name: 'SandboxSessionStart', phase: 'ready', work: true, strict: true, params: protocol.sessionStartParams, result: protocol.sessionResult,
    async handler(client, params) {
      const lease = await client.inTurn(() => client.borrow(params.sandboxPolicy))
      return client.shared.terminals.start(client, client.name, lease, params)
    },
  }),
  'sandbox/session/write': method({
    name: 'SandboxSessionWrite', phase: 'ready', strict: true, params: protocol.sessionWriteParams, result: protocol.sessionResult,
    async handler(client, { chars, deltaBase64, closeStdin, ...params }) {
      if (typeof chars === 'string' && typeof deltaBase64 === 'string') throw invalidParams('sandbox/session/write cannot set both chars and deltaBase64', { field: 'deltaBase64' })
      const bytes = typeof chars === 'string' ? Buffer.from(chars) : typeof deltaBase64 === 'string' ? decodeBase64(deltaBase64) : undefined
      return client.shared.terminals.write(client, { ...params, bytes, closeStdin: closeStdin === true })
    },
  }),
  'sandbox/session/poll': method({
    name: 'SandboxSessionPoll', phase: 'ready', strict: true, params: protocol.sessionPollParams, result: protocol.sessionResult,
    async handler(client, params) {
      const { longestPollMs } = await client.shared.configuration()
      return client.shared.terminals.poll(client, params, longestPollMs)
    },
  }),
  'sandbox/session/resize': method({
    name: 'SandboxSessionResize', phase: 'ready', strict: true, params: protocol.sessionResizeParams, result: protocol.noResult,
    handler(client, { sessionId, size }) {
      client.shared.terminals.resize(client, sessionId, size)
      return {}
    },
  }),
  'sandbox/session/kill': method({
    name: 'SandboxSessionKill', phase: 'ready', strict: true, params: protocol.sessionKillParams, result: protocol.sessionKillResult,
    handler: (client, { sessionId, graceMs }) => client.shared.terminals.kill(sessionId, graceMs ?? DEFAULT_GRACE_MS),
  }),
  'sandbox/session/list': method({
    name: 'SandboxSessionList', phase: 'ready', strict: true, params: protocol.sessionListParams, result: protocol.sessionListResult,
    handler: (client, { all, lines }) => ({ sessions: client.shared.terminals.list(client, { all: all === true, lines: lines ?? undefined }) }),
  }),
}

const DEFAULT_GRACE_MS = 2_000

/** Carries a request out. @throws RpcError, whatever went wrong */
export function dispatch(client: Client, name: string, params: unknown, request: Request): unknown {
  try {
    const row = Object.hasOwn(METHODS, name) ? METHODS[name] : undefined
    if (row === undefined) throw new RpcError(CODE.methodNotFound, `unknown method ${JSON.stringify(name.slice(0, 100))}`)
    if (row.phase === 'new' && client.info !== undefined) throw invalidRequest('Already initialized')
    if (row.phase === 'ready' && client.info === undefined) throw invalidRequest('Not initialized')
    if (row.work === true && client.shared.isDraining) throw overloaded('the service is ending', DRAINING_RETRY_MS)
    // None is the same as none of them: most methods have only such as may be left out.
    const read = row.params.safeParse(params ?? {})
    if (!read.success) throw shapeError(read.error)
    if (row.strict === true) refuseUnknown(name, row, params)
    const result = row.handler(client, read.data as never, request)
    return result instanceof Promise ? result.catch((error: unknown) => { throw rpcError(error) }) : result
  } catch (error) {
    throw rpcError(error)
  }
}

/** Another one may have taken its place by then. */
const DRAINING_RETRY_MS = 2_000

function refuseUnknown(name: string, { params: schema }: Method, params: unknown): void {
  const shape = (schema as unknown as { readonly shape?: Readonly<Record<string, unknown>> }).shape
  if (shape === undefined || typeof params !== 'object' || params === null) return
  for (const [key, value] of Object.entries(params)) {
    if (value !== null && !Object.hasOwn(shape, key)) throw invalidParams(`${name} has no parameter ${JSON.stringify(key)}; there are ${Object.keys(shape).join(', ')}`, { field: key })
  }
}

/** Of a client's text in a line of ours. */
const headerWord = (text: string): string => text.slice(0, 100).replaceAll(/[^\x20-\x7e]/g, '_')
