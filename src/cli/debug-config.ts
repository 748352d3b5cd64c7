// `debug-config`: what the configuration comes to, where each value is from, and what requirements changed. Starts nothing.
import { spellApproval } from '../approval/approval-setting.js'
import { CONFIG_KEYS, TOP_KEYS } from '../config/keys.js'
import { codexHomeOf } from '../config/codex-home.js'
import { type ConfigLayer, loadConfig, type LoadedConfig } from '../config/load.js'
import { noticesOf } from '../config/load-policy.js'
import { describeSource } from '../config/requirement-source.js'
import type { Sourced } from '../config/requirements.js'
import { currentFolder } from '../host/snapshot.js'
import { policyObject } from '../policy/policy-object.js'
import type { PolicyObject } from '../policy/schema.js'
import type { Arguments } from './arguments.js'
import { configOptions } from './policy-options.js'
import { print } from './print.js'

export async function debugConfig({ options }: Arguments): Promise<number> {
  const loaded = await loadConfig({ codexHome: codexHomeOf(), ...configOptions(options, currentFolder()) })
  await print(process.stdout, options.json === true ? `${JSON.stringify(describeConfig(loaded), null, 2)}\n` : formatConfig(loaded))
  return 0
}

export interface ConfigValue {
  /** As TOML writes it. */
  readonly key: string
  /** What holds, within the requirements. */
  readonly value: unknown
  /** The layer that says it. */
  readonly layer: string
  readonly path?: string
  /** Where requirements changed it: what the layer says, and why it does not hold. */
  readonly said?: unknown
  readonly because?: string
  readonly requirement?: string
}

/** All that `debug-config` tells, as data. Of keys that are not known here the names alone: their values may be anybody's secrets. */
export function describeConfig(loaded: LoadedConfig) {
  return {
    profile: loaded.profile ?? null,
    trust: loaded.trust ?? null,
    layers: loaded.layers.map(({ name, path, version, disabledReason }) => ({ name, path, version, disabledReason })),
    values: valuesOf(loaded),
    otherKeys: otherKeysOf(loaded),
    requirements: requirementsOf(loaded),
    notices: noticesOf(loaded),
    policy: withoutSecrets(policyObject(loaded.policy())),
  }
}

function withoutSecrets({ env, ...policy }: PolicyObject): PolicyObject {
  if (env?.set === undefined) return env === undefined ? policy : { ...policy, env }
  return { ...policy, env: { ...env, set: Object.fromEntries(Object.entries(env.set).map(([name, value]) => [name, SECRET.test(name) ? '…' : value])) } }
}

function valuesOf(loaded: LoadedConfig): ConfigValue[] {
  const values = [...loaded.origins].filter(([key]) => isKnown(key)).map(([key, layer]) => describeValue(loaded, key, layer))
  // What no layer says, and requirements do.
  const added = loaded.changes.filter(({ key }) => !loaded.origins.has(key)).map(({ key, to, because, source }): ConfigValue => ({ key, value: to ?? null, layer: 'requirements', requirement: describeSource(source), because }))
  return [...values, ...added].sort((one, other) => rankOf(one.key) - rankOf(other.key))
}

function describeValue({ tables, changes }: LoadedConfig, key: string, { name, path }: ConfigLayer): ConfigValue {
  const said = withoutSecret(key, lookUp(tables, key))
  // The last word, where one bound changes what another had changed.
  const change = changes.findLast(each => each.key === key)
  const place = { layer: name, ...(path === undefined ? {} : { path }) }
  if (change === undefined) return { key, value: said, ...place }
  return { key, value: change.to ?? null, ...place, said, because: change.because, requirement: describeSource(change.source) }
}

/** `a."b.c".d` → the value there. Keys are those that `origins` has, so each is found. */
function lookUp(tables: Readonly<Record<string, unknown>>, key: string): unknown {
  return namesOf(key).reduce<unknown>((at, name) => (at as Record<string, unknown>)[name], tables)
}

