// The settings of @anthropic-ai/sandbox-runtime -> a policy that allows nothing more than they did, and what to say beside it.
import { SandboxError } from '../errors.js'
import { takeSnapshot } from '../host/snapshot.js'
import { parseDomainPattern } from '../policy/domain-pattern.js'
import { followLinks, followLinksToParent } from '../policy/follow-links.js'
import { escapeGlob, type Glob, globMatches, parseGlob } from '../policy/glob.js'
import type { HostSnapshot } from '../policy/host-snapshot.js'
import { foldName } from '../policy/letter-case.js'
import { depth, isInside, joinPath, parentOf, resolveText, upwards } from '../policy/path-syntax.js'
import type { PolicyObject } from '../policy/schema.js'
import { readSrtSettings, SRT_PROXY_KEYS, type SrtNote, type SrtSettings } from './srt-keys.js'

export interface ConvertedSettings {
  /** For `createSandbox`. Its paths are absolute. */
  readonly policy: PolicyObject
  /** What the policy does not say, or says otherwise, by key. */
  readonly notes: readonly SrtNote[]
}

export interface ConvertOptions {
  /** Relative paths start here, as there in the folder of the process. Default: this process's. */
  readonly cwd?: string
}

/** A pattern of denyRead; `wasTree`: it ended in `/**`, and then a path below a match cannot be opened again there. */
interface DeniedGlob {
  readonly glob: Glob
  readonly wasTree: boolean
}

/**
 * Takes the JSON of `~/.srt-settings.json`, or a `SandboxRuntimeConfig`, as Linux has its meaning there. What would be stricter here is a
 * note; what would be weaker is an error. Looks at this machine: paths are compared where links lead, and files that sandbox-runtime never
 * lets be written are looked for in the folder, as deep as it looks.
 *
 * @throws SandboxError `policy_unknown_key`, `policy_invalid_value`, `rule_not_enforceable`; `field` is the key in full
 */
export function fromSrtSettings(settings: unknown, { cwd }: ConvertOptions = {}): ConvertedSettings {
  return convertSrtSettings(settings, takeSnapshot({ selfPaths: [], ...(cwd === undefined ? {} : { cwd }) }), process.env)
}

/** The same on a machine that is given. Pure. */
export function convertSrtSettings(input: unknown, host: HostSnapshot, env: Readonly<Record<string, string | undefined>>): ConvertedSettings {
  const settings = readSrtSettings(input)
  if (settings.value('filesystem.disabled') === true) {
    throw new SandboxError('rule_not_enforceable', { field: 'filesystem.disabled', value: true }, {
      detail: 'no policy closes the network and leaves all files open', remedy: 'Name the folders in allowWrite, or use the policy "danger-full-access", which opens the network as well.',
    })
  }
  const lists = readLists(settings, host, env)
  const rules = makeRules(lists, host)
  return {
    policy: {
      mode: 'read-only',
      network: makeNetwork(settings),
      write: rules.write.map(path => escapeGlob(host.platform, path)),
      read: rules.read.map(path => escapeGlob(host.platform, path)),
      deny: [...rules.deny.map(path => escapeGlob(host.platform, path)), ...lists.denyReadGlobs.map(({ glob }) => glob.pattern)],
      protect: [...PROTECTED_FILES, ...PROTECTED_FOLDERS],
      git: 'commits',
      denySecrets: false,
      caches: 'off',
      env: { inherit: 'all', dropSecrets: false, exclude: settings.variables.map(({ name }) => name), set: { TMPDIR: temporaryFolder(env), ...gitConfig(settings, env) } },
    },
    notes: [...settings.notes, ...credentialNotes(settings), ...lists.notes, ...rules.notes],
  }
}

/** The same lists; off where a proxy there would decide, where nothing is allowed, and where everything is denied on some port. */
function makeNetwork(settings: SrtSettings): PolicyObject['network'] {
  const list = (name: string): readonly string[] => settings.texts(`network.${name}`)
  const denied = [...list('deniedDomains').map((text, index) => [text, `network.deniedDomains[${index}]`] as const), ...list('deniedResolvedAddresses').map((text, index) => [text, `network.deniedResolvedAddresses[${index}]`] as const)]
  const everything = denied.some(([text]) => /^\*(?::|$)/.test(text))
  const elsewhere = settings.notes.some(({ key }) => SRT_PROXY_KEYS.some(name => key === `network.${name}`))
  list('allowedDomains').forEach((text, index) => parseDomainPattern(text, 'allow', `network.allowedDomains[${index}]`))
  for (const [text, field] of everything ? [] : denied) parseDomainPattern(text, 'deny', field)
  if (everything || elsewhere || list('allowedDomains').length === 0) return 'off'
  return { allowedDomains: [...list('allowedDomains')], deniedDomains: denied.map(([text]) => text), ...(settings.value('network.strictAllowlist') === true ? { strictAllowlist: true } : {}) }
}

