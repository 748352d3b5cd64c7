// `windows setup | status | uninstall`: the sandbox of Windows, made once and taken away again. A thin shell over exec/windows-setup.ts.
import { isAbsolute, resolve } from 'node:path/win32'
import { SandboxError } from '../errors.js'
import { openWindowsSetup, runSetupHelper, type WindowsSetup } from '../exec/windows-setup.js'
import { currentFolder } from '../host/snapshot.js'
import { WINDOWS_MODES } from '../platform/launch-plan.js'
import type { SetUpProgress, SetUpReport, SetUpStatus, SetUpStepReport, UninstallReport } from '../platform/windows/setup/report.js'
import type { Arguments } from './arguments.js'
import { print as printTo } from './print.js'
import { oneOf } from './values.js'

/** `partly`: not ready, or something could not be taken away. What failed is an error, 125. */
const EXIT = { done: 0, partly: 1 } as const

/** What the verb needs of the world. */
export interface WindowsPlace {
  readonly open: () => Promise<WindowsSetup>
  readonly cwd: string
  readonly out: (text: string) => Promise<void>
  readonly err: (text: string) => Promise<void>
  /** A terminal gets one line that changes, anything else a line for each step. */
  readonly isTerminal: boolean
}

const here = (): WindowsPlace => ({
  open: openWindowsSetup, cwd: currentFolder(), out: text => printTo(process.stdout, text), err: text => printTo(process.stderr, text), isTerminal: process.stderr.isTTY,
})

/** @returns the exit code */
export async function windows({ options, words }: Arguments, place: WindowsPlace = here()): Promise<number> {
  const [what, ...more] = words
  // Not in the help: set-up itself starts it, with an administrator's consent.
  if (what === 'helper') return runSetupHelper(more[0] ?? '', more[1] ?? '')
  if (what === undefined) throw new SandboxError('option_missing', { field: 'what to do', value: undefined }, { remedy: 'Write `codex-sandbox windows setup --mode elevated|unelevated`, or `windows status`, or `windows uninstall`.' })
  const name = oneOf('windows', what, ['setup', 'status', 'uninstall'])
  if (more.length > 0) throw new SandboxError('option_invalid', { field: 'argument', value: more[0] }, { detail: 'it belongs to no option', remedy: `Write it like \`codex-sandbox windows ${name}\`; a workspace is --root DIR.` })
  if (name !== 'setup') for (const [field, given] of [['--mode', options.mode], ['--root', options.root]] as const) if (given !== undefined) throw new SandboxError('option_invalid', { field, value: given }, { detail: 'it belongs to setup', remedy: 'Leave it out.' })
  switch (name) {
    case 'setup':     return setUp(options, place)
    case 'status':    return status(options, place)
    case 'uninstall': return uninstall(options, place)
    default:          return name satisfies never
  }
}

async function setUp({ mode, root = [], json }: Arguments['options'], place: WindowsPlace): Promise<number> {
  if (mode === undefined) throw new SandboxError('option_missing', { field: '--mode', value: undefined }, { remedy: 'Write --mode elevated, which holds the network and denied reads and asks for an administrator\'s consent once; or --mode unelevated.' })
  const chosen = oneOf('--mode', mode, WINDOWS_MODES)
  const roots = root.length === 0 ? [place.cwd] : root.map(each => isAbsolute(each) ? each : resolve(place.cwd, each))
  const windowsSetup = await place.open()
  const report = await listening(place, listeners => windowsSetup.setUp(chosen, { roots, ...listeners }))
  await place.out(json === true ? asJson(report) : formatSetUp(report))
  return EXIT.done
}

async function status({ json }: Arguments['options'], place: WindowsPlace): Promise<number> {
  const found = await (await place.open()).status()
  await place.out(json === true ? asJson(found) : formatStatus(found))
  return found.status === 'ready' ? EXIT.done : EXIT.partly
}

