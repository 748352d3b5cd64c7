// What of a git repository stays read-only inside a writable root, so that git on the host never runs or believes what
// commands wrote. Pointers (`gitdir:`, commondir, worktree) are content that a command may have written: following one
// only ever adds protection, never grants anything, so a forged pointer gains nothing.
import { createHash } from 'node:crypto'
import { SandboxError } from '../errors.js'
import { namedInConfig } from './git-config.js'
import type { GitWalk } from './git-walk.js'
import { followLinks, type Located } from './follow-links.js'
import { DIRECTORY, type HeldPath, holdExisting, holdName, type Placeholder } from './held-path.js'
import type { HostSnapshot } from './host-snapshot.js'
import { isInside, joinPath, lastName, normalizePath, parentOf, relativeTo, resolveText } from './path-syntax.js'

const FILE: Placeholder = { placeholder: 'file' }
/** The common dir of a repository without one of its own is itself; an empty file makes git give up (2.39). */
const OWN_COMMON_DIR: Placeholder = { placeholder: 'file', placeholderText: '.\n' }
/**
 * Operations that take several steps keep their list of what is to be done where only this sandbox sees it: inside the name leads into
 * a file system of the sandbox's own (native/linux/git-operations.h), outside, where only root makes names in /dev, to nothing.
 */
export const OWN_GIT_OPERATIONS = '/dev/git-operations'
/**
 * Git asks stat(2) whether an operation is under way: an empty folder means yes (`git switch` is then refused), a link
 * that leads nowhere means no. Nobody can make the target: /proc takes no new names.
 */
export const LEADS_NOWHERE = '/proc/self/held-by-codex-sandbox'
const NOWHERE: Placeholder = { placeholder: 'symlink', placeholderText: LEADS_NOWHERE }

/**
 * At the `.git` of a submodule that is not checked out: `git status` ends with 128 at an empty folder and at an empty file, inside and on
 * the host (2.39, `is_submodule_modified`), and takes a link that leads nowhere for what it is. Windows holds no links.
 */
export const NO_REPOSITORY: Record<HostSnapshot['platform'], Placeholder> = { linux: NOWHERE, macos: NOWHERE, windows: DIRECTORY }

/** A link that only this package makes, at a name that a policy holds: to whoever looks, there is nothing. */
export const isPlaceholderLink = (target: string): boolean => target === LEADS_NOWHERE || target.startsWith(`${OWN_GIT_OPERATIONS}/`)

/** The same for all sandboxes, as they share what stands at the name. */
const ownOperation = (directory: string, name: string): Placeholder =>
  ({ placeholder: 'symlink', placeholderText: `${OWN_GIT_OPERATIONS}/${createHash('sha256').update(directory).digest('hex').slice(0, 16)}/${name}` })

/**
 * What git runs or believes in a git dir, one row a name, with the placeholder that leaves git working (tried on 2.39).
 * `hooks` are run; `config`, `config.worktree` and `info/attributes` name programs (fsmonitor, filters, hooksPath);
 * `commondir` and `gitdir` lead to other ones of these; `remotes` and `branches` name where to push and fetch;
 * `rebase-merge`, `rebase-apply`, `sequencer` hold the lines that `git rebase --continue` and its kin carry out (`git am` takes no link for
 * the folder of its own, so that one stays closed);
 * `svn` and `annex` hold the configuration of these tools; `modules` holds git dirs that git enters by itself.
 * Source: gitrepository-layout(5), and `sequencer.c`, `builtin/am.c` for the last three.
 */
export const HELD_IN_GIT_DIRECTORY: readonly { readonly name: string; readonly placeholder: Placeholder | 'own-operation'; readonly missing: 'hold' | 'skip' }[] = [
  { name: 'hooks',           placeholder: DIRECTORY,      missing: 'hold' },
  { name: 'config',          placeholder: FILE,           missing: 'hold' },
  { name: 'config.worktree', placeholder: FILE,           missing: 'hold' },
  { name: 'info/attributes', placeholder: FILE,           missing: 'hold' },
  { name: 'commondir',       placeholder: OWN_COMMON_DIR, missing: 'hold' },
  { name: 'gitdir',          placeholder: FILE,           missing: 'skip' },
  { name: 'remotes',         placeholder: DIRECTORY,      missing: 'hold' },
  { name: 'branches',        placeholder: DIRECTORY,      missing: 'hold' },
  { name: 'rebase-merge',    placeholder: 'own-operation', missing: 'hold' },
  { name: 'rebase-apply',    placeholder: NOWHERE,        missing: 'hold' },
  { name: 'sequencer',       placeholder: 'own-operation', missing: 'hold' },
  { name: 'svn',             placeholder: DIRECTORY,      missing: 'skip' },
  { name: 'annex',           placeholder: DIRECTORY,      missing: 'skip' },
  { name: 'modules',         placeholder: DIRECTORY,      missing: 'hold' },
]

/** The rows that a linked worktree has of its own; it takes hooks, config and info/attributes from the common dir. */
const HELD_IN_WORKTREE = new Set(['config.worktree', 'commondir', 'gitdir', 'rebase-merge', 'rebase-apply', 'sequencer'])

