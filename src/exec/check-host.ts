// What this machine can enforce: of one policy, and at all. Starts no sandbox.
import { SandboxError } from '../errors.js'
import { currentSystem } from '../host/snapshot.js'
import type { GroupReport, LayerReport } from '../platform/backend.js'
import type { BackendName, Enforcement } from '../platform/launch-plan.js'
import { namedLauncher } from '../platform/linux/native/find-launcher.js'
import { loadBackend } from '../platform/load-backend.js'
import { selectBackend } from '../platform/select.js'
import type { PlatformName } from '../policy/host-snapshot.js'
import { removeUnused } from './caches.js'
import { checkSandboxOptions } from './check-options.js'
import type { ParsedSandboxOptions, SandboxOptions } from './options.js'
import { parseOptions, prepare } from './prepare.js'

export interface MissingLayer {
  /** The rule, option or step that cannot be enforced; undefined where no sandbox starts here at all. */
  readonly rule: string | undefined
  readonly layer: string
  readonly reason: string
  readonly remedy: string
}

export type HostCheck =
  | { readonly ok: true; readonly enforcement: Enforcement }
  | { readonly ok: false; readonly missing: readonly MissingLayer[] }

export interface Capabilities {
  readonly platform: PlatformName
  readonly backend: BackendName
  /** Which layers this host offers, and why not. */
  readonly layers: readonly LayerReport[]
  /** Whether control groups can hold limits of memory and processes here. */
  readonly groups?: GroupReport
}

/** What the host lacks; any other error is the policy's own and is thrown. */
const HOST_ERRORS: readonly string[] = ['layer_missing', 'rule_not_enforceable', 'platform_unsupported', 'launcher_not_found', 'launcher_not_known', 'set_up_failed', 'windows_setup_required']

/**
 * Whether `policy` can be enforced on this host.
 *
 * @throws SandboxError for what is wrong with the policy itself
 */
export async function checkHost(policy: NonNullable<SandboxOptions['policy']> = 'workspace-write', options: Omit<SandboxOptions, 'policy'> = {}): Promise<HostCheck> {
  checkSandboxOptions(options)
  return checkParsedHost(await parseOptions({ ...options, policy }))
}

/** For callers inside this package, which have parsed the policy already. */
export async function checkParsedHost(options: ParsedSandboxOptions): Promise<HostCheck> {
  try {
    const { plan, caches } = await prepare(options)
    if (caches !== undefined) removeUnused(caches)
    return { ok: true, enforcement: plan.enforcement }
  } catch (error) {
    if (!(error instanceof SandboxError) || !HOST_ERRORS.includes(error.code)) throw error
    return { ok: false, missing: await missingOf(error, options) }
  }
}

/**
 * What the host offers to a confined policy.
 *
 * @throws SandboxError `option_invalid`, `launcher_not_found`, `launcher_not_known`
 */
export async function capabilities(options: Pick<SandboxOptions, 'launcherPath' | 'launcherSha256'> = {}): Promise<Capabilities> {
  checkSandboxOptions(options)
  const { launcherPath, launcherSha256, ...others } = options
  const [other] = Object.keys(others)
  if (other !== undefined) throw new SandboxError('option_invalid', { field: other, value: undefined }, { detail: 'it says nothing of what a host offers; there are launcherPath, launcherSha256', remedy: 'Leave it out, or ask checkHost.' })
  return capabilitiesOf({ launcherPath, launcherSha256 })
}

/** Of the back end that was asked for: a bwrap that is looked at is run, so a policy must have been asked whether commands may write it. */
async function capabilitiesOf({ launcherPath, launcherSha256, backend: linux }: { readonly [Name in 'launcherPath' | 'launcherSha256' | 'backend']?: SandboxOptions[Name] | undefined }): Promise<Capabilities> {
  const launcher = namedLauncher({ launcherPath, launcherSha256 }, process.env)
  const host = currentSystem()
  const backend = await loadBackend(selectBackend(host, 'workspace-write', undefined, linux), host, launcher)
  const groups = backend.findGroups?.()
  return { platform: host.platform, backend: backend.name, layers: await backend.probe(), ...(groups === undefined ? {} : { groups }) }
}

/** Beside the error itself, the layers that are absent: they are what there is to repair. */
async function missingOf(error: SandboxError, options: Pick<SandboxOptions, 'launcherPath' | 'launcherSha256' | 'backend'>): Promise<MissingLayer[]> {
  const own: MissingLayer = { rule: error.code === 'layer_missing' ? undefined : error.field ?? error.step, layer: error.code === 'layer_missing' ? error.field ?? '' : error.code, reason: error.message, remedy: error.remedy }
  if (error.code === 'launcher_not_found' || error.code === 'launcher_not_known' || error.code === 'platform_unsupported') return [own]
  const { layers } = await capabilitiesOf(options)
  const absent = layers.filter(({ available, layer }) => !available && layer !== own.layer)
  return [own, ...absent.map(({ layer, reason, errno, remedy }) => ({ rule: undefined, layer, reason: reason ?? errno ?? 'not available', remedy: remedy ?? error.remedy }))]
}
