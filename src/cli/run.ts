// `run` and `sandbox`: one command in a sandbox made for it, as if it ran bare.
import { constants, fstatSync, ftruncateSync, openSync, writeFileSync } from 'node:fs'
import { homedir } from 'node:os'
import { resolve } from 'node:path'
import { SandboxError } from '../errors.js'
import type { ParsedSandboxOptions, SpawnOptions } from '../exec/options.js'
import type { ExecResult } from '../exec/result.js'
import { createParsedSandbox, type Sandbox } from '../exec/sandbox.js'
import { currentFolder, takeSnapshot } from '../host/snapshot.js'
import { DEGRADATIONS, type DegradationName, RUNGS } from '../platform/launch-plan.js'
import type { Arguments } from './arguments.js'
import { errorRecord } from './error-record.js'
import { type Options, SYSTEM_WORDS } from './options.js'
import { policyFromOptions } from './policy-options.js'
import { print } from './print.js'
import { chooseWiring, relay } from './relay.js'
import { oneOf, parseDurationMs, parsePorts } from './values.js'

const PLATFORMS = ['linux', 'macos', 'windows'] as const

/** Kept of each stream for --json and --report; what passes through is not cut. */
const REPORT_BYTES = 1 << 20

/** @returns the exit code: the command's own, or what became of it */
export async function run(given: Arguments): Promise<number> {
  const { options, words } = given
  refuseOtherSystem(given)
  if (words.length === 0 && options.printPlan !== true) throw new SandboxError('option_missing', { field: 'a command', value: undefined }, { detail: 'nothing to run', remedy: `Give one after --: \`codex-sandbox ${given.verb} -- COMMAND\`.` })
  if (options.quiet === true && options.logDenials === true) throw new SandboxError('policy_contradiction', { field: '--quiet', value: undefined }, { detail: '--log-denials prints after the command, and --quiet forbids it' })
  const timeoutMs = options.timeout === undefined ? undefined : parseDurationMs('--timeout', options.timeout)
  const sandboxOptions = await optionsOfSandbox(given)
  if (options.printPlan === true) return printPlan(sandboxOptions)

  const report = options.report === undefined ? undefined : openReport(options.report)
  try {
    return await runReported(given, sandboxOptions, timeoutMs, report)
  } catch (error) {
    if (report !== undefined && error instanceof SandboxError) writeReport(report, errorRecord(error))
    throw error
  }
}

async function runReported({ options, words }: Arguments, sandboxOptions: ParsedSandboxOptions, timeoutMs: number | undefined, report: Report | undefined): Promise<number> {
  const ports = (options.exposePort ?? []).map(text => parsePorts('--expose-port', text))
  const sandbox = await createParsedSandbox(sandboxOptions)
  if (options.quiet !== true) await tellWhatGrantsNothing(sandbox)
  let result: ExecResult
  try {
    await exposePorts(sandbox, ports, options)
    result = await runCommand(sandbox, words, {
      ...(timeoutMs === undefined ? {} : { timeoutMs }),
      ...(options.json === true || report !== undefined ? { output: { maxBytes: REPORT_BYTES } } : {}),
    }, options.json === true ? 'keep' : 'pass')
  } finally {
    await sandbox.close()
  }
  if (options.json === true) await print(process.stdout, asJson(result))
  if (report !== undefined) writeReport(report, asJson(result))
  if (options.quiet !== true) await tellAfterwards(result, options)
  return result.exitCode
}

/** A port that cannot be had ends it before the command runs. */
async function exposePorts(sandbox: Sandbox, ports: readonly { port: number; hostPort: number }[], { quiet }: Options): Promise<void> {
  const lines: string[] = []
  for (const { port, hostPort } of ports) {
    const exposed = await sandbox.expose(port, { hostPort }).catch((error: unknown) => { throw error instanceof SandboxError ? error.renamed('--expose-port') : error })
    lines.push(`codex-sandbox: 127.0.0.1:${exposed.hostPort} leads to port ${port} of the sandbox\n`)
  }
  if (lines.length > 0 && quiet !== true) await print(process.stderr, lines.join(''))
}

async function runCommand(sandbox: Sandbox, argv: readonly string[], options: SpawnOptions<'text'>, output: 'pass' | 'keep'): Promise<ExecResult> {
  const wiring = chooseWiring(output)
  const child = sandbox.spawn(argv, { ...options, ...(wiring.kind === 'terminal' ? { tty: wiring.terminal.size } : { stdin: wiring.stdin ? 'pipe' : 'empty' }) })
  const finish = relay(child, wiring, output)
  try {
    return await child.exited
  } finally {
    await finish()
  }
}