/** What stands at a missing name of the git dir `directory`. */
export const placeholderIn = (directory: string, { name, placeholder }: (typeof HELD_IN_GIT_DIRECTORY)[number]): Placeholder =>
  placeholder === 'own-operation' ? ownOperation(directory, name) : placeholder

/** What `.git` of one root leads to. */
export interface GitLayout {
  /** `.git` itself; what is a pointer file or a link stays read-only in every mode. */
  readonly entries: readonly HeldPath[]
  /** The git dirs and common dirs, canonical and existing; they may lie outside the root. */
  readonly directories: readonly string[]
  /** Those of them whose index lists the files of the root. */
  readonly ownDirectories: readonly string[]
}

/**
 * Reads `<root>/.git`: a folder, a pointer file (linked worktree, submodule, --separate-git-dir), a link, or nothing.
 *
 * @param missing   `skip`: a missing `.git` is not held
 */
export function readGitLayout(host: HostSnapshot, root: string, missing: 'hold' | 'skip', field: string): GitLayout {
  const path = joinPath(host.platform, root, '.git')
  const entries = holdName(host, root, '.git', DIRECTORY, missing, field)
  const directories = new Set<string>()
  for (const { path: at, entry } of entries) {
    if (entry?.kind === 'directory') directories.add(at)
    if (entry?.kind !== 'file') continue
    // Git resolves a pointer against the folder of the name it opened; where that is a link, against the target's as well.
    for (const folder of new Set([parentOf(host.platform, path), parentOf(host.platform, at)])) {
      const target = readPointer(host, at, folder, /^gitdir:(.*)$/s, field)
      if (target?.entry?.kind === 'directory') directories.add(target.path)
    }
  }
  const ownDirectories = [...directories]
  for (const directory of ownDirectories) {
    const common = commonDirectoryOf(host, directory, field)
    if (common !== undefined) directories.add(common)
  }
  return { entries, directories: [...directories], ownDirectories }
}

/** Where a linked worktree has what it does not have for itself; undefined for any other git dir. */
export function commonDirectoryOf(host: HostSnapshot, directory: string, field = 'git'): string | undefined {
  const common = readPointer(host, joinPath(host.platform, directory, 'commondir'), directory, /^(.*)$/s, field)
  return common?.entry?.kind === 'directory' ? common.path : undefined
}

/** The folder with the files of a linked worktree, whose git dir this is; undefined where its pointer is missing or broken. */
export function checkoutOfWorktree(host: HostSnapshot, directory: string, field: string): string | undefined {
  const pointer = readPointer(host, joinPath(host.platform, directory, 'gitdir'), directory, /^(.*)$/s, field)
  return pointer === undefined || lastName(host.platform, pointer.path) !== '.git' ? undefined : parentOf(host.platform, pointer.path)
}

/** The same of a submodule. */
export const checkoutOfModule = (host: HostSnapshot, directory: string, field: string): string | undefined =>
  readPointer(host, joinPath(host.platform, directory, 'config'), directory, WORKTREE_OF_MODULE, field)?.path

/**
 * The git dir outside of `root` that its pointer file leads to, where that points back: the common dir of a linked worktree, or the
 * git dir of a submodule. A pointer is content that a command may have written, and so is worth nothing alone; what it leads to
 * is not writable for commands, and says by itself that this very root belongs to it.
 */
export function repositoryOf(host: HostSnapshot, root: string, field: string): Located | undefined {
  const { platform, files } = host
  const pointer = joinPath(platform, root, '.git')
  if (files.entry(pointer)?.kind !== 'file') return undefined
  const gitDirectory = readPointer(host, pointer, root, /^gitdir:(.*)$/s, field)
  if (gitDirectory?.entry?.kind !== 'directory') return undefined
  const common = readPointer(host, joinPath(platform, gitDirectory.path, 'commondir'), gitDirectory.path, /^(.*)$/s, field)
  if (common === undefined) {
    const checkout = readPointer(host, joinPath(platform, gitDirectory.path, 'config'), gitDirectory.path, WORKTREE_OF_MODULE, field)
    return checkout?.path === root && isGitDirectory(host, gitDirectory.path) ? gitDirectory : undefined
  }
  const back = readPointer(host, joinPath(platform, gitDirectory.path, 'gitdir'), gitDirectory.path, /^(.*)$/s, field)
  const isListed = parentOf(platform, gitDirectory.path) === joinPath(platform, common.path, 'worktrees')
  return back?.path === pointer && isListed && common.entry?.kind === 'directory' && isGitDirectory(host, common.path) ? common : undefined
}

/** `core.worktree` of a submodule's git dir: where it is checked out. */
const WORKTREE_OF_MODULE = /^\s*worktree\s*=\s*"?([^"\n]*?)"?\s*$/m

/** A bare repository, or what `gitdir:` may lead to: git takes such a folder for a repository by itself. */
export function isGitDirectory({ files, platform }: Pick<HostSnapshot, 'files' | 'platform'>, path: string): boolean {
  const has = (name: string) => files.entry(joinPath(platform, path, name)) !== undefined
  return has('HEAD') && (has('commondir') || has('objects') && has('refs'))
}

