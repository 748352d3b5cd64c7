// The options that say what is allowed → one policy. Reads the file that --policy names, and the configuration where it is asked for.
import { resolve } from 'node:path'
import type { LoadConfigOptions, LoadedConfig } from '../config/load.js'
import { SandboxError } from '../errors.js'
import { currentFolder, userHome } from '../host/snapshot.js'
import type { LinuxBackend } from '../platform/launch-plan.js'
import { combineNetwork } from '../policy/network-policy.js'
import type { NetworkRules } from '../policy/domains.js'
import { resolveText } from '../policy/path-syntax.js'
import { protectedName } from '../policy/protected-name.js'
import { presetPolicy } from '../policy/presets.js'
import type { Limits, NetworkMode, SandboxMode, SandboxPolicy } from '../policy/sandbox-policy.js'
import type { Options, Verb } from './options.js'
import { parseJson, readText } from './read-file.js'
import { oneOf, parseAssignment, parseCount, parsePort, parseSizeBytes } from './values.js'

const MODES = ['read-only', 'workspace-write', 'danger-full-access'] as const satisfies readonly SandboxMode[]

export interface PolicyContext {
  /** Of this process: relative paths start there, wherever --cd leads. */
  readonly cwd: string
  /** Where `~/` leads. Default: this user's. */
  readonly home?: string
  /** Where the configuration lies. Default: this machine's. */
  readonly config?: Partial<LoadConfigOptions>
  /** Told of what in the configuration is not as it was written. */
  readonly onNotice?: (notice: string) => void
  /** Told of the back end that the configuration asks for. */
  readonly onBackend?: (backend: LinuxBackend) => void
}

/**
 * The policy that a command line asks for: a base (--policy, else the configuration where the verb reads it, else the verb's default), then -s,
 * then what adds to it. Requirements bound it where the configuration is read.
 *
 * @throws SandboxError `option_invalid`, `policy_contradiction`, `requirement_conflict`, and all that `parsePolicy` and `loadConfig` throw
 */
export async function policyFromOptions(verb: Verb, options: Options, context: PolicyContext): Promise<SandboxPolicy> {
  const { cwd, home = userHome() } = context
  const loaded = await loadedConfig(verb, options, context)
  const base = await basePolicy(verb, options, loaded)
  const paths = (given: readonly string[] | undefined): string[] => (given ?? []).map(path => absolute(cwd, home, path))
  const changes: { readonly [Key in keyof SandboxPolicy]?: SandboxPolicy[Key] } = {
    read: [...base.read, ...paths(options.read)],
    write: [...base.write, ...paths(options.write)],
    deny: [...base.deny, ...paths(options.deny)],
    protect: [...base.protect, ...(options.protect ?? []).map(name => protectedName(name, '--protect'))],
    devices: [...base.devices, ...(options.device ?? []).map(path => resolve('/dev', path))],
    git: options.git === undefined ? base.git : oneOf('--git', options.git, ['commits', 'protected'] as const),
    protectAgentFiles: options.agentFiles === undefined ? base.protectAgentFiles : oneOf('--agent-files', options.agentFiles, ['protected', 'open'] as const) === 'protected',
    caches: options.caches === undefined ? base.caches : oneOf('--caches', options.caches, ['private', 'off'] as const),
    tmp: options.tmp === undefined ? base.tmp : oneOf('--tmp', options.tmp, ['host', 'private', 'none'] as const),
    limits: { ...base.limits, ...limits(options) },
    env: environment(base.env, options.env),
  }
  refuseUnderNoSandbox(base.mode, options)
  const { networkRules: _, ...rest } = base
  const policy = { ...rest, ...network(base, options, path => absolute(cwd, home, path)), ...changes }
  return loaded?.bound(policy, 'policy') ?? policy
}

/** `sandbox` reads it as the reference does; the others where an option names it. */
async function loadedConfig(verb: Verb, options: Options, { cwd, config, onNotice, onBackend }: PolicyContext): Promise<LoadedConfig | undefined> {
  if (verb !== 'sandbox' && options.config === undefined && options.profile === undefined) return undefined
  if (options.policy !== undefined && options.config !== undefined) throw contradiction('--config', options.config[0], '--policy is a whole policy')
  if (options.policy !== undefined && options.profile !== undefined) throw contradiction('--profile', options.profile, '--policy is a whole policy')
  const [{ codexHomeOf }, { loadConfig }, { noticesOf }] = await Promise.all([import('../config/codex-home.js'), import('../config/load.js'), import('../config/load-policy.js')])
  const loaded = await loadConfig({ codexHome: codexHomeOf(), ...configOptions(options, cwd), ...config })
  for (const notice of options.policy === undefined ? noticesOf(loaded) : []) onNotice?.(notice)
  if (loaded.backend !== undefined) onBackend?.(loaded.backend)
  return loaded
}