async function optionsOfSandbox({ verb, options }: Arguments): Promise<ParsedSandboxOptions> {
  const cwd = currentFolder()
  const policy = await policyFromOptions(verb, options, cwd)
  return {
    policy,
    cwd: options.cd === undefined ? cwd : resolve(cwd, options.cd),
    allowDegraded: (options.allowDegraded ?? []).map(name => oneOf('--allow-degraded', name, Object.keys(DEGRADATIONS) as DegradationName[])),
    ...(options.logDenials === true ? { observe: 'reads' as const } : {}),
    ...(options.rung === undefined ? {} : { rung: oneOf('--rung', options.rung, RUNGS) }),
    // Naming it is the word that it needs.
    allowBroadRoots: policy.write.some(path => path === '/' || path === homedir()),
  }
}

async function printPlan(options: ParsedSandboxOptions): Promise<number> {
  const [{ prepare }, { printPlan }] = await Promise.all([import('../exec/prepare.js'), import('../platform/launch-plan.js')])
  const { plan } = await prepare(options)
  await print(process.stdout, printPlan(plan))
  return 0
}

/** `sandbox macos` on Linux, `--platform windows`: refused in words, never run as something else. */
function refuseOtherSystem({ options, system }: Arguments): void {
  if (system === undefined && options.platform === undefined) return
  const { platform: here } = takeSnapshot({ selfPaths: [] })
  if (system !== undefined && SYSTEM_WORDS[system] !== here) {
    throw new SandboxError('option_invalid', { field: 'sandbox', value: system }, { detail: `this machine is ${here}`, remedy: 'Leave the word out: the system is known.' })
  }
  if (options.platform === undefined) return
  const platform = oneOf('--platform', options.platform, PLATFORMS)
  if (options.printPlan !== true) throw new SandboxError('option_invalid', { field: '--platform', value: platform }, { detail: 'it belongs to --print-plan', remedy: 'Leave it out: commands run on this machine.' })
  if (platform === here) return
  const detail = platform === 'linux' ? `the plan for linux is made from the files of a Linux machine, and this is ${here}` : `the compiler for ${platform} is not yet built`
  throw new SandboxError('platform_unsupported', { field: '--platform', value: platform }, { detail, remedy: 'Leave it out, for the plan of this machine.' })
}

async function tellAfterwards(result: ExecResult, options: Options): Promise<void> {
  const { reportLines } = await import('./report.js')
  const lines = reportLines(result, options)
  if (lines.length > 0) await print(process.stderr, `${lines.join('\n')}\n`)
}

const asJson = (result: ExecResult): string => `${JSON.stringify(result, null, 2)}\n`

/** The options that name paths; what the defaults name may be missing without a word. */
const NAMED_BY_OPTIONS = /^(?:read|write)\[/

async function tellWhatGrantsNothing({ policy }: Sandbox): Promise<void> {
  const lines = policy.ignored.filter(({ field, reason }) => reason === 'missing' && NAMED_BY_OPTIONS.test(field))
    .map(({ field, value }) => `codex-sandbox: --${field.replace(/\[.*/, '')} ${JSON.stringify(value)} does not exist and grants nothing\n`)
  if (lines.length > 0) await print(process.stderr, lines.join(''))
}

interface Report {
  readonly descriptor: number
  /** A file of its own; /dev/stderr may be somebody's log, whose lines stay. */
  readonly replaces: boolean
}

/** The old content stays until there is a new one. */
function writeReport({ descriptor, replaces }: Report, text: string): void {
  if (replaces && fstatSync(descriptor).isFile()) ftruncateSync(descriptor)
  writeFileSync(descriptor, text)
}

/**
 * Opened before the command runs, so that a wrong path costs nothing. A link is not followed: a command that ran here earlier
 * may have made it. Links of the system's own, such as /dev/stderr, are.
 */
function openReport(path: string): Report {
  const replaces = !/^\/(dev|proc)\//.test(path)
  const how = replaces ? constants.O_NOFOLLOW : constants.O_APPEND
  try {
    return { descriptor: openSync(path, constants.O_WRONLY | constants.O_CREAT | how, 0o666), replaces }
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    throw new SandboxError('option_invalid', { field: '--report', value: path }, { detail: code === 'ELOOP' ? 'it is a symbolic link' : `it cannot be written (${code})`, remedy: 'Name a file that you may write.', cause: error })
  }
}
