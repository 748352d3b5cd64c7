// Paths through the symbolic links of a HostSnapshot: what realpath(3) does, but also for names that do not exist (yet).
import { SandboxError } from '../errors.js'
import type { Entry, HostSnapshot } from './host-snapshot.js'
import { foldName } from './letter-case.js'
import { isInside, joinPath, lastName, namesOf, parentOf, rootOf, splitNames } from './path-syntax.js'
import { looksShort, windowsTarget } from './windows-path.js'

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
    const next = spelledAsKnown(host, at, name, field)
    entry = files.entry(next)
    if (entry?.kind !== 'symlink' || entry.target === undefined) {
      at = next
      continue
    }
    onLink?.(next)
    if (++links > MAX_LINKS) throw new SandboxError('path_symlink_loop', { field, value: path })
    const { start, names } = platform === 'windows' ? windowsTarget(entry.target, rootOf(platform, at), field) : posixTarget(entry.target)
    waiting.push(...[...names].reverse())
    if (start !== '') at = start
    entry = files.entry(at)
  }
  return { path: at, entry }
}

const posixTarget = (target: string): { start: string; names: readonly string[] } => ({ start: rootOf('linux', target), names: splitNames('linux', target) })

/** What follows the links of a folder: `followLinks`, or what remembers it. */
export type FollowFolder = (host: HostSnapshot, folder: string, field: string) => Located

/** For many names of few folders of one host: each folder is followed once. */
export function followOnce(): FollowFolder {
  const known = new Map<string, Located>()
  return (host, folder, field) => {
    const found = known.get(folder) ?? followLinks(host, folder, field)
    known.set(folder, found)
    return found
  }
}

/** Like `followLinks`, but a link that is the last part stays: the link itself is what is named. */
export function followLinksToParent(host: HostSnapshot, path: string, field: string, follow: FollowFolder = followLinks): Located {
  const { platform, files } = host
  if (path === rootOf(platform, path)) return { path, entry: files.entry(path) }
  const parent = follow(host, parentOf(platform, path), field)
  const kept = spelledAsKnown(host, parent.path, lastName(platform, path), field)
  return { path: kept, entry: files.entry(kept) }
}

/** Here macOS opens files by volume and inode, past every name. */
const BY_NUMBER = '/.vol'

/** macOS shows its data volume here as well; `/Users` and the like are firmlinks into it. */
const DATA_VOLUME = '/System/Volumes/Data'

/**
 * The path of `name` in `folder` as the kernel has it. On macOS its sandbox knows a file by the letters that stand on the disk, and by
 * the near end of a firmlink; on Windows a short name stands for a longer one. Where a folder cannot be listed, as asked.
 */
function spelledAsKnown(host: HostSnapshot, folder: string, name: string, field: string): string {
  const { platform, files } = host
  const asked = joinPath(platform, folder, name)
  if (platform === 'windows') return looksShort(name) ? longName(host, folder, name, field) : asked
  if (platform !== 'macos') return asked
  const entry = files.entry(asked)
  if (entry === undefined) return asked
  const names = files.children(folder)
  const stored = names === undefined || names.includes(name) ? name : names.find(other => foldName(other) === foldName(name) && isSameFile(files, joinPath(platform, folder, other), entry))
  const path = stored === undefined ? asked : joinPath(platform, folder, stored)
  const near = path.startsWith(`${DATA_VOLUME}/`) ? path.slice(DATA_VOLUME.length) : path
  return near !== path && isSameFile(files, near, entry) ? near : path
}

/** What is not there, or cannot be looked up, may be the short name of what comes later, and so of anything. */
function longName({ platform, files }: HostSnapshot, folder: string, name: string, field: string): string {
  const asked = joinPath(platform, folder, name)
  const entry = files.entry(asked)
  const names = files.children(folder)
  const stored = names?.find(other => foldName(other) === foldName(name)) ?? names?.find(other => isSameFile(files, joinPath(platform, folder, other), entry))
  if (stored !== undefined) return joinPath(platform, folder, stored)
  throw new SandboxError('path_invalid', { field, value: asked }, { detail: `${JSON.stringify(name)} may be the short name of another file`, remedy: 'Give the path by its long names.' })
}

function isSameFile(files: HostSnapshot['files'], path: string, entry: Entry | undefined): boolean {
  const other = entry === undefined ? undefined : files.entry(path)
  return other !== undefined && other.inode === entry?.inode && other.device === entry.device
}

/** The link itself and what it leads to: one entry where `path` is not a link. */
export function bothEnds(host: HostSnapshot, path: string, field: string, follow?: FollowFolder): Located[] {
  const kept = followLinksToParent(host, path, field, follow)
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
