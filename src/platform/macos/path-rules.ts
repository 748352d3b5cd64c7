// The path rules of a policy as rules of a profile, in the one order that gives the reference meaning: the last rule that
// matches wins. Pure.
import { type Glob, globMatches, literalName, parseGlob } from '../../policy/glob.js'
import { comparisonKey, foldName } from '../../policy/letter-case.js'
import { isInside, joinPath, namesOf, parentOf, relativeTo, splitNames, upwards } from '../../policy/path-syntax.js'
import type { Effect, PathRule, ResolvedPolicy } from '../../policy/resolved-policy.js'
import { type Layer, layer } from '../../policy/rule-order.js'
import { globSource, HERE_AND_BELOW, remainders } from './glob-pattern.js'
import { nameSpeller } from './name-pattern.js'
import type { Parameters, PathRole } from './parameters.js'
import { quoteRegex } from './sbpl/regex.js'
import { type Expression, type Form, form, list, literal, regex, requireAll, requireAny, requireNot, subpath } from './sbpl/syntax.js'

/** What reading and running a file needs. The last three have a default of their own, so `file-read*` does not cover them. */
const READ = ['file-read*', 'file-clone', 'file-map-executable', 'process-exec*'] as const
/** What changing a file, making one and giving it another name needs. A hard link is asked for at both of its ends. */
const WRITE = ['file-write*', 'file-link'] as const

/** /dev is the same for every policy: profiles/devices.sbpl. */
const DEVICES = '/dev'

/** What macOS shows in /System/Volumes/Data as well, where expressions close it too, as `at-and-below` does. Source: /usr/share/firmlinks. */
const FIRMLINKS = ['/Applications', '/Library', '/Users', '/Volumes', '/cores', '/opt', '/private', '/usr/local']
const DATA_VOLUME = '(/System/Volumes/Data)?'

export interface PathForms {
  /** In the order of the policy's rules: what may be read and written. */
  readonly rules: readonly Form[]
  /** For the end of the profile: single operations that those rules opened with the rest. */
  readonly exceptions: readonly Form[]
  /** What /dev lacks besides: behind the template for it. */
  readonly devices: readonly Form[]
}

/**
 * Compiles the path rules of `policy`.
 *
 * 1. From the shallowest rule to the deepest, each says what changes against the folder above it.
 * 2. Deny globs follow: they win over every rule that no match of theirs lies above.
 * 3. Then what lies below a match and is opened again by a rule of its own, and in it the globs once more.
 * 4. Last, and by operations of their own, what `decide` refuses though the path itself is writable: to make or remove a root
 *    whose folder is not writable, and to move a folder that something closed lies in. A rule of a single operation stands
 *    above the rules of its group in the kernel, so these come where nothing of the group follows.
 */
export function pathForms(policy: ResolvedPolicy, parameters: Parameters): PathForms {
  const spell = nameSpeller()
  const globs = policy.globs.map(({ pattern, field }) => parseGlob('macos', pattern, field))
  const paths = policy.paths.filter(({ path }) => !isInside('macos', DEVICES, path))
  const rules = layer({ ...policy, paths })
  const meaning = effectiveMeaning(policy, rules, globs)
  const context: Context = { policy, parameters, spell, globs, meaning }

  const below = paths.filter(({ path }) => globs.length > 0 && [...upwards('macos', path)].some(at => at !== path && meaning.isMatched(at)))
  const isBelow = new Set(below)
  const changes: Change[] = policy.base === 'read' ? [{ action: 'allow', operations: READ, filters: [] }] : []
  for (const rule of paths) if (!isBelow.has(rule)) changes.push(...changesTo(context, rule, above(policy, rules, rule)))
  if (globs.length > 0) changes.push({ action: 'deny', operations: [...READ, ...WRITE], filters: globs.flatMap(glob => globFilters(context, glob, '/')) })
  for (const rule of below) {
    // Where a glob names the very path as well, that one stands.
    if (meaning.isMatched(rule.path)) continue
    const own = changesTo(context, rule, meaning.effectAt(parentOf('macos', rule.path)))
    changes.push(...own)
    const opened = own.filter(({ action }) => action === 'allow').flatMap(({ operations }) => operations)
    const again = opened.length === 0 ? [] : globs.flatMap(glob => globFilters(context, glob, rule.path))
    if (again.length > 0) changes.push({ action: 'deny', operations: opened, filters: again })
  }
  return { rules: toForms(changes), exceptions: exceptions(context, paths), devices: deviceForms(context) }
}

