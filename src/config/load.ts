// Configuration as a whole: every layer read and checked, merged, and held within the requirements.
import { createHash } from 'node:crypto'
import path from 'node:path'
import { SandboxError, type TextPlace } from '../errors.js'
import { currentPlatform } from '../host/snapshot.js'
import type { LinuxBackend } from '../platform/launch-plan.js'
import type { PlatformName } from '../policy/host-snapshot.js'
import { escapeGlob } from '../policy/glob.js'
import { isInside } from '../policy/path-syntax.js'
import type { DefaultsName } from '../policy/presets.js'
import type { NetworkMode, SandboxPolicy } from '../policy/sandbox-policy.js'
import { boundConfig, boundRequest, refuseMode, type RequirementChange } from './bounds.js'
import { codexHomePath } from './codex-home.js'
import { type ConfigFile, readConfigFile } from './config-file.js'
import { type Believed, BUILT_IN, type ConfigSandboxMode, type EffectiveConfig, hasRules, networkOf, policyOf, readEffective } from './effective.js'
import { CONFIG_KEYS, isTable } from './keys.js'
import { type CheckedLayer, checkLayer, type ConfigWarning, type LayerName } from './layer.js'
import { decodePreference, type ManagedPreferences, managedPreferences, PREFERENCE_DOMAIN, type PreferenceKey } from './managed-preferences.js'
import { type Merged, mergeLayers } from './merge.js'
import { parseOverride } from './override.js'
import type { TrustLevel } from './project.js'
import { projectLayers } from './project-layers.js'
import { isFolder, real } from './real-places.js'
import type { RequirementSource } from './requirement-source.js'
import { mergeRequirements, readRequirements, type Requirements, requirementsOfManagedConfig, type RequirementSet } from './requirements.js'
import { rootPaths, rootsOf } from './roots.js'
import { readToml } from './toml-text.js'
import { copyTree, emptyTree, setAt, type Tree, valueAt } from './trees.js'

export interface LoadConfigOptions {
  /** Absolute. CODEX_HOME, or `~/.codex`: `codexHomeOf` finds it. */
  readonly codexHome: string
  /** Absolute: the workspace, where the project is looked for. */
  readonly cwd: string
  /** The cwd is a folder of another machine: no project of this one is read. */
  readonly elsewhere?: true
  /** A profile by its name. Default: what `profile` says. */
  readonly profile?: string
  /** Each `KEY=VALUE`, as `-c` takes it; the later over the earlier. */
  readonly overrides?: readonly string[]
  /** Where relative roots of `overrides` start. Default: `cwd`. */
  readonly overridesFolder?: string
  /** Default: those of this machine, on macOS. */
  readonly managedPreferences?: ManagedPreferences
  /** TOML that the embedding runtime was given; the strongest of the requirements. */
  readonly cloudRequirements?: string
  /** Where the system's files lie. Default: `/etc/codex`, on Windows `%ProgramData%\OpenAI\Codex`. */
  readonly systemFolder?: string
  /** Default: this process's. Read for HOME, TMPDIR and ProgramData only. */
  readonly env?: Readonly<Record<string, string | undefined>>
  /** Default: this machine's. */
  readonly platform?: PlatformName
}

export interface ConfigLayer {
  readonly name: LayerName
  /** Of a file; of a profile, the file of its user. */
  readonly path?: string
  /** A fingerprint of `config`: `sha256:` and hex. */
  readonly version: string
  /** As it was written, other keys included. */
  readonly config: Readonly<Record<string, unknown>>
  /** Why it has no part: a project that is not trusted. */
  readonly disabledReason?: string
}

export interface ModeChoices {
  /** In place of the configured one. */
  readonly sandboxMode?: ConfigSandboxMode
  /** Where no layer says one. Default: read-only. */
  readonly normalMode?: ConfigSandboxMode
  /** What the configuration has no key for. Default: `reference`. */
  readonly defaults?: DefaultsName
}

export interface LoadedConfig {
  /** What holds, within the requirements. */
  readonly config: EffectiveConfig
  /** The merged tables in config.toml's spelling, before the requirements, with what is built in and with keys that are not known here. */
  readonly tables: Readonly<Record<string, unknown>>
  /** The lower first. */
  readonly layers: readonly ConfigLayer[]
  /** Key, as TOML writes it → the layer of its value. Every value of `tables` has one. */
  readonly origins: ReadonlyMap<string, ConfigLayer>
  /** The back end that `features.use_linux_sandbox_bwrap` asks for. */
  readonly backend: LinuxBackend | undefined
  readonly profile: string | undefined
  /** What the user says of the folder. */
  readonly trust: TrustLevel | undefined
  readonly requirements: Requirements | null
  /** What of `tables` the requirements changed. */
  readonly changes: readonly RequirementChange[]
  readonly warnings: readonly ConfigWarning[]
  /** Files that were believed, and links that lead to one: no command may write them. */
  readonly files: readonly string[]
  /**
   * The policy that it asks for.
   *
   * @throws SandboxError `requirement_conflict`: a mode that was asked for by name is not allowed
   */
  policy(choices?: ModeChoices): SandboxPolicy
  /** The policy of one request, bounded: what it names and may not is an error `requirement_conflict`. */
  bound(policy: SandboxPolicy, field?: string): SandboxPolicy
}

