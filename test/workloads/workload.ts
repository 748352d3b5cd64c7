// What a row of the table says, and what its test has to look at from outside.
import type { Rung } from '../../src/platform/launch-plan.js'
import type { PolicyInput } from '../../src/policy/schema.js'

export interface Workload {
  /** What works, as a sentence. */
  readonly name: string
  /** Programs without which it is skipped; one with a slash is looked for from the repository on. */
  readonly needs: readonly string[]
  /** Only there. */
  readonly on?: Rung
  /** Why it may not be possible for this user or on this machine; then it is skipped. */
  readonly unless?: (place: Place) => string | undefined
  /** Made before the sandbox, from outside. All of it is given to the user who runs the command. */
  readonly given?: (place: Place) => void
  /** A script for `sh -eu`, or whole arguments. */
  readonly run: string | readonly string[]
  /** Default: workspace-write. */
  readonly policy?: PolicyInput | ((place: Place) => PolicyInput)
  readonly env?: Readonly<Record<string, string>>
  readonly stdin?: string | Uint8Array
  /** Runs on a terminal of this size. */
  readonly terminal?: { readonly rows: number; readonly cols: number }
  /** The whole of stdout, or what it is hashed to. Default: nothing. */
  readonly prints?: string | RegExp | { readonly bytes: number; readonly sha256: string }
  /** The whole of stderr. Default: nothing. */
  readonly complains?: RegExp
  /** Default: 0. */
  readonly exits?: number
  /** Names of processes that it leaves behind, which the sandbox ends. Without it there may be any, such as a helper that is just ending. */
  readonly leaves?: readonly string[]
  /** Whether the sandbox has to report a denial. Default: it must report none but those of `tolerates`. */
  readonly denied?: true
  /** Each denial that the program meets without harm, as `operation path` or `system-call name`; all others are failures. */
  readonly tolerates?: RegExp
  /** Looks at what it did, after the sandbox is closed; throws where that is wrong. */
  readonly seen?: (place: Place) => void
  /** What takes the place of the above on the supervised rung, and why. */
  readonly supervised?: Partial<Omit<Workload, 'name' | 'needs' | 'supervised' | 'bwrap'>> & { readonly why: string }
  /** The same inside bwrap. */
  readonly bwrap?: 'as supervised' | Partial<Omit<Workload, 'name' | 'needs' | 'supervised' | 'bwrap'>> & { readonly why: string }
}

/** What a name lookup meets: a resolver that nobody answers for; without a network namespace not even a socket to ask it by. */
export const LOOKUP = 'connect .*:53|system-call socket\\(AF_INET6?, SOCK_DGRAM\\)'

/** A row that serves on the loopback: on the supervised rung its program is told at once that there is none, and so is the caller. */
export const withoutLoopback = (rest: Omit<NonNullable<Workload['supervised']>, 'why' | 'denied'>): Pick<Workload, 'supervised'> =>
  ({ supervised: { why: 'with the network off there is no loopback without a network namespace', denied: true, prints: '', ...rest } })

/** The workspace of one row, as the user who runs it has it. */
export interface Place {
  /** A path in the workspace; the workspace itself without a name. */
  path(name?: string): string
  /** Beside the workspace: outside of every writable root. */
  beside(name: string): string
  read(name: string): string
  /** Makes the folders that it needs. */
  write(name: string, content: string | Uint8Array, mode?: number): void
  exists(name: string): boolean
  /** Runs a program outside of the sandbox as the same user, in the workspace. Throws unless it succeeds. */
  host(program: string, ...args: string[]): string
  /** Of the user who runs the command. */
  readonly uid: number
}

/** A script as a file, so that a table shows it as its language has it. */
export const lines = (text: TemplateStringsArray, ...values: readonly (string | number)[]): string => {
  const all = String.raw(text, ...values).replace(/^\n/, '').split('\n')
  const indent = Math.min(...all.filter(line => line.trim() !== '').map(line => line.length - line.trimStart().length))
  return all.map(line => line.slice(indent)).join('\n').trimEnd()
}
