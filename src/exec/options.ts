// The options of the public API, and their checks: an unknown, a wrong and a not yet supported one are errors, never ignored.
import { constants } from 'node:os'
import { isAbsolute } from 'node:path'
import type { Readable } from 'node:stream'
import { SandboxError } from '../errors.js'
import { DEGRADATIONS, type DegradationName, type Observation, LINUX_BACKENDS, type LinuxBackend, RUNGS, type Rung, WINDOWS_MODES, type WindowsMode } from '../platform/launch-plan.js'
import type { AdditionalPermissions } from '../policy/additional-permissions.js'
import type { Limits, SandboxPolicy } from '../policy/sandbox-policy.js'
import type { PolicyInput } from '../policy/schema.js'
import type { OnApproval, SandboxPermissions } from '../approval/approval-request.js'
import type { CommandApprovalOptions } from '../approval/command-approvals.js'
import type { Denial } from './denial.js'
import type { CommandNetwork } from './network/narrowing.js'
import type { Encoding, OutputOf } from './result.js'

export interface SandboxOptions {
  /** A preset's name or a policy in any of its forms. Default: `workspace-write`. */
  readonly policy?: PolicyInput
  /** The policy's cwd, which is writable under `workspace-write`. Default: the process's. */
  readonly cwd?: string
  /** Go on where this host cannot hold these; each result names them. */
  readonly allowDegraded?: readonly DegradationName[]
  /**
   * What of commands' accesses is watched, so that a denial names its exact path. Default: `writes`, which costs next to nothing;
   * `reads` where the policy restricts reading as a whole. Without it, denials are read from stderr. On macOS it is off unless said:
   * the system's log has to be read there, a process for each sandbox and half a second at the end of each command.
   */
  readonly observe?: Observation
  /** Linux: hold the policy this way, and refuse where this machine cannot. Default: the strongest that it can. */
  readonly rung?: Rung
  /**
   * Linux: `linux-bwrap` has bubblewrap make the namespaces and mounts, with the launcher inside for the rest (docs/bwrap.md). Default:
   * `linux-native`, the launcher alone, which holds the same, faster and on more hosts.
   */
  readonly backend?: LinuxBackend
  /** Windows: which of the two ways to confine. Default: `elevated`, which holds the network and denied reads as well, and has to be set up once. */
  readonly windowsMode?: WindowsMode
  /** Refuse unless every limit that is asked for is held exactly: the policy's at the start, a command's own when it is run. */
  readonly requireLimits?: boolean
  /**
   * Asked about a host that no rule names, once for each host, protocol and port at a time. Anything but one of the request's
   * `availableDecisions` denies, as do a throw and no answer in time. Without it such hosts are denied. Denied hosts, and addresses that are not
   * public, are never asked about. While it waits, the command's own `timeoutMs` stands still.
   */
  readonly onApproval?: OnApproval
  /**
   * Commands are decided about before they run, by rules and an approval policy, and `onApproval` is asked about those that have to be:
   * docs/approvals.md. Without it every command runs, as whoever calls `exec` decided already.
   */
  readonly approvals?: CommandApprovalOptions
  /** How long an answer may take. Default: 300,000. */
  readonly approvalTimeoutMs?: number
  /** Java programs are told of the proxy too, by JAVA_TOOL_OPTIONS; each of them says so on stderr. Default: false. */
  readonly javaProxy?: boolean
  /** Accept `/` and home folders as writable roots. */
  readonly allowBroadRoots?: boolean
  /**
   * A copy of the package's launcher, for a program that this package is bundled into: absolute, outside every writable root.
   * Default: CODEX_SANDBOX_LAUNCHER, else the package's own.
   */
  readonly launcherPath?: string
  /** The SHA-256 in hex that the file at `launcherPath` must have. Default: that of the launcher that this package was built with. */
  readonly launcherSha256?: string
}

/** What `createSandbox` also takes from inside this package: a policy that was parsed already. */
export interface ParsedSandboxOptions extends Omit<SandboxOptions, 'policy'> {
  readonly policy: SandboxPolicy
  /** Paths that stay read-only whatever the roots, beside the package's own: what the embedding program runs or believes, such as its socket. */
  readonly selfPaths?: readonly string[]
}

export interface OutputOptions<E extends Encoding = Encoding> {
  /** Kept of each stream. Default: 1 MiB. */
  readonly maxBytes?: number
  /** Which part is kept where there is more. Default: `both` ends. */
  readonly keep?: 'head' | 'tail' | 'both'
  /**
   * A file on the host for all of the output, both streams in order of arrival, whatever `maxBytes` says. Written by this process and
   * not by the command; no symbolic link is followed on the way to it. Replaced where it exists. Relative to the policy's cwd.
   */
  readonly file?: string
  /** Default: `text`, UTF-8 in which U+FFFD stands for invalid bytes, and a line where something was dropped. */
  readonly encoding?: E
}