/** @throws SandboxError `config_invalid`, `config_unreadable`, `profile_not_found` */
export async function loadConfig(options: LoadConfigOptions): Promise<LoadedConfig> {
  const sources = await readSources(options)
  const own = [...sources.below, ...sources.above]
  const projects = projectsOf(own)
  const chosen = chooseProfile(options, own)
  const project = projectLayers(options, projects)
  const layers = [BUILT_IN, ...sources.below, ...(chosen === undefined ? [] : [chosen.layer]), ...project.layers.map(({ layer }) => layer), ...sources.above]
  const merged = mergeLayers(layers, rootsOf({ ...options, platform: platformOf(options) }))
  const { config, changes } = boundConfig(readEffective(merged), sources.requirements)
  const shown = showLayers(layers, layer => project.layers.find(each => each.layer === layer)?.disabledReason)
  const files = [...sources.files, ...(chosen?.file === undefined ? [] : [chosen.file]), ...project.files]
  const isSaid = (key: string): boolean => merged.origins.has(key) && merged.origins.get(key)?.name !== 'built-in'
  return {
    config,
    tables: merged.tree,
    layers: [...new Set(shown.values())],
    origins: new Map([...merged.origins].map(([key, layer]) => [key, shown.get(layer) as ConfigLayer])),
    backend: config.features['use_linux_sandbox_bwrap'] === true && platformOf(options) === 'linux' ? 'linux-bwrap' : undefined,
    profile: chosen?.name,
    trust: project.trust,
    requirements: sources.requirements,
    changes,
    warnings: [...layers.flatMap(({ warnings }) => warnings), ...merged.warnings, ...sources.warnings, ...unheld(readEffective(merged), networkOf(config), merged, platformOf(options))],
    files: [...new Set(files.flatMap(({ real, links }) => [...links.filter(link => !isFolder(link)), real]))],
    policy: choices => policyOf(withMode(readEffective(merged), choices, sources.requirements, isSaid), { ...choices, believed: believedOf(options, files), isSaid }),
    bound: (policy, field) => boundRequest(policy, sources.requirements, field),
  }
}

/** What of the files that were believed a policy has to hold by itself: CODEX_HOME is protected whatever the policy. */
function believedOf(options: LoadConfigOptions, files: readonly ConfigFile[]): Believed {
  const platform = platformOf(options)
  const home = real(options.codexHome) ?? options.codexHome
  const isOwnHome = options.codexHome === codexHomePath(process.env)
  const outside = files.map(file => file.real).filter(file => !isInside(platform, home, file))
  const links = new Set(files.flatMap(file => file.links))
  return {
    files: [...new Set(isOwnHome ? outside : [...outside, home])].map(file => escapeGlob(platform, file)),
    // A rule on a link is one on what it leads to, so links are held by their names.
    linksIn: root => [...links].filter(link => link !== root && isInside(platform, root, link)).map(link => path.relative(root, link)),
    rootsOf: config => rootPaths(options, config),
  }
}

/** The mode that was asked for by name must be allowed; any other falls back. */
function withMode(config: EffectiveConfig, { sandboxMode, normalMode }: ModeChoices = {}, requirements: Requirements | null, isSaid: (key: string) => boolean): EffectiveConfig {
  if (sandboxMode !== undefined) refuseMode(sandboxMode, requirements)
  return boundConfig({ ...config, sandboxMode: sandboxMode ?? (isSaid('sandbox_mode') ? config.sandboxMode : normalMode ?? config.sandboxMode) }, requirements).config
}

interface Sources {
  /** Of a file each, the lower first: below the profile and the project. */
  readonly below: readonly CheckedLayer[]
  readonly above: readonly CheckedLayer[]
  readonly requirements: Requirements | null
  readonly warnings: readonly ConfigWarning[]
  readonly files: readonly ConfigFile[]
}

const platformOf = (options: LoadConfigOptions): PlatformName => options.platform ?? currentPlatform()

