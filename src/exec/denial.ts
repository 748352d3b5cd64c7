// A denial as data: what was tried, what decided, and the smallest change that would permit it.
import type { Access, Remedy } from '../policy/decision.js'
import type { PathRule } from '../policy/resolved-policy.js'

export type DenialOperation = Access['kind'] | 'system-call'

export interface Denial {
  readonly kind: 'file' | 'network' | 'unix-socket' | 'system-call'
  readonly operation: DenialOperation
  /** For files and unix sockets; absent where the program may not be looked into, and so its path is not known. */
  readonly path?: string
  /** For the network. */
  readonly host?: string
  readonly port?: number
  /** Of a connection that the proxy refused: how it was asked for. */
  readonly protocol?: 'http' | 'https' | 'socks5Tcp'
  /** Of a plain HTTP request. */
  readonly method?: string
  /** For system calls: the name, with what of its arguments was refused. */
  readonly call?: string
  /** What was denied, by what, and how to allow it: one line, as `explain` has it. */
  readonly message: string
  /** The path rule that decided, where one did. */
  readonly rule?: PathRule
  readonly remedy: Remedy
  readonly pid?: number
  readonly program?: string
  /**
   * `refused`: the launcher itself refused it. `observed`: it was tried, and the policy denies it; the kernel's own answer is not
   * seen. `reported`: the command said so on stderr, and the policy does deny it.
   */
  readonly certainty: 'refused' | 'observed' | 'reported'
}

/** Denials with one key are one. */
export const keyOf = ({ operation, path, host, port, call, program }: Denial): string =>
  `${operation} ${path ?? (host === undefined ? call ?? `by ${program}` : `${host}:${port}`)}`
