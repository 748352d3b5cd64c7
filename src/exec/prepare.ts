// From a caller's options to a plan: policy, this machine, back end, compile. Starts no command.
import { randomInt } from 'node:crypto'
import { realpathSync } from 'node:fs'
import { SandboxError } from '../errors.js'
import { readPlaceholders, withoutPlaceholders } from '../host/placeholders.js'
import { currentFolder, currentPlatform, realFiles, takeSnapshot } from '../host/snapshot.js'
import type { Backend, CompileOptions, LayerReport } from '../platform/backend.js'
import type { BackendName, LaunchPlan } from '../platform/launch-plan.js'
import { findLauncher, namedLauncher, type NamedLauncher, packageRuntimePaths } from '../platform/linux/native/find-launcher.js'
import { loadBackend } from '../platform/load-backend.js'
import { selectBackend } from '../platform/select.js'
import type { FileIdentity, FileSystemView, HostSnapshot } from '../policy/host-snapshot.js'
import { isInside } from '../policy/path-syntax.js'
import { isPresetName, presetPolicy } from '../policy/presets.js'
import { resolve, resolveBeforeCaches, type ResolveOptions } from '../policy/resolve.js'
import type { ResolvedPolicy } from '../policy/resolved-policy.js'
import { orExhausted } from '../platform/exhausted.js'
import { areMade, cacheDirectory, type CacheFolders, cacheFolders, makeCacheFolders } from './caches.js'
import { refuseInexactLimits } from './limits.js'
import type { ParsedSandboxOptions, SandboxOptions } from './options.js'
import { wantedStandIns } from './stand-ins.js'
import { stateDirectory } from './state-directory.js'
import type { HostCompletion } from './windows-host.js'

/** What was found out about a policy on this machine. */
export interface Preparation {
  readonly caches: CacheFolders | undefined
  readonly options: ParsedSandboxOptions
  readonly policy: ResolvedPolicy
  readonly backend: Backend
  readonly layers: readonly LayerReport[]
  readonly plan: LaunchPlan
  /** As it was when the policy was resolved. */
  readonly host: HostSnapshot
  readonly completion: HostCompletion | undefined
  /** The layers are an earlier probe's: where a step fails, the host has to be asked again. */
  readonly recalled: boolean
}

/** The parser and its schemas are loaded for objects only: a preset's name needs none. */
export async function parseOptions({ policy = 'workspace-write', ...options }: SandboxOptions): Promise<ParsedSandboxOptions> {
  if (isPresetName(policy)) return { ...options, policy: presetPolicy(policy, 'library') }
  const { parsePolicy } = await import('../policy/parse.js')
  return { ...options, policy: parsePolicy(policy) }
}

/** @throws SandboxError `launcher_not_found`, `platform_unsupported` and all that `resolve` and `compile` have */
export async function prepare(options: ParsedSandboxOptions, { recall = false } = {}): Promise<Preparation> {
  try {
    return await prepareOn(options, recall)
  } catch (error) {
    throw orExhausted(error)
  }
}

async function prepareOn(options: ParsedSandboxOptions, recall: boolean): Promise<Preparation> {
  const launcher = namedLauncher(options, process.env)
  const completion = await hostCompletion()
  const host = snapshotFor(options, completion)
  const backend = await loadBackend(selectBackend(host, options.policy.mode, options.windowsMode, options.backend), host, launcher)
  if (options.backend !== undefined && host.platform !== 'linux') {
    throw new SandboxError('option_invalid', { field: 'backend', value: options.backend }, { detail: `it is one of Linux's, and this is ${host.platform}`, remedy: 'Leave it out.' })
  }
  if (options.rung !== undefined && backend.name !== 'linux-native') {
    throw new SandboxError('option_invalid', { field: 'rung', value: options.rung }, { detail: `it is one of Linux's ways, and this is ${backend.name}`, remedy: 'Leave it out.' })
  }
  // Before anything of it runs.
  refuseWritable([...(launcher === undefined ? [] : [launcher]), ...backend.programs ?? []], () => resolvePolicy(options, host))
  const state = stateDirectory(process.env, host)
  const known = recall ? backend.recall?.(state) : undefined
  // The probe is a process of its own: it runs while the policy is resolved.
  const probing = known === undefined ? backend.probe() : undefined
  probing?.catch(() => {})
  const { policy, caches, seen } = resolveWithCaches(options, host, completion)
  const proxyPort = chooseProxyPort(seen)
  const layers = known ?? await probing ?? []
  const prepared = { options, policy, caches, host: seen, completion, recalled: known !== undefined }
  try {
    const plan = compilePlan({ options, backend, layers }, policy, seen, proxyPort)
    if (known === undefined) backend.keep?.(state, layers)
    return { ...prepared, backend, layers, plan }
  } catch (error) {
    if (!(error instanceof SandboxError) || error.code !== 'layer_missing' || !mayRelyOnOuter(options, seen)) throw error
    return { ...prepared, ...await relyOnOuter(options, policy, seen, proxyPort), recalled: false }
  }
}

