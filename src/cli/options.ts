// Every verb and option of the command line, one row each. The parser, the help and docs/cli.md are made from these tables.

export const VERBS = {
  run:     { usage: 'run [options] -- COMMAND…',                    help: 'run a command in a sandbox of this folder (the verb may be left out)' },
  sandbox: { usage: 'sandbox [linux|macos|windows] [options] [--] COMMAND…', help: 'the same with the spelling and the read-only default of `codex sandbox`' },
  explain: { usage: 'explain [options] PATH|HOST:PORT|@NAME',       help: 'say whether an access is allowed, by which rule, and how to allow it' },
  learn:   { usage: 'learn [options] -- COMMAND…',                  help: 'run a command again and again, and print the smallest policy that it needs' },
  execpolicy: { usage: 'execpolicy check [--pretty] --rules FILE… [--] COMMAND…', help: 'print which command rules a command meets, and what they decide' },
  'debug-config': { usage: 'debug-config [options] [--json]',       help: 'say what config.toml and the requirements come to, and where each value is from' },
  doctor:  { usage: 'doctor [--json] [--escape]',                   help: 'say what this machine can enforce, and what to do about the rest' },
  setup:   { usage: 'setup linux [--uninstall] [--force] [--json]',  help: 'as root: let AppArmor (Ubuntu) permit the launcher its namespaces' },
  'app-server': { usage: 'app-server [--listen URL] | app-server generate-json-schema|generate-ts --out DIR', help: 'serve commands to an agent runtime: JSON-RPC, a line a message' },
  windows: { usage: 'windows setup --mode MODE [--root DIR]… | windows status | windows uninstall', help: 'set up what the sandbox of Windows needs, show it, or take it away again' },
  sessions: { usage: 'sessions [--listen URL] [--kill ID] [--json]', help: 'list the background terminals of a running service, or end one' },
} as const satisfies Record<string, { usage: string; help: string }>
export type Verb = keyof typeof VERBS

export const GROUPS = {
  policy:  'What is allowed',
  command: 'The command',
  output:  'What is printed',
  other:   'Other',
} as const
export type OptionGroup = keyof typeof GROUPS

export interface OptionRow {
  /** Where its value is kept in `Options`; also its long name unless `long` says otherwise. */
  readonly key: string
  readonly long?: string
  readonly short?: string
  readonly alias?: string
  /** How the help calls its value; without one it is a switch. */
  readonly value?: string
  /** May be given several times; all values are kept, in order. */
  readonly repeat?: true
  /** Its value may be left out, before another option and at the end. */
  readonly bare?: true
  readonly for: readonly Verb[]
  readonly group: OptionGroup
  readonly help: string
}

const COMMANDS = ['run', 'sandbox'] as const
const RUNNING = ['run', 'sandbox', 'learn'] as const
const POLICIES = ['run', 'sandbox', 'learn', 'explain'] as const
/** Those that may read config.toml. */
const CONFIGURED = ['run', 'sandbox', 'learn', 'explain', 'debug-config'] as const
const OTHERS = ['learn', 'execpolicy', 'explain', 'debug-config', 'doctor', 'setup', 'app-server', 'windows', 'sessions'] as const
const ALL = ['run', 'sandbox', 'learn', 'execpolicy', 'explain', 'debug-config', 'doctor', 'setup', 'app-server', 'windows', 'sessions'] as const