/** What -C, -p and -c say of the configuration. */
export function configOptions({ cd, profile, config }: Options, cwd: string): Pick<LoadConfigOptions, 'cwd' | 'overridesFolder' | 'profile' | 'overrides'> {
  return { cwd: cd === undefined ? cwd : resolve(cwd, cd), overridesFolder: cwd, ...(profile === undefined ? {} : { profile }), ...(config === undefined ? {} : { overrides: config }) }
}

const NETWORK_OPTIONS: Readonly<Record<string, string>> = { allowedDomains: '--allow-domain', deniedDomains: '--deny-domain', allowLocalPorts: '--allow-local-port', allowUnixSockets: '--allow-unix-socket' }

/** What the base says of the network, and what options add to it. `--network off` and `open` leave nothing of the base's own hosts. */
function network(base: SandboxPolicy, options: Options, absolute: (path: string) => string): Pick<SandboxPolicy, 'network' | 'networkRules'> {
  const unchanged = { network: base.network, ...(base.networkRules === undefined ? {} : { networkRules: base.networkRules }) }
  const { allowDomain, denyDomain, allowUnixSocket, allowLocalPort } = options
  if (options.network === undefined && [allowDomain, denyDomain, allowUnixSocket, allowLocalPort].every(each => each === undefined)) return unchanged
  const word = options.network === undefined ? undefined : oneOf('--network', options.network, ['off', 'proxied', 'open'] as const)
  const { mode, allowedDomains, deniedDomains, ...ours }: Partial<NetworkRules> = base.networkRules ?? {}
  const hosts = word === 'off' || word === 'open' ? {} : { mode, allowedDomains, deniedDomains }
  const add = <Value>(own: readonly Value[] | undefined, given: readonly Value[] | undefined) => given === undefined ? own : [...own ?? [], ...given]
  return combineNetwork({
    word: wordOf(word, base.network, allowDomain ?? denyDomain),
    table: {
      ...ours, ...hosts,
      allowedDomains: add(hosts.allowedDomains, allowDomain),
      deniedDomains: add(hosts.deniedDomains, denyDomain),
      allowUnixSockets: add(ours.allowUnixSockets, allowUnixSocket?.map(absolute)),
      allowLocalPorts: add(ours.allowLocalPorts, allowLocalPort?.map(text => parsePort('--allow-local-port', text))),
    },
    spell: key => NETWORK_OPTIONS[key] ?? `network.${key}`,
  }) ?? unchanged
}

async function basePolicy(verb: Verb, options: Options, loaded: LoadedConfig | undefined): Promise<SandboxPolicy> {
  const mode = chosenMode(options)
  if (options.policy !== undefined) {
    if (mode !== undefined) throw contradiction(options.sandbox === undefined ? '--full-auto' : '--sandbox', mode, '--policy says the mode already')
    return readPolicy(options.policy, currentFolder())
  }
  const defaults = verb === 'sandbox' ? 'reference' : 'library'
  const normalMode = verb === 'sandbox' || verb === 'learn' ? 'read-only' : 'workspace-write'
  if (loaded === undefined) return presetPolicy(mode ?? normalMode, defaults)
  const flag = loaded.layers.find(({ name }) => name === 'session-flags')?.config['sandbox_mode']
  if (mode !== undefined && flag !== undefined && flag !== mode) throw new SandboxError('policy_contradiction', { field: 'sandbox_mode', value: flag }, { detail: `the mode was given as ${mode}` })
  return loaded.policy({ defaults, normalMode, ...(mode === undefined ? {} : { sandboxMode: mode }) })
}

function chosenMode(options: Options): (typeof MODES)[number] | undefined {
  const mode = options.sandbox === undefined ? undefined : oneOf('--sandbox', options.sandbox, MODES)
  if (options.fullAuto !== true) return mode
  if (mode !== undefined && mode !== 'workspace-write') throw contradiction('--sandbox', mode, '--full-auto means workspace-write')
  return 'workspace-write'
}

const EXAMPLE = 'Write it like {"mode": "workspace-write", "deny": ["secrets"]}.'