/** Whoever names a way means that one. */
const mayRelyOnOuter = ({ allowDegraded, backend, rung }: ParsedSandboxOptions, { platform }: HostSnapshot): boolean =>
  platform === 'linux' && allowDegraded?.includes('outer-sandbox') === true && backend === undefined && rung === undefined

/** Inside another sandbox that leaves no way to make one. */
async function relyOnOuter(options: ParsedSandboxOptions, policy: ResolvedPolicy, host: HostSnapshot, proxyPort: number): Promise<Pick<Preparation, 'backend' | 'layers' | 'plan'>> {
  const { outerSandboxBackend, probeOuterSandbox } = await import('../platform/linux/outer/backend.js')
  const backend = outerSandboxBackend()
  const layers = await probeOuterSandbox(policy, process.env)
  return { backend, layers, plan: compilePlan({ options, backend, layers }, policy, host, proxyPort) }
}

/** Folders are made only for a policy that is right. Where that has seen nothing of the place where they are, all else that it has seen stands. */
function resolveWithCaches(options: ParsedSandboxOptions, host: HostSnapshot, completion: HostCompletion | undefined): { policy: ResolvedPolicy; caches: CacheFolders | undefined; seen: HostSnapshot } {
  const wanted = { files: options.policy.caches === 'private', settings: wantedStandIns(options.policy.denySecrets !== false, host).length > 0 }
  if (host.platform === 'windows') return { policy: resolvePolicy(options, host), caches: undefined, seen: host }
  if (!wanted.files && !wanted.settings) return { policy: resolvePolicy(options, host), caches: undefined, seen: host }
  const parent = cacheDirectory(process.env, host)
  const place = watchFolder(host, realPath(parent))
  const resolveWith = resolveBeforeCaches(options.policy, { ...host, files: place.files }, resolveOptions(options))
  const known = cacheFolders(parent, realPath(options.cwd ?? host.cwd), wanted)
  if (areMade(known)) {
    makeCacheFolders(known)
    const policy = resolveWith(known)
    if (cacheFolders(parent, policy.cwd, wanted).own === known.own) return { policy, caches: known, seen: host }
  }
  const caches = cacheFolders(parent, resolveWith().cwd, wanted)
  const stands = !place.wasSeen() && host.files.entry(parent)?.kind === 'directory'
  makeCacheFolders(caches)
  const seen = stands ? { ...host, files: place.lookAgain() } : snapshotFor(options, completion)
  return { policy: stands ? resolveWith(caches, seen.files) : resolvePolicy(options, seen, caches), caches, seen }
}

/**
 * `host`'s files, and whether anybody has asked what lies in `folder`: if nobody has, it may change, and only it is looked at again.
 *
 * @param folder  canonical, as all paths are of which a resolution asks
 */
function watchFolder({ platform, files }: HostSnapshot, folder: string): { readonly files: FileSystemView; wasSeen(): boolean; lookAgain(): FileSystemView } {
  let seen = false
  const watched = <Answer>(ask: (path: string) => Answer, isAbout = (path: string) => isInside(platform, folder, path)) => (path: string): Answer => {
    seen ||= isAbout(path)
    return ask(path)
  }
  const split = (now: FileSystemView): FileSystemView => {
    const of = (path: string): FileSystemView => isInside(platform, folder, path) ? now : files
    return { entry: path => of(path).entry(path), children: path => of(path).children(path), text: path => of(path).text(path), bytes: path => of(path).bytes(path) }
  }
  return {
    // The folder itself is there already.
    files: { entry: watched(files.entry, path => path !== folder && isInside(platform, folder, path)), children: watched(files.children), text: watched(files.text), bytes: watched(files.bytes) },
    wasSeen: () => seen,
    lookAgain: () => split(realFiles()),
  }
}

function realPath(path: string): string {
  try {
    return realpathSync.native(path)
  } catch {
    return path // `resolve` says what is wrong with it
  }
}

