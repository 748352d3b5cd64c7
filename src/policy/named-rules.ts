// The `read`, `write` and `deny` rules of a policy on one machine: text to paths, globs to what they match.
import { SandboxError } from '../errors.js'
import { bothEnds, firstMissing, followLinks, type Located } from './follow-links.js'
import { escapeGlob, expandBraces, formatSegments, type Glob, type GlobSegment, hasGlobSyntax, literalName, parseGlob, unescapeGlob } from './glob.js'
import type { HostSnapshot } from './host-snapshot.js'
import { isInside, joinPath, normalizePath, parentOf, relativeTo, separatorOf } from './path-syntax.js'

/** One value of `read`, `write` or `deny`. */
export interface NamedPath {
  readonly field: string
  readonly value: string
  /** As it was written, made absolute: links not followed. */
  readonly written: string
  /** Canonical; for `deny` the link itself comes first where `written` is one. */
  readonly ends: readonly Located[]
}

export interface NamedGlob {
  readonly field: string
  readonly glob: Glob
  /** Canonical folder below which it matches, and the rest of the pattern. */
  readonly start: string
  readonly segments: readonly GlobSegment[]
}

/** What a path field may be written as beside an absolute path: `~`, `~/x`, and `x` from the policy's cwd. */
export function absolutePath(host: HostSnapshot, cwd: string | undefined, value: string, field: string): string {
  if (value === '') throw new SandboxError('path_invalid', { field, value }, { detail: 'it is empty' })
  if (/^~(?:[\\/]|$)/.test(value)) {
    if (host.home === undefined) throw new SandboxError('path_invalid', { field, value }, { detail: 'the home folder is not known' })
    return normalizePath(host.platform, joinHome(host, value), { field })
  }
  const isRelative = host.platform === 'windows' ? !/^(?:[A-Za-z]:)?[\\/]/.test(value) && !/^[A-Za-z]:/.test(value) : !value.startsWith('/')
  if (!isRelative || cwd === undefined) return normalizePath(host.platform, value, { field })
  // `join` would take `..` away unseen.
  if (value.split(/[\\/]/).includes('..')) throw new SandboxError('path_invalid', { field, value }, { detail: 'it contains ".."' })
  return normalizePath(host.platform, joinPath(host.platform, cwd, value), { field })
}

/**
 * Reads one value of `read`, `write` or `deny`. A trailing `/**` means the folder with all in it; other patterns are
 * for `deny` alone.
 *
 * @throws SandboxError `glob_invalid`, `path_invalid`, `path_not_absolute`, `path_symlink_loop`
 */
export function readNamed(host: HostSnapshot, cwd: string, list: 'read' | 'write' | 'deny', index: number, value: string): (NamedPath | NamedGlob)[] {
  const field = `${list}[${index}]`
  if (!hasGlobSyntax(host.platform, value)) return [namePath(host, list, field, value, absolutePath(host, cwd, unescapeGlob(host.platform, value), field))]
  if (value.includes('\0')) throw new SandboxError('path_invalid', { field, value }, { detail: 'it contains NUL' })
  return expandBraces(host.platform, absolutePattern(host, cwd, value, field), field).map(pattern => {
    const parsed = parseGlob(host.platform, pattern, field)
    const segments = parsed.segments.at(-1)?.kind === 'globstar' ? parsed.segments.slice(0, -1) : parsed.segments
    const literals = segments.map(literalName)
    const fixed = literals.includes(undefined) ? literals.indexOf(undefined) : literals.length
    const prefix = normalizePath(host.platform, prefixPath(host, pattern, literals.slice(0, fixed) as string[]), { field })
    if (fixed === segments.length) return namePath(host, list, field, value, prefix)
    if (list !== 'deny') throw new SandboxError('glob_invalid', { field, value }, { detail: `in ${list} only a trailing /** is known` })
    const start = followLinks(host, prefix, field).path
    const rest = segments.slice(fixed)
    const canonical = joinPattern(host, escapeGlob(host.platform, start), formatSegments(host.platform, rest))
    return { field, glob: parseGlob(host.platform, canonical, field), start, segments: rest }
  })
}

/**
 * Where a missing denied or read-only path is held. In a writable root that is its first missing part, because commands
 * would have to make that first; elsewhere only the host can make it, so the path itself.
 */
export const holdingPlace = (host: HostSnapshot, rootPaths: readonly string[], path: string): string =>
  rootPaths.some(root => isInside(host.platform, root, path)) ? firstMissing(host, path) : path

/** `canonical` lies in `place`, but the written path shows no sign of it: only a link leads there. */
export function onlyByLink({ platform }: HostSnapshot, written: string, canonical: string, place: string): boolean {
  if (written === canonical || !isInside(platform, place, canonical)) return false
  return !written.endsWith(separatorOf(platform) + relativeTo(platform, parentOf(platform, place), canonical))
}

function namePath(host: HostSnapshot, list: 'read' | 'write' | 'deny', field: string, value: string, written: string): NamedPath {
  return { field, value, written, ends: list === 'deny' ? bothEnds(host, written, field) : [followLinks(host, written, field)] }
}

function absolutePattern(host: HostSnapshot, cwd: string, value: string, field: string): string {
  if (/^~[\\/]/.test(value)) {
    if (host.home === undefined) throw new SandboxError('path_invalid', { field, value }, { detail: 'the home folder is not known' })
    return joinPattern(host, escapeGlob(host.platform, host.home), value.slice(2))
  }
  const isAbsolute = host.platform === 'windows' ? /^(?:[A-Za-z]:[\\/]|\\\\)/.test(value) : value.startsWith('/')
  if (isAbsolute) return value
  if (value.startsWith('!')) parseGlob(host.platform, value, field)
  return joinPattern(host, escapeGlob(host.platform, cwd), value)
}

const joinPattern = ({ platform }: HostSnapshot, start: string, rest: string): string =>
  platform === 'windows' ? `${start.replace(/\\$/, '')}\\${rest}` : `${start === '/' ? '' : start}/${rest}`

function prefixPath({ platform }: HostSnapshot, pattern: string, names: readonly string[]): string {
  if (platform !== 'windows') return `/${names.join('/')}`
  return `${pattern.startsWith('\\\\') ? '\\\\' : ''}${names.join('\\')}\\`
}

const joinHome = ({ home, platform }: HostSnapshot, value: string): string => `${home}${platform === 'windows' ? '\\' : '/'}${value.slice(1)}`
