// Which rule would let a command run unasked, and whether it may be proposed. Pure.
import type { ScriptCommand } from './shell-script.js'

/**
 * Prefixes that would allow everything: bare interpreters, shells and wrappers, and those with the option after which a program's text
 * comes. Longer ones may be proposed: `python3 manage.py` is one program.
 */
const TOO_WIDE: readonly (readonly [programs: readonly string[], options: readonly string[]])[] = [
  [['python', 'python2', 'python3', 'py', 'pypy', 'pypy3'],          ['-', '-c', '-m']],
  [['bash', 'sh', 'zsh', 'dash', 'ash', 'ksh', 'mksh', 'fish'],      ['-c', '-lc', '-l', '-i', '-s']],
  [['pwsh', 'powershell', 'cmd'],                                    ['-command', '-c', '-encodedcommand', '-file', '/c', '/k']],
  [['node', 'nodejs', 'bun', 'deno', 'tsx', 'ts-node'],              ['-e', '--eval', '-p', '--print', 'eval', 'run', 'x', '-']],
  [['perl', 'ruby', 'lua', 'luajit', 'php', 'osascript', 'awk', 'gawk', 'mawk', 'tclsh', 'Rscript', 'julia'], ['-e', '-r', '-E', '-']],
  [['git', 'hg', 'jj', 'docker', 'podman', 'kubectl', 'ssh', 'make'], []],
  [['npx', 'bunx', 'pnpx', 'uvx', 'pipx', 'uv', 'npm', 'pnpm', 'yarn'], ['run', 'exec', 'x', 'dlx']],
  [['env', 'sudo', 'doas', 'su', 'nohup', 'setsid', 'nice', 'ionice', 'time', 'timeout', 'stdbuf', 'chroot', 'xargs', 'command', 'builtin', 'exec', 'eval', 'source', '.', 'busybox', 'toybox', 'find', 'parallel'], ['--', '-S']],
]

const LONGEST_WORD = 4096
const MOST_WORDS = 100

/** Whether a rule with this prefix would let nearly anything run. */
function isTooWide(prefix: readonly string[]): boolean {
  const [program, option, ...more] = prefix
  if (program === undefined) return true
  const name = (program.split(/[\\/]/).at(-1) as string).replace(/\.exe$/i, '').replace(/(?<=^(?:python|pypy|lua|perl|ruby|php|node))[\d.]+$/, '')
  return TOO_WIDE.some(([programs, options]) => programs.includes(name) && (option === undefined || (more.length === 0 && options.includes(option.toLowerCase())) || (more.length === 0 && options.includes(option))))
}

/**
 * The prefix that may be proposed for `command`: the one that the asker suggests, where it is the beginning of the command, else all of
 * its words. Undefined where that would be too wide, or where words are not known as they will be.
 */
export function proposeAmendment(command: ScriptCommand, suggested?: readonly string[]): readonly string[] | undefined {
  const words = command.map(({ text }) => text)
  const isBeginning = suggested !== undefined && suggested.length > 0 && suggested.length <= words.length && suggested.every((word, index) => word === words[index])
  const prefix = isBeginning && !isTooWide(suggested) ? suggested : words
  // Rules are for words that a person can read in one line.
  if (!command.slice(0, prefix.length).every(({ fixed }) => fixed) || prefix.length > MOST_WORDS || prefix.some(word => word.length > LONGEST_WORD || /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}]/u.test(word))) return undefined
  return isTooWide(prefix) ? undefined : [...prefix]
}

/** As the reference writes it. */
export const prefixRuleLine = (prefix: readonly string[]): string => `prefix_rule(pattern=[${prefix.map(quoted).join(', ')}], decision="allow")`

/** JSON's strings are strings of the rules' language too, save that `\/` does not occur and surrogates are not escaped. */
export const quoted = (text: string): string => JSON.stringify(text)