/** Never writable there, in the folder and, where they exist, in the folders below it; here in every writable root. */
const PROTECTED_FILES = ['.gitconfig', '.gitmodules', '.bashrc', '.bash_profile', '.zshrc', '.zprofile', '.profile', '.ripgreprc', '.mcp.json']
const PROTECTED_FOLDERS = ['.vscode', '.idea', '.claude/commands', '.claude/agents']
const PROTECTED_IN_GIT = ['.git/hooks', '.git/config']
const NORMAL_DEPTH = 3

interface Lists {
  readonly denyRead: readonly string[]
  readonly denyReadGlobs: readonly DeniedGlob[]
  readonly allowRead: readonly string[]
  readonly allowWrite: readonly string[]
  readonly denyWrite: readonly string[]
  /** Those of the tool itself: not written in the settings. */
  readonly mandatory: readonly string[]
  readonly notes: readonly SrtNote[]
}

/** Absolute paths, links as they are written. */
function readLists(settings: SrtSettings, host: HostSnapshot, env: Readonly<Record<string, string | undefined>>): Lists {
  const notes: SrtNote[] = []
  const paths = (key: string, onGlob: (text: string, field: string) => void): string[] => settings.texts(key).flatMap((text, index) => {
    const folder = withoutTrailingGlob(text)
    if (!hasGlob(folder)) return [absolute(host, folder)]
    onGlob(text, `${key}[${index}]`)
    return []
  })
  const notOpened = (key: string) => (text: string) => {
    notes.push({ key, effect: 'stricter', text: `${JSON.stringify(text)} opens nothing: patterns are known in deny rules only` })
  }
  const globs: DeniedGlob[] = []
  const onDeniedGlob = (text: string, field: string): void => {
    globs.push({ glob: parseGlob(host.platform, absoluteGlob(host, withoutTrailingGlob(text), field), field), wasTree: text !== withoutTrailingGlob(text) })
  }
  const denyRead = [
    ...settings.texts('filesystem.denyRead').flatMap((text, index) => denied(host, text, `filesystem.denyRead[${index}]`, onDeniedGlob)),
    ...settings.files.flatMap(({ name }, index) => denied(host, name, `credentials.files[${index}].path`, onDeniedGlob)),
  ]
  if (globs.length > 0) {
    notes.push({ key: 'filesystem.denyRead', effect: 'weaker', text: 'a pattern is expanded once, when the sandbox is made, and not before each command, and `**` does not look behind links to folders: say allowDegraded: ["later-glob-matches"]' })
  }
  const temporary = absolute(host, temporaryFolder(env))
  if (host.files.entry(temporary) === undefined) {
    notes.push({ key: 'filesystem.allowWrite', effect: 'same', text: `${JSON.stringify(temporary)}, which TMPDIR names as there, does not exist: make it first, or nothing is writable there` })
  }
  return {
    denyRead,
    denyReadGlobs: globs,
    allowRead: paths('filesystem.allowRead', notOpened('filesystem.allowRead')),
    allowWrite: [...paths('filesystem.allowWrite', notOpened('filesystem.allowWrite')), temporary],
    denyWrite: paths('filesystem.denyWrite', (text, field) => {
      throw new SandboxError('rule_not_enforceable', { field, value: text }, { detail: 'patterns are known in deny rules only', remedy: 'Name the paths, or put it into denyRead, which closes reading as well.' })
    }),
    mandatory: mandatoryPaths(host, (settings.value('mandatoryDenySearchDepth') ?? NORMAL_DEPTH) as number),
    notes,
  }
}

/** A folder is denied with all in it, so `x/**` is `x`. */
function denied(host: HostSnapshot, text: string, field: string, onGlob: (text: string, field: string) => void): string[] {
  const folder = withoutTrailingGlob(text)
  if (!hasGlob(folder)) return [absolute(host, folder)]
  onGlob(text, field)
  return []
}

interface Rules {
  readonly write: readonly string[]
  readonly read: readonly string[]
  readonly deny: readonly string[]
  readonly notes: readonly SrtNote[]
}

