// What stays read-only in each writable root: `.git`, `.codex`, `.agents` and the names of `protect`.
import { SandboxError } from '../errors.js'
import { AGENT_FILES } from './agent-files.js'
import { heldAtGitLinks } from './git-links.js'
import { checkoutsOf, heldByConfig, heldInGitDirectory, isGitDirectory, readGitLayout } from './git-paths.js'
import { GitWalk, ownRepositoriesAt, repositoriesAt } from './git-walk.js'
import { DIRECTORY, type HeldPath, holdExisting, holdName } from './held-path.js'
import type { HostSnapshot } from './host-snapshot.js'
import { isInside, joinPath, parentOf, upwards } from './path-syntax.js'
import type { SandboxPolicy } from './sandbox-policy.js'
import type { WritableRoot } from './writable-roots.js'

/** Protected beside `.git`, which has rules of its own. */
export const PROTECTED_NAMES: readonly string[] = ['.codex', '.agents']

export interface ProtectedPath extends HeldPath {
  /** The writable root that protects it. */
  readonly owner: string
  /** The policy field that said so, undefined for a default. */
  readonly field: string | undefined
  /** As `PathRule` has it. */
  readonly whileThere?: true
}

/**
 * The protected paths of all roots, in the order of the roots. Those that lie in no writable root are left out: they are
 * read-only anyway. A path may come twice.
 *
 * @throws SandboxError `path_into_protected`: a protected name is a link or pointer to a whole root, which cannot be held; `policy_too_large`:
 *                      there is more of git than is looked at
 */
export function protectedPaths(host: HostSnapshot, policy: SandboxPolicy, roots: readonly WritableRoot[]): ProtectedPath[] {
  const byPath = new Map(roots.map(root => [root.path, root]))
  const inSomeRoot = ({ path }: ProtectedPath) => [...upwards(host.platform, path)].some(at => byPath.has(at))
  const walk = new GitWalk(host)
  return roots.flatMap(root => protectedIn(walk, policy, root, byPath)).filter(inSomeRoot)
}

type RootsByPath = ReadonlyMap<string, WritableRoot>

function protectedIn(walk: GitWalk, policy: SandboxPolicy, root: WritableRoot, roots: RootsByPath): ProtectedPath[] {
  const { host } = walk
  if (root.entry.kind !== 'directory') return []
  const missing = root.isTemporary ? 'skip' : 'hold'
  const own = (held: readonly HeldPath[], field?: string): ProtectedPath[] => held.map(each => ({ ...each, owner: root.path, field }))
  const named = [
    ...PROTECTED_NAMES.flatMap(name => own(holdName(host, root.path, name, DIRECTORY, missing, root.field))),
    ...(policy.protectAgentFiles && !root.isTemporary ? AGENT_FILES.flatMap(({ name }) => own(holdName(host, root.path, name, DIRECTORY, 'skip', root.field), 'protectAgentFiles')).map(each => ({ ...each, whileThere: true as const })) : []),
    ...policy.protect.flatMap((name, index) => own(holdName(host, root.path, name, DIRECTORY, missing, `protect[${index}]`), `protect[${index}]`)),
  ]
  const whole = named.find(({ path }) => path === root.path)
  if (whole !== undefined) throw leadsToRoot(root, root.path)
  const git = gitPaths(walk, policy, root, roots, missing)
  if (walk.incomplete !== undefined) throw tooMuchGit(root, walk.incomplete)
  return [...named, ...own(git), ...own(homeInTemporary(host, root))]
}

function gitPaths(walk: GitWalk, policy: SandboxPolicy, root: WritableRoot, roots: RootsByPath, missing: 'hold' | 'skip'): HeldPath[] {
  const { host } = walk
  const { entries, directories } = readGitLayout(host, root.path, missing, root.field)
  const own = joinPath(host.platform, root.path, '.git')
  const isRoot = (path: string) => path === own ? roots.get(path)?.isNamedByWrite === true : roots.has(path)
  // A link or pointer to the root itself: commands could turn the whole root into a repository with hooks of their own.
  const [looping] = [...entries.map(({ path }) => path), ...directories].filter(path => path === root.path && !isGitDirectory(host, path))
  if (looping !== undefined) throw leadsToRoot(root, own)
  const held = entries.filter(({ path, entry }) => !isRoot(path) && (policy.git === 'protected' || entry?.kind !== 'directory'))
  for (const directory of directories) {
    if (policy.git === 'commits' || isRoot(directory)) held.push(...heldInGitDirectory(walk, directory, missing, root.field))
    else held.push(...holdExisting(host, directory, root.field))
    held.push(...checkoutsOf(walk, directory, root.field))
  }
  const open = policy.git === 'commits'
  const links = { root: root.path, open, missing, field: root.field }
  for (const directory of directories) held.push(...heldByConfig(walk, root.path, directory, open, missing, root.field))
  for (const repository of repositoriesAt(walk, root.path, root.field)) held.push(...heldAtGitLinks(walk, repository, links))
  if (!root.isTemporary) held.push(...heldFromAbove(walk, root, open))
  // A bare repository as the root: closing it whole would leave a root in which nothing is writable, yet git on the host
  // runs its hooks and believes its config like those of any other. So it is open as under `git: 'commits'`.
  if (isGitDirectory(host, root.path)) held.push(...heldInGitDirectory(walk, root.path, missing, root.field))
  return held
}

/** The submodules in a root that lies further down in a repository; what of them lies in no root is left out later. */
function heldFromAbove(walk: GitWalk, root: WritableRoot, open: boolean): HeldPath[] {
  const { host } = walk
  for (const checkout of upwards(host.platform, parentOf(host.platform, root.path))) {
    // Nearly always there is none, and nothing to follow.
    if (host.files.entry(joinPath(host.platform, checkout, '.git')) === undefined) continue
    const repositories = ownRepositoriesAt(walk, checkout, root.field)
    if (repositories.length > 0) return repositories.flatMap(repository => heldAtGitLinks(walk, repository, { root: root.path, open, missing: 'hold', field: root.field }))
  }
  return []
}

/** /tmp holds the home folder of some users (tests, containers): writing there was never meant. */
function homeInTemporary(host: HostSnapshot, root: WritableRoot): HeldPath[] {
  return root.isTemporary && host.home !== undefined && root.path !== host.home && isInside(host.platform, root.path, host.home)
    ? holdExisting(host, host.home, root.field)
    : []
}

const leadsToRoot = (root: WritableRoot, path: string) => new SandboxError(
  'path_into_protected',
  { field: root.field, value: root.value },
  { detail: `${JSON.stringify(path)} leads to the root itself, which cannot be protected and writable at once`, remedy: `Remove ${JSON.stringify(path)}, or name another root.` },
)

const tooMuchGit = (root: WritableRoot, what: string) => new SandboxError(
  'policy_too_large',
  { field: root.field, value: root.value },
  { detail: `of its git repository not everything can be protected: ${what}`, remedy: 'Name a folder in it that has less, or remove what somebody has put there.' },
)
