// From the single paths that a command needs to few roots, by rules that say why. Pure.
import type { FileSystemView, PlatformName } from '../policy/host-snapshot.js'
import { isInside, joinPath, namesOf, parentOf } from '../policy/path-syntax.js'
import { isTooBroad } from '../policy/writable-roots.js'

export interface Place {
  readonly platform: PlatformName
  readonly home: string | undefined
  readonly files: FileSystemView
}

/** A place that has to be opened, and what was tried there. */
export interface Need {
  readonly path: string
  readonly tried: readonly string[]
}

/** One root of the proposal. */
export interface Root {
  readonly path: string
  readonly tried: readonly string[]
  /** Why it is this folder and not the paths in it; undefined: it is what was tried, or its folder. */
  readonly because: string | undefined
}

/** So many neighbours are taken for their folder. */
const MANY = 3

/** Folders relative to the home folder, for which private caches stand in. `*`: any one name. */
const CACHES = [
  '.cache/*', '.npm', '.local/share/pnpm', '.bun/install/cache', '.cargo/registry', '.cargo/git', 'go/pkg/mod', '.gradle/caches', '.gradle/daemon', '.gradle/wrapper',
  '.m2/repository', '.nuget/packages', '.local/share/NuGet',
] as const

/**
 * Folders that belong to one tool, spelled the same way: what a tool writes in it has other names the next time. Only caches and stores,
 * never what a tool reads its settings from or has its programs in.
 */
const TOOL_FOLDERS = [...CACHES, '.yarn', '.pnpm-store', '.ivy2/cache', '.pub-cache', '.composer/cache', '.conda/pkgs', '.local/state/*'] as const

/**
 * In this order: a tool's own folder stands for what lies in it; three or more neighbours stand for their folder, unless that is the
 * home folder, a folder above it, or directly below the root of the file system; what lies in another root falls away.
 */
export function collapseNeeds(place: Place, needs: readonly Need[]): Root[] {
  const byTool = merge(needs.map(need => {
    const folder = toolFolder(place, need.path)
    return folder === undefined ? { ...need, because: undefined } : { path: folder, tried: need.tried, because: 'a tool\'s own cache: the names in it change' }
  }))
  const byFolder = merge(byTool.map(root => {
    const folder = parentOf(place.platform, root.path)
    const neighbours = byTool.filter(({ path }) => parentOf(place.platform, path) === folder)
    return root.because !== undefined || neighbours.length < MANY || !mayStandForAll(place, folder) ? root
      : { path: folder, tried: root.tried, because: `${neighbours.length} neighbours stand for their folder` }
  }))
  return byFolder
    .filter(({ path }) => !byFolder.some(other => other.path !== path && isInside(place.platform, other.path, path)))
    .map(root => ({ ...root, tried: [...new Set(byFolder.filter(({ path }) => isInside(place.platform, root.path, path)).flatMap(({ tried }) => tried))] }))
    .sort((a, b) => a.path < b.path ? -1 : 1)
}

/** Whether `path` lies in a cache of the home folder, there or not, for which private caches stand in. */
export const isInCache = (place: Place, path: string): boolean => foldersOf(place, path, CACHES).length > 0

const toolFolder = (place: Place, path: string): string | undefined =>
  foldersOf(place, path, TOOL_FOLDERS).find(folder => place.files.entry(folder)?.kind === 'directory')

/** Those of `patterns` in which `path` lies. */
function foldersOf({ platform, home }: Place, path: string, patterns: readonly string[]): string[] {
  if (home === undefined || !isInside(platform, home, path)) return []
  const names = namesOf(platform, path).slice(namesOf(platform, home).length)
  return patterns.map(pattern => pattern.split('/'))
    .filter(parts => parts.length <= names.length && parts.every((part, index) => part === '*' || part === names[index]))
    .map(parts => joinPath(platform, home, ...names.slice(0, parts.length)))
}

const mayStandForAll = ({ platform, home }: Place, folder: string): boolean =>
  namesOf(platform, folder).length > 1 && !isTooBroad({ platform, home }, folder)

/** One root a path, with all that was tried there. */
function merge(roots: readonly Root[]): Root[] {
  const merged = new Map<string, Root>()
  for (const root of roots) {
    const before = merged.get(root.path)
    merged.set(root.path, before === undefined ? root : { ...before, tried: [...new Set([...before.tried, ...root.tried])], because: before.because ?? root.because })
  }
  return [...merged.values()]
}
