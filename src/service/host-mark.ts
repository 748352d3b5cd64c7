// What a sandbox that is kept was made of: the folders of its policy and where their repositories lead. A sandbox is used again only
// while all of that is as it was; the launcher watches the protected names themselves.
import { realpathSync, statSync } from 'node:fs'
import { join, resolve as resolvePath } from 'node:path'
import { realFiles } from '../host/snapshot.js'
import type { FileSystemView } from '../policy/host-snapshot.js'
import type { SandboxPolicy } from '../policy/sandbox-policy.js'

const PROTECTED = ['.git', '.codex', '.agents'] as const
/** What else of this process's environment a policy is resolved with. */
const VARIABLES = ['TMPDIR', 'HOME', 'CODEX_HOME'] as const

export interface MarkedPaths {
  /** Followed to where they lead. */
  readonly roots: readonly string[]
  readonly variables: NodeJS.ProcessEnv
  /** Folders that were seen with something in them: no placeholders, whatever becomes of them. */
  readonly filled: Set<string>
}

/** The paths to compare for a policy, as they were given: links in them are followed each time. */
export function markedPaths(policy: SandboxPolicy, cwd: string, variables: NodeJS.ProcessEnv): MarkedPaths {
  const readable = policy.readAccess.kind === 'restricted' ? policy.readAccess.readableRoots : []
  const given = [cwd, '/tmp', ...policy.writableRoots, ...readable, ...policy.read, ...policy.write, ...policy.deny]
  const home = variables['HOME'] ?? '/'
  const all = given.map(path => path === '~' || path.startsWith('~/') ? join(home, path.slice(1)) : resolvePath(cwd, path))
  const tmpdir = variables['TMPDIR']
  return { roots: [...new Set(tmpdir === undefined || tmpdir === '' ? all : [...all, tmpdir])], variables, filled: new Set() }
}

/** Equal for two moments in which nothing of it differed. */
export function takeMark({ roots, variables, filled }: MarkedPaths): string {
  const files = realFiles()
  const parts: string[] = VARIABLES.map(name => `${name}=${variables[name] ?? ''}`)
  for (const root of roots) {
    const [identity, isFolder] = identityOf(root)
    parts.push(identity)
    if (isFolder) for (const name of PROTECTED) parts.push(nameMark(files, join(root, name), filled))
  }
  return parts.join('\n')
}

/** Of what a path leads to, links followed. */
function identityOf(path: string): [identity: string, isFolder: boolean] {
  try {
    const stats = statSync(path, { bigint: true, throwIfNoEntry: false })
    return stats === undefined ? ['-', false] : [`${stats.dev}:${stats.ino}`, stats.isDirectory()]
  } catch (error) {
    return [(error as NodeJS.ErrnoException).code ?? 'unknown', false]
  }
}

/** A placeholder is the same as nothing: it comes and goes with the commands. */
function nameMark(files: FileSystemView, path: string, filled: Set<string>): string {
  const entry = files.entry(path)
  if (entry === undefined) return '-'
  const own = `${entry.kind} ${entry.device}:${entry.inode}`
  if (entry.kind === 'directory') {
    if (!filled.has(own)) {
      if (files.children(path)?.length === 0) return '-'
      filled.add(own)
    }
    return `${own} ${pointer(files, join(path, 'commondir'))}`
  }
  if (entry.kind === 'symlink') return `${own} ${entry.target} ${linkMark(files, path, filled)}`
  const text = pointer(files, path)
  const folder = /^gitdir: (.*)$/m.exec(text)?.[1]
  if (folder === undefined) return `${own} ${text}`
  const repository = resolvePath(path, '..', folder)
  return `${own} ${text} ${identityOf(repository)[0]} ${pointer(files, join(repository, 'commondir'))} ${pointer(files, join(repository, 'gitdir'))}`
}

/** What a link leads to is a repository, or where one is, as it would be in the link's place. */
function linkMark(files: FileSystemView, link: string, filled: Set<string>): string {
  try {
    return nameMark(files, realpathSync(link), filled)
  } catch (error) {
    return (error as NodeJS.ErrnoException).code ?? 'unknown'
  }
}

/** What is there and cannot be read is told apart from what is not there. */
const pointer = (files: FileSystemView, path: string): string => files.text(path) ?? files.entry(path)?.kind ?? '-'
