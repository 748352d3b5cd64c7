// Every failure that a caller can meet, one row a code. The command line and docs/errors.md are printed from this table.

export const ERRORS = {
  path_not_absolute:     { message: 'is not an absolute path',                        remedy: 'Give it from / or a drive letter on.' },
  path_invalid:          { message: 'cannot be used as a path',                       remedy: 'Give a path without "..", NUL or control characters.' },
  path_too_broad:        { message: 'is too broad to be writable',                    remedy: 'Name a folder inside it, or say so by name: allowBroadRoots.' },
  path_not_found:        { message: 'does not exist',                                 remedy: 'Create it first, or correct the path.' },
  path_not_directory:    { message: 'is not a directory',                             remedy: 'Name a directory.' },
  path_symlink_loop:     { message: 'is a loop of symbolic links',                    remedy: 'Correct the link.' },
  path_into_protected:   { message: 'leads through a symbolic link into a protected place', remedy: 'Name the real path, if that is what should be writable.' },
  policy_unknown_key:    { message: 'is not a known key',                             remedy: 'Remove it or correct its spelling.' },
  policy_invalid_value:  { message: 'is not valid here',                              remedy: 'See the schema in docs/policy.schema.json.' },
  policy_contradiction:  { message: 'contradicts another field',                      remedy: 'Keep one of the two.' },
  policy_too_large:      { message: 'has more rules than can be enforced',            remedy: 'Name common parents instead of single paths.' },
  glob_invalid:          { message: 'is not a glob that can be honoured',             remedy: 'Use * ? [..] {a,b} and **, below a fixed folder.' },
  glob_too_many_matches: { message: 'matches more files than the bound allows',       remedy: 'Deny a folder instead, or narrow the pattern.' },
  self_not_protectable:  { message: 'must stay read-only but cannot be protected',    remedy: 'Do not make a folder writable that is part of it.' },
  rule_not_enforceable:  { message: 'cannot be enforced on this host',                remedy: 'Drop the rule, or name it in allowDegraded.' },
  layer_missing:         { message: 'is not available on this host',                  remedy: 'Run `codex-sandbox doctor`: it says why and what to do.' },
  platform_unsupported:  { message: 'is not supported',                               remedy: 'Use Linux 5.19 or newer.' },
  launcher_not_found:    { message: 'was not found',                                  remedy: 'Run `npm run build`, or give launcherPath.' },
  launcher_not_known:    { message: 'is not the launcher that this package was built with', remedy: 'Copy it from the package again.' },
  set_up_failed:         { message: 'failed before the command ran',                  remedy: 'Run `codex-sandbox doctor`: it tries each layer alone.' },
  sandbox_closed:        { message: 'is closed',                                      remedy: 'Create a new sandbox.' },
  launcher_lost:         { message: 'ended unexpectedly; all its commands were ended', remedy: 'Create a new sandbox.' },
  too_many_sessions:     { message: 'are the most that one sandbox may have',         remedy: 'End one of them: sandbox.sessions.list() and .kill(id).' },
  session_not_found:     { message: 'is no session of this sandbox',                  remedy: 'See sandbox.sessions.list().' },
  session_ended:         { message: 'takes no more input',                            remedy: 'Start a new one.' },
  output_file:           { message: 'cannot be written',                              remedy: 'Name a file in a folder that exists, with no symbolic link on the way.' },
  config_invalid:        { message: 'is not valid',                                   remedy: 'Correct it there; docs/config.md lists the keys.' },
  config_unreadable:     { message: 'cannot be read as configuration',                remedy: 'Correct the file, or remove it.' },
  profile_not_found:     { message: 'is no profile of the configuration',             remedy: 'Name one of [profiles.NAME] in config.toml.' },
  requirement_conflict:  { message: 'is not allowed by the requirements of this machine', remedy: 'Ask for what they allow; `codex-sandbox debug-config` prints them.' },
  option_invalid:        { message: 'is not valid',                                   remedy: 'Correct it, or leave it out.' },
  option_missing:        { message: 'is missing',                                     remedy: 'Give it.' },
  argument_invalid:      { message: 'cannot be passed to a program',                  remedy: 'Give a non-empty array of strings without NUL.' },
  arguments_too_large:   { message: 'is larger than the system accepts',              remedy: 'Pass the data through a file or standard input.' },
  denied:                { message: 'is denied by the policy',                        remedy: 'The denial names the smallest change that permits it.' },
  permission_refused:    { message: 'cannot be granted',                              remedy: 'Change the policy, and create a new sandbox.' },
  files_lost:            { message: 'ended before it answered',                       remedy: 'Look whether it was carried out, and try again.' },
  port_taken:            { message: 'is taken on this host',                          remedy: 'Choose another port of the host: hostPort, or 0 for any that is free.' },
  socket_refused:        { message: 'cannot be the socket of a service',              remedy: 'Name a path in a folder that only you may write, such as $XDG_RUNTIME_DIR.' },
  service_not_reached:   { message: 'is no service that answers',                     remedy: 'Start one: `codex-sandbox app-server --listen unix://`.' },
  unknown_system_call:   { message: 'is not a system call of this architecture',      remedy: 'Correct its name, or leave it out for this architecture.' },
  duplicate_system_call: { message: 'has more than one filter rule',                  remedy: 'Keep one rule for each system call.' },
  filter_too_large:      { message: 'makes a filter of more than 4096 instructions',  remedy: 'Use fewer rules or conditions.' },
  rules_invalid:         { message: 'is not understood',                              remedy: 'Correct it: until then nothing runs unasked.' },
  command_forbidden:     { message: 'may not run',                                    remedy: 'Run another command, or change the rules.' },
  approval_cancelled:    { message: 'was cancelled',                                  remedy: 'Do not run it, nor what would come after it.' },
  approval_declined:     { message: 'was not approved',                               remedy: 'Do not run it, or ask again with a reason.' },
  profile_text_invalid:  { message: 'cannot be written in a sandbox profile',         remedy: 'Give text without NUL and symbols of the profile language.' },
  descriptor_invalid:    { message: 'is not understood as a security descriptor',     remedy: 'Write it in SDDL, with SIDs in full.' },
  installation_failed:   { message: 'failed',                                         remedy: 'Mend it, and run it again: what is done already is not done twice.' },
  root_required:         { message: 'has to be run by root',                           remedy: 'Run it with sudo.' },
  windows_setup_required: { message: 'is not set up on this machine',                 remedy: 'Run `codex-sandbox windows setup`.' },
  windows_setup_busy:    { message: 'is being changed by somebody else',              remedy: 'Wait until that has ended, and try again.' },
  windows_setup_refused: { message: 'cannot be made on this machine; nothing was changed', remedy: 'Use the other mode, or ask who manages this machine.' },
  profile_invalid:       { message: 'is not understood as a sandbox profile',         remedy: 'Correct the profile at that line and column.' },
} as const satisfies Record<string, { message: string; remedy: string }>