/**
 * There, allowRead beats denyRead at one path and denyWrite beats allowWrite wherever it stands; here the most specific rule decides and of
 * two at one path the stricter. And `read` here also keeps a place read-only, so it stands only where something is to be opened or closed.
 */
function makeRules(lists: Lists, host: HostSnapshot): Rules {
  const notes: SrtNote[] = []
  const { platform } = host
  const canonical = (path: string) => followLinks(host, path, 'settings').path
  const inside = (outer: string, path: string) => isInside(platform, canonical(outer), canonical(path))
  const neverWritten = [...lists.denyWrite, ...lists.mandatory]

  const allowRead = lists.allowRead.filter(path => {
    if (followLinksToParent(host, path, 'settings').entry?.kind !== 'symlink') return true
    notes.push({ key: 'filesystem.allowRead', effect: 'stricter', text: `${JSON.stringify(path)} opens nothing: it is a symbolic link, and would open what it leads to` })
    return false
  })
  const deny = lists.denyRead.filter(path => !allowRead.some(other => canonical(other) === canonical(path) && followLinksToParent(host, path, 'settings').entry?.kind !== 'symlink'))
  /** A pattern that closes a path for good: it matches the path itself, or ends in `/**` and matches a folder above it. */
  const patternOver = (path: string): string | undefined => {
    const place = canonical(path)
    const over = lists.denyReadGlobs.find(({ glob, wasTree }) => [...upwards(platform, place)].some(at => (at === place || wasTree) && globMatches(platform, glob, at, { ignoreCase: false })))
    return over?.glob.pattern
  }
  const write = lists.allowWrite.filter(path => {
    const closedBy = neverWritten.find(closed => inside(closed, path))
    const pattern = patternOver(path)
    if (closedBy !== undefined) notes.push({ key: 'filesystem.allowWrite', effect: 'same', text: `${JSON.stringify(path)} opens nothing: ${JSON.stringify(closedBy)} is never written` })
    else if (pattern !== undefined) notes.push({ key: 'filesystem.allowWrite', effect: 'stricter', text: `${JSON.stringify(path)} opens nothing: it matches the denied ${JSON.stringify(pattern)}` })
    return closedBy === undefined && pattern === undefined
  })
  for (const path of deny) {
    if (write.some(root => inside(root, path))) notes.push({ key: 'filesystem.denyRead', effect: 'same', text: `${JSON.stringify(path)} cannot be written either; there what was written to it was lost` })
  }

  /** What a pattern closes for good speaks for nothing: a rule that keeps it read-only would open it. */
  const notClosed = allowRead.filter(path => patternOver(path) === undefined)
  /** What speaks of reading at a canonical path: the deepest that names it or a folder above it. */
  const speaker = (place: string, ignoreCase = false): 'deny' | 'open' | undefined => {
    const spoken = [
      ...deny.map(other => ({ at: canonical(other), says: 'deny' as const })),
      ...[...write, ...notClosed].map(other => ({ at: canonical(other), says: 'open' as const })),
    ].filter(({ at }) => isInside(platform, at, place))
    const glob = [...upwards(platform, place)].find(at => lists.denyReadGlobs.some(each => globMatches(platform, each.glob, at, { ignoreCase })))
    if (glob !== undefined) spoken.push({ at: glob, says: 'deny' })
    const deepest = Math.max(...spoken.map(({ at }) => depth(platform, at)))
    const last = spoken.filter(({ at }) => depth(platform, at) === deepest)
    return last.some(({ says }) => says === 'deny') ? 'deny' : last[0]?.says
  }
  const opened = allowRead.filter(path => {
    const place = canonical(path)
    const pattern = patternOver(path)
    if (pattern !== undefined) notes.push({ key: 'filesystem.allowRead', effect: 'stricter', text: `${JSON.stringify(path)} opens nothing: it matches the denied ${JSON.stringify(pattern)}` })
    return pattern === undefined && speaker(parentOf(platform, place)) === 'deny' && ![...deny, ...write].some(other => canonical(other) === place)
  })
  const inRoots = neverWritten.filter(path => write.some(root => inside(root, path)) && speaker(canonical(path)) !== 'deny' && isHeldByName(path))
  // Where letter case makes no other name, a pattern may deny more than it says; `read` must not open it.
  const [closed, unclear] = [inRoots.filter(path => speaker(canonical(path), true) !== 'deny'), inRoots.filter(path => speaker(canonical(path), true) === 'deny')]
  return { write: unique(write), read: unique([...opened, ...closed]), deny: unique([...deny, ...unclear]), notes }

  /** `git: 'commits'` holds the folder's own hooks and config, unless a root lies in `.git` itself. */
  function isHeldByName(path: string): boolean {
    const git = joinPath(platform, host.cwd, '.git')
    return !PROTECTED_IN_GIT.some(name => path === joinPath(platform, host.cwd, name)) || lists.denyWrite.includes(path) || write.some(root => inside(git, root))
  }
}