interface Context {
  readonly policy: ResolvedPolicy
  readonly parameters: Parameters
  readonly spell: (name: string) => string
  readonly globs: readonly Glob[]
  readonly meaning: Meaning
}

/** What holds at a path: rules and globs together, as `decide` has it. */
interface Meaning {
  effectAt(path: string): Effect
  /** A glob names exactly this path. */
  isMatched(path: string): boolean
}

function effectiveMeaning(policy: ResolvedPolicy, rules: Layer, globs: readonly Glob[]): Meaning {
  const isMatched = (path: string) => globs.some(glob => globMatches('macos', glob, path, { ignoreCase: foldingRoot(policy, path) !== undefined }))
  if (globs.length === 0) return { effectAt: path => rules.effectAt(path), isMatched }
  const byKey = new Map(rules.paths.map(rule => [comparisonKey('macos', policy.caseInsensitiveRoots, rule.path), rule]))
  return {
    isMatched,
    effectAt: path => {
      for (const at of upwards('macos', path)) {
        const rule = byKey.get(comparisonKey('macos', policy.caseInsensitiveRoots, at))
        if (rule?.effect === 'deny' || isMatched(at)) return 'deny'
        if (rule !== undefined) return rule.effect
      }
      return policy.base
    },
  }
}

/** One rule of the profile before it is written: an empty list of filters stands for every path. */
interface Change {
  readonly action: 'allow' | 'deny'
  readonly operations: readonly string[]
  readonly filters: readonly Expression[]
}

const READABLE: Readonly<Record<Effect, boolean>> = { write: true, read: true, deny: false }

/** What `rule` changes where `before` holds otherwise. */
function changesTo(context: Context, { path, effect }: PathRule, before: Effect): Change[] {
  const opened = [...(READABLE[effect] && !READABLE[before] ? READ : []), ...(effect === 'write' && before !== 'write' ? WRITE : [])]
  const closed = [...(!READABLE[effect] && READABLE[before] ? READ : []), ...(effect !== 'write' && before === 'write' ? WRITE : [])]
  const role: PathRole = effect === 'write' ? 'WRITABLE' : effect === 'deny' ? 'DENIED' : before === 'write' ? 'READ_ONLY' : 'READABLE'
  const changes: Change[] = []
  if (opened.length > 0) changes.push({ action: 'allow', operations: opened, filters: [subpath(context.parameters.of(path, role))] })
  if (closed.length > 0) changes.push({ action: 'deny', operations: closed, filters: everySpelling(context, path, role) })
  return changes
}

function above(policy: ResolvedPolicy, rules: Layer, { path }: PathRule): Effect {
  const parent = parentOf('macos', path)
  return parent === path ? policy.base : rules.effectAt(parent)
}

/** What is opened is there, and so has one spelling to the kernel; what is closed may be made anew in every one. */
function everySpelling({ policy, parameters, spell }: Context, path: string, role: PathRole): Expression[] {
  const value = parameters.of(path, role)
  if (path === '/') return [subpath(value)]
  const root = foldingRoot(policy, parentOf('macos', path))
  if (root === undefined || root === path) return [list('at-and-below', value)]
  const [names, spelled] = [splitNames('macos', relativeTo('macos', root, path)), splitNames('macos', relativeTo('macos', root, path)).map(spell)]
  // Names without letters that have a case, such as Japanese ones, have one spelling.
  if (names.every((name, index) => spelled[index] === quoteRegex(name))) return [list('at-and-below', value)]
  return [list('at-and-below', value), regex(`^${prefix(root, path)}${spelled.map(name => `/${name}`).join('')}${HERE_AND_BELOW}`)]
}

/** The outermost folder at or above `path` in which letter case makes no other name. */
const foldingRoot = ({ caseInsensitiveRoots }: ResolvedPolicy, path: string): string | undefined => caseInsensitiveRoots.find(root => isInside('macos', root, path))

/** @param inside  where all that is matched below `folder` lies: in a firmlink, or above one, as where a glob begins with a star */
const prefix = (folder: string, inside = folder): string => `${FIRMLINKS.some(place => isInside('macos', place, inside) || isInside('macos', inside, place)) ? DATA_VOLUME : ''}${folder === '/' ? '' : quoteRegex(folder)}`

