// Layers, the lower first → one tree, and which layer each value in it is from.
import { CONFIG_KEYS, isTable } from './keys.js'
import type { CheckedLayer, ConfigWarning } from './layer.js'
import { type Narrowing, NARROWINGS } from './narrowing.js'
import { copyTree, emptyTree, keyName, type KeyPath, leavesOf, setAt, type Tree, valueAt } from './trees.js'

export interface Merged {
  readonly tree: Readonly<Tree>
  /** The key of each value, as TOML writes it. */
  readonly origins: ReadonlyMap<string, CheckedLayer>
  readonly warnings: readonly ConfigWarning[]
}

/** The folders in which commands may write under a tree, as text: the policy's cwd, the roots, and the temporary folders that count. */
export type RootsOf = (tree: Readonly<Tree>) => Pick<Narrowing, 'liesInOtherRoot'>

/** Said whole, not merged key by key: half of one approval policy and half of another is neither. */
const isWhole = (path: KeyPath): boolean => path.length === 1 && path[0] === 'approval_policy'

/** A map adds to what is below it, pattern by pattern; a list takes the place of a list. */
const MAPS = [
  { map: ['network', 'domains'], lists: { allow: ['network', 'allowed_domains'], deny: ['network', 'denied_domains'] } },
  { map: ['network', 'unix_sockets'], lists: { allow: ['network', 'allow_unix_sockets'] } },
] as const

export function mergeLayers(layers: readonly CheckedLayer[], rootsOf: RootsOf): Merged {
  const tree = emptyTree()
  const said = new Map<string, CheckedLayer>()
  const warnings: ConfigWarning[] = []
  for (const layer of layers) {
    const write = (path: KeyPath, value: unknown): void => {
      setAt(tree, path, value)
      said.set(keyName(path), layer)
    }
    if (layer.name === 'project') narrow(layer, tree, rootsOf, write, warnings)
    else overlay(layer.normal, tree, write)
  }
  const leaves = [...leavesOf(tree, isWhole)]
  const origins = new Map(leaves.flatMap(({ path }) => {
    const layer = said.get(keyName(path))
    return layer === undefined ? [] : [[keyName(path), layer] as const]
  }))
  return { tree, origins, warnings }
}

type Write = (path: KeyPath, value: unknown) => void

function overlay(layer: Readonly<Tree>, tree: Tree, write: Write): void {
  const normal = copyTree(layer)
  for (const { map, lists } of MAPS) {
    const given = valueAt(normal, map)
    if (!isTable(given)) continue
    for (const [word, list] of Object.entries(lists)) {
      const below = (valueAt(tree, list) ?? []) as readonly string[]
      const next = [...below.filter(name => !Object.hasOwn(given, name)), ...Object.keys(given).filter(name => given[name] === word)]
      if (next.length > 0 || below.length > 0) write(list, next)
    }
    delete (valueAt(normal, map.slice(0, -1)) as Tree)[map.at(-1) as string]
  }
  for (const { path, value } of leavesOf(normal, isWhole)) {
    // An empty table says nothing against a full one.
    if (isTable(value) && Object.keys(value).length === 0 && isTable(valueAt(tree, path))) continue
    write(path, value)
  }
}

/** What a project's file may say; the rest of it has no part, as it may be anybody's. */
function narrow(layer: CheckedLayer, tree: Tree, rootsOf: RootsOf, write: Write, warnings: ConfigWarning[]): void {
  const refused = (key: string, text: string): void => {
    warnings.push({ kind: 'refused', key, layer: layer.name, ...(layer.path === undefined ? {} : { path: layer.path }), text })
  }
  for (const { key, project } of CONFIG_KEYS) {
    const path = key.split('.')
    const said = valueAt(layer.normal, path)
    if (said === undefined) continue
    const { keeps, refused: because } = NARROWINGS[project]({ below: valueAt(tree, path), said, liesInOtherRoot: rootsOf(tree).liesInOtherRoot })
    if (because !== undefined) refused(key, `is ignored: ${because}`)
    // A value of which nothing holds stays its layer's; one that is the same was said again.
    if (keeps !== undefined && (because === undefined || JSON.stringify(keeps) !== JSON.stringify(valueAt(tree, path)))) write(path, keeps)
  }
  for (const key of ['profile', 'profiles', 'projects']) if (layer.normal[key] !== undefined) refused(key, 'is ignored: only the user may say it')
}
