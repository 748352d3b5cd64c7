// An argument vector → what it runs, as far as words can tell: the commands of a shell's script, and those behind wrappers such as sudo. Pure.
import { programName } from './command-rules.js'
import { SHELLS, trustedName, WRAPPERS } from './programs.js'
import { readScript, type Script, type ScriptCommand, type ScriptWord } from './shell-script.js'

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
  /** There is more in it than was looked at: what must not run may be there. */
  readonly unread: boolean
}

/** Shells in wrappers in shells. */
const MOST_LAYERS = 6
/** All commands that are looked at; more are not approved by their words. */
const MOST_FOUND = 500
/** Words at which the command behind a wrapper with unknown options may begin, and words that may be a shell's script. */
const MOST_CANDIDATES = 50

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
  const [first, ...others] = shell.scripts
  const script = first === undefined ? undefined : readScript(first, shell.dialect)
  found.sawShell(shell, script)
  const plain = shell.exact && shell.dialect !== undefined ? script?.plain : undefined
  const prefix = shell.exact && shell.dialect === 'bash' ? script?.withHereDocument : undefined
  const segments = plain ?? (prefix === undefined ? [whole] : [prefix])
  const kind = plain !== undefined ? 'plain' : prefix !== undefined ? 'prefix' : 'whole'
  if (kind === 'whole') found.add(whole, 0, false)
  if (kind !== 'whole') for (const [index, segment] of segments.entries()) found.add(segment, index)
  if (kind !== 'plain') for (const command of script?.found ?? []) found.add(command, undefined)
  for (const text of others) found.addScript(text, shell.dialect, undefined)
  return { kind, segments, ...found.result }
}

interface ShellScript {
  /** The words that it may be: options that are not known may take the first of them. Empty: no script was given by `-c`. */
  readonly scripts: readonly string[]
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
  const withScript = rest.findIndex(({ text }) => /^-[A-Za-z]*c[A-Za-z]*$/.test(text))
  const scripts = withScript === -1 ? [] : rest.slice(withScript + 1).filter(({ text }) => !/^[-+][A-Za-z]*$/.test(text)).map(({ text }) => text)
  const [only, text, ...more] = rest
  return {
    scripts: scripts.slice(0, MOST_CANDIDATES),
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

/** Collects commands, and what is behind wrappers and shells in them. What is too much is said to be there. */
class Finder {
  readonly #found: { command: ScriptCommand; segment: number | undefined }[] = []
  #loginShell = false
  #unread = false
  readonly #windows: boolean

  constructor(windows: boolean) {
    this.#windows = windows
  }

  get result(): Pick<CommandParts, 'found' | 'loginShell' | 'unread'> {
    return { found: this.#found, loginShell: this.#loginShell, unread: this.#unread }
  }

  sawShell({ login }: ShellScript, script: Script | undefined): void {
    this.#loginShell ||= login
    this.#unread ||= script?.unread === true
  }

  addScript(text: string, dialect: ShellScript['dialect'], segment: number | undefined, layers = 0): void {
    const script = readScript(text, dialect)
    this.#unread ||= script.unread === true
    for (const command of script.found) this.add(command, segment, true, layers)
  }

  add(command: ScriptCommand, segment: number | undefined, intoShells = true, layers = 0): void {
    if (command.length === 0) return
    if (this.#found.length >= MOST_FOUND || layers > MOST_LAYERS) {
      this.#unread = true
      return
    }
    this.#found.push({ command, segment })
    const shell = intoShells ? shellScript(command, this.#windows) : undefined
    if (shell !== undefined) this.sawShell(shell, undefined)
    for (const text of shell?.scripts ?? []) this.addScript(text, shell?.dialect, segment, layers + 1)
    const { commands, unread } = behindWrapper(command, this.#windows)
    const scripts = scriptsOfWrapper(command, this.#windows)
    this.#unread ||= unread === true || scripts.length > MOST_CANDIDATES
    for (const text of scripts.slice(0, MOST_CANDIDATES)) this.addScript(text, 'bash', segment, layers + 1)
    for (const inner of commands ?? []) this.add(inner, segment, true, layers + 1)
    const searches = behindFind(command, this.#windows)
    this.#unread ||= searches.length > MOST_CANDIDATES
    for (const inner of searches.slice(0, MOST_CANDIDATES)) this.add(inner, segment, true, layers + 1)
  }
}

interface Behind {
  /** One, or each that it could be where the wrapper's options are not known. */
  readonly commands?: readonly ScriptCommand[]
  readonly unread?: true
}

/** What a wrapper runs. */
function behindWrapper([program, ...rest]: ScriptCommand, windows: boolean): Behind {
  const name = program === undefined ? '' : programName(program.text, windows)
  const wrapper = Object.hasOwn(WRAPPERS, name) ? WRAPPERS[name] : undefined
  if (wrapper === undefined) return {}
  if (name === 'eval') return {}
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
    else if (text.startsWith('-') && text !== '-') return eachOf(rest.slice(at + 1))
    else break
  }
  const inner = rest.slice(at + (wrapper.skip ?? 0))
  return { commands: [inner] }
}

/** What a wrapper has a shell run, or divides as one does. */
function scriptsOfWrapper([program, ...rest]: ScriptCommand, windows: boolean): string[] {
  const name = program === undefined ? '' : programName(program.text, windows)
  const words = rest.map(({ text }) => text)
  if (name === 'eval') return [words.join(' ')]
  // Alone, in a cluster, with its value, cut short; \_ is a blank there.
  if (name === 'env') {
    return words.flatMap((word, index) => {
      const given = /^(?:-[A-Za-z0-9]*?S|--s[a-z-]*=?)(.*)$/s.exec(word)
      return given === null ? [] : [[given[1], ...words.slice(index + 1)].join(' ').replaceAll('\\_', ' ')]
    })
  }
  if (!Object.hasOwn(WRAPPERS, name) || WRAPPERS[name]?.scripts !== true) return []
  return words.flatMap((word, index) => {
    const value = /^--[a-z-]+=(.*)$/s.exec(word)?.[1]
    return value !== undefined ? [value] : /\s/.test(word) || /^(?:-[A-Za-z]*c|--command)$/.test(words[index - 1] ?? '') ? [word.replace(/^-[A-Za-z]*c/, '')] : []
  })
}

/** Every command that could begin in these words. */
function eachOf(words: ScriptCommand): Behind {
  const commands = words.slice(0, MOST_CANDIDATES).map((_, index) => words.slice(index, MOST_CANDIDATES))
  return words.length > MOST_CANDIDATES ? { commands, unread: true } : { commands }
}

/** `find … -exec COMMAND ;` */
function behindFind(command: ScriptCommand, windows: boolean): ScriptCommand[] {
  const [program] = command
  if (program === undefined || programName(program.text, windows) !== 'find') return []
  const starts = command.flatMap(({ text }, index) => /^-(?:exec|execdir|ok|okdir)$/.test(text) ? [index + 1] : [])
  return starts.slice(0, MOST_CANDIDATES + 1).map(start => command.slice(start)).filter(inner => inner.length > 0)
}