/**
 * Called for each piece of output, one call at a time: the command waits when a returned promise takes long. The piece is text, in which
 * no code point is split, or a Buffer with `encoding: 'bytes'`.
 */
export type OutputListener<E extends Encoding = 'text'> = (chunk: OutputOf<E>, stream: 'stdout' | 'stderr') => unknown

export interface CommandOptions<E extends Encoding = Encoding> {
  /** Absolute, or relative to the policy's cwd, which is the default. */
  readonly cwd?: string
  /** Merged over the environment that the policy gives; null removes. */
  readonly env?: Readonly<Record<string, string | null | undefined>>
  readonly timeoutMs?: number
  /** Ends it, as a time-out does, when it has written nothing for so long. Time in which its output waits for the caller does not count. */
  readonly idleTimeoutMs?: number
  /** Between SIGTERM and SIGKILL, after a time-out or an abort. Default: 2000. */
  readonly killGraceMs?: number
  readonly signal?: AbortSignal
  readonly output?: OutputOptions<E>
  /** Called while the command runs, once for each denial that the launcher sees; and at its end for those that only stderr told. */
  readonly onDenial?: (denial: Denial) => void
  /** May only narrow the policy's. */
  readonly limits?: Limits
  /**
   * What becomes of the processes that are left when the command itself has ended. `kill` (the default): they are ended, and named in
   * `ended`. `keep`: they go on as a session (`session` of the result, `sandbox.sessions`) until they end, are killed, or the sandbox
   * closes. After a time-out or an abort nothing is kept.
   */
  readonly background?: 'kill' | 'keep'
  /**
   * Narrows this command's way to the network: of what the sandbox permits, only these hosts, and nobody is asked about others. It gets
   * a network namespace and a proxy of its own, so that it shares no loopback with the others.
   */
  readonly network?: CommandNetwork
  /** Widens this command alone, in the form of a denial's `remedy.additionalPermissions`. It shares no loopback with the others. */
  readonly additionalPermissions?: AdditionalPermissions
}

export interface ExecOptions<E extends Encoding = Encoding> extends CommandOptions<E> {
  /** Default: at its end from the start. */
  readonly stdin?: string | Uint8Array | Readable | AsyncIterable<string | Uint8Array>
  readonly onOutput?: OutputListener<E>
}

/** Of `exec` and `shell` in a sandbox with `approvals`. */
export interface ApprovalChoice {
  /**
   * `require_escalated`: without the sandbox, which is always asked about. `with_additional_permissions`: with `additionalPermissions`,
   * which are asked about too. Default: that where there are any, else `use_default`.
   */
  readonly sandboxPermissions?: SandboxPermissions
  /** Shown to whoever is asked. */
  readonly justification?: string
  /** The beginning of the command that a rule could be made of. */
  readonly prefixRule?: readonly string[]
}

export interface SpawnOptions<E extends Encoding = Encoding> extends CommandOptions<E> {
  /** Default: `pipe`. `empty`: at its end from the start. */
  readonly stdin?: 'pipe' | 'empty'
  /** A terminal made inside, for stdin, stdout and stderr. */
  readonly tty?: boolean | { readonly rows: number; readonly cols: number }
}

/** A shell by its name (`bash`, `sh`, `zsh`, `fish`, `pwsh`, `cmd`, …) or path, and whether it reads the profile as a login shell does. */
export interface ShellChoice {
  /** Default: `bash` where there is one inside, else `sh`. */
  readonly shell?: string
  /** Default: false. */
  readonly login?: boolean
}
export type ShellOptions<E extends Encoding = Encoding> = ExecOptions<E> & ShellChoice
export type SpawnShellOptions<E extends Encoding = Encoding> = SpawnOptions<E> & ShellChoice

/** Of a command that begins in the background. */
export interface SessionOptions extends Pick<CommandOptions, 'cwd' | 'env' | 'limits' | 'additionalPermissions' | 'network'> {
  /** Default: `pipe`, for `sessions.write`. `empty`: at its end from the start. */
  readonly stdin?: 'pipe' | 'empty'
  /** A terminal made inside. */
  readonly tty?: boolean | { readonly rows: number; readonly cols: number }
}

/** Undefined: valid. Else what it must be. */
type Check = (value: unknown) => string | undefined