/** A plan is of the host as it was looked at. Where a path has gone or changed since, such as another sandbox's placeholder, a new look helps. */
export const isStale = (error: unknown): boolean =>
  error instanceof SandboxError && error.code === 'set_up_failed' && error.path !== undefined && (error.errno === 'ENOENT' || error.errno === 'ESTALE')

/** Looks so often. */
export const MOST_LOOKS = 5

/** For a policy that a running sandbox widens: what is known of the host's layers stands. */
export function prepareAgain({ options, caches, backend, layers }: Pick<Preparation, 'options' | 'caches' | 'backend' | 'layers'>, host: HostSnapshot, notes: readonly string[]): Pick<Preparation, 'policy' | 'plan'> {
  const policy = resolvePolicy(options, host, caches)
  const launcher = namedLauncher(options, process.env)
  refuseWritable([...(launcher === undefined ? [] : [launcher]), ...backend.programs ?? []], () => policy)
  const plan = compilePlan({ options, backend, layers }, policy, host, chooseProxyPort(host))
  return { policy, plan: withNotes(plan, notes) }
}

function compilePlan({ options, backend, layers }: Pick<Preparation, 'options' | 'backend' | 'layers'>, policy: ResolvedPolicy, host: HostSnapshot, proxyPort: number, more: Partial<CompileOptions> = {}): LaunchPlan {
  const groups = policy.limits.memoryBytes === undefined && policy.limits.pids === undefined ? undefined : backend.findGroups?.()
  const endingGroup = backend.findEndingGroup?.(layers)
  const plan = backend.compile(policy, layers, {
    allowDegraded: new Set(options.allowDegraded),
    limits: policy.limits,
    architecture: process.arch === 'arm64' ? 'arm64' : 'x64',
    stateDirectory: stateDirectory(process.env, host),
    cwdIdentity: identityOf(host, policy.cwd),
    ...(options.observe === undefined ? {} : { observe: options.observe }),
    ...(groups === undefined ? {} : { groups }),
    ...(endingGroup === undefined ? {} : { endingGroup }),
    ...(options.rung === undefined ? {} : { rung: options.rung }),
    ...endpointsOf(policy, proxyPort),
    ...(host.windows === undefined ? {} : { windows: host.windows }),
    ...(host.platform !== 'windows' || host.codexHome === undefined ? {} : { codexHome: host.codexHome }),
    ...more,
  })
  if (options.requireLimits === true) refuseInexactLimits(options.policy.limits, plan.enforcement)
  return host.platform === 'windows' && options.policy.caches === 'private' && plan.backend !== 'unconfined' ? withNotes(plan, [NO_CACHES]) : plan
}

/** A folder that comes and goes would need set-up again each time. */
const NO_CACHES = 'caches of tools are not private here: they stay the home folder\'s, which commands may read and not write'

const withNotes = (plan: LaunchPlan, notes: readonly string[]): LaunchPlan => ({ ...plan, enforcement: { ...plan.enforcement, notes: [...plan.enforcement.notes, ...notes] } })

/** Those that no service has for its own. */
const FIRST_FREE_PORT = 49_152
const USUAL_PROXY_PORT = 3128

/** On Windows one of those that set-up has opened: the firewall leaves no other one to commands. */
function chooseProxyPort({ windows }: HostSnapshot): number {
  const opened = windows?.setUp?.proxyPorts ?? []
  return opened[randomInt(Math.max(1, opened.length))] ?? randomInt(FIRST_FREE_PORT, 1 << 16)
}

/** What of the host's loopback, and which of its sockets, a back end without a network namespace has to open. */
function endpointsOf({ platform, network, networkRules, unixSockets = [] }: ResolvedPolicy, proxyPort: number): Pick<CompileOptions, 'endpoints'> {
  if (platform === 'linux' || networkRules === undefined) return {}
  const { httpPort, allowLocalPorts, allowLocalBinding } = networkRules
  const proxyPorts = [...(network === 'proxied' ? [httpPort ?? proxyPort] : []), ...allowLocalPorts]
  return {
    endpoints: {
      ...(proxyPorts.length === 0 ? {} : { proxyPorts }), ...(allowLocalBinding ? { localBinding: true } : {}),
      ...(unixSockets.length === 0 ? {} : { unixSockets: unixSockets.map(({ path }) => path) }),
    },
  }
}

