// Paths through the symbolic links of a HostSnapshot: what realpath(3) does, but also for names that do not exist (yet).
import { SandboxError } from '../errors.js'
import type { Entry, HostSnapshot } from './host-snapshot.js'
import { foldName } from './letter-case.js'
import { isInside, joinPath, lastName, namesOf, parentOf, rootOf, splitNames } from './path-syntax.js'

/** As in Linux: a path through more links than this is a loop. */
const MAX_LINKS = 40

/** A path without symlinks, and what is there. */
export interface Located {
  readonly path: string
  /** Undefined where nothing is. */
  readonly entry: Entry | undefined
}

/**
 * Follows every link of `path`, the last part included. What does not exist is kept as it is below its deepest existing
 * folder, so that a missing name has one spelling too.
 *
 * @param path   absolute and normalised
 * @param onLink called with each link that is followed, itself without a link on the way to it
 * @throws       SandboxError `path_symlink_loop`, `path_invalid`, `field` = the given one
 */
export function followLinks(host: HostSnapshot, path: string, field: string, onLink?: (link: string) => void): Located {
  const { platform, files } = host
  if (platform === 'macos' && isInside(platform, BY_NUMBER, path)) {
    throw new SandboxError('path_invalid', { field, value: path }, { detail: 'it names a file by its number', remedy: 'Give the path by its names.' })
  }
  const waiting = namesOf(platform, path).reverse()
  let at = rootOf(platform, path)
  let entry = files.entry(at)
  let links = 0
  for (let name = waiting.pop(); name !== undefined; name = waiting.pop()) {
    if (name === '.') continue
    if (name === '..') {
      at = parentOf(platform, at)
      entry = files.entry(at)
      continue
    }
    const next = spelledAsKnown(host, at, name)
    entry = files.entry(next)
    if (entry?.kind !== 'symlink' || entry.target === undefined) {
      at = next
      continue
    }
    onLink?.(next)
    if (++links > MAX_LINKS) throw new SandboxError('path_symlink_loop', { field, value: path })
    const start = rootOf(platform, entry.target)
    waiting.push(...splitNames(platform, entry.target.slice(start.length)).reverse())
    if (start !== '') at = start
    entry = files.entry(at)
  }
  return { path: at, entry }
}

/** Like `followLinks`, but a link that is the last part stays: the link itself is what is named. */
export function followLinksToParent(host: HostSnapshot, path: string, field: string): Located {
  const { platform, files } = host
  if (path === rootOf(platform, path)) return { path, entry: files.entry(path) }
  const parent = followLinks(host, parentOf(platform, path), field)
  const kept = spelledAsKnown(host, parent.path, lastName(platform, path))
  return { path: kept, entry: files.entry(kept) }
}

/** Here macOS opens files by volume and inode, past every name. */
const BY_NUMBER = '/.vol'

/** macOS shows its data volume here as well; `/Users` and the like are firmlinks into it. */
const DATA_VOLUME = '/System/Volumes/Data'

/**
 * The path of `name` in `folder` as the kernel has it. Only on macOS is that another one than was asked for: its sandbox knows
 * a file by the letters that stand on the disk, and by the near end of a firmlink. Where a folder cannot be listed, as asked.
 */
function spelledAsKnown({ platform, files }: HostSnapshot, folder: string, name: string): string {
  const asked = joinPath(platform, folder, name)
  if (platform !== 'macos') return asked
  const entry = files.entry(asked)
  if (entry === undefined) return asked
  const isSame = (path: string) => {
    const other = files.entry(path)
    return other?.inode === entry.inode && other.device === entry.device
  }
  const names = files.children(folder)
  const stored = names === undefined || names.includes(name) ? name : names.find(other => foldName(other) === foldName(name) && isSame(joinPath(platform, folder, other)))
  const path = stored === undefined ? asked : joinPath(platform, folder, stored)
  const near = path.startsWith(`${DATA_VOLUME}/`) ? path.slice(DATA_VOLUME.length) : path
  return near !== path && isSame(near) ? near : path
}

/** The link itself and what it leads to: one entry where `path` is not a link. */
export function bothEnds(host: HostSnapshot, path: string, field: string): Located[] {
  const kept = followLinksToParent(host, path, field)
  return kept.entry?.kind === 'symlink' ? [kept, followLinks(host, path, field)] : [kept]
}

/**
 * The first part of `path` that does not exist, below a folder that does. Holding that name holds all below it.
 *
 * @param path   canonical
 */
export function firstMissing(host: Pick<HostSnapshot, 'platform' | 'files'>, path: string): string {
  const { platform, files } = host
  let missing = path
  for (let above = parentOf(platform, path); above !== missing && files.entry(above) === undefined; above = parentOf(platform, above)) missing = above
  return missing
}

/** The deepest of `roots` that holds `path`, or undefined. */
export function deepestHolder<Root extends { readonly path: string }>(host: HostSnapshot, roots: readonly Root[], path: string): Root | undefined {
  let best: Root | undefined
  for (const root of roots) {
    if (isInside(host.platform, root.path, path) && (best === undefined || root.path.length > best.path.length)) best = root
  }
  return best
}