const anything: Check = () => undefined
const string: Check = value => typeof value === 'string' ? undefined : 'it must be a string'
const boolean: Check = value => typeof value === 'boolean' ? undefined : 'it must be true or false'
export const wholeNumber: Check = value => Number.isSafeInteger(value) && (value as number) >= 0 ? undefined : 'it must be a whole number, 0 or more'
/** setTimeout takes no more. */
const milliseconds: Check = value => wholeNumber(value) ?? ((value as number) < 2 ** 31 ? undefined : 'it must be less than 2^31')
const oneOf = (...values: readonly string[]): Check => value => values.includes(value as string) ? undefined : `it must be one of ${values.join(', ')}`
const record: Check = value => typeof value === 'object' && value !== null && !Array.isArray(value) ? undefined : 'it must be an object'
const callback: Check = value => typeof value === 'function' ? undefined : 'it must be a function'
const listOf = (...values: readonly string[]): Check => value =>
  Array.isArray(value) && value.every(each => values.includes(each as string)) ? undefined : `it must be a list of ${values.join(', ')}`

const sha256: Check = value => typeof value === 'string' && /^[0-9a-f]{64}$/i.test(value) ? undefined : 'it must be 64 hexadecimal digits'

const abortSignal: Check = value =>
  typeof value === 'object' && value !== null && 'aborted' in value && 'addEventListener' in value ? undefined : 'it must be an AbortSignal'

const input: Check = value =>
  typeof value === 'string' || value instanceof Uint8Array || isReadable(value) || isAsyncIterable(value)
    ? undefined
    : 'it must be a string, bytes, a readable stream or an async iterable'

const size: Check = value => {
  if (typeof value === 'boolean') return undefined
  const { rows, cols } = (value ?? {}) as { rows?: unknown; cols?: unknown }
  return isTerminalSize(rows) && isTerminalSize(cols) ? undefined : 'it must be true, or {rows, cols} from 0 to 65535'
}

/** The size of `tty`, undefined without one. */
export function terminalSize(tty: SpawnOptions['tty']): { rows: number; cols: number } | undefined {
  if (tty === undefined || tty === false) return undefined
  return tty === true ? DEFAULT_SIZE : { rows: tty.rows, cols: tty.cols }
}
const DEFAULT_SIZE = { rows: 24, cols: 80 }

export const isTerminalSize = (value: unknown): value is number => Number.isInteger(value) && (value as number) >= 0 && (value as number) <= 0xffff

export const isReadable = (value: unknown): value is Readable =>
  typeof value === 'object' && value !== null && typeof (value as Readable).pipe === 'function' && typeof (value as Readable).on === 'function'

const isAsyncIterable = (value: unknown): value is AsyncIterable<unknown> => typeof value === 'object' && value !== null && Symbol.asyncIterator in value

const LIMIT_CHECKS: Record<keyof Limits, Check> = { memoryBytes: wholeNumber, pids: wholeNumber, cpuSeconds: wholeNumber, openFiles: wholeNumber, fileSizeBytes: wholeNumber }
const OUTPUT_CHECKS: Record<keyof OutputOptions, Check> = { maxBytes: wholeNumber, keep: oneOf('head', 'tail', 'both'), file: string, encoding: oneOf('text', 'bytes') }
const COMMAND_CHECKS: Record<keyof CommandOptions, Check> = {
  cwd: string, env: record, timeoutMs: milliseconds, idleTimeoutMs: milliseconds, killGraceMs: milliseconds, signal: abortSignal, output: record, onDenial: callback, limits: record,
  background: oneOf('kill', 'keep'), additionalPermissions: record, network: record,
}
const SANDBOX_CHECKS: Record<keyof SandboxOptions, Check> = {
  policy: anything, cwd: string, allowDegraded: listOf(...Object.keys(DEGRADATIONS)), rung: oneOf(...RUNGS), backend: oneOf(...LINUX_BACKENDS), windowsMode: oneOf(...WINDOWS_MODES), observe: oneOf('off', 'writes', 'reads'), requireLimits: boolean,
  allowBroadRoots: boolean, launcherPath: string, launcherSha256: sha256, onApproval: callback, approvals: record, approvalTimeoutMs: milliseconds, javaProxy: boolean,
}
const absolute: Check = value => typeof value === 'string' && isAbsolute(value) ? undefined : 'it must be an absolute path'
/** `approvalPolicy` and `requiredRules` have checks of their own, where they are read. */
const APPROVAL_CHECKS: Record<keyof CommandApprovalOptions, Check> = {
  approvalPolicy: anything, codexHome: absolute, trustedFolders: value => Array.isArray(value) && value.every(each => absolute(each) === undefined) ? undefined : 'it must be a list of absolute paths',
  requiredRules: value => Array.isArray(value) ? undefined : 'it must be a list of rules', allowLoginShell: boolean, answerWithinMs: milliseconds,
}
const EXEC_CHECKS: Record<keyof ExecOptions, Check> = { ...COMMAND_CHECKS, stdin: input, onOutput: callback }
const SPAWN_CHECKS: Record<keyof SpawnOptions, Check> = { ...COMMAND_CHECKS, stdin: oneOf('pipe', 'empty'), tty: size }
const SESSION_CHECKS: Record<keyof SessionOptions, Check> = { cwd: string, env: record, limits: record, additionalPermissions: record, network: record, stdin: oneOf('pipe', 'empty'), tty: size }
const SHELL_CHECKS: Record<keyof ShellChoice, Check> = { shell: string, login: boolean }

