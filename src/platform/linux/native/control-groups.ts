// Where control groups (cgroup v2) can be made. The embedding process itself is never moved.
//
// For limits of a whole command: a group with processes may give no memory to groups below it, which leaves the place beside its own
// group, where that lies in a part of the tree that was delegated.
//
// For their end (cgroup.kill, Linux 5.14): no controller is needed, so a group may be made in the own one, and nothing leaves its limits.
import { accessSync, constants, existsSync, readFileSync, statSync } from 'node:fs'
import { dirname, basename } from 'node:path/posix'
import type { EndingGroupReport, GroupReport } from '../../backend.js'
import type { GroupLimit } from '../../launch-plan.js'

export const CGROUP_MOUNT = '/sys/fs/cgroup'

/** Where v2 is mounted beside v1 (systemd's hybrid layout), without the controllers that v1 has. */
const HYBRID_MOUNT = `${CGROUP_MOUNT}/unified`

/** What is asked of the host. */
export interface GroupFiles {
  /** Undefined where it cannot be read. */
  read(path: string): string | undefined
  /** Whether its owner is this user and may write. What root may write by a capability alone does not count: the launcher gives those up. */
  isOwn(path: string): boolean
  isThere(path: string): boolean
}

const CONTROLLERS: readonly { readonly controller: string; readonly limit: GroupLimit }[] = [
  { controller: 'memory', limit: 'memoryBytes' },
  { controller: 'pids', limit: 'pids' },
]

/** What systemd makes itself. A group beside one of these is the manager's to make: only what is below a unit can be delegated. */
const SYSTEMD_UNIT = /\.(?:service|scope|slice|socket|mount|swap)$/

/** Limits of the own group. Commands in a group beside it would leave them. */
const OWN_LIMITS = ['memory.max', 'memory.high', 'memory.swap.max', 'pids.max', 'cpu.max']

const HOST_FILES: GroupFiles = {
  read(path) {
    try {
      return readFileSync(path, 'utf8')
    } catch {
      return undefined // absent or not ours to read: the same as not there
    }
  },
  isOwn(path) {
    try {
      const { uid, mode } = statSync(path)
      accessSync(path, constants.W_OK) // not where the file system is mounted read-only, as in most containers
      return uid === process.getuid?.() && (mode & 0o200) !== 0
    } catch {
      return false
    }
  },
  isThere: existsSync,
}

/** Asks the host. Changes nothing. */
export function findGroups(files: GroupFiles = HOST_FILES): GroupReport {
  if (files.read(`${CGROUP_MOUNT}/cgroup.controllers`) === undefined) return absent(`cgroup v2 is not what is mounted on ${CGROUP_MOUNT}`)
  const own = ownGroup(files)
  if (own === undefined) return absent('the own control group is not below what is mounted')
  if (own === '/') return absent('this process is in the root of the control groups, where nothing can be beside it')
  const place = besideOwn(`${CGROUP_MOUNT}${own}`, files)
  if (typeof place === 'string') return absent(place)
  const { parent, controllers } = place
  const needed = [parent, `${parent}/cgroup.procs`, `${parent}/cgroup.subtree_control`, `${CGROUP_MOUNT}${own}/cgroup.procs`]
  if (!needed.every(path => files.isOwn(path))) return absent('no control group is delegated to this user')
  const holds = CONTROLLERS.filter(({ controller }) => controllers.includes(controller)).map(({ limit }) => limit)
  return holds.length === 0 ? absent('neither memory nor pids is among the controllers of the control group') : { available: true, parent, holds }
}

/** Asks the host. Changes nothing. */
export function findEndingGroup(files: GroupFiles = HOST_FILES): EndingGroupReport {
  const mount = [CGROUP_MOUNT, HYBRID_MOUNT].find(path => files.read(`${path}/cgroup.controllers`) !== undefined)
  if (mount === undefined) return absent('cgroup v2 is not mounted')
  const own = ownGroup(files)
  if (own === undefined) return absent('the own control group is not below what is mounted')
  const parent = own === '/' ? mount : `${mount}${own}`
  const type = files.read(`${parent}/cgroup.type`)?.trim()
  if (type === undefined) return absent('this process is in the root of the control groups')
  if (type !== 'domain') return absent('the own control group is of a type that holds no processes')
  if (![parent, `${parent}/cgroup.procs`].every(path => files.isOwn(path))) return absent('the own control group is not this user\'s to write, or mounted read-only')
  // Not the own group's, which nobody delegates: only those of groups made in it are written.
  return files.isThere(`${parent}/cgroup.kill`) ? { available: true, parent } : absent('the kernel has no cgroup.kill (Linux 5.14)')
}

/** Undefined where it cannot be told, or lies outside of what this process sees. */
function ownGroup(files: GroupFiles): string | undefined {
  const own = /^0::(\/.*)$/m.exec(files.read('/proc/self/cgroup') ?? '')?.[1]
  return own?.startsWith('/..') === true ? undefined : own
}

interface Place { readonly parent: string; readonly controllers: readonly string[] }

function besideOwn(own: string, files: GroupFiles): Place | string {
  const parent = dirname(own)
  if (SYSTEMD_UNIT.test(basename(own))) return 'this process is in a control group of systemd\'s own, with nothing delegated above it (a unit with Delegate=yes and DelegateSubgroup= has that)'
  if (files.read(`${parent}/cgroup.type`)?.trim() !== 'domain') return 'the control group above the own one is the host\'s root, or of a type that holds no memory'
  if (OWN_LIMITS.some(file => !/^(?:max\b|$)/.test(files.read(`${own}/${file}`) ?? ''))) return 'the own control group has limits of its own, which commands in another one would leave'
  const isEmpty = files.read(`${parent}/cgroup.procs`) === ''
  return { parent, controllers: wordsOf(files.read(`${parent}/${isEmpty ? 'cgroup.controllers' : 'cgroup.subtree_control'}`)) }
}

const wordsOf = (text: string | undefined): string[] => (text ?? '').split(/\s+/)

const absent = (reason: string): { readonly available: false; readonly reason: string } => ({ available: false, reason })
