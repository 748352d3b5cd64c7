// Policy input of any form -> SandboxPolicy. Looks at no host: paths stay as they were written, where that form allows it.
import type * as z from 'zod'
import { SandboxError } from '../errors.js'
import { nearestName } from './nearest-name.js'
import { looksAbsolute, resolveText } from './path-syntax.js'
import { combineNetwork, type NetworkTable } from './network-policy.js'
import { protectedName } from './protected-name.js'
import { isPresetName, presetPolicy, SANDBOX_MODES } from './presets.js'
import type { EnvironmentPolicy, Limits, ReadAccess, SandboxMode, SandboxPolicy } from './sandbox-policy.js'
import { type ConfigPolicy, configPolicySchema, type CorePolicy, coreVariants, NETWORK_KEYS, type NetworkConfig, type PolicyObject, policyObjectSchema, snakeCase, type WirePolicy, wireVariants } from './schema.js'

/**
 * Takes a preset's name, the form in code, or, known by their keys, the wire's, the core's and config.toml's.
 * The first two get the library's defaults, the others the reference's.
 *
 * @throws SandboxError `policy_unknown_key`, `policy_invalid_value`, `policy_contradiction`, `path_not_absolute`,
 *         `glob_invalid`, `rule_not_enforceable`; `field` is the full path of the field
 */
export function parsePolicy(input: unknown): SandboxPolicy {
  if (typeof input === 'string') {
    if (isPresetName(input)) return presetPolicy(input, 'library')
    const nearest = nearestName(input, SANDBOX_MODES)
    throw invalidValue('policy', input, nearest === undefined ? `the presets are ${SANDBOX_MODES.join(', ')}` : `did you mean ${JSON.stringify(nearest)}?`)
  }
  if (!isObject(input)) throw invalidValue('policy', input, 'it is neither a preset nor an object')
  if ('type' in input) return parseWirePolicy(input)
  if ('sandbox_mode' in input || 'sandbox_workspace_write' in input || 'shell_environment_policy' in input) return parseConfigPolicy(input)
  return parseCodePolicy(input)
}

/** `sandboxPolicy` of the wire, or the core's JSON: told apart by the tag. */
export function parseWirePolicy(input: unknown): SandboxPolicy {
  if (!isObject(input)) throw invalidValue('policy', input, 'it is not an object')
  const type = 'type' in input ? input.type : undefined
  if (isKey(wireVariants, type)) return fromWire(check<WirePolicy>(wireVariants[type], input))
  if (isKey(coreVariants, type)) return fromCore(check<CorePolicy>(coreVariants[type], input))
  const known = [...Object.keys(wireVariants), ...Object.keys(coreVariants)]
  const nearest = typeof type === 'string' ? nearestName(type, known) : undefined
  throw invalidValue('type', type, nearest === undefined ? `the types are ${Object.keys(wireVariants).join(', ')}` : `did you mean ${JSON.stringify(nearest)}?`)
}

/**
 * The keys of config.toml that concern the sandbox; other keys of that file are not passed in here.
 *
 * @param baseDir   the folder of the file, absolute: relative roots start there. Without it they are refused.
 */
export function parseConfigPolicy(input: unknown, baseDir?: string): SandboxPolicy {
  const config = check<ConfigPolicy>(configPolicySchema, input)
  const mode = config.sandbox_mode ?? 'read-only'
  const preset = presetPolicy(mode, 'reference')
  const network = configNetwork(config, mode)
  if (mode === 'danger-full-access' && network !== undefined && (network.network !== 'open' || network.networkRules !== undefined)) {
    throw new SandboxError('policy_contradiction', { field: 'network', value: config.network }, { detail: `the mode is ${mode}, which enforces nothing` })
  }
  const policy = { ...preset, ...network, env: { ...preset.env, ...shellEnvironment(config.shell_environment_policy) } }
  const table = config.sandbox_workspace_write
  // As in the reference, the table waits until its mode is chosen.
  if (mode !== 'workspace-write' || table === undefined) return policy
  const roots = (table.writable_roots ?? []).map((root, index) => absoluteRoot(root, `sandbox_workspace_write.writable_roots[${index}]`, baseDir))
  return {
    ...policy,
    writableRoots: roots,
    excludeTmpdirEnvVar: table.exclude_tmpdir_env_var ?? false,
    excludeSlashTmp: table.exclude_slash_tmp ?? false,
  }
}

