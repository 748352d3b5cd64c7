// A control group (cgroup v2) of a test's own, where this machine lets it make one.
import { existsSync, mkdirSync, readdirSync, readFileSync, rmdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import { onTestFinished } from 'vitest'

const MOUNTS = ['/sys/fs/cgroup', '/sys/fs/cgroup/unified']
const mount = (): string | undefined => MOUNTS.find(path => existsSync(join(path, 'cgroup.controllers')))

let made = 0

/** Removed when the test ends. */
export function makeGroup(): string {
  const { path, remove } = holdGroup()
  onTestFinished(remove)
  return path
}

/** For what outlasts a test. */
export function holdGroup(): { readonly path: string; remove(): Promise<void> } {
  const path = join(mount()!, `codex-sandbox-test-${process.pid}-${++made}`)
  mkdirSync(path)
  return { path, remove: () => removeGroup(path) }
}

/** Why the tests that need one cannot run here, or nothing. */
export function whyNoGroup(): string | undefined {
  const at = mount()
  if (at === undefined) return 'cgroup v2 is not mounted'
  const path = join(at, `codex-sandbox-test-${process.pid}`)
  try {
    mkdirSync(path)
    if (!existsSync(join(path, 'cgroup.kill'))) return 'the kernel has no cgroup.kill'
    return undefined
  } catch (error) {
    return `no control group can be made (${(error as NodeJS.ErrnoException).code})`
  } finally {
    try {
      rmdirSync(path)
    } catch { /* it could not be made */ }
  }
}

/** Ids of the processes in a group, and in those below it. */
export function processesIn(group: string): number[] {
  const own = readFileSync(join(group, 'cgroup.procs'), 'utf8').split('\n').filter(Boolean).map(Number)
  return [...own, ...groupsIn(group).flatMap(processesIn)]
}

export const groupsIn = (group: string): string[] => readdirSync(group, { withFileTypes: true }).filter(entry => entry.isDirectory()).map(({ name }) => join(group, name))

/** Puts a process, with all of its threads, into a group. */
export const moveTo = (group: string, pid: number): void => writeFileSync(join(group, 'cgroup.procs'), String(pid))

/** Groups of a launcher that was killed are removed by the next one: here there is none. */
async function removeGroup(group: string): Promise<void> {
  for (const below of existsSync(group) ? groupsIn(group) : []) await removeGroup(below)
  for (let tries = 0; existsSync(group); tries++) {
    try {
      rmdirSync(group)
    } catch (error) {
      if (tries > 1000) throw error
      await wait(5) // a process on its way out is in it still
    }
  }
}
