// The user's terminal while a command has one of its own: raw, so that every key reaches the command, and always given back.
import { spawn } from 'node:child_process'
import { readFileSync } from 'node:fs'
import type { ReadStream, WriteStream } from 'node:tty'

export interface TerminalSize { readonly rows: number; readonly cols: number }

/**
 * Node's raw mode still turns "\n" into "\r\n" on output, which moves the cursor of full-screen programs: the terminal made
 * inside does that already. So `stty` switches it off; where there is no stty, plain programs still look right.
 */
export class UserTerminal {
  readonly #input: ReadStream
  readonly #output: WriteStream
  #raw = false
  readonly #restore = (): void => this.leave()

  constructor(input: ReadStream, output: WriteStream) {
    this.#input = input
    this.#output = output
  }

  get size(): TerminalSize {
    const [cols, rows] = this.#output.getWindowSize()
    return { rows, cols }
  }

  /** Does nothing while this process is in the background, where touching the terminal would stop it. */
  enter(): boolean {
    if (this.#raw) return true
    if (!isForeground()) return false
    this.#input.setRawMode(true)
    this.#raw = true
    // Also when an exception or process.exit() ends this process.
    process.once('exit', this.#restore)
    // Restored with the rest: Node gives back the settings that it first found.
    spawn('stty', ['-opost'], { stdio: ['inherit', 'ignore', 'ignore'] }).on('error', () => {}).unref()
    return true
  }

  leave(): void {
    if (!this.#raw) return
    this.#raw = false
    process.off('exit', this.#restore)
    this.#input.setRawMode(false)
  }

  onResize(listener: (size: TerminalSize) => void): () => void {
    const resized = (): void => listener(this.size)
    this.#output.on('resize', resized)
    return () => { this.#output.off('resize', resized) }
  }
}

/** Whether this process may read from its terminal and change it: a shell's background job may not, and is stopped if it tries. */
export function isForeground(): boolean {
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
