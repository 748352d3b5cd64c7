// Setting up the Windows sandbox for a user: which policies are made ready, and what stands there already. Off Windows all of it is refused.
import { randomInt } from 'node:crypto'
import { isAbsolute } from 'node:path/win32'
import { SandboxError } from '../errors.js'
import { currentPlatform, takeSnapshot } from '../host/snapshot.js'
import { WINDOWS_MODES, type WindowsMode } from '../platform/launch-plan.js'
import type { WindowsSetUpPlace } from '../platform/windows/setup/open.js'
import type { SetUpListeners, SetUpReport, SetUpStatus, UninstallReport, WindowsSetUpCalls } from '../platform/windows/setup/report.js'
import { READ_ONLY_KEY } from '../platform/windows/capability-sids.js'
import { type Scan, stillOpen, WHOLE_SCAN, worldWritableWarning } from '../platform/windows/world-writable.js'
import type { HostSnapshot, WindowsFacts } from '../policy/host-snapshot.js'
import { normalizePath } from '../policy/path-syntax.js'
import { presetPolicy } from '../policy/presets.js'
import type { ResolvedPolicy } from '../policy/resolved-policy.js'
import type { SandboxPolicy } from '../policy/sandbox-policy.js'
import { hostCompletion, resolvePolicy, snapshotFor } from './prepare.js'
import { scanMachine } from './windows-host.js'

export interface SetupOptions extends SetUpListeners {
  /** Workspaces in which commands shall write; absolute, existing. Default: the current folder. */
  readonly roots?: readonly string[]
}

/** What set-up asks of this machine; tests put one of their own in its place. */
export interface SetupPlace {
  readonly calls: WindowsSetUpCalls
  /** With `cwd` as the workspace, read anew each time. */
  host(cwd: string | undefined): Promise<HostSnapshot> | HostSnapshot
  /** The whole scan for folders that everybody may write; undefined: the machine cannot be read. */
  scan(): ReturnType<typeof scanMachine>
}

/** The set-up of one machine. */
export class WindowsSetup {
  readonly #place: SetupPlace

  constructor(place: SetupPlace) {
    this.#place = place
  }

  /**
   * @param policies  what shall be ready beside the presets, for the first root
   * @throws SandboxError what is wrong with a root; and all that `WindowsSetUpCalls.setUp` has
   */
  async setUp(mode: WindowsMode, { roots = [], ...listeners }: SetupOptions = {}, policies: readonly SandboxPolicy[] = []): Promise<SetUpReport> {
    if (!WINDOWS_MODES.includes(mode)) throw new SandboxError('option_invalid', { field: 'mode', value: mode }, { detail: `it is one of ${WINDOWS_MODES.join(', ')}`, remedy: 'Say elevated, which holds more, or unelevated.' })
    for (const [index, root] of roots.entries()) if (!isAbsolute(root)) throw new SandboxError('path_not_absolute', { field: `roots[${index}]`, value: root })
    const all: ResolvedPolicy[] = []
    for (const [index, root] of (roots.length === 0 ? [undefined] : roots).entries()) {
      const host = await this.#place.host(root)
      for (const policy of distinct([...PRESETS, ...(index === 0 ? policies : [])])) all.push(resolveFor(policy, host, root, `roots[${index}]`))
    }
    const { proxyPorts } = await this.#place.calls.status()
    return this.#place.calls.setUp({
      mode, policies: all, proxyPorts: proxyPorts.length > 0 ? proxyPorts : choosePorts(), ...listeners,
      facts: async () => factsOf(await this.#place.host(roots[0])),
    })
  }

  status(): Promise<SetUpStatus> {
    return this.#place.calls.status()
  }

  uninstall(listeners: SetUpListeners = {}): Promise<UninstallReport> {
    return this.#place.calls.uninstall(listeners)
  }

  logons(): ReturnType<WindowsSetUpCalls['logons']> {
    return this.#place.calls.logons()
  }

  /** Folders that everybody may write and that no set-up has closed. */
  async worldWritable(): Promise<{ readonly scan: Scan; readonly open: readonly string[]; readonly warning: ReturnType<typeof worldWritableWarning> } | undefined> {
    const scanned = await this.#place.scan()
    if (scanned === undefined) return undefined
    const { windows } = await this.#place.host(undefined)
    const open = stillOpen(scanned.scan, scanned.view, windows?.setUp?.capabilities[READ_ONLY_KEY])
    return { scan: scanned.scan, open, warning: worldWritableWarning(open, scanned.scan) }
  }
}

/** What `run` and what the wire and the configuration begin with: they close other things in a root, and so each has capabilities of its own. */
const PRESETS: readonly SandboxPolicy[] = [presetPolicy('workspace-write', 'library'), presetPolicy('workspace-write', 'reference'), presetPolicy('read-only', 'reference')]

