// Processes as the host's /proc shows them: what a test sees of a sandbox from outside.
import { readdirSync, readFileSync } from 'node:fs'
import { expect } from 'vitest'

/** Runs until it is ended, and so does what it has put into a session of its own; both have `word` as an argument. */
export const daemonising = (word: string): string[] => ['sh', '-c', 'setsid sh -c "trap : TERM HUP; while :; do sleep 1000; done" "$0" & while :; do sleep 1000; done', word]

/** Ids of the processes with this name that still run; a zombie does not. */
export const processesNamed = (name: string): number[] => processIds().filter(pid => {
  const stat = read(`/proc/${pid}/stat`)
  const end = stat.lastIndexOf(')')
  return stat.slice(stat.indexOf('(') + 1, end) === name && stat[end + 2] !== 'Z'
})

/** Ids of the processes that have `word` among their arguments. */
export const processesWithArgument = (word: string): number[] => processIds().filter(pid => read(`/proc/${pid}/cmdline`).split('\0').includes(word))

export const childrenOf = (pid: number): number[] => processIds().filter(each => parentOf(each) === pid)

/** The launcher's child that has children; a guardian has none. */
export const forkerOf = (monitor: number): number => childrenOf(monitor).find(child => childrenOf(child).length > 0)!

/** 0 where it is gone. */
export function parentOf(pid: number): number {
  const stat = read(`/proc/${pid}/stat`)
  return Number(stat.slice(stat.lastIndexOf(')') + 4).split(' ')[0])
}

/** As proc(5) writes it: 'R', 'S', 't' where a tracer has stopped it, …; undefined where it is gone. */
export function stateOf(pid: number): string | undefined {
  const stat = read(`/proc/${pid}/stat`)
  return stat === '' ? undefined : stat[stat.lastIndexOf(')') + 2]
}

export const isRunning = (pid: number): boolean => ![undefined, 'Z'].includes(stateOf(pid))

/** Resident memory in KiB. */
export const residentKiB = (pid: number): number => Number(/^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1])

/** What processes share is divided among them, as far as this user may look. Source: proc(5), smaps_rollup. */
export function proportionalKiB(pid: number): number {
  const share = /^Pss:\s+(\d+) kB$/m.exec(read(`/proc/${pid}/smaps_rollup`))?.[1]
  return share === undefined ? residentKiB(pid) : Number(share)
}

/** Waits until there are none. How long that takes is not what is tested. */
export const expectNone = (what: () => readonly unknown[]): Promise<void> => expect.poll(what, { timeout: 20_000, interval: 5 }).toEqual([])

/**
 * Waits until so many have `word` among their arguments. A process that has just forked shows its parent's for a moment, so a count
 * that is taken once may be one too high.
 */
export const expectRunning = (word: string, processes: number): Promise<void> =>
  expect.poll(() => processesWithArgument(word).length, { timeout: 20_000 }).toBe(processes)

const processIds = (): number[] => readdirSync('/proc').filter(name => /^\d+$/.test(name)).map(Number)

/** Empty where the process is gone. */
function read(path: string): string {
  try {
    return readFileSync(path, 'latin1')
  } catch {
    return ''
  }
}