/** `git: 'commits'`: what is held in an open git dir, its submodules and its worktrees included. */
export function heldInGitDirectory(walk: GitWalk, directory: string, missing: 'hold' | 'skip', field: string): HeldPath[] {
  const { host, host: { files } } = walk
  const common = commonDirectoryOf(host, directory, field)
  // One that leads back here, as our own placeholder does, leaves the hooks and the config of this very folder in force.
  const isWorktree = common !== undefined && common !== directory
  const rows = HELD_IN_GIT_DIRECTORY.filter(({ name }) => !isWorktree || HELD_IN_WORKTREE.has(name))
  const held = rows.flatMap(row => holdName(host, directory, row.name, placeholderIn(directory, row), missing === 'skip' ? 'skip' : row.missing, field))
  // `modules` as a whole is held, so that no new git dir appears in it; those that exist are opened like their parent.
  for (const module of walk.modulesIn(directory)) {
    held.push({ path: module, entry: files.entry(module), effect: 'write', placeholder: DIRECTORY }, ...heldInGitDirectory(walk, module, missing, field))
  }
  for (const worktree of walk.worktreesIn(directory)) held.push(...heldInGitDirectory(walk, worktree, missing, field))
  return held
}

/**
 * The `.git` pointer files of the linked worktrees and submodules that a git dir knows: git on the host goes through
 * them by itself (`git status` enters submodules), so they stay as they are wherever they lie.
 */
export function checkoutsOf(walk: GitWalk, directory: string, field: string): HeldPath[] {
  const { host, host: { platform } } = walk
  const checkouts = [
    ...walk.worktreesIn(directory).map(worktree => checkoutOfWorktree(host, worktree, field)),
    ...walk.modulesIn(directory).map(module => checkoutOfModule(host, module, field)),
  ]
  return checkouts.flatMap(checkout => {
    const pointer = checkout === undefined ? undefined : locate(host, joinPath(platform, checkout, '.git'), field)
    return pointer !== undefined && lastName(platform, pointer.path) === '.git' ? holdExisting(host, pointer.path, field) : []
  })
}

/** Files of configuration that include others are followed so far. */
const MAX_INCLUDE_DEPTH = 4

/**
 * What the configuration of a git dir includes, and the folder of its hooks, where commands could write it: each is as much what git on
 * the host believes or runs as the file that names it. What would close the root itself stays open.
 *
 * @param root  where the files are checked out: `core.hooksPath` is meant from there
 */
export function heldByConfig(walk: GitWalk, root: string, directory: string, open: boolean, missing: 'hold' | 'skip', field: string): HeldPath[] {
  const { host, host: { files, platform } } = walk
  const held: HeldPath[] = []
  const seen = new Set<string>()
  const hold = (path: string, placeholder: Placeholder): void => {
    if (isInside(platform, path, root) || (!open && isInside(platform, directory, path))) return
    held.push(...isInside(platform, root, path) ? holdName(host, root, relativeTo(platform, root, path), placeholder, missing, field) : holdExisting(host, path, field))
  }
  const read = (file: string, depth: number): void => {
    if (seen.has(file) || depth > MAX_INCLUDE_DEPTH) return
    seen.add(file)
    const { includes, hooks } = namedInConfig(files.text(file) ?? '')
    for (const path of hooks.map(value => pathIn(host, root, value))) if (path !== undefined) hold(path, DIRECTORY)
    for (const path of includes.map(value => pathIn(host, parentOf(platform, file), value))) {
      if (path === undefined) continue
      if (!walk.take()) return
      hold(path, FILE)
      read(path, depth + 1)
    }
  }
  for (const name of ['config', 'config.worktree']) read(joinPath(platform, directory, name), 0)
  return held
}

/** A value of a configuration; undefined for one that git takes for something else, and for one that leads in a circle. */
function pathIn(host: HostSnapshot, folder: string, value: string): string | undefined {
  if (value.startsWith('%(') || (value.startsWith('~') && (!/^~[/\\]/.test(value) || host.home === undefined))) return undefined
  const path = value.startsWith('~') && host.home !== undefined ? joinPath(host.platform, host.home, value.slice(2)) : resolveText(host.platform, folder, value)
  return locate(host, path, 'git') === undefined ? undefined : path
}

/** Where a pointer leads, or undefined for one that is missing, broken, or leads in a circle: then only the file itself is held. */
function readPointer(host: HostSnapshot, file: string, folder: string, pattern: RegExp, field: string): Located | undefined {
  const target = pattern.exec(host.files.text(file)?.trim() ?? '')?.[1]?.trim()
  return target === undefined || target === '' ? undefined : locate(host, resolveText(host.platform, folder, target), field)
}

function locate(host: HostSnapshot, path: string, field: string): Located | undefined {
  try {
    return followLinks(host, normalizePath(host.platform, path, { field }), field)
  } catch (error) {
    if (error instanceof SandboxError) return undefined
    throw error
  }
}