async function uninstall({ json }: Arguments['options'], place: WindowsPlace): Promise<number> {
  const windowsSetup = await place.open()
  const report = await listening(place, listeners => windowsSetup.uninstall(listeners))
  await place.out(json === true ? asJson(report) : formatUninstall(report))
  return report.left.length === 0 ? EXIT.done : EXIT.partly
}

/** Tells of progress, and has Ctrl-C undo what was made so far. A second Ctrl-C ends the process: the journal says then what to take away. */
async function listening<Report>({ err, isTerminal }: WindowsPlace, work: (listeners: { onProgress(progress: SetUpProgress): void; signal: AbortSignal }) => Promise<Report>): Promise<Report> {
  const controller = new AbortController()
  const interrupt = (): void => controller.abort(new SandboxError('set_up_failed', { step: 'windows_setup', errno: 'EINTR' }, { detail: 'it was interrupted, and what it had made is undone', remedy: 'Run it again.' }))
  process.once('SIGINT', interrupt)
  let last = ''
  const onProgress = ({ step, done, total, path }: SetUpProgress): void => {
    const count = done === undefined ? '' : total === undefined ? ` ${done}` : ` ${done} of ${total}`
    if (isTerminal) void err(`\r\u001b[K${plain(`${step}${count}${path === undefined ? '' : ` ${path}`}`).slice(0, 78)}`)
    else if (step !== last) void err(`${plain(step)}\n`)
    last = step
  }
  try {
    return await work({ onProgress, signal: controller.signal })
  } finally {
    process.off('SIGINT', interrupt)
    if (isTerminal && last !== '') await err('\r\u001b[K')
  }
}

const asJson = (report: object): string => `${JSON.stringify(report, null, 2)}\n`

const steps = (reports: readonly SetUpStepReport[]): string[] => {
  const width = Math.max(0, ...reports.map(({ step }) => step.length))
  return reports.map(({ step, outcome, written }) => `  ${step.padEnd(width)}  ${outcome}${written === undefined ? '' : `, ${written} access lists`}`)
}

const formatSetUp = ({ mode, steps: made, roots, notes }: SetUpReport): string =>
  lines([`The ${mode} sandbox is set up.`, ...steps(made), ...roots.map(root => `  ready: ${plain(root)}`), ...notes.map(note => `note: ${plain(note)}`)])

function formatStatus({ status: word, reason, modes, roots, proxyPorts, accounts, holder, lastError }: SetUpStatus): string {
  const words: Record<SetUpStatus['status'], string> = { ready: 'ready', notConfigured: 'not set up', updateRequired: 'to be set up again' }
  return lines([
    `The Windows sandbox is ${words[word]}${reason === undefined ? '' : `: ${plain(reason)}`}.`,
    ...(modes.length === 0 ? [] : [`  modes: ${modes.join(', ')}`]),
    ...(accounts === undefined ? [] : [`  accounts: ${plain(accounts.offline)} (no network), ${plain(accounts.online)}; group ${plain(accounts.group)}`]),
    ...(proxyPorts.length === 0 ? [] : [`  ports of proxies: ${proxyPorts.join(', ')}`]),
    ...roots.map(root => `  root: ${plain(root)}`),
    ...(holder === undefined ? [] : [`  process ${holder.pid} has been at its ${holder.what} since ${plain(holder.since)}`]),
    ...(lastError === undefined ? [] : [`  the last failure: ${plain(lastError.step)}: ${plain(lastError.message)} (${plain(lastError.at)})`]),
    ...(word === 'ready' ? [] : ['To set it up: codex-sandbox windows setup --mode elevated --root DIR']),
  ])
}

const formatUninstall = ({ steps: undone, left }: UninstallReport): string => lines([
  left.length === 0 ? 'The Windows sandbox is removed.' : 'The Windows sandbox is removed, but for what could not be looked at:',
  ...left.map(({ path, reason }) => `  ${plain(path)}: ${plain(reason)}`), ...steps(undone),
])

const lines = (texts: readonly string[]): string => `${texts.join('\n')}\n`
const plain = (text: string): string => text.replaceAll(/\p{Cc}/gu, ' ')
