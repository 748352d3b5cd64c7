// Errors as a client gets them, and how those of the library become them.
import type * as z from 'zod/mini'
import { SandboxError } from '../errors.js'

/** JSON-RPC's numbers, as the reference uses them. */
export const CODE = {
  /** The request as a whole: its shape, its place in the order of things, a process that is not there. */
  invalidRequest: -32600,
  methodNotFound: -32601,
  /** One parameter, which the message names. */
  invalidParams: -32602,
  internal: -32603,
  /** Nothing was begun: ask again after `data.retryAfterMs`. */
  overloaded: -32001,
} as const

export class RpcError extends Error {
  override readonly name = 'RpcError'
  readonly code: number
  readonly data: Readonly<Record<string, unknown>> | undefined

  constructor(code: number, message: string, data?: Readonly<Record<string, unknown>>, options?: ErrorOptions) {
    super(message, options)
    this.code = code
    this.data = data
  }
}

export const invalidRequest = (message: string): RpcError => new RpcError(CODE.invalidRequest, message)
export const invalidParams = (message: string, data?: Readonly<Record<string, unknown>>): RpcError => new RpcError(CODE.invalidParams, message, data)

const RETRY_AFTER_MS = 500
export const overloaded = (detail: string, retryAfterMs = RETRY_AFTER_MS): RpcError => new RpcError(CODE.overloaded, 'Server overloaded; retry later.', { retryAfterMs, detail })

/** What does not have the shape of the method's parameters. */
export function shapeError({ issues }: { readonly issues: readonly z.core.$ZodIssue[] }): RpcError {
  const issue = issues[0] as z.core.$ZodIssue
  const field = issue.path.length === 0 ? 'params' : issue.path.map((key, index) => typeof key === 'number' ? `[${key}]` : `${index === 0 ? '' : '.'}${String(key)}`).join('')
  return invalidRequest(`Invalid request: ${field}: ${wording(issue)}`)
}

function wording(issue: z.core.$ZodIssue): string {
  switch (issue.code) {
    case 'invalid_type':  return `invalid type, expected ${issue.expected}`
    case 'invalid_value': return `unknown variant, expected one of ${issue.values.map(value => JSON.stringify(value)).join(', ')}`
    case 'too_small':     return `it must be ${issue.minimum} or more`
    case 'too_big':       return `it must be ${issue.maximum} or less`
    default:              return 'it does not have the shape that is expected here'
  }
}

/** Codes of the library that are about the request as a whole: the reference refuses to read these. */
const UNREADABLE: readonly string[] = ['policy_invalid_value', 'path_not_absolute']
/** Of this host or of the sandbox, not of what the client sent. */
const INTERNAL: readonly string[] = [
  'self_not_protectable', 'layer_missing', 'platform_unsupported', 'launcher_not_found', 'launcher_not_known', 'set_up_failed', 'sandbox_closed', 'launcher_lost', 'files_lost',
]

/** Fields of the library that the wire calls otherwise, whatever the method. */
const WIRE_NAMES: readonly (readonly [RegExp, string])[] = [[/^argv\b/, 'command']]

const wireName = (field: string): string => WIRE_NAMES.reduce((name, [library, wire]) => name.replace(library, wire), field)

/**
 * @param field  under which name the client gave what the library calls otherwise
 */
export function rpcError(error: unknown, field?: string): RpcError {
  if (error instanceof RpcError) return error
  // A mistake of ours: its words may hold anything, and its place is of no use to a client.
  if (!(error instanceof SandboxError)) return new RpcError(CODE.internal, `internal error: ${error instanceof Error ? error.message : String(error)}`, undefined, { cause: error })
  const named = error.field === undefined ? error : error.renamed(field === undefined ? wireName(error.field) : error.field === 'policy' || error.field === field ? field : `${field}.${error.field}`)
  const data = {
    code: named.code, remedy: named.remedy,
    ...(named.field === undefined ? {} : { field: named.field }), ...(named.step === undefined ? {} : { step: named.step }), ...(named.path === undefined ? {} : { path: named.path }),
  }
  if (UNREADABLE.includes(named.code)) return new RpcError(CODE.invalidRequest, `Invalid request: ${named.message}`, data, { cause: error })
  return new RpcError(INTERNAL.includes(named.code) ? CODE.internal : CODE.invalidParams, named.message, data, { cause: error })
}
