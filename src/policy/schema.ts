// The forms in which a policy may be written, as zod schemas. Loaded only where a policy is given as an object: presets
// do without. docs/policy.schema.json is emitted from here by scripts/emit-schema.ts.
import * as z from 'zod'
import { nearestName } from './nearest-name.js'
import { SANDBOX_MODES } from './presets.js'

/** An object in which an unknown key is an error that proposes the nearest known one: a misspelt restriction must not be dropped. */
const strict = <Shape extends z.ZodRawShape>(shape: Shape) => z.strictObject(shape, {
  error: issue => {
    if (issue.code !== 'unrecognized_keys') return undefined
    const known = Object.keys(shape)
    const nearest = nearestName(issue.keys[0] ?? '', known)
    return nearest === undefined ? `Known here: ${known.join(', ')}.` : `Did you mean ${JSON.stringify(nearest)}?`
  },
})

const path = z.string().min(1)
const paths = z.array(path)

/* The wire: camelCase, tag `type`. */

const wireReadAccess = z.discriminatedUnion('type', [
  strict({ type: z.literal('fullAccess') }),
  strict({ type: z.literal('restricted'), includePlatformDefaults: z.boolean().optional(), readableRoots: paths.optional() }),
])
export const wireVariants = {
  dangerFullAccess: strict({ type: z.literal('dangerFullAccess') }),
  readOnly: strict({ type: z.literal('readOnly'), access: wireReadAccess.optional(), networkAccess: z.boolean().optional() }),
  externalSandbox: strict({ type: z.literal('externalSandbox'), networkAccess: z.enum(['restricted', 'enabled']).optional() }),
  workspaceWrite: strict({
    type: z.literal('workspaceWrite'),
    writableRoots: paths.optional(),
    readOnlyAccess: wireReadAccess.optional(),
    networkAccess: z.boolean().optional(),
    excludeTmpdirEnvVar: z.boolean().optional(),
    excludeSlashTmp: z.boolean().optional(),
  }),
} as const
export const wirePolicySchema = z.discriminatedUnion('type', [wireVariants.dangerFullAccess, wireVariants.readOnly, wireVariants.externalSandbox, wireVariants.workspaceWrite])

/* The core's own JSON, as its helper takes it: kebab tags, snake_case fields. */

const coreReadAccess = z.discriminatedUnion('type', [
  strict({ type: z.literal('full-access') }),
  strict({ type: z.literal('restricted'), include_platform_defaults: z.boolean().optional(), readable_roots: paths.optional() }),
])
export const coreVariants = {
  'danger-full-access': strict({ type: z.literal('danger-full-access') }),
  'read-only': strict({ type: z.literal('read-only'), access: coreReadAccess.optional(), network_access: z.boolean().optional() }),
  'external-sandbox': strict({ type: z.literal('external-sandbox'), network_access: z.enum(['restricted', 'enabled']).optional() }),
  'workspace-write': strict({
    type: z.literal('workspace-write'),
    writable_roots: paths.optional(),
    read_only_access: coreReadAccess.optional(),
    network_access: z.boolean().optional(),
    exclude_tmpdir_env_var: z.boolean().optional(),
    exclude_slash_tmp: z.boolean().optional(),
  }),
} as const
const corePolicySchema = z.discriminatedUnion('type', [coreVariants['danger-full-access'], coreVariants['read-only'], coreVariants['external-sandbox'], coreVariants['workspace-write']])

/* The table of rules for the network, with keys in either spelling. */

const port = z.int().min(1).max(65535)
const networkKeys = {
  enabled: z.boolean().describe('false: off. true, and none of the rules below that only a proxy can hold: open.'),
  mode: z.enum(['full', 'limited']).describe('limited: GET, HEAD and OPTIONS of plain HTTP, and nothing else.'),
  allowedDomains: z.array(z.string()).describe('Hosts that may be reached, each with an optional :port or :from-to: example.com, *.example.com (below it), **.example.com (both), * (all that is public), addresses, CIDR, and presets such as @npm.'),
  deniedDomains: z.array(z.string()).describe('Beats allowedDomains.'),
  domains: z.record(z.string(), z.enum(['allow', 'deny'])).describe('Both lists in one map.'),
  strictAllowlist: z.boolean().describe('Whether a host that no rule names is denied without asking anybody.'),
  allowUnixSockets: paths.describe('Unix sockets made outside, by path, or folders of them.'),
  unixSockets: z.record(z.string(), z.enum(['allow', 'deny', 'none'])).describe('The same as a map.'),
  dangerouslyAllowAllUnixSockets: z.boolean(),
  dangerouslyAllowDockerSocket: z.boolean().describe('Sockets that give the whole machine away (docker.sock and its like) may be allowed as well.'),
  allowLocalPorts: z.array(port).describe('Ports of the loopback of this machine, reachable inside on the same port.'),
  allowLocalBinding: z.boolean().describe('Own servers on the loopback. On Linux they always work: it changes nothing there.'),
  allowUpstreamProxy: z.boolean().describe('The proxy goes through the one that HTTP_PROXY and its like name.'),
  httpPort: port.describe('Of the proxy\'s listener inside.'),
  socksPort: port.describe('Of a second listener.'),
} as const
type NetworkKey = keyof typeof networkKeys
type Snake<Text extends string> = Text extends `${infer First}${infer Rest}` ? First extends Lowercase<First> ? `${First}${Snake<Rest>}` : `_${Lowercase<First>}${Snake<Rest>}` : Text

/** `allowedDomains` as config.toml and requirements have it: `allowed_domains`. */
export const snakeCase = (key: string): string => key.replaceAll(/[A-Z]/g, letter => `_${letter.toLowerCase()}`)

