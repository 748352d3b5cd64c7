// Written by `codex-sandbox app-server generate-ts`. All that goes over the wire, a JSON object a line.

export type SandboxPolicy = {
  type: "dangerFullAccess"
} | {
  type: "readOnly"
  access?: {
    type: "fullAccess"
  } | {
    type: "restricted"
    includePlatformDefaults?: boolean
    readableRoots?: string[]
  }
  networkAccess?: boolean
} | {
  type: "externalSandbox"
  networkAccess?: "restricted" | "enabled"
} | {
  type: "workspaceWrite"
  writableRoots?: string[]
  readOnlyAccess?: {
    type: "fullAccess"
  } | {
    type: "restricted"
    includePlatformDefaults?: boolean
    readableRoots?: string[]
  }
  networkAccess?: boolean
  excludeTmpdirEnvVar?: boolean
  excludeSlashTmp?: boolean
}

export type InitializeParams = {
  clientInfo: {
    name: string
    title?: string | null
    version: string
  }
  capabilities?: {
    optOutNotificationMethods?: string[] | null
    experimentalApi?: boolean | null
  } | null
}

export type InitializeResponse = {
  userAgent: string
  codexHome: string
  platformFamily: string
  platformOs: string
}

export type CommandExecParams = {
  command: string[]
  processId?: string | null
  tty?: boolean | null
  size?: {
    rows: number
    cols: number
  } | null
  streamStdin?: boolean | null
  streamStdoutStderr?: boolean | null
  outputBytesCap?: number | null
  disableOutputCap?: boolean | null
  timeoutMs?: number | null
  disableTimeout?: boolean | null
  cwd?: string | null
  env?: Record<string, string | null> | null
  sandboxPolicy?: SandboxPolicy | null
}

export type CommandExecResponse = {
  exitCode: number
  stdout: string
  stderr: string
}

export type CommandExecWriteParams = {
  processId: string
  deltaBase64?: string | null
  closeStdin?: boolean | null
}

export type CommandExecWriteResponse = Record<string, never>

export type CommandExecResizeParams = {
  processId: string
  size: {
    rows: number
    cols: number
  }
}

export type CommandExecResizeResponse = Record<string, never>

export type CommandExecTerminateParams = {
  processId: string
}

export type CommandExecTerminateResponse = Record<string, never>

export type WindowsSandboxSetupStartParams = {
  mode: "elevated" | "unelevated"
  cwd?: string | null
}

export type WindowsSandboxSetupStartResponse = {
  started: boolean
}

export type WindowsSandboxReadinessParams = Record<string, never> | null

export type WindowsSandboxReadinessResponse = {
  status: "ready" | "notConfigured" | "updateRequired"
}

export type ConfigReadParams = {
  includeLayers?: boolean | null
  cwd?: string | null
}

export type ConfigReadResponse = {
  config: Record<string, unknown>
  origins: Record<string, {
    name: {
      type: string
      [more: string]: unknown
    }
    version: string
    [more: string]: unknown
  }>
  layers?: {
    name: {
      type: string
      [more: string]: unknown
    }
    version: string
    config: unknown
    [more: string]: unknown
  }[] | null
}

export type ConfigRequirementsReadParams = Record<string, never> | null

export type ConfigRequirementsReadResponse = {
  requirements: {
    allowedApprovalPolicies?: unknown[] | null
    allowedSandboxModes?: string[] | null
    allowedWebSearchModes?: string[] | null
    allowedWindowsSandboxImplementations?: string[] | null
    network?: {
      enabled?: boolean | null
      httpPort?: number | null
      socksPort?: number | null
      allowUpstreamProxy?: boolean | null
      dangerouslyAllowNonLoopbackProxy?: boolean | null
      dangerouslyAllowAllUnixSockets?: boolean | null
      allowedDomains?: string[] | null
      deniedDomains?: string[] | null
      allowUnixSockets?: string[] | null
      allowLocalBinding?: boolean | null
      [more: string]: unknown
    } | null
    [more: string]: unknown
  } | null
}

export type SandboxRunCommandParams = {
  command: string[]
  processId?: string | null
  tty?: boolean | null
  size?: {
    rows: number
    cols: number
  } | null
  streamStdin?: boolean | null
  streamStdoutStderr?: boolean | null
  outputBytesCap?: number | null
  disableOutputCap?: boolean | null
  timeoutMs?: number | null
  disableTimeout?: boolean | null
  cwd?: string | null
  env?: Record<string, string | null> | null
  sandboxPolicy?: SandboxPolicy | null
  turnId?: string | null
  itemId?: string | null
  sandboxPermissions?: "use_default" | "require_escalated" | "with_additional_permissions" | null
  additionalPermissions?: {
    fileSystem?: {
      read?: string[] | null
      write?: string[] | null
      [more: string]: unknown
    } | null
    network?: {
      enabled?: boolean | null
      [more: string]: unknown
    } | null
    [more: string]: unknown
  } | null
  justification?: string | null
  prefixRule?: string[] | null
}

