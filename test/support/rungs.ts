// The ways in which a policy is held on Linux, for tests that run once on each: namespaces, the supervised rung as this kernel has it,
// and as an older kernel in a container would.
import { capabilities } from '../../src/exec/check-host.js'
import type { ParsedSandboxOptions, SandboxOptions } from '../../src/exec/options.js'
import { parseOptions, prepare, type Preparation } from '../../src/exec/prepare.js'
import { type Sandbox, startSandbox } from '../../src/exec/sandbox.js'
import type { LayerReport } from '../../src/platform/backend.js'
import type { DegradationName, LinuxBackend, LinuxNativePlan, Rung } from '../../src/platform/launch-plan.js'
import { makeGroup, whyNoGroup } from './control-groups.js'
import { locateBwrap } from '../../src/platform/linux/bwrap/find.js'
import { whyNoContainer } from './docker-like.js'

export interface RungVariant {
  readonly name: string
  /** Absent: the one that is chosen here. */
  readonly rung?: Rung
  /** Absent: the usual one. */
  readonly backend?: LinuxBackend
  /** Plan for this ABI of Landlock, which any newer kernel carries out as that one would. */
  readonly abi?: number
  /** Plan as where pidfd_getfd(2) is refused. */
  readonly makesSockets?: boolean
  /** Commands end by control groups, made in one of the test's own. */
  readonly ends?: 'group'
}

export const NAMESPACES: RungVariant = { name: 'namespaces', rung: 'namespaces' }
export const SUPERVISED: RungVariant = { name: 'supervised', rung: 'supervised' }
export const SUPERVISED_BEFORE: RungVariant = { name: 'supervised, Landlock ABI 4, no pidfd_getfd', rung: 'supervised', abi: 4, makesSockets: true }

export const SUPERVISED_IN_GROUP: RungVariant = { name: 'supervised, Landlock ABI 4, in control groups', rung: 'supervised', abi: 4, ends: 'group' }

/** The other back end. Whole tables run on it where CODEX_SANDBOX_TEST_RUNGS names it: they are long, and `npm test` takes a selection of them. */
export const BWRAP: RungVariant = { name: 'bwrap', backend: 'linux-bwrap' }
/** That one, or none where no bwrap is installed: test/native/bwrap-life.test.ts says so in the report. */
export const BWRAP_IF_THERE: readonly RungVariant[] = process.platform === 'linux' && locateBwrap(process.env['PATH'] ?? '') !== undefined ? [BWRAP] : []
/** What the bwrap of a machine that tests run on may have, and what it lacks as root: docs/bwrap.md. */
const BWRAP_DEGRADED: readonly DegradationName[] = ['bwrap-devices', 'bwrap-hole']

/** Set by scripts/test.mjs, which runs the tables a second time in a container as Docker makes it. */
export const IN_CONTAINER = process.env['CODEX_SANDBOX_TEST_IN_CONTAINER'] !== undefined

/** Set by scripts/test-kernels.mjs: the rungs that a virtual machine has, between commas; or by hand, each with an ABI of Landlock if wanted. */
const IN_MACHINE = process.env['CODEX_SANDBOX_TEST_RUNGS']?.split(',')

/** How many times longer everything may take, where a machine is emulated. */
export const SLOWNESS = Number(process.env['CODEX_SANDBOX_TEST_SLOWNESS'] ?? '1')

/** For whole tables: where no container can be made, the supervised rung is asked for on this machine. */
export const TABLE_RUNGS: readonly RungVariant[] = IN_MACHINE !== undefined ? IN_MACHINE.map(asWritten) : IN_CONTAINER ? [{ name: 'in a container' }] : whyNoContainer() === undefined ? [NAMESPACES] : [NAMESPACES, SUPERVISED]

/** As `supervised`, or as `supervised@2` for that ABI of Landlock. */
function asWritten(text: string): RungVariant {
  const [name, abi] = text.split('@')
  const variant = [NAMESPACES, SUPERVISED, BWRAP].find(each => each.name === name)
  if (variant === undefined) throw new Error(`CODEX_SANDBOX_TEST_RUNGS: there is no rung ${JSON.stringify(name)}`)
  return abi === undefined ? variant : { ...variant, name: text, abi: Number(abi) }
}

export const isSupervised = ({ rung }: RungVariant): boolean => rung === 'supervised' || (rung === undefined && IN_CONTAINER)

/** For tests of the launcher itself. */
export const ALL_RUNGS: readonly RungVariant[] = [NAMESPACES, SUPERVISED, SUPERVISED_BEFORE, ...(whyNoGroup() === undefined ? [SUPERVISED_IN_GROUP] : [])]

/** Landlock's ABI on that rung: the kernel's, unless it is planned for another. */
export const landlockAbi = async ({ abi }: RungVariant): Promise<number> => abi ?? (await capabilities()).layers.find(({ layer }) => layer === 'landlock')?.version ?? 0

/** As `prepare`, on that rung. `group`: where control groups are made; by default one that goes with the test. */
async function prepareParsedOn({ rung, abi, makesSockets, ends, backend }: RungVariant, options: ParsedSandboxOptions, group?: string): Promise<Preparation> {
  const preparation = await prepare({ ...options, ...(rung === undefined ? {} : { rung }), ...onBackend(backend, options.allowDegraded) })
  if (abi === undefined && makesSockets !== true) return preparation
  const layers = preparation.layers.map((report): LayerReport => report.layer === 'landlock' && abi !== undefined ? { ...report, version: abi }
    : report.layer === 'descriptor-copy' && makesSockets === true ? { ...report, available: false } : report)
  const { cwd, stateDirectory, limits } = preparation.plan as LinuxNativePlan
  const plan = preparation.backend.compile(preparation.policy, layers, {
    allowDegraded: new Set(options.allowDegraded), limits, architecture: process.arch === 'arm64' ? 'arm64' : 'x64', stateDirectory, cwdIdentity: cwd.identity,
    ...(rung === undefined ? {} : { rung }),
    ...(ends === undefined ? {} : { endingGroup: { available: true, parent: group ?? makeGroup() } }),
  })
  return { ...preparation, layers, plan }
}

/** On another back end than the usual one, whatever of bwrap this machine has. */
export const onBackend = (backend: LinuxBackend | undefined, allowDegraded: readonly DegradationName[] = []): Pick<SandboxOptions, 'backend' | 'allowDegraded'> =>
  backend === undefined ? {} : { backend, allowDegraded: backend === 'linux-bwrap' ? [...allowDegraded, ...BWRAP_DEGRADED] : allowDegraded }

export const prepareOn = async (variant: RungVariant, options: SandboxOptions, group?: string): Promise<Preparation> => prepareParsedOn(variant, await parseOptions(options), group)
export const startOn = async (variant: RungVariant, options: SandboxOptions, group?: string): Promise<Sandbox> => startSandbox(await prepareOn(variant, options, group), options)
export const startParsedOn = async (variant: RungVariant, options: ParsedSandboxOptions): Promise<Sandbox> => startSandbox(await prepareParsedOn(variant, options), options)
