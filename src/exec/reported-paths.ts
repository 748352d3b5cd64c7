// Reads, from what a command wrote to stderr, which paths it says it was refused. Guesses of words, not facts: only those that
// the policy denies are ever reported. Pure.
import type { FileAccess } from '../policy/decision.js'

export interface ReportedPath {
  /** As the command wrote it, absolute or relative to its cwd. */
  readonly path: string
  /** What it may have tried, the likeliest first. */
  readonly operations: readonly FileAccess[]
  /** The message is EROFS's: it was a write, even if none was seen. */
  readonly readOnly: boolean
}

/** Messages of EACCES, EPERM and EROFS, and what each leaves open. */
const MESSAGES = [
  { words: /read-only file system/i,   writes: true },
  { words: /permission denied/i,       writes: false },
  { words: /operation not permitted/i, writes: false },
] as const

/**
 * What git says without the word for a refusal: the key that it should sign with is hidden; the folder of `git am` is held by something that it
 * takes for a left-over.
 */
const GITS_OWN: readonly { readonly words: RegExp; readonly path: (match: RegExpExecArray) => string; readonly operation: FileAccess }[] = [
  { words: /No private key found for public key "([^"\n]+?)(?:\.pub)?"/, path: match => match[1] as string, operation: 'read' },
  { words: /^error: gpg failed to sign the data/, path: () => '~/.gnupg', operation: 'read' },
  { words: /^fatal: Stray (.+\/rebase-apply) directory found\./, path: match => match[1] as string, operation: 'create' },
]

/** Words that say what was tried; the first that matches counts. */
const OPERATIONS: readonly { readonly words: RegExp; readonly operations: readonly FileAccess[] }[] = [
  { words: /\b(?:remove|removing|delete|unlink|unlinkat|rmdir)\b/i, operations: ['remove'] },
  { words: /\b(?:create|creating|creat|mkdir|mkdirat|touch|symlink|mknod|link|rename|move)\b/i, operations: ['create', 'write'] },
  { words: /\b(?:execute|exec|execve|spawn)\b/i, operations: ['execute'] },
  { words: /\b(?:write|writing|output|append|truncate|chmod|chown|utime|save|lock)\b/i, operations: ['write', 'create'] },
  { words: /\b(?:read|reading|scandir|readdir|opendir|open directory|access|stat|lstat|list)\b/i, operations: ['read'] },
]

/** Programs that only read what they name on a line of their own; for any other it may have been a write. */
const READERS = /^(?:cat|head|tail|less|more|grep|rg|ls|wc|find|stat|diff|file|od|xxd|hexdump|strings|sha\d+sum|md5sum|cksum|nl|cut|tree|du)$/
/** Our own line: the program itself did not start. */
const OURS = 'codex-sandbox'
const SHELLS = /^-?(?:ba|da|z|k|a)?sh$/

/** Before a path: `cannot create directory `, `could not open `, `Unable to write to `. */
const VERB_PHRASE = /^(?:.*\s)?(?:cannot|can't|can’t|couldn't|could not|unable to|failed to|failed)\s+\w+(?:\s+(?:to|in|the|a|new|for|from|regular|special|temporary|temp|output|input|source|destination|symbolic|hard|lock|config|file|directory|link))*\s+/i
/** Go and Node put the bare call before the path: `open /x: permission denied`. */
const CALL = /^(?:open|openat|mkdir|mkdirat|unlink|unlinkat|rename|remove|rmdir|creat|create|chmod|chown|stat|lstat|read|write|symlink|link|truncate|exec|fork\/exec|readdir)\s+/

const QUOTED = /'((?:[^'\n]|'\\'')+)'|"([^"\n]+)"|‘([^’\n]+)’|`([^`'\n]+)[`']/g
/** As long as a line with a message has no path, lines before it may (`Caused by:` of Rust programs). */
const LINES_BACK = 4
const MOST_REPORTS = 64
const LONGEST_LINE = 8192