export type SandboxRunCommandResponse = {
  outcome: "ran" | "forbidden" | "declined" | "cancelled"
  reason: string | null
  asked: boolean
  escalated: boolean
  retried: boolean
  warning: string | null
  exec: {
    exitCode: number
    stdout: string
    stderr: string
  } | null
}

export type SandboxExplainParams = {
  access: {
    kind: "read" | "write" | "create" | "remove" | "execute" | "unix-connect"
    path: string
  } | {
    kind: "connect"
    host: string
    port: number
  }
  sandboxPolicy?: SandboxPolicy | null
}

export type SandboxExplainResponse = {
  verdict: "allow" | "deny"
  text: string
  decision: {
    verdict: string
    [more: string]: unknown
  }
}

export type SandboxCheckHostParams = {
  sandboxPolicy?: SandboxPolicy | null
}

export type SandboxCheckHostResponse = {
  ok: true
  enforcement: {
    backend: string
    layers: unknown[]
    degraded: string[]
    notes: string[]
    [more: string]: unknown
  }
} | {
  ok: false
  missing: {
    rule?: string
    layer: string
    reason: string
    remedy: string
  }[]
}

export type SandboxGrantParams = {
  permissions: {
    fileSystem?: {
      read?: string[] | null
      write?: string[] | null
      [more: string]: unknown
    } | null
    network?: {
      enabled?: boolean | null
      [more: string]: unknown
    } | null
    [more: string]: unknown
  }
  sandboxPolicy?: SandboxPolicy | null
}

export type SandboxGrantResponse = {
  changed: boolean
  notes: string[]
}

export type SandboxSessionStartParams = {
  command: string[]
  cwd?: string | null
  env?: Record<string, string | null> | null
  tty?: boolean | null
  size?: {
    rows: number
    cols: number
  } | null
  sandboxPolicy?: SandboxPolicy | null
  yieldTimeMs?: number | null
  maxOutputBytes?: number | null
}

export type SandboxSessionStartResponse = {
  sessionId: number
  state: "running" | "left" | "ended"
  exitCode: number | null
  signal: string | null
  output: string
  dropped: number
  more: boolean
  wallTimeMs: number
}

export type SandboxSessionWriteParams = {
  sessionId: number
  chars?: string | null
  deltaBase64?: string | null
  closeStdin?: boolean | null
  yieldTimeMs?: number | null
  maxOutputBytes?: number | null
}

export type SandboxSessionWriteResponse = {
  sessionId: number
  state: "running" | "left" | "ended"
  exitCode: number | null
  signal: string | null
  output: string
  dropped: number
  more: boolean
  wallTimeMs: number
}

export type SandboxSessionPollParams = {
  sessionId: number
  yieldTimeMs?: number | null
  maxOutputBytes?: number | null
}

export type SandboxSessionPollResponse = {
  sessionId: number
  state: "running" | "left" | "ended"
  exitCode: number | null
  signal: string | null
  output: string
  dropped: number
  more: boolean
  wallTimeMs: number
}

export type SandboxSessionResizeParams = {
  sessionId: number
  size: {
    rows: number
    cols: number
  }
}

export type SandboxSessionResizeResponse = Record<string, never>

export type SandboxSessionKillParams = {
  sessionId: number
  graceMs?: number | null
}

export type SandboxSessionKillResponse = {
  exitCode: number | null
  signal: string | null
}

export type SandboxSessionListParams = {
  all?: boolean | null
  lines?: number | null
}

export type SandboxSessionListResponse = {
  sessions: {
    sessionId: number
    command: string[]
    cwd: string
    pid: number | null
    startedAtMs: number
    state: "running" | "left" | "ended"
    exitCode: number | null
    signal: string | null
    endedBy: string | null
    lastLines: string[]
    own: boolean
    client: string
  }[]
}

export type CommandExecutionRequestApprovalParams = {
  threadId: string
  turnId: string
  itemId: string
  startedAtMs: number
  approvalId?: string | null
  reason?: string | null
  command?: string | null
  cwd?: string | null
  commandActions?: unknown[] | null
  networkApprovalContext?: {
    host: string
    protocol: "http" | "https" | "socks5Tcp" | "socks5Udp"
  } | null
  proposedExecpolicyAmendment?: string[] | null
  proposedNetworkPolicyAmendments?: {
    host: string
    action: "allow" | "deny"
  }[] | null
  additionalPermissions?: {
    fileSystem?: {
      read?: string[] | null
      write?: string[] | null
      [more: string]: unknown
    } | null
    network?: {
      enabled?: boolean | null
      [more: string]: unknown
    } | null
    [more: string]: unknown
  } | null
  availableDecisions?: ("accept" | "acceptForSession" | "decline" | "cancel" | {
    acceptWithExecpolicyAmendment: {
      execpolicy_amendment: string[]
    }
  } | {
    applyNetworkPolicyAmendment: {
      network_policy_amendment: {
        host: string
        action: "allow" | "deny"
      }
    }
  })[] | null
}