async function readSources(options: LoadConfigOptions): Promise<Sources> {
  const platform = platformOf(options)
  const env = options.env ?? process.env
  const system = options.systemFolder ?? (platform === 'windows' ? path.win32.join(env['ProgramData'] ?? 'C:\\ProgramData', 'OpenAI', 'Codex') : '/etc/codex')
  const files: ConfigFile[] = []
  const file = (name: LayerName, at: string): CheckedLayer[] => {
    const found = readConfigFile(at, 'follow')
    if (found === undefined) return []
    files.push(found)
    return [checkLayer({ name, path: at, config: found.text.value as Tree, place: found.text.place, baseDir: path.dirname(at) })]
  }
  const below = [...file('system', path.join(system, 'config.toml')), ...file('user', path.join(options.codexHome, 'config.toml'))]
  const flags = sessionFlags(options)
  // As in the reference: beside the system's other files, and on Windows beside the user's.
  const managedFile = path.join(platform === 'windows' ? options.codexHome : system, 'managed_config.toml')
  const managed = file('managed-config', managedFile)
  const preferences = options.managedPreferences ?? managedPreferences(platform)
  const read = async (key: PreferenceKey) => {
    const value = await preferences?.(key)
    return value === undefined || value === '' ? undefined : readToml(decodePreference(key, value), `${PREFERENCE_DOMAIN}:${key}`)
  }
  const preferred = (await read('config_toml_base64'))
  const managedPreferred = preferred === undefined ? [] : [checkLayer({ name: 'managed-preferences', path: `${PREFERENCE_DOMAIN}:config_toml_base64`, config: preferred.value as Tree, place: preferred.place, baseDir: options.codexHome })]

  const required = (source: RequirementSource, text: { value: unknown; place: (path: readonly (string | number)[]) => TextPlace } | undefined): RequirementSet[] =>
    text === undefined ? [] : [readRequirements({ source, config: text.value as Tree, place: text.place })]
  const systemRequirements = readConfigFile(path.join(system, 'requirements.toml'), 'follow')
  if (systemRequirements !== undefined) files.push(systemRequirements)
  const sets = [
    ...required({ name: 'cloud' }, options.cloudRequirements === undefined ? undefined : readToml(options.cloudRequirements, 'requirements of the cloud')),
    ...required({ name: 'managed-preferences', path: `${PREFERENCE_DOMAIN}:requirements_toml_base64` }, await read('requirements_toml_base64')),
    ...required({ name: 'system', ...(systemRequirements === undefined ? {} : { path: systemRequirements.path }) }, systemRequirements?.text),
    ...managedPreferred.map(({ normal, path: at }) => requirementsOfManagedConfig(normal, { name: 'managed-config', ...(at === undefined ? {} : { path: at }) })),
    ...managed.map(({ normal }) => requirementsOfManagedConfig(normal, { name: 'managed-config', path: managedFile })),
  ]
  return { below, above: [...flags, ...managed, ...managedPreferred], requirements: mergeRequirements(sets), warnings: sets.flatMap(({ warnings }) => warnings), files }
}

/** Each by itself, so that an error names it. A key that is nearly one of ours was meant to be it, and who wrote it is there to be told. */
function sessionFlags({ overrides = [], overridesFolder, cwd }: LoadConfigOptions): CheckedLayer[] {
  return overrides.map(text => {
    const { config, place } = parseOverride(text)
    const layer = checkLayer({ name: 'session-flags', config, place, baseDir: overridesFolder ?? cwd })
    const unknown = layer.warnings.find(({ kind }) => kind === 'unknown')
    if (unknown !== undefined) throw new SandboxError('option_invalid', { field: '-c', value: unknown.key }, { detail: 'it is no key that is known here', remedy: unknown.near === undefined ? 'Leave it out.' : `Did you mean ${unknown.near}?` })
    return layer
  })
}

function mergeInto(tree: Tree, config: Readonly<Tree>): void {
  for (const [name, value] of Object.entries(config)) {
    const below = valueAt(tree, [name])
    if (isTree(value) && isTree(below)) mergeInto(below, value)
    else setAt(tree, [name], isTree(value) ? copyTree(value) : value)
  }
}

const isTree = (value: unknown): value is Tree => isTable(value)

/** The tables of the user and those above, the stronger over the weaker, key by key. */
function merge(own: readonly CheckedLayer[], keyPath: readonly string[]): Tree {
  const all = emptyTree()
  for (const { normal } of own) {
    const value = valueAt(normal, keyPath)
    if (isTree(value)) mergeInto(all, value)
  }
  return all
}

const projectsOf = (own: readonly CheckedLayer[]): Tree => merge(own, ['projects'])

interface ChosenProfile {
  readonly name: string
  readonly layer: CheckedLayer
  readonly file?: ConfigFile
}

