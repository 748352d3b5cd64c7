// Known holes of bwrap, and which plans each of them concerns. No version is refused by its number: one that has a hole serves every
// plan that does not come near it, and one that a distribution has repaired serves all.
import { isInside, parentOf } from '../../../policy/path-syntax.js'
import type { BwrapProgram, MountStep } from '../../launch-plan.js'

export interface Hole {
  readonly name: string
  readonly what: string
  /** The first release without it. */
  readonly repairedIn: string
  /** The first version of a distribution's package that has the repair, by what such versions begin with. */
  readonly backports: readonly { readonly of: RegExp; readonly from: string }[]
  /** The first path of the plan that it concerns. */
  concerns(mounts: readonly MountStep[]): string | undefined
}

/**
 * Source: the advisories named; for backports, the distribution's own changelog.
 * Holes of bwrap as a set-user-ID program (CVE-2026-41163, CVE-2020-5291) have no row: such a program is refused as a whole.
 */
export const HOLES: readonly Hole[] = [
  {
    name: 'CVE-2026-87766', what: 'it follows a link in the folder above a mount point out of the sandbox, and makes files or folders there',
    repairedIn: '0.12.0', backports: [{ of: /^0\.9\.0-1ubuntu0\./, from: '0.9.0-1ubuntu0.2' }],
    concerns: mounts => mounts.find(({ step, path }) => step !== 'watch' && step !== 'private_directory' && mayBeReplacedAbove(mounts, path))?.path,
  },
]

/** Those that `program` has, of a plan that they concern. Pure. */
export function holesOf({ version, package: packaged }: Pick<BwrapProgram, 'version' | 'package'>, mounts: readonly MountStep[]): { readonly hole: Hole; readonly path: string }[] {
  return HOLES.flatMap(hole => {
    const path = isRepaired(hole, version, packaged) ? undefined : hole.concerns(mounts)
    return path === undefined ? [] : [{ hole, path }]
  })
}

function isRepaired({ repairedIn, backports }: Hole, version: string, packaged: string | undefined): boolean {
  if (compareVersions(version, repairedIn) >= 0) return true
  return packaged !== undefined && backports.some(({ of, from }) => of.test(packaged) && compareVersions(packaged, from) >= 0)
}

/**
 * Whether a folder above `path` lies in one that commands may write: whoever writes there could put a link in its place. Commands of this
 * sandbox cannot, since such a folder is a mount point for them; but another sandbox, or a program of the host, may do so while bwrap starts.
 */
function mayBeReplacedAbove(mounts: readonly MountStep[], path: string): boolean {
  const above = parentOf('linux', parentOf('linux', path))
  return mounts.some(step => writableIn(step).some(root => isInside('linux', root, above)))
}

const writableIn = (step: MountStep): readonly string[] =>
  step.step === 'bind_writable' ? [step.path] : step.step === 'mask' ? step.openings.filter(({ effect }) => effect === 'write').map(({ path }) => path) : []

/** By their numbers, one after the other, as far as both have any; what stands between is the same for what is compared. */
export function compareVersions(a: string, b: string): number {
  const [left, right] = [numbersOf(a), numbersOf(b)]
  for (let i = 0; i < Math.max(left.length, right.length); i++) {
    const difference = (left[i] ?? 0) - (right[i] ?? 0)
    if (difference !== 0) return difference
  }
  return 0
}

const numbersOf = (version: string): number[] => (version.match(/\d+/g) ?? []).map(Number)