/** @throws SandboxError `option_invalid`, `field` = the option */
export function checkSandboxOptions(options: SandboxOptions): void {
  checkAll(options, SANDBOX_CHECKS, '')
  if (options.approvals !== undefined) checkAll(options.approvals, APPROVAL_CHECKS, 'approvals.')
}
export const checkExecOptions = (options: ExecOptions): void => checkCommand(options, EXEC_CHECKS)
export const checkSpawnOptions = (options: SpawnOptions): void => checkCommand(options, SPAWN_CHECKS)
export const checkSessionOptions = (options: SessionOptions): void => checkCommand(options, SESSION_CHECKS)

/**
 * Of `shell` and `spawnShell`: takes out what is for the shell itself.
 *
 * @throws SandboxError `argument_invalid` for the script, `option_invalid`
 */
export function takeShellChoice<Options extends ShellChoice>(script: unknown, options: Options): { choice: ShellChoice; rest: Omit<Options, keyof ShellChoice> } {
  if (typeof script !== 'string' || script.includes('\0')) throw new SandboxError('argument_invalid', { field: 'script', value: script }, { remedy: 'Give a string without NUL.' })
  if (record(options) !== undefined) throw invalid('options', options, 'it must be an object')
  const { shell, login, ...rest } = options
  const choice: ShellChoice = { ...(shell === undefined ? undefined : { shell }), ...(login === undefined ? undefined : { login }) }
  checkAll(choice, SHELL_CHECKS, '')
  return { choice, rest }
}

/** @throws SandboxError `option_invalid` */
export function signalNumber(signal: NodeJS.Signals | number): number {
  const number = typeof signal === 'number' ? signal : constants.signals[signal]
  if (Number.isInteger(number) && number >= 0 && number <= 64) return number
  throw new SandboxError('option_invalid', { field: 'signal', value: signal }, { detail: 'there is no such signal' })
}

/** @throws SandboxError `argument_invalid` */
export function checkArguments(argv: readonly string[]): void {
  if (!Array.isArray(argv) || argv.length === 0) throw new SandboxError('argument_invalid', { field: 'argv', value: argv })
  const wrong = argv.findIndex(argument => typeof argument !== 'string' || argument.includes('\0'))
  if (wrong !== -1) throw new SandboxError('argument_invalid', { field: `argv[${wrong}]`, value: argv[wrong] })
}

function checkCommand(options: Pick<CommandOptions, 'output' | 'limits'>, checks: Readonly<Record<string, Check>>): void {
  checkAll(options, checks, '')
  if (options.output !== undefined) checkAll(options.output, OUTPUT_CHECKS, 'output.')
  if (options.limits !== undefined) checkAll(options.limits, LIMIT_CHECKS, 'limits.')
}

/** Of `ApprovalChoice`, which is taken out before where there are approvals. */
const APPROVAL_CHOICES: ReadonlySet<string> = new Set<keyof ApprovalChoice>(['sandboxPermissions', 'justification', 'prefixRule'])

function checkAll(options: object, checks: Readonly<Record<string, Check>>, prefix: string): void {
  if (record(options) !== undefined) throw invalid('options', options, 'it must be an object')
  for (const [name, value] of Object.entries(options)) {
    const check = Object.hasOwn(checks, name) ? checks[name] : undefined
    if (check === undefined) throw invalid(prefix + name, value, APPROVAL_CHOICES.has(name) ? 'it belongs to exec and shell of a sandbox that was made with approvals' : `there is no such option; there are ${Object.keys(checks).join(', ')}`)
    const wrong = value === undefined ? undefined : check(value)
    if (wrong !== undefined) throw invalid(prefix + name, value, wrong)
  }
}

function invalid(field: string, value: unknown, detail: string): SandboxError {
  return new SandboxError('option_invalid', { field, value: printable(value) }, { detail, remedy: 'Correct it or leave it out.' })
}

/** Anything may be given; an error message is made of it all the same. */
function printable(value: unknown): unknown {
  if (typeof value === 'function' || typeof value === 'bigint' || typeof value === 'symbol') return String(value)
  if (typeof value !== 'object' || value === null) return value
  return Array.isArray(value) || Object.getPrototypeOf(value) === Object.prototype ? shallow(value) : `a ${value.constructor?.name ?? 'object'}`
}

const shallow = (value: object): unknown => Object.values(value).every(each => typeof each !== 'object' && typeof each !== 'bigint') ? value : Object.keys(value)
