// What this machine can enforce, layer by layer, and what to do about the rest: as data, and as text for people.
import { release } from 'node:os'
import { SandboxError } from '../errors.js'
import { capabilities, checkHost, type Capabilities, type HostCheck } from '../exec/check-host.js'
import { takeSnapshot } from '../host/snapshot.js'
import { DEGRADATIONS, type DegradationName, type Enforcement, type Rung, TREE_ENDS } from '../platform/launch-plan.js'
import { findLauncher, namedLauncher } from '../platform/linux/native/find-launcher.js'
import { chooseLauncher } from '../platform/linux/native/installed-launcher.js'
import { isNested } from '../platform/linux/native/layers.js'

/** One thing that must be there, and whether it is. */
export interface Finding {
  readonly name: string
  readonly ok: boolean
  /** What was found, or why not. */
  readonly detail: string
  /** What to do where it is not. */
  readonly remedy?: string
}

export interface DoctorReport {
  /** Whether the default policy, workspace-write with the network off, is enforced here in full. */
  readonly ok: boolean
  readonly findings: readonly Finding[]
  readonly capabilities: Capabilities | undefined
  readonly check: HostCheck
}

const OLDEST_NODE = [20, 19] as const

/** Starts nothing that stays, changes nothing. */
export async function examine(): Promise<DoctorReport> {
  const { platform, wsl } = takeSnapshot({ selfPaths: [] })
  const launcher = platform === 'linux' ? findLauncherHere() : undefined
  const found = launcher?.ok === false ? undefined : await capabilities()
  const check = await checkHost('workspace-write', { allowBroadRoots: true })
  const ofWindows = platform === 'windows' && found?.layers.every(({ available }) => available) === true ? await windowsHere() : []
  const findings = [node(), kernel(wsl), ...(launcher === undefined ? [] : [launcher]), ...(found?.layers ?? []).map(layerFinding), ...(found?.groups === undefined ? [] : [limits(found.groups)]), ...(launcher?.ok === true ? [await bwrap()] : []), ...ofWindows]
  return { ok: check.ok && findings.every(({ ok }) => ok), findings, capabilities: found, check }
}

async function windowsHere(): Promise<Finding[]> {
  const [{ windowsFindings }, { openWindowsSetup }] = await Promise.all([import('./windows.js'), import('../exec/windows-setup.js')])
  return windowsFindings(await openWindowsSetup())
}

function node(): Finding {
  const [major = 0, minor = 0] = process.versions.node.split('.').map(Number)
  const ok = major > OLDEST_NODE[0] || (major === OLDEST_NODE[0] && minor >= OLDEST_NODE[1])
  return { name: 'node', ok, detail: `${process.versions.node} at ${process.execPath}`, ...(ok ? {} : { remedy: `Install Node ${OLDEST_NODE.join('.')} or newer.` }) }
}

const kernel = (wsl: 1 | 2 | undefined): Finding => ({ name: 'kernel', ok: true, detail: `${release()}, ${process.arch}${wsl === undefined ? '' : `, WSL ${wsl}`}` })

function findLauncherHere(): Finding {
  try {
    const named = namedLauncher({}, process.env)
    const own = findLauncher(named)
    const { path, refused } = named === undefined ? chooseLauncher(own) : { path: own }
    return { name: 'launcher', ok: true, detail: refused === undefined ? path : `${path}; ${refused}` }
  } catch (error) {
    if (!(error instanceof SandboxError)) throw error
    return { name: 'launcher', ok: false, detail: error.message.replace(` ${error.remedy}`, ''), remedy: error.remedy }
  }
}

function layerFinding({ layer, available, version, errno, reason, remedy }: Capabilities['layers'][number]): Finding {
  const detail = available ? (version === undefined ? 'available' : `version ${version}`) : [reason, errno].filter(part => part !== undefined).join(', ') || 'not available'
  return { name: layer, ok: available, detail, ...(available || remedy === undefined ? {} : { remedy }) }
}

