// What a tree of files is, so that any change to it shows: content, names, modes, owners, links, times.
import { createHash } from 'node:crypto'
import { lstatSync, readdirSync, readFileSync, readlinkSync } from 'node:fs'

/** One entry a path, in words. */
export type FileState = ReadonlyMap<string, string>

/**
 * The state of each path and all below it; nothing for what does not exist. The change time stands for what has no field
 * of its own (xattrs, a link made and removed again). A folder's own times are left out: a placeholder that comes and goes
 * changes them, and what is in it shows by itself.
 */
export function fileState(paths: readonly string[]): FileState {
  const state = new Map<string, string>()
  for (const path of paths) collect(path, state)
  return state
}

/** The first difference in words, or undefined. */
export function firstChange(before: FileState, after: FileState): string | undefined {
  for (const [path, was] of before) {
    const is = after.get(path)
    if (is === undefined) return `${path} is gone`
    if (is !== was) return `${path} changed: ${differingPart(was, is)}`
  }
  for (const path of after.keys()) if (!before.has(path)) return `${path} is new`
  return undefined
}

function collect(path: string, state: Map<string, string>): void {
  const stat = lstatSync(path, { bigint: true, throwIfNoEntry: false })
  if (stat === undefined) return
  const common = `inode ${stat.dev}:${stat.ino}, mode ${stat.mode.toString(8)}, owner ${stat.uid}:${stat.gid}`
  if (stat.isDirectory()) {
    state.set(path, common)
    for (const name of readdirSync(path)) collect(`${path}/${name}`, state)
    return
  }
  const content = stat.isFile() ? `, content ${createHash('sha256').update(readFileSync(path)).digest('hex')}` : stat.isSymbolicLink() ? `, to ${readlinkSync(path)}` : ''
  state.set(path, `${common}, links ${stat.nlink}, modified ${stat.mtimeNs}, touched ${stat.ctimeNs}${content}`)
}

function differingPart(was: string, is: string): string {
  const parts = is.split(', ')
  return was.split(', ').map((part, index) => [part, parts[index]] as const).filter(([a, b]) => a !== b).map(([a, b]) => `${a} → ${b}`).join('; ')
}
