// The repositories that belong to one: its linked worktrees, its submodules, theirs. What a workspace holds of them somebody may have made up,
// so there is an end to how many are looked at; where that is reached, `incomplete` says so, and whoever asked has to fail or to tell.
import { Buffer } from 'node:buffer'
import { SandboxError } from '../errors.js'
import { namedInConfig } from './git-config.js'
import { type GitIndex, type ObjectBytes, readGitIndex } from './git-index.js'
import { checkoutOfModule, checkoutOfWorktree, commonDirectoryOf, isGitDirectory, readGitLayout } from './git-paths.js'
import type { HostSnapshot } from './host-snapshot.js'
import { joinPath, lastName, parentOf } from './path-syntax.js'

/** As many as there may be rules: each is at least one. */
export const MOST_REPOSITORIES = 4096
export const MOST_INDEX_BYTES = 512 * 1024 * 1024
/** Of a text file, a snapshot has no more. */
const TEXT_BYTES = 64 * 1024
/** A submodule's name may hold slashes, so its git dir lies at any depth below `modules`. */
const MAX_MODULE_DEPTH = 64

/** A git dir with an index, and the folder with the files that it lists. Canonical. */
export interface Repository {
  readonly directory: string
  readonly checkout: string
}

type ReadIndex = (walk: GitWalk, directory: string) => GitIndex

export class GitWalk {
  readonly host: HostSnapshot
  readonly #readIndex: ReadIndex
  readonly #seen = new Set<string>()
  readonly #indexes = new Map<string, GitIndex>()
  readonly #modules = new Map<string, readonly string[]>()
  readonly #worktrees = new Map<string, readonly string[]>()
  #left = MOST_REPOSITORIES
  #bytesLeft = MOST_INDEX_BYTES
  /** Undefined: everything was looked at. Else what was too much, or could not be listed. */
  incomplete: string | undefined

  constructor(host: HostSnapshot, readIndex: ReadIndex = readIndexIn) {
    this.host = host
    this.#readIndex = readIndex
  }

