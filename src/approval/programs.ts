// What is known of programs by their names: shells, programs that run others, and what a name may lead to. Pure tables.
import { posix } from 'node:path'

/** Programs in these folders are what their names say, as far as the host's owner sees to it. */
const SYSTEM_FOLDERS: ReadonlySet<string> = new Set(['/bin', '/sbin', '/usr/bin', '/usr/sbin', '/usr/local/bin', '/opt/homebrew/bin', '/run/current-system/sw/bin'])

/** The name of a program that is given bare or below a system folder; undefined for any other path, which may hold anything. */
export function trustedName(program: string): string | undefined {
  if (!program.includes('/')) return program
  return SYSTEM_FOLDERS.has(posix.dirname(program)) ? posix.basename(program) : undefined
}

/** `dialect`: what its scripts are read as. Undefined: they are not read for what may run, but for what may not. */
export const SHELLS: Readonly<Record<string, { readonly dialect: 'bash' | 'zsh' | undefined }>> = {
  bash: { dialect: 'bash' },
  sh:   { dialect: 'bash' },
  zsh:  { dialect: 'zsh' },
  ash:  { dialect: undefined },
  dash: { dialect: undefined },
  ksh:  { dialect: undefined },
  mksh: { dialect: undefined },
  fish: { dialect: undefined },
  rbash: { dialect: undefined },
}

/**
 * Programs that run the command in their arguments. `values`: options that take the next word. `skip`: words between the options and
 * the command. An option that is in neither list makes it unknown where the command begins, and then it may begin at each word.
 * `scripts`: it may take a shell's script as one word.
 */
export const WRAPPERS: Readonly<Record<string, { readonly values: readonly string[]; readonly flags: readonly string[]; readonly skip?: number; readonly assignments?: true; readonly scripts?: true }>> = {
  sudo:    { values: ['-u', '-g', '-h', '-p', '-C', '-D', '-R', '-T', '-r', '-t', '-U', '--user', '--group', '--host', '--prompt', '--chdir'], flags: ['-n', '-E', '-H', '-S', '-A', '-b', '-k', '-K', '-P', '-i', '-s', '--preserve-env', '--non-interactive', '--login', '--shell'], assignments: true },
  doas:    { values: ['-u', '-C'], flags: ['-n', '-s', '-L'] },
  env:     { values: ['-u', '--unset', '-C', '--chdir', '-S', '--split-string'], flags: ['-i', '-', '-0', '-v', '--ignore-environment'], assignments: true },
  nohup:   { values: [], flags: [] },
  setsid:  { values: [], flags: ['-c', '-f', '-w', '--ctty', '--fork', '--wait'] },
  nice:    { values: ['-n', '--adjustment'], flags: [] },
  ionice:  { values: ['-c', '-n', '--class', '--classdata'], flags: ['-t', '--ignore'] },
  time:    { values: ['-f', '-o', '--format', '--output'], flags: ['-p', '-v', '-a', '--verbose', '--append', '--portability'] },
  timeout: { values: ['-k', '-s', '--kill-after', '--signal'], flags: ['-v', '--foreground', '--preserve-status', '--verbose'], skip: 1 },
  stdbuf:  { values: ['-i', '-o', '-e', '--input', '--output', '--error'], flags: [] },
  chroot:  { values: [], flags: [], skip: 1 },
  command: { values: [], flags: ['-p', '-v', '-V'] },
  builtin: { values: [], flags: [] },
  exec:    { values: ['-a'], flags: ['-c', '-l', '-cl', '-lc'] },
  eval:    { values: [], flags: [] },
  noglob:  { values: [], flags: [] },
  nocorrect: { values: [], flags: [] },
  repeat:  { values: [], flags: [], skip: 1 },
  '-':     { values: [], flags: [] },
  xargs:   { values: ['-I', '-n', '-P', '-L', '-s', '-a', '-d', '-E', '--max-args', '--max-procs', '--max-lines', '--arg-file', '--delimiter'], flags: ['-0', '-r', '-t', '-p', '-x', '--null', '--no-run-if-empty', '--verbose'] },
  su:      { values: [], flags: [], skip: 1, scripts: true },
  runuser: { values: ['-u', '-g', '-G', '--user', '--group'], flags: [], scripts: true },
  flock:   { values: ['-w', '-E', '--timeout', '--wait', '--conflict-exit-code'], flags: ['-s', '-x', '-e', '-n', '-u', '-o', '-F'], skip: 1, scripts: true },
  script:  { values: [], flags: [], skip: 1, scripts: true },
  watch:   { values: ['-n', '--interval'], flags: ['-b', '-c', '-d', '-e', '-g', '-p', '-t', '-x'], scripts: true },
  parallel: { values: ['-j', '--jobs'], flags: [], scripts: true },
  unshare: { values: [], flags: [] },
  nsenter: { values: [], flags: [] },
  setarch: { values: [], flags: [], skip: 1 },
  taskset: { values: [], flags: [], skip: 1 },
  chrt:    { values: [], flags: [], skip: 1 },
  strace:  { values: ['-e', '-o', '-s', '-u'], flags: ['-f', '-ff', '-q', '-v', '-y', '-tt', '-c'] },
  ltrace:  { values: [], flags: [] },
  fakeroot: { values: [], flags: [] },
  pkexec:  { values: ['--user'], flags: [] },
  'systemd-run': { values: ['-p', '-u', '--property', '--unit'], flags: [] },
  busybox: { values: [], flags: [] },
  toybox:  { values: [], flags: [] },
}