const distinct = (policies: readonly SandboxPolicy[]): SandboxPolicy[] => [...new Map(policies.filter(({ mode }) => mode === 'read-only' || mode === 'workspace-write').map(policy => [JSON.stringify(policy), policy])).values()]

function resolveFor(policy: SandboxPolicy, host: HostSnapshot, root: string | undefined, field: string): ResolvedPolicy {
  try {
    return resolvePolicy({ policy, ...(root === undefined ? {} : { cwd: root }) }, host)
  } catch (error) {
    // The root is the policy's cwd.
    throw error instanceof SandboxError && error.field === 'cwd' && root !== undefined ? error.renamed(field) : error
  }
}

function factsOf({ windows }: HostSnapshot): WindowsFacts {
  if (windows !== undefined) return windows
  throw new SandboxError('layer_missing', { field: 'windows-addon', value: undefined }, { detail: 'the drives, accounts and access lists of this machine could not be read' })
}

/** So many sandboxes may have a proxy at once: the firewall opens the ports of proxies once, at set-up. */
const PROXY_PORTS = 8
/** Those that no service has for its own. */
const FIRST_FREE_PORT = 49_152

function choosePorts(): number[] {
  const ports = new Set<number>()
  while (ports.size < PROXY_PORTS) ports.add(randomInt(FIRST_FREE_PORT, 1 << 16))
  return [...ports].sort((a, b) => a - b)
}

const ONLY_WINDOWS = { detail: 'this sets up the sandbox of Windows', remedy: 'Nothing of it is needed here; `codex-sandbox doctor` says what this machine has, and `codex-sandbox setup linux` is for AppArmor.' }

/** @throws SandboxError `platform_unsupported` off Windows, `layer_missing` without the addon */
export async function openWindowsSetup(): Promise<WindowsSetup> {
  const platform = currentPlatform()
  if (platform !== 'windows') throw new SandboxError('platform_unsupported', { field: 'platform', value: platform }, ONLY_WINDOWS)
  const completion = await hostCompletion()
  const host = (cwd: string | undefined): HostSnapshot => snapshotFor(cwd === undefined ? {} : { cwd }, completion)
  return new WindowsSetup({ calls: await loadCalls(), host, scan: () => scanMachine(takeSnapshot({ selfPaths: [] }), process.env, WHOLE_SCAN) })
}

/** @throws SandboxError `layer_missing` */
async function loadCalls(): Promise<WindowsSetUpCalls> {
  const { openWindowsSetUp } = await import('../platform/windows/setup/open.js')
  return openWindowsSetUp(await setUpPlace())
}

async function setUpPlace(): Promise<WindowsSetUpPlace> {
  const { loadWindowsAddon } = await import('../platform/windows/addon.js')
  const { codexHome } = takeSnapshot({ selfPaths: [] })
  if (codexHome === undefined) throw new SandboxError('option_missing', { field: 'CODEX_HOME', value: undefined }, { detail: 'this user has no profile, and set-up keeps what it makes in the Codex home', remedy: 'Set CODEX_HOME to an absolute path.' })
  return { addon: loadWindowsAddon(), codexHome: normalizePath('windows', codexHome, { field: 'CODEX_HOME' }) }
}

/** What set-up starts with an administrator's consent: never by a person. @returns the exit code */
export async function runSetupHelper(pipe: string, digest: string): Promise<number> {
  const platform = currentPlatform()
  if (platform !== 'windows') throw new SandboxError('platform_unsupported', { field: 'platform', value: platform }, ONLY_WINDOWS)
  const { runElevatedHelper } = await import('../platform/windows/setup/open.js')
  return runElevatedHelper(await setUpPlace(), { pipe, digest })
}

/* The library's functions. */

/**
 * Windows alone: sets up its sandbox, once for each user: what commands under `workspace-write` and `read-only` in `roots` need. `elevated` asks
 * for an administrator's consent. A second call makes only what is missing. Other systems need no set-up, but for Linux machines whose
 * AppArmor forbids user namespaces: `codex-sandbox setup linux`, as root.
 *
 * @throws SandboxError `platform_unsupported` off Windows; `windows_setup_refused` where this machine cannot have it, before any change;
 *         `windows_setup_busy` while another one is under way; `set_up_failed` with the step, after all of it was undone
 */
export const setup = async (mode: WindowsMode, options: SetupOptions = {}): Promise<SetUpReport> => (await openWindowsSetup()).setUp(mode, options)

/** Windows alone: what `setup` has made on this machine. Changes nothing. @throws SandboxError `platform_unsupported` off Windows */
export const setupStatus = async (): Promise<SetUpStatus> => (await openWindowsSetup()).status()

/** Windows alone: removes all accounts, firewall rules, capabilities and entries of access lists that `setup` made, and nothing else. @throws as `setup` */
export const uninstall = async (listeners: SetUpListeners = {}): Promise<UninstallReport> => (await openWindowsSetup()).uninstall(listeners)
