// Submodules: `git status` and `git diff` enter each that the index names, by themselves, and run what its config names.
import { SandboxError } from '../errors.js'
import { heldInGitDirectory, NO_REPOSITORY, readGitLayout } from './git-paths.js'
import { type GitWalk, repositoriesAt, type Repository } from './git-walk.js'
import { type HeldPath, holdExisting, holdName } from './held-path.js'
import { isInside, joinPath } from './path-syntax.js'

export interface GitLinkOptions {
  /** The writable root that is protected. */
  readonly root: string
  /** What of a submodule's git dir stays closed is `heldInGitDirectory`, not all of it. */
  readonly open: boolean
  readonly missing: 'hold' | 'skip'
  readonly field: string
}

/**
 * The `.git` of the submodules that the index of `repository` lists, and of those in them: a missing one stays missing, and one that is there
 * stays as it is, whether the repository knows it otherwise or not. Where commands may write the index, they can add to it: docs/git.md.
 */
export function heldAtGitLinks(walk: GitWalk, repository: Repository, options: GitLinkOptions): HeldPath[] {
  if (walk.host.files.entry(repository.checkout)?.kind !== 'directory' || !walk.enter(repository)) return []
  const held: HeldPath[] = []
  for (const link of walk.index(repository.directory).links) {
    if (!walk.take()) break
    held.push(...heldAtGitLink(walk, repository.checkout, link.split('/'), options))
  }
  return held
}

function heldAtGitLink(walk: GitWalk, checkout: string, names: readonly string[], options: GitLinkOptions): HeldPath[] {
  // Git makes no such names, and takes none.
  if (names.some(name => name === '' || name === '.' || name === '..' || name.toLowerCase() === '.git')) return []
  try {
    return heldInCheckout(walk, checkout, names, options)
  } catch (error) {
    // A link in a circle, or longer than a path can be: git does not get there either.
    if (error instanceof SandboxError) return []
    throw error
  }
}

function heldInCheckout(walk: GitWalk, outer: string, names: readonly string[], options: GitLinkOptions): HeldPath[] {
  const { host, host: { files, platform } } = walk
  const { root, open, missing, field } = options
  let at = outer
  for (const name of names) {
    at = joinPath(platform, at, name)
    const kind = files.entry(at)?.kind
    if (kind === undefined) break
    // In a folder's place: itself, so that no folder can take it.
    if (kind !== 'directory') return holdExisting(host, at, field)
  }
  const checkout = joinPath(platform, outer, ...names)
  const { entries, directories } = readGitLayout(host, checkout, 'skip', field)
  const isOpen = (held: HeldPath) => open && held.entry?.kind === 'directory'
  // A pointer that commands wrote does not close the root itself.
  const holdsRoot = (directory: string) => [root, outer].some(each => isInside(platform, directory, each))
  return [
    ...(entries.length > 0 ? entries.filter(held => !isOpen(held)) : holdName(host, outer, [...names, '.git'].join('/'), NO_REPOSITORY[platform], missing, field)),
    ...directories.filter(directory => !holdsRoot(directory)).flatMap(directory => open ? heldInGitDirectory(walk, directory, missing, field) : holdExisting(host, directory, field)),
    ...repositoriesAt(walk, checkout, field).flatMap(repository => heldAtGitLinks(walk, repository, options)),
  ]
}
