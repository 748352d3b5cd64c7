// What a kernel would make of a Linux plan: mounts (the last one on a path wins, a mask hides, an opening shows) and Landlock
// (what rules along the way allow, added up). Knows nothing of policies: so it can be held against `decide`.
import type { LinuxNativePlan, MountStep } from '../../src/platform/launch-plan.js'
import { fsMask, type FsRight } from '../../src/platform/linux/landlock/access-rights.js'
import type { FileAccess } from '../../src/policy/decision.js'

/** `own`: an empty, writable file system of the sandbox's. */
type State = 'read-only' | 'writable' | 'hidden' | 'own'

export interface PlanModel {
  /** Whether the kernel lets a command do it, on a file at `path`. */
  allows(kind: FileAccess, path: string): boolean
  /** A mount point cannot be renamed, removed or made. */
  isMountPoint(path: string): boolean
  /** An entry in this directory can be renamed, as far as the directory is concerned. */
  lets(path: string): 'change' | 'read' | 'nothing'
}

const NEEDED: Readonly<Record<FileAccess, readonly FsRight[]>> = {
  read: ['read_file'], execute: ['execute'], write: ['write_file'], create: ['make_reg'], remove: ['remove_file'],
}

/** @throws Error where the launcher would fail: a step on a path that is not visible, or that is not what the step supposes */
export function modelPlan({ mounts, landlock }: Pick<LinuxNativePlan, 'mounts' | 'landlock'>): PlanModel {
  const points = new Map<string, State>([['/', 'read-only']])
  for (const step of mounts) mount(points, step)

  const allows = (kind: FileAccess, path: string): boolean => {
    const holder = kind === 'create' || kind === 'remove' ? parentOf(path) : path
    if (!isAllowed(landlock, holder, NEEDED[kind])) return false
    const state = stateAt(points, holder)
    if (kind === 'read' || kind === 'execute') return state !== 'hidden'
    return isWritable(state) && !((kind === 'create' || kind === 'remove') && points.has(path))
  }
  return {
    allows,
    isMountPoint: path => points.has(path),
    lets: path => {
      const state = stateAt(points, path)
      return state === 'hidden' ? 'nothing' : isWritable(state) ? 'change' : 'read'
    },
  }
}

function mount(points: Map<string, State>, step: MountStep): void {
  const { path } = step
  const around = stateAt(points, path)
  const fail = (why: string) => new Error(`${step.step} ${path}: ${why}`)
  const below = () => [...points.keys()].filter(at => at !== path && isBelow(path, at))
  switch (step.step) {
    case 'bind_writable':
      if (around === 'hidden') throw fail('it is hidden')
      points.set(path, 'writable')
      for (const at of below()) if (points.get(at) === 'read-only') points.set(at, 'writable')
      return
    case 'bind_read_only':
      if (around === 'hidden' || around === 'own') throw fail('it is hidden')
      points.set(path, 'read-only')
      for (const at of below()) if (points.get(at) === 'writable') points.set(at, 'read-only')
      return
    case 'pin':
      if (around !== 'writable' || stateAt(points, parentOf(path)) !== 'writable') throw fail('nobody could rename it')
      if (points.has(path)) throw fail('it is a mount point already')
      if (below().length > 0) throw fail('it would open what is held below')
      points.set(path, 'writable')
      return
    case 'mask':
      if (around === 'hidden' || around === 'own') throw fail('it is hidden already')
      for (const opening of step.openings) if (!isBelow(path, opening.path) || opening.path === path) throw fail(`${opening.path} is no opening of it`)
      for (const at of below()) points.delete(at)
      points.set(path, 'hidden')
      for (const opening of step.openings) points.set(opening.path, opening.effect === 'write' ? 'writable' : 'read-only')
      return
    case 'placeholder':
      if (stateAt(points, parentOf(path)) !== 'writable') throw fail('commands could not make it')
      points.set(path, step.effect === 'deny' ? 'hidden' : 'read-only')
      return
    case 'watch':
      if (isWritable(stateAt(points, parentOf(path)))) throw fail('commands could make it')
      points.set(path, step.effect === 'deny' ? 'hidden' : 'read-only')
      return
    case 'private_directory':
      for (const at of below()) points.delete(at)
      points.set(path, 'own')
      return
    default: step satisfies never
  }
}

function stateAt(points: ReadonlyMap<string, State>, path: string): State {
  for (let at = path; ; at = parentOf(at)) {
    const state = points.get(at)
    if (state !== undefined) return state
  }
}

function isAllowed(landlock: LinuxNativePlan['landlock'], path: string, rights: readonly FsRight[]): boolean {
  if (landlock?.files === undefined) return true
  const { handled, rules } = landlock.files
  const allowed = rules.filter(rule => isBelow(rule.path, path)).reduce((mask, rule) => mask | BigInt(rule.allowed), 0n)
  return (fsMask(rights) & BigInt(handled) & ~allowed) === 0n
}

const isWritable = (state: State): boolean => state === 'writable' || state === 'own'
const parentOf = (path: string): string => path.slice(0, path.lastIndexOf('/')) || '/'
const isBelow = (outer: string, path: string): boolean => outer === '/' || path === outer || path.startsWith(`${outer}/`)
