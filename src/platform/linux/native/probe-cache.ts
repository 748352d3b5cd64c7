// What a probe found, kept for this boot: a probe is a process of its own, and a host seldom changes.
// Only the happy answer is kept. A layer that has gone since shows as a failed step, and then the host is asked again, so a stale
// answer costs time and never a layer. What no step tells, that Yama lets nobody look into commands, is in the key.
import { existsSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { LayerReport } from '../../backend.js'

const FILE = 'layers.json'
const YAMA_SCOPE = '/proc/sys/kernel/yama/ptrace_scope'

/** The layers as an earlier probe on this boot, by this user and with this launcher found them; undefined where none did. */
export function recallLayers(stateDirectory: string, launcherPath: string): readonly LayerReport[] | undefined {
  try {
    const kept = JSON.parse(readFileSync(join(stateDirectory, FILE), 'utf8')) as { key?: unknown; layers?: unknown }
    return kept.key === keyOf(launcherPath) && isAllAvailable(kept.layers) ? kept.layers : undefined
  } catch {
    return undefined // absent, half-written or unreadable: the host is asked
  }
}

/** Keeps `layers`, if all are there; a folder that cannot be written costs the next start a probe. */
export function keepLayers(stateDirectory: string, launcherPath: string, layers: readonly LayerReport[]): void {
  if (!isAllAvailable(layers)) return
  const path = join(stateDirectory, FILE)
  const written = `${path}.${process.pid}`
  try {
    writeFileSync(written, JSON.stringify({ key: keyOf(launcherPath), layers }), { mode: 0o600, flag: 'wx' })
    renameSync(written, path)
  } catch {
    removeHalf(written)
  }
}

/** Where nothing could be written there may be nothing that could be removed, such as below a file. */
function removeHalf(path: string): void {
  try {
    rmSync(path, { force: true })
  } catch {}
}

/** Another boot, another user or another launcher may have other answers. */
function keyOf(launcherPath: string): string {
  const { dev, ino, size, mtimeNs } = statSync(launcherPath, { bigint: true })
  const boot = readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim()
  return [boot, process.getuid?.(), yamaScope(), launcherPath, dev, ino, size, mtimeNs].join(' ')
}

/** Few kernels have it. */
const yamaScope = (): string => existsSync(YAMA_SCOPE) ? readFileSync(YAMA_SCOPE, 'utf8').trim() : 'none'

const isAllAvailable = (layers: unknown): layers is readonly LayerReport[] =>
  Array.isArray(layers) && layers.length > 0 && layers.every(each => typeof each === 'object' && each !== null && (each as LayerReport).available === true)
