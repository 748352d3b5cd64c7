// Arguments → the one string that Windows gives a program, such that the program reads the same arguments from it. Pure.
// Two readers, two rules: a program's C library (CommandLineToArgvW), and before it, for batch files, cmd.exe. Never run on Windows.
import { SandboxError } from '../../errors.js'
import type { FoundProgram } from './find-program.js'

/** Of CreateProcess, with its NUL. */
const LONGEST_COMMAND_LINE = 32_767
/** Of cmd.exe. */
const LONGEST_BATCH_LINE = 8191

/** What CreateProcess gets. */
export interface WindowsCommand {
  /** `lpApplicationName`: never left to be guessed from the command line. */
  readonly application: string
  readonly commandLine: string
}

/**
 * How `program` is started with `args`.
 *
 * @param commandInterpreter  absolute path of cmd.exe: the system's own, never one that PATH or COMSPEC names
 * @throws SandboxError `argument_invalid` (an argument that a batch file cannot be given unchanged), `arguments_too_large`,
 *         `option_invalid` (a file that Windows cannot start)
 */
export function windowsCommand(program: FoundProgram, args: readonly string[], commandInterpreter: string): WindowsCommand {
  args.forEach((argument, index) => {
    if (argument.includes('\0')) throw new SandboxError('argument_invalid', { field: `argv[${index + 1}]`, value: argument })
  })
  switch (program.kind) {
    case 'program': return { application: program.path, commandLine: withinLength([program.path, ...args].map(quoteArgument).join(' '), LONGEST_COMMAND_LINE) }
    case 'batch':   return { application: commandInterpreter, commandLine: withinLength(batchLine(program.path, args), LONGEST_BATCH_LINE) }
    case 'other':   throw new SandboxError('option_invalid', { field: 'argv[0]', value: program.path }, { detail: 'Windows starts no file of this kind by itself', remedy: 'Name the program that carries it out, such as node or python, and give it the file.' })
    default:        return program.kind satisfies never
  }
}

/**
 * One argument as CommandLineToArgvW and the C library of Microsoft read it: backslashes count only before a quote, where each stands
 * twice, and a quote is `\"`.
 */
export function quoteArgument(argument: string): string {
  if (argument !== '' && !/[\s"]/.test(argument)) return argument
  return `"${argument.replace(/(\\*)"/g, '$1$1\\"').replace(/\\+$/, '$&$&')}"`
}

/**
 * A batch file's line for cmd.exe, which reads it before the file does (CVE-2024-24576). Extensions on, since the escape of `%` needs
 * them; delayed expansion and AutoRun off. With /s semantics the outermost quotes are taken off and the rest is read as it stands.
 */
function batchLine(path: string, args: readonly string[]): string {
  if (/["%\r\n]/.test(path) || path.endsWith('\\')) throw new SandboxError('argument_invalid', { field: 'argv[0]', value: path }, { detail: 'cmd.exe cannot be given this name', remedy: 'Rename the file.' })
  return `cmd.exe /e:ON /v:OFF /d /s /c ""${path}"${args.map((argument, index) => ` ${quoteBatchArgument(argument, index)}`).join('')}"`
}

/** What cmd.exe takes as it is, outside of quotes. Everything else of ASCII is quoted, known to matter or not. */
const BATCH_PLAIN = /^[A-Za-z0-9#$*+\-./:?@\\_\u00a0-\uffff]+$/

/**
 * One argument that cmd.exe passes on unchanged to the batch file, and the batch file as `%1` to a program of Microsoft's C library.
 *
 * A quote is doubled: for cmd.exe it closes and opens, so what follows stays inside; for the C library it is one. `%` becomes
 * `%%cd:~,%`: an empty piece of a variable that is always there, so that no `%NAME%` is left to be expanded.
 */
function quoteBatchArgument(argument: string, index: number): string {
  if (/[\r\n]/.test(argument)) {
    throw new SandboxError('argument_invalid', { field: `argv[${index + 1}]`, value: argument }, { detail: 'a batch file cannot be given a line break', remedy: 'Run the program that the batch file starts instead, or pass it in a file.' })
  }
  const escaped = argument.replace(/(\\*)"/g, '$1$1""').replaceAll('%', '%%cd:~,%')
  // One that ends with a backslash would end the quotes that a batch file puts around it ("%~1").
  if (argument !== '' && BATCH_PLAIN.test(argument) && !argument.endsWith('\\')) return escaped
  return `"${escaped.replace(/\\+$/, '$&$&')}"`
}

function withinLength(commandLine: string, most: number): string {
  if (commandLine.length < most) return commandLine
  throw new SandboxError('arguments_too_large', { field: 'argv', value: `${commandLine.length} characters` }, { detail: `Windows takes ${most - 1}` })
}
