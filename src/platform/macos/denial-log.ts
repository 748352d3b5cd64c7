// What the kernel's log says was denied, read from `log stream --style ndjson`. A tag of each command's own stands in its profile's
// denials, so that a record belongs to whom it names: processes of a command that left its group, or ended long ago, included.
import { type ChildProcess, spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import type { AccessOperation, AccessReport } from '../backend.js'

const LOG = '/usr/bin/log'
/** The kernel's own records, and those that sandboxd makes of repeated ones. */
const PREDICATE = '((processID == 0) AND (senderImagePath CONTAINS "/Sandbox")) OR (subsystem == "com.apple.sandbox.reporting")'
/** The first line that `log stream` prints says that it listens; where it never comes, commands start all the same. */
const START_MS = 2_000
/** After a command's end its last records are waited for so long: the log hands them on in lumps. */
const TAIL_MS = 500
const LONGEST_LINE = 1 << 16

/** One record that a command's profile caused. */
export interface Violation {
  readonly tag: string
  readonly program: string
  readonly pid: number
  /** As the profile has it: `file-write-create`. */
  readonly operation: string
  /** A path, a service, an address; empty where there is none. */
  readonly target: string
}

const TAG = /^codex-sandbox-[0-9a-f]{24}$/

export const newTag = (): string => `codex-sandbox-${randomBytes(12).toString('hex')}`

/**
 * Reads one line of the stream. Undefined for what is none of ours or makes no sense: other programs write to the same log.
 * The message is `Sandbox: NAME(PID) deny(N) OPERATION TARGET` (`System Policy:` since macOS 13 for some), the profile's own
 * message below it.
 */
export function readRecord(line: string): Violation | undefined {
  if (line.length > LONGEST_LINE) return undefined
  const message = messageOf(line)
  if (message === undefined) return undefined
  const lines = message.split('\n').map(each => each.trim())
  const tag = lines.slice(1).find(each => TAG.test(each))
  // `1 duplicate report for Sandbox: …` stands for the same denial again.
  const found = /(?:^|\bfor )(?:Sandbox|System Policy): (.+?)\((\d{1,9})\) deny(?:\(\d+\))? ([a-z][a-z0-9*-]*)(?: (.*))?$/.exec(lines[0] ?? '')
  if (tag === undefined || found === null) return undefined
  const [, program, pid, operation, target] = found as unknown as [string, string, string, string, string | undefined]
  return { tag, program, pid: Number(pid), operation, target: target ?? '' }
}

/** Newer systems escape what older ones printed as it is; both are one JSON object a line. */
function messageOf(line: string): string | undefined {
  let record: unknown
  try {
    record = JSON.parse(line)
  } catch {
    return undefined
  }
  const message = typeof record === 'object' && record !== null && 'eventMessage' in record ? record.eventMessage : undefined
  return typeof message === 'string' ? message : undefined
}

/** The operations of files by what `decide` calls them; the first row that fits counts. */
const OPERATIONS: readonly (readonly [pattern: RegExp, operation: AccessOperation])[] = [
  [/^file-write-create$/, 'create'],
  [/^file-write-unlink$/, 'remove'],
  [/^file-link$/, 'create'],
  [/^file-(write.*|ioctl|mknod|revoke)$/, 'write'],
  [/^file-(read.*|clone|map-executable|test-existence|search)$/, 'read'],
  [/^process-exec/, 'execute'],
]

/** A violation in the words of the other back ends. */
export function reportOf({ program, pid, operation, target }: Violation): AccessReport {
  const base = { refused: true, modeRefuses: false, pid, program }
  if (target.startsWith('/')) {
    const file = OPERATIONS.find(([pattern]) => pattern.test(operation))?.[1]
    if (file !== undefined) return { ...base, operation: file, path: target }
    if (operation.startsWith('network-')) return { ...base, operation: 'unix-connect', path: target }
  }
  const address = /^network-(?:outbound|bind|inbound)$/.test(operation) ? addressOf(target) : undefined
  if (address !== undefined) return { ...base, operation: 'connect', path: address }
  // Services, system settings, signals: the operation itself is all that there is to say.
  return { ...base, operation: 'system-call', path: target === '' ? operation : `${operation} ${target}` }
}

/** `remote:*:443` and `local:*:8080` name no address; `93.184.216.34:443` and `[::1]:80` do. */
function addressOf(target: string): string | undefined {
  const [, host, port] = /^(?:(?:remote|local):)?(\[[0-9a-fA-F:.]+\]|[^:\s]+):(\d{1,5})$/.exec(target) ?? []
  return host === undefined || port === undefined ? undefined : `${host}:${port}`
}

/** One `log stream` for all commands of a sandbox. */
export class DenialLog {
  readonly ready: Promise<void>
  readonly #child: ChildProcess
  readonly #followers = new Map<string, { report: (report: AccessReport) => void; seen: Set<string> }>()
  #rest = ''
  #listening: () => void = () => {}

  constructor(program: string = LOG) {
    this.ready = new Promise(resolve => { this.#listening = resolve })
    const timer = setTimeout(this.#listening, START_MS)
    void this.ready.then(() => clearTimeout(timer))
    this.#child = spawn(program, ['stream', '--style', 'ndjson', '--predicate', PREDICATE], { stdio: ['ignore', 'pipe', 'ignore'] })
    // Without the log there are the command's own words.
    this.#child.on('error', () => this.#listening())
    this.#child.once('exit', () => this.#listening())
    this.#child.stdout?.setEncoding('utf8').on('data', (text: string) => this.#take(text))
    this.#child.unref()
    ;(this.#child.stdout as unknown as { unref(): void } | null)?.unref()
  }

  /** Reports what is denied under a tag, each access once, until some time after `end` was called. */
  follow(report: (report: AccessReport) => void): { readonly tag: string; end(): Promise<void> } {
    const tag = newTag()
    this.#followers.set(tag, { report, seen: new Set() })
    return {
      tag,
      end: async () => {
        if (this.#child.exitCode === null && this.#child.signalCode === null) await new Promise(resolve => setTimeout(resolve, TAIL_MS))
        this.#followers.delete(tag)
      },
    }
  }

  async close(): Promise<void> {
    const { exitCode, signalCode, pid } = this.#child
    if (exitCode !== null || signalCode !== null || pid === undefined) return
    const gone = new Promise(resolve => this.#child.once('exit', resolve))
    this.#child.kill('SIGKILL')
    await gone
  }

  #take(text: string): void {
    this.#listening()
    const lines = `${this.#rest}${text}`.split('\n')
    const rest = lines.pop() ?? ''
    // A line without an end is dropped rather than kept.
    this.#rest = rest.length > LONGEST_LINE ? '' : rest
    for (const line of lines) this.#tell(readRecord(line))
  }

  #tell(violation: Violation | undefined): void {
    const follower = violation === undefined ? undefined : this.#followers.get(violation.tag)
    if (violation === undefined || follower === undefined) return
    const key = `${violation.operation} ${violation.target}`
    if (follower.seen.has(key) || follower.seen.size >= MOST_REPORTS) return
    follower.seen.add(key)
    follower.report(reportOf(violation))
  }
}

/** Of one command: a loop over random names must not fill the memory. */
const MOST_REPORTS = 1000