export const OPTIONS = [
  { key: 'sandbox',       short: 's', value: 'MODE', for: POLICIES, group: 'policy', help: 'read-only, workspace-write or danger-full-access' },
  { key: 'fullAuto',      long: 'full-auto', for: ['sandbox'], group: 'policy', help: 'the same as -s workspace-write' },
  { key: 'cd',            short: 'C', value: 'DIR', for: CONFIGURED, group: 'policy', help: 'the workspace, and where the command starts (default: here)' },
  { key: 'write',         alias: 'add-dir', value: 'DIR', repeat: true, for: RUNNING, group: 'policy', help: 'allow writes in DIR too' },
  { key: 'write',         long: 'add-dir', value: 'DIR', repeat: true, for: ['explain'], group: 'policy', help: 'allow writes in DIR too' },
  { key: 'asWrite',       long: 'write', for: ['explain'], group: 'other', help: 'judge writing to PATH, not reading it' },
  { key: 'read',          value: 'PATH', repeat: true, for: POLICIES, group: 'policy', help: 'allow reading PATH, or keep it read-only inside a writable folder' },
  { key: 'deny',          value: 'PATH', repeat: true, for: POLICIES, group: 'policy', help: 'deny PATH (a file, a folder or a glob) for reading and writing' },
  { key: 'protect',       value: 'NAME', repeat: true, for: POLICIES, group: 'policy', help: 'keep NAME (or a relative path) read-only in writable folders, like .git' },
  { key: 'agentFiles',    long: 'agent-files', value: 'protected|open', for: POLICIES, group: 'policy', help: 'control files of agents and editors (.claude, .vscode, .husky, …)' },
  { key: 'git',           value: 'protected|commits', for: POLICIES, group: 'policy', help: 'protected: .git is read-only (default); commits: writable except hooks and config' },
  { key: 'network',       value: 'off|proxied|open', for: POLICIES, group: 'policy', help: 'off: a private loopback only (default); proxied: what --allow-domain names; open: all' },
  { key: 'allowDomain',   long: 'allow-domain', value: 'HOST[:PORT]', repeat: true, for: POLICIES, group: 'policy', help: 'let HOST (*.HOST: below it; @npm and others: see explain @npm) be reached, by proxy' },
  { key: 'denyDomain',    long: 'deny-domain', value: 'HOST[:PORT]', repeat: true, for: POLICIES, group: 'policy', help: 'deny HOST, whatever --allow-domain says' },
  { key: 'allowUnixSocket', long: 'allow-unix-socket', value: 'PATH', repeat: true, for: POLICIES, group: 'policy', help: 'let the unix socket PATH of this machine be connected to' },
  { key: 'allowLocalPort', long: 'allow-local-port', value: 'PORT', repeat: true, for: POLICIES, group: 'policy', help: 'lead PORT of the private loopback to that of this machine' },
  { key: 'exposePort',    long: 'expose-port', value: 'PORT[:HOSTPORT]', repeat: true, for: COMMANDS, group: 'command', help: 'lead 127.0.0.1:HOSTPORT of this machine to PORT of the private loopback' },
  { key: 'caches',        value: 'private|off', for: POLICIES, group: 'policy', help: 'private: npm, pip, Go, Cargo, Gradle write to caches of this workspace' },
  { key: 'tmp',           value: 'host|private|none', for: POLICIES, group: 'policy', help: 'private: an empty /tmp of its own; none: /tmp is read-only' },
  { key: 'device',        value: 'PATH', repeat: true, for: POLICIES, group: 'policy', help: 'add a device node of /dev' },
  { key: 'config',        short: 'c', value: 'KEY=VALUE', repeat: true, bare: true, for: CONFIGURED, group: 'policy', help: 'read config.toml, with VALUE for KEY; alone: as it is' },
  { key: 'profile',       short: 'p', value: 'NAME', for: CONFIGURED, group: 'policy', help: 'read config.toml, with its profile NAME' },
  { key: 'policy',        value: 'FILE|JSON', for: POLICIES, group: 'policy', help: 'a whole policy; the other options add to it' },
  { key: 'allowDegraded', long: 'allow-degraded', value: 'NAME', repeat: true, for: RUNNING, group: 'policy', help: 'go on where this machine cannot hold NAME (the error names it)' },
  { key: 'windowsMode',   long: 'windows-mode', value: 'MODE', for: COMMANDS, group: 'policy', help: 'on Windows: elevated (default, holds more) or unelevated' },
  { key: 'rung',          value: 'namespaces|supervised', for: RUNNING, group: 'policy', help: 'hold it this way (default: the strongest that this machine has)' },
  { key: 'backend',       value: 'NAME', for: RUNNING, group: 'policy', help: 'on Linux: linux-native (default), or linux-bwrap, inside bubblewrap' },
  { key: 'env',           value: 'NAME[=VALUE]', repeat: true, for: RUNNING, group: 'command', help: 'set a variable, or keep one that is dropped by default' },
  { key: 'timeout',       value: '30s', for: RUNNING, group: 'command', help: 'end the command after this time: ms, s, m or h (exit 124)' },
  { key: 'idleTimeout',   long: 'idle-timeout', value: '30s', for: COMMANDS, group: 'command', help: 'end the command when it has written nothing for this time (exit 124)' },
  { key: 'killGrace',     long: 'kill-grace', value: '2s', for: COMMANDS, group: 'command', help: 'from SIGTERM to SIGKILL after a time-out (default: 2s)' },
  { key: 'background',    value: 'kill|keep', for: COMMANDS, group: 'command', help: 'what the command leaves running: end it (default), or wait for its end' },
  { key: 'memory',        value: '512M', for: RUNNING, group: 'command', help: 'memory of all its processes together: bytes, K, M or G' },
  { key: 'pids',          value: 'N', for: RUNNING, group: 'command', help: 'processes and threads at once' },
  { key: 'mode',          value: 'elevated|unelevated', for: ['windows'], group: 'other', help: 'setup: accounts of its own, with one consent; or your own account, which holds less' },
  { key: 'root',          value: 'DIR', repeat: true, for: ['windows'], group: 'other', help: 'setup: a workspace in which commands shall write (default: here)' },
  { key: 'json',          for: COMMANDS, group: 'output', help: 'print the result as JSON, the output inside it' },
  { key: 'json',          for: ['learn', 'debug-config', 'doctor', 'setup', 'windows', 'sessions'], group: 'output', help: 'print it as JSON' },
  { key: 'report',        value: 'FILE', for: COMMANDS, group: 'output', help: 'write the result as JSON to FILE; the output passes through' },
  { key: 'printPlan',     long: 'print-plan', for: COMMANDS, group: 'output', help: 'print what would be enforced, and run nothing' },
  { key: 'platform',      value: 'linux|macos|windows', for: COMMANDS, group: 'output', help: 'the system that --print-plan is for (default: this one)' },
  { key: 'host',          value: 'FILE', for: COMMANDS, group: 'output', help: 'the machine that --platform macos or windows is for, as JSON (default: an example)' },
  { key: 'out',           value: 'FILE', for: ['learn'], group: 'output', help: 'write the policy to FILE: JSON, or TOML where its name ends in .toml' },
  { key: 'runs',          value: 'N', for: ['learn'], group: 'command', help: 'run it at most N times (default: 8)' },
  { key: 'logDenials',    long: 'log-denials', for: COMMANDS, group: 'output', help: 'print every denial after the command, and how to allow it' },
  { key: 'rules',         short: 'r', value: 'FILE', repeat: true, for: ['execpolicy'], group: 'policy', help: 'a file of command rules; all of them together decide' },
  { key: 'resolveHostExecutables', long: 'resolve-host-executables', for: ['execpolicy'], group: 'policy', help: 'take the path of a program for its name, as far as host_executable allows' },
  { key: 'pretty',        for: ['execpolicy'], group: 'output', help: 'print JSON on several lines' },
  { key: 'escape',        for: ['doctor'], group: 'other', help: 'try to escape in every known way, in a fresh folder, and print a score' },
  { key: 'uninstall',     for: ['setup'], group: 'other', help: 'take away what set-up has installed' },
  { key: 'force',         for: ['setup'], group: 'other', help: 'install it also where this machine does not need it' },
  { key: 'config',        short: 'c', value: 'KEY=VALUE', repeat: true, for: ['app-server'], group: 'policy', help: 'a value of config.toml, over those of its files' },
  { key: 'profile',       short: 'p', value: 'NAME', for: ['app-server'], group: 'policy', help: 'the profile of config.toml' },
  { key: 'listen',        value: 'URL', for: ['app-server'], group: 'other', help: 'stdio:// (default) or unix://PATH; unix:// alone is the usual place' },
  { key: 'listen',        value: 'URL', for: ['sessions'], group: 'other', help: 'where the service listens: unix://PATH, or unix:// for the usual place (default)' },
  { key: 'outFolder',     long: 'out', value: 'DIR', for: ['app-server'], group: 'output', help: 'where generate-json-schema and generate-ts write' },
  { key: 'kill',          value: 'ID', for: ['sessions'], group: 'other', help: 'end this one, and all that it started' },
  { key: 'quiet',         short: 'q', for: COMMANDS, group: 'output', help: 'print nothing of our own after the command' },
  { key: 'quiet',         short: 'q', for: ['learn'], group: 'output', help: 'print the policy alone: no runs, and no output of the command' },
  { key: 'verbose',       short: 'v', for: COMMANDS, group: 'output', help: 'print more: what is enforced, and stacks of unexpected errors' },
  { key: 'verbose',       short: 'v', for: OTHERS, group: 'output', help: 'print stacks of unexpected errors' },
  { key: 'help',          short: 'h', for: ALL, group: 'other', help: 'print this' },
  { key: 'version',       short: 'V', for: ALL, group: 'other', help: 'print the version' },
] as const satisfies readonly OptionRow[]