export type CommandExecutionRequestApprovalResponse = {
  decision: "accept" | "acceptForSession" | "decline" | "cancel" | {
    acceptWithExecpolicyAmendment: {
      execpolicy_amendment: string[]
    }
  } | {
    applyNetworkPolicyAmendment: {
      network_policy_amendment: {
        host: string
        action: "allow" | "deny"
      }
    }
  }
}

export type CommandExecOutputDeltaNotification = {
  processId: string
  stream: "stdout" | "stderr"
  deltaBase64: string
  capReached: boolean
}

export type WindowsSandboxSetupCompletedNotification = {
  mode: "elevated" | "unelevated"
  success: boolean
  error: string | null
}

export type WindowsWorldWritableWarningNotification = {
  samplePaths: string[]
  extraCount: number
  failedScan: boolean
}

export type ConfigWarningNotification = {
  summary: string
  details: string | null
}

export type ItemStartedNotification = {
  threadId: string
  turnId: string
  item: {
    type: "commandExecution"
    id: string
    command: string[]
    cwd: string
    status: "inProgress" | "completed" | "failed" | "declined"
    exitCode: number | null
  }
}

export type ItemCompletedNotification = {
  threadId: string
  turnId: string
  item: {
    type: "commandExecution"
    id: string
    command: string[]
    cwd: string
    status: "inProgress" | "completed" | "failed" | "declined"
    exitCode: number | null
  }
}

export type ServerRequestResolvedNotification = {
  threadId: string
  requestId: string | number
}

export type SandboxCommandReportNotification = {
  requestId: string | number
  processId: string | null
  report: {
    exitCode: number
    signal: string | null
    timedOut: boolean
    cancelled: boolean
    durationMs: number
    usage: {
      cpuMs: number
      maxRssBytes: number
    }
    dropped: {
      stdout: number
      stderr: number
    }
    denials: {
      kind: string
      operation: string
      message: string
      [more: string]: unknown
    }[]
    ended: {
      pid: number
      name: string
    }[]
    enforcement: {
      backend: string
      layers: unknown[]
      degraded: string[]
      notes: string[]
      [more: string]: unknown
    }
    ignored: {
      field: string
      value: string
      reason: string
      [more: string]: unknown
    }[]
    [more: string]: unknown
  }
}

/** What a client asks. */
export interface ClientRequests {
  "initialize": { params: InitializeParams; response: InitializeResponse }
  "command/exec": { params: CommandExecParams; response: CommandExecResponse }
  "command/exec/write": { params: CommandExecWriteParams; response: CommandExecWriteResponse }
  "command/exec/resize": { params: CommandExecResizeParams; response: CommandExecResizeResponse }
  "command/exec/terminate": { params: CommandExecTerminateParams; response: CommandExecTerminateResponse }
  "windowsSandbox/setupStart": { params: WindowsSandboxSetupStartParams; response: WindowsSandboxSetupStartResponse }
  "windowsSandbox/readiness": { params: WindowsSandboxReadinessParams; response: WindowsSandboxReadinessResponse }
  "config/read": { params: ConfigReadParams; response: ConfigReadResponse }
  "configRequirements/read": { params: ConfigRequirementsReadParams; response: ConfigRequirementsReadResponse }
  "sandbox/runCommand": { params: SandboxRunCommandParams; response: SandboxRunCommandResponse }
  "sandbox/explain": { params: SandboxExplainParams; response: SandboxExplainResponse }
  "sandbox/checkHost": { params: SandboxCheckHostParams; response: SandboxCheckHostResponse }
  "sandbox/grant": { params: SandboxGrantParams; response: SandboxGrantResponse }
  "sandbox/session/start": { params: SandboxSessionStartParams; response: SandboxSessionStartResponse }
  "sandbox/session/write": { params: SandboxSessionWriteParams; response: SandboxSessionWriteResponse }
  "sandbox/session/poll": { params: SandboxSessionPollParams; response: SandboxSessionPollResponse }
  "sandbox/session/resize": { params: SandboxSessionResizeParams; response: SandboxSessionResizeResponse }
  "sandbox/session/kill": { params: SandboxSessionKillParams; response: SandboxSessionKillResponse }
  "sandbox/session/list": { params: SandboxSessionListParams; response: SandboxSessionListResponse }
}

/** What the service asks. */
export interface ServerRequests {
  "item/commandExecution/requestApproval": { params: CommandExecutionRequestApprovalParams; response: CommandExecutionRequestApprovalResponse }
}

/** What the service tells. */
export interface ServerNotifications {
  "command/exec/outputDelta": CommandExecOutputDeltaNotification
  "windowsSandbox/setupCompleted": WindowsSandboxSetupCompletedNotification
  "windows/worldWritableWarning": WindowsWorldWritableWarningNotification
  "configWarning": ConfigWarningNotification
  "item/started": ItemStartedNotification
  "item/completed": ItemCompletedNotification
  "serverRequest/resolved": ServerRequestResolvedNotification
  "sandbox/commandReport": SandboxCommandReportNotification
}

/** What a client tells. */
export interface ClientNotifications {
  initialized: undefined
}