/** What exists of them in the folder and below it; those in the folder that do not exist are `protect`'s. */
function mandatoryPaths(host: HostSnapshot, depthOfSearch: number): string[] {
  const { platform, files, cwd } = host
  const found: string[] = []
  const walk = (folder: string, left: number): void => {
    for (const path of [...PROTECTED_FOLDERS, ...PROTECTED_IN_GIT].map(name => joinPath(platform, folder, name))) if (files.entry(path) !== undefined) found.push(path)
    for (const name of files.children(folder) ?? []) {
      const path = joinPath(platform, folder, name)
      const kind = files.entry(path)?.kind
      if (PROTECTED_FILES.some(other => foldName(other) === foldName(name))) found.push(path)
      else if (kind === 'directory' && left > 1 && name !== 'node_modules' && name !== '.git') walk(path, left - 1)
    }
  }
  walk(cwd, depthOfSearch)
  return unique(found)
}

function credentialNotes({ files, variables }: SrtSettings): SrtNote[] {
  const masked = (key: string, list: SrtSettings['files'], text: string): SrtNote[] =>
    list.flatMap(({ mode }, index) => mode === 'mask' ? [{ key: `${key}[${index}]`, effect: 'stricter' as const, text }] : [])
  return [
    ...masked('credentials.files', files, 'nothing is masked here: the file is denied'),
    ...masked('credentials.envVars', variables, 'nothing is masked here: the variable is dropped'),
  ]
}

const temporaryFolder = (env: Readonly<Record<string, string | undefined>>): string => env['CLAUDE_CODE_TMPDIR'] || env['CLAUDE_TMPDIR'] || '/tmp/claude'

/** As there: added to what the environment says already, and nothing where it says 0. */
function gitConfig(settings: SrtSettings, env: Readonly<Record<string, string | undefined>>): Record<string, string> {
  const folders = settings.texts('git.safeDirectories')
  const given = env['GIT_CONFIG_COUNT']
  if (folders.length === 0 || given === '0') return {}
  const start = /^\d+$/.test(given ?? '') ? Number(given) : 0
  const pairs = folders.flatMap((folder, index) => [[`GIT_CONFIG_KEY_${start + index}`, 'safe.directory'], [`GIT_CONFIG_VALUE_${start + index}`, folder]])
  return { GIT_CONFIG_COUNT: String(start + folders.length), ...Object.fromEntries(pairs) as Record<string, string> }
}

const hasGlob = (text: string): boolean => /[*?[\]]/.test(text)
const withoutTrailingGlob = (text: string): string => text.replace(/\/\*\*$/, '') || '/'

const home = (host: HostSnapshot, text: string): string => /^~(?:\/|$)/.test(text) && host.home !== undefined ? host.home + text.slice(1) : text
const absolute = (host: HostSnapshot, text: string): string => resolveText(host.platform, host.cwd, home(host, text))

/**
 * Braces, backslashes and `!` are no syntax there; what comes from this machine's folders is none either. What both have as syntax and
 * mean otherwise is refused: `**` beside other text goes through folders there, and so may a set.
 */
function absoluteGlob(host: HostSnapshot, text: string, field: string): string {
  const unlike = text.split('/').find(name => name !== '**' && name.includes('**')) ?? /\[(?!(?:[\w.]|0-9|a-z|A-Z)+\])[^\]]*\]?/.exec(text)?.[0]
  if (unlike !== undefined) throw new SandboxError('glob_invalid', { field, value: text }, { detail: `${JSON.stringify(unlike)} means something else there than here`, remedy: 'Write ** as a name of its own, and sets like [0-9] or [abc].' })
  const own = text.replaceAll(/[{}\\!()]/g, '\\$&')
  if (own.startsWith('/')) return own
  const [folder, rest] = /^~\//.test(own) && host.home !== undefined ? [host.home, own.slice(2)] : [host.cwd, own.replace(/^(?:\.\/)+/, '')]
  return `${escapeGlob(host.platform, folder)}/${rest}`
}

const unique = (paths: readonly string[]): string[] => [...new Set(paths)]
