// Variables for tools that ask who owns a file. Inside there is one user: other owners cannot be set, and in a user namespace of the
// sandbox's own they all show as nobody.
import { lstatSync } from 'node:fs'
import type { ResolvedPolicy } from '../policy/resolved-policy.js'
import type { Variables } from './environment.js'

const ROOT = 0
const OTHERS_WRITE = 0o002

/** Whose a folder is; undefined where it cannot be looked at. */
export type OwnerOf = (path: string) => { readonly uid: number; readonly mode: number } | undefined

/**
 * - GNU tar as root sets the owners that the archive names, and fails where it cannot: it is told not to.
 * - git refuses a repository that is another user's, since its config and hooks run as whoever calls git. Here whoever calls it is in the
 *   sandbox, and the workspace is what the caller has chosen: that folder, and roots that are named, are declared safe, each by its
 *   path, and what lies in them. Never a folder in which everybody may make a `.git`, and never all (`*`).
 */
export function ownerVariables({ platform, uid, cwd, paths, env }: ResolvedPolicy, inherited: Variables, ownerOf: OwnerOf = ownerOnHost): Record<string, string> {
  if (platform !== 'linux') return {}
  const named = paths.filter(({ effect, origin, kind }) => effect === 'write' && origin === 'writable-root' && kind === 'directory').map(({ path }) => path)
  const foreign = [...new Set([cwd, ...named])].filter(path => {
    const owner = ownerOf(path)
    return owner !== undefined && owner.uid !== uid && (owner.mode & OTHERS_WRITE) === 0
  })
  return { ...(uid === ROOT ? tarVariables(inherited) : {}), ...(foreign.length === 0 ? {} : gitVariables(foreign, inherited, env.dropSecrets)) }
}

function tarVariables({ TAR_OPTIONS: given = '' }: Variables): Record<string, string> {
  return /(?:^|\s)--(?:no-)?same-owner\b/.test(given) ? {} : { TAR_OPTIONS: `${given} --no-same-owner`.trim() }
}

/** Behind what the environment says already; where keys of it are dropped (they may hold tokens), in its place. */
function gitVariables(folders: readonly string[], inherited: Variables, dropsKeys: boolean): Record<string, string> {
  const given = inherited['GIT_CONFIG_COUNT']
  const start = !dropsKeys && given !== undefined && /^\d+$/.test(given) ? Number(given) : 0
  // Only git 2.46 and newer knows the second form, which is for submodules and other repositories in the folder.
  const values = folders.flatMap(path => [path, `${path === '/' ? '' : path}/*`])
  const pairs = values.flatMap((value, index) => [[`GIT_CONFIG_KEY_${start + index}`, 'safe.directory'], [`GIT_CONFIG_VALUE_${start + index}`, value]])
  return { ...Object.fromEntries(pairs) as Record<string, string>, GIT_CONFIG_COUNT: String(start + values.length) }
}

function ownerOnHost(path: string): ReturnType<OwnerOf> {
  const stats = lstatSync(path, { throwIfNoEntry: false })
  return stats === undefined ? undefined : { uid: stats.uid, mode: stats.mode }
}