export function readReportedPaths(text: string): ReportedPath[] {
  const lines = text.split('\n')
  const reports: ReportedPath[] = []
  for (let index = 0; index < lines.length && reports.length < MOST_REPORTS; index++) {
    const line = lines[index] as string
    const message = line.length > LONGEST_LINE ? undefined : MESSAGES.find(({ words }) => words.test(line))
    if (message === undefined) {
      reports.push(...gitsOwnPaths(line))
      continue
    }
    const own = pathsWritten(line, pathsOfLine(line, message.words), message.writes)
    const paths = own.length > 0 ? own : pathsBefore(lines, index)
    const operations = operationsOf(line, paths, message.writes)
    for (const path of paths) reports.push({ path, operations, readOnly: message.writes })
  }
  return reports
}

/** `cannot copy 'A' to 'B': Read-only file system`: what was refused is B; A was only read. */
function pathsWritten(line: string, paths: string[], writes: boolean): string[] {
  return writes && paths.length === 2 && /\bcopy(?:ing)?\s.*['"’]\s+to\s+['"‘]/.test(line) ? paths.slice(1) : paths
}

function gitsOwnPaths(line: string): ReportedPath[] {
  if (line.length > LONGEST_LINE) return []
  return GITS_OWN.flatMap(({ words, path, operation }) => {
    const match = words.exec(line)
    // Git looked before it tried: no observer saw a write.
    return match === null ? [] : [{ path: path(match), operations: [operation], readOnly: operation === 'create' }]
  })
}

function pathsOfLine(line: string, words: RegExp): string[] {
  const quoted = quotedIn(line)
  if (quoted.length > 0) return quoted
  // `zsh:1: permission denied: /x`: some put the path last.
  const after = /^[^:]*: (\/.+)$/.exec(line.slice(line.search(words)))?.[1]
  if (after !== undefined) return [after]
  const before = line.slice(0, line.search(words)).replace(/\s*[([]?(?:EACCES|EPERM|EROFS)?[\s:,([-]*$/, '')
  // `prog: 1: cannot create /x`, `tar: /x: Cannot open`: the last part that is more than a complaint.
  const parts = before.split(/: +/)
  for (let at = parts.length - 1; at >= 1 || (at === 0 && parts.length === 1); at--) {
    const path = pathOfPart(parts[at] as string)
    if (path !== undefined) return [path]
  }
  return []
}

function pathOfPart(part: string): string | undefined {
  const bare = part.trim()
  const complaint = bare.replace(VERB_PHRASE, '').replace(CALL, '')
  const absolute = /(?:^|\s)((?:\.{0,2}\/|~\/).*)$/.exec(complaint)?.[1]
  if (absolute !== undefined) return absolute
  if (complaint !== bare) return complaint === '' ? undefined : complaint
  // Without a verb only a single word can be a path: `cat: notes.txt: Permission denied`.
  return bare === '' || /\s/.test(bare) || /^(?:line|error|fatal|warning|\d+)$/i.test(bare) ? undefined : bare
}

function pathsBefore(lines: readonly string[], index: number): string[] {
  for (let at = index - 1; at >= 0 && at >= index - LINES_BACK; at--) {
    const quoted = quotedIn(lines[at] as string).filter(path => path.startsWith('/'))
    if (quoted.length > 0) return quoted
  }
  return []
}

function quotedIn(line: string): string[] {
  return [...line.slice(0, LONGEST_LINE).matchAll(QUOTED)].flatMap(([, single, double, curly, backtick]) => {
    const path = single?.replaceAll('\'\\\'\'', '\'') ?? double ?? curly ?? backtick
    // A quoted word such as a command or an option is no path.
    return path === undefined || path.startsWith('-') ? [] : [path]
  })
}

function operationsOf(line: string, paths: readonly string[], writes: boolean): readonly FileAccess[] {
  // The path's own words say nothing about what was tried.
  const words = paths.reduce((rest, path) => rest.replaceAll(path, ''), line)
  const program = (/^([^:\s]+):/.exec(line)?.[1] ?? '').split('/').pop() as string
  const named = OPERATIONS.find(row => row.words.test(words))?.operations
  if (writes) return named === undefined || named.includes('read') || named.includes('execute') ? ['write', 'create', 'remove'] : named
  if (named !== undefined) return named
  if (program === OURS) return ['read', 'execute']
  if (READERS.test(program)) return ['read']
  return SHELLS.test(program) ? ['write', 'create', 'execute'] : ['read', 'execute', 'write', 'create']
}