/** `--policy`: JSON itself, or a file of JSON or, by its name, TOML. What is wrong in it is named as a part of the option. */
async function readPolicy(given: string, cwd: string): Promise<SandboxPolicy> {
  const { parseConfigPolicy, parsePolicy } = await import('../policy/parse.js')
  const parse = await policyText(given, cwd)
  try {
    return parse.baseDir === undefined ? parsePolicy(parse.input) : parseConfigPolicy(parse.input, parse.baseDir)
  } catch (error) {
    throw error instanceof SandboxError && error.field !== undefined ? error.renamed(error.field === 'policy' ? '--policy' : `--policy ${error.field}`) : error
  }
}

/** `baseDir`: of a config file, whose relative roots start at its own folder, as in the reference. */
async function policyText(given: string, cwd: string): Promise<{ readonly input: unknown; readonly baseDir?: string }> {
  // No file is called like that, and a list is no policy, which the parser says better.
  if (/^\s*[{["]/.test(given)) return { input: parseJson('--policy', given, given, EXAMPLE) }
  const file = resolve(cwd, given)
  const text = readText('--policy', file, given, 'Name a file, or give the policy itself as JSON: {"mode": "workspace-write"}.')
  if (!file.endsWith('.toml')) return { input: parseJson('--policy', text, given, EXAMPLE) }
  const { parseToml } = await import('./parse-toml.js')
  return { input: parseToml(text, '--policy', given), baseDir: resolve(file, '..') }
}

/** Against this process's cwd; `~/` is our home, since a shell leaves it alone in --option=~/path. */
function absolute(cwd: string, home: string | undefined, path: string): string {
  // The policy may be for another system than this one.
  const platform = cwd.startsWith('/') ? 'linux' : 'windows'
  if (path !== '~' && !path.startsWith('~/')) return resolveText(platform, cwd, path)
  if (home === undefined) throw new SandboxError('path_invalid', { field: 'path', value: path }, { detail: 'this user has no home folder', remedy: 'Set HOME, or give the path in full.' })
  return resolveText(platform, home, `.${path.slice(1)}`)
}

function limits(options: Options): Limits {
  return {
    ...(options.memory === undefined ? {} : { memoryBytes: parseSizeBytes('--memory', options.memory) }),
    ...(options.pids === undefined ? {} : { pids: parseCount('--pids', options.pids) }),
  }
}

/** NAME=VALUE is set; NAME alone is kept although it would be dropped. */
function environment(base: SandboxPolicy['env'], given: readonly string[] | undefined): SandboxPolicy['env'] {
  if (given === undefined) return base
  const assignments = given.map(text => parseAssignment('--env', text))
  const set = Object.fromEntries(assignments.flatMap(({ name, value }) => value === undefined ? [] : [[name, value]]))
  return { ...base, keep: [...base.keep, ...assignments.filter(({ value }) => value === undefined).map(({ name }) => name)], set: { ...base.set, ...set } }
}

/** Without a word for it, a host that is named turns the proxy on. */
function wordOf(word: NetworkMode | undefined, own: NetworkMode, hosts: readonly string[] | undefined): { field: string; value: NetworkMode } {
  return { field: '--network', value: word ?? (hosts === undefined ? own : 'proxied') }
}

/** A rule that nothing would enforce is an error, not a wish. */
function refuseUnderNoSandbox(mode: SandboxMode, options: Options): void {
  if (mode !== 'danger-full-access' && mode !== 'external-sandbox') return
  if (options.network === 'proxied' || (mode === 'danger-full-access' && options.network === 'off')) throw contradiction('--network', options.network, `the mode is ${mode}, which enforces nothing`)
  for (const key of ['allowDomain', 'denyDomain', 'allowUnixSocket', 'allowLocalPort'] as const) {
    if (options[key] !== undefined) throw contradiction(`--${key.replace(/[A-Z]/g, letter => `-${letter.toLowerCase()}`)}`, options[key], `the mode is ${mode}, which enforces nothing`)
  }
  for (const key of ['read', 'write', 'deny', 'protect', 'agentFiles', 'caches', 'tmp', 'git', 'device'] as const) {
    const value = options[key]
    if (value !== undefined) throw contradiction(key === 'agentFiles' ? '--agent-files' : `--${key}`, value, `the mode is ${mode}, which enforces nothing`)
  }
}

const contradiction = (field: string, value: unknown, detail: string): SandboxError => new SandboxError('policy_contradiction', { field, value }, { detail })
