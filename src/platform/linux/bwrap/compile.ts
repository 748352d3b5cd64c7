// A policy and a host's layers to a plan for the launcher inside bwrap. What the launcher alone would do is compiled as ever; bwrap carries
// out the mounts and namespaces of it, in its own words. Pure: runs on every platform.
import { SandboxError } from '../../../errors.js'
import type { ResolvedPolicy } from '../../../policy/resolved-policy.js'
import type { EntryKind } from '../../../policy/host-snapshot.js'
import { lastName } from '../../../policy/path-syntax.js'
import type { CompileOptions, LayerReport } from '../../backend.js'
import { DEGRADATIONS, type BwrapProgram, type DegradationName, type LinuxBwrapPlan, type LinuxNativePlan, type MountStep } from '../../launch-plan.js'
import { compileLinuxNative } from '../native/compile.js'
import { bwrapArguments } from './compile-arguments.js'
import { holesOf } from './holes.js'

/** Landlock's ABI with which signals stay inside a domain: commands share a PID namespace with the launcher. */
const LEAST_LANDLOCK_ABI = 6

const OTHER_BACKEND = 'Or leave the back end out: the launcher alone (linux-native) holds it.'

/**
 * Compiles `policy` for bwrap on this host. Pure. Afterwards each rule is enforced by an argument of bwrap's or by the launcher inside, or
 * named in `plan.degraded`.
 *
 * @param layers  what `probe` reported, `bwrap` first
 * @throws        SandboxError `layer_missing`, `field` = the layer; `rule_not_enforceable` where a rule cannot be held by bwrap, such as one
 *                about a symbolic link; and what `compileLinuxNative` has
 */
export function compileLinuxBwrap(policy: ResolvedPolicy, layers: readonly LayerReport[], options: CompileOptions): LinuxBwrapPlan {
  const program = needBwrap(layers)
  needFence(layers)
  const { rung: _, ...given } = options
  const { backend: __, rung: ___, ...native } = compileLinuxNative(policy, layers, {
    ...given, rung: 'namespaces', sharesProcesses: true, groups: { available: false, reason: 'bwrap shows control groups read-only' },
  })
  const plan = { ...native, mounts: native.mounts.map(withoutLinkAtSubmodule) }
  const kinds = kindsOf(policy, plan.mounts)
  refuseLinks(policy, plan.mounts, kinds)
  refuseRoot(policy, options)
  const holed = acceptedHoles(program, plan.mounts, options)
  const degraded = (Object.keys(DEGRADATIONS) as DegradationName[]).filter(name => plan.degraded.includes(name) || (name === 'bwrap-hole' && holed.length > 0) || (name === 'bwrap-devices' && policy.uid === 0))
  return {
    backend: 'linux-bwrap',
    ...plan,
    degraded,
    bwrap: { ...program, arguments: bwrapArguments(plan, path => kinds.get(path)), kinds: Object.fromEntries(kinds) },
    enforcement: {
      backend: 'linux-bwrap',
      layers: ['bwrap', ...plan.enforcement.layers],
      degraded,
      limits: plan.enforcement.limits,
      notes: [`namespaces and mounts are made by ${program.path} ${program.package ?? program.version}, and read back by the launcher inside`, ...holed, ...NOTES, reachNote(plan), ...plan.enforcement.notes],
    },
  }
}

const NOTES = [
  'what the host changes at a protected or denied path while commands run ends them: bwrap\'s mounts cannot follow',
]

const UNJUDGED = 'neither signal them nor look into them (Landlock), but can lower their limits and priorities: the launcher answers no calls here'

const reachNote = ({ seccomp }: Pick<LinuxNativePlan, 'seccomp'>): string =>
  `commands share a PID namespace: they see each other's processes in /proc and ${seccomp.listener === undefined ? UNJUDGED : 'reach none of them (Landlock, the launcher)'}`

function needBwrap(layers: readonly LayerReport[]): BwrapProgram {
  const report = layers.find(({ layer }) => layer === 'bwrap')
  if (report?.available === true && report.program !== undefined) return report.program
  throw new SandboxError('layer_missing', { field: 'bwrap', value: report?.errno }, {
    detail: report?.reason ?? 'the probe did not report it', remedy: `${report?.remedy ?? 'Install bubblewrap.'} ${OTHER_BACKEND}`,
  })
}

