// Finds what a deny glob matches now, once, at the start.
import { SandboxError } from '../errors.js'
import { followLinks } from './follow-links.js'
import { type Glob, type GlobSegment, globMatches, literalName, nameMatches } from './glob.js'
import type { HostSnapshot } from './host-snapshot.js'
import { joinPath } from './path-syntax.js'

/** More matches, or more names looked at, than this: the error says so instead of a start that takes minutes. */
const MAX_MATCHES = 8192
const MAX_VISITED = 200_000

export interface GlobSearch {
  readonly glob: Glob
  /** Canonical folder that `segments` start from. */
  readonly start: string
  readonly segments: readonly GlobSegment[]
  readonly ignoreCase: boolean
  readonly field: string
  /** A matched folder is denied as a whole: below it only what a rule opens again is looked at. */
  hasOpeningBelow(path: string): boolean
}

/**
 * The paths that match, in the order of the walk: links as themselves. `*` goes through a link to a folder, `**` does not,
 * as in a shell; a folder that cannot be listed is passed over, since a command of the same user cannot list it either.
 *
 * @throws SandboxError `glob_too_many_matches`
 */
export function searchGlob(host: HostSnapshot, search: GlobSearch): string[] {
  const { files, platform } = host
  const matches = new Set<string>()
  const seen = new Set<string>()
  const waiting: { folder: string; index: number }[] = [{ folder: search.start, index: 0 }]
  let visited = 0
  const count = () => {
    if (++visited > MAX_VISITED) throw tooMany(search, `more than ${MAX_VISITED} names were looked at`)
  }
  const reach = (path: string, index: number) => {
    if (index < search.segments.length) {
      const entry = files.entry(path)
      const folder = entry?.kind === 'symlink' ? followOrStop(host, path) : entry?.kind === 'directory' ? path : undefined
      if (folder !== undefined) waiting.push({ folder, index })
      return
    }
    matches.add(path)
    if (matches.size > MAX_MATCHES) throw tooMany(search, `more than ${MAX_MATCHES} files match`)
  }
  for (let state = waiting.pop(); state !== undefined; state = waiting.pop()) {
    const { folder, index } = state
    const key = `${index} ${folder}`
    const segment = search.segments[index]
    if (segment === undefined || seen.has(key)) continue
    seen.add(key)
    if (segment.kind === 'globstar') {
      waiting.push({ folder, index: index + 1 })
      for (const name of [...(files.children(folder) ?? [])].sort().reverse()) {
        count()
        const child = joinPath(platform, folder, name)
        if (files.entry(child)?.kind !== 'directory') continue
        if (globMatches(platform, search.glob, child, search) && !search.hasOpeningBelow(child)) continue
        waiting.push({ folder: child, index })
      }
      continue
    }
    const literal = literalName(segment)
    if (literal !== undefined && !search.ignoreCase) {
      count()
      const child = joinPath(platform, folder, literal)
      if (files.entry(child) !== undefined) reach(child, index + 1)
      continue
    }
    for (const name of files.children(folder) ?? []) {
      count()
      if (nameMatches(segment.tokens, name, search)) reach(joinPath(platform, folder, name), index + 1)
    }
  }
  return [...matches]
}

/** The folder that a link leads to; a link in a circle leads nowhere. */
function followOrStop(host: HostSnapshot, path: string): string | undefined {
  try {
    const { path: target, entry } = followLinks(host, path, 'link')
    return entry?.kind === 'directory' ? target : undefined
  } catch (error) {
    if (error instanceof SandboxError && error.code === 'path_symlink_loop') return undefined
    throw error
  }
}

const tooMany = ({ field, glob }: GlobSearch, detail: string) =>
  new SandboxError('glob_too_many_matches', { field, value: glob.pattern }, { detail })
