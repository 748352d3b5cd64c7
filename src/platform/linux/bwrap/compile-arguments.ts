// A plan's mounts in the words of bwrap. The same steps as the launcher alone carries out, in the same order: a later one lies on top.
import { isInside, parentOf } from '../../../policy/path-syntax.js'
import type { EntryKind } from '../../../policy/host-snapshot.js'
import type { LinuxLauncherPlan, MountStep } from '../../launch-plan.js'
import { OWN_SHARED_MEMORY } from '../native/mounts.js'

/** What stands at a path; undefined: nothing does. */
export type KindOf = (path: string) => EntryKind | undefined

type Mounts = Pick<LinuxLauncherPlan, 'mounts' | 'devices' | 'network' | 'stateDirectory'>

/**
 * The arguments of bwrap for `plan`, up to the program. Pure.
 *
 * No argument has bwrap make a mount point on the host: what is missing at a name that must be held stands there already, made by the
 * keeper, or the step falls out. Mount points are made in file systems of the sandbox's own alone.
 *
 * @param kindOf  as the host is now: of a step whose object has gone, the host's new one is held, or nothing
 */
export function bwrapArguments(plan: Mounts, kindOf: KindOf): string[] {
  return [
    ...namespaceArguments(plan.network),
    ...systemArguments(plan.devices),
    ...plan.mounts.flatMap(step => argumentsOf(step, kindOf)),
    ...hideStateDirectory(plan, kindOf),
    '--chdir', '/',
  ]
}

/** What commands are kept from, whatever the policy. */
export function namespaceArguments(network: Mounts['network']): string[] {
  return [
    // Everything at once, whatever uid this is: without it bwrap as root keeps the host's user namespace.
    '--unshare-user', '--unshare-pid', '--unshare-ipc', '--unshare-uts', '--unshare-cgroup-try', ...(network === 'private' ? ['--unshare-net'] : []),
    // The launcher is process 1: when it ends, the kernel ends all others; and it ends when bwrap does, and bwrap with Node.
    '--die-with-parent', '--as-pid-1', '--new-session', '--cap-drop', 'ALL',
  ]
}

/** The host's tree, and the system's own places, as every sandbox has them. */
export function systemArguments(devices: readonly string[]): string[] {
  return [
    // Read-only, nosuid and nodev with all that is mounted below.
    '--ro-bind', '/', '/',
    '--dev', '/dev', '--perms', '1777', '--tmpfs', OWN_SHARED_MEMORY, ...devices.flatMap(path => ['--dev-bind', path, path]), '--remount-ro', '/dev',
    // All of it: commands see the launcher there, whose files are root's, and root's commands could write to them.
    '--proc', '/proc', '--remount-ro', '/proc',
  ]
}

function argumentsOf(step: MountStep, kindOf: KindOf): string[] {
  const { path } = step
  const kind = kindOf(path)
  switch (step.step) {
    case 'bind_writable': case 'pin':
      return ['--bind', path, path]
    case 'bind_read_only':
      return kind === undefined && step.gone === 'nothing' ? [] : ['--ro-bind', path, path]
    case 'mask':
      return mask(path, kind ?? step.kind, step.openings)
    case 'placeholder':
      // Where nobody can make anything, commands cannot either; the launcher looks.
      if (kind === undefined) return []
      return step.effect === 'deny' ? mask(path, kind) : ['--ro-bind', path, path]
    case 'watch':
      return kind === undefined ? [] : mask(path, kind)
    case 'private_directory':
      return ['--perms', '1777', '--tmpfs', path]
    default: return step satisfies never
  }
}

/** A directory is hidden below an empty one; all else below a device node that the mount keeps from being opened. */
function mask(path: string, kind: EntryKind, openings: Extract<MountStep, { step: 'mask' }>['openings'] = []): string[] {
  if (kind !== 'directory') return ['--ro-bind', '/dev/null', path]
  if (openings.length === 0) return ['--perms', '0000', '--tmpfs', path, '--remount-ro', path]
  return [
    '--perms', '0111', '--tmpfs', path,
    ...foldersOn(path, openings.map(opening => opening.path)).flatMap(folder => ['--perms', '0111', '--dir', folder]),
    ...openings.flatMap(({ path: opened, effect }) => [effect === 'write' ? '--bind' : '--ro-bind', opened, opened]),
    '--remount-ro', path,
  ]
}

/** Between a mask and its openings: they can be passed through and not listed. */
function foldersOn(path: string, openings: readonly string[]): string[] {
  const folders = new Set<string>()
  for (const opening of openings) {
    const way: string[] = []
    for (let at = parentOf('linux', opening); at !== path && isInside('linux', path, at); at = parentOf('linux', at)) way.unshift(at)
    for (const folder of way) if (!openings.some(each => isInside('linux', each, folder))) folders.add(folder)
  }
  return [...folders]
}

/** Commands have no business with the journal. Below something that hides it, it is hidden already. */
function hideStateDirectory({ stateDirectory, mounts }: Mounts, kindOf: KindOf): string[] {
  const isHidden = mounts.some(({ step, path }) => (step === 'mask' || step === 'private_directory') && isInside('linux', path, stateDirectory))
  return isHidden ? [] : mask(stateDirectory, kindOf(stateDirectory) ?? 'directory')
}
