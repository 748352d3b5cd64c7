// Scripts that need no shell: one command whose words mean themselves. Running it directly does what the shell would have done, and
// saves the shell's start, as make(1) does. Pure.

/** Words of these characters mean themselves to every shell of the family; so do blanks between them. */
const PLAIN_SCRIPT = /^[ \t]*[A-Za-z0-9_@%+=:,./ \t-]+\n?$/

/** What a shell does itself. `true` and `false` are not here: the programs of that name do the same, and where there are none the shell is asked. */
const SHELL_WORDS: ReadonlySet<string> = new Set((
  '. : alias bg bind break builtin caller case cd command compgen complete compopt continue coproc declare dirs disown do done echo elif else enable '
  + 'esac eval exec exit export fc fg fi for function getopts hash help history if in jobs kill let local logout mapfile popd printf pushd pwd read '
  + 'readarray readonly return select set shift shopt source suspend test then time times trap type typeset ulimit umask unalias unset until wait while'
).split(' '))

/** With one of these a shell runs more than the script says, or understands it in another way. */
const SHELL_VARIABLES = /^(?:BASH_ENV|ENV|BASH_FUNC_.*|SHELLOPTS|BASHOPTS|POSIXLY_CORRECT|BASH_COMPAT|BASH_XTRACEFD)$/

/**
 * The words of `script`, where they are all that a shell would run.
 *
 * A name with a slash is left to the shell: a script without an interpreter line is the shell's own to carry out.
 *
 * @param variables  names of the command's environment
 */
export function plainCommand(script: string, variables: Iterable<string>): readonly string[] | undefined {
  if (!PLAIN_SCRIPT.test(script)) return undefined
  const words = script.trim().split(/[ \t]+/)
  const [program] = words as [string]
  if (!/^[A-Za-z0-9_][A-Za-z0-9_+.-]*$/.test(program) || SHELL_WORDS.has(program)) return undefined
  for (const name of variables) if (SHELL_VARIABLES.test(name)) return undefined
  return words
}
