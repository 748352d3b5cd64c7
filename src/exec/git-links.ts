// `git: 'commits'`: submodules that commands have named in the index. `git status` on the host enters each of them by itself and runs what
// its config says, and commands can make both: so it is told, with the result of every command while it is so.
import { lstatSync } from 'node:fs'
import { SandboxError } from '../errors.js'
import { gitLinksIn } from '../policy/git-index.js'
import { readGitLayout } from '../policy/git-paths.js'
import type { HostSnapshot } from '../policy/host-snapshot.js'
import { joinPath } from '../policy/path-syntax.js'

/** Git enters the submodules of a submodule too; so far down, and so many of all roots are looked at. */
const MOST_DEPTH = 4
const MOST_ENTERED = 1024

interface KnownIndex { readonly state: string; readonly links: readonly string[] }

export class GitLinks {
  readonly #roots: readonly string[]
  readonly #look: () => HostSnapshot
  /** By the index's path, as it was last read: an index of a large repository is read again only when it is another. */
  readonly #indexes = new Map<string, KnownIndex>()
  readonly #before: ReadonlySet<string> | undefined

  /** Before the first command. `roots`: the writable ones, canonical. */
  constructor(roots: readonly string[], look: () => HostSnapshot) {
    this.#roots = roots
    this.#look = look
    this.#before = new Set(this.#all())
  }

  /** Absolute paths of those that are named now and were not at the start; `.git` of a root whose index cannot be looked at. */
  find(): string[] {
    return this.#all().filter(path => this.#before?.has(path) !== true)
  }

  #all(): string[] {
    const host = this.#look()
    const found = new Set<string>()
    const waiting = this.#roots.map(path => ({ path, depth: 0 }))
    for (let at = waiting.shift(); at !== undefined; at = waiting.shift()) {
      const { path, depth } = at
      for (const link of gitDirsOf(host, path).flatMap(directory => indexesIn(host, directory)).flatMap(index => this.#read(host, index)).map(name => joinPath(host.platform, path, name))) {
        // Into a new one nobody need look: it is told.
        if (!found.has(link) && depth < MOST_DEPTH && found.size < MOST_ENTERED && (this.#before?.has(link) ?? true)) waiting.push({ path: link, depth: depth + 1 })
        found.add(link)
      }
    }
    return [...found]
  }

  #read(host: HostSnapshot, index: string): readonly string[] {
    const state = stateOf(index)
    if (state === undefined) return []
    const known = this.#indexes.get(index)
    if (known?.state === state) return known.links
    const bytes = host.files.bytes(index)
    // A link, or larger than is read here: git reads it all the same. So it does where the name is in the other file of a split index.
    const links = bytes === undefined ? ['.git'] : gitLinksIn(bytes).map(name => name === '' ? '.git' : name)
    this.#indexes.set(index, { state, links })
    return links
  }
}

/** Undefined where it is not there, or no longer to be looked at: commands may take the folder's own modes away. */
function stateOf(path: string): string | undefined {
  try {
    const stats = lstatSync(path, { bigint: true, throwIfNoEntry: false })
    return stats === undefined ? undefined : `${stats.dev} ${stats.ino} ${stats.size} ${stats.mtimeNs} ${stats.ctimeNs}`
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EACCES') return undefined
    throw error
  }
}

/** None where `.git` is a link that leads in a circle. */
function gitDirsOf(host: HostSnapshot, root: string): readonly string[] {
  try {
    return readGitLayout(host, root, 'skip', 'git').ownDirectories
  } catch (error) {
    if (error instanceof SandboxError) return []
    throw error
  }
}

/** A split index has most of its names in another file. */
const indexesIn = ({ platform, files }: HostSnapshot, directory: string): string[] =>
  (files.children(directory) ?? []).filter(name => name === 'index' || name.startsWith('sharedindex.')).map(name => joinPath(platform, directory, name))
