// Everything that goes over the wire, as zod schemas: the one source of the checks, of the types here, of the JSON Schemas and of the
// TypeScript that `app-server generate-…` writes. `zod/mini`, since the first answer waits for it; the policy's own schemas are loaded
// when a policy comes, and stand in the generated files in the place of `sandboxPolicy`.
import * as z from 'zod/mini'

/** May be left out, and may be null, which is the same. */
const maybe = <Schema extends z.ZodMiniType>(schema: Schema) => z.optional(z.nullable(schema))
const count = z.int().check(z.gte(0))
const uint16 = z.int().check(z.gte(0), z.lte(0xffff))

/* What several messages have. */

/** Checked by the policy's own parser, which names the field that is wrong. */
export const sandboxPolicy = z.looseObject({ type: z.string() })
export const terminalSize = z.object({ rows: uint16, cols: uint16 })
const outputStream = z.enum(['stdout', 'stderr'])
const environment = z.record(z.string(), z.nullable(z.string()))
/** Loose, so that the library sees what it does not know and names it. */
const additionalPermissions = z.looseObject({
  fileSystem: maybe(z.looseObject({ read: maybe(z.array(z.string())), write: maybe(z.array(z.string())) })),
  network: maybe(z.looseObject({ enabled: maybe(z.boolean()) })),
})
const nothing = z.object({})

/* initialize */

export const initializeParams = z.object({
  clientInfo: z.object({ name: z.string(), title: maybe(z.string()), version: z.string() }),
  capabilities: maybe(z.object({ optOutNotificationMethods: maybe(z.array(z.string())), experimentalApi: maybe(z.boolean()) })),
})
export const initializeResult = z.object({ userAgent: z.string(), codexHome: z.string(), platformFamily: z.string(), platformOs: z.string() })

/* command/exec. What is wrong with numbers has words of its own in command-exec.ts. */

export const commandExecParams = z.object({
  command: z.array(z.string()),
  processId: maybe(z.string()),
  tty: maybe(z.boolean()),
  size: maybe(terminalSize),
  streamStdin: maybe(z.boolean()),
  streamStdoutStderr: maybe(z.boolean()),
  outputBytesCap: maybe(count),
  disableOutputCap: maybe(z.boolean()),
  timeoutMs: maybe(z.int()),
  disableTimeout: maybe(z.boolean()),
  cwd: maybe(z.string()),
  env: maybe(environment),
  sandboxPolicy: maybe(sandboxPolicy),
})
export const commandExecResult = z.object({ exitCode: z.int(), stdout: z.string(), stderr: z.string() })
export const commandWriteParams = z.object({ processId: z.string(), deltaBase64: maybe(z.string()), closeStdin: maybe(z.boolean()) })
export const commandResizeParams = z.object({ processId: z.string(), size: terminalSize })
export const commandTerminateParams = z.object({ processId: z.string() })
export const outputDelta = z.object({ processId: z.string(), stream: outputStream, deltaBase64: z.string(), capReached: z.boolean() })

/* Ours: a command that is decided about first. */

export const runCommandParams = z.extend(commandExecParams, {
  turnId: maybe(z.string()),
  itemId: maybe(z.string()),
  sandboxPermissions: maybe(z.enum(['use_default', 'require_escalated', 'with_additional_permissions'])),
  additionalPermissions: maybe(additionalPermissions),
  justification: maybe(z.string()),
  prefixRule: maybe(z.array(z.string())),
})
export const runCommandResult = z.object({
  outcome: z.enum(['ran', 'forbidden', 'declined', 'cancelled']),
  reason: z.nullable(z.string()),
  asked: z.boolean(),
  escalated: z.boolean(),
  retried: z.boolean(),
  warning: z.nullable(z.string()),
  exec: z.nullable(commandExecResult),
})
export const itemNotification = z.object({
  threadId: z.string(), turnId: z.string(),
  item: z.object({
    type: z.literal('commandExecution'), id: z.string(), command: z.array(z.string()), cwd: z.string(),
    status: z.enum(['inProgress', 'completed', 'failed', 'declined']), exitCode: z.nullable(z.int()),
  }),
})

/* Windows */

const windowsMode = z.enum(['elevated', 'unelevated'])
export const setupStartParams = z.object({ mode: windowsMode, cwd: maybe(z.string()) })
export const setupStartResult = z.object({ started: z.boolean() })
export const setupCompleted = z.object({ mode: windowsMode, success: z.boolean(), error: z.nullable(z.string()) })
export const readinessResult = z.object({ status: z.enum(['ready', 'notConfigured', 'updateRequired']) })
export const worldWritableWarning = z.object({ samplePaths: z.array(z.string()), extraCount: count, failedScan: z.boolean() })