type Row = (typeof OPTIONS)[number]
type KeysOf<R> = R extends { readonly key: infer K extends string } ? K : never
type RepeatKey = KeysOf<Extract<Row, { readonly repeat: true }>>
type SwitchKey = KeysOf<Exclude<Row, { readonly value: string }>>
type ValueKey = Exclude<KeysOf<Row>, RepeatKey | SwitchKey>

/** What was given: switches that are on, single values, and lists. */
export type Options =
  & { [K in SwitchKey]?: true }
  & { [K in ValueKey]?: string }
  & { [K in RepeatKey]?: readonly string[] }

/** The words that may follow `sandbox`, and the platform that each means. */
export const SYSTEM_WORDS = {
  linux: 'linux', landlock: 'linux', macos: 'macos', seatbelt: 'macos', windows: 'windows',
} as const satisfies Record<string, 'linux' | 'macos' | 'windows'>

export const longName = (row: OptionRow): string => row.long ?? row.key

/** An option row as it is written: `-C, --cd DIR`. */
export function spell(row: OptionRow): string {
  const names = [row.short === undefined ? undefined : `-${row.short}`, `--${longName(row)}`, row.alias === undefined ? undefined : `--${row.alias}`]
  const written = names.filter(name => name !== undefined).join(', ')
  return row.value === undefined ? written : `${written} ${row.value}`
}
