// A policy and a host's layers to the plan that the launcher carries out. Pure: runs on every platform.
import { SandboxError } from '../../../errors.js'
import { isInside } from '../../../policy/path-syntax.js'
import type { ResolvedPolicy } from '../../../policy/resolved-policy.js'
import type { CompileOptions, GroupReport, LayerReport } from '../../backend.js'
import { DEGRADATIONS, type DegradationName, type LandlockPlan, type LinuxNativePlan, type MountStep } from '../../launch-plan.js'
import { compileRulesets, deviceRights, type FileRule, FIRST_ABI_WITH_REFER, procRights, writableRights } from '../landlock/ruleset.js'
import { commandFilter, listenerFilter } from '../seccomp/filters.js'
import { CGROUP_MOUNT } from './control-groups.js'
import { type Layer, type LayerName, LAYERS } from './layers.js'
import { limitMechanisms, limitNotes, lowerLimits, wantsGroups } from './limits.js'
import { compileMounts, hasPrivateTmp, isHeldStep, OWN_SHARED_MEMORY } from './mounts.js'

/**
 * The rights in places that every command has beside the policy's own rules, one row a place. What is not handled under the
 * ABI, and `resolve_unix`, falls out. /proc is each command's own and so is not here: the launcher adds it with `procRights`.
 */
const SYSTEM_RULES: readonly { readonly path: string; readonly rights: (abi: number) => bigint; readonly when: (policy: ResolvedPolicy) => boolean }[] = [
  // /dev/null and its like are written to, terminals get ioctls; the directory itself is mounted read-only.
  { path: '/dev', rights: deviceRights, when: () => true },
  // Shared memory: an empty file system of the sandbox's own, where programs make and remove files.
  { path: OWN_SHARED_MEMORY, rights: writableRights, when: () => true },
  // `tmp: 'private'`, the same.
  { path: '/tmp', rights: writableRights, when: hasPrivateTmp },
]

/** Places whose rules of the host do not apply inside: every sandbox has its own. */
const REPLACED = ['/dev', '/proc']

/**
 * Compiles `policy` for this host. Pure. Afterwards each rule is enforced by a step, or named in `plan.degraded`.
 *
 * @param layers  what `probe` reported; a layer without a report is taken for missing
 * @throws        SandboxError `layer_missing`, `field` = the layer, where one that is needed is missing and going without was
 *                not allowed by name; `rule_not_enforceable` where a rule of the policy cannot be held here
 */
export function compileLinuxNative(policy: ResolvedPolicy, layers: readonly LayerReport[], options: CompileOptions): LinuxNativePlan {
  if (policy.base === 'write') throw new Error(`${policy.mode} has nothing to enforce`)
  const degraded = findDegradations(policy, layers, options)
  const network = policy.network === 'off' ? 'private' : 'host'
  const mounts = compileMounts(policy, options.cwdIdentity)
  const landlock = degraded.has('no-landlock') ? undefined : compileLandlock(policy, versionOf(layers, 'landlock'), network === 'private')
  const arch = options.architecture
  const listener = degraded.has('no-unix-socket-control') ? undefined : listenerFilter({ arch, bind: network === 'host' })
  const limits = lowerLimits(policy.limits, options.limits)
  const report = wantsGroups(limits) ? groupsFor(policy, options.groups) : undefined
  const groups = report?.available === true ? { parent: report.parent, holds: report.holds } : undefined
  const mechanisms = limitMechanisms(limits, policy.uid, groups)
  const names = namesIn(degraded)
  return {
    backend: 'linux-native',
    platform: 'linux',
    uid: policy.uid,
    gid: policy.gid,
    network,
    stateDirectory: options.stateDirectory,
    mounts,
    devices: policy.devices,
    ...(landlock === undefined ? {} : { landlock }),
    seccomp: { command: base64(commandFilter({ arch, network })), ...(listener === undefined ? {} : { listener: base64(listener) }) },
    limits,
    limitMechanisms: mechanisms,
    ...(groups === undefined ? {} : { groups }),
    cwd: { path: policy.cwd, identity: options.cwdIdentity },
    degraded: names,
    enforcement: {
      backend: 'linux-native',
      layers: heldLayers(policy, degraded),
      degraded: names,
      limits: mechanisms,
      notes: [...mountNotes(mounts), ...readNotes(policy), ...landlockNotes(landlock), ...networkNotes(policy, degraded), ...limitNotes(limits, policy.uid, groups, report)],
    },
  }
}

/** Goes through what cannot be held here; what remains was allowed by name. */
function findDegradations(policy: ResolvedPolicy, layers: readonly LayerReport[], { allowDegraded }: CompileOptions): Set<DegradationName> {
  const degraded = new Set<DegradationName>()
  for (const layer of LAYERS as readonly Layer[]) {
    const report = layers.find(each => each.layer === layer.layer)
    if (report?.available === true || !isNeeded(layer, policy)) continue
    if (layer.layer === 'landlock' && policy.base === 'deny') throw refuseRestrictedReads(report)
    if (layer.without === 'refuse' || !allowDegraded.has(layer.without)) throw layerMissing(layer, report)
    degraded.add(layer.without)
  }
  const [glob] = policy.globs.filter(({ effect }) => effect === 'deny')
  if (glob !== undefined) {
    if (!allowDegraded.has('later-glob-matches')) {
      throw new SandboxError('rule_not_enforceable', { field: glob.field, value: glob.pattern }, {
        detail: DEGRADATIONS['later-glob-matches'], remedy: `Deny a folder instead, or ${allowing('later-glob-matches')}`,
      })
    }
    degraded.add('later-glob-matches')
  }
  return degraded
}