/** The profile stands right above the user's file, whoever chose it. Later generations keep it in a file of its own. */
function chooseProfile({ profile, codexHome }: LoadConfigOptions, own: readonly CheckedLayer[]): ChosenProfile | undefined {
  const chooser = own.findLast(({ normal }) => normal['profile'] !== undefined)
  const name = profile ?? chooser?.normal['profile'] as string | undefined
  if (name === undefined) return undefined
  const holders = own.filter(({ normal }) => isTree(valueAt(normal, ['profiles', name])))
  const [holder] = holders
  if (holder === undefined) {
    const file = /^[\w-]+$/.test(name) ? readConfigFile(path.join(codexHome, `${name}.config.toml`), 'follow') : undefined
    if (file !== undefined) return { name, file, layer: checkLayer({ name: 'profile', path: file.path, config: file.text.value as Tree, place: file.text.place, baseDir: codexHome }, CONFIG_KEYS) }
    const known = Object.keys(merge(own, ['profiles']))
    throw new SandboxError('profile_not_found', { field: 'profile', value: name }, { detail: known.length === 0 ? 'there is none' : `there are ${known.join(', ')}` })
  }
  const tables = (of: 'config' | 'normal'): Tree => {
    const all = emptyTree()
    for (const each of holders) mergeInto(all, (valueAt(each[of], ['profiles', name]) ?? {}) as Tree)
    return all
  }
  return { name, layer: { name: 'profile', ...(holder.path === undefined ? {} : { path: holder.path }), config: tables('config'), normal: tables('normal'), warnings: [] } }
}

/** What is asked for and has no effect. */
function unheld({ network, workspaceWrite, sandboxMode, features }: EffectiveConfig, held: NetworkMode, { tree, origins }: Merged, platform: PlatformName): ConfigWarning[] {
  const usesProfile = valueAt(tree, ['shell_environment_policy', 'experimental_use_profile']) === true
  const found: (readonly [key: string, text: string])[] = []
  if (hasRules(network) && held === 'off' && network.enabled === undefined && workspaceWrite.networkAccess !== false) found.push([network.allowedDomains === undefined ? 'network.denied_domains' : 'network.allowed_domains', 'opens nothing: the network is off until network.enabled is true'])
  if (sandboxMode === 'danger-full-access' && (network.enabled !== undefined || hasRules(network))) found.push(['network.enabled', 'has no effect: danger-full-access enforces nothing'])
  if (workspaceWrite.networkAccess === true && network.enabled === false) found.push(['sandbox_workspace_write.network_access', 'has no effect: network.enabled is false'])
  if (workspaceWrite.networkAccess === false && network.enabled === true && sandboxMode !== 'danger-full-access') found.push(['network.enabled', 'has no effect: sandbox_workspace_write.network_access is false'])
  if (features['use_linux_sandbox_bwrap'] === true && platform !== 'linux') found.push(['features.use_linux_sandbox_bwrap', 'has no effect: it is about Linux'])
  if (usesProfile) found.push(['shell_environment_policy.experimental_use_profile', 'has no effect: a profile is read by the shell that is asked to, with a login shell'])
  return found.map(([key, text]) => {
    const layer = origins.get(key)
    return { kind: 'no-effect' as const, key, layer: layer?.name ?? 'built-in', ...(layer?.path === undefined ? {} : { path: layer.path }), text }
  })
}

/** All of `-c` are one. */
function showLayers(layers: readonly CheckedLayer[], disabledReason: (layer: CheckedLayer) => string | undefined): Map<CheckedLayer, ConfigLayer> {
  const flags = emptyTree()
  for (const { name, config } of layers) if (name === 'session-flags') mergeInto(flags, config)
  const all = showLayer('session-flags', undefined, flags, undefined)
  return new Map(layers.map(layer => [layer, layer.name === 'session-flags' ? all : showLayer(layer.name, layer.path, layer.config, disabledReason(layer))]))
}

function showLayer(name: LayerName, at: string | undefined, config: Readonly<Tree>, disabledReason: string | undefined): ConfigLayer {
  return { name, ...(at === undefined ? {} : { path: at }), version: fingerprint(config), config, ...(disabledReason === undefined ? {} : { disabledReason }) }
}

/** The same tables have the same one, in whatever order they were written. */
const fingerprint = (config: Readonly<Tree>): string => `sha256:${createHash('sha256').update(JSON.stringify(sorted(config))).digest('hex')}`

const sorted = (value: unknown): unknown => isTree(value) ? Object.keys(value).sort().map(key => [key, sorted(value[key])]) : Array.isArray(value) ? value.map(sorted) : value