  /** Whether one more may be looked at. */
  take(): boolean {
    if (this.#left-- > 0) return true
    this.incomplete ??= `there are more than ${MOST_REPOSITORIES} submodules, linked worktrees and included files`
    return false
  }

  /** Whether this is the first time that it is asked about. */
  enter({ directory, checkout }: Repository): boolean {
    const key = `${directory}\n${checkout}`
    if (this.#seen.has(key)) return false
    this.#seen.add(key)
    return true
  }

  index(directory: string): GitIndex {
    return cached(this.#indexes, directory, () => this.#readIndex(this, directory))
  }

  /** Undefined where it is not there or cannot be read, or where there have been too many. */
  bytes(path: string): Uint8Array | undefined {
    const bytes = this.#bytesLeft <= 0 ? undefined : this.host.files.bytes(path)
    this.#bytesLeft -= bytes?.length ?? 0
    if (this.#bytesLeft <= 0) this.incomplete ??= `there are more than ${MOST_INDEX_BYTES / 1024 / 1024} MiB of indexes`
    return bytes
  }

  /** The git dirs of linked worktrees. */
  worktreesIn(directory: string): readonly string[] {
    return cached(this.#worktrees, directory, () => this.#subfolders(joinPath(this.host.platform, directory, 'worktrees')).filter(() => this.take()))
  }

  /** The git dirs of submodules. */
  modulesIn(directory: string): readonly string[] {
    return cached(this.#modules, directory, () => {
      const found: string[] = []
      const waiting = [{ folder: joinPath(this.host.platform, directory, 'modules'), depth: 0 }]
      for (let at = waiting.shift(); at !== undefined; at = waiting.shift()) {
        for (const folder of this.#subfolders(at.folder)) {
          if (!this.take()) return found
          if (isGitDirectory(this.host, folder)) found.push(folder)
          else if (at.depth < MAX_MODULE_DEPTH) waiting.push({ folder, depth: at.depth + 1 })
          else this.incomplete ??= `${JSON.stringify(folder)} lies more than ${MAX_MODULE_DEPTH} folders deep`
        }
      }
      return found
    })
  }

  #subfolders(folder: string): string[] {
    const { platform, files } = this.host
    if (files.entry(folder)?.kind !== 'directory') return []
    const names = files.children(folder)
    // Git knows the names that it looks up.
    if (names === undefined) this.incomplete ??= `${JSON.stringify(folder)} cannot be listed`
    return [...(names ?? [])].sort().map(name => joinPath(platform, folder, name)).filter(path => files.entry(path)?.kind === 'directory')
  }
}

/** The repository of `checkout`, and all that its git dir knows: the main and the linked worktrees, submodules. None where `.git` is a link in a circle. */
export function repositoriesAt(walk: GitWalk, checkout: string, field: string): Repository[] {
  const { host, host: { platform } } = walk
  const layout = layoutAt(host, checkout, field)
  const known = (directory: string): Repository[] => [
    ...walk.worktreesIn(directory).flatMap(worktree => [{ directory: worktree, checkout: checkoutOfWorktree(host, worktree, field) ?? worktree }, ...modulesOf(worktree)]),
    ...modulesOf(directory),
  ]
  const modulesOf = (directory: string): Repository[] =>
    walk.modulesIn(directory).flatMap(module => [{ directory: module, checkout: checkoutOfModule(host, module, field) ?? module }, ...known(module)])
  return [
    ...layout.ownDirectories.map(directory => ({ directory, checkout })),
    // A bare repository has worktrees too.
    ...[...layout.directories, ...(isGitDirectory(host, checkout) ? [checkout] : [])].flatMap(directory => [
      ...(layout.ownDirectories.includes(directory) ? [] : [{ directory, checkout: lastName(platform, directory) === '.git' ? parentOf(platform, directory) : directory }]),
      ...known(directory),
    ]),
  ]
}

/** Without what it knows beside. */
export const ownRepositoriesAt = (walk: GitWalk, checkout: string, field: string): Repository[] =>
  layoutAt(walk.host, checkout, field).ownDirectories.map(directory => ({ directory, checkout }))

function layoutAt(host: HostSnapshot, checkout: string, field: string): Pick<ReturnType<typeof readGitLayout>, 'directories' | 'ownDirectories'> {
  try {
    return readGitLayout(host, checkout, 'skip', field)
  } catch (error) {
    if (error instanceof SandboxError) return { directories: [], ownDirectories: [] }
    throw error
  }
}

/** What the index of a git dir says; nothing where there is none. */
export function readIndexIn(walk: Pick<GitWalk, 'host' | 'bytes'>, directory: string): GitIndex {
  const { host, host: { platform, files } } = walk
  const path = joinPath(platform, directory, 'index')
  if (files.entry(path) === undefined) return { links: [], folders: [] }
  const bytes = walk.bytes(path)
  if (bytes === undefined) return { links: [], folders: [], unread: 'it is a link, or larger than what is looked at, or may not be read' }
  const read = objectBytesIn(host, commonDirectoryOf(host, directory) ?? directory).map(each => readGitIndex(bytes, each, name => walk.bytes(joinPath(platform, directory, `sharedindex.${name}`))))
  const unread = read.find(each => each.unread !== undefined)?.unread
  return { links: [...new Set(read.flatMap(({ links }) => links))], folders: read.flatMap(({ folders }) => folders), ...(unread === undefined ? {} : { unread }) }
}

/** As `extensions.objectFormat` says, which only stands in the configuration itself, never in what that includes. Both where that is not plain. */
function objectBytesIn({ platform, files }: HostSnapshot, common: string): readonly ObjectBytes[] {
  const text = files.text(joinPath(platform, common, 'config')) ?? ''
  const { objectFormats } = namedInConfig(text)
  if (Buffer.byteLength(text) >= TEXT_BYTES) return [20, 32]
  if (!/sha256/i.test(text)) return [20]
  return objectFormats.length > 0 && objectFormats.every(format => format.toLowerCase() === 'sha256') ? [32] : [20, 32]
}

function cached<Answer>(known: Map<string, Answer>, key: string, ask: () => Answer): Answer {
  const before = known.get(key)
  if (before !== undefined) return before
  const answer = ask()
  known.set(key, answer)
  return answer
}