/** `shell_environment_policy` as ours. What it does not say is absent. */
function shellEnvironment(table: ConfigPolicy['shell_environment_policy']): Partial<EnvironmentPolicy> {
  if (table === undefined) return {}
  if (table.experimental_use_profile === true) {
    throw new SandboxError('rule_not_enforceable', { field: 'shell_environment_policy.experimental_use_profile', value: true }, { detail: 'a profile is read by the shell that is asked to', remedy: 'Leave it out, and ask for a login shell: `bash -lc`, or login: true.' })
  }
  return dropUndefined<Partial<EnvironmentPolicy>>({
    inherit: table.inherit, exclude: table.exclude, set: table.set, only: table.include_only,
    dropSecrets: table.ignore_default_excludes === undefined ? undefined : !table.ignore_default_excludes,
  })
}

function fromWire(wire: WirePolicy): SandboxPolicy {
  switch (wire.type) {
    case 'dangerFullAccess': return presetPolicy('danger-full-access', 'reference')
    case 'readOnly': return {
      ...presetPolicy('read-only', 'reference'),
      readAccess: readAccess(wire.access, 'access'),
      network: wire.networkAccess === true ? 'open' : 'off',
    }
    case 'externalSandbox': return { ...presetPolicy('external-sandbox', 'reference'), network: wire.networkAccess === 'enabled' ? 'open' : 'off' }
    case 'workspaceWrite': return {
      ...presetPolicy('workspace-write', 'reference'),
      writableRoots: (wire.writableRoots ?? []).map((root, index) => absoluteRoot(root, `writableRoots[${index}]`)),
      readAccess: readAccess(wire.readOnlyAccess, 'readOnlyAccess'),
      network: wire.networkAccess === true ? 'open' : 'off',
      excludeTmpdirEnvVar: wire.excludeTmpdirEnvVar ?? false,
      excludeSlashTmp: wire.excludeSlashTmp ?? false,
    }
    default: return wire satisfies never
  }
}

function fromCore(core: CorePolicy): SandboxPolicy {
  switch (core.type) {
    case 'danger-full-access': return presetPolicy('danger-full-access', 'reference')
    case 'read-only': return {
      ...presetPolicy('read-only', 'reference'),
      readAccess: coreReadAccess(core.access, 'access'),
      network: core.network_access === true ? 'open' : 'off',
    }
    case 'external-sandbox': return { ...presetPolicy('external-sandbox', 'reference'), network: core.network_access === 'enabled' ? 'open' : 'off' }
    case 'workspace-write': return {
      ...presetPolicy('workspace-write', 'reference'),
      writableRoots: (core.writable_roots ?? []).map((root, index) => absoluteRoot(root, `writable_roots[${index}]`)),
      readAccess: coreReadAccess(core.read_only_access, 'read_only_access'),
      network: core.network_access === true ? 'open' : 'off',
      excludeTmpdirEnvVar: core.exclude_tmpdir_env_var ?? false,
      excludeSlashTmp: core.exclude_slash_tmp ?? false,
    }
    default: return core satisfies never
  }
}

function parseCodePolicy(input: object): SandboxPolicy {
  const given = check<PolicyObject>(policyObjectSchema, input)
  const mode = given.mode ?? 'workspace-write'
  refuseContradictions(mode, given)
  const preset = presetPolicy(mode, 'library')
  return {
    ...preset,
    readAccess: given.readOnlyAccess === undefined ? readAccess(given.access, 'access') : readAccess(given.readOnlyAccess, 'readOnlyAccess'),
    writableRoots: (given.writableRoots ?? []).map((root, index) => absoluteRoot(root, `writableRoots[${index}]`)),
    excludeTmpdirEnvVar: given.excludeTmpdirEnvVar ?? false,
    excludeSlashTmp: given.excludeSlashTmp ?? false,
    ...network(given),
    read: given.read ?? [],
    write: given.write ?? [],
    deny: [...new Set([...given.deny ?? [], ...given.requiredDeny ?? []])],
    ...(given.requiredDeny === undefined ? {} : { requiredDeny: given.requiredDeny }),
    protect: (given.protect ?? []).map((name, index) => protectedName(name, `protect[${index}]`)),
    protectAgentFiles: given.protectAgentFiles ?? preset.protectAgentFiles,
    git: given.git ?? 'protected',
    denySecrets: denySecrets(given, preset),
    caches: given.caches ?? preset.caches,
    tmp: given.tmp ?? 'host',
    devices: given.devices ?? [],
    limits: dropUndefined<Limits>(given.limits ?? {}),
    env: { ...preset.env, ...dropUndefined<Partial<EnvironmentPolicy>>(given.env ?? {}) },
  }
}

