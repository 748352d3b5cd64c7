// The process at the other end of the frames: the package's own program, started as a child with pipes and nothing else of this process's.
import { type ChildProcess, spawn } from 'node:child_process'
import type { Socket } from 'node:net'
import type { Readable, Writable } from 'node:stream'

export interface RunnerProcess {
  readonly pid: number | undefined
  readonly input: Writable
  readonly output: Readable
  /** Called once, when it has ended or could not be started: how, in a word. */
  onExit(listener: (word: string) => void): void
  kill(): void
  /** Whether it keeps Node alive. */
  ref(): void
  unref(): void
}

/** @param args  `--broker`, or none */
export type StartRunnerProcess = (path: string, args: readonly string[]) => RunnerProcess

/**
 * Detached: libuv would else put it into a job of its own, and a ctrl-C at the user's console would be for it as well. It ends when its
 * input does, so it does not outlive this process. Of the environment it gets what the loader of Windows needs.
 */
export const startRunnerProcess: StartRunnerProcess = (path, args) => {
  const { SystemRoot = 'C:\\Windows', TEMP = '', TMP = '' } = process.env
  const child: ChildProcess = spawn(path, args, { stdio: ['pipe', 'pipe', 'ignore'], env: { SystemRoot, TEMP, TMP }, detached: true, windowsHide: true, cwd: SystemRoot })
  const [input, output] = [child.stdin as Writable, child.stdout as Readable]
  // A write to one that is gone: its end is told by `onExit`.
  input.on('error', () => {})
  return {
    pid: child.pid,
    input,
    output,
    onExit(listener) {
      child.once('exit', (code, signal) => listener(signal ?? `exit ${code}`))
      child.once('error', error => {
        output.destroy()
        listener((error as NodeJS.ErrnoException).code ?? 'unknown')
      })
    },
    kill: () => void child.kill('SIGKILL'),
    ref: () => holdersOf(child).forEach(holder => holder.ref()),
    unref: () => holdersOf(child).forEach(holder => holder.unref()),
  }
}

/** Pipes are sockets, which their type does not say. */
const holdersOf = (child: ChildProcess): readonly Pick<Socket, 'ref' | 'unref'>[] => [child, child.stdin, child.stdout] as unknown as Socket[]