/** The plan for another machine, as its snapshot has it: nobody asks it, and every layer is supposed to be there. */
export async function planFor(options: ParsedSandboxOptions, host: HostSnapshot): Promise<LaunchPlan> {
  const backend = await loadBackend(selectBackend(host, options.policy.mode, options.windowsMode), host)
  const seen = host.platform === 'windows' ? (await import('../platform/windows/host-facts.js')).withInheritedDescriptors(host) : host
  return compilePlan({ options, backend, layers: SUPPOSED_LAYERS[backend.name] ?? [] }, resolvePolicy(options, seen), seen, USUAL_PROXY_PORT, { supposeSetUp: true })
}

const WINDOWS_THERE: readonly LayerReport[] = [{ layer: 'windows-addon', available: true }]
const SUPPOSED_LAYERS: Partial<Record<BackendName, readonly LayerReport[]>> = {
  'macos-seatbelt': [{ layer: 'seatbelt', available: true }], 'windows-elevated': WINDOWS_THERE, 'windows-unelevated': WINDOWS_THERE,
}

/** The program that was started for these options. */
export const launcherFile = (options: Pick<ParsedSandboxOptions, 'launcherPath' | 'launcherSha256'>): string => findLauncher(namedLauncher(options, process.env))

export function resolvePolicy(options: ParsedSandboxOptions, host: HostSnapshot, caches?: CacheFolders): ResolvedPolicy {
  return resolve(options.policy, host, { ...resolveOptions(options), ...(caches === undefined ? {} : { caches }) })
}

const resolveOptions = ({ cwd, allowBroadRoots }: ParsedSandboxOptions): Pick<ResolveOptions, 'cwd' | 'allowBroadRoots'> =>
  ({ ...(cwd === undefined ? {} : { cwd }), ...(allowBroadRoots === undefined ? {} : { allowBroadRoots }) })

/** `'files'`: only they are looked at again, which is all that a decision needs; the mounts and this package's files are as at the start. */
export type LookAtHost = (again?: 'files') => HostSnapshot

export function hostLooker(options: Parameters<typeof snapshotFor>[0], { host: first, completion }: Pick<Preparation, 'host' | 'completion'>, env: NodeJS.ProcessEnv): LookAtHost {
  const state = stateDirectory(env, first)
  return again => again === 'files' ? { ...first, files: withoutPlaceholders((completion?.files ?? realFiles)(), readPlaceholders(state)) } : snapshotFor(options, completion, env)
}

/** What a snapshot needs beside Node's own view, on the one platform where it does. */
export const hostCompletion = async (): Promise<HostCompletion | undefined> => currentPlatform() === 'windows' ? (await import('./windows-host.js')).windowsHost() : undefined

/** This machine, with what runs or is believed outside of every sandbox. */
export function snapshotFor(
  { cwd, selfPaths = [], ...launcher }: { readonly [Key in 'cwd' | 'launcherPath' | 'launcherSha256']?: string | undefined } & Pick<ParsedSandboxOptions, 'selfPaths'>,
  completion: HostCompletion | undefined,
  env: NodeJS.ProcessEnv = process.env,
): HostSnapshot {
  // Where it is given, this process's own may be gone.
  const taken = takeSnapshot({ selfPaths: [], env, cwd: cwd ?? currentFolder('cwd') })
  const host = completion === undefined ? taken : completion.host(taken, env)
  const state = stateDirectory(env, host)
  return {
    ...host,
    selfPaths: [...packageRuntimePaths(namedLauncher(launcher, env)), state, cacheDirectory(env, host), ...selfPaths],
    files: withoutPlaceholders(host.files, readPlaceholders(state)),
  }
}

/**
 * A launcher that others than the package put there, and every other program that is run outside, has to lie where no command may write, by any policy of this program: a rule
 * protects it in this sandbox only. The package's own lies in node_modules, often below the workspace, and is protected there.
 */
function refuseWritable(programs: readonly Pick<NamedLauncher, 'field' | 'path'>[], policyOf: () => ResolvedPolicy): void {
  if (programs.length === 0) return
  const policy = policyOf()
  for (const { field, path } of programs) {
    const places = [path, realpathSync(path)]
    const root = policy.paths.find(rule => rule.effect === 'write' && places.some(place => isInside(policy.platform, rule.path, place)))
    if (root === undefined) continue
    throw new SandboxError('self_not_protectable', { field, value: path }, { detail: `it lies in the writable root ${JSON.stringify(root.path)}`, remedy: 'Copy it to a folder that no command may write.' })
  }
}

function identityOf(host: HostSnapshot, path: string): FileIdentity {
  const entry = host.files.entry(path)
  if (entry === undefined) throw new SandboxError('path_not_found', { field: 'cwd', value: path })
  return { device: entry.device, inode: entry.inode }
}