const optional = <Shape extends Record<string, z.ZodType>>(shape: Shape) =>
  Object.fromEntries(Object.entries(shape).map(([key, value]) => [key, value.optional()])) as { [Key in keyof Shape]: z.ZodOptional<Shape[Key]> }

const networkTableSchema = strict(optional(networkKeys))

/** The same in snake_case. */
const networkConfigSchema = strict(optional(
  Object.fromEntries(Object.entries(networkKeys).map(([key, value]) => [snakeCase(key), value])) as { [Key in NetworkKey as Snake<Key>]: (typeof networkKeys)[Key] },
))
export const NETWORK_KEYS = Object.keys(networkKeys) as readonly NetworkKey[]
export type NetworkConfig = Readonly<z.input<typeof networkConfigSchema>>

/* config.toml; external-sandbox is for programs only. */

const variableName = z.string().regex(/^[^=\0]+$/, 'a variable name without "=" and NUL')
const variableValue = z.string().regex(/^[^\0]*$/, 'a text without NUL')

const shellEnvironmentSchema = strict({
  inherit: z.enum(['all', 'core', 'none']).optional(),
  ignore_default_excludes: z.boolean().optional().describe('false: drop names that look like secrets.'),
  exclude: z.array(variableName).optional(),
  set: z.record(variableName, variableValue).optional(),
  include_only: z.array(variableName).optional(),
  experimental_use_profile: z.boolean().optional(),
})

export const configPolicySchema = strict({
  sandbox_mode: z.enum(['read-only', 'workspace-write', 'danger-full-access']).optional(),
  sandbox_workspace_write: strict({
    writable_roots: paths.optional(),
    network_access: z.boolean().optional(),
    exclude_tmpdir_env_var: z.boolean().optional(),
    exclude_slash_tmp: z.boolean().optional(),
  }).optional(),
  shell_environment_policy: shellEnvironmentSchema.optional(),
  network: networkConfigSchema.optional(),
})

/* In code. */

const count = z.int().positive()

export const policyObjectSchema = strict({
  mode: z.enum(SANDBOX_MODES).optional().describe('Default: workspace-write.'),
  writableRoots: paths.optional().describe('Absolute folders, writable under workspace-write beside the cwd.'),
  excludeTmpdirEnvVar: z.boolean().optional(),
  excludeSlashTmp: z.boolean().optional(),
  readOnlyAccess: wireReadAccess.optional().describe('What may be read. Default: everything.'),
  access: wireReadAccess.optional().describe('The same as readOnlyAccess.'),
  networkAccess: z.union([z.boolean(), z.enum(['restricted', 'enabled'])]).optional(),
  network: z.union([z.boolean(), z.enum(['off', 'proxied', 'open']), networkTableSchema]).optional(),
  read: paths.optional().describe('Paths that may only be read. A trailing /** means the folder with all in it.'),
  write: paths.optional().describe('Paths that may be written.'),
  deny: paths.optional().describe('Paths and globs that may be neither read nor written.'),
  requiredDeny: paths.optional().describe('The same, and no other rule opens a part of them: what requirements deny.'),
  protect: paths.optional().describe('Names in every writable root that stay read-only, beside .git, .codex and .agents.'),
  protectAgentFiles: z.boolean().optional().describe('Control files of other agents, editors and hook runners (.claude, .vscode, .husky, ...) stay read-only where they exist.'),
  git: z.enum(['protected', 'commits']).optional().describe('commits: .git is open, except what git on the host would run or believe.'),
  denySecrets: z.union([z.boolean(), strict({ except: paths.optional() })]).optional(),
  caches: z.enum(['private', 'off']).optional(),
  tmp: z.enum(['host', 'private', 'none']).optional(),
  devices: paths.optional().describe('Device nodes below /dev.'),
  limits: strict({ memoryBytes: count.optional(), pids: count.optional(), cpuSeconds: count.optional(), openFiles: count.optional(), fileSizeBytes: z.int().nonnegative().optional() }).optional(),
  env: strict({
    inherit: z.enum(['all', 'core', 'none']).optional(),
    keep: z.array(variableName).optional(),
    exclude: z.array(variableName).optional(),
    set: z.record(variableName, variableValue).optional(),
    only: z.array(variableName).optional().describe('All that may be left in the end.'),
    dropSecrets: z.boolean().optional(),
  }).optional(),
})
const presetSchema = z.enum(SANDBOX_MODES)

/** Of what a caller hands in nothing is changed, so a list may be `as const`. */
type Readonly<T> = T extends readonly (infer Each)[] ? readonly Readonly<Each>[] : T extends object ? { readonly [Key in keyof T]: Readonly<T[Key]> } : T

export type PolicyObject = Readonly<z.input<typeof policyObjectSchema>>
export type WirePolicy = Readonly<z.input<typeof wirePolicySchema>>
export type CorePolicy = Readonly<z.input<typeof corePolicySchema>>
export type ConfigPolicy = Readonly<z.input<typeof configPolicySchema>>
/** All that `parsePolicy` takes. */
export type PolicyInput = z.input<typeof presetSchema> | PolicyObject | WirePolicy | CorePolicy | ConfigPolicy

/** The JSON Schema of all forms, as docs/policy.schema.json holds it. */
export function renderJsonSchema(): string {
  const forms = z.union([
    presetSchema.describe('A preset by name.'),
    policyObjectSchema.describe('The form in code.'),
    wirePolicySchema.describe('sandboxPolicy on the wire.'),
    corePolicySchema.describe('The JSON of the command line.'),
    configPolicySchema.describe('The keys of config.toml.'),
  ])
  return `${JSON.stringify({ title: 'codex-sandbox policy', ...z.toJSONSchema(forms, { io: 'input' }) }, null, 2)}\n`
}
