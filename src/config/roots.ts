// The writable roots that a configuration gives, before it becomes a policy.
import path from 'node:path'
import { userHome } from '../host/snapshot.js'
import type { PlatformName } from '../policy/host-snapshot.js'
import { isInside } from '../policy/path-syntax.js'
import type { EffectiveConfig } from './effective.js'
import type { RootsOf } from './merge.js'
import type { RootName } from './narrowing.js'
import { real } from './real-places.js'
import { valueAt } from './trees.js'

export interface RootPlace {
  /** Absolute: the workspace. */
  readonly cwd: string
  /** Default: this process's. Read for HOME and TMPDIR. */
  readonly env?: Readonly<Record<string, string | undefined>>
  readonly platform: PlatformName
}

/** Where commands may write under a tree: a root that is taken away must not lie in another one. Both as written and as links lead. */
export function rootsOf(options: RootPlace): RootsOf {
  const { tmpdir, both } = placesOf(options)
  return tree => {
    const at = (key: string): unknown => valueAt(tree, ['sandbox_workspace_write', key])
    const roots = new Map<RootName, readonly string[]>([['workspace', both(options.cwd)]])
    for (const root of at('writable_roots') as readonly string[]) roots.set(`listed ${root}`, both(root))
    if (at('exclude_slash_tmp') !== true) roots.set('/tmp', both('/tmp'))
    if (at('exclude_tmpdir_env_var') !== true && tmpdir !== undefined) roots.set('$TMPDIR', both(tmpdir))
    return {
      liesInOtherRoot: (root, without) => [...roots].some(([name, outer]) => name !== root && !without(name) && outer.some(one => roots.get(root)?.some(inner => isInside(options.platform, one, inner)))),
    }
  }
}

/** The real places of the roots of a policy. */
export function rootPaths(options: Omit<RootPlace, 'platform'>, { workspaceWrite }: EffectiveConfig): string[] {
  const { tmpdir, both } = placesOf(options)
  const roots = [options.cwd, ...workspaceWrite.writableRoots, ...(workspaceWrite.excludeSlashTmp ? [] : ['/tmp']), ...(workspaceWrite.excludeTmpdirEnvVar || tmpdir === undefined ? [] : [tmpdir])]
  return [...new Set(roots.map(root => both(root).at(-1) as string))]
}

function placesOf({ env = process.env }: Pick<RootPlace, 'env'>): { readonly tmpdir: string | undefined; readonly both: (root: string) => string[] } {
  const home = userHome(env)
  return {
    tmpdir: env['TMPDIR'] || undefined,
    both(root) {
      const written = root.startsWith('~') && home !== undefined ? path.join(home, root.slice(1)) : path.resolve(root)
      return [...new Set([written, real(written) ?? written])]
    },
  }
}
