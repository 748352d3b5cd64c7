// One layer of configuration: checked against the table of keys, and brought into one spelling.
import { SandboxError, type TextPlace } from '../errors.js'
import { nearestName } from '../policy/nearest-name.js'
import { looksAbsolute, resolveText } from '../policy/path-syntax.js'
import { CLOSED_TABLES, CONFIG_KEYS, type ConfigKey, isTable, NETWORK_TABLES, TOP_KEYS } from './keys.js'
import type { TomlPath } from './toml-text.js'
import { copyTree, emptyTree, keyName, type KeyPath, removeAt, setAt, type Tree, valueAt } from './trees.js'

export type LayerName = 'built-in' | 'system' | 'user' | 'profile' | 'project' | 'session-flags' | 'managed-config' | 'managed-preferences'

export interface ConfigWarning {
  /**
   * `unknown`: a key that is not known here. `refused`: what a project's file may not say. `no-effect`: known, and it changes nothing.
   * `unheld`: it would forbid something elsewhere, and does not here.
   */
  readonly kind: 'unknown' | 'refused' | 'no-effect' | 'unheld'
  /** As TOML writes it; the file's name where it concerns the whole. */
  readonly key: string
  readonly layer: LayerName | 'requirements'
  /** Where the layer is a file. */
  readonly path?: string
  /** Goes on after the key: `is ignored: …`. */
  readonly text: string
  /** The key that was probably meant. */
  readonly near?: string
}

export interface CheckedLayer {
  readonly name: LayerName
  readonly path?: string
  /** As it was written. */
  readonly config: Readonly<Tree>
  /** The same in the spelling of CONFIG_KEYS' first rows, roots absolute. */
  readonly normal: Readonly<Tree>
  readonly warnings: readonly ConfigWarning[]
}

export interface LayerText {
  readonly name: LayerName
  readonly path?: string
  readonly config: Readonly<Tree>
  readonly place: (path: TomlPath) => TextPlace
  /** Where relative roots start. */
  readonly baseDir: string
}

/** Later generations say with these what may be read and written; nothing here holds them. */
const UNHELD = ['default_permissions', 'permissions'] as const
const TOP_NAMES = [...new Set([...CONFIG_KEYS, ...TOP_KEYS].map(({ key }) => key.split('.')[0] as string)), 'profiles']

/**
 * @param keys  what it may say; of a profile fewer
 * @throws SandboxError `config_invalid` with the place, for a wrong type of a key that is known here
 */
export function checkLayer(layer: LayerText, keys: readonly ConfigKey[] = [...CONFIG_KEYS, ...TOP_KEYS]): CheckedLayer {
  const warnings: ConfigWarning[] = []
  const warn: Warn = (kind, path, text, near) => {
    warnings.push({ kind, key: keyName(path), layer: layer.name, ...(layer.path === undefined ? {} : { path: layer.path }), text, ...(near === undefined ? {} : { near: keyName(near) }) })
  }
  const normal = copyTree(layer.config)
  normalize(layer, normal, [], keys, warn)
  tellUnheld(normal, warn)
  const profiles = tableAt(layer, normal, ['profiles'])
  for (const [name, profile] of Object.entries(profiles ?? {})) {
    if (!isTable(profile)) throw invalid(layer, ['profiles', name], profile, 'a table')
    normalize(layer, profile as Tree, ['profiles', name], CONFIG_KEYS, warn)
  }
  return { name: layer.name, ...(layer.path === undefined ? {} : { path: layer.path }), config: layer.config, normal, warnings }
}

type Warn = (kind: ConfigWarning['kind'], path: TomlPath, text: string, near?: TomlPath) => void

function normalize(layer: LayerText, tree: Tree, under: KeyPath, keys: readonly ConfigKey[], warn: Warn): void {
  oneBwrapSwitch(tree)
  for (const row of keys) for (const path of matching(layer, tree, under, row.key.split('.'))) checkValue(layer, [...under, ...path], valueAt(tree, path), row)
  tellUnknown(tree, under, warn)
  oneNetworkTable(layer, tree, under)
  absoluteRoots(layer, tree)
  oneWindowsSandbox(tree)
}

/** The paths that a row's pattern has in this tree. What stands in a table's place is an error. */
function* matching(layer: LayerText, tree: Readonly<Tree>, under: KeyPath, pattern: KeyPath, at: KeyPath = []): Generator<KeyPath> {
  const [first, ...rest] = pattern
  if (first === undefined) {
    yield at
    return
  }
  const table = at.length === 0 ? tree : valueAt(tree, at)
  if (table === undefined) return
  if (!isTable(table)) {
    // `features.network_proxy = true` is a switch of its own.
    if (keyName(at) === 'features.network_proxy' && typeof table === 'boolean') return
    throw invalid(layer, [...under, ...at], table, 'a table')
  }
  const names = first === '*' ? Object.keys(table) : Object.hasOwn(table, first) ? [first] : []
  for (const name of names) yield* matching(layer, tree, under, rest, [...at, name])
}

function checkValue(layer: LayerText, path: KeyPath, value: unknown, { kind }: ConfigKey): void {
  if (kind.holds(value)) return
  // Of a list or table, the part that is wrong.
  const inner = Array.isArray(value)
    ? [value.findIndex(each => !kind.holds([each]))].filter(index => index !== -1)
    : isTable(value) ? Object.keys(value).filter(name => !kind.holds({ [name]: value[name] })).slice(0, 1) : []
  const [part] = inner
  throw part === undefined || path.at(-1) === 'approval_policy' ? invalid(layer, path, value, kind.words) : invalid(layer, [...path, part], (value as Record<string | number, unknown>)[part], `in ${kind.words}`)
}

