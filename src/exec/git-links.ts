// `git: 'commits'`: submodules that commands have named in an index. `git status` on the host enters each of them by itself and runs what
// its config says, and commands can make both: so it is told, with the result of every command while it is so.
import { lstatSync, statSync } from 'node:fs'
import type { GitIndex } from '../policy/git-index.js'
import { GitWalk, readIndexIn, repositoriesAt, type Repository } from '../policy/git-walk.js'
import type { HostSnapshot } from '../policy/host-snapshot.js'
import { joinPath } from '../policy/path-syntax.js'

/** As it was last read. An index of a large repository is read again only when one of its files is another. */
interface KnownIndex { readonly files: ReadonlyMap<string, string>; readonly index: GitIndex }

export class GitLinks {
  readonly #roots: readonly string[]
  readonly #look: () => HostSnapshot
  readonly #indexes = new Map<string, KnownIndex>()
  /** Undefined while it is being found out. */
  readonly #before: ReadonlySet<string> | undefined

  /** Before the first command. `roots`: the writable ones, canonical. */
  constructor(roots: readonly string[], look: () => HostSnapshot) {
    this.#roots = roots
    this.#look = look
    this.#before = new Set(this.#all().found.keys())
  }

  /**
   * Absolute paths of those that are named now and were not at the start; of an index of which not everything can be looked at, and was not
   * the same at the start, its own; and `.git` of the first root, where there are too many repositories or a folder of them cannot be listed.
   */
  find(): string[] {
    const { found, incomplete } = this.#all()
    const added = [...found].filter(([key]) => this.#before?.has(key) !== true).map(([, path]) => path)
    return [...new Set([...added, ...incomplete])]
  }

  /** By what each is known by: where it is named, and the name itself, as two names may come to one path. */
  #all(): { found: ReadonlyMap<string, string>; incomplete: readonly string[] } {
    const host = this.#look()
    const walk = new GitWalk(host, (_, directory) => this.#read(walk, directory))
    const found = new Map<string, string>()
    const waiting = [...this.#roots]
    for (let at = waiting.shift(); at !== undefined; at = waiting.shift()) {
      for (const repository of repositoriesAt(walk, at, 'git').filter(each => walk.enter(each))) {
        for (const [key, path, isLink] of this.#named(walk, repository)) {
          found.set(key, path)
          // Into a new one nobody need look: it is told.
          if (isLink && (this.#before?.has(key) ?? true) && walk.take()) waiting.push(path)
        }
      }
    }
    return { found, incomplete: walk.incomplete === undefined ? [] : this.#roots.slice(0, 1).map(root => joinPath(host.platform, root, '.git')) }
  }

  #named(walk: GitWalk, { directory, checkout }: Repository): [key: string, path: string, isLink: boolean][] {
    const { host: { platform } } = walk
    const { links, folders, unread } = walk.index(directory)
    const path = (name: string): string => joinPath(platform, checkout, name)
    const key = (...parts: readonly string[]): string => [checkout, directory, ...parts].join('\0')
    const index = joinPath(platform, directory, 'index')
    return [
      ...links.map((name): [string, string, boolean] => [key('link', name), path(name), true]),
      // What is in such a folder git looks up only where the folder is there.
      ...folders.filter(folder => stateOf(path(folder.path)) !== undefined).map((folder): [string, string, boolean] => [key('folder', folder.path, folder.object), path(folder.path), false]),
      ...(unread === undefined ? [] : [[key('unread', ...this.#indexes.get(directory)?.files.values() ?? []), index, false] satisfies [string, string, boolean]]),
    ]
  }

  #read(walk: GitWalk, directory: string): GitIndex {
    const known = this.#indexes.get(directory)
    if (known !== undefined && [...known.files].every(([path, state]) => state === stateText(path))) return known.index
    const files = new Map<string, string>()
    const note = (path: string): void => { files.set(path, stateText(path)) }
    note(joinPath(walk.host.platform, directory, 'index'))
    const index = readIndexIn({
      host: walk.host,
      bytes: path => {
        note(path)
        return walk.bytes(path)
      },
    }, directory)
    this.#indexes.set(directory, { files, index })
    return index
  }
}

const stateText = (path: string): string => stateOf(path) ?? 'none'

/** Of a link, that of what it leads to as well. */
function stateOf(path: string): string | undefined {
  const own = unlessUnseen(() => lstatSync(path, { bigint: true, throwIfNoEntry: false }))
  const target = own?.isSymbolicLink() === true ? unlessUnseen(() => statSync(path, { bigint: true, throwIfNoEntry: false })) : undefined
  return own === undefined ? undefined : [own, target].map(stats => stats === undefined ? '' : `${stats.dev} ${stats.ino} ${stats.size} ${stats.mtimeNs} ${stats.ctimeNs}`).join(' ')
}

/** Commands may take a folder's own modes away, or put something else in its place. */
const UNSEEN = ['EACCES', 'ENOTDIR', 'ELOOP', 'ENAMETOOLONG']

function unlessUnseen<Answer>(ask: () => Answer): Answer | undefined {
  try {
    return ask()
  } catch (error) {
    if (UNSEEN.includes((error as NodeJS.ErrnoException).code ?? '')) return undefined
    throw error
  }
}
