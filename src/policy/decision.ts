// The answer of `decide`: one shape for each outcome, so that a caller cannot read `rule` where none decided.
import type { HostVerdict } from './domains.js'
import type { PathRule } from './resolved-policy.js'

export type FileAccess = 'read' | 'write' | 'create' | 'remove' | 'execute'

/** `path` is absolute; take it through the host's symlinks (`followLinks`) first where it may have any. */
export type Access =
  | { readonly kind: FileAccess; readonly path: string }
  | { readonly kind: 'connect' | 'bind'; readonly host: string; readonly port: number }
  | { readonly kind: 'unix-connect'; readonly path: string }

/** One edit of the policy input. `value` of `add` is spelled as the field wants it: special characters of globs are escaped. */
export type PolicyChange =
  | { readonly operation: 'add'; readonly field: 'read' | 'write'; readonly value: string }
  | { readonly operation: 'add'; readonly field: 'network.allowedDomains' | 'network.allowUnixSockets'; readonly value: string }
  | { readonly operation: 'remove'; readonly field: string }
  | { readonly operation: 'set'; readonly field: 'networkAccess'; readonly value: true }
  | { readonly operation: 'set'; readonly field: 'git'; readonly value: 'commits' }

/** The smallest change that would permit an access, in a form that the next call accepts unchanged. */
export interface Remedy {
  /** For people: `add "/x" to write`. */
  readonly text: string
  /** For the command line: `['--write', '/x']`. Empty where no flag can say it. */
  readonly flags: readonly string[]
  /** The same as edits of the policy; all of them together permit the access. Empty where nothing does. */
  readonly changes?: readonly PolicyChange[]
  /** For `additionalPermissions` and `grant`, where these can say it. */
  readonly additionalPermissions?: { readonly fileSystem?: { readonly read?: readonly string[]; readonly write?: readonly string[] }; readonly network?: { readonly enabled?: boolean; readonly allowedDomains?: readonly string[] } }
}

export type Decision =
  | { readonly verdict: 'allow'; readonly rule: PathRule | undefined }
  | { readonly verdict: 'deny'; readonly because: 'rule'; readonly rule: PathRule; readonly remedy: Remedy }
  | { readonly verdict: 'deny'; readonly because: 'glob'; readonly pattern: string; readonly remedy: Remedy }
  | { readonly verdict: 'deny'; readonly because: 'protected'; readonly rule: PathRule; readonly owner: string; readonly remedy: Remedy }
  | { readonly verdict: 'deny'; readonly because: 'no-rule'; readonly nearest: string | undefined; readonly remedy: Remedy }
  | { readonly verdict: 'deny'; readonly because: 'host'; readonly host: HostRefusal; readonly remedy: Remedy }
  | { readonly verdict: 'deny'; readonly because: 'network-off' | 'unix-socket'; readonly remedy: Remedy }

/** `ask`: no rule names the host, and nobody was asked. */
export type HostRefusal = Exclude<HostVerdict, { readonly verdict: 'allow' }>
