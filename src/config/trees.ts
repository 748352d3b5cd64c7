// Tables in tables, as TOML gives them: reading, writing and merging by path. Names such as `__proto__` are names like any other.
import { isTable } from './keys.js'

export type Tree = { [key: string]: unknown }
export type KeyPath = readonly string[]

export const emptyTree = (): Tree => Object.create(null) as Tree

export function valueAt(tree: Readonly<Tree>, path: KeyPath): unknown {
  let at: unknown = tree
  for (const name of path) {
    if (!isTable(at) || !Object.hasOwn(at, name)) return undefined
    at = at[name]
  }
  return at
}

/** Makes the tables on the way; what stands there and is no table is replaced. */
export function setAt(tree: Tree, path: KeyPath, value: unknown): void {
  const last = path.at(-1)
  if (last === undefined) throw new Error('a value needs a name')
  let at = tree
  for (const name of path.slice(0, -1)) {
    const inner = Object.hasOwn(at, name) ? at[name] : undefined
    const table = isTable(inner) ? inner as Tree : emptyTree()
    define(at, name, table)
    at = table
  }
  define(at, last, value)
}

/** Tables that are left empty stay. */
export function removeAt(tree: Tree, path: KeyPath): void {
  const last = path.at(-1)
  const parent = valueAtTable(tree, path.slice(0, -1))
  if (last !== undefined && parent !== undefined) delete parent[last]
}

function valueAtTable(tree: Tree, path: KeyPath): Tree | undefined {
  const value = path.length === 0 ? tree : valueAt(tree, path)
  return isTable(value) ? value as Tree : undefined
}

/** A copy of the tables; lists and values are shared, since nothing changes them. */
export function copyTree(tree: Readonly<Tree>): Tree {
  const copy = emptyTree()
  for (const [name, value] of Object.entries(tree)) define(copy, name, isTable(value) ? copyTree(value) : value)
  return copy
}

/** Every value that is no table, and every empty table, with its path. `whole`: tables that are values themselves. */
export function* leavesOf(tree: Readonly<Tree>, whole: (path: KeyPath) => boolean, path: KeyPath = []): Generator<{ path: KeyPath; value: unknown }> {
  for (const [name, value] of Object.entries(tree)) {
    const at = [...path, name]
    if (isTable(value) && Object.keys(value).length > 0 && !whole(at)) yield* leavesOf(value, whole, at)
    else yield { path: at, value }
  }
}

/** As TOML writes it: `projects."/home/me/app".trust_level`. */
export const keyName = (path: readonly (string | number)[]): string =>
  path.map((name, index) => typeof name === 'number' ? `[${name}]` : `${index === 0 ? '' : '.'}${/^[\w-]+$/.test(name) ? name : JSON.stringify(name)}`).join('')

function define(table: Tree, name: string, value: unknown): void {
  Object.defineProperty(table, name, { value, enumerable: true, configurable: true, writable: true })
}
