// `run` and `sandbox`: one command in a sandbox made for it, as if it ran bare.
import { constants, fstatSync, ftruncateSync, openSync, writeFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { SandboxError } from '../errors.js'
import type { ParsedSandboxOptions, SpawnOptions } from '../exec/options.js'
import type { ExecResult } from '../exec/result.js'
import { createParsedSandbox, type Sandbox } from '../exec/sandbox.js'
import { currentFolder, currentPlatform, takeSnapshot, userHome } from '../host/snapshot.js'
import { DEGRADATIONS, type DegradationName, LINUX_BACKENDS, RUNGS, WINDOWS_MODES } from '../platform/launch-plan.js'
import type { HostSnapshot, PlatformName } from '../policy/host-snapshot.js'
import { resolveText } from '../policy/path-syntax.js'
import type { Arguments } from './arguments.js'
import { errorRecord } from './error-record.js'
import { type Options, SYSTEM_WORDS } from './options.js'
import { policyFromOptions } from './policy-options.js'
import { print } from './print.js'
import { chooseWiring, relay } from './relay.js'
import { oneOf, parseDurationMs, parsePorts } from './values.js'
import { refuseWithoutEffect } from './without-effect.js'

const PLATFORMS = ['linux', 'macos', 'windows'] as const

/** Kept of each stream for --json and --report; what passes through is not cut. */
const REPORT_BYTES = 1 << 20

/** @returns the exit code: the command's own, or what became of it */
export async function run(given: Arguments): Promise<number> {
  const { options, words } = given
  const other = await findOtherHost(given)
  if (words.length === 0 && options.printPlan !== true) throw new SandboxError('option_missing', { field: 'a command', value: undefined }, { detail: 'nothing to run', remedy: `Give one after --: \`codex-sandbox ${given.verb} -- COMMAND\`.` })
  for (const [key, flag] of [['logDenials', '--log-denials'], ['verbose', '--verbose']] as const) {
    if (options.quiet === true && options[key] === true) throw new SandboxError('policy_contradiction', { field: '--quiet', value: undefined }, { detail: `${flag} prints after the command, and --quiet forbids it` })
  }
  const commandOptions = optionsOfCommand(options)
  const sandboxOptions = await optionsOfSandbox(given, other)
  if (options.printPlan === true) return printPlan(sandboxOptions, words, other)

  const report = options.report === undefined ? undefined : openReport(options.report)
  try {
    return await runReported(given, sandboxOptions, commandOptions, report)
  } catch (error) {
    // That the report could not be written cannot be written there either.
    if (report !== undefined && error instanceof SandboxError && error.field !== '--report') writeReport(report, errorRecord(error))
    throw error
  }
}

async function runReported({ options, words }: Arguments, sandboxOptions: ParsedSandboxOptions, commandOptions: SpawnOptions<'text'>, report: Report | undefined): Promise<number> {
  const ports = (options.exposePort ?? []).map(text => parsePorts('--expose-port', text))
  const sandbox = await createParsedSandbox(sandboxOptions)
  if (options.quiet !== true) await tellWhatGrantsNothing(sandbox)
  let result: ExecResult
  try {
    await exposePorts(sandbox, ports, options)
    result = await runCommand(sandbox, words, {
      ...commandOptions,
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
  let result: ExecResult
  try {
    result = await child.exited
  } finally {
    await finish()
  }
  if (result.session !== undefined) await waitForSession(sandbox, result.session, output)
  return result
}

/** What the command left goes on, and its output with it, until it ends or a signal ends it. */
async function waitForSession({ sessions }: Sandbox, { id, cursor }: NonNullable<ExecResult['session']>, output: 'pass' | 'keep'): Promise<void> {
  const end = (): void => { void sessions.kill(id) }
  for (const signal of ENDING_SIGNALS) process.on(signal, end)
  // Nobody reads any more.
  process.stdout.on('error', end)
  for (let next = cursor; ;) {
    const { text, cursor: at, state, more } = await sessions.read(id, { cursor: next, waitMs: LONGEST_WAIT_MS })
    if (output === 'pass' && text !== '') await new Promise<void>(done => { process.stdout.write(text, () => done()) })
    next = at
    if (state === 'ended' && !more) break
  }
  for (const signal of ENDING_SIGNALS) process.off(signal, end)
}

const ENDING_SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const
/** Then it is asked again. */
const LONGEST_WAIT_MS = 60_000

function optionsOfCommand({ timeout, idleTimeout, killGrace, background }: Options): SpawnOptions<'text'> {
  return {
    ...(timeout === undefined ? {} : { timeoutMs: parseDurationMs('--timeout', timeout) }),
    ...(idleTimeout === undefined ? {} : { idleTimeoutMs: parseDurationMs('--idle-timeout', idleTimeout) }),
    ...(killGrace === undefined ? {} : { killGraceMs: parseDurationMs('--kill-grace', killGrace, { zero: true }) }),
    ...(background === undefined ? {} : { background: oneOf('--background', background, ['kill', 'keep']) }),
  }
}

async function optionsOfSandbox({ verb, options }: Arguments, other: HostSnapshot | undefined): Promise<ParsedSandboxOptions> {
  const [cwd, home] = other === undefined ? [currentFolder(), userHome()] : [other.cwd, other.home]
  const notices: string[] = []
  let configured: Pick<ParsedSandboxOptions, 'backend'> = {}
  const policy = await policyFromOptions(verb, options, { cwd, ...(home === undefined ? {} : { home }), ...(other === undefined ? {} : { config: { elsewhere: true as const } }), onNotice: notice => notices.push(`codex-sandbox: ${notice}\n`), onBackend: backend => { configured = { backend } } })
  if (notices.length > 0 && options.quiet !== true) await print(process.stderr, notices.join(''))
  const asked: ParsedSandboxOptions = {
    policy,
    cwd: options.cd === undefined ? cwd : other?.platform === 'windows' ? resolveText('windows', cwd, options.cd) : resolve(cwd, options.cd),
    allowDegraded: (options.allowDegraded ?? []).map(name => oneOf('--allow-degraded', name, Object.keys(DEGRADATIONS) as DegradationName[])),
    ...(options.logDenials === true ? { observe: 'reads' as const } : {}),
    ...(options.rung === undefined ? {} : { rung: oneOf('--rung', options.rung, RUNGS) }),
    ...(options.backend === undefined ? configured : { backend: oneOf('--backend', options.backend, LINUX_BACKENDS) }),
    ...(options.windowsMode === undefined ? {} : { windowsMode: oneOf('--windows-mode', options.windowsMode, WINDOWS_MODES) }),
    // Naming it is the word that it needs.
    allowBroadRoots: policy.write.some(path => path === '/' || path === home),
  }
  refuseWithoutEffect({ verb, options, platform: other?.platform ?? currentPlatform(), mode: policy.mode })
  return asked
}

async function printPlan(options: ParsedSandboxOptions, words: readonly string[], other: HostSnapshot | undefined): Promise<number> {
  const [{ planFor, prepare }, { printPlan }] = await Promise.all([import('../exec/prepare.js'), import('../platform/launch-plan.js')])
  const { plan, caches } = other === undefined ? await prepare(options) : { plan: await planFor(options, other), caches: undefined }
  if (caches !== undefined) (await import('../exec/caches.js')).removeUnused(caches)
  await print(process.stdout, printPlan(plan.backend === 'macos-seatbelt' ? { ...plan, argv: [...plan.argv, ...words] } : plan))
  return 0
}

/**
 * The machine that `--print-plan --platform` is for, where it is not this one. Anything else that means another system than
 * this one is refused in words, never run as something else.
 */
async function findOtherHost({ options, system }: Arguments): Promise<HostSnapshot | undefined> {
  if (system === undefined && options.platform === undefined && options.host === undefined) return undefined
  const { platform: here } = takeSnapshot({ selfPaths: [] })
  const platform = options.platform === undefined ? here : oneOf('--platform', options.platform, PLATFORMS)
  if (system !== undefined && SYSTEM_WORDS[system] !== platform) {
    throw new SandboxError('option_invalid', { field: 'sandbox', value: system }, { detail: options.platform === undefined ? `this machine is ${here}` : `--platform says ${platform}`, remedy: 'Leave the word out: the system is known.' })
  }
  if (options.printPlan !== true) {
    const [field, value] = options.host === undefined ? ['--platform', platform] : ['--host', options.host]
    if (options.host !== undefined || options.platform !== undefined) throw new SandboxError('option_invalid', { field, value }, { detail: 'it belongs to --print-plan', remedy: 'Leave it out: commands run on this machine.' })
    return undefined
  }
  if (platform !== 'linux' && (options.host !== undefined || platform !== here)) return readHost(platform, options.host)
  if (options.host !== undefined) throw new SandboxError('option_invalid', { field: '--host', value: options.host }, { detail: `it is for --platform macos or windows, and this is ${platform}`, remedy: 'Add --platform macos, or leave it out.' })
  if (platform === here) return undefined
  throw new SandboxError('platform_unsupported', { field: '--platform', value: platform }, { detail: `the plan for linux is made from the files of a Linux machine, and this is ${here}`, remedy: 'Leave it out, for the plan of this machine.' })
}

async function readHost(platform: Exclude<PlatformName, 'linux'>, file: string | undefined): Promise<HostSnapshot> {
  const { readSnapshotFile } = await import('../host/snapshot-file.js')
  if (file === undefined) return readSnapshotFile('--host', platform === 'macos' ? (await import('../host/example-mac.js')).EXAMPLE_MAC : (await import('../host/example-windows.js')).EXAMPLE_WINDOWS)
  const { parseJson, readText } = await import('./read-file.js')
  const text = readText('--host', resolve(currentFolder(), file), file, 'Name a file, or leave it out for an example.')
  const host = readSnapshotFile('--host', parseJson('--host', text, file, `See docs/${platform}.md for the form of a host.`))
  if (host.platform !== platform) throw new SandboxError('option_invalid', { field: '--host platform', value: host.platform }, { detail: `--platform says ${platform}`, remedy: 'Name the platform of the file.' })
  return host
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
  lines.push(...policy.ignored.filter(({ field, reason }) => reason === 'missing' && field.startsWith('network.allowUnixSockets['))
    .map(({ value }) => `codex-sandbox: --allow-unix-socket ${JSON.stringify(value)} grants nothing: where commands may write it has to be a socket that is there before the start, named by its own path\n`))
  if (policy.ignored.some(({ field, reason }) => field === 'git' && reason === 'nothing-writable')) lines.push('codex-sandbox: --git commits has no effect: no folder is writable in which a repository could be\n')
  if (lines.length > 0) await print(process.stderr, lines.join(''))
}

interface Report {
  readonly path: string
  readonly descriptor: number
  /** A file of its own; /dev/stderr may be somebody's log, whose lines stay. */
  readonly replaces: boolean
}

/** The old content stays until there is a new one. @throws SandboxError `output_file` */
function writeReport({ path, descriptor, replaces }: Report, text: string): void {
  try {
    if (replaces && fstatSync(descriptor).isFile()) ftruncateSync(descriptor)
    writeFileSync(descriptor, text)
  } catch (error) {
    throw new SandboxError('output_file', { field: '--report', value: path }, { detail: (error as Error).message, remedy: 'Make room there, or name another file; the command itself has run.', cause: error })
  }
}

/**
 * Opened before the command runs, so that a wrong path costs nothing. A link is not followed: a command that ran here earlier
 * may have made it. Links of the system's own, such as /dev/stderr, are.
 */
function openReport(path: string): Report {
  const replaces = !/^\/(dev|proc)\//.test(path)
  const how = replaces ? constants.O_NOFOLLOW : constants.O_APPEND
  try {
    return { path, descriptor: openSync(path, constants.O_WRONLY | constants.O_CREAT | how, 0o666), replaces }
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    throw new SandboxError('option_invalid', { field: '--report', value: path }, { detail: code === 'ELOOP' ? 'it is a symbolic link' : `it cannot be written (${code})`, remedy: 'Name a file that you may write.', cause: error })
  }
}
