// Places where a file shows a second time, because its file system is mounted there too (a bind mount, WSL's /mnt/wslg/distro,
// toolbox's /run/host). Mounts made for one path do not hold the other.
import type { HostSnapshot, Mount } from './host-snapshot.js'
import { isInside, joinPath, namesOf, parentOf, relativeTo, splitNames } from './path-syntax.js'
import type { PathRule } from './resolved-policy.js'
import type { Layer } from './rule-order.js'

/**
 * For each rule of `set`, and of `more`, that closes something: rules that close the same file wherever it shows as well and
 * is open. Pure. A rule for exactly such a place stands; what leads to a writable root or the cwd is never closed. And a rule
 * for a mount's own place is about that view: a deny on /run/host does not deny the host's files where they belong.
 */
export function aliasRules(host: HostSnapshot, set: Layer, more: readonly PathRule[]): PathRule[] {
  const mounts = mountsInSeveralPlaces(host.mounts ?? [])
  if (mounts.size === 0) return []
  const open = [host.cwd, ...set.paths.filter(({ effect }) => effect === 'write').map(({ path }) => path)]
  const mayClose = (path: string) => !set.names(path) && !open.some(each => isInside(host.platform, path, each))
  return [...set.paths, ...more].filter(rule => closes(host, set, rule)).flatMap(rule =>
    aliases(host, mounts, rule.path)
      .filter(path => mayClose(path) && (rule.effect === 'deny' ? set.effectAt(path) !== 'deny' : set.effectAt(path) === 'write'))
      .map(path => at(host, set, rule, path)))
}

/** Under restricted reads a read rule opens; in a writable root it closes, and what is our own must never be written. */
function closes({ platform }: HostSnapshot, set: Layer, { effect, origin, path }: PathRule): boolean {
  return effect === 'deny' || (effect === 'read' && (origin === 'self' || origin === 'protected' || set.effectAt(parentOf(platform, path)) === 'write'))
}

type ByDevice = ReadonlyMap<string, readonly Mount[]>

function mountsInSeveralPlaces(mounts: readonly Mount[]): ByDevice {
  const byDevice = new Map<string, Mount[]>()
  for (const mount of mounts) byDevice.set(mount.device, [...(byDevice.get(mount.device) ?? []), mount])
  return new Map([...byDevice].filter(([, list]) => list.length > 1).flatMap(([, list]) => list.map(mount => [mount.point, list] as const)))
}

/** Other paths of what is at `path`, and of what is mounted elsewhere from below it. */
function aliases(host: HostSnapshot, mounts: ByDevice, path: string): string[] {
  const { platform } = host
  const own = mountOf(host, path)
  const others = own === undefined ? undefined : mounts.get(own.point)
  if (own === undefined || others === undefined || own.point === path) return []
  const inside = below(own.root, relativeTo(platform, own.point, path))
  const found = others.flatMap(({ root, point }) => {
    if (isInside(platform, root, inside)) return [{ alias: below(point, relativeTo(platform, root, inside)), original: path }]
    if (isInside(platform, inside, root)) return [{ alias: point, original: below(path, relativeTo(platform, inside, root)) }]
    return []
  })
  return [...new Set(found.filter(({ alias, original }) => alias !== path && !isInside(platform, path, alias) && isSame(host, alias, original)).map(({ alias }) => alias))]

  function below(folder: string, relative: string): string {
    return joinPath(platform, folder, ...splitNames(platform, relative))
  }
}

/** The one that shows: of the mounts on the way the deepest, and of several on one folder the last. */
function mountOf({ platform, mounts = [] }: HostSnapshot, path: string): Mount | undefined {
  let own: Mount | undefined
  for (const mount of mounts) if (isInside(platform, mount.point, path) && (own === undefined || namesOf(platform, mount.point).length >= namesOf(platform, own.point).length)) own = mount
  return own
}

/** Another mount may lie over it; of a missing name the folder says it. */
function isSame(host: HostSnapshot, alias: string, original: string): boolean {
  const [one, other] = [host.files.entry(alias), host.files.entry(original)]
  if (one !== undefined && other !== undefined) return one.device === other.device && one.inode === other.inode
  if (one !== undefined || other !== undefined || parentOf(host.platform, alias) === alias) return false
  return isSame(host, parentOf(host.platform, alias), parentOf(host.platform, original))
}

function at(host: HostSnapshot, set: Layer, rule: PathRule, path: string): PathRule {
  const entry = host.files.entry(path)
  const root = set.paths.filter(({ effect, path: outer }) => effect === 'write' && isInside(host.platform, outer, path)).at(-1)
  return {
    ...rule, path, kind: entry?.kind ?? 'missing', identity: entry === undefined ? undefined : { device: entry.device, inode: entry.inode },
    owner: rule.owner === undefined ? undefined : root?.path ?? rule.owner,
  }
}