function invalid({ place }: LayerText, path: TomlPath, value: unknown, words: string): SandboxError {
  return new SandboxError('config_invalid', { field: keyName(path), value: value ?? null }, { detail: `it must be ${words}`, source: place(path) })
}

function tableAt(layer: LayerText, tree: Readonly<Tree>, path: KeyPath): Readonly<Record<string, unknown>> | undefined {
  const value = valueAt(tree, path)
  if (value !== undefined && !isTable(value)) throw invalid(layer, path, value, 'a table')
  return value as Readonly<Record<string, unknown>> | undefined
}

const UNKNOWN = 'is not known here and is ignored'

/** They are kept and have no part here; a name that is nearly one of ours was probably meant to be it. */
function tellUnknown(tree: Readonly<Tree>, under: KeyPath, warn: Warn): void {
  for (const name of Object.keys(tree)) {
    const near = TOP_NAMES.includes(name) ? undefined : nearestName(name, TOP_NAMES)
    if (near !== undefined) warn('unknown', [...under, name], UNKNOWN, [...under, near])
  }
  for (const table of CLOSED_TABLES) {
    const path = table.split('.')
    const value = valueAt(tree, path)
    if (!isTable(value)) continue
    const known = CONFIG_KEYS.filter(({ key }) => key.startsWith(`${table}.`)).map(({ key }) => key.slice(table.length + 1))
    for (const name of Object.keys(value)) {
      if (known.includes(name)) continue
      const near = nearestName(name, known)
      warn('unknown', [...under, ...path, name], UNKNOWN, near === undefined ? undefined : [...under, ...path, near])
    }
  }
}

function tellUnheld(normal: Readonly<Tree>, warn: Warn): void {
  for (const name of UNHELD) {
    const value = normal[name]
    if (value === undefined || (isTable(value) && Object.keys(value).length === 0)) continue
    warn('unheld', [name], 'permission profiles are not read here: what they forbid is not forbidden by this configuration')
  }
}

/** The table in one place; two of them in one file would be two words for one thing. */
function oneNetworkTable(layer: LayerText, tree: Tree, under: KeyPath): void {
  const [first, second] = NETWORK_TABLES.map(table => table.split('.')).filter(path => isTable(valueAt(tree, path)))
  if (first === undefined) return
  if (second !== undefined) {
    throw new SandboxError('config_invalid', { field: keyName([...under, ...second]), value: undefined }, { detail: `it is the same table as ${keyName([...under, ...first])}`, remedy: 'Keep one of the two.', source: layer.place([...under, ...second]) })
  }
  const table = valueAt(tree, first) as Tree
  refuseBothSpellings(layer, table, [...under, ...first], 'domains', ['allowed_domains', 'denied_domains'])
  refuseBothSpellings(layer, table, [...under, ...first], 'unix_sockets', ['allow_unix_sockets'])
  if (first.join('.') === 'network') return
  removeAt(tree, first)
  if (first[0] === 'permissions' && Object.keys(tree['permissions'] as object).length === 0) removeAt(tree, ['permissions'])
  setAt(tree, ['network'], table)
}

export function refuseBothSpellings(layer: Pick<LayerText, 'place'>, table: Readonly<Tree>, under: KeyPath, map: string, lists: readonly string[]): void {
  const list = lists.find(name => table[name] !== undefined)
  if (table[map] === undefined || list === undefined) return
  throw new SandboxError('config_invalid', { field: keyName([...under, map]), value: undefined }, { detail: `${keyName([...under, list])} says the same in another spelling`, remedy: 'Keep one of the two.', source: layer.place([...under, map]) })
}

/** As in the reference, a file's relative roots start at its folder. `~` waits for the policy's host. */
function absoluteRoots({ baseDir }: LayerText, tree: Tree): void {
  const path = ['sandbox_workspace_write', 'writable_roots']
  const roots = valueAt(tree, path) as readonly string[] | undefined
  if (roots === undefined) return
  const platform = baseDir.startsWith('/') ? 'linux' : 'windows'
  setAt(tree, path, roots.map(root => looksAbsolute(root) || /^~(?:[\\/]|$)/.test(root) ? root : resolveText(platform, baseDir, root)))
}

/** The old switches say the same as `[windows] sandbox`, which wins over them within a file. */
function oneWindowsSandbox(tree: Tree): void {
  if (valueAt(tree, ['windows', 'sandbox']) !== undefined) return
  const isOn = (name: string): boolean => valueAt(tree, ['features', name]) === true
  const said = isOn('elevated_windows_sandbox') ? 'elevated' : isOn('experimental_windows_sandbox') ? 'unelevated' : undefined
  if (said !== undefined) setAt(tree, ['windows', 'sandbox'], said)
}

/** Also without its table, as `-c` is often written; within it, it wins. */
function oneBwrapSwitch(tree: Tree): void {
  const said = valueAt(tree, ['use_linux_sandbox_bwrap'])
  if (said === undefined) return
  removeAt(tree, ['use_linux_sandbox_bwrap'])
  if (valueAt(tree, ['features', 'use_linux_sandbox_bwrap']) === undefined) setAt(tree, ['features', 'use_linux_sandbox_bwrap'], said)
}

/** A layer that says nothing. */
export const emptyLayer = (name: LayerName, path: string): CheckedLayer => ({ name, path, config: emptyTree(), normal: emptyTree(), warnings: [] })