/** Whatever `glob` names at `folder` or below it. */
const globFilters = (context: Context, glob: Glob, folder: string): Expression[] =>
  namedBy(context, glob, folder).flatMap(named => 'at' in named ? everySpelling(context, named.at, 'DENIED') : [matching(context, named, HERE_AND_BELOW)])

/** The paths that `glob` names: `folder` itself, or by a source without an end, which holds nothing in the folders `but`. */
type Named = { readonly at: string } | { readonly source: string; readonly but: readonly string[] }

/** Folders that ignore letter case have sources of their own: there a glob names more names, and `[!a]` fewer. */
function namedBy({ policy, spell }: Pick<Context, 'policy' | 'spell'>, glob: Glob, folder: string): Named[] {
  const start = startOf(glob)
  const below = (place: string, ignoreCase: boolean, but: readonly string[]) => remainders(glob, place, ignoreCase).map((rest): Named =>
    rest.length === 0 ? { at: place } : { source: globSource(prefix(place, place === '/' ? start : place), rest, { ignoreCase, spell }), but })
  if (foldingRoot(policy, folder) !== undefined) return below(folder, true, [])
  const meets = (root: string) => isInside('macos', foldName(start), foldName(root)) || isInside('macos', foldName(root), foldName(start))
  const folding = policy.caseInsensitiveRoots.filter(root => isInside('macos', folder, root) && meets(root))
  const folded = folding.flatMap(root => below(root, true, []))
  return folding.some(root => isInside('macos', root, start)) ? folded : [...below(folder, false, folding), ...folded]
}

function matching({ parameters }: Context, { source, but }: Extract<Named, { source: string }>, end: string): Expression {
  const [first, ...others] = but.map(path => subpath(parameters.of(path, 'FOLDING')))
  if (first === undefined) return regex(`${source}${end}`)
  return requireAll(regex(`${source}${end}`), requireNot(others.length === 0 ? first : requireAny(first, ...others)))
}

/** The folder that all matches of `glob` lie in. */
function startOf({ segments }: Glob): string {
  const names = segments.map(literalName)
  const wild = names.indexOf(undefined)
  return joinPath('macos', '/', ...(names.slice(0, wild === -1 ? names.length - 1 : wild) as string[]))
}

function exceptions(context: Context, paths: readonly PathRule[]): Form[] {
  const { parameters, meaning } = context
  const roots = paths.filter(({ path, effect }) => effect === 'write' && path !== '/' && meaning.effectAt(path) === 'write' && meaning.effectAt(parentOf('macos', path)) !== 'write').map(({ path }) => path)
  const kept = keptFolders(context, paths, new Set(roots))
  const moving = movingFilters(context, paths)
  const passed = foldersOnTheWay(context, paths)
  const forms: Form[] = []
  if (roots.length > 0) {
    forms.push(form(list('deny', 'file-write-create', 'file-write-unlink', ...roots.map(path => literal(parameters.of(path, 'WRITABLE')))), 'the roots themselves: their names belong to folders that are not writable'))
  }
  if (kept.length > 0) {
    forms.push(form(list('deny', 'file-write-unlink', ...kept.map(path => literal(parameters.of(path, 'KEPT')))), 'what lies in these is closed by its path, so they keep theirs'))
  }
  if (moving.length > 0) {
    forms.push(form(list('deny', 'file-write-unlink', ...moving), 'a denied name may lie in these, and is denied by its path'))
  }
  if (passed.length > 0) {
    forms.push(form(list('allow', 'file-read-metadata', ...passed.map(path => literal(parameters.of(path, 'PASSED')))), 'the way to what may be read: whether these folders are there, not what they hold'))
  }
  return forms
}

