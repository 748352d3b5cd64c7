// A path that stays read-only inside a writable root, whether it exists or not.
import type { Entry, HostSnapshot } from './host-snapshot.js'
import { bothEnds, followLinksToParent } from './follow-links.js'
import { joinPath, splitNames } from './path-syntax.js'
import type { Effect, PathRule } from './resolved-policy.js'

/** What may stand at a missing name: part of `PathRule`. */
export type Placeholder = Pick<PathRule, 'placeholder' | 'placeholderText'>

export interface HeldPath {
  /** Canonical, except that the last part may be a link. */
  readonly path: string
  readonly entry: Entry | undefined
  /** `write` only inside a held path: what is opened again there. */
  readonly effect: Extract<Effect, 'read' | 'write'>
  readonly placeholder: Placeholder
}

/** An empty folder at the name: right wherever programs ignore one. */
export const DIRECTORY: Placeholder = {}

/**
 * Holds `name`, which may be several names deep, in `folder`. Of a missing path the first missing part is held, since
 * that is what commands would have to make. A link is held itself and at its target: both are what is believed outside.
 *
 * @param folder       canonical, existing
 * @param placeholder  for the last name; a missing folder above it is held by an empty folder
 * @param missing      `skip`: only what exists
 */
export function holdName(host: HostSnapshot, folder: string, name: string, placeholder: Placeholder, missing: 'hold' | 'skip', field: string): HeldPath[] {
  const names = splitNames(host.platform, name)
  let at = folder
  for (const [index, part] of names.entries()) {
    const next = joinPath(host.platform, at, part)
    const last = index === names.length - 1
    const entry = host.files.entry(next)
    if (entry === undefined) return missing === 'skip' ? [] : [held(next, undefined, last ? placeholder : DIRECTORY)]
    if (last || entry.kind === 'symlink') {
      const rest = names.slice(index + 1)
      const ends = bothEnds(host, next, field)
      const [link, target] = ends
      if (link === undefined || target === undefined) return ends.map(end => held(end.path, end.entry, placeholder))
      if (rest.length > 0 && target.entry?.kind === 'directory') {
        return [held(link.path, link.entry, DIRECTORY), ...holdName(host, target.path, rest.join('/'), placeholder, missing, field)]
      }
      return [held(link.path, link.entry, DIRECTORY), ...(target.entry === undefined && missing === 'skip' ? [] : [held(target.path, target.entry, placeholder)])]
    }
    at = next
  }
  return []
}

/** Holds one path that is known to exist. */
export function holdExisting(host: HostSnapshot, path: string, field: string): HeldPath[] {
  const { path: kept, entry } = followLinksToParent(host, path, field)
  return entry === undefined ? [] : [held(kept, entry, DIRECTORY)]
}

const held = (path: string, entry: Entry | undefined, placeholder: Placeholder): HeldPath => ({ path, entry, effect: 'read', placeholder })
