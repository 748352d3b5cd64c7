// What the supervised rung makes of a policy: two Landlock domains, one in the other, and the rules by which the launcher judges. Pure.
//
// Landlock adds rights up along a path and cannot take any away beneath. So commands, in the inner domain, get the right to write only
// in roots in which nothing is protected or denied; in all others they may not write at all, and the launcher, in the outer domain, does
// it for them after a look at the rules. Reads are the other way round: what is denied is left out, and what lies beside it is named.
import { SandboxError } from '../../../errors.js'
import { comparisonKey } from '../../../policy/letter-case.js'
import { isInside, parentOf } from '../../../policy/path-syntax.js'
import type { PathRule, ResolvedPolicy } from '../../../policy/resolved-policy.js'
import { layer, type Layer } from '../../../policy/rule-order.js'
import type { JudgedReads, LandlockPlan, LandlockRule, ReadableTree, SupervisionPlan } from '../../launch-plan.js'
import { fsMask, netMask, scopeMask } from '../landlock/access-rights.js'
import { deviceRights, readRights, rightsOn, writableRights } from '../landlock/ruleset.js'
import { OWN_SHARED_MEMORY } from './mounts.js'

/** The devices that every program may expect; what else lies in /dev is closed. Those that are missing are left out. */
export const CORE_DEVICES = ['/dev/null', '/dev/zero', '/dev/full', '/dev/random', '/dev/urandom', '/dev/tty']

/** The launcher alone opens what lies there: terminals and shared memory that were made inside. */
const TERMINALS = '/dev/pts'
const TERMINAL_MAKERS = ['/dev/ptmx', TERMINALS]

/** Places of the host of which commands see a part, whatever the policy says. */
const OWN_PLACES = [
  { path: '/dev', detail: 'of /dev commands get a few devices, and terminals and shared memory that they made themselves', remedy: 'Name device nodes in devices; put folders elsewhere.' },
  { path: '/proc', detail: 'of /proc commands may read what shows of all processes, and nothing more', remedy: 'Drop the rule.' },
] as const

interface Places {
  /** Nobody's business inside: a lock that a command took there would hold up every other sandbox. */
  readonly stateDirectory: string
  /** Where the launcher makes control groups. */
  readonly groupParent?: string
}

interface Supervision {
  readonly landlock: LandlockPlan & Required<Pick<LandlockPlan, 'files'>>
  readonly supervision: SupervisionPlan
}

/**
 * @throws SandboxError `rule_not_enforceable`: `tmp: 'private'`, a rule for a place of which commands see only a part, `/` to be written
 *         or denied
 */
export function compileSupervision(policy: ResolvedPolicy, abi: number, { stateDirectory, groupParent }: Places): Supervision {
  if (policy.tmp === 'private') {
    throw new SandboxError('rule_not_enforceable', { field: 'tmp', value: policy.tmp }, { detail: 'only a mount namespace can hold it, and this host has none', remedy: 'Say "none" and set TMPDIR to a folder of the workspace, or "host".' })
  }
  const rules = policy.paths.filter(rule => !isOwnPlace(rule))
  for (const { path, effect, field, origin } of rules) {
    if (path !== '/' || effect === 'read') continue
    const remedy = effect === 'write' ? 'Name the folders to write to; or, with commands unconfined, say danger-full-access.' : 'Restrict reads with readAccess, and name what is readable.'
    throw new SandboxError('rule_not_enforceable', { field: field ?? origin, value: path }, { detail: 'programs start from it', remedy })
  }
  const handledNet = policy.network === 'open' ? 0 : netMask(abi)
  const writable = rules.filter(({ effect }) => effect === 'write')
  const { reads, listable, judgedReads } = readableTrees(policy, rules, stateDirectory, readRights(abi))
  const devices = (paths: readonly string[]): LandlockRule[] => paths.map(path => ({ path, allowed: String(rightsOn('device', deviceRights(abi))) }))
  return {
    landlock: {
      abi, handledNet,
      scopes: scopeMask(abi),
      files: {
        handled: String(writableRights(abi)),
        rules: [...writable.filter(rule => !holdsSomething(policy, rule)).flatMap(rule => landlockRule(rule, writableRights(abi))), ...devices([...CORE_DEVICES, ...policy.devices]), ...listable],
        proc: '0',
      },
    },
    supervision: {
      base: policy.base === 'deny' ? 'deny' : 'read',
      rules: [
        ...rules.map(({ path, effect }) => ({ path, effect, foldsCase: policy.caseInsensitiveRoots.some(root => isInside(policy.platform, root, path)) })),
        { path: OWN_SHARED_MEMORY, effect: 'write', foldsCase: false },
      ],
      outer: {
        handledNet,
        rules: [
          { path: '/', allowed: String(readRights(abi)) },
          ...writable.flatMap(rule => landlockRule(rule, writableRights(abi))),
          ...devices([...CORE_DEVICES, ...policy.devices]),
          ...TERMINAL_MAKERS.map(path => ({ path, allowed: String(deviceRights(abi)) })),
          { path: OWN_SHARED_MEMORY, allowed: String(writableRights(abi)) },
          ...(groupParent === undefined ? [] : [{ path: groupParent, allowed: String(writableRights(abi)) }]),
        ],
      },
      reads,
      judgedReads,
    },
  }
}