/** The other back end, which nothing needs: never missing. It is not run where the default policy would let commands write it. */
async function bwrap(): Promise<Finding> {
  const allowed: readonly DegradationName[] = ['bwrap-devices', 'bwrap-hole']
  const lookedAt = await checkHost('workspace-write', { allowBroadRoots: true, backend: 'linux-bwrap', allowDegraded: allowed }).catch((error: unknown) => {
    if (!(error instanceof SandboxError)) throw error
    return error
  })
  const detail = lookedAt instanceof SandboxError ? lookedAt.message : lookedAt.ok ? wordsOf(lookedAt.enforcement) : lookedAt.missing[0]?.reason ?? 'not available'
  return { name: 'bwrap', ok: true, detail: `not used unless it is asked for (--backend linux-bwrap): ${detail}` }
}

function wordsOf({ notes, degraded }: Enforcement): string {
  const lacks = degraded.filter(name => name.startsWith('bwrap-')).map(name => `refused unless ${name} is allowed: ${DEGRADATIONS[name]}`)
  return [notes.find(note => note.includes('are made by')) ?? 'available', ...lacks].join('; ')
}

/** No layer, and so never missing: without control groups memory is held otherwise, and a result says how. */
function limits(groups: NonNullable<Capabilities['groups']>): Finding {
  const detail = groups.available ? `control groups in ${groups.parent} hold ${groups.holds.join(' and ')} exactly` : `memory of a whole command is polled: ${groups.reason}`
  return { name: 'limits', ok: true, detail }
}

/** A line each; what is missing with what to do. Values from outside are on lines of their own words only, never control characters. */
export function formatDoctor(report: DoctorReport): string {
  const { findings } = report
  const width = Math.max(...findings.map(({ name }) => name.length))
  const lines = findings.flatMap(({ name, ok: there, detail, remedy }, index) => {
    const before = findings[index - 1]
    const isSame = !there && before?.ok === false && before.detail === detail && before.remedy === remedy
    return [
      `${there ? 'ok     ' : 'missing'}  ${name.padEnd(width)}  ${isSame ? 'for the same reason' : plain(detail)}`,
      ...(remedy === undefined || isSame ? [] : [`${' '.repeat(9)}${' '.repeat(width)}  → ${plain(remedy)}`]),
    ]
  })
  return `${[...lines, '', ...verdict(report)].join('\n')}\n`
}

const RUNG_WORDS: Record<Rung, string> = { namespaces: ', by namespaces', supervised: ', on the supervised rung' }

function verdict({ check, ok, findings, capabilities }: DoctorReport): string[] {
  if (!check.ok) {
    // The finding has the errno behind the reason, the error a sentence around it.
    const told = (reason: string): boolean => findings.some(({ ok: there, detail }) => !there && (reason.startsWith(detail) || detail.startsWith(reason) || reason.includes(`: ${detail.replace(/, \w+$/, '')}`)))
    const nested = capabilities !== undefined && isNested(capabilities.layers) ? ': this runs inside another sandbox, which goes on holding what it holds' : ''
    return [`workspace-write cannot be enforced here${nested}.`, ...check.missing.filter(({ reason }) => !told(reason)).map(({ layer, reason }) => `  ${plain(layer)}: ${plain(reason)}`)]
  }
  const { backend, rung, treeEnd, layers, notes } = check.enforcement
  const missing = rung === 'supervised' ? '; what is missing would give the stronger one, namespaces.' : '; what is missing is not needed for it.'
  return [
    `workspace-write is enforced here by ${backend}${rung === undefined ? '' : RUNG_WORDS[rung]}${layers.length === 0 ? '' : ` (${layers.join(', ')})`}${ok ? '.' : missing}`,
    ...(treeEnd === undefined ? [] : [`  what a command leaves behind ends by ${TREE_ENDS[treeEnd]}`]),
    ...notes.map(note => `  ${plain(note)}`),
    'To see it hold: codex-sandbox doctor --escape',
  ]
}

const plain = (text: string): string => text.replaceAll(/\p{Cc}/gu, ' ')