/* Configuration */

export const configReadParams = z.object({ includeLayers: maybe(z.boolean()), cwd: maybe(z.string()) })
const configOrigin = z.looseObject({ name: z.looseObject({ type: z.string() }), version: z.string() })
export const configReadResult = z.object({
  config: z.record(z.string(), z.unknown()),
  origins: z.record(z.string(), configOrigin),
  layers: maybe(z.array(z.looseObject({ name: z.looseObject({ type: z.string() }), version: z.string(), config: z.unknown() }))),
})
const networkRequirements = z.looseObject({
  enabled: maybe(z.boolean()), httpPort: maybe(uint16), socksPort: maybe(uint16), allowUpstreamProxy: maybe(z.boolean()), dangerouslyAllowNonLoopbackProxy: maybe(z.boolean()),
  dangerouslyAllowAllUnixSockets: maybe(z.boolean()), allowedDomains: maybe(z.array(z.string())), deniedDomains: maybe(z.array(z.string())),
  allowUnixSockets: maybe(z.array(z.string())), allowLocalBinding: maybe(z.boolean()),
})
export const requirementsReadResult = z.object({
  requirements: z.nullable(z.looseObject({
    allowedApprovalPolicies: maybe(z.array(z.unknown())), allowedSandboxModes: maybe(z.array(z.string())), allowedWebSearchModes: maybe(z.array(z.string())),
    allowedWindowsSandboxImplementations: maybe(z.array(z.string())), network: maybe(networkRequirements),
  })),
})
export const configWarning = z.object({ summary: z.string(), details: z.nullable(z.string()) })

/* Approvals: asked by the server. */

const networkAmendment = z.object({ host: z.string(), action: z.enum(['allow', 'deny']) })
const commandDecision = z.union([
  z.enum(['accept', 'acceptForSession', 'decline', 'cancel']),
  z.strictObject({ acceptWithExecpolicyAmendment: z.object({ execpolicy_amendment: z.array(z.string()) }) }),
  z.strictObject({ applyNetworkPolicyAmendment: z.object({ network_policy_amendment: networkAmendment }) }),
])
export const requestApprovalParams = z.object({
  threadId: z.string(), turnId: z.string(), itemId: z.string(), startedAtMs: z.int(),
  approvalId: maybe(z.string()),
  reason: maybe(z.string()),
  command: maybe(z.string()),
  cwd: maybe(z.string()),
  commandActions: maybe(z.array(z.unknown())),
  networkApprovalContext: maybe(z.object({ host: z.string(), protocol: z.enum(['http', 'https', 'socks5Tcp', 'socks5Udp']) })),
  proposedExecpolicyAmendment: maybe(z.array(z.string())),
  proposedNetworkPolicyAmendments: maybe(z.array(networkAmendment)),
  additionalPermissions: maybe(additionalPermissions),
  availableDecisions: maybe(z.array(commandDecision)),
})
export const requestApprovalResult = z.object({ decision: commandDecision })
export const requestResolved = z.object({ threadId: z.string(), requestId: z.union([z.string(), z.int()]) })

/* Ours: the report of a command, and what the library can say. */

const denial = z.looseObject({ kind: z.string(), operation: z.string(), message: z.string() })
const enforcement = z.looseObject({ backend: z.string(), layers: z.array(z.unknown()), degraded: z.array(z.string()), notes: z.array(z.string()) })
const ignoredRule = z.looseObject({ field: z.string(), value: z.string(), reason: z.string() })
export const commandReport = z.object({
  requestId: z.union([z.string(), z.int()]),
  processId: z.nullable(z.string()),
  report: z.looseObject({
    exitCode: z.int(), signal: z.nullable(z.string()), timedOut: z.boolean(), cancelled: z.boolean(), durationMs: z.number(),
    usage: z.object({ cpuMs: z.number(), maxRssBytes: z.number() }),
    dropped: z.object({ stdout: count, stderr: count }),
    denials: z.array(denial), ended: z.array(z.object({ pid: z.int(), name: z.string() })), enforcement, ignored: z.array(ignoredRule),
  }),
})

