// What the configuration says, as the service needs it: the policy where a request names none, what requirements forbid, and the
// answers of config/read and configRequirements/read.
import type { SandboxPolicy } from '../policy/sandbox-policy.js'
import { presetPolicy } from '../policy/presets.js'
import { invalidRequest } from './rpc-error.js'

export interface Configuration {
  /** Where a request names no policy. */
  policy(): SandboxPolicy
  /** Modes that requirements allow; undefined: all. */
  readonly allowedModes: readonly string[] | undefined
  /** Of an empty poll of a background terminal, in milliseconds. */
  readonly longestPollMs: number
  /** What a reader should know: values that were ignored, or changed by requirements. */
  readonly warnings: readonly string[]
}

export const LONGEST_POLL_MS = 300_000

/** Where there is none. */
export const NO_CONFIGURATION: Configuration = { policy: () => presetPolicy('read-only', 'reference'), allowedModes: undefined, longestPollMs: LONGEST_POLL_MS, warnings: [] }

/** An explicit choice that conflicts with requirements is an error, as the reference has it. @throws RpcError -32600 */
export function refuseForbidden({ mode }: SandboxPolicy, { allowedModes }: Pick<Configuration, 'allowedModes'>): void {
  if (allowedModes === undefined || allowedModes.includes(mode)) return
  throw invalidRequest(`invalid sandbox policy: ${mode} is not in the set of allowed modes: ${allowedModes.join(', ')} (requirements)`)
}

export async function readConfig(_cwd: string, _includeLayers: boolean) {
  return { config: {}, origins: {} }
}

export async function readRequirements(_cwd: string) {
  return { requirements: null }
}

export async function readConfiguration(_cwd: string): Promise<Configuration> {
  return NO_CONFIGURATION
}
