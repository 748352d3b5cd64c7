// `denySecrets`: deny rules for what exists of the table in secrets.ts.
import { SandboxError } from '../errors.js'
import { bothEnds, type FollowFolder, followLinksToParent, followOnce, type Located } from './follow-links.js'
import { nameMatches, parseGlob } from './glob.js'
import type { HostSnapshot } from './host-snapshot.js'
import { absolutePath } from './named-rules.js'
import { isInside, joinPath, rootOf } from './path-syntax.js'
import type { IgnoredRule, PathRule } from './resolved-policy.js'
import type { Layer } from './rule-order.js'
import type { SandboxPolicy } from './sandbox-policy.js'
import { CODEX_SECRETS, SECRET_PLACES } from './secrets.js'

/** A place of the table, and what is there: the name itself, and what it leads to. */
export interface SecretPlace { readonly ends: readonly Located[]; readonly open: readonly string[] }

/** Looks all of the table up, once for all layers that are made of it. */
export function secretPlaces(host: HostSnapshot, { denySecrets }: SandboxPolicy): SecretPlace[] {
  if (denySecrets === false) return []
  const follow = followOnce()
  return places(host).map(({ path, open }) => ({ ends: locate(host, path, follow), open }))
}

/**
 * Deny rules, and read rules for the public parts inside. A place that is a link is denied at its target too. A rule of
 * the policy for exactly that path stands in for ours; nothing here opens what the policy denies.
 *
 * @param found   what `secretPlaces` found
 * @param named   canonical paths that the policy's own rules name
 * @param own     the policy's own rules
 */
export function secretRules(host: HostSnapshot, policy: SandboxPolicy, cwd: string, found: readonly SecretPlace[], named: ReadonlySet<string>, own: Layer, ignored: IgnoredRule[]): PathRule[] {
  if (policy.denySecrets === false) return []
  const exceptions = policy.denySecrets.except.map((value, index) => {
    const field = `denySecrets.except[${index}]`
    return { field, value, ends: bothEnds(host, absolutePath(host, cwd, value, field), field) }
  })
  const rules: PathRule[] = []
  for (const { ends, open } of found) {
    for (const end of ends) {
      if (end.entry === undefined || named.has(end.path) || tooMuch(host, end.path)) continue
      if (exceptions.some(({ ends }) => ends.some(except => isInside(host.platform, except.path, end.path)))) continue
      if (own.effectAt(end.path) === 'deny') continue
      rules.push(rule(end, 'deny', 'denySecrets'))
      if (end.entry.kind === 'directory') rules.push(...publicParts(host, end.path, open, own))
    }
  }
  for (const { field, value, ends } of exceptions) {
    const target = ends.at(-1)
    if (target?.entry === undefined) ignored.push({ field, value, reason: 'missing' })
    else if (rules.some(({ path, effect }) => effect === 'deny' && isInside(host.platform, path, target.path)) && !own.names(target.path) && own.effectAt(target.path) !== 'deny') rules.push(rule(target, 'read', field))
  }
  return rules
}

function places(host: HostSnapshot): { path: string; open: readonly string[] }[] {
  const { platform, codexHome, accountHome } = host
  const inHome = SECRET_PLACES.flatMap(({ path, open = [] }) => {
    if (path.startsWith('/')) return platform === 'windows' ? [] : [{ path, open }]
    return homesOf(host).map(home => ({ path: joinPath(platform, home, path), open }))
  })
  const codexHomes = [codexHome, accountHome === undefined ? undefined : joinPath(platform, accountHome, '.codex')].filter(folder => folder !== undefined)
  return [...inHome, ...codexHomes.flatMap(folder => CODEX_SECRETS.map(path => ({ path: joinPath(platform, folder, path), open: [] })))]
}

const homesOf = ({ home, accountHome }: HostSnapshot): string[] => [home, accountHome].filter(folder => folder !== undefined)


function publicParts(host: HostSnapshot, folder: string, open: readonly string[], own: Layer): PathRule[] {
  if (open.length === 0) return []
  const patterns = open.map(pattern => parseGlob(host.platform, pattern, 'denySecrets').segments[0])
  return [...(host.files.children(folder) ?? [])].sort().flatMap(name => {
    const path = joinPath(host.platform, folder, name)
    const entry = host.files.entry(path)
    // A link named like a public key may lead to the private one.
    if (entry === undefined || entry.kind === 'symlink' || own.names(path) || own.effectAt(path) === 'deny') return []
    const isPublic = patterns.some(segment => segment?.kind === 'name' && nameMatches(segment.tokens, name, { ignoreCase: false }))
    return isPublic ? [rule({ path, entry }, 'read', 'denySecrets')] : []
  })
}

/** A link in a circle hides nothing but itself. */
function locate(host: HostSnapshot, path: string, follow: FollowFolder): Located[] {
  try {
    return bothEnds(host, path, 'denySecrets', follow)
  } catch (error) {
    if (!(error instanceof SandboxError && error.code === 'path_symlink_loop')) throw error
    return host.files.entry(path) === undefined ? [] : [followLinksToParent(host, path, 'denySecrets')]
  }
}

/** A place that links to the home folder or above it would deny everything. */
const tooMuch = (host: HostSnapshot, path: string): boolean =>
  path === rootOf(host.platform, path) || homesOf(host).some(home => isInside(host.platform, path, home))

const rule = ({ path, entry }: Located, effect: 'read' | 'deny', field: string): PathRule => ({
  path, effect, origin: 'secret', field, owner: undefined,
  kind: entry?.kind ?? 'missing',
  identity: entry === undefined ? undefined : { device: entry.device, inode: entry.inode },
})
