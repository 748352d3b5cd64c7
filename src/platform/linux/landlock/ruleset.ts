// What Landlock holds of a policy, as the one layer of each command: files, TCP and UDP, scopes.
import type { Effect, PathRule, ResolvedPolicy } from '../../../policy/resolved-policy.js'
import { type FsRight, ON_FILE_MASK, fsMask, handledRights, netMask, scopeMask } from './access-rights.js'

/** A rule on one path and all beneath it. `allowed`: bits of `landlock_path_beneath_attr.allowed_access`, at least one. */
export interface FileRule {
  readonly path: string
  readonly allowed: bigint
}

export interface Rulesets {
  /** `scoped`. */
  readonly scopes: number
  /** `handled_access_net`, which has no rule: nothing of it is allowed. */
  readonly handledNet: number
  /** Undefined where the policy restricts no files, or there is no Landlock: then the rest is a layer of all commands. */
  readonly file: { readonly handled: bigint; readonly rules: readonly FileRule[] } | undefined
}

export interface RulesetOptions {
  /** Commands have a network namespace of their own. */
  readonly privateNetwork: boolean
  /** Directories of the system that stay readable under restricted reads: /dev, /proc. */
  readonly systemPaths: readonly string[]
  /** The launcher's own, such as /dev and /dev/shm with more than reads; rights that are not handled are left out. */
  readonly extraRules: readonly FileRule[]
}

/** Below this ABI `refer` is not known, and then every layer with file rights refuses each rename and link between two directories (EXDEV). */
export const FIRST_ABI_WITH_REFER = 2

const READ: readonly FsRight[] = ['execute', 'read_file', 'read_dir']

/**
 * The Landlock rulesets of `policy` under `abi`. Pure.
 *
 * Landlock adds up what rules allow along a path and cannot take anything away beneath. So the file layer is the second
 * lock on roots; protected and denied paths inside a root hang on mounts alone, and the report has to say so.
 *
 * - `refer` goes with every writable root: a rename between two roots works where both sides have the same rights. Under a
 *   layer with file rights every layer of a domain denies it unless it allows it, one without file rights too: hence one layer.
 * - `ioctl_dev` is not given on `/`: the tree is nodev, so devices are only below /dev, and `deviceRights` has it.
 * - `resolve_unix` is never handled here. Each command has a domain of its own, and the right cuts a domain off from
 *   servers in its siblings: a command could not reach what the one before it started.
 * - TCP and UDP are handled only where the network is not open and no namespace holds it, for that would close the command's
 *   own loopback as well.
 *
 * @param abi what landlock_create_ruleset(…, LANDLOCK_CREATE_RULESET_VERSION) answered; 0 for no Landlock
 */
export function compileRulesets(policy: ResolvedPolicy, abi: number, options: RulesetOptions): Rulesets {
  return {
    scopes: policy.base === 'write' ? 0 : scopeMask(abi),
    handledNet: policy.network !== 'open' && !options.privateNetwork ? netMask(abi) : 0,
    file: policy.base === 'write' || abi < 1 ? undefined : compileFileLayer(policy, abi, options),
  }
}

/**
 * What a command may do below its own /proc, beside what the policy lets it read: write to its own processes' files
 * (`oom_score_adj`, `comm`, `/proc/self/fd/N`). What there acts on the host is mounted read-only.
 */
export const procRights = (abi: number): bigint => fsMask([...READ, 'write_file', 'truncate']) & handledMask(abi)

/** What a command may do with the nodes of the small /dev. /dev/shm needs `writableRights` on itself. */
export const deviceRights = (abi: number): bigint => fsMask([...READ, 'write_file', 'truncate', 'ioctl_dev']) & handledMask(abi)

/** What a writable root gets. */
export const writableRights = (abi: number): bigint => handledMask(abi)

/** What reading a tree takes, running what lies in it included. */
export const readRights = (abi: number): bigint => fsMask(READ) & handledMask(abi)

const handledMask = (abi: number): bigint => fsMask(handledRights(abi).filter(right => right !== 'resolve_unix'))

function compileFileLayer(policy: ResolvedPolicy, abi: number, { systemPaths, extraRules }: RulesetOptions): NonNullable<Rulesets['file']> {
  const handled = handledMask(abi)
  const read = readRights(abi)
  const everywhere: readonly string[] = policy.base === 'read' ? ['/'] : systemPaths
  const rightsOf: Record<Effect, bigint> = { write: handled, read: policy.base === 'read' ? 0n : read, deny: 0n }
  return {
    handled,
    rules: [
      ...everywhere.map(path => ({ path, allowed: read })),
      ...strictestPerPath(policy.paths).map(rule => ({ path: rule.path, allowed: rightsOn(rule.kind, rightsOf[rule.effect]) })),
      ...extraRules.map(({ path, allowed }) => ({ path, allowed: allowed & handled })),
    // The kernel refuses a rule that allows nothing (ENOMSG).
    ].filter(({ allowed }) => allowed !== 0n),
  }
}

/** At one path the strictest effect comes last in a resolved policy, and decides. */
const strictestPerPath = (rules: readonly PathRule[]): PathRule[] => [...new Map(rules.map(rule => [rule.path, rule])).values()]

/** Of `rights` those that a rule on this kind of file may carry; none where there is nothing that a rule could be put on. */
export function rightsOn(kind: PathRule['kind'], rights: bigint): bigint {
  switch (kind) {
    case 'directory': return rights
    case 'file': case 'socket': case 'fifo': case 'device': return rights & ON_FILE_MASK
    // A protected link is held otherwise; a rule would be about the link's own inode, which nothing ever opens.
    case 'symlink': case 'missing': return 0n
    default: return kind satisfies never
  }
}