/** What a reader of the report should know: in which this rung differs from that of namespaces. */
export function supervisionNotes({ network, networkRules, paths }: ResolvedPolicy): string[] {
  const reaches = (networkRules?.allowLocalPorts ?? []).length > 0
  const isDenied = paths.some(({ effect, kind }) => effect === 'deny' && kind !== 'missing')
  return [
    'no namespaces: Landlock holds what may be read and written, and the launcher carries out calls that touch a writable root with something protected or denied in it',
    'other processes of this machine show in /proc with their names and arguments; commands can neither signal them nor look into them',
    'of shared memory (/dev/shm) and terminals, which are the machine\'s, commands reach those that the sandbox made; System V IPC and message queues are refused',
    ...(isDenied ? [
      'what is denied can still be asked for by path: whether it exists, its size and its times (Landlock does not cover these)',
      'what a command makes in a folder on the way to something denied is written and read through the launcher, and a program made there runs from the next command on',
    ] : []),
    ...(network === 'off' && !reaches ? ['with the network off there is no loopback either: commands cannot serve or reach 127.0.0.1'] : []),
    ...(network === 'proxied' || (network === 'off' && reaches) ? ['there is no loopback of the sandbox\'s own: of 127.0.0.1 commands reach only the proxy and the local ports that are allowed, and cannot serve'] : []),
    ...(network !== 'open' && networkRules?.allowLocalBinding === true ? ['allowLocalBinding is not held here: without a network namespace commands cannot listen at all'] : []),
  ]
}

function isOwnPlace({ path, effect, field, origin, owner }: PathRule): boolean {
  const place = OWN_PLACES.find(each => isInside('linux', each.path, path))
  if (place === undefined) return false
  if (effect === 'read' || (origin === 'tmp' && path === OWN_SHARED_MEMORY) || owner === OWN_SHARED_MEMORY) return true
  throw new SandboxError('rule_not_enforceable', { field: field ?? origin, value: path }, { detail: place.detail, remedy: place.remedy })
}

/** Whether a rule closes something below a writable one. */
function holdsSomething({ platform, caseInsensitiveRoots, paths }: ResolvedPolicy, { path }: PathRule): boolean {
  const key = comparisonKey(platform, caseInsensitiveRoots, path)
  return paths.some(rule => {
    const other = comparisonKey(platform, caseInsensitiveRoots, rule.path)
    return rule.effect !== 'write' && other !== key && isInside(platform, key, other)
  })
}

/** None on what is not there, and none on a link: it would be about the link's own inode, which nothing ever opens. */
function landlockRule({ path, kind, identity }: PathRule, rights: bigint): LandlockRule[] {
  const allowed = rightsOn(kind, rights)
  return allowed === 0n || identity === undefined ? [] : [{ path, allowed: String(allowed), identity }]
}

/**
 * The readable places, each with what is closed in it and in no other one inside.
 *
 * A folder on the way to a closed path cannot be listed by a rule that would not list what is closed too. Where only places of this
 * machine are closed (`listable`), their names are no secret. Otherwise the launcher opens such folders, and all that comes to lie in
 * one after the start.
 */
function readableTrees(policy: ResolvedPolicy, rules: readonly PathRule[], stateDirectory: string, rights: bigint): { reads: ReadableTree[]; listable: LandlockRule[]; judgedReads: JudgedReads } {
  const { platform, base, caseInsensitiveRoots } = policy
  const closedPlaces = ['/dev', stateDirectory].filter(place => !rules.some(({ path }) => path === place)).map(closedPlace)
  const all = layer({ platform, base, caseInsensitiveRoots, paths: [...rules, ...closedPlaces].sort((a, b) => a.path.length - b.path.length) })
  const isReadableAround = (path: string): boolean => path !== '/' && all.effectAt(parentOf(platform, path)) !== 'deny'
  const opened = rules.filter(({ path, effect }) => effect !== 'deny' && !isReadableAround(path))
  const roots: LandlockRule[] = [
    ...(base === 'deny' ? [{ path: '/proc', allowed: String(rights) }] : [{ path: '/', allowed: String(rights) }]),
    ...opened.filter(({ path }) => path !== '/' || base === 'deny').flatMap(rule => landlockRule(rule, rights)),
  ]
  const closed = all.paths.filter(({ path, effect }) => effect === 'deny' && isReadableAround(path))
  const reads = roots.map(root => ({ ...root, closed: closed.filter(({ path }) => rootOf(all, roots, path) === root.path).map(({ path }) => path) }))
  const isSecret = ({ closed: paths }: ReadableTree): boolean => paths.some(path => !closedPlaces.some(place => place.path === path))
  const key = (path: string): string => comparisonKey(platform, caseInsensitiveRoots, path)
  const isInWritable = (path: string): boolean => rules.some(rule => rule.effect === 'write' && isInside(platform, key(rule.path), key(path)))
  return {
    reads,
    listable: reads.filter(tree => tree.closed.length > 0 && !isSecret(tree)).map(({ closed: _, ...rule }) => ({ ...rule, allowed: String(fsMask(['read_dir'])) })),
    judgedReads: closed.some(({ path }) => isInWritable(path)) ? 'all' : reads.some(isSecret) ? 'folders' : 'shared-memory',
  }
}

const closedPlace = (path: string): PathRule => ({ path, effect: 'deny', origin: 'self', field: undefined, owner: undefined, kind: 'directory', identity: undefined })

/** The innermost readable place that a path lies in. */
function rootOf({ platform, caseInsensitiveRoots }: Layer, roots: readonly LandlockRule[], path: string): string | undefined {
  const key = (each: string): string => comparisonKey(platform, caseInsensitiveRoots, each)
  const around = roots.filter(root => isInside(platform, key(root.path), key(path)))
  return around.reduce<LandlockRule | undefined>((inner, root) => inner === undefined || root.path.length > inner.path.length ? root : inner, undefined)?.path
}
