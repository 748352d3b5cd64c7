// The options of the public API are checked: an unknown, a wrong and a not yet supported one are errors, never ignored.
import { constants } from 'node:os'
import { isAbsolute } from 'node:path'
import type { Readable } from 'node:stream'
import type { CommandApprovalOptions } from '../approval/command-approvals.js'
import { SandboxError } from '../errors.js'
import { DEGRADATIONS, LINUX_BACKENDS, RUNGS, WINDOWS_MODES } from '../platform/launch-plan.js'
import { isRecord } from '../policy/record.js'
import type { Limits } from '../policy/sandbox-policy.js'
import type { ApprovalChoice, CommandOptions, ExecOptions, OutputOptions, SandboxOptions, SessionOptions, ShellChoice, SpawnOptions } from './options.js'

/** Undefined: valid. Else what it must be. */
type Check = (value: unknown) => string | undefined

const anything: Check = () => undefined
const string: Check = value => typeof value === 'string' ? undefined : 'it must be a string'
const boolean: Check = value => typeof value === 'boolean' ? undefined : 'it must be true or false'
export const wholeNumber: Check = value => Number.isSafeInteger(value) && (value as number) >= 0 ? undefined : 'it must be a whole number, 0 or more'
/** setTimeout takes no more. */
const milliseconds: Check = value => wholeNumber(value) ?? ((value as number) < 2 ** 31 ? undefined : 'it must be less than 2^31')
const oneOf = (...values: readonly string[]): Check => value => values.includes(value as string) ? undefined : `it must be one of ${values.join(', ')}`
const record: Check = value => isRecord(value) ? undefined : 'it must be an object'
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