/** Two fields that cannot both hold; nothing narrows or widens silently. */
function refuseContradictions(mode: SandboxMode, given: PolicyObject): void {
  const contradiction = (field: keyof PolicyObject, detail: string) => new SandboxError('policy_contradiction', { field, value: given[field] }, { detail })
  if (given.access !== undefined && given.readOnlyAccess !== undefined) throw contradiction('access', 'readOnlyAccess is the same field')
  if (mode !== 'workspace-write') {
    for (const field of ['writableRoots', 'excludeTmpdirEnvVar', 'excludeSlashTmp'] as const) {
      if (given[field] !== undefined) throw contradiction(field, `mode is ${mode}, and this belongs to workspace-write`)
    }
  }
  if (mode !== 'danger-full-access' && mode !== 'external-sandbox') return
  for (const field of ['read', 'deny', 'requiredDeny', 'protect', 'access', 'readOnlyAccess', 'git', 'tmp', 'devices', 'write', 'caches'] as const) {
    if (given[field] !== undefined) throw contradiction(field, `mode is ${mode}, which enforces nothing`)
  }
  for (const field of ['denySecrets', 'protectAgentFiles'] as const) {
    if (given[field] !== undefined && given[field] !== false) throw contradiction(field, `mode is ${mode}, which enforces nothing`)
  }
  const asked = network(given)
  if (asked === undefined) return
  if (mode === 'danger-full-access' && asked.network === 'off') throw contradiction(given.network === undefined ? 'networkAccess' : 'network', `mode is ${mode}, which enforces nothing`)
  if (asked.networkRules !== undefined || asked.network === 'proxied') throw contradiction('network', `mode is ${mode}, which enforces nothing`)
}

function network({ network, networkAccess }: PolicyObject): ReturnType<typeof combineNetwork> {
  return combineNetwork({
    networkAccess: networkAccess === undefined ? undefined : { field: 'networkAccess', value: networkAccess === true || networkAccess === 'enabled' },
    word: network === undefined || typeof network === 'object' ? undefined : { field: 'network', value: typeof network === 'string' ? network : network ? 'open' : 'off' },
    table: typeof network === 'object' ? network : undefined,
  })
}

/** The table `network` of config.toml, with the mode's own `network_access`. */
function configNetwork(config: ConfigPolicy, mode: SandboxMode): ReturnType<typeof combineNetwork> {
  const access = mode === 'workspace-write' ? config.sandbox_workspace_write?.network_access : undefined
  return combineNetwork({
    networkAccess: access === undefined ? undefined : { field: 'sandbox_workspace_write.network_access', value: access },
    ...(config.network === undefined ? {} : { table: camelCased(config.network), spell: (key: string) => `network.${snakeCase(key)}` }),
  })
}

const camelCased = (table: NetworkConfig): NetworkTable =>
  Object.fromEntries(NETWORK_KEYS.map(key => [key, (table as Readonly<Record<string, unknown>>)[snakeCase(key)]])) as NetworkTable

function denySecrets({ denySecrets }: PolicyObject, preset: SandboxPolicy): SandboxPolicy['denySecrets'] {
  if (denySecrets === undefined) return preset.denySecrets
  if (typeof denySecrets === 'boolean') return denySecrets ? { except: [] } : false
  return { except: denySecrets.except ?? [] }
}

function readAccess(access: Extract<WirePolicy, { type: 'readOnly' }>['access'], field: string): ReadAccess {
  if (access === undefined || access.type === 'fullAccess') return { kind: 'full' }
  return restricted(access.includePlatformDefaults, access.readableRoots, `${field}.readableRoots`)
}

function coreReadAccess(access: Extract<CorePolicy, { type: 'read-only' }>['access'], field: string): ReadAccess {
  if (access === undefined || access.type === 'full-access') return { kind: 'full' }
  return restricted(access.include_platform_defaults, access.readable_roots, `${field}.readable_roots`)
}

const restricted = (includePlatformDefaults = true, readableRoots: readonly string[] = [], field: string): ReadAccess =>
  ({ kind: 'restricted', includePlatformDefaults, readableRoots: readableRoots.map((root, index) => absoluteRoot(root, `${field}[${index}]`)) })