export type ErrorCode = keyof typeof ERRORS

/** A policy error points at a field, a set-up error at a step: never both. `value`: undefined where the field itself is wrong or missing. */
export type ErrorPlace =
  | { readonly field: string; readonly value: unknown; readonly step?: never }
  | { readonly step: string; readonly errno: string; readonly path?: string; readonly field?: never }

export interface SandboxErrorOptions extends ErrorOptions {
  /** Replaces the table's remedy where a more exact one is known. */
  remedy?: string
  /** Added after the message: why. */
  detail?: string
  /** Where it stands in a text that somebody wrote. */
  source?: TextPlace
}

/** A place in a file, or in what else has lines: `file` is then its name, such as `-c`. Lines and columns from 1, columns in UTF-16 units. */
export interface TextPlace {
  readonly file: string
  readonly line: number
  readonly column: number
}

/** The one error class of the package. `code` is for programs, `field` or `step` for tools, `remedy` for people. */
export class SandboxError extends Error {
  override readonly name = 'SandboxError'
  readonly code: ErrorCode
  readonly field: string | undefined
  readonly step: string | undefined
  readonly errno: string | undefined
  readonly path: string | undefined
  readonly remedy: string
  /** Where the wrong value stands: `config_invalid`, `config_unreadable`, `rules_invalid`. */
  readonly source: TextPlace | undefined
  readonly #place: ErrorPlace
  readonly #options: SandboxErrorOptions

  constructor(code: ErrorCode, place: ErrorPlace, options: SandboxErrorOptions = {}) {
    const row = ERRORS[code]
    const remedy = options.remedy ?? row.remedy
    const detail = options.detail === undefined ? '' : `: ${options.detail}`
    super(`${describePlace(place)} ${row.message}${options.source === undefined ? '' : ` (${describeSource(options.source)})`}${detail}${detail.endsWith('?') ? '' : '.'} ${remedy}`, options)
    this.code = code
    this.field = place.field
    this.step = place.step
    this.errno = place.step === undefined ? undefined : place.errno
    this.path = place.step === undefined ? undefined : place.path
    this.remedy = remedy
    this.source = options.source
    this.#place = place
    this.#options = options
  }

  /** The same error about a field that goes by another name where it was given. */
  renamed(field: string): SandboxError {
    return this.#place.step === undefined ? new SandboxError(this.code, { field, value: this.#place.value }, this.#options) : this
  }
}

function describePlace(place: ErrorPlace): string {
  if (place.step === undefined) return place.value === undefined ? place.field : `${place.field} ${quote(place.value)}`
  return place.path === undefined ? `${place.step} (${place.errno})` : `${place.step} ${quote(place.path)} (${place.errno})`
}

/** A file name as editors and terminals take it; one that could forge a line is quoted. */
const describeSource = ({ file, line, column }: TextPlace): string => `${/[\u0000-\u001f\u007f-\u009f\u2028\u2029]/.test(file) ? JSON.stringify(file) : file}:${line}:${column}`

/** Values from outside are quoted, so that a newline in a path cannot forge a line; long ones are cut. */
function quote(value: unknown): string {
  const text = asJson(value) ?? String(value)
  return text.length > 300 ? `${text.slice(0, 300)}…` : text
}

/** Undefined for what JSON has no form for: a bigint, a circle, a function, a number that is none. */
function asJson(value: unknown): string | undefined {
  if (typeof value === 'number' && !Number.isFinite(value)) return undefined
  try {
    return JSON.stringify(value)
  } catch {
    return undefined
  }
}