/** Whatever may be degraded: without it commands could end the launcher, and each other. */
function needFence(layers: readonly LayerReport[]): void {
  const report = layers.find(({ layer }) => layer === 'landlock')
  if (report?.available === true && (report.version ?? 0) >= LEAST_LANDLOCK_ABI) return
  throw new SandboxError('layer_missing', { field: 'landlock', value: report?.available === true ? `ABI ${report.version}` : report?.errno ?? 'absent' }, {
    detail: report?.reason ?? `inside bwrap only Landlock from ABI ${LEAST_LANDLOCK_ABI} on (Linux 6.12) keeps commands from signalling the launcher`,
    remedy: `${report?.remedy ?? 'Boot a newer kernel.'} ${OTHER_BACKEND}`,
  })
}

/**
 * A submodule that is not checked out: a socket that nobody serves holds its name as well. Git takes it for no repository, as it does a link that
 * leads nowhere, and stops at an empty folder or file (2.39).
 */
function withoutLinkAtSubmodule(step: MountStep): MountStep {
  if (step.step !== 'placeholder' || step.kind !== 'symlink' || lastName('linux', step.path) !== '.git') return step
  const { text: _, ...rest } = step
  return { ...rest, kind: 'socket' }
}

/** What was there, as far as something was. */
function kindsOf({ paths }: ResolvedPolicy, mounts: readonly MountStep[]): Map<string, EntryKind> {
  const kinds = new Map<string, EntryKind>()
  for (const step of mounts) {
    const kind = step.step === 'mask' ? step.kind : paths.find(({ path }) => path === step.path)?.kind ?? 'directory'
    if (step.step === 'watch') continue
    // The keeper makes it before bwrap starts.
    kinds.set(step.path, step.step === 'placeholder' ? step.kind : kind === 'missing' ? 'directory' : kind)
  }
  return kinds
}

/** mount(2) follows a link, and what it leads to is not what was meant. */
function refuseLinks({ paths }: ResolvedPolicy, mounts: readonly MountStep[], kinds: ReadonlyMap<string, EntryKind>): void {
  for (const { step, path } of mounts) {
    if (kinds.get(path) !== 'symlink' || (step !== 'bind_read_only' && step !== 'mask' && step !== 'placeholder')) continue
    const rule = paths.find(each => each.path === path)
    throw new SandboxError('rule_not_enforceable', { field: step === 'placeholder' ? 'git' : rule?.field ?? rule?.origin ?? 'policy', value: path }, {
      detail: step === 'placeholder' ? 'a link has to stand there, so that git goes on working, and bwrap cannot hold a symbolic link' : 'bwrap cannot hold a symbolic link',
      remedy: OTHER_BACKEND.replace('Or leave', 'Leave'),
    })
  }
}

/** Nodes in /dev are root's; mounted read-only, bwrap mounts them so that they cannot be opened. */
function refuseRoot({ uid }: ResolvedPolicy, { allowDegraded }: CompileOptions): void {
  if (uid !== 0 || allowDegraded.has('bwrap-devices')) return
  throw new SandboxError('rule_not_enforceable', { field: 'uid', value: 0 }, {
    detail: DEGRADATIONS['bwrap-devices'], remedy: `Run as another user, or allow it by name: allowDegraded ["bwrap-devices"]. ${OTHER_BACKEND}`,
  })
}

/** @returns a note for each hole that was allowed by name */
function acceptedHoles(program: BwrapProgram, mounts: readonly MountStep[], { allowDegraded }: CompileOptions): string[] {
  return holesOf(program, mounts).map(({ hole, path }) => {
    const version = program.package ?? program.version
    if (allowDegraded.has('bwrap-hole')) return `bwrap ${version} has ${hole.name}: ${hole.what}; it concerns ${JSON.stringify(path)}`
    throw new SandboxError('rule_not_enforceable', { field: 'bwrap', value: version }, {
      detail: `it has ${hole.name}: ${hole.what}, and ${JSON.stringify(path)} has to be held below a folder that others may replace meanwhile`,
      remedy: `Install bubblewrap ${hole.repairedIn} or a package with the repair, or allow it by name: allowDegraded ["bwrap-hole"]. ${OTHER_BACKEND}`,
    })
  })
}
