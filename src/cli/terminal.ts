// The user's terminal while a command has one of its own: raw, so that every key reaches the command, and always given back.
import { spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import type { ReadStream, WriteStream } from 'node:tty'

export interface TerminalSize { readonly rows: number; readonly cols: number }

/**
 * Raw by way of `stty`. Node's own raw mode will not do: it still turns "\n" into "\r\n", which moves the cursor of full-screen
 * programs, and its restoring at exit stops a process that is in the background by then. It is the fallback where there is no stty.
 */
export class UserTerminal {
  readonly #input: ReadStream
  readonly #output: WriteStream
  #mode: 'given' | 'raw' | 'raw-by-node' = 'given'
  /** How `stty` writes the settings that the user had. */
  #settings: string | undefined
  readonly #restore = (): void => this.leave()

  constructor(input: ReadStream, output: WriteStream) {
    this.#input = input
    this.#output = output
  }

  get size(): TerminalSize {
    const [cols, rows] = this.#output.getWindowSize()
    return { rows, cols }
  }

  /** Only in the foreground: elsewhere, touching the terminal stops this process. */
  enter(): void {
    if (this.#mode !== 'given') return
    this.#settings ??= stty('-g')?.trim()
    if (this.#settings !== undefined && stty('raw', '-echo') !== undefined) this.#mode = 'raw'
    else {
      this.#input.setRawMode(true)
      this.#mode = 'raw-by-node'
    }
    // Also when an exception or process.exit() ends this process.
    process.once('exit', this.#restore)
  }

  leave(): void {
    if (this.#mode === 'given') return
    const mode = this.#mode
    this.#mode = 'given'
    process.off('exit', this.#restore)
    if (mode === 'raw-by-node') this.#input.setRawMode(false)
    // In the background the shell has set it as it wants it.
    else if (isForeground()) stty(this.#settings as string)
  }

  onResize(listener: (size: TerminalSize) => void): () => void {
    const resized = (): void => listener(this.size)
    this.#output.on('resize', resized)
    return () => { this.#output.off('resize', resized) }
  }
}

/** What it printed; undefined where it failed or is missing. */
function stty(...words: string[]): string | undefined {
  const { status, stdout } = spawnSync('stty', words, { stdio: ['inherit', 'pipe', 'ignore'], encoding: 'utf8' })
  return status === 0 ? stdout : undefined
}

/** Whether this process may read from its terminal and change it: a shell's background job may not, and is stopped if it tries. */
function isForeground(): boolean {
  let stat: string
  try {
    stat = readFileSync('/proc/self/stat', 'latin1')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return true
    throw error
  }
  // After the name, which may hold anything but ends at the last ")": state ppid pgrp session tty_nr tpgid.
  const [, , group, , terminal, foreground] = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  return terminal === '0' || foreground === group
}

/** Calls back once this process may use its terminal: at once, or when the shell brings it to the foreground (`fg` of a running job sends no signal). */
export function whenForeground(then: () => void): () => void {
  if (isForeground()) {
    then()
    return () => {}
  }
  const timer = setInterval(() => {
    if (!isForeground()) return
    clearInterval(timer)
    then()
  }, FOREGROUND_POLL_MS)
  timer.unref()
  return () => clearInterval(timer)
}

const FOREGROUND_POLL_MS = 250
