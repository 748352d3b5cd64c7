// Which folders have a project's configuration, and whether the user trusts them.
import { lstatSync, realpathSync } from 'node:fs'
import path from 'node:path'
import { isTable } from './keys.js'
import type { Tree } from './trees.js'

export type TrustLevel = 'trusted' | 'untrusted'

export interface ProjectFolder {
  /** Real: no link in it. */
  readonly folder: string
  readonly trust: TrustLevel | undefined
}

/**
 * The folders from the project's root down to `here`, the root first. The root is the nearest folder with a `.git`, else `here` itself.
 *
 * @param here      real: no link in it
 * @param projects  `projects` of the layers that are the user's own
 */
export function projectFolders(here: string, projects: unknown): readonly ProjectFolder[] {
  const upwards: string[] = []
  for (let at = here; ; at = path.dirname(at)) {
    upwards.push(at)
    if (exists(path.join(at, '.git')) || path.dirname(at) === at) break
  }
  const isRepository = exists(path.join(upwards.at(-1) as string, '.git'))
  const folders = isRepository ? upwards : [here]
  const levels = trustLevels(projects)
  return folders.map((folder, index) => ({ folder, trust: folders.slice(index).map(each => levels.get(each)).find(level => level !== undefined) })).reverse()
}

/** By real path: a link that leads elsewhere later is another folder then. */
function trustLevels(projects: unknown): ReadonlyMap<string, TrustLevel> {
  const levels = new Map<string, TrustLevel>()
  for (const [name, project] of Object.entries(isTable(projects) ? projects as Tree : {})) {
    const level = isTable(project) ? project['trust_level'] : undefined
    if (level !== 'trusted' && level !== 'untrusted') continue
    const folder = realFolder(name)
    // Of two words for one folder the careful one counts.
    if (folder !== undefined && levels.get(folder) !== 'untrusted') levels.set(folder, level)
  }
  return levels
}

function realFolder(name: string): string | undefined {
  if (!path.isAbsolute(name)) return undefined
  try {
    return realpathSync(name)
  } catch {
    return undefined // not here: it trusts nothing
  }
}

function exists(file: string): boolean {
  try {
    lstatSync(file)
    return true
  } catch {
    return false
  }
}
