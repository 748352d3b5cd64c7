// The layers of a project: config.toml in each folder from its root down to the workspace, as far as that is trusted.
import path from 'node:path'
import { SandboxError } from '../errors.js'
import { type ConfigFile, readConfigFile } from './config-file.js'
import { type CheckedLayer, checkLayer, emptyLayer } from './layer.js'
import { type ProjectFolder, projectFolders, type TrustLevel } from './project.js'
import { isSameFolder, real } from './real-places.js'
import type { Tree } from './trees.js'

export interface ProjectPlace {
  /** Absolute: the workspace. */
  readonly cwd: string
  /** It is a folder of another machine: nothing is read. */
  readonly elsewhere?: true
  readonly codexHome: string
}

interface ProjectLayers {
  readonly layers: readonly { readonly layer: CheckedLayer; readonly disabledReason?: string }[]
  readonly trust: TrustLevel | undefined
  readonly files: readonly ConfigFile[]
}

/** Of folders that are not trusted nothing is read. */
export function projectLayers({ cwd, elsewhere, codexHome }: ProjectPlace, projects: Tree): ProjectLayers {
  if (elsewhere === true) return { layers: [], trust: undefined, files: [] }
  const folders = projectFolders(realFolder(cwd), projects)
  const files: ConfigFile[] = []
  const layers = folders.flatMap(({ folder, trust }: ProjectFolder) => {
    const at = path.join(folder, '.codex', 'config.toml')
    // The home folder's `.codex` is the user's own.
    if (isSameFolder(path.dirname(at), codexHome)) return []
    if (trust !== 'trusted') {
      return real(at) !== undefined ? [{ layer: emptyLayer('project', at), disabledReason: trust === 'untrusted' ? 'the project is not trusted' : `the project is not trusted: say so in config.toml, projects.${JSON.stringify(folders[0]?.folder)}.trust_level = "trusted"` }] : []
    }
    const found = readConfigFile(at, 'refuse')
    if (found === undefined) return []
    files.push(found)
    return [{ layer: checkLayer({ name: 'project', path: at, config: found.text.value as Tree, place: found.text.place, baseDir: path.dirname(at) }) }]
  })
  return { layers, trust: folders.at(-1)?.trust, files }
}

function realFolder(cwd: string): string {
  const folder = real(cwd)
  if (folder === undefined) throw new SandboxError('path_not_found', { field: 'cwd', value: cwd })
  return folder
}