const namesOf = (key: string): string[] => [...key.matchAll(/"(?:\\.|[^"\\])*"|[^."]+/g)].map(([name]) => name.startsWith('"') ? JSON.parse(name) as string : name)

const SECRET = /key|secret|token|password/i

function withoutSecret(key: string, value: unknown): unknown {
  const [, , variable] = namesOf(key)
  return key.startsWith('shell_environment_policy.set.') && variable !== undefined && SECRET.test(variable) ? '…' : value
}

const PATTERNS = [...CONFIG_KEYS, ...TOP_KEYS].map(({ key }) => key.split('.'))
const matches = (pattern: readonly string[], names: readonly string[]): boolean => pattern.length <= names.length && pattern.every((part, index) => part === '*' || part === names[index])

function rankOf(key: string): number {
  const rank = PATTERNS.findIndex(pattern => matches(pattern, namesOf(key)))
  return rank === -1 ? PATTERNS.length : rank
}

const isKnown = (key: string): boolean => rankOf(key) < PATTERNS.length

/** The first names of keys that have no part here. */
const otherKeysOf = ({ origins }: LoadedConfig): string[] =>
  [...new Set([...origins.keys()].filter(key => !isKnown(key)).map(key => namesOf(key)).map(([first = '', second]) => (first === 'features' || first === 'windows') && second !== undefined ? `${first}.${second}` : first))].filter(name => name !== 'profiles')

function requirementsOf({ requirements }: LoadedConfig): { name: string; value: unknown; source: string }[] {
  if (requirements === null) return []
  const { other, allowedApprovalPolicies, ...fields } = requirements
  const row = (name: string, { value, source }: Sourced<unknown>) => ({ name, value, source: describeSource(source) })
  return [
    ...Object.entries(fields).filter(([, sourced]) => sourced !== undefined).map(([name, sourced]) => row(name, sourced as Sourced<unknown>)),
    ...(allowedApprovalPolicies === undefined ? [] : [row('allowedApprovalPolicies', { ...allowedApprovalPolicies, value: allowedApprovalPolicies.value.map(each => spellApproval(each, 'granular')) })]),
    ...Object.entries(other).map(([name, { source }]) => ({ name, value: 'kept, and has no part here', source: describeSource(source) })),
  ]
}

export function formatConfig(loaded: LoadedConfig): string {
  const { layers, values, otherKeys, requirements, notices } = describeConfig(loaded)
  const layerWords = ({ name, path }: { name: string; path?: string | undefined }): string => [name === 'profile' && loaded.profile !== undefined ? `profile ${loaded.profile}` : name, path].filter(part => part !== undefined).join(' ')
  const width = Math.min(60, Math.max(...values.map(({ key, value }) => `${key} = ${shown(value)}`.length)))
  return [
    'Layers, the stronger below:',
    ...layers.map(layer => `  ${layerWords(layer)}${layer.disabledReason === undefined ? '' : ` (not read: ${layer.disabledReason})`}`),
    '',
    'Values, and the layer that says each:',
    ...values.flatMap(({ key, value, said, because, requirement, layer: name, path }) => [
      `  ${`${key} = ${shown(value)}`.padEnd(width)}  ${requirement ?? layerWords({ name, path })}`,
      ...(because === undefined ? [] : [`    ${said === undefined ? '' : `${layerWords({ name, path })} says ${shown(said)}; `}${because}`]),
    ]),
    ...(otherKeys.length === 0 ? [] : [`  keys that have no part here: ${otherKeys.join(', ')}`]),
    '',
    ...(requirements.length === 0 ? ['No requirements.'] : ['Requirements:', ...requirements.map(({ name, value, source }) => `  ${name} ${shown(value)}  ${source}`)]),
    ...(notices.length === 0 ? [] : ['', 'Not as it was written:', ...notices.map(notice => `  ${notice}`)]),
    '',
  ].join('\n')
}

const shown = (value: unknown): string => JSON.stringify(value) ?? 'nothing'