/** Writable folders above something closed: renamed, they would take it to a path that no rule names. */
function keptFolders({ globs, meaning }: Context, paths: readonly PathRule[], roots: ReadonlySet<string>): string[] {
  const found = new Set<string>()
  const seen = new Set<string>()
  for (const { path, effect } of paths) {
    if (effect === 'write') continue
    for (const at of upwards('macos', path)) {
      if (at === path) continue
      if (seen.has(at)) break
      seen.add(at)
      if (at !== '/' && !roots.has(at) && meaning.effectAt(at) === 'write') found.add(at)
    }
  }
  for (const { segments } of globs) {
    const names = segments.map(literalName)
    const wild = names.indexOf(undefined)
    for (let count = 1; count <= (wild === -1 ? names.length - 1 : wild); count++) {
      const at = joinPath('macos', '/', ...(names.slice(0, count) as string[]))
      if (!roots.has(at) && meaning.effectAt(at) === 'write') found.add(at)
    }
  }
  return byDepth(found)
}

/**
 * Folders on a glob's way behind its first wild name. Behind `**` only those with a name of their own: what moves inside the
 * reach of a `**` is still named by the glob.
 */
function movingFilters(context: Context, paths: readonly PathRule[]): Expression[] {
  const isReached = (start: string) => paths.some(({ path, effect }) => effect === 'write' && (isInside('macos', path, start) || isInside('macos', start, path)))
  return context.globs.filter(glob => isReached(startOf(glob))).flatMap(glob => {
    const wild = glob.segments.findIndex(segment => literalName(segment) === undefined)
    if (wild === -1) return []
    return glob.segments.slice(wild, -1).flatMap((segment, index) => {
      if (segment.kind === 'globstar') return []
      const part: Glob = { pattern: glob.pattern, segments: glob.segments.slice(0, wild + index + 1) }
      return namedBy(context, part, '/').map(named => 'at' in named ? literal(context.parameters.of(named.at, 'KEPT')) : requireAll(list('vnode-type', 'DIRECTORY'), matching(context, named, '$')))
    })
  })
}

/** Folders that are closed themselves, above what is open: programs look at each part of a path (realpath, getcwd). */
function foldersOnTheWay({ meaning }: Context, paths: readonly PathRule[]): string[] {
  const found = new Set<string>()
  // The root folder is open to everybody (profiles/base.sbpl), unless a rule closes it.
  const seen = new Set<string>(paths.some(({ path }) => path === '/') ? [] : ['/'])
  for (const { path, effect } of paths) {
    if (effect === 'deny') continue
    for (const at of upwards('macos', path)) {
      if (at === path) continue
      if (seen.has(at)) break
      seen.add(at)
      if (meaning.effectAt(at) === 'deny') found.add(at)
    }
  }
  return byDepth(found)
}

const byDepth = (paths: Iterable<string>): string[] => [...paths].sort((a, b) => namesOf('macos', a).length - namesOf('macos', b).length || (a < b ? -1 : 1))

/** Nodes that the policy adds, and what it denies below /dev. */
function deviceForms({ policy, parameters }: Context): Form[] {
  const denied = policy.paths.filter(({ path, effect }) => effect === 'deny' && isInside('macos', DEVICES, path))
  return [
    ...(policy.devices.length === 0 ? [] : [form(list('allow', 'file-read*', 'file-write-data', 'file-ioctl', ...policy.devices.map(path => literal(parameters.of(path, 'WRITABLE')))), 'devices of the policy')]),
    ...(denied.length === 0 ? [] : [form(list('deny', 'file-read*', 'file-write-data', 'file-ioctl', ...denied.map(({ path }) => subpath(parameters.of(path, 'DENIED')))), 'denied devices')]),
  ]
}

const COMMENTS: Readonly<Record<string, string>> = {
  'allow read': 'may be read and run',
  'allow write': 'may be written',
  'allow read write': 'may be read, run and written',
  'deny write': 'read-only inside what may be written',
  'deny read': 'denied',
  'deny read write': 'denied',
}

/** Neighbours of one kind are one form. */
function toForms(changes: readonly Change[]): Form[] {
  const merged: Change[] = []
  for (const change of changes) {
    const last = merged.at(-1)
    if (last !== undefined && last.action === change.action && last.filters.length > 0 && last.operations.join() === change.operations.join()) {
      merged[merged.length - 1] = { ...last, filters: [...last.filters, ...change.filters] }
    } else {
      merged.push(change)
    }
  }
  return merged.map(({ action, operations, filters }) => {
    const what = [action, ...(operations.includes(READ[0]) ? ['read'] : []), ...(operations.includes(WRITE[0]) ? ['write'] : [])].join(' ')
    return form(list(action, ...operations, ...filters), COMMENTS[what] as string)
  })
}
