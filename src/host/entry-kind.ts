// What stands at a path, in the words of a policy.
import type { BigIntStats, Stats } from 'node:fs'
import type { EntryKind } from '../policy/host-snapshot.js'

/** What stands at a path, by lstat(2). */
export function entryKind(stats: Stats | BigIntStats): EntryKind {
  if (stats.isDirectory()) return 'directory'
  if (stats.isFile()) return 'file'
  if (stats.isSymbolicLink()) return 'symlink'
  if (stats.isSocket()) return 'socket'
  return stats.isFIFO() ? 'fifo' : 'device'
}
