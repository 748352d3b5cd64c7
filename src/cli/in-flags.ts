// Errors and remedies of the library in the words of the command line: its fields are options here.
import type { SandboxError } from '../errors.js'
import type { Options } from './options.js'

/** What remedies name of the library, and what it is called here. */
const WORDS: readonly (readonly [RegExp, string])[] = [
  [/\ballowDegraded \["([\w-]+)"\]/g, '--allow-degraded $1'],
  [/\bname it in allowDegraded\b/g, 'name it with --allow-degraded'],
  [/\ballow `([\w-]+)` to be degraded/g, 'add --allow-degraded $1'],
  [/\b(?:say so|allow it) by name: allowBroadRoots\b/g, 'name it with --write'],
  [/, or give launcherPath\b/g, ''],
  [/: launcherPath or CODEX_SANDBOX_LAUNCHER\b/g, ': CODEX_SANDBOX_LAUNCHER'],
]

export const inFlags = (text: string): string => WORDS.reduce((words, [library, flag]) => words.replace(library, flag), text)

/** The fields that an option gives, and the option. Where a policy or a configuration is read as well, the value of a list may be theirs. */
const FIELDS: readonly { readonly field: RegExp; readonly key: keyof Options; readonly flag: string; readonly shared?: true }[] = [
  { field: /^write\[\d+\]$/,       key: 'write',       flag: '--write',   shared: true },
  { field: /^read\[\d+\]$/,        key: 'read',        flag: '--read',    shared: true },
  { field: /^deny\[\d+\]$/,        key: 'deny',        flag: '--deny',    shared: true },
  { field: /^protect\[\d+\]$/,     key: 'protect',     flag: '--protect', shared: true },
  { field: /^devices\[\d+\]$/,     key: 'device',      flag: '--device',  shared: true },
  { field: /^cwd$/,                key: 'cd',          flag: '--cd' },
  { field: /^rung$/,               key: 'rung',        flag: '--rung' },
  { field: /^backend$/,            key: 'backend',     flag: '--backend' },
  { field: /^limits\.memoryBytes$/, key: 'memory',     flag: '--memory' },
  { field: /^limits\.pids$/,       key: 'pids',        flag: '--pids' },
  { field: /^tmp$/,                key: 'tmp',         flag: '--tmp' },
  { field: /^git$/,                key: 'git',         flag: '--git' },
]

/** What an error says on a terminal: about the option, where its value came by one. */
export function messageInFlags(error: SandboxError, options: Options = {}): string {
  const row = FIELDS.find(({ field, key, shared }) => error.field !== undefined && field.test(error.field) && options[key] !== undefined && (shared === undefined || areAlone(options)))
  return inFlags((row === undefined ? error : error.renamed(row.flag)).message)
}

/** No file has a part in the policy. */
const areAlone = ({ policy, config, profile }: Options): boolean => policy === undefined && config === undefined && profile === undefined

/** What a denial says on a terminal, where an option denied it: nobody there wrote a `deny[0]`. */
export const denialInFlags = (line: string, options: Options): string => options.deny === undefined || !areAlone(options) ? line
  : line.replace(/ denied: deny\[\d+\] /, ' denied: --deny ').replace(/ To allow: remove deny\[\d+\]\.$/, ' To allow: leave out that --deny.')
