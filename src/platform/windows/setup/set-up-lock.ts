// One at a time: whoever comes second is told who is first.
import { SandboxError } from '../../../errors.js'
import type { SetUpHolder } from './report.js'
import type { HeldLock, WindowsSystem } from './system.js'

/** @throws SandboxError `windows_setup_busy` */
export async function takeLock(system: Pick<WindowsSystem, 'lock'>, what: SetUpHolder['what'], pid: number = process.pid): Promise<HeldLock> {
  const lock = await system.lock(JSON.stringify({ pid, what, since: new Date().toISOString() } satisfies SetUpHolder))
  if (!('heldBy' in lock)) return lock
  const holder = parseHolder(lock.heldBy)
  throw new SandboxError('windows_setup_busy', { field: 'windows', value: holder === undefined ? lock.heldBy : `process ${holder.pid}` }, holder === undefined ? {} : { detail: `process ${holder.pid} has been at its ${holder.what} since ${holder.since}` })
}

/** Undefined where it was just begun or ended, and so says nothing. */
export function parseHolder(text: string): SetUpHolder | undefined {
  try {
    const { pid, what, since } = JSON.parse(text) as Partial<SetUpHolder>
    return typeof pid === 'number' && (what === 'set-up' || what === 'uninstall') && typeof since === 'string' ? { pid, what, since } : undefined
  } catch {
    return undefined
  }
}