/** `~` waits for `resolve`, which knows the home folder. */
function absoluteRoot(root: string, field: string, baseDir?: string): string {
  if (looksAbsolute(root) || /^~(?:[\\/]|$)/.test(root)) return root
  if (baseDir === undefined) throw new SandboxError('path_not_absolute', { field, value: root })
  return resolveText(baseDir.startsWith('/') ? 'linux' : 'windows', baseDir, root)
}

/** Validates, and turns the first issue into our error. Unknown keys go first: they explain the others. */
function check<Result>(schema: z.ZodType<Result>, input: unknown): Result {
  const result = schema.safeParse(input)
  if (result.success) return result.data
  const issues = result.error.issues.map(deepest)
  const issue = issues.find(({ code }) => code === 'unrecognized_keys') ?? issues[0]
  if (issue === undefined) throw new Error('zod reported a failure without an issue')
  if (issue.code === 'unrecognized_keys') {
    throw new SandboxError('policy_unknown_key', { field: fieldName([...issue.path, issue.keys[0] ?? '']), value: undefined }, { remedy: issue.message })
  }
  throw invalidValue(fieldName(issue.path), valueAt(input, issue.path), issue.message)
}

const TYPE_WORDS: Readonly<Record<string, string>> = {
  boolean: 'true or false', string: 'a text', array: 'a list', object: 'an object', record: 'an object', number: 'a number', int: 'a whole number',
}

const oneOf = (values: readonly unknown[]): string => `it must be ${values.length === 1 ? '' : 'one of '}${values.map(String).join(', ')}`

/** What a value must be, as our other errors say it; a format has its own words in the schema. */
function wording(issue: Issue): string {
  switch (issue.code) {
    case 'invalid_value': return oneOf(issue.values)
    case 'invalid_union': return 'options' in issue && Array.isArray(issue['options']) ? oneOf(issue['options']) : issue.message
    case 'invalid_type': return `it must be ${TYPE_WORDS[issue.expected] ?? issue.expected}`
    case 'too_small': return issue.origin === 'string' ? 'it must not be empty' : issue.inclusive === false ? `it must be more than ${issue.minimum}` : `it must be ${issue.minimum} or more`
    case 'invalid_key': return `its name must be ${issue.issues[0]?.message ?? 'another'}`
    case 'invalid_format': return `it must be ${issue.message}`
    default: return issue.message
  }
}

type Issue = z.core.$ZodIssue

/** Of a union's branches, the one that the input came closest to. */
function deepest(issue: Issue): Issue {
  if (issue.code !== 'invalid_union') return issue.code === 'unrecognized_keys' ? issue : { ...issue, message: wording(issue) }
  const inner = issue.errors.flat().map(each => deepest({ ...each, path: [...issue.path, ...each.path] }))
  const unknown = inner.find(({ code }) => code === 'unrecognized_keys')
  const deeper = inner.find(({ path }) => path.length > issue.path.length)
  const expected = inner.map(({ message }) => message)
  return unknown ?? deeper ?? (expected.length === 0 ? { ...issue, message: wording(issue) } : { ...issue, message: [expected[0], ...new Set(expected.slice(1).map(each => each.replace(/^it must be /, '')))].join(', or ') })
}

const fieldName = (path: readonly PropertyKey[]): string =>
  path.length === 0 ? 'policy' : path.map((key, index) => typeof key === 'number' ? `[${key}]` : index === 0 ? String(key) : `.${String(key)}`).join('')

function valueAt(input: unknown, path: readonly PropertyKey[]): unknown {
  return path.reduce<unknown>((value, key) => isObject(value) ? (value as Record<PropertyKey, unknown>)[key] : undefined, input)
}

const invalidValue = (field: string, value: unknown, detail: string) => new SandboxError('policy_invalid_value', { field, value: value ?? null }, { detail })

const isObject = (value: unknown): value is object => typeof value === 'object' && value !== null

const isKey = <Table extends object>(table: Table, key: unknown): key is keyof Table => typeof key === 'string' && Object.hasOwn(table, key)

/** With `exactOptionalPropertyTypes`, absent and undefined differ. */
const dropUndefined = <Result extends object>(value: { [Key in keyof Result]?: Result[Key] | undefined }): Result =>
  Object.fromEntries(Object.entries(value).filter(([, each]) => each !== undefined)) as Result
