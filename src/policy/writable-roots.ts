// The folders in which a policy lets commands write, on one machine.
import { SandboxError } from '../errors.js'
import { followLinks, type Located } from './follow-links.js'
import type { Entry, HostSnapshot } from './host-snapshot.js'
import { absolutePath, type NamedPath } from './named-rules.js'
import { isInside, looksAbsolute, rootOf } from './path-syntax.js'
import type { IgnoredRule, RuleOrigin } from './resolved-policy.js'
import type { SandboxPolicy } from './sandbox-policy.js'

export interface WritableRoot {
  /** Canonical. */
  readonly path: string
  /** A folder, or one file (or device) that may be written. */
  readonly entry: Entry
  readonly origin: Extract<RuleOrigin, 'cwd' | 'writable-root' | 'tmp'>
  readonly field: string
  readonly value: string
  readonly written: string
  /** /tmp or $TMPDIR, and not the policy's cwd: shared with others, so only existing names are protected in it. */
  readonly isTemporary: boolean
  /** A `write` rule names it, so that it is open even inside another root's protected path. */
  readonly isNamedByWrite: boolean
}

export interface RootOptions {
  readonly allowBroadRoots: boolean
}

/**
 * The writable roots in the order: cwd, writableRoots, `write`, /tmp, $TMPDIR. Of two spellings of one root the first
 * stays. What does not exist grants nothing and goes into `ignored`.
 *
 * @param writes     the `write` rules, read
 * @param selfPaths  canonical
 * @throws           SandboxError `path_too_broad`, `self_not_protectable`, `path_not_absolute`, `path_invalid`, `path_symlink_loop`
 */
export function writableRoots(
  host: HostSnapshot, policy: SandboxPolicy, cwd: Located & { readonly value: string; readonly written: string },
  writes: readonly NamedPath[], selfPaths: readonly string[], options: RootOptions, ignored: IgnoredRule[],
): WritableRoot[] {
  const roots = new Map<string, WritableRoot>()
  const temporary = temporaryFolders(host)
  const byWrite = new Set(writes.flatMap(({ ends }) => ends.map(end => end.path)))
  const add = (origin: WritableRoot['origin'], field: string, value: string, written: string, { path, entry }: Located) => {
    if (entry === undefined) {
      // Nobody asked for /tmp by name.
      if (field !== '/tmp') ignored.push({ field, value, reason: 'missing' })
      return
    }
    if (roots.has(path)) {
      if (origin !== 'tmp') ignored.push({ field, value, reason: 'duplicate' })
      return
    }
    const isTemporary = path !== cwd.path && temporary.some(folder => folder.path === path)
    refuseBroad(host, path, origin, field, value, isTemporary, options)
    const self = selfPaths.find(each => isInside(host.platform, each, path))
    if (self !== undefined) throw new SandboxError('self_not_protectable', { field, value }, { detail: `${JSON.stringify(self)} runs or is trusted outside the sandbox` })
    roots.set(path, { path, entry, origin, field, value, written, isTemporary, isNamedByWrite: byWrite.has(path) })
  }
  if (policy.mode === 'workspace-write') {
    add('cwd', 'cwd', cwd.value, cwd.written, cwd)
    for (const [index, value] of policy.writableRoots.entries()) {
      const field = `writableRoots[${index}]`
      const written = absolutePath(host, undefined, value, field)
      add('writable-root', field, value, written, followLinks(host, written, field))
    }
  }
  for (const { field, value, written, ends: [end] } of writes) if (end !== undefined) add('writable-root', field, value, written, end)
  if (policy.mode === 'workspace-write' && policy.tmp === 'host') {
    for (const { field, value, path, entry } of temporary) {
      const excluded = field === '/tmp' ? policy.excludeSlashTmp : policy.excludeTmpdirEnvVar
      if (!excluded && (entry === undefined || entry.kind === 'directory')) add('tmp', field, value, value, { path, entry })
    }
  }
  return [...roots.values()]
}

/** `/`, a home folder, or a folder that holds it. */
export const isTooBroad = (host: Pick<HostSnapshot, 'platform' | 'home'>, path: string): boolean =>
  path === rootOf(host.platform, path) || host.home !== undefined && isInside(host.platform, path, host.home)

/** A $TMPDIR that is not absolute grants nothing, as in the reference. */
function temporaryFolders(host: HostSnapshot): (Located & { field: string; value: string })[] {
  const named = [
    ...(host.platform === 'windows' ? [] : [{ field: '/tmp', value: '/tmp' }]),
    ...(host.tmpdir !== undefined && looksAbsolute(host.tmpdir) ? [{ field: '$TMPDIR', value: host.tmpdir }] : []),
  ]
  return named.map(({ field, value }) => ({ field, value, ...followLinks(host, absolutePath(host, undefined, value, field), field) }))
}

const BROAD_REMEDIES: Readonly<Record<string, string>> = {
  cwd: 'Start in a project folder, or allow it by name: allowBroadRoots.',
  $TMPDIR: 'Set TMPDIR to a folder of its own, or leave it out: excludeTmpdirEnvVar.',
}

function refuseBroad(host: HostSnapshot, path: string, origin: WritableRoot['origin'], field: string, value: string, isTemporary: boolean, { allowBroadRoots }: RootOptions): void {
  if (allowBroadRoots || !isTooBroad(host, path)) return
  // A home folder inside /tmp is protected there instead (`homeInTemporary`).
  if (origin === 'tmp' && isTemporary && path !== host.home && path !== rootOf(host.platform, path)) return
  const what = path === rootOf(host.platform, path) ? 'it is the whole file system' : path === host.home ? 'it is your home folder' : 'it holds your home folder'
  const remedy = BROAD_REMEDIES[field]
  throw new SandboxError('path_too_broad', { field, value }, remedy === undefined ? { detail: what } : { detail: what, remedy })
}