/** An open network needs no namespace of its own. */
const isNeeded = ({ layer }: Layer, policy: ResolvedPolicy): boolean => layer !== 'network-namespace' || policy.network === 'off'

function layerMissing({ layer, without }: Layer, report: LayerReport | undefined): SandboxError {
  const remedy = [report?.remedy, without === 'refuse' ? undefined : `Or ${allowing(without)}`].filter(each => each !== undefined)
  return new SandboxError('layer_missing', { field: layer, value: report?.errno ?? 'absent' }, {
    detail: report?.reason ?? 'the probe did not report it',
    ...(remedy.length === 0 ? {} : { remedy: remedy.join(' ') }),
  })
}

function refuseRestrictedReads(report: LayerReport | undefined): SandboxError {
  return new SandboxError('rule_not_enforceable', { field: 'readAccess', value: 'restricted' }, {
    detail: `only Landlock holds it, and ${report?.reason ?? 'the probe did not report it'}`,
    remedy: `${report?.remedy ?? 'Run `codex-sandbox doctor`.'} Or say full access, and deny by name what must not be read.`,
  })
}

const allowing = (name: DegradationName): string => `allow it by name: allowDegraded [${JSON.stringify(name)}].`

function compileLandlock(policy: ResolvedPolicy, abi: number, privateNetwork: boolean): LandlockPlan {
  const extraRules = SYSTEM_RULES.filter(({ when }) => when(policy)).map(({ path, rights }): FileRule => ({ path, allowed: rights(abi) }))
  const paths = policy.paths.filter(({ path }) => !REPLACED.some(place => isInside('linux', place, path)))
  const { scopes, handledNet, file } = compileRulesets({ ...policy, paths }, abi, { privateNetwork, systemPaths: [], extraRules })
  return {
    abi,
    scopes,
    handledNet,
    ...(file === undefined ? {} : {
      files: {
        handled: String(file.handled),
        rules: file.rules.map(({ path, allowed }) => ({ path, allowed: String(allowed) })),
        proc: String(procRights(abi)),
      },
    }),
  }
}

function versionOf(layers: readonly LayerReport[], name: LayerName): number {
  const version = layers.find(({ layer }) => layer === name)?.version
  if (version === undefined) throw new Error(`the report on ${name} has no version`)
  return version
}

/** Commands that may write in the tree of control groups could leave theirs. */
function groupsFor({ paths }: ResolvedPolicy, report: GroupReport | undefined): GroupReport | undefined {
  const writable = paths.some(({ path, effect }) => effect === 'write' && (isInside('linux', path, CGROUP_MOUNT) || isInside('linux', CGROUP_MOUNT, path)))
  return report?.available === true && writable ? { available: false, reason: `commands may write in ${CGROUP_MOUNT}` } : report
}

/** In the order of the table, so that equal plans print alike. */
const namesIn = (degraded: ReadonlySet<DegradationName>): DegradationName[] =>
  (Object.keys(DEGRADATIONS) as DegradationName[]).filter(name => degraded.has(name))

const heldLayers = (policy: ResolvedPolicy, degraded: ReadonlySet<DegradationName>): string[] =>
  (LAYERS as readonly Layer[]).filter(layer => isNeeded(layer, policy) && (layer.without === 'refuse' || !degraded.has(layer.without))).map(({ layer }) => layer)

function mountNotes(mounts: readonly MountStep[]): string[] {
  const notes: string[] = []
  if (mounts.some(isHeldStep)) notes.push('protected and denied paths inside a writable root hang on mounts alone: Landlock cannot take back a part of what it allows')
  const pinned = mounts.filter(({ step }) => step === 'pin').map(({ path }) => JSON.stringify(path))
  if (pinned.length > 0) notes.push(`rename and link from or to ${listed(pinned)} fail with EXDEV: what is held below must keep its place`)
  const closed = mounts.filter(each => each.step === 'placeholder' && each.effect === 'deny').map(({ path }) => JSON.stringify(path))
  if (closed.length > 0) notes.push(`commands cannot make ${listed(closed)}: it is denied, or what would lie in it`)
  return notes
}

function listed(items: readonly string[]): string {
  const shown = items.slice(0, 3).join(', ')
  return items.length > 3 ? `${shown} and ${items.length - 3} more` : shown
}

function readNotes({ base }: ResolvedPolicy): string[] {
  return base === 'deny' ? ['what may not be read can still be asked for by path: whether it exists, its size and its times (Landlock does not cover these)'] : []
}

function landlockNotes(landlock: LandlockPlan | undefined): string[] {
  if (landlock?.files === undefined || landlock.abi >= FIRST_ABI_WITH_REFER) return []
  return [`Landlock ABI ${landlock.abi} refuses every rename and link from one directory to another (EXDEV)`]
}

function networkNotes({ network }: ResolvedPolicy, degraded: ReadonlySet<DegradationName>): string[] {
  return network === 'open' && !degraded.has('no-unix-socket-control') ? ['with the network open, abstract unix sockets cannot be connected to, not even own ones'] : []
}

const base64 = (bytes: Uint8Array): string => Buffer.from(bytes).toString('base64')
