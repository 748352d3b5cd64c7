// An argument vector → what it runs, as far as words can tell: the commands of a shell's script, and those behind wrappers such as sudo. Pure.
import { programName } from './command-rules.js'
import { SHELLS, trustedName, WRAPPERS } from './programs.js'
import { readScript, type ScriptCommand, type ScriptWord } from './shell-script.js'

export interface CommandParts {
  /**
   * `plain`: `segments` is all that runs, word by word. `prefix`: one command with here-documents, of which the words are known.
   * `whole`: what it runs is not known; the one segment is the vector itself.
   */
  readonly kind: 'plain' | 'prefix' | 'whole'
  readonly segments: readonly ScriptCommand[]
  /** Every command that was seen anywhere in it, with the segment that it belongs to. What must not run is looked for here. */
  readonly found: readonly { readonly command: ScriptCommand; readonly segment: number | undefined }[]
  /** A shell in it reads the user's profile first. */
  readonly loginShell: boolean
}

/** Shells in wrappers in shells. */
const MOST_LAYERS = 6
/** All commands that are looked at; more are not approved by their words. */
const MOST_FOUND = 500

const fixedWords = (argv: readonly string[]): ScriptCommand => argv.map(text => ({ text, fixed: true, head: text }))

/** @param argv  not empty */
export function partsOf(argv: readonly string[], windows = false): CommandParts {
  const whole = fixedWords(argv)
  const shell = shellScript(whole, windows)
  const found = new Finder(windows)
  if (shell === undefined) {
    found.add(whole, 0)
    return { kind: 'plain', segments: [whole], ...found.result }
  }
  found.sawShell(shell)
  const script = shell.script === undefined ? undefined : readScript(shell.script, shell.dialect)
  const plain = shell.exact && shell.dialect !== undefined ? script?.plain : undefined
  const prefix = shell.exact && shell.dialect === 'bash' ? script?.withHereDocument : undefined
  const segments = plain ?? (prefix === undefined ? [whole] : [prefix])
  const kind = plain !== undefined ? 'plain' : prefix !== undefined ? 'prefix' : 'whole'
  if (kind === 'whole') found.add(whole, 0, false)
  if (kind !== 'whole') for (const [index, segment] of segments.entries()) found.add(segment, index)
  if (kind !== 'plain') for (const command of script?.found ?? []) found.add(command, undefined)
  return { kind, segments, ...found.result }
}

interface ShellScript {
  readonly script: string | undefined
  readonly dialect: 'bash' | 'zsh' | undefined
  /** Nothing but `-c` or `-lc` and the script. */
  readonly exact: boolean
  readonly login: boolean
}

/** Undefined where the program is no shell. */
function shellScript(command: ScriptCommand, windows: boolean): ShellScript | undefined {
  const [program, ...rest] = command
  if (program === undefined) return undefined
  const name = programName(program.text, windows).replace(/^-/, '')
  const shell = Object.hasOwn(SHELLS, name) ? SHELLS[name] : undefined
  if (shell === undefined) return undefined
  const options = rest.slice(0, lengthOfOptions(rest))
  const withScript = options.findIndex(({ text }) => /^-[A-Za-z]*c[A-Za-z]*$/.test(text))
  const script = withScript === -1 ? undefined : rest[options.length]
  const [only, text, ...more] = rest
  return {
    script: script?.fixed === true ? script.text : undefined,
    dialect: trustedName(program.text) === name ? shell.dialect : undefined,
    exact: (only?.text === '-c' || only?.text === '-lc') && text?.fixed === true && more.length === 0,
    login: program.text.startsWith('-') || options.some(option => /^-[A-Za-z]*l[A-Za-z]*$|^--login$/.test(option.text)),
  }
}

function lengthOfOptions(words: readonly ScriptWord[]): number {
  let length = 0
  while (/^[-+]/.test(words[length]?.text ?? '') && words[length]?.text !== '--' && words[length]?.text !== '-') length += /^[-+][A-Za-z]*[oO]$/.test(words[length]?.text ?? '') ? 2 : 1
  return length
}

/** Collects commands, and what is behind wrappers and shells in them. */
class Finder {
  readonly #found: { command: ScriptCommand; segment: number | undefined }[] = []
  #loginShell = false
  readonly #windows: boolean

  constructor(windows: boolean) {
    this.#windows = windows
  }

  get result(): Pick<CommandParts, 'found' | 'loginShell'> {
    return { found: this.#found, loginShell: this.#loginShell }
  }

  sawShell({ login }: ShellScript): void {
    this.#loginShell ||= login
  }

  add(command: ScriptCommand, segment: number | undefined, intoShells = true, layers = 0): void {
    if (command.length === 0 || this.#found.length >= MOST_FOUND) return
    this.#found.push({ command, segment })
    if (layers >= MOST_LAYERS) return
    const shell = intoShells ? shellScript(command, this.#windows) : undefined
    if (shell !== undefined) this.sawShell(shell)
    if (shell?.script !== undefined) for (const inner of readScript(shell.script, shell.dialect).found) this.add(inner, segment, true, layers + 1)
    for (const inner of behindWrapper(command, this.#windows)) this.add(inner, segment, true, layers + 1)
    for (const inner of behindFind(command, this.#windows)) this.add(inner, segment, true, layers + 1)
  }
}

/** The command that a wrapper runs; each that it could be, where its options are not known. */
function behindWrapper([program, ...rest]: ScriptCommand, windows: boolean): ScriptCommand[] {
  const name = program === undefined ? '' : programName(program.text, windows)
  const wrapper = Object.hasOwn(WRAPPERS, name) ? WRAPPERS[name] : undefined
  if (wrapper === undefined) return []
  if (name === 'eval') return readScript(rest.map(({ text }) => text).join(' ')).found.slice(0, MOST_FOUND)
  let at = 0
  for (; at < rest.length; at++) {
    const { text } = rest[at] as ScriptWord
    if (text === '--') {
      at++
      break
    }
    if (wrapper.values.includes(text)) at++
    else if (wrapper.flags.includes(text) || wrapper.values.some(value => text.startsWith(value.startsWith('--') ? `${value}=` : value))) continue
    else if (wrapper.assignments === true && /^[A-Za-z_][A-Za-z0-9_]*=/.test(text)) continue
    else if (text.startsWith('-') && text !== '-') return rest.slice(at + 1).map((_, index) => rest.slice(at + 1 + index))
    else break
  }
  const splits = rest.findIndex(({ text }) => text === '-S' || text === '--split-string')
  if (name === 'env' && splits !== -1) return readScript(rest.slice(splits + 1).map(({ text }) => text).join(' ')).found.slice(0, MOST_FOUND)
  const inner = rest.slice(at + (wrapper.skip ?? 0))
  return inner.length === 0 ? [] : [inner]
}

/** `find … -exec COMMAND ;` */
function behindFind(command: ScriptCommand, windows: boolean): ScriptCommand[] {
  const [program] = command
  if (program === undefined || programName(program.text, windows) !== 'find') return []
  return command.flatMap(({ text }, index) => /^-(?:exec|execdir|ok|okdir)$/.test(text) ? [command.slice(index + 1)] : []).filter(inner => inner.length > 0)
}