const fileAccess = z.object({ kind: z.enum(['read', 'write', 'create', 'remove', 'execute', 'unix-connect']), path: z.string() })
const connectAccess = z.object({ kind: z.literal('connect'), host: z.string(), port: uint16 })
export const explainParams = z.object({ access: z.union([fileAccess, connectAccess]), sandboxPolicy: maybe(sandboxPolicy) })
export const explainResult = z.object({ verdict: z.enum(['allow', 'deny']), text: z.string(), decision: z.looseObject({ verdict: z.string() }) })
export const checkHostParams = z.object({ sandboxPolicy: maybe(sandboxPolicy) })
export const checkHostResult = z.union([
  z.object({ ok: z.literal(true), enforcement }),
  z.object({ ok: z.literal(false), missing: z.array(z.object({ rule: z.optional(z.string()), layer: z.string(), reason: z.string(), remedy: z.string() })) }),
])
export const grantParams = z.object({ permissions: additionalPermissions, sandboxPolicy: maybe(sandboxPolicy) })
export const grantResult = z.object({ changed: z.boolean(), notes: z.array(z.string()) })

/* Ours: background terminals. */

const sessionState = z.enum(['running', 'left', 'ended'])
const sessionId = z.int().check(z.gte(1))
export const sessionStartParams = z.object({
  command: z.array(z.string()), cwd: maybe(z.string()), env: maybe(environment), tty: maybe(z.boolean()), size: maybe(terminalSize), sandboxPolicy: maybe(sandboxPolicy),
  yieldTimeMs: maybe(count), maxOutputBytes: maybe(count),
})
export const sessionResult = z.object({
  sessionId, state: sessionState, exitCode: z.nullable(z.int()), signal: z.nullable(z.string()), output: z.string(), dropped: count, more: z.boolean(), wallTimeMs: z.number(),
})
export const sessionWriteParams = z.object({
  sessionId, chars: maybe(z.string()), deltaBase64: maybe(z.string()), closeStdin: maybe(z.boolean()), yieldTimeMs: maybe(count), maxOutputBytes: maybe(count),
})
export const sessionPollParams = z.object({ sessionId, yieldTimeMs: maybe(count), maxOutputBytes: maybe(count) })
export const sessionResizeParams = z.object({ sessionId, size: terminalSize })
export const sessionKillParams = z.object({ sessionId, graceMs: maybe(count) })
export const sessionKillResult = z.object({ exitCode: z.nullable(z.int()), signal: z.nullable(z.string()) })
export const sessionListParams = z.object({ all: maybe(z.boolean()), lines: maybe(count) })
export const sessionListResult = z.object({
  sessions: z.array(z.object({
    sessionId, command: z.array(z.string()), cwd: z.string(), pid: z.nullable(z.int()), startedAtMs: z.int(), state: sessionState,
    exitCode: z.nullable(z.int()), signal: z.nullable(z.string()), endedBy: z.nullable(z.string()), lastLines: z.array(z.string()), own: z.boolean(), client: z.string(),
  })),
})

export const noParams = maybe(nothing)
export const noResult = nothing

/** What the server sends without being asked. `ours`: not in the reference. */
export const NOTIFICATIONS = {
  'command/exec/outputDelta':     { name: 'CommandExecOutputDeltaNotification', params: outputDelta },
  'windowsSandbox/setupCompleted': { name: 'WindowsSandboxSetupCompletedNotification', params: setupCompleted },
  'windows/worldWritableWarning': { name: 'WindowsWorldWritableWarningNotification', params: worldWritableWarning },
  'configWarning':                { name: 'ConfigWarningNotification', params: configWarning },
  'item/started':                 { name: 'ItemStartedNotification', params: itemNotification },
  'item/completed':               { name: 'ItemCompletedNotification', params: itemNotification },
  'serverRequest/resolved':       { name: 'ServerRequestResolvedNotification', params: requestResolved },
  'sandbox/commandReport':        { name: 'SandboxCommandReportNotification', params: commandReport },
} as const
export type NotificationName = keyof typeof NOTIFICATIONS
export type NotificationParams<Name extends NotificationName> = z.infer<(typeof NOTIFICATIONS)[Name]['params']>

/** What the server asks of the client. */
export const SERVER_REQUESTS = {
  'item/commandExecution/requestApproval': { name: 'CommandExecutionRequestApproval', params: requestApprovalParams, result: requestApprovalResult },
} as const

export type RequestId = string | number
export type CommandExecParams = z.infer<typeof commandExecParams>
export type CommandExecResult = z.infer<typeof commandExecResult>
export type RunCommandParams = z.infer<typeof runCommandParams>
export type RunCommandResult = z.infer<typeof runCommandResult>
export type ApprovalParams = z.infer<typeof requestApprovalParams>
export type SessionResult = z.infer<typeof sessionResult>
